"""The checkpoints of a run: what it needs to go on, kept on disk after every round.

    checkpoints/round-2/
    ├── state.json           round records, owners' records, what was asked, what the run belongs to
    ├── arrays.npz           acquired examples, noised steps and their coordinates, answers; no pickle
    └── model.safetensors    the trainer's model (of an estimator .skops)

    checkpoints/asked-last      the last round whose requests may have been sent

A folder is written whole under another name, then renamed. The last two are kept: from the one
before the last, the last round can be finished with the owners that were silent in it.
"""

from __future__ import annotations

import dataclasses
import json
import re
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from zipfile import BadZipFile

import numpy as np

from mycroft_fl.claims import MOST_JSON, content_of, read_npz
from mycroft_fl.errors import DataError, InputError
from mycroft_fl.examples import Examples
from mycroft_fl.files import folder_whole, private_folder, remove_parts, write_whole, written_whole
from mycroft_fl.models.fitting import AnyModel
from mycroft_fl.models.weights import loaded, save_model, suffix_of
from mycroft_fl.protocol.card import Card
from mycroft_fl.scoring import Score
from strategies.noised.steps import NoisedSteps, StepsTaken
from strategies.noised.whitening import Whitening
from strategies.rounds.owner_record import OwnerRecord, RoundRecord
from strategies.rounds.run_state import Progress
from strategies.rounds.scoreboard import Scoreboard
from strategies.training.built import built
from strategies.training.trainer import Trainer

KEPT = 2
ASKED = "asked-last"
MOST_DIGITS = 20


@dataclass(frozen=True)
class Checkpoint:
    """A run as it stood when `round` had ended; 0: owners were called, nothing was asked yet.

    `answers` are what came in that round, owner by owner, as packed records in bytes.
    """

    round: int
    rounds: tuple[RoundRecord, ...]
    records: Mapping[str, OwnerRecord]
    model: AnyModel
    steps: StepsTaken | None = None
    answers: Mapping[str, bytes] = field(default_factory=dict)

    @property
    def silent(self) -> list[str]:
        """Owners that were asked in the last round and neither answered nor refused."""
        failed = self.rounds[-1].failed if self.rounds else {}
        return [owner for owner, code in failed.items() if code in ("timeout", "error")]

    @classmethod
    def of(
        cls, rounds: Sequence[RoundRecord], progress: Progress, answers: Mapping[str, bytes]
    ) -> Checkpoint:
        """Take a run as it stands after these rounds, the last of which brought these answers."""
        steps = progress.steps
        return cls(
            len(rounds), tuple(rounds), dict(progress.scoreboard.records), progress.model,
            steps.taken if steps else None, answers,
        )  # fmt: skip

    def bring_back(self, progress: Progress) -> None:
        """Bring `progress` back to where it stood."""
        progress.scoreboard, progress.model = Scoreboard.of(self.records), self.model
        if self.steps is not None:
            progress.steps = NoisedSteps.resumed(progress.trainer, self.steps)


class Checkpoints:
    """The checkpoints of one trainer's run, in a folder of their own."""

    def __init__(self, folder: Path, trainer: Trainer) -> None:
        self._folder, self._trainer = folder, trainer

    @property
    def last(self) -> int | None:
        """The last round there is a checkpoint of; None where there is none."""
        return max(self._rounds(), default=None)

    def has(self, server_round: int) -> bool:
        """Check whether there is a checkpoint of that round."""
        return server_round in self._rounds()

    @property
    def asked_last(self) -> int:
        """The last round whose requests may have been sent; 0 where there is none.

        `InputError` where the file says none.
        """
        asked = self._folder / ASKED
        if not asked.is_file():
            return 0
        try:
            return int(content_of(asked, MOST_DIGITS))
        except (OSError, ValueError) as error:
            raise InputError(
                f"{asked} names no round; bring the whole folder back, or start a new run"
            ) from error

    def note_asking(self, server_round: int) -> None:
        """Note, durably, that the requests of that round are about to be sent."""
        write_whole(private_folder(self._folder) / ASKED, str(server_round))

    def save(self, checkpoint: Checkpoint) -> None:
        """Keep a checkpoint, durable when this returns; none of it where that fails."""
        whole = private_folder(self._folder) / f"round-{checkpoint.round}"
        remove_parts(whole)
        # Without this round for a moment, never with half of it: the one before is whole.
        with folder_whole(whole, replace=True) as part:
            self._fill(part, checkpoint)
        for old in sorted(self._rounds())[:-KEPT]:
            shutil.rmtree(self._folder / f"round-{old}", ignore_errors=True)

    def load(self, server_round: int) -> Checkpoint:
        """Load the checkpoint of that round.

        `InputError` where there is none, or it is of another task, other data or other settings.
        """
        folder = self._folder / f"round-{server_round}"
        try:
            state = json.loads(content_of(folder / "state.json", MOST_JSON))
            arrays = read_npz(folder / "arrays.npz")
            if state["fingerprint"] == self._trainer.fingerprint():
                return _put_together(state, arrays, _model(folder, self._trainer))
        except (
            OSError, ValueError, LookupError, TypeError, AttributeError, RecursionError, MemoryError,
            BadZipFile, DataError,
        ) as error:  # fmt: skip
            raise InputError(f"{folder} is no whole checkpoint; start a new run") from error
        raise InputError(
            f"{folder} is of another task, other data or other settings than now; put them back, or "
            "start a new run"
        )

    def _fill(self, part: Path, checkpoint: Checkpoint) -> None:
        state, arrays = _taken_apart(checkpoint)
        state["fingerprint"] = self._trainer.fingerprint()
        write_whole(part / "state.json", json.dumps(state))
        with written_whole(part / "arrays.npz") as file:
            np.savez(file, **arrays)  # type: ignore[arg-type]
        save_model(checkpoint.model, part / f"model{suffix_of(checkpoint.model)}")

    def _rounds(self) -> list[int]:
        if not self._folder.is_dir():
            return []
        names = (re.fullmatch(r"round-(\d+)", each.name) for each in self._folder.iterdir())
        return [int(name[1]) for name in names if name]


def _taken_apart(checkpoint: Checkpoint) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
    """Part a checkpoint into what goes into state.json, and what into arrays.npz."""
    arrays: dict[str, np.ndarray] = {}
    for owner, record in checkpoint.records.items():
        for place, part in enumerate(record.acquired):
            arrays[f"acquired/{owner}/{place}/x"] = part.x
            arrays[f"acquired/{owner}/{place}/y"] = part.y
    for owner, answer in checkpoint.answers.items():
        arrays[f"answer/{owner}"] = np.frombuffer(answer, np.uint8)
    steps = checkpoint.steps
    if steps is not None:
        arrays["steps"], arrays["noised"] = np.stack(steps.tried), steps.noised
        arrays["whitening"] = steps.whitening.matrix
    return {
        "round": checkpoint.round,
        "rounds": [each.as_json() for each in checkpoint.rounds],
        "standings": {name: _as_json(each) for name, each in checkpoint.records.items()},
        "answers": list(checkpoint.answers),
        "useful": None if steps is None else dict(steps.useful),
        "variance": 0.0 if steps is None else steps.variance,
        "largest": 1.0 if steps is None else steps.whitening.largest,
    }, arrays


def _put_together(
    state: dict[str, Any], arrays: dict[str, np.ndarray], model: AnyModel
) -> Checkpoint:
    useful, steps = state["useful"], None
    if useful is not None:
        there = Whitening(arrays["whitening"], state["largest"])
        tried, variance = tuple(arrays["steps"]), state["variance"]
        steps = StepsTaken(useful, tried, arrays["noised"], variance, there)
    return Checkpoint(
        round=state["round"],
        rounds=tuple(RoundRecord(**each) for each in state["rounds"]),
        records={
            name: _owner_record(name, record, arrays) for name, record in state["standings"].items()
        },
        model=model,
        steps=steps,
        answers={owner: arrays[f"answer/{owner}"].tobytes() for owner in state["answers"]},
    )


def _as_json(record: OwnerRecord) -> dict[str, Any]:
    """Write an owner's record but for its arrays. Numbers keep every bit: JSON writes floats so."""
    return {
        "answers": len(record.acquired),
        "score": None if record.score is None else dataclasses.asdict(record.score),
        "screening": record.screening,
        "failure": record.failure,
        "lost": record.lost,
        "exhausted": record.exhausted,
        "stock": record.stock,
        "cards": [dataclasses.asdict(card) for card in record.cards],
        "by_class": {name: dataclasses.asdict(each) for name, each in record.by_class.items()},
    }


def _owner_record(name: str, record: dict[str, Any], arrays: dict[str, np.ndarray]) -> OwnerRecord:
    rest = {key: record[key] for key in ("screening", "failure", "lost", "exhausted")}
    places = [f"acquired/{name}/{place}" for place in range(record["answers"])]
    return OwnerRecord(
        name,
        acquired=tuple(Examples(arrays[f"{each}/x"], arrays[f"{each}/y"]) for each in places),
        score=None if record["score"] is None else Score(**record["score"]),
        cards=tuple(Card(**card) for card in record["cards"]),
        by_class={label: Score(**each) for label, each in record["by_class"].items()},
        stock=record.get("stock"),
        **rest,
    )


def _model(folder: Path, trainer: Trainer) -> AnyModel:
    model = built(trainer.task, seed=0)
    return loaded(model, folder / f"model{suffix_of(model)}")
