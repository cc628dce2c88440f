"""`tradebot export`: the tables in a database say what the verbs say."""

import sqlite3
from decimal import Decimal
from pathlib import Path

from tests.kit.bot.ending import refuses
from tests.kit.bot.folder import Bot, second_session


def test_tables_are_the_orders_and_fills_of_the_books(bot: Bot, tmp_path: Path) -> None:
    second_session(bot)
    assert bot.json("trade-once")["orders"] > 0
    bot.does("exchange tick 2m", "evaluate-exits")
    symbol = bot.json("positions")["positions"][0]["symbol"]
    assert bot.says("flatten", symbol, "--confirm", symbol).code == 0
    bot.does("exchange tick 2m", "evaluate-exits")
    file = tmp_path / "books.db"
    for _ in range(2):
        said = bot.json("export", "--to", str(file), "--as", "main")
    orders, fills = bot.json("orders", "--all", "--last", "1000")["orders"], bot.json("fills")["fills"]
    own = [one for one in orders if one["client_order_id"].startswith("tb1.")]
    assert (said["orders"], said["executions"], said["audit"]) == (len(own), len(fills), len(own))
    with sqlite3.connect(file) as books:
        assert sorted(name for (name,) in books.execute("SELECT id FROM orders")) == sorted(
            one["client_order_id"] for one in own
        )
        quantities = books.execute("SELECT exec_id, CAST(quantity AS TEXT), order_id FROM executions").fetchall()
        assert {(name, Decimal(q)) for name, q, _ in quantities} == {(f["id"], Decimal(f["quantity"])) for f in fills}
        assert all(order for _, _, order in quantities)
        (realized,) = books.execute("SELECT SUM(pnl) FROM executions WHERE symbol = ?", (symbol,)).fetchone()
        lines = books.execute("SELECT action, price, pnl, reason FROM audit WHERE symbol = ?", (symbol,)).fetchall()
    trade = next(one for one in bot.json("trades")["trades"] if one["symbol"] == symbol)
    assert abs(Decimal(str(realized)) - Decimal(trade["gross_usd"])) < Decimal("0.005")
    *_, (_, price, pnl, reason) = [line for line in lines if line[0].startswith("close")]
    assert price is not None
    assert pnl is not None
    assert reason


def test_a_place_that_can_t_be_names_the_next_command(bot: Bot) -> None:
    refuses(bot.says("export", "--to", "redis://nonsense"), 2, "--to books.db")
    refuses(bot.says("export", "--to", "/nonexistent-folder/books.db", "--as", "a"), 2, "mkdir -p /nonexistent-folder")
    assert "--as NAME" in bot.says("export", "--to", "books.db", "--as", "no good").err
