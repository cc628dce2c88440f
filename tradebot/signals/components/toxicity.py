"""Whether all of a symbol's option trades go against its alerts."""

from collections.abc import Iterator

from tradebot.model.inputs import Input
from tradebot.signals.ages import still_counts
from tradebot.signals.following import flow_input, followed
from tradebot.signals.kinds import flow_alerts, net_prem_ticks, options_volume
from tradebot.signals.kinds.net_prem_ticks import NetPremFacts
from tradebot.signals.scoring import Known, ScoreComponent

UNIT = "contracts"


def _session(known: Known) -> NetPremFacts | None:
    """Return the session's contracts unless the last minute is too old."""
    session = net_prem_ticks.KIND.of(known.facts.known)
    return session if session and still_counts(net_prem_ticks.KIND, session.at, known.now) else None


def _value(known: Known) -> float | None:
    """Return the flow times minus the imbalance of contracts against it, or zero if the imbalance is with it."""
    session = _session(known)
    if session is None:
        return None
    total = session.bullish + session.bearish
    imbalance = (session.bullish - session.bearish) / total if total else 0.0
    return followed(known, min(0.0, known.direction * imbalance))


def _inputs(known: Known) -> Iterator[Input]:
    session = _session(known)
    if session is not None:
        yield Input("bullish", session.bullish, UNIT, session.at)
        yield Input("bearish", session.bearish, UNIT, session.at)
    yield from flow_input(known)


COMPONENT = ScoreComponent(
    name="toxicity",
    family="options_flow",
    follows="flow",
    reads=(net_prem_ticks.KIND, flow_alerts.KIND, options_volume.KIND),
    sign="against the flow if most contracts traded against it",
    formula="flow * min(0, sign(flow) * (bullish - bearish) / (bullish + bearish)) if bullish + bearish else 0",
    absent="no direction of the flow, or no recent minute of this session known",
    value=_value,
    inputs=_inputs,
    source=lambda known: "this session",
    after="the volume imbalance of Easley, López de Prado & O'Hara 2012, signed by the side of the quote",
    inferred="that one-sided trading against the alerts makes them worth less",
)
