"""The data of `tradebot backtest`: the period, its assumptions, its results, and its limitations."""

import re
from collections import Counter
from contextlib import contextmanager
from functools import partial
from itertools import chain, repeat
from typing import TYPE_CHECKING

from msgspec import Struct
from rich.console import Console

from commands.backtest import run_backtest
from commands.backtest.run_backtest import Finished, progress, rate_of, result_of
from commands.backtest.run_options import MOST_CUTS, BacktestOptions, RunOptions
from commands.report.extended_screen import render_variants
from commands.shared.error_boundary import TerminatedError
from commands.shared.light_helpers import Identity, clean
from commands.shared.number_format import format_signed
from commands.shared.tables import Table, explains, last_folded_column, sentence
from commands.shared.times import when
from commands.shared.verb_options import Report, progress_bar
from tradebot.adapters.ledger.deferred_signals import DeferredSignals
from tradebot.adapters.state.state_folder import option
from tradebot.app.venues import driver_for
from tradebot.errors import ExitCode, TradebotError
from tradebot.lab.backtest.assumptions import Assumption
from tradebot.lab.backtest.identity import DataFile
from tradebot.lab.backtest.lookahead import LookaheadDifference, LookaheadResult, check
from tradebot.lab.backtest.results import Results
from tradebot.lab.backtest.run import BacktestPlan, BacktestRun, bars_in
from tradebot.lab.backtest.served_lookahead_check import check_served
from tradebot.lab.backtest.setup import MissingBars
from tradebot.lab.backtest.variants import PlanVariant, PlanVariants, changes_of, run_variant, variant
from tradebot.lab.performance.backtest_result import BacktestHalt, BacktestResult, what_it_cannot_know
from tradebot.lab.performance.sensitivity import Sensitivity, sensitivity
from tradebot.model.evidence import Variant
from tradebot.model.reasons import REASONS, Reason
from tradebot.model.sentences import pluralize
from tradebot.model.struct_tools import replace
from tradebot.ports.strategy import Strategy

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from pathlib import Path


class BacktestVariants(Struct, frozen=True):
    """A backtest with its variants, and sentences about those that weren't run; `table` is None without variants."""

    table: "Sensitivity | None"
    left_out: tuple[str, ...]


def run_missing_variants(finished: Finished, results: "Results") -> BacktestVariants:
    """Run the missing variants of a backtest, and store each beside its books as soon as it is done.

    Raises TradebotError with the code of the signal if it was stopped.
    """
    run = finished.run
    plan_variants = changes_of(run.plan, run.made.world.strategies)
    variants = [*results.variants(finished.name, finished.identity.fingerprint)]
    try:
        _play(finished, plan_variants, variants, results)
    except (KeyboardInterrupt, TerminatedError) as signalled:
        code = ExitCode.TERMINATED if isinstance(signalled, TerminatedError) else ExitCode.INTERRUPTED
        raise TradebotError(
            f"Stopped after {len(variants)} of {pluralize(len(plan_variants.changes), 'variant')}. The backtest and "
            "these variants are kept.",
            "to continue, run the same command with --resume. To look at them: tradebot report --state-dir "
            f"{results.folder_of(finished.name)}",
            code=code,
        ) from signalled
    results.forget_checkpoint(finished.name)
    return BacktestVariants(sensitivity(variant(run), variants), plan_variants.left_out)


def _play(finished: Finished, plan_variants: "PlanVariants", variants: "list[Variant]", results: "Results") -> None:
    """Play the other variants one by one; skip one that equals the backtest or an earlier variant."""
    plans = [change.plan for change in plan_variants.changes[: len(variants)]]
    played = [(plan_variants.played, variant(finished.run)), *zip(plans, variants, strict=True)]
    remaining = plan_variants.changes[len(variants) :]
    with _watch_progress(finished, _count(played, remaining)) as watch:
        for change in remaining:
            finished_run = next((done for plan, done in played if plan == change.plan), None)
            if finished_run is None:
                with run_backtest.load_strategies(replace(finished.planned, plan=change.plan)) as strategies:
                    finished_run = run_variant(change, strategies, finished.planned.market, watch)
                played.append((change.plan, finished_run))
            variants.append(replace(finished_run, kind=change.kind, name=change.name))
            with DeferredSignals():
                results.add_variants(finished.name, variants)


def _count(played: "Sequence[tuple[BacktestPlan, Variant]]", remaining: "Sequence[PlanVariant]") -> int:
    plans = [plan for plan, _ in played]
    for change in remaining:
        if change.plan not in plans:
            plans.append(change.plan)
    return len(plans) - len(played)


@contextmanager
def _watch_progress(finished: Finished, plays: int) -> "Iterator[Callable[[int], None]]":
    sessions, done, bars = finished.run.total, 0, 0
    with progress(f"playing {pluralize(plays, 'variant')}", 0, 0) as tell:
        tell(0, plays * sessions, 0)

        def watch(index: int) -> None:
            nonlocal done, bars
            done += 1
            bars += bars_in(finished.planned.market, index - 1)
            tell(done, plays * sessions, bars)

        yield watch


SENT = "SENT"
"""The end of an entry that was sent as an order."""


class PlayedSpan(Struct, frozen=True):
    """What a backtest ran on: the number of bars, the symbols and the strategies.

    Bars are minute bars, or daily ones from a daily file. `configuration` is the source of the settings, and `data` are
    the files of the market.
    """

    bars: int
    symbols: tuple[str, ...]
    strategies: tuple[str, ...]
    configuration: str
    data: "tuple[DataFile, ...]"


class EntryExclusion(Struct, frozen=True):
    """Why a strategy, or one of its symbols, was left out of entry passes, and in how many passes."""

    strategy: str
    reason: str
    passes: int


class Speed(Struct, frozen=True):
    """The sessions that this process ran, their elapsed time, and how many of the due passes ran.

    The other passes would have changed nothing.
    """

    sessions: int
    elapsed_s: float
    passes_due: int
    passes_ran: int


class BacktestData(Struct, frozen=True):
    """One backtest. `differences` counts the final differences between books and exchange.

    `ended` counts entry candidates by the gate that refused them, the most frequent first; under SENT it counts those
    that led to orders. With the recorder `none`, nothing is counted. `trials` is, by strategy, how many different
    settings or code versions have been tried so far, including this run. `sensitivity` compares the run with its
    variants, if requested, and `not_varied` lists in sentences the variants that weren't run.
    """

    name: str
    folder: str
    fingerprint: str
    played: PlayedSpan
    assumptions: "tuple[Assumption, ...]"
    waits: "tuple[MissingBars, ...]"
    result: "BacktestResult"
    ended: dict[str, int]
    passed_over: tuple[EntryExclusion, ...]
    differences: int
    cannot_know: tuple[str, ...]
    trials: dict[str, int]
    lookahead: "LookaheadResult | None"
    sensitivity: "Sensitivity | None"
    not_varied: tuple[str, ...]
    speed: Speed
    next_commands: tuple[str, ...]


def data_of(
    finished: "Finished",
    folder: "Path",
    trials: dict[str, int],
    checked: "LookaheadResult | None",
    varied: "BacktestVariants | None",
) -> BacktestData:
    run, result = finished.run, result_of(finished.run)
    state_option = option(folder)
    return BacktestData(
        name=finished.name,
        folder=str(folder),
        fingerprint=finished.identity.fingerprint,
        played=_played_span(finished),
        assumptions=finished.assumptions,
        waits=finished.waits,
        result=result,
        ended=_end_counts(run),
        passed_over=_passed_over(run),
        differences=run.closing or 0,
        cannot_know=what_it_cannot_know(result),
        trials=trials,
        lookahead=checked,
        sensitivity=varied.table if varied else None,
        not_varied=varied.left_out if varied else (),
        speed=Speed(
            len(run.ends) - finished.done_before, finished.elapsed_s, run.driver.count.due, run.driver.count.ran
        ),
        next_commands=(
            f"tradebot report {state_option}",
            f"tradebot trades {state_option}",
            f"tradebot compare {folder} OTHER",
        ),
    )


def _end_counts(run: "BacktestRun") -> dict[str, int]:
    counts: Counter[str] = Counter()
    for of_session in run.made.facts.ended_for().values():
        counts.update({str(reason or SENT): count for reason, count in of_session.items()})
    return dict(counts.most_common())


def _passed_over(run: "BacktestRun") -> tuple[EntryExclusion, ...]:
    counts = sorted(run.made.facts.passed_over().items(), key=lambda pair: (-pair[1], pair[0]))
    return tuple(EntryExclusion(strategy, str(reason), passes) for (strategy, reason), passes in counts)


def _played_span(finished: "Finished") -> PlayedSpan:
    run, market = finished.run, finished.planned.market
    strategies: Sequence[Strategy] = run.made.world.strategies
    return PlayedSpan(
        bars=sum(bars_in(market, index) for index in range(len(run.ends))),
        symbols=market.symbols,
        strategies=tuple(strategy.name for strategy in strategies),
        configuration=finished.planned.configuration,
        data=finished.identity.data,
    )


SHOWN_HALTS = 3
SHOWN_REASONS = 3
SHOWN_WAITS = 5
LONGEST, SHORT, NEAR = 400, 120, 40
"""How many characters of a decision are shown, below which length it is shown completely, and how many precede the
difference.
"""


def render(out: "Console", data: "BacktestData") -> None:
    _head(out, data)
    for line in (*_result(data), *_entries(data.ended)):
        out.print(f"  {line}", markup=False)
    out.print(f"  Books     {_books(data.differences)}")
    if not explains(out):
        _assumptions_in_short(out, data.assumptions)
    for line in _course(data):
        out.print(f"  {line}", markup=False)
    if explains(out):
        _assumptions(out, data.assumptions)
    _sensitivity(out, data)
    out.print("\n[bold]What this backtest can't know[/]")
    for line in (*data.cannot_know, *_trials(data.trials)):
        out.print(f"  {line}", markup=False)
    if data.lookahead:
        _lookahead(out, data.lookahead)
    out.print("\nTry next")
    for command in data.next_commands:
        out.print(f"  {command}", markup=False)


def _assumptions(out: "Console", assumptions: "Sequence[Assumption]") -> None:
    out.print("\nIt assumes")
    table = Table(last_folded_column("what"), sentence("value"), sentence("and that is"), header=False)
    for assumption in assumptions:
        remark = f"[bold red]{assumption.remark}[/]" if assumption.is_loud else assumption.remark
        table.row(f"  {assumption.name.replace('_', ' ')}", assumption.value, remark)
    out.print(table)


def _assumptions_in_short(out: "Console", assumptions: "Sequence[Assumption]") -> None:
    """Print the assumptions needed to read the result, and the names of the others."""
    for assumption in assumptions:
        if assumption.is_loud:
            out.print(f"  [bold red]{assumption.name.replace('_', ' ').capitalize()}[/]: {assumption.remark}")
    others = [each.name.replace("_", " ") for each in assumptions if each.remark and not each.is_loud]
    out.print(f"  Assumed   {', '.join(others)}; --explain shows each assumption", markup=False)


def _sensitivity(out: "Console", data: "BacktestData") -> None:
    if not data.sensitivity and not data.not_varied:
        return
    out.print()
    if data.sensitivity:
        render_variants(out, data.sensitivity)
    for line in data.not_varied:
        out.print(line, markup=False)


def _head(out: "Console", data: "BacktestData") -> None:
    played, result = data.played, data.result
    out.print(
        f"Backtest {data.name}: {result.first_session} to {result.last_session}, "
        f"{pluralize(result.sessions, 'session')}, {played.bars:,} bars of "
        f"{pluralize(len(played.symbols), 'symbol')}",
        markup=False,
    )
    for line in _waits(data.waits):
        out.print(f"Note: {line}", markup=False)


def _course(data: "BacktestData") -> "Iterator[str]":
    """Yield which strategies traded, with which settings, and how long the run took."""
    played, result, speed = data.played, data.result, data.speed
    yield f"Traded by {', '.join(played.strategies)}; settings: {clean(played.configuration)}"
    share = f"{speed.passes_ran:,} of {speed.passes_due:,} passes ran; the others would have changed nothing"
    bars = played.bars * speed.sessions // max(result.sessions, 1)
    rate = f"{speed.elapsed_s:,.1f} s: {rate_of(speed.sessions, bars, speed.elapsed_s)}"
    yield f"Took      {rate if speed.sessions else 'none, it was played before'}; {share}"


def _waits(waits: "Sequence[MissingBars]") -> "Iterator[str]":
    by_need: dict[tuple[str, int, str, bool], list[MissingBars]] = {}
    for wait in waits:
        by_need.setdefault((wait.strategy, wait.depth, wait.timeframe, wait.can_decide), []).append(wait)
    for (strategy, depth, timeframe, can_decide), late in by_need.items():
        named = [
            f"{need.symbol} from {need.since}" if need.since else f"{need.symbol} never" for need in late if need.symbol
        ]
        more = f" and {len(named) - SHOWN_WAITS} more" if len(named) > SHOWN_WAITS else ""
        verb = "looks back over" if can_decide else "needs"
        yield f"{strategy} {verb} {depth:,} bars of {timeframe}; available: {', '.join(named[:SHOWN_WAITS])}{more}"


def reasons_without_trades(data: "BacktestData") -> "Iterator[str]":
    """Yield why no order was filled, the most frequent reason first.

    If an input was missing, also yield when it becomes available.
    """
    if data.result.fills:
        return
    yield "Nothing was traded:"
    reasons = [
        *((over.reason, f"{over.strategy}, {pluralize(over.passes, 'pass', 'passes')}") for over in data.passed_over),
        *((reason, pluralize(count, "candidate")) for reason, count in data.ended.items()),
    ]
    for reason, what in reasons[:SHOWN_REASONS]:
        yield f"  {reason} ({what}): {REASONS[Reason(reason)].meaning if reason != SENT else 'no order was filled.'}"
    for late in [wait for wait in data.waits if not wait.can_decide][:SHOWN_WAITS]:
        who = late.symbol or "its first symbol"
        since = f"from {late.since} on" if late.since else "in none of these sessions"
        yield f"  {late.strategy} needs {late.depth:,} bars of {late.timeframe}; {who} has that many {since}."


def _result(data: "BacktestData") -> "Iterator[str]":
    result = data.result
    if result.targets:
        yield from map(" ".join, zip(chain(["Targets  "], repeat(9 * " ")), result.targets.said, strict=False))
    for reason in result.refused[:SHOWN_REASONS]:
        why = clean(reason.why)[:LONGEST]
        yield f"Refused   answers of {reason.strategy}; the first, on {when(reason.at)}, for {reason.reason}: {why}"
    yield from _halt_lines(result.halts)
    yield from reasons_without_trades(data)
    yearly = f" ({format_signed(100 * result.yearly_return, 2)}% a year)" if result.yearly_return is not None else ""
    change = f"{format_signed(100 * result.total_return, 2)}%{yearly}"
    yield f"Return    {change}: from {result.start_usd:,.2f} to {result.end_usd:,.2f} USD"
    fall = result.max_drawdown
    if fall is None:
        yield "Drawdown  none"
    else:
        after = f"recovered on {fall.recovered}" if fall.recovered else "not recovered"
        yield f"Drawdown  {100 * fall.depth:.2f}% from {fall.from_session} to {fall.low_session}, {after}"
    still_open = f", {result.still_open:,} open" if result.still_open else ""
    fills = f"{pluralize(result.fills, 'fill')} of {result.traded_usd:,.0f} USD"
    yield f"Trades    {result.trades:,} closed{still_open}; {fills}"
    parts = ("fees", "interest", "dividends", "funding")
    amounts = ((name, getattr(result, f"{name}_usd")) for name in parts)
    text = ", ".join(f"{name} {amount:+,.2f}" for name, amount in amounts if amount)
    yield f"Cash      {f'{text} USD' if text else 'no fees, interest or dividends'}"


def _halt_lines(halts: "Sequence[BacktestHalt]") -> "Iterator[str]":
    for halt in halts[:SHOWN_HALTS]:
        until = f", until a person ended it on {when(halt.ended)}" if halt.ended else ""
        yield f"Halted    {when(halt.at)}: {halt.why}{until}"
    if len(halts) > SHOWN_HALTS:
        yield f"          and {pluralize(len(halts) - SHOWN_HALTS, 'more halt', 'more halts')}"
    if halts and halts[-1].ended is None:
        yield "          The halt was never ended, so no position was opened after it."
        loosen = "".join(f"loosen {' and '.join(names)}, or " for names in [halts[-1].settings] if names)
        yield (
            f"          To continue after it: {loosen}let the backtest end it after some sessions "
            "(backtest.unhalt_after_sessions)."
        )


def _entries(ended: "dict[str, int]") -> "Iterator[str]":
    if not ended:
        return
    refused = [f"{count:,} {reason}" for reason, count in ended.items() if reason != SENT]
    most = f"; refused most often: {', '.join(refused[:SHOWN_REASONS])}" if refused else ""
    yield f"Entries   {sum(ended.values()):,} candidates, {ended.get(SENT, 0):,} sent{most}"


def _books(differences: int) -> str:
    if differences:
        return f"[bold red]the books and the exchange differ in {pluralize(differences, 'place')}[/]"
    return "[green]the ledger and the exchange's account agree to the cent[/]"


def _trials(trials: "dict[str, int]") -> "Iterator[str]":
    counts = Counter(trials)
    for strategy, count in counts.items():
        if count > 1:
            yield (
                f"{strategy} has been tried with {count:,} different settings or versions of its code here. The best "
                "of them may look good by luck alone."
            )


def _lookahead(out: "Console", checked: "LookaheadResult") -> None:
    out.print("\nLook-ahead")
    out.print(
        f"  Played again {checked.tried}, without later data, at {checked.cuts:,} of {checked.of_cuts:,} moments; "
        f"{checked.compared:,} decisions, orders, fills and ends of sessions compared.",
        markup=False,
    )
    for peek in checked.peeks:
        _peek(out, peek)
    if not checked.peeks:
        out.print("  [green]Nothing differs.[/] This can't detect future data in a strategy's code or files.")


def _peek(out: "Console", peek: "LookaheadDifference") -> None:
    shown_known, unknown = first_difference(clean(peek.known), clean(peek.unknown))
    out.print(f"  [bold red]{peek.strategy} used future data[/]: {when(peek.at)}, {clean(peek.what)}")
    cut = f", cut off at {when(peek.cut_at)}" if peek.cut_at else ""
    out.print(f"    with all data: {shown_known}", markup=False)
    out.print(f"    without later data{cut}: {unknown}", markup=False)


FIELD = re.compile(r"\w+=(?=[^=]*$)")


def first_difference(text: str, unknown: str) -> tuple[str, str]:
    """Return both texts or, if one is long, only the first field that differs, such as `score=0.51` and
    `score=0.12`.
    """
    if max(len(text), len(unknown)) <= SHORT:
        return text, unknown
    differing = (index for index, (letter, other) in enumerate(zip(text, unknown, strict=False)) if letter != other)
    same = next(differing, min(len(text), len(unknown)))
    field = FIELD.search(text[:same])
    start = field.start() if field and same - field.start() <= SHORT else max(same - NEAR, 0)
    return _field(text[start:], same - start), _field(unknown[start:], same - start)


def _field(text: str, differs: int) -> str:
    """Return a text up to the comma or bracket that ends the value at index `differs`, at most LONGEST characters."""
    depth = 0
    for index, character in enumerate(text):
        depth += (character in "([{") - (character in ")]}")
        if index >= differs and (depth < 0 or (depth == 0 and character == ",")):
            return text[: min(index, LONGEST)]
    return text[:LONGEST]


def run(wish: BacktestOptions, how: "RunOptions") -> Report:
    """Run a backtest, with the look-ahead check and the variants if requested, and report it."""
    with run_backtest.play(wish, how) as (finished, results):
        checked = _check_lookahead(finished, how.cuts) if how.cuts is not None else None
        varied = run_missing_variants(finished, results) if how.sensitivity else None
    names = [strategy.name for strategy in finished.run.made.world.strategies]
    data = data_of(
        finished, results.folder_of(finished.name), {name: len(results.trials(name)) for name in names}, checked, varied
    )
    code = ExitCode.FINDINGS if checked and checked.peeks else ExitCode.ERROR if data.differences else ExitCode.DONE
    return Report("backtest", data, render, code, bot_identity=Identity("sandbox", finished.run.made.world.venue.name))


def _check_lookahead(finished: "Finished", cuts: int) -> "LookaheadResult":
    run, market, most = finished.run, finished.planned.market, cuts or MOST_CUTS
    with progress_bar("checking for look-ahead") as tell:
        if not run.made.served:
            return check(run, market, lambda: run_backtest.load_strategies(finished.planned), most, tell)

        if driver_for(run.plan.settings.venue).months:
            from tradebot.lab.backtest.contracts_venue import other_future
        else:
            from tradebot.lab.backtest.http_exchange import other_future
        elsewhere = partial(other_future, run.plan.settings, market)
        return check_served(run, market, lambda: run_backtest.load_strategies(finished.planned), most, tell, elsewhere)
