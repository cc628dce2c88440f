"""Carry out a request on which rules fire, and change the data of its answer as they say."""

from __future__ import annotations

import json
from fnmatch import fnmatchcase
from functools import cached_property

from starlette.types import ASGIApp, Message, Receive, Scope

from tradebot.exchange.exchange import Exchange
from tradebot.exchange.faces.market_data import DataFace
from tradebot.exchange.faces.web import EFFECTS, Endpoint, Paths
from tradebot.exchange.faults import bodies
from tradebot.exchange.faults.book import Firing
from tradebot.exchange.faults.earlier import earlier
from tradebot.exchange.faults.effects import effects_of
from tradebot.exchange.faults.kinds import Facts, is_of_kind
from tradebot.exchange.faults.rows import FALSIFYING, falsified
from tradebot.exchange.faults.wire import Connection

_QUOTES = {"crossed_quotes": bodies.crossed, "wrong_quotes": bodies.scaled}


class Caught:
    def __init__(self) -> None:
        self._status = 500
        self._headers: list[tuple[bytes, bytes]] = []
        self._body = b""

    async def __call__(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self._status, self._headers = message["status"], list(message.get("headers", []))
        else:
            self._body += message.get("body", b"")

    def answered(self) -> bodies.Answered:
        return bodies.Answered(self._status, self._headers, self._body)


class Behind:
    """What answers requests behind the door: the exchange as it is, and a second market-data API as of past times."""

    def __init__(self, inner: ASGIApp, exchange: Exchange) -> None:
        self.inner = inner
        self.engine = exchange.engine
        self._exchange = exchange
        self._at_us = 0

    @cached_property
    def _paths(self) -> Paths:
        # Few exchanges ever show old data, so that this is made when it is first asked for.
        return Paths(DataFace(self._exchange, lambda: self._at_us).routes(), Endpoint({}))

    async def older(self, scope: Scope, receive: Receive, at_us: int) -> bodies.Answered:
        """Return a data request's answer at an engine time. It changes nothing."""
        self._at_us, caught = at_us, Caught()
        # The handler never awaits, so no other request sees this time.
        await self._paths({**scope}, receive, caught)
        return caught.answered()


class Turn:
    """One request on which rules fire; `target` is its method and path."""

    def __init__(
        self, behind: Behind, connection: Connection, facts: Facts, firings: list[Firing], body: bytes
    ) -> None:
        self.connection = connection
        self.target = facts.target
        self._behind = behind
        self._facts = facts
        self._firings = firings
        self._body: bytes | None = body

    async def again(self) -> Message:
        """Receive the body that was already read, then whatever follows it."""
        if self._body is None:
            return await self.connection.receive()
        body, self._body = self._body, None
        return {"type": "http.request", "body": body, "more_body": False}

    async def answer(self) -> bodies.Answered:
        """Carry out the request and return its answer, with the data changed by the rules that fire."""
        effects = effects_of(self._firings, self._facts, self._behind.engine.now_us)
        caught = Caught()
        await self._behind.inner({**self.connection.scope, EFFECTS: effects}, self.again, caught)
        answered = caught.answered()
        for firing in self._firings:
            if firing.role == "data":
                answered = await self._tinted(firing, answered)
        return answered

    async def _tinted(self, firing: Firing, answered: bodies.Answered) -> bodies.Answered:
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

    async def _older(self, firing: Firing, answered: bodies.Answered) -> bodies.Answered:
        """Return an answer with older values for the rule's symbols, or an older error as a whole."""
        matches = _symbol_matcher(firing)
        status, _, older = await self._behind.older(self.connection.scope, self.again, self._then_us(firing))
        if status == 200:
            merged = bodies.changed(answered.body, lambda value: bodies.replaced(value, json.loads(older), matches))
            return answered.with_body(merged)
        # An error replaces the whole answer, so it may only be used if the rule covers every symbol in the request.
        all_match = all(matches(symbol) for symbol in self._facts.symbols)
        return answered._replace(status=status).with_body(older) if all_match else answered

    async def _as_then(self, firing: Firing, answered: bodies.Answered) -> bodies.Answered:
        """Return the answer that the account's owner would have received back then, or this one if the keys are
        unknown.
        """
        if not self._facts.account:
            return answered
        self._body, caught = b"", Caught()
        with earlier(self._behind.engine, self._facts.account[0], self._then_us(firing)):
            await self._behind.inner({**self.connection.scope}, self.again, caught)
        return caught.answered()

    def _then_us(self, firing: Firing) -> int:
        age_us = firing.rule.settings["value"]
        return firing.since_us if age_us is None else self._behind.engine.now_us - age_us


def _symbol_matcher(firing: Firing) -> bodies.Matches:
    patterns = firing.rule.when.symbol or ("*",)
    return lambda symbol: any(fnmatchcase(symbol, pattern) for pattern in patterns)
