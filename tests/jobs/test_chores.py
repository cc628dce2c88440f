"""A chore runs once in its slot, whoever comes; one that was cut short is run again, one that failed is not."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import timedelta

import pytest

from jobs.chores import Chores, is_unfinished
from tests.kit.values import ACCOUNT, SESSION, VENUE_DAY
from tradebot.adapters.memory.ledger import MemoryLedger
from tradebot.adapters.memory.recorder import MemoryEvents
from tradebot.errors import ExitCode, TemporaryError, TradebotError
from tradebot.model.serving import STOPPED, ChoreEnd
from tradebot.timetable import entries
from tradebot.timetable.sessions import Slot

LINE = entries.parse("parity", {"verb": "parity {session}", "when": "close+5m", "limit": "2m"}, VENUE_DAY)
assert LINE is not None
(SLOT,) = LINE.slots(SESSION.date, [SESSION], 90)
NOW = SLOT.start


@dataclass
class Program:
    """Ends as a test says, and remembers what it was asked to run."""

    ends: ChoreEnd
    ran: list[tuple[tuple[str, ...], float]] = field(default_factory=list)

    def __call__(self, words: Sequence[str], limit_s: float, stopping: Callable[[], bool]) -> ChoreEnd:
        self.ran.append((tuple(words), limit_s))
        return self.ends


def run(
    ledger: MemoryLedger, program: Program, by: str = "serve", *, again: bool = False
) -> tuple[str, ExitCode, list[str]]:
    assert LINE is not None
    events = MemoryEvents()
    try:
        done = Chores(ledger, {LINE.job: LINE}, events, by, program)(SLOT, NOW, again=again)
    except TradebotError as failed:
        return failed.message, failed.code, [event.event_type for event in events.emitted]
    return done.said, done.exit_code, [event.event_type for event in events.emitted]


def claims(ledger: MemoryLedger) -> dict[str, str]:
    return {claim.job: claim.by for claim in ledger.slot_claims(SESSION.date)}


@pytest.mark.parametrize(
    ("ended", "said", "code", "event", "end"),
    [
        (ChoreEnd(0, None, 1.25, "fine"), "exit 0", 0, "chore_ran", "exit 0, 1.2 s"),
        (ChoreEnd(10, None, 2, "found"), "exit 10", 10, "chore_ran", "exit 10, 2.0 s"),
        (ChoreEnd(5, None, 2, "away"), "exit 5", 5, "chore_failed", "exit 5, 2.0 s"),
        (ChoreEnd(77, None, 2, "?"), "exit 77", 1, "chore_failed", "exit 77, 2.0 s"),
        (ChoreEnd(-11, None, 2, ""), "ended by signal 11", 1, "chore_failed", "ended by signal 11, 2.0 s"),
        (ChoreEnd(-15, "ended after its limit", 120, ""), "ended after its limit", 1, "chore_failed",
         "ended after its limit, 120.0 s"),
    ],
)  # fmt: skip
def test_its_exit_code_is_its_end_and_it_runs_once(ended: ChoreEnd, said: str, code: int, event: str, end: str) -> None:
    ledger, program = MemoryLedger(ACCOUNT), Program(ended)
    command = f"parity {SESSION.date}"
    assert run(ledger, program) == (f"tradebot {command}: {said}", code, [event])
    assert program.ran == [(tuple(command.split()), 120)]
    assert claims(ledger) == {"parity": "serve", f"parity {'failed' if event == 'chore_failed' else 'ended'}": end}
    assert run(ledger, program, "cron") == ("close+5m was run by serve", 0, [])
    assert len(program.ran) == 1


def test_one_with_nothing_to_do_ends_well_without_running_and_says_why() -> None:
    assert LINE is not None
    ledger, program, events = MemoryLedger(ACCOUNT), Program(ChoreEnd(2, None, 1, "")), MemoryEvents()
    chores = Chores(
        ledger, {LINE.job: LINE}, events, "serve", program, nothing_to_do=lambda line, slot: f"no {line.job} to do"
    )
    done = chores(SLOT, NOW)
    assert (done.said, done.exit_code) == (f"tradebot parity {SESSION.date}: no parity to do", ExitCode.DONE)
    assert claims(ledger) == {"parity": "serve", "parity ended": "no parity to do, 0.0 s"}
    assert (program.ran, [event.event_type for event in events.emitted]) == ([], ["chore_ran"])


def test_one_that_is_cut_short_each_time_has_failed_after_the_third_time_unless_a_person_asks() -> None:
    ledger, program = MemoryLedger(ACCOUNT), Program(ChoreEnd(-15, STOPPED, 1, ""))
    said = [run(ledger, program)[0] for _ in range(4)]
    assert [one.endswith("the next serve reruns it") for one in said] == [True, True, True, False]
    assert said[3] == f"tradebot parity {SESSION.date}: interrupted 3 times"
    assert (len(program.ran), is_unfinished(ledger, SLOT)) == (3, False)
    assert run(ledger, program)[0] == "close+5m was run by serve"
    run(ledger, program, "ada", again=True)
    assert len(program.ran) == 4


def test_one_that_was_stopped_or_killed_has_no_end_and_is_run_again() -> None:
    ledger = MemoryLedger(ACCOUNT)
    said, _, events = run(ledger, Program(ChoreEnd(-15, STOPPED, 1, "")))
    assert ("was stopped because serve ended" in said, events) == (True, [])
    assert is_unfinished(ledger, SLOT)
    assert run(ledger, Program(ChoreEnd(0, None, 1, "")), "another")[1:] == (0, ["chore_ran"])
    assert claims(ledger) == {"parity": "serve", "parity again 1": "another", "parity ended": "exit 0, 1.0 s"}
    assert not is_unfinished(ledger, SLOT)


def test_one_that_failed_or_was_missed_can_be_run_again_in_an_extra_slot() -> None:
    ledger = MemoryLedger(ACCOUNT)
    assert run(ledger, Program(ChoreEnd(5, None, 1, "")))[1] == 5
    assert run(ledger, Program(ChoreEnd(0, None, 1, "")), "a person", again=True)[1:] == (0, ["chore_ran"])
    assert [(claim.job, claim.slot) for claim in ledger.slot_claims(SESSION.date)] == [
        ("parity", "close+5m"), ("parity failed", "close+5m"), ("parity", "close+5m#2"), ("parity ended", "close+5m#2")
    ]  # fmt: skip
    assert not is_unfinished(ledger, SLOT)


def test_a_slot_that_was_missed_or_never_claimed_is_not_unfinished() -> None:
    ledger = MemoryLedger(ACCOUNT)
    assert not is_unfinished(ledger, SLOT)
    ledger.miss_slots([SLOT.key], "serve, as missed: ASLEEP", NOW)
    assert not is_unfinished(ledger, SLOT)
    assert isinstance(SLOT, Slot)


def test_a_slot_that_only_a_wrong_clock_found_due_is_left_for_its_time() -> None:
    ledger, program = MemoryLedger(ACCOUNT), Program(ChoreEnd(0, None, 1.0, ""))
    assert LINE is not None
    chores = Chores(ledger, {LINE.job: LINE}, MemoryEvents(), "serve", program)
    with pytest.raises(TemporaryError, match="isn't due until"):
        chores(SLOT, NOW - timedelta(seconds=1))
    assert (program.ran, claims(ledger)) == ([], {})
    assert chores(SLOT, NOW).exit_code is ExitCode.DONE
