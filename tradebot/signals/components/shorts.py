"""How much of a stock is sold short."""

from tradebot.signals.kinds import short_interest
from tradebot.signals.scoring import ScoreComponent, Shown, latest

CROWDED = "clamp((interest - 0.15) / 0.25, 0, 1) + clamp((days_to_cover - 5) / 10, 0, 1)"
"""How crowded short positions are, each from 0 to 1: by share of the float plus by days to cover."""
REPORT = {
    "interest": Shown("of the float", "report.date", "report.id"),
    "days_to_cover": Shown("days", "report.date", "report.id"),
}
"""What the last report says."""


COMPONENT = ScoreComponent(
    name="shorts",
    family="short_interest",
    reads=(short_interest.KIND,),
    sign="bearish if much of the float is sold short, or takes long to buy back; never bullish",
    looks_at=latest(short_interest.KIND),
    shows=REPORT,
    formula=f"-({CROWDED}) / 2",
    absent="no report of the last weeks",
    source=lambda known: "last report",
    after="the bot before this one: 15 to 40 percent of the float, 5 to 15 days",
    evidence="Boehmer, Jones & Zhang 2008 and Hong, Li, Ni, Scheinkman & Yan 2015, both over weeks to months",
)
