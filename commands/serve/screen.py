"""Format one line of `serve`: what a pass did, as a sentence."""

from rich.text import Text

from commands.fetch_flow.run import FlowFetched
from commands.reconcile.run import Compared
from commands.shared.pass_reports import PassData
from commands.shared.skipped_passes import NotRun
from commands.shared.times import DAY_SECOND, for_reader, when
from commands.shared.verb_options import Report
from jobs.runner import Done, LogKind, LogLine
from tradebot.model.text import noun, pluralize

STYLE = {
    LogKind.NOTE: "dim",
    LogKind.RAN: "",
    LogKind.MISSED: "yellow",
    LogKind.FAILED: "red",
    LogKind.FAULT: "bold red",
}
MOST_REASONS = 3


def pass_result(report: "Report") -> Done:
    """Return how a verb's pass ended, in one sentence."""
    scored = report.verb == "score" and isinstance(report.data, PassData)
    return Done(_scored(report.data) if scored else _said(report.data), report.exit_code)


def _scored(data: PassData) -> str:
    return f"{len(data.rows)} scored, {pluralize(data.orders, 'candidate')}"


def _said(data: object) -> str:
    if isinstance(data, NotRun):
        return f"{data.reason}: {data.found}" if data.found else str(data.reason)
    if isinstance(data, PassData):
        return _pass(data)
    if isinstance(data, FlowFetched):
        failed = f", {pluralize(len(data.failures), 'call')} failed" if data.failures else ""
        return f"{pluralize(data.calls, 'call')}, {pluralize(data.new, 'new fact')}{failed}"
    assert isinstance(data, Compared), f"a pass reported {type(data).__name__}"
    found = ", ".join(f"{finding.kind} {finding.subject}" for finding in data.findings)
    findings, positions = pluralize(len(data.findings), "finding"), pluralize(data.positions, "position")
    return f"{findings}: {found}" if found else f"no difference; {positions}"


def _pass(data: PassData) -> str:
    if data.not_run:
        return f"{data.not_run.reason}: {data.not_run.meaning}"
    lost = list(data.refused.items())
    reasons = ", ".join(f"{count:,} {reason}" for reason, count in lost[:MOST_REASONS])
    left = len(lost) - MOST_REASONS
    more = f" and {left} more {noun(left, 'reason')}" if left > 0 else ""
    return f"{data.candidates} looked at = {data.orders} sent" + (f" + {reasons}{more}" if reasons else "")


def row(line: "LogLine") -> "Text":
    """Return a line for people: trading time, slot, job, what happened, how long it took."""
    at = when(line.at, DAY_SECOND)
    took = f"  [{line.took_s:.2f} s]" if line.took_s is not None else ""
    if line.job is None:
        return Text(f"{at}  {for_reader(line.said)}", STYLE[line.kind])
    return Text(f"{at}  {line.slot or '-':<10}{line.job:<16}{for_reader(line.said)}{took}", STYLE[line.kind])
