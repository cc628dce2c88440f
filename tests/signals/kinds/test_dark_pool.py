"""Dark-pool prints: what decisions keep of them."""

from decimal import Decimal

import pytest

from tests.builders import ago, dark_print
from tradebot.signals.kinds.dark_pool import KIND, Prints, SignedPrint


@pytest.mark.parametrize(("price", "sign"), [("100.01", 1), ("100.00", 0), ("99.99", -1)])
def test_a_print_is_signed_by_its_price_against_the_middle_of_the_quote(price: str, sign: int) -> None:
    assert KIND.lean(dark_print(price, premium=Decimal("1234.5"))) == SignedPrint(ago(60), 1234.5, sign)


def test_prints_come_oldest_first() -> None:
    prints = [SignedPrint(ago(60), 5.0, 1), SignedPrint(ago(120), 7.0, -1)]
    assert KIND.condense(prints) == Prints((ago(120), ago(60)), (7.0, 5.0), (-7.0, 5.0))
