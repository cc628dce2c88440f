"""Markets, limits and actions drawn from a number, so that all of them together reach every limit that arrays know."""

from collections.abc import Mapping
from datetime import date
from decimal import Decimal
from typing import Any, NamedTuple

import numpy as np

from papervenue.market.futures import futures_venue
from papervenue.market.spec import NEXT_OPEN, MarketSpec
from tradebot.app.settings import load
from tradebot.lab.backtest.run import BacktestPlan
from tradebot.lab.learning.arrays.engine_choice import draw_actions
from tradebot.lab.learning.arrays.episode_data import EpisodeData, tapes_of
from tradebot.lab.learning.environment import TIMETABLE, EpisodeTerms
from tradebot.lab.learning.training.training import span_of

NAMES = ("return_1",)
STARTS = (date(2026, 11, 16), date(2026, 11, 24), date(2026, 12, 7), date(2026, 10, 8), date(2026, 3, 6))
"""An ordinary week, Thanksgiving, a change of contracts, another ordinary week, and the change of Chicago's clocks."""
ROOTS: Mapping[str, int] = {"MES": 100_000, "ES": 1_000_000, "6E": 400_000, "MGC": 80_000, "MNQ": 90_000}
"""Roots, and with how much cash the shipped limits let them trade."""
WIDE = {"max_order_fraction": 9, "max_symbol_fraction": 9, "max_sector_fraction": 9, "max_gross_fraction": 9}
MANY = {"max_session_entries": 60, "max_symbol_entries": 60}
LIMITS: tuple[Mapping[str, Any], ...] = (
    {},
    {"max_session_entries": 9, "max_symbol_entries": 6, "max_orders_per_minute": 9},
    {**MANY, "max_daily_loss_fraction": 0.003},
    {**MANY, "max_contracts": 1, "max_order_contracts": 1, "cooldown_s": 1},
    {**MANY, "max_order_contracts": 1, "duplicate_window_s": 100},
    {**MANY, "max_order_contracts": 1, "cooldown_s": 130},
    {**MANY, "max_order_fraction": 0.6, "max_symbol_fraction": 0.6},
    {**MANY, "max_order_fraction": 0.5, "max_symbol_fraction": 0.5, "max_sector_fraction": 0.5},
    {**MANY, "cooldown_s": 500, "max_gross_fraction": 2, "duplicate_window_s": 1},
    {**MANY, "duplicate_window_s": 700},
    {**MANY, "max_order_notional_usd": 40_000},
    {**MANY, "min_order_notional_usd": 40_000, "max_order_fraction": 0.61},
    {**MANY, **WIDE, "max_daily_loss_fraction": 0.004},
)
HALTS: Mapping[int, Mapping[str, Any]] = {
    2: {"daily_loss_fraction": 0.004},
    12: {"daily_loss_fraction": 0.005, "drawdown_fraction": 0.006},
}
"""What halts the bot, where some of the limits are so narrow that this can be."""


class Drawn(NamedTuple):
    """A plan, and what is done in each of its stretches."""

    plan: BacktestPlan
    actions: list[int]


def sequence(number: int, steps: int, sessions: int = 2) -> Drawn:
    """Return the plan and the actions of a number."""
    chance, which = np.random.default_rng([number, 42]), number % len(LIMITS)
    root, start = [*ROOTS][chance.integers(len(ROOTS))], STARTS[chance.integers(len(STARTS))]
    cash = ROOTS[root] * (1 if chance.integers(3) else Decimal("0.4"))
    of = plan(root, start, sessions, LIMITS[which], HALTS.get(which), int(cash), number)
    return Drawn(of, draw_actions(number, steps))


def plan(
    root: str = "MES",
    start: date = STARTS[0],
    sessions: int = 1,
    limits: Mapping[str, Any] | None = None,
    halts: Mapping[str, Any] | None = None,
    cash: int = 100_000,
    seed: int = 5,
    **others: Any,
) -> BacktestPlan:
    venue = futures_venue(start, sessions, (root,))
    symbols = tuple(one.symbol for one in venue.instruments)
    fill = NEXT_OPEN._replace(spread_bps=0, volume_share=None)
    of: Any = {"symbols": symbols, "sessions": sessions, "cash": Decimal(cash), "fill": fill, "venue": venue}
    spec = MarketSpec(start=start, seed=seed, **of)
    own = {
        "venue": "ibkr",
        "universe": [root],
        "sectors": {root: "indexes"},
        "strategies": {
            "flow": None,
            "futures": None,
            "policy": {"mode": "training", "allotment_fraction": 1, "exits": []},
        },
        "timetable": {str(job): times for job, times in TIMETABLE.items()},
        "limits": dict(limits or {}),
        "halts": dict(halts or {}),
    }
    return BacktestPlan(load(None, {}, {**own, **others}).settings, spec)


def tapes(of: BacktestPlan) -> tuple[EpisodeData, ...]:
    span = span_of(of, "policy", NAMES)
    return tapes_of(EpisodeTerms(of, span.scaling), span.scaling, span.rows)
