"""`tradebot promote --results`: learned policies by their evaluations, and which of them pass."""

from collections.abc import Iterable, Mapping, Sequence
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING

from msgspec import Struct

from commands.promote.report import ConditionRow, short, show_conditions
from commands.shared.light_helpers import clean
from commands.shared.number_format import format_signed
from commands.shared.tables import Table, number
from commands.shared.verb_options import Report
from tradebot.adapters.state.evidence import read_sealed, read_trials
from tradebot.adapters.state.state_folder import BACKTESTS
from tradebot.errors import ExitCode
from tradebot.lab.selection.policies import (
    BenchmarkFigures,
    PolicyFigures,
    RunFigures,
    asked_of_policy,
    sentence,
    some_pass,
)
from tradebot.model.evidence import PolicyResults
from tradebot.model.promotion import PromotionRules, Rung
from tradebot.model.text import pluralize

if TYPE_CHECKING:
    from rich.console import Console

    from tradebot.app.wiring import App


class PolicyRow(Struct, frozen=True):
    """One policy in the sessions that it wasn't trained on: its seeds, its benchmarks, and what paper asks of it.

    `features` are versions by feature, and `data` the SHA-256 of each file of market data.
    `trials` are all configurations that were ever trained, of which so many are `compared` by their returns.
    It is `sealed` if the run that made the file has said what it holds; otherwise all is as told by a file.
    `some_pass` is the chance that one of so many without skill passes a test with an error of 5%.
    """

    name: str
    configuration: str
    program: str
    sealed: bool
    features: Mapping[str, str]
    data: Mapping[str, str]
    from_date: date
    to_date: date
    sessions: int
    trials: int
    compared: int
    some_pass: float
    runs: tuple[RunFigures, ...]
    benchmarks: tuple[BenchmarkFigures, ...]
    conditions: tuple[ConditionRow, ...]
    passes: bool


class PoliciesJudged(Struct, frozen=True):
    """Learned policies with the conditions of a rung, and a sentence about which of them pass."""

    rung: Rung
    policies: tuple[PolicyRow, ...]
    sentence: str


def judge(app: "App", files: Sequence[Path]) -> Report:
    """Judge policies by the files of their results; exit 10 if none passes."""
    found = map(read_sealed, files)
    data = judged_by(app.settings.promotion, [(one, _trials(app, one), sealed) for one, sealed in found])
    passes = any(row.passes for row in data.policies)
    return Report("promote", data, render, ExitCode.DONE if passes else ExitCode.FINDINGS)


def judged_by(rules: PromotionRules, found: Iterable[tuple[PolicyResults, int, bool]]) -> PoliciesJudged:
    """Return policies with the conditions for paper, each with its number of trials and whether it is sealed."""
    rows = tuple(_judged(rules, *one) for one in found)
    lacking = [(clean(row.name), [short(one.name) for one in row.conditions if not one.met]) for row in rows]
    return PoliciesJudged(Rung.PAPER, rows, sentence(lacking))


def _trials(app: "App", results: PolicyResults) -> int:
    counted_here = read_trials(app.folder.path / BACKTESTS / results.name, {results.name})
    return max(results.trials, counted_here.count if counted_here else 0)


def _judged(rules: PromotionRules, results: PolicyResults, trials: int, sealed: bool) -> PolicyRow:
    measured = PolicyFigures(results, trials, rules.splits)
    found = (one.answer() for one in asked_of_policy(measured, rules.of(Rung.PAPER).policy))
    rows = tuple(
        ConditionRow(one.name, one.number, one.must, one.bound, one.met, one.lacks, None, None) for one in found
    )
    return PolicyRow(
        results.name,
        results.configuration,
        results.program,
        sealed,
        results.features,
        results.data,
        results.sessions[0],
        results.sessions[-1],
        len(results.sessions),
        trials,
        measured.tried.shape[1],
        some_pass(trials),
        tuple(measured.runs()),
        tuple(measured.benchmarks()),
        rows,
        all(row.met for row in rows),
    )


def render(out: "Console", data: PoliciesJudged) -> None:
    for row in data.policies:
        span = f"{pluralize(row.sessions, 'session')} from {row.from_date} to {row.to_date}"
        out.print(
            f"{clean(row.name)} ({clean(row.configuration)}): {span} that its models weren't trained on", markup=False
        )
        tried = f"{pluralize(row.trials, 'configuration')} trained, {row.compared} compared"
        out.print(f"  {tried}; played by tradebot {clean(row.program)}", markup=False)
        if not row.sealed:
            out.print("  as told by a file: no run has sealed it", markup=False)
        made_from = f"{pluralize(len(row.features), 'feature')}, and {pluralize(len(row.data), 'file')} of market data"
        out.print(f"  made from {made_from}", markup=False)
        out.print(
            f"  by luck alone, some of so many would pass a 5% test in {row.some_pass:.1%} of all cases", markup=False
        )
        _earned(out, row)
        met = sum(one.met for one in row.conditions)
        asked = pluralize(len(row.conditions), "condition")
        out.print(f"To reach {data.rung.words}: {met} of {asked} of learned policies met", markup=False)
        show_conditions(out, row.conditions)
    out.print(data.sentence, markup=False)


def _earned(out: "Console", row: PolicyRow) -> None:
    columns = ("return", "Sharpe", "95% from", "to", "drawdown", "costs x2", "a bar later", "trades", "p")
    table = Table("seed or benchmark", *map(number, columns))
    paths = len({one.path for one in row.runs}) > 1
    for one in row.runs:
        name = f"seed {one.seed}{f', path {one.path}' if paths else ''}"
        further = _percent(one.doubled), _percent(one.later), f"{one.trades:,}", ""
        table.row(name, *_figures(one), *further)
    for each in row.benchmarks:
        table.row(each.name.replace("_", " "), *_figures(each), "", "", "", _ratio(each.p, 3))
    out.print(table)


def _figures(of: RunFigures | BenchmarkFigures) -> tuple[str, ...]:
    ratios = (_ratio(one, 2) for one in (of.sharpe, of.low, of.high))
    return (_percent(of.total_return), *ratios, _percent(of.drawdown))


def _percent(value: float) -> str:
    return f"{format_signed(100 * value, 1)}%"


def _ratio(value: float | None, places: int) -> str:
    return "" if value is None else f"{value:.{places}f}"
