"""Counts and rates for monitoring, in addition to the findings about health."""

import json
from collections.abc import Iterable, Sequence
from datetime import datetime

from msgspec import Struct

from tradebot.model.event import HEALINGS, EventKind, Severity, SystemEvent
from tradebot.model.flow import Intake
from tradebot.model.intent import IntentRecord, IntentState, Operation
from tradebot.model.record import CycleRecord, Job

BAD = (Severity.ERROR, Severity.CRITICAL)


class LastLearn(Struct, frozen=True):
    """When `learn` last evaluated closed trades, how many, and which settings it proposed to change.

    `file` is the configuration that it wrote, None if it wrote none.
    """

    at: datetime
    trades: int
    proposed: tuple[str, ...]
    file: str | None


class MetricFigures(Struct, frozen=True):
    """Passes of the last session, and orders and events of the last day; None where unknown.

    `order_success_rate` is the share of answered orders that the broker accepted. `data_fetch_latency_ms` is the time
    of a fetch from its first request to its last answer. `position_mismatches` are the differences found by the last
    comparison of books and broker. `healings` counts the bot's automatic repairs. `last_learn` is None if no stored
    event reports a run of `learn`.
    """

    total_cycles: int
    last_cycle_ago_seconds: float | None
    order_success_rate: float | None
    data_fetch_latency_ms: float | None
    position_mismatches: int | None
    errors: int
    warnings: int
    healings: int
    last_error: str | None
    regime: str | None
    last_learn: LastLearn | None


def learn_event(at: datetime, trades: int, proposed: Sequence[str], file: str | None) -> SystemEvent:
    """Build the event that reports the result of `learn`."""
    details = {"trades": str(trades), "proposed": json.dumps(list(proposed)), "file": file or ""}
    return EventKind.LEARNED.at(at, details)


def last_learn(events: Sequence[SystemEvent]) -> LastLearn | None:
    """Return the result of `learn` in the newest event about it; None if there is none."""
    kind = EventKind.LEARNED
    ran = (
        event for event in reversed(events) if (event.subsystem, event.event_type) == (kind.subsystem, kind.event_type)
    )
    event = next(ran, None)
    if event is None:
        return None
    proposed = tuple(json.loads(event.details["proposed"]))
    return LastLearn(event.timestamp, int(event.details["trades"]), proposed, event.details["file"] or None)


def success_rate(intents: Iterable[IntentRecord]) -> float | None:
    """Return the share of answered orders that the broker accepted; None if it answered none."""
    ends = [each.state for each in intents if each.intent.operation is Operation.SUBMIT]
    answered = [state for state in ends if state in (IntentState.ACKED, IntentState.REJECTED)]
    return answered.count(IntentState.ACKED) / len(answered) if answered else None


def fetch_latency_ms(cycles: Sequence[CycleRecord], intakes: Sequence[Intake]) -> float | None:
    """Return the duration of the last fetch in milliseconds, from its start to its last answer; None if unknown."""
    began = max((cycle.at for cycle in cycles if cycle.job is Job.FETCH_FLOW), default=None)
    answers = [intake.at for intake in intakes if began is not None and intake.at >= began]
    return (max(answers) - began).total_seconds() * 1000 if answers and began is not None else None


def count_repairs(events: Iterable[SystemEvent]) -> int:
    """Return how many of these events are automatic repairs.

    Creating a store for the first time isn't a repair, because no broken store was moved aside.
    """
    kinds = {(kind.subsystem, kind.event_type) for kind in HEALINGS}
    healed = (event for event in events if (event.subsystem, event.event_type) in kinds)
    # If the store is created for the first time, with nothing to move aside, it was never broken.
    return sum(event.details.get("moved_to") != "" for event in healed)


def last_error(events: Sequence[SystemEvent]) -> str | None:
    """Describe the newest error among these events; None if there is none."""
    bad = next((event for event in reversed(events) if event.severity in BAD), None)
    if bad is None:
        return None
    details = ", ".join(f"{name} {text}" for name, text in bad.details.items() if text)
    return " ".join(filter(None, (bad.subsystem, bad.event_type, bad.symbol, details)))
