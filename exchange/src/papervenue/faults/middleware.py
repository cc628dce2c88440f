"""Intercept every request while rules are armed, and apply the rules that fire.

The control API of the faults is served under /exchange/v1/faults.
"""

from __future__ import annotations

import gzip
import json
import re
from collections.abc import Awaitable, Callable, Iterable, Mapping
from typing import Any
from urllib.parse import parse_qs, parse_qsl

from starlette.requests import ClientDisconnect, Request
from starlette.types import ASGIApp, Receive, Scope, Send

from papervenue.commands.command import Command
from papervenue.engine.account import Account
from papervenue.engine.engine import Engine
from papervenue.engine.orders import Order
from papervenue.exchange import Exchange
from papervenue.faces.guard import credentials_of
from papervenue.faces.web import LONGEST_BODY, Call, Reply, Route, headers_of, ok, route
from papervenue.faults import fault_bodies, fault_table
from papervenue.faults.apply_faults import FaultedRequest, InnerApplications
from papervenue.faults.connection_faults import Connection
from papervenue.faults.fault_bodies import PendingReply
from papervenue.faults.fault_state import PATH
from papervenue.faults.kinds import Facts, is_of_kind, kind_of
from papervenue.faults.rules import RuleError, read_rules
from papervenue.jsontext import decode_object, encode
from papervenue.market.spec import MarketError
from papervenue.refusal import not_found
from papervenue.times import SECOND

_MOST_SYMBOLS = 200

_ORDER = re.compile(r"/v2/orders/([^/]+)")

_OF_ONE_ORDER = ("order", "replace", "cancel")

_CLIENT_ID, _ORDER_ID, _TO_EDIT = "cliOrdId", "order_id", "orderId"

_BY_CLIENT_ID = "/v2/orders:by_client_order_id"

_SYMBOL = re.compile(
    r"/v2/(?:positions|assets)/([^/]+)|/api/stock/([^/]+)/.+"
    r"|/v2/stocks/(?!(?:quotes|trades|bars|auctions|meta)/)([^/]+)/.+"
)


def facts_of(method: str, path: str, query: str, headers: Mapping[str, str], body: str, engine: Engine) -> Facts:
    """Return what rules can match on in a request; what can't be read is left out.

    The path is decoded in the same way as for routing.
    """
    target = f"{method} {path}"
    account = _account(headers, engine)
    owner = (account.number, account.name) if account else ()
    fields = _fields(body) or _form(query, body)
    if is_of_kind(target, "submit"):
        symbol, side, client_id = (_text(fields, name) for name in ("symbol", "side", "client_order_id"))
        client_id = client_id or _text(fields, _CLIENT_ID)
        return Facts(target, (symbol,) if symbol else (), side, client_id, owner)
    params = parse_qs(query)
    order = _order(target, params, fields, account)
    if order is not None:
        return facts_of_order(target, order, owner)
    return Facts(target, _symbols(path, params), client_order_id=params.get("client_order_id", [""])[0], account=owner)


def facts_of_order(target: str, order: Order, account: tuple[str, ...], event: str = "") -> Facts:
    side = "buy" if order.request.side > 0 else "sell"
    return Facts(target, (order.symbol,), side, order.client_order_id, account, event)


def _account(headers: Mapping[str, str], engine: Engine) -> Account | None:
    credentials = credentials_of(headers)
    key = credentials.key_id if credentials else headers.get("apikey")
    return next((account for account in engine.accounts.values() if account.key_id == key), None)


def _fields(body: str) -> Mapping[str, Any]:
    try:
        value = json.loads(body)
    except (ValueError, RecursionError):
        return {}
    return value if isinstance(value, dict) else {}


def _form(query: str, body: str) -> Mapping[str, Any]:
    """Return the fields of a form, whether it was sent as one or in the query."""
    return dict(parse_qsl(f"{query}&{body}"))


def _text(fields: Mapping[str, Any], name: str) -> str:
    value = fields.get(name)
    return value if isinstance(value, str) else ""


def _order(
    target: str, params: Mapping[str, list[str]], fields: Mapping[str, Any], account: Account | None
) -> Order | None:
    _, _, path = target.partition(" ")
    if account is None:
        return None
    if path == _BY_CLIENT_ID:
        return account.by_client_id.get(params.get("client_order_id", [""])[0])
    match = _ORDER.fullmatch(path)
    if match:
        return account.orders.get(match[1].lower())
    if not any(is_of_kind(target, kind) for kind in _OF_ONE_ORDER):
        return None
    named = account.orders.get(path.rpartition("/")[2].lower()) or account.orders.get(
        _text(fields, _ORDER_ID) or _text(fields, _TO_EDIT)
    )
    return named or account.by_client_id.get(_text(fields, _CLIENT_ID))


def _symbols(path: str, params: Mapping[str, list[str]]) -> tuple[str, ...]:
    match = _SYMBOL.fullmatch(path)
    if match:
        return (next(filter(None, match.groups())),)
    listed = ",".join(params.get("symbols", []) + params.get("ticker", []))
    return tuple(listed.split(",")[:_MOST_SYMBOLS]) if listed else ()


_DECIDING = ("answer", "order")


class FaultMiddleware:
    """ASGI middleware that applies faults. `record` writes decisions into the log."""

    def __init__(self, inner: ASGIApp, exchange: Exchange, record: Callable[[], None]) -> None:
        self._behind = InnerApplications(inner, exchange)
        self._book = exchange.faults.book
        self._catch_up = exchange.catch_up
        self._record = record

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or not self._book.on_requests or not kind_of(f"{scope['method']} {scope['path']}"):
            await self._behind.inner(scope, receive, send)
            return
        try:
            body = await _body(Request(scope, receive))
        except ClientDisconnect:
            return
        facts = self._facts(scope, body)
        firings = self._book.firings(facts, self._behind.engine.now_us)
        turn = FaultedRequest(self._behind, Connection(scope, receive, send, self._record), facts, firings, body)
        if not firings:
            await self._behind.inner(scope, turn.again, send)
            return
        deciding = next((firing for firing in firings if firing.role in _DECIDING), None)
        answering = (
            send_correct_response if deciding is None else ANSWERS.get(deciding.rule.fault, send_correct_response)
        )
        await answering(turn, {} if deciding is None else deciding.rule.settings)

    def _facts(self, scope: Scope, body: bytes) -> Facts:
        self._catch_up()
        query, text = scope["query_string"].decode("latin-1"), body.decode(errors="replace")
        return facts_of(scope["method"], scope["path"], query, headers_of(scope), text, self._behind.engine)


async def _body(request: Request) -> bytes:
    """Read the body; if it is unreasonably long, keep only a part that is still too long to be accepted."""
    body = bytearray()
    async for chunk in request.stream():
        body += chunk[: LONGEST_BODY + 1 - len(body)]
    return bytes(body)


DELAY = b"x-exchange-answer-took"

"""The header that says how many engine seconds a response took; no real service sends it."""

_DRIPS_A_SECOND = 10

_UNAUTHORIZED = encode({"message": "unauthorized."})

_NOT_FOUND = encode({"code": 40410000, "message": "not found"})

_OF_MARGIN = 92

"""The number of an error that Kraken gives with HTTP 500."""

_LEFT_THIS_MINUTE = b"x-uw-req-per-minute-remaining"

_USED_TODAY, _DAILY_LIMIT = b"x-uw-daily-req-count", b"x-uw-token-req-limit"

_NOT_IN_PLAN = {
    "endpoint": {"code": "advanced_tier_required", "message": "This endpoint needs the advanced tier."},
    "date": {
        "code": "historic_data_access_missing",
        "message": "The earliest date currently available to you is 2026-03-11 (30 trading days)",
    },
}

Settings = Mapping[str, Any]

Header = tuple[bytes, bytes]


Answering = Callable[[FaultedRequest, Settings], Awaitable[None]]


async def give(turn: FaultedRequest, answered: PendingReply) -> None:
    """Send a complete response to the client."""
    await turn.connection.begin(answered.status, [*answered.headers])
    await turn.connection.write(answered.body)


async def _give(
    turn: FaultedRequest, status: int, body: bytes, kind: bytes = fault_bodies.JSON, headers: fault_bodies.Headers = ()
) -> None:
    await give(turn, PendingReply(status, fault_bodies.with_headers(headers, body, kind), body))


async def _instead(
    turn: FaultedRequest, settings: Settings, status: int, body: bytes, kind: bytes, *extra: Header
) -> None:
    """Send this response instead, after executing the request if the rule says so."""
    if settings["acceptance"] == "after":
        await turn.answer()
    await _give(turn, status, body, kind, extra)


def _retry_after(settings: Settings) -> list[Header]:
    wait_us = settings["retry_after"]
    return [] if wait_us is None else [(b"retry-after", b"%d" % max(1, wait_us // SECOND))]


async def send_correct_response(turn: FaultedRequest, settings: Settings) -> None:
    """Send the correct response, because the fault only affected how the request was executed."""
    await give(turn, await turn.answer())


async def _reply_lost(turn: FaultedRequest, settings: Settings) -> None:
    await turn.answer()
    await turn.connection.close()


async def _status(turn: FaultedRequest, settings: Settings) -> None:
    answer = fault_bodies.error(settings["value"], turn.target)
    await _instead(turn, settings, settings["value"], *answer, *_retry_after(settings))


async def _redirect(turn: FaultedRequest, settings: Settings) -> None:
    location = (b"location", settings["location"].encode("ascii", "replace"))
    await _instead(turn, settings, settings["value"], b"", fault_bodies.HTML, location)


async def _html_body(turn: FaultedRequest, settings: Settings) -> None:
    await _instead(turn, settings, 200, fault_bodies.page("Scheduled maintenance"), fault_bodies.HTML)


async def _empty_body(turn: FaultedRequest, settings: Settings) -> None:
    await _instead(turn, settings, 200, b"", fault_bodies.JSON)


async def _error_inside(turn: FaultedRequest, settings: Settings) -> None:
    word, status = settings["value"], settings["status"]
    body = {"error": word} if status == 200 else {"errors": [{"code": _OF_MARGIN, "message": word}]}
    await _instead(turn, settings, status, encode({"result": "error", **body}), fault_bodies.JSON)


async def _flow_limit(turn: FaultedRequest, settings: Settings) -> None:
    """Refuse a flow request; its response, which was counted, has the limits in its headers."""
    counted = dict((await turn.answer()).headers)
    if settings["value"] == "minute":
        counted[_LEFT_THIS_MINUTE] = b"0"
    else:
        counted[_USED_TODAY] = counted.get(_DAILY_LIMIT, b"0")
    await _give(turn, 429, *fault_bodies.error(429, turn.target), [*(counted | dict(_retry_after(settings))).items()])


async def _not_in_plan(turn: FaultedRequest, settings: Settings) -> None:
    headers = (await turn.answer()).headers
    await _give(turn, 403, encode(_NOT_IN_PLAN[settings["value"]]), headers=headers)


async def _truncated_gzip(turn: FaultedRequest, settings: Settings) -> None:
    status, headers, full_body = await turn.answer()
    # Without a time in its head, the same body is compressed to the same bytes.
    packed = gzip.compress(full_body, mtime=0)
    part = packed[: len(packed) // 2 if settings["value"] is None else settings["value"]]
    await give(
        turn, PendingReply(status, fault_bodies.with_headers([*headers, (b"content-encoding", b"gzip")], part), part)
    )


async def _truncated_json(turn: FaultedRequest, settings: Settings) -> None:
    status, headers, full_body = await turn.answer()
    kept_bytes = len(full_body) // 2 if settings["value"] is None else settings["value"]
    part = full_body[:kept_bytes]
    if settings["connection"] == "kept":
        await give(turn, PendingReply(status, fault_bodies.with_headers(headers, part), part))
        return
    await turn.connection.begin(status, fault_bodies.with_headers(headers, full_body))
    await turn.connection.write(part, more=True)
    await turn.connection.close()


async def _slow_drip(turn: FaultedRequest, settings: Settings) -> None:
    status, headers, body = await turn.answer()
    await turn.connection.begin(status, [*headers])
    size = max(1, settings["value"] // _DRIPS_A_SECOND)
    for start in range(0, len(body), size):
        await turn.connection.write(body[start : start + size], more=True)
        await turn.connection.pause(size / settings["value"])
        if turn.connection.has_left:
            return
    await turn.connection.write(b"")


async def _hang(turn: FaultedRequest, settings: Settings) -> None:
    answered = await turn.answer() if settings["acceptance"] == "after" else None
    await turn.connection.pause(settings["value"] / SECOND)
    if settings["then"] == "answer" and not turn.connection.has_left:
        await give(turn, answered or await turn.answer())
    else:
        await turn.connection.close()


async def _slow_answer(turn: FaultedRequest, settings: Settings) -> None:
    answered = await turn.answer()
    took = (DELAY, f"{settings['value'] / SECOND:g}".encode())
    await give(turn, answered._replace(headers=[*answered.headers, took]))


async def _reset(turn: FaultedRequest, settings: Settings) -> None:
    if settings["value"] == "after":
        await turn.answer()
    await turn.connection.reset()


async def _late_arrival(turn: FaultedRequest, settings: Settings) -> None:
    # Executing the request here only puts it in transit: the command itself decides when it arrives.
    await turn.answer()
    if settings["answer"] == "lost":
        await turn.connection.close()
    elif settings["answer"] == "reset":
        await turn.connection.reset()
    else:
        await _give(turn, settings["answer"], *fault_bodies.error(settings["answer"], turn.target))


ANSWERS: Mapping[str, Answering] = {
    "reply_lost": _reply_lost,
    "status": _status,
    "redirect": _redirect,
    "html_body": _html_body,
    "truncated_json": _truncated_json,
    "empty_body": _empty_body,
    "error_inside": _error_inside,
    "slow_drip": _slow_drip,
    "hang": _hang,
    "slow_answer": _slow_answer,
    "reset": _reset,
    "expired_keys": lambda turn, settings: _give(turn, 401, _UNAUTHORIZED),
    "flow_limit": _flow_limit,
    "not_in_plan": _not_in_plan,
    "truncated_gzip": _truncated_gzip,
    "not_found": lambda turn, settings: _give(turn, 404, _NOT_FOUND),
    "late_arrival": _late_arrival,
}

"""Fault handlers by name; any other fault sends the correct answer."""


class FaultFace:
    def __init__(self, exchange: Exchange) -> None:
        self._exchange = exchange
        exchange.status_parts["faults"] = lambda: [armed.rule.name for armed in exchange.faults.book]

    def routes(self) -> list[Route]:
        book = self._exchange.faults.book
        return [
            route(
                PATH, GET=lambda call: ok({"faults": [arm.to_json() for arm in book]}), POST=self._arm, DELETE=self._run
            ),
            route(PATH + "/ready", GET=self._ready),
            route(PATH + "/ready/{name}", GET=self._show),
            route(PATH + "/{name}", DELETE=self._run),
        ]

    def _arm(self, call: Call) -> Reply:
        """Arm the script in the body, or the built-in script it names. The log stores the text, not the name."""
        script = _script(call.body)
        return Reply(*self._exchange.run(Command("POST", PATH, body=fault_table.text_of(script.strip()) or script)))

    def _run(self, call: Call) -> Reply:
        return Reply(*self._exchange.run(Command(call.method, call.raw_path)))

    def _ready(self, call: Call) -> Reply:
        return ok(
            {"scripts": [{"name": name, "summary": fault_table.summary_of(name)} for name in fault_table.names()]}
        )

    def _show(self, call: Call) -> Reply:
        text = fault_table.text_of(call.names["name"])
        if text is None:
            raise not_found(f"no ready-made script has that name; choose from {', '.join(fault_table.names())}")
        return ok({"name": call.names["name"], "script": text})


def _script(body: str) -> str:
    """Return the script in a body: either the body itself, or the `script` field of a JSON object."""
    try:
        value = json.loads(body)
    except (ValueError, RecursionError):
        return body
    inner = value.get("script") if isinstance(value, dict) and set(value) == {"script"} else None
    return inner if isinstance(inner, str) else body


def arm_at_start(exchange: Exchange, scripts: Iterable[str]) -> None:
    """Arm scripts at startup; a script whose rules are already armed, unchanged, keeps its counts.

    Raises MarketError if a script is invalid.
    """
    for script in scripts:
        if not _is_armed(exchange, script):
            status, answer = exchange.run(Command("POST", PATH, body=script))
            if status != 200:
                refusal = decode_object(answer.decode())
                raise MarketError(f"can't arm the faults: {refusal['message']}", refusal["hint"])


def _is_armed(exchange: Exchange, script: str) -> bool:
    try:
        rules = read_rules(script)
    except RuleError as error:
        raise MarketError(f"can't arm the faults: {error}", error.hint) from error
    armed = {armed.rule.name: armed.rule.written for armed in exchange.faults.book}
    return all(armed.get(rule.name) == rule.written for rule in rules)
