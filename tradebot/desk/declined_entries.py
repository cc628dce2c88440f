"""Which entries their own strategy declines, so that no gate has to be asked about them.

The strategy's answer stands without any gate's, so what is recorded of such an entry is that answer alone. Gates are
still asked where someone else reads what they say of it: where positions give way to candidates, by displacement or
in an auction, where a person is asked, and where exit rules read scores. So they are about what reads options flow,
because whether that was fresh and as agreed is for gates to say: a strategy that saw nothing declines too.
"""

from tradebot.model.candidate import Candidate, Purpose
from tradebot.model.decision import Gate, first_failure
from tradebot.model.record import CandidateRecord
from tradebot.ports.world import World

READ_FROM_SCORES = frozenset({"scores", "noise"})
"""What exit rules read from the records of all passes that ask the strategies."""


def is_declined(world: World, candidate: Candidate) -> bool:
    """Return True for an entry that its strategy declines and that nobody else has to judge."""
    if world.ask_declined or candidate.purpose is not Purpose.OPEN or candidate.reads_flow:
        return False
    refused = first_failure(candidate.decisions)
    if refused is None or refused.gate is not Gate.STRATEGY:
        return False
    own = world.rules.of(candidate.strategy)
    if own.displacement is not None or own.auction is not None or own.approval is not None:
        return False
    return not any(READ_FROM_SCORES & set(rule.reads) for rule in world.rules.exits_of(candidate.strategy))


def declined_record(candidate: Candidate) -> CandidateRecord:
    """Return the record of an entry that its strategy declines: its own decisions, and no gate's."""
    return CandidateRecord(candidate, candidate.decisions)
