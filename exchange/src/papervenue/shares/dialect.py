"""Speak Alpaca's dialect: its rules for orders, paid accounts, auctions, extended hours and New York's day."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta
from decimal import Decimal
from types import MappingProxyType

from papervenue.engine import life
from papervenue.engine.account import Account
from papervenue.engine.dialect import Mark, Marks, Worth
from papervenue.engine.floor import Deed, Floor
from papervenue.engine.matching import FillModel, stop_price
from papervenue.engine.orders import Order, OrderRequest
from papervenue.market.bars import Bar, Market
from papervenue.market.sessions import Session
from papervenue.market.spec import FillSpec
from papervenue.shares import actions, charges, expiry
from papervenue.shares.admission import admit
from papervenue.shares.options import shares_of, value
from papervenue.shares.replacing import replaced_request
from papervenue.times import MINUTE, at_new_york, new_york

_LONGEST_GTC = timedelta(days=90)
_AGED_AT = (16, 15)
"""The New York time at which gtc orders that are too old are canceled."""
_CLOSES = frozenset({"close"})
_WITHOUT_ORDERS = _CLOSES | {"pre", "post"}
_ALL = _WITHOUT_ORDERS | {"open", "opened", "aged"}
_DEEDS: Mapping[str, Deed] = MappingProxyType(
    {"end_option": expiry.end, "pay": actions.pay, "take_effect": actions.take_effect}
)


def aged_us(day: str) -> int:
    """Return when gtc orders that became too old on an ISO date are canceled."""
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
    """The dialect of a venue of shares; stateless."""

    auctions = frozenset({"opg", "cls"})
    watches = legs_reduce = False
    deeds = _DEEDS
    marks: Marks = staticmethod(_marks)

    def begin(self, floor: Floor) -> None:
        """Do nothing: corporate actions are scheduled as they are announced."""

    def fill_model(self, spec: FillSpec, market: Market) -> FillModel:
        """Return the model for whole shares."""
        return FillModel(spec)

    def kinds(self, floor: Floor, *, waiting: bool) -> frozenset[str]:
        """Return the kinds of marks: while no order is open, none can wake or expire, and some bring interest alone."""
        if waiting:
            return _ALL
        return _WITHOUT_ORDERS if floor.costs.interest else _CLOSES

    def reach(self, floor: Floor, mark: Mark) -> None:
        """Wake and end orders; post and accrue interest before and after a day's trading."""
        if mark.kind in ("pre", "open"):
            life.wake(floor)
        elif mark.kind == "aged":
            life.end_due(floor, floor.market.calendar.next_open(floor.now_us), "gtc")
        else:
            life.end_due(floor, floor.now_us)
        if mark.kind == "pre":
            charges.post(floor)
        elif mark.kind == "post":
            charges.accrue(floor)
        if mark.kind == "close":
            for account in floor.accounts.values():
                account.close_day(floor.balances(account))

    price = staticmethod(value)
    multiplier = staticmethod(shares_of)
    admit = staticmethod(admit)
    replaced_request = staticmethod(replaced_request)
    filled = staticmethod(charges.charge_fill)

    def worth(self, floor: Floor, account: Account) -> Worth:
        """Return cash, equity and buying power under Regulation T."""
        now = floor.balances(account)
        return Worth(now.cash, now.equity, floor.buying_power(account))

    def expires_us(self, floor: Floor, request: OrderRequest) -> int:
        """Return the end of an order: 90 days for gtc, a minute after the open for opg, or the day's last moment."""
        session = floor.market.calendar.trading(floor.now_us)
        if request.time_in_force == "gtc":
            return aged_us((new_york(floor.now_us).date() + _LONGEST_GTC).isoformat())
        if request.time_in_force == "opg" and floor.model.auctions:
            return session.open_us + MINUTE
        return _in_progress(floor, session).post_us if request.extended_hours else session.close_us

    def bar_price(self, floor: Floor, order: Order, bar: Bar, session: Session) -> int | None:
        """Return the price at which a bar fills an order in the session, outside of it, or in an auction."""
        request, model = order.request, floor.model
        if not session.open_us <= bar.start_us < session.close_us:
            return model.traded(order, bar) if request.extended_hours else None
        if request.time_in_force == "opg" and model.auctions:
            # It arrived at the open; whatever the first minute leaves of it is canceled, so it sees no other bar.
            return model.quoted(order, bar.open)
        if request.time_in_force == "cls" and model.auctions:
            return model.quoted(order, bar.close) if bar.end_us == session.close_us else None
        return model.traded(order, bar) if order.stop is None else stop_price(order, bar, model)

    def settle(self, floor: Floor, account: Account, order: Order, qty: Decimal, price: int) -> None:
        """Exchange shares for cash."""
        account.apply(order.symbol, qty * order.side, price)

    def accepted(self, floor: Floor, order: Order) -> None:
        """Do nothing: Alpaca has no reduce-only orders."""

    def watched(self, floor: Floor) -> frozenset[str]:
        """Return none: margins are looked at when orders are sent."""
        return frozenset()

    def review(self, floor: Floor) -> None:
        """Do nothing."""


def _in_progress(floor: Floor, session: Session) -> Session:
    """Return the previous session while its extended hours last: after the close the calendar names the next."""
    before = floor.market.calendar.before(floor.now_us)
    return before if before.close_us <= floor.now_us < before.post_us else session


ALPACA = Alpaca()
