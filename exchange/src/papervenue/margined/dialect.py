"""The `plain` dialect: margin accounts, net positions, reduce-only orders, no replacements and no groups."""

from __future__ import annotations

from collections.abc import Mapping
from decimal import ROUND_HALF_EVEN, Decimal
from types import MappingProxyType

from papervenue.engine import order_lifecycle
from papervenue.engine.account import Account, Activity, Balances
from papervenue.engine.engine_state import Deed, EngineState, enter
from papervenue.engine.matching import FillModel, LotModel, stop_price
from papervenue.engine.orders import (
    FORCED,
    LAST,
    LIQUIDATION,
    MAKER,
    MARK,
    TAKER,
    Fill,
    FillEffect,
    Order,
    OrderRequest,
    Policy,
    Replacement,
)
from papervenue.engine.venue_rules import AccountFigures, Admission, Mark, Marks
from papervenue.margined import accounts, admission
from papervenue.margined.accounts import equity_and_margins, net_position, trade
from papervenue.market.bars import Bar, Market, without_wicks
from papervenue.market.sessions import Session
from papervenue.market.spec import FillSpec
from papervenue.market.venue import CASH_UNIT, Rules
from papervenue.state import EDITION
from papervenue.times import MINUTE

FEE = "FEE"
NOTHING_TO_REDUCE = "would_not_reduce_position"
"""Why a reduce-only order is canceled."""
NEVER_US = 2**62
"""The end of an order that lasts until it is canceled."""
CORRECTED = "correct"
"""The fate of an order whose first fill is corrected by a tick a minute later."""
ONE_FILLED, CANCEL_OTHERS = "another_of_the_group_filled", 1
"""Why an order of a group is canceled, and the type of group in which any fill cancels the others."""
_CLOSES = frozenset({"close"})
_ALL = frozenset({"open", "close", "ends"})
_ZERO = Decimal(0)


def _marks(session: Session) -> list[Mark]:
    return [Mark(session.open_us, "open"), Mark(session.close_us, "close")]


class PlainDialect:
    """The dialect of a plain venue, with the rules in one of their editions."""

    auctions: frozenset[str] = frozenset()
    watches = legs_reduce = True
    marks: Marks = staticmethod(_marks)

    def __init__(self, rules: Rules, edition: int = EDITION) -> None:
        self._rules, self._edition = rules, edition
        self.every_type = edition > 1
        self.deeds: Mapping[str, Deed] = MappingProxyType(
            {
                "book_fee": _book_fee,
                CORRECTED: accounts.correct_by_a_tick,
                "book_funding": accounts.book_all,
                "end_trading": admission.end_trading,
                admission.CANCEL_EVERYTHING: admission.cancel_everything,
                "fit_later": _fit_later,
            }
        )

    def begin(self, floor: EngineState) -> None:
        """Schedule the funding of the first hour, and the time at which each instrument ends."""
        accounts.note_next(floor)
        accounts.begin_recorded_rates(floor)
        for symbol in floor.market.symbols:
            last_us = floor.market.grids[symbol].last_us
            if last_us is not None:
                floor.agenda.note(last_us, "end_trading", symbol)

    def fill_model(self, spec: FillSpec, market: Market) -> FillModel:
        """Return the fill model that uses each instrument's own lots and ticks."""
        return LotModel(spec, market.grids)

    def kinds(self, floor: EngineState, *, waiting: bool) -> frozenset[str]:
        """Return all kinds of marks while an order is open, because it may activate or end; otherwise only closes."""
        return _ALL if waiting else _CLOSES

    def reach(self, floor: EngineState, mark: Mark) -> None:
        """Activate waiting orders at an open; at a close, expire day orders and record each account's value."""
        if mark.kind == "open":
            order_lifecycle.send_due_orders(floor)
            return
        order_lifecycle.end_due(floor, floor.now_us)
        if mark.kind == "close":
            for account in floor.accounts.values():
                now = equity_and_margins(floor, account)
                account.close_day(Balances(now.cash, now.unrealized, _ZERO))

    def price(self, market: Market, symbol: str, now_us: int) -> int | None:
        """Return the last price."""
        return market.price(symbol, now_us)

    def multiplier(self, symbol: str) -> int:
        """Raise an error, because positions here are on margin, so none is paid in full."""
        raise AssertionError(f"{symbol} is margined")

    def worth(self, floor: EngineState, account: Account) -> AccountFigures:
        """Return cash, equity at mark prices, and the available margin."""
        now = equity_and_margins(floor, account)
        return AccountFigures(now.cash, now.equity, now.available)

    def admit(
        self, floor: EngineState, account: Account, request: OrderRequest, replaced: Order | None, policy: Policy
    ) -> Admission:
        """Check the venue's rules."""
        if request.type in admission.LATER_TYPES and not self.every_type:
            raise admission.unsupported_type()
        return admission.admit(self._rules, floor, account, request, replaced, by_mark=self._edition > 2)

    def replaced_request(self, order: Order, wanted: Replacement, on_its_way: bool) -> OrderRequest:
        """Return an order's request after a change in place; raise a Refusal if the venue doesn't allow the change."""
        if not self._rules.edits:
            raise admission.no_replacement()
        old_request = order.request
        pairs = (wanted.limit, old_request.limit), (wanted.stop, old_request.stop)
        limit, stop = (old if new is None else new for new, old in pairs)
        return old_request._replace(qty=wanted.qty or old_request.qty, limit=limit, stop=stop)

    def expires_us(self, floor: EngineState, request: OrderRequest) -> int:
        """Return the session's close for a day order, and otherwise `NEVER_US`."""
        if request.time_in_force != "day":
            return NEVER_US
        return floor.market.calendars[request.symbol].trading(floor.now_us).close_us

    def bar_price(self, floor: EngineState, order: Order, bar: Bar, session: Session) -> int | None:
        """Return the price at which a bar fills an order in the session."""
        if not session.open_us <= bar.start_us < session.close_us:
            return None
        if order.stop is None:
            price = floor.model.bar_fill_price(order, bar)
            # It rests at its limit, and the opposite side trades against it.
            return order.request.limit if price is not None and order.request.post_only else price
        signal, trigger = bar, LAST if order.elected else order.request.trigger
        if trigger != LAST:
            marked = trigger == MARK and self._edition > 2
            signal = floor.market.mark_bar(order.symbol, bar) if marked else without_wicks(bar)
        return stop_price(order, bar, floor.model, signal)

    def settle(self, floor: EngineState, account: Account, order: Order, qty: Decimal, price: int) -> FillEffect:
        """Book funding, change the net position, and move cash by the profit realized and by the fee if it is known."""
        symbol = order.symbol
        accounts.book(floor, account, symbol)
        position, before = net_position(account, symbol), account.qty(symbol)
        cost = _ZERO if position is None else position.cost
        role, grid = _role(floor, order, price), floor.market.grids[symbol]
        fee = self._fee(floor, symbol, qty, price, role)
        realized = trade(account, grid, symbol, qty * order.side, price, floor.now_us)
        if role == LIQUIDATION and symbol in account.leverages and position is not None:
            position.margin += realized - fee
        else:
            accounts.isolate(account, grid, before, cost)
        dated = not self._rules.fees_after_us
        account.cash += realized - (fee if dated else _ZERO)
        return FillEffect(role, realized, fee if dated else None, cost, qty * grid.usd(price))

    def _fee(self, floor: EngineState, symbol: str, qty: Decimal, price: int, role: str) -> Decimal:
        rules, notional = self._rules, floor.market.grids[symbol].notional(qty, price)
        rates = {MAKER: rules.maker_fee, TAKER: rules.taker_fee, LIQUIDATION: rules.liquidation_fee}
        traded = qty if role in (MAKER, TAKER) else _ZERO
        own = floor.market.grids[symbol].instrument.contract_fee
        return (notional * rates.get(role, _ZERO) + traded * (rules.contract_fee if own is None else own)).quantize(
            CASH_UNIT, ROUND_HALF_EVEN
        )

    def after_fill(self, floor: EngineState, fill: Fill, before: tuple[Decimal, Decimal]) -> None:
        """Schedule the report of the fee if it isn't known yet, and shrink reduce-only orders to the position."""
        order, settled, account = fill.order, fill.settled, floor.accounts[fill.order.account]
        if settled is not None and settled.fee is None:
            fee = self._fee(floor, order.symbol, fill.qty, fill.price, settled.role)
            at_us = floor.now_us + self._rules.fees_after_us
            floor.agenda.note(at_us, "book_fee", account.number, fill.id, order.symbol, fee)
        if order.fate == CORRECTED:
            order.fate = None
            floor.agenda.note(floor.now_us + MINUTE, CORRECTED, account.number, fill.id)
        if order.request.oca_group:
            _end_others(floor, account, order, fill.qty)
        if order.tells_after_us:
            for other in _reducing(account, order.symbol):
                if other is not order and other.side == order.side:
                    other.unheard += fill.qty
                    floor.agenda.note(floor.now_us + order.tells_after_us, "fit_later", other, fill.qty)
        fit_reduce_only_orders(floor, account, order.symbol)

    def after_acceptance(self, floor: EngineState, order: Order) -> None:
        """Shrink a reduce-only order to its position."""
        fit_reduce_only_orders(floor, floor.accounts[order.account], order.symbol)

    def watched_symbols(self, floor: EngineState) -> frozenset[str]:
        """Return the symbols with positions, because margins are checked whenever their prices change."""
        return frozenset(symbol for account in floor.accounts.values() for symbol in account.positions)

    def review(self, floor: EngineState) -> None:
        """Compare accounts with their margins."""
        admission.review(floor, self._rules, few_steps=self._edition > 2)


def _role(floor: EngineState, order: Order, price: int) -> str:
    """Return whether an order took or made liquidity: a limit order that waited and fills at its limit made it."""
    request = order.request
    if request.type in FORCED:
        return request.type
    return MAKER if request.type == "limit" and price == request.limit and floor.now_us > order.live_us else TAKER


def _reducing(account: Account, symbol: str) -> list[Order]:
    orders = (order for order in account.open.values() if order.symbol == symbol and order.status != "held")
    return [order for order in orders if order.request.reduce_only]


def _end_others(floor: EngineState, account: Account, order: Order, qty: Decimal) -> None:
    """Cancel the other orders of a group, or reduce them by what one of them has filled."""
    group = order.request.oca_group
    for other in [other for other in account.open.values() if other is not order and other.request.oca_group == group]:
        if order.request.oca_type != CANCEL_OTHERS and other.remaining > qty:
            order_lifecycle.reduce(floor, other, other.filled_qty + other.remaining - qty)
        else:
            other.why = ONE_FILLED
            order_lifecycle.cancel(floor, other)


def fit_reduce_only_orders(floor: EngineState, account: Account, symbol: str) -> None:
    """Shrink reduce-only orders to what the position allows, and cancel those for which nothing is left."""
    for order in _reducing(account, symbol):
        allowed = admission.reducible_quantity(account, order)
        if not allowed:
            order.why = NOTHING_TO_REDUCE
            order_lifecycle.cancel(floor, order)
        elif order.remaining > allowed:
            order_lifecycle.reduce(floor, order, order.filled_qty + allowed)


def _fit_later(floor: EngineState, order: Order, qty: Decimal) -> None:
    """Report to a reduce-only order, after a delay, what another order has filled."""
    order.unheard -= qty
    account = floor.accounts.get(order.account)
    if account is not None:
        fit_reduce_only_orders(floor, account, order.symbol)


def _book_fee(floor: EngineState, number: str, fill: str, symbol: str, fee: Decimal) -> None:
    """Book the fee of a fill once it is known."""
    account = floor.accounts.get(number)
    if account is not None:
        enter(floor, account, Activity(FEE, None, symbol, "fee of a fill", net_amount=-fee, about=fill))
