"""The code that owners trust where they and the trainer are one person: what the run itself names."""

from __future__ import annotations

from dataclasses import replace

from clients.answering.policy import Policy
from mycroft_fl.selection.methods import METHODS
from mycroft_fl.settings.own_names import is_own, own_name
from mycroft_fl.settings.run_config import RunConfig
from mycroft_fl.settings.space_names import encoder_within


def trusting(policy: Policy, config: RunConfig, model: str) -> Policy:
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
