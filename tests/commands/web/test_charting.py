"""What charts draw equals what the verbs say: fills, stops, scores and growth, at times of the reader's clock."""

import json
from array import array
from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast
from urllib.parse import quote

import pytest
from markupsafe import escape
from starlette.testclient import TestClient

from commands.shared.span_options import PassSpan
from commands.shared.times import local, show_utc, show_venue
from commands.shared.verb_options import open_bot
from commands.trades.candles import CandleChart
from commands.web.charting import ScoredPoint, SymbolChart, draw_over_time, drawing, load_day, path_of
from commands.why_no_orders.reading import cycles_of
from tests.commands.web.client import browser, site
from tests.kit.bot.folder import Bot
from tests.kit.trades import account
from tests.kit.values import fill
from tradebot.__main__ import main
from tradebot.app.wiring import App
from tradebot.model.bar import Session
from tradebot.model.candidate import Side
from tradebot.model.record import CycleRecord, Job
from tradebot.model.series import DAY, Series
from tradebot.model.struct_tools import replace
from tradebot.model.totals import Totals
from tradebot.venues.alpaca.capabilities import ALPACA
from tradebot.venues.ibkr.capabilities import IBKR

BACKTEST = ("--sessions", "1", "--symbols", "SPY,IWM,UNH,JPM", "--name", "tried")
FALL_BACK = datetime(2026, 11, 1, 5, 30, tzinfo=UTC)


@pytest.fixture(scope="module")
def tried(tmp_path_factory: pytest.TempPathFactory) -> Path:
    state = tmp_path_factory.mktemp("charting")
    assert main(["backtest", *BACKTEST, "--state-dir", str(state)]) == 0
    return state / "backtests" / "tried"


@pytest.fixture
def bot(tried: Path, capsys: pytest.CaptureFixture[str]) -> Bot:
    return Bot(tried, capsys)


@pytest.fixture
def client(tried: Path) -> TestClient:
    return browser(site(tried))


def clock(text: str) -> float:
    """Return a time of a document by the clock of its reader."""
    return local(datetime.fromisoformat(text))


def candle_of(chart: Any, text: str) -> float:
    at: float = max(candle["time"] for candle in chart["candles"] if candle["time"] <= clock(text))
    return at


def lines(chart: Any, kind: str, name: str) -> list[list[dict[str, float]]]:
    return [line["points"] for line in chart[kind] if line["name"] == name]


@pytest.mark.parametrize(
    "which", ["recent", *(pytest.param(way, marks=pytest.mark.campaign) for way in ("all", "nonsense"))]
)
def test_each_fill_is_at_its_candle_with_the_price_that_orders_says(bot: Bot, client: TestClient, which: str) -> None:
    chart = client.get(f"/api/chart/candles/{which}/UNH").json()
    filled = [one for one in bot.json("orders", "--all")["orders"] if one["symbol"] == "UNH" and one["filled"] != "0"]
    assert len(chart["marks"]) == len(filled) > 2
    said = [mark["text"] for mark in chart["marks"]]
    assert [mark["bought"] for mark in chart["marks"]] == [text.startswith("bought") for text in said]
    for order in filled:
        side = "bought" if order["side"] == "buy" else "sold"
        price = f"{float(order['average_price']):,.2f}"
        assert f"{side} {order['filled']} shares at {price}" in said
    opened_at = [clock(trade["opened_at"]) for trade in bot.json("trades", "--symbol", "UNH")["trades"]]
    starts = [candle["time"] for candle in chart["candles"]]
    marked = [mark["time"] for mark in chart["marks"]]
    assert all(max(start for start in starts if start <= at) in marked for at in opened_at)
    page = client.get("/symbol/UNH", params={"candles": which}).text
    assert all(f">{float(order['average_price']):,.2f}<" in page for order in filled)


def test_stops_are_the_orders_that_rested_and_entries_those_of_trades(bot: Bot, client: TestClient) -> None:
    chart = client.get(path_of("UNH", "recent")).json()
    trades = bot.json("trades", "--symbol", "UNH")["trades"]
    entries = [points[0] for points in lines(chart, "lines", "entry")]
    assert entries == [
        {"time": candle_of(chart, trade["opened_at"]), "value": float(trade["entry_price"])} for trade in trades
    ]
    stops = [one for one in bot.json("orders", "--all")["orders"] if one["symbol"] == "UNH" and one["stop_price"]]
    drawn_at = {point["value"] for points in lines(chart, "lines", "stop") for point in points}
    assert drawn_at <= {float(stop["stop_price"]) for stop in stops}
    for stop in stops[:1]:
        first = lines(chart, "lines", "stop")[0][0]
        assert first == {"time": candle_of(chart, stop["at"]), "value": float(stop["stop_price"])}


def test_scores_are_those_that_passes_recorded(bot: Bot, client: TestClient, tried: Path) -> None:
    chart = client.get(path_of("UNH", "recent")).json()
    last = bot.json("why-no-orders", "UNH")
    (score,) = lines(chart, "scores", "score")
    assert score[-1] == {"time": candle_of(chart, last["at"]), "value": last["score"]}
    for component in last["components"]:
        (points,) = lines(chart, "scores", component["name"])
        assert points[-1]["value"] == component["value"]
    with open_bot(str(tried), None) as app:
        passes = cycles_of(app, PassSpan(session=True), symbol="UNH")
    assert len(score) == len({candle_of(chart, one.at.isoformat()) for one in passes}) > 60
    documents = client.get("/api/pages/symbol/UNH").text.replace(f" --state-dir {tried}", "")
    assert [one["data"] for one in json.loads(documents) if one.get("verb") == "why-no-orders"] == [
        last,
        bot.json("why-no-orders", "UNH", "--since", "session"),
    ]
    page = client.get("/symbol/UNH").text
    assert f"{len(passes)} scores, the last {last['score']:+.3f} at " in page


def test_newest_of_many_candles_are_drawn_with_trades(client: TestClient, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = client.get(path_of("UNH", "recent")).json()
    closed_first = lines(whole, "lines", "entry")[0][-1]["time"]
    kept = sum(candle["time"] > closed_first for candle in whole["candles"])
    monkeypatch.setattr("commands.web.charting.MOST", kept)
    few = client.get(path_of("UNH", "all")).json()
    assert few["candles"] == whole["candles"][-kept:]
    assert lines(few, "lines", "entry") == lines(whole, "lines", "entry")[1:]
    assert few["marks"] == [mark for mark in whole["marks"] if mark["time"] > closed_first]


def test_growth_is_the_curve_of_the_report(bot: Bot, client: TestClient) -> None:
    (account,) = bot.json("report")["accounts"]
    chart = client.get("/api/chart/equity").json()
    by_name = {line["name"]: [point["value"] for point in line["points"]] for line in chart["lines"]}
    for name, column in (("account", "index"), (account["benchmark"], "benchmark")):
        assert by_name[name] == [100 * (point[column] - 1) for point in account["curve"]]
    end = account["curve"][-1]
    page = client.get("/report").text
    assert "Growth, compared with the benchmark" not in client.get("/").text, "a single session is drawn as a day"
    assert f"1 session: account {100 * (end['index'] - 1):+.2f}%, SPY {100 * (end['benchmark'] - 1):+.2f}%" in page
    assert f"{float(end['equity_usd']):,.2f}" in page


@pytest.mark.parametrize("symbol", ["NOPE", "BTC/USD", '"><script>[red]'])
def test_a_symbol_never_seen_has_no_chart_and_says_once_what_to_type(client: TestClient, symbol: str) -> None:
    answer = client.get(path_of(symbol, "recent"))
    assert (answer.status_code, answer.json()["next"]) == (503, "tradebot bars fetch")
    page = client.get(f"/symbol/{quote(symbol, safe='')}").text
    assert f"There are no bars of {escape(symbol)} from 2026-11-14 on" in page
    assert page.count("doesn&#39;t evaluate a symbol") == 1
    assert "bars fetch" in page
    assert "<script>" not in page.replace("<script src=", "")
    assert "data-chart" not in page


@pytest.fixture
def venue_times() -> Iterator[None]:
    show_venue(ALPACA.day)
    yield
    show_utc(False)


def series(symbol: str, starts: list[int], price: float, timeframe: str = "5Min") -> Series:
    flat = array("d", [price] * len(starts))
    return Series(symbol, timeframe, False, array("q", starts), flat, flat, flat, flat, flat)


def drawn_of(found: Series, *scored: ScoredPoint) -> Any:
    return drawing(SymbolChart(CandleChart(found, [], [], [], found.start_of(-1)), list(scored)))


def test_prices_have_the_decimals_of_what_is_traded_and_any_name_can_be_asked_for(venue_times: None) -> None:
    assert path_of('BTC/USD"<', "all") == "/api/chart/candles/all/BTC%2FUSD%22%3C"
    at = int(FALL_BACK.timestamp())
    assert drawn_of(replace(series("DOGE/USD", [at], 0.5), close=array("d", [1.5])))["decimals"] == 4
    for price, decimals in ((412.5, 2), (0.1234, 4), (0.00001234, 8)):
        chart = drawn_of(series("DOGE/USD", [at], price))
        assert (chart["decimals"], len(chart["candles"])) == (decimals, 1)
        assert chart["candles"][0]["text"].endswith(f"close {price:,.{decimals}f}")


def test_a_clock_that_is_set_back_repeats_no_time_and_in_utc_none_is_left_out(venue_times: None) -> None:
    starts = [int(FALL_BACK.timestamp()) + 1800 * place for place in range(5)]
    times = [candle["time"] for candle in drawn_of(series("BTC/USD", starts, 9.0))["candles"]]
    assert (times, len(times)) == (sorted(set(times)), 3)
    show_utc(True)
    assert [candle["time"] for candle in drawn_of(series("BTC/USD", starts, 9.0))["candles"]] == starts


def test_the_last_score_within_a_candle_counts_and_days_are_dates(venue_times: None) -> None:
    day = int(datetime(2026, 11, 2, tzinfo=UTC).timestamp())
    at = [datetime.fromtimestamp(day + hours * 3600, UTC) for hours in (14, 15, 39)]
    scored = [ScoredPoint(moment, "flow", {"score": value}) for moment, value in zip(at, (0.1, 0.2, 0.3), strict=True)]
    chart = drawn_of(series("IWM", [day, day + 86_400], 9.0, DAY), *scored)
    assert lines(chart, "scores", "score") == [[{"time": day, "value": 0.2}, {"time": day + 86_400, "value": 0.3}]]
    assert chart["has_times"] is False
    assert chart["candles"][0]["text"].startswith("2026-11-02 open 9.00")
    several = drawn_of(series("IWM", [day], 9.0, DAY), *scored, ScoredPoint(at[0], "swing", {"score": 0.4}))
    assert [line["name"] for line in several["scores"]] == ["score, flow", "score, swing"]


def test_a_session_that_begins_on_the_evening_before_has_the_entries_and_exits_of_that_evening() -> None:
    begun = datetime(2026, 11, 15, 23, tzinfo=UTC)
    day, at = date(2026, 11, 16), [begun + timedelta(minutes=minute) for minute in (2, 5, 9)]
    trades = [fill(1, "MESZ6", at=at[0]), fill(2, "MESZ6", Side.SELL, at=at[1]), fill(3, "MNQZ6", at=at[2])]
    read = CycleRecord("exits", Job.EVALUATE_EXITS, day, "open+1m", at[0], "sandbox", equity=Decimal(1))
    ledger = SimpleNamespace(
        totals=lambda: Totals.of(trades),
        sessions=lambda *_: [Session(day, begun, begun + timedelta(hours=23))],
        states_since=lambda *_: (),
    )
    facts = SimpleNamespace(last_read=lambda _: read, unpriced_passes=lambda _: [read])
    curve = load_day(cast("App", SimpleNamespace(ledger_view=ledger, existing_facts=facts, day=IBKR.day)))
    assert curve is not None
    assert [(mark.at, mark.kind) for mark in curve.marks] == list(zip(at, ("entry", "exit", "entry"), strict=True))


def test_exposure_and_rolling_figures_are_those_of_the_report() -> None:
    of = account(300)
    draws = draw_over_time(of)
    by_name = {line["name"]: line["points"] for line in (*draws["lines"], *draws["scores"])}
    assert [line["name"] for line in draws["lines"]] == ["exposure", "volatility"]
    assert [line["name"] for line in draws["scores"]] == ["Sharpe ratio", "beta"]
    for name, column, factor in (
        ("exposure", "exposure", 100),
        ("volatility", "volatility", 100),
        ("Sharpe ratio", "sharpe", 1),
        ("beta", "beta", 1),
    ):
        known = [value for row in of.further.over_time if (value := getattr(row, column)) is not None]
        assert [point["value"] for point in by_name[name]] == [factor * value for value in known] != []
    times = {point.session: local(point.at) for point in of.curve}
    assert [point["time"] for point in by_name["exposure"]] == [times[row.session] for row in of.further.over_time]
    short = draw_over_time(account(3))
    assert ([line["name"] for line in short["lines"]], short["scores"]) == (["exposure"], [])


def test_exposure_chart_is_served_and_stands_on_the_report_with_its_last_values(client: TestClient, bot: Bot) -> None:
    (row, *_) = bot.json("report")["accounts"][0]["further"]["over_time"]
    (line,) = client.get("/api/chart/over-time").json()["lines"]
    assert [point["value"] for point in line["points"]] == [100 * row["exposure"]]
    page = client.get("/report").text
    assert f"exposure {100 * row['exposure']:,.2f}." in page
    assert 'data-chart="/api/chart/equity" data-range' in page
    assert "data-range" not in client.get("/").text
