"""Run `tradebot replay`: replay recorded passes without sending anything, and compare the decisions."""

import re
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from commands.replay.report import (
    DECIDING,
    ChangedPass,
    ReplayReport,
    changed_in,
    decided_again,
    decided_again_from,
    render,
    replay_report,
)
from commands.shared.span_options import day_in
from commands.shared.verb_options import (
    Report,
    progress_bar,
)
from tradebot.adapters.facts.recorded_passes import KeptPass
from tradebot.adapters.state.evidence import BACKTEST
from tradebot.adapters.state.incident_file import AGAIN
from tradebot.errors import ExitCode, OperatorError, word
from tradebot.lab.backtest.rerun import PastRun
from tradebot.replaying.cycle_comparison import difference

if TYPE_CHECKING:
    from tradebot.app.wiring import App
    from tradebot.model.record import CycleRecord
    from tradebot.ports.stores import Facts

DATE = re.compile(r"\d{4}-\d{2}-\d{2}")


def run(app: "App", what: str | None, from_version: str | None = None) -> Report:
    """Replay a pass, or all passes of a session; exit 0 if all are equal, 10 if one isn't or can't be read.

    Raise OperatorError if there is no record.
    """
    if app.folder.kind == BACKTEST:
        data = _of_backtest(app, what, from_version)
    else:
        every = app.passes.passes()
        last = every[-1].session.isoformat() if every else ""
        passes = _select_passes(every, what or last, from_version)
        facts = app.existing_facts if _is_session(what or last) and from_version is None else None
        with progress_bar("replaying") as progress:
            data = decided_again(app.passes, passes, progress, only_decisions=from_version is not None, facts=facts)
    code = ExitCode.DONE if data.equal == data.passes else ExitCode.FINDINGS
    return Report("replay", data, render, code)


def _of_backtest(app: "App", what: str | None, from_version: str | None) -> "ReplayReport":
    """Play a finished backtest again; all of it, unless a pass or a session is named."""
    run, recorded = PastRun(app.folder.path), passes_of(app.existing_facts)
    every = [KeptPass(cycle.id, cycle.session, cycle.at, run.decided_by) for cycle in recorded.values()]
    selected = _select_passes(every, what, from_version)
    with progress_bar("playing again") as progress:
        return decided_again_in(
            run, [recorded[head.id] for head in selected], progress, whole=not what or _is_session(what)
        )


def _select_passes(every: "Sequence[KeptPass]", typed: str | None, from_version: str | None) -> "Sequence[KeptPass]":
    """Return the requested stored passes; without a name, all of them."""
    if not typed:
        kept_passes = every
    elif _is_session(typed):
        kept_passes = [kept_pass for kept_pass in every if kept_pass.session == day_in(typed)]
    else:
        kept_passes = [kept_pass for kept_pass in every if kept_pass.id == typed]
    chosen = [kept_pass for kept_pass in kept_passes if from_version in (None, kept_pass.version)]
    if chosen:
        return chosen
    if not every:
        hint = "passes are stored as they run; storage.replay_sessions sets how many sessions are kept"
        raise OperatorError("No pass is stored that could be replayed.", hint)
    if kept_passes:
        versions = ", ".join(sorted({kept_pass.version for kept_pass in kept_passes}))
        raise OperatorError(
            f"No pass of {word(typed or 'the run')} was recorded by {word(from_version or '')}.",
            f"--from-version with one of: {versions}",
        )
    span = f"{every[0].session} to {every[-1].session}"
    sessions_text = f"recorded sessions: {span}; the last pass has the id {every[-1].id}"
    raise OperatorError(f"No recorded pass matches {word(typed or '')}.", sessions_text)


def _is_session(typed: str) -> bool:
    if DATE.fullmatch(typed) and day_in(typed) is None:
        raise OperatorError(f"{word(typed)} is not a date", "write it as 2026-11-16")
    return day_in(typed) is not None


def of_file(file: str, from_version: str | None) -> Report:
    """Replay the pass of an incident's file; exit 10 if it isn't equal."""
    data = decided_again_from(Path(file), from_version)
    shown = partial(render, hint=AGAIN)
    return Report("replay", data, shown, ExitCode.DONE if data.equal else ExitCode.FINDINGS)


Passes = Mapping[str, "CycleRecord"]
"""Passes by id, oldest first."""


def passes_of(facts: "Facts | None") -> Passes:
    """Return the passes of a run that decided about orders, by id, oldest first."""
    if facts is None:
        return {}
    cycles = [cycle for job in DECIDING for cycle in facts.cycles(job=job)]
    return {cycle.id: cycle for cycle in sorted(cycles, key=lambda cycle: cycle.at)}


def decided_again_in(
    run: PastRun, stored_passes: "Sequence[CycleRecord]", progress: Callable[[int, int], None], *, whole: bool
) -> ReplayReport:
    """Run a backtest again up to the last of these passes, and compare them.

    `whole` is True if these are all passes of their sessions.
    """
    sessions = {cycle.session for cycle in stored_passes}
    played = {
        cycle.id: cycle
        for cycle in run.replay_until(max(sessions), progress)
        if cycle.job in DECIDING and cycle.session in sessions
    }
    changed = [
        changed_pass
        for cycle in stored_passes
        for changed_pass in _changed_passes(run, cycle, played.pop(cycle.id, None))
    ]
    others = [*played.values()] if whole else []
    changed += [changed_pass for other in others for changed_pass in _changed_passes(run, None, other)]
    decisions = sum(len(candidate.decisions) for cycle in stored_passes for candidate in cycle.candidates)
    passes, equal = (
        len(stored_passes) + len(others),
        len({cycle.id for cycle in stored_passes} - {change.id for change in changed}),
    )
    return replay_report((run.decided_by,), sessions, passes, equal, decisions, changed, other_code=run.other_code)


def _changed_passes(run: PastRun, then: "CycleRecord | None", now: "CycleRecord | None") -> Sequence[ChangedPass]:
    cycle_difference, either = difference(then, now), then or now
    assert either is not None, "one of them is there"
    return () if cycle_difference is None else (changed_in(either.id, either.at, run.decided_by, cycle_difference),)
