"""Limits on the account that refuse every entry, as passes recorded them: which, with their numbers, in a sentence."""

from collections.abc import Iterable

from tradebot.model.decision import Decision, compared
from tradebot.model.reasons import REASONS, ReasonRow
from tradebot.model.record import CycleRecord


def closed(cycles: Iterable[CycleRecord]) -> tuple[Decision, ...]:
    """Return the limits that refused every entry in any of these passes, each as the last such pass saw it."""
    return tuple({decision.reason: decision for cycle in cycles for decision in cycle.closed}.values())


def row_of(decision: Decision) -> ReasonRow:
    """Return the row of a limit that refuses every entry in the table of reasons."""
    assert decision.reason is not None, "what refuses has a reason"
    return REASONS[decision.reason]


def sentence_of(decision: Decision, known: str = "") -> str:
    """Return a sentence about a limit that refuses every entry; what `known` says of it already isn't repeated."""
    first, meaning = f"Entries are closed ({decision.reason}, {compared(decision)})", row_of(decision).meaning
    return f"{first}." if meaning in known else f"{first}: {meaning}"
