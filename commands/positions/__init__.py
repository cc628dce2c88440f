"""`tradebot positions`: show positions and how far each exit rule is from closing them. The broker isn't queried."""

from typing import TYPE_CHECKING

from commands.shared.declaration import VerbPurpose
from commands.shared.verb_options import Report, on_bot

if TYPE_CHECKING:
    from tradebot.app.wiring import App


@on_bot(
    "positions",
    VerbPurpose.LOOK,
    90,
    {"positions/1": ("commands.positions.report:Positions",)},
    epilog="tradebot positions\ntradebot positions --json",
)
def positions(bot: "App") -> Report:
    """Show open positions and how far each is from its exits.

    Also shows the state of each position, and which stop and target rest for it at the broker. Reads the bot's own
    books, without contacting the broker.
    """
    from commands.positions.report import run

    return run(bot)
