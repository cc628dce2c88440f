"""Send one notice in a separate process. If the receiver hangs or misbehaves, only that process is affected.

Run as a program, it reads one notice from standard input, sends it, and prints the error, if any.
"""

import json
import logging
import os
import resource
import subprocess
import sys
import time
from io import StringIO

from tradebot.adapters.state.subprocess_runner import TO_START
from tradebot.adapters.text.extras import install
from tradebot.adapters.text.redaction import hide_keys
from tradebot.model.event import Severity
from tradebot.model.notice import Notice

LIMIT_S = 30.0
"""The time limit of an attempt, in seconds."""
MOST_MEMORY = 1 << 30
"""The address space of an attempt, in bytes, in case a response never ends."""
WAIT_S = (5.0, 10.0)
"""The time limits for connecting, and for each part of a response, in seconds."""
LONGEST = 200
OURS = ("http://", "https://")
"""Address prefixes that get plain JSON from the bot; Apprise handles the others."""
KINDS = {Severity.INFO: "info", Severity.WARN: "warning", Severity.ERROR: "failure", Severity.CRITICAL: "failure"}


class Attempt:
    """An attempt to deliver one notice."""

    def __init__(self, address: str, notice: Notice, limit_s: float | None = None) -> None:
        request = {"address": address, "title": notice.title, "text": notice.text, "severity": notice.severity}
        needed = {name: text for name, text in os.environ.items() if name in TO_START or name.startswith("PYTHON")}
        self._limit_s = LIMIT_S if limit_s is None else limit_s
        self._deadline = time.monotonic() + self._limit_s
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tradebot.adapters.notices.sender"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            env=needed,
        )
        assert self._process.stdin is not None
        with self._process.stdin as pipe:
            pipe.write(json.dumps(request).encode())

    def has_ended(self) -> bool:
        """Return True once the attempt has ended; stop it at its time limit."""
        if self._process.poll() is None and time.monotonic() >= self._deadline:
            self._process.kill()
            self._process.wait()
        return self._process.poll() is not None

    def problem(self) -> str:
        """Return why an ended attempt failed, in one line without secrets; empty if it succeeded."""
        assert self._process.stdout is not None
        with self._process.stdout as pipe:
            output = pipe.read().decode(errors="replace")
        if self._process.returncode == 0:
            return ""
        if time.monotonic() >= self._deadline:
            return f"no answer in {self._limit_s:.0f} s"
        return " ".join(hide_keys(output).split())[:LONGEST] or f"ended with exit code {self._process.returncode}"

    def close(self) -> None:
        """End the attempt if it hasn't ended."""
        if self._process.poll() is None:
            self._process.kill()
        self._process.wait()
        if self._process.stdout is not None:
            self._process.stdout.close()


def deliver(address: str, notice: Notice) -> str:
    """Deliver a notice now; return the error, or an empty text."""
    return _by_us(address, notice) if address.lower().startswith(OURS) else _by_apprise(address, notice)


def _by_us(address: str, notice: Notice) -> str:
    import requests

    body = {"title": notice.title, "text": notice.text, "severity": notice.severity.value}
    try:
        # A secret must not follow a redirect, and the receiver's reply is irrelevant.
        with requests.post(address, json=body, timeout=WAIT_S, allow_redirects=False, stream=True) as answer:
            return "" if 200 <= answer.status_code < 300 else f"the receiver answered {answer.status_code}"
    except requests.RequestException as failed:
        return f"the receiver can't be reached: {type(failed).__name__}"


def _by_apprise(address: str, notice: Notice) -> str:
    try:
        import apprise
    except ImportError:
        return f"Apprise isn't installed: {install('notify')}"
    string_io, channel = StringIO(), apprise.Apprise()
    stream_handler = logging.StreamHandler(string_io)
    apprise.logger.addHandler(stream_handler)
    try:
        if not channel.add(address) or len(channel) != 1:
            return f"Apprise doesn't understand the address: {string_io.getvalue()}"
        kind = KINDS[notice.severity]
        done = channel.notify(body=notice.text, title=notice.title, notify_type=kind, body_format="text")
        return "" if done else string_io.getvalue() or "the service refused it"
    finally:
        apprise.logger.removeHandler(stream_handler)


def main() -> int:
    """Send the notice from standard input, and return the exit code."""
    resource.setrlimit(resource.RLIMIT_AS, (MOST_MEMORY, MOST_MEMORY))
    request = json.load(sys.stdin)
    problem = deliver(request["address"], Notice(request["title"], request["text"], Severity(request["severity"])))
    sys.stdout.write(problem)
    return 1 if problem else 0


if __name__ == "__main__":
    sys.exit(main())
