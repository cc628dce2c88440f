"""How entries are sent, judged by the embedded exchange's log, in a market whose quotes are known: it stands still."""

import json
from collections.abc import Iterator
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from papervenue import process
from tests.kit.bot.folder import Bot, log, second_session
from tests.kit.bot.state import accept
from tradebot.__main__ import main

DAYS = ("2026-11-16", "2026-11-17")


def still(folder: Path) -> Path:
    """Write two sessions of minute bars in which one price holds; the exchange's quotes are 0.10 around it."""
    rows = ["ts,symbol,open,high,low,close,volume"]
    for day in DAYS:
        opens = datetime.fromisoformat(f"{day}T09:30:00")
        minutes = (opens + timedelta(minutes=number) for number in range(390))
        rows += [f"{at:%Y-%m-%d %H:%M:%S},AAPL,1000,1000,1000,1000,9000" for at in minutes]
    path = folder / "bars.csv"
    path.write_text("\n".join(rows) + "\n")
    return path


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    place = tmp_path_factory.mktemp("cli")
    path = place / "state"
    flags = ("--bars", str(still(place)), "--bar-stamp", "start", "--symbols", "AAPL")
    assert main(["init", "--state-dir", str(path), *flags]) == 0
    try:
        yield path
    finally:
        process.stop(path / "exchange")


@pytest.fixture(scope="module")
def begun(folder: Path) -> list[str]:
    """Name the module's bots that are half an hour into their second session."""
    return []


def entered(bot: Bot, begun: list[str], patch: pytest.MonkeyPatch, **execution: str) -> int:
    """Let the bot buy AAPL in this style, and return how long the exchange's log was before."""
    for name, value in execution.items():
        patch.setenv(f"TRADEBOT_EXECUTION__{name.upper()}", value)
    accept(bot.folder)
    if not begun:
        second_session(bot)
        begun.append("AAPL")
    wanted = bot.folder / "wanted.jsonl"
    wanted.write_text(json.dumps({"symbol": "AAPL", "side": "buy", "score": 0.9}) + "\n")
    before = len(log(bot.url))
    said = bot.says("trade-once", "--candidates", str(wanted), "--json")
    assert (said.code, said.data.get("orders")) == (0, 1), said
    return before


def minutes(bot: Bot, count: int) -> None:
    for _ in range(count):
        bot.does("exchange tick 1m", "evaluate-exits")


def accepted(bot: Bot, before: int) -> list[tuple[str, str | None]]:
    """Return time and limit of the entries that the exchange has taken since; its orders to sell protect or close."""
    taken = (row for row in log(bot.url)[before:] if (row["event"], row.get("side")) == ("order_accepted", "buy"))
    return [(row["at"][11:16], row["limit_price"]) for row in taken]


def last_fill(bot: Bot) -> tuple[str, dict[str, tuple[str, str]]]:
    """Return the price of the last fill, and its slippage against each midpoint in USD and basis points."""
    row: dict[str, Any] = bot.json("fills")["fills"][-1]
    return row["price"], {
        name: (one["usd"], one["bps"]) for name, one in row["slippage"].items() if isinstance(one, dict)
    }


def closed(bot: Bot) -> None:
    """Close the position and let the cooldown pass, so that the next test can enter."""
    assert bot.says("flatten", "AAPL", "--confirm", "AAPL").code == 0
    minutes(bot, 6)


ALL_AT_THE_SPREAD = dict.fromkeys(("decision", "send", "arrival"), ("0.9", "1.00"))
"""What nine shares cost that were bought at 1000.10, with the midpoint at 1000."""


def test_a_passive_entry_walks_across_the_spread(bot: Bot, begun: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    before = entered(bot, begun, monkeypatch, style="passive", steps="2")
    minutes(bot, 4)
    assert accepted(bot, before) == [
        ("15:00", "999.9"),
        ("15:01", "999.96"),
        ("15:02", "1000.03"),
        ("15:03", "1002.11"),
    ]
    assert last_fill(bot) == ("1000.1", ALL_AT_THE_SPREAD)


def test_an_exit_costs_half_the_spread_too_and_a_sale_counts_it_as_a_cost(bot: Bot) -> None:
    closed(bot)
    price, costs = last_fill(bot)
    # Nothing was held anymore when a pass first saw the order, so no quote was read then.
    assert (price, costs) == ("999.9", dict.fromkeys(("decision", "send"), ("0.9", "1.00")))


def test_a_market_order_is_sent_only_if_configured(bot: Bot, begun: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    before = entered(bot, begun, monkeypatch, style="market")
    minutes(bot, 1)
    assert [limit for _, limit in accepted(bot, before)] == [None]
    assert last_fill(bot) == ("1000.1", ALL_AT_THE_SPREAD)
    closed(bot)


def test_a_passive_entry_may_be_canceled_unfilled(bot: Bot, begun: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    before = entered(bot, begun, monkeypatch, style="passive", steps="1", last_step="cancel")
    minutes(bot, 4)
    assert [limit for _, limit in accepted(bot, before)] == ["999.9", "1000"]
    assert [row["symbol"] for row in log(bot.url)[before:] if row["event"] == "order_canceled"] == ["AAPL"]
    assert bot.json("positions")["positions"] == []
