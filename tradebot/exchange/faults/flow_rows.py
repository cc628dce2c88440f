"""Falsify rows of flow: another ticker, twice the same row, or a field that is null, new or of another type.

Each function takes the JSON of an answer and leaves one without rows as it is.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from decimal import Decimal
from typing import Any

_TICKERS = ("ticker", "underlying_symbol", "symbol")
_CONTRACTS = ("option_chain", "option_symbol")
_AFTER_ROOT = len("250321C00240000")
_ADDED = "unheard of"

Row = dict[str, Any]
Settings = Mapping[str, Any]


def foreign(value: Any, settings: Settings, number: int) -> Any:
    """Return the answer with rows of another ticker; their contracts are that ticker's."""
    ticker = settings["value"]

    def renamed(row: Row) -> Row:
        contracts = {name: ticker + str(row[name])[-_AFTER_ROOT:] for name in _CONTRACTS if name in row}
        return row | {name: ticker for name in _TICKERS if name in row} | contracts

    return _each(value, settings, lambda row: [renamed(row)])


def doubled(value: Any, settings: Settings, number: int) -> Any:
    return _each(value, settings, lambda row: [row, row])


def nulled(value: Any, settings: Settings, number: int) -> Any:
    return _each(value, settings, lambda row: [row | {settings["value"]: None} if settings["value"] in row else row])


def retyped(value: Any, settings: Settings, number: int) -> Any:
    name = settings["value"]
    return _each(value, settings, lambda row: [row | {name: _other_type(row[name])} if name in row else row])


def widened(value: Any, settings: Settings, number: int) -> Any:
    return _each(value, settings, lambda row: [row | {settings["value"]: _ADDED}])


def _other_type(value: Any) -> Any:
    if isinstance(value, bool):
        return int(value)
    if isinstance(value, int | float):
        return str(value)
    try:
        return float(value)
    except (TypeError, ValueError):
        return [value]


def _each(value: Any, settings: Settings, change: Callable[[Row], list[Row]]) -> Any:
    """Return an answer whose data is changed in a share of its rows, evenly spread: the last of every few."""
    if not isinstance(value, dict) or "data" not in value:
        return value
    data, share = value["data"], Decimal(settings["share"])
    if not isinstance(data, list):
        return value | {"data": change(data)[0]} if isinstance(data, dict) and data else value
    made: list[Any] = []
    for place, row in enumerate(data):
        chosen = int((place + 1) * share) > int(place * share)
        made += change(row) if chosen and isinstance(row, dict) else [row]
    return value | {"data": made}
