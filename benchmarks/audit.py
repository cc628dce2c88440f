"""Measure an audit over many records: 100,000 decisions and 10,000 orders of one session, each with its fill.

The state is made once; every run has its own process, because a process remembers the rows that it has read.
"""

import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from pathlib import Path

from benchmarks.support.figures import Figure, show
from benchmarks.support.sizes import sized
from benchmarks.support.traded import GATES, Traded, filled, intent_of
from papervenue import process
from tests.kit.values import instrument
from tradebot.adapters.facts.facts import SqliteFacts
from tradebot.adapters.ledger.ledger import SqliteLedger
from tradebot.adapters.state import state_folder
from tradebot.adapters.state.events import JsonlEvents
from tradebot.model.bar import Session
from tradebot.model.candidate import Candidate, Component, Purpose, Side
from tradebot.model.decision import Decision, Gate, Verdict
from tradebot.model.order import Outcome, Reply
from tradebot.model.reasons import Reason
from tradebot.model.record import CandidateRecord, CycleRecord, Job
from tradebot.model.trading import ReconcileMark
from tradebot.signals.components import component_names

BIN = Path(sys.executable).parent
MEMORY = Path("/dev/shm")  # noqa: S108 - its own folder is made in it
RUNS = sized(5, 1)
BOUND_S = 1.0
ORDERS = sized(10_000, 100)
PASSES = sized(80, 2)
CANDIDATES = 50
DECISIONS = 25
DAY = date(2026, 11, 16)
SESSION = Session(DAY, datetime(2026, 11, 16, 14, 30, tzinfo=UTC), datetime(2026, 11, 16, 21, 0, tzinfo=UTC))
SYMBOLS = ("AAPL", "MSFT", "NVDA", "AMZN", "GOOGL", "META", "TSLA", "AMD", "NFLX", "INTC")


def verdicts(last: Reason | None) -> tuple[Decision, ...]:
    """Return as many decisions as a candidate gets, with the numbers that they carry; `last` ends it."""
    passed = [Decision(gate, Verdict.PASS, None, Decimal("0.0731"), Decimal("0.1")) for gate in GATES[: DECISIONS - 1]]
    end = Decision(Gate.DUPLICATE, Verdict.FAIL if last else Verdict.PASS, last, 0.1731, 0.2)
    return (*passed, end)


def at(number: int, of: int) -> datetime:
    """Return the time of one of so many things that are spread over the session, before its last minute."""
    return SESSION.open + timedelta(minutes=389) * number / of


def orders(account: str) -> Iterator[Traded]:
    """Yield the orders, filled; a symbol is bought and sold in turn."""
    for number in range(ORDERS):
        turn, place = divmod(number, len(SYMBOLS))
        side = Side.SELL if turn % 2 else Side.BUY
        sent = intent_of(account, DAY, at(number, ORDERS), f"open+{number}m", SYMBOLS[place], side)
        yield filled(sent, f"venue-{number}", f"fill-{number}", Decimal("100.2") + number % 7)


def write_books(folder: Path, account: str) -> None:
    """Write the orders the way that the bot does, each promise by itself."""
    ledger = SqliteLedger.open(folder, account)
    done = list(orders(account))
    for one in done:
        ledger.promise(one.intent, verdicts(None))
        ledger.settle(one.intent.client_order_id, Reply(Outcome.ACCEPTED, one.order), one.intent.at)
    ledger.apply_fills([one.fill for one in done], SESSION.close)
    ledger.put_sessions([SESSION])
    ledger.mark_reconciled(ReconcileMark(SESSION.close, 0, 0))
    ledger.close()


def passes() -> Iterator[CycleRecord]:
    """Yield the passes of trade-once, each with its candidates."""
    components = tuple(Component(name, 0.31415926, 0.15, "twelve alerts in half an hour") for name in component_names())
    for number in range(PASSES):
        when = at(number, PASSES)
        record = [
            CandidateRecord(
                Candidate("flow", instrument(f"S{n}"), Side.BUY, Purpose.OPEN, when, 0.3, 0.9, components),
                verdicts(Reason.SCORE_BELOW_MIN if n % 3 else Reason.COOLDOWN),
                reference_price=Decimal("100.25"),
            )
            for n in range(CANDIDATES)
        ]
        yield CycleRecord(
            f"trade-once.{number}", Job.TRADE_ONCE, DAY, f"open+{number}m", when, "sandbox", tuple(record)
        )


def prepare(folder: Path) -> None:
    """Make a sandbox and write the records of a busy session into its books."""
    done = subprocess.run(
        [BIN / "tradebot", "init", "--state-dir", folder, "--sessions", "1"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    write_books(folder, state_folder.open_state(folder).account_number)
    facts = SqliteFacts(folder, JsonlEvents(folder / state_folder.EVENTS), SESSION.open)
    for cycle in passes():
        facts.record(cycle)
    facts.close()
    with closing(SqliteLedger.open(folder)) as books:
        # As a pass leaves them: added up, and known to be sound.
        books.keep_totals()
        books.file.check()


def child(folder: str, offline: bool) -> None:
    """Import what an audit needs, then print the seconds that one takes."""
    from commands.audit import verb as audit
    from tradebot.app.loading import Options
    from tradebot.app.wiring import opened

    with opened(Options(folder), {}) as app:
        began = time.perf_counter()
        report = audit.run(app, offline=offline)
        took_s = time.perf_counter() - began
    looked = {each.subject: each.count for each in report.data.judgments}
    assert looked["working orders"] == ORDERS, looked
    assert looked["reasons of refusal"] == PASSES * CANDIDATES, looked
    print(took_s)


def median_s(folder: Path, way: str) -> float:
    """Return the median of some runs, each in its own process."""
    command = [sys.executable, "-m", "benchmarks.audit", str(folder), way]
    runs = [subprocess.run(command, capture_output=True, text=True, check=False) for _ in range(RUNS)]
    assert not any(run.returncode for run in runs), runs[0].stderr
    return statistics.median(float(run.stdout) for run in runs)


def main() -> None:
    """Make the state, measure, print, and stop the exchange that was started."""
    # Writing is not what is measured here: where a folder in memory is at hand, thousands of syncs cost nothing.
    with tempfile.TemporaryDirectory(prefix="tradebot-bench-", dir=MEMORY if MEMORY.is_dir() else None) as place:
        folder = Path(place) / "state"
        try:
            prepare(folder)
            seen = f"{PASSES * CANDIDATES * DECISIONS:,} decisions, {ORDERS:,} orders"
            figures = [
                Figure("audit --offline", seen, median_s(folder, "offline"), "s", BOUND_S),
                Figure("audit, broker asked", seen, median_s(folder, "online"), "s", BOUND_S),
            ]
            show(f"audit past start-up, medians of {RUNS} processes", figures)
        finally:
            process.stop(folder / "exchange")


if __name__ == "__main__":
    if len(sys.argv) > 1:
        child(sys.argv[1], sys.argv[2] == "offline")
    else:
        main()
