"""The check for look-ahead: it catches who knows the future, and nobody else."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import date
from decimal import Decimal
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from msgspec import Struct, field

from tests.backtest.playing import TRADER
from tradebot.app.backtest import assembly
from tradebot.app.backtest.lookahead import MARKET, Checked, check, moments, spread
from tradebot.app.backtest.market import OpenedMarket, open_market_in_memory
from tradebot.app.backtest.run import Plan, Run, begin
from tradebot.app.settings import Settings, load
from tradebot.exchange.engine.engine import Engine
from tradebot.exchange.market.spec import DayPrices, MarketSpec
from tradebot.exchange.times import from_datetime
from tradebot.model.needs import BarNeed, Needs
from tradebot.model.values import replace
from tradebot.model.view import StrategyView
from tradebot.model.wants import Target, Want
from tradebot.ports.strategy import Strategy

SPEC = MarketSpec(symbols=("AAPL",), sessions=2, start=date(2025, 3, 3), seed=5)
MINUTES = BarNeed("1Min", 2)
TIMES = {
    "score": "at open+30m",
    "evaluate-exits": "every 10m from open+1m until open+60m",
    "trade-once": "every 10m from open+2m until open+50m",
    "reconcile": "every 30m from open+1m until open+60m",
}


@cache
def settings() -> Settings:
    return load(None, {}, {"universe": ["AAPL"], "timetable": TIMES, "limits": {"cooldown_s": 60}}).settings


@cache
def market() -> OpenedMarket:
    return open_market_in_memory(SPEC)


class Trader(Struct):
    """Holds AAPL if `rises` says that its price will rise."""

    rises: Callable[[StrategyView], bool]
    name: str = "seer"
    times: str = ""
    needs: Needs = field(default_factory=lambda: Needs(bars=(MINUTES,), lots=True))

    def propose(self, view: StrategyView) -> Sequence[Want]:
        return [Target("AAPL", weight=Decimal("0.1") if self.rises(view) else Decimal(0))]


def checked(strategy: Callable[[], Strategy], cuts: int = 100, spec: MarketSpec = SPEC) -> Checked:
    @contextmanager
    def loaded() -> Iterator[Sequence[Strategy]]:
        yield [strategy()]

    opened = market() if spec is SPEC else open_market_in_memory(spec)
    run = played(strategy(), opened)
    return check(run, opened, loaded, cuts, lambda done, total: None)


def played(strategy: Strategy, opened: OpenedMarket) -> Run:
    run = begin(Plan(settings(), opened.spec), [strategy], opened)
    while not run.is_complete:
        run.step()
    return run


def honest(view: StrategyView) -> bool:
    closes = view.bars("AAPL", "1Min").close
    return bool(closes[-1] > closes[-2])


def test_an_honest_strategy_passes_at_every_moment() -> None:
    for strategy in (lambda: TRADER, lambda: Trader(honest)):
        found = checked(strategy)
        assert found.peeks == ()
        assert found.cuts == found.of_cuts
        assert found.compared > 10


def test_strategy_that_reads_the_market_is_caught_at_the_first_different_decision(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    engines: list[Engine] = []

    class Reachable(Engine):
        def __init__(self, *arguments: Any) -> None:
            super().__init__(*arguments)
            engines.append(self)

    def next_close(view: StrategyView) -> bool:
        reached, now_us = engines[-1].market, from_datetime(view.now)
        day = reached.day("AAPL", reached.calendar.reached(now_us))
        place = day.complete(now_us)
        return place < len(day.bars) and day.bars[place].close > day.bars[place - 1].close

    monkeypatch.setattr(assembly, "Engine", Reachable)
    peek = checked(lambda: Trader(next_close)).peeks[0]
    assert peek.strategy == "seer"
    assert peek.what.startswith("decision AAPL")
    assert peek.cut_at is not None
    assert peek.at == peek.cut_at
    assert peek.known != peek.unknown


def test_strategy_that_remembers_another_run_is_caught() -> None:
    seen: dict[str, float] = {}

    def remembered(view: StrategyView) -> bool:
        last = view.bars("AAPL", "1Min").close[-1]
        known = seen.setdefault(view.now.isoformat(), last)
        later = [price for at, price in seen.items() if at > view.now.isoformat()]
        return bool(later and later[0] > known)

    assert checked(lambda: Trader(remembered)).peeks[0].strategy == "seer"


def test_strategy_that_reads_a_file_is_named_with_the_file(tmp_path: Path) -> None:
    prices = tmp_path / "tomorrow.csv"
    prices.write_text("AAPL,250\n")
    found = checked(lambda: Trader(lambda view: bool(prices.read_text())), cuts=1)
    assert [(peek.strategy, peek.what) for peek in found.peeks] == [("seer", f"file {prices}")]


def test_what_an_installed_package_says_of_itself_is_no_file_of_a_strategy(tmp_path: Path) -> None:
    told = tmp_path / "mine-1.0.dist-info" / "entry_points.txt"
    told.parent.mkdir()
    told.write_text("[tradebot.strategies]\n")
    assert checked(lambda: Trader(lambda view: bool(told.read_text())), cuts=1).peeks == ()


@pytest.mark.parametrize(("shown", "peeks"), [("open-and-close", []), ("close", [MARKET])])
def test_a_market_that_shows_the_close_at_the_open_looks_ahead_itself(
    shown: DayPrices, peeks: list[str], tmp_path: Path
) -> None:
    file = tmp_path / "days.csv"
    rows = [f"2025-03-{day:02},AAPL,{100 + day},{103 + day},{99 + day},{101 + day},1000000" for day in range(3, 8)]
    file.write_text("\n".join(["date,symbol,open,high,low,close,volume", *rows]))
    spec = replace(SPEC, source="daily", path=str(file), day_prices=shown, sessions=4)
    quiet = Trader(lambda view: True, needs=Needs(lots=True))
    assert [peek.strategy for peek in checked(lambda: quiet, spec=spec).peeks] == peeks


def test_moments_are_decisions_and_last_slots_and_some_of_them_are_spread_evenly() -> None:
    found = moments(played(Trader(honest), market()))
    assert found == tuple(sorted(set(found)))
    assert {at.date() for at in found} == {date(2025, 3, 3), date(2025, 3, 4)}
    some = spread(found, 3)
    assert len(some) == 3
    assert some[-1] == found[-1]
    assert spread(found, 1000) == found
