"""`tradebot notify`: what people are told, through whole command lines and a receiver on this machine."""

import json

import pytest

from tests.kit.bot.ending import refuses, shows
from tests.kit.bot.folder import Bot
from tests.kit.fakes.receivers import HOOK, Receiver, receiving, says
from tradebot.adapters.notices.outbox import Outbox
from tradebot.adapters.state import state_locks
from tradebot.adapters.state.state_folder import EVENTS, NOTICES, read_marker

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


@pytest.mark.parametrize("place", ["note", "make", "mark_sent"])
@pytest.mark.parametrize("after", [False, True], ids=["before", "after"])
def test_event_is_told_although_its_process_ends_at_any_step(
    told: Bot, receiver: Receiver, monkeypatch: pytest.MonkeyPatch, place: str, after: bool
) -> None:
    event(told, "venue.position_differs", books="10", broker="7")
    honest = getattr(Outbox, place)

    def ending(*arguments: object) -> None:
        if after:
            honest(*arguments)
        raise KeyboardInterrupt

    with monkeypatch.context() as cut:
        cut.setattr(Outbox, place, ending)
        assert told.says("notify", "send").code == 130
    told.says("notify", "send")
    # What was sent but not noted is sent again: nobody knows whether it arrived.
    assert receiver.bodies().count("the broker has 7 shares") == (2 if (place, after) == ("mark_sent", False) else 1)
    assert len(told.json("notify", "last")["notices"]) == 1


def test_receiver_that_fails_is_tried_again_later_and_health_says_so(
    told: Bot, monkeypatch: pytest.MonkeyPatch
) -> None:
    event(told, "venue.position_differs", books="10", broker="7")
    with receiving(says(500)) as broken:
        monkeypatch.setenv("NOTIFY_PHONE", f"http://{broken.address}/{HOOK}")
        assert told.says("notify", "send").out.strip() == "0 sent; 1 still to be sent: tradebot notify last"
        assert len(broken.got) == 1
    assert "attempt 1: the receiver answered 500" in told.shown("notify", "last")
    (part,) = [each for each in told.json("health")["judgments"] if each["subject"] == "notices"]
    assert part["state"] == "DEGRADED"
    assert part["found"] == "1 notice still to be sent, 0 notices given up: the receiver answered 500"
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
