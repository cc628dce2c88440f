"""Store the chat's pairing, the number of the next update to read, the buttons shown, and each message's outcome.

An update is recorded before it is acted on, so that a crash never makes the bot do something twice. If the file is
damaged, the pairing is lost, and the bot refuses everyone until a person pairs again.
"""

import hashlib
import hmac
import json
import secrets
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from pathlib import Path

from msgspec import Struct

from tradebot.adapters.state.cache_database import CacheDatabase, CacheStore, DamagedError
from tradebot.adapters.state.state_folder import CHAT
from tradebot.adapters.text.canonical import json_text, parse_time, time_text
from tradebot.errors import OperatorError, TemporaryError
from tradebot.model.event import EventKind
from tradebot.ports.stores import Events

LETTERS = "ABCDEFGHJKMNPQRSTUVWXYZ23456789"
"""The letters of pairing codes, without similar-looking ones."""
CODE_LENGTH = 10
CODE_LIVES, MOST_WRONG = timedelta(minutes=10), 5
KEPT, KEPT_BUTTONS = 1_000, 200
MOST_A_MINUTE = 10
"""How many refused messages per minute are stored one by one; more are only counted."""
NUMBERS_LAST = timedelta(days=6)
"""How long Telegram continues its numbering; after a week without an update, it may start over."""
TABLES = (
    "CREATE TABLE remembered (name TEXT PRIMARY KEY, text TEXT NOT NULL)",
    """CREATE TABLE records (
        id INTEGER PRIMARY KEY, at TEXT NOT NULL, who TEXT NOT NULL, asked TEXT NOT NULL, became TEXT NOT NULL,
        why TEXT NOT NULL
    )""",
    "CREATE TABLE refused (why TEXT PRIMARY KEY, count INTEGER NOT NULL, last_at TEXT NOT NULL)",
    """CREATE TABLE buttons (
        nonce TEXT PRIMARY KEY, message INTEGER NOT NULL, actions TEXT NOT NULL, once INTEGER NOT NULL,
        until TEXT NOT NULL
    )""",
)


class MessageOutcome(StrEnum):
    """How far a message's request got: begun, done, failed, refused, or cut short by the end of the process."""

    BEGUN = "begun"
    DONE = "done"
    FAILED = "failed"
    REFUSED = "refused"
    CUT_SHORT = "cut short"


class PairedPerson(Struct, frozen=True):
    """The paired person: the ids of the user and of the private chat, and the time of pairing."""

    user: int
    chat: int
    at: datetime


class ChatRefusal(Struct, frozen=True):
    """The refusal of a message: its kind, for counting, and the details."""

    kind: str
    detail: str = ""

    @property
    def text(self) -> str:
        """Format the refusal as one line."""
        return f"{self.kind}: {self.detail}" if self.detail else self.kind


class MessageRecord(Struct, frozen=True):
    """One message: its sender, its request, the outcome, and the reason for it."""

    id: int
    at: datetime
    who: str
    asked: str
    became: MessageOutcome
    why: str


class ChatStore(CacheStore):
    """The stored state of a bot's chat, in its state folder."""

    FILE = CacheDatabase("chat records", 0x54424831, 1, TABLES)
    STARTED_OVER = EventKind.CHAT_BEGUN_ANEW

    def __init__(self, folder: Path, events: Events) -> None:
        super().__init__(folder / CHAT, events, datetime.now(UTC))

    def recall(self, name: str) -> str | None:
        """Return the text stored under a name, or None."""
        with self._guard():
            rows = self._database.execute("SELECT text FROM remembered WHERE name = ?", (name,)).fetchall()
            return str(rows[0][0]) if rows else None

    def remember(self, name: str, text: str) -> None:
        """Store a text under a name."""
        with self._write():
            self._put(name, text)

    def paired_person(self) -> PairedPerson | None:
        """Return the paired person, or None."""
        with self._guard(ValueError, KeyError, TypeError):
            text = self.recall("paired")
            chat = json.loads(text) if text else None
            return PairedPerson(int(chat["user"]), int(chat["chat"]), parse_time(chat["at"])) if chat else None

    def new_code(self, now: datetime) -> str:
        """Create a new pairing code, replacing any earlier one, and return it; only its digest is stored."""
        code = "".join(secrets.choice(LETTERS) for _ in range(CODE_LENGTH))
        self.remember("code", json_text({"digest": _digest(code), "until": time_text(now + CODE_LIVES), "wrong": 0}))
        return code

    def code_until(self, now: datetime) -> datetime | None:
        """Return when the pairing code expires, or None if there is none."""
        with self._guard(ValueError, KeyError, TypeError):
            text = self.recall("code")
            pairing = json.loads(text) if text else None
            until = parse_time(pairing["until"]) if pairing and pairing["wrong"] < MOST_WRONG else None
            return until if until is not None and until > now else None

    def pair(self, code: str, user: int, chat: int, now: datetime) -> bool:
        """Pair the person and the chat, and return True, if the code is right; otherwise count the attempt.

        Call this only while a code is valid.
        """
        with self._write():
            text = self.recall("code")
            pairing = json.loads(text or "{}")
            if text is None or not hmac.compare_digest(pairing["digest"], _digest(code)):
                self._put("code", json_text({**pairing, "wrong": pairing.get("wrong", 0) + 1}))
                return False
            self._put("paired", json_text({"user": user, "chat": chat, "at": time_text(now)}))
            self._database.execute("DELETE FROM remembered WHERE name = 'code'")
            self._database.execute("DELETE FROM buttons")
        return True

    def revoke(self) -> None:
        """Delete the pairing, any code, and every button."""
        with self._write():
            self._database.execute("DELETE FROM remembered WHERE name IN ('paired', 'code')")
            self._database.execute("DELETE FROM buttons")

    def offset(self, now: datetime) -> int | None:
        """Return the number of the next update to request; None if none was recorded in the last 6 days.

        With None, the request asks for any update.
        """
        with self._guard(ValueError, TypeError):
            text = self.recall("offset")
            if text is None:
                return None
            number, at = json.loads(text)
            return int(number) if now - parse_time(at) < NUMBERS_LAST else None

    def take(
        self, number: int, now: datetime, who: str, request: str, refusal: ChatRefusal | None = None
    ) -> int | None:
        """Record an update before it is acted on; return the record's id, or None if the update was already recorded.

        With a `refusal`, the update is recorded as refused.
        """
        with self._write():
            offset = self.offset(now)
            if offset is not None and number < offset:
                return None
            self._put("offset", json.dumps([number + 1, time_text(now)]))
            return (
                self._refuse(now, who, request, refusal)
                if refusal
                else self._insert(now, who, request, MessageOutcome.BEGUN, "")
            )

    def refuse(self, now: datetime, who: str, request: str, refusal: ChatRefusal) -> None:
        """Record a refusal without an update number."""
        with self._write():
            self._refuse(now, who, request, refusal)

    def record_refusal(self, id_: int, refusal: ChatRefusal) -> None:
        """Record that a message was refused after it was taken."""
        self.record_outcome(id_, MessageOutcome.REFUSED, refusal.text)
        with self._write():
            self._count(refusal.kind, datetime.now(UTC))

    def means(self, id_: int, request: str) -> None:
        """Replace a message's recorded request, once the pressed button's action is known."""
        with self._write():
            self._database.execute("UPDATE records SET asked = ? WHERE id = ?", (request, id_))

    def record_outcome(self, id_: int, became: MessageOutcome, why: str) -> None:
        """Record a message's outcome."""
        with self._write():
            self._database.execute("UPDATE records SET became = ?, why = ? WHERE id = ?", (became, why, id_))

    def cut_short(self) -> Sequence[MessageRecord]:
        """Return the requests that an interrupted process left unfinished, and record that they were interrupted."""
        with self._write():
            message_records = self._records("WHERE became = ? ORDER BY id", MessageOutcome.BEGUN)
            self._database.execute(
                "UPDATE records SET became = ? WHERE became = ?", (MessageOutcome.CUT_SHORT, MessageOutcome.BEGUN)
            )
        return message_records

    def show(self, nonce: str, message: int, actions: Sequence[str], until: datetime, *, once: bool) -> None:
        """Save the actions of a sent message's buttons, which are valid before `until`; with `once`, only the first
        press counts.
        """
        row = (nonce, message, json_text(list(actions)), once, time_text(until))
        with self._write():
            self._database.execute("INSERT INTO buttons VALUES (?, ?, ?, ?, ?)", row)
            newest = "SELECT rowid FROM buttons ORDER BY rowid DESC LIMIT ?"
            self._database.execute(f"DELETE FROM buttons WHERE rowid NOT IN ({newest})", (KEPT_BUTTONS,))  # noqa: S608

    def press(self, nonce: str, index: int, message: int, now: datetime) -> str | None:
        """Return the action of the pressed button, or None if it isn't valid now; delete one-time buttons."""
        with self._write():
            query = "SELECT actions, once FROM buttons WHERE nonce = ? AND message = ? AND until > ?"
            row = self._database.execute(query, (nonce, message, time_text(now))).fetchone()
            actions = json.loads(row[0]) if row else []
            if index >= len(actions):
                return None
            if row[1]:
                self._database.execute("DELETE FROM buttons WHERE nonce = ?", (nonce,))
            return str(actions[index])

    def open_question(self, action: str, now: datetime) -> tuple[str, int] | None:
        """Return the nonce and message id of the newest open question whose first button means `action`, or None."""
        query = "SELECT nonce, message, actions FROM buttons WHERE once AND until > ? ORDER BY rowid DESC"
        with self._guard(ValueError):
            rows = self._database.execute(query, (time_text(now),)).fetchall()
            return next(((str(nonce), int(m)) for nonce, m, text in rows if json.loads(text)[0] == action), None)

    def refusals(self) -> Mapping[str, int]:
        """Return the number of refusals by reason."""
        with self._guard():
            rows = self._database.execute("SELECT why, count FROM refused ORDER BY count DESC, why").fetchall()
            return {str(why): int(count) for why, count in rows}

    def last(self, count: int) -> Sequence[MessageRecord]:
        """Return the last `count` records, newest first."""
        return self._records("ORDER BY id DESC LIMIT ?", count)

    def _records(self, where: str, *values: object) -> Sequence[MessageRecord]:
        query = f"SELECT id, at, who, asked, became, why FROM records {where}"  # noqa: S608 - our own words
        with self._guard(ValueError):
            return [
                MessageRecord(int(id_), parse_time(at), who, request, MessageOutcome(became), why)
                for id_, at, who, request, became, why in self._database.execute(query, values)
            ]

    def _refuse(self, now: datetime, who: str, request: str, refusal: ChatRefusal) -> int:
        """Record a refusal, without its own row if many equal ones would displace everything else."""
        self._count(refusal.kind, now)
        recent = "SELECT count(*) FROM records WHERE became = ? AND at > ?"
        since = time_text(now - timedelta(minutes=1))
        ((flood,),) = self._database.execute(recent, (MessageOutcome.REFUSED, since)).fetchall()
        return self._insert(now, who, request, MessageOutcome.REFUSED, refusal.text) if flood < MOST_A_MINUTE else 0

    def _count(self, kind: str, now: datetime) -> None:
        count = "INSERT INTO refused VALUES (?, 1, ?) ON CONFLICT (why) DO UPDATE SET count = count + 1, last_at = ?"
        self._database.execute(count, (kind, time_text(now), time_text(now)))

    def _insert(self, now: datetime, who: str, request: str, became: MessageOutcome, why: str) -> int:
        row = (time_text(now), who, request, became, why)
        query = "INSERT INTO records (at, who, asked, became, why) VALUES (?, ?, ?, ?, ?)"
        id_ = self._database.execute(query, row).lastrowid
        self._database.execute("DELETE FROM records WHERE id <= ?", ((id_ or 0) - KEPT,))
        return id_ or 0

    def _put(self, name: str, text: str) -> None:
        self._database.execute("INSERT OR REPLACE INTO remembered (name, text) VALUES (?, ?)", (name, text))

    def _damage_error(self) -> TemporaryError:
        return TemporaryError("The chat's records were damaged, so new ones were started.", "Pair again.")


@contextmanager
def open_chat_store(folder: Path, events: Events) -> Iterator[ChatStore]:
    """Yield the store of the bot's chat, and close it when the block ends."""
    store = ChatStore(folder, events)
    try:
        yield store
    finally:
        store.close()


class PairingGlance(Struct, frozen=True):
    """Whether a person is paired, and Telegram's last error."""

    paired: bool
    trouble: str


def glance(folder: Path) -> PairingGlance:
    """Return the pairing's state; nothing is created or changed. Raise OperatorError if its records are damaged."""
    path = folder / CHAT
    if not path.exists():
        return PairingGlance(False, "")
    try:
        with closing(ChatStore.FILE.open(path)) as database, ChatStore.FILE.translate_errors(path):
            remembered = dict(database.execute("SELECT name, text FROM remembered WHERE name IN ('paired', 'trouble')"))
    except (DamagedError, ValueError) as error:
        raise OperatorError(f"The chat's records {path} are damaged: {error}.", "tradebot chat status") from error
    return PairingGlance(bool(remembered.get("paired")), str(remembered.get("trouble") or ""))


def require_unpaired(store: ChatStore) -> None:
    """Raise OperatorError if someone is paired already: a bot has one person and one chat."""
    paired = store.paired_person()
    if paired is not None:
        raise OperatorError(
            f"the chat is already paired with user {paired.user}",
            "to pair somebody else, first run tradebot chat revoke",
        )


def _digest(code: str) -> str:
    return hashlib.sha256(code.encode()).hexdigest()
