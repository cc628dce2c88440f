"""How dear options are, in the direction of the flow."""

from collections.abc import Iterator

from tradebot.model.inputs import Input
from tradebot.signals.ages import still_counts
from tradebot.signals.following import flow_input, followed
from tradebot.signals.kinds import flow_alerts, iv_rank, options_volume
from tradebot.signals.kinds.iv_rank import IvRank
from tradebot.signals.scoring import Known, ScoreComponent


def _rank(known: Known) -> IvRank | None:
    """Return the last session's rank if that session is recent."""
    rank = iv_rank.KIND.of(known.facts.known)
    return rank if rank and still_counts(iv_rank.KIND, rank.date, known.now) else None


def _value(known: Known) -> float | None:
    """Return the flow times +1 if options are at their cheapest of the year, -1 if they are at their dearest."""
    rank = _rank(known)
    return None if rank is None else followed(known, (50.0 - float(rank.rank)) / 50.0)


def _inputs(known: Known) -> Iterator[Input]:
    rank = _rank(known)
    if rank is not None:
        yield Input("rank", rank.rank, "0 to 100", rank.date, rank.id)
        yield Input("volatility", rank.volatility, "fraction", rank.date, rank.id)
    yield from flow_input(known)


COMPONENT = ScoreComponent(
    name="iv_rank",
    family="volatility",
    follows="flow",
    reads=(iv_rank.KIND, flow_alerts.KIND, options_volume.KIND),
    sign="with the flow if options are cheap, against it if they are dear",
    formula="flow * (50 - rank) / 50",
    absent="no direction of the flow, or no rank of the last days",
    value=_value,
    inputs=_inputs,
    source=lambda known: "last session",
    after="the bot before this one, without its steps",
    inferred="that buyers of cheap options know more than buyers of dear ones",
)
