"""Books with a bit of everything in them, to do damage to; acts on a ledger, drawn; and edits by another program."""

import atexit
import shutil
import sqlite3
import tempfile
from collections.abc import Callable, Sequence
from contextlib import closing
from datetime import date, datetime, timedelta
from decimal import Decimal
from functools import cache
from pathlib import Path
from typing import Any

from hypothesis import strategies as st

from tests.kit.rows import ACCOUNT, DAY, FAILED, NOW, PASSED, make_fill, make_intent, make_order, minutes
from tests.kit.values import best_price, listing
from tradebot.adapters.ledger import integrity as ledger_sums
from tradebot.adapters.ledger.account_history import LAST, Checkpoint, FillTotals
from tradebot.adapters.ledger.journal import ChainHead, records
from tradebot.adapters.ledger.ledger import SqliteLedger
from tradebot.adapters.ledger.migration import LedgerVersion, MigrationStep
from tradebot.adapters.ledger.schema import FORM
from tradebot.adapters.state import halt_switch, state_folder
from tradebot.adapters.state.state_folder import StateFolder
from tradebot.model.account import Booking, Entry, EquityPeak, RestatedPosition
from tradebot.model.bar import Session
from tradebot.model.candidate import Purpose, Side
from tradebot.model.instrument import ListingRecord
from tradebot.model.intent import Intent, Operation
from tradebot.model.order import Fill, OrderStatus, Reply, WriteOutcome
from tradebot.model.position import FOREIGN, Marks, Origin, OwnedFill
from tradebot.model.promotion import MeanInterval, Promotion, Rung
from tradebot.model.struct_tools import replace
from tradebot.model.trade import TradeNote
from tradebot.model.trading import Baseline, ReconcileMark, TradingState, TradingStateRecord
from tradebot.ports.stores import Ledger

# The end of a journal whose whole chain holds.


def verify(path: Path) -> ChainHead:
    """Check every record of the chain and return the last place; OperatorError names the first that does not fit."""
    return [record.head for record in records(path)][-1]


# Whatever can be written to a ledger, drawn at random, and all that can be asked of it.

Act = Callable[[Ledger], object]
STRATEGIES, SYMBOLS = ("flow", "rotation", FOREIGN), ("AAPL", "MSFT")
STATUSES = (OrderStatus.NEW, OrderStatus.FILLED, OrderStatus.CANCELED, OrderStatus.REPLACED)
HELD = [(strategy, symbol, minutes(at)) for strategy in STRATEGIES for symbol in SYMBOLS for at in range(4)]
VENUE_IDS = ["v0", "v1", "v2", "v3"]
places = st.integers(0, 3)
times = st.integers(0, 3).map(minutes)


def intent_of(place: int) -> Intent:
    """Return one of four intents: two in each of two sessions. Only the first can be of an order that replaced none."""
    made = make_intent(f"open+{place}m", SYMBOLS[place % 2], DAY + timedelta(days=place // 2))
    operation = (Operation.SUBMIT, Operation.CANCEL, Operation.REPLACE, Operation.REPLACE)[place]
    return replace(made, operation=operation, stop_loss_fraction=Decimal("0.05") if place else None, score=place / 4)


def names() -> list[str]:
    return [intent_of(place).client_order_id for place in range(4)]


@st.composite
def promises(draw: st.DrawFn) -> Act:
    intent, purpose = intent_of(draw(places)), draw(st.sampled_from([Purpose.OPEN, Purpose.CLOSE]))
    verdicts = draw(st.sampled_from([(), (PASSED,), (PASSED, FAILED)]))
    return lambda ledger: ledger.record_intent(replace(intent, purpose=purpose), verdicts)


@st.composite
def endings(draw: st.DrawFn) -> Act:
    """Settle, retry or abandon a promise, if that can be done now."""
    name, at, outcome = (
        draw(st.sampled_from(names())),
        draw(times),
        draw(st.sampled_from([*WriteOutcome, "retry", "abandon"])),
    )

    def act(ledger: Ledger) -> None:
        record = ledger.intent(name)
        if record is None:
            return
        if isinstance(outcome, WriteOutcome):
            ledger.record_outcome(name, Reply(outcome, None, "code", "its words"), at)
        elif record.state.is_unresolved and outcome == "retry":
            ledger.retry(name, at)
        elif record.state.is_unresolved:
            ledger.abandon(name, "lost", at)

    return act


@st.composite
def reports(draw: st.DrawFn) -> Act:
    """Report an order, ours or another's, perhaps replaced by another, or the leg of one."""
    place, seen = draw(places), draw(times)
    name, intent = VENUE_IDS[place], intent_of(place)
    order = replace(
        make_order(name, draw(st.sampled_from(STATUSES)), seen),
        client_order_id=intent.client_order_id,
        replaced_by=draw(st.sampled_from([None, f"v{int(name[1:]) + 1}"])),
        parent=draw(st.sampled_from([None, None, *(other for other in VENUE_IDS if other < name)])),
    )
    at, is_promised = draw(times), draw(st.booleans())

    def act(ledger: Ledger) -> int:
        if is_promised:
            ledger.record_intent(intent, ())
        # No venue takes back that it replaced an order.
        known = next((one.replaced_by for one in ledger.orders() if one.venue_id == name), None)
        return ledger.apply_orders([replace(order, replaced_by=known or order.replaced_by)], at)

    return act


@st.composite
def executions(draw: st.DrawFn) -> Act:
    """Fill an order, or move shares by hand or by an activity, at any time."""
    number, origin = draw(st.integers(0, 9)), draw(st.sampled_from([Origin.VENUE, Origin.VENUE, Origin.PLAN]))
    side, symbol, at = draw(st.sampled_from(Side)), draw(st.sampled_from(SYMBOLS)), draw(times)
    order = draw(st.sampled_from(VENUE_IDS)) if origin is Origin.VENUE else ""
    fill = Fill(f"a{number}", order, symbol, side, Decimal(draw(st.integers(1, 3))), Decimal(100 + number), at)
    owned = OwnedFill(draw(st.sampled_from(STRATEGIES)), fill, origin, "" if order else "plan")
    written_at = draw(times)
    return lambda ledger: ledger.apply_fills([owned], written_at)


@st.composite
def activities(draw: st.DrawFn) -> Act:
    """Book a rename with its marks, or a dividend."""
    number, strategy, at = draw(places), draw(st.sampled_from(STRATEGIES[:2])), draw(times)
    dividend = Booking((Entry(f"d{number}", "DIV", Decimal("1.25"), "DIV AAPL", at, "AAPL"),))
    about = f"n{number}"
    moved = tuple(
        OwnedFill(
            strategy, Fill(f"n{number}{s}", "", s, side, Decimal(1), Decimal(100), at), Origin.ACTIVITY, f"n{number}"
        )
        for s, side in zip(SYMBOLS, (Side.SELL, Side.BUY), strict=True)
    )
    rename = Booking(
        (Entry(about, "NC", Decimal(0), "NC AAPL"),),
        moved,
        (("AAPL", Decimal(number)),),
        (RestatedPosition(strategy, "AAPL", at, "MSFT", Decimal(2), Decimal(1)),),
    )
    booking, written_at = draw(st.sampled_from([dividend, rename])), draw(times)
    return lambda ledger: ledger.book(booking, written_at)


@st.composite
def notes(draw: st.DrawFn) -> Act:
    """Write what a pass keeps for the next."""
    number, at = draw(places), draw(times)
    day = DAY + timedelta(days=number)
    session = Session(day, NOW + timedelta(days=number), NOW + timedelta(days=number, hours=6))
    worst = Decimal(number) if number else None
    acts: list[Act] = [
        lambda ledger: ledger.claim_slot("trade-once", day, f"open+{number}m", f"by {number}", at),
        lambda ledger: ledger.put_sessions([session]),
        lambda ledger: ledger.mark_reconciled(ReconcileMark(at, number, 3)),
        lambda ledger: ledger.put_marks({HELD[number]: Marks(Decimal(100 + number), worst)}),
        lambda ledger: ledger.put_equity_peak(EquityPeak(Decimal(number), Decimal(1))),
        lambda ledger: ledger.acknowledge("XOM", Decimal(number), "mine", at, origin=Origin.PLAN, about="plan"),
        lambda ledger: ledger.adjust_cash(Decimal(number), "found", at, origin=Origin.PLAN, about="plan"),
    ]
    return draw(st.sampled_from(acts))


def many_acts() -> st.SearchStrategy[list[Act]]:
    one = st.one_of(promises(), endings(), reports(), reports(), executions(), executions(), activities(), notes())
    return st.lists(one, min_size=6, max_size=24)


def money(ledger: Ledger) -> dict[str, object]:
    """Return what a ledger says of money: fills, cash, and the orders and intents behind them."""
    totals = ledger.totals()
    opened = [(p.strategy, p.symbol, p.opened_at) for p in totals.own_positions()]
    return {
        "account": ledger.account_number,
        "totals": totals,
        "fills": ledger.fills(),
        "fills of symbols": [ledger.fills(symbol) for symbol in SYMBOLS],
        "fills with others": ledger.foreign_and_moved_fills(),
        "known fills": sorted(ledger.known_fills(["a1", "a2", "a7", "none"])),
        "filled": ledger.filled_quantities(VENUE_IDS),
        "last reported": [ledger.last_reported_fill(minutes(at)) for at in range(-1, 4)],
        "adjusted": ledger.cash_adjustments(),
        "cash": ledger.cash_movements(),
        "booked": ledger.booked(),
        "booked of these": ledger.booked(["d1", "n1"]),
        "acknowledged": ledger.acknowledged(),
        "since": ledger.acknowledged_since(),
        "intents": ledger.intents(),
        "orders": ledger.orders(),
        "kept": ledger.entry_terms([*HELD, *opened]),
        "standing": ledger.account_state(),
        "sessions": ledger.sessions(date.min, date.max),
    }


def windows(ledger: Ledger) -> dict[str, object]:
    """Return what a ledger says of the last days: that of which a pass reads no more than it needs."""
    days = [DAY + timedelta(days=number) for number in range(-1, 4)]
    return {
        "unresolved": ledger.intents(unresolved=True),
        "of a session": [ledger.intents(session=day) for day in days],
        "of sessions since": [ledger.intents(since=day) for day in days],
        "recent intents": [ledger.recent_intents(day) for day in days],
        "unsettled": [ledger.unsettled_intents(day) for day in days],
        "promised": ledger.recorded_intents(names()),
        "last acknowledged": ledger.last_acknowledged(),
        "working": ledger.orders(working=True),
        "orders since": [ledger.orders(since=minutes(at)) for at in range(5)],
        "recent orders": [ledger.recent_orders(minutes(at)) for at in range(5)],
        "chains": ledger.order_chains(VENUE_IDS),
        "claims": [sorted(ledger.slot_claims(day), key=lambda claim: claim.slot) for day in days],
        "near sessions": [ledger.sessions(day, days[-1]) for day in days],
        "state": ledger.trading_state().state,
    }


def read_all(ledger: Ledger) -> dict[str, object]:
    return money(ledger) | windows(ledger)


# Editing a ledger behind the program's back, as a person with another program might who also stills its triggers.


def opened(path: Path) -> sqlite3.Connection:
    """Return a connection whose rows get no right sum."""
    database = sqlite3.connect(path)
    for name in ("row_sum", "combined_sum"):
        database.create_function(name, -1, lambda *_: "by hand", deterministic=True)
    return database


def edit(path: Path, statement: str, values: Sequence[object] = ()) -> int:
    """Run one statement and return how many rows it touched."""
    database = opened(path)
    touched = database.execute(statement, values).rowcount
    database.commit()
    database.close()
    return touched


def forget_accepted(folder: Path) -> None:
    """Take what was accepted out of the books of a folder, as if they had been started over."""
    with closing(sqlite3.connect(folder / "ledger.db")) as database:
        ledger_sums.install(database)
        gone = database.execute("DELETE FROM baselines").rowcount
        database.execute("UPDATE book SET rows = rows - ?", (gone,))
        database.commit()


COLORS = """CREATE TABLE colors (
    account TEXT NOT NULL PRIMARY KEY REFERENCES book, color TEXT NOT NULL,
    schema INTEGER NOT NULL DEFAULT 1, row_sum TEXT
) WITHOUT ROWID"""


def add_colors(database: sqlite3.Connection) -> None:
    """Make a later form: a table more, with its own row."""
    for statement in (COLORS, *ledger_sums.triggers((COLORS,))):
        database.execute(statement)
    database.execute("INSERT INTO colors (account, color) SELECT account, 'green' FROM book")


LATER = LedgerVersion(
    FORM.version + 1,
    (*FORM.tables, COLORS),
    {**FORM.steps, FORM.version: MigrationStep(FORM.tables, add_colors, "colors")},
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
    halt_switch.arm(path, "init", NOW)
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
        books.record_intent(make_intent(slot), (PASSED, FAILED))
    books.record_outcome(names[0], Reply(WriteOutcome.ACCEPTED, make_order("v1", OrderStatus.FILLED)), minutes(1))
    books.record_outcome(names[1], Reply(WriteOutcome.REJECTED, None, "40310000", "not enough"), minutes(2))
    books.record_outcome(names[2], Reply(WriteOutcome.UNKNOWN), minutes(3))
    books.abandon(names[2], "its session is over", minutes(4))
    books.record_outcome(names[3], Reply(WriteOutcome.UNKNOWN), minutes(5))
    books.retry(names[3], minutes(6))
    books.apply_fills([make_fill("a1"), make_fill("a2", minutes(1))], minutes(7))
    books.adjust_cash(Decimal("-1.5"), "a fee", minutes(8), origin=Origin.PLAN, about="plan-1")
    paid = Entry("20260105::d1", "DIV", Decimal("12.5"), "DIV/CDIV AAPL", minutes(5))
    books.book(Booking((paid,)), minutes(8))
    books.note_trade(TradeNote(("flow", "AAPL", NOW), ("late",), "too late", "me", minutes(8)))
    books.note_trade(TradeNote(("flow", "AAPL", NOW), ("late", "sweep"), "bought late", "me", minutes(9)))
    shown = MeanInterval(0.0001, 0.0009, 250, 0.005)
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


def without_the_seal(totals: FillTotals) -> Checkpoint:
    """Believe the checkpoint, whatever came late, in place of `FillTotals._current_checkpoint`, for whoever judges."""
    return totals._add_fills(totals._checkpoint(), LAST)


def checkpoint_totals(ledger: SqliteLedger) -> None:
    """Write a checkpoint of all fills: books as small as these have none if the newest ones are left out."""
    totals = FillTotals(ledger.file)
    totals.left_out = 0
    totals.checkpoint_totals()


def activity(number: int, at: datetime) -> Booking:
    """Return what an activity of the broker writes: cash, a fill, somebody else's shares, and a best price restated."""
    return Booking(
        (Entry(f"2026::{number}", "SPLIT", Decimal("1.25"), "SPLIT"),),
        (make_fill(f"activity:2026::{number}:0", at),),
        ((f"S{number}", Decimal(number + 1)),),
        (RestatedPosition("flow", f"S{number}", NOW, f"S{number}", Decimal(2)),),
    )
