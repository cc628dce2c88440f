"""Handle the venue operator's commands: change orders without a client's request, and bust or correct executions.

At a plain venue, the operator also changes funding rates.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from papervenue.commands.command import Answer, CommandArguments, Entry
from papervenue.commands.control import account_of, check_fields, positive
from papervenue.engine import unsolicited
from papervenue.engine.account import Account
from papervenue.engine.engine import Engine
from papervenue.engine.engine_state import order_fields
from papervenue.engine.orders import Order
from papervenue.faces.trading_json import execution_json, order_json
from papervenue.jsontext import encode, plain, to_decimal
from papervenue.margined import accounts
from papervenue.refusal import invalid, not_found
from papervenue.shares import amending
from papervenue.shares.order_parsing import price_units, read_replacement

ORDERS, EXECUTIONS = "/exchange/v1/orders", "/exchange/v1/executions"

RESTATE = "restate"

ACTS: Mapping[str, Callable[[Engine, Order], None]] = {
    "suspend": unsolicited.suspend_order,
    "stop": unsolicited.stop,
    "resume": unsolicited.resume_order,
    "cancel": unsolicited.cancel,
}

_CHANGES = {"qty", "limit_price", "stop_price"}

_CORRECTIONS = {"qty", "price"}


def _act(command: CommandArguments) -> Answer:
    body, engine = command.body, command.engine
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


def _amend(command: CommandArguments) -> Answer:
    body, engine = command.body, command.engine
    word, name = body.get("do"), str(body.get("execution"))
    check_fields(body, {"account", "execution", "do"} | (_CORRECTIONS if word == "correct" else set()))
    account = account_of(engine, body)
    if word == "bust":
        settled = amending.bust(engine, account, name)
    elif word == "correct":
        qty = positive(body, "qty") if "qty" in body else None
        settled = amending.correct(
            engine, account, name, qty, price_units("price", body["price"]) if "price" in body else None
        )
    else:
        raise invalid("do is one of bust, correct")
    return 200, encode(execution_json(settled))


def order_of(account: Account, body: dict[str, Any]) -> Order:
    """Return the order named by either of its ids; raise a 404 Refusal if there is none."""
    name = str(body.get("order"))
    order = account.orders.get(name.lower()) or account.by_client_id.get(name)
    if order is None:
        raise not_found(f"order not found for {name[:128]}")
    return order


ENTRIES = (
    Entry("POST", ORDERS, _act),
    Entry("POST", EXECUTIONS, _amend),
)


FUNDING = "/exchange/v1/funding"


def _set_funding(command: CommandArguments) -> Answer:
    body, engine = command.body, command.engine
    check_fields(body, {"symbol", "rate"})
    symbol, rate = str(body.get("symbol")), to_decimal(body.get("rate"))
    if symbol not in engine.market.known:
        raise not_found(f"there is no instrument {symbol[:40]!r}")
    if rate is None:
        raise invalid("rate is what a long position pays for each unit and hour")
    accounts.set_rate(engine, symbol, rate)
    return 200, encode({"symbol": symbol, "rate": plain(rate)})


def _act_at_plain_venue(command: CommandArguments) -> Answer:
    body, engine = command.body, command.engine
    check_fields(body, {"account", "order", "do"})
    order, act = order_of(account_of(engine, body), body), ACTS.get(str(body.get("do")))
    if act is None:
        raise invalid(f"do is one of {', '.join(ACTS)}")
    act(engine, order)
    return 200, encode(order_fields(order, engine.market.grids))


def _correct(command: CommandArguments) -> Answer:
    body, engine = command.body, command.engine
    check_fields(body, {"account", "execution", "price"})
    account, name, price = account_of(engine, body), str(body.get("execution")), to_decimal(body.get("price"))
    symbol = accounts.symbol_of_execution(account, name)
    units = None if price is None else engine.market.grids[symbol].of(price)
    if units is None:
        raise invalid("price is on a tick")
    settled = accounts.correct_execution(engine, account, name, units)
    return 200, encode({"execution": settled.id, "symbol": symbol})


CORRECTIONS = (Entry("POST", EXECUTIONS, _correct),)

"""The command with which a venue's operator corrects an execution, where the venue's rules allow corrections."""

PLAIN_ENTRIES = (
    Entry("POST", FUNDING, _set_funding),
    Entry("POST", ORDERS, _act_at_plain_venue),
)
