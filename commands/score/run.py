"""Run `tradebot score`: score the universe from the facts known now, without trading."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from commands.score.explanation import draw
from commands.score.screen import show
from commands.shared.ask_strategies import asking_world, in_turn
from commands.shared.pass_reports import begin, both_clocks, pass_data
from commands.shared.pictures import picture_file
from commands.shared.verb_options import Report, progress_bar
from jobs.slot_claims import SlotRefused
from tradebot.desk.proposals import score
from tradebot.errors import OperatorError
from tradebot.model.record import Job

if TYPE_CHECKING:
    from tradebot.app.wiring import App


def run(app: "App", *, by: str) -> Report:
    """Score every symbol, record the scores, report them strongest first."""
    clocks = both_clocks(app, Job.SCORE, dry_run=False)
    # Built before the slot is claimed, so that a missing strategy doesn't use up the slot.
    world = asking_world(app, "score")
    call, clocks = in_turn(app, "score", lambda: begin(app, Job.SCORE, by, clocks=clocks))
    assert not isinstance(call, SlotRefused), "a score is never refused"
    data = pass_data(app, score(world, call, clocks.clock))
    return Report("score", data, show)


def explain_one(app: "App", symbol: str, plot: Path | None) -> Report:
    from commands.score.explanation import explain_score, render

    picture = picture_file(plot, "score.svg")
    data = explain_score(app, symbol)
    if picture:
        draw(data, picture)
    return Report("score-explain", data, render)


def outcomes_of(app: "App", since: str | None) -> Report:
    from commands.score.outcomes import day_of, measure_outcomes, render

    with progress_bar("measuring sessions") as progress:
        data = measure_outcomes(app, day_of(since) if since else None, progress)
    return Report("score-outcomes", data, render)


def refuse_combinations(chosen: Sequence[object], plot: Path | None, since: str | None, at: str | None) -> None:
    explain, outcomes, _, session, _ = chosen
    if plot and not explain:
        raise OperatorError("--plot draws what --explain shows", "tradebot score --explain AAPL --plot aapl.svg")
    if since and not outcomes:
        raise OperatorError("--since belongs to --outcomes", f"tradebot score --outcomes --since {since}")
    if at and not session:
        raise OperatorError("--at needs the session that it belongs to", "tradebot score --from SESSION --at 10:30")
    if sum(map(bool, chosen)) > 1:
        raise OperatorError("--explain, --outcomes, --diff, --from and --variants can't be combined", "use one of them")
