"""The life of an order, from its acceptance to its end: every word of the stream, in order."""

from decimal import Decimal
from typing import Any, NamedTuple

import pytest

from tests.exchange.pit import HUNDRED, OPEN, Pit
from tradebot.exchange.market.fill import NEXT_BAR, PAPER, FillSpec
from tradebot.exchange.times import MINUTE

WHOLE = PAPER._replace(partial_rate=Decimal(0))
LATE = NEXT_BAR._replace(latency_s=90)


def buy(**asked: Any) -> dict[str, Any]:
    return {"side": "buy", **asked}


def sell(**asked: Any) -> dict[str, Any]:
    return {"side": "sell", **asked}


class Story(NamedTuple):
    """Orders by name, the bars, when it ends, and what is told after `new`; the rest is how a pit begins."""

    orders: dict[str, dict[str, Any]]
    told: str
    written: dict[int, Any] = {}  # noqa: RUF012 -- never changed
    until: float = 15
    session: int = 0
    minute: float = 10
    held: int = 0
    spec: FillSpec = NEXT_BAR
    extended: dict[int, Any] = {}  # noqa: RUF012 -- never changed


STORIES = {
    "a market order fills at the open of the first bar that begins after it": Story(
        {"a": buy(qty=10)}, "12 a fill 10@101.01", {11: ((101, 103, 99, 102), 10_000)}, minute=10.5
    ),
    "on paper market orders fill at once at the quote": Story(
        {"a": buy(qty=10), "b": sell(qty=10)}, "10 a fill 10@100.01, 10 b fill 10@99.99", spec=WHOLE
    ),
    "on paper a limit fills at once only where the quote reaches it": Story(
        {"better": buy(qty=10, limit=101), "waiting": buy(qty=10, limit=99)},
        "10 better fill 10@100.01, 14 waiting fill 10@99.00",
        {13: ((100, 100, 98, 99), 10_000)},
        spec=WHOLE,
    ),
    "an order placed before the session waits for its open": Story(
        {"a": buy(qty=10)}, "-60 a accepted, 0 a new, 1 a fill 10@100.01", minute=-60, until=2
    ),
    "an order placed after the close is for the next session": Story(
        {"a": buy(qty=1, limit=90)}, "400 a accepted, 1440 a new, 1830 a expired", minute=400, until=391, session=1
    ),
    "an extended order placed overnight wakes at four": Story(
        {"a": buy(qty=1, limit=90, extended_hours=True)}, "-720 a accepted, -330 a new", minute=-720, until=0
    ),
    "a gtc order beside an extended one sees the session alone": Story(
        {"gtc": buy(qty=1, limit=90, tif="gtc"), "extended": buy(qty=1, limit=90, extended_hours=True)},
        "396 extended fill 1@80.01",
        extended={395: 80},
        until=400,
    ),
    "a large order fills in parts within the share of volume": Story(
        {"a": buy(qty=6)},
        "11 a partial_fill 3@100.01, 13 a partial_fill 1@100.01, 14 a partial_fill 1@100.01, 15 a fill 1@100.01",
        {10: (100, 30), 11: (100, 0), 12: (100, 5), 13: (100, 19)},
    ),
    "a day order expires at the close and a gtc order rests until it fills": Story(
        {"day": buy(qty=1, limit=90), "gtc": buy(qty=1, limit=90, tif="gtc")},
        "390 day expired, 1446 gtc fill 1@90.00",
        {1005: ((100, 100, 89, 95), 10_000)},
        until=10,
        session=1,
    ),
    "an ioc order keeps what the first whole minute gives": Story(
        {"a": buy(qty=1001, tif="ioc", limit=101)}, "12 a partial_fill 1000@100.01, 12 a canceled", minute=10.25
    ),
    "on paper ioc and fok are decided at once by the depth at the quote": Story(
        {"ioc": buy(qty=501, tif="ioc"), "fok": buy(qty=501, tif="fok"), "low": buy(qty=1, tif="ioc", limit=99)},
        "10 ioc partial_fill 500@100.01, 10 ioc canceled, 10 fok canceled, 10 low canceled",
        spec=WHOLE._replace(depth_share=Decimal("0.05")),
    ),
    "opg orders fill in the first bar alone": Story(
        {"market": buy(qty=20, tif="opg"), "low": buy(qty=20, tif="opg", limit=45)},
        "-20 market accepted, -20 low accepted, 0 market new, 0 low new, "
        "1 market partial_fill 8@50.01, 1 market canceled, 1 low canceled",
        {0: ((50, 60, 40, 55), 80)},
        minute=-20,
    ),
    "cls orders fill in the last bar alone at its close": Story(
        {"market": buy(qty=20, tif="cls"), "low": buy(qty=20, tif="cls", limit=45)},
        "390 market fill 20@55.01, 390 low canceled",
        {389: ((50, 60, 40, 55), 10_000)},
        until=395,
    ),
    "a stop is elected by a trade and fills as a market order": Story(
        {"at": sell(qty=10, stop=96), "gapped": sell(qty=10, stop=95)},
        "12 at fill 10@95.99, 13 gapped fill 10@91.99",
        {11: ((100, 100, 96, 97), 10_000), 12: ((92, 93, 91, 92), 10_000)},
        held=20,
    ),
    "an elected stop limit rests at its limit until the market comes back": Story(
        {"a": buy(qty=10, stop=102, limit=102.5)},
        "13 a fill 10@100.01",
        {11: ((105, 106, 104, 105), 10_000), 13: ((103, 104, 101.5, 102), 10_000)},
    ),
    "a stop limit fills at its stop within its limit": Story(
        {"a": buy(qty=10, stop=102, limit=102.5)}, "12 a fill 10@102.01", {11: ((100, 106, 100, 105), 10_000)}
    ),
    "on paper an elected purchase pays at most the collar": Story(
        {"a": buy(qty=10, stop=102)},
        "14 a fill 10@104.01",
        {11: (110, 10_000), 12: (110, 10_000), 13: ((104, 104, 103, 103), 10_000)},
        spec=WHOLE,
    ),
    "a trailing stop follows the high and never steps back": Story(
        {"a": sell(qty=10, trail_price=2)},
        "13 a fill 10@101.99",
        {10: ((100, 104, 100, 103), 1000), 11: ((103, 103, 102.01, 103), 1000), 12: ((103, 103, 101, 101), 1000)},
        held=10,
    ),
    "a trailing stop to buy back follows the low by a percentage": Story(
        {"a": buy(qty=10, trail_percent=Decimal(2))},
        "13 a fill 10@81.61",
        {10: ((100, 100, 80, 80), 1000), 11: ((80, 81.5, 80, 81), 1000), 12: ((81, 81.7, 80, 81), 1000)},
        held=-10,
    ),
    "a sale in dollars never turns a position round": Story(
        {"a": sell(qty=0, notional=99)}, "11 a fill 1@89.99", {10: (90, 10_000)}, held=1
    ),
}


@pytest.mark.parametrize("story", STORIES.values(), ids=STORIES)
def test_order_lives_as_its_story_says(story: Story) -> None:
    pit = Pit(story.written, story.spec, story.extended, story.minute)
    pit.hold(story.held)
    named = {name: pit.order(**asked) for name, asked in story.orders.items()}
    pit.to_minute(story.until, story.session)
    begun = tuple(f"{story.minute:g} {name} {word}" for name in named for word in ("pending_new", "new"))
    assert ", ".join(line for line in pit.heard(named) if line not in begun) == story.told


def test_paper_treats_auction_orders_as_ordinary_orders_because_it_holds_no_auctions() -> None:
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
