"""`tradebot replay` in the folder of a backtest: play it again from its identity, and compare every pass."""

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING

from commands.replay.missing_passes import DECIDING
from commands.replay.report import Again, ChangedPass, changed_in, replay_report
from tradebot.lab.backtest.rerun import PastRun
from tradebot.replaying.cycle_comparison import difference

if TYPE_CHECKING:
    from tradebot.model.record import CycleRecord
    from tradebot.ports.stores import Facts

Passes = Mapping[str, "CycleRecord"]
"""Passes by id, oldest first."""


def passes_of(facts: "Facts | None") -> Passes:
    """Return the passes of a run that decided about orders."""
    if facts is None:
        return {}
    found = [one for job in DECIDING for one in facts.cycles(job=job)]
    return {one.id: one for one in sorted(found, key=lambda one: one.at)}


def decided_again_in(
    run: PastRun, kept: "Sequence[CycleRecord]", progress: Callable[[int, int], None], *, whole: bool
) -> Again:
    """Play a run up to the last of these passes, and compare; `whole` if they are all that their sessions have."""
    sessions = {one.session for one in kept}
    played = {
        one.id: one
        for one in run.replay_until(max(sessions), progress)
        if one.job in DECIDING and one.session in sessions
    }
    changed = [found for one in kept for found in _changed(run, one, played.pop(one.id, None))]
    others = [*played.values()] if whole else []
    changed += [found for one in others for found in _changed(run, None, one)]
    decisions = sum(len(candidate.decisions) for one in kept for candidate in one.candidates)
    passes, equal = len(kept) + len(others), len({one.id for one in kept} - {one.id for one in changed})
    return replay_report((run.decided_by,), sessions, passes, equal, decisions, changed, other_code=run.other_code)


def _changed(run: PastRun, then: "CycleRecord | None", now: "CycleRecord | None") -> Sequence[ChangedPass]:
    found, known = difference(then, now), then or now
    assert known is not None, "one of them is there"
    return () if found is None else (changed_in(known.id, known.at, run.decided_by, found),)
