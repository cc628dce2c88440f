"""Keep the highest equity, from which drawdown is measured, without letting a single reading move it far."""

from decimal import Decimal

from tradebot.gates.book import equity_explained
from tradebot.model.account import EquityPeak
from tradebot.model.books import Standing
from tradebot.model.desk import Book
from tradebot.ports.stores import Ledger

JUMP = 10
"""If equity exceeds this many times the known value, a second pass must see it before it is believed."""


def remember(ledger: Ledger, standing: Standing, book: Book) -> None:
    """Store a new highest equity if cash and positions explain it.

    A jump must be seen twice, and the lower of the two values counts. Before the first reading, the opening cash is the
    known value.
    """
    if equity_explained(book):
        remember_explained(ledger, standing, book.equity)


def remember_explained(ledger: Ledger, standing: Standing, equity: Decimal) -> None:
    """Do so with an equity in USD that cash and positions explain."""
    if standing.opening_cash is None:
        return
    before = standing.peak or EquityPeak(Decimal(0), Decimal(0))
    jumped = equity > JUMP * (before.highest or standing.opening_cash)
    believed = min(equity, before.seen_once) if jumped else equity
    now = EquityPeak(max(before.highest, believed), equity if jumped else Decimal(0))
    if now != before:
        ledger.put_equity_peak(now)
