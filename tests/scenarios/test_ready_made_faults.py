"""The bot under each ready-made fault script, judged by the exchange's log and not by what the bot says of itself."""

from decimal import Decimal
from typing import Any

import pytest
import requests

from tests.bot import Bot, log
from tradebot.exchange.faults import library

DOCUMENTED = {0, 3, 4, 5, 10}
"""Exit codes that a pass may end with when the venue fails it: 1 would be our own error, 2 a wrong command."""
ON_STREAMS = {"mute-stream", "shuffled-stream"}
"""Scripts for clients that listen to streams. The bot asks instead, so nothing of theirs can befall it."""
SHUT = {"clock-skew", "crossed-quotes", "frozen-quotes", "expired-keys"}
"""Scripts under which nothing may be bought or sold anew."""
HASTENED = {"slow-venue": (("20s", "500ms"), ("slow_drip: 2000", "slow_drip: 20000"))}
"""What a script makes a client wait for is shortened: how long the bot waits at most is tested beside its adapter."""
MET_BY_CANCELS = {"fill-during-cancel", "refused-changes"}
ENDS = ("order_rejected", "order_canceled", "order_expired")
PASSES = ("trade-once", "tick", "evaluate-exits", "flatten --all --confirm ALL", "tick", "reconcile")


def control(bot: Bot, method: str, path: str, body: str = "") -> None:
    answer = requests.request(method, f"{bot.url}/exchange/v1/{path}", data=body, timeout=60)
    assert answer.status_code == 200, answer.text


def does(bot: Bot, line: str) -> int:
    """Let the bot run a verb and return its exit code, or let five minutes pass."""
    if line != "tick":
        return bot.says(*line.split()).code
    control(bot, "POST", "tick", '{"seconds": 300}')
    return 0


def script_of(name: str) -> str:
    text = library.text_of(name) or ""
    for slow, fast in HASTENED.get(name, ()):
        assert slow in text
        text = text.replace(slow, fast)
    return text


@pytest.mark.parametrize("name", [name for name in library.names() if name not in ON_STREAMS])
def test_a_ready_made_script_costs_no_double_order_and_leaves_nothing_unexplained(trader: Bot, name: str) -> None:
    control(trader, "POST", "faults", script_of(name))
    # Only what stops the bot from trading makes it cancel what is working.
    passes = ("trade-once", "halt", *PASSES[1:]) if name in MET_BY_CANCELS else PASSES
    codes = {line: does(trader, line) for line in passes}
    assert set(codes.values()) <= DOCUMENTED, codes
    if name == "expired-keys":
        assert {code for line, code in codes.items() if line != "tick"} == {4}
    assert any(event["event"] == "fault_fired" for event in log(trader.url)), codes

    control(trader, "DELETE", "faults")
    does(trader, "tick")
    # An order that no answer ever came for may stay open in the books, which say so; nothing else may differ.
    assert {finding["kind"] for finding in trader.json("reconcile")["findings"]} <= {"unresolved"}
    assert does(trader, "flatten --all --confirm ALL") == 0
    does(trader, "tick")
    assert trader.json("reconcile")["findings"] == []
    events = log(trader.url)
    assert ("order_accepted" in [event["event"] for event in events]) == (name not in SHUT)
    assert doubles(events) == []


def doubles(events: list[dict[str, Any]]) -> list[str]:
    """Return the orders that nothing explains but a decision sent twice, by what the exchange knows alone.

    That is one beside another of the same symbol and side that is working, one that adds to what an earlier one has
    opened, and one that takes a position through zero.
    """
    found: list[str] = []
    working: dict[str, set[str]] = {}
    opening: dict[str, str] = {}
    opened: set[str] = set()
    held: dict[str, Decimal] = {}
    for event in events:
        if "order_id" not in event:
            continue
        symbol, order, name = event["symbol"], event["order_id"], event["client_order_id"]
        place = f"{event['side']} {symbol}"
        before = held.get(symbol, Decimal(0))
        if event["event"] == "order_accepted":
            opens = before * (1 if event["side"] == "buy" else -1) >= 0
            found += [name] if working.get(place) or (opens and place in opened) else []
            working.setdefault(place, set()).add(order)
            opening |= {order: place} if opens else {}
        if event["event"] == "fill":
            held[symbol] = Decimal(event["position"])
            found += [name] if before * held[symbol] < 0 else []
            opened |= {opening[order]} if order in opening else set()
        if event["event"] in ENDS or event["status"] == "filled":
            working.get(place, set()).discard(order)
    return found


def test_the_judge_sees_a_double_order() -> None:
    def told(event: str, order: str, side: str = "buy", **others: str) -> dict[str, Any]:
        what = {"event": event, "symbol": "AAPL", "side": side, "order_id": order, "client_order_id": order}
        return what | {"status": "new", **others}

    first, second = told("order_accepted", "one"), told("order_accepted", "two")
    part, whole = (told("fill", "one", position="4", status=status) for status in ("partially_filled", "filled"))
    assert doubles([first, second]) == ["two"]
    assert doubles([first, whole, second]) == ["two"]
    assert doubles([first, part, told("order_canceled", "one"), second]) == ["two"]
    assert doubles([first, told("order_canceled", "one"), second]) == []
    out, again = told("order_accepted", "out", "sell"), told("order_accepted", "again", "sell")
    sold = told("fill", "out", "sell", position="2", status="partially_filled")
    assert doubles([first, whole, out, sold, told("order_canceled", "out", "sell"), again]) == []
    assert doubles([first, whole, out, told("fill", "out", "sell", position="-4", status="filled")]) == ["out"]
