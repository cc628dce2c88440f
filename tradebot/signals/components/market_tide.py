"""The net option premium of the whole market."""

from collections.abc import Sequence

from tradebot.model.inputs import Input
from tradebot.signals.kinds import market_tide
from tradebot.signals.kinds.market_tide import TideTick
from tradebot.signals.scoring import USD, Known, ScoreComponent


def _ticks(known: Known) -> Sequence[TideTick]:
    return market_tide.KIND.of(known.market) or ()


def _recent(known: Known) -> Sequence[TideTick]:
    """Return the ticks, or none of them if the last one is too old to say anything about now."""
    ticks = _ticks(known)
    return ticks if ticks and ticks[-1].at > known.now - known.lookback else ()


def _value(known: Known) -> float | None:
    """Return call minus put premium over their absolute sum, from the last tick of the cumulative series."""
    ticks = _recent(known)
    if not ticks:
        return None
    last = ticks[-1]
    size = float(abs(last.net_call_premium) + abs(last.net_put_premium))
    return float(last.net_premium) / size if size else 0.0


def _inputs(known: Known) -> Sequence[Input]:
    ticks = _recent(known)
    if not ticks:
        return ()
    last = ticks[-1]
    return (
        Input("calls", last.net_call_premium, USD, last.at, last.id),
        Input("puts", last.net_put_premium, USD, last.at, last.id),
        Input("ticks_known", len(ticks), "ticks", last.at),
    )


COMPONENT = ScoreComponent(
    name="market_tide",
    family="market",
    reads=(market_tide.KIND,),
    sign="bullish if the market's net premium is in calls",
    formula="(calls - puts) / (abs(calls) + abs(puts)) if abs(calls) + abs(puts) else 0",
    absent="no tick within the lookback",
    value=_value,
    inputs=_inputs,
    source=lambda known: f"{len(_ticks(known))} ticks",
    after="the source's net premium of the session so far, over the sum of its magnitudes",
)
