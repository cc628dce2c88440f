"""Score our facts as the earlier bot would have: for comparison only, see docs/STRATEGY.md."""

from collections.abc import Iterator
from math import exp, fsum

from tradebot.model.candidate import Component
from tradebot.model.decision import Decision, Gate, Verdict
from tradebot.model.inputs import ComponentInputs, Input
from tradebot.model.instrument import Right
from tradebot.model.reasons import Reason
from tradebot.signals import legacy
from tradebot.signals.kinds import (
    dark_pool,
    flow_alerts,
    greek_exposure,
    iv_rank,
    market_tide,
    oi_change,
    options_volume,
)
from tradebot.signals.legacy import LegacyScore
from tradebot.signals.legacy_inputs import NO_FLOW, DarkPool, Flow, Gamma, LegacyInputs, OpenInterest, Tide
from tradebot.signals.scoring import Known

KINDS = (
    *(flow_alerts.KIND, dark_pool.KIND, greek_exposure.KIND, iv_rank.KIND, market_tide.KIND, oi_change.KIND),
    # Exits measure flow against it.
    options_volume.KIND,
)
"""The kinds of facts that stand for what the earlier bot read; its other rows see nothing, as they did then."""
_NEUTRAL_USD, _SATURATED_USD = 100_000.0, 5_000_000.0
_BULLISH_PRINTS_USD = 1_000_000.0
_FADES_IN_MINUTES = 45.0


def score(known: Known) -> tuple[float, float, LegacyScore]:
    """Return the signed score, -1 to 1, the freshness that it contains, and the score that it was made of."""
    inputs = _inputs(known)
    made = legacy.score(inputs)
    return inputs.flow.direction * made.unrounded / legacy.LARGEST, inputs.freshness, made


def components(signed: float, freshness: float, made: LegacyScore) -> tuple[Component, ...]:
    """Return what each row adds to the score; rows of zero are left out."""
    sign = (signed > 0) - (signed < 0)
    share = sign * freshness / legacy.LARGEST
    return tuple(
        Component(name, max(-1.0, min(1.0, row * share)), 1.0, f"{row:.3f} of {legacy.LARGEST:g}")
        for name, row in made.rows.items()
        if row
    )


def inputs(known: Known) -> Iterator[ComponentInputs]:
    """Yield what each part of the score is made of."""
    signed, freshness, made = score(known)
    direction = Input("direction", (signed > 0) - (signed < 0), "-1, 0 or 1")
    for part in components(signed, freshness, made):
        values = (direction, Input("row", made.rows[part.name], "points of 8"), Input("freshness", freshness, "factor"))
        yield ComponentInputs(part.name, f"clamp(direction * row * freshness / {legacy.LARGEST:g}, -1, 1)", values)


def decision(signed: float, made: LegacyScore) -> Decision:
    """Return the earlier bot's gate, and ours on a side: a neutral flow was a short there, and is no trade here."""
    if not signed:
        return Decision(Gate.STRATEGY, Verdict.FAIL, Reason.NO_DIRECTION, 0.0, None)
    if made.passes:
        return Decision(Gate.STRATEGY, Verdict.PASS, None, made.score, legacy.THRESHOLD)
    return Decision(Gate.STRATEGY, Verdict.FAIL, Reason.STRATEGY_DECLINED, made.score, legacy.THRESHOLD)


def _inputs(known: Known) -> LegacyInputs:
    gamma, rank = greek_exposure.KIND.of(known.facts.known), iv_rank.KIND.of(known.facts.known)
    return LegacyInputs(
        flow=_flow(known),
        dark_pool=_dark_pool(known),
        freshness=_freshness(known),
        tide=_tide(known),
        gamma=None if gamma is None else Gamma(gamma.gex, squeeze_flag=False),
        iv_rank=50.0 if rank is None else float(rank.rank),
        open_interest=_open_interest(known),
    )


def _flow(known: Known) -> Flow:
    """Sum whole premiums, calls against puts: which side paid them made no difference."""
    calls = fsum(float(alert.premium) for alert in known.alerts if alert.right is Right.CALL)
    net = calls - fsum(float(alert.premium) for alert in known.alerts if alert.right is Right.PUT)
    if abs(net) <= _NEUTRAL_USD:
        return NO_FLOW
    return Flow(1 if net > 0 else -1, min(1.0, abs(net) / _SATURATED_USD))


def _dark_pool(known: Known) -> DarkPool:
    """Sum the session's prints: much of it was bullish, and nothing was ever bearish."""
    prints = dark_pool.KIND.of(known.facts.known)
    total = fsum(prints.usd if prints else ())
    return DarkPool(int(total > _BULLISH_PRINTS_USD), total)


def _freshness(known: Known) -> float:
    if not known.alerts:
        return 1.0
    age_s = (known.now - max(alert.at for alert in known.alerts)).total_seconds()
    return max(0.1, min(1.0, exp(-age_s / 60 / _FADES_IN_MINUTES)))


def _tide(known: Known) -> Tide | None:
    ticks = market_tide.KIND.of(known.market)
    if not ticks:
        return None
    return legacy.tide_of([(float(tick.net_call_premium), float(tick.net_put_premium)) for tick in ticks])


def _open_interest(known: Known) -> OpenInterest | None:
    changes = oi_change.KIND.of(known.facts.known)
    if changes is None:
        return None
    return OpenInterest(changes.net, (changes.net > 0) - (changes.net < 0))
