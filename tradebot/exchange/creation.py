"""Building a market once: sessions from the calendar, recorded bars and captured flow checked and kept."""

from __future__ import annotations

from datetime import date
from pathlib import Path

from tradebot.exchange.captured import read_folder
from tradebot.exchange.recorded import keep_bars, read_bars, recorded_days
from tradebot.exchange.sessions import Calendar, build_calendar
from tradebot.exchange.spec import MarketError, MarketSpec
from tradebot.exchange.state import BARS_FILE, CAPTURES_FOLDER, StoredMarket, write_market


def recorded_span(source: str, path: Path, bar_stamp: str | None) -> tuple[date, int]:
    """Return the first session of a recorded file and how many sessions it spans; raises MarketError."""
    first, last = recorded_days(source, path, bar_stamp)
    calendar = build_calendar(first, (last - first).days + 1)
    held = [session.date for session in calendar.market if session.date <= last.isoformat()]
    if not held:
        raise MarketError(
            f"{path}: no bar within a session of the exchange", "times are New York's unless they say otherwise"
        )
    return date.fromisoformat(held[0]), len(held)


def build(state_dir: Path, spec: MarketSpec) -> None:
    """Write all that a server needs into a folder; the market file comes last: a half-built one is none."""
    calendar = build_calendar(spec.start, spec.sessions)
    symbols, skipped = spec.symbols, dict[str, int]()
    state_dir.mkdir(parents=True, exist_ok=True)
    if spec.uw_folder is not None:
        _keep_captures(state_dir, Path(spec.uw_folder))
    if spec.source != "generated":
        symbols, skipped = _import_bars(state_dir, spec, calendar)
    write_market(state_dir, StoredMarket(spec, symbols, calendar.to_rows(), calendar.first, skipped))


def _keep_captures(state_dir: Path, folder: Path) -> None:
    """Copy checked captures, so that a restart serves the same bytes whatever becomes of the folder."""
    read_folder(folder)
    kept = state_dir / CAPTURES_FOLDER
    kept.mkdir(exist_ok=True)
    for path in folder.glob("*.json"):
        (kept / path.name).write_bytes(path.read_bytes())


def _import_bars(state_dir: Path, spec: MarketSpec, calendar: Calendar) -> tuple[tuple[str, ...], dict[str, int]]:
    imported = read_bars(spec, calendar)
    keep_bars(state_dir / BARS_FILE, imported.bars)
    return imported.symbols, imported.skipped
