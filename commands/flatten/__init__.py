"""`tradebot flatten` and `cancel`: close the bot's own positions, or cancel one of its orders, on request."""

from typing import TYPE_CHECKING, Annotated

import typer

from commands.shared.completion import own_symbols, symbols
from commands.shared.declaration import PASS, VerbPurpose, changes_trading
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
@changes_trading
def flatten(
    bot: "App",
    symbol: Annotated[str | None, typer.Argument(help="Symbol to close.", autocompletion=own_symbols)] = None,
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


@on_bot(
    "cancel",
    VerbPurpose.OPERATE,
    65,
    {"cancel/1": (PASS,)},
    epilog="tradebot cancel AAPL\ntradebot cancel tb1.260130.FLOW.AAPL.OPEN.PVQ4T2ZXN7W3KJ6M --dry-run",
    opens=opened_to_leave,
)
@changes_trading
def cancel(
    bot: "App",
    order: Annotated[
        str, typer.Argument(help="The order's id, or its symbol if it has no other order.", autocompletion=symbols)
    ],
    confirmed: Annotated[
        str | None,
        typer.Option("--confirm", help="Type the symbol here, or NO-STOP for a stop, if there is no terminal."),
    ] = None,
    dry_run: DryRun = False,
) -> Report:
    """Cancel one of the bot's working orders.

    The order may be an entry or an exit. For one that protects a position, type NO-STOP in place of the symbol. A later
    pass may send another order: halt first if it shouldn't enter again.
    """
    from commands.flatten.run import run_cancel

    return run_cancel(bot, order, by=caller(), confirmed=confirmed, dry_run=dry_run)
