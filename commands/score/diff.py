"""`score --diff CYCLE CYCLE`: what moved between two recorded passes."""

from collections.abc import Iterator, Sequence
from datetime import timedelta

from rich.console import Console

from commands.shared.number_format import format_signed
from commands.shared.tables import Table, number, sentence
from commands.shared.times import MINUTE, moment, stamp, when, zone
from commands.shared.verb_options import Report, identity
from tradebot.adapters.facts.facts import SqliteFacts
from tradebot.app.wiring import App
from tradebot.errors import OperatorError, word
from tradebot.model.record import CycleRecord, Job
from tradebot.model.text import pluralize
from tradebot.views.score_diff import Moved, MovedCandidate, diff_scores

DOT = "·"
NAMED = {"last": 1, "previous": 2}
"""Passes that have a name, by their place from the end."""
OFFERED = 3
REFUSED_BETWEEN = 20
"""How many passes are read for each that is wanted."""
LOOKED_BACK = timedelta(days=7)
PARTS = 6
"""How many components a row names; the document has all of them."""


def run(app: "App", before: str, after: str) -> Report:
    """Compare two recorded passes; raise OperatorError for an unknown one, naming the newest."""
    facts = app.recorded
    data = diff_scores(*(_pass(facts, name) for name in (before, after)))
    return Report("score-diff", data, _render, whose=identity(app))


def _pass(facts: "SqliteFacts | None", name: str) -> "CycleRecord":
    if facts is None:
        raise OperatorError("no pass is recorded yet", "tradebot score")
    found = _named(facts, name.strip())
    if found is not None:
        return found
    raise OperatorError(f"{word(name)} names no recorded pass that scored anything", _hint(_newest(facts, OFFERED)))


def _hint(newest: "Sequence[CycleRecord]") -> str:
    if not newest:
        return "tradebot score"
    known = ", ".join(repr(cycle.id) for cycle in newest)
    # A time without a zone is read as the venue's.
    at = stamp(newest[-1].at, MINUTE) + ("Z" if zone() == "UTC" else "")
    return f"the newest: {known}; previous, last, and a date and time such as '{at}' work too"


def _named(facts: "SqliteFacts", name: str) -> "CycleRecord | None":
    if name in NAMED:
        newest = _newest(facts, NAMED[name])
        return newest[0] if len(newest) == NAMED[name] else None
    found = facts.cycle(name)
    if found is not None:
        return found if found.candidates else None
    try:
        until = moment(name)
    except OperatorError:
        return None
    earlier = [head for head in facts.passes(until - LOOKED_BACK) if head.at <= until and _scores(head)]
    return facts.cycle(earlier[-1].id) if earlier else None


def _newest(facts: "SqliteFacts", count: int) -> "Sequence[CycleRecord]":
    # A pass that was refused has none, so more are read than asked for.
    found = [
        cycle
        for job in (Job.SCORE, Job.TRADE_ONCE)
        for cycle in facts.cycles(job=job, last=count * REFUSED_BETWEEN)
        if cycle.candidates
    ]
    return sorted(found, key=lambda cycle: cycle.at)[-count:]


def _scores(head: "CycleRecord") -> bool:
    return head.job in {Job.SCORE, Job.TRADE_ONCE} and head.job_decision is None


def _render(out: "Console", data: "Moved") -> None:
    out.print(
        f"From {data.before.id} ({when(data.before.at)}) to {data.after.id} ({when(data.after.at)}): "
        f"{data.moved:,} of {pluralize(len(data.rows), 'candidate')} moved",
        markup=False,
    )
    several = len({row.strategy for row in data.rows}) > 1
    who = ("symbol", "strategy") if several else ("symbol",)
    table = Table(
        *who, number("before"), number("after"), number("change"), "side", "result", sentence("mainly", "mainly")
    )
    for row in data.rows:
        if row.has_moved:
            name = (row.symbol, row.strategy) if several else (row.symbol,)
            table.row(
                *name,
                _score(row.score_before),
                _score(row.score_after),
                format_signed(row.change, 3),
                _arrow(row.side_before, row.side_after),
                _arrow(row.result_before, row.result_after),
                ", ".join(_parts(row)),
            )
    if table.rows:
        out.print(table)


def _parts(row: "MovedCandidate") -> "Iterator[str]":
    for part in row.components[:PARTS]:
        if part.change:
            yield f"{part.name} {format_signed(part.change, 3)}"


def _score(score: float | None) -> str:
    return DOT if score is None else format_signed(score, 3)


def _arrow(before: str | None, after: str | None) -> str:
    return f"{before}" if before == after else f"{before or DOT} -> {after or DOT}"
