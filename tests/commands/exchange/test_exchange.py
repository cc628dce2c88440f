"""`tradebot exchange serve|status|tick|reset`: the exchange for other clients, its time and its accounts."""

import json
import signal
import subprocess
from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import requests

from commands.exchange.serve import SERVED_SESSIONS, ServeOptions, _render, _serving
from commands.shared import completion
from commands.shared.verb_options import console
from exchange.tests.kit import kraken, tws
from exchange.tests.kit.app import open_world
from papervenue import process
from papervenue.market.spec import MarketSpec, fill_spec
from papervenue.state import read_market
from tests.kit.bot import folder as real
from tests.kit.bot.ending import refuses, shows
from tests.kit.bot.folder import PROGRAM, Bot, typed
from tests.kit.bot.forked import start
from tests.kit.values import there
from tradebot.__main__ import main
from tradebot.adapters.ledger.ledger import SqliteLedger
from tradebot.adapters.state import state_folder


@pytest.fixture
def place(tmp_path: Path) -> Iterator[Path]:
    yield tmp_path / "served"
    process.stop(tmp_path / "served" / "exchange")


@pytest.fixture
def market(place: Path) -> Path:
    """Return the folder with a market in it, made here: only its process is started again."""
    spec = MarketSpec(start=date(2026, 11, 16), symbols=("AAPL", "MSFT"), sessions=1, fill=fill_spec("paper"))
    process.create(place / "exchange", spec)
    return place


def serve(place: Path, *flags: str) -> list[str]:
    return ["exchange", "serve", "--state-dir", str(place), *flags]


def test_another_client_is_served_with_the_keys_told_until_an_interrupt(market: Path) -> None:
    served = real.start([str(PROGRAM), *serve(market, "--symbols", "AAPL,MSFT", "--sessions", "1", "--json")])
    assert served.stdout is not None
    told = json.loads(served.stdout.readline())
    data = told["data"]
    keys = {"APCA-API-KEY-ID": data["key"], "APCA-API-SECRET-KEY": data["secret"]}
    clock = requests.get(f"{data['url']}/v2/clock", headers=keys, timeout=60)
    flow = {"Authorization": f"Bearer {data['flow_key']}"}
    tide = requests.get(f"{data['url']}/api/market/market-tide", headers=flow, timeout=60)
    assert (told["schema"], clock.status_code, tide.status_code) == ("tradebot.exchange-serve/1", 200, 200)

    # No bot lives in this folder, and its time moves all the same.
    _, verb = data["tick"].split(" ", 1)
    assert verb == f"exchange tick open --state-dir {market}"
    assert main(verb.split()) == 0
    assert requests.get(f"{data['url']}/v2/clock", headers=keys, timeout=60).json()["is_open"]
    assert data["page"] == f"{data['url']}/"
    assert requests.get(data["page"], timeout=60).status_code == 200

    second = start(serve(market, "--symbols", "AAPL,MSFT"))
    _, err = second.communicate(timeout=120)
    assert (second.returncode, "is already served by process" in err) == (6, True)

    served.send_signal(signal.SIGINT)
    out, err = served.communicate(timeout=120)
    assert (served.returncode, out, err) == (0, "", "")


def test_a_person_is_told_all_that_another_client_needs(market: Path) -> None:
    served = start(serve(market, "--account", "alice=5000", "--rate-limit", "200"))
    assert served.stdout is not None
    told = [served.stdout.readline().rstrip() for _ in range(10)]
    url = told[0].split(" answers at ")[1].split()[0]
    served.send_signal(signal.SIGTERM)
    served.communicate(timeout=120)
    assert told[1:6] == [
        "  orders and prices (Alpaca's API), trading and data at the same address:",
        "    key sandbox, secret sandbox: account main, 100,000.00 USD",
        "    key alice, secret alice: account alice, 5,000.00 USD",
        "  options flow (Unusual Whales' API): Authorization: Bearer sandbox",
        f"  in a browser: {url}/",
    ]
    fills = "  orders fill at once at the quote, as Alpaca's paper accounts do; 200 requests per minute for each key"
    assert told[6] == fills
    assert told[7] == "  optimistic: any size fills at once at the quote, and doesn't move it"
    assert told[8].endswith("ET; the market is closed until 11-16 09:30 ET")
    assert told[9].startswith("  its clock stands still until you run: ")


@pytest.mark.parametrize(
    ("spec", "lines"),
    [
        (
            kraken.spec(),
            [
                "  orders and prices (Kraken Futures' API), websockets at the same address:",
                f"    key sandbox, secret {kraken.SECRET}: account main, 100,000.00 USD",
            ],
        ),
        (
            tws.spec(),
            [
                "  orders and prices (the TWS API of Interactive Brokers), with any client id: 127.0.0.1, port 4711",
                "    account main, 100,000.00 USD",
            ],
        ),
    ],
)
def test_another_venues_exchange_shows_what_clients_need(spec: MarketSpec, lines: list[str], tmp_path: Path) -> None:
    process.create(tmp_path, spec)
    exchange = open_world(tmp_path).exchange
    exchange.status_parts["ports"] = lambda: {"tws": 4711}
    data = _serving(tmp_path, "http://127.0.0.1:1", exchange.status(), ServeOptions(None, False, 0, "step", None, ()))
    shown = console()
    shown.width = 200
    with shown.capture() as captured:
        _render(shown, data)
    assert captured.get().splitlines()[1:3] == lines
    assert (data.flow_key, "Bearer" in captured.get()) == (None, False)


def test_time_runs_by_itself_and_does_not_run_backwards_over_a_kill(market: Path) -> None:
    newest = ""
    for _ in range(2):
        served = start(serve(market, "--time", "1000x", "--json"))
        assert served.stdout is not None
        data = json.loads(served.stdout.readline())["data"]
        assert data["pace"] == "1000x"
        while (now := requests.get(f"{data['url']}/exchange/v1/clock", timeout=60).json()["now"]) <= newest[:17]:
            pass
        assert now > newest
        newest = now
        served.kill()
        served.communicate(timeout=120)


def test_time_moves_by_durations_and_to_named_moments(bot: Bot) -> None:
    steps = ("open", "90s", "5m", "2h", "close", "next_open")
    ends = [bot.json("exchange", "tick", step)["end"][5:19] for step in steps]
    assert ends == [
        "11-16T14:30:00",
        "11-16T14:31:30",
        "11-16T14:36:30",
        "11-16T16:36:30",
        "11-16T21:00:00",
        "11-17T14:30:00",
    ]


def test_a_tick_shows_where_the_session_stands(bot: Bot) -> None:
    assert bot.shown("exchange", "tick") == (
        "2026-11-17 09:30:00 -> 2026-11-17 09:35:00 ET\n  session 2026-11-17 is open until 16:00:00 ET"
    )
    assert bot.shown("exchange", "tick", "close") == (
        "2026-11-17 09:35:00 -> 2026-11-17 16:00:00 ET\n"
        "The market has ended: its last session is over. Next: tradebot init --state-dir NEW"
    )


@pytest.mark.parametrize(
    "step", ["0m", "5", "-5m", "5 m", "1.5h", "5w", "yesterday", "", "\x1b[31m", "99999999h", "100000d"]
)
def test_a_step_that_cannot_be_read_moves_nothing(bot: Bot, step: str) -> None:
    said = bot.says("exchange", "tick", step)
    assert (said.code, said.out, "\x1b" in said.err) == (2, "", False)


def test_the_status_names_what_is_there_and_starts_nothing(bot: Bot) -> None:
    shown = bot.shown("exchange", "status").splitlines()
    assert shown[0] == "The exchange in STATE/exchange answers at http://127.0.0.1:PORT"
    assert "ET, standing still; " in shown[1]
    assert shown[2] == "  market: generated, 4 symbols, 2 sessions from 2026-11-16, orders fill by the next-bar model"
    assert shown[4].split()[:2] == ["main", "sandbox"]
    process.stop(bot.folder / "exchange")
    stopped = bot.json("exchange", "status")
    assert (stopped["url"], stopped["time"], stopped["accounts"]) == (None, None, [])
    assert stopped["market"]["symbols"] == ["AAPL", "MSFT", "NVDA", "AMZN"]
    assert bot.shown("exchange", "status").splitlines()[0] == "No process serves the exchange in STATE/exchange"
    assert process.running_endpoint(bot.folder / "exchange") is None


def test_a_reset_says_what_goes_and_needs_the_account_s_name(bot: Bot) -> None:
    url = bot.url
    requests.post(f"{url}/exchange/v1/accounts", json={"name": "alice", "cash": 5000}, timeout=60)
    keys = {"APCA-API-KEY-ID": "alice", "APCA-API-SECRET-KEY": "alice"}
    order = {"symbol": "AAPL", "qty": 1, "side": "buy", "type": "limit", "limit_price": 1, "time_in_force": "gtc"}
    assert requests.post(f"{url}/v2/orders", headers=keys, json=order, timeout=60).status_code == 200

    unsaid, wrong = bot.says("exchange", "reset", "alice"), bot.says("exchange", "reset", "alice", "--confirm", "yes")
    assert (unsaid.code, wrong.code) == (2, 3)
    assert "5,000.00 USD of equity, 0 positions, 1 open order and 1 order in total are removed" in unsaid.err
    assert len(requests.get(f"{url}/v2/orders", headers=keys, timeout=60).json()) == 1

    shows(bot.says("exchange", "reset", "alice", "--cash", "7000", "--confirm", "alice"), 0, "7,000.00 USD, key alice")
    assert requests.get(f"{url}/v2/orders", headers=keys, timeout=60).json() == []
    assert requests.get(f"{url}/v2/account", headers=keys, timeout=60).json()["cash"] == "7000"


def test_a_reset_leaves_an_account_alone_that_a_bot_keeps_books_of(bot: Bot) -> None:
    refuses(bot.says("exchange", "reset", "--confirm", "main"), 3, "its books are tied to account main")
    assert bot.says("exchange", "reset", "nobody", "--confirm", "nobody").code == 2
    assert bot.says("exchange", "reset", "nobody", "--cash", "x", "--confirm", "nobody").code == 2


def test_accounts_and_symbols_are_completed_from_files(bot: Bot) -> None:
    from types import SimpleNamespace

    from commands.shared.completion import accounts, complete_symbols

    context = SimpleNamespace(params={"state_dir": str(bot.folder)})
    assert accounts(context, "") == ["alice", "main"]  # type: ignore[arg-type]
    assert complete_symbols(context, "A") == ["AAPL", "AMZN"]  # type: ignore[arg-type]
    assert complete_symbols(context, "AAPL,A") == ["AAPL,AMZN"]  # type: ignore[arg-type]
    nowhere = SimpleNamespace(params={"state_dir": str(bot.folder / "nowhere")})
    assert (accounts(nowhere, ""), complete_symbols(nowhere, "GO")) == ([], ["GOOGL"])  # type: ignore[arg-type]


def test_a_real_venue_has_no_time_to_move(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    at = datetime(2026, 11, 16, 15, tzinfo=UTC)
    state_folder.prepare(tmp_path / "paper")
    ledger = SqliteLedger.create(tmp_path / "paper", "PA0000001234", at)
    ledger.open_books(Decimal(1000), at)
    ledger.close()
    state_folder.create(tmp_path / "paper", "paper", "PA0000001234", "user", at)
    assert main(["exchange", "tick", "--state-dir", str(tmp_path / "paper")]) == 2
    assert "mode paper trades in real time" in capsys.readouterr().err


MONDAY = date(2025, 3, 3)


def serving(place: Path, *flags: str) -> "subprocess.Popen[str]":
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
    end_of_first = serving(place, "--symbols", "AAPL", "--json")
    told(end_of_first)
    assert end(end_of_first)[0] == 0
    assert read_market(place / "exchange").spec.sessions == SERVED_SESSIONS
    (tmp_path / "mine.yaml").write_text("sandbox: {sessions: 3}\n")
    second = serving(tmp_path / "second", "--config", str(tmp_path / "mine.yaml"), "--json")
    told(second)
    assert end(second)[0] == 0
    assert read_market(tmp_path / "second" / "exchange").spec.sessions == 3


def test_an_ended_market_says_so_with_the_command_that_helps(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    made(place)
    helps = "tradebot exchange serve --state-dir NEW --sessions 250"
    assert tick(place, "close") == 0
    assert f"its last session is over. Next: {helps}" in capsys.readouterr().out
    assert main(["exchange", "status", "--state-dir", str(place)]) == 0
    assert f"The market has ended. Next: {helps}" in capsys.readouterr().out

    shown = serving(place)
    assert shown.stdout is not None
    lines = [shown.stdout.readline().rstrip() for _ in range(9)]
    end(shown)
    assert lines[7].endswith("the market has ended (its last session is over)")
    assert lines[8].replace(str(PROGRAM), "tradebot").endswith(helps.removeprefix("tradebot "))
    assert lines[8].startswith("  start another one: ")
    document = serving(place, "--json")
    data = told(document)
    end(document)
    assert (data["finished"], data["tick"]) == (True, None)


def test_one_in_the_background_is_taken_over_on_its_port(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = made(place)
    assert tick(place, "open") == 0
    said = capsys.readouterr().err
    background = there(process.running_endpoint(folder))
    assert said.count("\n") == 1
    note = f"note: the exchange wasn't running, so it was started in the background at {background.url}"
    assert said.startswith(note)
    assert tick(place, "5m") == 0
    assert capsys.readouterr().err == ""

    served = serving(place, "--json")
    data = told(served)
    found = there(process.running_endpoint(folder))
    assert (data["url"], found.pid, found.detached) == (background.url, served.pid, False)
    assert data["now"] == "2025-03-03T14:35:00Z"
    _, _, err = end(served)
    assert f"as process {background.pid}; this process continues from its state" in err


def test_one_that_is_served_in_a_terminal_is_left_alone(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    made(place)
    served = serving(place, "--json")
    told(served)
    assert main(["exchange", "serve", "--state-dir", str(place)]) == 6
    end(served)
    assert f"or stop it: kill {served.pid}, or Ctrl-C in its terminal" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("flags", "says"),
    [
        (("--time", "fast"), "--time step"),
        (("--time", "0x"), "next:"),
        (("--rate-limit", "0"), "next:"),
        (("--account", "Alice"), "next:"),
        (("--account", "main"), "next:"),
        (("--fill", "kindly"), "next:"),
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


def test_a_taken_port_is_named_and_no_market_changes(place: Path, bot: Bot, capsys: pytest.CaptureFixture[str]) -> None:
    port = bot.url.rpartition(":")[2]
    said = typed(capsys, "exchange", "serve", "--state-dir", str(place), "--symbols", "AAPL", "--port", port)
    assert (said.code, f"exchange serve --state-dir {place} --port 0 picks" in said.err) == (2, True)
    assert f"port {port} of 127.0.0.1 can't be used: Address already in use\n" in said.err
    assert [path.name for path in (place / "exchange").glob("*")] == []
    folder = made(place)
    before = (folder / "log.jsonl").read_bytes()
    refused = ["--port", port, "--account", "alice", "--faults", "lost-reply"]
    assert main(["exchange", "serve", "--state-dir", str(place), *refused]) == 2
    assert (folder / "log.jsonl").read_bytes() == before


def test_another_market_is_refused_with_what_differs(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    made(place)
    assert main(["exchange", "serve", "--state-dir", str(place), "--symbols", "MSFT", "--seed", "8"]) == 2
    assert "with a different market: its symbols is AAPL, not MSFT; its seed is 7, not 8\n" in capsys.readouterr().err


def test_an_account_that_is_there_keeps_its_cash_and_says_so(place: Path) -> None:
    made(place)
    end(_opened(place, "alice=5000"))
    _, _, err = end(_opened(place, "alice=7000", "--account", "bob=1"))
    assert "account alice already exists and started with 5,000.00 USD" in err
    assert f"exchange reset --state-dir {place} alice --cash 7000" in err
    assert "bob" not in err


def _opened(place: Path, *accounts: str) -> "subprocess.Popen[str]":
    served = serving(place, "--json", "--account", *accounts)
    told(served)
    return served


def test_recorded_bars_are_played_for_the_symbols_of_their_file(place: Path, tmp_path: Path) -> None:
    bars = tmp_path / "bars.csv"
    rows = [f"{MONDAY} 09:3{minute}:00,ONE,100,101,99,100.5,1000" for minute in range(1, 4)]
    bars.write_text("\n".join(["ts,symbol,open,high,low,close,volume", *rows, ""]))
    for _ in range(2):
        served = serving(place, "--bars", str(bars), "--bar-stamp", "end", "--json")
        data = told(served)
        assets = requests.get(f"{data['url']}/exchange/v1/status", timeout=60).json()["symbols"]
        end(served)
        assert assets == ["ONE"]


@pytest.mark.parametrize("verb", ["status", "page", "faults", "reset", "tick"])
def test_without_exchange_verbs_name_its_maker(tmp_path: Path, verb: str, capsys: pytest.CaptureFixture[str]) -> None:
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
    served = serving(place, "--symbols", "AAPL", "--time", "real", "--json")
    data = told(served)
    end(served)
    assert abs(datetime.now(UTC) - datetime.fromisoformat(data["now"])) < timedelta(seconds=30)
    spec = read_market(place / "exchange").spec
    assert abs(spec.start - date.today()) < timedelta(days=9)  # noqa: DTZ011
    assert spec.sessions == SERVED_SESSIONS


def test_a_latency_is_said_once_and_holds_until_another_is(place: Path) -> None:
    made(place)
    for flags, latency in ((("--latency", "250"), "250ms"), ((), "250ms"), (("--latency", "instant"), "instant")):
        served = serving(place, *flags, "--json")
        assert told(served)["latency"] == latency
        end(served)
    shown = serving(place, "--latency", "slow")
    assert shown.stdout is not None
    lines = [shown.stdout.readline().rstrip() for _ in range(8)]
    end(shown)
    assert lines[7] == "  cancels and replacements are delayed: latency slow"


def test_a_latency_that_is_none_is_refused_with_what_there_is(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["exchange", "serve", "--state-dir", str(place), "--latency", "soon"]) == 2
    said = "'soon' isn't a latency: use instant, paper, slow, or a duration up to an hour, such as 250ms or 2s"
    assert said in capsys.readouterr().err
    assert not (place / "exchange" / "market.json").exists()
