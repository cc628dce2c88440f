"""Serve bars without looking ahead: a bar is visible only once its minute is over.

Prices are whole numbers of 0.0001 USD, or of an instrument's finer unit, so that sums and comparisons never depend on
floating point.

Bars are adjusted for corporate actions: prices are multiplied by each action's factor (`Step`), and volumes are divided
by the factors of splits.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from decimal import Decimal
from fractions import Fraction
from functools import cached_property, lru_cache
from itertools import accumulate
from types import MappingProxyType
from typing import TYPE_CHECKING, NamedTuple, Protocol, TypeVar, runtime_checkable

from papervenue.market.actions import CASH_MERGER, DIVIDEND, NAME_CHANGE, SPLITS, Action, ActionBook
from papervenue.market.sessions import Calendar
from papervenue.market.venue import SHARE, Grid, exact
from papervenue.times import MINUTE

if TYPE_CHECKING:
    pass


class BarSource(Protocol):
    """A source of bars.

    A negative session index counts back from the market's first session. Of the sessions before that, the last
    `past_minutes` have minute bars, and the last `past_days` have daily bars; callers never request others.
    """

    past_minutes: int
    past_days: int

    def bars(self, symbol: str, index: int) -> tuple[Bar, ...]:
        """Return the minute bars of a symbol in a session of the market, oldest first."""

    def extended_hours(self, symbol: str, index: int) -> tuple[Bar, ...]:
        """Return the minute bars of a symbol before a session's open and after its close, oldest first."""

    def history_close(self, symbol: str, sessions_before: int) -> int | None:
        """Return the close of a session before the market's first, or None if it is unknown."""

    def history_day(self, symbol: str, sessions_before: int) -> Bar | None:
        """Return the daily bar of a session before the market's first, or None if it is unknown."""

    def liquid(self, symbol: str) -> bool:
        """Return True if a symbol is liquid enough to be sold short and traded in fractions."""


@runtime_checkable
class QuickPast(Protocol):
    """A source that can make candles of sessions before the market's first without generating their minutes.

    It has candles for the last `candle_days` of those sessions.
    """

    candle_days: int

    def past_candles(self, symbol: str, index: int, span_us: int, *, wicks: bool) -> list[Bar]:
        """Return a session's candles, stamped at multiples of their span; without `wicks`, built from closes only."""


@runtime_checkable
class QuickCloses(Protocol):
    """A source that returns the closes of the market's sessions without generating their minutes."""

    def close(self, symbol: str, index: int) -> int:
        """Return the close of a session, in price units."""


@runtime_checkable
class SeveralPrices(Protocol):
    """A source with more than one kind of price: it has the names of its series, and funding rates by symbol."""

    series: Collection[str]
    rates: Mapping[str, Sequence[tuple[int, Decimal]]]


def series_of(source: BarSource) -> Collection[str]:
    """Return the names of a source's price series besides trades, such as marks."""
    return source.series if isinstance(source, SeveralPrices) else ()


def rates_of(source: BarSource) -> Mapping[str, Sequence[tuple[int, Decimal]]]:
    """Return the recorded funding rates by symbol, in USD, each with the time at which it starts, oldest first."""
    return source.rates if isinstance(source, SeveralPrices) else {}


Ratio = tuple[int, int]

"""Numerator and denominator of a fraction in lowest terms."""


class Step(NamedTuple):
    """The factor by which a corporate action multiplies prices from its effective date on.

    For a split, it is old rate / new rate; for a dividend, it is (close before - rate) / close before. All earlier bars
    are adjusted by multiplying them by this factor. Source: CRSP's definition of adjustment factors, which data vendors
    share.
    """

    at_us: int
    kind: str
    price: Fraction
    in_bars: bool


def scale_bars(bars: Sequence[Bar], steps: Sequence[Step], priced: Callable[[int], int], *, down: bool) -> list[Bar]:
    """Multiply each bar by the factors of the steps after it or, if `down`, of the steps up to its start."""
    if not steps:
        return list(bars)
    moments = [step.at_us for step in steps]
    ratios: dict[int, tuple[Ratio, Ratio]] = {}
    scaled = []
    for bar in bars:
        index = bisect_right(moments, bar.start_us)
        if index not in ratios:
            ratios[index] = _factors(steps[:index] if down else steps[index:])
        scaled.append(_times(bar, ratios[index], priced))
    return scaled


def _factors(steps: Sequence[Step]) -> tuple[Ratio, Ratio]:
    price = volume = Fraction(1)
    for step in steps:
        price *= step.price
        volume *= step.price if step.kind == "split" else 1
    return price.as_integer_ratio(), (1 / volume).as_integer_ratio()


def _times(bar: Bar, factors: tuple[Ratio, Ratio], priced: Callable[[int], int]) -> Bar:
    price, volume = factors
    opening, high, low, close = [max(1, priced(product(units, price))) for units in bar[1:5]]
    return bar._replace(open=opening, high=high, low=low, close=close, volume=product(bar.volume, volume))


def product(number: int, factor: Ratio) -> int:
    """Return `round(number * Fraction(*factor))`, half to even, but much faster."""
    numerator, denominator = factor
    whole, rest = divmod(number * numerator, denominator)
    twice = 2 * rest
    return whole + (twice > denominator or (twice == denominator and whole % 2 == 1))


T = TypeVar("T")

UNITS = 10_000

"""Price units in one dollar."""

usd = exact

"""Returns price units as exact dollars; another instrument's come with the places of its unit."""

SPREAD_BPS = 2

"""The default spread between bid and ask, in basis points; a market's fill model may set another."""

_SESSIONS_IN_MEMORY = 3


class Bar(NamedTuple):
    """One bar, stamped at its start; prices in units, volume in shares or contracts."""

    start_us: int
    open: int
    high: int
    low: int
    close: int
    volume: int

    @property
    def end_us(self) -> int:
        """Return the moment at which a minute bar is complete."""
        return self.start_us + MINUTE


def without_wicks(bar: Bar) -> Bar:
    """Return a bar whose high and low don't go beyond its open and close."""
    return bar._replace(high=max(bar.open, bar.close), low=min(bar.open, bar.close))


class Day:
    """One symbol's session with running totals, so that the bar of the day so far needs one lookup."""

    def __init__(self, bars: Sequence[Bar]) -> None:
        self.bars = bars
        self._starts = [bar[0] for bar in bars]

    @cached_property
    def _totals(self) -> tuple[list[int], list[int], list[int]]:
        _, _, highs, lows, _, volumes = zip(*self.bars, strict=True)
        return [*accumulate(highs, max)], [*accumulate(lows, min)], [*accumulate(volumes)]

    def complete(self, now_us: int) -> int:
        return bisect_right(self._starts, now_us - MINUTE)

    def until(self, now_us: int, start_us: int) -> Bar | None:
        """Return the bar of the day so far, stamped `start_us`, or None before the first minute is complete."""
        count = self.complete(now_us)
        if not count:
            return None
        last, (highs, lows, volumes) = count - 1, self._totals
        return Bar(start_us, self.bars[0].open, highs[last], lows[last], self.bars[last].close, volumes[last])

    @cached_property
    def _tails(self) -> tuple[list[int], list[int]]:
        highs, lows = [bar.high for bar in reversed(self.bars)], [bar.low for bar in reversed(self.bars)]
        return [*accumulate(highs, max)][::-1], [*accumulate(lows, min)][::-1]

    def extremes_from(self, number: int) -> tuple[int, int] | None:
        """Return the highest and lowest price of the session from this minute on; None if no minute is left."""
        highs, lows = self._tails
        return (highs[number], lows[number]) if number < len(highs) else None

    def last(self, now_us: int) -> Bar | None:
        count = self.complete(now_us)
        return self.bars[count - 1] if count else None

    def volume(self, now_us: int) -> int:
        count = self.complete(now_us)
        return self._totals[2][count - 1] if count else 0

    @cached_property
    def _turnovers(self) -> list[int]:
        return [*accumulate(bar.volume * bar.close for bar in self.bars)]

    def sums(self, now_us: int) -> tuple[int, int]:
        """Return the volume and the turnover so far; the turnover is each minute's volume times its close, added up.

        The turnover is in price units.
        """
        count = self.complete(now_us)
        return (self._totals[2][count - 1], self._turnovers[count - 1]) if count else (0, 0)


class BySymbolWithDefault(dict[str, T]):
    """A mapping from symbols to values, with a default for all other symbols."""

    def __init__(self, symbols: Iterable[str], own: Mapping[str, T], usual: T) -> None:
        super().__init__(dict.fromkeys(symbols, usual) | {**own})
        self._usual = usual

    def __missing__(self, symbol: str) -> T:
        return self._usual


class Market:
    """All symbols' bars in all sessions, generated or read on first use.

    Of the sessions before the market's first, the last `past_minutes` have minute bars, and the last `past_days` have
    daily bars. Bars are raw, as traded, so they jump where an action takes effect. `symbols` and `known` contain what
    is listed now. If the market `stands`, the last quote stays valid until the next bar or the close; sessions with
    only a few bars need this. `grids` has the price grids of instruments other than shares. `calendars` has the
    calendars of symbols with different sessions; a session index of such a symbol refers to its own calendar. `basis`
    returns by which fraction a symbol's mark price exceeds its last price at a moment. Without `basis` the two are the
    same, unless mark prices were recorded.
    """

    def __init__(
        self,
        source: BarSource,
        calendar: Calendar,
        symbols: Sequence[str],
        *,
        stands: bool = False,
        grids: Mapping[str, Grid] = MappingProxyType({}),
        calendars: Mapping[str, Calendar] = MappingProxyType({}),
        basis: Callable[[str, int], float] | None = None,
    ) -> None:
        self.calendar = calendar
        self._basis = basis
        self.grids = BySymbolWithDefault(symbols, grids, SHARE)
        self.calendars = BySymbolWithDefault(symbols, calendars, calendar)
        self.all_calendars = (calendar, *dict.fromkeys(calendars.values()))
        self._stands = stands
        self.symbols = tuple(symbols)
        self.known = frozenset(symbols)
        self.actions = ActionBook()
        self._source = source
        self._series, self.funding_rates = frozenset(series_of(source)), rates_of(source)
        self.past_minutes, self.past_days = source.past_minutes, source.past_days
        cached = max(64, _SESSIONS_IN_MEMORY * len(self.symbols))
        self.day = lru_cache(maxsize=cached)(self._day)
        self.extended = lru_cache(maxsize=cached)(self._extended_day)
        self._steps = lru_cache(maxsize=cached)(self._steps_of)
        self._splits = lru_cache(maxsize=cached)(self._splits_of)
        self._changes = lru_cache(maxsize=cached)(self._changes_of)

    def series_name(self, symbol: str, kind: str) -> str:
        """Return the name of a symbol's price series of some kind; without such a series, return the symbol itself."""
        name = f"{symbol} {kind}"
        return name if name in self._series else symbol

    def mark(self, symbol: str, last: int, at_us: int) -> int:
        """Return a symbol's mark price at a moment, in units: the recorded one, or the `last` price plus the basis."""
        if (name := self.series_name(symbol, "mark")) != symbol:
            return self.price(name, at_us) or last
        return max(1, round(last * (1 + self._basis(symbol, at_us)))) if self._basis else last

    def mark_bar(self, symbol: str, bar: Bar) -> Bar:
        """Return the bar of a symbol's mark price for the same time as a bar of its trades."""
        if (name := self.series_name(symbol, "mark")) != symbol:
            return self.last_bar(name, bar.end_us) or bar
        opening, close = self.mark(symbol, bar.open, bar.start_us), self.mark(symbol, bar.close, bar.end_us)
        return Bar(bar.start_us, opening, max(opening, close), min(opening, close), close, bar.volume)

    def liquid(self, symbol: str) -> bool:
        """Return True if a symbol can be sold short and traded in fractions."""
        return self._source.liquid(self.actions.entity(symbol))

    def announce(self, *actions: Action) -> None:
        """Add corporate actions; bars before their effect don't change."""
        self.actions.add(actions)
        for cache in (self.day, self.extended, self._steps, self._splits, self._changes):
            cache.cache_clear()

    def quoted_us(self, bar: Bar, now_us: int) -> int:
        """Return the time of the quote after the newest bar: the bar's end, or now if the quote is still valid."""
        closes_us = self.calendar.market[self.calendar.last_reached(bar.start_us)].close_us if self._stands else 0
        return max(bar.end_us, min(now_us, closes_us))

    def relist(self, action: Action) -> None:
        """List a company under its new name, or delist one that was bought."""
        new = {action.symbol: action.new_symbol} if action.kind == NAME_CHANGE else {action.symbol: ""}
        self.symbols = tuple(name for old in self.symbols if (name := new.get(old, old)))
        self.known = frozenset(self.symbols)

    def listed_name(self, symbol: str) -> str | None:
        """Return the symbol under which a company is listed now, or None if it was delisted."""
        entity = self.actions.entity(symbol)
        return next((name for name in self.symbols if self.actions.entity(name) == entity), None)

    def _day(self, symbol: str, index: int) -> Day:
        return Day(self._raw(symbol, self._source.bars(self.actions.entity(symbol), index)))

    def _extended_day(self, symbol: str, index: int) -> Day:
        return Day(self._raw(symbol, self._source.extended_hours(self.actions.entity(symbol), index)))

    def _raw(self, symbol: str, bars: Sequence[Bar]) -> Sequence[Bar]:
        """Apply the actions that the source doesn't know to its bars; return none from the end of trading on."""
        ends_us, steps = self._changes(symbol)
        if ends_us is not None:
            bars = [bar for bar in bars if bar.start_us < ends_us]
        return scale_bars(bars, steps, _to_tick, down=True) if steps else bars

    def _changes_of(self, symbol: str) -> tuple[int | None, Sequence[Step]]:
        """Return when trading in a symbol ends, if it does, and the price steps that the source's bars don't show."""
        ends_us = [action.at_us for action in self.actions.of(symbol) if action.kind == CASH_MERGER]
        last_us = self.grids[symbol].last_us
        unseen = any(not action.in_bars for action in self.actions.of(symbol))
        steps = [step for step in self._steps(symbol) if not step.in_bars] if unseen else []
        return min(ends_us if last_us is None else [*ends_us, last_us], default=None), steps

    def _steps_of(self, symbol: str) -> tuple[Step, ...]:
        steps: list[Step] = []
        for action in self.actions.of(symbol):
            if action.kind in SPLITS:
                steps.append(
                    Step(action.at_us, "split", Fraction(action.old_rate) / Fraction(action.new_rate), action.in_bars)
                )
            if action.kind == DIVIDEND:
                factor = self._dividend_factor(action, steps)
                steps.append(Step(action.at_us, "dividend", factor, action.in_bars))
        return tuple(steps)

    def _splits_of(self, symbol: str) -> tuple[Step, ...]:
        """Return a company's price steps that change the meaning of a share; those of dividends are slow to compute."""
        split = any(action.kind in SPLITS for action in self.actions.of(symbol))
        return tuple(step for step in self._steps(symbol) if step.kind == "split") if split else ()

    def _dividend_factor(self, action: Action, before: Sequence[Step]) -> Fraction:
        """Return (close before - rate) / close before, or 1 if no close is known or the rate isn't below it."""
        entity = self.actions.entity(action.symbol)
        close = self._source_close(entity, self.calendar.position_of(action.ex_date) - self.calendar.first - 1)
        if close is None:
            return Fraction(1)
        for step in before:
            if not step.in_bars:
                close *= step.price
        rate = Fraction(action.rate) * UNITS
        return (close - rate) / close if rate < close else Fraction(1)

    def _source_close(self, entity: str, index: int) -> Fraction | None:
        """Return the newest close up to a session; a negative index counts back from the market's first."""
        for earlier in range(index, -1, -1):
            bars = self._source.bars(entity, earlier)
            if bars:
                return Fraction(bars[-1].close)
        before = range(max(1, -index), self.calendar.first + 1)
        closes = (self._source.history_close(entity, sessions) for sessions in before)
        return next((Fraction(close) for close in closes if close is not None), None)

    def adjust_bars(self, symbol: str, bars: Sequence[Bar], kinds: Collection[str], now_us: int) -> list[Bar]:
        """Return bars adjusted for all actions of these kinds (split, dividend) up to now.

        Prices before a step are multiplied by its factor. Volumes are divided by the factors of splits only.
        """
        steps = [step for step in self._steps(symbol) if step.at_us <= now_us and step.kind in kinds]
        return scale_bars(bars, steps, int, down=False)

    def whole_day(self, symbol: str, index: int) -> Bar | None:
        """Return a session's bar with the volume of the whole day, once that is over; None without a regular trade."""
        entity = self.actions.entity(symbol)
        bars = self._raw(symbol, self._source.bars(entity, index))
        if not bars:
            return None
        thin = self._raw(symbol, self._source.extended_hours(entity, index))
        start_us, opens, highs, lows, closes, volumes = zip(*bars, strict=True)
        volume = sum(volumes) + sum(bar.volume for bar in thin)
        return Bar(start_us[0], opens[0], max(highs), min(lows), closes[-1], volume)

    def last_bar(self, symbol: str, now_us: int) -> Bar | None:
        """Return the newest complete bar of a symbol, including extended hours, adjusted for splits up to now."""
        for index in range(self.calendars[symbol].last_reached(now_us), -1, -1):
            bar = self._last_of(symbol, index, now_us)
            if bar is not None:
                return self._in_shares(symbol, bar, now_us)
        return None

    def _last_of(self, symbol: str, index: int, now_us: int) -> Bar | None:
        """Return the newest bar of one session and its extended hours, generating only the part that can contain it."""
        session = self.calendars[symbol].market[index]
        if session.open_us < now_us <= session.close_us:
            regular = self.day(symbol, index).last(now_us)
            return regular or self.extended(symbol, index).last(now_us)
        around = self.extended(symbol, index).last(now_us)
        if now_us <= session.open_us or (around is not None and around.start_us > session.open_us):
            return around
        return self.day(symbol, index).last(now_us) or around

    def price(self, symbol: str, now_us: int) -> int | None:
        """Return the last known price: the close of the newest bar, or the close before the market began."""
        bar = self.last_bar(symbol, now_us)
        return bar.close if bar else self._history_close(symbol, 1)

    def session_price(self, symbol: str, now_us: int) -> int | None:
        """Return the last known price from regular sessions, in units; extended hours don't count."""
        begun = self.calendars[symbol].last_begun(now_us)
        for index in range(begun if begun is not None else -1, -1, -1):
            bar = self.day(symbol, index).last(now_us)
            if bar is not None:
                return self._in_shares(symbol, bar, now_us).close
        return self._history_close(symbol, 1)

    def close_of(self, symbol: str, index: int) -> int | None:
        """Return the last price of a session; a negative index counts back from the market's first."""
        if index < 0:
            return self._history_close(symbol, -index)
        bars = self.day(symbol, index).bars
        return bars[-1].close if bars else None

    def close_before(self, symbol: str, index: int, now_us: int | None = None) -> int | None:
        """Return the close before a session, adjusted for splits up to that session's open or a later time."""
        opens_us = self.calendars[symbol].market[index].open_us
        return self._close_in_shares(symbol, index - 1, max(opens_us, now_us or opens_us))

    def _close_in_shares(self, symbol: str, index: int, now_us: int) -> int | None:
        close = self.close_of(symbol, index)
        if close is None or not self._splits(symbol):
            return close
        ended_us = self.calendar.all[self.calendar.first + index].close_us
        stamped = Bar(ended_us - MINUTE, close, close, close, close, 0)
        return self._in_shares(symbol, stamped, now_us).close

    def last_close(self, symbol: str, now_us: int) -> int | None:
        """Return the close of the last finished session, adjusted for splits up to now."""
        calendar = self.calendars[symbol]
        over = calendar.position_of(calendar.trading(now_us).date) - calendar.first - 1
        return self._close_in_shares(symbol, over, now_us)

    def previous_close(self, symbol: str, now_us: int) -> int | None:
        """Return the close of the last session before the current one, adjusted for splits up to now."""
        return self.close_before(symbol, self.calendars[symbol].last_begun(now_us) or 0, now_us)

    def history_day(self, symbol: str, sessions_before: int) -> Bar | None:
        """Return the daily bar of the n-th session before the market's first, stamped at its open; None if unknown."""
        return self._source.history_day(self.actions.entity(symbol), sessions_before)

    def past_candles(self, symbol: str, index: int, span_us: int, *, wicks: bool) -> Sequence[Bar]:
        """Return the bars from which to build candles of a session before the market's first.

        No bar belongs to two candles.
        """
        source = self._source
        if isinstance(source, QuickPast) and index >= -source.candle_days and self._changes(symbol) == (None, []):
            return source.past_candles(symbol, index, span_us, wicks=wicks)
        bars = self.day(symbol, index).bars if index >= -self.past_minutes else ()
        return bars if wicks else [without_wicks(bar) for bar in bars]

    def _history_close(self, symbol: str, sessions_before: int) -> int | None:
        return self._source.history_close(self.actions.entity(symbol), sessions_before)

    def split_factor(self, symbol: str, after_us: int, until_us: int) -> float:
        """Return the factor by which splits between two moments multiply a price."""
        factor = 1.0
        for step in self._splits(symbol):
            if after_us < step.at_us <= until_us:
                factor *= float(step.price)
        return factor

    def _in_shares(self, symbol: str, bar: Bar, now_us: int) -> Bar:
        """Return a bar adjusted for the splits between it and a given time."""
        steps = [step for step in self._splits(symbol) if bar.start_us < step.at_us <= now_us]
        return scale_bars([bar], steps, _to_tick, down=False)[0] if steps else bar


def _to_tick(units: int) -> int:
    step = tick(units)
    return (units + step // 2) // step * step


@lru_cache(maxsize=65_536)
def half_spread(price: int, spread_bps: int = SPREAD_BPS) -> int:
    """Return how far bid and ask are from the midpoint: half the spread in whole ticks, and at least one tick."""
    step = tick(price)
    return max(step, (price * spread_bps + UNITS * step) // (2 * UNITS * step) * step)


def tick(price: int) -> int:
    """Return the tick size: a cent from one dollar up, a hundredth of a cent below."""
    return UNITS // 100 if price >= UNITS else 1


def bid(middle: int, spread_bps: int = SPREAD_BPS) -> int:
    """Return the modeled best bid around a price, rounded to the tick grid."""
    step = tick(middle)
    return max(step, (middle - half_spread(middle, spread_bps)) // step * step)


def ask(middle: int, spread_bps: int = SPREAD_BPS) -> int:
    """Return the modeled best offer around a price, rounded to the tick grid."""
    step = tick(middle)
    return -(-(middle + half_spread(middle, spread_bps)) // step) * step
