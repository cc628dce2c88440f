"""What a plain venue refuses: each rule by the code that a face translates."""

from collections.abc import Mapping
from decimal import Decimal
from typing import Any

import pytest

from exchange.tests.kit.ring import START, D, Ring, instrument
from papervenue.engine.orders import OrderRequest, Replacement, StopLoss
from papervenue.market.venue import ClientIds, Rules, TickStep
from papervenue.refusal import Refusal

STEPS = (TickStep(D(0), D("0.05")), TickStep(D(100), D("0.5")))
ONE = instrument("PF_XBTUSD", "0.5", "0.1", "0.05", ticks=STEPS, lot=D("0.01"), minimum=D("0.05"))
GONE = instrument("ESH6", "0.25", last_trading="2026-01-05T00:01:00Z")


def ring(rules: Rules = Rules(collar=D("0.1"))) -> Ring:  # noqa: B008 -- frozen
    return Ring({"PF_XBTUSD": {0: "99.95"}, "ESH6": {0: "100"}}, (ONE, GONE), rules, cash="100", to=1)


def code_of(harness: Ring, side: str, qty: object, **more: Any) -> str:
    """Return the code with which an order is refused, or its status."""
    try:
        return harness.order(side, qty, **more).status
    except Refusal as refusal:
        return str(refusal.body["code"])


@pytest.mark.parametrize(
    ("qty", "more", "code"),
    [
        (1, {"symbol": "AAPL"}, "unknown_symbol"),
        (1, {"symbol": "ESH6"}, "expired"),
        (1, {"type": "trailing_stop"}, "unsupported_type"),
        (1, {"order_class": "oco"}, "unsupported_class"),
        (1, {"stop_loss": StopLoss(1, None)}, "unsupported_class"),
        (1, {"tif": "opg"}, "unsupported_life"),
        (1, {"stop": "110", "tif": "ioc"}, "unsupported_life"),
        (1, {"limit": "99", "extended_hours": True}, "unsupported_life"),
        (1, {"limit": "99", "type": "market"}, "wrong_prices"),
        (1, {"type": "stop"}, "wrong_prices"),
        (1, {"trail_price": 5}, "wrong_prices"),
        (0, {}, "wrong_size"),
        (-1, {}, "wrong_size"),
        ("0.055", {}, "lot_size"),
        ("0.04", {}, "minimum_size"),
        (1, {"limit": "99.92"}, "tick_size"),
        (1, {"limit": "100.05"}, "tick_size"),
        (1, {"stop": "101.2"}, "tick_size"),
        (1, {"limit": "110"}, "price_collar"),
        (1, {"limit": "89.9"}, "price_collar"),
        (11, {}, "insufficient_margin"),
    ],
)
def test_order_against_a_rule_is_refused_with_its_code(qty: object, more: Mapping[str, Any], code: str) -> None:
    harness = ring()
    before = harness.account.cash
    assert code_of(harness, "buy", qty, **more) == code
    assert (harness.account.cash, len(harness.account.orders)) == (before, 0)


@pytest.mark.parametrize(
    ("qty", "more", "status"),
    [
        ("0.05", {}, "filled"),
        (1, {"limit": "99.95", "tif": "ioc"}, "filled"),
        (1, {"limit": "99.90", "tif": "fok"}, "canceled"),
        (1, {"limit": "109.5", "tif": "day"}, "filled"),
        (1, {"limit": "90", "tif": "day"}, "new"),
        (1, {"stop": "100.5"}, "new"),
        (1, {"stop": "150", "limit": "101.5"}, "new"),
        (10, {}, "filled"),
    ],
)
def test_order_within_the_rules_is_accepted(qty: object, more: Mapping[str, Any], status: str) -> None:
    assert code_of(ring(), "buy", qty, **more) == status


def test_order_of_an_amount_of_money_and_a_replacement_are_refused() -> None:
    harness = ring()
    order = harness.order("buy", 1, limit="95")
    with pytest.raises(Refusal) as refused:
        harness.engine.submit(harness.account, OrderRequest("PF_XBTUSD", 1, "market", "day", None, Decimal(100), None))
    assert refused.value.body["code"] == "wrong_size"
    with pytest.raises(Refusal) as refused:
        harness.engine.replace(harness.account, order.id, Replacement(None, 960_000, None, None, None, None))
    assert refused.value.body["code"] == "unsupported_edit"


@pytest.mark.parametrize(
    ("rule", "while_open", "after"),
    [
        ("unique", "duplicate_client_id", "duplicate_client_id"),
        ("while_open", "duplicate_client_id", "new"),
        ("free", "new", "new"),
    ],
)
def test_client_id_is_unique_as_long_as_the_rules_say(rule: ClientIds, while_open: str, after: str) -> None:
    harness = ring(Rules(client_ids=rule))
    first = harness.order("buy", 1, limit="95", client_order_id="mine")
    assert code_of(harness, "buy", 1, limit="94", client_order_id="mine") == while_open
    harness.engine.cancel(harness.account, first.id)
    for order in [*harness.account.open.values()]:
        harness.engine.cancel(harness.account, order.id)
    assert code_of(harness, "buy", 1, limit="93", client_order_id="mine") == after
    newest = harness.account.by_client_id.get("mine")
    assert newest is not None
    assert newest.is_open == (after == "new")


def test_open_orders_count_toward_the_margin_of_the_next() -> None:
    harness = ring()
    harness.order("buy", 6, limit="95")
    assert code_of(harness, "buy", 5, limit="95") == "insufficient_margin"
    # A sale of ten at its worst needs no more than the purchase of ten, as only one of them can be the position.
    assert [code_of(harness, "buy", 4, limit="95"), code_of(harness, "sell", 10, limit="105")] == ["new", "new"]
    assert code_of(harness, "sell", 1, limit="105") == "insufficient_margin"


def test_refusal_says_what_is_required_and_what_is_available() -> None:
    harness = ring()
    harness.order("buy", 6)
    with pytest.raises(Refusal) as refused:
        harness.order("buy", 5)
    body = refused.value.body
    assert (body["required"], body["available"]) == ("49.975", "40.03")


def test_day_order_ends_with_the_utc_day_and_a_gtc_order_doesn_t() -> None:
    harness = ring()
    day, lasting = harness.order("buy", 1, limit="95", tif="day"), harness.order("buy", 1, limit="94")
    assert day.expires_us == START + 24 * 60 * 60_000_000
    harness.to(24 * 60 - 1)
    assert day.status == "new"
    harness.to(24 * 60)
    assert (day.status, lasting.status) == ("expired", "new")
