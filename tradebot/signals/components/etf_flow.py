"""Money that flows into a fund."""

from collections.abc import Iterator

from tradebot.model.inputs import Input
from tradebot.signals.formula import clamp
from tradebot.signals.kinds import etf_flow
from tradebot.signals.kinds.etf_flow import EtfFlowFacts
from tradebot.signals.scoring import USD, Known, ScoreComponent


def _flow(known: Known) -> EtfFlowFacts | None:
    return etf_flow.KIND.of(known.facts.known)


def _value(known: Known) -> float | None:
    """Return the last date's flow by its usual magnitude, reversed: what flows push up tends to come back."""
    change = _flow(known)
    if change is None or not change.scale_usd:
        return None
    return -clamp(change.change_usd / (2 * change.scale_usd), -1.0, 1.0)


def _inputs(known: Known) -> Iterator[Input]:
    change = _flow(known)
    if change is not None:
        yield Input("change", change.change_usd, USD, change.date, change.date.isoformat())
        yield Input("earlier_days", change.days, "days")
        if change.scale_usd is not None:
            yield Input("scale", change.scale_usd, USD)


COMPONENT = ScoreComponent(
    name="etf_flow",
    family="fund_flow",
    reads=(etf_flow.KIND,),
    sign="bearish if more money than usual flowed in, bullish if it flowed out",
    formula="-clamp(change / (2 * scale), -1, 1)",
    absent="the symbol is no fund, or no flow is known to measure against",
    value=_value,
    inputs=_inputs,
    source=lambda known: f"{change.days if (change := _flow(known)) else 0} earlier days",
    after="our own; the scale is the mean magnitude of two months",
    evidence="Brown, Davies & Ringgenberg 2021: funds with inflows return less, over a month",
)
