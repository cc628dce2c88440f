"""Write a verb's output to a file that a person names: a text, or rows as CSV."""

from __future__ import annotations

import csv
import io
import os
import re
import stat
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from html import escape
from io import StringIO
from pathlib import Path
from shlex import quote
from typing import TYPE_CHECKING, Any
from xml.etree import ElementTree

import typer
from rich.console import Console

from commands.shared.light_helpers import note, say
from commands.shared.verb_options import Report, jsonable
from tradebot.adapters.state.state_folder import MARKER
from tradebot.errors import ExitCode, OperatorError
from tradebot.model.struct_tools import replace

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

STDOUT = Path("-")
FORMATS = (".csv", ".html", ".svg", ".png")


def save(text: str, file: Path, hint: str = "name another file") -> None:
    """Write a text to a file; raise OperatorError if that isn't possible."""
    with open_replacement(file, hint) as part:
        part.write_text(text, encoding="utf-8", newline="")


ANOTHER = "name another file"


@contextmanager
def open_replacement(file: Path, hint: str = ANOTHER) -> Iterator[Path]:
    """Yield a path to write to; the result replaces the file once it is complete.

    Raises OperatorError if the file can't be written, or belongs to a bot.
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
        missing = hint == ANOTHER and not os.path.exists(file.parent)
        cure = f"mkdir -p {quote(str(file.parent))}" if missing else hint
        raise OperatorError(f"{file} can't be written: {error.strerror or error}", cure) from error
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
    """Return a value as JSON writes it; the texts of a tuple are separated by spaces, and None is an empty text."""
    if isinstance(value, tuple):
        return " ".join(value)
    plain = jsonable(value)
    return "" if plain is None else str(plain)


def to_csv(
    report: Report, text: str, file: Path, what: str, *, below: Sequence[str] = (), apart: Sequence[str] = ()
) -> Report:
    """Write the text of a CSV file, and return a report that names its contents (`what`), such as `4 lots`.

    `below` are more lines for the screen. If the file is stdout, nothing but the text is printed to it. The lines
    `apart` then go to stderr, and typer.Exit is raised.
    """
    if file == STDOUT:
        say(text.removesuffix("\n"))
        for line in apart:
            note(line)
        raise typer.Exit
    save(text, file, "name another file, or - for stdout")

    def render(out: Console, _: object) -> None:
        for line in (f"{what} written to {file}", *below):
            out.print(line, markup=False)

    return replace(report, render=render)


PICTURE_FORMATS = (".svg", ".png")
GAIN, LOSS, INK, QUIET = "#1f7a4d", "#c81e1e", "#1f2933", "#7b8794"
# The same figures must give the same picture file: no creation time, and numbered ids. Texts stay texts.
STYLE: Any = {"svg.hashsalt": "tradebot", "svg.fonttype": "none", "font.size": 10, "text.parse_math": False}
TITLE: Any = {"color": INK, "fontsize": 12, "fontweight": "bold"}
NUMBER = re.compile(r"-?\d+\.\d+")
FONTS = re.compile(r"font-family: [^;]*; ")
SHAPES, PLACES = ("path", "text"), ("d", "x", "y", "transform")


def picture_file(file: Path | None, example: str) -> Path | None:
    """Return the file for a picture, if one was named; raise OperatorError if its suffix isn't a supported format."""
    if file and file.suffix.lower() not in PICTURE_FORMATS:
        raise OperatorError(
            f"{file} is neither .svg nor .png",
            f"Name the picture after its format: --plot {example}",
            code=ExitCode.USAGE,
        )
    return file


@contextmanager
def open_figure(file: Path, width: float, height: float) -> Iterator[Figure]:
    """Yield a figure of this size in inches to draw in, then save it; raise OperatorError if that fails."""
    with _figure(width, height) as figure:
        yield figure
        kind = file.suffix.lower().removeprefix(".")
        with open_replacement(file) as part:
            figure.savefig(part, format=kind, metadata={"Date": None} if kind == "svg" else None, dpi=150)


@contextmanager
def _figure(width: float, height: float) -> Iterator[Figure]:
    import matplotlib as mpl
    from matplotlib.figure import Figure

    with mpl.rc_context(STYLE):
        yield Figure(figsize=(width, height), layout="constrained")


def inline_svg(draw: Callable[[Figure], None], width: float, height: float, variables: Mapping[str, str]) -> str:
    """Return a picture as SVG for a page, in the page's font; `variables` are the page's CSS names of the colors.

    It contains only shapes and texts: names, clips and references could clash with the page's. Coordinates are rounded
    to a tenth of a point.
    """
    written = StringIO()
    with _figure(width, height) as figure:
        draw(figure)
        figure.savefig(written, format="svg", metadata={"Date": None}, transparent=True)
    root = ElementTree.fromstring(written.getvalue())  # noqa: S314 - it was written in the line above
    shapes = [_shape(each, variables) for each in root.iter() if _kind(each) in SHAPES]
    return "\n".join((f'<svg viewBox="{root.get("viewBox")}" aria-hidden="true">', *shapes, "</svg>"))


def _kind(element: ElementTree.Element) -> str:
    return element.tag.rpartition("}")[2]


def _shape(element: ElementTree.Element, variables: Mapping[str, str]) -> str:
    style = FONTS.sub("", element.get("style", ""))
    for color, name in variables.items():
        style = style.replace(color, f"var(--{name})")
    # A point that follows a move is a line, even without its letter.
    short = {name: " ".join(_round_numbers(element.get(name, "")).replace("L ", "").split()) for name in PLACES}
    pairs = [(name, value) for name, value in (*short.items(), ("style", style)) if value]
    attributes = " ".join(f'{name}="{value}"' for name, value in pairs)
    return f"<{_kind(element)} {attributes}>{escape(element.text or '')}</{_kind(element)}>"


def _round_numbers(numbers: str) -> str:
    return NUMBER.sub(lambda match: f"{float(match[0]):.1f}", numbers)


def write_title(axes: Axes, text: str) -> None:
    """Write a title above a chart."""
    axes.set_title(text, loc="left", **TITLE)
