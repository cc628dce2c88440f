"""Another price, a position less, another time: the desk and its book follow, and nothing else changes."""

from datetime import timedelta
from decimal import Decimal

import pytest

from tests.builders import NOW, SESSION, book, books, desk, fill, listing, quote
from tests.replaying.recorded import trade_once
from tests.worlds import Scene, call, wanted
from tradebot.model.candidate import Side
from tradebot.model.desk import Desk, Span, Stake
from tradebot.model.values import replace
from tradebot.replaying.desk_changes import at_time, with_price, with_words, without_position

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
            spans={"AAPL": Span(shares * 100, shares * 100)},
            stakes=(Stake("flow", "AAPL", side, worth, True),),
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
    assert after.book.spans["AAPL"] == Span()
    assert after.book.buying_power - before.book.buying_power == D(quantity) * 100
    assert after.book.equity == before.book.equity


def test_foreign_position_goes_too() -> None:
    before = replace(holding(), positions=(), book=replace(holding().book, foreign=frozenset({"AAPL"}), stakes=()))
    after = without_position(before, "AAPL")
    assert (after.net["AAPL"], after.book.foreign, after.book.exposure["AAPL"]) == (D(0), frozenset(), D(0))


def test_another_time_keeps_the_age_of_data_and_asks_the_session() -> None:
    given = trade_once(Scene().world(wanted("AAPL")), call()).record.given
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
    taken = trade_once(Scene().world(wanted("AAPL")), call())
    before = replace(holding(), sectors=taken.rules.sectors)
    after = with_words(before, replace(taken.rules, sectors={"AAPL": "toys", "MSFT": "technology"}))
    assert after.book.sector_exposure == {"toys": D(1000), "technology": D(500)}
    assert after.sectors["AAPL"] == "toys"
    same = taken.record.given.desk
    assert with_words(same, taken.rules) is same
