"""The overnight change in open interest."""

from tradebot.model.inputs import Input
from tradebot.signals.kinds import oi_change
from tradebot.signals.kinds.oi_change import OiFacts
from tradebot.signals.scoring import Known, ScoreComponent

_NOTHING = OiFacts(0, 0, 0)


def _changes(known: Known) -> OiFacts:
    return oi_change.KIND.of(known.facts.known) or _NOTHING


def _value(known: Known) -> float | None:
    """Return the overnight change in call minus put open interest, divided by the sum of magnitudes."""
    net, gross, symbols = _changes(known)
    if not symbols:
        return None
    return net / gross if gross else 0.0


def _inputs(known: Known) -> tuple[Input, ...]:
    net, gross, symbols = _changes(known)
    return (
        Input("net", net, "contracts"),
        Input("gross", gross, "contracts"),
        Input("option_symbols", symbols, "symbols"),
    )


COMPONENT = ScoreComponent(
    name="oi_change",
    family="open_interest",
    reads=(oi_change.KIND,),
    sign="bullish if open interest moved from puts to calls",
    formula="net / gross if gross else 0",
    absent="no change in open interest known",
    value=_value,
    inputs=_inputs,
    source=lambda known: f"{_changes(known).symbols} contracts",
)
