"""Realized and unrealized profit, funding and fees are all that changes an account, whether it is paid or margined.

An account at a broker and the books of a bot are given the same drawn days. The broker keeps one net position in each
symbol, at its average price; the books keep the lots of each owner.
"""

from collections.abc import Iterator
from datetime import datetime, timedelta
from decimal import Decimal
from typing import NamedTuple

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.kit.values import ACCOUNT, CASH, NOW, VENUE_DAY
from tradebot.adapters.memory.ledger import MemoryLedger
from tradebot.desk.snapshot import account_value
from tradebot.model.account import Account, Booking, BrokerPosition, BrokerView, Entry
from tradebot.model.candidate import Side
from tradebot.model.instrument import AssetClass, notional
from tradebot.model.order import Fee, Fill, fee_id
from tradebot.model.position import FOREIGN, OwnedFill
from tradebot.model.record import SessionEnd
from tradebot.model.venue import Settlement
from tradebot.reconciliation.differences import booked_behind, compare
from tradebot.reconciliation.read_books import read_books
from tradebot.views.status import profit
from tradebot.views.trades.history import History
from tradebot.views.trades.pieces import break_down_profit
from tradebot.views.trades.pnl import ProfitGrouping, pnl

MULTIPLIERS = {"AAPL": Decimal(1), "ES": Decimal(50), "XBT": Decimal("0.001")}
MARKS = {"AAPL": Decimal("101.25"), "ES": Decimal("98.75"), "XBT": Decimal(103)}
NOTHING = Decimal(0)


class Traded(NamedTuple):
    """A drawn fill; its fee comes with it, or later, or isn't told at all."""

    owner: str
    symbol: str
    side: Side
    quantity: int
    cents: int
    fee_cents: int
    fee_told: str


class Moved(NamedTuple):
    """A drawn movement of cash: FUNDING of a symbol, or what the owner moves in or out."""

    kind: str
    symbol: str
    cents: int


DAYS = st.lists(
    st.one_of(
        st.builds(
            Traded,
            st.sampled_from(["flow", "other", FOREIGN]),
            st.sampled_from(sorted(MULTIPLIERS)),
            st.sampled_from(Side),
            st.integers(1, 9),
            st.integers(9_000, 11_000),
            st.integers(-200, 900),
            st.sampled_from(["with the fill", "later", "never"]),
        ),
        st.builds(Moved, st.just("FUNDING"), st.sampled_from(["ES", "XBT"]), st.integers(-5_000, 5_000)),
        st.builds(Moved, st.just("CSD"), st.just(""), st.integers(-50_000, 90_000)),
    ),
    max_size=25,
)


class Broker:
    """An account as its broker counts it: a net position at its average price, and cash."""

    def __init__(self, settlement: Settlement) -> None:
        self.settlement, self.cash = settlement, CASH
        self.held = dict.fromkeys(MULTIPLIERS, NOTHING)
        self.average = dict.fromkeys(MULTIPLIERS, NOTHING)

    def trade(self, fill: Fill) -> None:
        """Change the position, and pay for it or settle what was closed."""
        symbol, change, before = fill.symbol, fill.signed_quantity, self.held[fill.symbol]
        after = self.held[symbol] = before + change
        closed = min(abs(change), abs(before)).copy_sign(before) if before * change < 0 else NOTHING
        if self.settlement is Settlement.MARGINED:
            self.cash += notional(closed, fill.price - self.average[symbol], fill.multiplier)
        else:
            self.cash -= fill.notional
        if before * change >= 0:
            self.average[symbol] = (self.average[symbol] * before + fill.price * change) / after
        elif abs(change) > abs(before):
            self.average[symbol] = fill.price

    def view(self) -> BrokerView:
        """Return the account at its marks; its average prices are rounded as brokers round them."""
        positions = tuple(
            BrokerPosition(
                symbol,
                AssetClass.UNKNOWN,
                quantity,
                self.average[symbol].quantize(Decimal("1e-6")),
                notional(quantity, MARKS[symbol], MULTIPLIERS[symbol]),
                MARKS[symbol],
                MULTIPLIERS[symbol],
            )
            for symbol, quantity in self.held.items()
            if quantity
        )
        return BrokerView(self._account(), positions, ())

    def _account(self) -> Account:
        equity = self.cash
        for symbol, quantity in self.held.items():
            began = self.average[symbol] if self.settlement is Settlement.MARGINED else NOTHING
            equity += notional(quantity, MARKS[symbol] - began, MULTIPLIERS[symbol])
        return Account(ACCOUNT, "ACTIVE", self.cash, equity, equity, equity, (), self.settlement)


class Lived(NamedTuple):
    """The account and the books after the same days, and what the days were about in USD."""

    broker: Broker
    ledger: MemoryLedger
    fees: Decimal
    funding: Decimal
    transfers: Decimal
    unknown: int


def live(settlement: Settlement, days: list[Traded | Moved]) -> Lived:
    """Give the same days to a broker and to the books, which are told of late fees at the end."""
    broker, ledger, late = Broker(settlement), MemoryLedger(ACCOUNT), list[Entry]()
    ledger.open_books(CASH, NOW, settlement)
    fees = funding = transfers = NOTHING
    for number, one in enumerate(days):
        at, usd = NOW + timedelta(hours=number), Decimal(one[-2 if isinstance(one, Traded) else -1]) / 100
        if isinstance(one, Moved):
            ledger.book(Booking((Entry(f"m{number}", one.kind, usd, "", at, one.symbol),)), at)
            broker.cash += usd
            funding += usd if one.kind == "FUNDING" else 0
            transfers += usd if one.kind == "CSD" else 0
            continue
        owned = traded(number, one, at)
        broker.trade(owned.fill)
        ledger.apply_fills([owned], at)
        if one.fee_told != "never":
            fees, broker.cash = fees + usd, broker.cash - usd
        if one.fee_told == "later":
            late.append(Entry(fee_id(owned.fill.activity_id), "FEE", -usd, "", at, one.symbol))
    for entry in late:
        ledger.book(Booking((entry,)), NOW + timedelta(days=9))
    unknown = sum(isinstance(one, Traded) and one.fee_told == "never" for one in days)
    return Lived(broker, ledger, fees, funding, transfers, unknown)


def traded(number: int, one: Traded, at: datetime) -> OwnedFill:
    fee = Fee(Decimal(one.fee_cents) / 100 if one.fee_told == "with the fill" else None)
    numbers = Decimal(one.quantity), Decimal(one.cents) / 100
    return OwnedFill(
        one.owner, Fill(f"f{number}", f"v{number}", one.symbol, one.side, *numbers, at, MULTIPLIERS[one.symbol], fee)
    )


def history(lived: Lived) -> History:
    """Return what reports read of the books, with the marks of each day's end."""
    fills, cash = tuple(lived.ledger.fills()), tuple(lived.ledger.cash_movements())
    dates = sorted({at.date() for at in (NOW, *(o.fill.at for o in fills), *(m.at for m in cash))})
    ends = tuple(SessionEnd(day, None, None, MARKS, None) for day in dates)
    return History("", "", VENUE_DAY, NOW, CASH, fills, cash, ends)


@pytest.mark.parametrize("settlement", Settlement)
@given(days=DAYS)
def test_profit_funding_and_fees_alone_change_an_account(settlement: Settlement, days: list[Traded | Moved]) -> None:
    lived = live(settlement, days)
    change = lived.broker.view().account.equity - CASH - lived.transfers
    totals, adjustments = lived.ledger.totals(), lived.ledger.cash_adjustments()
    seen = profit(CASH, totals, MARKS, adjustments, lived.ledger.account_state().settlement)
    told_with_fills = totals.fees
    assert seen.realized + seen.unrealized + lived.funding - lived.fees == pytest.approx(change, abs=Decimal("1e-15"))
    assert seen.equity == CASH + seen.total + adjustments
    assert seen.total == seen.realized + seen.unrealized - told_with_fills
    assert totals.realized_usd == seen.realized


@pytest.mark.parametrize("settlement", Settlement)
@given(days=DAYS)
def test_reports_divide_an_accounts_change_without_a_rest(settlement: Settlement, days: list[Traded | Moved]) -> None:
    lived = live(settlement, days)
    found = pnl(break_down_profit(history(lived)), ProfitGrouping.SYMBOL)
    total, (own, theirs) = found.total, values(lived)
    assert total.realized_usd + total.open_usd + total.funding_usd + total.fees_usd == total.total_usd == own
    assert own == pytest.approx(theirs, abs=Decimal("1e-15"))
    assert (total.funding_usd, total.fees_usd, found.transfers_usd) == (lived.funding, -lived.fees, lived.transfers)
    assert found.unknown_fees == lived.unknown


def values(lived: Lived) -> Iterator[Decimal]:
    """Yield the change of the account without transfers, by the books and by the broker."""
    settlement, totals = lived.ledger.account_state().settlement, lived.ledger.totals()
    yield profit(CASH, totals, MARKS, lived.ledger.cash_adjustments(), settlement).equity - CASH - lived.transfers
    yield lived.broker.view().account.equity - CASH - lived.transfers


@pytest.mark.parametrize("settlement", Settlement)
@settings(max_examples=settings().max_examples // 2)
@given(days=DAYS)
def test_books_and_broker_agree_on_cash_with_any_lots(settlement: Settlement, days: list[Traded | Moved]) -> None:
    lived = live(settlement, days)
    view = lived.broker.view()
    books = read_books(lived.ledger, NOW + timedelta(days=9), VENUE_DAY)
    assert [one for one in compare(books, booked_behind(lived.ledger, books), view) if one.subject == "account"] == []
    if settlement is Settlement.PAID:
        assert books.cash == view.account.cash
    worth = account_value(view, {})
    assert abs(worth.total - view.account.equity) < Decimal("0.01")
    assert worth.explains(view.account.equity) or view.account.equity < 0


@pytest.mark.parametrize("settlement", Settlement)
def test_a_cent_that_nothing_explains_is_found(settlement: Settlement) -> None:
    buy = Traded("flow", "ES", Side.BUY, 3, 10_000, 250, "with the fill")
    sell = Traded("other", "ES", Side.SELL, 2, 10_500, 250, "later")
    lived = live(settlement, [buy, sell, Moved("FUNDING", "ES", -125)])
    lived.broker.cash -= Decimal("0.02")
    view, books = lived.broker.view(), read_books(lived.ledger, NOW, VENUE_DAY)
    (finding,) = compare(books, booked_behind(lived.ledger, books), view)
    assert finding.ours is not None
    assert finding.broker is not None
    assert round(finding.ours - finding.broker, 4) == Decimal("0.02")
