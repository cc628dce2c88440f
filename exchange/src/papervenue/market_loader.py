"""Load an exchange from its folder: the market with its sessions and instruments, and the dialect."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from datetime import date
from functools import partial
from pathlib import Path

from msgspec.structs import replace

from papervenue.commands import actions, venue
from papervenue.commands.command import Entry
from papervenue.engine.venue_rules import Dialect
from papervenue.margined.dialect import PlainDialect
from papervenue.market.action_sources import generated_actions, read_actions
from papervenue.market.actions import Action
from papervenue.market.alternate_future import AlternateBars, OtherFuture
from papervenue.market.bars import Bar, BarSource, Market
from papervenue.market.coins import COLLAR, FACE, basis_at
from papervenue.market.daily import DailyBars, kept_days
from papervenue.market.generator import GeneratedBars, Months
from papervenue.market.perpetual_files import HeldPerpetuals, read_market
from papervenue.market.recorded import NO_CALENDARS, Bars, HeldBars, HeldContracts, Imported, kept_bars, read_bars
from papervenue.market.sessions import Calendar, calendar_from_rows
from papervenue.market.spec import MarketSpec
from papervenue.market.venue import Grid, Venue
from papervenue.shares.dialect import ALPACA
from papervenue.state import ACTIONS_FILE, BARS_FILE, DAYS_FILE, EDITION, StoredMarket


def dialect_of(venue_spec: Venue, edition: int = EDITION) -> tuple[Dialect, tuple[Entry, ...]]:
    """Return a venue's dialect, with the given edition of its rules, and the commands of its operator."""
    if venue_spec.dialect == "alpaca":
        return ALPACA, (*actions.ENTRIES, *venue.ENTRIES)
    staff = (*venue.PLAIN_ENTRIES, *(venue.CORRECTIONS if venue_spec.rules.corrections else ()))
    rules = venue_spec.rules
    if edition > 2 and FACE in venue_spec.faces:
        rules = replace(rules, collar=rules.collar or COLLAR, assigns=True)
    return PlainDialect(rules, edition), staff


def open_market(state_dir: Path, stored: StoredMarket) -> Market:
    spec = stored.spec
    calendar = calendar_from_rows(stored.sessions, stored.first, spec.sessions, spec.venue.calendar)
    grids = {instrument.symbol: Grid(instrument) for instrument in spec.venue.instruments}
    names = {instrument.symbol: instrument.calendar or spec.venue.calendar for instrument in spec.venue.instruments}
    calendars = _calendars(stored, names)
    source = _source(state_dir, stored, calendar, grids, calendars)
    stands = spec.source == "daily"
    basis = None
    if spec.source == "generated" and spec.venue.of_perpetuals and stored.edition > 2:
        basis = partial(basis_at, spec.seed, calendar.start_us)
    market = Market(source, calendar, stored.symbols, stands=stands, grids=grids, calendars=calendars, basis=basis)
    market.announce(*_actions(state_dir, stored, source, calendar))
    return market


def _calendars(stored: StoredMarket, names: Mapping[str, str]) -> dict[str, Calendar]:
    """Return the calendars of the symbols that have their own; symbols with the same sessions share one."""
    shared: list[tuple[object, Calendar]] = []
    calendars = {}
    for symbol, stored_calendar in stored.calendars.items():
        kind = names[symbol], stored_calendar
        there = next((calendar for symbol, calendar in shared if symbol == kind), None)
        if there is None:
            there = calendar_from_rows(**stored_calendar, name=names[symbol])
            shared.append((kind, there))
        calendars[symbol] = there
    return calendars


def _source(
    state_dir: Path,
    stored: StoredMarket,
    calendar: Calendar,
    grids: Mapping[str, Grid],
    calendars: Mapping[str, Calendar],
) -> BarSource:
    spec = stored.spec
    if spec.source == "generated":
        return generated_source(spec, calendar, grids, calendars)
    if spec.source == "daily":
        return DailyBars(kept_days(state_dir / DAYS_FILE), calendar, spec.day_prices)

    return held_bars(spec, kept_bars(state_dir / BARS_FILE), grids)


def read_recorded(spec: MarketSpec, calendar: Calendar, calendars: Mapping[str, Calendar] = NO_CALENDARS) -> Imported:
    """Read the recorded bars of a market; raise MarketError if there are none."""
    return read_market(spec, calendar) if spec.venue.of_perpetuals else read_bars(spec, calendar, calendars)


def held_bars(spec: MarketSpec, bars: Bars, grids: Mapping[str, Grid]) -> BarSource:
    """Return the source of a market's recorded bars; from `other_us` on, the prices of perpetuals are higher."""
    if not spec.venue.of_perpetuals:
        return HeldContracts(bars) if spec.venue.instruments else HeldBars(bars)
    source = HeldPerpetuals(bars)
    return source if spec.other_us is None else OtherFuture(source, AlternateBars(source, grids), spec.other_us)


def generated_source(
    spec: MarketSpec, calendar: Calendar, grids: Mapping[str, Grid], calendars: Mapping[str, Calendar]
) -> GeneratedBars | BySymbol | OtherFuture:
    """Return the bars of a generated market; from `other_us` on, they come from another seed."""
    if spec.other_us is None:
        return _generate_bars(spec, spec.seed, calendar, grids, calendars)
    own, other = (_generate_bars(spec, seed, calendar, grids, calendars) for seed in (spec.seed, spec.seed + 1))
    return OtherFuture(own, other, spec.other_us)


def _generate_bars(
    spec: MarketSpec, seed: int, calendar: Calendar, grids: Mapping[str, Grid], calendars: Mapping[str, Calendar]
) -> GeneratedBars | BySymbol:
    make = partial(GeneratedBars, seed, trends=spec.trends)
    usual = make(calendar, [grid for grid in grids.values() if not grid.instrument.root])
    own: dict[str, GeneratedBars | Months] = {
        symbol: make(calendars[symbol], [grids[symbol]]) for symbol in calendars if not grids[symbol].instrument.root
    }
    own |= _months(make, calendar, grids, calendars)
    return BySymbol(usual, own) if own else usual


def _months(
    make: Callable[[Calendar, list[Grid]], GeneratedBars],
    calendar: Calendar,
    grids: Mapping[str, Grid],
    calendars: Mapping[str, Calendar],
) -> dict[str, Months]:
    """Return a source for each month of a future; the months of a root are made from the same bars."""
    of_root: dict[str, list[Grid]] = {}
    for grid in grids.values():
        if grid.instrument.root:
            of_root.setdefault(grid.instrument.root, []).append(grid)
    by_symbol: dict[str, Months] = {}
    for root, months in of_root.items():
        sessions = calendars.get(months[0].instrument.symbol, calendar)
        bars = make(sessions, [Grid(replace(months[0].instrument, symbol=root))])
        rolls = [date.fromisoformat(grid.instrument.rolls or "") for grid in months]
        by_symbol |= {grid.instrument.symbol: Months(bars, grid, sessions, rolls) for grid in months}
    return by_symbol


class BySymbol:
    """A source of bars in which some symbols have a source and sessions of their own."""

    def __init__(self, usual: GeneratedBars, own: Mapping[str, GeneratedBars | Months]) -> None:
        self._usual = usual
        self._own = own
        self.past_minutes = min(source.past_minutes for source in (usual, *own.values()))
        self.past_days = usual.past_days
        self.candle_days = min(source.candle_days for source in (usual, *own.values()))

    def bars(self, symbol: str, index: int) -> tuple[Bar, ...]:
        return self._own.get(symbol, self._usual).bars(symbol, index)

    def extended_hours(self, symbol: str, index: int) -> tuple[Bar, ...]:
        return self._own.get(symbol, self._usual).extended_hours(symbol, index)

    def close(self, symbol: str, index: int) -> int:
        return self._own.get(symbol, self._usual).close(symbol, index)

    def history_close(self, symbol: str, sessions_before: int) -> int | None:
        return self._own.get(symbol, self._usual).history_close(symbol, sessions_before)

    def history_day(self, symbol: str, sessions_before: int) -> Bar | None:
        return self._own.get(symbol, self._usual).history_day(symbol, sessions_before)

    def past_candles(self, symbol: str, index: int, span_us: int, *, wicks: bool) -> list[Bar]:
        return self._own.get(symbol, self._usual).past_candles(symbol, index, span_us, wicks=wicks)

    def liquid(self, symbol: str) -> bool:
        return self._usual.liquid(symbol)


def _actions(state_dir: Path, stored: StoredMarket, source: BarSource, calendar: Calendar) -> Iterable[Action]:
    if isinstance(source, GeneratedBars):
        with_actions = stored.spec.corporate_actions
        return generated_actions(source, calendar, stored.symbols, stored.spec.seed) if with_actions else ()
    path = state_dir / ACTIONS_FILE
    history = stored.spec.source == "daily"
    return read_actions(path, calendar, stored.symbols, history=history) if path.is_file() else ()
