"""What every store of facts does, whatever it is made of."""

import tempfile
from collections.abc import Iterator
from datetime import date, timedelta
from decimal import Decimal
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.kit.rows import (
    DAY,
    NOW,
    make_alert,
    make_cycle,
    make_greek,
    make_intake,
    make_iv,
    make_oi,
    make_print,
    make_tick,
    minutes,
)
from tradebot.adapters.facts.facts import SqliteFacts
from tradebot.adapters.memory.facts import MemoryFacts
from tradebot.adapters.memory.recorder import MemoryEvents, RecordLevel
from tradebot.model.decision import Decision, Gate, Verdict
from tradebot.model.fact_kind import Breach, CheckedReply, ContractFinding
from tradebot.model.reasons import Reason
from tradebot.model.record import CycleRecord, ExitPrice, Job, Scored, SymbolFacts
from tradebot.model.struct_tools import replace
from tradebot.ports.stores import Facts
from tradebot.signals.subjects.dark_pool import DARK_POOL_KIND
from tradebot.signals.subjects.market import MARKET_TIDE_KIND
from tradebot.signals.subjects.open_interest import GammaFacts, OiFacts
from tradebot.signals.subjects.volatility import IV_RANK_KIND

YESTERDAY = date(2026, 1, 2)


@pytest.fixture(params=[*RecordLevel, "sqlite"])
def facts(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Facts]:
    if request.param != "sqlite":
        yield MemoryFacts(request.param)
        return
    store = SqliteFacts(tmp_path, MemoryEvents(), NOW)
    yield store
    store.close()


def test_load_returns_no_facts_for_a_symbol_that_was_never_fetched(facts: Facts) -> None:
    assert facts.load(["AAPL"], DAY, NOW) == {"AAPL": SymbolFacts("AAPL")}
    assert facts.market(DAY, NOW) == {}
    assert facts.last_fetch("flow_alerts", "AAPL") is None


def test_each_fact_is_new_once_and_kept_in_its_first_version(facts: Facts) -> None:
    alerts = (make_alert("1"), make_alert("2"))
    assert facts.store(make_intake("flow_alerts", *alerts)) == 2
    assert facts.store(make_intake("flow_alerts", *alerts, make_alert("3"), at=minutes(5))) == 1
    assert facts.store(make_intake("flow_alerts", replace(make_alert("1"), volume=9), at=minutes(5))) == 0
    assert facts.load(["AAPL"], DAY, minutes(5))["AAPL"].alerts == (*alerts, make_alert("3"))


def test_counts_are_those_of_the_last_reply_with_alerts(facts: Facts) -> None:
    facts.store(make_intake("flow_alerts", make_alert("1"), foreign=4))
    facts.store(make_intake("flow_alerts", make_alert("2"), foreign=1, at=minutes(5)))
    facts.store(make_intake("dark_pool", make_print("1"), foreign=9, at=minutes(6)))
    known = facts.load(["AAPL"], DAY, minutes(6))["AAPL"]
    counts = (known.alerts_fetched_at, known.received, known.foreign, known.rejected)
    assert counts == (minutes(5), 3, 1, 1)
    earlier = facts.load(["AAPL"], DAY, minutes(4))["AAPL"]
    assert (earlier.alerts_fetched_at, earlier.foreign) == (NOW, 4)


def test_events_belong_to_their_new_york_date_and_come_oldest_first(facts: Facts) -> None:
    late, early, old = (
        make_alert("a", at=minutes(-1)),
        make_alert("b", at=minutes(-9)),
        make_alert("c", at=minutes(-1440)),
    )
    # 20:30 in New York is the next day in UTC, and still the same session.
    evening = make_print("p", at=minutes(630))
    facts.store(make_intake("flow_alerts", late, early, old))
    facts.store(make_intake("dark_pool", evening, at=minutes(690)))
    known = facts.load(["AAPL"], DAY, minutes(700))["AAPL"]
    assert known.known == {
        "flow_alerts": (early, late),
        "dark_pool": DARK_POOL_KIND.condense([DARK_POOL_KIND.lean(evening)]),
    }


def test_the_latest_dated_facts_up_to_the_session_count(facts: Facts) -> None:
    days = (DAY, "12"), (YESTERDAY, "10.5"), (date(2025, 12, 31), "0"), (date(2026, 1, 6), "99")
    facts.store(make_intake("greek_exposure", *(make_greek(day, call) for day, call in days)))
    facts.store(make_intake("iv_rank", make_iv(YESTERDAY), make_iv(date(2026, 1, 6))))
    facts.store(make_intake("oi_change", make_oi("1", YESTERDAY), make_oi("2", DAY), make_oi("3", DAY)))
    known = facts.load(["AAPL"], DAY, NOW)["AAPL"]
    assert known.known == {
        "greek_exposure": GammaFacts(7.75, (6.25 + 4.25) / 2, 2, DAY),
        "iv_rank": make_iv(YESTERDAY),
        "oi_change": OiFacts(500, 500, 2, DAY),
    }


def test_a_revised_fact_is_known_in_the_version_of_its_time(facts: Facts) -> None:
    assert facts.store(make_intake("iv_rank", make_iv(DAY, "40"))) == 1
    assert facts.store(make_intake("iv_rank", make_iv(DAY, "60"), at=minutes(5))) == 1
    assert facts.store(make_intake("iv_rank", make_iv(DAY, "60"), at=minutes(6))) == 0
    assert IV_RANK_KIND.of(facts.load(["AAPL"], DAY, minutes(4))["AAPL"].known) == make_iv(DAY, "40")
    assert IV_RANK_KIND.of(facts.load(["AAPL"], DAY, minutes(5))["AAPL"].known) == make_iv(DAY, "60")


LIMIT_S = MARKET_TIDE_KIND.max_age_s or 0


@pytest.mark.parametrize(("age_s", "known"), [(LIMIT_S, True), (LIMIT_S + 1, False)])
def test_kind_without_a_recent_reply_is_absent(facts: Facts, age_s: int, known: bool) -> None:
    later = NOW + timedelta(seconds=age_s)
    facts.store(make_intake("market_tide", make_tick("1", minutes(-4)), symbol=None))
    facts.store(make_intake("net_prem_ticks"))
    facts.store(make_intake("iv_rank", make_iv(DAY)))
    facts.store(make_intake("flow_alerts", make_alert("a", at=minutes(-1))))
    assert ("market_tide" in facts.market(DAY, later)) is known
    found = facts.load(["AAPL"], DAY, later)["AAPL"]
    assert found.known.keys() == {"iv_rank", "flow_alerts"}, "how old alerts are is known with them"
    facts.store(make_intake("market_tide", symbol=None, at=later - timedelta(seconds=1)))
    assert "market_tide" in facts.market(DAY, later), "it was asked again, and nothing had changed"
    assert "market_tide" not in facts.market(DAY, NOW - timedelta(seconds=1)), "and before that it wasn't known"


def test_a_reply_counts_until_its_limit_in_whatever_order_times_are_asked_about(facts: Facts) -> None:
    limit, second = timedelta(seconds=LIMIT_S), timedelta(seconds=1)
    facts.store(make_intake("market_tide", make_tick("1", minutes(-4)), symbol=None))
    facts.store(make_intake("market_tide", symbol=None, at=NOW + 2 * limit))
    times = (NOW, NOW + limit, NOW + limit + second, NOW + 2 * limit, NOW + limit + second, NOW + second)
    assert ["market_tide" in facts.market(DAY, at) for at in times] == [True, True, False, True, False, True]


def test_market_returns_the_session_tide_oldest_first(facts: Facts) -> None:
    first, second, old = (make_tick("1", minutes(-9)), make_tick("2", minutes(-4)), make_tick("0", minutes(-1440)))
    facts.store(make_intake("market_tide", second, first, old, symbol=None))
    assert facts.market(DAY, NOW) == {"market_tide": (first, second)}
    assert facts.market(DAY, minutes(-1)) == {}
    assert facts.last_fetch("market_tide", None) == NOW


def test_market_has_facts_about_sectors_by_sector(facts: Facts) -> None:
    technology, energy = make_tick("1", minutes(-4)), make_tick("2", minutes(-3))
    facts.store(make_intake("sector_tide", technology, symbol="Technology"))
    facts.store(make_intake("sector_tide", energy, make_tick("3", minutes(-9)), symbol="Energy"))
    facts.load(["AAPL"], DAY, NOW)
    assert facts.market(DAY, NOW) == {"sector_tide": {"Technology": technology, "Energy": energy}}
    assert facts.market(DAY, minutes(31)) == {}


def test_cycles_come_back_whole_by_job_span_and_number(facts: Facts) -> None:
    cycles = [make_cycle(f"c{n}", minutes(n)) for n in range(4)]
    for cycle in (cycles[1], cycles[0], cycles[2], cycles[3]):
        facts.record(cycle)
    facts.record(make_cycle("other", job=Job.SCORE, symbols=0))
    assert facts.cycles(job="trade-once") == tuple(cycles)
    assert facts.cycles(job="trade-once", last=2) == tuple(cycles[2:])
    assert facts.cycles(job="trade-once", since=minutes(1)) == tuple(cycles[1:])
    assert facts.cycles(job="trade-once", since=minutes(1), last=1) == tuple(cycles[3:])
    assert facts.cycles(job="trade-once", last=0) == ()
    assert len(facts.cycles(job="score")) == 1


def test_reasons_of_the_pass_before_come_for_some_symbols_whether_this_one_is_recorded_or_not(facts: Facts) -> None:
    before, this = make_cycle("before", minutes(1)), make_cycle("this", minutes(2))
    candidates = before.candidates
    assert len(candidates) > 1
    first, refused = candidates[0], Decision(Gate.SCORE, Verdict.FAIL, Reason.SCORE_BELOW_MIN, 0.1, 0.2)
    passed = Decision(Gate.COVERAGE, Verdict.PASS)
    known = replace(before, candidates=(replace(first, decisions=(passed, refused)), *candidates[1:]))
    left = replace(first, candidate=replace(first.candidate, components=(), decisions=()), decisions=(refused,))
    assert facts.before("trade-once", "this", ()) is None
    for cycle in (make_cycle("earlier"), known, make_cycle("other", minutes(3), job=Job.SCORE)):
        facts.record(cycle)
    symbols = [first.candidate.symbol]
    for _ in range(2):
        assert facts.before("trade-once", "this", symbols) == replace(before, candidates=(left,), marks=())
        assert facts.before("trade-once", "this", ()) == replace(before, candidates=(), marks=())
        facts.record(this)


def test_unfinished_is_true_until_the_pass_has_a_final_record(facts: Facts) -> None:
    whole = make_cycle("c")
    begun = replace(whole, candidates=(), job_decision=Decision(Gate.JOB, Verdict.UNKNOWN, Reason.CUT_SHORT))
    assert facts.unfinished(whole), "a claim without a record has done nothing yet"
    facts.record(begun)
    assert facts.unfinished(whole)
    assert facts.unfinished(make_cycle("other"))
    facts.record(whole)
    assert not facts.unfinished(whole)
    assert facts.cycles(job="trade-once") == (whole,)


def test_passes_of_all_jobs_come_back_by_time_without_their_candidates(facts: Facts) -> None:
    jobs = (Job.EVALUATE_EXITS, Job.SCORE, Job.TRADE_ONCE)
    for minute, job in enumerate(jobs):
        facts.record(make_cycle(f"c{minute}", minutes(minute), job=job))
    found = facts.passes(minutes(1))
    assert [(cycle.job, cycle.candidates) for cycle in found] == [(Job.SCORE, ()), (Job.TRADE_ONCE, ())]


def scored(slot: int, *scores: float | None, job: Job = Job.TRADE_ONCE, late_s: int = 0) -> CycleRecord:
    """Return a pass of one slot in which the symbols SYM0, SYM1 and so on had these scores."""
    whole = replace(make_cycle(f"{job}.{slot}", minutes(slot + late_s / 60), job, len(scores)), job_decision=None)
    records = tuple(
        replace(record, candidate=replace(record.candidate, score=score))
        for record, score in zip(whole.candidates, scores, strict=True)
    )
    return replace(whole, slot=f"open+{slot}m", candidates=records)


def test_scores_come_back_for_what_is_asked_oldest_first_and_once_for_each_slot(facts: Facts) -> None:
    for slot in (10, 0, 5):
        facts.record(scored(slot, slot / 100, -0.5, job=Job.SCORE))
        facts.record(scored(slot, slot / 100 + 0.001, -0.5, late_s=2))
    facts.record(scored(15, None, 0.7))
    refused = Decision(Gate.JOB, Verdict.FAIL, Reason.MARKET_CLOSED)
    facts.record(replace(scored(10, late_s=9, job=Job.SCORE), id="refused", job_decision=refused))
    facts.record(scored(12, 0.9, job=Job.EVALUATE_EXITS))
    asked = [("flow", "SYM0"), ("other", "SYM1"), ("flow", "NONE")]
    found = facts.scores(asked, minutes(0), minutes(60))
    at = 2 / 60
    assert dict(found) == {("flow", "SYM0"): [Scored(minutes(slot + at), slot / 100 + 0.001) for slot in (0, 5, 10)]}
    (last,) = facts.scores(asked, minutes(4), minutes(6)).values()
    assert list(last) == [Scored(minutes(5 + at), 5 / 100 + 0.001)]
    (other,) = facts.scores([("flow", "SYM1")], minutes(0), minutes(60)).values()
    assert [one.score for one in other] == [-0.5, -0.5, -0.5, 0.7]


def test_a_pass_that_is_recorded_again_as_refused_leaves_its_slot_to_the_pass_before(facts: Facts) -> None:
    refused = Decision(Gate.JOB, Verdict.FAIL, Reason.MARKET_CLOSED)
    for slot in (0, 5):
        facts.record(scored(slot, 0.1))
        facts.record(replace(scored(slot, 0.2), job_decision=refused, candidates=()))
    facts.record(scored(5, 0.3, job=Job.SCORE))
    facts.record(scored(5, 0.4, late_s=2))
    facts.record(replace(scored(5, 0.4, late_s=3), job_decision=refused, candidates=()))
    found = facts.scores([("flow", "SYM0")], minutes(0), minutes(60))
    assert dict(found) == {("flow", "SYM0"): [Scored(minutes(5), 0.3)]}


def test_marks_are_those_of_the_last_pass_of_exits_in_the_span_that_saw_prices(facts: Facts) -> None:
    for minute, price in ((1, "10"), (5, "11"), (9, "12")):
        marked = (ExitPrice("AAPL", Decimal(price)),)
        facts.record(replace(make_cycle(f"c{minute}", minutes(minute), Job.EVALUATE_EXITS), marks=marked))
    facts.record(replace(make_cycle("entries", minutes(6)), marks=(ExitPrice("AAPL", Decimal(99)),)))
    facts.record(make_cycle("just begun", minutes(7), Job.EVALUATE_EXITS))
    assert facts.marks(minutes(0), minutes(8)) == {"AAPL": Decimal(11)}
    assert facts.marks(minutes(2), minutes(4)) == {}


def test_stored_facts_come_back_by_symbol_for_a_span_of_days_as_they_were_known(facts: Facts) -> None:
    early, first, later = make_oi("0", YESTERDAY), make_oi("1", DAY), make_oi("1", DAY)
    later = replace(later, change=900)
    facts.store(make_intake("oi_change", early, first))
    facts.store(make_intake("oi_change", later, at=minutes(30)))
    facts.store(make_intake("oi_change", make_oi("2", DAY, "MSFT"), symbol="MSFT"))
    today, both = {"AAPL": (DAY, DAY)}, {"AAPL": (YESTERDAY, DAY)}
    assert {key: list(found) for key, found in facts.stored("oi_change", today, minutes(29)).items()} == {
        "AAPL": [first]
    }
    assert {key: list(found) for key, found in facts.stored("oi_change", both, minutes(30)).items()} == {
        "AAPL": [early, later]
    }


def test_intakes_are_counted_without_their_facts(facts: Facts) -> None:
    facts.store(make_intake("flow_alerts", make_alert("1"), foreign=2))
    facts.store(make_intake("market_tide", symbol=None, at=minutes(5)))
    first, second = facts.intakes(NOW)
    assert (first.symbol, first.received, first.foreign, first.facts) == ("AAPL", 4, 2, ())
    assert (second.endpoint, second.symbol, second.rejected[0].detail) == ("market_tide", None, "NaN")
    assert facts.intakes(minutes(1)) == (second,)


@given(st.lists(st.tuples(st.integers(0, 60), st.integers(0, 5)), max_size=15), st.integers(0, 60))
def test_later_facts_change_nothing_known_at_an_earlier_moment(learnt: list[tuple[int, int]], moment: int) -> None:
    """Both stores agree, and neither looks ahead, whichever facts come at whichever time."""
    with tempfile.TemporaryDirectory() as folder:
        real, short = SqliteFacts(Path(folder), MemoryEvents(), NOW), MemoryFacts()
        whole, at = MemoryFacts(), minutes(moment)
        for minute, number in sorted(learnt):
            intakes = (
                make_intake("flow_alerts", make_alert(str(number)), at=minutes(minute), foreign=number),
                make_intake("iv_rank", make_iv(DAY, str(minute)), at=minutes(minute)),
                make_intake("market_tide", make_tick("1", calls=minute), symbol=None, at=minutes(minute)),
            )
            for intake in intakes:
                assert real.store(intake) == whole.store(intake)
                if minute <= moment:
                    short.store(intake)
            for then in (minutes(minute), at):
                assert real.load(["AAPL"], DAY, then) == whole.load(["AAPL"], DAY, then)
                assert real.market(DAY, then) == whole.market(DAY, then)
        assert real.load(["AAPL"], DAY, at) == whole.load(["AAPL"], DAY, at) == short.load(["AAPL"], DAY, at)
        real.close()


GONE = ContractFinding(Breach.GONE, "price", 2, "{'size': 3}")


def test_suspicious_replies_returns_the_findings_of_the_newest_reply_with_rows(facts: Facts) -> None:
    first, second = make_intake("dark_pool", make_print("1")), make_intake("dark_pool", make_print("2"), at=minutes(5))
    facts.store(replace(first, nulls={}))
    facts.store(replace(second, findings=(GONE,), nulls={"sector": 1}))
    facts.store(replace(make_intake("dark_pool", at=minutes(6)), received=0, nulls={}))
    facts.store(replace(make_intake("dark_pool", make_print("3"), at=minutes(7)), nulls=None))
    facts.store(replace(make_intake("iv_rank", make_iv(DAY), at=minutes(1)), nulls={}))
    assert facts.suspicious_replies(NOW, minutes(4)) == ()
    dark, rank = sorted(facts.suspicious_replies(NOW, minutes(9)), key=lambda reply: reply.endpoint)
    assert dark == CheckedReply("dark_pool", "AAPL", minutes(5), second.received, (GONE,), {"sector": 1})
    assert (rank.endpoint, rank.findings) == ("iv_rank", ())
    assert facts.suspicious_replies(minutes(6), minutes(9)) == ()
