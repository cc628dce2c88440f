"""Faults 67 to 88: what the venue may answer. What is new harms nothing; what money depends on is exact or refused."""

from collections.abc import Sequence
from datetime import timedelta
from decimal import Decimal

import pytest
import requests

from papervenue.faults import fault_table
from tests.kit.adapters.alpaca import (
    account_row,
    fill_row,
    intent,
    order_row,
    orders,
    position_row,
    reader,
    view_of,
)
from tests.kit.bot.folder import Bot
from tests.kit.bot.real_money import writes
from tests.kit.core.scene import Scene, call, evaluate_exits, trade_once, wanted
from tests.kit.core.venue import FakeReader
from tests.kit.fakes.scripted import Asked, Script, Scripted, Wire
from tests.kit.values import NOW, ask, book, desk, quote
from tradebot.adapters.text.activity_types import meaning_of
from tradebot.adapters.wire.json_fields import DriftTally
from tradebot.errors import ExitCode, OperatorError, TemporaryError
from tradebot.gates.evaluation import decide
from tradebot.model.account import Activity
from tradebot.model.candidate import Purpose, Side
from tradebot.model.decision import Gate, Verdict
from tradebot.model.finding import FindingKind
from tradebot.model.order import OrderStatus, OrderType, Reply, WriteOutcome
from tradebot.model.position import FOREIGN
from tradebot.model.reasons import Reason
from tradebot.model.record import CycleRecord, Job
from tradebot.model.struct_tools import replace
from tradebot.reconciliation.reconcile import Reconciled, apply_plan, reconcile
from tradebot.venues.alpaca.orders import order_body
from tradebot.venues.alpaca.parsers import read_account, read_order, read_position


def compared(scene: Scene) -> Reconciled:
    """Return what a reconcile finds."""
    return reconcile(FakeReader(scene.venue), scene.ledger)


def kinds(scene: Scene) -> list[FindingKind]:
    """Return the kinds of what a reconcile finds."""
    return [finding.kind for finding in compared(scene).findings]


def blocking(scene: Scene) -> bool:
    """Tell whether a reconcile finds what keeps entries shut."""
    return any(finding.blocking for finding in compared(scene).findings)


def reasons(cycle: CycleRecord) -> list[Reason | None]:
    """Return why each candidate of a pass ended, None for one that was sent."""
    return [record.terminal.reason if record.terminal else None for record in cycle.candidates]


def holding(quantity: str = "10", price: str = "100") -> Scene:
    """Return a bot that has bought AAPL, by an order that filled, and knows of it."""
    scene = Scene()
    trade_once(scene.world(wanted("AAPL")), call())
    scene.later(60)
    (sent,) = scene.venue.submitted
    scene.venue.fill(sent.client_order_id, price, sent.quantity)
    assert kinds(scene) == []
    scene.later(60)
    return scene


def leaving(scene: Scene) -> CycleRecord:
    """Let the bot look at its exits with its one position far past its stop."""
    scene.price("AAPL", "90")
    return evaluate_exits(scene.world(), call(Job.EVALUATE_EXITS, "open+31m"))


def closes(scene: Scene) -> list[str]:
    """Return the symbols of the orders that were sent to close."""
    return [sent.instrument.symbol for sent in scene.venue.submitted if sent.purpose == "close"]


def test_fault_067_unknown_order_status(wire: Wire) -> None:
    """The order counts as working, because nothing says that it has ended; the word is counted as drift."""
    view_of(wire, orders=[order_row(status="restated")])
    tally = DriftTally()
    (order,) = reader(wire, tally).view().orders
    assert (order.status, order.status.terminal, order.open_quantity) == (OrderStatus.UNKNOWN, False, Decimal(10))
    assert [drift.field for drift in tally.counts] == ["status"]
    wire.answer(Scripted(200, order_row(status="restated")))
    assert orders(wire).submit(intent()).outcome is WriteOutcome.ACCEPTED


def test_fault_068_new_order_type(wire: Wire) -> None:
    """The order is read and counts in the book as it is; the word is counted as drift."""
    view_of(wire, orders=[order_row(type="iceberg", order_type="iceberg", client_order_id="by hand")])
    tally = DriftTally()
    view = reader(wire, tally).view()
    assert (view.orders[0].order_type, view.unreadable, len(tally.counts)) == (OrderType.UNKNOWN, 0, 1)


def test_fault_069_fields_of_day_trading_are_gone() -> None:
    """The account is complete with or without them: none of our rules uses them."""
    without, tally = read_account(account_row(), DriftTally()), DriftTally()
    dropped = {"pattern_day_trader": True, "daytrade_count": 9, "daytrading_buying_power": "0"}
    assert read_account(account_row(**dropped), tally) == without
    assert {drift.field for drift in tally.counts} == set(dropped)


@pytest.mark.parametrize("equity", ["0", "-1500.25"])
def test_fault_070_equity_null_zero_or_negative(wire: Wire, equity: str) -> None:
    """Null ends the pass with exit 2; at zero or below no entry passes, and exits continue."""
    view_of(wire, account=account_row(equity=None))
    with pytest.raises(OperatorError, match="equity is missing") as caught:
        reader(wire).view()
    assert caught.value.code is ExitCode.USAGE
    refused = decide(ask(book=book(equity=Decimal(equity), buying_power=Decimal(0))))
    assert Reason.EQUITY_UNKNOWN in [decision.reason for decision in refused if not decision.passed]
    scene = holding()
    scene.venue.cash += Decimal(equity) - scene.venue.account().equity
    assert None not in reasons(trade_once(scene.world(wanted("JPM")), call(slot="open+32m")))
    leaving(scene)
    assert closes(scene) == ["AAPL"]


def test_fault_071_quantity_of_nine_places(wire: Wire) -> None:
    """Every digit is kept, from the venue to the books and back; a billionth is a difference."""
    exact = read_position(position_row(qty="1.000000001"), DriftTally()).quantity
    assert exact == Decimal("1.000000001")
    assert order_body(intent(quantity=exact))["qty"] == "1.000000001"
    assert order_body(intent(quantity=Decimal("1E-9")))["qty"] == "0.000000001"
    scene = holding()
    scene.venue.held["AAPL"] += Decimal("0.000000001")
    assert FindingKind.QUANTITY in kinds(scene)


def test_fault_072_filled_without_an_average_price(wire: Wire) -> None:
    """The order can be read; its cost comes from its executions, and entries stay blocked until they are listed."""
    view_of(wire, orders=[order_row(status="filled", filled_qty="10", filled_avg_price=None)])
    assert reader(wire).view().orders[0].filled_average_price is None
    scene = Scene()
    trade_once(scene.world(wanted("AAPL")), call())
    scene.later(60)
    (sent,) = scene.venue.submitted
    scene.venue.fill(sent.client_order_id, "101.50")
    told = scene.venue.book[sent.client_order_id]
    scene.venue.book[sent.client_order_id] = replace(told, filled_average_price=None)
    executions, scene.venue.executions = scene.venue.executions, []
    assert blocking(scene)
    scene.venue.executions = executions
    assert kinds(scene) == []
    (position,) = scene.ledger.totals().positions.values()
    assert (position.quantity, position.average_price) == (sent.quantity, Decimal("101.50"))


def test_fault_073_more_filled_than_ordered(wire: Wire) -> None:
    """As the reply to an order it proves nothing; in a list the row is refused, which blocks entries."""
    wire.answer(Scripted(200, order_row(filled_qty="12")))
    assert (orders(wire).submit(intent()).outcome, wire.count("POST")) == (WriteOutcome.UNKNOWN, 1)
    view_of(wire, orders=[order_row(filled_qty="12")])
    view = reader(wire).view()
    assert (view.orders, view.unreadable) == ((), 1)
    refused = decide(ask(desk=desk(unreadable=view.unreadable)))
    assert [decision.reason for decision in refused if not decision.passed] == [Reason.VIEW_INCOMPLETE]


def test_fault_074_partly_filled_then_cancelled() -> None:
    """The filled part is held and managed, the rest is gone; the books and the broker agree."""
    scene = Scene()
    trade_once(scene.world(wanted("AAPL")), call())
    scene.later(60)
    (sent,) = scene.venue.submitted
    scene.venue.fill(sent.client_order_id, "100", Decimal(3))
    ended = replace(scene.venue.book[sent.client_order_id], status=OrderStatus.CANCELED, updated_at=scene.venue.now)
    scene.venue.book[sent.client_order_id] = ended
    assert kinds(scene) == []
    (position,) = scene.ledger.totals().positions.values()
    assert (position.quantity, position.strategy != FOREIGN) == (Decimal(3), True)
    assert scene.ledger.orders(working=True) == ()
    scene.later(60)
    leaving(scene)
    assert [(close.quantity, close.side) for close in scene.venue.submitted[1:]] == [(Decimal(3), Side.SELL)]


def test_fault_075_order_replaced_five_times() -> None:
    """The chain is followed to its end: the last order's fills are ours, and there are no findings."""
    scene = Scene()
    trade_once(scene.world(wanted("AAPL")), call())
    scene.later(60)
    (sent,) = scene.venue.submitted
    changed = sent
    for number in range(1, 6):
        target = scene.venue.book[changed.client_order_id].venue_id
        changed = replace(sent, client_order_id=f"by hand {number}", target_venue_id=target)
        assert scene.venue.replacement(changed).outcome is WriteOutcome.ACCEPTED
    assert Reason.ORDER_WORKING in reasons(trade_once(scene.world(wanted("AAPL")), call(slot="open+31m")))
    scene.venue.fill("by hand 5", "100", sent.quantity)
    assert kinds(scene) == []
    (position,) = scene.ledger.totals().positions.values()
    assert (position.strategy, position.quantity) == (sent.key.strategy, sent.quantity)


@pytest.mark.parametrize("nested", [False, True])
def test_fault_076_bracket_with_and_without_its_legs(wire: Wire, nested: bool) -> None:
    """Legs count as orders in the book, each once, whether they are listed inside their parent or beside it."""
    legs = [order_row(id=f"leg-{n}", client_order_id=f"leg-{n}", side="sell", status="held") for n in (1, 2)]
    done = order_row(id="leg-3", client_order_id="leg-3", side="sell", status="canceled")
    parent = order_row(order_class="bracket", client_order_id="by hand", legs=[*legs, done] if nested else None)
    view_of(wire, orders=[parent] if nested else [parent, *legs])
    view = reader(wire).view()
    assert [order.client_order_id for order in view.orders] == ["by hand", "leg-1", "leg-2"]
    assert view.unreadable == 0


def test_fault_077_held_leg(wire: Wire) -> None:
    """It counts as working: it may fill once its parent has filled."""
    order = read_order(order_row(status="held"), DriftTally())
    assert (order.status, order.status.terminal) == (OrderStatus.HELD, False)
    scene = Scene()
    other = Scene()
    trade_once(other.world(wanted("AAPL")), call())
    resting = scene.venue.rest("leg by hand", "AAPL", other.venue.submitted[0])
    scene.venue.book["leg by hand"] = replace(resting, status=OrderStatus.HELD)
    assert Reason.ORDER_WORKING in reasons(trade_once(scene.world(wanted("AAPL")), call()))


def paged(rows: Sequence[dict[str, object]], size: int = 100) -> Script:
    """Return a venue that lists rows in pages, each of which repeats the last row of the one before."""

    def venue(asked: Asked) -> Scripted:
        token = asked.query.get("page_token")
        start = [row["id"] for row in rows].index(token) if token else 0
        return Scripted(200, rows[start : start + size])

    return venue


def test_fault_078_activity_on_two_pages(wire: Wire) -> None:
    """It is one fill: its id counts once, on a page, across pages and across passes."""
    wire.script = paged([fill_row(number) for number in range(1, 251)])
    fills = reader(wire).fills(None)
    assert len(fills) == len({fill.activity_id for fill in fills}) == 250
    scene = holding()
    again = scene.venue.executions * 2
    scene.venue.executions = again
    before = scene.ledger.fills()
    assert kinds(scene) == []
    assert scene.ledger.fills() == before


def test_fault_079_pages_that_repeat_or_never_end(wire: Wire) -> None:
    """The pass ends with exit 5 after a repeated page, or after 200 pages: it never decides on partial data."""
    wire.answer(Scripted(200, [fill_row(number) for number in range(100)]))
    with pytest.raises(TemporaryError, match="repeats a page") as caught:
        reader(wire).fills(None)
    assert (caught.value.code, wire.count("GET")) == (ExitCode.UNAVAILABLE, 2)
    wire.script = lambda asked: Scripted(200, [{"id": f"{len(wire.asked)}"}] * 100)
    with pytest.raises(TemporaryError, match="more than 200 pages"):
        reader(wire).fills(None)


def test_fault_080_no_positions_while_orders_have_filled() -> None:
    """Entries are blocked in that pass; an exit asks about the position directly and sells what the reply confirms."""
    scene = holding()
    scene.venue.held.clear()
    assert reasons(trade_once(scene.world(wanted("JPM")), call(slot="open+32m"))) == [Reason.POSITIONS_DIFFER]
    assert kinds(scene)[:1] == [FindingKind.PHANTOM]
    assert blocking(scene)
    assert reasons(leaving(scene)) == [Reason.POSITION_UNPROVEN]
    assert closes(scene) == []


@pytest.mark.parametrize("quantity", ["-0", "-0.00", "0"])
def test_fault_081_position_of_minus_nothing(wire: Wire, quantity: str) -> None:
    """It counts as nothing: no position, no finding, no exit."""
    view_of(wire, positions=[position_row(qty=quantity)])
    (position,) = reader(wire).view().positions
    assert (str(position.quantity.normalize()), bool(position.quantity)) == ("0", False)
    scene = Scene()
    scene.venue.held = {"AAPL": Decimal(quantity)}
    assert kinds(scene) == []
    assert leaving(scene).candidates == ()


def happens(scene: Scene, kind: str, *moved: tuple[str, Decimal]) -> None:
    """Let the broker do something to positions, and tell of it among its activities."""
    for number, (symbol, quantity) in enumerate(moved):
        of = symbol, quantity, None, Decimal(0), scene.venue.now, meaning_of(kind, "")
        told = Activity(f"{kind}::{number}", kind, "", *of)
        scene.venue.happened.append(told)
        scene.venue.held[symbol] = scene.venue.held.get(symbol, Decimal(0)) + quantity


def test_fault_082_split_overnight_and_new_symbol() -> None:
    """No exit fires on prices from before the split; the broker's activity restates or carries over lots and prices."""
    scene = holding()
    held = scene.venue.held["AAPL"]
    scene.venue.held["AAPL"], scene.venue.averages["AAPL"] = held * 4, Decimal(25)
    scene.price("AAPL", "25")
    assert reasons(evaluate_exits(scene.world(), call(Job.EVALUATE_EXITS, "open+31m"))) == [Reason.SPLIT_UNPROVEN]
    assert closes(scene) == []
    scene.venue.held["AAPL"] = held
    happens(scene, "SPLIT", ("AAPL", held * 3))
    assert kinds(scene) == []
    (position,) = scene.ledger.totals().positions.values()
    assert (position.quantity, position.average_price) == (held * 4, Decimal(25))
    happens(scene, "NC", ("AAPL", -held * 4), ("PEAR", held * 4))
    assert kinds(scene) == []
    (renamed,) = [held for held in scene.ledger.totals().positions.values() if held.quantity]
    assert (renamed.symbol, renamed.quantity, renamed.average_price) == ("PEAR", position.quantity, Decimal(25))
    scene.venue.prices["PEAR"] = replace(quote("PEAR", "22", "22"), at=scene.venue.now)
    evaluate_exits(scene.world(), call(Job.EVALUATE_EXITS, "open+32m"))
    assert closes(scene) == ["PEAR"]


@pytest.mark.parametrize("word", ["type", "execution_type"])
def test_fault_083_trade_that_was_busted(wire: Wire, word: str) -> None:
    """Its row is no execution; what the broker took back is a finding that blocks entries until a person accepts it."""
    wire.answer(Scripted(200, [fill_row(1), fill_row(2, **{word: "trade_bust"}), fill_row(3, **{word: "fill"})]))
    assert len(reader(wire).fills(None)) == 2
    scene = holding()
    scene.venue.cash += scene.venue.held["AAPL"] * 100
    scene.venue.held.clear()
    found = compared(scene)
    assert {finding.kind for finding in found.findings if finding.blocking} == {FindingKind.PHANTOM, FindingKind.CASH}
    assert closes(scene) == []
    assert found.plan is not None
    assert apply_plan(FakeReader(scene.venue), scene.ledger, found.plan, "ada").findings == ()


@pytest.mark.parametrize(("says_open", "stored"), [(True, False), (False, True)], ids=["clock", "calendar"])
def test_fault_084_clock_and_calendar_disagree(says_open: bool, stored: bool) -> None:
    """No entry is sent, and the reason names both. An exit is, if the venue says that it is open."""
    scene = holding()
    scene.venue.is_open = says_open
    if not stored:
        scene.venue.now = scene.venue.session.close + timedelta(hours=1)
        scene.venue.session = replace(scene.venue.session, close=scene.venue.now + timedelta(hours=1))
    before = list(scene.venue.submitted)
    refused = trade_once(scene.world(wanted("JPM")), call(slot="open+32m")).job_decision
    assert refused is not None
    said = f"broker {'open' if says_open else 'closed'}, calendar {'open' if stored else 'closed'}"
    assert (refused.reason, refused.observed) == (Reason.CALENDAR_DISAGREES, said)
    assert scene.venue.submitted == before
    left = leaving(scene).job_decision
    assert (left.reason if left else None) is (None if says_open else Reason.CALENDAR_DISAGREES)
    sent = scene.venue.submitted[len(before) :]
    assert [intent.purpose for intent in sent] == ([Purpose.CLOSE] if says_open else [])


@pytest.mark.parametrize("minutes", [3, -3])
def test_fault_085_date_header_three_minutes_off(wire: Wire, minutes: int) -> None:
    """The bot doesn't use the header as a clock; if the venue's own clock is off, prices look stale: no entry."""
    fixed = view_of(wire)
    plain = reader(wire).view()

    def skewed(asked: Asked) -> Scripted:
        return replace(fixed(asked), headers={"Date": f"Fri, 20 Nov 2026 15:{30 + minutes}:00 GMT"})

    wire.script = skewed
    assert reader(wire).view() == plain
    told = quote(at=NOW - timedelta(minutes=minutes))
    refused = [decision for decision in decide(ask(quote=told)) if not decision.passed]
    assert [decision.reason for decision in refused] == [
        Reason.QUOTE_STALE if minutes > 0 else Reason.QUOTE_FROM_FUTURE
    ]


def test_fault_086_keys_expire_in_mid_session(bot: Bot, wire: Wire) -> None:
    """The pass ends with exit 4 and says so; an order refused this way was not placed, and nothing is retried."""
    wire.answer(Scripted(401, {"message": "unauthorized."}))
    reply = orders(wire).submit(intent())
    assert (reply.outcome, reply.code, wire.count("POST")) == (WriteOutcome.REJECTED, "unauthorized", 1)
    faults = f"{bot.url}/exchange/v1/faults"
    requests.post(faults, data=fault_table.text_of("expired-keys"), timeout=10).raise_for_status()
    codes = [bot.says(verb).code for verb in ("trade-once", "evaluate-exits", "reconcile", "fetch-flow")]
    requests.delete(faults, timeout=10).raise_for_status()
    assert codes == [4, 4, 4, 4]
    assert writes(bot.folder) == []
    assert "KEYS_REFUSED" in bot.says("why-no-orders").out
    assert bot.says("reconcile").code == 0


def test_fault_087_refused_as_a_wash_trade(wire: Wire) -> None:
    """The order is rejected for good; the next candidate continues, and five such refusals halt the bot."""
    words = "potential wash trade detected. use complex orders"
    wire.answer(Scripted(403, {"code": 40310000, "message": words, "existing_order_id": "x"}))
    reply = orders(wire).submit(intent())
    assert (reply.outcome, reply.code, wire.count("POST")) == (WriteOutcome.REJECTED, "40310000", 1)
    scene = Scene()
    scene.venue.script["AAPL"] = Reply(WriteOutcome.REJECTED, code="40310000", message=words)
    cycle = trade_once(scene.world(wanted("AAPL", 0.9), wanted("JPM")), call())
    assert reasons(cycle) == [Reason.VENUE_REJECTED, None]
    assert [sent.instrument.symbol for sent in scene.venue.submitted] == ["AAPL", "JPM"]


@pytest.mark.parametrize("flag", ["trading_blocked", "account_blocked", "trade_suspended_by_user"])
def test_fault_088_account_is_blocked(flag: str) -> None:
    """Nothing is sent, not even exits, with the flag as reason; a flag that isn't true or false counts as set."""
    for value in (True, "yes", 1):
        assert read_account(account_row(**{flag: value}), DriftTally()).blocked == (flag,)
    scene = holding()
    scene.venue.blocked = (flag,)
    before = list(scene.venue.submitted)
    cycle = trade_once(scene.world(wanted("JPM")), call(slot="open+32m"))
    (shut,) = [d for d in cycle.candidates[0].decisions if d.gate is Gate.PERMISSION]
    assert (shut.verdict, shut.reason, shut.observed) == (Verdict.FAIL, Reason.ACCOUNT_BLOCKED, flag)
    assert reasons(leaving(scene)) == [Reason.ACCOUNT_BLOCKED]
    assert scene.venue.submitted == before
