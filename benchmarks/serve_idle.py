"""Measure `serve` while nothing is due: how soon it is ready, what its lanes cost, and what it holds open."""

import os
import signal
import subprocess
import sys
import tempfile
import threading
import time
from datetime import UTC, datetime
from pathlib import Path

from benchmarks.support.figures import Figure, show
from benchmarks.support.sizes import sized
from commands.init import making as init
from commands.serve.daemon import Daemon
from papervenue import process
from tradebot.adapters.state import resources
from tradebot.adapters.state.serve_status import read_serving
from tradebot.app import sandbox
from tradebot.app.loading import Options
from tradebot.app.wiring import App, opened

STARTS = sized(5, 1)
SETTLE_S, IDLE_S = sized((15, 60), (1, 2))
STATE = Path(__file__).parents[1] / "state"
PROGRAM = Path(sys.executable).with_name("tradebot")


class InRealTime(Daemon):
    """A `serve` whose exchange moves by itself, so that it runs in the lanes that a broker's bot has."""

    def _moved_by_itself(self, app: App) -> bool:
        return True


def ready_s(state: Path) -> float:
    """Start `serve` once in its own process, and return after how many real seconds it was ready."""
    began = datetime.now(UTC)
    with subprocess.Popen(
        [PROGRAM, "serve", "--speed", "1", "--state-dir", str(state)],
        stdout=subprocess.DEVNULL,
    ) as serve:
        while True:
            noted = read_serving(state)
            if noted is not None and noted.ready_at is not None and noted.since > began:
                break
            assert serve.poll() is None, "it ended"
            time.sleep(0.02)
        serve.send_signal(signal.SIGTERM)
    return (noted.ready_at - began).total_seconds()


class Idle:
    """What a process used over a minute in which nothing was due."""

    def __init__(self) -> None:
        self.cpu_s = 0.0
        self.descriptors: list[int] = []

    def measure(self) -> None:
        """Wait until all lanes have begun, look, wait a minute, look again, and end the process that waits."""
        time.sleep(SETTLE_S)
        self.descriptors.append(resources.open_descriptors() or 0)
        before_s = time.process_time()
        time.sleep(IDLE_S)
        self.cpu_s = time.process_time() - before_s
        self.descriptors.append(resources.open_descriptors() or 0)
        os.kill(os.getpid(), signal.SIGTERM)


def idle(state: Path) -> Idle:
    """Run the lanes at night, beside an exchange whose time is the real one."""
    found = Idle()
    sandbox.ask(state / "exchange", "POST", "/exchange/v1/clock", {"pace": "real"})
    with opened(Options(str(state)), {}) as app:
        daemon = InRealTime(app, "bench", None, lambda line: None, None, lambda: app.loaded)
        threading.Thread(target=found.measure, daemon=True).start()
        daemon.run()
    return found


def main() -> None:
    """Start, wait, print, and stop the exchange that the state was made with."""
    with tempfile.TemporaryDirectory(prefix="bench-", dir=STATE) as folder:
        state = Path(folder) / "serve"
        try:
            init.run(str(state), None, "demo", {"mode": "sandbox"})
            soon_s = sorted(ready_s(state) for _ in range(STARTS))
            found = idle(state)
        finally:
            process.stop(state / "exchange")
    first, last = found.descriptors
    show(
        f"serve: {STARTS} starts, and {IDLE_S} s with nothing due",
        [
            Figure("start to ready, median", f"{soon_s[-1]:.2f} s at most", soon_s[STARTS // 2], "s", 2),
            Figure("processor, of one core", f"{found.cpu_s:.2f} s", 100 * found.cpu_s / IDLE_S, "%", 0.5),
            Figure("descriptors gained", str(last), last - first, "", 0),
            Figure("resident", "", (resources.memory_bytes() or 0) / 1e6, "MB", 200),
        ],
    )


if __name__ == "__main__":
    main()
