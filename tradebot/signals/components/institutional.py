"""What institutions bought and sold by their last filings."""

from tradebot.signals.kinds import institutional
from tradebot.signals.scoring import ScoreComponent, Shown, count_of, latest, shown

_FILINGS = latest(institutional.KIND)

COMPONENT = ScoreComponent(
    name="institutional",
    family="institutions",
    reads=(institutional.KIND,),
    sign="bullish if more shares were bought than sold",
    looks_at=_FILINGS,
    shows={**shown("shares", "bought", "sold", at="filed"), "holders": Shown("institutions", "filed")},
    formula="(bought - sold) / (bought + sold) if bought + sold else 0",
    absent="no filing of the last 100 days",
    source=count_of(_FILINGS, "holders", "institutions"),
    after="tradebot: net over gross changes of the last filings",
)
