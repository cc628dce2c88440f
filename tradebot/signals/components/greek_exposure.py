"""How dealers' gamma affects the direction of the flow."""

from tradebot.signals.components.flow import READS, FlowShare
from tradebot.signals.kinds import greek_exposure
from tradebot.signals.scoring import Shown, count_of, recent

_GAMMA = recent(greek_exposure.KIND)


COMPONENT = FlowShare(
    name="greek_exposure",
    family="dealers",
    reads=(greek_exposure.KIND, *READS),
    sign="with the flow if dealers are short gamma, against it if they are long",
    looks_at=_GAMMA,
    shows={"gex": Shown("gamma", "date", "date"), "scale": Shown("gamma"), "sessions": Shown("earlier sessions")},
    formula="-flow * clamp(gex / (2 * scale), -1, 1)",
    absent="no direction of the flow, or no exposure of the last days and earlier ones to measure it against",
    source=count_of(_GAMMA, "sessions", "earlier sessions"),
    after="tradebot: the gamma of the last session, measured against that of the sessions before it",
    inferred="that dealers are on the other side of all open options, as the source assumes",
)
