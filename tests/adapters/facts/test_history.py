"""Each session's end is the last pass that saw the account, and it outlives the other passes."""

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from datetime import date, timedelta
from decimal import Decimal
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.kit.rows import DAY, NOW, make_cycle
from tests.kit.values import DECISIONS_KEPT, FACTS_KEPT, there
from tradebot.adapters.facts import history
from tradebot.adapters.facts.facts import SqliteFacts
from tradebot.adapters.memory.recorder import MemoryEvents
from tradebot.adapters.state.state_folder import FACTS
from tradebot.model.event import Severity
from tradebot.model.record import CycleRecord, ExitPrice, Job, SessionEnd
from tradebot.model.struct_tools import replace

EVER = date.min, date.max


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SqliteFacts]:
    store = SqliteFacts(tmp_path_factory.mktemp("facts"), MemoryEvents(), NOW)
    yield store
    store.close()


@pytest.fixture
def facts(tmp_path: Path) -> Iterator[SqliteFacts]:
    store = SqliteFacts(tmp_path, MemoryEvents(), NOW)
    yield store
    store.close()


def seen(day: int, minute: int, equity: int | None, price: int | None, job: Job = Job.EVALUATE_EXITS) -> CycleRecord:
    """Return a pass on some day with the equity and the price that it saw."""
    at = NOW + timedelta(days=day, minutes=minute)
    return replace(
        make_cycle(f"{job}.{day}.{minute}", at, job, symbols=1),
        session=DAY + timedelta(days=day),
        equity=None if equity is None else Decimal(equity),
        marks=() if price is None else (ExitPrice("AAPL", Decimal(price)),),
    )


def end_of(passes: list[CycleRecord]) -> SessionEnd:
    """Work out a session's end from all its passes, oldest first."""
    known = [one for one in passes if one.equity is not None]
    priced = [one for one in passes if one.marks]
    marks = {mark.symbol: mark.price for mark in priced[-1].marks} if priced else {}
    return SessionEnd(known[-1].session, known[-1].equity, known[-1].at, marks, priced[-1].at if priced else None)


PASSES = st.lists(
    st.tuples(st.integers(0, 3), st.integers(0, 9), st.none() | st.integers(1, 9), st.none() | st.integers(1, 9)),
    max_size=12,
    unique_by=lambda one: one[:2],
)


@given(passes=PASSES)
def test_session_ends_uses_the_last_pass_with_equity_and_the_last_with_prices(
    shared: SqliteFacts, passes: list[tuple[int, int, int | None, int | None]]
) -> None:
    with shared._write():
        shared._database.execute("DELETE FROM main.cycles")
    # A pass that sees prices has always seen the account too.
    made = [seen(day, at, equity if price is None else equity or 1, price) for day, at, equity, price in passes]
    for one in made:
        shared.record(one)
    by_day = {
        day: sorted((p for p in made if p.session == day), key=lambda p: p.at) for day in {p.session for p in made}
    }
    expected = [end_of(of_day) for _, of_day in sorted(by_day.items()) if any(p.equity is not None for p in of_day)]
    assert list(shared.session_ends(*EVER)) == expected
    tomorrow = DAY + timedelta(days=1)
    assert list(shared.session_ends(tomorrow, tomorrow)) == [end for end in expected if end.session == tomorrow]


def test_close_before_is_known_though_the_last_pass_came_after_the_session(facts: SqliteFacts) -> None:
    facts.record(replace(seen(0, 1, 7, 7), last_close=Decimal(6)))
    facts.record(seen(0, 2, 8, None))
    (end,) = facts.session_ends(*EVER)
    assert (end.equity, end.last_close) == (Decimal(8), Decimal(6))


def test_last_pass_that_read_the_account_is_found_behind_refused_ones_of_its_job(facts: SqliteFacts) -> None:
    assert facts.last_read(Job.EVALUATE_EXITS) is None
    for one in (seen(0, 1, 7, 7), seen(1, 1, 8, 8), seen(1, 2, 9, None, Job.TRADE_ONCE), seen(1, 3, None, None)):
        facts.record(one)
    found = there(facts.last_read(Job.EVALUATE_EXITS))
    assert (found.equity, [mark.price for mark in found.marks]) == (Decimal(8), [Decimal(8)])


def test_old_sessions_keep_their_end_and_nothing_else(facts: SqliteFacts) -> None:
    early, priced, last = seen(0, 1, 7, 7), seen(0, 2, 8, 8), seen(0, 3, 9, None, Job.TRADE_ONCE)
    new = seen(500, 1, 5, 5)
    for one in (early, priced, last, seen(0, 4, None, None), new):
        facts.record(one)
    before = facts.session_ends(*EVER)
    facts.prune(NOW + timedelta(days=1) + DECISIONS_KEPT, FACTS_KEPT, DECISIONS_KEPT)
    assert facts.session_ends(*EVER) == before
    assert [end.equity for end in before] == [Decimal(9), Decimal(5)]
    assert [end.marks for end in before] == [{"AAPL": Decimal(8)}, {"AAPL": Decimal(5)}]
    kept = [facts.cycle(one.id) for one in (early, priced, last, new)]
    assert kept == [None, replace(priced, candidates=()), replace(last, candidates=()), new]
    facts.prune(NOW + timedelta(days=999) + DECISIONS_KEPT, FACTS_KEPT, DECISIONS_KEPT)
    assert facts.session_ends(*EVER) == before
    assert (cycle := facts.cycle(new.id)) is not None
    assert cycle.candidates == ()


def test_session_ends_calls_an_index_damaged_that_knows_of_no_session(tmp_path: Path) -> None:
    before = SqliteFacts(tmp_path, MemoryEvents(), NOW)
    before.record(seen(0, 1, 7, 7))
    before.close()
    with closing(sqlite3.connect(tmp_path / FACTS)) as file:
        pages = dict(file.execute("SELECT name, rootpage FROM sqlite_schema").fetchall())
        size = file.execute("PRAGMA page_size").fetchone()[0]
    swap_pages(tmp_path / FACTS, size, pages["cycles_with_equity"], pages["facts_by_session"])
    events = MemoryEvents()
    store = SqliteFacts(tmp_path, events, NOW)
    assert store.session_ends(*EVER) == []
    assert [event.severity for event in events.emitted] == [Severity.WARN]
    store.close()


def swap_pages(path: Path, size: int, one: int, other: int) -> None:
    """Let two pages of a file change places; each is whole, so only what is read from them is wrong."""
    whole = bytearray(path.read_bytes())
    first, second = (slice((number - 1) * size, number * size) for number in (one, other))
    whole[first], whole[second] = whole[second], whole[first]
    path.write_bytes(whole)


def test_session_ends_reads_no_other_passes_over_years(facts: SqliteFacts) -> None:
    asked = [day.isoformat() for day in EVER]
    plan = [str(row[3]) for row in facts._database.execute(f"EXPLAIN QUERY PLAN {history.ENDS}", asked)]
    assert [
        step for step in plan if "cycles" in step and "SEARCH main.cycles USING INDEX cycles_with_" not in step
    ] == []
    assert [step for step in plan if "B-TREE" in step] == []


def test_marked_prices_are_those_of_the_last_passes_of_one_session_oldest_first(facts: SqliteFacts) -> None:
    for cycle in (
        seen(0, 1, 1, 7),
        *(seen(1, minute, 1, 10 + minute) for minute in (3, 1, 2)),
        seen(1, 4, 1, None),
        seen(2, 1, 1, 9),
    ):
        facts.record(cycle)
    day = DAY + timedelta(days=1)
    start = NOW + timedelta(days=1)
    prices = facts.marked_prices(day, ["AAPL", "MSFT"], 2)
    assert prices == {"AAPL": [(start + timedelta(minutes=minute), Decimal(10 + minute)) for minute in (2, 3)]}
    assert [price for _, price in facts.marked_prices(day, ["AAPL"], 9)["AAPL"]] == [11, 12, 13]
    assert facts.marked_prices(day, ["MSFT"], 9) == {}
