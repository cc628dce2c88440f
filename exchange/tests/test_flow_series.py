"""The further series of the flow API: their shapes, how they agree, and when each row is published."""

import json
import re
from datetime import date
from pathlib import Path
from typing import Any

import pytest

from exchange.tests.flow_shapes import SHAPES, path_of
from exchange.tests.kit.app import SHARED, World, open_world
from papervenue.flow.series import ENDPOINTS, FlowEndpoint
from papervenue.market.spec import MarketSpec
from papervenue.process import create

EXAMPLES, LIVE = SHARED / "uw" / "examples", SHARED / "uw" / "live"
SYMBOLS = ("AAPL", "SPY", "UNH", "XOM", "ZAAC")
SESSION, NEXT = "2025-03-04", "2025-03-05"
DECIMAL = re.compile(r"-?\d+(\.\d+)?")
DATE = re.compile(r"\d{4}-\d\d-\d\d")
TIME = re.compile(r"\d{4}-\d\d-\d\d[T ]\d\d:\d\d:\d\d(\.\d+)?(Z|[+-]\d\d:\d\d)")


@pytest.fixture(scope="module")
def traded(tmp_path_factory: pytest.TempPathFactory) -> World:
    """A market of five symbols in its second session, which is still open."""
    folder = tmp_path_factory.mktemp("series") / "state"
    create(folder, MarketSpec(symbols=SYMBOLS, sessions=3, start=date(2025, 3, 3)))
    return open_world(folder, to=f"{SESSION}T19:30:20Z")


def rows_of(answer: Any) -> list[dict[str, Any]]:
    data = answer["data"]
    return data if isinstance(data, list) else [data]


def kind_of_value(value: object) -> str:
    if isinstance(value, bool | int | float | list | dict):
        names = {"bool": "boolean", "int": "integer", "float": "number", "list": "list", "dict": "object"}
        return names[type(value).__name__]
    assert isinstance(value, str), value
    for word, pattern in (("decimal", DECIMAL), ("date", DATE), ("time", TIME)):
        if pattern.fullmatch(value):
            return word
    return "text"


def fits(value: object, kind: str) -> bool:
    if value is None:
        return kind.endswith("?")
    kind = kind.rstrip("?")
    return kind_of_value(value) == kind or (kind == "text" and isinstance(value, str))


def served(world: World, endpoint: FlowEndpoint) -> list[dict[str, Any]]:
    """Return an endpoint's rows; those of a day's reports from a day that has some."""
    if not endpoint.series.startswith("earnings-"):
        return rows_of(world.get(path_of(endpoint)))
    days = {report["report_date"] for name in SYMBOLS for report in world.get(f"/api/earnings/{name}")["data"]}
    return [row for day in sorted(days) for row in world.get(f"{endpoint.path}?date={day}")["data"]]


@pytest.mark.parametrize("endpoint", ENDPOINTS, ids=lambda endpoint: endpoint.series)
def test_every_row_has_the_fields_of_the_table_in_their_types(traded: World, endpoint: FlowEndpoint) -> None:
    fields = SHAPES[endpoint.series]
    rows = served(traded, endpoint)
    assert rows
    for row in rows:
        assert set(row) == set(fields)
        assert {name: value for name, value in row.items() if not fits(value, fields[name])} == {}


@pytest.mark.skipif(not EXAMPLES.is_dir(), reason="needs ../shared/data/uw/examples")
@pytest.mark.parametrize("endpoint", ENDPOINTS, ids=lambda endpoint: endpoint.series)
def test_the_table_is_that_of_the_documented_examples(endpoint: FlowEndpoint) -> None:
    name = endpoint.path.removeprefix("/api/").replace("{ticker}", "ticker").replace("{sector}", "sector")
    example = EXAMPLES / f"{name.replace('/', '__')}.json"
    if not example.exists():
        assert endpoint.series in ("risk-reversal", "top-net-impact", "fda-calendar")
        return
    fields = SHAPES[endpoint.series]
    for row in rows_of(json.loads(example.read_text())):
        assert set(row) == set(fields)
        for field, value in row.items():
            assert value is None or fits(value, fields[field]), field
    assert isinstance(json.loads(example.read_text())["data"], dict) == endpoint.single


@pytest.mark.skipif(not LIVE.is_dir(), reason="needs ../shared/data/uw/live")
@pytest.mark.parametrize("name", ["etf_flow", "top_net_impact"])
def test_envelopes_and_rows_are_those_captured(traded: World, name: str) -> None:
    capture = json.loads((LIVE / f"{name}.json").read_text())
    answer = traded.get(capture["endpoint"])
    assert set(answer) == set(capture["response"])
    for row in capture["response"]["data"]:
        assert {field: type(value) for field, value in row.items()} == {"ticker": str, "net_premium": float}
    assert name != "etf_flow" or answer == capture["response"]


def test_ticks_add_up_to_the_days_volume_and_hold_its_alerts(traded: World) -> None:
    for symbol in SYMBOLS:
        today = traded.get(f"/api/stock/{symbol}/options-volume")["data"][0]
        ticks = traded.get(f"/api/stock/{symbol}/net-prem-ticks")["data"]
        alerts = traded.get(f"/api/option-trades/flow-alerts?ticker_symbol={symbol}&limit=200")["data"]
        assert (today["date"], ticks[-1]["tape_time"]) == (SESSION, f"{SESSION}T19:29:00Z")
        for side in ("call", "put"):
            for field in (f"{side}_volume", f"{side}_volume_ask_side", f"{side}_volume_bid_side"):
                assert sum(tick[field] for tick in ticks) == today[field]
            assert sum(float(tick[f"net_{side}_premium"]) for tick in ticks) == int(today[f"net_{side}_premium"])
            alerted = [int(a["total_premium"]) for a in alerts if a["type"] == side and a["created_at"][:10] == SESSION]
            # The alerts of the minute that isn't over are in no tick yet.
            assert sum(alerted) <= int(today[f"{side}_premium"]) + 5_000_000
        assert all(
            tick["call_volume"] >= tick["call_volume_ask_side"] + tick["call_volume_bid_side"] - 2 for tick in ticks
        )


def test_net_impact_ranks_what_the_ticks_add_up_to(traded: World) -> None:
    impact = traded.get("/api/market/top-net-impact")["data"]
    assert [row["net_premium"] for row in impact] == sorted((row["net_premium"] for row in impact), reverse=True)
    for row in impact:
        ticks = traded.get(f"/api/stock/{row['ticker']}/net-prem-ticks")["data"]
        net = sum(float(tick["net_call_premium"]) - float(tick["net_put_premium"]) for tick in ticks)
        assert row["net_premium"] == net
    assert len(traded.get("/api/market/top-net-impact?limit=2")["data"]) <= 2
    assert {row["ticker"] for row in traded.get("/api/market/top-net-impact?issue_types[]=ETF")["data"]} <= {"SPY"}


def test_earnings_dates_agree_in_reports_alerts_screener_and_info(traded: World) -> None:
    screened = {row["ticker"]: row for row in traded.get("/api/screener/stocks")["data"]}
    assert set(screened) == set(SYMBOLS)
    for symbol in SYMBOLS:
        reports = traded.get(f"/api/earnings/{symbol}")["data"]
        coming = reports[0]["report_date"] if reports else None
        alerts = traded.get(f"/api/option-trades/flow-alerts?ticker_symbol={symbol}")["data"]
        assert {alert["next_earnings_date"] for alert in alerts} == {coming}
        assert screened[symbol]["next_earnings_date"] == coming
        assert traded.get(f"/api/stock/{symbol}/info")["data"]["next_earnings_date"] == coming
    assert traded.get("/api/earnings/SPY")["data"] == []


def test_open_interest_by_strike_and_in_the_screener_adds_up_to_the_day_s(traded: World) -> None:
    today = traded.get("/api/stock/AAPL/options-volume")["data"][0]
    strikes = traded.get("/api/stock/AAPL/oi-per-strike")["data"]
    (screened,) = traded.get("/api/screener/stocks?ticker=AAPL")["data"]
    assert sum(row["call_oi"] for row in strikes) == today["call_open_interest"] == screened["call_open_interest"]
    assert sum(row["put_oi"] for row in strikes) == today["put_open_interest"] == screened["put_open_interest"]
    assert {field: screened[field] for field in today if field != "date"} == {
        field: value for field, value in today.items() if field != "date"
    }


def test_next_morning_s_open_interest_follows_the_alerts_of_the_day(traded: World) -> None:
    """Contracts that were opened mostly stay; of a contract with several alerts the last one counts."""
    alerts = traded.get("/api/option-trades/flow-alerts?ticker_symbol=AAPL&older_than=2025-03-03T22:00:00Z&limit=200")
    last = {alert["option_chain"]: alert for alert in reversed(alerts["data"])}
    changes = {row["option_symbol"]: row for row in traded.get("/api/stock/AAPL/oi-change?limit=200")["data"]}
    assert set(last) <= set(changes)
    assert any(alert["all_opening_trades"] for alert in last.values())
    for contract, alert in last.items():
        change = changes[contract]
        assert (change["last_oi"], change["volume"]) == (alert["open_interest"], alert["volume"])
        assert 0 <= change["curr_oi"] == change["last_oi"] + change["oi_diff_plain"]
        assert change["oi_diff_plain"] <= alert["volume"]
        assert change["oi_diff_plain"] >= int(0.6 * alert["volume"]) or not alert["all_opening_trades"]
    sizes = [abs(row["oi_diff_plain"]) for row in changes.values()]
    assert sizes == sorted(sizes, reverse=True)


def test_the_screener_shows_the_price_and_filters_rows(traded: World) -> None:
    def names(query: str) -> set[str]:
        return {row["ticker"] for row in traded.get(f"/api/screener/stocks?{query}")["data"]}

    assert names("issue_types[]=ETF") == {"SPY"}
    assert names("sectors[]=Energy&sectors[]=Technology") >= {"AAPL", "XOM"}
    assert names("ticker=UNH,XOM") == {"UNH", "XOM"}
    assert "SPY" not in names("is_s_p_500=true")
    rows = traded.get("/api/screener/stocks?order=marketcap&order_direction=asc")["data"]
    sizes = [float(row["marketcap"]) for row in rows]
    assert sizes == sorted(sizes)
    rising = {row["ticker"] for row in rows if float(row["close"]) >= float(row["prev_close"])}
    assert names("min_change=0") == rising
    bars = traded.get("/v2/stocks/bars?symbols=AAPL&timeframe=1Min&start=2025-03-04&limit=10000")["bars"]["AAPL"]
    assert float(next(row for row in rows if row["ticker"] == "AAPL")["close"]) == bars[-1]["c"]


def test_rows_are_served_only_after_their_publication_time(tmp_path: Path) -> None:
    create(tmp_path / "s", MarketSpec(symbols=("AAPL", "SPY"), sessions=45, start=date(2025, 1, 2)))
    world = open_world(tmp_path / "s")
    for moment in ("2025-01-15T21:30:00Z", "2025-02-03T23:30:00Z", "2025-02-28T23:30:00Z", "2025-03-04T14:00:00Z"):
        world.tick(to=moment)
        today = moment[:10]
        fails = world.get("/api/shorts/AAPL/ftds")["data"]
        halves = {"2025-01-15": "2024-12-15", "2025-02-03": "2025-01-15", "2025-02-28": "2025-02-15"}
        assert fails[-1]["date"] <= halves.get(today, "2025-02-15")
        interest = world.get("/api/shorts/AAPL/interest-float/v2")["data"]
        assert 12 <= (date.fromisoformat(today) - date.fromisoformat(interest["market_date"])).days <= 33
        insiders = world.get("/api/insider/AAPL/ticker-flow")["data"]
        assert (date.fromisoformat(today) - date.fromisoformat(insiders[0]["date"])).days >= 2
        for path, field in (
            ("/api/congress/recent-trades", "filed_at_date"),
            ("/api/institution/AAPL/ownership", "filing_date"),
            ("/api/etfs/SPY/in-outflow", "date"),
            ("/api/shorts/AAPL/volume-and-ratio", "market_date"),
            ("/api/stock/AAPL/volatility/realized", "date"),
        ):
            assert max(row[field] for row in world.get(path)["data"]) <= today
        for trade in world.get("/api/congress/recent-trades")["data"]:
            waited = date.fromisoformat(trade["filed_at_date"]) - date.fromisoformat(trade["transaction_date"])
            assert 1 <= waited.days <= 47
        for event in world.get("/api/market/fda-calendar")["data"]:
            assert (event["outcome"] is None) == (event["end_date"] >= today)


def test_report_shows_its_result_and_moves_only_after_they_happened(tmp_path: Path) -> None:
    create(tmp_path / "s", MarketSpec(symbols=("AAPL",), sessions=30, start=date(2025, 2, 3)))
    world = open_world(tmp_path / "s")
    coming = next(row for row in world.get("/api/earnings/AAPL")["data"] if row["actual_eps"] is None)
    day, when = coming["report_date"], coming["report_time"]
    assert when in ("premarket", "postmarket")
    daily = "premarket" if when == "premarket" else "afterhours"
    world.tick(to=f"{day}T11:59:00Z")
    assert world.get(f"/api/earnings/{daily}?date={day}")["data"][0]["actual_eps"] is None
    world.tick(to=f"{day}T23:59:00Z")
    (reported,) = world.get(f"/api/earnings/{daily}?date={day}")["data"]
    assert reported["actual_eps"] is not None
    assert (reported["reaction"] is None) == (when == "postmarket")
    row = next(one for one in world.get("/api/earnings/AAPL")["data"] if one["report_date"] == day)
    assert row["actual_eps"] == reported["actual_eps"]
    assert row["post_earnings_move_2w"] is None
    assert row["pre_earnings_move_2w"] is not None


def test_implied_volatility_agrees_in_all_series(traded: World) -> None:
    rank = traded.get("/api/stock/AAPL/iv-rank")["data"][-1]
    by_days = {row["days"]: row["volatility"] for row in traded.get("/api/stock/AAPL/interpolated-iv")["data"]}
    realized = traded.get("/api/stock/AAPL/volatility/realized")["data"][-1]
    stats = traded.get("/api/stock/AAPL/volatility/stats")["data"]
    assert rank["volatility"] == by_days[30] == realized["implied_volatility"] == stats["iv"]
    assert rank["date"] == realized["date"] == stats["date"]
    assert realized["price"] == rank["close"]
    assert realized["realized_volatility"] is None
    term = traded.get("/api/stock/AAPL/volatility/term-structure")["data"]
    assert [row["dte"] for row in term] == sorted(row["dte"] for row in term)


@pytest.mark.parametrize(
    "target",
    [
        "/api/option-trades/flow-alerts?limit=201",
        "/api/option-trades/flow-alerts?limit=0",
        "/api/option-trades/flow-alerts?is_call=maybe",
        "/api/option-trades/flow-alerts?newer_than=yesterday",
        "/api/option-trades/flow-alerts?min_premium=-1",
        "/api/darkpool/MSFT12",
        "/api/darkpool/AAPL?date=2023-02-140",
        "/api/darkpool/AAPL?limit=501",
        "/api/stock/AAPL/oi-change?order=up",
        "/api/stock/AAPL/options-volume?limit=501",
        "/api/stock/AAPL/historical-risk-reversal-skew",
        "/api/stock/AAPL/historical-risk-reversal-skew?expiry=2025-04-18",
        "/api/stock/AAPL/historical-risk-reversal-skew?expiry=soon&delta=25",
        "/api/stock/AAPL/historical-risk-reversal-skew?expiry=2025-04-18&delta=26",
        "/api/stock/AAPL/volatility/realized?timeframe=long",
        "/api/market/Toys/sector-tide",
        "/api/stock/MSFT12/info",
        "/api/screener/stocks?min_change=much",
        "/api/market/fda-calendar?target_date_min=2024-Q5",
        "/api/etfs/SPY/in-outflow?start_date=never",
        "/api/institution/AAPL/ownership?limit=0",
    ],
)
def test_flow_api_answers_a_bad_parameter_with_422_in_its_own_form(traded: World, target: str) -> None:
    answer = traded.ask("GET", target)
    assert (answer.status, set(answer.json)) == (422, {"msg", "path", "query", "url"})
    assert answer.json["path"] == target.partition("?")[0]
    assert "x-uw-daily-req-count" in answer.headers


def test_rows_are_limited_and_paged(traded: World) -> None:
    whole = traded.get("/api/institution/AAPL/ownership")["data"]
    paged = [traded.get(f"/api/institution/AAPL/ownership?limit=4&page={page}")["data"] for page in range(4)]
    assert ([row for page in paged for row in page], [len(page) for page in paged]) == (whole, [4, 4, 2, 0])
    days = traded.get("/api/stock/AAPL/options-volume?limit=500")["data"]
    assert len(days) > 200
    assert [row["date"] for row in days] == sorted((row["date"] for row in days), reverse=True)
    assert traded.get("/api/stock/AAPL/options-volume")["data"] == days[:1]
    month = traded.get("/api/stock/AAPL/volatility/realized?timeframe=1M")["data"]
    assert month == traded.get("/api/stock/AAPL/volatility/realized?timeframe=1Y")["data"][-len(month) :]
    assert 15 < len(month) < 24


def test_unlisted_ticker_has_no_rows_in_any_series(traded: World) -> None:
    for endpoint in ENDPOINTS:
        if "{ticker}" in endpoint.path:
            assert traded.get(path_of(endpoint, "NONE")) == {"data": []}


def test_net_premium_does_not_predict_the_next_day_without_edge(tmp_path: Path) -> None:
    """The sign of each day's net option premium and of the next day's return agree about half of the time."""
    create(tmp_path / "s", MarketSpec(symbols=("AAPL", "SPY"), sessions=2, start=date(2025, 3, 3)))
    world = open_world(tmp_path / "s", to="2025-03-04T23:00:00Z")
    closes = [float(row["price"]) for row in world.get("/api/stock/AAPL/volatility/realized")["data"]]
    days = world.get("/api/stock/AAPL/options-volume?limit=200")["data"][::-1]
    nets = [int(row["net_call_premium"]) - int(row["net_put_premium"]) for row in days]
    moves = [later - now for now, later in zip(closes[-len(nets) :], closes[-len(nets) + 1 :], strict=False)]
    assert 0.38 < sum(net * move > 0 for net, move in zip(nets, moves, strict=False)) / len(moves) < 0.62


def test_headlines_are_those_published_so_far_newest_first(traded: World) -> None:
    headlines = traded.get("/api/news/headlines?limit=100")["data"]
    times = [headline["created_at"] for headline in headlines]
    assert (times, times[0][:10]) == (sorted(times, reverse=True), SESSION)
    assert times[0] <= f"{SESSION}T19:30:20Z"
    assert len(headlines) > 60
    about = traded.get("/api/news/headlines?ticker=UNH&limit=100")["data"]
    named = [headline for headline in headlines if headline["tickers"] == ["UNH"]]
    assert about[: len(named)] == named != []
    assert {ticker for headline in about for ticker in headline["tickers"]} == {"UNH"}
    major = traded.get("/api/news/headlines?major_only=true&search_term=fed&limit=100")["data"]
    assert all(headline["is_major"] and "fed" in headline["headline"].lower() for headline in major)
    assert 0 < len(major) < len(headlines)
