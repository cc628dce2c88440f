"""How each fault answers: one coroutine for each that decides a reply, given the request and what it was told."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from typing import Any, NamedTuple, Protocol

from tradebot.exchange.faults import bodies
from tradebot.exchange.faults.wire import Connection
from tradebot.exchange.jsontext import encode
from tradebot.exchange.times import SECOND

_DRIPS_A_SECOND = 10
_UNAUTHORIZED = encode({"message": "unauthorized."})
_NOT_FOUND = encode({"code": 40410000, "message": "not found"})

Told = Mapping[str, Any]


class Answered(NamedTuple):
    """An answer that was made and not yet given."""

    status: int
    headers: bodies.Headers
    body: bytes

    def with_body(self, body: bytes) -> Answered:
        """Return the answer with another body, and its length."""
        return self._replace(headers=bodies.headed(self.headers, body), body=body)


class Turn(Protocol):
    """One request that a fault decides about. `target` is its method and path."""

    connection: Connection
    target: str

    async def answer(self) -> Answered:
        """Carry the request out, and return its right answer."""
        ...


Answering = Callable[[Turn, Told], Awaitable[None]]


async def give(turn: Turn, answered: Answered) -> None:
    """Send a whole answer."""
    await turn.connection.begin(answered.status, answered.headers)
    await turn.connection.write(answered.body)


async def _instead(turn: Turn, told: Told, status: int, body: bytes, kind: bytes, *extra: tuple[bytes, bytes]) -> None:
    """Answer so, having carried the request out where the rule says after."""
    if told["acceptance"] == "after":
        await turn.answer()
    await give(turn, Answered(status, bodies.headed([*extra], body, kind), body))


async def rightly(turn: Turn, told: Told) -> None:
    """Give the right answer: the fault is in what became of the request."""
    await give(turn, await turn.answer())


async def _reply_lost(turn: Turn, told: Told) -> None:
    await turn.answer()
    await turn.connection.close()


async def _status(turn: Turn, told: Told) -> None:
    wait_us = told["retry_after"]
    extra = [] if wait_us is None else [(b"retry-after", b"%d" % max(1, wait_us // SECOND))]
    await _instead(turn, told, told["value"], *bodies.error(told["value"], turn.target), *extra)


async def _redirect(turn: Turn, told: Told) -> None:
    location = (b"location", told["location"].encode("ascii", "replace"))
    await _instead(turn, told, told["value"], b"", bodies.HTML, location)


async def _html_body(turn: Turn, told: Told) -> None:
    await _instead(turn, told, 200, bodies.page("Scheduled maintenance"), bodies.HTML)


async def _empty_body(turn: Turn, told: Told) -> None:
    await _instead(turn, told, 200, b"", bodies.JSON)


async def _expired_keys(turn: Turn, told: Told) -> None:
    await give(turn, Answered(401, bodies.headed([], _UNAUTHORIZED, bodies.JSON), _UNAUTHORIZED))


async def _not_found(turn: Turn, told: Told) -> None:
    await give(turn, Answered(404, bodies.headed([], _NOT_FOUND, bodies.JSON), _NOT_FOUND))


async def _truncated_json(turn: Turn, told: Told) -> None:
    status, headers, whole = await turn.answer()
    kept = len(whole) // 2 if told["value"] is None else told["value"]
    part = whole[:kept]
    if told["connection"] == "kept":
        await give(turn, Answered(status, bodies.headed(headers, part), part))
        return
    await turn.connection.begin(status, bodies.headed(headers, whole))
    await turn.connection.write(part, more=True)
    await turn.connection.close()


async def _slow_drip(turn: Turn, told: Told) -> None:
    status, headers, body = await turn.answer()
    await turn.connection.begin(status, headers)
    size = max(1, told["value"] // _DRIPS_A_SECOND)
    for start in range(0, len(body), size):
        await turn.connection.write(body[start : start + size], more=True)
        await turn.connection.pause(size / told["value"])
        if turn.connection.gone:
            return
    await turn.connection.write(b"")


async def _hang(turn: Turn, told: Told) -> None:
    answered = await turn.answer() if told["acceptance"] == "after" else None
    await turn.connection.pause(told["value"] / SECOND)
    if told["then"] == "answer" and not turn.connection.gone:
        await give(turn, answered or await turn.answer())
    else:
        await turn.connection.close()


async def _reset(turn: Turn, told: Told) -> None:
    if told["value"] == "after":
        await turn.answer()
    await turn.connection.reset()


async def _late_arrival(turn: Turn, told: Told) -> None:
    # Carrying it out means here to put it on its way: the command itself says when it arrives.
    await turn.answer()
    if told["answer"] == "lost":
        await turn.connection.close()
    elif told["answer"] == "reset":
        await turn.connection.reset()
    else:
        body, kind = bodies.error(told["answer"], turn.target)
        await give(turn, Answered(told["answer"], bodies.headed([], body, kind), body))


ANSWERS: Mapping[str, Answering] = {
    "reply_lost": _reply_lost,
    "status": _status,
    "redirect": _redirect,
    "html_body": _html_body,
    "truncated_json": _truncated_json,
    "empty_body": _empty_body,
    "slow_drip": _slow_drip,
    "hang": _hang,
    "reset": _reset,
    "expired_keys": _expired_keys,
    "not_found": _not_found,
    "late_arrival": _late_arrival,
}
"""Faults by name; the others answer rightly."""
