"""A halt at Kraken Futures cancels entries alone: what protects a position rests on, whoever or whatever halted.

The earlier bot's kill switch canceled stops and targets too. The exchange's log is the judge.
"""

from collections.abc import Iterator
from pathlib import Path

import pytest
import requests

from tests.bot import Bot, discard, log, typed

UNTIL_ENTERING = (
    *("exchange tick open", "exchange tick 6m", "reconcile", "trade-once --force-slot"),
    *("exchange tick 3m", "evaluate-exits"),
)


@pytest.fixture
def bot(tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Iterator[Bot]:
    """Yield a bot that holds a tenth of its equity in one coin, with a stop and a target at the exchange."""
    monkeypatch.setenv("TRADEBOT_LIMITS__MAX_ORDER_FRACTION", "0.1")
    state = tmp_path / "state"
    said = typed(capsys, "init", "--venue", "kraken_futures", "--symbols", "3", "--state-dir", str(state))
    assert said.code == 0, said.err
    bot = Bot(state, capsys)
    for words in UNTIL_ENTERING:
        assert bot.says(*words.split()).code == 0, words
    yield bot
    discard(state)


def orders(bot: Bot, event: str) -> list[tuple[str, str]]:
    """Return the side and type of each order that the exchange's log says this of, in their order."""
    return [(one["side"], one["type"]) for one in log(bot.url) if one["event"] == event]


RESTING = [("sell", "stop"), ("sell", "limit")]


def test_a_typed_halt_cancels_the_working_entry_and_leaves_stop_and_target_at_the_venue(bot: Bot) -> None:
    assert bot.says("trade-once", "--force-slot").code == 0
    entry = ("buy", "limit")
    assert orders(bot, "order_accepted") == [entry, *RESTING, entry]
    assert bot.says("halt", "--reason", "lunch").code == 0
    assert bot.says("evaluate-exits").code == 0
    assert orders(bot, "order_canceled") == [entry]
    assert orders(bot, "order_accepted") == [entry, *RESTING, entry]


def test_a_halt_for_drawdown_and_a_days_loss_leaves_stop_and_target_and_opens_nothing(bot: Bot) -> None:
    (held,) = bot.json("positions")["positions"]
    # What holding it costs within an hour is forty percent of the equity.
    rate = {"symbol": held["symbol"], "rate": f"{40_000 / float(held['quantity']):.6f}"}
    assert requests.post(f"{bot.url}/exchange/v1/funding", json=rate, timeout=60).status_code == 200
    assert bot.says("exchange", "tick", "60m").code == 0
    before = orders(bot, "order_accepted")
    assert bot.says("evaluate-exits").code == 0
    (why,) = [one["details"]["why"] for one in bot.json("events")["events"] if one["event_type"] == "halted_itself"]
    assert "DRAWDOWN_REACHED" in why
    assert "DAILY_LOSS_HALT" in why
    bot.says("trade-once", "--force-slot")
    assert orders(bot, "order_canceled") == []
    assert orders(bot, "order_accepted") == before
    assert {one["side"] for one in log(bot.url) if one["event"] == "fill"} == {"buy"}
