"""Two hundred messages that must do nothing: each is refused with its reason, and the listener lives."""

import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from commands.chat.listener import words_of
from tests.kit.fakes.receivers import ANN, FakeTelegram

EVE = 6666
Made = Callable[[FakeTelegram], Any]

BAD_WORDS = (
    *("unhalt", "flatten", "config", "arm", "live arm", "config accept", "/unhalt", "trade-once", "sell AAPL"),
    *("revoke", "/halt@otherbot", "/status@", "halt yes", "halt now", "halt-now", "not-halt", "halt!"),
    *("halt;ls", "status;", "5", "status --json", "status --state-dir /", "why", "why AAPL MSFT", "why --help"),
    *("why -n", "why ../x", "why $(id)", "approve", "approve *", "approve --all", "approve a"),
    *("approve " + "a" * 41, "approve x;y", "reject `id`", "rm -rf /", "$(reboot)", "`id`", "| sh", "&& halt"),
    *("status\nhalt", "halt\n", "\thalt", " status", "status ", "\uff48alt", "\u04bbalt", "h\u0430lt"),
    *("halt\u200b", "\u202ehalt", "\u0455tatus", "\uff33\uff34\uff21\uff34\uff35\uff33", "why A\u0410PL"),
    *("why \uff41apl", "halt\u0000", "\u001b[2Jstatus", "", " ", "/", "//status", "status" * 1000),
    *("\ud83d\ude00", "<b>halt</b>", "{{halt}}", "%68alt", "halt%20", "status\u00e9"),
    *("close", "close AAPL all", "close AAPL -5", "close AAPL 1e3", "close AAPL 5 yes", "close * 5", "close AAPL 5."),
    *("why AAPL 5", "approve nvda-k3f7q 5", "not-close AAPL 5", "close --all", "close AAPL .5", "status 5"),
    *("yes please", "\ud800", "why AAPL\u0301", "Why\u00a0AAPL", "\u0661\u0662\u0663", "why 123", "halt\r"),
)  # fmt: skip
SHAPES: tuple[Any, ...] = (None, 5, "halt", [], ["halt"], {}, True, {"message": {}}, [[[]]], 1.5, {"a": {}})
NUMBERS: tuple[Any, ...] = (None, "5", 1.5, True, -1, 0, 2**60, [], {})
EXTRA = ["forward_origin", "edit_date", "via_bot", "reply_to_message", "photo", "caption", "story", "never_seen"]
KINDS = ["edited_message", "channel_post", "inline_query", "my_chat_member", "poll", "never_seen"]
WRONG: tuple[Any, ...] = (None, "7001", 7001.0, True, [], {}, 2**60, -7001)


def _typed(text: object, user: int = ANN) -> Made:
    return lambda fake: fake.typed(text, user)


def _constant(value: Any) -> Made:
    return lambda fake: value


def _changed(field: str, value: Any) -> Made:
    return lambda fake: fake.typed("halt", **{field: value})


def _person(**changes: Any) -> Made:
    return _changed("from", {"id": ANN, "is_bot": False, "first_name": "Ann", **changes})


def _chat(**changes: Any) -> Made:
    return _changed("chat", {"id": ANN, "type": "private", **changes})


def _kind(kind: str) -> Made:
    def made(fake: FakeTelegram) -> Any:
        update = fake.typed("halt")
        return {"update_id": update["update_id"], kind: update["message"]}

    return made


def _numbered(number: Any) -> Made:
    return lambda fake: {**fake.typed("halt"), "update_id": number}


def _pressed(data: Any, **more: Any) -> Made:
    return lambda fake: fake.pressed(data, 1001, **more)


def _both(fake: FakeTelegram) -> Any:
    return {**fake.typed("halt"), **fake.pressed("0" * 32 + ":0", 1001)}


def _open(**more: Any) -> Made:
    """Press the button of the open question, but not as its person does."""

    def made(fake: FakeTelegram) -> Any:
        return fake.pressed(fake.button("Yes, halt")["callback_query"]["data"], **{"message": 1001, **more})

    return made


def _at(seconds: int) -> Made:
    return lambda fake: fake.typed("halt", date=int(time.time()) + seconds)


def hostile() -> Iterator[tuple[Made, str]]:
    """Yield how each message is made, and what the reason for its refusal begins with."""
    for text in BAD_WORDS:
        yield _typed(text), ""
    for value in SHAPES:
        yield _constant(value), "not "
    for value in NUMBERS:
        yield _numbered(value), "not in Telegram's format: update_id"
    for name in EXTRA:
        yield _changed(name, {"id": ANN}), f"not a plainly typed message: {name}"
    for kind in KINDS:
        yield _kind(kind), f"not a kind of message that the bot answers: {kind}"
    for value in WRONG:
        yield _person(id=value), "not in Telegram's format: id"
        yield _chat(id=value), "not in Telegram's format: id"
        yield _changed("date", value), "not in Telegram's format: date"
        yield _changed("message_id", value), "not in Telegram's format: message_id"
        yield _typed(value), "not a command that the bot knows" if isinstance(value, str) else "without a text"
        yield _pressed(value), "not a button of this bot"
    for user in (EVE, 1, ANN + 1, 70010, 700):
        yield _typed("halt", user), "from somebody else"
        yield _open(user=user), "from somebody else"
    for other in ("group", "supergroup", "channel", None, "Private", ["private"]):
        yield _chat(type=other), "not a private chat"
    yield _chat(id=EVE), "from somebody else"
    yield _person(id=EVE), "from somebody else"
    yield _open(**{"from": {"id": EVE, "is_bot": False}}), "from somebody else"
    yield _person(is_bot=True), "not a person"
    yield _person(is_bot=None), "not a person"
    for seconds in (-121, -3600, -(10**8)):
        yield _at(seconds), "too old"
    for seconds in (40, 3600, 10**8):
        yield _at(seconds), "from the future"
    for data in (
        "halt",
        "halt-now",
        "0" * 32 + ":0",
        "0" * 31 + ":0",
        "g" * 32 + ":0",
        "0:0",
        "A" * 32 + ":0",
        "a" * 9999,
    ):
        yield _pressed(data), "not a button "
    yield _open(message=1002), "not a button that can still be pressed"
    yield _open(message=999), "not a button that can still be pressed"
    for name in ("inline_message_id", "game_short_name", "never_seen"):
        yield _open(**{name: "1"}), f"not a button of an ordinary message: {name}"
    yield _open(id="\n"), "not a button of this bot"
    yield _both, "not a kind of message"
    yield _constant({"update_id": 1}), "taken before"


@pytest.mark.parametrize(
    ("text", "meant"),
    [
        ("Status", ("status", "", "")),
        ("/halt", ("halt", "", "")),
        ("why brk.b", ("why", "BRK.B", "")),
        ("Approve NVDA-k3f7q", ("approve", "nvda-k3f7q", "")),
        ("Close brk.b", ("close", "BRK.B", "")),
        ("close AAPL 0120.500", ("close", "AAPL", "120.5")),
    ],
)
def test_word_is_understood_as_phones_write_it(text: str, meant: tuple[str, str, str]) -> None:
    assert words_of(text) == meant
