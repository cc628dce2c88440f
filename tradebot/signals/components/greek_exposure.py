"""How dealers' gamma affects the direction of the flow."""

from collections.abc import Iterator

from tradebot.model.inputs import Input
from tradebot.signals.ages import still_counts
from tradebot.signals.following import flow_input, followed
from tradebot.signals.formula import clamp
from tradebot.signals.kinds import flow_alerts, greek_exposure, options_volume
from tradebot.signals.kinds.greek_exposure import GammaFacts
from tradebot.signals.scoring import Known, ScoreComponent


def _gamma(known: Known) -> GammaFacts | None:
    """Return the last session's gamma if that session is recent."""
    gamma = greek_exposure.KIND.of(known.facts.known)
    return gamma if gamma and still_counts(greek_exposure.KIND, gamma.date, known.now) else None


def _value(known: Known) -> float | None:
    """Return the flow, turned around if dealers are long gamma: they trade against a move then, and with it otherwise.

    The exposure is compared with the mean magnitude of earlier sessions. Without earlier sessions, or if all were zero,
    there is no scale and the result is None.
    """
    gamma = _gamma(known)
    if gamma is None or not gamma.scale:
        return None
    return followed(known, -clamp(gamma.gex / (2 * gamma.scale), -1.0, 1.0))


def _inputs(known: Known) -> Iterator[Input]:
    gamma = _gamma(known)
    if gamma is not None:
        yield Input("gamma", gamma.gex, "gamma", gamma.date, gamma.date.isoformat())
    if gamma is not None and gamma.scale is not None:
        yield Input("scale", gamma.scale, "gamma")
    yield Input("earlier_sessions", gamma.sessions if gamma else 0, "sessions")
    yield from flow_input(known)


def _source(known: Known) -> str:
    gamma = _gamma(known)
    return f"{gamma.sessions if gamma else 0} earlier sessions"


COMPONENT = ScoreComponent(
    name="greek_exposure",
    family="dealers",
    follows="flow",
    reads=(greek_exposure.KIND, flow_alerts.KIND, options_volume.KIND),
    sign="with the flow if dealers are short gamma, against it if they are long",
    formula="-flow * clamp(gamma / (2 * scale), -1, 1)",
    absent="no direction of the flow, or no exposure of the last days and earlier ones to measure it against",
    value=_value,
    inputs=_inputs,
    source=_source,
    after="tradebot: the gamma of the last session, measured against that of the sessions before it",
    inferred="that dealers are on the other side of all open options, as the source assumes",
)
