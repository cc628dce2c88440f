"""What institutions bought and sold by their last filings."""

from tradebot.signals.kinds import institutional
from tradebot.signals.scoring import Known, ScoreComponent, Shown, latest


def _source(known: Known) -> str:
    filings = institutional.KIND.of(known.facts.known)
    return f"{filings.holders if filings else 0} institutions"


COMPONENT = ScoreComponent(
    name="institutional",
    family="institutions",
    reads=(institutional.KIND,),
    sign="bullish if more shares were bought than sold",
    looks_at=latest(institutional.KIND),
    shows={
        "bought": Shown("shares", "filed"),
        "sold": Shown("shares", "filed"),
        "holders": Shown("institutions", "filed"),
    },
    formula="(bought - sold) / (bought + sold) if bought + sold else 0",
    absent="no filing of the last 100 days",
    source=_source,
    after="tradebot: net over gross changes of the last filings",
)
