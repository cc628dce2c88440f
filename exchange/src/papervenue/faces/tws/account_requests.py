"""Report an account's positions, its value, and the state of today's orders."""

from __future__ import annotations

from collections.abc import Iterator
from decimal import Decimal
from itertools import takewhile

from papervenue.engine.account import Account, Activity
from papervenue.engine.engine import Engine
from papervenue.engine.orders import Execution
from papervenue.faces.tws.contracts import Contracts, Fields
from papervenue.faces.tws.order_messages import OrderMessages, bound, executions_of, number_of, status
from papervenue.faces.tws.orders import ids_of
from papervenue.faces.tws.wire import TwsMessage
from papervenue.margined.accounts import NetPosition, equity_and_margins, net_position, net_positions
from papervenue.market.hours import CHICAGO
from papervenue.market.venue import Grid
from papervenue.times import at_zone, to_datetime

VALUE, PORTFOLIO, UPDATED_AT, DOWNLOADED, POSITION, POSITIONS_END = 6, 7, 8, 54, 61, 62
OPEN_END, EXECUTIONS_END, COMPLETED_END = 53, 55, 102
SUMMARY, SUMMARY_END, VALUE_MULTI, VALUES_END, PROFIT, PROFIT_OF_ONE = 63, 64, 73, 74, 94, 95
CENT = Decimal("0.01")
_VERSION = {"version": 1}


class TwsReads:
    """Handles requests about an exchange's accounts."""

    def __init__(self, engine: Engine, contracts: Contracts) -> None:
        self._engine = engine
        self._contracts = contracts
        self.book = OrderMessages(contracts, engine.market.grids)

    def values(self, account: Account) -> dict[str, str]:
        """Return the account's figures by the names that TWS uses."""
        now = equity_and_margins(self._engine, account)
        today = takewhile(lambda fill: fill.at_us >= self.today_us, reversed(account.activities))
        realized = sum((fill.net_amount for fill in today), start=Decimal(0))
        amounts = {
            "AvailableFunds": now.available,
            "BuyingPower": now.available,
            "EquityWithLoanValue": now.equity,
            "ExcessLiquidity": now.equity - now.maintenance,
            "FullInitMarginReq": now.ordered,
            "FullMaintMarginReq": now.maintenance,
            "InitMarginReq": now.ordered,
            "MaintMarginReq": now.maintenance,
            "NetLiquidation": now.equity,
            "PreviousDayEquityWithLoanValue": account.closing.equity,
            "RealizedPnL": realized,
            "TotalCashBalance": now.cash,
            "TotalCashValue": now.cash,
            "UnrealizedPnL": now.unrealized - sum(map(self._commission, net_positions(account)), Decimal(0)),
        }
        return {name: str(amount.quantize(CENT)) for name, amount in amounts.items()}

    def account(self, account: Account) -> Iterator[TwsMessage]:
        """Yield all messages about an account, and an end message."""
        texts = {"AccountCode": account.number, "AccountReady": "true", "AccountType": "INDIVIDUAL"}
        for name, value in texts.items():
            yield self._value(account, name, value, "")
        for name, value in self.values(account).items():
            yield self._value(account, name, value, "USD")
        for position in net_positions(account):
            yield self.portfolio(account, position)
        now = to_datetime(self._engine.now_us).astimezone(CHICAGO)
        yield TwsMessage(UPDATED_AT, {**_VERSION, "time": f"{now:%H:%M}"})
        yield TwsMessage(DOWNLOADED, {**_VERSION, "account": account.number})

    def _value(self, account: Account, name: str, value: str, currency: str) -> TwsMessage:
        return TwsMessage(
            VALUE, {"version": 2, "key": name, "value": value, "currency": currency, "account": account.number}
        )

    def values_of(self, request: str, account: Account) -> Iterator[TwsMessage]:
        """Yield the account's figures in answer to a request for one account."""
        for name, value in self.values(account).items():
            row = {"reqId": request, "account": account.number, "model": "", "key": name, "value": value}
            yield TwsMessage(VALUE_MULTI, {**_VERSION, **row, "currency": "USD"})
        yield TwsMessage(VALUES_END, {**_VERSION, "reqId": request})

    def summary(self, request: str, account: Account, tags: str) -> Iterator[TwsMessage]:
        """Yield the account figures that a client requests, or all."""
        wanted = set(tags.split(","))
        for name, value in self.values(account).items():
            if name in wanted or "All" in tags:
                row = {"reqId": request, "account": account.number, "key": name, "value": value, "currency": "USD"}
                yield TwsMessage(SUMMARY, {**_VERSION, **row})
        yield TwsMessage(SUMMARY_END, {**_VERSION, "reqId": request})

    def portfolio(self, account: Account, net: NetPosition) -> TwsMessage:
        """Return a position with its value; as in `position`, its average cost includes the multiplier."""
        grid, mark = self._engine.market.grids[net.symbol], self._engine.price(net.symbol)
        worth = grid.notional(net.qty, mark)
        named = self._contracts.contract_fields(net.symbol)
        named["exchange"] = ""
        money = {"price": grid.usd(mark), "value": worth, "averageCost": self.average_cost(net)}
        gain = worth - net.cost - self._commission(net)
        ends = {"unrealized": gain, "realized": Decimal(0), "account": account.number}
        return TwsMessage(PORTFOLIO, {"version": 8, **named, "position": net.qty, **money, **ends})

    def average_cost(self, net: NetPosition) -> Decimal:
        """Return the cost of one contract, including its multiplier and, as the venue documents it, its commission.

        https://interactivebrokers.github.io/tws-api/interfaceIBApi_1_1EWrapper.html (updatePortfolio, averageCost)
        """
        return (net.cost + self._commission(net)) / net.qty

    def _commission(self, net: NetPosition) -> Decimal:
        """Return what opening a position has cost in commissions."""
        return _fee(self._engine.market.grids[net.symbol]) * abs(net.qty)

    def position(self, account: Account, symbol: str) -> TwsMessage:
        """Return the position in a symbol, which may be empty."""
        net = next((position for position in net_positions(account) if position.symbol == symbol), None)
        qty, cost = (Decimal(0), Decimal(0)) if net is None else (net.qty, self.average_cost(net))
        head = {"version": 3, "account": account.number}
        return TwsMessage(
            POSITION, {**head, **self._contracts.contract_fields(symbol), "position": qty, "averageCost": cost}
        )

    def positions(self, account: Account) -> Iterator[TwsMessage]:
        for position in net_positions(account):
            yield self.position(account, position.symbol)
        yield TwsMessage(POSITIONS_END, _VERSION)

    def open_orders(self, account: Account, client: int | None) -> Iterator[TwsMessage]:
        """Yield the open orders of one client, or of all clients."""
        for order in account.open.values():
            if client in (None, ids_of(order)[0]):
                yield self.book.open_order(order)
                yield status(self._engine.market.grids[order.symbol], order)
        yield TwsMessage(OPEN_END, _VERSION)

    def bound_orders(self, account: Account) -> Iterator[TwsMessage]:
        """Yield the open orders that weren't placed by any client."""
        for order in account.open.values():
            if not order.request.label:
                yield bound(order)
                yield self.book.open_order(order)
                yield status(self._engine.market.grids[order.symbol], order)

    def profit(self, request: str, account: Account) -> TwsMessage:
        """Return the account's profit of the day, and separately its open profit and the profit realized today."""
        values, now = self.values(account), equity_and_margins(self._engine, account)
        daily = (now.equity - account.closing.equity).quantize(CENT)
        parts = {"unrealized": values["UnrealizedPnL"], "realized": values["RealizedPnL"]}
        return TwsMessage(PROFIT, {"reqId": request, "daily": daily, **parts})

    def profit_of(self, request: str, account: Account, symbol: str) -> TwsMessage:
        """Return the profit of one contract's position: of the day, still open, and realized today."""
        grid, mark, qty = self._engine.market.grids[symbol], self._engine.price(symbol), account.qty(symbol)
        net = net_position(account, symbol)
        traded, realized = Decimal(0), Decimal(0)
        today, before = Decimal(0), self._engine.market.last_close(symbol, self._engine.now_us)
        for execution in executions_of(account).values():
            fill = execution.fill
            if execution.order.symbol == symbol and fill.at_us >= self.today_us:
                signed, fee = execution.qty * execution.order.side, _fee(grid) * execution.qty
                today += signed
                traded += grid.notional(signed, execution.price) + fee
                realized += (Decimal(0) if fill.settled is None else fill.settled.realized) - fee
        worth = grid.notional(qty, mark)
        carried = Decimal(0) if before is None else grid.notional(qty - today, before)
        open_profit = Decimal(0) if net is None else worth - net.cost - self._commission(net)
        amounts = {"daily": worth - carried - traded, "unrealized": open_profit, "realized": realized, "value": worth}
        figures = {name: amount.quantize(CENT) for name, amount in amounts.items()}
        return TwsMessage(PROFIT_OF_ONE, {"reqId": request, "position": qty, **figures})

    def completed_orders(self, account: Account) -> Iterator[TwsMessage]:
        """Yield the orders that have ended today."""
        for order in account.orders.values():
            if not order.is_open and order.updated_us >= self.today_us:
                yield self.book.completed_order(order)
        yield TwsMessage(COMPLETED_END, {})

    def executions(self, request: str, account: Account, wanted: Fields) -> Iterator[TwsMessage]:
        """Yield today's executions, each as last corrected, then the commissions known for them."""
        tws_messages: list[TwsMessage] = []
        fees = {
            activity.about: activity
            for activity in account.activities
            if isinstance(activity, Activity) and activity.about
        }
        for name, execution in executions_of(account).items():
            if execution.fill.at_us < self.today_us or not self._is_wanted(execution, wanted):
                continue
            yield self.book.execution(request, execution, number_of(execution))
            if name in fees:
                tws_messages.append(self.book.commission(fees[name], execution.fill, number_of(execution)))
        yield TwsMessage(EXECUTIONS_END, {**_VERSION, "reqId": request})
        yield from tws_messages

    def _is_wanted(self, execution: Execution, wanted: Fields) -> bool:
        root = self._contracts.root(execution.order.symbol)
        sides = {"BUY": 1, "BOT": 1, "SELL": -1, "SLD": -1}
        return (
            wanted["client"] in ("", "0", str(ids_of(execution.order)[0]))
            and wanted["symbol"] in ("", root.symbol)
            and wanted["exchange"] in ("", root.exchange)
            and sides.get(wanted["side"], execution.order.side) == execution.order.side
        )

    @property
    def today_us(self) -> int:
        """Return when the day began, at midnight in Chicago; only statements contain earlier executions."""
        now = to_datetime(self._engine.now_us).astimezone(CHICAGO)
        return at_zone(CHICAGO, now.date().isoformat(), 0)


def _fee(grid: Grid) -> Decimal:
    return grid.instrument.contract_fee or Decimal(0)
