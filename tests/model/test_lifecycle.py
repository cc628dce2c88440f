"""The life of a position: the same records give the same state, and no state follows that can't."""

from collections.abc import Iterable
from datetime import timedelta
from decimal import Decimal
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from benchmarks.support.traded import order_of
from tests.kit.core.position import Happening, Known
from tests.kit.values import ACCOUNT, DAY, NOW, instrument, new_intent
from tradebot.model.candidate import Purpose, Side
from tradebot.model.intent import Intent, IntentKey, IntentRecord, IntentState, Operation
from tradebot.model.lifecycle import (
    NEXT,
    NOTHING,
    Event,
    PendingWork,
    Records,
    RestingPrice,
    State,
    has_entered,
    may_follow,
    state_of,
)
from tradebot.model.order import Fill, Order, OrderClass, OrderStatus, TimeInForce
from tradebot.model.position import ADOPTED, FOREIGN, Origin, OwnedFill
from tradebot.model.struct_tools import replace

STOP, TARGET = Decimal(95), Decimal(110)
OPPOSITE = {Side.BUY: Side.SELL, Side.SELL: Side.BUY}


def intent(purpose: Purpose, side: Side, quantity: int, number: int = 0) -> Intent:
    key = IntentKey(ACCOUNT, "flow", DAY, f"slot-{number}", "AAPL", side, purpose)
    pair = {"time_in_force": TimeInForce.GTC, "stop_price": STOP, "order_class": OrderClass.OCO}
    own = {"client_order_id": f"{purpose}-{number}", "quantity": Decimal(quantity), "limit_price": TARGET}
    more = pair if purpose is Purpose.PROTECT else {}
    return new_intent(key, instrument("AAPL"), at=NOW + timedelta(seconds=number), **own, **more)


def record(of: Intent, state: IntentState = IntentState.SENT, seconds: int = 0) -> IntentRecord:
    return IntentRecord(of, state, None, None, NOW + timedelta(seconds=seconds))


def order(of: Intent, status: OrderStatus = OrderStatus.NEW, filled: int = 0, seconds: int = 0, **own: Any) -> Order:
    usual = order_of(of, f"venue of {of.client_order_id}", status, Decimal(100) if filled else None)
    told = {"filled_quantity": Decimal(filled), "submitted_at": NOW, "updated_at": NOW + timedelta(seconds=seconds)}
    return replace(usual, **{**told, **own})


def fill(of: Intent, number: int, quantity: int) -> OwnedFill:
    at = NOW + timedelta(seconds=number)
    told = Fill(f"fill-{number}", f"venue of {of.client_order_id}", "AAPL", of.side, Decimal(quantity), TARGET, at)
    return OwnedFill("flow", told)


def seen(events: Iterable[Happening]) -> list[State]:
    known, states = Known(), list[State]()
    for event in events:
        known = known.after([event])
        state = known.state()
        states += [state] if states[-1:] != [state] else []
    return states


@st.composite
def lives(draw: st.DrawFn, side: Side | None = None) -> list[Happening]:
    """Return a position's events in the order in which they happened: entry, protection, exits, each in parts."""
    way = side or draw(st.sampled_from(Side))
    entry, quantity, number = intent(Purpose.OPEN, way, draw(st.integers(2, 9))), 0, 1
    events: list[Happening] = [record(entry)]
    if draw(st.booleans()):
        return [*events, record(entry, IntentState.REJECTED, 1)]
    events += [record(entry, IntentState.ACKED, 1), order(entry)]
    parts = draw(st.lists(st.integers(1, 4), min_size=1, max_size=2))
    for part in parts:
        got = min(part, int(entry.quantity) - quantity)
        quantity += got
        done = quantity == entry.quantity
        status = OrderStatus.FILLED if done else OrderStatus.PARTIALLY_FILLED
        events += [order(entry, status, quantity, number)] if got else []
        events += [fill(entry, number, got)] if got else []
        number += 1
    if quantity < entry.quantity:
        events.append(order(entry, OrderStatus.CANCELED, quantity, number))
    while quantity:
        number += 1
        pair = intent(Purpose.PROTECT, OPPOSITE[way], quantity, number)
        if draw(st.booleans()):
            events += [record(pair), record(pair, IntentState.ACKED, number), order(pair, seconds=number)]
            events.append(order(pair, OrderStatus.CANCELED, seconds=number + 1))
        out = intent(Purpose.CLOSE, OPPOSITE[way], draw(st.integers(1, quantity)), number)
        got = draw(st.integers(0 if number < 6 else int(out.quantity), int(out.quantity)))
        status = OrderStatus.FILLED if got == out.quantity else OrderStatus.CANCELED
        events += [record(out), order(out, seconds=number), record(out, IntentState.ACKED, number)]
        events += [fill(out, number, got)] if got else []
        events.append(order(out, status, got, number + 1))
        quantity -= got
    return events


@given(events=lives(), data=st.data())
def test_the_same_events_in_any_order_of_arrival_and_twice_give_the_same_records(
    events: list[Happening], data: st.DataObject
) -> None:
    shuffled = data.draw(st.permutations([*events, *events[::2]]))
    assert Known().after(shuffled) == Known().after(events)


@given(events=lives(), at=st.integers(0, 30))
def test_a_restart_at_any_point_changes_nothing(events: list[Happening], at: int) -> None:
    assert Known().after(events[:at]).after(events) == Known().after(events)


@given(events=lives())
def test_only_states_that_may_follow_one_another_are_ever_seen(events: list[Happening]) -> None:
    states = seen(events)
    assert all(may_follow(state, before) for before, state in pairwise(states)), states
    assert (states[0], states[-1]) == (State.INTENDED, State.CLOSED)


def mirrored(event: Happening) -> Happening:
    if isinstance(event, OwnedFill):
        return replace(event, fill=replace(event.fill, side=OPPOSITE[event.fill.side]))
    if isinstance(event, Order):
        return replace(event, side=OPPOSITE[event.side])
    side = OPPOSITE[event.intent.side]
    return replace(event, intent=replace(event.intent, side=side, key=replace(event.intent.key, side=side)))


@given(events=lives())
def test_a_short_goes_through_the_states_of_its_mirrored_long(events: list[Happening]) -> None:
    assert seen(map(mirrored, events)) == seen(events)


@given(filled=st.lists(st.integers(0, 3), max_size=4).map(sorted), data=st.data())
def test_the_last_report_of_an_order_is_the_one_that_supersedes_the_others(
    filled: list[int], data: st.DataObject
) -> None:
    entry = intent(Purpose.OPEN, Side.BUY, 9)
    reports = [order(entry, OrderStatus.PARTIALLY_FILLED, n, second) for second, n in enumerate(filled)]
    reports.append(order(entry, OrderStatus.CANCELED, filled[-1] if filled else 0, len(filled)))
    known, *others = data.draw(st.permutations(reports))
    for report in others:
        known = report if report.supersedes(known) else known
    assert list(Records().after(reports).orders.values()) == [known]


def test_an_end_counts_though_its_clock_is_behind_and_shares_that_filled_stay_filled() -> None:
    entry = intent(Purpose.OPEN, Side.BUY, 9)
    working, ended = order(entry, seconds=9), order(entry, OrderStatus.CANCELED, seconds=1)
    part = order(entry, OrderStatus.PARTIALLY_FILLED, 3, seconds=2)
    for reports, last in (([working, ended], ended), ([ended, part], part)):
        assert list(Records().after(reports).orders.values()) == [last]
        assert list(Records().after(reversed(reports)).orders.values()) == [last]


def test_a_known_outcome_stays_known() -> None:
    entry = intent(Purpose.OPEN, Side.BUY, 9)
    acknowledged, unknown = record(entry, IntentState.ACKED), record(entry, IntentState.UNKNOWN, 9)
    for told in ([acknowledged, unknown], [unknown, acknowledged]):
        assert list(Records().after(told).intents.values()) == [acknowledged]


ENTRY, PAIR, EXIT = (
    intent(Purpose.OPEN, Side.BUY, 10),
    intent(Purpose.PROTECT, Side.SELL, 10),
    intent(Purpose.CLOSE, Side.SELL, 10),
)
HELD: tuple[Happening, ...] = (
    record(ENTRY, IntentState.ACKED),
    order(ENTRY, OrderStatus.FILLED, 10),
    fill(ENTRY, 1, 10),
)
ENTRY_ORDER = "venue of open-0"
LEG: dict[str, Any] = {"venue_id": "leg", "client_order_id": "the venue's", "limit_price": None, "stop_price": STOP}


@pytest.mark.parametrize(
    ("events", "state"),
    [
        ([record(ENTRY)], State.INTENDED),
        ([record(ENTRY, IntentState.UNKNOWN)], State.INTENDED),
        ([record(ENTRY, IntentState.ABANDONED)], State.CLOSED),
        ([record(ENTRY), order(ENTRY)], State.WORKING),
        ([order(ENTRY, OrderStatus.FILLED, 10), record(ENTRY)], State.WORKING),
        ([fill(ENTRY, 1, 4), order(ENTRY, OrderStatus.PARTIALLY_FILLED, 4), record(ENTRY)], State.OPEN),
        ([*HELD, record(PAIR)], State.OPEN),
        ([*HELD, record(PAIR), order(PAIR)], State.OPEN),
        (
            [*HELD, record(PAIR), order(PAIR, parent=None), order(PAIR, **LEG, parent="venue of protect-0")],
            State.PROTECTED,
        ),
        ([*HELD, record(PAIR), order(PAIR, quantity=Decimal(9))], State.OPEN),
        ([*HELD, record(PAIR), order(PAIR, OrderStatus.CANCELED)], State.OPEN),
        ([*HELD, record(EXIT)], State.CLOSING),
        ([*HELD, record(EXIT), order(EXIT)], State.CLOSING),
        ([*HELD, record(EXIT), order(EXIT, quantity=Decimal(4))], State.REDUCING),
        ([*HELD, record(EXIT), order(EXIT, OrderStatus.REJECTED)], State.OPEN),
        ([*HELD, record(EXIT), order(EXIT, OrderStatus.FILLED, 10)], State.CLOSING),
        ([*HELD, record(EXIT), fill(EXIT, 2, 10)], State.CLOSED),
    ],
)
def test_each_state_follows_from_what_is_known(events: list[Happening], state: State) -> None:
    assert Known().after(events).state() is state


def test_an_exit_that_replaced_a_pairs_limit_closes_while_the_pairs_stop_still_protects() -> None:
    pair = order(PAIR, OrderStatus.REPLACED, replaced_by="venue of close-0")
    leg = order(PAIR, OrderStatus.HELD, **LEG, parent=pair.venue_id)
    known = Known().after([*HELD, record(PAIR), pair, leg, record(EXIT), order(EXIT)])
    assert known.state() is State.CLOSING
    resting = (RestingPrice(STOP, Decimal(10), True),)
    assert known.records.work({ENTRY_ORDER: Decimal(10)})["flow", "AAPL"] == PendingWork(
        None, Decimal(10), resting, instrument=EXIT.instrument
    )


def test_an_order_that_replaced_ours_by_hand_is_still_ours_and_a_strangers_is_not() -> None:
    ours = order(EXIT, OrderStatus.REPLACED, replaced_by="by hand")
    by_hand = order(EXIT, venue_id="by hand", client_order_id="typed")
    stranger = order(EXIT, venue_id="other", client_order_id="someone's")
    known = Known().after([*HELD, record(EXIT), ours, by_hand, stranger])
    assert known.records.work({})["flow", "AAPL"].leaving == 10


def test_a_stop_that_was_moved_rests_once_while_the_venue_still_lists_the_old_one() -> None:
    leg = order(PAIR, OrderStatus.HELD, **LEG, parent="venue of protect-0")
    asked = intent(Purpose.PROTECT, Side.SELL, 10, 1)
    moved = replace(asked, operation=Operation.REPLACE, target_venue_id=leg.venue_id, stop_price=Decimal(97))
    new = order(moved, limit_price=None, stop_price=Decimal(97))
    told: list[Event] = [record(PAIR), order(PAIR), leg, record(moved, IntentState.ACKED)]

    def stops(status: OrderStatus) -> list[Decimal]:
        (work,) = Records().after([*told, replace(new, status=status)]).work({}).values()
        return [one.price for one in work.resting if one.is_stop]

    assert (stops(OrderStatus.HELD), stops(OrderStatus.REJECTED)) == ([Decimal(97)], [STOP])
    ended = replace(leg, status=OrderStatus.REPLACED, replaced_by=new.venue_id, updated_at=NOW + timedelta(seconds=1))
    told.append(ended)
    assert stops(OrderStatus.HELD) == [Decimal(97)]


@pytest.mark.parametrize("status", ["accepted", "pending_new", "new"])
def test_a_stop_that_is_held_for_a_pair_that_has_not_arrived_is_said_to_come(status: str) -> None:
    pair = order(PAIR, OrderStatus(status))
    leg = order(PAIR, OrderStatus.HELD, **LEG, parent=pair.venue_id)
    (work,) = Records().after([record(PAIR), pair, leg]).work({}).values()
    stop = RestingPrice(STOP, Decimal(10), True)
    assert work.resting[0] == stop
    assert work.coming == (() if status == "new" else (stop,))


@pytest.mark.parametrize("status", OrderStatus)
def test_a_pair_protects_only_while_its_stop_can_trigger(status: OrderStatus) -> None:
    works = status in {"new", "held", "partially_filled", "pending_replace", "stopped"}
    leg = order(PAIR, status, **LEG, parent="venue of protect-0")
    (work,) = Records().after([record(PAIR), order(PAIR), leg]).work({}).values()
    target, stop = RestingPrice(TARGET, Decimal(10), False), RestingPrice(STOP, Decimal(10), True)
    assert work.resting == ((stop, target) if works else (target,))
    assert [work.covered_quantity(Decimal(held)) for held in (-7, 12)] == ([7, 10] if works else [0, 0])


def test_a_pair_whose_stop_was_never_reported_protects_nothing() -> None:
    told = Records().after([record(PAIR), order(PAIR, order_class=OrderClass.OCO)])
    (work,) = told.work({}).values()
    assert (work.covered_quantity(Decimal(10)), work.arriving) == (Decimal(0), True)
    ended = order(PAIR, OrderStatus.CANCELED, **LEG, parent="venue of protect-0")
    (work,) = told.after([ended]).work({}).values()
    assert (work.covered_quantity(Decimal(10)), work.arriving) == (Decimal(0), False), "one that has ended doesn't come"


def test_a_stop_protects_while_its_replacement_is_on_its_way() -> None:
    leg = order(PAIR, OrderStatus.NEW, **LEG, parent="venue of protect-0")
    moved = replace(PAIR, client_order_id="moved", operation=Operation.REPLACE, target_venue_id="leg")
    new = order(moved, OrderStatus.PENDING_NEW, limit_price=None, stop_price=Decimal(97))
    (work,) = Records().after([record(PAIR), order(PAIR), leg, record(moved), new]).work({}).values()
    assert work.covered_quantity(Decimal(10)) == 10


def test_the_last_order_that_was_to_protect_counts_as_refused_until_one_is_accepted() -> None:
    def sent(number: int, state: IntentState) -> IntentRecord:
        return record(intent(Purpose.PROTECT, Side.SELL, 10, number), state)

    def refused(*records: IntentRecord) -> IntentRecord | None:
        return Records().after(records).work({})["flow", "AAPL"].refused

    first, second = sent(1, IntentState.REJECTED), sent(2, IntentState.ACKED)
    assert (refused(first), refused(second, first)) == (first, None)
    assert refused(first, sent(0, IntentState.ACKED)) == first
    assert Records().after([first, second, order(second.intent)]).work({})["flow", "AAPL"].refused is None


@pytest.mark.parametrize(
    ("owner", "quantity", "covered", "state"),
    [
        ("flow", "10.5", 10, State.PROTECTED),
        ("flow", "-10.5", 9, State.OPEN),
        ("flow", "0.5", 0, State.OPEN),
        (ADOPTED, "10", 0, State.ADOPTED),
        (ADOPTED, "-10", 10, State.PROTECTED),
        (FOREIGN, "10", 0, State.QUARANTINED),
        (FOREIGN, "0", 0, State.CLOSED),
    ],
)
def test_found_shares_have_their_own_states_and_fractions_need_no_stop(
    owner: str, quantity: str, covered: int, state: State
) -> None:
    rests = (RestingPrice(STOP, Decimal(covered), True),)
    work = PendingWork(resting=rests, instrument=PAIR.instrument) if covered else NOTHING
    assert state_of(owner, Decimal(quantity), work) is state


def test_adopting_found_shares_takes_them_out_of_quarantine() -> None:
    found = replace(fill(ENTRY, 1, 10), strategy=FOREIGN)
    gone = replace(found, fill=replace(found.fill, activity_id="gone", side=Side.SELL), origin=Origin.ADOPTION)
    come = replace(found, strategy=ADOPTED, fill=replace(found.fill, activity_id="come"), origin=Origin.ADOPTION)
    before, after = Known().after([found]), Known().after([found, gone, come])
    assert (before.state(FOREIGN), after.state(FOREIGN)) == (State.QUARANTINED, State.CLOSED)
    assert after.state(ADOPTED) is State.ADOPTED
    assert may_follow(State.ADOPTED, State.QUARANTINED)


def test_the_table_has_every_state_and_no_way_back() -> None:
    assert set(NEXT) == set(State)
    assert NEXT[State.CLOSED] == frozenset()
    beginnings = {State.INTENDED, State.WORKING, State.QUARANTINED}
    for state in set(State) - beginnings:
        assert not NEXT[state] & beginnings
    assert not any(state in following for state, following in NEXT.items())
    assert all(State.CLOSED in following for state, following in NEXT.items() if state is not State.CLOSED)


def test_the_documents_table_is_the_one_in_the_code() -> None:
    text = (Path(__file__).parents[2] / "docs" / "internals" / "DECISIONS.md").read_text(encoding="utf-8")
    lines = text.partition("<!-- states -->")[2].partition("<!-- /states -->")[0].splitlines()
    rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in lines if line.startswith("|")][2:]
    found = {State(name): following for name, _, following in rows}
    assert found == {state: ", ".join(one for one in State if one in NEXT[state]) or "nothing" for state in State}


@pytest.mark.parametrize(
    ("status", "filled", "booked", "entered"),
    [
        (OrderStatus.PARTIALLY_FILLED, 5, 5, False),
        (OrderStatus.NEW, 0, 9, False),
        (OrderStatus.NEW, 0, 10, True),
        (OrderStatus.PARTIALLY_FILLED, 10, 0, True),
        (OrderStatus.FILLED, 10, 0, True),
        (OrderStatus.CANCELED, 5, 5, False),
    ],
)
def test_stop_that_hangs_on_an_entry_waits_until_all_of_it_has_filled(
    status: OrderStatus, filled: int, booked: int, *, entered: bool
) -> None:
    entry = order(intent(Purpose.OPEN, Side.BUY, 10), status, filled)
    assert has_entered(entry, Decimal(booked)) is entered
    assert not has_entered(None, Decimal(booked))
