"""`score --outcomes`: the returns after recorded candidates, and whether their scores predicted them."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import date, datetime, timedelta
from typing import TypeVar

from msgspec import Struct
from rich.console import Console
from rich.markup import escape

from commands.shared.number_format import format_signed
from commands.shared.tables import Table, number, sentence
from commands.shared.times import MINUTE, when
from tradebot.app import calendar
from tradebot.app.wiring import App
from tradebot.auditing.confidence_intervals import LEVEL
from tradebot.auditing.outcomes import (
    WORTH_SEEING,
    MeasuredOutcome,
    OutcomeRow,
    Refusals,
    RefusedTally,
    SessionReturns,
    StrategyOutcomes,
    Tally,
    closes_of,
    describe_prediction,
    what_refusals_did,
)
from tradebot.errors import OperatorError, word
from tradebot.model.bar import Session
from tradebot.model.record import EntryOutcome, RefusedTrade
from tradebot.model.sentences import pluralize
from tradebot.model.series import DAY
from tradebot.ports.world import Progress

BENCHMARK = "SPY"
A_WEEK = timedelta(days=7)
Found = TypeVar("Found", "EntryOutcome", "RefusedTrade")


class Outcomes(Struct, frozen=True):
    """What prices did after the candidates recorded between `since` and `at`, by strategy.

    `sessions` counts the sessions with candidates. Returns are fractions. They start at the open of the next minute's
    bar, and exclude costs. They are net of the `benchmark` over the same period, or gross if it is None because it has
    no bars. `level` is the share of tables that show an effect by chance although there is none. `worth_seeing` is the
    size of return for which each `needed` number of observations is computed. `sentences` say what the refusals of each
    strategy's gates cost or saved.
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
    """Return the date that a person typed; raise OperatorError if it is invalid."""
    try:
        return date.fromisoformat(text)
    except ValueError as error:
        raise OperatorError(f"{word(text)} is not a date", "tradebot score --outcomes --since 2026-11-16") from error


def measure_outcomes(
    app: "App", since: date | None, progress: "Progress", until: date | None = None, at: datetime | None = None
) -> Outcomes:
    """Measure the returns, fetching the bars they need. Raise TemporaryError if the source of bars doesn't respond.

    Covers the candidates of sessions up to `until` (None for all of them), measured at `at` (None for the broker's
    time). `progress` is called with the number of sessions read so far, and the total.
    """
    now, tally = at or app.now(), Tally()
    facts, first = app.existing_facts, _first(app, since)
    measuring = _Measuring(app, now, first) if first else None
    if facts and measuring:
        for day, judged in measuring.days(facts.judged, progress, until):
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


class RefusedTrades(Struct, frozen=True):
    """What one strategy's refused trades would have earned, and a sentence about it."""

    strategy: str
    worth: "Refusals"
    sentence: str


def refused_trades(
    app: "App", since: date | None, progress: "Progress", until: date | None, at: datetime
) -> tuple[RefusedTrades, ...]:
    """Evaluate only the refusals, by strategy; this needs much less data than `measure_outcomes`."""
    facts, first, tally = app.existing_facts, _first(app, since), RefusedTally()
    if facts is None or first is None:
        return ()
    measuring = _Measuring(app, at, first)
    for day, refused in measuring.days(facts.refused, progress, until):
        tally.add(day, refused)
    return tuple(
        RefusedTrades(name, worth, what_refusals_did(worth, measuring.benchmark))
        for name, worth in tally.worth().items()
    )


def judged_days(
    app: "App", since: date | None, progress: "Progress", until: date | None, at: datetime
) -> "Iterator[tuple[SessionReturns, Sequence[EntryOutcome]]]":
    """Yield each session up to a date with its returns and its recorded candidates, the oldest first."""
    facts, first = app.existing_facts, _first(app, since)
    if facts is not None and first is not None:
        yield from _Measuring(app, at, first).days(facts.judged, progress, until)


def _first(app: "App", since: date | None) -> date | None:
    facts = app.existing_facts
    oldest = facts.first_scored() if facts else None
    first = app.day.date_of(oldest) if oldest else None
    return max(since, first) if since and first else first or since


class _Measuring:
    """The prices of sessions since a date; each session's minutes are read only while it is measured."""

    def __init__(self, app: "App", now: datetime, first: date) -> None:
        self._bars, self._now, self._first = app.bars, now, first
        self._today = app.day.date_of(now)
        # The venue is only connected to if sessions aren't stored.
        read: calendar.Venue = lambda *days: app.reader.calendar(*days)  # noqa: E731, PLW0108
        self._sessions: Sequence[Session] = [
            session for session in calendar.sessions(app.books, read, first, self._today) if session.open <= now
        ]
        self._closes: dict[str, Mapping[date, float]] = {}
        self._learn([BENCHMARK])
        self.benchmark = BENCHMARK if self._closes[BENCHMARK] else None

    def days(
        self, read: Callable[[datetime, datetime], Sequence[Found]], progress: "Progress", until: date | None
    ) -> "Iterator[tuple[SessionReturns, Sequence[Found]]]":
        """Yield each session up to a date with what is read of it, the oldest first; one without anything is left out.

        `read` returns what was recorded from one moment on and before another.
        """
        before = datetime.combine(self._first, datetime.min.time(), self._now.tzinfo)
        for index, session in enumerate(self._sessions):
            if until is not None and session.date > until:
                return
            progress(index, len(self._sessions))
            outcomes = read(before, session.close)
            before = session.close
            if outcomes:
                yield self._returns(index, list(dict.fromkeys(each.symbol for each in outcomes))), outcomes

    def _returns(self, index: int, symbols: Sequence[str]) -> "SessionReturns":
        self._learn([symbol for symbol in symbols if symbol not in self._closes])
        names = [*symbols, *([self.benchmark] if self.benchmark else [])]
        day = self._sessions[index].date
        minutes = self._bars.between("1Min", names, day, day, self._now)
        until = self._bars.known_until(self._now)
        return SessionReturns(self._sessions[index:], minutes, self._closes, until, self.benchmark)

    def _learn(self, symbols: Sequence[str]) -> None:
        if symbols:
            bars = self._bars.between(DAY, symbols, self._first, self._today, self._now)
            self._closes |= {symbol: closes_of(bars[symbol]) if symbol in bars else {} for symbol in symbols}


DOT = "·"


def render(out: "Console", data: "Outcomes") -> None:
    """Print each strategy's tables, and what its gates' refusals cost or saved."""
    if not data.strategies:
        out.print(f"No recorded candidate can be measured at {when(data.at, MINUTE)}.")
        out.print("Next: tradebot score, during a session; then wait until returns can be measured")
        return
    net = f"net of {data.benchmark}" if data.benchmark else "gross, because SPY has no bars here"
    out.print(
        f"Returns after candidates recorded since {data.since} ({pluralize(data.sessions, 'session')}), as of "
        f"{when(data.at, MINUTE)}. They start at the open of the next minute, {net}, before costs."
    )
    for strategy in data.strategies:
        _render_strategy(out, strategy, data)
    out.print(
        "± is a 95% interval. A session counts once, because its candidates move together. A star marks more than "
        f"chance: if nothing had an effect, a table would have a star with a probability of at most {data.level:.0%}.",
        markup=False,
    )


def _render_strategy(out: "Console", outcomes: "StrategyOutcomes", data: "Outcomes") -> None:
    without = f"; {outcomes.unmeasured:,} more had no bar to enter at yet" if outcomes.unmeasured else ""
    out.print(
        f"\nStrategy {outcomes.strategy}, {pluralize(outcomes.candidates, 'scored candidate')}{without}", markup=False
    )
    out.print("Return from following the score, with each candidate sized in proportion to its score:")
    table = Table("until", number("candidates"), number("sessions"), number("return %"), sentence("meaning"))
    for each in outcomes.score:
        table.row(each.horizon, f"{each.candidates:,}", f"{each.sessions:,}", _number(each), describe_prediction(each))
    out.print(table)
    _render_rows(
        out,
        "Buying, by decile of the score (%; 3d: until the close three sessions later):",
        "scores",
        [(_span(row), row) for row in outcomes.deciles],
    )
    _render_rows(out, "Following one component (%):", "component", [(row.name, row) for row in outcomes.components])
    _render_rows(out, "Trades by the gate that refused them (%):", "gate", [(row.name, row) for row in outcomes.gates])
    out.print(data.sentences[outcomes.strategy], markup=False)


def _render_rows(out: "Console", title: str, kind: str, rows: "Sequence[tuple[str, OutcomeRow]]") -> None:
    if not rows:
        return
    out.print(title)
    table = Table(
        kind, number("candidates"), number("sessions"), *(number(_short(each.horizon)) for each in rows[0][1].horizons)
    )
    for name, row in rows:
        most = max(row.horizons, key=lambda each: each.candidates)
        table.row(escape(name), f"{most.candidates:,}", f"{most.sessions:,}", *map(_number, row.horizons))
    out.print(table)


def _span(row: "OutcomeRow") -> str:
    assert row.lowest is not None, "a decile has a lowest score"
    assert row.highest is not None, "a decile has a highest score"
    return f"{format_signed(row.lowest, 3)} to {format_signed(row.highest, 3)}"


def _short(horizon: str) -> str:
    """Return a horizon as a heading: 1h, close, 3d."""
    number, _, unit = horizon.partition(" ")
    return number + unit[:1].replace("s", "d")


def _number(measured: "MeasuredOutcome") -> str:
    if measured.mean is None:
        return DOT
    mean = format_signed(100 * measured.mean, 2)
    if measured.high is None:
        return mean
    return f"{mean} ±{100 * (measured.high - measured.mean):.2f}{'*' if measured.is_found else ''}"
