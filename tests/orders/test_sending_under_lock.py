"""The send lock on fakes: what adds risk is sent under it, and nothing else waits for it."""

import ast
from pathlib import Path

import pytest

from tests.builders import NOW
from tests.venues import LOST
from tests.worlds import Scene, call, evaluate_exits, trade_once, wanted
from tradebot.model.candidate import Purpose
from tradebot.model.intent import Intent, Operation
from tradebot.model.reasons import Reason
from tradebot.model.record import Job
from tradebot.model.trading import TradingState, TradingStateRecord
from tradebot.orders.sending import send_again

ORDERS = ("submit", "replace", "cancel")
ROOT = Path(__file__).resolve().parents[2]
EXIT_CALL = call(Job.EVALUATE_EXITS, "open+31m")


def halt(scene: Scene) -> None:
    scene.ledger.set_trading_state(TradingStateRecord(TradingState.REDUCE_ONLY, "ada", "lunch", NOW))


def test_an_entry_holds_the_lock_from_its_promise_through_its_answer_and_not_while_it_is_settled() -> None:
    scene, held = Scene(), []
    promise, settle = scene.ledger.promise, scene.ledger.settle
    scene.ledger.promise = lambda *said: held.append(("promise", scene.send_lock.held)) or promise(*said)  # type: ignore[method-assign,func-returns-value]
    scene.ledger.settle = lambda *said: held.append(("settle", scene.send_lock.held)) or settle(*said)  # type: ignore[method-assign,func-returns-value]
    scene.venue.before_submit = lambda intent: held.append(("submit", scene.send_lock.held))
    trade_once(scene.world(wanted("AAPL")), call())
    assert held == [("promise", True), ("submit", True), ("settle", False)]
    assert scene.send_lock.orders == scene.venue.submitted


def test_a_halt_that_comes_while_an_entry_waits_for_the_lock_keeps_it_back_unpromised() -> None:
    scene = Scene()
    scene.send_lock.taken = lambda intent: halt(scene)
    record = trade_once(scene.world(wanted("AAPL"), wanted("MSFT")), call())
    assert [found.terminal and found.terminal.reason for found in record.candidates] == [Reason.HALTED] * 2
    assert (scene.venue.submitted, scene.ledger.intents()) == ([], ())


def test_exits_and_cancels_go_out_while_an_entry_is_stuck_under_the_lock() -> None:
    scene = Scene()
    trade_once(scene.world(wanted("AAPL"), wanted("MSFT")), call())
    (held,) = [i for i in scene.venue.submitted if i.instrument.symbol == "AAPL"]
    scene.venue.fill(held.client_order_id, "100")
    scene.later(60)
    scene.price("AAPL", "90")
    halt(scene)

    def stuck(intent: Intent) -> None:
        raise AssertionError("an exit or a cancel waited for the send lock")

    scene.send_lock.taken = stuck
    evaluate_exits(scene.world(), EXIT_CALL)
    assert [(i.instrument.symbol, i.purpose) for i in scene.venue.submitted[2:]] == [("AAPL", Purpose.CLOSE)]
    assert [i.instrument.symbol for i in scene.venue.cancelled] == ["MSFT"]


def test_a_lost_answer_lets_the_lock_go() -> None:
    scene = Scene()
    scene.venue.script = {"AAPL": LOST}
    trade_once(scene.world(wanted("AAPL"), wanted("MSFT")), call())
    assert [i.instrument.symbol for i in scene.send_lock.orders] == ["AAPL", "MSFT"]
    assert not scene.send_lock.held


def test_an_entry_is_never_sent_again() -> None:
    scene = Scene()
    trade_once(scene.world(wanted("AAPL")), call())
    (intent,) = scene.venue.submitted
    assert intent.operation is Operation.SUBMIT
    with pytest.raises(AssertionError, match="never sent again"):
        send_again(scene.world(), None, intent)  # type: ignore[arg-type]


def test_one_module_alone_writes_to_the_order_port() -> None:
    writers = {
        str(path.relative_to(ROOT))
        for room in ("tradebot", "commands", "jobs")
        for path in (ROOT / room).rglob("*.py")
        if "exchange" not in path.parts and "orders" in (text := path.read_text()) and _writes(ast.parse(text))
    }
    assert writers == {"tradebot/orders/sending.py"}


def _writes(tree: ast.AST) -> bool:
    """Tell whether a module touches `submit`, `replace` or `cancel` of something called orders."""
    named = [node for node in ast.walk(tree) if isinstance(node, ast.Attribute) and node.attr in ORDERS]
    return any("orders" in ast.unparse(node.value) for node in named)
