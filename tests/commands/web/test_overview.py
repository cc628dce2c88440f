"""The first page: each figure is that of its verb, positions lie between stop and target, and troubles are named."""

import re
import shutil
from datetime import date, timedelta
from decimal import Decimal
from html import unescape
from typing import Any

import pytest
from markupsafe import escape
from starlette.testclient import TestClient

from commands.positions import report as positions
from commands.report import report_inputs, report_text
from commands.report.screen import render
from commands.shared.bot_records import load_holdings
from commands.shared.times import local
from commands.shared.verb_options import Report, open_bot
from commands.status import report as status
from commands.web import charting
from commands.web.charting import load_day
from commands.web.overview import BARE
from tests.commands.trades.test_trades import booked
from tests.commands.web.client import browser, site
from tests.commands.web.test_bot_pages import HOSTILE, words
from tests.kit.bot.folder import Bot
from tests.kit.trades import account, new_account
from tradebot.lab.performance.report import AccountReport, PerformanceReport
from tradebot.model.struct_tools import replace
from tradebot.views.holdings import PositionProtection, StopGap


@pytest.fixture
def client(traded_bot: Bot) -> TestClient:
    return browser(site(traded_bot.folder))


def figures(page: str) -> dict[str, tuple[str, str, str]]:
    """Return the cards by name: the color of the value, the value, and the note."""
    found = re.findall(r'<dt>(.*?)</dt><dd><b class="(.*?)">(.*?)</b><small>(.*?)</small></dd>', page)
    return {name: (color, *(unescape(re.sub("<[^>]*>", "", text)) for text in rest)) for name, color, *rest in found}


def test_cards_have_the_verbs_figures(traded_bot: Bot, client: TestClient, capsys: pytest.CaptureFixture[str]) -> None:
    shown, data = figures(client.get("/").text), traded_bot.json("status")
    limits = {row["key"]: row["value"] for row in traded_bot.json("config", "show", "limits")["values"]}
    profit, equity = Decimal(data["today"]["total_usd"]), Decimal(data["equity"]["last_usd"])
    color = {-1: "red", 0: "", 1: "green"}[(profit > 0) - (profit < 0)]
    assert profit
    assert shown["Profit today"][:2] == (color, f"{profit:+,.2f} USD")
    assert shown["Profit today"][2] == f"{profit / (equity - profit):+.2%}, {data['today']['day']}"
    assert shown["Equity"][1] == f"{equity:,.2f} USD"
    gross = sum(abs(Decimal(row["cost_usd"]) + Decimal(row["unrealized_usd"])) for row in data["positions"])
    assert shown["Exposure"][1:] == (
        f"{gross / equity:.0%}",
        f"{gross:,.0f} USD, limit {Decimal(str(limits['limits.max_gross_fraction'])):.0%}",
    )
    assert shown["Open positions"][1] == f"{len(data['positions'])} of {limits['limits.max_open_positions']}"
    assert shown["Working orders"][1] == str(len(data["orders"])) != "0"
    assert shown["Next job"][1] == min(data["next_slots"], key=lambda slot: slot["at"])["job"]
    states = [row["state"] for row in data["health"]]
    assert shown["Health"][1] in states
    assert shown["Health"][2].startswith(f"{states.count('OK')} of {len(states)} parts ")
    # It is the same profit wherever a person looks.
    day = data["today"]["day"]
    of_day = traded_bot.json("pnl", "--by", "day", "--from", day, "--to", day)["pnl"]
    assert Decimal(of_day["profit_usd"]) == profit
    status.show_overview(traded_bot.folder)
    assert f"{profit:+,.2f} USD ({profit / (equity - profit):+.2%})" in capsys.readouterr().out


def test_cards_are_not_begun_without_any_record(copy: Bot) -> None:
    shown = figures(browser(site(copy.folder)).get("/").text)
    assert {"Profit today", "Equity"} & shown.keys() == set()
    assert shown["Exposure"][1] == "unknown"
    assert shown["Open positions"][1].startswith("0 of ")


def rows(page: str) -> list[tuple[str, str]]:
    """Return each position's symbol, and its row."""
    return [
        (unescape(re.sub("<[^>]*>", "", symbol)), row)
        for row in re.findall(r'<li><span class="symbol">.*?</li>', page, re.DOTALL)
        for symbol in re.findall(r'<span class="symbol">(.*?)</span>', row)
    ]


def test_each_position_has_its_gain_and_lies_between_its_stop_and_target(traded_bot: Bot, client: TestClient) -> None:
    held = {row["symbol"]: row for row in traded_bot.json("positions")["positions"]}
    shown = rows(client.get("/").text)
    assert {symbol for symbol, _ in shown} == held.keys() != set()
    for symbol, row in shown:
        data, text = held[symbol], unescape(re.sub("<[^>]*>", " ", row))
        assert f'href="/symbol/{symbol}"' in row
        assert f"{Decimal(data['unrealized_usd']):z+,.2f} USD" in text
        side = "long" if Decimal(data["quantity"]) > 0 else "short"
        assert f"{side} {abs(Decimal(data['quantity'])):,f}, flow" in text
        by_rule = {stop["rule"]: stop["price"] for stop in data["stops"] if stop["armed"] and stop["price"]}
        assert f"target {Decimal(by_rule['PROFIT_TARGET']):,.2f}, " in text
        stop = re.search(r"stop ([\d,.]+), ", text)
        assert stop is not None
        assert stop[1] in {f"{Decimal(price):,.2f}" for rule, price in by_rule.items() if rule != "PROFIT_TARGET"}
        # For a long the target is drawn above the price, for a short below it; the stop on the other side.
        heights = {name: float(at) for name, at in re.findall(r'<line class="(\w+)"[^>]* y1="([\d.]+)"', row)}
        prices = [float(point) for point in re.findall(r",([\d.]+)", re.findall(r'points="(.*?)"', row)[0])]
        lower, upper = ("stop", "target") if side == "long" else ("target", "stop")
        assert heights[upper] <= min(prices) <= max(prices) <= heights[lower]


def test_prices_of_a_position_are_those_of_passes_since_it_was_opened(traded_bot: Bot, client: TestClient) -> None:
    symbol = traded_bot.json("positions")["positions"][0]["symbol"]
    counts = []
    for _ in range(3):
        traded_bot.does("exchange tick 1m", "evaluate-exits")
        counts.append(len(re.findall(r'points="(.*?)"', dict(rows(client.get("/").text))[symbol])[0].split()))
    assert [count - counts[0] for count in counts] == [0, 1, 2]


def test_first_page_says_that_the_broker_s_positions_differ_as_the_verbs_do(
    traded_bot: Bot, client: TestClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    for module in (status, positions):
        monkeypatch.setattr(module, "unlike_the_broker", lambda *asked: (f"Not in the books yet: 28 {HOSTILE}",))
    page = client.get("/").text
    assert "the broker's positions differ" in words(page, "Today")
    assert "Not in the books yet: 28" in words(page, "Positions")
    assert HOSTILE not in page


def test_first_page_names_who_halted_and_positions_without_a_stop_before_all_else(
    traded_bot: Bot, client: TestClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = words(client.get("/").text, "What needs a person")
    assert "No stop at the broker" not in before
    assert "Trading state" not in before
    assert traded_bot.says("halt", "--reason", f"wild {HOSTILE}").code == 0
    run = positions.run

    def without_stops(held: Any) -> Any:
        row = held[0]
        none = PositionProtection(row.quantity * 0, (), None, StopGap.NOT_PLACED, None)
        whole = replace(none, why=StopGap.BY_SETTING)
        bare = [replace(row, symbol=f"{HOSTILE}{n}", protection=none) for n in range(BARE + 2)]
        return (replace(row, symbol="0FINE", protection=whole), *bare)

    def bare(app: Any) -> Any:
        report = run(app)
        return replace(report, data=replace(report.data, positions=without_stops(report.data.positions)))

    monkeypatch.setattr(positions, "run", bare)
    monkeypatch.setattr(status, "load_holdings", lambda *asked: without_stops(load_holdings(*asked)))
    page = client.get("/").text
    said = words(page, "What needs a person")
    assert said.startswith("Trading state REDUCE_ONLY by ")
    assert said.index("wild ") < said.index("No stop at the broker for ") < said.index("What to fix")
    assert said.count("No stop at the broker for ") == BARE + 1
    assert "No stop at the broker for 2 more" in said
    assert "0FINE" not in said
    assert figures(page)["Open positions"] == (
        "red",
        f"{BARE + 3} of {figures(page)['Open positions'][1].split(' of ')[1]}",
        f"{BARE + 2} without a stop at the broker",
    )
    listed = rows(page)
    assert [symbol for symbol, _ in listed][-1] == "0FINE"
    assert ["no stop at the broker" in row for _, row in listed] == [*[True] * (BARE + 2), False]
    assert "<img" not in page
    assert "\u202e" not in page
    monkeypatch.undo()
    assert traded_bot.says("unhalt", "--confirm", traded_bot.tail(), "--reason", "seen").code == 0


def test_curve_of_the_day_has_the_equity_of_each_pass_and_what_happened(traded_bot: Bot, client: TestClient) -> None:
    assert traded_bot.says("halt", "--reason", "a <b>test</b>").code == 0
    assert traded_bot.says("unhalt", "--confirm", traded_bot.tail(), "--reason", "seen").code == 0
    with open_bot(str(traded_bot.folder), None) as app:
        facts = app.existing_facts
        assert facts is not None
        curve = load_day(app)
        assert curve is not None
        passes = facts.unpriced_passes(app.day.begins(curve.session) - timedelta(days=3))
    read = {local(cycle.at): float(cycle.equity) for cycle in passes if cycle.session == curve.session and cycle.equity}
    chart = client.get("/api/chart/day").json()
    (line,) = chart["lines"]
    assert {point["time"]: point["value"] for point in line["points"]} == read != {}
    data = traded_bot.json("status")
    assert line["points"][-1]["value"] == float(data["equity"]["last_usd"])
    assert curve.session == date.fromisoformat(data["equity"]["session"])
    opened = [row for row in traded_bot.json("positions")["positions"] if row["opened_at"][:10] == f"{curve.session}"]
    marks = chart["marks"]
    assert sorted(mark["text"] for mark in marks if mark["kind"] == "entry") == sorted(
        f"entered {row['symbol']}" for row in opened
    )
    assert opened
    assert [mark["kind"] for mark in marks if "halt" in mark["kind"]][-2:] == ["halt", "end of a halt"]
    assert any(mark["text"].endswith(": a <b>test</b>") for mark in marks)
    assert {mark["time"] for mark in marks} <= read.keys()
    page = client.get("/").text
    assert "a &lt;b&gt;test&lt;/b&gt;" in page
    assert "<b>test</b>" not in page


def test_chart_of_a_day_without_passes_is_an_error_for_programs_and_a_sentence_for_people(copy: Bot) -> None:
    client = browser(site(copy.folder))
    answer = client.get("/api/chart/day")
    assert (answer.status_code, sorted(answer.json())) == (503, ["error", "next"])
    assert "No pass has read the account yet" in client.get("/").text


__all__ = ["booked"]


@pytest.fixture
def kept(copy: Bot) -> Bot:
    """Return a bot with a folder beside its backtests that is none of them."""
    (copy.folder / "backtests" / "empty").mkdir(parents=True)
    shutil.copytree(copy.folder / "backtests", copy.folder.parent / "elsewhere")
    return copy


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
    (newest, *_) = reversed(traded.json("trades")["trades"])
    oldest, count = traded.json("trades")["trades"][0], len(traded.json("trades")["trades"])
    client = browser(site(traded.folder))
    first, last = client.get("/trades").text, client.get(f"/trades?from_row={count - 1}").text
    assert (newest["id"] in first, oldest["id"] in first) == (True, False)
    assert (newest["id"] in last, oldest["id"] in last) == (False, True)
    beyond = client.get("/trades?from_row=999999999").text
    assert (newest["id"] in beyond, oldest["id"] in beyond) == (False, True)


SCRIPT = "<img src=x onerror=alert(1)>"


@pytest.fixture
def pictured(copy: Bot, monkeypatch: pytest.MonkeyPatch) -> tuple[AccountReport, str]:
    """Return an account of 300 sessions, and the page of its report."""
    long = account(300)
    of = replace(long, benchmark=SCRIPT, further=replace(long.further, cautions=(SCRIPT,)))
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
    assert f"<li>{escape(SCRIPT)}</li>" in first
    assert "<img" not in page
    # What the verb prints is there to be opened.
    last = page[page.index("All figures, with definitions and sources") :]
    assert last.index("<details>") < last.index("Profit ")


def test_months_are_a_heat_map_darkest_for_the_largest_return(pictured: tuple[AccountReport, str]) -> None:
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
    assert [name for _, name, _ in cells[:14]] == [*report_text.MONTHS, "year", str(escape(SCRIPT))]


def test_report_without_sessions_has_its_sentence_and_no_pictures(copy: Bot, monkeypatch: pytest.MonkeyPatch) -> None:
    of = new_account()
    whole = PerformanceReport(None, None, None, None, None, (of,))
    monkeypatch.setattr(report_inputs, "run_here", lambda *_: Report("report", whole, render))
    monkeypatch.setattr(charting, "account", lambda _: of)
    page = browser(site(copy.folder)).get("/report").text
    assert "The account has no records yet." in page
    assert {"months", "bars", "over-time"} & set(re.findall(r"[\w-]+", page)) == set()
