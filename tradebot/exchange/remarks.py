"""What a person should know of a market that was just made: the rows left out, and the captures it cannot show."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from datetime import date
from pathlib import Path
from typing import NamedTuple

from tradebot.exchange.flow.captured import Capture, read_folder
from tradebot.exchange.market.recorded import reasons
from tradebot.exchange.market.sessions import calendar_from_rows
from tradebot.exchange.state import CAPTURES_FOLDER, StoredMarket, read_market
from tradebot.exchange.times import MINUTE, rfc3339

_DAYS_LISTED = 3


class Remarks(NamedTuple):
    """Sentences about a market; `complete_at` is the ISO time from which all captures of its sessions are served.

    It is None where every row of theirs is known by its session's close.
    """

    sentences: tuple[str, ...]
    complete_at: str | None


def remarks(state_dir: Path) -> Remarks:
    """Look at the market of a folder; raises MarketError where it is damaged."""
    stored = read_market(state_dir)
    sentences = []
    if stored.skipped_rows:
        left_out = reasons(stored.spec.source, stored.skipped_rows, stored.first_lines)
        sentences.append(f"{sum(stored.skipped_rows.values())} rows of the bars are left out: {left_out}")
    if stored.extended_rows:
        sentences.append(
            f"{stored.extended_rows} rows of the bars are of the hours before and after the sessions: they are shown "
            "and fill only what is marked for extended hours"
        )
    if stored.spec.uw_folder is None:
        return Remarks(tuple(sentences), None)
    captures = read_folder(state_dir / CAPTURES_FOLDER)
    begins = stored.sessions[stored.first]["date"]
    if begins == _session_of(captures):
        sentences.append(f"the market begins on {begins}, the session that the captured flow shows")
    return Remarks((*sentences, *_shown(stored, captures)), _complete_at(stored, captures))


def captured_session(folder: Path) -> date | None:
    """Return the day that a folder's captures show, the first of several; None where they hold no row of a day."""
    shown = _session_of(read_folder(folder))
    return date.fromisoformat(shown) if shown else None


def _session_of(captures: Mapping[str, Capture]) -> str | None:
    days = (max(capture.days) for capture in captures.values() if capture.of_the_day and capture.days)
    return min(days, default=None)


def _shown(stored: StoredMarket, captures: Mapping[str, Capture]) -> list[str]:
    """Count the captured rows by whether their day is a session of the market."""
    calendar = calendar_from_rows(stored.sessions, stored.first, stored.spec.sessions)
    first, last = calendar.market[0].date, calendar.market[-1].date
    days = Counter(day for capture in captures.values() if capture.of_the_day for day in capture.days)
    inside = Counter({day: count for day, count in days.items() if day in calendar.index_of})
    outside = days - inside
    said = [f"captured flow: {inside.total()} rows of the sessions from {first} to {last}{_listed(inside)}"]
    if outside:
        said.append(
            f"captured flow: {outside.total()} rows are of other days than those sessions{_listed(outside)}; "
            f"for a market that has them: --start {min(outside)}"
        )
    return said


def _listed(days: Counter[str]) -> str:
    listed = ", ".join(f"{day} {count}" for day, count in sorted(days.items())[:_DAYS_LISTED])
    more = f", and {len(days) - _DAYS_LISTED} days more" if len(days) > _DAYS_LISTED else ""
    return f": {listed}{more}" if listed else ""


def _complete_at(stored: StoredMarket, captures: Mapping[str, Capture]) -> str | None:
    calendar = calendar_from_rows(stored.sessions, stored.first, stored.spec.sessions)
    closes = {session.date: session.close_us for session in calendar.market}
    late = [
        one.at_us
        for capture in captures.values()
        for one, day in zip(capture.rows, capture.days, strict=True)
        if day in closes and one.at_us > closes[day]
    ]
    newest = max(late, default=None)
    return None if newest is None else rfc3339(-(-newest // MINUTE) * MINUTE)
