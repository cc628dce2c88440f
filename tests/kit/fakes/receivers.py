"""Receivers on this machine that answer as a test wants them to: notices, chats, a bucket."""

import json
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

# A bucket on this machine: as much of S3 as backups need, which answers as a test wants it to.

NAME, KEY, SECRET = "copies", "AKIDCANARY7Q7Q", "s3cr/Ca+n4ry" * 3
HOOK = "hook-of-ann-0123456789"


class Bucket(ThreadingHTTPServer):
    """The objects of one bucket by name, each with its digest, and how the next requests go wrong."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.objects: dict[str, tuple[bytes, str]] = {}
        self.cut_after: int | None = None
        self.loses_bytes = self.is_full = False

    @property
    def address(self) -> str:
        """Return the address of the service."""
        return f"http://127.0.0.1:{self.server_port}"


class _Handler(BaseHTTPRequestHandler):
    server: Bucket
    # Otherwise each upload would wait a second for word that it may begin.
    protocol_version = "HTTP/1.1"

    def do_PUT(self) -> None:
        content = self.rfile.read(int(self.headers["Content-Length"]))
        if self.server.cut_after is not None and len(self.server.objects) >= self.server.cut_after:
            self.close_connection = True
            return
        if self.server.is_full:
            self._refuse(507, "InsufficientStorage")
        elif name := self._name():
            kept = content[:10] if self.server.loses_bytes else content
            self.server.objects[name] = kept, self.headers.get("x-amz-meta-sha256", "")
            self._answer(200, b"")

    def do_GET(self) -> None:
        asked = urlsplit(self.path)
        if (name := self._name()) is None:
            return
        if not name:
            prefix = parse_qs(asked.query).get("prefix", [""])[0]
            rows = "".join(
                f"<Contents><Key>{key}</Key><LastModified>2026-11-16T21:00:00.000Z</LastModified></Contents>"
                for key in sorted(self.server.objects)
                if key.startswith(prefix)
            )
            self._answer(200, f"<ListBucketResult><IsTruncated>false</IsTruncated>{rows}</ListBucketResult>".encode())
        elif name in self.server.objects:
            content, digest = self.server.objects[name]
            self._answer(200, content, {"x-amz-meta-sha256": digest})
        else:
            self._refuse(404, "NoSuchKey")

    def do_HEAD(self) -> None:
        self.do_GET()

    def _name(self) -> str | None:
        """Return the name of the object that is meant, empty for the bucket; answer and return None if it's refused."""
        _, bucket, *parts = unquote(urlsplit(self.path).path).split("/")
        if f"Credential={KEY}/" not in self.headers.get("Authorization", ""):
            self._refuse(403, "InvalidAccessKeyId")
            return None
        if bucket != NAME:
            self._refuse(404, "NoSuchBucket")
            return None
        return "/".join(parts)

    def _refuse(self, status: int, code: str) -> None:
        said = f"<Error><Code>{code}</Code><Message>of {self.headers.get('Authorization')}</Message></Error>"
        self._answer(status, said.encode())

    def _answer(self, status: int, body: bytes, headers: dict[str, str] | None = None) -> None:
        self.send_response(status)
        for name, text in {**(headers or {}), "Content-Length": str(len(body))}.items():
            self.send_header(name, text)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the library's own name
        """Say nothing."""


@contextmanager
def serving() -> Iterator[Bucket]:
    """Serve an empty bucket."""
    with Bucket() as bucket:
        thread = threading.Thread(target=bucket.serve_forever, args=(0.01,), daemon=True)
        thread.start()
        try:
            yield bucket
        finally:
            bucket.shutdown()
            thread.join()


Answer = Callable[[BaseHTTPRequestHandler], None]


class Receiver:
    """What came to a receiver: the path and the body of each request."""

    def __init__(self, port: int) -> None:
        self.address = f"127.0.0.1:{port}"
        self.got: list[tuple[str, bytes]] = []

    def bodies(self) -> str:
        """Return everything that came, as one text."""
        return "\n".join(f"{path} {body.decode()}" for path, body in self.got)


def says(status: int, body: bytes = b'{"ok": true}', **headers: str) -> Answer:
    """Return what answers with a status and a body."""

    def answer(request: BaseHTTPRequestHandler) -> None:
        request.send_response(status)
        for name, text in headers.items():
            request.send_header(name, text)
        request.send_header("Content-Length", str(len(body)))
        request.end_headers()
        request.wfile.write(body)

    return answer


def hang(request: BaseHTTPRequestHandler) -> None:
    """Accept a request and don't answer for longer than anybody waits in a test."""
    time.sleep(20)


@contextmanager
def receiving(answer: Answer | None = None) -> Iterator[Receiver]:
    """Run a receiver inside the block; without an answer of its own, it accepts everything."""
    accept = answer or says(200)

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            receiver.got.append((self.path, b""))
            accept(self)

        def do_POST(self) -> None:
            receiver.got.append((self.path, self.rfile.read(int(self.headers.get("Content-Length", "0")))))
            accept(self)

        do_PUT = do_POST  # noqa: N815 - the name is the library's

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    receiver = Receiver(server.server_port)
    thread = threading.Thread(target=server.serve_forever, args=(0.02,))
    thread.start()
    try:
        yield receiver
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


# A server on this machine that speaks as Telegram's Bot API does, and keeps everything that a bot asked of it.

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
