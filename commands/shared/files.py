"""Write what a verb shows to a file that a person names: a text, or rows as CSV."""

import csv
import io
from collections.abc import Iterable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from commands.shared.plain import note, say
from commands.shared.surface import Report, jsonable
from tradebot.errors import OperatorError

if TYPE_CHECKING:
    from rich.console import Console

STDOUT = Path("-")


def save(text: str, file: Path, hint: str = "name another file") -> None:
    """Write a text to a file; raise OperatorError if that isn't possible."""
    try:
        file.write_text(text, encoding="utf-8", newline="")
    except OSError as error:
        raise unwritable(file, error, hint) from error


def unwritable(file: Path, error: OSError, hint: str = "name another file") -> OperatorError:
    """Return the error to raise if a file can't be written."""
    return OperatorError(f"{file} can't be written: {error.strerror or error}", hint)


def csv_text(columns: Sequence[str], rows: Iterable[Iterable[str]]) -> str:
    """Return the text of a CSV file: a line of column names, and a line for each row."""
    file = io.StringIO(newline="")
    out = csv.writer(file, lineterminator="\n")
    out.writerow(columns)
    out.writerows(rows)
    return file.getvalue()


def cell(value: object) -> str:
    """Return a value as JSON writes it: texts of a tuple with spaces between them, and nothing for what isn't known."""
    if isinstance(value, tuple):
        return " ".join(value)
    plain = jsonable(value)
    return "" if plain is None else str(plain)


def to_csv(
    report: Report, text: str, file: Path, what: str, *, below: Sequence[str] = (), apart: Sequence[str] = ()
) -> Report:
    """Write the text of a CSV file, and return a report that says on the screen that it has `what`, such as `4 lots`.

    `below` are more lines for the screen. For stdout, print only the text there, the lines `apart` to stderr, and raise
    typer.Exit.
    """
    if file == STDOUT:
        say(text.removesuffix("\n"))
        for line in apart:
            note(line)
        raise typer.Exit
    save(text, file, "name another file, or - for stdout")

    def render(out: "Console") -> None:
        for line in (f"{what} written to {file}", *below):
            out.print(line, markup=False)

    return replace(report, render=render)
