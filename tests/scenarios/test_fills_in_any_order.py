"""The same fills, in whatever order and batches they arrive, give the same positions, cash and trades."""

from contextlib import closing
from datetime import timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from tests.kit.rows import ACCOUNT, NOW, make_fill
from tradebot.adapters.ledger.ledger import SqliteLedger
from tradebot.model.candidate import Side
from tradebot.model.position import OwnedFill
from tradebot.model.struct_tools import replace
from tradebot.model.totals import Totals
from tradebot.model.trade import Trade
from tradebot.views.trades.lots import trades

FILLS = st.lists(
    st.tuples(
        st.sampled_from(["flow", "own"]), st.sampled_from(["AAPL", "MSFT"]), st.sampled_from(Side), st.integers(1, 9)
    ),
    min_size=2,
    max_size=12,
)


def made(number: int, owner: str, symbol: str, side: Side, quantity: int) -> OwnedFill:
    """Return a fill so many minutes after the first one, at its own price."""
    fill = make_fill(f"f{number}", NOW + timedelta(minutes=number)).fill
    changed = replace(fill, symbol=symbol, side=side, quantity=Decimal(quantity), price=Decimal(100 + number % 7))
    return OwnedFill(owner, changed)


def booked(folder: Path, arriving: list[OwnedFill], batch: int) -> tuple[Totals, tuple[Trade, ...]]:
    """Return what books say that were told of these fills so many at a time; every batch comes twice."""
    with closing(SqliteLedger.create(folder, ACCOUNT, NOW)) as books:
        for start in range(0, len(arriving), batch):
            for _ in range(2):
                books.apply_fills(arriving[start : start + batch], NOW + timedelta(days=1))
        return books.totals(), trades(books.fills())


@settings(max_examples=max(settings().max_examples // 10, 5))
@given(FILLS, st.data())
def test_no_order_of_arrival_changes_the_books(
    tmp_path_factory: Any, drawn: list[tuple[str, str, Side, int]], data: st.DataObject
) -> None:
    fills = [made(number, *one) for number, one in enumerate(drawn)]
    arriving, batch = data.draw(st.permutations(fills)), data.draw(st.integers(1, 5))
    found, rows = booked(tmp_path_factory.mktemp("arrival"), arriving, batch)
    assert found == Totals.of(fills)
    assert rows == trades(fills)
