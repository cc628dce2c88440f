"""`tradebot doctor`: each row has evidence, each failure its fix, and looking changes nothing."""

import json
import re
import sqlite3
import subprocess
import sys
from collections.abc import Callable
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from commands.doctor.run import strategies
from papervenue import process
from tests.kit.bot.ending import refuses
from tests.kit.bot.folder import Bot, blank, log, second_session
from tests.kit.bot.state import accept
from tradebot.adapters.ledger.ledger import SqliteLedger
from tradebot.adapters.state import halt_switch, state_folder, state_locks
from tradebot.app.settings import load

AT = datetime(2026, 11, 16, 14, tzinfo=UTC)
# Put together here, so that no text in the tree looks like a key.
PAPER_KEY, LIVE_KEY = "PK" + "0" * 18, "AK" + "0" * 18
SECRET, FLOW_KEY = "s" * 40, "u" * 36
NOT_NEEDED_OFFLINE = ("alpaca", "requests", "pandas", "exchange_calendars", "uvicorn")
Hurt = Callable[[Path], object]


def told(bot: Bot, *arguments: str) -> tuple[int, dict[str, dict[str, Any]]]:
    """Return the exit code and the rows by subject, without asking anybody unless other arguments say so."""
    said = bot.says("doctor", *(arguments or ("--offline",)), "--json")
    return said.code, {row["subject"]: row for row in said.data["judgments"]}


def rows(bot: Bot, *arguments: str) -> dict[str, dict[str, Any]]:
    return {row["subject"]: row for row in bot.json("doctor", *arguments)["judgments"]}


def marks(bot: Bot, *arguments: str) -> dict[str, str]:
    return {name: row["state"] for name, row in rows(bot, *arguments).items()}


def steady(text: str) -> str:
    """Return a screen without what differs between machines and runs."""
    text = re.sub(r"tradebot [\d.]+, Python [\d.]+, SQLite [\d.]+, alpaca-py [\d.]+", "VERSIONS", text)
    text = re.sub(r"\(\d+ versions", "(N versions", text)
    text = re.sub(r"installed: .* (?=\(11 extras)", "installed: EXTRAS ", text)
    text = re.sub(r"[\d,]+ of [\d,]+ MB free[^()]*(?= \()", "ROOM", text)
    text = re.sub(r"\d+ settings", "N settings", text)
    text = re.sub(r"\(1 backup, \d+ (s|min) old\)", "(1 backup)", text)
    text = re.sub(r"answers in \d+ ms", "answers in N ms", text)
    text = re.sub(r"no /\S+/\.env", "no ENV", text)
    text = re.sub(r"by user \w+/\d+: armed", "by WHO: armed", text)
    text = re.sub(r"[\d,]+ of 50,000 calls", "N of 50,000 calls", text)
    return re.sub(r"\(\d+ (pages|records|answers|files)", r"(N \1", text)


def real(folder: Path, mode: str = "paper", number: str = "PA3TESTTEST") -> Path:
    """Make the state of a real account's bot, without asking anybody."""
    state_folder.prepare(folder)
    ledger = SqliteLedger.create(folder, number, AT)
    ledger.open_books(Decimal(100_000), AT)
    ledger.close()
    halt_switch.arm(folder, "test", AT)
    state_folder.create(folder, mode, number, "user", AT)
    accept(folder)
    return folder


@pytest.fixture
def paper(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Bot:
    monkeypatch.chdir(tmp_path)
    for name, value in (("ALPACA_KEY", PAPER_KEY), ("ALPACA_SECRET", SECRET), ("UW_API_KEY", FLOW_KEY)):
        monkeypatch.setenv(name, value)
    return Bot(real(tmp_path / "paper"), capsys)


def test_doctor_says_what_a_new_bot_does_not_have_yet(bot: Bot) -> None:
    found = marks(bot)
    assert [name for name, mark in found.items() if mark == "UNKNOWN"] == ["books", "backup", "calendar", "facts"]
    assert not {"DEGRADED", "FAILED"} & set(found.values())
    assert bot.says("doctor").code == 0


def test_doctor_screen_shows_each_row_with_its_evidence(
    bot: Bot, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    second_session(bot)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "500")
    screen = steady(blank(bot.says("doctor").out, bot.folder)).replace(bot.tail(), "TAIL")
    shown = [line.split(maxsplit=1) for line in screen.splitlines()]
    said = [(mark, re.sub(r"\s+", " ", rest)) for mark, rest in shown]
    assert said == [
        ("sandbox,", "account …TAIL, state STATE; broker and flow source contacted"),
        ("OK", "state a user bot, mode sandbox, account …TAIL (1 marker)"),
        ("OK", "versions VERSIONS (N versions with their supported ranges)"),
        ("OK", "extras installed: EXTRAS (11 extras of this program)"),
        ("OK", "permissions only its owner can access STATE (drwx------) (N files of the state folder)"),
        ("SKIPPED", ".env there is no ENV, so keys can only come from the environment"),
        ("OK", "second instance no other tradebot is running on this folder (5 locks and other folders)"),
        ("SKIPPED", "keys not needed: the embedded exchange has its own keys"),
        ("SKIPPED", "flow key not needed: the embedded exchange serves its own flow"),
        ("OK", "strategies working: flow (1 strategy)"),
        ("OK", "config N settings read (N settings)"),
        ("OK", "disk ROOM (1 disk)"),
        ("OK", "ledger intact, of this account; 4 records (N pages of ledger.db)"),
        ("OK", "journal intact up to record 4, as far as the ledger knows (N records)"),
        ("OK", "books books and broker agree (1 comparison)"),
        ("OK", "backup 1 backup kept, the last of session 2026-11-16 (1 backup)"),
        ("OK", "calendar 82 sessions ahead, until 2027-03-17 (82 sessions)"),
        ("OK", "facts 1 pass recorded (1 pass)"),
        ("OK", "halts ACTIVE by WHO: armed (1 trading state)"),
        ("OK", "permission orders may be sent (1 mode)"),
        ("OK", "events can be appended to; 3 events read (1 file)"),
        ("OK", "plans STATE/plans is a folder (1 folder)"),
        ("OK", "broker http://127.0.0.1:PORT answers in N ms: 2026-11-17 10:00:00 ET, the session is open (1 clock)"),
        (
            "OK",
            "account …TAIL is the account of these books, ACTIVE; cash 100,000.00, equity 100,000.00 USD (1 account)",
        ),
        ("OK", "other copies 0 of 0 open orders ours, all recorded in these books (1 list of open orders)"),
        ("OK", "quotes feed sandbox: 4 of 4 symbols have prices (4 quotes)"),
        ("OK", "bars feed sandbox: 4 of 4 symbols have prices (4 bars, 60 s old)"),
        ("SKIPPED", "data plan the embedded exchange has no data plans"),
        ("OK", "clock the exchange's clock and its engine are 0.0 s apart; at most 60 s is allowed (2 clocks)"),
        ("OK", "broker calendar stored sessions agree with the broker's until 2026-12-01 (10 sessions)"),
        ("OK", "flow 6 of 6 endpoints answer; N of 50,000 calls a day used; a session needs at most 484 (6 endpoints)"),
        ("26", "OK, 4 SKIPPED"),
    ]


def test_doctor_screen_loses_no_word_when_narrow(bot: Bot, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "60")
    said = bot.says("doctor", "--offline").out
    assert "SKIPPED  flow key" in said
    assert "not needed: the embedded exchange serves its own flow" in " ".join(said.split())


def test_doctor_order_is_placed_and_cancelled_and_the_books_agree(bot: Bot) -> None:
    before = len(log(bot.url))
    said = bot.says("doctor", "--order", "--json")
    order, cancel = said.data["judgments"][-2:]
    happened = [event for event in log(bot.url)[before:] if event["event"].startswith("order_")]
    assert [event["event"] for event in happened] == ["order_accepted", "order_new", "order_canceled"]
    assert (said.code, order["state"], cancel["state"]) == (0, "OK", "OK")
    assert "recorded, sent, and new at the broker" in order["found"]
    assert cancel["found"] == "canceled at the broker, 0 filled"
    assert bot.json("reconcile")["findings"] == []
    kinds = [json.loads(line)["kind"] for line in (bot.folder / "journal.jsonl").read_text().splitlines()]
    assert kinds[4:] == ["promised", "settled"] * 2


def test_doctor_order_twice_at_one_moment_makes_two_orders(bot: Bot) -> None:
    assert [row["state"] for row in bot.json("doctor", "--order")["judgments"][-2:]] == ["OK", "OK"]


def test_doctor_names_other_processes_on_the_folder(bot: Bot) -> None:
    with state_locks.hold_all(bot.folder, "a test"):
        found = rows(bot, "--offline")["second instance"]
    assert found["state"] == "OK"
    assert re.match(r"running now: (a test, process \d+, since [^;]*(; |$)){4}$", found["found"])


def test_doctor_offline_starts_no_exchange_and_imports_nothing_heavy(bot: Bot) -> None:
    process.stop(bot.folder / "exchange")
    code = (
        "import sys; from tradebot.__main__ import main; done = main(sys.argv[1:]); "
        f"loaded = [n for n in {NOT_NEEDED_OFFLINE!r} if n in sys.modules]; sys.exit(repr(loaded) if loaded else done)"
    )
    arguments = ["doctor", "--offline", "--state-dir", str(bot.folder)]
    done = subprocess.run([sys.executable, "-c", code, *arguments], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    assert process.running(bot.folder / "exchange") is None


def test_doctor_refuses_order_with_offline(bot: Bot) -> None:
    assert bot.says("doctor", "--offline", "--order").code == 2


def other_ledger(folder: Path) -> None:
    with sqlite3.connect(folder / "ledger.db") as database:
        database.execute("PRAGMA user_version = 99")
    database.close()


def dangling(folder: Path) -> None:
    (folder / "tradebot.yaml").unlink()
    (folder / "tradebot.yaml").symlink_to(folder / "gone.yaml")


def replaced_by_folder(path: Path) -> None:
    path.unlink(missing_ok=True)
    path.mkdir()


def entered(folder: Path) -> None:
    folder.chmod(0o711)
    (folder / "ledger.db").chmod(0o620)


def no_plans(folder: Path) -> None:
    (folder / "plans").rename(folder / ".p")
    (folder / "plans").touch()


DAMAGE: list[tuple[str, str, str, Hurt]] = [
    ("state", "FAILED", "is damaged", lambda folder: (folder / "state.id").write_text("{")),
    ("state", "FAILED", "the books are lost, not new", lambda folder: (folder / "ledger.db").unlink()),
    ("ledger", "FAILED", "was written by another version", other_ledger),
    ("config", "FAILED", "did you mean limits", lambda folder: (folder / "tradebot.yaml").write_text("limit: {}")),
    ("config", "FAILED", "a link that leads nowhere", dangling),
    ("permissions", "FAILED", "change ledger.db", entered),
    ("strategies", "FAILED", "gone is", lambda at: (at / "tradebot.yaml").write_text("strategies: {gone: {}}")),
    ("events", "FAILED", "is not a file", lambda folder: replaced_by_folder(folder / "system_events.jsonl")),
    ("plans", "FAILED", "not a folder", no_plans),
    ("permissions", "DEGRADED", "other users can read", lambda folder: folder.chmod(0o755)),
    ("halts", "DEGRADED", "REDUCE_ONLY", lambda folder: (folder / "HALT").touch()),
    ("config", "DEGRADED", "without a sector", lambda at: (at / "tradebot.yaml").write_text("universe: [ZZZ]")),
    ("events", "DEGRADED", "1 of 1 line can't be", lambda at: (at / "system_events.jsonl").write_text("torn\n")),
]
"""What `health` doesn't judge, or not by these faults; its own tests ask every judging verb about the books."""


@pytest.mark.parametrize(("name", "state", "says", "hurt"), DAMAGE)
def test_doctor_finds_damage_with_a_fix_and_leaves_it_alone(
    copy: Bot, name: str, state: str, says: str, hurt: Hurt
) -> None:
    hurt(copy.folder)
    code, found = told(copy)
    assert (code, found[name]["state"]) == (10 if state == "FAILED" else 0, state)
    assert says in found[name]["found"]
    assert found[name]["next"]
    # What nobody can read without the ledger has failed with it.
    assert {row["found"] for row in found.values() if row["state"] == "FAILED"} <= {found[name]["found"]}
    assert list(copy.folder.glob("*.damaged*")) == []


def test_folder_writable_by_others_fails_state_and_permissions(copy: Bot) -> None:
    copy.folder.chmod(0o777)
    code, found = told(copy)
    assert (code, {name for name, row in found.items() if row["state"] == "FAILED"}) == (10, {"state", "permissions"})
    assert found["state"]["next"].startswith(f"chmod go-w {copy.folder}")
    assert "other users can change" in found["permissions"]["found"]


def test_strategy_that_raises_fails_online_and_is_only_looked_up_offline(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "raising.py").write_text(
        "class Raising:\n    def __init__(self, settings):\n        raise OSError('no')\n"
    )
    info = tmp_path / "raising-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: raising\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text("[tradebot.strategies]\nraising = raising:Raising\n")
    monkeypatch.syspath_prepend(tmp_path)
    used = load(None, {}, {"strategies": {"raising": {}}}).settings
    assert strategies(used, tmp_path / "state", ask=False).found == "installed, not run: flow, raising"
    asked = strategies(used, tmp_path / "state", ask=True)
    assert (asked.state, "raising: STRATEGY_FAILED (OSError: no" in asked.found) == ("FAILED", True)
    assert "tradebot strategy test" in asked.fix


def test_matching_paper_keys_are_named_but_never_shown(paper: Bot) -> None:
    said = paper.says("doctor", "--offline", "--json")
    found = {row["subject"]: row for row in said.data["judgments"]}
    assert (found["keys"]["state"], found["flow key"]["state"], said.code) == ("OK", "OK", 0)
    assert found["keys"]["found"].startswith("ALPACA_KEY from the environment, ALPACA_SECRET from the environment")
    assert not [key for key in (PAPER_KEY, SECRET, FLOW_KEY) if key in said.out + said.err]


def test_missing_flow_key_fails_and_no_made_up_flow_replaces_it(paper: Bot, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("UW_API_KEY", "ALPACA_KEY"):
        monkeypatch.delenv(name)
    code, found = told(paper, "--json")
    assert (code, found["flow key"]["state"], found["keys"]["state"]) == (10, "FAILED", "FAILED")
    assert "NOT CONFIGURED" in found["flow key"]["found"]
    assert "the bot never uses made-up flow instead" in found["flow key"]["next"]
    # Without keys nobody is asked.
    assert {found[name]["state"] for name in ("broker", "account", "quotes", "data plan", "clock", "flow")} == {
        "SKIPPED"
    }


def test_live_key_in_paper_mode_fails(paper: Bot, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ALPACA_KEY", LIVE_KEY)
    found = rows(paper, "--offline")["keys"]
    assert (found["state"], found["found"]) == ("FAILED", "ALPACA_KEY looks like a live key, but the mode is paper")


def test_env_file_fails_if_readable_by_others_and_works_if_private(paper: Bot, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("UW_API_KEY")
    Path(".env").write_text(f"UW_API_KEY={FLOW_KEY}\n")
    Path(".env").chmod(0o644)
    assert rows(paper, "--offline")[".env"]["next"] == "chmod 600 .env"
    Path(".env").rename("keys")
    Path(".env").symlink_to("nowhere")
    assert rows(paper, "--offline")[".env"]["found"] == ".env: No such file or directory"
    Path("keys").rename(".env")
    Path(".env").chmod(0o600)
    found = rows(paper, "--offline")
    assert (found[".env"]["state"], found["flow key"]["found"]) == ("OK", "UW_API_KEY from .env")


def test_second_folder_of_the_same_account_fails(paper: Bot, tmp_path: Path) -> None:
    assert marks(paper, "--offline")["second instance"] == "OK"
    real(tmp_path / "state" / "copy")
    found = rows(paper, "--offline")["second instance"]
    assert (found["state"], "state/copy" in found["found"]) == ("FAILED", True)


@pytest.mark.parametrize("mode", ["live", "shadow"])
def test_doctor_order_is_refused_with_real_money_or_in_shadow(
    mode: str, paper: Bot, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    bot = paper
    if mode == "live":
        monkeypatch.setenv("ALPACA_KEY", LIVE_KEY)
        bot = Bot(real(tmp_path / "live", "live", "912345678"), capsys)
        assert marks(bot, "--offline")["permission"] == "DEGRADED"
    else:
        (bot.folder / "tradebot.yaml").write_text("shadow: true")
    refuses(bot.says("doctor", "--order"), 3, "doctor --order places an order")


def test_doctor_order_is_not_placed_while_halted(bot: Bot) -> None:
    bot.says("halt", "--reason", "test")
    before = log(bot.url)
    code, found = told(bot, "--order")
    assert (code, [found[name]["state"] for name in ("halts", "order", "cancel")]) == (
        10, ["DEGRADED", "FAILED", "SKIPPED"]
    )  # fmt: skip
    assert "HALTED" in found["order"]["found"]
    assert log(bot.url) == before


def test_doctor_without_a_state_checks_the_machine_and_proposes_init(
    bot: Bot, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    code, found = told(bot, "--state-dir", "nothing")
    assert (code, found["state"]["state"], len(found) > 3) == (10, "FAILED", True)
    assert found["state"]["next"].startswith("tradebot init --state-dir nothing")
    assert not (tmp_path / "nothing").exists()
