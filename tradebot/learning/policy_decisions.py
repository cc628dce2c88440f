"""Build the decisions in which a policy reports which models act, or why a fallback acts instead.

Commands that must be fast read these decisions in records instead of loading the models.
"""

from collections.abc import Iterable, Mapping

from tradebot.model.decision import Decision, Gate, Number, Verdict
from tradebot.model.reasons import REASONS, Reason
from tradebot.model.record import CandidateRecord

MODEL, ANSWER = "model", "answer"
"""The subjects of a policy's decisions: whether its models act, and each one's output."""
LONGEST = 200
"""How many characters of an observed value are recorded."""


def passing_decision(
    about: str, reason: Reason | None, observed: Number | str, limit: Number | str | None = None
) -> Decision:
    """Return a passing decision of a policy; a policy that wants no position passes too, because that is a valid
    answer.
    """
    return Decision(Gate.STRATEGY, Verdict.PASS, reason, observed, limit, about=about)


def refusal(reason: Reason, observed: Number | str, limit: Number | str | None = None) -> Decision:
    """Return the failed decision that records why no model may act."""
    text = observed[:LONGEST] if isinstance(observed, str) else observed
    return Decision(Gate.STRATEGY, Verdict.FAIL, reason, text, limit, about=MODEL)


def fallback_reasons(records: Iterable[CandidateRecord]) -> Mapping[str, Decision]:
    """Return, by strategy, why a fallback acted instead of its models; leave out strategies whose models acted."""
    by_name = dict[str, Decision]()
    for record in records:
        for decision in record.decisions:
            if decision.about == MODEL and decision.passed and decision.reason is not None:
                by_name.setdefault(record.candidate.strategy, decision)
    return by_name


def describe_fallback(strategy: str, why: Decision) -> str:
    """Format which fallback acted for a strategy (its last good model or its rule), and the reason's code."""
    actor = "its last good model" if why.reason is Reason.MODEL_REPLACED else "its rule"
    return f"{strategy} acts by {actor} ({why.reason})"


def sentences(records: Iterable[CandidateRecord]) -> str:
    """Describe the fallback that acted for each strategy, and why; empty if there was none."""
    reasons = ((describe_fallback(name, why), why.reason) for name, why in fallback_reasons(records).items())
    return " ".join(f"Strategy {name}: {REASONS[reason].meaning}" for name, reason in reasons if reason)
