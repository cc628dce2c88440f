"""`tradebot exchange faults`: scripts are armed, seen to fire, and cleared, on an exchange that runs or not."""

import io
import json
import signal
from pathlib import Path

import pytest
import requests

from papervenue import process
from tests.kit.bot.folder import KEYS, Bot
from tests.kit.bot.forked import start

SCRIPT = """
- name: slow
  when: {request: [clock, account], nth: [1, 3]}
  what: {status: 503, acceptance: after}
- {name: dark, what: {halt_symbol: 10m}, when: {symbol: AAPL, after: open+5m}}
"""
TABLE = """
rule  when                            what                            armed ET  seen  fired
slow  request clock/account, nth 1/3  status 503, acceptance after  11-16 09:00     0      0
dark  symbol AAPL, after open+5m      halt_symbol 10m               11-16 09:00     0      0
"""


def test_a_script_is_armed_from_a_file_seen_to_fire_and_cleared(bot: Bot, tmp_path: Path) -> None:
    file = tmp_path / "trouble.yaml"
    file.write_text(SCRIPT)
    shown = bot.shown("exchange", "faults")
    assert shown.startswith("No faults are armed. List ready-made scripts: tradebot exchange faults")
    said = bot.shown("exchange", "faults", "add", str(file))
    assert said.splitlines()[0] == "armed: slow, dark"
    assert [line.split() for line in said.splitlines()[1:]] == [line.split() for line in TABLE.strip().splitlines()]

    statuses = [requests.get(f"{bot.url}/v2/clock", headers=KEYS, timeout=60).status_code for _ in range(4)]
    assert statuses == [503, 200, 503, 200]
    slow, dark = bot.json("exchange", "faults")["armed"]
    assert (slow["seen"], slow["fired"], slow["spent"], dark["spent"]) == (3, 2, True, False)
    assert slow["what"] == {"status": 503, "acceptance": "after"}
    assert "2 (spent)" in bot.says("exchange", "faults", "list").out

    assert bot.json("exchange", "faults", "clear", "slow")["changed"] == ["slow"]
    assert bot.json("exchange", "faults", "clear")["changed"] == ["dark"]
    assert bot.json("exchange", "faults")["armed"] == []


def test_armed_rules_and_their_counts_outlive_the_process(bot: Bot) -> None:
    assert bot.says("exchange", "faults", "add", "rate-limited").code == 0
    codes = [requests.get(f"{bot.url}/v2/account", headers=KEYS, timeout=60).status_code for _ in range(2)]
    process.stop(bot.folder / "exchange")
    assert [row["seen"] for row in bot.json("exchange", "faults")["armed"]] == [0, 2]
    codes += [requests.get(f"{bot.url}/v2/account", headers=KEYS, timeout=60).status_code for _ in range(3)]
    assert codes == [200, 200, 200, 429, 200]
    assert bot.json("exchange", "faults", "clear")["changed"] == ["rate-limited-orders", "rate-limited-reads"]


def test_ready_made_scripts_are_listed_and_shown_without_an_exchange(bot: Bot, tmp_path: Path) -> None:
    nowhere = ("--state-dir", str(tmp_path / "nothing"))
    listed = bot.says("exchange", "faults", "ready", *nowhere).out
    assert "lost-reply An order is accepted but its reply never arrives." in " ".join(listed.split())
    shown = bot.says("exchange", "faults", "show", "lost-reply", *nowhere)
    assert shown.out.startswith("# An order is accepted but its reply never arrives.\n# What happens:")
    assert shown.out.endswith("  what: reply_lost\n")
    assert bot.json("exchange", "faults", "ready", *nowhere)["armed"] is None
    assert bot.says("exchange", "faults", "show", "halt_symbol", *nowhere).out == (
        "halt_symbol: halts the symbol: none of its orders fill\n"
        "  value: a duration such as 500ms, 5s, 2m or 1h; optional\n"
        "  applies to: submit, replace, cancel, cancel_all, close, close_all\n"
    )


def test_a_script_is_read_from_standard_input(bot: Bot, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.stdin", io.StringIO("- {name: piped, what: reset}"))
    assert bot.json("exchange", "faults", "add", "-")["changed"] == ["piped"]
    assert bot.says("exchange", "faults", "clear").code == 0


@pytest.mark.parametrize(
    ("line", "says"),
    [
        ("frob", "there is no action 'frob'"),
        ("add", "add needs a name"),
        ("list x", "list takes no name"),
        ("add nonsense", "nonsense: No such file or directory, and no ready-made script has that name"),
        ("add .", ".: Is a directory"),
        ("show nonsense", "no ready-made script or fault is called 'nonsense'"),
        ("clear nonsense", "no rule named 'nonsense' is armed; armed: none"),
        ("clear ../../stop", "no rule named '../../stop' is armed"),
        ("add BAD", "line 3: rule x: what.status must be one of 429, 500, 502, 503, 504, not '404'"),
        ("add TWICE", "rules named x"),
    ],
)
def test_what_cannot_be_done_is_a_usage_error_that_says_why(bot: Bot, tmp_path: Path, line: str, says: str) -> None:
    for name, text in (("BAD", "- name: x\n  what:\n    status: 404\n"), ("TWICE", "- {name: x, what: reset}\n" * 2)):
        (tmp_path / name).write_text(text)
        line = line.replace(name, str(tmp_path / name))
    said = bot.says("exchange", "faults", *line.split())
    assert (said.code, said.out) == (2, "")
    assert says in said.err
    assert bot.json("exchange", "faults")["armed"] == []


def test_an_exchange_is_served_with_faults_and_goes_on_counting_when_served_so_again(tmp_path: Path) -> None:
    place = tmp_path / "served"
    command = ["exchange", "serve", "--state-dir", str(place), "--symbols", "AAPL", "--sessions", "1"]
    for seen in (1, 2):
        with start([*command, "--faults", "clock-skew", "--json"]) as served:
            assert served.stdout is not None
            data = json.loads(served.stdout.readline())["data"]
            assert data["faults"] == ["clock-skew"]
            assert requests.get(f"{data['url']}/v2/clock", headers=KEYS, timeout=60).status_code == 200
            (rule,) = requests.get(f"{data['url']}/exchange/v1/faults", timeout=60).json()["faults"]
            assert (rule["seen"], rule["fired"]) == (seen, seen)
            served.send_signal(signal.SIGTERM)
            assert served.wait(timeout=120) == 0
    (tmp_path / "bad.yaml").write_text("- {name: x, what: nonsense}")
    with start([*command, "--faults", str(tmp_path / "bad.yaml")]) as refused:
        _, err = refused.communicate(timeout=120)
    assert (refused.returncode, err.splitlines()[0][:47]) == (2, "error: can't arm the faults: line 1: rule x: wh")
