"""`tradebot chat`: through whole command lines, the verbs' own processes and a server that speaks as Telegram does."""

from collections.abc import Iterator

import pytest

from commands.chat.answers import of_positions
from tests.kit.bot.ending import refuses, shows
from tests.kit.bot.folder import Bot
from tests.kit.bot.state import configure
from tests.kit.fakes.receivers import TOKEN, FakeTelegram, chatting
from tradebot.adapters.state import state_locks
from tradebot.app.wiring import App
from tradebot.model.trading import Mode


@pytest.fixture
def fake(copy: Bot, monkeypatch: pytest.MonkeyPatch) -> Iterator[FakeTelegram]:
    monkeypatch.setenv("CHAT_TELEGRAM_TOKEN", TOKEN)
    with chatting() as fake:
        configure(copy.folder, f"\nchat: {{telegram: {{url: '{fake.address}'}}}}\n")
        yield fake


def test_chat_is_off_until_it_is_configured_has_a_token_and_is_paired(
    copy: Bot, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert "The chat is off; docs/CHAT.md" in copy.shown("chat", "status")
    refuses(copy.says("chat", "pair"), 2, "the chat is off")
    configure(copy.folder, "\nchat: {telegram: {}}\n")
    assert "CHAT_TELEGRAM_TOKEN is not set" in copy.says("chat", "listen", "--once").err
    monkeypatch.setenv("CHAT_TELEGRAM_TOKEN", "no-token-at-all/../x")
    said = copy.says("chat", "listen", "--once")
    assert (said.code, "isn't a token" in said.err, "no-token" in said.err) == (2, True, False)


def test_turning_the_chat_on_has_to_be_accepted_and_turning_it_off_does_not(copy: Bot, fake: FakeTelegram) -> None:
    settings = copy.folder / "tradebot.yaml"
    whole = settings.read_text()
    settings.write_text(whole.replace(f"chat: {{telegram: {{url: '{fake.address}'}}}}", ""))
    assert "Nothing is looser than accepted." in copy.says("config", "check").out
    copy.says("config", "accept", "--confirm", copy.tail())
    settings.write_text(whole)
    assert "chat.telegram.url" in copy.says("config", "check").out.partition("Looser than accepted")[2]


@pytest.mark.parametrize(
    "url", ["http://api.telegram.org", "https://x/y", "https://a@b", "ftp://127.0.0.1", "https://"]
)
def test_address_that_is_neither_https_nor_this_machine_is_refused(copy: Bot, url: str) -> None:
    with (copy.folder / "tradebot.yaml").open("a") as file:
        file.write(f"\nchat: {{telegram: {{url: '{url}'}}}}\n")
    assert "must be an https address without a path" in copy.says("chat", "status").err


def test_real_money_needs_the_chat_accepted(copy: Bot, fake: FakeTelegram, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(App, "mode", Mode.LIVE)
    assert copy.says("chat", "pair").code == 0
    settings = copy.folder / "tradebot.yaml"
    settings.write_text(settings.read_text().replace(fake.address, "http://127.0.0.1:9"))
    refuses(copy.says("chat", "pair"), 3, "the chat hasn't been accepted")


def test_paired_person_asks_and_revoking_ends_it(copy: Bot, fake: FakeTelegram) -> None:
    code = copy.json("chat", "pair")["code"]
    assert "a code can be used until" in copy.shown("chat", "status")
    fake.updates = [fake.typed(code), fake.typed("Status"), fake.typed("why aapl"), fake.typed("why ZZZZ")]
    listened = copy.says("chat", "listen", "--once")
    assert (listened.code, listened.out) == (0, "Every message is answered.\n")
    _, status, why, unknown = fake.texts()
    assert status.startswith("Trading, as of ")
    assert why.startswith("AAPL: ")
    assert unknown.startswith("this bot doesn't evaluate a symbol ZZZZ")
    assert not [text for text in fake.texts() if str(copy.folder) in text or "--state-dir" in text]
    assert "Paired with person 7001 since" in copy.shown("chat", "status")
    assert "revoke" in copy.says("chat", "pair").err
    assert copy.says("chat", "revoke").out == "Person 7001 may no longer use the chat.\n"
    fake.updates, before = [fake.typed("status")], len(fake.sent)
    assert copy.says("chat", "listen", "--once").code == 0
    assert len(fake.sent) == before
    assert [row["why"] for row in copy.json("chat", "status", "--last", "1")["messages"]] == ["nobody is paired"]


def test_second_listener_is_refused(copy: Bot, fake: FakeTelegram) -> None:
    with state_locks.hold(copy.folder, "chat listen", name=state_locks.CHAT_LOCK):
        said = copy.says("chat", "listen", "--once")
    assert (said.code, "a running serve listens automatically" in said.err) == (6, True)


def test_telegram_that_is_away_is_told(copy: Bot, fake: FakeTelegram) -> None:
    fake.raw = [(500, b"")]
    shows(copy.says("chat", "listen", "--once"), 5, "status 500")
    assert "Trouble: " in copy.shown("chat", "status")


def test_health_says_that_nobody_listens_to_the_person_who_is_paired(copy: Bot, fake: FakeTelegram) -> None:
    def health() -> tuple[str, str, str]:
        (part,) = [part for part in copy.json("health")["judgments"] if part["subject"] == "chat"]
        return part["state"], part["found"], part["next"]

    assert health() == ("OK", "on, and nobody is paired: tradebot chat pair", "")
    fake.updates = [fake.typed(copy.json("chat", "pair")["code"])]
    assert copy.says("chat", "listen", "--once").code == 0
    state, found, following = health()
    assert (state, found) == ("DEGRADED", "the bot doesn't read the chat, so a message can't halt the bot")
    assert following.startswith("tradebot serve")
    with state_locks.hold(copy.folder, "chat listen", name=state_locks.CHAT_LOCK):
        assert health() == ("OK", "paired, and the bot listens", "")
    fake.raw = [(500, b"")]
    copy.says("chat", "listen", "--once")
    with state_locks.hold(copy.folder, "chat listen", name=state_locks.CHAT_LOCK):
        assert (health()[0], "status 500" in health()[1]) == ("DEGRADED", True)


def test_positions_that_the_broker_s_differ_from_are_told_with_how() -> None:
    data = {"positions": [], "as_of": None, "notes": ["Not in the books yet: 28 IWM"]}
    assert list(of_positions(data)) == ["0 positions"]
    told = list(of_positions({**data, "is_unlike_broker": True}))
    assert told == ["0 positions", "The broker's positions differ from these:", "Not in the books yet: 28 IWM"]
