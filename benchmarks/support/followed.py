"""Sessions that a bot traded on the embedded exchange, followed position by position.

What was bought, sold and why is read from the bot's books. What rested at the exchange is read from the exchange's log,
which is the judge of it.
"""

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from benchmarks.support.sizes import sized
from tradebot.adapters.text.canonical import parse_time

if TYPE_CHECKING:
    from tradebot.app.wiring import App
    from tradebot.model.trade import Trade

STOPS = frozenset({"stop", "stop_limit"})
WORKING = frozenset({"new", "partially_filled", "pending_replace", "pending_cancel"})
MOST_EVENTS = 100_000
"""More events than a bot records in a few sessions."""


class Rested(NamedTuple):
    """What rested for a symbol from a time on: the stops' shares, and the nearest stop and target in USD."""

    at: datetime
    shares: Decimal
    stop: Decimal | None
    target: Decimal | None
    held: Decimal


@dataclass(frozen=True)
class Followed:
    """One position from its first fill to its last, with why it was closed and what rested meanwhile.

    `why` is what the orders that closed it say. `bare_s` is for how many seconds of trading time shares of it had no
    stop at the exchange, and `first_stop_s` how many passed from its first fill to its first stop; None if it never had
    one.
    """

    trade: "Trade"
    why: tuple[str, ...]
    rested: tuple[Rested, ...]
    bare_s: float
    first_stop_s: float | None

    @property
    def hold(self) -> timedelta | None:
        """Return how long the position was held, nights included; None while it is open."""
        return self.trade.closed_at - self.trade.opened_at if self.trade.closed_at else None

    @property
    def gain(self) -> Decimal | None:
        """Return what the position gained as a fraction of its entry price; positive if it earned, long or short."""
        exit_price, entry = self.trade.exit_price, self.trade.entry_price
        return None if exit_price is None else (exit_price / entry - 1) * self.trade.side.sign


@dataclass(frozen=True)
class Gap:
    """A time in which shares had no stop that could trigger: how long, in seconds of trading time, and why."""

    symbol: str
    at: datetime
    seconds: float
    why: str


def followed(app: "App", log: Path) -> tuple[Followed, ...]:
    """Return every position of the bot, in the order in which they were opened."""
    from tradebot.views.trades.lots import trades

    rested, until = by_symbol(log), app.now()
    found = trades(app.ledger.fills())
    why = _why(app, found)
    return tuple(_one(trade, why, rested.get(trade.symbol, ()), until) for trade in found)


def gaps(app: "App") -> tuple[Gap, ...]:
    """Return what the bot recorded about shares that were left without a stop, and have one again or are closed."""
    from tradebot.adapters.state.events import last_events
    from tradebot.adapters.state.state_folder import EVENTS
    from tradebot.model.event import EventKind

    events, _ = last_events(app.folder.path / EVENTS, MOST_EVENTS)
    wanted = EventKind.PROTECTION_GAP_ENDED.event_type
    return tuple(
        Gap(event.symbol or "", event.timestamp, float(event.details["lasted_s"]), event.details["why"])
        for event in events
        if event.event_type == wanted
    )


def by_symbol(log: Path) -> Mapping[str, Sequence[Rested]]:
    """Return what rested for each symbol, a row for each change, oldest first."""
    rows: dict[str, list[Rested]] = {}
    orders: dict[str, dict[str, Any]] = {}
    held: dict[str, Decimal] = {}
    with log.open(encoding="utf-8") as lines:
        for event in map(json.loads, lines):
            if "order_id" not in event:
                continue
            symbol, at = event["symbol"], parse_time(event["at"])
            orders[event["order_id"]] = event
            held[symbol] = Decimal(event.get("position", held.get(symbol, 0)))
            now = _resting(at, [one for one in orders.values() if one["symbol"] == symbol], held[symbol])
            kept = rows.setdefault(symbol, [])
            # Of several changes at one time, only the last lasted.
            if kept and kept[-1].at == at:
                kept.pop()
            kept.append(now)
    return rows


def _resting(at: datetime, orders: Sequence[Mapping[str, Any]], held: Decimal) -> Rested:
    working = [order for order in orders if order["status"] in WORKING]
    stops = [order for order in working if order["type"] in STOPS]
    parents = {order.get("parent_id") for order in stops}
    targets = [Decimal(order["limit_price"]) for order in working if order["order_id"] in parents]
    prices = [Decimal(order["stop_price"]) for order in stops]
    nearest, farthest = (max, min) if held > 0 else (min, max)
    shares = sum((Decimal(order["qty"]) - Decimal(order["filled_qty"]) for order in stops), Decimal(0))
    return Rested(at, shares, nearest(prices, default=None), farthest(targets, default=None), held)


def _one(trade: "Trade", why: Mapping[str, str], rows: Sequence[Rested], until: datetime) -> Followed:
    end = trade.closed_at or until
    within = [row for row in rows if trade.opened_at <= row.at <= end]
    spans = pairwise([*within, Rested(end, Decimal(0), None, None, Decimal(0))])
    bare = sum((after.at - row.at).total_seconds() for row, after in spans if row.shares < abs(row.held))
    first = next((row.at for row in within if row.shares), None)
    reasons = tuple(dict.fromkeys(why[order] for order in trade.exit_orders if order in why))
    return Followed(trade, reasons, tuple(within), bare, (first - trade.opened_at).total_seconds() if first else None)


def _why(app: "App", found: Iterable["Trade"]) -> Mapping[str, str]:
    """Return what each order that closed shares says of its reason."""
    from commands.shared.bot_records import exit_reasons

    closing = {order for trade in found for order in trade.exit_orders}
    return {order: why for order, why in exit_reasons(app, closing).items() if why}


def played(app: "App", sessions: int) -> Iterator[tuple[int, int]]:
    """Play whole sessions minute by minute as the demo does; yield how many minutes of how many are over."""
    from commands.demo.demo_session import Day
    from commands.reconcile import verb as reconcile
    from tradebot.timetable.sessions import session_of

    app.engine.tick_to("open")
    if app.settings.sandbox.source != "generated":
        # Recorded bars have no close before their first session, and without one nothing is bought.
        app.engine.tick_to("next_open")
    for number in range(sessions):
        now = app.now()
        app.ensure_calendar(now)
        session = session_of(app.ledger, now, app.day)
        assert session is not None, "the exchange opened on a day that the calendar has no session for"
        minutes = sized(int((session.close - now).total_seconds()) // 60, 5)
        day = Day(app, session, now)
        app.let_pass = day.meanwhile
        for minute in range(1, minutes + 1):
            day.run(now + timedelta(minutes=minute))
            yield number * minutes + minute, sessions * minutes
        reconcile.run(app, by="benchmark")
        if number + 1 < sessions:
            app.engine.tick_to("next_open")
