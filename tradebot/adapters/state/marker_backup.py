"""Go by the copy of a state folder's marker if that is damaged or lost: it must keep no bot in its positions."""

from contextlib import suppress
from pathlib import Path

from tradebot.adapters.state.marker_text import copies_of
from tradebot.adapters.state.safe_open import read_plain
from tradebot.adapters.state.state_folder import (
    BACKUPS,
    MARKER,
    MARKER_COPY,
    StateFolder,
    cannot_write,
    parsed_marker,
    read_marker,
    write_durably,
)
from tradebot.errors import DamagedMarkerError, OperatorError


def by_its_copy(path: Path, error: DamagedMarkerError) -> StateFolder:
    """Return what a damaged marker said, by the first copy that is as it was written; raise `error` if none is."""
    for copy in copies_of(path / MARKER, path / BACKUPS):
        with suppress(OSError, UnicodeDecodeError, OperatorError):
            return parsed_marker(path, read_plain(copy).decode())
    raise error


def whose(path: Path) -> StateFolder:
    """Return the folder's marker, or its copy's if it is damaged. Raises what `read_marker` raises."""
    try:
        return read_marker(path)
    except DamagedMarkerError as error:
        return by_its_copy(path, error)


def mark_again(path: Path, marker: Path) -> None:
    """Mark a prepared folder by the marker of a backup; OperatorError if that is damaged or can't be written."""
    text = read_plain(marker).decode()
    parsed_marker(path, text)
    try:
        for name in (MARKER_COPY, MARKER):
            write_durably(path / name, text)
    except OSError as error:
        raise cannot_write(path, error) from error
