"""Read an update of Telegram's: only what a person has typed or pressed a moment ago in a private chat passes.

What isn't known to be harmless is refused, so a field that Telegram adds has to be listed here before it passes.
"""

import re
from collections.abc import Iterable
from typing import Any

from msgspec import Struct

from tradebot.adapters.chat.store import Refusal
from tradebot.errors import word
from tradebot.model.text import SYMBOL_PATTERN

MESSAGE = frozenset({"message_id", "from", "chat", "date", "text", "entities", "link_preview_options"})
"""All that a message has which a person typed: one that is forwarded, edited or a reply has more."""
QUERY = frozenset({"id", "from", "message", "chat_instance", "data"})
OLDEST_S, AHEAD_S = 120, 30
LARGEST = 2**53
LOOKS = ("status", "summary", "positions", "pnl", "health", "approvals")
WORDS = (*LOOKS, "why SYMBOL", "halt", "approve ID", "reject ID", "help")
ELSEWHERE = frozenset(
    {"unhalt", "arm", "live", "config", "flatten", "trade", "sell", "buy", "unpair", "revoke", "pair"}
)
_TYPED = re.compile(r"/?([A-Za-z]{1,12})(?: ([A-Za-z0-9.-]{1,40}))?")
_ID = re.compile(r"[a-z0-9][a-z0-9-]{3,39}")
"""A name that begins with a hyphen would be an option."""
_DATA = re.compile(r"([0-9a-f]{32}):([0-9])")
_QUERY_ID = re.compile(r"[A-Za-z0-9_-]{1,64}")


class UnfitError(Exception):
    """Raised for what is refused."""

    def __init__(self, kind: str, detail: str = "") -> None:
        self.refusal = Refusal(kind, detail)
        super().__init__(self.refusal.text)


class Said(Struct, frozen=True):
    """What somebody typed, or the button that they pressed, by the numbers of person, chat and message.

    `query` is what the app waits for an answer to, if a button was pressed.
    """

    user: int
    chat: int
    message: int
    text: str = ""
    button: tuple[str, int] | None = None
    query: str = ""


def number_of(update: object) -> int | None:
    """Return an update's number, or None if it has none."""
    found = update.get("update_id") if isinstance(update, dict) else None
    return found if type(found) is int and 0 < found < LARGEST else None


def sender_of(update: object) -> tuple[str, str]:
    """Return who seems to have sent an update and what it seems to say, for the records, whatever it is."""
    parts = [part for part in update.values() if isinstance(part, dict)] if isinstance(update, dict) else []
    part = parts[0] if parts else {}
    person = part.get("from")
    user = person.get("id") if isinstance(person, dict) else None
    text = part.get("text", part.get("data", ""))
    return (str(user)[:20] if type(user) is int else "nobody"), word(text[:100]) if isinstance(text, str) else ""


def read(update: object, now: float) -> Said:
    """Return what an update says; `now` is in seconds since 1970. Raises UnfitError."""
    whole = _mapping(update, "the update")
    kinds = whole.keys() - {"update_id"}
    if kinds == {"message"}:
        return _typed(_mapping(whole["message"], "the message"), now)
    if kinds == {"callback_query"}:
        return _pressed(_mapping(whole["callback_query"], "the button"))
    raise UnfitError("not a kind of message that is answered", _names(kinds))


def _typed(message: dict[str, Any], now: float) -> Said:
    _nothing_else(message, MESSAGE, "it isn't plainly typed")
    user, chat = _person(message), _private(message)
    number, age = _whole(message, "message_id"), now - _whole(message, "date")
    if age > OLDEST_S:
        raise UnfitError("too old", f"{age:.0f} s")
    if age < -AHEAD_S:
        raise UnfitError("from the future", f"{-age:.0f} s")
    text = message.get("text")
    if not isinstance(text, str):
        raise UnfitError("without a text")
    return Said(user, chat, number, text)


def _pressed(query: dict[str, Any]) -> Said:
    _nothing_else(query, QUERY, "not a button of an ordinary message")
    message = _mapping(query.get("message"), "the button's message")
    data, name = query.get("data"), query.get("id")
    found = _DATA.fullmatch(data) if isinstance(data, str) else None
    if found is None or not isinstance(name, str) or not _QUERY_ID.fullmatch(name):
        raise UnfitError("not a button of this bot")
    user, chat = _person(query), _private(message)
    return Said(user, chat, _whole(message, "message_id"), button=(found[1], int(found[2])), query=name)


def words_of(text: str) -> tuple[str, str]:
    """Return the word and what it is about, such as ("why", "AAPL"). Raises UnfitError."""
    found = _TYPED.fullmatch(text)
    if found is None:
        raise UnfitError("not a word that it knows")
    verb, about = found[1].lower(), found[2] or ""
    if verb in ELSEWHERE:
        raise UnfitError("only where the bot runs", verb)
    if verb == "why" and re.fullmatch(SYMBOL_PATTERN, about.upper()):
        return verb, about.upper()
    if verb in ("approve", "reject") and _ID.fullmatch(about.lower()):
        return verb, about.lower()
    if verb in (*LOOKS, "halt", "help", "start", "yes", "no") and not about:
        return verb, ""
    raise UnfitError("not a word that it knows")


def _mapping(found: object, what: str) -> dict[str, Any]:
    if not isinstance(found, dict):
        raise UnfitError("not in Telegram's form", what)
    return found


def _nothing_else(found: dict[str, Any], known: frozenset[str], why: str) -> None:
    if found.keys() - known:
        raise UnfitError(why, _names(found.keys() - known))


def _names(found: Iterable[str]) -> str:
    return ", ".join(word(name[:100]) for name in sorted(found)[:3]) or "nothing"


def _whole(found: dict[str, Any], name: str) -> int:
    number = found.get(name)
    if type(number) is not int or not 0 < number < LARGEST:
        raise UnfitError("not in Telegram's form", name)
    return number


def _person(found: dict[str, Any]) -> int:
    person = _mapping(found.get("from"), "from")
    if person.get("is_bot") is not False:
        raise UnfitError("not a person")
    return _whole(person, "id")


def _private(found: dict[str, Any]) -> int:
    chat = _mapping(found.get("chat"), "chat")
    if chat.get("type") != "private":
        raise UnfitError("not a private chat")
    return _whole(chat, "id")
