"""`tradebot score`: score the universe from the facts known now; nothing is bought."""

from typing import TYPE_CHECKING

import typer

from commands.surface import Config, Json, Report, StateDir, caller, finish, opened

if TYPE_CHECKING:
    from rich.console import Console

    from commands.passes import CandidateRow, PassData
    from tradebot.wiring import App

SHORT = {
    "dark_pool": "dark",
    "market_tide": "tide",
    "greek_exposure": "gamma",
    "iv_rank": "iv",
    "oi_change": "oi",
}
"""Component names cut to what a narrow column holds."""


def run(app: "App", *, by: str) -> Report:
    """Score every symbol, record the scores, report them strongest first."""
    from commands.passes import begin, pass_data
    from jobs.claims import Refused
    from tradebot.cycle import score
    from tradebot.model.record import Job

    with app.pass_lock("score"):
        call, clock = begin(app, Job.SCORE, by)
        assert not isinstance(call, Refused), "a score may always be asked for"
        data = pass_data(score(app.world(), call, clock))
    return Report("score", data, lambda console: _render(console, data), mode=app.mode, account=app.account_tail)


def _render(console: "Console", data: "PassData") -> None:
    from rich.table import Table

    from commands.passes import legend

    console.print(f"Scores at {data.at:%Y-%m-%d %H:%M:%S} UTC: -1 is bearish, 1 is bullish, a dot is absent data")
    names = [component.name.value for component in data.rows[0].components] if data.rows else []
    table = Table(box=None, pad_edge=False)
    table.add_column("symbol")
    for name in ("score", "coverage", *(SHORT.get(name, name) for name in names)):
        table.add_column(name, justify="right", no_wrap=True)
    table.add_column("the strategy says", overflow="fold")
    for row in data.rows:
        values = ("·" if c.value is None else f"{c.value + 0.0:+.2f}" for c in row.components)
        says = str(row.reason or "a candidate")
        table.add_row(
            row.symbol, _score(row), f"{row.coverage:.0%}" if row.coverage is not None else "·", *values, says
        )
    console.print(table)
    legend(console, data)


def _score(row: "CandidateRow") -> str:
    if row.score is None:
        return "·"
    colour = "green" if row.score > 0 else "red" if row.score < 0 else "dim"
    return f"[{colour}]{row.score:+.3f}[/{colour}]"


def register(app: typer.Typer) -> None:
    """Put the verb on the command line."""

    @app.command("score", epilog="Example: tradebot score")
    def score(state_dir: StateDir = None, config: Config = None, as_json: Json = False) -> None:
        """Score the universe from the facts known now; nothing is bought."""
        with opened(state_dir, config) as bot:
            report = run(bot, by=caller())
        finish(report, as_json)
