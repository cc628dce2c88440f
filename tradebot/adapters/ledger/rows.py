"""Define the rows of the ledger's tables, and their journal payloads.

This module also encodes and decodes the JSON text in columns and query parameters.
"""

import json
import sys
from collections.abc import Collection, Iterable, Mapping, Sequence
from datetime import datetime
from decimal import Decimal
from functools import lru_cache
from typing import Any, NamedTuple, Self, TypeVar

from tradebot.adapters.state.state_folder import REBUILD
from tradebot.adapters.text.activity_types import meaning_of
from tradebot.adapters.text.canonical import decimal_text, json_text, parse_time, time_text
from tradebot.adapters.text.codec import decode, encode
from tradebot.errors import DamagedBooksError
from tradebot.model.account import Entry
from tradebot.model.bar import Session
from tradebot.model.candidate import Component, ScaleOutLevel, Side
from tradebot.model.decision import Decision
from tradebot.model.instrument import ONE
from tradebot.model.intent import IntentRecord
from tradebot.model.order import Fee, Fill, Order
from tradebot.model.position import EntryTerms, Key, Marks, Origin, OwnedFill
from tradebot.model.struct_tools import replace
from tradebot.model.trade import TradeNote
from tradebot.model.venue import Settlement

T = TypeVar("T")

CACHED_VALUES = 5_000

_SIDES, _ORIGINS = {side.value: side for side in Side}, {origin.value: origin for origin in Origin}

_parse = json.JSONDecoder().raw_decode

_number = lru_cache(maxsize=1_000)(Decimal)


def decode_as(kind: type[T], text: str) -> T:
    """Parse a stored dataclass; raise DamagedBooksError if its text is invalid."""
    try:
        return decode(kind, json.loads(text))
    except ValueError as error:
        raise DamagedBooksError(f"A row of the ledger can't be read: {error}.", REBUILD) from error


def decode_cached(kind: type[T], text: str) -> T:
    """Parse a stored dataclass with a cache: the values are frozen, so each text is parsed only once."""
    hashable: Any = kind
    value: T = _decode_cached(hashable, text)
    return value


def forget() -> None:
    """Clear the cache of `decode_cached`."""
    _decode_cached.cache_clear()


@lru_cache(maxsize=CACHED_VALUES)
def _decode_cached(kind: Any, text: str) -> Any:
    return decode_as(kind, text)


def owned_fill(body: str, origin: str, about: str) -> OwnedFill:
    """Return a fill from its journaled text, with the origin and purpose of its row."""
    owned = decode_cached(OwnedFill, body)
    same = (owned.origin, owned.about) == (origin, about)
    return owned if same else replace(owned, origin=Origin(origin), about=about)


def parse_json(text: str) -> Any:
    """Parse a JSON text, faster than `json.loads`; raise ValueError for extra text."""
    parsed, end = _parse(text)
    if end != len(text):
        raise ValueError(f"other text follows the JSON after {end} characters")
    return parsed


def proven_fill(body: str, origin: str, about: str) -> OwnedFill:
    """Parse a fill whose row's checksum was verified, in a third of the time of `owned_fill`.

    The content can't be damaged, because the checksum matches. It may still be in an earlier version's format;
    `owned_fill` then parses it.
    """
    try:
        raw = parse_json(body)
        fill = raw["fill"]
        return OwnedFill(
            sys.intern(raw["strategy"]),
            Fill(
                fill["activity_id"],
                fill["venue_order_id"],
                sys.intern(fill["symbol"]),
                _SIDES[fill["side"]],
                _number(fill["quantity"]),
                _number(fill["price"]),
                parse_time(fill["at"]),
                _number(fill["multiplier"]) if "multiplier" in fill else ONE,
                _fee(fill["fee"]) if "fee" in fill else None,
                fill.get("liquidation") is True,
                fill.get("settlement") is True,
            ),
            _ORIGINS[origin],
            about,
        )
    except (ValueError, KeyError, TypeError, ArithmeticError):
        # Let the codec name the problem.
        return owned_fill(body, origin, about)


def _fee(raw: Mapping[str, str | None]) -> Fee:
    amount, currency = raw["amount"], raw["currency"]
    if currency is None:
        raise ValueError("a fee needs a currency")
    return Fee(None if amount is None else _number(amount), sys.intern(currency))


def terms_of_intent(
    stop: str | None,
    target: str | None,
    score: float | None,
    components: Iterable[Any] | None,
    targets: Iterable[Any] | None,
    atr: str | None,
    invalid: str | None,
) -> EntryTerms:
    """Return the terms that an intent set for its position; earlier versions stored fewer."""
    return EntryTerms(
        stop_loss_fraction=None if stop is None else Decimal(stop),
        profit_target_fraction=None if target is None else Decimal(target),
        entry_score=score,
        components=tuple(decode(Component, part) for part in components or ()),
        targets=tuple(decode(ScaleOutLevel, part) for part in targets or ()),
        atr_fraction=None if atr is None else Decimal(atr),
        invalid_fraction=None if invalid is None else Decimal(invalid),
    )


def names(keys: Collection[str]) -> str:
    """Encode names as one query parameter, which the query reads with `json_each`."""
    return json.dumps(list(keys))


class StoredOpening(NamedTuple):
    """The opening balance in USD, when it was recorded, and how trading changes the account's cash."""

    cash: Decimal
    at: datetime
    settlement: Settlement = Settlement.PAID

    @property
    def words(self) -> Mapping[str, str]:
        """Return the fields of the opening's journal record. If the account pays for fills in full, that is only the
        balance.
        """
        words = {"cash": decimal_text(self.cash)}
        return words if self.settlement is Settlement.PAID else {**words, "settlement": self.settlement}


class IntentContent(NamedTuple):
    """An intent with its verdicts, or the texts of both if they were already written."""

    verdicts: Sequence[Decision] = ()
    texts: tuple[str, str] | None = None


class IntentRow(NamedTuple):
    """An intent's row. The terms for its position are written once; they are never read back from a file."""

    record: IntentRecord
    content: IntentContent = IntentContent()

    @property
    def texts(self) -> tuple[str, str]:
        """Return the intent and its verdicts as JSON."""
        verdicts, texts = self.content
        return texts or (json_text(encode(self.record.intent)), json_text([encode(verdict) for verdict in verdicts]))

    def with_texts(self) -> Self:
        """Return the row with the JSON texts of its intent and verdicts, so that they are built only once."""
        return self._replace(content=IntentContent(texts=self.texts))

    def payload(self) -> bytes:
        """Return the journal payload of the intent and its verdicts."""
        return intent_payload_text(*self.texts)


class StoredOrder(NamedTuple):
    """An order as last reported; `is_ours` is True for our own orders and their legs."""

    order: Order
    applied_at: datetime
    is_ours: bool


class StoredFill(NamedTuple):
    """A stored fill, with its JSON text if that was already built."""

    owned: OwnedFill
    applied_at: datetime
    text: str = ""

    @property
    def body(self) -> str:
        """Return the fill as JSON."""
        return self.text or json_text(encode(self.owned))

    def with_texts(self) -> Self:
        """Return the row with the JSON text of its fill, so that it is built only once."""
        return self._replace(text=self.body)

    def payload(self) -> bytes:
        """Return the fill's journal payload."""
        return self.body.encode()


class CashRow(NamedTuple):
    """A cash movement; `at` is when it was recorded, and `happened_at` the broker's time if known."""

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
        """Return the row's cash movement as a booked activity."""
        fields = self.about, self.kind, self.amount, self.why, self.happened_at, self.symbol, self.sub_kind
        return Entry(*fields, meaning_of(self.kind, self.sub_kind))


class AcknowledgedRow(NamedTuple):
    """A position that the bot didn't open, as recorded at the time `at`."""

    at: datetime
    symbol: str
    quantity: Decimal
    origin: Origin
    about: str
    why: str


class SessionRow(NamedTuple):
    """A session of a calendar; the venue's own calendar has an empty name."""

    calendar: str
    session: Session


class MarksRow(NamedTuple):
    """The best and the worst price of a position."""

    held: Key
    marks: Marks


def intent_payload_text(intent: str, verdicts: str) -> bytes:
    """Build the journal payload of an intent and its verdicts from their texts in the row."""
    return f'{{"intent":{intent},"verdicts":{verdicts}}}'.encode()


def cash_words(row: CashRow) -> Mapping[str, Any]:
    """Return a cash movement's fields for its journal record and its row, leaving out the fields that aren't known."""
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
    """Return a foreign position's fields for its journal record and its row."""
    quantity = decimal_text(row.quantity)
    return {
        "symbol": row.symbol,
        "quantity": quantity,
        "origin": row.origin,
        "about": row.about,
        "why": row.why,
    }


def note_words(note: TradeNote) -> Mapping[str, Any]:
    """Return the journal fields of a trade's tags and note."""
    strategy, symbol, opened_at = note.trade
    return {
        "strategy": strategy,
        "symbol": symbol,
        "opened_at": time_text(opened_at),
        "tags": list(note.tags),
        "note": note.note,
        "who": note.who,
    }
