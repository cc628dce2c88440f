"""Whether all of a symbol's option trades go against its alerts."""

from tradebot.signals.components.flow import READS, FlowShare
from tradebot.signals.kinds import net_prem_ticks
from tradebot.signals.scoring import Shown, recent

COMPONENT = FlowShare(
    name="toxicity",
    reads=(net_prem_ticks.KIND, *READS),
    sign="against the flow if most contracts traded against it",
    looks_at=recent(net_prem_ticks.KIND, "at"),
    shows={"bullish": Shown("contracts", "at"), "bearish": Shown("contracts", "at")},
    formula="flow * min(0, sign(flow) * (bullish - bearish) / (bullish + bearish)) if bullish + bearish else 0",
    absent="no direction of the flow, or no recent minute of this session known",
    source=lambda known: "this session",
    after="the volume imbalance of Easley, López de Prado & O'Hara 2012, signed by the side of the quote",
    inferred="that one-sided trading against the alerts makes them worth less",
)
