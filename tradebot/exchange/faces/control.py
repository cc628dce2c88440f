"""The exchange's own control under /exchange/v1: status, ticks, the log, and stopping."""

from __future__ import annotations

import os
from collections.abc import Callable

from starlette.routing import Route

from tradebot.exchange.commands import Command
from tradebot.exchange.exchange import Exchange
from tradebot.exchange.faces.web import Call, Reply, ok, route
from tradebot.exchange.params import Params
from tradebot.exchange.refusal import invalid

_MOST_EVENTS = 10_000


class ControlFace:
    """Handlers of the control API. `instance` names this very process to who started or found it."""

    def __init__(self, exchange: Exchange, instance: str, stop: Callable[[], None]) -> None:
        self._exchange = exchange
        self._instance = instance
        self._stop = stop

    def routes(self) -> list[Route]:
        """Return the face's routes."""
        return [
            route("/exchange/v1/status", GET=self._status),
            route("/exchange/v1/tick", POST=self._tick),
            route("/exchange/v1/log", GET=self._log),
            route("/exchange/v1/instance", GET=self._show_instance),
            route("/exchange/v1/stop", POST=self._stopped),
        ]

    def _status(self, call: Call) -> Reply:
        return ok(self._exchange.status())

    def _tick(self, call: Call) -> Reply:
        return Reply(*self._exchange.run(Command("POST", "/exchange/v1/tick", call.raw_query, call.body)))

    def _log(self, call: Call) -> Reply:
        params = Params(call.query, lambda name: invalid(f"invalid {name}"))
        after = params.count("after", 0, 10**9, 0)
        lines = self._exchange.log.lines(after, params.count("limit", 1000, _MOST_EVENTS))
        tail = b'],"next_after":%d}' % (after + len(lines))
        return Reply(200, b'{"events":[' + b",".join(lines) + tail)

    def _show_instance(self, call: Call) -> Reply:
        return ok({"pid": os.getpid(), "instance": self._instance})

    def _stopped(self, call: Call) -> Reply:
        self._stop()
        return ok({"stopping": True})
