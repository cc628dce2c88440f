"""`tradebot why-no-orders --reason CODE`: show which candidates ended with one reason, closest to passing first."""

from collections.abc import Iterator, Sequence
from datetime import datetime

from msgspec import Struct
from rich.console import Console
from rich.markup import escape

from commands.shared.light_helpers import clean, did_you_mean
from commands.shared.number_format import format_with_unit, in_units, off_by
from commands.shared.tables import LONGEST_NUMBER, Table, number
from commands.shared.times import MINUTE, stamp, zone
from commands.shared.verb_options import Report, identity
from tradebot.app.wiring import App
from tradebot.errors import ExitCode, OperatorError
from tradebot.model.decision import Decision, Gate, Number, units_of
from tradebot.model.reasons import REASONS, Reason
from tradebot.model.record import CycleRecord
from tradebot.model.text import noun, pluralize
from tradebot.views.explain import remedy_of

SHOWN = 40
NAMED = 3
"""How many symbols a line names; of more, it names the first and counts the others."""


class EndedRow(Struct, frozen=True):
    """One such candidate; `distance` is how far it was from passing, as a fraction of the limit.

    `unit` is the code of the numbers' unit if a strategy's own filter gave them.
    """

    symbol: str
    at: datetime
    gate: str
    observed: "Number | str | None"
    limit: "Number | str | None"
    distance: float | None
    unit: str


class ReasonCandidates(Struct, frozen=True):
    """All candidates of some passes that ended with one reason, closest to passing first."""

    reason: str
    meaning: str
    remedy: str
    passes: int
    rows: tuple[EndedRow, ...]


def reason_of(text: str, cycles: "Sequence[CycleRecord]") -> "Reason":
    """Return the reason with this code, or the one reason that a gate of this name gave in these passes.

    Raises OperatorError for any other text, naming the closest codes, and for a gate that gave several reasons or none.
    """
    code = text.strip().upper().replace("-", "_")
    if code in set(Reason):
        return Reason(code)
    if code.lower() in set(Gate):
        return _reason_at(Gate(code.lower()), cycles)
    near = did_you_mean(code, list(Reason))
    hint = near or "docs/internals/REASONS.md lists them all"
    raise OperatorError(f"there is no reason code {clean(text)[:40]!r}", hint)


def _reason_at(gate: "Gate", cycles: "Sequence[CycleRecord]") -> "Reason":
    ends = (record.terminal for cycle in cycles for record in cycle.candidates)
    reasons = sorted({end.reason for end in ends if end is not None and end.gate is gate and end.reason is not None})
    if len(reasons) == 1:
        return reasons[0]
    looked_at = f"the {pluralize(len(cycles), 'pass', 'passes')} looked at"
    if not reasons:
        raise OperatorError(f"no candidate ended at gate {gate} in {looked_at}", "tradebot why-no-orders")
    every = "; ".join(f"tradebot why-no-orders --reason {reason}" for reason in reasons)
    raise OperatorError(f"gate {gate} gave more than one reason in {looked_at}", every)


def run(app: "App", reason: "Reason", cycles: "Sequence[CycleRecord]") -> Report:
    """Select the candidates from the records; exit 10 if there are any."""
    data = candidates_by_reason(reason, cycles)
    code = ExitCode.FINDINGS if data.rows else ExitCode.DONE
    return Report("why-no-orders", data, show, code, identity(app))


def candidates_by_reason(reason: "Reason", cycles: "Sequence[CycleRecord]") -> ReasonCandidates:
    """Return the candidates of some passes that ended with a reason."""
    ends = list(_ends(reason, cycles))
    rows = (
        EndedRow(symbol, at, end.gate.value, end.observed, end.limit, end.distance, end.unit)
        for symbol, at, end in ends
    )
    nearest_first = sorted(rows, key=lambda row: (row.distance is None, row.distance or 0.0, row.at, row.symbol))
    remedy = remedy_of(reason, [end for _, _, end in ends])
    return ReasonCandidates(reason.value, REASONS[reason].meaning, remedy, len(cycles), tuple(nearest_first))


def _ends(reason: "Reason", cycles: "Sequence[CycleRecord]") -> "Iterator[tuple[str, datetime, Decision]]":
    for cycle in cycles:
        for record in cycle.candidates:
            if record.terminal is not None and record.terminal.reason is reason:
                yield record.candidate.symbol, cycle.at, record.terminal


def show(console: "Console", data: ReasonCandidates) -> None:
    """Print what the reason means, what would change it, and its candidates, equal ones in one line."""
    console.print(f"[bold]{data.reason}[/bold]  {in_units(data.meaning)}")
    console.print(f"Next: {data.remedy}", markup=False)
    refused = f"{pluralize(len(data.rows), 'candidate')} {noun(len(data.rows), 'was', 'were')} refused for this reason"
    passes = len({row.at for row in data.rows})
    console.print(f"{refused}, in {passes:,} of {pluralize(data.passes, 'pass', 'passes')}")
    numbers = (number(name) for name in ("observed", "limit", "off by"))
    table = Table("symbol", f"time {zone()}", "gate", *numbers)
    lines = _alike(data.rows)
    texts = {row.observed for row in data.rows} if len(lines) > 1 else set()
    common = clean(str(texts.pop())) if len(texts) == 1 else ""
    if len(common) > LONGEST_NUMBER:
        console.print(f"  each of them: {common}", markup=False)
    else:
        common = ""
    for rows in lines[:SHOWN]:
        row = rows[0]
        units = units_of(Gate(row.gate), Reason(data.reason), row.unit)
        seen, limit = (
            escape(clean(format_with_unit(*each))) for each in zip((row.observed, row.limit), units, strict=True)
        )
        off = off_by(row.observed, row.limit, units)
        table.row(escape(_symbols(rows)), stamp(row.at, MINUTE), row.gate, "" if common else seen, limit, off)
    if data.rows:
        console.print(table)
    if more := sum(map(len, lines[SHOWN:])):
        console.print(f"  {more:,} more; --json lists them all")


def _alike(rows: "Sequence[EndedRow]") -> "Sequence[Sequence[EndedRow]]":
    """Return the rows in groups that differ in their symbols only; such a group is one line."""
    groups: dict[tuple[object, ...], list[EndedRow]] = {}
    for row in rows:
        groups.setdefault((row.at, row.gate, row.observed, row.limit), []).append(row)
    return list(groups.values())


def _symbols(rows: "Sequence[EndedRow]") -> str:
    names = [row.symbol for row in rows]
    return ", ".join(names) if len(names) <= NAMED else f"{names[0]} and {len(names) - 1:,} more"
