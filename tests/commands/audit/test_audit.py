"""`tradebot audit`: evidence for each thing, findings ranked with their commands, nothing changed.

What `tradebot audit` reads: which jobs had a slot in its span.
"""

import json
import re
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from commands.audit.audit_inputs import due_in
from papervenue import process
from tests.kit.bot.folder import UNIVERSE, Bot, order_by_hand, second_session
from tests.kit.core.evidence import past, slot
from tests.kit.values import SESSION
from tradebot.adapters.state.events import JsonlEvents
from tradebot.adapters.state.state_folder import EVENTS
from tradebot.judging.evidence import TradingMoment
from tradebot.model.bar import Session
from tradebot.model.event import NEED_NOBODY, EventKind
from tradebot.model.record import Job
from tradebot.model.struct_tools import replace


def item(data: Any, name: str) -> Any:
    (found,) = (row for row in data["judgments"] if row["subject"] == name)
    return found


def findings(data: Any) -> dict[str, str]:
    return {row["subject"]: row["next"] for row in data["findings"]}


def test_audit_screen_lists_commands_most_urgent_first(bot: Bot) -> None:
    said = bot.says("audit")
    shown = bot.shown("audit").splitlines()
    assert said.code == 10
    assert shown[0] == "Audit of sandbox, account …TAIL, at 2026-11-16 09:00:00 ET"
    ranks = [line.split(". ")[1] for line in shown if re.match(r"^ \d+\. ", line)]
    assert ranks[0] == "tradebot reconcile"
    assert "tradebot fetch-flow" in ranks


def test_what_a_person_did_and_what_has_ended_need_nobody(copy: Bot) -> None:
    events = JsonlEvents(copy.folder / EVENTS)
    for kind in (*NEED_NOBODY, EventKind.MISSED_CANDIDATE, EventKind.COUNTER_SIGNAL):
        events.emit(kind.at(datetime.now(UTC), {}))
    assert item(copy.says("audit", "--offline", "--json").data, "recent events")["state"] == "OK"
    events.emit(EventKind.PROTECTION_GAP.at(datetime.now(UTC), {}))
    found = item(copy.says("audit", "--offline", "--json").data, "recent events")
    assert (found["state"], found["found"]) == ("DEGRADED", "orders protection_gap (1 time)")


def test_audit_judges_a_trading_bot_by_books_and_broker(bot: Bot) -> None:
    second_session(bot)
    bot.does("trade-once", "exchange tick 2m")
    bot.does("evaluate-exits", "score", "reconcile")
    data = bot.json("audit")
    good = ("journal", "money rows", "ledger against broker", "books", "exits as recorded", "exits at quotes")
    assert {name: item(data, name)["state"] for name in (*good, "gross_notional", "daily_loss")} == dict.fromkeys(
        (*good, "gross_notional", "daily_loss"), "OK"
    )
    assert item(data, "own positions")["count"] > 0
    assert item(data, "passes of trade-once")["count"] == 1
    assert item(data, "flow_alerts")["count"] == 4
    kind = next(kind for kind in bot.json("signals")["kinds"] if kind["name"] == "flow_alerts")
    assert f"; {kind['rows']:,} rows, {kind['bad']:,} bad" in item(data, "flow_alerts")["found"]
    assert [row["state"] for row in data["findings"]] == sorted(
        (row["state"] for row in data["findings"]), key=["FAILED", "UNKNOWN", "DEGRADED"].index
    )


def test_offline_audit_skips_the_broker_and_starts_no_exchange(copy: Bot) -> None:
    said = copy.says("audit", "--offline", "--json")
    assert process.running_endpoint(copy.folder / "exchange") is None
    left_out = {row["subject"] for row in said.data["judgments"] if row["state"] == "SKIPPED"}
    assert {"ledger against broker", "quotes", "limits on the book"} <= left_out
    assert said.data["broker_asked"] is False
    assert not left_out & set(findings(said.data))
    assert "the broker was not queried" in copy.says("audit", "--offline").out


def test_audit_counts_a_foreign_position_as_a_difference_and_in_the_limits(bot: Bot) -> None:
    held = {row["symbol"] for row in bot.json("status")["positions"]}
    before = item(bot.json("audit"), "symbol_notional")["count"]
    order_by_hand(bot.url, min(set(UNIVERSE.split(",")) - held), "10", "by-hand")
    bot.says("exchange", "tick", "1m")
    data = bot.json("audit")
    assert item(data, "ledger against broker")["state"] in ("DEGRADED", "FAILED")
    assert findings(data)["ledger against broker"] == "tradebot reconcile"
    assert item(data, "symbol_notional")["count"] == before + 1


def test_audit_continues_if_the_broker_does_not_answer(copy: Bot) -> None:
    said = copy.says("audit", "--json")
    assert said.code == 10
    assert item(said.data, "ledger against broker")["state"] == "FAILED"
    assert item(said.data, "money rows")["state"] == "OK"


def test_audit_refuses_an_unreadable_span(bot: Bot) -> None:
    said = bot.says("audit", "--since", "soon", "--json")
    assert said.code == 2
    assert json.loads(said.out)["error"]["message"] == "can't read 'soon' as a time span"


@pytest.mark.parametrize(("apart", "due"), [(timedelta(0), []), (timedelta(hours=17), [Job.TRADE_ONCE])])
def test_where_sessions_touch_slots_of_the_one_before_are_not_due_in_the_new(apart: timedelta, due: list[Job]) -> None:
    begun = SESSION.close + apart
    after = Session(SESSION.date + timedelta(days=1), begun, begun + timedelta(days=1))
    known = past(sessions=(SESSION, after), due={Job.TRADE_ONCE: (slot(Job.TRADE_ONCE, "open+5m", 60),)})
    assert due_in(known, TradingMoment(begun, begun, after)) == due
    own = replace(known, due={Job.TRADE_ONCE: (replace(slot(Job.TRADE_ONCE, "open+5m", 0), session=after.date),)})
    assert due_in(own, TradingMoment(begun, begun, after)) == [Job.TRADE_ONCE]
