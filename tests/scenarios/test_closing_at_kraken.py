"""A close by hand at Kraken's face of the embedded exchange, canceled before it filled; the log is the judge."""

from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path

import pytest

from tests.kit.bot.folder import Bot, discard, log, typed
from tests.kit.bot.state import configure
from tradebot.orders import exit_orders

pytestmark = pytest.mark.campaign


@pytest.fixture
def bot(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Iterator[Bot]:
    """Yield a bot whose close was partly filled and canceled, with nothing at work for the rest."""
    state = tmp_path / "state"
    said = typed(capsys, "init", "--venue", "kraken_futures", "--symbols", "3", "--state-dir", str(state))
    assert said.code == 0, said.err
    configure(state, "limits: {exit_life_s: 30}\n")
    bot = Bot(state, capsys)
    bot.does("exchange tick open", "exchange tick 6m", "reconcile", "trade-once --force-slot")
    bot.does("exchange tick 3m", "evaluate-exits", "flatten --all --confirm ALL", "exchange tick 1m", "evaluate-exits")
    yield bot
    discard(state)


def closes(bot: Bot) -> list[tuple[str, Decimal, Decimal]]:
    """Return the last state of each order for a close: its status, how much it asked for, and how much filled."""
    last = {row["client_order_id"]: row for row in log(bot.url) if ".CLOSE." in str(row.get("client_order_id"))}
    shown = [row for row in last.values() if "status" in row]
    return [(row["status"], Decimal(row["qty"]), Decimal(row["filled_qty"])) for row in shown]


def held(bot: Bot) -> Decimal:
    return sum((abs(Decimal(row["quantity"])) for row in bot.json("positions")["positions"]), Decimal(0))


def test_what_a_canceled_close_left_is_closed(bot: Bot) -> None:
    ((status, wanted, filled),) = closes(bot)
    assert status == "canceled"
    assert filled > 0 < wanted - filled == held(bot)
    for _ in range(6):
        bot.does("evaluate-exits", "exchange tick 1m")
    assert bot.says("evaluate-exits").code == 0
    assert held(bot) == 0
    assert sum(order[2] for order in closes(bot)) == wanted, "all of it was closed, and once"
    assert bot.json("reconcile")["findings"] == []


def test_control_without_it_the_rest_stays_open(bot: Bot, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(exit_orders, "unfinished_close", lambda *_: None)
    for _ in range(3):
        bot.does("evaluate-exits", "exchange tick 1m")
    assert held(bot) > 0
    assert len(closes(bot)) == 1
