"""A session in words: what decided, what it made beside SPY, what needs a person, and a message that fits."""

from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest

from tests.kit.values import NOW, trade
from tradebot.judging.judgment import HealthState, Judgment
from tradebot.model.bar import Session, WaitingStrategy
from tradebot.model.candidate import Side
from tradebot.model.decision import Decision, Gate, Verdict
from tradebot.model.flow import Quota
from tradebot.model.reasons import Reason
from tradebot.model.record import CycleRecord, Job
from tradebot.model.struct_tools import replace
from tradebot.model.trade import Trade
from tradebot.model.trading import Request
from tradebot.views.holdings import Holding, PositionProtection, StopRow
from tradebot.views.summary.values import PersonNeed, SessionRecords, Summary, SummaryMoney
from tradebot.views.summary.view import CLIPPED, SHORT, clip_line, summary

OPEN = NOW - timedelta(hours=5)
SESSION = Session(OPEN.date(), OPEN, OPEN + timedelta(hours=6.5))
ENTRIES = CycleRecord("one", Job.TRADE_ONCE, SESSION.date, "open+2m", NOW, "sandbox")
WELL = Judgment("books", HealthState.OK, "comparison", 1, "books and broker agree")
EMPTY: Any = dict.fromkeys(
    ("before", "opened", "closed", "holdings", "missed", "notes", "states", "accepted", "restarts"), ()
)
TIMES: Any = {"session": SESSION, "since": OPEN - timedelta(hours=17), "as_of": NOW, "is_first": False, "so_far": False}
DONE: Any = {"passes": (ENTRIES,), "ends": (0, {}), "money": None, "slots": 646, "judgments": (WELL,)}
SEEN = SessionRecords(**TIMES, **DONE, **EMPTY)
NOT_DUE = replace(ENTRIES, waiting=(WaitingStrategy("flow", None),))
FALLEN = Decision(Gate.MAX_DRAWDOWN, Verdict.FAIL, Reason.DRAWDOWN_STAYS, Decimal("0.1234"), Decimal("0.1"))
SHUT = replace(ENTRIES, closed=(FALLEN,))
OUTSIDE = replace(ENTRIES, job_decision=Decision(Gate.JOB, Verdict.FAIL, Reason.OUTSIDE_TIMETABLE))
CLOSED = (
    "Entries are blocked (equity is so far below its peak that nothing is opened, so it can't recover by itself, "
    "12.34% against 10.00%)."
)
MONEY = SummaryMoney(Decimal(100_000), Decimal(100_500), Decimal(0), 0.0125)


def told(data: Summary, title: str) -> str:
    return " ".join(line for one in data.sections if one.title == title for line in one.lines)


def refused(reason: Reason) -> Decision:
    return Decision(Gate.SESSION, Verdict.FAIL, reason)


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        (
            {"ends": (30, {Reason.SCORE_BELOW_MIN: 30})},
            "It sent no order, as designed. In 1 pass it evaluated 30 candidates and refused each, because the score "
            "is too weak.",
        ),
        (
            {"ends": (30, {Reason.SCORE_BELOW_MIN: 14, Reason.HALTED: 16})},
            "It sent no order, because something blocked it. In 1 pass it evaluated 30 candidates and refused 16 of "
            "them, because trading is halted",
        ),
        (
            {"passes": (replace(ENTRIES, job_decision=refused(Reason.VENUE_UNREACHABLE)),)},
            "It sent no order, because something is broken. 1 pass was refused as a whole: the broker or its data "
            "service didn't answer.",
        ),
        (
            {"passes": (ENTRIES, *[OUTSIDE] * 2), "ends": (20, {Reason.COOLDOWN: 19})},
            "In 1 pass it evaluated 20 candidates: 1 became an order, and the other 19 were refused. 2 passes were "
            "refused as a whole: the timetable has no slot for this job at this time.",
        ),
        (
            {"passes": (ENTRIES, OUTSIDE), "ends": (20, {Reason.COOLDOWN: 20})},
            "It sent no order, as designed. In 1 pass it evaluated 20 candidates and refused each, because ",
        ),
        ({"ends": (30, {Reason.COOLDOWN: 29})}, "30 candidates: 1 became an order, and the other 29 were refused."),
        (
            {"ends": (30, {Reason.COOLDOWN: 27, Reason.APPROVAL_WAITING: 2})},
            "30 candidates: 1 became an order, 2 waited for a person's approval, and the other 27 were refused.",
        ),
        (
            {"ends": (30, {Reason.COOLDOWN: 28, Reason.APPROVAL_WAITING: 2})},
            "30 candidates, 2 waited for a person's approval, and refused 28 of them, because ",
        ),
        (
            {"ends": (2, {Reason.APPROVAL_WAITING: 2})},
            "It sent no order: in 1 pass it evaluated 2 candidates, 2 waited for a person's approval.",
        ),
        ({"passes": ()}, "No pass looked for entries."),
        (
            {"passes": (replace(ENTRIES, job_decision=refused(Reason.MARKET_CLOSED)),)},
            "No pass looked for entries while the market was open.",
        ),
        ({"passes": (), "so_far": True}, "No pass has looked for entries yet."),
        ({"passes": (), "recorded": False}, ""),
        ({"passes": (NOT_DUE,)}, "It sent no order: flow was not due, in 1 pass."),
        ({}, "It sent no order: no strategy wanted any, in 1 pass."),
        (
            {"passes": (SHUT,), "ends": (30, {Reason.SCORE_BELOW_MIN: 30})},
            f"It sent no order, because something blocked it. {CLOSED} In 1 pass it evaluated 30 candidates and "
            "refused each, because the score is too weak.",
        ),
        ({"passes": (SHUT,)}, f"It sent no order: no strategy wanted any, in 1 pass. {CLOSED}"),
        ({"passes": (SHUT,), "ends": (1, {})}, f"1 candidate: 1 became an order. {CLOSED}"),
        ({"passes": (SHUT, ENTRIES), "ends": (1, {})}, "1 candidate: 1 became an order."),
    ],
)
def test_what_it_did_says_what_decided(change: dict[str, Any], sentence: str) -> None:
    found = told(summary(replace(SEEN, **change)), "What it did")
    assert sentence in found
    assert bool(sentence) is bool(found)


@pytest.mark.parametrize(
    ("why", "words"),
    [
        ("displaced_by_PF_SOLUSD", "by a swap for PF_SOLUSD"),
        ("stop_loss(-3%)+displaced_by_PF_SOLUSD", "by stop loss"),
        ("Done with it!", "by done with it!"),
    ],
)
def test_a_close_that_made_room_names_what_for(why: str, words: str) -> None:
    data = summary(replace(SEEN, closed=(trade(symbol="AAPL", reasons=(why,)),)))
    assert f" {words}, before fees." in told(data, "What it did")


def test_profit_stands_beside_spy_and_transfers_are_none() -> None:
    data = summary(replace(SEEN, money=replace(MONEY, transfers_usd=Decimal(200))))
    assert told(data, "Profit") == (
        "The account made +300.00 USD (+0.30%), besides +200.00 USD moved in or out, and is worth 100,500.00"
        " USD. SPY made +1.25%: the account is 0.95 percentage points behind."
    )
    assert "+300.00 USD (+0.30%) against SPY's +1.25%" in data.headline
    assert told(summary(SEEN), "Profit") == "No pass read the account's equity, so its profit isn't known."
    since = replace(MONEY, since=SESSION.date - timedelta(days=7), first_usd=Decimal(90_000), benchmark_since=0.1)
    assert "it made +11.67%, SPY +10.00%: the account is 1.67 percentage points ahead." in told(
        summary(replace(SEEN, money=since)), "Profit"
    )


def test_what_needs_a_person_comes_first_in_words_and_is_counted() -> None:
    ill = Judgment(
        "strategies", HealthState.FAILED, "strategies", 1, "flow is BROKEN (VENUE_UNREACHABLE) for 7,200 s", "do x"
    )
    unknown, idle, well = HealthState.UNKNOWN, HealthState.NOT_DUE, HealthState.OK
    others = {"flow": unknown, "broker": unknown, "backup": idle, "permission": well}
    rest = [Judgment(name, state, "x", 1, "nothing", "y" * state.is_finding) for name, state in others.items()]
    data = summary(replace(SEEN, judgments=(WELL, ill, *rest)))
    assert data.needs[0].what == (
        "Strategies: flow is broken (the broker or its data service didn't answer) for 2.0 h."
    )
    assert data.sections[0].title == "What needs you"
    assert data.headline.startswith(f"{SESSION.date:%A} {SESSION.date}: 2 things need you")
    assert data.needs[1:] == (PersonNeed("There is no evidence about flow and broker.", "tradebot health"),)
    # The permission is no part.
    assert told(data, "Health") == (
        "1 of 5 parts is OK, 1 not due yet. Not OK: strategies. No evidence about: flow and broker. "
        "Not due yet: backup."
    )
    assert told(summary(SEEN), "What needs you") == "Nothing."


def test_entries_that_wait_for_a_yes_need_a_person_first() -> None:
    until = NOW + timedelta(minutes=5)
    request = Request("spy-1", "flow", "SPY", Side.BUY, Decimal(3), *2 * (Decimal(400),), NOW.date(), "", NOW, until)
    ill = Judgment("flow", HealthState.FAILED, "flow", 1, "silent", "do x")
    one = summary(replace(SEEN, judgments=(ill,), waiting=(request,)))
    assert one.needs[0] == PersonNeed(
        f"1 entry waits for your approval until {until:%Y-%m-%d %H:%M} UTC: buy 3 SPY.", "tradebot approvals"
    )
    later = replace(request, symbol="QQQ", side=Side.SELL, expires_at=until + timedelta(minutes=1))
    two = summary(replace(SEEN, waiting=(request, later)))
    assert [need.what for need in two.needs] == [
        f"2 entries wait for your approval until {until:%Y-%m-%d %H:%M} UTC: buy 3 SPY, sell 3 QQQ."
    ]
    assert "waits for your approval" in one.short


def test_liquidation_needs_a_person_although_all_parts_are_well() -> None:
    liquidated = summary(replace(SEEN, liquidated=("PF_SOLUSD", "PF_XBTUSD")))
    text = "The broker liquidated positions in PF_SOLUSD and PF_XBTUSD, because margin ran out."
    assert (liquidated.needs[0], text in liquidated.short) == (PersonNeed(text, "tradebot trades"), True)


def test_missed_slots_are_told_by_reason_with_their_jobs() -> None:
    slots = (
        *(("score", f"open+{minute}m", "NOT_RUNNING") for minute in (2, 7)),
        ("audit", "close+10m", "it wasn't run"),
    )
    found = told(summary(replace(SEEN, missed=slots)), "Missed slots")
    assert "2 slots were missed: 2 of score, open+2m to open+7m. Nothing was running during this slot." in found
    assert "1 slot was missed: 1 of audit, close+10m. They weren't run" in found
    assert told(summary(SEEN), "Missed slots") == "None of 646 slots was missed."


def test_changes_name_what_came_what_went_and_new_code() -> None:
    def closed(symbol: str, hours: float) -> Trade:
        return trade(symbol=symbol, opened_at=NOW - timedelta(hours=hours), reasons=("stop_loss",))

    before, after = (replace(ENTRIES, code={"flow": digest, "old": "1"}) for digest in "ab")
    seen = replace(
        SEEN, opened=("AAPL",), closed=(closed("MSFT", 40), closed("AMD", 1)), before=(before,), passes=(after,)
    )
    assert summary(seen).changes == (
        "New position: AAPL.",
        "MSFT was held before and is closed.",
        "1 position was opened and closed again.",
        "The code of flow is new.",
    )
    assert summary(seen).closed[0].rule == "stop loss"


def test_stops_that_the_bot_watches_are_told_in_the_right_number() -> None:
    def held(symbol: str) -> Holding:
        stop = StopRow("stop_loss", Decimal(98), None, True, None, None)
        protection = PositionProtection(Decimal(0), (), "stop_loss", "not_placed", None)
        priced = (Decimal(100), NOW, Decimal(0), Decimal(0), None)
        bought = (Decimal(10), Decimal(100), Decimal(1_000), OPEN, 1.0)
        return Holding(symbol, "flow", *bought, *priced, (stop,), "stop_loss", "open", protection)

    one = told(summary(replace(SEEN, holdings=(held("AAPL"),))), "Positions")
    assert "It holds 1 position, +0.00 USD since it was opened." in one
    assert "The stop of AAPL doesn't rest at the broker; the bot itself watches it." in one
    two = told(summary(replace(SEEN, holdings=(held("AAPL"), held("JPM")))), "Positions")
    assert "It holds 2 positions, +0.00 USD together since they were opened." in two
    assert "The stops of AAPL and JPM don't rest at the broker; the bot itself watches them." in two


def test_quota_is_a_share_of_the_plan() -> None:
    fetch = replace(ENTRIES, job=Job.FETCH_FLOW, quota=Quota(5_000, 20_000, None))
    assert told(summary(replace(SEEN, passes=(fetch,))), "Flow source") == (
        f"5,000 calls were used by {NOW:%Y-%m-%d %H:%M} UTC, 25.0% of the 20,000 a day that the plan allows."
    )


def test_message_fits_and_begins_with_the_headline() -> None:
    ills = [
        Judgment(f"part {n}", HealthState.FAILED, "x", 1, f"{n} " + "word " * 60, "tradebot status") for n in range(30)
    ]
    data = summary(replace(SEEN, judgments=tuple(ills), ends=(30, {Reason.HALTED: 30}), money=MONEY))
    assert len(data.short) <= SHORT
    first, *rest = data.short.splitlines()
    assert first == data.headline
    assert "- 27 more; tradebot summary shows all." in rest
    assert any(line.startswith("It sent no order") for line in rest)


def test_nothing_needs_you_only_if_nothing_was_broken_and_all_can_be_told() -> None:
    broken = summary(replace(SEEN, ends=(3, {Reason.FLOW_STALE: 2, Reason.SCORE_BELOW_MIN: 1})))
    (need,) = broken.needs
    assert (need.what.startswith("2 candidates refused: "), need.next) == (True, "Run tradebot fetch-flow.")
    assert "All is well" not in broken.short
    assert "All is well" not in summary(replace(SEEN, unknown=("What was decided can't be read.",))).short
    assert "All is well" in summary(SEEN).short


def test_long_line_of_the_message_keeps_its_command_whole() -> None:
    line = clip_line("- Exits: " + "a stop was sent for 48 NVDA; " * 8, "tradebot positions")
    assert line.endswith("… Next: tradebot positions")
    assert len(line) <= CLIPPED
    assert clip_line("- All rest.", "tradebot positions") == "- All rest. Next: tradebot positions"
