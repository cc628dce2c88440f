"""An exchange that `tradebot exchange serve` serves to other clients, and its log as the judge."""

import http.client
import json
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any, NamedTuple

TICK_TIMEOUT_S = 60


class Lab(NamedTuple):
    """A served exchange."""

    url: str
    folder: Path

    def tick(self, **step: object) -> None:
        connection = http.client.HTTPConnection(self.url.removeprefix("http://"), timeout=TICK_TIMEOUT_S)
        with closing(connection):
            connection.request("POST", "/exchange/v1/tick", json.dumps(step))
            assert connection.getresponse().status == 200

    def events(self) -> list[dict[str, Any]]:
        lines = (self.folder / "exchange" / "log.jsonl").read_text(encoding="utf-8").splitlines()
        return [json.loads(line) for line in lines]

    def logged(self, event: str) -> list[dict[str, Any]]:
        return [found for found in self.events() if found["event"] == event]


@contextmanager
def served_to_others(folder: Path, *flags: str) -> Iterator[Lab]:
    """Serve an exchange by the installed command line, five minutes into its first session."""
    command = (sys.executable, "-m", "tradebot", "exchange", "serve", "--json", "--state-dir", str(folder), *flags)
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            lab = Lab(json.loads(process.stdout.readline())["data"]["url"], folder)
            lab.tick(to="open")
            lab.tick(seconds=300)
            yield lab
        finally:
            process.terminate()
