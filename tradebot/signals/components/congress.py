"""What members of Congress bought and sold."""

from tradebot.signals.kinds import congress
from tradebot.signals.kinds.congress import CongressFacts
from tradebot.signals.normalize import source_ticker
from tradebot.signals.scoring import USD, Known, ScoreComponent, Shown, count_of

SCALE_USD = 50_000
"""What damps small trades: the scale at which trades in one direction count half."""


def _trades(known: Known) -> CongressFacts | None:
    return (congress.KIND.of(known.market) or {}).get(source_ticker(known.facts.symbol).upper())


COMPONENT = ScoreComponent(
    name="congress",
    family="congress",
    reads=(congress.KIND,),
    sign="bullish if more was bought than sold",
    looks_at=_trades,
    shows={"trades": Shown("trades"), "bought_usd": Shown(USD, "filed"), "sold_usd": Shown(USD, "filed")},
    formula=f"(bought_usd - sold_usd) / (bought_usd + sold_usd + {SCALE_USD})",
    absent="no trade in it was filed in the last 30 days",
    source=count_of(_trades, "trades", "trades"),
    after="tradebot: net over gross trades; the scale damps a single small trade",
    inferred="the amount of a trade: only its range is reported, of which the middle counts",
    by_symbol=True,
)
