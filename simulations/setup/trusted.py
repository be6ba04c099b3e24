"""The policy of owners on one machine with the trainer: what the run needs, where nobody says otherwise."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

from clients.answering.policy import Policy
from mycroft_fl.modes import MODES
from mycroft_fl.selection.methods import METHODS
from mycroft_fl.settings.own_names import is_own, own_name
from mycroft_fl.settings.run_config import MAX_EXAMPLES, RunConfig
from mycroft_fl.settings.space_names import encoder_within
from strategies.rounds.plans import answer_modes

MOST_EPOCHS = 1000


def policy_for(
    given: Mapping[str, Any], config: RunConfig, model: str, records: Callable[[], int]
) -> Policy:
    """Return an owner's policy as given, with what a run needs filled in. `InputError` for a wrong key.

    Where it names no modes, those of the run. Budgets are divided among the answers of the run where
    noise, or the strength of a draw, is left to them.

    Args:
        given: keys of a policy and their values.
        config: the run's settings.
        model: the run's model.
        records: counts the records that a draw may take.
    """
    modes = answer_modes(config.mode)
    table = {
        "modes": modes,
        "max-per-request": MAX_EXAMPLES,
        "max-epochs": MOST_EPOCHS,
        "answers": config.num_rounds if any(MODES[each].each_round for each in modes) else 1,
        **given,
    }
    if any(MODES[each].drawn for each in table["modes"] if each in MODES):
        table.setdefault("records-at-least", records())
    return _trusting(Policy.from_table(table), config, model)


def _trusting(policy: Policy, config: RunConfig, model: str) -> Policy:
    """Return a policy that allows a run's own method, models and encoders too, and no others.

    Args:
        policy: what is allowed besides.
        config: the run's settings.
        model: the run's model.
    """
    methods = () if config.method in METHODS else (config.method,)
    models = tuple(
        path for name in (model, config.proxy) if is_own(name) for path in own_name(name).paths
    )
    spaces = (config.feature_space, config.proxy, model)
    encoders = tuple(filter(None, (encoder_within(name) for name in spaces)))
    return replace(
        policy,
        own_methods=policy.own_methods + methods,
        own_models=policy.own_models + models,
        encoders=policy.encoders + encoders,
    )
