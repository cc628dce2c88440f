"""A day's limits of an account that trades contracts: its loss, its trades, and what it holds and orders."""

from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.kit.values import NOW, book, candidate, limits, listing, quote
from tradebot.gates import portfolio_limits as limits_of
from tradebot.gates.sizing import entry_size
from tradebot.model.candidate import Side
from tradebot.model.desk import SessionEntry
from tradebot.model.struct_tools import replace

D = Decimal
DAY = limits(
    max_daily_loss_fraction=D("0.02"), max_session_entries=20, max_contracts=3, max_order_contracts=2,
    max_order_notional_usd=D(10_000_000), max_order_fraction=D(10),
)  # fmt: skip
BEGAN = D(100_000)


@pytest.mark.parametrize(("lost", "allowed"), [("1999.99", True), ("2000.00", False), ("2000.01", False)])
def test_a_loss_of_the_limit_itself_closes_entries_and_a_cent_less_does_not(lost: str, allowed: bool) -> None:
    after = book(equity=BEGAN - D(lost), day_loss=D(lost), peak_equity=BEGAN)
    assert limits_of.daily_loss(after, DAY).passed is allowed


@pytest.mark.parametrize(("traded", "allowed"), [(19, True), (20, False)])
def test_nineteen_trades_allow_one_more_and_twenty_none(traded: int, allowed: bool) -> None:
    entered = tuple(SessionEntry("futures", f"S{number}", Side.BUY, NOW) for number in range(traded))
    assert limits_of.session_entries(book(entries=entered), DAY, more=1).passed is allowed


@given(st.integers(0, 6), st.integers(0, 6))
def test_contracts_are_limited_as_a_sum_by_the_gate_and_the_monitor_alike(held: int, more: int) -> None:
    gate = limits_of.contracts(book(contracts=D(held)), DAY, D(more))
    monitor = limits_of.contracts(book(contracts=D(held + more)), DAY)
    assert gate is not None
    assert gate == monitor
    assert gate.passed is (held + more <= 3)
    assert limits_of.contracts(book(contracts=D(held)), limits()) is None


@given(st.integers(1, 9))
def test_an_order_has_no_more_contracts_than_its_limit_and_no_more_than_were_wished_for(wish: int) -> None:
    wanted = replace(candidate(), quantity=D(wish))
    size = entry_size(wanted, listing(), quote(), book(equity=D(10_000_000)), DAY, D(1))
    assert size.quantity == min(wish, 2)


def test_an_entry_counts_for_the_next_one_in_the_same_pass() -> None:
    before = book(contracts=D(2))
    after = before.with_entry(SessionEntry("futures", "AAPL", Side.BUY, NOW), D(100), "technology", D(1), D(100))
    assert after.contracts == 3
