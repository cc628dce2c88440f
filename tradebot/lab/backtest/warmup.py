"""Find the first session in which strategies have the bars that they need."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterator, Sequence
from datetime import date

from msgspec import Struct

from tradebot.app.settings import Settings
from tradebot.lab.backtest.bars import EngineBars
from tradebot.lab.backtest.engine_conversion import session_of
from tradebot.lab.backtest.market import OpenedMarket
from tradebot.lab.backtest.setup import engine_of
from tradebot.model.bar import Session
from tradebot.model.series import DAY
from tradebot.model.venue_day import VenueDay
from tradebot.model.view import BarNeed, Needs
from tradebot.ports.strategy import Strategy


class Waits(Struct, frozen=True):
    """Bars that a strategy needs and doesn't have in the first session.

    `since` is the first session in which it has them, None if it never does. Without a `symbol`, this applies to all
    its symbols.
    """

    strategy: str
    symbol: str | None
    depth: int
    timeframe: str
    since: date | None


def waits(settings: Settings, strategies: Sequence[Strategy], market: OpenedMarket) -> tuple[Waits, ...]:
    """Return which bars are missing in a market's first session, and when they become available."""
    bars, sessions = EngineBars(engine_of(market, market.spec), market.days), [*map(session_of, market.calendar.market)]
    universes = ((strategy, _universe(settings, strategy)) for strategy in strategies)
    return tuple(waits for each, universe in universes for waits in _of(each, universe, settings.day, bars, sessions))


def _universe(settings: Settings, strategy: Strategy) -> Sequence[str]:
    section = settings.strategies.sections().get(strategy.name)
    return (section.universe if section else None) or settings.universe


def _of(
    strategy: Strategy, universe: Sequence[str], day: VenueDay, bars: EngineBars, sessions: Sequence[Session]
) -> Iterator[Waits]:
    """Yield what a strategy waits for: one line for each symbol, or one alone if no symbol is ready at first."""
    for need in (*strategy.needs.bars, *_of_features(strategy.needs, day)):
        symbols = need.symbols or tuple(universe)
        late = [symbol for symbol in symbols if not _has(bars, need, symbol, sessions[0])]
        since = {symbol: _first(bars, need, symbol, sessions) for symbol in late}
        if len(late) == len(symbols):
            days = [day for day in since.values() if day]
            yield Waits(strategy.name, None, need.enough, need.timeframe, min(days, default=None))
        for symbol in late if len(symbols) > 1 else ():
            yield Waits(strategy.name, symbol, need.enough, need.timeframe, since[symbol])


def _of_features(needs: Needs, day: VenueDay) -> Sequence[BarNeed]:
    if not needs.features:
        return ()
    from tradebot.desk.features import bars_for

    return [bars_for(need, day) for need in needs.features]


def _has(bars: EngineBars, need: BarNeed, symbol: str, session: Session) -> bool:
    """Return True if a symbol's bars are all there for decisions of a session; those of its minutes come during it."""
    until = session.open if need.timeframe == DAY else session.close
    series = bars.closed(need, [symbol], until).get(symbol)
    return series is not None and len(series.starts) >= need.enough


def _first(bars: EngineBars, need: BarNeed, symbol: str, sessions: Sequence[Session]) -> date | None:
    index = bisect_left(sessions, True, key=lambda session: _has(bars, need, symbol, session))
    return sessions[index].date if index < len(sessions) else None
