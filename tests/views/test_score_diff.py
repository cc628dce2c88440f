"""What moved between two passes: the largest change first, with what each component gave."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.kit.rows import FAILED, PASSED, make_cycle
from tests.kit.values import instrument
from tradebot.model.candidate import Component, Purpose, Side
from tradebot.model.decision import Decision
from tradebot.model.record import CandidateRecord, CycleRecord, Job
from tradebot.model.struct_tools import replace
from tradebot.views.score_diff import ScorePart, diff_scores


def record(
    symbol: str, score: float | None, *parts: Component, side: Side = Side.BUY, end: Decision = FAILED
) -> CandidateRecord:
    usual = make_cycle("any", symbols=1).candidates[0]
    candidate = replace(usual.candidate, instrument=instrument(symbol), score=score, side=side, components=parts)
    return CandidateRecord(candidate, (PASSED, end))


def cycle(name: str, *records: CandidateRecord, job: Job = Job.TRADE_ONCE) -> CycleRecord:
    return replace(make_cycle(name, job=job), candidates=records)


def part(name: str, value: float | None, weight: float = 1.0) -> Component:
    return Component(name, value, weight, "")


def test_moved_scores_are_sorted_by_change_and_unmoved_ones_marked() -> None:
    before = cycle("then", record("AAPL", 0.1), record("MSFT", 0.5), record("JPM", 0.2))
    after = cycle("now", record("AAPL", 0.2), record("MSFT", -0.5, side=Side.SELL), record("JPM", 0.2))
    found = diff_scores(before, after)
    assert [(row.symbol, row.has_moved, row.change) for row in found.rows] == [
        ("MSFT", True, pytest.approx(-1.0)),
        ("AAPL", True, pytest.approx(0.1)),
        ("JPM", False, 0.0),
    ]
    assert (found.before.id, found.after.id, found.moved) == ("then", "now", 2)
    assert (found.rows[0].side_before, found.rows[0].side_after) == ("buy", "sell")


def test_moved_component_shows_its_contribution_before_and_after() -> None:
    before = cycle("then", record("AAPL", 0.35, part("flow", 0.5), part("iv_rank", 0.2)))
    after = cycle("now", record("AAPL", 0.1, part("flow", None), part("iv_rank", 0.4), part("skew", 0.1, 2.0)))
    flow, skew, rank = diff_scores(before, after).rows[0].components
    assert (flow.name, flow.before, flow.after) == ("flow", ScorePart(0.5, 1.0, 0.25), ScorePart(None, 1.0, None))
    assert flow.change == pytest.approx(-0.25)
    assert (skew.name, skew.before, skew.after) == ("skew", None, ScorePart(0.1, 2.0, 0.05))
    assert rank.name == "iv_rank"
    assert rank.change == pytest.approx(0.0)


def test_symbol_of_only_one_pass_has_no_score_in_the_other_and_only_entries_are_compared() -> None:
    found = diff_scores(cycle("then", record("AAPL", 0.3)), cycle("now", record("MSFT", None)))
    assert [(row.symbol, row.score_before, row.score_after, row.result_before) for row in found.rows] == [
        ("AAPL", 0.3, None, "BUYING_POWER_SHORT"),
        ("MSFT", None, None, None),
    ]
    assert all(row.has_moved for row in found.rows)
    unrefused = record("AAPL", 0.3, end=PASSED)
    (row,) = diff_scores(cycle("then", unrefused, job=Job.SCORE), cycle("now", unrefused)).rows
    assert (row.result_before, row.result_after, row.has_moved) == ("candidate", "sent", True)
    closing = replace(unrefused, candidate=replace(unrefused.candidate, purpose=Purpose.CLOSE))
    assert diff_scores(cycle("then", closing), cycle("now", closing)).rows == ()


values = st.none() | st.floats(-1, 1)
scores = st.dictionaries(
    st.sampled_from(["AAPL", "MSFT", "JPM"]), st.tuples(values, st.lists(values, min_size=2, max_size=2))
)


@settings(max_examples=25)
@given(scores, scores)
def test_swapping_the_passes_negates_changes_and_contributions_explain_them(
    before: dict[str, tuple[float | None, list[float | None]]],
    after: dict[str, tuple[float | None, list[float | None]]],
) -> None:
    then, now = (
        cycle(name, *(record(s, score, *map(part, ("flow", "skew"), parts)) for s, (score, parts) in each.items()))
        for name, each in (("then", before), ("now", after))
    )
    forth, back = diff_scores(then, now), diff_scores(now, then)
    assert {row.symbol: row.change for row in forth.rows} == {row.symbol: -row.change for row in back.rows}
    assert forth.moved == back.moved
    assert diff_scores(then, then).moved == 0
    for row in forth.rows:
        given_before = sum(each.before.contribution or 0 for each in row.components if each.before)
        given_after = sum(each.after.contribution or 0 for each in row.components if each.after)
        assert sum(each.change for each in row.components) == pytest.approx(given_after - given_before)
