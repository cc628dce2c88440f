"""Which trades are shown, and what they add up to.

Swaps: both values as the books kept them, and what became of the position and of its newcomer.
"""

from datetime import date, timedelta
from decimal import Decimal
from itertools import chain
from typing import Any

import pytest

from tests.kit.rows import make_intent
from tests.kit.values import NOW, VENUE_DAY, ago, fill
from tests.model.test_lifecycle import EXIT, LEG, PAIR, order
from tests.views.trades.test_trades import MARKET, past, sent
from tradebot.model.auction import WORTH, PositionValue, read_value
from tradebot.model.candidate import Purpose, Side
from tradebot.model.decision import Decision, Gate, Verdict
from tradebot.model.intent import Intent, IntentState, Operation
from tradebot.model.order import Order
from tradebot.model.position import Origin, OwnedFill
from tradebot.model.reasons import Reason
from tradebot.model.struct_tools import replace
from tradebot.model.trade import DisplacedClose, OrderSent
from tradebot.views.trades.days import DateRange, MarketTime
from tradebot.views.trades.lots import lots_of
from tradebot.views.trades.swaps import SwapRow, swaps_of
from tradebot.views.trades.trade_row import Choice, exit_reason, rule_of, select_rows, totals_of, why_closed
from tradebot.views.trades.trades import rows_of

LIMIT, STOP = order(PAIR), order(PAIR, **LEG)
RESTING = replace(PAIR, why="scale_out+stop_loss")
MOVED = replace(RESTING, operation=Operation.REPLACE, why="trail_stop")
CLOSE = replace(EXIT, why="trail_stop(-1.2%)+signal_decay(0.65)")


@pytest.mark.parametrize(
    ("closed_by", "behind", "reason"),
    [
        (LIMIT, [RESTING], "scale_out"),
        (STOP, [RESTING], "stop_loss"),
        (STOP, [MOVED, RESTING], "trail_stop"),
        (order(EXIT), [CLOSE], CLOSE.why),
        (order(EXIT), [CLOSE, PAIR], CLOSE.why),
        (order(EXIT), [EXIT], None),
        (order(EXIT), [], None),
    ],
)
def test_exit_reason_comes_from_the_nearest_intent(closed_by: Order, behind: list[Intent], reason: str | None) -> None:
    assert exit_reason(closed_by, behind) == reason


@pytest.mark.parametrize(("origin", "reason"), [(Origin.PLAN, "accepted_plan"), (Origin.ACTIVITY, "corporate_action")])
def test_lot_has_the_reason_of_its_order_or_without_one_names_its_cause(origin: Origin, reason: str) -> None:
    sale = fill(2, side=Side.SELL)
    gone = replace(sale, fill=replace(sale.fill, venue_order_id=""), origin=origin, about="it")
    (lot,), (other,) = (lots_of([fill(1), sold]).closed for sold in (sale, gone))
    assert why_closed(lot, {"venue-2": OrderSent(order(EXIT), (CLOSE,))}) == CLOSE.why
    assert why_closed(lot, {"venue-2": OrderSent(order(EXIT))}) == why_closed(lot, {}) == "unknown"
    assert why_closed(other, {}) == rule_of(reason) == reason


def test_reason_is_counted_by_its_first_rule() -> None:
    reasons = {"trail_stop(-1.2%)+signal_decay(0.65)": "trail_stop", "displaced_by_XYZ": "displaced_by"}
    words = ("unknown", "The month is over", "over ")
    assert {reason: rule_of(reason) for reason in (*reasons, *words)} == reasons | dict(zip(words, words, strict=True))


D = Decimal
MONDAY, TUESDAY, WEDNESDAY = (date(2026, 11, 16) + timedelta(days=n) for n in range(3))
FILLS = [
    fill(0, at=ago(600)),
    fill(1, "MSFT", at=ago(500), strategy="other"),
    fill(2, "NVDA", at=ago(400)),
    fill(3, side=Side.SELL, price="110", at=NOW),
    fill(4, "NVDA", Side.SELL, "4", "90", at=NOW + timedelta(days=1)),
    fill(5, "JPM", at=NOW + timedelta(days=1)),
    fill(6, "JPM", Side.SELL, at=NOW + timedelta(days=1, hours=1)),
]
ORDERS = sent("venue-3", why="trail_stop(-1.2%)+signal_decay(0.65)") | sent("venue-4", why="The month is over")
ROWS = rows_of(past(FILLS, sent=ORDERS, marks={"NVDA": D(95)}, at=NOW + timedelta(days=2)), MarketTime(()), by_lot=True)


@pytest.mark.parametrize(
    ("choice", "trades", "lots"),
    [
        ({}, "AAPL MSFT NVDA JPM", "AAPL NVDA JPM MSFT NVDA"),
        ({"days": DateRange(MONDAY, MONDAY)}, "AAPL MSFT NVDA", "AAPL MSFT NVDA"),
        ({"days": DateRange(TUESDAY)}, "MSFT NVDA JPM", "NVDA JPM MSFT NVDA"),
        ({"days": DateRange(WEDNESDAY)}, "MSFT NVDA", "MSFT NVDA"),
        ({"days": DateRange(None, MONDAY - timedelta(days=1))}, "", ""),
        ({"strategy": "other"}, "MSFT", "MSFT"),
        ({"symbol": "NVDA"}, "NVDA", "NVDA NVDA"),
        ({"is_open": True}, "MSFT NVDA", "MSFT NVDA"),
        ({"is_open": False}, "AAPL JPM", "AAPL NVDA JPM"),
        ({"reason": "trail_stop"}, "AAPL", "AAPL"),
        ({"reason": "signal_decay"}, "AAPL", "AAPL"),
        ({"reason": "The month is over"}, "NVDA", "NVDA"),
        ({"reason": "unknown"}, "JPM", "JPM"),
        ({"reason": "trail"}, "", ""),
    ],
)
def test_choice_keeps_trades_that_match_all_its_parts(choice: dict[str, Any], trades: str, lots: str) -> None:
    wanted = Choice(**choice)
    assert [row.symbol for row in select_rows(ROWS.trades, wanted, VENUE_DAY)] == trades.split()
    assert [lot.symbol for lot in select_rows(ROWS.lots, wanted, VENUE_DAY)] == lots.split()


def test_totals_count_unpriced_trades_that_they_leave_out() -> None:
    found = totals_of(ROWS.trades)
    assert (found.trades, found.closed, found.held, found.partly_closed) == (4, 2, 2, 1)
    assert (found.won, found.lost, found.even) == (1, 0, 1)
    assert (found.gross_usd, found.fees_usd, found.net_usd) == (D(60), D(0), D(60))
    assert (found.open_usd, found.unpriced) == (D(-30), 1)
    assert totals_of([replace(ROWS.trades[0], net_usd=D("-0.01"))]).lost == 1


AT = ago(100)
WORTH_MORE, NEEDED = D("0.88"), D("0.68")
WORTHS = PositionValue(D("0.5"), D("0.1"), D("0.02"), D("2"))
SWAPPED = [
    fill(0, price="100", at=ago(600)),
    fill(1, side=Side.SELL, price="103", at=ago(90)),
    fill(2, symbol="XOM", side=Side.SELL, price="50", at=ago(60)),
]
SWAPPED_ROWS = rows_of(past(SWAPPED, marks={"XOM": D(48)}), MARKET).trades


def gave_way(
    about: str = f"{WORTH}{WORTHS}", observed: Any = WORTH_MORE, limit: Any = NEEDED, **changes: Any
) -> DisplacedClose:
    told = {"displaced_by": "XOM", "at": AT, "purpose": Purpose.CLOSE, **changes}
    intent = replace(make_intent(), **told)
    why = Decision(Gate.EXIT, Verdict.PASS, Reason.DISPLACED, observed, limit, about=about)
    return DisplacedClose(intent, IntentState.ACKED, (Decision(Gate.PERMISSION, Verdict.PASS), why))


def swap(one: DisplacedClose, last: str | None = "110", within: timedelta = timedelta(hours=1)) -> SwapRow:
    (row,) = swaps_of([one], SWAPPED_ROWS, {"AAPL": D(last)} if last else {}, within)
    return row


def test_swap_has_both_values_with_their_parts_and_what_both_earned() -> None:
    row = swap(gave_way())
    assert (row.symbol, row.newcomer, row.at) == ("AAPL", "XOM", AT)
    assert (row.score, row.gained, row.cost, row.r, row.value) == (D("0.5"), D("0.1"), D("0.02"), D(2), D("0.58"))
    assert (row.value_of_newcomer, row.needed) == (D("0.88"), D("0.68"))
    assert (row.advantage, row.threshold) == (D("0.30"), D("0.10"))
    ids = {each.symbol: each.id for each in SWAPPED_ROWS}
    assert (row.trade_id, row.newcomer_id) == (ids["AAPL"], ids["XOM"])
    # Ten bought at 100 and sold at 103, where they would be at 110 now; ten sold short at 50, which are at 48 now.
    assert (row.closed_usd, row.left_usd, row.newcomer_usd) == (D(30), D(70), D(20))


def test_displacement_by_scores_keeps_only_how_far_they_were_apart_and_a_late_newcomer_has_no_trade() -> None:
    row = swap(gave_way("", 0.25, 0.2), last=None)
    assert (row.value, row.needed, row.advantage, row.threshold) == (None, None, D("0.25"), D("0.2"))
    assert (row.last, row.left_usd, row.closed_usd) == (None, None, D(30))
    row = swap(gave_way(), within=timedelta(seconds=39))
    assert (row.newcomer_id, row.newcomer_usd) == (None, None)


def test_close_that_the_venue_ended_half_filled_is_told_with_what_is_held_and_what_was_sent_after_it() -> None:
    half = [SWAPPED[0], fill(1, side=Side.SELL, quantity="4", price="103", at=ago(90)), SWAPPED[2]]
    first = gave_way()
    again = gave_way(observed="its close ended", limit=None, client_order_id="tb1.again", at=ago(80))
    moved = gave_way("", "moved", None, operation=Operation.REPLACE, client_order_id="tb1.moved", at=ago(70))
    other = gave_way(observed="its close ended", limit=None, displaced_by="JPM", at=ago(75))

    def told(fills: list[OwnedFill], *records: DisplacedClose, working: str = "") -> tuple[object, ...]:
        (row,) = swaps_of(records, rows_of(past(fills), MARKET).trades, {}, timedelta(hours=1), {working})
        return row.quantity, row.closes, row.held, row.works

    quantity = first.intent.quantity
    assert told(SWAPPED, first) == (quantity, 1, D(0), False)
    assert told(half, first) == (quantity, 1, D(6), False)
    assert told(half, first, other, again, moved, working="tb1.moved") == (quantity, 2, D(6), True)
    assert told(half, first, again._replace(state=IntentState.REJECTED)) == (quantity, 1, D(6), False)
    at_target = gave_way(operation=Operation.REPLACE)
    assert told(SWAPPED, at_target) == (quantity, 1, D(0), False), "the target that rests got another price"
    assert told([], first) == (quantity, 1, None, False)


def test_what_is_sent_besides_the_first_close_is_no_swap() -> None:
    others = [
        gave_way(displaced_by=""),
        gave_way(operation=Operation.CANCEL),
        gave_way(observed="its close was lost on the way", limit=None),
        gave_way()._replace(state=IntentState.REJECTED),
        gave_way()._replace(state=IntentState.ABANDONED),
    ]
    assert [*chain.from_iterable(swaps_of([other], SWAPPED_ROWS, {}, timedelta(hours=1)) for other in others)] == []


@pytest.mark.parametrize("r", [None, D("-0.5"), D("1.25")])
def test_value_is_read_back_as_it_was_written(r: Decimal | None) -> None:
    value = PositionValue(D("0.82"), D(0) if r is None else D("0.05") * r, D("0.02"), r)
    assert read_value(f"{WORTH}{value}") == value
    assert read_value(f"{WORTH}{value} or so") is None
    assert read_value(f"{WORTH}a = b - c") is None
