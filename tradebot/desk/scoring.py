"""Score the universe without trading. It needs no desk, so it imports nothing of what makes one."""

from dataclasses import replace

from tradebot.desk.proposals import propose
from tradebot.model.bar import VenueClock
from tradebot.model.record import CandidateRecord, CycleRecord
from tradebot.model.trading import mode_name
from tradebot.ports.world import Call, World


def score(world: World, call: Call, clock: VenueClock) -> CycleRecord:
    """Score the universe from the facts known now and record the result, without placing any orders."""
    proposed = propose(world, clock.now, None)
    records = tuple(CandidateRecord(candidate, candidate.decisions) for candidate in proposed.candidates)
    cycle = CycleRecord(call.cycle_id, call.job, call.session, call.slot, clock.now, mode_of(world), records)
    return recorded(world, replace(cycle, refused_strategies=proposed.refused))


def mode_of(world: World) -> str:
    """Return the mode as records name it."""
    return mode_name(world.rules.mode, shadow=world.shadow)


def recorded(world: World, cycle: CycleRecord) -> CycleRecord:
    """Record the pass so that it can be explained later; a dry run records nothing."""
    if not world.dry_run:
        world.facts.record(cycle)
    return cycle
