"""Candidates from outside go through all gates and the same road, under their own source and name."""

from datetime import datetime
from typing import Any

import pytest

from tests.gates.test_entry import OF_MARGIN, OF_OPTIONS
from tests.kit.core.scene import Scene, call, trade_once
from tests.kit.values import LIMITS, ago, there
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


def test_symbol_that_two_strategies_submit_is_opened_once_under_the_name_of_the_first() -> None:
    scene, records = traded(submitted(), submitted(strategy="other", side=Side.SELL, score=-0.5))
    assert [record.terminal and record.terminal.reason for record in records] == [None, Reason.OPPOSITE_SIDE]
    assert records[0].candidate.source == "my_model"
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
    unasked |= {Gate.DEPTH, Gate.INSTRUMENT, Gate.DATA_HEALTH, Gate.REGISTRY, Gate.ROLL, Gate.EXPIRY}
    unasked |= {Gate.POSITIONS_HELD, Gate.LARGEST_POSITION, Gate.PROMOTION, *OF_OPTIONS, *OF_MARGIN}
    assert set(Gate) - set(asked) == unasked
    assert {(asked[gate].verdict, asked[gate].observed) for gate in FLOW_GATES} == {(Verdict.PASS, "not used")}


@pytest.mark.parametrize(
    ("changes", "reason"),
    [({"coverage": 0.1}, Reason.COVERAGE_BELOW_MIN), ({"score": LIMITS.min_score / 2}, Reason.SCORE_BELOW_MIN)],
)
def test_submitted_candidate_of_little_weight_or_coverage_is_refused(changes: dict[str, Any], reason: Reason) -> None:
    _, (record,) = traded(submitted(**changes))
    assert there(record.terminal).reason is reason


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
