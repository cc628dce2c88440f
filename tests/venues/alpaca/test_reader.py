"""Reads through the SDK's client against a scripted server: retries, refusals, pages, prices.

A second look at prices is one request, and over within five seconds of a real venue's time.
"""

from collections.abc import Callable, Mapping
from datetime import UTC, date, datetime
from decimal import Decimal
from itertools import count

import pytest
from msgspec.structs import force_setattr

from tests.kit.adapters.alpaca import (
    account_row,
    activity_row,
    clock_row,
    fill_row,
    order_row,
    position_row,
    reader,
    snapshot_row,
    venue,
)
from tests.kit.fakes.scripted import Asked, Script, Scripted, Wire
from tests.kit.values import there
from tradebot.adapters.wire.json_fields import DriftTally, FieldDrift
from tradebot.errors import ExitCode, OperatorError, TemporaryError, TradebotError
from tradebot.model.order import OrderStatus
from tradebot.model.trading import Mode
from tradebot.venues.alpaca.reader import HASTY, MOST_SYMBOLS, WAIT_S, AlpacaReader, refetch_quotes
from tradebot.venues.alpaca.wire import AlpacaVenue

HTML = b"<html></html>"


def routes(**answers: object) -> Script:
    """Return a script that answers by the path's last word."""
    lists: dict[str, object] = {"positions": [position_row()], "orders": [order_row()]}
    table = {"account": account_row(), "clock": clock_row()} | lists | answers
    return lambda asked: Scripted(200, table[asked.path.rsplit("/", 1)[-1]])


@pytest.mark.parametrize("spoiled", [Scripted(503, HTML), Scripted(200, HTML), Scripted(200, {}, fault="reset")])
def test_read_is_tried_three_times_at_most(wire: Wire, spoiled: Scripted) -> None:
    wire.answer(spoiled, spoiled, Scripted(200, account_row()))
    assert reader(wire).account().number == "SBX123456789"
    assert len(wire.asked) == 3
    wire.answer(spoiled)
    with pytest.raises(TemporaryError, match="GET /account"):
        reader(wire).account()
    assert len(wire.asked) == 6


NO_FEED = Scripted(403, {"code": 42210000, "message": "subscription does not permit querying recent SIP data"})


@pytest.mark.parametrize(
    ("answer", "error", "code", "words"),
    [
        (Scripted(401, {"message": "unauthorized."}), OperatorError, ExitCode.AUTHENTICATION, "refused the keys"),
        (Scripted(403, {"message": "forbidden."}), OperatorError, ExitCode.AUTHENTICATION, "refused the keys"),
        (NO_FEED, OperatorError, ExitCode.USAGE, "does not include this feed"),
        (Scripted(404, HTML), OperatorError, ExitCode.UNAVAILABLE, "was refused: 404"),
        (Scripted(302), TemporaryError, ExitCode.UNAVAILABLE, "redirects are not followed"),
        (Scripted(200, {}), OperatorError, ExitCode.USAGE, "account_number is missing"),
        (Scripted(200, account_row(equity=None)), OperatorError, ExitCode.USAGE, "equity is missing"),
        (Scripted(200, account_row(cash="1,000")), OperatorError, ExitCode.USAGE, "cash is not a number"),
        (Scripted(200, account_row(cash=b"x".decode())), OperatorError, ExitCode.USAGE, "cash is not a number"),
    ],
)
def test_read_is_tried_once_when_a_retry_can_not_help(
    wire: Wire, answer: Scripted, error: type[Exception], code: ExitCode, words: str
) -> None:
    wire.answer(answer)
    with pytest.raises(error, match=words) as raised:
        reader(wire).account()
    assert raised.value.code is code  # type: ignore[attr-defined]
    assert len(wire.asked) == 1


def test_view_reads_orders_before_and_after_account_and_positions(wire: Wire) -> None:
    wire.script = routes(positions=[position_row(side="short", qty="-10"), position_row(symbol="X", qty="-0")])
    view = reader(wire).view()
    assert [asked.path for asked in wire.asked] == ["/v2/orders", "/v2/positions", "/v2/account", "/v2/orders"]
    assert view.account.buying_power == Decimal("200000.20")
    assert [str(position.quantity) for position in view.positions] == ["-10", "0"]
    assert [order.status for order in view.orders] == [OrderStatus.NEW]


def test_view_is_read_again_when_our_order_fills_meanwhile(wire: Wire) -> None:
    readings = [[order_row()], [order_row(filled_qty="4")], [order_row(filled_qty="4")]]
    fixed: Script = routes()

    def venue(asked: Asked) -> Scripted:
        return Scripted(200, readings.pop(0)) if asked.path == "/v2/orders" else fixed(asked)

    wire.script = venue
    (order,) = reader(wire).view().orders
    assert order.filled_quantity == 4
    assert not readings


def test_a_list_of_orders_that_stays_the_same_is_read_once_and_its_bad_rows_count_each_time(wire: Wire) -> None:
    tally = DriftTally(lambda drift: None)
    lists = [[order_row(qty="many"), order_row()]] * 4 + [[order_row(qty="many"), order_row(filled_qty="4")]] * 2
    fixed: Script = routes()

    def venue(asked: Asked) -> Scripted:
        return Scripted(200, lists.pop(0)) if asked.path == "/v2/orders" else fixed(asked)

    wire.script = venue
    alpaca = reader(wire, tally)
    views = [alpaca.view() for _ in range(3)]
    assert [[order.filled_quantity for order in view.orders] for view in views] == [[0], [0], [4]]
    assert [view.unreadable for view in views] == [1, 1, 1]
    assert tally.counts[FieldDrift("order", "qty", "row refused: is not a number: many")] == 2
    assert not lists


def changing(orders: Callable[[int], list[dict[str, object]]]) -> Script:
    """Return a script whose n-th list of orders is another one each time."""
    numbers, fixed = count(), routes()
    return lambda asked: Scripted(200, orders(next(numbers))) if asked.path == "/v2/orders" else fixed(asked)


def test_view_is_steady_while_foreign_orders_change(wire: Wire) -> None:
    """Of the foreign order the reading with more left to fill counts, and one that ended meanwhile still does."""
    busy = [{"qty": "9", "limit_price": str(n)} for n in range(9)]
    gone = order_row(id="gone", client_order_id="short-lived")
    wire.script = changing(
        lambda n: (
            [order_row(), order_row(id="busy", client_order_id="theirs", filled_qty=str(n), **busy[n])]
            + [gone] * (n == 0)
        )
    )
    view = reader(wire).view()
    assert view.steady
    assert [asked.path for asked in wire.asked].count("/v2/orders") == 2
    theirs = {order.venue_id: order.open_quantity for order in view.orders}
    assert (theirs["busy"], theirs["gone"]) == (Decimal(9), Decimal(10))


@pytest.mark.parametrize(("others", "steady"), [({}, True), ({"updated_at": "2026-11-16T15:01:00Z"}, False)])
def test_an_unreadable_status_is_no_change_of_our_order(wire: Wire, others: dict[str, object], steady: bool) -> None:
    wire.script = changing(lambda n: [order_row(status="pondering", **others) if n % 2 else order_row()])
    assert reader(wire).view().steady == steady


def test_position_is_none_only_if_the_venue_says_so(wire: Wire) -> None:
    wire.answer(Scripted(200, position_row(symbol="BRK/B")))
    found = there(reader(wire).position("BRK/B"))
    assert (found.quantity, wire.asked[0].path) == (Decimal(10), "/v2/positions/BRK%2FB")
    wire.answer(Scripted(404, {"code": 40410000, "message": "position does not exist"}))
    assert reader(wire).position("AAPL") is None


@pytest.mark.parametrize("answer", [Scripted(404, HTML), Scripted(200, position_row(symbol="MSFT")), Scripted(200, {})])
def test_a_position_that_cannot_be_read_is_never_taken_for_absent(wire: Wire, answer: Scripted) -> None:
    wire.answer(answer)
    with pytest.raises(TradebotError):
        reader(wire).position("AAPL")


@pytest.mark.parametrize("of_one_moment", [300, 700])
def test_orders_of_a_symbol_of_any_age_are_read_newest_first_and_page_by_page(wire: Wire, of_one_moment: int) -> None:
    """All of a page may share an instant, so the next one begins just after its last row, or else after its id."""
    moments = (f"2026-11-{20 - n // of_one_moment:02d}T15:00:00Z" for n in range(700))
    rows = [order_row(id=f"o{n}", submitted_at=moment) for n, moment in enumerate(moments)]

    def venue(asked: Asked) -> Scripted:
        until = datetime.fromisoformat(asked.query.get("until", "2027-01-01T00:00:00Z"))
        after = int(asked.query.get("before_order_id", "o-1")[1:])
        before = [row for row in rows if datetime.fromisoformat(str(row["submitted_at"])) < until]
        return Scripted(200, [row for row in before if int(str(row["id"])[1:]) > after][:500])

    wire.script = venue
    found = reader(wire).orders_of(["AAPL", "MSFT"])
    assert [order.venue_id for order in found.orders] == [f"o{n}" for n in range(700)]
    query = {name: value for name, value in wire.asked[0].query.items() if name != "limit"}
    assert query == {"status": "all", "symbols": "AAPL,MSFT", "direction": "desc"}
    assert len(wire.asked) <= 4


def test_one_bad_row_is_counted_and_the_others_are_kept(wire: Wire) -> None:
    heard: list[FieldDrift] = []
    tally = DriftTally(heard.append)
    bad = position_row(symbol="BAD", qty="many")
    wire.script = routes(positions=[position_row(), bad, bad, "nonsense", position_row(symbol="MSFT", novelty=1)])
    view = reader(wire, tally).view()
    assert ([position.symbol for position in view.positions], view.unreadable) == (["AAPL", "MSFT"], 3)
    refused = FieldDrift("position", "qty", "row refused: is not a number: many")
    assert tally.counts[refused] == 2
    assert heard.count(refused) == 1
    assert FieldDrift("position", "novelty", "is an unknown field") in heard


@pytest.mark.parametrize(("second", "unreadable"), [({}, 0), ({"qty": "11"}, 1), ({"side": "short"}, 1)])
def test_two_rows_of_one_symbol_count_as_one_position(wire: Wire, second: dict[str, object], unreadable: int) -> None:
    wire.script = routes(positions=[position_row(), position_row(**second)])
    view = reader(wire).view()
    assert ([position.symbol for position in view.positions], view.unreadable) == (["AAPL"], unreadable)


def test_order_is_none_only_if_the_venue_says_so_and_one_that_replaced_another_has_its_own_id(wire: Wire) -> None:
    missing = Scripted(404, {"code": 40410000, "message": "order not found"})
    wire.answer(missing)
    assert reader(wire).order("tb1.x") is None
    asked = wire.asked[0]
    assert (asked.path, asked.query) == ("/v2/orders:by_client_order_id", {"client_order_id": "tb1.x"})
    assert reader(wire).follower("by/hand") is None
    wire.answer(Scripted(404, HTML))
    with pytest.raises(OperatorError):
        reader(wire).order("tb1.x")
    wire.answer(Scripted(200, order_row(id="by/hand", client_order_id="typed by hand")))
    found = there(reader(wire).follower("by/hand"))
    assert (found.client_order_id, wire.asked[-1].path) == ("typed by hand", "/v2/orders/by%2Fhand")


@pytest.mark.parametrize("row", [order_row(client_order_id="else"), order_row(side="borrow"), {}, []])
def test_an_order_that_cannot_be_read_is_never_taken_for_absent(wire: Wire, row: object) -> None:
    wire.answer(Scripted(200, row))
    with pytest.raises(TemporaryError):
        reader(wire).order("tb1.x")


def paged(rows: list[dict[str, object]]) -> Script:
    def venue(asked: Asked) -> Scripted:
        token = asked.query.get("page_token")
        start = 1 + [row["id"] for row in rows].index(token) if token else 0
        return Scripted(200, rows[start : start + 100])

    return venue


def test_fills_come_oldest_first_each_once_over_all_pages_and_after_the_given_time(wire: Wire) -> None:
    rows = [fill_row(number) for number in range(1, 251)]
    wire.script = paged([rows[0], *rows])
    fills = reader(wire).fills(None)
    assert [fill.activity_id for fill in fills] == [row["id"] for row in rows]
    assert len(wire.asked) == 3
    after = fills[200].at
    assert [fill.at > after for fill in reader(wire).fills(after)] == [True] * 49
    assert wire.asked[3].query["after"] == "2026-11-20T15:33:20Z"


@pytest.mark.parametrize(
    ("row", "unread"),
    [
        (fill_row(2), 0),
        (fill_row(2, price=None), 1),
        (fill_row(2, type="trade_bust"), 0),
        (fill_row(2, execution_type="trade_correct"), 0),
        (fill_row(2, type="something new"), 1),
        ("nonsense", 1),
    ],
)
def test_rows_of_fills_that_cannot_be_read_are_counted_if_executions(wire: Wire, row: object, unread: int) -> None:
    wire.answer(Scripted(200, [fill_row(1), row]))
    asking = reader(wire)
    asking.fills(None)
    assert asking.unreadable_fills == unread
    wire.answer(Scripted(200, [fill_row(1)]))
    asking.fills(None)
    assert asking.unreadable_fills == 0


def test_pages_that_repeat_or_cannot_be_continued_end_with_an_error(wire: Wire) -> None:
    wire.answer(Scripted(200, [fill_row(number) for number in range(100)]))
    with pytest.raises(TemporaryError, match="repeats a page"):
        reader(wire).fills(None)
    wire.answer(Scripted(200, [fill_row()] * 99 + ["nonsense"]))
    with pytest.raises(TemporaryError, match="no usable id"):
        reader(wire).fills(None)


@pytest.mark.parametrize("sharing", [30, 700, 1_300], ids=lambda count: f"{count} share an instant")
def test_more_open_orders_than_a_page_are_all_read_although_some_share_an_instant(wire: Wire, sharing: int) -> None:
    rows = [
        order_row(id=f"order-{number}", submitted_at=f"2026-11-20T15:30:{number // sharing:02d}Z")
        for number in range(1_400)
    ]

    base: Script = routes()

    def venue(asked: Asked) -> Scripted:
        if asked.path != "/v2/orders":
            return base(asked)
        after, behind = asked.query.get("after", ""), asked.query.get("after_order_id")
        later = [row for row in rows if str(row["submitted_at"]) > after.replace(".999000", ".9")]
        start = 1 + [row["id"] for row in rows].index(behind) if behind else 0
        return Scripted(200, (rows[start:] if behind else later)[:500])

    wire.script = venue
    assert len(reader(wire).view().orders) == 1_400


def test_open_orders_refuse_a_page_that_leads_to_itself(wire: Wire) -> None:
    wire.answer(Scripted(200, [order_row(id=f"order-{number}") for number in range(500)]))
    with pytest.raises(TemporaryError, match="repeats a page"):
        reader(wire).view()


def test_ended_orders_are_those_of_a_time_on_and_at_most_some_pages(wire: Wire) -> None:
    asked_for = list[Mapping[str, str]]()

    def venue(asked: Asked) -> Scripted:
        asked_for.append(asked.query)
        first, second = 500 * len(asked_for), len(asked_for)
        rows = [order_row(id=f"order-{first + n}", submitted_at=f"2026-11-20T15:30:{second:02d}Z") for n in range(500)]
        return Scripted(200, rows)

    wire.script = venue
    assert len(reader(wire).ended(datetime(2026, 11, 20, 15, 29, tzinfo=UTC))) == 2_000
    assert [query["status"] for query in asked_for] == 4 * ["closed"]
    assert [query["after"][11:] for query in asked_for[:2]] == ["15:28:59.999000Z", "15:30:00.999000Z"]


def quoted(wire: Wire, symbols: list[str], answer: object) -> AlpacaReader:
    wire.answer(Scripted(200, answer))
    venue = reader(wire)
    venue.quotes(symbols)
    return venue


def test_a_quote_is_exact_carries_its_feed_and_its_own_time(wire: Wire) -> None:
    wire.answer(Scripted(200, {"AAPL": snapshot_row(100.1, 100.2, 100.15)}))
    quote = reader(wire).quotes(["AAPL", "AAPL"])["AAPL"]
    assert [str(price) for price in (quote.bid, quote.ask, quote.last)] == ["100.1", "100.2", "100.15"]
    assert (quote.feed, quote.previous_close) == ("sandbox", Decimal("99.5"))
    assert quote.at == datetime(2026, 11, 20, 15, 29, 59, 500_000, UTC)
    assert wire.asked[0].query == {"symbols": "AAPL"}


BAD_SNAPSHOTS: list[tuple[object, str]] = [
    (None, "is not a JSON object"),
    ({}, "latestQuote is not a JSON object"),
    ({"latestQuote": None, "latestTrade": None}, "latestQuote is not a JSON object"),
    ({**snapshot_row(), "latestTrade": None}, "latestTrade is not a JSON object"),
    (snapshot_row(bid=0), "bp is not above zero"),
    (snapshot_row(ask=-1.5), "ap is not above zero"),
    (snapshot_row(bid=float("nan")), "bp is not finite"),
    (snapshot_row(ask=float("inf")), "ap is not finite"),
    (snapshot_row(last="N/A"), "p is not a number"),
    (snapshot_row(last=True), "p is not a number"),
    (snapshot_row(last=10**20), "p is not finite or far too large"),
    (snapshot_row(bid=100.3, ask=100.2), "is above the ask"),
    (snapshot_row(bid=None), "bp is missing"),
]


@pytest.mark.parametrize(("snapshot", "why"), BAD_SNAPSHOTS, ids=[why for _, why in BAD_SNAPSHOTS])
def test_quotes_leave_out_a_symbol_without_a_price_and_say_why(wire: Wire, snapshot: object, why: str) -> None:
    wire.answer(Scripted(200, {"BAD": snapshot, "AAPL": snapshot_row()}))
    venue = reader(wire)
    assert list(venue.quotes(["BAD", "AAPL"])) == ["AAPL"]
    assert why in venue.rejected_quotes["BAD"]


def test_a_bad_previous_close_is_counted_and_leaves_the_quote_usable(wire: Wire) -> None:
    tally = DriftTally()
    wire.answer(Scripted(200, {"AAPL": {**snapshot_row(), "prevDailyBar": {"c": "none"}}}))
    assert reader(wire, tally).quotes(["AAPL"])["AAPL"].previous_close is None
    assert sum(tally.counts.values()) == 1


def test_quotes_are_asked_by_the_hundred_and_a_symbol_that_the_venue_refuses_costs_only_itself(wire: Wire) -> None:
    def venue(asked: Asked) -> Scripted:
        symbols = asked.query["symbols"].split(",")
        if "S77" in symbols:
            return Scripted(400, {"message": "invalid symbol: S77"})
        return Scripted(200, {symbol: snapshot_row() for symbol in symbols})

    wire.script = venue
    symbols = [f"S{number}" for number in range(250)] + ["../etc", "A,B", ""]
    source = reader(wire)
    assert len(source.quotes(symbols)) == 249
    assert set(source.rejected_quotes) == {"S77", "../etc", "A,B", ""}
    assert max(len(asked.query["symbols"].split(",")) for asked in wire.asked) == 100
    assert len(wire.asked) < 20


def test_quotes_send_no_request_without_symbols_and_refuse_a_list(wire: Wire) -> None:
    assert reader(wire).quotes([]) == {}
    assert wire.asked == []
    wire.answer(Scripted(200, []))
    with pytest.raises(TemporaryError):
        reader(wire).quotes(["AAPL"])


def test_activities_are_what_is_no_fill_page_by_page_and_a_bad_row_costs_itself(wire: Wire) -> None:
    rows = [activity_row(number) for number in range(1, 151)]
    wire.answer(Scripted(200, rows[:100]), Scripted(200, [*rows[100:], activity_row(1), "nonsense"]))
    after = datetime(2026, 11, 20, 15, 30, 9, tzinfo=UTC)
    found = reader(wire).activities(after)
    assert [one.at > after for one in found] == [True] * 141
    paid = found[0]
    assert (paid.kind, paid.sub_kind, str(paid.net_amount), str(paid.quantity)) == ("DIV", "CDIV", "1.02", "2")
    first, second = (asked.query for asked in wire.asked)
    assert (first["category"], "page_token" in first) == ("non_trade_activity", False)
    assert second["page_token"] == rows[99]["id"]


def test_activity_without_a_time_counts_from_its_day(wire: Wire) -> None:
    bare = activity_row(created_at=None, symbol="", qty=None, net_amount="", status=None)
    wire.answer(
        Scripted(200, [bare, activity_row(2, status="canceled"), activity_row(3, date="never", created_at=None)])
    )
    first, second = reader(wire).activities(datetime(2026, 11, 19, tzinfo=UTC))
    assert first.at == datetime(2026, 11, 20, 5, tzinfo=UTC)
    assert (first.symbol, first.net_amount, first.executed) == (None, Decimal(0), True)
    assert not second.executed


def test_the_calendar_is_new_york_hours_as_utc_and_a_bad_day_is_left_out(wire: Wire) -> None:
    days = [
        {"date": "2026-11-27", "open": "09:30", "close": "13:00"},
        {"date": "2026-07-06", "open": "09:30", "close": "16:00"},
        {"date": "2026-11-26", "open": "09:30", "close": "09:30"},
        {"date": "never", "open": "09:30", "close": "16:00"},
        {"date": "2027-01-04", "open": "09:30", "close": "16:00"},
    ]
    wire.answer(Scripted(200, days))
    half, summer = reader(wire).calendar(date(2026, 1, 1), date(2026, 12, 31))
    assert half.open == datetime(2026, 11, 27, 14, 30, tzinfo=UTC)
    assert half.close == datetime(2026, 11, 27, 18, 0, tzinfo=UTC)
    assert summer.open == datetime(2026, 7, 6, 13, 30, tzinfo=UTC)


@pytest.mark.parametrize("row", [clock_row(is_open="yes"), clock_row(timestamp="2026-11-20T10:30:00"), []])
def test_clock_refuses_an_unreadable_answer(wire: Wire, row: object) -> None:
    wire.answer(Scripted(200, row))
    with pytest.raises(TemporaryError, match="clock can't be read"):
        reader(wire).clock()


def test_reader_has_no_way_to_send_orders() -> None:
    names = {name for name in dir(AlpacaReader) if not name.startswith("_")}
    reads = {"account", "activities", "bar_times", "calendar", "clock", "ended", "fills", "follower", "legs", "order"}
    proofs = {"capabilities", "end_of", "has_outlived"}
    assert names == reads | proofs | {"depth", "listings", "orders_of", "position", "quotes", "quotes_again", "view"}


def real(wire: Wire) -> AlpacaVenue:
    """Return a venue in real time at the scripted server."""
    made = venue(wire)
    force_setattr(made, "mode", Mode.PAPER)
    return made


def test_second_look_waits_and_ends_within_five_seconds_but_does_not_wait_in_lock_step(wire: Wire) -> None:
    slept: list[float] = []
    wire.answer(Scripted(200, {"AAPL": snapshot_row(), "MSFT": snapshot_row(bid=0), "JPM": None}))
    quotes = refetch_quotes(real(wire), DriftTally(), ["AAPL", "MSFT", "JPM", "XOM"], slept.append)
    assert {symbol: found.bid for symbol, found in quotes.items()} == {"AAPL": Decimal("100.1")}
    assert (slept, wire.count("GET")) == ([WAIT_S], 1)
    assert WAIT_S + HASTY.connect_s + HASTY.read_s + HASTY.total_s <= 5
    assert list(refetch_quotes(venue(wire), DriftTally(), ["AAPL"], slept.append)) == ["AAPL"]
    assert slept == [WAIT_S]


@pytest.mark.parametrize(
    "answer",
    [Scripted(503), Scripted(422, {"message": "no"}), Scripted(200, []), Scripted(200, b"{"), Scripted(fault="hang")],
    ids=["busy", "refused", "a list", "cut", "silent"],
)
def test_whatever_is_no_answer_is_one_error_after_one_request(wire: Wire, answer: Scripted) -> None:
    wire.answer(answer)
    with pytest.raises(TradebotError):
        refetch_quotes(real(wire), DriftTally(), [f"S{number}" for number in range(150)], lambda seconds: None)
    assert (wire.count("GET"), len(wire.asked[0].query["symbols"].split(","))) == (1, MOST_SYMBOLS)
