"""Score our facts as the earlier bot would have: for comparison only, see docs/STRATEGY.md."""

from collections.abc import Iterator
from math import exp, fsum

from tradebot.legacy.score import LARGEST, THRESHOLD, LegacyInputs, LegacyScore, score, tide_of
from tradebot.model.candidate import Component, ComponentInputs, Input, Side
from tradebot.model.decision import Decision, Gate, Verdict
from tradebot.model.instrument import Right
from tradebot.model.reasons import Reason
from tradebot.model.view import Open, StrategyView
from tradebot.signals.formula import sign
from tradebot.signals.kinds import dark_pool, greek_exposure, iv_rank, market_tide, oi_change
from tradebot.signals.scoring import Known
from tradebot.strategies.flow import FlowStrategy

_NEUTRAL_USD, _SATURATED_USD = 100_000.0, 5_000_000.0
_BULLISH_PRINTS_USD = 1_000_000.0
_FADES_IN_MINUTES = 45.0


class LegacyStrategy(FlowStrategy):
    """Takes the place of the flow strategy, with its settings.

    The weights only say which facts are fetched; those of the rows are in the score.
    """

    def _wants(self, view: StrategyView) -> list[Open]:
        count = self._counting(view)
        return [self._scored(self._known(view, symbol, count)) for symbol in view.universe]

    def inputs(self, view: StrategyView, symbol: str) -> tuple[ComponentInputs, ...]:
        inputs = _inputs(self._known(view, symbol, self._counting(view)))
        made, direction = score(inputs), Input("direction", inputs.flow_direction, "-1, 0 or 1")
        formula, freshness = f"clamp(direction * row * freshness / {LARGEST:g}, -1, 1)", inputs.freshness
        return tuple(
            ComponentInputs(
                part.name,
                formula,
                (direction, Input("row", made.rows[part.name], "points of 8"), Input("freshness", freshness, "factor")),
            )
            for part in _components(inputs, made)
        )

    def _scored(self, known: Known) -> Open:
        inputs = _inputs(known)
        made = score(inputs)
        signed = inputs.flow_direction * made.unrounded / LARGEST
        verdict, reason = (Verdict.PASS, None) if made.passes else (Verdict.FAIL, Reason.STRATEGY_DECLINED)
        decision = self._refusal(signed) or Decision(Gate.STRATEGY, verdict, reason, made.score, THRESHOLD)
        side, parts = Side.BUY if signed >= 0 else Side.SELL, tuple(_components(inputs, made))
        # What was absent counted as known there.
        return Open(known.facts.symbol, side, signed, coverage=1.0, components=parts, decisions=(decision,))


def _components(inputs: LegacyInputs, made: LegacyScore) -> Iterator[Component]:
    """Yield what each row adds to the score; rows of zero are left out."""
    share = inputs.flow_direction * inputs.freshness / LARGEST
    for name, row in made.rows.items():
        if row:
            yield Component(name, max(-1.0, min(1.0, row * share)), 1.0, f"{row:.3f} of {LARGEST:g}")


def _inputs(known: Known) -> LegacyInputs:
    """Return our facts that stand for what the earlier bot read; its other rows see nothing, as they did then."""
    facts = known.facts.known
    gamma, rank, changes = greek_exposure.KIND.of(facts), iv_rank.KIND.of(facts), oi_change.KIND.of(facts)
    net, prints, ticks = _net_flow(known), dark_pool.KIND.of(facts), market_tide.KIND.of(known.market) or ()
    prints_usd = fsum(prints.usd if prints else ())
    calls, puts = tide_of([(float(tick.net_call_premium), float(tick.net_put_premium)) for tick in ticks])
    return LegacyInputs(
        flow_direction=sign(net),
        flow_conviction=min(1.0, abs(net) / _SATURATED_USD),
        # Much of it was bullish, and nothing was ever bearish.
        dark_pool_direction=int(prints_usd > _BULLISH_PRINTS_USD),
        dark_pool_premium_usd=prints_usd,
        freshness=_freshness(known),
        tide_call_premium_usd=calls,
        tide_put_premium_usd=puts,
        gamma_exposure=0.0 if gamma is None else gamma.gex,
        iv_rank=50.0 if rank is None else float(rank.rank),
        open_interest_net_change_contracts=changes.net if changes else 0,
        open_interest_direction=sign(changes.net) if changes else 0,
    )


def _net_flow(known: Known) -> float:
    """Sum whole premiums, calls against puts: which side paid them made no difference. Little is 0."""
    calls, puts = (
        fsum(float(alert.premium) for alert in known.alerts if alert.right is right)
        for right in (Right.CALL, Right.PUT)
    )
    return calls - puts if abs(calls - puts) > _NEUTRAL_USD else 0.0


def _freshness(known: Known) -> float:
    if not known.alerts:
        return 1.0
    age_s = (known.now - max(alert.at for alert in known.alerts)).total_seconds()
    return max(0.1, min(1.0, exp(-age_s / 60 / _FADES_IN_MINUTES)))
