"""What only facts on disk can show: damage that costs explanations only, other processes, and age."""

import json
import os
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing
from datetime import datetime
from decimal import Decimal
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.kit.rows import DAY, FAILED, NOW, PASSED, make_alert, make_cycle, make_intake, make_iv, make_tick, minutes
from tests.kit.values import DECISIONS_KEPT, FACTS_KEPT, instrument, margin
from tradebot.adapters.facts import schema as facts_schema
from tradebot.adapters.facts.facts import SqliteFacts
from tradebot.adapters.memory.recorder import MemoryEvents
from tradebot.adapters.state.state_folder import FACTS
from tradebot.errors import OperatorError
from tradebot.model.candidate import Component, Purpose, Side
from tradebot.model.decision import Decision, Gate, Verdict, first_failure
from tradebot.model.event import Severity
from tradebot.model.fact_kind import NullCounts
from tradebot.model.reasons import Reason
from tradebot.model.record import CycleRecord, EntryOutcome, ExitPrice, Job, PositionDifference, RefusedTrade
from tradebot.model.struct_tools import replace
from tradebot.signals.subjects.market import MARKET_TIDE_KIND
from tradebot.signals.subjects.volatility import IV_RANK_KIND


@pytest.fixture
def facts(tmp_path: Path) -> Iterator[SqliteFacts]:
    store = SqliteFacts(tmp_path, MemoryEvents(), NOW)
    store.store(make_intake("flow_alerts", make_alert("1"), make_alert("2")))
    yield store
    store.close()


def test_passes_without_their_prices_lack_nothing_else_and_the_newest_says_when_it_was(facts: SqliteFacts) -> None:
    assert facts.last_pass() is None
    marks = (ExitPrice("AAPL", Decimal(5)), ExitPrice("MSFT", Decimal(6)))
    seen = replace(make_cycle("c1", job=Job.EVALUATE_EXITS), equity=Decimal(9), marks=marks, candidates=())
    refused = replace(make_cycle("c2", minutes(1)), candidates=())
    facts.record(seen)
    facts.record(refused)
    assert facts.passes(NOW) == (seen, refused)
    assert facts.unpriced_passes(NOW) == (replace(seen, marks=()), refused)
    assert facts.last_pass() == minutes(1)


def test_last_pass_that_saw_a_price_of_a_symbol_is_found_however_many_saw_others_since(facts: SqliteFacts) -> None:
    for number, symbols in enumerate((["AAPL", "MSFT"], ["AAPL"], ["MSFT"], [])):
        marks = tuple(ExitPrice(symbol, Decimal(number)) for symbol in symbols)
        facts.record(replace(make_cycle(f"c{number}", minutes(number), job=Job.EVALUATE_EXITS), marks=marks))
    found = {symbol: facts.last_marked(symbol, NOW) for symbol in ("AAPL", "MSFT", "KO")}
    assert {symbol: cycle and cycle.id for symbol, cycle in found.items()} == {"AAPL": "c1", "MSFT": "c2", "KO": None}
    assert facts.last_marked("AAPL", minutes(2)) is None, "it is from before that"


def test_time_at_which_a_strategy_was_last_asked_with_other_code_is_found(facts: SqliteFacts) -> None:
    assert facts.other_code("flow", "new") is None
    for number, code in enumerate(({"flow": "old"}, {"flow": "new", "mine": "x"}, None, {"flow": "new"}), 1):
        facts.record(replace(make_cycle(f"c{number}", minutes(number)), code=code))
    assert facts.other_code("flow", "new") == minutes(1)
    assert facts.other_code("flow", "newer") == minutes(4)
    assert facts.other_code("mine", "x") is None


def test_only_a_pass_with_margin_or_closed_entries_has_fields_for_it(facts: SqliteFacts, tmp_path: Path) -> None:
    seen = margin({"AAPL": "10"}).as_observed(Decimal(1000))
    paid, with_margin = make_cycle("c1"), replace(make_cycle("c2", minutes(1)), margin=seen)
    fallen = Decision(Gate.MAX_DRAWDOWN, Verdict.FAIL, Reason.DRAWDOWN_STAYS, Decimal("0.12"), Decimal("0.1"))
    shut = replace(make_cycle("c3", minutes(2)), closed=(fallen,))
    priced = replace(make_cycle("c4", minutes(3)), quoted_at=minutes(2))
    doubted = replace(make_cycle("c5", minutes(4)), doubted=("AAPL",))
    apart = replace(make_cycle("c6", minutes(5)), differing=(PositionDifference("AAPL", Decimal(1), Decimal(-1)),))
    early = replace(make_cycle("c7", minutes(6)), clock_ahead_s=-360.0)
    for one in (paid, with_margin, shut, priced, doubted, apart, early):
        facts.record(one)
    assert facts.cycles(job="trade-once") == (paid, with_margin, shut, priced, doubted, apart, early)
    with closing(sqlite3.connect(tmp_path / FACTS)) as database:
        bodies = [json.loads(body) for (body,) in database.execute("SELECT body FROM cycles ORDER BY sequence")]
    names = CycleRecord.__struct_fields__
    assert names[-6:] == ("margin", "closed", "quoted_at", "doubted", "differing", "clock_ahead_s")
    assert [len(names) - len(body) for body in bodies] == [6, 5, 4, 3, 2, 1, 0]


def test_facts_of_a_session_are_read_again_after_forget(facts: SqliteFacts) -> None:
    before, told = facts.load(["AAPL"], DAY, NOW), list[str]()
    facts._database.set_trace_callback(told.append)
    facts.forget()
    assert told == ["PRAGMA shrink_memory"], "SQLite lets go of its pages too"
    assert facts.load(["AAPL"], DAY, NOW) == before


def test_load_sees_facts_that_another_process_stored(facts: SqliteFacts, tmp_path: Path) -> None:
    assert len(facts.load(["AAPL"], DAY, NOW)["AAPL"].alerts) == 2
    other = SqliteFacts(tmp_path, MemoryEvents(), NOW)
    other.store(make_intake("flow_alerts", make_alert("3"), at=minutes(1)))
    other.store(make_intake("iv_rank", make_iv(DAY, symbol="MSFT"), symbol="MSFT", at=minutes(1)))
    other.close()
    known = facts.load(["AAPL", "MSFT"], DAY, minutes(1))
    assert len(known["AAPL"].alerts) == 3
    assert IV_RANK_KIND.of(known["MSFT"].known) == make_iv(DAY, symbol="MSFT")
    assert len(facts.load(["AAPL"], DAY, NOW)["AAPL"].alerts) == 2


def test_facts_emit_an_event_when_they_create_a_file(tmp_path: Path) -> None:
    events = MemoryEvents()
    SqliteFacts(tmp_path, events, NOW).close()
    (event,) = events.emitted
    assert (event.event_type, event.severity, event.details["why"]) == ("FACTS_BEGUN_ANEW", Severity.INFO, "missing")
    assert (tmp_path / "facts.db").stat().st_mode & 0o777 == 0o600


def other_application(path: Path) -> None:
    database = sqlite3.connect(path)
    database.execute("PRAGMA application_id = 7")
    database.close()


DAMAGE: dict[str, Callable[[Path], object]] = {
    "empty": lambda path: path.write_bytes(b""),
    "cut to one page": lambda path: os.truncate(path, 4096),
    "garbage": lambda path: path.write_bytes(b"garbage!" * 1000),
    "other application": other_application,
}


@pytest.mark.parametrize("damage", DAMAGE)
def test_damaged_file_is_moved_aside_and_replaced_by_an_empty_one(
    facts: SqliteFacts, tmp_path: Path, damage: str
) -> None:
    facts.close()
    path, events = tmp_path / "facts.db", MemoryEvents()
    for number in (1, 2):
        DAMAGE[damage](path)
        before = path.read_bytes()
        again = SqliteFacts(tmp_path, events, NOW)
        assert (tmp_path / f"facts.db.damaged-{number}").read_bytes() == before
        assert again.store(make_intake("flow_alerts", make_alert("1"))) == 1
        again.close()
    assert [event.severity for event in events.emitted] == [Severity.WARN, Severity.WARN]


@pytest.mark.parametrize("number", range(5))
def test_damaged_row_counts_as_absent_is_reported_once_and_is_replaced(tmp_path: Path, number: int) -> None:
    table, change = (
        ("facts", "body = replace(body, '50000', '50001')"),
        ("intakes", "received = received + 1"),
        ("checks", "nulls = '{}'"),
        ("cycles", "body = replace(body, 'sandbox', 'sendbox')"),
        ("candidates", "body = replace(body, 'SYM0', 'SYM1')"),
    )[number]
    events, alert, cycle = MemoryEvents(), make_alert("1"), make_cycle("c1", symbols=1)
    with closing(SqliteFacts(tmp_path, events, NOW)) as store:
        store.store(replace(make_intake("flow_alerts", alert), nulls={"price": 1}, findings=()))
        store.record(cycle)
    with closing(sqlite3.connect(tmp_path / "facts.db", isolation_level=None)) as database:
        assert database.execute(f"UPDATE {table} SET {change}").rowcount == 1  # noqa: S608 - constants of this test
    with pytest.raises(OperatorError, match="1 row changed after being written"):
        facts_schema.check(tmp_path / "facts.db", pages=True)
    with closing(SqliteFacts(tmp_path, events, NOW)) as store:
        left = {
            "facts": store.load(["AAPL"], DAY, NOW)["AAPL"].alerts,
            "intakes": store.intakes(NOW),
            "checks": store.checked_replies(NOW, NOW),
            "cycles": store.cycles(job=cycle.job),
            "candidates": [one for cycle in store.cycles(job=cycle.job) for one in cycle.candidates],
        }
        assert left[table] in ((), [])
        store.store(make_intake("flow_alerts", alert, at=minutes(1)))
        store.record(cycle)
        store.record(cycle)
        assert store.load(["AAPL"], DAY, minutes(1))["AAPL"].alerts == (alert,)
        assert store.cycles(job=cycle.job) == (cycle,)
    assert [(event.event_type, event.details) for event in events.emitted[1:]] == [("rows_damaged", {"rows": "1"})]
    facts_schema.check(tmp_path / "facts.db", pages=True)


def test_load_continues_with_an_empty_file_when_it_finds_damage(tmp_path: Path) -> None:
    events = MemoryEvents()
    store = SqliteFacts(tmp_path, events, NOW)
    store.store(make_intake("flow_alerts", make_alert("1")))
    with store._write():
        # Its sum is right, so it was written like this, perhaps by another version.
        store._database.execute(
            "INSERT INTO main.facts (endpoint, symbol, id, session, known_at, body)"
            " SELECT endpoint, symbol, '2', session, known_at, '[1, 2]' FROM facts"
        )
    assert store.load(["AAPL"], DAY, NOW)["AAPL"].alerts == ()
    assert [event.severity for event in events.emitted] == [Severity.INFO, Severity.WARN]
    store.close()


def test_facts_move_a_folder_in_place_of_their_file_aside(tmp_path: Path) -> None:
    (tmp_path / "facts.db").mkdir()
    SqliteFacts(tmp_path, MemoryEvents(), NOW).close()
    assert (tmp_path / "facts.db.damaged-1").is_dir()


def test_pruning_forgets_facts_soon_and_decisions_late(facts: SqliteFacts) -> None:
    facts.store(make_intake("market_tide", make_tick("1"), symbol=None, at=minutes(5)))
    facts.record(make_cycle("old"))
    facts.record(make_cycle("new", minutes(5)))
    facts.load(["AAPL"], DAY, minutes(5))
    facts.prune(minutes(1) + FACTS_KEPT, FACTS_KEPT, DECISIONS_KEPT)
    assert facts.load(["AAPL"], DAY, minutes(5))["AAPL"].alerts == ()
    assert len(MARKET_TIDE_KIND.of(facts.market(DAY, minutes(5))) or ()) == 1
    assert [cycle.id for cycle in facts.cycles(job="trade-once")] == ["old", "new"]
    assert len(facts.intakes(NOW)) == 1
    facts.prune(minutes(1) + DECISIONS_KEPT, FACTS_KEPT, DECISIONS_KEPT)
    assert [cycle.id for cycle in facts.cycles(job="trade-once")] == ["new"]
    assert not facts.intakes(NOW)


def test_check_leaves_a_damaged_file_as_it_is(facts: SqliteFacts, tmp_path: Path) -> None:
    facts_schema.check(tmp_path / "facts.db", pages=True)
    facts.close()
    (tmp_path / "facts.db").write_text("no database" * 99)
    with pytest.raises(OperatorError, match="is damaged"):
        facts_schema.check(tmp_path / "facts.db", pages=False)
    assert [path.name for path in tmp_path.iterdir()] == ["facts.db"]


def test_check_of_pages_finds_damage_that_no_query_reads(facts: SqliteFacts, tmp_path: Path) -> None:
    facts.close()
    path = tmp_path / "facts.db"
    database = sqlite3.connect(path)
    ((size,),) = database.execute("PRAGMA page_size")
    ((root,),) = database.execute("SELECT rootpage FROM sqlite_schema WHERE name = 'facts'")
    database.close()
    with path.open("r+b") as file:
        file.seek((root - 1) * size)
        file.write(b"\xff" * size)
    with pytest.raises(OperatorError, match="is damaged") as found:
        facts_schema.check(path, pages=True)
    assert "tradebot fetch-flow --force-slot" in found.value.hint


def test_ends_counts_each_candidate_by_the_first_decision_that_stopped_it(facts: SqliteFacts) -> None:
    passed = make_cycle("sent", minutes(2), symbols=1)
    way = replace(passed.candidates[0], decisions=(PASSED,))
    facts.record(make_cycle("old", minutes(-1), symbols=4))
    facts.record(make_cycle("now", minutes(1), symbols=3))
    facts.record(make_cycle("exits", minutes(1), Job.EVALUATE_EXITS, symbols=5))
    facts.record(replace(passed, candidates=(way,)))
    assert facts.ends(Job.TRADE_ONCE, NOW) == (4, {Reason.BUYING_POWER_SHORT: 3})
    assert facts.ends(Job.TRADE_ONCE, minutes(9)) == (0, {})


def test_cancels_of_working_orders_are_no_candidates(facts: SqliteFacts) -> None:
    passed = make_cycle("sent", minutes(1), symbols=3)
    first = passed.candidates[0]
    cancel = replace(first, candidate=replace(first.candidate, source="cancel"), decisions=(PASSED,))
    facts.record(replace(passed, candidates=(cancel, *passed.candidates)))
    assert facts.ends(Job.TRADE_ONCE, NOW) == (3, {Reason.BUYING_POWER_SHORT: 3})
    assert sum(end.candidates for end in facts.ended(Job.TRADE_ONCE).ends) == 3
    assert sum(candidate.number for candidate in facts.span_ends(Job.TRADE_ONCE).standing) == 3
    (outcome,) = facts.outcomes(Job.TRADE_ONCE, first.candidate.symbol).outcomes
    assert outcome.terminal is not None


def test_sent_returns_the_candidates_with_orders(facts: SqliteFacts) -> None:
    for minute in range(3):
        cycle = make_cycle(f"cycle-{minute}", minutes(minute), symbols=3)
        first, second, third = (replace(record, client_order_id=None) for record in cycle.candidates)
        facts.record(replace(cycle, candidates=(first, replace(second, client_order_id=f"order-{minute}"), third)))
    facts.record(make_cycle("exits", minutes(1), Job.EVALUATE_EXITS, symbols=2))
    records = [record for cycle in facts.cycles(job=Job.TRADE_ONCE, since=minutes(1)) for record in cycle.candidates]
    assert list(facts.sent(Job.TRADE_ONCE, minutes(1))) == [record for record in records if record.client_order_id]
    assert len(facts.sent(Job.TRADE_ONCE, NOW)) == 3


def test_record_replaces_only_the_pass_with_the_same_id(facts: SqliteFacts) -> None:
    for name in ("open+1m", "open+1m#2", "open+1"):
        facts.record(make_cycle(name, minutes(1), symbols=1))
    facts.record(make_cycle("open+1m", minutes(2), symbols=2))
    found = {cycle.id: len(cycle.candidates) for cycle in facts.cycles(job=Job.TRADE_ONCE)}
    assert found == {"open+1m#2": 1, "open+1": 1, "open+1m": 2}


def test_answers_returns_the_newest_reply_and_the_counts_of_a_span(facts: SqliteFacts) -> None:
    for minute in (0, 5, 10):
        facts.store(make_intake("flow_alerts", at=minutes(minute), foreign=2))
    facts.store(make_intake("market_tide", symbol=None, at=minutes(1)))
    alerts, tide = facts.answers(minutes(5))
    assert alerts == ("flow_alerts", "AAPL", minutes(10), 2, 6, 4, 2)
    assert tide == ("market_tide", None, minutes(1), 0, 0, 0, 0)


def test_scores_that_another_process_records_are_seen_and_a_pass_that_was_replaced_is_forgotten(
    facts: SqliteFacts, tmp_path: Path
) -> None:
    def recorded(name: str, slot: str, minute: int, score: float) -> CycleRecord:
        cycle = replace(make_cycle(name, minutes(minute), symbols=2), job_decision=None, slot=slot)
        kept = [replace(one, candidate=replace(one.candidate, score=score)) for one in cycle.candidates]
        return replace(cycle, candidates=tuple(kept))

    def scores(*symbols: str) -> dict[str, list[float]]:
        found = facts.scores([("flow", symbol) for symbol in symbols], NOW, minutes(60))
        return {symbol: [one.score for one in known] for (_, symbol), known in found.items()}

    facts.record(recorded("c1", "open+5m", 5, 0.1))
    assert scores("SYM0") == {"SYM0": [0.1]}
    other = SqliteFacts(tmp_path, MemoryEvents(), NOW)
    other.record(recorded("c2", "open+10m", 10, 0.2))
    other.record(recorded("c1", "open+5m", 6, -0.5))
    assert scores("SYM0") == {"SYM0": [-0.5, 0.2]}
    assert scores("SYM0", "SYM1") == {"SYM0": [-0.5, 0.2], "SYM1": [-0.5, 0.2]}
    other.close()


def test_nulls_are_summed_by_kind_and_field_over_a_span(facts: SqliteFacts) -> None:
    for at, count in ((0, 1), (5, 2), (9, 4)):
        intake = make_intake("dark_pool", at=minutes(at))
        facts.store(replace(intake, received=10, nulls={"sector": count, "code": 3}))
    assert facts.nulls(minutes(0), minutes(9))["dark_pool"] == NullCounts(20, {"sector": 3, "code": 6})
    assert "flow_alerts" not in facts.nulls(minutes(0), minutes(9)), "its rows weren't checked"
    facts.prune(minutes(6) + FACTS_KEPT, FACTS_KEPT, DECISIONS_KEPT)
    assert facts.nulls(minutes(0), minutes(99)) == {"dark_pool": NullCounts(10, {"sector": 4, "code": 3})}


def judged_of(cycle: CycleRecord) -> list[EntryOutcome]:
    """Return what a pass's own record says about its entry candidates."""
    unsent = {Reason.SHADOW, Reason.DRY_RUN}
    found = []
    for record in cycle.candidates:
        candidate = record.candidate
        refused = first_failure(tuple(each for each in record.decisions if each.reason not in unsent))
        components = tuple((each.name, each.value) for each in candidate.components)
        about = cycle.at, candidate.strategy, candidate.symbol, candidate.side, candidate.score, components
        if candidate.purpose is Purpose.OPEN:
            found.append(EntryOutcome(*about, refused.gate if refused else None, cycle.job is Job.TRADE_ONCE))
    return found


def test_judged_agrees_with_the_recorded_passes(facts: SqliteFacts) -> None:
    cycle = make_cycle("traded", minutes(1), symbols=4)
    refused, sent, closing, shadowed = cycle.candidates
    absent = (Component("flow", None, 1.0, ""), Component("iv_rank", -0.5, 1.0, ""))
    shadow = Decision(Gate.SEND, Verdict.UNKNOWN, Reason.SHADOW)
    records = (
        replace(refused, candidate=replace(refused.candidate, side=Side.SELL, score=None, components=absent)),
        replace(sent, decisions=(PASSED,)),
        replace(closing, candidate=replace(closing.candidate, purpose=Purpose.CLOSE)),
        replace(shadowed, decisions=(PASSED, shadow)),
    )
    scored, traded = make_cycle("scored", NOW, Job.SCORE), replace(cycle, candidates=records)
    for each in (traded, scored, make_cycle("exits", minutes(1), Job.EVALUATE_EXITS), make_cycle("late", minutes(2))):
        facts.record(each)
    assert facts.judged(NOW, minutes(2)) == [*judged_of(scored), *judged_of(traded)]
    assert [each.gate for each in facts.judged(minutes(1), minutes(2))] == [FAILED.gate, None, None]
    assert facts.judged(minutes(3), minutes(9)) == []
    assert facts.first_scored() == NOW


SOMETIMES = st.sampled_from((0, 0, 1, 2, 5))
LOOKS = st.tuples(
    st.sampled_from((Job.TRADE_ONCE, Job.TRADE_ONCE, Job.SCORE)),
    st.lists(st.tuples(st.sampled_from("AB"), SOMETIMES, st.booleans(), st.sampled_from((None, 0.0, 0.4))), max_size=4),
)


@given(st.lists(LOOKS, max_size=5))
@settings(max_examples=25)
def test_refused_agrees_with_the_judged_candidates(looks: list[Any]) -> None:
    with TemporaryDirectory() as folder, closing(SqliteFacts(Path(folder), MemoryEvents(), NOW)) as facts:
        for minute, (job, seen) in enumerate(looks):
            cycle = make_cycle(f"c{minute}", minutes(minute), job, symbols=len(seen))
            records = tuple(
                replace(
                    record,
                    candidate=replace(record.candidate, instrument=instrument(f"S{name}"), side=side, score=score),
                    decisions=(PASSED, FAILED) if fails else (PASSED,),
                    client_order_id=None if fails > 1 else "o",
                )
                for record, (name, fails, sells, score) in zip(cycle.candidates, seen, strict=True)
                for side in ((Side.SELL if sells else Side.BUY),)
            )
            facts.record(replace(cycle, candidates=records))
        span = minutes(1), minutes(4)
        gated = [each for each in facts.judged(*span) if each.was_gated and each.score != 0]
        sent = {(each.strategy, each.symbol, each.side) for each in gated if each.gate is None}
        first = dict[tuple[str, str, Side], datetime]()
        for each in gated:
            first.setdefault((each.strategy, each.symbol, each.side), each.at)
        expected = [RefusedTrade(at, *trade) for trade, at in first.items() if trade not in sent]
        assert facts.refused(*span) == sorted(expected)


def test_last_pass_is_the_one_recorded_last_whatever_the_clock_said(facts: SqliteFacts) -> None:
    for name, minute in (("before", 0), ("a day ahead", 24 * 60), ("after", 1)):
        facts.record(make_cycle(name, minutes(minute)))
    assert [one.id for one in facts.cycles(job="trade-once", last=2)] == ["a day ahead", "after"]
