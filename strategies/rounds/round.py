"""One round of a run: who is asked for what, what comes back, and what it amounts to."""

from __future__ import annotations

import logging
import time
from collections.abc import Iterable, Mapping

from flwr.app import Message, RecordDict
from flwr.serverapp import Grid

from mycroft_fl.errors import BadMessage
from mycroft_fl.protocol.messages import Expected, Failure, OwnerReport, Statistic
from mycroft_fl.protocol.signed import as_bytes, from_bytes, size_of
from mycroft_fl.protocol.wire import pack_report, pack_request
from strategies.rounds.answer_checks import AnswerChecks
from strategies.rounds.messaging import fallen, send, sort_out
from strategies.rounds.owner_record import RoundRecord
from strategies.rounds.plans import Plan
from strategies.rounds.run_state import Answers, Progress
from strategies.rounds.transport import Route

log = logging.getLogger(__name__)
TRIES = 2
"""How often an owner whose process died is asked again in one round."""


class Round:
    """One round, from its requests to what came of them.

    Call `request`, `send`, `receive` and, once the run has learnt from the answers, `record`.

    Args:
        number: of the round, from 1.
        plan: whom to ask for what.
        progress: the run so far. Answers and failures are entered in its scoreboard.
        checks: what an answer must pass.
        route: the way to the owners that are there. One that is not there counts as silent.
        had: answers to this round that came before the run was resumed, as bytes. Whoever gave
            one is not asked again.

    """

    def __init__(
        self,
        number: int,
        plan: Plan,
        progress: Progress,
        checks: AnswerChecks,
        route: Route,
        had: Mapping[str, bytes],
    ) -> None:
        self.number = number
        self.counts: dict[str, int] = plan.whom(progress, number)
        self.came: dict[str, bytes] = {}
        self.failed: dict[str, Failure] = {}
        self.asked_again: list[str] = []
        self._plan, self._progress, self._checks = plan, progress, checks
        self._route, self._had = route, had
        self._values = plan.values(progress)
        self._statistics: dict[str, Statistic] = {}
        self._messages: dict[str, Message] = {}
        self._before = progress.scoreboard.disclosed
        self._since = time.monotonic()

    def request(self) -> list[Message]:
        """Make the requests to all that are to be asked. Owners asked for equally many share one."""
        packed: dict[int, RecordDict] = {}
        for owner, k in self.counts.items():
            if k not in packed:
                packed[k] = self._packed(k)
            if owner in self._route.nodes and owner not in self._had:
                self._messages[owner] = self._route.message(packed[k], owner, self.number)
        return list(self._messages.values())

    def send(self, grid: Grid, requests: Iterable[Message], *, timeout: float) -> list[Message]:
        """Send requests of this round and return the replies that came within `timeout` seconds.

        An owner whose process died is asked again: in a simulation one that dies takes others' answers
        with it.
        """
        sent = time.monotonic()
        replies = send(grid, requests, timeout=timeout, on_answers=_log_answers)
        for _ in range(TRIES):
            lost = fallen(list(self._messages.values()), replies)
            if not lost:
                break
            again = [owner for owner, message in self._messages.items() if message in lost]
            log.warning("round %d: processes died; asking again: %s", self.number, ", ".join(again))
            self.asked_again += [owner for owner in again if owner not in self.asked_again]
            self._messages |= {
                owner: self._route.message(self._packed(self.counts[owner]), owner, self.number)
                for owner in again
            }
            replies += send(grid, [self._messages[owner] for owner in again], timeout=timeout)
        log.info("round %d: answers took %.2f s", self.number, time.monotonic() - sent)
        return replies

    def receive(self, replies: Iterable[Message]) -> Answers:
        """Check the answer of every owner asked, and enter it, or its failure, in the scoreboard."""
        sorted_out = sort_out(list(self._messages.values()), replies)
        came = dict(zip(self._messages, (content for _, content in sorted_out), strict=True))
        for owner in self.counts:
            report = self._checked(owner, came.get(owner, "timeout"))
            if isinstance(report, str):
                self._enter_failure(owner, report)
            else:
                self._enter_report(owner, report)
        return Answers(tuple(self.came), self._statistics)

    def record(self) -> RoundRecord:
        """Sum up the round: who was asked, answered and failed, and how long it took."""
        return RoundRecord(
            round=self.number,
            asked=len(self.counts),
            answered=len(self.came),
            failed=dict(sorted(self.failed.items())),
            disclosed=self._progress.scoreboard.disclosed - self._before,
            seconds=round(time.monotonic() - self._since, 3),
        )

    def _packed(self, k: int) -> RecordDict:
        plan, progress = self._plan, self._progress
        return pack_request(progress.request(self.number, plan.answer, k, **plan.brings(progress)))

    def _checked(self, owner: str, content: RecordDict | Failure) -> OwnerReport | Failure:
        """Unpack the report that answers one owner's request; the code of what is wrong with it, if any."""
        expected = self._checks.expected(k=self.counts[owner], values=self._values)
        try:
            opened = self._opened(owner, content, expected)
        except BadMessage as error:
            log.warning("the answer of %s cannot be opened: %s", owner, error)
            return "malformed"
        if isinstance(opened, str):
            return opened
        return self._checks.of(opened, self._progress.scoreboard.records[owner], expected)

    def _opened(
        self, owner: str, content: RecordDict | Failure, expected: Expected
    ) -> RecordDict | Failure:
        """Open the packed answer. `BadMessage` where it is too large, or not this owner's."""
        if owner in self._had:
            return from_bytes(self._had[owner])
        if isinstance(content, str):
            return content
        if (size := size_of(content)) > expected.most_bytes:
            raise BadMessage(f"{size} bytes, above the {expected.most_bytes} that were asked for")
        return self._route.transport.opened(owner, content)

    def _enter_failure(self, owner: str, code: Failure) -> None:
        # An answer that is of no use may have disclosed all that was asked for.
        at_stake = self.counts[owner] if self._plan.hands_over else 0
        self.failed[owner] = code
        self._progress.scoreboard.enter_failure(owner, code, at_stake)

    def _enter_report(self, owner: str, report: OwnerReport) -> None:
        # What is kept is what was understood, whatever else came with it.
        self.came[owner] = as_bytes(pack_report(report))
        scoreboard = self._progress.scoreboard
        scoreboard.enter_card(owner, report.card)
        if report.disclosed is not None:
            scoreboard.enter_answer(owner, report.disclosed, self.counts[owner])
        if report.statistic is not None:
            self._statistics[owner] = report.statistic


def _log_answers(answered: int, sent: int) -> None:
    log.info("%d of %d owners have answered", answered, sent)
