"""Tell which files of plug-ins reach into the span that was played: nothing cuts off what a file holds."""

from __future__ import annotations

import re
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tradebot.app.settings import Settings

DATE = re.compile(rb"(?<![\d.])((?:19|20)\d\d)([-/]?)(0[1-9]|1[0-2])\2(0[1-9]|[12]\d|3[01])(?![\d.])")
"""2026-11-16, 2026/11/16 and 20261116; not the digits of a longer number."""
CHUNK = 1 << 20
LONGEST = 10
"""So many characters of a date may be cut at the end of a chunk."""


def reaching(settings: Settings, first: date) -> Iterator[tuple[str, str, date]]:
    """Yield each declared file with a date from the first session on: whose it is, its name, and the last date."""
    for name, section in settings.strategies.sections().items():
        for file in getattr(section, "files", None) or ():
            last = last_date(Path(file))
            if last is not None and last >= first:
                yield name, file, last


def last_date(file: Path) -> date | None:
    """Return the last date that stands in a file as text; None if none does, or if it can't be read."""
    last, before = None, b""
    try:
        with file.open("rb") as opened:
            while chunk := opened.read(CHUNK):
                for year, _, month, day in DATE.findall(before + chunk):
                    found = _date(int(year), int(month), int(day))
                    last = max(filter(None, (last, found)), default=None)
                before = chunk[-LONGEST:]
    except OSError:
        return None
    return last


def _date(year: int, month: int, day: int) -> date | None:
    try:
        return date(year, month, day)
    except ValueError:
        return None
