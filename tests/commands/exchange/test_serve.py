"""`tradebot exchange serve`: what it makes, what it leaves when it refuses, and who may serve a folder after whom."""

import json
import signal
import subprocess
from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import requests

from commands.exchange.serve import SERVED_SESSIONS
from commands.shared import completion
from papervenue import process
from papervenue.market.spec import MarketSpec
from papervenue.state import read_market
from tests.kit.bot.folder import PROGRAM, Bot
from tests.kit.bot.forked import start
from tests.kit.values import there
from tradebot.__main__ import main

MONDAY = date(2025, 3, 3)


@pytest.fixture
def place(tmp_path: Path) -> Iterator[Path]:
    yield tmp_path / "served"
    process.stop(tmp_path / "served" / "exchange")


def serve(place: Path, *flags: str) -> "subprocess.Popen[str]":
    return start(["exchange", "serve", "--state-dir", str(place), *flags])


def told(served: "subprocess.Popen[str]") -> Any:
    assert served.stdout is not None
    return json.loads(served.stdout.readline())["data"]


def end(served: "subprocess.Popen[str]") -> tuple[int, str, str]:
    served.send_signal(signal.SIGTERM)
    out, err = served.communicate(timeout=120)
    return served.returncode, out, err


def made(place: Path, sessions: int = 1) -> Path:
    folder = place / "exchange"
    process.create(folder, MarketSpec(symbols=("AAPL",), sessions=sessions, start=MONDAY))
    return folder


def tick(place: Path, step: str) -> int:
    return main(["exchange", "tick", step, "--state-dir", str(place)])


def test_a_new_market_lasts_a_quarter_unless_somebody_says_how_long(place: Path, tmp_path: Path) -> None:
    end_of_first = serve(place, "--symbols", "AAPL", "--json")
    told(end_of_first)
    assert end(end_of_first)[0] == 0
    assert read_market(place / "exchange").spec.sessions == SERVED_SESSIONS
    (tmp_path / "mine.yaml").write_text("sandbox: {sessions: 3}\n")
    second = serve(tmp_path / "second", "--config", str(tmp_path / "mine.yaml"), "--json")
    told(second)
    assert end(second)[0] == 0
    assert read_market(tmp_path / "second" / "exchange").spec.sessions == 3


def test_a_market_that_has_ended_says_so_with_the_command_that_helps(
    place: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    made(place)
    helps = "tradebot exchange serve --state-dir NEW --sessions 250"
    assert tick(place, "close") == 0
    assert f"its last session is over. Next: {helps}" in capsys.readouterr().out
    assert main(["exchange", "status", "--state-dir", str(place)]) == 0
    assert f"The market has ended. Next: {helps}" in capsys.readouterr().out

    shown = serve(place)
    assert shown.stdout is not None
    lines = [shown.stdout.readline().rstrip() for _ in range(9)]
    end(shown)
    assert lines[7].endswith("the market has ended (its last session is over)")
    assert lines[8].replace(str(PROGRAM), "tradebot").endswith(helps.removeprefix("tradebot "))
    assert lines[8].startswith("  start another one: ")
    document = serve(place, "--json")
    data = told(document)
    end(document)
    assert (data["finished"], data["tick"]) == (True, None)


def test_one_that_ran_in_the_background_is_taken_over_on_its_port(
    place: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = made(place)
    assert tick(place, "open") == 0
    said = capsys.readouterr().err
    background = there(process.running_endpoint(folder))
    assert said.count("\n") == 1
    note = f"note: the exchange wasn't running, so it was started in the background at {background.url}"
    assert said.startswith(note)
    assert tick(place, "5m") == 0
    assert capsys.readouterr().err == ""

    served = serve(place, "--json")
    data = told(served)
    found = there(process.running_endpoint(folder))
    assert (data["url"], found.pid, found.detached) == (background.url, served.pid, False)
    assert data["now"] == "2025-03-03T14:35:00Z"
    _, _, err = end(served)
    assert f"as process {background.pid}; this process continues from its state" in err


def test_one_that_is_served_in_a_terminal_is_left_alone(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    made(place)
    served = serve(place, "--json")
    told(served)
    assert main(["exchange", "serve", "--state-dir", str(place)]) == 6
    end(served)
    assert f"or stop it: kill {served.pid}, or Ctrl-C in its terminal" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("flags", "says"),
    [
        (("--time", "fast"), "--time step"),
        (("--account", "alice=0"), "cash must be above 0"),
        (("--account", "alice=1", "--account", "alice=2"), "names alice twice"),
        (("--faults", "SCRIPT"), "show status"),
    ],
)
def test_what_is_refused_leaves_no_market_behind(
    place: Path, tmp_path: Path, flags: tuple[str, ...], says: str, capsys: pytest.CaptureFixture[str]
) -> None:
    script = tmp_path / "script.yaml"
    script.write_text("[{name: one, what: {status: 99}}]")
    words = [str(script) if word == "SCRIPT" else word for word in flags]
    assert main(["exchange", "serve", "--state-dir", str(place), "--symbols", "AAPL", *words]) == 2
    assert says in capsys.readouterr().err
    assert [path.name for path in (place / "exchange").glob("*")] == []


def test_a_port_that_is_taken_leaves_no_market_and_changes_none(place: Path, bot: Bot) -> None:
    port = bot.url.rpartition(":")[2]
    assert main(["exchange", "serve", "--state-dir", str(place), "--symbols", "AAPL", "--port", port]) == 2
    assert [path.name for path in (place / "exchange").glob("*")] == []
    folder = made(place)
    before = (folder / "log.jsonl").read_bytes()
    refused = ["--port", port, "--account", "alice", "--faults", "lost-reply"]
    assert main(["exchange", "serve", "--state-dir", str(place), *refused]) == 2
    assert (folder / "log.jsonl").read_bytes() == before


def test_another_market_is_refused_with_what_differs(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    made(place)
    assert main(["exchange", "serve", "--state-dir", str(place), "--symbols", "MSFT", "--seed", "8"]) == 2
    assert "of another market: its symbols is AAPL, not MSFT; its seed is 7, not 8\n" in capsys.readouterr().err


def test_an_account_that_is_there_keeps_its_cash_and_says_so(place: Path) -> None:
    made(place)
    end(_opened(place, "alice=5000"))
    _, _, err = end(_opened(place, "alice=7000", "--account", "bob=1"))
    assert "account alice already exists and started with 5,000.00 USD" in err
    assert f"exchange reset --state-dir {place} alice --cash 7000" in err
    assert "bob" not in err


def _opened(place: Path, *accounts: str) -> "subprocess.Popen[str]":
    served = serve(place, "--json", "--account", *accounts)
    told(served)
    return served


def test_recorded_bars_are_played_for_the_symbols_of_their_file(place: Path, tmp_path: Path) -> None:
    bars = tmp_path / "bars.csv"
    rows = [f"{MONDAY} 09:3{minute}:00,ONE,100,101,99,100.5,1000" for minute in range(1, 4)]
    bars.write_text("\n".join(["ts,symbol,open,high,low,close,volume", *rows, ""]))
    for _ in range(2):
        served = serve(place, "--bars", str(bars), "--bar-stamp", "end", "--json")
        data = told(served)
        assets = requests.get(f"{data['url']}/exchange/v1/status", timeout=60).json()["symbols"]
        end(served)
        assert assets == ["ONE"]


@pytest.mark.parametrize("verb", ["status", "page", "faults", "reset", "tick"])
def test_where_there_is_no_exchange_its_verbs_name_the_one_that_makes_it(
    tmp_path: Path, verb: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["exchange", verb, "--state-dir", str(tmp_path / "none")]) == 2
    said = capsys.readouterr().err.replace(str(PROGRAM), "tradebot")
    assert f"no exchange in {tmp_path / 'none' / 'exchange'}\n" in said
    assert f"next: create one: tradebot exchange serve --state-dir {tmp_path / 'none'}" in said


def test_a_script_that_cannot_be_armed_names_the_command_that_helps(bot: Bot, tmp_path: Path) -> None:
    script = tmp_path / "script.yaml"
    hints = {
        "[{name: a, what: {status: 99}}]": "tradebot exchange faults show status",
        "[{name: a, what: nonsense}]": "docs/FAULTS.md",
        "[{name: twice, what: reply_lost}]": "tradebot exchange faults clear twice",
    }
    script.write_text("[{name: twice, what: reply_lost}]")
    assert bot.says("exchange", "faults", "add", str(script)).code == 0
    for text, hint in hints.items():
        script.write_text(text)
        said = bot.says("exchange", "faults", "add", str(script))
        assert said.code == 2
        assert hint in said.err.partition("next: ")[2]


def test_values_of_the_exchange_s_flags_are_completed() -> None:
    assert completion.paces("r") == ["real"]
    assert completion.fills("") == ["close", "next-bar", "next-open", "paper"]
    assert completion.data_plans("f") == ["free"]
    assert completion.steps("n") == ["next_open"]
    show: Any = SimpleNamespace(params={"action": "show"})
    assert {"halt_symbol", "lost-reply"} <= set(completion.fault_names(show, ""))
    add: Any = SimpleNamespace(params={"action": "add"})
    assert "halt_symbol" not in completion.fault_names(add, "")
    reset: Any = SimpleNamespace(params={"account": "alice"})
    assert completion.reset_account(reset, "") == ["alice"]


def test_a_market_in_real_time_has_the_machine_s_date_and_begins_a_week_ago(place: Path) -> None:
    served = serve(place, "--symbols", "AAPL", "--time", "real", "--json")
    data = told(served)
    end(served)
    assert abs(datetime.now(UTC) - datetime.fromisoformat(data["now"])) < timedelta(seconds=30)
    spec = read_market(place / "exchange").spec
    assert abs(spec.start - date.today()) < timedelta(days=9)  # noqa: DTZ011
    assert spec.sessions == SERVED_SESSIONS


def test_a_latency_is_said_once_and_holds_until_another_is(place: Path) -> None:
    made(place)
    for flags, latency in ((("--latency", "250"), "250ms"), ((), "250ms"), (("--latency", "instant"), "instant")):
        served = serve(place, *flags, "--json")
        assert told(served)["latency"] == latency
        end(served)
    shown = serve(place, "--latency", "slow")
    assert shown.stdout is not None
    lines = [shown.stdout.readline().rstrip() for _ in range(8)]
    end(shown)
    assert lines[7] == "  cancels and replacements arrive later: latency slow"


def test_a_latency_that_is_none_is_refused_with_what_there_is(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["exchange", "serve", "--state-dir", str(place), "--latency", "soon"]) == 2
    said = "a latency is instant, paper, slow, or up to an hour such as 250ms or 2s, not 'soon'"
    assert said in capsys.readouterr().err
    assert not (place / "exchange" / "market.json").exists()
