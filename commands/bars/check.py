"""`tradebot bars check`: find stored bars that can't be right, and bars that are missing."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from msgspec import Struct
from rich.markup import escape

from commands.bars.shared import (
    bar_time,
    by_calendar,
    now_of,
    odd_at,
    series_name,
    sessions_between,
    spans_of,
    stored_bytes,
)
from commands.shared.tables import Table, last_folded_column, number, sentence
from commands.shared.times import zone
from commands.shared.verb_options import Report
from tradebot.auditing.bar_findings import BarFinding, KnownSplit, RawSeries
from tradebot.auditing.bars import SymbolChecked, check, rank_findings
from tradebot.errors import ExitCode
from tradebot.model.sentences import pluralize

if TYPE_CHECKING:
    from rich.console import Console

    from tradebot.app.wiring import App
    from tradebot.model.series import PriceKind
    from tradebot.ports.world import Progress

SHOWN = 50
"""How many findings a screen shows; the document has them all."""

REMEDIES: "Mapping[str, str]" = {
    "nothing_stored": "tradebot bars fetch",
    "wrong_zone": "import the files again with the --zone that their times are in",
    "end_stamp": "import the files again with --stamp end",
    "unadjusted_split": "check for a split; if there was one and it isn't recorded, signals see a jump in prices",
    "already_adjusted": "import raw prices; adjusted ones would be adjusted twice",
    "scale": "compare with another source; import all bars in one unit, or leave out those before the change",
    "not_its_contract": "import only this contract's raw bars; ten years later, another contract has the same code",
    "not_closed": "fetch or import these bars again once they are complete",
    "bad_price": "tradebot bars fetch, or import corrected files",
    "spike": "compare with another source; tradebot bars fetch, or import corrected files",
    "duplicate": "tradebot bars fetch, or import corrected files",
    "no_session": "check the dates and the time zone of the imported bars",
    "gap": "tradebot bars fetch gets bars that were never fetched; a symbol without a trade has no bar",
    "hole": "tradebot bars fetch gets bars that were never fetched; bars that the source lost stay missing",
}
"""The remedy for each flaw."""


class BarsChecked(Struct, frozen=True):
    """The findings at trading time `now`, most urgent first, and the bars that were checked."""

    now: datetime
    bars: int
    looked_at: "tuple[SymbolChecked, ...]"
    findings: "tuple[BarFinding, ...]"


def run(app: "App", symbols: Sequence[str], timeframe: str | None, progress: "Progress") -> Report:
    """Check the stored bars; exit 10 if there are findings, or no bars."""
    now, stored_ranges = now_of(app), _stored_ranges(app, symbols, timeframe)
    ends = [second for span in stored_ranges.values() for second in span] or [int(now.timestamp())]
    first, last = (app.day.date_of(datetime.fromtimestamp(second, UTC)) for second in (min(ends), max(ends)))
    looked_at, findings, done = list["SymbolChecked"](), list["BarFinding"](), 0
    for calendar, own in by_calendar(app, dict.fromkeys((*(symbol for symbol, *_ in stored_ranges), *symbols))).items():
        its = {of: span for of, span in stored_ranges.items() if of[0] in own}
        stored = _stored_series(app, its, [symbol for symbol in symbols if symbol in own], timeframe)
        counted_up, sessions = (
            _count_progress(stored, done, len(stored_ranges), progress),
            sessions_between(app, first, last, calendar),
        )
        result = check(counted_up, sessions, now, app.day, odd_at(app, now))
        looked_at += result.looked_at
        findings += result.findings
        done += len(its)
    rows = tuple(sorted(looked_at, key=lambda row: (not row.bars, row.symbol)))
    data = BarsChecked(now, sum(each.bars for each in rows), rows, rank_findings(findings))
    code = ExitCode.FINDINGS if data.findings or not data.bars else ExitCode.DONE
    return Report("bars-check", data, _render, code)


def _count_progress(
    every: "Iterable[RawSeries]", before: int, total: int, progress: "Progress"
) -> "Iterator[RawSeries]":
    for done, stored in enumerate(every, before):
        progress(done, total)
        yield stored


def _stored_ranges(
    app: "App", symbols: Sequence[str], timeframe: str | None
) -> "dict[tuple[str, str, PriceKind], tuple[int, int]]":
    """Return the first and last start of the stored bars asked for, in seconds since 1970 UTC."""
    times_by_series: dict[tuple[str, str, PriceKind], tuple[int, int]] = {}
    for span in spans_of(app):
        if timeframe in (None, span.timeframe) and (not symbols or span.symbol in symbols):
            of = (span.symbol, span.timeframe, span.price)
            first_s, last_s = times_by_series.get(of, (span.first_s, span.last_s))
            times_by_series[of] = min(first_s, span.first_s), max(last_s, span.last_s)
    return times_by_series


def _stored_series(
    app: "App",
    stored_spans: "Mapping[tuple[str, str, PriceKind], tuple[int, int]]",
    symbols: Sequence[str],
    timeframe: str | None,
) -> "Iterator[RawSeries]":
    for (symbol, each, price), (first_s, last_s) in sorted(stored_spans.items()):
        bars = app.bars.store.get(symbol, each, first_s, last_s, price)
        yield RawSeries(symbol, each, bars, splits_of(app, symbol), price)
    for symbol in symbols:
        if symbol not in {name for name, *_ in stored_spans}:
            yield RawSeries(symbol, timeframe or "1Day", ())


def splits_of(app: "App", symbol: str) -> tuple[KnownSplit, ...]:
    """Return a symbol's splits on record in the store."""
    steps = app.bars.store.actions(symbol)
    return tuple(KnownSplit(step.at_s, step.volume) for step in steps if step.kind == "split")


def _render(console: "Console", data: BarsChecked) -> None:
    console.print(f"{pluralize(data.bars, 'bar')} checked: {pluralize(len(data.looked_at), 'series', 'series')}")
    if not data.bars and not data.findings:
        console.print("No bars are stored, so there is nothing to check. Next: tradebot bars fetch")
        return
    _looked_at(console, data.looked_at)
    if not data.findings:
        console.print("[green]Nothing found[/green]")
        return
    console.print(f"Findings, most urgent first ({pluralize(len(data.findings), 'finding')}):")
    _findings(console, data)


def _looked_at(console: "Console", rows: "Sequence[SymbolChecked]") -> None:
    numbers = map(number, ("bars", "sessions", "minutes missing", "findings"))
    table = Table("symbol", "timeframe", *numbers, f"from {zone()}", f"to {zone()}")
    for row in rows:
        missing = "" if row.missing is None else f"{row.missing:,}{'' if row.liquid else ' (thin)'}"
        span = (bar_time(at, row.timeframe) for at in (row.first, row.last))
        name, counts = series_name(row.timeframe, row.price), (f"{row.bars:,}", f"{row.sessions:,}", missing)
        table.row(row.symbol, name, *counts, f"{row.findings:,}", *span)
    console.print(table)


def _findings(console: "Console", data: BarsChecked) -> None:
    table = Table(
        "what", last_folded_column("symbol"), "timeframe", f"from {zone()}", f"to {zone()}", sentence("found")
    )
    for row in data.findings[:SHOWN]:
        until = bar_time(row.until, row.timeframe) if row.until != row.at else ""
        what = row.flaw.value.replace("_", " ")
        name = series_name(row.timeframe, row.price)
        table.row(what, row.symbol, name, bar_time(row.at, row.timeframe), until, escape(row.found))
    console.print(table)
    remaining = len(data.findings) - SHOWN
    if remaining > 0:
        console.print(f"  and {pluralize(remaining, 'more finding')}; name a symbol, or use --json")
    for flaw in dict.fromkeys(row.flaw for row in data.findings):
        console.print(f"{flaw.value.replace('_', ' ')}: {REMEDIES[flaw]}", markup=False)


class StoredBarsRow(Struct, frozen=True):
    """The bars of one symbol and timeframe from one source; `first` and `last` are starts of bars."""

    symbol: str
    timeframe: str
    source: str
    first: datetime
    last: datetime
    bars: int
    price: "PriceKind"


class BarsStored(Struct, frozen=True):
    """The stored bars, and their total size on disk in bytes."""

    spans: tuple[StoredBarsRow, ...]
    bars: int
    bytes: int


def run_listing(app: "App") -> Report:
    """List the stored bars; nothing is created or fetched."""
    rows = tuple(
        StoredBarsRow(
            span.symbol,
            span.timeframe,
            span.source,
            datetime.fromtimestamp(span.first_s, UTC),
            datetime.fromtimestamp(span.last_s, UTC),
            span.count,
            span.price,
        )
        for span in spans_of(app)
    )
    data = BarsStored(rows, sum(row.bars for row in rows), stored_bytes(app))
    return Report("bars-list", data, _render_listing)


def _render_listing(console: "Console", data: BarsStored) -> None:
    symbols = len({row.symbol for row in data.spans})
    console.print(f"{pluralize(data.bars, 'bar')} of {pluralize(symbols, 'symbol')}, {data.bytes / 1e6:,.1f} MB")
    if not data.spans:
        console.print("Next: tradebot bars fetch, or tradebot bars import FILE")
        return
    table = Table("symbol", "timeframe", number("bars"), f"from {zone()}", f"to {zone()}", "source")
    for row in data.spans:
        span = (bar_time(at, row.timeframe) for at in (row.first, row.last))
        table.row(escape(row.symbol), series_name(row.timeframe, row.price), f"{row.bars:,}", *span, escape(row.source))
    console.print(table)
