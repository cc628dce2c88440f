"""Create a bot: its folder, its books and, for the sandbox, its market. Sandbox and paper bots are armed right away."""

import hashlib
import os
import re
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING, Any

from msgspec import Struct

from commands.init.profiles import (
    SHIPPED_PROFILE,
    invented_symbols_note,
    market_notes,
    profile_file,
    require_strategies,
)
from commands.shared.calendar import require
from commands.shared.light_helpers import Identity, note
from commands.shared.times import show_venue, when
from commands.shared.verb_options import Report, caller
from tradebot.adapters.ledger.ledger import SqliteLedger
from tradebot.adapters.recovery import interrupted_init
from tradebot.adapters.state import halt_switch, state_folder, state_locks
from tradebot.adapters.state.state_folder import EXCHANGE, option, write_durably
from tradebot.adapters.text.redaction import hide_keys
from tradebot.adapters.text.yaml_edit import in_lines
from tradebot.adapters.text.yaml_loader import load_yaml, read_text
from tradebot.app import sandbox
from tradebot.app.baseline import effective
from tradebot.app.keys import load_secrets
from tradebot.app.loading import DEMO_OPTIONS, USER_FILE, Options, user_file
from tradebot.app.settings import Settings, configured_modes, load, merge
from tradebot.app.venue_connection import first_look
from tradebot.app.venues import EARLIER
from tradebot.errors import OperatorError
from tradebot.model.sentences import pluralize
from tradebot.model.trading import Baseline, Mode, mode_name

if TYPE_CHECKING:
    from rich.console import Console

    from tradebot.model.account import Account
    from tradebot.model.bar import VenueClock


class BotCreated(Struct, frozen=True):
    """The new bot; times are trading time, cash in USD.

    `copied_from` is the file that its configuration, `tradebot.yaml` in its folder, was copied from.
    """

    state_dir: str
    mode: str
    venue: str
    account_tail: str
    cash: Decimal
    now: datetime
    symbols: int
    armed: bool
    shadow: bool
    notes: tuple[str, ...]
    copied_from: str | None


def run(
    state_dir: str | None, config: str | None, kind: str, flags: dict[str, Any], profile: str = SHIPPED_PROFILE
) -> Report:
    """Create a bot. Everything is checked before anything is written, including a real broker."""
    path = state_folder.resolve(state_dir, os.environ)
    refuse_marked(path)
    file = user_file(Options(state_dir, config), path, os.environ)
    refuse_other_mode(path, flags["mode"], file)
    start = profile_file(profile, file, flags) or to_copy(file, path)
    settings = load(start or file, os.environ, flags).settings
    require_strategies(profile, settings)
    if settings.mode == "sandbox":
        sandbox.market_spec(settings, every_symbol=settings.sandbox.source != "generated")
    look = None if settings.mode == "sandbox" else first_look(path, settings, os.environ)
    if look is not None:
        # Books that begin on a wrong day would ignore everything that the broker dates before it.
        require(look[0], datetime.now(UTC), settings)
    with setting_up(path, "init"):
        return create_bot(path, settings, kind, flags, look, start)


def refuse_other_mode(path: Path, mode: str, file: Path | None) -> None:
    """Raise OperatorError if a mode contradicts the environment or a file; later verbs would refuse the folder."""
    for other, where, remedy in configured_modes(os.environ, file):
        if other in set(Mode) and other != mode:
            message = f"{where} says {other}, but you asked for mode {mode}"
            raise OperatorError(message, f"tradebot init --mode {other} {option(path)}, or {remedy}")


@contextmanager
def setting_up(path: Path, verb: str) -> Iterator[None]:
    """Create the folder and lock it, so that only one process sets it up; a second one raises an error."""
    state_folder.prepare(path)
    with state_locks.hold(path, verb, wait_s=0.0, name=state_locks.SETUP_LOCK):
        yield


def refuse_marked(path: Path) -> None:
    """Raise OperatorError if the folder already contains a bot."""

    if state_folder.has_marker(path):
        raise OperatorError(
            f"{path} is a state folder already",
            f"see tradebot status {state_folder.option(path)}, or name another folder",
        )


def create_bot(
    path: Path,
    settings: "Settings",
    kind: str,
    flags: dict[str, Any],
    look: "tuple[VenueClock, Account] | None" = None,
    start: Path | None = None,
) -> Report:
    """Create a bot in a locked folder. The marker is written last: without it, a folder doesn't count as a bot's.

    `look` is a real broker's clock and account; the embedded exchange's are read once its market exists. `start` is the
    file that the bot's own configuration is copied from, if any.
    """
    refuse_marked(path)
    show_venue(settings.day)
    is_demo = kind == "demo"
    if start or (len(flags) > 1 and not is_demo):
        refuse_foreign_settings(path, start)
    _set_leftovers_aside(path)
    accepted, remarks = settings, invented_symbols_note(settings, flags.get("universe", ()))
    if settings.mode == "sandbox":
        universe = make_market(path, settings, flags)
        same = universe == list(settings.universe)
        settings = settings.model_copy(update={"universe": universe})
        if "sandbox" in flags and not (start and same):
            flags, accepted = flags | {"universe": universe}, settings
    books = _make(path, accepted, kind, *(look or first_look(path, settings, os.environ)))
    if is_demo:
        keep_options_of_demo(path, flags)
        if start:
            copy_for_demo(path, start)
    elif start or len(flags) > 1:
        write_initial_configuration(path, flags, start)
    state_folder.create(path, settings.mode, books.number, kind, books.at, settings.venue)
    return _report(path, settings, books, start, remarks)


def _set_leftovers_aside(path: Path) -> None:
    """Move aside the leftovers of an earlier run that was interrupted before its books were used."""
    if interrupted_init.has_unused_books(path):
        sandbox.stop(path / state_folder.EXCHANGE)
        aside = state_folder.set_aside(path, interrupted_init.MOVED_NAMES)
        state_folder.prepare(path)
        note(f"note: unused files that an interrupted run left in {path} were moved to {aside}")


def _report(path: Path, settings: "Settings", books: "_Books", start: Path | None, remarks: tuple[str, ...]) -> Report:
    data = BotCreated(
        state_dir=str(path),
        mode=mode_name(settings.mode, shadow=settings.shadow),
        venue=settings.venue,
        account_tail=books.number[-4:],
        cash=books.cash,
        now=books.at,
        symbols=len(settings.universe),
        armed=books.armed,
        shadow=settings.shadow,
        notes=(*remarks, *market_notes(path)) if settings.mode == "sandbox" else (),
        copied_from=str(start) if start else None,
    )
    return Report("init", data, render, bot_identity=Identity(data.mode, data.venue, data.account_tail))


def make_market(path: Path, settings: "Settings", flags: dict[str, Any]) -> list[str]:
    """Create the embedded exchange's market and return the bot's universe in it.

    With recorded bars, the universe consists of the market's symbols, unless the configuration names futures roots.
    """
    recorded = settings.sandbox.source != "generated"
    symbols = sandbox.create(path / EXCHANGE, settings, every_symbol=recorded and "universe" not in flags)
    # Roots refer to a file's contracts one after the other.
    has_roots = any(sandbox.is_root(settings.venue, name) for name in settings.universe)
    return list(symbols if recorded and not has_roots else settings.universe)


class _Books(Struct, frozen=True):
    number: str
    cash: Decimal
    at: datetime
    armed: bool


def _make(path: Path, settings: "Settings", kind: str, clock: "VenueClock", account: "Account") -> _Books:
    """Create the books of the broker's account, with these settings as the accepted ones.

    A live bot is armed here only in shadow mode. That doesn't allow real orders: once shadow mode ends, permission
    stays closed until `live arm`.
    """
    ledger = SqliteLedger.create(path, account.number, clock.now)
    ledger.open_books(account.cash, clock.now, account.settlement)
    ledger.baselines.approve(Baseline(effective(settings), f"{kind} {caller()}", clock.now))
    ledger.close()
    armed = settings.mode is not Mode.LIVE or settings.shadow
    if armed:
        halt_switch.arm(path, f"{kind} {caller()}", clock.now)
    return _Books(account.number, account.cash, clock.now, armed)


def render(console: "Console", created: BotCreated) -> None:
    """Print the new bot."""
    from rich.markup import escape

    where, identity = (
        escape(str(created.state_dir)),
        Identity(created.mode, created.venue, created.account_tail).venue_and_account,
    )
    console.print(f"Created [bold]{where}[/bold]: mode {created.mode}, {identity}")
    console.print(
        f"  cash {created.cash:,.2f} USD, {pluralize(created.symbols, 'symbol')}, trading time {when(created.now)}"
    )
    console.print(f"  {_permission_text(created)}")
    if created.copied_from:
        console.print(f"  its configuration: tradebot.yaml in that folder, a copy of {escape(created.copied_from)}")
        console.print("  Later commands read the copy, unless --config or TRADEBOT_CONFIG names another file.")
    for remark in created.notes:
        console.print(f"  {remark}", markup=False, highlight=False)
    console.print("Next: tradebot reconcile", markup=False)


def _permission_text(bot_created: BotCreated) -> str:
    if bot_created.shadow:
        return "in shadow mode: everything is decided and recorded, but no orders are sent"
    if bot_created.armed:
        return "armed: entries may be sent"
    return "not armed: no orders are sent; tradebot live status shows what live trading needs"


WRITTEN = "# Written by init ("
OF_DEMO = "# Settings from the options of the last demo; the next demo replaces them. Yours go into tradebot.yaml.\n"


def to_copy(file: Path | None, path: Path) -> Path | None:
    """Return the configuration file to copy for a new bot; None if it is the bot's own file already.

    Raises OperatorError if it contains a key, which must not be copied.
    """
    if file is None or file.absolute() == (path / USER_FILE).absolute():
        return None
    # An unknown venue is reported when the file is loaded.
    with suppress(ValueError):
        load_secrets(os.environ, None, str(load_yaml(file).get("venue", EARLIER)))
    text = _text(file)
    if hide_keys(text) != text:
        message = f"{file} contains one of your keys, and init would copy it into {path}"
        raise OperatorError(message, f"remove the key from {file}: keys belong in the environment or in .env")
    return file


def refuse_foreign_settings(path: Path, start: Path | None) -> None:
    """Raise OperatorError if the options, or a copied file, would overwrite a configuration that a person wrote."""
    own, what = path / USER_FILE, start or "the options"
    if own.exists() and not written_here(own):
        raise OperatorError(
            f"{own} is your own file, and init would have to overwrite it with {what}",
            f"put the settings into that file and name no other file, or move it: mv {own} {own}.mine",
        )


def write_initial_configuration(path: Path, flags: dict[str, Any], start: Path | None) -> None:
    """Write a new bot's configuration file into its folder, with the options merged in.

    The file keeps its comments, unless an option belongs in one of its sections.
    """
    options, text = {key: value for key, value in flags.items() if key != "mode"}, ""
    if start is not None:
        values, text = load_yaml(start), _text(start)
        if values.keys() & options:
            merge(values, options)
            options, text = values, ""
    text += in_lines(options) if options else ""
    write_durably(path / USER_FILE, _first_line(text) + text)


def keep_options_of_demo(path: Path, flags: dict[str, Any]) -> None:
    """Write the options of a demo into a separate file next to the user's own."""
    if options := {key: value for key, value in flags.items() if key != "mode"}:
        write_durably(path / DEMO_OPTIONS, OF_DEMO + in_lines(options))


def copy_for_demo(path: Path, start: Path) -> None:
    """Copy another bot's configuration for a demo, regardless of that bot's mode."""
    text = re.sub(r"^mode:.*\n?", "", _text(start), flags=re.MULTILINE)
    write_durably(path / USER_FILE, _first_line(text) + text)


def _text(file: Path) -> str:
    text = read_text(file)
    if text.startswith(WRITTEN):
        text = text.partition("\n")[2]
    return text if text.endswith("\n") else f"{text}\n"


def written_here(path: Path) -> bool:
    """Return True if a configuration is unchanged since `init` wrote it."""
    first, newline, rest = path.read_bytes().partition(b"\n")
    return first + newline == _first_line(rest.decode(errors="replace")).encode()


def _first_line(text: str) -> str:
    """Return the first line of a configuration written by `init`; its digest shows whether a person edited it."""
    digest = hashlib.sha256(text.encode()).hexdigest()[:12]
    return f"{WRITTEN}{digest}); overrides the shipped configuration; config/base.yaml explains every value.\n"
