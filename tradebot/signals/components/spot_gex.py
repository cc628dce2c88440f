"""How dealers' gamma at the price of this minute affects the direction of the flow."""

from tradebot.signals.components.flow import READS, FlowShare
from tradebot.signals.kinds import spot_gex
from tradebot.signals.scoring import Shown, count_of, latest

UNIT = "USD per percent"


_GAMMA = latest(spot_gex.KIND)

COMPONENT = FlowShare(
    name="spot_gex",
    family="dealers",
    reads=(spot_gex.KIND, *READS),
    sign="bullish if dealers are short gamma and the flow is bullish, or long gamma and the flow is bearish",
    looks_at=_GAMMA,
    shows={"gamma": Shown(UNIT, "at", "at"), "scale": Shown(UNIT, "at"), "minutes": Shown("minutes")},
    formula="flow * -clamp(gamma / (2 * scale), -1, 1)",
    absent="no flow, or no exposure of this session",
    source=count_of(_GAMMA, "minutes", "minutes"),
    after="tradebot: the gamma of the last minute, measured against that of the session so far",
    evidence="Baltussen, Da, Lammers & Martens 2021: moves go on if dealers are short gamma, and turn if they are long",
    inferred="the side of dealers: the source assumes that they bought all calls and sold all puts",
)
