"""What the venue lists: read once a day, and at once for what is missing; a change is a finding with what it is."""

from copy import deepcopy
from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest

from tests.kit.core.scene import Scene, call, evaluate_exits, trade_once, wanted
from tests.kit.core.venue import REJECTED, FakeReader
from tests.kit.values import NOW, ago, fill, listing
from tests.orders.test_stop_protection import entered
from tests.orders.test_stop_protection import scene as protected_scene
from tests.reconciliation.comparing import accepted, compared, kinds
from tradebot.errors import ExitCode, OperatorError
from tradebot.model.bar import Session
from tradebot.model.candidate import Side
from tradebot.model.finding import Finding, FindingKind
from tradebot.model.instrument import MarginLevel, TickStep
from tradebot.model.order import OrderStatus
from tradebot.model.position import OwnedFill
from tradebot.model.record import Job
from tradebot.model.struct_tools import replace
from tradebot.model.venue import Settlement
from tradebot.reconciliation.listing_updates import ListingsInForce, current_listings

CHANGED, UNKNOWN = FindingKind.INSTRUMENT_CHANGED, FindingKind.INSTRUMENT_UNKNOWN
SYMBOLS = ("AAPL", "MSFT")


def look(scene: Scene, *symbols: str, besides: tuple[str, ...] = ()) -> ListingsInForce:
    reader, ledger = FakeReader(scene.venue), scene.ledger
    return current_listings(reader, ledger, ledger, symbols, scene.venue.now, besides)


def keep(scene: Scene, listed: ListingsInForce) -> ListingsInForce:
    scene.ledger.put_listings(listed.read)
    return listed


def test_what_was_never_read_is_read_at_once_and_the_rest_once_a_day() -> None:
    scene = Scene()
    first = keep(scene, look(scene, *SYMBOLS))
    assert first.listings == {symbol: listing(symbol, read_at=NOW) for symbol in SYMBOLS}
    assert [record.listing.symbol for record in first.read] == ["AAPL", "MSFT"]
    scene.later(3600)
    second = keep(scene, look(scene, *SYMBOLS, "JPM"))
    assert second.listings["AAPL"].read_at == NOW
    assert scene.venue.asked_listings == [SYMBOLS, ("JPM",)]
    scene.venue.now += timedelta(days=1)
    assert look(scene, *SYMBOLS).listings["AAPL"].read_at == scene.venue.now
    assert scene.venue.asked_listings[2:] == [SYMBOLS]


def test_a_day_is_the_venues_and_not_a_date_of_a_calendar() -> None:
    """A session that is open over midnight is one day, and two that meet in the morning are two."""
    scene = Scene()
    night = Session(NOW.date(), NOW, NOW + timedelta(hours=20))
    scene.ledger.put_sessions([night, Session(night.close.date(), night.close, night.close + timedelta(hours=9))])
    keep(scene, look(scene, "AAPL"))
    scene.venue.now = night.close - timedelta(hours=1)
    assert (scene.venue.now.date() != NOW.date(), look(scene, "AAPL").read) == (True, ())
    scene.venue.now = night.close
    assert [record.listing.symbol for record in look(scene, "AAPL").read] == ["AAPL"]


def test_margin_that_was_not_told_is_asked_for_again_in_an_account_that_has_any() -> None:
    scene = Scene()
    known = replace(listing("AAPL"), margin_levels=(MarginLevel(Decimal(0), Decimal("0.1"), Decimal("0.09")),))
    keep(scene, look(scene, "AAPL"))
    scene.venue.capabilities = replace(scene.venue.capabilities, settlement=Settlement.MARGINED)
    assert look(scene, "AAPL").listings["AAPL"].margin_levels == ()
    scene.venue.listed["AAPL"] = known
    assert keep(scene, look(scene, "AAPL")).listings["AAPL"].margin_levels == known.margin_levels
    look(scene, "AAPL")
    assert scene.venue.asked_listings == [("AAPL",)] * 3


def test_what_an_order_was_refused_in_is_read_again_by_the_next_pass_and_once() -> None:
    scene = Scene()
    scene.venue.script["AAPL"] = REJECTED
    trade_once(scene.world(wanted("AAPL")), call())
    read = len(scene.venue.asked_listings)
    scene.venue.script.clear()
    for number in range(3):
        scene.later(60)
        trade_once(scene.world(wanted("AAPL")), call(slot=f"open+{31 + number}m"))
    assert scene.venue.asked_listings[read:] == [("AAPL",)]


def test_what_is_due_besides_is_read_only_if_something_has_to_be_read() -> None:
    scene = Scene()
    keep(scene, look(scene, "AAPL"))
    assert look(scene, "AAPL", besides=SYMBOLS).read == ()
    found = keep(scene, look(scene, "JPM", besides=(*SYMBOLS, "JPM")))
    assert ([record.listing.symbol for record in found.read], scene.venue.asked_listings[1:]) == (
        ["JPM", "MSFT"],
        [("JPM", "MSFT")],
    )


def test_a_venue_that_does_not_answer_leaves_what_is_kept_in_force() -> None:
    scene = Scene()
    keep(scene, look(scene, "AAPL"))
    scene.venue.now += timedelta(days=1)
    scene.venue.lists_nothing_now = True
    found = look(scene, *SYMBOLS)
    assert (found.listings, found.read, found.unlisted) == ({"AAPL": listing("AAPL", read_at=NOW)}, (), frozenset())


def test_what_is_listed_no_more_stays_in_force_and_is_said_to_be_unlisted() -> None:
    scene = Scene()
    keep(scene, look(scene, *SYMBOLS))
    scene.venue.now += timedelta(days=1)
    scene.venue.unlisted = {"AAPL", "GONE"}
    found = look(scene, *SYMBOLS, "GONE")
    assert (found.unlisted, found.listings["AAPL"].read_at) == (frozenset({"AAPL", "GONE"}), NOW)
    assert "GONE" not in found.listings


def holding(scene: Scene | None = None) -> Scene:
    """Return a bot that has bought AAPL, with what it read of it in its books."""
    scene = scene or Scene()
    trade_once(scene.world(wanted("AAPL")), call())
    scene.venue.fill(scene.venue.submitted[-1].client_order_id, "100")
    scene.later(60)
    exits(scene, "open+31m")
    assert kinds(compared(scene)) == []
    return scene


def exits(scene: Scene, slot: str) -> None:
    evaluate_exits(scene.world(), call(Job.EVALUATE_EXITS, slot))


def next_day(scene: Scene, days: int = 1) -> None:
    session, step = scene.venue.session, timedelta(days=days)
    scene.venue.session = Session(session.date + step, session.open + step, session.close + step)
    scene.ledger.put_sessions([scene.venue.session])
    scene.later(int(step.total_seconds()))


def only(scene: Scene, kind: FindingKind) -> Finding:
    (found,) = compared(scene).findings
    assert found.kind is kind
    return found


LARGER = (TickStep(Decimal(0), Decimal("0.05")),)


@pytest.mark.parametrize("passed", [False, True], ids=["found by the comparison", "found by a pass before"])
def test_changed_terms_are_a_finding_on_their_day_and_no_longer(passed: bool) -> None:
    scene = holding()
    next_day(scene)
    scene.venue.listed["AAPL"] = listing(ticks=LARGER, minimum=Decimal(2))
    if passed:
        exits(scene, "next day")
    found = only(scene, CHANGED)
    assert (found.subject, found.blocking, found.applicable) == ("AAPL", False, False)
    assert found.evidence == ("tick 0.0001, 0.01 from 1, now 0.05", "minimum 1, now 2")
    exits(scene, "next day again")
    scene.later(3600)
    assert only(scene, CHANGED).evidence == found.evidence
    next_day(scene)
    assert kinds(compared(scene)) == []


def test_a_symbol_that_is_not_held_is_told_of_too_once_a_pass_has_read_it() -> None:
    scene = Scene()
    trade_once(scene.world(), call())
    trade_once(scene.world(wanted("AAPL")), call(slot="open+35m"))
    next_day(scene)
    scene.venue.listed["XOM"] = listing("XOM", lot=Decimal(10))
    trade_once(scene.world(wanted("JPM")), call(slot="next day"))
    assert [(f.subject, f.evidence) for f in compared(scene).findings if f.kind is CHANGED] == [
        ("XOM", ("lot 1, now 10",))
    ]


def test_our_orders_that_no_longer_fit_are_named_for_as_long_as_they_work() -> None:
    scene = Scene()
    trade_once(scene.world(wanted("AAPL")), call())
    (order,) = scene.venue.book.values()
    assert order.limit_price == Decimal("100.20")
    scene.later(60)
    exits(scene, "open+31m")
    next_day(scene)
    scene.venue.listed["AAPL"] = listing(ticks=(TickStep(Decimal(0), Decimal("0.25")),), lot=Decimal(10))
    trade_once(scene.world(wanted("JPM")), call(slot="next day"))
    name = order.client_order_id
    unfit = (f"order {name}: 100.20 is off the tick", f"order {name}: {order.quantity:f} isn't a whole number of lots")
    next_day(scene)
    assert [f.evidence[2:] for f in compared(scene).findings if f.kind is CHANGED] == [unfit]
    told = [details["orders"] for details in scene.told("instrument_changed")]
    assert told == ["; ".join(unfit)]
    scene.venue.book[order.client_order_id] = replace(order, status=OrderStatus.CANCELED, updated_at=scene.venue.now)
    assert CHANGED not in kinds(compared(scene))


@pytest.mark.parametrize("changes", [{"multiplier": Decimal(10)}, {"currency": "EUR"}], ids=str)
def test_a_position_whose_units_are_worth_something_else_stays_a_finding_until_it_is_closed(
    changes: dict[str, Any],
) -> None:
    scene = holding()
    for terms in (changes, {**changes, "lot": Decimal(7)}):
        next_day(scene)
        scene.venue.listed["AAPL"] = listing(**terms)
        trade_once(scene.world(), call(slot=f"{scene.venue.now:%d}"))
    next_day(scene)
    assert only(scene, CHANGED).evidence[-1] == "the position was opened when the multiplier was 1 USD"
    scene.ledger.apply_fills([sold(scene)], scene.venue.now)
    scene.venue.held = {}
    assert CHANGED not in kinds(compared(scene))


def sold(scene: Scene) -> OwnedFill:
    (position,) = scene.ledger.totals().own_positions()
    return fill(99, side=Side.SELL, quantity=f"{position.quantity:f}", price="100", at=scene.venue.now)


def test_a_position_that_the_venue_does_not_list_is_a_finding() -> None:
    scene = holding()
    next_day(scene)
    scene.venue.unlisted = {"AAPL"}
    found = only(scene, UNKNOWN)
    assert (found.subject, found.ours, found.blocking) == ("AAPL", scene.venue.held["AAPL"], False)


def test_a_comparison_writes_no_listing() -> None:
    scene = Scene()
    scene.ledger.apply_fills([fill(1, at=ago(60))], NOW)
    scene.venue.held = {"AAPL": Decimal(10)}
    compared(scene)
    assert (scene.venue.asked_listings, scene.ledger.listings()) == ([("AAPL",)], {})


def with_forgotten_pair() -> Scene:
    """Return a bot whose position a pair protects that its older books, which list nothing, never promised."""
    scene = protected_scene()
    entered(scene)
    compared(scene)
    older = deepcopy(scene.ledger)
    exits(scene, "open+31m")
    scene.ledger = older
    scene.ledger.tables.listings.drop("AAPL")
    scene.later(60)
    assert kinds(compared(scene)) == [FindingKind.UNKNOWN_PAIR]
    return scene


def test_a_pair_of_an_earlier_copy_is_taken_over_with_its_instrument_as_it_is_listed() -> None:
    scene = with_forgotten_pair()
    scene.venue.listed["AAPL"] = listing(tick=Decimal("0.05"))
    assert accepted(scene).findings == ()
    (pair,) = (record.intent for record in scene.ledger.intents() if record.intent.protects)
    assert pair.instrument == scene.venue.listed["AAPL"].instrument


def test_a_pair_is_not_taken_over_in_what_the_venue_does_not_list() -> None:
    scene = with_forgotten_pair()
    scene.venue.unlisted = {"AAPL"}
    with pytest.raises(OperatorError, match="the broker doesn't list AAPL") as refused:
        accepted(scene)
    assert refused.value.code is ExitCode.REFUSED
    assert [record for record in scene.ledger.intents() if record.intent.protects] == []
