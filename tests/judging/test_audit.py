"""The audit: every state from its evidence, without evidence is not ok, and what to do first."""

from collections.abc import Mapping
from decimal import Decimal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.kit.core.evidence import at
from tests.kit.values import (
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
    instrument,
    limits,
    margined,
    new_intent,
    quote,
    venue_clock,
)
from tradebot.judging.audit import audit
from tradebot.judging.evidence import (
    Broker,
    ImpossibleChange,
    PassEvidence,
    RowEvidence,
    Trading,
    TradingMoment,
    UnreadablePart,
    WatchedEvents,
)
from tradebot.judging.judgment import Examination, HealthState, Judgment, judge_evidence, rank_judgments
from tradebot.judging.pass_health import FINISHED, TABLE, judge_passes
from tradebot.judging.signal_health import KindHealth, SignalHealth
from tradebot.model.account import BrokerView
from tradebot.model.candidate import Candidate, Purpose, Side
from tradebot.model.decision import Decision, Gate, Verdict
from tradebot.model.desk import StrategyExposure, StrategyOrder
from tradebot.model.finding import Finding, FindingKind
from tradebot.model.instrument import AssetClass
from tradebot.model.intent import IntentKey, IntentRecord, IntentState
from tradebot.model.lifecycle import State as LifeState
from tradebot.model.limits import StrategyRules
from tradebot.model.order import Fill, Order, OrderStatus, OrderType, TimeInForce
from tradebot.model.position import EntryTerms, OwnedFill
from tradebot.model.reasons import Reason
from tradebot.model.record import CandidateRecord, CycleRecord, Job
from tradebot.model.sentences import span
from tradebot.model.struct_tools import replace
from tradebot.model.totals import Totals
from tradebot.model.trading import Mode, Permission, TradingState, TradingStateRecord
from tradebot.ports.world import Rules

OK, FAILED, DEGRADED = HealthState.OK, HealthState.FAILED, HealthState.DEGRADED
UNKNOWN, SKIPPED = HealthState.UNKNOWN, HealthState.SKIPPED
POLL = {"flow_alerts": 240, "market_tide": 240}
RULES = Rules(Mode.SANDBOX, ("AAPL", "MSFT"), SECTORS, LIMITS, HALTS, EXITS, POLL)
BOUGHT = OwnedFill("flow", Fill("a1", "v0", "AAPL", Side.BUY, Decimal(10), Decimal(100), ago(600)))
HELD = Totals.of([BOUGHT]).positions["flow", "AAPL"]
BLOCKED = BrokerView(account(blocked=("trading_blocked",)), (), ())
ALERTS = KindHealth(
    "flow_alerts", True, SignalHealth.HEALTHY, "fresh", False, ago(60), 120, 900, 2, 2, 100, 1.0, 0.0, 3, 0, ()
)
BROKEN = replace(ALERTS, state=SignalHealth.CRITICAL, why="too old")


ON_MARGIN = limits(max_margin_fraction="0.5", min_liquidation_fraction="0.1")


def cycle(job: Job, *records: CandidateRecord, refused: Decision | None = None) -> CycleRecord:
    return CycleRecord(f"{job}.1", job, DAY, "open+27m", ago(120), "sandbox", records, refused)


def exit_record(*decisions: Decision) -> CandidateRecord:
    closing = Candidate("flow", instrument("AAPL"), Side.SELL, Purpose.CLOSE, ago(120), source="exit")
    return CandidateRecord(closing, decisions)


def scored(coverage: float) -> CandidateRecord:
    return CandidateRecord(Candidate("flow", instrument("AAPL"), Side.BUY, Purpose.OPEN, ago(120), 0.3, coverage), ())


def broker(**changes: object) -> Broker:
    usual = Broker(
        clock=venue_clock(),
        view=BrokerView(account(), (), ()),
        totals=Totals.of([BOUGHT]),
        proven=(),
        book=book(exposure={"AAPL": Decimal(1_000)}, sector_exposure={"technology": Decimal(1_000)}),
        findings=(),
        unapplied=0,
        quotes={symbol: quote(symbol) for symbol in RULES.universe},
        asked_quotes=2,
        rejected_quotes={},
    )
    return replace(usual, **changes)  # type: ignore[arg-type]


def healthy(**changes: object) -> Trading:
    hold = Decision(Gate.EXIT, Verdict.FAIL, Reason.HOLD, 0.01, 0.03)
    usual = Trading(
        moment=TradingMoment(NOW, SESSION.open, SESSION),
        rules=RULES,
        due=list(Job),
        kinds=(ALERTS,),
        score=cycle(Job.SCORE, scored(0.9)),
        passes=PassEvidence((cycle(Job.TRADE_ONCE),), 10, {Reason.COOLDOWN: 9}),
        exits=cycle(Job.EVALUATE_EXITS, exit_record(hold)),
        events=WatchedEvents(3, 0, {}, 0),
        permission=Permission(),
        state=TradingStateRecord(TradingState.ACTIVE, "init", "armed", ago(3600)),
        fills=1,
        newest_fill=ago(600),
        positions=(HELD,),
        kept={},
        intents={IntentState.ACKED: 1},
        rejected=0,
        working=(),
        rows=RowEvidence(3, 2, 0, 0),
        broker=broker(),
    )
    return replace(usual, **changes)  # type: ignore[arg-type]


def intent_record(age_s: float, state: IntentState = IntentState.ACKED) -> IntentRecord:
    key = IntentKey("TEST00001", "flow", DAY, "open+5m", "MSFT", Side.BUY, Purpose.OPEN)
    intent = new_intent(key, instrument("MSFT"), client_order_id="tb1.id", quantity=Decimal(1), at=ago(age_s))
    return IntentRecord(intent, state, None, None, ago(age_s))


def order(status: OrderStatus = OrderStatus.NEW) -> Order:
    return Order(
        "v1", "tb1.id", "MSFT", AssetClass.US_EQUITY, Side.BUY, Decimal(1), Decimal(0), None, OrderType.LIMIT,
        Decimal(10), TimeInForce.DAY, status, ago(60), ago(60),
    )  # fmt: skip


def judgments(seen: Trading) -> tuple[Judgment, ...]:
    return audit(at(NOW), seen)


def found(seen: Trading) -> Mapping[str, Judgment]:
    return {item.subject: item for item in judgments(seen)}


def test_audit_of_a_healthy_bot_has_evidence_for_each_item_and_no_finding() -> None:
    result = judgments(healthy())
    assert rank_judgments(result) == ()
    assert all(item.count and item.state is OK for item in result)
    assert len({item.subject for item in result}) == len(result)


def test_audit_names_a_strategy_beyond_its_own_limit() -> None:
    own = {
        "flow": StrategyRules((), limits(max_symbol_fraction=Decimal("0.10")), Decimal("0.75")),
        "other": StrategyRules((), limits(max_open_positions=5), Decimal("0.25")),
    }
    parts = (
        StrategyExposure("flow", "AAPL", Side.BUY, Decimal(7_600), held=True),
        StrategyExposure("other", "AAPL", Side.BUY, Decimal(1_000), held=True),
    )
    whole = book(exposure={"AAPL": Decimal(8_600)}, sector_exposure={}, gross=Decimal(8_600), stakes=parts)
    items = found(healthy(rules=replace(RULES, own=own), broker=broker(book=whole)))
    assert items["symbol_notional"].state is OK
    assert items["own_symbol_notional"].state is FAILED
    assert items["own_symbol_notional"].found.startswith("1 over the limit, flow AAPL 0.1013 against 0.1: ")
    assert (items["own_gross_notional"].state, items["own_open_positions"].state) == (OK, OK)


def test_scores_without_flow_are_not_short_of_data() -> None:
    alone = Candidate("bars", instrument("AAPL"), Side.BUY, Purpose.OPEN, ago(120), 0.3, None)
    item = found(healthy(score=cycle(Job.SCORE, CandidateRecord(alone, ()))))["last scores"]
    assert (item.state, item.found) == (OK, "0 symbols with less than 60% of the data that a score needs")


def test_judgment_without_evidence_cannot_be_ok() -> None:
    with pytest.raises(AssertionError, match="without evidence"):
        judge_evidence("anything", Examination("rows", 0), NOW, OK, "all is well")


CHANGES: dict[str, tuple[dict[str, object], HealthState, str]] = {
    "market session": (
        {"broker": broker(clock=venue_clock(is_open=False))},
        FAILED,
        "the broker says that the market is closed",
    ),
    "flow_alerts": ({"kinds": (BROKEN,)}, FAILED, "too old; oldest 2 min of 15 min"),
    "quotes": ({"broker": broker(quotes={"AAPL": quote(at=ago(121))})}, DEGRADED, "1 absent, 1 older"),
    "last scores": ({"score": cycle(Job.SCORE, scored(0.5))}, DEGRADED, "1 symbol with less than 60%"),
    "passes of trade-once": (
        {
            "passes": PassEvidence(
                (cycle(Job.TRADE_ONCE, refused=Decision(Gate.JOB, Verdict.FAIL, Reason.CALENDAR_DISAGREES)),), 0, {}
            )
        },
        FAILED,
        "1 pass refused entirely, the last by CALENDAR_DISAGREES",
    ),
    "reasons of refusal": (
        {"passes": PassEvidence((cycle(Job.TRADE_ONCE),), 1010, {Reason.COOLDOWN: 7, Reason.FLOW_STALE: 1003})},
        DEGRADED,
        "1,003 FLOW_STALE",
    ),
    "recent events": (
        {"events": WatchedEvents(9, 0, {"venue answer_differs": 2}, 0)},
        DEGRADED,
        "venue answer_differs (2 times)",
    ),
    "permission": (
        {"permission": Permission(((Reason.LIVE_NOT_ARMED, "mode live"),))},
        DEGRADED,
        "no orders are sent, including exits",
    ),
    "own positions": (
        {"broker": broker(leaps=(ImpossibleChange("flow", "AAPL", LifeState.CLOSED, LifeState.OPEN),))},
        FAILED,
        "impossible according to the broker's last fills: AAPL of flow was closed and is open",
    ),
    "exits as recorded": ({"exits": None}, FAILED, "nothing watches them"),
    "exits at quotes": ({"broker": broker(quotes={"AAPL": quote(bid="97", ask="97.1")})}, DEGRADED, "AAPL STOP_LOSS"),
    "gross_notional": ({"broker": broker(book=book(gross=Decimal(60_001)))}, FAILED, "1 over the limit, 0.6"),
    "symbol_notional": (
        {"broker": broker(book=book(exposure={"AAPL": Decimal(9), "MSFT": Decimal(20_000)}))},
        FAILED,
        "1 over the limit, MSFT 0.2 against 0.1",
    ),
    "initial_margin": (
        {"broker": broker(book=margined({"MSFT": "2600"})), "rules": replace(RULES, limits=ON_MARGIN)},
        FAILED,
        "1 over the limit, 0.52 against 0.5: The initial margin",
    ),
    "liquidation": (
        {"broker": broker(book=margined({"MSFT": "5500", "AAPL": "1"})), "rules": replace(RULES, limits=ON_MARGIN)},
        FAILED,
        "1 over the limit, MSFT 0.0909 against 0.1",
    ),
    "daily_loss": ({"broker": broker(book=book(day_loss=Decimal(5_000)))}, FAILED, "1 over the limit"),
    "working orders": ({"working": ((order(), intent_record(800)),)}, DEGRADED, "1 should have ended: MSFT tb1.id"),
    "money rows": ({"rows": RowEvidence(3, 2, 1, 0)}, FAILED, "1 of 2 ledger rows don't match the journal"),
    "ledger against broker": (
        {"broker": broker(findings=(Finding(FindingKind.PHANTOM, "AAPL", Decimal(10), None),))},
        FAILED,
        "1 difference, 1 blocking entries; AAPL",
    ),
}


@pytest.mark.parametrize("name", CHANGES)
def test_audit_finds_each_fault_with_its_numbers_and_a_command(name: str) -> None:
    changes, state, words = CHANGES[name]
    item = found(healthy(**changes))[name]
    assert item.state is state
    assert words in item.found
    assert item in rank_judgments(judgments(healthy(**changes)))
    assert "tradebot " in item.next


@pytest.mark.parametrize(
    ("changes", "name", "state"),
    [
        ({"rows": RowEvidence(3, 2, 0, 1)}, "money rows", OK),
        ({"rows": UnreadablePart("The chain is broken.", "tradebot recover")}, "money rows", FAILED),
        ({"working": ((order(), intent_record(300)),)}, "working orders", OK),
        ({"working": ((order(OrderStatus.UNKNOWN), None),)}, "working orders", DEGRADED),
        ({"rejected": 2}, "working orders", DEGRADED),
        ({"broker": broker(view=BrokerView(account(), (), (), 1))}, "ledger against broker", FAILED),
        ({"broker": broker(quotes={})}, "quotes", FAILED),
        ({"kinds": (replace(ALERTS, state=SignalHealth.DEGRADED),)}, "flow_alerts", DEGRADED),
        ({"kinds": (replace(BROKEN, name="market_tide", core=False),)}, "market_tide", DEGRADED),
        ({"kinds": (replace(ALERTS, state=SignalHealth.UNKNOWN, idle=True),)}, "flow_alerts", SKIPPED),
        ({"kinds": (replace(ALERTS, state=SignalHealth.UNKNOWN, answered=0),)}, "flow_alerts", UNKNOWN),
        ({"events": WatchedEvents(9, 0, {"serve job_fault": 1}, 1)}, "recent events", FAILED),
        ({"events": WatchedEvents(0, 1, {}, 0)}, "recent events", DEGRADED),
        ({"broker": broker(view=BLOCKED)}, "permission", DEGRADED),
    ],
)  # fmt: skip
def test_audit_judges_other_evidence(changes: dict[str, object], name: str, state: HealthState) -> None:
    assert found(healthy(**changes))[name].state is state


def test_audit_is_content_while_a_target_fills_at_the_broker() -> None:
    left = exit_record(Decision(Gate.EXIT, Verdict.FAIL, Reason.LEFT_TO_BROKER))
    assert found(healthy(exits=cycle(Job.EVALUATE_EXITS, left)))["exits as recorded"].state is OK


def test_audit_fails_an_exit_that_could_not_be_sent_with_its_reason() -> None:
    gone = exit_record(
        Decision(Gate.EXIT, Verdict.PASS, Reason.STOP_LOSS), Decision(Gate.SEND, Verdict.FAIL, Reason.VENUE_REJECTED)
    )
    item = found(healthy(exits=cycle(Job.EVALUATE_EXITS, gone)))["exits as recorded"]
    assert item.state is FAILED
    assert "AAPL ended at VENUE_REJECTED" in item.found


def test_position_with_other_shares_than_the_brokers_is_not_judged_by_price() -> None:
    halved = broker(quotes={"AAPL": quote(bid="50", ask="50.1")}, position_ratios={"AAPL": Decimal(2)})
    item = found(healthy(broker=halved, kept={("flow", "AAPL"): EntryTerms(Decimal(100))}))["exits at quotes"]
    assert (item.state, item.found) == (FAILED, "can't be judged: AAPL")


def test_position_missing_from_the_last_pass_is_unwatched() -> None:
    item = found(healthy(exits=cycle(Job.EVALUATE_EXITS)))["exits as recorded"]
    assert (item.state, item.found) == (FAILED, "not checked: AAPL")


def test_position_beyond_its_stop_is_no_finding_once_its_exit_is_sent() -> None:
    beyond = {"AAPL": quote(bid="97", ask="97.1"), "MSFT": quote("MSFT")}
    busy = broker(quotes=beyond, book=book(own_orders=(StrategyOrder("flow", "AAPL", Side.SELL),)))
    assert found(healthy(broker=busy))["exits at quotes"].state is OK


def test_offline_audit_skips_what_only_the_broker_knows() -> None:
    result = judgments(healthy(broker=None))
    assert rank_judgments(result) == ()
    assert {each.subject for each in result if each.state is SKIPPED} == {
        "market session", "quotes", "exits at quotes", "limits on the book", "ledger against broker",
    }  # fmt: skip


def test_unanswered_broker_fails_what_only_it_knows() -> None:
    silence = UnreadablePart("the keys were refused", "tradebot doctor")
    failed = [item for item in judgments(healthy(broker=silence)) if item.state is FAILED]
    assert {item.found for item in failed} == {"the keys were refused"}
    assert len(failed) == 5


def test_audit_of_a_backtest_judges_only_the_books() -> None:
    subjects = [each.subject for each in audit(at(NOW), healthy(), finished=True)]
    assert subjects == [*FINISHED, "money rows", "own positions", "working orders"]


def test_nothing_is_due_in_a_finished_backtest() -> None:
    judged = judge_passes(replace(at(NOW), finished=True))
    assert [each.subject for each in judged] == [*FINISHED]
    assert not any(each.state.is_finding for each in judged)


def test_audit_with_unreadable_books_judges_everything_else() -> None:
    *own, last = audit(at(NOW), UnreadablePart("The ledger is damaged.", "tradebot recover"))
    assert [each.subject for each in own] == list(TABLE)
    assert (last.state, last.found, last.next) == (FAILED, "The ledger is damaged.", "tradebot recover")


def test_findings_are_ranked_failures_first_then_money_before_signals() -> None:
    wrong = healthy(
        score=None, rows=RowEvidence(3, 2, 1, 0), kinds=(replace(ALERTS, state=SignalHealth.CRITICAL),), rejected=1
    )
    assert [item.subject for item in rank_judgments(judgments(wrong))] == [
        "money rows", "flow_alerts", "last scores", "working orders",
    ]  # fmt: skip


@settings(max_examples=50)
@given(st.lists(st.sampled_from(HealthState), max_size=12))
def test_ranking_loses_no_finding_and_adds_none(states: list[HealthState]) -> None:
    items = [
        judge_evidence(str(number), Examination("rows", 1), NOW, state, "", "do") for number, state in enumerate(states)
    ]
    order_of = [FAILED, UNKNOWN, DEGRADED]
    result = rank_judgments(items)
    assert sorted(item.subject for item in result) == sorted(i.subject for i in items if i.state in order_of)
    assert [order_of.index(item.state) for item in result] == sorted(order_of.index(item.state) for item in result)


@pytest.mark.parametrize(
    ("seconds", "words"), [(0, "0 s"), (89, "89 s"), (90, "2 min"), (5_400, "1.5 h"), (172_800, "2 days")]
)
def test_span_reads_like_a_person_says_it(seconds: float, words: str) -> None:
    assert span(seconds) == words
