"""How dealers' gamma at the price of this minute affects the direction of the flow."""

from collections.abc import Iterator

from tradebot.model.inputs import Input
from tradebot.signals.formula import clamp
from tradebot.signals.kinds import flow_alerts, spot_gex
from tradebot.signals.kinds.spot_gex import SpotGexFacts
from tradebot.signals.scoring import Known, ScoreComponent

UNIT = "USD per percent"


def _gamma(known: Known) -> SpotGexFacts | None:
    return spot_gex.KIND.of(known.facts.known)


def _value(known: Known) -> float | None:
    """Return the flow, amplified if dealers are short gamma and reversed if they are long, by their usual exposure."""
    gamma = _gamma(known)
    if not known.flow or gamma is None or not gamma.scale:
        return None
    return known.flow * -clamp(gamma.gamma / (2 * gamma.scale), -1.0, 1.0)


def _inputs(known: Known) -> Iterator[Input]:
    gamma = _gamma(known)
    if known.flow is not None:
        yield Input("flow", known.flow, "-1 to 1", known.facts.alerts_fetched_at)
    if gamma is not None:
        yield Input("gamma", gamma.gamma, UNIT, gamma.at, gamma.at.isoformat())
        yield Input("scale", gamma.scale, UNIT, gamma.at)
        yield Input("minutes", gamma.minutes, "minutes")


COMPONENT = ScoreComponent(
    name="spot_gex",
    family="dealers",
    follows="flow",
    reads=(spot_gex.KIND, flow_alerts.KIND),
    sign="bullish if dealers are short gamma and the flow is bullish, or long gamma and the flow is bearish",
    formula="flow * -clamp(gamma / (2 * scale), -1, 1)",
    absent="no flow, or no exposure of this session",
    value=_value,
    inputs=_inputs,
    source=lambda known: f"{gamma.minutes if (gamma := _gamma(known)) else 0} minutes",
    after="our own; the scale is the session's mean magnitude",
    evidence="Baltussen, Da, Lammers & Martens 2021: moves go on if dealers are short gamma, and turn if they are long",
    inferred="the side of dealers: the source assumes that they bought all calls and sold all puts",
)
