"""Measure the demo's session: how long its 390 minutes take, and how many requests a second that is."""

import logging
import sys
import tempfile
import time
from pathlib import Path

from benchmarks.support.figures import Figure, show
from benchmarks.support.sizes import sized
from commands.demo import SESSION_MINUTES
from commands.demo import run as demo
from papervenue import process

BOUND_S = 60
MINUTES = sized(SESSION_MINUTES, 5)
FLAGS = {"mode": "sandbox"}
STATE = Path(__file__).parents[1] / "state"


class RequestCount(logging.Handler):
    """Counts requests by the line that the HTTP client logs for each response."""

    def __init__(self) -> None:
        super().__init__(logging.DEBUG)
        self.count = 0

    def emit(self, record: logging.LogRecord) -> None:
        """Count responses; new connections are logged too, but aren't counted."""
        self.count += '"%s %s %s"' in str(record.msg)


class Minutes:
    """Records when each minute of the session was over, with the requests made until then."""

    def __init__(self, requests: RequestCount) -> None:
        self._requests = requests
        self._seen: list[tuple[float, int]] = []

    def __call__(self, done: int, total: int) -> None:
        self._seen.append((time.perf_counter(), self._requests.count))

    @property
    def elapsed_s(self) -> float:
        """Return the wall time in seconds, without the first minute, which opens files and connections."""
        return self._seen[-1][0] - self._seen[0][0]

    @property
    def requests(self) -> int:
        """Return the number of requests in the same time."""
        return self._seen[-1][1] - self._seen[0][1]


def counter() -> RequestCount:
    """Return a counter of all requests of this process."""
    counted = RequestCount()
    log = logging.getLogger("urllib3.connectionpool")
    log.setLevel(logging.DEBUG)
    log.propagate = False
    log.addHandler(counted)
    return counted


def main() -> int:
    """Play the demo's session in a new state folder, print the figures, and stop its exchange."""
    minutes = Minutes(counter())
    with tempfile.TemporaryDirectory(prefix="bench-", dir=STATE) as folder:
        state = Path(folder) / "demo"
        began = time.perf_counter()
        try:
            report = demo.run(str(state), dict(FLAGS), MINUTES, minutes)
        finally:
            process.stop(state / "exchange")
        whole_s = time.perf_counter() - began
    assert not report.data.differences, report.data.differences
    rate = f"{minutes.requests:,} requests, {minutes.requests / minutes.elapsed_s:.0f} a second"
    return show(
        f"the demo: {MINUTES} minutes, {report.data.symbols} symbols",
        [
            Figure("session, set-up aside", rate, minutes.elapsed_s, "s", BOUND_S),
            Figure("with set-up, report and stop", "", whole_s, "s"),
        ],
    )


if __name__ == "__main__":
    sys.exit(main())
