"""The lanes of `serve`: exits on time beside a slow flow source, in lock-step and in threads, and what gives way."""

import threading
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from datetime import date, datetime, timedelta
from pathlib import Path
from threading import Lock
from urllib.parse import urlencode

import pytest
import requests

from commands.serve.lanes import LaneContext, lanes
from commands.shared import ask_strategies
from exchange.tests.kit.kraken import KEY, SECRET, V3, signature
from jobs.runner import LogKind, LogLine
from jobs.ticker import tick_lanes
from tests.kit.bot.folder import Bot, discard, log, made, typed
from tests.kit.bot.state import accept
from tests.suite.tiers import sized
from tradebot.adapters.ledger.ledger import SqliteLedger
from tradebot.adapters.state import state_folder
from tradebot.app import sandbox
from tradebot.app.loading import Options, load_for
from tradebot.app.wiring import App
from tradebot.desk.proposals import Proposals
from tradebot.errors import ExitCode
from tradebot.model.record import Job
from tradebot.ports.world import World
from tradebot.timetable.job_times import JobTimes

MINUTES = sized(24, 390)
TIMETABLE = f"""
timetable:
  fetch-flow: every 5m from open+2m until open+{MINUTES}m
  score: every 5m from open+2m until open+{MINUTES}m
  evaluate-exits: every 1m from open+1m until open+{MINUTES}m
  trade-once: every 5m from open+2m until open+{min(MINUTES, 375)}m
  reconcile: every 15m from open+1m until open+{MINUTES}m
"""
SLOW_FLOW = """
- {name: slow-flow, when: {request: any flow}, what: {slow_answer: 20s}}
- {name: looked, when: {request: positions}, what: {missing_field: no_such_field}}
"""
"""The second rule changes nothing: the log says when it fired, which is when the bot looked at its positions."""
SLOW_BROKER = "- {name: slow-broker, when: {request: positions, every: 4}, what: {slow_answer: 70s}}"
HANGING_FLOW = "- {name: hanging-flow, when: {request: any flow}, what: {hang: 1s, then: answer}}"


@pytest.fixture
def slow(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Iterator[Bot]:
    with made(tmp_path / "state", "--symbols", "AAPL", "--sessions", "1", settings=TIMETABLE) as path:
        yield Bot(path, capsys)


def arm(bot: Bot, script: str) -> None:
    assert requests.post(f"{bot.url}/exchange/v1/faults", data=script, timeout=30).status_code == 200


def claims(bot: Bot, job: Job) -> dict[str, datetime]:
    with closing(SqliteLedger.open(bot.folder, read_only=True)) as ledger:
        day = ledger.sessions(date.min, date.max)
        found = [claim for session in day for claim in ledger.slot_claims(session.date) if claim.job == job]
    return {claim.slot: claim.at for claim in found}


def opened_at(bot: Bot) -> datetime:
    return claims(bot, Job.EVALUATE_EXITS)["open+1m"].replace(second=0, microsecond=0) - timedelta(minutes=1)


@pytest.mark.sampled
def test_exits_run_each_minute_while_flow_answers_after_20_s(slow: Bot) -> None:
    arm(slow, SLOW_FLOW)
    assert slow.says("serve", "--speed", "1000000", "--json").code == 0
    opened, exits = opened_at(slow), claims(slow, Job.EVALUATE_EXITS)
    assert exits == {f"open+{m}m": opened + timedelta(minutes=m) for m in range(1, MINUTES)}
    events = log(slow.url)
    fired = [
        (event["rule"], datetime.fromisoformat(event["at"])) for event in events if event["event"] == "fault_fired"
    ]
    assert sum(rule == "slow-flow" for rule, _ in fired) > MINUTES / 5
    assert {at for rule, at in fired if rule == "looked"} >= set(exits.values())
    entries, fetches = claims(slow, Job.TRADE_ONCE), claims(slow, Job.FETCH_FLOW)
    late = [at - (opened + timedelta(minutes=int(slot[5:-1]))) for slot, at in entries.items()]
    assert all(timedelta(0) <= one <= timedelta(seconds=90) for one in late)
    assert max(late) >= timedelta(seconds=45), "no entry waited for the facts of its minute"
    assert len(fetches) > MINUTES / 30


@pytest.mark.campaign
def test_same_seed_gives_the_same_log_whatever_answers_late(
    slow: Bot, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with made(tmp_path / "second", "--symbols", "AAPL", "--sessions", "1", settings=TIMETABLE) as path:
        second = Bot(path, capsys)
        said = []
        for bot in (slow, second):
            arm(bot, SLOW_FLOW)
            assert bot.says("serve", "--speed", "1000000").code == 0
            kept = ("at", "event", "method", "path", "client_order_id", "rule")
            said.append([tuple(event.get(name) for name in kept) for event in log(bot.url)])
    assert said[0] == said[1]


def test_entries_give_way_to_exits_when_the_broker_takes_longer_than_a_minute(slow: Bot) -> None:
    arm(slow, SLOW_BROKER)
    assert slow.says("serve", "--speed", "1000000", "--json").code == 0
    posts = [e for e in log(slow.url) if e["event"] == "order_accepted"]
    assert len(posts) == len({post["client_order_id"] for post in posts})
    assert "gave_way" in (slow.folder / "system_events.jsonl").read_text()


@pytest.mark.campaign
def test_exits_are_on_time_while_the_flow_source_hangs(slow: Bot) -> None:
    with in_real_time(slow, at_s=119) as app:
        arm(slow, HANGING_FLOW)
        lines = in_lanes(app, lambda lines: {Job.FETCH_FLOW, Job.TRADE_ONCE} <= {line.job for line in lines})
    jobs = (Job.EVALUATE_EXITS, Job.TRADE_ONCE, Job.FETCH_FLOW)
    exits, entries, fetch = (claims(slow, job)["open+2m"] for job in jobs)
    took_s = next(line.took_s for line in lines if line.job is Job.FETCH_FLOW)
    assert took_s is not None
    assert took_s > 3, "the flow source was not slow"
    assert exits - fetch < timedelta(seconds=took_s - 1), "exits waited for the flow source"
    assert entries - fetch > timedelta(seconds=took_s - 1), "entries did not wait for the facts of their minute"


def test_exits_are_on_time_while_a_strategy_is_slow(slow: Bot, monkeypatch: pytest.MonkeyPatch) -> None:
    path = slow.folder / "tradebot.yaml"
    path.write_text(path.read_text().replace("trade-once: every 5m from open+2m", "trade-once: every 1m from open+1m"))
    accept(slow.folder)
    asked, answered, before, in_time = threading.Event(), threading.Event(), list[int](), list[bool]()

    def slowly(world: World, now: datetime, entries: JobTimes) -> Proposals:
        asked.set()
        in_time.append(answered.wait(20))
        return Proposals((), ())

    def done(lines: list[LogLine]) -> bool:
        exits = sum(line.job is Job.EVALUATE_EXITS for line in lines)
        if asked.is_set() and not before:
            before.append(exits)
        if before and exits > before[0]:
            answered.set()
        return Job.TRADE_ONCE in {line.job for line in lines}

    monkeypatch.setattr(ask_strategies, "propose", slowly)
    with in_real_time(slow) as app:
        in_lanes(app, done)
    assert in_time[0], "no exits ran while the strategy was asked"


def test_chore_runs_beside_the_trading_lanes_and_its_end_is_claimed(slow: Bot) -> None:
    path = slow.folder / "tradebot.yaml"
    path.write_text(path.read_text() + "  positions: {when: open+2m, late: always, limit: 2m}\n")
    with in_real_time(slow, at_s=119) as app:
        lines = in_lanes(app, lambda lines: {"positions", Job.EVALUATE_EXITS} <= {line.job for line in lines})
        claimed = {claim.job: claim.by for claim in app.ledger.slot_claims(app.now().date())}
    (told,) = [line for line in lines if line.job == "positions"]
    assert (told.slot, told.said, told.exit_code) == ("open+2m", "tradebot positions: exit 0", 0)
    assert claimed["positions"] == "serve test/1"
    assert claimed["positions ended"].startswith("exit 0, ")


def in_lanes(app: App, done: Callable[[list[LogLine]], bool]) -> list[LogLine]:
    """Run the bot in its lanes until it is done, at most 90 s; return the lines that it said."""
    lines, stop = list[LogLine](), threading.Event()
    working = lanes(app, LaneContext("serve test/1", lines.append, lambda done, total: None), reconciled=True)
    ending = threading.Timer(90, stop.set)
    ending.start()
    tick_lanes(working, lambda: stop.is_set() or done(lines), every_s=0.2)
    ending.cancel()
    assert not stop.is_set(), lines
    return lines


@contextmanager
def in_real_time(bot: Bot, at_s: int = 115) -> Iterator[App]:
    """Open the bot beside an exchange whose time is the real one, seconds before the slots of the second minute.

    Who needs a pass before them gives this machine time for it.
    """
    folder = state_folder.open_state(bot.folder, {})
    sandbox.ask(folder.exchange, "POST", "/exchange/v1/tick", {"to": "open"})
    sandbox.ask(folder.exchange, "POST", "/exchange/v1/tick", {"seconds": at_s})
    with closing(App(folder, load_for(folder, Options(), {}), {})) as app:
        app.ensure_calendar(app.now())
        sandbox.ask(folder.exchange, "POST", "/exchange/v1/clock", {"pace": "real"})
        yield app


UNTIL_HELD = (
    *("exchange tick open", "exchange tick 6m", "reconcile", "trade-once --force-slot", "exchange tick 1m"),
    *("evaluate-exits", "exchange tick 1s"),
)


@pytest.fixture
def coins(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Iterator[Bot]:
    """Yield a bot that holds a coin with its stop, most of a minute before its next pass of exits."""
    state = tmp_path / "state"
    made = typed(capsys, "init", "--venue", "kraken_futures", "--symbols", "3", "--state-dir", str(state))
    assert made.code == ExitCode.DONE, made.err
    coins = Bot(state, capsys)
    for words in UNTIL_HELD:
        assert coins.says(*words.split()).code == ExitCode.DONE, words
    yield coins
    discard(state)


def stops(coins: Bot) -> list[tuple[str, datetime]]:
    """Return the stops that the exchange has taken, each with its id and time."""
    taken = (event for event in log(coins.url) if event["event"] == "order_accepted" and event["type"] == "stop")
    return [(event["order_id"], datetime.fromisoformat(event["at"])) for event in taken]


def cancel(coins: Bot, order: str) -> None:
    """Cancel an order past the bot, as its owner might from elsewhere."""
    path, sent = f"{V3}/cancelorder", urlencode({"order_id": order})
    headers = {"APIKey": KEY, "Authent": signature(SECRET, path.removeprefix("/derivatives"), sent, "")}
    answer = requests.post(f"{coins.url}{path}?{sent}", headers=headers, timeout=60).json()
    assert answer["cancelStatus"]["status"] == "cancelled", answer


def passes(lines: list[LogLine]) -> list[LogLine]:
    return [line for line in lines if line.job is Job.EVALUATE_EXITS]


def until_it_rang(coins: Bot, until: int) -> list[LogLine]:
    """Run the lanes until there is a second stop or the exits of this many slots.

    Once it has begun to listen, exits run twice; after that, somebody cancels the stop.
    """
    folder, canceled, one_by_one = state_folder.open_state(coins.folder, {}), list[str](), Lock()

    def done(lines: list[LogLine]) -> bool:
        # Each lane asks, maybe at the same time.
        with one_by_one:
            if len(passes(lines)) > 1 and not canceled:
                canceled.append(stops(coins)[0][0])
                cancel(coins, canceled[0])
        return len(stops(coins)) > 1 or len(claims(coins, Job.EVALUATE_EXITS)) >= until

    with closing(App(folder, load_for(folder, Options(), {}), {})) as app:
        sandbox.ask(folder.exchange, "POST", "/exchange/v1/clock", {"pace": "real"})
        return in_lanes(app, done)


def test_exits_run_beside_their_slot_as_soon_as_the_venue_listens(coins: Bot) -> None:
    lines = until_it_rang(coins, until=2)
    assert "open+7m#2" in claims(coins, Job.EVALUATE_EXITS)
    assert not [line for line in lines if line.kind in (LogKind.FAULT, LogKind.FAILED)]


@pytest.mark.campaign
def test_a_canceled_stop_is_replaced_within_its_minute_because_the_venue_tells_of_it(coins: Bot) -> None:
    lines = until_it_rang(coins, until=9)
    (_, first), (_, second) = stops(coins)
    assert first.minute == second.minute, "the next slot would have seen it anyway"
    assert not [line for line in lines if line.kind in (LogKind.FAULT, LogKind.FAILED)]


@pytest.mark.campaign
def test_a_venue_that_tells_nothing_costs_no_more_than_a_minute(coins: Bot) -> None:
    arm(coins, "- {name: mute, when: {stream: trade_updates}, what: mute_stream}")
    until_it_rang(coins, until=9)
    (_, first), (_, second) = stops(coins)
    assert (first.minute, second.minute) == (7, 8)
