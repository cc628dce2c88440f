"""Serve the web page at /, and the JSON document behind it.

The page is one HTML document, assembled here from its markup, style and script. It loads no other resources.
"""

from __future__ import annotations

import base64
import hashlib
import re
from collections.abc import Mapping
from importlib.resources import files

from papervenue.exchange import Exchange
from papervenue.faces.guard import PAGE_DATA
from papervenue.faces.web import Call, Reply, Route, ok, route
from papervenue.page.document import Chosen, document
from papervenue.page.recent import Recent

_PRIVATE = {
    "cross-origin-resource-policy": "same-origin",
    "x-content-type-options": "nosniff",
}
"""Headers that prevent a page of another origin from embedding a response."""


class PageFace:
    """Handlers of the page; `key` authorizes the changes that its script requests."""

    def __init__(self, exchange: Exchange, key: str) -> None:
        self._exchange = exchange
        self._key = key
        self._recent = Recent(exchange.log, exchange.order_paths)
        html = page()
        self._page = Reply(200, html.encode(), _headers(html))

    def routes(self) -> list[Route]:
        return [route("/", GET=lambda call: self._page), route(PAGE_DATA, GET=self._serve_document)]

    def _serve_document(self, call: Call) -> Reply:
        query = call.query
        chosen = Chosen(query.get("account", ""), query.get("order", ""))
        shown = document(self._exchange, self._recent, chosen)
        return ok(shown | {"key": self._key})._replace(headers={**_PRIVATE, "cache-control": "no-store"})


def page() -> str:
    """Return the page's HTML, with its style and script in it."""
    html, style, script = (_text(name) for name in ("page.html", "page.css", "page.js"))
    return html.replace("<style></style>", f"<style>\n{style}</style>").replace(
        "<script></script>", f"<script>\n{script}</script>"
    )


def _text(name: str) -> str:
    return files("papervenue.page").joinpath(name).read_text(encoding="utf-8")


def _headers(html: str) -> Mapping[str, str]:
    """Return headers that allow only the page's own style and script, identified by their hashes."""
    policy = {
        "default-src": "'none'",
        "script-src": _script_hash(html, "script"),
        "style-src": _script_hash(html, "style"),
        "img-src": "data:",
        "connect-src": "'self'",
        "base-uri": "'none'",
        "form-action": "'none'",
        "frame-ancestors": "'none'",
    }
    return {
        **_PRIVATE,
        "content-type": "text/html; charset=utf-8",
        "content-security-policy": "; ".join(f"{name} {value}" for name, value in policy.items()),
        "referrer-policy": "no-referrer",
        "cache-control": "no-cache",
    }


def _script_hash(html: str, element: str) -> str:
    match = re.search(rf"<{element}>(.*?)</{element}>", html, re.DOTALL)
    assert match is not None
    return f"'sha256-{base64.b64encode(hashlib.sha256(match[1].encode()).digest()).decode()}'"
