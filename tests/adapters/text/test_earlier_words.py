"""What sentences of earlier versions stood for, and that nothing is guessed where they leave it open."""

from typing import Any

import pytest

from tradebot.adapters.text import earlier_words
from tradebot.adapters.text.canonical import json_text
from tradebot.adapters.text.earlier_words import State
from tradebot.gates.halts import BY_ITSELF, CLEARED_BY
from tradebot.model.origin import Origin

AT = "2026-01-05T15:00:00+00:00"


def test_they_know_every_cause_for_which_a_bot_halted_then() -> None:
    assert {reason.value for reason in CLEARED_BY} == earlier_words.CAUSES | {"EQUITY_FLOOR_HALT", "CRASH_LOOP"}
    assert BY_ITSELF == earlier_words.BY_ITSELF


@pytest.mark.parametrize(
    ("name", "who", "why", "told"),
    [
        ("REDUCE_ONLY", "tradebot", "BOOKS_OLD: tb1.x, tb1.y against 0", State(["BOOKS_OLD"], None)),
        ("REDUCE_ONLY", "tradebot", "BOOKS_OLD: tb1.x; DRAWDOWN_REACHED: 1 against 0", State(None, None)),
        ("REDUCE_ONLY", "tradebot", "BOOKS_OLD: 1 against 0; who knows", State(None, None)),
        ("REDUCE_ONLY", "tradebot", "NO_CAUSE: 1 against 0", State(None, None)),
        ("REDUCE_ONLY", "tradebot", "PASS_FAULT: E: x; DRAWDOWN_REACHED: 1 against 0", State(["PASS_FAULT"], None)),
        ("REDUCE_ONLY", "tradebot", "", State(None, None)),
        ("FLATTEN", "ann/1", "BOOKS_OLD: 1 against 0", State([], None)),
        ("ACTIVE", "ann/1", f"override BOOKS_OLD,VENUE_DRIFT at {AT}: x", State(["BOOKS_OLD", "VENUE_DRIFT"], AT)),
        ("ACTIVE", "ann/1", f"reason: override BOOKS_OLD at {AT}: x", State([], None)),
        ("ACTIVE", "ann/1", "override BOOKS_OLD at no time: x", State([], None)),
        ("ACTIVE", "ann/1", "override BOOKS_OLD at 2026-01-05T15:00:00: x", State([], None)),
        ("REDUCE_ONLY", "ann/1", f"override BOOKS_OLD at {AT}: x", State([], None)),
    ],
)
def test_causes_are_those_that_a_state_told_of_or_nobody_knows_them(name: str, who: str, why: str, told: State) -> None:
    assert earlier_words.state(name, who, why) == told


@pytest.mark.parametrize(
    ("activity_id", "venue_order_id", "origin"),
    [
        ("adjustment:plan-0123abcd:20260105T152200000000Z:AAPL:0", "v1", (Origin.VENUE, "")),
        ("adjustment:plan-0123abcd:20260105T152200000000Z:AAPL:0", "", (Origin.PLAN, "plan-0123abcd")),
        ("adjustment:AAPL:0", "", (Origin.UNKNOWN, "")),
        ("activity:2026::1:0", "", (Origin.ACTIVITY, "2026::1")),
        ("owned:2026::1:from", "", (Origin.GIVEN_BACK, "2026::1")),
        ("owned:2026::1", "", (Origin.UNKNOWN, "")),
        ("2026::1", "", (Origin.UNKNOWN, "")),
    ],
)
def test_a_fill_is_the_venues_by_its_order_and_ours_by_its_whole_name(
    activity_id: str, venue_order_id: str, origin: tuple[Origin, str]
) -> None:
    assert earlier_words.fill(activity_id, venue_order_id) == origin


@pytest.mark.parametrize(
    ("kind", "payload"),
    [
        ("cash_adjusted", {"amount": "1", "why": "activity:2026::1 DIV/CDIV AAPL"}),
        ("acknowledged", {"symbol": "TSLA", "quantity": "7", "why": "acknowledged by ann"}),
        ("trading_state", {"state": "ACTIVE", "who": "ann", "why": "calm"}),
        ("fill", {"fill": {"activity_id": "owned:a1:to", "venue_order_id": ""}, "strategy": "flow"}),
        ("settled", {"client_order_id": "tb1.x"}),
    ],
)
def test_a_record_is_upgraded_once(kind: str, payload: dict[str, Any]) -> None:
    once = earlier_words.upgraded(kind, payload)
    assert (once == payload) is (kind == "settled")
    assert earlier_words.upgraded(kind, once) == once
    text = json_text(payload).encode()
    current = earlier_words.in_current_form(kind, text)
    assert earlier_words.in_current_form(kind, current) == current
