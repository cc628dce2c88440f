"""Copy a ledger and check the copy in a second process, while this one reads a journal.

Either takes seconds on books that have grown for years. Run as a module, this is the second process: it ends with exit
code 0 only if the copy is whole. If it ends in any other way, its copy is not used, and the caller reads the ledger
itself.
"""

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

from tradebot.adapters.ledger.ledger import SqliteLedger
from tradebot.adapters.ledger.schema import copy_database
from tradebot.adapters.recovery import backups
from tradebot.adapters.state.state_folder import LEDGER

LARGE = 32 << 20
"""Bytes. Copying a smaller ledger takes less time than starting a process."""
NEEDED = ("LD_LIBRARY_PATH", "PATH", "TMPDIR")
"""The environment variables that the second process gets; the others may hold keys."""


class CheckedCopy:
    """A copy of the ledger in `place`, being made in the folder `target`."""

    def __init__(self, place: Path, target: Path, process: "subprocess.Popen[bytes]") -> None:
        self.place = place
        self.target = target
        self._process = process

    def is_whole(self) -> bool:
        """Wait for the copy, and return True if it was made and nothing in it is damaged."""
        return self._process.wait() == 0


@contextmanager
def started(place: Path, root: Path) -> Iterator[CheckedCopy | None]:
    """Start to copy the ledger in `place` into a folder below `root`; both end with the context.

    Yields None if the ledger is small or no process could be started.
    """
    if not root.is_dir() or backups.ledger_size(place) < LARGE:
        yield None
        return
    with backups.scratch(root) as target:
        command = [sys.executable, "-P", "-m", __name__, str(place.absolute()), str(target.absolute())]
        environ = {name: os.environ[name] for name in NEEDED if name in os.environ}
        environ["PYTHONPATH"] = os.pathsep.join(filter(None, sys.path))
        nothing = subprocess.DEVNULL
        try:
            process = subprocess.Popen(  # noqa: S603 - our own module
                command, stdin=nothing, stdout=nothing, stderr=nothing, env=environ
            )
        except OSError:
            yield None
            return
        try:
            yield CheckedCopy(place, target, process)
        finally:
            process.kill()
            process.wait()


def make(place: Path, target: Path) -> None:
    """Copy the ledger in `place` into the folder `target`; raise if it is damaged."""
    if backups.in_parts(place):
        # The digest shows that the copy is what was read through when the backup was made.
        backups.assemble(place, LEDGER, target)
        return
    copy_database(place / LEDGER, target / LEDGER)
    with closing(SqliteLedger.open(target, read_only=True)) as copy:
        copy.file.check_pages()


if __name__ == "__main__":
    make(Path(sys.argv[1]), Path(sys.argv[2]))
