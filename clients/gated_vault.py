"""An owner's vault as its own process serves it: opened requests in, sealed answers out.

This is where content is unpacked, answered, looked at by a person where the policy wants that, and
sealed. It knows no socket; see vault_process.py and vault_server.py.
"""

from __future__ import annotations

import traceback

from clients.approvals import Approvals, Entry, entry_id, now
from clients.opening import check_trainers, open_vault, task_of
from clients.owner_file import OwnerFile
from clients.owner_log import note
from clients.release_page import release_page
from clients.socket_protocol import ANSWERED, FAILED, REFUSED
from clients.vault import request_digest
from clients.vault_process import SILENT
from mycroft_fl.envelope import Opened
from mycroft_fl.errors import BadMessage, InputError, Refused, Withheld
from mycroft_fl.exchange import OwnerReport, Request
from mycroft_fl.keys import KeyPair
from mycroft_fl.privacy.ledger import Key
from mycroft_fl.sealed import pack_sealed, unpack_opened
from mycroft_fl.wire import pack_report, unpack_request


class GatedVault:
    """The vault that an owner's file names, with its approvals and its key.

    `InputError` on whatever is wrong with the file, its data, its key.
    """

    def __init__(self, file: OwnerFile) -> None:
        check_trainers(file)
        self._file = file
        self._task = task_of(file)
        self._key = KeyPair.load(file.vault.key)
        self._vault = open_vault(file)
        self._approvals = Approvals(file.folder)
        self._names = {each.peer: each.name for each in file.policy.trainers}
        self.log = self._vault.log

    def answer(self, opened: Opened) -> tuple[int, bytes]:
        """The status and, if answered, the sealed bytes. Raises nothing; the owner's log says why."""
        who = self._names.get(opened.signer.fingerprint, "?")
        where = f"{who}, run {opened.terms.run!r}, round {opened.terms.server_round}"
        try:
            return ANSWERED, self._answer(opened)
        except Refused as refusal:
            note(self.log, f"{where}: refused: {refusal}")
            return REFUSED, b""
        except Withheld as reason:
            note(self.log, f"{where}: withheld: {reason}")
            return SILENT, b""
        except BadMessage as error:
            note(self.log, f"{where}: malformed: {error}")
        except Exception as error:
            note(self.log, f"{where}: could not be answered: {told_of(error)}")
        return FAILED, b""

    def _answer(self, opened: Opened) -> bytes:
        request = unpack_request(unpack_opened(opened))
        if request.server_round != opened.terms.server_round:
            raise BadMessage("the request is of another round than its terms")
        peer = opened.signer.fingerprint
        report = self._vault.answer(request, peer)
        if self._file.policy.approval and report.disclosed is not None:
            self._require_consent(
                request, Key(self._file.name, peer, request_digest(request)), report
            )
        sealed = pack_sealed(pack_report(report), opened.terms, opened.signer, self._key)
        note(
            self.log, f"{self._names[peer]}: answered '{request.mode}', {len(sealed)} sealed bytes"
        )
        return sealed

    def _require_consent(self, request: Request, key: Key, report: OwnerReport) -> None:
        assert report.disclosed is not None
        examples, trainer = report.disclosed, self._names[key.peer]

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
            return release_page(examples, self._task, f"{len(examples)} records would leave", facts)

        self._approvals.require(key, entry, examples, page)


def told_of(error: BaseException) -> str:
    """An error without its text, which may quote a record: its kind, and where it was raised."""
    if isinstance(error, InputError):
        return type(error).__name__
    frames = traceback.extract_tb(error.__traceback__)[-3:]
    places = [f"{frame.filename.rpartition('/')[2]}:{frame.lineno}" for frame in frames]
    return f"{type(error).__name__} at {' > '.join(places) or 'an unknown place'}"
