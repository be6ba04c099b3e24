"""What an owner states about an answer: its card, from its ledger and its policy."""

from __future__ import annotations

from clients.policy import Policy
from mycroft_fl.exchange import HANDING_OVER
from mycroft_fl.privacy.accounting import epsilon_of
from mycroft_fl.privacy.card import FLOAT_NOISE, Card
from mycroft_fl.privacy.ledger import Key, PrivacyLedger


def card_for(
    ledger: PrivacyLedger, policy: Policy, key: Key, *, by_person: bool, noise: str
) -> Card:
    """The card of the answer to a charged request, with totals of all that its trainer was given."""
    rows = ledger.rows()
    row = ledger.row(key)
    assert row is not None  # whoever states something has charged it
    own = ledger.peers_of(key.peer)
    spends = [each.spend for each in rows if each.peer in own]
    hands_over, delta = row.mode in HANDING_OVER, policy.delta
    return Card(
        mode=row.mode,
        unit="person" if by_person and not hands_over else "record",
        records=row.records,
        records_total=sum(each.records for each in spends),
        delta=delta,
        epsilon=epsilon_of([row.spend], delta),
        epsilon_total=epsilon_of(spends, delta),
        epsilon_limit=policy.epsilon or 0.0,
        rho=row.rho,
        rho_total=sum(each.rho for each in spends),
        epsilon_minus_total=sum(each.epsilon_minus for each in spends),
        noise=_origin(row.mode, noise),
        # An empty answer too: that nothing was chosen is known of every record.
        raw=any(each.mode == "raw" for each in rows),
    )


def _origin(mode: str, noise: str) -> str:
    """Where an answer's randomness came from; DP-SGD's is never better than a float generator's."""
    if mode == "raw":
        return "none"
    return FLOAT_NOISE if mode == "dp-sgd" and noise != "SIMULATED" else noise
