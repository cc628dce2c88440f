"""An account that may hold three contracts and order two at a time goes from one target to the next."""

from decimal import Decimal

import pytest

from tests.kit.core.scene import Scene, call, evaluate_exits, trade_once
from tests.kit.core.venue import Wanting
from tests.kit.values import limits
from tradebot.model.candidate import Purpose, Side
from tradebot.model.decision import Gate
from tradebot.model.reasons import Reason
from tradebot.model.record import CycleRecord, Job
from tradebot.model.struct_tools import replace
from tradebot.model.view import Target

THREE = limits(max_contracts=3, max_order_contracts=2, cooldown_s=1, duplicate_window_s=5, min_order_notional_usd=1)


class Trader:
    """A bot whose strategy wants so many contracts of AAPL."""

    def __init__(self) -> None:
        self.scene, self.passes = Scene(limits=THREE), 0

    def wants(self, quantity: int) -> CycleRecord:
        """Run a pass of entries."""
        self.passes += 1
        self.scene.later(61)
        strategy = Wanting(Target("AAPL", quantity=Decimal(quantity)))
        world = replace(self.scene.world(), strategies=[strategy])
        return trade_once(world, call(slot=f"entry {self.passes}"))

    def fills(self) -> None:
        """Let everything fill, and book it."""
        for order in [one for one in self.scene.venue.book.values() if not one.status.terminal]:
            self.scene.venue.fill(order.client_order_id, "100")
        self.passes += 1
        self.scene.later(61)
        evaluate_exits(self.scene.world(), call(Job.EVALUATE_EXITS, f"exits {self.passes}"))

    def sent(self, count: int) -> list[tuple[Side, Purpose, Decimal]]:
        """Return the last orders."""
        return [(one.side, one.purpose, one.quantity) for one in self.scene.venue.submitted[-count:]]


@pytest.fixture
def long_two() -> Trader:
    trader = Trader()
    trader.wants(2)
    trader.fills()
    assert trader.scene.venue.held == {"AAPL": Decimal(2)}
    return trader


def test_from_two_to_three_takes_one_order_of_one(long_two: Trader) -> None:
    long_two.wants(3)
    assert long_two.sent(1) == [(Side.BUY, Purpose.OPEN, Decimal(1))]


def test_from_two_to_four_is_refused_because_of_the_sum(long_two: Trader) -> None:
    (record,) = long_two.wants(4).candidates
    refused = [one for one in record.decisions if not one.passed]
    assert [(one.gate, one.reason, one.observed, one.limit) for one in refused] == [
        (Gate.CONTRACTS, Reason.CONTRACTS_ABOVE_MAX, 4, 3)
    ]
    assert len(long_two.scene.venue.submitted) == 1


def test_from_two_long_to_two_short_takes_two_orders_and_the_second_waits_for_the_first(long_two: Trader) -> None:
    long_two.wants(-2)
    long_two.wants(-2)
    assert len(long_two.scene.venue.submitted) == 2, "the close hasn't filled"
    long_two.fills()
    long_two.wants(-2)
    assert long_two.sent(2) == [(Side.SELL, Purpose.CLOSE, Decimal(2)), (Side.SELL, Purpose.OPEN, Decimal(2))]
    long_two.fills()
    assert long_two.scene.venue.held == {"AAPL": Decimal(-2)}


def test_a_target_of_three_takes_an_order_of_two_and_then_one_of_one() -> None:
    trader = Trader()
    trader.wants(3)
    trader.fills()
    trader.wants(3)
    assert [quantity for *_, quantity in trader.sent(2)] == [2, 1]


def test_a_working_order_counts_for_the_sum(long_two: Trader) -> None:
    long_two.wants(3)
    world = replace(long_two.scene.world(), strategies=[Wanting(Target("MSFT", quantity=Decimal(1)))])
    (record,) = trade_once(world, call(slot="another")).candidates
    assert Reason.CONTRACTS_ABOVE_MAX in {one.reason for one in record.decisions}
