"""`tradebot completion`: scripts that a shell can read, and live values from files beside the bot."""

import json
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from commands.shared.hints import invoked_as
from tests.kit.bot.folder import UNIVERSE, Bot
from tradebot.__main__ import main


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_a_script_is_one_that_its_shell_can_read(shell: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["completion", shell]) == 0
    script = capsys.readouterr().out
    assert "_TRADEBOT_COMPLETE" in script
    if shutil.which(shell):
        checked = subprocess.run([shell, "-n"], input=script, capture_output=True, text=True, check=False)
        assert (checked.returncode, checked.stderr) == (0, "")


def test_the_shell_in_use_is_explained(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setenv("SHELL", "/bin/zsh")
    assert main(["completion"]) == 0
    assert 'eval "$(tradebot completion zsh)"' in capsys.readouterr().out
    monkeypatch.setenv("SHELL", "/bin/ksh")
    assert main(["completion"]) == 2
    assert "tradebot completion bash | zsh | fish" in capsys.readouterr().err


def test_the_command_that_is_proposed_for_every_new_shell_installs_the_script(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("SHELL", "/bin/bash")
    assert main(["completion", "--json"]) == 0
    program, arguments = json.loads(capsys.readouterr().out)["data"]["always"].split(maxsplit=1)
    assert program == invoked_as()
    # Typer looks for the shell among the processes above; a second command keeps this one from being replaced.
    command = ["bash", "-c", f"{shlex.quote(sys.executable)} -m tradebot {arguments}; exit $?"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
    (script,) = tmp_path.glob(".bash_completions/*")
    assert str(script) in (tmp_path / ".bashrc").read_text()
    assert "complete_bash" in script.read_text()


def offered(bot: Bot, line: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> list[str]:
    """Return what a bash would offer after a half-typed line."""
    words = line.split(" ")
    monkeypatch.setenv("_TRADEBOT_COMPLETE", "complete_bash")
    monkeypatch.setenv("COMP_WORDS", line)
    monkeypatch.setenv("COMP_CWORD", str(len(words) - 1))
    monkeypatch.setenv("TRADEBOT_STATE", str(bot.folder))
    capsys.readouterr()
    with pytest.raises(SystemExit) as done:
        main([])
    assert done.value.code == 0
    return capsys.readouterr().out.split()


@pytest.mark.parametrize(
    ("line", "values"),
    [
        ("tradebot why-no-orders ", sorted(UNIVERSE.split(","))),
        ("tradebot why-no-orders A", ["AAPL", "AMZN"]),
        ("tradebot bars check M", ["MSFT"]),
        ("tradebot bars import x.csv --timeframe 1M", ["1Min"]),
        ("tradebot bars import x.csv --stamp ", ["start", "end"]),
        ("tradebot bars import x.csv --zone America/New_Y", ["America/New_York"]),
        ("tradebot strategy test fl", ["flow"]),
        ("tradebot flatten ", []),
        ("tradebot config show limits.cool", ["limits.cooldown_s"]),
        ("tradebot config show exi", ["exits"]),
        ("tradebot why-no-orders --reason COOL", ["COOLDOWN"]),
        ("tradebot reconcile --apply ", ["plan-1a2b3c4d"]),
        ("tradebot adopt ", ["COIN"]),
        ("tradebot exchange faults ", ["add", "clear", "list", "ready", "show"]),
        ("tradebot exchange faults add lo", ["lost-reply"]),
        ("tradebot exchange faults list lo", []),
        ("tradebot exchange serve --faults gar", ["garbled-json"]),
    ],
)
def test_values_are_offered_from_files_beside_the_bot(
    bot: Bot, line: str, values: list[str], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    findings = [{"kind": "foreign_position", "subject": "COIN"}, {"kind": "cash", "subject": "account"}]
    (bot.folder / "plans" / "plan-1a2b3c4d.json").write_text(json.dumps({"plan": {"findings": findings}}))
    assert offered(bot, line, monkeypatch, capsys) == values


def test_a_place_without_a_bot_or_with_a_damaged_one_offers_what_is_shipped_and_no_error(
    copy: Bot, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (copy.folder / "tradebot.yaml").unlink()
    (copy.folder / "ledger.db").write_bytes(b"no ledger")
    for plan in (copy.folder / "plans").iterdir():
        plan.write_text("{")
    assert offered(copy, "tradebot why-no-orders UN", monkeypatch, capsys) == ["UNH"]
    assert offered(copy, "tradebot adopt ", monkeypatch, capsys) == []
    (copy.folder / "tradebot.yaml").write_text("universe: [")
    assert offered(copy, "tradebot why-no-orders UN", monkeypatch, capsys) == []
