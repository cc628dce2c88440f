"""The net option premium of the symbol's sector."""

from collections.abc import Iterator

from tradebot.model.inputs import Input
from tradebot.signals.kinds import sector_tide
from tradebot.signals.kinds.market_tide import TideTick
from tradebot.signals.scoring import USD, Known, ScoreComponent
from tradebot.signals.sectors import source_sector


def _last(known: Known) -> TideTick | None:
    """Return the sector's last tick, unless it is too old to say anything about now."""
    ticks = sector_tide.KIND.of(known.market)
    tick: TideTick | None = ticks.get(source_sector(known.sector)) if isinstance(ticks, dict) else None
    return tick if tick is not None and tick.at > known.now - known.lookback else None


def _value(known: Known) -> float | None:
    """Return call minus put premium over their absolute sum, from the last tick of the cumulative series."""
    last = _last(known)
    if last is None:
        return None
    size = float(abs(last.net_call_premium) + abs(last.net_put_premium))
    return float(last.net_premium) / size if size else 0.0


def _inputs(known: Known) -> Iterator[Input]:
    last = _last(known)
    if last is not None:
        yield Input("calls", last.net_call_premium, USD, last.at, last.id)
        yield Input("puts", last.net_put_premium, USD, last.at, last.id)


COMPONENT = ScoreComponent(
    name="sector_tide",
    family="market",
    reads=(sector_tide.KIND,),
    sign="bullish if the sector's net premium is in calls",
    formula="(calls - puts) / (abs(calls) + abs(puts)) if abs(calls) + abs(puts) else 0",
    absent="no tick within the lookback, or no sector that the source knows",
    value=_value,
    inputs=_inputs,
    source=lambda known: source_sector(known.sector) or "no sector",
    after="the same as for the whole market",
)
