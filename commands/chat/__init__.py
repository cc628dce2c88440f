"""`tradebot chat pair|status|revoke|listen`: a chat from which one person may ask, halt, and approve."""

import time
from contextlib import ExitStack
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated

import typer

from commands.shared.declaration import VerbPurpose, acts, group, verb
from commands.shared.verb_options import Config, Json, Report, StateDir, finish, identity, on_bot, open_bot
from tradebot.adapters.state.state_folder import CHAT
from tradebot.errors import ExitCode

if TYPE_CHECKING:
    from tradebot.app.wiring import App

group("chat", "Let one person ask the bot from a chat, halt it, and approve entries.")


@on_bot(
    "chat pair", VerbPurpose.TELL, 50, {"chat-pair/1": ("commands.chat.run:PairingCode",)}, epilog="tradebot chat pair"
)
@acts
def pair(bot: "App") -> Report:
    """Show the code that pairs a person and chat.

    Whoever sends it to your Telegram bot within ten minutes may ask from then on. After five wrong codes, a new one is
    needed.
    """
    from commands.chat.run import PairingCode, is_listening, render_code, telegram_of
    from tradebot.adapters.chat.store import CODE_LIVES, open_chat_store, require_unpaired

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
    {"chat-status/1": ("commands.chat.run:ChatStatus",)},
    epilog="tradebot chat status\ntradebot chat status --last 50",
)
def show_status(
    bot: "App", last: Annotated[int, typer.Option("--last", "-n", min=0, max=1_000, help="Show the last N.")] = 10
) -> Report:
    """Show who is paired, and what was asked and refused."""
    from commands.chat.run import ChatRow, ChatStatus, is_listening, render_status
    from tradebot.adapters.chat.store import open_chat_store

    on = bot.settings.chat.telegram is not None
    if not (bot.folder.path / CHAT).exists():
        return Report("chat-status", ChatStatus(on, False, None, None, None, "", {}, ()), render_status)
    with open_chat_store(bot.folder.path, bot.events) as store:
        paired, code = store.paired_person(), store.code_until(datetime.now(UTC))
        rows = [ChatRow(one.at, one.who, one.asked, one.became.value, one.why) for one in reversed(store.last(last))]
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
    {"chat-revoke/1": ("commands.chat.run:Revoked",)},
    epilog="tradebot chat revoke",
)
def revoke(bot: "App") -> Report:
    """End the pairing, so that nobody may ask."""
    from commands.chat.run import Revoked, render_revoked
    from tradebot.adapters.chat.store import open_chat_store
    from tradebot.model.event import EventKind

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
    {"chat-listen/1": ("commands.chat.run:Listened",)},
    in_group=1,
    epilog="tradebot chat listen\ntradebot chat listen --once",
)
@acts
def listen(
    once: Annotated[bool, typer.Option("--once", help="Answer what was written until now, and end.")] = False,
    state_dir: StateDir = None,
    config: Config = None,
    as_json: Json = False,
) -> None:
    """Answer the chat until a signal. `serve` runs this by itself."""
    from commands.chat.listener import Listener
    from commands.chat.run import ONE_IS_ENOUGH, Listened, render_listened, telegram_of
    from tradebot.adapters.chat.store import open_chat_store
    from tradebot.adapters.state import state_locks

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
            pause = listener.turn(0 if once else None)
            if once:
                break
            time.sleep(pause)
        data = Listened(store.recall("trouble") or "")
        code = ExitCode.UNAVAILABLE if data.trouble else ExitCode.DONE
        report = Report("chat-listen", data, render_listened, code, identity(bot))
    finish(report, as_json)
