"""Write the status of `serve`, report it to the service manager, count starts, and detect whether `serve` is running.

The status file alone proves nothing, because a killed process leaves it behind. The lock shows that `serve` runs, and
the times in the status file show that it works. Starts that didn't end cleanly are counted, so that a crash loop is
noticed. The service manager gets the status by systemd's notification protocol (sd_notify(3)): one datagram per
message, sent to the socket that an environment variable names. Without that variable, nothing is sent.
"""

import json
import os
import socket
from collections.abc import Mapping
from contextlib import suppress
from datetime import datetime, timedelta
from pathlib import Path

from tradebot.adapters.failpoint import around
from tradebot.adapters.state import state_locks
from tradebot.adapters.state.safe_open import create_draft, read_plain
from tradebot.adapters.state.state_folder import SERVING, STARTS, write_durably
from tradebot.adapters.text.canonical import parse_time, time_text
from tradebot.adapters.text.codec import decode, encode
from tradebot.model.serving import ServeNote

SOCKET = "NOTIFY_SOCKET"


class Supervisor:
    """The service manager that started this process, if any. It ignores messages that it doesn't support."""

    def __init__(self, environ: Mapping[str, str]) -> None:
        address = environ.get(SOCKET, "")
        # A leading @ stands for the zero byte of an abstract socket; other kinds of sockets aren't supported.
        self._address = f"\0{address[1:]}" if address.startswith("@") else address if address.startswith("/") else ""

    def tell(self, **state: str) -> None:
        """Send variables such as READY="1" or STATUS="…"; do nothing if the manager can't be reached."""
        if not self._address:
            return
        text = "\n".join(f"{name}={' '.join(value.split())}" for name, value in state.items())
        with suppress(OSError), socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as sender:
            # A manager that doesn't read must not delay the bot.
            sender.setblocking(False)
            sender.sendto(text.encode(), self._address)


STARTS_WINDOW = timedelta(minutes=10)

MOST_STARTS = 5

"""How many starts within the window are allowed; one more is a crash loop."""


def record_start(folder: Path, now: datetime) -> int:
    """Record this start durably before doing anything else; return the number of starts within the window, including
    this one.

    Raise OSError if that fails, because an uncounted crash loop could go on forever.
    """
    # After the clock was set back, starts with later times still count.
    recent = [at for at in _noted_starts(folder) if abs(now - at) < STARTS_WINDOW][-MOST_STARTS:]
    _write(folder, [*recent, now])
    return len(recent) + 1


def forget_start(folder: Path, at: datetime) -> None:
    """Forget a recorded start, because that run ended cleanly; it also ends cleanly if the user restarts it."""
    _write(folder, [each for each in _noted_starts(folder) if each != at])


def forget_starts(folder: Path) -> None:
    """Forget all recorded starts, because the user has examined their cause."""
    _write(folder, [])


def _write(folder: Path, starts: list[datetime]) -> None:
    write_durably(folder / STARTS, json.dumps([time_text(at) for at in starts]) + "\n")


def _noted_starts(folder: Path) -> list[datetime]:
    """Return the recorded starts; none if the file is missing or unreadable."""
    try:
        return [parse_time(text) for text in json.loads(read_plain(folder / STARTS))]
    except (OSError, ValueError, TypeError):
        return []


SERVE = "serve"

"""The verb that holds the lock while it runs; `restore` and others hold it too, so that `serve` can't start."""

LONGEST = 1 << 16


def write_serving(folder: Path, serving: ServeNote) -> None:
    """Replace the status file of the running `serve`. If the disk fails, the old file stays, and readers notice its
    age.

    It isn't synced, because nothing runs after a power failure anyway.
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
    """Return the last status that `serve` wrote, possibly before it ended; None if there is none or it can't be
    read.
    """
    try:
        return decode(ServeNote, json.loads(read_plain(folder / SERVING)[:LONGEST]))
    except (OSError, ValueError):
        return None


def is_running(folder: Path) -> bool:
    """Return True if a `serve` works on the folder, as its lock shows; a killed process holds no lock."""
    holder = state_locks.holder(folder, state_locks.SERVE_LOCK)
    return holder is not None and holder.partition(",")[0] in (SERVE, state_locks.NO_NAME)
