"""`tradebot bars import`: read bars from files of many shapes into the bot's store."""

import shlex
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime
from glob import iglob
from itertools import groupby, islice
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from msgspec import Struct
from rich.markup import escape

from commands.bars.check import splits_of
from commands.bars.shared import (
    bar_time,
    by_calendar,
    odd_at,
    sessions_between,
    spans_of,
    timeframe_of,
)
from commands.shared.light_helpers import clean
from commands.shared.tables import Table, number, sentence
from commands.shared.verb_options import Report
from tradebot.adapters.bars.file_reader import (
    DATE_ALONE,
    BadRow,
    BarRead,
    FilesRead,
    FileUnderstood,
    ImportOptions,
    RecognizedFile,
    SymbolSource,
    read_files,
    recognize,
    span,
)
from tradebot.auditing.bar_findings import BarFinding, Flaw, RawSeries
from tradebot.auditing.bars import check, find_misplaced, rank_findings
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
"""How many bad rows and findings a screen shows, and how many a document has; all are counted."""
SUFFIXES = (".csv", ".txt", ".tsv", ".parquet", ".pq", ".zip")
"""The suffixes of the files that are imported from a folder."""
MOST_FILES = 10_000
ACTIONS = ".actions.csv"
SAMPLE = 3
FILES_SHOWN = 5


class SymbolRead(Struct, frozen=True):
    """The valid bars of one symbol; `new` counts the bars that the store lacks or has with other values.

    `sessions` counts the sessions with a bar, `gaps` the sessions without one between the first and the last bar, and
    `findings` what `bars check` would find in these bars alone.
    """

    symbol: str
    timeframe: str
    bars: int
    first: datetime
    last: datetime
    new: int
    sessions: int
    gaps: int
    findings: int


class BarsImported(Struct, frozen=True):
    """The contents of the files, how they were understood, and the result of importing them.

    `sample` are the first three bars. `bad` counts the skipped rows by reason, and `bad_rows` are the first 1,000 of
    them. `findings` are the 1,000 most urgent findings about the bars. If `refused` says that the times of the bars
    can't be right, nothing was stored.
    """

    files: "tuple[FileUnderstood, ...]"
    sample: "tuple[BarRead, ...]"
    rows: int
    good: int
    new: int
    dry_run: bool
    symbols: tuple[SymbolRead, ...]
    bad: dict[str, int]
    bad_rows: "tuple[BadRow, ...]"
    findings: "tuple[BarFinding, ...]"
    refused: "tuple[BarFinding, ...]"


def files_in(typed: Sequence[Path]) -> list[Path]:
    """Return the files that paths, folders and patterns name; raise OperatorError if there are none."""
    files = list[Path]()
    for path in typed:
        matches = sorted(islice(_matches(path), MOST_FILES + 1))
        if not matches:
            hint = f"name files, or a folder with files that end in {', '.join(SUFFIXES)}"
            raise OperatorError(f"there are no files to import in {word(str(path))}", hint)
        files += matches
    if len(files) > MOST_FILES:
        raise OperatorError(f"there are more than {MOST_FILES:,} files", "import fewer at a time")
    names = {str(path.with_suffix("")) for path in files if not path.name.endswith(ACTIONS)}
    # The recorded bars' own folder has a file with their dividends and splits.
    return [path for path in dict.fromkeys(files) if str(path).removesuffix(ACTIONS) not in names]


def _matches(path: Path) -> Iterator[Path]:
    if path.is_dir():
        return (each for each in path.rglob("*") if each.suffix.lower() in SUFFIXES and each.is_file())
    if not path.exists() and any(sign in str(path) for sign in "*?["):
        return map(Path, iglob(str(path), recursive=True))
    return iter([path])


def run(app: "App", files: Sequence[Path], how: "ImportOptions", *, dry_run: bool, progress: "Progress") -> Report:
    """Read the files and store the good bars; exit 10 if any row is bad.

    If the times of all bars can't be right, store nothing and exit 10.
    """
    recognized = recognize(files, how)
    timeframes = sorted({each.understood.timeframe for each in recognized})
    parts = [
        _read_part(app, [each for each in recognized if each.understood.timeframe == name], how, progress)
        for name in timeframes
    ]
    refused = tuple(finding for part in parts for finding in part.refused)
    stores = not (dry_run or refused)
    symbols = tuple(row for part in parts for row in _store_bars(app, part, stores=stores, progress=progress))
    data = BarsImported(
        files=tuple(each.understood for each in recognized),
        sample=tuple(bar for part in parts for bar in part.sample)[:SAMPLE],
        rows=sum(part.read.rows for part in parts),
        good=sum(row.bars for row in symbols),
        new=sum(row.new for row in symbols),
        dry_run=dry_run,
        symbols=symbols,
        bad=dict(Counter(row.reason for part in parts for row in part.read.bad)),
        bad_rows=tuple(row for part in parts for row in part.read.bad)[:KEPT],
        findings=rank_findings([finding for part in parts for finding in part.findings])[:KEPT],
        refused=refused,
    )
    code = ExitCode.FINDINGS if data.refused or data.bad else ExitCode.DONE
    return Report("bars-import", data, _render, code)


class _Part(NamedTuple):
    """The contents of the files of one timeframe; `checked` has each symbol's sessions, gaps and findings."""

    read: "FilesRead"
    sample: "list[BarRead]"
    checked: "Mapping[str, tuple[int, int, int]]"
    findings: "Sequence[BarFinding]"
    refused: "Sequence[BarFinding]"

    @property
    def timeframe(self) -> str:
        return self.read.files[0].timeframe


def _read_part(app: "App", files: "Sequence[RecognizedFile]", how: "ImportOptions", progress: "Progress") -> _Part:
    read = read_files(files, how, progress)
    sample = read.first_bars(SAMPLE)
    odd = odd_at(app, how.now)
    for symbol, bars in read.bars.items():
        for bar in [*bars.values()]:
            if reason := odd(symbol, bar):
                read.drop(symbol, bar.start_s, reason)
    refused = _require_plausible_times(app, read, how)
    return _Part(read, sample, *_check(app, read, how), refused)


def _require_plausible_times(app: "App", read: "FilesRead", how: "ImportOptions") -> "tuple[BarFinding, ...]":
    """Return why the times of all bars can't be right; if they can, skip the rows outside of every session."""
    days, refused = span(read, how.venue), list["BarFinding"]()
    strange = list[tuple[str, int]]()
    for calendar, symbols in by_calendar(app, read.bars).items():
        every = [RawSeries(name, read.files[0].timeframe, read.of(name)) for name in symbols]
        wrong, outside = find_misplaced(every, sessions_between(app, *days, calendar), how.venue)
        refused += wrong
        strange += outside
    if not refused:
        for symbol, start_s in strange:
            read.drop(symbol, start_s, "no session at this time")
    return rank_findings(refused)


def _check(
    app: "App", read: "FilesRead", how: "ImportOptions"
) -> "tuple[Mapping[str, tuple[int, int, int]], tuple[BarFinding, ...]]":
    """Return each symbol's sessions, sessions without a bar and findings, and all findings, most urgent first."""
    counts, findings = dict[str, tuple[int, int, int]](), list["BarFinding"]()
    if not any(read.bars.values()):
        return counts, ()
    days, has_store = span(read, how.venue), bool(spans_of(app))
    for calendar, symbols in by_calendar(app, [name for name, bars in read.bars.items() if bars]).items():
        every = (
            RawSeries(name, read.files[0].timeframe, read.of(name), splits_of(app, name) if has_store else ())
            for name in symbols
        )
        audit = check(every, sessions_between(app, *days, calendar), how.now, how.venue)
        gaps = Counter[str]()
        for finding in audit.findings:
            gaps[finding.symbol] += finding.count if finding.flaw is Flaw.GAP else 0
        counts |= {row.symbol: (row.sessions, gaps[row.symbol], row.findings) for row in audit.looked_at}
        findings += audit.findings
    return counts, rank_findings(findings)


def _store_bars(app: "App", part: _Part, *, stores: bool, progress: "Progress") -> "Iterator[SymbolRead]":
    """Store the bars symbol by symbol; an interrupted import keeps the finished ones."""
    names = sorted(name for name, bars in part.read.bars.items() if bars)
    for done, name in enumerate(names, start=1):
        bars = part.read.of(name)
        new = app.bars.store.put(name, part.timeframe, bars, SOURCE) if stores else 0
        first, last = (datetime.fromtimestamp(bar.start_s, UTC) for bar in (bars[0], bars[-1]))
        yield SymbolRead(name, part.timeframe, len(bars), first, last, new, *part.checked[name])
        progress(done, len(names))


def _render(console: "Console", data: BarsImported) -> None:
    what = f"{pluralize(data.rows, 'row')} of {pluralize(len(data.files), 'file')}: {pluralize(data.good, 'good bar')}"
    console.print(f"{what}, {sum(data.bad.values()):,} bad; {_outcome(data)}")
    _print_shapes(console, data)
    if data.dry_run:
        _print_sample(console, data)
    table = Table("symbol", "timeframe", *map(number, ("bars", "new", "sessions", "gaps", "findings")), "from", "to")
    for row in data.symbols:
        span = (bar_time(at, row.timeframe) for at in (row.first, row.last))
        counts = (row.bars, row.new, row.sessions, row.gaps, row.findings)
        table.row(row.symbol, row.timeframe, *(f"{count:,}" for count in counts), *span)
    console.print(table)
    _bad_rows(console, data)
    for finding in data.refused[:SHOWN] or data.findings[:SHOWN]:
        console.print(f"  {finding.symbol}: {finding.found}", markup=False)
    if data.refused:
        console.print("Next: import again with the --stamp and --zone that match the files' times")
    elif data.new:
        console.print("Next: tradebot bars check")


def _print_shapes(console: "Console", data: BarsImported) -> None:
    """Print how the files were understood: one line for each way, with the files that it is true of."""
    for way, group in groupby(sorted(data.files, key=_way), key=_way):
        alike = list(group)
        names = ", ".join(clean(Path(each.file).name) for each in alike[:FILES_SHOWN])
        more = f" and {len(alike) - FILES_SHOWN:,} more" if len(alike) > FILES_SHOWN else ""
        by_name = alike[0].symbol_from is SymbolSource.NAME
        symbol = f", symbol {alike[0].symbol if len(alike) == 1 else 'in the name'}" if by_name else ""
        console.print(f"Read as {way}{symbol}: {names}{more}", markup=False)


def _way(read: "FileUnderstood") -> str:
    parts = [f"{read.shape} ({read.publisher})", "days" if read.timeframe == "1Day" else "minutes"]
    parts += [f"stamped at their {read.stamp}"] if read.stamp else []
    parts += [f"times in {read.zone}"] if read.zone else []
    parts += ["decimal comma"] if read.decimal == "," else []
    parts += [f"symbol {read.symbol}"] if read.symbol_from is SymbolSource.OPTION else []
    return ", ".join(parts)


def _print_sample(console: "Console", data: BarsImported) -> None:
    table = Table("first bars", "in New York", *map(number, ("open", "high", "low", "close", "volume")))
    for bar in data.sample:
        prices = (f"{price:,.10g}" for price in (bar.open, bar.high, bar.low, bar.close, bar.volume))
        table.row(bar.symbol, bar.local_start, *prices)
    console.print(table)


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
        at = bar_time(row.at, row.timeframe) if row.at else ""
        table.row(f"{row.row:,}", escape(row.symbol or ""), at, row.reason, name)
    console.print(table)
    remaining = sum(data.bad.values()) - min(len(data.bad_rows), SHOWN)
    if remaining:
        console.print(f"  and {pluralize(remaining, 'more bad row')}; --json has the first {KEPT:,}")


def options_of(
    files: Sequence[Path],
    timeframe: str | None,
    stamp: str | None,
    now: datetime,
    venue: "VenueDay",
    **reading: str | None,
) -> "ImportOptions":
    """Return how to read the files according to the options; raise OperatorError if the options contradict each
    other.
    """
    name = timeframe_of(timeframe) if timeframe else None
    if stamp not in (None, "start", "end"):
        raise OperatorError(
            "say whether minute bars are stamped at their start or at their end", "--stamp start or --stamp end"
        )
    if name == "1Day" and (stamp or reading["zone"]):
        raise OperatorError(DATE_ALONE, "leave out --stamp and --zone")
    options = {"timeframe": name, "stamp": stamp} | reading
    typed = "".join(f" --{option} {shlex.quote(value)}" for option, value in options.items() if value)
    return ImportOptions(name, stamp, now, venue, **reading, files=shlex.join(map(str, files)), options=typed)
