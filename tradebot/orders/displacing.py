"""Make room for a better candidate: close the strategy's weakest position, and nothing else.

The candidate itself is refused in this pass. Once the close has filled, a later pass judges it like any other; so its
order never goes out before there is room, and a pass that is killed in between leaves nothing to repair.
"""

from collections.abc import Iterable, Sequence
from dataclasses import replace

from tradebot.gates.displacement import CAPACITY, Incumbent, judge, lacks_only_room
from tradebot.gates.entry import AccountAsk, Ask
from tradebot.model.candidate import Candidate
from tradebot.model.decision import Decision, Gate, Verdict
from tradebot.model.reasons import Reason
from tradebot.model.record import CandidateRecord
from tradebot.orders.closing import after_closing, close
from tradebot.ports.world import Call, World


def make_room(
    world: World,
    call: Call,
    account: AccountAsk,
    refused: CandidateRecord,
    proposed: Iterable[Candidate],
    earlier: Sequence[CandidateRecord],
) -> tuple[AccountAsk, tuple[CandidateRecord, ...]]:
    """Close a position if only room was missing for a refused entry; return the account and the records after that.

    The close comes before the candidate's own record. `proposed` are all candidates of the pass, and `earlier` are the
    records that it has so far.
    """
    candidate, own = refused.candidate, world.rules.of(refused.candidate.strategy)
    if own.displacement is None or not lacks_only_room(candidate, refused.decisions):
        return account, (refused,)
    full = [decision for decision in refused.decisions if decision.gate in CAPACITY and not decision.passed]
    ask = Ask(account.of(candidate.strategy, own), candidate, account.desk.quotes.get(candidate.symbol), None, False)
    closing = {
        record.candidate.symbol
        for record in earlier
        if record.candidate.displaced_by and record.candidate.strategy == candidate.strategy
    }
    displacement = judge(ask, full, own.displacement, proposed, closing)
    if displacement.weakest is None:
        return account, (_with(refused, displacement.refusals),)
    account, closed = _close(world, call, account, candidate, displacement.weakest, own.displacement.score_advantage)
    return account, (
        closed,
        _with(refused, (_started(closed, displacement.weakest, own.displacement.score_advantage),)),
    )


def _close(
    world: World, call: Call, account: AccountAsk, candidate: Candidate, weakest: Incumbent, limit: float
) -> tuple[AccountAsk, CandidateRecord]:
    position = weakest.position
    why = Decision(Gate.EXIT, Verdict.PASS, Reason.DISPLACED, weakest.advantage, limit)
    source = f"displaced_by_{candidate.symbol}"
    record = close(world, call, account.desk, position, why, source, displaced_by=candidate.symbol)
    desk = after_closing(account.desk, record)
    book = account.book if desk is account.desk else account.book.with_closing(position.symbol)
    return replace(account, desk=desk, book=book), record


def _started(closed: CandidateRecord, weakest: Incumbent, limit: float) -> Decision:
    """Say whether the close was sent, with the advantage or with what refused it. A lost reply may still be a close."""
    end = closed.terminal
    if end is None or end.reason is Reason.VENUE_UNKNOWN:
        return Decision(Gate.DISPLACEMENT, Verdict.FAIL, Reason.DISPLACEMENT_STARTED, weakest.advantage, limit)
    return Decision(Gate.DISPLACEMENT, end.verdict, Reason.DISPLACEMENT_FAILED, end.reason)


def _with(refused: CandidateRecord, decisions: Sequence[Decision]) -> CandidateRecord:
    """Return the record with what displacement decided before what it was asked about."""
    before = [each for each in refused.decisions if each.gate.place < Gate.DISPLACEMENT.place]
    return replace(refused, decisions=(*before, *decisions, *refused.decisions[len(before) :]))
