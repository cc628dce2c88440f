"""Passes in a world of fakes, recorded and read back."""

from collections.abc import Mapping
from typing import NamedTuple

from tests.kit.core.scene import Scene, call, wanted
from tradebot import cycle
from tradebot.desk.prepare_desk import desk_for_entries, desk_for_exits
from tradebot.desk.proposals import propose
from tradebot.errors import TemporaryError
from tradebot.model.intent import Intent
from tradebot.model.order import Reply, WriteOutcome
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


def trade_once(world: World, of: Call, sent: Mapping[str, CandidateRecord] | None = None) -> Taken:
    """Run a pass of entries and record it."""
    proposed = propose(world, world.reader.clock().now)
    desk = desk_for_entries(world, proposed)
    taking = PassRecorder(world, of, desk, proposed, sent or {})
    return _taken(taking, cycle.trade_once(taking.world, of, desk, proposed, dict(sent or {})), world.rules)


def evaluate_exits(world: World, of: Call) -> Taken:
    """Run a pass of exits and record it."""
    desk = desk_for_exits(world)
    taking = PassRecorder(world, of, desk, None, {})
    return _taken(taking, cycle.evaluate_exits(taking.world, of, desk, {}), world.rules)


def _taken(taking: PassRecorder, outcome: CycleRecord, rules: Rules) -> Taken:
    return Taken(outcome, taking.to_record(outcome, AROUND, PartCache()), rules)


def entries(scene: Scene) -> list[Taken]:
    """Run a pass of entries: one is sent, one is too many, and one is too weak."""
    return [trade_once(scene.world(wanted("AAPL"), wanted("MSFT", 0.6), wanted("JPM", 0.001)), call())]


def lost_reply(scene: Scene) -> list[Taken]:
    """The venue's answer is lost, and the pass after it finds out what became of the order."""

    def submit(intent: Intent) -> Reply:
        return Reply(WriteOutcome.UNKNOWN, message="timed out")

    scene.venue.submit = submit  # type: ignore[method-assign]
    return [*entries(scene), trade_once(scene.world(wanted("AAPL")), call(slot="next"))]


def leave_orders_unanswered(scene: Scene) -> None:
    """Let the venue say nothing of any order that it is asked for."""

    def order(name: str) -> None:
        raise TemporaryError("the venue doesn't answer")

    scene.venue.order = order  # type: ignore[method-assign,assignment]
