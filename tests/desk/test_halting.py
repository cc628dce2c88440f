"""The bot halts itself: once, with its evidence, before the next order; and each such halt can be ended without one."""

from datetime import timedelta
from decimal import Decimal

import pytest

from tests.builders import CASH, HALTS, NOW, limits
from tests.venues import LOST, REJECTED
from tests.worlds import NAMES, Scene, call, evaluate_exits, trade_once, wanted
from tradebot.desk.halting import accept_causes, halt_for, halt_for_crash_loop, remaining_causes
from tradebot.desk.snapshot import take
from tradebot.errors import OperatorError
from tradebot.model.account import Account, BrokerView
from tradebot.model.event import Severity
from tradebot.model.intent import ID_CONFLICT
from tradebot.model.order import OrderStatus, Outcome, Reply
from tradebot.model.reasons import Reason
from tradebot.model.record import CycleRecord, Job
from tradebot.model.trading import TradingState, TradingStateRecord
from tradebot.model.values import replace
from tradebot.ports.world import World

MANY = tuple(f"N{number}" for number in range(40))
EXITS = call(Job.EVALUATE_EXITS)


class Lossy(Scene):
    """A scene whose account can lose money, and whose rows can be unreadable."""

    lost = Decimal(0)
    before = CASH
    unreadable = 0

    def __post_init__(self) -> None:
        super().__post_init__()
        view, account = self.venue.view, self.venue.account

        def poorer() -> Account:
            return replace(account(), equity=self.before - self.lost, last_equity=self.before)

        def seen() -> BrokerView:
            return replace(view(), account=poorer(), unreadable=self.unreadable)

        self.venue.account = poorer  # type: ignore[method-assign]
        self.venue.view = seen  # type: ignore[method-assign]


def why(scene: Scene) -> str:
    state = scene.ledger.trading_state()
    return state.why if state.state is TradingState.REDUCE_ONLY and state.who == "tradebot" else ""


def ends(record: CycleRecord) -> list[Reason | None]:
    return [found.terminal.reason if found.terminal else None for found in record.candidates]


def unhalt(scene: Scene, *, override: bool = False) -> None:
    """End the halt as the verb does."""
    before, words, accepted = scene.ledger.trading_state(), "a person looked", None
    if override:
        words, accepted = accept_causes(scene.ledger, before, words)
    else:
        assert remaining_causes(scene.world(dry_run=True)) == ""
    opened = TradingStateRecord(TradingState.ACTIVE, "ada", words, NOW + timedelta(days=4), override=accepted)
    scene.ledger.set_trading_state(opened, over=before)


def crowd(**changes: object) -> Scene:
    """Return a scene with forty names to enter, and limits on the book that let them all in."""
    scene = Scene(universe=MANY, limits=limits(max_open_positions=100, max_gross_fraction=2, **changes))
    for name in MANY:
        scene.venue.prices[name] = replace(scene.venue.prices["AAPL"], symbol=name)
        scene.fetched(name)
    return scene


def in_many_sectors(world: World) -> World:
    return replace(world, rules=replace(world.rules, sectors={name: name for name in MANY}))


def test_a_day_that_lost_too_much_halts_once_with_its_evidence_and_an_event() -> None:
    scene = Lossy()
    scene.lost = Decimal(4_100)
    first = trade_once(scene.world(wanted("AAPL")), call())
    evaluate_exits(scene.world(), EXITS)
    assert ends(first) == [Reason.HALTED]
    assert why(scene) == "DAILY_LOSS_HALT: 0.041 against 0.04"
    (event,) = (each for each in scene.events.emitted if each.event_type == "halted_itself")
    assert (event.severity, event.event_type, event.details["why"]) == (Severity.CRITICAL, "halted_itself", why(scene))
    assert scene.venue.submitted == []


def test_a_smaller_loss_shuts_entries_and_halts_nothing() -> None:
    scene = Lossy()
    scene.lost = Decimal(3_900)
    assert ends(trade_once(scene.world(wanted("AAPL")), call())) == [Reason.DAILY_LOSS_REACHED]
    assert why(scene) == ""


def test_a_dry_run_says_what_would_be_and_halts_nothing() -> None:
    scene = Lossy()
    scene.lost = Decimal(4_100)
    assert ends(trade_once(scene.world(wanted("AAPL"), dry_run=True), call())) == [Reason.HALTED]
    assert (why(scene), scene.events.emitted) == ("", [])


def test_a_pass_of_exits_halts_too_and_goes_on() -> None:
    scene = Lossy()
    assert ends(trade_once(scene.world(wanted("AAPL")), call())) == [None]
    scene.venue.fill(scene.venue.submitted[0].client_order_id, "100")
    scene.price("AAPL", "90")
    scene.lost = Decimal(5_000)
    assert ends(evaluate_exits(scene.world(), EXITS)) == [None]
    assert why(scene).startswith("DAILY_LOSS_HALT")
    assert [intent.side.value for intent in scene.venue.submitted] == ["buy", "sell"]


def test_a_slow_fall_halts_by_its_distance_from_the_highest_equity_ever_seen() -> None:
    scene = Lossy()
    for equity in (100_000, 103_000, 98_000, 95_000, 92_800):
        assert why(scene) == ""
        scene.before = Decimal(equity)
        evaluate_exits(scene.world(), EXITS)
    scene.before = Decimal(92_700)
    evaluate_exits(scene.world(), EXITS)
    assert why(scene) == "DRAWDOWN_REACHED: 0.1 against 0.1"


def test_a_drawdown_that_is_overridden_is_measured_from_then_on() -> None:
    scene = Lossy()
    evaluate_exits(scene.world(), EXITS)
    scene.before = Decimal(85_000)
    evaluate_exits(scene.world(), EXITS)
    assert "unhalt --override" in remaining_causes(scene.world(dry_run=True))
    unhalt(scene, override=True)
    for equity in (85_000, 77_000):
        scene.before = Decimal(equity)
        evaluate_exits(scene.world(), EXITS)
        assert why(scene) == ""
    # Another halt, ended without an override, does not bring the old height back.
    scene.ledger.set_trading_state(TradingStateRecord(TradingState.REDUCE_ONLY, "ada", "lunch", NOW))
    unhalt(scene)
    scene.before = Decimal(76_400)
    evaluate_exits(scene.world(), EXITS)
    assert why(scene).startswith("DRAWDOWN_REACHED")


@pytest.mark.parametrize(("reply", "cause"), [(REJECTED, "REJECT_STORM"), (LOST, "UNKNOWN_STORM")])
def test_a_runaway_strategy_at_a_venue_that_says_no_is_stopped_within_one_cycle_and_five_orders(
    reply: Reply, cause: str
) -> None:
    scene = crowd(max_new_entries=5)
    scene.venue.script = dict.fromkeys(MANY, reply)
    record = trade_once(in_many_sectors(scene.world(*(wanted(name) for name in MANY))), call())
    assert len(scene.venue.submitted) == 5
    assert why(scene) == f"{cause}: 5 against 5"
    assert ends(record)[5:] == 35 * [Reason.HALTED]


def test_a_runaway_strategy_at_a_venue_that_says_yes_is_stopped_within_one_cycle_and_five_orders() -> None:
    scene = crowd(max_new_entries=3)
    ends_of = [
        ends(trade_once(in_many_sectors(scene.world(*(wanted(n) for n in MANY))), call(slot=f"again {slot}")))
        for slot in range(8)
    ]
    assert len(scene.venue.submitted) == 5
    assert ends_of[0].count(Reason.MAX_NEW_ENTRIES) == 37
    assert all(set(said) <= {Reason.ORDER_RATE, Reason.ORDER_WORKING} for said in ends_of[2:])


def test_five_refusals_over_several_passes_are_a_storm_and_ten_minutes_end_it() -> None:
    scene = Scene()
    scene.venue.script = dict.fromkeys(NAMES, REJECTED)
    for turn, symbol in enumerate((*NAMES, "AAPL")):
        trade_once(scene.world(wanted(symbol)), call(slot=f"turn {turn}"))
        scene.later(90)
    assert why(scene) == "REJECT_STORM: 5 against 5"
    assert "halts.storm_window_s" in remaining_causes(scene.world(dry_run=True))
    scene.later(HALTS.storm_window_s)
    unhalt(scene)
    scene.venue.script = {}
    assert ends(trade_once(scene.world(wanted("JPM")), call(slot="after"))) == [None]


@pytest.mark.parametrize("dated", [True, False])
def test_orders_refused_after_the_venue_had_accepted_them_are_a_storm_too(dated: bool) -> None:
    scene = Scene()
    for turn, symbol in enumerate((*NAMES, "AAPL")):
        (said,) = ends(trade_once(scene.world(wanted(symbol)), call(slot=f"turn {turn}")))
        assert said is None
        order = scene.venue.book[scene.venue.submitted[-1].client_order_id]
        scene.later(70)
        at = scene.venue.now if dated else None
        scene.venue.book[order.client_order_id] = replace(order, status=OrderStatus.REJECTED, updated_at=at)
    assert why(scene) == ""
    assert ends(trade_once(scene.world(wanted("JPM")), call(slot="storm"))) == [Reason.HALTED]
    assert why(scene) == "REJECT_STORM: 5 against 5"
    scene.later(HALTS.storm_window_s)
    unhalt(scene)


def test_an_order_that_was_refused_counts_once_whenever_the_venue_shows_it() -> None:
    scene = Scene()
    scene.venue.script["AAPL"] = REJECTED
    trade_once(scene.world(wanted("AAPL")), call())
    (intent,) = scene.venue.submitted
    order = scene.venue.rest(intent.client_order_id, "AAPL", intent)
    refused = replace(order, status=OrderStatus.REJECTED)
    scene.ledger.apply_orders([refused], NOW)
    assert len(take(scene.world(), with_flow=False).halt_evidence.refused) == 1


def test_orders_without_an_answer_are_a_storm_until_they_are_found() -> None:
    scene = crowd(max_new_entries=5)
    scene.venue.script, scene.venue.swallows = dict.fromkeys(MANY, LOST), True
    trade_once(in_many_sectors(scene.world(*(wanted(name) for name in MANY))), call())
    assert why(scene) == "UNKNOWN_STORM: 5 against 5"
    assert remaining_causes(scene.world(dry_run=True))
    for intent in scene.venue.submitted:
        scene.venue.rest(intent.client_order_id, intent.instrument.symbol, intent)
    evaluate_exits(scene.world(), EXITS)
    unhalt(scene)


def test_an_order_under_our_mark_that_nobody_promised_halts() -> None:
    scene = Scene()
    trade_once(scene.world(wanted("AAPL")), call())
    twin = replace(scene.venue.submitted[0], client_order_id="tb1.261116.FLOW.MSFT.OPEN.TWIN")
    scene.venue.rest(twin.client_order_id, "MSFT", twin)
    assert ends(trade_once(scene.world(wanted("JPM")), call(slot="next"))) == [Reason.HALTED]
    assert why(scene) == f"SECOND_WRITER: {twin.client_order_id} against 0"
    scene.venue.book.pop(twin.client_order_id)
    unhalt(scene)


def test_an_order_of_others_without_our_mark_halts_nothing() -> None:
    scene = Scene()
    trade_once(scene.world(wanted("AAPL")), call())
    scene.venue.rest("typed by hand", "MSFT", scene.venue.submitted[0])
    evaluate_exits(scene.world(), EXITS)
    assert why(scene) == ""


@pytest.mark.parametrize("found_later", [False, True])
def test_another_order_under_our_id_halts_whenever_it_is_seen(found_later: bool) -> None:
    scene = Scene()
    scene.venue.script["AAPL"] = LOST if found_later else Reply(Outcome.REJECTED, None, ID_CONFLICT, "another order")
    scene.venue.swallows = True
    trade_once(scene.world(wanted("AAPL")), call())
    if found_later:
        other = replace(scene.venue.submitted[0], quantity=Decimal(7))
        scene.venue.rest(other.client_order_id, "AAPL", other)
    scene.later(300)
    evaluate_exits(scene.world(), EXITS)
    assert why(scene).startswith("SECOND_WRITER: tb1.261116.FLOW.AAPL.OPEN.")
    unhalt(scene, override=True)
    evaluate_exits(scene.world(), EXITS)
    assert why(scene) == ""


def test_another_order_under_our_id_halts_before_the_next_entry_of_the_pass() -> None:
    scene = Scene()
    scene.venue.script["AAPL"] = Reply(Outcome.REJECTED, None, ID_CONFLICT, "another order")
    record = trade_once(scene.world(wanted("AAPL", 0.9), wanted("MSFT", 0.8)), call())
    assert ends(record) == [Reason.SECOND_WRITER, Reason.HALTED]
    assert [intent.instrument.symbol for intent in scene.venue.submitted] == ["AAPL"]
    assert why(scene).startswith("SECOND_WRITER: tb1.261116.FLOW.AAPL.OPEN.")


def test_rows_that_nobody_can_read_halt_until_they_can_be_read() -> None:
    scene = Lossy()
    scene.unreadable = 3
    evaluate_exits(scene.world(), EXITS)
    assert why(scene) == "VENUE_DRIFT: 3 against 3"
    scene.unreadable = 0
    unhalt(scene)


def test_a_fault_halts_and_keeps_the_reason_of_a_halt_that_is_in_force() -> None:
    scene = Scene()
    halt_for(scene.ledger, scene.events, ZeroDivisionError("in a gate"), NOW)
    halt_for(scene.ledger, scene.events, KeyError("later"), NOW)
    assert why(scene) == "PASS_FAULT: ZeroDivisionError: in a gate"
    assert len(scene.events.emitted) == 1
    unhalt(scene)


def test_a_crash_loop_halts_until_a_person_has_looked() -> None:
    scene = Scene()
    halt_for_crash_loop(scene.ledger, scene.events, 6, 5, NOW)
    halt_for_crash_loop(scene.ledger, scene.events, 6, 5, NOW)
    assert why(scene) == "CRASH_LOOP: 6 against 5"
    assert len(scene.events.emitted) == 1
    record = trade_once(scene.world(wanted("AAPL")), call())
    assert ends(record) == [Reason.HALTED]
    unhalt(scene)


def test_where_the_latch_cannot_be_written_nothing_is_sent() -> None:
    scene = Lossy()
    scene.lost = Decimal(9_000)

    def full(*_: object, **__: object) -> None:
        raise OperatorError("the disk is full")

    scene.ledger.set_trading_state = full  # type: ignore[method-assign]
    with pytest.raises(OperatorError):
        trade_once(scene.world(wanted("AAPL")), call())
    assert scene.venue.submitted == []
    assert [event.event_type for event in scene.events.emitted] == ["halted_itself"]


def test_nothing_latches_while_the_clocks_disagree_and_what_stands_then_latches_after_it() -> None:
    scene = Lossy()
    scene.lost = Decimal(4_100)
    apart = replace(scene.world(wanted("AAPL")), second_clock=lambda: NOW - timedelta(days=1))
    assert ends(trade_once(apart, call())) == [Reason.CLOCKS_DISAGREE]
    assert why(scene) == ""
    evaluate_exits(scene.world(), EXITS)
    assert why(scene).startswith("DAILY_LOSS_HALT")
