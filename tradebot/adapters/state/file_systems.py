"""Find out what kind of file system holds a path, and whether it is a network one.

A lock on a local disk holds between all processes of this machine. On a network disk, each machine may have its own
lock, so two bots could trade on one state.
"""

import os
import re
from collections.abc import Iterator
from pathlib import Path

_MOUNTS = Path("/proc/self/mounts")
_ESCAPED = rb"\\([0-7]{3})"
_NETWORK = (
    r"nfs\d?|cifs|smb\d|smbfs|9p|afs|ceph|glusterfs|lustre|davfs"
    r"|fuse\.(sshfs|glusterfs|ceph|ceph-fuse|s3fs|rclone|gcsfuse|goofys|juicefs|davfs2?|curlftpfs|smbnetfs|gvfsd-fuse)"
)
"""Names as the kernel uses them; WSL shows Windows disks as 9p, because another system manages them."""


def kind_of(path: Path) -> str | None:
    """Return the kind of file system that holds a path; None if the system doesn't say, as on macOS."""
    place = path.resolve()
    # If two mounts share a place, the later one is visible.
    over = [(len(mount), number, kind) for number, (mount, kind) in enumerate(_mounts()) if place.is_relative_to(mount)]
    return max(over)[2] if over else None


def is_network(kind: str) -> bool:
    """Return True if a kind of file system is on the network."""
    return re.fullmatch(_NETWORK, kind) is not None


def network_kind(path: Path) -> str | None:
    """Return the kind of network file system that holds a path; None if none is known to."""
    kind = kind_of(path)
    return kind if kind is not None and is_network(kind) else None


def _mounts() -> Iterator[tuple[str, str]]:
    """Yield the place and kind of every mount, in the order they were made."""
    try:
        lines = _MOUNTS.read_bytes().split(b"\n")
    except OSError:
        return
    for fields in (line.split(b" ") for line in lines if line):
        # The kernel writes a space, tab, newline or backslash in a name as three octal digits.
        place = re.sub(_ESCAPED, lambda found: bytes([int(found[1], 8)]), fields[1])
        yield os.fsdecode(place), os.fsdecode(fields[2])
