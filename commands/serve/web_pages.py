"""The health pages over HTTP: only GET and HEAD, and only under known host names of this machine."""

import json
import re
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from http import HTTPStatus
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import parse_qsl

from msgspec import Struct
from msgspec.structs import asdict
from prometheus_client import CollectorRegistry
from prometheus_client.core import GaugeMetricFamily, InfoMetricFamily, Metric
from prometheus_client.exposition import choose_encoder
from prometheus_client.registry import Collector

from commands.shared.verb_options import jsonable
from tradebot import __version__
from tradebot.adapters.state.events import last_events
from tradebot.adapters.text.redaction import hide_keys
from tradebot.judging.component_health import NEVER
from tradebot.judging.evidence import Disk, HealthEvidence, OrderEvidence, Serve, SessionEvidence, UnreadablePart
from tradebot.judging.judgment import HealthState, Judgment, rank_judgments, worst_state
from tradebot.judging.pass_health import finished_passes, latest_pass, missed_slots
from tradebot.model.event import EventKind, Severity
from tradebot.model.instrument import notional
from tradebot.model.record import Job
from tradebot.model.sentences import pluralize
from tradebot.views.holdings import Holding
from tradebot.views.metrics import MetricFigures

JSON = "application/json"
TRADING = ("serve", "exits", "broker", "books", "ledger", "journal", "calendar", "clock", "disk", "halts")
"""The components without which nothing may be traded now."""
PASSES = {"exits": Job.EVALUATE_EXITS, "entries": Job.TRADE_ONCE, "flow": Job.FETCH_FLOW}
"""The components whose passes trading needs: none may let two slots begin without finishing a pass."""


class TradingCondition(Struct, frozen=True):
    """One condition of trading now, whether it is met, and the evidence."""

    name: str
    holds: bool
    found: str


class ResponseData(Struct, frozen=True):
    """The data for one response."""

    evidence: HealthEvidence
    judgments: tuple[Judgment, ...]
    figures: MetricFigures | UnreadablePart
    is_open: bool
    permission: Judgment
    positions: tuple[Holding, ...] | UnreadablePart


class PageReply(NamedTuple):
    """One response: its status, its content type and its text."""

    status: int
    kind: str
    text: str


def document(status: int, fields: Mapping[str, Any]) -> PageReply:
    """Return a JSON document without secrets."""
    return PageReply(status, JSON, hide_keys(json.dumps(jsonable(fields), allow_nan=False)) + "\n")


def healthz(process: Judgment, at: datetime) -> PageReply:
    """Return whether the process works, which means that its lanes were active recently."""
    status = 200 if process.state in (HealthState.OK, HealthState.DEGRADED) else 503
    return document(status, {"status": process.state, "timestamp": at, "found": process.found, "age_s": process.age_s})


def readyz(looked: ResponseData) -> PageReply:
    """Return whether the bot may trade now, and each condition that this depends on."""
    conditions = tuple(_conditions(looked))
    ready = all(condition.holds for condition in conditions)
    body = {"ready": ready, "timestamp": looked.evidence.at, "conditions": [asdict(each) for each in conditions]}
    return document(200 if ready else 503, body)


def _conditions(looked: ResponseData) -> Sequence[TradingCondition]:
    judgments = {judgment.subject: judgment for judgment in (*looked.judgments, looked.permission)}
    return (
        TradingCondition("session", looked.is_open, "open" if looked.is_open else "no session is open"),
        *(
            TradingCondition(name, judgments[name].state is HealthState.OK, judgments[name].found)
            for name in ("permission", *TRADING)
        ),
        _slots(looked.evidence),
    )


def _slots(evidence: HealthEvidence) -> TradingCondition:
    """Return the condition that no job has begun two slots or more since its last finished pass."""
    behind = []
    for name, job in PASSES.items():
        past = evidence.parts.get(name)
        last = latest_pass(finished_passes(past, job)) if isinstance(past, SessionEvidence) else None
        many = sum(start > (last.at if last else NEVER) for start in evidence.due.get(job, ()))
        if isinstance(past, SessionEvidence) and many > 1:
            behind.append(f"{pluralize(many, 'slot')} of {name}")
    text = f"{' and '.join(behind)} began, but no pass finished" if behind else "no job has missed two slots in a row"
    return TradingCondition("slots", not behind, text)


def health(looked: ResponseData) -> PageReply:
    """Return the health of each part, with status 503 if anyone has to act. Field names match those of earlier bots."""
    evidence, state = looked.evidence, worst_state(looked.judgments)
    wrong = rank_judgments(looked.judgments)
    fields = {
        "status": state,
        "timestamp": evidence.at,
        "uptime_seconds": uptime_s(evidence),
        **_figures(looked),
        "positions": _positions(looked),
        "issues": [f"{judgment.subject} {judgment.state}: {judgment.found}" for judgment in wrong],
        "alpaca_connected": any(each.subject == "broker" and each.state is HealthState.OK for each in looked.judgments),
        "subsystems": looked.judgments,
    }
    return document(503 if state.is_finding else 200, fields)


def _figures(looked: ResponseData) -> Mapping[str, Any]:
    figures, past = looked.figures, looked.evidence.parts.get("strategies")
    models = past.strategies if isinstance(past, SessionEvidence) else None
    if isinstance(figures, UnreadablePart):
        return {**dict.fromkeys(MetricFigures.__struct_fields__), "last_error": figures.why, "models": models}
    return {**asdict(figures), "models": models}


def _positions(looked: ResponseData) -> Sequence[Mapping[str, Any]] | None:
    """Return each open position, its value in USD at the last recorded price; None if they can't be read."""
    if isinstance(looked.positions, UnreadablePart):
        return None
    return [
        {
            "symbol": each.symbol,
            "strategy": each.strategy,
            "quantity": each.quantity,
            "value_usd": None if each.price is None else notional(each.quantity, each.price, each.multiplier),
            "stop_rests": each.protection is not None and any(price.is_stop for price in each.protection.resting),
        }
        for each in looked.positions
    ]


def uptime_s(evidence: HealthEvidence) -> float | None:
    """Return how long `serve` has been running; None if it isn't."""
    serve = evidence.parts.get("serve")
    if not isinstance(serve, Serve) or serve.note is None or not serve.running:
        return None
    return max((evidence.at - serve.note.since).total_seconds(), 0.0)


LOOPBACK = frozenset({"127.0.0.1", "localhost", "::1"})
METHODS = ("GET", "HEAD")
PATIENCE_S = 5.0
"""How long a request waits for another one's response, such as one that waits for locked books."""
LONGEST_QUERY, MOST_PARAMETERS = 500, 10
SEARCHED, MOST_EVENTS, USUAL_EVENTS = 5_000, 500, 50
HOST = re.compile(r"(?:\[([0-9a-f:.]+)\]|([a-z0-9.-]+))(?::[0-9]{1,5})?", re.ASCII)
SYMBOL = re.compile(r"[A-Z0-9][A-Z0-9._/-]{0,31}", re.ASCII)
HEADERS = [
    ("Cache-Control", "no-store"),
    ("Content-Security-Policy", "default-src 'none'; frame-ancestors 'none'"),
    ("Referrer-Policy", "no-referrer"),
    ("X-Content-Type-Options", "nosniff"),
]
SUBSYSTEMS = frozenset(kind.subsystem for kind in EventKind)


METRICS = "/metrics"
FORMATS = {"json": JSON, "text": "text/plain"}
"""The values of `format`, and the media type that each stands for in the header `Accept`."""


def _metrics(looked: ResponseData, accept: str) -> PageReply:
    return metrics(looked, accept)


LOOKED: Mapping[str, Callable[[ResponseData, str], PageReply]] = {
    "/readyz": lambda looked, accept: readyz(looked),
    "/health": lambda looked, accept: health(looked),
    "/api/sre/health": lambda looked, accept: health(looked),
    METRICS: _metrics,
}
"""The pages that need all health data. The first system answered `/api/sre/health`, which monitors may still ask."""
PROCESS, EVENTS = "/healthz", "/system-events"
PAGES = (PROCESS, *LOOKED, EVENTS)


class InvalidRequestError(ValueError):
    """An invalid request, with the reason as its text."""


class ServePages:
    """The WSGI application. `process` judges the process alone, without the books; `look` gathers all data."""

    def __init__(
        self, events: Path, hosts: Iterable[str], process: Callable[[], Judgment], look: Callable[[], ResponseData]
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

    def _answer(self, environ: Mapping[str, Any]) -> PageReply:
        match = HOST.fullmatch(str(environ.get("HTTP_HOST", "")).lower())
        if ((match[1] or match[2]) if match else "") not in self._hosts:
            return _refusal(HTTPStatus.MISDIRECTED_REQUEST, "this host name isn't in health.hosts")
        if environ["REQUEST_METHOD"] not in METHODS:
            return _refusal(HTTPStatus.METHOD_NOT_ALLOWED, "only GET and HEAD are answered")
        if environ.get("CONTENT_LENGTH") not in (None, "", "0") or environ.get("HTTP_TRANSFER_ENCODING"):
            return _refusal(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, "a request must have no body")
        path, query = str(environ.get("PATH_INFO", "")), str(environ.get("QUERY_STRING", ""))
        if path not in PAGES:
            return _refusal(HTTPStatus.NOT_FOUND, f"ask for one of {', '.join(PAGES)}")
        try:
            if path == EVENTS:
                return self._system_events(query)
            wanted = _parameters(query, ("format",) if path == METRICS else ())
            _require_known(wanted, "format", frozenset(FORMATS))
            if path == PROCESS:
                return healthz(self._process(), datetime.now(UTC))
            accept = FORMATS.get(wanted.get("format", ""), str(environ.get("HTTP_ACCEPT", "")))
            return self._answer_from_records(lambda looked: LOOKED[path](looked, accept))
        except InvalidRequestError as wrong:
            return _refusal(HTTPStatus.BAD_REQUEST, str(wrong))

    def _answer_from_records(self, answer: Callable[[ResponseData], PageReply]) -> PageReply:
        if not self._one_at_a_time.acquire(timeout=PATIENCE_S):
            return document(503, {"status": "UNKNOWN", "issues": ["the bot's records couldn't be read in time"]})
        try:
            return answer(self._look())
        finally:
            self._one_at_a_time.release()

    def _system_events(self, query: str) -> PageReply:
        wanted = _parameters(query, ("subsystem", "severity", "symbol", "last"))
        wanted["severity"] = wanted.get("severity", "").upper()
        _require_known(wanted, "subsystem", SUBSYSTEMS)
        _require_known(wanted, "severity", frozenset(Severity))
        if wanted.get("symbol") and not SYMBOL.fullmatch(wanted["symbol"]):
            raise InvalidRequestError("symbol must be a ticker such as AAPL")
        last = wanted.pop("last", str(USUAL_EVENTS))
        if not last.isascii() or not last.isdigit() or not 1 <= int(last[:6]) <= MOST_EVENTS:
            raise InvalidRequestError(f"last must be a number from 1 to {MOST_EVENTS}")
        events, unreadable = last_events(self._events, SEARCHED)
        rows = [each for each in events if all(getattr(each, name) == value for name, value in wanted.items() if value)]
        return document(200, {"looked_at": len(events), "unreadable": unreadable, "events": rows[-int(last) :]})


def _parameters(query: str, names: tuple[str, ...]) -> dict[str, str]:
    if len(query) > LONGEST_QUERY:
        raise InvalidRequestError("the query is too long")
    try:
        pairs = (
            parse_qsl(query, keep_blank_values=True, strict_parsing=True, max_num_fields=MOST_PARAMETERS)
            if query
            else []
        )
    except ValueError:
        raise InvalidRequestError("the query can't be read") from None
    headers = dict(pairs)
    if len(headers) < len(pairs) or not all(headers.values()):
        raise InvalidRequestError("a parameter is empty or given twice")
    if unknown := headers.keys() - set(names):
        expected = f"use {', '.join(names)}" if names else "this page takes none"
        raise InvalidRequestError(f"{pluralize(len(unknown), 'unknown parameter')}: {expected}")
    return headers


def _require_known(wanted: Mapping[str, str], name: str, names: frozenset[str]) -> None:
    if wanted.get(name) and wanted[name] not in names:
        raise InvalidRequestError(f"{name} is one of {', '.join(sorted(names))}")


def _refusal(status: HTTPStatus, why: str) -> PageReply:
    return document(status, {"error": why})


SEVERITIES = {
    HealthState.OK: 0,
    HealthState.SKIPPED: 0,
    HealthState.NOT_DUE: 0,
    HealthState.UNKNOWN: 1,
    HealthState.DEGRADED: 2,
    HealthState.FAILED: 3,
}
PART_STATE = "A part's state: 0 OK or not due, 1 unknown, 2 degraded, 3 failed."
OF_PARTS: Mapping[str, tuple[str, str]] = {
    "tradebot_evidence_age_seconds": ("age_s", "Age of the newest evidence about a part."),
    "tradebot_evidence_late_seconds": ("late_s", "For how long newer evidence about a part has been due."),
    "tradebot_evidence_budget_seconds": (
        "budget_s",
        "How many seconds overdue a part's newest evidence may be before the part counts as failed.",
    ),
    "tradebot_evidence_count": ("count", "How many pieces of evidence about a part were looked at."),
}


def metrics(looked: ResponseData, accept: str) -> PageReply:
    """Return all figures in the format that the client accepts.

    In JSON, a figure with labels is an object keyed by the label's value.
    """
    if JSON in accept:
        return document(200, {family.name: _values(family) for family in _Figures(looked).collect()})
    registry = CollectorRegistry(auto_describe=False)
    registry.register(_Figures(looked))
    encoder, kind = choose_encoder(accept)
    return PageReply(200, kind, hide_keys(encoder(registry).decode("utf-8")))


def _values(family: Metric) -> Any:
    values = {next(iter(each.labels.values()), ""): each.value for each in family.samples}
    return values.get("", values)


class _Figures(Collector):
    """The gathered health data as metrics; unknown values are left out."""

    def __init__(self, looked: ResponseData) -> None:
        self._looked = looked

    def collect(self) -> Iterator[Metric]:
        """Yield the metrics."""
        looked = self._looked
        yield InfoMetricFamily("tradebot", "The version of the bot.", {"version": __version__})
        for name, (field, meaning) in OF_PARTS.items():
            family = GaugeMetricFamily(name, meaning, labels=["part"])
            for judgment in looked.judgments:
                value = getattr(judgment, field)
                if value is not None:
                    family.add_metric([judgment.subject], float(value))
            yield family
        states = GaugeMetricFamily("tradebot_parts", "How many parts are in each state.", labels=["state"])
        for state in HealthState:
            states.add_metric([state.value], sum(judgment.state is state for judgment in looked.judgments))
        yield states
        parts = GaugeMetricFamily("tradebot_part_state", PART_STATE, labels=["part"])
        for judgment in looked.judgments:
            parts.add_metric([judgment.subject], SEVERITIES[judgment.state])
        yield parts
        for name, meaning, value in (*_of_figures(looked), *_of_evidence(looked.evidence), *_of_positions(looked)):
            if value is not None:
                yield GaugeMetricFamily(name, meaning, float(value))


def _of_figures(looked: ResponseData) -> Iterator[tuple[str, str, float | None]]:
    figures = looked.figures
    if isinstance(figures, UnreadablePart):
        return
    yield "tradebot_last_cycle_age_seconds", "Trading time since the last pass.", figures.last_cycle_ago_seconds
    fetch, mismatches = figures.data_fetch_latency_ms, figures.position_mismatches
    yield "tradebot_total_cycles", "Passes of all jobs in the last session.", figures.total_cycles
    yield (
        "tradebot_order_success_rate",
        "Share of answered orders that the broker accepted.",
        figures.order_success_rate,
    )
    yield "tradebot_data_fetch_latency_ms", "How long the last fetch of flow took.", fetch
    yield "tradebot_position_mismatches", "Differences that the last comparison of books found.", mismatches
    yield "tradebot_errors", "Events of the last day with severity ERROR or CRITICAL.", figures.errors
    yield "tradebot_warnings", "Events of the last day with severity WARN.", figures.warnings
    yield "tradebot_healings", "Automatic repairs of the last day.", figures.healings


def _of_positions(looked: ResponseData) -> Iterator[tuple[str, str, float | None]]:
    if isinstance(looked.positions, UnreadablePart):
        return
    bare = [each for each in looked.positions if each.is_held and each.protection and each.protection.lacks_stop]
    yield "tradebot_positions", "Open positions of the account.", len(looked.positions)
    yield "tradebot_positions_without_stop", "Positions that lack the stop that the settings require.", len(bare)


def _of_evidence(evidence: HealthEvidence) -> Iterator[tuple[str, str, float | None]]:
    yield "tradebot_uptime_seconds", "For how long serve has been running.", uptime_s(evidence)
    disk, past, orders = (evidence.parts.get(name) for name in ("disk", "schedule", "orders"))
    if isinstance(disk, Disk):
        yield "tradebot_disk_free_bytes", "Free space on the disk of the state folder.", disk.free_bytes
    if isinstance(past, SessionEvidence):
        yield "tradebot_slots_missed", "Slots of the last session that no pass ran in.", len(missed_slots(past))
    if isinstance(orders, OrderEvidence):
        yield "tradebot_orders_unresolved", "Orders whose outcome is unknown.", orders.unresolved
