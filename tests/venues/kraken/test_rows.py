"""What rests at the venue, as its order book tells it: read whole, or not believed."""

from decimal import Decimal

import pytest

from tests.kit.adapters.kraken import AT, SYMBOL, error, iso, reader
from tests.kit.fakes.scripted import Scripted, Wire
from tradebot.adapters.wire.json_fields import DriftTally
from tradebot.errors import TradebotError
from tradebot.model.bar import Depth, Level

BIDS, ASKS = [[59_990, 0.5], [59_980.5, 2]], [[60_010, 0.25], [60_020, 3.5]]


def answer(bids: object, asks: object) -> Scripted:
    return Scripted(200, {"result": "success", "orderBook": {"bids": bids, "asks": asks}, "serverTime": iso(AT)})


def levels(rows: list[list[float]]) -> tuple[Level, ...]:
    return tuple(Level(Decimal(str(price)), Decimal(str(quantity))) for price, quantity in rows)


@pytest.mark.parametrize(("bids", "asks"), [(BIDS, ASKS), (BIDS, []), ([], []), ([["59990", "0.5"]], ASKS)])
def test_what_rests_is_read_from_the_best_price_on(
    wire: Wire, bids: list[list[float]], asks: list[list[float]]
) -> None:
    wire.answer(answer(bids, asks))
    tally = DriftTally()
    assert reader(wire, tally).depth(SYMBOL) == Depth(SYMBOL, levels(bids), levels(asks))
    assert not tally.counts
    (asked,) = wire.asked
    assert (asked.path, asked.query) == ("/derivatives/api/v3/orderbook", {"symbol": SYMBOL})


@pytest.mark.parametrize(
    ("bids", "asks"),
    [
        ([[60_020, 1]], ASKS),
        (list(reversed(BIDS)), ASKS),
        (BIDS, list(reversed(ASKS))),
        (BIDS, [*ASKS, ASKS[-1]]),
        (BIDS, [[60_010, -1]]),
        (BIDS, [[60_010, 0]]),
        ([[-1, 1]], ASKS),
        (BIDS, [[60_010, 10**20]]),
        (BIDS, [[60_010, "NaN"]]),
        (BIDS, [[60_010, None]]),
        (BIDS, [[60_010]]),
        (BIDS, [[60_010, 1, 1]]),
        (BIDS, [{"price": 60_010, "size": 1}]),
        (BIDS, None),
        (BIDS, {"60010": 1}),
        (BIDS, [[60_010 + place, 1] for place in range(10_001)]),
    ],
    ids=lambda rows: str(rows)[:24],
)
def test_what_can_not_rest_so_is_counted_and_not_believed(wire: Wire, bids: object, asks: object) -> None:
    wire.answer(answer(bids, asks))
    tally = DriftTally()
    assert reader(wire, tally).depth(SYMBOL) is None
    assert [drift.kind for drift in tally.counts] == ["order book"]


def test_an_answer_without_a_book_is_counted_and_an_error_is_raised(wire: Wire) -> None:
    tally = DriftTally()
    wire.answer(Scripted(200, {"result": "success", "serverTime": iso(AT)}))
    assert reader(wire, tally).depth(SYMBOL) is None
    assert [drift.kind for drift in tally.counts] == ["order book"]
    wire.answer(Scripted(200, error("invalidArgument: symbol")))
    with pytest.raises(TradebotError, match="symbol"):
        reader(wire).depth(SYMBOL)
