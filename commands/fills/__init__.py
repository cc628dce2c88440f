"""`tradebot fills`: show what was bought and sold, and the entries that plans and adoptions made. The broker isn't
queried.
"""

from typing import TYPE_CHECKING, Annotated

import typer

from commands.shared.completion import symbols
from commands.shared.declaration import VerbPurpose
from commands.shared.span_options import Since, span_of
from commands.shared.verb_options import Report, on_bot

if TYPE_CHECKING:
    from tradebot.app.wiring import App


@on_bot(
    "fills",
    VerbPurpose.LOOK,
    110,
    {"fills/1": ("commands.fills.report:Fills",)},
    epilog="tradebot fills\ntradebot fills AAPL --since session",
)
def fills(
    bot: "App",
    symbol: Annotated[str | None, typer.Argument(help="Show only this symbol.", autocompletion=symbols)] = None,
    since: Since = None,
    midpoints: Annotated[
        bool, typer.Option("--midpoints", help="Also show slippage at sending and on arrival, and the differences.")
    ] = False,
) -> Report:
    """Show fills, and the slippage of each.

    Slippage is against the midpoint of bid and ask when the order was decided on; --midpoints adds the other two: when
    it was sent, and when a pass first saw it at the broker. A cost is positive on either side of the market. Reads the
    bot's own books, without contacting the broker.
    """
    from commands.fills.report import run

    span = span_of(None, since) if since else None
    return run(bot, span, symbol, midpoints=midpoints)
