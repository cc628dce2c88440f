"""`tradebot status --stores`: every file belongs to a store, which says how long it is kept."""

from io import StringIO
from pathlib import Path

import pytest
from rich.console import Console

from commands.status.stores import GrowthPace, show, stores_of
from tests.kit import ledgers
from tests.kit.bot.folder import Bot, second_session
from tradebot.adapters.state import state_folder
from tradebot.app.settings import load
from tradebot.model.struct_tools import replace


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
        ("quota", (state_folder.FLOW_QUOTA,)),
        ("venue", (state_folder.VENUE_NONCE, state_folder.VENUE_DAY)),
        ("configuration", ("tradebot.yaml",)),
        ("backtests", ("backtests/trials.jsonl", "backtests/slow/ledger.db")),
        ("moved aside", ("facts.db.damaged-1", "facts.db.damaged-2-wal", "facts.db.damaged-2-shm")),
        ("moved aside", ("facts.db.aside", "ledger.db.aside/x", "system_events.jsonl.aside", "aside-1/state.id")),
        ("moved aside", ("HALT.0123456789abcdef.taken", "HALT.1.taken/x", "HALT.2.new", "ledger.db-version-4.2.new")),
    ],
)
def test_each_file_belongs_to_one_store_that_says_how_long_it_is_kept(
    tmp_path: Path, store: str, names: tuple[str, ...]
) -> None:
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
