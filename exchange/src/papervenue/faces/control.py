"""Serve the exchange's control API under /exchange/v1: its status, time, accounts and log, and how to stop it."""

from __future__ import annotations

import os
from collections.abc import Callable

from papervenue.clock import Pace, read_pace
from papervenue.commands.actions import ACTIONS
from papervenue.commands.control import ACCOUNTS, LATENCY, RESET, TICK, account_summary
from papervenue.exchange import Exchange
from papervenue.faces.guard import command_of
from papervenue.faces.trading.query import params
from papervenue.faces.web import Call, Reply, Route, ok, route
from papervenue.jsontext import decode_object
from papervenue.refusal import malformed_request
from papervenue.shares.actions import action_fields
from papervenue.times import rfc3339

_MOST_EVENTS = 10_000


class ControlFace:
    """Handlers of the control API. `instance` lets a process recognize the exchange that it started or found."""

    def __init__(self, exchange: Exchange, instance: str, stop: Callable[[], None]) -> None:
        self._exchange = exchange
        self._instance = instance
        self._stop = stop

    def routes(self) -> list[Route]:
        exchange, instance = self._exchange, {"pid": os.getpid(), "instance": self._instance}
        reads = {ACTIONS: {"GET": self._actions}}
        return [
            route("/exchange/v1/status", GET=lambda call: ok(exchange.status())),
            route("/exchange/v1/clock", GET=self._clock, POST=self._set_pace),
            route(ACCOUNTS, GET=self._accounts, POST=self._run),
            *(route(path, POST=self._run) for path in (TICK, RESET, LATENCY)),
            *(route(entry.path, **reads.get(entry.path, {}), POST=self._run) for entry in exchange.staff),
            route("/exchange/v1/log", GET=self._log),
            route("/exchange/v1/instance", GET=lambda call: ok(instance)),
            route("/exchange/v1/stop", POST=self._handle_stop),
        ]

    def _run(self, call: Call) -> Reply:
        return Reply(*self._exchange.run(command_of(call)))

    def _clock(self, call: Call) -> Reply:
        return ok({"now": rfc3339(self._exchange.engine.now_us), "pace": self._exchange.clock.pace.name})

    def _set_pace(self, call: Call) -> Reply:
        self._exchange.set_pace(_pace(call))
        return self._clock(call)

    def _accounts(self, call: Call) -> Reply:
        engine = self._exchange.engine
        return ok([account_summary(engine, account) for account in engine.accounts.values()])

    def _actions(self, call: Call) -> Reply:
        engine = self._exchange.engine
        listed = engine.market.actions.declared_by(engine.now_us)
        return ok([action_fields(action) | {"takes_effect_at": rfc3339(action.at_us)} for action in listed])

    def _log(self, call: Call) -> Reply:
        query = params(call)
        limit = query.count("limit", 1000, _MOST_EVENTS)
        log = self._exchange.log
        log.commit()
        after = max(log.count - limit, 0) if query.flag("newest", False) else query.count("after", 0, 10**9, 0)
        lines = log.lines(after, limit)
        tail = b'],"next_after":%d}' % (after + len(lines))
        return Reply(200, b'{"events":[' + b",".join(lines) + tail)

    def _handle_stop(self, call: Call) -> Reply:
        self._stop()
        return ok({"stopping": True})


def _pace(call: Call) -> Pace:
    body = decode_object(call.body)
    if set(body) != {"pace"} or not isinstance(body["pace"], str):
        raise malformed_request('send {"pace": "step"}, {"pace": "real"} or {"pace": "60x"}')
    try:
        return read_pace(body["pace"])
    except ValueError as error:
        raise malformed_request(str(error)) from error
