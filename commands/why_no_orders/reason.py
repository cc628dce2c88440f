"""`tradebot why-no-orders --reason CODE`: show which candidates ended with one reason, closest to passing first."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING

from commands.shared.drawing import measured
from commands.shared.plain import clean, did_you_mean
from commands.shared.surface import Report
from commands.shared.times import MINUTE, stamp, zone
from tradebot.errors import ExitCode, OperatorError
from tradebot.text import counted, noun

if TYPE_CHECKING:
    from rich.console import Console

    from tradebot.app.wiring import App
    from tradebot.model.reasons import Reason
    from tradebot.model.record import CycleRecord

SHOWN = 40


@dataclass(frozen=True, slots=True)
class EndedRow:
    """One such candidate; `distance` is how far it was from passing, as a fraction of the limit."""

    symbol: str
    at: datetime
    gate: str
    observed: str
    limit: str
    distance: float | None


@dataclass(frozen=True, slots=True)
class Ended:
    """All candidates of some passes that ended with one reason, closest to passing first."""

    reason: str
    meaning: str
    remedy: str
    passes: int
    rows: tuple[EndedRow, ...]


def reason_of(text: str) -> "Reason":
    """Return the reason for a code; for any other text raise OperatorError naming the closest codes."""
    from tradebot.model.reasons import Reason

    code = text.strip().upper().replace("-", "_")
    if code in set(Reason):
        return Reason(code)
    near = did_you_mean(code, list(Reason))
    hint = near or "docs/RUNBOOK.md lists them all"
    raise OperatorError(f"there is no reason code {clean(text)[:40]!r}", hint)


def run(app: "App", reason: "Reason", cycles: "Sequence[CycleRecord]") -> Report:
    """Select the candidates from the records; exit 10 if there are any."""
    from tradebot.model.reasons import REASONS

    rows = sorted(_rows(reason, cycles), key=lambda row: (row.distance is None, row.distance or 0.0, row.symbol))
    data = Ended(reason.value, REASONS[reason].meaning, REASONS[reason].remedy, len(cycles), tuple(rows))
    code = ExitCode.FINDINGS if rows else ExitCode.DONE
    return Report("why-no-orders", data, lambda c: _render(c, data), code, app.mode_name, app.account_tail)


def _rows(reason: "Reason", cycles: "Sequence[CycleRecord]") -> list[EndedRow]:
    from tradebot.explain import plain

    ends = ((cycle, record.candidate.symbol, record.terminal) for cycle in cycles for record in cycle.candidates)
    return [
        EndedRow(symbol, cycle.at, end.gate.value, plain(end.observed), plain(end.limit), end.distance)
        for cycle, symbol, end in ends
        if end is not None and end.reason is reason
    ]


def _render(console: "Console", data: Ended) -> None:
    from rich.markup import escape

    from commands.shared.tables import LONGEST_NUMBER, Table, number
    from tradebot.model.decision import Gate, units_of
    from tradebot.model.reasons import Reason

    console.print(f"[bold]{data.reason}[/bold]  {data.meaning}")
    console.print(f"Next: {data.remedy}", markup=False)
    refused = f"{counted(len(data.rows), 'candidate')} {noun(len(data.rows), 'was', 'were')}"
    console.print(f"{refused} refused for this reason in {counted(data.passes, 'pass', 'passes')}")
    numbers = (number(name) for name in ("observed", "limit", "off by"))
    table = Table("symbol", f"time {zone()}", "gate", *numbers)
    common = {row.observed for row in data.rows} if len(data.rows) > 1 else set()
    if len(common) == 1 and len(data.rows[0].observed) > LONGEST_NUMBER:
        console.print(f"  each of them: {clean(data.rows[0].observed)}", markup=False)
    else:
        common = set()
    for row in data.rows[:SHOWN]:
        off = "" if row.distance is None else f"{row.distance:.1%}"
        observed, limit = units_of(Gate(row.gate), Reason(data.reason))
        seen = "" if row.observed in common else escape(clean(measured(row.observed, observed)))
        table.row(
            escape(row.symbol), stamp(row.at, MINUTE), row.gate, seen, escape(clean(measured(row.limit, limit))), off
        )
    if data.rows:
        console.print(table)
    if len(data.rows) > SHOWN:
        console.print(f"  {len(data.rows) - SHOWN:,} more; --json lists them all")
