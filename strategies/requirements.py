"""What a run's settings, its model and its target require of one another."""

from __future__ import annotations

from mycroft_fl.errors import SettingError
from mycroft_fl.exchange import NoisedTarget
from mycroft_fl.models.catalogue import check_eyes
from mycroft_fl.models.networks import Classifier
from mycroft_fl.selection import method_named
from strategies.plans import PLANS
from strategies.trainer import Trainer


def check_requirements(trainer: Trainer, target: NoisedTarget | None) -> None:
    """`SettingError` where this trainer cannot ask as its settings say, with such a target or none."""
    config, method = trainer.config, method_named(trainer.config.method)
    if method.looks_through == "trainer-model" and config.gradients_from == "owner":
        raise SettingError(
            f"method '{config.method}' looks through the trainer's model, which stays home "
            'with gradients-from = "owner"; set gradients-from = "trainer", or use omp or features'
        )
    if (config.request == "target") == (target is None):
        raise SettingError(
            f"request is '{config.request}'; give the strategy a target where it is 'target' "
            "and else none, see Publisher.publish_target"
        )
    check_eyes(trainer.task.model, config, method.looks_through)
    steps = any(plan.steps_last_layer for plan in PLANS[config.mode])
    if steps and not isinstance(trainer.baseline, Classifier):
        raise SettingError(
            f"mode '{config.mode}' steps the last layer of a network, and model "
            f"'{trainer.task.model}' has none; use mode 'score-then-raw', or a network"
        )
