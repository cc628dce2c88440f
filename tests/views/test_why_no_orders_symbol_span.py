"""What became of a symbol over many passes: counts add up, and the nearest miss is the nearest."""

from tests.kit.values import DAY, ago, candidate, there
from tradebot.model.decision import Decision, Gate, Verdict
from tradebot.model.reasons import Reason
from tradebot.model.record import CandidateRecord, CycleRecord, Job, Outcome, SymbolOutcomes
from tradebot.model.struct_tools import replace
from tradebot.views.explain import gate_paths_of
from tradebot.views.why_no_orders import symbol_span


def failed(reason: Reason, observed: float, gate: Gate = Gate.SCORE) -> Decision:
    return Decision(gate, Verdict.FAIL, reason, observed, 0.25)


def cycle(seconds: int, *decisions: Decision, symbol: str = "NVDA") -> CycleRecord:
    records = (CandidateRecord(candidate(symbol), decisions),)
    return CycleRecord(f"id{seconds}", Job.TRADE_ONCE, DAY, f"at {seconds}", ago(seconds), "sandbox", records)


def seen_in(*cycles: CycleRecord, symbol: str = "NVDA") -> SymbolOutcomes:
    """Return what a store reads of these passes about a symbol."""
    ways = [
        (way, tuple(each for each in way.record.decisions if not each.passed)) for way in gate_paths_of(symbol, cycles)
    ]
    return SymbolOutcomes(
        tuple(replace(one, candidates=()) for one in cycles),
        tuple(
            Outcome(way.at, way.slot, way.record.candidate.strategy, refusals, way.record.client_order_id)
            for way, refusals in ways
        ),
    )


def test_passes_of_a_symbol_are_summed_up_with_the_nearest_miss() -> None:
    weak, wide = failed(Reason.SCORE_BELOW_MIN, 0.1), failed(Reason.SPREAD_TOO_WIDE, 0.3, Gate.SPREAD)
    closest = failed(Reason.SCORE_BELOW_MIN, 0.24)
    seen = symbol_span(
        "NVDA",
        seen_in(cycle(400, weak), cycle(300, wide), cycle(200, closest, wide), cycle(100), cycle(50, symbol="AAPL")),
    )
    assert (seen.passes, seen.looked_at, seen.candidates, seen.orders) == (5, 4, 4, 1)
    assert [(end.reason, end.count) for end in seen.ends] == [
        (Reason.SCORE_BELOW_MIN, 2), (Reason.SPREAD_TOO_WIDE, 1),
    ]  # fmt: skip
    # A pass that failed one gate was closer than one that failed two, whatever its numbers.
    nearest = there(there(seen.nearest).nearest)
    assert (nearest.at, nearest.observed, nearest.failed) == (ago(300), 0.3, 1)
    assert (seen.sent_at, seen.sentence) == ((ago(100),), "1 of its 4 candidates became an order.")


def test_row_has_the_smallest_miss_and_no_pass_without_anything_to_compare_is_nearest() -> None:
    def few(alerts: int) -> Decision:
        return Decision(Gate.STRATEGY, Verdict.FAIL, Reason.CLUSTER_TOO_SMALL, alerts, 2, about="cluster")

    wide = failed(Reason.SPREAD_TOO_WIDE, 0.3, Gate.SPREAD)
    seen = symbol_span("NVDA", seen_in(cycle(300, few(0)), cycle(200, few(1), wide), cycle(100, few(0))))
    assert [(there(end.nearest).observed, there(end.nearest).at) for end in seen.ends] == [(1, ago(200))]
    assert there(there(seen.nearest).nearest).observed == 1
    assert there(symbol_span("NVDA", seen_in(cycle(300, few(0)))).ends[0].nearest).observed == 0


def test_symbol_that_nobody_wanted_and_one_of_broken_passes_are_told_apart() -> None:
    unwanted = symbol_span("NVDA", seen_in(cycle(50, symbol="AAPL")))
    assert (unwanted.sentence, unwanted.remedy) == ("No strategy proposed anything for it in 1 pass.", "tradebot score")
    broken = replace(cycle(50), candidates=(), job_decision=failed(Reason.VENUE_UNREACHABLE, 1, Gate.JOB))
    told = symbol_span("NVDA", seen_in(broken, replace(broken, at=ago(10))))
    assert told.sentence.startswith("It wasn't evaluated in 2 passes, 2 times because of VENUE_UNREACHABLE: ")
    assert told.elsewhere == {Reason.VENUE_UNREACHABLE: 2}
