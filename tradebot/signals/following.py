"""What components share that say how much the flow counts, rather than which way the symbol leans."""

from collections.abc import Iterator

from tradebot.model.inputs import Input
from tradebot.signals.scoring import Known


def followed(known: Known, factor: float | None) -> float | None:
    """Return a share of the flow; None without a direction of the flow, or without a factor in -1..1."""
    if not known.flow or factor is None:
        return None
    return known.flow * factor or 0.0


def flow_input(known: Known) -> Iterator[Input]:
    """Yield the flow as an input of an explanation, if there is one."""
    if known.flow is not None:
        yield Input("flow", known.flow, "-1 to 1")
