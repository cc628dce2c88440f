"""Brackets, pairs and triggers: what becomes of the other orders when one of them ends, fills or moves."""

from decimal import Decimal
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from exchange.tests.kit.pit import DAYS, OPEN, WHOLE, Pit, Story, bracket, buy, do, pair, protect, sell
from papervenue.engine.orders import Fill, Policy
from papervenue.market.actions import DIVIDEND, FORWARD_SPLIT, REVERSE_SPLIT
from papervenue.market.spec import NEXT_BAR
from papervenue.refusal import Refusal
from papervenue.times import MINUTE, SECOND, at_new_york

ENTERED = "11 entry fill 10@100.01, 11 profit new, 11 loss new, "
BELOW_BASE = r"stop_loss\.stop_price must be <= base_price - 0\.01"
ONLY_PRICES = "only limit_price and stop_price of oco orders"
SPLIT = do.announce(FORWARD_SPLIT, new_rate=Decimal(2), old_rate=Decimal(1))
STRICT = Policy(refuses_marketable=True)
STARTS_OVER = Policy(starts_over=True)
TELLS_LATE = Policy(tells_after_us=2 * MINUTE)


def replaced(old: str, new: str, minute: str = "10") -> str:
    """Return what is told of an order at the market and the one that replaces it at once."""
    return f"{minute} {old} pending_replace, {minute} {new} pending_new, {minute} {old} replaced, {minute} {new} new"


STORIES = {
    "the legs of a bracket are held until its entry is completely filled": Story(
        bracket(),
        "11 entry partial_fill 5@100.01, 12 entry fill 5@100.01, 12 profit new, 12 loss new",
        {10: (100, 50)},
        (
            do.reserves("1000.1"),
            do.to(11),
            do.shows("profit", status="held"),
            do.claims(5),
            do.to(12),
            do.claims(10),
            do.reserves(0),
        ),
    ),
    "the fill of the profit cancels the loss": Story(
        bracket(), ENTERED + "13 profit fill 10@105.00, 13 loss canceled", {12: ((100, 106, 100, 106), 10_000)}
    ),
    "a short bracket buys back": Story(
        {"entry": sell(order_class="bracket", take_profit=95, stop_loss=(105, 106), legs=("profit", "loss"))},
        "11 entry fill 10@99.99, 11 profit new, 11 loss new, 13 profit fill 10@95.00, 13 loss canceled",
        {12: ((96, 96, 94, 94), 10_000)},
        (
            do.shows("entry", intent="sell_to_open"),
            do.shows("profit", intent="buy_to_close", type="limit"),
            do.shows("loss", intent="buy_to_close", type="stop_limit"),
        ),
    ),
    "a rejected entry takes its legs with it": Story(
        bracket(fate="reject"), "10 entry rejected, 10 profit canceled, 10 loss canceled"
    ),
    "the two orders of a pair come together and claim the shares once": Story(
        {},
        "10.5 target pending_new, 10.5 stop held, 10.5 target new, 10.5 stop new, "
        "13 stop fill 10@93.99, 13 target canceled",
        {12: (94, 10_000)},
        (do.to(10.5), do.order("target", **pair()["target"]), do.claims(10)),
        position=10,
    ),
    "on paper a bracket is live as soon as it is placed": Story(
        bracket(),
        "10 entry fill 10@100.01",
        {},
        (do.shows("profit", status="new"), do.shows("loss", status="new")),
        spec=WHOLE,
    ),
    "only the prices of a pair can be replaced": Story(
        pair(),
        "",
        {},
        (
            *(
                do.refused(ONLY_PRICES, "replace", name, "new", **change)
                for name in ("target", "stop")
                for change in ({"qty": 5}, {"time_in_force": "day"})
            ),
            do.refused("must not have stop_price", "replace", "target", "new", stop=96),
        ),
        position=10,
    ),
    "a dividend reduces the stop of a pair to sell": Story(
        pair(),
        "1110 stop restated",
        {},
        (
            do.announce(DIVIDEND, rate=Decimal("0.25")),
            do.to(1445),
            do.shows("target", limit=1_050_000),
            do.shows("stop", stop=947_500),
        ),
        position=10,
    ),
    "a dividend reduces the limit of a pair to buy": Story(
        pair("buy"),
        "1110 target restated",
        {},
        (
            do.announce(DIVIDEND, rate=Decimal("0.25")),
            do.to(1445),
            do.shows("target", limit=947_500),
            do.shows("stop", stop=1_050_000),
        ),
        position=-10,
    ),
    **{
        f"a split multiplies a pair to {side} and divides its prices": Story(
            pair(side),
            "1110 target restated, 1110 stop restated",
            {},
            (
                SPLIT,
                do.to(1140),
                do.claims(20),
                do.shows("target", qty=20, limit=target),
                do.shows("stop", qty=20, stop=stop),
            ),
            position=quantity,
        )
        for side, quantity, target, stop in (("sell", 10, 525_000, 475_000), ("buy", -10, 475_000, 525_000))
    },
    "a split cancels a pair that has filled in part": Story(
        pair(),
        "21 target partial_fill 4@105.99, 21 stop restated, 1110 target canceled, 1110 stop canceled",
        {20: (106, 40)},
        (do.to(30), do.shows("stop", qty=6), SPLIT),
        until=1140,
        position=10,
    ),
    "a reverse split cancels every pair": Story(
        pair(),
        "1110 target canceled, 1110 stop canceled",
        {},
        (do.announce(REVERSE_SPLIT, new_rate=Decimal(1), old_rate=Decimal(2)),),
        until=1140,
        position=10,
    ),
    "on paper a stop that covers a short pays at most its collar and then rests there": Story(
        pair("buy"),
        "23 stop fill 10@107.01, 23 target canceled",
        {20: (120, 10_000), 21: (120, 10_000), 22: (107, 10_000)},
        (do.to(22), do.shows("stop", type="stop_limit", limit=1_076_200)),
        until=23,
        position=-10,
        spec=WHOLE,
    ),
    "a bracket that a split has restated is checked at its new prices": Story(
        bracket(limit=97, tif="gtc"),
        f"1110 entry restated, 1110 profit restated, 1110 loss restated, {replaced('entry', 'again', '1445')}",
        {},
        (
            SPLIT,
            do.to(1445),
            do.shows("loss", qty=20),
            do.replace("entry", "again", limit=48),
            do.refused(BELOW_BASE, "replace", "loss", "higher", stop=48),
        ),
    ),
    "an exit that the other one has left fewer shares can be repriced": Story(
        pair(),
        f"11 stop partial_fill 3@94.99, 11 target restated, {replaced('target', 'moved', '11')}, "
        "13 stop fill 7@99.99, 13 moved canceled",
        {10: (95, 30), 11: (100, 0)},
        (do.to(11), do.replace("target", "moved", limit=106), do.shows("moved", qty=7), do.claims(7)),
        position=10,
    ),
    "a strict venue lets an entry and a simple order move to the market": Story(
        {"entry": bracket(limit=97, stop_loss=90)["entry"], "simple": buy(symbol="BBB", limit=90)},
        f"{replaced('entry', 'again')}, {replaced('simple', 'moved')}",
        {},
        (do.replace("entry", "again", STRICT, limit=101), do.replace("simple", "moved", STRICT, limit=101)),
        until=10,
    ),
    **{
        f"a strict venue keeps a target to {side} a cent from the market": Story(
            pair(side),
            f"{replaced('stop', 'closer')}, {replaced('target', 'near')}",
            {},
            (
                do.refused(f"limit_price must be {bound} base_price", "replace", "target", "near", STRICT, limit=100),
                do.replace("stop", "closer", STRICT, stop=stop),
                do.replace("target", "near", STRICT, limit=near),
            ),
            until=10,
            position=quantity,
        )
        for side, quantity, bound, stop, near in (("sell", 10, ">=", 98, 100.01), ("buy", -10, "<=", 102, 99.99))
    },
    "a replacement may start again from the whole quantity": Story(
        pair(),
        f"11 target partial_fill 4@105.99, 11 stop restated, {replaced('target', 'exit', '11')}, "
        "12 exit fill 10@99.99, 12 stop canceled",
        {10: (106, 40)},
        (do.to(11), do.replace("target", "exit", STARTS_OVER, limit=99.9), do.shows("exit", qty=10, filled_qty=0)),
        position=20,
    ),
    "a replacement that starts over never sells what is not there": Story(
        pair(),
        f"11 target partial_fill 4@105.99, 11 stop restated, {replaced('target', 'exit', '11')}, "
        "12 exit partial_fill 6@99.99, 12 stop restated, 13 exit canceled, 13 stop canceled",
        {10: (106, 40)},
        (do.to(11), do.replace("target", "exit", STARTS_OVER, limit=99.9), do.claims(10)),
        position=10,
    ),
    "a stop may fill after the target was moved to the market and filled": Story(
        pair(policy=TELLS_LATE),
        f"{replaced('target', 'exit')}, 10 exit fill 10@99.99, 12 stop fill 10@94.99",
        {11: ((100, 100, 94, 94), 10_000)},
        (do.replace("target", "exit", limit=99), do.shows("stop", status="new")),
        position=10,
        spec=WHOLE,
    ),
    "an exit that learns late of a part keeps the rest and so does its replacement": Story(
        pair(policy=TELLS_LATE),
        f"11 target partial_fill 4@105.99, {replaced('stop', 'moved', '11')}, 13 moved restated",
        {10: (106, 40)},
        (
            do.to(11),
            do.shows("stop", qty=10, unheard=4),
            do.replace("stop", "moved", stop=96),
            do.shows("moved", qty=10, unheard=4),
            do.to(13),
            do.shows("moved", qty=6, unheard=0),
            do.claims(6),
        ),
        position=10,
    ),
    "a pair stays while a journal leaves its shares": Story(
        pair(), "", {}, (do.journal(5), do.journal(-5)), position=10
    ),
    "a pair goes whole when a journal takes one of its shares": Story(
        pair(), "10 target canceled, 10 stop canceled", {}, (do.journal(-1),), position=10
    ),
}


@pytest.mark.parametrize("story", STORIES.values(), ids=STORIES)
def test_orders_of_a_group_live_as_their_story_says(story: Story) -> None:
    assert story.play() == story.expected


def test_a_pair_rests_for_ninety_days_and_ends_together() -> None:
    pit = Pit()
    orders = protect(pit)
    assert {order.expires_us for order in orders.values()} == {at_new_york("2025-06-01", 16, 15)}
    for order in orders.values():
        order.expires_us = at_new_york(DAYS[1], 16, 15)
    pit.new_events()
    pit.to_minute(0, session=1)
    assert pit.new_events(orders) == ["405 target canceled", "405 stop canceled"]
    assert pit.account.claimed_shares("AAA") == 0


@given(
    steps=st.lists(
        st.tuples(st.integers(90, 110), st.sampled_from([10, 40, 10_000]), st.none() | st.integers(96, 104)),
        min_size=1,
        max_size=12,
    ),
    side=st.sampled_from([1, -1]),
)
@settings(max_examples=40)
def test_a_pair_never_closes_more_than_its_shares_and_its_mirror_does_the_same(
    steps: list[tuple[int, int, int | None]], side: int
) -> None:
    """The second lot's shares stay whatever the market does and however the first lot's target is moved."""

    def close(side: int) -> list[Decimal]:
        bars = {20 + at: (100.0 + side * (price - 100), volume) for at, (price, volume, _) in enumerate(steps)}
        pit = Pit(bars)
        target, left = protect(pit, 20 * side)["target"], []
        for at, (_, _, limit) in enumerate(steps):
            pit.to_minute(20 + at)
            if limit is not None and target.status == "new":
                try:
                    target = pit.replace(target, limit=100.0 + side * (limit - 100))
                except Refusal:
                    assert target.is_open
            left.append(pit.account.qty("AAA") * side)
            assert target.is_open == target.legs[0].is_open
            assert not target.is_open or target.remaining == target.legs[0].remaining == left[-1] - 10
        return left

    left = close(side)
    assert left == close(-side)
    assert all(20 >= before >= after >= 10 for before, after in pairwise(left))


@given(
    bars=st.lists(st.tuples(st.integers(93, 107), st.sampled_from([10, 40, 10_000])), min_size=4, max_size=10),
    sent_orders=st.lists(
        st.tuples(st.integers(0, 300), st.sampled_from(["target", "stop", "cancel"]), st.integers(94, 106)), max_size=6
    ),
    latency_s=st.sampled_from([0, 20, 90]),
)
@settings(max_examples=60)
def test_whatever_is_in_transit_a_pair_sells_its_shares_once_and_ends_whole(
    bars: list[tuple[int, int]], sent_orders: list[tuple[int, str, int]], latency_s: int
) -> None:
    written = {11 + at: (price, volume) for at, (price, volume) in enumerate(bars)}
    pit = Pit(written, NEXT_BAR._replace(latency_s=latency_s))
    newest = protect(pit, 20)
    for second, what, price in sorted(sent_orders):
        pit.engine.advance(max(pit.engine.now_us, OPEN + 10 * MINUTE + second * SECOND))
        try:
            if what == "cancel":
                pit.cancel(newest["target"])
            else:
                change: dict[str, Any] = {"limit" if what == "target" else "stop": price}
                newest[what] = pit.replace(newest[what], **change)
        except Refusal:
            continue
    pit.to_minute(60)
    orders = [*pit.account.orders.values()]
    sold = sum((one.qty for one in pit.account.activities if isinstance(one, Fill)), Decimal(0))
    assert pit.account.qty("AAA") == 20 - sold >= 10
    # Nothing is left of the pair, or both of its orders are, for the same shares.
    working = [order for order in orders if order.is_open]
    assert [order.remaining for order in working] in ([], [10 - sold] * 2)
    assert pit.account.claimed_shares("AAA") == (10 - sold if working else 0)
    assert not any(order.status.startswith("pending") for order in orders)
