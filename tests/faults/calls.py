"""Every call by which this process reaches the files of one folder, told to a watcher before it is made and after.

Calls of Python are met at its functions of `os` and at `open`; those of SQLite in `sqlite_calls`. A watcher may refuse
a call with an error of the system, end the process, or write down what was done. Nothing is ever taken back, so this
belongs into a forked child. What maps memory is not seen: of our files that is only the index of a write-ahead log,
which SQLite makes anew whenever nobody has it open.
"""

import builtins
import io
import os
import shutil
from collections.abc import Callable
from itertools import count
from pathlib import Path
from typing import Any, NamedTuple

FILE, DATABASE, HTTP = "file", "database", "http"
FIRST_DESCRIPTOR = 3


class Call(NamedTuple):
    """One call: whose it is, what it does, on which path, through which open file, where in it and with which bytes.

    The `offset` of an open is 1 where it empties the file, of a truncation the size that is left.
    """

    kind: str
    name: str
    path: str
    handle: int = 0
    offset: int = 0
    data: bytes = b""
    target: str = ""


class Watcher:
    """Lets every call be made, and forgets it."""

    def before(self, call: Call) -> int:
        """Return 0, or the error of the system with which the call is refused."""
        return 0

    def after(self, call: Call) -> None:
        """Take notice of a call that was made."""


class Opened(NamedTuple):
    """An open descriptor: its number among all opened, its path, whether it appends, whether it is a folder."""

    handle: int
    path: str
    appends: bool
    folder: bool


REAL: dict[str, Callable[..., Any]] = {
    name: getattr(os, name)
    for name in (
        "open", "close", "read", "pread", "write", "pwrite", "ftruncate", "fsync", "fdatasync",
        "rename", "replace", "unlink", "remove", "mkdir", "rmdir",
    )
}  # fmt: skip
REAL_OPEN = io.open
handles = count(1)


class Calls:
    """The functions that stand in for those of Python; `install` puts them there."""

    def __init__(self, folder: Path, watcher: Watcher) -> None:
        self.turn_to(folder, watcher)
        self._opened: dict[int, Opened] = {}

    def turn_to(self, folder: Path, watcher: Watcher) -> None:
        """Watch the files of another folder from now on, and let go of those of this one."""
        self._root = f"{folder.absolute()}{os.sep}"
        self._watcher = watcher

    def install(self) -> None:
        """Stand in for Python's own functions from now on, in this process."""
        for name in REAL:
            setattr(os, name, getattr(self, name))
        vars(io)["open"] = vars(builtins)["open"] = self.open_file
        # Both of these are short cuts past the functions above.
        vars(shutil).update(_USE_CP_SENDFILE=False, _use_fd_functions=False)

    def ours(self, path: Any) -> str | None:
        """Return a path as text where it lies in the watched folder, or is it."""
        if isinstance(path, int):
            return None
        text = os.path.abspath(os.fsdecode(path))
        return text if f"{text}{os.sep}".startswith(self._root) else None

    def must(self, call: Call) -> None:
        """Ask the watcher; OSError where it refuses."""
        error = self._watcher.before(call)
        if error:
            raise OSError(error, os.strerror(error), call.path)

    def done(self, call: Call) -> None:
        """Tell the watcher that a call was made."""
        self._watcher.after(call)

    def open(self, path: Any, flags: int, mode: int = 0o777, *, dir_fd: int | None = None) -> int:
        found = self.ours(path)
        if found is None:
            return int(REAL["open"](path, flags, mode, dir_fd=dir_fd))
        self.must(Call(FILE, "open", found))
        descriptor = int(REAL["open"](path, flags, mode, dir_fd=dir_fd))
        opened = Opened(next(handles), found, bool(flags & os.O_APPEND), os.path.isdir(found))
        self._opened[descriptor] = opened
        if not opened.folder:
            self.done(Call(FILE, "open", found, opened.handle, int(bool(flags & os.O_TRUNC))))
        return descriptor

    def close(self, descriptor: int) -> None:
        self.forget(descriptor)
        REAL["close"](descriptor)

    def forget(self, descriptor: int) -> None:
        """Know nothing of a descriptor any more: the next file may get the same one."""
        self._opened.pop(descriptor, None)

    def read(self, descriptor: int, length: int) -> bytes:
        self.may_read(descriptor)
        return bytes(REAL["read"](descriptor, length))

    def pread(self, descriptor: int, length: int, offset: int) -> bytes:
        self.may_read(descriptor)
        return bytes(REAL["pread"](descriptor, length, offset))

    def may_read(self, descriptor: int) -> None:
        """Ask whether a file may be read."""
        opened = self._opened.get(descriptor)
        if opened is not None:
            self.must(Call(FILE, "read", opened.path))

    def write(self, descriptor: int, data: Any) -> int:
        return self.written(descriptor, data, lambda: REAL["write"](descriptor, data), None)

    def pwrite(self, descriptor: int, data: Any, offset: int) -> int:
        return self.written(descriptor, data, lambda: REAL["pwrite"](descriptor, data, offset), offset)

    def written(self, descriptor: int, data: Any, write: Callable[[], Any], offset: int | None) -> int:
        """Write where the watcher lets it, and tell what was written; without an offset, where the file stands."""
        opened = self._opened.get(descriptor)
        if opened is None:
            return int(write())
        at = _place(descriptor, opened) if offset is None else offset
        self.must(Call(FILE, "write", opened.path))
        length = int(write())
        self.done(Call(FILE, "write", opened.path, opened.handle, at, bytes(data)[:length]))
        return length

    def ftruncate(self, descriptor: int, length: int) -> None:
        self._on_open("truncate", descriptor, lambda: REAL["ftruncate"](descriptor, length), length)

    def fsync(self, descriptor: int) -> None:
        self._on_open("sync", descriptor, lambda: REAL["fsync"](descriptor))

    def fdatasync(self, descriptor: int) -> None:
        self._on_open("sync", descriptor, lambda: REAL["fdatasync"](descriptor))

    def _on_open(self, name: str, descriptor: int, act: Callable[[], Any], offset: int = 0) -> None:
        opened = self._opened.get(descriptor)
        if opened is None:
            act()
            return
        call = Call(FILE, "sync_names" if opened.folder else name, opened.path, opened.handle, offset)
        self.must(call)
        act()
        self.done(call)

    def rename(self, source: Any, target: Any, **places: Any) -> None:
        self._on_names("rename", source, lambda: REAL["rename"](source, target, **places), target)

    def replace(self, source: Any, target: Any, **places: Any) -> None:
        self._on_names("rename", source, lambda: REAL["replace"](source, target, **places), target)

    def unlink(self, path: Any, **places: Any) -> None:
        self._on_names("remove", path, lambda: REAL["unlink"](path, **places))

    def remove(self, path: Any, **places: Any) -> None:
        self.unlink(path, **places)

    def mkdir(self, path: Any, mode: int = 0o777, **places: Any) -> None:
        self._on_names("make", path, lambda: REAL["mkdir"](path, mode, **places))

    def rmdir(self, path: Any, **places: Any) -> None:
        self._on_names("unmake", path, lambda: REAL["rmdir"](path, **places))

    def _on_names(self, name: str, path: Any, act: Callable[[], Any], target: Any = "") -> None:
        found = self.ours(path)
        if found is None:
            act()
            return
        call = Call(FILE, name, found, target=os.path.abspath(os.fsdecode(target)) if target else "")
        self.must(call)
        act()
        self.done(call)

    def open_file(self, file: Any, mode: str = "r", buffering: int = -1, *words: Any, **named: Any) -> Any:
        """Open as `open` does; the files of the folder through a raw file whose calls are seen."""
        if self.ours(file) is None and file not in self._opened:
            return REAL_OPEN(file, mode, buffering, *words, **named)
        raw = WatchedFile(self, file, mode.replace("b", "").replace("t", ""))
        buffered = io.BufferedReader(raw) if raw.readable() else io.BufferedWriter(raw)
        return buffered if "b" in mode else io.TextIOWrapper(buffered, *words, **named)


class WatchedFile(io.FileIO):
    """A raw file that asks before it reads and writes."""

    def __init__(self, calls: Calls, file: Any, mode: str) -> None:
        assert "+" not in mode, "no file of ours is opened to be read and written at once"
        self._calls = calls
        super().__init__(file, mode, opener=lambda path, flags: calls.open(path, flags, 0o666))

    def readinto(self, buffer: Any) -> int | None:
        self._calls.may_read(self.fileno())
        return super().readinto(buffer)

    def readall(self) -> bytes:
        self._calls.may_read(self.fileno())
        return super().readall()

    def write(self, data: Any) -> int:
        return self._calls.written(self.fileno(), data, lambda: super(WatchedFile, self).write(data), None)

    def close(self) -> None:
        if not self.closed:
            self._calls.forget(self.fileno())
        super().close()


def _place(descriptor: int, opened: Opened) -> int:
    """Return where the next write of a file will stand."""
    return os.fstat(descriptor).st_size if opened.appends else os.lseek(descriptor, 0, os.SEEK_CUR)
