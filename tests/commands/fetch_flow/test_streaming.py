"""`tradebot fetch-flow --stream`: whatever happens on the way, the stored alerts are the exchange's own."""

import json
import signal
import sqlite3
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import pytest
import requests

from tests.bot import KEYS, Bot, made
from tradebot.adapters.state import lock

NAMES = "AAPL,MSFT"
LONG_S = 30


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Yield the folder of a bot of two symbols, at its first open."""
    with made(tmp_path_factory.mktemp("stream") / "state", "--symbols", NAMES) as path:
        yield path


@pytest.fixture(autouse=True)
def opened(bot: Bot) -> None:
    if "open until" not in bot.says("exchange", "tick", "1s").out:
        bot.says("exchange", "tick", "next_open")


def arm(bot: Bot, what: str, **when: object) -> None:
    rule = {"name": what, "when": {"stream": "flow_alerts", **when}, "what": what}
    assert requests.post(f"{bot.url}/exchange/v1/faults", data=json.dumps([rule]), timeout=30).status_code == 200


def clear(bot: Bot) -> None:
    requests.delete(f"{bot.url}/exchange/v1/faults", timeout=30)


def on_the_exchange(bot: Bot) -> list[str]:
    """Return the ids of what the exchange has of the session."""
    headers = {"Authorization": "Bearer sandbox"}
    params = {"ticker_symbol": NAMES, "limit": "200", "newer_than": "2026-11-16T14:30:00Z"}
    answer = requests.get(f"{bot.url}/api/option-trades/flow-alerts", params=params, headers=headers, timeout=30)
    return sorted(row["id"] for row in answer.json()["data"])


def stored(bot: Bot) -> list[str]:
    """Return the ids of what the bot stored, one for each version."""
    if not (bot.folder / "facts.db").exists():
        return []
    query = "SELECT id FROM facts WHERE endpoint = 'flow_alerts'"
    with closing(sqlite3.connect(bot.folder / "facts.db")) as database:
        return sorted(identity for (identity,) in database.execute(query))


def events(bot: Bot) -> list[str]:
    return [event["event_type"] for event in bot.json("events")["events"] if event["subsystem"] == "flow"]


def tick(bot: Bot, minutes: int) -> None:
    """Let time pass without a command line of the bot."""
    from tradebot.app import sandbox

    headers = {**KEYS, **sandbox.control_headers(bot.folder / "exchange")}
    body = {"seconds": 60 * minutes}
    assert requests.post(f"{bot.url}/exchange/v1/tick", json=body, headers=headers, timeout=30).status_code == 200


def more(bot: Bot, count: int = 1) -> None:
    """Let time pass until the exchange has so many alerts more."""
    wanted = len(on_the_exchange(bot)) + count
    while len(on_the_exchange(bot)) < wanted:
        tick(bot, 3)


def until(reached: Callable[[], bool]) -> None:
    deadline = time.monotonic() + LONG_S
    while not reached():
        assert time.monotonic() < deadline
        time.sleep(0.02)


@contextmanager
def meanwhile(*steps: Callable[[], object]) -> Iterator[None]:
    """Take steps in a thread while the block runs."""
    thread = threading.Thread(target=lambda: [step() for step in steps])
    thread.start()
    yield
    thread.join()


def joined(bot: Bot) -> None:
    """Wait until the stream has been joined and the first gap filled."""
    until(lambda: set(stored(bot)) >= set(on_the_exchange(bot)))


def test_what_came_before_and_what_comes_is_stored_once(bot: Bot) -> None:
    tick(bot, 60)
    before = len(on_the_exchange(bot))
    with meanwhile(lambda: joined(bot), lambda: more(bot, 4), lambda: joined(bot), lambda: more(bot, 4)):
        found = bot.json("fetch-flow", "--stream", "--for", "3s")
    assert stored(bot) == on_the_exchange(bot)
    assert found["new"] == len(on_the_exchange(bot)) > before
    assert (found["joined"], found["bad"], found["lost"], found["missed"], found["complete"]) == (1, 0, 0, 0, True)
    assert found["filled"] < found["new"], "nothing came over the stream"
    assert found["calls"] < 15


def test_a_connection_that_breaks_off_costs_nothing(bot: Bot) -> None:
    arm(bot, "dropped_stream", symbol="AAPL", at_most=1)
    with meanwhile(lambda: time.sleep(0.5), lambda: more(bot, 6)):
        found = bot.json("fetch-flow", "--stream", "--for", "3s")
    clear(bot)
    assert found["joined"] > 1
    assert stored(bot) == on_the_exchange(bot)
    assert "stream_joined" in events(bot)


def test_what_is_repeated_or_shuffled_is_stored_once(bot: Bot) -> None:
    arm(bot, "duplicate_events")
    arm(bot, "reordered_events", every=2)
    with meanwhile(lambda: time.sleep(0.5), lambda: more(bot, 6)):
        bot.says("fetch-flow", "--stream", "--for", "2s")
    clear(bot)
    bot.says("fetch-flow", "--stream", "--for", "1s")
    assert stored(bot) == on_the_exchange(bot)


def test_whoever_is_killed_while_streaming_goes_on_where_they_were(bot: Bot) -> None:
    with bot.process("fetch-flow", "--stream") as program:
        tick(bot, 10)
        joined(bot)
        assert "stream, process" in str(lock.holder(bot.folder, lock.STREAM_LOCK))
        said = bot.says("fetch-flow", "--stream", "--for", "1s")
        assert (said.code, "stream, process" in said.err) == (6, True)
        tick(bot, 10)
        program.send_signal(signal.SIGKILL)
        program.communicate()
    more(bot)
    assert stored(bot) != on_the_exchange(bot)
    assert bot.json("fetch-flow", "--stream", "--for", "1s")["complete"]
    assert stored(bot) == on_the_exchange(bot)


def test_a_person_sees_what_came(bot: Bot) -> None:
    bot.says("fetch-flow", "--stream", "--for", "1s")
    first, stream, rest = bot.shown("fetch-flow", "--stream", "--for", "1s").splitlines()
    assert first.startswith("Alerts of session 2026-11-16 from ")
    assert first.endswith(" ET: 0 new facts about 2 symbols")
    assert stream == "  stream: 0 rows (0 about other symbols, 0 unreadable, 0 lost), joined 1 time"
    assert rest == "  REST API: 1 call, which brought 0 facts"


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--for", "5m"], "it goes with --stream"),
        (["--stream", "--symbol", "AAPL"], "it takes no option but --for"),
        (["--stream", "--for", "soon"], "write 90s, 5m or 2h"),
    ],
)
def test_options_that_make_no_sense_are_refused(bot: Bot, arguments: list[str], words: str) -> None:
    said = bot.says("fetch-flow", *arguments)
    assert (said.code, words in said.err) == (2, True)


def test_there_is_nothing_to_stream_once_the_session_is_over(bot: Bot) -> None:
    bot.says("exchange", "tick", "close")
    bot.says("exchange", "tick", "16m")
    found: Any = bot.json("fetch-flow", "--stream")
    assert found["reason"] == "MARKET_CLOSED"
