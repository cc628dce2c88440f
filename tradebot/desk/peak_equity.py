"""The highest equity, from which the drawdown is measured: no single reading moves it far."""

from decimal import Decimal

from tradebot.gates.book import equity_explained
from tradebot.model.account import EquityPeak
from tradebot.model.desk import Book
from tradebot.ports.stores import Ledger

JUMP = 10
"""Equity of more than so many times what was known is believed once a second pass has seen it too."""


def remember(ledger: Ledger, book: Book) -> None:
    """Store a new highest equity, if cash and positions explain it; a jump counts as low as the two times it was seen.

    Before the first look the opening cash is what is known.
    """
    if ledger.books_opened_at() is None or not equity_explained(book):
        return
    before = ledger.equity_peak() or EquityPeak(Decimal(0), Decimal(0))
    jumped = book.equity > JUMP * (before.highest or ledger.opening_cash())
    believed = min(book.equity, before.seen_once) if jumped else book.equity
    now = EquityPeak(max(before.highest, believed), book.equity if jumped else Decimal(0))
    if now != before:
        ledger.put_equity_peak(now)
