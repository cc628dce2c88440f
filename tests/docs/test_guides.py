"""The guides that need nothing but the embedded exchange: typed in order, they print what they show."""

import json
import os
import re
import shlex
import shutil
import signal
import socket
import subprocess
import sys
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from decimal import Decimal
from functools import partial
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from exchange.tests.kit.served import needed
from tests.docs.following import NOTHING, follow, text_of
from tests.kit.bot import forked
from tests.kit.bot.folder import Bot, Said, made, second_session, typed
from tests.kit.bot.forked import PROGRAM, start
from tests.kit.bot.real_money import KEYS, at_a_terminal, bent_to, environment, made_in_its_time, real_folder, writes
from tests.kit.lab import Lab, served_to_others
from tests.kit.recipes import ROOT
from tests.kit.waiting import until
from tradebot.app import sandbox
from tradebot.venues.ibkr.capabilities import TRADING_ID
from tradebot.venues.ibkr.link import shared_link


@pytest.fixture(autouse=True)
def place(here: Path) -> Path:
    """Stand in an empty folder."""
    return here


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
            until(lambda: b'"fault_fired"' in log.read_bytes())
            passing.kill()
        return Said(0, "", "")

    follow("roll", capsys, {"tradebot evaluate-exits & sleep": killed})
    for name in ("roll", "bracket"):
        sandbox.stop(place / "state" / name / "exchange")


@pytest.fixture
def ported(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Stand in a folder beside those of the strategy and of what is installed."""
    ported = tmp_path / "tradebot"
    ported.mkdir()
    monkeypatch.chdir(ported)
    for folder in ("site", "smacross", "leader"):
        monkeypatch.syspath_prepend(tmp_path / folder)
    return ported


def install(command: str) -> Said:
    """Install beside the tests' environment instead of into it."""
    program, *words = shlex.split(command)
    assert program == "python"
    added = ("--target", "../site", "--no-index", "-q")
    done = subprocess.run([sys.executable, *words, *added], capture_output=True, text=True, timeout=120, check=False)
    return Said(done.returncode, done.stdout, done.stderr)


def remove(command: str) -> Said:
    os.remove(command.removeprefix("rm "))
    return NOTHING


def their_half(name: str) -> str:
    (code,) = re.findall(r"it\s+could be:\n\n```python\n(.*?)```", text_of(name), re.DOTALL)
    return str(code)


@pytest.mark.campaign(follows="docs/guides/from-freqtrade.md")
def test_a_strategy_of_freqtrade_is_ported(ported: Path, capsys: pytest.CaptureFixture[str]) -> None:
    compile(their_half("from-freqtrade"), "freqtrade", "exec")
    follow("from-freqtrade", capsys, {"python -m pip": install, "rm": remove})
    sandbox.stop(ported / "state" / "smacross" / "exchange")


@pytest.mark.campaign(follows="docs/guides/from-backtrader.md")
def test_a_strategy_of_backtrader_is_ported(ported: Path, capsys: pytest.CaptureFixture[str]) -> None:
    compile(their_half("from-backtrader"), "backtrader", "exec")
    follow("from-backtrader", capsys, {"python -m pip": install, "rm": remove})


@pytest.mark.campaign(follows="docs/guides/from-lumibot.md")
def test_a_strategy_of_lumibot_is_ported(ported: Path, capsys: pytest.CaptureFixture[str]) -> None:
    compile(their_half("from-lumibot"), "lumibot", "exec")
    follow("from-lumibot", capsys, {"python -m pip": install, "rm": remove})


PORT = "8787"


@pytest.fixture
def port() -> str:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return str(free.getsockname()[1])


def run(command: str) -> Said:
    """Run Python as the guide says, with the installed `tradebot` on the path."""
    environ = {**os.environ, "PATH": f"{PROGRAM.parent}:{os.environ['PATH']}", "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"}
    program, *words = shlex.split(command)
    assert program == "python"
    done = subprocess.run(
        [sys.executable, *words], capture_output=True, text=True, timeout=120, check=False, env=environ
    )
    return Said(done.returncode, done.stdout, done.stderr)


@pytest.fixture
def second_terminal() -> Iterator[ExitStack]:
    with ExitStack() as stack:
        yield stack


@pytest.mark.campaign(follows="docs/guides/your-own-bot.md")
def test_the_bot_buys_twice_without_a_name_for_its_order_and_once_with_it(
    port: str, second_terminal: ExitStack, here: Path, capsys: pytest.CaptureFixture[str]
) -> None:

    def serve(command: str) -> Said:
        served = second_terminal.enter_context(start(command.replace(PORT, port).split()[1:]))
        second_terminal.callback(served.terminate)
        assert served.stdout is not None
        assert f"answers at http://127.0.0.1:{port}" in served.stdout.readline()
        return NOTHING

    instead = {"tradebot exchange serve": serve, "python": run}
    said = follow("your-own-bot", capsys, instead, edit=lambda text: text.replace(PORT, port))
    assert "1 passed" in said["python -m pytest -q test_buyer.py"].out
    log = (here / "lab" / "exchange" / "log.jsonl").read_text(encoding="utf-8")
    fills = [event for event in map(json.loads, log.splitlines()) if event["event"] == "fill"]
    assert Counter(fill["client_order_id"] == "today-AAPL-1" for fill in fills) == {False: 3, True: 1}


READY = {
    "TRADEBOT_STRATEGIES__FLOW__MIN_CLUSTER": "1",
    "TRADEBOT_STRATEGIES__FLOW__LOOKBACK_S": "7200",
    "TRADEBOT_STRATEGIES__FLOW__LIMITS__MIN_SCORE": "0.05",
    "TRADEBOT_STRATEGIES__FLOW__LIMITS__MIN_COVERAGE": "0.3",
    "TRADEBOT_UNUSUAL_WHALES__CALLS_PER_MINUTE": "12000",
}
"""Settings under which some symbol trades at once, and for which the flow source isn't waited for."""


class Person:
    """Whoever types the end of the account number at a terminal, and what had been sent to the broker by then."""

    def __init__(self, live: Bot, sandbox: Path, capsys: pytest.CaptureFixture[str]) -> None:
        self.live, self.sandbox, self.sent = live, sandbox, dict[str, int]()
        self._capsys = capsys

    def types(self, sentence: str, command: str) -> Said:
        with at_a_terminal(sentence):
            return typed(self._capsys, *command.split()[1:])

    def confirms(self, command: str) -> Said:
        self.sent[command] = len(writes(self.sandbox))
        with at_a_terminal(self.live.tail()):
            return typed(self._capsys, *command.split()[1:])


@pytest.mark.campaign(follows="docs/guides/paper-to-live.md")
def test_nothing_is_sent_before_a_person_arms_it_and_the_first_day_is_small(
    here: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    keys = here / ".env"
    keys.touch(mode=0o600)
    keys.write_text("".join(f"{name}={text}\n" for name, text in KEYS.items()))
    live = Bot(here / "live", capsys)
    with (
        made(here / "sandbox", "--sessions", "3") as folder,
        environment({**READY, "TRADEBOT_UNUSUAL_WHALES__URL": Bot(folder, capsys).url}),
    ):
        sandbox = Bot(folder, capsys)
        second_session(sandbox)
        real_folder(folder, here / "paper", "paper")
        person = Person(live, folder, capsys)

        def named(command: str) -> Said:
            monkeypatch.setenv("TRADEBOT_LIVE", live.tail())
            return NOTHING

        def a_minute_passes(command: str) -> Said:
            said = typed(capsys, *command.split()[1:])
            assert sandbox.says("exchange", "tick", "1m").code == 0
            return said

        asked = ("tradebot live arm", "tradebot unhalt", "tradebot config accept")
        instead: dict[str, Callable[[str], Said]] = {
            "export TRADEBOT_LIVE=…": named,
            **dict.fromkeys(("tradebot fetch-flow", "tradebot evaluate-exits"), a_minute_passes),
            "tradebot trade-once": a_minute_passes,
            **dict.fromkeys(asked, person.confirms),
            "tradebot promote flow --to live": partial(person.types, "flow trades live without evidence"),
        }
        with bent_to(sandbox.url) as turned, made_in_its_time(sandbox.url):
            said = follow("paper-to-live", capsys, instead)
        sent = writes(folder)
    assert turned
    assert person.sent["tradebot live arm --sessions 1"] == 0, "something was sent before it was armed"
    assert {method for method, _ in sent} == {"POST"}
    assert person.sent["tradebot config accept"] == len(sent) >= 1
    (sold,) = re.findall(r"sold for ([\d.]+) USD", said["tradebot fills"].out)
    assert 0 < Decimal(sold) <= 500


TRYING = (ROOT / "docs" / "guides" / "trying.md").read_text(encoding="utf-8")
SHORTER = ("--minutes", "4", "--symbols", "2")


@pytest.mark.campaign(follows="docs/guides/trying.md")
def test_the_guides_loop_shows_what_each_change_came_to(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    said: list[str] = []
    for line in re.findall(r"^\$ tradebot (.+)$", TRYING, flags=re.MULTILINE):
        words = shlex.split(line)
        done = typed(capsys, *words, *(SHORTER if words[0] == "demo" else ()))
        assert done.code == 0, done.err
        said.append(done.out)
    first, second, more, alone, dry, written, differ, kept = said
    assert "Compared with the last run" not in first
    assert "limits.max_open_positions 20 5" in " ".join(second.split())
    assert "played.sessions 1 3" in " ".join(more.split())
    assert "Sessions 2026-11-16 to 2026-11-17" in alone
    assert ("Nothing was written" in dry, "Written to state/try/tradebot.yaml" in written) == (True, True)
    assert "state/demo.yaml" in differ.replace("try/", "")
    assert "Settings  state/try/tradebot.yaml" in kept
    assert "limits.max_new_entries 5 3" in " ".join(kept.split())
    assert Path("state/try/tradebot.yaml").read_text() == "limits:\n  max_open_positions: 5\n  max_new_entries: 3\n"
    sandbox.stop(Path("state/try/exchange"))


NOTEBOOK = (ROOT / "docs" / "guides" / "notebook.md").read_text(encoding="utf-8")


@pytest.mark.campaign(follows="docs/guides/notebook.md")
def test_the_guide_gives_the_same_tables_in_files_and_in_python(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for line in re.findall(r"^\$ tradebot (.+)$", NOTEBOOK, flags=re.MULTILINE):
        said = typed(capsys, *shlex.split(line))
        assert said.code == 0, said.err
    (block,) = re.findall(r"```python\n(.*?)```", NOTEBOOK, flags=re.DOTALL)
    found: dict[str, Any] = {}
    exec(block, found)  # noqa: S102 - it is our own page
    for name in ("equity", "trades", "fills", "decisions"):
        table = found[name]
        assert f"`tried-{name}.csv`" in NOTEBOOK
        assert f"Written: tried-{name}.csv" in said.out
        written = pd.read_csv(f"tried-{name}.csv")
        assert list(written.columns) == list(table.columns)
        assert len(written) == len(table) > 0
    assert found["growth"].iloc[-1] == pytest.approx(found["equity"]["equity_usd"].iloc[-1] / 100_000)
    assert found["by_symbol"].sum() == pytest.approx(found["trades"]["net_usd"].sum())
    assert found["why_not"].sum() == found["decisions"]["reason"].notna().sum()


PAGE = (ROOT / "docs" / "OFFLINE.md").read_text(encoding="utf-8")
PRINTED = "http://127.0.0.1:8787"


@pytest.fixture(scope="module")
def lab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lab]:
    with served_to_others(tmp_path_factory.mktemp("lab"), "--symbols", "AAPL,MSFT") as lab:
        yield lab


def example(language: str, lab: Lab) -> str:
    found = re.search(rf"```{language}\n(.*?)```", PAGE, flags=re.DOTALL)
    assert found is not None
    assert PRINTED in found[1]
    return found[1].replace(PRINTED, lab.url)


def ran(*command: str) -> str:
    done = subprocess.run(
        command, capture_output=True, text=True, timeout=120, check=False, env={"PATH": os.environ["PATH"]}
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.campaign(follows="docs/OFFLINE.md")
def test_the_curl_example_is_filled(lab: Lab) -> None:
    needed(shutil.which("curl"), "curl")
    order = json.loads(ran("sh", "-c", example("sh", lab)))
    assert order["symbol"] == "AAPL"
    assert order["id"] in {fill["order_id"] for fill in lab.logged("fill")}


@pytest.mark.campaign(follows="docs/OFFLINE.md")
def test_the_python_example_is_filled(lab: Lab) -> None:
    status, held = ran(sys.executable, "-c", example("python", lab)).split()
    assert status in ("OrderStatus.FILLED", "OrderStatus.PARTIALLY_FILLED")
    assert lab.logged("fill")[-1]["position"] == held


@pytest.mark.campaign(follows="docs/OFFLINE.md")
def test_the_javascript_example_is_filled(lab: Lab, tmp_path: Path) -> None:
    node = needed(shutil.which("node"), "node")
    story = tmp_path / "story.mjs"
    story.write_text(example("javascript", lab), encoding="utf-8")
    said = ran(node, str(story))
    identity = said.split()[0]
    assert identity in {fill["order_id"] for fill in lab.logged("fill")}, said
