"""Where a trade was to end, drawn into its picture: its stop as it moved, its targets, where its reason was gone."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from datetime import datetime
from decimal import Decimal
from typing import TYPE_CHECKING, NamedTuple

from commands.shared.number_format import usd
from commands.shared.pictures import GAIN, INK, LOSS, QUIET
from tradebot.exits.kind import WatchedPosition
from tradebot.exits.lists import levels
from tradebot.model.instrument import notional
from tradebot.model.position import Kept, Lot, Position
from tradebot.model.values import replace
from tradebot.views.trades.trade_row import LONG

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from tradebot.app.wiring import App
    from tradebot.exits.kind import PriceTarget
    from tradebot.model.order import Fill
    from tradebot.views.trades.history import History
    from tradebot.views.trades.trade_row import TradeRow

Place = Callable[[datetime], int]
"""Returns the place of the candle in which a moment lies."""


class PlannedLevels(NamedTuple):
    """Where a trade was to end: `first_stop`, `targets` and `invalid` as at its entry, prices in USD.

    `stops` are the stops that rested at the venue, with when each was sent, oldest first. What the entry and the rules
    didn't say is None or empty.
    """

    trade: TradeRow
    first_stop: Decimal | None
    targets: Sequence[PriceTarget]
    invalid: Decimal | None
    stops: Sequence[tuple[datetime, Decimal]]


def planned_levels(app: App, history: History, trade: TradeRow, fills: Sequence[Fill]) -> PlannedLevels:
    """Return where a trade was to end, given its fills: by what its entry said, and by the rules in force today."""
    sign = 1 if trade.side == LONG else -1
    first = next((fill.venue_order_id for fill in fills if fill.at >= trade.opened_at), None)
    order = next((one for one in app.ledger_view.orders() if one.venue_id == first), None)
    kept = replace(history.kept.get(trade.key, Kept()), first_gain=order.first_gain if order else None)
    held = _as_opened(trade, sign, kept)
    at_entry = levels(held, app.rules.exits_watching(held.position, kept))
    invalid = None if kept.invalid_fraction is None else held.price_at(-kept.invalid_fraction)
    return PlannedLevels(trade, at_entry.stop, at_entry.targets, invalid, list(_rested(history, trade, sign)))


def _as_opened(trade: TradeRow, sign: int, kept: Kept) -> WatchedPosition:
    """Return a trade as the position that it was once all its shares were entered, before any left."""
    lot, at = Lot(sign * trade.quantity, trade.entry_price, trade.opened_at), trade.opened_at
    cost = notional(trade.quantity, trade.entry_price, trade.multiplier)
    position = Position(
        trade.strategy,
        trade.symbol,
        (lot,),
        Decimal(0),
        at,
        original_quantity=trade.quantity,
        entry_cost=cost,
        multiplier=trade.multiplier,
    )
    return WatchedPosition(position, trade.entry_price, kept)


def _rested(history: History, trade: TradeRow, sign: int) -> Iterator[tuple[datetime, Decimal]]:
    for stop in history.stops:
        is_its_own = (stop.strategy, stop.symbol, stop.side.sign) == (trade.strategy, trade.symbol, -sign)
        if is_its_own and trade.opened_at <= stop.at and (trade.closed_at is None or stop.at <= trade.closed_at):
            yield stop.at, stop.price


def draw_levels(axes: Axes, plans: Sequence[PlannedLevels], place: Place, end: datetime) -> None:
    """Draw the levels of trades over the candles in which each was open; those of a single trade say what they are."""
    for plan in plans:
        first, last = place(plan.trade.opened_at), place(plan.trade.closed_at or end)
        last = max(last, first + 1)
        _moves(axes, plan, place, last)
        for price, color, style, word in lines_of(plan):
            axes.plot([first, last], [float(price)] * 2, color=color, linewidth=1.0, linestyle=style, zorder=3)
            if len(plans) == 1:
                text, at = f"{word} {usd(price, plan.trade.symbol)}", (last, float(price))
                axes.annotate(text, at, color=color, fontsize=8, va="center", xytext=(6, 0), textcoords="offset points")


def _moves(axes: Axes, plan: PlannedLevels, place: Place, last: int) -> None:
    """Draw the stop that rested at the venue, from when it was sent to when the next one was."""
    if plan.stops:
        places, prices = [place(at) for at, _ in plan.stops], [float(price) for _, price in plan.stops]
        axes.step([*places, last], [*prices, prices[-1]], where="post", color=LOSS, linewidth=1.2, zorder=3)


def lines_of(plan: PlannedLevels) -> Iterator[tuple[Decimal, str, str, str]]:
    """Yield the fixed levels of a trade: price, line color and style, and label."""
    trade = plan.trade
    yield trade.entry_price, INK, "solid", "entry"
    if plan.first_stop is not None:
        yield plan.first_stop, LOSS, "dotted", "first stop"
    for target in plan.targets:
        yield target.price, GAIN, "dashed", f"target, {target.shares / trade.quantity:.0%}:"
    if plan.invalid is not None:
        yield plan.invalid, QUIET, "dashdot", "reason gone"
