"""The log of `serve` for programs: JSON lines with fixed fields, without prose to parse."""

import errno
import json
import os
import sys
import threading
from collections.abc import Callable, Mapping
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path

from msgspec import Struct

from commands.shared.light_helpers import Identity
from jobs.runner import LogKind, LogLine
from tradebot.adapters.state.json_lines import RotatedLines
from tradebot.adapters.text.canonical import time_text
from tradebot.adapters.text.redaction import hide_keys
from tradebot.app.settings_schema import ServeSettings
from tradebot.errors import OperatorError
from tradebot.model.event import EventKind, Severity, SystemEvent

STDERR = "-"
"""The log name that stands for stderr."""
SEVERITY = {
    LogKind.NOTE: Severity.INFO,
    LogKind.RAN: Severity.INFO,
    LogKind.MISSED: Severity.WARN,
    LogKind.FAILED: Severity.WARN,
    LogKind.FAULT: Severity.ERROR,
}
SAID_BY_LINES = frozenset({
    EventKind.SERVE_NOTE, EventKind.JOB_FAILED, EventKind.JOB_FAULT, EventKind.EXCEPTION, EventKind.SLOT_MISSED,
})  # fmt: skip
"""Events that `serve` also writes as lines, which have more fields."""
MB = 1_000_000


class Log(Struct, frozen=True):
    """Writes a line for each message of `serve` and for each event of its passes.

    `timestamp` is this machine's clock; `trading_time` is the broker's or the embedded exchange's.
    """

    append: Callable[[str], object]
    bot_identity: Identity
    lost: Callable[[], str | None] = lambda: None
    """Returns why the last line couldn't be written; None if it was."""

    def line(self, line: "LogLine") -> None:
        """Write a message about a job, or about the whole run."""
        self._write(
            SEVERITY[line.kind],
            "serve",
            line.kind.value,
            {"message": line.said},
            job=line.job and str(line.job),
            slot=line.slot,
            trading_time=time_text(line.at),
            exit_code=int(line.exit_code),
            took_s=line.took_s,
        )

    def event(self, event: "SystemEvent") -> None:
        """Write an event of a pass, unless `serve` reports it as a line."""
        if all((event.subsystem, event.event_type) != (kind.subsystem, kind.event_type) for kind in SAID_BY_LINES):
            at = time_text(event.timestamp)
            about = (event.severity, event.subsystem, event.event_type, event.details)
            self._write(*about, symbol=event.symbol, trading_time=at)

    def _write(
        self,
        severity: Severity,
        subsystem: str,
        event_type: str,
        details: Mapping[str, str],
        *,
        trading_time: str,
        job: str | None = None,
        slot: str | None = None,
        symbol: str | None = None,
        exit_code: int | None = None,
        took_s: float | None = None,
    ) -> None:
        fields = {
            "timestamp": time_text(datetime.now(UTC)),
            "severity": severity,
            "subsystem": subsystem,
            "event_type": event_type,
            **self.bot_identity._asdict(),
            "pid": os.getpid(),
            "thread": threading.current_thread().name,
            "trading_time": trading_time,
            "job": job,
            "slot": slot,
            "symbol": symbol,
            "exit_code": exit_code,
            "took_s": took_s,
            "details": dict(details),
        }
        self.append(hide_keys(json.dumps(fields, allow_nan=False)))


def log_to(path: str, settings: "ServeSettings", bot_identity: Identity) -> Log:
    """Return the log to a file, which is rotated by size, or to stderr if the path is `-`.

    Raises OperatorError for a file that can't be written. A full disk isn't an error, because there may be room later.
    """
    if path == STDERR:
        return Log(_one_at_a_time(_to_stderr), bot_identity)
    file = RotatedLines(Path(path), settings.log_mb * MB, settings.log_files)
    try:
        file.require()
    except OSError as error:
        if error.errno not in (errno.ENOSPC, errno.EDQUOT):
            message = f"the log {path} can't be written: {error.strerror}"
            raise OperatorError(
                message, "name a file in an existing folder, or - for stderr: tradebot serve --log -"
            ) from error
    return Log(_one_at_a_time(file.append), bot_identity, lambda: file.lost)


def _one_at_a_time(write: Callable[[str], object]) -> Callable[[str], None]:
    lock = threading.Lock()

    def one_at_a_time(text: str) -> None:
        with lock:
            write(text)

    return one_at_a_time


def _to_stderr(text: str) -> None:
    """Print a line; if nobody reads stderr any more, only the line is lost."""
    with suppress(OSError, ValueError):
        print(text, file=sys.stderr, flush=True)
