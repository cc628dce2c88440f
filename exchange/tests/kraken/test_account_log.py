"""The account log: two rows of a trade, funding, liquidations, and its law to the last digit."""

import json
from collections.abc import Iterator
from decimal import Decimal
from typing import Any

import pytest

from exchange.tests.kit.app import folders_of
from exchange.tests.kit.kraken import HISTORY, PEPE, XBT, KrakenExchange, spec
from exchange.tests.kit.ring import D, Ring, instrument, keep
from papervenue.chance import random_stream
from papervenue.faces.kraken.history import Booked, HistoryReads
from papervenue.market.spec import CLOSE
from papervenue.market.venue import MarginLevel, Rules

FUNDING = "/exchange/v1/funding"


def rows(desk: KrakenExchange, **query: object) -> list[dict[str, Any]]:
    """Return rows of the log with exact numbers, oldest first."""
    body = desk.ask("GET", f"{HISTORY}/account-log", **{"sort": "asc", "count": 100_000, **query}).body
    logs: list[dict[str, Any]] = json.loads(body, parse_float=Decimal, parse_int=Decimal)["logs"]
    return logs


def test_trade_has_a_row_of_cash_and_one_of_the_position(desk: KrakenExchange) -> None:
    desk.send(size="0.5")
    bought = desk.v3("fills")["fills"][0]
    cash, position = rows(desk)
    assert (cash["asset"], cash["info"], cash["contract"]) == ("usd", "futures trade", "pf_xbtusd")
    assert (position["asset"], position["info"]) == ("pf_xbtusd", "futures trade")
    assert cash["execution"] == position["execution"] == bought["fill_id"]
    price = Decimal(bought["price"])
    assert (cash["trade_price"], cash["fee"], cash["realized_pnl"]) == (price, price * D("0.5") * D("0.0005"), 0)
    assert (cash["old_balance"], cash["new_balance"]) == (100_000, 100_000 - cash["fee"])
    assert (position["old_balance"], position["new_balance"]) == (0, D("0.5"))
    assert (position["old_average_entry_price"], position["new_average_entry_price"]) == (None, price)
    assert position["fee"] is position["realized_pnl"] is None
    desk.send(side="sell", size="0.2")
    cash, position = rows(desk)[2:]
    assert (position["old_average_entry_price"], position["new_average_entry_price"]) == (price, price)
    assert cash["realized_pnl"] == (Decimal(desk.v3("fills")["fills"][0]["price"]) - price) * D("0.2")
    assert cash["new_balance"] - cash["old_balance"] == cash["realized_pnl"] - cash["fee"]
    desk.send(side="sell", size="0.6")
    turned, price = rows(desk)[-1], Decimal(desk.v3("fills")["fills"][0]["price"])
    assert (turned["new_balance"], turned["new_average_entry_price"]) == (D("-0.3"), price)


@pytest.mark.parametrize(("side", "sign"), [("buy", -1), ("sell", 1)])
def test_funding_of_the_specification_is_paid_by_the_hour_and_with_a_trade(
    desk: KrakenExchange, side: str, sign: int
) -> None:
    """Pay 0.9 USD for each unit and hour: 1.5 long pay 1.35 an hour, and 0.90 in 40 minutes; a short receives it."""
    desk.world.ask("POST", FUNDING, {"symbol": XBT, "rate": "0.9"})
    desk.send(side=side, size="1.5")
    desk.world.tick(seconds=2400)
    assert desk.flex()["unrealizedFunding"] == sign * 0.9
    assert desk.v3("openpositions")["openPositions"][0]["unrealizedFunding"] == sign * 0.9
    desk.world.tick(seconds=1200)
    hourly = rows(desk)[-1]
    assert (hourly["info"], hourly["realized_funding"], hourly["contract"]) == (
        "funding rate change",
        sign * D("1.35"),
        "pf_xbtusd",
    )
    assert hourly["new_balance"] - hourly["old_balance"] == sign * D("1.35")
    desk.world.tick(seconds=2400)
    desk.send(side="sell" if side == "buy" else "buy", size="1.5")
    cash = rows(desk)[-2]
    assert (cash["info"], cash["realized_funding"]) == ("futures trade", sign * D("0.9"))
    ticker = desk.v3(f"tickers/{XBT}")["ticker"]
    assert (ticker["fundingRate"], ticker["fundingRatePrediction"]) == (0.9, 0.9)
    assert ticker["indexPrice"] == pytest.approx(ticker["last"] - 0.9 * 24)


def test_funding_of_the_hour_is_not_that_of_a_trade_at_the_same_moment(desk: KrakenExchange) -> None:
    desk.send(size="1")
    desk.world.tick(seconds=3600)
    desk.send(side="sell", size="1")
    assert [row["info"] for row in rows(desk)[2:]] == ["funding rate change", "futures trade", "futures trade"]


def test_both_signs_of_funding_within_an_hour_add_up(desk: KrakenExchange) -> None:
    desk.send(size="1")
    for rate in ("3", "-1"):
        desk.world.ask("POST", FUNDING, {"symbol": XBT, "rate": rate})
        desk.world.tick(seconds=1800)
    (hourly,) = [row for row in rows(desk) if row["info"] == "funding rate change"]
    assert (hourly["realized_funding"], hourly["funding_rate"]) == (-1, -1)
    desk.world.ask("POST", FUNDING, {"symbol": XBT, "rate": "2"})
    desk.world.tick(seconds=3600)
    rates = desk.get("/derivatives/api/v4/historicalfundingrates", symbol=XBT)["rates"]
    usual = float(desk.engine.market.grids[XBT].instrument.funding)
    assert [one["fundingRate"] for one in rates] == [usual, usual, -1, 2]
    desk.world.exchange.commit()
    again = KrakenExchange(desk.folder)
    assert [row["funding_rate"] for row in rows(again) if row["info"] == "funding rate change"] == [-1, 2]
    keep(desk.world.exchange, desk.folder)
    assert rows(KrakenExchange(desk.folder)) == rows(again)


def test_captured_trade_of_the_specification_is_booked_to_the_digit() -> None:
    """Sell 100 at 0.070914: fee 0.0035, realized -0.0042, and the balance goes from 0.0077 to 0.0000."""
    coin = instrument("PF_X", "0.000001", margin_levels=(MarginLevel(D(0), D("0.001"), D("0.001")),))
    ring = Ring({0: "0.070956", 10: "0.070914"}, (coin,), Rules(taker_fee=D("0.0005")), cash="0.0112478", to=1)
    ring.order("buy", 100)
    # It had been liquidated before, if anybody had looked.
    ring.engine.now_us += 10 * 60_000_000
    ring.order("sell", 100)
    booked = Booked(HistoryReads(ring.engine), ring.account)
    booked.follow()
    cash = booked.rows[2][1]
    fee, realized = cash["fee"], cash["realized_pnl"]
    assert (cash["trade_price"], fee, realized) == (D("0.070914"), D("0.0035457"), D("-0.0042"))
    assert (round(cash["old_balance"], 4), round(cash["new_balance"], 4)) == (D("0.0077"), D("0.0000"))


def test_margins_are_those_of_the_specification(tmp_path_factory: pytest.TempPathFactory) -> None:
    """Hold 499,999, 500,000 and 1,200,000 of what costs 1: the level of a whole position counts."""
    steps = ((0, "0.02", "0.01"), (500_000, "0.04", "0.02"), (1_000_000, "0.06", "0.03"))
    levels = tuple(MarginLevel(D(0), D(initial), D(maintenance), D(usd)) for usd, initial, maintenance in steps)
    coin = instrument("PF_USDX", "1", level=D(1), margin_levels=levels, volatility=D("0.0001"), beta=D("0.001"))
    market = spec((coin.symbol,), CLOSE._replace(quotes="last"), 1_000_000, (coin,))
    desk = KrakenExchange(folders_of(market, tmp_path_factory)())
    shown = []
    for more in (499_999, 1, 700_000):
        desk.send(size=more, symbol=coin.symbol)
        flex = desk.flex()
        shown.append((flex["initialMargin"], flex["maintenanceMargin"]))
    assert shown == [(9_999.98, 4_999.99), (20_000, 10_000), (72_000, 36_000)]
    margin_levels = desk.v3("instruments")["instruments"][0]["marginLevels"]
    assert [tuple(level.values()) for level in margin_levels] == [tuple(float(one) for one in step) for step in steps]


def test_liquidation_in_parts_is_told_and_booked_with_its_fee(tmp_path_factory: pytest.TempPathFactory) -> None:
    """Hold 1.5 on little more than its initial margin, on the side that loses, with an order that adds to it."""
    desk = KrakenExchange(folders_of(spec((XBT,), cash=3_300), tmp_path_factory)())
    closes = [bar.close for index in range(4) for bar in desk.engine.market.day(XBT, index).bars]
    falls = closes[0] - min(closes) > max(closes) - closes[0]
    desk.world.tick(seconds=60)
    side, away = ("buy", 50_000) if falls else ("sell", 150_000)
    desk.send(side=side, size="1.5")
    assert desk.send("lmt", side, "0.01", limitPrice=away)["status"] == "placed"
    desk.world.tick(seconds=4 * 86_400)
    liquidated = [row for row in rows(desk, info="futures liquidation") if row["asset"] == "usd"]
    assert len(liquidated) > 1
    fills = {fill["fill_id"]: fill for fill in desk.v3("fills")["fills"]}
    for row in liquidated:
        fill = fills[row["execution"]]
        assert (fill["fillType"], row["fee"]) == ("liquidation", 0)
        assert row["liquidation_fee"] == Decimal(str(fill["size"])) * row["trade_price"] * D("0.005")
        assert 0 < abs(row["trade_price"] / row["mark_price"] - 1) < D("0.0011")
    assert Decimal(str(fills[liquidated[0]["execution"]]["size"])) == D("0.375")
    reasons = [fields["reason"] for name, fields in desk.events("orders") if name == "OrderCancelled"]
    assert reasons == ["not_enough_margin"]
    check_law(desk, began=Decimal(3_300))


def test_log_is_asked_for_by_time_by_id_and_by_kind(desk: KrakenExchange) -> None:
    desk.send()
    desk.world.tick(seconds=3600)
    began_ms = desk.engine.now_us // 1000
    desk.send(symbol=PEPE, size=1_000_000)
    assert [row["id"] for row in rows(desk)] == [1, 2, 3, 4, 5]
    assert [row["id"] for row in rows(desk, since=began_ms)] == [3, 4, 5]
    assert [row["id"] for row in rows(desk, before=began_ms - 1)] == [1, 2]
    assert len(rows(desk, before=began_ms)) == 5
    assert [row["id"] for row in rows(desk, **{"from": 2, "to": 4})] == [2, 3, 4]
    assert [row["id"] for row in rows(desk, info="funding rate change")] == [3]
    assert [row["id"] for row in rows(desk, sort="desc", count=2)] == [5, 4]
    assert desk.history("account-log", since="soon")["error"] == "invalidArgument"
    assert desk.history("account-log", count="many")["error"] == "invalidArgument: count"


@pytest.mark.parametrize("seed", range(3))
def test_rows_add_up_to_the_account_over_drawn_days(desk: KrakenExchange, seed: int) -> None:
    chance = random_stream("drawn days", seed)
    for _ in range(25):
        symbol = chance.choice((XBT, PEPE))
        size = D("0.01") * chance.randint(1, 60) if symbol == XBT else 100_000_000 * chance.randint(1, 9)
        kind = chance.choice(("mkt", "lmt"))
        more = {"limitPrice": desk.v3(f"tickers/{symbol}")["ticker"]["bid"]} if kind == "lmt" else {}
        more = {name: f"{value:.11f}" if symbol == PEPE else value for name, value in more.items()}
        desk.send(kind, chance.choice(("buy", "sell")), size, symbol, **more)
        if chance.random() < 0.3:
            desk.world.ask("POST", FUNDING, {"symbol": XBT, "rate": str(chance.randint(-400, 400) / 100)})
        desk.world.tick(seconds=chance.randint(1, 6_000))
    check_law(desk)


@pytest.mark.parametrize("seed", range(6))
def test_rows_add_up_over_drawn_days_that_end_in_liquidation(
    tmp_path_factory: pytest.TempPathFactory, seed: int
) -> None:
    chance = random_stream("drawn days of little collateral", seed)
    desk = KrakenExchange(folders_of(spec((XBT, PEPE), cash=2_000), tmp_path_factory)())
    desk.world.tick(seconds=60)
    for _ in range(12):
        desk.send("mkt", chance.choice(("buy", "sell")), D("0.01") * chance.randint(20, 90))
        desk.send("mkt", chance.choice(("buy", "sell")), 100_000_000 * chance.randint(1, 9), PEPE)
        rate = str(chance.choice((-1, 1)) * chance.randint(0, 9_000))
        desk.world.ask("POST", FUNDING, {"symbol": XBT, "rate": rate})
        desk.world.tick(seconds=chance.randint(60, 20_000))
        check_law(desk, began=Decimal(2_000))
    forced = [row for kind in ("liquidation", "assignor") for row in rows(desk, info=f"futures {kind}")]
    assert [row for row in forced if row["asset"] == "usd"]


def check_law(desk: KrakenExchange, began: Decimal = Decimal(100_000)) -> None:
    """See that rows follow on each other, and that what they say adds up to what the account has."""
    balances: dict[str, Decimal] = {"usd": began}
    changed = Decimal(0)
    for row in rows(desk):
        assert row["old_balance"] == balances.get(row["asset"], 0)
        balances[row["asset"]] = row["new_balance"]
        changed += sum(_parts(row))
    cash = desk.engine.main.cash
    assert balances.pop("usd") == cash == began + changed
    positions = {symbol.lower(): position.qty for symbol, position in desk.engine.main.positions.items()}
    assert {asset: size for asset, size in balances.items() if size} == positions
    body = json.loads(desk.ask("GET", "/derivatives/api/v3/accounts").body, parse_float=Decimal, parse_int=Decimal)
    flex = body["accounts"]["flex"]
    assert flex["portfolioValue"] == cash + flex["pnl"]


def _parts(row: dict[str, Any]) -> Iterator[Decimal]:
    for name, sign in (("realized_pnl", 1), ("realized_funding", 1), ("fee", -1), ("liquidation_fee", -1)):
        if row[name] is not None:
            yield sign * row[name]
