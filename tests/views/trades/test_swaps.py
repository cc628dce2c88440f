"""Swaps: both values as the books kept them, and what became of the position and of its newcomer."""

from datetime import timedelta
from decimal import Decimal
from itertools import chain
from typing import Any

import pytest

from tests.kit.rows import make_intent
from tests.kit.values import ago, fill
from tests.views.trades.test_trades import MARKET, past
from tradebot.model.auction import WORTH, PositionValue, read_value
from tradebot.model.candidate import Purpose, Side
from tradebot.model.decision import Decision, Gate, Verdict
from tradebot.model.intent import IntentState, Operation
from tradebot.model.position import OwnedFill
from tradebot.model.reasons import Reason
from tradebot.model.struct_tools import replace
from tradebot.model.trade import DisplacedClose
from tradebot.views.trades.swaps import SwapRow, swaps_of
from tradebot.views.trades.trades import rows_of

D = Decimal
AT = ago(100)
WORTH_MORE, NEEDED = D("0.88"), D("0.68")
WORTHS = PositionValue(D("0.5"), D("0.1"), D("0.02"), D("2"))
FILLS = [
    fill(0, price="100", at=ago(600)),
    fill(1, side=Side.SELL, price="103", at=ago(90)),
    fill(2, symbol="XOM", side=Side.SELL, price="50", at=ago(60)),
]
ROWS = rows_of(past(FILLS, marks={"XOM": D(48)}), MARKET).trades


def gave_way(
    about: str = f"{WORTH}{WORTHS}", observed: Any = WORTH_MORE, limit: Any = NEEDED, **changes: Any
) -> DisplacedClose:
    told = {"displaced_by": "XOM", "at": AT, "purpose": Purpose.CLOSE, **changes}
    intent = replace(make_intent(), **told)
    why = Decision(Gate.EXIT, Verdict.PASS, Reason.DISPLACED, observed, limit, about=about)
    return DisplacedClose(intent, IntentState.ACKED, (Decision(Gate.PERMISSION, Verdict.PASS), why))


def swap(one: DisplacedClose, last: str | None = "110", within: timedelta = timedelta(hours=1)) -> SwapRow:
    (row,) = swaps_of([one], ROWS, {"AAPL": D(last)} if last else {}, within)
    return row


def test_swap_has_both_values_with_their_parts_and_what_both_earned() -> None:
    row = swap(gave_way())
    assert (row.symbol, row.newcomer, row.at) == ("AAPL", "XOM", AT)
    assert (row.score, row.gained, row.cost, row.r, row.value) == (D("0.5"), D("0.1"), D("0.02"), D(2), D("0.58"))
    assert (row.value_of_newcomer, row.needed) == (D("0.88"), D("0.68"))
    assert (row.advantage, row.threshold) == (D("0.30"), D("0.10"))
    ids = {each.symbol: each.id for each in ROWS}
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
    half = [FILLS[0], fill(1, side=Side.SELL, quantity="4", price="103", at=ago(90)), FILLS[2]]
    first = gave_way()
    again = gave_way(observed="its close ended", limit=None, client_order_id="tb1.again", at=ago(80))
    moved = gave_way("", "moved", None, operation=Operation.REPLACE, client_order_id="tb1.moved", at=ago(70))
    other = gave_way(observed="its close ended", limit=None, displaced_by="JPM", at=ago(75))

    def told(fills: list[OwnedFill], *records: DisplacedClose, working: str = "") -> tuple[object, ...]:
        (row,) = swaps_of(records, rows_of(past(fills), MARKET).trades, {}, timedelta(hours=1), {working})
        return row.quantity, row.closes, row.held, row.works

    quantity = first.intent.quantity
    assert told(FILLS, first) == (quantity, 1, D(0), False)
    assert told(half, first) == (quantity, 1, D(6), False)
    assert told(half, first, other, again, moved, working="tb1.moved") == (quantity, 2, D(6), True)
    assert told(half, first, again._replace(state=IntentState.REJECTED)) == (quantity, 1, D(6), False)
    at_target = gave_way(operation=Operation.REPLACE)
    assert told(FILLS, at_target) == (quantity, 1, D(0), False), "the target that rests got another price"
    assert told([], first) == (quantity, 1, None, False)


def test_what_is_sent_besides_the_first_close_is_no_swap() -> None:
    others = [
        gave_way(displaced_by=""),
        gave_way(operation=Operation.CANCEL),
        gave_way(observed="its close was lost on the way", limit=None),
        gave_way()._replace(state=IntentState.REJECTED),
        gave_way()._replace(state=IntentState.ABANDONED),
    ]
    assert [*chain.from_iterable(swaps_of([other], ROWS, {}, timedelta(hours=1)) for other in others)] == []


@pytest.mark.parametrize("r", [None, D("-0.5"), D("1.25")])
def test_value_is_read_back_as_it_was_written(r: Decimal | None) -> None:
    value = PositionValue(D("0.82"), D(0) if r is None else D("0.05") * r, D("0.02"), r)
    assert read_value(f"{WORTH}{value}") == value
    assert read_value(f"{WORTH}{value} or so") is None
    assert read_value(f"{WORTH}a = b - c") is None
