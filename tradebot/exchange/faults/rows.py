"""Falsify lists of orders and positions: drop rows, flip sides, change market values, or vary every reading."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import datetime, timedelta
from decimal import Decimal
from fnmatch import fnmatchcase
from typing import Any

from tradebot.exchange.times import nanoseconds

_STATUSES = ("new", "accepted", "pending_replace")
_CENT = Decimal("0.01")
_OTHER_SIDE = {"long": "short", "short": "long"}
_SIGNED = ("qty", "qty_available", "market_value", "cost_basis")

Row = dict[str, Any]


def left_out(value: Any, settings: Mapping[str, Any], number: int) -> Any:
    """Return a list without the rows that a rule selects; leave an answer that isn't a list as it is."""
    return [row for row in value if not _matches(row, settings)] if isinstance(value, list) else value


def turned(value: Any, settings: Mapping[str, Any], number: int) -> Any:
    return _each(value, settings, _turned)


def _turned(row: Row) -> Row:
    # Another rule may have removed a field or changed its value.
    signed = {name: str(-Decimal(row[name])) for name in _SIGNED if name in row}
    return row | signed | {"side": _OTHER_SIDE.get(str(row.get("side")), "short")}


def misvalued(value: Any, settings: Mapping[str, Any], number: int) -> Any:
    return _each(value, settings, lambda row: row | {"market_value": str(settings["value"])})


def restless(value: Any, settings: Mapping[str, Any], number: int) -> Any:
    """Return orders with one field that varies with the number of the reading, so that no two readings agree."""
    return _each(
        value,
        settings,
        lambda row: row | {settings["value"]: _moved(row.get(settings["value"]), settings["value"], number)},
    )


def _moved(old: str | None, field: str, number: int) -> str | None:
    if not old:
        return old
    if field == "status":
        return _STATUSES[number % len(_STATUSES)]
    if field == "updated_at":
        return nanoseconds(datetime.fromisoformat(old) + timedelta(milliseconds=number))
    return str(Decimal(old) + number * (_CENT if field == "limit_price" else 1))


def _each(value: Any, settings: Mapping[str, Any], change: Callable[[Row], Row]) -> Any:
    if isinstance(value, list):
        return [_each(row, settings, change) for row in value]
    return change(value) if _matches(value, settings) else value


def _matches(row: Row, settings: Mapping[str, Any]) -> bool:
    fields = [field for field in ("symbol", "client_order_id") if field in settings]
    return all(fnmatchcase(str(row.get(field, "")), settings[field]) for field in fields)
