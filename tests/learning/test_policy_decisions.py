"""Records say which policies acted by their rule, or by an earlier model."""

from tests.kit.values import candidate
from tradebot.learning.policy_decisions import (
    ANSWER,
    MODEL,
    describe_fallback,
    fallback_reasons,
    passing_decision,
    sentences,
)
from tradebot.model.decision import Decision
from tradebot.model.reasons import REASONS, Reason
from tradebot.model.record import CandidateRecord
from tradebot.model.struct_tools import replace

SLOW = passing_decision(MODEL, Reason.MODEL_SLOW, "no answer", 80)
REPLACED = passing_decision(MODEL, Reason.MODEL_REPLACED, "by 0.1", "0123456789abcdef")


def record(strategy: str, *decisions: Decision) -> CandidateRecord:
    return CandidateRecord(replace(candidate(), strategy=strategy), decisions)


def test_models_that_act_leave_nothing_to_tell_and_of_others_the_first_reason_of_each_strategy_counts() -> None:
    model, answer = passing_decision(MODEL, None, "0123456789abcdef"), passing_decision(ANSWER, None, 1.5, "01234567")
    acted = record("policy", model, answer)
    assert (fallback_reasons([acted]), sentences([acted])) == ({}, "")
    found = [record("one", SLOW), record("one", REPLACED), record("two", REPLACED)]
    assert fallback_reasons(found) == {"one": SLOW, "two": REPLACED}
    assert describe_fallback("one", SLOW) == "one acts by its rule (MODEL_SLOW)"
    assert describe_fallback("two", REPLACED) == "two acts by its last good model (MODEL_REPLACED)"
    meant = REASONS[Reason.MODEL_SLOW].meaning
    assert sentences(found[:1]) == f"Strategy one acts by its rule (MODEL_SLOW): {meant}"
