"""The screen of a comparison: what differs about the runs, then their figures side by side."""

from collections.abc import Sequence

from rich.console import Console

from commands.compare.report import Comparison, Run, letters
from commands.report.chart import curve
from commands.report.contents import basis_of, interval_of, value_of
from commands.report.page import rendered
from commands.shared.plain import clean
from commands.shared.tables import Table, number, staying
from tradebot.model.text import counted
from tradebot.views.performance.report import AccountReport

LONGEST = 40
"""So many characters of a setting are shown; the JSON document has all."""


def render(out: "Console", data: "Comparison") -> None:
    names = letters(data.runs)
    for letter, run in zip(names, data.runs, strict=True):
        out.print(f"{letter}  {clean(run.folder)} {run_words(run)}", markup=False)
    out.print()
    if data.settings:
        out.print("What is different about them")
        table = Table(staying("setting"), *names)
        for setting in data.settings:
            table.row(f"  {clean(setting.name)}", *(_shown(value) for value in setting.values))
        out.print(table)
    else:
        out.print("Their settings, markets and versions are the same.")
    out.print("\nWhat came of it")
    table = Table(staying("figure"), *map(number, names))
    for row in data.rows:
        table.row(f"  {row.figures[0].label}", *(value_of(figure) for figure in row.figures))
        if any(map(interval_of, row.figures)):
            table.row("    95% interval", *(interval_of(figure) for figure in row.figures))
    out.print(table)
    lacking = {
        f"{row.figures[0].label}: {basis_of(one)}": None for row in data.rows for one in row.figures if one.lacks
    }
    for line in lacking:
        out.print(f"  {line}", markup=False)
    for line in data.cautions:
        out.print(line, markup=False)


def run_words(run: "Run") -> str:
    """Return what kind a run is, its span, and how many trades it closed."""
    span = f"{run.first} to {run.last}, {counted(run.sessions, 'session')}" if run.first else "no session"
    return f"({run.kind}): {span}, {counted(run.closed_trades, 'closed trade')}"


def _shown(value: str | None) -> str:
    text = clean(value if value is not None else "-")
    return text if len(text) <= LONGEST else f"{text[: LONGEST - 1]}…"


def page(data: "Comparison", accounts: "Sequence[AccountReport]") -> str:
    """Return the page of a comparison; the accounts are labeled as the page is to name them."""
    labels = [account.label for account in accounts]
    return rendered(
        "compare.html",
        data=data,
        accounts=accounts,
        curve=curve(accounts),
        runs=list(zip(labels, map(run_words, data.runs), strict=True)),
        rows=[(row.figures[0].label, row.figures) for row in data.rows],
    )
