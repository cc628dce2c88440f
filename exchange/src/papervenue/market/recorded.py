"""Read recorded minute bars from CSV or Parquet, check every row, and store the result with the exchange's state.

A bad row is skipped and counted by reason; a missing minute stays missing. A file without usable bars, or with an
incomplete last row, is refused.
"""

from __future__ import annotations

import csv
import os
from collections import Counter, defaultdict
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import NamedTuple

from papervenue.market.bar_files import EXPECTED, Raw, files_in, open_bars
from papervenue.market.bars import Bar
from papervenue.market.minute_rows import (
    NOT_REQUESTED,
    OUTSIDE,
    BadRowError,
    ContractSessions,
    ShareSessions,
    minute_of,
    priced_bar,
    share_or_contract,
)
from papervenue.market.sessions import Calendar
from papervenue.market.spec import AS_FOUND, NEW_EXCHANGE, MarketError, MarketSpec, Reading, Source
from papervenue.market.venue import Grid
from papervenue.private_files import open_own
from papervenue.times import MINUTE

NO_CALENDARS: Mapping[str, Calendar] = MappingProxyType({})


Bars = Mapping[tuple[str, int], list[Bar]]
"""Bars by symbol and session.

Extended-hours bars are under the bitwise complement of the session's index. Contracts have none: a negative index of
theirs counts back from the market's first session.
"""


NOT_ASKED = frozenset({OUTSIDE, NOT_REQUESTED})
"""Why valid rows are skipped: they weren't requested."""


class Imported(NamedTuple):
    """What a file contains for a market: bars by (symbol, session), the symbols to play, and skipped rows by reason.

    `first_lines` gives the CSV line or Parquet row where each reason first occurred. `extended` counts the bars outside
    the regular sessions.
    """

    bars: Bars
    symbols: tuple[str, ...]
    skipped: dict[str, int]
    first_lines: dict[str, int]
    extended: int = 0


class Skipped:
    """Counts skipped rows by reason, and remembers the first row for each."""

    def __init__(self, source: Source) -> None:
        self._source = source
        self.counts: Counter[str] = Counter()
        self.first: dict[str, int] = {}

    def add(self, reason: BadRowError, number: int) -> None:
        """Count one skipped row under its reason."""
        self.counts[str(reason)] += 1
        self.first.setdefault(str(reason), number)

    def describe(self) -> str:
        """Return the reasons with their counts, for an error about a file without usable bars."""
        return (
            f" (rows skipped: {reasons(self._source, self.counts, self.first)})"
            if self.counts
            else " (it holds no rows)"
        )


def reasons(source: Source, counts: Mapping[str, int], first: Mapping[str, int]) -> str:
    """Describe skipped rows, most frequent reason first."""
    ranked = sorted(counts.items(), key=lambda item: (-item[1], item[0]))
    unit = "line" if source == "csv" else "row"
    places = {reason: f" (first in {unit} {number})" for reason, number in first.items()}
    return ", ".join(f"{count} {reason}{places.get(reason, '')}" for reason, count in ranked)


def describe_damage(source: Source, counts: Mapping[str, int], first: Mapping[str, int]) -> str:
    """Return the invalid skipped rows by reason, ignoring rows for other days and symbols."""
    return reasons(source, {reason: count for reason, count in counts.items() if reason not in NOT_ASKED}, first)


def read_bars(spec: MarketSpec, calendar: Calendar, calendars: Mapping[str, Calendar] = NO_CALENDARS) -> Imported:
    """Read the bars of a recorded market; raise MarketError if the file has none for it.

    `calendars` has the calendars of contracts that don't trade in the market's sessions.
    """
    assert spec.path is not None
    path, contracts = Path(spec.path), spec.venue.instruments
    places = ContractSessions(spec, calendar, calendars) if contracts else ShareSessions(spec, calendar)
    bars, skipped = _sorted_out(_minutes_in(path, spec.reading), spec, places)
    symbols = symbols_to_play(spec, calendar, {symbol for symbol, index in bars if index >= 0}, skipped)
    extended = 0 if contracts else sum(len(minutes) for (_, index), minutes in bars.items() if index < 0)
    return Imported(bars, symbols, dict(skipped.counts), skipped.first, extended)


def symbols_to_play(spec: MarketSpec, calendar: Calendar, heard: Collection[str], skipped: Skipped) -> tuple[str, ...]:
    """Return the symbols to play: the requested symbols, or all that have a bar. Raise MarketError if none has a bar,
    or if a requested share has none.
    """
    if not heard:
        first, last = calendar.market[0].date, calendar.market[-1].date
        hint = f"the market runs from {first} to {last}; choose its start and sessions within the file"
        raise MarketError(f"{spec.path}: no usable bar for this market{skipped.describe()}", hint)
    symbols = spec.symbols or tuple(sorted(heard))
    if spec.venue.instruments:
        # The venue lists many months, of which a bot needs a few; `needed_months` in the app returns those.
        return symbols
    silent = [symbol for symbol in symbols if symbol not in heard]
    if silent:
        raise MarketError(f"{spec.path}: no bar of {', '.join(silent[:5])}", "leave out symbols without bars")
    return symbols


class RecordedRange(NamedTuple):
    """What a file covers: the starts of its first and last readable bars, and its symbols."""

    first_us: int
    last_us: int
    symbols: frozenset[str]


def held_in(source: Source, path: Path, bar_stamp: str | None, reading: Reading = AS_FOUND) -> RecordedRange:
    """Return the range of bars and the symbols in a file of shares or contracts.

    Raises MarketError if the file has no readable bar.
    """
    shift_us = MINUTE if bar_stamp == "end" else 0
    ranges = (_range_of(source, path, shift_us, reading, parses_all=each) for each in (False, True))
    return next(filter(None, ranges))


def _range_of(source: Source, path: Path, shift_us: int, reading: Reading, *, parses_all: bool) -> RecordedRange | None:
    """Return the range of a file; None if not all prices were parsed and those of its last bar turn out unreadable.

    Unless `parses_all`, only the prices of bars that can extend the range or add a symbol are parsed: of the later bars
    of known symbols, only those of the last one.
    """
    first = last = None
    skipped, symbols = Skipped(source), set[str]()
    newest: tuple[Sequence[object], int, Grid] | None = None
    for number, fields in _minutes_in(path, reading):
        try:
            symbol, start_us, grid = minute_of(fields, shift_us, share_or_contract)
            if not parses_all and symbol in symbols and first is not None and first <= start_us:
                if newest is None or start_us > newest[1]:
                    newest = fields, start_us, grid
                continue
            priced_bar(fields, start_us, grid)
        except BadRowError as reason:
            skipped.add(reason, number)
            continue
        symbols.add(symbol)
        first = start_us if first is None else min(first, start_us)
        last = start_us if last is None else max(last, start_us)
    if first is None or last is None:
        raise MarketError(f"{path}: no readable bar{skipped.describe()}", EXPECTED)
    if newest and newest[1] > last:
        try:
            last = priced_bar(*newest).start_us
        except BadRowError:
            return None
    return RecordedRange(first, last, frozenset(symbols))


def _minutes_in(path: Path, reading: Reading) -> Iterator[Raw]:
    """Yield the rows of a file, or of all files of a folder, each of one contract or share."""
    for each in files_in(path):
        file = open_bars(each, reading)
        if file.daily:
            raise MarketError(f"{each}: its bars are daily", "set sandbox.source to daily")
        if file.shape.stamp is not None:
            # Its publisher is known, and writes times of some zone. Times of files in our own shape are New York's.
            file.require_zone()
        yield from file.rows()


def _sorted_out(
    rows: Iterable[Raw], spec: MarketSpec, places: ShareSessions | ContractSessions
) -> tuple[Bars, Skipped]:
    """Place each row in its session; of two rows for the same minute the first wins."""
    by_session: dict[tuple[str, int], dict[int, Bar]] = defaultdict(dict)
    skipped = Skipped(spec.source)
    shift_us = MINUTE if spec.bar_stamp == "end" else 0
    for number, fields in rows:
        try:
            symbol, start_us, grid = minute_of(fields, shift_us, places.grid)
            # Most rows of a long file are outside a short market, so their prices aren't parsed.
            minutes = by_session[symbol, places.index(symbol, start_us)]
            bar = priced_bar(fields, start_us, grid)
            if start_us in minutes:
                raise BadRowError("duplicate")
        except BadRowError as reason:
            skipped.add(reason, number)
            continue
        minutes[start_us] = bar
    bars = {key: [minutes[us] for us in sorted(minutes)] for key, minutes in by_session.items() if minutes}
    return bars, skipped


def keep_bars(path: Path, bars: Bars) -> None:
    """Write the bars, sorted, into the state folder, so that a restart needs neither the source nor the data extra."""
    own = open_own(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
    with os.fdopen(own, "w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file, lineterminator="\n")
        for (symbol, index), session_bars in sorted(bars.items()):
            writer.writerows((symbol, index, *bar) for bar in session_bars)


class HeldBars:
    """A bar source over recorded bars in memory, without any history before the file."""

    past_minutes = past_days = 0

    def __init__(self, bars: Mapping[tuple[str, int], Sequence[Bar]]) -> None:
        self._bars = {key: tuple(minutes) for key, minutes in bars.items()}

    def bars(self, symbol: str, index: int) -> tuple[Bar, ...]:
        """Return the bars of a symbol in a session, oldest first."""
        return self._bars.get((symbol, index), ())

    def extended_hours(self, symbol: str, index: int) -> tuple[Bar, ...]:
        """Return the bars before and after a session, oldest first."""
        return self._bars.get((symbol, ~index), ())

    def history_close(self, symbol: str, sessions_before: int) -> int | None:
        """Return None, because a recorded market has no history from before its file, and doesn't invent one."""
        return None

    def history_day(self, symbol: str, sessions_before: int) -> Bar | None:
        """Return None, because a recorded market doesn't invent daily bars that its file lacks."""
        return None

    def liquid(self, symbol: str) -> bool:
        """Return True: every recorded symbol can be sold short and traded in fractions."""
        return True


class HeldContracts(HeldBars):
    """A bar source for recorded minute bars of futures contracts.

    It includes the file's sessions before the market's first.
    """

    def __init__(self, bars: Mapping[tuple[str, int], Sequence[Bar]]) -> None:
        super().__init__(bars)
        self.past_minutes = self.past_days = max((-index for _, index in bars if index < 0), default=0)

    def extended_hours(self, symbol: str, index: int) -> tuple[Bar, ...]:
        """Return no bars, because Globex has no extended hours."""
        return ()

    def history_close(self, symbol: str, sessions_before: int) -> int | None:
        """Return the close of a session before the market's first, or None if the file doesn't have it."""
        bars = self.bars(symbol, -sessions_before)
        return bars[-1].close if bars else None

    def history_day(self, symbol: str, sessions_before: int) -> Bar | None:
        """Return the daily bar of a session before the market's first, or None if the file doesn't have it."""
        bars = self.bars(symbol, -sessions_before)
        if not bars:
            return None
        starts_us, opens, highs, lows, closes, volumes = zip(*bars, strict=True)
        return Bar(starts_us[0], opens[0], max(highs), min(lows), closes[-1], sum(volumes))


def kept_bars(path: Path) -> Bars:
    """Read the file written by `keep_bars`; raise MarketError if it is missing or damaged."""
    gathered: dict[tuple[str, int], list[Bar]] = defaultdict(list)
    try:
        with path.open(newline="", encoding="utf-8") as file:
            for symbol, index, *numbers in csv.reader(file):
                gathered[symbol, int(index)].append(Bar(*map(int, numbers)))
    except (OSError, ValueError, TypeError) as error:
        raise MarketError(f"{path} is damaged: {error}", f"restore it, or {NEW_EXCHANGE}") from error
    return gathered
