"""The two views compared: each kind of difference, and a plan that settles what a plan may.

A position that closed while nobody looked ends at the price of its forgotten order, until a statement proves one.
"""

from datetime import timedelta
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.kit.core.scene import Scene, call, trade_once, wanted
from tests.kit.core.venue import LOST, FakeReader
from tests.kit.rows import make_intent
from tests.kit.values import CASH, NOW, VENUE_DAY, ago, fill
from tests.orders.test_order_sender import ready
from tests.reconciliation.comparing import accepted, compared, kinds, margined, trade
from tests.reconciliation.test_activity_booking import activity
from tradebot.desk.snapshot import take_desk
from tradebot.errors import ExitCode, OperatorError
from tradebot.model.account import BrokerPosition, BrokerView
from tradebot.model.candidate import Purpose, Side
from tradebot.model.finding import Finding, FindingKind
from tradebot.model.instrument import AssetClass
from tradebot.model.order import Executed, Fee, Fill, OrderStatus, OrderType, Reply, WriteOutcome
from tradebot.model.position import Origin
from tradebot.model.struct_tools import replace
from tradebot.orders.order_sender import send
from tradebot.reconciliation.differences import fingerprint, plan_of
from tradebot.reconciliation.reconcile import apply_plan, reconcile
from tradebot.reconciliation.statements import FromStatement, book_statement
from tradebot.views.status import profit
from tradebot.views.trades.lots import lots_of


def view() -> BrokerView:
    scene = Scene()
    world, desk, intent = ready(scene)
    send(world, desk, intent, ())
    held = tuple(
        BrokerPosition(symbol, AssetClass.US_EQUITY, Decimal(quantity), Decimal(100), None)
        for symbol, quantity in (("JPM", 3), ("XOM", -2))
    )
    return replace(scene.venue.view(), positions=held)


def test_the_order_of_rows_is_no_movement() -> None:
    seen = view()
    assert fingerprint(seen) == fingerprint(replace(seen, positions=seen.positions[::-1]))


@pytest.mark.parametrize("what", ["cash", "position", "symbol", "gone", "filled", "order"])
def test_whatever_a_plan_relies_on_makes_another_mark_when_it_moves(what: str) -> None:
    seen = view()
    (first, *rest), (order,) = seen.positions, seen.orders
    moved = {
        "cash": replace(seen, account=replace(seen.account, cash=seen.account.cash + Decimal("0.01"))),
        "position": replace(seen, positions=(replace(first, quantity=Decimal(4)), *rest)),
        "symbol": replace(seen, positions=(replace(first, symbol="MSFT"), *rest)),
        "gone": replace(seen, positions=tuple(rest)),
        "filled": replace(seen, orders=(replace(order, filled_quantity=Decimal(1)),)),
        "order": replace(seen, orders=()),
    }
    assert fingerprint(moved[what]) != fingerprint(seen)


def test_a_mark_is_twelve_digits_so_that_a_person_can_type_it() -> None:
    assert len(fingerprint(view())) == 12


AT = NOW - timedelta(minutes=5)


def books(*, ours: str | None = None, broker: int = 0, price: str = "100") -> Scene:
    scene = Scene()
    if ours is not None:
        quantity = Decimal(ours)
        side = Side.BUY if quantity > 0 else Side.SELL
        scene.ledger.apply_fills([fill(1, side=side, quantity=str(abs(quantity)), price=price, at=AT)], AT)
        scene.venue.cash -= quantity * Decimal(price)
    scene.venue.held = {"AAPL": Decimal(broker)}
    return scene


def test_books_that_agree_have_no_findings_and_no_plan() -> None:
    found = compared(books(ours="10", broker=10))
    assert (found.findings, found.plan) == ((), None)


@pytest.mark.parametrize(
    ("ours", "broker", "kind", "blocking"),
    [
        (None, 7, FindingKind.FOREIGN_POSITION, False),
        ("10", 0, FindingKind.PHANTOM, True),
        ("10", 8, FindingKind.QUANTITY, True),
        ("-10", -12, FindingKind.QUANTITY, True),
        ("10", -10, FindingKind.SIDE, True),
        ("-10", 3, FindingKind.SIDE, True),
    ],
)
def test_each_kind_of_difference_in_a_position_is_named(
    ours: str | None, broker: int, kind: FindingKind, blocking: bool
) -> None:
    scene = books(ours=ours, broker=broker)
    found = compared(scene)
    assert found.findings == (Finding(kind, "AAPL", Decimal(ours or 0), Decimal(broker)),)
    assert found.findings[0].blocking is blocking
    mark = scene.ledger.last_reconcile()
    assert mark is not None
    assert (mark.at, mark.blocking, mark.findings) == (NOW, int(blocking), 1)


def test_a_symbol_traded_before_and_held_by_the_broker_alone_is_a_difference_not_a_stranger() -> None:
    scene = books(ours="10", broker=4)
    scene.ledger.apply_fills([fill(2, side=Side.SELL, quantity="10", at=AT)], AT)
    scene.venue.cash = CASH
    assert kinds(compared(scene)) == [FindingKind.ORPHAN]


@pytest.mark.parametrize(("cents", "found"), [("0.01", True), ("-0.01", True), ("0.009", False)])
def test_cash_is_compared_to_the_cent(cents: str, found: bool) -> None:
    scene = books()
    scene.venue.cash += Decimal(cents)
    assert kinds(compared(scene)) == ([FindingKind.CASH] if found else [])


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("tb1.261116.FLOW.AAPL.OPEN.X", FindingKind.UNKNOWN_ORDER),
        ("typed by hand", FindingKind.FOREIGN_ORDER),
    ],
)
def test_an_order_that_was_never_promised_is_found(name: str, kind: FindingKind) -> None:
    scene, other = Scene(), Scene()
    trade_once(other.world(wanted("AAPL")), call())
    scene.venue.rest(name, "AAPL", other.venue.submitted[0])
    found = compared(scene)
    assert [(f.kind, f.subject, f.applicable) for f in found.findings] == [(kind, name, False)]
    assert found.plan is None


def test_a_second_order_under_an_id_of_ours_is_not_ours_and_hides_nothing_of_the_first_one() -> None:
    scene = Scene()
    trade_once(scene.world(wanted("AAPL")), call())
    (name, ours), book = next(iter(scene.venue.book.items())), scene.venue.book
    # Asked by that id, the venue answers with the second one.
    book |= {name: replace(ours, venue_id="twin"), "ours": ours}
    (found,) = compared(scene).findings
    words = (f"buy {ours.quantity:f} AAPL, the broker's order twin",)
    assert (found.kind, found.subject, found.evidence) == (FindingKind.ORDER_TWICE, name, words)
    desk = take_desk(scene.world(), for_entries=False)
    assert [order.shares for order in desk.book.own_orders] == [ours.quantity]
    book["ours"] = replace(ours, status=OrderStatus.CANCELED)
    assert kinds(compared(scene)) == [FindingKind.ORDER_TWICE]
    assert [(one.venue_id, one.client_order_id) for one in scene.ledger.orders(working=True)] == [("twin", "")]
    book[name] = replace(book[name], status=OrderStatus.CANCELED)
    assert kinds(compared(scene)) == []


def test_an_order_without_a_known_outcome_is_a_finding_until_the_venue_knows_it() -> None:
    scene = Scene()
    scene.venue.script["AAPL"], scene.venue.swallows = LOST, True
    trade_once(scene.world(wanted("AAPL")), call())
    found = compared(scene)
    assert kinds(found) == [FindingKind.UNRESOLVED]
    assert not found.findings[0].blocking
    scene.venue.rest(found.findings[0].subject, "AAPL", scene.venue.submitted[0])
    assert kinds(compared(scene)) == []


def test_our_own_working_orders_are_no_findings() -> None:
    scene = Scene()
    trade_once(scene.world(wanted("AAPL"), wanted("JPM")), call())
    assert compared(scene).findings == ()


def test_fills_are_applied_before_the_comparison_and_counted() -> None:
    scene = Scene()
    trade_once(scene.world(wanted("AAPL")), call())
    scene.later(60)
    scene.venue.fill(scene.venue.submitted[0].client_order_id, "100")
    found = compared(scene)
    assert (found.applied.fills, found.findings) == (1, ())


def test_a_fill_during_the_read_is_no_difference() -> None:
    scene = Scene()
    trade_once(scene.world(wanted("AAPL")), call())
    scene.later(60)
    reader, before = FakeReader(scene.venue), scene.venue.view()
    scene.venue.fill(scene.venue.submitted[0].client_order_id, "100")
    views = [before, scene.venue.view()]
    reader.view = lambda: views.pop(0)
    assert reconcile(reader, scene.ledger).findings == ()
    assert views == []


@pytest.mark.parametrize(
    ("ours", "broker"), [(None, 7), ("10", 0), ("10", 8), ("10", 15), ("10", -10), ("-10", 3), ("-10", -4)]
)
@pytest.mark.parametrize("cash", ["0", "12.34"])
def test_an_accepted_plan_leaves_nothing_to_find(ours: str | None, broker: int, cash: str) -> None:
    scene = books(ours=ours, broker=broker)
    scene.venue.cash += Decimal(cash)
    after = accepted(scene)
    assert (after.findings, after.plan) == ((), None)
    assert compared(scene).findings == ()


lots = st.lists(st.tuples(st.integers(1, 20), st.integers(1, 30_000)), min_size=1, max_size=5)


@given(entries=lots, side=st.sampled_from(Side), broker=st.integers(-60, 60))
def test_an_adjustment_makes_no_profit(entries: list[tuple[int, int]], side: Side, broker: int) -> None:
    scene = Scene()
    told = [fill(n, side=side, quantity=str(q), price=str(Decimal(c) / 100), at=AT) for n, (q, c) in enumerate(entries)]
    scene.ledger.apply_fills(told, AT)
    scene.venue.held = {"AAPL": Decimal(broker)}
    found = compared(scene)
    if found.plan is None:
        return
    after = accepted(scene, found)
    assert after.findings == ()
    seen = profit(CASH, scene.ledger.totals(), {"AAPL": Decimal(1)}, scene.ledger.cash_adjustments())
    assert (seen.realized, seen.cash) == (Decimal(0), scene.venue.cash)


def test_a_plan_takes_over_the_quantity_for_the_strategy_that_holds_it() -> None:
    scene = books(ours="10", broker=8)
    accepted(scene)
    (position,) = scene.ledger.totals().positions.values()
    assert (position.strategy, position.quantity) == ("flow", Decimal(8))


@pytest.mark.parametrize(
    ("ours", "theirs", "left"), [("10", "-10", {}), ("10", "-4", {"flow": 6}), ("-10", "25", {"": 15})]
)
def test_a_close_by_hand_is_found_and_booked_to_the_position_that_it_closed(
    ours: str, theirs: str, left: dict[str, int]
) -> None:
    scene = books(ours=ours, broker=int(ours) + int(theirs))
    by_hand, side = Decimal(theirs), Side.SELL if theirs.startswith("-") else Side.BUY
    told = fill(2, side=side, quantity=str(abs(by_hand)), price="97", strategy="", at=AT)
    scene.ledger.apply_fills([told], AT)
    scene.venue.cash -= by_hand * 97
    found = compared(scene)
    net = Decimal(ours) + by_hand
    assert found.findings == (Finding(FindingKind.OFFSET, "AAPL", Decimal(ours), net),)
    assert found.findings[0].blocking
    assert found.plan is not None
    before = profit(CASH, scene.ledger.totals(), {"AAPL": Decimal(1)})
    after = apply_plan(FakeReader(scene.venue), scene.ledger, found.plan, "ada")
    assert kinds(after) == ([FindingKind.BY_HAND] if "" in left else [])
    positions = scene.ledger.totals().positions.values()
    assert {p.strategy: p.quantity for p in positions if p.quantity} == left
    assert profit(CASH, scene.ledger.totals(), {"AAPL": Decimal(1)}).total == before.total
    assert scene.ledger.cash_adjustments() == 0
    closed = min(abs(Decimal(ours)), abs(by_hand)).copy_sign(Decimal(ours))
    assert {p.strategy: p.realized_pnl for p in positions}["flow"] == closed * (97 - 100)


def test_a_foreign_position_is_noted_and_never_made_ours() -> None:
    scene = books(broker=7)
    accepted(scene)
    assert (scene.ledger.acknowledged(), scene.ledger.fills()) == ({"AAPL": Decimal(7)}, ())
    scene.venue.held = {"AAPL": Decimal(9)}
    accepted(scene)
    assert scene.ledger.acknowledged() == {"AAPL": Decimal(9)}
    scene.venue.held = {}
    assert kinds(compared(scene)) == [FindingKind.PHANTOM]


def test_a_plan_touches_the_symbol_of_its_finding_only() -> None:
    scene = books(ours="10", broker=8)
    scene.ledger.apply_fills([fill(2, "MSFT", price="50", at=AT - timedelta(hours=1))], AT)
    scene.venue.held["MSFT"] = Decimal(10)
    scene.venue.cash -= 500
    accepted(scene)
    assert {key: p.quantity for key, p in scene.ledger.totals().positions.items()} == {
        ("flow", "MSFT"): 10,
        ("flow", "AAPL"): 8,
    }


def test_shares_that_nobody_of_ours_holds_are_taken_over_as_foreign_at_the_last_price() -> None:
    scene = books(ours="10", broker=4)
    sold = fill(2, side=Side.SELL, quantity="10", price="103", at=AT)
    scene.ledger.apply_fills([fill(3, "MSFT", price="50", at=AT - timedelta(hours=1)), sold], AT)
    scene.venue.held["MSFT"] = Decimal(10)
    accepted(scene)
    taken = scene.ledger.totals().positions[("", "AAPL")]
    assert (taken.quantity, taken.average_price) == (Decimal(4), Decimal(103))


@pytest.mark.parametrize("moved", ["position", "cash", "order"])
def test_a_plan_of_an_older_view_is_refused_and_writes_nothing(moved: str) -> None:
    scene, other = books(ours="10", broker=8), Scene()
    plan = compared(scene).plan
    assert plan is not None
    trade_once(other.world(wanted("JPM")), call())
    if moved == "position":
        scene.venue.held = {"AAPL": Decimal(7)}
    elif moved == "cash":
        scene.venue.cash += 1
    else:
        scene.venue.rest("typed by hand", "JPM", other.venue.submitted[0])
    with pytest.raises(OperatorError, match="older view") as refused:
        apply_plan(FakeReader(scene.venue), scene.ledger, plan, "ada")
    assert refused.value.code is ExitCode.REFUSED
    assert (len(scene.ledger.fills()), scene.ledger.cash_adjustments()) == (1, Decimal(0))


def test_a_plan_is_the_same_for_the_same_views_and_another_for_others() -> None:
    scene = books(ours="10", broker=8)
    first, again = compared(scene), compared(scene)
    assert first.plan == again.plan
    scene.venue.held = {"AAPL": Decimal(9)}
    assert first.plan is not None
    assert compared(scene).plan not in (None, first.plan)
    assert plan_of((), first.view) is None


def test_a_plan_that_comes_again_is_written_again() -> None:
    scene = books(ours="10", broker=8)
    plan = compared(scene).plan
    assert plan is not None
    assert apply_plan(FakeReader(scene.venue), scene.ledger, plan, "ada").findings == ()
    scene.ledger.apply_fills([fill(2, quantity="2", price="50", at=AT)], NOW)
    scene.ledger.adjust_cash(Decimal(100), "so that the books are as they were", NOW, origin=Origin.PLAN)
    scene.venue.now += timedelta(seconds=1)
    assert compared(scene).plan == plan
    assert apply_plan(FakeReader(scene.venue), scene.ledger, plan, "ada").findings == ()


def test_another_account_is_named_shuts_entries_and_applies_nothing() -> None:
    scene = books(ours="10", broker=0)
    scene.venue.number = "OTHER9999"
    scene.venue.happened = [activity("DIV", net="5")]
    found = compared(scene)
    (reset,) = found.findings
    assert (reset.kind, reset.blocking, found.plan) == (FindingKind.ACCOUNT_RESET, True, None)
    assert reset.evidence == ("the broker answers for account …9999, but these books belong to …0001",)
    mark = scene.ledger.last_reconcile()
    assert mark is not None
    assert (mark.blocking, scene.ledger.cash_adjustments()) == (1, Decimal(0))


def test_an_account_that_was_emptied_under_its_number_is_named_and_no_plan_gives_the_books_up() -> None:
    scene = Scene()
    trade_once(scene.world(wanted("AAPL")), call())
    scene.venue.fill(scene.venue.submitted[0].client_order_id, "100")
    assert compared(scene).findings == ()
    scene.venue.held, scene.venue.cash = {}, CASH
    told = compared(scene)
    assert (FindingKind.ACCOUNT_RESET in kinds(told), told.plan is None) == (False, False)
    scene.venue.executions.clear()
    scene.venue.book.clear()
    told = compared(scene)
    assert (kinds(told)[0], told.plan) == (FindingKind.ACCOUNT_RESET, None)
    # A venue that forgets by the next day knows none of them either if a stop has filled while nobody looked.
    scene.venue.capabilities = replace(scene.venue.capabilities, forgets=True)
    told = compared(scene)
    assert (FindingKind.ACCOUNT_RESET in kinds(told), told.plan is None) == (False, False)


def test_a_trade_by_hand_in_a_symbol_of_its_own_is_told_and_left_alone() -> None:
    scene = books(broker=7)
    scene.ledger.apply_fills([fill(1, quantity="7", price="100", strategy="", at=AT)], AT)
    scene.venue.cash -= 700
    found = compared(scene)
    assert found.findings == (Finding(FindingKind.BY_HAND, "AAPL", Decimal(0), Decimal(7)),)
    assert (found.findings[0].blocking, found.plan) == (False, None)


@given(own=st.integers(-30, 30), older=st.integers(-30, 30), traded=st.integers(-30, 30))
def test_a_plan_never_moves_shares_between_the_books_and_the_broker(own: int, older: int, traded: int) -> None:
    scene = Scene()
    for number, (quantity, strategy) in enumerate(((own, "flow"), (traded, "")), start=1):
        if quantity:
            side = Side.BUY if quantity > 0 else Side.SELL
            told = fill(number, side=side, quantity=str(abs(quantity)), strategy=strategy, at=AT)
            scene.ledger.apply_fills([told], AT)
            scene.venue.cash -= Decimal(quantity) * told.fill.price
    if older:
        scene.ledger.acknowledge("AAPL", Decimal(older), "older than the books", AT, origin=Origin.PLAN)
    net = Decimal(own + older + traded)
    scene.venue.held = {"AAPL": net}
    found = compared(scene)
    assert set(kinds(found)) <= {FindingKind.OFFSET, FindingKind.BY_HAND}
    for finding in found.findings:
        assert (finding.ours, finding.broker) == (Decimal(own), net)
    if found.plan is not None:
        after = accepted(scene, found)
        assert set(kinds(after)) <= {FindingKind.BY_HAND}
        held = {p.strategy: p.quantity for p in scene.ledger.totals().positions.values()}
        assert held["flow"] + held.get("", Decimal(0)) + scene.ledger.acknowledged().get("AAPL", Decimal(0)) == net
        assert held["flow"] * (net - held["flow"]) >= 0


@given(own=st.integers(-30, 30), older=st.integers(-30, 30), traded=st.integers(-30, 30), net=st.integers(-60, 60))
def test_one_plan_settles_any_change_of_our_shares_and_others(own: int, older: int, traded: int, net: int) -> None:
    scene = Scene()
    for number, (quantity, strategy) in enumerate(((own, "flow"), (traded, "")), start=1):
        if quantity:
            side = Side.BUY if quantity > 0 else Side.SELL
            scene.ledger.apply_fills(
                [fill(number, side=side, quantity=str(abs(quantity)), strategy=strategy, at=AT)], AT
            )
    if older:
        scene.ledger.acknowledge("AAPL", Decimal(older), "older than the books", AT, origin=Origin.PLAN)
    scene.venue.held = {"AAPL": Decimal(net)}
    found = compared(scene)
    if found.plan is not None:
        after = accepted(scene, found)
        assert [finding for finding in after.findings if finding.applicable] == []
        assert sum(scene.ledger.acknowledged().values()) + sum(
            p.quantity for p in scene.ledger.totals().positions.values()
        ) == Decimal(net)


D = Decimal
STOP, TARGET = "90", "130"


def closed_unseen(realized: int) -> Scene:
    """Return books that hold four, of which the venue holds none any more: it made a profit of them."""
    scene, venue = margined()
    trade(scene, venue, "open+5m", Side.BUY, 4, "100")
    venue.tell_fees()
    assert compared(scene).findings == ()
    for name, stop, limit in (("stop", D(STOP), None), ("target", None, D(TARGET))):
        made, kind = make_intent(name), OrderType.STOP if stop else OrderType.LIMIT
        key = replace(made.key, side=Side.SELL, role=Purpose.PROTECT)
        intent = replace(made, side=Side.SELL, quantity=D(4), purpose=Purpose.PROTECT, key=key)
        scene.ledger.record_intent(replace(intent, order_type=kind, stop_price=stop, limit_price=limit), ())
        order = venue.rest(intent.client_order_id, "AAPL", intent)
        order = replace(order, order_type=kind, stop_price=stop, limit_price=limit, status=OrderStatus.ENDED)
        scene.ledger.record_outcome(intent.client_order_id, Reply(WriteOutcome.ACCEPTED, order), NOW)
    venue.book.clear()
    venue.held, venue.cash = {}, venue.cash + realized
    return scene


def gained(scene: Scene) -> list[tuple[str, Decimal]]:
    """Return what each order is known to have gained."""
    return [(lot.origin.value, lot.gross_usd) for lot in lots_of(scene.ledger.fills()).closed]


@pytest.mark.parametrize(
    ("realized", "price"),
    # Fees, and a stop that slipped, leave it nearest to the stop or to the target, fifty dollars a point.
    [(-2020, STOP), (-2600, STOP), (5900, TARGET)],
)
def test_exit_that_nobody_saw_is_at_the_price_of_its_order_and_not_at_cost(realized: int, price: str) -> None:
    scene = closed_unseen(realized)
    found = compared(scene)
    assert kinds(found) == [FindingKind.CLOSED_UNSEEN, FindingKind.CASH]
    assert f"sell 4 at {price}" in found.findings[0].evidence[0]
    assert accepted(scene, found).findings == ()
    assert gained(scene) == [("assumed", (D(price) - 100) * 4 * 50)]
    (lot,) = lots_of(scene.ledger.fills()).closed
    assert lot.exit_order, "so its rule and its risk are known"


@pytest.mark.parametrize("after_plan", [False, True])
def test_statement_takes_the_place_of_what_was_assumed(after_plan: bool) -> None:
    scene = closed_unseen(-2020)
    if after_plan:
        accepted(scene)
    order = next(one for one in scene.ledger.orders() if one.stop_price)
    price, fee = D("89.95"), Fee(D(10))
    made = Fill("exec", "", "AAPL", Side.SELL, D(4), price, ago(30), D(50), fee)
    told = [Executed(made, order.client_order_id), Executed(replace(made, activity_id="other"), "by hand")]
    for booked in (1, 0):
        view = compared(scene).view
        found = book_statement(scene.ledger, told, view, NOW, VENUE_DAY)
        assert found == FromStatement(booked)
        assert compared(scene).findings == ()
    assert [gross for _, gross in gained(scene)] == [D("-2010.00")]
    filled = next(one for one in scene.ledger.orders() if one.venue_id == order.venue_id)
    assert (filled.status, filled.filled_average_price) == (OrderStatus.FILLED, price)
    assumed = [one for one in scene.ledger.fills() if one.origin is Origin.ASSUMED]
    assert len(assumed) == after_plan


def test_statement_whose_executions_the_broker_contradicts_is_left_out() -> None:
    scene = closed_unseen(-2020)
    order = next(one for one in scene.ledger.orders() if one.stop_price)
    made = Fill("exec", "", "AAPL", Side.SELL, D(3), D(90), ago(30), D(50), Fee(D(10)))
    view = compared(scene).view
    told = [Executed(made, order.client_order_id)]
    assert book_statement(scene.ledger, told, view, NOW, VENUE_DAY) == FromStatement(0, 1)
    assert gained(scene) == []
