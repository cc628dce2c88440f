"""A better candidate gets room only after a position has really been closed, once, whatever happens in between."""

from datetime import timedelta
from decimal import Decimal

import pytest

from tests.kit.core.scene import Scene, call, evaluate_exits, trade_once, wanted
from tests.kit.core.venue import LOST, REJECTED
from tests.kit.values import DAY, EXITS, NOW, SESSION, SHIPPED, exit_rules, limits
from tradebot.desk.strategy_slots import finish_strategy_slots
from tradebot.exits.exit_reasons import ReasonPart, parse
from tradebot.model.bar import StrategySlot
from tradebot.model.candidate import Candidate, Purpose, Side
from tradebot.model.decision import Decision, Gate, Verdict
from tradebot.model.limits import ExitRules, OwnRules, Protection
from tradebot.model.reasons import Reason
from tradebot.model.record import CandidateRecord, CycleRecord, Job
from tradebot.model.struct_tools import replace
from tradebot.ports.world import World

RULES = SHIPPED.displacement.model_copy(update={"enabled": True, "min_age_s": 3600})
BETTER = wanted("XOM", 0.9)
LATER = NOW + timedelta(hours=2)


def full(count: int = 2, exits: ExitRules = EXITS) -> Scene:
    """Return a scene whose book is full: AAPL was bought for a score of 0.5, MSFT for 0.6, two hours ago."""
    scene = Scene(exits=exits, limits=limits(max_open_positions=count, max_new_entries=count))
    trade_once(scene.world(wanted("AAPL", 0.5), wanted("MSFT", 0.6)), call(slot="buy"))
    for intent in tuple(scene.venue.submitted):
        scene.venue.fill(intent.client_order_id, "100")
    scene.later(7200)
    evaluate_exits(scene.world(), call(Job.EVALUATE_EXITS, "book the fills"))
    return scene


def world(scene: Scene, *candidates: Candidate, dry_run: bool = False) -> World:
    now = (replace(one, at=scene.venue.now) for one in candidates)
    usual = scene.world(*now, dry_run=dry_run)
    own = {"flow": OwnRules(scene.universe, scene.limits, displacement=RULES)}
    return replace(usual, rules=replace(usual.rules, own=own))


def ends(cycle: CycleRecord) -> dict[tuple[str, Purpose], Reason | None]:
    """Return where each candidate of a pass ended; None for an order that was sent."""
    records = ((record.candidate, record.terminal) for record in cycle.candidates)
    return {(one.symbol, one.purpose): end.reason if end else None for one, end in records}


def test_the_weakest_is_closed_first_and_the_better_one_is_opened_once_that_has_filled() -> None:
    scene = full()
    cycle = trade_once(world(scene, BETTER), call(slot="better"))
    assert ends(cycle) == {
        ("AAPL", Purpose.CLOSE): None,
        ("XOM", Purpose.OPEN): Reason.DISPLACEMENT_STARTED,
    }
    closed, refused = cycle.candidates
    assert (closed.candidate.why, closed.candidate.displaced_by) == ("displaced_by_XOM", "XOM")
    reasons = [decision.reason for decision in closed.decisions if decision.gate is Gate.EXIT]
    started = next(decision for decision in refused.decisions if decision.gate is Gate.DISPLACEMENT)
    assert (reasons, started.limit) == ([Reason.DISPLACED], 0.25)
    assert started.observed == pytest.approx(0.4)
    last = scene.venue.submitted[-1]
    assert (last.purpose, last.side, last.displaced_by) == (Purpose.CLOSE, Side.SELL, "XOM")
    assert parse(last.why) == (ReasonPart("displaced_by", symbol="XOM"),)

    scene.later(60)
    assert ends(trade_once(world(scene, BETTER), call(slot="too early"))) == {
        ("XOM", Purpose.OPEN): Reason.DISPLACEMENT_PENDING
    }
    scene.venue.fill(last.client_order_id, "100")
    scene.later(60)
    assert ends(trade_once(world(scene, BETTER), call(slot="room"))) == {("XOM", Purpose.OPEN): None}
    assert [i.purpose for i in scene.venue.submitted[2:]] == [Purpose.CLOSE, Purpose.OPEN]


def test_a_position_that_a_pair_protects_is_closed_through_it() -> None:
    scene = full(exits=exit_rules(protection=Protection.VENUE))
    cycle = trade_once(world(scene, BETTER), call(slot="better"))
    assert ends(cycle)["XOM", Purpose.OPEN] is Reason.DISPLACEMENT_STARTED
    (intent,) = scene.venue.replaced
    assert (intent.instrument.symbol, intent.purpose, intent.displaced_by) == ("AAPL", Purpose.CLOSE, "XOM")
    scene.later(60)
    pending = ends(trade_once(world(scene, BETTER), call(slot="too early")))
    assert pending == {("XOM", Purpose.OPEN): Reason.DISPLACEMENT_PENDING}
    scene.venue.fill(intent.client_order_id, "100")
    scene.later(60)
    assert ends(trade_once(world(scene, BETTER), call(slot="room"))) == {("XOM", Purpose.OPEN): None}


@pytest.mark.parametrize(
    ("reason", "done"),
    [(Reason.DISPLACEMENT_STARTED, False), (Reason.DISPLACEMENT_PENDING, False), (Reason.POSITION_TOO_YOUNG, True)],
)
def test_a_slot_of_a_strategys_own_clock_waits_for_the_room_that_is_made(reason: Reason, done: bool) -> None:
    scene, slot = Scene(), StrategySlot("flow", DAY, "open+30m", NOW, SESSION.close)
    refused = Decision(Gate.DISPLACEMENT, Verdict.FAIL, reason)
    record = CandidateRecord(replace(BETTER, slot=slot.name, slot_session=slot.session), (refused,))
    finish_strategy_slots(scene.world(), call(), [slot], [record], NOW)
    assert bool(scene.ledger.slot_claims(DAY)) == done


def test_one_pass_displaces_once_however_many_candidates_are_better() -> None:
    scene = full()
    cycle = trade_once(world(scene, BETTER, wanted("JPM", 0.95)), call(slot="better"))
    assert ends(cycle) == {
        ("AAPL", Purpose.CLOSE): None,
        ("JPM", Purpose.OPEN): Reason.DISPLACEMENT_STARTED,
        ("XOM", Purpose.OPEN): Reason.DISPLACEMENT_PENDING,
    }


def test_a_pass_that_is_run_again_closes_nothing_more() -> None:
    scene = full()
    trade_once(world(scene, BETTER), call(slot="better"))
    again = trade_once(world(scene, BETTER), call(slot="better"))
    assert ends(again) == {("XOM", Purpose.OPEN): Reason.DISPLACEMENT_PENDING}
    assert len(scene.venue.submitted) == 3


def test_a_position_that_gave_way_does_not_displace_the_other_in_turn() -> None:
    scene = full()
    trade_once(world(scene, BETTER), call(slot="better"))
    scene.venue.fill(scene.venue.submitted[-1].client_order_id, "100")
    scene.later(60)
    trade_once(world(scene, BETTER), call(slot="room"))
    scene.venue.fill(scene.venue.submitted[-1].client_order_id, "100")
    scene.later(7200)
    back = ends(trade_once(world(scene, wanted("AAPL", 1.0)), call(slot="back")))
    assert back == {("AAPL", Purpose.OPEN): Reason.DISPLACED_LATELY}


@pytest.mark.parametrize(
    ("reply", "end"), [(REJECTED, Reason.DISPLACEMENT_FAILED), (LOST, Reason.DISPLACEMENT_STARTED)]
)
def test_a_close_that_is_refused_or_lost_opens_nothing(reply: object, end: Reason) -> None:
    scene = full()
    scene.venue.script["AAPL"] = reply  # type: ignore[assignment]
    cycle = trade_once(world(scene, BETTER), call(slot="better"))
    assert ends(cycle)["XOM", Purpose.OPEN] is end
    assert [intent.instrument.symbol for intent in scene.venue.submitted[2:]] == ["AAPL"]


def test_a_close_that_never_arrived_is_sent_once_more_under_its_own_id() -> None:
    scene = full()
    scene.venue.script["AAPL"], scene.venue.swallows = LOST, True
    trade_once(world(scene, BETTER), call(slot="lost"))
    scene.venue.script = {}
    for seconds, sent in ((20, 3), (60, 4), (300, 4)):
        before = len(scene.venue.submitted)
        scene.later(seconds - int((scene.venue.now - LATER).total_seconds()))
        cycle = trade_once(world(scene, BETTER, wanted("JPM", 0.95)), call(slot=f"{seconds} seconds"))
        assert ends(cycle)["XOM", Purpose.OPEN] is Reason.DISPLACEMENT_PENDING
        assert len(scene.venue.submitted) == sent
        assert sum(record.candidate.purpose is Purpose.CLOSE for record in cycle.candidates) == sent - before
    assert scene.venue.submitted[2] == scene.venue.submitted[3]


def test_a_dry_run_sends_nothing_and_says_so() -> None:
    scene = full()
    cycle = trade_once(world(scene, BETTER, dry_run=True), call(slot="better"))
    assert ends(cycle) == {
        ("AAPL", Purpose.CLOSE): Reason.DRY_RUN,
        ("XOM", Purpose.OPEN): Reason.DISPLACEMENT_FAILED,
    }
    assert len(scene.venue.submitted) == 2


def test_without_rules_nothing_is_displaced_and_with_room_nothing_has_to_be() -> None:
    scene = full()
    off = trade_once(scene.world(replace(BETTER, at=scene.venue.now)), call(slot="off"))
    (record,) = off.candidates
    assert Gate.DISPLACEMENT not in {decision.gate for decision in record.decisions}
    assert ends(off) == {("XOM", Purpose.OPEN): Reason.MAX_OPEN_POSITIONS}
    room = full(3)
    assert ends(trade_once(world(room, BETTER), call(slot="better"))) == {("XOM", Purpose.OPEN): None}


def test_a_candidate_that_is_not_clearly_better_is_refused_for_that_cause() -> None:
    scene = full()
    cycle = trade_once(world(scene, wanted("XOM", 0.7)), call(slot="better"))
    assert ends(cycle) == {("XOM", Purpose.OPEN): Reason.SCORE_ADVANTAGE_TOO_SMALL}
    assert len(scene.venue.submitted) == 2
    assert Decimal(10) < scene.venue.held["AAPL"]
