"""Cash by what it is to the owner, and fees by the fills and sales that they were charged for.

An account's trades: what only moves shares between owners is none, and splits and new names only restate them.
"""

import random
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.kit.core.scene import Scene
from tests.kit.core.venue import FakeReader
from tests.kit.trades import commission, of, rows, tax_history, traded
from tests.kit.values import NOW, VENUE_DAY, ago, cash_movement, fill, there
from tests.model.test_position import histories
from tests.model.test_trade import sold
from tests.reconciliation.test_activity_booking import activity, buy, happens, holding
from tests.reconciliation.test_adoption import scene_of, take_over
from tradebot.model.account import ActivityKind, CashKind, CashMovement
from tradebot.model.candidate import Side
from tradebot.model.order import Fee, fee_id
from tradebot.model.position import FOREIGN, Origin, OwnedFill
from tradebot.model.struct_tools import replace
from tradebot.reconciliation.adoption import acknowledge
from tradebot.reconciliation.catch_up import reassign
from tradebot.reconciliation.reconcile import apply_plan, reconcile
from tradebot.views.trades.account_trades import AccountTrade, account_trades
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


def history(scene: Scene) -> History:
    """Return what the books of a scene hold."""
    cash = [
        cash_movement(NOW, entry.amount, entry.kind, Origin.ACTIVITY, name, entry.words)
        for name, entry in scene.ledger.booked().items()
    ]
    return tax_history(scene.ledger.fills(), *cash, acknowledged=scene.ledger.acknowledged())


def brief(trades: Iterable[AccountTrade]) -> list[tuple[object, ...]]:
    return [of(trade, "symbol", "quantity", "price") for trade in trades]


@given(fills=histories())
def test_account_trades_are_the_fills_when_nothing_special_happened(fills: list[OwnedFill]) -> None:
    found = account_trades(tax_history(fills))
    assert [(t.fill.activity_id, t.quantity, t.price, t.owned.strategy) for t in found.trades] == [
        (o.fill.activity_id, Fraction(o.fill.signed_quantity), Fraction(o.fill.price), o.strategy) for o in fills
    ]
    assert of(found, "held_before", "other_kinds") == ({}, ())


@pytest.mark.parametrize("side", [1, -1])
def test_split_restates_earlier_account_trades(side: int) -> None:
    scene = holding(str(10 * side))
    sold(scene, "4", "110")
    happens(scene, activity("SPLIT", quantity=str(6 * side)), averages={"AAPL": "50"})
    found = account_trades(history(scene))
    assert brief(found.trades) == [("AAPL", 20 * side, 50), ("AAPL", -8 * side, 55)]
    assert found.held_before == {}
    (row,) = rows(history(scene))
    assert (*of(row, "shares", "gain_usd"), row.description[:10]) == (4, 40 * side, "4 sh. AAPL")


def test_split_of_two_owners_counts_once_for_the_account() -> None:
    scene = holding("10")
    buy(scene, 2, "6", "100", strategy="other")
    happens(scene, activity("SPLIT", quantity="8"), averages={"AAPL": "66.67"})
    assert [each[:2] for each in brief(account_trades(history(scene)).trades)] == [("AAPL", 15), ("AAPL", 9)]


def test_fraction_left_by_a_split_is_sold_at_the_brokers_price() -> None:
    scene = holding("5")
    split = (activity("SPLIT", quantity="-3"), activity("SPLIT", net="95", number=2))
    happens(scene, *split, averages={"AAPL": "200"})
    (row,) = rows(history(scene))
    assert of(row, "shares", "proceeds_usd", "basis_usd", "gain_usd") == (D("0.5"), 95, 100, -5)


def test_rename_carries_shares_and_dates_without_a_sale() -> None:
    scene = holding("10")
    buy(scene, 2, "5", "103", strategy="other")
    sold(scene, "6", "110")
    happens(scene, activity("NC", quantity="-9"), activity("NC", "PEAR", "9", number=2))
    found = account_trades(history(scene))
    assert brief(found.trades) == [("PEAR", 10, 100), ("PEAR", 5, 103), ("PEAR", -6, 110)]
    assert {trade.fill.symbol for trade in found.trades} == {"AAPL"}
    assert [of(row, "symbol", "gain_usd") for row in rows(history(scene))] == [("AAPL", 60)]


def test_buyout_counts_as_a_sale() -> None:
    scene = holding("10")
    happens(scene, activity("MA", quantity="-10", net="1300", price="130", sub="CMA"))
    assert [of(row, "proceeds_usd", "gain_usd") for row in rows(history(scene))] == [(1300, 300)]


def test_given_back_fill_counts_once_for_its_owner() -> None:
    (bought,) = traded("2026-02-02 buy 10 50 hand")
    found = account_trades(tax_history([bought, *reassign("flow", bought.fill)]))
    assert [(t.fill.activity_id, t.owned.strategy, t.quantity) for t in found.trades] == [
        ("fill-1", "flow", Fraction(10))
    ]


def test_shares_from_before_the_books_have_no_date_and_no_cost() -> None:
    scene = scene_of(before=7)
    take_over(scene)
    assert of(account_trades(history(scene)), "trades", "held_before") == ((), {"AAPL": 7})
    scene.ledger.apply_fills([fill(9, "AAPL", Side.SELL, "7", "120", strategy="adopted", at=NOW)], NOW)
    (row,) = rows(history(scene))
    assert of(row, "acquired", "basis_usd", "gain_usd", "term", "proceeds_usd") == (None, None, None, "not known", 840)


@pytest.mark.parametrize(("before", "foreign"), [(7, 0), (0, 7), (0, -7)])
def test_shares_that_were_left_alone_stay_in_the_account_and_keep_date_and_cost(before: int, foreign: int) -> None:
    scene = scene_of(before=before, foreign=foreign)
    acknowledge(FakeReader(scene.venue), scene.ledger, "AAPL", "ann")
    found = account_trades(history(scene))
    assert brief(found.trades) == ([("AAPL", foreign, 90)] if foreign else [])
    assert found.held_before == ({"AAPL": before} if before else {})
    take_over(scene)
    assert account_trades(history(scene)) == found


def test_shares_that_a_plan_changes_have_no_price() -> None:
    scene = holding("10")
    scene.venue.held["AAPL"] = D(4)
    plan = there(reconcile(FakeReader(scene.venue), scene.ledger).plan)
    apply_plan(FakeReader(scene.venue), scene.ledger, plan, "ada")
    assert brief(account_trades(history(scene)).trades) == [("AAPL", 10, 100), ("AAPL", -6, None)]
    (row,) = rows(history(scene))
    assert of(row, "shares", "proceeds_usd", "basis_usd", "gain_usd") == (6, None, 600, None)


def test_plan_that_moves_shares_between_owners_is_no_trade() -> None:
    fills = traded("2026-02-02 buy 10 50", "2026-02-03 sell 4 55 hand")
    moved = [
        replace(owned, fill=replace(owned.fill, venue_order_id=""), origin=Origin.PLAN, about="plan-1")
        for owned in (
            fill(3, quantity="4", price="55", strategy=FOREIGN, at=ago(0)),
            fill(4, side=Side.SELL, quantity="4", price="55", at=ago(0)),
        )
    ]
    assert account_trades(tax_history([*fills, *moved])) == account_trades(tax_history(fills))


def test_split_restates_shares_of_others_too_and_those_from_another_broker_have_no_known_cost() -> None:
    scene = holding("7", strategy=FOREIGN)
    assert happens(scene, activity("SPLIT", quantity="7"), averages={"AAPL": "50"}).bookings == 1
    assert brief(account_trades(history(scene)).trades) == [("AAPL", 14, 50)]
    scene = holding("7", strategy=FOREIGN)
    happens(scene, activity("JNLS", quantity="5", price="90"))
    assert brief(account_trades(history(scene)).trades) == [("AAPL", 7, 100), ("AAPL", 5, None)]


def test_options_and_crypto_are_left_out_by_name() -> None:
    option, coin = "AAPL261120P00150000", "BTC/USD"
    others = [fill(n, symbol, strategy=FOREIGN) for n, symbol in enumerate((option, coin), 2)]
    found = account_trades(tax_history([fill(1), *others], acknowledged={option: D(-1)}))
    assert ([t.symbol for t in found.trades], found.held_before, found.other_kinds) == (["AAPL"], {}, (option, coin))


@given(parts=st.lists(st.sampled_from(["buy", "sell", "split"]), min_size=2, max_size=7))
def test_shares_are_conserved_through_splits(parts: list[str]) -> None:
    scene, number = holding("12"), 1
    at = ago(200)
    for part in parts:
        number, at = number + 1, at + timedelta(seconds=10)
        held = scene.ledger.totals().positions["flow", "AAPL"].quantity
        if part == "split" and held:
            average = scene.ledger.totals().positions["flow", "AAPL"].average_price
            row = replace(activity("SPLIT", quantity=str(held), number=number), at=at)
            happens(scene, row, averages={"AAPL": str(average / 2)})
        elif part != "split":
            side, quantity = (Side.BUY, D(6)) if part == "buy" else (Side.SELL, D(4))
            told = fill(number, "AAPL", side, str(quantity), "100", at=at)
            scene.ledger.apply_fills([told], at)
            scene.venue.held["AAPL"] += told.fill.signed_quantity
    held = scene.ledger.totals().positions["flow", "AAPL"].quantity
    assert sum(trade.quantity for trade in account_trades(history(scene)).trades) == held
