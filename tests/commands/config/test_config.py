"""`tradebot config`: every value with its source, and a file tried before it is used."""

import json
import subprocess
from pathlib import Path

import pytest

from tests.bot import PROGRAM, Bot
from tradebot.__main__ import main


def test_config_show_names_the_layer_of_each_value(bot: Bot, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TRADEBOT_LIMITS__MAX_OPEN_POSITIONS", "7")
    found = {row["key"]: row for row in bot.json("config", "show")["values"]}
    assert {key: found[key]["origin"] for key in ("limits.cooldown_s", "alpaca.feed", "mode")} == {
        "limits.cooldown_s": "base.yaml",
        "alpaca.feed": "sandbox.yaml",
        "mode": "flag",
    }
    assert (found["limits.max_open_positions"]["value"], found["limits.max_open_positions"]["origin"]) == (
        7,
        "environment: TRADEBOT_LIMITS__MAX_OPEN_POSITIONS",
    )
    assert found["limits.min_score"]["origin"] == str(bot.folder / "tradebot.yaml")
    assert found["sectors.AAPL"]["value"] == "technology"
    assert len(found) > 100


def test_one_value_or_section_is_shown_alone(bot: Bot) -> None:
    assert bot.shown("config", "show", "limits.min_coverage", "--origin") == (
        "name                 value  from\nlimits.min_coverage  0.1    STATE/tradebot.yaml"
    )
    keys = {row["key"] for row in bot.json("config", "show", "exits")["values"]}
    assert {key.partition(".")[0] for key in keys} == {"exits"}


def test_an_unknown_name_is_an_error_that_names_the_nearest(bot: Bot) -> None:
    assert (
        "did you mean limits.min_score or strategies.flow.limits.min_score?"
        in bot.says("config", "show", "min_score").err
    )
    assert "did you mean limits.cooldown_s" in bot.says("config", "show", "limits.cooldwn").err
    assert bot.says("config", "show", "zzz").code == 2


def test_without_a_bot_the_shipped_values_are_shown(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(["config", "show", "limits.cooldown_s"]) == 0
    assert capsys.readouterr().out.startswith("There is no bot here, so these are the shipped values.")
    assert main(["config", "check"]) == 0
    assert list(tmp_path.iterdir()) == []


def test_config_check_lists_what_a_file_changes(bot: Bot, tmp_path: Path) -> None:
    path = tmp_path / "mine.yaml"
    path.write_text("limits: {max_open_positions: 8, cooldown_s: 60}\n")
    said = bot.says("config", "check", str(path), "--json")
    assert (said.code, said.data["changes"]) == (
        0,
        [{"key": "limits.max_open_positions", "shipped": 20, "value": 8, "origin": str(path)}],
    )


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("limits: {max_open_positionz: 3}", "did you mean max_open_positions?"),
        ("limits: {max_order_fraction: 0.5}", "is above"),
        ("limits: [1", "line 1"),
        (
            "strategies: {gone: {}}",
            "installed: flow, legacy, rotation; install its package, or set strategies.gone: null",
        ),
    ],
)
def test_config_check_says_why_a_file_is_refused(bot: Bot, tmp_path: Path, text: str, says: str) -> None:
    path = tmp_path / "mine.yaml"
    path.write_text(text)
    said = bot.says("config", "check", str(path))
    assert (said.code, says in said.err, bot.says("config", "check").code) == (2, True, 0)


def test_config_check_reads_standard_input(bot: Bot) -> None:
    command = [str(PROGRAM), "config", "check", "-", "--json", "--state-dir", str(bot.folder)]
    done = subprocess.run(command, input="limits: {cooldown_s: 90}", capture_output=True, text=True, check=False)
    (change,) = json.loads(done.stdout)["data"]["changes"]
    assert (done.returncode, change["key"], change["value"]) == (0, "limits.cooldown_s", 90)


def test_config_check_finds_a_symbol_that_can_never_be_bought(bot: Bot, tmp_path: Path) -> None:
    (tmp_path / "screen.csv").write_text(
        "ticker,sector,issue_type\nAAPL,Technology,Common Stock\nXBI,,ETF\nSPX,,Index\n"
    )
    path = tmp_path / "mine.yaml"
    path.write_text("universe: screen.csv\n")
    said = bot.says("config", "check", str(path))
    assert said.code == 10
    assert "SPX is left out of the universe: it can't be bought" in said.out
    assert "1 symbol of the universe has no sector and can never be bought: XBI" in said.out
    assert "Next: give each one a sector, such as sectors: {XBI: technology}" in said.out
    path.write_text("universe: screen.csv\nsectors: {XBI: healthcare}\n")
    assert bot.says("config", "check", str(path)).code == 0
