"""Process the chat: handle each message once, refuse messages from anyone else, and reply with the bot's verbs.

It only starts verbs of the bot in separate processes, from a fixed table, so nothing here delays or fails a pass.

Only known message fields are accepted, so a message with a field that Telegram adds later is refused until this module
lists the field.
"""

import json
import re
import secrets
import time
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

from msgspec import Struct

from commands.chat import answers
from commands.shared.light_helpers import document_in
from tradebot.adapters.chat.store import CODE_LENGTH, ChatRefusal, ChatStore, MessageOutcome
from tradebot.adapters.chat.telegram import Telegram, TelegramUnavailableError, TooLargeError
from tradebot.adapters.state.state_folder import APPROVALS
from tradebot.adapters.state.subprocess_runner import Confirmation, ConfirmedAt, OneShots
from tradebot.app.wiring import App
from tradebot.errors import word
from tradebot.model.event import EventKind
from tradebot.model.sentences import SYMBOL_PATTERN
from tradebot.model.trading import Mode

MESSAGE = frozenset({"message_id", "from", "chat", "date", "text", "entities", "link_preview_options"})
"""The fields of a message that a person typed: a forwarded, edited or reply message has more."""
QUERY = frozenset({"id", "from", "message", "chat_instance", "data"})
OLDEST_S, AHEAD_S = 120, 30
LARGEST = 2**53
LOOKS = ("status", "summary", "positions", "pnl", "health", "approvals")
WORDS = (*LOOKS, "why SYMBOL", "halt", "approve ID", "reject ID", "help")
CLOSE = "close SYMBOL"
"""The additional command that is offered if the settings let the chat close positions."""
ELSEWHERE = frozenset(
    {"unhalt", "arm", "live", "config", "flatten", "trade", "sell", "buy", "unpair", "revoke", "pair"}
)
_TYPED = re.compile(r"/?([A-Za-z]{1,12})(?: ([A-Za-z0-9.-]{1,40}))?(?: ([0-9]{1,12}(?:\.[0-9]{1,9})?))?")
_ID = re.compile(r"[a-z0-9][a-z0-9-]{3,39}")
"""The format of a request's id: it can't begin with a hyphen, because a verb would take it for an option."""
_DATA = re.compile(r"([0-9a-f]{32}):([0-9])")
_QUERY_ID = re.compile(r"[A-Za-z0-9_-]{1,64}")


class RefusedMessageError(Exception):
    """Raised for a message that is refused."""

    def __init__(self, kind: str, detail: str = "") -> None:
        self.refusal = ChatRefusal(kind, detail)
        super().__init__(self.refusal.text)


class ChatMessage(Struct, frozen=True):
    """A typed message or a pressed button, with the ids of its sender, its chat and the message.

    `query` is the id of the button press that the app expects a reply to, if any.
    """

    user: int
    chat: int
    message: int
    text: str = ""
    button: tuple[str, int] | None = None
    query: str = ""


def number_of(update: object) -> int | None:
    """Return an update's `update_id`, the number that Telegram gave it, or None if it has none."""
    number = update.get("update_id") if isinstance(update, dict) else None
    return number if type(number) is int and 0 < number < LARGEST else None


def sender_of(update: object) -> tuple[str, str]:
    """Return an update's apparent sender and text for the records, even if the update is invalid."""
    parts = [part for part in update.values() if isinstance(part, dict)] if isinstance(update, dict) else []
    part = parts[0] if parts else {}
    person = part.get("from")
    user = person.get("id") if isinstance(person, dict) else None
    text = part.get("text", part.get("data", ""))
    return (str(user)[:20] if type(user) is int else "nobody"), word(text[:100]) if isinstance(text, str) else ""


def read(update: object, now: float) -> ChatMessage:
    """Parse an update; `now` is in seconds since 1970.

    Raises RefusedMessageError for an update that the bot doesn't answer.
    """
    whole = _mapping(update, "the update")
    kinds = whole.keys() - {"update_id"}
    if kinds == {"message"}:
        return _read_typed(_mapping(whole["message"], "the message"), now)
    if kinds == {"callback_query"}:
        return _read_button(_mapping(whole["callback_query"], "the button"))
    raise RefusedMessageError("not a kind of message that the bot answers", _names(kinds))


def _read_typed(message: dict[str, Any], now: float) -> ChatMessage:
    _nothing_else(message, MESSAGE, "not a plainly typed message")
    user, chat = _person(message), _private(message)
    number, age = _whole(message, "message_id"), now - _whole(message, "date")
    if age > OLDEST_S:
        raise RefusedMessageError("too old", f"{age:.0f} s")
    if age < -AHEAD_S:
        raise RefusedMessageError("from the future", f"{-age:.0f} s")
    text = message.get("text")
    if not isinstance(text, str):
        raise RefusedMessageError("without a text")
    return ChatMessage(user, chat, number, text)


def _read_button(query: dict[str, Any]) -> ChatMessage:
    _nothing_else(query, QUERY, "not a button of an ordinary message")
    message = _mapping(query.get("message"), "the button's message")
    data, name = query.get("data"), query.get("id")
    match = _DATA.fullmatch(data) if isinstance(data, str) else None
    if match is None or not isinstance(name, str) or not _QUERY_ID.fullmatch(name):
        raise RefusedMessageError("not a button of this bot")
    user, chat = _person(query), _private(message)
    return ChatMessage(user, chat, _whole(message, "message_id"), button=(match[1], int(match[2])), query=name)


def words_of(text: str) -> tuple[str, str, str]:
    """Split a text into its command, the argument, and an amount to close, such as ("close", "AAPL", "10").

    Raises RefusedMessageError if the text isn't a command, or if the command is only allowed on the bot's own machine.
    """
    match = _TYPED.fullmatch(text)
    if match is None:
        raise RefusedMessageError("not a command that the bot knows")
    verb, about, amount = match[1].lower(), match[2] or "", match[3]
    if verb in ELSEWHERE:
        raise RefusedMessageError("possible only on the machine where the bot runs", verb)
    if verb == "close" and re.fullmatch(SYMBOL_PATTERN, about.upper()):
        return verb, about.upper(), "" if amount is None else _plain(Decimal(amount))
    if amount is not None:
        raise RefusedMessageError("not a command that the bot knows")
    if verb == "why" and re.fullmatch(SYMBOL_PATTERN, about.upper()):
        return verb, about.upper(), ""
    if verb in ("approve", "reject") and _ID.fullmatch(about.lower()):
        return verb, about.lower(), ""
    if verb in (*LOOKS, "halt", "help", "start", "yes", "no") and not about:
        return verb, "", ""
    raise RefusedMessageError("not a command that the bot knows")


def _plain(amount: Decimal) -> str:
    """Return an amount as a person types it: in plain digits, without trailing zeros."""
    return f"{amount.normalize():f}"


def _mapping(value: object, what: str) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise RefusedMessageError("not in Telegram's format", what)
    return value


def _nothing_else(fields: dict[str, Any], names: frozenset[str], why: str) -> None:
    if fields.keys() - names:
        raise RefusedMessageError(why, _names(fields.keys() - names))


def _names(names: Iterable[str]) -> str:
    return ", ".join(word(name[:100]) for name in sorted(names)[:3]) or "nothing"


def _whole(value: dict[str, Any], name: str) -> int:
    number = value.get(name)
    if type(number) is not int or not 0 < number < LARGEST:
        raise RefusedMessageError("not in Telegram's format", name)
    return number


def _person(value: dict[str, Any]) -> int:
    person = _mapping(value.get("from"), "from")
    if person.get("is_bot") is not False:
        raise RefusedMessageError("not a person")
    return _whole(person, "id")


def _private(value: dict[str, Any]) -> int:
    chat = _mapping(value.get("chat"), "chat")
    if chat.get("type") != "private":
        raise RefusedMessageError("not a private chat")
    return _whole(chat, "id")


POLL_S, POLL_ASKING_S = 25, 3
"""How long Telegram may wait for a message, and how long while entries may wait for approval."""
LIMIT_S = 120.0
MOST_OUTPUT = 1_000_000
QUESTION, CLOSE_QUESTION, MENU = timedelta(minutes=2), timedelta(seconds=60), timedelta(days=1)
FIRST_PAUSE_S, LONGEST_PAUSE_S = 1.0, 60.0
REFUSALS_EVERY_S = 600.0
MOST_HINTS_A_MINUTE = 5
TRIES = 3
TAKEN = ChatRefusal("taken before")
HALT, KEEP, KEEP_POSITION = "halt-now", "not-halt", "not-close"
"""The codes of answers to a question; because of their hyphens, nobody can type them as commands."""
ACTS = frozenset({"halt", "approve", "reject", "close"})
SHOWN = (("Status", "status"), ("Positions", "positions"), ("P&L", "pnl"), ("Health", "health"), ("Halt …", "halt"))
VERBS: Mapping[str, Sequence[str]] = {
    "status": ("status", "--json"),
    "summary": ("summary", "--short"),
    "positions": ("positions", "--json"),
    "pnl": ("pnl", "--json"),
    "health": ("health", "--json"),
    "approvals": ("approvals", "--json"),
    "why": ("why-no-orders", "{about}", "--json"),
    "approve": ("approve", "{about}", "--json"),
    "reject": ("reject", "{about}", "--json"),
    "halt": ("halt", "--reason", "{about}", "--json"),
    "close": ("flatten", "{about}", "--json"),
}
"""The command line of each word: no other command is ever started, and none through a shell."""


class Listener:
    """Answers the messages in a bot's chat, one poll after another."""

    def __init__(self, app: "App", telegram: Telegram, store: ChatStore, config: str | None) -> None:
        self._app, self._telegram, self._store = app, telegram, store
        self._run = OneShots(app.folder.path, config, MOST_OUTPUT, "chat")
        self._asks = any(app.settings.approval_of(name).wait_s for name in app.settings.strategies.sections())
        self._approvals: object = None
        self._refused, self._told_at = Counter[str](), float("-inf")
        self._hints: list[float] = []
        self._most, self._failures = 0, 0

    def begin(self) -> None:
        """Report requests that an earlier process began and didn't finish; none is repeated automatically."""
        paired = self._store.paired_person()
        for record in self._store.cut_short():
            if paired is not None:
                cut = f"I was interrupted during: {record.asked}. Check status, then ask again."
                self._say(paired.chat, [cut])

    def poll_once(self, wait_s: int | None = None) -> float:
        """Fetch messages once and reply to them; return the seconds to wait before the next call."""
        try:
            self._push_requests()
            wait_s = (POLL_ASKING_S if self._asks else POLL_S) if wait_s is None else wait_s
            taken = [self._take(update) for update in self._updates(wait_s)]
        except TelegramUnavailableError as trouble:
            return self._trouble(trouble)
        if self._failures:
            self._store.remember("trouble", "")
        self._failures = 0
        self._tell_refusals()
        # A batch that moved nothing on would come again at once.
        return 0.0 if any(taken) or not taken else FIRST_PAUSE_S

    def _updates(self, wait_s: int) -> Sequence[object]:
        now, most, self._most = datetime.now(UTC), self._most, 0
        try:
            return self._telegram.updates(self._store.offset(now), wait_s, *([most] if most else []))
        except TooLargeError as large:
            if most == 1 and large.number is not None:
                self._refuse("nobody", "", ChatRefusal("too large"), large.number)
                return ()
            # One by one, to find the one that is too large.
            self._most = 1
            raise

    def _trouble(self, trouble: TelegramUnavailableError) -> float:
        self._failures += 1
        self._store.remember("trouble", str(trouble))
        return max(trouble.wait_s, min(FIRST_PAUSE_S * 2.0 ** min(self._failures - 1, 10), LONGEST_PAUSE_S))

    def _take(self, update: object) -> bool:
        """Handle one update; return True if its number was new."""
        number, (who, text) = number_of(update), sender_of(update)
        paired = self._store.paired_person()
        try:
            chat_message = read(update, time.time())
            if paired is None:
                return self._pair(number, chat_message)
            if (chat_message.user, chat_message.chat) != (paired.user, paired.chat):
                raise RefusedMessageError("from somebody else")
            if number is None:
                raise RefusedMessageError("not in Telegram's format", "update_id")
            words = words_of(chat_message.text) if chat_message.button is None else ("a button", "", "")
        except RefusedMessageError as unfit:
            own = paired is not None and who == str(paired.user)
            news = self._refuse(who, text if own else "", unfit.refusal, number)
            if own and news and paired is not None:
                self._hint(paired.chat, str(unfit))
            return news
        return self._ask_back(number, chat_message, *words)

    def _pair(self, number: int | None, chat_message: ChatMessage) -> bool:
        """Pair the sender if the code is right; any other text that looks like a code counts as a wrong one."""
        now, code = datetime.now(UTC), chat_message.text.strip().upper()
        fits = chat_message.button is None and len(code) == CODE_LENGTH and code.isascii() and code.isalnum()
        if number is None or not fits or self._store.code_until(now) is None:
            raise RefusedMessageError("nobody is paired")
        id_ = self._store.take(number, now, str(chat_message.user), "a code")
        if id_ is None:
            raise RefusedMessageError("taken before")
        if not self._store.pair(code, chat_message.user, chat_message.chat, now):
            self._refused_late(id_, ChatRefusal("not the code"))
            return True
        self._store.record_outcome(id_, MessageOutcome.DONE, "")
        self._app.events.emit(EventKind.CHAT_PAIRED.at(self._app.stamp_time(), {"person": str(chat_message.user)}))
        paired = "Paired. Only you, and only from this chat, can ask me now."
        self._say(chat_message.chat, [paired, *_help(self._app)], SHOWN)
        return True

    def _ask_back(self, number: int, chat_message: ChatMessage, verb: str, about: str, amount: str) -> bool:
        now, who = datetime.now(UTC), str(chat_message.user)
        id_ = self._store.take(number, now, who, f"{verb} {about} {amount}".strip())
        if id_ is None:
            self._refuse(who, "", TAKEN)
            return False
        if chat_message.query:
            self._quietly(chat_message.query)
        try:
            if verb == "close":
                self._require_close(about, amount, now)
            verb, about = self._word_meant(chat_message, verb, about, now)
        except RefusedMessageError as unfit:
            self._refused_late(id_, unfit.refusal)
            self._hint(chat_message.chat, str(unfit))
            return True
        self._store.means(id_, f"{verb} {about} {amount}".strip())
        became = (
            self._close(chat_message, about, amount, now)
            if verb == "close"
            else self._do(chat_message, verb, about, now)
        )
        self._store.record_outcome(id_, *became)
        return True

    def _word_meant(self, chat_message: ChatMessage, verb: str, about: str, now: datetime) -> tuple[str, str]:
        """Return the word that a button stands for, or that a typed yes or no means."""
        pressed, message = chat_message.button, chat_message.message
        if verb in ("yes", "no"):
            question = self._store.open_question(HALT, now)
            if question is None:
                raise RefusedMessageError("no question was asked in the last two minutes")
            (nonce, message), index = question, int(verb == "no")
            pressed = (nonce, index)
        if pressed is None:
            return verb, about
        action = self._store.press(*pressed, message, now)
        if action is None:
            raise RefusedMessageError("not a button that can still be pressed")
        verb, _, about = action.partition(" ")
        return verb, about

    def _require_close(self, symbol: str, amount: str, now: datetime) -> None:
        """Raise RefusedMessageError if the chat may not close, or if the typed amount wasn't offered within the last
        minute.
        """
        if not self._app.settings.chat.may_close:
            raise RefusedMessageError("possible only on the machine where the bot runs", "close")
        if self._app.mode is Mode.LIVE:
            raise RefusedMessageError("with real money, possible only on the web pages or the bot's machine", "close")
        if not amount:
            return
        question = self._store.open_question(f"{KEEP_POSITION} {symbol} {amount}", now)
        # It is used up here, before anything is sent, so that the same message can't close twice.
        if question is None or self._store.press(question[0], 0, question[1], now) is None:
            raise RefusedMessageError(
                f"no question about that amount was asked in the last minute; to ask again, send close {symbol}"
            )

    def _do(self, chat_message: ChatMessage, verb: str, about: str, now: datetime) -> tuple[MessageOutcome, str]:
        """Do what the message requests, and reply; return the outcome."""
        if verb in ("help", "start"):
            return self._say(chat_message.chat, _help(self._app), SHOWN)
        if verb in (KEEP, KEEP_POSITION):
            return self._say(chat_message.chat, ["Not halted." if verb == KEEP else "Not closed."])
        if verb == "halt":
            return self._ask_to_halt(chat_message.chat, now)
        verb, about = (
            ("halt", f"asked for in the paired chat by person {chat_message.user}") if verb == HALT else (verb, about)
        )
        done, lines, document = self._answer(verb, about)
        if verb in ACTS:
            self._record_act(chat_message, f"{verb} {about}", done)
        waiting = document.get("approvals", ()) if verb == "approvals" else ()
        became = self._say(chat_message.chat, lines, SHOWN if verb == "status" else ())
        for row in waiting[: answers.WITH_BUTTONS]:
            self._push(chat_message.chat, row)
        return became if done else (MessageOutcome.FAILED, lines[0] if lines else "")

    def _record_act(self, chat_message: ChatMessage, words: str, done: bool) -> None:
        """Write into the bot's log what the paired person did, and whether it worked."""
        details = {"asked": words[:100], "done": str(done).lower(), "person": str(chat_message.user)}
        self._app.events.emit(EventKind.CHAT_ACTED.at(self._app.stamp_time(), details))

    def _close(self, chat_message: ChatMessage, symbol: str, amount: str, now: datetime) -> tuple[MessageOutcome, str]:
        """Ask how much of a symbol is to be closed; or close all of it if that amount is what the bot holds."""
        able, lines, document = self._answer("positions", "")
        if not able:
            self._say(chat_message.chat, lines)
            return MessageOutcome.FAILED, lines[0] if lines else ""
        shares = _plain(answers.shares_held(document, symbol))
        if shares == "0" or (amount and amount != shares):
            why = f"The bot's own position is now {shares} {symbol}."
            self._say(chat_message.chat, [f"Nothing closed. {why}"])
            return MessageOutcome.FAILED, why
        if not amount:
            text = [
                *answers.of_position(document, symbol),
                f"To close it, send this within 60 seconds: close {symbol} {shares}",
            ]
            no = (("No", f"{KEEP_POSITION} {symbol} {shares}"),)
            return self._say(chat_message.chat, text, no, once=True, until=now + CLOSE_QUESTION)
        done, lines, _ = self._answer("close", symbol, Confirmation(ConfirmedAt.CHAT, symbol))
        self._record_act(chat_message, f"close {symbol} {amount}", done)
        became = self._say(chat_message.chat, lines)
        return became if done else (MessageOutcome.FAILED, lines[0] if lines else "")

    def _ask_to_halt(self, chat: int, now: datetime) -> tuple[MessageOutcome, str]:
        text = [
            "Halt? The bot opens no positions until someone ends the halt on its machine; exits continue. "
            "Answer within 2 minutes."
        ]
        return self._say(chat, text, (("Yes, halt", HALT), ("No", KEEP)), once=True, until=now + QUESTION)

    def _answer(
        self, verb: str, about: str, confirmation: Confirmation | None = None
    ) -> tuple[bool, list[str], Mapping[str, Any]]:
        """Run a verb of the table; return whether it did its work, the answer's lines, and its data."""
        words = [part.replace("{about}", about) for part in VERBS[verb]]
        ended = self._run(words, LIMIT_S, lambda: False, confirmation)
        if "--json" not in VERBS[verb]:
            return ended.code == 0, ended.output.splitlines(), {}
        document = document_in(ended.output)
        if document is None:
            return False, [f"No answer: {ended.why or f'exit {ended.code}'}. Check the machine where the bot runs."], {}
        if "error" in document:
            return False, list(answers.of_error(document)), {}
        # The other verbs also report findings by their exit code.
        done = ended.code == 0 or confirmation is None
        return done, list(answers.VIEWS[verb](document["data"])), document["data"]

    def _push_requests(self) -> None:
        """Show the paired person each entry that waits for approval, once.

        The approvals are only read if their file has changed since the last call.
        """
        paired, path = self._store.paired_person(), self._app.folder.path
        if not self._asks or paired is None:
            return
        files = [path / f"{APPROVALS}{ending}" for ending in ("", "-wal")]
        stamps = [(file.stat().st_mtime_ns, file.stat().st_size) for file in files if file.exists()]
        if not stamps or stamps == self._approvals:
            return
        _, _, data = self._answer("approvals", "")
        shown = json.loads(self._store.recall("requests") or "[]")
        for row in data.get("approvals", ()):
            if row["state"] == "waiting" and row["id"] not in shown:
                self._push(paired.chat, row)
        self._approvals = stamps

    def _push(self, chat: int, row: Mapping[str, Any]) -> None:
        name, symbol = row["id"], row["symbol"]
        buttons = ((f"Approve {symbol}", f"approve {name}"), (f"Reject {symbol}", f"reject {name}"))
        lines = ["An entry waits for your approval:", *answers.of_request(row)]
        self._say(chat, lines, buttons, once=True)
        shown = json.loads(self._store.recall("requests") or "[]")
        self._store.remember("requests", json.dumps([*shown, name][-200:]))

    def _say(
        self,
        chat: int,
        lines: Sequence[str],
        buttons: Sequence[tuple[str, str]] = (),
        *,
        once: bool = False,
        until: datetime | None = None,
    ) -> tuple[MessageOutcome, str]:
        """Send a message and return the outcome.

        The buttons contain only a nonce and their index; what they mean is stored on this machine.
        """
        nonce = secrets.token_hex(16)
        row = [(label, f"{nonce}:{index}") for index, (label, _) in enumerate(buttons)]
        text = answers.message(lines, str(self._app.folder.path)).strip() or "There is nothing to report."
        text = text.replace(self._app.folder.account_number, f"...{self._app.account_tail}")
        for remaining in reversed(range(TRIES)):
            try:
                message = self._telegram.send(chat, text, [row[at : at + 3] for at in range(0, len(row), 3)])
            except TelegramUnavailableError as trouble:
                if not remaining:
                    return MessageOutcome.FAILED, f"the answer wasn't delivered: {trouble}"
                time.sleep(trouble.wait_s or FIRST_PAUSE_S)
                continue
            if row and message is not None:
                actions = [action for _, action in buttons]
                self._store.show(nonce, message, actions, until or datetime.now(UTC) + MENU, once=once)
            return MessageOutcome.DONE, ""
        raise AssertionError("the last try returns")

    def _quietly(self, query: str) -> None:
        try:
            self._telegram.answer_button(query, "")
        except TelegramUnavailableError as trouble:
            self._store.remember("trouble", str(trouble))

    def _refused_late(self, id_: int, refusal: ChatRefusal) -> None:
        self._store.record_refusal(id_, refusal)
        self._refused[refusal.kind] += 1

    def _refuse(self, who: str, request: str, refusal: ChatRefusal, number: int | None = None) -> bool:
        """Record a refusal; return True if the update's number was new."""
        now, news = datetime.now(UTC), False
        if number is not None:
            news = self._store.take(number, now, who, request, refusal) is not None
        if not news:
            refusal = refusal if number is None else TAKEN
            self._store.refuse(now, who, request, refusal)
        self._refused[refusal.kind] += 1
        return news

    def _hint(self, chat: int, why: str) -> None:
        """Tell the paired person why nothing was done, unless that was said often enough within the minute."""
        now = time.monotonic()
        self._hints = [at for at in self._hints if now - at < 60]
        if len(self._hints) < MOST_HINTS_A_MINUTE:
            self._hints.append(now)
            self._say(chat, [f"Nothing done: {why}.", "Send help to see what I can do."])

    def _tell_refusals(self) -> None:
        """Emit an event with the refused messages, at most every ten minutes."""
        if self._refused and time.monotonic() - self._told_at > REFUSALS_EVERY_S:
            details = {why: str(count) for why, count in self._refused.most_common(20)}
            self._app.events.emit(EventKind.CHAT_REFUSED.at(self._app.stamp_time(), details))
            self._refused, self._told_at = Counter(), time.monotonic()


def _help(app: App) -> list[str]:
    closes = (CLOSE,) if app.settings.chat.may_close and app.mode is not Mode.LIVE else ()
    return [
        f"I know: {', '.join([*WORDS, *closes])}.",
        "Everything else can only be done on the machine where the bot runs.",
    ]
