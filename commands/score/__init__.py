"""`tradebot score`: score the universe from the facts known now, without trading."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from commands.shared.completion import symbols
from commands.shared.declaration import PASS, VerbPurpose
from commands.shared.verb_options import Report, caller, on_bot, progress_bar

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
        help="Show what changed between two recorded passes. Name each by id, time, previous or last.",
    ),
]
Outcomes = Annotated[bool, typer.Option("--outcomes", help="Measure the returns after the recorded candidates.")]
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
    typer.Option("--at", metavar="TIME", help="A time in that session, such as 10:30 [the time of its last reply]."),
]
Variants = Annotated[
    bool,
    typer.Option("--variants", help="Count how many more entries a strategy would want with a setting changed."),
]


@on_bot(
    "score",
    VerbPurpose.TRADE,
    30,
    {
        "score/1": (PASS,),
        "score-explain/1": ("commands.score.explanation:Explained",),
        "score-variants/1": ("commands.score.run:Variants",),
        "score-outcomes/1": ("commands.score.outcomes:Outcomes",),
        "score-diff/1": ("tradebot.views.score_diff:Moved",),
        "score-from/1": ("commands.score.run:ScoredAgain",),
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

    With --outcomes, it measures the returns after the recorded candidates, including refused ones: whether the score
    and its components predicted them, and what the refusals cost or saved.
    """
    from commands.score.run import explain_one, outcomes_of, refuse_combinations, run

    refuse_combinations((explain, outcomes, diff, session, variants), plot, since, at)
    if outcomes:
        return outcomes_of(bot, since)
    if variants:
        from commands.score.run import run_variants

        return run_variants(bot)
    if diff:
        from commands.score.run import run_diff

        return run_diff(bot, *diff)
    if session:
        from commands.score.run import run_past_session as run_past

        with progress_bar("reading the stored replies") as progress:
            return run_past(bot, session, at, progress)
    return explain_one(bot, explain, plot) if explain else run(bot, by=caller())
