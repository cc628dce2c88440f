"""Passes in a world of fakes, recorded and read back."""

from collections.abc import Mapping
from typing import NamedTuple

from tradebot import cycle
from tradebot.desk.prepare_desk import desk_for_entries, desk_for_exits
from tradebot.desk.proposals import propose
from tradebot.model.record import CandidateRecord, CycleRecord
from tradebot.ports.world import Call, Rules, World
from tradebot.replaying.passes import PassRecorder, RecordedCycle, RecordEnvironment, read_record
from tradebot.replaying.record_writer import PartCache, StoredRecord

AROUND = RecordEnvironment(b"{}", b"", (), "1.0")


class Taken(NamedTuple):
    """One pass that was recorded: what it decided, its record, and the rules that it decided by."""

    outcome: CycleRecord
    written: StoredRecord
    rules: Rules

    @property
    def record(self) -> RecordedCycle:
        """Return the record as a reader gets it."""
        return read_record(self.written.body, [self.written.contents[one] for one in self.written.parts], {})


def trade_once(world: World, call: Call, sent: Mapping[str, CandidateRecord] | None = None) -> Taken:
    """Run a pass of entries and record it."""
    proposed = propose(world, world.reader.clock().now)
    desk = desk_for_entries(world, proposed)
    taking = PassRecorder(world, call, desk, proposed, sent or {})
    return _taken(taking, cycle.trade_once(taking.world, call, desk, proposed, dict(sent or {})), world.rules)


def evaluate_exits(world: World, call: Call) -> Taken:
    """Run a pass of exits and record it."""
    desk = desk_for_exits(world)
    taking = PassRecorder(world, call, desk, None, {})
    return _taken(taking, cycle.evaluate_exits(taking.world, call, desk, {}), world.rules)


def _taken(taking: PassRecorder, outcome: CycleRecord, rules: Rules) -> Taken:
    return Taken(outcome, taking.to_record(outcome, AROUND, PartCache()), rules)
