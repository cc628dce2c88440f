"""Alpaca's dialect: its order rules, cash and margin accounts, auctions, extended hours, and New York's trading day."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta
from decimal import Decimal
from types import MappingProxyType
from typing import Any

from papervenue.engine import order_lifecycle
from papervenue.engine.account import Account
from papervenue.engine.engine_state import Deed, EngineState
from papervenue.engine.matching import FillModel, stop_price
from papervenue.engine.orders import TERMINAL, Order, OrderRequest, Replacement
from papervenue.engine.venue_rules import AccountFigures, Mark, Marks
from papervenue.market.bars import Bar, Market
from papervenue.market.sessions import Session
from papervenue.market.spec import FillSpec
from papervenue.refusal import Refusal, invalid, unprocessable
from papervenue.shares import actions, charges, options
from papervenue.shares.admission import admit
from papervenue.shares.options import shares_of, value
from papervenue.shares.order_parsing import check_terms, price_units
from papervenue.times import MINUTE, at_new_york, new_york

_CHANGEABLE = {
    "market": ("qty", "time_in_force"),
    "limit": ("qty", "time_in_force", "limit"),
    "stop": ("qty", "time_in_force", "stop"),
    "stop_limit": ("qty", "time_in_force", "limit", "stop"),
    "trailing_stop": ("qty", "time_in_force", "trail"),
}
_NAMES = {"limit": "limit_price", "stop": "stop_price"}
_NOT_YET = ("accepted", "pending_new", "pending_cancel", "pending_replace", "suspended", "stopped")


def replaced_request(order: Order, wanted: Replacement, on_its_way: bool) -> OrderRequest:
    """Return the request of the replacing order; raise a Refusal if the order can't be replaced in this way.

    `on_its_way` is True if the order is itself a replacement in transit. The account is checked by `admission.admit`,
    not here.
    """
    _check_replaceable(order, on_its_way)
    fields = [name for name in ("qty", "limit", "stop", "trail", "time_in_force") if getattr(wanted, name) is not None]
    _check_fields(order, fields)
    changed = order.request._replace(client_order_id=wanted.client_order_id, **_changes(order, wanted, fields))
    if changed == order.request._replace(client_order_id=wanted.client_order_id):
        raise unprocessable("order parameters are not changed")
    _check_changed(order, changed)
    return changed


def _check_replaceable(order: Order, on_its_way: bool) -> None:
    if order.status == "replaced":
        raise unprocessable("order already replaced")
    if order.status in TERMINAL:
        raise unprocessable("unable to replace order, order is not open")
    status = order.status if order.replacement is None else "pending_replace"
    if on_its_way and status == "held":
        # A leg held for its entry stays held while its replacement is in transit, and so does the replacement.
        status = "pending_new"
    if status in _NOT_YET:
        raise unprocessable(f"cannot replace order in {status} status")
    if order.request.notional is not None:
        raise unprocessable("notional orders cannot be replaced")


def _check_fields(order: Order, fields: list[str]) -> None:
    for name in fields:
        if name not in _CHANGEABLE[order.request.type]:
            raise _misplaced_field(order.request.type, _NAMES.get(name, name))
        if order.request.order_class != "simple" and name not in _NAMES:
            raise unprocessable(
                f"only limit_price and stop_price of {order.request.order_class} orders can be replaced"
            )


def _misplaced_field(order_type: str, field: str) -> Refusal:
    if order_type == "market" and field != "trail":
        return invalid("market orders require no stop or limit price")
    return invalid(f"{order_type.replace('_', ' ')} orders must not have {field}")


def _changes(order: Order, wanted: Replacement, fields: list[str]) -> dict[str, Any]:
    changes = {name: getattr(wanted, name) for name in fields if name != "trail"}
    if wanted.trail is None:
        return changes
    if order.request.trail_price is None:
        return changes | {"trail_percent": wanted.trail}
    return changes | {"trail_price": price_units("trail", wanted.trail)}


def _check_changed(order: Order, changed: OrderRequest) -> None:
    qty = changed.qty or Decimal(0)
    if qty != order.request.qty:
        if order.request.qty is not None and order.request.qty != order.request.qty.to_integral_value():
            raise unprocessable("qty of fractional orders cannot be replaced")
        if qty <= order.filled_qty:
            raise unprocessable("qty must be > filled_qty")
    check_terms(changed)


_LONGEST_GTC = timedelta(days=90)
_AGED_AT = (16, 15)
"""The New York time at which gtc orders that are too old are canceled."""
_CLOSES = frozenset({"close"})
_WITHOUT_ORDERS = _CLOSES | {"pre", "post"}
_ALL = _WITHOUT_ORDERS | {"open", "opened", "aged"}
_DEEDS: Mapping[str, Deed] = MappingProxyType(
    {"end_option": options.end_contract, "pay": actions.pay_dividend, "take_effect": actions.take_effect}
)


def aged_us(day: str) -> int:
    """Return when, on an ISO date, the venue cancels gtc orders that are too old, in engine time."""
    return at_new_york(day, *_AGED_AT)


def _marks(session: Session) -> list[Mark]:
    marks = [
        Mark(session.pre_us, "pre"),
        Mark(session.open_us, "open"),
        Mark(session.open_us + MINUTE, "opened"),
        Mark(session.close_us, "close"),
        Mark(aged_us(session.date), "aged"),
        Mark(session.post_us, "post"),
    ]
    return sorted(marks)


class Alpaca:
    """The dialect of a venue for shares; it has no state."""

    auctions = frozenset({"opg", "cls"})
    watches = legs_reduce = False
    deeds = _DEEDS
    marks: Marks = staticmethod(_marks)

    def begin(self, floor: EngineState) -> None:
        """Do nothing, because corporate actions are scheduled when they are announced."""

    def fill_model(self, spec: FillSpec, market: Market) -> FillModel:
        """Return the model for whole shares."""
        return FillModel(spec)

    def kinds(self, floor: EngineState, *, waiting: bool) -> frozenset[str]:
        """Return the kinds of marks at which something may happen.

        Without open orders, these are closes and, if there is interest, the marks at which it is posted or accrued.
        """
        if waiting:
            return _ALL
        return _WITHOUT_ORDERS if floor.costs.interest else _CLOSES

    def reach(self, floor: EngineState, mark: Mark) -> None:
        """Activate and expire orders; post interest before a trading day, and accrue it after."""
        if mark.kind in ("pre", "open"):
            order_lifecycle.send_due_orders(floor)
        elif mark.kind == "aged":
            order_lifecycle.end_due(floor, floor.market.calendar.next_open(floor.now_us), "gtc")
        else:
            order_lifecycle.end_due(floor, floor.now_us)
        if mark.kind == "pre":
            charges.post_interest(floor)
        elif mark.kind == "post":
            charges.accrue(floor)
        if mark.kind == "close":
            for account in floor.accounts.values():
                account.close_day(floor.balances(account))

    price = staticmethod(value)
    multiplier = staticmethod(shares_of)
    admit = staticmethod(admit)
    replaced_request = staticmethod(replaced_request)
    after_fill = staticmethod(charges.charge_fill)

    def worth(self, floor: EngineState, account: Account) -> AccountFigures:
        """Return cash, equity and buying power under Regulation T."""
        now = floor.balances(account)
        return AccountFigures(now.cash, now.equity, floor.buying_power(account))

    def expires_us(self, floor: EngineState, request: OrderRequest) -> int:
        """Return the end of an order: 90 days for gtc, a minute after the open for opg, or the day's last moment."""
        session = floor.market.calendar.trading(floor.now_us)
        if request.time_in_force == "gtc":
            return aged_us((new_york(floor.now_us).date() + _LONGEST_GTC).isoformat())
        if request.time_in_force == "opg" and floor.model.auctions:
            return session.open_us + MINUTE
        return _in_progress(floor, session).post_us if request.extended_hours else session.close_us

    def bar_price(self, floor: EngineState, order: Order, bar: Bar, session: Session) -> int | None:
        """Return the price at which a bar fills an order.

        The bar may be in the regular session, in extended hours, or in an auction.
        """
        request, model = order.request, floor.model
        if not session.open_us <= bar.start_us < session.close_us:
            return model.bar_fill_price(order, bar) if request.extended_hours else None
        if request.time_in_force == "opg" and model.auctions:
            # It arrived at the open; what the first minute doesn't fill is canceled, so it sees no other bar.
            return model.quote_fill_price(order, bar.open)
        if request.time_in_force == "cls" and model.auctions:
            return model.quote_fill_price(order, bar.close) if bar.end_us == session.close_us else None
        return model.bar_fill_price(order, bar) if order.stop is None else stop_price(order, bar, model)

    def settle(self, floor: EngineState, account: Account, order: Order, qty: Decimal, price: int) -> None:
        """Exchange shares for cash."""
        account.apply(order.symbol, qty * order.side, price)

    def after_acceptance(self, floor: EngineState, order: Order) -> None:
        """Do nothing, because Alpaca has no reduce-only orders."""

    def watched_symbols(self, floor: EngineState) -> frozenset[str]:
        """Return no symbols: margins are checked when orders are sent."""
        return frozenset()

    def review(self, floor: EngineState) -> None:
        """Do nothing, because margins are checked when orders are sent."""


def _in_progress(floor: EngineState, session: Session) -> Session:
    """Return the previous session while its extended hours last: after the close the calendar names the next."""
    before = floor.market.calendar.before(floor.now_us)
    return before if before.close_us <= floor.now_us < before.post_us else session


ALPACA = Alpaca()
