"""Markets of daily bars: two minutes a session, history, dividends and splits."""

from datetime import date
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from exchange.tests.kit.app import World, open_world
from papervenue.creation import market_remarks, recorded_source, recorded_span
from papervenue.market.bars import Bar, Market
from papervenue.market.daily_file import is_daily
from papervenue.market.spec import MarketError, MarketSpec
from papervenue.market_loader import open_market
from papervenue.process import create
from papervenue.state import DAYS_FILE, read_market
from papervenue.times import MINUTE

HEADER = "date,symbol,open,high,low,close,volume,dividends,stock_splits"
ROWS = """\
2025-02-27,AAPL,97,102,97,100,1000,0,0
2025-02-28,AAPL,98,98,96,97,2000,0,0
2025-03-03,AAPL,99.5,101,98.5,99,4000,1,0
2025-03-04,AAPL,101,103,101,102,6000,0,2
2025-03-05,AAPL,102,104,102,103,6000,0,0
"""
"""Adjusted: a dividend of 1 (2 in shares of its day) on March 3rd, and a split of 2 for 1 on the 4th."""


def spec_of(folder: Path, rows: str = ROWS, header: str = HEADER, **more: Any) -> MarketSpec:
    path = folder / "days.csv"
    path.write_text(f"{header}\n{rows}")
    usual: dict[str, Any] = {"sessions": 3, "symbols": ()}
    return MarketSpec(source="daily", path=str(path), start=date(2025, 3, 3), **usual | more)


def market_without_file(folder: Path, spec: MarketSpec) -> Market:
    """Return the market of a folder, whose file is gone once it is made."""
    create(folder / "state", spec)
    assert spec.path is not None
    Path(spec.path).unlink()
    return open_market(folder / "state", read_market(folder / "state"))


def usd(bar: Bar | None) -> tuple[float, ...]:
    assert bar is not None
    return (*(units / 10_000 for units in bar[1:5]), bar.volume)


def test_daily_session_has_its_open_in_the_first_minute_and_the_rest_in_the_last(tmp_path: Path) -> None:
    market = market_without_file(tmp_path, spec_of(tmp_path))
    session, bars = market.calendar.market[1], market.day("AAPL", 1).bars
    assert [bar.start_us for bar in bars] == [session.open_us, session.close_us - MINUTE]
    assert list(map(usd, bars)) == [(101, 101, 101, 101, 300), (101, 103, 101, 102, 5700)]
    assert market.extended("AAPL", 1).bars == ()
    assert market.liquid("AAPL")


def test_daily_quote_stands_until_the_next_bar_or_the_close(tmp_path: Path) -> None:
    market = market_without_file(tmp_path, spec_of(tmp_path))
    session, (opening, last) = market.calendar.market[0], market.day("AAPL", 0).bars
    noon_us, night_us = session.open_us + 150 * MINUTE, session.close_us + 60 * MINUTE
    assert market.quoted_us(opening, opening.end_us) == opening.end_us
    assert market.quoted_us(opening, noon_us) == noon_us
    assert market.quoted_us(last, night_us) == session.close_us == last.end_us


def test_first_minute_is_the_whole_day_when_day_prices_are_close(tmp_path: Path) -> None:
    market = market_without_file(tmp_path, spec_of(tmp_path, day_prices="close"))
    (bar,) = market.day("AAPL", 1).bars
    assert (bar.start_us, usd(bar)) == (market.calendar.market[1].open_us, (101, 103, 101, 102, 6000))


def test_raw_prices_are_rebuilt_and_earlier_days_become_history(tmp_path: Path) -> None:
    market = market_without_file(tmp_path, spec_of(tmp_path))
    # Before the split everything was double, and before the dividend of 2 a share cost 98/97 times as much on top.
    assert usd(market.day("AAPL", 0).bars[-1]) == (199, 202, 197, 198, 1900)
    assert usd(market.history_day("AAPL", 1)) == (197.99 + 0.03, 198.02, 193.98, 196, 1000)
    assert market.history_day("AAPL", 3) is None
    assert market.close_before("AAPL", 0) == 196_0000


def test_adjusted_prices_are_played_unchanged_without_actions(tmp_path: Path) -> None:
    market = market_without_file(tmp_path, spec_of(tmp_path, prices="adjusted"))
    assert usd(market.day("AAPL", 0).bars[-1]) == (99.5, 101, 98.5, 99, 3800)
    assert list(market.actions) == []


def test_the_engine_pays_dividends_on_the_ex_date_and_splits_positions(tmp_path: Path) -> None:
    rows = ROWS.replace("2025-03-03,AAPL,99.5,101,98.5,99,4000,1,0", "2025-03-03,AAPL,99.5,101,98.5,99,4000,0,0")
    rows = rows.replace("2025-03-05,AAPL,102,104,102,103,6000,0,0", "2025-03-05,AAPL,102,104,102,103,6000,0.5,0")
    create(tmp_path / "state", spec_of(tmp_path, rows))
    world = open_world(tmp_path / "state", to="open")
    world.order("AAPL", "buy", 10)
    world.tick(to="next_open")
    assert [(row["symbol"], row["qty"]) for row in world.get("/v2/positions")] == [("AAPL", "20")]
    world.tick(to="next_open")
    (paid,) = world.get("/v2/account/activities/DIV")
    assert (paid["net_amount"], paid["date"]) == ("10", "2025-03-05")
    actions = [(one["type"], one["ex_date"]) for one in world.events() if one["event"] == "corporate_action"]
    assert actions == [("forward_split", "2025-03-04"), ("cash_dividend", "2025-03-05")]


def test_action_before_the_market_adjusts_its_history_only(tmp_path: Path) -> None:
    rows = ROWS.replace("2025-02-28,AAPL,98,98,96,97,2000,0,0", "2025-02-28,AAPL,98,98,96,97,2000,1,0")
    create(tmp_path / "state", spec_of(tmp_path, rows))
    world = open_world(tmp_path / "state", to="close")
    query = "/v2/stocks/bars?symbols=AAPL&timeframe=1Day&start=2025-02-01&adjustment="
    raw, adjusted = (world.get(query + name)["bars"]["AAPL"] for name in ("raw", "all"))
    closes = [[row["c"] for row in rows] for rows in (raw, adjusted)]
    assert closes[0] == [204.06, 196.0, 198.0]
    assert closes[1] == pytest.approx([200.0, 194.0, 198.0], abs=0.02)
    assert [one["ex_date"] for one in world.events() if one["event"] == "corporate_action"] == ["2025-03-03"]


def test_bad_rows_are_counted_with_their_reason_and_skipped(tmp_path: Path) -> None:
    good = "2025-03-05,AAPL,102,104,102,103,6000,0,0"
    rows = {
        "duplicate": good,
        "unparsable date": good.replace("2025-03-05", "yesterday"),
        "not a session": good.replace("2025-03-05", "2025-03-08"),
        "not a number": good.replace(",103,", ",many,"),
        "negative price": good.replace(",103,", ",-1,"),
        "price zero or out of range": good.replace(",103,", ",0,"),
        "high below low": good.replace(",104,", ",101,"),
        "open or close outside low and high": good.replace(",103,", ",105,"),
        "negative volume": good.replace("6000", "-1"),
        "volume out of range": good.replace("6000", "1e13"),
        "symbol not requested": good.replace("AAPL", "SPY"),
        "too many fields": good.replace(",103,", ",1,003,"),
        "bad symbol": good.replace("AAPL", "a b"),
        "bad dividends": good.replace(",0,0", ",much,0"),
        "bad stock_splits": good.replace(",0,0", ",0,-2"),
    }
    create(tmp_path / "state", spec_of(tmp_path, ROWS + "\n".join(rows.values()) + "\n", symbols=("AAPL",)))
    stored = read_market(tmp_path / "state")
    assert stored.skipped_rows == dict.fromkeys(rows, 1)
    assert stored.first_lines == {reason: line for line, reason in enumerate(rows, start=7)}
    (remark,) = market_remarks(tmp_path / "state").sentences
    assert remark.startswith("skipped 15 rows of the recorded bars: ")


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("date,symbol,open\n1,2,3\n", "no column high, low, close, volume"),
        (f"{HEADER}\n", r"no usable bar .*\(it holds no rows\)"),
        (f"{HEADER}\n{ROWS}2025-03-06,AA", "ends in the middle of line 7"),
        (f"{HEADER}\n{ROWS.replace('2025', '2019')}\n", "no usable bar for this market"),
        ("\ufeff" + HEADER + '\n"2025-03-03,AAPL\n', "not a CSV file|truncated"),
    ],
)
def test_create_refuses_an_unusable_file_and_names_it(tmp_path: Path, content: str, message: str) -> None:
    spec = spec_of(tmp_path)
    (tmp_path / "days.csv").write_text(content)
    with pytest.raises(MarketError, match=f"days.csv: .*({message})"):
        create(tmp_path / "state", spec)


def test_create_names_a_symbol_without_bars_and_a_late_symbol_starts_late(tmp_path: Path) -> None:
    rows = f"{ROWS}2025-03-05,XLC,50,51,49,50,100,0,0\n"
    with pytest.raises(MarketError, match="no bar of NOPE"):
        create(tmp_path / "other", spec_of(tmp_path, rows, symbols=("AAPL", "NOPE")))
    market = market_without_file(tmp_path, spec_of(tmp_path, rows))
    assert [len(market.day("XLC", index).bars) for index in range(3)] == [0, 0, 2]
    assert market.history_day("XLC", 1) is None


def test_recorded_source_and_span_follow_the_columns_and_the_start(tmp_path: Path) -> None:
    spec_of(tmp_path)
    path = tmp_path / "days.csv"
    assert (recorded_source(path), is_daily(tmp_path / "nothing.csv")) == ("daily", False)
    assert recorded_span("daily", path, None)[:2] == (date(2025, 2, 27), 5)
    assert recorded_span("daily", path, None, date(2025, 3, 1))[:2] == (date(2025, 3, 3), 3)
    with pytest.raises(MarketError, match="no usable bar from 2026-01-01 on"):
        recorded_span("daily", path, None, date(2026, 1, 1))
    with pytest.raises(MarketError, match="its bars are daily") as refused:
        recorded_span("csv", path, "start")
    assert "daily" in refused.value.hint


def test_open_names_a_damaged_file_of_daily_bars(tmp_path: Path) -> None:
    create(tmp_path / "state", spec_of(tmp_path))
    (tmp_path / "state" / DAYS_FILE).write_text('["AAPL"\n')
    with pytest.raises(MarketError, match=r"days\.jsonl is damaged"):
        open_market(tmp_path / "state", read_market(tmp_path / "state"))


def test_raw_daily_bars_take_their_actions_from_the_file_beside_them(tmp_path: Path) -> None:
    rows = "2025-02-28,AAPL,200,200,200,200,100\n2025-03-03,AAPL,100,100,100,100,300\n"
    spec = spec_of(tmp_path, rows, "date,symbol,open,high,low,close,volume", sessions=1)
    lines = "forward_split,AAPL,2025-03-03,,2,1,\ncash_dividend,AAPL,2025-02-28,1.5,,,2025-03-10\n"
    (tmp_path / "days.actions.csv").write_text("type,symbol,date,rate,new_rate,old_rate,payable_date\n" + lines)
    market = market_without_file(tmp_path, spec)
    actions = [(one.kind, one.rate, one.payable_date) for one in market.actions]
    assert actions == [("cash_dividend", Decimal("1.5"), "2025-03-10"), ("forward_split", Decimal(0), "2025-03-03")]
    assert market.close_before("AAPL", 0) == 100_0000


def test_order_in_a_daily_market_fills_at_the_day_s_open(tmp_path: Path) -> None:
    create(tmp_path / "state", spec_of(tmp_path))
    world: World = open_world(tmp_path / "state")
    world.tick(to="open")
    world.tick(seconds=300)
    world.order("AAPL", "buy", 10)
    world.tick(to="close")
    (fill,) = world.get("/v2/account/activities/FILL")
    # It fills in the last minute, at the day's open and half the spread.
    assert Decimal(fill["price"]) == Decimal("199.02")
