"""What is held, and where each exit rule stands, at the prices that recorded passes saw."""

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
    """One exit rule of a position: the price in USD or the time at which it acts, or begins to if not armed.

    `distance` is the way there as a fraction of the last price, `left_s` the time there; negative is passed already.
    """

    rule: str
    price: Decimal | None
    at: datetime | None
    armed: bool
    distance: Decimal | None
    left_s: float | None


@dataclass(frozen=True, slots=True)
class Holding:
    """An open position: signed shares, prices in USD; `strategy` is foreign for what the bot does not manage.

    `price` is what closing would have got at `price_at`; `gain` is a fraction of the entry price; `nearest` names the
    armed rule that acts first: of time where that is overdue, else the one whose price is passed or nearest. All that
    needs a price is None where none was recorded.
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
    """A recorded price in USD, and the trading time of the pass that saw it."""

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

    `acknowledged` holds signed shares of foreign positions by symbol, `high_water` the best price in USD that each
    position has seen, by strategy and symbol.
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
    # A price from before the position was opened says nothing about it.
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
    """Measure each exit rule of a position from its last price, in USD, and from now."""
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
    """Return the armed rule that acts first: time that is up is asked first, and a price that is passed is below 0."""
    overdue = (row.rule for row in rows if row.left_s is not None and row.left_s <= 0)
    measured = [(row.distance, row.rule) for row in rows if row.armed and row.distance is not None]
    return next(overdue, min(measured)[1] if measured else None)


def _foreign(symbol: str, quantity: Decimal) -> Holding:
    """Nothing is known of what others do with it, and no rule of ours closes it."""
    return Holding(symbol, FOREIGN_OWNER, quantity, None, None, None, None, None, None, None, None, None, (), None)
