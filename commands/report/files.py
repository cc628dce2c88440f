"""`--plot` and `--html`: the picture and the page that some verbs write beside what they show."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from msgspec import Struct

from commands.shared.surface import Report
from tradebot.errors import OperatorError
from tradebot.model.values import replace

if TYPE_CHECKING:
    from rich.console import Console

    from tradebot.views.performance.report import AccountReport

Plot = Annotated[Path | None, typer.Option("--plot", metavar="FILE", help="Also draw the curve: FILE.svg or FILE.png.")]
Html = Annotated[Path | None, typer.Option("--html", metavar="FILE", help="Also write the report as a web page.")]


MOST_CURVES = 6
"""So many curves are told apart by their colors."""


class Files(Struct, frozen=True):
    """The files that are to be written; None for those that aren't."""

    picture: Path | None
    page: Path | None

    def __bool__(self) -> bool:
        """Return True if there is anything to write."""
        return bool(self.picture or self.page)


def files_of(plot: Path | None, html: Path | None) -> Files:
    """Return the files that are asked for; raise OperatorError for a format we can't draw, or a page to stdout."""
    from commands.shared.pictures import checked

    if html == Path("-"):
        raise OperatorError("a page can't go to stdout", "name its file: --html report.html")
    for file in filter(None, (plot, html)):
        if file.is_dir():
            raise OperatorError(f"{file} is a folder", "name a file in it")
    return Files(checked(plot, "curve.svg"), html)


def written(shown: Report, files: Files, accounts: "Sequence[AccountReport]", page: Callable[[], str]) -> Report:
    """Write the files, and return the report with their names below it."""
    if files.picture:
        from commands.report.chart import draw

        draw(accounts, files.picture)
    if files.page:
        from commands.shared.files import save

        save(page(), files.page)

    def render(out: "Console", data: object) -> None:
        shown.render(out, data)
        for file in filter(None, (files.picture, files.page)):
            out.print(f"Written: {file}", markup=False)

    return replace(shown, render=render)
