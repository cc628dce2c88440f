"""The symbol's place among those that move the market's net option premium most."""

from collections.abc import Iterator

from tradebot.model.inputs import Input
from tradebot.signals.kinds import top_net_impact
from tradebot.signals.kinds.top_net_impact import ImpactFacts
from tradebot.signals.normalize import source_ticker
from tradebot.signals.scoring import USD, Known, ScoreComponent


def _impact(known: Known) -> ImpactFacts | None:
    listed = top_net_impact.KIND.of(known.market) or {}
    impact = listed.get(source_ticker(known.facts.symbol).upper())
    return impact if impact is not None and impact.at > known.now - known.lookback else None


def _value(known: Known) -> float | None:
    """Return the net premium as a share of the largest on the list."""
    impact = _impact(known)
    if impact is None:
        return None
    return impact.net_usd / impact.largest_usd if impact.largest_usd else 0.0


def _inputs(known: Known) -> Iterator[Input]:
    impact = _impact(known)
    if impact is not None:
        yield Input("net", impact.net_usd, USD, impact.at, source_ticker(known.facts.symbol).upper())
        yield Input("largest", impact.largest_usd, USD, impact.at)


COMPONENT = ScoreComponent(
    name="top_net_impact",
    family="options_flow",
    reads=(top_net_impact.KIND,),
    sign="bullish if the symbol's net premium is in calls",
    formula="net / largest if largest else 0",
    absent="it isn't on the list, or the list is older than the lookback",
    value=_value,
    inputs=_inputs,
    source=lambda known: "on the list" if _impact(known) else "not on the list",
    after="our own",
    by_symbol=True,
)
