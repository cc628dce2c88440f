"""A bot in shadow: it decides and records like any other, every document says so, and the exchange hears nothing.

In shadow everything is decided and recorded, and nothing is sent: no entry, no exit, no cancel.
"""

from decimal import Decimal
from pathlib import Path

import pytest

from tests.kit.bot.ending import refuses
from tests.kit.bot.folder import Bot, log, second_session
from tests.kit.core.scene import Scene, call, evaluate_exits, trade_once, wanted
from tradebot.model.candidate import Candidate
from tradebot.model.reasons import Reason
from tradebot.model.record import CycleRecord, Job
from tradebot.model.struct_tools import replace
from tradebot.model.trading import Mode
from tradebot.ports.world import World

BOT_FLAGS = ("--shadow",)


def asked_to_change(bot: Bot) -> list[tuple[str, str]]:
    asked = [event for event in log(bot.url) if event["event"] == "request"]
    return [(event["method"], event["path"]) for event in asked if event["path"].startswith("/v2/")]


def test_entries_are_decided_and_recorded_and_none_is_sent(bot: Bot) -> None:
    second_session(bot)
    said = bot.says("trade-once", "--json")
    assert said.code == 0
    assert said.data["refused"]["SHADOW"] > 0
    assert (said.data["orders"], said.data["dry_run"]) == (0, False)
    assert '"mode": "sandbox shadow"' in said.out
    assert asked_to_change(bot) == []


def test_a_person_is_told_on_every_screen(bot: Bot) -> None:
    bot.does("exchange tick 5m", "fetch-flow", "reconcile")
    assert " in shadow mode, not sent + " in bot.shown("trade-once")
    assert bot.shown("status").startswith("sandbox shadow, account …TAIL")
    assert "SHADOW" in bot.shown("why-no-orders")


def test_a_dry_run_is_still_a_dry_run(bot: Bot) -> None:
    refused = bot.json("trade-once", "--dry-run")["refused"]
    assert "SHADOW" not in refused
    assert refused["DRY_RUN"] > 0


def test_nothing_can_be_sent_by_any_other_way(bot: Bot) -> None:
    bot.does("evaluate-exits", "halt --flatten --confirm FLATTEN")
    assert asked_to_change(bot) == []


def test_the_same_bot_sends_once_its_own_file_takes_it_out_of_shadow(bot: Bot, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TRADEBOT_SHADOW", "false")
    assert bot.says("status").code == 3, "a variable left in some shell is no decision"
    own = bot.folder / "tradebot.yaml"
    own.write_text(own.read_text().replace("shadow: true", "shadow: false"))
    assert bot.says("unhalt", "--confirm", bot.tail()).code == 0
    bot.does("exchange tick 5m", "fetch-flow", "reconcile")
    assert bot.json("trade-once", "--force-slot")["orders"] == 0, "it was accepted in shadow"
    assert bot.says("evaluate-exits", "--force-slot").code in (0, 3)
    assert asked_to_change(bot) == []
    assert bot.says("config", "accept", "--confirm", bot.tail()).code == 0
    sent = bot.json("trade-once", "--force-slot")["orders"]
    assert asked_to_change(bot) == [("POST", "/v2/orders")] * sent
    assert sent


def test_permission_has_no_say_in_shadow_because_no_order_reaches_it(bot: Bot, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ALLOW_ORDERS", "no")
    own = bot.folder / "tradebot.yaml"
    own.write_text(own.read_text().replace("shadow: false", "shadow: true"))
    try:
        assert "Permission open" in bot.says("status").out
        assert "SHADOW" not in bot.json("trade-once", "--dry-run", "--force-slot")["refused"]
    finally:
        own.write_text(own.read_text().replace("shadow: true", "shadow: false"))
    assert "Permission closed: ORDER_GATE_CLOSED (ALLOW_ORDERS says no): no orders are sent" in bot.says("status").out


def test_another_configuration_does_not_take_a_folder_out_of_shadow(bot: Bot, tmp_path: Path) -> None:
    own = bot.folder / "tradebot.yaml"
    before = own.read_text()
    own.write_text(before.replace("shadow: false", "shadow: true"))
    (tmp_path / "other.yaml").write_text("limits: {max_new_entries: 2}\n")
    try:
        refuses(bot.says("trade-once", "--config", str(tmp_path / "other.yaml")), 3, "is in shadow")
    finally:
        own.write_text(before)


def shadow(scene: Scene, *candidates: Candidate) -> World:
    return replace(scene.world(*candidates), orders=None, shadow=True)


def reasons(cycle: CycleRecord) -> list[Reason | None]:
    return [record.terminal.reason if record.terminal else None for record in cycle.candidates]


def held(scene: Scene) -> None:
    (record,) = trade_once(scene.world(wanted("AAPL")), call()).candidates
    assert record.client_order_id
    scene.venue.fill(record.client_order_id, "100")


def test_an_entry_ends_at_shadow_is_promised_to_nobody_and_is_recorded_under_its_own_mode() -> None:
    scene = Scene()
    world = shadow(scene, wanted("AAPL"), wanted("MSFT", 0.4))
    cycle = trade_once(replace(world, rules=replace(world.rules, mode=Mode.PAPER)), call())
    assert reasons(cycle) == [Reason.SHADOW, Reason.SHADOW]
    assert (scene.venue.submitted, scene.ledger.intents()) == ([], ())
    assert all(record.client_order_id and record.reference_price for record in cycle.candidates)
    assert scene.facts.cycles(job=Job.TRADE_ONCE) == (cycle,)
    assert (cycle.mode, cycle.dry_run) == ("paper shadow", False)


def test_the_next_candidate_sees_the_book_as_if_the_order_had_gone_out() -> None:
    scene = Scene()
    names = [wanted(symbol, 0.5) for symbol in ("AAPL", "MSFT", "JPM", "XOM")]
    scene.limits = scene.limits.model_copy(update={"max_new_entries": 2})
    found = reasons(trade_once(shadow(scene, *names), call()))
    assert sorted(map(str, found)) == ["MAX_NEW_ENTRIES", "MAX_NEW_ENTRIES", "SHADOW", "SHADOW"]


def test_an_exit_that_a_rule_asks_for_is_not_sent_either() -> None:
    scene = Scene()
    held(scene)
    scene.later(60)
    scene.price("AAPL", "50")
    assert reasons(evaluate_exits(shadow(scene), call(Job.EVALUATE_EXITS))) == [Reason.SHADOW]
    assert len(scene.venue.submitted) == 1
    (position,) = [p for p in scene.venue.held.values() if p]
    assert position > Decimal(0)


def test_a_working_order_of_ours_is_not_cancelled() -> None:
    scene = Scene()
    trade_once(scene.world(wanted("AAPL")), call())
    scene.later(scene.limits.entry_life_s)
    cycle = evaluate_exits(shadow(scene), call(Job.EVALUATE_EXITS))
    assert (reasons(cycle), scene.venue.cancelled) == ([Reason.SHADOW], [])
