"""`tradebot pnl`: what was earned, by every part, from books that were written for it and from books of a real day."""

import csv
import io
from contextlib import closing
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path

import pytest
import requests

from tests.kit.bot.ending import refuses
from tests.kit.bot.folder import KEYS, Bot
from tests.kit.ledgers import edit
from tests.kit.values import fill
from tradebot.adapters.ledger.ledger import SqliteLedger
from tradebot.model.account import Booking, Entry
from tradebot.model.candidate import Side
from tradebot.model.order import Fee
from tradebot.views.trades.pnl import ProfitGrouping

D = Decimal
PARTS = ("realized", "open", "fees", "dividends", "interest", "other", "total")


def on(day: int, hour: int) -> datetime:
    return datetime(2026, 11, day, hour, tzinfo=UTC)


def booked(folder: Path) -> None:
    """Write three trades, a fee, a dividend, interest and a deposit into a bot's books."""
    fills = [
        fill(1, quantity="10", price="100", at=on(16, 15)),
        fill(2, side=Side.SELL, quantity="10", price="110", at=on(16, 16)),
        fill(3, "MSFT", Side.SELL, "5", "400", strategy="momentum", at=on(16, 17)),
        fill(4, "MSFT", quantity="5", price="404", strategy="momentum", at=on(17, 15)),
        fill(5, "NVDA", quantity="3", price="150", at=on(17, 16)),
    ]
    moved = (
        Entry("1", "FEE", D("-0.31"), "FEE/REG", on(16, 22)),
        Entry("2", "DIV", D("1.50"), "DIV/CDIV NVDA", on(17, 17), "NVDA"),
        Entry("3", "INT", D("0.07"), "INT/CDT", on(17, 18)),
        Entry("4", "CSD", D(500), "CSD", on(17, 19)),
    )
    with closing(SqliteLedger.open(folder)) as ledger:
        ledger.apply_fills(fills, on(17, 20))
        ledger.book(Booking(moved), on(17, 20))


def test_pnl_shows_each_day_its_parts_and_the_change_of_the_account(reader: Bot) -> None:
    lines = reader.shown("pnl", "--explain").splitlines()
    assert lines[0].startswith("Profit and loss by day, 2026-11-16 to 2026-11-17, from 5 fills")
    assert lines.pop(1) == "Profit +81.26 USD"
    assert [line.split() for line in lines[1:5]] == [
        ["day", "realized", "fees", "dividends", "interest", "total", "USD", "closed"],
        ["2026-11-16*", "+100.00", "-0.31", "+99.69", "█" * 16, "1"],
        ["2026-11-17*", "-20.00", "+1.50", "+0.07", "-18.43", "▒" * 2, "1"],
        ["total*", "+80.00", "-0.31", "+1.50", "+0.07", "+81.26", "2"],
    ]
    assert lines[5:7] == [
        "Books 100,000.00 USD before, 100,581.26 after: change +581.26, transfers +500.00",
        "* the row's last day has no price for MSFT, NVDA",
    ]
    said = " ".join(lines[7:])
    assert "Lots are matched first in, first out within each strategy" in said
    assert "The broker charges all other fees to the account for a whole day." in said
    assert "Deposits and withdrawals aren't profit." in said


def test_pnl_rows_of_every_cut_sum_to_the_same_total(reader: Bot) -> None:
    for by in ProfitGrouping:
        found = reader.json("pnl", "--by", by.value)["pnl"]
        for part in PARTS:
            assert sum(D(row[f"{part}_usd"]) for row in found["rows"]) == D(found["total"][f"{part}_usd"])
        assert D(found["total"]["total_usd"]) == D("81.26")


def test_pnl_assigns_fees_and_dividends_to_strategies_and_symbols(reader: Bot) -> None:
    rows = {row["name"]: row for row in reader.json("pnl", "--by", "strategy")["pnl"]["rows"]}
    # 1,100 USD of AAPL and 2,000 USD of MSFT were sold that day.
    assert (D(rows["flow"]["fees_usd"]), D(rows["momentum"]["fees_usd"])) == (D("-0.11"), D("-0.20"))
    assert (rows["flow"]["dividends_usd"], rows["account"]["interest_usd"]) == ("1.5", "0.07")
    only = reader.json("pnl", "--by", "symbol", "--strategy", "momentum")
    assert [(row["name"], D(row["total_usd"])) for row in only["pnl"]["rows"]] == [("MSFT", D("-20.20"))]
    assert (only["strategy"], only["pnl"]["after_usd"], only["pnl"]["compared"]) == ("momentum", None, None)


def test_pnl_csv_has_the_rows_with_exact_decimals(reader: Bot, tmp_path: Path) -> None:
    said = reader.says("pnl", "--by", "symbol", "--csv", "-")
    rows = list(csv.DictReader(io.StringIO(said.out)))
    assert [row["symbol"] for row in rows] == ["AAPL", "NVDA", "MSFT", "account"]
    assert sum(D(row["total_usd"]) for row in rows) == D("81.26")
    assert reader.says("pnl", "--by", "symbol", "--csv", str(tmp_path / "pnl.csv")).out.startswith("4 rows written to")
    assert (tmp_path / "pnl.csv").read_text() == said.out
    refused = reader.says("pnl", "--json", "--csv", "-")
    assert refused.code == 2
    assert "can't both go to stdout" in refused.out + refused.err


def test_pnl_draws_pictures_by_day_and_by_name(reader: Bot, tmp_path: Path) -> None:
    for by in ("day", "symbol"):
        file = tmp_path / f"{by}.svg"
        assert reader.says("pnl", "--by", by, "--plot", str(file)).code == 0
        text = file.read_text()
        assert text.startswith("<?xml")
        assert "+81.26 USD" in text
    assert reader.says("pnl", "--plot", str(tmp_path / "none" / "a.svg")).code == 2


@pytest.mark.parametrize(
    ("flags", "said"),
    [
        (("--by", "year"), "--by year is none of day, week, month, strategy, symbol, hour, reason, component"),
        (("--plot", "pnl.pdf"), "pnl.pdf is neither .svg nor .png"),
        (("--from", "today"), "--from today is not a date"),
    ],
)
def test_pnl_refuses_bad_options_with_the_next_step(copy: Bot, flags: tuple[str, ...], said: str) -> None:
    refuses(copy.says("pnl", *flags), 2, said, "next: ")


def test_pnl_says_what_to_do_when_there_is_nothing_to_show(reader: Bot) -> None:
    assert "No trades match --symbol TSLA: there are AAPL" in reader.shown("pnl", "--symbol", "TSLA")
    assert reader.says("pnl", "--from", "2027-01-01", "--plot", "a.svg").code == 2


@pytest.mark.parametrize("verb", ["pnl", "trades", "report"])
def test_damaged_fill_is_refused_and_its_table_named(traded: Bot, verb: str) -> None:
    worse = 'UPDATE fills SET body = replace(body, \'"price":"110"\', \'"price":"111"\') WHERE sequence = 2'
    assert edit(traded.folder / "ledger.db", worse) == 1
    refused = traded.says(verb)
    assert refused.code == 2
    assert "rows of fills were changed after they were written" in refused.err
    assert "tradebot recover" in refused.err
    assert refused.out == ""


def test_pnl_of_a_sandbox_day_equals_the_change_of_its_account(trader: Bot) -> None:
    assert trader.json("trade-once")["orders"] >= 1
    trader.does("exchange tick 5m", "evaluate-exits")
    held = trader.json("pnl", "--by", "reason")["pnl"]
    apart, equity = D(held["compared"]["difference_usd"]), D(held["compared"]["broker_usd"])
    _, profit, *rest = trader.shown("pnl", "--by", "reason").splitlines()
    assert apart == equity - D(held["compared"]["books_usd"]) != 0, "the bid is no last trade"
    assert profit.startswith(f"Profit {equity - 100_000:+,.2f} USD by the broker's equity of {equity:,.2f} at ")
    assert any(line.startswith(f"Difference {apart:+,.2f} USD between the broker's equity") for line in rest)
    assert [(row["name"], row["realized_usd"]) for row in held["rows"]] == [("still held", "0")]
    assert D(held["after_usd"]) - D(held["before_usd"]) == D(held["total"]["total_usd"]) != 0
    assert trader.json("status")["today"]["open_usd"] == held["total"]["open_usd"]
    trader.does("flatten --all --confirm ALL", "exchange tick 5m")
    assert trader.says("reconcile").code in (0, 10)
    shown = trader.shown("pnl")
    assert "Not compared: the broker's equity is from before the last change of the books" in shown
    assert "ifference" not in shown
    assert "is from before the last change of the books" in trader.shown("report")
    assert trader.says("evaluate-exits", "--force-slot").code == 0
    account = requests.get(f"{trader.url}/v2/account", headers=KEYS, timeout=60).json()
    found = trader.json("pnl", "--by", "reason")["pnl"]
    assert D(found["after_usd"]) == D(account["equity"]) == D(account["cash"])
    assert D(found["compared"]["difference_usd"]) == 0
    assert found["compared"]["held"] == 0
    rows = {row["name"]: D(row["total_usd"]) for row in found["rows"]}
    assert rows == {"closed_by_hand": D(found["total"]["total_usd"])}
    assert "the broker's equity and the books agree to the cent" in trader.shown("pnl")
    day = trader.json("status")["today"]
    assert (D(day["total_usd"]), day["open_usd"]) == (D(found["total"]["total_usd"]), "0")
    assert f"Profit of {day['day']} " in trader.shown("status")


def test_pnl_shows_funding_and_which_fees_are_not_known_yet(copy: Bot) -> None:
    fees = (Fee(D("1.25")), Fee(None), Fee(D("0.0002"), "BTC"))
    fills = [fill(n, multiplier="50", at=on(16, 15 + n), fee=fee) for n, fee in enumerate(fees)]
    funding = Entry("f1", "FUNDING", D("-3.50"), "FUNDING AAPL", on(16, 19), "AAPL")
    with closing(SqliteLedger.open(copy.folder)) as ledger:
        ledger.apply_fills(fills, on(16, 20))
        ledger.book(Booking((funding,)), on(16, 20))
    found = copy.json("pnl", "--by", "strategy")
    (row,), unknown = found["pnl"]["rows"], (found["pnl"]["unknown_fees"], found["pnl"]["other_fees"])
    assert (row["name"], row["funding_usd"], row["fees_usd"]) == ("flow", "-3.5", "-1.25")
    assert (row["total_usd"], unknown) == ("-4.75", (1, {"BTC": "0.0002"}))
    said = copy.says("pnl", "--by", "strategy", "--explain").out
    assert all(text in said for text in ("funding", "-3.50", "Not known yet: the fees of 1 fill.", "0.0002 BTC"))
    assert "Funding goes to the strategy that alone held the contract" in " ".join(said.split())
    assert copy.says("pnl", "--csv", "-").out.splitlines()[0].endswith("total_usd,funding_usd,trades_closed,unpriced")
    report = copy.says("report").out
    assert all(text in report for text in ("funding -3.50", "Not known yet: the fees of 1 fill."))
