"""A plug-in that answers for a session at once trades as if it were asked each time, and can't use what comes later."""

import os
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from datetime import date, timedelta
from decimal import Decimal
from functools import cache
from importlib.metadata import EntryPoint
from pathlib import Path
from typing import Any

import pytest

from papervenue.market.spec import MarketSpec
from tests.kit.values import NOW
from tradebot.adapters.plugins.plugin import PluginEnvironment, PluginStrategy
from tradebot.adapters.plugins.protocol import GROUP, AnswerBounds, PluginDeclaration
from tradebot.app.settings import Settings, load
from tradebot.errors import ExitCode, OperatorError
from tradebot.lab.backtest.market import OpenedMarket, open_market_in_memory
from tradebot.lab.backtest.run import BacktestPlan, BacktestRun, create_run
from tradebot.lab.backtest.session_answers import (
    SAMPLE,
    SessionPlugin,
    SlotAnswer,
    describe_difference,
    reads_only_bars,
)
from tradebot.model.candidate import Side
from tradebot.model.decision import Decision, Gate, Verdict
from tradebot.model.position import Lot, Position
from tradebot.model.reasons import Reason
from tradebot.model.record import Job
from tradebot.model.struct_tools import replace
from tradebot.model.view import BarNeed, Close, FeatureNeed, Needs, Open, SlotWants, StrategyView, Want

MODULE = '''
from tradebot.ports import BarNeed, Close, Decision, Gate, Needs, Open, Reason, Side, SlotWants, Verdict

def want(view):
    """Go with the last two bars, and decline small steps."""
    first, last = view.bars("AAPL", "1Min").close
    step = last / first - 1
    passed = abs(step) > 0.0005
    decision = Decision(Gate.STRATEGY, Verdict.PASS if passed else Verdict.FAIL,
                        None if passed else Reason.STRATEGY_DECLINED, abs(step), 0.0005)
    return step, Open("AAPL", Side.BUY if step >= 0 else Side.SELL, 0.5 if step >= 0 else -0.5, decisions=(decision,))

class Trend:
    name = "trend"
    times = "every 5m from open+2m until open+120m"
    needs = Needs(bars=(BarNeed("1Min", 2),), lots=True)
    def __init__(self, settings):
        pass
    def propose(self, view):
        step, opened = want(view)
        lot = view.lots.get("AAPL")
        if lot is None:
            return [opened]
        return [Close("AAPL", f"it turned: {step}")] if step * float(lot.quantity) < 0 else []
    def propose_many(self, views):
        return [self.answer(*want(views[index])) for index in range(len(views))]
    def answer(self, step, opened):
        turned = (Close("AAPL", f"it turned: {step}"),)
        return SlotWants((opened,), turned if step < 0 else (), turned if step > 0 else ())

class Seer(Trend):
    """It reads what the next slot will see."""
    def propose_many(self, views):
        return [self.answer(*want(views[min(index + 1, len(views) - 1)])) for index in range(len(views))]

class Liar(Trend):
    """It reads later bars too, and only declines by them."""
    def propose(self, view):
        return [self.declined(view)]
    def propose_many(self, views):
        return [SlotWants((self.declined(views[-1]),)) for view in views]
    def declined(self, view):
        close = view.bars("AAPL", "1Min").close[-1]
        decision = Decision(Gate.STRATEGY, Verdict.FAIL, Reason.STRATEGY_DECLINED, close, 1)
        return Open("AAPL", Side.BUY, 0.5, decisions=(decision,))

class Short(Trend):
    def propose_many(self, views):
        raise ValueError("a table is missing")

class Still(Trend):
    def propose(self, view):
        return []

class Quoted(Trend):
    needs = Needs(bars=(BarNeed("1Min", 2),), lots=True, quotes=True)
    def propose_many(self, views):
        raise AssertionError("it sees quotes, which nobody knows beforehand")
'''
SPEC = MarketSpec(symbols=("AAPL",), sessions=2, start=date(2025, 3, 3), seed=5)
TIMES = {
    "score": "at open+30m",
    "evaluate-exits": "every 5m from open+1m until open+150m",
    "trade-once": "every 5m from open+2m until open+120m",
    "reconcile": "every 30m from open+1m until open+151m",
}
LATER = NOW + timedelta(minutes=5)
Make = Callable[..., PluginStrategy]


@cache
def settings() -> Settings:
    limits = {"cooldown_s": 60, "max_session_entries": 100}
    return load(None, {}, {"universe": ["AAPL"], "timetable": TIMES, "limits": limits}).settings


@cache
def market() -> OpenedMarket:
    return open_market_in_memory(SPEC)


def play(plugin: PluginStrategy, *, every_pass: bool = False) -> BacktestRun:
    run = create_run(BacktestPlan(settings(), SPEC, every_pass=every_pass), [plugin], market())
    with closing(plugin):
        while not run.is_complete:
            run.step()
    return run


def outcome(run: BacktestRun) -> tuple[object, ...]:
    """Return all that a run has decided and done."""
    ledger, facts = run.made.ledger, run.made.facts
    cycles = tuple(facts.cycles(job=job) for job in Job)
    return cycles, tuple(ledger.intents()), tuple(ledger.orders()), tuple(ledger.fills()), run.ends


@pytest.fixture
def make(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Make]:
    """Yield a callable that makes a plug-in of one of the module's classes."""
    (tmp_path / "trend_plugin.py").write_text(MODULE)
    monkeypatch.syspath_prepend(tmp_path)
    surroundings = PluginEnvironment(AnswerBounds(20.0, 2**31), os.environ, ())

    def make(name: str, kind: type[PluginStrategy] = SessionPlugin) -> PluginStrategy:
        return kind(EntryPoint("trend", f"trend_plugin:{name}", GROUP), {}, surroundings)

    yield make
    sys.modules.pop("trend_plugin", None)


class HereProcess:
    """A plug-in's process that runs here; it notes the time of each view that it was asked about."""

    def __init__(self, point: EntryPoint) -> None:
        self.strategy = point.load()({})
        self.declaration = PluginDeclaration.of(self.strategy.needs, self.strategy.times, sessions=True)
        self.asked: list[int] = []

    def wants(self, view: StrategyView) -> tuple[Want, ...]:
        self.asked.append(1)
        return tuple(self.strategy.propose(view))

    def session_wants(self, views: Sequence[StrategyView]) -> tuple[SlotWants, ...]:
        self.asked.append(len(views))
        return tuple(self.strategy.propose_many(views))

    def end(self) -> None: ...


@pytest.fixture
def here(monkeypatch: pytest.MonkeyPatch) -> list[HereProcess]:
    """Let plug-ins run in this process, which starts faster; return their stand-ins in the order of their starts."""
    started: list[HereProcess] = []

    def start(plugin: PluginStrategy) -> HereProcess:
        started.append(HereProcess(plugin._point))
        return started[-1]

    monkeypatch.setattr(PluginStrategy, "_start_process", start)
    return started


def test_a_run_that_asks_once_a_session_equals_one_that_asks_in_each_slot(make: Make) -> None:
    at_once, each = play(make("Trend")), play(make("Trend", PluginStrategy))
    assert outcome(at_once) == outcome(each)
    fills = at_once.made.ledger.fills()
    assert len(fills) > 4
    assert {fill.fill.side for fill in fills} == {*Side}


def test_only_orders_and_a_sample_are_asked_about_again_elsewhere(make: Make, here: list[HereProcess]) -> None:
    run = play(make("Trend"))
    first, passes = outcome(run), run.made.facts.cycles(job=Job.TRADE_ONCE)
    answering, witness = here
    assert answering.asked == [24, 24]
    n_slots = sum(answering.asked)
    n_ordered = sum(any(record.client_order_id for record in cycle.candidates) for cycle in passes)
    assert 0 < n_ordered <= len(witness.asked) <= n_ordered + n_slots // SAMPLE < n_slots
    here.clear()
    plugin = make("Trend")
    plugin.proves_all = True  # type: ignore[attr-defined]
    assert outcome(play(plugin)) == first
    assert len(here[1].asked) == n_slots
    here.clear()
    assert outcome(play(make("Trend"), every_pass=True))[1:] == first[1:]


def test_a_strategy_that_reads_its_next_view_ends_the_run_at_its_first_order(
    make: Make, here: list[HereProcess]
) -> None:
    with pytest.raises(OperatorError) as caught:
        play(make("Seer"))
    assert caught.value.code is ExitCode.FINDINGS
    assert caught.value.message.startswith("trend answers differently if it has seen later bars: 2025-03-03 14:")
    assert "AAPL: Open with" in caught.value.message
    assert here[0].asked == [24]


def test_answers_without_orders_are_caught_by_sample_or_at_once_by_proof(make: Make, here: list[HereProcess]) -> None:
    for proves_all, minutes in ((False, 95), (True, 0)):
        plugin = make("Liar")
        plugin.proves_all = proves_all  # type: ignore[attr-defined]
        with pytest.raises(
            OperatorError, match=f"{14 + (32 + minutes) // 60}:{(32 + minutes) % 60:02} UTC, AAPL: Open"
        ):
            play(plugin)


def test_a_session_that_a_plug_in_can_not_answer_for_ends_the_run(make: Make) -> None:
    with pytest.raises(OperatorError, match="trend could not answer for 2025-03-03: ValueError: a table is missing"):
        play(make("Short"))


def test_a_plug_in_that_sees_more_than_bars_is_asked_in_each_slot(make: Make, here: list[HereProcess]) -> None:
    run = play(make("Quoted"))
    assert run.made.ledger.fills()
    assert [set(process.asked) for process in here] == [{1}]


def test_an_answer_counts_only_for_the_view_it_was_for_whatever_is_held(make: Make, here: list[HereProcess]) -> None:
    plugin, view = make("Still"), StrategyView(NOW, ("AAPL",), slot="open+7m")
    assert isinstance(plugin, SessionPlugin)
    closing_long = Close("AAPL", "why")
    with closing(plugin):
        plugin._answers = {view.slot: SlotAnswer(view, SlotWants((BUY,), (closing_long,)))}
        held = {"AAPL": Position("trend", "AAPL", (Lot(Decimal(1), Decimal(10), NOW),), Decimal(0), NOW)}
        assert (plugin.propose(view), plugin.propose(replace(view, lots=held))) == ((BUY,), (closing_long,))
        others: list[dict[str, Any]] = [{"universe": ()}, {"now": LATER}, {"slot": ""}, {"equity_usd": Decimal(1)}]
        assert [plugin.propose(replace(view, **other)) for other in others] == [()] * 4


@pytest.mark.parametrize(
    ("needs", "only"),
    [
        (Needs(bars=(BarNeed("1Min", 2),)), True),
        (Needs(bars=(BarNeed("1Min", 2),), lots=True), True),
        (Needs(lots=True), False),
        (Needs(bars=(BarNeed("1Min", 2),), equity=True), False),
        (Needs(bars=(BarNeed("1Min", 2),), trades=True), False),
        (Needs(frozenset({"flow_alerts"}), (BarNeed("1Min", 2),)), False),
        (Needs(bars=(BarNeed("1Min", 2),), features=(FeatureNeed("5Min", ("rsi_14",)),)), False),
    ],
)
def test_views_can_only_be_made_beforehand_of_bars(needs: Needs, only: bool) -> None:
    assert reads_only_bars(needs) is only


BUY = Open("AAPL", Side.BUY, 0.5)
REFUSED = Decision(Gate.STRATEGY, Verdict.FAIL, Reason.STRATEGY_TIMEOUT, "no answer", 20.0)
DIFFERENCES: list[tuple[Sequence[Want], Sequence[Want] | Decision, str]] = [
    ([BUY], [BUY], ""),
    ([], [BUY], "AAPL: nothing with them, Open without"),
    ([BUY], [], "AAPL: Open with them, nothing without"),
    ([Close("AAPL", "why")], [BUY], "AAPL: Close with them, Open without"),
    ([BUY], [Open("AAPL", Side.BUY, 0.25)], "AAPL: Open with score 0.5 with them, Open with score 0.25 without"),
    ([BUY], REFUSED, "propose returned no wants, but STRATEGY_TIMEOUT: no answer"),
    ([BUY, BUY], [BUY], "a symbol appears twice"),
]


@pytest.mark.parametrize(("wants", "proposed", "text"), DIFFERENCES, ids=[row[2] for row in DIFFERENCES])
def test_the_first_difference_is_named(wants: Sequence[Want], proposed: Sequence[Want] | Decision, text: str) -> None:
    assert describe_difference(wants, proposed) == text
