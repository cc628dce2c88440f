"""The runner: order, waiting for the first comparison, failures that cost one pass, faults that end the process."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from itertools import pairwise

import pytest

from jobs.backoff import Backoff
from jobs.due_slots import SlotTracker
from jobs.runner import Done, LogKind, LogLine, Runner, RunnerContext
from tests.jobs.test_due_slots import GRACE_S, TIMETABLE
from tests.kit.values import ACCOUNT, CASH, SESSION, VENUE_DAY, lines_of, there
from tradebot.adapters.memory.facts import MemoryFacts
from tradebot.adapters.memory.ledger import MemoryLedger
from tradebot.adapters.memory.recorder import MemoryEvents
from tradebot.errors import CannotWriteError, ClocksDisagreeError, ExitCode, OperatorError, TemporaryError
from tradebot.model.bar import Session
from tradebot.model.reasons import REASONS, Reason
from tradebot.model.record import Job
from tradebot.model.serving import Pause
from tradebot.timetable import entries as timetable
from tradebot.timetable.entries import EntryNeed
from tradebot.timetable.sessions import Slot

POSITIONS = there(
    timetable.parse("positions", {"when": "every 10m from open+2m", "late": "always", "limit": "2m"}, VENUE_DAY)
)
"""A chore that is run late until its next slot begins."""


@dataclass
class Moments:
    """Trading time as a test sets it."""

    at: datetime = SESSION.open
    is_finished: bool = False
    is_trustworthy: bool = True
    slept: Pause | None = None

    @property
    def now(self) -> datetime:
        return self.at

    def rest(self) -> None:
        self.slept = None

    def pause(self) -> Pause | None:
        return self.slept

    def moments(self) -> Iterator[datetime]:
        yield self.at


@dataclass
class ExitsLane:
    """A lane of its own for exits and comparisons."""

    is_reconciled: bool = False
    looked_at: datetime | None = None


@dataclass
class Calendar:
    """The broker's calendar, which is due as often as a test says."""

    due: bool = True
    slept: int = 0
    fails: Exception | None = None

    def woke(self) -> None:
        self.slept += 1

    def is_due(self) -> bool:
        return self.due

    def ask(self) -> Done:
        if self.fails:
            raise self.fails
        self.due = False
        return Done("asked", ExitCode.DONE)


@dataclass
class Bench:
    """A runner whose verbs claim the slot of now, unless a test says that they fail."""

    ledger: MemoryLedger = field(default_factory=lambda: MemoryLedger(ACCOUNT))
    facts: MemoryFacts = field(default_factory=MemoryFacts)
    events: MemoryEvents = field(default_factory=MemoryEvents)
    pace: Moments = field(default_factory=Moments)
    lines: list[LogLine] = field(default_factory=list)
    fails: dict[Job, Exception] = field(default_factory=dict)
    during: Callable[[Job], None] = lambda job: None
    exits: ExitsLane | None = None
    unmet: Callable[[Slot], EntryNeed | None] = lambda slot: None
    spares: Callable[[], Reason | None] = lambda: None
    chores: Sequence[timetable.TimetableEntry] = ()
    retry_s: float = 0
    calendar: "Calendar | None" = None

    def __post_init__(self) -> None:
        self.ledger.put_sessions([SESSION])
        self.ledger.open_books(CASH, SESSION.open)
        lines = (*lines_of(TIMETABLE), *self.chores)
        self.duty = SlotTracker(self.ledger, lines, GRACE_S, VENUE_DAY, lambda now: None, lambda slot, now: False)
        # The verbs look for themselves, as a one-shot does.
        self.shots = SlotTracker(
            self.ledger, lines_of(TIMETABLE), GRACE_S, VENUE_DAY, lambda now: None, lambda slot, now: False
        )
        verbs = {job: self._verb(job) for job in Job}
        context = RunnerContext(
            verbs,
            "serve me/1",
            "sandbox",
            self.facts.record,
            self.events,
            self.lines.append,
            lambda: 0.0,
            self._chore,
            self.unmet,
            spares=self.spares,
            calendar=self.calendar,
        )
        backoff = Backoff(self.retry_s, 20 * self.retry_s, self.events)
        self.runner = Runner(context, self.duty, self.pace, exits=self.exits, backoff=backoff)

    def _chore(self, slot: Slot) -> Done:
        self.ledger.claim_slot(slot.job, slot.session, slot.name, "serve", self.pace.at)
        return Done("its chore is done", ExitCode.DONE)

    def _verb(self, job: Job) -> Callable[[], Done]:
        def run() -> Done:
            if job in self.fails:
                raise self.fails[job]
            for slot in self.shots.look(self.pace.at).run:
                if slot.job is job:
                    self.ledger.claim_slot(job, slot.session, slot.name, "serve", self.pace.at)
            self.during(job)
            return Done(f"{job} done", ExitCode.DONE)

        return run

    def tick(self, minute: float) -> list[tuple[LogKind, str | None]]:
        """Tick at a minute of the session and return the new lines."""
        before = len(self.lines)
        self.pace.at = SESSION.open + timedelta(minutes=minute)
        self.runner.tick()
        return [(line.kind, line.job) for line in self.lines[before:]]


RAN = LogKind.RAN


def test_books_are_compared_before_anything_else_and_then_the_chain_runs_in_its_order() -> None:
    bench = Bench()
    bench.runner.begin()
    assert [line.job for line in bench.lines] == [Job.RECONCILE]
    assert bench.tick(2) == [
        (RAN, Job.FETCH_FLOW), (RAN, Job.SCORE), (RAN, Job.EVALUATE_EXITS), (RAN, Job.TRADE_ONCE), (RAN, Job.RECONCILE),
    ]  # fmt: skip
    assert bench.tick(2.5) == []


def test_entries_wait_for_the_first_comparison_and_exits_do_not() -> None:
    bench = Bench(fails={Job.RECONCILE: TemporaryError("away")})
    bench.runner.begin()
    jobs = [job for _, job in bench.tick(2)]
    assert (Job.EVALUATE_EXITS in jobs, Job.TRADE_ONCE in jobs) == (True, False)
    del bench.fails[Job.RECONCILE]
    assert (RAN, Job.TRADE_ONCE) in bench.tick(3)


def test_jobs_wait_longer_and_longer_for_a_broker_that_is_away_and_exits_keep_asking() -> None:
    bench = Bench(fails=dict.fromkeys(Job, TemporaryError("away")), retry_s=15)
    asked = [
        (round(60 * minute), job) for minute in (step / 12 for step in range(12, 72)) for _, job in bench.tick(minute)
    ]
    exits = [second for second, job in asked if job == Job.EVALUATE_EXITS]
    compared = [second for second, job in asked if job == Job.RECONCILE]
    assert max(later - earlier for earlier, later in pairwise(exits)) <= 60
    assert [later - earlier for earlier, later in pairwise(compared)][:3] == [15, 30, 60]
    assert len(exits) > 2 * len(compared)
    bench.fails.clear()
    ran = bench.tick(6)
    assert (RAN, Job.EVALUATE_EXITS) in ran
    assert (RAN, Job.RECONCILE) in [*ran, *bench.tick(6.1)]


def test_a_person_who_starts_it_hears_at_once_what_only_a_person_can_mend() -> None:
    bench = Bench(fails={Job.RECONCILE: OperatorError("wrong keys", code=ExitCode.AUTHENTICATION)})
    with pytest.raises(OperatorError, match="wrong keys"):
        bench.runner.begin()


@pytest.mark.parametrize("full", [CannotWriteError("the disk is full", "make room"), TemporaryError("locked")])
def test_books_that_cannot_be_written_for_a_while_end_nothing(full: Exception, monkeypatch: pytest.MonkeyPatch) -> None:
    bench = Bench(fails={Job.TRADE_ONCE: full})
    bench.runner.begin()
    for broken, minute in (("write", 9), ("look", 13)):
        with monkeypatch.context() as disk:
            disk.setattr(bench.duty, broken, lambda *_: (_ for _ in ()).throw(full))
            before = bench.runner.looked_at
            told = [each for wait in (0, 0.1, 0.2, 0.4) for each in bench.tick(minute + wait)]
        assert 1 <= told.count((LogKind.FAILED, None)) <= 2, "it told of it each second"
        assert ((RAN, Job.EVALUATE_EXITS) in told) == (broken == "write"), "exits waited for a row about missed slots"
        assert (bench.runner.looked_at == before) == (broken == "look")
    bench.fails.clear()
    assert (RAN, Job.EVALUATE_EXITS) in bench.tick(17)
    assert not bench.runner.over


def test_what_cannot_be_found_out_about_a_slot_costs_that_slot_alone() -> None:
    def locked(slot: Slot) -> None:
        if slot.job == Job.SCORE:
            raise TemporaryError("locked")

    bench = Bench(unmet=locked)
    bench.runner.begin()
    assert [job for kind, job in bench.tick(2) if kind is RAN] == [
        Job.FETCH_FLOW, Job.EVALUATE_EXITS, Job.TRADE_ONCE, Job.RECONCILE
    ]  # fmt: skip


def test_a_failing_job_is_an_event_costs_its_own_pass_and_is_tried_again_after_a_while() -> None:
    bench = Bench(fails={Job.FETCH_FLOW: TemporaryError("no answer", "try later")})
    bench.runner.begin()
    assert bench.tick(2)[0] == (LogKind.FAILED, Job.FETCH_FLOW)
    assert [(line.said, line.exit_code) for line in bench.lines if line.kind is LogKind.FAILED] == [
        ("no answer; try later", ExitCode.UNAVAILABLE)
    ]
    assert (RAN, Job.TRADE_ONCE) in [(line.kind, line.job) for line in bench.lines]
    assert [event.event_type for event in bench.events.emitted] == ["job_failed"]
    assert bench.tick(2.1) == []
    assert bench.tick(2.3) == [(LogKind.FAILED, Job.FETCH_FLOW)]
    assert not bench.runner.over


def test_three_faults_of_our_own_in_a_row_end_it_with_an_error() -> None:
    bench = Bench()
    bench.runner.begin()
    bench.fails = {job: ZeroDivisionError("ours") for job in Job}
    assert bench.tick(2) == [(LogKind.FAULT, job) for job in (Job.FETCH_FLOW, Job.SCORE, Job.EVALUATE_EXITS)]
    assert (bench.runner.over, bench.runner.exit_code) == (True, ExitCode.ERROR)
    fault, exception = bench.events.emitted[-2:]
    assert (fault.event_type, "ZeroDivisionError: ours" in fault.details["message"]) == ("job_fault", True)
    details = dict(exception.details)
    assert details.pop("where").startswith(__file__)
    assert exception.event_type == "exception"
    assert details == {"job": "evaluate-exits", "exception": "ZeroDivisionError", "message": "ours"}


def test_a_good_pass_between_faults_begins_the_count_anew() -> None:
    bench = Bench()
    bench.runner.begin()
    bench.fails = {Job.FETCH_FLOW: ZeroDivisionError("ours"), Job.SCORE: ZeroDivisionError("ours")}
    bench.tick(2)
    bench.tick(12)
    assert (bench.runner.over, bench.runner.exit_code) == (False, ExitCode.DONE)


def test_no_entry_is_written_off_as_missed_at_a_time_that_nobody_can_be_sure_of() -> None:
    bench = Bench(pace=Moments(is_trustworthy=False))
    bench.runner.begin()
    assert LogKind.MISSED not in {kind for kind, _ in bench.tick(120)}
    assert not [claim for claim in bench.ledger.slot_claims(SESSION.date) if "missed" in claim.by]


NOT_MADE_UP = "Missed entries aren't made up later."


def test_a_late_entry_is_recorded_as_missed_and_the_rest_runs_once() -> None:
    bench = Bench()
    bench.runner.begin()
    found = bench.tick(25)
    assert [line.said for line in bench.lines if (line.kind, line.job) == (LogKind.MISSED, Job.TRADE_ONCE)] == [
        f"missed 2 slots, open+2m to open+12m: NOT_RUNNING. {REASONS[Reason.NOT_RUNNING].meaning} {NOT_MADE_UP}",
        f"missed: it was due 3 min ago: SLOT_MISSED. {REASONS[Reason.SLOT_MISSED].meaning} {NOT_MADE_UP}",
    ]
    assert (RAN, Job.TRADE_ONCE) not in found
    assert found.count((RAN, Job.EVALUATE_EXITS)) == 1
    missed = bench.facts.cycles(job=Job.TRADE_ONCE)
    assert [cycle.slot for cycle in missed] == ["open+2m", "open+12m", "open+22m"]


def test_an_entry_whose_grace_is_used_up_by_the_jobs_before_it_is_missed() -> None:
    bench = Bench()
    bench.runner.begin()

    def slow(job: Job) -> None:
        if job is Job.FETCH_FLOW:
            bench.pace.at += timedelta(seconds=GRACE_S + 1)

    bench.during = slow
    assert (RAN, Job.TRADE_ONCE) not in bench.tick(2)
    assert (LogKind.MISSED, Job.TRADE_ONCE) in bench.tick(4)


def test_a_stage_that_lacks_what_it_needs_waits_and_then_is_missed_and_all_others_run() -> None:
    lacking = [EntryNeed.FLOW]
    bench = Bench(unmet=lambda slot: next(iter(lacking), None) if slot.job == Job.TRADE_ONCE else None)
    bench.runner.begin()
    assert bench.tick(2) == [
        (RAN, Job.FETCH_FLOW), (RAN, Job.SCORE), (RAN, Job.EVALUATE_EXITS), (RAN, Job.RECONCILE),
    ]  # fmt: skip
    assert bench.tick(2.5) == []
    assert bench.tick(4) == [(LogKind.MISSED, Job.TRADE_ONCE)]
    assert "STAGE_FAILED" in bench.lines[-1].said
    bench.tick(12)
    lacking.clear()
    assert bench.tick(12.5) == [(RAN, Job.TRADE_ONCE)], "the stage succeeded while the slot was open"


def test_no_chore_begins_while_memory_is_short_and_every_pass_does() -> None:
    short = [Reason.MEMORY_SHORT]
    bench = Bench(spares=lambda: next(iter(short), None), chores=[POSITIONS])
    bench.runner.begin()
    ran = bench.tick(3)
    assert (len(ran), (RAN, "positions") in ran) == (5, False)
    short.clear()
    assert bench.tick(3.5) == [(RAN, "positions")], "it is run late"
    short.append(Reason.MEMORY_SHORT)
    bench.tick(13.5)
    assert (LogKind.MISSED, "positions") in bench.tick(23)
    (missed,) = [line.said for line in bench.lines if (line.kind, line.job) == (LogKind.MISSED, "positions")]
    assert "MEMORY_SHORT" in missed


def test_a_slot_whose_pass_never_got_through_is_missed_for_that_reason() -> None:
    bench = Bench(fails={Job.TRADE_ONCE: TemporaryError("no answer")})
    bench.runner.begin()
    bench.tick(2)
    bench.tick(4)
    assert "PASS_FAILED" in bench.lines[-1].said
    (claim,) = [claim for claim in bench.ledger.slot_claims(SESSION.date) if claim.job == Job.TRADE_ONCE]
    assert claim.missed_reason is Reason.PASS_FAILED


def test_asked_to_stop_it_ends_the_pass_at_work_and_begins_no_other() -> None:
    bench = Bench()
    bench.runner.begin()

    def ask(job: Job) -> None:
        bench.runner.stopping = True

    bench.during = ask
    assert bench.tick(2) == [(RAN, Job.FETCH_FLOW)]
    assert (bench.runner.over, bench.runner.exit_code) == (True, ExitCode.DONE)


def test_entries_of_a_lane_of_their_own_come_after_its_comparison_and_its_exits_but_not_much_later() -> None:
    exits = ExitsLane()
    bench = Bench(exits=exits)
    bench.fails[Job.RECONCILE] = TemporaryError("away")
    entered = (LogKind.RAN, Job.TRADE_ONCE)
    exits.looked_at = SESSION.open + timedelta(minutes=2)
    assert entered not in bench.tick(2), "the books weren't compared"
    exits.is_reconciled = True
    exits.looked_at = SESSION.open + timedelta(minutes=1.9)
    assert entered not in bench.tick(2.05), "the exits of the same minute are still to come"
    exits.looked_at = SESSION.open + timedelta(minutes=2)
    assert entered in bench.tick(2.1)
    assert entered not in bench.tick(12.02)
    assert entered in bench.tick(12 + (GRACE_S / 2 + 1) / 60), "exits that never come don't keep entries"


def test_after_a_sleep_books_are_compared_before_anything_else_and_a_sentence_tells_of_it() -> None:
    bench = Bench()
    bench.runner.begin()
    bench.tick(2)
    bench.pace.slept = Pause(SESSION.open + timedelta(minutes=2), SESSION.open + timedelta(minutes=40), 2280)
    found = bench.tick(40)
    ran = [job for kind, job in found if kind is RAN]
    assert ran == [Job.RECONCILE, Job.FETCH_FLOW, Job.SCORE, Job.EVALUATE_EXITS]
    notes = [line.said for line in bench.lines if line.kind is LogKind.NOTE]
    assert notes == [
        "the machine slept for 38 minutes, from 2026-11-16 14:32:00 UTC to 2026-11-16 15:10:00 UTC: "
        "comparing books and broker first"
    ]
    assert [event.event_type for event in bench.events.emitted].count("slept") == 1
    missed = {
        claim.slot: claim.missed_reason for claim in bench.ledger.slot_claims(SESSION.date) if claim.job == "trade-once"
    }
    assert missed == {"open+2m": None, "open+12m": Reason.ASLEEP, "open+22m": Reason.ASLEEP, "open+32m": Reason.ASLEEP}


def test_books_are_compared_once_more_a_minute_after_the_close_and_again_if_the_broker_is_away() -> None:
    bench, close = Bench(), (SESSION.close - SESSION.open) / timedelta(minutes=1)
    bench.runner.begin()
    bench.tick(close - 1)
    assert bench.tick(close + 0.9) == []
    bench.fails[Job.RECONCILE] = TemporaryError("away")
    assert bench.tick(close + 1) == [(LogKind.FAILED, Job.RECONCILE)]
    del bench.fails[Job.RECONCILE]
    assert bench.tick(close + 2) == [(RAN, Job.RECONCILE)]
    assert bench.tick(close + 600) == []


def test_no_comparison_is_added_where_the_next_session_opens_at_the_close() -> None:
    bench, close = Bench(), (SESSION.close - SESSION.open) / timedelta(minutes=1)
    after = Session(SESSION.date + timedelta(days=1), SESSION.close, SESSION.close + timedelta(hours=6))
    bench.ledger.put_sessions([SESSION, after])
    bench.runner.begin()
    bench.tick(close - 1)
    assert bench.tick(close + 1) == [(RAN, Job.RECONCILE)]
    assert bench.lines[-1].slot == "open+1m"


def test_after_a_sleep_entries_of_a_lane_of_their_own_wait_for_a_comparison_that_came_after_it() -> None:
    exits = ExitsLane(is_reconciled=True, looked_at=SESSION.open + timedelta(minutes=2))
    bench = Bench(exits=exits)
    bench.runner.begin()
    bench.fails[Job.RECONCILE] = TemporaryError("away")
    entered = (LogKind.RAN, Job.TRADE_ONCE)
    assert entered in bench.tick(2)
    bench.pace.slept = Pause(SESSION.open + timedelta(minutes=2), SESSION.open + timedelta(minutes=12), 0)
    assert entered not in bench.tick(12), "the other lane hasn't woken up yet"
    exits.looked_at = SESSION.open + timedelta(minutes=12)
    assert entered in bench.tick(12.1)


def test_the_brokers_calendar_is_asked_before_anything_else_and_what_it_lacks_costs_no_pass() -> None:
    bench = Bench(calendar=Calendar(fails=TemporaryError("away")))
    assert bench.calendar is not None
    assert bench.tick(2)[0] == (LogKind.FAILED, "calendar")
    assert {(RAN, Job.EVALUATE_EXITS), (RAN, Job.TRADE_ONCE)} <= {(line.kind, line.job) for line in bench.lines}
    bench.calendar.fails = None
    assert bench.tick(2.1) == [], "it was just asked"
    assert bench.tick(2.3) == [(RAN, "calendar")]
    assert bench.tick(2.6) == []


def test_the_brokers_calendar_is_not_asked_about_a_date_that_nobody_believes() -> None:
    bench = Bench(calendar=Calendar())
    bench.pace.is_trustworthy = False
    assert (RAN, "calendar") not in bench.tick(2)
    bench.pace.is_trustworthy = True
    assert bench.tick(2.5) == [(RAN, "calendar")]


def test_after_a_sleep_the_brokers_calendar_is_asked_again() -> None:
    bench = Bench(calendar=Calendar(due=False))
    assert bench.calendar is not None
    bench.tick(2)
    bench.pace.slept = Pause(SESSION.open + timedelta(minutes=2), SESSION.open + timedelta(minutes=40), 2280)
    bench.tick(40)
    assert bench.calendar.slept == 1


def test_what_was_tried_before_the_brokers_clock_was_set_back_is_tried_again_at_once() -> None:
    bench = Bench(fails={Job.RECONCILE: TemporaryError("away"), Job.EVALUATE_EXITS: TemporaryError("away")})
    bench.pace.is_trustworthy = False
    bench.tick(62)
    bench.fails.clear()
    bench.pace.is_trustworthy = True
    assert {(RAN, Job.RECONCILE), (RAN, Job.EVALUATE_EXITS), (RAN, Job.TRADE_ONCE)} <= set(bench.tick(2))


def test_clocks_that_disagree_are_no_broker_or_flow_source_that_does_not_answer() -> None:
    apart = ClocksDisagreeError("CLOCKS_DISAGREE")
    bench = Bench(fails=dict.fromkeys({*Job} - {Job.EVALUATE_EXITS}, apart), retry_s=600)
    bench.pace.is_trustworthy = False
    for minute in (2, 2.5, 3):
        bench.tick(minute)
    assert "dependency_away" not in [event.event_type for event in bench.events.emitted]
    bench.fails.clear()
    bench.pace.is_trustworthy = True
    assert {(RAN, Job.FETCH_FLOW), (RAN, Job.SCORE), (RAN, Job.RECONCILE)} <= set(bench.tick(3.5)), "nothing waits"


def test_a_clock_that_was_wrong_at_the_last_look_is_no_sleep() -> None:
    bench = Bench()
    bench.runner.begin()
    bench.tick(32)
    bench.pace.is_trustworthy = False
    bench.tick(7)
    bench.pace.is_trustworthy = True
    bench.tick(64)
    claims = bench.ledger.slot_claims(SESSION.date)
    reasons = {claim.missed_reason for claim in claims if claim.missed_reason}
    assert Reason.ASLEEP not in reasons
    assert Reason.SLOT_SUPERSEDED in reasons


def test_passes_beside_the_slots_are_apart_and_limited_and_cost_a_slot_nothing() -> None:
    bench = Bench()
    bench.runner.begin()
    ran, exits = list[int](), lambda: Done("again", ExitCode.DONE)
    for second in range(120, 1320):
        bench.tick(second / 60)
        if bench.runner.run_again(Job.EVALUATE_EXITS, exits):
            ran.append(second - 120)
    assert ran == [*range(0, 50, 5), *range(600, 650, 5)]
    slots = [line.slot for line in bench.lines if line.job is Job.EVALUATE_EXITS and line.said != "again"]
    assert slots == ["open+2m", "open+7m", "open+12m", "open+17m"], "a slot was run twice, or not at all"


def test_a_pass_beside_the_slots_that_fails_is_told_and_a_clock_set_back_delays_none() -> None:
    bench = Bench(retry_s=15)
    bench.runner.begin()
    bench.tick(10)

    def fails() -> Done:
        raise TemporaryError("away")

    assert bench.runner.run_again(Job.EVALUATE_EXITS, fails)
    assert (bench.lines[-1].kind, bench.lines[-1].said) == (LogKind.FAILED, "away")
    bench.tick(5)
    assert bench.runner.run_again(Job.EVALUATE_EXITS, lambda: Done("again", ExitCode.DONE))
    bench.runner.stopping = True
    bench.tick(9)
    assert not bench.runner.run_again(Job.EVALUATE_EXITS, fails)
