"""What a strategy is told of the account and the session."""

from datetime import datetime, timedelta
from decimal import Decimal

import pytest

from tests.kit.core.scene import Scene
from tests.kit.core.venue import Wanting
from tests.kit.values import CASH, NOW, SESSION, ago
from tests.model.test_lifecycle import intent, order
from tradebot.adapters.memory.ledger import MemoryLedger
from tradebot.desk.strategy_views import ViewBuilder, situation_of
from tradebot.model.account import BrokerPosition, EquityPeak
from tradebot.model.candidate import Purpose, Side
from tradebot.model.instrument import AssetClass
from tradebot.model.intent import Operation
from tradebot.model.order import OrderStatus, Reply, WriteOutcome
from tradebot.model.position import Lot, Position
from tradebot.model.struct_tools import replace
from tradebot.model.view import Needs, Situation

WANTS = Needs(lots=True, situation=True)


def seen(scene: Scene, *, needs: Needs = WANTS, now: datetime = NOW) -> Situation | None:
    strategy = Wanting(name="policy")
    strategy.needs = needs
    return ViewBuilder(replace(scene.world(), strategies=[strategy]), now, [strategy]).of(strategy).view.situation


def test_situation_is_told_only_to_who_needs_it() -> None:
    assert seen(Scene(), needs=Needs(lots=True)) is None


def test_new_account_stands_at_its_highest_and_has_traded_nothing() -> None:
    assert seen(Scene()) == Situation(SESSION, CASH, CASH, {}, 0)


def test_drawdown_is_from_the_highest_equity_that_the_books_know() -> None:
    scene = Scene()
    scene.ledger.put_equity_peak(EquityPeak(CASH * 2, Decimal(0)))
    found = seen(scene)
    assert found is not None
    assert (found.highest, found.drawdown) == (CASH * 2, Decimal("0.5"))


@pytest.mark.parametrize("at", [SESSION.open - timedelta(seconds=1), SESSION.close])
def test_session_that_is_not_open_is_none(at: datetime) -> None:
    found = seen(Scene(), now=at)
    assert found is not None
    assert found.session is None


HELD = Position("policy", "AAPL", (Lot(Decimal(10), Decimal(90), ago(600)),), Decimal(0), ago(600))
THEIRS = replace(HELD, strategy="flow", symbol="MSFT")


def shown(symbol: str, price: Decimal | None) -> BrokerPosition:
    return BrokerPosition(symbol, AssetClass.US_EQUITY, Decimal(10), Decimal(90), None, price)


def told(*positions: BrokerPosition, ledger: MemoryLedger | None = None) -> Situation:
    scene = Scene()
    view = replace(scene.venue.view(), positions=positions)
    world = replace(scene.world(), ledger=ledger or scene.ledger)
    return situation_of(world, NOW, view, [HELD, THEIRS], "policy")


def test_profit_is_that_of_own_positions_at_the_venue_price() -> None:
    assert told(shown("AAPL", Decimal(95)), shown("MSFT", Decimal(95))).unrealized == {"AAPL": Decimal(50)}
    assert told(shown("AAPL", None)).unrealized == {}, "nobody knows the price"
    assert told().unrealized == {}


def entered(ledger: MemoryLedger, number: int, *, filled: int, strategy: str = "policy", **own: object) -> None:
    """Write an entry, and the order that the venue made of it."""
    usual = intent(Purpose.OPEN, Side.BUY, 10, number)
    entry = replace(usual, key=replace(usual.key, strategy=strategy), **own)  # type: ignore[arg-type]
    ledger.record_intent(entry, [])
    status = OrderStatus.FILLED if filled else OrderStatus.NEW
    ledger.record_outcome(entry.client_order_id, Reply(WriteOutcome.ACCEPTED, order(entry, status, filled)), NOW)


def test_trades_are_own_entries_of_the_session_that_have_a_fill() -> None:
    ledger = Scene().ledger
    entered(ledger, 1, filled=10)
    entered(ledger, 2, filled=3)
    entered(ledger, 3, filled=0)
    entered(ledger, 4, filled=10, strategy="flow")
    entered(ledger, 5, filled=10, purpose=Purpose.CLOSE)
    assert told(ledger=ledger).trades == 2


def test_entry_that_was_replaced_counts_once() -> None:
    ledger = Scene().ledger
    entered(ledger, 1, filled=3)
    first = intent(Purpose.OPEN, Side.BUY, 10, 1)
    key = replace(first.key, strategy="policy")
    replaced = replace(first, key=key, client_order_id="open-1.2", operation=Operation.REPLACE, target_venue_id="v")
    ledger.record_intent(replaced, [])
    ledger.record_outcome(
        "open-1.2", Reply(WriteOutcome.ACCEPTED, order(replaced, OrderStatus.FILLED, 7, venue_id="w")), NOW
    )
    assert told(ledger=ledger).trades == 1
