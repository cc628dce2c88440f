"""`tradebot archive push`, `list` and `fetch`: store versions of market data, models and other files, identified by the
hash of their content.
"""

from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from msgspec import Struct

from commands.backup import offsite_storage, require_offsite_storage
from commands.shared.declaration import VerbPurpose, group, verb
from commands.shared.light_helpers import clean
from commands.shared.times import stamp
from commands.shared.verb_options import Json, Report, finish, on_bot
from tradebot.adapters.recovery import archive
from tradebot.adapters.recovery.archive import versions
from tradebot.errors import ExitCode
from tradebot.model.sentences import pluralize
from tradebot.timetable.sessions import note_archived

if TYPE_CHECKING:
    from rich.console import Console

    from tradebot.app.wiring import App

group("archive", "Archive versions of data and models, and fetch them.")
SHORT = 12
Name = Annotated[str, typer.Argument(metavar="NAME", help="KIND/NAME, such as market_data/ES or models/sac/one.")]
To = Annotated[str, typer.Option("--to", metavar="PLACE", help="s3://BUCKET/PREFIX, or a folder.")]
From = Annotated[str, typer.Option("--from", metavar="PLACE", help="s3://BUCKET/PREFIX, or a folder.")]


class ArchivePushed(Struct, frozen=True):
    """The result of archiving: the name and version, the number of files and their size in bytes.

    `sent` counts the file contents that the storage didn't have yet.
    """

    name: str
    version: str
    files: int
    bytes: int
    sent: int
    place: str


class ArchiveRow(Struct, frozen=True):
    """An archived version, and when it was archived by the storage's clock.

    `problem` says why it can't be fetched; it is empty otherwise.
    """

    name: str
    version: str
    at: datetime
    files: int
    bytes: int
    problem: str


class Archived(Struct, frozen=True):
    """The archived versions in a storage, the newest first."""

    place: str
    versions: tuple[ArchiveRow, ...]


class ArchiveFetched(Struct, frozen=True):
    """The fetched version, and the folder with its files."""

    name: str
    version: str
    files: int
    bytes: int
    folder: str


def push_to_archive(bot: "App", name: str, source: Path, to: str) -> Report:
    """Archive a file or a folder; raise OperatorError or TemporaryError if it can't be archived."""
    archive.require_name(name)
    offsite_store = require_offsite_storage(bot, to)
    pushed, now = archive.push_files(source, name, offsite_store), bot.stamp_time()
    with bot.pass_lock("archive"):
        note_archived(bot.ledger, name, now)
    data = ArchivePushed(name, *pushed, offsite_store.where)
    return Report("archive-push", data, _render_pushed)


def list_archive(location: str, under: str) -> Report:
    """List the archived versions in a storage, which needs no bot; exit 10 if one can't be fetched."""
    data = Archived(
        location, tuple(ArchiveRow(*version) for version in versions(offsite_storage(location), under.strip("/")))
    )
    code = ExitCode.FINDINGS if any(row.problem for row in data.versions) else ExitCode.DONE
    return Report("archive-list", data, _render_listed, code)


def fetch(name: str, folder: Path, location: str, version: str | None) -> Report:
    """Fetch a version (None: the newest) into a new folder; raise OperatorError if any byte was changed."""
    archive.require_name(name)
    data = ArchiveFetched(name, *archive.fetch(offsite_storage(location), name, version, folder), str(folder))
    return Report("archive-fetch", data, _render_fetched)


def _render_pushed(console: "Console", data: ArchivePushed) -> None:
    size = f"{pluralize(data.files, 'file')}, {pluralize(data.bytes, 'byte')}"
    console.print(f"Archived {data.name} as {data.version[:SHORT]} in {data.place}", markup=False, soft_wrap=True)
    sent = f"{data.sent} sent and verified there" if data.sent else "everything was there already"
    console.print(f"  {size}; {sent}", markup=False)


def _render_listed(console: "Console", data: Archived) -> None:
    console.print(f"{pluralize(len(data.versions), 'version')} in {data.place}", markup=False, soft_wrap=True)
    for row in data.versions:
        size = row.problem or f"{pluralize(row.files, 'file')}, {pluralize(row.bytes, 'byte')}"
        line = f"  {stamp(row.at)}  {row.name} {row.version[:SHORT]}  {size}"
        console.print(clean(line), markup=False, soft_wrap=True, style="red" if row.problem else None)


def _render_fetched(console: "Console", data: ArchiveFetched) -> None:
    size = f"{pluralize(data.files, 'file')}, {pluralize(data.bytes, 'byte')}"
    console.print(f"Fetched {data.name} {data.version[:SHORT]} into {data.folder}", markup=False, soft_wrap=True)
    console.print(f"  {size}, every hash verified")


@on_bot(
    "archive push",
    VerbPurpose.OPERATE,
    200,
    {"archive-push/1": (ArchivePushed,)},
    epilog="tradebot archive push market_data/ES bars --to s3://lake/bots",
)
def _push(
    bot: "App",
    name: Name,
    source: Annotated[Path, typer.Argument(metavar="PATH", help="A file, or a folder with everything in it.")],
    to: To,
) -> Report:
    """Archive a file or a folder under the hash of its content.

    NAME is market_data/ROOT, models/AGENT/ID, features/NAME or backups/NAME. Content that is there already isn't sent
    again; all of it is read back. Nothing there is ever replaced or deleted.
    """
    return push_to_archive(bot, name, source, to)


@verb(
    "archive list",
    VerbPurpose.OPERATE,
    210,
    {"archive-list/1": (Archived,)},
    elsewhere=True,
    epilog="tradebot archive list --from s3://lake/bots\ntradebot archive list models --from /mnt/usb",
)
def _list(
    location: From,
    under: Annotated[str, typer.Argument(metavar="[KIND]", help="Only this KIND or KIND/NAME [all].")] = "",
    as_json: Json = False,
) -> None:
    """List the archived versions.

    Everything is read from the archive itself. Exits with code 10 if a version was changed there.
    """
    finish(list_archive(location, under), as_json)


@verb(
    "archive fetch",
    VerbPurpose.OPERATE,
    220,
    {"archive-fetch/1": (ArchiveFetched,)},
    elsewhere=True,
    epilog="tradebot archive fetch market_data/ES bars --from s3://lake/bots",
)
def _fetch(
    name: Name,
    folder: Annotated[Path, typer.Argument(metavar="FOLDER", help="Where to write it; the path must not exist yet.")],
    location: From,
    version: Annotated[str | None, typer.Option("--version", help="The first letters of a version [newest].")] = None,
    as_json: Json = False,
) -> None:
    """Fetch an archived version into a new folder.

    Each file is checked by its hash. The folder appears complete, or not at all.
    """
    finish(fetch(name, folder, location, version), as_json)
