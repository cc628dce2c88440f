"""How dear options are, in the direction of the flow."""

from tradebot.signals.components.flow import READS, FlowShare
from tradebot.signals.kinds import iv_rank
from tradebot.signals.scoring import Shown, recent

COMPONENT = FlowShare(
    name="iv_rank",
    family="volatility",
    reads=(iv_rank.KIND, *READS),
    sign="with the flow if options are cheap, against it if they are dear",
    looks_at=recent(iv_rank.KIND),
    shows={"rank": Shown("0 to 100", "date", "id"), "volatility": Shown("fraction", "date", "id")},
    formula="flow * (50 - rank) / 50",
    absent="no direction of the flow, or no rank of the last days",
    source=lambda known: "last session",
    after="the bot before this one, without its steps",
    inferred="that buyers of cheap options know more than buyers of dear ones",
)
