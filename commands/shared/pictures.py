"""Draw a picture to a file that a person names: SVG or PNG, in the same colors for each verb."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

from commands.shared.files import replacing
from tradebot.errors import ExitCode, OperatorError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

FORMATS = (".svg", ".png")
GAIN, LOSS, INK, QUIET = "#1f7a4d", "#c81e1e", "#1f2933", "#7b8794"


def checked(file: Path | None, example: str) -> Path | None:
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
    """Yield a figure to draw in, so many inches large, and write it; raise OperatorError if that isn't possible."""
    import matplotlib as mpl
    from matplotlib.figure import Figure

    # A picture of the same figures is the same file: no time of making, and ids that are counted.
    with mpl.rc_context({"svg.hashsalt": "tradebot", "font.size": 10, "svg.fonttype": "none"}):
        figure = Figure(figsize=(width, height), layout="constrained")
        yield figure
        kind = file.suffix.lower().removeprefix(".")
        with replacing(file) as part:
            figure.savefig(part, format=kind, metadata={"Date": None} if kind == "svg" else None, dpi=150)


def title(axes: Axes, text: str) -> None:
    """Write a title above a chart."""
    axes.set_title(text, loc="left", color=INK, fontsize=12, fontweight="bold")
