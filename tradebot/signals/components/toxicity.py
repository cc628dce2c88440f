"""Whether all of a symbol's option trades go against its alerts."""

from tradebot.signals.kinds import flow_alerts, net_prem_ticks, options_volume
from tradebot.signals.scoring import ScoreComponent, Shown, recent

COMPONENT = ScoreComponent(
    name="toxicity",
    family="options_flow",
    follows="flow",
    reads=(net_prem_ticks.KIND, flow_alerts.KIND, options_volume.KIND),
    sign="against the flow if most contracts traded against it",
    looks_at=recent(net_prem_ticks.KIND, "at"),
    shows={"bullish": Shown("contracts", "at"), "bearish": Shown("contracts", "at")},
    formula="flow * min(0, sign(flow) * (bullish - bearish) / (bullish + bearish)) if bullish + bearish else 0",
    absent="no direction of the flow, or no recent minute of this session known",
    source=lambda known: "this session",
    after="the volume imbalance of Easley, López de Prado & O'Hara 2012, signed by the side of the quote",
    inferred="that one-sided trading against the alerts makes them worth less",
)
