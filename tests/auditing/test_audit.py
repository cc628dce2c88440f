"""The audit: every state from its evidence, nothing looked at is not ok, and what to do first."""

from collections.abc import Mapping
from dataclasses import replace
from datetime import timedelta
from decimal import Decimal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.builders import (
    DAY,
    EXITS,
    HALTS,
    LIMITS,
    NOW,
    SECTORS,
    SESSION,
    account,
    ago,
    book,
    limits,
    quote,
    venue_clock,
)
from tradebot.auditing.audit import audit
from tradebot.auditing.evidence import (
    Answers,
    Backups,
    Broker,
    Evidence,
    JobRun,
    Journal,
    Moment,
    Passes,
    Silence,
    Watched,
)
from tradebot.auditing.items import Area, Item, Look, State, judged, ranked, span
from tradebot.auditing.leaps import Leap
from tradebot.model.account import BrokerView
from tradebot.model.candidate import Candidate, Purpose, Side
from tradebot.model.decision import Decision, Gate, Verdict
from tradebot.model.desk import OwnOrder, Stake
from tradebot.model.instrument import AssetClass, Instrument
from tradebot.model.intent import Intent, IntentKey, IntentRecord, IntentState, Operation
from tradebot.model.lifecycle import State as LifeState
from tradebot.model.order import Fill, Order, OrderStatus, OrderType, TimeInForce
from tradebot.model.position import Kept, OwnedFill
from tradebot.model.reasons import Reason
from tradebot.model.record import CandidateRecord, CycleRecord, Job
from tradebot.model.totals import Totals
from tradebot.model.trading import Mode, Permission, ReconcileMark, TradingState, TradingStateRecord
from tradebot.ports.world import OwnRules, Rules
from tradebot.reconciliation.findings import Finding, FindingKind

LEFT_OUT = Silence("left out: --offline", None, on_request=True)
AFTER_CLOSE = Moment(SESSION.close + timedelta(hours=3), SESSION.open, SESSION)
POLL = {"flow_alerts": 240, "market_tide": 240}
RULES = Rules(Mode.SANDBOX, ("AAPL", "MSFT"), SECTORS, LIMITS, HALTS, EXITS, POLL)
BOUGHT = OwnedFill("flow", Fill("a1", "v0", "AAPL", Side.BUY, Decimal(10), Decimal(100), ago(600)))
HELD = Totals.of([BOUGHT]).positions["flow", "AAPL"]
BLOCKED = BrokerView(account(blocked=("trading_blocked",)), (), ())
ALERTS = Answers("flow_alerts", 2, 2, ago(120), ago(60), 4, 100, 0, 3)


def cycle(job: Job, *records: CandidateRecord, refused: Decision | None = None) -> CycleRecord:
    return CycleRecord(f"{job}.1", job, DAY, "open+27m", ago(120), "sandbox", records, refused)


def exit_record(*decisions: Decision) -> CandidateRecord:
    closing = Candidate("flow", Instrument("AAPL"), Side.SELL, Purpose.CLOSE, ago(120), source="exit")
    return CandidateRecord(closing, decisions)


def scored(coverage: float) -> CandidateRecord:
    return CandidateRecord(Candidate("flow", Instrument("AAPL"), Side.BUY, Purpose.OPEN, ago(120), 0.3, coverage), ())


def broker(**changes: object) -> Broker:
    usual = Broker(
        clock=venue_clock(),
        view=BrokerView(account(), (), ()),
        book=book(exposure={"AAPL": Decimal(1_000)}, sector_exposure={"technology": Decimal(1_000)}),
        findings=(),
        unapplied=0,
        quotes={symbol: quote(symbol) for symbol in RULES.universe},
        asked_quotes=2,
        rejected_quotes={},
    )
    return replace(usual, **changes)  # type: ignore[arg-type]


def run(job: Job, missed: int = 0) -> JobRun:
    return JobRun(job, 6, missed, ago(120), "open+27m", "user/1")


def healthy(**changes: object) -> Evidence:
    hold = Decision(Gate.EXIT, Verdict.FAIL, Reason.HOLD, 0.01, 0.03)
    usual = Evidence(
        moment=Moment(NOW, SESSION.open, SESSION),
        rules=RULES,
        settings=100,
        calendar_until=DAY + timedelta(days=60),
        sessions=42,
        serving="serve, process 7, since 14:30",
        jobs=tuple(run(job) for job in Job),
        data=(ALERTS,),
        score=cycle(Job.SCORE, scored(0.9)),
        passes=Passes((cycle(Job.TRADE_ONCE),), 10, {Reason.COOLDOWN: 9}),
        exits=cycle(Job.EVALUATE_EXITS, exit_record(hold)),
        events=Watched(3, ago(60), {}, 0),
        permission=Permission(),
        state=TradingStateRecord(TradingState.ACTIVE, "init", "armed", ago(3600)),
        mark=ReconcileMark(ago(60), 0, 0),
        fills=1,
        newest_fill=ago(600),
        positions=(HELD,),
        kept={},
        intents={IntentState.ACKED: 1},
        rejected=0,
        working=(),
        unresolved=(),
        journal=Journal(3, 2, 0, 0),
        backups=Backups(2, {}),
        broker=broker(),
    )
    return replace(usual, **changes)  # type: ignore[arg-type]


def intent_record(age_s: float, state: IntentState = IntentState.ACKED) -> IntentRecord:
    key = IntentKey("TEST00001", "flow", DAY, "open+5m", "MSFT", Side.BUY, Purpose.OPEN)
    intent = Intent(
        key, "tb1.id", Operation.SUBMIT, Purpose.OPEN, Instrument("MSFT"), Side.BUY, Decimal(1), OrderType.LIMIT,
        Decimal(10), TimeInForce.DAY, "c", ago(age_s),
    )  # fmt: skip
    return IntentRecord(intent, state, None, None, ago(age_s))


def order(status: OrderStatus = OrderStatus.NEW) -> Order:
    return Order(
        "v1", "tb1.id", "MSFT", AssetClass.US_EQUITY, Side.BUY, Decimal(1), Decimal(0), None, OrderType.LIMIT,
        Decimal(10), TimeInForce.DAY, status, ago(60), ago(60),
    )  # fmt: skip


def found(evidence: Evidence) -> Mapping[str, Item]:
    return {item.name: item for item in audit(evidence).items}


def test_a_healthy_bot_has_nothing_to_do_and_shows_evidence_for_each_item() -> None:
    result = audit(healthy())
    assert result.findings == ()
    assert all(item.count and item.state is State.OK for item in result.items)
    assert len({item.name for item in result.items}) == len(result.items)


def test_a_strategy_beyond_a_limit_of_its_own_is_found_by_name_where_the_account_is_not() -> None:
    own = {
        "flow": OwnRules((), limits(max_symbol_fraction=Decimal("0.10")), Decimal("0.75")),
        "other": OwnRules((), limits(max_open_positions=5), Decimal("0.25")),
    }
    parts = (
        Stake("flow", "AAPL", Side.BUY, Decimal(7_600), held=True),
        Stake("other", "AAPL", Side.BUY, Decimal(1_000), held=True),
    )
    whole = book(exposure={"AAPL": Decimal(8_600)}, sector_exposure={}, gross=Decimal(8_600), stakes=parts)
    items = found(healthy(rules=replace(RULES, own=own), broker=broker(book=whole)))
    assert items["symbol_notional"].state is State.OK
    assert items["own_symbol_notional"].state is State.FAIL
    assert items["own_symbol_notional"].found.startswith("1 over the limit, flow AAPL 0.1013 against 0.1: ")
    assert (items["own_gross_notional"].state, items["own_open_positions"].state) == (State.OK, State.OK)


def test_wants_of_a_strategy_that_reads_no_flow_are_not_short_of_data() -> None:
    alone = Candidate("bars", Instrument("AAPL"), Side.BUY, Purpose.OPEN, ago(120), 0.3, None)
    item = found(healthy(score=cycle(Job.SCORE, CandidateRecord(alone, ()))))["last scores"]
    assert (item.state, item.found) == (State.OK, "0 symbols with less than 60% of the data")


def test_nothing_looked_at_can_never_be_made_ok() -> None:
    with pytest.raises(AssertionError, match="nothing looked at"):
        judged((Area.BOOKS, "anything"), Look("rows", 0), NOW, State.OK, "all is well")


CHANGES: dict[str, tuple[dict[str, object], State, str]] = {
    "serve": (
        {"serving": None, "jobs": tuple(run(job, 5) for job in Job)},
        State.WARN,
        "nothing else runs fetch-flow, score",
    ),
    "reconcile": ({"jobs": (run(Job.RECONCILE, 1),)}, State.WARN, "1 of 6 slots missed since"),
    "evaluate-exits": ({"jobs": (run(Job.EVALUATE_EXITS, 3),)}, State.FAIL, "3 of 6 slots missed since"),
    "score": ({"jobs": (JobRun(Job.SCORE, 6, 6, None, None, None),)}, State.UNKNOWN, "never ran; 6 slots came due"),
    "market session": ({"broker": broker(clock=venue_clock(is_open=False))}, State.FAIL, "the broker says closed"),
    "calendar": ({"calendar_until": DAY + timedelta(days=6)}, State.WARN, "6 days ahead"),
    "configuration": ({"rules": replace(RULES, universe=("AAPL", "ZZZ"))}, State.WARN, "1 of 2 symbols have no sector"),
    "flow_alerts": ({"data": (replace(ALERTS, oldest=ago(901)),)}, State.FAIL, "oldest 15 min of 15 min"),
    "quotes": ({"broker": broker(quotes={"AAPL": quote(at=ago(121))})}, State.WARN, "1 absent, 1 older"),
    "last scores": ({"score": cycle(Job.SCORE, scored(0.5))}, State.WARN, "1 symbol with less than 60%"),
    "passes of trade-once": (
        {
            "passes": Passes(
                (cycle(Job.TRADE_ONCE, refused=Decision(Gate.JOB, Verdict.FAIL, Reason.CALENDAR_DISAGREES)),), 0, {}
            )
        },
        State.FAIL,
        "1 refused entirely, last by CALENDAR_DISAGREES",
    ),
    "reasons of refusal": (
        {"passes": Passes((cycle(Job.TRADE_ONCE),), 1010, {Reason.COOLDOWN: 7, Reason.FLOW_STALE: 1003})},
        State.WARN,
        "1,003 FLOW_STALE",
    ),
    "recent events": (
        {"events": Watched(9, NOW, {"venue answer_differs": 2}, 0)},
        State.WARN,
        "venue answer_differs (2 times)",
    ),
    "permission": (
        {"permission": Permission(((Reason.LIVE_NOT_ARMED, "mode live"),))},
        State.WARN,
        "no orders are sent, including exits",
    ),
    "trading state": (
        {"state": TradingStateRecord(TradingState.REDUCE_ONLY, "", "ARMED is absent", None)},
        State.FAIL,
        "nobody set this",
    ),
    "own positions": (
        {"broker": broker(leaps=(Leap("flow", "AAPL", LifeState.CLOSED, LifeState.OPEN),))},
        State.FAIL,
        "impossible by the broker's last fills: AAPL of flow was closed and is open",
    ),
    "exits as recorded": ({"exits": None}, State.FAIL, "nothing watches them"),
    "exits at quotes": ({"broker": broker(quotes={"AAPL": quote(bid="97", ask="97.1")})}, State.WARN, "AAPL STOP_LOSS"),
    "gross_notional": ({"broker": broker(book=book(gross=Decimal(60_001)))}, State.FAIL, "1 over the limit, 0.6"),
    "symbol_notional": (
        {"broker": broker(book=book(exposure={"AAPL": Decimal(9), "MSFT": Decimal(20_000)}))},
        State.FAIL,
        "1 over the limit, MSFT 0.2 against 0.1",
    ),
    "daily_loss": ({"broker": broker(book=book(day_loss=Decimal(5_000)))}, State.FAIL, "1 over the limit"),
    "working orders": ({"working": ((order(), intent_record(800)),)}, State.WARN, "1 should have ended: MSFT tb1.id"),
    "unresolved intents": (
        {"unresolved": (intent_record(400, IntentState.UNKNOWN),)},
        State.FAIL,
        "1 with an unknown outcome, the oldest (MSFT) for 7 min",
    ),
    "backups": (
        {"backups": Backups(2, {"b1": "a part is lost"})},
        State.FAIL,
        "1 can't be restored intact; b1: a part",
    ),
    "ledger against journal": (
        {"journal": Journal(3, 2, 1, 0)},
        State.FAIL,
        "1 of 2 ledger rows don't match the journal",
    ),
    "ledger against broker": (
        {"broker": broker(findings=(Finding(FindingKind.PHANTOM, "AAPL", Decimal(10), None),))},
        State.FAIL,
        "1 difference, 1 blocking entries; AAPL",
    ),
    "last reconcile": ({"mark": None}, State.UNKNOWN, "never been compared"),
}


@pytest.mark.parametrize("name", CHANGES)
def test_each_thing_that_is_wrong_is_a_finding_with_its_numbers_and_a_command(name: str) -> None:
    changes, state, words = CHANGES[name]
    result = audit(healthy(**changes))
    item = next(item for item in result.items if item.name == name)
    assert item.state is state
    assert words in item.found
    assert item in result.findings
    assert item.command is not None
    assert item.command.startswith("tradebot ")


@pytest.mark.parametrize(
    ("changes", "name", "state"),
    [
        ({"journal": Journal(3, 2, 0, 1)}, "ledger against journal", State.OK),
        ({"backups": Backups(0, {})}, "backups", State.UNKNOWN),
        ({"journal": Journal(0, 0, 0, 0, "The chain is broken.")}, "ledger against journal", State.FAIL),
        ({"unresolved": (intent_record(100, IntentState.UNKNOWN),)}, "unresolved intents", State.WARN),
        ({"working": ((order(), intent_record(300)),)}, "working orders", State.OK),
        ({"working": ((order(OrderStatus.UNKNOWN), None),)}, "working orders", State.WARN),
        ({"rejected": 2}, "working orders", State.WARN),
        ({"mark": ReconcileMark(ago(3_000), 0, 0)}, "last reconcile", State.FAIL),
        ({"mark": ReconcileMark(ago(60), 1, 2)}, "last reconcile", State.FAIL),
        ({"mark": ReconcileMark(ago(-6), 0, 0)}, "last reconcile", State.FAIL),
        ({"mark": ReconcileMark(ago(-5), 0, 0)}, "last reconcile", State.OK),
        ({"broker": broker(view=BrokerView(account(), (), (), 1))}, "ledger against broker", State.FAIL),
        ({"broker": broker(quotes={})}, "quotes", State.FAIL),
        ({"data": (replace(ALERTS, foreign=30),)}, "flow_alerts", State.FAIL),
        ({"data": (replace(ALERTS, endpoint="market_tide", foreign=30),)}, "market_tide", State.WARN),
        ({"data": (replace(ALERTS, answered=1),)}, "flow_alerts", State.FAIL),
        ({"calendar_until": None}, "calendar", State.UNKNOWN),
        ({"events": Watched(9, NOW, {"serve job_fault": 1}, 1)}, "recent events", State.FAIL),
        ({"broker": broker(view=BLOCKED)}, "permission", State.WARN),
    ],
)  # fmt: skip
def test_other_evidence_is_judged_too(changes: dict[str, object], name: str, state: State) -> None:
    assert found(healthy(**changes))[name].state is state


def test_an_exit_that_could_not_go_out_is_a_failure_with_its_reason() -> None:
    gone = exit_record(
        Decision(Gate.EXIT, Verdict.PASS, Reason.STOP_LOSS), Decision(Gate.SEND, Verdict.FAIL, Reason.VENUE_REJECTED)
    )
    item = found(healthy(exits=cycle(Job.EVALUATE_EXITS, gone)))["exits as recorded"]
    assert item.state is State.FAIL
    assert "AAPL ended at VENUE_REJECTED" in item.found


def test_a_position_of_other_shares_than_the_brokers_is_not_judged_by_its_price() -> None:
    halved = broker(quotes={"AAPL": quote(bid="50", ask="50.1")}, position_ratios={"AAPL": Decimal(2)})
    item = found(healthy(broker=halved, kept={("flow", "AAPL"): Kept(Decimal(100))}))["exits at quotes"]
    assert (item.state, item.found) == (State.FAIL, "can't be judged: AAPL")


def test_a_position_that_the_last_pass_did_not_look_at_is_unwatched() -> None:
    item = found(healthy(exits=cycle(Job.EVALUATE_EXITS)))["exits as recorded"]
    assert (item.state, item.found) == (State.FAIL, "not looked at: AAPL")


def test_a_position_beyond_its_stop_is_no_finding_once_its_exit_is_out() -> None:
    beyond = {"AAPL": quote(bid="97", ask="97.1"), "MSFT": quote("MSFT")}
    busy = broker(quotes=beyond, book=book(own_orders=(OwnOrder("flow", "AAPL", Side.SELL),)))
    assert found(healthy(broker=busy))["exits at quotes"].state is State.OK


def test_offline_the_brokers_items_are_unknown_and_no_findings() -> None:
    result = audit(healthy(broker=LEFT_OUT))
    assert result.findings == ()
    assert {i.name for i in result.items if i.left_out} == {
        "market session", "quotes", "exits at quotes", "limits on the book", "ledger against broker",
    }  # fmt: skip
    assert {i.state for i in result.items if i.left_out} == {State.UNKNOWN}


def test_a_broker_that_does_not_answer_fails_what_only_it_could_tell() -> None:
    silence = Silence("the keys were refused", "tradebot doctor", on_request=False)
    failed = [item for item in audit(healthy(broker=silence)).findings if item.state is State.FAIL]
    assert {item.found for item in failed} == {"the keys were refused"}
    assert len(failed) == 5


def test_after_the_close_nothing_has_gone_stale_since() -> None:
    closed = {"moment": AFTER_CLOSE, "broker": broker(clock=venue_clock(AFTER_CLOSE.now, is_open=False))}
    at_close = SESSION.close - timedelta(minutes=2)
    late = healthy(
        **closed, mark=ReconcileMark(at_close, 0, 0), data=(replace(ALERTS, oldest=at_close, newest=at_close),)
    )
    assert audit(late).findings == ()


def test_a_comparison_made_after_the_close_is_not_from_the_future() -> None:
    closed = {"moment": AFTER_CLOSE, "broker": broker(clock=venue_clock(AFTER_CLOSE.now, is_open=False))}
    since_close = healthy(**closed, mark=ReconcileMark(AFTER_CLOSE.now, 0, 0))
    assert found(since_close)["last reconcile"].state is State.OK


def test_findings_are_ranked_failures_first_then_money_before_signals() -> None:
    wrong = healthy(
        mark=None, score=None, journal=Journal(3, 2, 1, 0), data=(replace(ALERTS, oldest=ago(901)),), rejected=1
    )
    assert [item.name for item in audit(wrong).findings] == [
        "ledger against journal", "flow_alerts", "last reconcile", "last scores", "working orders",
    ]  # fmt: skip


@settings(max_examples=50)
@given(st.lists(st.tuples(st.sampled_from(Area), st.sampled_from(State)), max_size=12))
def test_ranking_loses_no_finding_and_adds_none(places: list[tuple[Area, State]]) -> None:
    items = [judged((area, str(n)), Look("rows", 1), NOW, state, "") for n, (area, state) in enumerate(places)]
    order_of = [State.FAIL, State.UNKNOWN, State.WARN]
    result = ranked(items)
    assert sorted(item.name for item in result) == sorted(item.name for item in items if item.state is not State.OK)
    assert [order_of.index(item.state) for item in result] == sorted(order_of.index(item.state) for item in result)


@pytest.mark.parametrize(
    ("seconds", "words"), [(0, "0 s"), (89, "89 s"), (90, "2 min"), (5_400, "1.5 h"), (172_800, "2 days")]
)
def test_a_length_of_time_is_told_as_a_person_says_it(seconds: float, words: str) -> None:
    assert span(seconds) == words
