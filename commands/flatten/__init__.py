"""`tradebot flatten`: close the bot's own positions on request, on the same path as every order."""

from typing import TYPE_CHECKING, Annotated

import typer

from commands.shared.completion import own
from commands.shared.declaration import PASS, VerbPurpose, acts
from commands.shared.verb_options import DryRun, Report, caller, on_bot, opened_to_leave
from tradebot.errors import OperatorError

if TYPE_CHECKING:
    from tradebot.app.wiring import App


@on_bot(
    "flatten",
    VerbPurpose.OPERATE,
    60,
    {"flatten/1": (PASS,)},
    epilog="tradebot flatten MSFT\ntradebot flatten --all",
    opens=opened_to_leave,
)
@acts
def flatten(
    bot: "App",
    symbol: Annotated[str | None, typer.Argument(help="Symbol to close.", autocompletion=own)] = None,
    everything: Annotated[bool, typer.Option("--all", help="Close all of the bot's positions.")] = False,
    confirmed: Annotated[
        str | None, typer.Option("--confirm", help="Type the symbol or ALL here if there is no terminal.")
    ] = None,
    dry_run: DryRun = False,
) -> Report:
    """Close one of the bot's positions, or all of them.

    Entries are canceled first; a working exit is repriced.
    """
    if (symbol is None) is not everything:
        raise OperatorError(
            "name one symbol, or --all",
            "tradebot flatten SYMBOL or tradebot flatten --all; to see the symbols: tradebot positions",
        )
    from commands.flatten.run import run

    return run(bot, symbol, by=caller(), confirmed=confirmed, dry_run=dry_run)
