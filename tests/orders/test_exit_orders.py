"""Closes that a person asked for go on until the position is gone, although each order for them may end unfilled."""

from collections.abc import Callable
from decimal import Decimal

import pytest

from tests.kit.core.apart import FATES, REFUSED, SLOW, BotApart, capabilities
from tests.kit.core.scene import Scene, call, evaluate_exits, trade_once, wanted
from tests.kit.core.venue import FakeVenue
from tradebot.desk.snapshot import take_desk
from tradebot.exits.exit_reasons import ReasonPart
from tradebot.exits.rules import ExitCall
from tradebot.model.bar import SUSPENDED
from tradebot.model.candidate import Purpose, Side
from tradebot.model.decision import Decision, Gate, Verdict
from tradebot.model.intent import Operation
from tradebot.model.order import OrderStatus
from tradebot.model.reasons import Reason
from tradebot.model.record import CycleRecord, Job
from tradebot.model.struct_tools import replace
from tradebot.model.trading import Permission
from tradebot.model.venue import Capabilities, Edit
from tradebot.orders.close_orders import close

EVERY = [capabilities(edit, reduce_only=only) for edit in Edit for only in (True, False)]
NO_EDITS = capabilities(Edit.NONE, reduce_only=True)
each = pytest.mark.parametrize("can", EVERY, ids=lambda can: f"{can.edit} {'only reduces' if can.reduce_only else ''}")


def stuck(can: Capabilities, side: Side = Side.BUY, ask: Callable[[BotApart], object] = BotApart.flatten) -> BotApart:
    """Return a bot whose close filled four of ten shares and was canceled as stale, which took a while."""
    bot = BotApart(can).held(10, side)
    assert ask(bot)
    (close,) = bot.venue.working(Purpose.CLOSE)
    bot.venue.fill(close.client_order_id, "100", Decimal(4))
    bot.scene.price("AAPL", "100.2")
    bot.venue.fates = [REFUSED, SLOW] if can.edit is not Edit.NONE else [SLOW]
    bot.exits(181)
    bot.venue.catch_up()
    assert bot.venue.book[close.client_order_id].status is OrderStatus.CANCELED, "the cancel came too late"
    return bot


def displace_if_full(bot: BotApart) -> object:
    """Close the position for MSFT."""
    desk = take_desk(bot.world(), for_entries=False)
    why = ExitCall(
        Decision(Gate.EXIT, Verdict.PASS, Reason.DISPLACED), why=(ReasonPart("displaced_by", symbol="MSFT"),)
    )
    (position,) = desk.positions
    return close(bot.world(), call(Job.TRADE_ONCE, "room"), desk, position, why, "displaced", displaced_by="MSFT")


def closes(bot: BotApart) -> list[Decimal]:
    """Return how many shares each order for a close asked for."""
    sent = (one for one in bot.venue.asked if one.operation is Operation.SUBMIT and one.purpose is Purpose.CLOSE)
    return [one.quantity for one in sent]


def why(cycle: CycleRecord | None) -> list[Reason | None]:
    assert cycle is not None
    decided = (d for record in cycle.candidates for d in record.decisions if record.candidate.source == "exit")
    return [d.reason for d in decided if d.gate is Gate.EXIT]


@each
@pytest.mark.parametrize("side", list(Side))
def test_what_a_canceled_close_by_hand_left_is_closed_by_the_next_pass_once(can: Capabilities, side: Side) -> None:
    bot = stuck(can, side)
    assert closes(bot) == [Decimal(10)]
    assert Reason.CLOSED_BY_HAND in why(bot.exits())
    assert closes(bot) == [Decimal(10), Decimal(6)]
    bot.exits()
    assert closes(bot) == [Decimal(10), Decimal(6)], "one works already"
    (close,) = bot.venue.working(Purpose.CLOSE)
    bot.venue.fill(close.client_order_id, "100")
    bot.exits()
    bot.exits()
    assert not bot.position
    assert not bot.venue.working(Purpose.CLOSE)
    assert len(closes(bot)) == 2
    assert len({one.client_order_id for one in bot.venue.asked}) == len(bot.venue.asked)


def test_it_goes_on_again_and_again() -> None:
    bot = stuck(NO_EDITS)
    for left in (5, 4, 3):
        bot.exits()
        (close,) = bot.venue.working(Purpose.CLOSE)
        bot.venue.fill(close.client_order_id, "100", Decimal(1))
        bot.scene.price("AAPL", f"100.{left}")
        bot.venue.fates = [SLOW]
        bot.exits(181)
        bot.venue.catch_up()
        assert bot.position == left
    assert closes(bot) == [Decimal(each) for each in (10, 6, 5, 4)]


def test_it_waits_while_permission_is_closed() -> None:
    bot = stuck(NO_EDITS)
    open_again, bot.scene.permission = bot.scene.permission, Permission(((Reason.LIVE_NOT_ARMED, "mode live"),))
    bot.exits()
    assert closes(bot) == [Decimal(10)]
    bot.scene.permission = open_again
    bot.exits()
    assert closes(bot) == [Decimal(10), Decimal(6)]


@pytest.mark.parametrize("why", [SUSPENDED, "no bid"])
def test_exit_of_a_symbol_without_a_quote_says_whether_its_trading_is_suspended(
    why: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    scene = Scene()
    trade_once(scene.world(wanted("AAPL")), call())
    scene.venue.fill(scene.venue.submitted[-1].client_order_id, "100")
    scene.later(60)
    del scene.venue.prices["AAPL"]
    monkeypatch.setattr(FakeVenue, "rejected_quotes", {"AAPL": why})
    (record,) = evaluate_exits(scene.world(), call(Job.EVALUATE_EXITS, "open+31m")).candidates
    assert record.terminal is not None
    expected = Reason.TRADING_SUSPENDED if why == SUSPENDED else Reason.QUOTE_MISSING
    assert (record.terminal.gate, record.terminal.reason) == (Gate.EXIT, expected)


def test_a_close_that_the_venue_ended_by_itself_and_a_position_opened_again_are_left_alone() -> None:
    bot = BotApart(NO_EDITS).held()
    bot.flatten()
    (close,) = bot.venue.working(Purpose.CLOSE)
    bot.venue._put(replace(close, status=OrderStatus.CANCELED), "order_canceled")
    bot.exits()
    assert closes(bot) == [Decimal(10)]
    again = stuck(NO_EDITS)
    again.exits()
    (close,) = again.venue.working(Purpose.CLOSE)
    again.venue.fill(close.client_order_id, "100")
    again.exits()
    again.held()
    again.exits()
    assert again.position == 10
    assert closes(again) == [Decimal(10), Decimal(6)]


@each
def test_flatten_closes_what_fills_prove_where_it_can_only_reduce_a_position_that_the_venue_denies(
    can: Capabilities,
) -> None:
    bot = BotApart(can).held()
    held, bot.venue.held = bot.venue.held, {}
    bot.exits()
    assert closes(bot) == [], "no rule closes what the venue denies"
    bot.flatten()
    bot.venue.held = held
    assert closes(bot) == ([Decimal(10)] if can.reduce_only else [])


@each
def test_a_close_that_makes_room_goes_on_for_the_same_symbol(can: Capabilities) -> None:
    bot = stuck(can, ask=displace_if_full)
    assert Reason.STALE_EXIT in why(bot.exits())
    assert closes(bot) == [Decimal(10), Decimal(6)]
    sent = [one for one in bot.venue.asked if one.operation is Operation.SUBMIT and one.purpose is Purpose.CLOSE]
    assert {(one.displaced_by, one.why) for one in sent} == {("MSFT", "displaced_by_MSFT")}


def test_control_a_close_by_a_rule_that_no_longer_holds_does_not_go_on() -> None:
    def fire(bot: BotApart) -> object:
        bot.scene.price("AAPL", "97")
        return bot.exits()

    bot = stuck(NO_EDITS, ask=fire)
    bot.scene.price("AAPL", "100.2")
    bot.exits()
    assert closes(bot) == [Decimal(10)]


@pytest.mark.parametrize("fate", FATES)
@each
def test_whatever_becomes_of_the_cancel_a_close_is_at_work_again_soon(can: Capabilities, fate: str) -> None:
    bot = BotApart(can).held()
    bot.flatten()
    (close,) = bot.venue.working(Purpose.CLOSE)
    bot.venue.fill(close.client_order_id, "100", Decimal(4))
    bot.scene.price("AAPL", "100.2")
    bot.venue.fates = [fate] if can.edit is Edit.NONE else [REFUSED, fate]
    bot.exits(181)
    bot.venue.catch_up()
    for _ in range(4):
        bot.exits(181)
        assert sum(one.open_quantity for one in bot.venue.working(Purpose.CLOSE)) <= 6
    (close,) = bot.venue.working(Purpose.CLOSE)
    bot.venue.fill(close.client_order_id, "100")
    bot.exits()
    assert not bot.position
    assert not bot.venue.working(Purpose.CLOSE)
