"""An account with margin, pass by pass: its book has the worst case, its entries are gated by it, and it can halt."""

from dataclasses import dataclass, field
from decimal import Decimal

import pytest

from tests.desk.test_auto_halt import ends, why
from tests.kit.core.scene import NAMES, Scene, call, evaluate_exits, trade_once, wanted
from tests.kit.core.venue import LOST, FakeVenue, VenueOnMargin
from tests.kit.values import CASH, HALTS, NOW, SESSION, exit_rules, leveled, limits
from tradebot.desk.auto_halt import remaining_causes
from tradebot.desk.snapshot import take_desk
from tradebot.exits.rules import parse
from tradebot.model.account import BrokerView
from tradebot.model.candidate import Purpose, Side
from tradebot.model.desk import RiskBook
from tradebot.model.event import EventKind
from tradebot.model.limits import Protection
from tradebot.model.margin import Margin, MarginSeen, PositionReach
from tradebot.model.order import OrderStatus
from tradebot.model.reasons import Reason
from tradebot.model.record import CycleRecord, Job
from tradebot.model.struct_tools import replace
from tradebot.model.trading import TradingState
from tradebot.ports.world import World

D = Decimal
MIDDLE = D("99.99")
"""The price of every symbol unless a test moves it, which is the middle of its quote."""


@dataclass
class Margined(Scene):
    """A scene at a venue whose account has margin."""

    venue: FakeVenue = field(default_factory=lambda: VenueOnMargin(SESSION, NOW, CASH))
    halt_at: str | None = None

    def __post_init__(self) -> None:
        super().__post_init__()
        self.venue.listed = {symbol: leveled(symbol) for symbol in NAMES}

    def world(self, *candidates: object, dry_run: bool = False) -> World:
        """Return the world, with the initial margin at which the bot halts."""
        made = super().world(*candidates, dry_run=dry_run)  # type: ignore[arg-type]
        halts = HALTS.model_copy(update={"margin_fraction": D(self.halt_at) if self.halt_at else None})
        return replace(made, rules=replace(made.rules, halts=halts))

    def hold(self, symbol: str, quantity: str) -> None:
        """Let someone else hold a position."""
        more = D(quantity) - self.venue.held.get(symbol, D("0"))
        self.venue.held[symbol] = D(quantity)
        self.venue.cash -= more * self.venue.prices[symbol].middle


WIDE = limits(
    max_order_fraction=4, max_symbol_fraction=4, max_sector_fraction=10, max_gross_fraction=10,
    max_order_notional_usd=10**8, max_daily_loss_fraction="0.5", price_collar_fraction="0.9",
)  # fmt: skip
EXITS = call(Job.EVALUATE_EXITS, "open+31m")


def entries_book(scene: Scene) -> RiskBook:
    return take_desk(scene.world(), for_entries=True).book


def margin_in(scene: Scene) -> Margin:
    """Return the margin that a pass of exits sees, which asks about nothing that isn't held or ordered."""
    margin = take_desk(scene.world(), for_entries=False).book.margin
    assert margin is not None
    return margin


def test_the_book_has_what_is_held_and_what_orders_may_make_of_it() -> None:
    scene = Margined(limits=WIDE)
    trade_once(scene.world(wanted("AAPL")), call())
    (intent,) = scene.venue.submitted
    scene.venue.fill(intent.client_order_id, "100.20", D(100))
    scene.hold("MSFT", "-2000")
    book, margin = entries_book(scene), margin_in(scene)
    left = intent.quantity - 100
    limit = intent.limit_price
    assert limit is not None
    assert margin.held == {
        ("AAPL", Side.BUY): PositionReach(D(100), 100 * MIDDLE),
        ("MSFT", Side.SELL): PositionReach(D(2000), 2000 * MIDDLE),
    }
    assert margin.reaches == {
        **margin.held,
        ("AAPL", Side.BUY): PositionReach(intent.quantity, 100 * MIDDLE + left * limit, left * (limit - MIDDLE)),
    }
    assert book.exposure == {"AAPL": 100 * MIDDLE + left * limit, "MSFT": 2000 * MIDDLE}
    account = scene.venue.account()
    assert (margin.initial, margin.maintenance) == (account.initial_margin, account.maintenance_margin)
    assert book.buying_power == margin.available == account.available
    # From 2,000 units on, a position ties up twice as much.
    assert account.initial_margin == D("0.1") * 100 * MIDDLE + D("0.2") * 2000 * MIDDLE
    assert margin.initial_usd == D("0.2") * (book.exposure["AAPL"] + book.exposure["MSFT"])
    assert [one.symbol for one in margin.liquidations(book.equity)] == ["AAPL", "MSFT"]


def test_an_order_without_an_answer_and_a_fill_without_a_row_count_too() -> None:
    scene = Margined(limits=WIDE)
    scene.venue.script["AAPL"] = LOST
    scene.venue.swallows = True
    trade_once(scene.world(wanted("AAPL")), call())
    scene.venue.script.clear()
    trade_once(scene.world(wanted("MSFT")), call(slot="open+35m"))
    lost, filled = scene.venue.submitted
    scene.venue.fill(filled.client_order_id, "100.20")
    scene.venue.executions.clear()
    scene.venue.held.clear()
    reaches = margin_in(scene).reaches
    limit = lost.limit_price
    assert limit is not None
    usd = lost.quantity * limit
    assert reaches["AAPL", Side.BUY] == PositionReach(lost.quantity, usd, lost.quantity * (limit - MIDDLE))
    # It has filled, so it loses nothing more against the mark.
    assert reaches["MSFT", Side.BUY] == PositionReach(filled.quantity, filled.quantity * D("100.20"))


def test_a_venues_own_price_is_the_mark() -> None:
    class Marking(VenueOnMargin):
        def view(self) -> BrokerView:
            view = super().view()
            marked = tuple(replace(position, current_price=D(90)) for position in view.positions)
            return replace(view, positions=marked)

    scene = Margined(venue=Marking(SESSION, NOW, CASH))
    scene.hold("AAPL", "10")
    margin = entries_book(scene).margin
    assert margin is not None
    assert (margin.marks["AAPL"], margin.marks["MSFT"]) == (D(90), MIDDLE)


def test_a_position_counts_at_the_price_we_know_if_that_is_more_than_its_cost() -> None:
    scene = Margined()
    scene.hold("AAPL", "10")
    scene.venue.averages["AAPL"] = D(80)
    assert margin_in(scene).reaches["AAPL", Side.BUY].usd == 10 * MIDDLE
    scene.venue.averages["AAPL"] = D(120)
    assert margin_in(scene).reaches["AAPL", Side.BUY].usd == D(1200)


def test_an_order_that_closes_ties_up_nothing_and_one_that_reverses_what_is_left_of_it() -> None:
    scene = Margined(limits=WIDE)
    trade_once(scene.world(wanted("AAPL", side=Side.SELL)), call())
    (sale,) = scene.venue.submitted
    scene.hold("AAPL", f"{sale.quantity + 10:f}")
    assert margin_in(scene).reaches["AAPL", Side.SELL].quantity == 0
    scene.hold("AAPL", "10")
    reaches = margin_in(scene).reaches
    assert (reaches["AAPL", Side.BUY].quantity, reaches["AAPL", Side.SELL].quantity) == (D(10), sale.quantity - 10)


def test_an_account_that_pays_is_not_asked_what_its_positions_tie_up() -> None:
    scene = Scene()
    asked = list[object]()
    scene.venue.held["MSFT"] = D(10)
    cycle = trade_once(scene.world(wanted("AAPL")), call())
    assert (entries_book(scene).margin, cycle.margin) == (None, None)
    quotes = scene.venue.quotes
    scene.venue.quotes = lambda symbols: asked.extend(symbols) or quotes(symbols)  # type: ignore[method-assign, func-returns-value]
    evaluate_exits(scene.world(), EXITS)
    assert asked == []
    gates = {decision.gate.value for record in cycle.candidates for decision in record.decisions}
    assert not gates & {"initial_margin", "free_margin", "maintenance_margin", "liquidation"}


def test_each_candidate_sees_the_margin_that_the_ones_before_it_tie_up() -> None:
    scene = Margined(limits=limits(**WIDE.model_dump() | {"max_margin_fraction": "0.9", "max_order_fraction": "3"}))
    record = trade_once(scene.world(wanted("AAPL"), wanted("MSFT")), call())
    # Of three times the equity each, one ties up six tenths of it, and both together more than there is.
    assert ends(record) == [None, Reason.BUYING_POWER_SHORT]
    (second,) = (one for one in record.candidates if one.candidate.symbol == "MSFT")
    assert Reason.MARGIN_ABOVE_MAX in {decision.reason for decision in second.decisions}


@pytest.mark.parametrize(
    ("changed", "reason"),
    [
        ({"max_margin_fraction": "0.5"}, Reason.MARGIN_ABOVE_MAX),
        ({"min_free_margin_fraction": "0.5"}, Reason.FREE_MARGIN_BELOW_MIN),
        ({"min_liquidation_fraction": "0.35"}, Reason.LIQUIDATION_TOO_NEAR),
    ],
)
def test_a_book_past_its_limit_on_margin_closes_entries_and_halts_nothing(
    changed: dict[str, object], reason: Reason
) -> None:
    scene = Margined(limits=limits(**WIDE.model_dump() | {"max_order_fraction": "0.01"} | changed))
    assert ends(trade_once(scene.world(wanted("AAPL")), call())) == [None]
    scene.hold("MSFT", "2600")
    assert ends(trade_once(scene.world(wanted("JPM")), call(slot="open+35m"))) == [reason]
    evaluate_exits(scene.world(), EXITS)
    assert why(scene) == ""


def test_without_figures_or_levels_nothing_is_entered_and_nothing_halts() -> None:
    scene = Margined(limits=WIDE, halt_at="0.95")
    assert isinstance(scene.venue, VenueOnMargin)
    scene.venue.tells_margin = False
    assert ends(trade_once(scene.world(wanted("AAPL")), call())) == [Reason.MARGIN_UNKNOWN]
    scene = Margined(limits=WIDE, halt_at="0.95")
    scene.venue.listed["AAPL"] = leveled("AAPL", levels=())
    unlisted = trade_once(scene.world(wanted("AAPL"), wanted("MSFT")), call(slot="open+35m"))
    assert ends(unlisted) == [Reason.MARGIN_LEVELS_UNKNOWN, None]
    assert (scene.venue.submitted[0].instrument.symbol, why(scene)) == ("MSFT", "")


def test_margin_near_the_equity_halts_once_and_leaves_stops_in_place() -> None:
    small = limits(**WIDE.model_dump() | {"max_order_fraction": "0.05"})
    scene = Margined(limits=small, halt_at="0.5", exits=exit_rules(protection=Protection.VENUE))
    trade_once(scene.world(wanted("AAPL"), wanted("MSFT")), call())
    bought, waiting = scene.venue.submitted
    scene.venue.fill(bought.client_order_id, "100")
    scene.later(60)
    evaluate_exits(scene.world(), EXITS)
    stops = [order for order in scene.venue.book.values() if order.stop_price]
    assert (len(stops), why(scene)) == (1, "")
    scene.hold("JPM", "5000")
    evaluate_exits(scene.world(), call(Job.EVALUATE_EXITS, "open+32m"))
    account = scene.venue.account()
    assert account.initial_margin is not None
    part = account.initial_margin / account.equity
    assert why(scene) == f"MARGIN_HALT: {float(part):.4g} against 0.5"
    assert scene.ledger.trading_state().state is TradingState.REDUCE_ONLY
    halts = [event for event in scene.events.emitted if event.event_type == EventKind.HALTED_ITSELF.event_type]
    assert [event.details["why"] for event in halts] == [why(scene)]
    # The entry is canceled; what protects the position rests as before.
    assert scene.venue.book[waiting.client_order_id].status is OrderStatus.CANCELED
    assert [order for order in scene.venue.book.values() if order.stop_price] == stops
    evaluate_exits(scene.world(), call(Job.EVALUATE_EXITS, "open+33m"))
    assert len(scene.told(EventKind.HALTED_ITSELF.event_type)) == 1
    assert "MARGIN_HALT" in (left := remaining_causes(scene.world(dry_run=True)))
    assert "which clears when initial margin is below halts.margin_fraction of equity again" in left
    scene.hold("JPM", "0")
    assert remaining_causes(scene.world(dry_run=True)) == ""


def test_an_open_order_that_would_tie_up_too_much_halts_nobody() -> None:
    scene = Margined(limits=WIDE, halt_at="0.35")
    assert ends(trade_once(scene.world(wanted("AAPL")), call())) == [Reason.MARGIN_HALT]
    roomy = Margined(limits=WIDE, halt_at="0.95")
    assert ends(trade_once(roomy.world(wanted("AAPL")), call())) == [None]
    roomy.halt_at = "0.35"
    evaluate_exits(roomy.world(), EXITS)
    assert why(roomy) == ""


def test_a_pass_records_the_margin_of_what_is_held() -> None:
    scene = Margined(limits=limits(**WIDE.model_dump() | {"max_order_fraction": "0.05"}))
    scene.hold("AAPL", "4000")
    assert ends(trade_once(scene.world(wanted("MSFT")), call())) == [None]
    record = evaluate_exits(scene.world(), EXITS)
    account = scene.venue.account()
    assert record.margin is not None
    figures = account.initial_margin, account.maintenance_margin, account.available
    assert (record.margin.initial, record.margin.maintenance, record.margin.available) == figures
    (found,) = record.margin.liquidations
    usd = 4000 * MIDDLE
    assert found.distance == (account.equity - D("0.1") * usd) / (usd * D("0.9"))
    assert record.margin == seen_of(scene) == last(scene).margin


def seen_of(scene: Scene) -> MarginSeen:
    book = take_desk(scene.world(), for_entries=False).book
    assert book.margin is not None
    return book.margin.as_observed(book.equity)


def last(scene: Scene) -> CycleRecord:
    return scene.facts.cycles(job=Job.EVALUATE_EXITS, last=1)[-1]


def test_an_entry_that_the_venue_cancels_for_want_of_margin_is_told_and_ends() -> None:
    scene = Margined()
    trade_once(scene.world(wanted("AAPL")), call())
    (intent,) = scene.venue.submitted
    order = scene.venue.book[intent.client_order_id]
    scene.venue.book[intent.client_order_id] = replace(order, status=OrderStatus.CANCELED, updated_at=scene.venue.now)
    record = evaluate_exits(scene.world(), EXITS)
    assert record.job_decision is None
    (missed,) = scene.told(EventKind.MISSED_CANDIDATE.event_type)
    assert (missed["cause"], missed["order"]) == ("the order ended canceled", intent.client_order_id)
    assert scene.ledger.orders(working=True) == ()
    assert margin_in(scene).reaches == {}


NEAR = parse([{"liquidation_distance": {"trim_below": 0.18, "trim_share": 0.5, "close_below": 0.10}}])


@pytest.mark.parametrize(
    ("others", "part"), [("-4000", None), ("-6000", D("0.5")), ("-7500", D("1"))], ids=["far", "trim", "close"]
)
def test_a_position_near_its_liquidation_is_made_smaller_and_then_closed(others: str, part: Decimal | None) -> None:
    scene = Margined(limits=limits(**WIDE.model_dump() | {"max_order_fraction": 2}))
    trade_once(scene.world(wanted("AAPL")), call())
    (bought,) = scene.venue.submitted
    scene.venue.fill(bought.client_order_id, "100")
    scene.later(60)
    scene.hold("MSFT", others)
    world = scene.world()
    evaluate_exits(replace(world, rules=replace(world.rules, own_exits={"flow": NEAR})), EXITS)
    closing = [intent.quantity for intent in scene.venue.submitted[1:] if intent.purpose is not Purpose.OPEN]
    assert closing == ([] if part is None else [bought.quantity * part // 1])
