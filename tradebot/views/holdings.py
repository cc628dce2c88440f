"""The positions held, where their exit rules act at the prices that recorded passes saw, and the account's margin."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import datetime
from decimal import Decimal
from enum import StrEnum

from msgspec import Struct

from tradebot.exits.held import Held, best_price
from tradebot.exits.kind import distance
from tradebot.exits.lists import Exits, in_force
from tradebot.model.instrument import ONE
from tradebot.model.intent import IntentRecord
from tradebot.model.lifecycle import NOTHING, RestingPrice, State, Work, state_of
from tradebot.model.margin import Liquidation
from tradebot.model.position import ADOPTED, FOREIGN, Kept, Position
from tradebot.model.record import CycleRecord, Gap


class Uncovered(StrEnum):
    """Why no stop rests at the broker for a position, or for a part of it; a gap has its own reasons too."""

    NO_STOP_RULE = "no_stop_rule"
    BY_SETTING = "by_setting"
    ADOPTED = "adopted"
    FRACTION = "fraction"
    REFUSED = "refused"
    ARRIVING = "arriving"
    NOT_PLACED = "not_placed"


class Protection(Struct, frozen=True):
    """What protects a position: `covered` is for how many of its shares (unsigned) a stop rests at the broker.

    `resting` are the stops and targets there. For the other shares, `rule` is the bot's own rule with the nearest stop,
    None if no rule has a stop now. `why` says why they have no stop at the broker, and `refusal` is what the broker
    said if it refused one. All three are None if every share is covered. `since` is when a gap in the protection began
    that the last pass of exits left, and `gap_s` its age; None without one.
    """

    covered: Decimal
    resting: tuple[RestingPrice, ...]
    rule: str | None
    why: str | None
    refusal: str | None
    since: datetime | None = None
    gap_s: float | None = None


def protection_of(
    held: Held, work: Work, rules: Exits, gap: Gap | None, now: datetime | None, *, at_venue: bool
) -> Protection:
    """Return what protects a position of ours, given the orders on its symbol and the rules that watch it.

    `gap` is what the last pass of exits left without a stop. `at_venue` is False if the configuration wants no stops at
    the broker.
    """
    position = held.position
    covered, quantity = work.covered(position.quantity), abs(position.quantity)
    if covered == quantity:
        return Protection(covered, work.resting, None, None, None)
    rule = _nearest_stop(held, rules)
    refused = work.refused if work.refused and work.refused.intent.at >= position.opened_at else None
    if rule is None:
        why = Uncovered.NO_STOP_RULE
    elif not at_venue:
        why = Uncovered.BY_SETTING
    elif position.strategy == ADOPTED:
        why = Uncovered.ADOPTED
    elif quantity - covered < (held.kept.instrument.lot if held.kept.instrument else 1):
        why = Uncovered.FRACTION
    elif gap is not None:
        words = _words(refused) if refused and gap.why == Uncovered.REFUSED else None
        gap_s = (now - gap.since).total_seconds() if now else None
        return Protection(covered, work.resting, rule, gap.why, words, gap.since, gap_s)
    elif work.arriving:
        why = Uncovered.ARRIVING
    else:
        why = Uncovered.REFUSED if refused else Uncovered.NOT_PLACED
    words = _words(refused) if refused and why is Uncovered.REFUSED else None
    return Protection(covered, work.resting, rule, why.value, words)


def _words(refused: IntentRecord) -> str:
    return " ".join(filter(None, (refused.code, refused.message)))


def _nearest_stop(held: Held, rules: Exits) -> str | None:
    """Return the reason of the rule whose stop is nearest, as it would rest at the broker; None if none has one now."""
    stops = (level for rule in rules if (level := rule.level(held)).armed and not level.ahead)
    prices = [(level.price * held.direction, level.rule.value) for level in stops if level.price is not None]
    return max(prices)[1] if prices else None


FOREIGN_OWNER = "foreign"


class StopRow(Struct, frozen=True):
    """One exit rule of a position: the price in USD or the time at which it acts (or arms, if it isn't armed yet).

    `distance` is the gap to that price as a fraction of the last price, `left_s` the time left; below zero means
    passed. `own` is True if the rule isn't from a list: the strategy asked for it when it opened the position.
    """

    rule: str
    price: Decimal | None
    at: datetime | None
    armed: bool
    distance: Decimal | None
    left_s: float | None
    own: bool = False


class Holding(Struct, frozen=True, omit_defaults=True):
    """An open position: signed shares, prices in USD; `strategy` is "foreign" for positions that the bot doesn't
    manage.

    `price` is the price at which it could have been closed at `price_at`, and `gain` a fraction of the entry price.
    `nearest` names the armed rule that acts first: the time exit if it is overdue, otherwise the rule whose price is
    passed or nearest. Everything that needs a price is None if none was recorded. `state` is where the position is in
    its life, see `tradebot.model.lifecycle`. `protection` is None for positions that the bot doesn't manage. What they
    are worth is quantity x price x `multiplier`.
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
    state: str
    protection: Protection | None
    multiplier: Decimal = ONE


class Priced(Struct, frozen=True):
    """A recorded price in USD, and the trading time of the pass that recorded it."""

    price: Decimal
    at: datetime


def prices(passes: Iterable[CycleRecord]) -> dict[str, Priced]:
    """Return the latest recorded price of each symbol that was held."""
    return {mark.symbol: Priced(mark.price, cycle.at) for cycle in passes for mark in cycle.marks}


def holdings(
    positions: Sequence[Position],
    acknowledged: Mapping[str, Decimal],
    kept: Mapping[tuple[str, str], Kept],
    exits_of: Callable[[str], Exits],
    priced: Mapping[str, Priced],
    now: datetime | None,
    work: Mapping[tuple[str, str], Work],
    gaps: Iterable[Gap],
    *,
    at_venue: bool,
) -> tuple[Holding, ...]:
    """Return a row for every open position, the bot's own first.

    `acknowledged` holds signed shares of foreign positions by symbol. `kept` is what the ledger keeps of each position
    besides its fills, and `work` its orders, both by strategy and symbol. `exits_of` returns the exit rules of a
    strategy. `gaps` are those that the last pass of exits left in the protection at the broker. `at_venue` is False if
    the configuration wants no stops there.
    """
    left = {(gap.strategy, gap.symbol): gap for gap in gaps}
    book = [position for position in positions if position.quantity]
    ours = sorted((p for p in book if p.strategy != FOREIGN), key=lambda p: (p.symbol, p.strategy))
    foreign = {p.symbol: p.quantity for p in book if p.strategy == FOREIGN}
    for symbol, quantity in acknowledged.items():
        foreign[symbol] = foreign.get(symbol, Decimal(0)) + quantity
    rows = list[Holding]()
    for p in ours:
        key = p.strategy, p.symbol
        orders, of_one, price = work.get(key, NOTHING), kept.get(key, Kept()), priced.get(p.symbol)
        rows.append(_own(p, of_one, exits_of(p.strategy), price, now, orders, left.get(key), at_venue=at_venue))
    return (*rows, *(_foreign(symbol, quantity) for symbol, quantity in sorted(foreign.items()) if quantity))


def _own(
    position: Position,
    kept: Kept,
    rules: Exits,
    priced: Priced | None,
    now: datetime | None,
    work: Work,
    gap: Gap | None,
    *,
    at_venue: bool,
) -> Holding:
    held = Held(position, best_price(position, None, kept.best), kept)
    # A price from before its oldest lot doesn't apply to it. A split gives it new lots, whose shares have other prices.
    price = priced.price if priced and priced.at >= min(lot.at for lot in position.lots) else None
    watching = in_force(rules, kept)
    rows = stop_rows(held, watching, price, now, listed=rules)
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
        unrealized_usd=position.value_at(price) - position.cost if price is not None else None,
        high_water=kept.best,
        stops=rows,
        nearest=nearest_of(rows),
        state=state_of(position.strategy, position.quantity, work).value,
        protection=protection_of(held, work, watching, gap, now, at_venue=at_venue),
        multiplier=position.multiplier,
    )


def stop_rows(
    held: Held, rules: Exits, price: Decimal | None, now: datetime | None, listed: Exits
) -> tuple[StopRow, ...]:
    """Measure the distance from each exit rule of a position, given its last price in USD and the time.

    The rules that aren't `listed` are those that the position was opened with.
    """
    levels = ((rule.level(held), rule not in listed) for rule in rules)
    known = ((stop, own) for stop, own in levels if stop.price is not None or stop.at is not None)
    return tuple(
        StopRow(
            rule=stop.rule.value,
            price=stop.price,
            at=stop.at,
            armed=stop.armed,
            distance=None if price is None else distance(stop, price, held.direction),
            left_s=(stop.at - now).total_seconds() if stop.at and now else None,
            own=own,
        )
        for stop, own in known
    )


def nearest_of(rows: Sequence[StopRow]) -> str | None:
    """Return the armed rule that acts first: an overdue time exit, else the one whose price is passed or nearest."""
    overdue = (row.rule for row in rows if row.left_s is not None and row.left_s <= 0)
    measured = [(row.distance, row.rule) for row in rows if row.armed and row.distance is not None]
    return next(overdue, min(measured)[1] if measured else None)


def _foreign(symbol: str, quantity: Decimal) -> Holding:
    """Return a row without exits: we know nothing about plans of the owner, and none of our rules closes it."""
    unknown = (None,) * 9
    return Holding(symbol, FOREIGN_OWNER, quantity, *unknown, (), None, State.QUARANTINED.value, None)


class AccountMargin(Struct, frozen=True):
    """What the positions of an account tie up, in USD and as fractions of its equity; None for what isn't known.

    `at` is when a pass saw it, in trading time. `initial` opens positions, `maintenance` keeps them: the broker
    liquidates once that is all of the equity. `liquidations` are the positions' prices for that, with how far each mark
    is from it, the nearest first.
    """

    at: datetime
    initial_usd: Decimal | None
    initial_fraction: Decimal | None
    maintenance_usd: Decimal | None
    maintenance_fraction: Decimal | None
    available_usd: Decimal | None
    liquidations: tuple[Liquidation, ...]


def account_margin(passes: Iterable[CycleRecord]) -> AccountMargin | None:
    """Return the margin that the last of these passes saw; None if the account pays for what it buys."""
    seen = [(cycle.at, cycle.equity, cycle.margin) for cycle in passes if cycle.margin is not None]
    if not seen:
        return None
    at, equity, margin = max(seen, key=lambda one: one[0])
    return AccountMargin(
        at=at,
        initial_usd=margin.initial,
        initial_fraction=_of_equity(margin.initial, equity),
        maintenance_usd=margin.maintenance,
        maintenance_fraction=_of_equity(margin.maintenance, equity),
        available_usd=margin.available,
        liquidations=margin.liquidations,
    )


def _of_equity(usd: Decimal | None, equity: Decimal | None) -> Decimal | None:
    return usd / equity if usd is not None and equity is not None and equity > 0 else None
