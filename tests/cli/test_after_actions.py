"""What the bot says and does when its broker changes the books by itself: split, dividend, assignment, new name.

Differences of these kinds are not told apart from others yet: they are found, they shut entries, and no order comes
of them. The tests run in their order on one bot with one short position of its own.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import requests

from tests.cli.bot import KEYS, Bot, log, made, second_session

ACTIONS = "/exchange/v1/actions"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    with made(tmp_path_factory.mktemp("cli") / "state", "--sessions", "4") as path:
        yield path


def post(bot: Bot, path: str, **body: object) -> None:
    answer = requests.post(f"{bot.url}{path}", json=body, timeout=10)
    assert answer.status_code == 200, answer.text


def own(bot: Bot) -> tuple[str, int]:
    """Return the one position of the books."""
    (row,) = [row for row in bot.json("positions")["positions"] if row["strategy"] != "foreign"]
    return str(row["symbol"]), int(row["quantity"])


def there(bot: Bot) -> dict[str, str]:
    rows = requests.get(f"{bot.url}/v2/positions", headers=KEYS, timeout=10).json()
    return {row["symbol"]: row["qty"] for row in rows}


def next_session(bot: Bot) -> None:
    for to in ("close", "next_open", "30m"):
        assert bot.says("exchange", "tick", to).code == 0


def found(bot: Bot) -> dict[tuple[str, str], dict[str, Any]]:
    said = bot.says("reconcile", "--json")
    assert said.code == 10
    return {(finding["kind"], finding["subject"]): finding for finding in said.data["findings"]}


def refusals_of_a_pass(bot: Bot) -> dict[str, int]:
    """Return why a pass sent nothing, having seen in the exchange's log that it did not."""
    before = len(log(bot.url))
    assert bot.says("fetch-flow").code == 0
    ran = bot.json("trade-once")
    assert ran["orders"] == 0
    assert [event for event in log(bot.url)[before:] if event["event"] == "order_accepted"] == []
    return dict(ran["refused"])


def test_a_split_and_a_dividend_are_found_as_quantity_and_cash_and_shut_entries(bot: Bot) -> None:
    second_session(bot)
    assert bot.json("trade-once")["orders"] == 1
    assert bot.says("exchange", "tick", "5m").code == 0
    assert bot.says("reconcile").code == 0
    symbol, quantity = own(bot)
    coming = requests.get(f"{bot.url}/exchange/v1/status", timeout=10).json()["next_open"][:10]
    post(bot, ACTIONS, type="cash_dividend", symbol=symbol, rate="1.25", payable_date=coming)
    post(bot, ACTIONS, type="forward_split", symbol=symbol, new_rate=2, old_rate=1)
    next_session(bot)
    assert there(bot) == {symbol: str(2 * quantity)}
    findings = found(bot)
    assert {key: (one["blocking"], one["applicable"]) for key, one in findings.items()} == {
        ("quantity", symbol): (True, True),
        ("cash", "account"): (True, True),
    }
    quantities = findings["quantity", symbol]
    assert (quantities["ours"], quantities["broker"]) == (str(quantity), str(2 * quantity))
    assert list(refusals_of_a_pass(bot)) == ["RECONCILE_FINDINGS"]


def test_audit_and_why_no_orders_name_what_keeps_entries_shut(bot: Bot) -> None:
    symbol, _ = own(bot)
    said = bot.says("audit", "--json")
    books = next(finding for finding in said.data["findings"] if finding["name"] == "ledger against broker")
    assert (said.code, books["state"]) == (10, "fail")
    assert f"{symbol}: the books and the broker hold different quantities" in books["found"]
    assert "RECONCILE_FINDINGS" in bot.says("why-no-orders").out


def test_an_accepted_plan_brings_the_books_to_the_split(bot: Bot) -> None:
    symbol, quantity = own(bot)
    applied = bot.says("reconcile", "--apply", bot.json("reconcile")["plan"], "--json")
    assert (applied.code, applied.data["findings"]) == (0, [])
    assert there(bot)[symbol] == str(2 * quantity)


def test_a_new_name_and_an_assignment_are_found_and_nothing_is_sold_for_them(bot: Bot) -> None:
    symbol, _ = own(bot)
    shares = there(bot)[symbol]
    today = requests.get(f"{bot.url}/exchange/v1/status", timeout=10).json()["now"][2:10].replace("-", "")
    post(bot, "/exchange/v1/journal", symbol=f"MSFT{today}P00900000", qty=-1)
    post(bot, ACTIONS, type="name_change", symbol=symbol, new_symbol="PEAR")
    next_session(bot)
    assert there(bot) == {"MSFT": "100", "PEAR": shares}
    findings = found(bot)
    assert {key: one["blocking"] for key, one in findings.items()} == {
        ("phantom", symbol): True,
        ("foreign_position", "PEAR"): False,
        ("foreign_position", "MSFT"): False,
        ("cash", "account"): True,
    }
    # What was assigned at twice its price has lost half of the account overnight, which halts the bot as well.
    assert list(refusals_of_a_pass(bot)) == ["HALTED"]
    assert "DRAWDOWN_REACHED" in bot.json("status")["trading_why"]


def test_exits_do_not_close_what_the_broker_no_longer_holds(bot: Bot) -> None:
    before = len(log(bot.url))
    ran = bot.json("evaluate-exits")
    assert (ran["orders"], list(ran["refused"])) == (0, ["POSITION_GONE"])
    assert [event for event in log(bot.url)[before:] if event["event"] == "order_accepted"] == []
