"""Read the trading API's query parameters, and refuse invalid ones."""

from __future__ import annotations

import re
from urllib.parse import parse_qsl

from papervenue.faces.web import Call
from papervenue.params import Params
from papervenue.refusal import invalid
from papervenue.times import iso_date

ASSET_CLASSES = (
    *("us_equity", "us_option", "crypto", "crypto_perp", "treasury", "corporate"),
    *("global_equity", "us_index", "us_equity_chain", "ipo", "all"),
)
_LISTS = frozenset({"symbols", "asset_class", "attributes", "activity_types", "ca_types", "markets", "cashflow_types"})
_UUID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", re.IGNORECASE)


def params(call: Call) -> Params:
    """Return a request's parameters; lists may use commas or repetition, otherwise the last value counts."""
    values: dict[str, str] = {}
    for name, value in parse_qsl(call.raw_query, keep_blank_values=True):
        values[name] = f"{values[name]},{value}" if name in _LISTS and name in values else value
    return Params(values, lambda name: invalid(f"invalid {name}"))


def day(query: Params, name: str) -> str | None:
    """Return the ISO date of a date or time; None if absent."""
    return query.read(name, lambda text: iso_date(text[:10]))


def uuid(text: str, what: str) -> str:
    """Return an id in lower case; raise a 422 Refusal if it isn't valid."""
    if not _UUID.fullmatch(text):
        raise invalid(f"{what} is not a valid uuid")
    return text.lower()


def only_us_equities(query: Params) -> bool:
    """Return True if the requested asset classes, if any, include the one that is traded here."""
    classes = query.words("asset_class")
    if any(name not in ASSET_CLASSES for name in classes):
        raise invalid("invalid asset_class")
    return not classes or "us_equity" in classes or "all" in classes
