"""Each part of the books is read once, however much there is to know: counted at the ledger."""

from collections import Counter
from typing import Any

import pytest

from tests.kit.adapters import alpaca
from tests.kit.core.scene import Scene, call, evaluate_exits, trade_once, wanted
from tests.kit.core.venue import FakeReader
from tests.kit.values import NOW, VENUE_DAY, fill
from tradebot.adapters.memory.ledger import MemoryLedger
from tradebot.model.record import Job
from tradebot.model.struct_tools import replace
from tradebot.reconciliation.catch_up import catch_up, read_view
from tradebot.reconciliation.read_books import read_books

WRITES = frozenset(
    name for name in dir(MemoryLedger) if name.partition("_")[0] in {"apply", "put", "set", "mark", "keep", "open"}
) | {
    *("record_intent", "record_outcome", "abandon", "retry", "book", "claim_slot", "acknowledge", "adjust_cash"),
    "checkpoint_totals",
}
SNAPSHOT, QUIET_CATCH_UP = 12, 10
"""The most reads that each may take."""


class Counted:
    """A ledger that counts the calls of its methods by name."""

    def __init__(self, ledger: MemoryLedger) -> None:
        self.ledger = ledger
        self.calls = Counter[str]()

    def __getattr__(self, name: str) -> Any:
        found = getattr(self.ledger, name)
        if callable(found):
            self.calls[name] += 1
        return found

    @property
    def reads(self) -> Counter[str]:
        return Counter({name: count for name, count in self.calls.items() if name not in WRITES})


def grown(positions: int) -> tuple[Scene, Counted]:
    """Return a bot that holds so many positions, each with an exit at work, and a stranger's order."""
    scene = Scene()
    names = [f"S{number}" for number in range(positions)]
    scene.ledger.apply_fills([fill(number, name) for number, name in enumerate(names)], NOW)
    scene.venue.held.update({name: fill(1).fill.quantity for name in names})
    counted = Counted(scene.ledger)
    scene.ledger = counted  # type: ignore[assignment]
    return scene, counted


@pytest.mark.parametrize("positions", [0, 1, 30])
def test_the_books_are_read_at_once_and_a_quiet_catch_up_reads_little_and_writes_nothing(positions: int) -> None:
    scene, counted = grown(positions)
    read_books(scene.ledger, NOW, VENUE_DAY)
    assert counted.calls.total() == counted.reads.total() <= SNAPSHOT
    assert set(counted.calls.values()) == {1}
    reader = FakeReader(scene.venue)
    view = read_view(reader, scene.ledger)
    catch_up(reader, scene.ledger, view.orders, NOW, NOW)
    counted.calls.clear()
    view = read_view(reader, scene.ledger)
    caught = catch_up(reader, scene.ledger, view.orders, NOW, NOW)
    assert (caught.orders, caught.fills) == (0, 0)
    assert counted.calls.keys() - counted.reads.keys() == {"checkpoint_totals"}
    assert counted.reads.total() <= QUIET_CATCH_UP


def test_an_order_that_was_once_told_without_its_id_is_the_same_order_and_another_id_is_not_believed() -> None:
    scene = Scene()
    reader = FakeReader(scene.venue)
    order = scene.venue.rest("by-hand", "AAPL", alpaca.intent())
    scene.ledger.apply_orders([replace(order, client_order_id="")], NOW)
    view = read_view(reader, scene.ledger)
    assert (view.orders, view.unreadable) == ((order,), 0)
    scene.ledger.apply_orders([replace(order, client_order_id="another")], NOW)
    view = read_view(reader, scene.ledger)
    assert (view.orders, view.unreadable) == ((), 1)


def test_a_pass_reads_the_same_for_one_position_as_for_thirty() -> None:
    found = []
    for positions in (1, 30):
        scene, counted = grown(positions)
        for slot in ("open+31m", "open+36m"):
            counted.calls.clear()
            evaluate_exits(scene.world(), call(Job.EVALUATE_EXITS, slot))
            scene.later(300)
        found.append(counted.reads)
    assert found[0] == found[1]
    assert found[0].total() <= SNAPSHOT + QUIET_CATCH_UP + 5


def test_each_order_adds_two_reads_of_the_trading_state_its_intent_and_its_outcome() -> None:
    calls = []
    for names in (("AAPL",), ("AAPL", "MSFT")):
        scene, counted = grown(0)
        counted.calls.clear()
        trade_once(scene.world(*map(wanted, names)), call())
        assert len(scene.venue.submitted) == len(names)
        calls.append(counted.calls.copy())
    assert calls[1] - calls[0] == Counter(trading_state=2, record_intent=1, record_outcome=1)
