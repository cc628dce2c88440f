"""`tradebot recover`: rebuild the books from backup, journal and broker, and have a person accept them.

Nothing here can send an order, because no OrderPort is ever created.
"""

from typing import TYPE_CHECKING, Annotated

import typer

from commands.shared.declaration import VerbPurpose
from commands.shared.verb_options import (
    AccountTail,
    Report,
    caller,
    on_bot,
    opened_as_found,
)

if TYPE_CHECKING:
    from tradebot.app.wiring import App


@on_bot(
    "recover",
    VerbPurpose.OPERATE,
    240,
    {"recover/1": ("commands.recover.run:Recovered",)},
    epilog="tradebot recover\ntradebot recover --accept rebuilt-1a2b3c4d",
    opens=opened_as_found,
)
def recover(
    bot: "App",
    accept: Annotated[str | None, typer.Option("--accept", metavar="NAME", help="Accept these rebuilt books.")] = None,
    confirmed: AccountTail = None,
) -> Report:
    """Rebuild damaged books from backup, journal and broker.

    Entries stay closed until you accept the rebuilt books with --accept.
    """
    from commands.recover.run import run

    return run(bot, by=caller(), accept=accept, confirmed=confirmed)
