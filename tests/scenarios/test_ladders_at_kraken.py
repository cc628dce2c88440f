"""Positions that end in steps at Kraken's face of the embedded exchange, whose log is the judge."""

import os
from collections import Counter
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path

import pytest

from commands.reconcile import run as reconcile
from papervenue import process
from tests.kit.bot.folder import log
from tests.kit.core.scene import evaluate_exits, trade_once
from tests.kit.core.venue import Wanting
from tests.kit.values import there
from tests.scenarios.test_ladders import RULES, broken
from tests.suite.tiers import seed
from tradebot.__main__ import main
from tradebot.app.loading import Options
from tradebot.app.wiring import App, open_app
from tradebot.model.candidate import Side
from tradebot.model.desk import Desk
from tradebot.model.limits import StrategyRules
from tradebot.model.record import CandidateRecord, Job
from tradebot.model.struct_tools import replace
from tradebot.model.view import Open
from tradebot.orders import separate_protection
from tradebot.orders.amendments import cancel_order
from tradebot.orders.protection_plan import ProtectionState, ProtectionStep
from tradebot.ports.world import Call, World
from tradebot.timetable.sessions import session_of

pytestmark = pytest.mark.campaign
D = Decimal
SYMBOLS, MINUTES = ("PF_XBTUSD", "PF_ETHUSD", "PF_SOLUSD"), 180
STOP, RANGE, TARGET = D("0.003"), D("0.002"), D("0.012")
"""Near enough for the prices of a few hours to take every step."""


def world(app: App, *wants: Open) -> World:
    usual = app.world(proposing=False)
    rules = usual.rules
    small = {"max_order_notional_usd": D(9_000), "cooldown_s": 0, "duplicate_window_s": 0, "loss_cooldown_s": 0}
    own = StrategyRules(SYMBOLS, rules.limits.model_copy(update=small), D(1))
    rules = replace(rules, own={**rules.own, "steps": own}, own_exits={**rules.own_exits, "steps": RULES})
    return replace(usual, rules=rules, strategies=(Wanting(*wants, name="steps"),))


def play(app: App) -> None:
    """Open a position in each coin, long or short by turns, whenever none is held, and look each minute."""
    app.engine.tick_to("next_open")
    reconcile.run(app, by="test")
    app.ensure_calendar(app.now())
    for minute in range(MINUTES):
        app.engine.sleep(60)
        session = there(session_of(app.ledger, app.now(), app.day))
        call = Call(Job.EVALUATE_EXITS, session.date, f"open+{minute}m", "test")
        evaluate_exits(world(app), call)
        if minute % 30 == 0:
            sides = (Side.BUY, Side.SELL, Side.BUY) if minute % 60 == 0 else (Side.SELL, Side.BUY, Side.SELL)
            held = {position.symbol for position in app.ledger.totals().own_positions()}
            wants = [
                Open(
                    symbol, side, 0.9 * side.sign, 1.0, stop_loss_fraction=STOP, profit_target_fraction=TARGET,
                    atr_fraction=RANGE,
                )
                for symbol, side in zip(SYMBOLS, sides, strict=True)
                if symbol not in held
            ]  # fmt: skip
            reconcile.run(app, by="test")
            trade_once(world(app, *wants), replace(call, job=Job.TRADE_ONCE))


def judged(folder: Path) -> tuple[list[str], Counter[str]]:
    """Play a bot in a new folder; return what was broken by the exchange's log, and what filled or was placed."""
    symbols = ",".join(SYMBOLS)
    flags = ["--venue", "kraken_futures", "--symbols", symbols, "--sessions", "2", "--seed", str((seed() or 0) % 1000)]
    assert main(["init", "--state-dir", str(folder), *flags]) == 0
    with open_app(Options(str(folder)), os.environ) as app:
        try:
            play(app)
            events = [line for line in log(app.exchange_url) if "status" in line]
        finally:
            process.stop(folder / "exchange")
    problems = [each for one in SYMBOLS for each in broken(line for line in events if line["symbol"] == one)]
    exits = [line for line in events if ".PROTE." in line["client_order_id"]]
    return problems, Counter(f"{line['event']} {'stop' if line.get('stop_price') else 'target'}" for line in exits)


def canceled_first(
    world: World, call: Call, desk: Desk, cover: ProtectionState, step: ProtectionStep
) -> Iterator[CandidateRecord]:
    """Replace an order by canceling the old one first."""
    for old in (*filter(None, (step.old,)), *step.others):
        yield cancel_order(world, call, desk, old.first, old.record, step.why)
    yield separate_protection._place_order(world, call, desk, cover, step)


def test_a_stop_rests_from_the_first_protection_to_the_close(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    problems, seen = judged(tmp_path / "state")
    assert problems == []
    assert min(seen["fill stop"], seen["fill target"]) > 0
    assert seen["order_accepted stop"] > seen["fill stop"] + len(SYMBOLS), "stops moved"
    monkeypatch.setattr(separate_protection, "_place_before_cancel", canceled_first)
    assert judged(tmp_path / "control")[0]
