"""Fine-tunes that differ in their data alone, and what share of a batch an owner's subset gets."""

from __future__ import annotations

from mycroft_fl.models.fitting import accuracy
from mycroft_fl.models.sources import Source
from strategies.training.fine_tuning import SHARES_TO_CHOOSE_FROM


def shape_of(sources: list[Source]) -> list[tuple[int, float]]:
    return [(len(source.examples), source.share) for source in sources]


def test_the_references_differ_from_the_improved_model_in_their_data_alone(
    seen, trainer_of, people
):
    it = trainer_of()
    subset = people["useful"]
    _ = it.control, it.own_hard_set, it.improved(subset)
    assert [shape_of(sources) for sources, _ in seen] == [
        [(300, 1.0)],
        [(300, 1.0), (12, 0.1)],
        [(300, 1.0), (12, 0.1), (20, 0.25)],
    ]
    assert len({seed for _, seed in seen}) == 1


def test_the_control_never_has_the_hard_set_and_the_own_hard_set_always(seen, trainer_of, people):
    it = trainer_of(train_on_hard_set=False)
    _ = it.control, it.own_hard_set, it.improved(people["useful"])
    assert [shape_of(sources) for sources, _ in seen] == [
        [(300, 1.0)],
        [(300, 1.0), (12, 0.1)],
        [(300, 1.0), (20, 0.25)],
    ]


def test_with_nothing_acquired_the_improved_model_is_the_reference(trainer_of, same):
    it = trainer_of()
    assert same(it.improved(None), it.own_hard_set)
    paper = trainer_of(train_on_hard_set=False)
    assert same(paper.improved(None), paper.control)


def test_full_information_is_pooled_with_the_share_of_its_size(seen, trainer_of, people):
    it = trainer_of(method="full", subset_weight=0.8)
    it.improved(people["useful"])
    # The hard set keeps its tenth of each batch.
    assert shape_of(seen[-1][0])[-1] == (20, 0.9 * 20 / 320)


def test_a_subset_weight_of_zero_chooses_the_share_on_the_tuning_split(
    seen, trainer_of, people, same
):
    it = trainer_of(subset_weight=0.0)
    subset = people["useful"]
    final = it.improved(subset)
    tried = [shape_of(sources)[-1][1] for sources, _ in seen]
    assert tried[:-1] == list(SHARES_TO_CHOOSE_FROM)
    reached = {
        share: accuracy(trainer_of(subset_weight=share).improved(subset), it.splits.tuning)
        for share in SHARES_TO_CHOOSE_FROM
    }
    best = [share for share in reached if reached[share] == max(reached.values())]
    assert tried[-1] == min(best)
    assert same(final, trainer_of(subset_weight=tried[-1]).improved(subset))
