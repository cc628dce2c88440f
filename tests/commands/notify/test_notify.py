"""`tradebot notify`: what people are told, through whole command lines and a receiver on this machine."""

import json
import os
import signal
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from contextlib import redirect_stderr, redirect_stdout
from datetime import datetime
from io import StringIO
from pathlib import Path

import pytest

from commands.notify.delivery import describe_unwell
from tests.kit.bot.ending import refuses, shows
from tests.kit.bot.folder import Bot, made
from tests.kit.bot.stage import DIED, alone
from tests.kit.fakes.calls import Call, Watcher, watch
from tests.kit.fakes.machine import flaws
from tests.kit.fakes.receivers import HOOK, Receiver, receiving, says
from tests.suite.tiers import seed
from tradebot.__main__ import main as tradebot
from tradebot.adapters.notices.outbox import Outbox
from tradebot.adapters.notices.sender import Attempt
from tradebot.adapters.state import state_locks
from tradebot.adapters.state.events import EventCursor
from tradebot.adapters.state.state_folder import EVENTS, NOTICES, read_marker
from tradebot.judging.judgment import HealthState, Judgment
from tradebot.model.notice import BotStatus, Notice, NoticeEvent

SETTINGS = "notify: {channels: {phone: {}, desk: {topics: [slots], least: ERROR}}}"


def configured(bot: Bot, settings: str = SETTINGS) -> None:
    with (bot.folder / "tradebot.yaml").open("a") as file:
        file.write(f"\n{settings}\n")


@pytest.fixture
def told(copy: Bot, receiver: Receiver) -> Bot:
    """Return a bot with channels that was looked at once."""
    configured(copy)
    assert copy.says("notify", "send").code == 0
    return copy


@pytest.mark.parametrize("words", ["list", "last", "test", "send"])
def test_without_a_channel_the_next_step_is_named(copy: Bot, words: str) -> None:
    said = copy.says("notify", words)
    if words == "last":
        assert (said.code, said.out.strip()) == (0, "No notice was sent yet.")
        return
    assert said.code == 2
    assert "no channel is configured" in said.err
    assert "notify: {channels: {phone: {}}}" in said.err


@pytest.mark.parametrize(
    ("settings", "why"),
    [
        ("notify: {channels: {Phone: {}}}", "at most 20 lowercase letters"),
        ("notify: {channels: {phone: {quiet: late}}}", "such as 22:00-07:00 Europe/Berlin"),
        ("notify: {channels: {phone: {events: [venue.answer_difers]}}}", "did you mean venue.answer_differs"),
        ("notify: {channels: {phone: {topics: [money]}}}", "'halts'"),
        ("notify: {channels: {phone: {most_an_hour: 0}}}", "greater than or equal to 1"),
        ("notify: {channels: {phone: {url: tgram://x}}}", "there is no such setting"),
    ],
)
def test_wrong_settings_are_refused_with_their_name(copy: Bot, settings: str, why: str) -> None:
    configured(copy, settings)
    refuses(copy.says("notify", "list"), 2, "notify.channels", why)


def test_list_shows_rules_and_missing_addresses_but_no_address(told: Bot, receiver: Receiver) -> None:
    shown = told.shown("notify", "list")
    assert "phone: its address is in NOTIFY_PHONE\n  gets notices of everything, INFO or more severe\n" in shown
    assert "desk: NO ADDRESS: set NOTIFY_DESK in .env\n  gets notices of slots, ERROR or more severe\n" in shown
    assert HOOK not in shown
    assert receiver.address not in shown


def test_test_message_says_which_channel_failed_and_how(told: Bot, receiver: Receiver) -> None:
    shows(
        told.says("notify", "test"),
        5,
        "phone: sent; check that it arrived",
        "desk: NOT SENT: it has no address: set NOTIFY_DESK in .env",
    )
    assert "If you can read this, notices arrive." in receiver.bodies()
    assert told.says("notify", "test", "phone").code == 0
    assert "choose one of phone, desk" in told.says("notify", "test", "pone").err


def test_first_look_tells_nothing_and_a_halt_is_told_once_with_its_reason(told: Bot, receiver: Receiver) -> None:
    assert receiver.got == []
    number = read_marker(told.folder, {}).account_number
    told.says("halt", "--reason", f"see https://evil.example/x of {number}")
    assert told.says("notify", "send").out.strip() == "1 sent"
    assert told.says("notify", "send").out.strip() == "0 sent"
    ((_, body),) = receiver.got
    notice = json.loads(body)
    assert notice["severity"] == "CRITICAL"
    assert notice["title"] == f"tradebot sandbox ...{told.tail()}: CRITICAL"
    assert "HALTED: the bot opens nothing, exits continue" in notice["text"]
    assert f"see https: evil. example x of ...{told.tail()}" in notice["text"]
    assert number not in receiver.bodies()
    (row,) = told.json("notify", "last")["notices"]
    assert (row["channel"], row["sending"], row["text"]) == ("phone", "sent", notice["text"])


def event(bot: Bot, kind: str, **details: str) -> None:
    subsystem, _, type_ = kind.partition(".")
    line = {"timestamp": "2026-11-16T15:00:00.000000Z", "subsystem": subsystem, "event_type": type_}
    with (bot.folder / EVENTS).open("a") as file:
        file.write(json.dumps({**line, "severity": "ERROR", "symbol": "AAPL", "details": details}) + "\n")


def test_first_look_tells_of_entries_that_still_wait_for_a_yes(copy: Bot, receiver: Receiver) -> None:
    configured(copy)
    request = {"strategy": "flow", "side": "buy", "quantity": "3", "price": "100", "worth": "300"}
    for name, until in (("waits", "2099-01-01"), ("answered", "2099-01-01"), ("expired", "2020-01-01")):
        event(copy, "approval.asked", id=name, until=f"{until}T00:00:00+00:00", **request)
    event(copy, "approval.answered", id="answered", answer="yes")
    assert copy.says("notify", "send").out.strip() == "1 sent"
    ((_, body),) = receiver.got
    assert json.loads(body)["text"].count("AAPL") == 1
    assert copy.says("notify", "send").out.strip() == "0 sent"


def test_session_is_told_in_a_few_sentences_once_its_chore_has_run(told: Bot, receiver: Receiver) -> None:
    for job in ("backup", "summary", "summary"):
        event(told, "serve.chore_ran", job=job, output="nothing to see")
    told.says("notify", "send")
    ((_, body),) = receiver.got
    said = told.shown("summary", "--short").strip().splitlines()
    assert json.loads(body)["text"].splitlines()[0].endswith(said[0])
    assert len(json.loads(body)["text"].splitlines()) == len(said)


def test_failing_receiver_is_tried_again_later_and_health_says_so(told: Bot, monkeypatch: pytest.MonkeyPatch) -> None:
    event(told, "venue.position_differs", books="10", broker="7")
    with receiving(says(500)) as broken:
        monkeypatch.setenv("NOTIFY_PHONE", f"http://{broken.address}/{HOOK}")
        assert told.says("notify", "send").out.strip() == "0 sent; 1 still to be sent: tradebot notify last"
        assert len(broken.got) == 1
    assert "attempt 1: the receiver answered 500" in told.shown("notify", "last")
    (part,) = [each for each in told.json("health")["judgments"] if each["subject"] == "notices"]
    assert part["state"] == "DEGRADED"
    assert part["found"] == "1 notice not sent yet, 0 notices given up: the receiver answered 500"
    assert part["next"] == "tradebot notify last"


def test_second_process_tells_nothing_while_the_first_does(told: Bot, receiver: Receiver) -> None:
    told.says("halt")
    with state_locks.hold(told.folder, "notify send", name=state_locks.NOTIFY_LOCK):
        said = told.says("notify", "send")
    assert said.code == 6
    assert "a running serve sends notices itself" in said.err
    assert receiver.got == []
    assert told.says("notify", "send").out.strip() == "1 sent"


def test_damaged_notices_are_no_obstacle(told: Bot, receiver: Receiver) -> None:
    (told.folder / NOTICES).write_bytes(b"nonsense" * 1000)
    assert told.says("notify", "send").code == 0
    told.does("halt", "notify send")
    assert "HALTED" in receiver.bodies()


def found(subject: str, words: str) -> Judgment:
    return Judgment(subject, HealthState.FAILED, "", 1, words)


def test_notice_about_health_names_parts_and_leaves_out_what_would_be_cut() -> None:
    late = found("flow", "none since Monday")
    assert describe_unwell([late]) == "flow FAILED, none since Monday"
    long = [found(subject, "x" * 150) for subject in ("exits", "facts", "disk")]
    assert (
        describe_unwell([late, *long[:2]]) == f"flow FAILED, none since Monday; exits FAILED, {'x' * 150}; facts FAILED"
    )
    assert describe_unwell([*long, late]) == f"exits FAILED, {'x' * 150}; facts FAILED; disk FAILED; 1 more part"


IN_A_WEEK = """
notify: {channels: {phone: {most_an_hour: 1000}}}
timetable: {fetch-flow: every 14m from open+2m until close, evaluate-exits: every 15m from open+1m until close,
            trade-once: every 30m from open+7m until close, reconcile: every 40m from open+1m until close,
            score: every 60m from open+5m until close}
"""
"""As few passes as load, so that a week doesn't take long."""


@pytest.mark.campaign
def test_each_notice_of_a_week_is_in_whole_sentences_without_codes_or_empty_fields(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    with receiving() as receiver, made(tmp_path / "state", "--sessions", "5", settings=IN_A_WEEK) as folder:
        monkeypatch.setenv("NOTIFY_PHONE", f"http://{receiver.address}/hook")
        bot = Bot(folder, capsys)
        bot.says("notify", "send")
        assert bot.says("serve", "--speed", "1000000").code == 0
        bot.says("halt", "--reason", "to see its notice")
        bot.says("notify", "send")
        notices = bot.json("notify", "last", "--last", "1000")["notices"]
    texts = [row["text"].replace(str(folder), "STATE") for row in notices]
    assert [flaw for row, text in zip(notices, texts, strict=True) for flaw in flaws(row["title"]) + flaws(text)] == []
    assert len(texts) > 20
    for said in ("bought", "closed with", "so far", "HALTED"):
        assert any(said in text for text in texts), said


pytestmark = pytest.mark.campaign

OFTEN = "notify: {channels: {phone: {most_an_hour: 1000}}}"
EVERY = 6
"""One call of so many is where a process is killed; which ones, the week's seed says."""
MOST_CALLS = 600
BEFORE_THE_LOOK = 100
"""So many calls, of some 160, are made before what was looked at is remembered."""


class Killer(Watcher):
    """Kills the process at its n-th call."""

    def __init__(self, nth: int) -> None:
        self._left = nth

    def before(self, call: Call) -> int:
        self._left -= 1
        if not self._left:
            os.kill(os.getpid(), signal.SIGKILL)
        return 0


class Owner:
    """Somebody whose bot meets one event after the other, and whose notices are killed while they tell of it."""

    def __init__(self, bot: Bot) -> None:
        self.begun = set[int]()
        self.kills = 0
        self._bot = bot

    def meets(self, number: int) -> None:
        """Let something happen that a person is told of, and that no other event resembles."""
        details = {"books": "10", "broker": str(broker(number))}
        line = {"timestamp": "2026-11-16T15:00:00.000000Z", "subsystem": "venue", "event_type": "position_differs"}
        with (self._bot.folder / EVENTS).open("a") as file:
            file.write(json.dumps({**line, "severity": "ERROR", "symbol": "AAPL", "details": details}) + "\n")

    def is_told(self, number: int, nth: int = 0) -> bool:
        """Send what is to be told; return whether the process was killed at its n-th call."""
        place = self._bot.folder.with_name("begun")
        ended = alone(lambda child: _send(self._bot.folder, nth, place), lambda point: False)
        if place.exists():
            place.unlink()
            if ended.code == DIED:
                self.begun.add(number)
        assert ended.code in (0, DIED)
        self.kills += ended.code == DIED
        return ended.code == DIED


def _send(folder: Path, nth: int, begun: Path) -> int:
    """Type the verb, and leave a file once a message is on its way to its receiver."""
    honest = Attempt.__init__

    def noted(self: Attempt, address: str, notice: Notice, limit_s: float | None = None) -> None:
        begun.touch()
        honest(self, address, notice, limit_s)

    Attempt.__init__ = noted  # type: ignore[method-assign]
    if nth:
        watch(folder, Killer(nth))
    said = StringIO()
    with redirect_stdout(said), redirect_stderr(said):
        return tradebot(["notify", "send", "--state-dir", str(folder)])


def broker(number: int) -> int:
    """Return how many shares the broker has in the event of this number."""
    return 1_000_001 + number


def untrue(receiver: Receiver, owner: Owner, count: int) -> Iterator[str]:
    """Yield each event that wasn't told, or was told twice although its process lived from its sending to its note."""
    got = Counter(number for _, body in receiver.got for number in range(count) if str(broker(number)) in body.decode())
    for number in range(count):
        if not 1 <= got[number] <= (2 if number in owner.begun else 1):
            yield f"event {number} was told {got[number]} times"


@pytest.fixture
def owner(copy: Bot, receiver: Receiver) -> Owner:
    with (copy.folder / "tradebot.yaml").open("a") as file:
        file.write(f"\n{OFTEN}\n")
    assert copy.says("notify", "send").code == 0
    return Owner(copy)


def played(owner: Owner, every: int, first: int = 1) -> Iterator[int]:
    """Kill the sending of one event after the other, each `every` calls later, and yield how many there were so far."""
    number, nth, killed = 0, first + (seed() or 0) % every, True
    while killed:
        assert nth < MOST_CALLS, f"sending one notice takes {MOST_CALLS} calls or more"
        owner.meets(number)
        killed = owner.is_told(number, nth)
        owner.is_told(number)
        number, nth = number + 1, nth + every
        yield number


def test_each_event_is_told_whichever_call_its_process_is_killed_at(
    owner: Owner, receiver: Receiver, record_property: Callable[[str, object], None]
) -> None:
    *_, count = played(owner, EVERY)
    assert list(untrue(receiver, owner, count)) == []
    assert owner.kills > 10, "hardly a process was killed"
    assert owner.begun, "no process was killed while its message was on its way"
    record_property("processes that sent notices and were killed", owner.kills)


def test_look_remembered_before_what_it_found_is_kept_is_caught(
    owner: Owner, receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    honest = Outbox.note

    def hasty(
        self: Outbox, place: EventCursor, seen: BotStatus, found: Iterable[tuple[str, datetime, NoticeEvent]]
    ) -> None:
        honest(self, place, seen, ())
        honest(self, place, seen, found)

    monkeypatch.setattr(Outbox, "note", hasty)
    every_third = played(owner, EVERY // 2, BEFORE_THE_LOOK)
    assert any(f"event {count - 1} was told 0 times" in untrue(receiver, owner, count) for count in every_third)
