"""A halt lasts to the end of a backtest, or as many sessions as the settings assume."""

from collections.abc import Sequence
from datetime import date, timedelta
from decimal import Decimal
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from papervenue.market.spec import CLOSE, MarketSpec
from tests.kit.values import NOW, us_sessions
from tests.lab.backtest.roads import Stub
from tradebot.app.settings import load
from tradebot.lab.backtest.run import BacktestPlan, BacktestRun, create_run
from tradebot.model.trading import TradingState
from tradebot.model.view import StrategyView, Target, Want

FIRST = date(2025, 3, 3)
DAYS = [session.date for session in us_sessions(FIRST, date(2025, 3, 21))]
FALLS = {1: 0.3, 4: 0.3}
"""In which sessions the price falls, and by which fraction."""


class Swaying(Stub, frozen=True):
    """Wants more and less of the only symbol in turns."""

    def propose(self, view: StrategyView) -> Sequence[Want]:
        return [Target("AAPL", weight=Decimal("0.5") if view.now.day % 2 else Decimal("0.4"))]


def played(folder: Path, lasting: int | None, *, every_pass: bool = False) -> BacktestRun:
    file, price = folder / "days.csv", 100.0
    rows = ["date,symbol,open,high,low,close,volume", "2025-02-28,AAPL,100,100,100,100,1"]
    for place, day in enumerate(DAYS):
        price *= 1 - FALLS.get(place, 0)
        rows.append(f"{day},AAPL,{price:.2f},{price:.2f},{price:.2f},{price:.2f},90000000")
    file.write_text("\n".join(rows))
    spec = MarketSpec(source="daily", path=str(file), start=FIRST, sessions=len(DAYS), symbols=("AAPL",), fill=CLOSE)
    limits = {f"max_{name}_fraction": 1 for name in ("order", "symbol", "sector", "gross")}
    changes = {
        "universe": ["AAPL"],
        "limits": {**limits, "max_order_notional_usd": 1_000_000},
        "strategies": {"flow": None, "swaying": {"exits": [], "times": "first session of week at open+15m"}},
        "backtest": {"unhalt_after_sessions": lasting},
    }
    run = create_run(BacktestPlan(load(None, {}, changes).settings, spec, every_pass=every_pass), [Swaying("swaying")])
    while not run.is_complete:
        run.step()
    return run


@pytest.mark.campaign
@pytest.mark.parametrize("every_pass", [False, True])
def test_halt_ends_after_as_many_sessions_as_are_assumed(tmp_path: Path, every_pass: bool) -> None:
    run = played(tmp_path, 2, every_pass=every_pass)
    states = [(one.state, one.at.date()) for one in run.made.ledger.trading_states() if one.at]
    halted, active = TradingState.REDUCE_ONLY, TradingState.ACTIVE
    assert states[-4:] == [(halted, DAYS[1]), (active, DAYS[3]), (halted, DAYS[4]), (active, DAYS[6])]


@pytest.mark.campaign
def test_halt_that_a_person_ends_changes_nothing_about_which_passes_may_be_left_out(tmp_path: Path) -> None:
    quick, every = played(tmp_path, 2), played(tmp_path, 2, every_pass=True)
    assert quick.ends == every.ends
    assert quick.made.ledger.fills() == every.made.ledger.fills()
    assert quick.made.ledger.equity_peak() == every.made.ledger.equity_peak()
    assert quick.driver.count.ran < every.driver.count.ran


def test_halt_that_nobody_ends_lasts_to_the_end(tmp_path: Path) -> None:
    run = played(tmp_path, None)
    assert run.made.ledger.trading_state().state is TradingState.REDUCE_ONLY
    assert {each.fill.at.date() for each in run.made.ledger.fills()} == {DAYS[0]}
    assert len(run.ends) == len(DAYS)


@pytest.mark.parametrize(("tells_after_s", "waited_s", "differences"), [(30, [60], 0), (0, [], 1)])
def test_last_comparison_waits_for_what_the_exchange_tells_late(
    tells_after_s: int, waited_s: list[float], differences: int
) -> None:
    waits: list[float] = []
    compared = iter([(), ("an order that was just canceled",), ()])
    venue = SimpleNamespace(tells_ends_after=timedelta(seconds=tells_after_s))
    world = SimpleNamespace(venue=venue, reader=SimpleNamespace(clock=lambda: SimpleNamespace(now=NOW)))
    setup: Any = SimpleNamespace(world=world, sessions=(), advance=lambda to: waits.append((to - NOW).total_seconds()))
    driver: Any = SimpleNamespace(reconcile=lambda: SimpleNamespace(findings=next(compared)))
    unused: Any = None
    run = BacktestRun(plan=unused, market=unused, made=setup, driver=driver, terms=unused)
    run.step()
    assert (run.opening, waits, run.closing) == (0, waited_s, differences)
