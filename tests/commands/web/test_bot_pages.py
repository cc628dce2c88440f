"""The pages about the bot say what the verbs say, name what is wrong first, and stay small with many positions."""

import json
import re
from decimal import Decimal
from html import unescape
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest
from markupsafe import escape
from starlette.testclient import TestClient

from commands.positions import report as positions
from commands.shared.span_options import PassSpan
from commands.shared.verb_options import open_bot
from commands.web import bot_pages
from commands.web.bot_pages import ROWS, load_symbol_rows
from commands.why_no_orders.reading import cycles_of
from tests.commands.mcp.test_tools import steady
from tests.commands.trades.test_trades import booked as booked_trades
from tests.commands.trades.test_trades import trade
from tests.commands.web.client import browser, site
from tests.kit.bot.folder import Bot
from tests.kit.values import candidate
from tradebot.adapters.ledger.ledger import SqliteLedger
from tradebot.model.candidate import Side
from tradebot.model.decision import Decision, Gate, Verdict
from tradebot.model.reasons import Reason
from tradebot.model.record import CandidateRecord
from tradebot.model.series import DAY
from tradebot.model.struct_tools import replace
from tradebot.model.view import BarNeed

HOSTILE = '<img src=x onerror="alert(1)">\u202e/?#%'
MOST_BYTES = 300_000


@pytest.fixture
def bot(shared_trader: Bot) -> Bot:
    """Return a bot that has traded."""
    if not (shared_trader.folder / "passes.db").exists() or not shared_trader.json("positions")["positions"]:
        assert shared_trader.says("trade-once").code == 0
        assert shared_trader.says("exchange", "tick", "5m").code == 0
        assert shared_trader.says("evaluate-exits").code == 0
        # It begins the store of bars, and writes an event about that, as growth on the first page would.
        assert shared_trader.says("report").code == 0
    return shared_trader


@pytest.fixture
def client(bot: Bot) -> TestClient:
    return browser(site(bot.folder))


def words(page: str, title: str) -> str:
    """Return what a part says."""
    found = re.search(rf'aria-label="{re.escape(title)}">\s*<h2>.*?</h2>(.*?)</section>', page, re.DOTALL)
    assert found is not None, title
    return unescape(" ".join(re.sub(r"<[^>]*>", " ", found[1]).split()))


@pytest.mark.parametrize(
    ("asked", "lines"),
    [
        ("overview", ("status", "approvals", "positions", "audit --offline", "why-no-orders --session 2026-11-17")),
        ("positions", ("positions", "orders --last 100")),
        ("schedule", ("status", "schedule --next 30", "schedule check")),
        ("health", ("health", "audit --offline")),
        ("events?last=3", ("events --last 3",)),
        ("events?refusals=yes&last=2", ("events --last 2 --refusals",)),
        ("settings", ("config diff", "config show --origin")),
        ("settings?name=limits", ("config diff", "config show limits --origin")),
    ],
)
def test_each_part_is_its_verbs_document(bot: Bot, client: TestClient, asked: str, lines: tuple[str, ...]) -> None:
    found = [document["data"] for document in client.get(f"/api/pages/{asked}").json()]
    assert [steady(one) for one in found] == [steady(bot.json(*line.split())) for line in lines]


def test_answers_at_the_paths_of_earlier_bots_are_those_of_positions_and_of_serve(bot: Bot, client: TestClient) -> None:
    assert client.get("/api/positions").json()["data"] == bot.json("positions")
    health = client.get("/api/sre/health")
    found = health.json()
    assert (health.status_code, found["status"]) in {(200, "OK"), (200, "DEGRADED"), (503, "DEGRADED"), (503, "FAILED")}
    assert [row["symbol"] for row in found["positions"]] == [
        row["symbol"] for row in bot.json("positions")["positions"]
    ]
    assert {row["subject"] for row in found["subsystems"]} == {
        row["subject"] for row in bot.json("health")["judgments"]
    }


@pytest.mark.parametrize(
    ("asked", "page"),
    [
        ("", "/events"),
        ("?symbol=AAPL&severity=error", "/events?severity=ERROR&text=AAPL"),
        ("?subsystem=flow&last=5", "/events?text=flow&last=5"),
    ],
)
def test_the_first_system_s_address_of_events_leads_to_their_page(client: TestClient, asked: str, page: str) -> None:
    answer = client.get(f"/system-events{asked}", follow_redirects=False)
    assert (answer.status_code, answer.headers["location"]) == (308, page)
    assert client.get(page).status_code == 200


def test_a_thousand_positions_are_paged_small_and_their_totals_stay_those_of_all(
    bot: Bot, client: TestClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = positions.run

    def many(app: Any) -> Any:
        report = run(app)
        row = report.data.positions[0]
        rows = tuple(replace(row, symbol=f"S{number:04}") for number in range(999))
        return replace(report, data=replace(report.data, positions=(*rows, replace(row, symbol=HOSTILE))))

    monkeypatch.setattr(positions, "run", many)
    first, last, beyond = (client.get("/positions", params={"from_row": row}) for row in (0, 900, 999_999))
    for page, shown, hidden in ((first, "S0000", "S0100"), (last, "S0998", "S0000"), (beyond, "S0998", "S0000")):
        assert len(page.content) < MOST_BYTES
        assert "1,000 positions at " in words(page.text, "Positions")
        assert f'<th scope="row"><a href="/symbol/{shown}">{shown}</a></th>' in page.text
        assert hidden not in page.text.replace(f"from_row={ROWS}", "")
        assert page.text.count('<th scope="row"><a href="/symbol/S') in {ROWS, ROWS - 1}
        assert "<img" not in page.text
    assert "alert(1)" in last.text
    assert 'href="/positions?from_row=900" aria-current="true">901–1000' in last.text


def test_events_are_filtered_by_severity_and_text(bot: Bot, client: TestClient) -> None:
    every = bot.json("events", "--last", "1000")["events"]
    kind = every[0]["event_type"]
    assert {one["event_type"] for one in every} > {kind}, "a filter that lets all through would pass"
    for asked, keeps in (
        ({"text": kind.upper()}, lambda one: kind.lower() in str(one).lower()),
        ({"severity": "WARN"}, lambda one: one["severity"] == "WARN"),
        ({"text": "nothing says this"}, lambda _: False),
    ):
        (found,) = client.get("/api/pages/events", params=asked).json()
        assert found["data"]["events"] == [one for one in every if keeps(one)], asked


def test_settings_are_searched_by_name_value_and_source(bot: Bot, client: TestClient) -> None:
    every = bot.json("config", "show", "--origin")["values"]
    for words, keeps in (
        ("MAX_OPEN", lambda row: "max_open" in row["key"]),
        ("limits base.yaml", lambda row: "limits" in row["key"] and row["origin"] == "base.yaml"),
        ("technology", lambda row: "technology" in str(row["value"])),
    ):
        _, found = client.get("/api/pages/settings", params={"search": words}).json()
        assert found["data"]["values"] == [row for row in every if keeps(row)] != [], words
        page = client.get("/settings", params={"search": words}).text
        assert all(f'<th scope="row">{row["key"]}</th>' in page for row in every if keeps(row))
        assert f'<input type="search" name="search" value="{words}">' in page
    nothing = client.get("/settings", params={"search": HOSTILE}).text
    assert "No setting matches." in nothing
    assert "<img" not in nothing


HOSTILE_NAME = "<img src=x onerror=alert(1)>/\"'[red]?#&+ é"


def booked(folder: Path) -> None:
    booked_trades(folder)
    ledger = SqliteLedger.open(folder)
    trade(ledger, 100, HOSTILE_NAME, Side.BUY, 5, "7")
    trade(ledger, 110, "BTC/USD", Side.BUY, 5, "70000.5")
    ledger.close()


def address(symbol: str) -> str:
    return f"/symbol/{quote(symbol, safe='')}"


def test_page_has_the_rows_of_the_verbs_for_its_symbol_alone(traded: Bot) -> None:
    client = browser(site(traded.folder))
    for symbol in ("MSFT", "NVDA"):
        answer = client.get(f"/api/pages{address(symbol)}").text
        documents = json.loads(answer.replace(f" --state-dir {traded.folder}", ""))
        by_verb = {one["verb"]: one["data"] for one in documents if "verb" in one}
        assert by_verb["trades"] == traded.json("trades", "--symbol", symbol)
        for verb, words in (("positions", ()), ("orders", ("--all",))):
            rows = traded.json(verb, *words)[verb]
            assert by_verb[verb][verb] == [row for row in rows if row["symbol"] == symbol], verb
        assert [row["symbol"] for row in by_verb["positions"]["positions"]] == [symbol]
        assert [one["data"] for one in documents if one.get("verb") == "why-no-orders"] == [
            traded.json("why-no-orders", symbol),
            traded.json("why-no-orders", symbol, "--since", "session"),
        ]


@pytest.mark.parametrize("symbol", [HOSTILE_NAME, "BTC/USD"])
def test_any_name_is_linked_shown_and_asked_for_as_it_is(traded: Bot, symbol: str) -> None:
    client = browser(site(traded.folder))
    assert f'href="{address(symbol)}"' in client.get("/symbols").text
    assert "<img" not in client.get("/symbols").text
    page = client.get(address(symbol))
    assert page.status_code == 200
    assert f"<h1>Symbol {escape(symbol)}</h1>" in page.text
    assert "<img" not in page.text
    trades = next(one for one in client.get(f"/api/pages{address(symbol)}").json() if one.get("verb") == "trades")
    assert [one["symbol"] for one in trades["data"]["trades"]] == [symbol]


def test_without_records_it_says_which_command_makes_some(copy: Bot) -> None:
    page = browser(site(copy.folder)).get("/symbol/AAPL").text
    assert "No pass is recorded: trade-once hasn&#39;t run." in page
    assert "<code>tradebot trade-once</code>" in page


def listed(page: str) -> dict[str, dict[str, str]]:
    """Return the cells of the list of symbols as text, by symbol and column; a small line of prices as its points."""
    rows = re.findall(r'<tr><th scope="row"><a href="/symbol/[^"]+">(.*?)</a></th>(.*?)</tr>', page)
    found = {}
    for symbol, cells in rows:
        by_name = dict(re.findall(r'<td data-label="(.*?)">(.*?)</td>', cells))
        points = re.findall(r'points="(.*?)"', by_name["session so far"])
        found[unescape(symbol)] = {
            **{name: unescape(re.sub("<[^>]*>", "", text)).strip() for name, text in by_name.items()},
            "session so far": points[0] if points else "",
        }
    return found


def test_symbols_have_the_price_score_state_and_decision_of_their_verbs(traded_bot: Bot) -> None:
    traded_bot.does("exchange tick 10m", "trade-once --force-slot")
    found = listed(browser(site(traded_bot.folder)).get("/symbols").text)
    held = {row["symbol"]: row for row in traded_bot.json("positions")["positions"]}
    assert found.keys() >= held.keys() != set()
    with open_bot(str(traded_bot.folder), None) as app:
        passes = cycles_of(app, PassSpan(session=True))
        (before,) = app.bars.closed(BarNeed(DAY, 1), ["MSFT"], app.day.begins(passes[-1].session)).values()
    for symbol in found:
        row, way = found[symbol], traded_bot.json("why-no-orders", symbol)
        seen = [
            record.reference_price for one in passes for record in one.candidates if record.candidate.symbol == symbol
        ]
        assert row["price"] == f"{seen[-1]:,.2f}"
        assert len(row["session so far"].split()) == len(passes) > 1
        assert row["score"] == f"{way['score']:+.2f}"
        assert row["last decision"].startswith(way["reason"] or "sent")
        quantity = Decimal(held[symbol]["quantity"]) if symbol in held else None
        assert row["state"] == ("" if quantity is None else f"{'long' if quantity > 0 else 'short'} {abs(quantity)}")
    # Its change is since the close of the session before.
    assert before.start_of(-1).date() < passes[-1].session
    price = Decimal(found["MSFT"]["price"])
    assert found["MSFT"]["change"] == f"{price / Decimal(str(before.close[-1])) - 1:z+.2%}"


def test_gates_that_refused_a_symbol_stand_first_and_the_others_are_folded(traded_bot: Bot) -> None:
    ways = {symbol: traded_bot.json("why-no-orders", symbol) for symbol in ("AAPL", "MSFT", "NVDA", "AMZN")}
    symbol, way = next((symbol, way) for symbol, way in ways.items() if way["reason"])
    page = browser(site(traded_bot.folder)).get(address(symbol)).text
    part = re.search(r'aria-label="Why the last pass.*?</section>', page, re.DOTALL)
    assert part is not None
    shown, _, folded = part[0].partition("<details>")
    passed = [row for row in way["decisions"] if row["verdict"] == "PASS"]
    assert f"<summary>{len(passed)} checks passed</summary>" in folded
    assert (shown.count(">FAIL<"), folded.count(">FAIL<")) == (len(way["decisions"]) - len(passed), 0)
    assert (shown.count(">PASS<"), folded.count(">PASS<")) == (0, len(passed))
    # At a terminal they stay in the order of the gates.
    said = traded_bot.says("why-no-orders", symbol, "--explain").out
    assert said.index("PASS") < said.index("FAIL") or not passed


@pytest.mark.parametrize("is_sent", [True, False])
def test_of_several_strategies_the_one_whose_order_was_sent_or_else_the_surest_stands_for_a_symbol(
    traded_bot: Bot, monkeypatch: pytest.MonkeyPatch, is_sent: bool
) -> None:
    failed = Decision(Gate.SCORE, Verdict.FAIL, Reason.SCORE_BELOW_MIN)
    records = [
        CandidateRecord(replace(candidate("AAPL"), strategy=name, score=score), decisions)
        for name, score, decisions in (
            ("sent", 0.1, () if is_sent else (failed,)),
            ("surest", -0.9, (failed,)),
            ("last", 0.5, (failed,)),
        )
    ]
    with open_bot(str(traded_bot.folder), None) as app:
        last = replace(cycles_of(app, PassSpan())[-1], candidates=tuple(records))
        monkeypatch.setattr(bot_pages, "cycles_of", lambda *_: [last])
        (row,) = load_symbol_rows(app, ["AAPL"], ())
    assert row.record is not None
    assert row.record.candidate.strategy == ("sent" if is_sent else "surest")
