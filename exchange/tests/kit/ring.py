"""A matching engine over margined instruments and prices written by hand, in days of 24 hours."""

import shutil
from bisect import bisect_right
from collections.abc import Callable, Mapping
from decimal import Decimal
from pathlib import Path
from typing import Any

from exchange.tests.kit.pit import Bars
from papervenue.engine.account import Account, Activity
from papervenue.engine.engine import Engine
from papervenue.engine.orders import USUAL, Fill, Order, OrderRequest
from papervenue.events import Event
from papervenue.exchange import Exchange, open_exchange
from papervenue.margined.accounts import MarginState, equity_and_margins, net_position
from papervenue.margined.dialect import PlainDialect
from papervenue.market.bars import Bar, Market
from papervenue.market.hours import HOURS
from papervenue.market.sessions import Calendar, session_of
from papervenue.market.spec import CLOSE, FillSpec
from papervenue.market.venue import Grid, Instrument, MarginLevel, Rules, TickStep
from papervenue.snapshot.keeper import dump_state
from papervenue.snapshot.state import Snapshot, identity_of, write_snapshot
from papervenue.state import EDITION, SNAPSHOT_FILE
from papervenue.times import MINUTE

# Snapshots of exchanges under test: taken, kept, and compared with what the log alone leads to.


def snapshot_of(exchange: Exchange, folder: Path) -> Snapshot:
    """Return a snapshot of an exchange at rest."""
    assert exchange.at_rest
    return Snapshot(identity_of(folder), exchange.log.prefix(), dump_state(exchange))


def keep(exchange: Exchange, folder: Path) -> None:
    write_snapshot(folder, snapshot_of(exchange, folder))


def state_of(exchange: Exchange) -> bytes:
    """Return an exchange's state after all that a snapshot leaves for later has been read."""
    exchange.past.read_all()
    for account in exchange.engine.accounts.values():
        assert [*account.orders.values()] == [*account.by_client_id.values()]
        assert len([*account.orders.values()]) == len(account.orders)
        assert len([*account.activities]) == len(account.activities)
    return dump_state(exchange)


def replayed(folder: Path) -> bytes:
    """Return the state that a folder's log leads to by itself."""
    (folder / SNAPSHOT_FILE).unlink(missing_ok=True)
    return state_of(open_exchange(folder))


def without_snapshot(folder: Path, copy: Path) -> Path:
    shutil.copytree(folder, copy)
    (copy / SNAPSHOT_FILE).unlink(missing_ok=True)
    return copy


ALWAYS = HOURS["24/7"]
CALENDAR = Calendar([session_of(times, ALWAYS) for times in ALWAYS.between("2026-01-04", "2026-01-09")], 1, 3, ALWAYS)
START = CALENDAR.market[0].open_us
AT_ONCE = CLOSE._replace(quotes="last", volume_share=None)
"""Fills at once at the last price, with neither spread nor slippage."""
NO_RULES = Rules()
Written = Mapping[int, Decimal | str | tuple[str, str, str, str] | None]


def D(text: object) -> Decimal:  # noqa: N802 -- as short as a number
    return Decimal(str(text))


def instrument(symbol: str, tick: str, initial: str = "0.02", maintenance: str = "0.01", **more: Any) -> Instrument:
    """Return an instrument of one tick size and one margin level, unless told otherwise."""
    steps = more.pop("ticks", (TickStep(D(0), D(tick)),))
    levels = more.pop("margin_levels", (MarginLevel(D(0), D(initial), D(maintenance)),))
    return Instrument(symbol=symbol, ticks=steps, margin_levels=levels, **{"level": D(100), **more})


PERPETUAL = instrument("PF_XBTUSD", "0.5", lot=D("0.0001"), minimum=D("0.0002"))
FUTURE = instrument("ESZ6", "0.25", "0.06", "0.05", multiplier=D(50))


class Prices(Bars):
    """Every minute trades a million lots at the last written price of its symbol; None is a minute without trades."""

    def __init__(self, grids: Mapping[str, Grid], written: Mapping[str, Written], calendar: Calendar) -> None:
        self._grids = grids
        self._written = written
        self._minutes = {symbol: sorted(prices) for symbol, prices in written.items()}
        self._calendar = calendar

    def bars(self, symbol: str, index: int) -> tuple[Bar, ...]:
        session = self._calendar.market[index]
        first, last = ((us - START) // MINUTE for us in (session.open_us, session.close_us))
        return tuple(bar for minute in range(first, last) if (bar := self._bar(symbol, minute)) is not None)

    def _bar(self, symbol: str, minute: int) -> Bar | None:
        minutes = self._minutes[symbol]
        price = self._written[symbol][minutes[bisect_right(minutes, minute) - 1]]
        if price is None:
            return None
        quad = price if isinstance(price, tuple) else (price,) * 4
        opening, high, low, close = (int(D(one) * self._grids[symbol].units) for one in quad)
        return Bar(START + minute * MINUTE, opening, high, low, close, 1_000_000)

    def history_close(self, symbol: str, sessions_before: int) -> int | None:
        first = self._written[symbol][0]
        quad = first if isinstance(first, tuple) else (first,)
        return None if first is None else int(D(quad[0]) * self._grids[symbol].units)


class Ring:
    """An engine at the start of its market with one account; `written` are prices by minute, from 0 on.

    Its instruments are those given, by default a perpetual alone.
    """

    def __init__(
        self,
        written: Mapping[str, Written] | Written,
        instruments: tuple[Instrument, ...] = (PERPETUAL,),
        rules: Rules = NO_RULES,
        cash: str = "5000",
        spec: FillSpec = AT_ONCE,
        calendar: Calendar = CALENDAR,
        to: float = 0,
        basis: Callable[[str, int], float] | None = None,
        edition: int = EDITION,
    ) -> None:
        self.events: list[Event] = []
        self.grids = {one.symbol: Grid(one) for one in instruments}
        prices: Any = written if set(written) == set(self.grids) else {instruments[0].symbol: written}
        source = Prices(self.grids, prices, calendar)
        self.market = Market(source, calendar, tuple(self.grids), grids=self.grids, basis=basis)
        self.engine = Engine(self.market, START, self.events.append, spec, "ring", dialect=PlainDialect(rules, edition))
        self.account: Account = self.engine.open_account("main", "key", "secret", D(cash))
        self.symbol = instruments[0].symbol
        if to:
            self.to(to)

    def order(self, side: str, qty: object, symbol: str = "", **more: Any) -> Order:
        """Submit an order and let it settle; its type is told by its prices."""
        order = self.submit(side, qty, symbol, **more)
        self.engine.settle(order)
        return order

    def submit(self, side: str, qty: object, symbol: str = "", **more: Any) -> Order:
        policy = more.pop("policy", USUAL)
        return self.engine.submit(self.account, self.request(side, qty, symbol or self.symbol, **more), policy=policy)

    def request(self, side: str, qty: object, symbol: str, **more: Any) -> OrderRequest:
        units = self.grids[symbol].units if symbol in self.grids else 1
        prices = {name: int(D(more.pop(name)) * units) for name in ("limit", "stop") if name in more}
        kind = {0: "market", 1: next(iter(prices), ""), 2: "stop_limit"}[len(prices)]
        lasts = more.pop("tif", "gtc")
        sign = 1 if side == "buy" else -1
        request = OrderRequest(symbol, sign, kind, lasts, D(qty), None, prices.get("limit"), stop=prices.get("stop"))
        return request._replace(**more)

    def to(self, minute: float) -> None:
        """Let time pass up to a minute since the start."""
        self.engine.advance(START + int(minute * MINUTE))

    @property
    def now(self) -> MarginState:
        return equity_and_margins(self.engine, self.account)

    @property
    def fills(self) -> list[Fill]:
        return [one for one in self.account.activities if isinstance(one, Fill)]

    def booked(self, kind: str) -> list[Decimal]:
        return [one.net_amount for one in self.account.activities if isinstance(one, Activity) and one.kind == kind]

    def qty(self, symbol: str = "") -> Decimal:
        return self.account.qty(symbol or self.symbol)

    def cost(self, symbol: str = "") -> Decimal:
        position = net_position(self.account, symbol or self.symbol)
        return Decimal(0) if position is None else position.cost

    def event_lines(self, *names: str) -> list[str]:
        """Return the events of these names, as `minute name`."""
        return [f"{(one.at_us - START) / MINUTE:g} {one.name}" for one in self.events if one.name in names]
