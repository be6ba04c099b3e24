"""A scenario's groups: which examples belong to each, and what they look like."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from functools import cached_property

import numpy as np
from jaxtyping import Float, Int64

from mycroft_fl.data.dataset import Dataset
from mycroft_fl.data.formats.spec import DatasetSpec
from mycroft_fl.data.formats.transforms import TRANSFORMS, fit_to
from mycroft_fl.data.sources import load_dataset
from mycroft_fl.data.tables.fit import fit_schema
from mycroft_fl.data.tables.schema import TableSchema
from mycroft_fl.encoders.word_counts import Vocabulary
from mycroft_fl.errors import DataError, ScenarioError, suggestion
from mycroft_fl.examples import Examples
from mycroft_fl.texts import as_texts, fitted_width, is_text
from simulations.population.cues import with_cues
from simulations.population.scenario_file import Group, Scenario


class Population:
    """The examples that a scenario's groups draw from, known by their content.

    An example's identity is a number below `size`; equal content has one identity, whatever
    data set it stands in. `pools[group]` holds the identities that are eligible, and
    `pools[for_test(group)]` those of its test file, where there is one. Rows of tables become
    vectors once `settle` has the trainer's. Raises `ScenarioError` where groups and data
    sets do not fit together, and `DataError`.
    """

    def __init__(self, scenario: Scenario) -> None:
        self._file = scenario.name
        self._groups = {group.name: group for group in scenario.groups}
        main = DatasetSpec.of(scenario.dataset)
        self._source = {
            g.name: main if g.dataset is None else DatasetSpec.of(g.dataset)
            for g in scenario.groups
        }
        specs = dict.fromkeys([main, *self._source.values()])
        self._main_spec, self.main = main, load_dataset(main, scenario.base)
        # What a column holds is the main table's to say, of all groups.
        kinds = self.main.table.kinds if self.main.table is not None else None
        self._datasets = {main: self.main} | {
            spec: load_dataset(spec, scenario.base, kinds) for spec in specs if spec != main
        }
        self.duplicates = sum(dataset.duplicates for dataset in self._datasets.values())
        self.overlap = sum(dataset.overlap for dataset in self._datasets.values())
        self._identities = self._identify()
        self.size = 1 + max(int(identities.max()) for identities in self._identities.values())
        self._labels = {name: self._label_map(group) for name, group in self._groups.items()}
        self.pools = self._pools()
        self.table: TableSchema | None = None
        self.vocabulary: Vocabulary | None = None
        for group in scenario.groups:
            self._check_looks(group)

    @property
    def holds_images(self) -> bool:
        """Whether examples are images; else they are vectors, or rows of a table."""
        return self.main.x is not None and self.main.x.ndim == 4

    @property
    def holds_texts(self) -> bool:
        """Whether examples are texts."""
        return self.main.x is not None and is_text(self.main.x)

    @property
    def shape(self) -> tuple[int, ...]:
        """The shape of one example as a model sees it."""
        if self.main.x is not None:
            return tuple(self.main.x.shape[1:])
        assert self.table is not None
        return (self.table.width,)

    @property
    def dtype(self) -> np.dtype:
        """The type of an example's values."""
        return np.dtype(np.float32) if self.main.x is None else self.main.x.dtype

    @cached_property
    def spread(self) -> Float[np.ndarray, " d"]:
        """The standard deviation of each column, where examples are vectors."""
        x = self._vectors[self._main_spec] if self.main.x is None else self.main.x
        return np.asarray(x.std(axis=0, dtype=np.float64))

    def settle(self, drawn: Mapping[str, Int64[np.ndarray, " _k"]]) -> None:
        """Fit how rows become vectors on the trainer's own training rows, where these are tables.

        Of texts, fit the words that `tfidf` counts.
        """
        if self.holds_texts:
            parts = [self.build(group, identities).x for group, identities in drawn.items()]
            with suppress(DataError):  # said once something asks for them
                self.vocabulary = Vocabulary.fitted(as_texts(np.concatenate(parts)))
        if self.main.table is None:
            return
        own = [group for group in drawn if self._source[group] == self._main_spec]
        if not own:
            raise ScenarioError(
                f"{self._file}: trainer.train draws nothing from the main table, which says how "
                "rows become vectors; let it hold some of a group of that table"
            )
        rows = np.concatenate([self._rows(group, drawn[group]) for group in own])
        self.table = fit_schema(self.main.table[np.sort(rows)], self._main_spec)
        self._vectors = {}
        for spec, dataset in self._datasets.items():
            assert dataset.table is not None
            self._vectors[spec] = self.table.vectors(dataset.table)

    def build(self, group: str, identities: Int64[np.ndarray, " k"]) -> Examples:
        """Build these examples as that group shows them: fitted to the main data set and transformed.

        Raises `DataError` where a row of a table does not fit the task.
        """
        spec = self._source[group]
        dataset, rows = self._datasets[spec], self._rows(group, identities)
        y = self._labels[group][dataset.y[rows]]
        if dataset.table is not None:
            assert self.table is not None
            if flaw := self.table.flaw(dataset.table[rows]):
                raise DataError(flaw)
            return Examples(self._vectors[spec][rows], y)
        x = dataset.take(rows).x
        if self.holds_texts:
            x, _ = fitted_width(x, *self.shape)
        if self.holds_images and dataset is not self.main:
            x = fit_to(x, *self.shape)
        transform, cue = self._groups[group].transform, self._groups[group].cue
        if transform is not None:
            x = TRANSFORMS[transform](x)
        if cue is not None:
            x = with_cues(x, y, cue, self.classes_of(group))
        return Examples(x, y)

    def marks(
        self, group: str, identities: Int64[np.ndarray, " k"]
    ) -> tuple[np.ndarray | None, np.ndarray | None]:
        """Return whose these examples are, and which may be handed over, where columns say so."""
        dataset, rows = self._datasets[self._source[group]], self._rows(group, identities)
        units, shareable = dataset.units, dataset.shareable
        return (
            None if units is None else units[rows],
            None if shareable is None else shareable[rows],
        )

    def classes_of(self, group: str) -> list[int]:
        """Return the labels that a group's examples may have, in order."""
        labels = self._labels[group]
        return sorted(set(labels[labels >= 0].tolist()))

    def by_class(self, group: str) -> dict[int, Int64[np.ndarray, " _eligible"]]:
        """Return a group's pool, taken apart by class."""
        pool = self.pools[group]
        labels = self.labels(group, pool)
        return {label: pool[labels == label] for label in self.classes_of(group)}

    def labels(self, group: str, identities: Int64[np.ndarray, " k"]) -> Int64[np.ndarray, " k"]:
        """Return the labels of these examples, as the main data set numbers them."""
        dataset = self._datasets[self._source[group]]
        return np.asarray(self._labels[group][dataset.y[self._rows(group, identities)]])

    def texts(self, group: str, column: str, identities: Int64[np.ndarray, " k"]) -> np.ndarray:
        """Return a column's values of these examples as text, empty where they are missing."""
        texts = self._datasets[self._source[group]].texts(column)[self._rows(group, identities)]
        return np.array(["" if text is None else text for text in texts], dtype=str)

    def _rows(self, group: str, identities: Int64[np.ndarray, " k"]) -> Int64[np.ndarray, " k"]:
        # np.unique keeps each data set's identities in one sorted array; rows follow by search.
        order = self._orders[self._source[group]]
        known = self._identities[self._source[group]][order]
        return np.asarray(order[np.searchsorted(known, identities)])

    @cached_property
    def _orders(self) -> dict[DatasetSpec, Int64[np.ndarray, " _n"]]:
        return {spec: identities.argsort() for spec, identities in self._identities.items()}

    def _identify(self) -> dict[DatasetSpec, Int64[np.ndarray, " _n"]]:
        """Return each data set's rows as identities, one numbering for all data sets."""
        ids = [dataset.ids for dataset in self._datasets.values()]
        _, identities = np.unique(np.concatenate(ids), return_inverse=True)
        parts = np.split(identities, np.cumsum([len(part) for part in ids])[:-1])
        return dict(zip(self._datasets, parts, strict=True))

    def _pools(self) -> dict[str, Int64[np.ndarray, " _eligible"]]:
        pools = {}
        for name, group in self._groups.items():
            dataset = self._datasets[self._source[name]]
            eligible = self._labels[name][dataset.y] >= 0
            try:
                eligible &= dataset.where(group.where)
            except DataError as error:
                raise self._wrong(group, "where", f"does not fit: {error}") from error
            identities = self._identities[self._source[name]]
            pools[name] = identities[eligible & ~dataset.from_test]
            if dataset.from_test.any():
                pools[for_test(name)] = identities[eligible & dataset.from_test]
        return pools

    def _label_map(self, group: Group) -> Int64[np.ndarray, " classes"]:
        """Return each label of the group's data set as the main one's label; -1: not in this group."""
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
        """Raise where the group's examples could not stand beside the main data set's."""
        own, main = _kind(self._datasets[self._source[group.name]]), _kind(self.main)
        if own != main:
            raise self._wrong(
                group,
                "dataset",
                f"holds {own} but the main data set {main}; use data sets of one kind",
            )
        for key, given in (("transform", group.transform), ("cue", group.cue)):
            if given is not None and not self.holds_images:
                own = "texts" if self.holds_texts else "vectors"
                raise self._wrong(group, key, f"is for images, but these are {own}; leave it out")
        one, classes = self.main.take(np.arange(1)) if self.holds_images else None, []
        try:
            if group.transform is not None and one is not None:
                TRANSFORMS[group.transform](one.x)
            if group.cue is not None and one is not None:
                classes = self.classes_of(group.name)
                with_cues(one.x, np.array(classes[:1]), group.cue, classes)
        except DataError as error:
            raise self._wrong(
                group, "cue" if classes else "transform", f"does not fit: {error}"
            ) from error

    def _wrong(self, group: Group, key: str, problem: str) -> ScenarioError:
        return ScenarioError(f"{self._file}: groups.{group.name}.{key} {problem}")


def for_test(group: str) -> str:
    """Return the pool of a group's rows in its test file. No group's name holds a slash at its start."""
    return f"/test/{group}"


def _kind(dataset: Dataset) -> str:
    if dataset.x is None:
        return "rows of a table"
    if is_text(dataset.x):
        return "texts"
    return "images" if dataset.x.ndim == 4 else f"vectors of length {dataset.x.shape[1]}"


def _brief(names: tuple[str, ...]) -> str:
    return ", ".join(names[:20]) + (", ..." if len(names) > 20 else "")
