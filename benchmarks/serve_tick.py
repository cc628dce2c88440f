"""Measure a tick of `serve` with nothing due: amid a session, every slot that has begun taken, on a ledger on disk."""

import statistics
import tempfile
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path

from benchmarks.support.figures import Figure, show
from benchmarks.support.sizes import sized
from commands.init import making as init
from jobs.due_slots import Duty
from jobs.runner import Done, Runner, Station
from papervenue import process
from tradebot.adapters.time.serve_clock import RealTime
from tradebot.app.loading import Options
from tradebot.app.wiring import App, opened
from tradebot.errors import ExitCode
from tradebot.model.record import Job
from tradebot.timetable.sessions import session_of, slots

TICKS = sized(2_000, 100)
BOUND_MS = 1
NOON = datetime(2026, 11, 16, 17, 0, 20, tzinfo=UTC)
STATE = Path(__file__).parents[1] / "state"


def prepare(app: App) -> Runner:
    """Return a runner in the middle of a session, with every slot up to an hour on taken by somebody."""
    app.ensure_calendar(NOON)
    session = session_of(app.ledger, NOON, app.day)
    assert session is not None
    for job, times in app.settings.timetable.items():
        for slot in slots(job, times, session):
            if slot.start <= NOON + timedelta(hours=1):
                app.ledger.claim_slot(job, slot.session, slot.name, "bench", NOON)
    lines = [line for line in app.settings.timetable.lines if not line.is_chore]
    duty = Duty(app.ledger, lines, app.settings.serve.grace_s, app.day, app.ensure_calendar, lambda slot, now: False)
    verbs = {job: lambda: Done("nothing", ExitCode.DONE) for job in Job}
    station = Station(verbs, "bench", app.mode, app.facts.record, app.events, lambda line: None, time.monotonic)
    runner = Runner(station, duty, RealTime(lambda: NOON))
    runner.begin()
    return runner


def main() -> None:
    """Tick, print, and stop the exchange that the state was made with."""
    with tempfile.TemporaryDirectory(prefix="bench-", dir=STATE) as folder:
        state = Path(folder) / "serve"
        try:
            init.run(str(state), None, "demo", {"mode": "sandbox"})
            with opened(Options(str(state)), {}) as app:
                took_ms = measure(prepare(app))
        finally:
            process.stop(state / "exchange")
    slow = statistics.quantiles(took_ms, n=100)[-1]
    show(
        f"serve: {TICKS:,} ticks with nothing due",
        [
            Figure("median", "", statistics.median(took_ms), "ms", BOUND_MS),
            Figure("99 of 100 within", "", slow, "ms", BOUND_MS),
        ],
    )


def measure(runner: Runner) -> list[float]:
    """Return how many milliseconds each tick took."""
    took_ms = []
    for _ in range(TICKS):
        began = time.perf_counter()
        runner.tick()
        took_ms.append((time.perf_counter() - began) * 1000)
    return took_ms


if __name__ == "__main__":
    main()
