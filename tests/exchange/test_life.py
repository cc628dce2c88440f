"""The life of an order, from its acceptance to its end: every word of the stream, in order."""

from decimal import Decimal

import pytest

from tests.exchange.pit import CALENDAR, HUNDRED, OPEN, Pit
from tradebot.exchange.market.fill import NEXT_BAR, PAPER
from tradebot.exchange.times import MINUTE

WHOLE = PAPER._replace(partial_rate=Decimal(0))
LATE = NEXT_BAR._replace(latency_s=90)


def test_a_market_order_fills_at_the_open_of_the_first_bar_that_begins_after_it() -> None:
    pit = Pit({10: (100, 10_000), 11: ((101, 103, 99, 102), 10_000)}, minute=10.5)
    pit.order("buy", 10)
    pit.pass_minutes(5)
    assert pit.heard() == ["10.5 pending_new", "10.5 new", "12 fill 10@101.01"]


def test_on_paper_a_market_order_fills_at_once_at_the_quote() -> None:
    pit = Pit(spec=WHOLE)
    pit.order("buy", 10)
    pit.order("sell", 10)
    assert pit.heard() == [
        *("10 pending_new", "10 new", "10 fill 10@100.01"),
        *("10 pending_new", "10 new", "10 fill 10@99.99"),
    ]


def test_on_paper_a_limit_fills_at_once_only_where_the_quote_reaches_it() -> None:
    pit = Pit({13: ((100, 100, 98, 99), 10_000)}, WHOLE)
    better = pit.order("buy", 10, limit=101)
    waiting = pit.order("buy", 10, limit=99)
    pit.pass_minutes(5)
    told = pit.heard({"better": better, "waiting": waiting})
    assert [line for line in told if "fill" in line] == ["10 better fill 10@100.01", "14 waiting fill 10@99.00"]


def test_an_order_placed_outside_the_session_waits_for_the_open() -> None:
    pit = Pit(minute=-60)
    pit.order("buy", 10)
    pit.to_minute(2)
    assert pit.heard() == ["-60 accepted", "0 new", "1 fill 10@100.01"]


def test_a_large_order_fills_in_parts_within_the_share_of_volume() -> None:
    pit = Pit({10: (100, 30), 11: (100, 0), 12: (100, 5), 13: (100, 19)})
    pit.order("buy", 6)
    pit.pass_minutes(5)
    fills = ["11 partial_fill 3@100.01", "13 partial_fill 1@100.01", "14 partial_fill 1@100.01", "15 fill 1@100.01"]
    assert pit.heard()[2:] == fills


def test_an_order_canceled_after_a_part_keeps_what_it_filled() -> None:
    pit = Pit({10: (100, 30)})
    order = pit.order("buy", 6, limit=100.01)
    pit.pass_minutes(1)
    pit.cancel(order)
    assert pit.heard()[2:] == ["11 partial_fill 3@100.01", "11 canceled"]
    assert (order.status, order.canceled_us) == ("canceled", pit.engine.now_us)
    assert order.filled_qty == 3
    assert pit.account.reserved == 0


def test_a_day_order_expires_at_the_close_and_a_gtc_order_rests_until_it_fills() -> None:
    pit = Pit({1005: ((100, 100, 89, 95), 10_000)})
    day = pit.order("buy", 1, limit=90)
    lasting = pit.order("buy", 1, limit=90, tif="gtc")
    pit.to_minute(10, session=1)
    told = pit.heard({"day": day, "gtc": lasting})
    assert told[4:] == ["390 day expired", "1446 gtc fill 1@90.00"]
    assert (day.status, day.expired_us) == ("expired", CALENDAR.market[0].close_us)


def test_a_day_order_placed_after_the_close_is_for_the_next_session() -> None:
    pit = Pit(minute=400)
    pit.order("buy", 1, limit=90)
    pit.to_minute(391, session=1)
    assert pit.heard() == ["400 accepted", "1440 new", "1830 expired"]


@pytest.mark.parametrize(("qty", "told"), [(1000, "12 fill 1000@100.01"), (1001, "12 canceled")])
def test_a_fok_order_fills_whole_in_the_first_whole_minute_or_not_at_all(qty: int, told: str) -> None:
    pit = Pit(minute=10.25)
    pit.order("buy", qty, tif="fok")
    pit.pass_minutes(5)
    assert pit.heard()[2:] == [told]


def test_an_ioc_order_keeps_what_the_first_whole_minute_gives() -> None:
    pit = Pit(minute=10.25)
    pit.order("buy", 1001, tif="ioc", limit=101)
    pit.pass_minutes(5)
    assert pit.heard()[2:] == ["12 partial_fill 1000@100.01", "12 canceled"]


def test_on_paper_ioc_and_fok_are_decided_at_once_by_the_depth_at_the_quote() -> None:
    pit = Pit(spec=WHOLE._replace(depth_share=Decimal("0.05")))
    for tif in ("ioc", "fok"):
        pit.order("buy", 501, tif=tif)
    pit.order("buy", 1, tif="ioc", limit=99)
    assert [line for line in pit.heard() if "new" not in line] == [
        "10 partial_fill 500@100.01",
        "10 canceled",
        "10 canceled",
        "10 canceled",
    ]


def test_an_opg_order_fills_in_the_first_bar_alone() -> None:
    pit = Pit({0: ((50, 60, 40, 55), 80)}, minute=-20)
    market = pit.order("buy", 20, tif="opg")
    low = pit.order("buy", 20, tif="opg", limit=45)
    pit.to_minute(10)
    told = pit.heard({"market": market, "low": low})
    assert told[2:] == [
        "0 market new",
        "0 low new",
        "1 market partial_fill 8@50.01",
        "1 market canceled",
        "1 low canceled",
    ]


def test_a_cls_order_fills_in_the_last_bar_alone_at_its_close() -> None:
    pit = Pit({389: ((50, 60, 40, 55), 10_000)})
    market = pit.order("buy", 20, tif="cls")
    low = pit.order("buy", 20, tif="cls", limit=45)
    pit.to_minute(395)
    told = pit.heard({"market": market, "low": low})
    assert told[4:] == ["390 market fill 20@55.01", "390 low canceled"]


def test_paper_holds_no_auctions_so_that_such_orders_are_like_any_other() -> None:
    pit = Pit({0: ((100, 100, 100, 100), 10_000), 200: ((92, 92, 88, 92), 10_000)}, WHOLE, minute=-20)
    opening = pit.order("buy", 20, tif="opg", limit=90)
    hopeless = pit.order("buy", 20, tif="opg", limit=45)
    pit.to_minute(10)
    closing = pit.order("buy", 20, tif="cls")
    pit.to_minute(395)
    told = pit.heard({"opening": opening, "hopeless": hopeless, "closing": closing})
    assert [line for line in told if "fill" in line or "canceled" in line] == [
        *("10 closing fill 20@100.01", "201 opening fill 20@90.00", "390 hopeless canceled"),
    ]


def test_only_limits_marked_for_it_fill_outside_the_session() -> None:
    pit = Pit(extended={-30: 95, 395: 96, 400: 94}, minute=-60)
    plain = pit.order("buy", 1, limit=99)
    early = pit.order("buy", 2, limit=99, extended_hours=True)
    pit.to_minute(390)
    late = pit.order("buy", 3, limit=95, extended_hours=True)
    unfilled = pit.order("buy", 4, limit=90, extended_hours=True)
    pit.to_minute(700)
    told = pit.heard({"plain": plain, "early": early, "late": late, "unfilled": unfilled})
    assert told == [
        *("-60 plain accepted", "-60 early pending_new", "-60 early new", "-29 early fill 2@95.01", "0 plain new"),
        *("390 plain expired", "390 late pending_new", "390 late new", "390 unfilled pending_new", "390 unfilled new"),
        *("401 late fill 3@94.01", "630 unfilled expired"),
    ]


def test_a_lasting_order_beside_an_extended_one_sees_the_session_alone() -> None:
    pit = Pit(extended={395: 80})
    lasting = pit.order("buy", 1, limit=90, tif="gtc")
    extended = pit.order("buy", 1, limit=90, extended_hours=True)
    pit.to_minute(400)
    assert (lasting.status, extended.status) == ("new", "filled")


def test_an_extended_order_placed_overnight_wakes_at_four() -> None:
    pit = Pit(minute=-12 * 60)
    pit.order("buy", 1, limit=90, extended_hours=True)
    pit.to_minute(0)
    assert pit.heard() == ["-720 accepted", "-330 new"]


def test_a_stop_is_elected_by_a_trade_and_fills_as_a_market_order() -> None:
    pit = Pit({11: ((100, 100, 96, 97), 10_000), 12: ((92, 93, 91, 92), 10_000)})
    pit.hold(20)
    at_stop = pit.order("sell", 10, stop=96)
    gapped = pit.order("sell", 10, stop=95)
    pit.pass_minutes(5)
    told = pit.heard({"at stop": at_stop, "gapped": gapped})
    assert told[4:] == ["12 at stop fill 10@95.99", "13 gapped fill 10@91.99"]


def test_a_stop_limit_fills_within_its_limit_or_rests_there() -> None:
    pit = Pit({11: ((105, 106, 104, 105), 10_000), 13: ((103, 104, 101.5, 102), 10_000)})
    order = pit.order("buy", 10, stop=102, limit=102.5)
    pit.pass_minutes(2)
    assert order.elected
    pit.pass_minutes(5)
    assert pit.heard()[2:] == ["13 fill 10@100.01"]
    fair = Pit({11: ((100, 106, 100, 105), 10_000)})
    fair.order("buy", 10, stop=102, limit=102.5)
    fair.pass_minutes(5)
    assert fair.heard()[2:] == ["12 fill 10@102.01"]


def test_on_paper_an_elected_purchase_pays_at_most_the_collar() -> None:
    pit = Pit({11: ((110, 110, 110, 110), 10_000), 12: (110, 10_000), 13: ((104, 104, 103, 103), 10_000)}, WHOLE)
    order = pit.order("buy", 10, stop=102)
    pit.pass_minutes(5)
    assert pit.heard()[2:] == ["14 fill 10@104.01"]
    assert (order.request.type, order.request.limit) == ("stop_limit", 104_5500)


def test_a_trailing_stop_follows_the_high_and_never_steps_back() -> None:
    bars = {10: ((100, 104, 100, 103), 1000), 11: ((103, 103, 102.01, 103), 1000), 12: ((103, 103, 101, 101), 1000)}
    pit = Pit(bars)
    pit.hold(10)
    order = pit.order("sell", 10, trail_price=2)
    seen = [(order.hwm, order.stop)]
    for _ in range(2):
        pit.pass_minutes(1)
        seen.append((order.hwm, order.stop))
    assert seen == [(HUNDRED, 98_0000), (104_0000, 102_0000), (104_0000, 102_0000)]
    pit.pass_minutes(1)
    assert pit.heard()[2:] == ["13 fill 10@101.99"]


def test_a_trailing_stop_to_buy_back_follows_the_low_by_a_percentage() -> None:
    pit = Pit({10: ((100, 100, 80, 80), 1000), 11: ((80, 81.5, 80, 81), 1000), 12: ((81, 81.7, 80, 81), 1000)})
    pit.hold(-10)
    order = pit.order("buy", 10, trail_percent=Decimal(2))
    assert order.stop == 102_0000
    pit.pass_minutes(5)
    assert (order.hwm, order.stop) == (80_0000, 81_6000)
    assert pit.heard()[2:] == ["13 fill 10@81.61"]


def test_trailing_stops_sleep_outside_the_session() -> None:
    pit = Pit(extended={395: 120, 396: 80}, minute=380)
    pit.hold(10)
    order = pit.order("sell", 10, trail_price=5, tif="gtc")
    pit.to_minute(10, session=1)
    assert (order.status, order.hwm) == ("new", HUNDRED)


def test_a_halted_symbol_fills_nothing_until_it_trades_again() -> None:
    pit = Pit(spec=WHOLE)
    pit.engine.halted = {"AAA"}
    pit.order("buy", 1)
    pit.pass_minutes(3)
    pit.engine.halted = frozenset()
    pit.pass_minutes(3)
    assert pit.heard()[2:] == ["14 fill 1@100.01"]


class HaltedFor:
    """A halt of a pit's symbols from a minute to another, the second not included."""

    def __init__(self, pit: Pit, begin: float, end: float) -> None:
        self._pit = pit
        self._span = begin, end

    def __contains__(self, symbol: object) -> bool:
        begin, end = self._span
        return begin <= (self._pit.engine.now_us - OPEN) / MINUTE < end


@pytest.mark.parametrize(
    ("begin", "end", "filled_at"),
    [
        (10, 13, "14"),  # three minutes wholly inside, the last one ends with the halt
        (10, 12.5, "13"),  # it trades again before the third minute is over
        (10.5, 11, "12"),  # nothing trades at the end of the first minute
        (11, 14, "11"),  # the first minute was over when it began
    ],
)
def test_a_minute_that_ends_inside_a_halt_or_with_it_fills_nothing(begin: float, end: float, filled_at: str) -> None:
    pit = Pit()
    pit.engine.halted = HaltedFor(pit, begin, end)
    pit.order("buy", 1)
    pit.pass_minutes(10)
    assert pit.heard()[2:] == [f"{filled_at} fill 1@100.01"]


def test_a_cancel_that_is_on_its_way_comes_before_or_after_the_fill() -> None:
    pit = Pit({11: ((100, 100, 89, 95), 10_000)}, LATE)
    missed = pit.order("buy", 1, limit=90)
    gone = pit.order("buy", 1, limit=80)
    for order in (missed, gone):
        pit.cancel(order)
    with pytest.raises(Exception, match="order pending cancel"):
        pit.cancel(gone)
    pit.pass_minutes(3)
    assert pit.heard({"missed": missed, "gone": gone})[4:] == [
        *("10 missed pending_cancel", "10 gone pending_cancel", "11.5 missed canceled", "11.5 gone canceled"),
    ]
    late = Pit({10: ((100, 100, 89, 95), 10_000)}, LATE)
    filled = late.order("buy", 1, limit=90)
    late.cancel(filled)
    late.pass_minutes(3)
    assert late.heard()[2:] == ["10 pending_cancel", "11 fill 1@90.00", "11.5 order_cancel_rejected"]


def test_a_part_that_fills_before_the_cancel_arrives_leaves_it_pending() -> None:
    pit = Pit({10: (100, 30)}, LATE)
    order = pit.order("buy", 10)
    pit.cancel(order)
    pit.pass_minutes(1)
    assert order.status == "pending_cancel"
    pit.engine.halted = {"AAA"}
    pit.pass_minutes(1)
    assert pit.heard()[2:] == ["10 pending_cancel", "11 partial_fill 3@100.01", "11.5 canceled"]


def test_accounts_share_a_bar_by_price_and_then_by_time() -> None:
    pit = Pit({10: ((100, 100, 98, 99), 100)})
    other = pit.engine.open_account("other", "k", "s", Decimal(100_000))
    low = pit.order("buy", 4, limit=98.5)
    high = pit.order("buy", 4, account=other, limit=99)
    same = pit.order("buy", 4, limit=99)
    market = pit.order("buy", 1, account=other)
    pit.pass_minutes(1)
    told = pit.heard({"low": low, "high": high, "same": same, "market": market})[8:]
    assert told == [
        *("11 market fill 1@100.01", "11 high fill 4@99.00", "11 same fill 4@99.00", "11 low partial_fill 1@98.50"),
    ]


def test_one_fill_in_ten_on_paper_is_a_part_and_the_rest_follows() -> None:
    pit = Pit(spec=PAPER)
    for _ in range(200):
        pit.order("buy", 2)
    told = pit.heard()
    parts = [line for line in told if "partial_fill" in line]
    assert 8 < len(parts) < 35
    pit.pass_minutes(30)
    assert pit.account.qty("AAA") == 400


def test_a_reset_account_is_gone_with_its_orders_and_keeps_its_keys() -> None:
    pit = Pit()
    order = pit.order("buy", 10, tif="ioc")
    fresh = pit.engine.reset_account(pit.account, Decimal(5))
    assert (fresh.key_id, fresh.secret) == ("key", "secret")
    assert fresh.cash == 5
    assert not fresh.orders
    assert list(pit.engine.accounts) == [fresh.number] != [pit.account.number]
    assert pit.engine.main is fresh
    pit.heard()
    pit.pass_minutes(5)
    assert not pit.heard()
    assert not order.filled_qty
    assert not pit.engine.book.symbols()


def test_a_sale_in_dollars_never_turns_a_position_round() -> None:
    pit = Pit({10: (90, 10_000)})
    pit.hold(1)
    order = pit.order("sell", 0, notional=99)
    pit.pass_minutes(2)
    assert (order.status, pit.account.positions) == ("filled", {})


def test_what_an_account_is_worth_follows_each_fill_of_a_moment() -> None:
    pit = Pit(spec=WHOLE)
    for side, symbol in (("buy", "AAA"), ("sell", "BBB"), ("buy", "AAA"), ("sell", "AAA")):
        pit.order(side, 10, symbol)
        worth = pit.engine.balances(pit.account)
        held = {name: position.qty * 100 for name, position in pit.account.positions.items()}
        assert worth.cash == pit.account.cash
        assert worth.long_value == max(held.get("AAA", 0), 0)
        assert worth.short_value == min(held.get("BBB", 0), 0)
    assert worth.equity == 100_000 - 4 * 10 * Decimal("0.01")
