"""Who is due now: one claim for each slot whoever comes, late entries missed, everything else run once."""

from collections.abc import Sequence
from datetime import datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st

from jobs.duty import Duty
from tests.builders import ACCOUNT, CASH, SESSION
from tradebot.adapters.memory.ledger import MemoryLedger
from tradebot.model.reasons import Reason
from tradebot.model.record import Job
from tradebot.timetable.job_times import parse
from tradebot.timetable.slots import slots

TIMETABLE = {
    Job.FETCH_FLOW: parse("every 10m from open+2m"),
    Job.SCORE: parse("every 10m from open+2m"),
    Job.EVALUATE_EXITS: parse("every 5m from open+2m"),
    Job.TRADE_ONCE: parse("every 10m from open+2m until close-20m"),
    Job.RECONCILE: parse("at open+1m, at close-10m"),
}
GRACE_S = 90


def duty(ledger: MemoryLedger, opened_at: datetime = SESSION.open, *, unfinished: Sequence[Job] = ()) -> Duty:
    ledger.put_sessions([SESSION])
    ledger.open_books(CASH, opened_at)
    return Duty(ledger, TIMETABLE, GRACE_S, lambda now: None, lambda slot, now: slot.job in unfinished)


def at(minute: float) -> datetime:
    return SESSION.open + timedelta(minutes=minute)


def claim_all(ledger: MemoryLedger, found: Duty, now: datetime) -> list[tuple[Job, str]]:
    due = found.look(now)
    for slot in due.run:
        ledger.claim_slot(slot.job, slot.session, slot.name, "serve", now)
    for slot in due.missed:
        assert found.write_missed(slot, now, "serve", "sandbox")
    return [(slot.job, slot.name) for slot in due.run]


def test_nothing_is_due_before_the_first_slot_and_after_the_close() -> None:
    found = duty(MemoryLedger(ACCOUNT))
    for minute in (-30, 0, 390, 500):
        assert found.look(at(minute)).run == ()


def test_what_is_due_together_comes_in_the_order_of_the_chain() -> None:
    due = duty(MemoryLedger(ACCOUNT)).look(at(2))
    assert [slot.job for slot in due.run] == [
        Job.FETCH_FLOW, Job.SCORE, Job.EVALUATE_EXITS, Job.TRADE_ONCE, Job.RECONCILE,
    ]  # fmt: skip


def test_a_slot_that_somebody_else_filled_is_not_due() -> None:
    ledger = MemoryLedger(ACCOUNT)
    found = duty(ledger)
    ledger.claim_slot("evaluate-exits", SESSION.date, "open+2m", "cron", at(2))
    assert Job.EVALUATE_EXITS not in [slot.job for slot in found.look(at(2)).run]


def test_a_claimed_slot_whose_pass_was_cut_short_is_due_until_it_is_finished_and_entries_never_are() -> None:
    ledger, cut_short = MemoryLedger(ACCOUNT), [Job.EVALUATE_EXITS, Job.TRADE_ONCE]
    found = duty(ledger, unfinished=cut_short)
    claim_all(ledger, found, at(2))
    assert [slot.job for slot in found.look(at(2.5)).run] == [Job.EVALUATE_EXITS]
    cut_short.clear()
    assert found.look(at(3)).run == ()


def test_a_slot_that_nobody_claimed_is_due_again_until_its_end() -> None:
    found = duty(MemoryLedger(ACCOUNT))
    assert found.look(at(2)).run == found.look(at(2.5)).run
    assert [s.name for s in found.look(at(7)).run if s.job is Job.EVALUATE_EXITS] == ["open+7m"]


def test_after_a_sleep_each_job_runs_once_for_its_latest_slot_and_entries_are_missed() -> None:
    ledger = MemoryLedger(ACCOUNT)
    found = duty(ledger)
    due = found.look(at(64))
    assert [(slot.job, slot.name) for slot in due.run] == [
        (Job.FETCH_FLOW, "open+62m"),
        (Job.SCORE, "open+62m"),
        (Job.EVALUATE_EXITS, "open+62m"),
        (Job.RECONCILE, "open+1m"),
    ]
    assert [slot.name for slot in due.missed] == [f"open+{n}m" for n in range(2, 63, 10)]
    assert found.look(at(64)).missed == ()


def test_an_entry_within_the_grace_is_run_and_one_beyond_it_is_missed() -> None:
    for second, late in ((GRACE_S, False), (GRACE_S + 1, True)):
        due = duty(MemoryLedger(ACCOUNT)).look(at(2) + timedelta(seconds=second))
        assert (Job.TRADE_ONCE in [slot.job for slot in due.run], bool(due.missed)) == (not late, late)


def test_slots_from_before_there_were_books_are_nobodys() -> None:
    due = duty(MemoryLedger(ACCOUNT), opened_at=at(45)).look(at(58))
    assert [slot.name for slot in due.missed] == ["open+42m", "open+52m"]


def test_a_missed_slot_is_claimed_and_recorded_with_how_late_it_was() -> None:
    ledger = MemoryLedger(ACCOUNT)
    found = duty(ledger)
    slot = found.look(at(5)).missed[0]
    record = found.write_missed(slot, at(5), "serve me/1", "sandbox")
    assert record is not None
    assert record.job_decision is not None
    assert (record.job_decision.reason, record.job_decision.observed, record.job_decision.limit) == (
        Reason.SLOT_MISSED,
        180,
        GRACE_S,
    )
    assert ledger.slot_claims(SESSION.date)[0].by == "serve me/1, as missed"
    assert found.write_missed(slot, at(5), "serve me/1", "sandbox") is None


@given(looks=st.lists(st.integers(0, 400 * 60), min_size=1, max_size=40))
def test_however_the_looks_fall_no_slot_runs_twice_and_no_entry_outside_its_time(looks: list[int]) -> None:
    ledger = MemoryLedger(ACCOUNT)
    found, ran = duty(ledger), []
    planned = {
        (job, slot.name): slot for job in TIMETABLE for slot in slots(job, TIMETABLE[job], SESSION)
    }  # fmt: skip
    for second in sorted(looks):
        now = SESSION.open + timedelta(seconds=second)
        for key in claim_all(ledger, found, now):
            ran.append(key)
            assert planned[key].start <= now < planned[key].end
            if key[0] is Job.TRADE_ONCE:
                assert now - planned[key].start <= timedelta(seconds=GRACE_S)
    assert len(ran) == len(set(ran))
    claims = ledger.slot_claims(SESSION.date)
    entries = [claim for claim in claims if claim.job == Job.TRADE_ONCE]
    last = SESSION.open + timedelta(seconds=max(looks))
    # A slot just begun within its grace was run; each one before the last look was run or missed, none forgotten.
    assert len(entries) == sum(slot.start <= last for (job, _), slot in planned.items() if job is Job.TRADE_ONCE)
