"""A matching engine over bars written by hand, and what it told, in words short enough to list."""

from collections.abc import Mapping
from decimal import Decimal
from typing import Any

from tradebot.exchange.engine.account import Account
from tradebot.exchange.engine.engine import Engine
from tradebot.exchange.engine.orders import Order, OrderRequest, Replacement, StopLoss
from tradebot.exchange.engine.policy import USUAL, Policy
from tradebot.exchange.events import Event
from tradebot.exchange.market.bars import UNITS, Bar, Market, usd
from tradebot.exchange.market.costs import NO_COSTS, Costs
from tradebot.exchange.market.fill import NEXT_BAR, FillSpec
from tradebot.exchange.market.sessions import Calendar, Session
from tradebot.exchange.times import MINUTE, at_new_york

DAYS = ("2025-02-28", "2025-03-03", "2025-03-04", "2025-03-05")
CALENDAR = Calendar([Session(day, at_new_york(day, 9, 30), at_new_york(day, 16)) for day in DAYS], 1, 2)
OPEN = CALENDAR.market[0].open_us
SYMBOLS = ("AAA", "BBB")
HUNDRED = 100 * UNITS
Quad = tuple[float, float, float, float] | float


def units(price: float) -> int:
    return round(price * UNITS)


class Written:
    """A bar source: every minute trades ten thousand shares at a hundred dollars, but for those that are written."""

    def __init__(self, written: Mapping[int, tuple[Quad, int] | None], extended: Mapping[int, Quad]) -> None:
        self._written = written
        self._extended = extended

    def bars(self, symbol: str, index: int) -> tuple[Bar, ...]:
        start_us = CALENDAR.market[index].open_us
        made = ((minute, self._of(minute if index == 0 else minute + 1000)) for minute in range(390))
        return tuple(bar_of(start_us + minute * MINUTE, *one) for minute, one in made if one is not None)

    def _of(self, minute: int) -> tuple[Quad, int] | None:
        return self._written.get(minute, (100.0, 10_000))

    def extended(self, symbol: str, index: int) -> tuple[Bar, ...]:
        start_us = CALENDAR.market[index].open_us
        rows = sorted(self._extended.items()) if index == 0 else ()
        return tuple(bar_of(start_us + minute * MINUTE, quad, 500) for minute, quad in rows)

    def history_close(self, symbol: str, sessions_before: int) -> int | None:
        return HUNDRED

    def history_day(self, symbol: str, sessions_before: int) -> Bar | None:
        return None

    def liquid(self, symbol: str) -> bool:
        return True


def bar_of(start_us: int, quad: Quad, volume: int = 10_000) -> Bar:
    prices = quad if isinstance(quad, tuple) else (quad,) * 4
    opening, high, low, close = map(units, prices)
    return Bar(start_us, opening, high, low, close, volume)


class Pit:
    """An engine ten minutes into its first session, unless told otherwise, with one account of 100,000 dollars.

    `written` are bars by their minute since the open, a thousand more for the second session: a price or (open, high,
    low, close), then the volume; None for a minute without trades. `extended` is the same around the first session.
    """

    def __init__(
        self,
        written: Mapping[int, tuple[Quad, int] | None] | None = None,
        spec: FillSpec = NEXT_BAR,
        extended: Mapping[int, Quad] | None = None,
        minute: float = 10,
        costs: Costs = NO_COSTS,
    ) -> None:
        self.events: list[Event] = []
        market = Market(Written(written or {}, extended or {}), CALENDAR, SYMBOLS)
        self.engine = Engine(market, OPEN - 24 * 60 * MINUTE, self.events.append, spec, "pit", costs)
        self.account = self.engine.open_account("main", "key", "secret", Decimal(100_000))
        self.engine.advance(OPEN + int(minute * MINUTE))
        self._heard = 0

    def order(self, side: str, qty: object, symbol: str = "AAA", account: Account | None = None, **more: Any) -> Order:
        """Submit an order and let it settle; its type is told by its prices, which are in dollars."""
        order = self.submit(side, qty, symbol, account, **more)
        self.engine.settle(order)
        return order

    def submit(self, side: str, qty: object, symbol: str = "AAA", account: Account | None = None, **more: Any) -> Order:
        fate, policy = more.pop("fate", None), more.pop("policy", USUAL)
        return self.engine.submit(account or self.account, request(side, qty, symbol, **more), fate, policy)

    def replace(self, order: Order, policy: Policy = USUAL, **changes: Any) -> Order:
        new = self.engine.replace(self.engine.accounts[order.account], order.id, replacement(**changes), policy)
        self.engine.settle(new)
        return new

    def cancel(self, order: Order) -> None:
        self.engine.cancel(self.engine.accounts[order.account], order.id)

    def pass_minutes(self, minutes: float) -> None:
        self.engine.advance(self.engine.now_us + int(minutes * MINUTE))

    def to_minute(self, minute: float, session: int = 0) -> None:
        self.engine.advance(CALENDAR.market[session].open_us + int(minute * MINUTE))

    def hold(self, qty: int, symbol: str = "AAA") -> None:
        """Give the account shares, bought at a hundred dollars."""
        self.account.apply(symbol, Decimal(qty), HUNDRED)

    def heard(self, named: Mapping[str, Order] | None = None) -> list[str]:
        """Return what was told since the last time: `minute name word`, fills with what they were."""
        names = {order.id: name for name, order in (named or {}).items()}
        events, self._heard = self.events[self._heard :], len(self.events)
        return [_told(event, names) for event in events]


def _told(event: Event, names: Mapping[str, str]) -> str:
    assert event.update is not None
    who = names.get(event.update.order.id, "")
    parts = [f"{(event.at_us - OPEN) / MINUTE:g}", who, event.update.event]
    if event.update.execution is not None:
        made = event.update.execution
        parts.append(f"{made.qty:f}@{usd(made.price):.2f}")
    return " ".join(part for part in parts if part)


PRICES = ("limit", "stop", "take_profit", "trail_price")


def request(side: str, qty: object, symbol: str = "AAA", **more: Any) -> OrderRequest:
    prices: dict[str, Any] = {name: units(more.pop(name)) for name in PRICES if name in more}
    if "stop_loss" in more:
        stop, limit = more["stop_loss"] if isinstance(more["stop_loss"], tuple) else (more["stop_loss"], None)
        more["stop_loss"] = StopLoss(units(stop), None if limit is None else units(limit))
    notional = more.pop("notional", None)
    return OrderRequest(
        symbol=symbol,
        side=1 if side == "buy" else -1,
        type=kind_of(prices, more),
        time_in_force=more.pop("tif", "day"),
        qty=None if notional is not None else Decimal(str(qty)),
        notional=None if notional is None else Decimal(notional),
        limit=prices.pop("limit", None),
        **prices,
        **more,
    )


def kind_of(prices: Mapping[str, int], more: Mapping[str, Any]) -> str:
    if "trail_price" in prices or "trail_percent" in more:
        return "trailing_stop"
    if "stop" in prices:
        return "stop_limit" if "limit" in prices else "stop"
    return "limit" if "limit" in prices else "market"


def replacement(**changes: Any) -> Replacement:
    units_of: dict[str, Any] = {name: units(changes.pop(name)) for name in ("limit", "stop") if name in changes}
    given = dict.fromkeys(Replacement._fields) | units_of | changes
    if given["qty"] is not None:
        given["qty"] = Decimal(given["qty"])
    return Replacement(**given)


def bracket(pit: Pit, **more: Any) -> tuple[Order, Order, Order]:
    order = pit.order("buy", 10, order_class="bracket", take_profit=105, stop_loss=95, **more)
    return order, order.legs[0], order.legs[1]


def pair(pit: Pit, **more: Any) -> tuple[Order, Order]:
    pit.hold(10)
    order = pit.order("sell", 10, order_class="oco", limit=105, take_profit=105, stop_loss=95, **more)
    return order, order.legs[0]
