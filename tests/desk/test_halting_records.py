"""What a halt of the bot's own leaves behind: who, every cause with its numbers, when, and what a person made of it."""

from decimal import Decimal

import pytest

from tests.builders import CASH, HALTS, NOW, exit_rules, limits
from tests.desk.test_halting import Lossy
from tests.worlds import call, evaluate_exits, trade_once, wanted
from tradebot.desk.halting import accept_causes, halt_for, halt_if_needed, remaining_causes
from tradebot.desk.snapshot import take
from tradebot.gates.coherence import Trader, contradictions, exit_contradictions, halts_by_itself
from tradebot.model.event import Severity
from tradebot.model.reasons import Reason
from tradebot.model.record import Job
from tradebot.model.trading import Override, TradingState, TradingStateRecord, hidden_halts

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


def test_all_causes_that_stand_are_told_with_their_numbers_and_by_whom() -> None:
    scene = fallen()
    desk = halt_if_needed(scene.world(), take(scene.world(), with_flow=False))
    told = "DAILY_LOSS_HALT: 0.125 against 0.04; DRAWDOWN_REACHED: 0.125 against 0.1"
    assert (desk.state.who, desk.state.why, desk.state.at) == ("tradebot", told, scene.venue.now)
    kept = scene.ledger.trading_state()
    assert (kept.who, kept.why, kept.at) == ("tradebot", told, scene.venue.now)
    (event,) = scene.events.emitted
    shown = (event.timestamp, event.subsystem, event.event_type, event.severity, event.symbol, event.details)
    assert shown == (scene.venue.now, "halts", "halted_itself", Severity.CRITICAL, None, {"why": told})


def test_what_stands_names_each_cause_with_what_ends_it() -> None:
    causes = remaining_causes(fallen().world(dry_run=True)).split("; ")
    assert [cause.partition(": ")[0] for cause in causes] == ["DAILY_LOSS_HALT", "DRAWDOWN_REACHED"]
    assert all(", which " in cause for cause in causes)


def test_a_fault_halts_at_its_own_time_and_tells_it() -> None:
    scene = Lossy()
    halt_for(scene.ledger, scene.events, ZeroDivisionError("in a gate"), NOW)
    assert (scene.ledger.trading_state().at, scene.events.emitted[0].timestamp) == (NOW, NOW)


def test_a_person_who_takes_a_drawdown_over_is_quoted_and_it_is_measured_from_nothing() -> None:
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
    scene.ledger.set_trading_state(TradingStateRecord(TradingState.FLATTEN, "ada/1", "looking", scene.venue.now))
    assert hidden_halts(scene.ledger.halts(), scene.ledger.trading_state()) == (own,)
    words, accepted = accept_causes(scene.ledger, scene.ledger.trading_state(), "seen")
    assert accepted == Override(own.causes, scene.venue.now)
    assert own.causes == {Reason.DAILY_LOSS_HALT, Reason.DRAWDOWN_REACHED}
    assert peak(scene) == 0
    scene.ledger.set_trading_state(TradingStateRecord(TradingState.ACTIVE, "ada/1", words, NOW, override=accepted))
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
    halt_if_needed(scene.world(dry_run=True), take(scene.world(dry_run=True), with_flow=False))
    assert peak(scene) is None
    halt_if_needed(scene.world(), take(scene.world(), with_flow=False))
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
    told = [text for text in halts_by_itself((alone,), edge, HALTS) if "would close entries" in text]
    assert bool(told) is refused
    assert all("loses 0.02 of equity, not less than max_daily_loss_fraction 0.02" in scenario for scenario in told)
