"""The n-th call fails, for every n: a clear end each time, nothing lost, and the next run mends what was left."""

from collections.abc import Callable

import pytest

from tests.faults.nth_verbs import LINES
from tests.faults.programs import played
from tests.suite.tiers import drawn, seed, sized

BOTS, DAYS, EVERY = 66, 2, sized(17, 1)
"""The bot of a number fails the call of that number on its first day, and the one 66 calls later on its second."""
DAYS_OF_CALLS, TURNS = DAYS * 7, 4
"""Where each call of SQLite is a step, days reach all of a pass, and seeds in turn fail every fourth of them."""
KINDS = {"file open", "file read", "file write", "file sync", "http send", "http reply"}
KINDS |= {f"database {name}" for name in ("open", "read", "write", "sync")}
RARE = {"file read", "file sync"}
"""Kinds so rare in a pass that only campaigns that fail each single call are sure to meet them, with all seeds."""
FREQUENT = {"file write", "database read", "database write", "http send"}
EACH = [("--each", "--kind", "call"), ("--each", "--kind", "lasting")]
VERBS = [(" ".join(line.words), flags) for line in LINES for flags in ((), ("--lasting",))]


@pytest.mark.sampled
@pytest.mark.parametrize("flags", [(), *drawn("each call", [], EACH)])
def test_pass_ends_clearly_and_recovers_whichever_call_fails(
    flags: tuple[str, ...], record_property: Callable[[str, object], None]
) -> None:
    days, every = (DAYS_OF_CALLS, TURNS) if flags else (DAYS, EVERY)
    first = 1 + (seed() or 0) % every if flags else every
    found = played("nth", f"--count={BOTS}", f"--days={days}", f"--every={every}", f"--first={first}", *flags)
    assert found["problems"] == []
    record_property("calls of a pass that failed", found["failed"])
    assert found["left"] <= 0, "a verb has more calls than were made to fail"
    assert set(found["hit"]) >= sized(FREQUENT, KINDS - RARE)


@pytest.mark.campaign(share=50)
@pytest.mark.parametrize(("line", "flags"), drawn("verbs", VERBS, VERBS))
def test_verb_ends_clearly_and_recovers_whichever_call_fails(
    line: str, flags: tuple[str, ...], record_property: Callable[[str, object], None]
) -> None:
    found = played("nth_verbs", "--only", line, f"--seed={seed() or 0}", *flags)
    assert found["problems"] == []
    assert list(found["failed"]) == [line]
    assert found["failed"][line] > 0, "the verb has no call that was made to fail"
    record_property("calls of a verb that failed", found["failed"][line])
