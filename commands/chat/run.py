"""Run `tradebot chat pair|status|revoke|listen`: a chat from which one person may ask, halt, and approve."""

import os
from collections.abc import Mapping
from datetime import datetime
from typing import TYPE_CHECKING

from msgspec import Struct

from commands.shared.light_helpers import clean
from commands.shared.times import when
from tradebot.adapters.state import state_locks
from tradebot.app.keys import CHAT_TOKEN
from tradebot.errors import ExitCode, OperatorError
from tradebot.model.trading import Mode

if TYPE_CHECKING:
    from rich.console import Console

    from tradebot.adapters.chat.telegram import Telegram
    from tradebot.app.wiring import App

ONE_IS_ENOUGH = "a running serve listens by itself"

GUIDE = "docs/CHAT.md"


class PairingCode(Struct, frozen=True):
    """The code that pairs whoever sends it, until when, and whether a process listens now."""

    code: str
    until: datetime
    listening: bool


class ChatRow(Struct, frozen=True):
    """One message: its sender's number, its request, the outcome, and the reason."""

    at: datetime
    who: str
    asked: str
    became: str
    why: str


class ChatStatus(Struct, frozen=True):
    """Whether the chat is on and listened to, who is paired, what is wrong, and what was done and refused, newest last.

    `refused` counts all that was refused, by its reason.
    """

    on: bool
    listening: bool
    person: int | None
    paired_at: datetime | None
    code_until: datetime | None
    trouble: str
    refused: Mapping[str, int]
    messages: tuple[ChatRow, ...]


class Revoked(Struct, frozen=True):
    """The number of the person who may no longer ask; None if nobody could."""

    person: int | None


class Listened(Struct, frozen=True):
    """What stood in Telegram's way the last time it was asked; empty if nothing did."""

    trouble: str


def telegram_of(bot: "App") -> "Telegram":
    """Return the bot's Telegram; OperatorError if the chat is off, not accepted, or without a token."""
    from tradebot.adapters.chat.telegram import Telegram
    from tradebot.app.baseline import effective
    from tradebot.app.venue_connection import chat_token

    settings = bot.settings.chat.telegram
    if settings is None:
        raise OperatorError("the chat is off", f"chat: {{telegram: {{}}}} turns it on; {GUIDE} says how")
    accepted = bot.accepted_configuration
    if bot.mode is Mode.LIVE and (accepted is None or accepted.values.get("chat") != effective(bot.settings)["chat"]):
        raise OperatorError("nobody accepted the chat for real money", "tradebot config accept", code=ExitCode.REFUSED)
    token = chat_token(os.environ)
    if token is None:
        raise OperatorError(f"{CHAT_TOKEN} is not set", "set it in the environment or in .env (chmod 600 .env)")
    return Telegram(settings.url, token)


def is_listening(bot: "App") -> bool:
    return state_locks.holder(bot.folder.path, state_locks.CHAT_LOCK) is not None


def render_code(console: "Console", data: PairingCode) -> None:
    console.print(f"Send this to your Telegram bot, in a private chat, until {when(data.until)}:")
    console.print(f"\n  [bold]{data.code}[/bold]\n")
    if not data.listening:
        console.print("Nobody listens yet. Next: tradebot serve, or tradebot chat listen")
    else:
        console.print("It answers when you are paired. Next: tradebot chat status")


def render_status(console: "Console", data: ChatStatus) -> None:
    listening = "listened to" if data.listening else "NOT listened to: tradebot serve, or tradebot chat listen"
    console.print(f"The chat is {f'on, and {listening}' if data.on else f'off; {GUIDE} says how to turn it on'}")
    if data.person is not None and data.paired_at is not None:
        console.print(f"Paired with person {data.person} since {when(data.paired_at)}")
    else:
        waits = f"a code can be used until {when(data.code_until)}" if data.code_until else "Next: tradebot chat pair"
        console.print(f"Nobody is paired; {waits}")
    if data.trouble:
        console.print(f"Trouble: {clean(data.trouble)}", markup=False)
    for row in data.messages:
        why = f": {clean(row.why)}" if row.why else ""
        console.print(f"{when(row.at)} {row.who} {clean(row.asked)} {row.became}{why}", markup=False)
    if data.refused:
        counts = ", ".join(f"{count:,} {clean(why)}" for why, count in data.refused.items())
        console.print(f"Refused so far: {counts}", markup=False)


def render_revoked(console: "Console", data: Revoked) -> None:
    console.print("Nobody was paired." if data.person is None else f"Person {data.person} may no longer ask.")


def render_listened(console: "Console", data: Listened) -> None:
    console.print(clean(data.trouble) if data.trouble else "Everything that was written is answered.", markup=False)
