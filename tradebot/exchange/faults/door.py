"""Intercept every request while rules are armed, and apply the rules that fire."""

from __future__ import annotations

import json
from collections.abc import Callable
from fnmatch import fnmatchcase

from starlette.requests import ClientDisconnect, Request
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from tradebot.exchange.exchange import Exchange
from tradebot.exchange.faces.web import EFFECTS, LONGEST_BODY, headers_of
from tradebot.exchange.faults import bodies
from tradebot.exchange.faults.answers import ANSWERS, Answered, rightly
from tradebot.exchange.faults.book import Firing
from tradebot.exchange.faults.earlier import earlier
from tradebot.exchange.faults.effects import effects_of
from tradebot.exchange.faults.facts import facts_of
from tradebot.exchange.faults.kinds import Facts, is_of_kind, kind_of
from tradebot.exchange.faults.older import Caught, OlderData
from tradebot.exchange.faults.rows import FALSIFYING, falsified
from tradebot.exchange.faults.wire import Connection

_DECIDING = ("answer", "order")
_QUOTES = {"crossed_quotes": bodies.crossed, "wrong_quotes": bodies.scaled}


class FaultDoor:
    """ASGI middleware that applies faults. `record` writes decisions into the log."""

    def __init__(self, inner: ASGIApp, exchange: Exchange, record: Callable[[], None]) -> None:
        self.inner = inner
        self.engine = exchange.engine
        self.older = OlderData(exchange)
        self._book = exchange.faults.book
        self._catch_up = exchange.catch_up
        self._record = record

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or not self._book.on_requests or not kind_of(f"{scope['method']} {scope['path']}"):
            await self.inner(scope, receive, send)
            return
        try:
            body = await _body(Request(scope, receive))
        except ClientDisconnect:
            return
        facts = self._facts(scope, body)
        firings = self._book.firings(facts, self.engine.now_us)
        turn = Turn(self, Connection(scope, receive, send, self._record), facts, firings, body)
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


class Turn:
    """One request on which rules fire; `target` is its method and path."""

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
        caught = Caught()
        await self._door.inner({**self.connection.scope, EFFECTS: effects}, self.again, caught)
        answered = caught.answered()
        for firing in self._firings:
            if firing.role == "data":
                answered = await self._tinted(firing, answered)
        return answered

    async def _tinted(self, firing: Firing, answered: Answered) -> Answered:
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
        fault, settings = firing.rule.fault, firing.rule.settings
        if fault in _QUOTES:
            matches, dollars, change = _symbol_matcher(firing), float(settings["value"]), _QUOTES[fault]
            return bodies.changed(
                body, lambda value: bodies.quoted(value, matches, lambda quote: change(quote, dollars))
            )
        if fault in ("unknown_enum", "missing_field"):
            return bodies.changed(body, lambda value: bodies.in_fields(fault, value, settings))
        if fault in FALSIFYING:
            return bodies.changed(body, lambda value: falsified(fault, value, settings, firing.number))
        if is_of_kind(self.target, "clock"):
            return bodies.changed(body, lambda value: bodies.shifted_clock(value, settings["value"]))
        return body

    async def _older(self, firing: Firing, answered: Answered) -> Answered:
        """Return an answer with older values for the rule's symbols, or an older error as a whole."""
        matches = _symbol_matcher(firing)
        status, _, older = await self._door.older(self.connection.scope, self.again, self._then_us(firing))
        if status == 200:
            merged = bodies.changed(answered.body, lambda value: bodies.replaced(value, json.loads(older), matches))
            return answered.with_body(merged)
        # An error replaces the whole answer, so it may only be used if the rule covers every symbol in the request.
        all_match = all(matches(symbol) for symbol in self._facts.symbols)
        return answered._replace(status=status).with_body(older) if all_match else answered

    async def _as_then(self, firing: Firing, answered: Answered) -> Answered:
        """Return the answer that the account's owner would have received back then, or this one if the keys are
        unknown.
        """
        if not self._facts.account:
            return answered
        self._body, caught = b"", Caught()
        with earlier(self._door.engine, self._facts.account[0], self._then_us(firing)):
            await self._door.inner({**self.connection.scope}, self.again, caught)
        return caught.answered()

    def _then_us(self, firing: Firing) -> int:
        age_us = firing.rule.settings["value"]
        return firing.since_us if age_us is None else self._door.engine.now_us - age_us


def _symbol_matcher(firing: Firing) -> bodies.Matches:
    patterns = firing.rule.when.symbol or ("*",)
    return lambda symbol: any(fnmatchcase(symbol, pattern) for pattern in patterns)


async def _body(request: Request) -> bytes:
    """Read the body; if it is unreasonably long, keep only a part that is still too long to be accepted."""
    kept = bytearray()
    async for chunk in request.stream():
        kept += chunk[: LONGEST_BODY + 1 - len(kept)]
    return bytes(kept)
