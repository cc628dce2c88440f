"""How far figures could have differed by chance: the stationary block bootstrap of session returns.

Politis and Romano, "The Stationary Bootstrap", Journal of the American Statistical Association 89, 1994: a resample is
made of blocks of consecutive returns that begin anywhere. A block ends after each return with the probability 1 / mean
block, so its length is geometric, and the series goes on at its beginning after its end. Unlike resampling single
returns, this keeps the dependence between sessions that lie within a block.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from math import log1p
from typing import TYPE_CHECKING, NamedTuple

from msgspec import Struct

from tradebot.views.performance.statistics import CONFIDENCE

if TYPE_CHECKING:
    import numpy as np
    from numpy.random import Generator
    from numpy.typing import NDArray

    Numbers = NDArray[np.float64]
    Places = NDArray[np.int64]

RESAMPLES, MEAN_BLOCK, SEED = 10_000, 21, 18
"""How many resamples are drawn, the mean length of a block (a month of sessions), and the seed of the draw."""
AT_ONCE = 20_000
"""So many returns are resampled at a time, few enough for the processor's cache."""


class Span(NamedTuple):
    """The ends of an interval."""

    low: float
    high: float


class Blocks(NamedTuple):
    """Blocks of some resamples, one resample behind the other: where each begins in the series, and its length.

    `rows` says with which block each resample begins. A block may go on past the series' end, at its beginning.
    """

    first: Places
    lengths: Places
    rows: Places


class Resampling(Struct, frozen=True):
    """How returns are resampled, and the share of the resamples that lies within an interval."""

    resamples: int = RESAMPLES
    mean_block: int = MEAN_BLOCK
    seed: int = SEED
    level: float = CONFIDENCE


DEFAULT = Resampling()


class Series(Struct, frozen=True):
    """Returns of an account, oldest first, with what they are compared with in the same sessions.

    `cash` are the returns of cash. `others` are the returns of benchmarks by name.
    """

    values: Sequence[float]
    cash: Sequence[float]
    per_year: float
    others: dict[str, Sequence[float]]


def intervals(of: Series, how: Resampling = DEFAULT) -> dict[str, Span] | None:
    """Return intervals of `cagr`, `sharpe` and `max_drawdown`, and of the excess over each benchmark by its name.

    An excess is the difference of the growth per year on a log scale. The ends of an interval are quantiles of the
    resamples (the percentile method). None if everything was lost, because then there is no log return, or if there
    are fewer than two returns.
    """
    import numpy as np

    if len(of.values) < 2 or min((*of.values, *(low for each in of.others.values() for low in each))) <= -1:
        return None
    sums, found = _Sums.of(of), dict[str, "list[Numbers]"]()
    for blocks in resampled(len(of.values), how):
        for name, values in sums.figures(blocks).items():
            found.setdefault(name, []).append(values)
    tail = (1 - how.level) / 2
    ends = {name: np.quantile(np.concatenate(parts), (tail, 1 - tail)) for name, parts in found.items()}
    return {name: Span(float(low), float(high)) for name, (low, high) in ends.items()}


def yearly_excess(values: Sequence[float], others: Sequence[float], per_year: float) -> float:
    """Return by how much returns grew faster than others per year, on a log scale; none may be -1 or less."""
    pairs = zip(values, others, strict=True)
    return per_year * sum(log1p(value) - log1p(other) for value, other in pairs) / len(values)


def resampled(count: int, how: Resampling) -> Iterator[Blocks]:
    """Yield blocks of so many returns for each resample, some resamples at a time.

    All resamples of a time are drawn as one row of blocks, with a new block at the beginning of each. That changes no
    probability, because how long a block goes on doesn't depend on how long it is already.
    """
    import numpy as np
    from numpy.random import default_rng

    drawn, left = default_rng(how.seed), how.resamples
    while left:
        resamples = min(left, max(AT_ONCE // count, 1))
        left -= resamples
        begins = np.arange(0, resamples * count, count)
        starts = np.sort(np.append(_ends(drawn, resamples * count, how.mean_block), begins))
        lengths = np.diff(np.append(starts, resamples * count))
        yield Blocks(drawn.integers(0, count, len(starts)), lengths, np.searchsorted(starts, begins))


def _ends(drawn: Generator, whole: int, mean_block: int) -> Places:
    """Return where blocks end within a row of returns."""
    import numpy as np

    ends = np.zeros(1, np.int64)
    while ends[-1] < whole:
        lengths = drawn.geometric(1 / mean_block, max(whole // mean_block, 1))
        ends = np.append(ends, ends[-1] + np.cumsum(lengths))
    return ends[ends < whole]


class _Sums(Struct, frozen=True):
    """Running sums of a series that is repeated once: so a block's sum is a difference, wherever the block begins."""

    count: int
    per_year: float
    mean_excess: float
    logs: Numbers
    others: dict[str, Numbers]
    excesses: Numbers
    squares: Numbers

    @classmethod
    def of(cls, series: Series) -> _Sums:
        import numpy as np

        values = np.asarray(series.values)
        excesses = values - np.asarray(series.cash)
        mean = float(excesses.mean())
        return cls(
            count=len(values),
            per_year=series.per_year,
            mean_excess=mean,
            logs=_running(np.log1p(values)),
            others={name: _running(np.log1p(np.asarray(each))) for name, each in series.others.items()},
            excesses=_running(excesses - mean),
            squares=_running((excesses - mean) ** 2),
        )

    def figures(self, blocks: Blocks) -> dict[str, Numbers]:
        """Return each figure of each resample."""
        import numpy as np

        grown = self._mean(self.logs, blocks)
        above = self._mean(self.excesses, blocks)
        variance = np.maximum(self._mean(self.squares, blocks) - above**2, 0.0) * self.count / (self.count - 1)
        deviation = np.sqrt(variance)
        ratio = np.divide(self.mean_excess + above, deviation, out=np.zeros_like(above), where=deviation > 0)
        return {
            "cagr": np.expm1(grown * self.per_year),
            "sharpe": ratio * self.per_year**0.5,
            "max_drawdown": self._deepest(blocks),
            **{name: (grown - self._mean(each, blocks)) * self.per_year for name, each in self.others.items()},
        }

    def _mean(self, running: Numbers, blocks: Blocks) -> Numbers:
        import numpy as np

        of_blocks = running[blocks.first + blocks.lengths] - running[blocks.first]
        return np.add.reduceat(of_blocks, blocks.rows) / self.count

    def _deepest(self, blocks: Blocks) -> Numbers:
        """Return the maximum drawdown of each resample, as a fraction from -1 to 0."""
        import numpy as np

        of_blocks = self.logs[blocks.first + blocks.lengths] - self.logs[blocks.first]
        before = np.cumsum(of_blocks) - of_blocks
        in_row = np.diff(np.append(blocks.rows, len(before)))
        before -= np.repeat(before[blocks.rows], in_row)
        starts = np.cumsum(blocks.lengths) - blocks.lengths
        places = np.repeat(blocks.first + 1 - starts, blocks.lengths)
        places += np.arange(len(places))
        reached = self.logs[places]
        reached += np.repeat(before - self.logs[blocks.first], blocks.lengths)
        rows = reached.reshape(len(blocks.rows), self.count)
        peaks = np.maximum.accumulate(rows, axis=1)
        np.maximum(peaks, 0.0, out=peaks)
        rows -= peaks
        deepest: Numbers = np.expm1(np.minimum(rows.min(axis=1), 0.0))
        return deepest


def _running(values: Numbers) -> Numbers:
    import numpy as np

    return np.concatenate(([0.0], np.cumsum(np.concatenate((values, values)))))
