"""Code shared by every verb: options, reports, and the conversion of errors to sentences and exit codes.

It has only fast imports, because every verb's help loads it.
"""

import json
import os
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, suppress
from datetime import UTC, date, datetime
from decimal import Decimal
from enum import Enum
from functools import wraps
from inspect import Parameter, Signature, signature
from typing import TYPE_CHECKING, Annotated, Any

import typer
from msgspec import Struct

from commands.shared.declaration import Prints, VerbPurpose, verb
from commands.shared.hints import QUOTED, aimed_all
from commands.shared.light_helpers import (
    NARROWEST,
    NOBODY,
    Identity,
    caller,
    confirm,
    document,
    note,
    print_error,
    say,
    say_parts,
)
from commands.shared.times import show_venue
from tradebot.adapters.state import folder_identity, state_folder
from tradebot.adapters.state.state_folder import StateFolder, read_marker
from tradebot.errors import DamagedMarkerError, ExitCode, TradebotError
from tradebot.model.struct_tools import replace, written_fields

if TYPE_CHECKING:
    from pathlib import Path

    from rich.console import Console

    from commands.shared.tables import Screen
    from tradebot.app.wiring import App
    from tradebot.model.event import SystemEvent
    from tradebot.model.instrument import Listing
    from tradebot.ports.world import Progress

__all__ = ["caller"]
"""`caller` is defined in `commands.shared.light_helpers`, because `halt` may not load this file."""

StateDir = Annotated[str | None, typer.Option("--state-dir", help="The bot's folder [TRADEBOT_STATE, ./state].")]
Config = Annotated[str | None, typer.Option("--config", help="Your configuration file [TRADEBOT_CONFIG].")]
Json = Annotated[bool, typer.Option("--json", help="Print one JSON document instead of text.")]
Explain = Annotated[bool, typer.Option("--explain", help="Show all rows, with definitions and sources.")]
AccountTail = Annotated[
    str | None, typer.Option("--confirm", help="Type the account's last four characters here if there is no terminal.")
]
DryRun = Annotated[bool, typer.Option("--dry-run", help="Decide everything, but send and record nothing.")]
ForceSlot = Annotated[
    bool, typer.Option("--force-slot", help="Run now, even if the slot was already used or the timetable has none.")
]

LONG = 1_000
"""How many rows are converted to text at a time. Converting a list of all fills at once would hold it in memory three
times.
"""
WIDTH = 100
"""The number of columns if neither a terminal nor COLUMNS gives one."""


class Report(Struct, frozen=True):
    """A verb's result, as text for people and as JSON for programs, with the bot that it is about."""

    verb: str
    data: Any
    render: "Callable[[Console, Any], None]"
    exit_code: ExitCode = ExitCode.DONE
    bot_identity: Identity = NOBODY

    def document(self) -> dict[str, Any]:
        """Return the versioned JSON document."""
        return document(self.verb, self.bot_identity, self.exit_code, jsonable(self.data))


def jsonable(value: object) -> Any:
    """Convert a value to JSON's types: decimals to text, times to UTC ending in Z, objects and mappings by name."""
    if isinstance(value, Enum):
        return value.value
    if isinstance(value, Decimal):
        return format(value, "f")
    if isinstance(value, datetime):
        return value.astimezone(UTC).isoformat().replace("+00:00", "Z")
    if isinstance(value, date):
        return value.isoformat()
    if isinstance(value, Struct):
        return {name: jsonable(getattr(value, name)) for name in written_fields(value)}
    if isinstance(value, Mapping):
        return {str(jsonable(key)): jsonable(item) for key, item in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        return [jsonable(item) for item in (sorted(value) if isinstance(value, set | frozenset) else value)]
    return value


def console(*, err: bool = False) -> "Screen":
    """Return a rich console with the terminal's colors and width.

    Without a terminal, it has no colors, and its width is COLUMNS or else 100.
    """
    from commands.shared.tables import Screen

    terminal, columns_setting = (sys.stderr if err else sys.stdout).isatty(), os.environ.get("COLUMNS", "")
    width = (
        int(columns_setting) if columns_setting.isascii() and columns_setting.isdigit() else None if terminal else WIDTH
    )
    screen = Screen(stderr=err, width=width, highlight=False, emoji=False, soft_wrap=False)
    screen.width = max(screen.width, NARROWEST)
    return screen


def finish(report: Report, as_json: bool, explain: bool = True) -> None:
    """Print a report and exit with its exit code."""
    if as_json:
        say_parts(_json_parts(report))
    else:
        show(report, explain)
    if report.exit_code:
        raise typer.Exit(int(report.exit_code))


def show(report: Report, explain: bool = True) -> None:
    """Print a report as text for people, in short form unless definitions are requested."""
    screen = console()
    screen.explains = explain
    with screen.capture() as capture:
        report.render(screen, report.data)
    say(capture.get().removesuffix("\n"))


def _json_parts(report: Report) -> "Iterator[str]":
    """Yield the document's text in parts, so that a long list is converted a few rows at a time."""
    fields = {name: getattr(report.data, name) for name in getattr(report.data, "__struct_fields__", ())}
    long = {name: rows for name, rows in fields.items() if isinstance(rows, tuple) and len(rows) > LONG}
    marks = {name: f"{name}\0" for name in long}
    rest = replace(report, data=replace(report.data, **marks)) if long else report
    text = json.dumps(rest.document(), allow_nan=False)
    for name, rows in long.items():
        before, _, text = text.partition(json.dumps(marks[name]))
        yield f"{before}["
        for first in range(0, len(rows), LONG):
            some = jsonable(rows[first : first + LONG])
            part = json.dumps(some if name in QUOTED else aimed_all(some), allow_nan=False)
            yield (", " if first else "") + part[1:-1]
        yield "]"
    yield text


@contextmanager
def progress_bar(what: str) -> "Iterator[Progress]":
    """Yield a callable (done, total) that draws a bar on stderr if it is a terminal, and otherwise does nothing."""
    if not sys.stderr.isatty():
        yield lambda done, total: None
        return
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=console(err=True), transient=True) as bars:
        task = bars.add_task(what, total=None)
        yield lambda done, total: bars.update(task, completed=done, total=total)


def confirm_for(app: "App", option_values: str | None, *, what: str, command: str, word: str | None = None) -> None:
    """Ask the person to type `word` (by default the account's tail); for real money, this must be at a terminal."""
    from tradebot.model.trading import Mode

    confirm(word or app.account_tail, option_values, what=what, command=command, by_hand=app.mode is Mode.LIVE)


def identity(app: "App") -> Identity:
    """Return the identity of this bot for documents."""
    return Identity(app.mode_name, app.settings.venue, app.account_tail)


@contextmanager
def _open(state_dir: str | None, config: str | None, *ways: Any, **named: Any) -> "Iterator[App]":
    """Open a bot, and report if one of its stores turns out to be damaged, because the answer then lacks its data."""
    from tradebot.app.loading import Options
    from tradebot.app.wiring import open_app

    with open_app(Options(state_dir, config), os.environ, *ways, **named) as app:
        app.hear = _tell_of_damage
        for warning in app.loaded.warnings:
            note(f"warning: {warning}")
        show_venue(app.day)
        show_traded_by(app)
        yield app
        show_traded_by(app)


def show_traded_by(app: "App") -> None:
    """Show quantities and prices in the units of the bot's venue; prices of shares are always shown to their ticks."""
    from commands.shared.number_format import show_traded

    show_traded(*units_and_listings(app))


def units_and_listings(app: "App") -> "tuple[str, Mapping[str, Listing]]":
    """Return the unit of a bot's quantities, and its venue's listings by symbol if prices are shown to their ticks."""
    unit = app.settings.capabilities.unit
    with suppress(TradebotError):
        if unit != "share":
            return unit, {name: record.listing for name, record in app.ledger_view.listings().items()}
    return unit, {}


def _tell_of_damage(event: "SystemEvent") -> None:
    from tradebot.model.event import OF_DAMAGED_STORES, Severity

    kind = OF_DAMAGED_STORES.get((event.subsystem, event.event_type))
    if kind is not None and event.severity is not Severity.INFO:
        note(f"damaged: {kind.meaning} tradebot events says more.")


def open_bot(state_dir: str | None, config: str | None) -> "AbstractContextManager[App]":
    """Open the bot that the options and the environment name."""
    return _open(state_dir, config)


def opened_to_plan(state_dir: str | None, config: str | None) -> "AbstractContextManager[App]":
    """Open the bot to plan its fetches, even with settings that don't let flow be fetched in time."""
    from tradebot.app.loading import load_to_plan

    return _open(state_dir, config, loads=load_to_plan)


@contextmanager
def opened_to_leave(state_dir: str | None, config: str | None) -> "Iterator[App]":
    """Open the bot to close positions; if the configuration can't be read, report that and use the accepted one."""
    from tradebot.app.loading import load_to_leave

    with _open(state_dir, config, _found_to_leave, loads=load_to_leave) as app:
        if app.loaded.unread is not None:
            print_error(app.loaded.unread)
            note("  until then the accepted configuration is used instead, and no entries are sent")
        yield app


def _found_to_leave(path: "Path", environ: "Mapping[str, str]") -> "StateFolder":
    """Return a bot's folder; if its marker is damaged, report that and use a copy of it."""
    try:
        return state_folder.open_state(path, environ)
    except DamagedMarkerError as error:
        folder = folder_identity.marker_from_copy(path, error)
        print_error(error)
        note("  until then, a copy of the marker is used instead, and trade-once refuses to run")
        return folder


def opened_to_look(state_dir: str | None, config: str | None) -> "AbstractContextManager[App]":
    """Open the bot for reading; if its configuration can't be read, use the accepted one.

    A configuration file named by an option must be valid, because the user wants it to have an effect.
    """
    return open_bot(state_dir, config) if config else opened_to_leave(state_dir, config)


def opened_as_found(state_dir: str | None, config: str | None) -> "AbstractContextManager[App]":
    """Open the bot that the options and the environment name, even if its books are damaged or lost."""
    return _open(state_dir, config, read_marker)


def _bot_options(state_dir: StateDir = None, config: Config = None, as_json: Json = False) -> None:
    """Define the options of every verb on a bot."""


def _explain_option(explains: Explain = False) -> None:
    """Define the option of a verb with a short form of its screen."""


def on_bot(
    name: str,
    purpose: VerbPurpose,
    index: int,
    prints: Prints,
    *,
    epilog: str,
    opens: "Callable[[str | None, str | None], AbstractContextManager[App]]" = open_bot,
    in_group: int = 0,
    is_short: bool = False,
) -> Callable[[Callable[..., Report]], Callable[..., None]]:
    """Declare a verb that gets an open bot and its own options, and whose report is shown.

    The verb also gets the options --state-dir, --config and --json, and --explain if its screen is short without it.
    """

    def declare(act: Callable[..., Report]) -> Callable[..., None]:
        @wraps(act)
        def command(
            state_dir: str | None, config: str | None, as_json: bool, explains: bool = True, **own: Any
        ) -> None:
            with opens(state_dir, config) as bot:
                report = act(bot, **own)
                if report.bot_identity == NOBODY:
                    report = replace(report, bot_identity=identity(bot))
            finish(report, as_json, explains)

        bundles: list[Callable[..., None]] = [*([_explain_option] if is_short else []), _bot_options]
        added = [option for bundle in bundles for option in signature(bundle).parameters.values()]
        options = [*list(signature(act).parameters.values())[1:], *added]
        return verb(name, purpose, index, prints, epilog=epilog, in_group=in_group)(_taking(command, options))

    return declare


def with_options(**bundles: Callable[..., Any]) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """Replace parameters of a verb with bundles of options: each bundle is a function that declares options.

    The verb receives the function's result as the parameter with the bundle's name.
    """

    def declare(act: Callable[..., None]) -> Callable[..., None]:
        taken = {name: signature(bundle).parameters for name, bundle in bundles.items()}

        @wraps(act)
        def command(**values: Any) -> None:
            results = {name: make(**{each: values.pop(each) for each in taken[name]}) for name, make in bundles.items()}
            act(**values, **results)

        own = signature(act).parameters.items()
        options = [each for name, item in own for each in (taken[name].values() if name in taken else (item,))]
        return _taking(command, sorted(options, key=lambda option: option.name in signature(_bot_options).parameters))

    return declare


def without_options(bundle: Callable[..., Any], *names: str) -> Callable[..., Any]:
    """Return a function without some options, for a verb that doesn't have them."""

    @wraps(bundle)
    def others(**option_values: Any) -> Any:
        return bundle(**option_values)

    return _taking(others, [option for option in signature(bundle).parameters.values() if option.name not in names])


def _taking(command: Callable[..., Any], options: Sequence[Parameter]) -> Callable[..., Any]:
    # Typer reads the options of the function it calls, not of the wrapped one.
    del command.__wrapped__  # type: ignore[attr-defined]
    command.__signature__ = Signature([option.replace(kind=Parameter.KEYWORD_ONLY) for option in options])  # type: ignore[attr-defined]
    command.__annotations__ = {option.name: option.annotation for option in options}
    return command
