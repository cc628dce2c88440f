"""What systemd and Docker do with a bot in the guides for servers: start `serve`, signal it, and stop it."""

import json
import os
import signal
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from tests.kit.bot import forked


class Daemon:
    """A bot's `serve`, in the folder and the environment of its unit or its image; its log comes on stderr."""

    def __init__(self, arguments: Sequence[str], folder: Path, environ: Mapping[str, str]) -> None:
        self._process = forked.start(arguments, subprocess.DEVNULL, first=lambda: os.chdir(folder), **environ)
        self._log: list[str] = []
        self._wait_for("started by")

    def reload(self) -> None:
        """Let it read its configuration again, and wait until it says so."""
        self._process.send_signal(signal.SIGHUP)
        self._wait_for("config_reloaded")

    def stop(self) -> int:
        """End it as a service is ended, and return its exit code."""
        self._process.send_signal(signal.SIGTERM)
        try:
            _, rest = self._process.communicate(timeout=60)
        finally:
            self._process.kill()
        self._log += rest.splitlines()
        return self._process.returncode

    def documents(self) -> list[dict[str, Any]]:
        """Return what it has logged so far, one JSON object per line."""
        return [json.loads(line) for line in self._log]

    def _wait_for(self, words: str) -> None:
        assert self._process.stderr is not None
        while not (self._log and words in self._log[-1]):
            line = self._process.stderr.readline()
            assert line, self._log
            self._log.append(line)
