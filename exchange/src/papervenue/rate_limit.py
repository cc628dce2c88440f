"""Count requests per minute and key, separately for trading and market data, as Alpaca does.

Every response says how many requests are left. Without a configured limit, that number stops at zero and nothing is
refused. Minutes are in real time, because in lock-step engine time stands still while clients run at normal speed.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import NamedTuple

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from papervenue.faces.guard import credentials_of
from papervenue.faces.web import Reply, headers_of, send_reply
from papervenue.jsontext import encode

MINUTE_S = 60
ALPACA_LIMIT = 200
"""Requests per minute that Alpaca grants a key."""
_DATA = ("/v2/stocks", "/v1/corporate-actions", "/v1beta")
_TRADING = ("/v1/", "/v2/", "/v2beta1/", "/v3/")
_TOO_MANY = {
    "trading": encode({"code": 42910000, "message": "rate limit exceeded"}),
    "data": encode({"message": "too many requests."}),
}


class RateWindow(NamedTuple):
    """A key's current minute: when it ends, and how many requests were made in it."""

    ends_s: int
    requests: int


class RateLimit:
    """Counts requests with a known key, and refuses those over the limit; `is_known` says whether a key is known.

    If no limit is set, requests are counted against Alpaca's limit, but none is refused.
    """

    def __init__(
        self,
        application: ASGIApp,
        limit: int | None,
        is_known: Callable[[str], bool],
        now_s: Callable[[], float] = time.time,
    ) -> None:
        self._application = application
        self._limit = ALPACA_LIMIT if limit is None else limit
        self._enforced = limit is not None
        self._known = is_known
        self._now_s = now_s
        self._windows: dict[tuple[str, str], RateWindow] = {}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        kind = kind_of(scope["path"]) if scope["type"] == "http" else None
        credentials = credentials_of(headers_of(scope)) if kind else None
        if kind is None or credentials is None or not self._known(credentials.key_id):
            await self._application(scope, receive, send)
            return
        window = self._count_request(credentials.key_id, kind)
        headers = self._headers(window)

        async def send_with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                message = {**message, "headers": [*message.get("headers", ()), *headers]}
            await send(message)

        if self._enforced and window.requests > self._limit:
            await send_reply(send_with_headers, Reply(429, _TOO_MANY[kind]))
        else:
            await self._application(scope, receive, send_with_headers)

    def _count_request(self, key_id: str, kind: str) -> RateWindow:
        now_s = self._now_s()
        window = self._windows.get((key_id, kind))
        # Start a new minute even if the machine's clock was set back.
        if window is None or not window.ends_s - MINUTE_S - 1 <= now_s < window.ends_s:
            window = RateWindow(int(now_s) + MINUTE_S, 0)
        window = self._windows[key_id, kind] = window._replace(requests=window.requests + 1)
        return window

    def _headers(self, window: RateWindow) -> list[tuple[bytes, bytes]]:
        numbers = {
            b"x-ratelimit-limit": self._limit,
            b"x-ratelimit-remaining": max(self._limit - window.requests, 0),
            b"x-ratelimit-reset": window.ends_s,
        }
        return [(name, str(number).encode()) for name, number in numbers.items()]


def kind_of(path: str) -> str | None:
    """Return whether a path belongs to trading or market data; None if it isn't one of Alpaca's."""
    if path.startswith(_DATA):
        return "data"
    return "trading" if path.startswith(_TRADING) else None
