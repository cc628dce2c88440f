"""Each figure on a page is the one that its verb prints: every document, and every cell and line of what is shown."""

import json
import re
from collections.abc import Mapping
from html.parser import HTMLParser
from typing import Any

import pytest

from commands.web.site import PAGES
from tests.commands.mcp.test_tools import steady
from tests.commands.web.client import browser, site
from tests.kit.bot.folder import Bot

SHORTENED = {"audit", "pnl", "report", "status", "summary", "trades", "why-no-orders"}
"""Verbs whose screens are short; a page has all of it, as they have with --explain."""
LINES: Mapping[str, tuple[str, ...]] = {
    "/": ("status", "approvals", "positions", "audit --offline", "why-no-orders --session {day}"),
    "/positions": ("positions", "orders"),
    "/close": ("positions",),
    "/cancel": ("orders",),
    "/symbols": (),
    "/symbol/{symbol}": (
        *("positions", "why-no-orders {symbol}", "why-no-orders {symbol} --since session"),
        *("trades --symbol {symbol}", "orders --all --last 1000"),
    ),
    "/funnel": ("why-no-orders --session {day}", "why-no-orders", "why-no-orders --since session --by-symbol"),
    "/what-if": (),
    "/trades": ("trades", "pnl --by strategy"),
    "/report": ("report",),
    "/backtests": (),
    "/signals": ("signals",),
    "/schedule": ("status", "schedule --next 30", "schedule check"),
    "/health": ("health", "audit --offline"),
    "/events": ("events --last 200",),
    "/settings": ("config diff", "config show --origin"),
}
"""What a person types to see the same, for each report of each page that needs no name of anything that was made."""
FILTERED = {"/symbol/{symbol}": ("positions", "orders")}
"""Reports of which a page shows only the rows of one symbol."""
CLOCKS = re.compile(
    r"\d+ ?(?:[smh]|min)(?:\d\d[ms])?(?= (?:ago|old|left))|by \w+/\d+|\(.*? free\)|[\d,.]+ (?:[KMGT]i?B|inodes)"
)

ROOM = re.compile(r"freeon|inodes")
OWN = "Nothingischangedyet", "Allofthemareonthispage", "Thiscloses"
"""How sentences without a figure begin that no verb prints, and what stands in a line about the room on a disk."""


class Words(HTMLParser):
    """What stands on a page: the text of each cell, and of each paragraph."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.found: list[str] = []
        self._open = 0
        self.feed(html)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Begin a cell or a paragraph."""
        if tag in ("td", "th", "p"):
            self.found.append("")
            self._open += 1

    def handle_endtag(self, tag: str) -> None:
        """End it."""
        self._open -= tag in ("td", "th", "p")

    def handle_data(self, data: str) -> None:
        """Note its text."""
        if self._open:
            self.found[-1] += data


def test_every_page_is_compared() -> None:
    named = {page.path for page in PAGES if page.name != "backtest"}
    assert {path.replace("{symbol}", "{symbol:path}") for path in LINES} == named


@pytest.mark.campaign
@pytest.mark.parametrize("path", LINES)
def test_a_page_shows_the_figures_of_its_verbs_and_no_others(traded_bot: Bot, path: str) -> None:
    symbol = traded_bot.json("positions")["positions"][0]["symbol"]
    day = traded_bot.json("status")["as_of"][:10]
    lines = [line.format(symbol=symbol, day=day).split(" ") for line in LINES[path]]
    client = browser(site(traded_bot.folder))
    asked = path.format(symbol=symbol)
    own = f" --state-dir {traded_bot.folder}"
    # Stored bars are begun when they are first asked for, and that is an event.
    client.get(asked)
    documents = json.loads(client.get(f"/api/pages/{asked.strip('/') or 'overview'}").text.replace(own, ""))
    assert len(documents) == len(lines)
    printed = ""
    for line, document in zip(lines, documents, strict=True):
        said = traded_bot.says(*line, "--json").out
        printed += traded_bot.says(*line, *(["--explain"] if line[0] in SHORTENED else [])).out
        whole = traded_document(said)
        if line[0] in FILTERED.get(path, ()):
            rows = [row for row in whole["data"][line[0]] if row["symbol"] == symbol]
            assert document["data"][line[0]] == rows != []
        else:
            assert steady(document) == steady(whole), line
    shown, known = Words(own_html(client.get(asked).text.replace(own, ""))), squeezed(printed)
    strange = [text for text in map(squeezed, shown.found) if text not in known and not text.startswith(OWN)]
    strange = [text for text in strange if not ROOM.search(text)]
    assert not lines or (strange == [] and len(shown.found) > 2)


def traded_document(out: str) -> Any:
    """Return the document that a verb printed."""
    return json.loads(out.splitlines()[-1])


def own_html(page: str) -> str:
    """Return the cards of a page that verbs were drawn in, without forms, links, charts and the map of months."""
    cards = re.findall(r'<section id="part-\d+".*?</section>', page, re.DOTALL)
    ours = re.compile(r'<form.*?</form>|<p class="links">.*?</p>|<table class="cards months">.*?</table>', re.DOTALL)
    return "\n".join(ours.sub("", card) for card in cards if "data-chart" not in card and 'type="range"' not in card)


def squeezed(text: str) -> str:
    """Return a text without what differs from one moment to the next, and without blanks."""
    return "".join(CLOCKS.sub("", text).split())
