"""Simulate a Gateway on an engine in this process, without the socket protocol.

The adapter's own reader and orders use it, so the venue's messages are interpreted in the same way as in the bot. Only
the socket and the library's parser are left out. Lists are rebuilt only after a change.
"""

from __future__ import annotations

import asyncio
from datetime import UTC, date, datetime
from decimal import Decimal
from itertools import takewhile
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, NamedTuple

from msgspec import Struct

from papervenue.commands.command import Command, Commands
from papervenue.engine.account import Activity
from papervenue.engine.orders import LIQUIDATION, SETTLEMENT, Execution, Order
from papervenue.faces.tws import orders, place_order
from papervenue.faces.tws.account_requests import TwsReads
from papervenue.faces.tws.contracts import FUTURE, Contracts
from papervenue.faces.tws.gateway import ASK, BID, CLOSE, LAST
from papervenue.faces.tws.history import HistoryError, TwsHistory
from papervenue.faces.tws.order_messages import exec_id, executions_of, number_of, reason, time_of, word
from papervenue.faces.tws.orders import find_by_label, ids_of, label_of, perm_id
from papervenue.jsontext import encode, plain
from papervenue.margined.accounts import net_positions
from papervenue.times import HOUR, SECOND
from tradebot.venues.ibkr.capabilities import HISTORY_ERROR, IBKR, TRADING_ID
from tradebot.venues.ibkr.wrapper import MessageReceiver, ReportedStatus, Ticks, VenueError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from papervenue.engine.engine import Engine
    from papervenue.events import Event
    from papervenue.market.venue import Grid
    from papervenue.refusal import Refusal
    from tradebot.venues.ibkr.link import LinkTimeouts

# The fields have the library's names.
# ruff: noqa: N815


_TYPES = {"market": "MKT", "limit": "LMT", "stop": "STP", "stop_limit": "STP LMT"}
_REDUCING = 3


class Contract(NamedTuple):
    """The identity of a contract, with the field names of ib_async."""

    localSymbol: str
    multiplier: str
    conId: int
    secType: str = FUTURE


class IbRow(NamedTuple):
    """The row of an order, with the field names of ib_async."""

    action: str
    totalQuantity: Decimal | int
    orderType: str
    lmtPrice: Decimal | int
    auxPrice: Decimal | int
    tif: str
    ocaGroup: str
    ocaType: int
    account: str
    orderRef: str
    permId: int
    orderId: int
    clientId: int
    parentId: int
    filledQuantity: Decimal | int = 0


class IbOrderState(Struct):
    """The state of an order, which the reader may correct."""

    status: str
    completedStatus: str = ""
    completedTime: str = ""


class IbExecution(NamedTuple):
    """The row of an execution, with the field names of ib_async."""

    acctNumber: str
    execId: str
    side: str
    permId: int
    shares: Decimal
    price: Decimal
    time: datetime
    liquidation: int
    orderRef: str


class Commission(NamedTuple):
    """The commission of an execution."""

    commission: Decimal
    currency: str = IBKR.currency


Told = tuple[Contract, IbRow, IbOrderState]


def open_order_row(contract: Contract, grid: Grid, order: Order) -> Told:
    """Build the row of an order that is open, or has only just ended."""
    client, number = ids_of(order)
    request = order.request
    row = IbRow(
        action="BUY" if order.side > 0 else "SELL",
        totalQuantity=order.qty or 0,
        orderType=_TYPES.get(request.type, "MKT"),
        lmtPrice=0 if request.limit is None else grid.usd(request.limit),
        auxPrice=0 if order.stop is None else grid.usd(order.stop),
        tif=request.time_in_force.upper(),
        ocaGroup=request.oca_group,
        ocaType=request.oca_type or _REDUCING,
        account=order.account,
        orderRef=request.client_order_id or "",
        permId=perm_id(order),
        orderId=number,
        clientId=client,
        parentId=ids_of(order.parent)[1] if order.parent is not None else 0,
    )
    return contract, row, IbOrderState(word(order))


def status(order: Order) -> ReportedStatus:
    return ReportedStatus(ids_of(order)[1], word(order), float(order.filled_qty), perm_id(order))


def completed_order_row(contract: Contract, grid: Grid, order: Order) -> Told:
    """Build the row of an ended order, whose size the venue doesn't report."""
    ended_us = order.filled_us or order.canceled_us or order.expired_us or order.failed_us or order.updated_us
    why = f"Rejected by System:{reason(order)}" if order.status == "rejected" else reason(order)
    _, row, _ = open_order_row(contract, grid, order)
    row = row._replace(totalQuantity=0, filledQuantity=order.filled_qty, orderId=0, clientId=0, parentId=0)
    size = f"Filled Size: {order.filled_qty}" if order.status == "filled" else why
    return contract, row, IbOrderState(word(order), size, time_of(ended_us))


def execution_row(contract: Contract, grid: Grid, execution: Execution) -> tuple[Contract, IbExecution]:
    """Build the row of an execution."""
    order, settled = execution.order, execution.fill.settled
    return contract, IbExecution(
        acctNumber=order.account,
        execId=exec_id(execution.fill, number_of(execution)),
        side="BOT" if order.side > 0 else "SLD",
        permId=perm_id(order),
        shares=execution.qty,
        price=grid.usd(execution.price),
        time=datetime.fromtimestamp(execution.fill.at_us // SECOND, UTC),
        liquidation=int(settled is not None and settled.role in (LIQUIDATION, SETTLEMENT)),
        orderRef=order.request.client_order_id or "",
    )


_REFUSED, _TICK, _NOT_FOUND, _NOT_PLACED, _NO_ORDER, _TOO_LATE = 201, 110, 135, 202, 10147, 161
_SHORTEST_DAY_US = 23 * HOUR


class EngineLine:
    """A connection to an engine's account. Its data is always complete, and it replies immediately.

    `changes` increases with each change of the account or its orders.
    """

    def __init__(self, engine: Engine, patience: LinkTimeouts, loop: asyncio.AbstractEventLoop) -> None:
        self.engine, self.patience, self.changes = engine, patience, 0
        self._book = Contracts(engine)
        self.reads = TwsReads(engine, self._book)
        self.contracts = _Details(self)
        self.asked_on: dict[str, date] = {}
        self.hours: dict[str, Any] = {}
        self.ended = _Details(self, ended=True)
        self.receiver = loop.run_until_complete(_receiver())
        self.client = _Client(self)
        self._log, engine.emit = engine.emit, self._hear
        self._named: dict[str, Contract] = {}
        self._executed: dict[str, tuple[Execution, tuple[Contract, IbExecution]]] = {}
        self._touched: dict[str, Order] = {}
        self._day_us = (0, 0)

    def _hear(self, event: Event) -> None:
        """Count a change: each change of an account or its orders has an event."""
        self.changes += 1
        if event.update is not None:
            self._touched[event.update.order.id] = event.update.order
        self._log(event)

    def follow(self) -> None:
        """Continue from an engine that was restored to a later state."""
        self.changes += 1
        self._day_us = 0, 0
        self._touched = {order.id: order for order in self.engine.main.orders.values()}

    @property
    def account(self) -> str:
        return self.engine.main.number

    @property
    def today_us(self) -> int:
        """Return when the venue's day began, in microseconds since 1970; the venue lists only orders that ended after
        that.
        """
        begun_us, until_us = self._day_us
        if not begun_us <= self.engine.now_us < until_us:
            begun_us = self.reads.today_us
            self._day_us = begun_us, begun_us + _SHORTEST_DAY_US
            self._touched = {name: order for name, order in self._touched.items() if order.updated_us >= begun_us}
        return begun_us

    async def time(self) -> int:
        return self.engine.now_us // SECOND

    async def ask_numbered(self, question: Callable[[int], object]) -> list[Any]:
        """Return the rows that the venue sends to the client in reply to a request."""
        question(0)
        return self.client.told

    async def positions(self) -> list[Any]:
        """Return the positions, with the average cost as a float, as ib_async gives them."""
        number = self.account
        return [
            (number, self.contract(position.symbol), position.qty, float(self.reads.average_cost(position)))
            for position in net_positions(self.engine.main)
        ]

    async def values(self) -> list[Any]:
        """Return the account's values, and the prices of its positions."""
        account, engine = self.engine.main, self.engine
        dict_items = self.reads.values(account).items()
        rows: list[Any] = [(name, value, IBKR.currency, account.number) for name, value in dict_items]
        for position in net_positions(account):
            price = engine.market.grids[position.symbol].usd(engine.price(position.symbol))
            rows.append((self.contract(position.symbol).conId, price))
        return rows

    async def open_orders(self) -> list[Told | ReportedStatus]:
        return [row for order in self.engine.main.open.values() for row in (self.open_order(order), status(order))]

    async def completed_orders(self) -> list[Told]:
        """Return the orders that have ended today."""
        today_us = self.today_us
        ended = [order for order in self._touched.values() if not order.is_open and order.updated_us >= today_us]
        grids = self.engine.market.grids
        return [
            completed_order_row(self.contract(order.symbol), grids[order.symbol], order)
            for order in sorted(ended, key=lambda order: order.sequence)
        ]

    async def executions(self) -> list[tuple[Contract, IbExecution]]:
        """Return today's executions; their known commissions are delivered as well."""
        account, today_us = self.engine.main, self.today_us
        recent = list(takewhile(lambda execution: execution.at_us >= today_us, reversed(account.activities)))[::-1]
        execution_rows = {
            name: key
            for name, key in executions_of(SimpleNamespace(activities=recent)).items()  # type: ignore[arg-type]
            if key.fill.at_us >= today_us
        }
        rows = {name: self._executed_row(name, execution) for name, execution in execution_rows.items()}
        fees = (activity for activity in recent if isinstance(activity, Activity) and activity.about in rows)
        self.receiver.commissions = {rows[fee.about][1].execId: Commission(-fee.net_amount) for fee in fees}
        return list(rows.values())

    def _executed_row(self, name: str, execution: Execution) -> tuple[Contract, IbExecution]:
        """Return an execution's row, built once for each of its states."""
        settled = self._executed.get(name)
        if settled is None or settled[0] is not execution:
            symbol = execution.order.symbol
            settled = execution, execution_row(self.contract(symbol), self.engine.market.grids[symbol], execution)
            self._executed[name] = settled
        return settled[1]

    def contract(self, symbol: str) -> Contract:
        """Return a contract's identity for rows."""
        if symbol not in self._named:
            named = self._book.contract_fields(symbol)
            self._named[symbol] = Contract(symbol, named["multiplier"], int(named["conId"]))
        return self._named[symbol]

    def open_order(self, order: Order) -> Told:
        return open_order_row(self.contract(order.symbol), self.engine.market.grids[order.symbol], order)

    def has_ended(self, symbol: str) -> bool:
        """Return True if a contract no longer trades."""
        return self._book.is_expired(symbol)

    def details(self, symbol: str) -> Any:
        """Return the venue's details of a contract."""
        values = self._book.details("", symbol).fields
        names = ("minTick", "sizeIncrement", "minSize", "realExpirationDate", "tradingHours", "liquidHours")
        contract = SimpleNamespace(
            localSymbol=symbol,
            multiplier=values["multiplier"],
            exchange=values["exchange"],
            currency=values["currency"],
            lastTradeDateOrContractMonth=values["lastTrade"],
        )
        return SimpleNamespace(
            contract=contract, timeZoneId=values["timeZoneId"], **{name: values[name] for name in names}
        )

    def ticks(self, symbol: str) -> Ticks | None:
        """Return the present ticks of a contract; None if the venue doesn't list it."""
        engine, ticks = self.engine, Ticks()
        if symbol not in engine.market.known:
            return None
        last, grid = engine.last_price(symbol), engine.market.grids[symbol]
        if last is None or self._book.is_expired(symbol):
            return ticks
        is_open = engine.market.calendars[symbol].is_open(engine.now_us)
        bid, ask = engine.model.around(last, symbol) if is_open else (0, 0)
        close = engine.market.previous_close(symbol, engine.now_us)
        for kind, units in ((BID, bid), (ASK, ask), (LAST, last), (CLOSE, close or 0)):
            if units > 0:
                ticks.prices[kind] = float(grid.usd(units))
        return ticks

    def margin_change(self, symbol: str, action: str) -> Any:
        """Return the margin change caused by one more contract on a side."""
        *_, levels = place_order.impacts(self.engine, {"symbol": symbol, "action": action, "qty": "1"})
        return SimpleNamespace(**levels)


async def _receiver() -> MessageReceiver:
    return MessageReceiver()


class _Details(dict[str, Any]):
    """The venue's contract details, cached by symbol; or those of contracts that have `ended`."""

    def __init__(self, line: EngineLine, *, ended: bool = False) -> None:
        self._line, self._ended = line, ended

    def __contains__(self, symbol: object) -> bool:
        symbols = symbol in self._line.engine.market.known
        return symbols and self._line.has_ended(str(symbol)) is self._ended

    def get(self, symbol: str, default: Any = None) -> Any:
        """Return a contract's details, or those of the contract that succeeds an expired one; `default` if there are
        none.
        """
        if symbol not in self:
            return default
        if symbol not in self.keys():
            details = self._line.details(symbol)
            self[symbol] = details.contract if self._ended else details
        return self[symbol]


class _Client:
    """Receives the messages that the adapter writes to the socket: orders and cancels."""

    # ruff: noqa: N802 -- the library's names

    def __init__(self, line: EngineLine) -> None:
        self._line, self._kept, self.last_id = line, place_order.UntransmittedOrders(), 0
        self._commands = Commands(line.engine, orders.ENTRIES)
        self._history = TwsHistory(line.engine, Contracts(line.engine))
        self.told: list[Any] = []

    def getReqId(self) -> int:
        """Return the next order id."""
        self.last_id += 1
        return self.last_id

    def placeOrder(self, number: int, contract: Any, order: Any) -> None:
        """Place an order with the stored part of its bracket, change it, or store it until the bracket is complete."""
        wanted = _placed_order(number, contract, order)
        working = find_by_label(self._line.engine.main, label_of(TRADING_ID, number))
        if number not in self._kept and working is not None and working.is_open:
            self._run("PATCH", orders.CHANGE, [wanted])
        elif not wanted["transmit"]:
            self._kept.keep(wanted)
        else:
            self._run("POST", orders.PLACE, self._kept.taken_with(wanted))

    def cancelOrder(self, number: int) -> None:
        """Cancel an order."""
        if self._kept.forget(number):
            self._error(number, _NOT_PLACED, "Order Canceled - reason:")
            return
        refusal = self._send_command("DELETE", orders.CANCEL, {"client": TRADING_ID, "id": number})
        if refusal is None:
            self._tell([number])
            return
        code = _NO_ORDER if refusal.body.get("code") == "no_order" else _TOO_LATE
        self._error(number, code, str(refusal.body.get("message", "")))

    def reqContractDetails(self, number: int, wanted: Any) -> None:
        """Answer that there is no such contract, because existing contracts are never requested this way."""
        self.told = []

    def reqHistoricalData(
        self, number: int, contract: Any, end: str, lasts: str, size: str, what: str, hours: int, dates: int, *rest: Any
    ) -> None:
        """Answer with bars."""
        params = {"end": end, "duration": lasts, "size": size, "format": str(dates)}
        try:
            rows = self._history.answer("", str(contract.localSymbol), params).fields["bars"]
        except HistoryError as error:
            raise VenueError(HISTORY_ERROR, str(error)) from error
        self.told = [SimpleNamespace(**row) for row in rows]

    def _run(self, method: str, path: str, wanted: Sequence[dict[str, Any]]) -> None:
        refusal = self._send_command(method, path, {"client": TRADING_ID, "orders": wanted})
        if refusal is None:
            self._tell([question["id"] for question in wanted])
            return
        body = refusal.body
        code = _TICK if body.get("code") == "tick_size" else _REFUSED if "id" in body else _NOT_FOUND
        text = str(body.get("message", ""))
        reason = f"Order rejected - reason:{text}" if code == _REFUSED else text
        self._error(body.get("id", wanted[-1]["id"]), code, reason)

    def _send_command(self, method: str, path: str, body: dict[str, Any]) -> Refusal | None:
        command = Command(method, path, body=encode(body).decode(), account=self._line.account)
        return self._commands.run(command)[1]

    def _tell(self, numbers: Sequence[int]) -> None:
        """Send the current state of orders."""
        receiver, account = self._line.receiver, self._line.engine.main
        for number in numbers:
            order = find_by_label(account, label_of(TRADING_ID, number))
            assert order is not None, "it was placed just now"
            receiver._event(number, "open", self._line.open_order(order))
            receiver._event(number, "status", status(order))

    def _error(self, number: int, code: int, text: str) -> None:
        self._line.receiver._event(number, "error", VenueError(code, text))


def _placed_order(number: int, contract: Any, order: Any) -> place_order.Placed:
    """Build the exchange's order from the adapter's message."""
    kind = str(order.orderType)
    prices = {"limit": order.lmtPrice if "LMT" in kind else "", "stop": order.auxPrice if "STP" in kind else ""}
    return {
        "id": number,
        "symbol": str(contract.localSymbol),
        "action": str(order.action),
        "qty": plain(Decimal(order.totalQuantity)),
        "type": kind,
        **{name: "" if price == "" else str(price) for name, price in prices.items()},
        "tif": str(order.tif),
        "ref": str(order.orderRef),
        "oca": str(order.ocaGroup),
        "oca_type": int(order.ocaType or 0),
        "parent": int(order.parentId or 0),
        "transmit": bool(order.transmit),
        "account": str(order.account),
    }
