"""`report --html FILE`: the report as a page."""

from html import escape
from pathlib import Path
from typing import TYPE_CHECKING

from tradebot.errors import OperatorError

if TYPE_CHECKING:
    from tradebot.views.performance.report import Report

PAGE = """<!doctype html>
<html lang="en"><meta charset="utf-8"><title>tradebot report</title><pre>{text}</pre></html>
"""


def write(data: "Report", file: Path) -> None:
    """Write the report as a page of its own; raise OperatorError if the file can't be written."""
    from commands.report.screen import render
    from commands.shared.surface import console

    screen = console()
    with screen.capture() as shown:
        render(screen, data)
    try:
        file.write_text(PAGE.format(text=escape(shown.get())), encoding="utf-8")
    except OSError as error:
        raise OperatorError(f"{file} can't be written: {error.strerror}", "Name another file.") from error
