"""Write what a verb shows to a file that a person names: a text, or rows as CSV."""

import csv
import io
import os
import stat
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

import typer
from rich.console import Console

from commands.shared.light_helpers import note, say
from commands.shared.verb_options import Report, jsonable
from tradebot.adapters.state.state_folder import MARKER
from tradebot.errors import OperatorError
from tradebot.model.values import replace

STDOUT = Path("-")
FORMATS = (".csv", ".html", ".svg", ".png")


def save(text: str, file: Path, hint: str = "name another file") -> None:
    """Write a text to a file; raise OperatorError if that isn't possible."""
    with replacing(file, hint) as part:
        part.write_text(text, encoding="utf-8", newline="")


@contextmanager
def replacing(file: Path, hint: str = "name another file") -> Iterator[Path]:
    """Yield where to write a file's content; the file has it once all is written, and keeps its old one until then.

    Raises OperatorError if it can't be written, or if it is a bot's own.
    """
    whole = Path(os.path.realpath(file))
    if os.path.exists(whole.parent / MARKER) and whole.suffix.lower() not in FORMATS:
        raise OperatorError(f"{file} is in a bot's folder, and its name doesn't end in {', '.join(FORMATS)}", hint)
    # A pipe or a device can't be replaced, and a folder is refused when it is written to.
    is_new, is_file = not os.path.exists(whole), os.path.isfile(whole)
    part = whole.with_name(f".{whole.name}.{os.getpid()}.part") if is_new or is_file else whole
    try:
        yield part
        if is_file:
            part.chmod(stat.S_IMODE(whole.stat().st_mode))
        if part != whole:
            part.replace(whole)
    except OSError as error:
        raise OperatorError(f"{file} can't be written: {error.strerror or error}", hint) from error
    finally:
        if part != whole:
            with suppress(OSError):
                part.unlink()


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

    def render(out: "Console", _: object) -> None:
        for line in (f"{what} written to {file}", *below):
            out.print(line, markup=False)

    return replace(report, render=render)
