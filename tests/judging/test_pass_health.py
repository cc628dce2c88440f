"""What counts as a finished pass, and what passes and claims are evidence of."""

from datetime import timedelta
from decimal import Decimal

import pytest

from tests.kit.core.evidence import at, claim, cycle, past, slot
from tests.kit.values import DAY, NOW, VENUE_DAY, ago, held
from tradebot.judging.evidence import ChoreEvidence, PriceEvidence
from tradebot.judging.judgment import HealthState
from tradebot.judging.pass_health import (
    calendar_differs,
    is_finished,
    last_run,
    missed_slots,
    of_job,
    prices_of,
    schedule,
    slots_that_took_place,
    unfinished_claims,
)
from tradebot.model.reasons import Reason
from tradebot.model.record import CycleRecord, Gap, Job
from tradebot.model.struct_tools import replace
from tradebot.model.trading import ReconcileMark, SlotClaim, as_missed
from tradebot.timetable.entries import parse


def test_what_has_begun_and_not_ended_is_the_newest_claim_of_a_job_without_an_end() -> None:
    claims = [claim(Job.TRADE_ONCE, "open+2m", 300), claim(Job.TRADE_ONCE, "open+7m"), claim("backup", "close+5m")]
    cut = cycle(Job.TRADE_ONCE, slot="open+7m", why=Reason.CUT_SHORT)
    assert unfinished_claims(past(claims=claims, cycles=[cut], chores={"backup"})) == claims[1:]
    assert unfinished_claims(past(claims=claims, cycles=[cycle(Job.TRADE_ONCE, slot="open+7m")])) == []
    ended = [*claims, claim("backup ended", "close+5m")]
    assert unfinished_claims(past(claims=ended, cycles=[], chores={"backup"})) == claims[1:2]
    other_day = replace(cycle(Job.TRADE_ONCE, slot="open+7m"), session=DAY - timedelta(days=1))
    assert unfinished_claims(past(claims=claims[:2], cycles=[other_day])) == claims[1:2]


def test_comparison_of_the_books_ends_the_reconcile_that_made_it() -> None:
    claims = [claim(Job.RECONCILE, "open+1m", 60)]
    assert unfinished_claims(past(claims=claims, cycles=[])) == []
    assert unfinished_claims(past(claims=claims, cycles=[], compared=ReconcileMark(ago(90), 0, 0))) == claims


@pytest.mark.parametrize(
    ("record", "finished"),
    [
        (cycle(), True),
        (cycle(why=Reason.MARKET_CLOSED), False),
        (cycle(why=Reason.CUT_SHORT), False),
        (cycle(why=Reason.SLOT_MISSED), False),
        (cycle(why=Reason.CLOCKS_DISAGREE), False),
        (cycle(why=Reason.OUTSIDE_TIMETABLE), False),
        (cycle(why=Reason.VENUE_UNREACHABLE), False),
        (cycle(dry_run=True), False),
        (cycle(slot="open+7m/mine.csv"), False),
    ],
)
def test_pass_is_finished_only_if_it_did_its_work(record: CycleRecord, finished: bool) -> None:
    assert is_finished(record) is finished


def test_job_counts_its_own_passes_and_claimed_slots() -> None:
    slots = [slot(Job.SCORE, "open+2m", 600), slot(Job.SCORE, "open+7m", 300)]
    claims = [claim(Job.SCORE, "open+7m"), claim(Job.TRADE_ONCE, "open+2m"), claim(Job.SCORE, "open+7m#2")]
    cycles = [cycle(Job.SCORE, at=ago(300)), cycle(Job.SCORE, at=ago(600)), cycle(Job.TRADE_ONCE)]
    found = of_job(Job.SCORE)(at(NOW), past(due={Job.SCORE: slots}, claims=claims, cycles=cycles))
    assert found is not None
    assert found.found == "ran in 1 of 2 slots; finished 2 passes"
    assert found.fresh is not None
    assert found.fresh.at == ago(300)


@pytest.mark.parametrize(
    ("why", "words"),
    [
        ("suspended", "10 AAPL without a stop at the broker for 300 s (suspended)"),
        ("doubted", "10 AAPL perhaps without a stop for 300 s: the broker's replies about it disagree"),
    ],
)
def test_gaps_are_those_of_the_last_pass_of_exits_that_looked(why: str, words: str) -> None:
    gap = Gap("flow", "AAPL", Decimal(10), ago(300), why)
    cycles = [cycle(at=ago(120), gaps=()), cycle(at=ago(60), gaps=(gap,)), cycle(why=Reason.MARKET_CLOSED)]
    found = of_job(Job.EVALUATE_EXITS)(at(NOW), past(cycles=cycles))
    assert found is not None
    assert found.found.endswith(words)


def test_a_gap_whose_stop_was_sent_is_said_to_have_lasted_until_then() -> None:
    gap = Gap("flow", "AAPL", Decimal(10), ago(300), "not_placed", sent=True)
    found = of_job(Job.EVALUATE_EXITS)(at(NOW), past(cycles=[cycle(at=ago(60), gaps=(gap,))]))
    assert found is not None
    words = "a stop was sent for 10 AAPL after 240 s without one (not_placed); the next pass checks whether it rests"
    assert (found.state, found.found.partition("; ")[2].partition("; ")[2]) == (HealthState.DEGRADED, words)


def test_a_gap_is_over_once_the_books_have_closed_its_position() -> None:
    gap = Gap("flow", "AAPL", Decimal(10), ago(300), "exiting")
    bought = replace(held(age_s=600).position, strategy="flow", symbol="AAPL")
    sold, sold_before = (replace(bought, lots=(), closed_at=ago(age_s)) for age_s in (30, 400))
    bought_again = replace(bought, entered_at=ago(10))
    for position, bare in ((bought, True), (sold, False), (bought_again, False), (sold_before, True), (None, True)):
        positions = {("flow", "AAPL"): position} if position else {}
        found = of_job(Job.EVALUATE_EXITS)(at(NOW), past(cycles=[cycle(at=ago(60), gaps=(gap,))], positions=positions))
        assert found is not None
        assert ("without a stop" in found.found) is bare


def test_gaps_of_entries_count_until_a_pass_of_exits_has_looked_again() -> None:
    gap = Gap("flow", "AAPL", Decimal(10), ago(300), "exiting")
    opened = cycle(at=ago(60), job=Job.TRADE_ONCE, gaps=(gap,))
    for looked, bare in ((cycle(at=ago(120), gaps=()), True), (cycle(at=ago(60), gaps=()), False)):
        found = of_job(Job.TRADE_ONCE)(at(NOW), past(cycles=[opened, looked]))
        assert found is not None
        assert ("without a stop" in found.found) is bare


def test_prices_are_those_of_the_last_pass_of_exits_that_read_the_account() -> None:
    priced, seen = cycle(at=ago(60), equity=Decimal(1)), {ago(60): ["MSFT"]}.__getitem__
    assert prices_of([replace(priced, quoted_at=ago(3660))], [], seen) == PriceEvidence(1, ago(60), 0, age_s=3600)
    assert prices_of([cycle(at=ago(30))], [], seen) is None
    assert prices_of([priced], [], seen) == PriceEvidence(1, ago(60), 0)
    older = replace(held(age_s=600).position, symbol="AAPL")
    assert prices_of([priced], [older], seen) == PriceEvidence(1, ago(60), 1, ("AAPL",))
    assert prices_of([priced], [replace(older, symbol="MSFT")], seen) == PriceEvidence(1, ago(60), 1)
    doubted = replace(priced, doubted=("MSFT",))
    assert prices_of([doubted], [replace(older, symbol="MSFT")], seen) == PriceEvidence(1, ago(60), 1, ("MSFT",))
    newer = held(age_s=30).position
    assert prices_of([priced], [newer], seen) == PriceEvidence(1, ago(60), 0), "that pass couldn't know it"


def test_calendar_differs_if_the_newest_pass_says_so() -> None:
    differs = cycle(at=ago(60), why=Reason.CALENDAR_DISAGREES)
    assert calendar_differs([differs]) == "12.0"
    assert calendar_differs([differs, cycle()]) == ""
    assert calendar_differs([]) == ""


def test_slot_is_missed_if_it_is_noted_as_missed_or_is_over_and_unclaimed() -> None:
    exits = [slot(Job.EVALUATE_EXITS, "open+28m", 120), slot(Job.EVALUATE_EXITS, "open+29m", 60)]
    entries = [slot(Job.TRADE_ONCE, "open+20m", 600, 300), slot(Job.TRADE_ONCE, "open+30m", 0, 300)]
    asleep = replace(claim(Job.TRADE_ONCE, "open+20m", 200), by=as_missed("serve 7", Reason.ASLEEP))
    claims = [asleep, claim(Job.EVALUATE_EXITS, "open+28m"), replace(asleep, job="audit", slot="close+10m")]
    claims.append(replace(asleep, job="own flow"))
    claims.append(SlotClaim("audit ended", DAY, "close+10m", "well, 2.0 s", NOW, won=False))
    found = past(due={Job.TRADE_ONCE: entries, Job.EVALUATE_EXITS: exits}, chores={"audit"}, claims=claims)
    assert set(missed_slots(found)) == {
        ("trade-once", "open+20m", "ASLEEP"),
        ("audit", "close+10m", "ASLEEP"),
        ("evaluate-exits", "open+29m", "it wasn't run"),
    }
    assert schedule(at(NOW), found).count == 5
    assert schedule(at(NOW), found).next == "tradebot serve", "why-no-orders knows no reason of the last one"
    recorded = replace(found, due={Job.TRADE_ONCE: entries})
    assert schedule(at(NOW), recorded).next == "tradebot why-no-orders"
    entered = of_job(Job.TRADE_ONCE)(at(NOW), found)
    assert entered is not None
    assert entered.found.startswith("ran in 0 of 2 slots"), "a missed slot wasn't run"


def test_last_run_of_a_chore_is_the_last_that_ended_or_was_cut_short() -> None:
    line = parse("audit", {"when": "close+10m", "limit": "5m"}, VENUE_DAY)
    assert line is not None
    begun, ended = claim("audit", "close+10m", 361), claim("audit ended", "close+10m", 900)
    done = ChoreEvidence("audit", ago(900), True, ended.by)
    assert last_run(line, None, None, well=False, now=NOW) is None
    assert last_run(line, None, ended, well=True, now=NOW) == done
    assert last_run(line, replace(begun, at=ago(900)), ended, well=True, now=NOW) == done
    assert last_run(line, begun, ended, well=True, now=NOW) == ChoreEvidence("audit", ago(361), False, "cut short")
    assert last_run(line, replace(begun, at=ago(360)), ended, well=True, now=NOW) == done, "it may still be running"
    missed = replace(begun, by=as_missed("serve 7", Reason.ASLEEP))
    assert last_run(line, missed, replace(ended, at=ago(800)), well=False, now=NOW) == replace(
        done, at=ago(800), well=False
    )


def test_slot_that_never_came_is_neither_due_nor_missed() -> None:
    slots = [slot(Job.TRADE_ONCE, "open+20m", 600, 300)]
    early = replace(claim(Job.TRADE_ONCE, "open+20m"), by=as_missed("serve 7", Reason.CLOSED_EARLY))
    assert slots_that_took_place(slots, [early]) == ()
    assert slots_that_took_place(slots, []) == tuple(slots)
    assert missed_slots(past(due={Job.TRADE_ONCE: []}, claims=[early])) == []
