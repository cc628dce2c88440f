"""Evaluate whether a strategy may move up a rung: each condition with its number, what is missing, and when it could be
met.

The conditions are data (`promotion:` in the configuration). The comparison with a champion follows the rules by which
variants of the flow strategy were first judged: Wilson's interval of the share of winners, the gain in the Sharpe ratio
by 2,000 bootstraps, and Cohen's d (Statistical Power Analysis for the Behavioral Sciences, second edition, 1988) of
trade returns. Without a champion, the strategy is compared with having no position.

The mean is judged by an interval that stays valid however often it is checked (`anytime`), and its error is divided by
the number of trials (Bonferroni). So a strategy isn't promoted by chance because it is checked each evening, or because
it is the best of many.

An ordinary 95% interval that is checked 500 times misses zero at some time for far more than 5% of all strategies
without an edge. The asymptotic confidence sequence of Waudby-Smith, Arbour, Sinha, Kennedy and Ramdas, "Time-uniform
central limit theory and asymptotic confidence sequences", Annals of Statistics 52, 2024, is wider, and valid for all
sample sizes together. It is based on Robbins' normal mixture ("Statistical methods related to the law of the iterated
logarithm", Annals of Mathematical Statistics 41, 1970). Each end is the one-sided bound of Waudby-Smith et al.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from decimal import Decimal
from functools import cached_property, partial
from itertools import chain
from math import hypot, isfinite, log, log1p, sqrt
from statistics import NormalDist, fmean, stdev
from typing import NamedTuple

import numpy as np
from msgspec import Struct
from numpy.typing import NDArray

from tradebot.lab.performance.chance import Resampling, ReturnSeries, best_by_chance, intervals, resample_blocks
from tradebot.lab.performance.statistics import (
    Interval as Estimate,
)
from tradebot.lab.performance.statistics import (
    max_drawdown,
    moments_of_returns,
    probabilistic_sharpe,
    sharpe_error,
    wilson_interval,
)
from tradebot.lab.selection.conditions import Comparator, ConditionCheck, RungCondition
from tradebot.lab.selection.multiple_testing import superiority
from tradebot.lab.selection.policies import PolicyFigures, policy_conditions
from tradebot.model.promotion import MeanInterval, PaperRecord, PromotionRules, Rung, StepRules
from tradebot.model.sentences import pluralize
from tradebot.views.parity import ParityTotals

FEWEST = 20
"""With fewer sessions or trades, nothing is estimated."""
SOON = 100
"""The number of sessions since a promotion for which the interval of the results is narrowest."""
BLOCK = 10
GAINS = Resampling(resamples=2_000, mean_block=BLOCK)
IN_ANY_ORDER = Resampling(resamples=1_000, mean_block=1)
MOST_RESAMPLES = 100_000
_NORMAL = NormalDist()
Numbers = NDArray[np.float64]


class TrackRecord(Struct, frozen=True, dict=True):
    """A strategy's track record since its settings were fixed; None where unknown.

    `returns` are the returns of its allotment in each session, oldest first, after costs, and `here` is how many of
    these sessions came after it reached its present rung. `trades` are each closed trade's return on its stake. `costs`
    is how much all costs together reduced these returns. `trials` is how many combinations of code and settings were
    ever tried. `champion` are the returns of the strategy that it would replace, in the same sessions, and
    `champion_trades` the returns of its trades; None without a champion. `policy` has the results of a learned policy,
    or why they can't be judged; it is None for any other strategy. `replays` says how much each of its paper sessions
    differed from its replay.
    """

    traded: frozenset[PaperRecord]
    returns: tuple[float, ...]
    trades: tuple[float, ...]
    here: int
    per_year: int
    costs: float | None = None
    trials: int | None = None
    parity: ParityTotals | None = None
    champion: tuple[float, ...] | None = None
    champion_trades: tuple[float, ...] = ()
    policy: PolicyFigures | str | None = None
    replays: tuple[float, ...] = ()

    @property
    def enough(self) -> bool:
        return len(self.returns) >= FEWEST and -1 < min(self.returns) < max(self.returns)

    @cached_property
    def gain(self) -> Estimate:
        return sharpe_gain(self.returns, self.champion, self.per_year)

    @cached_property
    def luck(self) -> float | None:
        """Return the p-value of the mean return, or of its excess over the champion's; None if it can't be tested.

        The p-value isn't corrected for the number of trials.
        """
        above = np.asarray(self.returns) - np.asarray(self.champion or 0.0)
        resamples = min(max(1_000, 40 * (self.trials or 1)), MOST_RESAMPLES)
        test = superiority(above[:, None], Resampling(resamples=resamples, mean_block=BLOCK))
        return max(test.reality_check, test.spa) if test else None

    @cached_property
    def deeper(self) -> float:
        """Return by how much the maximum drawdown is deeper than the champion's; zero if it isn't deeper.

        Without a champion, it is compared with drawdowns of the same returns in random order: a deeper one shows that
        losses come in clusters.
        """
        if self.champion is not None:
            against = max_drawdown(self.champion)
        else:
            spans = intervals(ReturnSeries(self.returns, self.per_year, 0.0, year=self.per_year), IN_ANY_ORDER)
            against = spans["max_drawdown"].low if spans else 0.0
        return max(against - max_drawdown(self.returns), 0.0)


def conditions(of: TrackRecord, rules: PromotionRules, rung: Rung) -> tuple[RungCondition, ...]:
    """Return every condition of a rung above the lowest, in the order of the configuration."""
    return tuple(check.answer() for check in rung_conditions(of, rules, rung))


def rung_conditions(of: TrackRecord, rules: PromotionRules, rung: Rung) -> Iterator[ConditionCheck]:
    """Yield the conditions of a rung above the lowest, those that take long to check last."""
    step, error = rules.of(rung), float(rules.error)
    fits = of.traded <= set(step.traded)
    where = (
        f"its sessions are from {name_rung(of.traded)}, and this rung accepts {name_rung(step.traded)}"
        if of.returns
        else UNTRADED
    )
    yield ConditionCheck("traded", 1.0, lambda _: float(fits) if of.returns else None, where, Comparator.AT_LEAST)
    for name, bound, after, lacks, must in chain(_counts(of, step), _estimates(of, step, error)):
        if bound is not None:
            # Of how often costs are counted, it is what remains that is compared.
            yield ConditionCheck(name, 0.0 if name == "costs_times" else float(bound), after, lacks, must)
    if of.policy is not None:
        yield from policy_conditions(of.policy, step.policy, of.replays)


def interval(of: TrackRecord, error: float) -> MeanInterval | None:
    """Return the interval on which a promotion is based; None if there is too little data to estimate it.

    If the trials weren't counted, one is assumed, so that the promotion's results can still be compared with later
    results.
    """
    ends = anytime(of.returns, error / (of.trials or 1)) if of.enough else None
    return ends and MeanInterval(ends.low, ends.high, len(of.returns), stdev(of.returns))


def least_since(based_on: MeanInterval, since: Sequence[float], error: float) -> float | None:
    """Return the lowest mean return since a promotion that is still compatible with the results it was based on.

    Both means have an interval that is valid however often it is checked. The half-width for their difference is the
    square root of the sum of both squared half-widths. The interval since the promotion is narrowest after a hundred
    sessions, so that a loss is noticed sooner than the edge was. Return None for fewer than 20 returns.
    """
    if len(since) < FEWEST:
        return None
    then = based_on.deviation * half_width(based_on.sessions, error)
    now = stdev(since) * half_width(len(since), error, SOON)
    return (based_on.low + based_on.high) / 2 - hypot(then, now)


def sharpe_gain(
    returns: Sequence[float], champion: Sequence[float] | None, per_year: float, how: Resampling = GAINS
) -> Estimate:
    """Return by how much an annualized Sharpe ratio exceeds a champion's, with a bootstrapped interval.

    Without a champion, it is compared with 0. The sessions of both are resampled together.
    """
    both = np.array([returns, champion if champion is not None else np.zeros(len(returns))])
    count, gains = len(returns), list[Numbers]()
    for blocks in resample_blocks(count, how):
        begins = np.cumsum(blocks.lengths) - blocks.lengths
        places = (np.repeat(blocks.first - begins, blocks.lengths) + np.arange(blocks.lengths.sum())) % count
        first, second = (_ratios(each[places].reshape(-1, count)) for each in both)
        gains.append(first - second)
    value, scale = (_ratios(both[:1]) - _ratios(both[1:]))[0], sqrt(per_year)
    low, high = np.quantile(np.concatenate(gains), ((1 - how.level) / 2, (1 + how.level) / 2))
    return Estimate(float(value) * scale, float(low) * scale, float(high) * scale)


def _ratios(rows: Numbers) -> Numbers:
    deviations = rows.std(axis=1, ddof=1)
    ratios: Numbers = np.divide(rows.mean(axis=1), deviations, out=np.zeros(len(rows)), where=deviations > 0)
    return ratios


def effect_size(trades: Sequence[float], others: Sequence[float] = ()) -> float | None:
    """Return Cohen's d: the difference of two means in pooled standard deviations; without `others`, the difference
    from zero.

    Return None with fewer than 20 returns on either side, or if they don't vary.
    """
    sides = [trades, others] if others else [trades]
    if min(map(len, sides)) < FEWEST:
        return None
    freedom = sum(len(side) - 1 for side in sides)
    pooled = sqrt(sum(stdev(side) ** 2 * (len(side) - 1) for side in sides) / freedom)
    return (fmean(trades) - (fmean(others) if others else 0.0)) / pooled if pooled else None


UNTRADED = f"fewer than {FEWEST} sessions with a known return"
FEW_TRADES = f"fewer than {FEWEST} closed trades"
UNCOUNTED = "no backtest or search of it is on record, so its trials aren't counted"


def name_rung(traded: Iterable[PaperRecord]) -> str:
    return " or ".join(sorted(traded)) or "nowhere"


_Row = tuple[str, Decimal | int | None, Callable[[int], float | None], str, Comparator]


def _counts(of: TrackRecord, rules: StepRules) -> Iterator[_Row]:
    count, trades, parity = len(of.returns), len(of.trades), of.parity
    yield "sessions", rules.sessions, lambda more: count + more, "", Comparator.AT_LEAST
    yield "sessions_here", rules.sessions_here, lambda more: of.here + more, "", Comparator.AT_LEAST
    yield "trades", rules.trades, lambda more: int(trades * _times(of, more)), "", Comparator.AT_LEAST
    compared = "no session was compared with its backtest: tradebot parity"
    yield (
        "parity_sessions",
        rules.parity_sessions,
        lambda more: parity.sessions + more if parity else None,
        compared,
        Comparator.AT_LEAST,
    )
    worse = None if parity is None or parity.ours else parity.worse_bps
    unexplained = (
        f"{pluralize(parity.ours, 'unexplained difference')} from the backtest" if parity and parity.ours else ""
    )
    yield (
        "parity_worse_bps",
        rules.parity_worse_bps,
        lambda _: None if worse is None else float(worse),
        unexplained or compared,
        Comparator.AT_MOST,
    )


def _estimates(of: TrackRecord, rules: StepRules, error: float) -> Iterator[_Row]:
    """Yield the conditions on estimated figures; each figure is computed only when it is needed."""
    trials, moments = of.trials or 0, moments_of_returns(of.returns) if of.enough else None
    lacks = UNCOUNTED if moments and not trials else UNTRADED
    trial_moments = moments if trials else None

    def mean(more: int) -> float | None:
        if trial_moments is None:
            return None
        return trial_moments.mean - trial_moments.deviation * half_width(
            trial_moments.observations + more, error / trials
        )

    def deflate(more: int) -> float | None:
        if trial_moments is None:
            return None
        later = trial_moments._replace(observations=trial_moments.observations + more)
        return probabilistic_sharpe(later, best_by_chance(trials, sharpe_error(later)))

    def gain_low(more: int) -> float | None:
        return of.gain.value - (of.gain.value - of.gain.low) / sqrt(_times(of, more)) if moments else None

    yield "mean_above", rules.mean_above, mean, lacks, Comparator.ABOVE
    yield "deflated_sharpe", rules.deflated_sharpe, deflate, lacks, Comparator.AT_LEAST
    yield "wins_low", rules.wins_low, partial(_wins, of), FEW_TRADES, Comparator.AT_LEAST
    yield "effect", rules.effect, lambda _: effect_size(of.trades, of.champion_trades), FEW_TRADES, Comparator.AT_LEAST
    yield (
        "costs_times",
        rules.costs_times,
        lambda _: _after_costs(of, rules),
        "what orders cost isn't known",
        Comparator.ABOVE,
    )
    yield "spa_p", rules.spa_p, lambda more: _luck(of, more) if trial_moments else None, lacks, Comparator.AT_MOST
    yield "sharpe_gain", rules.sharpe_gain, lambda _: of.gain.value if moments else None, UNTRADED, Comparator.AT_LEAST
    yield "sharpe_gain_low", rules.sharpe_gain_low, gain_low, UNTRADED, Comparator.AT_LEAST
    yield "drawdown_worse", rules.drawdown_worse, lambda _: of.deeper if moments else None, UNTRADED, Comparator.AT_MOST


def _wins(of: TrackRecord, more: int) -> float | None:
    wins, trades, times = sum(trade > 0 for trade in of.trades), len(of.trades), _times(of, more)
    return wilson_interval(round(wins * times), round(trades * times)).low if trades >= FEWEST else None


def _times(of: TrackRecord, more: int) -> float:
    """Return the factor by which `more` further sessions increase the number of sessions."""
    return 1 + more / len(of.returns) if of.returns else 1.0


def _after_costs(of: TrackRecord, rules: StepRules) -> float | None:
    if of.costs is None or rules.costs_times is None or not of.returns:
        return None
    return sum(of.returns) - (float(rules.costs_times) - 1) * of.costs


def _luck(of: TrackRecord, more: int) -> float | None:
    """Return the p-value corrected for the number of trials; None if the p-value or that number is unknown.

    After `more` sessions, its normal quantile is assumed to have grown with the root of the number of sessions.
    """
    if of.luck is None or not of.trials:
        return None
    away = _NORMAL.inv_cdf(1 - of.luck) if 0 < of.luck < 1 else 0.0
    chance = of.luck if not more else 1 - _NORMAL.cdf(away * sqrt(_times(of, more)))
    return min(chance * of.trials, 1.0) if isfinite(chance) else None


TIGHTEST = 500
"""The number of sessions, about two years, at which the interval is narrowest."""


class Ends(NamedTuple):
    low: float
    high: float


def anytime(returns: Sequence[float], error: float) -> Ends | None:
    """Return an interval for the mean return that stays valid however often it is checked.

    For each end, `error` is the probability that it is ever on the wrong side of the true mean. Return None for fewer
    than two returns. The interval is asymptotic: with a few dozen returns or less, it is too narrow.
    """
    if len(returns) < 2:
        return None
    mean, half = fmean(returns), stdev(returns) * half_width(len(returns), error)
    return Ends(mean - half, mean + half)


def half_width(count: int, error: float, tightest: int = TIGHTEST) -> float:
    """Return how far each end of the interval is from the mean of `count` values, in standard deviations of one value.

    It is valid for any number of values, and narrowest for `tightest` values.
    """
    shape = -2 * log(2 * error)
    mixing = (shape + log(shape + 1)) / tightest
    scale = count * mixing + 1
    return sqrt(2 * scale / (count**2 * mixing) * log1p(sqrt(scale) / (2 * error)))
