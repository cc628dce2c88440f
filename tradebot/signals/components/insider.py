"""Whether a company's insiders bought or sold its shares."""

from tradebot.signals.kinds import insider
from tradebot.signals.scoring import ScoreComponent, latest, shown

COMPONENT = ScoreComponent(
    name="insider",
    family="insiders",
    reads=(insider.KIND,),
    sign="bullish if insiders bought; selling counts a quarter as much",
    looks_at=latest(insider.KIND),
    shows=shown("insiders", "buyers", "sellers", at="last"),
    formula="(buyers - 0.25 * sellers) / (buyers + sellers)",
    absent="no trade by an insider in the past half-year",
    source=lambda known: "past half-year",
    after="the net purchase ratio of Lakonishok & Lee 2001, with insiders counted once a day and sales weighed less",
    evidence="Lakonishok & Lee 2001: purchases predict returns over months, and sales hardly do",
    inferred="how much less a sale counts",
)
