"""The check for look-ahead at a served venue: what is asked again elsewhere catches who knows the future."""

from array import array
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from itertools import count

import pytest
from hypothesis import given
from hypothesis import strategies as st

from papervenue.times import from_datetime
from tests.kit.values import there
from tests.lab.backtest.test_lookahead import SPEC, Trader, honest, market, played, trader_that_remembers
from tradebot.lab.backtest import setup
from tradebot.lab.backtest.bars import EngineBars
from tradebot.lab.backtest.lookahead import MARKET, LookaheadResult, truncate_market
from tradebot.lab.backtest.served_lookahead_check import check_served, peeked_bars
from tradebot.lab.backtest.setup import engine_of
from tradebot.lab.backtest.venue import EngineVenue
from tradebot.model.series import Series, width_of
from tradebot.model.struct_tools import replace
from tradebot.model.venue_day import VenueDay
from tradebot.model.view import BarNeed, StrategyView
from tradebot.ports.strategy import Strategy
from tradebot.ports.world import World

MINUTE = timedelta(minutes=1)


class TooEarly(EngineBars):
    """Bars with the one that ends a minute later, a bug of whoever reads them."""

    def closed(self, need: BarNeed, symbols: Sequence[str], until: datetime) -> Mapping[str, Series]:
        return super().closed(need, symbols, until + MINUTE)


class Misread(TooEarly):
    """The same, and the stamps of ends are taken for those of starts, so that no bar looks too new."""

    def closed(self, need: BarNeed, symbols: Sequence[str], until: datetime) -> Mapping[str, Series]:
        found = super().closed(need, symbols, until)
        return {s: replace(one, starts=array("q", [at - 60 for at in one.starts])) for s, one in found.items()}


@contextmanager
def elsewhere(world: World, now: datetime) -> Iterator[World]:
    """Yield the world with a market that ends at this moment."""
    engine = engine_of(truncate_market(market(), from_datetime(now)), SPEC)
    engine.advance(from_datetime(now))
    yield replace(world, market=EngineVenue(engine, engine.main), bars=type(world.bars)(engine))  # type: ignore[call-arg]


def checked(strategy: Callable[[], Strategy], cuts: int = 4) -> LookaheadResult:
    @contextmanager
    def loaded() -> Iterator[Sequence[Strategy]]:
        yield [strategy()]

    return check_served(played(strategy(), market()), market(), loaded, cuts, lambda done, total: None, elsewhere)


def test_an_honest_strategy_gives_the_same_answers_elsewhere() -> None:
    found = checked(lambda: Trader(honest))
    assert found.peeks == ()
    assert 1 < found.cuts <= 4 < found.of_cuts
    assert found.compared > 10


@pytest.mark.parametrize(("bars", "what"), [(TooEarly, "bar 1Min of AAPL"), (Misread, "bars 1Min of AAPL")])
def test_a_bar_that_has_not_ended_is_named_also_if_it_is_stamped_as_an_older_one(
    bars: type[EngineBars], what: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(setup, "EngineBars", bars)
    (peek,) = checked(lambda: Trader(honest)).peeks
    assert (peek.strategy, peek.what.startswith(what)) == (MARKET, True)
    assert bars is TooEarly or (peek.known != peek.unknown and peek.at == there(peek.cut_at))


def test_a_strategy_that_answers_the_same_view_differently_is_caught() -> None:
    asked = count()
    first, *_ = checked(lambda: Trader(lambda view: next(asked) % 2 == 0)).peeks
    assert (first.strategy, first.what) == ("seer", "decision AAPL")
    assert first.known != first.unknown


def test_a_strategy_that_remembers_another_run_is_caught_without_another_future() -> None:
    assert checked(trader_that_remembers()).peeks[0].strategy == "seer"


AROUND = VenueDay("UTC")
NOON = datetime(2026, 11, 24, 12, tzinfo=UTC)


@given(st.sampled_from(["15Min", "1Hour", "4Hour", "1Day"]), st.integers(-86_400, 86_400))
def test_bar_is_too_early_exactly_until_its_end(timeframe: str, second: int) -> None:
    start = NOON - timedelta(hours=12) if timeframe == "1Day" else NOON
    end, now = start + (width_of(timeframe) or timedelta(days=1)), NOON + timedelta(seconds=second)
    prices = array("d", [1.0])
    bar = Series("BTC", timeframe, True, array("q", [int(start.timestamp())]), prices, prices, prices, prices, prices)
    view = StrategyView(now, ("BTC",), series={bar.key: bar})
    assert [peek.strategy for peek in peeked_bars(view, AROUND)] == [MARKET] * (end > now)
