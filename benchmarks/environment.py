"""Measure a step of the learning environment with all features, event-driven and on arrays."""

import sys
import time
from collections.abc import Iterator
from datetime import date
from decimal import Decimal
from typing import Any

from benchmarks.support.figures import Figure, show
from benchmarks.support.sizes import sized
from papervenue.market.futures import futures_venue
from papervenue.market.spec import NEXT_OPEN, MarketSpec
from tradebot.app.settings import load
from tradebot.lab.backtest.run import BacktestPlan
from tradebot.lab.learning.arrays.engine_choice import choose_episodes
from tradebot.lab.learning.environment import ACTIONS, TIMETABLE, Environment, EpisodeTerms
from tradebot.lab.learning.training.training import span_of
from tradebot.lab.learning.training.training_rows import FittedScaling
from tradebot.signals.features import features

START, SESSIONS = date(2026, 11, 16), sized(5, 2)
BOUND_MS, ARRAYS_BOUND_MS = 2.0, 0.05
ARRAY_STEPS = sized(50_000, 500)
NAMES = tuple(name for name, each in features().items() if not each.of_the_moment)
LIMITS = {
    "cooldown_s": 1,
    "max_candidate_age_s": 60,
    "max_order_notional_usd": 1_000_000,
    "max_order_fraction": 8,
    "max_symbol_fraction": 8,
    "max_sector_fraction": 8,
    "max_gross_fraction": 8,
    "max_order_contracts": 2,
    "price_collar_fraction": 0.3,
}


def plan() -> BacktestPlan:
    venue = futures_venue(START, SESSIONS, ("ES",))
    symbols = tuple(one.symbol for one in venue.instruments)
    fill = NEXT_OPEN._replace(spread_bps=0, volume_share=None)
    of: dict[str, Any] = {"symbols": symbols, "sessions": SESSIONS, "fill": fill, "venue": venue}
    spec = MarketSpec(start=START, seed=5, cash=Decimal(1_000_000), **of)
    others = dict.fromkeys(("flow", "futures", "rotation", "smart_money"))
    changes: dict[str, Any] = {
        "venue": "ibkr",
        "universe": ["ESZ6"],
        "sectors": {"ESZ6": "indexes"},
        "limits": LIMITS,
        "strategies": {**others, "policy": {"mode": "training", "exits": []}},
        "timetable": {str(job): times for job, times in TIMETABLE.items()},
    }
    return BacktestPlan(load(None, {}, changes).settings, spec)


def figures() -> Iterator[Figure]:
    many = len(NAMES)
    with Environment(EpisodeTerms(plan(), FittedScaling(NAMES, (0.0,) * many, (1.0,) * many))) as episode:
        _, info = episode.reset()
        steps, invested, ended, began = 0, 0, False, time.process_time()
        while not ended:
            _, _, over, cut, info = episode.step(ACTIONS[steps // 12 % len(ACTIONS)])
            invested += info["position"] != 0
            steps, ended = steps + 1, over or cut
        took_ms = (time.process_time() - began) * 1000
    yield Figure("a step on the road", "an event-driven step", took_ms / steps, "ms", BOUND_MS)
    yield Figure("steps with a position", "of all of them", invested)
    yield Figure("bars without a decision", str(info["passed_over"]), sum(info["passed_over"].values()))
    yield from on_arrays()


def on_arrays() -> Iterator[Figure]:
    span = span_of(plan(), "policy", NAMES)
    episodes = choose_episodes([EpisodeTerms(span.plan, span.scaling)], span.scaling, span.parts, 1)
    assert not episodes.why, episodes.why
    with Environment(episodes.spans[0], episodes.begin) as episode:
        steps, began = 0, time.process_time()
        while steps < ARRAY_STEPS:
            episode.reset()
            ended = False
            while not ended:
                _, _, over, cut, _ = episode.step(ACTIONS[steps // 12 % len(ACTIONS)])
                steps, ended = steps + 1, over or cut
        took_ms = (time.process_time() - began) * 1000
    yield Figure("a step on arrays", f"CPU of {steps:,} steps", took_ms / steps, "ms", ARRAYS_BOUND_MS)
    yield Figure("steps a second on arrays", "of CPU", steps / took_ms * 1000)


def main() -> int:
    return show(f"One root, {SESSIONS} sessions", figures())


if __name__ == "__main__":
    sys.exit(main())
