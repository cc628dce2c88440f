"""Run `tradebot notify test|list|last|send`: whom the bot tells what happens, and what it has told."""

import os
import time
from collections.abc import Mapping
from contextlib import closing
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from msgspec import Struct

from commands.shared.light_helpers import clean
from commands.shared.times import when
from commands.shared.verb_options import Report
from tradebot.adapters.notices.outbox import Outbox, Sending
from tradebot.adapters.notices.sender import Attempt
from tradebot.app.keys import address_variable, confirmation_code
from tradebot.app.venue_connection import addresses_of
from tradebot.errors import ExitCode, OperatorError, word
from tradebot.model.event import Severity
from tradebot.model.notice import Notice, Topic

if TYPE_CHECKING:
    from rich.console import Console

    from tradebot.app.wiring import App

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
    """A notice and its delivery; times are trading times."""

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


class TestDelivery(Struct, frozen=True):
    """What came of a test message by channel: empty if it was sent, or else why it wasn't.

    `confirmed` is the channel whose message a person has read, None if that wasn't said.
    """

    problems: Mapping[str, str]
    confirmed: str | None


class NoticesSent(Struct, frozen=True):
    """How many notices were sent, and how many are still to be sent."""

    sent: int
    left: int


def known_addresses(bot: "App") -> Mapping[str, str]:
    """Return the addresses of the bot's channels; OperatorError if it has no channel."""
    if not bot.settings.notify.in_use():
        raise OperatorError(NONE_YET, ADD_ONE)
    return addresses_of(bot.settings, os.environ)


def render_channels(console: "Console", data: Channels) -> None:
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


def render_notices(console: "Console", data: Notices) -> None:
    if not data.notices:
        console.print("Nothing was told yet.")
    for row in data.notices:
        how = row.sending if not row.problem else f"{row.sending}, attempt {row.attempts}: {clean(row.problem)}"
        console.print(f"{when(row.made_at)} {row.channel} ({how})", markup=False, style="bold")
        for line in (row.title, *row.text.split("\n")):
            console.print(f"  {clean(line)}", markup=False)


def confirmed_by(bot: "App", channel: str | None, code: str, addresses: Mapping[str, str]) -> Report:
    """Remember that a person has read the test message of a channel; OperatorError if the code isn't its own."""
    from commands.shared.checklist import READ, remember

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
    return Report("notify-test", TestDelivery({}, channel), render_tried)


def attempt(bot: "App", name: str, address: str | None) -> str:
    if address is None:
        return f"it has no address: set {address_variable(name)} in .env"
    title = f"tradebot {bot.mode_name} ...{bot.account_tail}: a test"
    code = confirmation_code(bot.folder.id, address)
    text = f"If you can read this, notices arrive. Now type: tradebot notify test {name} --confirm {code}"
    with closing(Attempt(address, Notice(title, text, Severity.INFO))) as attempt:
        while not attempt.has_ended():
            time.sleep(PAUSE_S)
        return attempt.problem()


def render_tried(console: "Console", data: TestDelivery) -> None:
    if data.confirmed is not None:
        console.print(f"{data.confirmed}: a person has read its test message. Next: tradebot live status", markup=False)
    for name, problem in data.problems.items():
        console.print(f"{name}: {f'NOT SENT: {problem}' if problem else 'sent; look whether it arrived'}", markup=False)
        if not problem:
            console.print(f"  it shows a code; type it: tradebot notify test {name} --confirm CODE", markup=False)


def counts(bot: "App") -> tuple[int, int]:
    """Return how many notices were sent so far, and how many are still to be sent."""
    with closing(Outbox(bot.folder.path, bot.events, datetime.now(UTC))) as outbox:
        kept = outbox.last(1_000)
    return sum(one.sending is Sending.SENT for one in kept), sum(one.sending is Sending.WAITING for one in kept)


def render_sent(console: "Console", data: NoticesSent) -> None:
    left = f"; {data.left} still to be sent: tradebot notify last" if data.left else ""
    console.print(f"{data.sent} sent{left}")
