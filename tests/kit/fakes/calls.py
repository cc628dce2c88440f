"""Every call by which this process reaches the files of one folder, told to a watcher before it is made and after.

Calls of Python are met at its functions of `os` and at `open`; those of SQLite in `sqlite_calls`. A watcher may refuse
a call with an error of the system, end the process, or write down what was done. Nothing is ever taken back, so this
belongs into a forked child. What maps memory is not seen: of our files that is only the index of a write-ahead log,
which SQLite makes anew whenever nobody has it open.
"""

import _sqlite3
import builtins
import ctypes
import errno
import io
import os
import random
import shutil
from collections.abc import Callable
from ctypes import CFUNCTYPE, POINTER, Structure, byref, c_char_p, c_int, c_int64, c_void_p, cast, memmove, sizeof
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


# The calls by which SQLite reaches the files of one folder are met in its own layer over the file system (its VFS).
# SQLite asks a table of functions for everything that it does to a file. In a forked child these tables are changed in
# memory, by the addresses that SQLite's interface documents, so that the very library which the bot uses is watched,
# with its own order of writes and syncs. Nothing is compiled and nothing is preloaded.

OPEN = CFUNCTYPE(c_int, c_void_p, c_void_p, c_void_p, c_int, c_void_p)
DELETE = CFUNCTYPE(c_int, c_void_p, c_void_p, c_int)
CLOSE = CFUNCTYPE(c_int, c_void_p)
MOVE = CFUNCTYPE(c_int, c_void_p, c_void_p, c_int, c_int64)
TRUNCATE = CFUNCTYPE(c_int, c_void_p, c_int64)
SYNC = CFUNCTYPE(c_int, c_void_p, c_int)
FIND = CFUNCTYPE(c_void_p, c_void_p, c_char_p)
PUT = CFUNCTYPE(c_int, c_void_p, c_char_p, c_void_p)
OPEN_FOLDER = CFUNCTYPE(c_int, c_char_p, c_void_p)


class Methods(Structure):
    """The functions of one open file: those that are met, then the rest as they are."""

    _fields_ = (
        ("version", c_int),
        ("close", c_void_p),
        ("read", c_void_p),
        ("write", c_void_p),
        ("truncate", c_void_p),
        ("sync", c_void_p),
        ("rest", c_void_p * 13),
    )


class Layer(Structure):
    """The functions of the layer itself."""

    _fields_ = (
        ("version", c_int),
        ("file_bytes", c_int),
        ("path_bytes", c_int),
        ("next", c_void_p),
        ("name", c_char_p),
        ("data", c_void_p),
        ("open", c_void_p),
        ("delete", c_void_p),
        ("rest", c_void_p * 11),
        ("put_call", c_void_p),
        ("get_call", c_void_p),
    )


SHAPES = {"close": CLOSE, "read": MOVE, "write": MOVE, "truncate": TRUNCATE, "sync": SYNC}
CANNOT_OPEN, FULL = 14, 13
CODES = {"open": CANNOT_OPEN, "read": 266, "write": 778, "truncate": 1546, "sync": 1034, "remove": 2570}
"""What SQLite is told where a call is refused: its own extended codes of input and output errors."""


class SqliteCalls:
    """The functions that stand in for those of SQLite's layer."""

    def __init__(self, calls: Calls) -> None:
        self.calls = calls
        self._files: dict[int, tuple[int, str]] = {}
        self._tables: dict[int, Methods] = {}
        self._kept: list[Any] = []

    def install(self) -> None:
        """Change SQLite's tables in this process, for good: SQLite would go on to call what nobody holds any more."""
        INSTALLED.append(self)
        library = ctypes.CDLL(_sqlite3.__file__)
        library.sqlite3_vfs_find.restype = POINTER(Layer)
        layer = library.sqlite3_vfs_find(None).contents
        self._meet(layer, "open", OPEN, self._open)
        self._meet(layer, "delete", DELETE, self._delete)
        address = FIND(layer.get_call)(byref(layer), b"openDirectory")
        self._open_folder = OPEN_FOLDER(address)
        stand_in = OPEN_FOLDER(self._sync_names)
        self._kept.append(stand_in)
        assert PUT(layer.put_call)(byref(layer), b"openDirectory", cast(stand_in, c_void_p)) == 0

    def _meet(self, table: Structure, name: str, shape: Any, met: Callable[..., int]) -> None:
        """Put a function in the place of another one, which it gets as its first argument."""
        real = shape(getattr(table, name))
        stand_in = shape(lambda *given: met(real, *given))
        self._kept += [real, stand_in]
        setattr(table, name, cast(stand_in, c_void_p))

    def _refused(self, name: str, path: str) -> int:
        """Ask whether a call may be made; return SQLite's code where it may not, else 0."""
        try:
            self.calls.must(Call(DATABASE, name, path))
        except OSError as error:
            return FULL if name == "write" and error.errno == errno.ENOSPC else CODES[name]
        return 0

    def _open(self, real: Any, layer: int, name: int | None, file: int, flags: int, told: int) -> int:
        path = self.calls.ours(ctypes.string_at(name)) if name else None
        if path is None:
            return int(real(layer, name, file, flags, told))
        refused = self._refused("open", path)
        if refused:
            ctypes.c_void_p.from_address(file).value = None
            return refused
        code = int(real(layer, name, file, flags, told))
        table = ctypes.c_void_p.from_address(file)
        if code == 0 and table.value:
            table.value = ctypes.addressof(self._table(table.value))
            self._files[file] = next(handles), path
            self.calls.done(Call(DATABASE, "open", path, self._files[file][0]))
        return code

    def _table(self, address: int) -> Methods:
        """Return the functions for a file of one kind, made once for each kind."""
        if address not in self._tables:
            table = Methods()
            memmove(byref(table), address, sizeof(Methods))
            for name, shape in SHAPES.items():
                self._meet(table, name, shape, getattr(self, f"_{name}"))
            self._tables[address] = table
        return self._tables[address]

    def _close(self, real: Any, file: int) -> int:
        self._files.pop(file, None)
        return int(real(file))

    def _read(self, real: Any, file: int, buffer: int, length: int, offset: int) -> int:
        return self._refused("read", self._files[file][1]) or int(real(file, buffer, length, offset))

    def _write(self, real: Any, file: int, buffer: int, length: int, offset: int) -> int:
        data = ctypes.string_at(buffer, length)
        return self._on_file("write", lambda: real(file, buffer, length, offset), file, offset, data)

    def _truncate(self, real: Any, file: int, size: int) -> int:
        return self._on_file("truncate", lambda: real(file, size), file, size)

    def _sync(self, real: Any, file: int, flags: int) -> int:
        return self._on_file("sync", lambda: real(file, flags), file)

    def _on_file(self, name: str, act: Callable[[], Any], file: int, offset: int = 0, data: bytes = b"") -> int:
        handle, path = self._files[file]
        code = self._refused(name, path) or int(act())
        if code == 0:
            self.calls.done(Call(DATABASE, name, path, handle, offset, data))
        return code

    def _delete(self, real: Any, layer: int, name: int, sync: int) -> int:
        path = self.calls.ours(ctypes.string_at(name))
        there = path is not None and os.path.lexists(path)
        code = (self._refused("remove", path) if path else 0) or int(real(layer, name, sync))
        if code == 0 and path and there:
            self.calls.done(Call(DATABASE, "remove", path))
        return code

    def _sync_names(self, name: bytes, told: int) -> int:
        """SQLite opens a folder only to sync it at once: after it has made or removed a file there."""
        code = int(self._open_folder(name, told))
        path = self.calls.ours(name)
        if code == 0 and path:
            self.calls.done(Call(DATABASE, "sync_names", str(Path(path).parent)))
        return code


INSTALLED: list[SqliteCalls] = []


def watch(folder: Path, watcher: Watcher) -> None:
    """Tell a watcher of every call of this process on the files of a folder, and nobody of those of another one."""
    if INSTALLED:
        INSTALLED[0].calls.turn_to(folder, watcher)
        return
    calls = Calls(folder, watcher)
    calls.install()
    SqliteCalls(calls).install()


ERRORS = {
    "open": (errno.EMFILE, errno.EACCES, errno.EIO),
    "read": (errno.EIO,),
    "write": (errno.ENOSPC, errno.EIO, errno.EDQUOT),
    "truncate": (errno.EIO,),
    "sync": (errno.EIO, errno.ENOSPC),
    "sync_names": (errno.EIO,),
    "rename": (errno.EIO, errno.ENOSPC),
    "remove": (errno.EROFS, errno.EIO),
    "make": (errno.ENOSPC,),
    "unmake": (errno.EIO,),
    "send": (errno.ECONNREFUSED,),
    "reply": (errno.ETIMEDOUT,),
}
"""What such a call may meet."""


class Failing(Watcher):
    """Refuses the n-th step, and counts."""

    def __init__(self, nth: int, *, lasting: bool, each: bool) -> None:
        self.steps = 0
        self.failed: Call | None = None
        self._nth = nth
        self._lasting = lasting
        self._each = each
        self._passed = 0 if each else random.Random(nth).choice((0, 0, 1, 2, 3, 5, 8, 13))
        self._together: set[str] = set()

    def before(self, call: Call) -> int:
        """Refuse the call where its turn has come, or where one of its kind was refused for good."""
        self.steps += self._each or not self._belongs(call)
        if self.failed:
            alike = call.name == self.failed.name
            return self._error(call) if self._lasting and alike else 0
        if self.steps < self._nth:
            return 0
        if call.kind == DATABASE and self._passed:
            self._passed -= 1
            return 0
        self.failed = call
        return self._error(call)

    def _belongs(self, call: Call) -> bool:
        """Tell whether a call of SQLite is of one step with another one since the last call that was not SQLite's."""
        if call.kind != DATABASE:
            self._together.clear()
            return False
        known = call.name in self._together
        self._together.add(call.name)
        return known

    def _error(self, call: Call) -> int:
        errors = ERRORS[call.name]
        return errors[self._nth % len(errors)]
