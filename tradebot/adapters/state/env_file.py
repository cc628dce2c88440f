"""The file of keys: its owner's alone, small, text, a plain file, and read to its last line, or nothing is read."""

from __future__ import annotations

import os
import re
import stat
from io import StringIO
from pathlib import Path
from typing import TYPE_CHECKING

from tradebot.adapters.state.doors import another_owner
from tradebot.errors import OperatorError
from tradebot.gates.permission import NAMES

if TYPE_CHECKING:
    from dotenv.parser import Binding

MOST_BYTES = 65_536
NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_.-]*")


def read_env_file(path: Path) -> dict[str, str]:
    """Return what a file of NAME=VALUE lines says, nothing where there is none; a name without a value is empty.

    Raises OperatorError for one that others may touch, for what is no plain file of text, and for a line that cannot
    be read: a gate that somebody meant to shut must not count as never set.
    """
    text = _owners_text(path)
    if not text:
        return {}
    from dotenv.parser import parse_stream  # only a run with a file pays for it

    found: dict[str, str] = {}
    for binding in parse_stream(StringIO(text)):
        _refuse_unread(path, binding)
        if binding.key is not None:
            found[binding.key] = _gate(binding) if binding.key in NAMES else binding.value or ""
    return found


def _gate(binding: Binding) -> str:
    """Return what a gate says letter for letter, as the environment would: the parser drops blanks around a bare word.

    Blanks before a comment are no part of the word.
    """
    written = binding.original.string.partition("=")[2].rstrip("\r\n")
    bare = re.sub(r"\s+#.*", "", written)
    return bare if bare.strip() == binding.value else binding.value or ""


def _refuse_unread(path: Path, binding: Binding) -> None:
    """Raise for a line that says something else than its writer meant; the text itself may be a key, so it is hidden.

    Such is one that is not NAME=VALUE, a gate in other letters, and a quote left open that has swallowed a gate.
    """
    name, value = binding.key or "", binding.value or ""
    if binding.error or (name and not NAME.fullmatch(name)):
        raise _at(path, binding, "it is not NAME=VALUE")
    gate = name.upper().replace("-", "_").replace(".", "_")
    if gate in NAMES and name != gate:
        raise _at(path, binding, f"{gate} counts in exactly these letters alone")
    if "\n" in value.strip() and any(gate in value for gate in NAMES):
        raise _at(path, binding, "its quote is not closed before the next line")


def looked_for(path: Path) -> str:
    """Return in words which file is read beside the environment, in full: it lies in the folder that one is in."""
    try:
        full = path.absolute()
    except FileNotFoundError:
        return "the environment alone: the current folder is gone"
    return f"the environment, then {full}" if os.path.lexists(full) else f"the environment alone: no {full}"


def places_of(path: Path) -> tuple[Path, ...]:
    """Return where a file of the current folder is; nowhere if that folder is gone."""
    try:
        return (path.absolute(),)
    except FileNotFoundError:
        return ()


def _at(path: Path, binding: Binding, problem: str) -> OperatorError:
    """Return what is wrong with a line; a binding begins with the empty lines before it."""
    text = binding.original.string
    blank = text[: len(text) - len(text.lstrip())]
    line = binding.original.line + len(f"{blank}x".splitlines()) - 1
    return OperatorError(f"{path}, line {line}: {problem}", f"write each line of {path} as NAME=VALUE, quotes closed")


def _owners_text(path: Path) -> str:
    """Open first and look then, so that nothing can take the file's place between; a pipe is not waited for."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError as failed:
        # A link that leads nowhere is a file that is lost, not one that was never written.
        if isinstance(failed, FileNotFoundError) and not path.is_symlink():
            return ""
        raise OperatorError(f"{path}: {failed.strerror}", f"ls -l {path}: it must be a plain file of yours") from None
    try:
        _refuse_others(path, os.fstat(descriptor))
        with os.fdopen(descriptor, "rb", closefd=False) as file:
            return _text(path, file.read(MOST_BYTES + 1))
    finally:
        os.close(descriptor)


def _refuse_others(path: Path, found: os.stat_result) -> None:
    if not stat.S_ISREG(found.st_mode):
        raise OperatorError(f"{path} is not a regular file", "put the keys into a plain file, or into the environment")
    # Of a link both ends count: its owner decides what it leads to.
    owners = (another_owner(path, owner) for owner in (found.st_uid, os.lstat(path).st_uid))
    problem = next(filter(None, owners), None)
    if problem:
        raise OperatorError(problem, f"write it as this user, or take it over: sudo chown {os.geteuid()} {path}")
    if found.st_mode & 0o077:
        raise OperatorError(f"{path} can be read by others than its owner", f"chmod 600 {path}")


def _text(path: Path, data: bytes) -> str:
    if len(data) > MOST_BYTES:
        raise OperatorError(f"{path}: more than {MOST_BYTES} bytes are no keys", "give the right file")
    try:
        return data.decode()
    except UnicodeDecodeError as bad:
        raise OperatorError(f"{path}: not UTF-8 text (byte {bad.start})", "save the file as UTF-8") from None
