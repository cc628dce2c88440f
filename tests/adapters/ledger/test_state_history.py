"""What a halt asks of the ledger before it loads anything else."""

from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path

import pytest

from tests.kit.rows import ACCOUNT, NOW, make_intent, make_order
from tradebot.adapters.ledger.ledger import SqliteLedger
from tradebot.model.candidate import Purpose
from tradebot.model.order import Order, OrderStatus, Reply, WriteOutcome
from tradebot.model.struct_tools import replace

LEG = replace(make_order(), venue_id="leg", client_order_id="the venue's name", parent=make_order().venue_id)


@pytest.fixture
def books(tmp_path: Path) -> Iterator[SqliteLedger]:
    ledger = SqliteLedger.create(tmp_path, ACCOUNT, NOW)
    yield ledger
    ledger.close()


def send(books: SqliteLedger, purpose: Purpose) -> Order:
    """Promise an order for this purpose that the venue accepts, and return it."""
    intent = replace(make_intent(), purpose=purpose)
    order = replace(make_order(), client_order_id=intent.client_order_id, filled_quantity=Decimal(0))
    books.record_intent(intent, ())
    books.record_outcome(
        intent.client_order_id, Reply(WriteOutcome.ACCEPTED, replace(order, status=OrderStatus.NEW)), NOW
    )
    return order


@pytest.mark.parametrize("purpose", list(Purpose))
def test_may_fill_is_true_unless_an_order_and_its_leg_only_protect(books: SqliteLedger, purpose: Purpose) -> None:
    assert not books.history.may_fill()
    order = send(books, purpose)
    assert books.history.may_fill() is (purpose is not Purpose.PROTECT)
    books.apply_orders([replace(order, status=OrderStatus.FILLED), replace(LEG, status=OrderStatus.HELD)], NOW)
    assert books.history.may_fill() is (purpose is not Purpose.PROTECT)
    books.apply_orders([replace(LEG, venue_id="nobody's", parent=None, status=OrderStatus.NEW)], NOW)
    assert books.history.may_fill()


def test_may_fill_is_true_for_an_unanswered_promise(books: SqliteLedger) -> None:
    books.record_intent(replace(make_intent(), purpose=Purpose.PROTECT), ())
    assert books.history.may_fill()
