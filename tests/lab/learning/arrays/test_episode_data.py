"""A tape has the prices of each minute, and refuses a market that it can't have in whole.

What arrays don't know is named, setting by setting.
"""

from decimal import Decimal
from typing import Any

import pytest

from tests.lab.learning.arrays.drawing import NAMES, plan, tapes
from tests.lab.learning.prices import give
from tradebot.lab.backtest.run import BacktestPlan, create_run
from tradebot.lab.learning.arrays.episode_data import (
    OFF,
    UnsupportedEpisodeError,
    margin_may_bind,
    rules_of,
    tapes_of,
    unsupported_feature,
)
from tradebot.lab.learning.environment import EpisodeTerms
from tradebot.lab.learning.training.training import span_of
from tradebot.model.limits import Limits
from tradebot.model.struct_tools import replace


def test_a_tape_has_each_minute_and_each_ask() -> None:
    (tape,) = tapes(plan())
    assert len(tape.opens) == len(tape.marks) == len(tape.minutes) == 23 * 60 + 1
    assert [one.place for one in tape.asks] == [*range(5, 23 * 60, 5)]
    assert [*tape.closes.items()] == [(23 * 60, True)]
    assert tape.looks == {*range(1, 23 * 60, 5)}
    assert (tape.tick, tape.fee, tape.cash) == (125, 62, 10_000_000)
    assert tape.shown.shape == (len(tape.asks), len(NAMES))
    assert tape.ends == tape.asks[-1].at.replace(hour=22, minute=0)


@pytest.mark.parametrize(
    ("limits", "ends", "why"),
    [
        ({}, 600, "MESZ6 has minutes without a bar on 2026-11-16"),
        ({}, None, "a minute opens farther from the one before than an order's limit allows"),
        ({"price_collar_fraction": 0.012, "limit_offset_fraction": 0.01}, None, "a price moves as far as limits"),
    ],
)
def test_a_market_that_arrays_cannot_have_is_refused(
    monkeypatch: pytest.MonkeyPatch, limits: dict[str, float], ends: int | None, why: str
) -> None:
    levels = {minute: str(Decimal(6000) + Decimal("0.25") * (minute % 7)) for minute in range(1380)}
    jumped = {minute: str(Decimal(6020 + minute % 3)) for minute in range(700, 1380)}
    of = plan(limits=limits, exits={"limit_offset_fraction": limits.get("limit_offset_fraction", 0.001)})
    give(monkeypatch, levels if ends else {**levels, **jumped}, ends)
    span = span_of(of, "policy", NAMES)
    with pytest.raises(UnsupportedEpisodeError, match=why):
        tapes_of(EpisodeTerms(of, span.scaling), span.scaling, span.rows)


POLICY = {"mode": "training", "allotment_fraction": 1, "exits": []}


def policy(**of: Any) -> dict[str, Any]:
    return {"strategies": {"flow": None, "futures": None, "policy": {**POLICY, **of}}}


def told(of: BacktestPlan) -> str | None:
    run = create_run(of, [])
    try:
        return unsupported_feature(run, "policy")
    finally:
        run.made.close()


@pytest.mark.parametrize(
    ("settings", "why"),
    [
        ({}, None),
        (policy(exits=[{"stop_ticks": {"ticks": 8}}]), "strategies.policy has exits of its own"),
        (policy(allotment_fraction=0.5), "strategies.policy has limits or an allotment of its own"),
        (policy(execution={"style": "market"}), "strategies.policy needs approval, or doesn't enter"),
        ({"limits": {"max_loss_streak": 3, "loss_streak_wait_s": 60}}, "limits.max_loss_streak is set"),
        ({"limits": {"liquid_hours_only": True}}, "limits.liquid_hours_only is true"),
        ({"halts": {"min_equity_usd": 1000}}, "halts.min_equity_usd is set"),
        ({"timetable": {"trade-once": "every 5m from open+5m until close"}}, "timetable.trade-once isn't 'every 1m"),
        ({"backtest": {"unhalt_after_sessions": 2}}, "backtest.unhalt_after_sessions is set"),
    ],
)
def test_what_arrays_do_not_know_is_named(settings: dict[str, Any], why: str | None) -> None:
    found = told(plan(**settings))
    assert found is why is None or (why is not None and str(found).startswith(why))


def test_other_fills_are_not_known() -> None:
    of = plan()
    fill = of.spec.fill._replace(slippage_bps=Decimal(1))
    why = "orders don't fill at the next minute's open, one tick worse"
    assert told(replace(of, spec=replace(of.spec, fill=fill))) == why


def test_every_limit_is_either_known_or_has_to_be_off() -> None:
    """A new limit has to be put into one of these, or into what arrays know."""
    known = {
        *("max_order_fraction", "max_order_notional_usd", "min_order_notional_usd", "max_symbol_fraction"),
        *("max_sector_fraction", "max_gross_fraction", "max_contracts", "max_order_contracts", "max_session_entries"),
        *("max_symbol_entries", "max_daily_loss_fraction", "cooldown_s", "duplicate_window_s", "limit_offset_fraction"),
        *("price_collar_fraction", "liquid_hours_only", "max_quote_age_s"),
    }
    never_bind = {
        # One root, one order at a time, prices that are there each minute, and nothing but targets.
        *("max_open_positions", "max_new_entries", "max_orders_per_second", "max_orders_per_minute", "min_score"),
        *("target_tolerance_fraction", "price_jump_fraction", "max_spread_fraction", "max_clock_skew_s"),
        *("max_clock_disagreement_s", "max_flow_age_s", "max_candidate_age_s", "max_decision_s", "max_decision_ms"),
        *("max_sending_ms", "max_reconcile_age_s", "max_foreign_share", "min_coverage", "entry_life_s", "exit_life_s"),
        "loss_streak_wait_s",
    }
    assert known | never_bind | {*OFF} == {*Limits.model_fields}
    assert len(known) + len(never_bind) + len(OFF) == len(Limits.model_fields)


def test_margin_that_may_run_short_is_told() -> None:
    run = create_run(plan(), [])
    try:
        rules = rules_of(run)
        assert not margin_may_bind(run, "MESZ6", rules)
        assert margin_may_bind(run, "MESZ6", rules._replace(symbol_fraction=13 * rules.symbol_fraction))
    finally:
        run.made.close()
