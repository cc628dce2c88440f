"""How much more volatility options expect than there was."""

from tradebot.signals.kinds import realized_volatility
from tradebot.signals.scoring import ScoreComponent, Shown, latest

COMPONENT = ScoreComponent(
    name="realized_volatility",
    family="volatility",
    reads=(realized_volatility.KIND,),
    sign="bullish if options expect more volatility than there was",
    looks_at=latest(realized_volatility.KIND),
    shows={"implied": Shown("a year", "day"), "realized": Shown("a year", "measured")},
    formula="(implied - realized) / (implied + realized) if implied + realized else 0",
    absent="one of the two volatilities isn't known",
    source=lambda known: "last month",
    after="the spread of Bali & Hovakimian, divided by the sum of both",
    evidence="Bali & Hovakimian 2009, over months",
)
