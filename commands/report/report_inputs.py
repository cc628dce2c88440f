"""Read a report's inputs: the account's history, the calendar, and the benchmark's prices."""

import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import UTC, date, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from commands.report.screen import render
from commands.score.outcomes import refused_trades
from commands.shared.files import open_replacement
from commands.shared.history import BENCHMARK, no_benchmark_reason, nothing_matches, read_history
from commands.shared.light_helpers import NOBODY, Identity
from commands.shared.verb_options import Report, identity, open_bot, progress_bar
from tradebot.adapters.state.evidence import BACKTEST, read_evidence, read_trials
from tradebot.adapters.text.extras import install
from tradebot.app import calendar
from tradebot.app.promotion_status import unproven_strategies
from tradebot.app.wiring import App
from tradebot.errors import OperatorError, TradebotError
from tradebot.lab.backtest.results import read_result
from tradebot.lab.performance.curve import BenchmarkPrices, entry_cost, held_in_equal_parts
from tradebot.lab.performance.frames import Frames
from tradebot.lab.performance.frames import frames as frames_of
from tradebot.lab.performance.report import AccountReport, RefusedTradesProfit
from tradebot.lab.performance.report import PerformanceReport as Data
from tradebot.lab.performance.reporting import ReportMaterial, account_report
from tradebot.model.bar import Session
from tradebot.model.evidence import NO_EVIDENCE, Evidence
from tradebot.model.record import Job
from tradebot.model.series import DAY, Series
from tradebot.model.struct_tools import replace
from tradebot.ports.world import Progress
from tradebot.views.trades.history import History
from tradebot.views.trades.trade_row import Choice

if TYPE_CHECKING:
    import pandas as pd


BEFORE = timedelta(days=10)
"""How long before the books the calendar and the prices are read, for the session before the first one."""
HELD = "Holding the universe"
NOON = timedelta(hours=12)


class BenchmarkInputs(NamedTuple):
    """The benchmark's prices, or why there are none."""

    benchmark: "BenchmarkPrices"
    problem: str = ""


def read(
    app: "App", label: str, choice: "Choice", progress: "Progress", *, with_refusals: bool = True
) -> "tuple[AccountReport, datetime | None]":
    """Read one account's records and report on them; also return the last recorded moment.

    Evaluating refusals takes the most time, and needs bars. Raises DamagedBooksError, naming the row, if the books are
    damaged.
    """
    history = read_history(app)
    evidence, unreadable = _evidence(app, history)
    sessions, (benchmark, problem) = (
        sessions_of(app, history),
        _stored_benchmark(evidence) or _benchmark_of(app, history),
    )
    refusals, why_not = _refusals(app, history, choice, progress) if with_refusals else ((), "")
    material = ReportMaterial(
        label=label,
        history=history,
        sessions=sessions,
        benchmark=benchmark,
        cash_yearly=float(app.settings.report.cash_rate or 0),
        refusals=refusals,
        days=choice.days,
        strategy=choice.strategy,
        symbol=choice.symbol,
        unknown=tuple(filter(None, (problem, why_not, unreadable, _nothing(history, choice, app.rules.universe)))),
        evidence=evidence,
    )
    report = account_report(material)
    played = read_result(app.folder.path) or {}
    cautions = *report.further.cautions, *unproven_strategies(app), *_loud(played)
    interrupted = played.get("complete") is False
    return replace(report, further=replace(report.further, cautions=cautions), interrupted=interrupted), history.at


def _loud(played: "Mapping[str, Any]") -> "Iterator[str]":
    """Yield the assumptions of a backtest because of which its result doesn't show what trading would have earned."""
    for each in played.get("assumptions", ()):
        if each.get("is_loud"):
            yield f"{each['name'].replace('_', ' ').capitalize()} {each['value']}: {each['remark']}"


def _nothing(history: "History", choice: "Choice", universe: Iterable[str]) -> str:
    """Return why no session or trade of the books is in a selection; empty if one is."""
    days = [*(end.session for end in history.ends), *(history.day.date_of(owned.fill.at) for owned in history.fills)]
    owners = {(owned.strategy, owned.fill.symbol) for owned in history.fills}
    traded = any(choice.strategy in (None, owner) and choice.symbol in (None, other) for owner, other in owners)
    is_there = any(map(choice.days.includes, days)) and (choice.whole or traded)
    return "" if is_there or not days else nothing_matches(history, choice, universe)


def _evidence(app: "App", history: "History") -> "tuple[Evidence, str]":
    try:
        evidence, why_not = read_evidence(app.folder.path), ""
    except TradebotError as error:
        evidence, why_not = NO_EVIDENCE, f"Variants and rates by date aren't shown: {problem_of(app, error)}"
    try:
        trials = read_trials(app.folder.path, {owned.strategy for owned in history.fills})
    except TradebotError as error:
        return replace(evidence, trials=None), f"No ratio is deflated: {problem_of(app, error)}"
    return replace(evidence, trials=trials or evidence.trials), why_not


def sessions_of(app: "App", history: "History") -> "Sequence[Session]":
    """Return the exchange's sessions since shortly before the books began, without contacting the broker."""
    if history.opened_at is None or history.at is None:
        return ()
    first, last = history.day.date_of(history.opened_at - BEFORE), history.day.date_of(history.at)
    listed = partial(calendar.list_sessions, app.settings.capabilities)
    return calendar.sessions(app.ledger_view, lambda *days: listed(*days) or (), first, last)


def _stored_benchmark(evidence: "Evidence") -> BenchmarkInputs | None:
    """Return a backtest's stored benchmark prices, or why it has none; None for any other account."""
    closes = {price.day: price.close for price in evidence.benchmark}
    opens = {price.day: price.open for price in evidence.benchmark}
    has_answer = bool(closes or evidence.no_benchmark)
    name, how = evidence.benchmark_name or BENCHMARK, evidence.benchmark_how
    return BenchmarkInputs(BenchmarkPrices(name, closes, opens, how), evidence.no_benchmark) if has_answer else None


def _benchmark_of(app: "App", history: "History") -> BenchmarkInputs:
    none = BenchmarkPrices(BENCHMARK)
    if history.opened_at is None or history.at is None:
        return BenchmarkInputs(none)
    if no_benchmark_reason(app):
        return _held_universe(app, history.opened_at, history.at)
    first, last = history.day.date_of(history.opened_at - BEFORE), history.day.date_of(history.at)
    try:
        bars = app.bars.between(DAY, [BENCHMARK], first, last, history.at)
    except TradebotError as error:
        return BenchmarkInputs(none, f"{BENCHMARK} isn't shown: {problem_of(app, error)}")
    if BENCHMARK not in bars:
        return BenchmarkInputs(none, f"{BENCHMARK} isn't shown: it has no daily bars here. Next: tradebot bars fetch")
    return BenchmarkInputs(_daily(bars[BENCHMARK]))


def _daily(series: "Series") -> BenchmarkPrices:
    return BenchmarkPrices(series.symbol, _by_date(series, series.close), _by_date(series, series.open))


def _held_universe(app: "App", opened_at: datetime, at: datetime) -> BenchmarkInputs:
    """Return the universe, held in equal parts from the first day of the books."""
    none, first, universe = BenchmarkPrices(HELD), app.day.date_of(opened_at), app.rules.universe
    try:
        bars = app.bars.between(DAY, list(universe), first, app.day.date_of(at), at)
    except TradebotError as error:
        return BenchmarkInputs(none, f"{HELD} isn't compared: {problem_of(app, error)}")
    cost = entry_cost(map(app.settings.costs_of, app.settings.strategies.in_use()))
    basket = held_in_equal_parts({name: _daily(bars[name]) for name in universe if name in bars}, first, cost)
    why_not = f"{HELD} isn't compared: there are no daily bars since {first} here yet. Next: tradebot bars fetch"
    return BenchmarkInputs(basket or none, "" if basket else why_not)


def problem_of(app: "App", error: TradebotError) -> str:
    """Return an error's message without the location of the bot's folder, because reports may be shared."""
    message = error.message
    for path in (app.folder.exchange, app.folder.path):
        message = message.replace(os.path.abspath(path), "this folder")
    return message


def _by_date(series: "Series", prices: "Sequence[float]") -> dict[date, float]:
    """Return prices of daily bars by date.

    A bar starts at midnight in the venue's time zone, so its date is the date in UTC half a day later.
    """
    starts = (datetime.fromtimestamp(start, UTC) + NOON for start in series.starts)
    return {at.date(): price for at, price in zip(starts, prices, strict=True)}


def _refusals(
    app: "App", history: "History", choice: "Choice", progress: "Progress"
) -> "tuple[tuple[RefusedTradesProfit, ...], str]":
    if history.at is None:
        return (), ""
    if app.folder.kind == BACKTEST:
        return (), "The value of the refusals isn't measured: a backtest stores no bars after it has ended."
    try:
        all_refused = refused_trades(app, choice.days.first, progress, choice.days.last, history.at)
    except TradebotError as error:
        return (), f"The value of the refusals isn't known: {problem_of(app, error)}"
    return tuple(
        RefusedTradesProfit(
            strategy=each.strategy,
            trades=each.worth.trades,
            sessions=each.worth.sessions,
            usd=each.worth.usd,
            low_usd=each.worth.low_usd,
            high_usd=each.worth.high_usd,
            stake_usd=each.worth.stake_usd,
            sentence=each.sentence,
        )
        for each in all_refused
        if choice.strategy in (None, each.strategy)
    ), ""


JOBS = (Job.EVALUATE_EXITS, Job.TRADE_ONCE)
EVERYTHING = Choice()


def frames(folder: str | Path | None = None, config: str | None = None, choice: Choice = EVERYTHING) -> Frames:
    """Return the tables of the bot or backtest in a folder or, without one, of the bot that the environment names.

    Fills and decisions are those of the chosen days; equity and trades are as in `tradebot report`. Raises
    TradebotError if the folder can't be read.
    """
    with open_bot(str(folder) if folder else None, config) as bot:
        account, _ = read(bot, "", choice, lambda done, total: None, with_refusals=False)
        history = read_history(bot)
        fills = [each for each in history.fills if choice.days.has(each.fill.at, history.day)]
        passes = [cycle for job in JOBS for cycle in (bot.existing_facts.cycles(job=job) if bot.existing_facts else ())]
    within = (cycle for cycle in passes if choice.days.has(cycle.at, history.day))
    return frames_of(account, fills, sorted(within, key=lambda cycle: cycle.at))


def save(tables: Frames, file: Path) -> list[Path]:
    """Write each table to its own file, `run-equity.csv` and so on for `run.csv`, and return the files.

    Raises OperatorError if one can't be written.
    """
    written = []
    for name, table in tables._asdict().items():
        path = file.with_name(f"{file.stem}-{name}{file.suffix}")
        with open_replacement(path) as part:
            _write(table, part, file.suffix.lower())
        written.append(path)
    return written


def _write(table: "pd.DataFrame", path: Path, kind: str) -> None:
    if kind == ".csv":
        table.to_csv(path, index=False)
        return
    try:
        import duckdb
    except ImportError as error:
        raise OperatorError("writing Parquet needs the data extra", install("data")) from error
    with duckdb.connect() as connection:
        connection.from_df(table).to_parquet(str(path))


def run(folders: Sequence[str], state_dir: str | None, config: str | None, choice: "Choice") -> Report:
    """Report one bot, or two side by side."""
    targets: list[tuple[str | None, str | None]] = [(folder, None) for folder in folders] or [(state_dir, config)]
    with progress_bar("measuring refusals") as progress:
        read = [_read(folder, file, choice, progress) for folder, file in targets]
    return _build_report(read, choice)


def run_here(app: "App", choice: "Choice") -> Report:
    """Report a bot that is open."""
    return _build_report([_read_here(app, str(app.folder.path), choice, lambda done, total: None)], choice)


def _build_report(read: "Sequence[tuple[AccountReport, datetime | None, Identity]]", choice: "Choice") -> Report:
    accounts, days = tuple(account for account, _, _ in read), choice.days
    at = max((at for _, at, _ in read if at), default=None)
    data = Data(at, days.first, days.last, choice.strategy, choice.symbol, accounts)
    return Report("report", data, render, bot_identity=read[0][2] if len(read) == 1 else NOBODY)


def _read(
    folder: str | None, config: str | None, choice: "Choice", progress: "Progress"
) -> "tuple[AccountReport, datetime | None, Identity]":
    with open_bot(folder, config) as bot:
        return _read_here(bot, folder or str(bot.folder.path), choice, progress)


def _read_here(
    app: "App", path: str, choice: "Choice", progress: "Progress"
) -> "tuple[AccountReport, datetime | None, Identity]":
    return *read(app, path, choice, progress), identity(app)
