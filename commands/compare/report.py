"""The data of `tradebot compare`: first the differences in settings, then the runs side by side."""

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from datetime import date
from pathlib import Path

from msgspec import Struct
from rich.console import Console

from commands.report.chart import curve
from commands.report.files import MOST_CURVES, Files, write_files
from commands.report.page import render_template
from commands.report.report_inputs import read
from commands.report.report_text import basis_of, interval_of, value_of
from commands.shared.light_helpers import clean
from commands.shared.setting_args import DifferingSetting, differing_settings, format_setting, leaves
from commands.shared.tables import Table, last_folded_column, number
from commands.shared.verb_options import Report, open_bot
from tradebot.app.baseline import effective
from tradebot.app.wiring import App
from tradebot.errors import OperatorError, word
from tradebot.lab.backtest.results import read_result
from tradebot.lab.performance.report import AccountReport, Figure
from tradebot.model.sentences import pluralize
from tradebot.model.struct_tools import replace
from tradebot.views.trades.trade_row import Choice

SHOWN = (
    "total_return",
    "cagr",
    "volatility",
    "sharpe",
    "max_drawdown",
    "calmar",
    "exposure",
    "turnover",
    "fees",
    "win_rate",
    "mean_profit",
)
"""The figures that are compared, by name, as far as the reports have them."""
FEWEST = 2
PLACES = frozenset({"market.path", "market.uw_folder", "market.costs.rates_path"})
"""Settings with file locations, which don't matter; the contents are compared as `data.NAME`."""


class ComparedRun(Struct, frozen=True):
    """A run or a bot: its folder, its kind, its period, and its number of closed trades.

    A backtest that was stopped before its last session is `interrupted`.
    """

    folder: str
    kind: str
    first: date | None
    last: date | None
    sessions: int
    closed_trades: int
    interrupted: bool = False


class FigureRow(Struct, frozen=True):
    """One figure of each run."""

    name: str
    figures: "tuple[Figure, ...]"


class RunComparison(Struct, frozen=True):
    """Runs side by side: their differences first, then their figures; `cautions` warn against wrong conclusions."""

    runs: tuple[ComparedRun, ...]
    settings: tuple[DifferingSetting, ...]
    rows: tuple[FigureRow, ...]
    cautions: tuple[str, ...]


class ReadRun(Struct, frozen=True):
    """The contents of one folder; the account is labeled with the run's letter and the folder's name."""

    run: ComparedRun
    settings: "Mapping[str, str]"
    account: "AccountReport"


def read_all(folders: "Sequence[str]") -> "Sequence[ReadRun]":
    """Read runs or bots; raise OperatorError if there is only one, or if a folder can't be read."""
    if len(folders) < FEWEST:
        raise OperatorError(
            f"compare takes at least two folders, not {len(folders)}", "tradebot compare FOLDER OTHER_FOLDER"
        )
    return [_read(letter, folder) for letter, folder in zip(run_letters(folders), folders, strict=True)]


def run_letters(of: "Sequence[object]") -> list[str]:
    """Return one letter per run, to label its columns and curves."""
    return [chr(ord("A") + index) for index in range(len(of))]


def compare_reports(read: "Sequence[ReadRun]") -> RunComparison:
    return RunComparison(
        runs=tuple(run.run for run in read),
        settings=tuple(differing_settings([run.settings for run in read])),
        rows=tuple(_rows([run.account for run in read])),
        cautions=tuple(_cautions([run.run for run in read])),
    )


def _read(letter: str, folder: str) -> ReadRun:
    with open_bot(folder, None) as bot:
        account, _ = read(bot, folder, Choice(), lambda done, total: None, with_refusals=False)
        closed = sum(trade.closed_at is not None for trade in account.trades)
        run = ComparedRun(
            folder,
            bot.folder.kind,
            account.from_session,
            account.to_session,
            account.sessions,
            closed,
            account.interrupted,
        )
        label = f"{letter} {clean(Path(folder).resolve().name)}"
        return ReadRun(run, dict(_settings(bot)), replace(account, label=label))


def _settings(bot: "App") -> "Iterator[tuple[str, str]]":
    result = read_result(bot.folder.path)
    if result is None:
        yield from leaves("", effective(bot.settings))
        return
    identity = result["identity"]
    yield from leaves("", {name: value for name, value in identity["settings"].items() if name != "sandbox"})
    yield from ((name, value) for name, value in leaves("market", identity["market"]) if name not in PLACES)
    yield from leaves("run", identity["options"])
    yield from leaves("version", identity["versions"])
    yield from leaves("code", identity.get("code", {}))
    yield from ((f"data.{file['name']}", file["sha256"][:8]) for file in identity["data"])


def _rows(reports: "Sequence[AccountReport]") -> "Iterator[FigureRow]":
    by_name = [{figure.name: figure for figure in (*of.returns, *of.activity, *of.trade_figures)} for of in reports]
    for name in SHOWN:
        if all(name in figures for figures in by_name):
            yield FigureRow(name, tuple(figures[name] for figures in by_name))


def _cautions(runs: "Sequence[ComparedRun]") -> "Iterator[str]":
    if stopped := [letter for letter, run in zip(run_letters(runs), runs, strict=True) if run.interrupted]:
        verb = "was" if len(stopped) == 1 else "were"
        yield f"{' and '.join(stopped)} {verb} interrupted before the last session."
    spans = {(run.first, run.last) for run in runs}
    if len(spans) > 1:
        yield "They cover different days, so they saw different markets."
    fewest = min(run.closed_trades for run in runs)
    if fewest < 30:
        few = " and ".join(
            letter for letter, run in zip(run_letters(runs), runs, strict=True) if run.closed_trades == fewest
        )
        closed = f"closed only {pluralize(fewest, 'trade')}" if fewest else "closed no trades"
        yield f"{few} {closed}, so a difference may well be chance."
    if len({run.kind for run in runs}) > 1:
        yield "One is a backtest and one a bot, so their fills differ too: those of a backtest are assumed."


def render(out: "Console", data: "RunComparison") -> None:
    names = run_letters(data.runs)
    for letter, run in zip(names, data.runs, strict=True):
        out.print(f"{letter}  {clean(run.folder)} {run_words(run)}", markup=False)
    out.print()
    if data.settings:
        out.print("Settings that differ")
        table = Table(last_folded_column("setting"), *names)
        for setting in data.settings:
            table.row(f"  {clean(setting.name)}", *(format_setting(value) for value in setting.values))
        out.print(table)
    else:
        out.print("Their settings, markets and versions are the same.")
    out.print("\nResults")
    table = Table(last_folded_column("figure"), *map(number, names))
    for row in data.rows:
        table.row(f"  {row.figures[0].label}", *(value_of(figure) for figure in row.figures))
        if any(map(interval_of, row.figures)):
            table.row("    95% interval", *(interval_of(figure) for figure in row.figures))
    out.print(table)
    for row in data.rows:
        for line in _lacking(names, row):
            out.print(f"  {line}", markup=False)
    for line in data.cautions:
        out.print(line, markup=False)


def _lacking(letters: "Sequence[str]", row: FigureRow) -> "Iterator[str]":
    """Yield how many observations a figure lacks, and of which runs unless all lack the same."""
    bases = defaultdict[str, list[str]](list)
    for letter, figure in zip(letters, row.figures, strict=True):
        if figure.lacks:
            bases[basis_of(figure)].append(letter)
    for basis, lacking in bases.items():
        of = "" if len(lacking) == len(letters) else f" of {' and '.join(lacking)}"
        yield f"{row.figures[0].label}{of}: {basis}"


def run_words(run: "ComparedRun") -> str:
    """Return a run's kind, its dates, and its number of closed trades."""
    span = f"{run.first} to {run.last}, {pluralize(run.sessions, 'session')}" if run.first else "no session"
    kind = f"{run.kind}, interrupted" if run.interrupted else run.kind
    return f"({kind}): {span}, {pluralize(run.closed_trades, 'closed trade')}"


def page(data: "RunComparison", accounts: "Sequence[AccountReport]") -> str:
    """Return the web page of a comparison; each account's label names its run."""
    labels = [account.label for account in accounts]
    return render_template(
        "compare.html",
        data=data,
        accounts=accounts,
        curve=curve(accounts),
        runs=list(zip(labels, map(run_words, data.runs), strict=True)),
        rows=[(row.figures[0].label, row.figures) for row in data.rows],
    )


MOST_NAMED = 5
"""How many runs are named if the requested one doesn't exist."""


def run(named: list[str], home: Path, files: Files) -> Report:
    if files and len(named) > MOST_CURVES:
        raise OperatorError(f"a chart can show at most {MOST_CURVES} curves, not {len(named)}", "name fewer runs")
    read = read_all([_folder(home, folder) for folder in named])
    data, accounts = compare_reports(read), [run.account for run in read]
    report = Report("compare", data, render)
    return write_files(report, files, accounts, lambda: page(data, accounts))


def _folder(home: Path, named: str) -> str:
    if Path(named).exists():
        return named
    if (home / named).exists():
        return str(home / named)
    names = ", ".join(sorted(path.parent.name for path in home.glob("*/result.json"))[:MOST_NAMED])
    raise OperatorError(
        f"there is no folder {word(named)}, and no run of that name in {home}",
        f"name one of {names}" if names else "tradebot backtest --name NAME",
    )
