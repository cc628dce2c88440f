"""The desk is one reading of everything, and its book counts at its worst what may still happen."""

from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest

from tests.kit.core.scene import NAMES, Scene, call, trade_once, wanted
from tests.kit.core.venue import LOST
from tests.kit.values import ACCOUNT, CASH, DAY, NOW, SECTORS, SESSION, VENUE_DAY, ago, books, fill, quote
from tradebot.adapters.memory.ledger import MemoryLedger
from tradebot.desk.snapshot import book, take_desk
from tradebot.model.account import Account, BrokerPosition, BrokerView
from tradebot.model.bar import Session
from tradebot.model.candidate import Side
from tradebot.model.desk import ExposureRange, RiskBook
from tradebot.model.instrument import ONE, AssetClass
from tradebot.model.intent import IntentState
from tradebot.model.order import Order, OrderStatus, OrderType
from tradebot.model.position import FOREIGN, Origin, unreported_fill
from tradebot.model.struct_tools import replace
from tradebot.reconciliation.read_books import read_books
from tradebot.timetable.sessions import last_session, session_of

RULES = Scene().world().rules
TOMORROW = Session(DAY + timedelta(days=1), SESSION.open + timedelta(days=1), SESSION.close + timedelta(days=1))


def view(*held: BrokerPosition, orders: tuple[Order, ...] = (), **changes: object) -> BrokerView:
    account = Account("TEST00001", "ACTIVE", CASH, CASH, CASH, CASH, ())
    return BrokerView(replace(account, **changes), held, orders)  # type: ignore[arg-type]


def position(
    symbol: str, quantity: str, *, price: str = "10", value: str | None = None, current: str | None = None
) -> BrokerPosition:
    worth, now = (Decimal(text) if text else None for text in (value, current))
    return BrokerPosition(symbol, AssetClass.US_EQUITY, Decimal(quantity), Decimal(price), worth, now)


def resting(symbol: str = "AAPL") -> Order:
    """Return an order of 49 shares at 100.20 that a bot has at the venue."""
    scene = Scene()
    trade_once(scene.world(wanted(symbol)), call())
    return next(iter(scene.venue.book.values()))


def seen(told: BrokerView) -> RiskBook:
    return book(told, books(), RULES, session=DAY)


def test_exposure_is_absolute_by_symbol_and_sector_strangers_included() -> None:
    found = seen(view(position("AAPL", "-5"), position("MSFT", "3", value="31"), position("ZZZZ", "1")))
    assert found.exposure == {"AAPL": 50, "MSFT": 31, "ZZZZ": 10}
    assert found.sector_exposure == {"technology": 81, "": 10}
    assert (found.gross, found.foreign) == (Decimal(91), frozenset({"AAPL", "MSFT", "ZZZZ"}))


@pytest.mark.parametrize("value", ["0", "-4900", "0.01", "1000000", None])
@pytest.mark.parametrize("quantity", ["49", "-49"])
def test_a_position_counts_at_the_worst_of_what_the_venue_and_this_passs_quote_say(
    value: str | None, quantity: str
) -> None:
    told = view(position("AAPL", quantity, price="0.01", value=value, current="0.01"))
    found = book(told, books(), RULES, quotes={"AAPL": quote("AAPL")}, session=DAY)
    worst = max(abs(Decimal(value or 0)), 49 * quote("AAPL").middle)
    assert (found.exposure, found.sector_exposure) == ({"AAPL": worst}, {"technology": worst})
    assert found.gross == worst


@pytest.mark.parametrize(("current", "price"), [("12", 12), ("0", 10), ("-3", 10), (None, 10)])
def test_without_a_quote_the_venues_price_counts_and_then_what_the_position_cost(
    current: str | None, price: int
) -> None:
    assert seen(view(position("XOM", "5", value="0", current=current))).gross == 5 * price


def test_a_position_counts_at_the_cost_of_our_fills_when_the_venue_says_zero() -> None:
    scene = Scene()
    trade_once(scene.world(wanted("AAPL")), call())
    scene.later(60)
    scene.venue.fill(scene.venue.submitted[0].client_order_id, "100")
    take_desk(scene.world(), for_entries=False)
    told = view(position("AAPL", "49", price="0.01", value="0", current="0"))
    assert book(told, books(*scene.ledger.fills()), RULES, session=DAY).gross == 4900


def test_an_option_contract_counts_a_hundred_times_its_price() -> None:
    contract = position("AAPL261218C00250000", "2", value="0", current="3")
    told = replace(contract, asset_class=AssetClass.US_OPTION, multiplier=Decimal(100))
    assert seen(view(told)).gross == 600


def test_orders_count_with_the_multiplier_of_what_they_buy() -> None:
    scene = Scene()
    trade_once(scene.world(wanted("AAPL")), call())
    ((name, record),) = read_books(scene.ledger, NOW, VENUE_DAY).intents_by_id.items()
    contract = replace(record.intent.instrument, multiplier=Decimal(10))
    promised = {name: replace(record, intent=replace(record.intent, instrument=contract))}
    orders = tuple(scene.venue.book.values())
    found = book(view(orders=orders), books(orders=orders, intents_by_id=promised), RULES, session=DAY)
    assert found.exposure == {"AAPL": record.intent.quantity * Decimal("100.20") * 10}
    assert [stake.usd for stake in found.stakes] == [found.gross]
    unanswered = replace(promised[name], state=IntentState.SENT)
    unlisted = book(view(), books(intents=(unanswered,)), RULES, session=DAY)
    assert (unlisted.gross, [stake.usd for stake in unlisted.stakes]) == (found.gross, [found.gross])
    # Of someone else's order, only a position tells what it is about.
    order = replace(resting(), client_order_id="by-hand", limit_price=Decimal(11))
    held = replace(position("AAPL", "1"), multiplier=Decimal(100))
    assert seen(view(held, orders=(order,))).exposure == {"AAPL": 1000 + 49 * 11 * 100}


def test_our_own_order_counts_at_the_market_where_the_venue_says_it_has_a_lower_limit() -> None:
    told = replace(resting(), limit_price=Decimal("0.01"))
    found = book(view(orders=(told,)), books(), RULES, quotes={"AAPL": quote("AAPL")}, session=DAY)
    assert found.gross == 49 * quote("AAPL").middle


def test_an_order_without_a_limit_counts_at_the_quote_where_nothing_of_it_is_held() -> None:
    market = replace(resting(), limit_price=None, client_order_id="by-hand")
    assert book(
        view(orders=(market,)), books(), RULES, quotes={"AAPL": quote("AAPL")}, session=DAY
    ).gross == 49 * Decimal("99.99")


def test_an_equity_that_only_the_venues_own_values_explain_is_not_explained() -> None:
    told = view(position("AAPL", "50", value="55000"), equity=Decimal(150_000), cash=Decimal(95_000))
    quoted = book(told, books(), RULES, quotes={"AAPL": quote("AAPL")}, session=DAY)
    for found, explained in ((seen(told), True), (quoted, False)):
        assert found.worth is not None
        assert found.worth.explains(found.equity) is explained


def test_the_open_quantity_of_a_working_order_counts_on_top_of_the_position() -> None:
    order = replace(resting(), filled_quantity=Decimal(9))
    found = seen(view(position("AAPL", "9", value="900"), orders=(order,)))
    assert found.exposure == {"AAPL": 900 + 40 * Decimal("100.20")}
    assert found.working == frozenset({"AAPL"})


def test_an_order_without_a_limit_counts_at_what_it_filled_or_is_held_at() -> None:
    market = replace(resting(), limit_price=None)
    assert seen(view(position("AAPL", "1", price="7"), orders=(market,))).exposure["AAPL"] == 7 + 49 * 7
    partly = replace(market, filled_average_price=Decimal(8), filled_quantity=Decimal(1))
    assert seen(view(position("AAPL", "1", price="7"), orders=(partly,))).exposure["AAPL"] == 7 + 48 * 8


def test_an_order_that_has_ended_may_fill_no_more() -> None:
    ended = replace(resting(), status=OrderStatus.CANCELED)
    assert seen(view(orders=(ended,))).gross == 0


def test_an_order_without_a_known_outcome_counts_as_filled() -> None:
    scene = Scene()
    scene.venue.script["AAPL"], scene.venue.swallows = LOST, True
    trade_once(scene.world(wanted("AAPL")), call())
    found = take_desk(scene.world(), for_entries=False).book
    assert found.exposure == {"AAPL": 49 * Decimal("100.20")}
    assert (found.unresolved, found.open_symbols) == (frozenset({"AAPL"}), frozenset({"AAPL"}))


@pytest.mark.parametrize(("equity", "loss"), [(99_000, 1000), (100_000, 0), (101_000, 0)])
def test_the_days_loss_is_what_equity_lost_since_yesterday_and_never_negative(equity: int, loss: int) -> None:
    assert seen(view(equity=Decimal(equity))).day_loss == loss


def test_our_last_fill_in_a_symbol_begins_the_cooldown() -> None:
    scene = Scene()
    trade_once(scene.world(wanted("AAPL")), call())
    scene.later(60)
    scene.venue.fill(scene.venue.submitted[0].client_order_id, "100")
    scene.venue.held["XOM"] = Decimal(5)
    desk = take_desk(scene.world(), for_entries=True)
    assert [(p.symbol, p.quantity) for p in desk.positions] == [("AAPL", Decimal(49))]
    assert (desk.book.held, desk.book.foreign) == (frozenset({"AAPL"}), frozenset({"XOM"}))
    assert desk.book.last_fill_at == {"AAPL": scene.venue.now}
    assert desk.net == {"AAPL": 49, "XOM": 5}
    assert desk.session is not None
    assert desk.session.date == DAY


def test_a_fill_written_by_a_brokers_activity_begins_no_cooldown() -> None:
    split = unreported_fill(
        "flow", "activity:s1:0", "AAPL", Decimal(5), Decimal(50), ONE, ago(10), Origin.ACTIVITY, "s1"
    )
    plan = unreported_fill("flow", "adjustment:0", "MSFT", Decimal(5), Decimal(50), ONE, ago(10), Origin.PLAN)
    assert book(view(), books(split, plan), RULES, session=DAY).last_fill_at == {"MSFT": ago(10)}


def test_exits_ask_for_the_quotes_of_positions_only_and_for_no_flow() -> None:
    scene = Scene()
    desk = take_desk(scene.world(), for_entries=False)
    assert (desk.quotes, desk.facts) == ({}, {})
    assert set(take_desk(scene.world(), for_entries=True).quotes) == set(NAMES)


def test_without_a_stored_calendar_the_desk_has_no_session() -> None:
    ledger = MemoryLedger(ACCOUNT)
    ledger.open_books(CASH, ago(600))
    desk = take_desk(replace(Scene().world(), ledger=ledger), for_entries=False)
    assert desk.session is None


def at(hour: int, minute: int = 0, *, days: int = 0) -> datetime:
    return datetime(DAY.year, DAY.month, DAY.day, hour, minute, tzinfo=UTC) + timedelta(days=days)


@pytest.mark.parametrize(
    ("now", "session", "last"),
    [
        (at(14), SESSION, DAY),
        (at(14, 30), SESSION, DAY),
        (at(23), SESSION, DAY),
        (at(14, days=1), TOMORROW, DAY),
        (at(14, 30, days=1), TOMORROW, DAY + timedelta(days=1)),
        (at(12, days=3), None, DAY + timedelta(days=1)),
    ],
)
def test_the_session_is_the_days_own_and_flow_is_asked_for_the_last_that_began(
    now: datetime, session: Session | None, last: object
) -> None:
    ledger = MemoryLedger(ACCOUNT)
    ledger.put_sessions([SESSION, TOMORROW])
    assert session_of(ledger, now, VENUE_DAY) == session
    assert last_session(ledger, now, VENUE_DAY) == last


def test_a_ledger_without_a_calendar_knows_no_session() -> None:
    assert session_of(MemoryLedger(ACCOUNT), NOW, VENUE_DAY) is None
    assert last_session(MemoryLedger(ACCOUNT), ago(0), VENUE_DAY) == DAY


def test_an_order_that_only_closes_a_position_adds_nothing_and_one_that_turns_it_adds_the_rest() -> None:
    scene = Scene()
    bought = Scene()
    trade_once(bought.world(wanted("AAPL", 0.9)), call())
    order = next(iter(bought.venue.book.values()))
    scene.venue.held["AAPL"] = Decimal(40)
    held = take_desk(scene.world(), for_entries=False).book.exposure["AAPL"]
    for quantity, more in ((Decimal(40), Decimal(0)), (Decimal(45), Decimal(5))):
        closing = replace(order, side=Side.SELL, quantity=quantity, filled_quantity=Decimal(0), client_order_id="x")
        scene.venue.book = {"x": closing}
        assert order.limit_price is not None
        assert take_desk(scene.world(), for_entries=False).book.exposure["AAPL"] == held + more * order.limit_price


@pytest.mark.parametrize("second", [NOW, None], ids=["two clocks", "the venue alone"])
def test_an_order_is_given_up_only_where_its_day_is_over_by_both_clocks(second: datetime | None) -> None:
    scene = Scene()
    scene.ledger.put_sessions([SESSION, TOMORROW])
    scene.venue.script, scene.venue.swallows = {"AAPL": LOST}, True
    trade_once(scene.world(wanted("AAPL")), call())
    scene.venue.now += timedelta(days=1)
    desk = take_desk(replace(scene.world(), second_clock=lambda: second), for_entries=False)
    (record,) = scene.ledger.intents()
    assert record.state is (IntentState.UNKNOWN if second else IntentState.ABANDONED)
    assert desk.clock_ahead_s == (86_400 if second else None)


def test_a_span_holds_positions_either_way_and_orders_only_on_their_side() -> None:
    order = resting("AAPL")
    held = (position("AAPL", "-5", value="-60"), position("MSFT", "3", value="31"))
    found = seen(view(*held, orders=(order,)))
    # A buy of 49 closes the 5 that are short and opens 44 at its limit of 100.20.
    assert found.spans == {
        "AAPL": ExposureRange(Decimal(-60), Decimal(-50) + 44 * Decimal("100.20")),
        "MSFT": ExposureRange(Decimal(30), Decimal(31)),
    }
    assert all(max(abs(end) for end in span) <= found.exposure[name] for name, span in found.spans.items())


def test_of_a_pair_only_one_order_counts() -> None:
    order = replace(resting("AAPL"), side=Side.SELL)
    leg = replace(order, venue_id="leg", client_order_id="leg", parent=order.venue_id, limit_price=None)
    lone, pair = (seen(view(position("AAPL", "49"), orders=orders)) for orders in ((order,), (order, leg)))
    assert (pair.exposure, pair.spans) == (lone.exposure, lone.spans)


def test_an_order_with_an_unknown_outcome_counts_at_its_limit_or_the_price_whichever_is_more() -> None:
    scene = Scene()
    scene.venue.script["AAPL"] = LOST
    trade_once(scene.world(wanted("AAPL", side=Side.SELL)), call())
    (record,) = scene.ledger.intents()
    price = Decimal("100.20") * 2
    scene.price("AAPL", str(price))
    found = book(view(), books(intents=(record,)), RULES, quotes={"AAPL": quote("AAPL", str(price), str(price))},
                 session=DAY)  # fmt: skip
    assert found.exposure == {"AAPL": record.intent.quantity * price}
    assert found.spans == {"AAPL": ExposureRange(-record.intent.quantity * price, Decimal(0))}
    assert found.stakes[0].usd == found.gross


def test_the_book_knows_what_was_lost_and_by_whom() -> None:
    fills = (
        fill(1, "AAPL", price="100"), fill(2, "AAPL", Side.SELL, price="99"),
        fill(3, "MSFT", price="100", strategy="other"), fill(4, "MSFT", Side.SELL, price="101", strategy="other"),
        fill(5, "XOM", price="100", strategy=FOREIGN), fill(6, "XOM", Side.SELL, price="9", strategy=FOREIGN),
    )  # fmt: skip
    found = book(view(), books(*fills), RULES, session=DAY)
    assert found.lost_at == {("flow", "AAPL"): fills[1].fill.at}
    assert {trip.symbol: trip.profit for trip in found.round_trips} == {"AAPL": Decimal(-10), "MSFT": Decimal(10)}
    assert [trip.symbol for trip in found.own("other", CASH, SECTORS).round_trips] == ["MSFT"]
    assert found.own("other", CASH, SECTORS).lost_at == {}


def test_a_market_order_without_a_price_counts_at_the_midpoint_for_which_it_was_sent() -> None:
    scene = Scene()
    scene.venue.script["AAPL"] = LOST
    trade_once(scene.world(wanted("AAPL")), call())
    (record,) = scene.ledger.intents()
    at_market = replace(record.intent, order_type=OrderType.MARKET, limit_price=None)
    lost = replace(record, intent=at_market)
    found = book(view(), books(intents=(lost,)), RULES, session=DAY)
    assert at_market.send_mid == quote("AAPL").middle
    assert found.exposure == {"AAPL": at_market.quantity * quote("AAPL").middle}
    assert found.stakes[0].usd == found.gross
    order = replace(resting("AAPL"), order_type=OrderType.MARKET, limit_price=None)
    acked = replace(lost, state=IntentState.ACKED)
    known = books(intents_by_id={order.client_order_id: acked})
    working = book(view(orders=(order,)), known, RULES, session=DAY)
    assert working.exposure == {"AAPL": order.open_quantity * quote("AAPL").middle}
    assert working.stakes[0].usd == working.gross


def test_entries_of_a_holidays_session_count_on_the_next_business_day() -> None:
    scene = Scene()
    trade_once(scene.world(wanted("AAPL")), call())
    known = read_books(scene.ledger, NOW, VENUE_DAY)
    belongs = replace(known, day=replace(VENUE_DAY, belonging=((DAY, TOMORROW.date),)))
    counted = [
        len(book(view(), each, RULES, session=day).entries) for each in (known, belongs) for day in (DAY, TOMORROW.date)
    ]
    assert counted == [1, 0, 1, 1]
