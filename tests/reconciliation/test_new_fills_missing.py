"""What the broker does not tell whole is no difference that a plan may settle: no books are made of half the facts."""

from datetime import timedelta
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.kit.core.scene import Scene, call, evaluate_exits
from tests.kit.core.venue import FakeReader
from tests.kit.values import CASH, NOW, VENUE_DAY, books
from tests.reconciliation.comparing import compared, kinds
from tests.reconciliation.test_catch_up import caught, opened_long_ago, sent
from tradebot.cycle import flatten
from tradebot.desk.snapshot import take_desk
from tradebot.errors import ExitCode, OperatorError
from tradebot.model.account import BrokerView
from tradebot.model.candidate import Purpose, Side
from tradebot.model.decision import first_failure
from tradebot.model.finding import FindingKind
from tradebot.model.order import Order
from tradebot.model.reasons import Reason
from tradebot.model.record import CycleRecord, Job
from tradebot.model.struct_tools import replace
from tradebot.reconciliation.differences import plan_of
from tradebot.reconciliation.new_fills import WATCHED, missing_fills, reported_fills
from tradebot.reconciliation.read_books import READ_WITHIN, fills_awaited
from tradebot.reconciliation.reconcile import apply_plan, reconcile


def unlisted() -> Scene:
    """Return a scene in which an order of ours has filled, and the broker lists no fill."""
    scene = opened_long_ago()
    scene.venue.fill(sent(scene).client_order_id, "100")
    scene.venue.executions.clear()
    return scene


def test_a_fill_that_is_not_listed_is_named_and_nothing_of_it_is_settled_or_taken_for_foreign() -> None:
    scene = unlisted()
    found = compared(scene)
    assert kinds(found) == [FindingKind.MISSING_FILL, FindingKind.ORPHAN, FindingKind.CASH]
    missing, held = found.findings[0], scene.venue.held["AAPL"]
    assert (missing.subject, missing.ours, missing.broker, missing.blocking) == ("AAPL", Decimal(0), held, True)
    assert missing.evidence == (f"order {scene.venue.submitted[0].client_order_id}",)
    assert (str(missing.ours), found.plan) == ("0", None)
    mark = scene.ledger.last_reconcile()
    assert mark is not None
    assert mark.blocking == 3


def test_a_plan_made_before_is_refused_while_a_fill_is_missing() -> None:
    scene = unlisted()
    found = compared(scene)
    ordinary = tuple(one for one in found.findings if one.kind is not FindingKind.MISSING_FILL)
    plan = plan_of(ordinary, found.view)
    assert plan is not None
    with pytest.raises(OperatorError) as refused:
        apply_plan(FakeReader(scene.venue), scene.ledger, plan, "ada")
    assert refused.value.code == ExitCode.REFUSED
    assert (scene.ledger.acknowledged(), scene.ledger.fills(), scene.ledger.cash_adjustments()) == ({}, (), Decimal(0))


def test_a_fill_that_never_comes_leaves_an_ordinary_difference_after_some_days() -> None:
    scene = unlisted()
    scene.venue.now += WATCHED
    found = compared(scene)
    assert kinds(found) == [FindingKind.FOREIGN_POSITION, FindingKind.CASH]
    assert found.plan is not None


def test_the_fills_of_an_order_that_was_replaced_count_for_the_one_in_its_place() -> None:
    scene = opened_long_ago()
    intent = sent(scene)
    scene.venue.fill(intent.client_order_id, "100", Decimal(9))
    caught(scene)
    (target,) = scene.venue.view().orders
    repriced = replace(intent, client_order_id="typed by hand", target_venue_id=target.venue_id)
    (new,) = [scene.venue.replacement(repriced).order]
    assert new is not None
    assert new.filled_quantity == 9
    assert kinds(compared(scene)) == [FindingKind.FOREIGN_ORDER]
    scene.venue.fill("typed by hand", "100", Decimal(5))
    late = scene.venue.executions.pop()
    assert FindingKind.MISSING_FILL in kinds(compared(scene))
    scene.venue.executions.append(late)
    assert kinds(compared(scene)) == [FindingKind.FOREIGN_ORDER]


@given(filled=st.integers(0, 9), booked=st.integers(0, 9), ours=st.booleans(), age=st.integers(0, 6))
def test_an_order_is_missing_fills_exactly_where_it_is_ours_young_and_told_more_than_is_booked(
    filled: int, booked: int, ours: bool, age: int
) -> None:
    scene = unlisted()
    order: Order = next(iter(scene.venue.book.values()))
    order = replace(order, filled_quantity=Decimal(filled), updated_at=NOW - timedelta(days=age))
    promised = {record.intent.client_order_id: record for record in scene.ledger.intents()} if ours else {}
    found = missing_fills(books(orders=(order,), intents_by_id=promised, filled={order.venue_id: Decimal(booked)}))
    assert found == (((order, Decimal(booked)),) if ours and filled > booked and timedelta(age) < WATCHED else ())


@pytest.mark.parametrize(
    ("purpose", "updated_s", "filled_s"),
    [
        (Purpose.CLOSE, 0, 720),
        (Purpose.CLOSE, None, 720),
        (Purpose.CLOSE, 300, 300),
        (Purpose.OPEN, 0, 0),
        (Purpose.OPEN, 300, 300),
    ],
)
def test_close_whose_report_is_as_old_as_the_order_has_filled_only_by_now(
    purpose: Purpose, updated_s: int | None, filled_s: int
) -> None:
    order = next(iter(unlisted().venue.book.values()))
    updated_at = None if updated_s is None else NOW + timedelta(seconds=updated_s)
    order = replace(order, filled_quantity=Decimal(10), submitted_at=NOW, updated_at=updated_at)
    (record,) = unlisted().ledger.intents()
    made = replace(record, intent=replace(record.intent, purpose=purpose))
    promised = {order.client_order_id: made}
    (owned,) = reported_fills(replace(books(orders=(order,), intents_by_id=promised), at=NOW + timedelta(seconds=720)))
    assert owned.fill.at == NOW + timedelta(seconds=filled_s)


def refusals(cycle: CycleRecord) -> list[Reason | None]:
    failed = (first_failure(record.decisions) for record in cycle.candidates)
    return [decision.reason if decision else None for decision in failed]


class HalfRead(FakeReader):
    def __init__(self, scene: Scene, *, positions: bool, orders: bool) -> None:
        super().__init__(scene.venue)
        self._left = positions, orders
        self.view = self._half

    def _half(self) -> BrokerView:
        view, (positions, orders) = self._venue.view(), self._left
        kept = view.positions if positions else (), view.orders if orders else ()
        return replace(view, positions=kept[0], orders=kept[1], unreadable=2 - sum(self._left))


def test_books_are_not_given_up_because_the_broker_cannot_be_read() -> None:
    scene = opened_long_ago()
    scene.venue.fill(sent(scene).client_order_id, "100")
    assert compared(scene).findings == ()
    found = reconcile(HalfRead(scene, positions=False, orders=True), scene.ledger)
    assert (kinds(found), found.plan) == ([FindingKind.UNREADABLE, FindingKind.VIEW_UNSTEADY], None)
    assert found.findings[0].evidence == ("rows left out: 1",)
    assert found.findings[0].blocking
    assert compared(scene).findings == ()


def test_agreement_is_no_agreement_where_rows_were_left_out() -> None:
    scene = Scene()
    scene.venue.unreadable_fills = 3
    found = compared(scene)
    assert (kinds(found), found.view.unreadable) == ([FindingKind.UNREADABLE], 3)
    desk = take_desk(scene.world(), for_entries=False)
    assert (desk.unreadable, desk.halt_evidence.unreadable) == (3, 3)


def test_a_working_exit_that_cannot_be_read_is_not_sent_a_second_time() -> None:
    scene = opened_long_ago()
    scene.venue.fill(sent(scene).client_order_id, "100")
    leave = call(Job.EVALUATE_EXITS, "by hand")
    assert refusals(flatten(scene.world(), leave, None)) == [None]
    world = scene.world()
    world = replace(world, reader=HalfRead(scene, positions=True, orders=False))
    assert refusals(evaluate_exits(world, replace(leave, slot="open+35m"))) == [Reason.HOLD]
    again = flatten(world, replace(leave, slot="by hand again"), None)
    (first,) = (intent for intent in scene.venue.submitted if intent.side is Side.SELL)
    assert refusals(again) == [Reason.EXIT_WORKING], "it is known by its id, and works on"
    assert scene.venue.cancelled == []
    assert [order.client_order_id for order in scene.venue.view().orders] == [first.client_order_id]
    assert scene.ledger.opening_cash() == CASH


@pytest.mark.parametrize(("later_s", "told"), [(0, 0), (29, 0), (30, 1)])
def test_a_fill_that_a_reply_told_just_now_is_not_said_to_lack_in_a_list_that_nobody_has_read(
    later_s: int, told: int
) -> None:
    scene = unlisted()
    caught(scene)
    now = scene.venue.now + timedelta(seconds=later_s)
    assert len(fills_awaited(scene.ledger, now, VENUE_DAY)) == 1
    assert len(fills_awaited(scene.ledger, now, VENUE_DAY, READ_WITHIN)) == told
