"""One wrong price sells nothing: what jumped is asked for once more, and the second answer stands."""

from dataclasses import replace
from decimal import Decimal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.builders import LISTED, NOW, fill, quote
from tests.worlds import Scene, call, trade_once, wanted
from tradebot.cycle import evaluate_exits
from tradebot.exits.held import Held, best_price
from tradebot.exits.rules import evaluate
from tradebot.model.bar import Quote
from tradebot.model.candidate import Side
from tradebot.model.reasons import Reason
from tradebot.model.record import CycleRecord, Job
from tradebot.model.trading import TradingState

CENTS = st.integers(1, 40_000).map(lambda cents: Decimal(cents) / 100)


def holding(*symbols: str, side: Side = Side.BUY) -> Scene:
    """Return a bot that has held ten shares of each for a minute, and looked at them once."""
    scene = Scene()
    for number, symbol in enumerate(symbols or ("AAPL",)):
        owned = fill(number, symbol, side)
        scene.ledger.apply_fills([owned], NOW)
        scene.venue.held[symbol] = owned.fill.signed_quantity
    scene.later(60)
    exits(scene, 31)
    assert scene.venue.asked_again == []
    scene.later(60)
    return scene


def exits(scene: Scene, minute: int) -> CycleRecord:
    return evaluate_exits(scene.world(), call(Job.EVALUATE_EXITS, f"open+{minute}m"))


def told(scene: Scene, symbol: str, bid: str, ask: str | None = None, last: str = "100") -> None:
    """Let the venue's next answer hold this price, and the one after it the price of before."""
    right = dict(scene.venue.prices)
    scene.venue.second_prices = right
    scene.venue.prices = right | {
        symbol: replace(right[symbol], bid=Decimal(bid), ask=Decimal(ask or bid), last=Decimal(last))
    }


def ended(record: CycleRecord) -> list[Reason | None]:
    return [found.terminal.reason if found.terminal else None for found in record.candidates]


@pytest.mark.parametrize("last", ["100", "0.01"], ids=["the quote alone", "the trade too"])
@pytest.mark.parametrize("side", Side)
def test_one_absurd_quote_sells_nothing(side: Side, last: str) -> None:
    scene = holding(side=side)
    told(scene, "AAPL", "0.01", "0.02", last)
    assert ended(exits(scene, 32)) == [Reason.HOLD]
    assert (scene.venue.asked_again, scene.venue.submitted) == ([("AAPL",)], [])


def test_the_first_pass_after_an_entry_compares_with_what_was_paid() -> None:
    scene = Scene()
    scene.ledger.apply_fills([fill(1)], NOW)
    scene.venue.held["AAPL"] = Decimal(10)
    scene.later(60)
    told(scene, "AAPL", "90", last="90")
    assert ended(exits(scene, 31)) == [Reason.HOLD]
    assert (scene.venue.asked_again, scene.venue.submitted) == ([("AAPL",)], [])


def test_passes_that_a_wrong_clock_dated_ahead_hide_no_price_of_today() -> None:
    scene = holding()
    now, prices = scene.venue.now, dict(scene.venue.prices)
    for minute in range(4):
        scene.later(86_400 + minute)
        exits(scene, 400 + minute)
    scene.venue.now, scene.venue.prices = now, {s: replace(q, at=now) for s, q in prices.items()}
    scene.venue.asked_again.clear()
    told(scene, "AAPL", "93", last="93")
    assert ended(exits(scene, 32)) == [Reason.HOLD]
    assert scene.venue.asked_again == [("AAPL",)]


def test_a_quote_that_comes_again_is_the_market_and_the_exit_goes_out_at_its_price() -> None:
    scene = holding()
    scene.price("AAPL", "90")
    assert ended(exits(scene, 32)) == [None]
    (sent,) = scene.venue.submitted
    assert (sent.limit_price, scene.venue.asked_again) == (Decimal("89.55"), [("AAPL",)])
    (event,) = scene.events.emitted
    assert event.details == {"AAPL": "90 bid, 90 ask, 100.00 last, then 90 bid, 90 ask, 100.00 last"}


@pytest.mark.parametrize(("last", "price"), [("97", "96.51"), ("99.5", None)])
def test_without_a_second_answer_the_last_trade_decides(last: str, price: str | None) -> None:
    scene = holding()
    scene.venue.away = True
    told(scene, "AAPL", "0.01", "100.02", last)
    exits(scene, 32)
    assert [sent.limit_price for sent in scene.venue.submitted] == ([Decimal(price)] if price else [])


def test_all_that_jumped_is_asked_for_together_and_only_once() -> None:
    scene = holding("AAPL", "MSFT", "JPM")
    for symbol in ("AAPL", "MSFT"):
        scene.price(symbol, "90")
    exits(scene, 32)
    assert scene.venue.asked_again == [("AAPL", "MSFT")]
    scene.later(60)
    exits(scene, 33)
    assert len(scene.venue.asked_again) == 1


def test_nothing_is_entered_at_a_price_that_jumped_and_was_not_seen_again() -> None:
    scene = Scene()
    told(scene, "AAPL", "106", last="100")
    scene.venue.away = True
    record = trade_once(scene.world(wanted("AAPL"), wanted("MSFT")), call())
    assert dict(zip(("AAPL", "MSFT"), ended(record), strict=True)) == {"AAPL": Reason.QUOTE_MISSING, "MSFT": None}
    scene.venue.away = False
    assert ended(trade_once(scene.world(wanted("AAPL")), call(slot="open+31m"))) == [None]
    assert [sent.limit_price for sent in scene.venue.submitted] == [Decimal("100.20")] * 2


@settings(max_examples=80)
@given(CENTS, CENTS, st.none() | st.tuples(CENTS, CENTS), st.sampled_from(Side))
def test_an_exit_waits_for_one_question_at_most_and_is_decided_by_the_second_answer(
    price: Decimal, last: Decimal, second: tuple[Decimal, Decimal] | None, side: Side
) -> None:
    scene = holding(side=side)
    first = replace(quote(at=scene.venue.now), bid=price, ask=price, last=last)
    scene.venue.prices = {"AAPL": first}
    scene.venue.second_prices = (
        {} if second is None else {"AAPL": replace(first, bid=second[0], ask=second[0], last=second[1])}
    )
    (record,) = exits(scene, 32).candidates
    asked = len(scene.venue.asked_again)
    assert asked <= 1
    stands: Quote = (
        first
        if not asked
        else replace(first, bid=last, ask=last)
        if second is None
        else scene.venue.second_prices["AAPL"]
    )
    (position,) = scene.ledger.totals().positions.values()
    held = Held(position, best_price(position, stands, Decimal("99.98") if side is Side.BUY else Decimal("100")))
    decided = evaluate(held, stands, scene.venue.now, LISTED, TradingState.ACTIVE)
    assert decided in record.decisions
    assert bool(scene.venue.submitted) is decided.passed


def test_a_symbol_that_the_last_pass_had_no_price_of_is_compared_with_the_pass_before() -> None:
    scene = holding("AAPL", "MSFT")
    for minute, price in ((32, "97"), (33, "94.5")):
        scene.price("MSFT", price)
        exits(scene, minute)
        scene.later(60)
    quote = scene.venue.prices.pop("MSFT")
    exits(scene, 34)
    scene.later(60)
    scene.venue.prices["MSFT"] = replace(quote, bid=Decimal(93), ask=Decimal(93), at=scene.venue.now)
    exits(scene, 35)
    assert scene.venue.asked_again == [], "93 is far from the 100 that were paid, but not from the last price"
