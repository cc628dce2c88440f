"""Positions that nobody protects are found, and exits are not judged by prices of other shares."""

from datetime import timedelta
from decimal import Decimal

import pytest

from tests.kit.core.scene import Scene, call, evaluate_exits, trade_once, wanted
from tests.kit.core.venue import LOST, FakeReader
from tests.kit.values import DAY, EXITS, LISTED, SESSION, ago, best_price, fill
from tests.reconciliation.test_activity_booking import activity, holding
from tradebot.desk.snapshot import take_desk
from tradebot.errors import OperatorError, TemporaryError
from tradebot.exits.kinds.targets import ProfitTarget
from tradebot.exits.kinds.times import TimeExit
from tradebot.exits.rules import Exits, parse
from tradebot.model.account import Activity
from tradebot.model.candidate import Side
from tradebot.model.finding import Finding, FindingKind
from tradebot.model.intent import stop_of
from tradebot.model.limits import Protection
from tradebot.model.order import OrderStatus
from tradebot.model.position import FOREIGN
from tradebot.model.reasons import Reason
from tradebot.model.record import Job
from tradebot.model.struct_tools import replace
from tradebot.reconciliation.protection import ProtectionWatch
from tradebot.reconciliation.reconcile import Reconciled, reconcile

EXIT_CALL = call(Job.EVALUATE_EXITS, "open+31m")


def found(scene: Scene, protection: Protection = Protection.BOT) -> tuple[Finding, ...]:
    return compared(scene, LISTED, protection).findings


def compared(scene: Scene, rules: Exits, protection: Protection = Protection.BOT) -> Reconciled:
    exits = EXITS.model_copy(update={"protection": protection})
    return reconcile(
        FakeReader(scene.venue), scene.ledger, ProtectionWatch(scene.venue, lambda strategy: rules, 180, exits)
    )


def closed_for(scene: Scene, name: str = "open+31m") -> Reason | None:
    """Run a pass of exits and return the reason for which the one position was, or was not, closed."""
    (record,) = evaluate_exits(scene.world(), call(Job.EVALUATE_EXITS, name)).candidates
    return record.decisions[1].reason


@pytest.mark.parametrize(("price", "missing"), [("100", False), ("97.90", True), ("103.10", True)])
def test_a_position_past_a_rule_without_an_exit_is_found_once_no_pass_looks_any_more(price: str, missing: bool) -> None:
    scene = holding("10")
    scene.price("AAPL", price)
    told = found(scene)
    assert [(one.kind, one.subject, one.blocking) for one in told] == [
        (FindingKind.MISSING_STOP, "AAPL", False)
    ] * missing
    scene.ledger.claim_slot(Job.EVALUATE_EXITS, DAY, "open+31m", "test", ago(170))
    assert found(scene) == ()


def test_a_position_without_a_stop_is_named_and_is_no_finding() -> None:
    scene = holding("10")
    scene.price("AAPL", "50")
    signals = parse([{"flow_reversal": {"min_flow": 0.5}}, {"end_of_day": {"before_close_s": 600}}])
    for rules in ((), (TimeExit(after_s=3600),), (ProfitTarget(fraction=Decimal(1)),), signals):
        result = compared(scene, rules)
        assert (result.findings, [position.symbol for position in result.without_stop]) == ((), ["AAPL"])
    assert compared(scene, LISTED).without_stop == ()
    scene.venue.prices = {}
    assert compared(scene, ()).findings == (), "no rule needs a price"


@pytest.mark.parametrize(
    ("status", "last"),
    # One that only arrives was never lost.
    [(OrderStatus.CANCELED, "canceled"), (OrderStatus.SUSPENDED, "suspended"), (OrderStatus.ACCEPTED, "unknown")],
)
def test_books_and_broker_do_not_agree_while_a_stop_cannot_trigger(status: OrderStatus, last: str) -> None:
    scene = holding("10")
    scene.exits = EXITS.model_copy(update={"protection": Protection.VENUE})
    evaluate_exits(scene.world(), EXIT_CALL)
    assert found(scene, Protection.VENUE) == ()
    (stop,) = [order for order in scene.venue.book.values() if order.parent]
    scene.later(60)
    scene.venue.book[stop.client_order_id] = replace(stop, status=status)
    (finding,) = found(scene, Protection.VENUE)
    assert (finding.kind, finding.subject, finding.blocking) == (FindingKind.MISSING_STOP, "AAPL", False)
    assert finding.evidence == (f"no stop at the broker can trigger for 10 shares: the last one is {last}",)


def test_a_leg_is_still_ours_once_the_broker_does_not_tell_any_more_what_it_belongs_to() -> None:
    scene = holding("10")
    scene.exits = EXITS.model_copy(update={"protection": Protection.VENUE})
    evaluate_exits(scene.world(), EXIT_CALL)
    assert found(scene, Protection.VENUE) == ()
    (stop,) = [order for order in scene.venue.book.values() if order.parent]
    scene.later(60)
    scene.venue.book[stop.client_order_id] = replace(stop, parent=None)
    assert FindingKind.FOREIGN_ORDER not in [finding.kind for finding in found(scene, Protection.VENUE)]


@pytest.mark.parametrize("promised", [True, False])
def test_a_stop_that_is_listed_without_its_entry_is_ours_if_the_entry_was_promised(promised: bool) -> None:
    scene, other = Scene(), Scene()
    scene.venue.script["AAPL"], scene.venue.swallows = LOST, True
    trade_once((scene if promised else other).world(wanted("AAPL")), call())
    (entry,) = (scene if promised else other).venue.submitted
    name = stop_of(entry.client_order_id)
    scene.venue.rest(name, "AAPL", entry)
    told = (FindingKind.UNRESOLVED, entry.client_order_id) if promised else (FindingKind.FOREIGN_ORDER, name)
    assert [(one.kind, one.subject) for one in compared(scene, LISTED).findings] == [told]


@pytest.mark.parametrize(("held", "rests", "bare"), [(7, 7, None), (7, 6, 1), (10, 7, 3), (-2, 0, None), (0, 0, None)])
def test_shares_that_somebody_else_closed_need_no_stop_once_the_broker_says_so_too(
    held: int, rests: int, bare: int | None
) -> None:
    scene = holding("10")
    scene.exits = EXITS.model_copy(update={"protection": Protection.VENUE})
    evaluate_exits(scene.world(), EXIT_CALL)
    scene.later(60)
    for name, order in tuple(scene.venue.book.items()):
        if rests:
            shrunk = replace(order, quantity=Decimal(rests), updated_at=scene.venue.now)
        else:
            shrunk = replace(order, status=OrderStatus.CANCELED, updated_at=scene.venue.now)
        scene.venue.book[name] = shrunk
    by_hand = fill(9, strategy=FOREIGN, side=Side.SELL, quantity=str(10 - min(held, 7)), price="100")
    scene.ledger.apply_fills([by_hand], scene.venue.now)
    scene.venue.held["AAPL"] = Decimal(held)
    told = found(scene, Protection.VENUE)
    missing = [one.evidence[0] for one in told if one.kind is FindingKind.MISSING_STOP]
    # Where the broker shows more than the books, no rule can judge it either.
    assert [one for one in missing if one.startswith("no stop")] == [
        f"no stop at the broker can trigger for {bare} shares: the last one is smaller than it was"
    ] * bool(bare)
    assert FindingKind.OFFSET in {one.kind for one in told}


def test_no_exit_counts_as_missed_just_after_the_open() -> None:
    scene = holding("10")
    scene.price("AAPL", "90")
    scene.venue.now = SESSION.open + timedelta(seconds=170)
    assert found(scene) == ()
    scene.venue.now += timedelta(seconds=20)
    assert [one.kind for one in found(scene)] == [FindingKind.MISSING_STOP]


def test_an_exit_that_works_or_has_no_known_outcome_counts_as_protection() -> None:
    for reply in ({}, {"AAPL": LOST}):
        scene = holding("10")
        scene.price("AAPL", "90")
        scene.venue.script = dict(reply)
        evaluate_exits(scene.world(), EXIT_CALL)
        assert [one for one in found(scene) if one.kind is FindingKind.MISSING_STOP] == []


def test_a_position_that_no_rule_can_judge_is_found_at_once() -> None:
    scene = holding("10")
    scene.ledger.claim_slot(Job.EVALUATE_EXITS, DAY, "open+31m", "test", ago(10))
    scene.venue.prices = {}
    (finding,) = found(scene)
    assert (finding.kind, finding.evidence) == (
        FindingKind.MISSING_STOP,
        ("QUOTE_MISSING: no exit rule can evaluate the position's price",),
    )
    scene.venue.is_open = False
    assert found(scene) == ()


@pytest.mark.parametrize(("quantity", "split", "price"), [("10", "2", "50"), ("-10", "2", "50"), ("10", "0.1", "1000")])
def test_after_an_unproven_split_an_unmoved_price_closes_nothing(quantity: str, split: str, price: str) -> None:
    scene = holding(quantity)
    scene.venue.held["AAPL"] *= Decimal(split)
    scene.price("AAPL", price)
    assert closed_for(scene) is Reason.SPLIT_UNPROVEN
    assert (scene.venue.submitted, best_price(scene.ledger, "flow", "AAPL", ago(300))) == ([], None)


def test_after_an_unproven_split_no_price_closes_the_position_and_no_best_price_is_kept() -> None:
    scene = holding("10")
    scene.venue.held["AAPL"] = Decimal(20)
    scene.price("AAPL", "50")
    assert closed_for(scene) is Reason.SPLIT_UNPROVEN
    assert best_price(scene.ledger, "flow", "AAPL", ago(300)) is None
    assert scene.venue.submitted == []
    assert {one.kind for one in found(scene)} == {FindingKind.QUANTITY, FindingKind.MISSING_STOP}
    scene.price("AAPL", "48")
    assert closed_for(scene, "open+32m") is Reason.STOP_LOSS
    assert [intent.quantity for intent in scene.venue.submitted] == [10]


@pytest.mark.parametrize("dry_run", [False, True])
def test_a_split_that_the_broker_tells_of_is_booked_by_the_pass_of_exits_itself(dry_run: bool) -> None:
    scene = holding("10")
    scene.venue.happened.append(activity("SPLIT", quantity="10"))
    scene.venue.held["AAPL"], scene.venue.averages["AAPL"] = Decimal(20), Decimal(50)
    scene.price("AAPL", "50.10")
    (record,) = evaluate_exits(scene.world(dry_run=dry_run), EXIT_CALL).candidates
    assert record.decisions[1].reason is (Reason.SPLIT_UNPROVEN if dry_run else Reason.HOLD)
    assert scene.venue.submitted == []
    assert len(scene.ledger.booked()) == (0 if dry_run else 1)
    if not dry_run:
        scene.price("AAPL", "48")
        assert closed_for(scene, "open+32m") is Reason.STOP_LOSS
        assert [intent.quantity for intent in scene.venue.submitted] == [20]


@pytest.mark.parametrize("silent", [TemporaryError("busy"), OperatorError("refused", "look")])
def test_activities_that_cannot_be_read_keep_no_exit_from_going_out(silent: Exception) -> None:
    scene = holding("10")
    scene.venue.held["AAPL"] = Decimal(7)

    def refuse(after: object) -> list[Activity]:
        raise silent

    scene.venue.activities = refuse  # type: ignore[method-assign]
    scene.price("AAPL", "97")
    assert closed_for(scene) is Reason.STOP_LOSS
    assert [intent.quantity for intent in scene.venue.submitted] == [7]


def test_the_broker_is_asked_for_activities_only_where_something_differs() -> None:
    scene, asked = holding("10"), list[object]()
    scene.venue.activities = lambda after: asked.append(after) or []  # type: ignore[method-assign,func-returns-value]
    assert closed_for(scene) is Reason.HOLD
    trade_once(scene.world(wanted("JPM")), call())
    assert asked == []
    scene.venue.held["AAPL"] = Decimal(7)
    assert closed_for(scene, "open+32m") is Reason.SPLIT_UNPROVEN
    assert len(asked) == 1


def test_a_split_starts_no_cooldown() -> None:
    scene = holding("10")
    scene.venue.happened.append(replace(activity("SPLIT", quantity="10"), at=ago(60)))
    scene.venue.held["AAPL"], scene.venue.averages["AAPL"] = Decimal(20), Decimal(50)
    desk = take_desk(scene.world(), for_entries=False)
    assert desk.positions[0].quantity == 20
    assert desk.book.last_fill_at == {"AAPL": ago(300)}
