"""A price that jumps is asked for once more before anything is decided on it: one wrong answer must not sell anything.

The second answer stands, whatever it says, so an exit is delayed by one question and never vetoed.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from decimal import Decimal

from tradebot.errors import TradebotError
from tradebot.exits.rules import exit_price
from tradebot.model.bar import Quote
from tradebot.model.event import Severity, SystemEvent
from tradebot.model.position import Position
from tradebot.model.record import Job
from tradebot.ports.broker import Market
from tradebot.ports.stores import Facts
from tradebot.ports.world import World

LOOKED_BACK = timedelta(minutes=15)
"""How old the price of an earlier pass may be that this one is compared with."""

UNCONFIRMED = "jumped, and the venue could not be asked for it again"


@dataclass(frozen=True, slots=True)
class Prices:
    """The quotes that may be decided on, and why symbols have none."""

    quotes: Mapping[str, Quote]
    rejected: Mapping[str, str]


def prices(
    world: World, now: datetime, symbols: Sequence[str], positions: Iterable[Position], *, entering: bool
) -> Prices:
    """Return the quotes of these symbols, those that jumped as a second answer has them.

    Where no second answer comes, the last trade decides on exits, and nothing is entered.
    """
    if not symbols:
        return Prices({}, world.market.rejected_quotes)
    quotes, rejected = dict(world.market.quotes(symbols)), dict(world.market.rejected_quotes)
    jumped = _jumped(world, now, quotes, {position.symbol: position for position in positions})
    again = _asked_again(world.market, jumped) if jumped else {}
    if jumped and not world.dry_run:
        told = {symbol: f"{_words(quotes[symbol])}, then {_words(again.get(symbol))}" for symbol in jumped}
        world.events.emit(SystemEvent(now, "prices", "price_jumped", Severity.WARN, None, told))
    for symbol in jumped:
        first = quotes.pop(symbol)
        if symbol in again:
            quotes[symbol] = again[symbol]
        elif entering:
            rejected[symbol] = UNCONFIRMED
        else:
            quotes[symbol] = replace(first, bid=first.last, ask=first.last)
    return Prices(quotes, rejected)


def _words(quote: Quote | None) -> str:
    return f"{quote.bid} bid, {quote.ask} ask, {quote.last} last" if quote else "no answer"


def _jumped(world: World, now: datetime, quotes: Mapping[str, Quote], held: Mapping[str, Position]) -> tuple[str, ...]:
    """Return the symbols whose price is too far from the last pass's, or from the last trade where that had none."""
    marks, limit = _marks(world.facts, now) if held else {}, world.rules.limits.price_jump_fraction
    found = []
    for symbol, quote in quotes.items():
        position = held.get(symbol)
        price = exit_price(position, quote) if position else quote.middle
        # The first pass after an entry has nothing to compare with but what was paid.
        known = marks.get(symbol, position.average_price) if position else quote.last
        if abs(price / known - 1) > limit:
            found.append(symbol)
    # Exits come first where not all fit into one question.
    return tuple(sorted(found, key=lambda symbol: symbol not in held))


def _marks(facts: Facts, now: datetime) -> Mapping[str, Decimal]:
    recorded = facts.cycles(job=Job.EVALUATE_EXITS, since=now - LOOKED_BACK)
    return {mark.symbol: mark.price for cycle in recorded if cycle.at <= now for mark in cycle.marks}


def _asked_again(market: Market, symbols: Sequence[str]) -> Mapping[str, Quote]:
    try:
        return market.quotes_again(symbols)
    except TradebotError:
        # Whatever keeps the venue from answering must not keep an exit from going out.
        return {}
