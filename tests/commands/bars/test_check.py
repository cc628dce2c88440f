"""`tradebot bars check`: findings by row, what was looked at, and that nothing looked at is not green."""

from datetime import UTC, date, datetime
from pathlib import Path

import pytest

from papervenue import process
from tests.commands.bars.files import written
from tests.kit.backtest.playing import generated, lines_of
from tests.kit.bot.ending import refuses, shows
from tests.kit.bot.folder import Bot
from tests.kit.values import VENUE_DAY
from tradebot.adapters.bars.parquet import open_bars
from tradebot.adapters.bars.store import PriceStep
from tradebot.adapters.memory.recorder import MemoryEvents
from tradebot.auditing.bar_findings import RawBar
from tradebot.lab.backtest.market import open_market_in_memory

MINUTES = ("--timeframe", "1min", "--stamp", "start")
DATES = ("2025-11-03", "2025-11-04", "2025-11-05", "2025-11-06", "2025-11-07", "2025-11-10")
SPLIT = [f"{DATES[0]},MSFT,100,101,99,100,1000", f"{DATES[2]},MSFT,100,101,99,100,1000"]
SPLIT += [f"{day},MSFT,25,26,24,25,4000" for day in DATES[3:]]
"""A split of four for one, and a session without a bar before it."""


def stored(bot: Bot, tmp_path: Path, rows: list[str]) -> None:
    assert bot.says("bars", "import", str(written(tmp_path / "daily.csv", rows)), "--timeframe", "1Day").code == 0


def test_check_of_an_empty_store_is_a_finding(bot: Bot) -> None:
    shows(bot.says("bars", "check"), 10, "there is nothing to check")
    shows(bot.says("bars", "check", "aapl", "--timeframe", "1min"), 10, "nothing is stored, so nothing was checked")


def test_each_finding_stands_in_a_row_and_a_split_on_record_is_none(bot: Bot, tmp_path: Path) -> None:
    stored(bot, tmp_path, SPLIT)
    found = bot.json("bars", "check", "MSFT")["findings"]
    expected = [("unadjusted_split", "2025-11-06T05:00:00Z", 4), ("gap", "2025-11-04T05:00:00Z", 1)]
    assert [(row["flaw"], row["at"], row["expected"]) for row in found] == expected
    said = bot.says("bars", "check", "MSFT", "--timeframe", "1day")
    assert said.code == 10
    assert "close 100, then open 25, with 4 times the volume: a split of 4:1?" in said.out
    store = open_bars(bot.folder, MemoryEvents(), datetime(2026, 1, 1, tzinfo=UTC))
    store.put_actions("MSFT", [PriceStep(int(datetime(2025, 11, 6, 5, tzinfo=UTC).timestamp()), "split", 0.25, 4.0)])
    store.close()
    assert [row["flaw"] for row in bot.json("bars", "check", "MSFT")["findings"]] == ["gap"]


def test_trading_time_decides_whether_a_bar_is_complete(bot: Bot, tmp_path: Path) -> None:
    now = datetime.fromisoformat(bot.json("bars", "check")["now"])
    assert now == datetime(2026, 11, 16, 14, tzinfo=UTC), "the exchange's, not this machine's"
    store = open_bars(bot.folder, MemoryEvents(), now)
    store.put("NVDA", "1Day", [RawBar(VENUE_DAY.begins_s(now.date()), 100, 101, 99, 100, 1000)], "test")
    store.close()
    (finding,) = bot.json("bars", "check", "NVDA")["findings"]
    assert (finding["flaw"], finding["count"]) == ("not_closed", 1)


@pytest.mark.parametrize(
    ("words", "why"), [(("A*",), "A* is not a symbol"), (("--timeframe", "2Day"), "2Day is not a timeframe")]
)
def test_check_refuses_a_timeframe_that_is_not_stored(bot: Bot, words: tuple[str, ...], why: str) -> None:
    refuses(bot.says("bars", "check", *words), 2, why)


def test_contracts_are_held_against_sessions_of_their_group(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """On Thanksgiving, stock indexes end at noon in Chicago, and gold an hour and a half later."""
    market = open_market_in_memory(generated(date(2026, 11, 26), 3, "MES", "GC")).market()
    bars = written(tmp_path / "later.csv", lines_of(market, ["MESZ6"], [2]))
    bot = Bot(tmp_path / "bot", capsys)
    made = ("--venue", "ibkr", "--symbols", "MES,GC", "--bars", str(bars), "--bar-stamp", "start")
    assert bot.says("init", *made, "--start", "2026-11-30").code == 0
    # A root stands for its contracts by turns, so the bot keeps the name of the root.
    values = {one["key"]: one["value"] for one in bot.json("config", "show")["values"]}
    assert values["universe"] == ["MES", "GC"]
    rows = lines_of(market, ("MESZ6", "GCG7"), (0, 1))
    sound = bot.json("bars", "import", str(written(tmp_path / "sound.csv", rows)), *MINUTES)
    assert (sound["good"], sound["bad"], sound["refused"]) == (len(rows), {}, [])
    checked = bot.json("bars", "check")
    expected = [("GCG7", 2, 0), ("MESZ6", 2, 0)]
    assert [(row["symbol"], row["sessions"], row["missing"]) for row in checked["looked_at"]] == expected
    assert checked["findings"] == []
    late = [f"2026-11-26T18:15:00Z,{symbol},100,100,100,100,1" for symbol in ("MESH7", "GCZ6")]
    found = bot.json("bars", "import", str(written(tmp_path / "late.csv", late)), *MINUTES)
    assert [(row["symbol"], row["reason"]) for row in found["bad_rows"]] == [("MESH7", "no session at this time")]
    process.stop(bot.folder / "exchange")
