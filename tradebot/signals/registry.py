"""Decide at which tier a coin may be traded, from its volume, its spread and its price.

A tier falls as soon as the figures do. It rises once the better figures have lasted, and then to the lowest tier that
they reached meanwhile, so that one busy hour makes no coin liquid. What isn't known leaves the tier as it is and the
coin not eligible.
"""

from datetime import datetime

from tradebot.model.bar import Quote
from tradebot.model.registry import NO_VOLUME, Figures, Rank, RegistryRules, Tier, TierRules, Tiers, height
from tradebot.model.values import replace


def figures_of(quote: Quote | None, why: str, now: datetime, max_age_s: float) -> Figures:
    """Return a quote's figures for a coin; a missing, old or crossed quote has none but `why`."""
    if quote is None:
        return Figures(why=why or "no quote")
    if abs(age_s := quote.age_s(now)) > max_age_s:
        return Figures(quote.day_volume_usd, why=f"a quote {age_s:.0f} s old")
    if not 0 < quote.bid <= quote.ask:
        return Figures(quote.day_volume_usd, why=f"a bid of {quote.bid:f} and an ask of {quote.ask:f}")
    return Figures(quote.day_volume_usd, (quote.ask - quote.bid) / quote.middle, quote.middle)


def missing(figures: Figures, *, pinned: bool) -> str:
    """Return what has to be known of a coin and isn't; empty if nothing. A pinned one only needs a quote."""
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
    """Return True if the tier has to be measured: it isn't known, or was measured long ago, or later than now."""
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
    held = replace(measured, tier=before.tier, since=before.since if before.known else now)
    if best is before.tier or best is None:
        return held
    return _rising(before, held, best, now, rules)


def _rising(before: Rank, held: Rank, best: Tier, now: datetime, rules: RegistryRules) -> Rank:
    """Return a rank on its way up: at the lowest of the better tiers once they have lasted long enough."""
    since, lowest = before.rising_since or now, min(before.rising_to or best, best, key=height)
    if (now - since).total_seconds() >= rules.rise_after_s:
        return replace(held, tier=lowest, since=now)
    return replace(held, rising_to=lowest, rising_since=since)
