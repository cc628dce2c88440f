"""The positions held, and where their exit rules act, at the prices that recorded passes saw."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal

from tradebot.exits.rules import Held, best_price
from tradebot.exits.stops import distance, stops
from tradebot.limits import ExitRules
from tradebot.model.position import FOREIGN, Position
from tradebot.model.record import CycleRecord

FOREIGN_OWNER = "foreign"


@dataclass(frozen=True, slots=True)
class StopRow:
    """One exit rule of a position: the price in USD or the time at which it acts (or arms, if it isn't armed yet).

    `distance` is the gap to that price as a fraction of the last price, `left_s` the time left; below zero means
    passed.
    """

    rule: str
    price: Decimal | None
    at: datetime | None
    armed: bool
    distance: Decimal | None
    left_s: float | None


@dataclass(frozen=True, slots=True)
class Holding:
    """An open position: signed shares, prices in USD; `strategy` is "foreign" for positions that the bot doesn't
    manage.

    `price` is the price at which it could have been closed at `price_at`, and `gain` a fraction of the entry price.
    `nearest` names the armed rule that acts first: the time exit if it is overdue, otherwise the rule whose price is
    passed or nearest. Everything that needs a price is None if none was recorded.
    """

    symbol: str
    strategy: str
    quantity: Decimal
    average_price: Decimal | None
    cost_usd: Decimal | None
    opened_at: datetime | None
    age_s: float | None
    price: Decimal | None
    price_at: datetime | None
    gain: Decimal | None
    unrealized_usd: Decimal | None
    high_water: Decimal | None
    stops: tuple[StopRow, ...]
    nearest: str | None


@dataclass(frozen=True, slots=True)
class Priced:
    """A recorded price in USD, and the trading time of the pass that recorded it."""

    price: Decimal
    at: datetime


def prices(passes: Iterable[CycleRecord]) -> dict[str, Priced]:
    """Return the latest recorded price of each symbol that was held."""
    return {mark.symbol: Priced(mark.price, cycle.at) for cycle in passes for mark in cycle.marks}


def holdings(
    positions: Sequence[Position],
    acknowledged: Mapping[str, Decimal],
    high_water: Mapping[tuple[str, str], Decimal],
    rules: ExitRules,
    priced: Mapping[str, Priced],
    now: datetime | None,
) -> tuple[Holding, ...]:
    """Return a row for every open position, the bot's own first.

    `acknowledged` holds signed shares of foreign positions by symbol, `high_water` the best price in USD since each
    position was opened, by strategy and symbol.
    """
    book = [position for position in positions if position.quantity]
    ours = sorted((p for p in book if p.strategy != FOREIGN), key=lambda p: (p.symbol, p.strategy))
    foreign = {p.symbol: p.quantity for p in book if p.strategy == FOREIGN}
    for symbol, quantity in acknowledged.items():
        foreign[symbol] = foreign.get(symbol, Decimal(0)) + quantity
    return (
        *(_own(p, high_water.get((p.strategy, p.symbol)), rules, priced.get(p.symbol), now) for p in ours),
        *(_foreign(symbol, quantity) for symbol, quantity in sorted(foreign.items()) if quantity),
    )


def _own(
    position: Position, best: Decimal | None, rules: ExitRules, priced: Priced | None, now: datetime | None
) -> Holding:
    held = Held(position, best_price(position, None, best))
    # A price from before the position was opened doesn't apply to it.
    price = priced.price if priced and priced.at >= position.opened_at else None
    rows = stop_rows(held, rules, price, now)
    return Holding(
        symbol=position.symbol,
        strategy=position.strategy,
        quantity=position.quantity,
        average_price=position.average_price,
        cost_usd=position.cost,
        opened_at=position.opened_at,
        age_s=(now - position.opened_at).total_seconds() if now else None,
        price=price,
        price_at=priced.at if priced and price is not None else None,
        gain=held.gain(price) if price is not None else None,
        unrealized_usd=position.quantity * price - position.cost if price is not None else None,
        high_water=best,
        stops=rows,
        nearest=nearest_of(rows),
    )


def stop_rows(held: Held, rules: ExitRules, price: Decimal | None, now: datetime | None) -> tuple[StopRow, ...]:
    """Measure the distance from each exit rule of a position, given its last price in USD and the time."""
    return tuple(
        StopRow(
            rule=stop.rule.value,
            price=stop.price,
            at=stop.at,
            armed=stop.armed,
            distance=None if price is None else distance(stop, price, held.direction),
            left_s=(stop.at - now).total_seconds() if stop.at and now else None,
        )
        for stop in stops(held, rules)
    )


def nearest_of(rows: Sequence[StopRow]) -> str | None:
    """Return the armed rule that acts first: an overdue time exit, else the one whose price is passed or nearest."""
    overdue = (row.rule for row in rows if row.left_s is not None and row.left_s <= 0)
    measured = [(row.distance, row.rule) for row in rows if row.armed and row.distance is not None]
    return next(overdue, min(measured)[1] if measured else None)


def _foreign(symbol: str, quantity: Decimal) -> Holding:
    """Return a row without exits: we know nothing about plans of the owner, and none of our rules closes it."""
    return Holding(symbol, FOREIGN_OWNER, quantity, None, None, None, None, None, None, None, None, None, (), None)
