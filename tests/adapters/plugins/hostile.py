"""A plug-in that tries each way to a key, to the bot and to a longer life; it raises with the ways that worked.

It runs as it stands here in the process of a plug-in: see test_confinement.py.
"""

import ctypes
import os
import resource
import signal
import socket
import stat
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Any

from tradebot.model.view import Needs, StrategyView

KERNEL = ctypes.CDLL(None, use_errno=True)
PTRACE_SEIZE, PTRACE_DETACH = 0x4206, 17
PIDFD_OPEN, PIDFD_GETFD = 434, 438
MS_BIND, MNT_DETACH = 4096, 2
IN_MODIFY = 2
MOST_PROCESSES = 20_000
LEAVING = "leaving"
"""Asked for this, it answers well and leaves a process; asked for nothing, it answers well."""
BOMB = 24
"""Processes that are forked at most."""


def holds(path: str | Path, canary: str) -> bool:
    with open(path, "rb") as file:
        return canary.encode() in file.read(1_000_000)


class Hostile:
    """Try what the view's slot names, and tell what worked."""

    name = "hostile"
    needs = Needs()
    times = ""

    def __init__(self, settings: Mapping[str, Any]) -> None:
        self.told = settings
        self.bot, self.canary = settings["bot"], settings["canary"]

    def propose(self, view: StrategyView) -> list[object]:
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        if view.slot in ("", LEAVING):
            if view.slot:
                self.daemon()
            return []
        worked = [name for name in view.slot.split() if self.works(getattr(self, name))]
        raise RuntimeError(f"worked: {' '.join(worked)}.")

    def works(self, way: Callable[[], object]) -> bool:
        with suppress(OSError):
            return bool(way())
        return False

    # Keys

    def environments(self) -> bool:
        pids = [name for name in os.listdir("/proc") if name.isdigit()]
        return any(self.works(partial(holds, f"/proc/{pid}/environ", self.canary)) for pid in pids)

    def env_file(self) -> bool:
        return holds(self.told["env_file"], self.canary)

    def state(self) -> bool:
        return holds(Path(self.told["state"]) / "state.id", self.canary)

    def link(self) -> bool:
        os.symlink(self.told["env_file"], "link")
        return holds("link", self.canary)

    def second_name(self) -> bool:
        os.link(self.told["env_file"], "second")
        return holds("second", self.canary)

    def program(self) -> bool:
        done = subprocess.run(["/bin/cat", self.told["env_file"]], capture_output=True, check=False)
        return self.canary.encode() in done.stdout

    def roots(self) -> bool:
        return holds(f"/proc/self/root{self.told['env_file']}", self.canary)

    def mount(self) -> bool:
        os.mkdir("mounted")
        mounted: int = KERNEL.mount(b"/", b"mounted", None, MS_BIND, None)
        KERNEL.umount2(b"mounted", MNT_DETACH)
        return mounted == 0

    # The bot

    def memory(self) -> bool:
        with open(f"/proc/{self.bot}/mem", "rb"):
            return True

    def trace(self) -> bool:
        traced: int = KERNEL.ptrace(PTRACE_SEIZE, self.bot, 0, 0)
        KERNEL.ptrace(PTRACE_DETACH, self.bot, 0, 0)
        return traced == 0

    def handle(self) -> bool:
        held: int = KERNEL.syscall(PIDFD_OPEN, self.bot, 0)
        got: int = KERNEL.syscall(PIDFD_GETFD, held, 0, 0)
        with suppress(OSError):
            os.close(held)
        return got >= 0

    def signals(self) -> bool:
        os.kill(self.bot, 0)
        return True

    def limit(self) -> bool:
        """Set a limit of the bot's process, as small as one likes."""
        kept = resource.prlimit(self.bot, resource.RLIMIT_NOFILE)
        resource.prlimit(self.bot, resource.RLIMIT_NOFILE, kept)
        return True

    def slow(self) -> bool:
        os.sched_setaffinity(self.bot, os.sched_getaffinity(0))
        return True

    def priority(self) -> bool:
        os.setpriority(os.PRIO_PROCESS, self.bot, os.getpriority(os.PRIO_PROCESS, self.bot))
        return True

    def change_mode(self) -> bool:
        os.chmod(self.told["env_file"], 0o600)
        return True

    def truncate(self) -> bool:
        os.truncate(self.told["book"], 0)
        return True

    def set_times(self) -> bool:
        os.utime(self.told["book"], (0, 0))
        return True

    def watch(self) -> bool:
        """Ask to be told of each change of the bot's books."""
        watcher: int = KERNEL.inotify_init()
        watched: int = KERNEL.inotify_add_watch(watcher, os.fsencode(self.told["book"]), IN_MODIFY)
        with suppress(OSError):
            os.close(watcher)
        return watched >= 0

    def names(self) -> bool:
        """See that the books are there, and how long they are."""
        return os.stat(self.told["book"]).st_size > 0

    def plant(self) -> bool:
        for folder in sys.path:
            with suppress(OSError):
                Path(folder, "planted.pth").write_text("")
                return True
        return False

    def descriptors(self) -> bool:
        """Find an open file that is neither a device nor one of the two pipes for requests and answers."""
        inherited = [number for number in range(3, 256) if self.works(partial(self.inherited, number))]
        pipes = [number for number in inherited if stat.S_ISFIFO(os.fstat(number).st_mode)]
        return len(pipes) > 2 or inherited != pipes

    def inherited(self, number: int) -> bool:
        return not stat.S_ISCHR(os.fstat(number).st_mode)

    # The network

    def tcp(self) -> bool:
        socket.create_connection(("127.0.0.1", self.told["port"]), timeout=1).close()
        return True

    def udp(self) -> bool:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as out:
            return out.sendto(b"x", ("127.0.0.1", self.told["port"])) == 1

    def unix(self) -> bool:
        with socket.socket(socket.AF_UNIX) as out:
            out.connect(self.told["unix"])
            return True

    def abstract(self) -> bool:
        with socket.socket(socket.AF_UNIX) as out:
            out.connect("\0" + self.told["abstract"])
            return True

    # A longer life

    def daemon(self) -> bool:
        """Leave a process that nobody here is the parent of, and that no signal but the last one ends."""
        if not os.fork():
            os.setsid()
            if not os.fork():
                signal.signal(signal.SIGTERM, signal.SIG_IGN)
                time.sleep(60)
            os._exit(0)
        return False

    def fill(self) -> bool:
        """Fill the disk, as far as its own folder lets it."""
        for number in range(5):
            with open(f"filling-{number}", "wb") as file:
                file.write(bytes(15_000_000))
        return True

    def fork(self) -> bool:
        """Start a process."""
        child = os.fork()
        if not child:
            os._exit(0)
        os.waitpid(child, 0)
        return True

    def unbounded(self) -> bool:
        """Tell whether nothing limits how many processes may be started."""
        return resource.getrlimit(resource.RLIMIT_NPROC)[0] > MOST_PROCESSES

    def bomb(self) -> bool:
        """Leave processes that fork each other."""
        for _ in range(BOMB):
            if not os.fork():
                os.setsid()
                if not os.fork():
                    time.sleep(60)
                os._exit(0)
        return False

    def keeper(self) -> bool:
        """End whoever waits for the answer."""
        if os.getppid() < 2:
            return False
        os.kill(os.getppid(), signal.SIGKILL)
        return True

    def hang(self) -> bool:
        time.sleep(60)
        return False
