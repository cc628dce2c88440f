"""The application as a browser sees it: logging in and out, pages and their documents, files, news, and mistakes."""

import asyncio
import json
import re
import threading
from collections.abc import AsyncIterator, Callable
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest
from starlette.requests import Request
from starlette.responses import StreamingResponse

import commands.web
from commands.web.guard import HEADERS, LONGEST_BODY, MOST_WRONG
from commands.web.html_rendering import CSRF, Page, Query
from commands.web.page_data import PageData, PageReader
from commands.web.site import MOST_FIELDS, PAGES, STATIC, FullError
from tests.commands.web.client import COOKIE, ORIGIN, TOKEN, browser, site
from tests.kit.bot.folder import Bot
from tradebot import __version__
from tradebot.adapters.text import redaction


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


@pytest.mark.parametrize("to", ["https://example.org", "//example.org", "/\\example.org", "/\t/example.org"])
def test_logging_in_leads_to_no_other_server(tmp_path: Path, to: str) -> None:
    assert browser(site(tmp_path), None).post("/login", data={"token": TOKEN, "to": to}).headers["location"] == "/"


def test_wrong_tokens_are_told_and_then_nobody_at_that_address_gets_in_for_a_while(tmp_path: Path) -> None:
    client = browser(site(tmp_path), None)
    for token in ("", "nonsense", "\udcff".encode(errors="surrogatepass").decode("latin-1"), "é", "x" * 9_000):
        answer = client.post("/login", data={"token": token, "to": '"><script>'})
        assert (answer.status_code, "set-cookie" in answer.headers) == (403, False)
        assert "That isn&#39;t the token." in answer.text
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


def test_news_are_a_stream_of_events_and_one_browser_too_many_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
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
    monkeypatch.setattr(made._live, "events", events(FullError()))
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
