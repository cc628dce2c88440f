"""Which trades and lots are shown, and what they add up to."""

from collections.abc import Iterable, Sequence
from datetime import datetime
from decimal import Decimal

from msgspec import Struct

from tradebot.model.trade import Trade
from tradebot.views.performance.days import EVER, Days, day_of
from tradebot.views.performance.reasons import rules_of
from tradebot.views.performance.trade_row import LotRow, Status, TradeRow

_ZERO = Decimal(0)


class Choice(Struct, frozen=True):
    """What trades must be to be chosen; None leaves it open. `reason` is a whole reason, or the name of one rule in it.

    A trade belongs to the day of its last exit, or to all days from its entry on while shares are held.
    """

    days: Days = EVER
    strategy: str | None = None
    symbol: str | None = None
    reason: str | None = None
    is_open: bool | None = None

    def covers(self, one: Trade | TradeRow | LotRow) -> bool:
        """Return True for what is chosen by everything but its reason."""
        return (
            self.strategy in (None, one.strategy)
            and self.symbol in (None, one.symbol)
            and self.is_open in (None, one.closed_at is None)
            and _in_days(self.days, one.opened_at, one.closed_at)
        )


class TradeTotals(Struct, frozen=True):
    """What trades add up to, in USD. A trade is won if its net profit is above zero, and lost if it is below.

    `won`, `lost` and `even` divide the `closed` ones. `held` counts those with open shares, of which `partly_closed`
    are closed in part. `open_usd` is the profit of what is held; `unpriced` trades without a last price aren't in it.
    """

    trades: int
    closed: int
    held: int
    partly_closed: int
    won: int
    lost: int
    even: int
    gross_usd: Decimal
    fees_usd: Decimal
    net_usd: Decimal
    open_usd: Decimal
    unpriced: int


def chosen(rows: Iterable[TradeRow], choice: Choice) -> tuple[TradeRow, ...]:
    """Return the trades that were asked for, in their order."""
    return tuple(
        row
        for row in rows
        if choice.covers(row) and (choice.reason is None or any(_says(reason, choice.reason) for reason in row.reasons))
    )


def chosen_lots(lots: Iterable[LotRow], choice: Choice) -> tuple[LotRow, ...]:
    """Return the pieces that were asked for, in their order; each has a day and a reason, whatever its trade has."""
    return tuple(
        lot for lot in lots if choice.covers(lot) and (choice.reason is None or _says(lot.reason, choice.reason))
    )


def totals_of(rows: Sequence[TradeRow]) -> TradeTotals:
    """Return what these trades add up to."""
    closed = [row for row in rows if row.status is Status.CLOSED]
    held = [row for row in rows if row.status is not Status.CLOSED]
    won, lost = (sum(1 for row in closed if row.net_usd * sign > 0) for sign in (1, -1))
    return TradeTotals(
        trades=len(rows),
        closed=len(closed),
        held=len(held),
        partly_closed=sum(1 for row in held if row.status is Status.PARTLY_CLOSED),
        won=won,
        lost=lost,
        even=len(closed) - won - lost,
        gross_usd=sum((row.gross_usd for row in rows), _ZERO),
        fees_usd=sum((row.fees_usd for row in rows), _ZERO),
        net_usd=sum((row.net_usd for row in rows), _ZERO),
        open_usd=sum((row.open_usd for row in held if row.open_usd is not None), _ZERO),
        unpriced=sum(1 for row in held if row.open_usd is None),
    )


def _in_days(days: Days, opened_at: datetime, closed_at: datetime | None) -> bool:
    return not days.is_after(day_of(opened_at)) if closed_at is None else days.has(closed_at)


def _says(reason: str, wanted: str) -> bool:
    """Return True if a reason is the wanted one, or names that rule."""
    return reason == wanted or wanted in rules_of(reason)
