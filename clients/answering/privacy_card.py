"""The card of an answer, from an owner's ledger and its policy."""

from __future__ import annotations

from dataclasses import dataclass

from clients.answering.policy import Policy
from mycroft_fl.modes import mode_of
from mycroft_fl.privacy.noise.accounting import epsilon_of
from mycroft_fl.privacy.spending.ledger import Key, PrivacyLedger
from mycroft_fl.protocol.card import Card


@dataclass(frozen=True)
class Given:
    """The content of an answer: how many records, per which unit, with noise from where."""

    records: int
    unit: str
    noise: str


def card_for(ledger: PrivacyLedger, policy: Policy, key: Key, given: Given) -> Card:
    """State what an answer to a charged request promises, with totals of all its trainer was given.

    Other trainers' answers play no part: a card must not tell one trainer what another got.
    """
    row = ledger.row(key)
    assert row is not None  # whoever states something has charged it
    own = ledger.peers_of(key.peer)
    rows = [each for each in ledger.rows() if each.peer in own]
    spends = [each.spend for each in rows]
    mode, delta = mode_of(row.mode), policy.delta
    return Card(
        mode=row.mode,
        unit="record" if mode.hands_over else given.unit,
        records=given.records,
        records_total=ledger.handed_over(key.peer),
        delta=delta,
        epsilon=epsilon_of([row.spend], delta),
        epsilon_total=epsilon_of(spends, delta),
        epsilon_limit=policy.epsilon or 0.0,
        rho=row.rho,
        rho_total=sum(each.rho for each in spends),
        epsilon_minus_total=sum(each.epsilon_minus for each in spends),
        noise="none" if mode.by_method else given.noise,
        # An empty answer too: that nothing was chosen is known of every record.
        raw=any(mode_of(each.mode).by_method for each in rows),
    )
