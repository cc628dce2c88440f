"""Admit only browsers that logged in with the token, and only from this server's pages under a known host name."""

import re
import secrets
import time
from collections import OrderedDict, deque
from collections.abc import Callable, Collection, Mapping
from hashlib import sha256
from hmac import compare_digest
from http import HTTPStatus
from ipaddress import IPv4Address, IPv6Address, IPv6Network, ip_address
from typing import Any
from urllib.parse import quote

from msgspec import Struct
from starlette.datastructures import Headers, MutableHeaders
from starlette.requests import cookie_parser
from starlette.responses import JSONResponse, PlainTextResponse, RedirectResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from commands.shared.hints import with_bot_options
from tradebot.adapters.text.redaction import hide_keys
from tradebot.errors import OperatorError, TradebotError, one_line

API = "/api/"
"""The prefix of paths for programs."""


class Json(JSONResponse):
    """A JSON response in which secrets are masked, as in every verb's output."""

    def render(self, content: Any) -> bytes:
        """Return the bytes to send."""
        return hide_keys(bytes(super().render(content)).decode()).encode()


def error_answer(error: TradebotError) -> Mapping[str, str]:
    """Return the JSON that is sent in place of a response that failed."""
    return {"error": error.message, "next": with_bot_options(error.hint)}


MOST_SESSIONS, SESSION_S = 20, 12 * 3600
"""How many browsers may be logged in at once, and how long after their last request, in seconds."""
MOST_WRONG, WRONG_S = 5, 60.0
"""How many wrong tokens are checked within how many seconds; then that address has to wait."""
MOST_ADDRESSES = 1_000
"""For how many addresses wrong tokens are counted; all addresses of this machine count as one."""
LOOKS = frozenset({"GET", "HEAD"})
LOGIN, STATIC = "/login", "/static/"
"""Paths without login."""
LONGEST_BODY = 10_000
"""How many bytes of a form are read."""
LIVE = "/live"
"""The path that the page's script polls; like programs, it gets an error instead of the login page."""
OF_A_BOT = re.compile(r"/bot/[A-Za-z0-9_.-]+(?=/)")
"""How the paths of one of several bots begin."""
HEADERS: Mapping[str, str] = {
    "Content-Security-Policy": "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; "
    "connect-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
}
NOT_KEPT = "no-store"


class BrowserSession(Struct):
    """A logged-in browser: the CSRF token of its forms, and its last request by the monotonic clock."""

    csrf: str
    seen_s: float


class TooManyLoginsError(OperatorError):
    """Too many wrong tokens came from one address recently; logins from it are blocked for `wait_s` seconds."""

    def __init__(self, wait_s: int) -> None:
        super().__init__("too many wrong tokens", f"wait {wait_s} seconds, then try again")
        self.wait_s = wait_s


class Logins:
    """The logged-in sessions. They are stored in memory only, and end with the server."""

    def __init__(self, fits: Callable[[str], bool], clock: Callable[[], float] = time.monotonic) -> None:
        self._fits, self._clock = fits, clock
        self._sessions: OrderedDict[str, BrowserSession] = OrderedDict()
        self._wrong: OrderedDict[tuple[str, str], deque[float]] = OrderedDict()

    def log_in(self, token: str, address: str) -> str | None:
        """Return a new session's cookie, or None if the token is wrong.

        Raises TooManyLoginsError after too many wrong tokens.
        """
        if not self._is_right(token, address, "form"):
            return None
        cookie = secrets.token_urlsafe(32)
        self._sessions[_digest(cookie)] = BrowserSession(secrets.token_urlsafe(32), self._clock())
        while len(self._sessions) > MOST_SESSIONS:
            self._sessions.popitem(last=False)
        return cookie

    def require_token(self, token: str, address: str) -> None:
        """Raise OperatorError if the token that a logged-in person typed is wrong.

        Raises TooManyLoginsError after too many wrong tokens.
        """
        if not self._is_right(token, address, "form"):
            raise OperatorError(
                "the token is wrong, so nothing was sent", "load the form's page again, and type the right token"
            )

    def _is_right(self, token: str, address: str, typed: str) -> bool:
        # A program that keeps using an old token must not lock out its owner.
        now, client = self._clock(), (typed, _client_network(address))
        wrong = self._wrong.get(client, deque(maxlen=MOST_WRONG))
        if len(wrong) == MOST_WRONG and now - wrong[0] < WRONG_S:
            raise TooManyLoginsError(int(WRONG_S - (now - wrong[0])) + 1)
        if self._fits(token):
            return True
        wrong.append(now)
        self._wrong[client] = wrong
        self._wrong.move_to_end(client)
        while len(self._wrong) > MOST_ADDRESSES:
            self._wrong.popitem(last=False)
        return False

    def session(self, cookie: str) -> BrowserSession | None:
        """Return the session with this cookie, and record its use; None if the session is unknown or over."""
        name, now = _digest(cookie), self._clock()
        browser_session = self._sessions.get(name)
        if browser_session is None:
            return None
        if now - browser_session.seen_s > SESSION_S:
            del self._sessions[name]
            return None
        browser_session.seen_s = now
        self._sessions.move_to_end(name)
        return browser_session

    def log_out(self, cookie: str) -> None:
        """End a session."""
        self._sessions.pop(_digest(cookie), None)

    def has_token(self, authorization: str, address: str) -> bool:
        """Return True if a program's header has the token; raise TooManyLoginsError after too many wrong ones."""
        scheme, _, token = authorization.partition(" ")
        return scheme.lower() == "bearer" and self._is_right(token.strip(), address, "header")


class Guard:
    """Checks each request before it is handled, and adds headers to each response.

    `hosts` are the server's known names with ports. A page under any other name could belong to anybody.
    """

    def __init__(self, app: ASGIApp, logins: Logins, hosts: Collection[str], scheme: str, cookie: str) -> None:
        self._app, self._logins, self._hosts, self._cookie = app, logins, frozenset(hosts), cookie
        self._origins = {f"{scheme}://{host}" for host in hosts}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request, or refuse it after reading only its headers."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return

        async def with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(raw=message["headers"])
                for name, value in HEADERS.items():
                    headers.setdefault(name, value)
                headers.setdefault("Cache-Control", NOT_KEPT)
                message["headers"] = headers.raw
            await send(message)

        refusal = self._refusal(scope, Headers(scope=scope))
        await (refusal or self._app)(scope, receive, with_headers)

    def _refusal(self, scope: Scope, headers: Headers) -> Response | None:
        path, method = scope["path"], scope["method"]
        if headers.get("host", "").lower() not in self._hosts:
            return _refusal_response(
                path, OperatorError("this server doesn't answer to that host name", "tradebot web --help"), 421
            )
        if method not in LOOKS and headers.get("origin", "").lower() not in self._origins:
            return _refusal_response(
                path, OperatorError("this request came from another server's page", "load the page again"), 403
            )
        if method not in LOOKS and (long := _too_long(path, headers)) is not None:
            return long
        if path == LOGIN or path.startswith(STATIC):
            return None
        session_cookie = held_by(headers, self._cookie)
        scope["session"] = session = self._logins.session(session_cookie) if session_cookie else None
        return None if session else self._without_session(scope, headers)

    def _without_session(self, scope: Scope, headers: Headers) -> Response | None:
        path, looks = own_path(scope["path"]), scope["method"] in LOOKS
        try:
            if (
                path.startswith(API)
                and looks
                and self._logins.has_token(headers.get("authorization", ""), client_address(scope))
            ):
                return None
        except TooManyLoginsError as error:
            return _refusal_response(path, error, 429, {"Retry-After": str(error.wait_s)})
        if path.startswith((API, LIVE)) or not looks:
            wrong = OperatorError(
                "you aren't logged in", "log in first, or give the token: Authorization: Bearer TOKEN"
            )
            return _refusal_response(path, wrong, 401, {"WWW-Authenticate": "Bearer"})
        query = scope["query_string"].decode("latin-1")
        to = quote(scope["path"])
        return RedirectResponse(f"{LOGIN}?to={quote(f'{to}?{query}' if query else to, safe='')}", 303)


def own_path(path: str) -> str:
    """Return a path without the prefix that names one of several bots."""
    return OF_A_BOT.sub("", path, count=1) if path.startswith("/bot/") else path


def client_address(scope: Scope) -> str:
    """Return a request's client address; empty if it is unknown."""
    return str(scope["client"][0]) if scope.get("client") else ""


def _refusal_response(path: str, why: OperatorError, status: int, headers: Mapping[str, str] | None = None) -> Response:
    """Return an error response, for programs as JSON."""
    if own_path(path).startswith(API):
        return Json(error_answer(why), status, headers)
    return PlainTextResponse(one_line(why), status, headers)


def _too_long(path: str, headers: Headers) -> Response | None:
    """Refuse requests longer than any of our forms, by their headers, because the server reads only that length."""
    length, step = (
        headers.get("content-length", ""),
        f"send {LONGEST_BODY:,} bytes at most, with a Content-Length header",
    )
    if not length.isdecimal():
        return _refusal_response(
            path, OperatorError("the request doesn't state its length", step), HTTPStatus.LENGTH_REQUIRED
        )
    if len(length) > len(str(LONGEST_BODY)) or int(length) > LONGEST_BODY:
        return _refusal_response(
            path, OperatorError("the request is too long", step), HTTPStatus.REQUEST_ENTITY_TOO_LARGE
        )
    return None


def held_by(headers: Headers, cookie: str) -> str | None:
    """Return a browser's session cookie; None if it sent none, or one that can't be read."""
    # Other servers on this machine share the cookies, and the standard library stops at an unreadable one.
    return cookie_parser(headers.get("cookie", "")).get(cookie)


def came_from_form(session: BrowserSession | None, csrf: str) -> bool:
    """Return True if a form came from one of this session's own pages."""
    return session is not None and compare_digest(session.csrf.encode(), csrf.encode(errors="surrogatepass"))


def local_path(path: str) -> str:
    """Return this path if it is safe to redirect to, because it belongs to this server; otherwise the first page."""
    return path if path.startswith("/") and not path.startswith(("//", "/\\")) and path.isprintable() else "/"


def _digest(text: str) -> str:
    return sha256(text.encode(errors="surrogatepass")).hexdigest()


def _client_network(address: str) -> str:
    """Return the name under which wrong tokens from an address are counted; empty for this machine and if unknown."""
    try:
        client = ip_address(address)
    except ValueError:
        return ""
    if isinstance(client, IPv6Address):
        # A server that also listens for IPv6 sees an IPv4 client's address in this form.
        client = client.ipv4_mapped or client
    if client.is_loopback:
        return ""
    # A computer with IPv6 usually has a whole /64 network of addresses.
    return str(client if isinstance(client, IPv4Address) else IPv6Network((int(client), 64), strict=False))
