"""What each venue's adapter reads: the same questions everywhere, and what becomes of answers that can't be used."""

import json
from collections.abc import Callable
from datetime import date, timedelta
from decimal import Decimal
from functools import partial
from itertools import pairwise
from typing import Any

import pytest

from tests.conformance.played import PARTS, UNKNOWN_ID, UNLISTED, UNTRADED, VenueAccount, truth
from tradebot.adapters.bars.series import resample
from tradebot.adapters.wire.json_fields import DriftTally
from tradebot.auditing.bar_findings import RawBar
from tradebot.desk.snapshot import account_value
from tradebot.errors import ExitCode, OperatorError, TemporaryError, TradebotError
from tradebot.model.candidate import Side
from tradebot.model.margin import level_at
from tradebot.model.order import Order, OrderStatus
from tradebot.model.series import PriceKind, width_of
from tradebot.model.struct_tools import replace
from tradebot.model.venue import End, Settlement
from tradebot.venues.kraken.capabilities import KRAKEN

DAY, MINUTE, DATE = timedelta(days=1), timedelta(minutes=1), date(2026, 11, 17)
READS: dict[str, Callable[[VenueAccount, Order], object]] = {
    "clock": lambda desk, order: desk.reader.clock(),
    "account": lambda desk, order: desk.reader.account(),
    "view": lambda desk, order: desk.reader.view(),
    "position": lambda desk, order: desk.reader.position(desk.symbol),
    "order": lambda desk, order: desk.reader.order(order.client_order_id),
    "follower": lambda desk, order: desk.reader.follower(order.venue_id),
    "ended": lambda desk, order: desk.reader.ended(desk.listing.read_at),
    "orders_of": lambda desk, order: desk.reader.orders_of([desk.symbol]),
    "fills": lambda desk, order: desk.reader.fills(None),
    "activities": lambda desk, order: desk.reader.activities(desk.listing.read_at),
    "calendar": lambda desk, order: desk.reader.calendar(DATE, DATE),
    "quotes": lambda desk, order: desk.reader.quotes([desk.symbol]),
    "quotes_again": lambda desk, order: desk.reader.quotes_again([desk.symbol]),
    "depth": lambda desk, order: desk.reader.depth(desk.symbol),
    "bars": lambda desk, order: list(
        desk.bars.pages([desk.symbol], "1Min", desk.listing.read_at, desk.listing.read_at)
    ),
}
"""What asks the venue for something that is there; listings may be known without asking."""
BROKEN: list[Any] = [
    {"status": 500},
    {"status": 429},
    "html_body",
    "empty_body",
    "truncated_json",
    {"truncated_json": None, "connection": "closed"},
    {"reset": "before"},
    "reply_lost",
]


def test_the_clock_is_the_venues_and_agrees_with_its_sessions(desk: VenueAccount) -> None:
    clock = desk.reader.clock()
    assert clock.now == desk.now
    assert all(at.utcoffset() is not None for at in (clock.now, clock.next_open, clock.next_close))
    assert clock.is_open
    assert min(clock.next_open, clock.next_close) > clock.now
    (session,) = [one for one in desk.sessions() if one.contains(clock.now)]
    assert clock.next_close == session.close


def test_the_clock_is_open_exactly_in_a_session(desk: VenueAccount) -> None:
    for step in ({"to": "close"}, {"seconds": 3600}, {"to": "next_open"}):
        desk.played.tick(**step)
        clock = desk.reader.clock()
        assert clock.is_open is any(one.contains(clock.now) for one in desk.sessions())
        assert clock.next_open in [one.open for one in desk.sessions()]
        assert clock.next_close in [one.close for one in desk.sessions()]


def test_the_calendar_is_sorted_and_its_dates_are_those_of_the_venues_day(desk: VenueAccount) -> None:
    sessions = desk.sessions()
    today = desk.can.day.date_of(desk.now)
    assert [one.date for one in sessions] == sorted({one.date for one in sessions})
    assert sessions[0].date < today < sessions[-1].date
    assert all(one.open.utcoffset() == one.close.utcoffset() == timedelta(0) for one in sessions)
    assert all(one.open < one.close for one in sessions)
    assert all(before.close <= after.open for before, after in pairwise(sessions))
    day = desk.can.day.knowing(sessions)
    assert [day.date_of(one.open) for one in sessions] == [one.date for one in sessions]
    assert sum(one == day.usual(one.date) for one in sessions) > len(sessions) / 2
    first, last = sessions[1].date, sessions[3].date
    assert list(desk.reader.calendar(first, last)) == sessions[1:4]
    assert list(desk.reader.calendar(first, last, desk.can.calendar)) == sessions[1:4]
    assert list(desk.reader.calendar(first, last, "no such calendar")) == []


def test_listings_are_of_the_venues_time_and_leave_out_what_it_does_not_list(desk: VenueAccount) -> None:
    now = desk.reader.clock().now
    listed = desk.reader.listings([*desk.played.symbols, UNLISTED])
    assert set(listed) == set(desk.played.symbols)
    sessions = {one for one in desk.sessions() if one.contains(now)}
    for symbol, one in listed.items():
        assert (one.symbol, one.read_at, one.instrument.currency) == (symbol, now, desk.can.currency)
        assert one.ticks[0].from_price == 0
        assert [step.from_price for step in one.ticks] == sorted({step.from_price for step in one.ticks})
        assert all(step.tick > 0 for step in one.ticks)
        assert one.minimum >= one.instrument.lot > 0
        assert one.whole_lots(one.minimum) == one.minimum
        assert one.instrument.multiplier > 0
        assert bool(one.margin_levels) is (desk.can.settlement is Settlement.MARGINED)
        assert all(0 < level.maintenance <= level.initial <= 1 for level in one.margin_levels)
        # Its calendar has a session now, as the market has.
        of = desk.reader.calendar(now.date() - DAY, now.date() + DAY, one.instrument.calendar)
        assert sessions <= set(of)


def test_what_rests_begins_at_the_quote_or_is_unknown(desk: VenueAccount) -> None:
    found, quote = desk.reader.depth(desk.symbol), desk.reader.quotes([desk.symbol])[desk.symbol]
    assert (found is None) is (desk.can is not KRAKEN)
    if found is not None:
        assert (found.symbol, found.bids[0].price, found.asks[0].price) == (desk.symbol, quote.bid, quote.ask)
        for side, worst in ((Side.BUY, found.asks[-1].price), (Side.SELL, found.bids[-1].price)):
            assert (
                found.quantity_within(side, worst)
                > found.quantity_within(side, quote.ask if side is Side.BUY else quote.bid)
                > 0
            )


def test_quotes_are_of_the_venues_time_and_what_has_none_is_rejected_with_words(desk: VenueAccount) -> None:
    without = {UNLISTED, UNTRADED}
    found = desk.reader.quotes([*desk.played.symbols, *without])
    assert set(found) == set(desk.played.symbols)
    assert set(desk.reader.rejected_quotes) == without
    assert all(desk.reader.rejected_quotes.values())
    for symbol, quote in found.items():
        assert (quote.symbol, bool(quote.feed)) == (symbol, True)
        assert 0 < quote.bid <= quote.last <= quote.ask
        assert 0 <= quote.age_s(desk.now) <= 120
        assert quote.previous_close
        beside = (quote.mark, quote.index, quote.funding_rate, quote.funding_next)
        assert (None in beside) is (desk.can is not KRAKEN)
        assert quote.premium is None or abs(quote.premium) < Decimal("0.05")
    again = desk.reader.quotes_again([*desk.played.symbols, UNTRADED])
    assert again == found
    assert set(desk.reader.rejected_quotes) == without, "these are of the last call of quotes"
    desk.reader.quotes(desk.played.symbols)
    assert not desk.reader.rejected_quotes


def test_bars_are_those_that_are_over_in_a_span_oldest_first(desk: VenueAccount) -> None:
    now = desk.now
    first, last = now - 10 * MINUTE, now - 2 * MINUTE
    pages = list(desk.bars.pages([*desk.played.symbols, UNLISTED], "1Min", first, last))
    for symbol in desk.played.symbols:
        rows = [row for page in pages for row in page.get(symbol, ())]
        assert [row[0] for row in rows] == [first.timestamp() + 60 * n for n in range(9)]
        assert all(low <= min(start, close) <= max(start, close) <= high for _, start, high, low, close, _ in rows)
    assert not [row for page in pages for row in page.get(UNLISTED, ())]
    assert desk.bars.refused_symbols <= {UNLISTED}
    assert list(desk.bars.pages([desk.symbol], "1Min", now - 30 * DAY, now - 29 * DAY))
    assert not desk.bars.refused_symbols, "a symbol without bars in a span is a symbol"
    assert desk.bars.name
    assert desk.bars.actions([desk.symbol], DATE, DATE).get(desk.symbol, ()) in ((), [])
    newest = [row for page in desk.bars.pages([desk.symbol], "1Min", last, now + DAY) for row in page[desk.symbol]]
    assert newest[-1][0] == (now - MINUTE - desk.bars.delay).timestamp()
    assert newest[-1][4] == float(desk.price())


def test_daily_bars_are_stamped_with_the_beginning_of_the_venues_date(desk: VenueAccount) -> None:
    sessions = desk.sessions()
    over = [desk.can.day.begins_s(one.date) for one in sessions if one.close <= desk.now]
    running = [desk.can.day.begins_s(one.date) for one in sessions if one.contains(desk.now)]
    pages = desk.bars.pages([desk.symbol], "1Day", desk.now - 7 * DAY, desk.now)
    stamps = [row[0] for page in pages for row in page[desk.symbol]]
    assert over[-1] in stamps
    assert stamps in (over[-len(stamps) :], [*over, *running][-len(stamps) :])


def test_bars_of_the_timeframes_that_it_has_are_those_that_its_minutes_make(desk: VenueAccount) -> None:
    (*_, session) = [one for one in desk.sessions() if one.close <= desk.now]
    first, last = session.open, session.close - MINUTE
    assert desk.bars.timeframes >= {"1Min", "1Day"}
    for price in desk.can.bar_prices:

        def found(timeframe: str, price: PriceKind = price) -> list[RawBar]:
            pages = desk.bars.pages([desk.symbol], timeframe, first, last, price)
            return [row for page in pages for row in page[desk.symbol]]

        own = desk.bars.timeframes - {"1Min", "1Day"}
        minutes = found("1Min") if own else []
        for timeframe in own:
            width = width_of(timeframe)
            assert width is not None
            made = resample(minutes, [session], int(width.total_seconds()), int(session.close.timestamp()))
            assert found(timeframe) == list(made), (timeframe, price)


def test_the_account_adds_up_and_is_settled_as_the_venue_claims(desk: VenueAccount) -> None:
    before = desk.reader.account()
    assert (before.number, before.status, before.blocked) == (desk.number, "ACTIVE", ())
    desk.trades(Side.BUY, desk.size * PARTS)
    view = desk.reader.view()
    account, quotes = view.account, desk.reader.quotes([desk.symbol])
    assert account.settlement is desk.can.settlement
    worth = account_value(view, quotes)
    assert worth.at_cost == 0
    assert abs(account.equity - worth.total) <= abs(view.positions[0].value) / 1000
    paid = sum(fill.notional for fill in desk.reader.fills(None))
    margins = (account.initial_margin, account.maintenance_margin, account.available)
    if desk.can.settlement is Settlement.PAID:
        assert before.cash - account.cash >= paid
        assert margins == (None, None, None)
        return
    assert 0 <= before.cash - account.cash < paid / 100
    initial, maintenance, available = margins
    assert initial is not None
    assert maintenance is not None
    held = view.positions[0]
    level = level_at(desk.listing.margin_levels, held.quantity, abs(held.value))
    assert level is not None
    # Where margin is an amount of money for each contract, its share of the value moves a little with prices.
    assert abs(initial - level.initial * held.value) <= held.value / 1000
    assert abs(maintenance - level.maintenance * held.value) <= held.value / 1000
    assert available == account.equity - initial


@pytest.mark.parametrize("side", list(Side))
def test_the_view_shows_what_is_held_and_what_is_open(desk: VenueAccount, side: Side) -> None:
    empty = desk.reader.view()
    assert (empty.positions, empty.orders, empty.unreadable, empty.steady) == ((), (), 0, True)
    assert desk.reader.position(desk.symbol) is None
    desk.trades(side, desk.size)
    _, order = desk.rests()
    view = desk.reader.view()
    (held,) = view.positions
    assert (held.symbol, held.quantity) == (desk.symbol, desk.size * side.sign)
    assert (held.asset_class, held.multiplier) == (
        desk.listing.instrument.asset_class,
        desk.listing.instrument.multiplier,
    )
    fills = desk.reader.fills(None)
    paid = sum(fill.quantity * fill.price for fill in fills) / desk.size
    # One venue counts the commission in.
    assert held.average_price == pytest.approx(paid, rel=Decimal("1e-4"))
    assert held.market_value == held.value_at(held.current_price or Decimal(0))
    assert [one.venue_id for one in view.orders] == [order.venue_id]
    assert view.steady
    assert desk.reader.position(desk.symbol) == held
    assert desk.reader.position(desk.other) is None


def busy(desk: VenueAccount) -> Order:
    """Hold something, and let an order rest, so that each read has something to tell."""
    desk.trades(Side.BUY, desk.size)
    _, order = desk.rests()
    desk.played.passes()
    desk.played.sent.clear()
    return order


def reads_that_ask(desk: VenueAccount, order: Order) -> dict[str, Callable[[VenueAccount, Order], object]]:
    """Return the reads that send a request: not for a calendar that never changes, nor for what no venue tells."""
    found = {}
    for name, read in READS.items():
        before = desk.played.road.requests
        read(desk, order)
        if desk.played.road.requests > before:
            found[name] = read
    untold = set() if desk.can is KRAKEN else {"depth"}
    computed = desk.can.day.never_ends or desk.can.calendar != "XNYS"
    assert READS.keys() - found.keys() <= untold | ({"calendar"} if computed else set())
    return found


@pytest.mark.parametrize("what", BROKEN, ids=str)
def test_a_read_that_breaks_is_tried_again_and_then_raises(desk: VenueAccount, what: object) -> None:
    order = busy(desk)
    asking = reads_that_ask(desk, order)
    desk.trouble(what, request=desk.played.venue.reads, to=desk.played.road.breaks)
    assert desk.reader.account().number == desk.number
    desk.calm()
    desk.trouble(what, request="any read")
    for name, read in asking.items():
        with pytest.raises(TemporaryError):
            pytest.fail(f"{name} returned {read(desk, order)}")
    assert not desk.played.sent


def test_refused_keys_are_for_a_person(desk: VenueAccount) -> None:
    if not desk.played.has_keys:
        return
    order = busy(desk)
    asking = reads_that_ask(desk, order)
    desk.trouble("expired_keys", request="any read")
    for name, read in asking.items():
        with pytest.raises(OperatorError) as refused:
            pytest.fail(f"{name} returned {read(desk, order)}")
        assert refused.value.code is ExitCode.AUTHENTICATION


def test_only_the_venues_own_words_say_that_there_is_no_such_thing(desk: VenueAccount) -> None:
    order = replace(desk.rests()[1], venue_id=UNKNOWN_ID, client_order_id="tb1.never")
    for name in ("position", "order", "follower"):
        assert READS[name](desk, order) is None
    # What was told a moment ago needn't be asked again.
    desk.played.passes()
    desk.trouble("truncated_json", request=["order", "positions"])
    for name in ("position", "order", "follower"):
        with pytest.raises(TradebotError):
            pytest.fail(f"{name} returned {READS[name](desk, order)}")


def _of_another(name: str, body: Any) -> Any:
    return json.loads(json.dumps(body).replace(name, "ELSE"))


def test_an_answer_about_something_else_is_not_taken_for_what_was_asked(desk: VenueAccount) -> None:
    order = busy(desk)
    for name, own in {"order": order.client_order_id, "position": desk.symbol}.items():
        desk.played.road.lie = partial(_of_another, own)
        try:
            assert READS[name](desk, order) is None
        except TradebotError:
            continue


def test_a_connection_tells_each_read_and_each_answer(desk: VenueAccount) -> None:
    asked, heard = list[str](), list[int]()
    access = desk.played.access(
        desk.name, before_read=lambda: asked.append("read"), heard=lambda answer: heard.append(answer.status)
    )
    reader = desk.played.door.reader(desk.played.door.connect(access), DriftTally())
    for read in (reader.clock, reader.account, lambda: reader.quotes([desk.symbol])):
        asked.clear()
        heard.clear()
        before = desk.played.road.requests
        read()
        made = desk.played.road.requests - before
        assert made > 0
        # What has no status is heard by nobody, and one read may take several messages.
        answered = bool(desk.played.road.statuses)
        assert (asked, heard) == ((["read"] * made, [200] * made) if answered else (["read"], []))


def _spoiled(body: Any) -> Any:
    """Return an answer whose first list has lost its first row to something that can't be read."""
    if isinstance(body, list):
        return ["nonsense", *body[1:]]
    for name, value in body.items():
        if isinstance(value, list):
            return {**body, name: ["nonsense", *value[1:]]}
    return body


def test_one_row_that_cannot_be_read_is_counted_and_the_others_are_kept(desk: VenueAccount) -> None:
    start = desk.now - MINUTE
    desk.trades(Side.BUY, desk.size * PARTS)
    for _ in range(2):
        desk.rests()
    view, fills, told = desk.reader.view(), desk.reader.fills(None), desk.reader.orders_of([desk.symbol])
    activities, sessions = desk.reader.activities(start), desk.sessions()
    desk.played.road.lie = _spoiled
    spoiled = desk.reader.view()
    assert (len(spoiled.orders), spoiled.positions) == (len(view.orders) - 1, ())
    assert spoiled.unreadable >= 2
    assert spoiled.steady
    assert list(desk.reader.fills(None)) in (list(fills[1:]), list(fills[:-1]))
    assert desk.reader.unreadable_fills == 1
    some = desk.reader.orders_of([desk.symbol])
    assert some.unreadable
    assert set(some.orders) < set(told.orders)
    assert len(some.orders) + some.unreadable >= len(told.orders)
    moved = list(desk.reader.activities(start))
    assert moved == [one for one in activities if one in moved]
    # A row may tell of a fee and of funding, or of nothing that moved cash.
    assert len(activities) - len(moved) <= 2
    asked = desk.played.road.requests
    try:
        calendar = list(desk.reader.calendar(sessions[0].date, sessions[-1].date))
    except TemporaryError:
        # Its hours come with other answers, without which nothing is known of them.
        assert desk.reader.capabilities.hours_win
    else:
        assert calendar == (sessions[1:] if desk.played.road.requests > asked else sessions)
    assert desk.tally.counts
    desk.played.road.lie = truth
    assert list(desk.reader.fills(None)) == list(fills)
    assert desk.reader.unreadable_fills == 0


def test_a_status_that_nobody_knows_is_neither_working_nor_over(desk: VenueAccount) -> None:
    intent, _ = desk.rests()
    desk.trouble({"unknown_enum": "status"}, request=["order", "orders"])
    order = desk.reader.order(intent.client_order_id)
    assert order is not None
    assert order.status is OrderStatus.UNKNOWN
    assert [one.status for one in desk.reader.view().orders] == [OrderStatus.UNKNOWN]
    proof = desk.reader.end_of(intent, desk.sessions(), desk.now + DAY)
    assert (proof.end, proof.order) == (End.UNKNOWN, order)


def test_a_view_whose_orders_keep_changing_is_not_steady(desk: VenueAccount) -> None:
    desk.rests()
    desk.trouble({"restless_orders": "limit_price"}, request="orders")
    assert not desk.reader.view().steady
    desk.calm()
    desk.trouble({"restless_orders": "limit_price"}, request="orders", to=2)
    assert desk.reader.view().steady


def test_a_figure_of_the_account_that_is_missing_is_never_zero(desk: VenueAccount) -> None:
    for name in (desk.played.venue.fields.get(name, name) for name in ("cash", "equity")):
        desk.trouble({"missing_field": name}, request="account")
        with pytest.raises(OperatorError, match=name):
            desk.reader.account()
        desk.calm()
