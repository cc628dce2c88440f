"""Run a backtest to its end, or store the finished part when it is stopped."""

import os
import sys
import time
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from datetime import date
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from msgspec import Struct, to_builtins
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from commands.backtest.options import PlannedBacktest, plan_backtest
from commands.backtest.run_options import BacktestOptions, RunOptions
from commands.shared.error_boundary import TerminatedError
from commands.shared.light_helpers import note
from commands.shared.verb_options import console, jsonable
from tradebot.adapters.ledger.deferred_signals import DeferredSignals
from tradebot.adapters.memory.recorder import RecordLevel
from tradebot.adapters.state.evidence import Trial
from tradebot.app.baseline import to_json_form
from tradebot.desk.want_validation import OWN_REASONS
from tradebot.errors import ExitCode, OperatorError, TradebotError
from tradebot.lab.backtest.assumptions import Assumption, assumptions
from tradebot.lab.backtest.identity import FINGERPRINT_CHARACTERS, RunIdentity, identity_of
from tradebot.lab.backtest.results import Results
from tradebot.lab.backtest.run import BacktestRun, bars_in, create_run, dump_checkpoint, unpack
from tradebot.lab.backtest.setup import USUAL, MissingBars, loaded_strategies, missing_bars
from tradebot.lab.performance.backtest_result import AnswersRefused, BacktestResult, Targets, backtest_result, targets
from tradebot.lab.performance.returns import sessions_per_year
from tradebot.model.event import EventKind
from tradebot.model.position import Key
from tradebot.model.record import Job
from tradebot.model.sentences import pluralize
from tradebot.model.struct_tools import replace
from tradebot.ports.strategy import Strategy
from tradebot.views.trades.history import rolled_positions_of
from tradebot.views.trades.lots import trades

if TYPE_CHECKING:
    from pathlib import Path


SCHEMA = 1
"""The version of result.json."""


class Finished(Struct, frozen=True):
    """A run that has ended or was stopped, with its inputs, and how many of its sessions an earlier process ran."""

    name: str
    planned: "PlannedBacktest"
    run: "BacktestRun"
    identity: "RunIdentity"
    assumptions: "tuple[Assumption, ...]"
    waits: "tuple[MissingBars, ...]"
    done_before: int
    elapsed_s: float


def result_of(run: "BacktestRun") -> "BacktestResult":
    ledger = run.made.ledger
    return backtest_result(
        ledger.opening_cash(),
        run.ends,
        ledger.fills(),
        ledger.cash_movements(),
        ledger.trading_states(),
        _targets(run),
        _refused_answers(run),
        year=sessions_per_year(run.plan.settings.day),
        moved=_rolled_positions(run),
    )


def _rolled_positions(run: "BacktestRun") -> "Collection[Key]":
    """Return the positions that were rolled into the next contract."""
    ledger = run.made.ledger
    why = {intent.intent.client_order_id: intent.intent.why for intent in ledger.intents()}
    reasons = {order.venue_id: why.get(order.client_order_id) or "" for order in ledger.orders()}
    closed = ((trade, [reasons.get(name, "") for name in trade.exit_orders]) for trade in trades(ledger.fills()))
    return rolled_positions_of(closed, run.plan.settings.day)


def _targets(run: "BacktestRun") -> "Targets | None":
    if run.plan.level is not RecordLevel.FULL:
        return None
    filled = {order.client_order_id: order.filled_quantity for order in run.made.ledger.orders()}
    return targets(run.made.facts.cycles(job=Job.TRADE_ONCE), filled, run.made.world.rules)


def _refused_answers(run: "BacktestRun") -> "Iterable[AnswersRefused]":
    """Return strategies' refused answers, each once, without candidates that they declined themselves."""
    kind, by_strategy = EventKind.PROPOSAL_REFUSED, dict[tuple[str, str], AnswersRefused]()
    for event in run.made.events.emitted:
        if (event.subsystem, event.event_type) == (kind.subsystem, kind.event_type):
            strategy, reason, why = (event.details[name] for name in ("strategy", "reason", "observed"))
            if reason not in OWN_REASONS:
                by_strategy.setdefault((strategy, reason), AnswersRefused(strategy, event.timestamp, reason, why))
    return by_strategy.values()


def document_of(finished: Finished) -> dict[str, Any]:
    """Return the document stored with a run's books; equal inputs give equal bytes."""
    return {
        "schema": SCHEMA,
        "identity": to_json_form(to_builtins(finished.identity, builtin_types=(Decimal,))),
        "complete": finished.run.is_complete,
        "assumptions": jsonable(finished.assumptions),
        # It changes no result, only which passes there are, so it isn't part of the identity.
        **({"every_pass": True} if finished.run.plan.every_pass else {}),
        "result": jsonable(result_of(finished.run)),
    }


def trials_of(finished: Finished) -> "Sequence[Trial]":
    """Return the trials of a complete run; an incomplete run counts as no trial."""
    if not finished.run.is_complete:
        return ()
    result, played = result_of(finished.run), finished.identity
    code = {name: code.digest for name, code in played.code.items()}
    return [
        Trial(strategy.name, played.trial, finished.name, result.sessions, result.sharpe, code.get(strategy.name, ""))
        for strategy in finished.run.made.world.strategies
    ]


Told = Callable[[int, int, int], None]
"""Receives the number of finished sessions, of all sessions, and of bars in the finished ones."""


@contextmanager
def progress(what: str, done_before: int, bars_before: int) -> Iterator[Told]:
    """Yield a callback that draws a progress bar on stderr if it is a terminal, and otherwise does nothing.

    The rate counts only what this process has run.
    """
    if not sys.stderr.isatty():
        yield lambda done, total, bars: None
        return
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TextColumn("{task.fields[rate]}"))
    started = time.monotonic()
    with Progress(*columns, TimeRemainingColumn(), console=console(err=True), transient=True) as drawn:
        task = drawn.add_task(what, total=None, rate="")

        def tell(done: int, total: int, bars: int) -> None:
            rate = rate_of(done - done_before, bars - bars_before, time.monotonic() - started)
            drawn.update(task, completed=done, total=total, rate=rate)

        yield tell


def rate_of(sessions: int, bars: int, elapsed_s: float) -> str:
    if elapsed_s <= 0:
        return ""
    return f"{sessions / elapsed_s:,.1f} sessions/s, {bars / elapsed_s:,.0f} bars/s"


CHECKPOINT_S = 15.0
"""How often an unfinished run is saved, in case the process is killed."""
MOST_SHARE = 0.03
"""The largest fraction of the elapsed time that may be spent on saving unfinished runs."""


@contextmanager
def load_strategies(planned: PlannedBacktest, *, prove_all: bool = False) -> "Iterator[Sequence[Strategy]]":
    with loaded_strategies(planned.plan.settings, planned.folder, os.environ, prove_all=prove_all) as strategies:
        yield strategies


@contextmanager
def play(wish: BacktestOptions, how: RunOptions) -> "Iterator[tuple[Finished, Results]]":
    """Run the backtest that the options describe, store it, and yield it with its results.

    Other processes are locked out meanwhile.

    Raises TradebotError with the code of the signal if it was stopped; the finished part is stored. A finished run
    whose variants weren't all run can still be resumed.
    """
    plan, waiting = plan_from_first_ready_day(wish)
    if plan.plan.spec.venue.dialect != USUAL:
        _require_served(wish)
    identity, results = identity_of(plan.plan), Results(plan.folder)
    name = (
        how.name
        or f"{'-'.join(plan.plan.settings.strategies.in_use())[:40]}-{identity.fingerprint[:FINGERPRINT_CHARACTERS]}"
    )
    # Refuse a taken name at once, and check it again once nobody else plays a run with this name.
    results.refuse_taken(name, force=how.force, resume=how.resume)
    with results.alone(name):
        results.refuse_taken(name, force=how.force, resume=how.resume)
        yield _play_backtest(name, plan, identity, waiting, results, how), results


def _require_served(wish: BacktestOptions) -> None:
    """Raise OperatorError for options that only the default venue's engine supports."""
    options = {
        "--equity-at": wish.equity_at != "market",
        "--margin": wish.margin != "reg_t",
        "--cost": bool(wish.costs),
    }
    wanted = next((option for option, is_set in options.items() if is_set), None)
    if wanted is not None:
        raise OperatorError(
            f"{wanted} works only with the default venue's engine, but this bot's venue has its own exchange",
            f"leave out {wanted}",
        )


def _play_backtest(
    name: str,
    plan: PlannedBacktest,
    identity: "RunIdentity",
    waiting: "tuple[MissingBars, ...]",
    results: "Results",
    how: RunOptions,
) -> Finished:
    with load_strategies(plan, prove_all=how.cuts is not None) as strategies, ExitStack() as closing:
        run = create_run(plan.plan, strategies, plan.market)
        closing.callback(run.made.close)
        with_flow = any(strategy.needs.facts for strategy in strategies)
        opened = plan.market
        stated = assumptions(
            plan.plan, with_flow=with_flow, unused=opened.unused, lacking=opened.lacking, assumed=opened.assumed
        )
        before = _taken_up(run, results.checkpoint(name), identity, how)
        started = time.monotonic()
        finished = Finished(name, plan, run, identity, stated, waiting, before, 0.0)
        try:
            _to_the_end(finished, results)
        except (KeyboardInterrupt, TerminatedError) as signalled:
            raise _stopped_error(finished, results, signalled) from signalled
        finished = replace(finished, elapsed_s=time.monotonic() - started)
        with DeferredSignals():
            _save(finished, results, how)
    return finished


def plan_from_first_ready_day(wish: BacktestOptions) -> "tuple[PlannedBacktest, tuple[MissingBars, ...]]":
    """Return the plan, and the strategies and symbols that lack bars on its first day.

    Without --from, the backtest starts on the first day on which each strategy has at least one symbol with all the
    bars that it needs.
    """
    plan = plan_backtest(wish)
    venue = plan.plan.spec.venue
    if venue.dialect != USUAL and not (venue.of_perpetuals and plan.plan.spec.source != "generated"):
        return plan, ()
    with load_strategies(plan) as strategies:
        waiting = missing_bars(plan.plan.settings, strategies, plan.market)
    late = [waits for waits in waiting if waits.symbol is None]
    if not late:
        return plan, waiting
    since = [waits.since for waits in late]
    days = [day for day in since if day is not None]
    last, worst = max(days, default=None), late[since.index(None)] if None in since else late[0]
    if last is not None and None not in since and wish.first is not None and venue.of_perpetuals:
        return plan, waiting
    if last is None or None in since or wish.first is not None:
        raise _too_short(worst, last if None not in since else None)
    return plan_from_first_ready_day(replace(wish, first=last))


def _too_short(waits: "MissingBars", since: date | None) -> OperatorError:
    needs = f"{waits.strategy} needs {waits.depth:,} closed bars of {waits.timeframe} before its first decision"
    if since is None:
        return OperatorError(
            f"{needs}, but the data never has that many", "give a file that begins earlier or ends later"
        )
    return OperatorError(
        f"{needs}, but the data has that many only from {since} on", f"--from {since}, or leave out --from"
    )


def _taken_up(run: "BacktestRun", checkpoint: "Path", identity: "RunIdentity", how: RunOptions) -> int:
    if not how.resume:
        return 0
    if run.made.parts is None:
        raise OperatorError(
            "--resume isn't possible at this venue: a backtest can't store the state of its exchange",
            "leave out --resume",
        )
    try:
        saved = checkpoint.read_bytes()
    except FileNotFoundError:
        note(f"note: nothing is stored for {checkpoint.stem}, so it is played from the beginning")
        return 0
    run.take_up(unpack(saved, run.made, run.driver, identity.fingerprint))
    return len(run.ends)


def _to_the_end(finished: Finished, results: "Results") -> None:
    """Play session by session. A signal waits until the session is over, so that the stored state is complete."""
    run, market = finished.run, finished.planned.market
    bars = sum(bars_in(market, index) for index in range(len(run.ends)))
    kept_at, took_s = time.monotonic(), 0.0
    with progress("playing", finished.done_before, bars) as tell:
        while not run.is_played:
            with DeferredSignals():
                run.step()
            bars += bars_in(market, len(run.ends) - 1)
            tell(len(run.ends), run.total, bars)
            if time.monotonic() - kept_at > max(CHECKPOINT_S, took_s / MOST_SHARE):
                begun = time.monotonic()
                with DeferredSignals():
                    _keep(finished, results)
                kept_at = time.monotonic()
                took_s = kept_at - begun


def _save(finished: Finished, results: "Results", how: RunOptions) -> None:
    """Compare books and exchange for the last time, and save a run, with the variants that an earlier process played.

    If variants are still to be played, the checkpoint from before that comparison is kept too, so that a stopped run
    can be resumed.
    """
    name, run = finished.name, finished.run
    if how.sensitivity:
        _keep(finished, results)
    run.step()
    variants = results.variants(name, finished.identity.fingerprint) if how.resume else ()
    results.add_trials(trials_of(finished))
    results.save(name, run, document_of(finished), variants)
    if not how.sensitivity:
        results.forget_checkpoint(name)


def _keep(finished: Finished, results: "Results") -> None:
    run = finished.run
    if run.made.parts is None:
        # State that only the exchange's own process has can't be stored.
        return
    results.keep(finished.name, dump_checkpoint(run.made, run.driver, run.ends, finished.identity.fingerprint))


def _stopped_error(finished: Finished, results: "Results", signalled: BaseException) -> TradebotError:
    run, code = finished.run, ExitCode.TERMINATED if isinstance(signalled, TerminatedError) else ExitCode.INTERRUPTED
    if not run.ends:
        return TradebotError("Stopped before the first session was over", "run the same command again", code=code)
    _keep(finished, results)
    results.save(finished.name, run, document_of(finished))
    done = f"{len(run.ends):,} of {pluralize(run.total, 'session')}, until {run.ends[-1].session}"
    resumes = results.checkpoint(finished.name).exists()
    again = (
        "to continue, run the same command with --resume"
        if resumes
        else "to repeat it, run the same command with --force"
    )
    look = f"To look at it: tradebot report --state-dir {results.folder_of(finished.name)}"
    return TradebotError(f"Stopped after {done}. Finished sessions are stored.", f"{again}. {look}", code=code)
