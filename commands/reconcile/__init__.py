"""`tradebot reconcile`: record the broker's executions, compare the books with it, and apply an accepted plan.

Nothing here can send an order, because no OrderPort is ever created.
"""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from commands.shared.completion import plans
from commands.shared.declaration import VerbPurpose
from commands.shared.verb_options import Report, caller, on_bot

if TYPE_CHECKING:
    from tradebot.app.wiring import App


@on_bot(
    "reconcile",
    VerbPurpose.TRADE,
    60,
    {"reconcile/1": ("commands.reconcile.run:Compared",)},
    epilog="tradebot reconcile\ntradebot reconcile --apply plan-1a2b3c4d",
)
def reconcile(
    bot: "App",
    apply: Annotated[
        str | None,
        typer.Option(
            "--apply",
            metavar="PLAN",
            help="Accept this plan first: its id or a file.",
            autocompletion=plans,
        ),
    ] = None,
    statement: Annotated[
        Path | None,
        typer.Option(
            "--statement", metavar="FILE", help="Book the bot's trades from a broker's statement (IB: Flex query)."
        ),
    ] = None,
) -> Report:
    """Compare the bot's books with the broker's.

    Fills and other facts are recorded at once. Any other difference becomes a plan, which --apply accepts.
    """
    from commands.reconcile.run import run

    return run(bot, by=caller(), apply=apply, statement=statement)
