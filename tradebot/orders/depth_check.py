"""Check that the order book is deep enough for an entry that every other gate has passed.

Each check takes one request, so it comes last: right before a person is asked, a position is closed to make room, or
the order is recorded and sent. An auction also checks its winners before anything is sent. Until then the pass may
yield to an exit: nothing of this entry has been recorded or sent, and the restarted pass checks again.
"""

from tradebot.errors import TradebotError
from tradebot.gates.ask import Ask
from tradebot.gates.prices import depth, slippage_of
from tradebot.model.decision import Decision, Decisions
from tradebot.ports.world import World


def with_depth(world: World, ask: Ask, decisions: Decisions) -> Decisions:
    """Return the decisions with the depth decision inserted; without a depth limit, nothing is requested."""
    decision = _depth(world, ask)
    if decision is None:
        return decisions
    return tuple(sorted((*decisions, decision), key=lambda decision: decision.gate.place))


def too_thin(world: World, ask: Ask) -> Decision | None:
    """Return why the order book can't fill an entry that only lacks room or approval; None if it can."""
    decision = _depth(world, ask)
    return None if decision is None or decision.passed else decision


def _depth(world: World, ask: Ask) -> Decision | None:
    slippage = slippage_of(ask.limits, ask.desk.tier_of(ask.candidate.symbol))
    if slippage is None:
        return None
    assert ask.quote is not None, "an entry without a price was refused earlier"
    assert ask.size is not None, "an entry with a price has a size"
    try:
        resting = world.market.depth(ask.candidate.symbol)
    except TradebotError:
        resting = None
    return depth(ask.candidate.side, ask.quote, ask.size.quantity, resting, slippage)
