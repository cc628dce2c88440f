"""Gates that judge what the flow source replied."""

from decimal import Decimal

from tradebot.gates.common import answer
from tradebot.model.contract import Drift
from tradebot.model.decision import Decision, Gate, Verdict
from tradebot.model.reasons import Reason
from tradebot.model.record import SymbolFacts


def flow_contract(facts: SymbolFacts, core: Drift | None, limit: Decimal) -> Decision:
    """Fail if more than `limit` of the rows differ from what the source documents, or aren't about the symbol.

    `core` is the largest difference in the current replies of the core signals that the strategy reads.
    """
    if core is not None and core.share > limit:
        return Decision(Gate.FLOW_CONTRACT, Verdict.FAIL, Reason.CORE_CONTRACT_BROKEN, str(core), limit)
    if not facts.received:
        return Decision(Gate.FLOW_CONTRACT, Verdict.PASS, None, 0, limit)
    share = Decimal(facts.foreign + facts.rejected) / facts.received
    return answer(Gate.FLOW_CONTRACT, share <= limit, Reason.FLOW_CONTRACT_FAILED, share, limit)
