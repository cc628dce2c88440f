"""Detect look-ahead: rerun a backtest on a market that is cut off at some time, and compare everything before the cut.

A cut market has no later bar, corporate action or rate. If a decision before the cut differs, it used data that wasn't
known at the time.
"""

from __future__ import annotations

import os
import re
import sys
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager
from datetime import date, datetime
from functools import cache
from pathlib import Path
from typing import Any, cast

from msgspec import Struct

from papervenue.market.bars import Bar, BarSource
from papervenue.market.daily import DailyBars, Days
from papervenue.market.rates import Rates
from papervenue.market.sessions import Calendar
from papervenue.times import MINUTE, from_datetime, new_york
from tradebot.adapters.memory.recorder import RecordLevel
from tradebot.adapters.plugins.plugin import PluginStrategy
from tradebot.app.settings import Settings
from tradebot.lab.backtest.market import OpenedMarket
from tradebot.lab.backtest.run import BacktestRun, create_run
from tradebot.model.decision import Decision
from tradebot.model.record import CycleRecord, Job, SessionEnd
from tradebot.model.view import StrategyView, Want
from tradebot.ports.strategy import Strategy
from tradebot.timetable.sessions import slots

_CODE = (".py", ".pyc", ".so", ".pth")
_PACKAGES = (".dist-info", ".egg-info")
"""The suffixes of folders with the metadata of installed packages, which loading a strategy reads."""
_OF_PROGRAMS = (sys.prefix, sys.base_prefix, "/usr/", "/proc/", "/etc/")
_watching: list[OpenedFiles] = []


class OpenedFiles:
    """Records which files strategies open while they are watched, each with the strategy's name.

    Only files opened by Python are noticed. Plug-ins needn't be watched: they run in a separate process that can't
    access other files.
    """

    def __init__(self) -> None:
        self._found: dict[tuple[str, str], None] = {}
        self._asked = ""
        self._bystanders: frozenset[int | None] = frozenset()

    @property
    def opened_files(self) -> tuple[tuple[str, str], ...]:
        """Return which strategy opened which file, in the order of first opening."""
        return tuple(self._found)

    def __enter__(self) -> OpenedFiles:
        _listen()
        _watching.append(self)
        return self

    def __exit__(self, *_: object) -> None:
        _watching.remove(self)

    @contextmanager
    def make_strategies(self, strategies: Strategies) -> Iterator[Sequence[Strategy]]:
        """Yield newly created strategies, and record the files that they open while being loaded."""
        with ExitStack() as stack:
            with self.notice("loading"):
                fresh = stack.enter_context(strategies())
            yield fresh

    def watch(self, strategies: Sequence[Strategy], until: datetime) -> Sequence[Strategy]:
        """Wrap the strategies so that files opened while they run are recorded; plug-ins are returned unchanged.

        After `until`, in trading time, they no longer run.
        """
        return [
            strategy if isinstance(strategy, PluginStrategy) else cast("Strategy", _Watched(strategy, self, until))
            for strategy in strategies
        ]

    @contextmanager
    def notice(self, who: str) -> Iterator[None]:
        """Record the files opened inside the block under a strategy's name.

        Threads that were already running are ignored; those that the strategy starts count.
        """
        own = threading.get_ident()
        self._bystanders = frozenset(thread.ident for thread in threading.enumerate()) - {own}
        self._asked = who
        try:
            yield
        finally:
            self._asked = ""

    def note_opened(self, path: object) -> None:
        """Record a file being opened, if a strategy is running and the file isn't part of a program."""
        if self._asked and threading.get_ident() not in self._bystanders and isinstance(path, str | bytes):
            name = os.fsdecode(path)
            of_package = os.path.dirname(name).endswith(_PACKAGES)
            if not (of_package or name.endswith(_CODE) or name.startswith(_OF_PROGRAMS)):
                self._found[self._asked, name] = None


class _Watched:
    """A strategy whose opened files are noticed; it is otherwise unchanged."""

    def __init__(self, strategy: Strategy, files: OpenedFiles, until: datetime) -> None:
        self._strategy = strategy
        self._files = files
        self._until = until

    def __getattr__(self, name: str) -> Any:
        return getattr(self._strategy, name)

    def propose(self, view: StrategyView) -> Sequence[Want] | Decision:
        if view.now > self._until:
            return ()
        with self._files.notice(self._strategy.name):
            return self._strategy.propose(view)


@cache
def _listen() -> None:
    """Watch which files Python opens from now on; such a hook can't be removed."""
    sys.addaudithook(_hook)


def _hook(event: str, arguments: tuple[object, ...]) -> None:
    if event == "open" and _watching:
        for files in _watching:
            files.note_opened(arguments[0])


class CutBars:
    """Serves another source's bars, but only those that had ended by some time."""

    def __init__(self, source: BarSource, calendar: Calendar, at_us: int) -> None:
        self._source = source
        self._calendar = calendar
        self._at_us = at_us
        self.past_minutes, self.past_days = source.past_minutes, source.past_days
        self.history_close = source.history_close
        self.history_day = source.history_day
        self.liquid = source.liquid

    def bars(self, symbol: str, index: int) -> tuple[Bar, ...]:
        """Return the bars of a symbol in a session, oldest first."""
        if self._calendar.session(index).open_us >= self._at_us:
            return ()
        return self._ended_bars(self._source.bars(symbol, index))

    def extended_hours(self, symbol: str, index: int) -> tuple[Bar, ...]:
        """Return the bars before and after a session, oldest first."""
        if self._calendar.session(index).pre_us >= self._at_us:
            return ()
        return self._ended_bars(self._source.extended_hours(symbol, index))

    def _ended_bars(self, bars: Sequence[Bar]) -> tuple[Bar, ...]:
        return tuple(bar for bar in bars if bar.end_us <= self._at_us)


def truncate_market(market: OpenedMarket, at_us: int) -> OpenedMarket:
    """Return the market without anything after a time; its whole calendar and its identity stay."""
    day = new_york(at_us).date().isoformat()
    days = [rate_day for rate_day in market.rates.days if rate_day <= day]
    return market._replace(
        source=_cut_days(market, market.days, at_us) if market.days else CutBars(market.source, market.calendar, at_us),
        actions=tuple(action for action in market.actions if min(action.declared_us, action.at_us) <= at_us),
        rates=Rates(tuple(days), market.rates.rates[: len(days)]),
    )


def _cut_days(market: OpenedMarket, source: DailyBars, at_us: int) -> DailyBars:
    """Return daily bars up to a time; of an unfinished session, only what was visible by then."""
    calendar = market.calendar
    over = sum(session.close_us <= at_us for session in calendar.all)
    begun = over < len(calendar.all) and calendar.all[over].open_us + MINUTE <= at_us
    whole = source.known_after_us is not None
    days_by_symbol = {symbol: source.days(symbol) for symbol in market.symbols}
    by_symbol = {
        symbol: _until(days, over, begun=begun, whole=whole)
        for symbol, days in days_by_symbol.items()
        if days is not None
    }
    return DailyBars(by_symbol, calendar, market.spec.day_prices)


def _until(days: Days, over: int, *, begun: bool, whole: bool) -> Days:
    """Return a symbol's days before an index, and of the day at the index its open, or all of it with `whole`."""
    count = sum(index < over for index in days.places)
    row = days.row(over) if begun else None
    if row is None:
        return Days(*(column[:count] for column in days))
    shown = Days(*(column[: row + 1] for column in days))
    if not whole:
        for column in (shown.high, shown.low, shown.close):
            column[row] = shown.open[row]
    return shown


MARKET = "the market"
WITHOUT = "without the bars, dividends, splits and rates that came later"
UNCUT = "the content of a file can't be cut off at a time"

Strategies = Callable[[], AbstractContextManager[Sequence["Strategy"]]]
"""Yields newly created strategies without state from another run."""


class LookaheadDifference(Struct, frozen=True):
    """The first difference between two runs, when it was decided or happened (in trading time), and the strategy that
    decided it.

    `known` describes what happened in the whole market, and `unknown` what happened in the market that was cut off at
    `cut_at`. If the difference wasn't found by cutting, `cut_at` is None.
    """

    strategy: str
    what: str
    at: datetime
    known: str
    unknown: str
    cut_at: datetime | None


class LookaheadResult(Struct, frozen=True):
    """The result of a check for look-ahead.

    The market was cut off at `cuts` of the `of_cuts` possible times. `compared` counts the decisions, orders, fills and
    session ends that were compared. `tried` describes what was changed after a cut.
    """

    cuts: int
    of_cuts: int
    compared: int
    tried: str
    peeks: tuple[LookaheadDifference, ...]


def cutoff_times(run: BacktestRun) -> tuple[datetime, ...]:
    """Return the possible cutoff times: each decision of a run, and the last entry slot of each session."""
    decided = {cycle.at for cycle in run.made.facts.cycles(job=Job.TRADE_ONCE) if cycle.candidates}
    times = run.plan.settings.timetable[Job.TRADE_ONCE]
    entries = (slots(Job.TRADE_ONCE, times, session) for session in run.made.sessions)
    last = (of_one[-1].start for of_one in entries if of_one)
    return tuple(sorted(decided | {*last} | {run.made.sessions[0].open}))


def spread_evenly(moments: Sequence[datetime], count: int) -> Sequence[datetime]:
    """Select times spread as evenly as possible, including the last one; return all times if there are few."""
    if count >= len(moments):
        return moments
    return [moments[(index + 1) * len(moments) // count - 1] for index in range(count)]


def check(
    run: BacktestRun, market: OpenedMarket, strategies: Strategies, cuts: int, watch: Callable[[int, int], None]
) -> LookaheadResult:
    """Compare a run with reruns on cut-off markets, until a difference is found.

    The run must be complete, with every decision recorded.
    """
    assert run.plan.level is RecordLevel.FULL, "decisions are compared, so they must have been recorded"
    possible = cutoff_times(run)
    chosen, compared, peeks = spread_evenly(possible, cuts), 0, [*_of_the_market(run)]
    done = 0
    with OpenedFiles() as files:
        for done, at in enumerate(chosen, 1):
            with ExitStack() as stack:
                fresh = stack.enter_context(files.make_strategies(strategies))
                again = create_run(
                    run.plan, files.watch(fresh, at), truncate_market(market, from_datetime(at)), flow_from=market
                )
                while again.made.now() < at and not again.is_complete:
                    again.step()
            whole, part = known_until(run, at), known_until(again, at)
            compared += len(whole)
            watch(done, len(chosen))
            if whole != part:
                peeks.append(first_difference(whole, part, at))
                break
    return LookaheadResult(done, len(possible), compared, WITHOUT, (*peeks, *files_opened(files, run)))


def files_opened(files: OpenedFiles, run: BacktestRun) -> Iterator[LookaheadDifference]:
    """Yield files that strategies opened in a run and whose content may be from the future, and declared files with
    later dates.
    """
    first = run.made.sessions[0]
    for who, name in files.opened_files:
        yield LookaheadDifference(who, f"file {name}", first.open, "the strategy opens the file", UNCUT, None)
    for who, name, last in files_reaching_into(run.plan.settings, first.date):
        yield LookaheadDifference(who, f"file {name}", first.open, f"its dates reach to {last}", UNCUT, None)


def _of_the_market(run: BacktestRun) -> Iterator[LookaheadDifference]:
    """Yield what the market itself shows too early."""
    if run.plan.spec.day_prices == "close" and run.plan.spec.source == "daily":
        at = run.made.sessions[0].open
        yield LookaheadDifference(
            MARKET, "day_prices: close", at, "the close is shown after the first minute", "it isn't known", None
        )


Fact = tuple["datetime", str, str, str]
"""The time, type, identity and origin of an event."""


def known_until(run: BacktestRun, until: datetime) -> Mapping[Fact, str]:
    """Return a run's decisions and actions up to a moment, in order of time."""
    facts = dict(_facts_decided(run, until)) | dict(_facts_done(run, until)) | dict(_facts_of_ends(run.ends, until))
    return {fact: facts[fact] for fact in sorted(facts)}


def _facts_decided(run: BacktestRun, until: datetime) -> Iterator[tuple[Fact, str]]:
    for job in (Job.TRADE_ONCE, Job.EVALUATE_EXITS):
        for cycle in run.made.facts.cycles(job=job):
            if cycle.at <= until:
                yield from _of_pass(cycle)


def _of_pass(cycle: CycleRecord) -> Iterator[tuple[Fact, str]]:
    for index, record in enumerate(cycle.candidates):
        yield (cycle.at, "decision", f"{record.candidate.symbol} {index}", record.candidate.strategy), repr(record)
    for index, refusal in enumerate(cycle.refused_strategies):
        yield (cycle.at, "decision", f"{refusal.symbol or ''} refused {index}", refusal.strategy), repr(refusal)


def _facts_done(run: BacktestRun, until: datetime) -> Iterator[tuple[Fact, str]]:
    ledger = run.made.ledger
    for record in ledger.intents():
        intent = record.intent
        if intent.at <= until:
            yield (intent.at, "order", intent.client_order_id, intent.key.strategy), repr(intent)
    for owned in ledger.fills():
        if owned.fill.at <= until:
            yield (owned.fill.at, "fill", owned.fill.activity_id, owned.strategy), repr(owned.fill)


def _facts_of_ends(ends: Sequence[SessionEnd], until: datetime) -> Iterator[tuple[Fact, str]]:
    for end in ends:
        if end.equity_at is not None and end.equity_at <= until:
            yield (end.equity_at, "equity", end.session.isoformat(), "the account"), f"{end.equity:f} USD"


def first_difference(
    whole: Mapping[Fact, str], part: Mapping[Fact, str], cut_at: datetime | None
) -> LookaheadDifference:
    """Return the first difference; of several at the same moment, a decision comes before its consequences."""
    order = ("decision", "order", "fill", "equity")
    differing = [fact for fact in {**whole, **part} if whole.get(fact) != part.get(fact)]
    at, what, which, strategy = min(differing, key=lambda fact: (fact[0], order.index(fact[1]), fact))
    value, unknown = (side.get((at, what, which, strategy), "nothing") for side in (whole, part))
    return LookaheadDifference(strategy, f"{what} {which}", at, value, unknown, cut_at)


DATE = re.compile(rb"(?<![\d.])((?:19|20)\d\d)([-/]?)(0[1-9]|1[0-2])\2(0[1-9]|[12]\d|3[01])(?![\d.])")
"""Dates as 2026-11-16, 2026/11/16 or 20261116, but not digits of a longer number."""
CHUNK = 1 << 20
LONGEST = 10
"""The most characters of a date that may be cut off at a chunk's end."""


def files_reaching_into(settings: Settings, first: date) -> Iterator[tuple[str, str, date]]:
    """Yield the declared files that have a date in or after the first session: strategy, file name, and last date."""
    for name, section in settings.strategies.sections().items():
        for file in getattr(section, "files", None) or ():
            last = last_date(Path(file))
            if last is not None and last >= first:
                yield name, file, last


def last_date(file: Path) -> date | None:
    """Return the last date in a file's text; None if there is no date, or the file can't be read."""
    last, before = None, b""
    try:
        with file.open("rb") as opened:
            while chunk := opened.read(CHUNK):
                for year, _, month, day in DATE.findall(before + chunk):
                    latest = _date(int(year), int(month), int(day))
                    last = max(filter(None, (last, latest)), default=None)
                before = chunk[-LONGEST:]
    except OSError:
        return None
    return last


def _date(year: int, month: int, day: int) -> date | None:
    try:
        return date(year, month, day)
    except ValueError:
        return None
