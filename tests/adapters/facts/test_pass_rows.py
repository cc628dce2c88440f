"""What the sums of passes explain is what reading every candidate explains."""

import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing
from datetime import timedelta
from decimal import Decimal
from pathlib import Path
from random import Random

import pytest

from tests.kit.rows import DAY, NOW
from tests.kit.values import candidate
from tradebot.adapters.facts.facts import SqliteFacts
from tradebot.adapters.facts.pass_rows import write_passes
from tradebot.adapters.memory.recorder import MemoryEvents
from tradebot.model.decision import Decision, Gate, Verdict
from tradebot.model.event import EventKind
from tradebot.model.reasons import Reason
from tradebot.model.record import CandidateRecord, CycleRecord, Job
from tradebot.model.struct_tools import replace
from tradebot.views.explain import final_record, of_strategy, why_no_orders, with_outcomes

JOB, SESSIONS = Job.TRADE_ONCE, 30
REASONS = (
    Reason.FLOW_STALE, Reason.QUOTE_STALE, Reason.SCORE_BELOW_MIN, Reason.CLUSTER_TOO_SMALL, Reason.HALTED,
    Reason.VENUE_UNKNOWN,
)  # fmt: skip
OBSERVED = (None, "text", 0.0, 0.00001, 0.1, 0.3, Decimal(2), 400)


def _answer(draw: Random) -> Decision:
    if draw.random() < 0.4:
        return Decision(Gate.PERMISSION, Verdict.PASS)
    verdict, limit, age_s = (
        draw.choice(tuple(Verdict)[1:]),
        draw.choice((None, 0.25, 0)),
        draw.choice((None, 5.0, 900.0)),
    )
    gate, about = draw.choice(((Gate.SCORE, ""), (Gate.STRATEGY, "setup"), (Gate.STRATEGY, "place")))
    return Decision(gate, verdict, draw.choice(REASONS), draw.choice(OBSERVED), limit, age_s, about)


def _cycle(draw: Random, number: int) -> CycleRecord:
    def record(place: int) -> CandidateRecord:
        wanted = replace(candidate(draw.choice(("AAPL", "MSFT", "NVDA"))), strategy=draw.choice(("flow", "other")))
        return CandidateRecord(wanted, tuple(_answer(draw) for _ in range(draw.randrange(5))), f"{number}-{place}")

    back, number_in_day = timedelta(days=number % SESSIONS), timedelta(minutes=number // SESSIONS)
    at, day = NOW + back + number_in_day, DAY + back
    records = tuple(record(place) for place in range(draw.randrange(7)))
    return CycleRecord(f"c{number}", JOB, day, f"s{number}", at, "sandbox", records)


@pytest.fixture
def facts(tmp_path: Path) -> Iterator[SqliteFacts]:
    draw = Random(39)  # noqa: S311 -- no secret
    write_passes(tmp_path, [_cycle(draw, number) for number in range(4 * SESSIONS)])
    store = SqliteFacts(tmp_path, MemoryEvents(), NOW)
    yield store
    store.close()


def _was_found(order: str) -> bool:
    return order.endswith("0")


def _agree(facts: SqliteFacts, strategy: str | None = None) -> None:
    for number in range(SESSIONS):
        day = DAY + timedelta(days=number)
        every = with_outcomes(facts.of_span(JOB, session=day), _was_found)
        every = every if strategy is None else of_strategy(strategy, every)
        seen = facts.span_ends(JOB, session=day, strategy=strategy)
        standing = [one._replace(record=final_record(one.record, _was_found)) for one in seen.standing]
        assert why_no_orders(seen.passes, standing) == why_no_orders(every), f"session {number}"
        assert seen.whole == facts.of_span(JOB, session=day)[-1]


def test_sums_explain_what_every_candidate_explains(facts: SqliteFacts) -> None:
    _agree(facts)
    _agree(facts, "other")
    whole = facts.span_ends(JOB)
    assert len(whole.standing) < sum(one.number for one in whole.standing)


def test_passes_without_sums_and_with_damaged_ones_are_read_in_full(tmp_path: Path, facts: SqliteFacts) -> None:
    with closing(sqlite3.connect(tmp_path / "facts.db")) as database, database:
        database.execute("DELETE FROM ends WHERE cycle % 3 = 0")
        database.execute("UPDATE ends SET body = '[]' WHERE cycle % 3 = 1")
    _agree(facts)


LACKS = {
    "a candidate": "DELETE FROM candidates WHERE cycle = (SELECT max(cycle) FROM candidates) AND position = 0",
    "an index's rows": "UPDATE sqlite_schema SET rootpage = (SELECT rootpage FROM sqlite_schema"
    " WHERE name = 'intakes_by_time') WHERE name = 'cycles_by_job'",
}


@pytest.mark.parametrize("lacks", LACKS.values(), ids=LACKS)
@pytest.mark.parametrize("read", [SqliteFacts.of_span, SqliteFacts.span_ends], ids=["of_span", "span_ends"])
def test_passes_that_lack_what_was_written_are_called_damaged_and_not_explained(
    tmp_path: Path, facts: SqliteFacts, read: Callable[..., object], lacks: str
) -> None:
    assert facts.of_span(JOB)[-1].candidates
    with closing(sqlite3.connect(tmp_path / "facts.db")) as database, database:
        database.execute("PRAGMA writable_schema = 1")
        database.execute(lacks)
    events = MemoryEvents()
    with closing(SqliteFacts(tmp_path, events, NOW)) as store:
        assert events.emitted == []
        read(store, JOB)
        assert store.of_span(JOB) == ()
    assert [event.event_type for event in events.emitted] == [EventKind.FACTS_BEGUN_ANEW.event_type]


def test_sums_are_forgotten_with_the_candidates(tmp_path: Path, facts: SqliteFacts) -> None:
    last = replace(_cycle(Random(1), 500), equity=Decimal(1))  # noqa: S311 -- no secret
    facts.record(last)
    facts.prune(NOW + timedelta(days=900), timedelta(1), timedelta(1))
    with closing(sqlite3.connect(tmp_path / "facts.db")) as database:
        counts = "SELECT (SELECT count(*) FROM cycles), (SELECT count(*) FROM ends)"
        assert database.execute(counts).fetchone() == (1, 0)


def test_prices_of_candidates_are_those_of_one_session_and_job_spread_over_its_passes(tmp_path: Path) -> None:
    def priced(number: int, symbol: str, price: int | None, job: Job = JOB, days: int = 0) -> CycleRecord:
        records = (
            CandidateRecord(candidate(symbol), (), None, None if price is None else Decimal(price)),
            CandidateRecord(replace(candidate(symbol), strategy="other"), (), None, None),
        )
        at = NOW + timedelta(days=days, minutes=number)
        return CycleRecord(f"{job}{days}.{number}", job, DAY + timedelta(days=days), f"s{number}", at, "x", records)

    passes = [priced(number, "AAPL", 100 + number) for number in range(10)]
    passes += [priced(20, "MSFT", 7), priced(21, "NVDA", None), priced(22, "AMD", 1)]
    passes += [priced(3, "AAPL", 1, Job.SCORE), priced(3, "AAPL", 2, days=1), priced(3, "AAPL", 3, days=-1)]
    write_passes(tmp_path, passes)
    store = SqliteFacts(tmp_path, MemoryEvents(), NOW)
    try:
        found = store.candidate_prices(JOB, DAY, ["AAPL", "MSFT", "NVDA"], 100)
        assert found == {
            "AAPL": [(NOW + timedelta(minutes=number), Decimal(100 + number)) for number in range(10)],
            "MSFT": [(NOW + timedelta(minutes=20), Decimal(7))],
        }
        # Of 13 passes, every third from the last one back.
        few = store.candidate_prices(JOB, DAY, ["AAPL", "AMD"], 5)
        assert [price for _, price in few["AAPL"]] == [100, 103, 106, 109]
        assert [price for _, price in few["AMD"]] == [1]
        assert store.candidate_prices(JOB, DAY + timedelta(days=9), ["AAPL"], 100) == {}
    finally:
        store.close()
