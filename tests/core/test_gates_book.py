"""The limits on a whole book: one predicate serves the gate and the monitor."""

from decimal import Decimal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.core.builders import HALTS, LIMITS, ask, book, candidate
from tradebot.gates import book as limits_of
from tradebot.gates.entry import decide
from tradebot.model.decision import Gate, Verdict
from tradebot.model.desk import Book
from tradebot.model.reasons import Reason

SHARED = (
    Gate.GROSS_NOTIONAL, Gate.SYMBOL_NOTIONAL, Gate.SECTOR_NOTIONAL, Gate.OPEN_POSITIONS, Gate.DAILY_LOSS,
    Gate.DRAWDOWN,
)  # fmt: skip


def held(usd: int, loss: int = 0) -> Book:
    value = Decimal(usd)
    return book(
        exposure={"AAPL": value}, sector_exposure={"technology": value}, gross=value, day_loss=Decimal(loss),
        held=frozenset({"AAPL"}),
    )  # fmt: skip


@settings(max_examples=40)
@given(usd=st.integers(0, 90_000), loss=st.integers(0, 5_000))
def test_a_gate_says_of_an_entry_what_the_monitor_says_of_the_book_after_it(usd: int, loss: int) -> None:
    before = held(usd, loss)
    asked = ask(book=before, candidate=candidate("MSFT"))
    assert asked.size is not None
    size = asked.size
    after = before.with_entry(asked.candidate.instrument, size.quantity, size.limit_price, "technology")
    gates = {decision.gate: decision for decision in decide(asked)}
    monitors = {(d.gate, subject): d for subject, d in limits_of.monitors(after, LIMITS, HALTS)}
    subjects = {Gate.SYMBOL_NOTIONAL: "MSFT", Gate.SECTOR_NOTIONAL: "technology"}
    for gate in SHARED:
        assert gates[gate] == monitors[gate, subjects.get(gate, "")]


@pytest.mark.parametrize(
    ("usd", "loss", "broken"),
    [
        (9_000, 0, set()),
        (11_000, 0, {Gate.SYMBOL_NOTIONAL}),
        (31_000, 0, {Gate.SYMBOL_NOTIONAL, Gate.SECTOR_NOTIONAL}),
        (61_000, 3_000, {Gate.SYMBOL_NOTIONAL, Gate.SECTOR_NOTIONAL, Gate.GROSS_NOTIONAL, Gate.DAILY_LOSS}),
    ],
)
def test_a_monitor_fails_where_the_book_itself_is_beyond_its_limit(usd: int, loss: int, broken: set[Gate]) -> None:
    answers = limits_of.monitors(held(usd, loss), LIMITS, HALTS)
    assert {decision.gate for _, decision in answers if not decision.passed} == broken


def test_without_equity_no_monitor_of_shares_knows_anything() -> None:
    answers = limits_of.monitors(book(equity=Decimal(0), exposure={"AAPL": Decimal(1)}), LIMITS, HALTS)
    unsure = {decision.gate for _, decision in answers if decision.verdict is Verdict.UNKNOWN}
    assert unsure == {Gate.GROSS_NOTIONAL, Gate.SYMBOL_NOTIONAL, Gate.DAILY_LOSS, Gate.DRAWDOWN}
    unknown = {d.reason for _, d in limits_of.monitors(book(equity=Decimal(0)), LIMITS, HALTS)}
    assert unknown == {Reason.EQUITY_UNKNOWN, None}
