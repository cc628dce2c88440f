"""The guides that need nothing but the embedded exchange: typed in order, they print what they show."""

import re
import signal
import time
from pathlib import Path

import pytest

from tests.docs.following import follow, text_of
from tests.kit.bot import forked
from tests.kit.bot.folder import Bot, Said, typed
from tests.kit.bot.real_money import at_a_terminal
from tests.kit.recipes import ROOT
from tradebot.app import sandbox
from tradebot.venues.ibkr.capabilities import TRADING_ID
from tradebot.venues.ibkr.link import shared_link


@pytest.fixture(autouse=True)
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Stand in an empty folder."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


def serve_for_a_while(command: str) -> Said:
    """Run `serve` until it has looked for entries, and end it as Ctrl-C does."""
    with forked.start(command.split()[1:]) as served:
        assert served.stdout is not None
        lines = list[str]()
        while not lines or " trade-once " not in lines[-1]:
            lines.append(served.stdout.readline())
            assert lines[-1], served.communicate()
        served.send_signal(signal.SIGINT)
        rest, err = served.communicate(timeout=120)
    return Said(served.returncode, "".join(lines) + rest, err)


@pytest.mark.campaign(follows="docs/guides/from-cron.md")
def test_the_loop_of_a_script_becomes_verbs_cron_lines_and_serve(
    place: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    said = follow("from-cron", capsys, {"tradebot serve": serve_for_a_while})
    served = said["tradebot serve --speed 600"]
    assert served.code == 0, served.err
    sandbox.stop(place / "state" / "cron" / "exchange")
    crontab = (ROOT / "deploy" / "crontab").read_text().splitlines()
    (shown,) = re.findall(r"```text\n(.*?)```", text_of("from-cron"), re.DOTALL)
    assert [line for line in shown.splitlines() if line not in crontab] == []


@pytest.mark.campaign(follows="docs/guides/why-no-orders.md")
def test_the_screens_of_why_no_orders_are_those_that_the_guide_explains(
    place: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    follow("why-no-orders", capsys)
    sandbox.stop(place / "state" / "why" / "exchange")


@pytest.mark.campaign(follows="docs/guides/tight-limit.md")
def test_a_limit_is_found_too_tight_and_changed(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    bot = Bot(place / "state" / "tight", capsys)

    def at_the_keyboard(command: str) -> Said:
        with at_a_terminal(bot.tail()):
            code, out, err = typed(capsys, *command.split()[1:])
        return Said(code, f"{err}{bot.tail()}\n{out}", "")

    follow("tight-limit", capsys, {"tradebot config accept": at_the_keyboard})
    sandbox.stop(place / "state" / "tight" / "exchange")


@pytest.mark.campaign(follows="docs/guides/roll.md")
def test_a_roll_is_killed_in_the_middle_and_goes_on(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    exchange = place / "state" / "roll" / "exchange"
    log = exchange / "log.jsonl"

    def killed(command: str) -> Said:
        # The connection of this process is none of its copy's.
        shared_link("127.0.0.1", sandbox.ports(exchange)["tws"], TRADING_ID, reads_a_second=0).close()
        with forked.start(command.partition("&")[0].split()[1:]) as passing:
            until = time.monotonic() + 30
            while b'"fault_fired"' not in log.read_bytes():
                assert time.monotonic() < until, "it has sent nothing"
                time.sleep(0.05)
            passing.kill()
        return Said(0, "", "")

    follow("roll", capsys, {"tradebot evaluate-exits & sleep": killed})
    for name in ("roll", "bracket"):
        sandbox.stop(place / "state" / name / "exchange")
