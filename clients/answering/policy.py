"""The policy of an owner, from the owner's own file. A request has no field for any of it."""

from __future__ import annotations

import dataclasses
import datetime
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from clients.answering.trainer_limits import TrainerLimits, check_at_least, check_positive
from mycroft_fl.errors import InputError, Problems, Refused, suggestion
from mycroft_fl.modes import COUNTS, MODES, answer_names, resolved
from mycroft_fl.privacy.noise.accounting import (
    Filter,
    SgdRun,
    Spend,
    multiplier_for,
    sgd_run_within,
)
from mycroft_fl.privacy.noise.mechanisms import price
from mycroft_fl.privacy.spending.budget import Budget, Limits
from mycroft_fl.protocol.messages import Request
from mycroft_fl.settings.own_names import is_own, own_name
from mycroft_fl.settings.space_names import encoder_within
from mycroft_fl.settings.value_words import value_in_words

NOTHING, SCHEMA = "nothing", "schema"
LEVELS = (NOTHING, SCHEMA, COUNTS.name)
"""What a trainer may see before it asks: nothing, the task's form, and noised counts by class too."""
LEAST_RHO = 1e-6
"""With less of its own, any other noised answer is all noise."""
MOST_NOISE = 1e6
"""Standard deviation of a count, in records; what is charged can then be drawn."""


@dataclass(frozen=True)
class Policy:
    """`modes` that may leave at all, and budgets that hold over all requests, for ever.

    `max_records` raw examples, an answer that finds none counting as one; `max_requests` answers of
    any kind; `epsilon` at `delta` for what is noised; `epsilon_minus` for the
    choice of `raw-gumbel`, made with `strength` (0: the most that epsilon-minus, divided among
    `answers`, pays for) among at least `records_at_least` records, a number
    the owner makes public, and by utility only where a noised count, paid from epsilon, finds
    `useful_at_least` useful ones (0: always). `noise_multiplier` 0 divides epsilon by `answers`; where
    `dp-sgd` is among the modes, a run of it may have `sgd_share` of epsilon's budget and the answers
    what is left. Such a run has `sgd_steps`, each taking every record with `sample_rate`. `clip` bounds
    a gradient. All of these are public constants, never from the data.
    One request may ask for `max_per_request` examples, for `max_epochs` of an owner's own early model,
    and for a model of `max_model` numbers.
    `models` are the architectures that are built (empty: all known). `trainers` who may ask (empty:
    whoever asks), `expires` the last day on which anybody may.
    `own_methods` are import paths of methods that this owner trusts beside the built-in ones: a
    method is code, and a request only names it. `own_models` are those of models, and of what prepares
    their inputs, likewise. `encoders` may be opened. With `approval` a person
    looks at examples before they leave; it takes a vault that runs as a server. `describe` is what a
    trainer may see before it asks, one of `LEVELS`; counts cost `describe_epsilon` of `epsilon`, once
    for each trainer.

    Example:
        >>> Policy(modes=("score",), epsilon=1.0, answers=4).modes
        ('score',)
        >>> Policy.from_table({"max-records": 20}).max_records
        20
    """

    modes: tuple[str, ...] = ("raw",)
    max_records: int | None = None
    own_methods: tuple[str, ...] = ()
    own_models: tuple[str, ...] = ()
    encoders: tuple[str, ...] = ()
    epsilon: float | None = None
    delta: float = 1e-6
    epsilon_minus: float | None = None
    noise_multiplier: float = 0.0
    answers: int = 1
    clip: float = 5.0
    sample_rate: float = 0.05
    sgd_steps: int = 100
    sgd_share: float = 0.8
    strength: float = 0.0
    records_at_least: int = 0
    useful_at_least: int = 0
    models: tuple[str, ...] = ()
    expires: datetime.date | None = None
    trainers: tuple[TrainerLimits, ...] = ()
    approval: bool = False
    max_requests: int | None = None
    max_per_request: int = 10_000
    max_epochs: int = 100
    max_model: int = 100_000_000
    describe: str = "nothing"
    describe_epsilon: float | None = None

    def __post_init__(self) -> None:
        problems, known = Problems(), answer_names()
        with problems.noted():
            if not set(self.modes) <= set(known):
                raise InputError(f"policy.modes is {list(self.modes)}; choose from {list(known)}")
        for name, least in _LEAST.items():
            with problems.noted():
                check_at_least(self, name, least)
        for name in _POSITIVE:
            with problems.noted():
                check_positive(self, name)
        for name in ("sample_rate", "sgd_share"):
            with problems.noted():
                _below_one(self, name)
        for name in ("noise_multiplier", "strength"):
            with problems.noted():
                if getattr(self, name) != 0:  # left to the budget
                    check_positive(self, name)
        problems.check()
        # What these compare was found right by itself.
        for check in (self._check_budgets, self._check_described):
            with problems.noted():
                check()
        problems.check()

    def _check_budgets(self) -> None:
        """Raise `InputError` where a mode that is allowed has nothing to be paid from."""
        modes = [MODES[name] for name in self.modes]
        if self.epsilon is None and (any(each.noised for each in modes) or self.useful_at_least):
            raise InputError(
                "policy.epsilon is missing; what is noised is paid from it, such as 1.0"
            )
        if self.epsilon is not None:
            Filter.of(self.epsilon, self.delta)
        drawn = [each.name for each in modes if each.drawn]
        if drawn and not (self.epsilon_minus and self.records_at_least):
            raise InputError(
                f"policy.modes has '{drawn[0]}', which needs policy.epsilon-minus, such as 0.05, and "
                "policy.records-at-least, how many records the data surely holds; both are public"
            )

    @classmethod
    def from_table(cls, table: Mapping[str, Any], trainers: Sequence[TrainerLimits] = ()) -> Policy:
        """Read a policy from a `[policy]` table's keys. `InputError` on an unknown key or a wrong type."""
        fields = {each.name.replace("_", "-"): each for each in dataclasses.fields(cls)}
        kinds = {key: _KINDS[each.name] for key, each in fields.items() if each.name in _KINDS}
        values: dict[str, Any] = {"trainers": tuple(trainers)}
        problems = Problems()
        for key, value in table.items():
            with problems.noted():
                if key not in kinds:
                    near = suggestion(key, list(kinds), "policy.")
                    raise InputError(f"unknown key 'policy.{key}'{near}")
                values[fields[key].name] = _converted(key, value, kinds[key])
        made = cls()
        with problems.noted():  # of what could be read
            made = cls(**values)
        problems.check()
        return made

    def as_table(self) -> dict[str, Any]:
        """Give the `[policy]` table that gives this policy, but for its trainers."""
        return {
            each.name.replace("_", "-"): list(value) if isinstance(value, tuple) else value
            for each in dataclasses.fields(self)
            if each.name in _KINDS and (value := getattr(self, each.name)) is not None
        }

    def check(self, request: Request, peer: str = "", today: datetime.date | None = None) -> None:
        """Refuse what is not allowed, by the request's parameters alone and never by the data."""
        # Here, since it loads torch: the vault's server and commands read policies without.
        from mycroft_fl.encoders.word_counts import is_known
        from mycroft_fl.selection.methods import METHODS

        self._check_asker(peer, today)
        if request.mode not in self.modes:
            raise Refused(f"mode '{request.mode}' is not allowed; allowed: {list(self.modes)}")
        if request.method not in METHODS and request.method not in self.own_methods:
            raise Refused(f"method '{request.method}' is not one that this owner trusts")
        self._check_model(request)
        for name in (request.feature_space, request.model):
            encoder = encoder_within(name)
            if encoder is None or is_known(encoder):
                continue
            if encoder not in self.encoders:
                raise Refused(f"encoder '{encoder}' is not one that this owner opens")
        if self.models and request.model not in self.models:
            raise Refused(f"model '{request.model}' is not one of {list(self.models)}")
        if request.k > self.max_per_request:
            raise Refused(f"{request.k} examples at once; at most {self.max_per_request}")
        if request.owner_epochs > self.max_epochs:
            raise Refused(
                f"{request.owner_epochs} epochs of an own model; at most {self.max_epochs}"
            )

    def check_look(self, peer: str = "", today: datetime.date | None = None) -> None:
        """Refuse to describe the data where that is not allowed, or not to this trainer."""
        self._check_asker(peer, today)
        if self.describe == NOTHING:
            raise Refused("nothing is described before it is asked for")

    @property
    def shows_counts(self) -> bool:
        """Whether a description has noised counts."""
        return self.describe == COUNTS.name

    def _check_asker(self, peer: str, today: datetime.date | None) -> None:
        if self.expires is not None and (today or datetime.date.today()) > self.expires:
            raise Refused(f"this policy ended on {self.expires}")
        if self.trainers and peer not in [each.peer for each in self.trainers]:
            raise Refused(f"trainer '{peer}' is not one that this owner answers")

    def _check_described(self) -> None:
        """Raise `InputError` where it is not clear what is described, or what pays for it."""
        if self.describe not in LEVELS:
            near = suggestion(self.describe, list(LEVELS))
            raise InputError(f"policy.describe is '{self.describe}'{near}")
        if not self.shows_counts:
            return
        if self.describe_epsilon is None or self.epsilon is None:
            raise InputError(
                'policy.describe = "counts" needs policy.describe-epsilon, such as 0.1, and '
                "policy.epsilon, such as 1.0, from which the counts are paid"
            )
        if self._counts_are_all_noise():
            raise InputError(
                f"policy.describe-epsilon is {self.describe_epsilon:g}, by which counts would be all noise; "
                "raise it, such as to 0.1"
            )
        needed = LEAST_RHO if any(MODES[name].noised for name in self.modes) else 0.0
        if self._rho_beside_counts() < needed:
            raise InputError(
                f"policy.describe-epsilon is {self.describe_epsilon:g}, for each of "
                f"{max(1, len(self.trainers))} trainers, which leaves nothing of policy.epsilon "
                f"{self.epsilon:g} to other answers; lower the first, or raise the second"
            )

    def _counts_are_all_noise(self) -> bool:
        """Say whether counts would have more noise than is drawn exactly, or than any release pays for."""
        try:
            return self.counts_multiplier() > MOST_NOISE
        except InputError:
            return True

    def _check_model(self, request: Request) -> None:
        """Refuse a model that is anybody's code, before it is imported, unless this owner trusts it."""
        if not is_own(request.model):
            return
        from clients.answering.bounds import needs_model

        try:
            paths = (
                [request.model]
                if request.model in self.own_models
                else own_name(request.model).paths
            )
        except InputError as error:
            raise Refused("the model's name is no import path") from error
        strange = [path for path in paths if path not in self.own_models]
        if strange and needs_model(request):
            raise Refused(f"model '{strange[0]}' is not one that this owner trusts")

    def limits(self, peer: str) -> Limits:
        """Give the budgets over all trainers and for `peer`."""
        overall = Budget.of(
            self.max_records, self.epsilon, self.delta, self.epsilon_minus,
            requests=self.max_requests,
        )  # fmt: skip
        own = next((each for each in self.trainers if each.peer == peer), None)
        if own is None:
            return Limits(overall)
        return Limits(
            overall,
            Budget.of(
                own.max_records,
                self.epsilon if own.epsilon is None else own.epsilon,
                self.delta,
                self.epsilon_minus if own.epsilon_minus is None else own.epsilon_minus,
                requests=own.max_requests,
            ),
        )

    def price(self, mode: str) -> Spend:
        """Say what an answer in a noised mode costs: public, so it is paid before any record is read."""
        spend: Spend = resolved(MODES[mode].price)(self)
        return spend

    def multiplier(self) -> float:
        """Work out the noise multiplier of a noised sum: as set, or what epsilon pays for `answers` times."""
        if self.noise_multiplier:
            return self.noise_multiplier
        if self.epsilon is None:
            raise Refused("there is no epsilon to pay a noised answer from")
        return multiplier_for(self._rho_beside_counts() / self.answers)

    def counts_multiplier(self) -> float:
        """Work out the noise multiplier of the counts by class: what `describe_epsilon` pays for once."""
        if self.describe_epsilon is None:
            raise Refused("there is no epsilon to pay counts from")
        return multiplier_for(Filter.of(self.describe_epsilon, self.delta).rho)

    def counts_price(self) -> Spend:
        """Say what one trainer's counts by class cost."""
        return Spend(rho=price(self.counts_multiplier()))

    def _rho_beside_counts(self) -> float:
        """Work out the rho of epsilon's budget that noised sums may use, each trainer's counts set aside."""
        assert self.epsilon is not None
        share = 1 - self.sgd_share if any(MODES[name].trains for name in self.modes) else 1.0
        whole = share * Filter.of(self.epsilon, self.delta).rho
        if not self.shows_counts:
            return whole
        return whole - max(1, len(self.trainers)) * self.counts_price().rho

    def sgd_run(self) -> SgdRun:
        """Plan a run of DP-SGD with the noise that its share of epsilon's budget pays for."""
        if self.epsilon is None:
            raise Refused("there is no epsilon to pay a run of DP-SGD from")
        budget = Filter.of(self.epsilon, self.delta)
        limit = self.sgd_share * budget.limit
        return sgd_run_within(limit, budget.order, self.sample_rate, self.sgd_steps)


def price_of_sum(policy: Policy) -> Spend:
    """Price a noised sum."""
    return Spend(rho=price(policy.multiplier()))


def price_of_sgd(policy: Policy) -> Spend:
    """Price a run of DP-SGD."""
    return Spend(sgd=policy.sgd_run())


_KINDS: dict[str, type] = {
    "modes": list,
    "max_records": int,
    "max_requests": int,
    "max_per_request": int,
    "max_epochs": int,
    "max_model": int,
    "encoders": list,
    "own_methods": list,
    "own_models": list,
    "epsilon": float,
    "delta": float,
    "epsilon_minus": float,
    "noise_multiplier": float,
    "answers": int,
    "clip": float,
    "sample_rate": float,
    "sgd_steps": int,
    "sgd_share": float,
    "strength": float,
    "records_at_least": int,
    "useful_at_least": int,
    "models": list,
    "expires": datetime.date,
    "approval": bool,
    "describe": str,
    "describe_epsilon": float,
}


_LEAST = {
    "max_records": 0, "max_requests": 0, "max_per_request": 1, "max_epochs": 1, "max_model": 1,
    "records_at_least": 0, "useful_at_least": 0, "answers": 1, "sgd_steps": 1,
}  # fmt: skip
"""The least value of each whole number."""
_POSITIVE = ("epsilon", "epsilon_minus", "clip", "sample_rate", "sgd_share", "describe_epsilon")

WANTED = {
    int: "a whole number such as 100",
    float: "a number such as 1.0",
    bool: "true or false",
    str: "a word such as schema",
    datetime.date: "a day such as 2027-06-30",
}


def _wanted(kind: type, value: Any) -> str:
    if kind is list:
        return f"a list such as {[value] if isinstance(value, str) else ['raw']}"
    return WANTED[kind]


def _converted(key: str, value: Any, kind: type) -> Any:
    if kind is float and type(value) is int:
        value = float(value)
    if kind is datetime.date and isinstance(value, str):
        try:
            value = datetime.date.fromisoformat(value)
        except ValueError as error:
            raise InputError(
                f"policy.{key} is {value!r}; give a day, such as 2027-06-30"
            ) from error
    if type(value) is not kind or (
        isinstance(value, list) and not all(isinstance(each, str) for each in value)
    ):
        raise InputError(f"policy.{key} is {value_in_words(value)}; give {_wanted(kind, value)}")
    return tuple(map(str, value)) if isinstance(value, list) else value


def _below_one(policy: Policy, name: str) -> None:
    value = getattr(policy, name)
    if not value < 1:
        raise InputError(f"policy.{name.replace('_', '-')} is {value}; it must be below 1")
