"""The application as a browser sees it: logging in and out, pages and their documents, files, news, and mistakes.

No text from outside can script a page: neither what is really recorded, nor in any field of any report.
"""

import asyncio
import json
import re
import threading
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from hashlib import sha256
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest
from msgspec import Struct, structs
from playwright.sync_api import Route
from starlette.requests import Request
from starlette.responses import StreamingResponse
from starlette.testclient import TestClient

import commands.web
from commands.shared.verb_options import Report
from commands.web import site as pages_of
from commands.web.guard import HEADERS, LONGEST_BODY, MOST_WRONG
from commands.web.html_rendering import CSRF, Page, PagePart, Query, render_html
from commands.web.page_data import PageData, PageReader
from commands.web.site import MOST_FIELDS, PAGES, STATIC, TooManyListenersError
from tests.commands.web.chromium import chromium, needs_chromium, page_in
from tests.commands.web.client import COOKIE, HOST, ORIGIN, TOKEN, browser, site
from tests.commands.web.test_html_rendering import Seen
from tests.kit.bot.folder import Bot
from tradebot import __version__
from tradebot.adapters.state.state_folder import EVENTS
from tradebot.adapters.text import redaction
from tradebot.errors import TradebotError
from tradebot.model.struct_tools import replace


class Broken(PageReader):
    """A reader with a defect."""

    def read(self, *_: object) -> Any:
        """Fail as nothing expects."""
        raise RuntimeError("a secret detail")


CHARTS_BY = "https://www.tradingview.com/"
HERE = Path(commands.web.__file__).parent / "static"
OWN = {"site.css", "site.js", "charts.js", "what_if.css", "what_if.js"}


def csrf(page: str) -> str:
    found = re.search(r'name="csrf" value="([^"]+)"', page)
    assert found is not None
    return found[1]


def test_logging_in_sets_a_cookie_that_no_script_and_no_other_site_can_use(tmp_path: Path) -> None:
    client = browser(site(tmp_path), None)
    assert 'name="to" value="/positions?a=1"' in client.get("/login", params={"to": "/positions?a=1"}).text
    answer = client.post("/login", data={"token": f" {TOKEN}\n", "to": "/positions?a=1"})
    assert (answer.status_code, answer.headers["location"]) == (303, "/positions?a=1")
    cookie, *attributes = answer.headers["set-cookie"].split("; ")
    assert cookie.startswith(f"{COOKIE}=")
    assert set(attributes) == {"HttpOnly", "Path=/", "SameSite=strict"}
    client = browser(site(tmp_path, is_secure=True), None)
    client.headers["Origin"] = ORIGIN.replace("http", "https")
    assert "Secure" in client.post("/login", data={"token": TOKEN}).headers["set-cookie"]


def test_wrong_tokens_are_told_and_then_nobody_at_that_address_gets_in_for_a_while(tmp_path: Path) -> None:
    client = browser(site(tmp_path), None)
    for token in ("", "nonsense", "\udcff".encode(errors="surrogatepass").decode("latin-1"), "é", "x" * 9_000):
        answer = client.post("/login", data={"token": token, "to": '"><script>'})
        assert (answer.status_code, "set-cookie" in answer.headers) == (403, False)
        assert "That token is wrong." in answer.text
        assert "<script>" not in answer.text.replace("<script src=", "")
    assert MOST_WRONG == 5
    answer = client.post("/login", data={"token": TOKEN})
    assert (answer.status_code, answer.headers["retry-after"]) == (429, "61")
    assert "too many wrong tokens: wait 61 seconds" in answer.text


def test_files_and_endless_fields_sent_as_a_form_are_refused(tmp_path: Path) -> None:
    client = browser(site(tmp_path), None)
    assert client.post("/login", files={"token": ("a", b"x")}).status_code == 400
    assert client.post("/login", data={str(number): "" for number in range(MOST_FIELDS + 1)}).status_code == 400


def test_logging_out_takes_a_form_of_the_own_page_and_ends_the_session(copy: Bot) -> None:
    client = browser(site(copy.folder))
    page = client.get("/positions")
    assert page.status_code == 200
    for wrong in ("", "nonsense", "ünïcode"):
        assert client.post("/logout", data={"csrf": wrong}).status_code == 403
    assert client.get("/positions").status_code == 200
    assert client.post("/logout", data={"csrf": csrf(page.text)}).headers["location"] == "/login"
    assert client.get("/positions").headers["location"] == "/login?to=%2Fpositions"


def test_every_page_and_its_documents_can_be_read_and_what_it_cannot_be_asked_is_ignored(copy: Bot) -> None:
    client = browser(site(copy.folder))
    for page in PAGES:
        if "{" in page.path:
            continue
        shown = client.get(page.path, params={"nonsense": "<script>", "x" * 300: "y" * 3_000})
        assert (shown.status_code, shown.headers["content-type"]) == (200, "text/html; charset=utf-8"), page.name
        assert page.title in shown.text
        assert f"account …{copy.tail()}" in shown.text
        assert "nonsense" not in shown.text
        documents = client.get(f"/api/pages/{page.path.strip('/') or page.name}").json()
        made = [document for document in documents if "error" not in document]
        assert all(document["account"] == copy.tail() for document in made), page.name
        assert all(document.keys() == {"error", "next"} for document in documents if document not in made), page.name


def test_no_address_makes_a_page_show_what_its_forms_send_back(copy: Bot) -> None:
    client = browser(site(copy.folder))
    for nested in (CSRF, f"\x02cs{CSRF}rf\x02"):
        text = client.get("/trades", params={"strategy": f"a{nested}b"}).text
        assert re.search('name="strategy" value="a(cs)?csrf(rf)?b"', text)


def test_no_page_has_a_script_or_a_style_of_its_own_or_an_address_elsewhere(copy: Bot) -> None:
    client = browser(site(copy.folder))
    for path in ("/login", "/missing", *(page.path for page in PAGES if "{" not in page.path)):
        text = client.get(path).text
        assert not re.findall(r"<script(?! src=\"/static/)|<style|\son\w+=|\sstyle=|javascript:", text), path
        # The licence of the charts asks for a link, which loads nothing.
        assert re.findall(r"(?:src|href|action)=\"((?:https?:)?//[^\"]*)", text) in ([], [CHARTS_BY]), path


def test_without_a_state_each_page_says_what_to_type(tmp_path: Path) -> None:
    client = browser(site(tmp_path / "nowhere"))
    shown = client.get("/positions")
    assert (shown.status_code, "There is no state" in shown.text) == (503, True)
    answer = client.get("/api/pages/positions")
    assert (answer.status_code, sorted(answer.json())) == (503, ["error", "next"])


def test_programs_are_told_in_json_what_is_wrong_and_what_to_do_wherever_it_is(copy: Bot) -> None:
    client = browser(site(copy.folder))
    refused = [
        (client.get("/api/pages/nope"), 404),
        (client.get("/api/nope"), 404),
        (client.post("/api/positions"), 405),
        (client.post("/api/positions", headers={"Origin": "null"}), 403),
        (client.post("/api/positions", content=b"x" * (LONGEST_BODY + 1)), 413),
        (client.get("/api/positions", headers={"Host": "example.org"}), 421),
        (client.get("/api/chart/candles/recent/NOPE"), 503),
        *((browser(site(copy.folder), None).get(path), 401) for path in ("/api/positions", "/api/nope")),
    ]
    for answer, status in refused:
        told = answer.json()
        assert (answer.status_code, told.keys()) == (status, {"error", "next"}), answer.url
        assert all(told.values()), answer.url
    assert "There is no such page" in client.get("/nope").text
    assert client.put("/act").text == "Method Not Allowed"


def test_parts_that_cannot_be_read_have_their_error_in_the_place_of_their_document(copy: Bot) -> None:
    client = browser(site(copy.folder))
    lost = client.get("/api/pages/backtest/nope")
    ((told,), status) = (lost.json(), lost.status_code)
    assert (status, told["error"]) == (503, "this bot has no backtest nope")
    assert "tradebot backtest --name NAME" in told["next"]
    some = client.get("/api/pages/settings", params={"name": "nonsense"})
    differs, told = some.json()
    assert (some.status_code, differs["verb"], sorted(told)) == (200, "config-diff", ["error", "next"])
    none = client.get("/api/pages/trades", params={"from": "nonsense"})
    assert (none.status_code, ["error" in one for one in none.json()]) == (503, [True, True])
    assert (client.get("/api/pages/symbols").status_code, client.get("/api/pages/symbols").json()) == (200, [])


def test_what_is_not_there_and_what_fails_tell_nothing_of_the_inside(tmp_path: Path) -> None:
    client = browser(site(tmp_path, reader=Broken(tmp_path, None)))
    assert "There is no such page" in client.get("/missing").text
    for path, status in (("/missing", 404), ("/", 500), ("/static/1/site.py", 404), ("/static/1/..%2Fsite.py", 404)):
        answer = client.get(path)
        assert answer.status_code == status, path
        assert "secret detail" not in answer.text
        assert "Traceback" not in answer.text
        assert {name: answer.headers.get(name) for name in HEADERS} == HEADERS, path


def test_files_are_kept_by_browsers_until_the_version_changes(tmp_path: Path) -> None:
    client = browser(site(tmp_path), None)
    login = client.get("/login").text
    for name, kind in STATIC.items():
        answer = client.get(f"/static/{__version__}/{name}")
        assert answer.headers["content-type"].startswith(kind)
        assert "immutable" in answer.headers["cache-control"]
    paths = re.findall(r'"(/static/[^"]+)"', login)
    assert len(paths) >= 3
    assert all(client.get(path).status_code == 200 for path in paths)


def test_news_are_a_stream_and_one_browser_too_many_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    made = site(tmp_path)

    def events(last: Exception | None) -> Callable[[], AsyncIterator[str]]:
        async def some() -> AsyncIterator[str]:
            if last:
                raise last
            yield "event: beat\ndata: 0\n\n"
            yield "event: changed\ndata: 1\n\n"

        return some

    client = browser(made)
    monkeypatch.setattr(made._live, "events", events(None))
    answer = client.get("/live")
    assert answer.headers["content-type"].startswith("text/event-stream")
    assert {name: answer.headers.get(name) for name in HEADERS} == HEADERS
    assert answer.text == "event: beat\ndata: 0\n\nevent: changed\ndata: 1\n\n"
    monkeypatch.setattr(made._live, "events", events(TooManyListenersError()))
    assert client.get("/live").status_code == 503


def test_keys_are_hidden_wherever_they_get_into_a_page(copy: Bot, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(redaction, "_forms", {})
    redaction.learn("very-secret-key")
    client = browser(site(copy.folder))
    assert "very-secret-key" not in client.get("/login", params={"to": "/very-secret-key"}).text
    assert "very-secret-key" not in str(client.get("/api/pages/backtest/very-secret-key").json())


class Slow(PageReader):
    """A reader that takes until it is let go on."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder, None)
        self.goes_on = threading.Event()

    def read(self, page: Page, query: Query) -> PageData:
        """Wait, and read."""
        assert self.goes_on.wait(60)
        return super().read(page, query)


def test_what_a_page_begins_with_comes_before_it_is_read(copy: Bot) -> None:
    reader = Slow(copy.folder)
    made, page = site(copy.folder, reader, patience_s=0.0), next(page for page in PAGES if page.name == "positions")

    async def parts() -> list[str]:
        answer = await made._page(page, Request({"type": "http", "query_string": b"", "headers": []}))
        assert isinstance(answer, StreamingResponse)
        body = aiter(answer.body_iterator)
        begins = str(await anext(body))
        reader.goes_on.set()
        return [begins, *[str(part) async for part in body]]

    begins, *rest = asyncio.run(parts())
    assert (begins.count("<header>"), "".join(rest).startswith("<main")) == (1, True)
    whole = browser(site(copy.folder)).get("/positions").text
    assert steady("".join([begins, *rest])) == steady(whole)


def steady(page: str) -> str:
    return re.sub(r'name="csrf" value="[^"]*"', "", page)


def test_each_file_of_others_is_as_they_published_it_and_has_its_licence() -> None:
    rows = json.loads((HERE / "vendored.json").read_text())
    assert {row["file"] for row in rows} == {*STATIC} - OWN
    for row in rows:
        assert sha256((HERE / row["file"]).read_bytes()).hexdigest() == row["sha256"], row["file"]
        assert (HERE / row["licence_file"]).stat().st_size > 100
        assert row["version"] in (HERE / row["file"]).read_text()


def test_the_notice_that_a_licence_asks_for_is_on_every_page(copy: Bot) -> None:
    client = browser(site(copy.folder))
    notices = [row["notice"] for row in json.loads((HERE / "vendored.json").read_text()) if row["notice"]]
    assert len(notices) == 1
    for path in ("/", "/symbol/AAPL"):
        words = re.sub("<[^>]+>", "", client.get(path).text)
        assert all(notice in words for notice in notices), path


HOSTILE = '"><script>window.hacked=1</script><img src=x onerror=window.hacked=1>'
QUOTED = "' onmouseover='window.hacked=1' \" autofocus onfocus=\"window.hacked=1\""
CANARY = f"{HOSTILE}{QUOTED} [link=javascript:window.hacked=1]x[/link]"
OVER_ALL = "document.querySelectorAll('main *').forEach((each) => each.dispatchEvent(new Event('mouseover')))"
OURS = frozenset({"verb", "schema"})


def poisoned(value: Any, names: frozenset[str], name: str = "") -> Any:
    """Return data of which the texts under these names of fields hold what would script a page."""
    if isinstance(value, Struct):
        return structs.replace(
            value, **{each: poisoned(getattr(value, each), names, each) for each in value.__struct_fields__}
        )
    if isinstance(value, Mapping):
        return {key: poisoned(item, names, name) for key, item in value.items()}
    if isinstance(value, tuple) and hasattr(value, "_fields"):
        return type(value)(*(poisoned(item, names, each) for each, item in zip(value._fields, value, strict=True)))
    if isinstance(value, list | tuple):
        return type(value)(poisoned(item, names, name) for item in value)
    return f"{CANARY}{value}" if type(value) is str and value and name in names else value


def text_fields(value: Any, name: str = "") -> Iterator[str]:
    """Yield the name of each field that holds a text."""
    if isinstance(value, Struct):
        for each in value.__struct_fields__:
            yield from text_fields(getattr(value, each), each)
    elif isinstance(value, Mapping):
        for item in value.values():
            yield from text_fields(item, name)
    elif isinstance(value, list | tuple):
        named = getattr(value, "_fields", [name] * len(value))
        for each, item in zip(named, value, strict=True):
            yield from text_fields(item, each)
    elif type(value) is str:
        yield name


class Poison:
    """Makes the reports of all pages hostile, field by field; one that a verb looks something up by stays."""

    def __init__(self) -> None:
        self.poisoned: set[str] = set()
        self.left: set[str] = set()

    def page(self, page: Page) -> Page:
        """Return a page whose reports are hostile."""
        return page._replace(parts=lambda query: [self._part(part) for part in page.parts(query)])

    def _part(self, part: PagePart) -> PagePart:
        def make(app: Any) -> Any:
            made = part.make(app)
            return self._report(made, part) if isinstance(made, Report) else made

        return part._replace(make=make)

    def _report(self, report: Report, part: PagePart) -> Report:
        for name in sorted(set(text_fields(report.data)) - OURS):
            try:
                worse = replace(report, data=poisoned(report.data, frozenset({name})))
                render_html(lambda console, worse=worse: worse.render(console, worse.data))  # type: ignore[misc]
                assert part.act is None or list(part.act(worse)) is not None
            except (TradebotError, LookupError, ValueError, AttributeError, TypeError, AssertionError):
                self.left.add(name)
            else:
                report = worse
                self.poisoned.add(name)
        return report


@pytest.fixture
def hostile(shared_trader: Bot) -> Bot:
    """Return a bot that has traded, and in whose records somebody wrote scripts wherever text can get in."""
    bot = shared_trader
    if bot.json("status")["trading_state"] == "ACTIVE":
        assert bot.says("trade-once").code == 0
        bot.says("exchange", "tick", "5m")
        bot.says("evaluate-exits")
        bot.says("reconcile")
        assert bot.says("trades", "note", bot.json("positions")["positions"][0]["symbol"], CANARY).code == 0
        assert bot.says("halt", "--reason", CANARY).code == 0
        with (bot.folder / EVENTS).open("r+") as file:
            last = json.loads(file.read().splitlines()[-1])
            last |= {"symbol": CANARY, "details": {"why": CANARY, CANARY: CANARY}}
            file.write(json.dumps(last) + "\n")
    return bot


def paths(bot: Bot) -> list[str]:
    symbols = (quote(bot.json("positions")["positions"][0]["symbol"], safe=""), quote(CANARY, safe=""))
    asked = quote(CANARY, safe="")
    return [
        *(page.path for page in PAGES if "{" not in page.path),
        *(f"/symbol/{symbol}" for symbol in symbols),
        f"/backtest/{asked}",
        f"/backtests?a={asked}&b={asked}",
        f"/events?text={asked}&severity={asked}&last={asked}",
        f"/trades?symbol={asked}&strategy={asked}&from={asked}&by={asked}",
        f"/settings?name={asked}",
        f"/funnel?session={asked}&at={asked}&if.limits.min_score={asked}",
        f"/positions?from_row={asked}",
    ]


def client_of(bot: Bot, monkeypatch: pytest.MonkeyPatch) -> tuple[TestClient, Poison]:
    poison = Poison()
    monkeypatch.setattr(pages_of, "PAGES", tuple(poison.page(page) for page in PAGES))
    return browser(site(bot.folder)), poison


def test_what_is_really_recorded_and_asked_for_stays_a_text(hostile: Bot) -> None:
    client = browser(site(hostile.folder))
    met = 0
    for path in ("/", "/events", "/trades", f"/symbol/{quote(CANARY, safe='')}", f"/settings?name={quote(CANARY)}"):
        page = client.get(path).text
        seen = Seen(page)
        met += "window.hacked=1" in page
        assert seen.tags.count("script") == len(re.findall(r'<script src="/static/', page)), path
        assert not {name for name, _ in seen.attributes if name.startswith("on")} - {"on"}, path
        assert "img" not in seen.tags
        assert "autofocus" not in {name for name, _ in seen.attributes}
    assert met >= 4


@pytest.mark.campaign
@needs_chromium
@pytest.mark.timeout(600)
def test_in_a_browser_no_field_of_any_report_scripts_a_page_even_without_a_policy(
    hostile: Bot, monkeypatch: pytest.MonkeyPatch
) -> None:
    client, poison = client_of(hostile, monkeypatch)

    def fulfil(route: Route) -> None:
        if route.request.url.endswith("/live"):
            route.abort()
            return
        answer = client.get(route.request.url.removeprefix(ORIGIN))
        kept = {name: value for name, value in answer.headers.items() if name != "content-security-policy"}
        if answer.headers.get("content-type") == "application/json":
            route.fulfill(status=200, headers=kept, body=json.dumps(_poisoned_json(answer.json())))
            return
        route.fulfill(status=answer.status_code, headers=kept, body=answer.content)

    with chromium() as browser_:
        context = browser_.new_context()
        context.route("**/*", fulfil)
        seen = page_in(context)
        shown = 0
        for path in paths(hostile):
            answer = seen.page.goto(f"{ORIGIN}{path}")
            assert answer is not None
            assert answer.status < 500, path
            seen.page.wait_for_timeout(300)
            seen.page.evaluate(OVER_ALL)
            assert seen.page.evaluate("window.hacked") is None, path
            assert seen.page.locator("img[src=x]").count() == 0, path
            shown += "window.hacked=1" in seen.page.inner_text("main")
    assert shown > len(paths(hostile)) / 2
    # These are the fields that text from outside gets into.
    assert {"symbol", "details", "who", "why", "note", "strategy"} & (poison.poisoned | poison.left) <= poison.poisoned
    assert len(poison.poisoned) > 20, (poison.poisoned, poison.left)
    assert HOST in seen.page.url


def _poisoned_json(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _poisoned_json(item) for name, item in value.items()}
    if isinstance(value, list):
        return [_poisoned_json(item) for item in value]
    return f"{value}{CANARY}" if isinstance(value, str) and not value[:1].isdigit() else value
