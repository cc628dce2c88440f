"""A mount table of one's own."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

TABLE = "/proc/self/mounts"


@contextmanager
def table(text: bytes | None) -> Iterator[None]:
    """Let the kernel's table of mounts be this for a while; None is a system that has none."""
    whole = Path.read_bytes

    def read_bytes(path: Path) -> bytes:
        if str(path) != TABLE:
            return whole(path)
        if text is None:
            raise FileNotFoundError(TABLE)
        return text

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Path, "read_bytes", read_bytes)
        yield


@contextmanager
def mounted(place: Path, kind: str) -> Iterator[None]:
    """Let a place lie on a file system of this kind for a while."""
    name = str(place.resolve()).replace("\\", "\\134").replace(" ", "\\040")
    with table(f"/dev/vda / ext4 rw 0 0\nhost:/x {name} {kind} rw 0 0\n".encode()):
        yield
