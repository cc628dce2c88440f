"""`tradebot exchange serve|tick`: the exchange for other clients, and its time."""

import json
import signal
from collections.abc import Iterator
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path

import pytest
import requests

from tests.cli.bot import PROGRAM, Bot, start
from tradebot.__main__ import main
from tradebot.adapters import state_folder
from tradebot.adapters.ledger import SqliteLedger
from tradebot.exchange import process


@pytest.fixture
def place(tmp_path: Path) -> Iterator[Path]:
    """Yield a folder for a served exchange, and stop what serves it."""
    yield tmp_path / "served"
    process.stop(tmp_path / "served" / "exchange")


def serve(place: Path, *flags: str) -> list[str]:
    return [str(PROGRAM), "exchange", "serve", "--state-dir", str(place), "--sessions", "1", *flags]


def test_another_client_is_served_with_the_keys_told_until_an_interrupt(place: Path) -> None:
    served = start(serve(place, "--symbols", "AAPL,MSFT", "--json"))
    assert served.stdout is not None
    told = json.loads(served.stdout.readline())
    data = told["data"]
    keys = {"APCA-API-KEY-ID": data["key"], "APCA-API-SECRET-KEY": data["secret"]}
    clock = requests.get(f"{data['url']}/v2/clock", headers=keys, timeout=10)
    flow = {"Authorization": f"Bearer {data['flow_key']}"}
    tide = requests.get(f"{data['url']}/api/market/market-tide", headers=flow, timeout=10)
    assert (told["schema"], clock.status_code, tide.status_code) == ("tradebot.exchange-serve/1", 200, 200)

    # No bot lives in this folder, so the way to move its time is HTTP.
    assert data["tick"] == f"""curl -X POST {data["url"]}/exchange/v1/tick -d '{{"seconds": 300}}'"""
    ticked = requests.post(f"{data['url']}/exchange/v1/tick", data='{"seconds": 300}', timeout=10)
    assert ticked.status_code == 200

    second = start(serve(place, "--symbols", "AAPL,MSFT"))
    _, err = second.communicate(timeout=20)
    assert (second.returncode, "is already served by process" in err) == (6, True)

    served.send_signal(signal.SIGINT)
    out, err = served.communicate(timeout=20)
    assert (served.returncode, out, err) == (0, "", "")


def test_a_folder_with_another_market_is_refused(place: Path) -> None:
    for flags, code in ((("--symbols", "AAPL"), None), (("--symbols", "MSFT"), 2)):
        served = start(serve(place, *flags))
        if code is None:
            assert served.stdout is not None
            assert "answers at" in served.stdout.readline()
            served.send_signal(signal.SIGTERM)
        _, err = served.communicate(timeout=20)
        assert served.returncode == (code or 0)
    assert "another market" in err


def test_a_port_that_is_taken_is_a_usage_error(bot: Bot, place: Path) -> None:
    port = bot.url.rpartition(":")[2]
    served = start(serve(place, "--symbols", "AAPL", "--port", port))
    _, err = served.communicate(timeout=20)
    assert (served.returncode, "choose another --port" in err) == (2, True)


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
        "2026-11-17 14:30:00 -> 2026-11-17 14:35:00 UTC\n  session 2026-11-17 is open until 21:00:00 UTC"
    )
    assert bot.shown("exchange", "tick", "close") == (
        "2026-11-17 14:35:00 -> 2026-11-17 21:00:00 UTC\n"
        "The market has ended: its last session is over. Next: tradebot init --state-dir NEW"
    )


@pytest.mark.parametrize("step", ["0m", "5", "-5m", "5 m", "1.5h", "5w", "yesterday", "", "\x1b[31m", "99999999h"])
def test_a_step_that_cannot_be_read_moves_nothing(bot: Bot, step: str) -> None:
    said = bot.says("exchange", "tick", step)
    assert (said.code, said.out, "\x1b" in said.err) == (2, "", False)


def test_a_real_venue_has_no_time_to_move(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    at = datetime(2026, 11, 16, 15, tzinfo=UTC)
    state_folder.prepare(tmp_path / "paper")
    ledger = SqliteLedger.create(tmp_path / "paper", "PA0000001234", at)
    ledger.open_books(Decimal(1000), at)
    ledger.close()
    state_folder.create(tmp_path / "paper", "paper", "PA0000001234", "user", at)
    assert main(["exchange", "tick", "--state-dir", str(tmp_path / "paper")]) == 2
    assert "mode paper trades in real time" in capsys.readouterr().err
