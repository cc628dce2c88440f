"""The n-th call fails, for every n: a clear end each time, nothing lost, and the next run mends what was left."""

from collections.abc import Callable

import pytest

from tests.faults.nth_verbs import LINES
from tests.faults.programs import played
from tests.tiers import drawn, sized

BOTS, DAYS, EVERY = 66, 2, sized(13, 1)
"""The bot of a number fails the call of that number on its first day, and the one 66 calls later on its second.

The campaigns play each of them, and the sample every thirteenth.
"""
KINDS = {"file open", "file read", "file write", "file sync", "http send", "http reply"}
KINDS |= {f"database {name}" for name in ("open", "read", "write", "sync")}
RARE = {"file read", "file sync"}
"""Kinds so rare in a pass that only a campaign that fails each single call is sure to meet them."""
FREQUENT = {"file write", "database read", "database write", "http send"}
EACH = [("--each", "--kind", "call"), ("--each", "--kind", "lasting")]
VERBS = [(" ".join(line.words), flags) for line in LINES for flags in ((), ("--lasting",))]


@pytest.mark.sampled
@pytest.mark.parametrize("flags", [(), *drawn("each call", [], EACH, 1)])
def test_pass_ends_clearly_and_recovers_whichever_call_fails(
    flags: tuple[str, ...], record_property: Callable[[str, object], None]
) -> None:
    days = DAYS * 5 if flags else DAYS
    found = played("nth", "--count", str(BOTS), "--days", str(days), "--every", str(EVERY), *flags)
    assert found["problems"] == []
    record_property("calls of a pass that failed", found["failed"])
    assert found["left"] <= 0, "a verb has more calls than were made to fail"
    assert set(found["hit"]) >= (KINDS if flags else sized(FREQUENT, KINDS - RARE))


@pytest.mark.campaign
@pytest.mark.parametrize(("line", "flags"), drawn("verbs", VERBS, VERBS, 8))
def test_verb_ends_clearly_and_recovers_whichever_call_fails(
    line: str, flags: tuple[str, ...], record_property: Callable[[str, object], None]
) -> None:
    found = played("nth_verbs", "--only", line, *flags)
    assert found["problems"] == []
    assert list(found["failed"]) == [line]
    assert found["failed"][line] > 0, "the verb has no call that was made to fail"
    record_property("calls of a verb that failed", found["failed"][line])
