"""What can be asked about health over HTTP: only with GET and HEAD, and only by known names of this machine."""

import re
import threading
from collections.abc import Callable, Iterable, Mapping
from datetime import UTC, datetime
from http import HTTPStatus
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl

from commands.serve.web_answers import Answer, Looked, document, health, healthz, readyz
from commands.serve.web_metrics import metrics
from tradebot.adapters.state.events import last_events
from tradebot.judging.judgment import Judgment
from tradebot.model.event import EventKind, Severity

LOOPBACK = frozenset({"127.0.0.1", "localhost", "::1"})
METHODS = ("GET", "HEAD")
PATIENCE_S = 5.0
"""How long an answer waits for another one that is being made, such as one that waits for locked books."""
LONGEST_QUERY, MOST_PARAMETERS = 500, 10
SEARCHED, MOST_EVENTS, USUAL_EVENTS = 5_000, 500, 50
HOST = re.compile(r"(?:\[([0-9a-f:.]+)\]|([a-z0-9.-]+))(?::[0-9]{1,5})?", re.ASCII)
SYMBOL = re.compile(r"[A-Z0-9][A-Z0-9./-]{0,20}", re.ASCII)
HEADERS = [
    ("Cache-Control", "no-store"),
    ("Content-Security-Policy", "default-src 'none'; frame-ancestors 'none'"),
    ("Referrer-Policy", "no-referrer"),
    ("X-Content-Type-Options", "nosniff"),
]
SUBSYSTEMS = frozenset(kind.subsystem for kind in EventKind)


def _metrics(looked: Looked, accept: str) -> Answer:
    return metrics(looked, accept)


LOOKED: Mapping[str, Callable[[Looked, str], Answer]] = {
    "/readyz": lambda looked, accept: readyz(looked),
    "/health": lambda looked, accept: health(looked),
    "/metrics": _metrics,
}
"""The pages that are answered by a look at everything."""
PROCESS, EVENTS = "/healthz", "/system-events"
PAGES = (PROCESS, *LOOKED, EVENTS)


class AskedWronglyError(ValueError):
    """A question that isn't understood; its text says why."""


class Pages:
    """The WSGI application. `process` judges the process alone, without the books; `look` looks at everything."""

    def __init__(
        self, events: Path, hosts: Iterable[str], process: Callable[[], Judgment], look: Callable[[], Looked]
    ) -> None:
        self._events = events
        self._hosts = LOOPBACK | frozenset(hosts)
        self._process = process
        self._look = look
        self._one_at_a_time = threading.Lock()

    def __call__(self, environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
        """Answer one request."""
        answer = self._answer(environ)
        body = answer.text.encode()
        headers = [("Content-Type", answer.kind), ("Content-Length", str(len(body))), *HEADERS]
        if answer.status == HTTPStatus.METHOD_NOT_ALLOWED:
            headers.append(("Allow", ", ".join(METHODS)))
        start_response(f"{answer.status} {HTTPStatus(answer.status).phrase}", headers)
        return [] if environ["REQUEST_METHOD"] == "HEAD" else [body]

    def _answer(self, environ: Mapping[str, Any]) -> Answer:
        if _name(str(environ.get("HTTP_HOST", ""))) not in self._hosts:
            return _refusal(HTTPStatus.MISDIRECTED_REQUEST, "this name isn't among health.hosts")
        if environ["REQUEST_METHOD"] not in METHODS:
            return _refusal(HTTPStatus.METHOD_NOT_ALLOWED, "only GET and HEAD are answered")
        if environ.get("CONTENT_LENGTH") not in (None, "", "0") or environ.get("HTTP_TRANSFER_ENCODING"):
            return _refusal(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, "a question has no body")
        path, query = str(environ.get("PATH_INFO", "")), str(environ.get("QUERY_STRING", ""))
        if path not in PAGES:
            return _refusal(HTTPStatus.NOT_FOUND, f"ask for one of {', '.join(PAGES)}")
        try:
            if path == EVENTS:
                return self._system_events(query)
            _parameters(query, ())
            if path == PROCESS:
                return healthz(self._process(), datetime.now(UTC))
            return self._looked(lambda looked: LOOKED[path](looked, str(environ.get("HTTP_ACCEPT", ""))))
        except AskedWronglyError as wrong:
            return _refusal(HTTPStatus.BAD_REQUEST, str(wrong))

    def _looked(self, answer: Callable[[Looked], Answer]) -> Answer:
        if not self._one_at_a_time.acquire(timeout=PATIENCE_S):
            return document(503, {"status": "UNKNOWN", "issues": ["the bot's records can't be read in time"]})
        try:
            return answer(self._look())
        finally:
            self._one_at_a_time.release()

    def _system_events(self, query: str) -> Answer:
        wanted = _parameters(query, ("subsystem", "severity", "symbol", "last"))
        wanted["severity"] = wanted.get("severity", "").upper()
        _require_known(wanted, "subsystem", SUBSYSTEMS)
        _require_known(wanted, "severity", frozenset(Severity))
        if wanted.get("symbol") and not SYMBOL.fullmatch(wanted["symbol"]):
            raise AskedWronglyError("symbol is not a symbol, such as AAPL")
        last = wanted.pop("last", str(USUAL_EVENTS))
        if not last.isascii() or not last.isdigit() or not 1 <= int(last[:6]) <= MOST_EVENTS:
            raise AskedWronglyError(f"last is a number from 1 to {MOST_EVENTS}")
        events, unreadable = last_events(self._events, SEARCHED)
        found = [
            each for each in events if all(getattr(each, name) == value for name, value in wanted.items() if value)
        ]
        return document(200, {"looked_at": len(events), "unreadable": unreadable, "events": found[-int(last) :]})


def _name(host: str) -> str:
    found = HOST.fullmatch(host.lower())
    return (found[1] or found[2]) if found else ""


def _parameters(query: str, known: tuple[str, ...]) -> dict[str, str]:
    if len(query) > LONGEST_QUERY:
        raise AskedWronglyError("the question is too long")
    try:
        pairs = (
            parse_qsl(query, keep_blank_values=True, strict_parsing=True, max_num_fields=MOST_PARAMETERS)
            if query
            else []
        )
    except ValueError:
        raise AskedWronglyError("the question can't be read") from None
    found = dict(pairs)
    if len(found) < len(pairs) or not all(found.values()):
        raise AskedWronglyError("a parameter is empty or given twice")
    if unknown := found.keys() - set(known):
        expected = f"use {', '.join(known)}" if known else "there are none here"
        raise AskedWronglyError(f"{len(unknown)} of the parameters is not known: {expected}")
    return found


def _require_known(wanted: Mapping[str, str], name: str, known: frozenset[str]) -> None:
    if wanted.get(name) and wanted[name] not in known:
        raise AskedWronglyError(f"{name} is one of {', '.join(sorted(known))}")


def _refusal(status: HTTPStatus, why: str) -> Answer:
    return document(status, {"error": why})
