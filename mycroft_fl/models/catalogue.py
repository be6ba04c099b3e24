"""All models by name, networks and estimators, and what a method needs of one."""

from __future__ import annotations

from mycroft_fl.data.tables.schema import TableSchema
from mycroft_fl.entry_points import MODELS, added
from mycroft_fl.errors import SettingError, suggestion
from mycroft_fl.models.estimators import ESTIMATORS, build_estimator, is_estimator
from mycroft_fl.models.fitting import AnyModel
from mycroft_fl.models.networks import NETWORKS, InputShape, build, is_network


def build_model(
    name: str,
    shape: InputShape,
    num_classes: int,
    *,
    seed: int,
    table: TableSchema | None = None,
) -> AnyModel:
    """Return the model called `name`: a network with weights drawn from `seed`, or an unfitted classifier.

    Args:
        name: a network's, a scikit-learn classifier's, or an import path.
        shape: of an example.
        num_classes: how many classes the model tells apart.
        seed: of a network's first weights.
        table: how rows became vectors; None where examples are no table's rows.
    """
    if is_network(name):
        return build(name, shape, num_classes, seed=seed)
    if is_estimator(name):
        return build_estimator(name, num_classes, table)
    known = [*NETWORKS, *ESTIMATORS, *added(MODELS)]
    raise SettingError(
        f"unknown model '{name}'{suggestion(name, known)} (or linear:ENCODER, or "
        "package.module:name of a torch.nn.Module or a scikit-learn classifier)"
    )
