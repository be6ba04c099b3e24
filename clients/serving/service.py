"""An owner's vault as its own process serves it: opened requests in, sealed answers out.

This is where content is unpacked, answered, looked at by a person where the policy wants that, and
sealed. It knows no socket; see vault_process.py and vault_server.py.
"""

from __future__ import annotations

import traceback
from dataclasses import replace
from datetime import UTC, datetime, timedelta

from clients.answering.log import ANSWERS, Rationed, note, owner_log
from clients.answering.vault import request_digest
from clients.owner.file import OwnerFile
from clients.owner.live_file import LiveFile
from clients.owner.load import open_vault, task_of
from clients.serving.approval_page import release_page
from clients.serving.approvals import Approvals, Entry, entry_id, now
from clients.serving.socket_protocol import ANSWERED, FAILED, REFUSED, SILENT
from mycroft_fl.data.written import Written, as_written
from mycroft_fl.errors import BadMessage, InputError, Refused, Withheld
from mycroft_fl.examples import Examples
from mycroft_fl.modes import MODES, handing_over
from mycroft_fl.privacy.spending.ledger import Key, PrivacyLedger
from mycroft_fl.protocol.envelope import Opened
from mycroft_fl.protocol.keys import KeyPair
from mycroft_fl.protocol.messages import Described, OwnerReport, Request
from mycroft_fl.protocol.signed import pack_sealed, unpack_opened
from mycroft_fl.protocol.wire import asks_to_look, pack_described, pack_report, unpack_request


class VaultService:
    """The vault that an owner's file names, with its approvals and its key.

    Before each answer it goes by the file as it is then. `InputError` on whatever is wrong with the
    file, its data, its key.
    """

    def __init__(self, file: OwnerFile) -> None:
        self._file, self._live = file, LiveFile(file)
        self._task = task_of(file)
        self._key = KeyPair.load(file.vault.key)
        self._vault = open_vault(file)
        self._book = PrivacyLedger(file.ledger, file.ledger_head)
        self._approvals = Approvals(file.folder, file.vault.quotas.waiting_days)
        self.log = self._vault.log
        self._rationed = Rationed(self.log)
        self._answers = owner_log(file.name, file.folder / ANSWERS)
        self._names: dict[str, str] = {}
        self._adopt(file)

    def answer(self, opened: Opened) -> tuple[int, bytes]:
        """Give the status and, if answered, the sealed bytes. Raises nothing; the owner's log says why."""
        who = self._names.get(opened.signer.fingerprint, "?")
        where = f"{who}, run {opened.terms.run!r}, round {opened.terms.server_round}"
        try:
            return ANSWERED, self._answer(opened)
        except Refused as refusal:
            self._rationed.add(f"{who}: refused", f"{where}: refused: {refusal}")
            return REFUSED, b""
        except Withheld as reason:
            self._rationed.add(f"{who}: withheld", f"{where}: withheld: {reason}")
            return SILENT, b""
        except BadMessage as error:
            self._rationed.add(f"{who}: malformed", f"{where}: malformed: {error}")
        except Exception as error:
            line = f"{where}: could not be answered: {told_of(error)}"
            self._rationed.add(f"{who}: could not be answered", line)
        return FAILED, b""

    def _answer(self, opened: Opened) -> bytes:
        file, peer = self._current(), opened.signer.fingerprint
        self._check_admitted(peer)
        content = unpack_opened(opened)
        if asks_to_look(content):
            return self._described(opened, file)
        request = unpack_request(content)
        if request.server_round != opened.terms.server_round:
            raise BadMessage("the request is of another round than its terms")
        key = Key(file.name, peer, request_digest(request))
        if file.policy.approval and MODES[request.mode].hands_over:
            self._check_queue(key)
        report = self._vault.answer(request, peer)
        if file.policy.approval and report.disclosed is not None:
            self._require_consent(request, key, report)
        sealed = self._sealed(report, opened, file)
        file.policy.check(request, peer)
        self._note_answer(peer, request.mode, sealed)
        return sealed

    def _described(self, opened: Opened, file: OwnerFile) -> bytes:
        """Give the sealed description. It waits for nobody: what the policy allows, a person set there."""
        peer = opened.signer.fingerprint
        described = self._vault.describe(peer)
        sealed = self._sealed(described, opened, file)
        file.policy.check_look(peer)
        self._note_answer(peer, "schema" if described.counts is None else "counts", sealed)
        return sealed

    def _sealed(self, answer: OwnerReport | Described, opened: Opened, file: OwnerFile) -> bytes:
        """Seal an answer, unless its trainer was revoked, or the file changed, since `file` was read."""
        content = pack_described(answer) if isinstance(answer, Described) else pack_report(answer)
        sealed = pack_sealed(content, opened.terms, opened.signer, self._key)
        # The last moment to keep an answer whose trainer was revoked, or whose policy ended, meanwhile.
        if self._current() is not file:
            raise Refused(
                "owner.toml changed while this was computed; asked again, it is as it says now"
            )
        return sealed

    def _note_answer(self, peer: str, what: str, sealed: bytes) -> None:
        line = f"{self._names[peer]}: answered '{what}', {len(sealed)} sealed bytes"
        note(self.log, line)
        note(self._answers, line)

    def _current(self) -> OwnerFile:
        """Give the owner's file as it is now, by which the vault goes from here on."""
        try:
            file = self._live.current()
            if file is not self._file:
                self._adopt(file)
        except InputError as error:
            # An error of the file, whose words are the owner's own: no record stands in it.
            raise BadMessage(f"nothing is answered until owner.toml is mended: {error}") from error
        return file

    def _adopt(self, file: OwnerFile) -> None:
        admitted = file.admitted
        self._vault.adopt(replace(file.policy, trainers=admitted))
        self._book.note_identities((each.name, each.peer) for each in admitted)
        self._names = {each.peer: each.name for each in admitted}
        self._file = file

    def _check_admitted(self, peer: str) -> None:
        """Raise `Refused` for whoever is not listed now. Not by the policy: that of nobody lets all ask."""
        if peer not in self._names:
            raise Refused("this trainer is not listed, or was revoked")

    def _check_queue(self, key: Key) -> None:
        """Raise `Refused` where a trainer has given people as much to look at as it may.

        It counts what was asked and charged, and not what was found or decided: whoever could see
        which of its requests wait would know of which records there are.
        """
        quotas = self._file.vault.quotas
        if self._book.row(key) is not None:
            return
        since = (datetime.now(UTC) - timedelta(days=quotas.waiting_days)).isoformat()
        if self._book.asked_since(key.peer, handing_over(), since) >= quotas.waiting:
            raise Refused(
                f"{quotas.waiting} requests for examples within {quotas.waiting_days} days, as many as a "
                "person may have to look at"
            )

    def _require_consent(self, request: Request, key: Key, report: OwnerReport) -> None:
        """Let a person look. `Withheld` until one agrees, and for ever where there is nothing to see.

        An empty answer waits for nobody and makes no entry, but it is as silent as one that waits:
        else its coming at once would say of all others that something was found.
        """
        assert report.disclosed is not None
        examples, trainer = report.disclosed, self._names[key.peer]
        if len(examples) == 0:
            raise Withheld("nothing was chosen, so nobody need look; silent, like one that waits")

        def entry(id: str, content: str) -> Entry:
            return Entry(
                id, trainer, request.mode, request.server_round, len(examples), now(), content
            )

        def page() -> str:
            facts = [
                f"Trainer '{trainer}' (key {key.peer}) asked by method '{request.method}', mode "
                f"'{request.mode}', round {request.server_round}.",
                f"These {len(examples)} records and their classes would be disclosed to it in full. "
                "No differential privacy applies to them. They are charged already.",
                f"mycroft-fl owner approve {self._file.folder} {entry_id(key)}",
                f"mycroft-fl owner refuse {self._file.folder} {entry_id(key)}",
            ]
            title = f"{len(examples)} records would leave"
            rows = self._as_written(examples)
            return release_page(examples, self._task, title, facts, rows, request.hard)

        self._approvals.require(key, entry, examples, page)

    def _as_written(self, examples: Examples) -> Written | None:
        """Show examples as the owner's file has them; None where it is gone, or has changed since."""
        file = self._file
        if file.data is None:
            return None
        try:
            return as_written(file.data, file.folder, self._task, examples)
        except InputError:
            return None


def told_of(error: BaseException) -> str:
    """Describe an error without its text, which may quote a record: its kind, and where it was raised."""
    if isinstance(error, InputError):
        return type(error).__name__
    frames = traceback.extract_tb(error.__traceback__)[-3:]
    places = [f"{frame.filename.rpartition('/')[2]}:{frame.lineno}" for frame in frames]
    return f"{type(error).__name__} at {' > '.join(places) or 'an unknown place'}"
