"""A symbol's page: the verbs' documents for that symbol alone, any name, and what to type where nothing is known."""

import json
import re
from decimal import Decimal
from html import unescape
from pathlib import Path
from urllib.parse import quote

import pytest
from markupsafe import escape

from commands.shared.span_options import PassSpan
from commands.shared.verb_options import open_bot
from commands.web import bot_pages
from commands.web.bot_pages import load_symbol_rows
from commands.why_no_orders.reading import cycles_of
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

HOSTILE = "<img src=x onerror=alert(1)>/\"'[red]?#&+ é"


def booked(folder: Path) -> None:
    booked_trades(folder)
    ledger = SqliteLedger.open(folder)
    trade(ledger, 100, HOSTILE, Side.BUY, 5, "7")
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


def test_a_symbol_is_found_however_it_is_typed(traded: Bot) -> None:
    client = browser(site(traded.folder))
    as_typed, as_spelled = (client.get(f"/api/pages{address(symbol)}").json() for symbol in ("msft", "MSFT"))
    rows = [[one["data"].get(name) for name in ("positions", "orders", "trades")] for one in as_typed if "data" in one]
    assert rows == [
        [one["data"].get(name) for name in ("positions", "orders", "trades")] for one in as_spelled if "data" in one
    ]
    assert client.get("/api/chart/candles/all/msft").json() == client.get("/api/chart/candles/all/MSFT").json()


@pytest.mark.parametrize("symbol", [HOSTILE, "BTC/USD"])
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
    assert f"<summary>{len(passed)} questions passed</summary>" in folded
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
