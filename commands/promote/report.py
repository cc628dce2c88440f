"""The data of `tradebot promote`: each strategy's rung, and the conditions of the next rung with their numbers."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import date, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from msgspec import Struct

from commands.shared.light_helpers import clean
from commands.shared.number_format import format_signed
from commands.shared.tables import Table, last_folded_column, number, sentence
from commands.shared.times import when
from commands.shared.verb_options import Report
from tradebot.adapters.state.evidence import read_sealed, read_trials
from tradebot.adapters.state.state_folder import BACKTESTS
from tradebot.errors import ExitCode
from tradebot.lab.selection.conditions import Comparator
from tradebot.lab.selection.policies import (
    BenchmarkFigures,
    PolicyFigures,
    RunFigures,
    policy_conditions,
    some_pass,
)
from tradebot.lab.selection.policies import (
    sentence as policy_sentence,
)
from tradebot.model.evidence import PolicyResults
from tradebot.model.promotion import PromotionRules, Rung
from tradebot.model.sentences import pluralize

if TYPE_CHECKING:
    from rich.console import Console

    from tradebot.app.wiring import App

LABELS: Mapping[str, str] = {
    "traded": "traded on a rung that counts",
    "sessions": "sessions",
    "sessions_here": "of these, on this rung",
    "trades": "closed trades",
    "parity_sessions": "compared with backtests",
    "parity_worse_bps": "fills worse than assumed",
    "mean_above": "mean session return, lower bound",
    "deflated_sharpe": "deflated Sharpe ratio",
    "wins_low": "share of winners, lower bound",
    "effect": "effect size of trades",
    "costs_times": "profit with costs multiplied",
    "spa_p": "p-value over all trials",
    "sharpe_gain": "Sharpe ratio gained",
    "sharpe_gain_low": "Sharpe ratio gained, lower bound",
    "drawdown_worse": "drawdown deeper by",
    "policy_seen": "evaluated sessions a model may have seen",
    "policy_sessions": "judged sessions",
    "policy_trades": "closed trades, median seed",
    "policy_seeds": "seeds evaluated along every path",
    "policy_seeds_positive": "share of profitable seeds",
    "policy_doubled": "return with costs doubled, median seed",
    "policy_later": "return with trades a bar later, median seed",
    "policy_drawdown": "deepest drawdown of any seed",
    "policy_deflated_sharpe": "deflated Sharpe ratio, median seed",
    "policy_sharpe_low": "annual Sharpe ratio, lower bound, median seed",
    "policy_spa_flat": "p-value against holding nothing",
    "policy_spa_buy_and_hold": "p-value against buy and hold",
    "policy_spa_rule": "p-value against the rule",
    "policy_spa_logistic": "p-value against the logistic baseline",
    "policy_replay_sessions": "paper sessions that match their replay",
}
PERCENT = frozenset(
    {"mean_above", "costs_times", "drawdown_worse", "policy_doubled", "policy_later", "policy_drawdown"}
)
OF_POLICY = "policy_"
"""The prefix of conditions that apply only to learned policies."""
WHOLE = frozenset({"sessions", "sessions_here", "trades", "parity_sessions"}) | {
    f"{OF_POLICY}{name}" for name in ("seen", "sessions", "trades", "seeds", "replay_sessions")
}


class ConditionRow(Struct, frozen=True):
    """One condition: its number and the bound for it; `missing` says what evidence is missing.

    `sessions_left` estimates how many more sessions like the past ones it takes to meet the condition, and `by` is the
    date of the last one. Both are None if the condition is met, or if waiting doesn't help.
    """

    name: str
    number: float | None
    must: Comparator
    bound: float
    met: bool
    missing: str
    sessions_left: int | None
    by: date | None


class SourceRow(Struct, frozen=True):
    """The evidence in one folder: the sessions and trades that count, or why none does."""

    folder: str
    traded: str
    sessions: int
    trades: int
    why_not: str


class StrategyRow(Struct, frozen=True):
    """A strategy's rung, since when it has it, and the sentence that a person typed in place of evidence, if any.

    `why` explains a demotion. `lapsed` is True after a promotion with other code or values, which no longer counts.
    `held` counts the open positions of a strategy that may no longer enter; it is in shadow once they are closed.
    """

    name: str
    digest: str
    rung: Rung
    since: datetime | None
    sentence: str
    why: str
    lapsed: bool
    held: int = 0


class Promotions(Struct, frozen=True):
    """The strategies' rungs. If only one strategy is shown, `next` is its next rung, with its conditions.

    `next` is None if this bot has no higher rung. `done` is the strategy's new rung. `demoted` are the strategies that
    were demoted for their results, and `promoted` those that the bot promoted by itself; `problems` say which can't be
    judged, and why. Each sentence in `without_evidence` is about a strategy that trades real money without evidence.
    """

    strategies: tuple[StrategyRow, ...]
    next: Rung | None = None
    conditions: tuple[ConditionRow, ...] = ()
    sources: tuple[SourceRow, ...] = ()
    champion: str = ""
    trials: int | None = None
    done: Rung | None = None
    demoted: tuple[str, ...] = ()
    promoted: tuple[str, ...] = ()
    problems: tuple[str, ...] = ()
    without_evidence: tuple[str, ...] = ()
    hint: str = ""


def render(out: "Console", data: Promotions) -> None:
    for line in _head(data):
        out.print(line, markup=False)
    if data.next is not None:
        met = sum(row.met for row in data.conditions)
        climbing = f"To reach {data.next.words}: {met} of {pluralize(len(data.conditions), 'condition')} met"
        out.print(f"{climbing}{f'; champion: {data.champion}' if data.champion else ''}", markup=False)
        show_conditions(out, data.conditions)
    for line in (*data.demoted, *data.promoted, *data.problems, *data.without_evidence):
        out.print(line, markup=False, style="yellow")
    if data.hint:
        out.print(f"Next: {data.hint}", markup=False)


def _head(data: Promotions) -> Iterator[str]:
    if data.done is not None:
        yield f"{data.strategies[0].name} is now {data.done.words}."
    for row in data.strategies:
        since = f" since {when(row.since)}" if row.since else ""
        lapsed = "; its promotion was for other code or values" if row.lapsed else ""
        why = f"; {clean(row.why)}" if row.why else ""
        until = f", once its {pluralize(row.held, 'position')} at the broker are closed" if row.held else ""
        yield f"{row.name} ({row.digest}): {row.rung.words}{until}{since}{lapsed}{why}"
    for source in data.sources:
        text = source.why_not or f"{pluralize(source.sessions, 'session')}, {pluralize(source.trades, 'closed trade')}"
        yield f"  {source.traded}, {source.folder}: {text}"
    if data.sources:
        trials = "no trial is counted" if data.trials is None else f"{pluralize(data.trials, 'trial')} counted"
        yield f"  {trials} in backtests and searches"


def short_condition_name(name: str) -> str:
    """Return the short name of a condition, for lists with only conditions of learned policies."""
    return name.removeprefix(OF_POLICY)


def show_conditions(out: "Console", conditions: Sequence[ConditionRow]) -> None:
    table = Table("condition", last_folded_column("state"), number("number"), number("bound"), sentence("by when"))
    for row in conditions:
        state = "[green]met[/]" if row.met else "[yellow]missing[/]"
        table.row(
            LABELS[row.name],
            state,
            _value_text(row, row.number),
            f"{row.must} {_value_text(row, row.bound)}",
            _when(row),
        )
    out.print(table)


def _value_text(row: ConditionRow, value: float | None) -> str:
    if value is None:
        return "unknown"
    if row.name == "traded":
        return "yes" if value else "no"
    if row.name in WHOLE:
        return f"{value:,.0f}"
    return f"{format_signed(100 * value, 3)}%" if row.name in PERCENT else f"{value:.3f}"


def _when(row: ConditionRow) -> str:
    if row.met:
        return ""
    if row.missing:
        return clean(row.missing)
    if row.sessions_left is None and row.name.startswith(OF_POLICY):
        return "waiting won't help: evaluate the policy again"
    if row.sessions_left is None:
        return "waiting won't help at the current rate"
    about = f", about {row.by}" if row.by else ""
    return f"{pluralize(row.sessions_left, 'session')} more{about}"


class PolicyRow(Struct, frozen=True):
    """One policy in the sessions that it wasn't trained on: its seeds, its benchmarks, and the conditions for paper.

    `features` maps each feature to its version, and `data` has the SHA-256 of each file of market data. `trials` counts
    all configurations that were ever trained, and `compared` those that are compared by their returns. The row is
    `sealed` if the run that made the results file has confirmed its contents; otherwise they are unverified.
    `some_pass` is the probability that, out of `trials` policies without skill, at least one passes a 5% test.
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


def judge_policies(app: "App", files: Sequence[Path]) -> Report:
    """Evaluate policies from the files of their results; exit 10 if none passes."""
    sealed_results = map(read_sealed, files)
    data = judged_by(
        app.settings.promotion, [(results, _trials(app, results), sealed) for results, sealed in sealed_results]
    )
    passes = any(row.passes for row in data.policies)
    return Report("promote", data, render_policies, ExitCode.DONE if passes else ExitCode.FINDINGS)


def judged_by(rules: PromotionRules, sealed_results: Iterable[tuple[PolicyResults, int, bool]]) -> PoliciesJudged:
    """Judge policies by the conditions for paper, given each one's results, number of trials, and seal."""
    rows = tuple(_judge_policy(rules, *judged) for judged in sealed_results)
    lacking = [
        (clean(row.name), [short_condition_name(condition.name) for condition in row.conditions if not condition.met])
        for row in rows
    ]
    return PoliciesJudged(Rung.PAPER, rows, policy_sentence(lacking))


def _trials(app: "App", results: PolicyResults) -> int:
    counted_here = read_trials(app.folder.path / BACKTESTS / results.name, {results.name})
    return max(results.trials, counted_here.count if counted_here else 0)


def _judge_policy(rules: PromotionRules, results: PolicyResults, trials: int, sealed: bool) -> PolicyRow:
    measured = PolicyFigures(results, trials, rules.splits)
    answers = (check.answer() for check in policy_conditions(measured, rules.of(Rung.PAPER).policy))
    rows = tuple(
        ConditionRow(row.name, row.number, row.must, row.bound, row.met, row.lacks, None, None) for row in answers
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
        measured.all_configurations.shape[1],
        some_pass(trials),
        tuple(measured.runs()),
        tuple(measured.benchmarks()),
        rows,
        all(row.met for row in rows),
    )


def render_policies(out: "Console", data: PoliciesJudged) -> None:
    for row in data.policies:
        span = f"{pluralize(row.sessions, 'session')} from {row.from_date} to {row.to_date}"
        out.print(
            f"{clean(row.name)} ({clean(row.configuration)}): {span} that its models weren't trained on", markup=False
        )
        tried = f"{pluralize(row.trials, 'configuration')} trained, {row.compared} compared"
        out.print(f"  {tried}; played by tradebot {clean(row.program)}", markup=False)
        if not row.sealed:
            out.print("  not verified: the file doesn't have the checksum of a run", markup=False)
        made_from = f"{pluralize(len(row.features), 'feature')}, and {pluralize(len(row.data), 'file')} of market data"
        out.print(f"  made from {made_from}", markup=False)
        out.print(
            f"  without any skill, the chance that at least one of {pluralize(row.trials, 'configuration')} passes a "
            f"5% test is {row.some_pass:.1%}",
            markup=False,
        )
        _print_runs(out, row)
        met = sum(condition.met for condition in row.conditions)
        conditions_text = pluralize(len(row.conditions), "condition")
        out.print(f"To reach {data.rung.words}: {met} of {conditions_text} for learned policies met", markup=False)
        show_conditions(out, row.conditions)
    out.print(data.sentence, markup=False)


def _print_runs(out: "Console", row: PolicyRow) -> None:
    columns = ("return", "Sharpe", "95% from", "to", "drawdown", "costs x2", "a bar later", "trades", "p")
    table = Table("seed or benchmark", *map(number, columns))
    paths = len({run.path for run in row.runs}) > 1
    for run_figures in row.runs:
        name = f"seed {run_figures.seed}{f', path {run_figures.path}' if paths else ''}"
        further = _percent(run_figures.doubled), _percent(run_figures.later), f"{run_figures.trades:,}", ""
        table.row(name, *_figures(run_figures), *further)
    for each in row.benchmarks:
        table.row(each.name.replace("_", " "), *_figures(each), "", "", "", _ratio(each.p, 3))
    out.print(table)


def _figures(of: RunFigures | BenchmarkFigures) -> tuple[str, ...]:
    ratios = (_ratio(value, 2) for value in (of.sharpe, of.low, of.high))
    return (_percent(of.total_return), *ratios, _percent(of.drawdown))


def _percent(value: float) -> str:
    return f"{format_signed(100 * value, 1)}%"


def _ratio(value: float | None, places: int) -> str:
    return "" if value is None else f"{value:.{places}f}"
