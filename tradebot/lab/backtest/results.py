"""Store finished backtests: a state folder for each, and the list of all trials."""

from __future__ import annotations

import json
import os
import re
from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from shutil import rmtree
from typing import TYPE_CHECKING, Any, NamedTuple

import yaml

from papervenue.market.bars import QuickCloses
from papervenue.market.spec import FUNDS, NO_COSTS, MarketSpec
from papervenue.times import SECOND
from tradebot.adapters.bars.series import resample, series
from tradebot.adapters.memory.recorder import RecordLevel
from tradebot.adapters.state import evidence, state_folder, state_locks
from tradebot.adapters.state.evidence import BACKTEST, LAST, TRIALS, Trial, read_evidence, write_evidence
from tradebot.adapters.state.safe_open import create_draft, read_plain
from tradebot.adapters.state.state_folder import BACKTESTS, cannot_write, option, write_durably
from tradebot.app.baseline import effective
from tradebot.auditing.bar_findings import RawBar
from tradebot.errors import OperatorError, word
from tradebot.lab.backtest import save_run
from tradebot.lab.backtest.bars import EngineBars
from tradebot.lab.backtest.engine_conversion import session_of
from tradebot.lab.backtest.market import OpenedMarket, open_market_in_memory
from tradebot.lab.backtest.setup import USUAL, engine_of
from tradebot.lab.performance.curve import BenchmarkPrices, entry_cost, held_in_equal_parts
from tradebot.model.evidence import BacktestRefusals, DatedRate, DayPrice, Evidence, Trials, Unrecorded, Variant
from tradebot.model.reasons import Reason
from tradebot.model.series import DAY, Series, width_of
from tradebot.model.struct_tools import replace
from tradebot.model.view import BarNeed

if TYPE_CHECKING:
    from tradebot.lab.backtest.run import BacktestRun
    from tradebot.model.bar import Session
    from tradebot.ports.stores import Bars


BENCHMARK = "SPY"
NOON = timedelta(hours=12)


class KeptBenchmark(NamedTuple):
    """The benchmark's daily prices, or a sentence that says why there are none."""

    prices: tuple[DayPrice, ...]
    problem: str = ""
    name: str = ""
    how: str = ""


def benchmark_of(run: BacktestRun) -> KeptBenchmark:
    """Return the benchmark's prices up to now, adjusted for splits and dividends until then.

    If the benchmark's symbol isn't part of the run, its prices are read from the file of daily bars, if any. At a venue
    without funds, the benchmark is the universe in equal parts.
    """
    if run.plan.spec.venue.dialect != USUAL:
        return _buy_and_hold(run)
    try:
        bars = run.made.world.bars if BENCHMARK in run.market.symbols else _elsewhere(run.plan.spec)
    except OperatorError:
        return KeptBenchmark((), f"{BENCHMARK} isn't shown: the file that was played has no bars of it.")
    if bars is None:
        return KeptBenchmark((), f"{BENCHMARK} isn't shown: it isn't in the universe that was played.")
    return _read(bars, run)


def _buy_and_hold(run: BacktestRun) -> KeptBenchmark:
    settings, prices = run.plan.settings, daily_prices(run.market, run.made.now(), run.made.world.rules.universe)
    first = min((day for each in prices.values() for day in each.opens), default=None)
    cost = entry_cost(map(settings.costs_of, settings.strategies.in_use()))
    basket = held_in_equal_parts(prices, first, cost) if first else None
    if basket is None:
        return KeptBenchmark((), "Holding the universe isn't shown: no session was played to its end.")
    days, before = sorted(basket.closes), 1.0
    day_prices = list[DayPrice]()
    for day in days:
        day_prices.append(DayPrice(day, before, basket.closes[day]))
        before = basket.closes[day]
    return KeptBenchmark(tuple(day_prices), name=basket.symbol, how=basket.how)


def _elsewhere(spec: MarketSpec) -> Bars | None:
    """Return the benchmark's bars from a file of daily bars; None for any other market."""
    return bars_of(replace(spec, symbols=(BENCHMARK,))) if spec.source == "daily" else None


def bars_of(spec: MarketSpec) -> Bars:
    """Return the bars of a market, built from its specification; raise OperatorError if its files can't be used."""
    if spec.venue.dialect != USUAL:
        return PlayedBars(open_market_in_memory(spec))
    opened = open_market_in_memory(replace(spec, costs=NO_COSTS))
    return EngineBars(engine_of(opened, opened.spec), opened.days)


def _read(bars: Bars, run: BacktestRun) -> KeptBenchmark:
    # One session more, so that the first one has a predecessor.
    need = BarNeed(DAY, len(run.ends) + 1)
    series = bars.closed(need, [BENCHMARK], run.made.now()).get(BENCHMARK)
    if series is None:
        return KeptBenchmark((), f"{BENCHMARK} isn't shown: it has no bars in these sessions.")
    # A daily bar's date is the same everywhere half a day after its start, the exchange's midnight.
    days = [(datetime.fromtimestamp(start, UTC) + NOON).date() for start in series.starts]
    return KeptBenchmark(tuple(map(DayPrice, days, series.open, series.close)))


RESULT = "result.json"
CHECKPOINT = ".checkpoint"
DRAFT = ".draft"
LOCK = ".lock"
NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,59}")
_BY = "backtest"


class Results:
    """The finished backtests of a state folder; the folder needn't have a bot."""

    def __init__(self, state: Path) -> None:
        self.folder = state / BACKTESTS

    def folder_of(self, name: str) -> Path:
        """Return the folder of a run; raise OperatorError for an invalid name."""
        if not NAME.fullmatch(name) or name.endswith((CHECKPOINT, DRAFT, LOCK)) or name in (TRIALS, LAST):
            raise OperatorError(
                f"a run can't be called {word(name)}", "use letters, digits, dots, dashes and underscores"
            )
        return self.folder / name

    def checkpoint(self, name: str) -> Path:
        return self.folder / f"{name}{CHECKPOINT}"

    @contextmanager
    def alone(self, name: str) -> Iterator[None]:
        """Lock the run of this name; raise TradebotError(ANOTHER_INSTANCE) if another process holds the lock."""
        self.prepare()
        # Report an edited list before hours of work, not after.
        evidence.load_trial_list(self.folder)
        own = f"{name}{LOCK}"
        with state_locks.hold(self.folder, "backtest", 0.0, own):
            try:
                yield
            finally:
                # A process that has opened this file meanwhile finds it gone, and creates another one.
                (self.folder / own).unlink(missing_ok=True)

    def keep(self, name: str, checkpoint: bytes) -> None:
        self.prepare()
        try:
            draft, descriptor = create_draft(self.checkpoint(name))
            with os.fdopen(descriptor, "wb") as file:
                file.write(checkpoint)
            draft.replace(self.checkpoint(name))
        except OSError as error:
            raise cannot_write(self.folder, error) from error

    def forget_checkpoint(self, name: str) -> None:
        self.checkpoint(name).unlink(missing_ok=True)

    def refuse_taken(self, name: str, *, force: bool, resume: bool) -> None:
        """Raise OperatorError if a run with this name exists, or if anything else is at its path.

        With `force`, any existing run is accepted; with `resume`, only a stopped one.
        """
        path = self.folder_of(name)
        if not os.path.lexists(path):
            return
        if not _is_run(path):
            raise OperatorError(f"{path} already exists, and isn't a backtest", "give another --name")
        if force or (resume and self.checkpoint(name).exists()):
            return
        if self.checkpoint(name).exists():
            raise OperatorError(
                f"{path} holds a run that was stopped", "add --resume to continue, or --force to start over"
            )
        raise OperatorError(
            f"{path} already has this run",
            f"tradebot report {option(path)}, or add --force to play it again, or give another --name",
        )

    def save(self, name: str, run: BacktestRun, document: Mapping[str, Any], variants: Sequence[Variant] = ()) -> Path:
        """Write a run to its folder, replacing an earlier run of the same name; return the folder.

        `document` describes inputs and results, and `variants` are the finished variants. The folder appears completely
        or not at all.
        """
        path, draft = self.folder_of(name), self.folder / f"{name}{DRAFT}"
        self.prepare()
        setup, settings = run.made, run.plan.settings
        finished = save_run.FinishedRun(setup.ledger, setup.facts, setup.events.emitted, setup.now())
        try:
            rmtree(draft, ignore_errors=True)
            save_run.save(draft, finished, settings, _configuration(run), _BY)
            write_evidence(draft, replace(self._evidence(run), variants=tuple(variants)))
            write_durably(draft / RESULT, json.dumps(document, indent=1, sort_keys=True) + "\n")
            if _is_run(path):
                rmtree(path)
            draft.rename(path)
            state_folder.sync_folder(self.folder)
        except OSError as error:
            raise cannot_write(self.folder, error) from error
        return path

    def _evidence(self, run: BacktestRun) -> Evidence:
        """Return the data that a report of the run shows besides its books: the trials so far, and interest rates."""
        tried = {trial.digest: trial for strategy in run.made.world.strategies for trial in self.trials(strategy.name)}
        sharpes = tuple(trial.sharpe for trial in tried.values() if trial.sharpe is not None)
        rates, costs = run.market.rates, run.plan.spec.costs
        dated = zip(rates.days, rates.rates, strict=True)
        benchmark = benchmark_of(run)
        return Evidence(
            trials=Trials(len(tried), sharpes) if tried else None,
            cash_rates=tuple(DatedRate(date.fromisoformat(day), float(rate)) for day, rate in dated),
            borrowing_spread=float(costs.margin_spread) if costs.margin_rate == FUNDS else 0.0,
            borrowing_yearly=None if costs.margin_rate == FUNDS else float(costs.margin_rate),
            benchmark=benchmark.prices,
            no_benchmark=benchmark.problem,
            benchmark_name=benchmark.name,
            benchmark_how=benchmark.how,
            last_prices=last_prices(run.market, run.made.now()) if run.plan.spec.venue.dialect != USUAL else {},
            unrecorded=_unrecorded_counts(run),
        )

    def variants(self, name: str, fingerprint: str) -> Sequence[Variant]:
        """Return the finished variants of a run; none if the run with this name has another fingerprint."""
        path = self.folder_of(name)
        result = read_result(path) or {}
        return read_evidence(path).variants if result.get("identity", {}).get("fingerprint") == fingerprint else ()

    def add_variants(self, name: str, variants: Sequence[Variant]) -> None:
        """Store the finished variants of a run."""
        path = self.folder_of(name)
        write_evidence(path, replace(read_evidence(path), variants=tuple(variants)))

    def prepare(self) -> None:
        try:
            if not self.folder.is_dir():
                state_folder.make_folder(self.folder)
        except OSError as error:
            raise cannot_write(self.folder.parent, error) from error

    def add_trials(self, added: Sequence[Trial]) -> None:
        """Record trials, so that they count even if their folders are deleted later."""
        self.prepare()
        evidence.append_trials(self.folder, added)

    def trials(self, strategy: str, codes: Collection[str] = ()) -> Sequence[Trial]:
        """Return the last run of each trial of a strategy's code, under whatever name the code was tried.

        Raise OperatorError if the list was edited.
        """
        return evidence.trials_of(evidence.load_trial_list(self.folder) or (), {strategy}, codes)


def _unrecorded_counts(run: BacktestRun) -> Unrecorded | None:
    if run.plan.level is RecordLevel.FULL:
        return None
    counts = sum(map(Counter, run.made.facts.ended_for().values()), Counter[Reason | None]())
    refused = ((reason, count) for reason, count in counts.most_common() if reason is not None)
    return Unrecorded(run.plan.level.value, tuple(BacktestRefusals(reason.value, count) for reason, count in refused))


def read_result(folder: Path) -> Mapping[str, Any] | None:
    """Return the inputs and results of a finished backtest; None if the folder isn't one."""
    try:
        document = json.loads(read_plain(folder / RESULT))
    except (FileNotFoundError, NotADirectoryError):
        return None
    except (OSError, ValueError) as error:
        raise OperatorError(f"{folder / RESULT} can't be read: {error}", "play the backtest again") from error
    return document if isinstance(document, dict) else None


def _is_run(path: Path) -> bool:
    return state_folder.has_marker(path) and state_folder.read_marker(path).kind == BACKTEST


def _configuration(run: BacktestRun) -> str:
    """Return a run's settings as a complete configuration file, without those that are null."""
    settings = {name: value for name, value in effective(run.plan.settings).items() if name != "mode"}
    text = yaml.safe_dump(settings, sort_keys=False, default_flow_style=None, width=120)
    return f"# The complete settings of this backtest.\n{text}"


class PlayedBars:
    """Serves bars for trades in the run's sessions; there are no earlier bars.

    Its instruments have no splits and no dividends, so adjusted bars are the same.
    """

    def __init__(self, opened: OpenedMarket) -> None:
        self._market = opened.market()
        self._grids = opened.grids

    def closed(self, need: BarNeed, symbols: Sequence[str], until: datetime) -> Mapping[str, Series]:
        """Return the last `need.depth` bars of each symbol that were complete at `until`, oldest first."""
        width, end_s = width_of(need.timeframe), int(until.timestamp())
        prices = {}
        for symbol in self._grids.keys() & set(symbols):
            hours = [session_of(session) for session in self._market.calendars[symbol].market]
            width_s = max(int((width or hour.close - hour.open).total_seconds()) for hour in hours)
            minutes = list(self._minutes(symbol, hours, until))
            bars = list(resample(minutes, hours, width_s, end_s))[-need.depth :]
            if bars:
                prices[symbol] = series(symbol, need.timeframe, bars, adjusted=need.adjusted)
        return prices

    def _minutes(self, symbol: str, hours: Sequence[Session], until: datetime) -> Iterator[RawBar]:
        usd, begun = self._grids[symbol].usd, [index for index, session in enumerate(hours) if session.open < until]
        for index in begun:
            for bar in self._market.day(symbol, index).bars:
                opening, high, low, close = (float(usd(units)) for units in (bar.open, bar.high, bar.low, bar.close))
                yield RawBar(bar.start_us // SECOND, opening, high, low, close, float(bar.volume))


def daily_prices(opened: OpenedMarket, until: datetime, symbols: Sequence[str]) -> Mapping[str, BenchmarkPrices]:
    """Return the opens and closes of these symbols in the sessions that had ended by `until`.

    In a market that never closes, a session opens at the close of the previous one.
    """
    prices = {}
    for symbol in (grid for grid in opened.grids if grid in symbols):
        usd, begins = opened.grids[symbol].usd, opened.source.history_close(symbol, 1)
        closes = {
            day: float(usd(units)) for day, units in _closes(opened, symbol, _ended_sessions(opened, symbol, until))
        }
        opens = [*closes.values()] if begins is None else [float(usd(begins)), *closes.values()]
        if opens:
            prices[symbol] = BenchmarkPrices(symbol, closes, dict(zip(closes, opens, strict=False)))
    return prices


def _closes(opened: OpenedMarket, symbol: str, places: Iterable[int]) -> Iterator[tuple[date, int]]:
    """Yield date and close, in units, of each of these sessions in which a symbol has one."""
    source, market = opened.source, opened.market()
    sessions, last_us = market.calendars[symbol].market, market.grids[symbol].last_us
    for index in places:
        session = sessions[index]
        if last_us is not None and session.open_us >= last_us:
            continue
        if isinstance(source, QuickCloses) and (last_us is None or session.close_us <= last_us):
            # Generating the minutes of a session takes long.
            yield session_of(session).date, source.close(symbol, index)
        elif bars := market.day(symbol, index).bars:
            yield session_of(session).date, bars[-1].close


def _ended_sessions(opened: OpenedMarket, symbol: str, until: datetime) -> range:
    """Return the indices of a symbol's sessions that had ended by `until`."""
    return range(sum(session_of(session).close <= until for session in opened.calendar_of(symbol).market))


def last_prices(opened: OpenedMarket, until: datetime) -> Mapping[str, Decimal]:
    """Return the last closes of all symbols by `until`; empty before the first session has ended."""
    prices = {}
    for symbol, grid in opened.grids.items():
        last = next(_closes(opened, symbol, reversed(_ended_sessions(opened, symbol, until))), None)
        if last is not None:
            prices[symbol] = Decimal(str(float(grid.usd(last[1]))))
    return prices
