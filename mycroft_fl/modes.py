"""The modes of a run and of an answer, in one table that all rooms read.

A mode is an entry of `MODES` and the functions that it names. They stand in the rooms they belong
to and are named as "package.module:function", so that this table imports nothing. An installed package
adds its own by the entry points `mycroft_fl.modes`.
"""

from __future__ import annotations

import importlib
import logging
from dataclasses import dataclass
from typing import Any

from mycroft_fl import entry_points
from mycroft_fl.errors import SettingError

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Mode:
    """A way in which owners answer, a way in which a run goes, or both.

    `leaves` says in plain words what leaves an owner; it is empty for a run that is made of other
    modes, in which no owner answers. All of `check` to `audits` are references, see `resolved`.

    `hands_over`: whether examples leave; `drawn`: whether they are drawn at random.
    `noised`: whether numbers leave, paid for with epsilon. `moves_head`: whether these move the
    last layer of the trainer's model. `trains`: whether they come from DP-SGD, which has a share of
    epsilon's budget of its own. `each_round`: whether owners answer so in every round of a run.
    `fields`: those of a request that only such modes may bring; `check(request)` raises
    `BadMessage` where they are wrong. `promise(card)` says what the card promises.
    `numbers(progress)` is how many numbers an answer has, `brings(progress)` gives the request its
    own fields, and `plans(name)` are the plans of a run's first round and of all later ones.
    `price(policy)` is what an answer costs, `release` makes it, and `adds` gives what each record
    adds, where the answer is a noised sum. `audits` compare what shows with what is claimed.
    """

    name: str
    leaves: str = ""
    hands_over: bool = False
    drawn: bool = False
    noised: bool = False
    moves_head: bool = False
    trains: bool = False
    each_round: bool = False
    fields: tuple[str, ...] = ()
    check: str = ""
    promise: str = "mycroft_fl.protocol.card:noised_promise"
    numbers: str = ""
    brings: str = ""
    plans: str = ""
    price: str = "clients.answering.policy:price_of_sum"
    release: str = "clients.answering.noised:noised_sum_of"
    adds: str = ""
    audits: tuple[str, ...] = ()

    @property
    def answers(self) -> bool:
        """Whether an owner may answer in this mode."""
        return self.hands_over or self.noised

    @property
    def by_method(self) -> bool:
        """Whether examples leave that the method asked for has chosen, without noise."""
        return self.hands_over and not self.drawn


def resolved(reference: str) -> Any:
    """Import what "package.module:name" names."""
    module, _, name = reference.partition(":")
    return getattr(importlib.import_module(module), name)


_AUDITS = "mycroft_fl.privacy.audits.catalogue:"
_CHECKS = "mycroft_fl.protocol.request_checks:"
_PLANS = "strategies.rounds.plans:"
_FIELDS = "strategies.rounds.own_fields:"
_ADDS = "clients.answering.noised:"

MODES: dict[str, Mode] = {
    mode.name: mode
    for mode in (
        Mode(
            "raw",
            "examples as they are, chosen for a trainer's hard set",
            hands_over=True,
            promise="mycroft_fl.protocol.card:disclosed_promise",
            plans=_PLANS + "bought",
        ),
        Mode(
            "raw-gumbel",
            "examples as they are, drawn at random, the useful ones more often",
            hands_over=True,
            drawn=True,
            each_round=True,
            promise="mycroft_fl.protocol.card:drawn_promise",
            plans=_PLANS + "bought",
            audits=(_AUDITS + "audit_gumbel", _AUDITS + "audit_ledger"),
        ),
        Mode(
            "score",
            "a noised score of how much the data would help",
            noised=True,
            fields=("score_by",),
            check=_CHECKS + "check_score",
            numbers=_FIELDS + "score_numbers",
            brings=_FIELDS + "scored_by",
            plans=_PLANS + "scored",
            adds=_ADDS + "added_to_score",
            audits=(
                _AUDITS + "audit_score",
                _AUDITS + "audit_score_by_class",
                _AUDITS + "audit_score_by_region",
                _AUDITS + "audit_fresh_noise",
                _AUDITS + "audit_ledger",
                "clients.owner.audit:audit_score_through_a_file",
            ),
        ),
        Mode("score-then-raw", plans=_PLANS + "scored_then_raw"),
        Mode(
            "gradient",
            "noised sums of gradients",
            noised=True,
            moves_head=True,
            each_round=True,
            fields=("head", "whitening"),
            check=_CHECKS + "check_gradient",
            numbers=_FIELDS + "gradient_numbers",
            brings=_FIELDS + "at_head",
            plans=_PLANS + "stepped",
            adds=_ADDS + "added_to_gradient",
            audits=(
                _AUDITS + "audit_gradient",
                _AUDITS + "audit_fresh_noise",
                _AUDITS + "audit_ledger",
            ),
        ),
        Mode(
            "dp-sgd",
            "a last layer trained on the data with noise",
            noised=True,
            moves_head=True,
            trains=True,
            fields=("head", "rate"),
            check=_CHECKS + "check_trained_head",
            numbers=_FIELDS + "head_numbers",
            brings=_FIELDS + "at_rate",
            plans=_PLANS + "trained",
            price="clients.answering.policy:price_of_sgd",
            release=_ADDS + "trained_head",
            audits=(
                "mycroft_fl.privacy.audits.sgd_canaries:audit_dp_sgd",
                _AUDITS + "audit_ledger",
            ),
        ),
    )
}
"""By name, in the order in which settings list them."""


COUNTS = Mode(
    "counts",
    "noised counts of the records of each class of the task",
    noised=True,
    audits=(
        _AUDITS + "audit_counts",
        "clients.owner.audit:audit_counts_through_a_file",
        _AUDITS + "audit_ledger",
    ),
)
"""What the policy `describe = "counts"` lets out beside the modes. No request asks for it."""


def mode_of(name: str) -> Mode:
    """Return the mode of an answer that was charged. `KeyError` where no answer has it."""
    return COUNTS if name == COUNTS.name else MODES[name]


def _add_installed() -> None:
    """Add the modes of installed packages. One that is broken, or takes a name, is left out and said."""
    for name in entry_points.added(entry_points.MODES):
        try:
            mode = entry_points.loaded(entry_points.MODES, name)
        except SettingError as error:
            log.warning("%s", error)
            continue
        taken = name in MODES or name == COUNTS.name
        if taken or not isinstance(mode, Mode) or mode.name != name:
            log.warning(
                "mode '%s' of an installed package is left out: no new Mode of that name", name
            )
            continue
        MODES[name] = mode


_add_installed()


def answer_names() -> tuple[str, ...]:
    """Name the modes in which an owner may answer."""
    return tuple(name for name, mode in MODES.items() if mode.answers)


def handing_over() -> frozenset[str]:
    """Name the modes in which examples leave."""
    return frozenset(name for name, mode in MODES.items() if mode.hands_over)
