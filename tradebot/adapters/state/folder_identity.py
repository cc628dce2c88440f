"""Distinguish a copy of a state folder from the original.

Each folder of an account stores its own path, and a copy contains that path too. So a folder is a copy if its stored
path leads to another folder of the same bot. Nothing else counts: a folder that was moved, restored, or mounted
elsewhere finds no such bot at the stored path, stores its new path, and continues. Inodes and devices aren't used,
because they may change at a reboot. A copy on another machine, or in a container at the same path, isn't noticed here.
As soon as it has sent an order, the other bot notices and halts (SECOND_WRITER). If a folder's marker is damaged or
lost, its backup copy is used, so that a bot can always reach its positions.
"""

import json
from contextlib import suppress
from pathlib import Path

from tradebot.adapters.state.marker_text import copies_of
from tradebot.adapters.state.safe_open import read_plain
from tradebot.adapters.state.state_folder import (
    BACKUPS,
    HOME,
    MARKER,
    MARKER_COPY,
    StateFolder,
    cannot_write,
    parsed_marker,
    place_text,
    read_marker,
    write_durably,
)
from tradebot.errors import DamagedMarkerError, OperatorError


def marker_from_copy(path: Path, error: DamagedMarkerError) -> StateFolder:
    """Return the marker from its first intact copy; raise `error` if there is none."""
    for copy in copies_of(path / MARKER, path / BACKUPS):
        with suppress(OSError, UnicodeDecodeError, OperatorError):
            return parsed_marker(path, read_plain(copy).decode())
    raise error


def load_marker(path: Path) -> StateFolder:
    """Return the folder's marker, or an intact copy if the marker is damaged. Raise like `read_marker`."""
    try:
        return read_marker(path)
    except DamagedMarkerError as error:
        return marker_from_copy(path, error)


def mark_again(path: Path, marker: Path) -> None:
    """Mark a prepared folder with a backup's marker; raise OperatorError if the marker is damaged or can't be
    written.
    """
    text = read_plain(marker).decode()
    parsed_marker(path, text)
    try:
        for name in (MARKER_COPY, MARKER):
            write_durably(path / name, text)
    except OSError as error:
        raise cannot_write(path, error) from error


def original(folder: StateFolder) -> Path | None:
    """Return the folder that this one is a copy of, if the same bot is still there; otherwise None."""
    home = _noted_place(folder)
    if home is None or home == folder.path.resolve():
        return None
    try:
        is_elsewhere = not home.samefile(folder.path)
    except (OSError, ValueError):
        return None
    return home if is_elsewhere and any(_id_at(home / name) == folder.id for name in (MARKER, MARKER_COPY)) else None


def note_place(folder: StateFolder) -> None:
    """Store the folder's path, unless it is a copy. Failures are ignored, because they must not prevent exits."""
    if folder.sends_orders and _noted_place(folder) != folder.path.resolve() and original(folder) is None:
        with suppress(OSError):
            write_durably(folder.path / HOME, place_text(folder.path))


def take_over(folder: StateFolder, other: Path) -> None:
    """Make the other folder the copy and this folder the original; raise OperatorError if either can't be written.

    After a crash in between, neither folder sends orders until this is done again.
    """
    for path in (other, folder.path):
        try:
            write_durably(path / HOME, place_text(folder.path))
        except OSError as error:
            raise cannot_write(path, error) from error


def _noted_place(folder: StateFolder) -> Path | None:
    """Return the path that a folder has stored; None if it has none, or an unreadable one."""
    try:
        return Path(json.loads(read_plain(folder.path / HOME))) if folder.sends_orders else None
    except (OSError, ValueError, TypeError):
        return None


def _id_at(marker: Path) -> str | None:
    with suppress(OSError, UnicodeDecodeError, OperatorError):
        return parsed_marker(marker.parent, read_plain(marker).decode()).id
    return None
