"""The ClientApp of a simulation: each node is the owner with its partition-id."""

from __future__ import annotations

from flwr.app import Context

from clients.client_app import Answering, owner_app
from simulations.one_disk import OnOneDisk, full_disk_noted
from simulations.setup.apps import simulation_of


def vault_for(context: Context) -> Answering:
    """Return the vault of this node's owner, whichever process serves it."""
    with full_disk_noted():
        return OnOneDisk(simulation_of(context).vault(int(context.node_config["partition-id"])))


def name_for(context: Context) -> str:
    """Return the name of this node's owner."""
    return simulation_of(context).owner_name(int(context.node_config["partition-id"]))


app = owner_app(vault_for, name_for)
