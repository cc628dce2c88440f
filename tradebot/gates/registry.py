"""The gates of the registry: enough coins have healthy data, and the coin itself is eligible.

They are evaluated only if a registry is configured and enabled.
"""

from datetime import datetime

from tradebot.gates.ask import ACCOUNT, CANDIDATE
from tradebot.gates.shared_gates import answer
from tradebot.model.decision import Decision, Gate, Verdict
from tradebot.model.reasons import Reason
from tradebot.model.registry import NO_VOLUME, Coin, CoinHealth, Failed, Figures, Registry, Tier

_UNFIT = {CoinHealth.DEGRADED: Reason.DATA_DEGRADED, CoinHealth.SUSPENDED: Reason.DATA_SUSPENDED}


def enough_healthy(registry: Registry, now: datetime) -> Decision:
    """Refuse every entry while fewer coins than needed have healthy data."""
    healthy, needed = registry.healthy(now), registry.rules.health.needed_count(len(registry.symbols))
    return answer(Gate.DATA_HEALTH, healthy >= needed, Reason.TOO_FEW_HEALTHY, healthy, needed)


def eligible(registry: Registry, symbol: str, now: datetime) -> Decision:
    """Refuse a coin that is below all tiers, whose tier is unknown, or whose data can't be trusted."""
    coin = registry.coins.get(symbol)
    if coin is None:
        return Decision(Gate.REGISTRY, Verdict.UNKNOWN, Reason.TIER_UNKNOWN, "never looked at")
    if not registry.is_current(coin, now):
        age_s, limit = max(registry.ages_s(coin, now)), registry.rules.max_age_s
        return Decision(Gate.REGISTRY, Verdict.UNKNOWN, Reason.TIER_UNKNOWN, f"{age_s:.0f} s old", f"{limit} s", age_s)
    return _judge_coin(registry, coin)


def _judge_coin(registry: Registry, coin: Coin) -> Decision:
    rank, data = coin.rank, coin.data
    if not rank.known:
        lacking = rank.figures.why or NO_VOLUME
        return Decision(Gate.REGISTRY, Verdict.UNKNOWN, Reason.TIER_UNKNOWN, lacking)
    if rank.tier is None:
        lowest = registry.rules.tiers.of(Tier.C)
        price = "" if lowest.min_price is None else f", price {lowest.min_price:f}"
        needs = f"{lowest.min_volume_usd:,.0f} USD a day, spread {lowest.max_spread_fraction:.2%}{price}"
        return Decision(Gate.REGISTRY, Verdict.FAIL, Reason.BELOW_TIERS, format_figures(rank.figures), needs)
    if (reason := _UNFIT.get(data.health)) is not None:
        return Decision(Gate.REGISTRY, Verdict.FAIL, reason, failures(data.failed) or "waits for more looks")
    return Decision(Gate.REGISTRY, Verdict.PASS, None, rank.tier.value)


def format_figures(figures: Figures) -> str:
    """Format figures as text, leaving out unknown ones."""
    parts = (
        None if figures.volume_usd is None else f"{figures.volume_usd:,.0f} USD a day",
        None if figures.spread_fraction is None else f"spread {figures.spread_fraction:.2%}",
        None if figures.price is None else f"price {figures.price.normalize():f}",
        figures.why or None,
    )
    return ", ".join(part for part in parts if part)


def failures(failed: tuple[Failed, ...]) -> str:
    """Describe failed checks, each with what was observed and its limit."""
    return ", ".join(_failure(name) for name in failed)


def _failure(failed: Failed) -> str:
    if failed.limit is None:
        return f"no {failed.check}"
    observed = "unknown" if failed.observed is None else f"{failed.observed.normalize():f}"
    return f"{failed.check} {observed} (limit {failed.limit.normalize():f})"


ACCOUNT.gate(Gate.DATA_HEALTH)(
    lambda account: enough_healthy(account.desk.registry, account.desk.now) if account.desk.registry else None
)
CANDIDATE.gate(Gate.REGISTRY)(
    lambda ask: eligible(ask.desk.registry, ask.candidate.symbol, ask.desk.now) if ask.desk.registry else None
)
