"""What counts as a finished pass, and what passes and claims are evidence of."""

from dataclasses import replace
from decimal import Decimal
from typing import Any

import pytest

from tests.builders import DAY, NOW, ago, held
from tradebot.judging.evidence import Broker, ChoreRun, Clocks, Missed, Passes, Prices, Strategies
from tradebot.judging.passes import (
    broker_of,
    calendar_differs,
    came,
    clocks_of,
    facts_of,
    is_finished,
    last_run,
    passes_of,
    prices_of,
    schedule_of,
    strategies_of,
)
from tradebot.model.decision import Decision, Gate, Verdict
from tradebot.model.reasons import Reason
from tradebot.model.record import CycleRecord, Gap, Job, StrategyRefusal
from tradebot.model.trading import ReconcileMark, SlotClaim, as_missed
from tradebot.timetable.lines import parse
from tradebot.timetable.slots import Slot


def cycle(job: Job = Job.EVALUATE_EXITS, *, age_s: float = 0, why: Reason | None = None, **changes: Any) -> CycleRecord:
    """Return a pass that finished, or one that ended for a reason."""
    ended = Decision(Gate.JOB, Verdict.FAIL, why, "12.0") if why else None
    slot = f"open+{30 - int(age_s // 60)}m"
    usual = CycleRecord(f"{job}.{DAY}.{slot}", job, DAY, slot, ago(age_s), "paper", job_decision=ended)
    return replace(usual, **changes)


def slot(job: Job, name: str, age_s: float, lasts_s: float = 60) -> Slot:
    return Slot(job, DAY, name, ago(age_s), ago(age_s - lasts_s))


def claim(job: str, name: str, age_s: float = 0) -> SlotClaim:
    return SlotClaim(job, DAY, name, "cron 9", ago(age_s), won=True)


@pytest.mark.parametrize(
    ("record", "finished"),
    [
        (cycle(), True),
        (cycle(why=Reason.MARKET_CLOSED), True),
        (cycle(why=Reason.CUT_SHORT), False),
        (cycle(why=Reason.SLOT_MISSED), False),
        (cycle(why=Reason.CLOCKS_DISAGREE), False),
        (cycle(why=Reason.OUTSIDE_TIMETABLE), False),
        (cycle(why=Reason.VENUE_UNREACHABLE), False),
        (cycle(dry_run=True), False),
        (cycle(slot="open+7m/mine.csv"), False),
    ],
)
def test_only_a_pass_that_did_its_work_is_finished(record: CycleRecord, finished: bool) -> None:
    assert is_finished(record) is finished
    assert passes_of(Job.EVALUATE_EXITS, [record], (), ()).finished == finished


def test_a_job_counts_its_own_passes_and_the_slots_that_were_claimed() -> None:
    slots = [slot(Job.SCORE, "open+2m", 600), slot(Job.SCORE, "open+7m", 300)]
    claims = [claim(Job.SCORE, "open+7m"), claim(Job.TRADE_ONCE, "open+2m"), claim(Job.SCORE, "open+7m#2")]
    cycles = [cycle(Job.SCORE, age_s=300), cycle(Job.SCORE, age_s=600), cycle(Job.TRADE_ONCE)]
    assert passes_of(Job.SCORE, cycles, slots, claims) == Passes(2, ago(300), 2, 1)


def test_the_last_pass_of_exits_that_looked_says_which_gaps_there_are() -> None:
    gap = Gap("flow", "AAPL", Decimal(10), ago(300), "suspended")
    cycles = [cycle(age_s=120, gaps=()), cycle(age_s=60, gaps=(gap,)), cycle(why=Reason.MARKET_CLOSED)]
    assert passes_of(Job.EVALUATE_EXITS, cycles, (), ()).gaps == (gap,)


def test_the_broker_answered_last_when_a_pass_read_the_account_or_the_books_were_compared() -> None:
    read = cycle(age_s=120, equity=Decimal(1))
    assert broker_of([read, cycle()], None) == Broker(1, ago(120))
    assert broker_of([read], ReconcileMark(ago(60), 0, 0)) == Broker(2, ago(60))
    assert broker_of([cycle()], None) is None
    lost = cycle(age_s=120, why=Reason.VENUE_UNREACHABLE)
    assert broker_of([read, lost], None) == Broker(1, ago(120), ago(120), "12.0")


def test_prices_are_those_of_the_last_pass_of_exits_that_read_the_account() -> None:
    priced, seen = cycle(age_s=60, equity=Decimal(1)), {ago(60): ["MSFT"]}.__getitem__
    assert prices_of([cycle(age_s=30)], [], seen) is None
    assert prices_of([priced], [], seen) == Prices(1, ago(60), 0)
    older = replace(held(age_s=600).position, symbol="AAPL")
    assert prices_of([priced], [older], seen) == Prices(1, ago(60), 1, ("AAPL",))
    assert prices_of([priced], [replace(older, symbol="MSFT")], seen) == Prices(1, ago(60), 1)
    newer = held(age_s=30).position
    assert prices_of([priced], [newer], seen) == Prices(1, ago(60), 0), "that pass couldn't know it"


def test_clocks_agree_if_the_last_pass_that_compared_them_went_on() -> None:
    apart = cycle(age_s=60, why=Reason.CLOCKS_DISAGREE)
    assert clocks_of([]) is None
    assert clocks_of([apart, cycle()]) == Clocks(1, NOW)
    assert clocks_of([cycle(age_s=120), apart]) == Clocks(2, ago(60), "two clocks are 12.0 s apart")
    assert clocks_of([apart]) == Clocks(1, ago(60), "two clocks are 12.0 s apart")


def test_the_calendar_differs_if_the_newest_pass_says_so() -> None:
    differs = cycle(age_s=60, why=Reason.CALENDAR_DISAGREES)
    assert calendar_differs([differs]) == "12.0"
    assert calendar_differs([differs, cycle()]) == ""
    assert calendar_differs([]) == ""


def test_strategies_were_asked_by_the_last_pass_of_entries() -> None:
    refused = Decision(Gate.STRATEGY, Verdict.FAIL, Reason.STRATEGY_FAILED)
    asked = cycle(Job.TRADE_ONCE, age_s=60, refused_strategies=(StrategyRefusal("flow", refused),))
    assert strategies_of(["flow"], []) == Strategies(("flow",), None)
    assert strategies_of(["flow"], [asked]) == Strategies(("flow",), ago(60), ("flow is BROKEN (STRATEGY_FAILED)",))
    assert strategies_of(["flow"], [asked, cycle(Job.TRADE_ONCE)]) == Strategies(("flow",), NOW)


def test_a_slot_is_missed_if_it_is_accounted_for_as_missed_or_is_over_and_nobody_claimed_it() -> None:
    exits = [slot(Job.EVALUATE_EXITS, "open+28m", 120), slot(Job.EVALUATE_EXITS, "open+29m", 60)]
    entries = [slot(Job.TRADE_ONCE, "open+20m", 600, 300), slot(Job.TRADE_ONCE, "open+30m", 0, 300)]
    asleep = replace(claim(Job.TRADE_ONCE, "open+20m", 200), by=as_missed("serve 7", Reason.ASLEEP))
    claims = [asleep, claim(Job.EVALUATE_EXITS, "open+28m"), replace(asleep, job="audit", slot="close+10m")]
    claims.append(replace(asleep, job="own flow"))
    ended = SlotClaim("audit ended", DAY, "close+10m", "well, 2.0 s", NOW, won=False)
    found = schedule_of({Job.TRADE_ONCE: entries, Job.EVALUATE_EXITS: exits}, {"audit"}, [*claims, ended], NOW)
    assert found.slots == 5
    assert set(found.missed) == {
        Missed("trade-once", "open+20m", "ASLEEP"),
        Missed("audit", "close+10m", "ASLEEP"),
        Missed("evaluate-exits", "open+29m", "nobody ran it"),
    }
    assert passes_of(Job.TRADE_ONCE, [], entries, claims).claimed == 0, "a missed slot wasn't run"


def test_the_last_run_of_a_chore_is_the_one_that_ended_last_or_was_cut_short_since() -> None:
    line = parse("audit", {"when": "close+10m", "limit": "5m"})
    assert line is not None
    begun, ended = claim("audit", "close+10m", 361), claim("audit ended", "close+10m", 900)
    done = ChoreRun("audit", ago(900), True, ended.by)
    assert last_run(line, None, None, well=False, now=NOW) is None
    assert last_run(line, None, ended, well=True, now=NOW) == done
    assert last_run(line, replace(begun, at=ago(900)), ended, well=True, now=NOW) == done
    assert last_run(line, begun, ended, well=True, now=NOW) == ChoreRun("audit", ago(361), False, "cut short")
    assert last_run(line, replace(begun, at=ago(360)), ended, well=True, now=NOW) == done, "it may still be running"
    missed = replace(begun, by=as_missed("serve 7", Reason.ASLEEP))
    assert last_run(line, missed, replace(ended, at=ago(800)), well=False, now=NOW) == replace(
        done, at=ago(800), well=False
    )


def test_a_slot_that_never_came_is_neither_due_nor_missed() -> None:
    slots = [slot(Job.TRADE_ONCE, "open+20m", 600, 300)]
    early = replace(claim(Job.TRADE_ONCE, "open+20m"), by=as_missed("serve 7", Reason.CLOSED_EARLY))
    assert came(slots, [early]) == ()
    assert came(slots, []) == tuple(slots)
    assert schedule_of({Job.TRADE_ONCE: []}, (), [early], NOW).missed == ()


def test_the_facts_are_as_new_as_the_last_pass_of_any_kind() -> None:
    assert facts_of([]) is None
    found = facts_of([cycle(why=Reason.CUT_SHORT), cycle(Job.SCORE, age_s=60)])
    assert found is not None
    assert (found.passes, found.at) == (2, NOW)
