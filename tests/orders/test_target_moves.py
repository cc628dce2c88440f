"""Targets follow the average price of an entry that fills in parts: once, when it is over, and by more than a tick."""

from collections import Counter
from decimal import Decimal

import pytest

from tests.kit.core.apart import LOST_ON_THE_WAY, REFUSED, BotApart
from tests.orders.test_separate_protection import asked, each
from tradebot.model.candidate import Purpose, Side
from tradebot.model.order import Order, OrderStatus
from tradebot.model.struct_tools import replace
from tradebot.model.venue import Capabilities

D = Decimal


def filled(bot: BotApart, entry: Order, shares: int, price: str) -> None:
    """Fill so many shares more of an entry, and let a pass look at it."""
    bot.scene.later(1)
    bot.venue.fill(entry.client_order_id, price, D(shares))
    bot.exits()


def resting(bot: BotApart) -> list[tuple[str, int]]:
    """Return for how many shares targets rest at each price."""
    shares = Counter[str]()
    for order in bot.venue.targets():
        shares[f"{order.limit_price:.2f}"] += int(order.open_quantity)
    return sorted(shares.items())


def in_parts(
    can: Capabilities, *parts: tuple[int, str], side: Side = Side.BUY, quantity: int = 10
) -> tuple[BotApart, Order]:
    """Return a bot whose entry has filled in parts, and the entry; its targets are at 1 % and 3 %."""
    bot = BotApart(can)
    bot.venue.has_history = True
    entry = bot.enter(side, quantity=quantity)
    assert entry is not None, "the entry was refused"
    for shares, price in parts:
        filled(bot, entry, shares, price)
    return bot, entry


@each
@pytest.mark.parametrize(
    ("side", "second", "targets"),
    [
        (Side.BUY, "99.40", [("100.69", 4), ("102.69", 4)]),
        (Side.SELL, "100.60", [("97.30", 4), ("99.30", 4)]),
    ],
)
def test_targets_are_at_the_average_price_once_the_entry_is_over(
    can: Capabilities, side: Side, second: str, targets: list[tuple[str, int]]
) -> None:
    bot, entry = in_parts(can, (5, "100"), side=side)
    first = resting(bot)
    filled(bot, entry, 5, second)
    for _ in range(3):
        bot.exits()
    assert resting(bot) == targets != first
    done = len(bot.venue.asked)
    bot.exits()
    assert asked(bot, done) == [], "it moves once"


@each
def test_targets_that_do_not_grow_stay_while_the_entry_works(can: Capabilities) -> None:
    bot, entry = in_parts(can, (5, "100"))
    before = resting(bot)
    filled(bot, entry, 1, "99.40")
    bot.exits()
    assert resting(bot) == before == [("101.00", 2), ("103.00", 2)]
    assert bot.venue.working(Purpose.OPEN)
    bot.venue.book[entry.client_order_id] = replace(entry, status=OrderStatus.CANCELED, filled_quantity=D(6))
    for _ in range(3):
        bot.exits()
    assert resting(bot) == [("100.89", 2), ("102.89", 2)], "no more of it can fill"


@each
def test_a_difference_of_a_tick_moves_nothing(can: Capabilities) -> None:
    bot, entry = in_parts(can, (8, "100"), quantity=9)
    before = [order.venue_id for order in bot.venue.targets()]
    filled(bot, entry, 1, "99.95")
    bot.exits()
    assert resting(bot) == [("101.00", 3), ("103.00", 3)]
    assert [order.venue_id for order in bot.venue.targets()] == before


@pytest.mark.parametrize("fate", [REFUSED, LOST_ON_THE_WAY])
@each
def test_a_move_that_fails_leaves_no_target_too_many_and_is_made_later(can: Capabilities, fate: str) -> None:
    bot, entry = in_parts(can, (5, "100"))
    bot.scene.later(1)
    bot.venue.fill(entry.client_order_id, "99.40", D(5))
    # The stops come first.
    bot.exits()
    bot.venue.fates = [fate]
    for _ in range(4):
        bot.exits(1_000)
        bot.venue.catch_up()
        assert sum(order.open_quantity for order in bot.venue.targets()) <= 10
    assert resting(bot) == [("100.69", 4), ("102.69", 4)]
