"""Cash by what it is to the owner, and fees by the fills and sales that they were charged for."""

import random
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.kit.trades import commission, tax_history
from tests.kit.values import NOW, VENUE_DAY, cash_movement, fill
from tests.model.test_position import histories
from tradebot.model.account import ActivityKind, CashKind, CashMovement
from tradebot.model.candidate import Side
from tradebot.model.order import Fee, fee_id
from tradebot.model.position import Origin, OwnedFill
from tradebot.model.struct_tools import replace
from tradebot.views.trades.fees import FeeAllocation, Moments, allocate_fees, cash_kind, fill_times
from tradebot.views.trades.history import History
from tradebot.views.trades.lots import OpenLot
from tradebot.views.trades.lots import lots_of as folded

D = Decimal


def fee(amount: str, at: datetime = NOW) -> CashMovement:
    return cash_movement(at, D(amount), "FEE", Origin.ACTIVITY, "", "FEE")


def moments_of(fills: Sequence[OwnedFill]) -> Moments:
    return fill_times(fills)


def lots_of(fills: Sequence[OwnedFill]) -> list[OpenLot]:
    closed, held, *_ = folded(fills)
    return [*closed, *held]


CHARGED = st.lists(st.tuples(st.integers(-1000, 1000), st.integers(-3, 9)), max_size=4)


@given(histories(), CHARGED, st.randoms(use_true_random=False))
def test_fee_shares_and_leftovers_sum_to_the_fees_in_any_order(
    fills: list[OwnedFill], charged: list[tuple[int, int]], chance: random.Random
) -> None:
    fees, lots = [fee(str(D(cents) / 100), NOW + timedelta(days=days)) for cents, days in charged], lots_of(fills)
    made = moments_of(fills)
    fees += [commission(owned, "-1.01") for owned in fills[::2]]
    found = allocate_fees(fees, lots, made, VENUE_DAY)
    assert sum(map(found.of, lots)) + sum(one.amount_usd for one in found.left) == sum(one.amount_usd for one in fees)
    assert sum(share.usd for share in found.shares) == sum(map(found.of, lots))
    assert all(share.usd == share.usd.quantize(D("1e-9")) for share in found.shares)
    mixed = chance.sample(lots, len(lots))
    chance.shuffle(fills)
    for some in (fees, [fee("-0.07")]):
        usual, other = (
            allocate_fees(some, lots, made, VENUE_DAY),
            allocate_fees(some, mixed, moments_of(fills), VENUE_DAY),
        )
        assert [other.of(lot) for lot in lots] == [usual.of(lot) for lot in lots]


def two_sold() -> list[OwnedFill]:
    """Return a long of 10 sold for 1,000, a short of 30 entered for 3,000 and still open, and a long that is held."""
    return [
        fill(1, "AAPL", quantity="10", price="90"),
        fill(2, "AAPL", Side.SELL, "10", "100"),
        fill(3, "MSFT", Side.SELL, "30", "100"),
        fill(4, "JPM", quantity="10", price="500"),
    ]


def shares_by_symbol(found: FeeAllocation, lots: Sequence[OpenLot]) -> dict[str, Decimal]:
    return {lot.symbol: found.of(lot) for lot in lots}


def test_day_fees_are_shared_by_sale_value_and_purchases_pay_none() -> None:
    lots = lots_of(two_sold())
    found = allocate_fees([fee("-0.08"), fee("-0.01")], lots, {}, VENUE_DAY)
    assert shares_by_symbol(found, lots) == {"AAPL": D("-0.0225"), "MSFT": D("-0.0675"), "JPM": D(0)}
    assert found.left == ()


def test_fee_shares_in_thirds_of_a_cent_and_remainders_sum_exactly_and_equal_pieces_each_pay() -> None:
    lots = lots_of([fill(n, symbol, Side.SELL, "1", "100") for n, symbol in enumerate(("AAPL", "JPM", "MSFT"))])
    found = shares_by_symbol(allocate_fees([fee("-0.01")], lots, {}, VENUE_DAY), lots)
    assert found == {"AAPL": D("-0.003333333"), "JPM": D("-0.003333334"), "MSFT": D("-0.003333333")}
    two = lots[:2]
    assert sum(map(allocate_fees([fee("-0.0100000000012")], two, {}, VENUE_DAY).of, two)) == D("-0.0100000000012")
    pieces = (lots[0], replace(lots[0]))
    shared = allocate_fees([fee("-0.04")], pieces, {}, VENUE_DAY)
    assert [shared.of(piece) for piece in pieces] == [D("-0.02"), D("-0.02")]


def test_late_fee_belongs_to_the_last_sales_before_it() -> None:
    lots = lots_of(two_sold())
    booked = [fee("-0.04", NOW + timedelta(days=days)) for days in (-1, 1, 4, 5)]
    found = allocate_fees(booked, lots, {}, VENUE_DAY)
    assert (found.left, {share.fee for share in found.shares}) == ((booked[0], booked[3]), set(booked[1:3]))
    assert shares_by_symbol(found, lots)["AAPL"] == D("-0.02")


def test_fee_days_are_new_york_days() -> None:
    evening = datetime(2026, 11, 17, 1, 0, tzinfo=UTC)
    lots = lots_of(two_sold())
    assert allocate_fees([fee("-0.04", evening)], lots, {}, VENUE_DAY).left == ()
    later = [fill(9, "XOM", Side.SELL, "10", "100", at=evening + timedelta(hours=13))]
    both = lots_of([*two_sold(), *later])
    assert shares_by_symbol(allocate_fees([fee("-0.04", evening)], both, {}, VENUE_DAY), both)["XOM"] == 0


def of_symbols(history: History) -> dict[str, Decimal]:
    """Return what the fees took from the lots of each symbol."""
    lots: Sequence[OpenLot] = (*history.lots.closed, *history.lots.held)
    found = dict[str, Decimal]()
    for lot in lots:
        found[lot.symbol] = found.get(lot.symbol, D(0)) + history.fees.of(lot)
    return found


def of_lots(history: History) -> tuple[Decimal, ...]:
    """Return what the fees took from each closed lot, then from each held one."""
    lots: Sequence[OpenLot] = (*history.lots.closed, *history.lots.held)
    return tuple(map(history.fees.of, lots))


def test_commission_belongs_to_its_fill_not_to_the_days_sales() -> None:
    later = NOW + timedelta(minutes=5)
    bought = fill(4, "JPM", quantity="10", price="500", at=later)
    fills = [*two_sold()[:3], bought, fill(5, "JPM", Side.SELL, "4", "500", at=later + timedelta(minutes=1))]
    history = tax_history(fills, commission(bought, "-5.00"), fee("-0.06"))
    assert of_symbols(history) == {"AAPL": D("-0.01"), "MSFT": D("-0.03"), "JPM": D("-5.02")}
    assert of_lots(history)[1:] == (D("-2.02"), D("-0.03"), D("-3")), "of the four that were sold and the six held"


def test_fee_without_a_matching_fill_is_shared_among_sales() -> None:
    bought = two_sold()[3]
    assert of_symbols(tax_history(two_sold(), commission(bought, "-5.00"))) == {"AAPL": 0, "MSFT": 0, "JPM": -5}
    for moved in (
        replace(commission(bought, "-5.00"), at=NOW + timedelta(seconds=1)),
        replace(commission(bought, "-5.00"), symbol="XOM"),
        replace(commission(bought, "-5.00"), symbol=""),
    ):
        assert of_symbols(tax_history(two_sold(), moved))["JPM"] == 0


def test_fills_at_one_moment_share_a_commission_by_value_and_borrow_fees_belong_to_no_sale() -> None:
    fills = [fill(1, quantity="10", at=NOW), fill(2, quantity="30", strategy="momentum", at=NOW)]
    assert of_lots(tax_history(fills, commission(fills[0], "-0.04"))) == (D("-0.01"), D("-0.03"))
    borrowed = replace(fee("-4"), sub_kind="BRW", meaning=ActivityKind.BORROW_FEE)
    assert tax_history(two_sold(), borrowed).fees.left == (borrowed,)


def movement(kind: str, amount: str = "1", origin: Origin = Origin.ACTIVITY) -> CashMovement:
    return cash_movement(NOW, Decimal(amount), kind, origin, "about", f"{kind} words")


def test_each_broker_kind_maps_to_one_cash_kind() -> None:
    kinds = {
        CashKind.FEE: ("FEE", "CFEE", "PTC", "PTR"),
        CashKind.DIVIDEND: ("DIV", "DIVNRA", "CGD"),
        CashKind.INTEREST: ("INT", "INTTW"),
        CashKind.FUNDING: ("FUNDING",),
        CashKind.TRANSFER: ("CSD", "CSW", "JNLC", "ACATS", "TRANS"),
        CashKind.ADJUSTMENT: ("MA", "SPLIT", "a kind of tomorrow"),
    }
    assert {means: {cash_kind(movement(kind)) for kind in those} for means, those in kinds.items()} == {
        means: {means} for means in kinds
    }
    alone = {kind for kind in ActivityKind if not kind.moves_shares}
    assert {kind for kind in alone if cash_kind(movement(kind)) is CashKind.ADJUSTMENT} == set()
    assert cash_kind(movement("", origin=Origin.ADOPTION)) is CashKind.TRANSFER
    assert cash_kind(movement("", origin=Origin.PLAN)) is CashKind.ADJUSTMENT


def test_a_word_without_a_meaning_is_a_bug() -> None:
    with pytest.raises(AssertionError, match="what its venue's words mean"):
        cash_kind(CashMovement(NOW, D(1), "SURCHARGE", Origin.ACTIVITY, "about", "words"))


def test_fee_of_a_fill_is_that_fills_even_beside_another_of_the_same_moment() -> None:
    one, other = fill(1, at=NOW, fee=Fee(D("1.25"))), fill(2, at=NOW, strategy="momentum", fee=Fee(None))
    later = cash_movement(NOW + timedelta(days=1), D("-0.75"), "FEE", Origin.ACTIVITY, fee_id("fill-2"), "", "AAPL")
    found = tax_history([one, other], later)
    assert [(lot.strategy, found.fees.of(lot)) for lot in found.lots.held] == [
        ("flow", D("-1.25")),
        ("momentum", D("-0.75")),
    ]
    assert found.fills_awaiting_fee == ()
    assert [owned.strategy for owned in tax_history([one, other]).fills_awaiting_fee] == ["momentum"]
