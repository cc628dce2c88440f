"""A second look at prices is one request, and over within five seconds of a real venue's time."""

from decimal import Decimal

import pytest
from msgspec.structs import force_setattr

from tests.kit.adapters.alpaca import snapshot_row, venue
from tests.kit.fakes.scripted import Scripted, Wire
from tradebot.adapters.wire.json_fields import DriftTally
from tradebot.errors import TradebotError
from tradebot.model.trading import Mode
from tradebot.venues.alpaca.reader import HASTY, MOST_SYMBOLS, WAIT_S, ask_again
from tradebot.venues.alpaca.wire import AlpacaVenue


def real(wire: Wire) -> AlpacaVenue:
    """Return a venue in real time at the scripted server."""
    made = venue(wire)
    force_setattr(made, "mode", Mode.PAPER)
    return made


def test_second_look_waits_and_ends_within_five_seconds(wire: Wire) -> None:
    slept: list[float] = []
    wire.answer(Scripted(200, {"AAPL": snapshot_row(), "MSFT": snapshot_row(bid=0), "JPM": None}))
    quotes = ask_again(real(wire), DriftTally(), ["AAPL", "MSFT", "JPM", "XOM"], slept.append)
    assert {symbol: found.bid for symbol, found in quotes.items()} == {"AAPL": Decimal("100.1")}
    assert (slept, wire.count("GET")) == ([WAIT_S], 1)
    assert WAIT_S + HASTY.connect_s + HASTY.read_s + HASTY.total_s <= 5


def test_second_look_does_not_wait_in_lock_step(wire: Wire) -> None:
    slept: list[float] = []
    wire.answer(Scripted(200, {"AAPL": snapshot_row()}))
    assert list(ask_again(venue(wire), DriftTally(), ["AAPL"], slept.append)) == ["AAPL"]
    assert slept == []


@pytest.mark.parametrize(
    "answer",
    [Scripted(503), Scripted(422, {"message": "no"}), Scripted(200, []), Scripted(200, b"{"), Scripted(fault="hang")],
    ids=["busy", "refused", "a list", "cut", "silent"],
)
def test_whatever_is_no_answer_is_one_error_after_one_request(wire: Wire, answer: Scripted) -> None:
    wire.answer(answer)
    with pytest.raises(TradebotError):
        ask_again(real(wire), DriftTally(), [f"S{number}" for number in range(150)], lambda seconds: None)
    assert (wire.count("GET"), len(wire.asked[0].query["symbols"].split(","))) == (1, MOST_SYMBOLS)
