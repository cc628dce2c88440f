"""`tradebot status`: one screen from the bot's own records."""

from contextlib import AbstractContextManager, closing
from datetime import datetime
from decimal import Decimal
from io import StringIO
from pathlib import Path

import pytest
import requests
from rich.console import Console

from commands.status.stores import GrowthPace, show, stores_of
from papervenue import process
from tests.kit import ledgers
from tests.kit.bot.ending import refuses
from tests.kit.bot.folder import KEYS, Bot, second_session
from tests.kit.fakes.terminals import Terminal, on_terminal
from tests.kit.values import fill, there
from tradebot.adapters.ledger.ledger import SqliteLedger
from tradebot.adapters.state import state_folder
from tradebot.app.settings import load
from tradebot.model.candidate import Side
from tradebot.model.position import FOREIGN
from tradebot.model.struct_tools import replace


def test_status_of_a_new_bot_is_empty_and_counts_what_it_read(bot: Bot) -> None:
    assert bot.shown("status", "--explain") == (
        "sandbox, account …TAIL, state STATE\n"
        "  last recorded trading time 2026-11-16 09:00:00 ET; the broker was not queried\n"
        "  embedded exchange running at http://127.0.0.1:PORT\n"
        "Trading state ACTIVE by user WHO at WHEN: armed\n"
        "Permission open\n"
        "Books never compared with the broker's. Next: tradebot reconcile\n"
        "serve UNKNOWN: it isn't running, and no slot was claimed\n"
        "Health UNKNOWN: 7 of 24 parts are OK, 1 not due yet\n"
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
    expected = ["fetch-flow", "score", "evaluate-exits", "trade-once", "reconcile"]
    assert [last["job"] for last in found["passes"]] == expected
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


@pytest.mark.parametrize(("columns", "lines", "quits"), [(120, 40, b"\x03"), (80, 24, b"q")])
def test_watch_fits_and_shows_an_error_until_gone(bot: Bot, copy: Bot, columns: int, lines: int, quits: bytes) -> None:
    book = copy.folder / "ledger.db"
    with watching(copy.folder, columns, lines) as terminal:
        assert fits(terminal.screen("Health UNKNOWN"), columns, lines)
        book.rename(copy.folder / "aside.db")
        assert fits(terminal.screen("ledger"), columns, lines)
        (copy.folder / "aside.db").rename(book)
        copy.says("halt", "--reason", "lunch")
        assert fits(terminal.screen("lunch"), columns, lines)
        terminal.press(quits)
        assert terminal.ended() == 0


def test_watch_in_the_smallest_terminal_shows_health_first_and_counts_the_rest(bot: Bot) -> None:
    with watching(bot.folder, 40, 8) as terminal:
        drawn = terminal.screen("Health UNKNOWN")
        assert fits(drawn, 40, 8)
        assert "more lines: tradebot status; q" in drawn[-1]


def test_watch_without_a_terminal_names_the_command_to_type(bot: Bot) -> None:
    refuses(bot.says("status", "--watch"), 2, "needs a terminal", "tradebot status")
    assert bot.says("status", "--watch", "--json").code == 2


def test_every_file_of_a_bot_that_has_traded_belongs_to_one_store(bot: Bot) -> None:
    second_session(bot)
    bot.does("trade-once", "backup")
    found = bot.json("status", "--stores")
    assert found["bytes"] == sum(store["bytes"] for store in found["stores"])
    assert {"ledger", "journal", "facts", "events", "backups", "exchange", "latch", "marks"} <= {
        store["name"] for store in found["stores"]
    }
    assert all(store["oldest"] for store in found["stores"])
    assert {store["name"] for store in found["stores"] if store["money"]} == {"ledger", "journal"}


def test_what_a_year_will_take_follows_from_the_sessions_so_far_and_from_how_many_are_kept(tmp_path: Path) -> None:
    for name in ("ledger.db", "facts.db", "passes.db", "bars.db"):
        (tmp_path / name).write_bytes(bytes(1_000))
    settings = load(None, {}, {"mode": "sandbox"}).settings
    kept = settings.storage
    pace = GrowthPace(settings, sessions=10, year=250)
    found = {store.name: store.year_bytes for store in stores_of(tmp_path, pace).stores}
    assert found == {
        "ledger": 25_000,
        "facts": 100 * (kept.decisions_days * 250 // 365),
        "passes": 100 * kept.replay_sessions,
        "bars": None,
    }
    later = {store.name: store.year_bytes for store in stores_of(tmp_path, pace._replace(sessions=240)).stores}
    assert later["passes"] == 1_000, "it grows no more"
    console = Console(width=120, file=StringIO())
    show(console, stores_of(tmp_path, pace))
    shown = " ".join(console.file.getvalue().split())  # type: ignore[attr-defined]
    assert "after a year at this rate" in shown


def test_unknown_file_counts_only_in_the_total(tmp_path: Path) -> None:
    folder = ledgers.make(tmp_path / "state").path
    before = stores_of(folder)
    (folder / "stranger").write_bytes(b"12345")
    assert stores_of(folder).stores == before.stores
    assert stores_of(folder).bytes == before.bytes + 5


@pytest.mark.parametrize(
    ("store", "names"),
    [
        ("ledger", ("ledger.db", "ledger.db-journal")),
        ("journal", ("journal.jsonl", "journal.torn-1")),
        ("earlier ledgers", ("ledger.db-version-4", "ledger.db-version-4.2")),
        ("facts", ("facts.db", "facts.db-wal", "facts.db-shm")),
        ("bars", ("bars.db", "bars.db-wal", "bars.db-shm")),
        ("bars", ("bars/AAPL/1Min-2026.parquet", "bars/BRK%2FB/1Day-2026.parquet.damaged-1")),
        ("replies", ("replies.db", "replies.db-wal", "replies.db-shm")),
        ("passes", ("passes.db", "passes.db-wal", "passes.db-shm")),
        ("drills", ("drills/halt.html", "drills/halt.json")),
        ("notices", ("notices.db", "notices.db-wal", "notices.db-shm")),
        ("events", ("system_events.jsonl", "system_events.jsonl.5")),
        ("latch", ("ARMED", "HALT")),
        ("marks", ("state.id", "state.id.copy", "books.checked", "sending", *state_folder.LOCKS)),
        ("quota", (state_folder.FLOW_QUOTA, state_folder.NEWS_QUOTA)),
        ("venue", (state_folder.VENUE_NONCE, state_folder.VENUE_DAY)),
        ("configuration", ("tradebot.yaml",)),
        ("backtests", ("backtests/trials.jsonl", "backtests/slow/ledger.db")),
        ("moved aside", ("facts.db.damaged-1", "facts.db.damaged-2-wal", "facts.db.damaged-2-shm")),
        ("moved aside", ("facts.db.aside", "ledger.db.aside/x", "system_events.jsonl.aside", "aside-1/state.id")),
        ("moved aside", ("HALT.0123456789abcdef.taken", "HALT.1.taken/x", "HALT.2.new", "ledger.db-version-4.2.new")),
    ],
)
def test_each_file_is_in_a_store_saying_how_long_it_keeps(tmp_path: Path, store: str, names: tuple[str, ...]) -> None:
    for name in names:
        (tmp_path / name).parent.mkdir(exist_ok=True, parents=True)
        (tmp_path / name).write_bytes(b"12345")
    found = stores_of(tmp_path)
    assert [(one.name, one.files, one.bytes) for one in found.stores] == [(store, len(names), 5 * len(names))]
    assert found.bytes == 5 * len(names)


def test_every_file_that_the_bot_writes_belongs_to_a_store(tmp_path: Path) -> None:
    for name in (*state_folder.OWN_FILES, *state_folder.LOCKS):
        (tmp_path / name).write_bytes(b"1")
    assert sum(one.files for one in stores_of(tmp_path).stores) == len(state_folder.OWN_FILES + state_folder.LOCKS)


@pytest.mark.parametrize("width", [60, 80, 120])
def test_table_of_stores_fits_any_width(tmp_path: Path, width: int) -> None:
    console = Console(width=width, file=StringIO())
    show(console, replace(stores_of(ledgers.make(tmp_path / "state").path), state_dir="STATE"))
    lines = console.file.getvalue().splitlines()  # type: ignore[attr-defined]
    assert max(map(len, lines)) <= width
    assert "always" in " ".join(lines)
