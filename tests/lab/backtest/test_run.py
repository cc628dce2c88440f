"""A halt lasts to the end of a backtest, or as many sessions as the settings assume.

A finished backtest is saved as an ordinary state folder: its books say what the run's own say.
A backtest that was stopped between two sessions goes on as if it had never been.
"""

import os
import pickle
from collections.abc import Sequence
from contextlib import closing
from datetime import date, timedelta
from decimal import Decimal
from pathlib import Path
from tempfile import TemporaryDirectory
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import given, settings

from papervenue.market.spec import CLOSE, NEXT_BAR, MarketSpec
from papervenue.snapshot.state import KEPT
from tests.kit.backtest.drawn import Drawn, Whims, assembled, driver
from tests.kit.bot.folder import Bot
from tests.kit.ledgers import Act, many_acts, money
from tests.kit.rows import ACCOUNT, DAY, NOW, make_cycle, make_fill, make_intent, make_order, minutes
from tests.kit.values import CASH, us_sessions
from tests.lab.backtest.roads import Stub
from tests.lab.driver.test_driver import FILLED_BEFORE_A_PASS_OF_ENTRIES
from tradebot.adapters.facts.facts import SqliteFacts
from tradebot.adapters.ledger.ledger import SqliteLedger
from tradebot.adapters.memory.facts import MemoryFacts
from tradebot.adapters.memory.ledger import MemoryLedger
from tradebot.adapters.memory.recorder import MemoryEvents, RecordLevel
from tradebot.adapters.state.evidence import BACKTEST
from tradebot.app.settings import load
from tradebot.errors import ExitCode, OperatorError
from tradebot.exits.kinds.stops import StopLoss
from tradebot.lab.backtest.run import BacktestPlan, BacktestRun, create_run, dump_checkpoint, unpack
from tradebot.lab.backtest.save_run import FinishedRun, save
from tradebot.lab.backtest.setup import ENGINE_PARTS, BacktestSetup
from tradebot.lab.driver.driver import Driver
from tradebot.model.bar import Session
from tradebot.model.candidate import Side
from tradebot.model.event import EventKind
from tradebot.model.limits import Protection
from tradebot.model.order import OrderStatus, Reply, WriteOutcome
from tradebot.model.position import Marks
from tradebot.model.reasons import Reason
from tradebot.model.record import ExitPrice, Job, SessionEnd
from tradebot.model.struct_tools import replace
from tradebot.model.trading import Override, ReconcileMark, TradingState, TradingStateRecord
from tradebot.model.view import BarNeed, Needs, StrategyView, Target, Want

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


SETTINGS = load(None, {}).settings


def books(*acts: Act) -> MemoryLedger:
    ledger = MemoryLedger(ACCOUNT)
    ledger.open_books(CASH, NOW)
    for act in acts:
        act(ledger)
    return ledger


def saved(path: Path, ledger: MemoryLedger, facts: MemoryFacts | None = None, *events: object) -> None:
    run = FinishedRun(ledger, facts or MemoryFacts(), events, minutes(60))  # type: ignore[arg-type]
    save(path, run, SETTINGS, "mode: sandbox\n", "test")


@settings(max_examples=settings().max_examples // 4)
@given(many_acts())
def test_saved_books_are_intact_and_equal_the_runs(acts: list[Act]) -> None:
    ledger = books(*acts)
    with TemporaryDirectory() as folder:
        saved(Path(folder) / "run", ledger)
        with closing(SqliteLedger.open(Path(folder) / "run", ACCOUNT, read_only=True)) as file:
            assert money(file) == money(ledger)
            file.file.check()
            compared = file.tallies.compare_journal()
    assert (compared.missing, compared.ahead) == (0, 0)
    assert compared.rows == len(ledger.intents()) + len(ledger.fills())


def test_halts_and_the_best_and_worst_prices_of_positions_are_saved_and_not_over_another_state(tmp_path: Path) -> None:
    ledger, position, marks = books(), ("flow", "AAPL", NOW), Marks(Decimal("190.1"), Decimal(180))
    accepted = Override(causes := frozenset({Reason.DRAWDOWN_REACHED}), minutes(2))
    ledger.set_trading_state(TradingStateRecord(TradingState.REDUCE_ONLY, "tradebot", "lost", minutes(1), causes))
    ledger.set_trading_state(TradingStateRecord(TradingState.ACTIVE, "me", "seen", minutes(2), override=accepted))
    ledger.set_trading_state(TradingStateRecord(TradingState.FLATTEN, "tradebot", "again", minutes(3), causes))
    ledger.put_marks({position: marks})
    saved(tmp_path / "run", ledger)
    with closing(SqliteLedger.open(tmp_path / "run", ACCOUNT, read_only=True)) as file:
        assert (file.trading_state(), file.halts(), file.armed()) == (ledger.trading_state(), ledger.halts(), False)
        kept = file.entry_terms([position])[position]
        assert (kept.best, kept.worst) == (marks.best, marks.worst)
    with pytest.raises(OperatorError, match="already"):
        saved(tmp_path / "run", books())


def test_decisions_are_saved_as_far_as_the_recorder_kept_them(tmp_path: Path) -> None:
    for level, counts in {RecordLevel.NONE: 1, RecordLevel.COUNTS: 2, RecordLevel.FULL: 3}.items():
        facts = MemoryFacts(level)
        made = [replace(make_cycle(f"pass {number}", minutes(number)), job_decision=None) for number in range(2)]
        unsent = tuple(replace(record, client_order_id=None) for record in made[0].candidates)
        end = replace(make_cycle("end", minutes(2), Job.EVALUATE_EXITS, 0), equity=CASH, marks=(ExitPrice("KO", CASH),))
        for cycle in (replace(made[0], candidates=unsent), made[1], end):
            facts.record(cycle)
        saved(tmp_path / level, books(), facts, EventKind.ORDER_LEFT_OUT.at(NOW, {}))
        with closing(SqliteFacts(tmp_path / level, MemoryEvents(), NOW)) as file:
            assert len(file.passes(NOW)) == counts
            assert file.session_ends(date.min, date.max) == [*facts.session_ends(date.min, date.max)]
            assert tuple(file.cycles(job=Job.EVALUATE_EXITS)) == (end,)
        assert (tmp_path / level / "system_events.jsonl").read_text().count("\n") == 1


@pytest.fixture
def finished(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Bot:
    """Return the folder of a run that bought and sold once in a session."""
    ledger, facts = books(), MemoryFacts()
    ledger.mark_reconciled(ReconcileMark(minutes(3), 0, 0))
    ledger.put_sessions([Session(DAY, minutes(-30), minutes(360))])
    for number, side in enumerate(Side):
        at, intent = minutes(number), replace(make_intent(f"open+{number}m"), side=side, at=minutes(number))
        filled = make_order(f"v{number}", OrderStatus.FILLED, at)
        order = replace(filled, client_order_id=intent.client_order_id, side=side)
        ledger.record_intent(intent, ())
        ledger.record_outcome(intent.client_order_id, Reply(WriteOutcome.ACCEPTED, order), at)
        fill = replace(make_fill(f"a{number}", at).fill, venue_order_id=f"v{number}", side=side, quantity=Decimal(3))
        ledger.apply_fills([replace(make_fill(), fill=replace(fill, price=Decimal(100 + 2 * number)))], at)
    facts.record(replace(make_cycle("pass", minutes(2), symbols=1), job_decision=None, equity=CASH + 6))
    saved(tmp_path / "run", ledger, facts)
    return Bot(tmp_path / "run", capsys)


@pytest.mark.parametrize(
    ("verb", "told", "code"),
    [
        ("report", "Profit +6.00 USD", 0),
        ("trades", "1 closed: 1 won", 0),
        ("pnl", "+6.00", 0),
        ("status", "0 working orders", 0),
        ("why-no-orders", "BUYING_POWER_SHORT", ExitCode.FINDINGS),
        ("audit", "Nothing to fix: 9 of 9 subjects are OK.", 0),
    ],
)
def test_reading_verb_works_on_a_finished_backtest(finished: Bot, verb: str, told: str, code: int) -> None:
    said = finished.says(verb)
    assert (said.code, said.err) == (code, "")
    assert told in said.out


@pytest.mark.parametrize("verb", ["trade-once", "evaluate-exits", "fetch-flow", "reconcile", "score", "serve"])
def test_trading_verb_refuses_a_finished_backtest(finished: Bot, verb: str) -> None:
    said = finished.says(verb)
    assert said.code != 0
    assert f"{finished.folder} has a finished backtest: it is read-only" in said.err
    assert "next: tradebot report" in said.err
    assert BACKTEST in (finished.folder / "state.id").read_text()


PLAYED_DAYS = replace(FILLED_BEFORE_A_PASS_OF_ENTRIES, sessions=2, actions=True, looks="every 15m", entries="every 30m")
HEADER = dump_checkpoint.__globals__["_HEADER"]


MANY_DAYS = replace(
    PLAYED_DAYS,
    sessions=12,
    daily=True,
    strategy=Whims(303, 0.7, "first session of week at open+30m", needs=Needs(bars=(BarNeed("1Day", 2),), lots=True)),
    exits=(StopLoss(fraction=Decimal("0.03")),),
    protection=Protection.BOT,
    fill=NEXT_BAR._replace(model="close", quotes="last"),
)


def new(drawn: Drawn = PLAYED_DAYS) -> tuple[BacktestSetup, Driver]:
    made = assembled(drawn)
    return made, driver(drawn, made, every_pass=False)


def outcome(made: BacktestSetup, plays: Driver, ends: list[SessionEnd]) -> object:
    ledger, account = made.ledger, made.engine.main
    books = ledger.intents(), ledger.orders(), ledger.fills(), ledger.account_state(), ledger.trading_state()
    passes = [list(made.facts.cycles(job=job)) for job in Job]
    return books, passes, account.cash, list(account.orders), made.events.emitted, ends, plays.count


@pytest.mark.parametrize(("drawn", "played"), [(PLAYED_DAYS, 1), (MANY_DAYS, 3), (MANY_DAYS, 7)])
def test_checkpoint_continues_exactly_where_the_run_stopped(drawn: Drawn, played: int) -> None:
    made, plays = new(drawn)
    plays.reconcile()
    ends = list(map(plays.play, made.sessions[:played]))
    kept = dump_checkpoint(made, plays, ends, "these days")
    ends += map(plays.play, made.sessions[played:])
    plays.reconcile()
    again, resumed = new(drawn)
    later = list(unpack(kept, again, resumed, "these days").ends)
    later += map(resumed.play, again.sessions[played:])
    resumed.reconcile()
    assert made.ledger.fills(), "nothing was traded"
    assert outcome(again, resumed, later) == outcome(made, plays, ends)


def test_checkpoint_has_all_that_an_exchange_keeps_of_its_engine_and_market() -> None:
    assert {path: names for path, names in KEPT.items() if path.startswith(("engine", "market"))} == ENGINE_PARTS


def test_checkpoint_of_another_run_is_refused() -> None:
    made, plays = new()
    kept = dump_checkpoint(made, plays, [], "these days")
    for data, identity in ((kept, "other days"), (kept[:-20], "these days"), (b"", "these days"), (HEADER, "")):
        with pytest.raises(OperatorError) as refused:
            unpack(data, *new(), identity)
        assert "with --force instead of --resume" in str(refused.value.hint)


def test_checkpoint_cannot_run_code() -> None:
    with pytest.raises(OperatorError, match="which doesn't belong in a checkpoint"):
        unpack(HEADER + pickle.dumps((os.getpid, "", [], [], [])), *new(), "")
