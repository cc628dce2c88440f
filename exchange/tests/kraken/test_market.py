"""What the face tells of the market: listings, tickers, books, candles and funding rates."""

from collections.abc import Callable
from datetime import UTC, datetime
from decimal import Decimal
from itertools import pairwise
from pathlib import Path

import pytest
from msgspec.structs import replace

from exchange.tests.kit.app import folders_of
from exchange.tests.kit.kraken import PEPE, START, V3, XBT, KrakenExchange, spec
from papervenue.state import read_market, write_market
from papervenue.times import DAY, MINUTE, SECOND

CHARTS = "/api/charts/v1"
BEGAN = int(datetime(START.year, START.month, START.day, tzinfo=UTC).timestamp())


def candles(
    desk: KrakenExchange, kind: str, span: str, first: int, last: int | None = None, symbol: str = XBT
) -> list[dict[str, str]]:
    query = {"from": first} | ({} if last is None else {"to": last})
    rows: list[dict[str, str]] = desk.get(f"{CHARTS}/{kind}/{symbol}/{span}", **query)["candles"]
    return rows


def test_listing_has_what_an_order_must_fit(desk: KrakenExchange) -> None:
    xbt, pepe = desk.v3("instruments")["instruments"]
    assert (xbt["symbol"], xbt["base"], xbt["pair"], xbt["type"]) == (XBT, "BTC", "BTC:USD", "flexible_futures")
    assert (xbt["tickSize"], xbt["contractSize"], xbt["contractValueTradePrecision"]) == (1, 1, 4)
    assert (pepe["tickSize"], pepe["contractValueTradePrecision"], pepe["tradeable"]) == (1e-11, -3, True)
    assert [level["initialMargin"] for level in xbt["marginLevels"]] == [0.02, 0.04, 0.06, 0.1]
    assert xbt["marginLevels"][0]["numNonContractUnits"] == 0
    assert "lastTradingTime" not in xbt


def test_a_contract_that_has_ended_is_neither_tradeable_nor_quoted_and_its_positions_are_settled(
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    xbt, pepe = spec().venue.instruments
    ends = replace(xbt, last_trading=f"{START}T01:00:00Z")
    desk = KrakenExchange(folders_of(spec(instruments=(ends, pepe)), tmp_path_factory)())
    desk.world.tick(seconds=1800)
    assert desk.send(size="0.5")["status"] == "placed"
    rests = desk.send("stp", "sell", "0.5", stopPrice=1000, triggerSignal="mark", reduceOnly="true")["order_id"]
    before = desk.v3("instruments")["instruments"][0]
    assert (before["tradeable"], before["lastTradingTime"]) == (True, f"{START}T01:00:00.000Z")
    desk.world.tick(seconds=3600)
    assert not desk.v3("instruments")["instruments"][0]["tradeable"]
    assert desk.v3(f"tickers/{XBT}")["ticker"]["suspended"]
    assert desk.v3("openpositions")["openPositions"] == desk.v3("openorders")["openOrders"] == []
    settled = desk.v3("fills")["fills"][0]
    assert (settled["side"], settled["size"], settled["fillType"]) == ("sell", 0.5, "assignee")
    name, fields = desk.events("triggers")[-1]
    assert (name, fields["order"]["uid"], fields["reason"]) == ("OrderTriggerCancelled", rests, "contract_expired")
    assert desk.send(size="0.5")["status"] == "marketInactive"


def test_ticker_tells_the_price_and_what_it_was_a_day_ago(desk: KrakenExchange) -> None:
    desk.world.tick(seconds=12 * 3600)
    xbt = next(row for row in desk.v3("tickers")["tickers"] if row["symbol"] == XBT)
    assert xbt["bid"] < xbt["last"] < xbt["ask"]
    assert 0 < abs(xbt["markPrice"] / xbt["last"] - 1) < 0.0011
    assert xbt["markPrice"] == float(candles(desk, "mark", "1m", BEGAN)[-1]["close"])
    day = candles(desk, "trade", "1m", BEGAN + 13 * 3600 - 86_400)
    assert len(day) == 24 * 60
    assert (xbt["open24h"], xbt["vol24h"]) == (float(day[0]["open"]), sum(int(one["volume"]) for one in day))
    assert xbt["volumeQuote"] == pytest.approx(sum(int(one["volume"]) * float(one["close"]) for one in day), abs=1e-6)
    assert xbt["last"] == float(day[-1]["close"])
    assert desk.v3(f"tickers/{XBT.lower()}")["ticker"] == xbt
    assert desk.v3("tickers/PF_NONEUSD")["error"] == "invalidArgument: symbol"


def test_book_surrounds_the_price_with_ticks(desk: KrakenExchange) -> None:
    ticker, book = desk.v3(f"tickers/{XBT}")["ticker"], desk.v3("orderbook", symbol=XBT)["orderBook"]
    assert (book["bids"][0][0], book["asks"][0][0]) == (ticker["bid"], ticker["ask"])
    assert [price for price, _ in book["bids"]] == [ticker["bid"] - step for step in range(5)]
    assert [price for price, _ in book["asks"]] == [ticker["ask"] + step for step in range(5)]
    rests = [size for _, size in book["bids"]]
    assert rests == [size for _, size in book["asks"]] == pytest.approx([rests[0] * step for step in range(1, 6)])
    assert rests[0] == ticker["bidSize"] == ticker["askSize"]
    assert rests[0] == float(int(ticker["vol24h"]) * Decimal("0.0003")), "a share of a day's volume, in whole lots"
    assert desk.v3("orderbook", symbol="none")["error"] == "invalidArgument: symbol"


def test_candles_of_any_span_are_made_of_the_same_minutes(desk: KrakenExchange) -> None:
    minutes = candles(desk, "trade", "1m", BEGAN, BEGAN + 3599)
    assert [int(one["time"]) for one in minutes] == [1000 * (BEGAN + 60 * index) for index in range(60)]
    (hour,) = candles(desk, "trade", "1h", BEGAN, BEGAN)
    assert (hour["open"], hour["close"]) == (minutes[0]["open"], minutes[-1]["close"])
    assert float(hour["high"]) == max(float(one["high"]) for one in minutes)
    assert float(hour["low"]) == min(float(one["low"]) for one in minutes)
    assert int(hour["volume"]) == sum(int(one["volume"]) for one in minutes)
    quarters = candles(desk, "trade", "15m", BEGAN + 1, BEGAN + 3599)
    assert [int(one["time"]) for one in quarters] == [1000 * (BEGAN + 900 * index) for index in (1, 2, 3)]


def test_days_of_the_past_are_those_that_their_minutes_make(desk: KrakenExchange) -> None:
    first = BEGAN - 2 * 86_400
    whole = candles(desk, "trade", "1d", first, BEGAN)
    assert [int(one["time"]) for one in whole] == [1000 * (first + 86_400 * index) for index in range(3)]
    minutes = candles(desk, "trade", "1m", first, first + 86_399)
    assert float(whole[0]["high"]) == max(float(one["high"]) for one in minutes)
    assert int(whole[0]["volume"]) == sum(int(one["volume"]) for one in minutes)
    marks = candles(desk, "mark", "1m", first, first + 86_399)
    days = candles(desk, "mark", "1d", first, BEGAN)
    assert float(days[0]["low"]) == min(float(one["low"]) for one in marks)
    assert any((mark["high"], mark["low"]) != (day["high"], day["low"]) for mark, day in zip(days, whole, strict=True))
    (week,) = candles(desk, "trade", "1w", BEGAN - 8 * 86_400, BEGAN - 6 * 86_400)
    assert datetime.fromtimestamp(int(week["time"]) / 1000, UTC).weekday() == 0


def test_days_reach_back_farther_than_the_kept_sessions_and_quarters_add_up_to_them(desk: KrakenExchange) -> None:
    first = BEGAN - 600 * 86_400
    days = candles(desk, "spot", "1d", first, BEGAN - 1)
    assert [int(one["time"]) for one in days] == [1000 * (first + 86_400 * index) for index in range(600)]
    for index in (0, 599):
        fours = candles(desk, "spot", "4h", first + index * 86_400, first + (index + 1) * 86_400 - 1)
        assert (len(fours), fours[0]["open"], fours[-1]["close"]) == (6, days[index]["open"], days[index]["close"])
        assert max(float(one["high"]) for one in fours) == float(days[index]["high"])
        assert min(float(one["low"]) for one in fours) == float(days[index]["low"])


def test_candle_once_told_never_changes(desk: KrakenExchange) -> None:
    desk.world.tick(seconds=5 * 3600)
    spans = {
        "4h": (BEGAN - 3 * 86_400, BEGAN + 4 * 3600 - 1),
        "15m": (BEGAN, BEGAN + 6 * 3600 - 1),
        "1d": (BEGAN - 40 * 86_400, BEGAN - 1),
    }
    queries = [(kind, span, *ends) for kind in ("trade", "mark", "spot") for span, ends in spans.items()]
    replies = [candles(desk, *one) for one in queries]
    desk.world.ask("POST", "/exchange/v1/funding", {"symbol": XBT, "rate": "60"})
    desk.world.tick(seconds=9 * 3600)
    assert [candles(desk, *one) for one in queries] == replies
    again = KrakenExchange(desk.folder)
    assert [candles(again, *one) for one in reversed(queries)] == replies[::-1]


def test_index_of_a_minute_is_made_with_the_funding_of_its_time(desk: KrakenExchange) -> None:
    desk.world.tick(seconds=600)
    desk.world.ask("POST", "/exchange/v1/funding", {"symbol": XBT, "rate": "5"})
    desk.world.tick(seconds=600)
    old = desk.engine.market.grids[XBT].instrument.funding
    trade, spot = (candles(desk, kind, "1m", BEGAN + 3600, BEGAN + 3600 + 1199) for kind in ("trade", "spot"))
    away = [Decimal(one["open"]) - Decimal(other["open"]) for one, other in zip(trade, spot, strict=True)]
    assert away[0] == pytest.approx(24 * old)
    assert away[-1] == 24 * 5


def test_index_of_an_hour_is_made_of_its_minutes_if_the_funding_changes_within_it(desk: KrakenExchange) -> None:
    for rate in ("5", "90", "-90", "5"):
        desk.world.tick(seconds=600)
        desk.world.ask("POST", "/exchange/v1/funding", {"symbol": XBT, "rate": rate})
    desk.world.tick(seconds=1800)
    minutes = candles(desk, "spot", "1m", BEGAN + 3600, BEGAN + 7199)
    (hour,) = candles(desk, "spot", "1h", BEGAN + 3600, BEGAN + 7199)
    lows, highs = ([Decimal(minute[name]) for minute in minutes] for name in ("low", "high"))
    assert (hour["open"], hour["close"]) == (minutes[0]["open"], minutes[-1]["close"])
    assert (Decimal(hour["low"]), Decimal(hour["high"])) == (min(lows), max(highs))


def test_mark_has_no_wicks_and_trades_have_a_premium_over_the_index(desk: KrakenExchange) -> None:
    trade, mark, spot = (candles(desk, kind, "1m", BEGAN, BEGAN + 3599) for kind in ("trade", "mark", "spot"))
    assert all(float(one["high"]) == max(float(one["open"]), float(one["close"])) for one in mark)
    assert any(float(other["low"]) < float(one["low"]) for one, other in zip(mark, trade, strict=True))
    rate = desk.engine.market.grids[XBT].instrument.funding
    assert Decimal(spot[0]["open"]) == (Decimal(trade[0]["open"]) - 24 * rate).normalize()


def test_mark_strays_a_few_basis_points_from_the_trades_on_both_sides_without_a_jump(desk: KrakenExchange) -> None:
    desk.world.tick(seconds=23 * 3600)
    trade, mark = (candles(desk, kind, "1m", BEGAN, BEGAN + 86_399) for kind in ("trade", "mark"))
    away = [float(one["close"]) / float(other["close"]) - 1 for one, other in zip(mark, trade, strict=True)]
    assert (min(away) < -0.0001, max(away) > 0.0001, max(map(abs, away)) < 0.0011) == (True, True, True)
    assert max(abs(after - before) for before, after in pairwise([0.0, *away])) < 0.00004


def test_market_of_the_second_edition_marks_at_the_last_price(fresh: Callable[[], Path]) -> None:
    folder = fresh()
    write_market(folder, read_market(folder)._replace(edition=2))
    desk = KrakenExchange(folder)
    desk.world.tick(seconds=12 * 3600)
    ticker = desk.v3(f"tickers/{XBT}")["ticker"]
    assert ticker["markPrice"] == ticker["last"]
    trade, mark = (candles(desk, kind, "1m", BEGAN, BEGAN + 3599) for kind in ("trade", "mark"))
    assert [(one["open"], one["close"]) for one in mark] == [(one["open"], one["close"]) for one in trade]


def test_no_candle_shows_what_has_not_happened_yet(desk: KrakenExchange) -> None:
    desk.world.tick(seconds=90)
    last = candles(desk, "trade", "1m", BEGAN + 3600)
    assert [int(one["time"]) for one in last] == [1000 * (BEGAN + 3600)]
    now = candles(desk, "trade", "1h", BEGAN + 3600)
    assert (len(now), now[0]["close"]) == (1, last[0]["close"])
    assert candles(desk, "trade", "1m", BEGAN + 7200) == []


def test_long_answer_is_cut_and_says_so(desk: KrakenExchange) -> None:
    path = f"{CHARTS}/trade/{XBT}/1m"
    first = desk.get(path, **{"from": BEGAN - 86_400})
    assert (len(first["candles"]), first["more_candles"]) == (1_500, False)
    first = desk.get(path, **{"from": BEGAN - 2 * 86_400})
    assert (len(first["candles"]), first["more_candles"]) == (2_000, True)
    rest = desk.get(path, **{"from": first["candles"][-1]["time"] // 1000 + 60})
    assert (len(rest["candles"]), rest["more_candles"]) == (2 * 1_440 + 60 - 2_000, False)
    assert desk.get(path)["candles"][-1] == rest["candles"][-1]


@pytest.mark.parametrize("path", [f"gold/{XBT}/1m", "trade/PF_NONEUSD/1m", f"trade/{XBT}/7m", f"trade/{XBT}/1m?from=x"])
def test_chart_that_there_is_none_of_is_refused(desk: KrakenExchange, path: str) -> None:
    assert desk.world.ask("GET", f"{CHARTS}/{path}", headers={}).json["error"] == "invalidArgument"


def test_funding_rates_are_told_by_the_hour(desk: KrakenExchange) -> None:
    desk.world.tick(seconds=7200)
    rates = desk.get("/derivatives/api/v4/historicalfundingrates", symbol=PEPE)["rates"]
    rate = desk.engine.market.grids[PEPE].instrument.funding
    assert [one["timestamp"] for one in rates] == [f"2026-11-24T0{hour}:00:00.000Z" for hour in range(4)]
    mark = desk.v3(f"tickers/{PEPE}")["ticker"]["markPrice"]
    assert rates[-1]["fundingRate"] == float(rate)
    assert rates[-1]["relativeFundingRate"] == pytest.approx(float(rate) / mark)


def test_every_answer_says_when_it_was_made(desk: KrakenExchange) -> None:
    for path in (f"{V3}/openpositions", f"{V3}/tickers", "/api/history/v3/orders"):
        answer = desk.ask("GET", path)
        assert (answer.headers["x-exchange-time"], answer.json["serverTime"]) == (
            "2026-11-24T01:00:00Z",
            "2026-11-24T01:00:00.000Z",
        )
    assert desk.engine.now_us % DAY == 60 * MINUTE == 3600 * SECOND
