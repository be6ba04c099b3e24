"""The demands that a run's settings, its model and its target make on one another."""

from __future__ import annotations

from mycroft_fl.errors import Problems, SettingError, suggestion
from mycroft_fl.models.networks import NETWORKS, is_network
from mycroft_fl.modes import MODES
from mycroft_fl.protocol.messages import NoisedTarget
from mycroft_fl.selection.methods import METHODS, method_named, sent_in
from mycroft_fl.settings.run_config import RunConfig
from strategies.rounds.plans import plans_of
from strategies.training.trainer import Trainer


def check_requirements(trainer: Trainer, target: NoisedTarget | None) -> None:
    """Check that this trainer can ask as its settings say, with such a target. Else `SettingError`."""
    config = trainer.config
    if (sent_in(config) == "target") == (target is None):
        raise SettingError(
            f"request is '{config.request}'; give the strategy a target where it is 'target' "
            "and else none, see Publisher.publish_target"
        )
    if sent_in(config) == "detector":
        _ = trainer.detector  # learnt now, or an error that ends the run before anybody is asked
    check_run(trainer.task.model, config)


def check_run(model: str, config: RunConfig) -> None:
    """Check what can be checked before anything is fitted. `SettingError`, a line for each problem."""
    problems, method = Problems(), method_named(config.method)
    with problems.noted():
        if method.looks_through == "trainer-model" and config.gradients_from == "owner":
            raise SettingError(
                f"method '{config.method}' looks through the trainer's model, which stays home "
                'with gradients-from = "owner"; set gradients-from = "trainer", or use omp or features'
            )
    with problems.noted():
        check_gradient_model(model, config, method.looks_through)
    with problems.noted():
        if any(plan.steps_last_layer for plan in plans_of(config.mode)) and not is_network(model):
            raise SettingError(
                f"mode '{config.mode}' steps the last layer of a network, and model "
                f"'{model}' has none; use mode 'score-then-raw', or a network"
            )
    with problems.noted():
        check_publishing(config)
    problems.check()


def check_gradient_model(model: str, config: RunConfig, looks_through: str) -> None:
    """Check that there is a network where the method must look through one. Else `SettingError`."""
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


def check_publishing(config: RunConfig) -> None:
    """Check that what is to be published can be. Else `SettingError`."""
    _check_sent(config)
    if config.publish_epsilon and not all(plan.hands_over for plan in plans_of(config.mode)):
        raise SettingError(
            f"publish-epsilon is for scores by fine-tuning; those of mode '{config.mode}' carry the "
            "owners' noise already, so set it to 0 and publish them as they are"
        )
    if config.publish_model_epsilon and not any(plan.hands_over for plan in plans_of(config.mode)):
        raise SettingError(
            f"publish-model-epsilon is for acquired examples, and mode '{config.mode}' acquires none; "
            "set it to 0"
        )


def _check_sent(config: RunConfig) -> None:
    """Check that the method goes by what is sent, and that it can be made."""
    sends, takes = sent_in(config), method_named(config.method).takes
    chooses = any(MODES[plan.answer].by_method for plan in plans_of(config.mode))
    if chooses and sends not in takes:
        able = sorted(name for name, method in METHODS.items() if sends in method.takes)
        raise SettingError(
            f"method '{config.method}' does not go by request = \"{sends}\"; choose a method from "
            f'{able}, or set request = "{takes[0]}"'
        )
    if sends == "target":
        _check_target(config)
    if sends == "detector" and config.gradients_from != "trainer":
        raise SettingError(
            'request = "detector" looks through the trainer\'s model, which stays home with '
            'gradients-from = "owner"; set gradients-from = "trainer", or request = "hard-set" and method '
            '= "omp" or "features"'
        )


def _check_target(config: RunConfig) -> None:
    if config.gradients_from != "trainer" or config.gradient_layers != "last":
        raise SettingError(
            'request = "target" sends a gradient of the last layer of the trainer\'s model; set '
            'gradients-from = "trainer" and gradient-layers = "last"'
        )
