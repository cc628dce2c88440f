"""One wrong read closes nothing: what jumped, or would close a position, is asked for once more."""

from collections.abc import Sequence
from datetime import timedelta
from decimal import Decimal
from itertools import accumulate

import pytest
from hypothesis import assume, example, given, settings
from hypothesis import strategies as st

from tests.kit.core.position import evaluate
from tests.kit.core.scene import Scene, call, evaluate_exits, trade_once, wanted
from tests.kit.values import EXITS, LISTED, NOW, fill, quote
from tradebot.desk.exit_inputs import add_exit_inputs
from tradebot.desk.quote_recheck import recheck_quotes
from tradebot.desk.snapshot import take_desk
from tradebot.exits.exit_rule import WatchedPosition, best_price
from tradebot.exits.rules import Exits, parse
from tradebot.gates.shared_gates import fail_without_quote
from tradebot.model.bar import UNCONFIRMED, Quote
from tradebot.model.candidate import Purpose, Side
from tradebot.model.decision import Decision, Gate
from tradebot.model.desk import Desk
from tradebot.model.limits import Protection
from tradebot.model.position import EntryTerms
from tradebot.model.reasons import Reason
from tradebot.model.record import CycleRecord, Job
from tradebot.model.struct_tools import replace
from tradebot.model.trading import TradingState

D = Decimal
TRUE = D(1)
FACTORS = st.integers(900, 1100).map(lambda thousandths: D(thousandths) / 1000)
STEPS = st.lists(st.integers(-9, 9).map(lambda thousandths: D(thousandths) / 1000), min_size=3, max_size=6)
"""How far the true price moves from each pass to the next: never as far as a jump."""
RULES = st.sampled_from(
    [
        LISTED,
        parse([{"stop_loss": {"fraction": 0.02}}, {"profit_target": {"fraction": 0.02}}]),
        parse([{"trailing_stop": {"fraction": 0.012, "arm_fraction": 0.005}}]),
        parse([{"drawdown": {"fraction": 0.015}}]),
        parse([{"scale_out": {"levels": [{"fraction": 0.01, "share": 0.5}, {"fraction": 0.03, "share": 0.5}]}}]),
    ]
)
CENTS = st.integers(1, 40_000).map(lambda cents: D(cents) / 100)


def holding(*symbols: str, side: Side = Side.BUY) -> Scene:
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


def exits(scene: Scene, minute: int, rules: Exits = LISTED) -> CycleRecord:
    world = scene.world()
    world = replace(world, rules=replace(world.rules, own_exits={"flow": rules}))
    return evaluate_exits(world, call(Job.EVALUATE_EXITS, f"open+{minute}m"))


def rest(scene: Scene) -> None:
    """Let a stop rest at the venue for what is held."""
    scene.exits = EXITS.model_copy(update={"protection": Protection.VENUE})
    exits(scene, 32)
    assert [sent.purpose for sent in scene.venue.submitted] == [Purpose.PROTECT]
    scene.later(60)


def told(scene: Scene, symbol: str, bid: str, ask: str | None = None, last: str = "100") -> None:
    """Let the venue's next answer hold this price, and the one after it the price of before."""
    right = dict(scene.venue.prices)
    scene.venue.second_prices = right
    scene.venue.prices = right | {symbol: replace(right[symbol], bid=D(bid), ask=D(ask or bid), last=D(last))}


def play(
    path: Sequence[Decimal], side: Side, rules: Exits, factor: Decimal = TRUE, lie: int | None = None
) -> tuple[Scene, list[int]]:
    """Return a bot that saw these prices, one a minute, and how often it had asked again after each pass.

    Bid and ask of the first read of pass number `lie` are wrong by `factor`.
    """
    scene, asked = holding(side=side), list[int]()
    for number, price in enumerate(path):
        true = replace(quote(at=scene.venue.now), bid=price * D("0.9999"), ask=price * D("1.0001"), last=price)
        shown = replace(true, bid=true.bid * factor, ask=true.ask * factor) if number == lie else true
        scene.venue.prices, scene.venue.second_prices = {"AAPL": shown}, {"AAPL": true}
        exits(scene, 32 + number, rules)
        asked.append(len(scene.venue.asked_again))
        scene.later(60)
    return scene, asked


def closes(scene: Scene) -> int:
    return len(scene.venue.submitted)


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
    scene.venue.held["AAPL"] = D(10)
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
    assert (sent.limit_price, scene.venue.asked_again) == (D("89.55"), [("AAPL",)])
    assert scene.events.emitted == [], "what a second look confirms is no news"


def test_a_quote_that_a_second_look_does_not_confirm_is_told() -> None:
    scene = holding()
    told(scene, "AAPL", "97")
    exits(scene, 32)
    (event,) = scene.events.emitted
    assert event.details == {"AAPL": "97 bid, 97 ask, 100 last, then 99.98 bid, 100.00 ask, 100.00 last"}


@pytest.mark.parametrize(("last", "price"), [("97", "96.51"), ("99.5", None)])
def test_without_a_second_answer_the_last_trade_decides(last: str, price: str | None) -> None:
    scene = holding()
    scene.venue.away = True
    told(scene, "AAPL", "0.01", "100.02", last)
    exits(scene, 32)
    assert [sent.limit_price for sent in scene.venue.submitted] == ([D(price)] if price else [])


@pytest.mark.parametrize(
    ("traded_ago_s", "repeated", "rests", "sold"),
    [
        (1, True, True, 0),
        (1, False, True, 0),
        (600, True, True, 0),
        (600, False, True, 1),
        (1, True, False, 0),
        (1, False, False, 1),
        (600, True, False, 1),
    ],
)
def test_a_quote_that_a_trade_contradicts_sells_nothing_unless_it_is_seen_at_two_times_or_nothing_rests(
    traded_ago_s: int, repeated: bool, rests: bool, sold: int
) -> None:
    scene = holding()
    if rests:
        rest(scene)
    at, before = scene.venue.now, len(scene.venue.submitted)
    lie = replace(
        quote(at=at), bid=D("23.35"), ask=D("23.36"), last=D(100), last_at=at - timedelta(seconds=traded_ago_s)
    )
    scene.venue.prices = {"AAPL": lie}
    scene.venue.second_prices = {"AAPL": lie if repeated else replace(lie, at=at - timedelta(seconds=1))}
    record = exits(scene, 33)
    assert len(scene.venue.submitted) - before == sold
    if not sold:
        assert (ended(record), record.doubted) == ([Reason.QUOTE_MISSING], ("AAPL",))
        assert scene.venue.cancelled == []
    elif traded_ago_s == 1:
        assert scene.venue.submitted[-1].limit_price == D(90), "no farther from a recent trade than the collar"


def test_an_old_quote_leaves_a_position_to_the_stop_that_rests() -> None:
    scene = holding()
    rest(scene)
    old = replace(quote(at=scene.venue.now - timedelta(hours=2)), bid=D(90), ask=D(90), last=D(90))
    scene.venue.prices = scene.venue.second_prices = {"AAPL": old}
    assert ended(exits(scene, 33)) == [Reason.QUOTE_STALE]
    assert (len(scene.venue.submitted), scene.venue.cancelled) == (1, [])


def test_all_quotes_that_jumped_are_asked_for_again_together_and_only_once() -> None:
    scene = holding("AAPL", "MSFT", "JPM")
    for symbol in ("AAPL", "MSFT"):
        scene.price(symbol, "90")
    exits(scene, 32)
    assert scene.venue.asked_again == [("AAPL", "MSFT")]
    scene.later(60)
    for symbol in ("AAPL", "MSFT"):
        scene.price(symbol, "100")
    exits(scene, 33)
    scene.later(60)
    scene.venue.asked_again.clear()
    exits(scene, 34)
    assert scene.venue.asked_again == []


def test_nothing_is_entered_at_a_price_that_jumped_and_was_not_seen_again() -> None:
    scene = Scene()
    told(scene, "AAPL", "106", last="100")
    scene.venue.away = True
    record = trade_once(scene.world(wanted("AAPL"), wanted("MSFT")), call())
    assert dict(zip(("AAPL", "MSFT"), ended(record), strict=True)) == {"AAPL": Reason.QUOTE_MISSING, "MSFT": None}
    scene.venue.away = False
    assert ended(trade_once(scene.world(wanted("AAPL")), call(slot="open+31m"))) == [None]
    assert [sent.limit_price for sent in scene.venue.submitted] == [D("100.20")] * 2


@settings(max_examples=80)
@given(CENTS, CENTS, st.none() | st.tuples(CENTS, CENTS), st.sampled_from(Side))
def test_an_exit_waits_for_one_request_at_most_and_one_second_answer_does_not_decide(
    price: Decimal, last: Decimal, second: tuple[Decimal, Decimal] | None, side: Side
) -> None:
    scene = holding(side=side)
    first = replace(quote(at=scene.venue.now - timedelta(seconds=1)), bid=price, ask=price, last=last)
    scene.venue.prices = {"AAPL": first}
    scene.venue.second_prices = (
        {}
        if second is None
        else {"AAPL": replace(first, at=scene.venue.now, bid=second[0], ask=second[0], last=second[1])}
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

    def decision(stands: Quote) -> Decision:
        held = WatchedPosition(position, best_price(position, stands, D("99.98") if side is Side.BUY else D("100")))
        return evaluate(held, stands, scene.venue.now, LISTED, TradingState.ACTIVE)

    trade = replace(stands, bid=stands.last, ask=stands.last)
    alone = asked and decision(stands).passed not in (decision(first).passed, decision(trade).passed)
    decided = decision(trade if alone else stands)
    if second is None and asked and not decided.passed:
        decided = fail_without_quote(Gate.EXIT, UNCONFIRMED)
    assert decided in record.decisions
    assert bool(scene.venue.submitted) is decided.passed


@settings(max_examples=60)
@given(STEPS, st.sampled_from(Side), RULES, FACTORS, st.integers(0, 6))
@example([D("-0.009"), D("-0.004"), D(0)], Side.BUY, LISTED, D("0.99"), 2)
@example([D("0.009"), D(0), D("-0.0085")], Side.BUY, LISTED, D("1.009"), 2)
@example([D("-0.009"), D(0), D("0.0085")], Side.SELL, LISTED, D("0.991"), 2)
def test_one_wrong_quote_never_closes_a_position_neither_at_once_nor_as_its_best_price(
    steps: list[Decimal], side: Side, rules: Exits, factor: Decimal, lie: int
) -> None:
    path = list(accumulate(steps, lambda price, step: price * (1 + step), initial=D(100)))
    honest, asked = play(path, side, rules)
    assume(not closes(honest))
    assert asked[-1] == 0, "a pass in which nothing is near asks once"
    lied_to, _ = play(path, side, rules, factor, min(lie, len(path) - 1))
    assert closes(lied_to) == 0


@settings(max_examples=40)
@given(FACTORS, st.sampled_from(Side), RULES)
def test_one_read_whose_last_trade_is_wrong_too_closes_nothing_while_the_market_stands_still(
    factor: Decimal, side: Side, rules: Exits
) -> None:
    scene = holding(side=side)
    told(scene, "AAPL", str(100 * factor), last=str(100 * factor))
    exits(scene, 32, rules)
    scene.venue.prices = scene.venue.second_prices or {}
    scene.later(60)
    exits(scene, 33, rules)
    assert closes(scene) == 0


@settings(max_examples=40)
@given(FACTORS, FACTORS | st.none(), st.sampled_from(Side), RULES)
def test_a_true_move_closes_in_its_pass_after_one_more_request_whatever_the_second_look_says(
    factor: Decimal, second: Decimal | None, side: Side, rules: Exits
) -> None:
    scene, price = holding(side=side), 100 * factor
    true = replace(quote(at=scene.venue.now), bid=price, ask=price, last=price)
    scene.venue.prices, scene.venue.away = {"AAPL": true}, second is None
    lied = price * (second or 1)
    scene.venue.second_prices = {"AAPL": replace(true, bid=lied, ask=lied)}
    (position,) = scene.ledger.totals().positions.values()
    held = WatchedPosition(position, best_price(position, true, None), EntryTerms(original_quantity=D(10)))
    exits(scene, 32, rules)
    assert closes(scene) == (1 if evaluate(held, true, scene.venue.now, rules, TradingState.ACTIVE).passed else 0)
    assert len(scene.venue.asked_again) <= 1


def test_a_symbol_that_the_last_pass_had_no_price_of_is_compared_with_the_pass_before() -> None:
    scene = holding("AAPL", "MSFT")
    for minute, price in ((32, "99.2"), (33, "98.5")):
        scene.price("MSFT", price)
        exits(scene, minute)
        scene.later(60)
    quote = scene.venue.prices.pop("MSFT")
    exits(scene, 34)
    scene.later(60)
    scene.venue.prices["MSFT"] = replace(quote, bid=D("98.4"), ask=D("98.4"), at=scene.venue.now)
    exits(scene, 35)
    assert scene.venue.asked_again == [], "98.4 is far from the 100 that were paid, but not from the last price"


@pytest.mark.parametrize("watching", [True, False])
def test_the_same_quote_once_more_changes_nothing_and_is_not_judged_again(*, watching: bool) -> None:
    found = list[Desk]()
    for copied in (False, True):
        scene = holding()
        scene.price("AAPL", "90")
        world = scene.world()
        desk = take_desk(world, for_entries=not watching)
        desk = add_exit_inputs(world, desk) if watching else desk
        again = {symbol: replace(one) for symbol, one in scene.venue.prices.items()}
        scene.venue.second_prices = again if copied else None
        asked = len(scene.venue.asked_again)
        looked = recheck_quotes(world, desk, for_entries=not watching, watching=watching)
        assert len(scene.venue.asked_again) == asked + 1
        assert looked == add_exit_inputs(world, desk) if watching else looked == desk
        assert watching or (looked is desk) is not copied
        found.append(looked)
    assert found[0] == found[1]
    assert found[0].quotes["AAPL"].bid == D(90)
