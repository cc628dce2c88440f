"""Another price, a position less, another time: the desk and its book follow, and nothing else changes."""

from datetime import timedelta
from decimal import Decimal

import pytest

from tests.kit.core import recorded
from tests.kit.core.scene import Scene, call, trade_once, wanted
from tests.kit.values import NOW, SESSION, ago, book, books, desk, fill, listing, quote
from tradebot.model.candidate import Purpose, Side
from tradebot.model.desk import Desk, ExposureRange, StrategyExposure
from tradebot.model.struct_tools import replace
from tradebot.replaying.desk_changes import (
    Filled,
    Unsent,
    at_time,
    with_filled,
    with_price,
    with_round_trip,
    with_words,
    without_order,
    without_position,
)

D = Decimal


def holding(quantity: str = "10") -> Desk:
    """Return a desk that holds AAPL, bought at 100 and quoted there, among an exposure in MSFT."""
    side = Side.BUY if D(quantity) > 0 else Side.SELL
    known = books(fill(1, quantity=quantity.removeprefix("-"), side=side))
    shares, worth = D(quantity), abs(D(quantity) * 100)
    return desk(
        books=known,
        positions=known.totals.own_positions(),
        net={"AAPL": shares},
        listings={"AAPL": listing()},
        quotes={"AAPL": quote(bid="99", ask="101"), "MSFT": quote("MSFT")},
        book=book(
            exposure={"AAPL": worth, "MSFT": D(500)},
            sector_exposure={"technology": worth + 500},
            gross=worth + 500,
            held=frozenset({"AAPL"}),
            spans={"AAPL": ExposureRange(shares * 100, shares * 100)},
            stakes=(StrategyExposure("flow", "AAPL", side, worth, True),),
            day_results={"flow": D(0)},
        ),
    )


@pytest.mark.parametrize(("quantity", "gain"), [("10", 100), ("-10", -100)])
def test_price_moves_the_quote_with_its_spread_and_what_is_held_with_it(quantity: str, gain: int) -> None:
    before = holding(quantity)
    after = with_price(before, "AAPL", D(110))
    assert (after.quotes["AAPL"].bid, after.quotes["AAPL"].ask) == (D("108.9"), D("111.1"))
    assert after.quotes["AAPL"].at == before.quotes["AAPL"].at
    assert after.book.exposure == {"AAPL": D(1100), "MSFT": D(500)}
    assert (after.book.gross, after.book.sector_exposure) == (D(1600), {"technology": D(1600)})
    assert after.book.equity - before.book.equity == after.account.equity - before.account.equity == gain
    assert after.book.day_results == {"flow": D(gain)}
    assert after.book.day_loss == max(-gain, 0)
    assert after.quotes["MSFT"] == before.quotes["MSFT"]


def test_price_of_what_had_no_quote_makes_one() -> None:
    before = desk(rejected_quotes={"XOM": "crossed"})
    after = with_price(before, "XOM", D("50"))
    assert (after.quotes["XOM"].middle, after.quotes["XOM"].at, dict(after.rejected_quotes)) == (D(50), NOW, {})
    assert after.book == before.book


@pytest.mark.parametrize("quantity", ["10", "-10"])
def test_without_a_position_its_exposure_is_gone_and_its_worth_is_cash(quantity: str) -> None:
    before = holding(quantity)
    after = without_position(before, "AAPL")
    assert (after.positions, after.net, after.book.held) == ((), {"AAPL": D(0)}, frozenset())
    assert after.book.exposure == {"AAPL": D(0), "MSFT": D(500)}
    assert (after.book.gross, after.book.stakes) == (D(500), ())
    assert after.book.spans["AAPL"] == ExposureRange()
    assert after.book.buying_power - before.book.buying_power == D(quantity) * 100
    assert after.book.equity == before.book.equity


def order(quantity: str, price: str = "100", *, minutes: int = 10) -> Filled:
    """Return an order for AAPL of an earlier pass, filled at a price; a sale has a quantity below zero."""
    scene = Scene()
    trade_once(scene.world(wanted("AAPL")), call())
    (intent,) = scene.venue.submitted
    side, shares = (Side.BUY if D(quantity) > 0 else Side.SELL), abs(D(quantity))
    return Filled(replace(intent, side=side, quantity=shares, at=ago(60 * minutes)), D(price))


@pytest.mark.parametrize(
    ("held", "bought", "left"), [("10", "-4", 6), ("10", "-10", 0), ("-10", "4", -6), ("10", "-15", -5)]
)
def test_order_against_what_is_held_closes_that_first_and_a_larger_one_turns_the_position(
    held: str, bought: str, left: int
) -> None:
    after = with_filled(holding(held), order(bought))
    assert after.net["AAPL"] == left
    assert [one.quantity for one in after.positions] == [left] * bool(left)
    assert after.book.exposure["AAPL"] == abs(left) * 100
    if left == -5:
        assert after.book.stakes == (StrategyExposure("flow", "AAPL", Side.SELL, D(500), True),)


@pytest.mark.parametrize(("side", "close", "profit"), [("10", "103", 30), ("10", "98", -20), ("-10", "98", 20)])
def test_round_trip_leaves_its_profit_and_its_times(side: str, close: str, profit: int) -> None:
    before, entry = holding(), order(side, minutes=30)
    closing = Filled(replace(entry.intent, purpose=Purpose.CLOSE, at=ago(60)), D(close))
    after = with_round_trip(before, entry, closing)
    assert after.book.equity - before.book.equity == after.book.buying_power - before.book.buying_power == profit
    assert (after.positions, after.net, after.book.exposure) == (before.positions, before.net, before.book.exposure)
    assert after.book.last_fill_at["AAPL"] == ago(60)
    assert [one.profit for one in after.book.round_trips] == [profit]
    assert (("flow", "AAPL") in after.book.lost_at) is (profit < 0)
    assert len(after.book.entries) == len(before.book.entries) + 1


@pytest.mark.parametrize("close", ["103", "98"])
def test_without_an_order_nothing_of_its_round_trip_is_left(close: str) -> None:
    before, entry = holding(), order("10", minutes=30)
    before = replace(before, positions=(), book=replace(before.book, last_fill_at={"AAPL": ago(7200)}))
    closing = Filled(replace(entry.intent, purpose=Purpose.CLOSE, at=ago(60)), D(close))
    closed = with_round_trip(before, entry, closing)
    after = without_order(closed, Unsent(entry, filled_at=ago(7200)))
    assert after.book == before.book
    later = without_order(closed, Unsent(entry, next_at=ago(60), filled_at=ago(7200)))
    assert later.book.last_fill_at == {"AAPL": ago(60)}


def test_foreign_position_goes_too() -> None:
    before = replace(holding(), positions=(), book=replace(holding().book, foreign=frozenset({"AAPL"}), stakes=()))
    after = without_position(before, "AAPL")
    assert (after.net["AAPL"], after.book.foreign, after.book.exposure["AAPL"]) == (D(0), frozenset(), D(0))


def test_another_time_keeps_the_age_of_data_and_asks_the_session() -> None:
    given = recorded.trade_once(Scene().world(wanted("AAPL")), call()).record.given
    later = at_time(given, NOW + timedelta(hours=1))
    assert later.desk.now == later.desk.clock.now == NOW + timedelta(hours=1)
    assert later.desk.quotes["AAPL"].age_s(later.desk.now) == given.desk.quotes["AAPL"].age_s(given.desk.now)
    fetched, before = later.desk.facts["AAPL"].alerts_fetched_at, given.desk.facts["AAPL"].alerts_fetched_at
    assert fetched is not None
    assert before is not None
    assert fetched - before == timedelta(hours=1)
    assert later.proposed is not None
    assert [one.at for one in later.proposed.candidates] == [NOW + timedelta(hours=1)]
    assert (later.desk.clock.is_open, at_time(given, SESSION.close).desk.clock.is_open) == (True, False)


def test_other_sectors_are_summed_up_anew_and_the_same_change_nothing() -> None:
    taken = recorded.trade_once(Scene().world(wanted("AAPL")), call())
    before = replace(holding(), sectors=taken.rules.sectors)
    after = with_words(before, replace(taken.rules, sectors={"AAPL": "toys", "MSFT": "technology"}))
    assert after.book.sector_exposure == {"toys": D(1000), "technology": D(500)}
    assert after.sectors["AAPL"] == "toys"
    same = taken.record.given.desk
    assert with_words(same, taken.rules) is same
