"""Serve the options-flow API under /api, with the envelopes, headers and refusals of the real API.

Requests for flow are counted as the real service counts them: per minute, and per day, which ends at 20:00 in New York.
Both use engine time. The counts are lost when the server stops, because the log doesn't record reads.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from itertools import islice
from typing import Any, NamedTuple, Protocol

from papervenue.engine.engine import Engine
from papervenue.faces.web import MADE_AT, Call, Handler, Reply, Route, route
from papervenue.faults.fault_state import shown_us
from papervenue.flow.filters import PRINT_NUMBERS, build_alert_filter, matcher_of_prints
from papervenue.flow.series import (
    BUSIEST,
    ENDPOINTS,
    FlowEndpoint,
    FlowRows,
    Question,
    Row,
    envelope,
    feed_ticker,
    number,
)
from papervenue.jsontext import encode
from papervenue.market.profiles import SECTORS
from papervenue.params import Params
from papervenue.refusal import Refusal
from papervenue.times import DAY, HOUR, MINUTE, SECOND, new_york_date, parse_time, rfc3339

DAILY_LIMIT = 50_000
"""The daily allowance in responses if the exchange itself has no limit."""
UNCAPPED = 1_000_000
"""The number of requests per minute that responses state as left in that case, like the real service's largest plan."""
_DAY_ROLLS_BEFORE_MIDNIGHT = 4 * HOUR


class Count(NamedTuple):
    """The result of counting a request: its response's headers, and whether it exceeds a limit."""

    headers: dict[str, str]
    refused: bool


class FlowLimits:
    """Counts the requests of each key, and refuses those over a limit; a limit of None allows any number."""

    def __init__(self, per_minute: int | None, per_day: int | None) -> None:
        self._per_minute = per_minute
        self._per_day = per_day
        self._minutes: dict[str, tuple[int, int]] = {}
        self._days: dict[str, tuple[str, int]] = {}

    def count(self, key: str, now_us: int) -> Count:
        """Count one request. A refused one counts toward its minute, but not toward its day."""
        day, minute = new_york_date(now_us + _DAY_ROLLS_BEFORE_MIDNIGHT), now_us // MINUTE
        last_minute, in_minute = self._minutes.get(key, (minute, 0))
        last_day, in_day = self._days.get(key, (day, 0))
        in_minute = in_minute + 1 if last_minute == minute else 1
        in_day = in_day if last_day == day else 0
        over_day = self._per_day is not None and in_day >= self._per_day
        refused = over_day or (self._per_minute is not None and in_minute > self._per_minute)
        in_day += not refused
        self._minutes[key], self._days[key] = (minute, in_minute), (day, in_day)
        remaining = UNCAPPED if self._per_minute is None else max(self._per_minute - in_minute, 0)
        headers = {
            "x-uw-token-req-limit": str(DAILY_LIMIT if self._per_day is None else self._per_day),
            "x-uw-daily-req-count": str(in_day),
            "x-uw-minute-req-counter": str(in_minute),
            "x-uw-req-per-minute-remaining": str(remaining),
            "x-uw-req-per-minute-reset": str((MINUTE - now_us % MINUTE) * 1000 // SECOND),
        }
        return Count(headers, refused)


_TICKER = re.compile(r"[A-Z]{1,6}(\.[A-Z]{1,2})?")
_BEARER = re.compile(r"Bearer +\S+", re.IGNORECASE)
_TOO_MANY = Refusal(429, {"message": "too many requests"})
"""The service's own response is unknown, except that it is JSON."""
_ALERT_WINDOW = 7 * DAY
_DEFAULT_IV_DAYS = 5
_LISTS = ("issue_types[]", "sectors[]")
_PRINT_ORDERS = ("executed_at", "premium", "size", "volume", "trf_executed_at")


class FlowSource(Protocol):
    """Provides the flow known at a moment."""

    def alerts(self, tickers: Sequence[str], now_us: int) -> Iterable[Row]:
        """Return alerts for these tickers, or for all if none is given, newest first."""

    def answer(self, question: Question, now_us: int) -> FlowRows:
        """Return the rows for a request to one of the series, in the order in which its endpoint sends them."""


class FlowResult(NamedTuple):
    """The result of a request: its rows, and the response's other fields; a single row isn't put into a list."""

    rows: Sequence[Row]
    others: Mapping[str, Any] = {}
    single: bool = False

    def encode(self) -> bytes:
        if self.single and self.rows:
            return b'{"data":' + self.rows[0].encoded + b"}"
        return envelope(self.rows, **self.others)


Ask = Callable[[Call, Params], FlowResult]
"""Finds the result of a request; raises a Refusal."""


class FlowFace:
    """Handlers of the flow API; without `limits`, the number of requests is unlimited."""

    def __init__(self, engine: Engine, source: FlowSource, limits: FlowLimits | None = None) -> None:
        self._engine = engine
        self._source = source
        self._limits = limits or FlowLimits(None, None)

    def asks(self) -> Mapping[str, Ask]:
        """Return the function that handles each path, busiest first."""
        series = {endpoint.path: self._series(endpoint) for endpoint in (*BUSIEST, *ENDPOINTS)}
        return {"/api/option-trades/flow-alerts": self._alerts, **series}

    def routes(self) -> list[Route]:
        return [route(path, GET=self._counting_handler(ask)) for path, ask in self.asks().items()]

    def count_request(self, call: Call, ask: Ask) -> tuple[Mapping[str, str], FlowResult | Refusal]:
        """Count a request; return its response's headers, and its result. Raise a Refusal for a bad key."""
        key = call.headers.get("authorization", "")
        if not _BEARER.fullmatch(key):
            raise Refusal(401, {"message": "unauthorized"})
        now_us = self._engine.now_us
        counted, refused_for_now = self._limits.count(key, now_us)
        headers = {**counted, MADE_AT: rfc3339(now_us)}
        if refused_for_now:
            return headers, _TOO_MANY
        try:
            return headers, ask(call, _params(call))
        except Refusal as refusal:
            return headers, refusal

    def _counting_handler(self, ask: Ask) -> Handler:
        def answer(call: Call) -> Reply:
            headers, row = self.count_request(call, ask)
            return refuse_flow(row, headers) if isinstance(row, Refusal) else Reply(200, row.encode(), headers)

        return answer

    def _now_us(self, call: Call) -> int:
        """Return the engine time whose data is shown, which a fault script may have moved back."""
        return shown_us(call.effects, self._engine.now_us)

    def _alerts(self, call: Call, params: Params) -> FlowResult:
        now = self._now_us(call)
        newer, older = params.read("newer_than", _cursor), params.read("older_than", _cursor)
        newer = now - _ALERT_WINDOW if newer is None else newer
        older = now if older is None else min(older, now)
        limit = params.count("limit", 100, 200)
        matches = build_alert_filter(params, call.values("rule_name[]"), call.values("issue_types[]"))
        rows = _between(
            self._source.alerts([feed_ticker(word) for word in params.words("ticker_symbol")], now), newer, older
        )
        page = islice((row for row in rows if matches(row.fields)), limit)
        return FlowResult(tuple(page), {"newer_than": rfc3339(newer), "older_than": rfc3339(older)})

    def _series(self, endpoint: FlowEndpoint) -> Ask:
        choose = _CHOOSING.get(endpoint.series, _page)

        def answer(call: Call, params: Params) -> FlowResult:
            lists = {name: call.values(name) for name in _LISTS}
            question = Question(endpoint, call.raw_path, _about(call), params.date("date"), params, lists)
            answered = self._source.answer(question, self._now_us(call))
            if endpoint.single and answered.rows:
                return FlowResult(answered.rows[:1], single=True)
            return FlowResult(choose(answered.rows, question), answered.others)

        return answer


def _prints(rows: Sequence[Row], question: Question) -> Sequence[Row]:
    params = question.params
    limit, order = params.count("limit", 500, 500), params.choice("order_by", _PRINT_ORDERS)
    ascending = params.choice("order", ("desc", "asc")) == "asc"
    newer, older = params.read("newer_than", _cursor), params.read("older_than", _cursor)
    within = _between(rows, newer if newer is not None else 0, older if older is not None else 2**63)
    matches = matcher_of_prints(params)
    chosen = [row for row in within if matches(row.fields)]
    if order in PRINT_NUMBERS:
        chosen.sort(key=lambda item: _size_of(item, order), reverse=True)
    return (chosen[::-1] if ascending else chosen)[:limit]


def _tide(rows: Sequence[Row], question: Question) -> Sequence[Row]:
    question.params.flag("interval_5m", True)
    question.params.flag("otm_only", False)
    return rows


def _by_day(rows: Sequence[Row], question: Question) -> Sequence[Row]:
    """Keep daily rows of a day or earlier; a row without a date counts too."""
    dated = ((row, row.fields.get("date")) for row in rows)
    return [row for row, day in dated if question.day is None or not isinstance(day, str) or day <= question.day]


def _iv_ranks(rows: Sequence[Row], question: Question) -> Sequence[Row]:
    days = _by_day(rows, question)
    return days if question.params.text("timespan") else days[-_DEFAULT_IV_DAYS:]


def _oi_changes(rows: Sequence[Row], question: Question) -> Sequence[Row]:
    limit, page = question.params.count("limit", 50, 200), question.params.count("page", 1, 10_000)
    ordered = rows[::-1] if question.params.choice("order", ("desc", "asc")) == "asc" else rows
    return ordered[(page - 1) * limit : page * limit]


def _page(rows: Sequence[Row], question: Question) -> Sequence[Row]:
    """Return the requested page of the rows, with at most as many as the limit allows."""
    if question.endpoint.limit is None:
        return rows
    limit, page = question.params.count("limit", *question.endpoint.limit), 0
    if question.endpoint.paged:
        page = question.params.count("page", 0, 10_000, 0)
    return rows[page * limit : (page + 1) * limit]


_CHOOSING: Mapping[str, Callable[[Sequence[Row], Question], Sequence[Row]]] = {
    "prints": _prints,
    "tide": _tide,
    "greeks": _by_day,
    "iv-rank": _iv_ranks,
    "oi-change": _oi_changes,
}
"""How the parameters of a series select its rows; the other responses have pages."""


def _about(call: Call) -> str:
    """Return the ticker or the sector in a path; empty if it has neither."""
    if "ticker" in call.names:
        return _ticker(call)
    sector = call.names.get("sector", "")
    if sector and sector not in SECTORS:
        raise _unprocessable(call, f"Invalid path input: {sector[:40]} (valid example: Real Estate)")
    return sector


def refuse_flow(refusal: Refusal, headers: Mapping[str, str]) -> Reply:
    return Reply(refusal.status, encode(refusal.body), headers)


def _params(call: Call) -> Params:
    query = call.query
    return Params(
        query, lambda name: _unprocessable(call, f"Invalid query input(s): {name}={query.get(name, '')[:60]}")
    )


def _unprocessable(call: Call, message: str) -> Refusal:
    url = call.headers.get("host", "") + call.raw_path + ("?" + call.raw_query if call.raw_query else "")
    return Refusal(422, {"msg": message, "path": call.raw_path, "query": call.raw_query, "url": url})


def _ticker(call: Call) -> str:
    ticker = call.names["ticker"].upper()
    if not _TICKER.fullmatch(ticker):
        raise _unprocessable(call, f"Invalid path input: {ticker[:40]} (valid example: AAPL)")
    return feed_ticker(ticker)


def _cursor(text: str) -> int:
    """Read a time cursor: ISO text, Unix seconds, or Unix milliseconds; raise ValueError for anything else."""
    if text.isascii() and text.isdigit() and len(text) <= 13:
        return int(text) * (SECOND if len(text) <= 10 else SECOND // 1000)
    return parse_time(text)


def _between(rows: Iterable[Row], newer_us: int, older_us: int) -> Iterator[Row]:
    """Keep rows within both cursors, inclusive; the rows come newest first."""
    for row in rows:
        if row.at_us < newer_us:
            return
        if row.at_us <= older_us:
            yield row


def _size_of(row: Row, field: str) -> float:
    """Return the sort key of prints by a field; one that can't be read is last when the largest come first."""
    try:
        return number(row.fields, field)
    except (KeyError, TypeError, ValueError, OverflowError):
        return -math.inf
