"""`tradebot search`: search for better values of settings, and assess which results are credible."""

from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from commands.backtest.run_options import BacktestOptions, wish_of
from commands.report.files import Plot
from commands.search.study_options import StudyOptions, WorkerLocation
from commands.shared.declaration import VerbPurpose, verb
from commands.shared.light_helpers import Identity
from commands.shared.verb_options import Json, Report, finish, with_options, without_options
from tradebot.adapters.text.extras import install
from tradebot.errors import OperatorError

if TYPE_CHECKING:
    from rich.console import Console

    from commands.search.report import Searched

EXAMPLES = """tradebot search space.yaml --profile rotation --bars etfs.parquet --check
tradebot search space.yaml --profile rotation --bars etfs.parquet --plot search.svg
tradebot search space.yaml --storage sqlite:////srv/studies.db --study may --resume"""

Storage = Annotated[
    str | None,
    typer.Option("--storage", help="Journal file, .db file or database address [STATE/backtests/searches]."),
]
StudyName = Annotated[str | None, typer.Option("--study", help="The name of the study [from its fingerprint].")]
Workers = Annotated[
    int | None, typer.Option("--workers", min=1, max=1_000, help="Processes [one per core, if memory allows].")
]
Where = Annotated[
    WorkerLocation, typer.Option("--on", help="Where workers run; ray: on the cluster at RAY_ADDRESS, or here.")
]
Resume = Annotated[bool, typer.Option("--resume", help="Continue a study, or join one from another machine.")]
OnlyCheck = Annotated[bool, typer.Option("--check", help="Only check that the space is valid; run no trials.")]


def run(file: Path, wish: BacktestOptions, how: StudyOptions, plot: Path | None) -> Report:
    from commands.shared.files import picture_file

    picture = picture_file(plot, "search.svg")
    require_extras(how.on)
    from commands.search.report import draw, render
    from commands.search.run_study import search

    data = search(file, wish, how)
    if picture and data.verdict:
        draw(data, picture)

    def show(out: "Console", of: "Searched") -> None:
        render(out, of)
        if picture:
            out.print(f"\nWritten: {picture}" if of.verdict else "\nNothing is drawn without a verdict", markup=False)

    return Report("search", data, show, bot_identity=Identity("sandbox", data.venue))


def require_extras(on: WorkerLocation) -> None:
    """Raise OperatorError if a library that a search needs for these workers isn't installed."""
    if find_spec("optuna") is None:
        raise OperatorError("a search needs the extra search", install("search"))
    if on is WorkerLocation.RAY and find_spec("ray") is None:
        raise OperatorError("--on ray needs the extra ray", install("search,ray"))


@verb(
    "search", VerbPurpose.TRY, 30, {"search/1": ("commands.search.report:Searched",)}, elsewhere=True, epilog=EXAMPLES
)
@with_options(wish=without_options(wish_of, "venue", "equity_at", "margin", "recorder", "every_pass"))
def search(
    space: Annotated[Path, typer.Argument(metavar="SPACE", help="File with the values to try; see docs/SEARCH.md.")],
    storage: Storage = None,
    study: StudyName = None,
    workers: Workers = None,
    on: Where = WorkerLocation.PROCESSES,
    resume: Resume = False,
    check: OnlyCheck = False,
    *,
    wish: BacktestOptions,
    plot: Plot = None,
    as_json: Json = False,
) -> None:
    """Search for better settings, and assess the results.

    Runs a backtest for each combination of values in a space, in as many processes as there are cores. Some sessions
    decide which values are best, and the others check that choice. The result is a verdict: how likely luck alone
    produces such a best trial, whether its neighbors earn as much, and what remains with costs doubled. Ctrl-C keeps
    finished trials, and --resume continues. With --on ray, the workers run on the Ray cluster at RAY_ADDRESS, or on one
    already running on this machine; a search doesn't start a cluster.
    """
    finish(run(space, wish, StudyOptions(storage, study, workers, resume, check, on), plot), as_json)
