"""`trades --symbol SYMBOL --plot FILE`: the trades on their symbol's candles, at unadjusted prices.

Each trade is drawn with its entry, its stop over time, its targets, and its invalidation price.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from math import ceil
from typing import TYPE_CHECKING, NamedTuple

from commands.shared.files import GAIN, INK, LOSS, QUIET, open_figure, write_title
from commands.shared.history import read_history
from commands.shared.light_helpers import clean
from commands.shared.number_format import usd
from commands.shared.times import DAY_MINUTE, stamp
from tradebot.adapters.state.evidence import BACKTEST
from tradebot.app.sandbox import market_spec
from tradebot.errors import OperatorError
from tradebot.exits.exit_rule import PriceTarget, WatchedPosition
from tradebot.exits.rules import rule_levels
from tradebot.model.candidate import Side
from tradebot.model.instrument import notional
from tradebot.model.position import EntryTerms, Lot, Origin, Position
from tradebot.model.sentences import pluralize
from tradebot.model.series import DAY, Series
from tradebot.model.struct_tools import replace
from tradebot.model.view import BarNeed
from tradebot.views.trades.trade_row import LONG, TradeRow

if TYPE_CHECKING:
    from pathlib import Path

    from matplotlib.axes import Axes

    from tradebot.app.wiring import App
    from tradebot.model.order import Fill
    from tradebot.ports.stores import Bars
    from tradebot.views.trades.history import History

IndexAt = Callable[[datetime], int]
"""Returns the place of the candle in which a moment lies."""


class PlannedLevels(NamedTuple):
    """A trade's planned exits, as prices in USD: `first_stop`, `targets` and `invalid` are as of its entry.

    `stops` are the stops that were working at the venue, each with the time when it was sent, oldest first. Unknown
    levels are None or empty.
    """

    trade: TradeRow
    first_stop: Decimal | None
    targets: Sequence[PriceTarget]
    invalid: Decimal | None
    stops: Sequence[tuple[datetime, Decimal]]


def planned_levels(app: App, history: History, trade: TradeRow, fills: Sequence[Fill]) -> PlannedLevels:
    """Return the exits planned for a trade, from the terms recorded at its entry and today's rules."""
    sign = 1 if trade.side == LONG else -1
    first = next((fill.venue_order_id for fill in fills if fill.at >= trade.opened_at), None)
    order = next((order for order in app.ledger_view.orders() if order.venue_id == first), None)
    entry_terms = replace(history.kept.get(trade.key, EntryTerms()), first_gain=order.first_gain if order else None)
    watched = _as_opened(trade, sign, entry_terms)
    at_entry = rule_levels(watched, app.rules.exits_watching(watched.position, entry_terms))
    invalid = None if entry_terms.invalid_fraction is None else watched.price_at(-entry_terms.invalid_fraction)
    return PlannedLevels(trade, at_entry.stop, at_entry.targets, invalid, list(_resting_stops(history, trade, sign)))


def _as_opened(trade: TradeRow, sign: int, entry_terms: EntryTerms) -> WatchedPosition:
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
    return WatchedPosition(position, trade.entry_price, entry_terms)


def _resting_stops(history: History, trade: TradeRow, sign: int) -> Iterator[tuple[datetime, Decimal]]:
    for stop in history.stops:
        is_its_own = (stop.strategy, stop.symbol, stop.side.sign) == (trade.strategy, trade.symbol, -sign)
        if is_its_own and trade.opened_at <= stop.at and (trade.closed_at is None or stop.at <= trade.closed_at):
            yield stop.at, stop.price


def draw_levels(axes: Axes, plans: Sequence[PlannedLevels], index_at: IndexAt, end: datetime) -> None:
    """Draw the levels of trades over the candles in which each was open; a single trade's levels are labeled."""
    for plan in plans:
        first, last = index_at(plan.trade.opened_at), index_at(plan.trade.closed_at or end)
        last = max(last, first + 1)
        _moves(axes, plan, index_at, last)
        for price, color, style, word in lines_of(plan):
            axes.plot([first, last], [float(price)] * 2, color=color, linewidth=1.0, linestyle=style, zorder=3)
            if len(plans) == 1:
                text, at = f"{word} {usd(price, plan.trade.symbol)}", (last, float(price))
                axes.annotate(text, at, color=color, fontsize=8, va="center", xytext=(6, 0), textcoords="offset points")


def _moves(axes: Axes, plan: PlannedLevels, index_at: IndexAt, last: int) -> None:
    """Draw the stop that rested at the venue, from when it was sent to when the next one was."""
    if plan.stops:
        indexes, prices = [index_at(at) for at, _ in plan.stops], [float(price) for _, price in plan.stops]
        axes.step([*indexes, last], [*prices, prices[-1]], where="post", color=LOSS, linewidth=1.2, zorder=3)


def lines_of(plan: PlannedLevels) -> Iterator[tuple[Decimal, str, str, str]]:
    """Yield the fixed levels of a trade, each with its price, line color, line style, and label."""
    trade = plan.trade
    yield trade.entry_price, INK, "solid", "entry"
    if plan.first_stop is not None:
        yield plan.first_stop, LOSS, "dotted", "first stop"
    for target in plan.targets:
        yield target.price, GAIN, "dashed", f"target, {target.shares / trade.quantity:.0%}:"
    if plan.invalid is not None:
        yield plan.invalid, QUIET, "dashdot", "reason gone"


MINUTES, MINUTES_LAST = "5Min", timedelta(minutes=5)
"""The timeframe of short spans, and how long its bars last."""
FEW = timedelta(days=7)
"""The longest period drawn in bars of five minutes; a longer one is drawn in days."""
AROUND = {MINUTES: timedelta(hours=1), DAY: timedelta(days=7)}
"""The margin of candles before the first trade and after the last one."""
SIDES = ((Side.BUY, "^", "#1d4ed8", "bought"), (Side.SELL, "v", "#b4530a", "sold"))
LABELS = 7
COLUMNS = ("starts", "open", "high", "low", "close", "volume")


class CandleChart(NamedTuple):
    """A symbol's candles, the chosen trades, their fills, and their planned exits.

    `end` is the last recorded moment.
    """

    series: Series
    trades: Sequence[TradeRow]
    fills: Sequence[Fill]
    plans: Sequence[PlannedLevels]
    end: datetime

    def candle_index(self, at: datetime) -> int:
        """Return the index of the candle that contains a moment; there are no gaps between candles for nights."""
        return max(bisect_right(self.series.starts, at.timestamp()) - 1, 0)


def draw(of: CandleChart, file: Path) -> None:
    """Draw the trades on their candles; raise OperatorError if the file can't be written."""
    with open_figure(file, 10, 5) as figure:
        axes = figure.subplots()
        _candles(axes, of.series)
        draw_levels(axes, of.plans, of.candle_index, of.end)
        _trades(axes, of)
        width = "5 minutes" if of.series.timeframe == MINUTES else "a day"
        write_title(axes, f"{clean(of.series.symbol)}, {pluralize(len(of.trades), 'trade')}, candles of {width}")


def draw_candles(app: App, trades: Sequence[TradeRow], symbol: str, as_of: datetime | None) -> CandleChart:
    """Return what it takes to draw one symbol's trades; raise OperatorError without trades, or without bars."""
    if not trades or as_of is None:
        raise OperatorError(f"There is no trade in {symbol} to draw", "tradebot trades")
    first, last = min(each.opened_at for each in trades), max(each.closed_at or as_of for each in trades)
    return candle_chart(app, series_around(app, symbol, first, last, as_of), trades, as_of)


def candle_chart(app: App, series: Series, trades: Sequence[TradeRow], as_of: datetime) -> CandleChart:
    """Return what it takes to draw trades on their symbol's candles."""
    fills = _fills(app, trades, series.symbol, as_of) if trades else []
    history = read_history(app) if trades else None
    plans = [planned_levels(app, history, each, fills) for each in trades] if history else []
    return CandleChart(series, trades, fills, plans, as_of)


def _fills(app: App, trades: Sequence[TradeRow], symbol: str, as_of: datetime) -> list[Fill]:
    spans = [(each.strategy, each.opened_at, each.closed_at or as_of) for each in trades]
    return [
        owned.fill
        for owned in app.ledger_view.fills()
        if owned.fill.symbol == symbol
        and owned.origin is Origin.VENUE
        and any(owned.strategy == name and start <= owned.fill.at <= end for name, start, end in spans)
    ]


def series_around(app: App, symbol: str, first: datetime, last: datetime, as_of: datetime) -> Series:
    """Return the bars around a period; raise OperatorError if there are none."""
    timeframe = MINUTES if last - first <= FEW else DAY
    around = AROUND[timeframe]
    days = (last - first + 2 * around).days + 1
    need = BarNeed(
        timeframe, days * ceil(app.day.lasts / MINUTES_LAST) if timeframe == MINUTES else days, adjusted=False
    )
    series = _bars(app).closed(need, [symbol], min(last + around, as_of)).get(symbol)
    start = bisect_left(series.starts, (first - around).timestamp()) if series else 0
    if series is None or start == len(series):
        raise OperatorError(f"There are no bars of {symbol} from {first:%Y-%m-%d} on", "tradebot bars fetch")
    return replace(series, **{name: getattr(series, name)[start:] for name in COLUMNS})


def _bars(app: App) -> Bars:
    """Return the bot's bars; a backtest stores none, so its market is generated again."""
    if app.folder.kind != BACKTEST:
        return app.bars
    from tradebot.lab.backtest.results import bars_of

    return bars_of(market_spec(app.settings))


def _candles(axes: Axes, of: Series) -> None:
    indexes = range(len(of))
    axes.vlines(indexes, of.low, of.high, color=QUIET, linewidth=0.7, zorder=1)
    bodies = [(min(pair), abs(pair[1] - pair[0])) for pair in zip(of.open, of.close, strict=True)]
    colors = ["white" if close > opened else QUIET for opened, close in zip(of.open, of.close, strict=True)]
    bottoms, heights = zip(*bodies, strict=True)
    axes.bar(indexes, heights, bottom=bottoms, width=0.7, color=colors, edgecolor=QUIET, linewidth=0.5, zorder=2)
    step = -(-len(of) // LABELS)
    axes.set_xticks(indexes[::step], [label(of, index) for index in indexes[::step]])
    axes.margins(x=0.01)
    axes.set_ylabel("USD", color=QUIET)
    axes.tick_params(length=0, labelcolor=QUIET)
    axes.spines[:].set_visible(False)
    axes.grid(axis="y", color=QUIET, alpha=0.2)


def label(of: Series, index: int) -> str:
    """Return a candle's start as the reader sees it: a date, or a date and a time."""
    at = datetime.fromtimestamp(of.starts[index], UTC)
    return f"{at:%Y-%m-%d}" if of.timeframe == DAY else stamp(at, DAY_MINUTE)


def _trades(axes: Axes, of: CandleChart) -> None:
    price = {fill.at: float(fill.price) for fill in of.fills}
    for each in of.trades:
        if each.closed_at and each.opened_at in price and each.closed_at in price:
            ends = each.opened_at, each.closed_at
            color = GAIN if each.net_usd > 0 else LOSS
            axes.plot(
                [of.candle_index(at) for at in ends], [price[at] for at in ends], color=color, linewidth=1.4, zorder=3
            )
    for side, marker, color, name in SIDES:
        of_side = [fill for fill in of.fills if fill.side is side]
        indexes, prices = [of.candle_index(fill.at) for fill in of_side], [float(fill.price) for fill in of_side]
        axes.scatter(indexes, prices, marker=marker, s=42, color=color, edgecolor="white", zorder=4, label=name)
    axes.legend(frameon=False, loc="lower right", bbox_to_anchor=(1, 1), ncols=2, labelcolor=INK)
