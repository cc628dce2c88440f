"""How dealers' gamma affects the direction of the flow."""

from collections.abc import Iterator

from tradebot.model.inputs import Input
from tradebot.signals.kinds import flow_alerts, greek_exposure
from tradebot.signals.kinds.greek_exposure import GammaFacts
from tradebot.signals.scoring import Known, ScoreComponent


def _gamma(known: Known) -> GammaFacts | None:
    return greek_exposure.KIND.of(known.facts.known)


def _value(known: Known) -> float | None:
    """Return how dealers' gamma affects the flow's direction: short gamma amplifies it, long gamma damps it.

    The exposure is compared with the mean magnitude of earlier sessions. Without earlier sessions, or if all were zero,
    there is no scale and the result is None.
    """
    gamma = _gamma(known)
    if gamma is None or not gamma.scale:
        return None
    return -known.direction * max(-1.0, min(1.0, gamma.gex / (2 * gamma.scale)))


def _inputs(known: Known) -> Iterator[Input]:
    gamma = _gamma(known)
    if gamma is not None:
        yield Input("gamma", gamma.gex, "gamma")
    if gamma is not None and gamma.scale is not None:
        yield Input("scale", gamma.scale, "gamma")
    yield Input("earlier_sessions", gamma.sessions if gamma else 0, "sessions")
    yield known.direction_input


def _source(known: Known) -> str:
    gamma = _gamma(known)
    return f"{gamma.sessions if gamma else 0} earlier sessions"


COMPONENT = ScoreComponent(
    name="greek_exposure",
    family="dealers",
    follows="flow",
    reads=(greek_exposure.KIND, flow_alerts.KIND),
    sign="bullish if dealers are short gamma and the flow is bullish, or long gamma and the flow is bearish",
    formula="-direction * clamp(gamma / (2 * scale), -1, 1)",
    absent="no exposure, or no earlier ones to measure against",
    value=_value,
    inputs=_inputs,
    source=_source,
)
