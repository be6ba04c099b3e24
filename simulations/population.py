"""A scenario's groups: which examples belong to each, and what they look like."""

from __future__ import annotations

from functools import cached_property

import numpy as np
from jaxtyping import Float, Int64

from mycroft_fl.config import suggestion
from mycroft_fl.data.sources import Dataset, load_dataset
from mycroft_fl.data.transforms import TRANSFORMS, fit_to
from mycroft_fl.errors import DataError, ScenarioError
from mycroft_fl.examples import Examples
from simulations.scenario import Group, Scenario


class Population:
    """The examples that a scenario's groups draw from, known by their content.

    An example's identity is a number below `size`; equal content has one identity, whatever
    data set it stands in. `pools[group]` holds the identities that are eligible. Raises
    `ScenarioError` where groups and data sets do not fit together, and `DataError`.
    """

    def __init__(self, scenario: Scenario) -> None:
        self._file = scenario.name
        self._groups = {group.name: group for group in scenario.groups}
        self._source = {g.name: g.dataset or scenario.dataset for g in scenario.groups}
        names = dict.fromkeys([scenario.dataset, *self._source.values()])
        self._datasets = {name: load_dataset(name, scenario.base) for name in names}
        self.main = self._datasets[scenario.dataset]
        self.duplicates = sum(dataset.duplicates for dataset in self._datasets.values())
        self._identities = self._identify()
        self.size = 1 + max(int(identities.max()) for identities in self._identities.values())
        self._labels = {name: self._label_map(group) for name, group in self._groups.items()}
        self.pools = {name: self._pool(name) for name in self._groups}
        for group in scenario.groups:
            self._check_looks(group)

    @property
    def holds_images(self) -> bool:
        """Whether examples are images; else they are vectors."""
        return self.main.examples.x.ndim == 4

    @cached_property
    def spread(self) -> Float[np.ndarray, " d"]:
        """The standard deviation of each column, where examples are vectors."""
        return np.asarray(self.main.examples.x.std(axis=0, dtype=np.float64))

    def build(self, group: str, identities: Int64[np.ndarray, " k"]) -> Examples:
        """These examples as that group shows them: fitted to the main data set and transformed."""
        dataset = self._datasets[self._source[group]]
        # np.unique keeps each data set's identities in one sorted array; rows follow by search.
        order = self._orders[self._source[group]]
        known = self._identities[self._source[group]][order]
        rows = order[np.searchsorted(known, identities)]
        x, y = dataset.examples.x[rows], self._labels[group][dataset.examples.y[rows]]
        if self.holds_images and dataset is not self.main:
            x = fit_to(x, *self.main.examples.x.shape[1:])
        transform = self._groups[group].transform
        return Examples(x if transform is None else TRANSFORMS[transform](x), y)

    @cached_property
    def _orders(self) -> dict[str, Int64[np.ndarray, " n"]]:
        return {name: identities.argsort() for name, identities in self._identities.items()}

    def _identify(self) -> dict[str, Int64[np.ndarray, " n"]]:
        """Each data set's rows as identities, one numbering for all data sets."""
        ids = [dataset.examples.ids for dataset in self._datasets.values()]
        _, identities = np.unique(np.concatenate(ids), return_inverse=True)
        parts = np.split(identities, np.cumsum([len(part) for part in ids])[:-1])
        return dict(zip(self._datasets, parts, strict=True))

    def _pool(self, group: str) -> Int64[np.ndarray, " eligible"]:
        dataset = self._datasets[self._source[group]]
        eligible = self._labels[group][dataset.examples.y] >= 0
        return np.asarray(self._identities[self._source[group]][eligible])

    def _label_map(self, group: Group) -> Int64[np.ndarray, " classes"]:
        """Each label of the group's data set as the main one's label; -1: not in this group."""
        dataset = self._datasets[self._source[group.name]]
        labels = np.full(len(dataset.classes), -1)
        for label in self._wanted_labels(group, dataset):
            name = dataset.classes[label]
            if name not in self.main.classes:
                raise self._wrong(
                    group,
                    "dataset",
                    f"has a class '{name}', which the main data set lacks; leave it out with "
                    f"classes = [...], of {_brief(self.main.classes)}",
                )
            labels[label] = self.main.classes.index(name)
        return labels

    def _wanted_labels(self, group: Group, dataset: Dataset) -> list[int]:
        known = dataset.classes
        if group.classes is None:
            return list(range(len(known)))
        for each in group.classes:
            if isinstance(each, int) and not 0 <= each < len(known):
                raise self._wrong(
                    group, "classes", f"holds {each}; give labels from 0 to {len(known) - 1}"
                )
            if isinstance(each, str) and each not in known:
                raise self._wrong(
                    group, "classes", f"holds '{each}'{suggestion(each, list(known))}"
                )
        return [each if isinstance(each, int) else known.index(each) for each in group.classes]

    def _check_looks(self, group: Group) -> None:
        """Raises where the group's examples could not stand beside the main data set's."""
        if group.where:
            raise self._wrong(
                group,
                "where",
                f"selects rows of a table, but '{self._source[group.name]}' has no columns with "
                "names; select by classes instead",
            )
        x, own = self.main.examples.x, self._datasets[self._source[group.name]].examples.x
        if x.ndim != own.ndim or (x.ndim == 2 and x.shape[1] != own.shape[1]):
            raise self._wrong(
                group,
                "dataset",
                f"holds {_kind(own)} but the main data set {_kind(x)}; use data sets of one kind",
            )
        if group.transform is None:
            return
        if not self.holds_images:
            raise self._wrong(
                group, "transform", "is for images, but these are vectors; leave it out"
            )
        try:
            TRANSFORMS[group.transform](x[:1])
        except DataError as error:
            raise self._wrong(group, "transform", f"does not fit: {error}") from error

    def _wrong(self, group: Group, key: str, problem: str) -> ScenarioError:
        return ScenarioError(f"{self._file}: groups.{group.name}.{key} {problem}")


def _kind(x: np.ndarray) -> str:
    return "images" if x.ndim == 4 else f"vectors of length {x.shape[1]}"


def _brief(names: tuple[str, ...]) -> str:
    return ", ".join(names[:20]) + (", ..." if len(names) > 20 else "")
