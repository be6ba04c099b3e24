"""The names of metrics, as the setting `metric` gives them."""

from __future__ import annotations

from pathlib import Path

from mycroft_fl.errors import SettingError, suggestion

AUTO, ACCURACY, BALANCED, F1, AUC = "auto", "accuracy", "balanced-accuracy", "f1", "auc"
WORST_GROUP, RECALL, COST = "worst-group", "recall", "cost"
PLAIN = (AUTO, ACCURACY, BALANCED, F1, AUC, WORST_GROUP)
WITH_ARGUMENT = {RECALL: "CLASS", COST: "FILE"}
FORMS = [*PLAIN, *(f"{kind}:{what}" for kind, what in WITH_ARGUMENT.items())]


def parted(text: str) -> tuple[str, str]:
    """Part a metric's name into its kind and what follows the colon, a class or a file."""
    kind, _, argument = text.partition(":")
    return kind, argument


def check_metric(text: str) -> None:
    """Raise `SettingError` unless that is the name of a metric; of classes and files nothing is known yet."""
    kind, argument = parted(text)
    if kind in WITH_ARGUMENT:
        if not argument.strip():
            what = WITH_ARGUMENT[kind]
            raise SettingError(f"metric is '{text}'; give {kind}:{what}, with the {what.lower()}")
    elif text not in PLAIN:
        raise SettingError(f"metric is '{text}'{suggestion(text, FORMS)}")


def cost_file(text: str) -> Path | None:
    """Return the file that a metric's name gives; None where it names none."""
    kind, argument = parted(text)
    return Path(argument.strip()).expanduser() if kind == COST else None


def metric_from_folder(text: str, base: Path) -> str:
    """Give the same metric, with a relative path taken from `base` where the file is there."""
    path = cost_file(text)
    if path is None or path.is_absolute() or not (base / path).exists():
        return text
    return f"{COST}:{(base / path).resolve()}"
