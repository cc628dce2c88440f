"""What halts the bot, each rule at its edge, and what a person has accepted."""

from dataclasses import replace
from datetime import timedelta
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.builders import CASH, HALTS, NOW, SESSION, ago, ask, book, desk
from tradebot.gates.entry import decide
from tradebot.gates.halts import (
    BY_ITSELF,
    CLEARED_BY,
    Override,
    causes_of,
    explained,
    monitors,
    override_of,
    override_words,
    plain_words,
    standing,
    with_refusal,
    with_silence,
)
from tradebot.model.desk import Desk, Signs
from tradebot.model.reasons import Reason
from tradebot.model.trading import TradingState, TradingStateRecord

ROUND = Decimal(CASH)
TROUBLED: dict[Reason, Desk] = {
    Reason.SECOND_WRITER: desk(signs=Signs(strangers=("tb1.x",))),
    Reason.BOOKS_OLD: desk(signs=Signs(forgotten=("tb1.x",))),
    Reason.VENUE_DRIFT: desk(signs=Signs(unreadable=3)),
    Reason.REJECT_STORM: desk(signs=Signs(refused=5 * (ago(10),))),
    Reason.UNKNOWN_STORM: desk(signs=Signs(unanswered=5 * (ago(10),))),
    Reason.DAILY_LOSS_HALT: desk(book=book(equity=Decimal(96_000), day_loss=Decimal(4_000))),
    Reason.DRAWDOWN_REACHED: desk(book=book(equity=Decimal(90_000), peak_equity=ROUND)),
}


def active(words: str, at_s: float = 0) -> TradingStateRecord:
    return TradingStateRecord(TradingState.ACTIVE, "ada", words, ago(at_s))


def halted_for(desk: Desk, at_s: float = 5) -> TradingStateRecord:
    return TradingStateRecord(TradingState.REDUCE_ONLY, BY_ITSELF, explained(standing(desk, HALTS)), ago(at_s))


def test_an_ordinary_desk_has_no_cause() -> None:
    assert standing(desk(), HALTS) == ()


@pytest.mark.parametrize("reason", TROUBLED)
def test_each_cause_stands_alone_with_its_numbers(reason: Reason) -> None:
    (cause,) = standing(TROUBLED[reason], HALTS)
    assert (cause.reason, cause.observed is None, cause.limit is None) == (reason, False, False)


@pytest.mark.parametrize("reason", TROUBLED)
def test_what_halts_keeps_an_entry_back_by_the_same_predicate(reason: Reason) -> None:
    seen = TROUBLED[reason]
    gates = decide(ask(desk=seen, book=seen.book))
    (cause,) = standing(seen, HALTS)
    if reason is Reason.DAILY_LOSS_HALT:
        # Of the day's loss the gate has the smaller of two limits.
        (said,) = (decision for decision in gates if decision.gate is cause.gate)
        assert (said.observed, said.passed) == (cause.observed, False)
    else:
        assert cause in gates


def test_every_cause_has_a_way_to_be_cleared_and_every_rule_is_a_cause() -> None:
    worst = desk(
        signs=Signs(5 * (NOW,), 5 * (NOW,), ("tb1.x",), 3, ("tb1.y",)),
        book=book(equity=Decimal(1), day_loss=Decimal(9), peak_equity=Decimal(10)),
    )
    causes = {cause.reason for cause in standing(worst, HALTS)}
    assert len(causes) == len(monitors(worst, HALTS))
    assert {*causes, Reason.PASS_FAULT} == set(CLEARED_BY)


def test_what_cannot_be_told_is_no_cause() -> None:
    assert standing(desk(book=book(equity=Decimal(0), peak_equity=ROUND)), HALTS) == ()


def test_a_storm_is_over_once_its_window_has_passed() -> None:
    for reason in (Reason.REJECT_STORM, Reason.UNKNOWN_STORM):
        later = replace(TROUBLED[reason], now=NOW + timedelta(seconds=HALTS.storm_window_s))
        assert standing(later, HALTS) == ()


def test_one_refusal_or_silence_more_makes_a_storm() -> None:
    refused = desk(signs=Signs(refused=4 * (ago(10),)))
    silent = desk(signs=Signs(unanswered=4 * (ago(10),)))
    assert standing(refused, HALTS) == standing(silent, HALTS) == ()
    assert [c.reason for c in standing(with_refusal(refused), HALTS)] == [Reason.REJECT_STORM]
    assert [c.reason for c in standing(with_silence(silent), HALTS)] == [Reason.UNKNOWN_STORM]


@pytest.mark.parametrize("reason", TROUBLED)
def test_what_a_person_overrode_does_not_halt_again_in_the_same_session(reason: Reason) -> None:
    seen = TROUBLED[reason]
    words = override_words([halted_for(seen)], "known and meant")
    assert standing(replace(seen, state=active(words)), HALTS) == ()


@pytest.mark.parametrize("reason", [Reason.DAILY_LOSS_HALT, Reason.SECOND_WRITER, Reason.VENUE_DRIFT])
def test_an_override_ends_with_its_session(reason: Reason) -> None:
    before = SESSION.open - timedelta(hours=18)
    state = active(f"override {reason} at {before.isoformat()}: yesterday")
    (cause,) = standing(replace(TROUBLED[reason], state=state), HALTS)
    assert cause.reason is reason


def test_an_overridden_storm_counts_anew() -> None:
    seen = TROUBLED[Reason.REJECT_STORM]
    words = override_words([halted_for(seen)], "they were mine")
    again = replace(seen, state=active(words), signs=Signs(refused=(*5 * (ago(10),), *5 * (ago(4),))))
    assert [cause.observed for cause in standing(again, HALTS)] == [5]


def test_an_override_of_one_cause_lets_the_others_stand() -> None:
    words = override_words([halted_for(TROUBLED[Reason.VENUE_DRIFT])], "known")
    both = desk(signs=Signs(strangers=("tb1.x",), unreadable=9), state=active(words))
    assert [cause.reason for cause in standing(both, HALTS)] == [Reason.SECOND_WRITER]


def test_the_reason_of_a_persons_halt_names_no_cause() -> None:
    said = TradingStateRecord(TradingState.REDUCE_ONLY, "ada", "DAILY_LOSS_HALT: 1 against 0", ago(5))
    assert causes_of(said) == frozenset()
    assert override_words([said], "go on") == "override: go on"
    assert override_of("override: go on") is None


def test_an_override_accepts_every_halt_of_the_bots_own_under_a_persons_at_the_time_of_the_last() -> None:
    own = [halted_for(TROUBLED[Reason.VENUE_DRIFT], 9), halted_for(TROUBLED[Reason.DRAWDOWN_REACHED], 7)]
    said = TradingStateRecord(TradingState.REDUCE_ONLY, "ada", "DAILY_LOSS_HALT: 1 against 0", ago(1))
    accepted = frozenset({Reason.VENUE_DRIFT.value, Reason.DRAWDOWN_REACHED.value})
    assert override_of(override_words([*own, said], "seen")) == Override(accepted, ago(7))


@pytest.mark.parametrize("reason", TROUBLED)
def test_words_of_an_override_count_only_where_entries_are_open_and_not_before_their_time(reason: Reason) -> None:
    seen, words = TROUBLED[reason], override_words([halted_for(TROUBLED[reason])], "x")
    halted = TradingStateRecord(TradingState.REDUCE_ONLY, "ada", words, ago(1))
    early = active(f"override {reason} at {(NOW + timedelta(seconds=1)).isoformat()}: x")
    naive = active(f"override {reason} at {NOW.replace(tzinfo=None).isoformat()}: x")
    for state in (halted, early, naive):
        assert [cause.reason for cause in standing(replace(seen, state=state), HALTS)] == [reason]


@given(words=st.one_of(st.text(max_size=40), st.sampled_from(sorted(CLEARED_BY)).map(
    lambda name: f"override {name} at {NOW.isoformat()}: x"
)))  # fmt: skip
def test_a_plain_reason_is_never_read_as_an_override(words: str) -> None:
    plain = plain_words(words)
    assert override_of(plain) is None
    assert plain in (words, f"reason: {words}")


@given(reasons=st.sets(st.sampled_from(sorted(CLEARED_BY)), min_size=1), why=st.text(max_size=30))
def test_an_override_is_read_back_as_it_was_written(reasons: set[str], why: str) -> None:
    told = "; ".join(f"{reason}: 1 against 0" for reason in sorted(reasons))
    halt = TradingStateRecord(TradingState.REDUCE_ONLY, BY_ITSELF, told, NOW)
    assert override_of(override_words([halt], why)) == Override(frozenset(reasons), NOW)


@pytest.mark.parametrize("words", ["", "override  at x: y", "override A at no time: y", "lunch is over"])
def test_other_words_are_no_override(words: str) -> None:
    assert override_of(words) is None
