"""`why-no-orders --reason`: which candidates ended with one reason, as exact numbers and as a screen."""

from datetime import datetime, timedelta
from decimal import Decimal

import pytest

from commands.shared.tables import Screen
from commands.shared.times import show_utc
from commands.shared.verb_options import jsonable
from commands.why_no_orders import run as of_reason
from tests.kit.values import DAY, NOW, candidate
from tradebot.errors import OperatorError
from tradebot.model.decision import Decision, Gate, Number, Verdict
from tradebot.model.reasons import REASONS, Reason
from tradebot.model.record import CandidateRecord, CycleRecord, Job
from tradebot.views.explain import FROM_NOTHING, funnel

LATER = NOW + timedelta(minutes=5)


def waits(
    symbol: str, observed: Number, gate: Gate = Gate.COOLDOWN, reason: Reason = Reason.COOLDOWN
) -> CandidateRecord:
    return CandidateRecord(candidate(symbol), (Decision(gate, Verdict.FAIL, reason, observed, 1800),))


def cycle(at: datetime, *records: CandidateRecord) -> CycleRecord:
    return CycleRecord("id", Job.TRADE_ONCE, DAY, "open+2m", at, "sandbox", records, None)


def shown(reason: Reason, *cycles: CycleRecord) -> list[str]:
    show_utc(False)
    screen = Screen(width=100, highlight=False)
    with screen.capture() as text:
        of_reason.show_reason(screen, of_reason.candidates_by_reason(reason, cycles))
    return [line.rstrip() for line in text.get().splitlines()]


EQUAL = [waits(symbol, 1080.0) for symbol in ("NVDA", "AAPL", "MSFT", "AMD")]


def test_equal_refusals_are_one_line_counting_their_passes() -> None:
    assert shown(Reason.COOLDOWN, cycle(NOW, *EQUAL), cycle(LATER, waits("KO", 1799.0)), cycle(LATER))[2:] == [
        "5 candidates were refused for this reason, in 2 of 3 passes",
        "symbol           time ET           gate         observed   limit    off by",
        "KO               2026-11-16 10:05  cooldown  29 min 59 s  30 min  under 1%",
        "AAPL and 3 more  2026-11-16 10:00  cooldown       18 min  30 min       40%",
    ]


def test_line_of_refusals_names_up_to_three_symbols() -> None:
    assert shown(Reason.COOLDOWN, cycle(NOW, *EQUAL[:3]))[4].startswith("AAPL, MSFT, NVDA  ")


def test_a_document_has_exact_numbers_where_a_screen_rounds_them() -> None:
    moved = waits("AAPL", Decimal("1234.56789"), Gate.BUYING_POWER, Reason.BUYING_POWER_SHORT)
    (row,) = jsonable(of_reason.candidates_by_reason(Reason.BUYING_POWER_SHORT, [cycle(NOW, moved)]))["rows"]
    miss = jsonable(funnel([cycle(NOW, moved)]))["reasons"][0]["nearest"]
    assert [(each["observed"], each["limit"]) for each in (row, miss)] == 2 * [("1234.56789", 1800)]


def test_remedy_is_that_of_the_nearest_candidate() -> None:
    without = [waits(symbol, 0, Gate.STRATEGY, Reason.CLUSTER_TOO_SMALL) for symbol in ("AAPL", "MSFT")]
    one = waits("AMD", 1, Gate.STRATEGY, Reason.CLUSTER_TOO_SMALL)
    assert of_reason.candidates_by_reason(Reason.CLUSTER_TOO_SMALL, [cycle(NOW, *without)]).remedy == FROM_NOTHING
    again = of_reason.candidates_by_reason(Reason.CLUSTER_TOO_SMALL, [cycle(NOW, *without, one)])
    assert again.remedy == REASONS[Reason.CLUSTER_TOO_SMALL].remedy


@pytest.mark.parametrize("name", ["score", "Score", " SCORE "])
def test_reason_option_accepts_a_gate_with_one_reason(name: str) -> None:
    low = waits("AAPL", 0.1, Gate.SCORE, Reason.SCORE_BELOW_MIN)
    assert of_reason.reason_of(name, [cycle(NOW, low, *EQUAL)]) is Reason.SCORE_BELOW_MIN


def test_reason_option_lists_the_reasons_of_a_gate_with_several_or_none() -> None:
    stale = waits("AAPL", 901.0, Gate.FLOW_FRESH, Reason.FLOW_STALE)
    ahead = waits("MSFT", -6.0, Gate.FLOW_FRESH, Reason.FLOW_FROM_FUTURE)
    with pytest.raises(OperatorError, match="gate flow_fresh gave more than one reason in the 1 pass") as several:
        of_reason.reason_of("flow-fresh", [cycle(NOW, stale, ahead)])
    assert all(f"--reason {code}" in several.value.hint for code in ("FLOW_STALE", "FLOW_FROM_FUTURE"))
    with pytest.raises(OperatorError, match="no candidate ended at gate spread in the 2 passes read"):
        of_reason.reason_of("spread", [cycle(NOW, stale), cycle(LATER)])
