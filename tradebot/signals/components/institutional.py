"""What institutions bought and sold by their last filings."""

from collections.abc import Iterator

from tradebot.model.inputs import Input
from tradebot.signals.kinds import institutional
from tradebot.signals.kinds.institutional import InstitutionalFacts
from tradebot.signals.scoring import Known, ScoreComponent


def _filings(known: Known) -> InstitutionalFacts | None:
    return institutional.KIND.of(known.facts.known)


def _value(known: Known) -> float | None:
    """Return net over gross changes; zero if nobody changed anything."""
    filings = _filings(known)
    if filings is None:
        return None
    gross = filings.bought + filings.sold
    return (filings.bought - filings.sold) / gross if gross else 0.0


def _inputs(known: Known) -> Iterator[Input]:
    filings = _filings(known)
    if filings is not None:
        yield Input("bought", filings.bought, "shares", filings.filed)
        yield Input("sold", filings.sold, "shares", filings.filed)
        yield Input("holders", filings.holders, "institutions", filings.filed)


COMPONENT = ScoreComponent(
    name="institutional",
    family="institutions",
    reads=(institutional.KIND,),
    sign="bullish if more shares were bought than sold",
    formula="(bought - sold) / (bought + sold) if bought + sold else 0",
    absent="no filing of the last 100 days",
    value=_value,
    inputs=_inputs,
    source=lambda known: f"{filings.holders if (filings := _filings(known)) else 0} institutions",
    after="our own",
)
