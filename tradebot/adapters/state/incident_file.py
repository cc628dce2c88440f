"""Read and write incident files, which are readable text with one part per line.

The first line has the digest of the second line, which has each part's name, length and digest. Files may be untrusted,
so they aren't compressed, contain no paths, and are limited in size and depth.
"""

import json
import os
from collections.abc import Mapping
from hashlib import sha256
from pathlib import Path
from typing import Any

from tradebot.adapters.state.safe_open import NotRegularFileError, opened_plain
from tradebot.errors import OperatorError

NAME = b"tradebot-incident/"
FORM = "tradebot-incident/1"
LARGEST = 64 * 1_000_000
MOST_PARTS = 16
LONGEST_HEAD = 100_000
AGAIN = "ask for the file again, or for a new one made with tradebot incident"
ABSENT = (
    "name a file that tradebot incident wrote; tradebot replay alone replays the last session, and tradebot replay "
    "2026-11-16 replays that session"
)
UNREADABLE = "name a regular file that you may read"


def content_of(parts: Mapping[str, Any]) -> bytes:
    """Return the content of a file with these JSON parts; equal parts give equal bytes."""
    lines = {name: _line(value) for name, value in parts.items()}
    files = [{"name": name, "bytes": len(line), "sha256": _sum(line)} for name, line in lines.items()]
    head = _line({"parts": files})
    return b"".join(line + b"\n" for line in (f"{FORM} {_sum(head)}".encode(), head, *lines.values()))


def parts_of(path: Path) -> Mapping[str, Any]:
    """Parse a file and return its parts by name; raise OperatorError naming the part that was changed."""
    content = _content(path)
    first, _, rest = content.partition(b"\n")
    if not first.startswith(NAME):
        raise OperatorError(f"{path} is not an incident file.", "tradebot incident makes such files")
    form, _, digest = first.partition(b" ")
    if form != FORM.encode():
        raise OperatorError(
            f"{path} has a different format; this program reads {FORM}.", "use the version of tradebot that made it"
        )
    head, _, rest = rest.partition(b"\n")
    if len(head) > LONGEST_HEAD or _sum(head).encode() != digest:
        raise _damage_error(path, "its list of parts")
    return _parts(path, _json(path, head, "its list of parts"), rest)


def _parts(path: Path, head: Any, rest: bytes) -> Mapping[str, Any]:
    try:
        rows = [(str(row["name"]), int(row["bytes"]), str(row["sha256"])) for row in head["parts"]]
    except (LookupError, TypeError, ValueError, OverflowError) as error:
        raise _damage_error(path, "its list of parts") from error
    if len(rows) > MOST_PARTS or len({name for name, *_ in rows}) < len(rows):
        raise OperatorError(f"{path} lists more than {MOST_PARTS} parts, or one of them twice.", AGAIN)
    parts, index = dict[str, Any](), 0
    for name, length, digest in rows:
        line = rest[index : index + length] if length >= 0 else b""
        index += length + 1
        if _sum(line) != digest or rest[index - 1 : index] != b"\n":
            raise _damage_error(path, f"its part {name!r:.40}")
        parts[name] = _json(path, line, f"its part {name!r:.40}")
    if rest[index:]:
        raise _damage_error(path, "the end after its last part")
    return parts


def _content(path: Path) -> bytes:
    try:
        with opened_plain(path) as file:
            if os.fstat(file.fileno()).st_size > LARGEST:
                raise OperatorError(f"{path} is larger than {LARGEST // 1000000} MB, so it isn't read.", AGAIN)
            return file.read(LARGEST)
    except FileNotFoundError as error:
        raise OperatorError(f"There is no file {path}.", ABSENT) from error
    except (OSError, NotRegularFileError) as error:
        raise OperatorError(f"{path} can't be read: {getattr(error, 'strerror', None) or error}", UNREADABLE) from error


def _json(path: Path, line: bytes, what: str) -> Any:
    try:
        return json.loads(line)
    except (ValueError, RecursionError) as error:
        raise OperatorError(f"{path} can't be read: {what} isn't JSON, or is nested too deeply.", AGAIN) from error


def _damage_error(path: Path, what: str) -> OperatorError:
    return OperatorError(f"{path} is damaged: {what} was changed.", AGAIN)


def _line(value: Any) -> bytes:
    return json.dumps(value, separators=(",", ":")).encode()


def _sum(line: bytes) -> str:
    return sha256(line).hexdigest()
