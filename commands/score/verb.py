"""`tradebot score`: score the universe from the facts known now, without trading."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from commands.shared.completion import symbols
from commands.shared.declaration import PASS, Purpose
from commands.shared.verb_options import Report, caller, on_bot, progress_bar
from tradebot.errors import OperatorError

if TYPE_CHECKING:
    from tradebot.app.wiring import App

Explain = Annotated[
    str | None,
    typer.Option(
        "--explain", metavar="SYMBOL", help="Explain one symbol's score without recording it.", autocompletion=symbols
    ),
]
Plot = Annotated[
    Path | None, typer.Option("--plot", metavar="FILE", help="With --explain, also draw it: FILE.svg or FILE.png.")
]
Diff = Annotated[
    tuple[str, str] | None,
    typer.Option(
        "--diff",
        metavar="CYCLE CYCLE",
        help="Show what moved between two recorded passes: ids, times, previous or last.",
    ),
]
Outcomes = Annotated[bool, typer.Option("--outcomes", help="Measure what followed the recorded candidates.")]
Since = Annotated[str | None, typer.Option("--since", help="First date that --outcomes measures [the first recorded].")]
From = Annotated[
    str | None,
    typer.Option(
        "--from",
        metavar="SESSION",
        help="Score a past session again from the flow source's replies, without recording it.",
    ),
]
At = Annotated[
    str | None,
    typer.Option("--at", metavar="TIME", help="The time of that session, such as 10:30; by default, its last reply."),
]
Variants = Annotated[
    bool,
    typer.Option("--variants", help="Count how many more entries a strategy would want with a setting changed."),
]


def run(app: "App", *, by: str) -> Report:
    """Score every symbol, record the scores, report them strongest first."""
    from commands.score.screen import show
    from commands.shared.ask_strategies import asking_world, in_turn
    from commands.shared.pass_reports import begin, both_clocks, pass_data
    from jobs.slot_claims import Refused
    from tradebot.desk.proposals import score
    from tradebot.model.record import Job

    clocks = both_clocks(app, Job.SCORE, dry_run=False)
    # Built before the slot is claimed, so that a missing strategy doesn't use up the slot.
    world = asking_world(app, "score")
    call, clocks = in_turn(app, "score", lambda: begin(app, Job.SCORE, by, clocks=clocks))
    assert not isinstance(call, Refused), "a score is never refused"
    data = pass_data(app, score(world, call, clocks.clock))
    return Report("score", data, show)


def _explain(app: "App", symbol: str, plot: Path | None) -> Report:
    from commands.score.explanation import explained, render
    from commands.shared.pictures import checked

    picture = checked(plot, "score.svg")
    data = explained(app, symbol)
    if picture:
        from commands.score.explanation import draw

        draw(data, picture)
    return Report("score-explain", data, render)


def _outcomes(app: "App", since: str | None) -> Report:
    from commands.score.outcomes import day_of, measured, render

    with progress_bar("measuring sessions") as progress:
        data = measured(app, day_of(since) if since else None, progress)
    return Report("score-outcomes", data, render)


def _refuse_combinations(chosen: Sequence[object], plot: Path | None, since: str | None, at: str | None) -> None:
    explain, outcomes, _, session, _ = chosen
    if plot and not explain:
        raise OperatorError("--plot draws what --explain shows", "tradebot score --explain AAPL --plot aapl.svg")
    if since and not outcomes:
        raise OperatorError("--since belongs to --outcomes", f"tradebot score --outcomes --since {since}")
    if at and not session:
        raise OperatorError("--at needs the session that it belongs to", "tradebot score --from SESSION --at 10:30")
    if sum(map(bool, chosen)) > 1:
        raise OperatorError("--explain, --outcomes, --diff, --from and --variants can't be combined", "use one of them")


@on_bot(
    "score",
    Purpose.TRADE,
    30,
    {
        "score/1": (PASS,),
        "score-explain/1": ("commands.score.explanation:Explained",),
        "score-variants/1": ("commands.score.variants:Variants",),
        "score-outcomes/1": ("commands.score.outcomes:Outcomes",),
        "score-diff/1": ("tradebot.views.score_diff:Moved",),
        "score-from/1": ("commands.score.past_session:ScoredAgain",),
    },
    epilog="tradebot score\ntradebot score --explain AAPL --plot aapl.svg\n"
    "tradebot score --outcomes --since 2026-11-16\ntradebot score --diff previous last\n"
    "tradebot score --variants\ntradebot score --from 2026-11-16 --at 10:30",
)
def score(
    bot: "App",
    explain: Explain = None,
    plot: Plot = None,
    outcomes: Outcomes = False,
    since: Since = None,
    diff: Diff = None,
    session: From = None,
    at: At = None,
    variants: Variants = False,
) -> Report:
    """Score every symbol without trading.

    With --outcomes, it measures what followed the candidates recorded so far, refused ones too: whether the score
    and its components predicted it, and what the refusals cost or saved.
    """
    _refuse_combinations((explain, outcomes, diff, session, variants), plot, since, at)
    if outcomes:
        return _outcomes(bot, since)
    if variants:
        from commands.score.variants import run as run_variants

        return run_variants(bot)
    if diff:
        from commands.score.diff import run as run_diff

        return run_diff(bot, *diff)
    if session:
        from commands.score.past_session import run as run_past

        with progress_bar("reading the kept replies") as progress:
            return run_past(bot, session, at, progress)
    return _explain(bot, explain, plot) if explain else run(bot, by=caller())
