"""The highest equity, from which the drawdown is measured: no single reading moves it far."""

from decimal import Decimal

from tradebot.desk.snapshot import EQUITY
from tradebot.gates.book import equity_explained
from tradebot.model.desk import Book
from tradebot.ports.stores import Ledger

JUMP = 10
"""Equity of more than so many times what was known is believed once a second pass has seen it too."""

SEEN_ONCE = ("account", "equity seen once")
"""Under these two words the ledger keeps a jump that waits to be seen again; zero where none does."""


def remember(ledger: Ledger, book: Book) -> None:
    """Store a new highest equity, if cash and positions explain it; a jump counts as low as the two times it was seen.

    Before the first look the opening cash is what is known.
    """
    opened = ledger.books_opened_at()
    if opened is None or not equity_explained(book):
        return
    peak = ledger.high_water(*EQUITY, opened) or Decimal(0)
    seen_before = ledger.high_water(*SEEN_ONCE, opened) or Decimal(0)
    jumped = book.equity > JUMP * (peak or ledger.opening_cash())
    seen_now = book.equity if jumped else Decimal(0)
    believed = min(book.equity, seen_before) if jumped else book.equity
    if believed > peak:
        ledger.put_high_water(*EQUITY, opened, believed)
    if seen_now != seen_before:
        ledger.put_high_water(*SEEN_ONCE, opened, seen_now)
