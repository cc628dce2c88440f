"""Run a pass so that it can be replayed: record its inputs, and save them once its orders are sent."""

from collections.abc import Mapping
from functools import partial
from typing import TYPE_CHECKING

from jobs.slot_claims import claim_by_hand
from tradebot.adapters.facts.recorded_passes import KeptPass
from tradebot.adapters.state.dry_run import keep_dry_run
from tradebot.cycle import evaluate_exits, trade_once
from tradebot.desk.snapshot import take_desk
from tradebot.model.record import Job
from tradebot.ports.world import Call
from tradebot.replaying.passes import ManualClose, PassRecorder, do_request
from tradebot.replaying.record_writer import RecordError
from tradebot.timetable.sessions import last_session

if TYPE_CHECKING:
    from tradebot.app.wiring import App
    from tradebot.desk.proposals import Proposals
    from tradebot.model.desk import Desk
    from tradebot.model.record import CandidateRecord, CycleRecord
    from tradebot.ports.world import World

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


def run_request(
    app: "App", what: str, by: str, *, symbols: frozenset[str] | None = None, order: str | None = None, dry_run: bool
) -> "CycleRecord":
    """Close positions, or cancel an `order`, on a person's request; a dry run stores nothing.

    The pass runs in its own slot, named after `what`, so that it doesn't use up the timetable's slot for exits.
    """
    now = app.now()
    if dry_run:
        call = Call(Job.EVALUATE_EXITS, last_session(app.ledger, now, app.day), what, by)
    else:
        app.ensure_calendar(now)
        call = claim_by_hand(app.ledger, Job.EVALUATE_EXITS, what, now, app.day, by)
    world = app.world(dry_run=dry_run, proposing=False)
    look = partial(take_desk, world, for_entries=False)
    if dry_run or not app.passes.keeps:
        named = None if symbols is None else tuple(sorted(symbols))
        return do_request(world, call, ManualClose(named, (), order), look)
    taking = PassRecorder(world, call, look(), None, {})
    return _keep_record(app, taking, taking.record_request(look, symbols, order))


def _keep_record(app: "App", taking: PassRecorder, cycle: "CycleRecord") -> "CycleRecord":
    try:
        around = app.in_force.surroundings
        written = taking.to_record(cycle, around, app.passes.remembered)
    except UNWRITABLE as error:
        app.passes.not_kept(cycle.id, cycle.at, str(error))
    else:
        app.passes.keep(KeptPass(cycle.id, cycle.session, cycle.at, around.version), written)
    return cycle
