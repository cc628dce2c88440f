"""Books with a bit of everything in them, to do damage to."""

import atexit
import shutil
import sqlite3
import tempfile
from decimal import Decimal
from functools import cache
from pathlib import Path
from typing import Any

from tests.kit.rows import ACCOUNT, DAY, FAILED, NOW, PASSED, make_fill, make_intent, make_order, minutes
from tests.kit.values import best_price, listing
from tradebot.adapters.ledger import sums as ledger_sums
from tradebot.adapters.ledger.ledger import SqliteLedger
from tradebot.adapters.ledger.migration import Form, Step
from tradebot.adapters.ledger.schema import FORM
from tradebot.adapters.state import state_folder, switch
from tradebot.adapters.state.state_folder import StateFolder
from tradebot.model.activity import Booking, Entry
from tradebot.model.bar import Session
from tradebot.model.instrument import ListingRecord
from tradebot.model.order import OrderStatus, Outcome, Reply
from tradebot.model.position import Marks, Origin
from tradebot.model.promotion import Interval, Promotion, Rung
from tradebot.model.trade import TradeNote
from tradebot.model.trading import Baseline, TradingState, TradingStateRecord

COLORS = """CREATE TABLE colors (
    account TEXT NOT NULL PRIMARY KEY REFERENCES book, color TEXT NOT NULL,
    schema INTEGER NOT NULL DEFAULT 1, row_sum TEXT
) WITHOUT ROWID"""


def add_colors(database: sqlite3.Connection) -> None:
    """Make a later form: a table more, with its own row."""
    for statement in (COLORS, *ledger_sums.triggers((COLORS,))):
        database.execute(statement)
    database.execute("INSERT INTO colors (account, color) SELECT account, 'green' FROM book")


LATER = Form(
    FORM.version + 1, (*FORM.tables, COLORS), {**FORM.steps, FORM.version: Step(FORM.tables, add_colors, "colors")}
)
"""A form that comes after today's, made up."""
KEPT, UPGRADED = (f"ledger.db-version-{version}" for version in (FORM.version, LATER.version))
"""The copy from before the upgrade to that form, and what the way back leaves of the upgraded ledger."""


def make(path: Path) -> StateFolder:
    """Make a state folder, armed, with orders in every state, fills, cash, halts, slots and marks."""
    shutil.copytree(_made(), path)
    return state_folder.open_state(path)


@cache
def _made() -> Path:
    """Make it once a process: what is written is synced, and syncs are slow."""
    path = Path(tempfile.mkdtemp()) / "state"
    atexit.register(shutil.rmtree, path.parent)
    state_folder.prepare(path)
    books = SqliteLedger.create(path, ACCOUNT, NOW)
    books.open_books(Decimal("100000.01"), NOW)
    state_folder.create(path, "sandbox", ACCOUNT, "user", NOW)
    switch.arm(path, "init", NOW)
    use(books)
    books.baselines.approve(
        Baseline({"limits": {"max_order_notional_usd": "500"}, "shadow": True}, "init me", minutes(12))
    )
    books.baselines.approve(Baseline({"limits": {"max_order_notional_usd": "400"}, "shadow": False}, "me", minutes(13)))
    books.close()
    return path


def use(books: SqliteLedger) -> None:
    """Write what a few sessions write."""
    slots = ("open+5m", "open+10m", "open+15m", "open+20m", "open+25m")
    names = [make_intent(slot).client_order_id for slot in slots]
    for slot in slots:
        books.promise(make_intent(slot), (PASSED, FAILED))
    books.settle(names[0], Reply(Outcome.ACCEPTED, make_order("v1", OrderStatus.FILLED)), minutes(1))
    books.settle(names[1], Reply(Outcome.REJECTED, None, "40310000", "not enough"), minutes(2))
    books.settle(names[2], Reply(Outcome.UNKNOWN), minutes(3))
    books.abandon(names[2], "its session is over", minutes(4))
    books.settle(names[3], Reply(Outcome.UNKNOWN), minutes(5))
    books.retry(names[3], minutes(6))
    books.apply_fills([make_fill("a1"), make_fill("a2", minutes(1))], minutes(7))
    books.adjust_cash(Decimal("-1.5"), "a fee", minutes(8), origin=Origin.PLAN, about="plan-1")
    paid = Entry("20260105::d1", "DIV", Decimal("12.5"), "DIV/CDIV AAPL", minutes(5))
    books.book(Booking((paid,)), minutes(8))
    books.note_trade(TradeNote(("flow", "AAPL", NOW), ("late",), "too late", "me", minutes(8)))
    books.note_trade(TradeNote(("flow", "AAPL", NOW), ("late", "sweep"), "bought late", "me", minutes(9)))
    shown = Interval(0.0001, 0.0009, 250, 0.005)
    books.promotions.append(Promotion("flow", Rung.LIVE_SMALL, "abc", "me", minutes(8), shown, {"trades": 120.0}))
    books.promotions.append(Promotion("flow", Rung.LIVE, "abc", "me", minutes(9), sentence="I let flow trade"))
    books.acknowledge("TSLA", Decimal(7), "by hand", minutes(8), origin=Origin.ADOPTION, about="TSLA")
    books.claim_slot("score", DAY, "open+5m", "cron/1", minutes(9))
    books.put_sessions([Session(DAY, NOW, minutes(390))])
    books.put_listings(
        [ListingRecord(listing("AAPL")).read_again(listing("AAPL", lot=Decimal(10), read_at=minutes(9)))]
    )
    books.put_marks({("flow", "AAPL", NOW): Marks(Decimal("190.1"), None)})
    books.set_trading_state(TradingStateRecord(TradingState.REDUCE_ONLY, "me", "a storm", minutes(10)))
    books.set_trading_state(TradingStateRecord(TradingState.ACTIVE, "me", "calm", minutes(11)))


def content(path: Path) -> dict[str, Any]:
    """Return everything that books say, as long as they can be read."""
    books = SqliteLedger.open(path, read_only=True)
    try:
        return {
            "account": books.account_number,
            "opening": (books.opening_cash(), books.books_opened_at()),
            "intents": books.intents(),
            "verdicts": books.file.rows("SELECT client_order_id, verdicts FROM intents WHERE account = ? ORDER BY 1"),
            "orders": books.orders(),
            "fills": books.fills(),
            "cash": books.file.rows("SELECT amount, why, at, happened_at FROM cash_adjustments WHERE account = ?"),
            "notes": books.trade_notes(),
            "acknowledged": books.acknowledged(),
            "slots": books.slot_claims(DAY),
            "sessions": books.sessions(DAY, DAY),
            "listings": books.listings(),
            "mark": best_price(books, "flow", "AAPL", NOW),
            "state": books.trading_state(),
            "armed": books.armings.last(),
            "approved": books.baselines.last(),
            "promoted": books.promotions.every(),
        }
    finally:
        books.close()


PERSONS = ("approved", "promoted")
"""What a person let the bot do."""
MONEY = ("account", "opening", "intents", "verdicts", "orders", "fills", "cash", "notes", "acknowledged", *PERSONS)
"""What a rebuild owes even where no whole ledger is left."""
BESIDE = ("slots", "sessions", "listings", "mark")
"""What only a ledger holds."""


def part(found: dict[str, Any], *names: str) -> dict[str, Any]:
    """Return some of the content; in which order promises of one moment stand makes no difference."""
    chosen = {name: found[name] for name in names}
    return chosen | {"intents": sorted(chosen["intents"], key=lambda record: str(record.intent.client_order_id))}
