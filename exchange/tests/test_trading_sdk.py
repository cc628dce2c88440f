"""The real SDK against the served exchange: every method of its TradingClient, every answer parsed by its models."""

from collections.abc import Callable, Iterator
from datetime import UTC, date
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
from alpaca.common.exceptions import APIError
from alpaca.trading import enums, models, requests
from alpaca.trading.client import TradingClient

from exchange.tests.kit.served import Served, served

BUY, SELL = enums.OrderSide.BUY, enums.OrderSide.SELL
DAY, GTC = enums.TimeInForce.DAY, enums.TimeInForce.GTC
NOWHERE = UUID("00000000-0000-4000-8000-000000000000")


class SdkClient:
    """A client of the SDK and the exchange behind it; `used` are the methods that were called."""

    def __init__(self, server: Served) -> None:
        self.server = server
        self.used: set[str] = set()
        # The SDK's methods are typed to return raw JSON as well, which this client does not ask for.
        self.client: Any = TradingClient("sandbox", "sandbox", url_override=server.url)
        self.client._session.trust_env = False

    def __getattr__(self, name: str) -> Any:
        self.used.add(name)
        return getattr(self.client, name)

    def minutes(self, count: int) -> None:
        self.server.tick(seconds=60 * count)


@pytest.fixture(scope="module")
def desk(new_folder: Callable[[], Path]) -> Iterator[SdkClient]:
    with served(new_folder()) as server:
        desk = SdkClient(server)
        server.tick(to="open")
        desk.minutes(10)
        yield desk
        desk.client._session.close()


def market(symbol: str, side: Any, qty: float) -> Any:
    return requests.MarketOrderRequest(symbol=symbol, qty=qty, side=side, time_in_force=DAY)


def limit(symbol: str, price: float, **fields: Any) -> Any:
    fields = {"qty": 1, "side": BUY, "time_in_force": GTC} | fields
    return requests.LimitOrderRequest(symbol=symbol, limit_price=price, **fields)


def refused(status: int, code: int, method: Callable[..., Any], *arguments: Any) -> None:
    with pytest.raises(APIError) as refusal:
        method(*arguments)
    assert (refusal.value.status_code, refusal.value.code) == (status, code)


def every_kind_of_order() -> list[Any]:
    up, down = requests.TakeProfitRequest(limit_price=900), requests.StopLossRequest(stop_price=20, limit_price=19)
    common = {"symbol": "SPY", "qty": 1, "side": BUY}
    return [
        requests.MarketOrderRequest(symbol="SPY", notional=50, side=BUY, time_in_force=DAY),
        limit("SPY", 100.01, extended_hours=True, client_order_id="by hand"),
        requests.StopOrderRequest(**common, time_in_force=DAY, stop_price=950),
        requests.StopLimitOrderRequest(**common, time_in_force=GTC, stop_price=950, limit_price=951.5),
        requests.TrailingStopOrderRequest(**common, time_in_force=GTC, trail_percent=2),
        requests.TrailingStopOrderRequest(**common, time_in_force=DAY, trail_price=3.5),
        limit("SPY", 100, order_class=enums.OrderClass.BRACKET, take_profit=up, stop_loss=down),
        limit("SPY", 100, order_class=enums.OrderClass.OTO, stop_loss=down),
    ]


def orders(desk: SdkClient) -> None:
    placed = [desk.submit_order(request) for request in every_kind_of_order()]
    assert [type(order) for order in placed] == [models.Order] * len(placed)
    assert [len(order.legs or ()) for order in placed] == [0, 0, 0, 0, 0, 0, 2, 1]
    request = requests.GetOrdersRequest(status=enums.QueryOrderStatus.ALL, nested=True, symbols=["SPY"], limit=500)
    assert [order.id for order in desk.get_orders(request)] == [order.id for order in placed[::-1]]
    assert desk.get_order_by_client_id("by hand").id == placed[1].id
    assert len(desk.get_order_by_id(placed[6].id, requests.GetOrderByIdRequest(nested=True)).legs) == 2
    change = requests.ReplaceOrderRequest(qty=3, limit_price=99.5, time_in_force=GTC, client_order_id="by hand too")
    replaced = desk.replace_order_by_id(placed[1].id, change)
    assert (replaced.replaces, replaced.qty, replaced.limit_price) == (placed[1].id, "3", "99.5")
    desk.cancel_order_by_id(replaced.id)
    assert desk.get_order_by_id(replaced.id).status is enums.OrderStatus.CANCELED
    assert {row.status for row in desk.cancel_orders()} == {200}
    assert desk.get_orders() == []
    refused(422, 40010001, desk.submit_order, limit("SPY", 100, client_order_id="by hand"))
    refused(404, 40410000, desk.get_order_by_id, NOWHERE)


def positions(desk: SdkClient) -> None:
    desk.submit_order(market("AAPL", BUY, 2.5))
    desk.submit_order(market("SPY", SELL, 3))
    desk.minutes(2)
    positions = {position.symbol: position for position in desk.get_all_positions()}
    assert {type(position) for position in positions.values()} == {models.Position}
    assert (positions["AAPL"].qty, positions["SPY"].side) == ("2.5", enums.PositionSide.SHORT)
    assert desk.get_open_position("AAPL").asset_id == positions["AAPL"].asset_id
    covered(desk)
    half = desk.close_position("AAPL", requests.ClosePositionRequest(percentage="50"))
    assert (half.side, half.qty) == (SELL, "1.25")
    desk.minutes(2)
    closed = desk.close_all_positions(cancel_orders=True)
    assert {(row.symbol, row.status) for row in closed} == {("AAPL", 200), ("SPY", 200)}
    again = desk.close_all_positions(cancel_orders=False)
    assert {(type(row.body), row.status) for row in again} == {(models.FailedClosePositionDetails, 403)}
    desk.minutes(2)
    refused(404, 40410000, desk.get_open_position, "AAPL")
    refused(403, 40310000, desk.exercise_options_position, "AAPL250321C00200000")


def covered(desk: SdkClient) -> None:
    """Let a pair rest over the shares that are short, as the SDK asks for one: without a limit price of its own."""
    target, stop = requests.TakeProfitRequest(limit_price=100), requests.StopLossRequest(stop_price=990)
    pair = requests.LimitOrderRequest(
        symbol="SPY",
        qty=3,
        side=BUY,
        time_in_force=GTC,
        order_class=enums.OrderClass.OCO,
        take_profit=target,
        stop_loss=stop,
    )
    placed = desk.submit_order(pair)
    (leg,) = placed.legs
    assert (placed.limit_price, leg.stop_price, leg.status) == ("100", "990", enums.OrderStatus.HELD)
    moved = desk.replace_order_by_id(placed.id, requests.ReplaceOrderRequest(limit_price=101))
    tighter = desk.replace_order_by_id(leg.id, requests.ReplaceOrderRequest(stop_price=980))
    shown = desk.get_order_by_id(moved.id, requests.GetOrderByIdRequest(nested=True))
    assert (shown.limit_price, [one.id for one in shown.legs]) == ("101", [tighter.id])


def account(desk: SdkClient) -> None:
    shown = desk.get_account()
    assert (type(shown), shown.status) == (models.TradeAccount, enums.AccountStatus.ACTIVE)
    settings = desk.get_account_configurations()
    assert settings.max_margin_multiplier == "2"
    settings.no_shorting = True
    assert desk.set_account_configurations(settings).no_shorting
    settings.no_shorting = False
    desk.set_account_configurations(settings)
    request = requests.GetPortfolioHistoryRequest(
        period="1D", timeframe="5Min", cashflow_types="ALL", extended_hours=True
    )
    history = desk.get_portfolio_history(request)
    assert (type(history), len(history.equity)) == (models.PortfolioHistory, len(history.timestamp))
    rows = desk.get("/account/activities", {"activity_types": "FILL"})
    parsed = [models.TradeActivity(**row, account_id=shown.id) for row in rows]
    assert {activity.type for activity in parsed} == {enums.TradeActivityType.FILL}


def market_facts(desk: SdkClient) -> None:
    assert type(desk.get_clock()) is models.Clock
    days = desk.get_calendar(requests.GetCalendarRequest(start=date(2025, 3, 3), end=date(2025, 3, 4)))
    assert [(day.date.isoformat(), f"{day.close:%H:%M}") for day in days] == [
        ("2025-03-03", "16:00"),
        ("2025-03-04", "16:00"),
    ]
    listed = desk.get_all_assets(requests.GetAssetsRequest(status=enums.AssetStatus.ACTIVE))
    assert {asset.symbol for asset in listed} == {"AAPL", "SPY", "ZAAC"}
    assert desk.get_asset("SPY") in listed
    refused(404, 40410000, desk.get_asset, "NONE")
    refused(403, 40310000, desk.get_option_contracts, requests.GetOptionContractsRequest(underlying_symbols=["AAPL"]))
    refused(404, 40410000, desk.get_option_contract, "AAPL250321C00200000")


def announcements(desk: SdkClient) -> None:
    body = {"type": "forward_split", "symbol": "AAPL", "new_rate": 4, "old_rate": 1}
    assert desk.server.ask("POST", "/exchange/v1/actions", body).status_code == 200
    request = requests.GetCorporateAnnouncementsRequest(
        ca_types=list(enums.CorporateActionType), since=date(2025, 3, 1), until=date(2025, 3, 31), symbol="AAPL"
    )
    (announced,) = desk.get_corporate_announcements(request)
    assert (announced.ca_type, announced.new_rate) == (enums.CorporateActionType.SPLIT, 4)
    assert desk.get_corporate_announcement_by_id(announced.id) == announced


def watchlists(desk: SdkClient) -> None:
    watchlist = desk.create_watchlist(requests.CreateWatchlistRequest(name="mine", symbols=["SPY"]))
    assert [listed.id for listed in desk.get_watchlists()] == [watchlist.id]
    assert [asset.symbol for asset in desk.add_asset_to_watchlist_by_id(watchlist.id, "AAPL").assets] == ["SPY", "AAPL"]
    desk.update_watchlist_by_id(watchlist.id, requests.UpdateWatchlistRequest(name="yours"))
    assert [asset.symbol for asset in desk.remove_asset_from_watchlist_by_id(watchlist.id, "SPY").assets] == ["AAPL"]
    assert desk.get_watchlist_by_id(watchlist.id).name == "yours"
    desk.delete_watchlist_by_id(watchlist.id)
    assert desk.get_watchlists() == []


@pytest.mark.filterwarnings("ignore:get_corporate_announcement:DeprecationWarning")
def test_every_method_of_the_trading_client_is_answered_with_what_it_parses(desk: SdkClient) -> None:
    assert desk.client.get_clock().timestamp.astimezone(UTC).date() == date(2025, 3, 3)
    for story in (orders, positions, account, market_facts, announcements, watchlists):
        story(desk)
    public = {name for name in vars(TradingClient) if not name.startswith("_")}
    assert public <= desk.used
