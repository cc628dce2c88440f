"""Report what a person should know about a new market: skipped rows, and captures it can't show."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from datetime import date
from pathlib import Path
from typing import NamedTuple

from tradebot.exchange.flow.captured import Capture, read_folder
from tradebot.exchange.market.daily_file import is_parquet
from tradebot.exchange.market.recorded import reasons
from tradebot.exchange.market.sessions import Calendar, calendar_from_rows
from tradebot.exchange.state import CAPTURES_FOLDER, read_market
from tradebot.exchange.times import MINUTE, rfc3339

_DAYS_LISTED = 3


class Remarks(NamedTuple):
    """Sentences about a market; `complete_at` is the ISO time from which all captures of its sessions are served.

    It is None if every row is known by its session's close.
    """

    sentences: tuple[str, ...]
    complete_at: str | None


def remarks(state_dir: Path) -> Remarks:
    """Inspect the market of a folder; raise MarketError if it is damaged."""
    stored = read_market(state_dir)
    sentences = []
    if stored.skipped_rows:
        source = stored.spec.source
        if source == "daily":
            source = "parquet" if is_parquet(Path(stored.spec.path or "")) else "csv"
        left_out = reasons(source, stored.skipped_rows, stored.first_lines)
        sentences.append(f"skipped {_rows(sum(stored.skipped_rows.values()))} of the recorded bars: {left_out}")
    if stored.extended_rows:
        sentences.append(
            f"{_rows(stored.extended_rows)} of the recorded bars outside regular hours: clients see them, but only "
            "orders marked for extended hours can fill in them"
        )
    if stored.spec.uw_folder is None:
        return Remarks(tuple(sentences), None)
    captures = read_folder(state_dir / CAPTURES_FOLDER)
    begins = stored.sessions[stored.first]["date"]
    if begins == _session_of(captures):
        sentences.append(f"the market begins on {begins}, the session in the captured flow")
    calendar = calendar_from_rows(stored.sessions, stored.first, stored.spec.sessions)
    return Remarks((*sentences, *_shown(calendar, captures)), _complete_at(calendar, captures))


def captured_session(folder: Path) -> date | None:
    """Return the first day that a folder's captures show, or None if no row belongs to a day."""
    shown = _session_of(read_folder(folder))
    return date.fromisoformat(shown) if shown else None


def _session_of(captures: Mapping[str, Capture]) -> str | None:
    days = (max(capture.days) for capture in captures.values() if capture.of_the_day and capture.days)
    return min(days, default=None)


def _shown(calendar: Calendar, captures: Mapping[str, Capture]) -> list[str]:
    """Count the captured rows whose day is a session of the market, and those whose day isn't."""
    first, last = calendar.market[0].date, calendar.market[-1].date
    days = Counter(day for capture in captures.values() if capture.of_the_day for day in capture.days)
    inside = Counter({day: count for day, count in days.items() if day in calendar.index_of})
    outside = days - inside
    sentences = [f"captured flow: {_rows(inside.total())} in the sessions from {first} to {last}{_listed(inside)}"]
    if outside:
        sentences.append(
            f"captured flow: {_rows(outside.total())} from days outside those sessions{_listed(outside)}; "
            f"to play those days: --start {min(outside)}"
        )
    return sentences


def _rows(count: int) -> str:
    return f"{count} row{'' if count == 1 else 's'}"


def _listed(days: Counter[str]) -> str:
    listed = ", ".join(f"{day} {count}" for day, count in sorted(days.items())[:_DAYS_LISTED])
    more = f", and {len(days) - _DAYS_LISTED} more" if len(days) > _DAYS_LISTED else ""
    return f": {listed}{more}" if listed else ""


def _complete_at(calendar: Calendar, captures: Mapping[str, Capture]) -> str | None:
    closes = {session.date: session.close_us for session in calendar.market}
    late = [
        one.at_us
        for capture in captures.values()
        for one, day in zip(capture.rows, capture.days, strict=True)
        if day in closes and one.at_us > closes[day]
    ]
    newest = max(late, default=None)
    return None if newest is None else rfc3339(-(-newest // MINUTE) * MINUTE)
