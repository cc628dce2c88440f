"""The life of an order, from its acceptance to its end: every word of the stream, in order."""

from decimal import Decimal

import pytest

from exchange.tests.kit.pit import OPEN, WHOLE, Pit, Story, buy, do, sell
from papervenue.market.actions import DIVIDEND, FORWARD_SPLIT
from papervenue.market.spec import CLOSE, NEXT_OPEN, PAPER, SPECS
from papervenue.times import MINUTE

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
    "on paper ioc and fok are decided at once by the depth at the quote": Story(
        {"ioc": buy(qty=501, tif="ioc"), "fok": buy(qty=501, tif="fok"), "low": buy(qty=1, tif="ioc", limit=99)},
        "10 ioc partial_fill 500@100.01, 10 ioc canceled, 10 fok canceled, 10 low canceled",
        spec=WHOLE._replace(depth_share=Decimal("0.05")),
    ),
    "a stop is elected by a trade and fills as a market order": Story(
        {"at": sell(qty=10, stop=96), "gapped": sell(qty=10, stop=95)},
        "12 at fill 10@95.99, 13 gapped fill 10@91.99",
        {11: ((100, 100, 96, 97), 10_000), 12: ((92, 93, 91, 92), 10_000)},
        position=20,
    ),
    "on paper an elected purchase pays at most the collar": Story(
        {"a": buy(qty=10, stop=102)},
        "14 a fill 10@104.01",
        {11: (110, 10_000), 12: (110, 10_000), 13: ((104, 104, 103, 103), 10_000)},
        spec=WHOLE,
    ),
    "paper treats auction orders as ordinary ones because it holds no auctions": Story(
        {"opening": buy(qty=20, tif="opg", limit=90), "hopeless": buy(qty=20, tif="opg", limit=45)},
        "-20 opening accepted, -20 hopeless accepted, 0 opening new, 0 hopeless new, 10 closing pending_new, "
        "10 closing new, 10 closing fill 20@100.01, 201 opening fill 20@90.00, 390 hopeless canceled",
        {200: ((92, 92, 88, 92), 10_000)},
        (do.to(10), do.order("closing", **buy(qty=20, tif="cls"))),
        minute=-20,
        until=395,
        spec=WHOLE,
    ),
    **{
        f"in the model {model} a halted symbol fills nothing until it trades again": Story(
            {},
            "10 a pending_new, 10 a new, 14 a fill 1@100.01",
            {},
            (do.halt("AAA"), do.order("a", **buy(qty=1)), do.to(13), do.halt()),
            spec=spec,
        )
        for model, spec in {**SPECS, "paper": WHOLE}.items()
    },
    **{
        f"an order to {side} goes when a journal has brought the other side": Story(
            {"a": {"side": side, "qty": 10}}, "10 a canceled", {}, (do.journal(qty),)
        )
        for side, qty in (("buy", -4), ("sell", 4))
    },
    "at the next open the whole size fills whatever the volume": Story(
        {"big": buy(qty=1900, limit=101), "small": sell(qty=2, symbol="BBB")},
        "11 big fill 1900@100.01, 11 small fill 2@99.99",
        {10: ((100, 101, 99, 100.5), 10_000)},
        spec=NEXT_OPEN,
    ),
    "what the open does not reach rests as in the next-bar model": Story(
        {"resting": buy(qty=900, limit=99.5)},
        "11 resting fill 900@99.50, 11 more pending_new, 11 more new, 12 more partial_fill 1000@99.50",
        {10: ((100, 100, 99, 99.5), 10_000), 11: ((99.8, 99.8, 99, 99), 10_000)},
        (do.to(11), do.order("more", **buy(qty=1050, limit=99.5))),
        until=12,
        spec=NEXT_OPEN,
    ),
    "a whole fill at the open takes from the share of the others": Story(
        {"market": buy(qty=70), "resting": buy(qty=60, limit=99.5)},
        "11 market fill 70@100.01, 11 resting partial_fill 30@99.50, 11 another pending_new, 11 another new, "
        "12 another fill 150@100.01",
        dict.fromkeys((10, 11), ((100, 100, 99, 99.5), 1000)),
        (do.to(11), do.order("another", **buy(qty=150))),
        until=12,
        spec=NEXT_OPEN,
    ),
    "a bar without volume fills nothing at its open": Story(
        {"a": buy()}, "12 a fill 10@100.01", {10: (100, 0)}, spec=NEXT_OPEN
    ),
    "of the auctions the opening one fills the whole size": Story(
        {"a": buy(qty=1900, limit=101, tif="opg")},
        "-20 a accepted, 0 a new, 1 a fill 1900@100.01",
        minute=-20,
        spec=NEXT_OPEN,
    ),
    "the closing auction fills its share of the volume": Story(
        {"a": buy(qty=1900, limit=101, tif="cls")},
        "-20 a accepted, 0 a new, 390 a partial_fill 1000@100.01, 390 a canceled",
        minute=-20,
        until=390,
        spec=NEXT_OPEN,
    ),
    "an elected stop gets its share of the bar that elects it": Story(
        {"a": sell(qty=3000, stop=97)},
        "11 a partial_fill 1000@96.99",
        {10: ((100, 100, 95, 95), 10_000)},
        until=11,
        position=3000,
        spec=NEXT_OPEN,
    ),
    "at the close what is marketable fills at once at the last price": Story(
        {"bought": buy(qty=1900, limit=102.05), "sold": sell(qty=20, symbol="BBB")},
        "10 bought fill 1900@102.01, 10 sold fill 20@101.99",
        {9: ((100, 103, 99, 102), 10_000)},
        spec=CLOSE,
    ),
    "at the close the rest is up to later bars": Story(
        {
            "resting": buy(qty=1200, limit=99.5),
            "stop": buy(symbol="BBB", stop=101),
            "ioc": buy(limit=99, tif="ioc"),
            "fok": buy(limit=99, tif="fok"),
        },
        "10 ioc canceled, 10 fok canceled, 13 resting partial_fill 1000@99.01",
        {12: ((99, 99, 98, 98), 10_000)},
        (do.to(13), do.shows("stop", status="new", type="stop")),
        until=13,
        spec=CLOSE,
    ),
    "at the close orders from before the open wait for a bar": Story(
        {"day": buy(), "opg": buy(tif="opg"), "cls": buy(tif="cls")},
        "-10 day accepted, -10 opg accepted, -10 cls accepted, 0 day new, 0 opg new, 0 cls new, "
        "1 day fill 10@104.01, 1 opg fill 10@104.01, 390 cls fill 10@107.01",
        {0: (104, 10_000), 389: (107, 10_000)},
        minute=-10,
        until=390,
        spec=CLOSE,
    ),
    "at the close an elected buy stop has no limit": Story(
        {"a": buy(qty=20, stop=101)},
        "11 a partial_fill 10@101.01, 12 a fill 10@120.01",
        {10: ((100, 120, 100, 120), 100), 11: (120, 10_000)},
        spec=CLOSE,
    ),
    "at the close an order for the closing auction never fills at once": Story(
        {"a": buy(tif="cls")}, "390 a fill 10@107.01", {389: (107, 10_000)}, until=390, spec=CLOSE
    ),
    "a split restates gtc orders and cancels what it cannot divide": Story(
        # Half of 140.01 is no price: an order to sell asks for the next one above it.
        {"selling": sell(qty=5, limit=140.01, tif="gtc"), "stopping": sell(qty=3, stop=50, tif="gtc")},
        "405 queued accepted, 405 elsewhere accepted, 1110 selling restated, 1110 stopping restated, "
        "1110 queued canceled, 1440 elsewhere new",
        {},
        (
            do.to(405),
            do.order("queued", **sell(qty=2)),
            do.order("elsewhere", **buy(qty=1, symbol="BBB", limit=90, tif="gtc")),
            do.announce(FORWARD_SPLIT, new_rate=Decimal(2), old_rate=Decimal(1)),
            do.to(1445),
            do.shows("selling", qty=10, limit=700_100, status="new"),
            do.shows("stopping", qty=6, stop=250_000, status="new"),
        ),
        position=10,
    ),
    "a dividend lowers orders to buy at a limit and to sell at a stop": Story(
        {
            "buying": buy(qty=1, limit=90, tif="gtc"),
            "stopping": sell(qty=5, stop=95, limit=94, tif="gtc"),
            "selling": sell(qty=5, limit=140, tif="gtc"),
        },
        "1110 buying restated, 1110 stopping restated",
        {},
        (
            do.announce(DIVIDEND, rate=Decimal("0.255")),
            do.to(1445),
            do.shows("buying", limit=897_400),
            do.shows("stopping", stop=947_400, limit=937_400),
            do.shows("selling", limit=1_400_000),
        ),
        position=10,
    ),
}


@pytest.mark.parametrize("story", STORIES.values(), ids=STORIES)
def test_order_lives_as_its_story_says(story: Story) -> None:
    assert story.play() == story.expected


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
    assert pit.new_events()[2:] == [f"{filled_at} fill 1@100.01"]


def test_one_fill_in_ten_on_paper_is_a_part_and_the_rest_follows() -> None:
    pit = Pit(spec=PAPER)
    for _ in range(200):
        pit.order("buy", 2)
    assert 8 < len([line for line in pit.new_events() if "partial_fill" in line]) < 35
    pit.pass_minutes(30)
    assert pit.account.qty("AAA") == 400


def test_a_reset_account_is_gone_with_its_orders_and_keeps_its_keys() -> None:
    pit = Pit()
    order = pit.order("buy", 10, tif="ioc")
    fresh = pit.engine.reset_account(pit.account, Decimal(5))
    assert fresh.key_id == "key"
    assert fresh.secret == "secret"
    assert fresh.cash == 5
    assert not fresh.orders
    assert list(pit.engine.accounts) == [fresh.number] != [pit.account.number]
    assert pit.engine.main is fresh
    pit.new_events()
    pit.pass_minutes(5)
    assert not pit.new_events()
    assert not order.filled_qty
    assert not pit.engine.book.symbols()


def test_what_an_account_is_worth_follows_each_fill_of_a_moment() -> None:
    pit = Pit(spec=WHOLE)
    for side, symbol in (("buy", "AAA"), ("sell", "BBB"), ("buy", "AAA"), ("sell", "AAA")):
        pit.order(side, 10, symbol)
        worth = pit.engine.balances(pit.account)
        exposure = {name: position.qty * 100 for name, position in pit.account.positions.items()}
        assert (worth.cash, worth.long_value) == (pit.account.cash, max(exposure.get("AAA", 0), 0))
        assert worth.short_value == min(exposure.get("BBB", 0), 0)
    assert worth.equity == 100_000 - 4 * 10 * Decimal("0.01")
