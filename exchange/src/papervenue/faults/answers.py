"""Answer requests that a fault fires on: one coroutine per fault, given the request and the fault's settings."""

from __future__ import annotations

import gzip
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

from papervenue.faults import fault_bodies
from papervenue.faults.apply_faults import Turn
from papervenue.faults.fault_bodies import Answered
from papervenue.jsontext import encode
from papervenue.times import SECOND

DELAY = b"x-exchange-answer-took"
"""The header that says how many engine seconds an answer took; no real service sends it."""
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


Answering = Callable[[Turn, Settings], Awaitable[None]]


async def give(turn: Turn, answered: Answered) -> None:
    """Send a complete answer."""
    await turn.connection.begin(answered.status, [*answered.headers])
    await turn.connection.write(answered.body)


async def _give(
    turn: Turn, status: int, body: bytes, kind: bytes = fault_bodies.JSON, headers: fault_bodies.Headers = ()
) -> None:
    await give(turn, Answered(status, fault_bodies.headed(headers, body, kind), body))


async def _instead(turn: Turn, settings: Settings, status: int, body: bytes, kind: bytes, *extra: Header) -> None:
    """Send this answer instead, after carrying out the request if the rule says so."""
    if settings["acceptance"] == "after":
        await turn.answer()
    await _give(turn, status, body, kind, extra)


def _retry_after(settings: Settings) -> list[Header]:
    wait_us = settings["retry_after"]
    return [] if wait_us is None else [(b"retry-after", b"%d" % max(1, wait_us // SECOND))]


async def rightly(turn: Turn, settings: Settings) -> None:
    """Send the correct answer; the fault lies in what happened to the request."""
    await give(turn, await turn.answer())


async def _reply_lost(turn: Turn, settings: Settings) -> None:
    await turn.answer()
    await turn.connection.close()


async def _status(turn: Turn, settings: Settings) -> None:
    answer = fault_bodies.error(settings["value"], turn.target)
    await _instead(turn, settings, settings["value"], *answer, *_retry_after(settings))


async def _redirect(turn: Turn, settings: Settings) -> None:
    location = (b"location", settings["location"].encode("ascii", "replace"))
    await _instead(turn, settings, settings["value"], b"", fault_bodies.HTML, location)


async def _html_body(turn: Turn, settings: Settings) -> None:
    await _instead(turn, settings, 200, fault_bodies.page("Scheduled maintenance"), fault_bodies.HTML)


async def _empty_body(turn: Turn, settings: Settings) -> None:
    await _instead(turn, settings, 200, b"", fault_bodies.JSON)


async def _error_inside(turn: Turn, settings: Settings) -> None:
    word, status = settings["value"], settings["status"]
    told = {"error": word} if status == 200 else {"errors": [{"code": _OF_MARGIN, "message": word}]}
    await _instead(turn, settings, status, encode({"result": "error", **told}), fault_bodies.JSON)


async def _flow_limit(turn: Turn, settings: Settings) -> None:
    """Refuse a request for flow; its answer, which was counted, says what the limits are."""
    counted = dict((await turn.answer()).headers)
    if settings["value"] == "minute":
        counted[_LEFT_THIS_MINUTE] = b"0"
    else:
        counted[_USED_TODAY] = counted.get(_DAILY_LIMIT, b"0")
    await _give(turn, 429, *fault_bodies.error(429, turn.target), [*(counted | dict(_retry_after(settings))).items()])


async def _not_in_plan(turn: Turn, settings: Settings) -> None:
    headers = (await turn.answer()).headers
    await _give(turn, 403, encode(_NOT_IN_PLAN[settings["value"]]), headers=headers)


async def _truncated_gzip(turn: Turn, settings: Settings) -> None:
    status, headers, full_body = await turn.answer()
    # Without a time in its head, the same body is compressed to the same bytes.
    packed = gzip.compress(full_body, mtime=0)
    part = packed[: len(packed) // 2 if settings["value"] is None else settings["value"]]
    await give(turn, Answered(status, fault_bodies.headed([*headers, (b"content-encoding", b"gzip")], part), part))


async def _truncated_json(turn: Turn, settings: Settings) -> None:
    status, headers, full_body = await turn.answer()
    kept_bytes = len(full_body) // 2 if settings["value"] is None else settings["value"]
    part = full_body[:kept_bytes]
    if settings["connection"] == "kept":
        await give(turn, Answered(status, fault_bodies.headed(headers, part), part))
        return
    await turn.connection.begin(status, fault_bodies.headed(headers, full_body))
    await turn.connection.write(part, more=True)
    await turn.connection.close()


async def _slow_drip(turn: Turn, settings: Settings) -> None:
    status, headers, body = await turn.answer()
    await turn.connection.begin(status, [*headers])
    size = max(1, settings["value"] // _DRIPS_A_SECOND)
    for start in range(0, len(body), size):
        await turn.connection.write(body[start : start + size], more=True)
        await turn.connection.pause(size / settings["value"])
        if turn.connection.gone:
            return
    await turn.connection.write(b"")


async def _hang(turn: Turn, settings: Settings) -> None:
    answered = await turn.answer() if settings["acceptance"] == "after" else None
    await turn.connection.pause(settings["value"] / SECOND)
    if settings["then"] == "answer" and not turn.connection.gone:
        await give(turn, answered or await turn.answer())
    else:
        await turn.connection.close()


async def _slow_answer(turn: Turn, settings: Settings) -> None:
    answered = await turn.answer()
    took = (DELAY, f"{settings['value'] / SECOND:g}".encode())
    await give(turn, answered._replace(headers=[*answered.headers, took]))


async def _reset(turn: Turn, settings: Settings) -> None:
    if settings["value"] == "after":
        await turn.answer()
    await turn.connection.reset()


async def _late_arrival(turn: Turn, settings: Settings) -> None:
    # Here, carrying out the request only puts it in transit: the command itself says when it arrives.
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
