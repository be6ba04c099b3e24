"""A run's settings: typed, documented and checked once, where they enter."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from mycroft_fl.errors import SettingError
from mycroft_fl.metrics.names import check_metric
from mycroft_fl.modes import MODES
from mycroft_fl.settings.declared import Settings, SettingValue, setting
from mycroft_fl.settings.selection import SelectionSettings
from mycroft_fl.settings.space_names import PLAIN_SPACES, check_space
from mycroft_fl.settings.training import TrainingSettings

AUTO = "auto"
"""The method's name where nobody chose one; a `RunConfig` names the one that it takes."""
MAX_EXAMPLES = 10_000_000  # asked of one owner, or in all
MAX_HARD = 4096
MAX_THREADS = 64


@dataclass(frozen=True)
class AskingSettings(Settings, SelectionSettings):
    """The settings of a run's questions: the hard set, the budget, what is published."""

    method: str = setting(
        "method",
        AUTO,
        "how an owner chooses: a method's name, or package.module:function; auto: detector-cover where "
        "owners hand over what they choose, else hard-features",
    )
    mode: str = setting(
        "mode",
        "raw",
        "what owners answer with: examples, examples drawn at random, a noised score, a score first "
        "and then examples of the best, noised gradients of the best, or last layers that the best "
        "trained with noise",
        choices=MODES,
    )
    score_by: str = setting(
        "score.by",
        "hard-set",
        "what a noised score says of an owner: how like the whole hard set its records are, or, in a "
        "number for each class, how like the hard examples of their own class",
        choices=("hard-set", "class"),
    )
    gradient_weight: float = setting(
        "gradient.weight",
        60.0,
        "factor of owners' mean noised gradient beside the trainer's own, of which clipping leaves about a "
        "fortieth, where mode = gradient",
        above=0,
    )
    gradient_learning_rate: float = setting(
        "gradient.learning-rate",
        2.0,
        "length of each step along the trainer's own gradient, 1 for the inverse of the largest mean square "
        "of its inputs, where mode = gradient",
        above=0,
    )
    gradient_momentum: float = setting(
        "gradient.momentum",
        0.9,
        "how much of a step the next one repeats, where mode = gradient",
        least=0,
        most=0.99,
    )
    dp_sgd_learning_rate: float = setting(
        "dp-sgd.learning-rate",
        0.02,
        "length of each step of DP-SGD along the mean gradient of useful records, where mode = dp-sgd",
        above=0,
    )
    publish_epsilon: float = setting(
        "publish-epsilon",
        0.0,
        "epsilon of the scores that the trainer publishes, all rounds together; 0: publishes none",
        least=0,
    )
    publish_unit: str = setting(
        "publish-unit",
        "scoring-record",
        "whose presence published scores hide: a record of the scoring split, or of an owner's subset",
        choices=("scoring-record", "owner-record"),
    )
    publish_clip: float = setting(
        "publish-clip",
        0.1,
        "how far from 0 a published score may be, where publish-unit = owner-record",
        above=0,
        most=1,
    )
    publish_model_epsilon: float = setting(
        "publish-model-epsilon",
        0.0,
        "epsilon of a model for its users, per acquired example; 0: publishes none",
        least=0,
    )
    publish_delta: float = setting(
        "publish-delta", 1e-5, "delta of what the trainer publishes", above=0, most=0.1
    )
    look: bool = setting(
        "look",
        False,
        "owners are asked before round 1 what they show of their data, as each one's policy allows; "
        "described.json holds it",
    )
    seed: int = setting(
        "seed", 0, "draws everything that is random in a run", least=0, most=2**63 - 1
    )
    budget: int = setting(
        "budget", 200, "examples disclosed in all, pilots included", least=1, most=MAX_EXAMPLES
    )
    pilot_per_owner: int = setting(
        "pilot-per-owner",
        15,
        "examples asked of each owner in the first round",
        least=1,
        most=MAX_EXAMPLES,
    )
    num_rounds: int = setting("num-rounds", 3, "rounds of asking, at most", least=1)
    allocation: str = setting(
        "allocation",
        "score",
        "who is asked for how many after the first round: more from owners whose score earns it, "
        "or the same from all",
        choices=("score", "equal"),
    )
    stop_early: bool = setting(
        "stop-early",
        True,
        "buy no more once neither an owner by itself nor all together gain anything beyond doubt",
    )
    min_owners: int = setting("min-owners", 1, "fewer answers than this end the run", least=1)
    timeout: float = setting("timeout", 600.0, "seconds an owner has to answer", above=0)
    request: str = setting(
        "request",
        "auto",
        "what owners are sent: hard examples, a mean gradient of them with noise, or a detector of "
        "failures learnt from all of them; auto: what the method goes by, hard examples where it can",
        choices=("auto", "hard-set", "target", "detector"),
    )
    target_epsilon: float = setting(
        "target.epsilon",
        1.0,
        "epsilon of the noised target, per hard example, for the whole run, where request = target",
        above=0,
    )
    target_delta: float = setting(
        "target.delta",
        1e-5,
        "delta of the noised target, where request = target",
        above=0,
        most=0.1,
    )
    target_clip: float = setting(
        "target.clip",
        1.0,
        "length that each hard example's gradient is clipped to, where request = target",
        above=0,
        most=1000,
    )
    hard_set_rule: str = setting(
        "hard-set.rule",
        "misclassified",
        "what is hard: what the model gets wrong, or what it loses most on",
        choices=("misclassified", "highest-loss"),
    )
    hard_set_sent: int = setting(
        "hard-set.sent", 16, "hard examples sent to owners", least=1, most=MAX_HARD
    )
    hard_set_classes: str = setting(
        "hard-set.classes", "", "only these classes may be hard: names, comma-separated; empty: all"
    )
    train_on_hard_set: bool = setting(
        "train-on-hard-set", True, "the trainer also trains on the hard examples it sends"
    )
    train_on_validation: bool = setting(
        "train-on-validation",
        True,
        "the final model also trains on all validation examples but tuning's: failures beside what was "
        "acquired, the rest with the own data; where train-on-hard-set is true",
    )
    harm_at_most: float = setting(
        "harm-at-most",
        100.0,
        "points that the final model may lose, on tuning, of what the baseline gets right; where a model "
        "loses more, one on the way to it, the free model or the baseline takes its place",
        least=0,
        most=100,
    )
    hard_set_weight: float = setting(
        "hard-set.weight",
        0.1,
        "share of each batch that the sent hard examples get in rounds and scores, where trained on",
        above=0,
        most=0.5,
    )
    gradients_from: str = setting(
        "gradients-from",
        "trainer",
        "whose model gives the gradients: the trainer's, sent along, or an early one of the owner's",
        choices=("trainer", "owner"),
    )
    proxy: str = setting(
        "proxy",
        "",
        "a network that gives gradients where the model has none, as a random forest: linear or mlp",
    )


# Bases from last to first: a dataclass lists the fields of its last base first.
@dataclass(frozen=True)
class RunConfig(TrainingSettings, AskingSettings):
    """The settings of one run: what is asked of owners, how the trainer trains, and where it runs."""

    device: str = setting(
        "device",
        "auto",
        "where owners compute gradients and match them; auto: on a CUDA card where there is one",
        choices=("auto", "cpu", "cuda"),
    )
    threads: int = setting(
        "threads",
        1,
        "threads of each process; equal counts, equal results",
        least=1,
        most=MAX_THREADS,
    )

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.method == AUTO:
            # Known from here on: requests, ledgers and results name the method that chose.
            object.__setattr__(self, "method", self._usual_method())
        check_space(self.feature_space)
        check_metric(self.metric)
        if self.split_selection + self.split_scoring > 0.95:
            raise SettingError(
                f"split.selection {self.split_selection} and split.scoring {self.split_scoring} leave "
                "less than 5 % of validation for tuning; lower one of them"
            )

        if self.score_by == "class" and self.request in ("target", "detector"):
            raise SettingError(
                f'score.by = "class" needs hard examples, and request = "{self.request}" sends none; '
                'set score.by = "hard-set", or request = "hard-set"'
            )
        if self.train_on_hard_set and self.subset_weight + self.hard_set_weight > 0.95:
            raise SettingError(
                f"subset-weight {self.subset_weight} and hard-set.weight {self.hard_set_weight} leave less "
                "than 5 % of each batch to the trainer's own data; lower one of them"
            )

    def _usual_method(self) -> str:
        """Return the method that did best on the worlds of docs/benchmarks.md, where it can be asked for.

        A detector looks at inputs or the model's own features, so an encoder that somebody names is for
        features. Modes that send noise alone have no picks to cover a region with. It is learnt from what
        the model gets wrong, whatever else is called hard, and looks through the trainer's model.
        """
        hands_over = self.mode in ("raw", "score-then-raw")
        by_failures = self.hard_set_rule == "misclassified" and self.gradients_from == "trainer"
        asked = self.request == "detector" or (self.request == "auto" and by_failures)
        may_send = asked and self.score_by == "hard-set"
        plain = self.feature_space in PLAIN_SPACES
        return "detector-cover" if hands_over and may_send and plain else "hard-features"


def setting_rows() -> list[tuple[str, SettingValue, str]]:
    """Give key, default and meaning of every setting, in order."""
    return RunConfig.rows()


def check_setting(key: str, value: Any) -> None:
    """Raise `SettingError` where no run could have this value, whatever its other settings are."""
    RunConfig.check_one(key, value)
