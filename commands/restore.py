"""`tradebot restore`: restore the books from one backup; the current books move to the quarantine.

Nothing here can send an order, because no OrderPort is ever created.
"""

import os
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from commands.backup import offsite_storage
from commands.recover import hold_all_locks, rebuild_and_compare, report_of
from commands.shared.completion import backups as backup_names
from commands.shared.declaration import VerbPurpose, verb
from commands.shared.verb_options import (
    AccountTail,
    Config,
    Json,
    Report,
    StateDir,
    caller,
    confirm_for,
    finish,
    identity,
    opened_as_found,
)
from tradebot.adapters.recovery import backups, offsite_copy
from tradebot.adapters.state import folder_identity, state_folder
from tradebot.adapters.state.state_folder import resolve
from tradebot.errors import OperatorError
from tradebot.model.struct_tools import replace

if TYPE_CHECKING:
    from tradebot.app.wiring import App


def run(app: "App", name: str, *, by: str, confirmed: str | None) -> Report:
    """Verify a backup, rebuild the books from it alone, and compare them with the broker.

    Exit 10 if something couldn't be proven. Raises OperatorError: exit 2 for an unknown or damaged backup, and without
    a confirmation; 3 with a wrong one.
    """
    from commands.shared.checklist import RESTORED

    backup = backups.verify_backup(app.folder, name)
    what = f"Replacing the books with {backup.path.name}"
    confirm_for(app, confirmed, what=what, command=f"tradebot restore {backup.path.name}")
    with hold_all_locks(app, "restore"):
        data = rebuild_and_compare(app, f"restored from {backup.path.name}", by, backup.path)
        at = app.stamp_time()
        app.ledger.claim_slot(RESTORED, at.date(), backup.path.name, by, at)
    return report_of(app, "restore", data)


def fetch_backup(path: Path, source: str, name: str | None) -> str:
    """Fetch a backup from another location, and return its name.

    A folder without a bot becomes the folder of the backed-up bot. Raises TradebotError if there is no such backup, if
    it can't be read, or if the folder has other contents.
    """
    offsite_store, is_new = offsite_storage(source), not state_folder.has_marker(path)
    backup, owner = offsite_copy.select_backup(offsite_store, name), None if is_new else state_folder.read_marker(path)
    if is_new:
        state_folder.prepare(path)
    offsite_copy.fetch(path / state_folder.BACKUPS, offsite_store, backup, owner)
    if is_new:
        folder_identity.mark_again(path, path / state_folder.BACKUPS / backup / state_folder.MARKER)
    return backup


@verb(
    "restore",
    VerbPurpose.OPERATE,
    230,
    {"restore/1": ("commands.recover:Recovered",)},
    epilog="tradebot restore 20261116T210000Z-session-2026-11-16\ntradebot restore --from /mnt/usb/tradebot",
)
def restore(
    backup: Annotated[
        str | None, typer.Argument(help="Name of a backup, as `backup --list` shows it.", autocompletion=backup_names)
    ] = None,
    source: Annotated[
        str | None, typer.Option("--from", metavar="PLACE", help="Restore from where backup --to copied it [newest].")
    ] = None,
    confirmed: AccountTail = None,
    state_dir: StateDir = None,
    config: Config = None,
    as_json: Json = False,
) -> None:
    """Restore the books from a backup.

    The current books are moved to the quarantine folder; nothing is deleted. With --from, it works on a machine that
    has no bot yet, and creates the folder. A backup doesn't contain your configuration or your keys.
    """
    if source is not None:
        backup = fetch_backup(resolve(state_dir, os.environ), source, backup)
    if backup is None:
        raise OperatorError("restore needs the name of a backup, or --from", "tradebot backup --list")
    with opened_as_found(state_dir, config) as bot:
        report = run(bot, backup, by=caller(), confirmed=confirmed)
        report = replace(report, bot_identity=identity(bot))
    finish(report, as_json)
