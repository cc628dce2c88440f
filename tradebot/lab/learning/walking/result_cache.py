"""Keep what is finished of a walk, and know it again: a file says what it is of, and has the hash of what it holds.

So neither a file of another walk nor one that somebody has changed counts as a result.
"""

from __future__ import annotations

import json
from hashlib import sha256
from shlex import quote
from typing import TYPE_CHECKING, Any

from tradebot.adapters.state.safe_open import read_plain
from tradebot.adapters.state.state_folder import write_durably
from tradebot.adapters.text.canonical import json_text
from tradebot.adapters.text.codec import encode
from tradebot.errors import OperatorError

if TYPE_CHECKING:
    from pathlib import Path


def keep(file: Path, of: str, found: object) -> None:
    """Save a result with the task that it belongs to."""
    result = encode(found)
    write_durably(file, json_text({"of": of, "sha256": _digest(result), "result": result}))


def load_result(file: Path, of: str) -> Any:
    """Return the plain values of a result; OperatorError if it can't be read, was changed, or is of something else."""
    try:
        found = json.loads(read_plain(file))
        intact = found["sha256"] == _digest(found["result"])
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise unusable(file, "can't be read") from error
    if not intact:
        raise unusable(file, "was changed")
    if found["of"] != of:
        raise unusable(file, "is of another walk")
    return found["result"]


def unusable(file: Path, why: str) -> OperatorError:
    """Return the error for a file that can't be used."""
    return OperatorError(f"{file} {why}", f"it is played again once it is gone: rm {quote(str(file))}")


def _digest(result: Any) -> str:
    return sha256(json_text(result).encode()).hexdigest()
