"""Act as the staff of a plain venue: change funding rates, orders that nobody asked to change, and executions."""

from __future__ import annotations

from papervenue.commands.command import Answer, Asked, Entry
from papervenue.commands.control import account_of, check_fields
from papervenue.commands.venue import ACTS, EXECUTIONS, ORDERS, order_of
from papervenue.engine.engine_state import order_fields
from papervenue.jsontext import encode, plain, to_decimal
from papervenue.margined import funding, trade_corrections
from papervenue.refusal import invalid, not_found

FUNDING = "/exchange/v1/funding"


def _set_funding(asked: Asked) -> Answer:
    body, engine = asked.body, asked.engine
    check_fields(body, {"symbol", "rate"})
    symbol, rate = str(body.get("symbol")), to_decimal(body.get("rate"))
    if symbol not in engine.market.known:
        raise not_found(f"there is no instrument {symbol[:40]!r}")
    if rate is None:
        raise invalid("rate is what a long position pays for each unit and hour")
    funding.set_rate(engine, symbol, rate)
    return 200, encode({"symbol": symbol, "rate": plain(rate)})


def _act(asked: Asked) -> Answer:
    body, engine = asked.body, asked.engine
    check_fields(body, {"account", "order", "do"})
    order, act = order_of(account_of(engine, body), body), ACTS.get(str(body.get("do")))
    if act is None:
        raise invalid(f"do is one of {', '.join(ACTS)}")
    act(engine, order)
    return 200, encode(order_fields(order, engine.market.grids))


def _correct(asked: Asked) -> Answer:
    body, engine = asked.body, asked.engine
    check_fields(body, {"account", "execution", "price"})
    account, name, price = account_of(engine, body), str(body.get("execution")), to_decimal(body.get("price"))
    symbol = trade_corrections.symbol_of(account, name)
    units = None if price is None else engine.market.grids[symbol].of(price)
    if units is None:
        raise invalid("price is on a tick")
    made = trade_corrections.correct(engine, account, name, units)
    return 200, encode({"execution": made.id, "symbol": symbol})


CORRECTIONS = (Entry("POST", EXECUTIONS, _correct),)
"""What the staff of a venue may do besides that corrects executions."""
ENTRIES = (
    Entry("POST", FUNDING, _set_funding),
    Entry("POST", ORDERS, _act),
)
