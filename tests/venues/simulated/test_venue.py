"""The simulated venue: what fills when and at what price, what survives, and what it never does."""

from array import array
from collections.abc import Mapping, Sequence
from datetime import date, datetime, timedelta
from decimal import Decimal
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.kit.core.venue import FakeVenue
from tests.kit.values import ACCOUNT, CASH, DAY, NOW, SESSION, following, instrument, listing, quote, there
from tradebot.adapters.bars.store import DIVIDEND, SPLIT, CorporateAction
from tradebot.errors import DamagedBooksError, TemporaryError
from tradebot.model.candidate import Purpose, Side
from tradebot.model.instrument import MarginLevel
from tradebot.model.intent import Intent, IntentKey, Operation
from tradebot.model.order import OrderClass, OrderStatus, OrderType, TimeInForce, WriteOutcome
from tradebot.model.series import Series
from tradebot.model.struct_tools import replace
from tradebot.model.venue import End, Settlement
from tradebot.model.view import BarNeed
from tradebot.venues.simulated.account import SimulatedAccount, read_account, write_account
from tradebot.venues.simulated.venue import Assumed, SimulatedVenue

FREE = Assumed(Decimal(0), Decimal(0))


class Minutes:
    """Bars of one symbol that a test makes: open, high and low by minute."""

    def __init__(self) -> None:
        self.rows: list[tuple[datetime, float, float, float]] = []
        self.lost, self.delay = False, timedelta(0)

    def known_until(self, now: datetime) -> datetime:
        return now - self.delay

    def closed(self, need: BarNeed, symbols: Sequence[str], until: datetime) -> Mapping[str, Series]:
        if self.lost:
            raise TemporaryError("no bars")
        ended = self.known_until(until) - timedelta(minutes=1)
        rows = [row for row in self.rows if row[0] <= ended][-need.depth :]
        starts, opens, highs, lows = zip(*rows, strict=True) if rows else ((), (), (), ())
        begins = array("q", [int(at.timestamp()) for at in starts])
        first, high, low = (array("d", each) for each in (opens, highs, lows))
        return {"AAPL": Series("AAPL", "1Min", False, begins, first, high, low, first, first)}


class SimulatedMarket:
    """A simulated venue in a folder, whose prices, minutes and actions a test sets."""

    def __init__(self, folder: Path, assumed: Assumed = FREE) -> None:
        self.folder, self.assumed = folder, assumed
        self.real, self.minutes = FakeVenue(SESSION, NOW, CASH), Minutes()
        self.steps: dict[str, list[CorporateAction]] = {}
        self.real.prices["AAPL"] = quote()
        write_account(folder, SimulatedAccount("SHADOW-flow", CASH, CASH, CASH, NOW, DAY))
        self.venue = self.opened()

    def opened(self) -> SimulatedVenue:
        """Return the venue as another process would open it."""
        return SimulatedVenue(self.folder, self.real, self.minutes, self._actions, self.assumed)

    def _actions(self, symbols: Sequence[str], first: date, last: date) -> Mapping[str, Sequence[CorporateAction]]:
        return {symbol: self.steps[symbol] for symbol in symbols if symbol in self.steps}

    def passes(self, minutes: int, *rows: tuple[float, float, float]) -> None:
        """Let minutes pass, the first of which trade at an open, a high and a low, and look."""
        begin = self.real.now
        self.minutes.rows += [(begin + timedelta(minutes=place), *row) for place, row in enumerate(rows)]
        self.real.now = begin + timedelta(minutes=minutes)
        self.venue = self.opened()
        self.venue.look()

    def next_day(self) -> None:
        self.real.session = following(self.real.session)
        self.real.now += timedelta(days=1)
        self.venue = self.opened()

    def held(self) -> Decimal:
        found = self.venue.position("AAPL")
        return found.quantity if found else Decimal(0)


@pytest.fixture
def stage(tmp_path: Path) -> SimulatedMarket:
    return SimulatedMarket(tmp_path)


def intent(
    name: str = "entry", side: Side = Side.BUY, quantity: str = "10", purpose: Purpose = Purpose.OPEN,
    limit: str | None = None, stop: str | None = None, life: TimeInForce = TimeInForce.DAY,
) -> Intent:  # fmt: skip
    key = IntentKey(ACCOUNT, "flow", DAY, name, "AAPL", side, purpose)
    kind = OrderType.LIMIT if limit else OrderType.STOP if stop else OrderType.MARKET
    prices = [None if price is None else Decimal(price) for price in (limit, stop)]
    return Intent(
        key, name, Operation.SUBMIT, purpose, instrument(), side, Decimal(quantity), kind, prices[0], life, "c", NOW,
        stop_price=prices[1],
    )  # fmt: skip


PROTECT = {"side": Side.SELL, "purpose": Purpose.PROTECT, "life": TimeInForce.GTC}


def test_marketable_order_fills_at_the_quote_with_slippage_and_fee_and_never_past_its_limit(tmp_path: Path) -> None:
    stage = SimulatedMarket(tmp_path, Assumed(Decimal(10), Decimal(5)))
    bought = there(stage.venue.submit(intent(limit="101")).order)
    assert (bought.status, bought.filled_average_price) == (OrderStatus.FILLED, Decimal("100.1"))
    (fill,) = stage.venue.fills(None)
    assert there(fill.fee).amount == Decimal("0.5005")
    assert stage.venue.account().cash == CASH - Decimal("1001.5005")
    near = there(stage.venue.submit(intent("near", limit="100.05")).order)
    assert near.filled_average_price == Decimal("100.05")
    sold = there(stage.venue.submit(intent("out", Side.SELL, "20", Purpose.CLOSE)).order)
    assert (sold.filled_average_price, stage.held()) == (Decimal("99.88"), Decimal(0))


def test_limit_away_from_the_quote_rests_until_trades_go_past_it(stage: SimulatedMarket) -> None:
    assert there(stage.venue.submit(intent(limit="99")).order).status is OrderStatus.NEW
    stage.passes(2, (100, 100, 99), (100, 100, 99.5))
    assert stage.held() == 0
    stage.passes(1, (99.5, 99.6, 98.9))
    (fill,) = stage.venue.fills(None)
    assert (fill.price, fill.at, stage.held()) == (Decimal(99), NOW + timedelta(minutes=2), Decimal(10))


def test_stop_fills_at_its_price_or_beyond_and_counts_before_a_target_of_its_minute(stage: SimulatedMarket) -> None:
    stage.venue.submit(intent())
    stage.venue.submit(intent("stop", stop="98", **PROTECT))  # type: ignore[arg-type]
    stage.venue.submit(intent("target", limit="104", **PROTECT))  # type: ignore[arg-type]
    stage.passes(1, (100, 105, 97))
    assert (stage.venue.fills(None)[-1].price, stage.held()) == (Decimal(98), Decimal(0))
    target = there(stage.venue.order("target"))
    # It may only reduce, and there was nothing left to reduce.
    assert target.status is OrderStatus.CANCELED
    stage.venue.submit(intent("again"))
    stage.venue.submit(intent("gap", stop="98", **PROTECT))  # type: ignore[arg-type]
    stage.passes(1, (95, 96, 94))
    assert stage.venue.fills(None)[-1].price == 95


def test_what_only_reduces_never_opens_and_is_cut_to_what_is_held(stage: SimulatedMarket) -> None:
    stage.venue.submit(intent(quantity="4"))
    out = there(stage.venue.submit(intent("out", Side.SELL, "10", Purpose.CLOSE)).order)
    assert (out.filled_quantity, stage.held()) == (Decimal(4), Decimal(0))
    nothing = there(stage.venue.submit(intent("again", Side.SELL, "10", Purpose.CLOSE)).order)
    assert (nothing.status, stage.held()) == (OrderStatus.CANCELED, Decimal(0))


def test_same_id_makes_no_second_order_and_what_it_cannot_simulate_is_refused(stage: SimulatedMarket) -> None:
    first, second = stage.venue.submit(intent()), stage.opened().submit(intent())
    assert first == second
    assert len(stage.opened().fills(None)) == 1
    assert stage.venue.submit(replace(intent("pair"), order_class=OrderClass.OCO)).outcome is WriteOutcome.REJECTED
    dear = stage.venue.submit(intent("dear", quantity="10000"))
    assert (dear.outcome, dear.code) == (WriteOutcome.REJECTED, "insufficient_buying_power")
    stage.real.prices.clear()
    assert stage.venue.submit(intent("unquoted")).outcome is WriteOutcome.REJECTED


def test_order_is_changed_in_its_place_and_canceled_once(stage: SimulatedMarket) -> None:
    placed = there(stage.venue.submit(intent(limit="95")).order)
    moved = replace(intent("move", limit="100"), operation=Operation.REPLACE, target_venue_id=placed.venue_id)
    changed = there(stage.venue.replace(moved).order)
    assert (changed.venue_id, changed.client_order_id, changed.status) == (placed.venue_id, "entry", OrderStatus.FILLED)
    assert stage.venue.replace(moved).outcome is WriteOutcome.REJECTED
    assert stage.venue.cancel(moved).order == changed
    assert stage.venue.cancel(replace(moved, target_venue_id="nothing")).outcome is WriteOutcome.REJECTED
    other = there(stage.venue.submit(intent("other", limit="95")).order)
    ended = there(stage.venue.cancel(replace(moved, target_venue_id=other.venue_id)).order)
    assert ended.status is OrderStatus.CANCELED
    assert stage.venue.view().orders == ()


def test_day_order_expires_and_one_until_canceled_goes_on(stage: SimulatedMarket) -> None:
    stage.venue.submit(intent())
    stage.venue.submit(intent("day", limit="90"))
    stage.venue.submit(intent("stop", stop="98", **PROTECT))  # type: ignore[arg-type]
    stage.passes(1)
    stage.next_day()
    stage.venue.look()
    found = [there(stage.venue.order(name)).status for name in ("day", "stop")]
    assert found == [OrderStatus.EXPIRED, OrderStatus.NEW]
    assert stage.venue.account().last_equity == CASH - 10 * Decimal("0.01")


def test_split_and_dividend_change_what_is_held_but_not_what_it_is_worth(stage: SimulatedMarket) -> None:
    stage.venue.submit(intent(quantity="5"))
    stage.venue.submit(intent("stop", stop="98", quantity="5", **PROTECT))  # type: ignore[arg-type]
    tomorrow = DAY + timedelta(days=1)
    stage.steps["AAPL"] = [CorporateAction(tomorrow, SPLIT, 1.5), CorporateAction(tomorrow, DIVIDEND, 0.2)]
    stage.next_day()
    stage.venue.look()
    # 7.5 shares are 7 and half a share's worth; the dividend comes first, on five shares.
    assert stage.held() == 7
    rows = stage.venue.activities(NOW)
    assert [(one.kind, one.quantity, one.net_amount) for one in rows] == [
        ("DIV", 5, Decimal("1")),
        ("SPLIT", 2, 0),
        ("SPLIT", None, Decimal("33.3333")),
    ]
    assert there(stage.venue.order("stop")).status is OrderStatus.CANCELED


def test_minutes_that_cannot_be_read_are_followed_later(stage: SimulatedMarket) -> None:
    stage.venue.submit(intent())
    stage.venue.submit(intent("stop", stop="98", **PROTECT))  # type: ignore[arg-type]
    stage.minutes.lost = True
    with pytest.raises(TemporaryError):
        stage.passes(5, (100, 100, 97))
    stage.minutes.lost = False
    stage.passes(1)
    assert stage.venue.fills(None)[-1].price == 98


def test_minute_that_was_not_over_at_one_look_is_followed_at_the_next(stage: SimulatedMarket) -> None:
    stage.venue.submit(intent())
    stage.venue.submit(intent("stop", stop="98", **PROTECT))  # type: ignore[arg-type]
    stage.passes(1, (100, 100, 99), (100, 100, 97))
    stage.real.now += timedelta(seconds=3)
    stage.venue = stage.opened()
    stage.venue.look()
    assert stage.held() == 10
    stage.passes(1)
    assert (stage.venue.fills(None)[-1].at, stage.held()) == (NOW + timedelta(minutes=1), Decimal(0))


def test_minutes_that_come_late_count_once_there_but_not_for_a_price_asked_since(stage: SimulatedMarket) -> None:
    stage.minutes.delay = timedelta(minutes=15)
    stage.venue.submit(intent())
    stop = there(stage.venue.submit(intent("stop", stop="98", **PROTECT)).order)  # type: ignore[arg-type]
    stage.passes(5, (100, 100, 98.5), (100, 100, 99))
    raised = replace(intent("raise", stop="99"), operation=Operation.REPLACE, target_venue_id=stop.venue_id)
    stage.venue.replace(raised)
    stage.passes(13, (100, 100, 99.5), (100, 100, 98.8))
    assert stage.held() == 10
    stage.passes(5)
    assert (stage.venue.fills(None)[-1].at, stage.held()) == (NOW + timedelta(minutes=6), Decimal(0))


def test_order_for_the_day_may_still_fill_in_minutes_after_the_last_look(stage: SimulatedMarket) -> None:
    stage.venue.submit(intent(limit="99"))
    stage.passes(1)
    stage.minutes.rows += [(stage.real.now, 100, 100, 98)]
    stage.next_day()
    stage.venue.look()
    assert stage.held() == 10


def test_request_that_is_not_kept_never_arrived(stage: SimulatedMarket) -> None:
    assert stage.venue.end_of(intent("lost"), (), NOW).end is End.OVER
    stage.venue.submit(intent(limit="90"))
    assert stage.venue.end_of(intent(), (), NOW).end is End.WORKING


def test_file_that_cannot_be_read_says_what_to_remove(stage: SimulatedMarket) -> None:
    (stage.folder / "venue.json").write_text("{")
    with pytest.raises(DamagedBooksError) as failed:
        stage.opened().account()
    assert f"remove {stage.folder}" in (failed.value.hint or "")


ORDERS = st.lists(
    st.tuples(
        st.sampled_from(list(Side)), st.integers(1, 40), st.sampled_from([Purpose.OPEN, Purpose.CLOSE]),
        st.sampled_from([None, "98", "100", "103"]), st.integers(95, 105),
    ),
    max_size=12,
)  # fmt: skip


@given(ORDERS)
@settings(max_examples=10, deadline=None)
def test_cash_and_holdings_always_are_what_the_fills_say(
    tmp_path_factory: pytest.TempPathFactory, orders: list[tuple[Side, int, Purpose, str | None, int]]
) -> None:
    stage = SimulatedMarket(tmp_path_factory.mktemp("venue"), Assumed(Decimal(3), Decimal(1)))
    for place, (side, quantity, purpose, limit, price) in enumerate(orders):
        stage.real.prices["AAPL"] = quote(bid=str(price), ask=str(price + 1))
        stage.venue.submit(intent(f"order-{place}", side, str(quantity), purpose, limit))
        stage.passes(1, (price, price + 2, price - 2))
    fills, account = stage.venue.fills(None), read_account(stage.folder)
    paid = sum((fill.notional + (fill.fee.usd if fill.fee else 0) for fill in fills), Decimal(0))
    assert account.cash == CASH - paid
    assert stage.held() == sum((fill.signed_quantity for fill in fills), Decimal(0))
    assert len({fill.activity_id for fill in fills}) == len(fills)


def test_futures_move_cash_by_what_they_realize_and_tie_up_the_margin_that_the_venue_asks_for(tmp_path: Path) -> None:
    stage = SimulatedMarket(tmp_path, Assumed(Decimal(0), Decimal(5)))
    stage.real.capabilities = replace(stage.real.capabilities, settlement=Settlement.MARGINED)
    level = MarginLevel(Decimal(0), initial=Decimal("0.1"), maintenance=Decimal("0.08"))
    stage.real.listed["AAPL"] = listing(margin_levels=(level,))
    stage.real.prices["AAPL"] = quote(bid="100")
    # A tenth of what it is worth is tied up, so an order may be larger than the account.
    many = str(int(CASH / 100) * 5)
    assert stage.venue.submit(intent(quantity=many)).outcome is WriteOutcome.ACCEPTED
    account, worth = stage.venue.account(), Decimal(many) * 100
    fee = worth * Decimal("0.0005")
    assert (account.cash, account.equity) == (CASH - fee, CASH - fee)
    assert (account.initial_margin, account.maintenance_margin) == (worth / 10, worth * Decimal("0.08"))
    assert account.available == account.buying_power == account.equity - worth / 10
    assert stage.venue.submit(intent("more", quantity=many)).outcome is WriteOutcome.REJECTED
    stage.real.prices["AAPL"] = quote(bid="101", ask="101")
    assert (stage.venue.account().cash, stage.venue.account().equity) == (CASH - fee, CASH - fee + Decimal(many))
    stage.venue.submit(intent("out", Side.SELL, many, Purpose.CLOSE))
    fees = fee + Decimal(many) * 101 * Decimal("0.0005")
    assert stage.venue.account().cash == stage.venue.account().equity == CASH - fees + Decimal(many)
