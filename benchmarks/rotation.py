"""Play the published rotation and its variants, and write docs/ROTATION.md: python -m benchmarks.rotation

The data is a folder with daily prices and the funds rate, as described in docs/ROTATION.md. Every run uses the live
bot's own code: its strategy, gates, sizes and orders, on the engine of the embedded exchange.
"""

import argparse
import os
import sys
import tempfile
import time
from collections.abc import Mapping
from concurrent.futures import ProcessPoolExecutor, as_completed
from datetime import date
from decimal import Decimal
from importlib.util import find_spec
from pathlib import Path

from benchmarks.support.rotation_page import Runs, page
from benchmarks.support.rotation_runs import PRICES, PUBLISHED, RATES, SHIPPED, Assumptions, Data, Played, play
from benchmarks.support.sizes import sized
from tradebot.model.struct_tools import replace
from tradebot.strategies.rotation import RotationStrategy
from tradebot.timetable.strategy_times import SESSIONS_OF_MONTH, in_session_of_month, parse
from tradebot.venues.alpaca.capabilities import ALPACA

ROOT = Path(__file__).parents[1]
PAGE = ROOT / "docs" / "ROTATION.md"
STALE = Assumptions(
    study=PUBLISHED,
    prices="adjusted",
    day_prices="close",
    commission_bps=Decimal(10),
    margin_spread=None,
    equity_at="last_fill",
    margin="free",
)
MARKED = replace(STALE, equity_at="market")
PAYING = replace(MARKED, margin_spread=Decimal(0))
DEARLY = replace(PAYING, margin_spread=Decimal("0.015"))
HONEST = Assumptions()


def times(session: str, lasting: str = "3 sessions") -> Mapping[str, object]:
    """Return the settings with which the rotation trades in another session of the month."""
    usual = RotationStrategy.times.partition(" for ")[0]
    return {
        "strategies": {"rotation": {"times": in_session_of_month(parse(f"{usual} for {lasting}", ALPACA.day), session)}}
    }


NEXT_OPEN = replace(DEARLY, day_prices="open-and-close", changes=times("2nd", "1m"))
RUNS: Mapping[str, Assumptions] = {
    "stale": STALE,
    "marked": MARKED,
    "paying": PAYING,
    "dearly": DEARLY,
    "next open": NEXT_OPEN,
    "cheaply": replace(NEXT_OPEN, commission_bps=Decimal(0)),
    "honest": HONEST,
    "twice the costs": replace(HONEST, slippage_bps=Decimal(10), margin_spread=Decimal("0.03")),
    "a day later": replace(HONEST, changes=times("2nd")),
    "halted": replace(HONEST, study=SHIPPED),
    "long": replace(
        HONEST,
        first=date(2003, 1, 2),
        last=date(2025, 12, 23),
        changes={"strategies": {"rotation": {"min_ranked": 9}}},
    ),
    **{f"{name} session": replace(HONEST, changes=times(name)) for name in SESSIONS_OF_MONTH[1:]},
}
"""Every run on the page, by name; the first session of the month has the honest assumptions."""


def main(arguments: list[str] | None = None) -> int:
    """Play all runs on all processors, and write the page."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=ROOT.parent / "shared" / "data" / "market", metavar="FOLDER")
    parser.add_argument("--to", type=Path, default=PAGE, metavar="FILE")
    options = parser.parse_args(arguments)
    if sized(False, True):
        _try()
        return 0
    if find_spec("duckdb") is None:
        print(
            "The prices are in a Parquet file. To read it, install the data extra: make extras NAME=data",
            file=sys.stderr,
        )
        return 2
    lacking = [name for name in (PRICES, RATES) if not (options.data / name).is_file()]
    if lacking:
        print(f"{options.data} has no {lacking[0]}: name the folder with --data", file=sys.stderr)
        return 2
    began = time.perf_counter()
    played_runs = _play_runs(Data(options.data.resolve()))
    options.to.write_text(page(played_runs), encoding="utf-8")
    print(f"wrote {options.to}: {len(RUNS)} runs in {time.perf_counter() - began:.0f} s")
    return 0


def _try() -> None:
    """Play a quarter of the honest run on generated prices, which writes no page."""
    from benchmarks.support import past_prices

    run = replace(HONEST, last=date(2020, 3, 31))
    with tempfile.TemporaryDirectory(prefix="bench-", dir=ROOT / "state") as folder:
        data = Data(Path(folder))
        data.make_up(run, past_prices.sessions(date(2019, 1, 2), 330))
        played = play(data, run)
    print(f"{len(played.values)} sessions on generated prices, {played.orders} orders")


def _play_runs(data: Data) -> Runs:
    """Play all runs, the longest first, and show how many are done."""
    from rich.console import Console
    from rich.progress import track

    ordered = sorted(RUNS, key=lambda name: RUNS[name].first)
    played_runs = dict[str, Played]()
    with ProcessPoolExecutor(min(os.cpu_count() or 1, len(RUNS))) as pool:
        names = {pool.submit(play, data, RUNS[name]): name for name in ordered}
        console = Console(stderr=True)
        try:
            for done in track(
                as_completed(names), "runs", len(names), console=console, disable=not console.is_terminal
            ):
                played_runs[names[done]] = done.result()
        finally:
            pool.shutdown(cancel_futures=True)
    return Runs(played_runs, data)


if __name__ == "__main__":
    raise SystemExit(main())
