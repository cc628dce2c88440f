"""What kind of file system a place lies on, and which of them are another machine's.

A lock on a disk of this machine holds between all of its processes. On another machine's it may hold on each machine
by itself, so that two bots trade on one state.
"""

import os
import re
from collections.abc import Iterator
from pathlib import Path

_MOUNTS = Path("/proc/self/mounts")
_ESCAPED = re.compile(rb"\\([0-7]{3})")
_NETWORK = re.compile(
    r"nfs\d?|cifs|smb\d|smbfs|9p|afs|ceph|glusterfs|lustre|davfs"
    r"|fuse\.(sshfs|glusterfs|ceph|ceph-fuse|s3fs|rclone|gcsfuse|goofys|juicefs|davfs2?|curlftpfs|smbnetfs|gvfsd-fuse)"
)
"""As the kernel names them; WSL shows Windows's disks as 9p, since another system keeps them."""


def kind_of(path: Path) -> str | None:
    """Return the kind of file system that holds a path; None where the system does not say, as macOS."""
    place = path.resolve()
    # Of two mounts on one place the later one is seen.
    over = [(len(mount), number, kind) for number, (mount, kind) in enumerate(_mounts()) if place.is_relative_to(mount)]
    return max(over)[2] if over else None


def is_network(kind: str) -> bool:
    """Tell whether a kind of file system is another machine's."""
    return _NETWORK.fullmatch(kind) is not None


def network_kind(path: Path) -> str | None:
    """Return the kind of the network file system that holds a path; None where none is known to."""
    kind = kind_of(path)
    return kind if kind is not None and is_network(kind) else None


def _mounts() -> Iterator[tuple[str, str]]:
    """Yield place and kind of every mount, in the order in which they were made."""
    try:
        lines = _MOUNTS.read_bytes().split(b"\n")
    except OSError:
        return
    for fields in (line.split(b" ") for line in lines if line):
        # The kernel writes a blank, a tab, a line's end and a backslash of a name as three octal digits.
        place = _ESCAPED.sub(lambda found: bytes([int(found[1], 8)]), fields[1])
        yield os.fsdecode(place), os.fsdecode(fields[2])
