"""`tradebot score`: score the universe from the facts known now, without trading."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from commands.shared.completing import symbols
from commands.shared.drawing import signed
from commands.shared.surface import Config, Json, Report, StateDir, caller, finish, opened
from commands.shared.times import when
from tradebot.errors import OperatorError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from rich.console import Console

    from commands.shared.passes import CandidateRow, PassData
    from tradebot.app.wiring import App

Explain = Annotated[
    str | None,
    typer.Option(
        "--explain",
        metavar="SYMBOL",
        help="Explain one symbol's score without recording it.",
        autocompletion=symbols,
    ),
]
Plot = Annotated[
    Path | None,
    typer.Option("--plot", metavar="FILE", help="With --explain, also draw it: FILE.svg or FILE.png."),
]
Diff = Annotated[
    tuple[str, str] | None,
    typer.Option(
        "--diff",
        metavar="CYCLE CYCLE",
        help="Show what moved between two recorded passes: ids, times, previous or last.",
    ),
]
Outcomes = Annotated[bool, typer.Option("--outcomes", help="Measure what followed the recorded candidates.")]
Since = Annotated[str | None, typer.Option("--since", help="First date that --outcomes measures [the first recorded].")]
SHORT = {
    "dark_pool": "dark",
    "market_tide": "tide",
    "greek_exposure": "gamma",
    "iv_rank": "iv",
    "oi_change": "oi",
}
"""Component names cut to what a narrow column holds."""
DOT = "·"


def run(app: "App", *, by: str) -> Report:
    """Score every symbol, record the scores, report them strongest first."""
    from commands.shared.asking import asking_world
    from commands.shared.in_turn import in_turn
    from commands.shared.passes import begin, both_clocks, pass_data
    from jobs.claims import Refused
    from tradebot.cycle import score
    from tradebot.model.record import Job

    clocks = both_clocks(app, Job.SCORE, dry_run=False)
    # Built before the slot is claimed, so that a missing strategy doesn't use up the slot.
    world = asking_world(app, "score")
    call, clocks = in_turn(app, "score", lambda: begin(app, Job.SCORE, by, clocks=clocks))
    assert not isinstance(call, Refused), "a score is never refused"
    data = pass_data(app, score(world, call, clocks.clock))
    return Report("score", data, lambda console: _render(console, data), mode=app.mode_name, account=app.account_tail)


def _render(console: "Console", data: "PassData") -> None:
    from commands.shared.passes import legend
    from commands.shared.tables import Table, number

    # A plug-in may name no components, or only some.
    names = list(dict.fromkeys(component.name for row in data.rows for component in row.components))
    several = len({row.strategy for row in data.rows}) > 1
    numbers = (number(name) for name in ("score", "coverage", *(SHORT.get(name, name) for name in names)))
    table = Table("symbol", *(("strategy",) if several else ()), *numbers, "result")
    for row in data.rows:
        who = (row.symbol, row.strategy) if several else (row.symbol,)
        found = {c.name: c.value for c in row.components}
        coverage = DOT if row.coverage is None else f"{row.coverage:.0%}"
        table.row(*who, _score(row), coverage, *_values(names, found), str(row.reason or "candidate"))
    dot = "; a dot means no data" if any(DOT in cells for cells, _ in table.rows) else ""
    console.print(f"Scores at {when(data.at)}, from -1 (bearish) to 1 (bullish){dot}")
    console.print(table)
    legend(console, data)


def _values(names: "Sequence[str]", found: "Mapping[str, float | None]") -> "Iterator[str]":
    """Yield each column's value, a dot if there is none."""
    for name in names:
        value = found.get(name)
        yield DOT if value is None else signed(value, 2)


def _score(row: "CandidateRow") -> str:
    if row.score is None:
        return DOT
    colour = "green" if row.score > 0 else "red" if row.score < 0 else "dim"
    return f"[{colour}]{signed(row.score, 3)}[/{colour}]"


def _refuse_combinations(
    explain: str | None, plot: Path | None, outcomes: bool, since: str | None, diff: tuple[str, str] | None
) -> None:
    if plot and not explain:
        raise OperatorError("--plot draws what --explain shows", "tradebot score --explain AAPL --plot aapl.svg")
    if since and not outcomes:
        raise OperatorError("--since belongs to --outcomes", f"tradebot score --outcomes --since {since}")
    if [bool(explain), outcomes, bool(diff)].count(True) > 1:
        raise OperatorError("--explain, --outcomes and --diff can't be combined", "use one of them")


def register(app: typer.Typer) -> None:
    """Register the verb."""

    @app.command(
        "score",
        epilog="tradebot score\ntradebot score --explain AAPL --plot aapl.svg\n"
        "tradebot score --outcomes --since 2026-11-16\ntradebot score --diff previous last",
    )
    def score(
        explain: Explain = None,
        plot: Plot = None,
        outcomes: Outcomes = False,
        since: Since = None,
        diff: Diff = None,
        state_dir: StateDir = None,
        config: Config = None,
        as_json: Json = False,
    ) -> None:
        """Score every symbol without trading.

        With --outcomes, it measures what followed the candidates recorded so far, refused ones too: whether the score
        and its components predicted it, and what the refusals cost or saved.
        """
        _refuse_combinations(explain, plot, outcomes, since, diff)
        with opened(state_dir, config) as bot:
            if outcomes:
                from commands.score.outcomes import day_of
                from commands.score.outcomes import run as run_outcomes

                report = run_outcomes(bot, day_of(since) if since else None)
            elif diff:
                from commands.score.diff import run as run_diff

                report = run_diff(bot, *diff)
            elif explain:
                from commands.score.explained import run as run_explained

                report = run_explained(bot, explain, plot)
            else:
                report = run(bot, by=caller())
        finish(report, as_json)
