"""Count the starts of `serve` that nobody ended well, so that a crash loop shows."""

import json
from datetime import datetime, timedelta
from pathlib import Path

from tradebot.adapters.state.safe_open import read_plain
from tradebot.adapters.state.state_folder import STARTS, write_durably
from tradebot.adapters.text.canonical import parse_time, time_text

WINDOW = timedelta(minutes=10)
MOST = 5
"""How many starts within the window are fine; one more is a crash loop."""


def note_start(folder: Path, now: datetime) -> int:
    """Note a start durably, before anything is done; return how many there were within the window, this one included.

    OSError if it can't be noted: what can't be counted could go on forever.
    """
    # If the machine's clock was set back, the starts since then still count, in whatever order they seem to come.
    recent = [at for at in _noted(folder) if abs(now - at) < WINDOW][-MOST:]
    _write(folder, [*recent, now])
    return len(recent) + 1


def forget_start(folder: Path, at: datetime) -> None:
    """Forget a start that ended well, which a restart by a person does too."""
    _write(folder, [each for each in _noted(folder) if each != at])


def forget_starts(folder: Path) -> None:
    """Forget all recorded starts, because a person has looked into why there were so many."""
    _write(folder, [])


def _write(folder: Path, starts: list[datetime]) -> None:
    write_durably(folder / STARTS, json.dumps([time_text(at) for at in starts]) + "\n")


def _noted(folder: Path) -> list[datetime]:
    """Return the noted starts; none if the file is missing or isn't ours to read."""
    try:
        return [parse_time(text) for text in json.loads(read_plain(folder / STARTS))]
    except (OSError, ValueError, TypeError):
        return []
