"""A venue that lies in one read: what a bot does all the same, and what it never writes down."""

from contextlib import closing
from decimal import Decimal
from typing import Any

import pytest

from tests.faults.listed.conftest import Lies
from tests.kit.adapters.alpaca import order_row
from tests.kit.bot.trader import Trader
from tradebot.adapters.ledger.ledger import SqliteLedger
from tradebot.model.candidate import Purpose
from tradebot.model.reasons import Reason
from tradebot.model.record import CycleRecord, Job
from tradebot.model.trading import TradingState

NEAR = True


def state(trader: Trader) -> TradingState:
    with closing(SqliteLedger.open(trader.folder, read_only=True)) as ledger:
        return ledger.trading_state().state


def exits(trader: Trader) -> list[Decimal | None]:
    """Return the limit prices of the exits that were promised."""
    return [r.intent.limit_price for r in trader.intents() if r.intent.purpose is Purpose.CLOSE]


def ends(record: CycleRecord) -> list[Reason | None]:
    return [found.terminal.reason if found.terminal else None for found in record.candidates]


@pytest.mark.parametrize("mark", ["by-hand-", "tb1.261116.flow.AAPL.open."])
def test_an_order_with_an_id_of_two_megabytes_shuts_entries_and_is_written_nowhere(
    trader: Trader, lies: Lies, mark: str
) -> None:
    huge = order_row(client_order_id=mark + "x" * 2_000_000, id="other")
    lies.tell("/orders", lambda rows: [*rows, huge])
    assert [said.code for said in (trader.buys("AAPL"), trader.exits())] == [0, 0]
    assert ends(trader.last(Job.TRADE_ONCE)) == [Reason.VIEW_INCOMPLETE]
    assert (trader.posts(), state(trader)) == (0, TradingState.ACTIVE)
    files = [file.read_text(errors="replace") for file in trader.folder.iterdir() if file.is_file()]
    assert not any("x" * 1000 in text for text in files)
    lies.end()
    trader.goes_on(again=True)


@pytest.mark.parametrize("factor", ["100", "0.01", "0.5"])
def test_an_equity_that_nothing_explains_halts_nobody_and_is_forgotten(trader: Trader, lies: Lies, factor: str) -> None:
    trader.holds("AAPL")
    lies.tell("/account", lambda row: row | {"equity": str(Decimal(row["equity"]) * Decimal(factor))}, times=1)
    assert [said.code for said in (trader.exits(), trader.exits())] == [0, 0]
    assert (state(trader), exits(trader)) == (TradingState.ACTIVE, [])


def test_an_absurd_quote_sells_nothing_while_trades_contradict_it_even_if_it_stays(trader: Trader, lies: Lies) -> None:
    trader.holds("AAPL")
    lies.tell("/stocks/snapshots", _bid_of_a_cent, times=1)
    assert trader.exits().code == 0
    assert (ends(trader.last(Job.EVALUATE_EXITS)), exits(trader)) == ([Reason.HOLD], [])
    lies.tell("/stocks/snapshots", _bid_of_a_cent)
    assert trader.exits().code == 0
    assert (ends(trader.last(Job.EVALUATE_EXITS)), exits(trader)) == ([Reason.QUOTE_MISSING], [])


def _bid_of_a_cent(snapshots: dict[str, Any]) -> dict[str, Any]:
    for snapshot in snapshots.values():
        snapshot["latestQuote"] |= {"bp": Decimal("0.01")}
    return snapshots
