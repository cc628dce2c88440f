"""Draw pictures, in the same colors for each verb: as a file that a person names, or as SVG inside a page."""

from __future__ import annotations

import re
from contextlib import contextmanager
from html import escape
from io import StringIO
from typing import TYPE_CHECKING, Any
from xml.etree import ElementTree

from commands.shared.files import replacing
from tradebot.errors import ExitCode, OperatorError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from pathlib import Path

    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

FORMATS = (".svg", ".png")
GAIN, LOSS, INK, QUIET = "#1f7a4d", "#c81e1e", "#1f2933", "#7b8794"
# A picture of the same figures is the same file: no time of making, and ids that are counted. Texts stay texts.
STYLE: Any = {"svg.hashsalt": "tradebot", "svg.fonttype": "none", "font.size": 10, "text.parse_math": False}
TITLE: Any = {"color": INK, "fontsize": 12, "fontweight": "bold"}
NUMBER = re.compile(r"-?\d+\.\d+")
FONTS = re.compile(r"font-family: [^;]*; ")
SHAPES, PLACES = ("path", "text"), ("d", "x", "y", "transform")


def picture_file(file: Path | None, example: str) -> Path | None:
    """Return the file of a picture, if one is named; raise OperatorError if its name ends in no format we can draw."""
    if file and file.suffix.lower() not in FORMATS:
        raise OperatorError(
            f"{file} is neither .svg nor .png",
            f"Name the picture after its format: --plot {example}",
            code=ExitCode.USAGE,
        )
    return file


@contextmanager
def picture(file: Path, width: float, height: float) -> Iterator[Figure]:
    """Yield a figure of a size in inches to draw in, and save it; raise OperatorError if that isn't possible."""
    with _figure(width, height) as figure:
        yield figure
        kind = file.suffix.lower().removeprefix(".")
        with replacing(file) as part:
            figure.savefig(part, format=kind, metadata={"Date": None} if kind == "svg" else None, dpi=150)


@contextmanager
def _figure(width: float, height: float) -> Iterator[Figure]:
    import matplotlib as mpl
    from matplotlib.figure import Figure

    with mpl.rc_context(STYLE):
        yield Figure(figsize=(width, height), layout="constrained")


def inline(draw: Callable[[Figure], None], width: float, height: float, variables: Mapping[str, str]) -> str:
    """Return a picture as SVG for a page, in the page's font; `variables` are its names of CSS for our colors.

    It has only shapes and texts: names, clips and references would be the page's, and a tenth of a point is enough.
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
    # What follows a move is a line, also without its letter.
    short = {name: " ".join(_rounded(element.get(name, "")).replace("L ", "").split()) for name in PLACES}
    known = [(name, value) for name, value in (*short.items(), ("style", style)) if value]
    attributes = " ".join(f'{name}="{value}"' for name, value in known)
    return f"<{_kind(element)} {attributes}>{escape(element.text or '')}</{_kind(element)}>"


def _rounded(numbers: str) -> str:
    return NUMBER.sub(lambda found: f"{float(found[0]):.1f}", numbers)


def title(axes: Axes, text: str) -> None:
    """Write a title above a chart."""
    axes.set_title(text, loc="left", **TITLE)
