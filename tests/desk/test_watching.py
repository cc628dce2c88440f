"""A pass keeps the best and the worst price of each position, for longs and shorts alike, in one write."""

from collections.abc import Mapping
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.builders import ACCOUNT, NOW, fill
from tests.worlds import Scene, call, evaluate_exits
from tradebot.adapters.memory.ledger import MemoryLedger
from tradebot.desk.snapshot import take
from tradebot.desk.watching import watch
from tradebot.model.candidate import Side
from tradebot.model.position import Key, Marks
from tradebot.model.record import Job
from tradebot.model.values import replace

PRICES = st.lists(st.integers(9_850, 10_150).map(lambda cents: Decimal(cents) / 100), min_size=1, max_size=8)


def holding(side: Side = Side.BUY, *symbols: str) -> Scene:
    scene = Scene()
    for number, symbol in enumerate(symbols or ("AAPL",)):
        owned = fill(number, symbol, side, at=NOW)
        scene.ledger.apply_fills([owned], NOW)
        scene.venue.held[symbol] = owned.fill.signed_quantity
    return scene


def marks(scene: Scene) -> Marks:
    """Return the marks of the one position after another look."""
    world = scene.world()
    (held,) = watch(world, take(world, with_flow=False)).values()
    stored = scene.ledger.kept([held.position.key])[held.position.key]
    assert (stored.best, stored.worst) == (held.best, held.kept.worst)
    return Marks(held.best, held.kept.worst)


@given(prices=PRICES, side=st.sampled_from(Side))
def test_the_marks_are_the_extremes_of_the_entry_and_of_all_prices_seen(prices: list[Decimal], side: Side) -> None:
    scene, seen = holding(side), [Decimal(100)]
    for price in prices:
        scene.price("AAPL", str(price))
        seen.append(price)
        best, worst = (max(seen), min(seen)) if side is Side.BUY else (min(seen), max(seen))
        assert marks(scene) == Marks(best, worst)


@given(prices=PRICES)
def test_a_short_on_mirrored_prices_has_mirrored_marks(prices: list[Decimal]) -> None:
    long, short = holding(Side.BUY), holding(Side.SELL)
    for price in prices:
        long.price("AAPL", str(price))
        short.price("AAPL", str(200 - price))
        one, other = marks(long), marks(short)
        assert one.worst is not None
        assert other == Marks(200 - one.best, 200 - one.worst)


class Counting(MemoryLedger):
    """A ledger that notes each write of marks."""

    def __init__(self) -> None:
        super().__init__(ACCOUNT)
        self.written: list[Mapping[Key, Marks]] = []

    def put_marks(self, marks: Mapping[Key, Marks]) -> None:
        self.written.append(marks)
        super().put_marks(marks)


def test_all_marks_of_a_pass_are_one_write_and_those_that_did_not_move_are_none() -> None:
    scene = holding(Side.BUY, "AAPL", "MSFT", "JPM")
    ledger = Counting()
    ledger.__dict__.update(scene.ledger.__dict__)
    scene.ledger = ledger
    for price in ("101", "101", "99"):
        scene.price("MSFT", price)
        evaluate_exits(scene.world(), call(Job.EVALUATE_EXITS))
        scene.later(60)
    assert [sorted(key[1] for key in written) for written in ledger.written] == [["AAPL", "JPM", "MSFT"], ["MSFT"]]
    evaluate_exits(replace(scene.world(dry_run=True)), call(Job.EVALUATE_EXITS))
    assert len(ledger.written) == 2


@pytest.mark.parametrize("side", Side)
def test_no_mark_moves_while_a_split_is_unproven(side: Side) -> None:
    scene = holding(side)
    scene.price("AAPL", "100.5")
    before = marks(scene)
    scene.venue.held["AAPL"] *= 2
    scene.price("AAPL", "50")
    assert marks(scene) == before


def test_the_quantity_that_a_position_was_opened_with_is_among_what_is_kept() -> None:
    scene = holding()
    scene.ledger.apply_fills([fill(5, side=Side.SELL, quantity="4")], NOW)
    scene.venue.held["AAPL"] = Decimal(6)
    world = scene.world()
    (held,) = watch(world, take(world, with_flow=False)).values()
    assert (held.position.quantity, held.kept.original_quantity) == (Decimal(6), Decimal(10))
