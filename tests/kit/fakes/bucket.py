"""A bucket on this machine: as much of S3 as backups need, which answers as a test wants it to."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, unquote, urlsplit

NAME, KEY = "copies", "AKIDCANARY7Q7Q"


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
