"""Books that do not know orders of ours: every verb tells one story, and names the same way out."""

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from papervenue import process
from tests.kit.bot.folder import Bot, log, order_by_hand, second_session

BOT_FLAGS = ("--sessions", "3")
BOOKS = ("ledger.db", "journal.jsonl")
WAY_OUT = "tradebot reconcile names them, tradebot reconcile --apply PLAN adopts them; then tradebot unhalt."


@pytest.fixture
def old(folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Iterator[Bot]:
    kept, bot = folder.with_name("kept"), Bot(folder, capsys)
    if not kept.exists():
        bot.says("exchange", "tick", "close")
        bot.says("reconcile")
        kept.mkdir()
        for name in BOOKS:
            shutil.copy(folder / name, kept)
        for line in ("exchange tick next_open", "exchange tick 30m", "fetch-flow", "reconcile"):
            bot.says(*line.split())
        assert bot.json("trade-once")["orders"] > 0
        for step in ("2m", "close", "next_open", "30m"):
            bot.says("exchange", "tick", step)
            bot.says("reconcile")
        process.stop(folder / "exchange")
    shutil.copytree(folder, tmp_path / "state")
    shutil.copytree(kept, tmp_path / "kept")
    yield Bot(tmp_path / "state", capsys)
    process.stop(tmp_path / "state" / "exchange")


def watched(bot: Bot) -> None:
    """See that nobody who looks at positions and exits misses what no exit rule watches."""
    for verb in (("positions",), ("evaluate-exits", "--force-slot")):
        said = bot.says(*verb)
        assert "No exit rule covers the shares that earlier orders of the bot left in " in said.out
        assert said.out.endswith(". Next: tradebot reconcile\n")


def test_an_older_copy_of_the_folder_is_told_alike_by_every_verb(old: Bot) -> None:
    for name in BOOKS:
        shutil.copy(old.folder.with_name("kept") / name, old.folder)
    assert old.json("trade-once", "--force-slot")["orders"] == 0
    watched(old)
    shown = old.says("positions").out
    assert "was opened by earlier orders of the bot that aren't in these books" in " ".join(shown.split())
    assert "leaves it alone" not in shown, "nothing in this account is anybody else's"
    why = old.json("why-no-orders")["explanation"]
    assert "BOOKS_OLD: The account has orders with our ids" in why["sentence"]
    assert why["remedy"].replace(f" --state-dir {old.folder}", "") == WAY_OUT.removesuffix(".")
    one = old.json("why-no-orders", "AAPL")
    assert ("BOOKS_OLD: " in one["sentence"], one["remedy"] == why["remedy"]) == (True, True)
    plan = old.json("reconcile")["plan"]
    refused = old.says("unhalt", "--confirm", old.tail())
    assert (refused.code, f"tradebot reconcile --apply {plan}, then run tradebot unhalt" in refused.err) == (3, True)
    assert old.says("reconcile", "--apply", plan).code == 0
    assert old.says("unhalt", "--confirm", old.tail()).code == 0
    assert "No exit rule" not in old.says("positions").out


def test_books_made_of_nothing_tell_the_same_story(old: Bot) -> None:
    for name in BOOKS:
        (old.folder / name).unlink()
    shutil.rmtree(old.folder / "backups")
    made_anew = old.says("recover")
    accept = f"tradebot recover --accept rebuilt-{made_anew.out.partition('rebuilt-')[2][:8]} --confirm {old.tail()}"
    assert f"Next: {accept}\nThen: {WAY_OUT.removesuffix('.')}\n" in made_anew.out
    assert "BOOKS_OLD: the books lack our orders in " in old.json("status")["trading_why"]
    watched(old)
    again = old.says("recover").out
    assert "They were rebuilt earlier and are not accepted yet.\n" in again
    assert made_anew.out.partition("couldn't be proven")[2].partition("Entries stay")[0] in again
    assert f"Next: {accept}\n" in again
    assert f"next: {accept}, which shows" in old.says("unhalt", "--confirm", old.tail()).err
    assert f"Next: {WAY_OUT.removesuffix('.')}\n" in old.says(*accept.split()[1:]).out
    assert old.says("config", "accept", "--confirm", old.tail()).code == 0
    assert old.json("trade-once", "--force-slot")["orders"] == 0
    why = old.json("why-no-orders")["explanation"]
    assert "BOOKS_OLD: " in why["sentence"]
    assert why["remedy"].replace(f" --state-dir {old.folder}", "") == WAY_OUT.removesuffix(".")


def test_what_rests_from_before_a_restore_is_canceled_when_a_person_closes_the_position(new_bot: Bot) -> None:
    assert new_bot.says("backup").code == 0
    (backup,) = [path.name for path in (new_bot.folder / "backups").iterdir() if path.name.endswith("by-hand")]
    second_session(new_bot)
    assert new_bot.json("trade-once")["orders"] > 0
    new_bot.says("exchange", "tick", "1m")
    assert new_bot.says("evaluate-exits").code == 0
    assert new_bot.says("restore", backup, "--confirm", new_bot.tail()).code == 10
    assert new_bot.says("reconcile", "--apply", new_bot.json("reconcile")["plan"]).code == 10
    resting = {finding["kind"] for finding in new_bot.json("reconcile")["findings"]}
    assert (resting, len(new_bot.json("positions")["positions"])) == ({"unknown_pair"}, 1)
    new_bot.does("flatten --all --confirm ALL", "exchange tick 1m", "reconcile")
    assert [event["position"] for event in log(new_bot.url) if event["event"] == "fill"][1:] == ["0"]
    assert new_bot.json("positions")["positions"] == []


def test_a_finding_without_a_plan_sends_nobody_to_one(old: Bot) -> None:
    old.says("reconcile")
    assert old.says("halt").code == 0
    order_by_hand(old.url, "AAPL", "1", "tb1.261118.FLOW.AAPL.OPEN.ABCDEFGHIJKLMNOP")
    refused = old.says("unhalt", "--confirm", old.tail())
    assert refused.code == 3
    assert old.json("reconcile")["plan"] is None
    assert "--apply" not in refused.err
    assert (
        "next: run tradebot reconcile and read its findings, do what they say, then run tradebot unhalt" in refused.err
    )
