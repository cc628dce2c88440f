"""Measure how often chance reaches live trading, and how often a true edge does.

Each strategy has random returns of 500 sessions, in trades of four sessions. After every session, the shipped
conditions decide whether it may go to the next stage. Chance is the best of 20 strategies without an edge, selected by
hindsight over all sessions. An edge is one of 20 trials with a true Sharpe ratio of 3 a year. Returns are normal, or
Student's t with 4 degrees of freedom, whose tails are about those of daily returns of shares.
"""

import sys
from collections import Counter
from collections.abc import Iterator
from decimal import Decimal
from itertools import count
from math import sqrt
from statistics import fmean

import numpy as np
from numpy.typing import NDArray

from benchmarks.support.figures import Figure, show
from benchmarks.support.sizes import sized
from tradebot.app.settings import load
from tradebot.lab.performance.statistics import wilson_interval
from tradebot.lab.selection.promotion import FEWEST, TrackRecord, interval, least_since, rung_conditions
from tradebot.model.promotion import MeanInterval, PaperRecord, PromotionRules, Rung
from tradebot.views.parity import ParityTotals

STRATEGIES, OTHERS = sized(1_000, 2), sized(200, 1)
SESSIONS, TRIALS, IN_TRADE, VOLATILITY, A_YEAR = 500, 20, 4, 0.005, 252
DEGREES, ERROR = 4, 0.05
ZERO = Decimal(0)
AS_ASSUMED = ParityTotals(20, 100, ZERO, ZERO, 0, 0, 0, ZERO)
"""Twenty sessions that agreed with their backtests."""


def best_by_chance(seed: int, *, tails: bool = False) -> NDArray[np.float64]:
    """Return the returns of the best of 20 strategies without an edge, over all sessions together."""
    drawn = np.random.default_rng(seed)
    size = (SESSIONS, TRIALS)
    returns = drawn.standard_t(DEGREES, size) / sqrt(DEGREES / (DEGREES - 2)) if tails else drawn.normal(size=size)
    best: NDArray[np.float64] = VOLATILITY * returns[:, returns.mean(axis=0).argmax()]
    return best


def with_edge(seed: int, sharpe: float) -> NDArray[np.float64]:
    """Return the returns of a strategy with this true annual Sharpe ratio."""
    drawn: NDArray[np.float64] = np.random.default_rng(seed).normal(sharpe / sqrt(A_YEAR), 1, SESSIONS)
    return VOLATILITY * drawn


def shipped_rules() -> PromotionRules:
    return load(None, {}).settings.promotion


def climb(returns: NDArray[np.float64], rules: PromotionRules) -> Iterator[tuple[int, Rung]]:
    """Yield each stage that is reached, and after how many sessions, if it is checked after every session."""
    known, rung, since = tuple(returns.tolist()), Rung.CANDIDATE, 0
    whole = SESSIONS // IN_TRADE * IN_TRADE
    trades = tuple((np.prod(1 + returns[:whole].reshape(-1, IN_TRADE), axis=1) - 1).tolist())
    for number in range(1, SESSIONS + 1):
        if (following := rung.following) is None:
            return
        closed = trades[: number // IN_TRADE]
        shown = frozenset({PaperRecord.PAPER})
        evidence = TrackRecord(shown, known[:number], closed, number - since, A_YEAR, 0.0, TRIALS, AS_ASSUMED)
        if all(one.is_met() for one in rung_conditions(evidence, rules, following)):
            rung, since = following, number
            yield number, rung


def reached(drawn: Iterator[NDArray[np.float64]], rules: PromotionRules) -> Counter[Rung]:
    """Return how many of these strategies reach each stage within their sessions."""
    return Counter(rung for returns in drawn for _, rung in climb(returns, rules))


def promoted(many: int, rules: PromotionRules) -> Iterator[MeanInterval]:
    """Yield the evidence for the promotions to live of a number of strategies with a Sharpe ratio of 3."""
    remaining = many
    for seed in count(SESSIONS):
        returns = with_edge(seed, 3.0)
        live = [sessions for sessions, rung in climb(returns, rules) if rung is Rung.LIVE]
        if live:
            shown = frozenset({PaperRecord.PAPER})
            bounds = interval(TrackRecord(shown, tuple(returns[: live[0]].tolist()), (), 0, A_YEAR, 0.0, TRIALS), ERROR)
            assert bounds is not None
            yield bounds
            remaining -= 1
        if not remaining:
            return


def put_down_after(based_on: MeanInterval, returns: NDArray[np.float64]) -> int | None:
    """Return after how many sessions a strategy is demoted, if it is checked after each; None if it never is."""
    known = tuple(returns.tolist())
    for sessions in range(FEWEST, len(known) + 1):
        least = least_since(based_on, known[:sessions], ERROR)
        if least is not None and fmean(known[:sessions]) < least:
            return sessions
    return None


def demotions(rules: PromotionRules) -> Iterator[Figure]:
    """Yield how many promoted strategies are demoted in time if their edge continues, ends, or reverses."""
    bases = [*promoted(OTHERS, rules)]
    for name, sharpe in (("edge continues", 3.0), ("edge reverses", 0.0), ("edge turns round", -3.0)):
        after = [put_down_after(base, with_edge(-seed % 2**32, sharpe)) for seed, base in enumerate(bases, 1)]
        for sessions in (100, 250, SESSIONS):
            share = wilson_interval(sum(one is not None and one <= sessions for one in after), len(after))
            measured = f"demoted within {sessions}, of {len(after):,}: {share.low:.1%} to {share.high:.1%}"
            yield Figure(name, measured, 100 * share.value, "%")


def kinds() -> Iterator[tuple[str, int, Iterator[NDArray[np.float64]]]]:
    """Yield each kind of strategy, with how many are drawn."""
    yield "chance, normal", STRATEGIES, (best_by_chance(seed) for seed in range(STRATEGIES))
    yield "Sharpe 3", STRATEGIES, (with_edge(seed, 3.0) for seed in range(STRATEGIES))
    yield "chance, heavy tails", OTHERS, (best_by_chance(seed, tails=True) for seed in range(OTHERS))
    for sharpe in (1.0, 2.0, 4.0):
        yield f"Sharpe {sharpe:g}", OTHERS, (with_edge(seed, sharpe) for seed in range(OTHERS))


def figures() -> Iterator[Figure]:
    rules = shipped_rules()
    for name, many, drawn in kinds():
        counts = reached(drawn, rules)
        for rung in (Rung.PAPER, Rung.LIVE_SMALL, Rung.LIVE):
            share = wilson_interval(counts[rung], many)
            bound = 5.0 if name.startswith("chance") and rung is Rung.LIVE else None
            measured = f"{rung.words}, of {many:,}: {share.low:.1%} to {share.high:.1%}"
            yield Figure(name, measured, 100 * share.value, "%", bound)


def main() -> int:
    status = show(f"Promotion of random strategies, checked after each of {SESSIONS} sessions", figures())
    title = "Promoted strategies with a Sharpe ratio of 3, checked after each later session"
    return status | show(title, demotions(shipped_rules()))


if __name__ == "__main__":
    sys.exit(main())
