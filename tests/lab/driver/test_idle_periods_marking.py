"""Marks written at once, against those that a pass at each of its times would leave."""

from collections.abc import Sequence
from datetime import timedelta
from decimal import Decimal
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from tests.kit.values import quote
from tests.lab.driver.test_price_triggers import MINUTES, OPEN, Drawn
from tradebot.adapters.memory.ledger import MemoryLedger
from tradebot.desk.exit_inputs import update_marks
from tradebot.exits.exit_rule import WatchedPosition
from tradebot.exits.kinds.stops import StopLoss, TrailingStop
from tradebot.exits.kinds.targets import ProfitTarget
from tradebot.lab.driver.idle_periods import PendingMarks, ignores_marks
from tradebot.lab.driver.price_triggers import in_us, in_usd
from tradebot.model.bar import Quote
from tradebot.model.position import EntryTerms, Lot, Marks, Position

STOP, TARGET = StopLoss(fraction=Decimal("0.01")), ProfitTarget(fraction=Decimal("0.01"))
TRAIL = TrailingStop(fraction=Decimal("0.01"), arm_fraction=Decimal("0.01"))
walks = st.lists(st.integers(990_000, 1_010_000), min_size=MINUTES + 1, max_size=MINUTES + 1)
minutes = st.lists(st.integers(1, MINUTES), unique=True).map(sorted)


def shown(market: Drawn, minute: int) -> Quote:
    seen = market.at("AAPL", minute)
    return quote("AAPL", str(in_usd(seen.bid)), str(in_usd(seen.ask)))


def one_by_one(position: Position, market: Drawn, slots: Sequence[int], marks: Marks) -> Marks:
    for minute in slots:
        marks = update_marks(position, shown(market, minute), EntryTerms(best=marks.best, worst=marks.worst))
    return marks


@given(walks, minutes, minutes, st.sampled_from((-5, 5)))
def test_marks_are_those_of_every_pass(walk: list[int], first: list[int], second: list[int], quantity: int) -> None:
    market, ledger = Drawn({"AAPL": walk}), MemoryLedger("A1")
    position = Position("flow", "AAPL", (Lot(Decimal(quantity), Decimal(100), OPEN),), Decimal(0), entered_at=OPEN)
    begun = update_marks(position, shown(market, 0), EntryTerms())
    ledger.put_marks({position.key: begun})
    market_ahead: Any = market
    marking = PendingMarks(ledger, market_ahead)
    kept = EntryTerms(best=begun.best, worst=begun.worst)
    marking.follow(OPEN, [WatchedPosition(position, begun.best, kept)], {"AAPL": shown(market, 0)})
    for slots in (first, sorted({*first, *second})):
        marking.write([in_us(OPEN + timedelta(minutes=minute)) for minute in slots])
    # What is later than one that was written already is all that a second look may add.
    last = max(first, default=0)
    seen = [*first, *(minute for minute in sorted({*second}) if minute > last)]
    (written,) = ledger.tables.marks.after(0).values()
    assert written == (position.key, one_by_one(position, market, seen, begun))


def test_rules_are_blind_only_if_they_ignore_the_best_price() -> None:
    assert ignores_marks((STOP, TARGET))
    assert ignores_marks(())
    assert not ignores_marks((STOP, TRAIL))


def test_closed_positions_get_no_marks() -> None:
    ledger, market = MemoryLedger("A1"), Drawn({"AAPL": list(range(1_000_000, 1_000_000 + MINUTES + 1))})
    position = Position("flow", "AAPL", (Lot(Decimal(5), Decimal(100), OPEN),), Decimal(0), entered_at=OPEN)
    market_ahead: Any = market
    marking = PendingMarks(ledger, market_ahead)
    held = WatchedPosition(position, Decimal(100), EntryTerms(best=Decimal(100), worst=Decimal(100)))
    marking.follow(OPEN, [held], {"AAPL": shown(market, 0)})
    marking.follow(OPEN, iter(()), {})
    marking.write([in_us(OPEN + timedelta(minutes=5))])
    assert not ledger.tables.marks.after(0)
