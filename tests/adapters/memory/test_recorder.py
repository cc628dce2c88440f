"""However little is kept of each pass, the core reads back the same, and the report has each session's end."""

from collections.abc import Mapping
from datetime import date, timedelta
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.kit.rows import DAY, FAILED, NOW, PASSED, make_cycle
from tradebot.adapters.memory.recorder import Recorder, RecordLevel
from tradebot.model.decision import Decision, Gate, Verdict
from tradebot.model.reasons import Reason
from tradebot.model.record import CandidateRecord, CycleRecord, ExitPrice, Job, StrategyRefusal
from tradebot.model.struct_tools import replace

JOBS = (Job.TRADE_ONCE, Job.EVALUATE_EXITS, Job.SCORE)
CUT = Decision(Gate.JOB, Verdict.UNKNOWN, Reason.CUT_SHORT)
SENT = CandidateRecord(make_cycle("x").candidates[0].candidate, (PASSED,), "sent")
REFUSED = CandidateRecord(make_cycle("x").candidates[1].candidate, (PASSED, FAILED))


def own(record: CandidateRecord, slot: str, session: date) -> CandidateRecord:
    """Return the record of a candidate that was proposed in a slot of the strategy's own clock."""
    return replace(record, candidate=replace(record.candidate, slot=slot, slot_session=session))


@st.composite
def passes(draw: st.DrawFn) -> list[CycleRecord]:
    """Return a run's passes in the order in which they were recorded; some are recorded again."""
    found, day, slot = list[CycleRecord](), 0, "monthly"
    for number in range(draw(st.integers(0, 25))):
        day += draw(st.sampled_from([0, 0, 0, 1, 3]))
        at, session = NOW + timedelta(days=day, minutes=5 * number), DAY + timedelta(days=day)
        if draw(st.integers(0, 5)) == 0:
            slot = f"slot of {session}"
        records = draw(st.sampled_from([(), (SENT,), (REFUSED,), (SENT, REFUSED), (own(SENT, slot, session),)]))
        made = CycleRecord(
            id=f"pass {number}",
            job=draw(st.sampled_from(JOBS)),
            session=session,
            slot=f"open+{5 * (number // 2)}m",
            at=at,
            mode="sandbox",
            candidates=records,
            job_decision=draw(st.sampled_from([None, None, CUT])),
            equity=draw(st.sampled_from([None, Decimal(100_000 + number)])),
            marks=draw(st.sampled_from([(), (ExitPrice("AAPL", Decimal(number)),)])),
        )
        if draw(st.booleans()):
            found.append(replace(made, candidates=(), equity=None, marks=(), job_decision=CUT))
        found.append(made)
    return found


def of_slots(cycles: tuple[CycleRecord, ...]) -> dict[Any, str]:
    """Return the last pass that judged candidates of each slot of a strategy's own clock."""
    found = [(one, record.candidate) for one in cycles for record in one.candidates]
    return {(c.strategy, c.slot_session, c.slot): one.id for one, c in found if c.slot}


def read_back(recorder: Recorder, last: CycleRecord) -> Mapping[str, object]:
    """Return what the core asks of the records after a pass."""
    session_began = last.at - timedelta(hours=1)
    traded = tuple(recorder.cycles(job=Job.TRADE_ONCE))
    return {
        "the last two": [recorder.cycles(job=job, last=2) for job in JOBS],
        "of the session": [recorder.cycles(job=job, since=session_began) for job in JOBS],
        "heads": recorder.passes(session_began),
        "marks": recorder.marks(session_began, last.at),
        "scores": recorder.scores([("flow", "SYM0"), ("flow", "SYM1")], last.at - timedelta(days=8), last.at),
        "unfinished": recorder.unfinished(last),
        "slots": list(of_slots(traded).items())[-1:],
        "ends": recorder.session_ends(date.min, date.max),
    }


@pytest.mark.parametrize("level", [RecordLevel.NONE, RecordLevel.COUNTS])
@settings(max_examples=settings().max_examples // 2)
@given(made=passes())
def test_every_level_answers_the_core_like_a_full_record(level: RecordLevel, made: list[CycleRecord]) -> None:
    full, less = Recorder(RecordLevel.FULL), Recorder(level)
    for cycle in made:
        full.record(cycle)
        less.record(cycle)
        assert read_back(less, cycle) == read_back(full, cycle)


@settings(max_examples=settings().max_examples // 2)
@given(passes())
def test_counts_and_saved_passes_are_those_of_the_last_records(made: list[CycleRecord]) -> None:
    recorders = {level: Recorder(level) for level in RecordLevel}
    for cycle in made:
        for recorder in recorders.values():
            recorder.record(cycle)
    last = {(cycle.job, cycle.id): cycle for cycle in made}
    ends = [(c.session, r.terminal) for c in last.values() if c.job is Job.TRADE_ONCE for r in c.candidates]
    found = recorders[RecordLevel.COUNTS].ended_for()
    assert found == recorders[RecordLevel.FULL].ended_for()
    assert sum(sum(counts.values()) for counts in found.values()) == len(ends)
    assert {day: counts.get(None, 0) for day, counts in found.items() if None in counts} == {
        day: count for day in found if (count := sum(d == day and end is None for d, end in ends))
    }
    assert list(recorders[RecordLevel.FULL].to_save()) == sorted(last.values(), key=lambda cycle: cycle.at)
    sent = {c.id: sum(r.client_order_id is not None for r in c.candidates) for c in last.values()}
    saved = {cycle.id: len(cycle.candidates) for cycle in recorders[RecordLevel.COUNTS].to_save()}
    assert {name: count for name, count in saved.items() if count} == {n: count for n, count in sent.items() if count}
    ends_of = [Recorder(RecordLevel.FULL) for _ in range(2)]
    for recorder, level in zip(ends_of, (RecordLevel.NONE, RecordLevel.COUNTS), strict=True):
        for cycle in recorders[level].to_save():
            recorder.record(cycle)
        assert recorder.session_ends(date.min, date.max) == recorders[RecordLevel.FULL].session_ends(date.min, date.max)


def test_each_pass_that_left_a_strategy_out_counts_once_for_each_reason() -> None:
    missing = Decision(Gate.NEEDS, Verdict.UNKNOWN, Reason.BARS_MISSING, 0, 127)
    late = [StrategyRefusal("rotation", missing, symbol) for symbol in ("XLC", "XLRE")]
    recorder, silent = Recorder(RecordLevel.COUNTS), Recorder(RecordLevel.NONE)
    for name in ("one", "one", "two"):
        for each in (recorder, silent):
            each.record(replace(make_cycle(name, NOW), refused_strategies=tuple(late)))
    assert recorder.passed_over() == {("rotation", Reason.BARS_MISSING): 2}
    assert silent.passed_over() == {}


def test_kept_passes_do_not_grow_with_the_sessions() -> None:
    recorder = Recorder(RecordLevel.NONE)
    for number in range(200):
        day = timedelta(days=number)
        recorder.record(replace(make_cycle(f"pass {number}", NOW + day), session=DAY + day))
    assert len(recorder.cycles(job=Job.TRADE_ONCE)) <= 4
    assert recorder.ended_for() == {}
