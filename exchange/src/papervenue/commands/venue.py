"""Act as the venue's staff: change orders that nobody asked to change, and bust or correct executions."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from papervenue.commands.command import Answer, Asked, Entry
from papervenue.commands.control import account_of, check_fields, positive
from papervenue.engine import unsolicited
from papervenue.engine.account import Account
from papervenue.engine.engine import Engine
from papervenue.engine.orders import Order
from papervenue.faces.trading_json import execution_json, order_json
from papervenue.jsontext import encode
from papervenue.refusal import invalid, not_found
from papervenue.shares import amending
from papervenue.shares.order_parsing import price_units, read_replacement

ORDERS, EXECUTIONS = "/exchange/v1/orders", "/exchange/v1/executions"
RESTATE = "restate"
ACTS: Mapping[str, Callable[[Engine, Order], None]] = {
    "suspend": unsolicited.suspend,
    "stop": unsolicited.stop,
    "resume": unsolicited.resume,
    "cancel": unsolicited.cancel,
}
_CHANGES = {"qty", "limit_price", "stop_price"}
_CORRECTIONS = {"qty", "price"}


def _act(asked: Asked) -> Answer:
    body, engine = asked.body, asked.engine
    word = body.get("do")
    check_fields(body, {"account", "order", "do"} | (_CHANGES if word == RESTATE else set()))
    order = order_of(account_of(engine, body), body)
    if word == RESTATE:
        unsolicited.restate(engine, order, read_replacement({name: body[name] for name in _CHANGES & set(body)}))
    elif isinstance(word, str) and word in ACTS:
        ACTS[word](engine, order)
    else:
        raise invalid(f"do is one of {', '.join((*ACTS, RESTATE))}")
    return 200, encode(order_json(order))


def _amend(asked: Asked) -> Answer:
    body, engine = asked.body, asked.engine
    word, name = body.get("do"), str(body.get("execution"))
    check_fields(body, {"account", "execution", "do"} | (_CORRECTIONS if word == "correct" else set()))
    account = account_of(engine, body)
    if word == "bust":
        made = amending.bust(engine, account, name)
    elif word == "correct":
        qty = positive(body, "qty") if "qty" in body else None
        made = amending.correct(
            engine, account, name, qty, price_units("price", body["price"]) if "price" in body else None
        )
    else:
        raise invalid("do is one of bust, correct")
    return 200, encode(execution_json(made))


def order_of(account: Account, body: dict[str, Any]) -> Order:
    """Return the order with either of its ids; raise a 404 Refusal if there is none."""
    name = str(body.get("order"))
    order = account.orders.get(name.lower()) or account.by_client_id.get(name)
    if order is None:
        raise not_found(f"order not found for {name[:128]}")
    return order


ENTRIES = (
    Entry("POST", ORDERS, _act),
    Entry("POST", EXECUTIONS, _amend),
)
