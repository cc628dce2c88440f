"""What has happened: events in words, and what differs from the last look."""

from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest

from tests.kit.fakes.machine import flaws
from tests.kit.rows import make_intent
from tests.kit.values import VENUE_DAY, there
from tradebot.model.event import EventKind, Severity, SystemEvent
from tradebot.model.intent import IntentRecord, IntentState
from tradebot.model.notice import PreviousPosition, Topic
from tradebot.model.position import RoundTrip
from tradebot.model.reasons import REASONS, Reason
from tradebot.model.struct_tools import replace
from tradebot.model.trading import TradingState, TradingStateRecord
from tradebot.venues.alpaca.capabilities import ALPACA
from tradebot.views.notification_events import (
    OF_EVENTS,
    UNWELL_FOR,
    CurrentStatus,
    compose_notification,
    events_since,
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
    EventKind.LIQUIDATED: {"strategies": "", "side": "sell", "quantity": "3", "price": "90.5", "parts": "2", "at": "x"},
    EventKind.SETTLED: {
        "strategies": "flow",
        "side": "sell",
        "quantity": "3",
        "price": "90.5",
        "parts": "1",
        "at": "x",
    },
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
    EventKind.MEMORY_SHORT: {"message": "820 MB of 1,000: no chore begins until there is less"},
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
        (BEGAN, {}, "perhaps no stop protects 10 shares, because the broker's answers about it disagree"),
        (ENDED, {"ended": "stop"}, "after at most 61 seconds without a stop, a stop rests"),
        (
            ENDED,
            {"ended": "stop", "lasted_s": "0.000"},
            "the broker's answers agree again, and a stop has rested all along",
        ),
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
