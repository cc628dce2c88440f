"""Create a market: build its sessions from the calendar, and check and keep recorded bars and captured flow."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date
from pathlib import Path
from shutil import rmtree

from tradebot.exchange.exchange import begin_log
from tradebot.exchange.flow.captured import capture_files, read_folder
from tradebot.exchange.market.action_sources import beside, read_actions, write_actions
from tradebot.exchange.market.daily import daily_span, keep_days, read_days
from tradebot.exchange.market.daily_file import is_daily, is_parquet
from tradebot.exchange.market.rates import rates_of
from tradebot.exchange.market.recorded import Imported, keep_bars, read_bars, recorded_days
from tradebot.exchange.market.sessions import Calendar, build_calendar
from tradebot.exchange.market.spec import NEW_EXCHANGE, MarketError, MarketSpec, Source
from tradebot.exchange.private_files import write_own
from tradebot.exchange.state import (
    ACCOUNTS_FILE,
    ACTIONS_FILE,
    BARS_FILE,
    CAPTURES_FOLDER,
    DAYS_FILE,
    LOCK_FILE,
    LOG_FILE,
    MARKET_FILE,
    SNAPSHOT_FILE,
    StoredMarket,
    write_market,
)


def recorded_source(path: Path) -> Source:
    """Return the source that a recorded file is, judging by its columns and then by its name."""
    if is_daily(path):
        return "daily"
    return "parquet" if is_parquet(path) else "csv"


def recorded_span(source: Source, path: Path, bar_stamp: str | None, start: date | None = None) -> tuple[date, int]:
    """Return a recorded file's first session and the number of sessions it spans; raise MarketError if it has none.

    Daily bars are counted from `start` on.
    """
    if source == "daily":
        return daily_span(path, start)
    first, last = recorded_days(source, path, bar_stamp)
    calendar = build_calendar(first, (last - first).days + 1)
    held = [session.date for session in calendar.market if session.date <= last.isoformat()]
    if not held:
        raise MarketError(f"{path}: no bar within a session of the exchange", "times without a zone are New York times")
    return date.fromisoformat(held[0]), len(held)


def build(state_dir: Path, spec: MarketSpec) -> None:
    """Write what a server needs into a folder; the market file comes last and completes it."""
    _refuse_orphan(state_dir / LOG_FILE)
    calendar = build_calendar(spec.start, spec.sessions)
    imported = Imported({}, spec.symbols, {}, {})
    state_dir.mkdir(parents=True, exist_ok=True)
    if spec.uw_folder is not None:
        _keep_captures(state_dir, Path(spec.uw_folder))
    if spec.source == "daily":
        imported = _keep_days(state_dir, spec, calendar)
    elif spec.source != "generated":
        imported = read_bars(spec, calendar)
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
    )
    begin_log(state_dir, stored, calendar)
    write_market(state_dir, stored)


def discard(state_dir: Path) -> None:
    """Remove what `build` wrote, and what a server that never answered added."""
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
    """Keep the daily bars and the corporate actions that were found with them."""
    imported = read_days(spec, calendar)
    keep_days(state_dir / DAYS_FILE, imported.days)
    write_actions(state_dir / ACTIONS_FILE, imported.actions)
    return Imported({}, imported.symbols, imported.skipped, imported.first_lines)


def _keep_actions(state_dir: Path, spec: MarketSpec, calendar: Calendar, symbols: Sequence[str]) -> None:
    """Copy the checked corporate actions from beside the recorded bars, if there are any."""
    assert spec.path is not None
    found, kept = beside(Path(spec.path)), state_dir / ACTIONS_FILE
    kept.unlink(missing_ok=True)
    if found.is_file():
        read_actions(found, calendar, symbols)
        write_own(kept, found.read_bytes())


def _keep_captures(state_dir: Path, folder: Path) -> None:
    """Copy checked captures, so that a restart serves the same bytes whatever happens to the original folder."""
    read_folder(folder)
    kept = state_dir / CAPTURES_FOLDER
    kept.mkdir(exist_ok=True)
    for stale in kept.glob("*.json"):
        stale.unlink()
    for path in capture_files(folder):
        write_own(kept / path.name, path.read_bytes())
