"""Close a position that options flow has turned against."""

from typing import Annotated

from pydantic import Field

from tradebot.exits.held import Held
from tradebot.exits.kind import Absent, ExitRule, Input, Measure, Moment
from tradebot.model.reasons import Reason


class FlowReversal(ExitRule):
    """Close a position once options flow points against it with at least this strength, from 0 to 1."""

    reason = Reason.FLOW_REVERSAL
    column = "flow"
    reads = frozenset({"flow"})
    needs = (Input.FLOW,)
    numbered = False
    min_flow: Annotated[float, Field(gt=0, le=1)]

    def judge(self, held: Held, moment: Moment) -> Measure | Absent:
        if held.outlook.flow is None:
            return Absent(Input.FLOW)
        flow = held.outlook.flow * held.direction
        return Measure(flow <= -self.min_flow, flow, -self.min_flow)


RULE = FlowReversal
