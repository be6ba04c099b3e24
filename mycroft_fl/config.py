"""A run's settings: typed, documented and checked once, where they enter."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from mycroft_fl.errors import SettingError, suggestion
from mycroft_fl.represent.names import check_space
from mycroft_fl.setting import SettingValue, check, converted, setting

MAX_EXAMPLES = 10_000_000  # asked of one owner, or in all
MAX_HARD = 4096
MAX_THREADS = 64
MAX_FEATURE_WEIGHT = 1e6


@dataclass(frozen=True)
class RunConfig:
    """The settings of one run. Each field's key is what files and the command line call it."""

    method: str = setting(
        "method",
        "hard-features",
        "how an owner chooses: a method's name, or package.module:function",
    )
    mode: str = setting(
        "mode",
        "raw",
        "what owners answer with: examples, examples drawn at random, a noised score, a score first "
        "and then examples of the best, noised gradients of the best, or last layers that the best "
        "trained with noise",
        choices=("raw", "raw-gumbel", "score", "score-then-raw", "gradient", "dp-sgd"),
    )
    score_by: str = setting(
        "score.by",
        "hard-set",
        "what a noised score says of an owner: how like the whole hard set its records are, or, in a "
        "number for each class, how like the hard examples of their own class",
        choices=("hard-set", "class"),
    )
    gradient_share: float = setting(
        "gradient.share",
        0.25,
        "share of each step that owners' noised gradients get, where mode = gradient",
        above=0,
        most=1,
    )
    gradient_learning_rate: float = setting(
        "gradient.learning-rate",
        0.15,
        "length of each step along noised gradients, where mode = gradient",
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
        "stop-early", True, "buy no more once no owner's lower bound is above zero"
    )
    min_owners: int = setting("min-owners", 1, "fewer answers than this end the run", least=1)
    timeout: float = setting("timeout", 600.0, "seconds an owner has to answer", above=0)
    request: str = setting(
        "request",
        "hard-set",
        "what owners are sent: hard examples, or in their place a mean gradient of them with noise",
        choices=("hard-set", "target"),
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
    hard_set_weight: float = setting(
        "hard-set.weight",
        0.1,
        "share of each batch that the sent hard examples get, where trained on",
        above=0,
        most=0.5,
    )
    gradients_from: str = setting(
        "gradients-from",
        "trainer",
        "whose model gives the gradients: the trainer's, sent along, or an early one of the owner's",
        choices=("trainer", "owner"),
    )
    owner_epochs: int = setting(
        "owner-epochs",
        1,
        "epochs an owner fits its own model, where gradients-from = owner",
        least=1,
    )
    feature_space: str = setting(
        "feature-space",
        "pixels",
        "where features are compared: pixels (the input itself), model (its last hidden layer), "
        "standardised or binning (tables), or an encoder, library:architecture:weights",
    )
    proxy: str = setting(
        "proxy",
        "",
        "a network that gives gradients where the model has none, as a random forest: linear or mlp",
    )
    gradient_layers: str = setting(
        "gradient-layers",
        "last",
        "whose gradients are matched: those of the model's last layer, or of all its layers",
        choices=("last", "all"),
    )
    feature_weight: float = setting(
        "feature-weight",
        1.0,
        "what features weigh beside gradients, in funcfeat and omp-coverage; "
        "0: chosen by rehearsal on the trainer's validation data",
        least=0,
        most=MAX_FEATURE_WEIGHT,
    )
    split_selection: float = setting(
        "split.selection", 0.4, "share of validation that gives the hard set", above=0, most=0.9
    )
    split_scoring: float = setting(
        "split.scoring",
        0.4,
        "share of validation that scores owners; the rest tunes",
        above=0,
        most=0.9,
    )
    fit_epochs: int = setting("fit.epochs", 30, "epochs of the first fit, at most", least=1)
    fit_batch_size: int = setting("fit.batch-size", 32, "examples a step of the first fit", least=1)
    fit_learning_rate: float = setting(
        "fit.learning-rate", 1e-3, "Adam's learning rate in the first fit", above=0
    )
    fine_tune_steps: int = setting("fine-tune.steps", 150, "steps of every fine-tune", least=1)
    fine_tune_batch_size: int = setting(
        "fine-tune.batch-size", 64, "examples a step of every fine-tune", least=2
    )
    fine_tune_learning_rate: float = setting(
        "fine-tune.learning-rate", 3e-3, "Adam's learning rate in every fine-tune", above=0
    )
    fine_tune_from: str = setting(
        "fine-tune.from",
        "baseline",
        "the weights every fine-tune starts from: the baseline's, or fresh ones, which is a retraining "
        "and takes more steps",
        choices=("baseline", "scratch"),
    )
    subset_weight: float = setting(
        "subset-weight",
        0.25,
        "share of each batch that owners' examples get; 0: chosen on the tuning split",
        least=0,
        most=0.9,
    )
    scoring_repeats: int = setting(
        "scoring.repeats", 3, "fine-tunes, each with its own seed, behind a score", least=1
    )
    scoring_confidence: float = setting(
        "scoring.confidence", 0.95, "level of a score's interval", above=0, most=0.999
    )
    scoring_at_most: int = setting(
        "scoring.at-most",
        24,
        "owners scored by fine-tuning; of more, the best by a cheap score",
        least=1,
    )
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
        for each in dataclasses.fields(self):
            check(each, getattr(self, each.name))
        check_space(self.feature_space)
        if self.split_selection + self.split_scoring > 0.95:
            raise SettingError(
                f"split.selection {self.split_selection} and split.scoring {self.split_scoring} leave "
                "less than 5 % of validation for tuning; lower one of them"
            )

        if self.score_by == "class" and self.request == "target":
            raise SettingError(
                'score.by = "class" needs hard examples, and request = "target" sends none; set '
                'score.by = "hard-set", or request = "hard-set"'
            )
        if self.train_on_hard_set and self.subset_weight + self.hard_set_weight > 0.95:
            raise SettingError(
                f"subset-weight {self.subset_weight} and hard-set.weight {self.hard_set_weight} leave less "
                "than 5 % of each batch to the trainer's own data; lower one of them"
            )

    @classmethod
    def from_settings(cls, *layers: Mapping[str, Any]) -> RunConfig:
        """A config from `{key: value}` layers, the later over the earlier, over the defaults."""
        by_key = {each.metadata["key"]: each for each in dataclasses.fields(cls)}
        values: dict[str, Any] = {}
        for layer in layers:
            for key, value in layer.items():
                if key not in by_key:
                    raise SettingError(f"unknown setting '{key}'{suggestion(key, list(by_key))}")
                values[by_key[key].name] = converted(by_key[key], value)
        return cls(**values)

    def settings(self) -> dict[str, SettingValue]:
        """The settings as `{key: value}`, ready for a TOML or JSON file."""
        return {each.metadata["key"]: getattr(self, each.name) for each in dataclasses.fields(self)}


def setting_rows() -> list[tuple[str, SettingValue, str]]:
    """Key, default and meaning of every setting, in order."""
    rows = []
    for each in dataclasses.fields(RunConfig):
        choices = each.metadata["choices"]
        meaning = each.metadata["meaning"] + (f" ({' | '.join(choices)})" if choices else "")
        rows.append((each.metadata["key"], each.default, meaning))
    return rows  # type: ignore[return-value]


def check_setting(key: str, value: Any) -> None:
    """`SettingError` where no run could have this value, whatever its other settings are."""
    each = next(each for each in dataclasses.fields(RunConfig) if each.metadata["key"] == key)
    check(each, converted(each, value))
