"""A venue that tells of what happens: `serve` looks at once, and not only when the timetable says so."""

from collections.abc import Iterator
from contextlib import closing
from datetime import datetime
from pathlib import Path
from threading import Lock
from urllib.parse import urlencode

import pytest
import requests

from exchange.tests.kit.kraken import KEY, SECRET, V3, signature
from jobs.runner import LogKind, LogLine
from tests.commands.serve.test_lanes import arm, claims, in_lanes
from tests.kit.bot.folder import Bot, discard, log, typed
from tradebot.adapters.state import state_folder
from tradebot.app import sandbox
from tradebot.app.loading import Options, load_for
from tradebot.app.wiring import App
from tradebot.errors import ExitCode
from tradebot.model.record import Job

UNTIL_HELD = (
    *("exchange tick open", "exchange tick 6m", "reconcile", "trade-once --force-slot", "exchange tick 1m"),
    *("evaluate-exits", "exchange tick 1s"),
)


@pytest.fixture
def bot(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Iterator[Bot]:
    """Yield a bot that holds a coin with its stop, most of a minute before its next pass of exits."""
    state = tmp_path / "state"
    made = typed(capsys, "init", "--venue", "kraken_futures", "--symbols", "3", "--state-dir", str(state))
    assert made.code == ExitCode.DONE, made.err
    bot = Bot(state, capsys)
    for words in UNTIL_HELD:
        assert bot.says(*words.split()).code == ExitCode.DONE, words
    yield bot
    discard(state)


def stops(bot: Bot) -> list[tuple[str, datetime]]:
    """Return the stops that the exchange has taken, each with its id and time."""
    taken = (event for event in log(bot.url) if event["event"] == "order_accepted" and event["type"] == "stop")
    return [(event["order_id"], datetime.fromisoformat(event["at"])) for event in taken]


def cancel(bot: Bot, order: str) -> None:
    """Cancel an order past the bot, as its owner might from elsewhere."""
    path, sent = f"{V3}/cancelorder", urlencode({"order_id": order})
    headers = {"APIKey": KEY, "Authent": signature(SECRET, path.removeprefix("/derivatives"), sent, "")}
    answer = requests.post(f"{bot.url}{path}?{sent}", headers=headers, timeout=60).json()
    assert answer["cancelStatus"]["status"] == "cancelled", answer


def passes(lines: list[LogLine]) -> list[LogLine]:
    return [line for line in lines if line.job is Job.EVALUATE_EXITS]


def in_real_time(bot: Bot, until: int) -> list[LogLine]:
    """Run the lanes until there is a second stop or the exits of this many slots.

    Once it has begun to listen, exits run twice; after that, somebody cancels the stop.
    """
    folder, canceled, one_by_one = state_folder.open_state(bot.folder, {}), list[str](), Lock()

    def done(lines: list[LogLine]) -> bool:
        # Each lane asks, maybe at the same time.
        with one_by_one:
            if len(passes(lines)) > 1 and not canceled:
                canceled.append(stops(bot)[0][0])
                cancel(bot, canceled[0])
        return len(stops(bot)) > 1 or len(claims(bot, Job.EVALUATE_EXITS)) >= until

    with closing(App(folder, load_for(folder, Options(), {}), {})) as app:
        sandbox.ask(folder.exchange, "POST", "/exchange/v1/clock", {"pace": "real"})
        return in_lanes(app, done)


def test_exits_run_beside_their_slot_as_soon_as_the_venue_listens(bot: Bot) -> None:
    lines = in_real_time(bot, until=2)
    assert "open+7m#2" in claims(bot, Job.EVALUATE_EXITS)
    assert not [line for line in lines if line.kind in (LogKind.FAULT, LogKind.FAILED)]


@pytest.mark.campaign
def test_a_canceled_stop_is_replaced_within_its_minute_because_the_venue_tells_of_it(bot: Bot) -> None:
    lines = in_real_time(bot, until=9)
    (_, first), (_, second) = stops(bot)
    assert first.minute == second.minute, "the next slot would have seen it anyway"
    assert not [line for line in lines if line.kind in (LogKind.FAULT, LogKind.FAILED)]


@pytest.mark.campaign
def test_a_venue_that_tells_nothing_costs_no_more_than_a_minute(bot: Bot) -> None:
    arm(bot, "- {name: mute, when: {stream: trade_updates}, what: mute_stream}")
    in_real_time(bot, until=9)
    (_, first), (_, second) = stops(bot)
    assert (first.minute, second.minute) == (7, 8)
