"""All models by name, networks and estimators, and what a method needs of one."""

from __future__ import annotations

from mycroft_fl.config import RunConfig
from mycroft_fl.errors import SettingError, suggestion
from mycroft_fl.models.estimators import ESTIMATORS, build_estimator, is_estimator
from mycroft_fl.models.fitting import AnyModel
from mycroft_fl.models.networks import NETWORKS, InputShape, build, is_network


def build_model(name: str, shape: InputShape, num_classes: int, *, seed: int) -> AnyModel:
    """The model called `name`: a network with weights drawn from `seed`, or an unfitted classifier."""
    if is_network(name):
        return build(name, shape, num_classes, seed=seed)
    if is_estimator(name):
        return build_estimator(name, num_classes)
    known = [*NETWORKS, *ESTIMATORS]
    raise SettingError(
        f"unknown model '{name}'{suggestion(name, known)} (or linear:ENCODER, or "
        "package.module:Class of a scikit-learn classifier)"
    )


def check_eyes(model: str, config: RunConfig, looks_through: str) -> None:
    """`SettingError` where the method must look through a network and there is none."""
    if config.proxy and not is_network(config.proxy):
        raise SettingError(
            f"proxy is '{config.proxy}', not a network{suggestion(config.proxy, list(NETWORKS))}"
        )
    needs_one = looks_through != "nothing" or config.feature_space == "model"
    if needs_one and not is_network(model) and not config.proxy:
        what = (
            f"method '{config.method}'" if looks_through != "nothing" else "feature-space 'model'"
        )
        raise SettingError(
            f"{what} looks through a network, but model '{model}' has no gradients or hidden "
            'layer; use method = "features" (with feature-space = "binning" or "standardised" on '
            'a table), or set proxy = "mlp", a network fitted to the same examples to look through'
        )
