"""`tradebot trades --swaps`: positions that were closed to make room for new entries, and how both turned out."""

from collections.abc import Iterator, Mapping, Sequence
from datetime import date, datetime, timedelta
from decimal import Decimal

from msgspec import Struct
from rich.console import Console
from rich.markup import escape

from commands.shared.light_helpers import clean
from commands.shared.number_format import gain
from commands.shared.tables import Table, last_folded_column, number
from commands.shared.times import DAY_MINUTE, MINUTE, stamp, zone
from commands.trades.report import all_rows
from tradebot.adapters.state.evidence import BACKTEST, read_evidence
from tradebot.adapters.state.state_folder import BARS
from tradebot.app.wiring import App
from tradebot.model.sentences import pluralize
from tradebot.model.trade import DisplacedClose
from tradebot.views.trades.history import History
from tradebot.views.trades.pnl import fees_not_counted
from tradebot.views.trades.swaps import SwapRow, swaps_of
from tradebot.views.trades.trade_row import Choice, TradeRow

SHOWN = 200
"""How many rows a screen shows; the JSON document has them all."""
STORED = timedelta(days=7)
"""How old a stored daily close may be to count as the last price."""
LATELY = timedelta(hours=1)
"""How long after a swap its new position may be opened, if the settings have no auction."""
VALUES = (
    "A position's value is the score that it was entered with, plus the value of its profit at the time of the "
    "swap, less the cost of a trade. A newcomer's value is its score less that cost. It had to exceed the "
    "position's value by the threshold."
)
EARNED = (
    "Amounts in USD are after fees: what the closed position had earned, and what its newcomer has earned since, "
    "whether it is open or closed. Left behind is what the closed position would have earned since, at the last "
    "price and before fees."
)


class Swaps(Struct, frozen=True):
    """The swaps of some days, oldest first, and the `assumptions` behind the figures."""

    as_of: datetime | None
    from_date: date | None
    to_date: date | None
    swaps: tuple[SwapRow, ...]
    assumptions: tuple[str, ...]


def read(app: "App", choice: "Choice") -> Swaps:
    """Return the swaps of an account, from the records of their decisions."""
    history, rows = all_rows(app)
    gave_way = tuple(each for each in app.ledger_view.past.gave_way() if _is_chosen(each, choice))
    prices = _prices(app, history, {each.intent.key.symbol for each in gave_way})
    rules = app.settings.auction
    within = timedelta(seconds=rules.cooldown_s) if rules else LATELY
    working = {order.client_order_id for order in app.ledger_view.orders(working=True)}
    swap_rows = swaps_of(gave_way, rows.trades, prices, within, working)
    swaps = tuple(each for each in swap_rows if choice.days.has(each.at, history.day))
    return Swaps(history.at, choice.days.first, choice.days.last, swaps, tuple(swap_assumptions(swaps, rows.trades)))


def swap_assumptions(swaps: "Sequence[SwapRow]", trades: "Sequence[TradeRow]") -> "Iterator[str]":
    """Yield the assumptions behind the figures of swaps, and how many fees aren't included yet."""
    if swaps:
        shown = {each for swap in swaps for each in (swap.trade_id, swap.newcomer_id)}
        yield from (VALUES, EARNED)
        yield from fees_not_counted(sum(row.unknown_fees for row in trades if row.id in shown), {})


def _is_chosen(gave_way: "DisplacedClose", choice: "Choice") -> bool:
    intent = gave_way.intent
    both = intent.key.symbol, intent.displaced_by
    return choice.strategy in (None, intent.key.strategy) and (choice.symbol is None or choice.symbol in both)


def _prices(app: "App", history: "History", symbols: set[str]) -> Mapping[str, Decimal]:
    """Return the last known price of each of these symbols, without a request."""
    closes = dict(_stored_closes(app, history, symbols))
    if app.folder.kind == BACKTEST:
        closes |= read_evidence(app.folder.path).last_prices
    return closes | dict(history.marks)


def _stored_closes(app: "App", history: "History", symbols: set[str]) -> Iterator[tuple[str, Decimal]]:
    if history.at is None or not (app.folder.path / BARS).exists():
        return
    last = history.day.date_of(history.at)
    for symbol in sorted(symbols):
        closes = app.bars.closes(symbol, last - STORED, last)
        if closes:
            yield symbol, Decimal(str(closes[max(closes)]))


def show(console: "Console", data: Swaps) -> None:
    """Print a row for each swap, and the assumptions behind its figures."""
    span = "".join(f" {word} {day}" for word, day in (("from", data.from_date), ("to", data.to_date)) if day)
    console.print(f"{pluralize(len(data.swaps), 'swap')}{span}")
    if not data.swaps:
        console.print("No position was closed to make room for another.", markup=False)
        return
    if len(data.swaps) > SHOWN:
        console.print(f"Showing the last {SHOWN:,}; --from and --json show others", markup=False)
    console.print(_table(data.swaps[-SHOWN:]))
    for row in data.swaps[-SHOWN:]:
        if row.held or row.closes > 1:
            console.print(_unfinished_text(row), markup=False)
    for line in data.assumptions:
        console.print(line, markup=False, style="dim")


def _unfinished_text(row: "SwapRow") -> str:
    """Return how much of a position was closed, if its first closing order didn't close all of it."""
    which = f"{clean(row.symbol)} for {clean(row.newcomer)} at {stamp(row.at, DAY_MINUTE)}"
    tries = pluralize(row.closes, "closing order")
    if not row.held:
        return f"{which}: it took {tries} to close {row.quantity:,f}" if row.held is not None else f"{which}: {tries}"
    open_text = f"{row.held:,f} of {row.quantity:,f} are still open after {tries}"
    if row.works:
        return f"{which}: {open_text}, one of which is still working"
    return (
        f"{which}: {open_text}. The broker ended the last one early; the rest is open until an exit or a swap closes it"
    )


def _table(rows: "Sequence[SwapRow]") -> Table:
    form = DAY_MINUTE if len({row.at.year for row in rows}) == 1 else MINUTE
    several = len({row.strategy for row in rows}) > 1
    values = ("value", "R", "cost", "threshold", "newcomer's")
    table = Table(
        f"decided {zone()}", last_folded_column("closed"), last_folded_column("for"), *map(number, values),
        *map(number, ("closed USD", "newcomer USD", "left behind")), "strategy", "trade", "new trade",
    )  # fmt: skip
    for row in rows:
        table.row(
            stamp(row.at, form),
            escape(clean(row.symbol)),
            escape(clean(row.newcomer)),
            *map(_value, (row.value, row.r, row.cost, row.threshold, row.value_of_newcomer)),
            *map(_usd, (row.closed_usd, row.newcomer_usd, row.left_usd)),
            escape(row.strategy) if several else "",
            row.trade_id or "",
            row.newcomer_id or "not opened",
        )
    return table


def _value(of: Decimal | None) -> str:
    return "" if of is None else f"{of:.2f}"


def _usd(of: Decimal | None) -> str:
    return "" if of is None else gain(of)
