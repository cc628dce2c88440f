"""Measure `why-no-orders` with a million recorded decisions: each question as its own process, past start-up.

Start-up is what the same verb takes on a state without any pass. The bound is 100 ms above it.
"""

import statistics
import tempfile
from collections.abc import Iterator
from datetime import datetime, timedelta
from pathlib import Path

from benchmarks.startup import tradebot, wall_s
from benchmarks.support.figures import Figure, show
from benchmarks.support.sizes import sized
from tests.builders import candidate
from tradebot.adapters.facts.bulk import write_passes
from tradebot.adapters.text.canonical import parse_time
from tradebot.exchange import process
from tradebot.model.decision import Decision, Gate, Verdict
from tradebot.model.reasons import Reason
from tradebot.model.record import CandidateRecord, CycleRecord, Job

RUNS = sized(5, 1)
SYMBOLS = ("AAPL", "MSFT", "NVDA", "SPY", *(f"S{number}" for number in range(16)))
GATES, A_SESSION = tuple(Gate)[:33], 78
SESSIONS = sized(20, 1)
FIRST = parse_time("2026-10-19T13:32:00.000000Z")
BOUND_MS = 100


def passes() -> Iterator[CycleRecord]:
    """Yield 20 sessions of passes every five minutes, of 20 symbols and 33 decisions each: 1.03 million decisions."""
    decisions = tuple(
        Decision(gate, Verdict.FAIL, Reason.SCORE_BELOW_MIN, 0.1, 0.25) if gate is Gate.SCORE else
        Decision(gate, Verdict.PASS, None, 0.1, 0.25) for gate in GATES
    )  # fmt: skip
    for day in range(SESSIONS):
        for number in range(A_SESSION):
            at = FIRST + timedelta(days=day, minutes=5 * number)
            yield _pass(at, number, decisions)


def _pass(at: datetime, number: int, decisions: tuple[Decision, ...]) -> CycleRecord:
    records = tuple(CandidateRecord(candidate(symbol), decisions) for symbol in SYMBOLS)
    slot = f"open+{2 + 5 * number}m"
    return CycleRecord(f"trade-once.{at.date()}.{slot}", Job.TRADE_ONCE, at.date(), slot, at, "sandbox", records)


def main() -> None:
    """Print the milliseconds of each question above start-up."""
    with tempfile.TemporaryDirectory(prefix="bench-why-") as folder:
        state = Path(folder) / "bot"
        wall_s(tradebot(state, "init", "--mode", "sandbox"))
        process.stop(state / "exchange")
        last = (FIRST + timedelta(days=SESSIONS - 1)).date()
        questions = ("", "NVDA", f"NVDA --session {last}", f"NVDA --session {last} --at 10:32", "NVDA --since 1d")
        _asked(state, "")
        startup = statistics.median(_asked(state, "") for _ in range(RUNS))
        write_passes(state, passes())
        took = {asked: statistics.median(_asked(state, asked) for _ in range(RUNS)) for asked in questions}
    show(f"why-no-orders over a million decisions, medians of {RUNS} runs", (
        Figure(f"why-no-orders {words}".strip(), f"{1000 * each:.0f} ms", 1000 * (each - startup), "ms past start-up",
               BOUND_MS)
        for words, each in took.items()
    ))  # fmt: skip


def _asked(state: Path, words: str) -> float:
    return wall_s(tradebot(state, "why-no-orders", *words.split()))


if __name__ == "__main__":
    main()
