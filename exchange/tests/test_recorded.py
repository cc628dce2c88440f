"""Recorded bars: bad rows are counted and skipped, and bad files are refused with the reason."""

import sys
from collections.abc import Callable
from datetime import date
from decimal import Decimal
from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from exchange.tests.kit.app import SHARED, open_world
from papervenue.creation import market_remarks, recorded_span
from papervenue.market import minute_rows
from papervenue.market.minute_rows import BadRowError
from papervenue.market.recorded import held_in
from papervenue.market.spec import MarketError, MarketSpec
from papervenue.market_loader import open_market
from papervenue.process import create
from papervenue.state import read_market
from papervenue.times import MINUTE, rfc3339

Row = tuple[int, str, bool]
DIGITS = st.integers(0, 10**7)
NUMBERS = st.one_of(
    st.floats(),
    st.integers(-5, 10**13),
    st.builds("{}.{}".format, DIGITS, DIGITS),
    DIGITS.map(lambda units: units / 100),
    st.sampled_from(["1_0", " 12.5 ", "1e3", "inf", "", "-0", "\uff11", "0.00005", "0.00015", "10000000", "9" * 13]),
)
TIMES = st.builds(
    "{:04}-{:02}-{:02}{}{:02}:{:02}{}{}".format,
    st.integers(1999, 2030),
    st.integers(1, 13),
    st.integers(1, 31),
    st.sampled_from("T x"),
    st.integers(0, 25),
    st.integers(0, 61),
    st.sampled_from([":00", ":30", ":61", "", ":00.5"]),
    st.sampled_from(["", "Z", "+00:00", "-05:00", "Q", "1"]),
)


def outcome(read: Callable[..., int], value: object) -> int | str:
    try:
        return read(value)
    except BadRowError as reason:
        return str(reason)


@given(NUMBERS)
@settings(max_examples=100)
@example(100.00005)
@example("0.0001")
@example("9999999.99995")
def test_fast_reading_of_prices_and_volumes_equals_the_exact_one(number: object) -> None:
    assert outcome(minute_rows.units_of, number) == outcome(minute_rows.exact_units, number)
    assert outcome(minute_rows.shares_of, number) == outcome(minute_rows.exact_shares, number)


@given(TIMES)
@settings(max_examples=100)
@example("2025-03-09 02:30:00")
@example("2025-11-02 01:59:00")
@example("2025-03-03 9:31:00")
def test_fast_reading_of_times_equals_the_exact_one(text: str) -> None:
    assert outcome(minute_rows.time_of, text) == outcome(minute_rows.exact_time, text)


def test_number_is_read_as_engine_time_and_true_is_refused_as_a_price() -> None:
    assert minute_rows.time_of(17) == 17
    assert minute_rows.units_of(1.0) == 10_000
    with pytest.raises(BadRowError, match="not a number"):
        minute_rows.units_of(True)


PARQUET = SHARED / "market" / "us_minute_2019_02.parquet"
HEADER = "ts,symbol,open,high,low,close,volume"
GOOD = "2025-03-03 09:31:00,AAPL,100,101,99,100.5,1000"

Make = Callable[[str], MarketSpec]


@pytest.fixture
def make(tmp_path: Path) -> Make:
    def write(content: str) -> MarketSpec:
        path = tmp_path / "bars.csv"
        path.write_text(content)
        return MarketSpec(
            source="csv", path=str(path), bar_stamp="end", start=date(2025, 3, 3), sessions=1, symbols=("AAPL",)
        )

    return write


@pytest.mark.parametrize(
    "symbol", ["=1+1", "+AAPL", "-AAPL", "@SUM(A1)", "\tAAPL", "'=1", '"=1+1"', "AAPL\x1b[2J", "=CMD|' /C'!A"]
)
def test_create_keeps_no_text_that_a_spreadsheet_would_run(make: Make, tmp_path: Path, symbol: str) -> None:
    create(tmp_path / "state", make(f"{HEADER}\n{GOOD}\n{GOOD.replace('AAPL', symbol)}\n"))
    assert {line.split(",")[0] for line in (tmp_path / "state" / "bars.csv").read_text().splitlines()} == {"AAPL"}
    assert sum(read_market(tmp_path / "state").skipped_rows.values()) == 1


def test_bars_stamped_at_their_end_start_a_minute_earlier(make: Make, tmp_path: Path) -> None:
    create(tmp_path / "state", make(f"{HEADER}\n{GOOD}\n"))
    world = open_world(tmp_path / "state", to="close")
    rows = world.get("/v2/stocks/bars?symbols=AAPL&timeframe=1Min&start=2025-03-03")["bars"]["AAPL"]
    assert rows == [
        {"t": "2025-03-03T14:30:00Z", "o": 100.0, "h": 101.0, "l": 99.0, "c": 100.5, "v": 1000, "n": 7, "vw": 100.1095}
    ]


def test_bad_rows_are_counted_with_their_reason_and_skipped(make: Make, tmp_path: Path) -> None:
    rows = {
        "duplicate": GOOD,
        "unparsable time": GOOD.replace("2025-03-03 09:31:00", "yesterday"),
        "time out of range": GOOD.replace("2025", "1970"),
        "not a number": GOOD.replace("100.5", "nan"),
        "price zero or out of range": GOOD.replace(",99,", ",0,"),
        "negative price": GOOD.replace(",99,", ",-1,"),
        "high below low": GOOD.replace(",101,", ",98,"),
        "open or close outside low and high": GOOD.replace("100.5", "200"),
        "negative volume": GOOD.replace("1000", "-1"),
        "outside the market's sessions": GOOD.replace("09:31", "04:00"),
        "not on a minute": GOOD.replace("09:31:00", "09:31:07"),
        "symbol not requested": GOOD.replace("AAPL", "SPY"),
        "bad symbol": GOOD.replace("AAPL", "a b"),
        "too few fields": "2025-03-03 09:32:00,AAPL,100",
        "too many fields": GOOD.replace("1000", "1,000"),
    }
    create(tmp_path / "state", make("\n".join([HEADER, GOOD, *rows.values(), GOOD.replace("09:31", "09:40"), ""])))
    stored = read_market(tmp_path / "state")
    assert stored.skipped_rows == dict.fromkeys(rows, 1)
    assert stored.first_lines == {reason: line for line, reason in enumerate(rows, start=3)}
    (remark,) = market_remarks(tmp_path / "state").sentences
    assert remark.startswith("skipped 15 rows of the recorded bars: ")
    assert "1 not a number (first in line 6)" in remark
    bars = open_market(tmp_path / "state", stored).day("AAPL", 0).bars
    assert [rfc3339(bar.start_us) for bar in bars] == ["2025-03-03T14:30:00Z", "2025-03-03T14:39:00Z"]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("", "the file is empty"),
        (f"{HEADER}\n", r"no usable bar .*\(it holds no rows\)"),
        ("ts,symbol,open\n1,2,3\n", "no column high, low, close, volume"),
        (f"{HEADER}\n{GOOD}\n2025-03-03 09:32:00,AA", "ends in the middle of line 3"),
        (f"{HEADER}\n{GOOD.replace('2025', '2019')}\n", "1 outside the market's sessions"),
        (f"{HEADER}\n{GOOD.replace('AAPL', 'SPY')}\n", "1 symbol not requested"),
        (f'{HEADER}\n"{GOOD}\n', "not a CSV file|truncated"),
    ],
)
def test_create_refuses_an_unusable_file_and_names_it(make: Make, tmp_path: Path, content: str, message: str) -> None:
    with pytest.raises(MarketError, match=f"bars.csv: .*({message})"):
        create(tmp_path / "state", make(content))
    assert not (tmp_path / "state" / "market.json").exists()


def test_create_refuses_a_missing_or_binary_file_or_a_folder_with_the_next_step(make: Make, tmp_path: Path) -> None:
    spec = make("")
    path = tmp_path / "bars.csv"

    def hint(message: str, read: Callable[[], object]) -> str:
        with pytest.raises(MarketError, match=message) as raised:
            read()
        return raised.value.hint

    path.write_bytes(b"\xff\xfe\x00PAR1")
    assert hint("not a CSV file", lambda: create(tmp_path / "state", spec)).startswith("save it as UTF-8 text")
    path.unlink()
    files, like = f"ls {tmp_path} shows the files", f"did you mean {tmp_path / 'bras.csv'}?"
    assert hint("no such file", lambda: recorded_span("csv", path, "end")) == files
    for there, said in (("garbage.csv", files), ("bras.csv", like)):
        (tmp_path / there).touch()
        assert hint("no such file", lambda: recorded_span("csv", path, "end")) == said
    nowhere = tmp_path / "nowhere" / "bars.csv"
    assert hint("no such file", lambda: recorded_span("csv", nowhere, "end")) == "check the path of --bars"
    path.mkdir()
    said = hint(r"bars\.csv: the folder holds no price files", lambda: create(tmp_path / "state", spec))
    assert said == "their names end in .csv, .txt, .zip or .parquet"


def test_create_accepts_a_byte_order_mark_and_blank_lines(make: Make, tmp_path: Path) -> None:
    create(tmp_path / "state", make(f"\ufeff{HEADER}\n\n{GOOD}\n\n"))
    assert read_market(tmp_path / "state").skipped_rows == {}


def test_span_of_a_file_with_only_bad_rows_names_the_reasons(make: Make) -> None:
    bad = GOOD.replace("AAPL", "a b")
    spec = make(f"{HEADER}\n{GOOD.replace('1000', 'many')}\n{bad}\n{bad}\n")
    assert spec.path is not None
    pattern = r"\(rows skipped: 2 bad symbol \(first in line 3\), 1 not a number \(first in line 2\)\)"
    with pytest.raises(MarketError, match=pattern):
        recorded_span("csv", Path(spec.path), "end")


ROWS = st.lists(st.tuples(st.integers(0, 9), st.sampled_from("AB"), st.booleans()), min_size=1, max_size=8)


@given(ROWS.filter(lambda rows: any(sound for _, _, sound in rows)))
@example([(1, "A", True), (3, "A", True), (5, "A", False)])
def test_range_of_a_file_is_that_of_its_sound_rows(tmp_path_factory: pytest.TempPathFactory, rows: list[Row]) -> None:
    path = tmp_path_factory.mktemp("range") / "minutes.csv"
    lines = (f"2026-11-16 09:3{minute},{name},1,{2 if sound else 0},1,1,5" for minute, name, sound in rows)
    path.write_text("\n".join(["ts,symbol,open,high,low,close,volume", *lines, ""]), encoding="utf-8")
    sound_rows = [(minute, name) for minute, name, sound in rows if sound]
    span = held_in("csv", path, "start")
    begin_us = minute_rows.exact_time("2026-11-16 09:30")
    minutes = [(us - begin_us) // MINUTE for us in (span.first_us, span.last_us)]
    assert minutes == [min(sound_rows)[0], max(sound_rows)[0]]
    assert span.symbols == {name for _, name in sound_rows}


def test_create_from_parquet_names_the_data_extra_when_it_is_missing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "duckdb", None)
    path = tmp_path / "bars.parquet"
    path.write_bytes(b"PAR1")
    spec = MarketSpec(source="parquet", path=str(path), bar_stamp="end", start=date(2025, 3, 3))
    with pytest.raises(MarketError, match="needs the data extra") as raised:
        create(tmp_path / "state", spec)
    assert raised.value.hint == "make extras NAME=data, or: pip install duckdb"


def test_create_refuses_a_truncated_parquet_file(tmp_path: Path) -> None:
    pytest.importorskip("duckdb", reason="needs the data extra and ../shared/data")
    path = tmp_path / "bars.parquet"
    path.write_bytes(b"PAR1 and then nothing")
    spec = MarketSpec(source="parquet", path=str(path), bar_stamp="end", start=date(2025, 3, 3))
    with pytest.raises(MarketError, match="not a complete Parquet file"):
        create(tmp_path / "state", spec)


@pytest.mark.skipif(not PARQUET.exists(), reason="needs ../shared/data/market/us_minute_2019_02.parquet")
def test_recorded_week_is_played_with_all_its_bars(tmp_path: Path) -> None:
    pytest.importorskip("duckdb", reason="needs the data extra to read ../shared/data")
    create(tmp_path, MarketSpec(source="parquet", path=str(PARQUET), bar_stamp="end", start=date(2019, 2, 11)))
    stored = read_market(tmp_path)
    assert (len(stored.symbols), stored.skipped_rows) == (24, {})
    market = open_market(tmp_path, stored)
    counts = {symbol: sum(len(market.day(symbol, i).bars) for i in range(5)) for symbol in stored.symbols}
    assert (sum(counts.values()), counts["SPY"], counts["UGA"]) == (43_164, 1950, 388)
    assert market.day("SPY", 0).bars[0].start_us == market.calendar.market[0].open_us
    starts = [bar.start_us for bar in market.day("UGA", 0).bars]
    assert any(later - sooner > MINUTE for sooner, later in pairwise(starts))
    world = open_world(tmp_path, to="open")
    assert world.get("/api/stock/SPY/oi-change")["data"] == []
    world.tick(seconds=1800)
    world.order("SPY", "buy", 10)
    world.order("VIX", "buy", 1)
    world.tick(to="close")
    assert [row["symbol"] for row in world.get("/v2/positions")] == ["SPY"]
    spent = Decimal(100_000) - Decimal(world.get("/v2/account")["cash"])
    assert 2_600 < spent < 2_800
    assert world.get("/api/option-trades/flow-alerts?ticker_symbol=SPY")["data"]
