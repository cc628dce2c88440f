"""What members of Congress bought and sold."""

from collections.abc import Iterator

from tradebot.model.inputs import Input
from tradebot.signals.kinds import congress
from tradebot.signals.kinds.congress import CongressFacts
from tradebot.signals.normalize import source_ticker
from tradebot.signals.scoring import USD, Known, ScoreComponent

SCALE_USD = 50_000.0
"""What damps small trades: the scale at which trades in one direction count half."""


def _trades(known: Known) -> CongressFacts | None:
    return (congress.KIND.of(known.market) or {}).get(source_ticker(known.facts.symbol).upper())


def _value(known: Known) -> float | None:
    """Return net over gross trades, where the gross is increased by the scale."""
    trades = _trades(known)
    if trades is None:
        return None
    return (trades.bought_usd - trades.sold_usd) / (trades.bought_usd + trades.sold_usd + SCALE_USD)


def _inputs(known: Known) -> Iterator[Input]:
    trades = _trades(known)
    yield Input("scale", SCALE_USD, USD)
    yield Input("trades", trades.trades if trades else 0, "trades")
    if trades is not None:
        yield Input("bought", trades.bought_usd, USD, trades.filed)
        yield Input("sold", trades.sold_usd, USD, trades.filed)


COMPONENT = ScoreComponent(
    name="congress",
    family="congress",
    reads=(congress.KIND,),
    sign="bullish if more was bought than sold",
    formula="(bought - sold) / (bought + sold + scale)",
    absent="no trade in it was filed in the last 30 days",
    value=_value,
    inputs=_inputs,
    source=lambda known: f"{trades.trades if (trades := _trades(known)) else 0} trades",
    after="our own; the scale is three times the smallest range that is reported",
    inferred="the amount of a trade: only its range is reported, of which the middle counts",
    by_symbol=True,
)
