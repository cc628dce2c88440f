"""Report this process's resources and identity, and a folder's free space and type of file system.

The type of file system matters. On a local disk, a lock works between all processes of the machine; on a network disk,
each machine may have its own lock, so two bots could trade with the same state. If the state is in memory, or in a
container's writable layer, it is lost at the next start, and the bot then doesn't know its positions.
"""

import os
import re
from collections.abc import Iterator, Mapping
from contextlib import suppress
from pathlib import Path

_MOUNTS = Path("/proc/self/mounts")

_ESCAPED = rb"\\([0-7]{3})"

_NETWORK = (
    r"nfs\d?|cifs|smb\d|smbfs|9p|afs|ceph|glusterfs|lustre|davfs"
    r"|fuse\.(sshfs|glusterfs|ceph|ceph-fuse|s3fs|rclone|gcsfuse|goofys|juicefs|davfs2?|curlftpfs|smbnetfs|gvfsd-fuse)"
)

"""File systems on the network, by the kernel's names; WSL shows Windows disks as 9p, which another system manages."""

_PASSING = re.compile(r"tmpfs|ramfs|rootfs|overlay|aufs|fuse\.fuse-overlayfs")

"""File systems that end with the machine or container, unless something else is mounted over them."""

_PASSING_HOSTS = {
    "DYNO": "Heroku",
    "K_SERVICE": "Cloud Run",
    "AWS_LAMBDA_FUNCTION_NAME": "AWS Lambda",
    "FUNCTIONS_WORKER_RUNTIME": "Azure Functions",
}

"""Hosts whose own disk is reset at each start, by a variable that they set."""


def kind_of(path: Path) -> str | None:
    """Return the type of file system of a path; None if the system doesn't report it, as on macOS."""
    resolved = path.resolve()
    # If two mounts have the same path, the later one is visible.
    over = [
        (len(mount), number, kind) for number, (mount, kind) in enumerate(_mounts()) if resolved.is_relative_to(mount)
    ]
    return max(over)[2] if over else None


def is_network(kind: str) -> bool:
    """Return True if this type of file system is on the network."""
    return re.fullmatch(_NETWORK, kind) is not None


def network_kind(path: Path) -> str | None:
    """Return the type of network file system of a path; None if it isn't known to be one."""
    kind = kind_of(path)
    return kind if kind is not None and is_network(kind) else None


def passing(path: Path, environ: Mapping[str, str]) -> str | None:
    """Return why data written at a path would be lost at the next start; None if nothing suggests that."""
    resolved = path.resolve()
    kind = kind_of(resolved)
    if kind is not None and _PASSING.fullmatch(kind):
        return f"it is on {kind}, which is erased when the machine or container stops"
    host = next((name for variable, name in _PASSING_HOSTS.items() if environ.get(variable)), None)
    mounted = any(resolved.is_relative_to(mount) for mount, _ in _mounts() if mount != "/")
    return f"{host} has no permanent disk, and nothing else is mounted there" if host and not mounted else None


def _mounts() -> Iterator[tuple[str, str]]:
    """Yield path and type of every mount, in the order of mounting."""
    try:
        lines = _MOUNTS.read_bytes().split(b"\n")
    except OSError:
        return
    for fields in (line.split(b" ") for line in lines if line):
        # The kernel writes a space, tab, newline or backslash in a name as three octal digits.
        index = re.sub(_ESCAPED, lambda match: bytes([int(match[1], 8)]), fields[1])
        yield os.fsdecode(index), os.fsdecode(fields[2])


BOOT_ID = Path("/proc/sys/kernel/random/boot_id")

STARTED = 19

"""The index of the start time among the fields of /proc/self/stat after the name."""


def memory_bytes() -> int | None:
    """Return this process's resident memory in bytes, or None if the system doesn't report it."""
    fields = _read(Path("/proc/self/statm")).split()
    return int(fields[1]) * os.sysconf("SC_PAGE_SIZE") if fields else None


def give_back_memory() -> None:
    """Give freed memory back to the system, if the C library can; by itself, glibc gives back only the end of its
    heap.
    """
    import ctypes

    with suppress(AttributeError, OSError):
        ctypes.CDLL(None).malloc_trim(0)


def open_descriptors() -> int | None:
    """Return how many file descriptors this process has open, or None if the system doesn't report it."""
    try:
        # Listing the folder itself takes one descriptor.
        return len(os.listdir("/proc/self/fd")) - 1
    except OSError:
        return None


def free_bytes(folder: Path) -> int | None:
    """Return the space that this user may still write on the folder's disk, or None if unknown."""
    try:
        disk = os.statvfs(folder)
    except OSError:
        return None
    return disk.f_bavail * disk.f_frsize


def boot_id() -> str:
    """Return an id that is different after each start of the machine; empty where the system has none."""
    return _read(BOOT_ID).strip()


def started_ticks() -> int | None:
    """Return when this process started, in kernel ticks since the machine started; None if the system doesn't report
    it.
    """
    fields = _read(Path("/proc/self/stat")).rpartition(")")[2].split()
    return int(fields[STARTED]) if len(fields) > STARTED else None


def _read(path: Path) -> str:
    try:
        return path.read_text()
    except OSError:
        return ""
