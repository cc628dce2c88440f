"""`tradebot bars fetch`: fetch bars into the bot's store, and the splits and dividends that adjust them."""

import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from datetime import date, datetime, timedelta
from typing import TYPE_CHECKING

from msgspec import Struct
from rich.markup import escape
from rich.progress import Progress, ProgressColumn, SpinnerColumn, Task, TextColumn
from rich.text import Text

from commands.bars.shared import series_name, spans_of, symbols_of, timeframe_of
from commands.shared.tables import Table, number, sentence
from commands.shared.times import when
from commands.shared.verb_options import Report, console
from tradebot.app.rules import symbols_on
from tradebot.errors import OperatorError, TemporaryError, word
from tradebot.model.sentences import pluralize
from tradebot.model.series import PriceKind

if TYPE_CHECKING:
    from rich.console import Console

    from tradebot.app.wiring import App

BATCH = 20
"""How many symbols are fetched together, so that an interrupted fetch has finished some of them."""

SHOWN = 10
"""How many symbols of a row a screen names."""


class WantedBars(Struct, frozen=True):
    """The bars to fetch: those of a timeframe that start at `first` or later and have ended by `until`."""

    symbols: tuple[str, ...]
    timeframe: str
    first: date
    until: datetime


class FetchedRow(Struct, frozen=True):
    """One request: its timeframe and symbols as the store names them, and how many of its bars are new.

    `strategy` is the strategy that needs them; None for a request on the command line.
    """

    strategy: str | None
    timeframe: str
    symbols: tuple[str, ...]
    new: int
    price: "PriceKind"


class BarsFetched(Struct, frozen=True):
    """The bars fetched by trading time `now`; `stored` counts all bars in the store."""

    now: datetime
    rows: tuple[FetchedRow, ...]
    new: int
    stored: int


def run(app: "App", wanted: "Callable[[datetime], WantedBars | None]", heard: Callable[[int], None]) -> Report:
    """Fetch the requested bars; without a request, fetch the bars that the strategies in use need.

    Raise TemporaryError if the source doesn't respond. The bars received until then are stored, and the message says
    how many.
    """
    now, before = app.now(), _count(app)
    request = wanted(now)
    try:
        rows = (_fetch_some(app, request, heard),) if request else tuple(_fetch_needs(app, now))
    except TemporaryError as error:
        bars_text = pluralize(_count(app) - before, "new bar")
        raise TemporaryError(f"{error.message.rstrip('.')}; {bars_text} kept", error.hint, code=error.code) from error
    data = BarsFetched(now, rows, sum(row.new for row in rows), _count(app))
    return Report("bars-fetch", data, _render)


def _count(app: "App") -> int:
    return sum(span.count for span in spans_of(app))


def _fetch_some(app: "App", wanted: WantedBars, heard: Callable[[int], None]) -> FetchedRow:
    """Fetch some symbols at a time, then the splits and dividends since the first date."""
    new = 0
    for index in range(0, len(wanted.symbols), BATCH):
        symbols = wanted.symbols[index : index + BATCH]
        new += app.bars.fetch(wanted.timeframe, symbols, wanted.first, wanted.until, heard)
        app.bars.fetch_actions(symbols, wanted.first, wanted.until)
    return FetchedRow(None, wanted.timeframe, wanted.symbols, new, PriceKind.TRADE)


def _fetch_needs(app: "App", now: datetime) -> "Iterator[FetchedRow]":
    for strategy in app.strategies:
        for need in strategy.needs.bars:
            _require_offered(app, strategy.name, need.price)
            symbols, before = need.symbols or _contracts(app, app.rules.of(strategy.name).universe), _count(app)
            app.bars.closed(need, symbols, now)
            yield FetchedRow(strategy.name, need.timeframe, symbols, _count(app) - before, need.price)


def _contracts(app: "App", names: Iterable[str]) -> tuple[str, ...]:
    return symbols_on(app.settings, app.rules, names, app.day.date_of(app.now()))


def _require_offered(app: "App", strategy: str, price: "PriceKind") -> None:
    venue = app.settings.capabilities
    if price not in venue.bar_prices:
        has = ", ".join(sorted(venue.bar_prices))
        raise OperatorError(
            f"strategies.{strategy} needs bars of the {price} price, but {venue.title} has none",
            f"run it at a venue that has such bars, or let the strategy read another price: {has}",
        )


def _render(console: "Console", data: BarsFetched) -> None:
    console.print(f"{pluralize(data.new, 'new bar')} at {when(data.now)}; {data.stored:,} stored")
    table = Table("for", "timeframe", number("new"), sentence("symbols"))
    for row in data.rows:
        more = f" and {len(row.symbols) - SHOWN:,} more" if len(row.symbols) > SHOWN else ""
        names = " ".join(row.symbols[:SHOWN]) + more
        table.row(row.strategy or "you", series_name(row.timeframe, row.price), f"{row.new:,}", escape(names))
    if data.rows:
        console.print(table)
    else:
        console.print(
            "No strategy in use needs bars. To fetch some: tradebot bars fetch AAPL --timeframe 1Day --from DATE"
        )


def wanted_of(
    app: "App", symbols: Sequence[str], timeframe: str | None, start: date | None, end: date | None
) -> "Callable[[datetime], WantedBars | None]":
    if not (symbols or timeframe or start or end):
        return lambda now: None
    if timeframe is None or start is None:
        raise OperatorError(
            "say which bars to fetch, and from when", "tradebot bars fetch AAPL --timeframe 1Day --from 2024-01-02"
        )
    first, last, names, stored = (
        start,
        end,
        symbols_of(symbols) or _contracts(app, app.rules.universe),
        timeframe_of(timeframe),
    )
    if last and last < first:
        raise OperatorError(f"--from {first} is after --to {last}", "swap the two dates")

    def at(now: datetime) -> WantedBars:
        return WantedBars(names, stored, first, min(now, app.day.begins(last + timedelta(days=1))) if last else now)

    return at


def day(text: str | None) -> date | None:
    if text is None:
        return None
    try:
        return date.fromisoformat(text)
    except ValueError as error:
        raise OperatorError(f"{word(text)} is not a date", "write it as 2026-11-16") from error


@contextmanager
def fetching() -> "Iterator[Callable[[int], None]]":
    if not sys.stderr.isatty():
        yield lambda new: None
        return

    class Rate(ProgressColumn):
        def render(self, task: Task) -> Text:
            return Text(f"{task.completed:,.0f} new bars, {task.speed or 0:,.0f} a second")

    with Progress(SpinnerColumn(), TextColumn("fetching"), Rate(), console=console(err=True), transient=True) as bars:
        task = bars.add_task("fetching", total=None)
        yield lambda new: bars.advance(task, new)
