"""Profit and loss of an account, read from its own records, with what its figures rest on."""

from collections.abc import Iterator
from datetime import datetime

from msgspec import Struct

from commands.shared.history import read_history
from tradebot.app.wiring import App
from tradebot.views.performance.fees import ASSUMPTION
from tradebot.views.performance.pieces import breakdown
from tradebot.views.performance.pnl import Choice, Cut, Pnl, pnl

REALIZED = (
    "Realized profit is before fees, first in, first out within each strategy, and belongs to the day of the exit in "
    "New York."
)
OPEN = (
    "What is held is valued at the last price that a pass saw in each session: the bid or ask at which it could be "
    "closed. Brokers value it at the last trade."
)
UNPRICED = (
    "Where a session has no price for a position, its gain falls into the next session that has one; shares bought "
    "meanwhile are at their cost."
)
TRANSFERS = (
    "Deposits and withdrawals are no profit. Neither are shares that were adopted: they enter the books at the "
    "broker's average price."
)
DIVIDENDS = (
    "A dividend goes to the strategy that alone held the symbol on the day it was paid, otherwise to the account."
)
OF_CUT = {
    Cut.HOUR: "The hour is that of the exit, in New York.",
    Cut.REASON: "The reason is the first rule that was recorded with the order that closed the shares.",
    Cut.COMPONENT: (
        "The component is the one that spoke for the entry's direction most: the largest value times weight of its "
        "score."
    ),
}


class ProfitAndLoss(Struct, frozen=True):
    """The profit that was asked for, as of the last recorded moment, and what its figures rest on.

    If `strategy` or `symbol` is named, only their part of the profit is in it. `fills` counts all fills in the books.
    """

    as_of: datetime | None
    strategy: str | None
    symbol: str | None
    fills: int
    pnl: Pnl
    assumptions: tuple[str, ...]


def read(app: "App", by: Cut, choice: "Choice") -> ProfitAndLoss:
    """Return the profit and loss of an account; raise DamagedBooksError, naming the row, if a row of money changed."""
    history = read_history(app)
    found = pnl(breakdown(history), by, choice)
    said = tuple(_assumptions(found, by)) if found.rows else ()
    return ProfitAndLoss(history.at, choice.strategy, choice.symbol, len(history.fills), found, said)


def _assumptions(found: Pnl, by: Cut) -> Iterator[str]:
    yield REALIZED
    yield OPEN
    if found.total.unpriced or any(row.unpriced for row in found.rows):
        yield UNPRICED
    if any(row.fees_usd for row in found.rows):
        yield ASSUMPTION
    if any(row.dividends_usd for row in found.rows):
        yield DIVIDENDS
    if found.transfers_usd:
        yield TRANSFERS
    if by in OF_CUT:
        yield OF_CUT[by]
