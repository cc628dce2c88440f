"""Print a table of measurements: each figure with its bound and the verdict."""

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
"""The multiple of its bound from which a figure fails: a short measurement is easily disturbed."""
WORK_S = 0.016
"""How many seconds `work` took on the machine on which the bounds were set."""
OK, OVER, FAILED = "ok", "over", "FAILED"
TIMES = ("s", "ms", "µs")


@dataclass(frozen=True)
class Figure:
    """One line of the table: `value` is in the given unit, `bound` is the largest wanted value."""

    name: str
    measured: str
    value: float | None = None
    unit: str = ""
    bound: float | None = None

    def verdict(self, slowness: float) -> str:
        """Return the verdict about the value, with a bound scaled by the machine's slowness; empty without a bound."""
        if self.value is None or self.bound is None:
            return ""
        bound = self.bound * (slowness if self.unit.partition(" ")[0] in TIMES else 1)
        return OK if self.value <= bound else OVER if self.value <= bound * MARGIN else FAILED


def show(title: str, figures: Iterable[Figure]) -> int:
    """Print the figures and their verdicts; return 1 if any exceeds its bound by more than the margin, else 0."""
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
        table.caption = f"bounds in seconds are multiplied by {slowness:.2f}, because this machine is that slow now"
    Console(width=120).print(table)
    return int(FAILED in verdicts)


def work() -> float:
    """Return the CPU seconds of a fixed piece of work."""
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
