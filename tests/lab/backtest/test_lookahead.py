"""The check for look-ahead: it catches who knows the future, and nobody else.

Files of plug-ins with dates in the played span are found, whatever the dates are written like.
A plug-in that answers for a session at once trades as if it were asked each time, and can't use what comes later.
"""

import os
import sys
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager
from datetime import date, timedelta
from decimal import Decimal
from functools import cache
from importlib.metadata import EntryPoint
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import Struct, field

from papervenue.engine.engine import Engine
from papervenue.market.spec import DayPrices, MarketSpec
from papervenue.times import MINUTE, from_datetime
from tests.kit.backtest.playing import TRADER
from tests.kit.values import NOW, there
from tradebot.adapters.plugins.plugin import PluginEnvironment, PluginStrategy
from tradebot.adapters.plugins.protocol import GROUP, AnswerBounds, PluginDeclaration
from tradebot.app.settings import Settings, load
from tradebot.errors import ExitCode, OperatorError
from tradebot.lab.backtest import lookahead, setup
from tradebot.lab.backtest.lookahead import (
    MARKET,
    LookaheadResult,
    check,
    cutoff_times,
    files_reaching_into,
    last_date,
    spread_evenly,
    truncate_market,
)
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
from tradebot.model.view import BarNeed, Close, FeatureNeed, Needs, Open, SlotWants, StrategyView, Target, Want
from tradebot.ports.strategy import Strategy

MADE = open_market_in_memory(MarketSpec(symbols=("AAPL",), sessions=3, start=date(2025, 3, 3), corporate_actions=True))


@given(st.integers(0, 2), st.integers(-60, 460))
def test_cut_keeps_ended_bars_only(session: int, minute: int) -> None:
    at_us = MADE.calendar.market[session].open_us + minute * MINUTE
    left = truncate_market(MADE, at_us)
    for index in range(3):
        for kind in ("bars", "extended_hours"):
            whole = getattr(MADE.source, kind)("AAPL", index)
            assert getattr(left.source, kind)("AAPL", index) == tuple(bar for bar in whole if bar.end_us <= at_us)
    assert left.source.history_close("AAPL", 1) == MADE.source.history_close("AAPL", 1)
    assert all(min(action.declared_us, action.at_us) <= at_us for action in left.actions)
    assert left.spec == MADE.spec


@pytest.fixture
def days(tmp_path: Path) -> OpenedMarket:
    first = date(2025, 3, 3)
    rows = [
        f"{first + timedelta(days=day)},AAPL,{100 + day},{104 + day},{99 + day},{102 + day},1000" for day in range(5)
    ]
    (tmp_path / "days.csv").write_text("\n".join(["date,symbol,open,high,low,close,volume", *rows]))
    spec = MarketSpec(source="daily", path=str(tmp_path / "days.csv"), start=first, sessions=5)
    return open_market_in_memory(spec)


def test_cut_keeps_only_the_open_of_an_unfinished_day_unless_a_day_is_shown_at_once(days: OpenedMarket) -> None:
    session = days.calendar.market[2]
    before, after = (truncate_market(days, session.open_us + minutes * MINUTE) for minutes in (0, 7))
    assert [len(before.source.bars("AAPL", index)) for index in range(5)] == [2, 2, 0, 0, 0]
    first, last = after.source.bars("AAPL", 2)
    assert first == days.source.bars("AAPL", 2)[0]
    assert (last.high, last.low, last.close) == (first.open, first.open, first.open)
    assert truncate_market(days, session.close_us).source.bars("AAPL", 2) == days.source.bars("AAPL", 2)
    assert truncate_market(days, session.close_us).source.bars("AAPL", 3) == ()
    shown = open_market_in_memory(replace(days.spec, day_prices="close"))
    assert truncate_market(shown, session.open_us + MINUTE).source.bars("AAPL", 2) == shown.source.bars("AAPL", 2)
    assert truncate_market(shown, session.open_us).source.bars("AAPL", 2) == ()


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


def checked(strategy: Callable[[], Strategy], cuts: int = 100, spec: MarketSpec = SPEC) -> LookaheadResult:
    @contextmanager
    def loaded() -> Iterator[Sequence[Strategy]]:
        yield [strategy()]

    opened = market() if spec is SPEC else open_market_in_memory(spec)
    return check(played(strategy(), opened), opened, loaded, cuts, lambda done, total: None)


def played(strategy: Strategy, opened: OpenedMarket) -> BacktestRun:
    run = create_run(BacktestPlan(settings(), opened.spec), [strategy], opened)
    while not run.is_complete:
        run.step()
    return run


def honest(view: StrategyView) -> bool:
    closes = view.bars("AAPL", "1Min").close
    return bool(closes[-1] > closes[-2])


def test_honest_strategy_has_no_finding_at_any_cut() -> None:
    for strategy in (lambda: TRADER, lambda: Trader(honest)):
        found = checked(strategy)
        assert (found.peeks, found.cuts) == ((), found.of_cuts)
        assert found.compared > 10


def test_strategy_that_reads_the_market_is_caught_at_the_first_difference(monkeypatch: pytest.MonkeyPatch) -> None:
    engines: list[Engine] = []

    class Reachable(Engine):
        def __init__(self, *arguments: Any, **named: Any) -> None:
            super().__init__(*arguments, **named)
            engines.append(self)

    def next_close(view: StrategyView) -> bool:
        reached, now_us = engines[-1].market, from_datetime(view.now)
        day = reached.day("AAPL", reached.calendar.last_reached(now_us))
        place = day.complete(now_us)
        return place < len(day.bars) and day.bars[place].close > day.bars[place - 1].close

    monkeypatch.setattr(setup, "Engine", Reachable)
    peek = checked(lambda: Trader(next_close)).peeks[0]
    assert peek.strategy == "seer"
    assert peek.what.startswith("decision AAPL")
    assert peek.at == there(peek.cut_at)
    assert peek.known != peek.unknown


def trader_that_remembers() -> Callable[[], Trader]:
    """Return what makes a strategy that knows what an earlier run has seen."""
    seen: dict[str, float] = {}

    def remembered(view: StrategyView) -> bool:
        last = view.bars("AAPL", "1Min").close[-1]
        known = seen.setdefault(view.now.isoformat(), last)
        later = [price for at, price in seen.items() if at > view.now.isoformat()]
        return bool(later and later[0] > known)

    return lambda: Trader(remembered)


def test_strategy_that_remembers_another_run_is_caught() -> None:
    assert checked(trader_that_remembers()).peeks[0].strategy == "seer"


def test_strategy_that_reads_a_file_is_named_with_it_unless_it_is_metadata_of_a_package(tmp_path: Path) -> None:
    prices, told = tmp_path / "tomorrow.csv", tmp_path / "mine-1.0.dist-info" / "entry_points.txt"
    told.parent.mkdir()
    for file in (prices, told):
        file.write_text("AAPL,250\n")
    found = checked(lambda: Trader(lambda view: bool(prices.read_text() + told.read_text())), cuts=1)
    assert [(peek.strategy, peek.what) for peek in found.peeks] == [("seer", f"file {prices}")]


@pytest.mark.parametrize("own", [True, False])
def test_only_the_threads_of_a_strategy_open_files_in_its_name(tmp_path: Path, own: bool) -> None:
    prices = tmp_path / "tomorrow.csv"
    prices.write_text("AAPL,250\n")
    with ThreadPoolExecutor(1) as others:
        others.submit(str).result()  # the thread of a pool starts with its first work

        def elsewhere(_: StrategyView) -> bool:
            if not own:
                return bool(others.submit(prices.read_text).result())
            with ThreadPoolExecutor(1) as mine:
                return bool(mine.submit(prices.read_text).result())

        found = checked(lambda: Trader(elsewhere), cuts=1)
    assert [(peek.strategy, peek.what) for peek in found.peeks] == ([("seer", f"file {prices}")] if own else [])


@pytest.mark.parametrize(("shown", "peeks"), [("open-and-close", []), ("close", [MARKET])])
def test_market_that_shows_the_close_at_open_is_reported(shown: DayPrices, peeks: list[str], tmp_path: Path) -> None:
    file = tmp_path / "days.csv"
    rows = [f"2025-03-{day:02},AAPL,{100 + day},{103 + day},{99 + day},{101 + day},1000000" for day in range(3, 8)]
    file.write_text("\n".join(["date,symbol,open,high,low,close,volume", *rows]))
    spec = replace(SPEC, source="daily", path=str(file), day_prices=shown, sessions=4)
    quiet = Trader(lambda view: True, needs=Needs(lots=True))
    assert [peek.strategy for peek in checked(lambda: quiet, spec=spec).peeks] == peeks


def test_moments_are_decisions_and_last_slots_and_some_of_them_are_spread_evenly() -> None:
    found = cutoff_times(played(Trader(honest), market()))
    assert found == tuple(sorted(set(found)))
    assert {at.date() for at in found} == {date(2025, 3, 3), date(2025, 3, 4)}
    some = spread_evenly(found, 3)
    assert (len(some), some[-1]) == (3, found[-1])
    assert spread_evenly(found, 1000) == found


@pytest.mark.parametrize(
    ("text", "last"),
    [
        ("date,close\n2025-03-03,1\n2025-03-05,2\n2025-03-04,3\n", date(2025, 3, 5)),
        ("20250305 1.5", date(2025, 3, 5)),
        ("2025/03/05", date(2025, 3, 5)),
        ('{"at": "2025-03-05T14:30:00Z"}', date(2025, 3, 5)),
        ("x" * 10 + ",2025-03-05," + "y" * 20, date(2025, 3, 5)),
        ("0.20250305 120250305 2025-13-05 2025-02-31 12345", None),
        ("", None),
    ],
)
def test_last_date_of_a_file_is_found_in_its_text_also_across_two_chunks(
    text: str, last: date | None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lookahead, "CHUNK", 16)
    file = tmp_path / "days.csv"
    file.write_text(text)
    assert last_date(file) == last


def test_file_is_named_only_if_it_reaches_into_the_span(tmp_path: Path) -> None:
    for name, text in (("past.csv", "2025-02-28"), ("first.csv", "2025-03-03"), ("weights.bin", "0.5")):
        (tmp_path / name).write_text(text)
    files = [str(tmp_path / name) for name in ("past.csv", "first.csv", "weights.bin", "gone.csv")]
    sections = {"flow": SimpleNamespace(), "seer": SimpleNamespace(files=files), "plain": SimpleNamespace(files=None)}
    settings = SimpleNamespace(strategies=SimpleNamespace(sections=lambda: sections))
    found = list(files_reaching_into(cast("Any", settings), date(2025, 3, 3)))
    assert found == [("seer", str(tmp_path / "first.csv"), date(2025, 3, 3))]


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
ENTRY_TIMES = {
    "score": "at open+30m",
    "evaluate-exits": "every 5m from open+1m until open+150m",
    "trade-once": "every 5m from open+2m until open+120m",
    "reconcile": "every 30m from open+1m until open+151m",
}
LATER = NOW + timedelta(minutes=5)
Make = Callable[..., PluginStrategy]


@cache
def settings_of() -> Settings:
    limits = {"cooldown_s": 60, "max_session_entries": 100}
    return load(None, {}, {"universe": ["AAPL"], "timetable": ENTRY_TIMES, "limits": limits}).settings


def play(plugin: PluginStrategy, *, every_pass: bool = False) -> BacktestRun:
    run = create_run(BacktestPlan(settings_of(), SPEC, every_pass=every_pass), [plugin], market())
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
