"""`tradebot unhalt`: allow entries again once the books and the broker agree and a person has confirmed.

An override, which needs a reason, ends the halt without that comparison (if the broker doesn't answer, for example).
Nothing else changes: every gate still checks reconciliation, permission and limits.
"""

import os
from typing import TYPE_CHECKING, Annotated

import typer

from commands.shared.declaration import VerbPurpose, changes_trading
from commands.shared.light_helpers import NO_REASON
from commands.shared.verb_options import AccountTail, Report, caller, on_bot
from tradebot.adapters.text.redaction import without_keys

if TYPE_CHECKING:
    from tradebot.app.wiring import App


@on_bot(
    "unhalt",
    VerbPurpose.OPERATE,
    20,
    {"unhalt/1": ("commands.unhalt.run:Unhalted",)},
    epilog='tradebot unhalt --reason "feed is back"',
)
@changes_trading
def unhalt(
    bot: "App",
    reason: Annotated[str, typer.Option("--reason", help="Reason to record.")] = NO_REASON,
    override: Annotated[
        bool, typer.Option("--override", help="Skip the comparison with the broker; needs --reason.")
    ] = False,
    confirmed: AccountTail = None,
) -> Report:
    """Resume trading after a halt.

    Requires books that agree with the broker's, and your confirmation.
    """
    from commands.unhalt.run import run

    reason = without_keys(reason, os.environ)
    return run(bot, by=caller(), reason=reason, confirmed=confirmed, override=override)
