"""A span with something changed: orders by symbol, what binds next, and what they earned, never without an interval."""

from collections.abc import Sequence
from datetime import date, timedelta
from decimal import Decimal

import pytest

from tests.kit.core.scene import Scene, call, trade_once, wanted
from tests.kit.values import NOW
from tradebot.model.candidate import Purpose, Side
from tradebot.model.intent import Intent
from tradebot.model.struct_tools import replace
from tradebot.replaying.desk_changes import Filled
from tradebot.replaying.span_replay import SENT, CandidateEnd, ReplayedCycle
from tradebot.replaying.strategy_replay import Unanswered
from tradebot.views.what_if_span import Later, earned_by, what_if_span

WEAK, FULL = CandidateEnd("score", "", "SCORE_BELOW_MIN"), CandidateEnd("open_positions", "", "MAX_OPEN_POSITIONS")
HELD = CandidateEnd("positioned", "", "ALREADY_POSITIONED")


def sent(symbol: str = "AAPL", side: Side = Side.BUY) -> Intent:
    scene = Scene()
    trade_once(scene.world(wanted(symbol, 0.5, side)), call())
    (intent,) = scene.venue.submitted
    return intent


AAPL = sent()


def filled(session: date, side: Side = Side.BUY) -> Filled:
    return Filled(replace(AAPL, side=side, key=replace(AAPL.key, session=session)), Decimal(100))


def passed(
    then: dict[str, CandidateEnd], now: dict[str, CandidateEnd], *more: Filled, fewer: Sequence[Filled] = ()
) -> ReplayedCycle:
    before, after = ({("flow", symbol, Purpose.OPEN): end for symbol, end in each.items()} for each in (then, now))
    return ReplayedCycle(before, after, more, tuple(fewer))


def nothing(orders: Sequence[Filled]) -> Later:
    return {}


def test_span_counts_orders_by_symbol_and_names_the_limit_that_binds_next() -> None:
    one = Filled(AAPL, Decimal(100))
    passes = [
        passed({"AAPL": WEAK, "MSFT": WEAK}, {"AAPL": SENT, "MSFT": FULL}, one),
        passed({"AAPL": WEAK, "MSFT": SENT}, {"AAPL": HELD, "MSFT": FULL}, fewer=[Filled(sent("MSFT"), Decimal(100))]),
        passed({"AAPL": WEAK, "MSFT": WEAK}, {"AAPL": HELD, "MSFT": WEAK}),
    ]
    found = what_if_span(passes, (NOW, NOW), (), nothing)
    assert found.sentence == "1 more order would be sent, and 1 order wouldn't."
    assert (found.orders_then, found.orders_now, found.more, found.fewer) == (1, 1, 1, 1)
    assert [(one.symbol, one.then, one.now) for one in found.symbols] == [("AAPL", 0, 1), ("MSFT", 1, 0)]
    assert found.next is not None
    assert (found.next.gate, found.next.then, found.next.now) == ("open_positions", 0, 2)
    assert {(one.gate, one.then, one.now) for one in found.stops} == {
        ("open_positions", 0, 2), ("positioned", 0, 2), ("score", 5, 1),
    }  # fmt: skip
    assert found.lets_through


def test_span_of_a_symbol_tells_only_of_it_and_names_the_others() -> None:
    one = Filled(AAPL, Decimal(100))
    passes = [passed({"AAPL": WEAK, "MSFT": WEAK}, {"AAPL": SENT, "MSFT": FULL}, one)]
    found = what_if_span(passes, (NOW, NOW), (), nothing, symbol="MSFT")
    assert found.sentence == "The same orders would be sent; 1 candidate would have a different result."
    assert (found.more, found.lets_through, [one.symbol for one in found.symbols]) == (0, False, ["AAPL"])
    assert [one.reason for one in found.stops] == ["MAX_OPEN_POSITIONS", "SCORE_BELOW_MIN"]


def test_span_without_a_difference_says_so() -> None:
    found = what_if_span([passed({"AAPL": WEAK}, {"AAPL": WEAK})], (NOW, NOW), (), nothing)
    assert found.sentence == "Nothing changes: every candidate has its recorded result."
    assert (found.stops, found.symbols, found.next, found.earned) == ((), (), None, ())
    fewer = what_if_span(
        [passed({"AAPL": SENT}, {"AAPL": FULL}, fewer=[Filled(AAPL, Decimal(1))])], (NOW, NOW), (), nothing
    )
    assert fewer.sentence == "1 order wouldn't be sent."
    half = Filled(replace(AAPL, quantity=AAPL.quantity / 2), Decimal(1))
    both = [passed({"AAPL": SENT}, {"AAPL": SENT}, half, fewer=[Filled(AAPL, Decimal(1))])]
    smaller = what_if_span(both, (NOW, NOW), (), nothing)
    assert smaller.sentence == "1 order would have a different size or price."
    assert (smaller.resized, smaller.more, smaller.fewer, smaller.lets_through) == (1, 0, 0, False)


def test_span_whose_change_is_not_all_in_it_does_not_say_that_nothing_changes() -> None:
    same = [passed({"AAPL": WEAK}, {"AAPL": WEAK})]
    exits = Unanswered("exits.time_exit_s", "it closes positions")
    unasked = what_if_span(same, (NOW, NOW), (), nothing, unasked=["mine"])
    for found in (unasked, what_if_span(same, (NOW, NOW), (), nothing, left_out=[exits])):
        assert found.sentence.startswith("The effect of this change isn't known")


def orders(count: int, side: Side = Side.BUY) -> list[Filled]:
    return [filled(date(2026, 1, 5) + timedelta(days=number), side) for number in range(count)]


@pytest.mark.parametrize(("side", "sign"), [(Side.BUY, 1), (Side.SELL, -1)])
def test_what_orders_earned_has_an_interval_and_the_number_of_cases(side: Side, sign: int) -> None:
    sold = orders(30, side)
    later = {("AAPL", one.intent.key.session, 1): Decimal(100 + number % 3) for number, one in enumerate(sold)}
    day, week, month = earned_by(sold, later)
    assert (day.sessions, day.orders, day.of_sessions, day.unpriced) == (1, 30, 30, 0)
    assert day.mean == pytest.approx(sign * 0.01)
    assert day.mean is not None
    assert day.low is not None
    assert day.high is not None
    assert day.low < day.mean < day.high
    assert (week.orders, week.unpriced, week.mean, month.mean) == (0, 30, None, None)


@pytest.mark.parametrize("count", [1, 7, 30])
def test_too_few_cases_and_returns_without_any_spread_have_a_number_and_no_mean(count: int) -> None:
    sold = orders(count)
    day, *_ = earned_by(sold, {("AAPL", one.intent.key.session, 1): Decimal(110) for one in sold})
    assert (day.orders, day.of_sessions, day.needed) == (count, count, 8)
    assert (day.mean, day.low, day.high) == (None, None, None)
