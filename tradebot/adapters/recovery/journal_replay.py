"""Replay a journal's records into books: what each kind does, and which kinds are skipped."""

import json
from collections.abc import Callable, Mapping
from datetime import datetime
from decimal import Decimal, InvalidOperation
from typing import Any

from tradebot.adapters.ledger.journal import Record
from tradebot.adapters.ledger.ledger import SqliteLedger
from tradebot.adapters.ledger.rows import FillRow, Promise
from tradebot.adapters.recovery.rebuild_sources import Doubt, Sources
from tradebot.adapters.text.canonical import parse_time
from tradebot.adapters.text.codec import decode
from tradebot.model.activity import Booking, Entry
from tradebot.model.intent import Intent
from tradebot.model.order import Reply
from tradebot.model.position import Origin, OwnedFill
from tradebot.model.promotion import Promotion
from tradebot.model.trade import TradeNote
from tradebot.model.trading import Baseline
from tradebot.model.venue import Settlement


def replay(books: SqliteLedger, record: Record, sources: Sources) -> None:
    """Replay one record; a record that makes no sense without another, lost one becomes a doubt."""
    kind, where = record.kind, f"record {record.head.sequence}"
    if kind in NOT_PLAYED or (kind in OF_PERSONS and sources.approval_unsure):
        return
    if kind not in BY_TEXT and kind not in PLAYED:
        sources.doubts.append(Doubt("record", where, f"this version does not know records of kind {kind}"))
        return
    try:
        if kind == "promised":
            _promise_again(books, record.payload.decode())
        elif kind == "fill":
            _fill_again(books, record.payload.decode(), parse_time(record.at))
        else:
            PLAYED[kind](books, json.loads(record.payload), parse_time(record.at))
    except (KeyError, TypeError, ValueError, InvalidOperation, AssertionError) as error:
        problem = f"{kind} could not be written again ({type(error).__name__}: {error})"
        sources.doubts.append(Doubt("record", where, problem))


def _promise_again(books: SqliteLedger, text: str) -> None:
    """Replay a promise from its text: its verdicts are most of the journal, and nothing needs to parse them."""
    intent, end = JSON.raw_decode(text, len(INTENT))
    if not text.startswith(INTENT) or not text.startswith(VERDICTS, end):
        raise ValueError("it isn't a promise")
    texts = text[len(INTENT) : end], text[end + len(VERDICTS) : -1]
    books.promise_again(decode(Intent, intent), Promise(texts=texts))


def _fill_again(books: SqliteLedger, text: str, at: datetime) -> None:
    """Replay a fill from its text, which the ledger stores exactly as the journal does."""
    books.apply_fill(FillRow(decode(OwnedFill, json.loads(text)), at, text))


def _settled(books: SqliteLedger, payload: Any, at: datetime) -> None:
    books.settle(payload["client_order_id"], decode(Reply, payload["reply"]), at)


def _moved_cash(books: SqliteLedger, payload: Any, at: datetime) -> None:
    # A process killed between journal and ledger books an activity again, so the journal may hold it twice.
    origin, about = Origin(payload["origin"]), payload["about"]
    if origin is not Origin.ACTIVITY:
        books.adjust_cash(Decimal(payload["amount"]), payload["why"], at, origin=origin, about=about)
    else:
        happened_at = parse_time(payload["happened_at"]) if "happened_at" in payload else None
        known = payload.get("symbol", ""), payload.get("sub_kind", "")
        entry = Entry(about, payload["kind"], Decimal(payload["amount"]), payload["why"], happened_at, *known)
        books.book(Booking((entry,)), at)


def _rebuilt(books: SqliteLedger, payload: Any, at: datetime) -> None:
    if payload.get("approved") is False:
        for table in OF_PERSONS.values():
            books.file.delete(table)


def _noted(books: SqliteLedger, payload: Any, at: datetime) -> None:
    trade = payload["strategy"], payload["symbol"], parse_time(payload["opened_at"])
    books.note_trade(TradeNote(trade, tuple(payload["tags"]), payload["note"], payload["who"], at))


PLAYED: Mapping[str, Callable[[SqliteLedger, Any, datetime], object]] = {
    "opening": lambda books, payload, at: books.open_books(
        Decimal(payload["cash"]), at, Settlement(payload.get("settlement", Settlement.PAID))
    ),
    "settled": _settled,
    "abandoned": lambda books, payload, at: books.abandon(payload["client_order_id"], payload["why"], at),
    "retried": lambda books, payload, at: books.retry(
        payload["client_order_id"], at, Decimal(payload["limit_price"]) if "limit_price" in payload else None
    ),
    "cash_adjusted": _moved_cash,
    "acknowledged": lambda books, payload, at: books.acknowledge(
        payload["symbol"],
        Decimal(payload["quantity"]),
        payload["why"],
        at,
        origin=Origin(payload["origin"]),
        about=payload["about"],
    ),
    "approved": lambda books, payload, at: books.baselines.approve(Baseline(payload["values"], payload["who"], at)),
    "promoted": lambda books, payload, at: books.promotions.append(decode(Promotion, payload)),
    "rebuilt": _rebuilt,
    "trade_noted": _noted,
    "trading_state": lambda books, payload, at: books.history.record(
        payload["state"],
        payload["who"],
        payload["why"],
        at,
        causes=payload["causes"],
        accepted_at=payload["accepted_at"],
    ),
}
"""How to replay each kind of record."""
BY_TEXT = frozenset({"promised", "fill"})
"""Records whose text the ledger stores exactly as the journal does."""
OF_PERSONS = {"approved": "baselines", "promoted": "promotions"}
"""What lets the bot trade until it is taken back, and its tables: if the last record may be lost, none counts."""
NOT_PLAYED = frozenset({"created", "live_armed", "accepted"})
NOT_INHERITED = ("armings", "last_reconcile")
"""Tables that new books don't inherit: they have their own, and a person must arm live trading again."""
JSON = json.JSONDecoder()
INTENT, VERDICTS = '{"intent":', ',"verdicts":'
