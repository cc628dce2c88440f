"""The figures that monitoring asks for, and what they don't count."""

from datetime import timedelta

import pytest

from tests.kit.rows import make_intent
from tests.kit.values import DAY, NOW, ago
from tradebot.model.event import HEALINGS, EventKind, Severity
from tradebot.model.flow import Intake
from tradebot.model.intent import IntentRecord, IntentState, Operation
from tradebot.model.record import CycleRecord, Job
from tradebot.model.struct_tools import replace
from tradebot.views.metrics import (
    LastLearn,
    count_repairs,
    fetch_latency_ms,
    last_error,
    last_learn,
    learn_event,
    success_rate,
)


def record(state: IntentState, operation: Operation = Operation.SUBMIT) -> IntentRecord:
    return IntentRecord(replace(make_intent(), operation=operation), state, None, None, NOW)


@pytest.mark.parametrize(
    ("intents", "rate"),
    [
        ([], None),
        ([record(IntentState.SENT)], None),
        ([record(IntentState.ACKED)], 1.0),
        ([record(IntentState.ACKED), record(IntentState.REJECTED)], 0.5),
        ([record(IntentState.ACKED), record(IntentState.UNKNOWN)], 1.0),
        ([record(IntentState.ACKED), record(IntentState.REJECTED, Operation.CANCEL)], 1.0),
    ],
)
def test_success_rate_counts_only_answered_orders(intents: list[IntentRecord], rate: float | None) -> None:
    assert success_rate(intents) == rate


def test_fetch_latency_ends_at_the_last_answer() -> None:
    fetches = [CycleRecord("a", Job.FETCH_FLOW, DAY, "open+2m", at, "paper") for at in (ago(300), NOW)]
    answer = Intake("flow_alerts", "AAPL", NOW + timedelta(milliseconds=1500), 3, (), 0, 0, ())
    assert fetch_latency_ms(fetches, [replace(answer, at=ago(200)), answer, replace(answer, at=NOW)]) == 1500
    assert fetch_latency_ms(fetches, [replace(answer, at=ago(200))]) is None
    assert fetch_latency_ms([replace(fetches[0], job=Job.SCORE)], [answer]) is None


def test_last_error_is_the_newest_event_of_error_severity() -> None:
    events = [
        EventKind.JOB_FAULT.at(ago(60), {"job": "score", "message": "first second", "empty": ""}),
        EventKind.PRICE_JUMPED.at(NOW, {}),
    ]
    assert last_error(events) == "serve job_fault job score, message first second"
    assert last_error(events[1:]) is None


def test_healings_count_repair_events_but_no_errors() -> None:
    assert count_repairs([kind.at(NOW, {}) for kind in EventKind]) == len(HEALINGS)
    begun = [EventKind.FACTS_BEGUN_ANEW.at(NOW, {"moved_to": place}) for place in ("", "facts.db.damaged")]
    assert count_repairs(begun) == 1
    assert {kind.severity for kind in HEALINGS} <= {Severity.INFO, Severity.WARN}


def test_the_newest_event_about_learn_is_told_as_it_was_written() -> None:
    older, newer = (
        learn_event(ago(age), 31, names, file) for age, names, file in ((90, ("a", "b"), None), (60, (), "x"))
    )
    other = EventKind.FETCH_FAILED.at(ago(30), {"message": "timed out"})
    assert last_learn([other]) is None
    assert last_learn([older, other]) == LastLearn(ago(90), 31, ("a", "b"), None)
    assert last_learn([older, newer, other]) == LastLearn(ago(60), 31, (), "x")
