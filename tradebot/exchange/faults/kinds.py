"""Requests by kind, as a script names them, and the facts of one that a rule may ask about."""

from __future__ import annotations

import re
from fnmatch import fnmatchcase
from typing import NamedTuple

KINDS = {
    "submit": r"POST /v2/orders",
    "replace": r"PATCH /v2/orders/[^/]+",
    "cancel": r"DELETE /v2/orders/[^/]+",
    "cancel_all": r"DELETE /v2/orders",
    "close": r"DELETE /v2/positions/[^/]+",
    "close_all": r"DELETE /v2/positions",
    "order": r"GET /v2/orders(/[^/]+|:by_client_order_id)",
    "orders": r"GET /v2/orders",
    "account": r"GET /v2/account",
    "positions": r"GET /v2/positions(/[^/]+)?",
    "activities": r"GET /v2/account/activities(/[^/]+)?",
    "clock": r"GET /v[23]/clock",
    "calendar": r"GET /v[23]/calendar(/[^/]+)?",
    "assets": r"GET /v2/assets(/[^/]+)?",
    "quotes": r"GET /v2/stocks/([^/]+/)?quotes(/latest)?",
    "trades": r"GET /v2/stocks/([^/]+/)?trades(/latest)?",
    "bars": r"GET /v2/stocks/([^/]+/)?bars(/latest)?",
    "snapshots": r"GET /v2/stocks/([^/]+/)?snapshots?",
    "any trading": r"\w+ /v[123]/(?!stocks/|corporate-actions|\w+/meta).*",
    "any data": r"GET /(v2/stocks/|v1/corporate-actions|v1beta\d/).*",
    "any flow": r"GET /api/.*",
    "any read": r"GET /(v\d|api).*",
    "any change": r"(POST|PATCH|PUT|DELETE) /v\d.*",
    "any": r"\w+ /(v\d|api).*",
}
"""Kinds by name. The exchange's own control and its page belong to none: a script can always be cleared."""
QUOTED = ("quotes", "snapshots")
"""Kinds whose answers show quotes."""
CHANGES = ("submit", "replace", "cancel", "cancel_all", "close", "close_all")
STREAMS = ("trade_updates", "market_data")

_STREAMED = ("/v2/events/", "/v2beta1/events/")
"""Paths of answers without an end: rules change the events that they tell, and not the answers."""
_PATTERN = re.compile(r"(GET|HEAD|POST|PUT|PATCH|DELETE|\*) /[!-~]*")
_COMPILED = {name: re.compile(pattern, re.DOTALL) for name, pattern in KINDS.items()}
_WILDCARD = re.compile(r"[*?\[]")
_ROOTS = ("/api", *(f"/v{digit}" for digit in range(10)))
_GROUPS = {"any change": CHANGES}


class Facts(NamedTuple):
    """What a rule may ask about a request, or about an event of a stream, whose `target` is the stream's name."""

    target: str
    symbols: tuple[str, ...] = ()
    side: str = ""
    client_order_id: str = ""
    account: tuple[str, ...] = ()
    event: str = ""


def is_pattern(text: str) -> bool:
    """Say whether a text is a method and a path, with wildcards or without."""
    return _PATTERN.fullmatch(text) is not None


def is_of_kind(target: str, kind: str) -> bool:
    """Say whether a request, as `METHOD /path`, is of a named kind or fits a pattern."""
    compiled = _COMPILED.get(kind)
    if compiled is not None:
        return compiled.fullmatch(target) is not None
    return _COMPILED["any"].fullmatch(target) is not None and fnmatchcase(target, kind)


def is_change(target: str) -> bool:
    """Say whether a target is a request that may change something: neither a read nor an event of a stream."""
    return target not in STREAMS and not target.startswith(("GET ", "HEAD "))


def kind_of(target: str) -> str:
    """Return the narrowest named kind of a request, empty for one that no rule may touch."""
    if target.partition(" ")[2].startswith(_STREAMED):
        return ""
    return next((name for name, pattern in _COMPILED.items() if pattern.fullmatch(target)), "")


def is_in_reach(pattern: str) -> bool:
    """Say whether a pattern can meet any request at all: the exchange's own control is out of every rule's reach.

    So are the requests for event streams.
    """
    path = pattern.partition(" ")[2]
    if path.startswith(_STREAMED):
        return False
    literal = _WILDCARD.split(path, maxsplit=1)[0]
    begun = len(literal) < len(path)
    return any(literal.startswith(root) or (begun and root.startswith(literal)) for root in _ROOTS)


def can_meet(kind: str, goes_with: tuple[str, ...]) -> bool:
    """Say whether requests of a kind can be among those that a fault goes with; a pattern with wildcards may."""
    if not goes_with or kind in goes_with:
        return True
    if kind not in KINDS:
        return _WILDCARD.search(kind) is not None or any(is_of_kind(kind, one) for one in goes_with)
    return kind.startswith("any") and (kind not in _GROUPS or bool(set(_GROUPS[kind]) & set(goes_with)))
