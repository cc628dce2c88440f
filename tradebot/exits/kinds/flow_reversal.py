"""Close a position that options flow has turned against."""

from typing import Annotated

from pydantic import Field

from tradebot.exits.kind import ExitRule, Held, Input, Measure
from tradebot.model.reasons import Reason


class FlowReversal(ExitRule):
    """Close a position once options flow points against it with at least this strength, from 0 to 1."""

    reason = Reason.FLOW_REVERSAL
    column = "flow"
    reads = frozenset({"flow"})
    needs = (Input.FLOW,)
    numbered = False
    min_flow: Annotated[float, Field(gt=0, le=1)]

    def measure(self, held: Held, flow: float) -> Measure:
        favor = flow * held.direction
        return Measure(favor <= -self.min_flow, favor, -self.min_flow)


RULES = {"flow_reversal": FlowReversal}
