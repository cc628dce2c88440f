"""Why a pass of the timetable did not run, and what would change that."""

from datetime import datetime
from typing import TYPE_CHECKING

from msgspec import Struct

from commands.shared.drawing import measured
from commands.shared.plain import clean
from commands.shared.surface import Report
from tradebot.errors import ExitCode
from tradebot.model.decision import Decision
from tradebot.model.reasons import REASONS, Reason

if TYPE_CHECKING:
    from rich.console import Console

    from jobs.claims import Refused
    from tradebot.app.wiring import App

AWAITS_THE_MARKET = frozenset({Reason.MARKET_CLOSED, Reason.OUTSIDE_TIMETABLE})
MARKET_ENDED = "The market ended with its last session. Create a new one: tradebot init --state-dir NEW"


class NotRun(Struct, frozen=True):
    """A pass that did not run, and why."""

    reason: Reason
    meaning: str
    found: str | None
    remedy: str


def refused_report(app: "App", verb: str, refused: "Refused") -> Report:
    """Report a pass that got no slot. This is a normal result: the slot's work is done or isn't due."""
    data = not_run(app, refused.decision, app.now())
    return Report(
        verb, data, lambda console: render_not_run(console, data), ExitCode.DONE, app.mode_name, app.account_tail
    )


def not_run(app: "App", decision: Decision, at: datetime) -> NotRun:
    """Return why a pass did not run, with the numbers of the decision."""
    assert decision.reason is not None, "a refusal has a reason"
    found = None if decision.observed is None else measured(decision.observed, decision.units[0])
    if found is not None and decision.limit is not None:
        found += f", at most {measured(decision.limit, decision.units[1])}"
    return NotRun(decision.reason, REASONS[decision.reason].meaning, found, remedy_of(app, decision.reason, at))


def remedy_of(app: "App", reason: Reason, at: datetime) -> str:
    """Return what would change a past decision; waiting doesn't help once the sandbox's market has ended."""
    from tradebot.app import sandbox
    from tradebot.model.trading import Mode

    ended = reason in AWAITS_THE_MARKET and app.mode is Mode.SANDBOX and sandbox.ended(app.folder.exchange, at)
    return MARKET_ENDED if ended else REASONS[reason].remedy


def render_not_run(console: "Console", data: NotRun) -> None:
    """Print why a pass did not run."""
    console.print(f"{data.reason}: {with_evidence(data.meaning, data.found)}", markup=False)
    console.print(f"Next: {data.remedy}", markup=False)


def with_evidence(meaning: str, evidence: str | None) -> str:
    """Return what a reason means, with what was observed in parentheses."""
    return f"{meaning.removesuffix('.')} ({clean(evidence)})." if evidence else meaning
