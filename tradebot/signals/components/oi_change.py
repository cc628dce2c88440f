"""The overnight change in open interest."""

from collections.abc import Iterator

from tradebot.model.inputs import Input
from tradebot.signals.ages import still_counts
from tradebot.signals.kinds import oi_change
from tradebot.signals.kinds.oi_change import OiFacts
from tradebot.signals.scoring import Known, ScoreComponent


def _changes(known: Known) -> OiFacts | None:
    """Return the changes of the last date if that date is recent."""
    changes = oi_change.KIND.of(known.facts.known)
    return changes if changes and still_counts(oi_change.KIND, changes.date, known.now) else None


def _value(known: Known) -> float | None:
    """Return the overnight change in call minus put open interest, divided by the sum of magnitudes."""
    changes = _changes(known)
    if changes is None:
        return None
    return changes.net / changes.gross if changes.gross else 0.0


def _inputs(known: Known) -> Iterator[Input]:
    changes = _changes(known)
    if changes is not None:
        yield Input("net", changes.net, "contracts", changes.date)
        yield Input("gross", changes.gross, "contracts", changes.date)
    yield Input("option_symbols", changes.symbols if changes else 0, "symbols")


def _source(known: Known) -> str:
    changes = _changes(known)
    return f"{changes.symbols if changes else 0} contracts"


COMPONENT = ScoreComponent(
    name="oi_change",
    family="open_interest",
    reads=(oi_change.KIND,),
    sign="bullish if open interest moved from puts to calls",
    formula="net / gross if gross else 0",
    absent="no change in open interest of the last days",
    value=_value,
    inputs=_inputs,
    source=_source,
    after="the sum over the contracts whose open interest changed most, by the right in their OCC symbols",
    evidence="Fodor, Krieger & Doran 2011: growing call open interest precedes higher returns, put the reverse",
    inferred="that opened calls were bought: open interest doesn't say which side opened it",
)
