"""An account's trades: what only moves shares between owners is none, and splits and new names only restate them."""

from collections.abc import Iterable
from datetime import timedelta
from decimal import Decimal
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.kit.core.scene import Scene
from tests.kit.core.venue import FakeReader
from tests.kit.trades import of, rows, tax_history, traded
from tests.kit.values import NOW, ago, cash_movement, fill, there
from tests.model.test_position import histories
from tests.model.test_trade import sold
from tests.reconciliation.test_activity_booking import activity, buy, happens, holding
from tests.reconciliation.test_adoption import scene_of, take_over
from tradebot.model.candidate import Side
from tradebot.model.position import FOREIGN, Origin, OwnedFill
from tradebot.model.struct_tools import replace
from tradebot.reconciliation.adoption import acknowledge
from tradebot.reconciliation.catch_up import reassign
from tradebot.reconciliation.reconcile import apply_plan, reconcile
from tradebot.views.trades.account_trades import AccountTrade, account_trades
from tradebot.views.trades.history import History

D = Decimal


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
