"""Serve the web page at / and the JSON it shows; the page loads nothing from elsewhere."""

from __future__ import annotations

import base64
import hashlib
import re
from collections.abc import Mapping
from importlib.resources import files

from tradebot.exchange.exchange import Exchange
from tradebot.exchange.faces.guard import PAGE_DATA
from tradebot.exchange.faces.web import Reply, Route, ok, route
from tradebot.exchange.page.document import document
from tradebot.exchange.page.recent import Recent


class PageFace:
    def __init__(self, exchange: Exchange) -> None:
        self._exchange = exchange
        self._recent = Recent(exchange.log)
        html = files("tradebot.exchange.page").joinpath("page.html").read_text(encoding="utf-8")
        self._page = Reply(200, html.encode(), _headers(html))

    def routes(self) -> list[Route]:
        exchange, recent = self._exchange, self._recent
        shown = route(PAGE_DATA, GET=lambda call: ok(document(exchange, recent)))
        return [route("/", GET=lambda call: self._page), shown]


def _headers(html: str) -> Mapping[str, str]:
    """Return headers that allow only the page's own style and script, identified by their hashes."""
    policy = {
        "default-src": "'none'",
        "script-src": _hashed(html, "script"),
        "style-src": _hashed(html, "style"),
        "img-src": "data:",
        "connect-src": "'self'",
        "base-uri": "'none'",
        "form-action": "'none'",
        "frame-ancestors": "'none'",
    }
    return {
        "content-type": "text/html; charset=utf-8",
        "content-security-policy": "; ".join(f"{name} {value}" for name, value in policy.items()),
        "cross-origin-resource-policy": "same-origin",
        "referrer-policy": "no-referrer",
        "x-content-type-options": "nosniff",
        "cache-control": "no-cache",
    }


def _hashed(html: str, element: str) -> str:
    match = re.search(rf"<{element}>(.*?)</{element}>", html, re.DOTALL)
    assert match is not None
    return f"'sha256-{base64.b64encode(hashlib.sha256(match[1].encode()).digest()).decode()}'"
