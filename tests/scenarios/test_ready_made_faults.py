"""The bot under each ready-made fault script, judged by the exchange's log and not by what the bot says of itself."""

from typing import Any

import pytest
import requests

from papervenue.faults import fault_table
from tests.kit.adapters.alpaca import AT_ONCE
from tests.kit.bot.folder import Bot, log
from tests.kit.judge.pairs import PROTECT, Groups
from tests.suite import tiers
from tradebot.adapters.wire.http import RetryPolicy
from tradebot.model.struct_tools import replace

DOCUMENTED = {0, 3, 4, 5, 10}
"""Exit codes that a pass may end with when the venue fails it: 1 would be our own error, 2 a wrong command."""
ON_STREAMS = {"mute-stream", "shuffled-stream"}
"""Scripts for clients that listen to streams. The bot asks instead, so nothing of theirs can befall it."""
ASKED = [name for name in fault_table.names() if name not in ON_STREAMS and not name.startswith("kraken-")]
SHUT = {"clock-skew", "crossed-quotes", "frozen-quotes", "expired-keys"}
"""Scripts under which nothing may be bought or sold anew."""
HASTENED = {"slow-venue": (("20s", "500ms"), ("slow_drip: 2000", "slow_drip: 20000"))}
"""What a script makes a client wait for is shortened: how long the bot waits at most is tested beside its adapter."""
MET_BY_CANCELS = {"fill-during-cancel", "refused-changes"}
MET_BY_FETCHES = {"drifting-flow"}
PASSES = ("trade-once", "tick", "evaluate-exits", "flatten --all --confirm ALL", "tick", "reconcile")


@pytest.fixture(autouse=True)
def hasty(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let reads be tried again at once: how long the bot waits in between is tested beside its adapter."""
    run = RetryPolicy.run
    monkeypatch.setattr(RetryPolicy, "run", lambda policy, read: run(replace(policy, sleep=AT_ONCE.sleep), read))


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
    text = fault_table.text_of(name) or ""
    for slow, fast in HASTENED.get(name, ()):
        assert slow in text
        text = text.replace(slow, fast)
    return text


@pytest.mark.sampled
@pytest.mark.parametrize("name", tiers.drawn("ready-made faults", ASKED[::5], ASKED, len(ASKED)))
def test_a_ready_made_script_costs_no_double_order_and_leaves_nothing_unexplained(trader: Bot, name: str) -> None:
    control(trader, "POST", "faults", script_of(name))
    # Only what stops the bot from trading makes it cancel what is working.
    passes: tuple[str, ...] = ("trade-once", "halt", *PASSES[1:]) if name in MET_BY_CANCELS else PASSES
    # What was scored before the flow changed is bought as ever.
    passes = ("trade-once", "tick", "fetch-flow", *PASSES[1:]) if name in MET_BY_FETCHES else passes
    codes = {line: does(trader, line) for line in passes}
    assert set(codes.values()) <= DOCUMENTED, codes
    if name == "expired-keys":
        assert {code for line, code in codes.items() if line != "tick"} == {4}
    assert any(event["event"] == "fault_fired" for event in log(trader.url)), codes

    control(trader, "DELETE", "faults")
    does(trader, "tick")
    # An order that no answer ever came for may stay open in the books, which say so, as they do of a stop that the next
    # pass of exits places; nothing else may differ.
    assert {finding["kind"] for finding in trader.json("reconcile")["findings"]} <= {"unresolved", "missing_stop"}
    assert does(trader, "flatten --all --confirm ALL") == 0
    does(trader, "tick")
    findings, events = trader.json("reconcile")["findings"], log(trader.url)
    # A pair that never arrived isn't sent again once its shares are gone, so its order stays open in the books too.
    unresolved = [finding["subject"] for finding in findings if PROTECT in finding["subject"]]
    assert [finding["kind"] for finding in findings] == ["unresolved"] * len(unresolved)
    assert {e["client_order_id"] for e in events if "order_id" in e} & set(unresolved) == set()
    assert ("order_accepted" in [event["event"] for event in events]) == (name not in SHUT)
    assert doubles(events) == []


def doubles(events: list[dict[str, Any]]) -> list[str]:
    """Return the orders that nothing explains but a decision sent twice, by what the exchange knows alone.

    That is one beside another of the same symbol and side that is working, one that adds to what an earlier one has
    opened, and one that takes a position through zero. A pair and all that replaces its parts are one order. Several
    pairs, or exits beside them, are doubles only if together they would trade more shares than are held.
    """
    found = list[str]()
    groups, opened, opening = Groups(), set[str](), set[str]()
    for event in events:
        if "order_id" not in event:
            continue
        symbol, name, place = event["symbol"], event["client_order_id"], f"{event['side']} {event['symbol']}"
        before = groups.held[symbol]
        groups.add(event)
        own, opens = groups.first[event["order_id"]], not groups.closes(event)
        if event["event"] == "order_accepted":
            claims = groups.working(symbol, event["side"])
            parted = any(groups.protects(groups.begun[one]) for one in claims) and not opens
            double = sum(claims.values()) > abs(before) if parted else bool(claims.keys() - {own})
            found += [name] if double or (opens and place in opened) else []
            opening |= {own} if opens else set()
        if event["event"] == "fill":
            grew = abs(groups.held[symbol]) > abs(before)
            found += [name] if before * groups.held[symbol] < 0 or (grew and own not in opening) else []
            opened |= {place} if own in opening else set()
    return found


def told(event: str, order: str, side: str, **others: str) -> dict[str, Any]:
    what = {"event": event, "symbol": "AAPL", "side": side, "order_id": order, "client_order_id": order}
    return what | {"status": "new", "qty": "4", "filled_qty": "0"} | others


def test_the_judge_sees_a_double_order() -> None:
    first, second = (told("order_accepted", order, "buy") for order in ("one", "two"))
    ended, closed = (
        told("order_canceled", order, side, status="canceled") for order, side in (("one", "buy"), ("out", "sell"))
    )
    part = told("fill", "one", "buy", position="2", status="partially_filled", filled_qty="2")
    whole = told("fill", "one", "buy", position="4", status="filled", filled_qty="4")
    assert doubles([first, second]) == ["two"]
    assert doubles([first, whole, second]) == ["two"]
    assert doubles([first, part, ended, second]) == ["two"]
    assert doubles([first, ended, second]) == []
    out, again = (told("order_accepted", order, "sell") for order in ("out", "again"))
    sold = told("fill", "out", "sell", position="2", status="partially_filled", filled_qty="2")
    assert doubles([first, whole, out, sold, closed, again]) == []
    assert doubles([first, whole, out, again]) == ["again"]
    assert doubles([first, whole, out, told("fill", "out", "sell", position="-4", status="filled")]) == ["out"]


def test_the_judge_takes_a_pair_and_what_replaces_its_parts_for_one_order() -> None:
    def sells(event: str, order: str, **others: str) -> dict[str, Any]:
        return told(event, order, "sell", client_order_id=f"tb1{PROTECT}{order}", **others)

    bought = told("fill", "one", "buy", position="4", status="filled", filled_qty="4")
    held = [told("order_accepted", "one", "buy"), bought]
    pair, stop = sells("order_accepted", "pair"), sells("order_new", "stop", parent_id="pair", stop_price="9")
    tighter = sells("order_accepted", "tighter", replaces="stop", parent_id="pair", stop_price="9.5")
    assert doubles([*held, pair, stop, tighter, sells("order_accepted", "leaving", replaces="pair")]) == []
    plain = sells("order_accepted", "plain") | {"client_order_id": "tb1.CLOSE.plain"}
    assert doubles([*held, pair, stop, plain]) == ["tb1.CLOSE.plain"]
    assert doubles([*held, pair, stop, sells("order_accepted", "twin")]) == [f"tb1{PROTECT}twin"]
    halves = [{**line, "qty": "2"} for line in (pair, stop, sells("order_accepted", "other"))]
    assert doubles([*held, *halves]) == []
    ended = [{**line, "status": "canceled"} for line in (pair, stop)]
    assert doubles([*held, pair, stop, *ended, plain]) == []
    both = [sells("fill", "pair", position="0", status="filled"), sells("fill", "stop", position="-4", status="filled")]
    assert doubles([*held, pair, stop, *both]) == [f"tb1{PROTECT}stop"]
