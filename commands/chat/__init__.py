"""`tradebot chat pair`, `status`, `revoke` and `listen`: a chat in which one person can query, halt, and approve."""

import os
import time
from collections.abc import Mapping
from contextlib import ExitStack
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated

import typer
from msgspec import Struct

from commands.shared.declaration import VerbPurpose, changes_trading, group, verb
from commands.shared.light_helpers import clean
from commands.shared.times import when
from commands.shared.verb_options import Config, Json, Report, StateDir, finish, identity, on_bot, open_bot
from tradebot.adapters.chat.store import CODE_LIVES, open_chat_store, require_unpaired
from tradebot.adapters.state import state_locks
from tradebot.adapters.state.state_folder import CHAT
from tradebot.app.baseline import effective
from tradebot.app.keys import CHAT_TOKEN
from tradebot.app.venue_connection import chat_token
from tradebot.errors import ExitCode, OperatorError
from tradebot.model.event import EventKind
from tradebot.model.trading import Mode

if TYPE_CHECKING:
    from rich.console import Console

    from tradebot.adapters.chat.telegram import Telegram
    from tradebot.app.wiring import App

ONE_IS_ENOUGH = "a running serve listens automatically"

GUIDE = "docs/CHAT.md"


class PairingCode(Struct, frozen=True):
    """The pairing code, when it expires, and whether a process currently listens."""

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
    """Whether the chat is on, who is paired, any problem, and the last messages, newest last.

    `refused` counts all refused messages by reason.
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
    """The number of the person whose pairing ended; None if nobody was paired."""

    person: int | None


class ChatListening(Struct, frozen=True):
    """The problem with the last request to Telegram; empty if there was none."""

    trouble: str


def telegram_of(bot: "App") -> "Telegram":
    """Return the bot's Telegram client; raise OperatorError if the chat is off, not accepted, or without a token."""
    from tradebot.adapters.chat.telegram import Telegram

    settings = bot.settings.chat.telegram
    if settings is None:
        raise OperatorError("the chat is off", f"to turn it on, set chat: {{telegram: {{}}}}; {GUIDE} explains it")
    accepted = bot.accepted_configuration
    # What may be closed from the chat is checked when that is asked for.
    in_force = effective(bot.settings)["chat"]["telegram"]
    if bot.mode is Mode.LIVE and (accepted is None or accepted.values.get("chat", {}).get("telegram") != in_force):
        raise OperatorError(
            "the chat hasn't been accepted for real money", "tradebot config accept", code=ExitCode.REFUSED
        )
    token = chat_token(os.environ)
    if token is None:
        raise OperatorError(f"{CHAT_TOKEN} is not set", "set it in the environment or in .env (chmod 600 .env)")
    return Telegram(settings.url, token)


def is_listening(bot: "App") -> bool:
    return state_locks.holder(bot.folder.path, state_locks.CHAT_LOCK) is not None


def render_code(console: "Console", data: PairingCode) -> None:
    console.print(f"Send this to your Telegram bot, in a private chat, before {when(data.until)}:")
    console.print(f"\n  [bold]{data.code}[/bold]\n")
    if not data.listening:
        console.print("Nothing is listening yet. Next: tradebot serve, or tradebot chat listen")
    else:
        console.print("Your Telegram bot answers once you are paired. Next: tradebot chat status")


def render_status(console: "Console", data: ChatStatus) -> None:
    listening = (
        "a process listens" if data.listening else ("NO process listens: start tradebot serve, or tradebot chat listen")
    )
    console.print(f"The chat is {f'on, and {listening}' if data.on else f'off; {GUIDE} explains how to turn it on'}")
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
    console.print("Nobody was paired." if data.person is None else f"Person {data.person} may no longer use the chat.")


def render_listened(console: "Console", data: ChatListening) -> None:
    console.print(clean(data.trouble) if data.trouble else "All messages have been answered.", markup=False)


group("chat", "Let one person query the bot from a chat, halt it, and approve entries.")


@on_bot("chat pair", VerbPurpose.TELL, 50, {"chat-pair/1": ("commands.chat:PairingCode",)}, epilog="tradebot chat pair")
@changes_trading
def pair(bot: "App") -> Report:
    """Show a code that pairs your Telegram chat with the bot.

    The person who sends it to your Telegram bot within ten minutes can query the bot from then on. After five wrong
    codes, a new one is needed.
    """
    telegram_of(bot)
    now = datetime.now(UTC)
    with open_chat_store(bot.folder.path, bot.events) as store:
        require_unpaired(store)
        data = PairingCode(store.new_code(now), now + CODE_LIVES, is_listening(bot))
    return Report("chat-pair", data, render_code)


@on_bot(
    "chat status",
    VerbPurpose.TELL,
    60,
    {"chat-status/1": ("commands.chat:ChatStatus",)},
    epilog="tradebot chat status\ntradebot chat status --last 50",
)
def show_status(
    bot: "App",
    last: Annotated[int, typer.Option("--last", "-n", min=0, max=1_000, help="Show the last N requests.")] = 10,
) -> Report:
    """Show who is paired, and recent requests and refusals."""
    on = bot.settings.chat.telegram is not None
    if not (bot.folder.path / CHAT).exists():
        return Report("chat-status", ChatStatus(on, False, None, None, None, "", {}, ()), render_status)
    with open_chat_store(bot.folder.path, bot.events) as store:
        paired, code = store.paired_person(), store.code_until(datetime.now(UTC))
        rows = [ChatRow(row.at, row.who, row.asked, row.became.value, row.why) for row in reversed(store.last(last))]
        data = ChatStatus(
            on,
            is_listening(bot),
            paired.user if paired else None,
            paired.at if paired else None,
            code,
            store.recall("trouble") or "",
            store.refusals(),
            tuple(rows),
        )
    return Report("chat-status", data, render_status)


@on_bot(
    "chat revoke",
    VerbPurpose.TELL,
    80,
    {"chat-revoke/1": ("commands.chat:Revoked",)},
    epilog="tradebot chat revoke",
)
def revoke(bot: "App") -> Report:
    """End the pairing, so that nobody can query the bot."""
    if not (bot.folder.path / CHAT).exists():
        return Report("chat-revoke", Revoked(None), render_revoked)
    with open_chat_store(bot.folder.path, bot.events) as store:
        paired = store.paired_person()
        store.revoke()
    if paired is not None:
        bot.events.emit(EventKind.CHAT_PAIRED.at(bot.stamp_time(), {"revoked": str(paired.user)}))
    return Report("chat-revoke", Revoked(paired.user if paired else None), render_revoked)


@verb(
    "chat listen",
    VerbPurpose.TELL,
    70,
    {"chat-listen/1": ("commands.chat:ChatListening",)},
    in_group=1,
    epilog="tradebot chat listen\ntradebot chat listen --once",
)
@changes_trading
def listen(
    once: Annotated[bool, typer.Option("--once", help="Answer pending messages, then exit.")] = False,
    state_dir: StateDir = None,
    config: Config = None,
    as_json: Json = False,
) -> None:
    """Answer chat messages until interrupted. `serve` runs this automatically."""
    from commands.chat.listener import Listener

    with open_bot(state_dir, config) as bot, ExitStack() as stack:
        telegram, path = telegram_of(bot), bot.folder.path
        # From now on, no text of this process shows a key.
        _ = bot.secrets
        stack.enter_context(
            state_locks.hold(path, "chat listen", wait_s=0.0, name=state_locks.CHAT_LOCK, hint=ONE_IS_ENOUGH)
        )
        store = stack.enter_context(open_chat_store(path, bot.events))
        listener = Listener(bot, telegram, store, config)
        listener.begin()
        while True:
            pause = listener.poll_once(0 if once else None)
            if once:
                break
            time.sleep(pause)
        data = ChatListening(store.recall("trouble") or "")
        code = ExitCode.UNAVAILABLE if data.trouble else ExitCode.DONE
        report = Report("chat-listen", data, render_listened, code, identity(bot))
    finish(report, as_json)
