"""Nothing is opened in a contract that is about to end, and none is held into its notice or its last trade."""

from datetime import time, timedelta
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.kit.values import DAY, HALTS, NOW, ask, desk, listing
from tradebot.gates.evaluation import decide
from tradebot.gates.expiry import check_roll_date, none_overdue
from tradebot.gates.halts import failing_rules
from tradebot.model.decision import Decision, Gate, Verdict
from tradebot.model.desk import Desk
from tradebot.model.instrument import Rolling
from tradebot.model.position import Lot, Position
from tradebot.model.reasons import Reason

A_DAY = timedelta(days=1)


def rolling(on: int, until: int = 5) -> Rolling:
    """Return when a contract is left, in days from today."""
    return Rolling(DAY + on * A_DAY, DAY + until * A_DAY, "NEXT", 600, 660)


def seen(found: Rolling | None, *, held: bool = False, **changes: object) -> Desk:
    position = Position("flow", "AAPL", (Lot(Decimal(2), Decimal(100), NOW),), Decimal(0), NOW)
    known = {"AAPL": listing("AAPL", rolling=found, **changes)}
    return desk(listings=known, positions=(position,) if held else ())


def said(gate: Gate, on: Desk) -> Decision | None:
    return next((one for one in decide(ask(desk=on)) if one.gate is gate), None)


@pytest.mark.parametrize(("on", "opens"), [(1, True), (0, False), (-1, False)])
def test_nothing_is_opened_from_the_day_on_which_positions_leave(on: int, opens: bool) -> None:
    found = said(Gate.ROLL, seen(rolling(on)))
    assert found == check_roll_date(seen(rolling(on)), "AAPL")
    assert found is not None
    assert (found.passed, found.reason) == (opens, None if opens else Reason.CONTRACT_ROLLS)


def test_what_does_not_end_is_asked_neither() -> None:
    assert said(Gate.ROLL, seen(None)) is None
    assert said(Gate.EXPIRY, seen(None, held=True)) is None


@given(st.integers(-9, 9))
def test_a_contract_held_past_its_last_day_halts_and_the_same_predicate_refuses_entries(until: int) -> None:
    on = seen(rolling(-9, until), held=True)
    gate, monitor = said(Gate.EXPIRY, on), none_overdue(on)
    assert gate == monitor
    assert gate is not None
    assert gate.passed is (until >= 0)
    halted = [one.reason for one in failing_rules(on, HALTS)]
    assert (Reason.CONTRACT_OVERDUE in halted) is (until < 0)


@pytest.mark.parametrize("doubtful", ["AAPL", "MSFT"])
def test_a_doubt_about_any_contract_on_the_same_thing_refuses_entries_in_all_of_them(doubtful: str) -> None:
    doubt = "ES: multiplier 5, not 50"
    two = {one: listing(one, underlying="ES", doubt=doubt if one == doubtful else "") for one in ("AAPL", "MSFT")}
    found = said(Gate.INSTRUMENT, desk(listings=two))
    assert found == Decision(Gate.INSTRUMENT, Verdict.FAIL, Reason.CONTRACT_DIFFERS, doubt)


def test_a_doubt_about_something_else_refuses_nothing() -> None:
    others = {"AAPL": listing(underlying="ES"), "MSFT": listing("MSFT", underlying="NQ", doubt="NQ: tick 1, not 0.25")}
    assert said(Gate.INSTRUMENT, desk(listings=others)) is None


@given(st.integers(-3, 9), st.integers(0, 23), st.integers(0, 59))
def test_a_position_moves_in_its_hour_and_on_the_last_day_at_any_time(days: int, hour: int, minute: int) -> None:
    found, today, clock = rolling(0), DAY + days * A_DAY, time(hour, minute)
    assert found.is_due(today, clock) is (days >= 5 or (days >= 0 and hour == 10))
