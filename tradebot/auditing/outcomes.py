"""Measure from the records whether scores predicted returns, and what the gates' refusals cost or saved.

Every entry candidate counts, refused or not. One that several passes saw before the same bar counts once. A session is
one observation: the mean of its candidates, weighted by the view that each takes. Each table is corrected for all its
rows and horizons: without any effect, a star appears with a chance of at most 5%.
"""

from array import array
from bisect import bisect_left
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from math import isnan, nan

from msgspec import Struct
from msgspec.structs import asdict

from tradebot.auditing.confidence_intervals import (
    LEVEL,
    Estimate,
    correct_for_multiple_tests,
    estimate,
    fewest_sessions,
)
from tradebot.auditing.forward_returns import CLOSE, HORIZONS, Horizon, Returns, SessionReturns
from tradebot.model.candidate import Side
from tradebot.model.record import EntryOutcome, RefusedTrade
from tradebot.model.text import pluralize
from tradebot.model.values import replace

WORTH_SEEING = 0.001
"""The effect that the number of needed sessions is about: a return of 0.1%, the order of a round trip's costs."""
GROUPS = 10
STAKE_USD = 1000
"""What each refused trade is counted with, in USD."""
SENT = "sent"
"""The row of candidates that no gate refused."""


class MeasuredOutcome(Struct, frozen=True):
    """What followed a group of candidates until one horizon: a mean of session means, as a fraction.

    `low` and `high` bound its 95% interval; they are None if there are too few sessions. `p` is corrected for all rows
    and horizons of its table; `is_found` says that chance alone rarely leads to that. `needed` is about how many
    sessions it takes to see an effect of WORTH_SEEING. The mean is None if nothing was measured.
    """

    horizon: str
    candidates: int
    sessions: int
    mean: float | None
    low: float | None
    high: float | None
    p: float | None
    is_found: bool
    needed: int | None


class OutcomeRow(Struct, frozen=True):
    """What followed one group: a component, a gate, or the scores from `lowest` to `highest`."""

    name: str
    horizons: tuple[MeasuredOutcome, ...]
    lowest: float | None = None
    highest: float | None = None


class Refusals(Struct, frozen=True):
    """What the trades that were refused, and not sent later in their session, would have made until the close.

    `usd` is the sum with `stake_usd` in each trade, net of the benchmark; `low_usd` and `high_usd` bound its 95%
    interval, and are None if there are too few sessions.
    """

    trades: int
    sessions: int
    usd: float
    low_usd: float | None
    high_usd: float | None
    stake_usd: int = STAKE_USD


class StrategyOutcomes(Struct, frozen=True):
    """What followed one strategy's candidates.

    `score` is what following the score would have returned, long above zero and short below, each candidate in
    proportion to its score; components are measured likewise. Deciles of the score are bought; gates' candidates are
    taken on their own side, the first of a symbol in a session.
    """

    strategy: str
    candidates: int
    unmeasured: int
    score: tuple[MeasuredOutcome, ...]
    deciles: tuple[OutcomeRow, ...]
    components: tuple[OutcomeRow, ...]
    gates: tuple[OutcomeRow, ...]
    refusals: Refusals | None


class _Row:
    """Sums of returns by horizon and session, weighted by the view that each candidate takes."""

    def __init__(self) -> None:
        self._sums = [dict[int, list[float]]() for _ in HORIZONS]
        self._counts = [0 for _ in HORIZONS]

    def add(self, session: int, returns: Returns, view: float) -> None:
        """Add one candidate; `view` is positive if it expects a rise, and its size is the candidate's weight."""
        if not view:
            return
        for place, value in enumerate(returns):
            if value is None or isnan(value):
                continue
            sums = self._sums[place].setdefault(session, [0.0, 0.0])
            sums[0] += view * value
            sums[1] += abs(view)
            self._counts[place] += 1

    def measured(self) -> tuple[MeasuredOutcome, ...]:
        return tuple(
            _measured(horizon, count, [found[0] / found[1] for _, found in sorted(sums.items())])
            for horizon, count, sums in zip(HORIZONS, self._counts, self._sums, strict=True)
        )


def _measured(horizon: Horizon, candidates: int, by_session: Sequence[float]) -> MeasuredOutcome:
    if not by_session:
        return MeasuredOutcome(horizon.name, 0, 0, None, None, None, None, is_found=False, needed=None)
    found = estimate(by_session, horizon.reach, WORTH_SEEING)
    return MeasuredOutcome(horizon.name, candidates, is_found=False, **asdict(found))


class _Refused:
    """What one strategy's refused trades would have made until the close, session by session."""

    def __init__(self) -> None:
        self._usd = list[float]()
        self._trades = 0

    def add(self, trades: Iterable[tuple[Side, Returns]]) -> None:
        """Add the trades of one session that were refused; those without a close aren't known."""
        closes = ((side, returns[HORIZONS.index(CLOSE)]) for side, returns in trades)
        made = [side.sign * close * STAKE_USD for side, close in closes if close is not None]
        if made:
            self._trades += len(made)
            self._usd.append(sum(made))

    def worth(self) -> Refusals | None:
        if not self._usd:
            return None
        count = len(self._usd)
        found: Estimate = estimate(self._usd, CLOSE.reach, WORTH_SEEING * STAKE_USD)
        low, high = (None if end is None else end * count for end in (found.low, found.high))
        return Refusals(self._trades, count, found.mean * count, low, high)


class _Strategy:
    """One strategy's candidates, session by session."""

    def __init__(self) -> None:
        self._score = _Row()
        self._components = defaultdict[str, _Row](_Row)
        self._gates = defaultdict[str, _Row](_Row)
        self._scores, self._sessions = array("d"), array("l")
        self._returns = tuple(array("d") for _ in HORIZONS)
        self._unmeasured = 0
        self._refused = _Refused()

    def add(self, session: int, day: SessionReturns, judged: Iterable[EntryOutcome]) -> None:
        seen = set[tuple[str, int]]()
        gated = dict[tuple[str, Side, str], Returns]()
        for each in judged:
            entry = day.entry(each.symbol, each.at)
            if entry is None:
                self._unmeasured += 1
                continue
            # A pass that scores and one that trades may look at the same moment: that is one observation.
            if each.score is not None and (each.symbol, entry.start_s) not in seen:
                seen.add((each.symbol, entry.start_s))
                self._add_scored(session, each.score, each.components, entry.returns)
            if each.was_gated and each.score != 0:
                gated.setdefault((each.symbol, each.side, each.gate.value if each.gate else SENT), entry.returns)
        for (_, side, gate), returns in gated.items():
            self._gates[gate].add(session, returns, side.sign)
        self._add_refused(gated)

    def _add_scored(
        self, session: int, score: float, components: Iterable[tuple[str, float | None]], returns: Returns
    ) -> None:
        self._score.add(session, returns, score)
        for name, value in components:
            self._components[name].add(session, returns, value or 0.0)
        self._scores.append(score)
        self._sessions.append(session)
        for column, value in zip(self._returns, returns, strict=True):
            column.append(nan if value is None else value)

    def _add_refused(self, gated: Mapping[tuple[str, Side, str], Returns]) -> None:
        """Count each trade that was refused all session once, from its first refusal on."""
        sent = {(symbol, side) for symbol, side, gate in gated if gate == SENT}
        first = dict[tuple[str, Side], Returns]()
        for (symbol, side, _), returns in gated.items():
            first.setdefault((symbol, side), returns)
        self._refused.add((side, returns) for (symbol, side), returns in first.items() if (symbol, side) not in sent)

    def outcomes(self, name: str) -> StrategyOutcomes:
        (score,) = _corrected([OutcomeRow("score", self._score.measured())])
        return StrategyOutcomes(
            strategy=name,
            candidates=len(self._scores),
            unmeasured=self._unmeasured,
            score=score.horizons,
            deciles=_corrected(self._deciles()),
            components=_corrected([OutcomeRow(name, row.measured()) for name, row in self._components.items()]),
            gates=_corrected([OutcomeRow(name, row.measured()) for name, row in sorted(self._gates.items())]),
            refusals=self._refused.worth(),
        )

    def _deciles(self) -> list[OutcomeRow]:
        """Return ten groups of equal size by score; equal scores stay together, so there may be fewer."""
        ranked = sorted(self._scores)
        if not ranked:
            return []
        highest = sorted({ranked[-(-len(ranked) * part // GROUPS) - 1] for part in range(1, GROUPS + 1)})
        rows = [_Row() for _ in highest]
        lowest = [nan] * len(highest)
        for place, score in enumerate(self._scores):
            group = bisect_left(highest, score)
            lowest[group] = score if isnan(lowest[group]) else min(lowest[group], score)
            rows[group].add(self._sessions[place], tuple(column[place] for column in self._returns), 1.0)
        return [
            OutcomeRow(str(number), row.measured(), low, high)
            for number, (row, low, high) in enumerate(zip(rows, lowest, highest, strict=True), 1)
        ]


def _corrected(rows: Sequence[OutcomeRow]) -> tuple[OutcomeRow, ...]:
    chances = iter(correct_for_multiple_tests([each.p for row in rows for each in row.horizons]))
    return tuple(
        replace(
            row,
            horizons=tuple(
                replace(each, p=chance, is_found=chance is not None and chance <= LEVEL)
                for each, chance in zip(row.horizons, chances, strict=False)
            ),
        )
        for row in rows
    )


class Tally:
    """Adds up what followed candidates, session by session; it keeps little of each."""

    def __init__(self) -> None:
        self._strategies = defaultdict[str, _Strategy](_Strategy)
        self.sessions = 0

    def add(self, day: SessionReturns, judged: Sequence[EntryOutcome]) -> None:
        self.sessions += 1
        for name in sorted({each.strategy for each in judged}):
            self._strategies[name].add(self.sessions, day, [each for each in judged if each.strategy == name])

    def outcomes(self) -> tuple[StrategyOutcomes, ...]:
        return tuple(strategy.outcomes(name) for name, strategy in sorted(self._strategies.items()))


class RefusedTally:
    """Adds up what refused trades would have made, session by session: the refusals of `Tally`, from less."""

    def __init__(self) -> None:
        self._strategies = defaultdict[str, _Refused](_Refused)

    def add(self, day: SessionReturns, refused: Iterable[RefusedTrade]) -> None:
        of = defaultdict[str, list[tuple[Side, Returns]]](list)
        for each in refused:
            entry = day.entry(each.symbol, each.at)
            if entry is not None:
                of[each.strategy].append((each.side, entry.returns))
        for strategy, trades in of.items():
            self._strategies[strategy].add(trades)

    def worth(self) -> Mapping[str, Refusals]:
        """Return what they add up to by strategy, those without any left out."""
        found = ((name, refused.worth()) for name, refused in sorted(self._strategies.items()))
        return {name: worth for name, worth in found if worth is not None}


_REACH = {horizon.name: horizon.reach for horizon in HORIZONS}


def verdict(found: MeasuredOutcome) -> str:
    """Say whether a score predicts until one horizon."""
    if found.mean is None:
        return "nothing is over yet"
    if found.low is None:
        least = fewest_sessions(_REACH[found.horizon])
        if found.sessions >= least:
            return "all sessions are alike, which proves nothing"
        return f"too little to know: {found.sessions:,} of at least {least} sessions"
    if found.is_found:
        return "it predicts" if found.mean > 0 else "it predicts the opposite"
    assert found.needed is not None, "an interval comes with what it would take"
    if found.needed <= found.sessions:
        return f"no better than chance; an effect of {WORTH_SEEING:.1%} would probably show by now"
    return f"can't be told from chance; to see {WORTH_SEEING:.1%} takes about {pluralize(found.needed, 'session')}"


def what_refusals_did(found: Refusals | None, benchmark: str | None) -> str:
    if found is None:
        return "No trade that a gate refused is over yet, so nothing can be said about refusals."
    usd, is_gain = f"{abs(found.usd):,.2f} USD", found.usd >= 0
    gained = f"made {usd} {'more' if is_gain else 'less'} than the same in {benchmark}"
    gained = gained if benchmark is not None else f"{'made' if is_gain else 'lost'} {usd}"
    what = (
        f"The gates refused {pluralize(found.trades, 'trade')} in {pluralize(found.sessions, 'session')}; with "
        f"{found.stake_usd:,} USD in each, held to the close, they would have {gained}"
    )
    if found.low_usd is None or found.high_usd is None:
        return f"{what}, but {pluralize(found.sessions, 'session')} can't show whether that was chance."
    span = f"95% interval {found.low_usd:+,.2f} to {found.high_usd:+,.2f} USD"
    if found.low_usd > 0:
        return f"{what} ({span}): refusing them cost money."
    if found.high_usd < 0:
        return f"{what} ({span}): refusing them saved money."
    return f"{what} ({span}): refusing them neither clearly cost nor clearly saved money."
