"""`score --from SESSION --parity`: compare the last scores that a session recorded with the same ones, scored again."""

from collections.abc import Mapping, Sequence
from datetime import date, datetime, timedelta

from msgspec import Struct
from rich.console import Console

from commands.score.past import day_of
from commands.shared.surface import Report, identity
from commands.shared.tables import Table, number
from commands.shared.times import when
from tradebot.app.past import past_of
from tradebot.app.wiring import App
from tradebot.desk.proposals import propose
from tradebot.errors import ExitCode
from tradebot.model.candidate import Candidate
from tradebot.model.record import CycleRecord, Job
from tradebot.model.text import counted
from tradebot.ports.world import Progress

Scores = Mapping[tuple[str, str], float | None]


class Difference(Struct, frozen=True):
    """A score that isn't the recorded one; None if only the other pass has the symbol."""

    strategy: str
    symbol: str
    recorded: float | None
    again: float | None


class Parity(Struct, frozen=True):
    """How the last recorded scores of a session compare with those that the kept replies give now.

    `why_not` says why nothing was compared. `left_out` are strategies that can't be asked about the past.
    """

    session: date
    at: datetime | None
    compared: int
    differences: tuple[Difference, ...]
    left_out: tuple[str, ...]
    why_not: str | None


def run(app: "App", session: str, progress: "Progress") -> Report:
    """Compare them; exit 10 if any score differs. Raises OperatorError if no replies of the session are kept."""
    data = _compared(app, day_of(session), progress)
    code = ExitCode.FINDINGS if data.differences else ExitCode.DONE
    return Report("score-parity", data, _render, code, identity(app))


def _compared(app: "App", day: date, progress: "Progress") -> Parity:
    recorded = _last_scores(app, day)
    if recorded is None:
        return Parity(day, None, 0, (), (), "no scores of this session are recorded")
    if app.settings.unusual_whales.keep_raw_sessions == 0:
        return Parity(day, recorded.at, 0, (), (), "no replies are kept: unusual_whales.keep_raw_sessions is 0")
    with past_of(app, day, recorded.at, progress) as (world, past):
        if not past.complete:
            return Parity(day, recorded.at, 0, (), past.left_out, "replies of earlier days are no longer kept")
        again = _scores(propose(world, past.at).candidates, past.left_out)
    before = _scores([record.candidate for record in recorded.candidates], past.left_out)
    pairs = {key: (before.get(key), again.get(key)) for key in sorted({*before, *again})}
    different = tuple(Difference(*key, *pair) for key, pair in pairs.items() if pair[0] != pair[1])
    return Parity(day, recorded.at, len(pairs), different, past.left_out, None)


def _last_scores(app: "App", day: date) -> "CycleRecord | None":
    session = next(iter(app.ledger_view.sessions(day, day)), None)
    if app.recorded is None or session is None:
        return None
    found = app.recorded.cycles(job=Job.SCORE, since=session.open - timedelta(hours=12))
    return next((each for each in reversed(found) if each.session == day and each.job_decision is None), None)


def _scores(candidates: "Sequence[Candidate]", left_out: Sequence[str]) -> Scores:
    wanted = (each for each in candidates if each.strategy not in left_out)
    return {(each.strategy, each.symbol): each.score for each in wanted}


def _render(out: "Console", data: Parity) -> None:
    if data.why_not is not None or data.at is None:
        out.print(f"Session {data.session}: nothing to compare, because {data.why_not}.")
        return
    equal = data.compared - len(data.differences)
    out.print(
        f"Session {data.session}, scores of {when(data.at)}: {equal} of {counted(data.compared, 'score')} are the same"
    )
    for name in data.left_out:
        out.print(f"  {name} is left out: it reads quotes or the account, which aren't kept", markup=False)
    if not data.differences:
        return
    table = Table("strategy", "symbol", number("recorded"), number("again"))
    for row in data.differences:
        table.row(
            row.strategy, row.symbol, *("-" if score is None else f"{score:.6f}" for score in (row.recorded, row.again))
        )
    out.print(table)
    out.print("Next: a changed configuration or version gives other scores; if neither changed, tradebot audit")
