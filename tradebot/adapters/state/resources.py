"""What this process and the state folder's disk have left, and what tells this process from a later one."""

import os
from contextlib import suppress
from pathlib import Path

BOOT_ID = Path("/proc/sys/kernel/random/boot_id")
STARTED = 19
"""Where the start of a process is among the fields of /proc/self/stat that follow its name."""


def memory_bytes() -> int | None:
    """Return this process's resident memory, or None where the system doesn't report it."""
    fields = _read(Path("/proc/self/statm")).split()
    return int(fields[1]) * os.sysconf("SC_PAGE_SIZE") if fields else None


def give_back_memory() -> None:
    """Give the system what this process has freed, where the C library can; glibc keeps what isn't last in its heap."""
    import ctypes

    with suppress(AttributeError, OSError):
        ctypes.CDLL(None).malloc_trim(0)


def open_descriptors() -> int | None:
    """Return how many descriptors this process has open, or None where the system doesn't report it."""
    try:
        # Listing the folder takes one of its own.
        return len(os.listdir("/proc/self/fd")) - 1
    except OSError:
        return None


def free_bytes(folder: Path) -> int | None:
    """Return the space that this user may still write on the folder's disk, or None if that can't be told."""
    try:
        disk = os.statvfs(folder)
    except OSError:
        return None
    return disk.f_bavail * disk.f_frsize


def boot_id() -> str:
    """Return what changes with each start of the machine; empty where the system has no such thing."""
    return _read(BOOT_ID).strip()


def started_ticks() -> int | None:
    """Return when this process started, in the kernel's ticks since the machine did; None where it isn't reported."""
    fields = _read(Path("/proc/self/stat")).rpartition(")")[2].split()
    return int(fields[STARTED]) if len(fields) > STARTED else None


def _read(path: Path) -> str:
    try:
        return path.read_text()
    except OSError:
        return ""
