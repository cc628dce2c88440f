"""Decide whether the data of a coin can be trusted, and when it is looked at again.

Some failures in a row make healthy data degraded, which is then looked at in fewer passes. Data that stays degraded is
suspended and only probed now and then. Some passes in a row make either healthy again.
"""

from collections.abc import Iterator
from datetime import datetime, timedelta
from decimal import Decimal

from tradebot.model.registry import CoinHealth, DataCheck, DataHealthRules, DataState, Failed, Figures
from tradebot.model.series import Series, width_of
from tradebot.model.values import replace


def of_figures(figures: Figures, rules: DataHealthRules) -> Iterator[Failed]:
    """Yield the checks that the figures of a coin fail. What isn't known fails."""
    if figures.spread_fraction is None:
        yield Failed(DataCheck.QUOTE, None, None)
    elif figures.spread_fraction > rules.max_spread_fraction:
        yield Failed(DataCheck.SPREAD, figures.spread_fraction, rules.max_spread_fraction)
    if figures.volume_usd is None or figures.volume_usd < rules.min_volume_usd:
        yield Failed(DataCheck.VOLUME, figures.volume_usd, rules.min_volume_usd)


def of_candles(candles: Series | None, now: datetime, rules: DataHealthRules) -> Iterator[Failed]:
    """Yield the checks that the candles of a coin fail; None if they couldn't be read."""
    count = len(candles) if candles else 0
    if count < rules.min_candles:
        yield Failed(DataCheck.CANDLES, Decimal(count), Decimal(rules.min_candles))
    if candles and count and (late_s := int((now - next_candle_at(candles)).total_seconds())) > rules.max_late_s:
        yield Failed(DataCheck.NEWEST, Decimal(late_s), Decimal(rules.max_late_s))


def next_candle_at(candles: Series) -> datetime:
    """Return when the candle after the newest one should be there; until then, reading them again says nothing new."""
    return candles.start_of(-1) + 2 * (width_of(candles.timeframe) or timedelta(days=1))


def is_due(state: DataState | None, now: datetime, rules: DataHealthRules) -> bool:
    """Return True if a coin's data has to be looked at in this pass. A look that is later than now doesn't count."""
    if state is None or state.health is CoinHealth.HEALTHY or now < state.looked_at:
        return True
    if state.health is CoinHealth.DEGRADED and not _is_lasting(state, now, rules):
        return state.skipped + 1 >= rules.degraded_every
    return (now - state.looked_at).total_seconds() >= rules.probe_s


def after_a_look(
    before: DataState | None, failed: tuple[Failed, ...], now: datetime, rules: DataHealthRules
) -> DataState:
    """Return the state of a coin's data after a look. At the first one, it isn't trusted unless it passes."""
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


def without_a_look(before: DataState, now: datetime, rules: DataHealthRules) -> DataState:
    """Return the state after a pass that didn't look at a coin's data."""
    return _suspended_if_lasting(replace(before, skipped=before.skipped + 1), now, rules)


def _is_lasting(state: DataState, now: datetime, rules: DataHealthRules) -> bool:
    return (now - state.since).total_seconds() >= rules.suspend_after_s


def _suspended_if_lasting(state: DataState, now: datetime, rules: DataHealthRules) -> DataState:
    lasting = state.health is CoinHealth.DEGRADED and _is_lasting(state, now, rules)
    return _now(state, CoinHealth.SUSPENDED, now) if lasting else state


def _now(state: DataState, health: CoinHealth, now: datetime) -> DataState:
    """Return a state that has just become another one; the passes of one that recovers go on counting."""
    passes = state.passes if health is CoinHealth.SUSPENDED else 0
    return replace(state, health=health, since=now, failures=0, passes=passes, skipped=0)
