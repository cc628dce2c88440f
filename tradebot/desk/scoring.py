"""Score the universe without trading. It needs no desk, so it imports nothing of what makes one."""

from tradebot.desk.proposals import propose
from tradebot.model.bar import VenueClock
from tradebot.model.record import CandidateRecord, CycleRecord
from tradebot.model.values import replace
from tradebot.ports.world import Call, World


def score(world: World, call: Call, clock: VenueClock) -> CycleRecord:
    """Score the universe from the facts known now and record the result, without placing any orders."""
    proposed = propose(world, clock.now)
    records = tuple(CandidateRecord(candidate, candidate.decisions) for candidate in proposed.candidates)
    cycle = CycleRecord(call.cycle_id, call.job, call.session, call.slot, clock.now, world.mode_name, records)
    return world.record(replace(cycle, refused_strategies=proposed.refused))
