"""Ask whether enough rests at the venue for an entry that nothing else refuses.

It takes one request for each such entry. So it isn't asked with the other gates, but after all of them, right before a
person is asked, a position is closed to make room, or the order is promised; an auction asks it of its winners, too,
before anything is sent. Up to there the pass may give way to an
exit: nothing of this entry exists yet, and the pass that begins again asks again.
"""

from tradebot.errors import TradebotError
from tradebot.gates.ask import Ask
from tradebot.gates.prices import depth, slippage_of
from tradebot.model.decision import Decision, Decisions
from tradebot.ports.world import World


def with_depth(world: World, ask: Ask, decisions: Decisions) -> Decisions:
    """Return the decisions with that of depth in its place; without a limit, nothing is asked."""
    decision = _depth(world, ask)
    if decision is None:
        return decisions
    return tuple(sorted((*decisions, decision), key=lambda one: one.gate.place))


def too_thin(world: World, ask: Ask) -> Decision | None:
    """Return why an entry that lacks only room or a yes couldn't be filled near the best price; None if it could."""
    decision = _depth(world, ask)
    return None if decision is None or decision.passed else decision


def _depth(world: World, ask: Ask) -> Decision | None:
    slippage = slippage_of(ask.limits, ask.desk.tier_of(ask.candidate.symbol))
    if slippage is None:
        return None
    assert ask.quote is not None, "an entry without a price is refused before"
    assert ask.size is not None, "what has a price has a size"
    try:
        resting = world.market.depth(ask.candidate.symbol)
    except TradebotError:
        resting = None
    return depth(ask.candidate.side, ask.quote, ask.size.quantity, resting, slippage)
