"""Mycroft: find out which data owners can help a model, with as little of their data as possible.

    import mycroft_fl as mf
    picks = mf.select(x, y, hard=(xh, yh), k=10, model=net)
    result = mf.rank(net, train=..., validation=..., owners={"a": frame, "b": dataset})

examples   labelled examples and the hard ones among them
represent  an example as a vector: gradients, features
match      which candidates explain a target
selection  represent x match: the methods, by name
models     networks, fitting and evaluating them
scoring    what an owner's subset is worth to the trainer, with its uncertainty
protocol   what a trainer asks and an owner answers, packed and signed for the network
privacy    noise, an owner's ledger, attacks and audits
settings   a run's settings
face       what `import mycroft_fl as mf` offers on data in memory
"""

import importlib
from typing import Any

__version__ = "0.1.0"

_PLACES = {
    "Examples": "mycroft_fl.examples",
    "OrthogonalMatchingPursuit": "mycroft_fl.face.matching",
    "Picks": "mycroft_fl.face.picks",
    "Policy": "clients.answering.policy",
    "PrivateRecords": "clients.answering.private_records",
    "Request": "mycroft_fl.protocol.messages",
    "RunResult": "simulations.face.results",
    "StudyResult": "simulations.face.studies",
    "Vault": "clients.answering.vault",
    "facility_location": "mycroft_fl.face.matching",
    "orthogonal_matching_pursuit": "mycroft_fl.face.matching",
    "rank": "simulations.face.rank",
    "read_run": "simulations.face.results",
    "read_study": "simulations.face.studies",
    "select": "mycroft_fl.face.picks",
    "simulate": "simulations.face.simulate",
    "study": "simulations.face.studies",
}
"""Where each name stands. Imported at its first use, so that the package itself loads nothing."""

__all__ = sorted([*_PLACES, "__version__"])


def __getattr__(name: str) -> Any:
    if name not in _PLACES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(importlib.import_module(_PLACES[name]), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *_PLACES})
