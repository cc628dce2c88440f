"""The result of `tradebot replay`: how many passes gave the same result, and the first differences of the others."""

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

from msgspec import Struct

from commands.shared.light_helpers import clean
from commands.shared.times import when
from tradebot import __version__
from tradebot.adapters.facts.recorded_passes import KeptPass, KeptPasses
from tradebot.adapters.state.incident_file import AGAIN, parts_of
from tradebot.adapters.text.canonical import parse_time
from tradebot.app.what_if_rules import rules_of_record
from tradebot.errors import OperatorError, TradebotError
from tradebot.model.decision import Decision
from tradebot.model.reasons import REASONS, Reason
from tradebot.model.record import Job
from tradebot.model.sentences import pluralize
from tradebot.ports.stores import Facts
from tradebot.replaying.cycle_comparison import CycleDifference, ReplayedPass, replay
from tradebot.replaying.passes import RecordedCycle, RecordEnvironment, read_record
from tradebot.replaying.port_recording import OrderedReplies, RecordedPorts
from tradebot.replaying.record_json import record_from_json
from tradebot.replaying.record_reader import Shared
from tradebot.replaying.record_writer import RecordError

if TYPE_CHECKING:
    from rich.console import Console

    from tradebot.ports.world import Rules

DECIDING = frozenset({Job.TRADE_ONCE, Job.EVALUATE_EXITS})
"""The jobs whose passes decide about orders."""
UNENDED = frozenset(
    {Reason.CUT_SHORT, Reason.GAVE_WAY, Reason.PASS_FAILED, Reason.VENUE_UNREACHABLE, Reason.KEYS_REFUSED}
)
"""The refusals of passes that began but didn't finish. A pass with any other refusal never began."""
REACH = timedelta(days=1)


class UnrecordedPass(Struct, frozen=True):
    """A pass that can't be replayed because it wasn't recorded, with the reason."""

    id: str
    at: datetime
    why: str


def not_kept(
    facts: Facts | None, sessions: Collection[date], recorded_ids: Collection[str]
) -> Sequence[UnrecordedPass]:
    """Return the passes of these sessions that began but have no record, oldest first."""
    return tuple(_missing_records(facts, sessions, recorded_ids)) if facts is not None and sessions else ()


def _missing_records(
    facts: Facts, sessions: Collection[date], recorded_ids: Collection[str]
) -> Iterator[UnrecordedPass]:
    since = datetime.combine(min(sessions) - REACH, datetime.min.time(), tzinfo=UTC)
    for cycle in facts.passes(since):
        why = _why(cycle.job_decision)
        if why and cycle.job in DECIDING and cycle.session in sessions and cycle.id not in recorded_ids:
            yield UnrecordedPass(cycle.id, cycle.at, why)


def _why(refused: Decision | None) -> str:
    """Return why a pass has no record; empty if it never began."""
    if refused is None:
        return "Its inputs weren't stored."
    if refused.reason not in UNENDED:
        return ""
    return f"{REASONS[refused.reason].meaning}{f' {refused.observed}' if refused.observed else ''}"


MOST_SHOWN = 20
"""How many differing passes a report has; the others are counted."""


class ChangedPass(Struct, frozen=True):
    """A pass that was decided differently: the first difference, and the program version that recorded the pass.

    `symbol`, `strategy` and `gate` are empty if the difference isn't about a single candidate.
    """

    id: str
    at: datetime
    version: str
    what: str
    recorded: str
    replayed: str
    symbol: str
    strategy: str
    gate: str


class Unreadable(Struct, frozen=True):
    """A pass whose record can't be used, with the reason."""

    id: str
    at: datetime
    why: str


class ReplayReport(Struct, frozen=True):
    """Passes replayed by this program's `version`.

    `passes` is the sum of the `equal`, the `changed` and the unusable ones. `first` lists the first changed passes, and
    `unreadable` the first unusable records. `not_kept` lists passes of these sessions that couldn't be replayed,
    because they are unfinished or have no record. For a backtest, `other_code` lists the code that has changed since.
    """

    version: str
    recorded_by: tuple[str, ...]
    sessions: tuple[date, ...]
    passes: int
    equal: int
    changed: int
    decisions: int
    first: tuple[ChangedPass, ...]
    unreadable: tuple[Unreadable, ...]
    not_kept: tuple[UnrecordedPass, ...]
    other_code: tuple[str, ...]


def replay_report(
    by: Collection[str],
    sessions: Collection[date],
    passes: int,
    equal: int,
    decisions: int,
    changed: Sequence[ChangedPass],
    *,
    unreadable: Sequence[Unreadable] = (),
    lacking: Sequence[UnrecordedPass] = (),
    other_code: tuple[str, ...] = (),
) -> ReplayReport:
    """Build the report of a replay: who recorded the passes, their sessions, and how many were equal or different."""
    first, lost, others = tuple(changed[:MOST_SHOWN]), tuple(unreadable[:MOST_SHOWN]), tuple(lacking[:MOST_SHOWN])
    numbers = passes, equal, len(changed), decisions
    days, versions = tuple(sorted(set(sessions))), tuple(sorted(set(by)))
    return ReplayReport(__version__, versions, days, *numbers, first, lost, others, other_code)


def changed_in(name: str, at: datetime, version: str, difference: CycleDifference) -> ChangedPass:
    """Build the row of a pass that was decided differently; `version` is the program that decided it originally."""
    about = difference.symbol, difference.strategy, difference.gate
    return ChangedPass(name, at, version, difference.what, difference.recorded, difference.replayed, *about)


class PassReplayer:
    """Replays recorded passes; shared parts of their records are read once."""

    def __init__(self, records: "KeptPasses", *, only_decisions: bool = False) -> None:
        self._kept, self._only_decisions = records, only_decisions
        self._shared: Shared = {}
        self._rules: dict[RecordEnvironment, Rules] = {}

    def again(self, kept_pass: "KeptPass") -> ReplayedPass:
        """Replay a pass, and return the result; raise RecordError if its record can't be used."""
        recorded = self.load_recorded(kept_pass)
        return replay(recorded, self.rules(recorded), only_decisions=self._only_decisions)

    def load_recorded(self, kept_pass: "KeptPass") -> RecordedCycle:
        """Return the record of a pass."""
        record = self._kept.record(kept_pass.id)
        if record is None:
            raise RecordError("it is no longer stored")
        return read_record(*record, self._shared)

    def rules(self, recorded: RecordedCycle) -> "Rules":
        """Return the rules of a recorded pass."""
        around = recorded.surroundings
        if around not in self._rules:
            self._rules[around] = rules_of_record(around)
        return self._rules[around]


def decided_again(
    records: "KeptPasses",
    passes: Sequence["KeptPass"],
    progress: Callable[[int, int], None],
    *,
    only_decisions: bool = False,
    facts: "Facts | None" = None,
) -> ReplayReport:
    """Replay these passes, and compare each with its record; with `only_decisions`, compare only the decisions.

    With `facts`, also list the passes of their sessions that have no record to replay.
    """
    deciding, equal, decisions = PassReplayer(records, only_decisions=only_decisions), 0, 0
    changed, unreadable = list[ChangedPass](), list[Unreadable]()
    for number, head in enumerate(passes):
        progress(number, len(passes))
        try:
            outcome = deciding.again(head)
        except RecordError as error:
            unreadable.append(Unreadable(head.id, head.at, str(error)))
            continue
        decisions += outcome.decisions
        equal += outcome.difference is None
        changed += [changed_in(head.id, head.at, head.version, outcome.difference)] if outcome.difference else []
    by, sessions = {cycle.version for cycle in passes}, {cycle.session for cycle in passes}
    lacking = not_kept(facts, sessions, {cycle.id for cycle in passes})
    return replay_report(by, sessions, len(passes), equal, decisions, changed, unreadable=unreadable, lacking=lacking)


def render(console: "Console", data: "ReplayReport", *, hint: str = "") -> None:
    """Print how many passes were equal, and the first different ones; `hint` says what to do about a damaged record."""
    days = " to ".join(dict.fromkeys((str(data.sessions[0]), str(data.sessions[-1]))))
    console.print(f"Decided again: {pluralize(data.passes, 'pass', 'passes')} of {days}", markup=False)
    equal = f"{data.equal:,} equal" if data.equal < data.passes else "all equal"
    console.print(f"  {equal}, {pluralize(data.decisions, 'decision')} compared; nothing was sent", markup=False)
    if others := [tool for tool in data.recorded_by if tool != data.version]:
        console.print(f"  recorded by {clean(', '.join(others))}, decided now by {data.version}", markup=False)
    for row in data.first:
        console.print(f"  {clean(row.id)} ({when(row.at)}): {clean(_difference(row))}", markup=False, style="red")
    if data.changed > len(data.first):
        console.print(f"  … and {data.changed - len(data.first):,} more that differ", markup=False)
    for lost in data.unreadable:
        console.print(
            f"  {clean(lost.id)} ({when(lost.at)}) can't be decided again: {clean(lost.why)}", markup=False, style="red"
        )
    if data.unreadable:
        of = f" --session {data.sessions[0]}" if len(data.sessions) == 1 else ""
        shows = f"no order depends on these records; tradebot why-no-orders{of} still shows what was decided"
        console.print(f"Next: {hint or shows}", markup=False)
    for remaining in data.not_kept:
        console.print(f"  {remaining.id} ({when(remaining.at)}) is left out: {remaining.why}", markup=False)
    if data.other_code:
        console.print(f"  changed since: {'; '.join(data.other_code)}", markup=False)


def _difference(change: "ChangedPass") -> str:
    """Return where a pass differs first, in words."""
    subject = " ".join(
        part for part in (change.symbol, change.strategy and f"of {change.strategy}", change.gate) if part
    )
    return f"{subject + ', ' if subject else ''}{change.what} was {change.recorded}, is now {change.replayed}"


ENDING = ".txt"
SPOILED = (ArithmeticError, AssertionError, AttributeError, LookupError, RecursionError, TypeError, ValueError)
"""Errors that replaying raises for values that no pass records: such a file is refused, and not reported as a bug."""


def is_file(typed: str) -> bool:
    """Return True if a typed word names a file, rather than a pass or a session."""
    return "/" in typed or typed.endswith(ENDING) or Path(typed).is_file()


def decided_again_from(path: Path, version: str | None) -> ReplayReport:
    """Replay the pass of an incident's file; raise OperatorError if the file is unusable, or has no pass to replay."""
    parts = parts_of(path)
    if "pass" not in parts:
        why = _text(parts.get("about"), "why") or "it has no record of a pass"
        raise OperatorError(f"The pass in {path} can't be decided again: {why}.", "read the rest of the file as text")
    shape, in_order, tree = _parse_part(path, parts["pass"])
    if version not in (None, shape.version):
        raise OperatorError(
            f"The pass in {path} wasn't recorded by {version}.", f"use --from-version {shape.version}, or leave it out"
        )
    changed, unreadable, decisions = list[ChangedPass](), list[Unreadable](), 0
    try:
        outcome = _replay_part(
            tree, OrderedReplies if in_order else RecordedPorts, only_decisions=in_order or version is not None
        )
    except RecordError as error:
        unreadable.append(Unreadable(shape.id, shape.at, str(error)))
    else:
        decisions = outcome.decisions
        changed += [changed_in(shape.id, shape.at, shape.version, outcome.difference)] if outcome.difference else []
    equal = 1 - len(changed) - len(unreadable)
    return replay_report((shape.version,), (shape.session,), 1, equal, decisions, changed, unreadable=unreadable)


def _replay_part(tree: object, kind: type[RecordedPorts], *, only_decisions: bool) -> ReplayedPass:
    try:
        recorded = read_record(*record_from_json(tree), {}, kind)
        return replay(recorded, rules_of_record(recorded.surroundings), only_decisions=only_decisions)
    except RecordError:
        raise
    except (*SPOILED, TradebotError) as error:
        raise RecordError("it has values that no pass could have recorded") from error


def _parse_part(path: Path, part: object) -> tuple["KeptPass", bool, object]:
    try:
        if not isinstance(part, Mapping):
            raise TypeError("no record")
        at = parse_time(part["at"])
        if not isinstance(at, datetime) or at.tzinfo is None:
            raise ValueError("no time")
        kept_pass = KeptPass(str(part["id"]), date.fromisoformat(part["session"]), at, str(part["version"]))
        return kept_pass, part["in_order"] is True, part["record"]
    except (LookupError, TypeError, ValueError, AttributeError, OverflowError) as error:
        raise OperatorError(f"{path} can't be read: its pass lacks an id, session, time or version.", AGAIN) from error


def _text(part: Any, name: str) -> str:
    text = part.get(name) if isinstance(part, Mapping) else None
    return text[:200] if isinstance(text, str) else ""
