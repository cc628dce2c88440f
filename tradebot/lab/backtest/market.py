"""Open a market in this process, with the sessions, bars and actions that an exchange would have in its folder."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from functools import lru_cache
from pathlib import Path
from typing import NamedTuple

from papervenue.market.action_sources import actions_file_for, generated_actions, read_actions
from papervenue.market.actions import Action
from papervenue.market.alternate_future import AlternateBars, OtherFuture
from papervenue.market.bar_files import files_in, is_parquet
from papervenue.market.bars import BarSource, Market
from papervenue.market.daily import DailyBars, read_days
from papervenue.market.generator import GeneratedBars
from papervenue.market.perpetual_files import missing_kinds
from papervenue.market.rates import NO_RATES, Rates, rates_of
from papervenue.market.recorded import NO_CALENDARS, Bars, describe_damage
from papervenue.market.sessions import Calendar, build_calendar, own_calendars
from papervenue.market.sessions import Session as MarketSession
from papervenue.market.spec import MarketError, MarketSpec
from papervenue.market.venue import Grid, Venue
from papervenue.market_loader import generated_source, held_bars, read_recorded
from papervenue.times import SECOND
from tradebot.adapters.bars.store import MINUTES
from tradebot.app.sandbox import translate_exchange_errors
from tradebot.auditing.bar_findings import RawBar, RawSeries
from tradebot.auditing.bar_rules import DAY_S, HOUR_S, SessionSeconds, wrong_zone
from tradebot.errors import OperatorError
from tradebot.model.struct_tools import replace


class OpenedMarket(NamedTuple):
    """A market, as built from its specification. It never changes, so several runs can share its data.

    `calendars` has the calendars of symbols whose sessions differ from the market's. For such a symbol, a session's
    index refers to the symbol's own calendar.
    """

    spec: MarketSpec
    source: BarSource
    calendar: Calendar
    symbols: tuple[str, ...]
    actions: tuple[Action, ...]
    rates: Rates = NO_RATES
    unused: str = ""
    """The unusable rows of the file, and why; empty if all are usable."""
    calendars: Mapping[str, Calendar] = NO_CALENDARS
    lacking: str = ""
    """The bars that a bot of contracts needs but the file lacks; empty if there are none."""
    assumed: str = ""
    """Which kinds of prices the files of perpetuals lack, and what takes their place; empty if none is missing."""

    @property
    def days(self) -> DailyBars | None:
        return self.source if isinstance(self.source, DailyBars) else None

    def market(self) -> Market:
        """Return the market in its initial state; a run may then rename and delist symbols in the returned object."""
        stands, own = self.spec.source == "daily", self.calendars
        market = Market(self.source, self.calendar, self.symbols, stands=stands, grids=self.grids, calendars=own)
        market.announce(*self.actions)
        return market

    @property
    def grids(self) -> Mapping[str, Grid]:
        """Return the price grid of each instrument, by symbol."""
        return {instrument.symbol: Grid(instrument) for instrument in self.spec.venue.instruments}

    def calendar_of(self, symbol: str) -> Calendar:
        """Return a symbol's calendar."""
        return self.calendars.get(symbol, self.calendar)

    def with_other_future(self, at_us: int) -> OpenedMarket:
        """Return a market with the same bars up to a time, in microseconds since 1970, and different bars later."""
        spec = replace(self.spec, other_us=at_us)
        if self.spec.source == "generated":
            return open_market_in_memory(spec)
        return self._replace(spec=spec, source=OtherFuture(self.source, AlternateBars(self.source, self.grids), at_us))


def open_market_in_memory(spec: MarketSpec) -> OpenedMarket:
    """Build the market of a specification in memory; raise OperatorError if its files can't be used.

    The last market is cached, because policies learn from the same file of contracts repeatedly.
    """
    if spec.source == "generated" or not spec.venue.of_months:
        return _make_market(spec)
    return _read_once(replace(spec, seed=0), _version(Path(spec.path or "")))._replace(spec=spec)


def _version(path: Path) -> tuple[tuple[int, int], ...] | None:
    """Return a value that changes when a file or one of a folder does; None if one can't be read."""
    try:
        statuses = [file.stat() for file in files_in(path)]
    except (OSError, MarketError):
        return None
    return tuple((status.st_mtime_ns, status.st_size) for status in statuses)


@lru_cache(maxsize=1)
def _read_once(spec: MarketSpec, version: tuple[tuple[int, int], ...] | None) -> OpenedMarket:
    return _make_market(spec)


def _make_market(spec: MarketSpec) -> OpenedMarket:
    with translate_exchange_errors():
        calendar = build_calendar(spec.start, spec.sessions, spec.venue.calendar)
        return _open_source(spec, calendar)._replace(rates=rates_of(spec, calendar))


def _open_source(spec: MarketSpec, calendar: Calendar) -> OpenedMarket:
    if spec.source == "daily":
        return _daily(spec, calendar)
    return _open_generated(spec, calendar) if spec.source == "generated" else _open_recorded(spec, calendar)


def _require_plausible_times(path: str, bars: Bars, calendar: Calendar) -> None:
    """Raise OperatorError if bars would fit the sessions in another time zone.

    A session counts as `index`, and what was traded before and after it as `~index`. Only sessions without a bar in
    their first or their last hour are looked at, because most files have none.
    """
    hours = {index: _in_seconds(session) for index, session in enumerate(calendar.market)}
    suspects = defaultdict[str, list[RawBar]](list)
    for symbol, index in bars:
        of, regular = hours.get(index if index >= 0 else ~index), bars.get((symbol, index if index >= 0 else ~index))
        begins = regular and of and regular[0].start_us < (of.open_s + HOUR_S) * SECOND
        ends = regular and of and regular[-1].start_us >= (of.close_s - HOUR_S) * SECOND
        if not (begins and ends):
            # Only times and volumes are looked at.
            suspects[symbol] += (RawBar(bar.start_us // SECOND, 0, 0, 0, 0, bar.volume) for bar in bars[symbol, index])
    for symbol, raw_bars in sorted(suspects.items()):
        for finding in wrong_zone(RawSeries(symbol, MINUTES, sorted(raw_bars)), tuple(hours.values())):
            raise OperatorError(
                f"{path}: the times of {symbol} can't be right: {finding.found}",
                "if they are in UTC: --bars-as zone=UTC; tradebot bars import FILES --dry-run checks files",
            )


def _in_seconds(session: MarketSession) -> SessionSeconds:
    early_s, open_s, close_s, late_s = (
        at_us // SECOND for at_us in (session.pre_us, session.open_us, session.close_us, session.post_us)
    )
    return SessionSeconds(open_s - open_s % DAY_S, early_s, open_s, close_s, late_s)


def _open_generated(spec: MarketSpec, calendar: Calendar) -> OpenedMarket:
    own, grids = (
        own_calendars(spec.venue, calendar),
        {instrument.symbol: Grid(instrument) for instrument in spec.venue.instruments},
    )
    source = generated_source(spec, calendar, grids, own)
    actions: Iterable[Action] = ()
    if spec.corporate_actions and isinstance(source, GeneratedBars):
        actions = generated_actions(source, calendar, spec.symbols, spec.seed)
    return OpenedMarket(spec, source, calendar, spec.symbols, tuple(actions), calendars=own)


def _daily(spec: MarketSpec, calendar: Calendar) -> OpenedMarket:
    imported = read_days(spec, calendar)
    source = DailyBars(imported.days, calendar, spec.day_prices)
    unused = describe_damage(
        "parquet" if is_parquet(Path(spec.path or "")) else "csv", imported.skipped, imported.first_lines
    )
    return OpenedMarket(spec, source, calendar, imported.symbols, imported.actions, unused=unused)


def _open_recorded(spec: MarketSpec, calendar: Calendar) -> OpenedMarket:
    own = own_calendars(spec.venue, calendar)
    imported = read_recorded(spec, calendar, own)
    assert spec.path is not None, "recorded bars come from a file"
    if spec.venue == Venue():
        _require_plausible_times(spec.path, imported.bars, calendar)
    file = actions_file_for(Path(spec.path))
    actions = read_actions(file, calendar, imported.symbols) if file.is_file() else ()
    unused = describe_damage(spec.source, imported.skipped, imported.first_lines)
    source = held_bars(spec, imported.bars, {each.symbol: Grid(each) for each in spec.venue.instruments})
    assumed = "; ".join(missing_kinds(spec, imported.symbols)) if spec.venue.of_perpetuals else ""
    opened = OpenedMarket(spec, source, calendar, imported.symbols, tuple(actions), unused=unused, calendars=own)
    return opened._replace(assumed=assumed)
