"""How often targets were held, and the limits that would have let them be: worked out by hand."""

from decimal import Decimal

import pytest

from tests.kit.core.scene import Scene
from tests.kit.values import NOW, SECTORS, instrument, limits
from tradebot.model.candidate import Candidate, Purpose, Side, WantKind
from tradebot.model.decision import Decision, Gate, Verdict
from tradebot.model.limits import OwnRules
from tradebot.model.reasons import Reason
from tradebot.model.record import CandidateRecord, CycleRecord, Job
from tradebot.model.values import replace
from tradebot.ports.world import Rules
from tradebot.views.backtest_result import Targets, targets

WALLS = {"max_symbol_fraction": "0.2", "max_sector_fraction": "0.4", "max_gross_fraction": "0.65"}
FINE = {"limit_offset_fraction": "0.002", "max_spread_fraction": "0.003", "target_tolerance_fraction": "0.01"}
DAY = NOW.date()
HELD, CAPPED, NO_SECTOR = Reason.TARGET_REACHED, Reason.SYMBOL_NOTIONAL_ABOVE_MAX, Reason.SECTOR_UNKNOWN


def rules(allotment: str = "1", **own: str) -> Rules:
    account = limits(**{name: Decimal(value) for name, value in (WALLS | FINE).items()})
    mine = account.model_copy(update={name: Decimal(value) for name, value in own.items()})
    known = {"thirds": OwnRules((), mine, Decimal(allotment))}
    return replace(Scene().world().rules, limits=account, sectors=SECTORS, own=known)


def record(symbol: str, end: Reason | None, weight: str = "0.3333", sent: str | None = None) -> CandidateRecord:
    candidate = Candidate(
        "thirds",
        instrument(symbol),
        Side.BUY,
        Purpose.OPEN,
        NOW,
        quantity=Decimal(10),
        weight=Decimal(weight),
        want=WantKind.TARGET,
    )
    decisions = (Decision(Gate.TARGET, Verdict.FAIL, end),) if end else ()
    return CandidateRecord(candidate, decisions, sent)


def cycle(*records: CandidateRecord, day: int = 0, slot: str = "open+5m") -> CycleRecord:
    session = DAY.replace(day=DAY.day - day)
    own = tuple(replace(r, candidate=replace(r.candidate, slot=slot, slot_session=session)) for r in records)
    return CycleRecord(f"{day}{slot}", Job.TRADE_ONCE, session, slot, NOW, "sandbox", own)


def found(*cycles: CycleRecord, of: Rules | None = None, filled: str = "10") -> Targets:
    result = targets(cycles, {"order": Decimal(filled)}, of or rules())
    assert result is not None
    return result


def test_the_last_pass_of_a_rebalance_says_whether_its_targets_were_reached() -> None:
    early, late = cycle(record("AAPL", CAPPED), day=1), cycle(record("AAPL", HELD), day=1)
    assert found(early, late) == Targets(1, 1, {}, {}, (), ("reached in 1 of 1 rebalance",))
    assert found(late, early, cycle(record("AAPL", HELD))).reached == 1


@pytest.mark.parametrize(("filled", "reached"), [("10", 1), ("9", 0)])
def test_an_order_reaches_its_target_if_all_of_it_fills(filled: str, reached: int) -> None:
    one = found(cycle(record("AAPL", None, "0.1", "order")), filled=filled)
    assert (one.reached, one.stopped) == (reached, {} if reached else {"NOT_FILLED": 1})


def test_limits_below_the_wants_are_named_with_values_that_fit() -> None:
    told = found(cycle(record("AAPL", CAPPED), record("JPM", CAPPED), record("XOM", HELD)))
    # (0.3333 + 0.01) * 1.005 = 0.34502, and three times that
    assert told.fitting == {"limits.max_symbol_fraction": Decimal("0.35"), "limits.max_gross_fraction": Decimal("1.04")}
    assert told.said == (
        "reached in 0 of 1 rebalance",
        "stopped by SYMBOL_NOTIONAL_ABOVE_MAX in 1",
        "to fit them: limits.max_symbol_fraction: 0.35, limits.max_gross_fraction: 1.04",
    )


def test_what_two_symbols_of_a_sector_want_together_is_compared_with_the_sectors_limit() -> None:
    assert SECTORS["AAPL"] == SECTORS["MSFT"]
    told = found(cycle(record("AAPL", CAPPED), record("MSFT", CAPPED)))
    assert told.fitting["limits.max_sector_fraction"] == Decimal("0.70")


def test_a_strategys_own_limit_is_named_with_a_value_of_its_allotment() -> None:
    own = rules("0.5", max_symbol_fraction="0.3")
    told = found(cycle(record("AAPL", CAPPED, "0.35")), of=own)
    assert told.fitting == {"strategies.thirds.limits.max_symbol_fraction": Decimal("0.37")}


def test_symbols_without_a_sector_are_named() -> None:
    told = found(cycle(record("ZZZZ", NO_SECTOR, "0.1"), record("AAPL", HELD, "0.1")))
    assert (told.without_sector, told.fitting) == (("ZZZZ",), {})
    assert told.said[-1] == "without a sector, so never bought: ZZZZ; give each one under sectors"


def test_passes_without_targets_tell_nothing() -> None:
    entry = record("AAPL", CAPPED)
    entry = replace(entry, candidate=replace(entry.candidate, want=WantKind.OPEN))
    assert targets([cycle(entry)], {}, rules()) is None
