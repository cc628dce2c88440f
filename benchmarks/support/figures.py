"""The table that every measurement prints: what was found beside what is wanted, and the verdict."""

import json
import statistics
import time
from collections.abc import Iterable
from dataclasses import dataclass
from decimal import Decimal

from rich.console import Console
from rich.table import Table

from benchmarks.support.sizes import sized

MARGIN = sized(1.5, 3.0)
"""How many times its bound a figure may be before it fails: a short measurement is easily disturbed."""
WORK_S = 0.016
"""How long the machine on which the bounds were set takes for `work`."""
OK, OVER, FAILED = "ok", "over", "FAILED"
TIMES = ("s", "ms", "µs")


@dataclass(frozen=True)
class Figure:
    """One line: `measured` in words, `value` in the unit named, `bound` the largest value wanted."""

    name: str
    measured: str
    value: float | None = None
    unit: str = ""
    bound: float | None = None

    def verdict(self, slowness: float) -> str:
        """Return what the value is by its bound, which is later on a slower machine; empty without one."""
        if self.value is None or self.bound is None:
            return ""
        bound = self.bound * (slowness if self.unit.partition(" ")[0] in TIMES else 1)
        return OK if self.value <= bound else OVER if self.value <= bound * MARGIN else FAILED


def show(title: str, figures: Iterable[Figure]) -> int:
    """Print the figures and their verdicts; return 1 if any is beyond its bound's margin, else 0."""
    works = [work() for _ in range(5)]
    shown = list(figures)
    works += [work() for _ in range(5)]
    slowness = max(1.0, statistics.median(works) / WORK_S)
    verdicts = [one.verdict(slowness) for one in shown]
    table = Table("what", title=title, title_justify="left")
    for heading in ("measured", "value", "bound"):
        table.add_column(heading, justify="right")
    table.add_column("unit")
    table.add_column("verdict")
    for one, verdict in zip(shown, verdicts, strict=True):
        table.add_row(one.name, one.measured, _number(one.value), _number(one.bound), one.unit, verdict)
    if slowness > 1:
        table.caption = f"bounds in seconds count {slowness:.2f} times: so slow is this machine now"
    Console(width=120).print(table)
    return int(FAILED in verdicts)


def work() -> float:
    """Return the processor seconds of a piece of work that is always the same."""
    began = time.process_time()
    rows = [{"symbol": f"S{number}", "price": str(Decimal(number) / 7), "at": [number]} for number in range(2_000)]
    for _ in range(3):
        read = json.loads(json.dumps(rows))
        read.sort(key=lambda row: (sum((Decimal(row["price"]),), Decimal(0)), row["symbol"]))
    return time.process_time() - began


def _number(value: float | None) -> str:
    if value is None:
        return ""
    return f"{value:.0f}" if value >= 100 else f"{value:.3g}"
