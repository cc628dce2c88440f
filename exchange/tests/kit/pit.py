"""A matching engine over bars written by hand, and what it told, in words short enough to list."""

from collections.abc import Callable, Mapping, Sequence
from decimal import Decimal
from functools import cache, partial
from operator import methodcaller
from typing import Any, NamedTuple

import pytest

from papervenue.engine import order_lifecycle, unsolicited
from papervenue.engine.account import Account, Activity
from papervenue.engine.engine import Engine
from papervenue.engine.orders import USUAL, Execution, Order, OrderRequest, Policy, Replacement, StopLoss
from papervenue.events import Event, Update
from papervenue.market.actions import Action, before_trading
from papervenue.market.bars import UNITS, Bar, Market, usd
from papervenue.market.sessions import Calendar, session_of
from papervenue.market.spec import NEXT_BAR, NO_COSTS, PAPER, Costs, FillSpec
from papervenue.refusal import Refusal
from papervenue.shares import amending
from papervenue.shares.actions import schedule
from papervenue.shares.dialect import ALPACA
from papervenue.shares.options import move
from papervenue.times import MINUTE, at_new_york

DAYS = ("2025-02-28", "2025-03-03", "2025-03-04", "2025-03-05")
CALENDAR = Calendar([session_of((day, at_new_york(day, 9, 30), at_new_york(day, 16))) for day in DAYS], 1, 2)
OPEN = CALENDAR.market[0].open_us
SYMBOLS = ("AAA", "BBB")
HUNDRED = 100 * UNITS
WHOLE = PAPER._replace(partial_rate=Decimal(0))
"""Paper without partial fills: buys at 100.01, sells at 99.99."""
LATE = NEXT_BAR._replace(latency_s=90)
Quad = tuple[float, float, float, float] | float


def units(price: float) -> int:
    return round(price * UNITS)


class Bars:
    """A bar source of liquid symbols without extended hours or past days, but for a close at a hundred dollars."""

    past_minutes = past_days = 0

    def extended_hours(self, symbol: str, index: int) -> tuple[Bar, ...]:
        return ()

    def history_close(self, symbol: str, sessions_before: int) -> int | None:
        return HUNDRED

    def history_day(self, symbol: str, sessions_before: int) -> Bar | None:
        return None

    def liquid(self, symbol: str) -> bool:
        return True


class Written(Bars):
    """A bar source: every minute trades ten thousand shares at a hundred dollars, but for those that are written."""

    def __init__(self, written: Mapping[int, tuple[Quad, int] | None], extended: Mapping[int, Quad]) -> None:
        self._written = written
        self._extended = extended

    def bars(self, symbol: str, index: int) -> tuple[Bar, ...]:
        start_us, before = CALENDAR.market[index].open_us, 0 if index == 0 else 1000
        bars: list[Bar | None] = [*_quiet(index)]
        for minute in range(390):
            if minute + before in self._written:
                one = self._written[minute + before]
                bars[minute] = None if one is None else bar_of(start_us + minute * MINUTE, *one)
        return tuple(bar for bar in bars if bar is not None)

    def extended_hours(self, symbol: str, index: int) -> tuple[Bar, ...]:
        start_us = CALENDAR.market[index].open_us
        rows = sorted(self._extended.items()) if index == 0 else ()
        return tuple(bar_of(start_us + minute * MINUTE, quad, 500) for minute, quad in rows)


def bar_of(start_us: int, quad: Quad, volume: int = 10_000) -> Bar:
    prices = quad if isinstance(quad, tuple) else (quad,) * 4
    opening, high, low, close = map(units, prices)
    return Bar(start_us, opening, high, low, close, volume)


@cache
def _quiet(index: int) -> tuple[Bar, ...]:
    """Return a session of which nothing is written."""
    start_us = CALENDAR.market[index].open_us
    return tuple(bar_of(start_us + minute * MINUTE, 100.0) for minute in range(390))


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
        self.engine = Engine(market, OPEN - 24 * 60 * MINUTE, self.events.append, spec, "pit", costs, dialect=ALPACA)
        self.account = self.engine.open_account("main", "key", "secret", Decimal(100_000))
        self.engine.advance(OPEN + int(minute * MINUTE))
        self._events_read = 0

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

    def new_events(self, named: Mapping[str, Order] | None = None) -> list[str]:
        """Return the events since the last call: `minute name event`, with quantity and price for fills."""
        names = {order.id: name for name, order in (named or {}).items()}
        events, self._events_read = self.events[self._events_read :], len(self.events)
        return [_format_event(event.at_us, event.update, names) for event in events if event.update]


def _format_event(at_us: int, update: Update, names: Mapping[str, str]) -> str:
    parts = [f"{(at_us - OPEN) / MINUTE:g}", names.get(update.order.id, ""), update.event]
    if update.execution is not None:
        execution = update.execution
        parts.append(f"{execution.qty:f}@{usd(execution.price):.2f}")
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


class PitSteps:
    """A pit whose orders have names, and what can be done and seen there: the steps of a story."""

    def __init__(self, pit: Pit) -> None:
        self.pit = pit
        self.orders: dict[str, Order] = {}

    def order(self, name: str, legs: Sequence[str] = (), **fields: Any) -> None:
        """Submit an order, let it settle, and name it and its legs."""
        order = self.pit.order(**fields)
        self.orders |= {name: order, **dict(zip(legs, order.legs, strict=True))}

    def replace(self, old: str, new: str, policy: Policy = USUAL, **changes: Any) -> None:
        self.orders[new] = self.pit.replace(self.orders[old], policy, **changes)

    def cancel(self, name: str) -> None:
        self.pit.cancel(self.orders[name])

    def fate(self, name: str, fate: str) -> None:
        self.orders[name].fate = fate

    def reject(self, name: str) -> None:
        order_lifecycle.reject(self.pit.engine, self.orders[name])

    def to(self, minute: float) -> None:
        """Let time pass up to a minute since the first open; the second session opens at 1440."""
        self.pit.to_minute(minute)

    def halt(self, *symbols: str) -> None:
        """Halt these symbols and no others."""
        self.pit.engine.halted = frozenset(symbols)

    def venue(self, act: Callable[[Engine, Order], None], name: str) -> None:
        """Let the venue do something to an order that nobody has asked for."""
        act(self.pit.engine, self.orders[name])

    def restate(self, name: str, **changes: Any) -> None:
        unsolicited.restate(self.pit.engine, self.orders[name], replacement(**changes))

    def amend(self, name: str, number: int = 0, **to: Any) -> None:
        """Let the venue bust the newest form of an order's execution, or correct its shares or its price."""
        pit, execution = self.pit, executions_of(self.pit, self.orders[name])[number]
        if to:
            amending.correct(pit.engine, pit.account, execution.id, to.get("qty"), to.get("price"))
        else:
            amending.bust(pit.engine, pit.account, execution.id)

    def announce(self, kind: str, **terms: Any) -> None:
        """Announce a corporate action for the next session."""
        engine = self.pit.engine
        session = engine.market.calendar.market[1]
        action = Action(kind, "AAA", session.date, before_trading(session), engine.now_us, session.date)
        engine.market.announce(action._replace(**terms))
        schedule(engine, action._replace(**terms))

    def journal(self, qty: int, symbol: str = "AAA") -> None:
        journal = Activity("JNLS", None, symbol, "stock journal", Decimal(qty), Decimal(100))
        move(self.pit.engine, self.pit.account, journal)

    def refused(self, message: str, step: str, *arguments: Any, **named: Any) -> None:
        """See that a step is refused with a message like this."""
        with pytest.raises(Refusal, match=message):
            getattr(self, step)(*arguments, **named)

    def shows(self, name: str, **fields: object) -> None:
        """See that an order, or the request that it stands for now, has these values."""
        order = self.orders[name]
        shown = {field: getattr(order if hasattr(order, field) else order.request, field) for field in fields}
        assert shown == fields

    def claims(self, shares: int) -> None:
        """See that open orders claim this many shares."""
        assert self.pit.account.claimed_shares("AAA") == shares

    def reserves(self, dollars: object) -> None:
        assert self.pit.account.reserved == Decimal(str(dollars))

    def holds(self, qty: object, average: object = 0, overnight: object = 0, cash: object = None) -> None:
        """See what the account has: shares, their average price, those of the last close, and perhaps its cash."""
        expected = tuple(Decimal(str(part)) for part in (qty, average, overnight))
        assert self.pit.account.holding("AAA") == expected
        assert cash is None or self.pit.account.cash == Decimal(str(cash))


def executions_of(pit: Pit, order: Order) -> list[Execution]:
    return [one for one in pit.account.activities if isinstance(one, Execution) and one.order is order]


class Do:
    """Makes the steps of stories: `do.cancel("a")` is what cancels the order named `a` of a stage."""

    def __getattr__(self, name: str) -> Callable[..., methodcaller]:
        return partial(methodcaller, name)


do = Do()


class Story(NamedTuple):
    """Orders by name, their expected events after acceptance, the bars, and what is done; then how it begins."""

    orders: Mapping[str, Mapping[str, Any]]
    expected: str
    written: Mapping[int, Any] = {}
    steps: Sequence[Callable[[Any], object]] = ()
    until: float = 15
    minute: float = 10
    position: int = 0
    spec: FillSpec = NEXT_BAR
    extended: Mapping[int, Any] = {}

    def play(self) -> str:
        """Return the events, after checking the account's position and reservations."""
        pit = Pit(self.written, self.spec, self.extended, self.minute)
        if self.position:
            pit.hold(self.position)
        stage = PitSteps(pit)
        for name, fields in self.orders.items():
            stage.order(name, **fields)
        begun = [f"{self.minute:g} {name} {word}" for name in stage.orders for word in ("pending_new", "held", "new")]
        for step in self.steps:
            step(stage)
        stage.to(max(self.until, (pit.engine.now_us - OPEN) / MINUTE))
        self._check_account(pit.account)
        return ", ".join(line for line in pit.new_events(stage.orders) if line not in begun)

    def _check_account(self, account: Account) -> None:
        """See that the shares are those that came and went, and that nothing is kept for orders that are over."""
        fills = [one.shares for one in account.activities if isinstance(one, Execution) and one.order.symbol == "AAA"]
        moved = [one.qty or 0 for one in account.activities if isinstance(one, Activity) and one.moves_shares]
        assert account.qty("AAA") == self.position + sum(fills) + sum(moved)
        if not account.open:
            assert not account.reserved
            assert not account.claimed_shares("AAA")


def buy(**fields: Any) -> dict[str, Any]:
    return {"side": "buy", "qty": 10, **fields}


def sell(**fields: Any) -> dict[str, Any]:
    return {"side": "sell", "qty": 10, **fields}


def bracket(**more: Any) -> dict[str, dict[str, Any]]:
    legs = {"order_class": "bracket", "take_profit": 105, "stop_loss": 95, "legs": ("profit", "loss")}
    return {"entry": buy(**legs | more)}


def pair(side: str = "sell", **more: Any) -> dict[str, dict[str, Any]]:
    """Return the orders of a target and a stop that rest together, five dollars away from the market on either side."""
    target, stop = (105, 95) if side == "sell" else (95, 105)
    prices = {"limit": target, "take_profit": target, "stop_loss": stop, "legs": ("stop",)}
    return {"target": {"side": side, "qty": 10, "order_class": "oco", "tif": "gtc", **prices, **more}}


def protect(pit: Pit, position: int = 10, **more: Any) -> dict[str, Order]:
    """Hold shares and let a gtc pair rest over ten of them."""
    pit.hold(position)
    target = pair("sell" if position > 0 else "buy", **more)["target"]
    order = pit.order(**{name: value for name, value in target.items() if name != "legs"})
    return {"target": order, "stop": order.legs[0]}
