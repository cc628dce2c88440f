"""Measure how long each command takes, as multiples of the time that this machine needs to start Python.

Every command is its own process with this environment's interpreter. The runs are in rotation, so that a busy moment of
the machine affects all of them, and the table shows medians of CPU time.
"""

import statistics
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from benchmarks.support.figures import Figure, show
from benchmarks.support.processes import BIN, run, tradebot
from benchmarks.support.sizes import sized
from papervenue import process

RUNS, WARMS = sized((7, 1), (1, 0))
"""How often each command is timed, and how many rounds before that only warm the disk cache."""
PASS = "python -c pass"
SDK = "python -c 'import alpaca.trading.client'"
EVERY_VERB = (
    "init", "demo", "serve", "schedule", "fetch-flow", "score", "trade-once", "evaluate-exits", "reconcile",
    "why-no-orders", "halt", "unhalt", "status", "doctor", "audit", "exchange serve", "exchange tick",
    "positions", "orders", "fills", "trades", "events", "config show", "config check", "adopt", "flatten", "completion",
)  # fmt: skip
VERBS = sized(EVERY_VERB, EVERY_VERB[:1])


@dataclass(frozen=True)
class Case:
    """A command to time; `bound` is the largest wanted multiple of the time of the case `against`."""

    name: str
    command: Sequence[str]
    against: str = PASS
    bound: float | None = None
    times: int = 1


def cases(quick: Path, trading: Path) -> list[Case]:
    """Return the cases, yardsticks first. `halt` has its own state folder, so that it halts no other case."""
    program = str(BIN / "tradebot")
    return [
        Case(PASS, (sys.executable, "-c", "pass"), times=9),
        Case(SDK, (sys.executable, "-c", "import alpaca.trading.client")),
        Case("--help", (program, "--help"), bound=10),
        *(Case(f"{verb} --help", (program, *verb.split(), "--help"), bound=10) for verb in VERBS),
        Case("halt", tradebot(quick, "halt"), bound=4),
        Case("status", tradebot(trading, "status"), bound=28),
        Case("positions", tradebot(trading, "positions"), bound=24),
        Case("doctor --offline", tradebot(trading, "doctor", "--offline"), bound=32),
        *(
            Case(verb, tradebot(trading, *verb.split()), bound=32)
            for verb in ("orders", "fills", "events", "config show")
        ),
        Case("why-no-orders", tradebot(trading, "why-no-orders"), bound=32),
        *(Case(verb, tradebot(trading, verb), bound=40) for verb in ("score", "trades")),
        # A slot runs once; a forced one makes every run do the whole work.
        Case("trade-once", tradebot(trading, "trade-once", "--force-slot"), against=SDK, bound=1.0),
    ]


def prepare(quick: Path, trading: Path) -> None:
    """Create both state folders; one bot is half an hour into a session, with flow, full books and its exchange."""
    for state in (quick, trading):
        run(*tradebot(state, "init", "--mode", "sandbox"))
    for words in (("exchange", "tick", "open"), ("exchange", "tick", "30m"), ("fetch-flow",), ("reconcile",)):
        run(*tradebot(trading, *words))


def measure(measured: list[Case]) -> dict[str, float]:
    """Return each case's median CPU seconds."""
    seconds_by_case: dict[str, list[float]] = {case.name: [] for case in measured}
    for number in range(WARMS + RUNS):
        for case in measured:
            used = [run(*case.command).cpu_s for _ in range(case.times)]
            seconds_by_case[case.name] += used * (number >= WARMS)
    return {name: statistics.median(each) for name, each in seconds_by_case.items()}


def figures(measured: list[Case], medians_s: dict[str, float]) -> list[Figure]:
    """Return a line for each case, with its ratio and the bound."""
    return [_figure(case, medians_s) for case in measured]


def _figure(case: Case, medians_s: dict[str, float]) -> Figure:
    took = f"{medians_s[case.name] * 1000:.0f} ms"
    if case.bound is None:
        return Figure(case.name, took)
    ratio = medians_s[case.name] / medians_s[case.against]
    return Figure(case.name, took, ratio, f"times {case.against}", case.bound)


def main() -> int:
    """Prepare the folders, measure, print, and stop the exchanges that the preparation started."""
    with tempfile.TemporaryDirectory(prefix="tradebot-bench-") as folder:
        quick, trading = Path(folder) / "quick", Path(folder) / "trading"
        try:
            prepare(quick, trading)
            measured = cases(quick, trading)
            medians_s = measure(measured)
            return show(f"start-up, medians of {RUNS} runs in rotation", figures(measured, medians_s))
        finally:
            for state in (quick, trading):
                process.stop(state / "exchange")


if __name__ == "__main__":
    sys.exit(main())
