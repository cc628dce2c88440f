"""Keep the note that a running `serve` writes about itself, and tell whether one runs.

The note alone proves nothing, because a killed process leaves it behind. That `serve` runs is shown by its lock, and
that it works by the times in the note.
"""

import json
import os
from contextlib import suppress
from pathlib import Path

from tradebot.adapters.failpoint import around
from tradebot.adapters.state import state_locks
from tradebot.adapters.state.safe_open import create_draft, read_plain
from tradebot.adapters.state.state_folder import SERVING
from tradebot.adapters.text.codec import decode, encode
from tradebot.model.serving import ServeNote

SERVE = "serve"
"""The verb that holds the lock while it runs; `restore` and others hold it too, to keep `serve` away."""
LONGEST = 1 << 16


def write_serving(folder: Path, serving: ServeNote) -> None:
    """Replace the note. If the disk fails, the old note stays and grows old, which is what its readers look at.

    It isn't synced: after a power loss nothing runs, whatever the note says.
    """
    with suppress(OSError):
        draft, descriptor = create_draft(folder / SERVING)
        try:
            with os.fdopen(descriptor, "w", encoding="utf-8") as file:
                file.write(json.dumps(encode(serving)))
            with around("serve_status.replace"):
                draft.replace(folder / SERVING)
        except OSError:
            with around("serve_status.drop_draft"):
                draft.unlink(missing_ok=True)


def read_serving(folder: Path) -> ServeNote | None:
    """Return the last note, or None if there is none or it can't be read; it may be of a process that is gone."""
    try:
        return decode(ServeNote, json.loads(read_plain(folder / SERVING)[:LONGEST]))
    except (OSError, ValueError):
        return None


def is_running(folder: Path) -> bool:
    """Return True if a `serve` works on the folder, because its lock is held; a killed process holds no lock."""
    holder = state_locks.holder(folder, state_locks.SERVE_LOCK)
    return holder is not None and holder.partition(",")[0] in (SERVE, state_locks.NO_NAME)
