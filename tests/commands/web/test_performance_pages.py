"""The pages of what was earned say what the verbs say, and read nothing but this bot's own backtests."""

import re
import shutil
from html import unescape

import pytest
from markupsafe import escape

from commands.report import report_inputs, report_text
from commands.report.screen import render
from commands.shared.verb_options import Report
from commands.web import charting
from commands.web.performance_pages import ROWS
from tests.commands.trades.test_trades import booked
from tests.commands.web.client import browser, site
from tests.kit.bot.folder import Bot
from tests.kit.trades import account, new_account
from tradebot.lab.performance.report import AccountReport, PerformanceReport
from tradebot.model.struct_tools import replace

__all__ = ["booked"]


@pytest.fixture
def kept(copy: Bot) -> Bot:
    """Return a bot with a folder beside its backtests that is none of them."""
    (copy.folder / "backtests" / "empty").mkdir(parents=True)
    shutil.copytree(copy.folder / "backtests", copy.folder.parent / "elsewhere")
    return copy


def documents(bot: Bot, page: str) -> list[object]:
    found = browser(site(bot.folder)).get(f"/api/pages/{page}")
    assert found.status_code == 200, found.text
    return [one["data"] for one in found.json()]


def test_trades_and_where_profit_came_from_are_the_verbs(traded: Bot) -> None:
    assert documents(traded, "trades") == [traded.json("trades"), traded.json("pnl", "--by", "strategy")]
    assert documents(traded, "trades?state=open&by=symbol") == [
        traded.json("trades", "--open"),
        traded.json("pnl", "--by", "symbol"),
    ]
    page = browser(site(traded.folder)).get("/trades").text
    for trade in traded.json("trades")["trades"][:ROWS]:
        assert trade["id"] in page


@pytest.mark.parametrize(
    ("asked", "said"),
    [
        ("/trades?from=nonsense", "is not a date"),
        ("/trades?from=2026-11-17&to=2026-11-16", "is after"),
        ("/report?from=2026-99-99", "is not a date"),
    ],
)
def test_what_makes_no_sense_takes_the_place_of_the_part(copy: Bot, asked: str, said: str) -> None:
    page = browser(site(copy.folder)).get(asked)
    assert page.status_code == 200
    assert 'role="alert"' in page.text
    assert said in page.text


@pytest.mark.parametrize("name", ["../elsewhere", "..", "empty", "elsewhere", "%2e%2e%2felsewhere", "/etc", "<script>"])
def test_only_the_backtests_of_this_bot_are_read(kept: Bot, name: str) -> None:
    client = browser(site(kept.folder))
    shown = client.get("/backtests", params={f"run.{name}": "yes"})
    assert "this bot has no backtest" in shown.text
    assert "<script>" not in shown.text.replace('<script src="/static/', "")
    assert "None yet" in client.get("/backtests").text


@pytest.mark.campaign
def test_backtests_are_listed_reported_and_compared_as_their_verbs_do(copy: Bot) -> None:
    for seed in ("1", "2"):
        said = copy.says("backtest", "--sessions", "1", "--symbols", "AAPL", "--seed", seed, "--name", f"s{seed}")
        assert said.code == 0, said.err
    client = browser(site(copy.folder))
    assert "/backtest/s1" in client.get("/backtests").text
    for asked in ("backtests", "backtests?run.s2=yes&run.s1=yes"):
        (one,) = client.get(f"/api/pages/{asked}").json()
        assert one["data"] == copy.json("compare", "s2", "s1")
    assert "error:" in client.get("/backtests?run.s2=yes").text
    page = client.get("/backtest/s1").text
    assert 'role="alert"' not in page
    assert "1 session" in page


def test_older_trades_are_on_further_pages(traded: Bot, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("commands.web.performance_pages.ROWS", 1)
    (
        newest,
        *_,
    ) = reversed(traded.json("trades")["trades"])
    oldest, count = traded.json("trades")["trades"][0], len(traded.json("trades")["trades"])
    client = browser(site(traded.folder))
    first, last = client.get("/trades").text, client.get(f"/trades?from_row={count - 1}").text
    assert (newest["id"] in first, oldest["id"] in first) == (True, False)
    assert (newest["id"] in last, oldest["id"] in last) == (False, True)
    beyond = client.get("/trades?from_row=999999999").text
    assert (newest["id"] in beyond, oldest["id"] in beyond) == (False, True)


HOSTILE = "<img src=x onerror=alert(1)>"


@pytest.fixture
def pictured(copy: Bot, monkeypatch: pytest.MonkeyPatch) -> tuple[AccountReport, str]:
    """Return an account of 300 sessions, and the page of its report."""
    long = account(300)
    of = replace(long, benchmark=HOSTILE, further=replace(long.further, cautions=(HOSTILE,)))
    whole = PerformanceReport(of.curve[-1].at, None, None, None, None, (of,))
    monkeypatch.setattr(report_inputs, "run_here", lambda *_: Report("report", whole, render))
    monkeypatch.setattr(charting, "account", lambda _: of)
    page = browser(site(copy.folder)).get("/report")
    assert page.status_code == 200
    return of, page.text


def test_report_begins_with_what_it_says_and_how_far_that_may_be_chance(pictured: tuple[AccountReport, str]) -> None:
    of, page = pictured
    first = page[page.index('<section id="part-0"') : page.index('<section id="part-1"')]
    assert f"<b>{report_text.headline(of, 'The account', 'yet')}.</b>" in first
    said = unescape(first)
    assert report_text.opening_sentence(of) in said
    assert all(sentence in said for sentence in report_text.chance_sentences(of))
    assert f"<li>{escape(HOSTILE)}</li>" in first
    assert "<img" not in page
    # What the verb prints is there to be opened.
    last = page[page.index("All figures with their background") :]
    assert last.index("<details>") < last.index("Profit ")


def test_months_are_a_heat_map_with_the_darkest_shade_for_the_largest_return(
    pictured: tuple[AccountReport, str],
) -> None:
    of, page = pictured
    table = re.search(r'<table class="cards months">(.*?)</table>', page, re.DOTALL)
    assert table is not None
    cells = re.findall(r'<td class="(\w*)" data-label="([^"]*)">(.*?)</td>', table[1])
    months = [each for year in of.years for each in year.months]
    shown = [(shade, float(text)) for shade, name, text in cells if name in report_text.MONTHS and text]
    values = [each.value for each in months if each.value is not None]
    assert [value for _, value in shown] == [round(100 * value, 1) for value in values]
    assert all((shade[:1] == "g") == (value > 0) for shade, value in shown if shade)
    largest = max(shown, key=lambda cell: abs(cell[1]))
    assert largest[0][1:] == "5"
    assert len({shade for shade, _ in shown}) > 3
    assert [name for _, name, _ in cells[:14]] == [*report_text.MONTHS, "year", str(escape(HOSTILE))]


def test_sessions_are_bars_by_their_return_red_below_zero(pictured: tuple[AccountReport, str]) -> None:
    of, page = pictured
    svg = re.search(r'<svg class="bars" viewBox="0 0 (\d+) (\d+)".*?</svg>', page)
    assert svg is not None
    bars = re.findall(r'<rect class="(\w+)" x="\d+" y="(\d+)" width="0.9" height="(\d+)"', svg[0])
    bins = of.further.histogram
    assert [(color, int(height)) for color, _, height in bars] == [
        ("red" if each.high <= 0 else "green", each.count) for each in bins
    ]
    assert {color for color, _, _ in bars} == {"red", "green"}
    assert (int(svg[1]), int(svg[2])) == (len(bins), max(each.count for each in bins))
    assert all(int(top) + int(height) == int(svg[2]) for _, top, height in bars)
    assert f"<td>{report_text.percent(bins[0].high)}</td>" in page


def test_report_without_sessions_has_its_sentence_and_no_pictures(copy: Bot, monkeypatch: pytest.MonkeyPatch) -> None:
    of = new_account()
    whole = PerformanceReport(None, None, None, None, None, (of,))
    monkeypatch.setattr(report_inputs, "run_here", lambda *_: Report("report", whole, render))
    monkeypatch.setattr(charting, "account", lambda _: of)
    page = browser(site(copy.folder)).get("/report").text
    assert "The account has no records yet." in page
    assert {"months", "bars", "over-time"} & set(re.findall(r"[\w-]+", page)) == set()
