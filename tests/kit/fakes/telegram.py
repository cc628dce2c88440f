"""A server on this machine that speaks as Telegram's Bot API does, and keeps everything that a bot asked of it."""

import json
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler
from typing import Any

from tests.kit.fakes.receiver import receiving, says

TOKEN = "4217000042:" + "AAchat-token_of-tests" * 2
ANN = 7001


class FakeTelegram:
    """What was written to the bot and not yet taken, and what the bot sent."""

    def __init__(self) -> None:
        self.updates: list[Any] = []
        self.sent: list[dict[str, Any]] = []
        self.asked: list[str] = []
        self.raw: list[tuple[int, bytes]] = []
        self.address = ""
        self._number, self._lock = 100, threading.Lock()

    def answer(self, request: BaseHTTPRequestHandler) -> None:
        method, body = request.path.rpartition("/")[2], json.loads(self._body)
        with self._lock:
            self.asked.append(method)
        if method == "getUpdates" and self.raw:
            status, data = self.raw.pop(0)
            says(status, data, Location="https://elsewhere.example/")(request)
            return
        result = {"getUpdates": self._given, "sendMessage": self._keep}.get(method, lambda body: True)(body)
        says(200, json.dumps({"ok": True, "result": result}).encode())(request)

    def _given(self, body: dict[str, Any]) -> list[Any]:
        deadline = time.monotonic() + body["timeout"]
        while True:
            with self._lock:
                offset = body.get("offset", 0)
                self.updates = [one for one in self.updates if self._after(one, offset)]
                if self.updates or time.monotonic() >= deadline:
                    return self.updates[: body["limit"]]
            time.sleep(0.02)

    @staticmethod
    def _after(update: Any, offset: int) -> bool:
        number = update.get("update_id") if isinstance(update, dict) else None
        return type(number) is not int or number >= offset

    def _keep(self, body: dict[str, Any]) -> dict[str, Any]:
        self.sent.append(body)
        return {"message_id": 1000 + len(self.sent), "chat": {"id": body["chat_id"], "type": "private"}}

    def next_number(self) -> int:
        self._number += 1
        return self._number

    def typed(self, text: object, user: int = ANN, **more: Any) -> dict[str, Any]:
        """Return an update as a person's typing makes it; `more` changes the message."""
        person, chat = {"id": user, "is_bot": False, "first_name": "Ann"}, {"id": user, "type": "private"}
        message = {"message_id": 1, "from": person, "chat": chat, "date": int(time.time()), "text": text, **more}
        return {"update_id": self.next_number(), "message": message}

    def pressed(self, data: object, message: int, user: int = ANN, **more: Any) -> dict[str, Any]:
        """Return an update as pressing a button makes it; `more` changes the query."""
        of = {"message_id": message, "chat": {"id": user, "type": "private"}, "date": int(time.time())}
        person = {"id": user, "is_bot": False, "first_name": "Ann"}
        query = {"id": "77", "from": person, "message": of, "chat_instance": "5", "data": data, **more}
        return {"update_id": self.next_number(), "callback_query": query}

    def button(self, label: str) -> dict[str, Any]:
        """Return an update as pressing the newest button of this label makes it."""
        for number in range(len(self.sent), 0, -1):
            for row in self.sent[number - 1].get("reply_markup", {"inline_keyboard": []})["inline_keyboard"]:
                for one in row:
                    if one["text"] == label:
                        return self.pressed(one["callback_data"], 1000 + number)
        raise AssertionError(f"no button {label}")

    def texts(self) -> list[str]:
        return [body["text"] for body in self.sent]

    _body = b"{}"


@contextmanager
def chatting() -> Iterator[FakeTelegram]:
    """Run such a server inside the block."""
    fake = FakeTelegram()

    def answer(request: BaseHTTPRequestHandler) -> None:
        fake._body = received.got[-1][1]
        fake.answer(request)

    with receiving(answer) as received:
        fake.address = f"http://{received.address}"
        yield fake
