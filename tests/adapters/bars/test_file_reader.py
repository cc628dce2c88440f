"""Bars from files: read as they are declared, bad rows counted and skipped, bad files refused with the reason.

Price files as publishers and spreadsheets write them are imported as the same bars, with their times in New York.
"""

import sys
from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.kit.values import VENUE_DAY, us_sessions
from tradebot.adapters.bars import file_reader
from tradebot.adapters.bars.file_reader import FilesRead, ImportOptions, read_files, recognize
from tradebot.auditing.bar_findings import Flaw, RawBar, RawSeries
from tradebot.auditing.bars import BarAudit, check
from tradebot.errors import OperatorError

SHARED = Path(__file__).resolve().parents[3].parent / "shared" / "data"
NOW = datetime(2026, 11, 20, 15, tzinfo=UTC)
NEW_YORK = ZoneInfo("America/New_York")
HEADER = "ts,symbol,open,high,low,close,volume"
REST = "AAPL,100,101,99,100.5,1000"
OPEN = datetime(2026, 11, 16, 9, 30, tzinfo=NEW_YORK)

Make = Callable[[str], Path]


@pytest.fixture
def make(tmp_path: Path) -> Make:
    def write(text: str) -> Path:
        path = tmp_path / "bars.csv"
        path.write_text(text, encoding="utf-8")
        return path

    return write


def minutes(*, ends: bool = False, zone: str | None = NEW_YORK.key) -> ImportOptions:
    return ImportOptions("1Min", "end" if ends else "start", NOW, VENUE_DAY, zone=zone)


DAYS = ImportOptions("1Day", None, NOW, VENUE_DAY)


def read(path: Path, how: ImportOptions) -> FilesRead:
    return read_files(recognize([path], how), how)


@pytest.mark.parametrize(
    "time",
    [
        "2026-11-16 09:30:00",
        "2026-11-16T09:30",
        "2026-11-16 14:30:00+00:00",
        "2026-11-16T14:30:00Z",
        "2026-11-16 15:30+01",
        " 2026-11-16 09:30:00.000000000 ",
    ],
)
def test_time_is_read_in_its_own_zone_or_else_in_the_declared_one(make: Make, time: str) -> None:
    found = read(make(f"{HEADER}\n{time},{REST}\n"), minutes())
    assert found.of("AAPL") == [RawBar(int(OPEN.timestamp()), 100, 101, 99, 100.5, 1000)]


def test_a_bar_stamped_at_its_end_starts_a_minute_earlier(make: Make) -> None:
    found = read(make(f"{HEADER}\n2026-11-16 09:31,{REST}\n"), minutes(ends=True))
    assert [bar.start_s for bar in found.of("AAPL")] == [int(OPEN.timestamp())]


@pytest.mark.parametrize("time", ["2026-03-08 02:30", "2026-11-01 01:30"])
def test_a_time_that_clocks_skip_or_repeat_is_a_bad_row(make: Make, time: str) -> None:
    found = read(make(f"{HEADER}\n{time},{REST}\n"), minutes())
    assert found.reasons == {"time is skipped or repeated when clocks change": 1}


@given(st.dates(date(1990, 1, 1), date(2026, 11, 18)))
def test_date_is_read_the_same_in_every_notation(day: date) -> None:
    local = datetime.combine(day, datetime.min.time(), NEW_YORK)
    texts = [str(day), f"{day}T00:00:00Z", local.isoformat(), local.astimezone(UTC).isoformat()]
    assert {file_reader._day_of(text, VENUE_DAY) for text in texts} == {VENUE_DAY.begins_s(day)}
    instants = [int(at.timestamp()) * 10**6 for at in (local, local.replace(tzinfo=UTC))]
    assert {file_reader._day_of(at, VENUE_DAY) for at in instants} == {VENUE_DAY.begins_s(day)}


@pytest.mark.parametrize(
    ("row", "reason"),
    [
        ("2026-11-16 09:30", "too few fields"),
        # A comma between thousands moves each value after it into another column.
        ("2026-11-16 09:30,AAPL,100,101,99,100.5,1,000", "too many fields"),
        (f"yesterday,{REST}", "unreadable time"),
        (f"2026-02-30 09:30,{REST}", "unreadable time"),
        (f"20261116,{REST}", "unreadable time"),
        (f"1763303400,{REST}", "unreadable time"),
        (f"1923-11-16 09:30,{REST}", "time out of range"),
        (f"2026-11-16 09:30:30,{REST}", "not on a minute"),
        (f"2026-11-20 10:00,{REST}", "not complete yet"),
        ("2026-11-16 09:30,aapl,100,101,99,100.5,1000", "bad symbol"),
        ("2026-11-16 09:30,=CMD(),100,101,99,100.5,1000", "bad symbol"),
        ("2026-11-16 09:30,AAPL,,101,99,100.5,1000", "not a number"),
        ("2026-11-16 09:30,AAPL,1_00,101,99,100.5,1000", "not a number"),
        ("2026-11-16 09:30,AAPL,nan,101,99,100.5,1000", "not a number"),
        ("2026-11-16 09:30,AAPL,100,inf,99,100.5,1000", "not a number"),
        ("2026-11-16 09:30,AAPL,0,101,99,100.5,1000", "price zero or negative"),
        ("2026-11-16 09:30,AAPL,100,98,99,100.5,1000", "high below low"),
        ("2026-11-16 09:30,AAPL,100,101,99,102,1000", "open or close outside low and high"),
        ("2026-11-16 09:30,AAPL,100,101,99,100.5,-1", "negative volume"),
        ("2026-11-16 09:30,AAPL,100,1e9,99,100.5,1", "price or volume out of range"),
    ],
)
def test_bad_row_is_skipped_and_reported_with_its_line(make: Make, row: str, reason: str) -> None:
    found = read(make(f"{HEADER}\n2026-11-16 09:29,{REST}\n{row}\n2026-11-16 09:31,{REST}\n"), minutes())
    assert len(found.of("AAPL")) == 2
    assert [(bad.row, bad.reason) for bad in found.bad] == [(3, reason)]


def test_a_day_that_is_not_over_is_not_read(make: Make) -> None:
    found = read(make(f"{HEADER}\n2026-11-19,{REST}\n2026-11-20,{REST}\n2026-11-18 16:00,{REST}\n"), DAYS)
    assert found.reasons == {"not complete yet": 1, "expected a date, but its time isn't midnight": 1}


def test_minutes_are_never_read_as_days(make: Make) -> None:
    times = [f"2026-11-{day}T00:0{minute}:00Z" for day in (17, 18) for minute in range(3)]
    days = (f"2026-11-{day},{REST.replace('AAPL', 'MSFT')}" for day in (16, 17))
    found = read(make("\n".join([HEADER, *(f"{at},{REST}" for at in times), *days, ""])), DAYS)
    assert (found.of("AAPL"), len(found.of("MSFT"))) == ([], 2)
    assert sorted(found.reasons.values()) == [2, 4]


def test_first_of_two_rows_for_one_bar_counts_across_files(make: Make, tmp_path: Path) -> None:
    first = make(f"{HEADER}\n2026-11-16 09:30,{REST}\n2026-11-16 09:30,{REST}\n")
    (second := tmp_path / "second.csv").write_text(f"{HEADER}\n2026-11-16 09:30,AAPL,100,101,99,100,7\n")
    found = read_files(recognize([first, second], minutes()), minutes())
    assert [bar.close for bar in found.of("AAPL")] == [100.5]
    assert [(Path(bad.file).name, bad.row, bad.reason) for bad in found.bad] == [
        ("bars.csv", 3, "duplicate"),
        ("second.csv", 2, "same time as an earlier row, with different numbers"),
    ]


def test_dropped_row_is_reported_with_its_file_and_line(make: Make, tmp_path: Path) -> None:
    (second := tmp_path / "second.csv").write_text(f"{HEADER}\n\n2026-11-16 09:31,{REST}\n")
    found = read_files(recognize([make(f"{HEADER}\n2026-11-16 09:30,{REST}\n"), second], minutes()), minutes())
    found.drop("AAPL", int(OPEN.timestamp()) + 60, "no session")
    assert [(Path(bad.file).name, bad.row, bad.reason) for bad in found.bad] == [("second.csv", 3, "no session")]
    assert len(found.of("AAPL")) == 1


def test_columns_are_found_in_any_order_after_a_byte_order_mark(make: Make) -> None:
    text = "\ufeffClose, Volume,note,SYMBOL,ts,Open,High,Low\n100.5,1000,x,AAPL,2026-11-16 09:30,100,101,99\n"
    assert read(make(text), minutes()).of("AAPL") == [RawBar(int(OPEN.timestamp()), 100, 101, 99, 100.5, 1000)]


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("", "is empty"),
        ("date,open\n1,2\n", "no column high, low, close, volume"),
        (f"{HEADER},close\n", "two columns named close"),
        (f"{HEADER}\n2026-11-16 09:30,{REST}\n2026-11-16 09:31,AA", "ends in the middle of line 3"),
        (f'{HEADER}\n2026-11-16 09:30,"{REST}\n', "not a CSV file"),
    ],
)
def test_incomplete_file_is_refused_with_the_reason(make: Make, text: str, why: str) -> None:
    with pytest.raises(OperatorError, match=why) as refused:
        read(make(text), minutes())
    assert ("tradebot bars import FILE --shape NAME" in refused.value.hint) is ("column high" in why or not text)


def test_a_file_that_cannot_be_read_is_refused(tmp_path: Path) -> None:
    (latin := tmp_path / "latin.csv").write_bytes(b"\xe9,\n")
    for path, why in ((tmp_path, "Is a directory"), (tmp_path / "no.csv", "no such file"), (latin, "not a CSV file")):
        with pytest.raises(OperatorError, match=why):
            read(path, minutes())


def test_more_rows_than_fit_are_refused(make: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(file_reader, "MOST_ROWS", 2)
    path = make(HEADER + f"\n2026-11-16 09:30,{REST}" * 3 + "\n")
    with pytest.raises(OperatorError, match="more than 2 rows"):
        read(path, minutes())


def test_files_without_a_usable_bar_say_why(make: Make) -> None:
    found = read(make(f"{HEADER}\n2026-11-16 09:30,AAPL,0,0,0,0,0\n"), minutes())
    with pytest.raises(OperatorError, match=r"price zero or negative \(1 row\); the first is row 2 of .*bars.csv"):
        file_reader.span(found, VENUE_DAY)


def test_parquet_needs_the_data_extra(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "duckdb", None)
    (path := tmp_path / "bars.parquet").touch()
    with pytest.raises(OperatorError, match="needs the data extra"):
        read(path, minutes())


def parquet(path: Path, time: str, symbol: str = "AAPL") -> Path:
    duckdb = pytest.importorskip("duckdb", reason="needs the data extra and ../shared/data")
    path.parent.mkdir(parents=True, exist_ok=True)
    columns = (
        f"'{symbol}' AS symbol, 100.0 AS open, 101::DECIMAL(9, 2) AS high, 99 AS low, '100.5' AS close, 1000 AS Volume"
    )
    duckdb.sql(f"SELECT {time}, {columns}").write_parquet(str(path))
    return path


@pytest.mark.parametrize(
    "time",
    [
        "TIMESTAMP '2026-11-16 09:30:00' AS ts",
        "make_timestamptz(1794839400000000) AS ts",
        "'2026-11-16T14:30:00Z' AS ts",
        "TIMESTAMP_NS '2026-11-16 09:30:00' AS \"Ts\"",
    ],
)
def test_parquet_times_of_every_kind_are_read(tmp_path: Path, time: str) -> None:
    found = read(parquet(tmp_path / "bars.parquet", time), minutes())
    assert found.of("AAPL") == [RawBar(int(OPEN.timestamp()), 100, 101, 99, 100.5, 1000)]


@pytest.mark.parametrize("time", ["DATE '2026-11-16' AS date", "TIMESTAMP '2026-11-16' AS date"])
def test_parquet_dates_are_read(tmp_path: Path, time: str) -> None:
    found = read(parquet(tmp_path / "bars.parquet", time), DAYS)
    assert [bar.start_s for bar in found.of("AAPL")] == [VENUE_DAY.begins_s(date(2026, 11, 16))]


def test_path_with_wildcard_characters_reads_that_file_alone(tmp_path: Path) -> None:
    time = "TIMESTAMP '2026-11-16 09:30:00' AS ts"
    parquet(tmp_path / "symbol=MSFT" / "ab.parquet", time)
    odd = parquet(tmp_path / "symbol=MSFT" / "ab.parquet", time).rename(tmp_path / "symbol=MSFT" / "a[b]*?.parquet")
    parquet(tmp_path / "symbol=MSFT" / "ab_more.parquet", time, "SPY")
    found = read(odd, minutes())
    assert (found.rows, list(found.bars)) == (1, ["AAPL"])


def test_a_damaged_parquet_file_is_refused(tmp_path: Path) -> None:
    path = parquet(tmp_path / "bars.parquet", "TIMESTAMP '2026-11-16 09:30:00' AS ts")
    path.write_bytes(path.read_bytes()[:-20])
    with pytest.raises(OperatorError, match="not a complete Parquet file"):
        read(path, minutes())


def recorded(name: str, how: ImportOptions, tmp_path: Path, *symbols: str) -> BarAudit:
    path = SHARED / "market" / name
    if not path.exists():
        pytest.skip(f"shared/data has no {name}")
    duckdb = pytest.importorskip("duckdb", reason="needs the data extra to read ../shared/data")
    duckdb.read_parquet(str(path)).filter(f"symbol IN {symbols}").write_parquet(str(tmp_path / name))
    found = read(tmp_path / name, how)
    assert found.bad == []
    every = [RawSeries(symbol, how.timeframe or "", found.of(symbol)) for symbol in sorted(found.bars)]
    return check(every, us_sessions(*file_reader.span(found, VENUE_DAY)), NOW, VENUE_DAY)


def test_audit_finds_nothing_in_recorded_days(tmp_path: Path) -> None:
    result = recorded("etf_daily_adj.parquet", DAYS, tmp_path, "USMV", "XLF", "XLRE")
    assert ([row.bars for row in result.looked_at], result.findings) == ([3_566, 6_794, 2_569], ())


def test_audit_finds_the_two_minutes_that_the_source_lost(tmp_path: Path) -> None:
    symbols = "AAPL", "AMZN", "BAC", "GLD", "JPM", "MSFT", "PPLT", "SPY", "V", "XLP"
    result = recorded("us_minute_2019_02.parquet", minutes(ends=True, zone=None), tmp_path, *symbols)
    assert {each.flaw for each in result.findings} == {Flaw.HOLE}
    assert {f"{each.at:%m-%d %H:%M}" for each in result.findings} == {"02-14 19:31", "02-14 19:36"}
    assert {each.symbol for each in result.findings} == {"AAPL", "AMZN", "MSFT"}


def test_audit_finds_the_split_in_recorded_raw_minutes(tmp_path: Path) -> None:
    (split, gap) = recorded("us_minute_lean.parquet", minutes(zone=None), tmp_path, "AAPL", "GOOG", "TWX").findings
    assert (split.flaw, split.symbol, split.expected) == (Flaw.UNADJUSTED_SPLIT, "AAPL", 7)
    assert split.at == datetime(2014, 6, 9, 13, 30, tzinfo=UTC)
    assert (gap.flaw, gap.symbol, gap.count) == (Flaw.GAP, "TWX", 9)


FOLDER = Path(__file__).resolve().parents[3].parent / "shared" / "cases" / "published_shapes"
OPEN_S = int(datetime(2026, 11, 13, 14, 30, tzinfo=UTC).timestamp())
NAMED = {"symbol": "AAPL"}
FILES: dict[str, tuple[str, dict[str, str]]] = {
    "20261113_trade.zip": ("lean", {}),
    "alpaca_df_day.csv": ("alpaca", {}),
    "binance_1m_ms.csv": ("binance", NAMED),
    "dukascopy.csv": ("dukascopy", NAMED),
    "epoch_ms.csv": ("tradebot", {"stamp": "start"}),
    "excel_de.csv": ("excel-de", {}),
    "excel_us.csv": ("excel-us", {}),
    "firstrate_1min.txt": ("firstrate", NAMED),
    "ib_insync_min.csv": ("ib", NAMED),
    "kibot.txt": ("kibot", NAMED),
    "kraken_XBTUSD_1.csv": ("kraken", {}),
    "mt5.csv": ("metatrader", NAMED | {"zone": "America/New_York"}),
    "nasdaq.csv": ("nasdaq", NAMED),
    "stooq_bulk.txt": ("stooq", {}),
    "tradingview_iso.csv": ("tradingview", NAMED),
    "yahoo_AAPL.csv": ("yahoo", {}),
}
"""The shape of each file, and the options that it needs: no more is asked."""


def import_file(path: Path, options: dict[str, str]) -> FilesRead:
    reading = {name: value for name, value in options.items() if name != "stamp"}
    how = ImportOptions(None, options.get("stamp"), NOW, VENUE_DAY, **reading)
    return read_files(recognize([path], how), how)


def minute(i: int, volume: float) -> RawBar:
    prices = [round(price + i / 100, 2) for price in (230, 230.1, 229.9, 230.05)]
    return RawBar(OPEN_S + 60 * i, prices[0], prices[1], prices[2], prices[3], volume)


def day(i: int) -> RawBar:
    starts = [date(2026, 11, 2) + timedelta(days=n) for n in range(14)]
    start_s = VENUE_DAY.begins_s([each for each in starts if each.weekday() < 5][i])
    return RawBar(start_s, 230 + i / 2, 231.23 + i / 2, 228.89 + i / 2, 230.37 + i / 2, 10**6 + 1111 * i)


@pytest.mark.parametrize("name", FILES)
def test_published_file_is_read_whole_and_asks_only_what_it_cannot_show(name: str) -> None:
    if not FOLDER.is_dir():
        pytest.skip("shared/cases has no published_shapes")
    shape, options = FILES[name]
    read = import_file(FOLDER / name, options)
    (understood,), (symbol,) = read.files, read.bars
    assert (understood.shape, read.bad) == (shape, [])
    if understood.timeframe == "1Day":
        assert (symbol, read.of(symbol)) == ("AAPL", [day(i) for i in range(10)])
    else:
        scale = 1000 if shape == "kraken" else 1
        assert read.of(symbol) == [minute(i, (1000 + i) / scale) for i in range(390)]
        assert read.first_bars(3)[0].local_start == "2026-11-13 09:30"
    if "symbol" in options:
        with pytest.raises(OperatorError, match=f"{name}, line [12]: nothing names the symbol") as asked:
            import_file(FOLDER / name, {})
        assert asked.value.hint.endswith(f"{name} --symbol SYMBOL")


@pytest.mark.parametrize(
    ("minutes", "why", "hint"),
    [
        ((0, 5, 10), "its closest bars are 5 minutes apart, but only 1Min and 1Day", "--symbol AAPL --timeframe 1Min"),
        ((0,), "line 2: all of its times are the same", "--symbol AAPL --timeframe 1Min, or with --timeframe 1Day"),
    ],
)
def test_bars_of_another_length_are_never_taken_for_minutes(
    tmp_path: Path, minutes: tuple[int, ...], why: str, hint: str
) -> None:
    rows = [f"2026-11-13 09:{30 + i},1,1,1,1,1" for i in minutes]
    (path := tmp_path / "bars.csv").write_text("\n".join(["timestamp,open,high,low,close,volume", *rows, ""]))
    how = ImportOptions(None, None, NOW, VENUE_DAY, symbol="AAPL", files="bars.csv", options=" --symbol AAPL")
    with pytest.raises(OperatorError, match=why) as refused:
        recognize([path], how)
    assert refused.value.hint.endswith(f"tradebot bars import bars.csv {hint}")


def test_what_a_minute_file_leaves_open_is_asked_with_both_readings(tmp_path: Path) -> None:
    rows = [f"2026-11-13 14:3{i},AAPL,1,1,1,1,1" for i in range(3)]
    (path := tmp_path / "bars.csv").write_text("\n".join(["ts,symbol,open,high,low,close,volume", *rows, ""]))
    both = r"line 2: .*14:30, add --stamp start; if it ends then, add --stamp end"
    with pytest.raises(OperatorError, match=both) as asked:
        import_file(path, {})
    assert asked.value.hint == "tradebot bars import FILE --stamp start, or with --stamp end"
    both = "has no time zone. If that is UTC, it is 2026-11-13 09:30 in New York"
    with pytest.raises(OperatorError, match=both) as asked:
        import_file(path, {"stamp": "start"})
    assert asked.value.hint == "tradebot bars import FILE --zone America/New_York, or with --zone UTC"


def test_symbol_option_is_refused_for_a_file_with_a_column_of_symbols(tmp_path: Path) -> None:
    (path := tmp_path / "bars.csv").write_text("date,symbol,open,high,low,close,volume\n2026-11-13,AAPL,1,1,1,1,1\n")
    with pytest.raises(OperatorError, match="has a column of symbols"):
        import_file(path, {"symbol": "MSFT"})
    with pytest.raises(OperatorError, match="--stamp and --zone have no"):
        import_file(path, {"zone": "UTC"})
