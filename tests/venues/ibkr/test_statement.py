"""Executions are read from a Flex query's file as they are now, those of futures and of this account alone."""

from datetime import UTC, datetime
from decimal import Decimal

import pytest

from tradebot.errors import OperatorError
from tradebot.model.candidate import Side
from tradebot.model.order import Executed, Fee, Fill
from tradebot.venues.ibkr.statement import read

ROW = {
    "assetCategory": "FUT",
    "symbol": "MESZ6",
    "multiplier": "5",
    "levelOfDetail": "EXECUTION",
    "quantity": "-2",
    "buySell": "SELL",
    "tradePrice": "5993.25",
    "dateTime": "20261130;181900",
    "ibCommission": "-1.24",
    "ibCommissionCurrency": "USD",
    "ibExecID": "0000e0d5.1.01.01",
    "ibOrderID": "17",
    "orderReference": "tb1.it",
}


def statement(*rows: dict[str, str], account: str = "U1", before: str = "") -> bytes:
    fields = (" ".join(f'{name}="{value}"' for name, value in (ROW | row).items()) for row in rows)
    told = "".join(f"<Trade {one}/>" for one in fields)
    return f'{before}<Flex><FlexStatement accountId="{account}"><Trades>{told}</Trades></FlexStatement></Flex>'.encode()


def test_execution_has_its_order_its_fee_and_its_time_in_utc() -> None:
    fill = Fill(
        "0000e0d5.1.01",
        "17",
        "MESZ6",
        Side.SELL,
        Decimal(2),
        Decimal("5993.25"),
        datetime(2026, 11, 30, 23, 19, tzinfo=UTC),
        Decimal(5),
        Fee(Decimal("1.24")),
    )
    others = {"levelOfDetail": "ORDER", "ibExecID": ""}, {"assetCategory": "STK"}
    assert read(statement({}, *others), "U1") == (Executed(fill, "tb1.it"),)


def test_execution_counts_as_it_was_last_corrected() -> None:
    rows = {"ibExecID": "a.1.02", "tradePrice": "2"}, {"ibExecID": "a.1.01", "tradePrice": "1"}
    assert [one.fill.price for one in read(statement(*rows), "U1")] == [2]


@pytest.mark.parametrize(
    ("file", "why"),
    [
        (b"no xml", "syntax error"),
        (statement({}, account="U2"), "no statement of the account"),
        (statement({"dateTime": "11/30/2026;181900"}), "isn't yyyyMMdd"),
        (statement({"tradePrice": "NaN"}), "tradePrice"),
        (statement({"buySell": "SELL (Ca.)"}), "neither BUY nor SELL"),
        (statement({"ibExecID": ""}), "ibExecID is missing"),
        (statement({}, before='<!DOCTYPE a [<!ENTITY b "b">]>'), "declares entities"),
    ],
)
def test_statement_that_cannot_be_understood_whole_is_refused(file: bytes, why: str) -> None:
    with pytest.raises(OperatorError, match=why):
        read(file, "U1")
