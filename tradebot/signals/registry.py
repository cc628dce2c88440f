"""Decide which of a venue's contracts are traded, at which tier, and whether their data can be trusted.

A coin's tier comes from its volume, its spread and its price. A tier falls as soon as the numbers do. It rises only
once better numbers have lasted, and only to the lowest tier that they reached during that time, so that one busy hour
doesn't make a coin count as liquid. With unknown numbers, the tier stays as it is and the coin isn't eligible.

The perpetual of each coin that reaches a tier is traded, and so are pinned coins. A venue's list that is empty, or much
shorter than the previous one, changes nothing at first. A much shorter list is accepted once lists have been that short
for as long as a tier takes to rise. A coin with unknown numbers keeps its present state.

After several failures in a row, healthy data becomes degraded and is checked in fewer passes. Data that stays degraded
is suspended and only probed now and then. After several passed checks in a row, it is healthy again.
"""

from collections import Counter
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from datetime import datetime, timedelta
from decimal import Decimal
from typing import NamedTuple

from tradebot.model.bar import Quote
from tradebot.model.registry import (
    NO_VOLUME,
    CoinHealth,
    DataCheck,
    DataHealthRules,
    DataState,
    DiscoveredContract,
    Discovery,
    Failed,
    Figures,
    Rank,
    RegistryRules,
    Tier,
    TierRules,
    Tiers,
    height,
)
from tradebot.model.series import Series, width_of
from tradebot.model.struct_tools import replace


def of_figures(figures: Figures, rules: DataHealthRules) -> Iterator[Failed]:
    """Yield the checks that the figures of a coin fail. An unknown figure fails."""
    if figures.spread_fraction is None:
        yield Failed(DataCheck.QUOTE, None, None)
    elif figures.spread_fraction > rules.max_spread_fraction:
        yield Failed(DataCheck.SPREAD, figures.spread_fraction, rules.max_spread_fraction)
    if figures.volume_usd is None or figures.volume_usd < rules.min_volume_usd:
        yield Failed(DataCheck.VOLUME, figures.volume_usd, rules.min_volume_usd)


def of_candles(candles: Series | None, now: datetime, rules: DataHealthRules) -> Iterator[Failed]:
    """Yield the checks that the candles of a coin fail; `candles` is None if they couldn't be read."""
    count = len(candles) if candles else 0
    if count < rules.min_candles:
        yield Failed(DataCheck.CANDLES, Decimal(count), Decimal(rules.min_candles))
    if candles and count and (late_s := int((now - next_candle_at(candles)).total_seconds())) > rules.max_late_s:
        yield Failed(DataCheck.NEWEST, Decimal(late_s), Decimal(rules.max_late_s))


def next_candle_at(candles: Series) -> datetime:
    """Return when the candle after the newest one is due; before that, reading candles again is pointless."""
    return candles.start_of(-1) + 2 * (width_of(candles.timeframe) or timedelta(days=1))


def is_data_check_due(state: DataState | None, now: datetime, rules: DataHealthRules) -> bool:
    """Return True if a coin's data has to be checked in this pass. A check that is dated later than `now` doesn't
    count.
    """
    if state is None or state.health is CoinHealth.HEALTHY or now < state.looked_at:
        return True
    if state.health is CoinHealth.DEGRADED and not _is_lasting(state, now, rules):
        return state.skipped + 1 >= rules.degraded_every
    return (now - state.looked_at).total_seconds() >= rules.probe_s


def after_check(
    before: DataState | None, failed: tuple[Failed, ...], now: datetime, rules: DataHealthRules
) -> DataState:
    """Return the state of a coin's data after a check. A coin that fails its first check isn't trusted."""
    if before is None:
        return DataState(CoinHealth.DEGRADED if failed else CoinHealth.HEALTHY, now, now, failed=failed)
    if failed:
        looked = replace(before, looked_at=now, failures=before.failures + 1, passes=0, skipped=0, failed=failed)
        if before.health is CoinHealth.HEALTHY:
            return _now(looked, CoinHealth.DEGRADED, now) if looked.failures >= rules.failures else looked
        return _suspended_if_lasting(looked, now, rules)
    looked = replace(before, looked_at=now, failures=0, passes=before.passes + 1, skipped=0, failed=())
    if before.health is CoinHealth.HEALTHY:
        return replace(looked, passes=0)
    return (
        _now(looked, CoinHealth.HEALTHY, now)
        if looked.passes >= rules.passes
        else (_suspended_if_lasting(looked, now, rules))
    )


def after_unchecked_pass(before: DataState, now: datetime, rules: DataHealthRules) -> DataState:
    """Return the state after a pass that didn't check a coin's data."""
    return _suspended_if_lasting(replace(before, skipped=before.skipped + 1), now, rules)


def _is_lasting(state: DataState, now: datetime, rules: DataHealthRules) -> bool:
    return (now - state.since).total_seconds() >= rules.suspend_after_s


def _suspended_if_lasting(state: DataState, now: datetime, rules: DataHealthRules) -> DataState:
    lasting = state.health is CoinHealth.DEGRADED and _is_lasting(state, now, rules)
    return _now(state, CoinHealth.SUSPENDED, now) if lasting else state


def _now(state: DataState, health: CoinHealth, now: datetime) -> DataState:
    """Return a state with a new health, keeping the count of passes if it is recovering."""
    passes = state.passes if health is CoinHealth.SUSPENDED else 0
    return replace(state, health=health, since=now, failures=0, passes=passes, skipped=0)


def figures_of(quote: Quote | None, why: str, now: datetime, max_age_s: float) -> Figures:
    """Return a coin's numbers from its quote; a missing, old or crossed quote gives only the reason `why`."""
    if quote is None:
        return Figures(why=why or "no quote")
    if abs(age_s := quote.age_s(now)) > max_age_s:
        return Figures(quote.day_volume_usd, why=f"a quote {age_s:.0f} s old")
    if not 0 < quote.bid <= quote.ask:
        return Figures(quote.day_volume_usd, why=f"a bid of {quote.bid:f} and an ask of {quote.ask:f}")
    return Figures(quote.day_volume_usd, (quote.ask - quote.bid) / quote.middle, quote.middle)


def missing(figures: Figures, *, pinned: bool) -> str:
    """Return which required figure of a coin is missing; empty if none. A pinned coin only needs a quote."""
    if figures.price is None:
        return figures.why
    return NO_VOLUME if figures.volume_usd is None and not pinned else ""


def tier_for(figures: Figures, tiers: Tiers) -> Tier | None:
    """Return the highest tier that complete figures reach; None if they reach none."""
    return next((tier for tier in Tier if _reaches(figures, tiers.of(tier))), None)


def _reaches(figures: Figures, rules: TierRules) -> bool:
    volume, spread, price = figures.volume_usd, figures.spread_fraction, figures.price
    if volume is None or spread is None or price is None:
        return False
    enough = volume >= rules.min_volume_usd and spread <= rules.max_spread_fraction
    return enough and (rules.min_price is None or price >= rules.min_price)


def is_due(rank: Rank | None, now: datetime, rules: RegistryRules) -> bool:
    """Return True if the tier must be measured: it is unknown, or its measurement is outdated or dated after `now`."""
    if rank is None or not rank.known or rank.measured_at is None:
        return True
    return not 0 <= (now - rank.measured_at).total_seconds() < rules.refresh_s


def update_rank(before: Rank | None, figures: Figures, now: datetime, rules: RegistryRules, *, pinned: bool) -> Rank:
    """Return the rank of a coin after its figures were read."""
    if missing(figures, pinned=pinned):
        if before is None:
            return Rank(None, known=False, figures=figures, since=now)
        since = now if before.known else before.since
        return replace(before, known=False, figures=figures, since=since, rising_to=None, rising_since=None)
    best = Tier.A if pinned else tier_for(figures, rules.tiers)
    measured = Rank(best, known=True, figures=figures, since=now, measured_at=now)
    if before is None or before.measured_at is None or pinned or height(best) < height(before.tier):
        same = before is not None and before.known and before.tier is best
        return replace(measured, since=before.since) if before and same else measured
    rank = replace(measured, tier=before.tier, since=before.since if before.known else now)
    if best is before.tier or best is None:
        return rank
    return _rising(before, rank, best, now, rules)


def _rising(before: Rank, rank: Rank, best: Tier, now: datetime, rules: RegistryRules) -> Rank:
    """Return a rank on its way up: at the lowest of the better tiers once they have lasted long enough."""
    since, lowest = before.rising_since or now, min(before.rising_to or best, best, key=height)
    if (now - since).total_seconds() >= rules.rise_after_s:
        return replace(rank, tier=lowest, since=now)
    return replace(rank, rising_to=lowest, rising_since=since)


NOTHING_LISTED = "it names no contract"

GONE = "the venue doesn't list it any more"


class Naming(NamedTuple):
    """How symbols are named: functions for the coin of a symbol and the perpetual of a coin.

    Both raise ValueError if the name is ambiguous.
    """

    coin: Callable[[str], str]
    perpetual: Callable[[str], str]

    def objection(self, symbol: str) -> str:
        """Return why a symbol isn't the perpetual by which its coin is traded; empty if it is."""
        try:
            coin = self.coin(symbol)
            perpetual = self.perpetual(coin)
        except ValueError as unclear:
            return str(unclear)
        return "" if perpetual == symbol else f"it is another contract of {coin}, which is traded as {perpetual}"


class RetainedCoins(NamedTuple):
    """Coins that stay even if unlisted: `pinned` ones permanently, `held` ones until their position is closed.

    Coins that have been `traded` stay while their tier is unknown.
    """

    pinned: Collection[str]
    held: Collection[str]
    traded: Collection[str] = ()


def is_discovery_due(before: Discovery, now: datetime, rules: RegistryRules) -> bool:
    """Return True if the venue has to be queried: it never was, its last list was rejected, or the list is outdated."""
    if before.at is None or before.problem:
        return True
    return not 0 <= (now - before.at).total_seconds() < rules.refresh_s


def reject_listing(before: Discovery, listed: Sequence[str], now: datetime, rules: RegistryRules) -> Discovery | None:
    """Return the present discovery with the problem if a list is rejected; None if the list is accepted."""
    count = len(set(listed))
    if not count:
        return replace(before, problem=NOTHING_LISTED)
    if 2 * count > before.listed_count:
        return None
    since = before.short_since or now
    if (now - since).total_seconds() >= rules.rise_after_s:
        return None
    problem = f"it names {count} contracts, but the previous list named {before.listed_count}"
    return replace(before, problem=problem, short_since=since)


def update_discovery(
    before: Discovery, listed: Sequence[str], figures: Mapping[str, Figures], retained: RetainedCoins, now: datetime,
    rules: RegistryRules, naming: Naming,
) -> Discovery:  # fmt: skip
    """Return the discovery after an accepted list, with the figures of its contracts.

    A contract that is neither listed nor retained is included once more, as not traded, and then dropped.
    """
    coins = {coin.symbol: coin for coin in before.found}
    gone = (coin.symbol for coin in before.found if not coin.why)
    # A second contract of a coin would be the same risk under another name, so not even a pin retains it.
    retained = RetainedCoins(_single(retained.pinned, naming), _single(retained.held, naming), retained.traded)
    look, times = _ListingCheck(coins, figures, retained, now, rules, naming), Counter(listed)
    symbols = sorted({*listed, *gone, *retained.pinned, *retained.held})
    return Discovery(tuple(look.at(symbol, times[symbol]) for symbol in symbols), now)


def _single(symbols: Collection[str], naming: Naming) -> frozenset[str]:
    return frozenset(symbol for symbol in symbols if not naming.objection(symbol))


class _ListingCheck(NamedTuple):
    known: Mapping[str, DiscoveredContract]
    figures: Mapping[str, Figures]
    retained: RetainedCoins
    now: datetime
    rules: RegistryRules
    naming: Naming

    def at(self, symbol: str, times: int) -> DiscoveredContract:
        """Return a contract's state, given how often it is listed."""
        before, read = self.known.get(symbol), self.figures.get(symbol, Figures(why="no quote"))
        tier, since = tier_for(read, self.rules.tiers), before.since if before else self.now
        if symbol in self.retained.pinned:
            return DiscoveredContract(symbol, since, bool(times), Tier.A, read)
        objections = () if symbol in self.retained.held else self._objections(symbol, times, read, tier)
        why = next(filter(None, objections), "")
        return DiscoveredContract(symbol, since, bool(times), tier, read, why)

    def _objections(self, symbol: str, times: int, read: Figures, tier: Tier | None) -> Iterator[str]:
        if times != 1:
            yield f"the venue lists it {times} times" if times else GONE
        yield self.naming.objection(symbol)
        if unknown := missing(read, pinned=False):
            yield "" if symbol in self.retained.traded else f"its tier isn't known: {unknown}"
        elif tier is None:
            yield "it is below all tiers"
