"""A pass believes neither the venue's lists nor its own books where the two contradict each other."""

from collections.abc import Callable
from datetime import timedelta
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.kit.core.scene import Scene, call, evaluate_exits, trade_once, wanted
from tests.kit.core.venue import LOST, FakeReader
from tests.kit.values import LIMITS, NOW, SESSION, VENUE_DAY, fill, limits
from tests.orders.test_working_orders import exits, leaving, sent
from tests.test_cycle import EXIT_CALL, bought, ends
from tradebot.cycle import flatten
from tradebot.desk.broker_consistency import differences
from tradebot.desk.snapshot import take_desk
from tradebot.errors import TemporaryError
from tradebot.model.account import BrokerPosition, BrokerView
from tradebot.model.candidate import Purpose, Side
from tradebot.model.decision import Gate
from tradebot.model.finding import FindingKind
from tradebot.model.instrument import AssetClass
from tradebot.model.order import Order
from tradebot.model.reasons import Reason
from tradebot.model.record import CycleRecord, Job
from tradebot.model.struct_tools import replace
from tradebot.reconciliation.catch_up import fillable_orders, with_expired_orders
from tradebot.reconciliation.read_books import read_books
from tradebot.reconciliation.reconcile import reconcile

MUCH = limits(max_symbol_entries=20, duplicate_window_s=1, cooldown_s=1)


def lying(scene: Scene, lie: Callable[[BrokerView], BrokerView]) -> None:
    """Let the venue answer its lists with a lie from now on; what it is asked for directly stays true."""
    true_view, true_position = scene.venue.view, scene.venue.position
    scene.venue.view = lambda: lie(true_view())  # type: ignore[method-assign]

    def position(symbol: str) -> BrokerPosition | None:
        lied, scene.venue.view = scene.venue.view, true_view  # type: ignore[method-assign]
        try:
            return true_position(symbol)
        finally:
            scene.venue.view = lied  # type: ignore[method-assign]

    scene.venue.position = position  # type: ignore[method-assign]


def no_orders(view: BrokerView) -> BrokerView:
    return replace(view, orders=())


def no_positions(view: BrokerView) -> BrokerView:
    return replace(view, positions=())


def reasons(record: CycleRecord, symbol: str, gate: Gate) -> Reason | None:
    (found,) = (one for one in record.candidates if one.candidate.symbol == symbol)
    return next(d.reason for d in found.decisions if d.gate is gate)


def alarms(scene: Scene) -> list[tuple[str, str | None]]:
    return [(event.event_type, event.symbol) for event in scene.events.emitted]


def test_an_order_that_the_list_leaves_out_goes_on_counting_and_its_symbol_takes_no_other() -> None:
    scene = Scene(limits=MUCH)
    trade_once(scene.world(wanted("AAPL")), call())
    lying(scene, no_orders)
    for minute in (35, 40, 45):
        scene.later(300)
        record = trade_once(scene.world(wanted("AAPL"), wanted("JPM")), call(slot=f"open+{minute}m"))
        assert reasons(record, "AAPL", Gate.WORKING) is Reason.ORDER_LEFT_OUT
    assert [i.instrument.symbol for i in scene.venue.submitted] == ["AAPL", "JPM"]
    desk = take_desk(scene.world(), for_entries=False)
    assert desk.book.exposure == {s: 49 * Decimal("100.20") for s in ("AAPL", "JPM")}
    assert (len(desk.book.open_symbols), desk.omitted_orders) == (2, frozenset({"AAPL", "JPM"}))
    assert ("order_left_out", "AAPL") in alarms(scene)
    found = reconcile(FakeReader(scene.venue), scene.ledger).findings
    assert [one.kind for one in found] == [FindingKind.ORDER_LEFT_OUT] * 2


@pytest.mark.parametrize(
    ("told_after", "seconds", "told"), [(0, 5, True), (30, 5, False), (30, 29, False), (30, 30, True)]
)
def test_an_order_left_out_is_told_once_the_venue_should_have_told_its_end(
    told_after: int, seconds: int, *, told: bool
) -> None:
    scene, _ = leaving()
    late = replace(scene.venue.capabilities, tells_ends_after=timedelta(seconds=told_after))
    scene.venue.capabilities = late
    working = [replace(order, updated_at=scene.venue.now) for order in scene.venue.view().orders]
    scene.ledger.apply_orders(working, scene.venue.now)
    lying(scene, no_orders)
    scene.later(seconds)
    desk = take_desk(scene.world(), for_entries=False)
    assert desk.omitted_orders == {"AAPL"}, "the order counts, whatever is told"
    assert [name for name, _ in alarms(scene)] == ["order_left_out"] * told


def test_a_dry_run_counts_what_the_list_leaves_out_and_not_what_has_ended_since() -> None:
    scene = Scene(limits=MUCH)
    trade_once(scene.world(wanted("AAPL"), wanted("JPM")), call())
    scene.venue.fill(scene.venue.submitted[1].client_order_id, "100")
    lying(scene, no_orders)
    scene.later(300)
    desk = take_desk(scene.world(dry_run=True), for_entries=True)
    assert desk.omitted_orders == {"AAPL"}
    assert desk.differences == ()
    assert scene.events.emitted == []


def test_an_exit_is_not_sent_again_when_the_list_leaves_the_working_one_out() -> None:
    scene, _ = leaving()
    lying(scene, no_orders)
    for minute in (31, 32, 33):
        scene.later(60)
        exits(scene, f"open+{minute}m")
    assert sum(i.purpose is Purpose.CLOSE for i in scene.venue.submitted) == 1


def test_a_list_that_is_behind_does_not_keep_an_exit_back() -> None:
    scene, order = leaving()
    stale = scene.venue.view()
    scene.venue.cancel(replace(scene.venue.submitted[-1], target_venue_id=order.venue_id))
    reconcile(FakeReader(scene.venue), scene.ledger)
    lying(scene, lambda view: replace(view, orders=stale.orders))
    scene.later(60)
    exits(scene, "open+33m")
    assert sum(i.purpose is Purpose.CLOSE for i in scene.venue.submitted) == 2


def test_an_order_is_over_when_the_venue_says_so_or_its_session_is_behind_us() -> None:
    scene = Scene()
    trade_once(scene.world(wanted("AAPL")), call())
    books = read_books(scene.ledger, NOW, VENUE_DAY)
    for passed, count in ((SESSION.close + timedelta(hours=3), 1), (SESSION.close + timedelta(hours=4), 0)):
        assert len(fillable_orders(with_expired_orders(scene.venue, books, passed))) == count


def test_positions_that_the_list_leaves_out_shut_entries_in_the_same_pass() -> None:
    scene = Scene()
    bought(scene)
    lying(scene, no_positions)
    scene.later(3600)
    record = trade_once(scene.world(wanted("JPM"), wanted("MSFT")), call(slot="open+90m"))
    assert ends(record) == dict.fromkeys(("JPM", "MSFT"), Reason.POSITIONS_DIFFER)
    assert ("position_differs", "AAPL") in alarms(scene)


def test_one_wrong_read_does_not_cost_a_pass() -> None:
    scene = Scene()
    bought(scene)
    lies = [no_positions]
    lying(scene, lambda view: lies.pop()(view) if lies else view)
    scene.later(3600)
    record = trade_once(scene.world(wanted("JPM")), call(slot="open+90m"))
    assert ends(record) == {"JPM": None}


def test_an_exit_whose_position_the_list_leaves_out_sells_what_a_direct_read_proves() -> None:
    scene = Scene()
    bought(scene)
    scene.price("AAPL", "97")
    lying(scene, no_positions)
    assert ends(evaluate_exits(scene.world(), EXIT_CALL)) == {"AAPL": None}
    assert scene.venue.submitted[-1].quantity == 49
    assert ("position_unproven", "AAPL") not in alarms(scene)


@pytest.mark.parametrize("lie", ["twice as many", "the other side"])
def test_an_exit_closes_at_most_what_is_proven_whatever_the_list_says(lie: str) -> None:
    scene = Scene()
    bought(scene)
    scene.price("AAPL", "97")
    factor = {"twice as many": 2, "the other side": -1}[lie]
    lying(
        scene,
        lambda view: replace(view, positions=tuple(replace(p, quantity=p.quantity * factor) for p in view.positions)),
    )
    evaluate_exits(scene.world(), EXIT_CALL)
    assert [i.quantity for i in scene.venue.submitted if i.purpose is Purpose.CLOSE] == [49]


@pytest.mark.parametrize("run", [evaluate_exits, lambda world, at: flatten(world, at, None)])
@pytest.mark.parametrize("silent", [True, False])
def test_without_proof_nothing_is_sold_and_a_working_exit_is_left_alone(
    run: Callable[..., CycleRecord], silent: bool
) -> None:
    scene, _ = leaving()
    lying(scene, no_positions)

    def position(symbol: str) -> BrokerPosition | None:
        if silent:
            raise TemporaryError("no answer")
        return None

    scene.venue.position = position  # type: ignore[method-assign]
    scene.later(LIMITS.exit_life_s + 60)
    record = run(scene.world(), call(Job.EVALUATE_EXITS, "open+40m"))
    assert sent(record) == []
    assert (scene.venue.cancelled, scene.venue.replaced) == ([], [])
    assert ("position_unproven", "AAPL") in alarms(scene)


def test_an_unsteady_view_shuts_entries_and_lets_exits_go() -> None:
    scene = Scene()
    bought(scene)
    scene.price("AAPL", "97")
    lying(scene, lambda view: replace(view, steady=False))
    assert ends(evaluate_exits(scene.world(), EXIT_CALL)) == {"AAPL": None}
    record = trade_once(scene.world(wanted("JPM")), call(slot="open+91m"))
    assert reasons(record, "JPM", Gate.RECONCILED) is Reason.VIEW_UNSTEADY
    with pytest.raises(TemporaryError, match="orders kept changing"):
        reconcile(FakeReader(scene.venue), scene.ledger)


def test_a_failed_lookup_neither_ends_the_pass_nor_abandons_the_order() -> None:
    scene = Scene()
    scene.venue.script["MSFT"] = LOST
    trade_once(scene.world(wanted("AAPL"), wanted("MSFT")), call())
    lying(scene, no_orders)

    def silent(client_order_id: str) -> Order | None:
        raise TemporaryError("no answer")

    scene.venue.order = silent  # type: ignore[method-assign]
    scene.venue.now += timedelta(days=1)
    desk = take_desk(scene.world(), for_entries=False)
    assert desk.book.unresolved == {"MSFT"}


@given(held=st.integers(-60, 60), known=st.integers(-20, 20))
def test_a_difference_counts_unless_a_fill_that_is_on_its_way_adds_up_to_it(held: int, known: int) -> None:
    """The fate of an order for 49 is unknown; the books hold `known` shares of the symbol without it."""
    scene = Scene()
    scene.venue.script["AAPL"] = LOST
    trade_once(scene.world(wanted("AAPL")), call())
    there = BrokerPosition("AAPL", AssetClass.US_EQUITY, Decimal(held), Decimal(100), None)
    fills = (fill(1), fill(2, side=Side.SELL), fill(3, quantity=str(known)))
    scene.ledger.apply_fills(fills, NOW)
    found = differences(read_books(scene.ledger, NOW, VENUE_DAY), (), (there,), ())
    told = [(int(one.books), int(one.broker)) for one in found]
    assert told == ([] if 0 <= held - known <= 49 else [(known, held)])
