"""`tradebot halt`: what it must do whatever else is broken, and what it must not load."""

import json
import os
import pty
import resource
import sqlite3
import subprocess
import sys
import time
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path

import pytest

from commands.halt import orders_may_fill
from commands.halt.report import HaltRequest, HaltResult, lines_if_unwritten, orders_left_alone
from tests.kit.adapters.alpaca import intent
from tests.kit.bot.ending import refuses
from tests.kit.bot.folder import Bot, blank, log, order_by_hand, start
from tests.kit.bot.forked import run
from tests.kit.fakes.machine import drop
from tests.kit.ledgers import edit, forget_accepted
from tradebot.adapters.state import halt_switch, state_locks
from tradebot.adapters.state.send_lock import FolderSendLock

HEAVY = ("typer", "click", "rich", "pydantic", "yaml", "requests", "alpaca", "pandas", "argparse", "msgspec")
NO_ROOM = "import resource; resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0)); "
"""Every write to a file fails after this, as on a full disk."""


def no_room() -> None:
    """Do the same in this process."""
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0))


def state_of(folder: Path) -> str:
    return halt_switch.read(folder).state.value


def history(folder: Path) -> list[str]:
    """Return the last trading state that the ledger's journal holds, with its reason."""
    record = json.loads((folder / "journal.jsonl").read_text().splitlines()[-1])
    assert record["kind"] == "trading_state"
    return [record["payload"]["state"], record["payload"]["why"]]


def test_halt_says_what_is_in_force_and_what_comes_next(bot: Bot) -> None:
    said = bot.says("halt", "--reason", "odd fills")
    assert said.code == 0
    assert blank(said.out, bot.folder) == (
        "Halted: REDUCE_ONLY by WHO at WHEN: odd fills\n"
        "Only orders that reduce risk are sent. Next: tradebot status, then tradebot unhalt"
    )
    assert (state_of(bot.folder), history(bot.folder)) == ("REDUCE_ONLY", ["REDUCE_ONLY", "odd fills"])
    assert not (bot.folder / "ARMED").exists()


def test_flatten_without_a_terminal_halts_and_names_the_confirming_command(bot: Bot) -> None:
    refuses(bot.says("halt", "--flatten"), 2, "next: tradebot halt --flatten --confirm FLATTEN")
    assert state_of(bot.folder) == "REDUCE_ONLY"


def test_wrong_confirmation_halts_without_flattening(bot: Bot) -> None:
    assert bot.says("halt", "--flatten", "--confirm", "flatten").code == 3
    assert state_of(bot.folder) == "REDUCE_ONLY"


def test_flatten_is_never_weakened_by_a_later_halt(bot: Bot) -> None:
    said = bot.says("halt", "--flatten", "--confirm", "FLATTEN", "--json")
    # The session is closed, so the positions, if there were any, could not be closed now.
    assert json.loads(said.out)["data"]["orders"]["problem"] == "The session is closed."
    assert (said.code, state_of(bot.folder)) == (5, "FLATTEN")
    assert bot.json("halt", "--reason", "and again")["state"] == "FLATTEN"
    assert state_of(bot.folder) == "FLATTEN"


def test_flattening_asks_at_a_terminal(bot: Bot) -> None:
    ours, theirs = pty.openpty()
    running = bot.process("halt", "--flatten", stdin=theirs)
    os.write(ours, b"FLATTEN\n")
    out, err = running.communicate(timeout=120)
    os.close(ours)
    os.close(theirs)
    assert "type FLATTEN to confirm" in err
    assert "Halted: FLATTEN" in out


MISTYPED = {
    "now": ["now"],
    "--flaten --confirm FLATTEN": ["--flaten"],
    "--flatten=yes": ["--flatten=yes"],
    "--resaon odd": ["--resaon", "odd"],
    "--reason": ["--reason"],
    "--confirm= now": ["--confirm=", "now"],
    "--": ["--"],
}
"""What people type in a hurry, and the words of it that say nothing."""


@pytest.mark.parametrize("typed", MISTYPED)
def test_halt_with_unknown_words_halts_and_names_them(copy: Bot, typed: str) -> None:
    said = copy.says("halt", *typed.split(), "--json")
    document = json.loads(said.out)
    assert (said.code, document["exit_code"], document["data"]["not_understood"]) == (2, 2, MISTYPED[typed])
    assert (state_of(copy.folder), document["data"]["why"]) == ("REDUCE_ONLY", "no reason given")
    words = ", ".join(map(repr, MISTYPED[typed]))
    assert said.err == f"error: halt ignored words that it doesn't know: {words}\n  next: tradebot halt --help\n"


def test_flatten_with_an_extra_word_halts_and_closes_nothing(copy: Bot) -> None:
    said = copy.says("halt", "--flatten", "AAPL", "--confirm", "FLATTEN")
    assert (said.code, state_of(copy.folder)) == (2, "REDUCE_ONLY")
    assert "error: halt ignored words that it doesn't know: 'AAPL', so nothing is closed" in said.err


def test_halt_with_a_missing_value_or_empty_word_still_halts(copy: Bot) -> None:
    said = copy.says("--debug", "halt", "--reason", "--state-dir", str(copy.folder), "", "--json")
    assert (said.code, said.data["not_understood"]) == (2, ["--reason", ""])
    assert state_of(copy.folder) == "REDUCE_ONLY"


@pytest.mark.parametrize("asking", [["--help"], ["now", "-h"], ["--schema"]])
def test_help_of_halt_halts_nothing(copy: Bot, asking: list[str]) -> None:
    assert copy.says("halt", *asking).out
    assert state_of(copy.folder) == "ACTIVE"


@pytest.mark.parametrize("name", ["state.id", "ledger.db", "journal.jsonl", "HALT", "ARMED", "lock", "sending"])
def test_halt_does_not_wait_for_a_pipe_in_place_of_a_file(copy: Bot, name: str) -> None:
    (copy.folder / name).unlink(missing_ok=True)
    os.mkfifo(copy.folder / name)
    assert copy.says("halt").out.startswith("Halted: REDUCE_ONLY")
    assert state_of(copy.folder) == "REDUCE_ONLY"


def test_halt_of_a_folder_open_to_others_uses_only_its_files(copy: Bot, tmp_path: Path) -> None:
    (copy.folder / "ledger.db-journal").unlink()
    (copy.folder / "ledger.db-journal").symlink_to(tmp_path / "victim")
    copy.folder.chmod(0o777)
    said = copy.says("halt", "--json")
    assert (state_of(copy.folder), said.data["unwritten"]) == ("REDUCE_ONLY", None)
    assert f"{copy.folder} is writable by other users: chmod go-w" in said.data["unrecorded"]
    assert not (tmp_path / "victim").exists()
    for verb in ("status", "evaluate-exits"):
        refuses(copy.says(verb), 2, f"next: chmod go-w {copy.folder}")


@pytest.mark.parametrize(
    "harm", ["an empty configuration, and none accepted", "a lost ledger", "a configuration of everybody's"]
)
def test_halt_cancels_entries_by_id_if_no_pass_can_run(trader: Bot, harm: str) -> None:
    assert trader.json("trade-once")["orders"] == 1, "no entry was working, so this test would show nothing"
    if harm == "a lost ledger":
        (trader.folder / "ledger.db").unlink()
    elif harm == "a configuration of everybody's":
        (trader.folder / "tradebot.yaml").write_text("mode: [")
        (trader.folder / "tradebot.yaml").chmod(0o666)
        trader.folder.chmod(0o755)
    else:
        (trader.folder / "tradebot.yaml").write_text("")
        forget_accepted(trader.folder)
    said = trader.says("halt", "--json")
    assert (said.code, said.data["orders"]["cancelled"]) == (5, 1)
    assert [event["event"] for event in log(trader.url)].count("order_canceled") == 1
    assert not halt_switch.is_armed(trader.folder)


@pytest.mark.parametrize("before", [(), ("--debug",), ("--json",), ("--reason", "odd fills"), ("--flutten",)])
def test_halt_obeys_options_before_the_verb(copy: Bot, before: tuple[str, ...]) -> None:
    said = copy.says(*before, "--state-dir", str(copy.folder), "halt")
    assert (said.code in (0, 5), halt_switch.is_armed(copy.folder)) == ("--flutten" not in before, False)
    assert halt_switch.read(copy.folder).why == ("odd fills" if "--reason" in before else "no reason given")


def test_folder_or_argument_named_halt_halts_nothing(copy: Bot) -> None:
    for typed in (("--state-dir", "halt", "status"), ("status", "halt"), ("halt", "--help")):
        copy.says(*typed, "--state-dir", str(copy.folder))
        assert halt_switch.is_armed(copy.folder), typed


def test_halt_reports_a_file_open_to_others_and_halts(copy: Bot) -> None:
    journal = copy.folder / "journal.jsonl"
    journal.chmod(0o666)
    copy.folder.chmod(0o755)
    said = copy.says("halt", "--json")
    assert (state_of(copy.folder), said.data["unwritten"]) == ("REDUCE_ONLY", None)
    assert f"{journal} is writable by other users: chmod go-w {journal}" in said.data["unrecorded"]
    for verb in ("status", "trade-once", "evaluate-exits", "unhalt"):
        refuses(copy.says(verb), 2, f"next: chmod go-w {journal}")


def unwritable(folder: Path) -> None:
    """Let nothing of a folder be changed, as on a disk that became read-only."""
    for path in (*folder.iterdir(), folder):
        path.chmod(0o500 if path.is_dir() else 0o400)


def test_halt_that_cannot_be_written_says_so_first_and_cancels_entries_by_id(trader: Bot) -> None:
    assert trader.json("trade-once")["orders"] == 1, "no entry was working, so this test would show nothing"
    order_by_hand(trader.url, "MSFT", "1", "by-hand")
    order_by_hand(trader.url, "AAPL", "1", "tb1.261117.FLOW.AAPL.CLOSE.ABCDEFGHIJKLMNOP")
    unwritable(trader.folder)
    halting = ("halt", "--state-dir", str(trader.folder))
    said = run(halting, first=drop)
    ended = [event for event in log(trader.url) if event["event"] == "order_canceled"]
    program = run([*halting, "--json", "--flatten", "--confirm", "FLATTEN"], first=drop)
    for path in (trader.folder, *trader.folder.iterdir()):
        path.chmod(0o700)
    assert halt_switch.is_armed(trader.folder), "a file could be changed, so this shows nothing"
    first, *rest = said.stdout.splitlines()
    assert first.startswith("NOT REMEMBERED: this halt couldn't be written."), said.stderr
    assert any(line.startswith("  in force for now: the bot can't send entries until it can write") for line in rest)
    assert "  working entries: 1 canceled by id; exits, protective orders and other people's orders stay" in rest
    assert (said.returncode, len(ended)) == (2, 1)
    data = json.loads(program.stdout)["data"]
    assert (program.returncode, data["state"], data["orders"]["closing"]) == (2, "ACTIVE", 0)
    assert "can't be written: " in data["unwritten"]


def test_halt_that_cannot_be_written_sends_no_cancel_without_permission(copy: Bot) -> None:
    unwritable(copy.folder)
    said = run(["halt", "--state-dir", str(copy.folder)], first=drop, DRY_RUN="true")
    copy.folder.chmod(0o700)
    assert said.stdout.startswith("NOT REMEMBERED"), said.stderr
    assert "not everything was done: permission is closed, so the bot neither sends nor cancels orders" in said.stdout
    assert "ORDER_GATE_CLOSED (DRY_RUN says yes)" in said.stdout
    assert f"not in force after that: entries resume once {copy.folder} is writable" in said.stdout
    mode, now = "REDUCE_ONLY", datetime.now(UTC)
    latch = HaltResult(mode, mode, mode, "ada", "lunch", now, None, printed=True, in_flight=None)
    halted = list(lines_if_unwritten(copy.folder, HaltRequest(flatten=True), latch, orders_left_alone("nothing to do")))
    assert "  FLATTEN was not done: nothing was closed, and every position stays open" in halted
    assert "  also in force: REDUCE_ONLY, set by an earlier halt" in halted
    assert not any("not in force" in line for line in halted)


@pytest.mark.parametrize("damage", ["garbage", "empty", "missing"])
@pytest.mark.parametrize("name", ["ledger.db", "journal.jsonl"])
def test_halt_works_with_damaged_books(copy: Bot, name: str, damage: str) -> None:
    path = copy.folder / name
    if damage == "missing":
        path.unlink()
    else:
        path.write_bytes(b"no book at all" * 100 if damage == "garbage" else b"")
    said = copy.says("halt", "--reason", "damage", "--json")
    assert state_of(copy.folder) == "REDUCE_ONLY"
    assert not (copy.folder / "ARMED").exists()
    assert said.data["unrecorded"]
    # Every other verb refuses such books, so the last line names the one that rebuilds them.
    assert copy.says("halt").out.rstrip().endswith("Next: tradebot recover, then tradebot unhalt")


def test_halt_with_a_newer_ledger_names_recover(copy: Bot) -> None:
    with closing(sqlite3.connect(copy.folder / "ledger.db")) as newer, newer:
        newer.execute(f"PRAGMA user_version = {1_000}")
    said = copy.says("halt")
    assert "was written by another version" in said.out
    assert said.out.rstrip().endswith("Next: tradebot recover, then tradebot unhalt")


@pytest.mark.parametrize("left", ["ARMED", "ledger.db", "journal.jsonl"])
def test_halt_works_without_a_marker_if_anything_of_a_bot_is_left(copy: Bot, left: str) -> None:
    for name in {"state.id", "ARMED", "ledger.db", "journal.jsonl"} - {left}:
        (copy.folder / name).unlink()
    assert "Halted: REDUCE_ONLY" in copy.says("halt").out
    assert ((copy.folder / "HALT").exists(), (copy.folder / "ARMED").exists()) == (True, False)


def test_flatten_on_a_full_disk_says_that_only_entries_are_stopped(copy: Bot) -> None:
    words = ("halt", "--flatten", "--confirm", "FLATTEN", "--state-dir", str(copy.folder))
    done = run(words, first=no_room)
    assert "REDUCE_ONLY is in force; FLATTEN couldn't be written: run the command again" in done.stdout, done.stderr
    assert (done.returncode, "Halted: FLATTEN" in done.stdout) == (5, False)
    assert copy.json("status")["trading_state"] == "REDUCE_ONLY"
    halt_switch.arm(copy.folder, "test", datetime.now(UTC))
    assert json.loads(run([*words, "--json"], first=no_room).stdout)["data"]["state"] == "REDUCE_ONLY"


def test_next_halt_keeps_a_flatten_that_only_the_ledger_recorded(copy: Bot) -> None:
    (copy.folder / "ARMED").chmod(0o400)
    copy.folder.chmod(0o500)
    try:
        words = ("halt", "--flatten", "--confirm", "FLATTEN", "--state-dir", str(copy.folder))
        done = run(words, first=drop)
        assert "Halted: FLATTEN" in done.stdout, done.stderr
    finally:
        copy.folder.chmod(0o700)
    assert not (copy.folder / "HALT").exists(), "the file could be written, so this shows nothing"
    assert "FLATTEN is in force, according to the ledger's history" in copy.says("halt", "--reason", "again").out
    assert (state_of(copy.folder), copy.json("status")["trading_state"]) == ("FLATTEN", "FLATTEN")


def test_halt_works_with_a_full_output(copy: Bot) -> None:
    with open("/dev/full", "w") as full:
        command = [sys.executable, "-m", "tradebot", "halt", "--state-dir", str(copy.folder)]
        done = subprocess.run(command, stdout=full, stderr=subprocess.PIPE, text=True, check=False, timeout=120)
    assert (done.returncode, done.stderr.count("error:")) == (1, 1)
    assert "the output can't be written" in done.stderr
    assert history(copy.folder) == ["REDUCE_ONLY", "no reason given"]


def test_halt_works_with_a_closed_output(copy: Bot) -> None:
    running = start([sys.executable, "-m", "tradebot", "halt", "--state-dir", str(copy.folder)])
    assert running.stdout is not None
    running.stdout.close()
    _, err = running.communicate(timeout=120)
    assert (running.returncode, err) == (0, "")
    assert history(copy.folder) == ["REDUCE_ONLY", "no reason given"]


def test_halt_waits_only_briefly_for_a_stopped_commit(copy: Bot) -> None:
    with closing(sqlite3.connect(copy.folder / "ledger.db", isolation_level=None)) as stopped:
        stopped.execute("BEGIN EXCLUSIVE")
        began = time.monotonic()
        said = copy.says("halt", "--json")
        took_s = time.monotonic() - began
        assert (state_of(copy.folder), said.data["in_flight"]) == ("REDUCE_ONLY", None)
        assert "is in use by another process" in said.data["unrecorded"]
    assert "another process has locked the ledger" in said.data["orders"]["problem"]
    # Half a second for the history; the rest is this machine's.
    assert took_s < 4


@pytest.mark.usefixtures("waiting")
def test_halt_names_an_order_in_flight_and_what_to_do(copy: Bot) -> None:
    with FolderSendLock(copy.folder).hold(intent()):
        said = copy.says("halt")
        data = copy.json("halt")
    assert said.code == 5
    named = f"buy AAPL, {intent().client_order_id}, by process"
    assert f"an order that started earlier is still in flight: {named}" in said.out
    assert "next: tradebot evaluate-exits cancels it" in said.out
    assert data["orders"] == {
        "cancelled": 0,
        "closing": 0,
        "failed": 0,
        "problem": "an order is in flight, and its pass still holds this folder's lock",
    }
    assert copy.json("halt")["in_flight"] is None


def test_orders_may_fill_as_long_as_a_pass_holds_the_lock(tmp_path: Path) -> None:
    assert not orders_may_fill(tmp_path, lambda: False)
    with state_locks.hold(tmp_path, "trade-once"):
        assert orders_may_fill(tmp_path, lambda: False)


def test_halt_cancels_entries_before_it_reads_the_books(trader: Bot) -> None:
    sent = trader.json("trade-once")["orders"]
    assert sent, "no entry was working, so this test would show nothing"
    edit(trader.folder / "ledger.db", "UPDATE sessions SET close = open")
    halted = trader.says("halt", "--json")
    assert [event["event"] for event in log(trader.url)].count("order_canceled") == sent
    # What needs the whole books was decided on none: they were read through after the cancels, and moved away.
    assert (halted.code, (trader.folder / "ledger.db").exists()) == (5, False)
    assert "rows of sessions were changed after they were written" in halted.data["orders"]["problem"]


def test_key_in_the_reason_of_a_halt_is_kept_nowhere(bot: Bot, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ALPACA_SECRET", "s3cret-typed-by-mistake")
    bot.says("halt", "--reason", "s3cret-typed-by-mistake")
    assert "by mistake" not in bot.json("status")["trading_why"]
    assert "[hidden]" in bot.json("status")["trading_why"]
    kept = [path for path in bot.folder.rglob("*") if path.is_file() and b"s3cret-typed" in path.read_bytes()]
    assert kept == []
