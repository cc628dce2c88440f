"""Measure `why-no-orders` with a million recorded decisions: each question as its own process, without start-up.

Start-up is the time of the same verb on a state folder without passes. The bound is 100 ms, for questions about one
pass, a session, or the whole million.
"""

import statistics
import sys
import tempfile
from collections.abc import Iterator
from datetime import datetime, timedelta
from decimal import Decimal
from pathlib import Path

from benchmarks.support.figures import Figure, show
from benchmarks.support.processes import run, tradebot
from benchmarks.support.sizes import sized
from papervenue import process
from tests.kit.values import candidate
from tradebot.adapters.facts.pass_rows import write_passes
from tradebot.adapters.text.canonical import parse_time
from tradebot.app.loading import Options
from tradebot.app.wiring import open_app
from tradebot.model.candidate import Component
from tradebot.model.decision import Decision, Gate, Verdict
from tradebot.model.reasons import Reason
from tradebot.model.record import CandidateRecord, CycleRecord, ExitPrice, Job
from tradebot.model.struct_tools import replace

RUNS = sized(5, 1)
SYMBOLS = ("AAPL", "MSFT", "NVDA", "SPY", *(f"S{number}" for number in range(16)))
GATES, A_SESSION = tuple(Gate)[:33], 78
SESSIONS = sized(20, 1)
FIRST = parse_time("2026-10-19T13:32:00.000000Z")
BOUND_MS = 100
COMPONENTS = tuple(Component(name, 0.1, 1.0, name) for name in ("premium", "sweeps", "tide", "gex", "iv", "dark pool"))
MARKS = tuple(ExitPrice(symbol, Decimal("187.25")) for symbol in SYMBOLS)
CODE = {f"strategy{number}": "0123456789abcdef" * 4 for number in range(3)}
REFUSALS = (
    (Gate.SCORE, Reason.SCORE_BELOW_MIN), (Gate.STRATEGY, Reason.CLUSTER_TOO_SMALL),
    (Gate.SPREAD, Reason.SPREAD_TOO_WIDE), (Gate.FLOW_FRESH, Reason.FLOW_STALE),
    (Gate.COVERAGE, Reason.COVERAGE_BELOW_MIN),
)  # fmt: skip
"""The gate that refuses a candidate, and its reason; one in ten fails a second gate."""


def passes() -> Iterator[CycleRecord]:
    """Yield 20 sessions of passes every five minutes, of 20 symbols and 33 decisions each: 1.03 million decisions."""
    for day in range(SESSIONS):
        for number in range(A_SESSION):
            yield _pass(FIRST + timedelta(days=day, minutes=5 * number), number)


def _pass(at: datetime, number: int) -> CycleRecord:
    records = tuple(_record(symbol, number + 3 * index) for index, symbol in enumerate(SYMBOLS))
    slot = f"open+{2 + 5 * number}m"
    return CycleRecord(
        f"trade-once.{at.date()}.{slot}", Job.TRADE_ONCE, at.date(), slot, at, "sandbox", records,
        equity=Decimal(100_000), marks=MARKS, code=CODE,
    )  # fmt: skip


def _record(symbol: str, number: int) -> CandidateRecord:
    refusing = dict(REFUSALS[number % 5 :][:1] + REFUSALS[:1] * (number % 10 == 0))
    wanted = replace(candidate(symbol), components=COMPONENTS, decisions=_answers({}, number)[:5])
    return CandidateRecord(wanted, _answers(refusing, number))


def _answers(refusing: dict[Gate, Reason], number: int) -> tuple[Decision, ...]:
    return tuple(
        Decision(gate, Verdict.FAIL if gate in refusing else Verdict.PASS, refusing.get(gate), number % 23 / 100, 0.25)
        for gate in GATES
    )


def main() -> int:
    """Print each question's milliseconds beyond start-up."""
    with tempfile.TemporaryDirectory(prefix="bench-why-") as folder:
        state = Path(folder) / "bot"
        run(*tradebot(state, "init", "--mode", "sandbox"))
        process.stop(state / "exchange")
        last = (FIRST + timedelta(days=SESSIONS - 1)).date()
        questions = (
            "", "NVDA", f"NVDA --session {last}", f"NVDA --session {last} --at 10:32", f"--session {last}",
            "--since 30d", "--last 10000", "--by-symbol --since 30d", "NVDA --since 30d",
        )  # fmt: skip
        _cpu_of_question(state, "")
        startup = statistics.median(_cpu_of_question(state, "") for _ in range(RUNS))
        write_passes(state, passes())
        _claim(state)
        took = {
            question: statistics.median(_cpu_of_question(state, question) for _ in range(RUNS))
            for question in questions
        }
    return show(f"why-no-orders over a million decisions, medians of {RUNS} runs, start-up {1000 * startup:.0f} ms", (
        Figure(f"why-no-orders {words}".strip(), f"{1000 * each:.0f} ms", 1000 * (each - startup), "ms past start-up",
               BOUND_MS)
        for words, each in took.items()
    ))  # fmt: skip


def _claim(state: Path) -> None:
    """Claim each pass's slot, as a bot that ran it would have."""
    with open_app(Options(str(state)), {}) as app:
        for one in passes():
            app.ledger.claim_slot(one.job, one.session, one.slot, "bench", one.at)


def _cpu_of_question(state: Path, words: str) -> float:
    return run(*tradebot(state, "why-no-orders", *words.split())).cpu_s


if __name__ == "__main__":
    sys.exit(main())
