"""Whatever can be written to a ledger, drawn at random, and all that can be asked of it."""

from collections.abc import Callable
from datetime import date, timedelta
from decimal import Decimal

from hypothesis import strategies as st

from tests.kit.rows import DAY, FAILED, NOW, PASSED, make_intent, make_order, minutes
from tradebot.model.account import EquityPeak
from tradebot.model.activity import Booking, Entry, Restated
from tradebot.model.bar import Session
from tradebot.model.candidate import Purpose, Side
from tradebot.model.intent import Intent, Operation
from tradebot.model.order import Fill, OrderStatus, Outcome, Reply
from tradebot.model.position import FOREIGN, Marks, Origin, OwnedFill
from tradebot.model.trading import ReconcileMark
from tradebot.model.values import replace
from tradebot.ports.stores import Ledger

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
    return lambda ledger: ledger.promise(replace(intent, purpose=purpose), verdicts)


@st.composite
def endings(draw: st.DrawFn) -> Act:
    """Settle, retry or abandon a promise, if that can be done now."""
    name, at, outcome = (
        draw(st.sampled_from(names())),
        draw(times),
        draw(st.sampled_from([*Outcome, "retry", "abandon"])),
    )

    def act(ledger: Ledger) -> None:
        record = ledger.intent(name)
        if record is None:
            return
        if isinstance(outcome, Outcome):
            ledger.settle(name, Reply(outcome, None, "code", "its words"), at)
        elif record.state.unresolved and outcome == "retry":
            ledger.retry(name, at)
        elif record.state.unresolved:
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
            ledger.promise(intent, ())
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
        (Restated(strategy, "AAPL", at, "MSFT", Decimal(2), Decimal(1)),),
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
        "fills with others": ledger.fills_with_others(),
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
        "kept": ledger.kept([*HELD, *opened]),
        "standing": ledger.standing(),
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
        "promised": ledger.promised(names()),
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
