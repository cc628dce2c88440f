"""Listed faults 133 to 142: processes that end, stand still, come twice, or run code gone wild."""

import fcntl
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import closing
from operator import methodcaller
from pathlib import Path
from types import SimpleNamespace

import pytest

from commands import serve
from commands.shared.error_boundary import run_command
from tests.adapters.plugins.test_plugin import Ask, ask
from tests.faults import test_campaigns, test_stores
from tests.faults.failpoints import OFF_THE_ROAD, every_point, names
from tests.kit.bot.near import Verb
from tests.kit.bot.stage import DIED, Fatal, run
from tests.kit.bot.trader import Trader
from tradebot.adapters import failpoint
from tradebot.adapters.ledger.ledger import SqliteLedger
from tradebot.adapters.plugins.protocol import AnswerBounds
from tradebot.adapters.state import halt_switch, state_locks
from tradebot.app.wiring import App
from tradebot.model.decision import Decision
from tradebot.model.intent import IntentState
from tradebot.model.reasons import Reason
from tradebot.orders import entry_orders

__all__ = ["ask"]

TERMINATED, ANOTHER_INSTANCE = 143, 6
STOPPED_S = 300


def test_fault_133_killed_at_any_failpoint(trader: Trader) -> None:
    """Each point is part of a campaign, or is listed with what it needs; after a kill the slot is finished."""
    campaigns, known = (*test_campaigns.ROAD, *test_stores.STORES), names()
    assert {name for name in known if not name.startswith(campaigns)} <= set(OFF_THE_ROAD)
    assert [
        point for point in (*campaigns, *OFF_THE_ROAD) if not any(map(methodcaller("startswith", point), known))
    ] == []
    assert len(every_point()) >= 60
    killed = run(trader.bot, trader.entries("AAPL"), Fatal("alpaca.send.after", 1))
    assert (killed.code, killed.points[-1], trader.posts()) == (DIED, "alpaca.send.after", 1)
    trader.goes_on()


def terminated_at(verb: Verb, point: str) -> Verb:
    """Return a verb behind its boundary that gets SIGTERM at a point of its first order."""

    def of(app: App) -> int:
        sending = False

        def reached(name: str) -> None:
            nonlocal sending
            sending = sending or name == "alpaca.send.before"
            if sending and name == point:
                os.kill(os.getpid(), signal.SIGTERM)

        failpoint.hook = reached
        return run_command(lambda: verb(app), [])

    return of


@pytest.mark.parametrize(
    ("point", "arrives"), [("alpaca.send.before", False), ("http.request.after", True), ("alpaca.send.after", True)]
)
def test_fault_134_sigterm_between_promise_and_reply(trader: Trader, point: str, arrives: bool) -> None:
    """The pass ends with exit 143 and its promise on disk; an order that arrived is found by its id, none is resent."""
    assert run(trader.bot, terminated_at(trader.entries("AAPL"), point), None).code == TERMINATED
    assert [record.state for record in trader.intents()] == [IntentState.SENT]
    assert trader.posts() == arrives
    assert trader.buys("AAPL").code == 0
    assert [record.state for record in trader.intents()] == [IntentState.ACKED if arrives else IntentState.SENT]
    assert trader.posts() == arrives
    trader.is_whole()


def sleeps(verb: Verb, flag: Path) -> Verb:
    """Return a verb whose machine counts five minutes more as soon as a file is there."""

    def of(app: App) -> int:
        count = time.clock_gettime
        time.clock_gettime = lambda clock: count(clock) + STOPPED_S * flag.exists()
        return verb(app)

    return of


@pytest.mark.parametrize("point", ["send_lock.sign.before", "send_lock.sign.after", "journal.sync.after"])
def test_fault_135_stopped_for_five_minutes_before_the_order(trader: Trader, tmp_path: Path, point: str) -> None:
    """An order decided before the stop isn't sent after it, promised or not; the next slot decides again."""
    flag = tmp_path / "slept"

    def sleep() -> None:
        flag.touch()
        trader.stage.tick(seconds=STOPPED_S)

    end = run(trader.bot, sleeps(trader.entries("AAPL"), flag), Fatal(point, 1, signal.SIGSTOP), sleep)
    assert (end.code, flag.exists(), trader.posts()) == (0, True, 0)
    assert {record.state for record in trader.intents()} <= {IntentState.REJECTED}
    assert trader.buys("AAPL").code == 0
    assert trader.posts() == 1


def test_fault_136_killed_by_the_kernel_for_its_memory(trader: Trader, ask: Ask) -> None:
    """If a plug-in is killed, its strategy sits out this pass; if a pass is killed, it resumes in its slot."""
    found = ask("os.kill(os.getpid(), signal.SIGKILL)")
    assert isinstance(found, Decision)
    assert (found.reason, "exit code -9" in str(found.observed)) == (Reason.STRATEGY_FAILED, True)
    killed = run(trader.bot, trader.entries("AAPL"), Fatal("journal.sync.before", 1))
    assert (killed.code, trader.posts()) == (DIED, 0)
    trader.goes_on()


def test_fault_137_child_keeps_the_lock(trader: Trader) -> None:
    """A program started meanwhile inherits no lock; if a fork holds it, a pass names the holder and exits with 6."""
    with state_locks.hold(trader.folder, "score"):
        child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"], close_fds=False)
    try:
        # Its start is told a moment before the kernel has closed what it does not inherit.
        with state_locks.hold(trader.folder, "score", wait_s=5.0):
            assert child.poll() is None
    finally:
        child.kill()
        child.wait()
    (trader.folder / state_locks.LOCK).write_text(json.dumps({"pid": 4711, "verb": "trade-once", "since": "yesterday"}))
    with (trader.folder / state_locks.LOCK).open() as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        with pytest.MonkeyPatch.context() as patch:
            # The exchange is in this process too, and would find itself idle for ever by a clock of all.
            clock = SimpleNamespace(monotonic=time.monotonic)
            clock.sleep = lambda _: setattr(clock, "monotonic", lambda: float("inf"))
            patch.setattr(state_locks, "time", clock)
            said = trader.buys("AAPL")
    assert (said.code, trader.posts()) == (ANOTHER_INSTANCE, 0)
    assert "trade-once, process 4711, since yesterday" in said.err


def test_fault_138_process_number_used_again(trader: Trader) -> None:
    """The kernel says who holds the lock: a process that now has the number in the file counts as nobody."""
    lines = json.dumps({"pid": os.getpid(), "verb": "serve", "since": "2026-01-01T00:00:00+00:00"})
    for name in (state_locks.LOCK, state_locks.SERVE_LOCK):
        (trader.folder / name).write_text(lines)
    assert state_locks.holder(trader.folder) is None
    assert trader.buys("AAPL").code == 0
    assert trader.posts() == 1


def at_once(trader: Trader, *verbs: Verb) -> list[int]:
    """Run verbs side by side, each in its own process, and return how they ended."""
    children = []
    for verb in verbs:
        child = os.fork()
        if not child:
            os._exit(run(trader.bot, verb, None).code)
        children.append(child)
    return [os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) for child in children]


def test_fault_139_cron_and_serve_in_the_same_second(trader: Trader) -> None:
    """Both end well, and one has nothing to do: the slot runs once, and the order is sent once."""
    verb = trader.entries("AAPL")
    assert at_once(trader, verb, verb) == [0, 0]
    with closing(SqliteLedger.open(trader.folder, read_only=True)) as ledger:
        (record,) = ledger.intents()
        claims = [claim.slot for claim in ledger.slot_claims(record.intent.key.session) if claim.job == "trade-once"]
    assert (len(claims), trader.posts()) == (1, 1)
    trader.goes_on()


def test_fault_140_two_serves_on_one_state(trader: Trader) -> None:
    """The second one ends at once with exit 6, names the first, and touches nothing."""
    told: list[object] = []
    with state_locks.hold(trader.folder, "serve", name=state_locks.SERVE_LOCK):
        said = trader.does(lambda app: int(serve.run(app, by="test", speed=None, tell=told.append)))
    assert (said.code, f"serve, process {os.getpid()}" in said.err, told) == (ANOTHER_INSTANCE, True, [])


def test_fault_141_exception_in_a_gate(trader: Trader, monkeypatch: pytest.MonkeyPatch) -> None:
    """The pass ends with exit 1 before anything is promised, and the error halts the bot; exits continue."""

    def broken(*_: object) -> None:
        raise ZeroDivisionError("in a gate")

    with monkeypatch.context() as patch:
        patch.setitem(vars(entry_orders), "decide", broken)
        said = trader.buys("AAPL")
    assert (said.code, "bug in tradebot: ZeroDivisionError: in a gate" in said.err) == (1, True), said.err
    assert halt_switch.read(trader.folder).why == "PASS_FAULT: ZeroDivisionError: in a gate"
    assert trader.buys("MSFT", again=True).code == 3
    assert trader.exits().code == 0
    assert (trader.posts(), trader.intents()) == (0, [])


Check = Callable[[object], bool]


def _fails(reason: Reason, words: str = "") -> Check:
    return lambda found: isinstance(found, Decision) and found.reason is reason and words in str(found.observed)


WILD: dict[str, tuple[str, Check]] = {
    "recursion": ("self.propose(view)", _fails(Reason.STRATEGY_FAILED, "RecursionError")),
    "memory": ("bytearray(2**33)", _fails(Reason.STRATEGY_FAILED, "MemoryError")),
    "nan": (
        "return [Open('AAPL', Side.BUY, float('nan'))]",
        _fails(Reason.STRATEGY_INVALID, "'AAPL': its score is not between -1 and 1"),
    ),
    "a million": ("return [Open('AAPL', Side.BUY, 0.5)] * 1_000_000", _fails(Reason.STRATEGY_TOO_MANY, "1000000")),
    "changed inputs": (
        "view.facts.clear()\nreturn [Open('AAPL', Side.BUY, 0.5)]",
        lambda found: isinstance(found, tuple),
    ),
    "never returns": ("time.sleep(60)", _fails(Reason.STRATEGY_TIMEOUT)),
}


@pytest.mark.parametrize("case", WILD)
def test_fault_142_strategy_gone_wild(ask: Ask, case: str) -> None:
    """That strategy sits out the pass, with the reason recorded; it can't affect this process or its desk."""
    body, answers = WILD[case]
    found = ask(body, bounds=AnswerBounds(1.5 if case == "never returns" else 20.0, 2**31))
    assert answers(found), found
