"""Run a chore: claim its slot, run its command in a separate process, and claim the slot's end."""

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from typing import Protocol

from msgspec import Struct

from jobs.runner_context import Done
from jobs.slot_claims import claim_extra
from tradebot.errors import ExitCode, TemporaryError, TradebotError
from tradebot.model.event import EventKind
from tradebot.model.serving import STOPPED, ChoreEnd
from tradebot.model.struct_tools import replace
from tradebot.ports.stores import Events, Ledger, Slots
from tradebot.timetable.entries import ENDED, ENDS, FAILED, TimetableEntry
from tradebot.timetable.sessions import Slot

MOST_BEGINNINGS = 3
"""How often a chore is started if it is interrupted each time."""
WELL = frozenset({ExitCode.DONE, ExitCode.FINDINGS})
"""The exit codes of a chore that did its work; some chores look for findings."""


class Running(Protocol):
    """Runs one command line until it ends, is stopped, or exceeds its time limit in seconds."""

    def __call__(self, words: Sequence[str], limit_s: float, stopping: Callable[[], bool]) -> ChoreEnd:
        """Run the program with these words and return how that ended."""


class Chores(Struct, frozen=True):
    """Runs chores in their slots, each slot once across all processes."""

    ledger: Ledger
    lines: Mapping[str, TimetableEntry]
    events: Events
    by: str
    run: Running
    stopping: Callable[[], bool] = lambda: False
    nothing_to_do: Callable[[TimetableEntry, Slot], str] = lambda line, slot: ""
    """Returns why a chore has nothing to do for a slot; empty if it has."""

    def __call__(self, slot: Slot, now: datetime, *, again: bool = False) -> Done:
        """Run a chore for its slot, and claim the slot's end.

        Raise TradebotError if the chore failed; it isn't run again. Raise TemporaryError if the slot begins later,
        which means that the clock by which it was due was wrong.

        If the slot is already claimed, the chore runs only if it was interrupted. With `again`, a chore that has ended
        runs once more, in an extra slot. The caller holds the lock for chores, so no other process is running one.

        A chore that is interrupted every time it starts finally counts as failed, so that a process that keeps
        restarting gets past it.
        """
        if now < slot.start:
            raise TemporaryError(f"{slot.name} isn't due until {slot.start:%Y-%m-%d %H:%M} UTC", "tradebot schedule")
        claim = self.ledger.claim_slot(slot.job, slot.session, slot.name, self.by, now)
        was_cut_short = not claim.won and is_unfinished(self.ledger, slot)
        if not claim.won and not was_cut_short:
            if not again:
                return Done(f"{slot.name} was run by {claim.by}", ExitCode.DONE)
            slot = replace(slot, name=claim_extra(self.ledger, slot.key, self.by, now))
        line = self.lines[slot.job]
        assert line.limit_s is not None, f"{slot.job} is a pass of serve, not a chore"
        words = line.command(slot.session)
        if nothing := self.nothing_to_do(line, slot):
            ended = ChoreEnd(ExitCode.DONE, None, 0, "")
        elif was_cut_short and not again and not self._begins_again(slot, now):
            ended = ChoreEnd(ExitCode.ERROR, f"interrupted {MOST_BEGINNINGS} times", 0, "")
        else:
            ended = self.run(words, line.limit_s, self.stopping)
        if ended.why == STOPPED:
            # Without an end it counts as cut short, and is run again by the next process.
            raise TradebotError(f"tradebot {' '.join(words)} was stopped because serve ended; the next serve reruns it")
        end = ENDED if _went_well(ended) else FAILED
        outcome = nothing or _outcome(ended)
        text = f"{outcome}, {ended.took_s:.1f} s"
        self.ledger.claim_slot(f"{slot.job}{end}", slot.session, slot.name, text, now)
        return self._tell_end(slot, words, ended, outcome, now)

    def _begins_again(self, slot: Slot, now: datetime) -> bool:
        """Claim another start of a chore that was interrupted; return False if it has used up its starts."""
        names = (f"{slot.job} again {number}" for number in range(1, MOST_BEGINNINGS))
        return any(self.ledger.claim_slot(name, slot.session, slot.name, self.by, now).won for name in names)

    def _tell_end(self, slot: Slot, words: Sequence[str], ended: ChoreEnd, outcome: str, now: datetime) -> Done:
        code = ExitCode(ended.code) if ended.code in set(ExitCode) else ExitCode.ERROR
        kind = EventKind.CHORE_RAN if _went_well(ended) else EventKind.CHORE_FAILED
        command = f"tradebot {' '.join(words)}"
        details = {"job": slot.job, "slot": slot.name, "command": command, "outcome": outcome, "output": ended.output}
        self.events.emit(kind.at(now, details))
        if kind is EventKind.CHORE_FAILED:
            raise TradebotError(f"{command}: {outcome}", "tradebot events", code=ExitCode.ERROR if ended.why else code)
        return Done(f"{command}: {outcome}", code)


def is_unfinished(ledger: Slots, slot: Slot) -> bool:
    """Return True if a chore claimed a slot but hasn't claimed its end: it is still running, or was interrupted."""
    claims = {claim.job: claim for claim in ledger.slot_claims(slot.session) if claim.slot == slot.name}
    claim, has_end = claims.get(slot.job), any(f"{slot.job}{end}" in claims for end in ENDS)
    return claim is not None and claim.missed_reason is None and not has_end


def _went_well(ended: ChoreEnd) -> bool:
    return ended.code in WELL and ended.why is None


def _outcome(ended: ChoreEnd) -> str:
    if ended.why is not None:
        return ended.why
    return f"exit {ended.code}" if ended.code >= 0 else f"ended by signal {-ended.code}"
