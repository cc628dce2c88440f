"""`tradebot trades --symbol` at Kraken, where a coin, a pair and a contract are names of one symbol."""

from contextlib import closing
from pathlib import Path

import pytest

from tests.commands.trades.test_trades import trade
from tests.kit.bot.folder import Bot
from tradebot.adapters.ledger.ledger import SqliteLedger
from tradebot.model.candidate import Side

BOT_FLAGS = ("--venue", "kraken_futures", "--symbols", "BTC,ETH,ADA")


def booked(folder: Path) -> None:
    with closing(SqliteLedger.open(folder)) as ledger:
        trade(ledger, 60, "PF_XBTUSD", Side.BUY, 1, "100")


@pytest.mark.parametrize("typed", ["eth", "ETH/USD", "PF_ETHUSD"])
def test_trades_of_a_symbol_that_was_never_traded_name_the_traded_ones(reader: Bot, typed: str) -> None:
    said = reader.says("trades", "--symbol", typed)
    expected = (0, "No trades match --symbol PF_ETHUSD: there are PF_XBTUSD. All of them: tradebot trades")
    assert (said.code, said.out.splitlines()[1]) == expected


@pytest.mark.parametrize("typed", ["btc", "xbt", "BTC/USD", "pf_xbtusd"])
def test_trades_of_a_coin_are_those_of_its_contract(reader: Bot, typed: str) -> None:
    assert [row["symbol"] for row in reader.json("trades", "--symbol", typed)["trades"]] == ["PF_XBTUSD"]
