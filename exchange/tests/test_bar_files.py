"""Files of bars in every shape of the table are read alike; what a file leaves open is asked, and never guessed."""

import zipfile
from collections.abc import Sequence
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from exchange.tests.kit.price_files import (
    BY_NAME,
    DAILY_ONLY,
    MINUTES_ONLY,
    UNITS,
    Style,
    Written,
    days,
    save,
    session_minutes,
)
from papervenue.creation import recorded_source, recorded_span
from papervenue.market.bar_files import UnclearFileError, open_bars
from papervenue.market.bar_shapes import EPOCH, ISO, MARKS, SHAPES, Shape, symbol_in_name, time_in
from papervenue.market.bars import UNITS as UNITS_OF_PRICE
from papervenue.market.daily_file import read_daily
from papervenue.market.minute_rows import bar_of
from papervenue.market.spec import MarketError, Reading
from papervenue.times import from_datetime, to_datetime

ZONES = ("America/New_York", "UTC", "Europe/Berlin", "Asia/Kolkata", "America/Los_Angeles", "Australia/Lord_Howe")
HEADER = "date,symbol,open,high,low,close,volume"

Bars = list[tuple[object, ...]]


def truth(bars: Sequence[Written], *, daily: bool) -> Bars:
    return [(f"{bar.start:%Y-%m-%d}" if daily else from_datetime(bar.start), *bar.cents, bar.volume) for bar in bars]


def read_back(path: Path, reading: Reading, *, daily: bool) -> Bars:
    """Read a file's rows, and return the bars of its symbol, prices in cents."""
    file, bars = open_bars(path, reading), Bars()
    for _, (time, symbol, *prices, volume) in file.rows():
        assert symbol == "AAPL"
        if daily:
            day = f"{to_datetime(time):%Y-%m-%d}" if isinstance(time, int) else str(time)[:10]
            bars.append((day, *(int(Decimal(str(price)) * 100) for price in prices), int(str(volume))))
        else:
            _, bar = bar_of((time, symbol, *prices, volume), 0)
            cents = (price * 100 // UNITS_OF_PRICE for price in bar[1:5])
            bars.append((bar.start_us, *cents, bar.volume))
    return bars


def answered(path: Path, reading: Reading, shape: Shape, style: Style) -> Reading:
    """Return how to read a file after answering what it leaves open; each question has the true answer among others."""
    answers = {
        "shape": shape.name,
        "symbol": "AAPL",
        "decimal": {mark: name for name, mark in MARKS.items()}[style.decimal],
    }
    offered = []
    for _ in answers:
        try:
            open_bars(path, reading)
            break
        except UnclearFileError as error:
            unclear = error
        offered.append(answers[unclear.option] in unclear.values or unclear.option == "symbol")
        reading = reading._replace(**{unclear.option: answers[unclear.option]})
    assert all(offered)
    return reading


def names_a_zone(shape: Shape, style: Style) -> bool:
    return shape.forms[0] is EPOCH or (shape.forms[0] is ISO and style.offset is not None)


@st.composite
def series(draw: st.DrawFn, *, daily: bool) -> list[Written]:
    """Draw bars of one session's minutes, or of weekdays of a year, with prices that suit a share."""
    if daily:
        start = datetime(2026, 1, 5, tzinfo=UTC)
        weeks = draw(st.lists(st.integers(0, 45), min_size=2, max_size=6, unique=True))
        starts = sorted(start + timedelta(weeks=week, days=draw(st.integers(1, 2))) for week in weeks)
    else:
        opens = datetime(2026, draw(st.integers(1, 11)), draw(st.sampled_from([4, 10, 17])), 14, 30, tzinfo=UTC)
        starts = [opens + timedelta(minutes=i) for i in range(draw(st.integers(2, 6)))]
    bars = []
    for moment in starts:
        low, *middle, high = sorted(draw(st.lists(st.integers(100, 10**7), min_size=4, max_size=4)))
        bars.append(Written(moment, (middle[0], high, low, middle[1]), draw(st.integers(0, 10**9))))
    return bars


@pytest.mark.parametrize("daily", [False, True])
@given(st.data())
@settings(max_examples=80, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_series_that_is_written_in_any_shape_is_read_back_the_same(
    tmp_path: Path, daily: bool, data: st.DataObject
) -> None:
    shape = data.draw(st.sampled_from([s for s in SHAPES if s.name not in (MINUTES_ONLY if daily else DAILY_ONLY)]))
    decimal, separator = data.draw(st.sampled_from([(".", ","), (".", ";"), (",", ";"), (",", "\t"), (",", ",")]))
    zone = shape.zone or data.draw(st.sampled_from(ZONES))
    offset = data.draw(st.none() | st.integers(-14 * 4, 14 * 4).map(lambda quarters: timedelta(minutes=15 * quarters)))
    style = Style(zone, offset, data.draw(st.sampled_from(UNITS)), separator, decimal, data.draw(st.booleans()))
    if shape.name == "lean":
        offset = None
    bars = data.draw(series(daily=daily))
    path = save(tmp_path, shape, bars, style, daily=daily)
    declared = None if daily or names_a_zone(shape, style) else zone
    reading = answered(path, Reading(zone=declared), shape, style)
    assert read_back(path, reading, daily=daily) == truth(bars, daily=daily)


@pytest.mark.parametrize("shape", SHAPES, ids=lambda shape: shape.name)
def test_each_shape_is_recognized_as_its_publisher_writes_it(tmp_path: Path, shape: Shape) -> None:
    daily = shape.name in DAILY_ONLY
    style = Style(shape.zone or "America/New_York", None, 1000, shape.separator, shape.decimal)
    bars = days() if daily else session_minutes(5)
    path = save(tmp_path, shape, bars, style, daily=daily)
    file = open_bars(path, Reading(symbol="AAPL"))
    assert (file.shape.name, file.daily, file.decimal) == (shape.name, daily, shape.decimal)
    assert daily or file.step_s == 60
    assert not (shape.stamp and daily)
    zone = None if daily or names_a_zone(shape, style) else style.zone
    reading = Reading(symbol="AAPL", zone=zone)
    assert read_back(path, reading, daily=daily) == truth(bars, daily=daily)
    if daily:
        ((symbol, rows),) = read_daily(path, reading=reading).rows.items()
        assert (symbol, rows.dates) == ("AAPL", [f"{bar.start:%Y-%m-%d}" for bar in bars])


def test_epochs_are_told_apart_by_their_size() -> None:
    second = int(datetime(2026, 11, 13, 14, 30, tzinfo=UTC).timestamp())
    assert {time_in(EPOCH, str(second * unit), None) for unit in UNITS} == {second * 10**6}
    assert time_in(EPOCH, f"{second}.25", None) == second * 10**6 + 250_000
    assert time_in(EPOCH, "17945802", None) is None


def written(path: Path, *rows: str) -> Path:
    path.write_text("\n".join([*rows, ""]), encoding="utf-8")
    return path


def test_dates_with_two_readings_are_asked_with_both_and_one_later_date_answers(tmp_path: Path) -> None:
    rows = [f"{day},AAPL,1,1,1,1,1" for day in ("01/02/2026", "02/03/2026")]
    path = written(tmp_path / "a.csv", HEADER, *rows)
    with pytest.raises(UnclearFileError) as unclear:
        open_bars(path)
    assert unclear.value.message.startswith(f"{path}, line 2: every date can be read in 2 ways: 01/02/2026 is ")
    assert "January 2, 2026 as excel-us writes it, or February 1, 2026 as excel-uk" in unclear.value.message
    assert unclear.value.hint == "write --bars-as shape=excel-us or --bars-as shape=excel-uk"
    assert next(open_bars(path, Reading(shape="excel-uk")).rows())[1][0] == "2026-02-01"
    later = written(path, HEADER, *rows, "01/15/2026,AAPL,1,1,1,1,1")
    assert open_bars(later).shape.name == "excel-us"
    assert open_bars(written(path, HEADER, *rows, "15/01/2026,AAPL,1,1,1,1,1")).shape.name == "excel-uk"


@pytest.mark.parametrize(
    ("texts", "decimal"),
    [
        (["1.5", "2"], "."),
        (["1,5"], ","),
        (["1.234,5"], ","),
        (["1,234.5"], "."),
        (["1.234.567"], ","),
        (["0,125"], ","),
        (["1234.567"], "."),
        (["1.234", "$ 2,50"], ","),
        (["12"], "."),
        (["1.234"], None),
        (["1,234"], None),
    ],
)
def test_decimal_mark_is_proven_by_numbers_or_asked(tmp_path: Path, texts: list[str], decimal: str | None) -> None:
    path = written(tmp_path / "a.csv", HEADER.replace(",", ";"), *(f"2026-11-13;AAPL;{t};{t};{t};{t};7" for t in texts))
    if decimal is not None:
        assert open_bars(path).decimal == decimal
        return
    with pytest.raises(UnclearFileError, match=r"with a decimal point, or .* with a decimal comma") as unclear:
        open_bars(path)
    assert (unclear.value.option, unclear.value.values) == ("decimal", ("point", "comma"))
    assert [open_bars(path, Reading(decimal=name)).decimal for name in unclear.value.values] == [".", ","]


def test_three_decimals_are_no_thousands_in_a_file_with_commas_between_fields(tmp_path: Path) -> None:
    path = written(tmp_path / "a.csv", HEADER, "2026-11-13,AAPL,1.125,1.125,1.125,1.125,7")
    assert next(open_bars(path).rows())[1][2] == "1.125"


def test_number_with_the_wrong_mark_is_no_number(tmp_path: Path) -> None:
    rows = [f"13.11.2026;AAPL;{price};{price};{price};{price};7" for price in ("1,5", "1.50", "1.500,5", "€ 2,5")]
    path = written(tmp_path / "a.csv", HEADER.replace(",", ";"), *rows)
    assert [fields[2] for _, fields in open_bars(path).rows()] == ["1.5", "?", "1500.5", "2.5"]


@pytest.mark.parametrize(("fields", "count"), [("2026-11-13,1,1,1,1,1,1,000", 8), ("2026-11-13,1,1,1,1,1,1", 8)])
def test_row_with_too_many_fields_never_passes_for_one_with_a_symbol(tmp_path: Path, fields: str, count: int) -> None:
    path = written(tmp_path / "AAPL.csv", "date,open,high,low,close,volume", fields, "2026-11-13,1,1,1,1,1")
    assert [len(row) for _, row in open_bars(path).rows()] == [count, 7]


def test_symbol_is_the_only_word_in_capitals_of_the_files_name() -> None:
    yahoo, lean = BY_NAME["yahoo"], BY_NAME["lean"]
    names = ["yahoo_AAPL", "XBTUSD_1", "BRK.B", "AAPL_M1_202611130930", "BATS_AAPL, 1", "AAPL_MSFT", "prices"]
    symbols = ["AAPL", "XBTUSD", "BRK.B", "AAPL", "AAPL", None, None]
    assert [symbol_in_name(yahoo, name) for name in names] == symbols
    assert symbol_in_name(BY_NAME["stooq"], "MSFT.US") == "MSFT"
    of_lean = ("20261113_aapl_minute_trade", "spy", "20261113")
    assert [symbol_in_name(lean, name) for name in of_lean] == ["AAPL", "SPY", None]


def test_ticks_are_the_volume_of_a_metatrader_file_without_any(tmp_path: Path) -> None:
    names = "<DATE>\t<TIME>\t<OPEN>\t<HIGH>\t<LOW>\t<CLOSE>\t<TICKVOL>\t<VOL>\t<SPREAD>"
    rows = [f"2026.11.13\t09:3{i}:00\t1\t1\t1\t1\t5{i}\t{{}}\t0" for i in range(3)]
    volumes = []
    for real in ((0, 0, 0), (0, 7, 0)):
        path = written(tmp_path / "AAPL_M1.csv", names, *(row.format(vol) for row, vol in zip(rows, real, strict=True)))
        volumes.append([fields[6] for _, fields in open_bars(path).rows()])
    assert volumes == [["50", "51", "52"], ["0", "7", "0"]]


def test_damaged_or_double_zips_and_unknown_words_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "AAPL.zip"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("a.csv", HEADER)
        archive.writestr("b.csv", HEADER)
    with pytest.raises(MarketError, match="it holds 2 files"):
        open_bars(path)
    path.write_bytes(path.read_bytes()[:40])
    with pytest.raises(MarketError, match="not a complete zip file"):
        open_bars(path)
    days_path = written(tmp_path / "AAPL.csv", HEADER, "2026-11-13,AAPL,1,1,1,1,1")
    for reading, why in (
        (Reading(shape="nope"), "there is no shape 'nope'"),
        (Reading(zone="Mars/Base"), "there is no time zone 'Mars/Base'"),
        (Reading(decimal="dot"), "there is no decimal mark 'dot'"),
        (Reading(shape="yahoo"), "no column adj close"),
        (Reading(shape="kibot-daily"), "7 columns, but files in the shape kibot-daily have 6"),
    ):
        with pytest.raises(MarketError, match=why):
            open_bars(days_path, reading)


def test_market_takes_the_stamp_and_zone_that_the_publisher_is_known_for(tmp_path: Path) -> None:
    bars = session_minutes(5)
    kibot = save(tmp_path, BY_NAME["kibot"], bars, Style(), daily=False).rename(tmp_path / "AAPL.txt")
    assert recorded_source(kibot) == "csv"
    assert recorded_span("csv", kibot, None)[:2] == (date(2026, 11, 13), 1)
    assert [recorded_span("csv", kibot, stamp).bar_stamp for stamp in (None, "end")] == ["start", "end"]
    metatrader = save(tmp_path, BY_NAME["metatrader"], bars, Style(separator="\t"), daily=False)
    with pytest.raises(UnclearFileError, match="names no zone") as unclear:
        recorded_span("csv", metatrader, None, reading=Reading(symbol="AAPL"))
    assert unclear.value.option == "zone"
    assert recorded_span("csv", metatrader, None, reading=Reading(symbol="AAPL", zone="America/New_York")).sessions == 1


def test_dividends_are_never_dropped_from_a_file_in_another_shape(tmp_path: Path) -> None:
    names = f"{HEADER},dividends".replace(",", ";")
    path = written(tmp_path / "a.csv", names, "13.11.2026;AAPL;1,5;1,5;1,5;1,5;7;0,2")
    with pytest.raises(MarketError, match="dividends can't be read in the shape excel-de"):
        read_daily(path)


def test_local_time_that_clocks_repeat_is_a_bad_row_in_any_zone(tmp_path: Path) -> None:
    rows = ["25.10.2026 02:30,1,1,1,1,1", "25.10.2026 03:30,1,1,1,1,1"]
    path = written(tmp_path / "AAPL.csv", "Gmt time,Open,High,Low,Close,Volume", *rows)
    first, second = (fields[0] for _, fields in open_bars(path, Reading(zone="Europe/Berlin")).rows())
    assert str(first) == "time is skipped or repeated when clocks change"
    assert second == from_datetime(datetime(2026, 10, 25, 3, 30, tzinfo=ZoneInfo("Europe/Berlin")))
