"""Make room for a better candidate: close the strategy's weakest position, and nothing else.

The candidate itself is refused in this pass. Once the close has filled, a later pass judges it like any other; so its
order never goes out before there is room, and a pass that is killed in between leaves nothing to repair.
"""

from collections.abc import Iterable, Sequence
from dataclasses import replace

from tradebot.exits.rules import ExitCall
from tradebot.exits.why import Part
from tradebot.gates.displacement import CAPACITY, Incumbent, judge, lacks_only_room
from tradebot.gates.entry import AccountAsk, Ask
from tradebot.model.candidate import Candidate
from tradebot.model.decision import Decision, Gate, Verdict
from tradebot.model.reasons import Reason
from tradebot.model.record import CandidateRecord
from tradebot.orders.closing import Records, after_closing, close
from tradebot.ports.world import Call, World


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
    full = [decision for decision in refused.decisions if decision.gate in CAPACITY and not decision.passed]
    quote, strategy = account.desk.quotes.get(candidate.symbol), account.of(candidate.strategy, own)
    ask = Ask(strategy, candidate, quote, None, promised=False)
    displacement = judge(ask, full, own.displacement, proposed, _closing(candidate.strategy, earlier))
    if displacement.weakest is None:
        return account, (_with(refused, displacement.refusals),)
    limit = own.displacement.score_advantage
    account, closed = _close(world, call, account, candidate, displacement.weakest, limit)
    return account, (*closed, _with(refused, (_started(closed, displacement.weakest, limit),)))


def _closing(strategy: str, earlier: Iterable[CandidateRecord]) -> frozenset[str]:
    """Return the symbols of a strategy's positions that the pass has begun to close for others."""
    begun = (record.candidate for record in earlier if record.candidate.displaced_by)
    return frozenset(candidate.symbol for candidate in begun if candidate.strategy == strategy)


def _close(
    world: World, call: Call, account: AccountAsk, candidate: Candidate, weakest: Incumbent, limit: float
) -> tuple[AccountAsk, Records]:
    position = weakest.position
    decision = Decision(Gate.EXIT, Verdict.PASS, Reason.DISPLACED, weakest.advantage, limit)
    part = Part("displaced_by", symbol=candidate.symbol)
    why = ExitCall(decision, why=(part,))
    records = close(world, call, account.desk, position, why, str(part), displaced_by=candidate.symbol)
    desk = after_closing(account.desk, records)
    book = account.book if desk is account.desk else account.book.with_closing(position.symbol)
    return replace(account, desk=desk, book=book), records


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
