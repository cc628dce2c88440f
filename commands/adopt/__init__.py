"""`tradebot adopt`: mark a position that the bot didn't open as known, or let the bot manage it with --manage.

Nothing here can send an order, because no OrderPort is ever created.
"""

from typing import TYPE_CHECKING, Annotated

import typer

from commands.shared.completion import foreign_symbols
from commands.shared.declaration import VerbPurpose, changes_trading
from commands.shared.verb_options import Report, caller, on_bot

if TYPE_CHECKING:
    from tradebot.app.wiring import App


@on_bot(
    "adopt",
    VerbPurpose.OPERATE,
    70,
    {"adopt/1": ("commands.adopt.run:Adopted",)},
    epilog="tradebot adopt MSFT\ntradebot adopt MSFT --manage",
)
@changes_trading
def adopt(
    bot: "App",
    symbol: Annotated[str, typer.Argument(help="Symbol of the position.", autocompletion=foreign_symbols)],
    manage: Annotated[bool, typer.Option("--manage", help="Take it over: exit rules will close it.")] = False,
    confirmed: Annotated[
        str | None, typer.Option("--confirm", help="Type the symbol here if there is no terminal.")
    ] = None,
) -> Report:
    """Acknowledge a position that the bot didn't open.

    With --manage the bot takes it over, and its exit rules will close it.
    """
    from commands.adopt.run import run

    return run(bot, symbol, take_over=manage, by=caller(), confirmed=confirmed)
