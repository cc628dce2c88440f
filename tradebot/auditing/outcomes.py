"""Measure from the records whether scores predicted returns, and what the gates' refusals cost or saved.

Every entry candidate counts, refused or not. A candidate seen by several passes before the same bar counts once. A
session is one observation: the mean of its candidates, weighted by their scores. Each table is corrected for all its
rows and horizons: if there is no effect at all, the chance that any star appears is at most 5%.

Returns start at the next bar, and are net of the market's.
"""

from array import array
from bisect import bisect_left, bisect_right
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, date, datetime, timedelta
from math import isnan, nan
from typing import NamedTuple

from msgspec import Struct
from msgspec.structs import asdict

from tradebot.auditing.confidence_intervals import (
    LEVEL,
    Estimate,
    correct_for_multiple_tests,
    estimate,
    fewest_sessions,
)
from tradebot.model.bar import Session
from tradebot.model.candidate import Side
from tradebot.model.record import EntryOutcome, RefusedTrade
from tradebot.model.sentences import pluralize
from tradebot.model.series import Series
from tradebot.model.struct_tools import replace

HOUR_S, MINUTE_S = 3600, 60

_NOON = timedelta(hours=12)


class Horizon(NamedTuple):
    """The period of a return: until the close that many sessions later, or for an hour if `sessions` is None.

    Returns of candidates from `reach` sessions in a row overlap.
    """

    name: str
    sessions: int | None
    reach: int


HORIZONS = (
    Horizon("1 hour", None, 1),
    Horizon("close", 0, 1),
    *(Horizon(f"{count} session{'s' if count > 1 else ''}", count, count + 1) for count in (1, 3, 5, 10)),
)

CLOSE = HORIZONS[1]

Returns = tuple[float | None, ...]

"""A return for each horizon, as a fraction; None if it isn't over yet, doesn't exist, or has no price."""

UNKNOWN: Returns = (None,) * len(HORIZONS)


class HypotheticalEntry(NamedTuple):
    """A hypothetical purchase at the open of the next bar, and its returns.

    The bar starts at `start_s`, in seconds since 1970 UTC.
    """

    start_s: int
    returns: Returns


class SessionReturns:
    """The returns of candidates that are entered in one session.

    `sessions` are all sessions from this one on, oldest first. `minutes` are this session's bars by symbol, and
    `closes` the daily closes by symbol and date, both adjusted for splits and dividends. Only periods that ended by
    `until` count. Returns are net of the `benchmark` over the same period, or gross if that is None.
    """

    def __init__(
        self,
        sessions: Sequence[Session],
        minutes: Mapping[str, Series],
        closes: Mapping[str, Mapping[date, float]],
        until: datetime,
        benchmark: str | None,
    ) -> None:
        self.session = sessions[0]
        self._minutes = minutes
        self._closes = closes
        self._until = until
        self._benchmark = benchmark
        self._dates = [session.date for session in sessions if session.close <= until]
        self._known: dict[tuple[str, int], Returns] = {}

    def entry(self, symbol: str, at: datetime) -> HypotheticalEntry | None:
        """Return the entry of a candidate at a moment, or None if the symbol had no later bar in this session."""
        bar = self._bar(symbol, at.timestamp())
        if bar is None:
            return None
        start_s = bar[0].starts[bar[1]]
        if (symbol, start_s) not in self._known:
            self._known[symbol, start_s] = self._returns(symbol, start_s)
        return HypotheticalEntry(start_s, self._known[symbol, start_s])

    def return_after(self, symbol: str, at: datetime, longest_s: int) -> float | None:
        """Return the gross return of buying after a moment and holding for `longest_s` seconds, but at most until the
        close.

        The purchase is at the open of the next bar. Return None if there is no such bar, or if the holding time isn't
        over yet.
        """
        bar = self._bar(symbol, at.timestamp())
        if bar is None:
            return None
        bars, index = bar
        end_s = min(bars.starts[index] + longest_s, int(self.session.close.timestamp()))
        price = self._price(bars, end_s)
        return None if price is None or end_s > self._until.timestamp() else price / bars.open[index] - 1

    def price(self, symbol: str, at: datetime) -> float | None:
        """Return the last price of a symbol before a moment of the session; None if there is none."""
        bars, at_s = self._minutes.get(symbol), int(at.timestamp())
        within = self.session.open <= at <= min(self.session.close, self._until)
        return self._price(bars, at_s) if bars is not None and within else None

    def _price(self, bars: Series, end_s: int) -> float | None:
        last = bisect_right(bars.starts, end_s - MINUTE_S) - 1
        return bars.close[last] if last >= 0 else None

    def _returns(self, symbol: str, start_s: int) -> Returns:
        own = self._gross(symbol, start_s)
        if self._benchmark is None:
            return own
        market = self._gross(self._benchmark, start_s)
        if symbol == self._benchmark:
            return UNKNOWN
        return tuple(
            None if mine is None or theirs is None else mine - theirs for mine, theirs in zip(own, market, strict=True)
        )

    def _gross(self, symbol: str, start_s: int) -> Returns:
        bar = self._bar(symbol, start_s)
        if bar is None:
            return UNKNOWN
        bars, index = bar
        exits = (self._exit(horizon, symbol, bars, index, start_s) for horizon in HORIZONS)
        return tuple(None if price is None else price / bars.open[index] - 1 for price in exits)

    def _bar(self, symbol: str, at_s: float) -> tuple[Series, int] | None:
        """Return a symbol's bars with the place of the first one from a moment on; None if that has no price."""
        bars = self._minutes.get(symbol)
        index = bisect_left(bars.starts, at_s) if bars is not None else 0
        return None if bars is None or index == len(bars) or bars.open[index] <= 0 else (bars, index)

    def _exit(self, horizon: Horizon, symbol: str, bars: Series, index: int, start_s: int) -> float | None:
        """Return the price at a horizon's end, given the place of the first bar and when the candidate is entered."""
        if horizon.sessions is None:
            end_s = start_s + HOUR_S
            last = bisect_right(bars.starts, end_s - MINUTE_S) - 1
            over = end_s <= min(self.session.close, self._until).timestamp()
            return bars.close[last] if over and last >= index else None
        if horizon.sessions >= len(self._dates):
            return None
        return self._closes.get(symbol, {}).get(self._dates[horizon.sessions])


def closes_of(days: Series) -> Mapping[date, float]:
    """Return the closes of daily bars by date.

    A bar starts at the venue's midnight, so its date is taken half a day later.
    """
    starts = (datetime.fromtimestamp(start, UTC) + _NOON for start in days.starts)
    return {at.date(): close for at, close in zip(starts, days.close, strict=True)}


WORTH_SEEING = 0.001

"""The effect that the number of needed sessions is about: a return of 0.1%, the order of a round trip's costs."""

GROUPS = 10

STAKE_USD = 1000

"""The assumed size of each refused trade, in USD."""

SENT = "sent"

"""The row of candidates that no gate refused."""


class MeasuredOutcome(Struct, frozen=True):
    """How prices moved after a group of candidates, up to one horizon: the mean of the sessions' mean returns, as a
    fraction.

    `low` and `high` bound its 95% interval; they are None if there are too few sessions. `p` is corrected for all rows
    and horizons of its table; `is_found` is True if the effect is significant. `needed` is about how many sessions it
    takes to detect an effect of WORTH_SEEING. The mean is None if nothing was measured.
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
    """The returns after one group of candidates: those of a component, of a gate, or with scores from `lowest` to
    `highest`.
    """

    name: str
    horizons: tuple[MeasuredOutcome, ...]
    lowest: float | None = None
    highest: float | None = None


class Refusals(Struct, frozen=True):
    """What refused trades would have earned until the close, leaving out trades that were sent later in their session.

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
    """The returns after one strategy's candidates.

    `score` is the return of trading by the score: long if it is above zero and short if it is below, with stakes in
    proportion to it. Components are measured in the same way. For deciles, the candidates in each decile of the score
    are bought. For gates, the candidates that a gate refused are traded on their own side, but only the first of each
    symbol in a session.
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
        for index, value in enumerate(returns):
            if value is None or isnan(value):
                continue
            sums = self._sums[index].setdefault(session, [0.0, 0.0])
            sums[0] += view * value
            sums[1] += abs(view)
            self._counts[index] += 1

    def outcomes(self) -> tuple[MeasuredOutcome, ...]:
        return tuple(
            _measure(horizon, count, [sum_of[0] / sum_of[1] for _, sum_of in sorted(sums.items())])
            for horizon, count, sums in zip(HORIZONS, self._counts, self._sums, strict=True)
        )


def _measure(horizon: Horizon, candidates: int, by_session: Sequence[float]) -> MeasuredOutcome:
    if not by_session:
        return MeasuredOutcome(horizon.name, 0, 0, None, None, None, None, is_found=False, needed=None)
    estimate_usd = estimate(by_session, horizon.reach, WORTH_SEEING)
    return MeasuredOutcome(horizon.name, candidates, is_found=False, **asdict(estimate_usd))


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
        estimate_usd: Estimate = estimate(self._usd, CLOSE.reach, WORTH_SEEING * STAKE_USD)
        low, high = (None if end is None else end * count for end in (estimate_usd.low, estimate_usd.high))
        return Refusals(self._trades, count, estimate_usd.mean * count, low, high)


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
        (score,) = _correct_chances([OutcomeRow("score", self._score.outcomes())])
        return StrategyOutcomes(
            strategy=name,
            candidates=len(self._scores),
            unmeasured=self._unmeasured,
            score=score.horizons,
            deciles=_correct_chances(self._deciles()),
            components=_correct_chances([OutcomeRow(name, row.outcomes()) for name, row in self._components.items()]),
            gates=_correct_chances([OutcomeRow(name, row.outcomes()) for name, row in sorted(self._gates.items())]),
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
        for index, score in enumerate(self._scores):
            group = bisect_left(highest, score)
            lowest[group] = score if isnan(lowest[group]) else min(lowest[group], score)
            rows[group].add(self._sessions[index], tuple(column[index] for column in self._returns), 1.0)
        return [
            OutcomeRow(str(number), row.outcomes(), low, high)
            for number, (row, low, high) in enumerate(zip(rows, lowest, highest, strict=True), 1)
        ]


def _correct_chances(rows: Sequence[OutcomeRow]) -> tuple[OutcomeRow, ...]:
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
    """Accumulates returns after candidates, session by session; it stores little of each."""

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
    """Accumulates what refused trades would have earned, session by session.

    The result equals the refusals of `Tally`, but is computed from less data.
    """

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
        """Return the totals by strategy; a strategy without refused trades is left out."""
        by_strategy = ((name, refused.worth()) for name, refused in sorted(self._strategies.items()))
        return {name: worth for name, worth in by_strategy if worth is not None}


_REACH = {horizon.name: horizon.reach for horizon in HORIZONS}


def describe_prediction(measured: MeasuredOutcome) -> str:
    """Describe whether a score predicts returns over one horizon."""
    if measured.mean is None:
        return "no return is complete yet"
    if measured.low is None:
        least = fewest_sessions(_REACH[measured.horizon])
        if measured.sessions >= least:
            return "every session gave the same result, so chance can't be ruled out"
        return f"too few sessions: {measured.sessions:,} of at least {least} sessions"
    if measured.is_found:
        return "it predicts" if measured.mean > 0 else "it predicts the opposite"
    assert measured.needed is not None, "a mean with an interval must have the number of sessions needed"
    if measured.needed <= measured.sessions:
        return f"no better than chance; an effect of {WORTH_SEEING:.1%} would probably have shown by now"
    return (
        f"can't be distinguished from chance; detecting {WORTH_SEEING:.1%} takes about "
        f"{pluralize(measured.needed, 'session')}"
    )


def what_refusals_did(refusals: Refusals | None, benchmark: str | None) -> str:
    if refusals is None:
        return "No refused trade is complete yet, so nothing can be said about refusals."
    usd, is_gain = f"{abs(refusals.usd):,.2f} USD", refusals.usd >= 0
    gained = f"made {usd} {'more' if is_gain else 'less'} than the same stakes in {benchmark}"
    gained = gained if benchmark is not None else f"{'made' if is_gain else 'lost'} {usd}"
    what = (
        f"The gates refused {pluralize(refusals.trades, 'trade')} in {pluralize(refusals.sessions, 'session')}; with "
        f"{refusals.stake_usd:,} USD in each, held to the close, they would have {gained}"
    )
    if refusals.low_usd is None or refusals.high_usd is None:
        return f"{what}, but {pluralize(refusals.sessions, 'session')} can't show whether that was chance."
    span = f"95% interval {refusals.low_usd:+,.2f} to {refusals.high_usd:+,.2f} USD"
    if refusals.low_usd > 0:
        return f"{what} ({span}): refusing them cost money."
    if refusals.high_usd < 0:
        return f"{what} ({span}): refusing them saved money."
    return f"{what} ({span}): refusing them neither clearly cost nor clearly saved money."
