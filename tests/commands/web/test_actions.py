"""A form does what its verb does, in the verb's words; whatever else is sent to its address does nothing."""

import re
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from starlette.testclient import TestClient

from commands.web.actions import CALLER, FORM_S, LONGEST_TEXT, MOST_FORMS, CommandResult, SingleUseForms, VerbActions
from commands.web.guard import MOST_WRONG, Logins
from commands.web.page_data import PageReader
from commands.web.site import Site
from tests.commands.web.client import COOKIE, Clock, browser, logins
from tests.kit.bot import forked
from tests.kit.bot.ending import refuses
from tests.kit.bot.folder import Bot, log, made, second_session
from tests.kit.bot.real_money import KEYS, at_a_terminal, bent_to, environment, lines_for, real_folder, spoken, writes
from tests.kit.bot.state import configure
from tests.kit.values import there
from tradebot.adapters.state.service_token import create_or_load
from tradebot.adapters.state.state_folder import WEB_TOKEN
from tradebot.adapters.state.subprocess_runner import Confirmation, ConfirmedAt, accept_confirmation
from tradebot.errors import OperatorError
from tradebot.model.serving import ChoreEnd
from tradebot.model.variables import CONFIRMED

BOT_SETTINGS = "approval: {wait_s: 300}\n"
HOSTILE = "<script>alert(1)</script>\"'&\x1b[31m\u202e"


def in_forks(folder: Path, config: str | None, kept: int, name: str) -> Callable[..., ChoreEnd]:
    """Run verbs as the product does, each in a process of its own, which begins as a copy of this one."""

    def run(
        words: Sequence[str], limit_s: float, stopping: Callable[[], bool], confirmation: Confirmation | None
    ) -> ChoreEnd:
        typed = None if confirmation is None else partial(accept_confirmation, confirmation)
        done = forked.run([*words, "--state-dir", str(folder)], first=typed, USER=name)
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
    for shown in (name, row["side"], row["symbol"], f"{float(row['worth_usd']):,.2f} USD", "it expires in"):
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
        assert (done.command, done.printed.startswith(shown), done.is_done) == ("halt", True, is_done)
        assert "\x1b" not in done.printed


def test_long_texts_are_cut_and_names_that_are_too_long_refused(tmp_path: Path) -> None:
    runs = Says(ChoreEnd(0, None, 0.1, ""))
    VerbActions(tmp_path, None, runs).act({"do": "note", "trade": "AAPL", "text": "x" * 5_000})
    assert runs.ran == [["trades", "note", "AAPL", "x" * LONGEST_TEXT]]
    with pytest.raises(OperatorError, match="isn't a name"):
        VerbActions(tmp_path, None, runs).act({"do": "approve", "request": "x" * 101})


def orders_sent(bot: Bot) -> list[tuple[str, str]]:
    """Return each request to send, change or cancel an order, by the exchange's log."""
    lines = [line for line in log(bot.url) if line["event"] == "request" and line["path"].startswith("/v2/orders")]
    return [(line["method"], line["path"].partition("?")[0]) for line in lines if line["method"] != "GET"]


def sending_form(client: TestClient, path: str) -> dict[str, str]:
    """Return the hidden values of the form on a page that sends orders, and what its button says."""
    form = there(re.search(r'<form class="act sends".*?</form>', client.get(path).text, re.DOTALL))[0]
    button = there(re.search(r'<button name="do" value="([^"]+)"', form))[1]
    return {**dict(re.findall(r'<input type="hidden" name="([^"]+)" value="([^"]+)"', form)), "do": button}


@pytest.fixture
def holding(trader: Bot) -> Bot:
    """Return a bot with a position, for which a stop rests."""
    trader.does("trade-once", "exchange tick 2m", "reconcile", "evaluate-exits --force-slot", "reconcile")
    return trader


def held_symbol(bot: Bot) -> str:
    (row,) = bot.json("positions")["positions"]
    return str(row["symbol"])


def test_position_is_closed_by_its_typed_symbol_and_a_form_sent_again_sends_nothing_more(holding: Bot) -> None:
    symbol, before, client = held_symbol(holding), orders_sent(holding), opened(holding, in_forks)
    for page in ("/", "/positions", f"/symbol/{symbol}"):
        assert f'href="/close?symbol={symbol}"' in client.get(page).text
    shown = client.get(f"/close?symbol={symbol}").text
    assert f"This closes -33 {symbol}, 1 target on {symbol}, at prices that fill at once" in shown
    assert 'name="token"' not in shown
    for wrong in ("", symbol.lower(), "ALL", f"{symbol} --all", HOSTILE):
        form = sending_form(client, f"/close?symbol={symbol}")
        answer = client.post("/act", data={**form, "word": wrong})
        assert (answer.status_code, "was not confirmed: you typed" in answer.text) == (409, True)
        assert "<script>alert" not in answer.text
    assert orders_sent(holding) == before
    form = {**sending_form(client, f"/close?symbol={symbol}"), "word": f" {symbol} "}
    # A double click, and a page that is loaded again.
    with ThreadPoolExecutor(2) as pool:
        answers = [*pool.map(lambda _: client.post("/act", data=form), range(2)), client.post("/act", data=form)]
    assert {answer.status_code for answer in answers} == {200}
    assert len({re.sub(r'value="[^"]+"', "", answer.text) for answer in answers}) == 1
    assert f"tradebot flatten {symbol}" in answers[0].text
    sent = orders_sent(holding)[len(before) :]
    assert len(sent) == 1, "a pair's limit is moved through the market"
    holding.does("exchange tick 1m", "reconcile")
    assert holding.json("positions")["positions"] == []
    acted_on = [one for one in holding.json("events")["events"] if one["subsystem"] == "web"]
    asked = {"asked": f"flatten {symbol}", "who": CALLER, "address": "testclient"}
    assert [one["details"] for one in acted_on] == [*[{**asked, "done": "false"}] * 5, {**asked, "done": "true"}]


def test_everything_is_closed_only_by_the_word_all(holding: Bot) -> None:
    client = opened(holding, in_forks)
    before = orders_sent(holding)
    refused = client.post("/act", data={**sending_form(client, "/close"), "word": held_symbol(holding)})
    assert (refused.status_code, "instead of ALL" in refused.text, orders_sent(holding)) == (409, True, before)
    done = client.post("/act", data={**sending_form(client, "/close"), "word": "ALL"})
    assert (done.status_code, "tradebot flatten --all" in done.text) == (200, True)
    assert len(orders_sent(holding)) == len(before) + 1


def test_orders_are_canceled_and_a_stop_only_by_a_word_of_its_own(holding: Bot) -> None:
    client, symbol, before = opened(holding, in_forks), held_symbol(holding), orders_sent(holding)
    (stop,) = [row for row in holding.json("orders")["orders"] if row["client_order_id"].startswith("tb1.")]
    page = f"/cancel?order={stop['client_order_id']}"
    assert f'href="{page}"' in client.get("/positions").text
    assert "nothing at the broker limits the loss" in client.get(page).text
    refused = client.post("/act", data={**sending_form(client, page), "word": symbol})
    assert (refused.status_code, "instead of NO-STOP" in refused.text, orders_sent(holding)) == (409, True, before)
    form = {**sending_form(client, page), "word": "NO-STOP"}
    assert [client.post("/act", data=form).status_code for _ in range(2)] == [200, 200]
    assert [method for method, _ in orders_sent(holding)[len(before) :]] == ["DELETE"]
    gone = client.get(page).text
    assert ("no working order of the bot is called" in gone, 'class="act sends"' in gone) == (True, False)


def test_what_is_not_a_fresh_form_of_the_own_session_sends_nothing(holding: Bot) -> None:
    symbol, before, now = held_symbol(holding), orders_sent(holding), Clock()
    made = Site(
        PageReader(holding.folder, None), VerbActions(holding.folder, None, in_forks), logins(), COOKIE, is_secure=False
    )
    made._forms = SingleUseForms(now)
    client, other = browser(made), browser(made)
    form = {**sending_form(client, f"/close?symbol={symbol}"), "word": symbol}
    theirs = sending_form(other, f"/close?symbol={symbol}")
    for wrong, status in (
        ({**form, "csrf": "x"}, 403),
        ({**form, "csrf": theirs["csrf"]}, 403),
        ({**form, "once": "x"}, 400),
        ({**form, "once": ""}, 400),
        ({**form, "once": theirs["once"]}, 400),
        ({name: value for name, value in form.items() if name != "once"}, 400),
        ({**form, "token": "not-the-token"}, 400),
    ):
        assert client.post("/act", data=wrong).status_code == status
    assert client.post("/act", data=form, headers={"Origin": "https://example.org"}).status_code == 403
    apart = browser(made, None)
    assert apart.post("/act", data=form).status_code == 401
    assert apart.post("/act", data=form, headers={"Authorization": "Bearer the-token"}).status_code == 401
    now.now_s += FORM_S + 1
    late = client.post("/act", data=form)
    assert (late.status_code, "this form is too old, so nothing was sent" in late.text) == (400, True)
    assert orders_sent(holding) == before
    # One that is sent for the first time in time does its work.
    fresh = {**sending_form(client, f"/close?symbol={symbol}"), "word": symbol}
    assert (client.post("/act", data=fresh).status_code, len(orders_sent(holding))) == (200, len(before) + 1)


def test_tokens_typed_into_a_form_are_counted_like_those_of_the_login(holding: Bot) -> None:
    symbol, before, client = held_symbol(holding), orders_sent(holding), opened(holding, in_forks)
    form = {**sending_form(client, f"/close?symbol={symbol}"), "word": symbol}
    statuses = [client.post("/act", data={**form, "token": f"wrong-{at}"}).status_code for at in range(MOST_WRONG)]
    right = client.post("/act", data={**form, "token": "the-token"})
    assert (statuses, right.status_code, "Retry-After" in right.headers) == ([400] * MOST_WRONG, 429, True)
    assert orders_sent(holding) == before


def test_pages_that_may_not_close_offer_no_form_and_a_form_from_before_sends_nothing(holding: Bot) -> None:
    symbol, before, client = held_symbol(holding), orders_sent(holding), opened(holding, in_forks)
    form = {**sending_form(client, f"/close?symbol={symbol}"), "word": symbol}
    configure(holding.folder, "web: {may_close: false}\n")
    for page in ("/", "/positions", f"/symbol/{symbol}"):
        assert 'href="/close' not in client.get(page).text
    for page in ("/close", f"/close?symbol={symbol}", "/cancel", "/cancel?order=tb1.x"):
        shown = client.get(page).text
        assert ("web.may_close is false" in shown, 'class="act sends"' in shown) == (True, False)
    refused = client.post("/act", data=form)
    assert (refused.status_code, "web.may_close is false" in refused.text) == (409, True)
    assert orders_sent(holding) == before
    assert holding.says("flatten", symbol, "--confirm", symbol).code == 0, "at the machine it still can be closed"


def test_forms_that_send_orders_are_forgotten_when_there_are_too_many() -> None:
    forms, done = SingleUseForms(Clock()), CommandResult("flatten", "", True)
    first = forms.issue("ann")
    names = [forms.issue("ann") for _ in range(MOST_FORMS)]
    assert forms.run("ann", names[-1], lambda: done) is done
    with pytest.raises(OperatorError, match="too old"):
        forms.run("ann", first, lambda: done)


def test_form_that_failed_is_answered_the_same_way_when_it_is_sent_again() -> None:
    forms, ran = SingleUseForms(Clock()), list[str]()

    def fail() -> CommandResult:
        ran.append("ran")
        raise OperatorError("AMZN isn't a name", "load the page again")

    name = forms.issue("ann")
    for _ in range(2):
        with pytest.raises(OperatorError, match="AMZN isn't a name"):
            forms.run("ann", name, fail)
    assert ran == ["ran"]


@pytest.fixture
def real(here: Path, capsys: pytest.CaptureFixture[str]) -> Iterator[Bot]:
    """Yield a bot of real money that is armed and holds AAPL; its sandbox stands in its broker's place."""
    with made(here / "sandbox", "--sessions", "3") as sandbox, ExitStack() as stack:
        served, bot = Bot(sandbox, capsys), Bot(here / "real", capsys)
        second_session(served)
        real_folder(sandbox, bot.folder)
        stack.enter_context(bent_to(served.url))
        stack.enter_context(environment({**KEYS, **spoken(bot.tail())}))
        assert bot.says("reconcile").code == 0
        with at_a_terminal(bot.tail()):
            assert bot.says("live", "arm").code == 0
        lines = str(lines_for(here / "lines", "AAPL"))
        assert bot.json("trade-once", "--force-slot", "--candidates", lines)["orders"] == 1
        served.does("exchange tick 2m")
        assert bot.says("reconcile").code == 0
        yield bot


def test_real_money_takes_the_token_of_the_pages_again_and_is_sent_once(real: Bot, tmp_path: Path) -> None:
    def sent() -> list[tuple[str, str]]:
        return writes(tmp_path / "sandbox")

    token, stored = create_or_load(real.folder, WEB_TOKEN, datetime.now(UTC), new=True)
    pages = Site(
        PageReader(real.folder, None),
        VerbActions(real.folder, None, in_forks),
        Logins(stored.fits),
        COOKIE,
        is_secure=False,
    )
    client, before = browser(pages, there(token)), sent()
    page = client.get("/close?symbol=AAPL").text
    assert '<input type="password" name="token" autocomplete="off" required>' in page

    def send(**given: str) -> "tuple[int, str]":
        answer = client.post("/act", data={**sending_form(client, "/close?symbol=AAPL"), "word": "AAPL", **given})
        return answer.status_code, answer.text

    for missing in ({}, {"token": ""}):
        status, text = send(**missing)
        assert (status, "with real money needs the token of the web pages, typed again" in text) == (409, True)
    assert send(token="wrong")[0] == 400
    status, text = send(token=there(token), word="MSFT")
    assert (status, "was not confirmed: you typed MSFT instead of AAPL" in text) == (409, True)
    # Neither an option, nor a variable, nor the chat takes the place of the token or of a terminal.
    assert real.says("flatten", "AAPL", "--confirm", "AAPL").code == 2
    with environment({CONFIRMED: '{"source": "page", "typed": "AAPL", "token": "' + there(token) + '"}'}):
        assert real.says("flatten", "AAPL").code == 2
    accept_confirmation(Confirmation(ConfirmedAt.CHAT, "AAPL", token))
    configure(real.folder, "chat: {may_close: true}\n")
    refuses(real.says("flatten", "AAPL"), 3, "with real money needs a person at a terminal or the web pages")
    assert sent() == before
    form = {**sending_form(client, "/close?symbol=AAPL"), "word": "AAPL", "token": there(token)}
    answers = [client.post("/act", data=form) for _ in range(2)]
    assert [(answer.status_code, there(token) in answer.text) for answer in answers] == [(200, False)] * 2
    assert len(sent()) == len(before) + 1
    # Whoever makes another token ends this one, also for a server that still has the old one.
    create_or_load(real.folder, WEB_TOKEN, datetime.now(UTC), new=True)
    status, text = send(token=there(token))
    assert (status, "typed again" in text, len(sent())) == (409, True, len(before) + 1)
