"""Parse the message that places an order, and hold back orders that the client doesn't want transmitted yet."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from decimal import Decimal
from typing import Any

from papervenue.engine.engine import Engine
from papervenue.faces.tws.account_requests import CENT
from papervenue.faces.tws.contracts import CONTINUOUS, CONTRACT_FIELDS, Contracts, Fields, contract_query
from papervenue.faces.tws.order_messages import UNSET
from papervenue.faces.tws.orders import LIVES, SIDES, TYPES
from papervenue.jsontext import to_decimal
from papervenue.margined.accounts import equity_and_margins, initial_margin, maintenance_margin

HEAD = (
    *("secIdType", "secId", "action", "totalQuantity", "orderType", "lmtPrice", "auxPrice", "tif", "ocaGroup"),
    *("account", "openClose", "origin", "orderRef", "transmit", "parentId", "blockOrder", "sweepToFill"),
    *("displaySize", "triggerMethod", "outsideRth", "hidden", "sharesAllocation", "discretionaryAmt"),
    *("goodAfterTime", "goodTillDate", "faGroup", "faMethod", "faPercentage", "modelCode", "shortSaleSlot"),
    *("designatedLocation", "exemptCode", "ocaType", "rule80A", "settlingFirm", "allOrNone", "minQty"),
    *("percentOffset", "eTradeOnly", "firmQuoteOnly", "nbboPriceCap", "auctionStrategy", "startingPrice"),
    *("stockRefPrice", "delta", "stockRangeLower", "stockRangeUpper", "overridePercentageConstraints", "volatility"),
    *("volatilityType", "deltaNeutralOrderType", "deltaNeutralAuxPrice", "continuousUpdate", "referencePriceType"),
    *("trailStopPrice", "trailingPercent", "scaleInitLevelSize", "scaleSubsLevelSize", "scalePriceIncrement"),
    *("scaleTable", "activeStartTime", "activeStopTime", "hedgeType", "optOutSmartRouting", "clearingAccount"),
    *("clearingIntent", "notHeld", "deltaNeutral", "algoStrategy", "algoId", "whatIf"),
)
"""The fields after the contract. Some of them, if set, would be followed by further fields; an order that sets one of
those is refused.
"""
_LEAST = 2 + CONTRACT_FIELDS + len(HEAD)
PROFILE_AT = 2 + CONTRACT_FIELDS + HEAD.index("modelCode")
"""Where clients of older versions send the profile of an order's allocation, which isn't in `HEAD`."""
_BRING_OTHERS = ("deltaNeutralOrderType", "hedgeType", "algoStrategy", "goodAfterTime", "goodTillDate", "faGroup")
_LONGEST_REF = 128

Placed = dict[str, Any]


class OrderError(ValueError):
    """Raised for an order that TWS refuses; it has the error code."""

    def __init__(self, code: int, message: str) -> None:
        super().__init__(message)
        self.code = code


def read_order(fields: list[str], contracts: Contracts) -> Placed:
    """Parse the message of an order; raise OrderError if TWS would refuse the order."""
    if len(fields) < _LEAST:
        raise OrderError(320, "Error reading request: the message is too short")
    named = contract_query(fields[2 : 2 + CONTRACT_FIELDS])
    if named["secType"] == CONTINUOUS:
        raise OrderError(321, "Error validating request: a continuous future cannot be traded")
    months = contracts.find(named, expired=False)
    if len(months) != 1:
        raise OrderError(200, "No security definition has been found for the request" if not months else _AMBIGUOUS)
    order_fields = dict(zip(HEAD, fields[2 + CONTRACT_FIELDS :], strict=False))
    _refuse_others(order_fields)
    kind, prices = order_fields["orderType"], {name: _price(order_fields, name) for name in ("lmtPrice", "auxPrice")}
    return {
        "id": int(fields[1]),
        "symbol": months[0],
        "action": order_fields["action"],
        "qty": order_fields["totalQuantity"],
        "type": kind,
        "limit": prices["lmtPrice"] if kind in ("LMT", "STP LMT") else "",
        "stop": prices["auxPrice"] if kind in ("STP", "STP LMT") else "",
        "tif": order_fields["tif"],
        "ref": order_fields["orderRef"],
        "oca": order_fields["ocaGroup"],
        "oca_type": int(order_fields["ocaType"] or 0),
        "parent": int(order_fields["parentId"] or 0),
        "transmit": order_fields["transmit"] == "1",
        "account": order_fields["account"],
    }


def only_asks(fields: list[str]) -> bool:
    """Return True for a what-if order, which only asks how the order would affect margin."""
    return fields[_LEAST - 1 : _LEAST] == ["1"]


_AMBIGUOUS = "The contract description specified is ambiguous; you must specify the local symbol or the contract id"


def _refuse_others(order_fields: Mapping[str, str]) -> None:
    others = [name for name in _BRING_OTHERS if order_fields[name]]
    if others or order_fields["deltaNeutral"] == "1":
        raise OrderError(387, f"Unsupported order type for this exchange and security type: {', '.join(others)}")
    if (
        order_fields["orderType"] not in TYPES
        or order_fields["tif"] not in LIVES
        or order_fields["action"] not in SIDES
    ):
        raise OrderError(387, "Unsupported order type for this exchange and security type")
    quantity = to_decimal(order_fields["totalQuantity"])
    if quantity is None or quantity <= 0 or quantity % 1:
        raise OrderError(434, "The order size cannot be zero, and contracts are whole")
    if len(order_fields["orderRef"]) > _LONGEST_REF:
        raise OrderError(321, "Error validating request: the order reference is too long")


def _price(order_fields: Mapping[str, str], name: str) -> str:
    text = order_fields[name]
    price = None if text in ("", UNSET) else to_decimal(text)
    return "" if price is None else str(price)


class UntransmittedOrders:
    """A client's untransmitted orders, by id; they exist only in the memory of the client's gateway."""

    def __init__(self) -> None:
        self._orders: dict[int, Placed] = {}

    def __contains__(self, number: int) -> bool:
        return number in self._orders

    def keep(self, order: Placed) -> None:
        self._orders[order["id"]] = order

    def forget(self, number: int) -> bool:
        """Remove an order and the orders attached to it; return False if it isn't known."""
        taken = self._orders.pop(number, None) is not None
        for child in [order for order in self._orders.values() if taken and order["parent"] == number]:
            del self._orders[child["id"]]
        return taken

    def taken_with(self, order: Placed) -> list[Placed]:
        """Remove the other orders of this order's bracket, and return all orders of the bracket, the entry first."""
        first = order["parent"] or order["id"]
        others = [
            leg for leg in self._orders.values() if leg["id"] != order["id"] and first in (leg["id"], leg["parent"])
        ]
        for member in (*others, order):
            self._orders.pop(member["id"], None)
        return sorted([*others, order], key=lambda order: order["parent"] != 0)

    def all(self) -> list[Placed]:
        return [*self._orders.values()]


_WHENS = ("Before", "Change", "After")
_UNKNOWN: Fields = {
    **{f"{name}{when}": UNSET for name in ("initMargin", "maintMargin", "equity") for when in _WHENS},
    **dict.fromkeys(("commission", "minCommission", "maxCommission"), UNSET),
}
_CLOSED = "Warning: your order will not be placed at the exchange until it opens"


def impacts(engine: Engine, order: Placed) -> Iterator[Fields]:
    """Yield how an order affects margin; while its market is closed, a warning without figures comes first.

    If the contract has never had a price, there are no figures.
    """
    warned = {} if engine.market.calendars[order["symbol"]].is_open(engine.now_us) else {"warningText": _CLOSED}
    if warned:
        yield {**_UNKNOWN, **warned}
    is_priced = engine.last_price(order["symbol"]) is not None
    yield {**_UNKNOWN, **warned, **(_change(engine, order) if is_priced else {})}


def _change(engine: Engine, order: Placed) -> Fields:
    """Return margins and equity before and after the order fills at the mark, and the fill's cost."""
    account, symbol = engine.main, order["symbol"]
    now, more = equity_and_margins(engine, account), Decimal(order["qty"]) * SIDES[order["action"]]
    position_qty = account.qty(symbol)
    fee = (engine.market.grids[symbol].instrument.contract_fee or Decimal(0)) * abs(more)
    figures = {
        "initMargin": (
            now.ordered,
            initial_margin(engine, account, symbol, filled=more) - initial_margin(engine, account, symbol),
        ),
        "maintMargin": (
            now.maintenance,
            maintenance_margin(engine, symbol, position_qty + more) - maintenance_margin(engine, symbol, position_qty),
        ),
        "equity": (now.equity, -fee),
    }
    body: Fields = {"commission": fee, "commissionCurrency": "USD"}
    for name, (before, change) in figures.items():
        amounts = before, change, before + change
        body |= {f"{name}{when}": amount.quantize(CENT) for when, amount in zip(_WHENS, amounts, strict=True)}
    return body
