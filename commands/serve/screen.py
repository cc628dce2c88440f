"""One line of `serve`: what a pass did, in a sentence, as a row for people."""

from typing import TYPE_CHECKING

from commands.fetch_flow.verb import FlowFetched
from commands.reconcile.verb import Compared
from commands.shared.passes import NotRun, PassData
from jobs.runner import Done, Kind

if TYPE_CHECKING:
    from rich.text import Text

    from commands.shared.surface import Report
    from jobs.runner import Line

STYLE = {Kind.NOTE: "dim", Kind.RAN: "", Kind.MISSED: "yellow", Kind.FAILED: "red", Kind.FAULT: "bold red"}
MOST_REASONS = 3


def done(report: "Report") -> Done:
    """Return how a verb's pass ended, in one sentence."""
    scored = report.verb == "score" and isinstance(report.data, PassData)
    return Done(_scored(report.data) if scored else _said(report.data), report.exit_code)


def _scored(data: PassData) -> str:
    return f"{len(data.rows)} scored, {data.orders} candidates"


def _said(data: object) -> str:
    if isinstance(data, NotRun):
        return f"{data.reason}: {data.found}" if data.found else str(data.reason)
    if isinstance(data, PassData):
        return _pass(data)
    if isinstance(data, FlowFetched):
        failed = f", {len(data.failures)} calls failed" if data.failures else ""
        return f"{data.calls} calls, {data.new} new facts{failed}"
    assert isinstance(data, Compared), f"a pass reported {type(data).__name__}"
    found = ", ".join(f"{finding.kind} {finding.subject}" for finding in data.findings)
    return f"{len(data.findings)} findings: {found}" if found else f"no difference; {data.positions} positions"


def _pass(data: PassData) -> str:
    if data.not_run:
        return f"{data.not_run.reason}: {data.not_run.meaning}"
    lost = list(data.refused.items())
    reasons = ", ".join(f"{count} {reason}" for reason, count in lost[:MOST_REASONS])
    more = f" and {len(lost) - MOST_REASONS} reasons more" if len(lost) > MOST_REASONS else ""
    return f"{data.candidates} looked at = {data.orders} sent" + (f" + {reasons}{more}" if reasons else "")


def row(line: "Line") -> "Text":
    """Return a line for people: trading time, slot, job, what happened, how long it took."""
    from rich.text import Text

    took = f"  [{line.took_s:.2f} s]" if line.took_s is not None else ""
    if line.job is None:
        return Text(f"{line.at:%m-%d %H:%M:%S}  {line.said}", STYLE[line.kind])
    return Text(f"{line.at:%m-%d %H:%M:%S}  {line.slot or '-':<10}{line.job:<16}{line.said}{took}", STYLE[line.kind])
