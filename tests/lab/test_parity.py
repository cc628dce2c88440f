"""Days with faults beside their backtests: what differs has a cause outside, and a broken bot doesn't."""

import json
from pathlib import Path
from typing import Any

import pytest

from tests.kit.backtest.three_ways import FAST, PlayedDay
from tests.kit.bot.folder import typed
from tests.suite.tiers import drawn
from tradebot.model.intent import Intent
from tradebot.model.parity import DayParity, DifferenceType, ParityCause
from tradebot.model.struct_tools import replace
from tradebot.orders.order_sender import submit_intent

FLOW = """
universe: [AAPL, MSFT, NVDA]
limits: {cooldown_s: 60}
strategies: {flow: {limits: {min_score: 0.01, min_coverage: 0.1, max_symbol_fraction: 0.3}}}
exits: {stop_loss_fraction: 0.004, trailing_arm_fraction: 0.002, trailing_stop_fraction: 0.002}
timetable:
  fetch-flow: every 10m from open+2m until open+70m
  score: every 30m from open+2m until open+70m
  evaluate-exits: every 4m from open+1m until open+70m
  trade-once: every 10m from open+2m until open+70m
  reconcile: every 30m from open+1m until open+70m
"""
SCRIPTS = (
    *("acknowledged-late", "crossed-quotes", "double-delivery", "doubtful-exits", "empty-orders", "fill-during-cancel"),
    *("flapping-venue", "frozen-quotes", "garbled-json", "gateway-timeouts", "halted-symbol", "late-orders"),
    *("lost-reply", "partial-then-cancel", "rate-limited", "refused-changes", "rejected-later", "slow-venue"),
    *("stale-orders",),
)
TOLD = drawn("scripts", [], SCRIPTS, 2)


def day() -> PlayedDay:
    return PlayedDay(FLOW, ("--sessions", "1", "--start", "2025-03-03", "--seed", "5"))


def served(script: str, folder: Path, capture: pytest.CaptureFixture[str]) -> DayParity:
    """Serve a day on an exchange with faults, and return it beside its backtest."""
    one, place = day(), ("--state-dir", str(folder / "state"))
    with one.in_force(folder):
        for verb in (("init", *one.market), ("exchange", "faults", "add", script), ("serve", "--speed", FAST)):
            said = typed(capture, *verb, *place)
            assert said.code == 0, said.err + said.out
    return one.beside(folder)


@pytest.mark.campaign
@pytest.mark.parametrize("script", TOLD)
def test_difference_on_a_faulty_day_has_its_cause_outside(
    script: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    found = served(script, tmp_path, capsys)
    assert not found.ours, script
    assert found.passes > 20


@pytest.mark.campaign
def test_bot_that_sends_half_of_what_it_should_is_seen(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def half(*given: Any, **named: Any) -> Intent:
        intent = submit_intent(*given, **named)
        return replace(intent, quantity=intent.quantity // 2)

    with monkeypatch.context() as broken:
        broken.setattr("tradebot.orders.entry_orders.submit_intent", half)
        day().by_demo(tmp_path, capsys)
    found = day().beside(tmp_path)
    assert {one.cause for one in found.differences} == {ParityCause.OURS}
    assert found.count(DifferenceType.ORDER)


EVERY_TEN = FLOW.replace("every 4m from open+1m", "every 10m from open+2m").replace(
    "every 30m from open+1m", "every 10m from open+2m"
)
PASSES = ("fetch-flow", "score", "evaluate-exits", "trade-once", "reconcile")


@pytest.mark.campaign
def test_what_a_person_does_in_between_is_played_then(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    one = PlayedDay(EVERY_TEN, day().market)
    place = ("--state-dir", str(tmp_path / "state"))
    between = {2: ("evaluate-exits", "--force-slot"), 3: ("halt",), 5: ("flatten", "MSFT", "--confirm", "MSFT")}
    with one.in_force(tmp_path):
        made = typed(capsys, "init", *one.market, *place)
        between[4] = ("unhalt", "--confirm", made.out[made.out.index("…") + 1 :][:4])
        typed(capsys, "reconcile", *place)
        for ticks in ("open", "2m"):
            typed(capsys, "exchange", "tick", ticks, *place)
        for number in range(7):
            for verb in PASSES:
                typed(capsys, verb, *place)
            typed(capsys, "exchange", "tick", "5m", *place)
            if number in between:
                said = typed(capsys, *between[number], *place)
                assert said.code == 0, said.err
            typed(capsys, "exchange", "tick", "5m", *place)
    found = one.beside(tmp_path)
    assert (found.differences, found.passes) == ((), 17)
    assert found.fills == 2, "an entry, and its close by hand"


@pytest.mark.campaign
def test_later_session_begins_as_the_one_before_it_ended(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    one = PlayedDay(FLOW, ("--sessions", "3", "--start", "2025-03-03", "--seed", "6", "--minutes", "80"))
    one.by_demo(tmp_path, capsys)
    found = one.beside(tmp_path)
    assert (found.differences, found.passes > 20) == ((), True)


@pytest.mark.campaign
def test_day_at_another_venue_of_ours_is_played_the_same(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    place = ("--state-dir", str(tmp_path))
    market = ("--venue", "kraken_futures", "--sessions", "1", "--minutes", "45", "--seed", "3")
    typed(capsys, "demo", *market, *place)
    said = typed(capsys, "parity", "--json", *place)
    found = json.loads(said.out)["data"]["day"]
    assert (said.code, found["played"], found["differences"]) == (0, True, [])
    assert found["fills"]
