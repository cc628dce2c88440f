"""What `tradebot replay` found: how many passes were decided as they were then, and where others differ."""

from collections.abc import Callable, Collection, Sequence
from datetime import date, datetime
from typing import TYPE_CHECKING

from msgspec import Struct

from commands.replay.missing_passes import NotKept, not_kept
from tradebot import __version__
from tradebot.app.what_if_rules import rules_of_record
from tradebot.replaying.cycle_comparison import CycleDifference, ReplayedPass, replay
from tradebot.replaying.passes import RecordedCycle, RecordEnvironment, read_record
from tradebot.replaying.record_reader import Shared
from tradebot.replaying.record_writer import RecordError

if TYPE_CHECKING:
    from tradebot.adapters.facts.recorded_passes import KeptPass, KeptPasses
    from tradebot.ports.stores import Facts
    from tradebot.ports.world import Rules

MOST_SHOWN = 20
"""How many differing passes a report has; the others are counted."""


class ChangedPass(Struct, frozen=True):
    """A pass that is decided otherwise: the first difference, and the version of the program that recorded it.

    `symbol`, `strategy` and `gate` are empty if the difference isn't one candidate's.
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
    """A pass whose record can't be used, and why."""

    id: str
    at: datetime
    why: str


class Again(Struct, frozen=True):
    """Passes that were decided again by this program's `version`.

    `passes` = `equal` + `changed` + those that can't be used. `first` are the first passes that changed, and
    `unreadable` the first whose record can't be used. `not_kept` are passes of these sessions besides them: those that
    didn't end, and those of which no record is kept. Of a backtest, `other_code` says which code has changed since.
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
    not_kept: tuple[NotKept, ...]
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
    lacking: Sequence[NotKept] = (),
    other_code: tuple[str, ...] = (),
) -> Again:
    """Return the report: who recorded, of which sessions, how many passes and of these equal, and what differs."""
    first, lost, others = tuple(changed[:MOST_SHOWN]), tuple(unreadable[:MOST_SHOWN]), tuple(lacking[:MOST_SHOWN])
    numbers = passes, equal, len(changed), decisions
    days, versions = tuple(sorted(set(sessions))), tuple(sorted(set(by)))
    return Again(__version__, versions, days, *numbers, first, lost, others, other_code)


def changed_in(name: str, at: datetime, version: str, said: CycleDifference) -> ChangedPass:
    """Return a pass that differs, with the version that decided it then."""
    about = said.symbol, said.strategy, said.gate
    return ChangedPass(name, at, version, said.what, said.recorded, said.replayed, *about)


class Deciding:
    """Replays recorded passes; what several of them share is read once."""

    def __init__(self, kept: "KeptPasses", *, only_decisions: bool = False) -> None:
        self._kept, self._only_decisions = kept, only_decisions
        self._shared: Shared = {}
        self._rules: dict[RecordEnvironment, Rules] = {}

    def again(self, one: "KeptPass") -> ReplayedPass:
        """Return how a pass is decided now; raise RecordError if its record can't be used."""
        recorded = self.load_recorded(one)
        return replay(recorded, self.rules(recorded), only_decisions=self._only_decisions)

    def load_recorded(self, one: "KeptPass") -> RecordedCycle:
        """Return what was recorded of a pass."""
        found = self._kept.record(one.id)
        if found is None:
            raise RecordError("it isn't kept any more")
        return read_record(*found, self._shared)

    def rules(self, recorded: RecordedCycle) -> "Rules":
        """Return the rules that a recorded pass decided by."""
        around = recorded.surroundings
        if around not in self._rules:
            self._rules[around] = rules_of_record(around)
        return self._rules[around]


def decided_again(
    kept: "KeptPasses",
    passes: Sequence["KeptPass"],
    progress: Callable[[int, int], None],
    *,
    only_decisions: bool = False,
    facts: "Facts | None" = None,
) -> Again:
    """Decide these passes again, and compare each with its record, or `only_decisions` with those of the record.

    With `facts`, also name the other passes of their sessions that were recorded there and have no record to replay.
    """
    deciding, equal, decisions = Deciding(kept, only_decisions=only_decisions), 0, 0
    changed, unreadable = list[ChangedPass](), list[Unreadable]()
    for number, one in enumerate(passes):
        progress(number, len(passes))
        try:
            found = deciding.again(one)
        except RecordError as error:
            unreadable.append(Unreadable(one.id, one.at, str(error)))
            continue
        decisions += found.decisions
        equal += found.difference is None
        changed += [changed_in(one.id, one.at, one.version, found.difference)] if found.difference else []
    by, sessions = {one.version for one in passes}, {one.session for one in passes}
    lacking = not_kept(facts, sessions, {one.id for one in passes})
    return replay_report(by, sessions, len(passes), equal, decisions, changed, unreadable=unreadable, lacking=lacking)
