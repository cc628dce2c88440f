"""Run a pass so that it can be replayed: its inputs are recorded, and saved once its orders are sent."""

from collections.abc import Mapping
from functools import partial
from typing import TYPE_CHECKING

from tradebot.adapters.facts.recorded_passes import KeptPass
from tradebot.adapters.state.dry_run import keep_dry_run
from tradebot.cycle import evaluate_exits, flatten, trade_once
from tradebot.desk.snapshot import take_desk
from tradebot.replaying.passes import PassRecorder
from tradebot.replaying.record_writer import RecordError

if TYPE_CHECKING:
    from tradebot.app.wiring import App
    from tradebot.desk.proposals import Proposals
    from tradebot.model.desk import Desk
    from tradebot.model.record import CandidateRecord, CycleRecord
    from tradebot.ports.world import Call, World

UNWRITABLE = (RecordError, TypeError, ValueError, AttributeError, LookupError)
"""Errors raised by a value that records don't support. Such an error costs the record, but never the pass."""


def record_entries(
    app: "App", world: "World", call: "Call", desk: "Desk", proposed: "Proposals", sent: "dict[str, CandidateRecord]"
) -> "CycleRecord":
    """Run an entry pass, and store its inputs; a dry run stores only its decisions, in a separate file."""
    if world.dry_run:
        cycle = trade_once(world, call, desk, proposed, sent)
        keep_dry_run(app.folder.path, cycle)
        return cycle
    if not app.passes.keeps:
        return trade_once(world, call, desk, proposed, sent)
    universe = None if world.rules is app.in_force.last else tuple(world.rules.universe)
    taking = PassRecorder(world, call, desk, proposed, sent, universe)
    return _keep_record(app, taking, trade_once(taking.world, call, desk, proposed, sent))


def record_exits(
    app: "App", world: "World", call: "Call", desk: "Desk", ended: "Mapping[str, CandidateRecord]"
) -> "CycleRecord":
    """Run an exit pass, and store its inputs; a dry run stores nothing."""
    if world.dry_run or not app.passes.keeps:
        return evaluate_exits(world, call, desk, ended)
    taking = PassRecorder(world, call, desk, None, ended)
    return _keep_record(app, taking, evaluate_exits(taking.world, call, desk, ended))


def record_flatten(app: "App", world: "World", call: "Call", symbols: frozenset[str] | None) -> "CycleRecord":
    """Close positions on request, and store the pass's inputs; a dry run stores nothing."""
    if world.dry_run or not app.passes.keeps:
        return flatten(world, call, symbols)
    look = partial(take_desk, world, for_entries=False)
    taking = PassRecorder(world, call, look(), None, {})
    return _keep_record(app, taking, taking.record_close(look, symbols))


def _keep_record(app: "App", taking: PassRecorder, cycle: "CycleRecord") -> "CycleRecord":
    try:
        around = app.in_force.surroundings
        written = taking.to_record(cycle, around, app.passes.remembered)
    except UNWRITABLE as error:
        app.passes.not_kept(cycle.id, cycle.at, str(error))
    else:
        app.passes.keep(KeptPass(cycle.id, cycle.session, cycle.at, around.version), written)
    return cycle
