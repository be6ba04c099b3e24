"""The world of a simulation: who holds which examples, drawn at once, built when asked for."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
from jaxtyping import Int64

from mycroft_fl.data.fitted import Records, task_records
from mycroft_fl.data.task import Task
from mycroft_fl.errors import DataError, ScenarioError, suggestion
from mycroft_fl.examples import Examples
from mycroft_fl.seeds import derived_seed
from simulations.population.by_column import draw_by_column, with_owners_named
from simulations.population.by_partition import draw_by_partition, with_shares_named
from simulations.population.corrupt import FOR_VECTORS, corrupt, redraw_labels, unlike_others
from simulations.population.groups import Population, for_test
from simulations.population.partition import Draws, Want, marked, partition, skewed_draw
from simulations.population.scenario_file import PARTS, Owner, Scenario

OWN_DATA = "own-data"  # the group of what an owner brings in a file of its own


@dataclass(frozen=True, eq=False)
class _Holding:
    """One holder's draw, in an order that mixes groups."""

    groups: Int64[np.ndarray, " n"]  # places in the scenario's groups
    identities: Int64[np.ndarray, " n"]

    def by_group(self) -> Iterator[tuple[int, Int64[np.ndarray, " k"]]]:
        """Return each group that there is, and which of the examples are of it."""
        for place in np.unique(self.groups).tolist():
            yield place, np.flatnonzero(self.groups == place)


class World:
    """A scenario with its examples drawn by seed: the same in every process.

    Only indices are kept; `trainer` and `owner` build fresh, writable arrays at every call.
    `classes` are the main data set's, `duplicates` counts the rows that were dropped because
    their content stood there already. Raises `ScenarioError` where the data sets do not hold
    what the scenario asks for.
    """

    def __init__(self, scenario: Scenario, seed: int) -> None:
        scenario = with_shares_named(with_owners_named(scenario))
        self.scenario = scenario
        self.seed = seed
        self._population = Population(scenario)
        self._groups = [group.name for group in scenario.groups]
        self.classes = self._population.main.classes
        self.duplicates = self._population.duplicates
        self.overlap = self._population.overlap
        self._check_corruptions()
        draws = self._draw()
        # A share that is too small may be nobody's: only the draw tells.
        there = tuple(o for o in scenario.owners if o.share is None or o.name in draws)
        self.scenario = replace(scenario, owners=there)
        self._owners = {owner.name: owner for owner in there}
        self._population.settle(draws[_trainer_holder("train")])
        self._holdings = {name: self._mixed(name, drawn) for name, drawn in draws.items()}

    @property
    def num_classes(self) -> int:
        """How many classes the main data set has."""
        return len(self.classes)

    @property
    def task(self) -> Task:
        """The task that trainer and owners agree on."""
        there = self._population
        task = Task(
            self.classes,
            there.shape,
            there.dtype,
            self.scenario.model,
            there.table,
            there.vocabulary,
        )
        return replace(task, model=task.named(task.model))

    def trainer(self, part: str) -> Examples:
        """Return the trainer's own examples; `part` is train, validation or test.

        Of validation labels a share may be wrong; those of the test are right, whatever they judge.
        """
        examples, noise = self._built(_trainer_holder(part)), self.scenario.label_noise
        if part != "validation" or not noise:
            return examples
        rng = self._rng("label-noise", _trainer_holder(part))
        return redraw_labels(examples, noise, self.num_classes, rng)

    def trainer_groups(self, part: str) -> np.ndarray:
        """Return the group's name of each of the trainer's examples, in their order."""
        return self._group_names(_trainer_holder(part))

    def owner(self, name: str) -> Examples:
        """Return all that an owner holds, as it holds it: shifted, corrupted, mislabelled.

        Raises `DataError` where its rows do not fit the task.
        """
        return self.records(name).examples

    def records(self, name: str) -> Records:
        """Return the same, with what columns say of each: whose it is, and whether it may be handed over."""
        owner = self._owner(name)
        held = self._own_data(owner) if owner.dataset else self._drawn(name)
        examples = held.examples
        if owner.reuse:
            rng = self._rng("shift", name)
            images = self._population.holds_images
            spread = None if images else self._population.spread
            examples = unlike_others(examples, spread, rng)
        if owner.corruption:
            how, rng = owner.corruption, self._rng("corruption", name)
            examples = corrupt(examples, how.kind, how.fraction, how.severity, rng)
        if owner.label_noise:
            rng = self._rng("label-noise", name)
            examples = redraw_labels(examples, owner.label_noise, self.num_classes, rng)
        table = self._population.table
        if table is not None and (owner.reuse or owner.corruption):
            x = table.with_names_of(examples.x, held.examples.x)
            examples = Examples(x, examples.y)
        return replace(held, examples=examples)

    def owner_groups(self, name: str) -> np.ndarray:
        """Return the group's name of each of an owner's examples, in their order."""
        if self._owner(name).dataset:
            return np.full(len(self.owner(name)), OWN_DATA)
        return self._group_names(self._owner(name).name)

    def holds(self, name: str) -> dict[str, int]:
        """Return how many examples of which group an owner holds; none where its data cannot be used."""
        owner = self._owner(name)
        if owner.is_counted:
            return dict(owner.holds)
        try:
            return dict(sorted(Counter(self.owner_groups(name).tolist()).items()))
        except DataError:
            return {}

    def group_counts(self, name: str, examples: Examples) -> dict[str, int]:
        """Return how many of `examples`, by content, are of which group of that owner's.

        Other owners' examples do not count; groups without any are left out.
        """
        groups = dict(zip(self.owner(name).ids.tolist(), self.owner_groups(name), strict=True))
        found = Counter(str(groups[id_]) for id_ in examples.ids.tolist() if id_ in groups)
        return dict(sorted(found.items()))

    def _draw(self) -> Draws:
        """Draw for trainer and owners from one stock; for owners that reuse, from what the trainer left."""
        pools = self._population.pools
        trainer = [self._trainer_want(part) for part in PARTS]
        drawing = [owner for owner in self.scenario.owners if owner.dataset is None]
        alone = [Want(o.name, o.holds) for o in drawing if o.draws_by_count]
        try:
            draws = partition(pools, trainer + alone, self._draw_rng)
            held = marked([draws[want.holder] for want in trainer], self._population.size)
            left = {group: pool[~held[pool]] for group, pool in pools.items()}
            draws |= draw_by_column(self._population, drawing, draws, self._rng)
            draws |= draw_by_partition(self._population, drawing, draws, self._rng)
            draws |= self._skewed(drawing, draws)
            for owner in drawing:
                if owner.reuse:
                    own = {group: left[group] for group in owner.holds}
                    draws |= partition(own, [Want(owner.name, owner.holds)], self._draw_rng)
        except ScenarioError as error:
            raise ScenarioError(f"{self.scenario.name}: {error}") from error
        asked = _trainer_holder("test")
        draws[asked] = {name.removeprefix(for_test("")): d for name, d in draws[asked].items()}
        return draws

    def _skewed(self, owners: list[Owner], draws: Draws) -> Draws:
        """Return what owners with a skew hold, of what is left by the others, class by class."""
        taken = marked(draws.values(), self._population.size)
        skewed: Draws = {owner.name: {} for owner in owners if owner.skew is not None}
        for owner in owners:
            for group, count in owner.holds.items() if owner.skew is not None else ():
                rng = self._rng("skew", owner.name, group)
                pools = self._population.by_class(group)
                left = {label: pool[~taken[pool]] for label, pool in pools.items()}
                drawn = skewed_draw(left, count, owner.skew or 1.0, rng, f"{owner.name}, {group}")
                skewed[owner.name][group] = drawn
                taken[drawn] = True
        return skewed

    def _trainer_want(self, part: str) -> Want:
        """Return the trainer's own; its test examples come from the test file, where there is one."""
        counts = self.scenario.trainer[part]
        if part == "test":
            pools = self._population.pools
            names = {group: for_test(group) for group in counts}
            counts = {names[g] if names[g] in pools else g: n for g, n in counts.items()}
        return Want(_trainer_holder(part), counts)

    def _own_data(self, owner: Owner) -> Records:
        """Return an owner's own file; what the trainer holds too is left out, above all its tests."""
        assert owner.dataset is not None
        held = task_records(owner.dataset, self.scenario.base, self.task)
        return held[~np.isin(held.examples.ids, self._trainers_ids)]

    def _drawn(self, name: str) -> Records:
        """Return what an owner drew of groups, marked where the data sets of all of these mark it."""
        holding, marks = self._holdings[name], []
        for place, rows in holding.by_group():
            identities = holding.identities[rows]
            marks.append(self._population.marks(self._groups[place], identities))
        order = np.concatenate([rows for _, rows in holding.by_group()]).argsort()
        whole = [
            None if any(part is None for part in parts) else np.concatenate(parts)[order]
            for parts in zip(*marks, strict=True)
        ]
        return Records(self._built(name), *whole)

    @cached_property
    def _trainers_ids(self) -> Int64[np.ndarray, " n"]:
        return np.concatenate([self.trainer(part).ids for part in PARTS])

    def _mixed(self, holder: str, drawn: dict[str, Int64[np.ndarray, " _k"]]) -> _Holding:
        names = [group for group in self._groups if group in drawn]
        places = np.repeat(
            [self._groups.index(name) for name in names], [len(drawn[n]) for n in names]
        )
        order = self._rng("order", holder).permutation(len(places))
        return _Holding(places[order], np.concatenate([drawn[name] for name in names])[order])

    def _built(self, holder: str) -> Examples:
        holding = self._holdings[holder]
        x = np.empty((len(holding.groups), *self._population.shape), self._population.dtype)
        y = np.empty(len(holding.groups), np.int64)
        for place, rows in holding.by_group():
            part = self._population.build(self._groups[place], holding.identities[rows])
            x[rows], y[rows] = part.x, part.y
        return Examples(x, y)

    def _group_names(self, holder: str) -> np.ndarray:
        return np.asarray(np.array(self._groups)[self._holdings[holder].groups])

    def _owner(self, name: str) -> Owner:
        if name not in self._owners:
            raise ScenarioError(
                f"{self.scenario.name}: no owner '{name}'{suggestion(name, list(self._owners))}"
            )
        return self._owners[name]

    def _check_corruptions(self) -> None:
        for owner in self.scenario.owners:
            how = owner.corruption
            if self._population.holds_texts and (how or owner.reuse):
                raise ScenarioError(
                    f"{self.scenario.name}: owner '{owner.name}': "
                    f"{'corruption' if how else 'reuse'} is not for texts; leave it out"
                )
            if how and not self._population.holds_images and how.kind not in FOR_VECTORS:
                raise ScenarioError(
                    f"{self.scenario.name}: owner '{owner.name}': corruption '{how.kind}' is for "
                    f"images, but these are vectors; choose from {list(FOR_VECTORS)}"
                )

    def _draw_rng(self, holder: str, group: str) -> np.random.Generator:
        return self._rng("draw", holder, group)

    def _rng(self, *purpose: str) -> np.random.Generator:
        return np.random.default_rng(derived_seed(self.seed, "world", *purpose))


def _trainer_holder(part: str) -> str:
    """Return a name that no owner can have."""
    if part not in PARTS:
        raise ScenarioError(f"the trainer has no part '{part}'{suggestion(part, list(PARTS))}")
    return f"trainer/{part}"
