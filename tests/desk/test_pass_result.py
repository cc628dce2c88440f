"""Gaps in the protection at the broker: told when they begin, and with their length when they end."""

from collections.abc import Mapping
from datetime import timedelta
from decimal import Decimal

import pytest

from tests.kit.core.apart import SLOW, BotApart, capabilities
from tests.kit.core.scene import Scene, call, evaluate_exits, trade_once
from tests.kit.core.venue import LOST, REJECTED, Wanting
from tests.kit.values import DAY, NOW, Killed, ago, fill
from tests.orders.test_stop_protection import (
    entered,
    exits,
    protected,
    protecting,
    scene,
    stop_shown_as,
    without_legs,
    working,
)
from tradebot import cycle
from tradebot.adapters.memory.facts import MemoryFacts
from tradebot.model.candidate import Purpose, Side
from tradebot.model.intent import Intent
from tradebot.model.limits import Protection
from tradebot.model.order import OrderStatus, Reply
from tradebot.model.position import FOREIGN, Origin, OwnedFill
from tradebot.model.record import CycleRecord, Gap, Job
from tradebot.model.struct_tools import replace
from tradebot.model.venue import Edit
from tradebot.model.view import Close

BEGAN, ENDED = "protection_gap", "protection_gap_ended"


def test_pass_records_what_the_venue_says_of_the_close_before_while_a_session_is_open() -> None:
    found = scene()
    told = found.venue.account().last_equity
    assert exits(found, "open+31m").last_close == told
    found.later(8 * 3600)
    found.venue.is_open = False
    closed = exits(found, "open+511m")
    assert closed.job_decision, "the session isn't over"
    assert (closed.equity, closed.last_close) == (told, None)


@pytest.mark.parametrize(("second_s", "ahead_s"), [(-360, 360.0), (86_400, -86_400.0), (60, None)])
def test_pass_of_exits_that_goes_on_although_the_clocks_disagree_says_so(second_s: int, ahead_s: float | None) -> None:
    found = scene()
    world = replace(found.world(), second_clock=lambda: NOW + timedelta(seconds=second_s))
    assert evaluate_exits(world, call(Job.EVALUATE_EXITS, "open+31m")).clock_ahead_s == ahead_s


def ended(found: Scene) -> Mapping[str, str]:
    (details,) = found.told(ENDED)
    return details


def gaps(found: Scene, slot: str) -> tuple[Gap, ...] | None:
    return exits(found, slot).gaps


def test_a_fill_that_the_next_pass_protects_is_not_reported() -> None:
    found = scene()
    entered(found)
    assert gaps(found, "open+31m") == ()
    found.later(60)
    assert gaps(found, "open+32m") == ()
    assert found.told(BEGAN, ENDED) == []


@pytest.mark.parametrize(("slept_s", "told"), [(3, 0), (660, 1)])
def test_a_fill_is_reported_with_its_gap_if_its_own_pass_slept_too_long_before_it_sent_the_stop(
    slept_s: int, told: int
) -> None:
    found = scene()
    entered(found)
    submit, watch = found.venue.submit, [0.0]

    def asleep(intent: Intent) -> Reply:
        watch[0] += slept_s
        found.venue.now += timedelta(seconds=slept_s)
        return submit(intent)

    found.venue.submit = asleep  # type: ignore[method-assign]
    evaluate_exits(replace(found.world(), stopwatch=lambda: watch[0]), call(Job.EVALUATE_EXITS, "open+31m"))
    assert len(found.told(BEGAN)) == len(found.told(ENDED)) == told
    assert [one["lasted_s"] for one in found.told(ENDED)] == ["720.000"][:told]


def test_no_gap_is_reported_when_the_bot_watches_stops_itself() -> None:
    found = scene(Protection.BOT)
    entered(found)
    assert (gaps(found, "open+31m"), found.told(BEGAN)) == ((), [])


def test_a_stop_that_the_broker_suspends_is_told_with_the_time_until_the_next_one_rests() -> None:
    found, _ = protected()
    found.later(60)
    stop_shown_as(found, OrderStatus.SUSPENDED)
    since = found.venue.now
    found.later(60)
    assert gaps(found, "open+33m") == ()
    assert [(one["why"], one["since"]) for one in found.told(BEGAN)] == [("suspended", since.isoformat())]
    told = {"strategy": "flow", "why": "suspended", "since": since.isoformat(), "lasted_s": "60.000", "ended": "stop"}
    assert ended(found) == told


def test_a_gap_that_the_pass_closing_the_position_finds_is_told_since_it_began_and_not_since_that_pass() -> None:
    found, _ = protected(later_s=20_000)
    limit = stop_shown_as(found, OrderStatus.SUSPENDED)
    found.venue.book[limit.client_order_id] = replace(limit, status=OrderStatus.SUSPENDED)
    since = found.venue.now
    found.later(60)
    found.price("AAPL", "97.4")
    (gap,) = gaps(found, "open+301m") or ()
    assert found.venue.submitted[-1].purpose is Purpose.CLOSE
    assert [(one["why"], one["since"]) for one in found.told(BEGAN)] == [("exiting", since.isoformat())]
    assert gap.since == since


def test_an_exit_whose_answer_was_lost_ends_no_gap_and_its_fill_does() -> None:
    found, entry = protected()
    found.price("AAPL", "97.4")
    found.venue.script["AAPL"], found.venue.swallows = LOST, True
    found.later(60)
    left = gaps(found, "open+33m")
    assert left == (Gap("flow", "AAPL", entry.quantity, found.venue.now, "exiting"),)
    (began,) = found.told(BEGAN)
    found.later(60)
    assert gaps(found, "open+34m") == left, "since and why stay"
    del found.venue.script["AAPL"]
    found.later(300)
    exits(found, "open+39m")
    last = found.venue.submitted[-1]
    assert last.purpose is Purpose.CLOSE
    found.venue.fill(last.client_order_id, "97")
    found.later(60)
    assert gaps(found, "open+40m") == ()
    assert (len(found.told(BEGAN)), ended(found)["since"], ended(found)["lasted_s"]) == (1, began["since"], "360.000")


def test_a_gap_that_a_pass_of_entries_opens_is_told_once_and_ends_like_any_other() -> None:
    found, _ = protected()
    found.venue.script["AAPL"], found.venue.refuses_only_replaces = replace(REJECTED, code="42210000"), True
    found.later(60)
    closing = replace(found.world(), strategies=[Wanting(Close("AAPL", "over"), name="flow")])
    trade_once(closing, call(slot="open+32m"))
    (began,) = found.told(BEGAN)
    found.venue.fill(found.venue.submitted[-1].client_order_id, "100")
    found.later(60)
    assert gaps(found, "open+33m") == ()
    assert (found.told(BEGAN), ended(found)["since"], ended(found)["ended"]) == ([began], began["since"], "closed")


def test_shares_that_are_bought_again_have_their_own_gap() -> None:
    found = scene()
    entered(found)
    before = Gap("flow", "AAPL", Decimal(5), ago(3600), "refused")
    found.facts.record(CycleRecord("before", Job.EVALUATE_EXITS, DAY, "before", ago(60), "sandbox", gaps=(before,)))
    found.venue.script["AAPL"] = replace(REJECTED, code="42210000")
    (gap,) = gaps(found, "open+31m") or ()
    assert (ended(found)["since"], ended(found)["ended"]) == (before.since.isoformat(), "closed")
    assert [one["since"] for one in found.told(BEGAN)] == [gap.since.isoformat()] != [before.since.isoformat()]


@pytest.mark.parametrize("refused", [0, 9])
def test_a_gap_of_a_position_that_the_books_no_longer_know_ends_after_any_number_of_refused_passes(
    refused: int,
) -> None:
    found = scene()
    gone = Gap("flow", "JPM", Decimal(5), ago(3600), "refused")
    for number, left in enumerate([(gone,), *[None] * refused]):
        slot = f"before-{number}"
        found.facts.record(CycleRecord(slot, Job.EVALUATE_EXITS, DAY, slot, ago(60 - number), "sandbox", gaps=left))
    assert gaps(found, "open+31m") == ()
    assert ended(found)["ended"] == "closed"


def test_a_gap_of_shares_that_a_new_name_took_ends_then_and_not_with_their_last_trade() -> None:
    found = scene()
    bought, sold = fill(1, "JPM", at=ago(3600)), fill(2, "JPM", Side.SELL, "4", at=ago(3000))
    renamed = OwnedFill("flow", fill(3, "JPM", Side.SELL, "6", at=ago(600)).fill, Origin.ACTIVITY, "renamed")
    found.ledger.apply_fills([bought, sold, renamed], ago(500))
    gone = Gap("flow", "JPM", Decimal(6), ago(3600), "refused")
    found.facts.record(CycleRecord("before", Job.EVALUATE_EXITS, DAY, "before", ago(60), "sandbox", gaps=(gone,)))
    assert gaps(found, "open+31m") == ()
    assert ended(found)["lasted_s"] == "3000.000"


def test_a_refused_exit_begins_and_ends_a_gap_within_its_pass() -> None:
    found, _ = protected(later_s=20_000)
    submit = found.venue.submit
    found.venue.submit = lambda intent: REJECTED if intent.purpose is Purpose.CLOSE else submit(intent)  # type: ignore[method-assign]
    found.price("AAPL", "97.4")
    assert gaps(found, "open+300m") == ()
    assert found.told(BEGAN)[0]["since"] == ended(found)["since"]
    assert ended(found)["ended"] == "stop"


def sold_by_hand(found: Scene, entry: Intent, shares: Decimal) -> None:
    """Let a person cancel what rests and sell some shares past the bot, which doesn't take that over."""
    for name, order in tuple(found.venue.book.items()):
        if not order.status.terminal:
            found.venue.book[name] = replace(order, status=OrderStatus.CANCELED, updated_at=found.venue.now)
    sale = fill(9, strategy=FOREIGN, side=Side.SELL, quantity=str(shares), price="100")
    found.ledger.apply_fills([sale], found.venue.now)
    found.venue.held["AAPL"] = entry.quantity - shares


@pytest.mark.parametrize("kept", [0, 3])
def test_shares_that_a_person_sold_by_hand_are_no_gap_whatever_the_books_have(kept: int) -> None:
    found, entry = protected(later_s=60)
    sold_by_hand(found, entry, entry.quantity - kept)
    found.venue.script["AAPL"] = replace(REJECTED, code="42210000")
    found.later(60)
    assert [gap.shares for gap in gaps(found, "open+33m") or ()] == [kept] * bool(kept)
    assert [Decimal(one["shares"]) for one in found.told(BEGAN)] == [kept] * bool(kept)


def test_a_gap_ends_when_a_person_sells_its_shares_by_hand() -> None:
    found, entry = protected(later_s=60)
    stop_shown_as(found, OrderStatus.ACCEPTED)
    assert [gap.shares for gap in gaps(found, "open+33m") or ()] == [entry.quantity]
    found.later(60)
    sold_by_hand(found, entry, entry.quantity)
    assert gaps(found, "open+34m") == ()
    assert ended(found)["ended"] == "closed"


def test_a_stop_that_the_broker_refuses_is_a_gap_until_one_rests() -> None:
    found = scene()
    entered(found)
    found.venue.script["AAPL"] = replace(REJECTED, code="42210000")
    exits(found)
    (began,) = found.told(BEGAN)
    assert began["why"] == "refused"
    del found.venue.script["AAPL"]
    found.later(60)
    exits(found, "open+32m")
    assert (len(found.told(BEGAN)), ended(found)["ended"]) == (1, "stop")


@pytest.mark.parametrize("status", [OrderStatus.ACCEPTED, OrderStatus.UNKNOWN])
def test_a_stop_that_is_still_on_its_way_in_the_next_pass_is_a_gap(status: OrderStatus) -> None:
    found, entry = protected()
    stop_shown_as(found, status)
    found.later(60)
    (gap,) = gaps(found, "open+32m") or ()
    assert gap.shares == entry.quantity
    stop = next(order for order in working(found) if order.parent)
    found.venue.book[stop.client_order_id] = replace(stop, status=OrderStatus.NEW, updated_at=found.venue.now)
    found.later(60)
    assert gaps(found, "open+33m") == ()
    assert (len(found.told(BEGAN)), ended(found)["ended"]) == (1, "stop")


def test_a_stop_that_the_reply_leaves_out_is_no_gap_if_the_next_pass_sees_it() -> None:
    found = scene()
    entered(found)
    without_legs(found)
    assert (gaps(found, "open+31m"), gaps(found, "open+32m"), found.told(BEGAN)) == ((), (), [])


@pytest.mark.parametrize("rests", [False, True])
def test_a_gap_begins_with_the_first_fill_that_no_stop_followed(rests: bool) -> None:
    found = scene()
    entry = entered(found, filled="8")
    fills = [found.venue.now - timedelta(seconds=60), found.venue.now]
    if rests:
        exits(found)
    found.venue.fill(entry.client_order_id, "100")
    found.venue.script["AAPL"] = replace(REJECTED, code="42210000")
    found.later(60)
    (gap,) = gaps(found, "open+32m") or ()
    assert (gap.since, gap.shares) == (fills[rests], entry.quantity - (8 if rests else 0))


def test_an_exit_of_a_part_leaves_a_gap_of_that_part() -> None:
    found = scene()
    entry = entered(found, filled="8")
    exits(found)
    found.venue.fill(entry.client_order_id, "100", Decimal(4))
    found.venue.script["AAPL"] = replace(REJECTED, code="42210000")
    found.later(60)
    (gap,) = gaps(found, "open+32m") or ()
    assert (gap.shares, len(protecting(found))) == (Decimal(4), 3), "a pair, and a plain stop at once"


def test_a_stop_that_was_accepted_and_then_rejected_never_rested_so_the_gap_began_with_the_fill() -> None:
    found = scene()
    entered(found)
    bought = found.venue.now
    found.later(30)
    assert gaps(found, "open+31m") == ()
    limit = stop_shown_as(found, OrderStatus.CANCELED)
    found.venue.book[limit.client_order_id] = replace(limit, status=OrderStatus.REJECTED)
    found.later(200)
    gaps(found, "open+34m")
    (told,) = found.told(BEGAN)
    began = found.ledger.totals().positions["flow", "AAPL"].opened_at
    assert (told["why"], told["since"]) == ("refused", began.isoformat())
    assert began <= bought


def test_a_stop_that_is_held_while_its_pair_has_not_arrived_protects_nothing_and_is_told() -> None:
    found, _ = protected()
    limit = stop_shown_as(found, OrderStatus.HELD)
    found.venue.book[limit.client_order_id] = replace(limit, status=OrderStatus.PENDING_NEW)
    found.later(60)
    (gap,) = gaps(found, "open+33m") or ()
    assert (gap.shares, len(found.told(BEGAN))) == (limit.quantity, 1)
    assert len(found.venue.cancelled) == 0, "it is waited for"
    found.venue.book[limit.client_order_id] = replace(limit, status=OrderStatus.NEW)
    found.later(60)
    assert gaps(found, "open+34m") == ()
    assert ended(found)["ended"] == "stop"


def test_a_gap_that_is_told_does_not_end_with_a_stop_that_is_only_sent() -> None:
    found = scene()
    entered(found)
    found.venue.script["AAPL"] = replace(REJECTED, code="42210000")
    exits(found)
    del found.venue.script["AAPL"]
    submit = found.venue.submit

    def late(intent: Intent) -> Reply:
        reply = submit(intent)
        for order in working(found):
            found.venue.book[order.client_order_id] = replace(order, status=OrderStatus.PENDING_NEW)
        return replace(reply, order=None, legs=())

    found.venue.submit = late  # type: ignore[method-assign]
    found.later(60)
    (gap,) = gaps(found, "open+32m") or ()
    assert (gap.shares, found.told(ENDED)) == (protecting(found)[-1].quantity, [])
    found.later(60)
    for order in working(found):
        found.venue.book[order.client_order_id] = replace(order, status=OrderStatus.NEW, updated_at=found.venue.now)
    assert gaps(found, "open+33m") == ()
    assert (len(found.told(BEGAN)), ended(found)["lasted_s"]) == (1, "180.000")


def test_a_gap_is_over_once_its_stop_rests_although_another_stop_is_on_its_way_to_replace_that() -> None:
    bot = BotApart(capabilities(Edit.NONE, reduce_only=True)).held()
    bot.venue.suspend(bot.venue.stops()[0])
    bot.venue.fates = ["", SLOW]
    bot.exits()
    assert [len(bot.scene.told(kind)) for kind in (BEGAN, ENDED)] == [1, 0], "the new stop was only sent"
    bot.venue.catch_up()
    bot.scene.price("AAPL", "100.9")
    bot.venue.fates = [SLOW]
    bot.exits()
    assert [stop.status for stop in bot.venue.stops()] == [OrderStatus.NEW, OrderStatus.PENDING_NEW]
    assert ended(bot.scene)["lasted_s"] == "60.000"
    bot.exits()
    assert [len(bot.scene.told(kind)) for kind in (BEGAN, ENDED)] == [1, 1]


@pytest.mark.parametrize(("waited_s", "told"), [(1_000, ["1000.000"]), (170, [])])
def test_a_gap_whose_pass_was_killed_after_it_sent_the_stop_is_told_by_the_next_one(
    waited_s: int, told: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    found = scene()
    entered(found)
    found.later(waited_s - 60)

    def killed(*given: object) -> CycleRecord:
        raise Killed

    with monkeypatch.context() as patch:
        patch.setattr(cycle, "finish_exit_pass", killed)
        with pytest.raises(Killed):
            exits(found)
    for minute in range(3):
        found.later(60)
        exits(found, f"open+{40 + minute}m")
    assert [gap["lasted_s"] for gap in found.told("protection_gap_ended")] == told


def test_a_gap_ends_when_its_stop_came_and_not_with_the_look_that_sees_it() -> None:
    found = scene()
    entered(found)
    found.venue.script["AAPL"] = LOST
    found.later(240)
    exits(found)
    found.later(60)
    exits(found, "open+37m")
    (ended,) = found.told("protection_gap_ended")
    assert ended["lasted_s"] == "300.000"


def test_a_stop_that_was_tightened_since_is_no_gap_when_the_records_of_passes_are_lost() -> None:
    found, _ = protected()
    found.later(3600)
    for name, order in found.venue.book.items():
        if not order.status.terminal:
            found.venue.book[name] = replace(order, updated_at=found.venue.now)
    found.facts = MemoryFacts()
    found.later(60)
    exits(found, "open+92m")
    assert found.told(BEGAN, ENDED) == []


def test_a_gap_of_fills_that_no_list_shows_begins_when_their_order_was_sent() -> None:
    found = scene()
    sent = found.venue.now
    entry = entered(found, filled="8")
    found.venue.fills = lambda after: ()  # type: ignore[method-assign]
    found.later(60)
    found.venue.fill(entry.client_order_id, "100")
    found.venue.script["AAPL"] = replace(REJECTED, code="42210000")
    found.later(60)
    (gap,) = gaps(found, "open+33m") or ()
    assert (gap.since, gap.shares) == (sent, entry.quantity)
