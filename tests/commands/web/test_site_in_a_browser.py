"""The pages in a real browser: they fit, can be read and used by everybody, stay calm, and say when they are old."""

import os
import signal
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from typing import Any, Literal
from urllib.parse import parse_qs, urlsplit

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser

from tests.commands.web.chromium import Seen, Served, chromium, logged_in, needs_chromium, paths_for, serving
from tests.kit.bot.folder import Bot
from tests.suite.tiers import in_turn
from tradebot.adapters.state import halt_switch
from tradebot.adapters.state.state_folder import LEDGER

pytestmark = [needs_chromium, pytest.mark.timeout(600)]
WIDTHS = 1280, 360
LOOKS = ("light", 360), ("dark", 1280), ("dark", 360), ("light", 1280)
FOCUSABLE = "a[href], button, summary, input:not([type=hidden]):not([hidden]), select, textarea, [tabindex='0']"
REACHABLE = f"""() => [...document.querySelectorAll("{FOCUSABLE}")].filter((each) =>
  each.checkVisibility({{ checkVisibilityCSS: true, contentVisibilityAuto: true }})).length"""
FOCUSED = """() => {
  const at = document.activeElement;
  window.met = window.met || new Set();
  if (!at || at === document.body) return null;
  const style = getComputedStyle(at);
  // The parts of a date are stops of their own.
  const again = window.met.has(at) && window.last !== at;
  const first = !window.met.has(at);
  window.met.add(at);
  window.last = at;
  return { again, first, outlined: style.outlineStyle !== "none" && parseFloat(style.outlineWidth) >= 1,
    name: at.outerHTML.slice(0, 80) };
}"""


@pytest.fixture
def served(traded_bot: Bot) -> Iterator[Served]:
    """Serve its pages."""
    with serving(traded_bot.folder) as served:
        yield served


@pytest.fixture
def browser() -> Iterator[Browser]:
    """Run a browser."""
    with chromium() as browser:
        yield browser


def fits(seen: Seen) -> bool:
    """Return whether nothing has to be scrolled to sideways."""
    return bool(seen.page.evaluate("document.documentElement.scrollWidth <= document.documentElement.clientWidth"))


def test_three_pages_are_shown_without_a_complaint(traded_bot: Bot, served: Served, browser: Browser) -> None:
    seen = logged_in(browser, served, width=360)
    longest = f"/symbol/{60 * 'W'}"
    titles = ("/", "Overview"), ("/positions", "Positions"), ("/symbol/AAPL", "Symbol"), (longest, "Symbol")
    for path, words in titles:
        seen.open(served, path)
        assert words in seen.page.inner_text("h1")
        assert fits(seen), path
    assert seen.told == []


@pytest.mark.campaign
@pytest.mark.parametrize(("scheme", "width"), in_turn(LOOKS, 2))
def test_every_page_fits_is_calm_and_can_be_read_by_everybody(
    traded_bot: Bot, served: Served, browser: Browser, scheme: Literal["light", "dark"], width: int
) -> None:
    seen = logged_in(browser, served, width=width, scheme=scheme)
    wrong: dict[str, Any] = {}
    for path in paths_for(traded_bot.folder):
        seen.open(served, path)
        found = Axe().run(seen.page).response["violations"]
        serious = [
            (each["id"], [node["html"][:120] for node in each["nodes"][:3]])
            for each in found
            if each["impact"] in ("serious", "critical")
        ]
        moved = [each for each in seen.shifted() if each["value"] > 0.001]
        what = fits(seen), serious, moved, list(seen.told)
        if what != (True, [], [], []):
            wrong[path] = what
        seen.told.clear()
    assert wrong == {}


@pytest.mark.campaign
def test_on_a_phone_tabs_are_a_menu_tables_are_cards_and_settings_are_searched_while_typing(
    traded_bot: Bot, served: Served, browser: Browser
) -> None:
    seen = logged_in(browser, served, width=390)
    seen.open(served, "/positions")
    assert not seen.page.is_visible("nav a")
    seen.page.click("nav button")
    assert seen.page.locator("nav a").count() == seen.page.locator("nav a:visible").count() > 10
    seen.page.keyboard.press("Escape")
    assert not seen.page.is_visible("nav a")
    seen.page.click(".halt summary")
    form = seen.page.locator(".halt form").bounding_box()
    assert form is not None
    assert (form["x"] >= 0, form["x"] + form["width"] <= 390) == (True, True)
    seen.page.click(".halt summary")
    row = seen.page.locator("#part-0 tbody tr").first
    box = row.bounding_box()
    assert box is not None
    assert box["width"] <= 390
    for label in ("gain", "stop"):
        cell = row.locator(f"td[data-label={label}]")
        assert cell.inner_text()
        place = cell.bounding_box()
        assert place is not None
        assert place["x"] + place["width"] <= 390
    seen.page.click("nav button")
    seen.page.click("nav a[href='/settings']")
    seen.page.wait_for_selector("#asked input[type=search]")
    every = seen.page.locator("main tbody tr:visible").count()
    seen.page.type("#asked input[type=search]", "Max_Open base")
    keys = seen.page.locator("main tbody tr:visible th").all_inner_texts()
    assert 0 < len(keys) < every
    assert all("max_open" in key for key in keys)
    assert seen.told == []


@pytest.mark.campaign
def test_dragging_over_growth_chooses_the_range_of_the_report(
    traded_bot: Bot, served: Served, browser: Browser
) -> None:
    seen = logged_in(browser, served)
    seen.open(served, "/report")
    seen.page.wait_for_selector("[data-range] canvas")
    seen.page.wait_for_timeout(500)
    box = seen.page.locator("[data-range] .chart").bounding_box()
    assert box is not None
    height = box["y"] + box["height"] / 2
    seen.page.mouse.move(box["x"] + 2, height)
    seen.page.mouse.down()
    seen.page.mouse.move(box["x"] + box["width"] / 2, height, steps=5)
    brush = seen.page.locator(".brush").bounding_box()
    assert brush is not None
    assert abs(brush["width"] - (box["width"] / 2 - 2)) < 3
    with seen.page.expect_navigation():
        seen.page.mouse.up()
    asked = parse_qs(urlsplit(seen.page.url).query)
    first, last = traded_bot.json("report")["accounts"][0]["curve"][0]["session"], asked["to"][0]
    assert asked["from"] == [first]
    assert first <= last
    # What was chosen is marked on the curve, and a click alone chooses nothing.
    seen.page.wait_for_selector(".brush:visible")
    before = seen.page.url
    seen.page.mouse.click(box["x"] + 20, height)
    seen.page.wait_for_timeout(300)
    assert seen.page.url == before
    assert seen.told == []


@pytest.mark.campaign
@pytest.mark.parametrize("width", in_turn(WIDTHS, 1))
def test_the_keyboard_alone_reaches_everything_and_shows_where_it_is(
    traded_bot: Bot, served: Served, browser: Browser, width: int
) -> None:
    seen = logged_in(browser, served, width=width)
    for path in paths_for(traded_bot.folder):
        seen.open(served, path)
        seen.page.keyboard.press("Escape")
        count, met = seen.page.evaluate(REACHABLE), 0
        for _ in range(5 * count):
            seen.page.keyboard.press("Tab")
            at = seen.page.evaluate(FOCUSED)
            if at is None or at["again"]:
                break
            assert at["outlined"] or not at["first"], (path, at["name"])
            met += at["first"]
        assert met >= count, path


def until(seen: Seen, condition: str, limit_s: float) -> float:
    """Wait until something holds on the page, and return after how many seconds."""
    began_s = time.monotonic()
    while not seen.page.evaluate(condition):
        assert time.monotonic() - began_s < limit_s, condition
        seen.page.wait_for_timeout(100)
    return time.monotonic() - began_s


@pytest.mark.campaign
def test_a_change_shows_within_two_seconds_and_leaves_focus_selection_and_places_alone(
    traded_bot: Bot, served: Served, browser: Browser
) -> None:
    seen = logged_in(browser, served, width=600)
    seen.open(served, "/positions")
    seen.page.evaluate("document.querySelector('main .scroll').scrollLeft = 60")
    seen.page.evaluate("document.querySelector('main .scroll').focus()")
    seen.page.evaluate("document.querySelector('#part-0').dataset.mine = 'kept'; window.shifts = []")
    with seen.page.expect_response(lambda answer: urlsplit(answer.url).path == "/positions", timeout=2_000):
        os.utime(traded_bot.folder / LEDGER)
    seen.page.wait_for_timeout(500)
    assert seen.page.evaluate("document.activeElement.matches('main .scroll')")
    assert seen.page.evaluate("document.querySelector('main .scroll').scrollLeft") == 60
    assert [each for each in seen.shifted() if each["value"] > 0.001] == []
    # What is marked stays marked, and is read again once it isn't.
    seen.page.evaluate("getSelection().selectAllChildren(document.querySelector('#part-0 p'))")
    marked = seen.page.evaluate("String(getSelection())")
    now = datetime.now(UTC)
    traded_bot.says("halt", "--reason", "a <b>test</b>")
    seen.page.wait_for_timeout(2_500)
    assert seen.page.evaluate("String(getSelection())") == marked
    seen.page.evaluate("getSelection().removeAllRanges()")
    until(seen, "document.querySelector('#head').innerText.includes('REDUCE_ONLY')", 3)
    halt_switch.arm(traded_bot.folder, "test", now)
    assert seen.told == []


@pytest.mark.campaign
@pytest.mark.parametrize("how", ["silent", "ended"])
def test_a_page_whose_server_is_gone_says_so_greys_its_figures_and_comes_back(
    traded_bot: Bot, browser: Browser, how: str
) -> None:
    lost, shown = "!document.getElementById('lost').hidden", "document.getElementById('lost').hidden"
    with serving(traded_bot.folder) as served:
        seen = logged_in(browser, served)
        seen.open(served, "/positions")
        before = seen.page.inner_text("main")
        if how == "silent":
            served.process.send_signal(signal.SIGSTOP)
            assert until(seen, lost, 15) < 13
        else:
            _stop(served)
            assert until(seen, lost, 5) < 4
        assert "The connection to tradebot web is lost" in seen.page.inner_text("#lost")
        seen.page.wait_for_timeout(400)
        assert seen.page.evaluate("getComputedStyle(document.querySelector('main')).filter") == "grayscale(1)"
        assert seen.page.inner_text("main") == before
        if how == "silent":
            served.process.send_signal(signal.SIGCONT)
            until(seen, shown, 15)
            return
    # The sessions ended with the server.
    with serving(traded_bot.folder, urlsplit(served.url).port or 0) as again:
        until(seen, "document.getElementById('lost').innerText.includes('Log in again')", 15)
        assert seen.page.inner_text("main") == before
        seen.page.click("#lost a")
        seen.page.fill("input[name=token]", again.token)
        seen.page.keyboard.press("Enter")
        seen.page.wait_for_selector("#head")
        assert urlsplit(seen.page.url).path == "/positions"
        assert seen.page.evaluate(shown)


def _stop(served: Served) -> None:
    served.process.send_signal(signal.SIGTERM)
    served.process.wait(30)


@pytest.mark.campaign
def test_printed_a_page_is_its_figures_alone(traded_bot: Bot, served: Served, browser: Browser) -> None:
    seen = logged_in(browser, served)
    seen.open(served, "/positions")
    seen.page.emulate_media(media="print")
    hidden: Callable[[str], Any] = lambda name: seen.page.evaluate(  # noqa: E731 -- it reads as a question
        f"getComputedStyle(document.querySelector('{name}')).display"
    )
    assert hidden("header") == "none"
    assert hidden("main table") == "table"
    assert seen.page.evaluate("getComputedStyle(document.querySelector('main .scroll')).overflowX") == "visible"
    assert seen.page.pdf().startswith(b"%PDF")
