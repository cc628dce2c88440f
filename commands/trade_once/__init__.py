"""`tradebot trade-once`: check every candidate at every gate, and send an order for each one that passes."""

from typing import TYPE_CHECKING, Annotated

import typer

from commands.shared.declaration import NOT_RUN, VerbPurpose, changes_trading
from commands.shared.verb_options import DryRun, Report, caller, on_bot

if TYPE_CHECKING:
    from tradebot.app.wiring import App

Candidates = Annotated[
    str | None,
    typer.Option("--candidates", metavar="FILE|-", help="Candidates as JSON lines, in place of the strategies'."),
]
ForceSlot = Annotated[
    bool,
    typer.Option(
        "--force-slot",
        help=(
            "Run now, even if the slot was already used or the timetable has none. Strategies' own slots aren't "
            "repeated."
        ),
    ),
]


@on_bot(
    "trade-once",
    VerbPurpose.TRADE,
    40,
    {"trade-once/1": ("commands.trade_once.run:EntriesData", NOT_RUN)},
    epilog="tradebot trade-once --dry-run\ntradebot trade-once",
)
@changes_trading
def trade_once(
    bot: "App",
    dry_run: DryRun = False,
    force_slot: ForceSlot = False,
    candidates: Candidates = None,
) -> Report:
    """Send an order for each candidate that passes every gate."""
    from commands.trade_once.run import run

    return run(bot, by=caller(), force_slot=force_slot, dry_run=dry_run, candidates=candidates)
