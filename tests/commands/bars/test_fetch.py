"""`tradebot bars fetch`: bars come once, what came before an outage is kept, and splits come with them."""

import pytest
import requests

from commands.bars.fetch import run
from commands.shared.verb_options import open_bot
from tests.kit.bot.ending import shows
from tests.kit.bot.folder import Bot
from tests.kit.core.venue import FixedStrategy
from tradebot.errors import OperatorError
from tradebot.model.series import PriceKind
from tradebot.model.view import BarNeed, Needs

DAILY = ("bars", "fetch", "--timeframe", "1Day")
DOWN = "[{name: down, when: {request: bars, from: 2}, what: {status: 503}}]"


def bars_of(bot: Bot, *symbols: str) -> int:
    return sum(row["bars"] for row in bot.json("bars", "list")["spans"] if row["symbol"] in symbols)


def test_dates_and_symbols_bound_what_is_fetched(bot: Bot) -> None:
    span = ("--from", "2026-11-02", "--to", "2026-11-06")
    found = bot.json("bars", "fetch", "aapl", "--timeframe", "1day", *span)
    assert (found["new"], found["rows"][0]["symbols"], found["rows"][0]["strategy"]) == (5, ["AAPL"], None)
    (row,) = bot.json("bars", "list")["spans"]
    assert (row["first"], row["last"]) == ("2026-11-02T05:00:00Z", "2026-11-06T05:00:00Z")


def test_an_outage_keeps_what_came_before_and_says_how_much(bot: Bot) -> None:
    assert bot.json("bars", "fetch", "NVDA", "--timeframe", "1Day", "--from", "2026-11-10")["new"] == 4
    assert requests.post(f"{bot.url}/exchange/v1/faults", data=DOWN, timeout=30).status_code == 200
    said = bot.says("bars", "fetch", "NVDA", "MSFT", "--timeframe", "1Day", "--from", "2026-11-02")
    assert (said.code, "new bars kept" in said.err) == (5, True)
    assert bars_of(bot, "NVDA", "MSFT") in (10, 14)
    requests.delete(f"{bot.url}/exchange/v1/faults", timeout=30)
    assert bot.says("bars", "fetch", "NVDA", "MSFT", "--timeframe", "1Day", "--from", "2026-11-02").code == 0
    assert bars_of(bot, "NVDA", "MSFT") == 20


def test_fetch_reports_how_many_bars_are_new(bot: Bot) -> None:
    said = bot.says(*DAILY, "--from", "2026-10-01")
    assert (said.code, said.out.splitlines()[0].split(" at ")[0]) == (0, "103 new bars")
    spans = bot.json("bars", "list")["spans"]
    assert [(row["symbol"], row["bars"], row["source"]) for row in spans] == [
        (symbol, 32, "sandbox") for symbol in ("AAPL", "AMZN", "MSFT", "NVDA")
    ]
    assert bot.json(*DAILY, "--from", "2026-10-01")["new"] == 0
    assert bot.says("bars", "check").code == 0


def test_no_strategy_that_needs_bars_means_nothing_to_fetch(bot: Bot) -> None:
    shows(bot.says("bars", "fetch"), 0, "No strategy in use needs bars")


class Averaging(FixedStrategy):
    """A strategy that needs two kinds of bars, one of them of a single symbol."""

    name = "averaging"
    needs = Needs(bars=(BarNeed("1Day", 20, symbols=("AAPL",)), BarNeed("30Min", 3)))


def test_without_options_what_strategies_need_is_fetched(bot: Bot) -> None:
    bot.says("exchange", "tick", "close")
    with open_bot(str(bot.folder), None) as app:
        app.strategies = (Averaging(),)
        data = run(app, lambda now: None, lambda new: None).data
    expected = [("averaging", "1Day", ("AAPL",)), ("averaging", "30Min", ("AAPL", "MSFT", "NVDA", "AMZN"))]
    assert [(row.strategy, row.timeframe, row.symbols) for row in data.rows] == expected
    stored = {(row["symbol"], row["timeframe"]): row["bars"] for row in bot.json("bars", "list")["spans"]}
    assert stored["AAPL", "1Day"] >= 20
    assert stored["AMZN", "1Min"] >= 390
    assert data.stored == sum(stored.values())


def test_need_for_a_price_that_the_venue_lacks_is_refused_with_its_reason(bot: Bot) -> None:
    with open_bot(str(bot.folder), None) as app:
        strategy = Averaging()
        strategy.needs = Needs(bars=(BarNeed("1Day", 20, price=PriceKind.SPOT),))
        app.strategies = (strategy,)
        with pytest.raises(OperatorError, match="needs bars of the spot price, but Alpaca has none"):
            run(app, lambda now: None, lambda new: None)


def test_fetch_asks_for_missing_options(bot: Bot) -> None:
    cases = {
        ("AAPL",): "say which bars to fetch, and from when",
        ("--timeframe", "1Day"): "say which bars to fetch, and from when",
        ("--timeframe", "1Day", "--from", "yesterday"): "yesterday is not a date",
        ("--timeframe", "1Day", "--from", "2026-11-03", "--to", "2026-11-02"): "is after --to",
        ("a/b", "--timeframe", "1Day", "--from", "2026-11-03"): "is not a symbol",
    }
    for words, why in cases.items():
        said = bot.says("bars", "fetch", *words)
        assert (said.code, why in said.err) == (2, True), words
