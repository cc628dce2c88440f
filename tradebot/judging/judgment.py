"""A judgment about one subject, with its evidence; every command that reports health prints judgments."""

from collections.abc import Collection, Iterable
from datetime import datetime
from enum import StrEnum

from msgspec import Struct

from tradebot.model.reasons import REASONS, Reason
from tradebot.model.sentences import noun_for, pluralize
from tradebot.model.trading import Permission


class HealthState(StrEnum):
    """The state of a subject, from best to worst.

    A subject without evidence is UNKNOWN, which isn't OK. A subject that is SKIPPED wasn't examined, on request or
    because there is nothing to examine. A subject that is NOT_DUE has no evidence yet, and none was due.
    """

    OK = "OK"
    SKIPPED = "SKIPPED"
    NOT_DUE = "NOT_DUE"
    DEGRADED = "DEGRADED"
    UNKNOWN = "UNKNOWN"
    FAILED = "FAILED"

    @property
    def is_finding(self) -> bool:
        return self in (HealthState.DEGRADED, HealthState.UNKNOWN, HealthState.FAILED)


class Judgment(Struct, frozen=True):
    """The state of one subject, and its evidence.

    `looked_at` says what kind of evidence was examined, `count` how many pieces of it, and `at` when the newest was
    made. `age_s` is the age of the newest, and `late_s` how long newer evidence has been due; once `late_s` exceeds
    `budget_s`, the subject has FAILED. If the subject is NOT_DUE, `until` is when its first evidence is due. `next` is
    the remedy, empty if none is needed.
    """

    subject: str
    state: HealthState
    looked_at: str
    count: int
    found: str
    next: str = ""
    at: datetime | None = None
    age_s: float | None = None
    late_s: float | None = None
    budget_s: int | None = None
    until: datetime | None = None

    def __post_init__(self) -> None:
        assert self.count or self.state is not HealthState.OK, f"{self.subject}: a subject without evidence can't be OK"
        assert bool(self.next) is self.state.is_finding, (
            f"{self.subject}: every finding needs a next step, and nothing else may have one"
        )


def worst_state(judgments: Iterable[Judgment]) -> HealthState:
    """Return the worst state of any subject; OK if nothing needs action, UNKNOWN without subjects."""
    states = {judgment.state for judgment in judgments}
    worst = max(states, key=list(HealthState).index, default=HealthState.UNKNOWN)
    return worst if worst.is_finding or HealthState.OK not in states else HealthState.OK


def rank_judgments(judgments: Iterable[Judgment]) -> tuple[Judgment, ...]:
    """Sort judgments by urgency: failures, unknowns, then others; equally urgent ones keep their order."""
    findings = [judgment for judgment in judgments if judgment.state.is_finding]
    return tuple(sorted(findings, key=lambda finding: -list(HealthState).index(finding.state)))


def count_parts(judgments: Collection[Judgment]) -> str:
    """Return how many parts of the bot are OK and how many aren't due yet, in the words of every command."""
    states = [judgment.state for judgment in judgments]
    well, waiting = states.count(HealthState.OK), states.count(HealthState.NOT_DUE)
    not_due = f", {waiting:,} not due yet" if waiting else ""
    return f"{well:,} of {pluralize(len(states), 'part')} {noun_for(well, 'is', 'are')} OK{not_due}"


class Examination(Struct, frozen=True):
    """What was examined: how many (`count`) of what, and when the newest was made, in trading time, if known."""

    what: str
    count: int
    at: datetime | None = None


def judge_evidence(
    name: str, look: Examination, now: datetime, state: HealthState, finding: str, command: str = ""
) -> Judgment:
    """Build a judgment. Its age is the age of the newest evidence, and it gets the command only if something is
    wrong.
    """
    age_s = max((now - look.at).total_seconds(), 0.0) if look.at else None
    return Judgment(name, state, look.what, look.count, finding, command if state.is_finding else "", look.at, age_s)


def judge_skipped(name: str, why: str, what: str = "") -> Judgment:
    """Build the judgment about something that was skipped on purpose, or because there is nothing to examine."""
    return Judgment(name, HealthState.SKIPPED, what, 0, why)


PERMISSION = "permission"
"""The subject of the judgment about the bot's permission to send, which is no component."""


def permission(granted: Permission, now: datetime, blocks: Collection[str] | None = None) -> Judgment:
    """Judge permission at a time on this machine's clock; `blocks` are the broker's, None if it wasn't queried."""
    blocked = [(Reason.ACCOUNT_BLOCKED, flag) for flag in blocks or ()]
    closed = [*granted.closed_to_entries(now), *blocked]
    looked_at, count = ("mode", 1) if blocks is None else ("mode and blocks", 2)
    if not closed:
        return Judgment(PERMISSION, HealthState.OK, looked_at, count, "orders may be sent", age_s=0.0)
    only_entries = granted.open and not blocked
    effect = "no entries are sent, exits continue" if only_entries else "no orders are sent, including exits"
    finding = f"{', '.join(f'{reason} ({gate})' for reason, gate in closed)}: {effect}"
    return Judgment(
        PERMISSION, HealthState.DEGRADED, looked_at, count, finding, REASONS[closed[0][0]].remedy, age_s=0.0
    )
