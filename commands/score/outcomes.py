"""`score --outcomes`: what followed the recorded candidates, and whether their scores predicted it."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import TYPE_CHECKING

from tradebot.errors import OperatorError, word

if TYPE_CHECKING:
    from tradebot.adapters.facts.facts import SqliteFacts
    from tradebot.app.wiring import App
    from tradebot.auditing.forward_returns import SessionReturns
    from tradebot.auditing.outcomes import StrategyOutcomes
    from tradebot.model.bar import Session
    from tradebot.model.record import Judged
    from tradebot.ports.world import Progress

BENCHMARK = "SPY"
A_WEEK = timedelta(days=7)


@dataclass(frozen=True, slots=True)
class Outcomes:
    """What followed the candidates recorded between `since` and `at`, by strategy, in `sessions` with any of them.

    Returns are fractions, net of the `benchmark` over the same span, or gross if it is None because it has no bars.
    They start at the open of the next minute's bar, and leave out costs. `level` is the share of tables without any
    effect that show one by chance, and `worth_seeing` the return that each `needed` is about. `sentences` say what the
    refusals of each strategy's gates cost or saved.
    """

    at: datetime
    since: date | None
    sessions: int
    benchmark: str | None
    level: float
    worth_seeing: float
    strategies: "tuple[StrategyOutcomes, ...]"
    sentences: Mapping[str, str]


def day_of(text: str) -> date:
    """Return the date that a person typed; raise OperatorError if it can't be read."""
    try:
        return date.fromisoformat(text)
    except ValueError as error:
        raise OperatorError(f"{word(text)} is not a date", "tradebot score --outcomes --since 2026-11-16") from error


def measured(
    app: "App", since: date | None, progress: "Progress", until: date | None = None, at: datetime | None = None
) -> Outcomes:
    """Measure what followed; fetch the bars that this takes. Raise TemporaryError if their source doesn't answer.

    The candidates are those of sessions up to `until`, and what followed is measured at `at`; None for all of them, and
    for the broker's time. `progress` is told how many sessions are read, and of how many.
    """
    from tradebot.auditing.intervals import LEVEL
    from tradebot.auditing.outcome_sentences import what_refusals_did
    from tradebot.auditing.outcomes import WORTH_SEEING, Tally

    now, tally = at or app.now(), Tally()
    facts = app.recorded
    oldest = facts.first_scored() if facts else None
    first = max(since, oldest.date()) if since and oldest else oldest.date() if oldest else since
    measuring = _Measuring(app, now, first) if first else None
    if facts and measuring:
        for day, judged in measuring.days(facts, progress, until):
            tally.add(day, judged)
    strategies, benchmark = tally.outcomes(), measuring.benchmark if measuring else BENCHMARK
    return Outcomes(
        at=now,
        since=first,
        sessions=tally.sessions,
        benchmark=benchmark,
        level=LEVEL,
        worth_seeing=WORTH_SEEING,
        strategies=strategies,
        sentences={each.strategy: what_refusals_did(each.refusals, benchmark) for each in strategies},
    )


class _Measuring:
    """The prices of sessions since a date; each session's minutes are read only while it is measured."""

    def __init__(self, app: "App", now: datetime, first: date) -> None:
        from tradebot.app import calendar

        self._bars, self._now, self._first = app.bars, now, first
        self._sessions: Sequence[Session] = [
            session
            for session in calendar.sessions(app.books, app.reader.calendar, first, now.date())
            if session.open <= now
        ]
        self._closes: dict[str, Mapping[date, float]] = {}
        self._learn([BENCHMARK])
        self.benchmark = BENCHMARK if self._closes[BENCHMARK] else None

    def days(
        self, facts: "SqliteFacts", progress: "Progress", until: date | None
    ) -> "Iterator[tuple[SessionReturns, Sequence[Judged]]]":
        """Yield each session up to a date in which candidates would have been entered, with them; the oldest first."""
        before = datetime.combine(self._first, datetime.min.time(), self._now.tzinfo)
        for place, session in enumerate(self._sessions):
            if until is not None and session.date > until:
                return
            progress(place, len(self._sessions))
            judged = facts.judged(before, session.close)
            before = session.close
            if judged:
                yield self._returns(place, list(dict.fromkeys(each.symbol for each in judged))), judged

    def _returns(self, place: int, symbols: Sequence[str]) -> "SessionReturns":
        from tradebot.auditing.forward_returns import SessionReturns

        self._learn([symbol for symbol in symbols if symbol not in self._closes])
        names = [*symbols, *([self.benchmark] if self.benchmark else [])]
        day = self._sessions[place].date
        minutes = self._bars.between("1Min", names, day, day, self._now)
        until = self._bars.known_until(self._now)
        return SessionReturns(self._sessions[place:], minutes, self._closes, until, self.benchmark)

    def _learn(self, symbols: Sequence[str]) -> None:
        """Read the daily closes of symbols since the first session."""
        from tradebot.auditing.forward_returns import closes_of
        from tradebot.model.series import DAY

        if symbols:
            found = self._bars.between(DAY, symbols, self._first, self._now.date(), self._now)
            self._closes |= {symbol: closes_of(found[symbol]) if symbol in found else {} for symbol in symbols}
