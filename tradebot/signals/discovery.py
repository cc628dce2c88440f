"""Decide which of a venue's contracts are traded: the perpetual of each coin that reaches a tier, and pinned coins.

A list that is empty, or much shorter than the one before, changes nothing. A shorter one is believed once lists have
been that short for as long as a tier takes to rise. What isn't known of a coin leaves it in or out, as it was.
"""

from collections import Counter
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from datetime import datetime
from typing import NamedTuple

from tradebot.model.registry import Discovery, Figures, Found, RegistryRules, Tier
from tradebot.model.values import replace
from tradebot.signals.registry import missing, tier_for

NOTHING_LISTED = "it names no contract"
GONE = "the venue doesn't list it any more"


class Naming(NamedTuple):
    """How symbols are named: the coin of a symbol, and the perpetual of a coin. Both raise ValueError if unclear."""

    coin: Callable[[str], str]
    perpetual: Callable[[str], str]

    def objection(self, symbol: str) -> str:
        """Return why a symbol isn't the one perpetual of its coin; empty if it is."""
        try:
            coin = self.coin(symbol)
            perpetual = self.perpetual(coin)
        except ValueError as unclear:
            return str(unclear)
        return "" if perpetual == symbol else f"it is another contract of {coin}, which is traded as {perpetual}"


class RetainedCoins(NamedTuple):
    """What stays whatever is listed: `pinned` coins for good, and those that are `held` until they are closed.

    Those that were `traded` so far stay as long as their tier isn't known.
    """

    pinned: Collection[str]
    held: Collection[str]
    traded: Collection[str] = ()


def is_due(before: Discovery, now: datetime, rules: RegistryRules) -> bool:
    """Return True if the venue has to be asked: it never was, its last list wasn't believed, or that was long ago."""
    if before.at is None or before.problem:
        return True
    return not 0 <= (now - before.at).total_seconds() < rules.refresh_s


def reject_listing(before: Discovery, listed: Sequence[str], now: datetime, rules: RegistryRules) -> Discovery | None:
    """Return what is known if a list isn't believed; None if it is."""
    count = len(set(listed))
    if not count:
        return replace(before, problem=NOTHING_LISTED)
    if 2 * count > before.listed_count:
        return None
    since = before.short_since or now
    if (now - since).total_seconds() >= rules.rise_after_s:
        return None
    problem = f"it names {count} contracts, and the one before named {before.listed_count}"
    return replace(before, problem=problem, short_since=since)


def update_discovery(
    before: Discovery, listed: Sequence[str], figures: Mapping[str, Figures], kept: RetainedCoins, now: datetime,
    rules: RegistryRules, naming: Naming,
) -> Discovery:  # fmt: skip
    """Return what is known after a believed list, with what was read of its contracts.

    A contract that is neither listed nor kept is told of once more, as left out, and then forgotten.
    """
    known = {one.symbol: one for one in before.found}
    gone = (one.symbol for one in before.found if not one.why)
    # A second contract of a coin would be the same risk under another name, so nothing keeps it in.
    kept = RetainedCoins(_single(kept.pinned, naming), _single(kept.held, naming), kept.traded)
    look, times = _Look(known, figures, kept, now, rules, naming), Counter(listed)
    symbols = sorted({*listed, *gone, *kept.pinned, *kept.held})
    return Discovery(tuple(look.at(symbol, times[symbol]) for symbol in symbols), now)


def _single(symbols: Collection[str], naming: Naming) -> frozenset[str]:
    return frozenset(symbol for symbol in symbols if not naming.objection(symbol))


class _Look(NamedTuple):
    known: Mapping[str, Found]
    figures: Mapping[str, Figures]
    kept: RetainedCoins
    now: datetime
    rules: RegistryRules
    naming: Naming

    def at(self, symbol: str, times: int) -> Found:
        """Return what is known of a contract at its number of listings."""
        before, read = self.known.get(symbol), self.figures.get(symbol, Figures(why="no quote"))
        tier, since = tier_for(read, self.rules.tiers), before.since if before else self.now
        if symbol in self.kept.pinned:
            return Found(symbol, since, bool(times), Tier.A, read)
        objections = () if symbol in self.kept.held else self._objections(symbol, times, read, tier)
        why = next(filter(None, objections), "")
        return Found(symbol, since, bool(times), tier, read, why)

    def _objections(self, symbol: str, times: int, read: Figures, tier: Tier | None) -> Iterator[str]:
        if times != 1:
            yield f"the venue lists it {times} times" if times else GONE
        yield self.naming.objection(symbol)
        if unknown := missing(read, pinned=False):
            yield "" if symbol in self.kept.traded else f"its tier isn't known: {unknown}"
        elif tier is None:
            yield "it is below all tiers"
