"""Candidates from outside go through all gates and the same road, under their own source and name."""

from datetime import datetime

import pytest

from tests.gates.test_entry import OF_MARGIN, OF_OPTIONS
from tests.kit.core.scene import Scene, call, trade_once
from tests.kit.values import LIMITS, ago
from tradebot.model.candidate import Side, Submitted
from tradebot.model.decision import Gate, Verdict
from tradebot.model.reasons import Reason
from tradebot.model.record import CandidateRecord
from tradebot.model.struct_tools import replace
from tradebot.ports.world import World
from tradebot.strategies.external_candidates import strategies_of

FLOW_GATES = (Gate.FLOW_CONTRACT, Gate.FLOW_FRESH, Gate.COVERAGE)


def submitted(symbol: str = "AAPL", strategy: str = "own", **changes: object) -> Submitted:
    usual = Submitted(symbol, Side.BUY, 0.6, "my_model", strategy, None, None)
    return replace(usual, **changes)  # type: ignore[arg-type]


def world_of(scene: Scene, *wanted: Submitted) -> World:
    return replace(scene.world(), strategies=strategies_of(wanted, LIMITS))


def traded(*wanted: Submitted) -> tuple[Scene, tuple[CandidateRecord, ...]]:
    scene = Scene()
    return scene, trade_once(world_of(scene, *wanted), call()).candidates


def test_submitted_candidate_is_sent_once_under_its_own_name() -> None:
    scene, (record,) = traded(submitted())
    assert (record.terminal, record.candidate.source) == (None, "my_model")
    (intent,) = scene.venue.submitted
    assert (intent.key.strategy, intent.instrument.symbol, intent.side) == ("own", "AAPL", Side.BUY)


def test_symbol_that_the_venue_does_not_list_leaves_the_other_submissions_alone() -> None:
    scene = Scene()
    scene.venue.unlisted = {"MSFT"}
    cycle = trade_once(world_of(scene, submitted("MSFT"), submitted()), call())
    assert [(record.candidate.symbol, record.terminal) for record in cycle.candidates] == [("AAPL", None)]
    refused = [(refusal.symbol, refusal.decision.reason) for refusal in cycle.refused_strategies]
    assert refused == [("MSFT", Reason.INSTRUMENT_UNKNOWN)]


def test_submitted_candidate_passes_all_gates_and_skips_those_of_the_flow() -> None:
    scene = Scene()
    scene.facts.__init__()  # type: ignore[misc]
    (record,) = trade_once(world_of(scene, submitted()), call()).candidates
    asked = {decision.gate: decision for decision in record.decisions}
    unasked = {Gate.JOB, Gate.NEEDS, Gate.TARGET, Gate.DISPLACEMENT, Gate.LIQUIDITY, Gate.APPROVAL, Gate.EXIT}
    assert set(Gate) - set(asked) == {
        *unasked,
        Gate.DEPTH,
        Gate.INSTRUMENT,
        Gate.DATA_HEALTH,
        Gate.REGISTRY,
        Gate.ROLL,
        Gate.EXPIRY,
        Gate.POSITIONS_HELD,
        Gate.LARGEST_POSITION,
        Gate.PROMOTION,
        *OF_OPTIONS,
        *OF_MARGIN,
    }
    assert {(asked[gate].verdict, asked[gate].observed) for gate in FLOW_GATES} == {(Verdict.PASS, "not used")}


def test_coverage_is_held_to_its_limit_where_it_is_given() -> None:
    _, (record,) = traded(submitted(coverage=0.1))
    assert record.terminal
    assert record.terminal.reason is Reason.COVERAGE_BELOW_MIN


@pytest.mark.parametrize(
    ("at", "reason"),
    [
        (ago(LIMITS.max_flow_age_s), None),
        (ago(LIMITS.max_flow_age_s + 1), Reason.CANDIDATE_STALE),
        (ago(-LIMITS.max_clock_skew_s), None),
        (ago(-LIMITS.max_clock_skew_s - 1), Reason.CANDIDATE_STALE),
    ],
)
def test_submitted_signal_with_a_time_must_be_recent(at: datetime, reason: Reason | None) -> None:
    _, (record,) = traded(submitted(at=at))
    assert (record.terminal.reason if record.terminal else None) is reason


def test_weak_submitted_candidate_is_refused() -> None:
    _, (record,) = traded(submitted(score=LIMITS.min_score / 2))
    assert record.terminal
    assert record.terminal.reason is Reason.SCORE_BELOW_MIN


def test_two_strategies_that_submit_one_symbol_open_it_once() -> None:
    scene, records = traded(submitted(), submitted(strategy="other", side=Side.SELL, score=-0.5))
    assert len(scene.venue.submitted) == 1
    assert [record.terminal and record.terminal.reason for record in records] == [None, Reason.OPPOSITE_SIDE]
