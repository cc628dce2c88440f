"""What an account may do: the rules that look at its cash, its shares and its other orders, with code and message."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest

from exchange.tests.kit.pit import Bars, bar_of
from exchange.tests.kit.random_commands import small_calendar
from papervenue.engine.account import Account
from papervenue.engine.engine import Engine
from papervenue.engine.orders import Order
from papervenue.market.bars import UNITS, Bar, Market
from papervenue.refusal import FORBIDDEN, INVALID, UNPROCESSABLE, Refusal
from papervenue.shares.dialect import ALPACA
from papervenue.shares.order_parsing import read_order, read_replacement
from papervenue.times import HOUR, MINUTE

BUY = {"symbol": "AAA", "side": "buy", "type": "market", "time_in_force": "day", "qty": "10"}
SELL = BUY | {"side": "sell"}
TEN = {"type": "limit", "limit_price": "10"}
STOP_LIMIT = BUY | {"type": "stop_limit", "stop_price": "11"}


def legs(profit: str, loss: str) -> dict[str, Any]:
    return {"take_profit": {"limit_price": profit}, "stop_loss": {"stop_price": loss}}


LEGS = legs("11", "9")
CALENDAR = small_calendar()
OPEN_US = CALENDAR.market[0].open_us


class Flat(Bars):
    """Every minute at ten dollars; BBB is not liquid, and NEW has not traded yet."""

    def bars(self, symbol: str, index: int) -> tuple[Bar, ...]:
        session = CALENDAR.market[index]
        starts = range(session.open_us, session.close_us, MINUTE) if symbol != "NEW" else ()
        return tuple(bar_of(us, 10.0) for us in starts)

    def history_close(self, symbol: str, sessions_before: int) -> int | None:
        return None if symbol == "NEW" else 10 * UNITS

    def liquid(self, symbol: str) -> bool:
        return symbol == "AAA"


class Floor:
    """One account with a thousand dollars, at an engine that is five minutes into a session."""

    def __init__(self) -> None:
        market = Market(Flat(), CALENDAR, ["AAA", "BBB", "NEW"])
        self.engine = Engine(market, OPEN_US - 20 * HOUR, lambda event: None, dialect=ALPACA)
        self.account: Account = self.engine.open_account("main", "key", "secret", Decimal(1000))
        self.engine.advance(OPEN_US + 5 * MINUTE)

    def submit(self, body: dict[str, Any]) -> Order:
        order = self.engine.submit(self.account, read_order(body))
        self.engine.settle(order)
        return order

    def hold(self, qty: int) -> None:
        body = BUY if qty > 0 else SELL
        self.submit(body | {"qty": str(abs(qty))})
        self.engine.advance(self.engine.now_us + MINUTE)
        assert self.account.qty("AAA") == qty

    def refusal(self, body: dict[str, Any]) -> dict[str, Any]:
        with pytest.raises(Refusal) as caught:
            self.submit(body)
        return caught.value.body

    def change(self, order: Order, body: dict[str, Any]) -> Order:
        new = self.engine.replace(self.account, order.id, read_replacement(body))
        self.engine.settle(new)
        return new

    def unchanged(self, order: Order, body: dict[str, Any]) -> dict[str, Any]:
        with pytest.raises(Refusal) as caught:
            self.change(order, body)
        return caught.value.body


@pytest.fixture
def floor() -> Floor:
    return Floor()


def no(code: int, message: str, **extra: str) -> dict[str, Any]:
    return {"code": code, "message": message, **extra}


def leg(name: str, bound: str, base: str) -> dict[str, Any]:
    """Return the refusal of a leg that is on the wrong side of a base price."""
    sign = "+" if bound == ">=" else "-"
    return no(UNPROCESSABLE, f"{name} must be {bound} base_price {sign} 0.01", base_price=base)


def far(word: str, stop: str) -> dict[str, Any]:
    message = f"stop price must be {word} than current price"
    return no(UNPROCESSABLE, message, market_price="10", stop_price=stop)


POOR = no(FORBIDDEN, "insufficient buying power", buying_power="1000", cost_basis="1001")
WHOLE_ONLY = no(FORBIDDEN, "account is not allowed to trade fractional shares")
OTO = BUY | {"order_class": "oto", "stop_loss": {"stop_price": "12"}}
PROFIT, LOSS = "take_profit.limit_price", "stop_loss.stop_price"
BRACKET = BUY | LEGS | {"order_class": "bracket"}
NO_SHORTS = no(FORBIDDEN, "account is not allowed to short")
MISMATCH = "position intent mismatch, inferred: buy_to_open, specified: buy_to_close"
SHORT_BRACKET = BRACKET | {"side": "sell"}
REFUSED: list[tuple[dict[str, Any], dict[str, Any], dict[str, Any], int]] = [
    (BUY | {"symbol": "ZZZ"}, no(UNPROCESSABLE, 'asset "ZZZ" not found'), {}, 0),
    (BUY | {"symbol": "NEW"}, no(UNPROCESSABLE, 'asset "NEW" has no price yet: only limit orders are accepted'), {}, 0),
    (SELL | {"symbol": "BBB"}, no(UNPROCESSABLE, 'asset "BBB" cannot be sold short'), {}, 0),
    (BUY | {"symbol": "BBB", "qty": "0.5"}, no(UNPROCESSABLE, "requested asset is not fractionable"), {}, 0),
    (SELL | {"qty": "0.5"}, no(UNPROCESSABLE, "fractional orders cannot be sold short"), {}, 0),
    (BUY | {"position_intent": "buy_to_close"}, no(UNPROCESSABLE, MISMATCH), {}, 0),
    (BUY, no(FORBIDDEN, "new orders are rejected by user request"), {"suspend_trade": True}, 0),
    (SELL, NO_SHORTS, {"no_shorting": True}, 0),
    (SELL, NO_SHORTS, {"max_margin_multiplier": 1}, 0),
    (BUY | {"qty": "100"}, POOR, {"max_margin_multiplier": 1}, 0),
    (BUY | {"qty": "0.5"}, WHOLE_ONLY, {"fractional_trading": False}, 0),
    (BUY | {"qty": None, "notional": "0.99"}, no(FORBIDDEN, "cost basis must be >= minimal amount of order 1"), {}, 0),
    (BUY | {"type": "stop", "stop_price": "10"}, far("greater", "10"), {}, 0),
    (BUY | {"type": "stop", "stop_price": "9.5"}, far("greater", "9.5"), {}, 0),
    (SELL | {"type": "stop", "stop_price": "10"}, far("less", "10"), {}, 0),
    (BRACKET | {"take_profit": {"limit_price": "10"}}, leg(PROFIT, ">=", "10"), {}, 0),
    (BRACKET | {"stop_loss": {"stop_price": "10"}}, leg(LOSS, "<=", "10"), {}, 0),
    (BRACKET | TEN | {"limit_price": "9"}, leg(LOSS, "<=", "9"), {}, 0),
    (BRACKET | TEN | {"limit_price": "12"}, leg(PROFIT, ">=", "12"), {}, 0),
    (BRACKET | TEN | {"limit_price": "10.5", "stop_loss": {"stop_price": "10.2"}}, leg(LOSS, "<=", "10"), {}, 0),
    (SHORT_BRACKET | legs("10", "12"), leg(PROFIT, "<=", "10"), {}, 0),
    (SHORT_BRACKET | legs("8", "10"), leg(LOSS, ">=", "10"), {}, 0),
    (SELL | LEGS | {"type": "limit", "order_class": "oco"}, no(UNPROCESSABLE, "oco orders must be exit orders"), {}, 0),
    (BRACKET, no(UNPROCESSABLE, "bracket orders must be entry orders"), {}, 10),
    (OTO | {"side": "sell"}, no(UNPROCESSABLE, "oto orders must be entry orders"), {}, 10),
]


@pytest.mark.parametrize(("body", "refused", "configuration", "quantity"), REFUSED)
def test_order_that_account_asset_or_market_does_not_allow_is_refused(
    floor: Floor, body: dict[str, Any], refused: dict[str, Any], configuration: dict[str, Any], quantity: int
) -> None:
    if quantity:
        floor.hold(quantity)
    for name, value in configuration.items():
        setattr(floor.account.configuration, name, value)
    assert floor.refusal({name: value for name, value in body.items() if value is not None}) == refused
    assert not floor.account.open


def test_a_client_order_id_is_taken_for_ever(floor: Floor) -> None:
    floor.engine.cancel(floor.account, floor.submit(BUY | TEN | {"client_order_id": "one"}).id)
    again = floor.refusal(BUY | TEN | {"client_order_id": "one"})
    assert again == {"code": INVALID, "message": "client_order_id must be unique"}
    assert floor.unchanged(floor.submit(BUY | TEN), {"qty": "3", "client_order_id": "one"})["code"] == INVALID


@pytest.mark.parametrize(
    ("body", "each"),
    [
        (BUY, "10.01"),
        (BUY | TEN | {"limit_price": "9.5"}, "9.5"),
        (BUY | {"type": "stop", "stop_price": "11"}, "11.44"),
        (BUY | {"type": "stop_limit", "stop_price": "11", "limit_price": "11.2"}, "11.2"),
        (BUY | {"type": "trailing_stop", "trail_price": "1"}, "11.44"),
        (BUY | {"type": "trailing_stop", "trail_percent": "10"}, "11.44"),
        (BUY | LEGS | {"order_class": "bracket"}, "10.01"),
        (SELL | TEN, "10.3103"),
        (SELL | TEN | {"limit_price": "12"}, "12"),
        (SELL | {"type": "stop", "stop_price": "9"}, "10.3103"),
    ],
)
def test_an_order_that_opens_reserves_what_it_may_cost(floor: Floor, body: dict[str, Any], each: str) -> None:
    before = floor.engine.buying_power(floor.account)
    floor.submit(body)
    assert before == 2000
    assert floor.engine.buying_power(floor.account) == 2000 - 10 * Decimal(each)


def test_a_collar_is_narrower_from_fifty_dollars_up(floor: Floor) -> None:
    floor.submit(BUY | {"qty": "1", "type": "stop", "stop_price": "60"})
    assert floor.account.reserved == Decimal("61.5")


def test_shares_that_are_claimed_cannot_be_sold_again_and_the_claims_are_named(floor: Floor) -> None:
    floor.hold(10)
    first = floor.submit(SELL | {"qty": "6", "type": "limit", "limit_price": "12"})
    assert floor.refusal(SELL | {"qty": "5", "type": "limit", "limit_price": "12"}) == {
        "code": FORBIDDEN,
        "message": "insufficient qty available for order (requested: 5, available: 4)",
        "available": "4",
        "existing_qty": "10",
        "held_for_orders": "6",
        "related_orders": [first.id],
        "symbol": "AAA",
    }


@pytest.mark.parametrize(
    ("resting", "change", "refused"),
    [
        (BUY | TEN | {"limit_price": "9"}, SELL, "limit"),
        (BUY | TEN | {"limit_price": "9"}, SELL | TEN | {"limit_price": "9"}, "limit"),
        (BUY | TEN | {"limit_price": "9"}, SELL | TEN | {"limit_price": "9.01"}, ""),
        (BUY | {"type": "stop", "stop_price": "11"}, SELL | TEN | {"limit_price": "15"}, "stop"),
        (STOP_LIMIT | {"limit_price": "11"}, SELL | TEN | {"limit_price": "12"}, ""),
        (STOP_LIMIT | {"limit_price": "12"}, SELL | TEN | {"limit_price": "12"}, "stop_limit"),
        (BUY | {"type": "trailing_stop", "trail_price": "1"}, SELL, ""),
        (BUY | TEN | {"limit_price": "9"}, SELL | {"type": "trailing_stop", "trail_price": "1"}, ""),
        (BUY | TEN | {"limit_price": "9"}, SELL | LEGS | {"type": "limit", "order_class": "oco"}, ""),
    ],
)  # fmt: skip
def test_orders_that_could_trade_with_each_other_are_refused_unless_they_are_complex(
    floor: Floor, resting: dict[str, Any], change: dict[str, Any], refused: str
) -> None:
    floor.hold(10)
    other = floor.submit(resting)
    if not refused:
        floor.submit(change)
        return
    assert floor.refusal(change) == {
        "code": FORBIDDEN,
        "message": "potential wash trade detected. use complex orders",
        "reject_reason": f"opposite side {refused} order exists",
        "existing_order_id": other.id,
    }


def test_auction_orders_are_taken_until_shortly_before_and_from_seven_in_the_evening(floor: Floor) -> None:
    assert floor.refusal(BUY | {"time_in_force": "opg"})["code"] == FORBIDDEN
    assert floor.submit(BUY | {"time_in_force": "cls"}).status == "new"
    floor.engine.advance(CALENDAR.market[0].close_us - 10 * MINUTE)
    refused = floor.refusal(BUY | {"time_in_force": "cls"})
    assert refused["message"] == "cls orders must be submitted after 7:00pm and before 3:50pm"
    floor.engine.advance(OPEN_US + 10 * HOUR)
    assert {floor.submit(BUY | {"time_in_force": tif}).status for tif in ("opg", "cls")} == {"accepted"}
    floor.engine.advance(CALENDAR.market[1].open_us - 2 * MINUTE)
    refused = floor.refusal(BUY | {"time_in_force": "opg"})
    assert refused["message"] == "opg orders must be submitted after 7:00pm and before 9:28am"


@pytest.mark.parametrize(
    ("body", "change", "message"),
    [
        (BUY | TEN, {"limit_price": "10.00"}, "order parameters are not changed"),
        (BUY | TEN, {}, "order parameters are not changed"),
        (BUY | TEN, {"stop_price": "9"}, "limit orders must not have stop_price"),
        (BUY | TEN, {"trail": "1"}, "limit orders must not have trail"),
        (BUY, {"limit_price": "9"}, "market orders require no stop or limit price"),
        (BUY | {"qty": None, "notional": "50"}, {"time_in_force": "gtc"}, "notional orders cannot be replaced"),
        (BUY | TEN | {"qty": "1.5"}, {"qty": "2"}, "qty of fractional orders cannot be replaced"),
        (
            BUY | LEGS | TEN | {"order_class": "bracket"},
            {"qty": "5"},
            "only limit_price and stop_price of bracket orders",
        ),
        (BUY | {"type": "stop", "stop_price": "11"}, {"time_in_force": "ioc"}, "invalid time_in_force ioc"),
        (BUY | {"type": "stop", "stop_price": "11"}, {"stop_price": "9"}, "stop price must be greater"),
    ],
)
def test_what_cannot_be_replaced_is_refused(
    floor: Floor, body: dict[str, Any], change: dict[str, Any], message: str
) -> None:
    order = floor.submit({name: value for name, value in body.items() if value is not None})
    assert message in floor.unchanged(order, change)["message"]
    assert order.is_open


def test_an_order_that_is_over_or_not_there_yet_cannot_be_replaced(floor: Floor) -> None:
    filled = floor.submit(BUY)
    floor.engine.advance(floor.engine.now_us + MINUTE)
    assert floor.unchanged(filled, {"qty": "3"})["message"] == "unable to replace order, order is not open"
    order = floor.submit(BUY | TEN | {"limit_price": "9"})
    floor.change(order, {"qty": "3"})
    assert floor.unchanged(order, {"qty": "4"})["message"] == "order already replaced"
    floor.engine.advance(CALENDAR.market[0].close_us + HOUR)
    queued = floor.submit(BUY | TEN)
    assert floor.unchanged(queued, {"qty": "3"})["message"] == "cannot replace order in accepted status"
