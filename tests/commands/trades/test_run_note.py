"""`trades note`: it names the trade that it writes to, and what a person wrote stays."""

from contextlib import closing
from datetime import timedelta

import pytest

from tests.commands.trades.test_trades import booked, trade
from tests.kit.bot.ending import refuses
from tests.kit.bot.folder import Bot
from tradebot.adapters.ledger.ledger import SqliteLedger
from tradebot.model.candidate import Side
from tradebot.model.order import Fill
from tradebot.model.position import OwnedFill

__all__ = ["booked"]


def test_note_and_tags_are_shown_with_the_trade(traded: Bot) -> None:
    said = traded.says("trades", "note", "nvda", " half was enough ", "--tag", "Swing", "--tag", "#news")
    assert (said.code, said.out.splitlines()) == (
        0,
        [
            "Noted on trade 4zl6hbd: long NVDA of flow, opened 2026-11-16 10:35 ET, partly closed",
            "Tags: swing, news",
            "Note: half was enough",
        ],
    )
    found = traded.json("trades", "note", "4zl6hbd", "--untag", "news", "--tag", "late")
    assert (found["tags"], found["note"], found["symbol"]) == (["swing", "late"], "half was enough", "NVDA")
    (row,) = traded.json("trades", "--symbol", "NVDA")["trades"]
    assert (row["tags"], row["note"]) == (["swing", "late"], "half was enough")
    assert traded.says("trades", "note", "NVDA", "").code == 2
    assert traded.says("journal", "verify").code == 0


def test_note_is_removed_while_its_tags_stay(traded: Bot) -> None:
    traded.json("trades", "note", "NVDA", "half was enough", "--tag", "swing")
    said = traded.says("trades", "note", "NVDA", "--remove")
    which = "trade 4zl6hbd: long NVDA of flow, opened 2026-11-16 10:35 ET, partly closed"
    assert (said.code, said.out.splitlines()) == (0, [f"Note removed from {which}", "Tags: swing"])
    (row,) = traded.json("trades", "--symbol", "NVDA")["trades"]
    assert (row["tags"], row["note"]) == (["swing"], "")
    assert traded.says("trades", "note", "NVDA", "--remove").code == 2
    assert traded.json("trades", "note", "NVDA", "after all")["note"] == "after all"
    assert traded.says("journal", "verify").code == 0


def test_symbol_names_its_open_trade_or_else_the_last_one(traded: Bot) -> None:
    with closing(SqliteLedger.open(traded.folder)) as ledger:
        trade(ledger, 160, "AAPL", Side.BUY, 5, "101")
    second = traded.json("trades", "note", "AAPL", "again")["id"]
    assert second != "xdbzjkf"
    with closing(SqliteLedger.open(traded.folder)) as ledger:
        trade(ledger, 170, "AAPL", Side.SELL, 5, "102", "time_exit(1h)")
    assert traded.json("trades", "note", "AAPL", "over")["id"] == second
    assert traded.json("trades", "note", "XDBZJKF", "the first")["note"] == "the first"


def test_two_open_trades_in_one_symbol_need_an_id(traded: Bot) -> None:
    with closing(SqliteLedger.open(traded.folder)) as ledger:
        opened_at = ledger.books_opened_at()
        assert opened_at is not None
        other = ledger.fills()[0].fill
        at = opened_at + timedelta(minutes=170)
        fill = Fill("other", "", "MSFT", Side.SELL, other.quantity, other.price, at)
        ledger.apply_fills([OwnedFill("own", fill)], at)
    refuses(
        traded.says("trades", "note", "MSFT", "which?"),
        2,
        "2 trades in MSFT are open: f4zqilq of flow, opened 2026-11-16 10:10 ET; ",
        'tradebot trades note f4zqilq "TEXT"',
    )


@pytest.mark.parametrize(
    ("words", "message", "hint"),
    [
        (["note"], "trades note needs a trade", 'tradebot trades note AAPL "bought the open" --tag swing'),
        (["note", "AAPL"], "there is nothing to note", "--tag swing"),
        (["note", "AAPL", "two", "words"], "write it in quotes", "--tag swing"),
        (["note", "ZZZ", "text"], "no trade has the symbol or the id ZZZ", "tradebot trades lists them"),
        (["note", "AAPL", "--tag", "a b"], "a b can't be a tag", "--tag swing"),
        (["note", "AAPL", "x" * 1001], "the note has 1,001 characters; at most 1,000 are allowed", "write less"),
        (["note", "AAPL", "\x01 \x02"], "there is nothing to note", "--tag swing"),
        (
            ["note", "AAPL", *(word for number in range(21) for word in ("--tag", f"t{number}"))],
            "the trade would have 21 tags; at most 20 are allowed",
            "--untag removes one",
        ),
        (["note", "AAPL", "x", "--remove"], "--remove deletes a note, so it takes no text", "note AAPL --remove"),
        (["note", "AAPL", "--remove"], "trade xdbzjkf has no note to remove", "--untag removes a tag"),
        (["note", "AAPL", "x", "--open"], "it takes no filters", 'tradebot trades note AAPL "TEXT"'),
    ],
)
def test_note_that_cannot_be_written_says_why(reader: Bot, words: list[str], message: str, hint: str) -> None:
    refuses(reader.says("trades", *words), 2, message, hint)


def test_note_is_shown_as_it_was_typed(traded: Bot) -> None:
    # A command that is ready to type has no period after it, and a time has the reader's zone.
    words = "[red]not[/red] <b> tradebot status. At 2026-11-16 15:00 UTC"
    assert traded.says("trades", "note", "NVDA", words).out.splitlines()[-1] == f"Note: {words}"
    assert set(words.split()) <= set(traded.says("trades", "--symbol", "NVDA").out.split())
    (row,) = traded.json("trades", "--symbol", "NVDA")["trades"]
    assert row["note"] == words
