"""Orders under our mark that the books do not know are ours from before, unless the books were at work meanwhile."""

from copy import deepcopy
from datetime import timedelta
from decimal import Decimal

import pytest

from tests.kit.core.scene import Scene, call, evaluate_exits, trade_once, wanted
from tests.kit.core.venue import FakeReader
from tests.kit.rows import make_order
from tests.kit.values import CASH, DAY, NOW, SESSION, ago, fill
from tests.kit.values import held as watched
from tests.orders.test_stop_protection import entered
from tests.orders.test_stop_protection import scene as protected_scene
from tests.reconciliation.comparing import accepted, compared
from tests.reconciliation.test_catch_up import sent_by_hand
from tradebot.adapters.ledger.rows import StoredOpening
from tradebot.cycle import flatten
from tradebot.desk.snapshot import take_desk
from tradebot.model.bar import Session
from tradebot.model.candidate import Purpose, Side
from tradebot.model.finding import FindingKind
from tradebot.model.intent import Intent, mark_of
from tradebot.model.order import OrdersReported, OrderStatus
from tradebot.model.position import ADOPTED
from tradebot.model.reasons import Reason
from tradebot.model.record import Job
from tradebot.model.struct_tools import replace
from tradebot.model.trading import ReconcileMark, TradingState
from tradebot.reconciliation.adoption import acknowledge, manage
from tradebot.reconciliation.reconcile import Reconciled, reconcile
from tradebot.reconciliation.unknown_orders import confirmed_own_quantities

BEFORE = Session(DAY - timedelta(days=3), *(at - timedelta(days=3) for at in (SESSION.open, SESSION.close)))
BOUGHT = "tb1.261113.FLOW.MSFT.OPEN.ABCDEFGHIJKLMNOP"
SOLD = "tb1.261113.FLOW.MSFT.CLOSE.ABCDEFGHIJKLMNOP"


def put_back(began: int = 864_000) -> Scene:
    """Return a bot whose books began long ago and have not looked since: an older copy that was put back."""
    scene = Scene()
    scene.ledger.tables.book.put(StoredOpening(CASH, ago(began)))
    scene.ledger.put_sessions([BEFORE, SESSION])
    scene.ledger.mark_reconciled(ReconcileMark(BEFORE.open - timedelta(days=1), 0, 0))
    return scene


def traded(
    scene: Scene, name: str, price: str = "100", side: Side = Side.BUY, days: int = 3, quantity: int = 10
) -> None:
    """Let an order that the books do not know have been sent and filled some days ago."""
    now, scene.venue.now = scene.venue.now, scene.venue.now - timedelta(days=days)
    scene.venue.rest(name, "MSFT", replace(entry("MSFT"), side=side, quantity=Decimal(quantity)))
    scene.venue.fill(name, price)
    scene.venue.now = now


def entry(symbol: str) -> Intent:
    other = Scene()
    trade_once(other.world(wanted(symbol)), call())
    return other.venue.submitted[0]


def kinds(found: Reconciled) -> list[tuple[FindingKind, str]]:
    return [(one.kind, one.subject) for one in found.findings]


def held(scene: Scene) -> dict[tuple[str, str], Decimal]:
    return {key: p.quantity for key, p in scene.ledger.totals().positions.items() if p.quantity}


def test_an_older_copy_says_what_it_is_halts_and_takes_its_positions_over_after_one_confirmation() -> None:
    scene = put_back()
    traded(scene, BOUGHT)
    scene.ledger.record_intent(replace(entry("XOM"), key=replace(entry("XOM").key, session=BEFORE.date)), ())
    scene.ledger.abandon(entry("XOM").client_order_id, "long ago", ago(60))
    record = trade_once(scene.world(wanted("AAPL")), call())
    assert [one.terminal and one.terminal.reason for one in record.candidates] == [Reason.HALTED]
    assert scene.ledger.trading_state().why == f"BOOKS_OLD: {BOUGHT} against 0"
    found = compared(scene)
    assert kinds(found) == [(FindingKind.FORGOTTEN, "MSFT")]
    assert found.findings[0].evidence == (f"{BOUGHT}: buy 10",)
    after = accepted(scene, found)
    assert (after.findings, held(scene)) == ((), {("flow", "MSFT"): Decimal(10)})
    (position,) = take_desk(scene.world(), for_entries=False).positions
    assert position.opened_at == NOW - timedelta(days=3)
    assert take_desk(scene.world(), for_entries=False).halt_evidence.forgotten == ()
    evaluate_exits(scene.world(), call(Job.EVALUATE_EXITS, "open+31m"))
    assert [(i.instrument.symbol, i.purpose, i.quantity) for i in scene.venue.submitted] == [
        ("MSFT", Purpose.CLOSE, Decimal(10))
    ]


@pytest.mark.parametrize(("again", "closed"), [(True, []), (False, [Decimal(20)])])
def test_before_that_confirmation_exits_close_only_what_the_books_still_hold(
    again: bool, closed: list[Decimal]
) -> None:
    """The books hold 30: ours from before sold all of them and bought 30 again, or sold 10 alone."""
    scene = put_back()
    scene.ledger.apply_fills([fill(1, "MSFT", quantity="30", at=NOW - timedelta(days=9))], NOW)
    scene.venue.held["MSFT"], scene.venue.cash = Decimal(30), CASH - 3000
    traded(scene, SOLD, side=Side.SELL, quantity=30 if again else 10)
    if again:
        traded(scene, BOUGHT, days=2, quantity=30)
    evaluate_exits(scene.world(), call(Job.EVALUATE_EXITS, "open+31m"))
    assert [intent.quantity for intent in scene.venue.submitted] == closed


def test_books_stay_out_of_date_until_they_know_a_round_trip_made_since() -> None:
    scene = put_back()
    traded(scene, BOUGHT)
    traded(scene, SOLD, "103", Side.SELL, days=2)
    found = compared(scene)
    assert kinds(found) == [(FindingKind.FORGOTTEN, "MSFT")]
    accepted(scene, found)
    assert held(scene) == {}
    assert scene.ledger.totals().positions[(ADOPTED, "MSFT")].realized_pnl == 30
    assert kinds(compared(scene)) == []


def test_new_books_find_their_positions_by_the_marks_of_their_orders() -> None:
    scene = put_back(began=600)
    traded(scene, BOUGHT)
    scene.venue.cash = CASH
    found = compared(scene)
    assert (kinds(found), held(scene)) == ([(FindingKind.FORGOTTEN, "MSFT")], {})
    trade_once(scene.world(wanted("AAPL")), call())
    assert scene.ledger.trading_state().state is TradingState.REDUCE_ONLY
    after = accepted(scene, found)
    assert (after.findings, held(scene)) == ((), {(ADOPTED, "MSFT"): Decimal(10)})
    assert take_desk(scene.world(), for_entries=False).halt_evidence.forgotten == ()


def test_a_later_liquidation_hides_none_of_the_shares_that_our_orders_left() -> None:
    scene = put_back()
    traded(scene, BOUGHT)
    compared(scene)
    scene.venue.liquidate("MSFT", Decimal(-3), Decimal(100))
    found = compared(scene)
    assert kinds(found) == [(FindingKind.FORGOTTEN, "MSFT"), (FindingKind.LIQUIDATION, "MSFT")]
    after = accepted(scene, found)
    # The liquidation is of what the books hold now.
    evaluate_exits(scene.world(), call(Job.EVALUATE_EXITS, "open+31m"))
    assert (held(scene), kinds(after)) == ({(ADOPTED, "MSFT"): Decimal(7)}, [(FindingKind.LIQUIDATION, "MSFT")])


def test_a_later_sale_by_hand_hides_none_of_the_shares_that_our_orders_left() -> None:
    scene = put_back(began=600)
    traded(scene, BOUGHT)
    scene.venue.cash = CASH
    compared(scene)
    scene.venue.rest("typed by hand", "MSFT", replace(entry("MSFT"), side=Side.SELL, quantity=Decimal(3)))
    scene.venue.fill("typed by hand", "100")
    found = compared(scene)
    assert kinds(found) == [(FindingKind.FORGOTTEN, "MSFT")]
    accepted(scene, found)
    assert held(scene) == {("", "MSFT"): Decimal(-3), (ADOPTED, "MSFT"): Decimal(10)}
    assert take_desk(scene.world(), for_entries=False).halt_evidence.forgotten == ()
    assert kinds(compared(scene)) == [(FindingKind.OFFSET, "MSFT")]


def test_an_order_from_before_that_still_works_keeps_nobody_from_taking_over_the_rest() -> None:
    scene = put_back()
    traded(scene, BOUGHT)
    working = "tb1.261116.FLOW.JPM.OPEN.ABCDEFGHIJKLMNOP"
    scene.venue.rest(working, "JPM", entry("JPM"))
    found = compared(scene)
    assert kinds(found) == [(FindingKind.EARLIER_ORDER, working), (FindingKind.FORGOTTEN, "MSFT")]
    accepted(scene, found)
    assert held(scene) == {(ADOPTED, "MSFT"): Decimal(10)}


def test_only_as_many_shares_come_in_as_our_orders_account_for() -> None:
    scene = put_back(began=600)
    traded(scene, BOUGHT)
    scene.venue.cash, scene.venue.held["MSFT"] = CASH, Decimal(25)
    found = compared(scene)
    after = accepted(scene, found)
    assert held(scene) == {(ADOPTED, "MSFT"): Decimal(10)}
    assert [(one.ours, one.broker) for one in after.findings] == [(Decimal(10), Decimal(25))]


def test_an_order_that_came_while_these_books_were_at_work_is_another_copys_and_nothing_is_taken_over() -> None:
    scene = put_back()
    traded(scene, BOUGHT)
    scene.ledger.claim_slot("trade-once", DAY, "open+20m", "cron", ago(600))
    copy = "tb1.261116.FLOW.JPM.OPEN.ABCDEFGHIJKLMNOP"
    sent_by_hand(scene, "JPM", copy)
    scene.venue.fill(copy, "100")
    trade_once(scene.world(wanted("AAPL")), call())
    assert scene.ledger.trading_state().why.startswith(f"SECOND_WRITER: {copy} against 0")
    found = compared(scene)
    assert (FindingKind.UNKNOWN_ORDER, copy) in kinds(found)
    assert found.plan is None
    assert (FindingKind.ANOTHER_COPY, "JPM") in kinds(found)


def test_another_copys_order_of_an_earlier_session_is_told_as_what_it_is() -> None:
    scene = put_back()
    for hour in (0, 4):
        scene.ledger.claim_slot("trade-once", BEFORE.date, f"open+{hour}h", "cron", BEFORE.open + timedelta(hours=hour))
    traded(scene, BOUGHT)
    assert (
        take_desk(scene.world(), for_entries=False).halt_evidence
        == take_desk(put_back().world(), for_entries=False).halt_evidence
    )
    found = compared(scene)
    assert kinds(found) == [(FindingKind.ANOTHER_COPY, "MSFT")]
    assert found.findings[0].blocking, "what nobody protects must not be forgotten over night"
    manage(FakeReader(scene.venue), scene.ledger, "MSFT", "ada", Decimal(10))
    assert (kinds(compared(scene)), held(scene)) == ([], {(ADOPTED, "MSFT"): Decimal(10)})


def test_a_copy_from_the_middle_of_an_earlier_session_has_not_looked_after_what_it_does_not_know() -> None:
    scene = put_back()
    scene.ledger.claim_slot("trade-once", BEFORE.date, "open+10m", "cron", BEFORE.open + timedelta(minutes=10))
    # The slot of a strategy's own clock may end in a later session.
    scene.ledger.claim_slot("strategy mine ended", BEFORE.date, "open+5m", "cron", BEFORE.close + timedelta(hours=20))
    traded(scene, BOUGHT)
    assert take_desk(scene.world(), for_entries=False).halt_evidence.forgotten == (BOUGHT,)
    assert kinds(compared(scene)) == [(FindingKind.FORGOTTEN, "MSFT")]


def test_of_shares_noted_as_known_only_those_that_our_orders_made_become_ours() -> None:
    scene = put_back(began=600)
    traded(scene, "typed by hand", quantity=5)
    traded(scene, BOUGHT)
    scene.venue.cash = CASH
    hidden = scene.venue.book.pop(BOUGHT)
    found = compared(scene)
    accepted(scene, found)
    assert scene.ledger.acknowledged() == {"MSFT": Decimal(15)}
    scene.later(60)
    scene.venue.book[BOUGHT] = hidden
    found = compared(scene)
    assert kinds(found) == [(FindingKind.FORGOTTEN, "MSFT")]
    after = accepted(scene, found)
    assert (after.findings, held(scene)) == ((), {(ADOPTED, "MSFT"): Decimal(10)})
    assert scene.ledger.acknowledged() == {"MSFT": Decimal(5)}


def test_an_order_that_a_person_knew_of_does_not_undo_what_that_person_noted() -> None:
    scene = put_back(began=600)
    traded(scene, BOUGHT)
    scene.venue.cash, scene.venue.held = CASH, {}
    scene.ledger.apply_orders([scene.venue.book[BOUGHT]], ago(60))
    sent_by_hand(scene, "MSFT", "typed by hand")
    scene.venue.fill("typed by hand", "100")
    assert kinds(compared(scene)) == [(FindingKind.BY_HAND, "MSFT")]
    acknowledge(FakeReader(scene.venue), scene.ledger, "MSFT", "ada")
    assert (kinds(compared(scene)), held(scene)) == ([], {})


def test_orders_that_cannot_be_read_prove_no_shares_a_strangers() -> None:
    scene = put_back(began=600)
    traded(scene, "typed by hand")
    scene.venue.cash = CASH
    reader = FakeReader(scene.venue)
    reader.orders_of = lambda symbols: OrdersReported((), 1)
    found = reconcile(reader, scene.ledger)
    assert (kinds(found), found.plan) == (
        [(FindingKind.UNREADABLE, "account"), (FindingKind.FOREIGN_POSITION, "MSFT")],
        None,
    )


def test_other_peoples_shares_are_not_taken_for_ours() -> None:
    scene = put_back(began=600)
    traded(scene, "typed by hand")
    scene.venue.cash = CASH
    found = compared(scene)
    assert (kinds(found), found.plan and found.plan.findings[0].kind) == (
        [(FindingKind.FOREIGN_POSITION, "MSFT")],
        FindingKind.FOREIGN_POSITION,
    )


@pytest.mark.parametrize(
    ("name", "strategy", "purpose"),
    [
        ("tb1.261113.FLOW.MSFT.OPEN.ABCDEFGHIJKLMNOP", "FLOW", Purpose.OPEN),
        ("tb1.261113.MOMEN.BRK.B.CLOSE.ABCDEFGHIJKLMNOP", "MOMEN", Purpose.CLOSE),
    ],
)
def test_the_mark_tells_strategy_and_purpose_whatever_the_symbol(name: str, strategy: str, purpose: Purpose) -> None:
    mark = mark_of(name)
    assert mark is not None
    assert (mark.strategy, mark.purpose) == (strategy, purpose)
    assert (mark.is_of(strategy.lower()), mark.is_of("other")) == (True, False)


@pytest.mark.parametrize("side", [Side.BUY, Side.SELL])
def test_a_pair_that_older_books_never_promised_is_taken_over_by_the_usual_plan_and_exits_go_through_it(
    side: Side,
) -> None:
    scene = protected_scene()
    entered(scene, side)
    compared(scene)
    older = deepcopy(scene.ledger)
    evaluate_exits(scene.world(), call(Job.EVALUATE_EXITS, "open+31m"))
    pair = scene.venue.submitted[-1]
    assert pair.protects
    scene.ledger = older
    scene.later(60)
    found = compared(scene)
    assert kinds(found) == [(FindingKind.UNKNOWN_PAIR, pair.client_order_id)]
    evidence = take_desk(scene.world(), for_entries=False).halt_evidence
    assert (evidence.unknown_orders, evidence.forgotten) == ((), (pair.client_order_id,)), "no second writer's entry"
    assert accepted(scene, found).findings == ()
    evidence = take_desk(scene.world(), for_entries=False).halt_evidence
    assert (evidence.unknown_orders, evidence.forgotten) == ((), ())
    evaluate_exits(scene.world(), call(Job.EVALUATE_EXITS, "open+32m"))
    assert scene.venue.submitted[-1] == pair, "what is protected needs no second pair"
    flatten(scene.world(), call(), None)
    assert [(one.purpose, one.target_venue_id) for one in scene.venue.replaced] == [
        (Purpose.CLOSE, scene.venue.book[pair.client_order_id].venue_id)
    ]


@pytest.mark.parametrize(
    "changes", [{"purpose": Purpose.OPEN}, {"side": Side.BUY}, {"quantity": Decimal(1000)}, {"symbol": "JPM"}]
)
def test_what_protects_no_shares_of_ours_stays_an_unknown_order(changes: dict[str, object]) -> None:
    scene = protected_scene()
    entered(scene)
    compared(scene)
    role, symbol = changes.pop("purpose", Purpose.PROTECT), str(changes.pop("symbol", "AAPL"))
    name = f"tb1.261116.FLOW.{symbol}.{str(role)[:5].upper()}.ABCDEFGHIJKLMNOP"
    stop = replace(entry(symbol), side=Side.SELL, quantity=Decimal(1))
    scene.venue.rest(name, symbol, replace(stop, **changes))  # type: ignore[arg-type]
    scene.later(60)
    found = compared(scene)
    assert kinds(found) == [(FindingKind.UNKNOWN_ORDER, name)]
    assert found.plan is None
    assert take_desk(scene.world(), for_entries=False).halt_evidence.unknown_orders == (name,)


def test_an_earlier_sale_of_what_is_not_ours_changes_nothing_about_ours() -> None:
    sale = replace(make_order(status=OrderStatus.FILLED), side=Side.SELL)
    ours, net = watched("5").position, {"AAPL": Decimal(5), "MSFT": Decimal(5)}
    assert confirmed_own_quantities(net, [replace(ours, symbol="MSFT")], [sale]) == net
    assert confirmed_own_quantities(net, [ours], [sale]) == {**net, "AAPL": Decimal(2)}


def test_what_an_earlier_sale_left_of_a_fraction_is_ours() -> None:
    sale = replace(make_order(status=OrderStatus.FILLED), side=Side.SELL, filled_quantity=Decimal("0.1"))
    left = confirmed_own_quantities({"AAPL": Decimal("0.3")}, [watched("0.4").position], [sale])
    assert left == {"AAPL": Decimal("0.3")}


def test_a_single_share_from_before_the_books_is_taken_over() -> None:
    scene = put_back(began=600)
    traded(scene, BOUGHT, quantity=1)
    scene.venue.cash = CASH
    accepted(scene, compared(scene))
    assert held(scene) == {(ADOPTED, "MSFT"): Decimal(1)}
