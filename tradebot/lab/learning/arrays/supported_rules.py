"""What arrays know of a bot's rules, and what they don't: then only the road can tell what a policy does."""

from __future__ import annotations

from decimal import Decimal
from typing import TYPE_CHECKING, NamedTuple

from tradebot.desk.listing_lookup import listed_for
from tradebot.lab.learning.environment import TIMETABLE
from tradebot.model.limits import OF_SHOCKS
from tradebot.model.order import Style

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tradebot.lab.backtest.run import BacktestRun

OFF = (
    *("max_slippage_fraction", "max_theme_fraction", "max_net_fraction", "max_beta_fraction", "max_concentration"),
    *("max_risk_fraction", "max_stop_loss_usd", "max_open_risk_fraction", "max_basis_fraction", *OF_SHOCKS),
    *("max_cost_fraction", "max_cost_of_stop_fraction", "max_funding_fraction", "min_reward_ratio", "min_edge_ratio"),
    *("max_drawdown_fraction", "min_equity_usd", "max_loss_streak", "loss_cooldown_s", "wash_sale_days"),
    *("max_margin_fraction", "min_free_margin_fraction", "min_liquidation_fraction"),
)
"""Limits that arrays don't know, so that they have to be off."""
HALTS_OFF = ("min_equity_usd", "margin_fraction", "maintenance_fraction", "positions", "symbol_fraction")
MINUTE_S, CENTS = 60, 100
MARGIN_SPARE = Decimal("0.9")
"""The largest part of the equity that margin may take where it never refuses what other limits allow."""


class EpisodeRules(NamedTuple):
    """The limits that arrays know. Fractions are of equity, money is in cents; `offset` is a limit's least distance."""

    order_fraction: Decimal
    most_cents: int
    least_cents: int
    symbol_fraction: Decimal
    sector_fraction: Decimal
    gross_fraction: Decimal
    contracts: int | None
    order_contracts: int | None
    session_entries: int
    symbol_entries: int
    day_loss: Decimal
    cooldown_s: int
    duplicate_window_s: int
    halt_day_loss: Decimal
    halt_drawdown: Decimal
    entry_offset: Decimal
    offset: Decimal
    collar: Decimal


def rules_of(run: BacktestRun) -> EpisodeRules:
    """Return the rules by which a contract is traded."""
    rules = run.made.world.rules
    limits, halts = rules.limits, rules.halts
    return EpisodeRules(
        limits.max_order_fraction,
        int(limits.max_order_notional_usd * CENTS),
        int(limits.min_order_notional_usd * CENTS),
        limits.max_symbol_fraction,
        limits.max_sector_fraction,
        limits.max_gross_fraction,
        limits.max_contracts,
        limits.max_order_contracts,
        limits.max_session_entries,
        limits.max_symbol_entries,
        limits.max_daily_loss_fraction,
        limits.cooldown_s,
        limits.duplicate_window_s,
        halts.daily_loss_fraction,
        halts.drawdown_fraction,
        limits.limit_offset_fraction,
        min(limits.limit_offset_fraction, rules.exits.limit_offset_fraction),
        limits.price_collar_fraction,
    )


def margin_may_bind(run: BacktestRun, symbol: str, rules: EpisodeRules) -> bool:
    """Return True unless the limits on a contract's worth leave margin to spare whenever they allow an entry."""
    levels = listed_for(run.made.world, [symbol])[symbol].margin_levels
    return not levels or max(one.initial for one in levels) * rules.symbol_fraction > MARGIN_SPARE


def unknown(run: BacktestRun, name: str) -> str | None:
    """Return what the vectorized engine can't play of a bot with the policy `name`; None if it can play all."""
    return next(_unknown(run, name), None)


def _unknown(run: BacktestRun, name: str) -> Iterator[str]:
    plan, rules = run.plan, run.made.world.rules
    settings, limits, own = plan.settings, rules.limits, rules.of(name)
    if rules.exits_of(name):
        yield f"strategies.{name} has exits of its own; arrays play exits: [] only"
    fill = plan.spec.fill
    others = fill.spread_bps, fill.slippage_bps, fill.latency_s, fill.partial_rate, fill.depth_share
    # What is marketable when a bar opens fills completely, whatever the share of its volume.
    if (fill.model, fill.quotes) != ("next-open", "spread") or any(others):
        yield "orders fill otherwise than at the next minute's open, a tick worse"
    if changed := [job for job, times in TIMETABLE.items() if str(settings.timetable[job]) != times]:
        yield f"timetable.{changed[0]} isn't {TIMETABLE[changed[0]]!r}"
    if set_limits := [each for each in OFF if getattr(limits, each) is not None]:
        yield f"limits.{set_limits[0]} is set"
    if set_halts := [each for each in HALTS_OFF if getattr(rules.halts, each) is not None]:
        yield f"halts.{set_halts[0]} is set"
    if limits.liquid_hours_only:
        yield "limits.liquid_hours_only is true"
    if own.limits != limits or own.allotment_fraction != 1:
        yield f"strategies.{name} has limits or an allotment of its own"
    if any((own.displacement, own.wants, own.approval, own.auction)) or own.execution.style is not Style.MARKETABLE:
        yield f"strategies.{name} enters otherwise than by marketable limit orders that nobody approves"
    if own.execution.max_quote_share is not None or own.execution.fit_to_room:
        yield "entries follow what the quote shows, or the room that is left"
    if settings.backtest.unhalt_after_sessions is not None:
        yield "backtest.unhalt_after_sessions is set"
    if limits.max_quote_age_s < MINUTE_S:
        yield "limits.max_quote_age_s is less than a minute"
