"""A slot is claimed once; a person may ask for more passes in it."""

from datetime import timedelta
from decimal import Decimal
from typing import Any, cast

from jobs.slot_claims import SlotRefused, claim
from tests.kit.values import ACCOUNT, SESSION, VENUE_DAY
from tradebot.adapters.memory.ledger import MemoryLedger
from tradebot.app.settings import load
from tradebot.model.reasons import Reason
from tradebot.model.record import Job
from tradebot.model.trading import as_missed
from tradebot.ports.world import Call
from tradebot.timetable.sessions import slot_at

TIMETABLE = load(None, {}).settings.timetable


def test_a_slot_can_be_forced_any_number_of_times_and_each_pass_has_a_name_of_its_own() -> None:
    ledger, now = MemoryLedger(ACCOUNT), SESSION.open + timedelta(minutes=10)
    ledger.put_sessions([SESSION])
    ledger.open_books(Decimal(1), SESSION.open)
    calls = [claim(ledger, TIMETABLE, Job.TRADE_ONCE, now, VENUE_DAY, "a person", force=True) for _ in range(1_200)]
    names = [call.slot for call in calls if isinstance(call, Call)]
    assert names[1:] == [f"{names[0]}#{number}" for number in range(2, 1_201)]


def test_an_entry_that_comes_later_than_its_grace_is_missed_whoever_asks() -> None:
    ledger, began = MemoryLedger(ACCOUNT), SESSION.open + timedelta(minutes=7)
    ledger.put_sessions([SESSION])
    ledger.open_books(Decimal(1), SESSION.open)

    def ask(late_s: int, job: Job = Job.TRADE_ONCE, **how: Any) -> Call | tuple[Reason | None, object, object]:
        got = claim(ledger, TIMETABLE, job, began + timedelta(seconds=late_s), VENUE_DAY, "cron", grace_s=90, **how)
        return got if isinstance(got, Call) else (got.decision.reason, got.decision.observed, got.decision.limit)

    missed = (Reason.SLOT_MISSED, 91, 90)
    assert isinstance(ask(91, part="candidates-1"), Call), "somebody's own candidates have no slot to be late for"
    assert isinstance(ask(91, dry_run=True), Call)
    assert isinstance(ask(91, Job.EVALUATE_EXITS), Call), "exits are never too late"
    assert isinstance(ask(90, look=True), Call)
    assert ask(91, look=True) == missed
    assert ask(91) == missed
    (claimed,) = [each for each in ledger.slot_claims(SESSION.date) if each.slot == "open+7m"]
    assert claimed.missed_reason is Reason.SLOT_MISSED
    assert cast("tuple[Reason, str, None]", ask(91))[0] is Reason.SLOT_TAKEN
    forced = ask(91, force=True)
    assert isinstance(forced, Call)
    assert forced.slot == "open+7m#2"
    in_time = ask(390)
    assert isinstance(in_time, Call)
    assert in_time.slot == "open+12m"


def test_an_entry_that_was_cut_short_is_not_taken_up_again_when_it_is_late() -> None:
    ledger, began = MemoryLedger(ACCOUNT), SESSION.open + timedelta(minutes=7)
    ledger.put_sessions([SESSION])
    ledger.open_books(Decimal(1), SESSION.open)
    for late_s, kind in ((0, Call), (90, Call), (91, SlotRefused)):
        now = began + timedelta(seconds=late_s)
        got = claim(ledger, TIMETABLE, Job.TRADE_ONCE, now, VENUE_DAY, "cron", grace_s=90, unfinished=lambda call: True)
        assert isinstance(got, kind), late_s


def test_an_extra_slot_that_another_process_claims_meanwhile_is_left_to_it() -> None:
    ledger, now = MemoryLedger(ACCOUNT), SESSION.open + timedelta(minutes=10)
    ledger.put_sessions([SESSION])
    ledger.open_books(Decimal(1), SESSION.open)
    first = claim(ledger, TIMETABLE, Job.RECONCILE, now, VENUE_DAY, "serve")
    assert isinstance(first, Call)
    ledger.claim_slot(Job.RECONCILE, SESSION.date, f"{first.slot}#2", "another", now)
    ledger.slot_claims = lambda session: ()  # type: ignore[method-assign]
    second = claim(ledger, TIMETABLE, Job.RECONCILE, now, VENUE_DAY, "a person")
    assert isinstance(second, Call)
    assert second.slot == f"{first.slot}#3"


def test_an_entry_that_is_written_as_missed_is_never_made_up_and_exits_are_cut_short_at_most() -> None:
    ledger, now = MemoryLedger(ACCOUNT), SESSION.open + timedelta(minutes=10)
    ledger.put_sessions([SESSION])
    ledger.open_books(Decimal(1), SESSION.open)
    for job, resumes in ((Job.TRADE_ONCE, False), (Job.EVALUATE_EXITS, True)):
        slot = slot_at(job, TIMETABLE[job], SESSION, now)
        assert slot is not None
        ledger.miss_slots([slot.key], as_missed("serve", Reason.SLOT_MISSED), now)
        found = claim(ledger, TIMETABLE, job, now, VENUE_DAY, "cron", unfinished=lambda call: True)
        assert isinstance(found, Call) is resumes, job
