"""Report orders in TWS messages: open and completed orders, their status, executions, commissions."""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from typing import Any

from papervenue.engine.account import Account, Activity
from papervenue.engine.orders import FORCED, Amendment, Execution, Fill, Order
from papervenue.faces.tws.contracts import ZONE, Contracts, Fields
from papervenue.faces.tws.orders import ids_of, perm_id
from papervenue.faces.tws.wire import TwsMessage, laid_out
from papervenue.market.hours import CHICAGO
from papervenue.market.venue import Grid
from papervenue.times import to_datetime

STATUS, ERROR, OPEN_ORDER, EXECUTION, COMMISSION, BOUND, COMPLETED = 3, 4, 5, 11, 59, 100, 101
UNSET = "1.7976931348623157E308"
"""The value of an unknown number."""
_WORDS = {
    "held": "PreSubmitted",
    "accepted": "PreSubmitted",
    "pending_new": "PendingSubmit",
    "pending_cancel": "PendingCancel",
    "filled": "Filled",
    "canceled": "Cancelled",
    "expired": "Cancelled",
    "rejected": "Inactive",
    "suspended": "Inactive",
    "stopped": "Inactive",
}
_TYPES = {"market": "MKT", "limit": "LMT", "stop": "STP", "stop_limit": "STP LMT"}
_ORDER = "action totalQuantity orderType lmtPrice auxPrice tif ocaGroup account openClose origin=0 orderRef"
_AFTER_PERM_ID = "outsideRth=0 hidden=0 discretionaryAmt=0 goodAfterTime"
_MIDDLE = "modelCode goodTillDate rule80A percentOffset settlingFirm shortSaleSlot=0 designatedLocation exemptCode=-1"
_OPEN = laid_out(
    f"orderId contract {_ORDER} clientId permId {_AFTER_PERM_ID} sharesAllocation faGroup faMethod faPercentage"
    f" faProfile {_MIDDLE} auctionStrategy=0 startingPrice stockRefPrice delta stockRangeLower stockRangeUpper"
    " displaySize blockOrder=0 sweepToFill=0 allOrNone=0 minQty ocaType=3 eTradeOnly=0 firmQuoteOnly=0"
    " nbboPriceCap parentId=0 triggerMethod=0 volatility volatilityType deltaNeutralOrderType deltaNeutralAuxPrice"
    " continuousUpdate=0 referencePriceType trailStopPrice trailingPercent basisPoints basisPointsType"
    " comboLegsDescrip comboLegs=0 orderComboLegs=0 comboParams=0 scaleInitLevelSize scaleSubsLevelSize"
    " scalePriceIncrement hedgeType optOutSmartRouting=0 clearingAccount clearingIntent=IB notHeld=0"
    " deltaNeutral=0 algoStrategy solicited=0 whatIf=0 status initMarginBefore maintMarginBefore equityBefore"
    " initMarginChange maintMarginChange equityChange initMarginAfter maintMarginAfter equityAfter commission"
    " minCommission maxCommission commissionCurrency warningText randomizeSize=0 randomizePrice=0 conditions=0"
    " adjustedOrderType=None triggerPrice secondTrailStopPrice lmtPriceOffset adjustedStopPrice"
    " adjustedStopLimitPrice adjustedTrailingAmount adjustableTrailingUnit=0 tierName tierValue tierTitle"
    " cashQty=0 dontUseAutoPriceForHedge=0 isOmsContainer=0 discretionaryUpToLimitPrice=0 usePriceMgmtAlgo=0"
    " duration postToAts autoCancelParent=0 minTradeQty minCompeteSize competeAgainstBestOffset midOffsetAtWhole"
    " midOffsetAtHalf"
)
_DONE = laid_out(
    f"contract {_ORDER} permId {_AFTER_PERM_ID} faGroup faMethod faPercentage faProfile {_MIDDLE} startingPrice"
    " stockRefPrice delta stockRangeLower stockRangeUpper displaySize sweepToFill=0 allOrNone=0 minQty ocaType=3"
    " triggerMethod=0 volatility volatilityType deltaNeutralOrderType deltaNeutralAuxPrice continuousUpdate=0"
    " referencePriceType trailStopPrice trailingPercent comboLegsDescrip comboLegs=0 orderComboLegs=0"
    " comboParams=0 scaleInitLevelSize scaleSubsLevelSize scalePriceIncrement hedgeType clearingAccount"
    " clearingIntent=IB notHeld=0 deltaNeutral=0 algoStrategy solicited=0 status randomizeSize=0 randomizePrice=0"
    " conditions=0 secondTrailStopPrice lmtPriceOffset cashQty=0 dontUseAutoPriceForHedge=0 isOmsContainer=0"
    " autoCancelDate filledQuantity refFuturesConId autoCancelParent=0 shareholder imbalanceOnly=0"
    " routeMarketableToBbo=0 parentPermId completedTime completedStatus minTradeQty minCompeteSize"
    " competeAgainstBestOffset midOffsetAtWhole midOffsetAtHalf"
)


def error(request: object, code: int, text: str) -> TwsMessage:
    """Return an error message; a `request` of -1 means that the error doesn't belong to a request."""
    return TwsMessage(ERROR, {"version": 2, "id": request, "code": code, "text": text, "advanced": ""})


def word(order: Order) -> str:
    """Return an order's status in TWS's words."""
    waits = order.stop is not None and not order.elected
    return _WORDS.get(order.status) or ("PreSubmitted" if waits else "Submitted")


def reason(order: Order) -> str:
    """Return why an order has ended."""
    if order.status == "rejected":
        return "Order rejected - reason:the venue doesn't take it"
    return f"Order Canceled - reason:{order.why}"


def time_of(us: int) -> str:
    """Format a moment for messages."""
    return f"{to_datetime(us).astimezone(CHICAGO):%Y%m%d %H:%M:%S} {ZONE}"


def average(grid: Grid, order: Order) -> Decimal:
    """Return the average price of an order's fills; 0 if it has no fills."""
    return order.filled_usd / order.filled_qty if order.filled_qty else Decimal(0)


def status(grid: Grid, order: Order, last: Decimal | None = None) -> TwsMessage:
    client, number = ids_of(order)
    return TwsMessage(
        STATUS,
        {
            "orderId": number,
            "status": word(order),
            "filled": order.filled_qty,
            "remaining": order.remaining if order.is_open else (order.request.qty or 0) - order.filled_qty,
            "avgFillPrice": average(grid, order),
            "permId": perm_id(order),
            "parentId": ids_of(order.parent)[1] if order.parent is not None else 0,
            "lastFillPrice": last or 0,
            "clientId": client,
            "whyHeld": "",
            "mktCapPrice": 0,
        },
    )


def bound(order: Order) -> TwsMessage:
    """Return the message that assigns an order to a client although no client placed it."""
    client, number = ids_of(order)
    return TwsMessage(BOUND, {"permId": perm_id(order), "clientId": client, "orderId": number})


class OrderMessages:
    """Builds the messages about an exchange's orders and executions."""

    def __init__(self, contracts: Contracts, grids: Mapping[str, Grid]) -> None:
        self._contracts = contracts
        self._grids = grids

    def _terms(self, order: Order) -> Fields:
        grid, request = self._grids[order.symbol], order.request
        return {
            "contract": self._contracts.contract_fields(order.symbol),
            "action": "BUY" if order.side > 0 else "SELL",
            "totalQuantity": order.qty,
            "orderType": _TYPES.get(request.type, "MKT"),
            "lmtPrice": 0 if request.limit is None else grid.usd(request.limit),
            "auxPrice": 0 if order.stop is None else grid.usd(order.stop),
            "tif": request.time_in_force.upper(),
            "ocaGroup": request.oca_group,
            "ocaType": request.oca_type or _OPEN["ocaType"],
            "account": order.account,
            "orderRef": request.client_order_id or "",
            "permId": perm_id(order),
            "status": word(order),
        }

    def open_order(self, order: Order) -> TwsMessage:
        client, number = ids_of(order)
        parent = ids_of(order.parent)[1] if order.parent is not None else 0
        own = {"orderId": number, "clientId": client, "parentId": parent}
        return TwsMessage(OPEN_ORDER, {**_OPEN, **self._terms(order), **own})

    def preview(self, client: int, account: Account, order: Mapping[str, Any], body: Fields) -> TwsMessage:
        """Return the openOrder message that answers a what-if order; `body` has its further fields.

        The order isn't placed.
        """
        named = {
            "orderId": order["id"],
            "clientId": client,
            "contract": self._contracts.contract_fields(order["symbol"]),
        }
        sizes = {"action": order["action"], "totalQuantity": order["qty"], "orderType": order["type"]}
        prices = {"lmtPrice": order["limit"] or 0, "auxPrice": order["stop"] or 0, "tif": order["tif"] or "DAY"}
        own = {"account": account.number, "orderRef": order["ref"], "permId": 0, "status": "PreSubmitted", "whatIf": 1}
        return TwsMessage(OPEN_ORDER, {**_OPEN, **named, **sizes, **prices, **own, **body})

    def completed_order(self, order: Order) -> TwsMessage:
        ended_us = order.filled_us or order.canceled_us or order.expired_us or order.failed_us or order.updated_us
        why = f"Rejected by System:{reason(order)}" if order.status == "rejected" else reason(order)
        size = f"Filled Size: {order.filled_qty}" if order.status == "filled" else why
        own = {
            "totalQuantity": 0,
            "filledQuantity": order.filled_qty,
            "completedTime": time_of(ended_us),
            "completedStatus": size,
            "parentPermId": perm_id(order.parent) if order.parent is not None else UNSET_LONG,
        }
        return TwsMessage(COMPLETED, {**_DONE, **self._terms(order), **own})

    def execution(self, request: object, fill: Execution, number: int) -> TwsMessage:
        """Return the message about an execution or its correction; `number` is the revision."""
        order, grid = fill.order, self._grids[fill.order.symbol]
        client, order_id = ids_of(order)
        settled = fill.fill.settled
        forced = settled is not None and settled.role in FORCED
        return TwsMessage(
            EXECUTION,
            {
                "reqId": request,
                "orderId": 0 if forced else order_id,
                "contract": self._contracts.contract_fields(order.symbol),
                "execId": exec_id(fill.fill, number),
                "time": time_of(fill.fill.at_us),
                "account": order.account,
                "exchange": self._contracts.root(order.symbol).exchange,
                "side": "BOT" if order.side > 0 else "SLD",
                "shares": fill.qty,
                "price": grid.usd(fill.price),
                "permId": perm_id(order),
                "clientId": client,
                "liquidation": int(forced),
                "cumQty": fill.fill.cum_qty,
                "avgPrice": average(grid, order),
                "orderRef": order.request.client_order_id or "",
                "evRule": "",
                "evMultiplier": "",
                "modelCode": "",
                "lastLiquidity": 1 if settled is not None and settled.role == "maker" else 2,
                "pendingPriceRevision": 0,
            },
        )

    def commission(self, fee: Activity, fill: Fill, number: int) -> TwsMessage:
        """Return a fill's commission, which is reported later than the fill."""
        realized = UNSET
        if fill.settled is not None and fill.before[0] * fill.order.side < 0:
            realized = str(fill.settled.realized + fee.net_amount)
        own: dict[str, Any] = {"version": 1, "execId": exec_id(fill, number), "commission": -fee.net_amount}
        return TwsMessage(
            COMMISSION, {**own, "currency": "USD", "realized": realized, "yield": UNSET, "redemption": ""}
        )


UNSET_LONG = "9223372036854775807"
"""The value of an absent id."""


def exec_id(settled: Fill, number: int) -> str:
    """Return the id of an execution; its last part is incremented by each correction."""
    digits = "".join(letter for letter in settled.execution_id if letter != "-")
    return f"{digits[:8]}.{digits[8:16]}.01.{number:02}"


def number_of(settled: Execution) -> int:
    """Return the revision number of an execution."""
    return 1 if isinstance(settled, Fill) else 1 + number_of(settled.previous)


def executions_of(account: Account) -> dict[str, Execution]:
    """Return an account's executions in their current state, by the id of the fill, oldest first."""
    return {activity.fill.id: activity for activity in account.activities if isinstance(activity, Fill | Amendment)}
