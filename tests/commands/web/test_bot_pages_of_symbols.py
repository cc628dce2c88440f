"""A symbol's page: the verbs' documents for that symbol alone, any name, and what to type where nothing is known."""

import json
from pathlib import Path
from urllib.parse import quote

import pytest
from markupsafe import escape

from tests.commands.trades.test_trades import booked as booked_trades
from tests.commands.trades.test_trades import trade
from tests.commands.web.client import browser, site
from tests.kit.bot.folder import Bot
from tradebot.adapters.ledger.ledger import SqliteLedger
from tradebot.model.candidate import Side

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
