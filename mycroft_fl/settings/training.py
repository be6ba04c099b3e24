"""The settings of training: how the trainer splits its validation data, fits, fine-tunes and scores."""

from __future__ import annotations

from dataclasses import dataclass

from mycroft_fl.settings.declared import Settings, setting


@dataclass(frozen=True)
class TrainingSettings(Settings):
    """Settings that no owner needs to know of."""

    metric: str = setting(
        "metric",
        "auto",
        "what a good model is judged by, in choices on the tuning split, scores of owners and results: "
        "accuracy, balanced-accuracy, recall:CLASS, f1, auc, worst-group or cost:FILE; auto: balanced "
        "accuracy where the validation examples' classes are clearly unequal, else accuracy",
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
        "share of each batch that owners' examples get, in rounds and scores; 0: chosen on the tuning split",
        least=0,
        most=0.9,
    )
    scoring_repeats: int = setting(
        "scoring.repeats",
        3,
        "fine-tunes behind a score, each with its own seed; rounded up to fours, one a fold, where all "
        "of validation judges",
        least=1,
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
