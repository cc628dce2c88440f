"""A strategy gone wild, a fault of the bot's own, another writer: what they can do, judged by the exchange's log."""

import json
import os
from collections import Counter
from collections.abc import Iterator
from contextlib import AbstractContextManager
from pathlib import Path

import pytest

from commands.shared.pass_reports import record_begun_pass
from papervenue import process
from tests.kit.bot.folder import Bot, log, order_by_hand, second_session
from tests.kit.bot.state import configure
from tradebot.__main__ import main
from tradebot.app.loading import Options
from tradebot.app.wiring import App, open_app
from tradebot.model.record import Job
from tradebot.ports.world import Call

NAMES = "AAPL,MSFT,NVDA,AMZN,GOOGL,META,TSLA,AMD,JPM,BAC,XOM,CVX"
WIDE = (
    "limits: {max_new_entries: 5, max_open_positions: 40, max_order_fraction: 0.01, min_score: 0.01, min_coverage: 0.1,"
    " price_collar_fraction: 0.9, cooldown_s: 1800}\n"
)
"""Limits on the book that would let all twelve in: only how often bounds what a wild strategy sends."""


@pytest.fixture(scope="module")
def wide(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    folder = tmp_path_factory.mktemp("runaway") / "state"
    try:
        assert main(["init", "--state-dir", str(folder), "--symbols", NAMES, "--sessions", "2"]) == 0
        configure(folder, WIDE)
        yield folder
    finally:
        process.stop(folder / "exchange")


@pytest.fixture
def ready(wide: Path, capsys: pytest.CaptureFixture[str]) -> Bot:
    return Bot(wide, capsys)


def everything(path: Path, turn: int) -> str:
    """Write candidates for every symbol, as a strategy that has gone wild would propose them."""
    rows = [{"symbol": symbol, "side": "buy", "score": 0.9, "strategy": f"wild{turn}"} for symbol in NAMES.split(",")]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return str(path)


def posts(bot: Bot) -> Counter[str]:
    """Return every new order that reached the exchange, by the second of its own time."""
    return Counter(event["at"][:19] for event in log(bot.url) if event["event"].startswith("order_acc"))


def test_whoever_asks_again_and_again_is_stopped_at_five_orders(ready: Bot, tmp_path: Path) -> None:
    """The engine's time stands still between the passes, so all of them fall into one second."""
    second_session(ready)
    said = [
        ready.json("trade-once", "--candidates", everything(tmp_path / "wild.jsonl", turn), "--force-slot")
        for turn in range(6)
    ]
    assert posts(ready).total() == 5
    assert [found["orders"] for found in said] == [5, 0, 0, 0, 0, 0]
    assert said[1]["refused"] == {"ORDER_RATE": 7, "ORDER_WORKING": 5}


def test_a_strategy_that_stays_wild_sends_five_a_cycle_until_its_session_is_spent(ready: Bot, tmp_path: Path) -> None:
    for turn in range(10, 13):
        ready.does("exchange tick 5m", "fetch-flow")
        ready.says("trade-once", "--candidates", everything(tmp_path / "wild.jsonl", turn))
    assert max(posts(ready).values()) == 5
    assert posts(ready).total() == len(NAMES.split(","))


def app_of(bot: Bot) -> AbstractContextManager[App]:
    return open_app(Options(str(bot.folder), None), os.environ)


def end_in(fault: Exception, app: App) -> None:
    call = Call(Job.TRADE_ONCE, app.now().date(), "its own slot", "test")
    with record_begun_pass(app, call, app.now(), dry_run=False):
        raise fault


def test_a_fault_in_a_pass_halts_until_a_person_ends_that_and_what_the_system_refuses_is_none(ready: Bot) -> None:
    with app_of(ready) as app, pytest.raises(ZeroDivisionError):
        end_in(ZeroDivisionError("in a gate"), app)
    status = ready.json("status")
    assert status["trading_state"] == "REDUCE_ONLY"
    assert status["trading_why"] == "PASS_FAULT: ZeroDivisionError: in a gate"
    before = posts(ready)
    assert ready.says("trade-once", "--force-slot").code == 3
    assert posts(ready) == before
    assert ready.says("unhalt", "--confirm", ready.tail()).code == 0
    with app_of(ready) as app, pytest.raises(OSError, match="no room"):
        end_in(OSError("no room"), app)
    assert ready.json("status")["trading_state"] == "ACTIVE"


def test_another_writer_halts_and_only_an_override_ends_that_while_its_order_is_open(ready: Bot) -> None:
    order_by_hand(ready.url, "AAPL", "1", "tb1.261117.FLOW.AAPL.OPEN.TWIN")
    assert ready.says("evaluate-exits", "--force-slot").code == 0
    assert "SECOND_WRITER: tb1.261117.FLOW.AAPL.OPEN.TWIN" in ready.json("status")["trading_why"]
    tail = ready.tail()
    assert ready.says("unhalt", "--confirm", tail).code == 3
    assert ready.says("unhalt", "--override", "--reason", "that was me", "--confirm", tail).code == 0
    assert ready.says("evaluate-exits", "--force-slot").code == 0
    status = ready.json("status")
    assert status["trading_state"] == "ACTIVE"
    assert status["trading_why"].startswith("override: that was me (SECOND_WRITER accepted, as of 2026-11-17 ")


def test_a_halt_of_the_bots_own_is_an_event_that_nobody_can_overlook(ready: Bot) -> None:
    events = [json.loads(line) for line in (ready.folder / "system_events.jsonl").read_text().splitlines()]
    halts = [event for event in events if event["event_type"] == "halted_itself"]
    assert {event["severity"] for event in halts} == {"CRITICAL"}
    assert [event["details"]["why"].partition(":")[0] for event in halts] == ["PASS_FAULT", "SECOND_WRITER"]
