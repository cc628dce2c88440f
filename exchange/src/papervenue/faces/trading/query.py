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
    """Return a request's parameters. Lists may be separated by commas or repeated; otherwise the last value counts."""
    values: dict[str, str] = {}
    for name, value in parse_qsl(call.raw_query, keep_blank_values=True):
        values[name] = f"{values[name]},{value}" if name in _LISTS and name in values else value
    return Params(values, lambda name: invalid(f"invalid {name}"))


def day(query: Params, name: str) -> str | None:
    """Return the ISO date of a date or time in the query; None if it is absent."""
    return query.read(name, lambda text: iso_date(text[:10]))


def uuid(text: str, what: str) -> str:
    """Return an id in lower case; raise a 422 Refusal if it isn't valid."""
    if not _UUID.fullmatch(text):
        raise invalid(f"{what} is not a valid uuid")
    return text.lower()


def only_us_equities(query: Params) -> bool:
    """Return True if US equities, the only class traded here, are among the requested asset classes.

    If the query names no class, all are requested.
    """
    classes = query.words("asset_class")
    if any(name not in ASSET_CLASSES for name in classes):
        raise invalid("invalid asset_class")
    return not classes or "us_equity" in classes or "all" in classes
