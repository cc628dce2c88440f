"""The CPU-seconds that this process, what it waited for and its exchanges have spent."""

import os
import resource
from pathlib import Path


class Meter:
    """Measures what a test of this process spends: in it, in the children it waited for, and in its exchanges."""

    def __init__(self) -> None:
        self._exchanges = dict[int, float]()
        self._ended = 0.0

    def watch(self, pid: int) -> None:
        """Count an exchange that was started."""
        self._exchanges.setdefault(pid, 0.0)

    def unwatch(self, pid: int) -> None:
        """Count what an exchange has spent for the last time, before it ends."""
        self._look(pid)
        self._ended += self._exchanges.pop(pid, 0.0)

    def exchanges(self) -> float:
        """Return what the exchanges of this process have spent so far."""
        for pid in list(self._exchanges):
            if not self._look(pid):
                self._ended += self._exchanges.pop(pid)
        return self._ended + sum(self._exchanges.values())

    def _look(self, pid: int) -> bool:
        """Read what a process has spent; return whether it still runs. Where there is no /proc, nothing is known."""
        try:
            user, system = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[11:13]
        except OSError:
            return False
        self._exchanges[pid] = (int(user) + int(system)) / os.sysconf("SC_CLK_TCK")
        return True


METER = Meter()


def cpu() -> float:
    """Return the CPU-seconds of this process and of the children that it waited for."""
    used = (resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    return sum(part.ru_utime + part.ru_stime for part in used)
