"""In shadow everything is decided and recorded, and nothing is sent: no entry, no exit, no cancel."""

from decimal import Decimal

from tests.worlds import Scene, call, evaluate_exits, trade_once, wanted
from tradebot.model.candidate import Candidate
from tradebot.model.reasons import Reason
from tradebot.model.record import CycleRecord, Job
from tradebot.model.trading import Mode
from tradebot.model.values import replace
from tradebot.ports.world import World


def shadow(scene: Scene, *candidates: Candidate) -> World:
    return replace(scene.world(*candidates), orders=None, shadow=True)


def reasons(cycle: CycleRecord) -> list[Reason | None]:
    return [record.terminal.reason if record.terminal else None for record in cycle.candidates]


def held(scene: Scene) -> None:
    """Let the bot hold AAPL from an earlier pass that was not in shadow."""
    (record,) = trade_once(scene.world(wanted("AAPL")), call()).candidates
    assert record.client_order_id
    scene.venue.fill(record.client_order_id, "100")


def test_an_entry_ends_at_shadow_and_is_promised_to_nobody() -> None:
    scene = Scene()
    cycle = trade_once(shadow(scene, wanted("AAPL"), wanted("MSFT", 0.4)), call())
    assert reasons(cycle) == [Reason.SHADOW, Reason.SHADOW]
    assert (scene.venue.submitted, scene.ledger.intents()) == ([], ())
    assert all(record.client_order_id and record.reference_price for record in cycle.candidates)


def test_what_was_decided_is_recorded_under_its_own_mode() -> None:
    scene = Scene()
    world = shadow(scene, wanted("AAPL"))
    cycle = trade_once(replace(world, rules=replace(world.rules, mode=Mode.PAPER)), call())
    assert scene.facts.cycles(job=Job.TRADE_ONCE) == (cycle,)
    assert (cycle.mode, cycle.dry_run) == ("paper shadow", False)


def test_the_next_candidate_sees_the_book_as_if_the_order_had_gone_out() -> None:
    scene = Scene()
    names = [wanted(symbol, 0.5) for symbol in ("AAPL", "MSFT", "JPM", "XOM")]
    scene.limits = scene.limits.model_copy(update={"max_new_entries": 2})
    found = reasons(trade_once(shadow(scene, *names), call()))
    assert sorted(map(str, found)) == ["MAX_NEW_ENTRIES", "MAX_NEW_ENTRIES", "SHADOW", "SHADOW"]


def test_an_exit_that_a_rule_asks_for_is_not_sent_either() -> None:
    scene = Scene()
    held(scene)
    scene.later(60)
    scene.price("AAPL", "50")
    cycle = evaluate_exits(shadow(scene), call(Job.EVALUATE_EXITS))
    assert reasons(cycle) == [Reason.SHADOW]
    assert len(scene.venue.submitted) == 1
    (position,) = [p for p in scene.venue.held.values() if p]
    assert position > Decimal(0)


def test_a_working_order_of_ours_is_not_cancelled() -> None:
    scene = Scene()
    trade_once(scene.world(wanted("AAPL")), call())
    scene.later(scene.limits.entry_life_s)
    cycle = evaluate_exits(shadow(scene), call(Job.EVALUATE_EXITS))
    assert (reasons(cycle), scene.venue.cancelled) == ([Reason.SHADOW], [])
