"""Rows that are not true in what they say: of another symbol, of too many shares, twice, or of a time to come."""

from collections.abc import Callable, Iterator
from decimal import Decimal
from typing import Any

import pytest

from tests.faults.listed.conftest import Lies
from tests.faults.listed.test_books_of_an_earlier_day import kinds, opened
from tests.faults.listed.test_lists_that_forget import planned
from tests.faults.listed.test_lying_reads import closed, fills_again, is_lawful, leave, moves, position, rests
from tests.kit.bot.trader import UNTIL_FILLED_S, Trader
from tradebot.adapters.time.clock import LockStepClock

NEAR = True

FILLS, ORDERS, POSITIONS = "/account/activities/FILL", "/orders", "/positions"
FAR = "2099-01-01T00:00:00Z"
Rows = list[dict[str, Any]]


@pytest.fixture(autouse=True)
def fills_for_everybody(trader: Trader) -> Iterator[None]:
    yield
    moves(trader)


def each(change: Callable[[dict[str, Any]], dict[str, Any]]) -> Callable[[Rows], Rows]:
    return lambda rows: [row | change(row) for row in rows]


UNTRUE = {
    "lower case": each(lambda row: {"symbol": row["symbol"].lower()}),
    "a blank behind": each(lambda row: {"symbol": row["symbol"] + " "}),
    "another symbol": each(lambda row: {"symbol": "MSFT"}),
    "the other side": each(lambda row: {"side": "sell"}),
    "a hundred times as many": each(lambda row: {"qty": str(Decimal(row["qty"]) * 100)}),
    "once more under another id": lambda rows: [*rows, *(row | {"id": f"{row['id']}x"} for row in rows)],
    "years ahead": each(lambda row: {"transaction_time": FAR}),
}


@pytest.mark.parametrize("untrue", UNTRUE.values(), ids=UNTRUE)
def test_a_fill_that_its_own_order_contradicts_is_never_booked(
    trader: Trader, lies: Lies, untrue: Callable[[Rows], Rows]
) -> None:
    assert trader.buys("AAPL").code == 0
    lies.tell(FILLS, untrue)
    trader.stage.tick(seconds=UNTIL_FILLED_S)
    lied_at = LockStepClock(trader.stage.url).now()
    trader.exits()
    assert planned(trader) == [None]
    lies.end()
    assert kinds(trader) == {}
    assert trader.held() == {"AAPL": position(trader)}
    assert trader.buys("MSFT", again=True).code == 0
    trader.stage.tick(seconds=UNTIL_FILLED_S)
    assert trader.reconciles().code == 0
    assert trader.held().keys() == {"AAPL", "MSFT"}
    trader.is_whole(unable=[lied_at])


def test_an_order_that_was_told_years_ahead_is_still_known_as_filled(trader: Trader, lies: Lies) -> None:
    rests(trader, "AAPL")
    assert trader.buys("AAPL").code == 0
    lies.tell(ORDERS, each(lambda row: {"updated_at": FAR}))
    trader.stage.tick(seconds=61)
    trader.exits()
    lies.end()
    fills_again(trader)
    assert kinds(trader) == {}
    assert opened(trader) == ["AAPL"]
    assert trader.held().keys() == {"AAPL"}


TWICE = {
    "more of it": lambda rows: [*rows, *(row | {"qty": "400"} for row in rows)],
    "less of it first": lambda rows: [*(row | {"qty": "1"} for row in rows), *rows],
}


@pytest.mark.parametrize("rows", TWICE.values(), ids=TWICE)
def test_a_symbol_with_two_positions_shuts_entries_and_makes_no_plan(
    trader: Trader, lies: Lies, rows: Callable[[Rows], Rows]
) -> None:
    trader.holds("AAPL")
    lies.tell(POSITIONS, rows)
    assert planned(trader) == [None]
    assert "unreadable" in kinds(trader).values()
    trader.buys("MSFT", again=True)
    assert opened(trader) == ["AAPL"]
    lies.end()
    assert kinds(trader) == {}


def test_the_same_position_told_twice_is_one(trader: Trader, lies: Lies) -> None:
    trader.holds("AAPL")
    lies.tell(POSITIONS, lambda rows: [*rows, *rows])
    assert kinds(trader) == {}


UNTRUE_ORDERS = {
    "lower case": {"symbol": "aapl"},
    "a blank behind": {"symbol": "AAPL "},
    "another symbol": {"symbol": "MSFT"},
    "canceled": {"status": "canceled"},
    "filled": {"status": "filled"},
    "rejected": {"status": "rejected"},
    "replaced": {"status": "replaced", "replaced_by": "nobody"},
}


@pytest.mark.parametrize("untrue", UNTRUE_ORDERS.values(), ids=UNTRUE_ORDERS)
def test_an_order_that_the_list_of_open_ones_tells_wrongly_works_on_and_is_sent_no_second_time(
    trader: Trader, lies: Lies, untrue: dict[str, str]
) -> None:
    rests(trader, "AAPL")
    lies.tell(ORDERS, each(lambda row: untrue))
    for _ in range(3):
        trader.buys("AAPL", again=True)
        trader.stage.tick(seconds=61)
    assert opened(trader) == ["AAPL"]
    lies.end()
    fills_again(trader)
    assert trader.exits().code == 0
    rests(trader, "AAPL")
    leave(trader)
    assert trader.exits().code == 0
    lies.tell(ORDERS, each(lambda row: untrue))
    for _ in range(3):
        trader.stage.tick(seconds=61)
        trader.exits()
    assert len(closed(trader)) == 1
    is_lawful(trader)
    lies.end()
    for _ in range(2):
        fills_again(trader)
        trader.exits()
    assert (position(trader), kinds(trader)) == (Decimal(0), {})
