"""Create a market, and collect remarks for the user.

This builds the market's sessions from the calendar, and checks and stores recorded bars and captured flow.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from datetime import date
from pathlib import Path
from shutil import rmtree
from typing import Any, NamedTuple

from papervenue.exchange import begin_log
from papervenue.faces.face import faces_of
from papervenue.flow.captured import Capture, capture_files, read_folder
from papervenue.market.action_sources import actions_file_for, read_actions, write_actions
from papervenue.market.bar_files import is_parquet, only_stamp
from papervenue.market.daily import daily_span, keep_days, read_days
from papervenue.market.daily_file import is_daily
from papervenue.market.futures import is_contract
from papervenue.market.hours import AROUND_THE_CLOCK, EQUITY, HOURS, XNYS
from papervenue.market.perpetual_files import read_perpetuals
from papervenue.market.rates import rates_of
from papervenue.market.recorded import Imported, held_in, keep_bars, reasons
from papervenue.market.sessions import Calendar, build_calendar, calendar_from_rows, own_calendars
from papervenue.market.spec import AS_FOUND, NEW_EXCHANGE, MarketError, MarketSpec, Reading, Source
from papervenue.market_loader import read_recorded
from papervenue.private_files import write_own
from papervenue.state import (
    ACCOUNTS_FILE,
    ACTIONS_FILE,
    BARS_FILE,
    CAPTURES_FOLDER,
    DAYS_FILE,
    EDITION,
    LOCK_FILE,
    LOG_FILE,
    MARKET_FILE,
    SNAPSHOT_FILE,
    StoredMarket,
    read_market,
    write_market,
)
from papervenue.times import MINUTE, rfc3339, to_datetime

_DAYS_LISTED = 3


class Remarks(NamedTuple):
    """Sentences about a market that the user should read.

    `complete_at` is the ISO time by which every captured row of its sessions is known, or None if each row is already
    known at its session's close.
    """

    sentences: tuple[str, ...]
    complete_at: str | None


def market_remarks(state_dir: Path) -> Remarks:
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
    return Remarks((*sentences, *_count_days(calendar, captures)), _complete_at(calendar, captures))


def captured_session(folder: Path) -> date | None:
    """Return the first day that a folder's captures show, or None if no row belongs to a day."""
    shown = _session_of(read_folder(folder))
    return date.fromisoformat(shown) if shown else None


def _session_of(captures: Mapping[str, Capture]) -> str | None:
    days = (max(capture.days) for capture in captures.values() if capture.of_the_day and capture.days)
    return min(days, default=None)


def _count_days(calendar: Calendar, captures: Mapping[str, Capture]) -> list[str]:
    """Count the captured rows whose day is a session of the market, and those whose day isn't."""
    first, last = calendar.market[0].date, calendar.market[-1].date
    days = Counter(day for capture in captures.values() if capture.of_the_day for day in capture.days)
    inside = Counter({day: count for day, count in days.items() if day in calendar.index_of})
    outside = days - inside
    sentences = [f"captured flow: {_rows(inside.total())} in the sessions from {first} to {last}{_days_text(inside)}"]
    if outside:
        sentences.append(
            f"captured flow: {_rows(outside.total())} from days outside those sessions{_days_text(outside)}; "
            f"to play those days: --start {min(outside)}"
        )
    return sentences


def _rows(count: int) -> str:
    return f"{count} row{'' if count == 1 else 's'}"


def _days_text(days: Counter[str]) -> str:
    listed = ", ".join(f"{day} {count}" for day, count in sorted(days.items())[:_DAYS_LISTED])
    more = f", and {len(days) - _DAYS_LISTED} more" if len(days) > _DAYS_LISTED else ""
    return f": {listed}{more}" if listed else ""


def _complete_at(calendar: Calendar, captures: Mapping[str, Capture]) -> str | None:
    closes = {session.date: session.close_us for session in calendar.market}
    late = [
        row.at_us
        for capture in captures.values()
        for row, day in zip(capture.rows, capture.days, strict=True)
        if day in closes and row.at_us > closes[day]
    ]
    newest = max(late, default=None)
    return None if newest is None else rfc3339(-(-newest // MINUTE) * MINUTE)


def recorded_source(path: Path, reading: Reading = AS_FOUND) -> Source:
    """Determine the type of a recorded file from its times and then from its name; a folder contains minutes."""
    if not path.is_dir() and is_daily(path, reading):
        return "daily"
    return "parquet" if is_parquet(path) else "csv"


class RecordedSpan(NamedTuple):
    """The sessions that a recorded file covers: the first one, their number, their calendar, and the file's contracts.

    `bar_stamp` says whether bars are stamped with the start or the end of their minute, if that is known from the user
    or from the file's publisher.
    """

    first: date
    sessions: int
    calendar: str = XNYS.name
    contracts: frozenset[str] = frozenset()
    bar_stamp: str | None = None

    @property
    def days(self) -> tuple[date, ...]:
        """Return the dates of these sessions."""
        sessions = build_calendar(self.first, self.sessions, self.calendar).market
        return tuple(date.fromisoformat(session.date) for session in sessions)


def recorded_span(
    source: Source, path: Path, bar_stamp: str | None, start: date | None = None, reading: Reading = AS_FOUND
) -> RecordedSpan:
    """Return the sessions covered by a recorded file; raise MarketError if it has none.

    Daily bars count only from `start` on. If a file has nothing but contracts, its sessions are those of Globex.
    """
    if source == "daily":
        return RecordedSpan(*daily_span(path, start, reading), bar_stamp=bar_stamp)
    bar_stamp = bar_stamp or only_stamp(path, reading)
    span = held_in(source, path, bar_stamp, reading)
    contracts = frozenset(filter(is_contract, span.symbols))
    of_contracts = contracts == span.symbols
    name = EQUITY if of_contracts else XNYS.name
    first, last = (to_datetime(us).astimezone(HOURS[name].zone).date() for us in (span.first_us, span.last_us))
    # Bars of contracts that trade in the evening belong to the next day's session.
    sessions = build_calendar(first, (last - first).days + 2, name).market
    if of_contracts:
        inside = [day.date for day in sessions if day.open_us <= span.last_us and day.close_us > span.first_us]
    else:
        inside = [session.date for session in sessions if session.date <= last.isoformat()]
    if not inside:
        raise MarketError(
            f"{path}: no bar within a session of the exchange",
            "check the time zone: times without one count as New York times",
        )
    return RecordedSpan(date.fromisoformat(inside[0]), len(inside), name, contracts, bar_stamp)


def perpetual_span(path: Path, bar_stamp: str | None, reading: Reading = AS_FOUND) -> RecordedSpan:
    """Return the days covered by recorded prices of perpetuals; raise MarketError if there are none."""
    # Files whose publisher is known say by themselves which end of a candle is meant; others are refused without it.
    recorded = read_perpetuals(path, bar_stamp, reading)
    first, last = recorded.days
    days = (last - first).days + 1
    return RecordedSpan(first, days, AROUND_THE_CLOCK, recorded.symbols, bar_stamp or "start")


def build(state_dir: Path, spec: MarketSpec) -> None:
    """Write a server's files into a folder. The market file comes last, because it marks the folder as complete."""
    _refuse_orphan(state_dir / LOG_FILE)
    faces_of(spec.venue)
    calendar = build_calendar(spec.start, spec.sessions, spec.venue.calendar)
    imported = Imported({}, spec.symbols, {}, {})
    state_dir.mkdir(parents=True, exist_ok=True)
    if spec.uw_folder is not None:
        _keep_captures(state_dir, Path(spec.uw_folder))
    if spec.source == "daily":
        imported = _keep_days(state_dir, spec, calendar)
    elif spec.source != "generated":
        imported = read_recorded(spec, calendar, own_calendars(spec.venue, calendar))
        keep_bars(state_dir / BARS_FILE, imported.bars)
        _keep_actions(state_dir, spec, calendar, imported.symbols)
    stored = StoredMarket(
        spec,
        imported.symbols,
        calendar.to_rows(),
        calendar.first,
        imported.skipped,
        imported.first_lines,
        imported.extended,
        rates_of(spec, calendar),
        _own_calendars(spec, calendar),
        EDITION,
    )
    begin_log(state_dir, stored, calendar)
    write_market(state_dir, stored)


def _own_calendars(spec: MarketSpec, market: Calendar) -> dict[str, Any]:
    """Return the sessions of the symbols that have a calendar or closes of their own."""
    rows, calendars = {}, dict[int, Any]()
    for symbol, own in own_calendars(spec.venue, market).items():
        # Symbols with the same sessions share the same rows.
        if id(own) not in calendars:
            calendars[id(own)] = {"rows": own.to_rows(), "first": own.first, "count": len(own.market)}
        rows[symbol] = calendars[id(own)]
    return rows


def discard(state_dir: Path) -> None:
    """Remove the files that `build` wrote, and the files of a server that never answered a request."""
    for name in (MARKET_FILE, LOG_FILE, SNAPSHOT_FILE, ACCOUNTS_FILE, BARS_FILE, DAYS_FILE, ACTIONS_FILE, LOCK_FILE):
        (state_dir / name).unlink(missing_ok=True)
    if (state_dir / CAPTURES_FOLDER).is_dir():
        rmtree(state_dir / CAPTURES_FOLDER)


def _refuse_orphan(log: Path) -> None:
    """Refuse to overwrite a log whose market is missing; a log of one line is only an interrupted creation."""
    if log.exists() and log.read_bytes().count(b"\n") > 1:
        raise MarketError(
            f"{log} holds the orders of an exchange whose {MARKET_FILE} is missing",
            f"restore {MARKET_FILE} beside it, or {NEW_EXCHANGE}",
        )


def _keep_days(state_dir: Path, spec: MarketSpec, calendar: Calendar) -> Imported:
    imported = read_days(spec, calendar)
    keep_days(state_dir / DAYS_FILE, imported.days)
    write_actions(state_dir / ACTIONS_FILE, imported.actions)
    return Imported({}, imported.symbols, imported.skipped, imported.first_lines)


def _keep_actions(state_dir: Path, spec: MarketSpec, calendar: Calendar, symbols: Sequence[str]) -> None:
    """Copy the checked corporate actions from beside the recorded bars, if there are any."""
    assert spec.path is not None
    source, copy = actions_file_for(Path(spec.path)), state_dir / ACTIONS_FILE
    copy.unlink(missing_ok=True)
    if source.is_file():
        read_actions(source, calendar, symbols)
        write_own(copy, source.read_bytes())


def _keep_captures(state_dir: Path, folder: Path) -> None:
    """Copy checked captures, so that a restart serves the same bytes even if the original folder changes."""
    read_folder(folder)
    copy = state_dir / CAPTURES_FOLDER
    copy.mkdir(exist_ok=True)
    for stale in copy.glob("*.json"):
        stale.unlink()
    for path in capture_files(folder):
        write_own(copy / path.name, path.read_bytes())
