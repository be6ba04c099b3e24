"""What came of one round's asking: who failed, who answered with what."""

from __future__ import annotations

from collections.abc import Mapping

from mycroft_fl.protocol.messages import Failure, OwnerReport, Statistic
from mycroft_fl.protocol.signed import as_bytes
from mycroft_fl.protocol.wire import pack_report
from strategies.rounds.run_state import Answers
from strategies.rounds.scoreboard import Scoreboard


class Receipts:
    """Answers and failures of one round, entered in the books as they come.

    `at_stake` is how many examples each owner may have disclosed in vain if its answer is of no use.
    """

    def __init__(self, scoreboard: Scoreboard, at_stake: Mapping[str, int]) -> None:
        self._scoreboard, self._at_stake = scoreboard, at_stake
        self.failed: dict[str, Failure] = {}
        self.came: dict[str, bytes] = {}
        self._statistics: dict[str, Statistic] = {}

    @property
    def answers(self) -> Answers:
        """What is learnt from."""
        return Answers(tuple(self.came), self._statistics)

    def fail(self, owner: str, code: Failure) -> None:
        """An owner's answer is of no use."""
        self.failed[owner] = code
        self._scoreboard.enter_failure(owner, code, self._at_stake.get(owner, 0))

    def take(self, owner: str, report: OwnerReport) -> None:
        """An owner has answered. What is kept is what was understood, whatever else came with it."""
        self.came[owner] = as_bytes(pack_report(report))
        self._scoreboard.enter_card(owner, report.card)
        if report.disclosed is not None:
            self._scoreboard.enter_answer(owner, report.disclosed)
        if report.statistic is not None:
            self._statistics[owner] = report.statistic
