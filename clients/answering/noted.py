"""The note in an owner's ledger: its limits, and where the noise of its answers comes from."""

from __future__ import annotations

import json

from clients.answering.policy import Policy
from mycroft_fl.errors import InputError
from mycroft_fl.privacy.spending.ledger import PrivacyLedger


def check_noise(ledger: PrivacyLedger, origin: str) -> None:
    """Raise `InputError` where the ledger's answers have noise from elsewhere than `origin`.

    Else answers kept from a simulation would leave under a real owner's card.
    """
    noted = json.loads(ledger.limits() or "{}")
    if noted.get("noise", origin) != origin:
        raise InputError(
            f"the ledger's answers have noise of '{noted['noise']}', and this vault's is '{origin}'; "
            "begin with an empty folder"
        )


def note(ledger: PrivacyLedger, policy: Policy, origin: str) -> None:
    """Leave the policy's limits in the ledger, and the origin of its noise, which must not change."""
    check_noise(ledger, origin)
    limits = policy.limits("").overall.as_json()
    ledger.note_limits(json.dumps({**limits, "noise": origin}))
