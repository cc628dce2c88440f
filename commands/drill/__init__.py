"""`tradebot drill list` and `run`: rehearse failures before they happen."""

import time
from datetime import UTC, datetime
from pathlib import Path
from tempfile import TemporaryDirectory
from textwrap import shorten
from typing import TYPE_CHECKING, Annotated

import typer
from msgspec import Struct

from commands.shared.declaration import VerbPurpose, group
from commands.shared.light_helpers import clean, print_to_stderr
from commands.shared.times import when
from commands.shared.verb_options import Report, on_bot
from tradebot import __version__
from tradebot.errors import ExitCode, OperatorError, word
from tradebot.model.trading import Mode

if TYPE_CHECKING:
    from rich.console import Console

    from commands.drill.drills import PlayedDrill
    from tradebot.app.wiring import App

group("drill", "Rehearse failures, on a separate bot and exchange.")

FOLDER = "drills"
LONGEST = 200
"""How much of the evidence of a check is shown, in characters; the page has all of it."""


class DrillRow(Struct, frozen=True):
    """One drill: a description, and its last result."""

    name: str
    what: str
    played_at: datetime | None
    passed: bool | None
    version: str | None


class Drills(Struct, frozen=True):
    """All drills, in the recommended order."""

    drills: tuple[DrillRow, ...]


class DrillPlayed(Struct, frozen=True):
    """The result of one drill, and the path of its page."""

    drill: "PlayedDrill"
    passed: bool
    page: str


@on_bot("drill list", VerbPurpose.TELL, 120, {"drill-list/1": (Drills,)}, epilog="tradebot drill list")
def list_drills(bot: "App") -> Report:
    """Show the drills and their last results."""
    from commands.drill.drills import DRILLS, read

    runs = read(bot.folder.path / FOLDER)
    rows = []
    for drill in DRILLS.values():
        last = runs.get(drill.name)
        rows.append(
            DrillRow(
                drill.name,
                drill.what,
                last.at if last else None,
                last.passed if last else None,
                last.version if last else None,
            )
        )
    return Report("drill-list", Drills(tuple(rows)), _render_list)


def _render_list(console: "Console", data: Drills) -> None:
    for row in data.drills:
        went = "passed" if row.passed else "FAILED"
        how = "not played yet" if row.played_at is None else f"{went} {when(row.played_at)}"
        console.print(f"{row.name:<18} {row.what} ({how})", markup=False)


@on_bot(
    "drill run",
    VerbPurpose.TELL,
    130,
    {"drill-run/1": (DrillPlayed,)},
    epilog="tradebot drill run halt\ntradebot drill run broker_down",
)
def run_drill(bot: "App", name: Annotated[str, typer.Argument(help="The drill; drill list shows all.")]) -> Report:
    """Run a drill on a separate bot, and check its effects.

    Your bot and your account aren't touched: the drill creates a bot and an exchange with the shipped settings, and
    removes them afterwards. A page of evidence stays in the state folder. Exits with code 10 if a check failed.
    """
    from commands.drill.drills import DRILLS, PlayedDrill, keep
    from commands.drill.stage import set_stage

    drill = DRILLS.get(name)
    if drill is None:
        raise OperatorError(f"there is no drill named {word(name)}", f"choose one of {', '.join(DRILLS)}")
    if bot.mode is Mode.LIVE:
        raise OperatorError(
            "drills are for the sandbox and for paper, not for a bot with real money",
            "name another bot: tradebot drill run DRILL --state-dir FOLDER",
        )
    print_to_stderr(f"{drill.what} The drill uses a separate, temporary bot, and takes about half a minute.")
    at, began = datetime.now(UTC), time.monotonic()
    with TemporaryDirectory(prefix="drill-") as folder, set_stage(Path(folder) / "bot") as stage:
        drill.play(stage)
    took_s, steps, checks = time.monotonic() - began, tuple(stage.steps), tuple(stage.checks)
    played = PlayedDrill(drill.name, drill.what, at, __version__, took_s, steps, checks)
    page = keep(bot.folder.path / FOLDER, played)
    code = ExitCode.DONE if played.passed else ExitCode.FINDINGS
    return Report("drill-run", DrillPlayed(played, played.passed, str(page)), _render_run, code)


def _render_run(console: "Console", data: DrillPlayed) -> None:
    from rich.markup import escape

    for check in data.drill.checks:
        mark = "[green]yes[/green]" if check.held else "[red]NO [/red]"
        finding = shorten(clean(check.found), LONGEST, placeholder=" ...")
        console.print(f"{mark} {escape(check.what)}: [dim]{escape(finding)}[/dim]")
    console.print("passed" if data.passed else "[red]FAILED[/red]: not every expected result occurred")
    console.print(f"the evidence: {data.page}", markup=False)
