"""Sliders in a real browser: moved by a mouse, by keys and without scripts, and never showing an older answer."""

import os
from collections.abc import Iterator
from typing import Any

import pytest
from playwright.sync_api import Browser, Locator, Page, expect

from tests.commands.web.chromium import Seen, Served, chromium, logged_in, needs_chromium, serving
from tests.kit.bot.folder import Bot
from tradebot.adapters.state.state_folder import LEDGER

pytestmark = [needs_chromium, pytest.mark.campaign, pytest.mark.timeout(600)]
NAME = "if.strategies.flow.min_families"
MORE = "1 more order would be sent."


@pytest.fixture
def served(refusing: Bot) -> Iterator[Served]:
    """Serve its pages."""
    with serving(refusing.folder) as served:
        yield served


@pytest.fixture
def browser() -> Iterator[Browser]:
    """Run a browser."""
    with chromium() as browser:
        yield browser


def slider(page: Page) -> Locator:
    return page.locator(".slider").filter(has=page.locator(f'input[name="{NAME}"]'))


def test_slider_by_keys_and_by_mouse_tells_what_would_be_decided(served: Served, browser: Browser) -> None:
    seen: Seen = logged_in(browser, served)
    page = seen.page
    seen.open(served, "/funnel")
    ranged = slider(page).locator("input[type=range]")
    assert ranged.get_attribute("aria-valuetext") == "2 families, as it was"
    ranged.focus()
    page.keyboard.press("ArrowLeft")
    expect(page.locator(".answer")).to_contain_text(MORE)
    expect(page.locator(".said")).to_have_text(MORE)
    assert ranged.get_attribute("aria-valuetext") == "1 family, alone: 1 order"
    assert page.url.endswith(f"/funnel?{NAME}=1")
    slider(page).get_by_role("button").click()
    expect(page.locator(".answer")).to_contain_text("Nothing is changed")
    assert page.url.endswith("/funnel")
    box: Any = ranged.bounding_box()
    page.mouse.move(box["x"] + box["width"] - 8, box["y"] + box["height"] / 2)
    page.mouse.down()
    for step in range(10):
        page.mouse.move(box["x"] + box["width"] * (1 - step / 9), box["y"] + box["height"] / 2)
    page.mouse.up()
    expect(page.locator(".answer")).to_contain_text(MORE)
    page.fill(f'input[name="{NAME}"]', "-1")
    expect(page.locator(".answer [role=alert]")).to_contain_text("must be greater than or equal to 1, not -1")
    assert (seen.told, seen.shifted()) == ([], [])


def test_older_answer_never_takes_the_place_of_a_newer_one(served: Served, browser: Browser) -> None:
    seen = logged_in(browser, served)
    page = seen.page
    seen.open(served, "/funnel")
    held: list[Any] = []

    def hold(route: Any) -> None:
        if "=1" in route.request.url.rpartition("&")[2]:
            held.append(route)
        else:
            route.continue_()

    page.route("**/what-if?**", hold)
    page.fill(f'input[name="{NAME}"]', "1")
    page.wait_for_timeout(400)
    page.fill(f'input[name="{NAME}"]', "3")
    expect(page.locator(".answer")).to_contain_text("strategies.flow.min_families 3 (was 2)")
    assert len(held) == 1
    held[0].continue_()
    page.wait_for_timeout(500)
    expect(page.locator(".answer")).to_contain_text("strategies.flow.min_families 3 (was 2)")


def test_what_is_looked_at_stays_when_something_is_recorded(refusing: Bot, served: Served, browser: Browser) -> None:
    seen = logged_in(browser, served)
    page = seen.page
    seen.open(served, "/funnel")
    page.fill(f'input[name="{NAME}"]', "1")
    expect(page.locator(".answer")).to_contain_text(MORE)
    page.locator("h1").click()
    with page.expect_response(lambda answer: "/funnel?" in answer.url):
        os.utime(refusing.folder / LEDGER)
    page.wait_for_timeout(500)
    expect(page.locator(".answer")).to_contain_text(MORE)
    expect(slider(page).locator("input[type=range]")).to_have_value("0")
    expect(page.locator(".slider.changed")).to_have_count(1)


def test_without_scripts_the_form_shows_the_same(served: Served, browser: Browser) -> None:
    page = browser.new_context(java_script_enabled=False).new_page()
    page.goto(f"{served.url}login")
    page.fill("input[name=token]", served.token)
    page.click("main button")
    page.goto(f"{served.url}symbol/MSFT")
    assert not slider(page).locator("input[type=range]").is_visible()
    page.fill(f'input[name="{NAME}"]', "1")
    page.get_by_role("button", name="Decide again").click()
    expect(page.locator(".answer")).to_contain_text("Its order would be sent.")
    assert "/symbol/MSFT?" in page.url
