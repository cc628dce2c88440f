"""Price files as publishers and spreadsheets write them are imported as the same bars, with their times in New York."""

from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import pytest

from exchange.tests.kit.price_files import DAILY_ONLY, Style, days, save, session_minutes
from papervenue.market.bar_shapes import EPOCH, SHAPES, Shape
from tests.kit.values import VENUE_DAY
from tradebot.adapters.bars.file_reader import FilesRead, ImportOptions, SymbolSource, read_files, recognize
from tradebot.auditing.bar_findings import RawBar
from tradebot.errors import OperatorError

FOLDER = Path(__file__).resolve().parents[3].parent / "shared" / "cases" / "published_shapes"
NOW = datetime(2026, 11, 20, 15, tzinfo=UTC)
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


@pytest.mark.parametrize("shape", SHAPES, ids=lambda shape: shape.name)
def test_file_in_each_shape_is_imported_as_the_same_bars(tmp_path: Path, shape: Shape) -> None:
    daily = shape.name in DAILY_ONLY
    style = Style(shape.zone or "Europe/Berlin", None, 10**6, shape.separator, shape.decimal)
    path = save(tmp_path, shape, days() if daily else session_minutes(5), style, daily=daily)
    named = {} if shape.name == "stooq" else NAMED
    zone = {"zone": style.zone} if shape.forms[0] is not EPOCH else {}
    stamp = {} if shape.stamp else {"stamp": "start"}
    read = import_file(path, named | ({} if daily else zone | stamp))
    assert read.of("AAPL") == [day(i) for i in range(10)] if daily else [minute(i, 1000 + i) for i in range(5)]
    assert (read.files[0].shape, read.files[0].stamp) == (shape.name, None if daily else "start")
    source = SymbolSource.COLUMN if shape.name == "stooq" else SymbolSource.OPTION
    assert read.files[0].symbol_from is source


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
    both = r"line 2: .*14:30 begins its bar \(--stamp start\) or ends it \(--stamp end"
    with pytest.raises(OperatorError, match=both) as asked:
        import_file(path, {})
    assert asked.value.hint == "tradebot bars import FILE --stamp start, or with --stamp end"
    both = "has no time zone; if it is in UTC, it is 2026-11-13 09:30 in New York"
    with pytest.raises(OperatorError, match=both) as asked:
        import_file(path, {"stamp": "start"})
    assert asked.value.hint == "tradebot bars import FILE --zone America/New_York, or with --zone UTC"


def test_symbol_option_is_refused_for_a_file_with_a_column_of_symbols(tmp_path: Path) -> None:
    (path := tmp_path / "bars.csv").write_text("date,symbol,open,high,low,close,volume\n2026-11-13,AAPL,1,1,1,1,1\n")
    with pytest.raises(OperatorError, match="has a column of symbols"):
        import_file(path, {"symbol": "MSFT"})
    with pytest.raises(OperatorError, match="--stamp and --zone have no"):
        import_file(path, {"zone": "UTC"})
