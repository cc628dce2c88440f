"""Recorded bars of contracts: each in a session of its own calendar, up to its last trading, and on its ticks."""

from datetime import date
from pathlib import Path

import pytest

from papervenue.creation import recorded_span
from papervenue.market.futures import futures_venue, is_contract
from papervenue.market.recorded import HeldContracts, Imported, read_bars
from papervenue.market.sessions import build_calendar, own_calendars
from papervenue.market.spec import MarketError, MarketSpec
from papervenue.times import parse_time

START, SESSIONS = date(2026, 11, 25), 3
"""Thanksgiving and the days around it."""
HEADER = "ts,symbol,open,high,low,close,volume"


def file_of(folder: Path, *rows: str) -> Path:
    path = folder / "bars.csv"
    path.write_text("\n".join((HEADER, *rows, "")))
    return path


def read(folder: Path, *rows: str, start: date = START) -> Imported:
    venue = futures_venue(start, SESSIONS, ("MES", "GC", "6E"))
    symbols = tuple(one.symbol for one in venue.instruments)
    path = str(file_of(folder, *rows))
    spec = MarketSpec(
        start=start, sessions=SESSIONS, symbols=symbols, venue=venue, source="csv", path=path, bar_stamp="start"
    )
    calendar = build_calendar(start, SESSIONS, venue.calendar)
    return read_bars(spec, calendar, own_calendars(venue, calendar))


def placed(imported: Imported) -> dict[tuple[str, int], list[str]]:
    return {key: [f"{bar.close}/{bar.volume}" for bar in bars] for key, bars in imported.bars.items()}


def test_holidays_end_for_each_group_of_products_at_its_own_time(tmp_path: Path) -> None:
    recorded = read(
        tmp_path,
        "2026-11-26T17:59:00Z,MESZ6,6020.25,6020.5,6020,6020.25,7",
        "2026-11-26T18:00:00Z,MESZ6,6020.25,6020.5,6020,6020.25,8",
        "2026-11-26T18:00:00Z,GCZ6,2650.1,2650.1,2650.1,2650.1,9",
        "2026-11-26T19:30:00Z,GCZ6,2650.1,2650.1,2650.1,2650.1,9",
        "2026-11-26T21:59:00Z,6EZ6,1.08005,1.0801,1.08,1.08005,5",
        "2026-11-26T22:30:00Z,6EZ6,1.08005,1.0801,1.08,1.08005,6",
        "2026-11-26T23:00:00Z,MESZ6,6021,6021,6021,6021,1",
    )
    assert placed(recorded) == {
        ("MESZ6", 1): ["60202500/7"],
        ("GCZ6", 1): ["26501000/9"],
        ("6EZ6", 1): ["108005/5"],
        ("MESZ6", 2): ["60210000/1"],
    }
    assert recorded.skipped == {"between two sessions of its contract": 3}
    assert (recorded.first_lines, recorded.extended) == ({"between two sessions of its contract": 3}, 0)


@pytest.mark.parametrize(
    ("row", "reason"),
    [
        ("2026-11-25T15:00:00Z,MESZ6,6020.2,6020.5,6020,6020.25,7", "price between two ticks"),
        ("2026-11-25T15:00:00Z,MEZZ6,6020.25,6020.5,6020,6020.25,7", "bad symbol"),
        ("2026-11-25T15:00:00Z,MESV6,6020.25,6020.5,6020,6020.25,7", "bad symbol"),
        ("2026-11-25T15:00:00Z,ESZ6,6020.25,6020.5,6020,6020.25,7", "symbol not requested"),
        ("2026-11-25T15:00:00Z,AAPL,200,200,200,200,7", "symbol not requested"),
        ("2026-12-18T14:30:00Z,MESZ6,6020.25,6020.5,6020,6020.25,7", "outside the market's sessions"),
        ("2025-01-02T15:00:00Z,MESZ6,6020.25,6020.5,6020,6020.25,7", "outside the market's sessions"),
        ("2026-11-25T15:00:30Z,MESZ6,6020.25,6020.5,6020,6020.25,7", "not on a minute"),
        ("2026-11-25T15:00:00Z,MESZ6,6021.25,6020.5,6020,6020.25,7", "open or close outside low and high"),
        ("2026-11-25T16:00:00Z,MESZ6,6020.25,6020.5,6020,6020.25,8", "duplicate"),
        # Clocks in New York go back on this Sunday, when nothing trades.
        ("2026-11-01 01:30,MESZ6,6020.25,6020.5,6020,6020.25,7", "time is skipped or repeated when clocks change"),
        ("2026-03-08 02:30,MESZ6,6020.25,6020.5,6020,6020.25,7", "time is skipped or repeated when clocks change"),
    ],
)
def test_rows_that_are_no_bar_of_the_market_are_counted_by_reason(tmp_path: Path, row: str, reason: str) -> None:
    good = "2026-11-25T16:00:00Z,MESZ6,6020.25,6020.5,6020,6020.25,7"
    recorded = read(tmp_path, good, row)
    assert placed(recorded) == {("MESZ6", 0): ["60202500/7"]}
    assert (recorded.skipped, recorded.first_lines) == ({reason: 1}, {reason: 3})


def test_nothing_is_traded_after_a_contracts_end(tmp_path: Path) -> None:
    rows = [f"2026-12-18T14:{minute}:00Z,MESZ6,6020.25,6020.5,6020,6020.25,7" for minute in (29, 30)]
    recorded = read(tmp_path, *rows, start=date(2026, 12, 17))
    assert {key: len(bars) for key, bars in recorded.bars.items()} == {("MESZ6", 1): 1}
    assert recorded.skipped == {"after its contract's last trading": 1}


def test_rows_in_any_order_are_sorted_and_a_naive_time_is_new_yorks(tmp_path: Path) -> None:
    prices = "6020.25,6020.5,6020,6020.25"
    recorded = read(tmp_path, f"2026-11-25 10:01,MESZ6,{prices},2", f"2026-11-25T15:00:00Z,MESZ6,{prices},1")
    assert placed(recorded) == {("MESZ6", 0): ["60202500/1", "60202500/2"]}


def test_what_the_file_has_from_before_the_market_is_its_history(tmp_path: Path) -> None:
    recorded = read(
        tmp_path,
        "2026-11-23T22:59:00Z,MESZ6,6000,6010,5990,6005,1",
        "2026-11-23T23:00:00Z,MESZ6,6000,6010,5990,6005,2",
        "2026-11-24T00:00:00Z,MESZ6,6005,6020,6000,6010,3",
        "2026-11-25T15:00:00Z,MESZ6,6020.25,6020.5,6020,6020.25,7",
    )
    assert recorded.skipped == {"between two sessions of its contract": 1}
    source = HeldContracts(recorded.bars)
    assert (source.past_minutes, source.past_days, source.history_close("MESZ6", 1)) == (1, 1, 60_100_000)
    day = source.history_day("MESZ6", 1)
    assert day is not None
    assert day[1:] == (60_000_000, 60_200_000, 59_900_000, 60_100_000, 5)
    assert day.start_us == parse_time("2026-11-23T23:00:00Z")
    assert (source.history_day("MESZ6", 2), source.history_close("6EZ6", 1)) == (None, None)
    # What was before a session isn't trading around it.
    assert source.extended_hours("MESZ6", 0) == ()


def test_file_of_contracts_alone_spans_sessions_of_globex(tmp_path: Path) -> None:
    rows = [
        "2026-11-22T23:00:00Z,MESZ6,6020.25,6020.5,6020,6020.25,7",
        "2026-11-26T23:00:00Z,MESZ6,6020.25,6020.5,6020,6020.25,7",
    ]
    span = recorded_span("csv", file_of(tmp_path, *rows), "start")
    assert span.contracts == {"MESZ6"}
    # Thanksgiving is one of them, and Sunday's evening is Monday's.
    assert [f"{day:%m-%d}" for day in span.days] == ["11-23", "11-24", "11-25", "11-26", "11-27"]
    mixed = recorded_span("csv", file_of(tmp_path, *rows, "2026-11-25T15:00:00Z,AAPL,9,9,9,9,9"), "start")
    assert [f"{day:%m-%d}" for day in mixed.days] == ["11-23", "11-24", "11-25"]
    with pytest.raises(MarketError, match="no bar within a session"):
        recorded_span("csv", file_of(tmp_path, "2026-11-21T15:00:00Z,MESZ6,1,1,1,1,7"), "start")


def test_symbols_of_contracts_are_told_from_those_of_shares() -> None:
    assert all(map(is_contract, ("MESZ6", "6EH7", "GCG7", "NQM0")))
    assert not any(map(is_contract, ("AAPL", "MES", "MESF6", "6JZ6", "ESZ26", "MESZ", "GCU6")))
