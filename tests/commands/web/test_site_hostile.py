"""No text from outside can script a page: neither what is really recorded, nor in any field of any report."""

import json
import re
from collections.abc import Iterator, Mapping
from typing import Any
from urllib.parse import quote

import pytest
from msgspec import Struct, structs
from playwright.sync_api import Route
from rich.console import Console
from starlette.testclient import TestClient

from commands.shared.verb_options import Report
from commands.web import site as pages_of
from commands.web.html_rendering import Page, PagePart, render_html
from commands.web.site import PAGES
from tests.commands.web.chromium import chromium, needs_chromium, page_in
from tests.commands.web.client import HOST, ORIGIN, browser, site
from tests.commands.web.test_html_rendering import Seen
from tests.kit.bot.folder import Bot
from tradebot.adapters.state.state_folder import EVENTS
from tradebot.errors import TradebotError
from tradebot.model.struct_tools import replace

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


def test_the_canary_is_met_where_nothing_is_escaped() -> None:
    def draw(console: Console) -> None:
        console.print(CANARY, markup=False)

    assert "script" not in Seen(render_html(draw)).tags
    assert "script" in Seen(f"<p>{CANARY}</p>").tags
