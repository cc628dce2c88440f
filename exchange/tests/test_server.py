"""An answer waits for the log; if the log can't be written, the answer says so before the exchange ends."""

import asyncio
from typing import Any, cast

import pytest
from starlette.types import Message, Receive, Scope, Send

from papervenue.exchange import Exchange
from papervenue.log import LogError
from papervenue.server import Recording


class FullExchange:
    """Has something to record, and no room for it."""

    has_unrecorded = True

    def record(self) -> None:
        raise LogError("/lab/exchange/log.jsonl can't be written: No space left on device")


def ended(error: LogError) -> None:
    raise SystemExit(str(error))


def test_full_disk_is_told_to_who_asks_before_the_exchange_ends() -> None:
    sent: list[Message] = []

    async def answers(scope: Scope, receive: Receive, send: Send) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": []})

    async def send(message: Message) -> None:
        sent.append(message)

    recording = Recording(answers, cast("Exchange", FullExchange()), ended)
    with pytest.raises(SystemExit, match="No space left"):
        asyncio.run(recording({"type": "http"}, cast("Any", None), send))
    assert [(one.get("status"), b"No space left on device" in one.get("body", b"")) for one in sent] == [
        (507, False),
        (None, True),
    ]
