"""Detect look-ahead at a served venue: run strategies again with a different future.

Running such a market again for every cutoff time would take hours. So it is run only once more, and must give the same
decisions. At some times during that run, newly created strategies run twice: first with the bot's inputs, then with the
bars and quotes of an exchange whose prices are the same until then but differ later. Both times they see the bot's own
books.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from datetime import datetime, timedelta

from msgspec import Struct, field

from tradebot.adapters.memory.recorder import RecordLevel
from tradebot.desk.proposals import ask_strategy
from tradebot.desk.strategy_slots import plan_slots
from tradebot.desk.strategy_views import StrategyInputs, ViewBuilder
from tradebot.lab.backtest.lookahead import (
    MARKET,
    LookaheadDifference,
    LookaheadResult,
    OpenedFiles,
    Strategies,
    cutoff_times,
    files_opened,
    first_difference,
    known_until,
    spread_evenly,
)
from tradebot.lab.backtest.market import OpenedMarket
from tradebot.lab.backtest.run import BacktestRun, create_run
from tradebot.model.bar import StrategySlot
from tradebot.model.decision import Decision
from tradebot.model.record import Job
from tradebot.model.series import Series, width_of
from tradebot.model.venue_day import VenueDay
from tradebot.model.view import StrategyView
from tradebot.ports.strategy import Strategy
from tradebot.ports.world import World
from tradebot.timetable.job_times import JobTimes

Elsewhere = Callable[["World", "datetime"], AbstractContextManager["World"]]
"""Yields a bot's world with bars and quotes whose future after a time differs."""
NOTHING = "nothing"
OTHERS = "with different bars and quotes from there on"


class RepeatedQuestions(Struct):
    """Runs strategies twice at each of the times in `left`, oldest first, and compares the results.

    Each time is removed from `left` once it is compared, and `watch` is called after each comparison. After the first
    difference, no more strategies are run.
    """

    strategies: Strategies
    elsewhere: Elsewhere
    entries: JobTimes
    left: list[datetime]
    watch: Callable[[int, int], None] = lambda done, total: None
    done: int = 0
    compared: int = 0
    peeks: list[LookaheadDifference] = field(default_factory=list)

    def __call__(self, world: World, now: datetime) -> None:
        """Run strategies twice and compare, just before the bot's own run, if the current time is one of those in
        `left`.
        """
        if self.peeks or not self.left or self.left[0] > now:
            return
        self.left = [at for at in self.left if at > now]
        self.done += 1
        self.peeks += self._differences(world, now)
        self.watch(self.done, self.done + len(self.left))

    def _differences(self, world: World, now: datetime) -> Iterator[LookaheadDifference]:
        """Yield the first value that a view has too early, or else each strategy's first want that differs."""
        due = plan_slots(world, self.entries, now).strategies
        slots = {strategy.name: slot for strategy, slot in due}
        here = self._views(world, now, slots)
        with self.elsewhere(world, now) as other:
            there = self._views(other, now, slots)
        for name, strategy_inputs in here.items():
            early = (
                *peeked_bars(strategy_inputs.view, world.venue.day),
                *_shown_differently(strategy_inputs.view, there[name].view),
            )
            if early:
                yield early[0]
                return
        with self.strategies() as first, self.strategies() as second:
            for first_view, again in zip(first, second, strict=True):
                if first_view.name in slots:
                    answer, unknown = (
                        _answers(copy, strategy_inputs[first_view.name])
                        for copy, strategy_inputs in ((first_view, here), (again, there))
                    )
                    self.compared += len(answer)
                    yield from _first_of(first_view.name, now, answer, unknown)

    def _views(
        self, world: World, now: datetime, slots: Mapping[str, StrategySlot | None]
    ) -> Mapping[str, StrategyInputs]:
        """Return the view of each strategy that is due."""
        strategies = [strategy for strategy in world.strategies if strategy.name in slots]
        sights = ViewBuilder(world, now, strategies)
        return {strategy.name: _inputs_of(sights, strategy, slots[strategy.name]) for strategy in strategies}


def _inputs_of(sights: ViewBuilder, strategy: Strategy, slot: StrategySlot | None) -> StrategyInputs:
    return sights.of(strategy, slot=slot.name, as_of=slot.start) if slot else sights.of(strategy)


def _answers(strategy: Strategy, strategy_inputs: StrategyInputs) -> Mapping[str, str]:
    """Return a strategy's want for each symbol as text, or why the symbol was left out of its view."""
    left_out = {f"{refusal.symbol}, left out": repr(refusal.decision) for refusal in strategy_inputs.left_out}
    answer = strategy_inputs.unmet or ask_strategy(strategy, strategy_inputs.view, None)
    if isinstance(answer, Decision):
        return {"the whole answer": repr(answer), **left_out}
    return {want.symbol: f"{index}: {want!r}" for index, want in enumerate(answer)} | left_out


def _shown_differently(view: StrategyView, elsewhere: StrategyView) -> Iterator[LookaheadDifference]:
    """Yield bars and quotes in a view that differ although only the future does."""
    for key, series in view.series.items():
        if series != elsewhere.series.get(key):
            what = f"bars {series.timeframe} of {series.symbol}"
            yield LookaheadDifference(
                MARKET, what, view.now, _newest(series), _newest(elsewhere.series.get(key)), view.now
            )
    for symbol, quote in view.quotes.items():
        if quote != elsewhere.quotes.get(symbol):
            quote_text, unknown = (
                repr(strategy_view.quotes.get(symbol, NOTHING)) for strategy_view in (view, elsewhere)
            )
            yield LookaheadDifference(MARKET, f"quote of {symbol}", view.now, quote_text, unknown, view.now)


def _newest(series: Series | None) -> str:
    if not series:
        return NOTHING
    return f"{len(series)} bars, the newest from {series.start_of(-1):%Y-%m-%d %H:%M} at {series.close[-1]}"


def _first_of(
    strategy: str, at: datetime, answers: Mapping[str, str], unknown: Mapping[str, str]
) -> Iterator[LookaheadDifference]:
    for symbol in {**answers, **unknown}:
        here, there = (side.get(symbol, NOTHING) for side in (answers, unknown))
        if here != there:
            yield LookaheadDifference(strategy, f"decision {symbol}", at, here, there, at)
            return


def peeked_bars(view: StrategyView, day: VenueDay) -> Iterator[LookaheadDifference]:
    """Yield bars in a view of a round-the-clock market that hadn't ended at the view's time."""
    for series in view.series.values():
        if len(series) and (end := _end_of(series, day)) > view.now:
            what = f"bar {series.timeframe} of {series.symbol} from {series.start_of(-1):%Y-%m-%d %H:%M}"
            yield LookaheadDifference(
                MARKET, what, view.now, f"closes at {series.close[-1]}", f"ends at {end:%Y-%m-%d %H:%M}", None
            )


def _end_of(series: Series, day: VenueDay) -> datetime:
    start, width = series.start_of(-1), width_of(series.timeframe)
    return start + width if width else day.begins(day.date_of(start) + timedelta(days=1))


def check_served(
    run: BacktestRun,
    market: OpenedMarket,
    strategies: Strategies,
    cuts: int,
    watch: Callable[[int, int], None],
    elsewhere: Elsewhere,
) -> LookaheadResult:
    """Find the first decision that differs if the future differs, or in a second run on the same market.

    The run must be complete, with every decision recorded.
    """
    assert run.plan.level is RecordLevel.FULL, "decisions are compared, so they must have been recorded"
    possible = cutoff_times(run)
    chosen: Sequence[datetime] = spread_evenly(possible, cuts)
    until = chosen[-1]
    asking = RepeatedQuestions(strategies, elsewhere, run.plan.settings.timetable[Job.TRADE_ONCE], [*chosen], watch)
    with OpenedFiles() as files, files.make_strategies(strategies) as fresh:
        again = create_run(run.plan, files.watch(fresh, until), market, looks=asking)
        try:
            while again.made.now() < until and not asking.peeks and not again.is_complete:
                again.step()
            reached = min(until, again.made.now())
        finally:
            again.made.close()
    whole, part = known_until(run, reached), known_until(again, reached)
    differs = [] if whole == part else [first_difference(whole, part, None)]
    compared = asking.compared + len(whole)
    peeks = (*asking.peeks, *differs, *files_opened(files, run))
    return LookaheadResult(asking.done, len(possible), compared, OTHERS, peeks)
