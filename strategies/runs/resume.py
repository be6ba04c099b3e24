"""The resuming of a run where it, or its machine, had stopped."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from mycroft_fl.errors import OwnersSilent
from strategies.rounds.owner_record import RoundRecord
from strategies.rounds.run_state import Progress
from strategies.runs.checkpoint import Checkpoint, Checkpoints


@dataclass(frozen=True)
class Resume:
    """The start of a run, and the place of every state from which it could go on.

    `had` are answers to the round after `start` that need not be asked for again. With `waits` a
    run stops after a round in which owners were silent, to be resumed once they can answer.
    """

    start: Checkpoint | None = None
    had: Mapping[str, bytes] = field(default_factory=dict)
    checkpoints: Checkpoints | None = None
    waits: bool = False

    @classmethod
    def on_disk(cls, checkpoints: Checkpoints, *, waits: bool = False) -> Resume:
        """Make a run keep checkpoints, and go on from the last, if there is one.

        Where owners were silent in the last round, and no later one was begun, it goes on from
        before that round: they are asked again for the very same, which no vault discloses or
        charges twice, and whoever had answered is not asked. `InputError` on another run's checkpoint.
        """
        last = checkpoints.last
        if last is None:
            return cls(checkpoints=checkpoints, waits=waits)
        ended = checkpoints.load(last)
        # What was asked in a later round hangs on how this one ended: then it must stay so.
        if ended.silent and checkpoints.asked_last <= last and checkpoints.has(last - 1):
            return cls(checkpoints.load(last - 1), ended.answers, checkpoints, waits)
        return cls(ended, checkpoints=checkpoints, waits=waits)

    def had_in(self, server_round: int) -> Mapping[str, bytes]:
        """Look up the answers to this round that came before the run was resumed."""
        return self.had if self.start and server_round == self.start.round + 1 else {}

    def note_asking(self, server_round: int) -> None:
        """Note that a round is about to be asked: durable before anybody is."""
        if self.checkpoints is not None:
            self.checkpoints.note_asking(server_round)

    def keep(
        self, rounds: Sequence[RoundRecord], progress: Progress, answers: Mapping[str, bytes]
    ) -> None:
        """Keep the state after these rounds, the last of which brought these answers.

        `OwnersSilent` where the run is to wait for owners that did not answer.
        """
        ended = Checkpoint.of(rounds, progress, answers)
        if self.checkpoints is not None:
            self.checkpoints.save(ended)
        if self.waits and ended.silent:
            raise OwnersSilent(
                f"no answer in round {ended.round} from {', '.join(ended.silent)}; once they can answer "
                "(a person may have to agree), resume the run: they are asked for the same again"
            )
