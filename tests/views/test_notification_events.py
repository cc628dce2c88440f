"""What has happened: events in words, and what differs from the last look.

Notices: which channel is told what and when, and that nothing from outside can act where it is read.
"""

import re
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.kit.fakes.machine import flaws
from tests.kit.rows import make_intent
from tests.kit.values import VENUE_DAY, there
from tradebot.model.event import EventKind, Severity, SystemEvent
from tradebot.model.intent import IntentRecord, IntentState
from tradebot.model.notice import Channel, NoticeEvent, PreviousPosition, QuietHours, Topic, quiet_hours
from tradebot.model.position import RoundTrip
from tradebot.model.reasons import REASONS, Reason
from tradebot.model.struct_tools import replace
from tradebot.model.trading import TradingState, TradingStateRecord
from tradebot.model.venue_day import VenueDay
from tradebot.venues.alpaca.capabilities import ALPACA
from tradebot.views.notification_events import (
    LONGEST,
    MOST_LINES,
    OF_EVENTS,
    UNWELL_FOR,
    CurrentStatus,
    compose_notification,
    due_at,
    ends,
    events_since,
    is_selected,
    of_event,
    reason_in_words,
    safe,
    seen_of,
)

AT = datetime(2026, 11, 16, 15, 0, tzinfo=UTC)
MINUTE = timedelta(minutes=1)
ACTIVE = TradingStateRecord(TradingState.ACTIVE, "ann", "", AT)
HELD = PreviousPosition("flow", "AAPL", AT, Decimal(10), Decimal("150.25"))
TRIP = RoundTrip("flow", "AAPL", AT + MINUTE, Decimal("12.5"), Decimal(1_502), AT)
QUIET = CurrentStatus(AT, ACTIVE, "1.0", (), (), (), {}, "", Severity.WARN)
SOLD_OUT = {"side": "sell", "quantity": "3", "price": "90.5", "at": "x"}
DETAILS = {
    EventKind.LIVE_ARMED: {"by": "ann", "sessions": "5", "until": "2026-11-20T21:00:00+00:00"},
    EventKind.APPROVAL_ASKED: {
        "id": "aapl-k3f7q",
        "strategy": "flow",
        "side": "buy",
        "quantity": "10",
        "price": "150.25",
        "worth": "1502.50",
        "until": "2026-11-16T15:05:00+00:00",
    },
    EventKind.PROTECTION_GAP: {"strategy": "flow", "why": "exiting", "shares": "10", "since": "x"},
    EventKind.OVERFILLED: {"strategy": "flow", "shares": "4"},
    EventKind.PROTECTION_GAP_ENDED: {"lasted_s": "61.0", "ended": "closed", "strategy": "flow"},
    EventKind.ALL_CLOSES_FAILED: {"strategy": "flow", "cause": "refused", "attempts": "3"},
    EventKind.POSITION_DIFFERS: {"books": "10", "broker": "7"},
    EventKind.POSITION_UNPROVEN: {"what": "the broker did not confirm it"},
    EventKind.LIQUIDATED: SOLD_OUT | {"strategies": "", "parts": "2"},
    EventKind.SETTLED: SOLD_OUT | {"strategies": "flow", "parts": "1"},
    EventKind.ENTRIES_PAUSED: {"healthy": "29", "needed": "30"},
    EventKind.ENTRIES_RESUMED: {"healthy": "30", "needed": "30"},
    EventKind.LIST_NOT_BELIEVED: {"why": "the list has 3 contracts, and the one before had 56"},
    EventKind.COIN_UNLISTED: {"message": "it has left the universe"},
    EventKind.LEDGER_DAMAGED: {"found": "page 7 is not as it was written"},
    EventKind.BOOKS_REBUILT: {"name": "x", "by": "ann", "why": "the disk failed", "not_proven": "0"},
    EventKind.SLOT_MISSED: {"job": "trade-once", "message": "missed 3 slots, open+2m to open+12m"},
    EventKind.OWN_SLOT_MISSED: {"strategy": "rotation", "slot": "open+5m", "session": "2026-11-16"},
    EventKind.OWN_SLOT_UNFINISHED: {"strategy": "rotation", "slot": "open+5m", "session": "2026-11-16"},
    EventKind.PROPOSAL_REFUSED: {"strategy": "mine", "reason": str(Reason.STRATEGY_DECLINED), "observed": "x"},
    EventKind.BACKUP_FAILED: {"session": "2026-11-16", "found": "the disk is full"},
    EventKind.BACKUP_NOT_COPIED: {"name": "session-2026-11-16", "found": "/mnt/usb can't be written: the disk is full"},
    EventKind.BACKUP_DAMAGED: {"name": "session-2026-11-16", "found": "a part is missing"},
    EventKind.JOB_FAULT: {"job": "trade-once", "message": "Traceback"},
    EventKind.LANE_STALLED: {"message": "no progress since 10:31"},
    EventKind.MEMORY_SHORT: {"message": "820 MB of 1,000: no chore begins until it uses less"},
    EventKind.CEILING_REACHED: {"message": "1,200 MB of memory, at most 1,000"},
    EventKind.CONFIG_NOT_RELOADED: {"message": "the configuration wasn't reloaded"},
}
"""The details with which each event that is told is written."""


@pytest.mark.parametrize("kind", OF_EVENTS, ids=str)
def test_each_event_that_is_told_is_a_sentence_without_a_code_and_loses_no_character(kind: EventKind) -> None:
    happening = there(of_event(kind.at(AT, DETAILS[kind], "AAPL"), ALPACA))
    assert (happening.topic, happening.severity) == (OF_EVENTS[kind].topic, kind.severity)
    assert flaws(happening.text) == []
    assert flaws(compose_notification("tradebot paper ...1234", [happening], VENUE_DAY).text) == []
    details = {name: text.replace("/", "-") for name, text in DETAILS[kind].items()}
    plain = there(of_event(kind.at(AT, details, "AAPL"), ALPACA))
    assert safe(plain.text) == plain.text


@pytest.mark.parametrize(
    ("kind", "details", "said"),
    [
        (EventKind.LIVE_ARMED, {"sessions": "1"}, "Live trading is armed for 1 session"),
        (EventKind.PROTECTION_GAP, {"shares": "1"}, "AAPL: no stop protects 1 share, because an exit replaced it"),
        (EventKind.POSITION_DIFFERS, {"broker": "-1", "books": "0"}, "AAPL: the broker has -1 share, the books have 0"),
    ],
)
def test_one_share_and_one_session_are_in_the_singular(kind: EventKind, details: dict[str, str], said: str) -> None:
    assert there(of_event(kind.at(AT, DETAILS[kind] | details, "AAPL"), ALPACA)).text == said


BEGAN, ENDED = EventKind.PROTECTION_GAP, EventKind.PROTECTION_GAP_ENDED
AT_ONCE = {"ended": "stop", "lasted_s": "0.000"}


@pytest.mark.parametrize(
    ("kind", "details", "said"),
    [
        (BEGAN, {}, "perhaps no stop protects 10 shares, because the broker's answers about the stop disagree"),
        (ENDED, {"ended": "stop"}, "after at most 61 seconds without a stop, a stop rests"),
        (ENDED, AT_ONCE, "the broker's answers agree again: a stop was there all along"),
        (ENDED, {}, "after at most 61 seconds without a stop, the shares were closed"),
    ],
)
def test_a_doubt_about_a_stop_is_told_as_a_doubt(kind: EventKind, details: dict[str, str], said: str) -> None:
    happening = there(of_event(kind.at(AT, DETAILS[kind] | {"why": "doubted"} | details, "AAPL"), ALPACA))
    assert happening.text == f"AAPL: {said}"
    assert flaws(happening.text) == []
    assert safe(happening.text) == happening.text


@pytest.mark.parametrize("reason", Reason)
def test_each_reason_is_told_in_words_wherever_a_notice_may_have_it(reason: Reason) -> None:
    missed = {"job": "trade-once", "message": f"open+2m and open+7m: {reason}. {REASONS[reason].meaning}"}
    refused = {"strategy": "mine", "reason": str(reason), "observed": "x"}
    why = f"{reason}: -0.031 against 0.03; {reason}: 3 against 3"
    halted = TradingStateRecord(TradingState.REDUCE_ONLY, "tradebot", why, AT, frozenset({reason}))
    told = [
        of_event(EventKind.SLOT_MISSED.at(AT, missed), ALPACA),
        of_event(EventKind.PROPOSAL_REFUSED.at(AT, refused), ALPACA),
    ]
    told += events_since(seen_of(QUIET), replace(QUIET, at=AT + MINUTE, trading=halted))[1]
    meaning = REASONS[reason].meaning.removesuffix(".")
    texts = [there(one).text for one in told]
    # A meaning may name a setting or a variable, which a person has to type.
    assert [flaw for text in texts for flaw in flaws(text.replace(meaning, "what it means"))] == []
    assert all(meaning in text for text in texts if "_" in reason)


def test_event_with_other_details_is_told_by_them_and_other_events_only_if_asked_for_by_name() -> None:
    event = SystemEvent(AT, "venue", "position_differs", Severity.ERROR, "AAPL", {"what": "more"})
    assert there(of_event(event, ALPACA)).text == "AAPL: position differs: what more"
    event = EventKind.ANSWER_DIFFERS.at(AT, {"message": "a new field"})
    assert of_event(event, ALPACA) is None
    asked = there(of_event(event, ALPACA, ["venue.answer_differs"]))
    assert (asked.topic, asked.text) == (Topic.EVENTS, "answer differs: message a new field")


def test_nothing_has_happened_while_nothing_differs_and_another_version_is_told() -> None:
    seen, happened = events_since(seen_of(QUIET), replace(QUIET, at=AT + MINUTE))
    assert happened == ()
    assert seen == seen_of(replace(QUIET, at=AT + MINUTE))
    (told,) = events_since(seen, replace(QUIET, version="1.1"))[1]
    assert told.text == "tradebot 1.1 is now in use; before, it was 1.0"


def test_halt_is_told_once_as_critical_and_its_end_once() -> None:
    halted = replace(QUIET, at=AT + MINUTE, trading=TradingStateRecord(TradingState.REDUCE_ONLY, "ann", "lunch", AT))
    seen, (told,) = events_since(seen_of(QUIET), halted)
    assert (told.topic, told.severity) == (Topic.HALTS, Severity.CRITICAL)
    assert told.text == "HALTED: the bot opens nothing, exits continue (ann: lunch)"
    assert events_since(seen, replace(halted, at=AT + 2 * MINUTE))[1] == ()
    (back,) = events_since(seen, replace(QUIET, at=AT + 2 * MINUTE))[1]
    assert (back.severity, back.text) == (Severity.INFO, "The bot may trade again")


def test_opened_and_closed_positions_are_told_once_with_price_profit_and_reason() -> None:
    opened = replace(QUIET, held=(HELD,))
    seen, (told,) = events_since(seen_of(QUIET), opened)
    assert told.text == "AAPL: bought 10 at 150.25 USD (flow)"
    closing = {("flow", "AAPL", AT): "trail_stop(-1.2%)+signal_decay(0.65)"}
    closed = replace(QUIET, at=AT + 2 * MINUTE, trips=(TRIP,), closing=closing)
    (told,) = events_since(seen_of(QUIET), closed)[1]
    assert told.what == "positions closed", "which was opened between the same two looks"
    seen, (told,) = events_since(seen, closed)
    assert told.text == "AAPL: closed with +12.50 USD (+0.8%): trail stop at -1.2% and signal decay at 0.65 (flow)"
    assert events_since(seen, replace(closed, at=AT + 3 * MINUTE))[1] == ()


def test_contracts_are_told_as_contracts_and_their_prices_to_the_tick() -> None:
    held = replace(HELD, price=Decimal("150.25"))
    (told,) = events_since(seen_of(QUIET), replace(QUIET, held=(held,), ticks={"AAPL": Decimal("0.0005")}))[1]
    assert told.text == "AAPL: bought 10 at 150.2500 USD (flow)"
    contracts = replace(ALPACA, unit="contract")
    kinds = (EventKind.PROTECTION_GAP, EventKind.PROTECTION_GAP_ENDED, EventKind.POSITION_DIFFERS, EventKind.OVERFILLED)
    texts = [
        there(of_event(kind.at(AT, DETAILS[kind] | {"ended": "closed"}, "AAPL"), contracts)).text for kind in kinds
    ]
    assert all("contracts" in text and "share" not in text for text in texts)


def test_reason_in_a_strategys_own_words_stays() -> None:
    assert reason_in_words("back at its mean: +0.10 deviations") == "back at its mean: +0.10 deviations"
    assert reason_in_words("unknown") == ""


def test_order_is_told_once_its_outcome_has_been_unknown_for_a_minute() -> None:
    record = IntentRecord(replace(make_intent(), at=AT), IntentState.UNKNOWN, None, None, AT)
    early = replace(QUIET, at=AT + MINUTE / 2, unresolved=(record,))
    seen, happened = events_since(seen_of(QUIET), early)
    assert happened == ()
    late = replace(early, at=AT + MINUTE)
    seen, (told,) = events_since(seen, late)
    assert (told.topic, told.severity) == (Topic.ORDERS, Severity.ERROR)
    assert events_since(seen, replace(late, at=AT + 2 * MINUTE))[1] == ()


def test_health_is_told_after_a_while_once_and_when_it_is_back() -> None:
    unwell = replace(QUIET, unwell="exits FAILED, the last pass is late")
    seen, happened = events_since(seen_of(QUIET), unwell)
    assert happened == ()
    assert events_since(seen, replace(QUIET, at=AT + UNWELL_FOR))[1] == (), "it came back soon"
    seen, (told,) = events_since(seen, replace(unwell, at=AT + UNWELL_FOR))
    assert told.text == "Not OK: exits FAILED, the last pass is late"
    seen, happened = events_since(seen, replace(unwell, at=AT + 2 * UNWELL_FOR))
    assert happened == ()
    (back,) = events_since(seen, replace(QUIET, at=AT + 3 * UNWELL_FOR))[1]
    assert back.text == "Health is OK again"


TOLD_AT = datetime(2026, 11, 16, 15, 31, 7, tzinfo=UTC)
EVERYTHING = Channel("phone", frozenset(Topic), frozenset(), Severity.INFO, None, 12)
NIGHT = QuietHours(time(22), time(7), "Europe/Berlin")


def told(
    text: str, topic: Topic = Topic.BOOKS, severity: Severity = Severity.WARN, at: datetime = TOLD_AT
) -> NoticeEvent:
    return NoticeEvent(at, topic, severity, "differences", text)


@given(st.text(max_size=400))
def test_no_text_can_be_read_as_a_link_a_command_a_mention_or_markup(text: str) -> None:
    line = safe(text)
    assert re.fullmatch(r"[A-Za-z0-9 .,:;%$+()'-]*", line)
    assert not re.search(r"[a-z0-9]\.[a-z]{2}", line, re.IGNORECASE), "a client would make a link of it"
    assert len(line) <= LONGEST


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("/unhalt now", "unhalt now"),
        ("@everyone look <b>here</b>", "everyone look b here b"),
        ("go to https://evil.example/x?y=1", "go to https: evil. example x y 1"),
        ("[pay](tg://resolve?domain=x)", "pay (tg: resolve domain x)"),
        ("*bold* _it_ `code` ~no~ |x|", "bold it code no x"),
        ("BRK.B: 12.50 USD, +3.1%", "BRK.B: 12.50 USD, +3.1%"),
        ("one\ntwo\u202e\x1b[31m", "one two 31m"),
    ],
)
def test_text_keeps_its_words_and_loses_what_could_act(text: str, line: str) -> None:
    assert safe(text) == line


def test_channel_is_told_its_topics_from_its_severity_on_alarms_at_once_and_in_quiet_hours_what_is_critical() -> None:
    books = Channel("desk", frozenset({Topic.BOOKS}), frozenset(), Severity.WARN, None, 12)
    chosen = [told("x"), told("x", severity=Severity.INFO), told("x", Topic.SLOTS)]
    assert [is_selected(books, each) for each in chosen] == [True, False, False]
    assert due_at(EVERYTHING, told("x"), TOLD_AT, VENUE_DAY) == TOLD_AT
    gathered = due_at(EVERYTHING, told("x", Topic.POSITIONS, Severity.INFO), TOLD_AT, VENUE_DAY)
    assert gathered == datetime(2026, 11, 16, 16, 0, tzinfo=UTC)
    quiet = Channel("phone", frozenset(Topic), frozenset(), Severity.INFO, NIGHT, 12)
    late = datetime(2026, 11, 16, 22, 30, tzinfo=UTC)
    assert due_at(quiet, told("x"), late, VENUE_DAY) == datetime(2026, 11, 17, 6, 0, tzinfo=UTC)
    assert due_at(quiet, told("x", severity=Severity.CRITICAL), late, VENUE_DAY) == late
    assert due_at(quiet, told("x"), TOLD_AT, VENUE_DAY) == TOLD_AT


@pytest.mark.parametrize(
    ("zone", "until", "clock"), [("UTC", 7, "15:31"), ("America/Chicago", 13, "09:31"), ("Asia/Tokyo", 22, "00:31")]
)
def test_quiet_hours_without_a_zone_and_the_times_in_a_notice_are_the_venues(zone: str, until: int, clock: str) -> None:
    quiet, venue = quiet_hours("22:00-07:00"), VenueDay(zone)
    late = venue.at(date(2026, 11, 16), time(22, 30))
    assert ends(quiet, late, venue) == datetime(2026, 11, 16 if until == 22 else 17, until, tzinfo=UTC)
    named = quiet_hours("22:00-07:00 Europe/Berlin")
    assert ends(named, datetime(2026, 11, 16, 22, tzinfo=UTC), venue) == datetime(2026, 11, 17, 6, tzinfo=UTC)
    assert compose_notification("bot", [told("gone")], venue).text == f"{clock} gone"


@given(st.integers(0, 7 * 24 * 60), st.integers(0, 23), st.integers(1, 23))
def test_quiet_hours_end_at_their_end_and_hold_back_nothing_outside(minute: int, since: int, hours: int) -> None:
    at, quiet = TOLD_AT + timedelta(minutes=minute), QuietHours(time(since), time((since + hours) % 24), "UTC")
    end = ends(quiet, at, VENUE_DAY)
    assert at <= end <= at + timedelta(hours=hours)
    assert ends(quiet, end, VENUE_DAY) == end
    assert end == at or end.timetz().replace(tzinfo=None) == quiet.until


@pytest.mark.parametrize("text", ["22-07", "25:00-07:00", "22:00-07:00 Mars/Base", "", "22:00 07:00"])
def test_quiet_hours_that_cannot_be_read_are_refused_with_an_example(text: str) -> None:
    with pytest.raises(ValueError, match="22:00-07:00 Europe/Berlin"):
        quiet_hours(text)


def test_many_alike_become_one_line_with_their_number_and_the_first() -> None:
    many = [told(f"AAPL: {number} shares", at=TOLD_AT + timedelta(minutes=number)) for number in range(17)]
    notice = compose_notification("tradebot paper ...1234", many, VENUE_DAY)
    assert notice.text == "17 differences, first 10:31, last 10:47: AAPL: 16 shares"
    assert notice.title == "tradebot paper ...1234: a warning"


def test_most_severe_comes_first_and_gives_the_title_and_the_rest_is_counted() -> None:
    several = [
        NoticeEvent(TOLD_AT + timedelta(seconds=n), Topic.SLOTS, Severity.INFO, f"kind {n}", f"slot {n}")
        for n in range(30)
    ]
    notice = compose_notification(
        "tradebot", [*several, told("the books are damaged", severity=Severity.CRITICAL)], VENUE_DAY
    )
    lines = notice.text.split("\n")
    assert (notice.title, notice.severity) == ("tradebot: CRITICAL", Severity.CRITICAL)
    assert lines[0] == "10:31 the books are damaged"
    assert lines[MOST_LINES:] == ["and 11 more lines: tradebot notify last"]


def test_text_of_several_lines_keeps_them_each_safe_and_says_why_it_was_held_back() -> None:
    one = NoticeEvent(TOLD_AT, Topic.SUMMARY, Severity.INFO, "summaries", "Monday: +1.2%\nsee https://evil.example")
    notice = compose_notification("tradebot", [one], VENUE_DAY)
    assert (notice.text, notice.title) == ("10:31 Monday: +1.2%\nsee https: evil. example", "tradebot")
    late = compose_notification("tradebot", [told("x")], VENUE_DAY, TOLD_AT)
    assert late.text.endswith("Held back since 10:31, because the hourly limit on notices was reached")
