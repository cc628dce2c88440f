"""Intercept every request while rules are armed, and apply the rules that fire."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from fnmatch import fnmatchcase

from starlette.requests import ClientDisconnect, Request
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from tradebot.exchange.exchange import Exchange
from tradebot.exchange.faces.web import EFFECTS, LONGEST_BODY, headers_of
from tradebot.exchange.faults import bodies, flow_rows, rows
from tradebot.exchange.faults.answers import ANSWERS, Answered, rightly
from tradebot.exchange.faults.book import Firing
from tradebot.exchange.faults.earlier import earlier
from tradebot.exchange.faults.effects import effects_of
from tradebot.exchange.faults.facts import facts_of
from tradebot.exchange.faults.kinds import Facts, is_of_kind, kind_of
from tradebot.exchange.faults.wire import Connection

_DECIDING = ("answer", "order")
_QUOTES = {"crossed_quotes": bodies.crossed, "wrong_quotes": bodies.scaled}
_ROWS = {
    "missing_rows": rows.left_out,
    "opposite_side": rows.turned,
    "position_value": rows.misvalued,
    "restless_orders": rows.restless,
    "foreign_rows": flow_rows.foreign,
    "duplicate_rows": flow_rows.doubled,
    "null_field": flow_rows.nulled,
    "retyped_field": flow_rows.retyped,
    "new_field": flow_rows.widened,
}
"""Faults that change the contents of rows of orders, positions and flow."""

Older = Callable[[Scope, int], Awaitable[tuple[int, bytes]]]
"""Take a data request and an engine time; return the status and body of the answer at that time."""


class FaultDoor:
    """ASGI middleware that applies faults. `record` writes decisions into the log."""

    def __init__(self, inner: ASGIApp, exchange: Exchange, record: Callable[[], None], older: Older) -> None:
        self.inner = inner
        self.engine = exchange.engine
        self.older = older
        self._book = exchange.faults.book
        self._catch_up = exchange.catch_up
        self._record = record

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or not self._book.on_requests or not kind_of(_target(scope)):
            await self.inner(scope, receive, send)
            return
        try:
            body = await _body(Request(scope, receive))
        except ClientDisconnect:
            return
        facts = self._facts(scope, body)
        firings = self._book.firings(facts, self.engine.now_us)
        turn = _Turn(self, Connection(scope, receive, send, self._record), facts, firings, body)
        if not firings:
            await self.inner(scope, turn.again, send)
            return
        deciding = next((firing for firing in firings if firing.role in _DECIDING), None)
        answering = rightly if deciding is None else ANSWERS.get(deciding.rule.fault, rightly)
        await answering(turn, {} if deciding is None else deciding.rule.settings)

    def _facts(self, scope: Scope, body: bytes) -> Facts:
        self._catch_up()
        query, text = scope["query_string"].decode("latin-1"), body.decode(errors="replace")
        return facts_of(scope["method"], scope["path"], query, headers_of(scope), text, self.engine)


class _Turn:
    """One request on which rules fire."""

    def __init__(
        self, door: FaultDoor, connection: Connection, facts: Facts, firings: list[Firing], body: bytes
    ) -> None:
        self.connection = connection
        self.target = facts.target
        self._door = door
        self._facts = facts
        self._firings = firings
        self._body: bytes | None = body

    async def again(self) -> Message:
        """Receive the body that was already read, then whatever follows it."""
        if self._body is None:
            return await self.connection.receive()
        body, self._body = self._body, None
        return {"type": "http.request", "body": body, "more_body": False}

    async def answer(self) -> Answered:
        """Carry out the request and return its answer, with the data changed by the rules that fire."""
        effects = effects_of(self._firings, self._facts, self._door.engine.now_us)
        caught = _Caught()
        await self._door.inner({**self.connection.scope, EFFECTS: effects}, self.again, caught)
        answered = caught.answered()
        for firing in self._firings:
            if firing.role == "data":
                answered = await self._tinted(firing, answered)
        return answered

    async def _tinted(self, firing: Firing, answered: Answered) -> Answered:
        """Return an answer changed by one firing rule."""
        settings, fault = firing.rule.settings, firing.rule.fault
        if fault == "clock_skew":
            self.connection.shift_date(settings["value"])
        if fault == "stale_account":
            return await self._as_then(firing, answered)
        if answered.status != 200:
            return answered
        if fault == "stale_quotes":
            return await self._older(firing, answered)
        return answered.with_body(self._changed(firing, answered.body))

    def _changed(self, firing: Firing, body: bytes) -> bytes:
        settings = firing.rule.settings
        if firing.rule.fault in _QUOTES:
            matches, change = _symbol_matcher(firing), _QUOTES[firing.rule.fault](float(settings["value"]))
            return bodies.changed(body, lambda value: bodies.quoted(value, matches, change))
        if firing.rule.fault == "unknown_enum":
            return bodies.changed(body, lambda value: bodies.unknown(value, settings["value"], settings["word"]))
        if firing.rule.fault in _ROWS:
            return bodies.changed(body, lambda value: _ROWS[firing.rule.fault](value, settings, firing.number))
        if firing.rule.fault == "missing_field":
            return bodies.changed(body, lambda value: bodies.missing(value, settings["value"]))
        if is_of_kind(self.target, "clock"):
            return bodies.changed(body, lambda value: bodies.shifted_clock(value, settings["value"]))
        return body

    async def _older(self, firing: Firing, answered: Answered) -> Answered:
        """Return an answer with older values for the rule's symbols, or an older error as a whole."""
        matches = _symbol_matcher(firing)
        status, older = await self._door.older(self.connection.scope, self._then_us(firing))
        if status == 200:
            return answered.with_body(bodies.merged(answered.body, older, matches))
        # An error replaces the whole answer, so it may only be used if the rule covers every symbol in the request.
        all_match = all(matches(symbol) for symbol in self._facts.symbols)
        return answered._replace(status=status).with_body(older) if all_match else answered

    async def _as_then(self, firing: Firing, answered: Answered) -> Answered:
        """Return the answer that the account's owner would have received back then, or this one if the keys are
        unknown.
        """
        if not self._facts.account:
            return answered
        self._body, caught = b"", _Caught()
        with earlier(self._door.engine, self._facts.account[0], self._then_us(firing)):
            await self._door.inner({**self.connection.scope}, self.again, caught)
        return caught.answered()

    def _then_us(self, firing: Firing) -> int:
        """Return the engine time whose data a firing rule shows."""
        age_us = firing.rule.settings["value"]
        return firing.since_us if age_us is None else self._door.engine.now_us - age_us


class _Caught:
    """Captures an answer instead of sending it to the client."""

    def __init__(self) -> None:
        self._status = 500
        self._headers: bodies.Headers = []
        self._body = b""

    async def __call__(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self._status, self._headers = message["status"], list(message.get("headers", []))
        else:
            self._body += message.get("body", b"")

    def answered(self) -> Answered:
        return Answered(self._status, self._headers, self._body)


def _symbol_matcher(firing: Firing) -> bodies.Matches:
    patterns = firing.rule.when.symbol or ("*",)
    return lambda symbol: any(fnmatchcase(symbol, pattern) for pattern in patterns)


def _target(scope: Scope) -> str:
    return f"{scope['method']} {scope['path']}"


async def _body(request: Request) -> bytes:
    """Read the body; if it is unreasonably long, keep only a part that is still too long to be accepted."""
    kept = bytearray()
    async for chunk in request.stream():
        kept += chunk[: LONGEST_BODY + 1 - len(kept)]
    return bytes(kept)
