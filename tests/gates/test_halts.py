"""What halts the bot, each rule at its edge, and what a person has accepted."""

from datetime import timedelta
from decimal import Decimal

import pytest

from tests.gates.test_entry import staked
from tests.kit.values import CASH, DAY, NOW, SESSION, ago, ask, book, desk, held, listing, margined
from tests.kit.values import HALTS as SHIPPED
from tradebot.gates.evaluation import decide
from tradebot.gates.halts import (
    BY_ITSELF,
    CLEARED_BY,
    causes_text,
    failing_rules,
    monitors,
    override_for,
    with_outcome,
)
from tradebot.model.decision import Decision, Gate, Verdict
from tradebot.model.desk import Desk, HaltEvidence
from tradebot.model.instrument import Rolling
from tradebot.model.reasons import Reason
from tradebot.model.struct_tools import replace
from tradebot.model.trading import Override, TradingState, TradingStateRecord

ROUND = Decimal(CASH)
SET = {"min_equity_usd": Decimal(70_000), "margin_fraction": Decimal("0.92"),
       "maintenance_fraction": Decimal("0.92"), "positions": 27,
       "symbol_fraction": Decimal("0.5")}  # fmt: skip
HALTS = SHIPPED.model_copy(update=SET)
"""The shipped rules, with those that are off."""
TROUBLED: dict[Reason, Desk] = {
    Reason.SECOND_WRITER: desk(halt_evidence=HaltEvidence(unknown_orders=("tb1.x",))),
    Reason.BOOKS_OLD: desk(halt_evidence=HaltEvidence(forgotten=("tb1.x",))),
    Reason.VENUE_DRIFT: desk(halt_evidence=HaltEvidence(unreadable=3)),
    Reason.REJECT_STORM: desk(halt_evidence=HaltEvidence(refused=5 * (ago(10),))),
    Reason.UNKNOWN_STORM: desk(halt_evidence=HaltEvidence(unanswered=5 * (ago(10),))),
    Reason.DAILY_LOSS_HALT: desk(book=book(equity=Decimal(96_000), day_loss=Decimal(4_000))),
    Reason.DRAWDOWN_REACHED: desk(book=book(equity=Decimal(90_000), peak_equity=ROUND)),
    Reason.EQUITY_FLOOR_HALT: desk(book=book(equity=Decimal(69_999))),
    Reason.MARGIN_HALT: desk(book=margined({"MSFT": "4000", "JPM": "1200"})),
    Reason.POSITIONS_HALT: desk(book=book(held=frozenset(map(str, range(26))), foreign=frozenset({"MSFT"}))),
    Reason.SYMBOL_HALT: desk(book=book(stakes=(staked(30_000), staked(20_000, strategy="other")))),
}


UNTROUBLED = [
    desk(book=book(held=frozenset(map(str, range(26))), working=frozenset({"MSFT"}))),
    desk(book=book(stakes=(staked(49_999), staked(49_999, "XOM"), staked(9_999, held=False)))),
]
"""Just below the limits on positions; what is only ordered doesn't count."""


@pytest.mark.parametrize("seen", UNTROUBLED)
def test_positions_below_their_number_and_size_halt_nothing(seen: Desk) -> None:
    assert failing_rules(seen, HALTS) == ()


def active(accepted: Override | None) -> TradingStateRecord:
    return TradingStateRecord(TradingState.ACTIVE, "ada", "known and meant", NOW, override=accepted)


def halted_for(desk: Desk, at_s: float = 5) -> TradingStateRecord:
    causes = failing_rules(desk, HALTS)
    named = frozenset(cause.reason for cause in causes if cause.reason)
    return TradingStateRecord(TradingState.REDUCE_ONLY, BY_ITSELF, causes_text(causes), ago(at_s), named)


def test_an_ordinary_desk_has_no_cause() -> None:
    assert failing_rules(desk(), HALTS) == ()


@pytest.mark.parametrize("reason", TROUBLED)
def test_each_cause_stands_alone_with_its_numbers(reason: Reason) -> None:
    (cause,) = failing_rules(TROUBLED[reason], HALTS)
    assert (cause.reason, cause.observed is None, cause.limit is None) == (reason, False, False)


@pytest.mark.parametrize("reason", TROUBLED)
def test_the_predicate_that_halts_also_refuses_an_entry(reason: Reason) -> None:
    seen = TROUBLED[reason]
    gates = decide(ask(desk=seen, book=seen.book, halts=HALTS))
    (cause,) = failing_rules(seen, HALTS)
    (said,) = (decision for decision in gates if decision.gate is cause.gate)
    if reason is Reason.DAILY_LOSS_HALT:
        # Of the day's loss the gate has the smaller of two limits.
        assert (said.observed, said.passed) == (cause.observed, False)
    elif reason is Reason.MARGIN_HALT:
        # The gate counts the entry, and what it loses as it fills.
        assert isinstance(said.observed, Decimal)
        assert isinstance(cause.observed, Decimal)
        assert (said.observed > cause.observed, said.reason) == (True, reason)
    else:
        assert cause in gates


def test_every_cause_has_a_way_to_be_cleared_and_every_rule_is_a_cause() -> None:
    worst = desk(
        halt_evidence=HaltEvidence(5 * (NOW,), 5 * (NOW,), ("tb1.x",), 3, ("tb1.y",)),
        book=margined(
            {"AAPL": "1"},
            equity=Decimal(1),
            day_loss=Decimal(9),
            peak_equity=Decimal(10),
            held=frozenset(map(str, range(27))),
            stakes=(staked(100),),
        ),
        positions=(held().position,),
        listings={"AAPL": listing(rolling=Rolling(DAY, DAY - timedelta(days=1), "MSFT", 0, 1))},
    )
    causes = {cause.reason for cause in failing_rules(worst, HALTS)}
    assert len(causes) == len(monitors(worst, HALTS))
    assert {*causes, Reason.PASS_FAULT, Reason.CRASH_LOOP} == set(CLEARED_BY)


def test_an_unknown_reading_is_no_cause_of_a_halt() -> None:
    assert failing_rules(desk(book=book(equity=Decimal(0), peak_equity=ROUND)), HALTS) == ()


def test_a_storm_is_over_once_its_window_has_passed() -> None:
    for reason in (Reason.REJECT_STORM, Reason.UNKNOWN_STORM):
        later = replace(TROUBLED[reason], now=NOW + timedelta(seconds=HALTS.storm_window_s))
        assert failing_rules(later, HALTS) == ()


def test_one_more_refusal_or_lost_answer_makes_a_storm() -> None:
    refused = desk(halt_evidence=HaltEvidence(refused=4 * (ago(10),)))
    silent = desk(halt_evidence=HaltEvidence(unanswered=4 * (ago(10),)))
    assert failing_rules(refused, HALTS) == failing_rules(silent, HALTS) == ()
    for before, sent, storm in (
        (refused, Reason.VENUE_REJECTED, Reason.REJECT_STORM),
        (silent, Reason.VENUE_UNKNOWN, Reason.UNKNOWN_STORM),
    ):
        after = with_outcome(before, Decision(Gate.SEND, Verdict.FAIL, sent))
        assert [c.reason for c in failing_rules(after, HALTS)] == [storm]


@pytest.mark.parametrize("reason", TROUBLED)
def test_an_overridden_cause_does_not_halt_again_in_the_same_session(reason: Reason) -> None:
    seen = TROUBLED[reason]
    assert failing_rules(replace(seen, state=active(override_for([halted_for(seen)]))), HALTS) == ()


@pytest.mark.parametrize("reason", [Reason.DAILY_LOSS_HALT, Reason.SECOND_WRITER, Reason.VENUE_DRIFT])
def test_an_override_ends_with_its_session(reason: Reason) -> None:
    state = active(Override(frozenset({reason}), SESSION.open - timedelta(hours=18)))
    (cause,) = failing_rules(replace(TROUBLED[reason], state=state), HALTS)
    assert cause.reason is reason


def test_an_overridden_storm_starts_counting_from_zero() -> None:
    seen = TROUBLED[Reason.REJECT_STORM]
    state = active(override_for([halted_for(seen)]))
    again = replace(seen, state=state, halt_evidence=HaltEvidence(refused=(*5 * (ago(10),), *5 * (ago(4),))))
    assert [cause.observed for cause in failing_rules(again, HALTS)] == [5]


def test_an_override_of_one_cause_lets_the_others_stand() -> None:
    state = active(override_for([halted_for(TROUBLED[Reason.VENUE_DRIFT])]))
    both = desk(halt_evidence=HaltEvidence(unknown_orders=("tb1.x",), unreadable=9), state=state)
    assert [cause.reason for cause in failing_rules(both, HALTS)] == [Reason.SECOND_WRITER]


def test_no_free_text_names_a_cause() -> None:
    for who in ("ada", BY_ITSELF):
        said = TradingStateRecord(TradingState.REDUCE_ONLY, who, "DAILY_LOSS_HALT: 1 against 0", ago(5))
        assert override_for([said]) is None
    seen = TROUBLED[Reason.DAILY_LOSS_HALT]
    words = f"override DAILY_LOSS_HALT at {ago(5).isoformat()}: small"
    spoken = TradingStateRecord(TradingState.ACTIVE, "ada", words, NOW)
    assert [cause.reason for cause in failing_rules(replace(seen, state=spoken), HALTS)] == [Reason.DAILY_LOSS_HALT]


def test_an_override_accepts_every_halt_of_the_bots_own_under_a_persons_at_the_time_of_the_last() -> None:
    own = [halted_for(TROUBLED[Reason.VENUE_DRIFT], 9), halted_for(TROUBLED[Reason.DRAWDOWN_REACHED], 7)]
    said = TradingStateRecord(TradingState.REDUCE_ONLY, "ada", "lunch", ago(1))
    accepted = Override(frozenset({Reason.VENUE_DRIFT, Reason.DRAWDOWN_REACHED}), ago(7))
    assert override_for([*own, said]) == accepted


@pytest.mark.parametrize("reason", TROUBLED)
def test_an_override_counts_only_where_entries_are_open_and_not_before_its_time(reason: Reason) -> None:
    seen = TROUBLED[reason]
    halted = replace(active(override_for([halted_for(seen)])), state=TradingState.REDUCE_ONLY)
    early = active(Override(frozenset({reason}), NOW + timedelta(seconds=1)))
    for state in (halted, early):
        assert [cause.reason for cause in failing_rules(replace(seen, state=state), HALTS)] == [reason]
