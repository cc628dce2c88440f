"""Check the registry's coins: read what is due, evaluate it, store it, and report changes.

The entry pass does this before it runs strategies, without the pass lock. If the stored state is lost, no money is at
risk: no coin is eligible until it has been checked again.

Contracts are discovered before the coins are checked, as often as tiers are measured, and again in the next pass if a
list was rejected. The stored result replaces the universe when rules are built (`app.rules`), once per pass. So a
running `serve` trades a new coin from its next pass on, without a reload. If the result is lost, the configured
universe is traded until the venue has been queried again. Exits and stops depend on positions, and need no universe.
"""

from collections.abc import Collection, Mapping, Sequence
from datetime import datetime
from typing import NamedTuple

from tradebot.errors import TradebotError
from tradebot.gates.registry import failures, format_figures
from tradebot.model.bar import Quote
from tradebot.model.event import EventKind, Severity, SystemEvent
from tradebot.model.registry import Coin, CoinHealth, DataState, Discovery, Figures, Registry, RegistryRules
from tradebot.model.series import PriceKind, Series
from tradebot.model.struct_tools import replace
from tradebot.model.view import BarNeed
from tradebot.ports.world import World
from tradebot.signals import registry as tiers
from tradebot.signals.registry import (
    Naming,
    RetainedCoins,
    figures_of,
    is_discovery_due,
    reject_listing,
    update_discovery,
)


def registry_of(world: World) -> Registry | None:
    """Return the registry with the stored state of its coins; None if there is no registry."""
    rules = world.rules.registry
    return Registry(rules, world.rules.every_symbol, world.facts.registry()) if rules else None


def look_at_coins(world: World, now: datetime, *, all_of_them: bool = False) -> None:
    """Check the coins that are due, or all of them; do nothing without a registry or in a dry run.

    Raise TemporaryError if the venue can't provide prices. If a coin's candles can't be read, the check that needs them
    fails.
    """
    registry = None if world.dry_run else registry_of(world)
    if registry is None:
        return
    coins_before, look = registry.coins, _CoinCheck.of(world, registry, now, every=all_of_them)
    coins = (look.at(symbol, coins_before.get(symbol)) for symbol in registry.symbols)
    changed = [coin for coin in coins if coin != coins_before.get(coin.symbol)]
    world.facts.put_registry(changed)
    for coin in changed:
        for event in _changes(coins_before.get(coin.symbol), coin, now):
            world.events.emit(event)
    if event_of_all := _pause(registry, {**coins_before, **{coin.symbol: coin for coin in changed}}, now):
        world.events.emit(event_of_all)


class _CoinCheck(NamedTuple):
    """The data read for one check: which symbols' tiers and data are due, and what the venue reports about them."""

    world: World
    rules: RegistryRules
    now: datetime
    ranked: frozenset[str]
    checked: frozenset[str]
    charted: frozenset[str]
    quotes: Mapping[str, Quote]
    candles: Mapping[str, Series]

    @classmethod
    def of(cls, world: World, registry: Registry, now: datetime, *, every: bool) -> "_CoinCheck":
        rules, symbols = registry.rules, registry.symbols
        coins = [(symbol, registry.coins.get(symbol)) for symbol in symbols]
        ranked = frozenset(s for s, coin in coins if every or tiers.is_due(coin.rank if coin else None, now, rules))
        checked = frozenset(
            s for s, coin in coins if every or tiers.is_data_check_due(coin.data if coin else None, now, rules.health)
        )
        charted = frozenset(s for s, coin in coins if s in checked and (every or _needs_candles(coin, now)))
        quoted = [symbol for symbol in symbols if symbol in ranked | checked]
        quotes = world.market.quotes(quoted) if quoted else {}
        return cls(world, rules, now, ranked, checked, charted, quotes, _candles(world, rules, charted, now))

    def at(self, symbol: str, before: Coin | None) -> Coin:
        """Return a symbol's state after this check."""
        rules, health = self.world.rules, self.rules.health
        why = self.world.market.rejected_quotes.get(symbol, "")
        read = tiers.figures_of(self.quotes.get(symbol), why, self.now, rules.limits.max_quote_age_s)
        if before is None:
            rank = tiers.update_rank(None, read, self.now, self.rules, pinned=symbol in rules.pinned)
            return Coin(symbol, rank, self._check_data(symbol, None, read))
        rank, data = before.rank, before.data
        if symbol in self.ranked:
            rank = tiers.update_rank(rank, read, self.now, self.rules, pinned=symbol in rules.pinned)
        if symbol in self.checked:
            return Coin(symbol, rank, self._check_data(symbol, data, read))
        return Coin(symbol, rank, tiers.after_unchecked_pass(data, self.now, health))

    def _check_data(self, symbol: str, before: DataState | None, read: Figures) -> DataState:
        """Return the state of a symbol's data after its checks. Candles that were complete stay complete."""
        rules, candles = self.rules.health, self.candles.get(symbol)
        failed, until = tuple(tiers.of_figures(read, rules)), before.candles_until if before else None
        if symbol in self.charted:
            of_candles = tuple(tiers.of_candles(candles, self.now, rules))
            failed, until = (*failed, *of_candles), None
            if candles and not of_candles:
                until = tiers.next_candle_at(candles)
        return replace(tiers.after_check(before, failed, self.now, rules), candles_until=until)


def _needs_candles(coin: Coin | None, now: datetime) -> bool:
    """Return True unless the candles of a coin were complete, and the next one isn't due yet."""
    if coin is None or coin.data.candles_until is None:
        return True
    return not coin.data.looked_at <= now < coin.data.candles_until


def _pause(registry: Registry, coins: Mapping[str, Coin], now: datetime) -> SystemEvent | None:
    """Return the event if entries pause or resume because of this check. Before any check, they aren't paused."""
    needed = registry.rules.health.needed_count(len(registry.symbols))
    before, after = (_healthy(registry, coins_then) for coins_then in (registry.coins, coins))
    details = {"healthy": str(after), "needed": str(needed)}
    if after < needed and (before >= needed or not registry.coins):
        return EventKind.ENTRIES_PAUSED.at(now, details)
    if after >= needed > before and registry.coins:
        return EventKind.ENTRIES_RESUMED.at(now, details)
    return None


def _healthy(registry: Registry, coins: Mapping[str, Coin]) -> int:
    coins_listed = (coins.get(symbol) for symbol in registry.symbols)
    return sum(coin is not None and coin.data.health is CoinHealth.HEALTHY for coin in coins_listed)


def _candles(world: World, rules: RegistryRules, symbols: Collection[str], now: datetime) -> Mapping[str, Series]:
    """Return the candles of each symbol that the source has; none if it doesn't answer."""
    # Signals read the coin's own price if there is one, so those candles are checked.
    price = PriceKind.SPOT if PriceKind.SPOT in world.venue.bar_prices else PriceKind.TRADE
    need = BarNeed(rules.health.candles, rules.health.min_candles, price=price)
    try:
        return world.bars.closed(need, sorted(symbols), now) if symbols else {}
    except TradebotError:
        return {}


def _changes(before: Coin | None, now: Coin, at: datetime) -> list[SystemEvent]:
    """Return the events for changes; a coin's first state is not a change."""
    if before is None:
        return []
    events = list[SystemEvent]()
    if (was := _describe_state(before)) != (stands := _describe_state(now)):
        details = {"before": was, "now": stands, "figures": format_figures(now.rank.figures)}
        events.append(EventKind.TIER_CHANGED.at(at, details, now.symbol))
    if before.data.health is not now.data.health:
        details = {"before": before.data.health.value, "now": now.data.health.value}
        failed = {"failed": failures(now.data.failed)} if now.data.failed else {}
        severity = Severity.INFO if now.data.health is CoinHealth.HEALTHY else Severity.WARN
        events.append(EventKind.DATA_HEALTH_CHANGED.at(at, {**details, **failed}, now.symbol, severity=severity))
    return events


def _describe_state(coin: Coin) -> str:
    if not coin.rank.known:
        return "unknown"
    return coin.rank.tier.value if coin.rank.tier else "below"


LONGEST = 10
"""How many symbols an event names."""
STAYS, GOES = "it stays in the universe, because it is held or pinned", "it has left the universe"
"""The remark on a coin that isn't listed any more."""


def look_for_coins(world: World, now: datetime, *, at_once: bool = False) -> None:
    """Fetch the venue's contracts if that is due, or `at_once`; without discovery or in a dry run, do nothing.

    If contracts or prices can't be read, nothing changes.
    """
    rules, ask = world.rules.registry, world.contracts
    if rules is None or not rules.discovery or ask is None or world.dry_run:
        return
    before = world.facts.discovery()
    if not (at_once or is_discovery_due(before, now, rules)):
        return
    try:
        after = _discover(world, before, ask(), now)
    except TradebotError as error:
        after = replace(before, problem=error.message)
    world.facts.put_discovery(after)
    for event in _coin_changes(before, after, world.rules.universe, now):
        world.events.emit(event)


def _discover(world: World, before: Discovery, listed: Sequence[str], now: datetime) -> Discovery:
    rules = world.rules.registry
    assert rules is not None
    if (doubtful := reject_listing(before, listed, now, rules)) is not None:
        return doubtful
    naming, pinned = Naming(world.rules.coin, world.rules.perpetual), world.rules.pinned
    held_symbols = frozenset(position.symbol for position in world.ledger.totals().own_positions())
    wanted = sorted(symbol for symbol in {*listed, *pinned, *held_symbols} if not naming.objection(symbol))
    quotes = world.market.quotes(wanted)
    rejected, most_s = world.market.rejected_quotes, world.rules.limits.max_quote_age_s
    figures = {symbol: figures_of(quotes.get(symbol), rejected.get(symbol, ""), now, most_s) for symbol in wanted}
    retained_coins = RetainedCoins(pinned, held_symbols, world.rules.universe)
    return update_discovery(before, listed, figures, retained_coins, now, rules, naming)


def _coin_changes(before: Discovery, after: Discovery, universe: Sequence[str], now: datetime) -> list[SystemEvent]:
    """Return the events of what changed; `universe` is what was traded before."""
    if after.problem:
        change = {"why": after.problem}
        return [] if before.problem else [EventKind.LIST_NOT_BELIEVED.at(now, change)]
    was, traded, events = frozenset(universe), frozenset(after.symbols), list[SystemEvent]()
    if was != traded:
        details = {"added": _name_some(traded - was), "removed": _name_some(was - traded), "symbols": str(len(traded))}
        events.append(EventKind.UNIVERSE_CHANGED.at(now, details))
    listed = frozenset(coin.symbol for coin in before.found if coin.listed)
    for coin in after.found:
        if coin.symbol in listed and not coin.listed:
            stays = STAYS if coin.symbol in traded else GOES
            events.append(EventKind.COIN_UNLISTED.at(now, {"message": stays}, coin.symbol))
    return events


def _name_some(symbols: frozenset[str]) -> str:
    names = sorted(symbols)
    more = f" and {len(names) - LONGEST} more" if len(names) > LONGEST else ""
    return f"{', '.join(names[:LONGEST])}{more}"
