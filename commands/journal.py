"""`tradebot journal verify`: check the journal's hash chain and report where it breaks."""

from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from msgspec import Struct

from commands.shared.declaration import VerbPurpose, group
from commands.shared.times import when
from commands.shared.verb_options import Report, on_bot, opened_as_found
from tradebot.adapters.ledger.journal_reader import JournalContent, read
from tradebot.adapters.state.state_folder import JOURNAL, REBUILD
from tradebot.adapters.text.canonical import parse_time
from tradebot.errors import ExitCode, TradebotError
from tradebot.model.sentences import pluralize
from tradebot.model.struct_tools import replace

if TYPE_CHECKING:
    from rich.console import Console

    from tradebot.app.wiring import App

group("journal", "Verify the journal of money records.")
SHOWN = 20


class Broken(Struct, frozen=True):
    """A place where the chain breaks: the line (from 1), its byte offset, and the error."""

    line: int
    offset: int
    problem: str


class Verified(Struct, frozen=True):
    """A journal that was read to its end: the number of complete lines, and how many of them are intact (`whole`).

    `torn_bytes` is the length of an incomplete last line, which a crash leaves behind and which isn't damage. `ledger`
    says how the ledger disagrees with this journal. It is None if they agree, or if the user named a file.
    """

    path: str
    lines: int
    whole: int
    last_record: int | None
    last_at: datetime | None
    torn_bytes: int
    breaks: tuple[Broken, ...]
    ledger: str | None


def run(bot: "App", file: str | None) -> Report:
    """Check a journal and compare it with the ledger; exit 10 if the chain or the ledger disagrees."""
    path = Path(file) if file else bot.folder.path / JOURNAL
    content, ledger = read(path), None if file else _ledger_says(bot)
    if content.breaks and not file and not ledger:
        # The ledger needs no record from there on: they were never synced, and the next writer sets them aside.
        content = replace(read(path, content.breaks[0].offset), torn=path.stat().st_size - content.breaks[0].offset)
    data = _data(path, content, ledger)
    code = ExitCode.FINDINGS if data.breaks or data.ledger else ExitCode.DONE
    return Report("journal-verify", data, _render, code)


def _data(path: Path, journal_content: "JournalContent", ledger: str | None) -> Verified:
    last = journal_content.last
    breaks = tuple(Broken(*broken) for broken in journal_content.breaks)
    return Verified(
        path=str(path),
        lines=journal_content.lines,
        whole=journal_content.whole,
        last_record=last.head.sequence if last else None,
        last_at=parse_time(last.at) if last else None,
        torn_bytes=journal_content.torn,
        breaks=breaks or (() if last else (Broken(1, 0, "it has no records"),)),
        ledger=ledger,
    )


def _ledger_says(bot: "App") -> str | None:
    try:
        bot.ledger_view.file.check_journal()
    except TradebotError as differs:
        return differs.message
    return None


def _render(console: "Console", data: Verified) -> None:
    from rich.markup import escape

    console.print(
        f"{data.path}: {pluralize(data.lines, 'line')}, {pluralize(data.whole, 'intact record')}", markup=False
    )
    if data.torn_bytes:
        console.print(
            f"  it ends in {pluralize(data.torn_bytes, 'byte')} of an incomplete record, which a crash leaves behind"
        )
    for broken in data.breaks[:SHOWN]:
        console.print(f"  [red]broken[/red] at line {broken.line}, byte {broken.offset}: {escape(broken.problem)}")
    if len(data.breaks) > SHOWN:
        console.print(f"  … and at {pluralize(len(data.breaks) - SHOWN, 'more line')}")
    if data.ledger:
        console.print(f"  the ledger says: {data.ledger}", markup=False)
    if data.breaks or data.ledger:
        console.print(f"Next: {REBUILD}", markup=False)
        return
    at = data.last_at and when(data.last_at)
    console.print(f"[green]The hash chain is intact[/green] up to record {data.last_record:,} ({at})")


@on_bot(
    "journal verify",
    VerbPurpose.OPERATE,
    250,
    {"journal-verify/1": (Verified,)},
    epilog="tradebot journal verify\ntradebot journal verify FILE  # a copy",
    opens=opened_as_found,
)
def _verify(
    bot: "App",
    file: Annotated[str | None, typer.Argument(help="Another journal file, from a backup or the quarantine.")] = None,
) -> Report:
    """Verify the journal's hash chain.

    If the chain is broken, it names the first bad record.
    """
    return run(bot, file)
