"""Check any price that jumped, or at which a rule would close a position, because one wrong quote mustn't sell
anything.

All doubtful prices are requested together, once, so an exit is delayed by at most one request. Two replies with the
same timestamp count as one. If the last trade contradicts the quote while a stop rests at the venue, closing the
position is left to that stop.
"""

from collections.abc import Collection, Mapping, Sequence
from datetime import datetime, timedelta
from decimal import Decimal

from tradebot.desk.exit_inputs import add_exit_inputs, closed_by_price, nearest_stops, stop_rests
from tradebot.errors import TradebotError
from tradebot.exits.exit_rule import exit_price
from tradebot.gates.coherence import doubted_move
from tradebot.model.bar import UNCONFIRMED, Quote
from tradebot.model.desk import Desk
from tradebot.model.event import EventKind
from tradebot.model.record import Job
from tradebot.model.struct_tools import replace
from tradebot.ports.broker import Market
from tradebot.ports.stores import Facts
from tradebot.ports.world import World

LOOKED_BACK = timedelta(minutes=30)
"""The oldest pass whose prices are compared with this pass's: twice the longest wait between exit passes."""

Quotes = Mapping[str, Quote]


def recheck_quotes(world: World, desk: Desk, *, for_entries: bool, watching: bool) -> Desk:
    """Recheck prices that jumped or, with `watching`, at which exit rules would close positions; return the desk.

    If nothing confirms a price, exits use the last trade, and nothing is bought.
    """
    desk = add_exit_inputs(world, desk) if watching else desk
    doubtful = _doubtful(world, desk, closed_by_price(world, desk) if watching else {})
    if not doubtful:
        return desk
    second = _ask_again(world.market, doubtful)
    latest = {**desk.quotes, **second}
    doubted = {symbol: UNCONFIRMED for symbol in doubtful if _is_doubted(world, desk, symbol, second.get(symbol))}
    if not doubted and all(second.get(symbol) is desk.quotes[symbol] for symbol in doubtful):
        # In a market that doesn't move, the same quotes leave everything unchanged.
        return desk
    chosen = latest if for_entries else _exit_quotes(world, desk, doubtful, latest, doubted)
    _tell(world, desk, doubtful, second, chosen)
    quotes = {symbol: quote for symbol, quote in chosen.items() if not (for_entries and symbol in doubted)}
    again = replace(desk, quotes=quotes, rejected_quotes={**desk.rejected_quotes, **doubted})
    return add_exit_inputs(world, again) if watching else again


def _is_doubted(world: World, desk: Desk, symbol: str, again: Quote | None) -> bool:
    """Return True if nothing confirms a quote: there is no second reply, or a trade contradicts it.

    A trade that is known to be old contradicts nothing. One of unknown age only contradicts a repeated reply about a
    position. Two different replies outweigh any trade, unless a stop rests at the venue, which triggers on trades.
    """
    if again is None:
        return True
    positions, limits = [position for position in desk.positions if position.symbol == symbol], world.rules.limits
    price = exit_price(positions[0], again) if positions else again.middle
    if abs(price / again.last - 1) <= limits.max_spread_fraction:
        return False
    rests = bool(positions) and all(stop_rests(desk, position) for position in positions)
    recent = again.traded_lately(desk.now, limits.max_quote_age_s, limits.max_clock_skew_s)
    if again.at != desk.quotes[symbol].at:
        return rests and recent is True
    return rests or recent is True or (bool(positions) and recent is None)


def _exit_quotes(world: World, desk: Desk, doubtful: Sequence[str], latest: Quotes, doubted: Collection[str]) -> Quotes:
    """Return the quotes for exits: the latest reply, or the last trade if the reply is doubted or nothing supports it.

    Nothing supports it if the first quote and the trade both disagree with it about which positions to close.
    """
    trades = {symbol: replace(latest[symbol], bid=latest[symbol].last, ask=latest[symbol].last) for symbol in doubtful}
    first, again, traded = (
        closed_by_price(world, add_exit_inputs(world, replace(desk, quotes={**latest, **quotes})))
        for quotes in (desk.quotes, {}, trades)
    )
    alone = [s for s in doubtful if again.get(s) not in (first.get(s), traded.get(s))]
    return {**latest, **{symbol: trades[symbol] for symbol in doubtful if symbol in doubted or symbol in alone}}


def _tell(world: World, desk: Desk, doubtful: Sequence[str], second: Quotes, chosen: Quotes) -> None:
    """Emit an event about first quotes that the second request didn't confirm."""
    stops, details = nearest_stops(world, desk), {}
    for symbol in doubtful:
        first, again = desk.quotes[symbol], second.get(symbol)
        limit = doubted_move(world.rules.limits, stops.get(symbol))
        same = again is not None and max(abs(again.bid / first.bid - 1), abs(again.ask / first.ask - 1)) < limit
        if not same or chosen[symbol] is not again:
            details[symbol] = f"{_describe(first)}, then {_describe(again)}"
    if details and not world.dry_run:
        world.events.emit(EventKind.PRICE_JUMPED.at(desk.now, details))


def _describe(quote: Quote | None) -> str:
    return f"{quote.bid} bid, {quote.ask} ask, {quote.last} last" if quote else "no answer"


def _doubtful(world: World, desk: Desk, closed: Collection[str]) -> tuple[str, ...]:
    """Return the symbols whose quotes need a second look, positions that rules would close first.

    That is a quote at which a rule closes a position, or one that jumped: too far from the last pass's price or, if
    that has none, from the last trade.
    """
    position_by_symbol = {position.symbol: position for position in desk.positions}
    marks, stops = (
        _marks(world.facts, desk.now, position_by_symbol) if position_by_symbol else {},
        nearest_stops(world, desk),
    )
    doubtful = list[str]()
    for symbol, quote in desk.quotes.items():
        position = position_by_symbol.get(symbol)
        price = exit_price(position, quote) if position else quote.middle
        # In the first pass after an entry, the entry price is the only one to compare with.
        reference = marks.get(symbol, position.average_price) if position else quote.last
        limit = doubted_move(world.rules.limits, stops.get(symbol))
        if symbol in closed or abs(price / reference - 1) >= limit:
            doubtful.append(symbol)
    # Positions that may be closed come first, then the others, in case one request can't include them all.
    return tuple(sorted(doubtful, key=lambda symbol: (symbol not in closed, symbol not in position_by_symbol)))


def _marks(facts: Facts, now: datetime, held_symbols: Collection[str]) -> Mapping[str, Decimal]:
    """Return the last prices of the symbols. The last pass usually has them all; if not, earlier ones are read too."""
    last = facts.marks(now - LOOKED_BACK, now)
    if last.keys() >= set(held_symbols):
        return last
    exits = (cycle for cycle in facts.passes(now - LOOKED_BACK) if cycle.job is Job.EVALUATE_EXITS)
    return {mark.symbol: mark.price for cycle in exits if cycle.at <= now for mark in cycle.marks}


def _ask_again(market: Market, symbols: Sequence[str]) -> Quotes:
    try:
        return market.quotes_again(symbols)
    except TradebotError:
        # A venue that can't reply must not prevent an exit.
        return {}
