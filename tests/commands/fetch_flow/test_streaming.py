"""`tradebot fetch-flow --stream`: whatever happens on the way, the stored alerts are the exchange's own."""

import json
import signal
import sqlite3
import threading
from collections.abc import Callable
from contextlib import closing
from datetime import date
from typing import Any

import pytest
import requests

from tests.kit.bot.ending import refuses
from tests.kit.bot.folder import KEYS, Bot, Said
from tests.kit.waiting import until
from tradebot.adapters.state import state_locks
from tradebot.app import sandbox

NAMES = "AAPL,MSFT"
BOT_FLAGS = ("--symbols", NAMES, "--sessions", "6")
LONG_S = 60


@pytest.fixture
def session(bot: Bot) -> str:
    return str(tick(bot, to="next_open")["session"])


def tick(bot: Bot, **step: object) -> Any:
    headers = {**KEYS, **sandbox.control_headers(bot.folder / "exchange")}
    answer = requests.post(f"{bot.url}/exchange/v1/tick", json=step, headers=headers, timeout=LONG_S)
    assert answer.status_code == 200, answer.text
    return answer.json()


def arm(bot: Bot, what: str, **when: object) -> None:
    rule = {"name": what, "when": {"stream": "flow_alerts", **when}, "what": what}
    assert requests.post(f"{bot.url}/exchange/v1/faults", data=json.dumps([rule]), timeout=LONG_S).status_code == 200


def fired(bot: Bot) -> int:
    armed = requests.get(f"{bot.url}/exchange/v1/faults", timeout=LONG_S).json()
    requests.delete(f"{bot.url}/exchange/v1/faults", timeout=LONG_S)
    return sum(rule["fired"] for rule in armed["faults"])


def on_the_exchange(bot: Bot, session: str) -> list[str]:
    params = {"ticker_symbol": NAMES, "limit": "200", "newer_than": f"{session}T14:30:00Z"}
    headers = {"Authorization": "Bearer sandbox"}
    answer = requests.get(f"{bot.url}/api/option-trades/flow-alerts", params=params, headers=headers, timeout=LONG_S)
    return sorted(row["id"] for row in answer.json()["data"])


def stored(bot: Bot, session: str) -> list[str]:
    query = "SELECT id FROM facts WHERE endpoint = 'flow_alerts' AND session = ?"
    with closing(sqlite3.connect(bot.folder / "facts.db")) as database:
        return sorted(identity for (identity,) in database.execute(query, (session,)))


def joins(bot: Bot) -> int:
    events = bot.folder / "system_events.jsonl"
    return events.read_text().count('"stream_joined"') if events.exists() else 0


def more(bot: Bot, session: str, count: int) -> None:
    """Let time pass until the exchange has so many alerts more, a few minutes at a time."""
    wanted = len(on_the_exchange(bot, session)) + count
    while len(on_the_exchange(bot, session)) < wanted:
        tick(bot, seconds=120)


def end(bot: Bot) -> None:
    tick(bot, to="close")
    tick(bot, seconds=16 * 60)


def streamed(bot: Bot, *steps: Callable[[], object], as_json: bool = True) -> Said:
    """Stream until the end of the session, taking steps meanwhile once the stream has been joined."""
    before, failures = joins(bot), list[BaseException]()

    def take() -> None:
        try:
            until(lambda: joins(bot) > before)
            for step in steps:
                step()
        except BaseException as failure:  # noqa: BLE001 -- raised in the test's own thread
            failures.append(failure)
        finally:
            end(bot)

    thread = threading.Thread(target=take)
    thread.start()
    said = bot.says("fetch-flow", "--stream", *(["--json"] if as_json else []))
    thread.join()
    if failures:
        raise failures[0]
    assert said.code == 0, said
    return said


def test_stream_stores_missed_and_new_rows_once(bot: Bot, session: str) -> None:
    more(bot, session, 5)
    found = streamed(bot, lambda: more(bot, session, 8)).data
    assert stored(bot, session) == on_the_exchange(bot, session)
    assert (found["session"], found["symbols"]) == (session, 2)
    assert (found["joined"], found["bad"], found["lost"], found["missed"], found["complete"]) == (1, 0, 0, 0, True)
    assert found["new"] == len(on_the_exchange(bot, session)) > found["filled"] >= 5
    assert found["calls"] < found["new"]


def test_stream_loses_nothing_when_the_connection_breaks(bot: Bot, session: str) -> None:
    def reconnected(before: int) -> None:
        until(lambda: joins(bot) > before)

    arm(bot, "dropped_stream", at_most=1)
    found = streamed(bot, lambda: more(bot, session, 3), lambda: reconnected(joins(bot)), lambda: more(bot, session, 3))
    assert fired(bot) == 1
    assert found.data["joined"] == 2
    assert stored(bot, session) == on_the_exchange(bot, session)


def test_stream_stores_delayed_repeated_and_shuffled_rows_once(bot: Bot, session: str) -> None:
    arm(bot, "duplicate_events")
    arm(bot, "reordered_events", every=2)
    arm(bot, "mute_stream", every=5)
    streamed(bot, lambda: more(bot, session, 12))
    assert fired(bot) > 20
    assert stored(bot, session) == on_the_exchange(bot, session)


def test_stream_continues_where_it_was_after_a_kill(bot: Bot, session: str) -> None:
    before = joins(bot)
    with bot.process("fetch-flow", "--stream") as program:
        until(lambda: joins(bot) > before)
        assert "stream, process" in str(state_locks.holder(bot.folder, state_locks.STREAM_LOCK))
        refuses(bot.says("fetch-flow", "--stream", "--for", "1s"), 6, "stream, process")
        more(bot, session, 5)
        until(lambda: bool(stored(bot, session)))
        program.send_signal(signal.SIGKILL)
        program.communicate()
    more(bot, session, 5)
    assert set(stored(bot, session)) < set(on_the_exchange(bot, session))
    streamed(bot)
    assert stored(bot, session) == on_the_exchange(bot, session)


def test_stream_shows_what_came(bot: Bot, session: str) -> None:
    first, stream, rest = streamed(bot, as_json=False).out.splitlines()
    facts = len(on_the_exchange(bot, session))
    assert first.startswith(f"Alerts of session {session} from 09:30:00 to ")
    assert first.endswith(f" ET: {facts} new facts about 2 symbols")
    assert stream.startswith("  stream: ")
    assert stream.endswith(" about other symbols, 0 unreadable, 0 lost), joined 1 time")
    assert rest.startswith("  REST API: ")


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--for", "5m"], "error: --for needs --stream"),
        (["--stream", "--symbol", "AAPL"], "error: --stream can be combined only with --for"),
        (["--stream", "--plan"], "error: --stream can be combined only with --for"),
        (["--plan", "--endpoint", "dark_pool"], "error: --plan is about a whole session"),
        (["--stream", "--for", "soon"], "write 90s, 5m, 2h or 1d"),
    ],
)
def test_options_that_make_no_sense_are_refused(bot: Bot, arguments: list[str], words: str) -> None:
    refuses(bot.says("fetch-flow", *arguments), 2, words)


def test_there_is_nothing_to_stream_once_the_session_is_over(bot: Bot) -> None:
    assert bot.json("fetch-flow", "--stream")["reason"] == "MARKET_CLOSED"


def test_it_ends_when_its_time_is_over(bot: Bot) -> None:
    day = tick(bot, to="next_open")["session"]
    said = bot.says("fetch-flow", "--stream", "--for", "1s", "--json")
    assert date.fromisoformat(said.data["session"]).isoformat() == day
    assert said.code in (0, 5)
