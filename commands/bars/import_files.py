"""`tradebot bars import`: read bars from CSV and Parquet files into the bot's store."""

from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING
from zoneinfo import ZoneInfo

from msgspec import Struct
from rich.markup import escape

from commands.bars.shared import (
    bar_time,
    by_calendar,
    odd_at,
    sessions_between,
    timeframe_of,
)
from commands.shared.light_helpers import clean
from commands.shared.tables import Table, number, sentence
from commands.shared.verb_options import Report
from tradebot.adapters.bars.file_reader import BadRow, FilesRead, ImportOptions, read_files, span
from tradebot.auditing.bar_findings import BarFinding, RawSeries
from tradebot.auditing.bars import find_misplaced, rank_findings
from tradebot.errors import ExitCode, OperatorError, word
from tradebot.model.sentences import pluralize

if TYPE_CHECKING:
    from rich.console import Console

    from tradebot.app.wiring import App
    from tradebot.model.venue_day import VenueDay
    from tradebot.ports.world import Progress

SOURCE = "import"
"""The store's source of imported bars."""

SHOWN, KEPT = 20, 1_000
"""How many bad rows a screen shows, and how many a document has; all are counted."""


class SymbolRead(Struct, frozen=True):
    """The valid bars of one symbol; `new` counts those that are missing or different in the store."""

    symbol: str
    bars: int
    first: datetime
    last: datetime
    new: int


class BarsImported(Struct, frozen=True):
    """The contents of the files and the result of importing them.

    `bad` counts the skipped rows by reason; `bad_rows` are the first 1,000 of them. If `refused` says that the times of
    the bars can't be right, nothing was stored.
    """

    files: tuple[str, ...]
    timeframe: str
    rows: int
    good: int
    new: int
    dry_run: bool
    symbols: tuple[SymbolRead, ...]
    bad: dict[str, int]
    bad_rows: "tuple[BadRow, ...]"
    refused: "tuple[BarFinding, ...]"


def run(app: "App", files: Sequence[Path], how: "ImportOptions", *, dry_run: bool, progress: "Progress") -> Report:
    """Read the files and store the good bars, unless their times can't be right; exit 10 if any row is bad."""
    read = read_files(files, how)
    odd = odd_at(app, how.now)
    for symbol, bars in read.bars.items():
        for bar in [*bars.values()]:
            if reason := odd(symbol, bar):
                read.drop(symbol, bar.start_s, reason)
    refused = _require_plausible_times(app, read, how)
    symbols = tuple(_store_bars(app, read, how.timeframe, dry_run=dry_run or bool(refused), progress=progress))
    data = BarsImported(
        files=tuple(map(str, files)),
        timeframe=how.timeframe,
        rows=read.rows,
        good=sum(each.bars for each in symbols),
        new=sum(each.new for each in symbols),
        dry_run=dry_run,
        symbols=symbols,
        bad=read.reasons,
        bad_rows=tuple(read.bad[:KEPT]),
        refused=refused,
    )
    code = ExitCode.FINDINGS if refused or read.bad else ExitCode.DONE
    return Report("bars-import", data, _render, code)


def _require_plausible_times(app: "App", read: "FilesRead", how: "ImportOptions") -> "tuple[BarFinding, ...]":
    """Return why the times of all bars can't be right; if they can, skip the rows outside of every session."""
    days, refused = span(read, how.venue), list["BarFinding"]()
    strange = list[tuple[str, int]]()
    for calendar, symbols in by_calendar(app, read.bars).items():
        every = [RawSeries(name, how.timeframe, read.of(name)) for name in symbols]
        wrong, outside = find_misplaced(every, sessions_between(app, *days, calendar), how.venue)
        refused += wrong
        strange += outside
    if not refused:
        for symbol, start_s in strange:
            read.drop(symbol, start_s, "no session at this time")
    return rank_findings(refused)


def _store_bars(
    app: "App", read: "FilesRead", timeframe: str, *, dry_run: bool, progress: "Progress"
) -> "Sequence[SymbolRead]":
    """Store the bars symbol by symbol; an interrupted import keeps those that are done."""
    rows = []
    names = sorted(name for name, bars in read.bars.items() if bars)
    for done, name in enumerate(names, start=1):
        bars = read.of(name)
        new = 0 if dry_run else app.bars.store.put(name, timeframe, bars, SOURCE)
        first, last = (datetime.fromtimestamp(bar.start_s, UTC) for bar in (bars[0], bars[-1]))
        rows.append(SymbolRead(name, len(bars), first, last, new))
        progress(done, len(names))
    return rows


def _render(console: "Console", data: BarsImported) -> None:
    what = f"{pluralize(data.rows, 'row')} of {pluralize(len(data.files), 'file')}: {pluralize(data.good, 'good bar')}"
    console.print(f"{what}, {sum(data.bad.values()):,} bad; {_outcome(data)}")
    table = Table("symbol", *map(number, ("bars", "new")), "from", "to")
    for row in data.symbols:
        span = (bar_time(at, data.timeframe) for at in (row.first, row.last))
        table.row(row.symbol, f"{row.bars:,}", f"{row.new:,}", *span)
    console.print(table)
    _bad_rows(console, data)
    for finding in data.refused[:SHOWN]:
        console.print(f"  {finding.symbol}: {finding.found}", markup=False)
    if data.refused:
        console.print("Next: declare --stamp and --zone as the maker of the files did, and import again")
    elif data.new:
        console.print("Next: tradebot bars check")


def _outcome(data: BarsImported) -> str:
    if data.refused:
        return "[red]nothing was stored[/red], because the times can't be right"
    if data.dry_run:
        return "nothing was stored (--dry-run)"
    return f"{data.new:,} new or changed in the store"


def _bad_rows(console: "Console", data: BarsImported) -> None:
    if not data.bad:
        return
    for reason, count in sorted(data.bad.items(), key=lambda each: -each[1]):
        console.print(f"  {count:,} {reason}")
    table = Table(number("row"), "symbol", "time", sentence("what is wrong", "wrong:"), "file")
    for row in data.bad_rows[:SHOWN]:
        name = escape(clean(Path(row.file).name))
        at = bar_time(row.at, data.timeframe) if row.at else ""
        table.row(f"{row.row:,}", escape(row.symbol or ""), at, row.reason, name)
    console.print(table)
    remaining = sum(data.bad.values()) - min(len(data.bad_rows), SHOWN)
    if remaining:
        console.print(f"  and {pluralize(remaining, 'more bad row')}; --json has the first {KEPT:,}")


def dating_of(
    timeframe: str, stamp: str | None, zone: str | None, venue: "VenueDay"
) -> "Callable[[datetime], ImportOptions]":
    name = timeframe_of(timeframe)
    if name == "1Min" and stamp not in ("start", "end"):
        raise OperatorError(
            "say whether minute bars are stamped at their start or at their end", "--stamp start or --stamp end"
        )
    if name == "1Day" and (stamp or zone):
        raise OperatorError(
            "a daily bar is stamped with its date alone, so --stamp and --zone mean nothing", "leave them out"
        )
    return partial(ImportOptions, name, stamp == "end", _zone(zone, venue), venue=venue)


def _zone(name: str | None, venue: "VenueDay") -> "ZoneInfo | None":
    if name is None:
        return None
    try:
        return ZoneInfo(name)
    except (KeyError, OSError, ValueError) as error:
        raise OperatorError(
            f"there is no time zone {word(name)}", f"for example --zone {venue.zone} or --zone UTC"
        ) from error
