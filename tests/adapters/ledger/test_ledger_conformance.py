"""What every ledger does, whatever it is made of."""

from collections.abc import Iterator
from datetime import date, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from tests.kit.rows import ACCOUNT, DAY, FAILED, NOW, PASSED, make_fill, make_intent, make_order, minutes
from tests.kit.values import best_price, cash_movement, instrument, listing, there
from tradebot.adapters.ledger.ledger import SqliteLedger
from tradebot.adapters.memory.ledger import MemoryLedger
from tradebot.adapters.state import halt_switch
from tradebot.errors import OperatorError
from tradebot.model.account import ActivityKind, Booking, Entry, RestatedPosition
from tradebot.model.bar import Session
from tradebot.model.books import AccountState
from tradebot.model.candidate import Component, Purpose, ScaleOutLevel
from tradebot.model.instrument import ONE, ListingRecord, MarginLevel
from tradebot.model.intent import IntentRecord, IntentState, Operation
from tradebot.model.order import Fee, Order, OrderStatus, Reply, WriteOutcome
from tradebot.model.position import EntryTerms, Marks, Origin, unreported_fill
from tradebot.model.struct_tools import replace
from tradebot.model.trade import TradeNote
from tradebot.model.trading import ReconcileMark, SlotClaim, TradingState, TradingStateRecord
from tradebot.model.venue import Settlement
from tradebot.ports.stores import Ledger


@pytest.fixture(params=["memory", "sqlite"])
def ledger(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Ledger]:
    if request.param == "memory":
        yield MemoryLedger(ACCOUNT)
        return
    books = SqliteLedger.create(tmp_path, ACCOUNT, NOW)
    halt_switch.arm(tmp_path, "init", NOW)
    yield books
    books.close()


def test_books_open_once_and_say_when(ledger: Ledger) -> None:
    assert ledger.books_opened_at() is None
    with pytest.raises(OperatorError):
        ledger.opening_cash()
    ledger.open_books(Decimal("100000.01"), NOW)
    assert (ledger.opening_cash(), ledger.books_opened_at()) == (Decimal("100000.01"), NOW)
    with pytest.raises(AssertionError):
        ledger.open_books(Decimal(1), NOW)
    assert ledger.opening_cash() == Decimal("100000.01")


def test_books_say_how_their_account_settles(ledger: Ledger) -> None:
    assert ledger.account_state().settlement is Settlement.PAID
    ledger.open_books(Decimal(5_000), NOW, Settlement.MARGINED)
    assert ledger.account_state() == AccountState(NOW, Decimal(5_000), Decimal(0), None, None, Settlement.MARGINED)


def test_fee_is_awaited_until_a_fill_comes_with_it(ledger: Ledger) -> None:
    fees = {"apart": None, "unknown": Fee(None), "known": Fee(Decimal(1))}
    fills = [replace(made, fill=replace(made.fill, fee=fees[name])) for name in fees for made in [make_fill(name)]]
    ledger.apply_fills(fills, NOW)
    assert set(ledger.fees_awaited([*fees, "not there"])) == {"apart", "unknown"}


def test_recently_written_orders_are_returned_without_older_ones(ledger: Ledger) -> None:
    replaced = replace(make_order("v1", OrderStatus.REPLACED), replaced_by="v2")
    ledger.apply_orders([replaced, make_order("v2"), make_order("v3", OrderStatus.FILLED)], NOW)
    ledger.apply_orders([make_order("v2", at=minutes(9)), make_order("v4")], minutes(9))
    assert [order.venue_id for order in ledger.orders(since=minutes(9))] == ["v2", "v4"]
    assert [order.venue_id for order in ledger.orders(since=NOW)] == ["v1", "v2", "v3", "v4"]
    assert [order.venue_id for order in ledger.orders(working=True)] == ["v2", "v4"]


def test_intents_since_a_session_are_returned_in_the_order_promised(ledger: Ledger) -> None:
    days = [DAY + timedelta(days=number) for number in range(3)]
    for day in days:
        ledger.record_intent(make_intent(session=day), ())
    assert [record.intent.key.session for record in ledger.intents(since=days[1])] == days[1:]
    assert [record.intent.key.session for record in ledger.intents(session=days[1])] == [days[1]]
    unresolved, acknowledged, last = (record.intent.client_order_id for record in ledger.intents())
    ledger.record_outcome(acknowledged, Reply(WriteOutcome.ACCEPTED), NOW)
    assert [record.intent.client_order_id for record in ledger.recent_intents(days[2])] == [unresolved, last]
    assert ledger.recorded_intents({last, "of nobody"}) == {last: ledger.intent(last)}
    assert ledger.recorded_intents(()) == {}


def test_intents_are_listed_by_the_session_in_which_they_are_sent(ledger: Ledger) -> None:
    """A slot of a strategy's own clock may have begun days before."""
    sent = replace(make_intent(session=DAY), sent_in=DAY + timedelta(days=2))
    ledger.record_intent(sent, ())
    assert [record.intent for record in ledger.intents(session=DAY + timedelta(days=2))] == [sent]
    assert ledger.intents(session=DAY) == ()


def test_order_chain_lists_the_orders_that_each_order_replaced(ledger: Ledger) -> None:
    intent = make_intent()
    ledger.record_intent(intent, ())
    ours = replace(make_order("v1", OrderStatus.REPLACED), client_order_id=intent.client_order_id, replaced_by="v2")
    second = replace(make_order("v2", OrderStatus.REPLACED), replaced_by="v3")
    ledger.apply_orders([ours, second, make_order("v9")], NOW)
    assert [order.venue_id for order in ledger.order_chains({"v3"})["v3"]] == ["v2", "v1"]
    ledger.apply_orders([make_order("v3")], NOW)
    chains = {
        name: [order.venue_id for order in chain] for name, chain in ledger.order_chains({"v3", "v9", "x"}).items()
    }
    assert chains == {"v3": ["v3", "v2", "v1"], "v9": ["v9"]}
    assert ledger.order_chains(()) == {}


def test_a_promise_is_kept_by_one_order_and_another_under_its_id_is_somebody_elses(ledger: Ledger) -> None:
    intent = make_intent()
    name = intent.client_order_id
    ledger.record_intent(intent, ())
    first = replace(make_order("v1", OrderStatus.FILLED), client_order_id=name)
    second = replace(make_order("v2"), client_order_id=name)
    ledger.record_outcome(name, Reply(WriteOutcome.ACCEPTED, first), NOW)
    for status in (OrderStatus.NEW, OrderStatus.PARTIALLY_FILLED, OrderStatus.FILLED):
        ledger.apply_orders([replace(second, status=status, updated_at=minutes(1)), first], minutes(1))
        assert {one.venue_id: one.client_order_id for one in ledger.orders()} == {"v1": name, "v2": ""}
    assert [one.venue_id for one in ledger.recent_orders(minutes(5))] == ["v2"], "it was never promised"
    # What replaces an order goes on with its promise, as before.
    ledger.apply_orders([replace(first, status=OrderStatus.REPLACED, replaced_by="v3")], minutes(2))
    ledger.apply_orders([replace(make_order("v3"), client_order_id=name)], minutes(2))
    assert {one.venue_id: one.client_order_id for one in ledger.orders()}["v3"] == name


def test_order_chain_changes_when_one_of_its_orders_does(ledger: Ledger) -> None:
    ledger.apply_orders([replace(make_order("v1"), replaced_by="v2"), make_order("v2")], NOW)
    assert [order.status for order in ledger.order_chains(["v2"])["v2"]] == [OrderStatus.NEW, OrderStatus.NEW]
    ledger.apply_orders([make_order("v2", OrderStatus.FILLED, minutes(1))], minutes(1))
    assert [order.status for order in ledger.order_chains(["v2"])["v2"]] == [OrderStatus.FILLED, OrderStatus.NEW]


def test_order_chain_of_a_leg_goes_on_with_its_parent_once_that_is_known(ledger: Ledger) -> None:
    ledger.apply_orders([replace(make_order("leg"), parent="v2")], NOW)
    assert [order.venue_id for order in ledger.order_chains(["leg"])["leg"]] == ["leg"]
    ledger.apply_orders([make_order("v2")], NOW)
    assert [order.venue_id for order in ledger.order_chains(["leg"])["leg"]] == ["leg", "v2"]
    ledger.apply_orders([replace(make_order("v1"), replaced_by="v2")], NOW)
    assert [order.venue_id for order in ledger.order_chains(["leg"])["leg"]] == ["leg", "v2", "v1"]


def test_recent_orders_include_an_old_ended_one_only_if_it_was_never_promised(ledger: Ledger) -> None:
    intent = make_intent()
    ours = replace(make_order("v1", OrderStatus.FILLED), client_order_id=intent.client_order_id)
    leg = replace(make_order("v2", OrderStatus.CANCELED), parent="v1")
    ledger.apply_orders([ours], NOW)
    assert [order.venue_id for order in ledger.recent_orders(minutes(1))] == ["v1"]
    ledger.record_intent(intent, ())
    ledger.apply_orders([leg, make_order("v3", OrderStatus.CANCELED), make_order("working")], NOW)
    assert [order.venue_id for order in ledger.recent_orders(minutes(1))] == ["v3", "working"]
    assert [order.venue_id for order in ledger.recent_orders(NOW)] == ["v1", "v2", "v3", "working"]


def test_order_chains_follow_a_circle_of_replacements_once(ledger: Ledger) -> None:
    ledger.apply_orders([replace(make_order(a), replaced_by=b) for a, b in (("v1", "v2"), ("v2", "v1"))], NOW)
    assert [order.venue_id for order in ledger.order_chains({"v1"})["v1"]] == ["v1", "v2"]


def test_promise_stores_the_intent_once(ledger: Ledger) -> None:
    intent = make_intent()
    assert ledger.record_intent(intent, (PASSED, FAILED))
    assert not ledger.record_intent(intent, ())
    expected = IntentRecord(intent, IntentState.SENT, None, None, NOW)
    assert ledger.intents() == (expected,)
    assert ledger.intent(intent.client_order_id) == expected
    assert ledger.intent("tb1.none") is None


@pytest.mark.parametrize(
    ("outcome", "order", "state"),
    [
        (WriteOutcome.ACCEPTED, make_order(), IntentState.ACKED),
        (WriteOutcome.REJECTED, None, IntentState.REJECTED),
        (WriteOutcome.UNKNOWN, None, IntentState.UNKNOWN),
    ],
)
def test_settle_stores_the_outcome_and_the_order_of_a_reply(
    ledger: Ledger, outcome: WriteOutcome, order: Order | None, state: IntentState
) -> None:
    intent = make_intent()
    ledger.record_intent(intent, ())
    ledger.record_outcome(intent.client_order_id, Reply(outcome, order, "40310000", "its words"), minutes(1))
    assert ledger.intents() == (IntentRecord(intent, state, "40310000", "its words", minutes(1)),)
    assert ledger.orders() == ((order,) if order else ())


@pytest.mark.parametrize("outcome", [WriteOutcome.ACCEPTED, WriteOutcome.REJECTED])
def test_unknown_outcome_never_replaces_a_known_one(ledger: Ledger, outcome: WriteOutcome) -> None:
    ledger.record_intent(make_intent(), ())
    ledger.record_outcome(make_intent().client_order_id, Reply(outcome), NOW)
    known = ledger.intents()
    ledger.record_outcome(make_intent().client_order_id, Reply(WriteOutcome.UNKNOWN), minutes(1))
    assert ledger.intents() == known


def test_intents_are_found_by_session_and_by_being_unresolved(ledger: Ledger) -> None:
    first, second = make_intent("s1"), make_intent("s2")
    other = make_intent("s1", session=DAY + timedelta(days=1))
    for intent in (first, second, other):
        ledger.record_intent(intent, ())
    ledger.record_outcome(first.client_order_id, Reply(WriteOutcome.ACCEPTED), NOW)
    ledger.record_outcome(other.client_order_id, Reply(WriteOutcome.UNKNOWN), NOW)
    assert [r.intent for r in ledger.intents()] == [first, second, other]
    assert [r.intent for r in ledger.intents(session=DAY)] == [first, second]
    assert [r.intent for r in ledger.intents(unresolved=True)] == [second, other]
    assert [r.intent for r in ledger.intents(session=DAY, unresolved=True)] == [second]


def test_only_an_unresolved_intent_can_be_abandoned(ledger: Ledger) -> None:
    intent = make_intent()
    ledger.record_intent(intent, ())
    ledger.abandon(intent.client_order_id, "not at the venue", minutes(1))
    assert ledger.intents() == (IntentRecord(intent, IntentState.ABANDONED, None, "not at the venue", minutes(1)),)
    with pytest.raises(AssertionError):
        ledger.abandon(intent.client_order_id, "again", minutes(2))
    with pytest.raises(KeyError):
        ledger.abandon("tb1.none", "why", NOW)
    with pytest.raises(KeyError):
        ledger.record_outcome("tb1.none", Reply(WriteOutcome.ACCEPTED), NOW)


def test_abandoned_intent_is_acknowledged_when_its_order_appears(ledger: Ledger) -> None:
    ledger.record_intent(make_intent(), ())
    ledger.abandon(make_intent().client_order_id, "not found", NOW)
    ledger.record_outcome(make_intent().client_order_id, Reply(WriteOutcome.ACCEPTED, make_order()), minutes(1))
    assert there(ledger.intent(make_intent().client_order_id)).state is IntentState.ACKED


def test_latest_report_of_an_order_wins_and_an_ended_order_stays_ended(ledger: Ledger) -> None:
    assert ledger.apply_orders((make_order("v1"), make_order("v2")), NOW) == 2
    assert ledger.apply_orders((make_order("v1"), make_order("v2")), NOW) == 0
    filled = make_order("v1", OrderStatus.FILLED, minutes(2))
    assert ledger.apply_orders((filled, make_order("v2", OrderStatus.HELD, minutes(-1))), NOW) == 1
    assert ledger.apply_orders((make_order("v1", OrderStatus.NEW, minutes(3)),), NOW) == 0
    assert ledger.orders() == (filled, make_order("v2"))
    assert ledger.orders(working=True) == (make_order("v2"),)


def test_ended_order_counts_even_if_an_earlier_report_is_dated_later(ledger: Ledger) -> None:
    working = replace(make_order("v1", at=minutes(2)), filled_quantity=Decimal(3))
    ledger.apply_orders((working,), NOW)
    canceled = replace(working, status=OrderStatus.CANCELED, updated_at=minutes(1))
    assert ledger.apply_orders((replace(canceled, filled_quantity=Decimal(2)),), NOW) == 0
    assert ledger.apply_orders((replace(working, updated_at=minutes(1)),), NOW) == 0
    assert ledger.apply_orders((canceled,), NOW) == 1
    assert ledger.orders(working=True) == ()


def test_each_fill_counts_once_and_fills_stay_in_the_order_of_their_times(ledger: Ledger) -> None:
    late, early, between = (make_fill(name, minutes(at)) for name, at in (("a2", 5), ("a1", 1), ("a3", 3)))
    assert ledger.apply_fills((late,), NOW) == 1
    assert ledger.apply_fills((late, early, early), NOW) == 1
    assert ledger.fills() == (early, late)
    same = make_fill("a4", minutes(5))
    ledger.apply_fills([between, same], NOW)
    assert ledger.fills() == (early, between, late, same)


def test_cash_movement_has_the_time_of_the_broker_or_else_of_its_booking(ledger: Ledger) -> None:
    assert ledger.cash_movements() == ()
    ledger.adjust_cash(Decimal(1), "by ann", minutes(1), origin=Origin.PLAN, about="plan-1")
    told, untold = (
        Entry("1", "FEE", Decimal("-0.02"), "FEE/REG", NOW, sub_kind="REG", meaning=ActivityKind.FEE),
        Entry("2", "DIV", Decimal(3), "DIV/CDIV", None, "AAPL", meaning=ActivityKind.DIVIDEND),
    )
    ledger.book(Booking((told, untold)), minutes(2))
    assert ledger.cash_movements() == (
        cash_movement(minutes(1), Decimal(1), "", Origin.PLAN, "plan-1", "by ann"),
        cash_movement(NOW, Decimal("-0.02"), "FEE", Origin.ACTIVITY, "1", "FEE/REG", sub_kind="REG"),
        cash_movement(minutes(2), Decimal(3), "DIV", Origin.ACTIVITY, "2", "DIV/CDIV", "AAPL"),
    )
    assert sum(one.amount_usd for one in ledger.cash_movements()) == ledger.cash_adjustments()
    assert ledger.booked() == {"1": told, "2": untold}


def test_last_note_about_a_trade_replaces_earlier_ones(ledger: Ledger) -> None:
    assert ledger.trade_notes() == {}
    trade = ("flow", "AAPL", NOW)
    first = TradeNote(trade, ("late", "sweep, …"), "a note\nof two lines", "ann", minutes(2))
    other = TradeNote(("other", "AAPL", NOW), (), "", "ann", minutes(1))
    again = TradeNote(trade, (), "shorter", "bob", minutes(3))
    for note, now in (
        (first, {trade: first}),
        (other, {trade: first, other.trade: other}),
        (again, {trade: again, other.trade: other}),
    ):
        ledger.note_trade(note)
        assert ledger.trade_notes() == now
    # A rebuild may write an earlier note after a later one.
    ledger.note_trade(first)
    assert ledger.trade_notes()[trade] == again


def test_change_of_a_note_starts_from_the_note_in_the_books(ledger: Ledger) -> None:
    trade = ("flow", "AAPL", NOW)
    seen = list[TradeNote | None]()

    def with_tag(before: TradeNote | None) -> TradeNote:
        seen.append(before)
        tags = before.tags if before else ()
        return TradeNote(trade, (*tags, f"t{len(seen)}"), "", "ann", minutes(len(seen)))

    ledger.note_trade(TradeNote(("other", "AAPL", NOW), ("no",), "", "bob", NOW))
    first, second = ledger.change_note(trade, with_tag), ledger.change_note(trade, with_tag)
    assert seen == [None, first]
    assert ledger.trade_notes()[trade] == second
    assert second.tags == ("t1", "t2")


def booking(fill: str = "activity:2026::1:0") -> Booking:
    return Booking(
        entries=(
            Entry("2026::1", "SPLIT", Decimal("-0.5"), "SPLIT AAPL", meaning=ActivityKind.SPLIT),
            Entry("2026::2", "SPLIT", Decimal(95), "SPLIT AAPL cash", meaning=ActivityKind.SPLIT),
        ),
        fills=(make_fill(fill),),
        acknowledged=(("XOM", Decimal(8)),),
        restated=(RestatedPosition("flow", "AAPL", NOW, "PEAR", Decimal(2), Decimal(1)),),
    )


def test_booking_is_written_whole_and_once(ledger: Ledger) -> None:
    ledger.put_marks({("flow", "AAPL", NOW): Marks(Decimal(120), None)})
    ledger.adjust_cash(Decimal(1), "a fee", NOW, origin=Origin.PLAN)
    assert ledger.booked() == {}
    assert ledger.book(booking(), minutes(1))
    assert not ledger.book(booking("another"), minutes(2))
    assert not ledger.book(Booking((Entry("2026::2", "DIV", Decimal(7), "again"),)), minutes(2))
    assert ledger.booked() == {entry.activity_id: entry for entry in booking().entries}
    assert (ledger.cash_adjustments(), ledger.acknowledged()) == (Decimal("95.5"), {"XOM": Decimal(8)})
    assert ledger.fills() == booking().fills
    assert best_price(ledger, "flow", "PEAR", NOW) == 60


def test_booking_that_fails_halfway_writes_nothing(tmp_path: Path) -> None:
    books = SqliteLedger.create(tmp_path, ACCOUNT, NOW)
    with pytest.raises((AttributeError, TypeError)):
        books.book(replace(booking(), fills=(make_fill(), None)), NOW)  # type: ignore[arg-type]
    assert (books.booked(), books.fills(), books.cash_adjustments()) == ({}, (), Decimal(0))
    assert books.book(booking(), NOW)
    books.close()


def test_first_claim_of_a_slot_wins_and_a_session_lists_its_claims_in_order(ledger: Ledger) -> None:
    won = ledger.claim_slot("trade-once", DAY, "open+5m", "serve", NOW)
    lost = ledger.claim_slot("trade-once", DAY, "open+5m", "cron", minutes(1))
    other = ledger.claim_slot("score", DAY, "open+5m", "cron", minutes(1))
    ledger.claim_slot("score", DAY + timedelta(days=1), "open+5m", "cron", minutes(2))
    assert won == SlotClaim("trade-once", DAY, "open+5m", "serve", NOW, won=True)
    assert (lost, other.won) == (replace(won, won=False), True)
    assert ledger.slot_claims(DAY) == (lost, replace(other, won=False))


def test_halt_disarms_and_only_active_arms_again(ledger: Ledger) -> None:
    assert (ledger.trading_state().state, ledger.armed()) == (TradingState.ACTIVE, True)
    ledger.set_trading_state(TradingStateRecord(TradingState.FLATTEN, "me", "storm", minutes(1)))
    record = ledger.trading_state()
    assert (record.state, record.who, record.why, record.at) == (TradingState.FLATTEN, "me", "storm", minutes(1))
    assert not ledger.armed()
    ledger.set_trading_state(TradingStateRecord(TradingState.ACTIVE, "me", "calm", minutes(2)), over=record)
    assert (ledger.trading_state().state, ledger.armed()) == (TradingState.ACTIVE, True)


def test_reduce_only_over_flatten_stays_flatten_with_the_newest_reason(ledger: Ledger) -> None:
    ledger.set_trading_state(TradingStateRecord(TradingState.FLATTEN, "me", "storm", minutes(1)))
    ledger.set_trading_state(TradingStateRecord(TradingState.REDUCE_ONLY, "another", "fire", minutes(2)))
    record = ledger.trading_state()
    assert (record.state, record.why) == (TradingState.FLATTEN, "fire")
    ledger.set_trading_state(TradingStateRecord(TradingState.ACTIVE, "me", "calm", minutes(3)), over=record)
    ledger.set_trading_state(TradingStateRecord(TradingState.REDUCE_ONLY, "me", "again", minutes(4)))
    assert ledger.trading_state().state is TradingState.REDUCE_ONLY


def test_newer_halt_than_the_one_shown_is_not_ended(ledger: Ledger) -> None:
    ledger.set_trading_state(TradingStateRecord(TradingState.REDUCE_ONLY, "me", "storm", minutes(1)))
    shown = ledger.trading_state()
    ledger.set_trading_state(TradingStateRecord(TradingState.REDUCE_ONLY, "another", "fire", minutes(2)))
    with pytest.raises(OperatorError, match="a newer halt"):
        ledger.set_trading_state(TradingStateRecord(TradingState.ACTIVE, "me", "calm", minutes(3)), over=shown)
    assert (ledger.trading_state().why, ledger.armed()) == ("fire", False)


def test_halts_are_those_since_entries_were_last_open(ledger: Ledger) -> None:
    assert ledger.halts() == ()
    for minute, state in enumerate(("REDUCE_ONLY", "ACTIVE", "REDUCE_ONLY", "FLATTEN"), 1):
        ledger.set_trading_state(TradingStateRecord(TradingState(state), "me", f"at {minute}", minutes(minute)))
    assert [(halt.state, halt.why, halt.at) for halt in ledger.halts()] == [
        (TradingState.REDUCE_ONLY, "at 3", minutes(3)),
        (TradingState.FLATTEN, "at 4", minutes(4)),
    ]
    ledger.set_trading_state(TradingStateRecord(TradingState.ACTIVE, "me", "calm", minutes(5)))
    assert ledger.halts() == ()


def test_sessions_are_replaced_by_date(ledger: Ledger) -> None:
    first = Session(DAY, NOW, minutes(390))
    half = Session(DAY + timedelta(days=1), minutes(1440), minutes(1650))
    ledger.put_sessions((half, first))
    ledger.put_sessions((Session(DAY, NOW, minutes(210)),))
    assert ledger.sessions(DAY, DAY + timedelta(days=1)) == (Session(DAY, NOW, minutes(210)), half)
    assert ledger.sessions(date(2026, 1, 6), date(2026, 1, 6)) == (half,)
    ledger.put_sessions((), gone=[half.date, date(2026, 1, 9)])
    assert ledger.sessions(DAY, DAY + timedelta(days=9)) == (Session(DAY, NOW, minutes(210)),)


def test_listings_are_kept_by_symbol_and_replaced(ledger: Ledger) -> None:
    assert (ledger.listings(), ledger.listings(["AAPL"])) == ({}, {})
    apple, cola = (ListingRecord(listing(symbol)) for symbol in ("AAPL", "KO"))
    ledger.put_listings([apple, cola])
    assert ledger.listings() == {"AAPL": apple, "KO": cola}
    assert ledger.listings(["KO", "TSLA"]) == {"KO": cola}
    changed = apple.read_again(
        listing(lot=Decimal("0.5"), expiry=date(2026, 12, 18), margin_levels=MARGINS, read_at=NOW)
    )
    ledger.put_listings([changed])
    assert (ledger.listings(["AAPL"]), changed.before) == ({"AAPL": changed}, apple.listing)
    assert ledger.listings() == {"AAPL": changed, "KO": cola}


MARGINS = (
    MarginLevel(Decimal(0), Decimal("0.02"), Decimal("0.01")),
    MarginLevel(Decimal(50), Decimal(1), Decimal("0.5")),
)


def test_sessions_of_each_calendar_stand_by_themselves(ledger: Ledger) -> None:
    next_day = DAY + timedelta(days=1)
    own = (Session(DAY, NOW, minutes(390)), Session(next_day, minutes(1440), minutes(1830)))
    grain, rates = Session(DAY, NOW, minutes(200)), Session(next_day, minutes(900), minutes(2000))
    ledger.put_sessions(own)
    ledger.put_sessions([rates], calendar="rates")
    ledger.put_sessions([grain], calendar="grain")
    assert ledger.sessions(DAY, next_day) == own
    assert ledger.sessions(DAY, next_day, "grain") == (grain,)
    assert {name: tuple(held) for name, held in ledger.calendars(DAY, next_day).items()} == {
        "": own,
        "grain": (grain,),
        "rates": (rates,),
    }
    assert set(ledger.calendars(DAY, DAY)) == {"", "grain"}
    ledger.put_sessions([replace(grain, close=minutes(100))], gone=[next_day], calendar="grain")
    ledger.put_sessions([], gone=[next_day], calendar="rates")
    assert ledger.sessions(DAY, next_day) == own
    assert ledger.sessions(DAY, next_day, "grain") == (replace(grain, close=minutes(100)),)
    assert ledger.sessions(DAY, next_day, "rates") == ()


def test_the_last_reconcile_is_remembered(ledger: Ledger) -> None:
    assert ledger.last_reconcile() is None
    ledger.mark_reconciled(ReconcileMark(NOW, 2, 3))
    ledger.mark_reconciled(ReconcileMark(minutes(1), 0, 1))
    assert ledger.last_reconcile() == ReconcileMark(minutes(1), 0, 1)


def test_best_and_worst_price_are_stored_and_restated_together(ledger: Ledger) -> None:
    apple, cola = ("flow", "AAPL", NOW), ("flow", "KO", NOW)
    ledger.put_marks({apple: Marks(Decimal(190), None), cola: Marks(Decimal(60), Decimal(55))})
    ledger.put_marks({apple: Marks(Decimal(190), Decimal("180.5"))})
    kept = ledger.entry_terms([apple, cola])
    assert kept == {
        apple: EntryTerms(best=Decimal(190), worst=Decimal("180.5")),
        cola: EntryTerms(best=Decimal(60), worst=Decimal(55)),
    }
    split = RestatedPosition("flow", "AAPL", NOW, "AAPL", Decimal(2))
    assert ledger.book(Booking((Entry("2026::7", "SPLIT", Decimal(0), "SPLIT AAPL"),), restated=(split,)), NOW)
    halves = EntryTerms(best=Decimal(95), worst=Decimal("90.25"))
    assert ledger.entry_terms([apple, cola]) == {**kept, apple: halves}


def test_acknowledged_positions_count_from_their_first_note_until_they_are_forgotten(ledger: Ledger) -> None:
    ledger.acknowledge("XOM", Decimal(5), "mine", NOW, origin=Origin.PLAN)
    ledger.acknowledge("JPM", Decimal(1), "mine", NOW, origin=Origin.PLAN)
    ledger.acknowledge("XOM", Decimal(10), "split", minutes(1), origin=Origin.PLAN)
    ledger.acknowledge("JPM", Decimal(0), "sold", minutes(2), origin=Origin.PLAN)
    ledger.acknowledge("JPM", Decimal(2), "bought again", minutes(3), origin=Origin.PLAN)
    assert ledger.acknowledged_since() == {"XOM": NOW, "JPM": minutes(3)}
    ledger.acknowledge("XOM", Decimal(0), "sold", minutes(4), origin=Origin.PLAN)
    assert ledger.acknowledged() == {"JPM": Decimal(2)}


def test_last_acknowledged_is_the_last_promised_whatever_was_settled_last(ledger: Ledger) -> None:
    assert ledger.last_acknowledged() is None
    first, second, refused, silent, ending = (make_intent(f"open+{n}m") for n in (30, 35, 40, 45, 50))
    ending = replace(ending, operation=Operation.CANCEL, target_venue_id="v-1")
    for intent in (first, second, refused, silent, ending):
        ledger.record_intent(intent, (PASSED,))
    assert ledger.last_acknowledged() is None
    ledger.record_outcome(ending.client_order_id, Reply(WriteOutcome.ACCEPTED), NOW)
    ledger.record_outcome(second.client_order_id, Reply(WriteOutcome.ACCEPTED), NOW)
    ledger.record_outcome(first.client_order_id, Reply(WriteOutcome.ACCEPTED), NOW)
    ledger.record_outcome(refused.client_order_id, Reply(WriteOutcome.REJECTED), NOW)
    ledger.record_outcome(silent.client_order_id, Reply(WriteOutcome.UNKNOWN), NOW)
    assert ledger.last_acknowledged() == second.client_order_id


STOP, TARGET, SCORE = Decimal("0.01"), Decimal("0.045"), 0.62
ATR, INVALID = Decimal("0.04"), Decimal("0.02")
COMPONENTS = (Component("flow", 0.8, 0.6, "7 alerts"), Component("tide", None, 0.4, ""))
LEVELS = (ScaleOutLevel(Decimal("0.02"), Decimal("0.3")), ScaleOutLevel(Decimal("0.05"), Decimal("0.7")))
OWN_TERMS: dict[str, Any] = {
    "stop_loss_fraction": STOP,
    "profit_target_fraction": TARGET,
    "components": COMPONENTS,
    "targets": LEVELS,
    "atr_fraction": ATR,
    "invalid_fraction": INVALID,
    "cluster": "wide_up",
    "worst_price": Decimal("100.10"),
}
ASKED = EntryTerms(**OWN_TERMS, entry_score=SCORE, instrument=instrument("AAPL"))
HELD = ("flow", "AAPL", NOW)


def bought_with_own_exits(ledger: Ledger, *, hand: bool = False) -> None:
    """Enter with its own stop and target; `hand` lets a person replace the order before it fills."""
    intent = replace(make_intent(), **OWN_TERMS, score=SCORE)
    ledger.record_intent(intent, ())
    order = replace(make_order("v0" if hand else "v1"), client_order_id=intent.client_order_id)
    ledger.record_outcome(intent.client_order_id, Reply(WriteOutcome.ACCEPTED, order), NOW)
    if hand:
        replaced = replace(order, status=OrderStatus.REPLACED, replaced_by="v1", updated_at=minutes(1))
        ledger.apply_orders([replaced, replace(make_order("v1"), client_order_id="by-hand")], minutes(1))
    ledger.apply_fills([make_fill()], NOW)


@pytest.mark.parametrize("hand", [False, True])
def test_exit_of_a_position_is_the_one_asked_for_by_its_first_fill(ledger: Ledger, hand: bool) -> None:
    bought_with_own_exits(ledger, hand=hand)
    again = replace(make_intent("open+10m"), stop_loss_fraction=Decimal("0.5"))
    ledger.record_intent(again, ())
    later = replace(make_order("v2"), client_order_id=again.client_order_id)
    ledger.record_outcome(again.client_order_id, Reply(WriteOutcome.ACCEPTED, later), NOW)
    ledger.apply_fills([replace(make_fill("a2", minutes(1)), fill=replace(make_fill().fill, activity_id="a2"))], NOW)
    assert ledger.entry_terms([HELD]) == {HELD: ASKED}
    ledger.put_marks({HELD: Marks(Decimal(190), None)})
    assert ledger.entry_terms([HELD]) == {HELD: replace(ASKED, best=Decimal(190))}


def test_kept_answers_for_several_positions_as_it_does_for_each_alone(ledger: Ledger) -> None:
    bought_with_own_exits(ledger, hand=True)
    other = replace(make_intent("open+10m", "MSFT"), stop_loss_fraction=Decimal("0.5"))
    ledger.record_intent(other, ())
    ledger.apply_orders([replace(make_order("v2"), client_order_id=other.client_order_id)], NOW)
    fill = replace(make_fill("a2").fill, symbol="MSFT", venue_order_id="v2")
    ledger.apply_fills([replace(make_fill("a2"), fill=fill)], NOW)
    microsoft, unknown = ("flow", "MSFT", NOW), ("flow", "KO", NOW)
    ledger.put_marks({microsoft: Marks(Decimal(400), None)})
    asked = EntryTerms(stop_loss_fraction=Decimal("0.5"), best=Decimal(400), instrument=instrument("MSFT"))
    expected = {HELD: ASKED, microsoft: asked}
    assert ledger.entry_terms([unknown, HELD, microsoft]) == expected
    assert {
        key: kept for one in (HELD, microsoft, unknown) for key, kept in ledger.entry_terms([one]).items()
    } == expected


def test_exit_is_not_shared_with_another_strategy_symbol_or_time(ledger: Ledger) -> None:
    bought_with_own_exits(ledger)
    others = [("other", "AAPL", NOW), ("flow", "MSFT", NOW), ("flow", "AAPL", minutes(1)), ("adopted", "AAPL", NOW)]
    assert ledger.entry_terms(others) == {}


def test_position_that_a_closing_order_opened_has_turned_and_asked_for_no_exit(ledger: Ledger) -> None:
    intent = replace(make_intent(), purpose=Purpose.CLOSE, stop_loss_fraction=STOP)
    ledger.record_intent(intent, ())
    order = replace(make_order("v1"), client_order_id=intent.client_order_id)
    ledger.record_outcome(intent.client_order_id, Reply(WriteOutcome.ACCEPTED, order), NOW)
    ledger.apply_fills([make_fill()], NOW)
    assert ledger.entry_terms([HELD]) == {HELD: EntryTerms(turned=True)}


@pytest.mark.parametrize("purpose", [Purpose.PROTECT, Purpose.OPEN])
def test_position_has_turned_if_the_stop_of_a_pair_or_an_entry_opened_it_unless_an_entry_filled_at_that_moment(
    ledger: Ledger, purpose: Purpose
) -> None:
    pair = replace(make_intent(), purpose=purpose)
    ledger.record_intent(pair, ())
    limit = replace(make_order("v1"), client_order_id=pair.client_order_id)
    leg = replace(make_order("v2"), client_order_id="of the venue", parent="v1")
    ledger.record_outcome(pair.client_order_id, Reply(WriteOutcome.ACCEPTED, limit, legs=(leg,)), NOW)
    ledger.apply_fills([replace(make_fill(), fill=replace(make_fill().fill, venue_order_id="v2"))], NOW)
    assert ledger.entry_terms([HELD]) == {HELD: EntryTerms(turned=True)}
    entry = make_intent("open+10m")
    ledger.record_intent(entry, ())
    ledger.apply_orders([replace(make_order("v3"), client_order_id=entry.client_order_id)], NOW)
    ledger.apply_fills([replace(make_fill("a3"), fill=replace(make_fill("a3").fill, venue_order_id="v3"))], NOW)
    assert ledger.entry_terms([HELD]) == {}


def renamed(old: str, new: str, number: int) -> Booking:
    """Return what a rename writes: the lots of the old symbol close, then those of the new one open, as of old."""
    name, one = f"2026::{number}", Decimal(1)
    moved = ((old, -one, minutes(9)), (new, one, NOW))
    fills = tuple(
        unreported_fill("flow", f"{name}:{place}", symbol, change, Decimal(187), ONE, at, Origin.ACTIVITY, name)
        for place, (symbol, change, at) in enumerate(moved)
    )
    restated = (RestatedPosition("flow", old, NOW, new),)
    return Booking((Entry(name, "NC", Decimal(0), f"NC {old} to {new}"),), fills, restated=restated)


def test_renamed_position_keeps_the_exit_of_its_entry(ledger: Ledger) -> None:
    bought_with_own_exits(ledger)
    ledger.put_marks({HELD: Marks(Decimal(190), None)})
    ledger.book(renamed("AAPL", "PEAR", 1), minutes(9))
    pear = ("flow", "PEAR", NOW)
    assert ledger.entry_terms([pear]) == {pear: replace(ASKED, best=Decimal(190))}
    ledger.apply_fills([replace(make_fill("a9"), fill=replace(make_fill("a9").fill, symbol="MSFT"))], minutes(9))
    ledger.book(renamed("PEAR", "PLUM", 2), minutes(10))
    plum = ("flow", "PLUM", NOW)
    assert ledger.entry_terms([plum, ("flow", "MSFT", NOW)])[plum] == replace(ASKED, best=Decimal(190))
