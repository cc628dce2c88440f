"""The state that the engine's parts share, and lookups that they have in common."""

from __future__ import annotations

from collections.abc import Callable, Collection, Container, Iterator, Mapping
from decimal import Decimal
from functools import lru_cache
from heapq import heapify, heappop, heappush
from typing import Any

from papervenue.chance import uuid_of
from papervenue.engine.account import Account, Activity, Balances
from papervenue.engine.orders import FORCED, Amendment, Execution, FillEffect, Order
from papervenue.engine.venue_rules import AccountFigures, Dialect
from papervenue.events import Emit, Event, Update
from papervenue.jsontext import plain
from papervenue.market.bars import Market, usd
from papervenue.market.rates import NO_RATES, Rates
from papervenue.market.spec import NO_COSTS, Costs, FillSpec
from papervenue.market.venue import Grid
from papervenue.times import SECOND, to_datetime

Deed = Callable[..., object]
"""A scheduled action: a function of the floor and its own arguments."""


class Agenda:
    """Scheduled actions by time; actions of the same time run in the order in which they were added.

    An action is stored by name with its arguments, so that an agenda can be saved; `learn` registers the functions.
    """

    def __init__(self) -> None:
        self._deeds: dict[str, Deed] = {}
        self._noted = 0
        self._heap: list[tuple[int, int, str, tuple[Any, ...]]] = []

    def learn(self, **deeds: Deed) -> None:
        self._deeds |= deeds

    def note(self, at_us: int, name: str, *about: Any) -> None:
        """Schedule an action; an action in the past runs as soon as time moves."""
        assert name in self._deeds, name
        self._noted += 1
        heappush(self._heap, (at_us, self._noted, name, about))

    def drop(self, name: str, *about: Any) -> None:
        """Remove a scheduled action with these arguments."""
        self._heap = [noted for noted in self._heap if noted[2:] != (name, about)]
        heapify(self._heap)

    @property
    def next_us(self) -> int | None:
        return self._heap[0][0] if self._heap else None

    def upcoming(self) -> Iterator[tuple[int, str, tuple[Any, ...]]]:
        """Yield the scheduled actions in the order in which they will run, each with its time and arguments.

        Nothing is changed, and only as much of the heap is read as needed.
        """
        heap, places = self._heap, [(self._heap[0][:2], 0)] if self._heap else []
        while places:
            _, slot = heappop(places)
            at_us, _, name, about = heap[slot]
            yield at_us, name, about
            for child in (2 * slot + 1, 2 * slot + 2):
                if child < len(heap):
                    heappush(places, (heap[child][:2], child))

    def do_until(self, now_us: int, floor: object) -> None:
        while self._heap and self._heap[0][0] <= now_us:
            _, _, name, about = heappop(self._heap)
            self._deeds[name](floor, *about)


class OrderBook:
    """All accounts' orders that are at the market, by symbol."""

    def __init__(self) -> None:
        self._live: dict[str, dict[str, Order]] = {}

    def add(self, order: Order) -> None:
        self._live.setdefault(order.symbol, {})[order.id] = order

    def drop(self, order: Order) -> None:
        orders = self._live.get(order.symbol)
        if orders is not None and orders.pop(order.id, None) is not None and not orders:
            del self._live[order.symbol]

    def symbols(self) -> list[str]:
        return sorted(self._live)

    def orders(self, symbol: str) -> Collection[Order]:
        return self._live.get(symbol, {}).values()


class EngineState:
    """Engine time, market, accounts, book and agenda of one exchange; `emit` receives every change.

    `halted` has the symbols in which nothing fills, whatever the market does.
    """

    def __init__(
        self,
        market: Market,
        start_us: int,
        emit: Emit,
        spec: FillSpec,
        costs: Costs = NO_COSTS,
        rates: Rates = NO_RATES,
        *,
        dialect: Dialect,
    ) -> None:
        self.market = market
        self._grids = market.grids
        self.dialect = dialect
        self.costs = costs
        self.rates = rates
        self.start_us = self.now_us = start_us
        self.model = dialect.fill_model(spec, market)
        self.latency_us = spec.latency_s * SECOND
        self.accounts: dict[str, Account] = {}
        self.book = OrderBook()
        self.agenda = Agenda()
        self.halted: Container[str] = frozenset()
        self.sequence = 0
        self.shown_us: int | None = None
        """While a script has an account shown as it was, the time as of which it is shown; otherwise None."""
        self.funding_changes: dict[str, list[tuple[int, Decimal]]] = {}
        """When funding rates were changed since the market was made, and to what, by symbol, oldest first."""
        self.emit = emit
        self._prices: dict[str, int | None] = {}
        self._priced_us = start_us

    def last_price(self, symbol: str) -> int | None:
        """Return the price of a symbol, or None before it has a price; cached until time moves."""
        if self._priced_us != self.now_us:
            self._prices, self._priced_us = {}, self.now_us
        if symbol not in self._prices:
            self._prices[symbol] = self.dialect.price(self.market, symbol, self.now_us)
        return self._prices[symbol]

    def price(self, symbol: str) -> int:
        """Return the last price, in units, of a symbol in which some account has a position, so there always is one."""
        price = self.last_price(symbol)
        assert price is not None
        return price

    def balances(self, account: Account) -> Balances:
        return account.balances(self.unit_value, self.now_us)

    def unit_value(self, symbol: str) -> Decimal:
        """Return what one unit of a fully paid position is worth, in USD."""
        return self.dialect.multiplier(symbol) * usd(self.price(symbol))

    def worth(self, account: Account) -> AccountFigures:
        return self.dialect.worth(self, account)

    def buying_power(self, account: Account) -> Decimal:
        return self.balances(account).buying_power(account.reserved, account.configuration.multiplier)

    def tell(self, name: str, order: Order, word: str) -> None:
        """Emit an order event, called `name` in the log and `word` in the stream of trade updates."""
        # The stream doesn't report an order as new while the venue still shows it as held.
        update = None if order.shown_held and word == "new" else Update(word, order)
        self.emit(Event(self.now_us, name, order_fields(order, self._grids), order.account, update))

    def tell_execution(self, execution: Execution, account: Account) -> None:
        """Emit a fill, or the bust or correction of an execution."""
        name: str = "fill"
        more: dict[str, str | None] = {}
        if isinstance(execution, Amendment):
            name, more = execution.word, {"previous_id": execution.previous.id}
        elif execution.settled is not None:
            name, more = _settled_fields(execution.settled)
        order = execution.order
        fields = order_fields(order, self._grids) | {
            "activity_id": execution.id,
            **more,
            "fill_qty": plain(execution.qty),
            "price": plain(self._grids[order.request.symbol].usd(execution.price)),
            "cash": plain(account.cash),
            "position": plain(execution.position_qty),
        }
        update = Update(execution.word, order, execution)
        self.emit(Event(self.now_us, name, fields, account.number, update))


def order_fields(order: Order, grids: Mapping[str, Grid]) -> dict[str, Any]:
    request = order.request
    fields: dict[str, Any] = {
        "order_id": order.id,
        "client_order_id": order.client_order_id,
        "symbol": request.symbol,
        "side": "buy" if request.side > 0 else "sell",
        "type": request.type,
        "time_in_force": request.time_in_force,
        "qty": None if order.qty is None else plain(order.qty),
        "notional": None if request.notional is None else plain(request.notional),
        "limit_price": None if request.limit is None else plain(grids[request.symbol].usd(request.limit)),
        "filled_qty": plain(order.filled_qty),
        "status": order.status,
    }
    if order.stop is not None:
        fields["stop_price"] = plain(grids[request.symbol].usd(order.stop))
    if order.parent is not None:
        fields["parent_id"] = order.parent.id
    if order.replaces is not None:
        fields["replaces"] = order.replaces
    if request.reduce_only:
        fields["reduce_only"] = True
    if request.label:
        fields["label"] = request.label
    if request.oca_group:
        fields["oca_group"], fields["oca_type"] = request.oca_group, request.oca_type
    return fields


def _settled_fields(settled: FillEffect) -> tuple[str, dict[str, str | None]]:
    """Return the log's name for a fill on margin, and the additional fields of its line."""
    fee = None if settled.fee is None else plain(settled.fee)
    name = settled.role if settled.role in FORCED else "fill"
    return name, {"role": settled.role, "realized": plain(settled.realized), "fee": fee}


def enter(floor: EngineState, account: Account, entry: Activity) -> None:
    """Book an activity's cash, add it to its account, and emit both with the resulting cash and position."""
    account.cash += entry.net_amount
    account.version += 1
    entry = entry._replace(id=activity_id(floor, account), at_us=floor.now_us)
    account.activities.append(entry)
    floor.emit(Event(floor.now_us, "activity", _describe_activity(account, entry), account.number))


@lru_cache(maxsize=1)
def id_stamp(now_us: int) -> str:
    """Return the prefix of activity ids: a time to the millisecond."""
    return to_datetime(now_us).strftime("%Y%m%d%H%M%S%f")[:17]


def activity_id(floor: EngineState, account: Account) -> str:
    return f"{id_stamp(floor.now_us)}::{uuid_of(account.number, 'activity', len(account.activities) + 1)}"


def _describe_activity(account: Account, entry: Activity) -> dict[str, str | None]:
    return {
        "activity_id": entry.id,
        "activity_type": entry.kind,
        "symbol": entry.symbol,
        "qty": None if entry.qty is None else plain(entry.qty),
        "price": None if entry.price is None else plain(entry.price),
        "net_amount": plain(entry.net_amount),
        "cash": plain(account.cash),
        "position": None if entry.symbol is None else plain(account.qty(entry.symbol)),
        **({"fill": entry.about} if entry.about else {}),
    }
