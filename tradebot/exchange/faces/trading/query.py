"""What the trading API's query parameters mean, and how a bad one is refused."""

from __future__ import annotations

import re
from datetime import date
from urllib.parse import parse_qsl

from tradebot.exchange.faces.web import Call
from tradebot.exchange.params import Params
from tradebot.exchange.refusal import invalid

ASSET_CLASSES = (
    *("us_equity", "us_option", "crypto", "crypto_perp", "treasury", "corporate"),
    *("global_equity", "us_index", "us_equity_chain", "ipo", "all"),
)
_LISTS = frozenset({"symbols", "asset_class", "attributes", "activity_types", "ca_types", "markets", "cashflow_types"})
_UUID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", re.IGNORECASE)


def params(call: Call) -> Params:
    """Return a request's parameters; a list may come with commas or as a repeated parameter, else the last counts."""
    found: dict[str, str] = {}
    for name, value in parse_qsl(call.raw_query, keep_blank_values=True):
        found[name] = f"{found[name]},{value}" if name in _LISTS and name in found else value
    return Params(found, lambda name: invalid(f"invalid {name}"))


def day(query: Params, name: str) -> str | None:
    """Return the ISO date that a date or the beginning of a time names; None when absent."""
    text = query.text(name)
    if not text:
        return None
    try:
        return date.fromisoformat(text[:10]).isoformat()
    except ValueError as error:
        raise invalid(f"invalid {name}") from error


def uuid(text: str, what: str) -> str:
    """Return an id in lower case; raises a 422 Refusal when it is none."""
    if not _UUID.fullmatch(text):
        raise invalid(f"{what} is not a valid uuid")
    return text.lower()


def only_us_equities(query: Params) -> bool:
    """Say whether the asset classes asked for, if any, include the one that is traded here."""
    asked = query.words("asset_class")
    if any(name not in ASSET_CLASSES for name in asked):
        raise invalid("invalid asset_class")
    return not asked or "us_equity" in asked or "all" in asked
