"""A close that nobody's rule asks for again is found until it is done, and says whose it is."""

from tests.kit.core.apart import BotApart
from tests.orders.test_exit_orders import NO_EDITS, displace_if_full, stuck
from tradebot.adapters.ledger.rows import StoredOrder
from tradebot.desk.snapshot import take_desk
from tradebot.model.candidate import Purpose
from tradebot.model.order import Order, OrderStatus
from tradebot.model.struct_tools import replace
from tradebot.reconciliation.unfinished_closes import describe_unfinished, unfinished_close


def found(bot: BotApart) -> str:
    """Return the words of what isn't finished; empty if everything is."""
    desk = take_desk(bot.world(), for_entries=False)
    closes = (unfinished_close(bot.scene.ledger, desk.books.intents, position) for position in desk.positions)
    return ", ".join(describe_unfinished(close) for close in closes if close is not None)


def test_a_close_that_was_canceled_unfilled_is_found_until_the_next_one_works() -> None:
    bot = stuck(NO_EDITS)
    assert found(bot) == "a close by hand isn't finished"
    bot.exits()
    assert found(bot) == "", "another order closes the rest"
    (close,) = bot.venue.working(Purpose.CLOSE)
    bot.venue.fill(close.client_order_id, "100")
    bot.exits()
    assert found(bot) == ""


def test_a_close_whose_cancel_the_venue_accepted_is_found_although_nobody_knows_how_it_ended() -> None:
    bot = stuck(NO_EDITS)
    ledger, _ = bot.scene.ledger, found(bot)
    for order in ledger.orders():
        if order.status is OrderStatus.CANCELED:
            ledger.tables.orders.put(StoredOrder(replace(order, status=OrderStatus.ENDED), bot.venue.now, True))
    assert found(bot) == "a close by hand isn't finished"


def test_a_close_that_ended_with_the_stop_that_we_canceled_is_found_behind_that_stop() -> None:
    bot = stuck(NO_EDITS)
    desk, ledger = take_desk(bot.world(), for_entries=False), bot.scene.ledger
    (cancel,) = (one for one in desk.books.intents if one.intent.target_venue_id == canceled(bot).venue_id)
    stop = replace(canceled(bot), venue_id="stop", client_order_id="", parent=canceled(bot).venue_id)
    ledger.apply_orders([stop], bot.venue.now)
    of_stop = replace(cancel, intent=replace(cancel.intent, target_venue_id="stop", purpose=Purpose.PROTECT))
    records = [of_stop if one == cancel else one for one in desk.books.intents]
    assert [unfinished_close(ledger, records, one) is not None for one in desk.positions] == [True]


def canceled(bot: BotApart) -> Order:
    """Return the order that was canceled last."""
    return [one for one in bot.scene.ledger.orders() if one.status is OrderStatus.CANCELED][-1]


def test_a_close_that_makes_room_names_the_other_symbol() -> None:
    assert found(stuck(NO_EDITS, ask=displace_if_full)) == "a close to make room for MSFT isn't finished"


def test_a_position_that_nobody_closes_has_nothing_unfinished() -> None:
    assert found(BotApart(NO_EDITS).held()) == ""
