"""Simulate learned policies: random targets with the turnover and the costs of micro futures.

Each study has 20 configurations of five seeds, and its author chooses the one whose median seed is best. A seed follows
its configuration's signal half of the time and otherwise draws its target. The signal moves the market or doesn't:
policies with and without skill have the same turnover.

Policies of another origin, such as ones trained on shuffled returns, can be judged instead: a `Source` creates them
from a number.
"""

from collections.abc import Callable, Iterator
from datetime import date, timedelta
from functools import cache
from math import exp, sqrt
from statistics import median_low

import numpy as np
from msgspec import Struct
from numpy.typing import NDArray

from tradebot.app.settings import load
from tradebot.lab.selection.splits import rolling
from tradebot.model.evidence import BENCHMARKS, FORMAT, PolicyResults, PolicyRun, SessionSpan, TriedReturns
from tradebot.model.evidence import Split as Judged
from tradebot.model.promotion import PromotionRules, SplitRules
from tradebot.model.struct_tools import replace

Numbers = NDArray[np.float64]
Targets = NDArray[np.int8]
SESSIONS, BARS, CONFIGURATIONS, SEEDS, A_YEAR = 500, 4, 20, 5, 252
FOLLOWS = 0.5
NEAR = 10
LARGEST = 2
MOVE = 0.005
"""The standard deviation of the market in one part of a session; all parts together move it by one percent."""
CONTRACT = 0.25
"""The value of one contract, as a multiple of the account's equity."""
COST = CONTRACT * 7.5e-5
"""The cost per contract and side, as a fraction of equity: the fee and a tick of a micro contract at 25,000 USD."""
FIRST_DAY = date(2023, 1, 2)

Source = Callable[[int], PolicyResults]
"""Creates the evaluation of one policy from a number."""


@cache
def shipped() -> PromotionRules:
    return load(None, {}).settings.promotion


@cache
def calendar(rules: SplitRules) -> tuple[tuple[date, ...], tuple[date, ...], tuple[Judged, ...]]:
    """Return all sessions, the tested ones, and the splits that the settings result in."""
    days = (FIRST_DAY + timedelta(days=number) for number in range(2 * (SESSIONS + 400)))
    every = [day for day in days if day.weekday() < 5]
    first = int(next(rolling(rules, every)).outside[0])
    known = tuple(every[: first + SESSIONS])
    models = {str(seed): "0" * 64 for seed in range(SEEDS)}

    def span(places: NDArray[np.int64]) -> tuple[SessionSpan, ...]:
        return (SessionSpan(known[places[0]], known[places[-1]]),)

    splits = tuple(Judged(span(one.inside), span(one.outside), models) for one in rolling(rules, known))
    return known, known[first:], splits


def drawn_targets(drawn: np.random.Generator, *shape: int) -> Targets:
    return drawn.integers(-LARGEST, LARGEST + 1, size=(*shape, SESSIONS * BARS), dtype=np.int8)


def following(drawn: np.random.Generator, signals: Targets, follows: float, *seeds: int) -> Targets:
    """Return targets, one for each bar, that follow the signals with this probability and are otherwise random."""
    size = (*signals.shape[:-1], *seeds, SESSIONS * BARS)
    own = drawn.random(size, dtype=np.float32) < follows
    followed = signals.reshape(*signals.shape[:-1], *(1 for _ in seeds), -1)
    return np.where(own, LARGEST * followed, drawn_targets(drawn, *size[:-1]))


def earned(targets: Targets, market: Numbers, costs: float = COST, *, later: bool = False) -> Numbers:
    """Return the returns of sessions after costs; with `later`, each target is held one bar later."""
    positions = np.concatenate((np.zeros_like(targets[..., :1]), targets[..., :-1]), axis=-1) if later else targets
    turned = np.abs(np.diff(positions, axis=-1, prepend=np.int8(0)))
    profits = CONTRACT * positions * market - costs * turned
    by_session: Numbers = profits.reshape(*profits.shape[:-1], SESSIONS, BARS).sum(axis=-1)
    return by_session


def tilt(sharpe: float, costs: float, follows: float) -> float:
    """Return by how much a signal must move the market per bar for following it to have a Sharpe ratio after costs.

    Of a target a, followed or drawn evenly, E[a s] is 2 f, E[a²] 4 f + 2 (1 - f), and the expected change is that of
    two targets, of which each is drawn or follows a signal that holds for a session.
    """
    square = follows * LARGEST**2 + (1 - follows) * 2
    both_drawn, one_drawn = 1.6, 2.0
    within = (1 - follows) ** 2 * both_drawn + 2 * follows * (1 - follows) * one_drawn
    between = within + follows**2 * LARGEST
    cost = costs * ((BARS - 1) * within + between) / BARS
    wanted = sharpe / sqrt(A_YEAR * BARS) * CONTRACT * MOVE * sqrt(square)
    return (wanted + cost) / (CONTRACT * LARGEST * follows)


class Study(Struct, frozen=True):
    """The properties of a study: the skill of its middle configuration, and its flaw, if any.

    `sharpe` is its true annual Sharpe ratio after costs, or None for no skill. With `related` configurations, the skill
    of others falls by 1 / e in `NEAR` steps; otherwise they have none. Seeds follow their signal with the probability
    `follows`. If it is `lucky`, only the first seed has the skill. If models have `seen` the tested sessions, they were
    trained on them.
    """

    sharpe: float | None = None
    related: bool = True
    configurations: int = CONFIGURATIONS
    costs: float = COST
    follows: float = FOLLOWS
    lucky: bool = False
    seen: bool = False


def drawn_signals(drawn: np.random.Generator, of: Study) -> Targets:
    """Return the signal of each configuration, and two others, for each bar: 1 or -1 for a whole session.

    Those of related configurations are correlated: by 1 / e if they are `NEAR` steps apart.
    """
    many = of.configurations
    signals = drawn.choice(np.array([-1, 1], dtype=np.int8), (many + 2, SESSIONS))
    if of.related:
        turned = drawn.random((many - 1, SESSIONS)) < (1 - exp(-1 / NEAR)) / 2
        signals[1:many] = np.where(turned, -1, 1)
        signals[:many] = np.cumprod(signals[:many], axis=0)
    return np.repeat(signals, BARS, axis=-1)


def study(number: int, of: Study) -> PolicyResults:
    """Return the best configuration of a study, selected by hindsight."""
    drawn, many = np.random.default_rng([number, 42]), of.configurations
    moves = drawn.normal(0.0, MOVE, SESSIONS * BARS)
    signals = drawn_signals(drawn, of)
    market = moves if of.sharpe is None else moves + tilt(of.sharpe, of.costs, of.follows) * signals[many // 2]
    targets = following(drawn, signals[:many], of.follows, SEEDS)
    if of.lucky:
        targets[:, 1:] = np.roll(targets[:, 1:], SESSIONS * BARS // 2, axis=-1)
    returns = earned(targets, market, of.costs)
    typical = [_middle(each) for each in returns]
    best = max(range(many), key=lambda index: ratio_of(returns[index][typical[index]]))
    if of.lucky:
        best = max(range(many), key=lambda index: ratio_of(returns[index][0]))
    rule, logistic = earned(following(drawn, signals[many:], of.follows), market, of.costs)
    holding = earned(np.ones(SESSIONS * BARS, np.int8), market, of.costs)
    others = dict(zip(BENCHMARKS, (holding, rule, logistic), strict=True))
    every, judged, splits = calendar(shipped().splits)
    if of.seen:
        whole = (SessionSpan(every[0], every[-1]),)
        splits = tuple(replace(one, trained=whole) for one in splits)
    return PolicyResults(
        format=FORMAT,
        name=f"study {number}",
        configuration=str(best),
        program="0",
        features={},
        data={},
        per_year=A_YEAR,
        calendar=every,
        splits=splits,
        sessions=judged,
        runs=tuple(_runs(targets[best], market, of.costs)),
        benchmarks={name: _series(each) for name, each in others.items()},
        tried=tuple(TriedReturns(str(index), _series(returns[index][typical[index]])) for index in range(many)),
        trials=many,
    )


def _runs(targets: Targets, market: Numbers, costs: float) -> Iterator[PolicyRun]:
    for seed, each in enumerate(targets):
        turned = int(np.abs(np.diff(each, prepend=np.int8(0))).sum())
        doubled, later = earned(each, market, 2 * costs), earned(each, market, costs, later=True)
        yield PolicyRun(seed, 0, _series(earned(each, market, costs)), _series(doubled), _series(later), turned // 2)


def _series(returns: Numbers) -> tuple[float, ...]:
    return tuple(returns.tolist())


def ratio_of(returns: Numbers | tuple[float, ...]) -> float:
    finite_returns = np.asarray(returns)
    return float(finite_returns.mean() / finite_returns.std())


def _middle(seeds: Numbers) -> int:
    ratios = [ratio_of(each) for each in seeds]
    return ratios.index(median_low(ratios))
