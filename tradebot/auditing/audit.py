"""The complete audit: every item in a fixed order, and the findings ranked by urgency."""

from collections.abc import Iterator
from dataclasses import dataclass

from tradebot.auditing import books, risk, running
from tradebot.auditing.evidence import Evidence
from tradebot.auditing.items import Item, ranked


@dataclass(frozen=True, slots=True)
class Audit:
    """Every item in a fixed order, and the findings (items that need action), most urgent first."""

    items: tuple[Item, ...]
    findings: tuple[Item, ...]


def audit(evidence: Evidence, *, finished: bool = False) -> Audit:
    """Judge everything that was looked at. What was left out on request is UNKNOWN and isn't a finding.

    Of a `finished` backtest, only the books are judged: nothing runs there anymore.
    """
    items = tuple(_books(evidence) if finished else _items(evidence))
    return Audit(items, ranked(items))


def _books(evidence: Evidence) -> Iterator[Item]:
    yield running.configuration(evidence)
    yield risk.trading_state(evidence)
    yield risk.positions(evidence)
    yield books.orders(evidence)
    yield books.unresolved(evidence)
    yield books.journal(evidence)
    yield books.compared(evidence)


def _items(evidence: Evidence) -> Iterator[Item]:
    yield from running.process(evidence)
    yield running.market(evidence)
    yield running.calendar(evidence)
    yield running.configuration(evidence)
    yield from running.data(evidence)
    yield running.quotes(evidence)
    yield running.signals(evidence)
    yield running.cycles(evidence)
    yield running.blocks(evidence)
    yield running.events(evidence)
    yield risk.permission(evidence)
    yield risk.trading_state(evidence)
    yield risk.positions(evidence)
    yield risk.exits_recorded(evidence)
    yield risk.exits_now(evidence)
    yield from risk.limits(evidence)
    yield books.orders(evidence)
    yield books.unresolved(evidence)
    yield books.journal(evidence)
    yield books.backups(evidence)
    yield books.broker(evidence)
    yield books.compared(evidence)
