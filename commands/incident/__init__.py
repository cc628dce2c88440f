"""`tradebot incident`: pack all data about a pass or an order into one file to share."""

import os
from datetime import datetime
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from msgspec import Struct

from commands.incident.gather import NONE, IncidentSubject, file_parts, found_of, pack_pass, redactor_of, versions
from commands.shared.declaration import VerbPurpose
from commands.shared.light_helpers import clean, note, say
from commands.shared.times import when
from commands.shared.verb_options import Report, on_bot, opened_as_found
from tradebot.adapters.state.evidence import BACKTEST
from tradebot.adapters.state.incident_file import content_of
from tradebot.app.what_if_rules import rules_of_record
from tradebot.errors import OperatorError
from tradebot.model.sentences import pluralize
from tradebot.replaying.record_writer import RecordError

if TYPE_CHECKING:
    from rich.console import Console

    from tradebot.adapters.text.handed_over import IdentityRedactor
    from tradebot.app.wiring import App

UNREAD = "the records of passes can't be read; tradebot health says what to do"
OLD = "its record isn't stored; storage.replay_sessions sets how many sessions' records are kept"
OF_BACKTEST = "a backtest stores no records; tradebot replay, in the backtest's folder, plays it again"


HIDDEN = (
    "Keys, account numbers, hosts, addresses and home paths are hidden. Symbols, amounts and your own words aren't. It "
    "is plain text: look through it before you send it."
)


class PartRow(Struct, frozen=True):
    """One part of the file: its name and its length."""

    name: str
    bytes: int


class Incident(Struct, frozen=True):
    """The file: its length, its digest, and its contents.

    `pass_id` and `order` are the ids in the bot's folder; in the file, orders have other ids. `replay` is `equal` if
    replaying the pass gave the recorded decisions, `differs` if not, and `none` if it can't be replayed. `why` is the
    difference or the obstacle. `lacking` lists unreadable data.
    """

    file: str
    bytes: int
    sha256: str
    pass_id: str
    order: str | None
    at: datetime | None
    replay: str
    why: str
    parts: tuple[PartRow, ...]
    lacking: tuple[str, ...]


def run(app: "App", what: str, out: str, *, force: bool = False) -> Report:
    """Write the incident's file, or to stdout for `-`; an existing file is only replaced with `force`.

    Raise OperatorError for an unknown id, or if the file can't be written.
    """
    from commands.shared.files import STDOUT, open_replacement

    if os.path.isfile(out) and Path(out) != STDOUT and not force:
        raise OperatorError(f"{clean(out)} exists already, and is left unchanged", "name another file, or add --force")
    incident_subject = found_of(app, what)
    redactor = redactor_of(app, incident_subject, os.environ)
    replay, why, parts = _parts(app, incident_subject, redactor)
    content = content_of(parts)
    if Path(out) == STDOUT:
        say(content.decode().removesuffix("\n"))
        for lacking in incident_subject.lacking:
            note(f"left out: {lacking}")
        note(HIDDEN)
        raise typer.Exit
    with open_replacement(Path(out)) as file:
        file.write_bytes(content)
        file.chmod(0o600)
    rows = tuple(PartRow(name, len(content_of({name: part}))) for name, part in parts.items())
    digest = sha256(content).hexdigest()
    subject = incident_subject.pass_id, incident_subject.order, incident_subject.at
    data = Incident(out, len(content), digest, *subject, replay, why, rows, incident_subject.lacking)
    return Report("incident", data, _render)


def _parts(app: "App", subject: "IncidentSubject", redactor: "IdentityRedactor") -> tuple[str, str, dict[str, Any]]:
    replay, record = NONE, None
    why = OF_BACKTEST if app.folder.kind == BACKTEST else UNREAD if subject.unread else OLD
    if subject.kept:
        try:
            rules = lambda recorded: rules_of_record(recorded.surroundings)  # noqa: E731
            replay, why, record = pack_pass(app.passes, subject.kept, rules, redactor)
        except RecordError as error:
            why = redactor.text(str(error))
    about = {
        "pass": subject.pass_id,
        "order": subject.order,
        "at": subject.at and subject.at.isoformat(),
        "replay": replay,
    }
    whole = {**about, "why": why, "mode": app.mode_name, "venue": app.settings.venue, "versions": versions()}
    parts = {"about": redactor.tree({**whole, "lacking": list(subject.lacking)})}
    if record:
        parts["pass"] = record
    else:
        parts["settings"] = redactor.tree(app.settings.model_dump(mode="json", exclude_unset=True))
    parts.update((name, redactor.tree(part)) for name, part in file_parts(app, subject))
    return replay, why, parts


def _render(console: "Console", data: Incident) -> None:
    of_order = f"order {data.order} of " if data.order else ""
    at = f" ({when(data.at)})" if data.at else ""
    console.print(f"{data.file}: {of_order}pass {data.pass_id}{at}", markup=False)
    parts = ", ".join(row.name for row in data.parts)
    console.print(f"  {pluralize(data.bytes, 'byte')}: {parts}", markup=False)
    console.print(f"  SHA-256 {data.sha256}", markup=False)
    contents = {
        "equal": "replayed here, every decision came out the same; the file can be replayed on any machine",
        "differs": f"replayed here, decisions differ: {data.why}",
    }
    console.print(f"  {contents.get(data.replay, f'it cannot be replayed: {data.why}')}", markup=False)
    for lacking in data.lacking:
        console.print(f"  left out: {lacking}", markup=False, style="yellow")
    console.print(f"  {HIDDEN}", markup=False)
    if data.replay != "none":
        console.print(f"Next: tradebot replay {data.file}", markup=False)


@on_bot(
    "incident",
    VerbPurpose.LOOK,
    60,
    {"incident/1": (Incident,)},
    epilog="tradebot incident PASS --out incident.txt\ntradebot incident ORDER --out incident.txt",
    opens=opened_as_found,
)
def incident(
    bot: "App",
    what: Annotated[str, typer.Argument(metavar="PASS|ORDER", help="A pass or an order by its id.")],
    out: Annotated[str, typer.Option("--out", metavar="FILE", help="Where to write the file; - for stdout.")],
    force: Annotated[bool, typer.Option("--force", help="Replace a file that is there already.")] = False,
) -> Report:
    """Pack a pass or an order into a file to hand over.

    It contains everything that `replay` needs, the versions, the outcome of the pass's orders, and the logs around it.
    Keys, account numbers, hosts, addresses and home paths are hidden. It is plain text: look through it before you send
    it.
    """
    return run(bot, what, out, force=force)
