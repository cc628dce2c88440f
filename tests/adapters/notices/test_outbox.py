"""The outbox: what is to be told survives the end of the process, is told once, and damage costs only what it held."""

import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from tests.kit.values import there
from tradebot.adapters.memory.recorder import MemoryEvents
from tradebot.adapters.notices.outbox import KEPT, Outbox, Sending, unsent_notices
from tradebot.adapters.state.events import EventCursor
from tradebot.adapters.state.state_folder import NOTICES
from tradebot.adapters.text.canonical import time_text
from tradebot.errors import OperatorError, TemporaryError
from tradebot.model.event import Severity
from tradebot.model.notice import BotStatus, Notice, NoticeEvent, Topic
from tradebot.model.trading import TradingState

AT = datetime(2026, 11, 16, 15, 0, tzinfo=UTC)
HOUR = timedelta(hours=1)
SEEN = BotStatus(AT, TradingState.ACTIVE, "1.0", ())
PLACE = EventCursor(7, 120)
NOTICE = Notice("tradebot", "10:00 something", Severity.WARN)


@pytest.fixture
def outbox(tmp_path: Path) -> Iterator[Outbox]:
    box = Outbox(tmp_path, MemoryEvents(), AT)
    yield box
    box.close()


def told(text: str) -> NoticeEvent:
    return NoticeEvent(AT, Topic.BOOKS, Severity.WARN, "differences", text)


def test_look_and_what_it_found_are_remembered_by_the_next_process(outbox: Outbox, tmp_path: Path) -> None:
    assert outbox.last_look() is None
    outbox.note(PLACE, SEEN, [("phone", AT, told("now")), ("phone", AT + HOUR, told("later")), ("desk", AT, told("x"))])
    outbox.close()
    outbox._database = Outbox.FILE.open(tmp_path / NOTICES)
    assert outbox.last_look() == (PLACE, SEEN)
    assert [one.text for _, _, one in outbox.due("phone", AT)] == ["now"]
    assert [one.text for _, _, one in outbox.due("phone", AT + HOUR)] == ["now", "later"]


def test_notice_takes_the_place_of_the_happenings_that_it_tells(outbox: Outbox) -> None:
    outbox.note(PLACE, SEEN, [("phone", AT, told("one")), ("phone", AT, told("two"))])
    outbox.make("phone", NOTICE, [id_ for id_, _, _ in outbox.due("phone", AT)], AT)
    assert outbox.due("phone", AT) == []
    kept = there(outbox.next_of("phone", AT))
    assert (kept.notice, kept.sending, kept.attempts) == (NOTICE, Sending.WAITING, 0)
    assert outbox.next_of("desk", AT) is None


def test_failed_notice_waits_for_its_next_attempt_and_is_over_once_it_is_sent_or_given_up(
    outbox: Outbox, tmp_path: Path
) -> None:
    outbox.make("phone", NOTICE, (), AT)
    outbox.mark_failed(there(outbox.next_of("phone", AT)).id, "no answer in 30 s", HOUR, AT)
    assert outbox.next_of("phone", AT) is None
    again = there(outbox.next_of("phone", AT + HOUR))
    assert (again.attempts, again.problem) == (1, "no answer in 30 s")
    outbox.mark_sent(again.id)
    assert outbox.next_of("phone", AT + 2 * HOUR) is None
    assert [(one.sending, one.problem) for one in outbox.last(5)] == [(Sending.SENT, "")]
    outbox.make("phone", NOTICE, (), AT)
    outbox.mark_failed(2, "the receiver answered 500", None, AT + HOUR)
    (lost,) = unsent_notices(tmp_path)
    assert (lost.sending, lost.next_at, lost.problem) == (Sending.GIVEN_UP, AT + HOUR, "the receiver answered 500")


def test_only_notices_of_the_hour_count_and_no_critical_ones(outbox: Outbox) -> None:
    outbox.make("phone", NOTICE, (), AT - HOUR)
    outbox.make("phone", NOTICE, (), AT)
    outbox.make("phone", Notice("t", "x", Severity.CRITICAL), (), AT)
    assert outbox.count_created("phone", AT - HOUR, AT) == 1


def test_old_notices_are_deleted_but_none_that_is_still_to_be_sent(outbox: Outbox) -> None:
    outbox.make("phone", NOTICE, (), AT)
    with outbox._write():
        outbox._database.execute(
            "INSERT INTO notices SELECT value, 'phone', ?1, 't', 'x', 'WARN', 'sent', 1, ?1, '' FROM json_each(?2)",
            (time_text(AT), json.dumps(list(range(2, KEPT + 10)))),
        )
    outbox.make("phone", NOTICE, (), AT)
    assert len(outbox.last(5_000)) == KEPT + 1
    assert outbox.last(5_000)[-1].id == 1


def test_damaged_file_starts_over_with_an_event_and_the_next_look_is_the_first(tmp_path: Path) -> None:
    events = MemoryEvents()
    box = Outbox(tmp_path, events, AT)
    box.note(PLACE, SEEN, ())
    box._database.execute("UPDATE remembered SET text = '[' WHERE name = 'seen'")
    with pytest.raises(TemporaryError, match="a new one was started"):
        box.last_look()
    assert box.last_look() is None
    assert [event.event_type for event in events.emitted] == ["begun_anew", "begun_anew"]
    box.close()


def test_file_that_is_no_outbox_is_an_error_for_whoever_only_looks(tmp_path: Path) -> None:
    (tmp_path / NOTICES).write_bytes(b"nonsense" * 1000)
    with pytest.raises(OperatorError, match="is damaged"):
        unsent_notices(tmp_path)


def test_clock_that_was_a_day_ahead_and_is_right_again_holds_nothing_back(outbox: Outbox) -> None:
    ahead = AT + timedelta(days=2)
    outbox.make("phone", NOTICE, (), ahead)
    assert outbox.count_created("phone", AT - HOUR, AT) == 0, "it doesn't count as one of this hour"
    assert there(outbox.next_of("phone", AT)).notice == NOTICE
    outbox.mark_failed(1, "no answer in 30 s", HOUR, ahead)
    assert there(outbox.next_of("phone", AT)).attempts == 1
    outbox.note(PLACE, SEEN, [("phone", ahead, told("ahead")), ("phone", AT + 9 * HOUR, told("after quiet hours"))])
    assert [one.text for _, _, one in outbox.due("phone", AT)] == ["ahead"]
