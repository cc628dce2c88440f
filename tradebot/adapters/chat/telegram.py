"""Read messages from Telegram's Bot API, and reply. Every request and response has a limit, and no message contains the
token.
"""

import json
import re
import time
from collections.abc import Mapping, Sequence
from typing import Any

import requests
import urllib3

from tradebot.errors import OperatorError

MOST_BYTES = 2_000_000
"""How many bytes of a response are read; a full batch of the longest messages is smaller."""
BATCH = 20
CONNECT_S, SLACK_S, PIECE = 5.0, 10.0, 65_536
LONGEST = 4_096
"""The longest message in characters."""
LONGEST_WAIT_S = 300.0
ALLOWED = ("message", "callback_query")
_TOKEN = re.compile(r"[0-9]{3,20}:[A-Za-z0-9_-]{20,100}")
_NUMBER = re.compile(rb'\{"update_id": ?([0-9]{1,18})[,}]')


class TelegramUnavailableError(Exception):
    """Raised when Telegram can't be used now, with the reason as text; the next attempt waits `wait_s` seconds."""

    def __init__(self, why: str, wait_s: float = 0.0) -> None:
        super().__init__(why)
        self.wait_s = wait_s


class TooLargeError(TelegramUnavailableError):
    """Raised for a response that is too large to read; `number` is the first update in it, if known."""

    def __init__(self, head: bytes) -> None:
        super().__init__(f"the response is larger than {MOST_BYTES:,} bytes")
        match = _NUMBER.search(head[:200])
        self.number = int(match[1]) if match else None


class Telegram:
    """A Telegram bot, given the API's address and the bot's token."""

    def __init__(self, url: str, token: str) -> None:
        if not _TOKEN.fullmatch(token):
            raise OperatorError(
                "CHAT_TELEGRAM_TOKEN isn't a token of a Telegram bot",
                "copy it as @BotFather shows it: digits, a colon, letters",
            )
        self._base = f"{url}/bot{token}"

    def updates(self, offset: int | None, wait_s: int, most: int = BATCH) -> Sequence[object]:
        """Return the updates (messages and pressed buttons) from number `offset` on, oldest first; wait up to `wait_s`
        seconds for one.

        Raise TelegramUnavailableError.
        """
        params: dict[str, object] = {"timeout": wait_s, "limit": most, "allowed_updates": ALLOWED}
        updates = self._post("getUpdates", params | ({} if offset is None else {"offset": offset}), wait_s)
        if not isinstance(updates, list):
            raise TelegramUnavailableError("the response isn't a list of updates")
        return updates

    def send(self, chat: int, text: str, buttons: Sequence[Sequence[tuple[str, str]]] = ()) -> int | None:
        """Send plain text, with rows of buttons (label and data), and return the message's number, if given."""
        body: dict[str, object] = {"chat_id": chat, "text": text, "link_preview_options": {"is_disabled": True}}
        if buttons:
            rows = [[{"text": label, "callback_data": data} for label, data in row] for row in buttons]
            body["reply_markup"] = {"inline_keyboard": rows}
        sent = self._post("sendMessage", body, 0)
        number = sent.get("message_id") if isinstance(sent, dict) else None
        return number if type(number) is int else None

    def answer_button(self, query: str, text: str) -> None:
        """Acknowledge a pressed button, so that the app stops waiting."""
        self._post("answerCallbackQuery", {"callback_query_id": query, "text": text[:200]}, 0)

    def _post(self, method: str, body: Mapping[str, object], wait_s: int) -> Any:
        """Send a request and return its result. Redirects aren't followed, and errors never contain the token."""
        try:
            with requests.post(
                f"{self._base}/{method}",
                json=body,
                timeout=(CONNECT_S, wait_s + SLACK_S),
                allow_redirects=False,
                stream=True,
                headers={"Accept-Encoding": "identity"},
            ) as answer:
                return _result(answer.status_code, _read(answer, time.monotonic() + wait_s + 2 * SLACK_S))
        except (requests.RequestException, urllib3.exceptions.HTTPError) as failed:
            raise TelegramUnavailableError(f"Telegram can't be reached: {type(failed).__name__}") from None


def _read(answer: requests.Response, deadline: float) -> bytes:
    """Read a response without decompressing it, because a small compressed one could fill the memory."""
    data = bytearray()
    while piece := answer.raw.read1(PIECE, decode_content=False):
        data += piece
        if len(data) > MOST_BYTES:
            raise TooLargeError(bytes(data[:PIECE]))
        if time.monotonic() > deadline:
            raise TelegramUnavailableError("Telegram's response takes too long")
    return bytes(data)


def _result(status: int, data: bytes) -> Any:
    try:
        reply = json.loads(data)
    except (ValueError, RecursionError):
        reply = None
    if status == 200 and isinstance(reply, dict) and reply.get("ok") is True and "result" in reply:
        return reply["result"]
    why = {
        401: "Telegram doesn't know the token",
        404: "Telegram doesn't know the token",
        409: "another program reads this bot's messages, or a webhook is set",
        429: "Telegram asks for fewer requests",
    }
    raise TelegramUnavailableError(
        why.get(status, f"Telegram's response can't be used (status {status})"), _wait(reply)
    )


def _wait(reply: object) -> float:
    """Return how long Telegram asks to wait, in seconds, within limits."""
    parameters = reply.get("parameters") if isinstance(reply, dict) else None
    wait = parameters.get("retry_after") if isinstance(parameters, dict) else None
    return float(min(max(wait, 1), LONGEST_WAIT_S)) if type(wait) is int else 0.0
