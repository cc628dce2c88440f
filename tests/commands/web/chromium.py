"""A real browser that looks at a bot's pages: Debian's Chromium, or the one that CHROMIUM names."""

import json
import os
import shutil
import signal
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from playwright.sync_api import Browser, BrowserContext, Page, sync_playwright

from commands.web.site import PAGES
from tests.kit.bot import forked

PROGRAM = os.environ.get("CHROMIUM") or shutil.which("chromium") or shutil.which("chromium-browser")
needs_chromium = pytest.mark.skipif(PROGRAM is None, reason="needs chromium")
PATHS = tuple(page.path for page in PAGES if "{" not in page.path)
PATIENCE_MS = 30_000
SHIFTS = """
window.shifts = [];
new PerformanceObserver((list) => window.shifts.push(...list.getEntries().map((entry) => ({
  value: entry.value, typed: entry.hadRecentInput,
  from: entry.sources.map((source) => source.node && (source.node.outerHTML || source.node.nodeValue).slice(0, 80)),
})))).observe({ type: "layout-shift", buffered: true });
"""
"""Collects what moved on a page although nobody did anything."""


class Served(NamedTuple):
    """Where a bot's pages are, by which token, and the process that serves them."""

    url: str
    token: str
    process: Any


class Seen(NamedTuple):
    """A page in a browser that has logged in, and what its console said that isn't a part of its work."""

    page: Page
    told: list[str]

    def open(self, served: Served, path: str) -> None:
        """Go to a page, and wait until nothing is asked for any more, other than news."""
        self.page.goto(served.url + path.removeprefix("/"), wait_until="load")
        self.page.wait_for_selector("#content")
        self.page.wait_for_timeout(300)

    def shifted(self) -> list[Any]:
        """Return what moved since the page was loaded."""
        return [each for each in self.page.evaluate("window.shifts") if not each["typed"]]


@contextmanager
def serving(folder: Path, port: int = 0, *more: str) -> Iterator[Served]:
    """Serve a bot's pages in their own process."""
    words = ["web", "--json", "--new-token", "--port", str(port), "--state-dir", str(folder), *more]
    with forked.start(words) as process:
        try:
            assert process.stdout is not None
            data = json.loads(process.stdout.readline())["data"]
            yield Served(data["url"], data["token"], process)
        finally:
            process.send_signal(signal.SIGCONT)
            process.send_signal(signal.SIGTERM)
            _, err = process.communicate(timeout=60)
    assert (process.returncode, err) == (0, "")


@contextmanager
def chromium() -> Iterator[Browser]:
    """Run the browser."""
    with sync_playwright() as player:
        browser = player.chromium.launch(
            executable_path=PROGRAM, args=["--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage"]
        )
        yield browser
        browser.close()


def page_in(context: BrowserContext) -> Seen:
    """Open an empty page, and listen to its console."""
    context.set_default_timeout(PATIENCE_MS)
    seen = Seen(context.new_page(), [])
    seen.page.add_init_script(SHIFTS)
    seen.page.on("console", lambda said: seen.told.extend(_troubles(said.type, said.text)))
    seen.page.on("pageerror", lambda error: seen.told.append(f"error: {error}"))
    return seen


def logged_in(browser: Browser, served: Served, *, width: int = 1280, scheme: Any = "light") -> Seen:
    """Log in as a person does."""
    seen = page_in(browser.new_context(viewport={"width": width, "height": 900}, color_scheme=scheme))
    seen.page.goto(f"{served.url}login")
    seen.page.fill("input[name=token]", served.token)
    seen.page.keyboard.press("Enter")
    seen.page.wait_for_selector("#head")
    return seen


def paths_for(folder: Path) -> Sequence[str]:
    """Return the paths of all pages, each with something on it that there is in a bot's folder."""
    names = [place.name for place in (folder / "backtests").iterdir()] if (folder / "backtests").is_dir() else []
    return [*PATHS, "/symbol/AAPL", *(f"/backtest/{name}" for name in names[:1])]


def _troubles(kind: str, text: str) -> list[str]:
    return [f"{kind}: {text}"] if kind in ("error", "warning") else []
