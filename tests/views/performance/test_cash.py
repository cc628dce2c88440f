"""Movements of cash: each of the broker's kinds is a fee, a dividend, interest, a transfer, or something else."""

from decimal import Decimal

import pytest

from tests.builders import NOW
from tradebot.model.cash import CashKind, CashMovement
from tradebot.model.origin import Origin
from tradebot.reconciliation.activities import CASH_ONLY
from tradebot.views.performance.cash import cash_kind


def movement(kind: str, amount: str = "1", origin: Origin = Origin.ACTIVITY) -> CashMovement:
    return CashMovement(NOW, Decimal(amount), kind, origin, "about", f"{kind} words")


@pytest.mark.parametrize(
    ("kind", "means"),
    [
        ("FEE", CashKind.FEE),
        ("CFEE", CashKind.FEE),
        ("PTC", CashKind.FEE),
        ("PTR", CashKind.FEE),
        ("DIV", CashKind.DIVIDEND),
        ("DIVNRA", CashKind.DIVIDEND),
        ("CGD", CashKind.DIVIDEND),
        ("INT", CashKind.INTEREST),
        ("INTTW", CashKind.INTEREST),
        ("CSD", CashKind.TRANSFER),
        ("CSW", CashKind.TRANSFER),
        ("JNLC", CashKind.TRANSFER),
        ("ACATS", CashKind.TRANSFER),
        ("TRANS", CashKind.TRANSFER),
        ("MA", CashKind.ADJUSTMENT),
        ("SPLIT", CashKind.ADJUSTMENT),
        ("a kind of tomorrow", CashKind.ADJUSTMENT),
    ],
)
def test_each_kind_of_the_broker_means_one_thing(kind: str, means: CashKind) -> None:
    assert cash_kind(movement(kind)) is means


def test_every_kind_that_moves_only_cash_is_known() -> None:
    assert {kind for kind in CASH_ONLY if cash_kind(movement(kind)) is CashKind.ADJUSTMENT} == set()


def test_what_an_adoption_puts_back_is_no_profit_and_what_a_plan_accepts_is_something_else() -> None:
    assert cash_kind(movement("", origin=Origin.ADOPTION)) is CashKind.TRANSFER
    assert cash_kind(movement("", origin=Origin.PLAN)) is CashKind.ADJUSTMENT
