"""`tradebot bars import`: good rows are stored, bad ones told by row, and times that can't be right store nothing."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from commands import bars
from tests.commands.bars.files import HEADER, session_minutes, written
from tests.kit.bot.ending import refuses
from tests.kit.bot.folder import Bot

DAILY = (
    "2026-11-13,MSFT,50,51,49,50,900",
    "2026-11-12,AAPL,100,101,99,100,1000",
    "2026-11-14,AAPL,100,101,99,100,1000",
    "2026-11-13,AAPL,100,101,99,nan,1000",
    "2026-11-10,AAPL,100,101,99,100,1000",
)
LINES = ("--timeframe", "1Day")
BEFORE_THE_SESSION = datetime(2026, 11, 16, 14, tzinfo=UTC)
MINUTES = ("--timeframe", "1min", "--stamp", "start", "--zone", "America/New_York")


@pytest.fixture(autouse=True)
def offline(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    if "copy" in request.fixturenames:
        monkeypatch.setattr(bars, "now_of", lambda app: BEFORE_THE_SESSION)


def test_import_stores_good_rows_and_lists_bad_ones_by_line(copy: Bot, tmp_path: Path) -> None:
    path = written(tmp_path / "daily.csv", DAILY)
    said = copy.says("bars", "import", str(path), *LINES)
    first, *table = said.out.splitlines()
    assert (said.code, first) == (10, "5 rows of 1 file: 3 good bars, 2 bad; 3 new or changed in the store")
    assert "  4  AAPL    2026-11-14  no session at this time  daily.csv" in table
    assert "  5  AAPL    2026-11-13  not a number             daily.csv" in table
    stored = copy.json("bars", "list")
    expected = [("AAPL", "1Day", 2, "import"), ("MSFT", "1Day", 1, "import")]
    assert [(row["symbol"], row["timeframe"], row["bars"], row["source"]) for row in stored["spans"]] == expected
    again = copy.json("bars", "import", str(path), *LINES)
    assert (again["new"], again["good"], again["bad"]) == (0, 3, {"not a number": 1, "no session at this time": 1})


def test_dry_run_reports_the_same_and_stores_nothing(copy: Bot, tmp_path: Path) -> None:
    said = copy.says("bars", "import", str(written(tmp_path / "daily.csv", DAILY[:2])), *LINES, "--dry-run")
    assert said.code == 0
    assert said.out.splitlines()[0] == "2 rows of 1 file: 2 good bars, 0 bad; nothing was stored (--dry-run)"
    assert not list(copy.folder.glob("bars*"))


@pytest.mark.parametrize(
    ("moved", "options", "why"),
    [
        (timedelta(hours=5), ("--stamp", "start", "--zone", "America/New_York"), "if they were 5 hours earlier"),
        (timedelta(0), ("--stamp", "start", "--zone", "UTC"), "hours later"),
        (timedelta(minutes=1), ("--stamp", "start", "--zone", "America/New_York"), "stamped at their end?"),
    ],
)
def test_import_with_impossible_times_stores_nothing(
    copy: Bot, tmp_path: Path, moved: timedelta, options: tuple[str, ...], why: str
) -> None:
    path = written(tmp_path / "minutes.csv", session_minutes("AAPL", "2026-11-13", moved=moved))
    said = copy.says("bars", "import", str(path), "--timeframe", "1Min", *options)
    assert (said.code, why in said.out) == (10, True)
    assert "nothing was stored, because the times can't be right" in said.out
    assert not list(copy.folder.glob("bars*"))


@pytest.mark.parametrize(
    ("options", "why"),
    [
        (("--timeframe", "5Min"), "5Min is not a timeframe in which bars are stored"),
        (("--timeframe", "1Min"), "say which end of a minute bar its time is"),
        (("--timeframe", "1Min", "--stamp", "middle"), "say whether minute bars are stamped"),
        (("--timeframe", "1Day", "--zone", "UTC"), "daily bars are stamped with a date alone,"),
        (("--timeframe", "1Min", "--stamp", "end", "--zone", "Mars/Base"), "there is no time zone 'Mars/Base'"),
        (("--timeframe", "1Min", "--stamp", "end"), "has no time zone."),
    ],
)
def test_import_asks_for_undeclared_stamp_or_zone(bot: Bot, tmp_path: Path, options: tuple[str, ...], why: str) -> None:
    path = written(tmp_path / "minutes.csv", session_minutes("AAPL", "2026-11-13"))
    refuses(bot.says("bars", "import", str(path), *options), 2, why)


def test_many_bad_rows_are_counted_and_the_first_shown(bot: Bot, tmp_path: Path) -> None:
    path = written(tmp_path / "daily.csv", [DAILY[1], *("2026-11-13,AAPL,0,1,1,1,1" for _ in range(1100))])
    said = bot.says("bars", "import", str(path), *LINES, "--dry-run")
    assert "  1,100 price zero or negative" in said.out.splitlines()
    assert "  and 1,080 more bad rows; --json has the first 1,000" in said.out.splitlines()
    assert len(bot.json("bars", "import", str(path), *LINES, "--dry-run")["bad_rows"]) == 1000


def test_a_file_that_cannot_be_read_names_it(bot: Bot, tmp_path: Path) -> None:
    said = bot.says("bars", "import", str(tmp_path / "no.csv"), *LINES)
    assert (said.code, "no.csv: no such file" in said.err) == (2, True)
    (empty := tmp_path / "empty.csv").write_text(f"{HEADER}\n")
    refuses(bot.says("bars", "import", str(empty), *LINES), 2, "they have no rows")


def test_folder_is_imported_with_a_summary_by_symbol_and_what_is_wrong_with_it(copy: Bot, tmp_path: Path) -> None:
    (folder := tmp_path / "prices" / "days").mkdir(parents=True)
    dates = [f"2026-11-{day:02}" for day in (9, 10, 12, 13)]
    for symbol, scale in (("AAPL", 1), ("MSFT", 100)):
        rows = [f"{day},100,101,99,100,100,1000" for day in dates[:2]]
        rows += [f"{day},{100 / scale},{101 / scale},{99 / scale},{100 / scale},1,1000" for day in dates[2:]]
        text = "\n".join(["Date,Open,High,Low,Close,Adj Close,Volume", *rows, ""])
        (folder / f"{symbol}.csv").write_text(text)
    (folder / "AAPL.actions.csv").write_text("type,symbol\n")
    (folder.parent / "SPY_1min.txt").write_text(
        "\n".join(
            ["timestamp,open,high,low,close,volume"]
            + [f"2026-11-13 {9 + (30 + i) // 60:02}:{(30 + i) % 60:02}:00,100,101,99,100,7" for i in range(390)]
        )
    )
    lines = copy.shown("bars", "import", str(folder.parent)).splitlines()
    assert lines[0] == "398 rows of 3 files: 398 good bars, 0 bad; 398 new or changed in the store"
    assert "Read as yahoo (Yahoo Finance), days, symbol in the name: AAPL.csv, MSFT.csv" in lines
    table = [line.split() for line in lines if line.startswith(("symbol", "AAPL", "MSFT", "SPY"))]
    assert table == [
        ["symbol", "timeframe", "bars", "new", "sessions", "gaps", "findings", "from", "to"],
        ["AAPL", "1Day", "4", "4", "4", "1", "1", "2026-11-09", "2026-11-13"],
        ["MSFT", "1Day", "4", "4", "4", "1", "2", "2026-11-09", "2026-11-13"],
        ["SPY", "1Min", "390", "390", "1", "0", "0", "2026-11-13", "09:30", "2026-11-13", "15:59"],
    ]
    assert "  MSFT: close 100, then open 1, and no corporate action on record explains it" in lines
    again = copy.json("bars", "import", str(folder / "*.csv"))
    assert (again["new"], [row["symbol"] for row in again["symbols"]]) == (0, ["AAPL", "MSFT"])
    refuses(copy.says("bars", "import", str(folder / "*.txt")), 2, "there are no files to import in")


def test_dry_run_shows_the_first_bars_as_they_are_understood(bot: Bot, tmp_path: Path) -> None:
    path = tmp_path / "prices.csv"
    rows = [f"13.11.2026 14:3{i}:00.000,23{i}.5,240,230,235,1000" for i in range(5)]
    path.write_text("\n".join(["Gmt time,Open,High,Low,Close,Volume", *rows, ""]))
    lines = bot.shown("bars", "import", str(path), "--symbol", "aapl", "--dry-run").splitlines()
    read_as = "Read as dukascopy (Dukascopy), minutes, stamped at their start, times in UTC, symbol AAPL:"
    assert lines[1].startswith(read_as)
    start = next(i for i, line in enumerate(lines) if line.startswith("first bars"))
    assert [line.split() for line in lines[start : start + 4]] == [
        ["first", "bars", "in", "New", "York", "open", "high", "low", "close", "volume"],
        *(["AAPL", "2026-11-13", f"09:3{i}", f"23{i}.5", "240", "230", "235", "1,000"] for i in range(3)),
    ]
    asked = bot.says("bars", "import", str(path), "--decimal", "point")
    refuses(asked, 2, "nothing names the symbol, neither a column nor the file's name")
    assert f"bars import {path} --decimal point --symbol SYMBOL" in " ".join(asked.err.split())


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
