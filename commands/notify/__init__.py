"""`tradebot notify test`, `list`, `last` and `send`: list channels and notices, test channels, and send notices."""

from contextlib import closing
from datetime import UTC, datetime
from functools import partial
from typing import TYPE_CHECKING, Annotated

import typer

from commands.shared.declaration import VerbPurpose, group, verb
from commands.shared.light_helpers import print_to_stderr
from commands.shared.verb_options import Config, Json, Report, StateDir, finish, identity, on_bot, open_bot
from tradebot.adapters.notices.outbox import Outbox, Sending
from tradebot.adapters.state import state_locks
from tradebot.app.keys import address_variable
from tradebot.errors import ExitCode, OperatorError, word

if TYPE_CHECKING:
    from tradebot.app.wiring import App

group("notify", "Notify people of events: list and test channels, show notices, send them.")


@on_bot(
    "notify list",
    VerbPurpose.TELL,
    10,
    {"notify-list/1": ("commands.notify.delivery:Channels",)},
    epilog="tradebot notify list",
)
def list_channels(bot: "App") -> Report:
    """Show the channels, their rules and their last results."""
    from commands.notify.delivery import ChannelRow, Channels, known_addresses, render_channels

    addresses, rows = known_addresses(bot), []
    with closing(Outbox(bot.folder.path, bot.events, datetime.now(UTC))) as outbox:
        last = {notice.channel: notice for notice in reversed(outbox.last(1_000))}
    sections = bot.settings.notify.channels
    for channel in bot.settings.notify.in_use():
        stored_notice, section = last.get(channel.name), sections[channel.name]
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
                stored_notice.made_at if stored_notice else None,
                stored_notice.sending.value if stored_notice else None,
                stored_notice.problem if stored_notice else "",
            )
        )
    return Report("notify-list", Channels(tuple(rows)), render_channels)


@on_bot(
    "notify last",
    VerbPurpose.TELL,
    40,
    {"notify-last/1": ("commands.notify.delivery:Notices",)},
    epilog="tradebot notify last\ntradebot notify last --last 50",
)
def last_notices(
    bot: "App", last: Annotated[int, typer.Option("--last", "-n", min=1, max=1_000, help="Show the last N.")] = 10
) -> Report:
    """Show the last notices, sent or pending."""
    from commands.notify.delivery import NoticeRow, Notices, render_notices

    with closing(Outbox(bot.folder.path, bot.events, datetime.now(UTC))) as outbox:
        stored_notices = outbox.last(last)
    rows = [
        NoticeRow(
            notice.made_at,
            notice.channel,
            notice.notice.severity.value,
            notice.notice.title,
            notice.notice.text,
            notice.sending.value,
            notice.attempts,
            notice.next_at if notice.sending is Sending.WAITING else None,
            notice.problem,
        )
        for notice in reversed(stored_notices)
    ]
    return Report("notify-last", Notices(tuple(rows)), render_notices)


@on_bot(
    "notify test",
    VerbPurpose.TELL,
    20,
    {"notify-test/1": ("commands.notify.delivery:TestDelivery",)},
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
    then counts the channel as confirmed. Exits with code 5 if a message wasn't accepted.
    """
    from commands.notify.delivery import TestDelivery, attempt, confirmed_by, known_addresses, render_tried

    addresses = known_addresses(bot)
    if code is not None:
        return confirmed_by(bot, channel, code, addresses)
    names = [way.name for way in bot.settings.notify.in_use() if channel in (None, way.name)]
    if not names:
        in_use = ", ".join(channel.name for channel in bot.settings.notify.in_use())
        raise OperatorError(f"no channel is named {word(str(channel))}", f"choose one of {in_use}")
    problems = {name: attempt(bot, name, addresses.get(name)) for name in names}
    ended = ExitCode.UNAVAILABLE if any(problems.values()) else ExitCode.DONE
    return Report("notify-test", TestDelivery(problems, None), render_tried, ended)


@verb(
    "notify send",
    VerbPurpose.TELL,
    30,
    {"notify-send/1": ("commands.notify.delivery:NoticesSent",)},
    in_group=1,
    epilog="tradebot notify send\ntradebot notify send --follow",
)
def send(
    on: Annotated[
        bool, typer.Option("--follow", help="Keep running until interrupted; `serve` starts it this way.")
    ] = False,
    state_dir: StateDir = None,
    config: Config = None,
    as_json: Json = False,
) -> None:
    """Send notices of what happened since the last time.

    `serve` runs this automatically. Without `serve`, let cron run it every five minutes.
    """
    from commands.notify.delivery import (
        ONE_IS_ENOUGH,
        PAUSE_S,
        NoticesSent,
        counts,
        known_addresses,
        render_sent,
        rounds,
    )

    alone = partial(state_locks.hold, verb="notify send", wait_s=0.0, name=state_locks.NOTIFY_LOCK, hint=ONE_IS_ENOUGH)
    with open_bot(state_dir, config) as bot, alone(bot.folder.path):
        addresses = known_addresses(bot)
        missing = [channel.name for channel in bot.settings.notify.in_use() if channel.name not in addresses]
        for name in missing:
            print_to_stderr(f"{name} has no address, so it gets no notices: tradebot notify list")
        before = counts(bot)
        for delivery_round in rounds(bot, addresses, PAUSE_S):
            delivery_round.look()
            delivery_round.compose()
            if not delivery_round.send() and not on:
                break
        sent, remaining = counts(bot)
        data = NoticesSent(sent - before[0], remaining)
        finish(Report("notify-send", data, render_sent, bot_identity=identity(bot)), as_json)
