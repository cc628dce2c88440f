"""An account's past, read from the folder of a bot that bought and sold."""

import shutil
from decimal import Decimal

import pytest

from commands.shared.history import read_history
from commands.shared.surface import opened
from tests.adapters.ledger.by_hand import edit
from tests.bot import Bot
from tradebot.errors import DamagedBooksError
from tradebot.model.trade import trades
from tradebot.views.performance.history import History


def read(bot: Bot) -> History:
    with opened(str(bot.folder), None) as app:
        return read_history(app)


def test_a_bot_that_never_traded_has_its_opening_cash_and_nothing_else(shared_trader: Bot) -> None:
    past = read(shared_trader)
    assert (past.mode, past.account, past.opening_cash) == ("sandbox", shared_trader.tail(), Decimal(100_000))
    assert (past.fills, past.cash, past.ends, dict(past.sent), past.kept, past.marks) == ((), (), (), {}, {}, {})
    assert past.at is not None
    assert past.opened_at is not None
    assert past.at >= past.opened_at


def test_what_was_bought_and_sold_is_there_with_the_orders_behind_it(shared_trader: Bot) -> None:
    bot = shared_trader
    assert bot.json("trade-once")["orders"] >= 1
    assert bot.says("exchange", "tick", "5m").code == 0
    assert bot.says("evaluate-exits").code == 0
    held = read(bot)
    assert bot.says("flatten", "--all", "--confirm", "ALL").code == 0
    assert bot.says("exchange", "tick", "5m").code == 0
    assert bot.says("reconcile").code in (0, 10)
    past = read(bot)
    (end,) = held.ends
    assert held.marks == end.marks
    assert set(end.marks) == {trade.symbol for trade in trades(held.fills)}
    assert (end.equity is not None, end.equity_at, end.session) == (True, held.at, held.at and held.at.date())
    assert past.fills[: len(held.fills)] == held.fills
    made = trades(past.fills)
    assert made
    assert all(trade.closed_at for trade in made)
    for trade in made:
        kept = past.kept[trade.strategy, trade.symbol, trade.opened_at]
        assert None not in (kept.entry_score, kept.best, kept.worst)
        for name in trade.exit_orders:
            sent = past.sent[name]
            assert (sent.order.venue_id, sent.order.symbol) == (name, trade.symbol)
            assert sent.intents[0].why == "closed_by_hand"
    assert set(past.sent) == {owned.fill.venue_order_id for owned in past.fills}


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        (
            'UPDATE fills SET body = replace(body, \'"quantity":"\', \'"quantity":"1\') WHERE sequence = 2',
            "row 2 of fills",
        ),
        ("DELETE FROM fills WHERE sequence = 1", "not those written"),
        ("UPDATE fill_seals SET fills = 7", "row 1 of fill_seals"),
    ],
)
def test_a_damaged_row_of_money_is_refused_by_name(copy: Bot, shared_trader: Bot, change: str, problem: str) -> None:
    shutil.copyfile(shared_trader.folder / "ledger.db", copy.folder / "ledger.db")
    edit(copy.folder / "ledger.db", change)
    with pytest.raises(DamagedBooksError, match=problem):
        read(copy)
