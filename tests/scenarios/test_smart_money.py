"""A smart-money bot at the embedded Kraken exchange, typed: what it sees, why it waits, and what would change that."""

from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path

import pytest
import yaml

from tests.kit.bot.folder import Bot, discard, log, typed
from tradebot.app.settings import merge, shipped_path

COINS = 6
EAGER = {
    "tight": {"min_points": 0, "min_points_neutral": 0},
    "wide": {"min_points": 0, "min_points_neutral": 0},
    "fib": {"near_fraction": 1},
    "min_strength": 0,
    "consolidation_strength": 0,
}
"""Settings of the strategy with which nearly every setup passes."""


def begun(capsys: pytest.CaptureFixture[str], state: Path, *options: str) -> Bot:
    """Return a bot with a few coins, two minutes into a session."""
    said = typed(capsys, "init", *options, "--symbols", str(COINS), "--state-dir", str(state))
    assert said.code == 0, said.err
    bot = Bot(state, capsys)
    bot.does("exchange tick open", "exchange tick 2m", "reconcile")
    return bot


@pytest.fixture
def bot(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Iterator[Bot]:
    yield begun(capsys, tmp_path / "state", "--profile", "smart_money")
    discard(tmp_path / "state")


@pytest.fixture
def eager(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Iterator[Bot]:
    values = yaml.safe_load((shipped_path("profiles") / "smart_money.yaml").read_text())
    merge(values, {"strategies": {"smart_money": EAGER}})
    (tmp_path / "eager.yaml").write_text(yaml.safe_dump(values))
    yield begun(capsys, tmp_path / "state", "--config", str(tmp_path / "eager.yaml"))
    discard(tmp_path / "state")


@pytest.mark.campaign
def test_a_quiet_market_is_told_apart_from_missing_data_and_settings_say_what_they_would_change(bot: Bot) -> None:
    assert bot.says("trade-once").code == 0
    looked = [
        bot.json("why-no-orders", symbol) for symbol in bot.json("config", "show", "universe")["values"][0]["value"]
    ]
    for record in looked:
        own = [one for one in record["decisions"] if one["gate"] == "strategy"]
        assert [one["about"] for one in own][:4] == ["data", "bias", "setup", "regime"]
        assert len(own) >= 9, "a question wasn't asked after a no"
    health = {row["subject"]: row["state"] for row in bot.json("health")["judgments"]}
    assert "FAILED" not in health.values(), "a quiet market is no fault"
    (of,) = bot.json("score", "--variants")["strategies"]
    assert [one["setting"] for one in of["variants"]] == ["nearer level", "wider zone", "hourly bars", "calm markets"]
    for one in of["variants"]:
        assert one["passing"] == len(of["passing"]) + len(one["more"]) - len(one["fewer"])
        assert not set(one["more"]) & set(of["passing"])
    assert "pass its own filters now" in bot.says("score", "--variants").out
    (score,) = bot.json("score", "--explain", "btc")["scores"]
    parts = {part["name"]: part for part in score["components"]}
    assert sum(Decimal(str(part["contribution"])) for part in parts.values()) == pytest.approx(
        Decimal(str(score["score"]))
    )
    assert {one["name"] for one in parts["cost"]["inputs"]} == {"points", "most", "round_trip"}
    assert bot.json("registry")["coins"][0]["tier"] == "A"


@pytest.mark.campaign
def test_a_position_gets_its_stop_and_its_ladder_in_steps_of_its_own_risk(eager: Bot) -> None:
    eager.does("trade-once", "exchange tick 2m", "evaluate-exits")
    placed = [one for one in log(eager.url) if one["event"] == "order_accepted"]
    held = eager.json("positions")["positions"]
    assert len(held) >= 2
    for position in held:
        quantity, entry = Decimal(position["quantity"]), Decimal(position["average_price"])
        away = [one for one in placed if one["symbol"] == position["symbol"]][1:]
        (stop,) = [one for one in away if one["type"] == "stop"]
        risk = abs(entry - Decimal(stop["stop_price"]))
        targets = sorted(
            (abs(Decimal(one["limit_price"]) - entry) / risk, Decimal(one["qty"]) / abs(quantity))
            for one in away
            if one["type"] == "limit"
        )
        assert Decimal(stop["qty"]) == abs(quantity)
        # Prices are on the tick, and a fill that came later moved the average price by less than stops are moved for.
        for (step, share), r in zip(targets, (Decimal(1), Decimal("2.5")), strict=False):
            assert abs(step - r) < r / 50
            assert Decimal("0.39") < share <= Decimal("0.4")
