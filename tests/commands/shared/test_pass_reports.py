"""A slot is used up by a pass that ends, not by one that cannot begin or is killed.

A pass at work when its process is asked to end sends nothing further, but ends what it is in the middle of.
"""

import io
from collections import Counter
from collections.abc import Callable
from contextlib import nullcontext
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest
from rich.console import Console

from commands.evaluate_exits.run import run as evaluate_exits
from commands.notify.delivery import evidence_time
from commands.shared.ask_strategies import under_pass_lock
from commands.shared.bot_records import age_reference_time
from commands.shared.pass_reports import PassData, begin, is_pass_unfinished, record_begun_pass, render_rows
from commands.shared.skipped_passes import render_refusals
from commands.trade_once.run import run as trade_once
from tests.kit.bot.ending import refuses
from tests.kit.bot.folder import Bot
from tests.kit.values import NOW
from tradebot.adapters.state.state_locks import ExitPriority
from tradebot.app.loading import Options
from tradebot.app.wiring import App, open_app
from tradebot.errors import ExitCode, TradebotError
from tradebot.judging.pass_health import is_finished
from tradebot.model.decision import Decision, Gate, Verdict
from tradebot.model.reasons import REASONS, Reason
from tradebot.model.record import Job, StrategyRefusal
from tradebot.model.trading import Mode
from tradebot.ports.world import Call
from tradebot.venues.alpaca.reader import AlpacaReader


def claimed(app: App, job: Job) -> Call:
    call, _ = begin(app, job, "test")
    assert isinstance(call, Call), call
    return call


def test_pass_that_cannot_begin_claims_no_slot(trader: Bot, tmp_path: Path) -> None:
    settings = (trader.folder / "tradebot.yaml").read_text()
    away = tmp_path / "away.yaml"
    away.write_text(settings.replace("strategies: {flow: ", "strategies: {flow: null, not_installed: "))
    refuses(trader.says("trade-once", "--config", str(away)), ExitCode.USAGE, "not_installed")
    assert trader.json("trade-once")["not_run"] is None
    # An answer about a taken slot is of another shape than a pass, and has the reason itself.
    assert trader.json("trade-once")["reason"] == "SLOT_TAKEN"


def test_strategy_that_is_not_installed_is_told_and_stops_no_other(trader: Bot) -> None:
    own = trader.folder / "tradebot.yaml"
    own.write_text(own.read_text().replace("strategies: {", "strategies: {absent: {}, "))
    # Making it safer is possible all the time, and another strategy that doesn't exist is refused as before.
    trader.says("config", "set", "limits.max_open_positions", "3")
    refuses(trader.says("config", "set", "strategies.absent.x", "1"), ExitCode.USAGE, "strategies.absent is configured")
    trader.says("config", "accept", "--confirm", trader.tail())
    entries = trader.json("trade-once")
    assert {row["strategy"] for row in entries["rows"]} == {"flow"}
    assert [(each["strategy"], each["decision"]["reason"]) for each in entries["refused_strategies"]] == [
        ("absent", "STRATEGY_FAILED")
    ]
    assert {row["reason"] for row in entries["rows"]} >= {None}, "an order went out"
    assert "absent is BROKEN (STRATEGY_FAILED)" in trader.says("status").out


def test_killed_pass_resumes_in_its_slot_and_proves_no_health(trader: Bot) -> None:
    with open_app(Options(str(trader.folder)), {}) as app:
        now = app.now()
        call = claimed(app, Job.EVALUATE_EXITS)
        assert is_pass_unfinished(app, call, now), "a claim without a record has done nothing yet"
        with pytest.raises(KeyboardInterrupt), record_begun_pass(app, call, now, dry_run=False):
            raise KeyboardInterrupt
        assert is_pass_unfinished(app, call, now)
        assert claimed(app, Job.EVALUATE_EXITS) == call
        assert [is_finished(cycle) for cycle in app.facts.passes(now) if cycle.id == call.cycle_id] == [False]
    assert trader.json("evaluate-exits")["not_run"] is None
    assert trader.json("evaluate-exits")["reason"] == "SLOT_TAKEN"


def test_reconcile_after_a_kill_gets_an_extra_slot(trader: Bot) -> None:
    with open_app(Options(str(trader.folder)), {}) as app:
        first = claimed(app, Job.RECONCILE)
        assert not is_pass_unfinished(app, first, app.now())
        assert claimed(app, Job.RECONCILE).slot != first.slot


def test_a_pass_reads_each_clock_once_and_again_after_a_backup(new_bot: Bot, monkeypatch: pytest.MonkeyPatch) -> None:
    for step in ("close", "next_open", "30m"):
        assert new_bot.says("exchange", "tick", step).code == ExitCode.DONE
    read = Counter[str]()

    def counted(name: str, ask: Callable[..., object]) -> Callable[..., object]:
        def asked(*given: object) -> object:
            read[name] += 1
            return ask(*given)

        return asked

    for owner, name in ((AlpacaReader, "clock"), (App, "second_time")):
        monkeypatch.setattr(owner, name, counted(name, getattr(owner, name)))
    with open_app(Options(str(new_bot.folder)), {}) as app:
        found = list[tuple[int, int]]()
        for run in (evaluate_exits, evaluate_exits, trade_once):
            read.clear()
            assert run(app, by="test", force_slot=bool(found)).data.not_run is None
            found.append((read["clock"], read["second_time"]))
    # The first pass after a session copies the books. Entries ask the strategies before the lock.
    assert found == [(2, 2), (1, 1), (2, 2)]


@pytest.fixture
def app(tmp_path: Path) -> Any:
    (tmp_path / "state.id").write_text("{}")
    return SimpleNamespace(turns=ExitPriority(tmp_path), pass_lock=lambda verb, **_: nullcontext())


def test_pass_that_gives_way_ends_at_its_next_request(app: Any) -> None:
    sent = list[str]()

    def work() -> None:
        for order in ("first", "second"):
            app.turns.give_way()
            with app.turns.without_yielding():
                app.turns.give_way()
                sent.append(order)
                app.turns.ends = lambda: True
                app.turns.give_way()

    with pytest.raises(TradebotError, match="trade-once was stopped by a signal before it was done"):
        under_pass_lock(cast(App, app), "trade-once", work)
    assert sent == ["first"]


def shown(*refusals: StrategyRefusal) -> list[str]:
    console = Console(file=io.StringIO(), width=500)
    render_refusals(console, refusals)
    assert isinstance(console.file, io.StringIO)
    return console.file.getvalue().splitlines()


def test_symbols_left_out_for_the_same_reason_are_one_entry() -> None:
    few = Decision(Gate.NEEDS, Verdict.UNKNOWN, Reason.BARS_MISSING, 2, 127)
    lines = shown(*(StrategyRefusal("momentum", few, symbol) for symbol in ("AAPL", "MSFT", "NVDA")))
    assert lines[0] == "Strategy momentum wasn't run for AAPL, MSFT, NVDA: BARS_MISSING (2 bars against 127 bars)"
    assert len(lines) == 3


@pytest.mark.parametrize(
    ("refused", "ended"),
    [
        ({Reason.HOLD: 12}, "12 candidates = 0 sent + 12 HOLD"),
        ({Reason.HOLD: 12, Reason.ORDER_WORKING: 1}, "13 candidates = 0 sent + 12 HOLD + 1 refused"),
        ({}, "0 candidates = 0 sent + 0 refused"),
    ],
)
def test_position_that_no_rule_closes_is_not_called_refused(refused: dict[Reason, int], ended: str) -> None:
    console, count = Console(file=io.StringIO(), width=500), sum(refused.values())
    render_rows(console, PassData("x", NOW, "open+2m", False, count, 0, refused, (), None, (), (), ()))
    assert isinstance(console.file, io.StringIO)
    assert console.file.getvalue().splitlines()[0].strip() == ended


def test_waiting_slots_are_grouped_by_reason_and_strategy() -> None:
    missed = Decision(Gate.JOB, Verdict.FAIL, Reason.SLOT_MISSED, 420, 300)
    refusals = [StrategyRefusal("momentum", missed, slot=slot) for slot in ("open+5m", "open+10m")]
    lines = shown(*refusals, StrategyRefusal("other", missed, slot="open+5m"))
    expected = ["Strategy momentum, slots open+5m, open+10m: SLOT_MISSED", "Strategy other, slot open+5m: SLOT_MISSED"]
    assert [line for line in lines if line.startswith("Strategy")] == expected


def test_a_refused_answer_shows_what_is_wrong_and_the_command_with_the_strategys_name() -> None:
    wrong = Decision(Gate.STRATEGY, Verdict.FAIL, Reason.STRATEGY_INVALID, "'AAPL': its side is not a Side")
    headline, meaning, command = shown(StrategyRefusal("momentum", wrong))
    assert headline == "Strategy momentum is BROKEN: STRATEGY_INVALID ('AAPL': its side is not a Side)"
    assert meaning.strip() == REASONS[Reason.STRATEGY_INVALID].meaning
    assert "tradebot strategy test momentum" in command


DAY = timedelta(days=1)


def bot(mode: Mode) -> App:
    """Return as much of a bot as the time is asked of: it has compared its books now."""
    ledger = SimpleNamespace(books_opened_at=lambda: NOW - DAY, last_reconcile=lambda: SimpleNamespace(at=NOW))
    return cast(App, SimpleNamespace(mode=mode, ledger_view=ledger, existing_facts=None))


@pytest.mark.parametrize(("mode", "machine", "shown"), [
    (Mode.PAPER, NOW + DAY, NOW + DAY), (Mode.PAPER, NOW - DAY, NOW),
    (Mode.LIVE, NOW - DAY, NOW), (Mode.SANDBOX, NOW + DAY, NOW),
])  # fmt: skip
def test_nothing_that_was_recorded_has_an_age_below_nought(
    mode: Mode, machine: datetime, shown: datetime, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Machine(datetime):
        @classmethod
        def now(cls, tz: object = None) -> datetime:  # type: ignore[override]
            return machine

    monkeypatch.setattr("commands.shared.bot_records.datetime", Machine)
    monkeypatch.setattr("commands.notify.delivery.datetime", Machine)
    assert age_reference_time(bot(mode), (NOW, None, NOW - DAY)) == shown
    # Notices go by a clock that never stands still.
    assert evidence_time(bot(mode)) == (NOW if mode is Mode.SANDBOX else machine)
    assert machine.tzinfo is UTC
