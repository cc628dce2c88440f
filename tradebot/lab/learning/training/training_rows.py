"""Extract the rows of a training period without trading, and fit the scaling of features to them.

Only means and standard deviations of the training period are used for scaling.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import date, datetime
from math import isfinite
from typing import Any, NamedTuple

import numpy as np
from msgspec import Struct
from numpy.typing import NDArray

from tradebot.errors import OperatorError, TradebotError
from tradebot.lab.backtest.run import BacktestPlan
from tradebot.lab.learning.environment import Environment, EpisodeTerms, NoDecisionError
from tradebot.signals.features import STATE, features
from tradebot.signals.features.state import DecisionState, state_numbers

MOST = 5.0

"""Where scaled features are clipped, in both directions."""


class FittedScaling(Struct, frozen=True):
    """The mean and the standard deviation of each feature by name, in the order of an observation."""

    names: tuple[str, ...]
    means: tuple[float, ...]
    deviations: tuple[float, ...]

    def __post_init__(self) -> None:
        if not len(self.names) == len(self.means) == len(self.deviations):
            raise TradebotError("a scaling has a mean and a deviation for each of its features", "fit it again")
        numbers = zip(self.names, self.means, self.deviations, strict=True)
        if bad := [name for name, mean, deviation in numbers if not (isfinite(mean) and 0 < deviation < np.inf)]:
            raise TradebotError(
                f"these features have no usable mean or deviation to scale with: {', '.join(bad)}",
                "fit it on a longer span",
            )

    def observation(self, values: Mapping[str, float], state: DecisionState) -> NDArray[np.float32] | str:
        """Return a policy's observation: the scaled features, then the state; or the reason why there is none."""
        values_now = [values.get(name) for name in self.names]
        if absent := [name for name, value in zip(self.names, values_now, strict=True) if value is None]:
            return f"absent: {', '.join(absent)}"
        raw = np.array(values_now, dtype=np.float64)
        if not np.isfinite(raw).all():
            return f"not finite: {', '.join(np.array(self.names)[~np.isfinite(raw)])}"
        stated = state_numbers(state)
        if None in stated:
            return "the state has no number: is the equity above zero?"
        scaled = np.clip((raw - self.means) / self.deviations, -MOST, MOST)
        return np.concatenate([scaled, np.array(stated, dtype=np.float64)]).astype(np.float32)


def fit_scaling(names: Sequence[str], rows: Sequence[Mapping[str, float]]) -> FittedScaling:
    """Fit the scaling of features over the rows of a training period.

    Rows that lack a feature, or have one that isn't finite, don't count. Raise TradebotError if a feature never
    changes, or no row counts.
    """
    whole = [row for row in rows if all(name in row and isfinite(row[name]) for name in names)]
    if not whole:
        raise TradebotError(
            "no bar of the training span has every feature", "leave out the missing features: --without NAME"
        )
    table = np.array([[row[name] for name in names] for row in whole])
    return FittedScaling(tuple(names), tuple(table.mean(axis=0).tolist()), tuple(table.std(axis=0).tolist()))


LEAST_ROWS = 100

GENERATED = "generated"

HISTORY = (
    "use a later --from, because features need about a month of bars before the first session "
    "(docs/FUTURES.md#recorded-contracts); or"
)

SHOWN = 5

RETURN = "return_1"

"""The feature with a bar's direction."""


class TrainingRow(NamedTuple):
    """A bar's features by name, the time of the policy's view, and the contract."""

    at: datetime
    values: Mapping[str, float]
    symbol: str


class SessionRange(NamedTuple):
    """The sessions from `first` to `last`, both included; None stands for the market's first or last session."""

    first: date | None = None
    last: date | None = None


EVERY = SessionRange()


class RecordingScaling:
    """Replaces a scaling and records the features that pass through it."""

    def __init__(self, names: tuple[str, ...]) -> None:
        self.names = names
        self.rows: list[dict[str, float]] = []
        self.absent: dict[str, int] = {}

    def observation(self, values: Mapping[str, float], state: DecisionState) -> NDArray[np.float32] | str:
        """Record the features of a complete bar and return zeros, or return the missing features."""
        missing = [name for name in self.names if not isfinite(values.get(name, float("nan")))]
        for name in missing:
            self.absent[name] = self.absent.get(name, 0) + 1
        if missing:
            return f"absent: {', '.join(missing)}"
        self.rows.append({name: values[name] for name in self.names})
        return np.zeros(len(self.names) + len(STATE), dtype=np.float32)


def rows_of(
    plan: BacktestPlan,
    name: str,
    wanted: tuple[str, ...],
    spans: Sequence[SessionRange] = (EVERY,),
    progress: Callable[[int], None] = lambda rows: None,
) -> tuple[tuple[TrainingRow, ...], ...]:
    """Return each period's rows: one row for each bar at which the policy `name` would have decided.

    Raise OperatorError if there are too few rows in total, or if a feature is always missing or never changes.
    """
    watched = RecordingScaling(tuple(dict.fromkeys((*wanted, RETURN))))
    training_rows = list[tuple[TrainingRow, ...]]()
    for within in spans:
        before = len(watched.rows)
        reports = _play_without_trading(
            EpisodeTerms(plan, watched, name, first=within.first, last=within.last), before, progress
        )
        shown = zip(reports, watched.rows[before:], strict=True)
        training_rows.append(tuple(TrainingRow(info["at"], values, info["symbol"]) for info, values in shown))
    if len(watched.rows) < LEAST_ROWS:
        raise _too_few(watched, _lacks_history(plan, spans[0].first, training_rows))
    still = [each for each in wanted if len({row[each] for row in watched.rows}) == 1]
    if still:
        raise OperatorError(
            f"these features never change in the training span: {', '.join(still[:SHOWN])}",
            "train on a longer span, or leave them out: --without NAME",
        )
    return tuple(training_rows)


def _play_without_trading(terms: EpisodeTerms, before: int, progress: Callable[[int], None]) -> list[dict[str, Any]]:
    """Run an episode without trading, and return the reports at each decision."""
    with Environment(terms) as episode:
        try:
            _, info = episode.reset()
        except NoDecisionError:
            return []
        infos, ended = [info], False
        while not ended:
            _, _, over, cut, info = episode.step(0)
            ended = over or cut
            if not ended:
                infos.append(info)
            progress(before + len(infos))
    return infos


def _lacks_history(plan: BacktestPlan, first: date | None, training_rows: Sequence[tuple[TrainingRow, ...]]) -> bool:
    """Return True if a period of recorded bars starts without rows, most likely because its file starts there."""
    begins = first or plan.spec.start
    day = next((row.at.date() for part in training_rows for row in part), None)
    return plan.spec.source != GENERATED and (day is None or day > begins)


def _too_few(watched: RecordingScaling, lacks_history: bool) -> OperatorError:
    """Return the error for a period with too few rows, naming features whose source may be missing."""
    absent = [name for name in watched.names if watched.absent.get(name) or features()[name].of_the_moment]
    absent.sort(key=lambda name: -watched.absent.get(name, 0))
    named = f"; perhaps missing: {', '.join(absent[:SHOWN])}" if absent else ""
    return OperatorError(
        f"only {len(watched.rows)} bars of the training span have every feature, but {LEAST_ROWS} are needed{named}",
        f"{HISTORY if lacks_history else ''}train on a longer span, or leave features out: --without NAME",
    )
