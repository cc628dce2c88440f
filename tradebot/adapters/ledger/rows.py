"""The rows of the ledger's tables, and their text in the journal."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from decimal import Decimal
from typing import Any, NamedTuple, Self

from tradebot.adapters.text.activity_types import meaning_of
from tradebot.adapters.text.canonical import decimal_text, json_text, time_text
from tradebot.adapters.text.codec import encode
from tradebot.model.activity import Entry
from tradebot.model.bar import Session
from tradebot.model.decision import Decision
from tradebot.model.intent import IntentRecord
from tradebot.model.order import Order
from tradebot.model.position import Key, Marks, Origin, OwnedFill
from tradebot.model.trade import TradeNote
from tradebot.model.venue import Settlement


class StoredOpening(NamedTuple):
    """The opening balance, in USD, when it was written, and how the account settles."""

    cash: Decimal
    at: datetime
    settlement: Settlement = Settlement.PAID

    @property
    def words(self) -> Mapping[str, str]:
        """Return the journal's text for it; an account that pays for its positions has only the balance."""
        words = {"cash": decimal_text(self.cash)}
        return words if self.settlement is Settlement.PAID else {**words, "settlement": self.settlement}


class Promise(NamedTuple):
    """An intent with its verdicts, or the texts of both if they were written before."""

    verdicts: Sequence[Decision] = ()
    texts: tuple[str, str] | None = None


class IntentRow(NamedTuple):
    """An intent; the values it was promised with are written once, and never read back from a file."""

    record: IntentRecord
    promise: Promise = Promise()

    @property
    def texts(self) -> tuple[str, str]:
        """Return the intent and its verdicts as JSON."""
        verdicts, texts = self.promise
        return texts or (json_text(encode(self.record.intent)), json_text([encode(one) for one in verdicts]))

    def with_texts(self) -> Self:
        """Return the row with its texts."""
        return self._replace(promise=Promise(texts=self.texts))

    def payload(self) -> bytes:
        """Return what the journal says of the promise."""
        return promised_text(*self.texts)


class StoredOrder(NamedTuple):
    """An order as it was reported last; it was promised if it is ours, or a leg of one of ours."""

    order: Order
    applied_at: datetime
    was_promised: bool


class StoredFill(NamedTuple):
    """A fill as it was written, with its text if it was written before."""

    owned: OwnedFill
    applied_at: datetime
    text: str = ""

    @property
    def body(self) -> str:
        """Return the fill as JSON."""
        return self.text or json_text(encode(self.owned))

    def with_texts(self) -> Self:
        """Return the row with its text."""
        return self._replace(text=self.body)

    def payload(self) -> bytes:
        """Return its journal payload."""
        return self.body.encode()


class CashRow(NamedTuple):
    """A movement of cash as it was written `at`; `happened_at` is the broker's time if that is known."""

    at: datetime
    amount: Decimal
    kind: str
    origin: Origin
    about: str
    why: str
    happened_at: datetime | None = None
    symbol: str = ""
    sub_kind: str = ""

    @property
    def entry(self) -> Entry:
        """Return the booked activity that a row was written for."""
        told = self.about, self.kind, self.amount, self.why, self.happened_at, self.symbol, self.sub_kind
        return Entry(*told, meaning_of(self.kind, self.sub_kind))


class AcknowledgedRow(NamedTuple):
    """A foreign position as it was noted `at`."""

    at: datetime
    symbol: str
    quantity: Decimal
    origin: Origin
    about: str
    why: str


class SessionRow(NamedTuple):
    """A session of a calendar; the venue's own calendar has no name."""

    calendar: str
    session: Session


class MarksRow(NamedTuple):
    """The best and the worst price of a position."""

    held: Key
    marks: Marks


def promised_text(intent: str, verdicts: str) -> bytes:
    """Return a promise's payload, made from the texts in its row."""
    return f'{{"intent":{intent},"verdicts":{verdicts}}}'.encode()


def cash_words(row: CashRow) -> Mapping[str, Any]:
    """Return what the journal and a row say of a movement of cash, without what isn't known."""
    words = {
        "amount": decimal_text(row.amount),
        "origin": row.origin,
        "about": row.about,
        "kind": row.kind,
        "why": row.why,
        "happened_at": time_text(row.happened_at) if row.happened_at else None,
        "symbol": row.symbol or None,
        "sub_kind": row.sub_kind or None,
    }
    return {name: value for name, value in words.items() if value is not None}


def acknowledged_words(row: AcknowledgedRow) -> Mapping[str, Any]:
    """Return what the journal and a row say of a foreign position."""
    quantity = decimal_text(row.quantity)
    return {
        "symbol": row.symbol,
        "quantity": quantity,
        "origin": row.origin,
        "about": row.about,
        "why": row.why,
    }


def note_words(note: TradeNote) -> Mapping[str, Any]:
    """Return what the journal says of a trade's tags and note."""
    strategy, symbol, opened_at = note.trade
    return {
        "strategy": strategy,
        "symbol": symbol,
        "opened_at": time_text(opened_at),
        "tags": list(note.tags),
        "note": note.note,
        "who": note.who,
    }
