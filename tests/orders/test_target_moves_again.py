"""A target that is gone is placed again, but not at once and not in every pass."""

from decimal import Decimal

import pytest

from tests.kit.core.apart import REFUSED, BotApart, capabilities
from tradebot.model.order import OrderStatus
from tradebot.model.struct_tools import replace
from tradebot.model.venue import Capabilities, Edit

CAN = [capabilities(edit, reduce_only=True) for edit in Edit]


def lose_targets(bot: BotApart) -> None:
    """Let a person cancel every target at the venue."""
    for order in bot.venue.targets():
        bot.venue._put(replace(order, status=OrderStatus.CANCELED), "order_canceled")


def prices(bot: BotApart) -> list[str]:
    return [str(order.limit_price) for order in bot.venue.targets()]


def placed(bot: BotApart) -> list[str]:
    """Return when targets were accepted by the venue's own log."""
    stops = {line["order_id"] for line in bot.venue.log if line.get("stop_price")}
    new = [line for line in bot.venue.log if line["event"] == "order_accepted" and line["order_id"] not in stops]
    return [line["at"] for line in new if ".PROTE." in line["client_order_id"]]


@pytest.mark.parametrize("can", CAN, ids=lambda can: can.edit)
def test_targets_canceled_by_hand_are_back_once_the_position_is_old_enough_and_then_rarely(can: Capabilities) -> None:
    bot = BotApart(can).filled()
    bot.exits(5)
    first, filled = len(placed(bot)), bot.venue.now
    lose_targets(bot)
    bot.exits(20)
    assert prices(bot) == [], "it has been held for 25 seconds"
    bot.exits(6)
    assert prices(bot) == ["101.00", "103.00"]
    lose_targets(bot)
    for _ in range(9):
        bot.exits(60)
        assert prices(bot) == []
    bot.exits(60)
    assert prices(bot) == ["101.00", "103.00"]
    waits = sorted(set(placed(bot)[first:]))
    assert len(waits) == 2
    assert (bot.venue.now - filled).total_seconds() > 600


def test_a_refused_target_is_not_sent_again_in_every_pass() -> None:
    bot = BotApart(CAN[0]).filled()
    bot.venue.fates = ["", REFUSED]
    bot.exits(5)
    assert prices(bot) == ["103.00"]
    asked = len(bot.venue.asked)
    bot.exits(10)
    assert len(bot.venue.asked) == asked
    bot.exits(20)
    assert sorted(prices(bot)) == ["101.00", "103.00"]


def test_a_target_waits_for_the_stop_before_it_is_placed_again() -> None:
    bot = BotApart(CAN[0]).held()
    lose_targets(bot)
    (stop,) = bot.venue.stops()
    bot.venue.suspend(stop)
    bot.venue.fates = ["", REFUSED]
    bot.exits(60)
    assert (bot.venue.stops()[1:], prices(bot)) == ([], []), "the stop in its place was refused"
    bot.exits(60)
    bot.exits(60)
    assert prices(bot) == ["101.00", "103.00"]


def test_what_is_left_of_a_target_that_the_bot_cancels_itself_is_back_at_once() -> None:
    bot = BotApart(capabilities(Edit.NONE, reduce_only=True)).filled()
    bot.exits(5)
    # The stop closes a part, so the targets are for too much, and the venue can't make them smaller.
    (stop,) = bot.venue.stops()
    bot.venue.fill(stop.client_order_id, "98", Decimal(5))
    bot.exits(5)
    bot.exits(5)
    assert [(str(one.limit_price), int(one.open_quantity)) for one in bot.venue.targets()] == [
        ("101.00", 4),
        ("103.00", 1),
    ]


def test_a_larger_target_takes_the_place_of_a_smaller_one_at_once() -> None:
    bot = BotApart(CAN[0])
    order = bot.enter()
    assert order is not None
    for shares in (5, 5):
        bot.venue.fill(order.client_order_id, "100", Decimal(shares))
        bot.exits(5)
        assert prices(bot) == ["101.00", "103.00"], "a larger one takes the place of a smaller one"
