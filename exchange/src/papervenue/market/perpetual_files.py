"""Read recorded prices of perpetuals from files of minutes or candles: trades, mark prices, or the coin's own price.

A market is one file or a folder of files. Each file has one kind of price and one length of candle. The word mark, spot
or index in its name says which kind. Without such a word, prices of a pair such as XBTUSD are the coin's own, and those
of PF_XBTUSD are trades. If there are candles of several lengths, the shortest are played, and longer ones are used for
earlier times. Files of funding rates are recognized by their columns.
"""

from __future__ import annotations

import csv
import re
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from datetime import date
from decimal import Decimal
from functools import lru_cache
from itertools import groupby
from pathlib import Path
from typing import NamedTuple

from papervenue.jsontext import to_decimal
from papervenue.market.bar_files import EXPECTED, BarFile, files_in, open_bars, require_readable
from papervenue.market.bars import Bar
from papervenue.market.coins import SYMBOLS
from papervenue.market.minute_rows import BadRowError, bar_of
from papervenue.market.recorded import HeldContracts, Imported, Skipped
from papervenue.market.sessions import Calendar
from papervenue.market.spec import AS_FOUND, MarketError, MarketSpec, Reading
from papervenue.market.venue import Grid, Instrument, TickStep
from papervenue.times import DAY, HOUR, MINUTE, parse_time, to_datetime

TRADE, MARK, SPOT = "trade", "mark", "spot"
KINDS = (TRADE, MARK, SPOT)
"""The kinds of prices; missing trades or marks are replaced by the first kind that the files have."""
FUNDING = "funding"
FUNDING_PLACES = 18
"""Decimal places of a stored funding rate, which is in USD for a unit and an hour."""
MINUTES_KEPT = 3
"""For how many days before the market its minutes are kept; earlier ones become candles of a quarter of an hour."""
_QUARTER = 15 * MINUTE
_DAY_MINUTES = DAY // MINUTE
_MOST_VOLUME = 10**12
_PAIR = re.compile(r"(?:PF_)?([A-Z0-9]+?)[/_-]?USD[TC]?")
_KNOWN = frozenset(SYMBOLS)
_TIMES = ("timestamp", "calc_time", "fundingtime", "funding_time", "time")
_PER_UNIT, _FRACTIONS = "fundingrate", ("relativefundingrate", "last_funding_rate")
_INTERVAL = "funding_interval_hours"
_LEAST_FRACTION = Decimal("1e-7")
"""If the highest hourly rate in USD is below this fraction of the price, 0.1% a year, the rates must be fractions of
the price.
"""
_FINEST = Grid(
    Instrument(symbol="COIN", ticks=(TickStep(Decimal(0), Decimal("1e-12")),), level=Decimal(1), settlement="paid")
)
"""The grid on which a file's prices are checked before the market is known."""


@lru_cache(maxsize=4_096)
def perpetual_of(name: str) -> str | None:
    """Return the perpetual of a pair in USD or a dollar coin, such as PF_XBTUSD of BTCUSDT; None for other names."""
    match = _PAIR.fullmatch(name.strip().upper())
    coin = match[1] if match else ""
    symbol = f"PF_{'XBT' if coin == 'BTC' else coin}USD"
    return symbol if symbol in _KNOWN else None


def series_name(symbol: str, kind: str, minutes: int = 1) -> str:
    """Return the name under which a market stores the prices of a kind, or candles of several minutes."""
    return f"{symbol}{'' if kind == TRADE else f' {kind}'}{'' if minutes == 1 else f'@{minutes}'}"


class PriceFile(NamedTuple):
    """A file of prices: how to read it, the kind of its prices, and how many minutes a candle covers."""

    file: BarFile
    kind: str
    minutes: int
    symbol: str | None

    def candles(self, bar_stamp: str | None, skipped: Skipped) -> Iterator[tuple[str, Bar, Decimal]]:
        """Yield each row's perpetual, candle and volume; bad rows are counted in `skipped`.

        The candle's prices are in units of 1e-12 USD.
        """
        stamp = self.file.shape.stamp or ("start" if self.file.daily else bar_stamp)
        if stamp is None:
            raise MarketError(
                f"{self.file.path}: it isn't clear whether candles are stamped at their start or end",
                "pass --bar-stamp start or --bar-stamp end; a guess would shift every price by a candle",
            )
        shift_us = self.minutes * MINUTE if stamp == "end" else 0
        for number, fields in self.file.rows():
            try:
                yield self._candle(fields, shift_us)
            except BadRowError as reason:
                skipped.add(reason, number)

    def _candle(self, fields: Sequence[object], shift_us: int) -> tuple[str, Bar, Decimal]:
        if len(fields) != len(_FIELDS):
            raise BadRowError("too many fields" if len(fields) > len(_FIELDS) else "too few fields")
        time, name, *prices, volume = fields
        symbol = self.symbol or (perpetual_of(name) if isinstance(name, str) else None)
        if symbol is None:
            raise BadRowError("no perpetual of this market")
        traded = to_decimal(str(volume).strip() or "0")
        if traded is None or traded < 0:
            raise BadRowError("volume isn't a number of at least 0")
        start = f"{time}T00:00:00Z" if self.file.daily and _is_date(time) else time
        _, bar = bar_of((start, symbol, *prices, "0"), shift_us, lambda _: _FINEST)
        if bar.start_us % (self.minutes * MINUTE):
            raise BadRowError("not the start of a candle")
        return symbol, bar, traded


_FIELDS = ("time", "symbol", "open", "high", "low", "close", "volume")


def _is_date(time: object) -> bool:
    return isinstance(time, str) and len(time) == len("2026-11-13")


class Recorded(NamedTuple):
    """What one or more files contain: candles by symbol, kind of price and length, oldest first, and funding rates.

    Prices are in units of 1e-12 USD. A funding rate applies to the hours that end at its time. It is what one unit pays
    per hour, either in USD or as a fraction of the price.
    """

    candles: Mapping[tuple[str, str, int], Sequence[tuple[Bar, Decimal]]]
    rates: Mapping[str, Sequence[FundingRate]]
    skipped: Mapping[str, int]
    first_lines: Mapping[str, int]

    @property
    def symbols(self) -> frozenset[str]:
        return frozenset(symbol for symbol, _, _ in self.candles)

    @property
    def days(self) -> tuple[date, date]:
        """Return the first and last day for which the symbols' shortest candles exist."""
        spans = []
        for symbol in self.symbols:
            shortest = min(minutes for name, _, minutes in self.candles if name == symbol)
            played = [
                rows for (name, _, minutes), rows in self.candles.items() if (name, minutes) == (symbol, shortest)
            ]
            spans += [(rows[0][0].start_us, rows[-1][0].start_us) for rows in played]
        first, last = min(start for start, _ in spans), max(end for _, end in spans)
        return to_datetime(first).date(), to_datetime(last).date()


class FundingRate(NamedTuple):
    """A funding rate of the `hours` that end at a time."""

    until_us: int
    hours: int
    usd: Decimal | None
    fraction: Decimal | None


def read_perpetuals(path: Path, bar_stamp: str | None, reading: Reading = AS_FOUND) -> Recorded:
    """Read the files of a market once; raise MarketError if one isn't usable."""
    files = files_in(path)
    for file in files:
        require_readable(file)
    versions = tuple((status.st_mtime_ns, status.st_size) for status in map(Path.stat, files))
    return _read_once(tuple(files), versions, bar_stamp, reading)


@lru_cache(maxsize=1)
def _read_once(
    files: tuple[Path, ...], versions: tuple[tuple[int, int], ...], bar_stamp: str | None, reading: Reading
) -> Recorded:
    candles: dict[tuple[str, str, int], dict[int, tuple[Bar, Decimal]]] = defaultdict(dict)
    rates: dict[str, list[FundingRate]] = defaultdict(list)
    skipped = Skipped("csv")
    for path in files:
        if (funding := _funding_columns(path)) is not None:
            for symbol, rate in _funding_rates(path, funding, reading, skipped):
                rates[symbol].append(rate)
            continue
        price_file, before = _price_file(path, reading), skipped.counts.total()
        count = 0
        for symbol, bar, volume in price_file.candles(bar_stamp, skipped):
            count += 1
            rows = candles[symbol, price_file.kind, price_file.minutes]
            if bar.start_us in rows:
                skipped.add(BadRowError("duplicate"), count)
            rows.setdefault(bar.start_us, (bar, volume))
        if not count:
            raise _unusable(path, price_file, skipped if skipped.counts.total() > before else Skipped("csv"))
    if not candles:
        raise MarketError(f"{files[0].parent}: it holds funding rates, but no prices", "add a file of prices")
    ordered = {key: [rows[us] for us in sorted(rows)] for key, rows in candles.items()}
    for symbol, each in rates.items():
        each.sort()
        _require_usd(symbol, each, next((rows[0][0].close for key, rows in ordered.items() if key[0] == symbol), None))
    return Recorded(ordered, dict(rates), dict(skipped.counts), skipped.first)


def _require_usd(symbol: str, rates: Sequence[FundingRate], price_units: int | None) -> None:
    """Raise MarketError if rates in USD a unit would be so low that they must be fractions of the price."""
    highest = max((abs(rate.usd) for rate in rates if rate.usd is not None and rate.fraction is None), default=None)
    price = None if price_units is None else price_units * Decimal("1e-12")
    if highest and price and highest < price * _LEAST_FRACTION:
        raise MarketError(
            f"{symbol}: funding rates of at most {highest:f} USD per unit and hour, at a price of {price:,f}, seem "
            "to be fractions of the price",
            "name their column relativeFundingRate; if a rate is for several hours, add funding_interval_hours",
        )


def _unusable(path: Path, price_file: PriceFile, skipped: Skipped) -> MarketError:
    _, fields = next(price_file.file.rows(), (0, ()))
    name = fields[1] if len(fields) > 1 else None
    if price_file.symbol is None and isinstance(name, str) and perpetual_of(name) is None:
        return _unknown(path, name, in_column=True)
    return MarketError(f"{path}: no readable candle{skipped.describe()}", EXPECTED)


def _unknown(path: Path, name: str, *, in_column: bool) -> MarketError:
    way = (
        "give it the coin's own symbol" if in_column else "write --bars-as symbol=PF_XBTUSD with the coin's own symbol"
    )
    return MarketError(
        f"{path}: it has prices of {name[:40]}, but this venue has only perpetuals of coins, such as PF_XBTUSD",
        f"if these are a coin's prices, {way}",
    )


def _price_file(path: Path, reading: Reading) -> PriceFile:
    """Return how a file is read; raise MarketError if its columns, its times or its symbol can't be understood."""
    named = next((word for word in _words_of(path) if perpetual_of(word)), None)
    file = open_bars(path, reading._replace(symbol=reading.symbol or named))
    if not file.daily:
        file.require_zone()
    symbol = None
    name = file.symbol or ""
    if not file.has_symbols:
        symbol = perpetual_of(name)
        if symbol is None:
            raise _unknown(path, name, in_column=False)
    elif (fields := next(file.rows(), (0, ()))[1]) and len(fields) > 1:
        name = str(fields[1])
    minutes = _DAY_MINUTES if file.daily else max((file.step_s or 60) // 60, 1)
    if _DAY_MINUTES % minutes:
        raise MarketError(
            f"{path}: its candles cover {minutes} minutes", "use candles that divide a day evenly, such as 60 minutes"
        )
    return PriceFile(file, _kind_of(path.stem, name), minutes, symbol)


def _kind_of(stem: str, name: str) -> str:
    words = re.split(r"[^a-z]+", stem.lower())
    if MARK in words or "markpriceklines" in words:
        return MARK
    if SPOT in words or "index" in words or "indexpriceklines" in words:
        return SPOT
    return TRADE if TRADE in words or name.upper().startswith("PF_") else SPOT


def _funding_columns(path: Path) -> tuple[str, list[str]] | None:
    """Return the separator and the columns of a file of funding rates; None for any other file."""
    if path.suffix.lower() not in (".csv", ".txt"):
        return None
    with path.open(encoding="utf-8-sig", errors="replace") as file:
        line = file.readline()
    separator = max(",;\t", key=line.count)
    names = [name.strip().strip('"').lower() for name in line.split(separator)]
    is_funding = any(name in names for name in (_PER_UNIT, *_FRACTIONS)) and any(name in names for name in _TIMES)
    return (separator, names) if is_funding else None


def _funding_rates(
    path: Path, columns: tuple[str, list[str]], reading: Reading, skipped: Skipped
) -> Iterator[tuple[str, FundingRate]]:
    separator, names = columns
    time = next(name for name in _TIMES if name in names)
    with path.open(newline="", encoding="utf-8-sig") as file:
        rows = csv.DictReader(file, fieldnames=names, delimiter=separator)
        next(rows, None)
        for row in rows:
            symbol = _funding_symbol(path, row.get("symbol"), reading)
            try:
                yield symbol, _funding_rate(row, time)
            except BadRowError as reason:
                skipped.add(reason, rows.line_num)


def _funding_symbol(path: Path, name: str | None, reading: Reading) -> str:
    words = [name] if name else [reading.symbol or "", *_words_of(path)]
    symbol = next((perpetual for word in words if (perpetual := perpetual_of(word))), None)
    if symbol is None:
        raise MarketError(
            f"{path}: nothing names the perpetual of these funding rates",
            "name the file after it, such as PF_XBTUSD_funding.csv, or add a column symbol",
        )
    return symbol


def _words_of(path: Path) -> list[str]:
    """Return the words in a file's name that may be a symbol."""
    return re.findall(r"PF_[A-Z0-9]+|[A-Z0-9]+", path.stem)


def _funding_rate(row: Mapping[str, str | None], time: str) -> FundingRate:
    until_us, hours = _funding_time(row[time] or ""), int(to_decimal(row.get(_INTERVAL) or "1") or 1)
    usd = to_decimal(row.get(_PER_UNIT) or "") if row.get(_PER_UNIT) else None
    fraction = next((to_decimal(row[name] or "") for name in _FRACTIONS if row.get(name)), None)
    if (usd is None and fraction is None) or not 1 <= hours <= 24:
        raise BadRowError("unreadable funding rate")
    return FundingRate(until_us, hours, usd, None if fraction is None else fraction / hours)


def _funding_time(text: str) -> int:
    text = text.strip()
    try:
        if text.isdigit():
            scale = 1_000 if len(text) > 10 else 1_000_000
            return int(text) * scale
        return parse_time(text)
    except (ValueError, OverflowError) as error:
        raise BadRowError("unreadable time of a funding rate") from error


def read_market(spec: MarketSpec, calendar: Calendar) -> Imported:
    """Return the series that a market of perpetuals stores; raise MarketError if no perpetual has a bar in it."""
    assert spec.path is not None
    recorded = read_perpetuals(Path(spec.path), spec.bar_stamp, spec.reading)
    start_us, sessions = calendar.market[0].open_us, len(calendar.market)
    bars: dict[tuple[str, int], list[Bar]] = defaultdict(list)
    skipped = Skipped("csv")
    listed = {instrument.symbol: Grid(instrument) for instrument in spec.venue.instruments}
    for symbol in sorted(recorded.symbols & listed.keys()):
        kinds = [kind for kind in KINDS if any((symbol, kind) == key[:2] for key in recorded.candles)]
        # Trades and the mark are always there: of the first kind that the files have. Trades are on ticks.
        mark, spots = (MARK if MARK in kinds else kinds[0]), [(SPOT, SPOT)] if SPOT in kinds else []
        for kind, source in ((TRADE, kinds[0]), (MARK, mark), *spots):
            by_length = {key[2]: rows for key, rows in recorded.candles.items() if key[:2] == (symbol, source)}
            on_ticks = kind == TRADE or (kind == MARK and MARK not in kinds)
            _place_kind(bars, series_name(symbol, kind), by_length, listed[symbol], (start_us, sessions), on_ticks)
        _fill_mark(bars, series_name(symbol, MARK), start_us, sessions)
        _place_funding(bars, symbol, recorded, start_us)
    heard = {symbol for symbol, index in bars if index >= 0 and symbol in listed}
    symbols = tuple(symbol for symbol in spec.symbols if symbol in heard)
    if not symbols:
        first, last = recorded.days
        raise MarketError(
            f"{spec.path}: it has prices of {', '.join(sorted(recorded.symbols)[:5])} from {first} to {last}, but "
            "none for this market's perpetuals and days",
            f"write --symbols {','.join(sorted(recorded.symbols)[:5])}, or choose days of the files",
        )
    return Imported(dict(bars), symbols, {**recorded.skipped, **skipped.counts}, {**recorded.first_lines})


def _place_kind(
    bars: dict[tuple[str, int], list[Bar]],
    name: str,
    by_length: Mapping[int, Sequence[tuple[Bar, Decimal]]],
    grid: Grid,
    market: tuple[int, int],
    on_ticks: bool,
) -> None:
    """Add a kind's candles: those of the market's days as minutes, and earlier ones as they are."""
    (start_us, sessions), played = market, set[int]()
    for minutes, rows in sorted(by_length.items()):
        placed: dict[int, list[Bar]] = defaultdict(list)
        for bar, volume in rows:
            placed[(bar.start_us - start_us) // DAY].append(_in_units(bar, volume, grid, on_ticks=on_ticks))
        for index, candles in placed.items():
            if index < -MINUTES_KEPT or (index < 0 and minutes > 1):
                longer = _in_quarters(candles) if minutes == 1 else candles
                bars[f"{name}@{max(minutes, 15) if minutes == 1 else minutes}", index] = longer
            elif index < sessions and index not in played:
                played.add(index)
                bars[name, index] = [minute for candle in candles for minute in as_minutes(candle, minutes)]


def _fill_mark(bars: dict[tuple[str, int], list[Bar]], name: str, start_us: int, sessions: int) -> None:
    """Add the minutes without a trade to a mark, which stays where it was: a venue always has one."""
    last: Bar | None = None
    for index in range(sessions):
        by_start = {bar.start_us: bar for bar in bars.get((name, index), ())}
        filled = []
        for start in range(start_us + index * DAY, start_us + (index + 1) * DAY, MINUTE):
            bar = by_start.get(start) or (last and Bar(start, last.close, last.close, last.close, last.close, 0))
            if bar is not None:
                last = bar
                filled.append(bar)
        if filled:
            bars[name, index] = filled


def _in_units(bar: Bar, volume: Decimal, grid: Grid, *, on_ticks: bool) -> Bar:
    """Return a candle in an instrument's price units, with its volume in whole units, rounded up."""
    step = grid.tick(bar.close * grid.units // _FINEST.units) if on_ticks else 1
    scale = _FINEST.units // grid.units * step
    opening, high, low, close = (max((units + scale // 2) // scale, 1) * step for units in bar[1:5])
    return Bar(bar.start_us, opening, high, low, close, min(-int(-volume // 1), _MOST_VOLUME))


def _in_quarters(minutes: Sequence[Bar]) -> list[Bar]:
    grouped = groupby(minutes, lambda bar: bar.start_us // _QUARTER * _QUARTER)
    return [_merge(start_us, list(some)) for start_us, some in grouped]


def _merge(start_us: int, bars: Sequence[Bar]) -> Bar:
    _, opens, highs, lows, closes, volumes = zip(*bars, strict=True)
    return Bar(start_us, opens[0], max(highs), min(lows), closes[-1], sum(volumes))


def as_minutes(candle: Bar, minutes: int) -> list[Bar]:
    """Split a candle into minutes that move in straight lines, from its open by way of both extremes to its close.

    A rising candle touches its low first, and a falling candle its high. Combined, the minutes give the candle again.
    """
    if minutes == 1:
        return [candle]
    first, second = (candle.low, candle.high) if candle.close >= candle.open else (candle.high, candle.low)
    turns, third = (candle.open, first, second, candle.close), minutes / 3
    path = [candle.open]
    for number in range(1, minutes + 1):
        leg = min(int((number - 1e-9) / third), 2)
        path.append(round(turns[leg] + (turns[leg + 1] - turns[leg]) * (number / third - leg)))
    touched = {round(third): first, round(2 * third): second}
    share, rest = divmod(candle.volume, minutes)
    bars = []
    for number in range(minutes):
        opening, close = path[number], path[number + 1]
        extreme = touched.get(number + 1, close)
        volume = share + (rest if number == minutes - 1 else 0)
        high, low = max(opening, close, extreme), min(opening, close, extreme)
        bars.append(Bar(candle.start_us + number * MINUTE, opening, high, low, close, volume))
    return bars


def _place_funding(bars: dict[tuple[str, int], list[Bar]], symbol: str, recorded: Recorded, start_us: int) -> None:
    """Add a symbol's funding rates, each at the beginning of its hours; a rate that is a fraction is multiplied by the
    last price before.
    """
    if not recorded.rates.get(symbol):
        return
    kind = next(kind for kind in (MARK, TRADE, SPOT) if any((symbol, kind) == key[:2] for key in recorded.candles))
    shortest = min(minutes for name, of, minutes in recorded.candles if (name, of) == (symbol, kind))
    rows = recorded.candles[symbol, kind, shortest]
    index = 0
    for rate in recorded.rates[symbol]:
        begins_us = rate.until_us - rate.hours * HOUR
        while index + 1 < len(rows) and rows[index + 1][0].start_us + shortest * MINUTE <= begins_us:
            index += 1
        price = Decimal(rows[index][0].close).scaleb(-_FINEST.places)
        usd = rate.usd if rate.usd is not None else (rate.fraction or Decimal(0)) * price
        units = int(usd.scaleb(FUNDING_PLACES))
        for hour in range(rate.hours):
            at_us = begins_us + hour * HOUR
            stored = Bar(at_us, units, units, units, units, 0)
            bars[series_name(symbol, FUNDING), (at_us - start_us) // DAY].append(stored)


class HeldPerpetuals(HeldContracts):
    """A bar source for recorded prices of perpetuals: minutes for the market's days, longer candles before that."""

    def __init__(self, bars: Mapping[tuple[str, int], Sequence[Bar]]) -> None:
        super().__init__(bars)
        self.series = frozenset(name for name, _ in bars)
        self._lengths: dict[str, list[int]] = defaultdict(list)
        for name in self.series:
            base, _, minutes = name.partition("@")
            self._lengths[base].append(int(minutes or 1))
        minutes_before = (-index for name, index in bars if index < 0 and "@" not in name and FUNDING not in name)
        self.past_minutes = max(minutes_before, default=0)
        self.past_days = self.candle_days = max((-index for _, index in bars if index < 0), default=0)
        self.rates = {
            name.partition(" ")[0]: self._rates_of(name) for name in self.series if name.endswith(f" {FUNDING}")
        }

    def _rates_of(self, name: str) -> tuple[tuple[int, Decimal], ...]:
        indexes = sorted(index for series, index in self._bars if series == name)
        rows = (bar for index in indexes for bar in self._bars[name, index])
        return tuple((bar.start_us, Decimal(bar.open).scaleb(-FUNDING_PLACES)) for bar in rows)

    def past_candles(self, symbol: str, index: int, span_us: int, *, wicks: bool) -> list[Bar]:
        """Return a session's recorded candles: the longest of those from which candles of `span_us` can be built."""
        for minutes in sorted(self._lengths.get(symbol, ()), reverse=True):
            name = symbol if minutes == 1 else f"{symbol}@{minutes}"
            if span_us % (minutes * MINUTE) == 0 and (bars := self._bars.get((name, index))):
                return (
                    list(bars)
                    if wicks
                    else [bar._replace(high=max(bar.open, bar.close), low=min(bar.open, bar.close)) for bar in bars]
                )
        return []

    def count(self, symbol: str, index: int, span_us: int) -> int:
        """Return how many candles of a span a session has."""
        bars = self.bars(symbol, index) if index >= 0 else self.past_candles(symbol, index, span_us, wicks=True)
        return len({bar.start_us // span_us for bar in bars})

    def history_day(self, symbol: str, sessions_before: int) -> Bar | None:
        """Return the daily bar of a session before the market's first, or None if the files don't have it."""
        bars = self.past_candles(symbol, -sessions_before, DAY, wicks=True)
        return _merge(bars[0].start_us, bars) if bars else None

    def history_close(self, symbol: str, sessions_before: int) -> int | None:
        """Return a close from before the market's first session, or None if the files don't have it."""
        day = self.history_day(symbol, sessions_before)
        return None if day is None else day.close


def missing_kinds(spec: MarketSpec, symbols: Sequence[str]) -> list[str]:
    """Return sentences on what a market's files lack, and what is assumed instead."""
    assert spec.path is not None
    recorded, sentences = read_perpetuals(Path(spec.path), spec.bar_stamp, spec.reading), []
    there = {key[:2] for key in recorded.candles}
    for kind, assumed in (
        (TRADE, "orders fill at the mark, or else at the coin's own price"),
        (MARK, "the mark is the last trade"),
        (SPOT, "the coin's own price follows the trades"),
    ):
        without = [symbol for symbol in symbols if (symbol, kind) not in there]
        if without:
            sentences.append(f"no {kind} prices for {_few(without)}: {assumed}")
    unpaid = [symbol for symbol in symbols if symbol not in recorded.rates]
    if unpaid:
        sentences.append(f"no funding rates for {_few(unpaid)}: no funding is paid")
    return sentences


def _few(symbols: Sequence[str]) -> str:
    more = f" and {len(symbols) - 3} more" if len(symbols) > 3 else ""
    return f"{', '.join(symbols[:3])}{more}"
