"""What holds for every verb: help, documents, exit codes, one run at a time, and an interrupt at any point."""

import json
import signal
from pathlib import Path

import pytest

from commands.app import program
from commands.shared.help import leaves
from commands.shared.listed_verbs import VERBS
from papervenue import process
from tests.kit.bot.folder import Bot
from tests.kit.fakes.machine import Timer
from tests.kit.waiting import until
from tradebot.__main__ import main
from tradebot.adapters.state import state_locks

ELSEWHERE = {"doctor", "restore", "web", "mcp", "exchange"}
"""Verbs that have an answer of their own for a folder without a bot."""


def on_a_state() -> list[str]:
    """Return the verbs that need a bot and no more words."""
    known = [(verb, command) for verb, command in leaves(program()) if verb.split()[0] not in ELSEWHERE]
    return [v for v, command in known if not VERBS[v].elsewhere and not any(each.required for each in command.params)]


@pytest.mark.parametrize("verb", on_a_state())
def test_without_a_state_every_verb_names_those_it_knows(
    verb: str, bot: Bot, here: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TRADEBOT_STATE", str(bot.folder))
    said = bot.says(*verb.split(), "--state-dir", "nothing", "--json")
    error = json.loads(said.out)["error"]
    assert (said.code, error["code"]) == (2, 2)
    assert str(bot.folder) in error["message"]
    assert error["hint"].endswith("or create another: tradebot init --state-dir nothing")


def test_a_run_that_finds_another_at_work_leaves_after_five_seconds(bot: Bot, waiting: Timer) -> None:
    with state_locks.hold(bot.folder, "a test"):
        said = bot.says("reconcile")
    assert said.code == 6
    assert "a test, process" in said.err
    assert 5 <= waiting.now < 5.1


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_in_the_middle_of_a_pass_leaves_a_state_that_works(bot: Bot, number: signal.Signals) -> None:
    (bot.folder / state_locks.LOCK).write_text("")
    running = bot.process("fetch-flow", "--force-slot")
    until(lambda: "fetch-flow" in (bot.folder / state_locks.LOCK).read_text())
    running.send_signal(number)
    _, err = running.communicate(timeout=120)
    assert running.returncode == 128 + number, err
    assert err.startswith("error: interrupted")
    bot.does("fetch-flow --force-slot", "status")


def test_an_exchange_whose_market_is_damaged_says_what_to_do(bot: Bot) -> None:
    process.stop(bot.folder / "exchange")
    market = bot.folder / "exchange" / "market.json"
    kept = market.read_bytes()
    market.write_bytes(b"{")
    said = bot.says("reconcile")
    market.write_bytes(kept)
    assert (said.code, "next: restore it" in said.err) == (1, True)


def test_no_verb_shows_the_bot(copy: Bot, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setenv("TRADEBOT_STATE", str(copy.folder))
    capsys.readouterr()
    assert main([]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert (lines[0].partition(" as of ")[0], len(lines) <= 10) == (f"sandbox, account …{copy.tail()}: ACTIVE", True)
    assert {"Open", "Next", "Health", "Needs"} <= {line.split()[0] for line in lines[1:]}
    monkeypatch.delenv("TRADEBOT_STATE")
    for words in (["--state-dir", str(copy.folder)], [f"--state-dir={copy.folder}"]):
        assert main(words) == 0
        assert capsys.readouterr().out.splitlines()[0] == lines[0]
    assert main(["--state-dir"]) == 2


def test_typing_nothing_where_there_is_no_bot_shows_how_to_begin(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("TRADEBOT_STATE", str(tmp_path / "nowhere"))
    assert main([]) == 0
    said = capsys.readouterr().out
    assert f"There is no bot in {tmp_path / 'nowhere'} yet. Three ways to begin:" in said
    assert [line.split()[1] for line in said.splitlines()[1:4]] == ["demo", "init", "backtest"]
