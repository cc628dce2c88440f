"""`tradebot events`: show what happened to the bot itself; -f keeps showing new events."""

import json
import time
from typing import TYPE_CHECKING, Annotated

import typer
from msgspec import Struct

from commands.shared.declaration import VerbPurpose, verb
from commands.shared.light_helpers import clean, document, say
from commands.shared.times import when
from commands.shared.verb_options import (
    Config,
    Json,
    Report,
    StateDir,
    console,
    finish,
    identity,
    jsonable,
    open_bot,
)
from tradebot.adapters.state.state_folder import EVENTS
from tradebot.model.sentences import pluralize

if TYPE_CHECKING:
    from rich.console import Console

    from tradebot.app.wiring import App
    from tradebot.model.event import SystemEvent

POLL_S = 0.25
STYLE = {"INFO": "default", "WARN": "yellow", "ERROR": "red", "CRITICAL": "bold red"}


class EventsShown(Struct, frozen=True):
    """The last events, oldest first; `unreadable` counts lines that can't be parsed."""

    events: "tuple[SystemEvent, ...]"
    unreadable: int


def run(app: "App", last: int, *, refusals: bool = False) -> Report:
    """Return the last events in the event files; raise OperatorError if they aren't regular files.

    Refusals by the gates, which occur in each pass, are left out unless `refusals` is set, because they would hide
    everything else.
    """
    from tradebot.adapters.state.events import last_events, require_file
    from tradebot.model.event import EventKind

    path = app.folder.path / EVENTS
    require_file(path)
    events, unreadable = last_events(path, last, besides=() if refusals else [EventKind.GATE_BLOCKED])
    data = EventsShown(tuple(events), unreadable)
    return Report("events", data, show, bot_identity=identity(app))


def follow(app: "App", as_json: bool, *, refusals: bool) -> None:
    """Print each new event as one line or one JSON document, until a signal or a closed pipe."""
    from tradebot.adapters.state.events import Tail
    from tradebot.model.event import EventKind

    left_out = () if refusals else (EventKind.GATE_BLOCKED.value,)
    screen, tail = console(), Tail(app.folder.path / EVENTS)
    while all(say(_event_text(app, screen, event, as_json)) for event in tail.news() if _name(event) not in left_out):
        time.sleep(POLL_S)
    tail.close()


def _name(event: "SystemEvent") -> str:
    return f"{event.subsystem}.{event.event_type}"


def _event_text(app: "App", screen: "Console", event: "SystemEvent", as_json: bool) -> str:
    if as_json:
        return json.dumps(document("events", identity(app), 0, jsonable(event)))
    with screen.capture() as capture:
        _line(screen, event)
    return capture.get().removesuffix("\n")


def show(screen: "Console", data: EventsShown) -> None:
    """Print the events, one after another."""
    if not data.events:
        screen.print("No events are recorded.")
    for event in data.events:
        _line(screen, event)
    if data.unreadable:
        screen.print(f"{pluralize(data.unreadable, 'line')} couldn't be read as an event")


def _line(screen: "Console", event: "SystemEvent") -> None:
    from rich.markup import escape

    style = STYLE[event.severity.value]
    texts = {name: text.strip("\n") for name, text in event.details.items()}
    details = ", ".join(f"{name} {text}" for name, text in texts.items() if text and "\n" not in text)
    words = " ".join(part for part in (event.symbol or "", details) if part)
    screen.print(
        f"{when(event.timestamp)} [{style}]{event.severity:<8}[/{style}] "
        f"{escape(clean(event.subsystem))} {escape(clean(event.event_type))}  {escape(clean(words))}".rstrip()
    )
    # A chore's output, or a trace, is read line by line.
    for line in (line for text in texts.values() if "\n" in text for line in text.split("\n")):
        screen.print(f"    {clean(line)}", markup=False, highlight=False)


@verb(
    "events",
    VerbPurpose.LOOK,
    170,
    {"events/1": (EventsShown, "tradebot.model.event:SystemEvent")},
    epilog="tradebot events\ntradebot events --last 50\ntradebot events --follow",
)
def events(
    last: Annotated[int, typer.Option("--last", "-n", min=1, max=100_000, help="Show the last N.")] = 20,
    refusals: Annotated[bool, typer.Option("--refusals", help="Also show how many entries the gates refused.")] = False,
    on: Annotated[bool, typer.Option("--follow", "-f", help="Keep showing new events as they happen.")] = False,
    state_dir: StateDir = None,
    config: Config = None,
    as_json: Json = False,
) -> None:
    """Show what happened to the bot itself.

    For example failed sources, unexpected responses, faults and backups.
    """
    with open_bot(state_dir, config) as bot:
        report = run(bot, last, refusals=refusals)
        if not on:
            finish(report, as_json)
            return
        if not as_json:
            finish(report, as_json)
        follow(bot, as_json, refusals=refusals)
