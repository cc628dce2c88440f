"""Lists of orders and positions that are not true: rows left out, turned round, misvalued, or never twice the same."""

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


def left_out(value: Any, told: Mapping[str, Any], number: int) -> Any:
    """Return a list without the rows that a rule is about; an answer that is no list stays as it is."""
    return [row for row in value if not _is_wanted(row, told)] if isinstance(value, list) else value


def turned(value: Any, told: Mapping[str, Any], number: int) -> Any:
    """Return positions on the other side, each of the quantity that it has."""
    return _each(value, told, _turned)


def _turned(row: Row) -> Row:
    # Another rule may have taken a field out or changed its word.
    signed = {name: str(-Decimal(row[name])) for name in _SIGNED if name in row}
    return row | signed | {"side": _OTHER_SIDE.get(str(row.get("side")), "short")}


def misvalued(value: Any, told: Mapping[str, Any], number: int) -> Any:
    """Return positions at another market value."""
    return _each(value, told, lambda row: row | {"market_value": str(told["value"])})


def restless(value: Any, told: Mapping[str, Any], number: int) -> Any:
    """Return orders with one field changed by the number of the reading, so that no two readings are equal."""
    return _each(value, told, lambda row: row | {told["value"]: _moved(row.get(told["value"]), told["value"], number)})


def _moved(old: str | None, field: str, number: int) -> str | None:
    if not old:
        return old
    if field == "status":
        return _STATUSES[number % len(_STATUSES)]
    if field == "updated_at":
        return nanoseconds(datetime.fromisoformat(old) + timedelta(milliseconds=number))
    return str(Decimal(old) + number * (_CENT if field == "limit_price" else 1))


def _each(value: Any, told: Mapping[str, Any], change: Callable[[Row], Row]) -> Any:
    if isinstance(value, list):
        return [_each(row, told, change) for row in value]
    return change(value) if _is_wanted(value, told) else value


def _is_wanted(row: Row, told: Mapping[str, Any]) -> bool:
    fields = [field for field in ("symbol", "client_order_id") if field in told]
    return all(fnmatchcase(str(row.get(field, "")), told[field]) for field in fields)
