"""The calls by which SQLite reaches the files of one folder, met in its own layer over the file system (its VFS).

SQLite asks a table of functions for everything that it does to a file. In a forked child these tables are changed in
memory, by the addresses that SQLite's interface documents, so that the very library which the bot uses is watched, with
its own order of writes and syncs. Nothing is compiled and nothing is preloaded.
"""

import _sqlite3
import ctypes
import errno
import os
from collections.abc import Callable
from ctypes import CFUNCTYPE, POINTER, Structure, byref, c_char_p, c_int, c_int64, c_void_p, cast, memmove, sizeof
from pathlib import Path
from typing import Any

from tests.faults.calls import DATABASE, Call, Calls, Watcher, handles

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
