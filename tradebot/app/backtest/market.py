"""Open a market in this process, with the sessions, bars and actions that an exchange would keep in its folder."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from tradebot.app.sandbox import explained
from tradebot.exchange.market.action_sources import beside, generated_actions, read_actions
from tradebot.exchange.market.bars import Market
from tradebot.exchange.market.daily import DailyBars, read_days
from tradebot.exchange.market.daily_file import is_parquet
from tradebot.exchange.market.generator import GeneratedBars
from tradebot.exchange.market.instruments import Grid
from tradebot.exchange.market.rates import NO_RATES, Rates, rates_of
from tradebot.exchange.market.recorded import HeldBars, damaged, read_bars
from tradebot.exchange.market.sessions import build_calendar

if TYPE_CHECKING:
    from tradebot.exchange.market.actions import Action
    from tradebot.exchange.market.sessions import Calendar
    from tradebot.exchange.market.source import BarSource
    from tradebot.exchange.market.spec import MarketSpec


class OpenedMarket(NamedTuple):
    """What a specification stands for. It never changes, so several runs can share what was read once."""

    spec: MarketSpec
    source: BarSource
    calendar: Calendar
    symbols: tuple[str, ...]
    actions: tuple[Action, ...]
    rates: Rates = NO_RATES
    unused: str = ""
    """Which rows of the file can't be used, and why; empty if all can."""

    @property
    def days(self) -> DailyBars | None:
        return self.source if isinstance(self.source, DailyBars) else None

    def market(self) -> Market:
        """Return the market as a run begins with it; a run may rename and delist its symbols."""
        market = Market(self.source, self.calendar, self.symbols, stands=self.spec.source == "daily")
        market.announce(*self.actions)
        return market


def open_market_in_memory(spec: MarketSpec) -> OpenedMarket:
    """Return the market that an exchange makes of a specification; raise OperatorError if its files can't be used."""
    with explained():
        calendar = build_calendar(spec.start, spec.sessions, spec.venue.calendar)
        return _opened(spec, calendar)._replace(rates=rates_of(spec, calendar))


def _opened(spec: MarketSpec, calendar: Calendar) -> OpenedMarket:
    if spec.source == "daily":
        return _daily(spec, calendar)
    return _generated(spec, calendar) if spec.source == "generated" else _recorded(spec, calendar)


def _generated(spec: MarketSpec, calendar: Calendar) -> OpenedMarket:
    source = GeneratedBars(spec.seed, calendar, map(Grid, spec.venue.instruments), trends=spec.trends)
    actions = generated_actions(source, calendar, spec.symbols, spec.seed) if spec.corporate_actions else ()
    return OpenedMarket(spec, source, calendar, spec.symbols, tuple(actions))


def _daily(spec: MarketSpec, calendar: Calendar) -> OpenedMarket:
    imported = read_days(spec, calendar)
    source = DailyBars(imported.days, calendar, spec.day_prices)
    unused = damaged("parquet" if is_parquet(Path(spec.path or "")) else "csv", imported.skipped, imported.first_lines)
    return OpenedMarket(spec, source, calendar, imported.symbols, imported.actions, unused=unused)


def _recorded(spec: MarketSpec, calendar: Calendar) -> OpenedMarket:
    imported = read_bars(spec, calendar)
    assert spec.path is not None, "recorded bars come from a file"
    file = beside(Path(spec.path))
    actions = read_actions(file, calendar, imported.symbols) if file.is_file() else ()
    unused = damaged(spec.source, imported.skipped, imported.first_lines)
    return OpenedMarket(spec, HeldBars(imported.bars), calendar, imported.symbols, tuple(actions), unused=unused)
