"""`--plot` and `--html`: the picture and the page that some verbs write in addition to their screen."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from msgspec import Struct

from commands.shared.verb_options import Report
from tradebot.errors import ExitCode, OperatorError
from tradebot.model.struct_tools import replace

if TYPE_CHECKING:
    from rich.console import Console

    from tradebot.lab.performance.frames import Frames
    from tradebot.lab.performance.report import AccountReport

Plot = Annotated[Path | None, typer.Option("--plot", metavar="FILE", help="Also draw the curve: FILE.svg or FILE.png.")]
Frame = Annotated[
    Path | None,
    typer.Option("--frame", metavar="FILE", help="Also write tables: FILE.csv or FILE.parquet, as FILE-equity.csv, …"),
]
Html = Annotated[Path | None, typer.Option("--html", metavar="FILE", help="Also write the report as a web page.")]


MOST_CURVES = 6
"""The number of curves that can be distinguished by color."""


class Files(Struct, frozen=True):
    """The files to write; None for those that weren't requested."""

    picture: Path | None
    page: Path | None
    frame: Path | None = None

    def __bool__(self) -> bool:
        """Return True if there is anything to write."""
        return bool(self.picture or self.page or self.frame)


def files_of(plot: Path | None, html: Path | None, frame: Path | None = None) -> Files:
    """Return the requested files; raise OperatorError for an unsupported format, or a page to stdout."""
    from commands.shared.files import picture_file

    if html == Path("-"):
        raise OperatorError("a page can't go to stdout", "name its file: --html report.html")
    for file in filter(None, (plot, html)):
        if file.is_dir():
            raise OperatorError(f"{file} is a folder", "name a file in it")
    if frame and frame.suffix.lower() not in (".csv", ".parquet"):
        raise OperatorError(f"{frame} is neither .csv nor .parquet", "--frame run.csv", code=ExitCode.USAGE)
    return Files(picture_file(plot, "curve.svg"), html, frame)


def write_files(
    shown: Report,
    files: Files,
    accounts: "Sequence[AccountReport]",
    page: Callable[[], str],
    tables: "Callable[[], Frames] | None" = None,
) -> Report:
    """Write the files, and return the report with their names below it."""
    paths = [file for file in (files.picture, files.page) if file]
    if files.picture:
        from commands.report.chart import draw

        draw(accounts, files.picture)
    if files.page:
        from commands.shared.files import save as save_text

        save_text(page(), files.page)
    if files.frame and tables:
        from commands.report.report_inputs import save

        paths += save(tables(), files.frame)

    def render(out: "Console", data: object) -> None:
        shown.render(out, data)
        for file in paths:
            out.print(f"Written: {file}", markup=False)

    return replace(shown, render=render)
