"""Make room for a better candidate: close the strategy's weakest position, and nothing else.

The candidate itself is refused in this pass. Once the close has filled, a later pass judges it like any other; so its
order never goes out before there is room, and a pass that is killed in between leaves nothing to repair.
"""

from collections.abc import Iterable, Sequence

from tradebot.exits.rules import ExitCall
from tradebot.exits.why import Part
from tradebot.gates.common import position_of
from tradebot.gates.displacement import CAPACITY, Incumbent, judge, lacks_only_room
from tradebot.gates.entry import AccountAsk, Ask
from tradebot.model.candidate import Candidate
from tradebot.model.decision import Decision, Gate, Verdict
from tradebot.model.desk import Desk
from tradebot.model.intent import Operation
from tradebot.model.position import Position
from tradebot.model.reasons import Reason
from tradebot.model.record import CandidateRecord
from tradebot.model.values import replace
from tradebot.orders.closing import Records, afterwards, close
from tradebot.orders.sending import EXIT_LOOKUP
from tradebot.ports.world import Call, World

ONCE_MORE = Decision(Gate.EXIT, Verdict.PASS, Reason.DISPLACED, "its close was lost on the way")
UNDER_WAY = Decision(Gate.DISPLACEMENT, Verdict.FAIL, Reason.DISPLACEMENT_PENDING)


def make_room(
    world: World,
    call: Call,
    account: AccountAsk,
    traded: Records,
    proposed: Iterable[Candidate],
    earlier: Sequence[CandidateRecord],
) -> tuple[AccountAsk, Records]:
    """Close a position if only room was missing for a refused entry; return the account and the records after that.

    The close comes before the candidate's own record. `proposed` are all candidates of the pass, and `earlier` are the
    records that it has so far.
    """
    refused = traded[-1]
    candidate, own = refused.candidate, world.rules.of(refused.candidate.strategy)
    if own.displacement is None or not lacks_only_room(candidate, refused.decisions):
        return account, traded
    limit, begun = own.displacement.score_advantage, _closing(candidate.strategy, earlier)
    lost = _lost(account.desk, candidate.strategy)
    if lost and lost.symbol not in begun:
        account, again = _close(world, call, account, lost, candidate, ONCE_MORE)
        return account, (*again, _with(refused, (UNDER_WAY,)))
    full = [decision for decision in refused.decisions if decision.gate in CAPACITY and not decision.passed]
    quote, strategy = account.desk.quotes.get(candidate.symbol), account.of(candidate.strategy, own)
    ask = Ask(strategy, candidate, quote, None, promised=False)
    displacement = judge(ask, full, own.displacement, proposed, begun)
    if displacement.weakest is None:
        return account, (_with(refused, displacement.refusals),)
    weakest = displacement.weakest
    why = Decision(Gate.EXIT, Verdict.PASS, Reason.DISPLACED, weakest.advantage, limit)
    account, closed = _close(world, call, account, weakest.position, candidate, why)
    return account, (*closed, _with(refused, (_started(closed, weakest, limit),)))


def _lost(desk: Desk, strategy: str) -> Position | None:
    """Return a position whose close, made for another, the venue hasn't known for a while: it is sent once more."""
    for record in desk.books.unresolved:
        intent = record.intent
        old = abs(desk.now - intent.at) >= EXIT_LOOKUP and intent.operation is Operation.SUBMIT
        if intent.displaced_by and old and intent.key.strategy == strategy:
            return position_of(desk, (strategy, intent.instrument.symbol))
    return None


def _closing(strategy: str, earlier: Iterable[CandidateRecord]) -> frozenset[str]:
    """Return the symbols of a strategy's positions that the pass has begun to close for others."""
    begun = (record.candidate for record in earlier if record.candidate.displaced_by)
    return frozenset(candidate.symbol for candidate in begun if candidate.strategy == strategy)


def _close(
    world: World, call: Call, account: AccountAsk, position: Position, candidate: Candidate, why: Decision
) -> tuple[AccountAsk, Records]:
    part = Part("displaced_by", symbol=candidate.symbol)
    exits = ExitCall(why, why=(part,))
    records = close(world, call, account.desk, position, exits, str(part), displaced_by=candidate.symbol)
    return afterwards(account, position.symbol, records), records


def _started(closed: Records, weakest: Incumbent, limit: float) -> Decision:
    """Say whether a close was sent, with the advantage or with what refused it. A lost reply may still be a close."""
    ends = [record.terminal for record in closed if record.candidate.displaced_by]
    if any(end is None or end.reason is Reason.VENUE_UNKNOWN for end in ends):
        return Decision(Gate.DISPLACEMENT, Verdict.FAIL, Reason.DISPLACEMENT_STARTED, weakest.advantage, limit)
    why = next((end.reason for end in reversed(ends) if end), None)
    return Decision(Gate.DISPLACEMENT, Verdict.FAIL, Reason.DISPLACEMENT_FAILED, why)


def _with(refused: CandidateRecord, decisions: Sequence[Decision]) -> CandidateRecord:
    """Return the record with what displacement decided before what it was asked about."""
    before = [each for each in refused.decisions if each.gate.place < Gate.DISPLACEMENT.place]
    return replace(refused, decisions=(*before, *decisions, *refused.decisions[len(before) :]))
