"""Pictures that a person names: in two formats, the same each time, and refused with the reason."""

from pathlib import Path

import pytest

from commands.shared.pictures import checked, picture, title
from tradebot.errors import ExitCode, OperatorError


def draw(file: Path) -> bytes:
    """Draw a small picture, and return it."""
    with picture(file, 2, 1) as figure:
        axes = figure.subplots()
        axes.plot([1, 2], label="up")
        axes.set_axis_off()
        title(axes, "Up")
    return file.read_bytes()


def test_picture_of_the_same_figures_is_the_same_file(tmp_path: Path) -> None:
    first, second = draw(tmp_path / "a.svg"), draw(tmp_path / "b.SVG")
    assert first == second
    assert b">Up<" in first, "texts stay texts"
    assert draw(tmp_path / "a.png").startswith(b"\x89PNG")


def test_picture_name_without_a_format_is_refused_with_an_example() -> None:
    assert checked(None, "pnl.svg") is None
    assert checked(Path("a.PNG"), "pnl.svg") == Path("a.PNG")
    with pytest.raises(OperatorError, match=r"a\.pdf is neither \.svg nor \.png") as refused:
        checked(Path("a.pdf"), "pnl.svg")
    assert (refused.value.code, refused.value.hint.split()[-2:]) == (ExitCode.USAGE, ["--plot", "pnl.svg"])


def test_a_file_that_cannot_be_written_is_named_with_the_reason(tmp_path: Path) -> None:
    with pytest.raises(OperatorError, match=r"none/a\.svg can't be written: No such file or directory"):
        draw(tmp_path / "none" / "a.svg")
