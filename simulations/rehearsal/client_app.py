"""The ClientApp of a rehearsal: each node is the owner with its partition-id."""

from __future__ import annotations

from flwr.app import Context

from clients.client_app import Answering, owner_app
from simulations.one_disk import OnOneDisk, full_disk_noted
from simulations.rehearsal.server_app import rehearsal_of


def vault_for(context: Context) -> Answering:
    """Return the vault of this node's owner, whichever process serves it."""
    with full_disk_noted():
        return OnOneDisk(rehearsal_of(context).vault(int(context.node_config["partition-id"])))


def name_for(context: Context) -> str:
    """Return the name of this node's owner."""
    return rehearsal_of(context).names[int(context.node_config["partition-id"])]


app = owner_app(vault_for, name_for)
