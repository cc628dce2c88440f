"""Ask again about any price that jumped before deciding on it, because one wrong quote must not sell anything.

The second answer always counts, so an exit is delayed by one request and never vetoed.
"""

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from decimal import Decimal

from tradebot.errors import TradebotError
from tradebot.exits.held import exit_price
from tradebot.model.bar import Quote
from tradebot.model.event import EventKind
from tradebot.model.position import Position
from tradebot.model.record import Job
from tradebot.ports.broker import Market
from tradebot.ports.stores import Facts
from tradebot.ports.world import World

LOOKED_BACK = timedelta(minutes=15)
"""How old an earlier pass may be for its prices to be compared with this pass's."""

UNCONFIRMED = "the price jumped, and the broker did not confirm it"


@dataclass(frozen=True, slots=True)
class Prices:
    """The quotes a pass may decide on, and why other symbols have none."""

    quotes: Mapping[str, Quote]
    rejected: Mapping[str, str]


def prices(
    world: World, now: datetime, symbols: Sequence[str], positions: Iterable[Position], *, entering: bool
) -> Prices:
    """Return the quotes of these symbols, asking again about prices that jumped.

    If no second answer comes, exits use the last trade, and nothing is bought.
    """
    if not symbols:
        return Prices({}, world.market.rejected_quotes)
    quotes, rejected = dict(world.market.quotes(symbols)), dict(world.market.rejected_quotes)
    jumped = _jumped(world, now, quotes, {position.symbol: position for position in positions})
    second_quotes = _ask_again(world.market, jumped) if jumped else {}
    if jumped and not world.dry_run:
        details = {
            symbol: f"{_describe(quotes[symbol])}, then {_describe(second_quotes.get(symbol))}" for symbol in jumped
        }
        world.events.emit(EventKind.PRICE_JUMPED.at(now, details))
    for symbol in jumped:
        first = quotes.pop(symbol)
        if symbol in second_quotes:
            quotes[symbol] = second_quotes[symbol]
        elif entering:
            rejected[symbol] = UNCONFIRMED
        else:
            quotes[symbol] = replace(first, bid=first.last, ask=first.last)
    return Prices(quotes, rejected)


def _describe(quote: Quote | None) -> str:
    return f"{quote.bid} bid, {quote.ask} ask, {quote.last} last" if quote else "no answer"


def _jumped(world: World, now: datetime, quotes: Mapping[str, Quote], held: Mapping[str, Position]) -> tuple[str, ...]:
    """Return the symbols whose price is too far from the last pass's, or from the last trade if that has no price."""
    marks, limit = _marks(world.facts, now, held) if held else {}, world.rules.limits.price_jump_fraction
    jumped = []
    for symbol, quote in quotes.items():
        position = held.get(symbol)
        price = exit_price(position, quote) if position else quote.middle
        # On the first pass after an entry, the price we paid is all there is to compare with.
        reference = marks.get(symbol, position.average_price) if position else quote.last
        if abs(price / reference - 1) > limit:
            jumped.append(symbol)
    # Held symbols come first, in case one request can't take them all.
    return tuple(sorted(jumped, key=lambda symbol: symbol not in held))


def _marks(facts: Facts, now: datetime, held: Collection[str]) -> Mapping[str, Decimal]:
    """Return the last prices of the symbols. The last pass usually has them all; if not, earlier ones count too."""
    last = facts.marks(now - LOOKED_BACK, now)
    if last.keys() >= set(held):
        return last
    exits = (cycle for cycle in facts.passes(now - LOOKED_BACK) if cycle.job is Job.EVALUATE_EXITS)
    return {mark.symbol: mark.price for cycle in exits if cycle.at <= now for mark in cycle.marks}


def _ask_again(market: Market, symbols: Sequence[str]) -> Mapping[str, Quote]:
    try:
        return market.quotes_again(symbols)
    except TradebotError:
        # A venue that can't answer must not keep an exit from going out.
        return {}
