"""The chat: what is typed and pressed there, and what it may do."""

import json
import os
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any, NamedTuple

import pytest

from commands.chat.answers import of_positions
from commands.chat.listener import Listener
from tests.commands.chat.test_listener_judging import hostile
from tests.kit.bot import forked
from tests.kit.bot.ending import refuses, shows
from tests.kit.bot.folder import Bot, log
from tests.kit.bot.state import configure
from tests.kit.fakes.receivers import ANN, TOKEN, FakeTelegram, chatting
from tradebot.adapters.chat.store import ChatStore, MessageOutcome, open_chat_store
from tradebot.adapters.chat.telegram import Telegram
from tradebot.adapters.state import state_locks
from tradebot.adapters.state.state_folder import APPROVALS
from tradebot.adapters.state.subprocess_runner import Confirmation, ConfirmedAt, accept_confirmation
from tradebot.app.loading import Options
from tradebot.app.wiring import App, open_app
from tradebot.model.serving import ChoreEnd
from tradebot.model.struct_tools import replace
from tradebot.model.trading import Mode

ROW = {
    "id": "nvda-k3f7q",
    "state": "waiting",
    "symbol": "NVDA",
    "side": "buy",
    "quantity": "10",
    "price": "100.5",
    "worth_usd": "1005",
    "strategy": "flow",
    "score": 0.3,
    "expires_at": "2026-11-16T15:00:00Z",
    "order": "tb1",
}
DATA: dict[str, Any] = {
    "halt": {"state": "REDUCE_ONLY"},
    "approvals": {"approvals": [ROW]},
    "approve": {"approval": {**ROW, "state": "sent"}},
}


class Verbs:
    """Stands for the verbs' own processes, and keeps which were started."""

    def __init__(self) -> None:
        self.ran: list[Sequence[str]] = []

    def __call__(self, words: Sequence[str], limit_s: float, stopping: object, confirmation: object) -> ChoreEnd:
        self.ran.append(tuple(words))
        return ChoreEnd(0, None, 0.1, json.dumps({"data": DATA[words[0]]}) if words[0] in DATA else "")


class Chat(NamedTuple):
    """A listener, its server, its records and the verbs that it starts."""

    listener: Listener
    fake: FakeTelegram
    store: ChatStore
    verbs: Verbs

    def hears(self, *updates: Any) -> list[str]:
        """Have it take these, and return what it sent meanwhile."""
        before = len(self.fake.sent)
        self.fake.updates += updates
        self.listener.poll_once(0)
        return self.fake.texts()[before:]

    def types(self, text: str) -> list[str]:
        return self.hears(self.fake.typed(text))

    def presses(self, label: str) -> list[str]:
        return self.hears(self.fake.button(label))

    def last(self) -> tuple[str, str, str]:
        record = self.store.last(1)[0]
        return record.asked, record.became.value, record.why


@contextmanager
def listening(bot: Bot, fake: FakeTelegram) -> Iterator[Chat]:
    with open_app(Options(str(bot.folder)), os.environ) as app, open_chat_store(app.folder.path, app.events) as store:
        listener, verbs = Listener(app, Telegram(fake.address, TOKEN), store, None), Verbs()
        listener._run = verbs  # type: ignore[assignment]
        yield Chat(listener, fake, store, verbs)


def pair(chat: Chat) -> None:
    from datetime import UTC, datetime

    assert chat.types(chat.store.new_code(datetime.now(UTC)).lower())[0].startswith("Paired.")


@pytest.fixture
def fake() -> Iterator[FakeTelegram]:
    with chatting() as fake:
        yield fake


@pytest.fixture
def chat(copy: Bot, fake: FakeTelegram) -> Iterator[Chat]:
    with (copy.folder / "tradebot.yaml").open("a") as file:
        file.write("\napproval: {wait_s: 300}\n")
    with listening(copy, fake) as chat:
        pair(chat)
        yield chat


def test_hostile_messages_do_nothing_and_are_recorded_with_reasons(chat: Chat, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tradebot.adapters.chat.store.MOST_A_MINUTE", 10_000)
    messages = list(hostile())
    assert len(messages) >= 200
    chat.fake.sent.clear()
    chat.types("halt")
    for made, reason in messages:
        before = chat.store.last(1)[0].id
        sent = made(chat.fake)
        chat.fake.raw = [(200, json.dumps({"ok": True, "result": [sent]}).encode())]
        chat.hears()
        (record,) = [one for one in chat.store.last(2) if one.id > before]
        assert (record.became, record.why[: len(reason)]) == (MessageOutcome.REFUSED, reason), sent
        assert record.why
        if record.who != str(ANN):
            assert record.asked == "", "nothing is kept of what strangers write"
    assert (chat.verbs.ran, {body["chat_id"] for body in chat.fake.sent}) == ([], {ANN})
    assert set(chat.fake.asked) == {"getUpdates", "sendMessage", "answerCallbackQuery"}
    heard, own = (
        chat.fake.asked.count("answerCallbackQuery"),
        chat.store.refusals()["not a button that can still be pressed"],
    )
    assert heard == own, "strangers' buttons get no answer either"
    assert len(chat.fake.sent) == 1 + 5, "the question, and five hints a minute"
    assert chat.presses("Yes, halt")[0].startswith("Halted: REDUCE_ONLY.")
    assert chat.verbs.ran[-1][0] == "halt"


def test_replayed_updates_are_refused_and_done_once(chat: Chat) -> None:
    again = chat.fake.typed("approve nvda-k3f7q")
    chat.hears(again, again)
    chat.fake.raw = [(200, json.dumps({"ok": True, "result": [again]}).encode())]
    assert chat.hears() == []
    assert chat.last() == ("", "refused", "taken before")
    assert chat.store.refusals() == {"taken before": 2}
    assert chat.verbs.ran == [("approve", "nvda-k3f7q", "--json")]


def test_halt_is_asked_for_once_more_and_each_answer_counts_once(chat: Chat) -> None:
    chat.types("halt")
    yes = chat.fake.button("Yes, halt")["callback_query"]["data"]
    assert chat.presses("No") == ["Not halted."]
    assert chat.hears(chat.fake.pressed(yes, 1000 + len(chat.fake.sent) - 1)) == [
        "Nothing done: not a button that can still be pressed.\nSend help to see what I can do."
    ]
    assert chat.verbs.ran == []
    chat.types("halt")
    assert chat.types("yes")[0].startswith("Halted")
    assert chat.verbs.ran == [("halt", "--reason", f"asked for in the paired chat by person {ANN}", "--json")]
    assert "no question was asked in the last two minutes" in chat.types("yes")[0]


def test_entry_that_waits_is_shown_once_and_its_button_approves_it(chat: Chat) -> None:
    (chat.listener._app.folder.path / APPROVALS).touch()
    (shown,) = chat.hears()
    assert "buy 10 NVDA at 100.50 or better, 1,005.00 USD" in shown
    os.utime(chat.listener._app.folder.path / APPROVALS, (1, 1))
    assert chat.hears() == []
    assert chat.types("approvals")[0] == "1 entry waiting for approval"
    assert chat.presses("Approve NVDA")[0].startswith("Yes to nvda-k3f7q: sent")
    assert chat.last() == ("approve nvda-k3f7q", "done", "")
    assert "not a button that can still be pressed" in chat.presses("Reject NVDA")[0]
    assert chat.verbs.ran == [("approvals", "--json")] * 3 + [("approve", "nvda-k3f7q", "--json")]


@pytest.mark.parametrize("after", [False, True], ids=["before", "after"])
@pytest.mark.parametrize("place", ["take", "press", "means", "record_outcome"])
def test_halt_is_never_done_twice_although_its_process_ends_at_any_step(
    copy: Bot, chat: Chat, monkeypatch: pytest.MonkeyPatch, place: str, after: bool
) -> None:
    chat.types("halt")
    honest = getattr(ChatStore, place)

    def ending(*arguments: object, **named: object) -> None:
        if after:
            honest(*arguments, **named)
        raise KeyboardInterrupt

    with monkeypatch.context() as cut:
        cut.setattr(ChatStore, place, ending)
        with pytest.raises(KeyboardInterrupt):
            chat.presses("Yes, halt")
    with listening(copy, chat.fake) as again:
        again.listener.begin()
        again.hears()
        halts = [*chat.verbs.ran, *again.verbs.ran]
    # What was noted but perhaps not done isn't done again: the person is told, and asks again.
    told = "I was interrupted during: " in "".join(chat.fake.texts())
    assert len(halts) == (1 if place == "record_outcome" or (place, after) == ("take", False) else 0)
    assert told == ((place, after) not in (("take", False), ("record_outcome", True)))
    assert chat.last()[1] == ("cut short" if told else "done")


def test_flood_is_counted_and_fills_neither_the_records_nor_the_disk(chat: Chat) -> None:
    raw = chat.fake.typed("halt", 6666)
    size = 0
    for number in range(2_000, 3_000):
        chat.listener._take({**raw, "update_id": number})
        size = max(size, sum(path.stat().st_size for path in chat.listener._app.folder.path.glob("chat.db*")))
    assert chat.store.refusals() == {"from somebody else": 1_000}
    assert len(chat.store.last(1_000)) <= 11
    assert size < 5_000_000
    assert chat.hears(chat.fake.typed("help") | {"update_id": 3_000})


def test_revoked_person_and_wrong_codes_get_no_answer(chat: Chat) -> None:
    from datetime import UTC, datetime

    chat.store.revoke()
    chat.fake.sent.clear()
    assert chat.types("status") == []
    code = chat.store.new_code(datetime.now(UTC))
    for _ in range(5):
        assert chat.types("ABCDEFGHJK") == []
    assert chat.types(code) == []
    assert chat.last()[2] == "nobody is paired"
    assert chat.store.paired_person() is None


ODD = [
    (429, b'{"ok": false, "parameters": {"retry_after": 17}}', 17.0, "asks for fewer"),
    (429, b'{"ok": false, "parameters": {"retry_after": 1e99}}', 1.0, "asks for fewer"),
    (500, b"", 1.0, "status 500"),
    (302, b"{}", 1.0, "status 302"),
    (200, b"<html>", 1.0, "status 200"),
    (200, b'{"ok": true, "result": 5}', 1.0, "isn't a list"),
    (200, b"[" * 200_000, 1.0, "status 200"),
    (401, b"{}", 1.0, "doesn't know the token"),
    (409, b"{}", 1.0, "another program"),
]


@pytest.mark.parametrize(("status", "data", "pause", "said"), ODD)
def test_odd_answers_cost_a_pause_and_no_token(chat: Chat, status: int, data: bytes, pause: float, said: str) -> None:
    chat.fake.raw = [(status, data)]
    assert chat.listener.poll_once(0) == pause
    trouble = chat.store.recall("trouble") or ""
    assert said in trouble
    assert TOKEN not in trouble
    assert chat.types("help")
    assert chat.store.recall("trouble") == ""


def test_message_of_ten_megabytes_is_passed_over(chat: Chat) -> None:
    large = json.dumps({"ok": True, "result": [chat.fake.typed("x" * 10_000_000)]}).encode()
    chat.fake.raw = [(200, large), (200, large)]
    assert chat.listener.poll_once(0) > 0
    assert chat.hears() == []
    assert chat.last() == ("", "refused", "too large")
    began = time.monotonic()
    assert chat.types("help")
    assert time.monotonic() - began < 5


def test_press_of_a_button_that_a_question_does_not_have_leaves_the_question_open(chat: Chat) -> None:
    now, nonce = datetime.now(UTC), 32 * "a"
    chat.store.show(nonce, 5, ["halt-now", "not-halt"], now + timedelta(minutes=2), once=True)
    assert [chat.store.press(nonce, index, 5, now) for index in (7, 0, 0)] == [None, "halt-now", None]


def sent_orders(bot: Bot) -> list[str]:
    """Return the methods of the requests to send, change or cancel orders, by the exchange's log."""
    lines = [line for line in log(bot.url) if line["event"] == "request" and line["path"].startswith("/v2/orders")]
    return [line["method"] for line in lines if line["method"] != "GET"]


@contextmanager
def short_of_33(trader: Bot, fake: FakeTelegram, settings: str) -> Iterator[tuple[Chat, str]]:
    """Yield the paired chat of a bot that has sold 33 of a symbol short, and that symbol; the verbs are the real ones.

    Those that were started stand in `chat.verbs.ran`.
    """
    trader.does("trade-once", "exchange tick 2m", "reconcile", "evaluate-exits --force-slot", "reconcile")
    configure(trader.folder, settings)
    (row,) = trader.json("positions")["positions"]
    assert row["quantity"] == "-33"
    with listening(trader, fake) as chat:

        def run(
            words: Sequence[str], limit_s: float, stopping: object, confirmation: Confirmation | None = None
        ) -> ChoreEnd:
            chat.verbs.ran.append(tuple(words))
            typed = None if confirmation is None else partial(accept_confirmation, confirmation)
            done = forked.run([*words, "--state-dir", str(trader.folder)], first=typed, USER="chat")
            return ChoreEnd(done.returncode, None, 0.1, f"{done.stdout}{done.stderr}")

        chat.listener._run = run  # type: ignore[assignment]
        pair(chat)
        yield chat, row["symbol"]


MAY_CLOSE = "chat: {may_close: true}\n"
NOT_ASKED = "Nothing done: no question about that amount was asked in the last minute"


def test_close_takes_the_amount_in_a_second_message_and_is_sent_once(trader: Bot, fake: FakeTelegram) -> None:
    with short_of_33(trader, fake, MAY_CLOSE) as (chat, symbol):
        before = sent_orders(trader)
        assert "close SYMBOL" in chat.types("help")[0]
        assert chat.types(f"close {symbol} 33")[0].startswith(NOT_ASKED), "nobody asked yet"
        (asked,) = chat.types(f"close {symbol.lower()}")
        assert asked.startswith(f"{symbol} -33 at ")
        assert asked.endswith(f"\nTo close it, send this within 60 seconds: close {symbol} 33")
        for wrong in ("32", "33.5"):
            assert chat.types(f"close {symbol} {wrong}")[0].startswith(NOT_ASKED)
        assert chat.types("yes")[0].startswith("Nothing done: no question was asked in")
        chat.hears(chat.fake.typed(f"close {symbol} 33", user=6666))
        assert (chat.last()[2], sent_orders(trader)) == ("from somebody else", before)
        second = chat.fake.typed(f"close {symbol} 33.0")
        (done,) = chat.hears(second)
        assert done.endswith(f"buy 33 {symbol}: sent")
        assert chat.last() == (f"close {symbol} 33", "done", "")
        for again in (second, chat.fake.typed(f"close {symbol} 33")):
            chat.fake.raw = [(200, json.dumps({"ok": True, "result": [again]}).encode())]
            chat.hears()
        assert len(sent_orders(trader)) == len(before) + 1
        assert [words[0] for words in chat.verbs.ran].count("flatten") == 1
        trader.does("exchange tick 1m", "reconcile")
        assert chat.types(f"close {symbol}") == [f"Nothing closed. The bot's own position is now 0 {symbol}."]
    (told,) = [one for one in trader.json("events")["events"] if one["event_type"] == "acted"]
    assert told["details"] == {"asked": f"close {symbol} 33", "done": "true", "person": str(ANN)}


def test_close_that_is_late_or_declined_or_about_another_amount_by_now_sends_nothing(
    trader: Bot, fake: FakeTelegram, monkeypatch: pytest.MonkeyPatch
) -> None:
    with short_of_33(trader, fake, MAY_CLOSE) as (chat, symbol):
        before = sent_orders(trader)
        with monkeypatch.context() as late:
            late.setattr("commands.chat.listener.CLOSE_QUESTION", timedelta(seconds=-1))
            chat.types(f"close {symbol}")
            assert chat.types(f"close {symbol} 33")[0].startswith(NOT_ASKED)
        chat.types(f"close {symbol}")
        assert chat.presses("No") == ["Not closed."]
        assert chat.types(f"close {symbol} 33")[0].startswith(NOT_ASKED)
        chat.types(f"close {symbol}")
        chat.store.revoke()
        pair(chat)
        assert chat.types(f"close {symbol} 33")[0].startswith(NOT_ASKED), "the question was another pairing's"
        chat.types(f"close {symbol}")
        real = chat.listener._run

        def grown(words: Sequence[str], *others: Any) -> ChoreEnd:
            ended: ChoreEnd = real(words, *others)
            return replace(ended, output=ended.output.replace('"quantity": "-33"', '"quantity": "-40"'))

        monkeypatch.setattr(chat.listener, "_run", grown)
        assert chat.types(f"close {symbol} 33") == [f"Nothing closed. The bot's own position is now 40 {symbol}."]
        assert sent_orders(trader) == before
        assert [words for words in chat.verbs.ran if words[0] == "flatten"] == []


def test_chat_may_close_but_never_real_money(trader: Bot, fake: FakeTelegram, monkeypatch: pytest.MonkeyPatch) -> None:
    with short_of_33(trader, fake, "") as (chat, symbol):
        before = sent_orders(trader)
        assert "close" not in chat.types("help")[0]
        for text in (f"close {symbol}", f"close {symbol} 33"):
            assert chat.types(text)[0].startswith("Nothing done: possible only on the machine where the bot runs")
        assert chat.verbs.ran == []
    # A listener may have its settings from before they were changed: the verb reads them again.
    confirmed = partial(accept_confirmation, Confirmation(ConfirmedAt.CHAT, symbol))
    refused = forked.run(["flatten", symbol, "--state-dir", str(trader.folder)], first=confirmed)
    assert (refused.returncode, "chat.may_close is false" in refused.stderr) == (3, True)
    configure(trader.folder, MAY_CLOSE)
    with listening(trader, fake) as chat:
        monkeypatch.setattr(App, "mode", Mode.LIVE)
        assert chat.types(f"close {symbol}")[0].startswith(
            "Nothing done: with real money, possible only on the web pages"
        )
    assert sent_orders(trader) == before


@pytest.fixture
def phone(copy: Bot, monkeypatch: pytest.MonkeyPatch) -> Iterator[FakeTelegram]:
    monkeypatch.setenv("CHAT_TELEGRAM_TOKEN", TOKEN)
    with chatting() as phone:
        configure(copy.folder, f"\nchat: {{telegram: {{url: '{phone.address}'}}}}\n")
        yield phone


def test_chat_is_off_until_configured_given_a_token_and_paired(copy: Bot, monkeypatch: pytest.MonkeyPatch) -> None:
    assert "The chat is off; docs/CHAT.md" in copy.shown("chat", "status")
    refuses(copy.says("chat", "pair"), 2, "the chat is off")
    configure(copy.folder, "\nchat: {telegram: {}}\n")
    assert "CHAT_TELEGRAM_TOKEN is not set" in copy.says("chat", "listen", "--once").err
    monkeypatch.setenv("CHAT_TELEGRAM_TOKEN", "no-token-at-all/../x")
    said = copy.says("chat", "listen", "--once")
    assert (said.code, "isn't a token" in said.err, "no-token" in said.err) == (2, True, False)


def test_turning_the_chat_on_has_to_be_accepted_and_turning_it_off_does_not(copy: Bot, phone: FakeTelegram) -> None:
    settings = copy.folder / "tradebot.yaml"
    whole = settings.read_text()
    settings.write_text(whole.replace(f"chat: {{telegram: {{url: '{phone.address}'}}}}", ""))
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


def test_real_money_needs_the_chat_accepted(copy: Bot, phone: FakeTelegram, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(App, "mode", Mode.LIVE)
    assert copy.says("chat", "pair").code == 0
    settings = copy.folder / "tradebot.yaml"
    settings.write_text(settings.read_text().replace(phone.address, "http://127.0.0.1:9"))
    refuses(copy.says("chat", "pair"), 3, "the chat hasn't been accepted")


def test_paired_person_asks_and_revoking_ends_it(copy: Bot, phone: FakeTelegram) -> None:
    code = copy.json("chat", "pair")["code"]
    assert "a code can be used until" in copy.shown("chat", "status")
    phone.updates = [phone.typed(code), phone.typed("Status"), phone.typed("why aapl"), phone.typed("why ZZZZ")]
    listened = copy.says("chat", "listen", "--once")
    assert (listened.code, listened.out) == (0, "All messages have been answered.\n")
    _, status, why, unknown = phone.texts()
    assert status.startswith("Trading, as of ")
    assert why.startswith("AAPL: ")
    assert unknown.startswith("this bot doesn't evaluate a symbol ZZZZ")
    assert not [text for text in phone.texts() if str(copy.folder) in text or "--state-dir" in text]
    assert "Paired with person 7001 since" in copy.shown("chat", "status")
    assert "revoke" in copy.says("chat", "pair").err
    assert copy.says("chat", "revoke").out == "Person 7001 may no longer use the chat.\n"
    phone.updates, before = [phone.typed("status")], len(phone.sent)
    assert copy.says("chat", "listen", "--once").code == 0
    assert len(phone.sent) == before
    assert [row["why"] for row in copy.json("chat", "status", "--last", "1")["messages"]] == ["nobody is paired"]


def test_second_listener_is_refused(copy: Bot, phone: FakeTelegram) -> None:
    with state_locks.hold(copy.folder, "chat listen", name=state_locks.CHAT_LOCK):
        said = copy.says("chat", "listen", "--once")
    assert (said.code, "a running serve listens automatically" in said.err) == (6, True)


def test_telegram_that_is_away_is_told(copy: Bot, phone: FakeTelegram) -> None:
    phone.raw = [(500, b"")]
    shows(copy.says("chat", "listen", "--once"), 5, "status 500")
    assert "Trouble: " in copy.shown("chat", "status")


def test_health_says_that_nobody_listens_to_the_person_who_is_paired(copy: Bot, phone: FakeTelegram) -> None:
    def health() -> tuple[str, str, str]:
        (part,) = [part for part in copy.json("health")["judgments"] if part["subject"] == "chat"]
        return part["state"], part["found"], part["next"]

    assert health() == ("OK", "on, but nobody is paired: tradebot chat pair", "")
    phone.updates = [phone.typed(copy.json("chat", "pair")["code"])]
    assert copy.says("chat", "listen", "--once").code == 0
    state, found, following = health()
    assert (state, found) == ("DEGRADED", "the bot doesn't read the chat, so a message can't halt the bot")
    assert following.startswith("tradebot serve")
    with state_locks.hold(copy.folder, "chat listen", name=state_locks.CHAT_LOCK):
        assert health() == ("OK", "paired, and the bot listens", "")
    phone.raw = [(500, b"")]
    copy.says("chat", "listen", "--once")
    with state_locks.hold(copy.folder, "chat listen", name=state_locks.CHAT_LOCK):
        assert (health()[0], "status 500" in health()[1]) == ("DEGRADED", True)


def test_positions_that_the_broker_s_differ_from_are_told_with_how() -> None:
    data = {"positions": [], "as_of": None, "notes": ["Not in the books yet: 28 IWM"]}
    assert list(of_positions(data)) == ["0 positions"]
    told = list(of_positions({**data, "is_unlike_broker": True}))
    assert told == ["0 positions", "The broker's positions differ from these:", "Not in the books yet: 28 IWM"]
