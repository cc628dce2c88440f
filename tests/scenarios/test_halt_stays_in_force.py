"""A halt holds whatever becomes of the folder afterwards, by the exchange's log; and it falls in a damaged one."""

import shutil
from collections.abc import Callable

import pytest

from tests.commands.halt.test_halt import no_room
from tests.kit.bot.folder import Bot, log
from tests.kit.bot.forked import run
from tests.kit.fakes.machine import drop
from tradebot.adapters.state import halt_switch

BOOKS = ("ledger.db", "journal.jsonl")
PASS = ("trade-once", "--force-slot", "--json")


@pytest.fixture
def armed(shared_trader: Bot) -> Bot:
    """Return the module's bot, half an hour into its second session and armed, with a copy of its books beside."""
    kept = shared_trader.folder.with_name("kept")
    if not kept.exists():
        assert "DRY_RUN" in shared_trader.json("trade-once", "--dry-run")["refused"], (
            "nothing would trade, so nothing is shown"
        )
        kept.mkdir()
        for name in BOOKS:
            shutil.copy(shared_trader.folder / name, kept)
    if not halt_switch.is_armed(shared_trader.folder):
        assert shared_trader.says("unhalt", "--confirm", shared_trader.tail()).code == 0
    return shared_trader


def entries(bot: Bot) -> int:
    requests = [line for line in log(bot.url) if line["event"] == "request"]
    return sum((line["method"], line["path"]) == ("POST", "/v2/orders") for line in requests)


def restore(bot: Bot) -> None:
    for name in BOOKS:
        shutil.copy(bot.folder.with_name("kept") / name, bot.folder)


def lose(bot: Bot) -> None:
    (bot.folder / "ledger.db").unlink()


def change_configuration(bot: Bot) -> None:
    with (bot.folder / "tradebot.yaml").open("a") as file:
        file.write("halts: {rejects: 4}\n")


def forget_the_file(bot: Bot) -> None:
    (bot.folder / "HALT").unlink()


def forge(bot: Bot) -> None:
    """Arm by hand what was halted by the verb."""
    (bot.folder / "HALT").unlink(missing_ok=True)
    (bot.folder / "ARMED").touch()


def garble(bot: Bot) -> None:
    (bot.folder / "HALT").write_bytes(b"\xff\x00")


def put_a_folder_there(bot: Bot) -> None:
    (bot.folder / "HALT").unlink()
    (bot.folder / "HALT").mkdir()


AFTERWARDS = (change_configuration, forget_the_file, forge, garble, put_a_folder_there, restore)
"""What is done to a halted folder; the next pass ends with 3, because the trading state kept entries shut."""


@pytest.mark.parametrize("damage", AFTERWARDS)
def test_a_halt_is_in_force_after(armed: Bot, damage: Callable[[Bot], None]) -> None:
    before = entries(armed)
    assert armed.says("halt", "--reason", "hold").code == 0
    damage(armed)
    said = armed.says(*PASS)
    assert (said.code, set(said.data["refused"]) & {"HALTED", "DRY_RUN", "SENT"}) == (3, {"HALTED"})
    assert entries(armed) == before


def test_a_halt_is_in_force_while_the_ledger_is_lost_and_after_it_came_back(armed: Bot) -> None:
    before = entries(armed)
    armed.says("halt")
    lose(armed)
    assert armed.says(*PASS).code == 2
    assert armed.says("halt", "--reason", "again").code in (0, 5)
    restore(armed)
    assert armed.says(*PASS).code == 3
    assert entries(armed) == before


def test_a_halt_typed_on_a_full_disk_is_in_force(armed: Bot) -> None:
    before = entries(armed)
    done = run(["halt", "--state-dir", str(armed.folder)], first=no_room)
    assert "Halted: REDUCE_ONLY" in done.stdout, done.stderr
    assert (armed.says(*PASS).code, entries(armed)) == (3, before)


def test_a_halt_typed_in_a_read_only_folder_is_in_force_there_and_after_it_was_opened_again(armed: Bot) -> None:
    before = entries(armed)
    armed.folder.chmod(0o500)
    try:
        done = run(["halt", "--state-dir", str(armed.folder)], first=drop)
        assert "Halted: REDUCE_ONLY" in done.stdout, done.stderr
        assert (armed.folder / "ARMED").read_bytes() == b""
        assert run([*PASS, "--state-dir", str(armed.folder)], first=drop).returncode != 0
    finally:
        armed.folder.chmod(0o700)
    assert (armed.says(*PASS).code, entries(armed)) == (3, before)


def test_a_halt_typed_where_no_file_can_be_changed_but_the_books_is_in_force(armed: Bot) -> None:
    before = entries(armed)
    (armed.folder / "ARMED").chmod(0o400)
    armed.folder.chmod(0o500)
    try:
        done = run(["halt", "--state-dir", str(armed.folder)], first=drop)
        assert "Halted: REDUCE_ONLY" in done.stdout, done.stderr
    finally:
        armed.folder.chmod(0o700)
    assert halt_switch.is_armed(armed.folder), "the file could be changed, so this showed nothing"
    assert (armed.says(*PASS).code, entries(armed)) == (3, before)


@pytest.mark.parametrize("name", ["ARMED", "HALT"])
def test_a_file_that_may_not_be_read_counts_as_a_halt(armed: Bot, name: str) -> None:
    before = entries(armed)
    (armed.folder / name).touch()
    (armed.folder / name).chmod(0)
    try:
        assert run([*PASS, "--state-dir", str(armed.folder)], first=drop).returncode == 3
    finally:
        (armed.folder / name).chmod(0o600)
    assert entries(armed) == before
    assert armed.says("halt").code == 0


def test_a_halt_file_that_a_pass_has_seen_holds_after_it_was_removed(armed: Bot) -> None:
    before = entries(armed)
    (armed.folder / "HALT").touch()
    armed.says("trade-once", "--force-slot", "--dry-run")
    assert halt_switch.is_armed(armed.folder), "a dry run halted"
    for _ in range(2):
        assert armed.says("evaluate-exits", "--force-slot").code in (0, 3)
    (armed.folder / "HALT").unlink()
    assert (armed.says(*PASS).code, entries(armed)) == (3, before)
    told = [row for row in armed.json("events")["events"] if row["event_type"] == "halted_by_file"]
    assert [row["severity"] for row in told if row["details"] == {"who": "file", "why": "HALT file"}] == ["WARN"]
    assert (armed.json("status")["trading_state"], armed.json("status")["trading_who"]) == ("REDUCE_ONLY", "file")


def test_a_halt_file_touched_by_hand_holds_until_it_is_ended_by_the_verb(armed: Bot) -> None:
    before = entries(armed)
    (armed.folder / "HALT").touch()
    said = armed.says(*PASS)
    assert (said.code, "HALTED" in said.data["refused"], entries(armed)) == (3, True, before)
    assert "STATE_UNREADABLE" not in said.data["refused"]
    shown = armed.json("status")
    assert (shown["trading_state"], shown["trading_why"], shown["trading_at"] is None) == (
        "REDUCE_ONLY", "HALT file", False
    )  # fmt: skip
    assert armed.says("unhalt", "--confirm", armed.tail()).code == 0
    assert armed.says(*PASS).code == 0
    assert entries(armed) > before, "nothing but the halt kept entries back in all of these tests"
