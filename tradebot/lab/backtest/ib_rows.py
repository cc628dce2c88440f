"""Rows about orders and executions of an engine, as the library of the socket hands them to the adapter."""

# The fields have the library's names.
# ruff: noqa: N815

from __future__ import annotations

from datetime import UTC, datetime
from decimal import Decimal
from typing import TYPE_CHECKING, NamedTuple

from msgspec import Struct

from papervenue.engine.orders import LIQUIDATION, SETTLEMENT
from papervenue.faces.tws.contracts import FUTURE
from papervenue.faces.tws.order_messages import exec_id, number_of, reason, time_of, word
from papervenue.faces.tws.orders import ids_of, perm_id
from papervenue.times import SECOND
from tradebot.venues.ibkr.capabilities import IBKR
from tradebot.venues.ibkr.wrapper import Status

if TYPE_CHECKING:
    from papervenue.engine.orders import Execution, Order
    from papervenue.market.instruments import Grid

_TYPES = {"market": "MKT", "limit": "LMT", "stop": "STP", "stop_limit": "STP LMT"}
_REDUCING = 3


class Contract(NamedTuple):
    """What names a contract."""

    localSymbol: str
    multiplier: str
    conId: int
    secType: str = FUTURE


class Row(NamedTuple):
    """An order."""

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


class State(Struct):
    """The state of an order, which its reader may correct."""

    status: str
    completedStatus: str = ""
    completedTime: str = ""


class Executed(NamedTuple):
    """An execution."""

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
    """What an execution has cost."""

    commission: Decimal
    currency: str = IBKR.currency


Told = tuple[Contract, Row, State]


def opened(contract: Contract, grid: Grid, order: Order) -> Told:
    """Return an order that is open, or was until now."""
    client, number = ids_of(order)
    request = order.request
    row = Row(
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
    return contract, row, State(word(order))


def status(order: Order) -> Status:
    return Status(ids_of(order)[1], word(order), float(order.filled_qty), perm_id(order))


def completed(contract: Contract, grid: Grid, order: Order) -> Told:
    """Return an order that has ended: the venue doesn't say how large it was."""
    ended_us = order.filled_us or order.canceled_us or order.expired_us or order.failed_us or order.updated_us
    why = f"Rejected by System:{reason(order)}" if order.status == "rejected" else reason(order)
    _, row, _ = opened(contract, grid, order)
    row = row._replace(totalQuantity=0, filledQuantity=order.filled_qty, orderId=0, clientId=0, parentId=0)
    size = f"Filled Size: {order.filled_qty}" if order.status == "filled" else why
    return contract, row, State(word(order), size, time_of(ended_us))


def executed(contract: Contract, grid: Grid, made: Execution) -> tuple[Contract, Executed]:
    """Return an execution as it stands."""
    order, settled = made.order, made.fill.settled
    return contract, Executed(
        acctNumber=order.account,
        execId=exec_id(made.fill, number_of(made)),
        side="BOT" if order.side > 0 else "SLD",
        permId=perm_id(order),
        shares=made.qty,
        price=grid.usd(made.price),
        time=datetime.fromtimestamp(made.fill.at_us // SECOND, UTC),
        liquidation=int(settled is not None and settled.role in (LIQUIDATION, SETTLEMENT)),
        orderRef=order.request.client_order_id or "",
    )
