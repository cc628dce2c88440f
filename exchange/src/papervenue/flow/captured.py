"""Replay captured flow responses, each {endpoint, captured_at, response}, as engine time passes.

Each row is served unchanged from the moment it became known. That is its own timestamp, or the time of its capture if
the row has no readable timestamp. Alerts are served for every requested ticker, because captures of their endpoint
aren't limited to one ticker. Every other endpoint serves only the exact path that was captured.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import unquote

from papervenue.flow.daily import published_us
from papervenue.flow.series import FlowRows, Question, Row, rows_known_at
from papervenue.jsontext import encode
from papervenue.market.spec import MarketError
from papervenue.times import DAY, at_new_york, new_york_date, parse_time

_ALERTS = "/api/option-trades/flow-alerts"
_ENVELOPE = "expected {endpoint, captured_at, response}: capture it again, or remove the file from the folder"
_FOLDER = "name a folder of .json captures that you may read"
_READABLE = range(at_new_york("1990-01-01", 0), at_new_york("2101-01-01", 0))


class Known(NamedTuple):
    """Which field of a captured row has the time from which the row is served, and how to parse that field.

    Rows `of_the_day` cover the current session; other rows cover the last year or the previous day. `single` means that
    the data is one object instead of a list.
    """

    field: str
    read: Callable[[str], int]
    of_the_day: bool = False
    single: bool = False


_NO_FIELD = ""
_UNDATED = (
    *("top-net-impact", "term-structure", "interpolated-iv", "ftds", "economic-calendar", "fda-calendar"),
    *("max-pain", "oi-per-strike"),
)
"""The last words of the paths whose rows have no time of their own: they are known from their capture on."""
_KNOWN = {
    "flow-alerts": Known("created_at", parse_time, of_the_day=True),
    "darkpool": Known("executed_at", parse_time, of_the_day=True),
    "market-tide": Known("timestamp", parse_time, of_the_day=True),
    "greek-exposure": Known("date", published_us),
    "iv-rank": Known("updated_at", parse_time),
    "oi-change": Known("curr_date", lambda day: at_new_york(day, 7, 30)),
    "options-volume": Known("date", published_us),
    "ticker-flow": Known("date", published_us),
    "historical-risk-reversal-skew": Known("date", published_us),
    "net-prem-ticks": Known("tape_time", parse_time, of_the_day=True),
    "sector-tide": Known("timestamp", parse_time, of_the_day=True),
    "spot-exposures": Known("time", parse_time, of_the_day=True),
    "realized": Known("date", published_us),
    "volume-and-ratio": Known("market_date", published_us),
    "ownership": Known("filing_date", published_us),
    "headlines": Known("created_at", parse_time),
    "recent-trades": Known("filed_at_date", published_us),
    "in-outflow": Known("date", published_us),
    "stocks": Known("date", published_us),
    **dict.fromkeys(_UNDATED, Known(_NO_FIELD, parse_time)),
    **dict.fromkeys(("v2", "stats", "info"), Known(_NO_FIELD, parse_time, single=True)),
}


class Capture(NamedTuple):
    """The rows of one endpoint, in the order in which they became known, and each row's date in New York."""

    rows: tuple[Row, ...]
    days: tuple[str, ...]
    of_the_day: bool


def read_folder(folder: Path) -> dict[str, Capture]:
    """Read the captures of all endpoints that this exchange serves; raise MarketError naming a damaged file."""
    captures: dict[str, Capture] = {}
    for path in capture_files(folder):
        answer = _read_file(path)
        endpoint = answer["endpoint"]
        kind = _kind(endpoint)
        if kind is not None:
            capture = _capture(path, answer, kind)
            captures[endpoint] = _merge_captures(captures[endpoint], capture) if endpoint in captures else capture
    return captures


def capture_files(folder: Path) -> list[Path]:
    """Return the capture files of a folder, sorted by name; raise MarketError if there are none."""
    try:
        files = sorted(path for path in folder.iterdir() if path.suffix == ".json")
    except OSError as error:
        raise MarketError(f"{folder}: no captured responses: {error.strerror}", _FOLDER) from error
    if not files:
        raise MarketError(f"{folder}: no captured responses: it holds no .json file", _FOLDER)
    return files


def _kind(endpoint: str) -> Known | None:
    parts = endpoint.split("/")
    if parts[2:3] == ["earnings"]:
        return _KNOWN["max-pain"]
    return _KNOWN.get(parts[2] if parts[2:3] == ["darkpool"] else parts[-1])


def _read_file(path: Path) -> dict[str, Any]:
    try:
        answer = json.loads(path.read_text(encoding="utf-8-sig"))
    except OSError as error:
        raise MarketError(f"{path} can't be read: {error.strerror}", _FOLDER) from error
    except (ValueError, RecursionError) as error:
        raise MarketError(f"{path}: not complete JSON: {error}", _ENVELOPE) from error
    if not isinstance(answer, dict) or not {"endpoint", "response"} <= set(answer):
        raise MarketError(f"{path}: not a captured response", _ENVELOPE)
    endpoint = answer["endpoint"]
    if not isinstance(endpoint, str) or not endpoint.startswith("/api/"):
        raise MarketError(f"{path}: endpoint {str(endpoint)[:60]!r} is not a path under /api/", _ENVELOPE)
    return answer


def _capture(path: Path, answer: dict[str, Any], kind: Known) -> Capture:
    """Date each row by its own time, or otherwise by the capture's; raise MarketError if neither can be read.

    A row without its own time gets the newest date among the other rows.
    """
    rows = _data(path, answer["response"], kind)
    if not rows:
        return Capture((), (), kind.of_the_day)
    captured_us = _moment(answer.get("captured_at"), parse_time)
    times = [_time_of(fields, kind, captured_us) for fields in rows]
    dated = [us for us in times if us is not None]
    newest_us = max(dated) if dated else captured_us
    if newest_us is None:
        raise MarketError(f"{path}: neither captured_at nor any row's {kind.field} is a readable time", _ENVELOPE)
    fallback_us = newest_us if captured_us is None else captured_us
    dated_rows = []
    for fields, us in zip(rows, times, strict=True):
        known_us, day = (fallback_us, new_york_date(newest_us)) if us is None else (us, new_york_date(us))
        dated_rows.append((Row(known_us, fields if isinstance(fields, dict) else {}, encode(fields)), day))
    # Alerts and prints are captured newest first. Reversing them before a stable sort keeps rows of the same moment in
    # their captured order when served.
    if kind.of_the_day and (not dated or dated[0] >= dated[-1]):
        dated_rows.reverse()
    return _sort_capture(dated_rows, kind.of_the_day)


def _data(path: Path, response: object, kind: Known) -> list[Any]:
    """Return the rows of a response; a few odd rows are for the client to handle, but some must be valid."""
    data = response.get("data") if isinstance(response, dict) else None
    if kind.single and isinstance(data, dict):
        return [data]
    if not isinstance(data, list):
        raise MarketError(f"{path}: its response holds no list of rows", 'expected {"data": [rows]}; ' + _ENVELOPE)
    if data and not any(isinstance(fields, dict) for fields in data):
        raise MarketError(f"{path}: none of its {len(data)} rows is an object", _ENVELOPE)
    return data


def _time_of(fields: object, kind: Known, captured_us: int | None) -> int | None:
    """Return when a row says it became known; None without a time, or if dated after the capture's day."""
    us = _moment(fields.get(kind.field), kind.read) if isinstance(fields, dict) else None
    wrong = us is not None and captured_us is not None and us > captured_us + DAY
    return None if wrong else us


def _moment(text: object, read: Callable[[str], int]) -> int | None:
    if not isinstance(text, str):
        return None
    try:
        us = read(text)
    except (ValueError, OverflowError):
        return None
    return us if us in _READABLE else None


def _sort_capture(rows: Iterable[tuple[Row, str]], of_the_day: bool) -> Capture:
    pairs = sorted(rows, key=lambda pair: pair[0].at_us)
    return Capture(tuple(row for row, _ in pairs), tuple(day for _, day in pairs), of_the_day)


def _merge_captures(first: Capture, second: Capture) -> Capture:
    """Merge two captures of one endpoint; a row in both appears once."""
    shown = {row.encoded for row in first.rows}
    others = zip(second.rows, second.days, strict=True)
    new = [(row, day) for row, day in others if row.encoded not in shown]
    return _sort_capture([*zip(first.rows, first.days, strict=True), *new], first.of_the_day)


class CapturedFlow:
    """A FlowSource that reads a folder of captures; it has no rows for an endpoint or day that wasn't captured."""

    def __init__(self, folder: Path) -> None:
        self._captures = read_folder(folder)

    def _rows_known(self, endpoint: str, day: str | None, now_us: int) -> Sequence[Row]:
        capture = self._captures.get(endpoint)
        if capture is None:
            return ()
        rows = rows_known_at(capture.rows, now_us)
        if day is None:
            return rows
        return [row for row, its_day in zip(rows, capture.days, strict=False) if its_day == day]

    def alerts(self, tickers: Sequence[str], now_us: int) -> Iterator[Row]:
        return iter(self._rows_known(_ALERTS, None, now_us)[::-1])

    def answer(self, question: Question, now_us: int) -> FlowRows:
        """Return the captured rows of a path, in the order of the endpoint.

        A tide keeps the interval at which it was captured.
        """
        endpoint, about = question.endpoint, question.about
        named = endpoint.path.format(ticker=about, sector=about)
        path = named if named in self._captures else unquote(question.path)
        capture = self._captures.get(path)
        dated = endpoint.series == "oi-change" or (capture is not None and capture.of_the_day)
        rows = self._rows_known(path, question.day if dated else None, now_us)
        day = question.day or (str(rows[-1].fields.get("date", "")) if rows else "")
        return FlowRows(
            rows[::-1] if endpoint.newest_first else rows, {"date": day} if endpoint.series == "tide" else {}
        )
