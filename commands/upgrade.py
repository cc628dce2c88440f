"""`tradebot upgrade`: list and make the changes that this version requires in files of other versions."""

import os
import sqlite3
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing
from typing import TYPE_CHECKING, Annotated

import typer
from msgspec import Struct

from commands.doctor.machine import CheckResult, attempt, bad, ok, skip, warn
from commands.shared.declaration import VerbPurpose, verb
from commands.shared.light_helpers import Identity
from commands.shared.verb_options import Config, Json, Report, StateDir, finish
from tradebot import __version__
from tradebot.adapters.bars import store as bars
from tradebot.adapters.chat.store import ChatStore
from tradebot.adapters.facts import recorded_passes
from tradebot.adapters.facts import schema as facts
from tradebot.adapters.ledger.downgrade import restore_previous_version
from tradebot.adapters.ledger.journal_reader import last_record
from tradebot.adapters.ledger.migration import LedgerVersion, version_of
from tradebot.adapters.ledger.schema import FORM, open_database, translate_errors
from tradebot.adapters.notices.outbox import Outbox
from tradebot.adapters.state import state_folder, state_locks
from tradebot.adapters.state.approvals import SqliteApprovals
from tradebot.adapters.state.cache_database import CacheDatabase, DamagedError
from tradebot.adapters.state.state_folder import JOURNAL, LEDGER, STORES, StateFolder
from tradebot.app.loading import Options, load_for
from tradebot.errors import ExitCode
from tradebot.judging.judgment import HealthState, Judgment, worst_state
from tradebot.model.sentences import pluralize

if TYPE_CHECKING:
    from pathlib import Path

    from rich.console import Console

    from tradebot.app.settings import Loaded

SHOWN = 5


class Upgraded(Struct, frozen=True):
    """The version of this program, its change to the ledger (empty if none), and a judgment about each file.

    A file is OK if this version writes the same format, DEGRADED if it will be changed or recreated, and FAILED if this
    version can't read it. `state` is the worst of these states.
    """

    state_dir: str
    version: str
    done: str
    state: "HealthState"
    judgments: "tuple[Judgment, ...]"


def run(options: "Options", environ: Mapping[str, str], *, check: bool, form: "LedgerVersion | None" = None) -> Report:
    """Upgrade the ledger, or restore the copy from before an upgrade, and then check each file.

    With `check`, only check the files. Exits with 10 if a file can't be read. Raises OperatorError if there is no bot,
    or with exit 6 if another process is running.
    """
    form, folder = form or FORM, state_folder.open_state(state_folder.resolve(options.state_dir, environ), environ)
    done = "" if check else _bring(folder.path, form)
    rows = tuple(files(folder, form, lambda: load_for(folder, options, environ)))
    state = worst_state(rows)
    data = Upgraded(str(folder.path), __version__, done, state, rows)
    code = ExitCode.FINDINGS if state is HealthState.FAILED else ExitCode.DONE
    return Report("upgrade", data, _render, code, Identity(folder.mode, folder.venue, folder.tail))


def _bring(folder: "Path", form: "LedgerVersion") -> str:
    path = folder / LEDGER
    with state_locks.hold_all(folder, "upgrade", serve_wait_s=0.0), translate_errors(path):
        copy = restore_previous_version(folder, form)
        if copy is not None:
            return f"restored {copy.name}; the upgraded ledger is stored next to it"
        before = _version(path)
        open_database(path, read_only=False, form=form).close()
    return "" if before == form.version else f"upgraded the ledger from version {before} to {form.version}"


def files(folder: "StateFolder", form: "LedgerVersion", load: "Callable[[], Loaded]") -> "Iterator[Judgment]":
    """Yield a judgment about each file whose format may differ between versions; nothing is changed.

    `load` returns the settings, or raises OperatorError if they can't be read.
    """
    path = folder.path
    yield attempt("ledger", lambda: _ledger(path / LEDGER, form))
    yield attempt("journal", lambda: _journal(path / JOURNAL))
    for name, kind in _stores().items():
        yield attempt(name, _looking(path / name, kind))
    yield attempt("settings", lambda: _settings(folder, load()))


def _version(path: "Path") -> int:

    with closing(sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True)) as database:
        return version_of(database)


def _ledger(path: "Path", form: "LedgerVersion") -> "CheckResult":
    """Check the ledger; a reader of an earlier one upgrades a copy in memory, so that the upgrade is tested, too."""
    with translate_errors(path):
        open_database(path, read_only=True, form=form).close()
        old = _version(path)
    if old == form.version:
        return ok(f"version {old}, as this tradebot writes it", "file")
    change = f"version {old}; this tradebot upgrades it to {form.version} (new: {form.says_from(old)})"
    copy_text = f"and stores {path.name}-version-{old} next to it; the upgrade of a copy worked"
    return warn(f"{change} {copy_text}", "Stop the bot, then: tradebot upgrade", "file")


def _journal(path: "Path") -> "CheckResult":
    last = last_record(path)
    if last is None:
        return bad("its last record can't be read by this version", "tradebot journal verify", "record")
    return ok(f"its last record, {last.head.sequence:,}, is in the format that this tradebot writes", "record")


def _stores() -> "Mapping[str, CacheDatabase]":
    from tradebot.adapters.flow import reply_archive

    of_people = Outbox.FILE, SqliteApprovals.FILE, ChatStore.FILE
    kinds = (facts.FILE, bars.FILE, reply_archive.FILE, *of_people, recorded_passes.FILE)
    return dict(zip(STORES, kinds, strict=True))


def _looking(path: "Path", kind: "CacheDatabase") -> "Callable[[], CheckResult]":
    return lambda: _store(path, kind)


def _store(path: "Path", kind: "CacheDatabase") -> "CheckResult":
    if not path.exists():
        return skip("there is none yet")
    try:
        old = kind.version_at(path)
    except DamagedError as damage:
        return warn(f"damaged: {damage}", "tradebot doctor", "file")
    if old == kind.version:
        return ok(f"version {old}, as this tradebot writes it", "file")
    what = "no file of this kind" if old is None else f"version {old}"
    aside = f"{what}; this tradebot reads {kind.version}, so it moves the file aside and starts without it"
    return warn(
        f"{aside} {kind.holds}", f"cp -a {path}* ELSEWHERE first, if you may go back to the earlier version", "file"
    )


def _settings(folder: "StateFolder", loaded: "Loaded") -> "CheckResult":
    """Check the settings: this version must be able to read them, and may have some that nobody has accepted."""
    from commands.config.current_config import differences_of

    differ = differences_of(folder, loaded)
    if differ is None:
        return skip("readable; no accepted settings to compare with")
    looser = [row.name for row in differ if row.looser]
    if not looser:
        return ok("readable, and none is looser than accepted", "file")
    finding = (
        f"{pluralize(len(looser), 'setting is', 'settings are')} new or looser than accepted, so entries wait: "
        f"{', '.join(looser[:SHOWN])}"
    )
    return warn(finding, "tradebot config check, then tradebot config accept", "file")


def _render(console: "Console", data: Upgraded) -> None:
    from commands.shared.tables import table

    console.print(f"tradebot {data.version} on {data.state_dir}", markup=False)
    if data.done:
        console.print(f"Done: {data.done}", markup=False)
    console.print(table(data.judgments))


@verb(
    "upgrade",
    VerbPurpose.OPERATE,
    260,
    {"upgrade/1": (Upgraded,)},
    epilog="tradebot upgrade --check  # changes nothing\ntradebot upgrade",
)
def upgrade(
    check: Annotated[bool, typer.Option("--check", help="Only show what would be changed.")] = False,
    state_dir: StateDir = None,
    config: Config = None,
    as_json: Json = False,
) -> None:
    """Upgrade the ledger to the format of this version.

    A copy of the ledger is stored first. If a newer version has upgraded the ledger, it is replaced by the copy from
    before that upgrade, provided that the copy has every record. The bot must be stopped, except with --check. Exits
    with code 10 if a file can't be read.
    """
    finish(run(Options(state_dir, config), os.environ, check=check), as_json)
