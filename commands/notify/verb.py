"""`tradebot notify test|list|last|send`: whom the bot tells what happens, and what it has told."""

import os
import time
from collections.abc import Mapping
from contextlib import closing
from datetime import UTC, datetime
from functools import partial
from typing import TYPE_CHECKING, Annotated

import typer
from msgspec import Struct

from commands.shared.declaration import Purpose, group, verb
from commands.shared.light_helpers import clean, complain
from commands.shared.times import when
from commands.shared.verb_options import Config, Json, Report, StateDir, finish, identity, on_bot, opened
from tradebot.errors import ExitCode, OperatorError, word

if TYPE_CHECKING:
    from rich.console import Console

    from tradebot.app.wiring import App

group("notify", "Tell people what happens: try a channel, see what was told, or send it.")

ONE_IS_ENOUGH = "a running serve tells people by itself, so leave out the line of cron"
PAUSE_S = 0.25
"""Real seconds between two looks for new events."""
NONE_YET = "no channel is configured, so nobody is told anything"
ADD_ONE = "add one to your configuration, such as notify: {channels: {phone: {}}}, and its address to .env"


class ChannelRow(Struct, frozen=True):
    """One channel: its rules, the variable that has its address and whether that is set, and its last notice."""

    name: str
    topics: tuple[str, ...]
    events: tuple[str, ...]
    least: str
    quiet: str | None
    most_an_hour: int
    variable: str
    has_address: bool
    last_at: datetime | None
    last: str | None
    problem: str


class Channels(Struct, frozen=True):
    """All channels, by name."""

    channels: tuple[ChannelRow, ...]


class NoticeRow(Struct, frozen=True):
    """One notice, and what became of it; times are trading times."""

    made_at: datetime
    channel: str
    severity: str
    title: str
    text: str
    sending: str
    attempts: int
    next_at: datetime | None
    problem: str


class Notices(Struct, frozen=True):
    """The last notices, oldest first."""

    notices: tuple[NoticeRow, ...]


class Tried(Struct, frozen=True):
    """What came of a test message by channel: empty if it was sent, or else why it wasn't.

    `confirmed` is the channel whose message a person has read, None if that wasn't said.
    """

    problems: Mapping[str, str]
    confirmed: str | None


class Sent(Struct, frozen=True):
    """How many notices were sent, and how many are still to be sent."""

    sent: int
    left: int


def _addresses(bot: "App") -> Mapping[str, str]:
    """Return the addresses of the bot's channels; OperatorError if it has no channel."""
    from tradebot.app.venue_connection import addresses_of

    if not bot.settings.notify.in_use():
        raise OperatorError(NONE_YET, ADD_ONE)
    return addresses_of(bot.settings, os.environ)


@on_bot("notify list", Purpose.TELL, 10, {"notify-list/1": (Channels,)}, epilog="tradebot notify list")
def list_channels(bot: "App") -> Report:
    """Show the channels, what each is told and how it went."""
    from tradebot.adapters.notices.outbox import Outbox
    from tradebot.app.keys import address_variable

    addresses, rows = _addresses(bot), []
    with closing(Outbox(bot.folder.path, bot.events, datetime.now(UTC))) as outbox:
        last = {kept.channel: kept for kept in reversed(outbox.last(1_000))}
    sections = bot.settings.notify.channels
    for channel in bot.settings.notify.in_use():
        kept, section = last.get(channel.name), sections[channel.name]
        assert section is not None, "a channel in use has a section"
        rows.append(
            ChannelRow(
                channel.name,
                tuple(sorted(channel.topics)),
                tuple(sorted(channel.events)),
                channel.least.value,
                section.quiet,
                channel.most_an_hour,
                address_variable(channel.name),
                channel.name in addresses,
                kept.made_at if kept else None,
                kept.sending.value if kept else None,
                kept.problem if kept else "",
            )
        )
    return Report("notify-list", Channels(tuple(rows)), _render_channels)


def _render_channels(console: "Console", data: Channels) -> None:
    from tradebot.model.notice import Topic

    for row in data.channels:
        address = f"its address is in {row.variable}" if row.has_address else f"NO ADDRESS: set {row.variable} in .env"
        console.print(f"[bold]{row.name}[/bold]: {address}")
        everything = set(row.topics) >= {topic.value for topic in Topic} - {"events"}
        console.print(f"  told about {'everything' if everything else ', '.join(row.topics)} from {row.least}")
        if row.events:
            console.print(f"  and these events: {', '.join(row.events)}")
        quiet = f"quiet {row.quiet} except for what is CRITICAL; " if row.quiet else ""
        console.print(f"  {quiet}at most {row.most_an_hour} messages an hour besides what is CRITICAL")
        if row.last_at is not None:
            problem = f": {clean(row.problem)}" if row.problem else ""
            console.print(f"  the last one was made {when(row.last_at)}, {row.last}{problem}", markup=False)


@on_bot(
    "notify last",
    Purpose.TELL,
    40,
    {"notify-last/1": (Notices,)},
    epilog="tradebot notify last\ntradebot notify last --last 50",
)
def last_notices(
    bot: "App", last: Annotated[int, typer.Option("--last", "-n", min=1, max=1_000, help="Show the last N.")] = 10
) -> Report:
    """Show what was told, and what is still to be sent."""
    from tradebot.adapters.notices.outbox import Outbox, Sending

    with closing(Outbox(bot.folder.path, bot.events, datetime.now(UTC))) as outbox:
        found = outbox.last(last)
    rows = [
        NoticeRow(
            kept.made_at,
            kept.channel,
            kept.notice.severity.value,
            kept.notice.title,
            kept.notice.text,
            kept.sending.value,
            kept.attempts,
            kept.next_at if kept.sending is Sending.WAITING else None,
            kept.problem,
        )
        for kept in reversed(found)
    ]
    return Report("notify-last", Notices(tuple(rows)), _render_notices)


def _render_notices(console: "Console", data: Notices) -> None:
    if not data.notices:
        console.print("Nothing was told yet.")
    for row in data.notices:
        how = row.sending if not row.problem else f"{row.sending}, attempt {row.attempts}: {clean(row.problem)}"
        console.print(f"{when(row.made_at)} {row.channel} ({how})", markup=False, style="bold")
        for line in (row.title, *row.text.split("\n")):
            console.print(f"  {clean(line)}", markup=False)


@on_bot(
    "notify test",
    Purpose.TELL,
    20,
    {"notify-test/1": (Tried,)},
    in_group=1,
    epilog="tradebot notify test phone\ntradebot notify test phone --confirm 1a2b3c",
)
def try_channels(
    bot: "App",
    channel: Annotated[str | None, typer.Argument(help="The channel [all of them].", show_default=False)] = None,
    code: Annotated[
        str | None, typer.Option("--confirm", metavar="CODE", help="The code in the message that arrived.")
    ] = None,
) -> Report:
    """Send a test message now, and say whether it was accepted.

    The message shows a code. With --confirm, nothing is sent: the code proves that a person read it, and `live status`
    counts that. Exits with code 5 if a message wasn't accepted.
    """
    addresses = _addresses(bot)
    if code is not None:
        return _confirmed(bot, channel, code, addresses)
    names = [one.name for one in bot.settings.notify.in_use() if channel in (None, one.name)]
    if not names:
        known = ", ".join(one.name for one in bot.settings.notify.in_use())
        raise OperatorError(f"no channel is named {word(str(channel))}", f"choose one of {known}")
    problems = {name: _try(bot, name, addresses.get(name)) for name in names}
    ended = ExitCode.UNAVAILABLE if any(problems.values()) else ExitCode.DONE
    return Report("notify-test", Tried(problems, None), _render_tried, ended)


def _confirmed(bot: "App", channel: str | None, code: str, addresses: Mapping[str, str]) -> Report:
    """Remember that a person has read the test message of a channel; OperatorError if the code isn't its own."""
    from commands.shared.checklist import READ, remember
    from tradebot.app.keys import confirmation_code

    if channel is None or channel not in addresses:
        known = ", ".join(addresses) or "none has an address yet"
        raise OperatorError("--confirm needs a channel that has an address", f"name one of them: {known}")
    expected = confirmation_code(bot.folder.id, addresses[channel])
    if code.strip().lower() != expected:
        raise OperatorError(
            f"{word(code)} isn't the code of the message to {channel}",
            f"tradebot notify test {channel} sends it again",
            code=ExitCode.REFUSED,
        )
    remember(bot, f"{READ} {channel}", expected)
    return Report("notify-test", Tried({}, channel), _render_tried)


def _try(bot: "App", name: str, address: str | None) -> str:
    from tradebot.adapters.notices.sender import Attempt
    from tradebot.app.keys import address_variable, confirmation_code
    from tradebot.model.event import Severity
    from tradebot.model.notice import Notice

    if address is None:
        return f"it has no address: set {address_variable(name)} in .env"
    title = f"tradebot {bot.mode_name} ...{bot.account_tail}: a test"
    code = confirmation_code(bot.folder.id, address)
    text = f"If you can read this, notices arrive. Now type: tradebot notify test {name} --confirm {code}"
    with closing(Attempt(address, Notice(title, text, Severity.INFO))) as attempt:
        while not attempt.ended():
            time.sleep(PAUSE_S)
        return attempt.problem()


def _render_tried(console: "Console", data: Tried) -> None:
    if data.confirmed is not None:
        console.print(f"{data.confirmed}: a person has read its test message. Next: tradebot live status", markup=False)
    for name, problem in data.problems.items():
        console.print(f"{name}: {f'NOT SENT: {problem}' if problem else 'sent; look whether it arrived'}", markup=False)
        if not problem:
            console.print(f"  it shows a code; type it: tradebot notify test {name} --confirm CODE", markup=False)


@verb(
    "notify send",
    Purpose.TELL,
    30,
    {"notify-send/1": (Sent,)},
    in_group=1,
    epilog="tradebot notify send\ntradebot notify send --follow",
)
def send(
    on: Annotated[bool, typer.Option("--follow", help="Go on until a signal, as `serve` has it run.")] = False,
    state_dir: StateDir = None,
    config: Config = None,
    as_json: Json = False,
) -> None:
    """Tell what happened since the last time.

    `serve` runs this by itself. Under cron, a line for it every five minutes does the same.
    """
    from commands.notify.delivery import rounds
    from tradebot.adapters.state import state_locks

    alone = partial(state_locks.hold, verb="notify send", wait_s=0.0, name=state_locks.NOTIFY_LOCK, hint=ONE_IS_ENOUGH)
    with opened(state_dir, config) as bot, alone(bot.folder.path):
        addresses = _addresses(bot)
        missing = [one.name for one in bot.settings.notify.in_use() if one.name not in addresses]
        for name in missing:
            complain(f"{name} has no address, so it is told nothing: tradebot notify list")
        before = _counts(bot)
        for one in rounds(bot, addresses, PAUSE_S):
            one.look()
            one.compose()
            if not one.send() and not on:
                break
        sent, left = _counts(bot)
        data = Sent(sent - before[0], left)
        finish(Report("notify-send", data, _render_sent, whose=identity(bot)), as_json)


def _counts(bot: "App") -> tuple[int, int]:
    """Return how many notices were sent so far, and how many are still to be sent."""
    from tradebot.adapters.notices.outbox import Outbox, Sending

    with closing(Outbox(bot.folder.path, bot.events, datetime.now(UTC))) as outbox:
        kept = outbox.last(1_000)
    return sum(one.sending is Sending.SENT for one in kept), sum(one.sending is Sending.WAITING for one in kept)


def _render_sent(console: "Console", data: Sent) -> None:
    left = f"; {data.left} still to be sent: tradebot notify last" if data.left else ""
    console.print(f"{data.sent} sent{left}")
