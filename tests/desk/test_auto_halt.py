"""The bot halts itself: once, with its evidence, before the next order; and each such halt can be ended without one."""

from datetime import timedelta
from decimal import Decimal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.kit.core.scene import NAMES, Scene, call, evaluate_exits, trade_once, wanted
from tests.kit.core.venue import LOST, REJECTED
from tests.kit.values import ACCOUNT, CASH, HALTS, NOW, exit_rules, limits
from tradebot.adapters.memory.ledger import MemoryLedger
from tradebot.desk.auto_halt import (
    JUMP,
    accept_causes,
    halt_for,
    halt_if_needed,
    remaining_causes,
    remember,
)
from tradebot.desk.snapshot import take_desk
from tradebot.errors import OperatorError
from tradebot.gates.coherence import Trader, contradictions, exit_contradictions, self_halting_scenarios
from tradebot.model.account import Account, AccountValue, BrokerView
from tradebot.model.event import Severity
from tradebot.model.intent import ID_CONFLICT
from tradebot.model.order import OrderStatus, Reply, WriteOutcome
from tradebot.model.reasons import Reason
from tradebot.model.record import CycleRecord, Job
from tradebot.model.struct_tools import replace
from tradebot.model.trading import Override, TradingState, TradingStateRecord, hidden_halts
from tradebot.ports.world import World

MANY = tuple(f"N{number}" for number in range(40))


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
    assert len(take_desk(scene.world(), for_entries=False).halt_evidence.refused) == 1


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
    scene.venue.script["AAPL"] = (
        LOST if found_later else Reply(WriteOutcome.REJECTED, None, ID_CONFLICT, "another order")
    )
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
    scene.venue.script["AAPL"] = Reply(WriteOutcome.REJECTED, None, ID_CONFLICT, "another order")
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
    halt_for(scene.ledger, scene.events, Reason.PASS_FAULT, "ZeroDivisionError: in a gate", NOW)
    halt_for(scene.ledger, scene.events, Reason.PASS_FAULT, "KeyError: 'later'", NOW)
    assert why(scene) == "PASS_FAULT: ZeroDivisionError: in a gate"
    assert len(scene.events.emitted) == 1
    unhalt(scene)


def test_a_crash_loop_halts_until_a_person_has_looked() -> None:
    scene = Scene()
    halt_for(scene.ledger, scene.events, Reason.CRASH_LOOP, "6 against 5", NOW)
    halt_for(scene.ledger, scene.events, Reason.CRASH_LOOP, "6 against 5", NOW)
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


def test_no_halt_latches_while_the_clocks_disagree_and_a_lasting_cause_latches_afterwards() -> None:
    scene = Lossy()
    scene.lost = Decimal(4_100)
    apart = replace(scene.world(wanted("AAPL")), second_clock=lambda: NOW - timedelta(days=1))
    assert ends(trade_once(apart, call())) == [Reason.CLOCKS_DISAGREE]
    assert why(scene) == ""
    evaluate_exits(scene.world(), EXITS)
    assert why(scene).startswith("DAILY_LOSS_HALT")


Reading = tuple[int, int]
"""Equity, and what cash and positions add up to."""
AMOUNTS = st.integers(-1_000, 10**9)
READINGS = st.lists(st.tuples(AMOUNTS, AMOUNTS) | AMOUNTS.map(lambda usd: (usd, usd)), max_size=12)


def seen(*readings: Reading, ledger: MemoryLedger | None = None) -> MemoryLedger:
    if ledger is None:
        ledger = MemoryLedger(ACCOUNT)
        ledger.open_books(CASH, NOW)
    for equity, total in readings:
        remember(ledger, ledger.account_state(), Decimal(equity), AccountValue(Decimal(total), Decimal(0)))
    return ledger


def peak_equity(ledger: MemoryLedger) -> Decimal | None:
    peak = ledger.equity_peak()
    return (peak.highest or None) if peak else None


@given(READINGS)
def test_no_single_reading_moves_the_peak_more_than_tenfold(readings: list[Reading]) -> None:
    ledger, before = seen(), Decimal(0)
    for equity, total in readings:
        known = peak_equity(ledger) or Decimal(0)
        peak = peak_equity(seen((equity, total), ledger=ledger)) or Decimal(0)
        assert known <= peak <= max(known, Decimal(equity))
        assert peak <= max(JUMP * (known or CASH), before)
        before = max(before, Decimal(equity))


@settings(max_examples=50)
@given(st.lists(st.integers(91_000, 900_000), min_size=1, max_size=8), st.integers(0, 8), st.integers(10**7, 10**12))
def test_an_absurd_reading_leaves_the_peak_as_if_it_had_never_been(honest: list[int], place: int, absurd: int) -> None:
    right = [(usd, usd) for usd in honest]
    for lie in ((absurd, absurd), (absurd, honest[0]), (honest[0], absurd)):
        lied = [*right[:place], lie, *right[place:]]
        assert peak_equity(seen(*lied)) == peak_equity(seen(*right)) == max(honest)


def test_a_jump_that_a_second_pass_sees_too_counts_as_low_as_the_two_saw_it() -> None:
    ledger = seen((100_000, 100_000), (2_000_000, 2_000_000))
    assert peak_equity(ledger) == 100_000
    seen((1_900_000, 1_950_000), ledger=ledger)
    assert peak_equity(ledger) == 1_900_000
    seen((2_100_000, 2_100_000), ledger=ledger)
    assert peak_equity(ledger) == 2_100_000


def test_the_first_look_is_held_against_the_opening_cash() -> None:
    ledger = seen((5_000_000, 5_000_000))
    assert peak_equity(ledger) is None
    assert peak_equity(seen((110_000, 110_000), ledger=ledger)) == 110_000


@pytest.mark.parametrize("factor", ["100", "0.01", "0.5"])
def test_one_absurd_equity_shuts_entries_and_never_halts(factor: str) -> None:
    scene = Lossy()
    evaluate_exits(scene.world(), EXITS)
    scene.lost = CASH - CASH * Decimal(factor)
    evaluate_exits(scene.world(), EXITS)
    (refused,) = trade_once(scene.world(wanted("AAPL")), call()).candidates
    assert Reason.EQUITY_UNEXPLAINED in {decision.reason for decision in refused.decisions if not decision.passed}
    scene.lost = Decimal(0)
    evaluate_exits(scene.world(), EXITS)
    assert why(scene) == ""
    assert ends(trade_once(scene.world(wanted("AAPL")), call(slot="open+31m"))) == [None]


EXITS = call(Job.EVALUATE_EXITS)


def fallen() -> Lossy:
    """Return a scene that has lost an eighth of its equity in a day: two causes at once."""
    scene = Lossy()
    evaluate_exits(scene.world(), EXITS)
    scene.lost = Decimal(12_500)
    return scene


def peak(scene: Lossy) -> Decimal | None:
    found = scene.ledger.equity_peak()
    return found.highest if found else None


def test_all_present_causes_are_reported_with_their_numbers_and_source() -> None:
    scene = fallen()
    desk = halt_if_needed(scene.world(), take_desk(scene.world(), for_entries=False))
    told = "DAILY_LOSS_HALT: 0.125 against 0.04; DRAWDOWN_REACHED: 0.125 against 0.1"
    assert (desk.state.who, desk.state.why, desk.state.at) == ("tradebot", told, scene.venue.now)
    kept = scene.ledger.trading_state()
    assert (kept.who, kept.why, kept.at) == ("tradebot", told, scene.venue.now)
    (event,) = scene.events.emitted
    shown = (event.timestamp, event.subsystem, event.event_type, event.severity, event.symbol, event.details)
    assert shown == (scene.venue.now, "halts", "halted_itself", Severity.CRITICAL, None, {"why": told})


def test_a_halt_names_each_present_cause_with_what_ends_it() -> None:
    causes = remaining_causes(fallen().world(dry_run=True)).split("; ")
    assert [cause.partition(": ")[0] for cause in causes] == ["DAILY_LOSS_HALT", "DRAWDOWN_REACHED"]
    assert all(", which " in cause for cause in causes)


def test_a_fault_halts_and_is_dated_by_when_it_happened() -> None:
    scene = Lossy()
    halt_for(scene.ledger, scene.events, Reason.PASS_FAULT, "ZeroDivisionError: in a gate", NOW)
    assert (scene.ledger.trading_state().at, scene.events.emitted[0].timestamp) == (NOW, NOW)


def test_an_overridden_drawdown_quotes_the_person_and_forgets_the_highest_equity() -> None:
    scene = fallen()
    evaluate_exits(scene.world(), EXITS)
    assert peak(scene) == CASH
    words, accepted = accept_causes(scene.ledger, scene.ledger.trading_state(), "seen, and small")
    assert accepted == Override(frozenset({Reason.DAILY_LOSS_HALT, Reason.DRAWDOWN_REACHED}), scene.venue.now)
    assert words == "override: seen, and small"
    assert peak(scene) == 0


def test_an_override_takes_the_bots_own_halt_over_that_lies_under_a_persons() -> None:
    scene = fallen()
    evaluate_exits(scene.world(), EXITS)
    own = scene.ledger.trading_state()
    scene.ledger.set_trading_state(
        TradingStateRecord(TradingState.FLATTEN, "ada/1", "looking into it", scene.venue.now)
    )
    assert hidden_halts(scene.ledger.halts(), scene.ledger.trading_state()) == (own,)
    words, accepted = accept_causes(scene.ledger, scene.ledger.trading_state(), "seen")
    assert accepted == Override(own.causes, scene.venue.now)
    assert own.causes == {Reason.DAILY_LOSS_HALT, Reason.DRAWDOWN_REACHED}
    assert peak(scene) == 0
    scene.ledger.set_trading_state(
        TradingStateRecord(TradingState.ACTIVE, "ada/1", words, scene.venue.now, override=accepted)
    )
    assert hidden_halts(scene.ledger.halts(), scene.ledger.trading_state()) == ()
    evaluate_exits(scene.world(), EXITS)
    assert scene.ledger.trading_state().state is TradingState.ACTIVE


def test_another_halt_that_is_taken_over_leaves_the_highest_equity_alone() -> None:
    scene = Lossy()
    trade_once(scene.world(wanted("AAPL")), call())
    scene.ledger.set_trading_state(TradingStateRecord(TradingState.REDUCE_ONLY, "ada", "lunch", NOW))
    accept_causes(scene.ledger, scene.ledger.trading_state(), "back")
    assert peak(scene) == CASH


def test_the_highest_equity_is_kept_from_the_first_cent_on_and_by_no_dry_run() -> None:
    scene = Lossy()
    scene.before = scene.venue.cash = Decimal("0.75")
    halt_if_needed(scene.world(dry_run=True), take_desk(scene.world(dry_run=True), for_entries=False))
    assert peak(scene) is None
    halt_if_needed(scene.world(), take_desk(scene.world(), for_entries=False))
    assert peak(scene) == Decimal("0.75")


def test_relations_of_limits_hold_where_both_are_the_same_and_name_their_figures_where_not() -> None:
    exits = exit_rules()
    assert list(contradictions(limits(max_new_entries=5, max_open_positions=5, max_orders_per_second=5))) == []
    nested = limits(max_order_fraction=Decimal("0.10"), max_symbol_entries=20, max_session_entries=20)
    assert list(contradictions(nested)) == []
    (large,) = contradictions(limits(max_order_fraction=Decimal("0.2"), max_symbol_fraction=Decimal("0.1")))
    assert large.startswith("max_order_fraction 0.2 is above max_symbol_fraction 0.1: ")
    (many,) = contradictions(limits(max_orders_per_minute=30, max_session_entries=20))
    assert many.startswith("max_orders_per_minute 30 is above max_session_entries 20: ")
    (same,) = contradictions(limits(min_order_notional_usd=10_000))
    assert same.startswith("min_order_notional_usd 10000 is not below max_order_notional_usd 10000: ")
    level = exits.profit_target_fraction
    (never,) = exit_contradictions(exit_rules(trailing_arm_fraction=level))
    assert never.startswith(f"trailing_arm_fraction {level} is not below profit_target_fraction {level}: ")


@pytest.mark.parametrize(
    ("gross", "spread", "refused"),
    [("0.5", "0.015", True), ("0.5", "0.0149", False), ("0.4", "0.025", True), ("0.39", "0.025", False)],
)
def test_stops_and_spreads_that_lose_just_the_days_limit_are_refused(gross: str, spread: str, refused: bool) -> None:
    exits = exit_rules(stop_loss_fraction=Decimal("0.02"), limit_offset_fraction=Decimal("0.005"))
    edge = limits(
        max_gross_fraction=Decimal(gross), max_daily_loss_fraction=Decimal("0.02"), max_spread_fraction=spread
    )
    alone = Trader("flow", Decimal(1), edge, exits.stop_loss_fraction, exits.limit_offset_fraction)
    told = [text for text in self_halting_scenarios((alone,), edge, HALTS) if "could block entries" in text]
    assert bool(told) is refused
    assert all("loses 0.02 of equity, not less than max_daily_loss_fraction 0.02" in scenario for scenario in told)
