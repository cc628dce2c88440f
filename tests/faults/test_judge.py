"""A day that was cut short may differ from a spared one only in what was cut short."""

from collections.abc import Sequence
from contextlib import closing
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from tests.kit.judge.account import Account, Promises, accounts, differences
from tradebot.adapters.ledger.ledger import SqliteLedger

Line = dict[str, Any]
NOW = datetime(2026, 11, 17, 15, tzinfo=UTC)
SHAPE = {"account": "one", "symbol": "AAPL", "side": "sell", "type": "limit", "time_in_force": "gtc", "qty": "4"}


def lines(*prices: str) -> Sequence[Line]:
    """Return what the log says of a limit that was replaced at each of these prices, and filled at the last."""
    names = [f"tb1.261117.OWN.AAPL.PROTE.{price}" for price in prices]
    chain = [
        {**SHAPE, "event": "order_accepted", "order_id": name, "client_order_id": name, "status": "new"}
        | {"limit_price": price, "filled_qty": "0"}
        | ({"replaces": before} if before else {})
        for price, name, before in zip(prices, names, [None, *names], strict=False)
    ]
    ended = [order | {"event": "order_replaced", "status": "replaced"} for order in chain[:-1]]
    filled = chain[-1] | {"event": "order_canceled", "status": "filled"}
    return [*chain, *ended, filled]


@pytest.fixture
def found(tmp_path: Path) -> Any:
    """Return what differs, in orders and prices, if the exit at one of the prices was sent again."""
    with closing(SqliteLedger.create(tmp_path, "one", NOW)) as ledger:
        ledger.open_books(Decimal(1), NOW)

        def of(ours: Sequence[str], again: str = "") -> list[str]:
            promises, account, spared = Promises(tmp_path), told(ours), told(["242.80", "234.49", "233.32"])
            promises.posts[f"tb1.261117.OWN.AAPL.PROTE.{again}"] = 2
            return [each for each in differences(account, spared, ledger, promises) if "in the books" not in each]

        yield of


def told(prices: Sequence[str]) -> Account:
    return accounts(lines(*prices))["one"]


def test_exit_sent_again_may_have_one_extra_price(found: Any) -> None:
    assert found(["242.80", "234.49", "234.19", "233.32"], "234.49") == []
    assert len(found(["242.80", "234.49", "234.19", "233.32"])) == 2


def test_exit_that_was_sent_again_goes_out_at_the_price_of_then(found: Any) -> None:
    assert found(["242.80", "234.50", "233.32"], "234.50") == []
    assert len(found(["242.80", "234.50", "233.32"])) == 1, "what was sent once has the price of its time"
