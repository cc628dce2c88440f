"""How dear options are, in the direction of the flow."""

from collections.abc import Iterator

from tradebot.model.inputs import Input
from tradebot.signals.kinds import flow_alerts, iv_rank
from tradebot.signals.kinds.iv_rank import IvRank
from tradebot.signals.scoring import Known, ScoreComponent


def _rank(known: Known) -> IvRank | None:
    return iv_rank.KIND.of(known.facts.known)


def _value(known: Known) -> float | None:
    """Return the flow's direction times +1 if options are at their cheapest of the year, -1 if at their dearest."""
    rank = _rank(known)
    return None if rank is None else known.direction * (50.0 - float(rank.rank)) / 50.0


def _inputs(known: Known) -> Iterator[Input]:
    rank = _rank(known)
    if rank is not None:
        yield Input("rank", rank.rank, "0 to 100", rank.date)
        yield Input("volatility", rank.volatility, "fraction", rank.date)
    yield known.direction_input


COMPONENT = ScoreComponent(
    name="iv_rank",
    family="volatility",
    follows="flow",
    reads=(iv_rank.KIND, flow_alerts.KIND),
    sign="bullish if options are cheap and the flow is bullish, or dear and the flow is bearish",
    formula="direction * (50 - rank) / 50",
    absent="no rank known",
    value=_value,
    inputs=_inputs,
    source=lambda known: "last session",
)
