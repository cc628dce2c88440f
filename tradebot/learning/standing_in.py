"""Tell from records which policies acted by their rule, or by an earlier model, and why."""

from collections.abc import Iterable, Mapping

from tradebot.learning.saying import MODEL
from tradebot.model.decision import Decision
from tradebot.model.reasons import REASONS, Reason
from tradebot.model.record import CandidateRecord


def stood_in(records: Iterable[CandidateRecord]) -> Mapping[str, Decision]:
    """Return why something else than its models acted, for each strategy of which that is recorded."""
    found = dict[str, Decision]()
    for record in records:
        for decision in record.decisions:
            if decision.about == MODEL and decision.passed and decision.reason is not None:
                found.setdefault(record.candidate.strategy, decision)
    return found


def in_a_word(strategy: str, why: Decision) -> str:
    """Say what acted for a strategy, and the reason's code."""
    actor = "its last good model" if why.reason is Reason.MODEL_REPLACED else "its rule"
    return f"{strategy} acts by {actor} ({why.reason})"


def sentences(records: Iterable[CandidateRecord]) -> str:
    """Say for each such strategy what acted, and why; empty if there is none."""
    found = ((in_a_word(name, why), why.reason) for name, why in stood_in(records).items())
    return " ".join(f"Strategy {told}: {REASONS[reason].meaning}" for told, reason in found if reason)
