"""The symbol's place among those that move the market's net option premium most."""

from tradebot.signals.kinds import top_net_impact
from tradebot.signals.kinds.top_net_impact import ImpactFacts
from tradebot.signals.normalize import source_ticker
from tradebot.signals.scoring import USD, Known, ScoreComponent, Shown


def _impact(known: Known) -> ImpactFacts | None:
    listed = top_net_impact.KIND.of(known.market) or {}
    impact = listed.get(source_ticker(known.facts.symbol).upper())
    return impact if impact is not None and impact.at > known.now - known.lookback else None


COMPONENT = ScoreComponent(
    name="top_net_impact",
    family="options_flow",
    reads=(top_net_impact.KIND,),
    sign="bullish if the symbol's net premium is in calls",
    looks_at=_impact,
    shows={"net_usd": Shown(USD, "at"), "largest_usd": Shown(USD, "at")},
    formula="net_usd / largest_usd if largest_usd else 0",
    absent="it isn't on the list, or the list is older than the lookback",
    source=lambda known: "on the list" if _impact(known) else "not on the list",
    after="tradebot: the net premium, over the largest on the list",
    by_symbol=True,
)
