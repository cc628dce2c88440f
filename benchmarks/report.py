"""Measure a report over 10,000 generated trades of 200 sessions, without importing modules.

The books are a real ledger, and the ends of sessions a real store. The value of the gates' refusals is left out,
because it depends on bars that must be read, and `tradebot report` shows its progress there.
"""

import gc
import json
import statistics
import sys
import tempfile
import time
from collections.abc import Iterator
from datetime import date
from decimal import Decimal
from pathlib import Path
from random import Random

from benchmarks.support import grown
from benchmarks.support.figures import Figure, show
from benchmarks.support.sizes import sized
from commands.report.screen import render
from commands.shared.history import read_history
from commands.shared.verb_options import console, jsonable
from tradebot.__main__ import UNCOLLECTED
from tradebot.adapters.facts.facts import SqliteFacts
from tradebot.adapters.state import state_folder
from tradebot.adapters.state.events import JsonlEvents
from tradebot.app.loading import Options
from tradebot.app.wiring import App, open_app
from tradebot.lab.performance.curve import BenchmarkPrices
from tradebot.lab.performance.report import PerformanceReport
from tradebot.lab.performance.reporting import ReportMaterial, account_report
from tradebot.model.bar import Session
from tradebot.model.record import CycleRecord, Job

STATE = Path(__file__).parents[1] / "state"
TRADES = sized(10_000, 200)
BOUND_S = 1.5
RUNS = sized(3, 1)
SEED = 17


def past() -> list[Session]:
    """Return the sessions in which the generated books have trades."""
    return [session for session in grown.sessions(2 * TRADES // grown.A_SESSION + 2) if session.close < grown.NOW]


def make(folder: Path) -> None:
    """Generate the books, and the end of each session with an equity."""
    grown.make(folder, 2 * TRADES)
    facts = SqliteFacts(folder, JsonlEvents(folder / state_folder.EVENTS), grown.NOW)
    drawn, equity = Random(SEED), float(grown.CASH)  # noqa: S311 - replayable on purpose
    for number, session in enumerate(past()):
        equity *= 1 + drawn.gauss(0.0005, 0.01)
        name, at = f"cycle-{number}", session.close
        facts.record(
            CycleRecord(name, Job.EVALUATE_EXITS, session.date, name, at, "sandbox", equity=Decimal(f"{equity:.2f}"))
        )
    facts.close()


def prices() -> BenchmarkPrices:
    """Return generated prices of a benchmark."""
    drawn, price = Random(SEED + 1), 500.0  # noqa: S311 - replayable on purpose
    opens, closes = dict[date, float](), dict[date, float]()
    for session in past():
        opens[session.date], price = price, price * (1 + drawn.gauss(0.0004, 0.01))
        closes[session.date] = price
    return BenchmarkPrices("SPY", closes, opens)


def timed(app: App) -> Iterator[tuple[str, float]]:
    """Yield the seconds of each part of a report."""
    began = time.process_time()
    history = read_history(app)
    yield "read the books", time.process_time() - began
    began = time.process_time()
    account = account_report(ReportMaterial("state", history, past(), prices(), 0.0))
    yield "compute", time.process_time() - began
    assert sum(1 for trade in account.trades if trade.closed_at) >= TRADES - len(grown.SYMBOLS), len(account.trades)
    assert len(account.curve) >= 2 * TRADES // grown.A_SESSION, len(account.curve)
    data = PerformanceReport(history.at, None, None, None, None, (account,))
    began = time.process_time()
    screen = console()
    with screen.capture():
        render(screen, data)
    yield "show", time.process_time() - began
    began = time.process_time()
    json.dumps(jsonable(data))
    yield "write as JSON (instead of show)", time.process_time() - began


def main() -> int:
    """Generate the books, report on them several times, and print the medians."""
    STATE.mkdir(exist_ok=True)
    # As the command itself configures it.
    gc.set_threshold(UNCOLLECTED)
    with tempfile.TemporaryDirectory(prefix="bench-", dir=STATE) as temporary:
        folder = Path(temporary) / "state"
        make(folder)
        runs = list[dict[str, float]]()
        for _ in range(RUNS + 1):
            with open_app(Options(str(folder)), {}) as app:
                runs.append(dict(timed(app)))
    medians = {name: statistics.median(run[name] for run in runs[1:]) for name in runs[0]}
    whole = sum(took for name, took in medians.items() if "JSON" not in name)
    how = f"median of {RUNS} reports of {TRADES:,} trades"
    return show(
        f"A report of {TRADES:,} trades in {2 * TRADES // grown.A_SESSION} sessions",
        [
            *(Figure(name, how, took, "s") for name, took in medians.items()),
            Figure("report", how, whole, "s", BOUND_S),
        ],
    )


if __name__ == "__main__":
    sys.exit(main())
