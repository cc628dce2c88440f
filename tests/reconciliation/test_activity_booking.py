"""What the broker's activities write into the books: money is conserved, and what they do not prove waits."""

from datetime import timedelta
from decimal import Decimal
from fractions import Fraction
from itertools import product

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.kit.core.scene import Scene
from tests.kit.core.venue import FakeReader
from tests.kit.values import CASH, NOW, VENUE_DAY, ago, best_price, fill
from tests.reconciliation.comparing import accepted, kinds
from tradebot.adapters.text.activity_types import meaning_of
from tradebot.model.account import Activity, BrokerPosition
from tradebot.model.candidate import Side
from tradebot.model.finding import FindingKind
from tradebot.model.instrument import AssetClass
from tradebot.model.position import Marks, Origin, OwnedFill, Position
from tradebot.model.struct_tools import replace
from tradebot.model.totals import Totals
from tradebot.model.venue import Settlement
from tradebot.reconciliation.activity_booking import BooksBefore, book_all, ratio_of
from tradebot.reconciliation.read_books import read_books
from tradebot.reconciliation.reconcile import Reconciled, reconcile

AT = ago(300)
D = Decimal
DAY_S = 86_400


def activity(
    kind: str,
    symbol: str | None = "AAPL",
    quantity: str | None = None,
    *,
    net: str = "0",
    price: str | None = None,
    sub: str = "",
    number: int = 1,
) -> Activity:
    """Return an activity of four minutes ago, after the position was opened."""
    amount, cost = None if quantity is None else D(quantity), None if price is None else D(price)
    return Activity(f"2026::{number}", kind, sub, symbol, amount, cost, D(net), ago(240), meaning_of(kind, sub))


def holding(quantity: str = "10", price: str = "100", symbol: str = "AAPL", strategy: str = "flow") -> Scene:
    """Return books and a broker that hold the same, bought when the other fills of these tests were."""
    scene = Scene()
    if D(quantity):
        buy(scene, 1, quantity, price, symbol, strategy)
    return scene


def buy(scene: Scene, number: int, quantity: str, price: str, symbol: str = "AAPL", strategy: str = "flow") -> None:
    signed = D(quantity)
    side = Side.BUY if signed > 0 else Side.SELL
    told = fill(number, symbol, side, str(abs(signed)), price, strategy=strategy, at=AT)
    # The venue's book, which is empty, gives its orders the numbers from 1 on.
    told = replace(told, fill=replace(told.fill, venue_order_id=f"earlier-{number}"))
    scene.ledger.apply_fills([told], AT)
    scene.venue.cash -= signed * D(price)
    scene.venue.held[symbol] = scene.venue.held.get(symbol, D(0)) + signed


def happens(scene: Scene, *rows: Activity, averages: dict[str, str] | None = None) -> Reconciled:
    """Let the broker feel what it tells, and compare."""
    for row in rows:
        scene.venue.happened.append(row)
        scene.venue.cash += row.net_amount
        if row.symbol is not None and row.quantity is not None and row.kind != "DIV":
            scene.venue.held[row.symbol] = scene.venue.held.get(row.symbol, D(0)) + row.quantity
    scene.venue.averages |= {symbol: D(price) for symbol, price in (averages or {}).items()}
    return reconcile(FakeReader(scene.venue), scene.ledger)


def own(scene: Scene, symbol: str = "AAPL") -> Position:
    return scene.ledger.totals().positions["flow", symbol]


@pytest.mark.parametrize(
    "row",
    [
        activity("DIV", quantity="10", net="12.50", sub="CDIV"),
        activity("FEE", None, net="-0.03"),
        activity("JNLC", None, net="500"),
        activity("CSW", None, net="-500"),
        activity("INT", None, net="-1.17"),
    ],
    ids=lambda row: row.kind,
)
def test_cash_that_an_activity_moved_is_booked_once_and_leaves_nothing_to_find(row: Activity) -> None:
    scene = holding()
    found = happens(scene, row)
    assert (found.findings, found.bookings) == ((), 1)
    assert scene.ledger.cash_adjustments() == row.net_amount
    again = happens(scene)
    assert (again.findings, again.bookings, scene.ledger.cash_adjustments()) == ((), 0, row.net_amount)
    assert [(entry.kind, entry.words) for entry in scene.ledger.booked().values()] == [(row.kind, row.words)]


@pytest.mark.parametrize(
    ("rows", "symbol", "quantity", "average"),
    [
        ([activity("SPLIT", quantity="10")], "AAPL", 20, 50),
        ([activity("NC", quantity="-10"), activity("NC", "PEAR", "10", number=2)], "PEAR", 10, 100),
        ([activity("MA", quantity="-10", price="103", net="51500")], "AAPL", 0, 0),
    ],
    ids=lambda row: row[0].kind if isinstance(row, list) else "",
)
def test_activity_moves_contracts_with_their_multiplier_and_no_cash_beside(
    rows: list[Activity], symbol: str, quantity: int, average: int
) -> None:
    bought = fill(1, at=AT, multiplier="50")
    held = BrokerPosition(symbol, AssetClass.UNKNOWN, D(quantity), D(average), None, multiplier=D(50))
    (booking,) = book_all(BooksBefore((bought,), {}), {symbol: held} if quantity else {}, rows, VENUE_DAY).proven
    assert {owned.fill.multiplier for owned in booking.fills} == {50}
    assert [entry.amount for entry in booking.entries] == [0] * len(rows)
    totals = Totals.of(sorted((bought, *booking.fills), key=lambda owned: owned.fill.at))
    assert totals.cost == (50_000 if quantity else 0)
    assert totals.realized_usd == (0 if quantity else 1_500)


def test_cash_that_comes_while_the_broker_is_being_read_is_no_difference() -> None:
    scene = holding()
    reader, before = FakeReader(scene.venue), scene.venue.view()
    scene.venue.happened.append(activity("JNLC", None, net="500"))
    scene.venue.cash += 500
    views = [before, scene.venue.view()]
    reader.view = lambda: views.pop(0)
    assert (reconcile(reader, scene.ledger).findings, views) == ((), [])


def test_what_happened_before_the_books_began_is_part_of_their_opening_balance() -> None:
    scene = holding()
    scene.venue.happened.append(replace(activity("DIV", net="12.50"), at=ago(601)))
    assert (happens(scene).findings, scene.ledger.cash_adjustments()) == ((), D(0))


def test_an_activity_that_was_taken_back_is_not_booked() -> None:
    scene = holding()
    scene.venue.happened.append(replace(activity("DIV", net="12.50"), executed=False))
    assert (happens(scene).findings, scene.ledger.cash_adjustments()) == ((), D(0))


@pytest.mark.parametrize(
    ("quantity", "change", "average", "left"),
    [("10", "10", "50", "10"), ("-10", "-10", "50", "-10"), ("10", "5", "66.67", "10"), ("100", "-90", "1000", "100")],
)
def test_a_split_restates_lots_average_and_best_price_and_the_position_is_no_younger(
    quantity: str, change: str, average: str, left: str
) -> None:
    scene = holding(quantity)
    before = own(scene)
    scene.ledger.put_marks({("flow", "AAPL", before.opened_at): Marks(D(120), None)})
    found = happens(scene, activity("SPLIT", quantity=change), averages={"AAPL": average})
    after, ratio = own(scene), (D(quantity) + D(change)) / D(quantity)
    assert (found.findings, found.bookings) == ((), 1)
    assert after.quantity == before.quantity * ratio
    assert abs(after.cost - before.cost) < D("1e-9")
    assert (after.realized_pnl, after.opened_at) == (D(0), before.opened_at)
    assert best_price(scene.ledger, "flow", "AAPL", before.opened_at) == D(120) / ratio


def close_some(scene: Scene, number: int, quantity: str, price: str, symbol: str = "AAPL") -> None:
    """Close a part of the position, a minute after it was opened."""
    signed = D(quantity)
    side = Side.BUY if signed > 0 else Side.SELL
    scene.ledger.apply_fills([fill(number, symbol, side, str(abs(signed)), price, at=ago(270))], ago(270))
    scene.venue.cash -= signed * D(price)
    scene.venue.held[symbol] += signed


@pytest.mark.parametrize("side", [1, -1])
def test_a_split_changes_the_original_quantity_by_its_ratio_and_a_new_name_keeps_it(side: int) -> None:
    scene = holding(str(90 * side))
    close_some(scene, 2, str(-20 * side), "110")
    assert own(scene).original_quantity == 90
    happens(scene, activity("SPLIT", quantity=str(140 * side)), averages={"AAPL": "33.333333333"})
    split = own(scene)
    assert (split.quantity, split.original_quantity, split.entry_cost) == (D(210 * side), D(270), D(9000))
    assert split.lost_quantity == (0 if side > 0 else 60), "a short that was closed at 110 lost"
    rows = [activity("NC", quantity=str(-210 * side), number=2), activity("NC", "PEAR", str(210 * side), number=3)]
    found = happens(scene, *rows)
    renamed, old = own(scene, "PEAR"), own(scene)
    assert (found.findings, renamed.quantity, renamed.original_quantity) == ((), D(210 * side), D(270))
    assert [(lot.quantity, lot.price) for lot in renamed.lots] == [(lot.quantity, lot.price) for lot in split.lots]
    assert (renamed.opened_at, renamed.realized_pnl, old.realized_pnl) == (split.opened_at, D(0), split.realized_pnl)
    (trip,) = scene.ledger.totals().round_trips
    assert (trip.symbol, trip.profit) == ("AAPL", D(200 * side))
    rows = [activity("NC", "PEAR", str(-210 * side), number=4), activity("NC", "PLUM", str(210 * side), number=5)]
    assert happens(scene, *rows).findings == ()
    buy(scene, 3, str(30 * side), "40", "PLUM")
    assert own(scene, "PLUM").original_quantity == 300
    assert len(scene.ledger.totals().round_trips) == 1


def test_the_fraction_that_a_reverse_split_leaves_is_closed_at_what_the_broker_paid_for_it() -> None:
    scene = holding("5", "100")
    rows = (activity("SPLIT", quantity="-3"), activity("SPLIT", net="95", number=2))
    found = happens(scene, *rows, averages={"AAPL": "200"})
    position = own(scene)
    assert found.findings == ()
    assert (position.quantity, position.average_price, position.realized_pnl) == (D(2), D(200), D("0.5") * (190 - 200))


@pytest.mark.parametrize("side", [1, -1])
@pytest.mark.parametrize("quantity", [1, 9, 10, 14, 27])
def test_a_reverse_split_books_whatever_it_leaves_with_its_profit_in_the_same_way(quantity: int, side: int) -> None:
    scene = holding(str(side * quantity), "100")
    whole, rest = divmod(quantity, 10)
    paid = side * D(rest) / 10 * 1100
    rows = [activity("SPLIT", quantity=str(side * (whole - quantity)), sub="RSPLIT")]
    rows += [activity("SPLIT", net=str(paid), sub="RSPLIT", number=2)] if rest else []
    found = happens(scene, *rows, averages={"AAPL": "1000"} if whole else {})
    assert (kinds(found), found.plan) == ([], None)
    left = own(scene)
    assert (left.quantity, left.realized_pnl) == (D(side * whole), D(side * rest * 10))


def test_a_fraction_that_is_paid_later_stands_at_cost_until_then() -> None:
    scene = holding("5", "100")
    assert happens(scene, activity("SPLIT", quantity="-3"), averages={"AAPL": "200"}).findings == ()
    assert (own(scene).quantity, own(scene).average_price) == (D(2), D(200))
    assert happens(scene, activity("SPLIT", net="95", number=2)).findings == ()


@pytest.mark.parametrize("average", ["100", "73"])
def test_a_split_whose_ratio_the_average_price_does_not_bear_out_waits_for_a_person(average: str) -> None:
    scene = holding("5", "100")
    found = happens(scene, activity("SPLIT", quantity="-3"), averages={"AAPL": average})
    assert kinds(found) == [FindingKind.SPLIT]
    (finding,) = found.findings
    assert (finding.blocking, finding.evidence) == (True, ("SPLIT AAPL -3 shares of 2026-11-16",))
    after = accepted(scene, found)
    assert (after.findings, after.doubtful) == ((), ())
    assert (own(scene).quantity, own(scene).cost) == (D(2), D(500))


def test_a_plan_for_a_split_leaves_no_rest_of_rounding() -> None:
    scene = holding("1")
    buy(scene, 2, "2", "100", strategy="other")
    found = happens(scene, activity("SPLIT", quantity="7"), averages={"AAPL": "77"})
    assert kinds(found) == [FindingKind.SPLIT]
    assert accepted(scene, found).findings == ()
    assert scene.ledger.fills()[-1].fill.quantity == D("1e-9")


def test_a_split_of_shared_shares_waits_for_a_plan_that_restates_each_owner() -> None:
    scene = holding("10")
    scene.ledger.acknowledge("AAPL", D(4), "older", AT, origin=Origin.PLAN)
    scene.venue.held["AAPL"] += 4
    found = happens(scene, activity("SPLIT", quantity="14"), averages={"AAPL": "50"})
    assert kinds(found) == [FindingKind.SPLIT]
    assert accepted(scene, found).findings == ()
    assert (own(scene).quantity, own(scene).average_price, scene.ledger.acknowledged()) == (
        D(20),
        D(50),
        {"AAPL": D(8)},
    )


@pytest.mark.parametrize(
    ("ours", "theirs", "change", "kind"),
    [("10", "6", "8", []), ("10", "5", "7", [FindingKind.SPLIT]), ("3", "5", "4", [FindingKind.SPLIT])],
)
def test_a_split_is_shared_between_two_owners_where_each_has_whole_shares(
    ours: str, theirs: str, change: str, kind: list[FindingKind]
) -> None:
    scene = holding(ours)
    buy(scene, 2, theirs, "100", strategy="other")
    found = happens(scene, activity("SPLIT", quantity=change), averages={"AAPL": "66.67"})
    held = scene.ledger.totals().positions
    assert kinds(found) == kind
    if not kind:
        assert (held["flow", "AAPL"].quantity, held["other", "AAPL"].quantity) == (D(15), D(9))


def test_a_split_from_before_the_position_was_opened_does_not_touch_it() -> None:
    scene = holding("10")
    early = replace(activity("SPLIT", quantity="7"), at=ago(400))
    scene.venue.happened.append(early)
    assert (happens(scene).findings, own(scene).quantity) == ((), D(10))


@pytest.mark.parametrize("quantity", ["10", "-10"])
def test_a_new_name_carries_lots_age_and_best_price_over(quantity: str) -> None:
    scene = holding(quantity)
    buy(scene, 2, quantity, "104")
    before = own(scene)
    scene.ledger.put_marks({("flow", "AAPL", before.opened_at): Marks(D(120), None)})
    gone = activity("NC", quantity=str(-before.quantity), sub="SNC")
    come = activity("NC", "PEAR", str(before.quantity), sub="SNC", number=2)
    found = happens(scene, gone, come)
    after = own(scene, "PEAR")
    assert (found.findings, own(scene).quantity, own(scene).realized_pnl) == ((), D(0), D(0))
    assert [(lot.quantity, lot.price) for lot in after.lots] == [(lot.quantity, lot.price) for lot in before.lots]
    assert after.opened_at == before.opened_at
    assert best_price(scene.ledger, "flow", "PEAR", after.opened_at) == 120


@pytest.mark.parametrize("happened", [*product(("split", "rename"), repeat=2), ("rename", "split", "rename")])
def test_splits_and_new_names_of_several_nights_that_were_slept_through_are_booked_together(
    happened: tuple[str, ...],
) -> None:
    began, shares, name, rows = ago(10 * DAY_S), D(8), "AAPL", list[Activity]()
    held = BooksBefore((fill(1, name, Side.BUY, "8", "100", strategy="flow", at=began),), {})
    for night, what in enumerate(happened):
        new = name if what == "split" else f"{name}X"
        kind, moved = ("SPLIT", [(name, shares)]) if what == "split" else ("NC", [(name, -shares), (new, shares)])
        for part, (symbol, change) in enumerate(moved):
            row = activity(kind, symbol, str(change), number=10 * night + part)
            rows.append(replace(row, at=ago((5 - night) * DAY_S)))
        name, shares = new, shares * 2 if what == "split" else shares
    broker = {name: BrokerPosition(name, AssetClass.US_EQUITY, shares, 800 / shares, None)}
    booked = book_all(held, broker, rows, VENUE_DAY)
    for booking in booked.proven:
        held = held.after(booking)
    (after,) = held.positions(name, NOW)
    assert (after.quantity, after.cost, after.opened_at) == (shares, D(800), began)
    assert not booked.doubtful


def test_two_new_names_of_one_day_with_the_same_shares_are_not_guessed() -> None:
    scene = holding("10")
    buy(scene, 2, "10", "50", "MSFT")
    rows = [
        activity("NC", symbol, shares, number=n)
        for n, (symbol, shares) in enumerate((("AAPL", "-10"), ("PEAR", "10"), ("MSFT", "-10"), ("HARD", "10")))
    ]
    found = happens(scene, *rows)
    assert {f.subject: f.kind for f in found.findings} == {
        "AAPL": FindingKind.RENAME,
        "MSFT": FindingKind.RENAME,
        "PEAR": FindingKind.FOREIGN_POSITION,
        "HARD": FindingKind.FOREIGN_POSITION,
    }
    assert {f.subject: f.evidence for f in found.findings}["PEAR"] == ("NC PEAR +10 shares of 2026-11-16",)


def test_two_names_that_went_and_one_that_came_with_the_same_shares_are_not_guessed() -> None:
    scene = holding("10")
    buy(scene, 2, "10", "50", "MSFT")
    rows = [
        activity("NC", symbol, shares, number=n)
        for n, (symbol, shares) in enumerate((("AAPL", "-10"), ("MSFT", "-10"), ("PEAR", "10")))
    ]
    assert (happens(scene, *rows).bookings, own(scene).quantity) == (0, D(10))


@pytest.mark.parametrize(
    ("rows", "kind"),
    [
        ([activity("SPLIT", quantity="10")], FindingKind.SPLIT),
        ([activity("MA", quantity="-10", net="1300", price="130")], FindingKind.SIDE),
        ([activity("NC", quantity="-10"), activity("NC", "PEAR", "10", number=2)], FindingKind.SIDE),
    ],
    ids=("split", "merger", "rename"),
)
def test_an_activity_that_the_brokers_shares_contradict_is_not_booked(rows: list[Activity], kind: FindingKind) -> None:
    scene = holding("10")
    scene.venue.held["AAPL"] -= 2
    found = happens(scene, *rows, averages={"AAPL": "50"})
    assert (found.bookings, own(scene).quantity, len(found.doubtful)) == (0, D(10), len(rows))
    assert {f.subject: f.kind for f in found.findings}["AAPL"] is kind


def test_two_activities_of_one_comparison_may_explain_a_difference_together() -> None:
    scene = holding("7", strategy="")
    came = activity("JNLS", quantity="5", price="90")
    trade = activity("OPTRD", quantity="100", price="90", net="-9000", number=2)
    found = happens(scene, came, trade)
    assert (kinds(found), found.bookings, found.doubtful) == ([FindingKind.EXPIRY], 2, ())


def test_shares_that_are_bought_out_are_closed_at_the_price_of_the_merger() -> None:
    scene = holding("10")
    found = happens(scene, activity("MA", quantity="-10", net="1300", price="130", sub="CMA"))
    assert (found.findings, own(scene).quantity, own(scene).realized_pnl) == ((), D(0), D(300))


def test_an_assignment_brings_shares_that_are_somebody_elses_and_shuts_nothing() -> None:
    scene = holding("10", symbol="JPM")
    scene.ledger.acknowledge("MSFT261120P00900000", D(-1), "mine", AT, origin=Origin.PLAN)
    scene.venue.held["MSFT261120P00900000"] = D(-1)
    ends = activity("OPASN", "MSFT261120P00900000", "1")
    trade = activity("OPTRD", "MSFT", "100", price="90", net="-9000", number=2)
    found = happens(scene, ends, trade)
    (finding,) = found.findings
    assert (finding.kind, finding.subject, finding.blocking) == (FindingKind.EXPIRY, "MSFT", False)
    assert (finding.evidence, found.plan) == (("OPTRD MSFT +100 shares -9000 USD of 2026-11-16",), None)
    assert scene.ledger.acknowledged() == {}


def test_shares_of_ours_that_an_assignment_took_are_an_offset_that_a_person_settles() -> None:
    scene = holding("10", "100")
    found = happens(scene, activity("OPTRD", "AAPL", "-10", price="90", net="900"))
    assert kinds(found) == [FindingKind.OFFSET]
    after = accepted(scene, found)
    assert (after.findings, own(scene).realized_pnl) == ((), D(-100))


@pytest.mark.parametrize(("kind", "sub"), [("JNLS", ""), ("DIV", "SDIV"), ("ACATS", "")])
def test_shares_of_ours_that_came_or_went_otherwise_wait_with_their_evidence(kind: str, sub: str) -> None:
    scene = holding("10")
    scene.venue.held["AAPL"] = D(7)
    scene.venue.happened.append(activity(kind, quantity="-3", sub=sub))
    found = happens(scene)
    assert (kinds(found), found.bookings) == ([FindingKind.QUANTITY], 0)
    assert found.findings[0].evidence[0].startswith(kind)
    after = accepted(scene, found)
    assert (after.findings, after.doubtful, own(scene).quantity) == ((), (), D(7))


def test_notes_about_foreign_shares_follow_the_brokers_activities() -> None:
    scene = Scene()
    scene.ledger.acknowledge("XOM", D(8), "older", AT, origin=Origin.PLAN)
    scene.venue.held["XOM"] = D(8)
    assert happens(scene, activity("SPLIT", "XOM", "8")).findings == ()
    assert scene.ledger.acknowledged() == {"XOM": D(16)}
    assert happens(scene, activity("JNLS", "XOM", "-16", number=2)).findings == ()
    assert scene.ledger.acknowledged() == {}


lots = st.lists(st.tuples(st.integers(1, 400), st.integers(100, 90_000)), min_size=1, max_size=4)
ratios = st.sampled_from([(2, 1), (3, 2), (3, 1), (10, 1), (7, 5), (1, 2), (1, 10), (2, 3), (1, 25)])


@given(lots=lots, ratio=ratios, short=st.booleans(), paid=st.booleans())
def test_a_split_makes_and_loses_no_money_whatever_its_ratio(
    lots: list[tuple[int, int]], ratio: tuple[int, int], short: bool, paid: bool
) -> None:
    new, old = ratio
    sign, quantity = -1 if short else 1, sum(lot for lot, _ in lots)
    told = [
        fill(n, side=Side.SELL if short else Side.BUY, quantity=str(q), price=str(D(cents) / 100), at=AT)
        for n, (q, cents) in enumerate(lots)
    ]
    before = Totals.of(told).positions["flow", "AAPL"]
    kept, rest = divmod(quantity * new, old)
    if not kept:
        return
    average = before.average_price * old / new
    in_lieu = (D(rest) / D(old) * average * sign).quantize(D("0.01")) if paid else D(0)
    rows = [activity("SPLIT", quantity=str(sign * (kept - quantity)), number=1)]
    rows += [activity("SPLIT", net=str(in_lieu), number=2)] if in_lieu else []
    broker = {"AAPL": BrokerPosition("AAPL", AssetClass.US_EQUITY, D(sign * kept), average, None)}
    booked = book_all(BooksBefore(tuple(told), {}), broker, rows, VENUE_DAY)
    fills = (*told, *(owned for booking in booked.proven for owned in booking.fills))
    moved = sum((entry.amount for booking in booked.proven for entry in booking.entries), D(0))
    if not booked.proven:
        assert booked.doubtful == tuple(rows)
        return
    after = Totals.of(sorted(fills, key=lambda owned: owned.fill.at)).positions["flow", "AAPL"]
    assert after.quantity == sign * kept
    assert abs(
        Totals.of(fills).cash(CASH, Settlement.PAID) + moved - Totals.of(told).cash(CASH, Settlement.PAID) - in_lieu
    ) < D("1e-8")
    assert after.opened_at == before.opened_at
    assert len(lots) > 1 or abs(after.average_price / average - 1) < D("1e-6")
    assert abs(after.cost + in_lieu - before.cost - after.realized_pnl) < D("0.011") or not paid


@pytest.mark.parametrize(
    ("before", "after", "average", "theirs", "ratio"),
    [
        (10, 20, "100", "50", Fraction(2)),
        (13, 19, "90", "60", Fraction(3, 2)),
        (10, 1, "100", "1000", Fraction(1, 10)),
        (10, 1, "100", "600", Fraction(1, 6)),
        (10, 20, "100", "100", None),
        (10, -20, "100", "50", None),
        (10, 10, "100", "100", None),
        (10, 20, "100", "0", None),
    ],
)
def test_the_ratio_is_the_simplest_that_shares_and_average_prices_bear_out(
    before: int, after: int, average: str, theirs: str, ratio: Fraction | None
) -> None:
    assert ratio_of(D(before), D(after), D(average), D(theirs)) == ratio


def test_a_split_that_was_booked_late_counts_from_when_it_happened() -> None:
    scene = holding("10")
    sold = fill(9, side=Side.SELL, quantity="5", price="60", at=NOW)
    scene.venue.happened.append(activity("SPLIT", quantity="10"))
    scene.ledger.apply_fills([OwnedFill("flow", replace(sold.fill, at=NOW - timedelta(seconds=30)))], NOW)
    scene.venue.held["AAPL"], scene.venue.averages["AAPL"] = D(15), D(50)
    scene.venue.cash += 300
    assert happens(scene).findings == ()
    assert (own(scene).quantity, own(scene).average_price, own(scene).realized_pnl) == (D(15), D(50), D(50))
    assert read_books(scene.ledger, NOW, VENUE_DAY).cash == scene.venue.cash


@pytest.mark.parametrize("side", [1, -1])
@pytest.mark.parametrize(("before", "after", "paid"), [("4", "2", "0"), ("4", "8", "0"), ("5", "2", "95")])
def test_a_split_that_is_listed_once_all_its_shares_are_closed_is_booked_with_their_profit(
    side: int, before: str, after: str, paid: str
) -> None:
    scene, shares, left, cash = holding(str(side * D(before)), "100"), side * D(before), side * D(after), side * D(paid)
    price = 100 * D(before) / D(after)
    closes = Side.SELL if side > 0 else Side.BUY
    closing = fill(9, side=closes, quantity=after, price=str(price), at=NOW)
    scene.ledger.apply_fills([OwnedFill("flow", replace(closing.fill, at=NOW - timedelta(seconds=30)))], NOW)
    scene.venue.happened += [activity("SPLIT", quantity=str(left - shares), number=1)]
    scene.venue.happened += [activity("SPLIT", net=str(cash), number=2)] if cash else []
    scene.venue.held["AAPL"] = D(0)
    scene.venue.cash += left * price + cash
    assert happens(scene).findings == ()
    assert (own(scene).quantity, read_books(scene.ledger, NOW, VENUE_DAY).cash) == (D(0), scene.venue.cash)
    # 0.5 of a share of 200 was paid with 95, and all others were closed at what they had cost.
    assert abs(own(scene).realized_pnl - (left * price + cash - shares * 100)) < D("1e-6")


def test_a_split_is_not_booked_by_its_quantities_while_a_list_only_lacks_the_position() -> None:
    scene = holding("4", "100")
    scene.venue.happened.append(activity("SPLIT", quantity="-2"))
    scene.venue.held["AAPL"] = D(0)
    assert kinds(happens(scene)) != []
    assert own(scene).quantity == 4
