"""`tradebot restore`: restore the books from one backup; the current books move to the quarantine.

Nothing here can send an order, because no OrderPort is ever created.
"""

from typing import TYPE_CHECKING, Annotated

import typer

from commands.shared.completing import backups as backup_names
from commands.shared.surface import VERBS, AccountTail, Report, caller, confirm_for, on_bot, opened_as_found

if TYPE_CHECKING:
    from tradebot.app.wiring import App


def run(app: "App", name: str, *, by: str, confirmed: str | None) -> Report:
    """Verify a backup, rebuild the books from it alone, compare them with the broker; exit 10 if anything is unproven.

    Raises OperatorError: exit 2 for an unknown or damaged backup, and without a confirmation.
    """
    from commands.recover.verb import at_rest, remade, report_of
    from commands.shared.checklist import RESTORED
    from tradebot.adapters.recovery import backups

    found = backups.verified(app.folder, name)
    what = f"Replacing the books with {found.path.name}"
    confirm_for(app, confirmed, what=what, command=f"tradebot restore {found.path.name}")
    with at_rest(app, "restore"):
        data = remade(app, f"restored from {found.path.name}", by, found.path)
        at = app.stamp_time()
        app.ledger.claim_slot(RESTORED, at.date(), found.path.name, by, at)
    return report_of(app, "restore", data)


@on_bot(VERBS, "restore", epilog="tradebot restore 20261116T210000Z-session-2026-11-16", opens=opened_as_found)
def restore(
    bot: "App",
    backup: Annotated[
        str, typer.Argument(help="Name of a backup, as `backup --list` shows it.", autocompletion=backup_names)
    ],
    confirmed: AccountTail = None,
) -> Report:
    """Restore the books from a backup.

    The current books are moved to the quarantine folder; nothing is deleted.
    """
    return run(bot, backup, by=caller(), confirmed=confirmed)
