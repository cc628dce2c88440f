"""What happens to an order, and to the one that is to replace it, while requests are on their way to the market."""

from decimal import Decimal
from typing import Any

import pytest

from tests.exchange.pit import HUNDRED, Pit, bracket, pair
from tests.exchange.worlds import World
from tradebot.exchange.engine.life import reject, withdraw_misfits
from tradebot.exchange.faults.turn import account_at
from tradebot.exchange.market.fill import NEXT_BAR, PAPER
from tradebot.exchange.refusal import Refusal

LATE = NEXT_BAR._replace(latency_s=90)


def test_a_replacement_takes_over_what_was_filled_when_it_takes_effect_and_not_before() -> None:
    pit = Pit({10: (100, 30)}, LATE)
    old = pit.order("buy", 10, limit=100.5)
    pit.pass_minutes(1)
    new = pit.replace(old, qty=20, limit=99)
    assert (old.status, new.status) == ("pending_replace", "pending_new")
    assert not new.filled_qty
    assert not new.filled_usd
    pit.engine.halted = {"AAA"}
    pit.pass_minutes(2)
    assert pit.heard({"old": old, "new": new})[2:] == [
        *("11 old partial_fill 3@100.01", "11 old pending_replace", "11 new pending_new"),
        *("12.5 old replaced", "12.5 new new"),
    ]
    assert (old.replaced_by, new.replaces, new.status) == (new.id, old.id, "partially_filled")
    assert new.filled_qty == 3
    assert new.filled_usd == 3 * Decimal("100.01")
    assert list(pit.account.open.values()) == [new]


@pytest.mark.parametrize(
    ("side", "change", "held"),
    [
        # Shares that are left times the price, of the old order and of the new one; the larger counts.
        ("buy", {"qty": 19, "limit": 53}, [1010, 848, 689, 530]),
        ("buy", {"limit": 105}, [1050, 735, 420, 105]),
        ("buy", {"qty": 5, "limit": 100}, [1010, 707, 404, 101]),
        ("sell", {"limit": 110}, [1100, 770, 440, 110]),
        ("sell", {"qty": 15, "limit": 104}, [1560, 1248, 936, 624]),
    ],
)
def test_the_larger_of_two_orders_is_held_as_the_old_one_fills(
    side: str, change: dict[str, Any], held: list[int]
) -> None:
    pit = Pit(dict.fromkeys((10, 11, 12), (100, 30)), NEXT_BAR._replace(latency_s=290))
    old = pit.order(side, 10, limit=101 if side == "buy" else 99)
    new = pit.replace(old, **change)
    seen = [pit.account.reserved]
    for _ in held[1:]:
        pit.pass_minutes(1)
        seen.append(pit.account.reserved)
    assert seen == held
    pit.pass_minutes(1)
    # From now on the new order can only be rejected.
    assert (old.status, new.status) == ("filled", "pending_new")
    assert not pit.account.reserved
    pit.pass_minutes(1)
    assert new.status == "rejected"
    assert not new.filled_qty
    assert not pit.account.reserved


def test_shares_to_close_are_claimed_for_the_larger_of_two_orders() -> None:
    pit = Pit({10: (100, 30)}, LATE)
    pit.hold(20)
    old = pit.order("sell", 10, limit=99)
    pit.replace(old, qty=14)
    assert pit.account.held("AAA") == 14
    with pytest.raises(Refusal, match=r"requested: 7, available: 6"):
        pit.order("sell", 7, limit=101)
    pit.pass_minutes(1)
    assert pit.account.held("AAA") == 14 - old.filled_qty == 11


def test_two_exits_of_a_group_claim_their_shares_once_also_while_one_is_being_replaced() -> None:
    pit = Pit(spec=LATE)
    order, leg = pair(pit)
    pit.replace(leg, stop=96)
    pit.replace(order, limit=106)
    assert pit.account.held("AAA") == 10


def test_a_replacement_that_comes_after_the_fill_is_rejected() -> None:
    pit = Pit(spec=LATE)
    old = pit.order("buy", 10, limit=101)
    new = pit.replace(old, limit=102)
    pit.pass_minutes(3)
    assert pit.heard({"old": old, "new": new})[2:] == [
        *("10 old pending_replace", "10 new pending_new", "11 old fill 10@100.01"),
        *("11.5 new rejected", "11.5 old order_replace_rejected"),
    ]
    assert (new.status, new.failed_us) == ("rejected", pit.engine.now_us - 90_000_000)
    assert not new.filled_usd
    assert not pit.account.reserved


def test_a_leg_that_comes_to_the_market_while_its_replacement_is_on_its_way_is_replaced_there() -> None:
    pit = Pit({14: ((94, 94, 94, 94), 10_000)}, LATE)
    _, profit, loss = bracket(pit)
    new = pit.replace(loss, stop=96)
    assert new.status == "held"
    pit.pass_minutes(1)
    assert loss.status == "pending_replace"
    pit.pass_minutes(5)
    assert [order.status for order in (loss, new, profit)] == ["replaced", "filled", "canceled"]
    assert pit.account.positions == {}


def test_a_second_replacement_waits_until_the_first_has_arrived() -> None:
    pit = Pit(spec=LATE)
    _, profit, loss = bracket(pit, limit=99)
    first = pit.replace(loss, stop=94)
    with pytest.raises(Refusal, match="cannot replace order in pending_replace status"):
        pit.replace(loss, stop=93)
    with pytest.raises(Refusal, match="cannot replace order in pending_new status"):
        pit.replace(first, stop=93)
    pit.pass_minutes(2)
    assert [order.status for order in (loss, first, profit)] == ["replaced", "held", "held"]


@pytest.mark.parametrize("group", [False, True])
def test_an_order_that_is_being_replaced_refuses_a_cancel_and_goes_on(group: bool) -> None:
    pit = Pit(spec=LATE)
    old = pair(pit)[0] if group else pit.order("buy", 10, limit=90)
    new = pit.replace(old, limit=106 if group else 91)
    pit.heard()
    for _ in range(2):
        with pytest.raises(Refusal, match="order pending replace") as refused:
            pit.cancel(old)
    assert (refused.value.status, old.status, pit.heard()) == (422, "pending_replace", [])
    pit.pass_minutes(2)
    assert (old.status, new.status) == ("replaced", "new")
    pit.cancel(new)
    pit.pass_minutes(2)
    assert new.status == "canceled"


def test_an_exit_that_waits_for_its_entry_refuses_a_cancel_while_it_is_being_replaced() -> None:
    pit = Pit(spec=LATE)
    entry, profit, loss = bracket(pit, limit=99)
    new = pit.replace(loss, stop=94)
    with pytest.raises(Refusal, match="order pending replace"):
        pit.cancel(loss)
    pit.cancel(new)
    assert (new.status, loss.status) == ("held", "held")
    pit.pass_minutes(2)
    assert [order.status for order in (entry, profit, loss, new)] == ["canceled", "canceled", "replaced", "canceled"]


@pytest.mark.parametrize("filled", [0, 3])
def test_a_cancel_of_a_replacement_on_its_way_comes_behind_it_and_ends_both(filled: int) -> None:
    pit = Pit({10: (100, filled * 10)}, LATE)
    old = pit.order("buy", 10, limit=100.5)
    pit.pass_minutes(1)
    new = pit.replace(old, limit=99)
    pit.heard()
    pit.engine.halted = {"AAA"}
    pit.pass_minutes(0.5)
    pit.cancel(new)
    with pytest.raises(Refusal, match="order pending cancel"):
        pit.cancel(new)
    assert (old.status, new.status) == ("pending_replace", "pending_cancel")
    assert not new.filled_qty
    pit.pass_minutes(1)
    assert (old.status, new.status) == ("replaced", "pending_cancel")
    assert new.filled_qty == filled
    assert [(event.name, event.fields["status"]) for event in pit.events[-2:]] == [
        ("order_replaced", "replaced"),
        ("order_new", "pending_cancel"),
    ]
    pit.pass_minutes(1)
    assert pit.heard({"old": old, "new": new}) == [
        *("11.5 new pending_cancel", "12.5 old replaced", "12.5 new new", "13 new canceled"),
    ]
    assert new.filled_qty == filled
    assert not pit.account.reserved
    assert not pit.account.open


def test_a_cancel_behind_a_replacement_that_comes_too_late_is_rejected_with_it() -> None:
    pit = Pit(spec=LATE)
    old = pit.order("buy", 10, limit=101)
    new = pit.replace(old, limit=102)
    pit.cancel(new)
    pit.pass_minutes(2)
    assert pit.heard({"old": old, "new": new})[4:] == [
        *("10 new pending_cancel", "11 old fill 10@100.01", "11.5 new rejected", "11.5 old order_replace_rejected"),
        "11.5 new order_cancel_rejected",
    ]
    assert new.status == "rejected"
    assert not new.filled_qty


def test_a_scripted_fill_of_a_replacement_on_its_way_waits_until_it_has_taken_effect() -> None:
    pit = Pit(spec=LATE)
    old = pit.order("buy", 10, limit=90)
    new = pit.replace(old, limit=91)
    new.fate = "fill_on_cancel"
    pit.cancel(new)
    assert not new.filled_qty
    assert not pit.account.positions


def test_canceling_all_orders_ends_a_chain_that_is_on_its_way(world: World) -> None:
    world.engine.latency_us = 90_000_000
    world.tick(to="open")
    old = world.order("AAPL", "buy", 1, limit_price=1).json
    new = world.ask("PATCH", f"/v2/orders/{old['id']}", {"limit_price": "2"}).json
    rows = {row["id"]: row for row in world.ask("DELETE", "/v2/orders").json}
    assert {order: row["status"] for order, row in rows.items()} == {old["id"]: 500, new["id"]: 200}
    assert rows[old["id"]]["body"]["code"] == 42210000
    world.tick(seconds=180)
    assert [order["status"] for order in world.get("/v2/orders?status=all")] == ["canceled", "replaced"]


def test_a_replacement_of_a_leg_that_is_rejected_leaves_its_group_alone() -> None:
    pit = Pit({11: ((106, 106, 106, 106), 40)}, LATE)
    order, leg = pair(pit)
    pit.pass_minutes(1)
    new = pit.replace(leg, stop=96)
    reject(pit.engine, new)
    assert [member.status for member in (order, leg, new)] == ["new", "new", "rejected"]
    pit.pass_minutes(1)
    assert order.status == "partially_filled"
    assert leg.qty == 6


@pytest.mark.parametrize(("filled", "status"), [(0, "new"), (3, "partially_filled")])
def test_a_replacement_withdrawn_on_its_way_leaves_the_old_order_as_it_was(filled: int, status: str) -> None:
    pit = Pit({10: (100, filled * 10)}, LATE)
    pit.hold(10)
    old = pit.order("sell", 10, limit=99)
    pit.pass_minutes(1)
    pit.account.apply("AAA", Decimal(10), HUNDRED)
    new = pit.replace(old, qty=20)
    pit.heard()
    pit.account.apply("AAA", Decimal(-10), HUNDRED)
    withdraw_misfits(pit.engine, pit.account, "AAA")
    assert pit.heard({"old": old, "new": new}) == ["11 new canceled", "11 old order_replace_rejected"]
    assert old.status == status
    assert old.filled_qty == filled
    assert not new.filled_qty
    assert pit.account.held("AAA") == 10 - filled
    pit.engine.halted = {"AAA"}
    pit.pass_minutes(5)
    assert (old.status, pit.heard()) == (status, [])
    assert pit.replace(old, limit=98).status == "pending_new"


def test_a_replacement_that_expires_on_its_way_leaves_the_old_order_as_it_was() -> None:
    pit = Pit(spec=LATE, minute=389)
    old = pit.order("buy", 10, limit=90, tif="gtc")
    new = pit.replace(old, time_in_force="day")
    pit.to_minute(395)
    assert pit.heard({"old": old, "new": new})[-2:] == ["390 new expired", "390 old order_replace_rejected"]
    assert old.status == "new"


def test_a_replacement_for_no_more_than_is_filled_is_rejected_and_the_old_order_goes_on() -> None:
    pit = Pit({10: (100, 50), 11: None}, LATE)
    old = pit.order("buy", 10, limit=101)
    new = pit.replace(old, qty=5)
    pit.to_minute(11.6)
    assert (new.status, old.status) == ("rejected", "partially_filled")
    assert old.filled_qty == 5
    assert not new.filled_qty
    pit.to_minute(13)
    assert old.status == "filled"


def test_a_stop_that_is_elected_while_it_is_being_replaced_stays_elected() -> None:
    pit = Pit({11: ((94, 94, 94, 94), 0), 12: (96, 10_000)}, LATE, minute=11)
    pit.hold(10)
    old = pit.order("sell", 10, stop=95)
    new = pit.replace(old, qty=8)
    pit.to_minute(12.5)
    assert (old.status, new.elected) == ("replaced", True)
    pit.to_minute(14)
    assert pit.heard({"old": old, "new": new})[-1] == "14 new fill 8@99.99"


def test_on_paper_a_purchase_elected_while_it_is_being_replaced_keeps_its_collar() -> None:
    late = PAPER._replace(partial_rate=Decimal(0), latency_s=90)
    pit = Pit({11: (103, 0), 12: (110, 10_000), 13: ((104, 104, 103, 103), 10_000)}, late, minute=11)
    old = pit.order("buy", 10, stop=102)
    new = pit.replace(old, qty=8)
    pit.pass_minutes(5)
    assert (new.request.type, new.request.limit) == ("stop_limit", 104_5500)
    assert pit.heard({"old": old, "new": new})[-1] == "14 new fill 8@104.01"


def test_a_trailing_stop_goes_on_from_how_far_it_has_come_when_its_replacement_takes_effect() -> None:
    pit = Pit({10: ((100, 104, 100, 103), 1000), 11: (103, 1000), 12: (103, 1000)}, LATE)
    pit.hold(10)
    old = pit.order("sell", 10, trail_price=5)
    new = pit.replace(old, trail=Decimal(3))
    assert new.hwm == HUNDRED
    pit.pass_minutes(2)
    assert (new.status, new.hwm, new.stop) == ("new", 104_0000, 101_0000)


def test_an_account_as_it_was_shows_a_replacement_that_had_not_taken_effect_without_fills() -> None:
    pit = Pit({10: (100, 30)}, LATE)
    old = pit.order("buy", 10, limit=101)
    new = pit.replace(old, limit=102)
    pit.pass_minutes(1.25)
    seen_us = pit.engine.now_us
    pit.pass_minutes(1)
    assert (old.status, new.status) == ("replaced", "partially_filled")
    then = account_at(pit.account, seen_us)
    assert [order.filled_qty for order in then.orders.values()] == [3, 0]
    assert [order.status for order in then.orders.values()] == ["partially_filled", "pending_new"]
    assert [order.filled_qty for order in account_at(pit.account, pit.engine.now_us).orders.values()] == [3, 3]
