"""Recorded prices of perpetuals: shapes, lengths and kinds of files, funding, and why a wrong file is refused."""

import random
from collections.abc import Callable, Sequence
from datetime import date
from decimal import Decimal
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest

from papervenue.creation import build, perpetual_span
from papervenue.engine.engine import Engine
from papervenue.engine.orders import USUAL, Fill, OrderRequest
from papervenue.exchange import open_exchange
from papervenue.faces.kraken.read_routes import Charts
from papervenue.margined.accounts import mark_of
from papervenue.market.bars import Bar
from papervenue.market.coins import kraken_venue
from papervenue.market.perpetual_files import as_minutes, perpetual_of, read_perpetuals
from papervenue.market.spec import CLOSE, MarketError, MarketSpec, Reading
from papervenue.state import read_market, write_market
from papervenue.times import DAY, HOUR, MINUTE, SECOND, at_zone, rfc3339

COIN, START = "PF_XBTUSD", date(2026, 11, 10)
START_US = at_zone(ZoneInfo("UTC"), START.isoformat(), 0)
Candle = tuple[int, str, str, str, str, str]
"""The start in seconds, and open, high, low, close and volume."""


def candles(first_us: int, count: int, minutes: int = 1, seed: int = 7) -> list[Candle]:
    chance, price, candles = random.Random(seed), 60_000, list[Candle]()  # noqa: S311
    for number in range(count):
        close = price + chance.randint(-40, 40)
        high, low = max(price, close) + chance.randint(0, 9), min(price, close) - chance.randint(0, 9)
        start = (first_us + number * minutes * MINUTE) // SECOND
        candles.append((start, str(price), str(high), str(low), str(close), f"{chance.randint(1, 900) / 100}"))
        price = close
    return candles


def kraken(rows: Sequence[Candle]) -> str:
    return "".join(f"{','.join(map(str, row))},9\n" for row in rows)


def binance(rows: Sequence[Candle]) -> str:
    header = "open_time,open,high,low,close,volume,close_time,quote_volume,count,buy_volume,buy_quote,ignore\n"
    return header + "".join(f"{row[0]}000,{','.join(row[1:])},{row[0] + 59}999,1,1,1,1,0\n" for row in rows)


def own(rows: Sequence[Candle]) -> str:
    lines = (f"{rfc3339(row[0] * SECOND)},{COIN},{','.join(row[1:])}\n" for row in rows)
    return f"ts,symbol,open,high,low,close,volume\n{''.join(lines)}"


def engine_of(folder: Path, files: Path, sessions: int = 1, reading: Reading = Reading()) -> Engine:  # noqa: B008
    venue = kraken_venue(7, (COIN,), recorded=True)
    spec = MarketSpec(
        start=START,
        sessions=sessions,
        symbols=(COIN,),
        venue=venue,
        source="csv",
        path=str(files),
        bar_stamp="start",
        fill=CLOSE._replace(quotes="last", volume_share=None),
        reading=reading,
    )
    build(folder, spec)
    return open_exchange(folder).engine


def charted(
    engine: Engine, kind: str, span_us: int, first_us: int, until_us: int
) -> list[tuple[int, Decimal, Decimal]]:
    shown = Charts(engine).between(COIN, kind, span_us, first_us, until_us)
    return [(candle.start_us, candle.open, candle.close) for candle in shown]


@pytest.mark.parametrize(
    ("name", "written"), [("PF_XBTUSD_1.csv", kraken), ("PF_XBTUSD-1m.csv", binance), ("prices.csv", own)]
)
def test_same_minutes_in_any_shape_are_the_same_market(
    tmp_path: Path, name: str, written: Callable[[Sequence[Candle]], str]
) -> None:
    rows = candles(START_US, 120)
    file = tmp_path / name
    file.write_text(written(rows))
    engine = engine_of(tmp_path / "exchange", file, reading=Reading(symbol=None if written is own else COIN))
    engine.advance(START_US + 2 * HOUR)
    shown = charted(engine, "trade", MINUTE, START_US, START_US + 2 * HOUR)
    assert shown == [(row[0] * SECOND, Decimal(row[1]), Decimal(row[4])) for row in rows]
    assert engine.market.funding_rates == {}


def test_longer_candles_reach_back_and_shorter_ones_are_played(tmp_path: Path) -> None:
    folder = tmp_path / "files"
    folder.mkdir()
    (folder / "XBTUSD_240.csv").write_text(kraken(candles(START_US - 400 * DAY, 2_400, 240)))
    (folder / "XBTUSD_1.csv").write_text(kraken(minutes := candles(START_US, 1_440)))
    assert perpetual_span(folder, None)[:2] == (START, 1)
    engine = engine_of(tmp_path / "exchange", folder)
    engine.advance(START_US + 5 * HOUR)
    four_hours = charted(engine, "spot", 4 * HOUR, START_US - 400 * DAY, START_US + 4 * HOUR - 1)
    assert len(four_hours) == 2_400 + 1
    assert four_hours[-1] == (START_US, Decimal(minutes[0][1]), Decimal(minutes[239][4]))
    assert len(charted(engine, "spot", DAY, START_US - 400 * DAY, START_US - 1)) == 400
    assert charted(engine, "spot", HOUR, START_US - DAY, START_US - 1) == [], "hours aren't made of longer candles"


def test_candle_that_is_played_is_the_sum_of_its_minutes_and_shows_no_later_price() -> None:
    chance = random.Random(3)  # noqa: S311
    for number in range(300):
        prices = sorted(chance.randint(1, 10**6) for _ in range(4))
        opening, close = chance.sample(prices[1:3], 2)
        candle = Bar(number * HOUR, opening, prices[3], prices[0], close, chance.randint(0, 5_000))
        length = chance.choice((5, 15, 60, 240))
        minutes = as_minutes(candle, length)
        _, opens, highs, lows, closes, volumes = zip(*minutes, strict=True)
        assert [bar.start_us for bar in minutes] == [candle.start_us + each * MINUTE for each in range(length)]
        assert (opens[0], max(highs), min(lows), closes[-1], sum(volumes)) == candle[1:]
        assert all(bar.low <= min(bar.open, bar.close) <= max(bar.open, bar.close) <= bar.high for bar in minutes)
        assert opens[1:] == closes[:-1]


def test_mark_and_spot_are_prices_of_their_own_and_a_missing_kind_follows_another(tmp_path: Path) -> None:
    folder = tmp_path / "files"
    folder.mkdir()
    trades, marks, spots = (candles(START_US, 60, seed=seed) for seed in (1, 2, 3))
    (folder / "PF_XBTUSD_1.csv").write_text(kraken(trades))
    (folder / "mark_PF_XBTUSD_1.csv").write_text(kraken(marks))
    (folder / "XBTUSD_1.csv").write_text(kraken(spots))
    engine = engine_of(tmp_path / "exchange", folder)
    engine.advance(START_US + HOUR)
    last = {kind: charted(engine, kind, MINUTE, START_US, START_US + HOUR)[-1][2] for kind in ("trade", "mark", "spot")}
    assert last == {"trade": Decimal(trades[-1][4]), "mark": Decimal(marks[-1][4]), "spot": Decimal(spots[-1][4])}
    grid = engine.market.grids[COIN]
    assert (grid.usd(mark_of(engine, COIN)), grid.usd(engine.last_price(COIN) or 0)) == (last["mark"], last["trade"])


@pytest.mark.parametrize(("edition", "status"), [(2, "new"), (3, "filled")])
def test_stop_follows_a_recorded_mark_since_the_third_edition(tmp_path: Path, edition: int, status: str) -> None:
    files, folder = tmp_path / "files", tmp_path / "exchange"
    files.mkdir()
    starts, flat = [START_US // SECOND + 60 * minute for minute in range(60)], "60000"
    (files / "PF_XBTUSD_1.csv").write_text(kraken([(start, flat, flat, flat, flat, "9") for start in starts]))
    lows = ["59980" if minute == 30 else flat for minute in range(60)]
    marks = [(start, flat, flat, low, flat, "0") for start, low in zip(starts, lows, strict=True)]
    (files / "mark_PF_XBTUSD_1.csv").write_text(kraken(marks))
    engine_of(folder, files)
    write_market(folder, read_market(folder)._replace(edition=edition))
    engine = open_exchange(folder).engine
    engine.advance(START_US + MINUTE)
    bought = OrderRequest(COIN, 1, "market", "gtc", Decimal(1), None, None)
    engine.settle(engine.submit(engine.main, bought))
    stop = bought._replace(side=-1, type="stop", stop=59_990 * engine.market.grids[COIN].units, trigger="mark")
    order = engine.submit(engine.main, stop)
    engine.settle(order)
    engine.advance(START_US + 50 * MINUTE)
    grid, fills = engine.market.grids[COIN], [one for one in engine.main.activities if isinstance(one, Fill)]
    assert (order.status, {abs(grid.usd(one.price) - 60_000) <= 6 for one in fills}) == (status, {True})


def test_funding_of_a_file_is_paid_to_the_cent(tmp_path: Path) -> None:
    folder = tmp_path / "files"
    folder.mkdir()
    (folder / "PF_XBTUSD_1.csv").write_text(kraken(candles(START_US, 300)))
    rates = ("0.31", "-0.12", "0.07")
    lines = (f"{rfc3339(START_US + (hour + 1) * HOUR)},{rate}\n" for hour, rate in enumerate(rates))
    (folder / "PF_XBTUSD_funding.csv").write_text("timestamp,fundingRate\n" + "".join(lines))
    engine = engine_of(tmp_path / "exchange", folder)
    engine.advance(START_US + 30 * MINUTE)
    engine.settle(
        engine.submit(engine.main, OrderRequest(COIN, 1, "market", "gtc", Decimal(2), None, None), policy=USUAL)
    )
    engine.advance(START_US + 5 * HOUR - MINUTE)
    booked = [entry.net_amount for entry in engine.main.activities if getattr(entry, "kind", "") == "FUNDING"]
    # Half an hour at the first rate; the fourth hour has no rate, so that nothing is paid.
    assert booked == [Decimal("-0.31"), Decimal("0.24"), Decimal("-0.14")]


@pytest.mark.parametrize(("column", "rate"), [("fundingRate", "0"), ("relativeFundingRate", "0.0001")])
def test_fractions_in_a_column_of_usd_are_refused(tmp_path: Path, column: str, rate: str) -> None:
    (tmp_path / "PF_XBTUSD_1.csv").write_text(kraken(candles(START_US, 9)))
    file = tmp_path / "PF_XBTUSD_funding.csv"
    file.write_text(f"timestamp,fundingRate\n{rfc3339(START_US)},-0.0001\n{rfc3339(START_US + HOUR)},0.00002\n")
    with pytest.raises(MarketError, match=r"at most 0\.0001 USD per unit and hour") as refused:
        read_perpetuals(tmp_path, "start")
    assert "relativeFundingRate" in refused.value.hint
    file.write_text(f"timestamp,{column}\n{rfc3339(START_US)},{rate}\n")
    assert len(read_perpetuals(tmp_path, "start").rates[COIN]) == 1


def test_names_of_pairs_mean_the_perpetual_of_their_coin() -> None:
    names = ("PF_XBTUSD", "XBTUSD", "BTCUSDT", "btc-usd", "BTC/USDC", "ETHUSD", "AAPL", "BTC", "PF_NOCOINUSD")
    assert [perpetual_of(name) for name in names] == [*["PF_XBTUSD"] * 5, "PF_ETHUSD", None, None, None]


@pytest.mark.parametrize(
    ("name", "content", "cause", "way"),
    [
        ("a.csv", own(candles(START_US, 9)).replace(COIN, "AAPL"), "it has prices of AAPL", "the coin's own symbol"),
        ("AAPL_1.csv", kraken(candles(START_US, 9)), "it has prices of AAPL", "--bars-as symbol=PF_XBTUSD"),
        ("a.csv", own(candles(START_US, 9)).replace("open", "opening"), "no column open", "docs/BARS.md"),
        ("a.csv", own(candles(START_US, 9)).replace("Z,", ","), "names no zone", "--bars-as zone="),
        ("a.csv", own(candles(START_US, 9)).replace("6", "x"), "", "docs/BARS.md"),
        ("a.csv", "timestamp,fundingRate,symbol\n2026-11-10T01:00:00Z,1,PF_XBTUSD\n", "no prices", "file of prices"),
    ],
)
def test_wrong_file_is_refused_for_its_real_cause_with_the_next_step(
    tmp_path: Path, name: str, content: str, cause: str, way: str
) -> None:
    (tmp_path / name).write_text(content)
    with pytest.raises(MarketError) as refused:
        perpetual_span(tmp_path / name, "start")
    assert cause in refused.value.message
    assert way in refused.value.hint
