"""Change an open order in place, and carry out several commands in one request."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from papervenue.commands.command import Answer, Asked, Entry
from papervenue.engine import unsolicited
from papervenue.engine.orders import Order, Replacement
from papervenue.faces.kraken import words
from papervenue.faces.kraken.orders import (
    V3,
    Params,
    canceled,
    check_time,
    named,
    parameters,
    refused,
    sent,
    units_of,
)
from papervenue.faces.kraken.words import error, iso, success
from papervenue.jsontext import to_decimal
from papervenue.refusal import Refusal

EDIT, BATCH = f"{V3}/editorder", f"{V3}/batchorder"
MOST_IN_A_BATCH = 10


def _edit(asked: Asked) -> Answer:
    params = parameters(asked.command.query, asked.command.body)
    check_time(asked.engine, params)
    return 200, success(asked.engine.now_us, editStatus=_edited(asked, params))


def _edited(asked: Asked, params: Params) -> dict[str, Any]:
    """Edit one order and return its status; raise the Refusal that holds the status of one that stays as it is."""
    engine = asked.engine
    order = named(asked.account, {**params, "order_id": params.get("orderId") or params.get("order_id", "")})
    if order is None or not order.is_open or asked.fate == "refuse":
        raise _unchanged(asked, "orderForEditNotFound")
    if params.get("stopPrice") and order.stop is None:
        raise _unchanged(asked, "orderForEditNotAStop")
    old = _shown(asked, order)
    try:
        unsolicited.restate(engine, order, _wanted(asked, order, params))
    except Refusal as refusal:
        word = words.STATUSES.get(str(refusal.body.get("code")))
        if word is None and "sendStatus" not in refusal.body:
            raise
        raise _unchanged(asked, word or refusal.body["sendStatus"]["status"]) from refusal
    event = {"type": "EDIT", "old": old, "new": _shown(asked, order), "reducedQuantity": None}
    return {"status": "edited", "orderId": order.id, "receivedTime": iso(engine.now_us), "orderEvents": [event]}


def _wanted(asked: Asked, order: Order, params: Params) -> Replacement:
    engine, grid = asked.engine, asked.engine.market.grids[order.symbol]
    size = to_decimal(params["size"]) if params.get("size") else None
    if params.get("size") and (size is None or size <= order.filled_qty):
        raise refused(engine, "invalidSize", params)
    limit, stop = (units_of(engine, grid, params, name) for name in ("limitPrice", "stopPrice"))
    return Replacement(size, limit, stop, None, None, None)


def _shown(asked: Asked, order: Order) -> dict[str, Any]:
    grid = asked.engine.market.grids[order.symbol]
    return words.trigger_event(grid, order) if words.waits(order) else words.order_event(grid, order)


def _unchanged(asked: Asked, word: str) -> Refusal:
    now = iso(asked.engine.now_us)
    status = {"status": word, "receivedTime": now, "orderEvents": []}
    return Refusal(200, {"result": "success", "editStatus": status, "serverTime": now})


def _batch(asked: Asked) -> Answer:
    """Carry out commands one after the other; each has a status of its own, whatever became of the others."""
    params = parameters(asked.command.query, asked.command.body)
    check_time(asked.engine, params)
    return 200, success(asked.engine.now_us, batchStatus=[_one(asked, one) for one in batch_of(asked, params)])


def batch_of(asked: Asked, params: Params) -> list[Mapping[str, Any]]:
    """Return the commands of a batch; raise the Refusal of one that can't be read."""
    listed = commands_in(params)
    if not listed or len(listed) > MOST_IN_A_BATCH:
        raise error(asked.engine.now_us, "invalidArgument: json")
    return listed


def commands_in(params: Params) -> list[Mapping[str, Any]]:
    """Return the commands that the JSON in a request's parameters lists, or none if it can't be read."""
    try:
        value = json.loads(params.get("json", ""), parse_float=str, parse_int=str)
    except (ValueError, RecursionError):
        return []
    listed = value.get("batchOrder") if isinstance(value, dict) else None
    return [one for one in listed if isinstance(one, dict)] if isinstance(listed, list) else []


def _one(asked: Asked, one: Mapping[str, Any]) -> dict[str, Any]:
    params = {name: str(value) for name, value in one.items() if value is not None}
    tag = {"order_tag": params["order_tag"]} if "order_tag" in params else {}
    try:
        if one.get("order") == "send":
            return {**sent(asked, params), **tag}
        if one.get("order") == "cancel":
            return {**canceled(asked, asked.account, params), **tag}
        if one.get("order") == "edit":
            return {**_edited(asked, params), **tag}
        return {"status": "invalidArgument", "orderEvents": [], **tag}
    except Refusal as refusal:
        told = refusal.body.get("sendStatus") or refusal.body.get("editStatus")
        status = told or {"status": str(refusal.body.get("error", "")).partition(":")[0], "orderEvents": []}
        return {**status, **tag}


ENTRIES = (
    Entry("POST", EDIT, _edit),
    Entry("POST", BATCH, _batch),
)
