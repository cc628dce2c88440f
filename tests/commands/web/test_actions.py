"""A form does what its verb does, in the verb's words; whatever else is sent to its address does nothing."""

import re
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest
from starlette.testclient import TestClient

from commands.web.actions import CALLER, LONGEST_TEXT, VerbActions
from commands.web.page_data import PageReader
from commands.web.site import Site
from tests.commands.web.client import COOKIE, browser, logins
from tests.kit.bot import forked
from tests.kit.bot.folder import Bot, second_session
from tests.kit.values import there
from tradebot.errors import OperatorError
from tradebot.model.serving import ChoreEnd

BOT_SETTINGS = "approval: {wait_s: 300}\n"
HOSTILE = "<script>alert(1)</script>\"'&\x1b[31m\u202e"


def in_forks(folder: Path, config: str | None, kept: int, name: str) -> Callable[..., ChoreEnd]:
    """Run verbs as the product does, each in a process of its own, which begins as a copy of this one."""

    def run(words: Sequence[str], limit_s: float, stopping: Callable[[], bool]) -> ChoreEnd:
        done = forked.run([*words, "--state-dir", str(folder)], USER=name)
        return ChoreEnd(done.returncode, None, 0.1, f"{done.stdout}{done.stderr}")

    return run


class Says:
    """Runs nothing: each verb ends as a test says."""

    def __init__(self, ended: ChoreEnd) -> None:
        self.ended, self.ran = ended, list[Sequence[str]]()

    def __call__(self, *_: object) -> Callable[..., ChoreEnd]:
        def run(words: Sequence[str], *_: object) -> ChoreEnd:
            self.ran.append(words)
            return self.ended

        return run


def opened(bot: Bot, runs: Any) -> TestClient:
    """Return a browser that has logged in to the pages of a bot, whose forms run verbs by `runs`."""
    made = Site(PageReader(bot.folder, None), VerbActions(bot.folder, None, runs), logins(), COOKIE, is_secure=False)
    return browser(made)


def csrf(client: TestClient) -> str:
    return there(re.search(r'name="csrf" value="([^"]+)"', client.get("/positions").text))[1]


def acted(bot: Bot, runs: Any = None, **given: str) -> "tuple[int, str]":
    """Send a form of a page, and return how it was answered."""
    client = opened(bot, runs or in_forks)
    answer = client.post("/act", data={"csrf": csrf(client), **given})
    return answer.status_code, answer.text


def waiting(bot: Bot) -> list[str]:
    return [row["id"] for row in bot.json("approvals")["approvals"] if row["state"] == "waiting"]


def test_halt_takes_the_typed_word_and_does_what_the_verb_does(copy: Bot) -> None:
    for wrong in ("", "Halt", "HALT", "halt now", HOSTILE):
        status, text = acted(copy, do="halt", word=wrong, reason="why")
        assert (status, "Nothing was done" in text, "type halt to confirm" in text) == (400, True, True)
        assert "<script>alert" not in text
    assert copy.json("status")["trading_state"] == "ACTIVE"
    status, text = acted(copy, do="halt", word=" halt ", reason="too wild")
    assert (status, "Halted: REDUCE_ONLY" in text, "too wild" in text) == (200, True, True)
    assert 'role="alert"' not in text
    seen = copy.json("status")
    assert (seen["trading_state"], seen["trading_why"]) == ("REDUCE_ONLY", "too wild")
    assert seen["trading_who"].startswith(f"{CALLER}/")
    again, _ = acted(copy, do="halt", word="halt")
    assert (again, copy.json("status")["trading_state"]) == (200, "REDUCE_ONLY")


def test_a_yes_sends_the_entry_once_and_a_no_none(bot: Bot) -> None:
    second_session(bot)
    assert bot.says("trade-once").code == 0
    (name,) = waiting(bot)
    page = opened(bot, in_forks).get("/").text
    row = bot.json("approvals")["approvals"][0]
    form = there(re.search(rf'<form class="act".*?value="{name}"><span>(.*?)</span>', page, re.DOTALL))
    for shown in (name, row["side"], row["symbol"], f"{float(row['worth_usd']):,.2f} USD", "it ends in"):
        assert shown in form[1]
    first, again = (acted(bot, do="approve", request=name) for _ in range(2))
    assert (first[0], f"Yes to {name}: " in first[1], "Sent as tb1." in first[1]) == (200, True, True)
    assert (again[0], "Sent as tb1." in again[1]) == (200, True)
    sent = [row for row in bot.json("approvals", "--last", "9")["approvals"] if row["state"] == "sent"]
    assert [row["id"] for row in sent] == [name]
    late = acted(bot, do="reject", request=name)
    assert (late[0], "already said yes" in late[1], "It did not end as it should" in late[1]) == (409, True, True)


def test_a_no_is_written_down(bot: Bot) -> None:
    bot.does("exchange tick 60m", "fetch-flow", "reconcile", "trade-once --force-slot")
    name = waiting(bot)[0]
    status, text = acted(bot, do="reject", request=name)
    assert (status, f"No to {name}: " in text) == (200, True)
    assert name not in waiting(bot)


def test_a_note_is_written_down_as_it_was_and_shown_without_its_marks(bot: Bot) -> None:
    trade = bot.json("trades")["trades"][0]["id"]
    status, text = acted(bot, do="note", trade=trade, text=HOSTILE, tag="swing")
    assert (status, "Noted on" in text) == (200, True)
    (row,) = [row for row in bot.json("trades")["trades"] if row["id"] == trade]
    assert (row["tags"], "<script>alert(1)</script>" in row["note"]) == (["swing"], True)
    for shown in (text, opened(bot, in_forks).get("/trades").text):
        assert "alert(1)" in shown
        assert "<script>alert" not in shown
        assert "\x1b" not in shown
        assert "\u202e" not in shown


@pytest.mark.parametrize(
    "given",
    [
        {},
        {"do": "unhalt", "word": "halt"},
        {"do": "flatten"},
        {"do": "config", "request": "set"},
        {"do": "approve"},
        {"do": "approve", "request": "--state-dir"},
        {"do": "approve", "request": "a b"},
        {"do": "reject", "request": HOSTILE},
        {"do": "note", "trade": "-x", "text": "a"},
        {"do": "note", "trade": "AAPL", "text": "--remove"},
    ],
)
def test_nothing_else_can_be_asked_for_and_no_value_becomes_an_option(copy: Bot, given: dict[str, str]) -> None:
    runs = Says(ChoreEnd(0, None, 0.1, ""))
    status, text = acted(copy, runs, **given)
    assert (status, "Nothing was done" in text, "next: " in text, runs.ran) == (400, True, True, [])
    assert "<script>alert" not in text


def test_only_a_form_of_the_sessions_own_page_is_taken(copy: Bot) -> None:
    runs = Says(ChoreEnd(0, None, 0.1, ""))
    client = opened(copy, runs)
    form = {"csrf": csrf(client), "do": "halt", "word": "halt"}
    others = csrf(opened(copy, runs))
    for wrong in ("", "x", others, form["csrf"][:-1]):
        assert client.post("/act", data={**form, "csrf": wrong}).status_code == 403
    for origin in ("https://example.org", "null", "http://127.0.0.1:1", ""):
        assert client.post("/act", data=form, headers={"Origin": origin}).status_code == 403
    assert client.get("/act", params=form).status_code == 405
    assert client.request("PUT", "/act", data=form).status_code == 405
    apart = browser(
        Site(PageReader(copy.folder, None), VerbActions(copy.folder, None, runs), logins(), COOKIE, is_secure=False),
        None,
    )
    assert apart.post("/act", data=form).status_code == 401
    assert apart.post("/act", data=form, headers={"Authorization": "Bearer the-token"}).status_code == 401
    assert runs.ran == []
    assert client.post("/act", data=form).status_code == 200
    assert runs.ran == [["halt", "--reason=halted from the web page"]]


def test_what_a_verb_says_is_shown_with_how_it_ended(tmp_path: Path) -> None:
    for ended, shown, is_done in (
        (ChoreEnd(0, None, 0.1, f"well {HOSTILE}"), "well <script>", True),
        (ChoreEnd(4, None, 0.1, "error: no\n  next: do that"), "error: no\n  next: do that", False),
        (ChoreEnd(-15, "ended after its limit of 120 seconds", 120.0, "begun"), "begun\nhalt was ended after", False),
    ):
        done = VerbActions(tmp_path, None, Says(ended)).act({"do": "halt", "word": "halt"})
        assert (done.command, done.printed.startswith(shown), done.is_done) == ("tradebot halt", True, is_done)
        assert "\x1b" not in done.printed


def test_long_texts_are_cut_and_names_that_are_too_long_refused(tmp_path: Path) -> None:
    runs = Says(ChoreEnd(0, None, 0.1, ""))
    VerbActions(tmp_path, None, runs).act({"do": "note", "trade": "AAPL", "text": "x" * 5_000})
    assert runs.ran == [["trades", "note", "AAPL", "x" * LONGEST_TEXT]]
    with pytest.raises(OperatorError, match="names nothing"):
        VerbActions(tmp_path, None, runs).act({"do": "approve", "request": "x" * 101})
