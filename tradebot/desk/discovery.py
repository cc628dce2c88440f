"""Ask the venue which contracts it lists, decide which are traded, keep it, and tell what changed.

It is done as often as tiers are measured, before the look at the coins, and again in the next pass if a list wasn't
believed. What is kept takes the place of the universe where rules are made (`app.rules`), which is once a pass. So a
running `serve` trades a new coin from its next pass on, without a reload. If what is kept is lost, the configured
universe is traded until the venue has been asked again. Exits and stops go by positions, and need no universe.
"""

from collections.abc import Sequence
from datetime import datetime

from tradebot.errors import TradebotError
from tradebot.model.discovery import Discovery
from tradebot.model.event import EventKind, SystemEvent
from tradebot.model.values import replace
from tradebot.ports.world import World
from tradebot.signals.discovery import Kept, Naming, disbelieved, discovered, is_due
from tradebot.signals.registry import figures_of

LONGEST = 10
"""How many symbols an event names."""
STAYS, GOES = "it stays in the universe, because it is held or pinned", "it has left the universe"
"""What becomes of a coin that isn't listed any more."""


def look_for_coins(world: World, now: datetime, *, at_once: bool = False) -> None:
    """Ask for the venue's contracts if that is due, or at once; without discovery or in a dry run, ask nothing.

    A list or prices that can't be read change nothing.
    """
    rules, ask = world.rules.registry, world.contracts
    if rules is None or not rules.discovery or ask is None or world.dry_run:
        return
    before = world.facts.discovery()
    if not (at_once or is_due(before, now, rules)):
        return
    try:
        after = _asked(world, before, ask(), now)
    except TradebotError as error:
        after = replace(before, problem=error.message)
    world.facts.put_discovery(after)
    for event in _changes(before, after, world.rules.universe, now):
        world.events.emit(event)


def _asked(world: World, before: Discovery, listed: Sequence[str], now: datetime) -> Discovery:
    rules = world.rules.registry
    assert rules is not None
    if (doubtful := disbelieved(before, listed, now, rules)) is not None:
        return doubtful
    naming, pinned = Naming(world.rules.coin, world.rules.perpetual), world.rules.pinned
    held = frozenset(position.symbol for position in world.ledger.totals().own_positions())
    wanted = sorted(symbol for symbol in {*listed, *pinned, *held} if not naming.objection(symbol))
    quotes = world.market.quotes(wanted)
    rejected, most_s = world.market.rejected_quotes, world.rules.limits.max_quote_age_s
    figures = {one: figures_of(quotes.get(one), rejected.get(one, ""), now, most_s) for one in wanted}
    kept = Kept(pinned, held, world.rules.universe)
    return discovered(before, listed, figures, kept, now, rules, naming)


def _changes(before: Discovery, after: Discovery, universe: Sequence[str], now: datetime) -> list[SystemEvent]:
    """Return the events of what changed; `universe` is what was traded before."""
    if after.problem:
        told = {"why": after.problem}
        return [] if before.problem else [EventKind.LIST_NOT_BELIEVED.at(now, told)]
    was, traded, events = frozenset(universe), frozenset(after.symbols), list[SystemEvent]()
    if was != traded:
        details = {"added": _named(traded - was), "removed": _named(was - traded), "symbols": str(len(traded))}
        events.append(EventKind.UNIVERSE_CHANGED.at(now, details))
    listed = frozenset(one.symbol for one in before.found if one.listed)
    for one in after.found:
        if one.symbol in listed and not one.listed:
            stays = STAYS if one.symbol in traded else GOES
            events.append(EventKind.COIN_UNLISTED.at(now, {"message": stays}, one.symbol))
    return events


def _named(symbols: frozenset[str]) -> str:
    names = sorted(symbols)
    more = f" and {len(names) - LONGEST} more" if len(names) > LONGEST else ""
    return f"{', '.join(names[:LONGEST])}{more}"
