"""Whether the books are still as they were when they were last read through, found without reading them again.

Reading years of books takes seconds, and a pass mustn't wait for that each time. So whoever reads ledger and journal
through notes both files as the system reports them: device, inode, size, and the times of their last changes. Each of
our own writes carries the note on. As long as the files are as noted, nobody else has written to them: the system
sets the time of a file's last status change itself, so an editor, a copy and a restored file all show.

What this can't show is a bit that flips on the disk itself, while no program writes. So a note counts only for the UTC
day on which the books were read through, and only until the machine starts again; it is never needed, and a note that
can't be read or written only means that the books are read through.

Whatever may add risk again (`unhalt`, `live`) and `doctor` read everything, whatever the note says.
"""

import json
import os
import time
from collections.abc import Callable
from contextlib import suppress
from datetime import UTC, date, datetime
from pathlib import Path
from typing import NamedTuple

from tradebot.adapters.failpoint import around
from tradebot.adapters.state.resources import boot_id
from tradebot.adapters.state.safe_open import read_plain, written_plain
from tradebot.adapters.state.state_folder import CHECKED, JOURNAL, LEDGER

COARSE_NS = 10_000_000
"""The system's clock for file times may lag by this much; two changes within it can carry the same time."""
LARGE = 1 << 22
"""From so many bytes on, reading the books through takes longer than waiting until a note is believed."""

File = tuple[int, int, int, int, int]
"""Device, inode, size in bytes, and the times of the last change of content and of status, in nanoseconds."""
SIZE = 2


class FileStats(NamedTuple):
    """Ledger and journal as the system reported them."""

    ledger: File
    journal: File

    @property
    def changed_ns(self) -> int:
        """Return when the later of the two was last changed."""
        return max(self.ledger[-1], self.journal[-1])


class Custody:
    """The note about one folder's books, in memory and in the folder."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._seen: FileStats | None = None
        self._day: date | None = None
        self._version: int | None = None
        self._kept: FileStats | None = None
        self.read_here = False
        """Whether this process has read the books through itself, instead of believing the note in the folder."""

    def look(self) -> FileStats | None:
        """Return the files as they are now; None if one is missing."""
        try:
            return FileStats(_file(self._folder / LEDGER), _file(self._folder / JOURNAL))
        except OSError:
            return None

    def unbroken(self, version: int) -> bool:
        """Return True if the files are as noted; `version` changes whenever another connection has written."""
        now = self.look()
        if now is None:
            return False
        if self._seen == now and self._version == version:
            return True
        self._seen, self.read_here = None, False
        day = self._noted(now)
        if day is not None:
            self._seen, self._day, self._version = now, day, version
        return day is not None

    def of_today(self) -> bool:
        """Return True if the books were read through on this UTC day."""
        return self._day == _today()

    def begin(self, seen: FileStats | None, version: int) -> None:
        """Note that the books were read through, if they are still as `seen` before that."""
        if seen is not None and seen == self.look():
            self._seen, self._day, self._version, self.read_here = seen, _today(), version, True

    def carry_on(self, before: int, version: Callable[[], int]) -> None:
        """Note the files as they are after one of our own writes; they were as noted before it.

        The note ends if another connection has written since, which changes the version.
        """
        seen = self.look()
        self._seen, self._version = (seen, before) if version() == before else (None, None)

    def drop(self) -> None:
        """Forget the note, because a write failed."""
        self._seen = None

    def revoke(self) -> None:
        """Let no process believe the note any more, because the books were found to be other than it says."""
        self.drop()
        with suppress(OSError), around("integrity_cache.revoke"):
            (self._folder / CHECKED).unlink(missing_ok=True)

    def keep(self, *, patient: bool = False) -> None:
        """Write the note to the folder, for other processes, if the files are still as noted.

        They believe it only if the last change was a moment before. A `patient` caller waits for that, and so does
        every caller if the books are large, so that nobody has to read them through.
        """
        seen, boot = self._seen, boot_id()
        if seen is None or self._day is None or not boot or seen == self._kept or seen != self.look():
            return
        early_s = (seen.changed_ns + COARSE_NS - time.time_ns()) / 1e9
        patient = patient or seen.ledger[SIZE] + seen.journal[SIZE] >= LARGE
        if patient and 0 <= early_s <= COARSE_NS / 1e9:
            time.sleep(early_s + 0.001)
        at_ns = time.time_ns()
        words = {"boot": boot, "day": self._day.isoformat(), "at_ns": at_ns, "ledger": seen.ledger}
        text = json.dumps(words | {"journal": seen.journal})
        with suppress(OSError), around("integrity_cache.keep"), written_plain(self._folder / CHECKED) as file:
            file.write(text.encode())
        if at_ns > seen.changed_ns + COARSE_NS:
            self._kept = seen

    def _noted(self, now: FileStats) -> date | None:
        """Return the day for which the note in the folder says that the files were sound as they are now."""
        try:
            note = json.loads(read_plain(self._folder / CHECKED))
            seen = FileStats(tuple(note["ledger"]), tuple(note["journal"]))
            trusted = seen == now and note["boot"] == boot_id() and now.changed_ns + COARSE_NS < note["at_ns"]
            return date.fromisoformat(note["day"]) if trusted else None
        except (OSError, ValueError, KeyError, TypeError):
            return None


def _file(path: Path) -> File:
    found = os.lstat(path)
    return found.st_dev, found.st_ino, found.st_size, found.st_mtime_ns, found.st_ctime_ns


def _today() -> date:
    return datetime.now(UTC).date()
