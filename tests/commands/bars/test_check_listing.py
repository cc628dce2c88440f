"""`tradebot bars list`: what is stored, and that looking creates nothing."""

from datetime import UTC, datetime
from pathlib import Path

import pytest

from commands import bars
from tests.commands.bars.files import session_minutes, written
from tests.kit.bot.folder import Bot


def test_listing_without_a_store_creates_none(copy: Bot) -> None:
    said = copy.says("bars", "list")
    assert (said.code, said.out.splitlines()[0]) == (0, "0 bars of 0 symbols, 0.0 MB")
    assert copy.json("bars", "list") == {"spans": [], "bars": 0, "bytes": 0}
    assert not list(copy.folder.glob("bars*"))


def test_listing_shows_each_series_with_its_span(copy: Bot, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bars, "now_of", lambda app: datetime(2026, 11, 16, 14, tzinfo=UTC))
    minutes = written(tmp_path / "minutes.csv", session_minutes("SPY", "2026-11-13"))
    daily = written(tmp_path / "daily.csv", ["2026-11-13,SPY,100,101,99,100,1000"])
    stamp = ("--stamp", "start", "--zone", "America/New_York")
    assert copy.says("bars", "import", str(minutes), "--timeframe", "1Min", *stamp).code == 0
    assert copy.says("bars", "import", str(daily), "--timeframe", "1Day").code == 0
    first, _, day, minute = copy.says("bars", "list").out.splitlines()
    assert first.startswith("391 bars of 1 symbol, ")
    assert day.split() == ["SPY", "1Day", "1", "2026-11-13", "2026-11-13", "import"]
    assert minute.split() == ["SPY", "1Min", "390", "2026-11-13", "09:30", "2026-11-13", "15:59", "import"]
    files = [path for path in copy.folder.rglob("*") if path.is_file() and "bars" in str(path.relative_to(copy.folder))]
    assert copy.json("bars", "list")["bytes"] == sum(path.stat().st_size for path in files)
