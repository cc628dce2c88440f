"""`tradebot status`: one screen from the bot's own records."""

from contextlib import AbstractContextManager, closing
from datetime import datetime
from decimal import Decimal
from pathlib import Path

import requests

from papervenue import process
from tests.kit.bot.ending import refuses
from tests.kit.bot.folder import KEYS, Bot, second_session
from tests.kit.fakes.terminals import Terminal, on_terminal
from tests.kit.values import fill, there
from tradebot.adapters.ledger.ledger import SqliteLedger
from tradebot.model.candidate import Side
from tradebot.model.position import FOREIGN


def test_status_of_a_new_bot_is_empty_and_counts_what_it_read(bot: Bot) -> None:
    assert bot.shown("status", "--explain") == (
        "sandbox, account …TAIL, state STATE\n"
        "  last recorded trading time 2026-11-16 09:00:00 ET; the broker was not queried\n"
        "  embedded exchange running at http://127.0.0.1:PORT\n"
        "Trading state ACTIVE by user WHO at WHEN: armed\n"
        "Permission open\n"
        "Books never compared with the broker's. Next: tradebot reconcile\n"
        "serve UNKNOWN: it isn't running, and no slot was claimed\n"
        "Health UNKNOWN, 8 of 24 parts well\n"
        "  no evidence about books, backup, exits, entries, flow, scores, schedule, strategies, broker, prices, clock, "
        "calendar, signals, replay, facts. Next: tradebot health\n"
        "0 positions\n"
        "0 working orders\n"
        "0 orders with an unknown outcome\n"
        "Realized profit 0.00 USD\n"
        "Read 0 fills, 0 intents, 0 working orders and the last pass of 0 jobs"
    )


def test_status_shows_the_orders_and_positions_of_the_exchange(bot: Bot) -> None:
    second_session(bot)
    sent = bot.json("trade-once")["orders"]
    working = bot.json("status")["orders"]
    # As the venue answered: an order is new once it has reached the market, which a later look would show.
    assert [order["status"] for order in working] == ["pending_new"] * sent
    bot.does("exchange tick 2m", "reconcile")
    found = bot.json("status")
    theirs = requests.get(f"{bot.url}/v2/positions", headers=KEYS, timeout=60).json()
    ours = {held["symbol"]: (Decimal(held["quantity"]), Decimal(held["cost_usd"])) for held in found["positions"]}
    assert ours == {row["symbol"]: (Decimal(row["qty"]), Decimal(row["cost_basis"])) for row in theirs}
    assert len(ours) + len(found["orders"]) == sent
    assert found["looked_at"]["intents"] == sent


def test_status_shows_the_last_pass_of_each_job_with_its_slot(bot: Bot) -> None:
    bot.does("score", "evaluate-exits")
    found = bot.json("status")
    assert [last["job"] for last in found["passes"]] == [
        "fetch-flow",
        "score",
        "evaluate-exits",
        "trade-once",
        "reconcile",
    ]
    assert {last["slot"] for last in found["passes"][1:4]} == {"open+27m", "open+32m"}
    assert found["as_of"] == "2026-11-17T15:02:00Z"
    assert found["reconcile"] == {"at": "2026-11-17T15:02:00Z", "findings": 0, "blocking": 0}
    assert bot.says("status").code == 0


def test_status_shows_the_recorded_health_quota_and_equity(bot: Bot) -> None:
    found = bot.json("status")
    # It was run by hand now and then, so slots were missed; all that ran has left its evidence.
    not_ok = {part["subject"]: part["state"] for part in found["health"] if part["state"] != "OK"}
    assert not_ok == {"schedule": "DEGRADED", "chores": "UNKNOWN"}
    quota, equity = found["quota"], found["equity"]
    assert quota["left_today"] == quota["daily_limit"] - quota["used_today"] > 0
    theirs = requests.get(f"{bot.url}/v2/account", headers=KEYS, timeout=60).json()
    assert Decimal(equity["last_usd"]) == Decimal(theirs["equity"]) == Decimal(equity["plot"][-1])
    assert (equity["session"], equity["passes"]) == ("2026-11-17", 2)
    shown = bot.shown("status")
    assert f"{equity['passes']} passes in session 2026-11-17" in shown
    with closing(SqliteLedger.open(bot.folder, str(theirs["account_number"]), read_only=True)) as ledger:
        highest = there(ledger.equity_peak()).highest
    assert Decimal(found["drawdown"]) == max(1 - Decimal(equity["last_usd"]) / highest, 0)
    assert f"{Decimal(found['drawdown']):.2%} below the highest; the bot halts itself at 10.00%" in shown
    assert all(held["nearest"] in shown for held in found["positions"])


def test_status_does_not_start_a_stopped_exchange(bot: Bot) -> None:
    process.stop(bot.folder / "exchange")
    assert bot.json("status")["exchange_url"] is None
    assert "embedded exchange not running" in bot.shown("status")
    assert process.running_endpoint(bot.folder / "exchange") is None


def test_status_counts_the_realized_profit_of_trades_made_elsewhere_and_says_so(copy: Bot) -> None:
    before = Decimal(copy.json("status")["realized_usd"])
    by_hand = [
        fill(number, "MSFT", side, "10", price, strategy=FOREIGN)
        for number, (side, price) in enumerate(((Side.BUY, "100"), (Side.SELL, "101.25")))
    ]
    with closing(SqliteLedger.open(copy.folder)) as ledger:
        ledger.apply_fills(by_hand, by_hand[-1].fill.at)
    found = copy.json("status")
    realized, elsewhere = (Decimal(found[name]) for name in ("realized_usd", "realized_elsewhere_usd"))
    assert (realized - before, elsewhere) == (Decimal("12.5"), Decimal("12.5"))
    assert "+12.50 of it from trades that the bot didn't make" in " ".join(copy.says("status").out.split())


def test_status_says_which_slot_has_begun_and_not_ended(copy: Bot) -> None:
    assert "no end is recorded" not in copy.says("status").out
    with closing(SqliteLedger.open(copy.folder)) as ledger:
        at = copy_time(copy)
        ledger.claim_slot("trade-once", at.date(), "open+77m", "serve root/7", at)
    (begun,) = copy.json("status")["unended"]
    assert (begun["job"], begun["slot"], begun["by"]) == ("trade-once", "open+77m", "serve root/7")
    assert "trade-once open+77m began at" in " ".join(copy.says("status").out.split())


def copy_time(copy: Bot) -> datetime:
    return datetime.fromisoformat(copy.json("status")["as_of"])


OFTEN = "from commands.status import report; report.EVERY_S = 0.2; from tradebot.__main__ import main; main()"


def watching(folder: Path, columns: int, lines: int) -> AbstractContextManager[Terminal]:
    """Return a terminal of this size on which the status is watched."""
    return on_terminal(columns, lines, "-c", OFTEN, "status", "--watch", "--state-dir", folder)


def fits(drawn: list[str], columns: int, lines: int) -> bool:
    return len(drawn) <= lines and max(map(len, drawn)) <= columns


def test_watch_fits_a_large_terminal_and_quits_on_ctrl_c(bot: Bot) -> None:
    with watching(bot.folder, 120, 40) as terminal:
        drawn = terminal.screen("Trading state ACTIVE")
        assert fits(drawn, 120, 40)
        assert any("Health UNKNOWN" in line for line in drawn)
        terminal.press(b"\x03")
        assert terminal.ended() == 0


def test_watch_fits_a_small_terminal_and_shows_an_error_until_it_is_gone(bot: Bot, copy: Bot) -> None:
    book = copy.folder / "ledger.db"
    with watching(copy.folder, 80, 24) as terminal:
        assert fits(terminal.screen("Trading state ACTIVE"), 80, 24)
        book.rename(copy.folder / "aside.db")
        assert fits(terminal.screen("ledger"), 80, 24)
        (copy.folder / "aside.db").rename(book)
        copy.says("halt", "--reason", "lunch")
        assert fits(terminal.screen("lunch"), 80, 24)
        terminal.press(b"q")
        assert terminal.ended() == 0


def test_watch_in_the_smallest_terminal_shows_health_first_and_counts_the_rest(bot: Bot) -> None:
    with watching(bot.folder, 40, 8) as terminal:
        drawn = terminal.screen("Health UNKNOWN")
        assert fits(drawn, 40, 8)
        assert "more lines: tradebot status; q" in drawn[-1]


def test_watch_without_a_terminal_names_the_command_to_type(bot: Bot) -> None:
    refuses(bot.says("status", "--watch"), 2, "needs a terminal", "tradebot status")
    assert bot.says("status", "--watch", "--json").code == 2
