"""Read the file of keys. It must be a small plain text file for its owner only, and every line must be readable."""

from __future__ import annotations

import os
import re
import stat
from io import StringIO
from pathlib import Path
from typing import TYPE_CHECKING

from tradebot.adapters.state.folder_permissions import another_owner
from tradebot.errors import OperatorError
from tradebot.gates.permission import NAMES

if TYPE_CHECKING:
    from dotenv.parser import Binding

MAX_BYTES = 65_536
NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_.-]*")


def read_env_file(path: Path) -> dict[str, str]:
    """Return the values in a file of NAME=VALUE lines, none if there is no file; a name without a value is empty.

    Raises OperatorError if others may access the file, if it isn't a plain text file, or if a line can't be read: a
    gate that someone meant to close must not count as never set.
    """
    text = _read_safely(path)
    if not text:
        return {}
    from dotenv.parser import parse_stream  # only a run with a file pays for it

    values: dict[str, str] = {}
    for binding in parse_stream(StringIO(text)):
        _refuse_unclear(path, binding)
        if binding.key is not None:
            values[binding.key] = _gate_value(binding) if binding.key in NAMES else binding.value or ""
    return values


def _gate_value(binding: Binding) -> str:
    """Return a gate's value exactly as written, as the environment would; the parser drops spaces around a bare word.

    Spaces before a comment aren't part of the value.
    """
    written = binding.original.string.partition("=")[2].rstrip("\r\n")
    bare = re.sub(r"\s+#.*", "", written)
    return bare if bare.strip() == binding.value else binding.value or ""


def _refuse_unclear(path: Path, binding: Binding) -> None:
    """Raise if a line may not say what its writer meant. The message hides the text, because it may be a key.

    This covers lines that aren't NAME=VALUE, misspelled gates, and an open quote that has swallowed a gate.
    """
    name, value = binding.key or "", binding.value or ""
    if binding.error or (name and not NAME.fullmatch(name)):
        raise _line_error(path, binding, "it is not NAME=VALUE")
    gate = name.upper().replace("-", "_").replace(".", "_")
    if gate in NAMES and name != gate:
        raise _line_error(path, binding, f"{gate} must be spelled exactly like this")
    if "\n" in value.strip() and any(gate in value for gate in NAMES):
        raise _line_error(path, binding, "its quote is not closed on the same line")


def describe_sources(path: Path) -> str:
    """Return a sentence saying which file is read besides the environment, with its full path."""
    try:
        full = path.absolute()
    except FileNotFoundError:
        return "the environment only: the current folder is gone"
    return f"the environment, then {full}" if os.path.lexists(full) else f"the environment only: no {full}"


def full_paths(path: Path) -> tuple[Path, ...]:
    """Return the full path of a file in the current folder; nothing if that folder is gone."""
    try:
        return (path.absolute(),)
    except FileNotFoundError:
        return ()


def _line_error(path: Path, binding: Binding, problem: str) -> OperatorError:
    """Return an error that names the line; a binding starts with the empty lines before it."""
    text = binding.original.string
    blank = text[: len(text) - len(text.lstrip())]
    line = binding.original.line + len(f"{blank}x".splitlines()) - 1
    return OperatorError(f"{path}, line {line}: {problem}", f"write each line of {path} as NAME=VALUE and close quotes")


def _read_safely(path: Path) -> str:
    """Read the file safely: open it before checking it, so it can't be swapped, and don't wait for a pipe."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError as error:
        # A link that leads nowhere means a lost file, not one that was never written.
        if isinstance(error, FileNotFoundError) and not path.is_symlink():
            return ""
        raise OperatorError(f"{path}: {error.strerror}", f"ls -l {path}: it must be a plain file you own") from None
    try:
        _refuse_others(path, os.fstat(descriptor))
        with os.fdopen(descriptor, "rb", closefd=False) as file:
            return _text(path, file.read(MAX_BYTES + 1))
    finally:
        os.close(descriptor)


def _refuse_others(path: Path, status: os.stat_result) -> None:
    if not stat.S_ISREG(status.st_mode):
        raise OperatorError(f"{path} is not a regular file", "put the keys in a plain file, or in the environment")
    # For a link both ends count, because its owner decides what it leads to.
    owners = (another_owner(path, owner) for owner in (status.st_uid, os.lstat(path).st_uid))
    problem = next(filter(None, owners), None)
    if problem:
        raise OperatorError(problem, f"create it as this user, or take ownership: sudo chown {os.geteuid()} {path}")
    if status.st_mode & 0o077:
        raise OperatorError(f"{path} is accessible to other users", f"chmod 600 {path}")


def _text(path: Path, data: bytes) -> str:
    if len(data) > MAX_BYTES:
        raise OperatorError(f"{path}: a key file can't be larger than {MAX_BYTES} bytes", "name the right file")
    try:
        return data.decode()
    except UnicodeDecodeError as error:
        raise OperatorError(f"{path}: not UTF-8 text (byte {error.start})", "save the file as UTF-8") from None
