"""Classify requests by kind, and define which facts about a request rules can match on."""

from __future__ import annotations

import re
from collections.abc import Mapping
from fnmatch import fnmatchcase
from typing import NamedTuple

from papervenue.market.sessions import Calendar
from papervenue.times import HOUR, MINUTE, SECOND, parse_time

_MILLISECOND = 1000
_UNITS = {"ms": _MILLISECOND, "s": SECOND, "m": MINUTE, "h": HOUR}
_DURATION = re.compile(r"([+-]?)(\d{1,7})(ms|s|m|h)")
_RELATIVE = re.compile(r"(open|close)(?:([+-])(\d{1,7}(?:ms|s|m|h)))?")
_ABSOLUTE = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d(:\d\d(\.\d{1,6})?)?(Z|[+-]\d\d:\d\d)")
LONGEST = 7 * 24 * HOUR

DURATIONS = "a duration such as 500ms, 5s, 2m or 1h"
MOMENTS = "open, close, open+5m, close-10m, or a time such as 2026-11-16T15:00Z"


class Moment(NamedTuple):
    """A moment of engine time, or one in each session.

    `anchor` is "open" or "close", or an empty text for engine time itself.
    """

    anchor: str
    us: int

    def engine_us(self, calendar: Calendar, now_us: int) -> int | None:
        """Return the moment in engine time. A moment in each session is today's, or None on a day without a session."""
        if not self.anchor:
            return self.us
        session = calendar.today(now_us)
        return None if session is None else (session.open_us if self.anchor == "open" else session.close_us) + self.us


def read_duration(value: object) -> int:
    """Return a duration in microseconds, possibly negative; raise ValueError if it is invalid."""
    match = _DURATION.fullmatch(value) if isinstance(value, str) else None
    if match is None:
        raise ValueError(DURATIONS)
    us = int(match[2]) * _UNITS[match[3]]
    if us > LONGEST:
        raise ValueError("a duration of at most 168h")
    return -us if match[1] == "-" else us


def read_moment(value: object) -> Moment:
    """Read a moment; raise ValueError if it is invalid."""
    text = value if isinstance(value, str) else ""
    if match := _RELATIVE.fullmatch(text):
        offset = read_duration(match[3]) if match[3] else 0
        return Moment(match[1], -offset if match[2] == "-" else offset)
    if not _ABSOLUTE.fullmatch(text):
        raise ValueError(MOMENTS)
    try:
        return Moment("", parse_time(text))
    except ValueError as error:
        raise ValueError(MOMENTS) from error


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
"""Kinds by name. They leave out the exchange's control API and page, so that a script can always be cleared."""
QUOTED = ("quotes", "snapshots")
"""Kinds whose answers contain quotes."""
CHANGES = ("submit", "replace", "cancel", "cancel_all", "close", "close_all")
STREAMS = ("trade_updates", "market_data", "flow_alerts")

_STREAMED = ("/v2/events/", "/v2beta1/events/")
"""Paths of endless answers; rules change the events in them, not the answers themselves."""
_PATTERN = re.compile(r"(GET|HEAD|POST|PUT|PATCH|DELETE|\*) /[!-~]*")
_COMPILED = {name: re.compile(pattern, re.DOTALL) for name, pattern in KINDS.items()}
_LEARNED: dict[str, dict[str, None]] = {}
"""Patterns of other faces by kind, in the order in which they were added."""
_WILDCARD = re.compile(r"[*?\[]")
_ROOTS = ("/api", "/derivatives", *(f"/v{digit}" for digit in range(10)))
_GROUPS = {"any change": CHANGES}


def learn(kinds: Mapping[str, str]) -> None:
    """Register an API's request patterns under the kinds they belong to."""
    for name, pattern in kinds.items():
        learned = _LEARNED.setdefault(name, {})
        learned[pattern] = None
        _COMPILED[name] = re.compile("|".join((KINDS[name], *learned)), re.DOTALL)


class Facts(NamedTuple):
    """The properties of a request or stream event that a rule can match on.

    For an event, `target` is the stream's name.
    """

    target: str
    symbols: tuple[str, ...] = ()
    side: str = ""
    client_order_id: str = ""
    account: tuple[str, ...] = ()
    event: str = ""


def is_pattern(text: str) -> bool:
    """Return True if a text is a method and a path, with or without wildcards."""
    return _PATTERN.fullmatch(text) is not None


def is_of_kind(target: str, kind: str) -> bool:
    """Return True if a request, written `METHOD /path`, is of a named kind or matches a pattern."""
    compiled = _COMPILED.get(kind)
    if compiled is not None:
        return compiled.fullmatch(target) is not None
    return _COMPILED["any"].fullmatch(target) is not None and fnmatchcase(target, kind)


def is_change(target: str) -> bool:
    """Return True if a target is a request that may change something, rather than a read or a stream event."""
    return target not in STREAMS and not target.startswith(("GET ", "HEAD "))


def kind_of(target: str) -> str:
    """Return the narrowest named kind of a request; empty if rules may not affect the request."""
    if target.partition(" ")[2].startswith(_STREAMED):
        return ""
    return next((name for name, pattern in _COMPILED.items() if pattern.fullmatch(target)), "")


def is_in_reach(pattern: str) -> bool:
    """Return True if a pattern can match any request that rules may touch.

    Rules can't touch the exchange's control API or the requests that open event streams.
    """
    path = pattern.partition(" ")[2]
    if path.startswith(_STREAMED):
        return False
    literal = _WILDCARD.split(path, maxsplit=1)[0]
    begun = len(literal) < len(path)
    return any(literal.startswith(root) or (begun and root.startswith(literal)) for root in _ROOTS)


def can_meet(kind: str, goes_with: tuple[str, ...]) -> bool:
    """Return True if a kind or pattern can match any of the requests that a fault applies to."""
    if not goes_with or kind in goes_with:
        return True
    if kind not in KINDS:
        return _WILDCARD.search(kind) is not None or any(is_of_kind(kind, other) for other in goes_with)
    return kind.startswith("any") and (kind not in _GROUPS or bool(set(_GROUPS[kind]) & set(goes_with)))
