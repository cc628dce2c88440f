"""`tradebot init`: what the market leaves out of its files is told, and what came after a close can be reached."""

import json
from pathlib import Path

import pytest

from exchange.tests.kit.price_files import BY_NAME, Style, save, session_minutes
from papervenue import process
from papervenue.market.spec import Reading
from papervenue.state import read_market
from tradebot.__main__ import main

PRINT = {
    "ticker": "AAPL", "executed_at": "2025-03-03T15:00:00Z", "size": 500, "volume": 9, "price": "200",
    "nbbo_bid": "199.9", "nbbo_ask": "200.1", "canceled": False, "tracking_id": 1, "trade_settlement": "regular",
    "ext_hour_sold_codes": None, "sale_cond_codes": None, "trade_code": None, "market_center": "L",
}  # fmt: skip
PRINTS = [PRINT | {"executed_at": "2025-03-03T21:30:10Z", "premium": "100000"}, PRINT | {"premium": None}]
BARS = """ts,symbol,open,high,low,close,volume
2025-03-03 09:31:00,AAPL,100,101,99,100.5,1000
2025-03-03 09:32:00,AAPL,100,101,99,text,1000
"""
DAYS = """date,symbol,open,high,low,close,volume
2025-02-28,AAPL,98,98,96,97,2000
2025-03-03,AAPL,99.5,101,98.5,99,4000
2025-03-04,AAPL,101,103,101,102,6000
2025-03-08,AAPL,101,103,101,102,6000
"""


def said(capsys: pytest.CaptureFixture[str], *arguments: str) -> dict[str, object]:
    assert main([*arguments, "--json"]) == 0
    told: dict[str, object] = json.loads(capsys.readouterr().out)["data"]
    return told


def test_captured_flow_brings_its_session_and_the_command_that_reaches_its_last_row(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    captures, state = tmp_path / "captures", str(tmp_path / "state")
    captures.mkdir()
    answer = {"endpoint": "/api/darkpool/AAPL", "captured_at": "2025-03-03T22:00:00", "response": {"data": PRINTS}}
    (captures / "prints.json").write_text(json.dumps(answer))
    made = said(capsys, "init", "--symbols", "AAPL", "--flow-folder", str(captures), "--state-dir", state)
    try:
        assert made["now"] == "2025-03-03T14:00:00Z"
        assert made["notes"] == [
            "the market begins on 2025-03-03, the session in the captured flow",
            "captured flow: 2 rows in the sessions from 2025-03-03 to 2025-03-07: 2025-03-03 2",
            "some of the flow was captured after the close; to reach all of it: "
            f"tradebot exchange tick 2025-03-03T21:31:00Z --state-dir {state}",
        ]
        said(capsys, "exchange", "tick", "2025-03-03T21:31:00Z", "--state-dir", state)
        fetched = said(capsys, "fetch-flow", "--state-dir", state)
        (prints,) = [row for row in fetched["endpoints"] if row["endpoint"] == "dark_pool"]  # type: ignore[attr-defined]
        assert (prints["received"], prints["kept"]) == (2, 1)
    finally:
        process.stop(tmp_path / "state" / "exchange")


def test_rows_that_recorded_bars_lose_are_counted_with_their_reason_and_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    bars, state = tmp_path / "bars.csv", str(tmp_path / "state")
    bars.write_text(BARS)
    made = said(capsys, "init", "--bars", str(bars), "--bar-stamp", "end", "--state-dir", state)
    process.stop(tmp_path / "state" / "exchange")
    assert made["notes"] == ["skipped 1 row of the recorded bars: 1 not a number (first in line 3)"]


def test_market_of_a_published_file_is_made_again_as_it_was_read(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = save(tmp_path, BY_NAME["dukascopy"], session_minutes(390), Style("UTC"), daily=False)
    flags = ("init", "--bars", str(path), "--bars-as", "symbol=AAPL", "--symbols", "AAPL")
    made = said(capsys, *flags, "--state-dir", str(tmp_path / "state"))
    process.stop(tmp_path / "state" / "exchange")
    assert (made["now"], made["symbols"], made["notes"]) == ("2026-11-13T14:00:00Z", 1, [])
    spec = read_market(tmp_path / "state" / "exchange").spec
    assert (spec.bar_stamp, spec.reading) == ("start", Reading(symbol="AAPL"))
    assert "symbol: AAPL" in (tmp_path / "state" / "tradebot.yaml").read_text()


def test_daily_bars_are_known_by_their_columns_and_begin_where_they_are_told_to(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    days, state = tmp_path / "days.csv", str(tmp_path / "state")
    days.write_text(DAYS)
    flags = ("init", "--bars", str(days), "--state-dir", state)
    assert main([*flags, "--bar-stamp", "end"]) == 2
    assert capsys.readouterr().err == (
        f"error: {days} holds daily bars, which have no stamp of a minute\n  next: leave out --bar-stamp\n"
    )
    assert main([*flags, "--start", "2026-01-02"]) == 2
    assert "no usable bar from 2026-01-02 on" in capsys.readouterr().err
    made = said(capsys, *flags, "--start", "2025-03-01")
    process.stop(tmp_path / "state" / "exchange")
    assert (made["now"], made["symbols"]) == ("2025-03-03T14:00:00Z", 1)
    assert made["notes"] == ["skipped 1 row of the recorded bars: 1 not a session (first in line 5)"]
    minutes = tmp_path / "tradebot.yaml"
    minutes.write_text(f"sandbox: {{source: csv, path: {days}, bar_stamp: start}}\n")
    assert main(["init", "--config", str(minutes), "--state-dir", str(tmp_path / "other")]) == 2
    refused = capsys.readouterr().err
    assert "its bars are daily" in refused
    assert "next: set sandbox.source to daily" in refused
