"""Limits that may be off, on the embedded exchange: its log says what they let through.

On the embedded exchange, a better candidate gets room only after the weaker position is really gone.
"""

import json
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.kit.bot.folder import Bot, log
from tests.kit.bot.state import accept
from tests.kit.core.scene import Scene, call, evaluate_exits, trade_once, wanted
from tests.kit.values import OPTIONS, limits
from tradebot.model.candidate import Purpose, Side
from tradebot.model.reasons import Reason
from tradebot.model.record import Job


def enters(bot: Bot, **limits: object) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    """Return a pass of entries under these limits, and the entries that the exchange accepted."""
    path = bot.folder / "tradebot.yaml"
    settings = yaml.safe_load(path.read_text()) or {}
    settings["limits"] = {**settings.get("limits", {}), **limits}
    path.write_text(yaml.safe_dump(settings))
    assert bot.says("config", "check").code == 0
    return dict(bot.json("trade-once")), [row for row in log(bot.url) if row["event"] == "order_accepted"]


def notional(order: dict[str, Any]) -> Decimal:
    return Decimal(order["qty"]) * Decimal(order["limit_price"])


def test_a_limit_on_risk_makes_each_order_as_small_as_its_stop_demands(trader: Bot) -> None:
    _, orders = enters(trader, max_risk_fraction=0.0004)
    # 40 USD at a stop of 2 % are 2,000 USD of shares; without the limit, an order is of up to 5,000 USD.
    assert orders
    assert all(Decimal(1000) < notional(order) <= Decimal(2000) for order in orders)


@pytest.mark.parametrize(
    ("limits", "reason"),
    [({"max_beta_fraction": 0.5}, "BETA_UNKNOWN"), ({"min_equity_usd": 200_000}, "EQUITY_BELOW_FLOOR")],
)
def test_what_a_limit_does_not_allow_never_reaches_the_exchange(
    trader: Bot, limits: dict[str, object], reason: str
) -> None:
    pass_of, orders = enters(trader, **limits)
    assert orders == []
    assert pass_of["refused"][reason] > 0


def test_an_order_of_the_same_pass_counts_before_it_fills() -> None:
    scene = Scene(limits=limits(max_net_fraction="0.06"))
    wishes = wanted("AAPL", 0.9), wanted("MSFT", 0.8), wanted("JPM", 0.7, Side.SELL)
    ends = [one.terminal and one.terminal.reason for one in trade_once(scene.world(*wishes), call()).candidates]
    assert ends == [None, Reason.NET_NOTIONAL_ABOVE_MAX, None]
    assert [intent.instrument.symbol for intent in scene.venue.submitted] == ["AAPL", "JPM"]


def stopped_out(scene: Scene, symbol: str = "AAPL", side: Side = Side.BUY) -> Scene:
    """Let an entry be stopped out 50 minutes ago; return the scene."""
    trade_once(scene.world(wanted(symbol, side=side)), call(slot=f"enter {symbol}"))
    scene.venue.fill(scene.venue.submitted[-1].client_order_id, "100")
    scene.later(60)
    away = str(100 - 5 * side.sign)
    scene.price(symbol, away)
    evaluate_exits(scene.world(), call(Job.EVALUATE_EXITS, f"exit {symbol}"))
    exit_order = scene.venue.submitted[-1]
    assert (exit_order.purpose, exit_order.instrument.symbol) == (Purpose.CLOSE, symbol)
    scene.venue.fill(exit_order.client_order_id, away)
    scene.price(symbol, "100")
    scene.later(3000)
    return scene


def refused_for(scene: Scene, symbol: str = "AAPL", side: Side = Side.BUY) -> Reason | None:
    (record,) = trade_once(scene.world(wanted(symbol, side=side)), call(slot=f"{scene.venue.now:%H%M}")).candidates
    return record.terminal.reason if record.terminal else None


@pytest.mark.parametrize("side", Side)
@pytest.mark.parametrize("again", Side)
@pytest.mark.parametrize(
    ("names", "reason"),
    [(("loss_cooldown_s",), Reason.LOSS_COOLDOWN), (("wash_sale_days",), Reason.WASH_SALE), ((), None)],
)
def test_after_a_loss_its_symbol_waits_longer_whichever_side_lost(
    names: tuple[str, ...], reason: Reason | None, side: Side, again: Side
) -> None:
    scene = Scene(limits=limits(**{name: OPTIONS[name] for name in names}))
    assert refused_for(stopped_out(scene, side=side), side=again) is reason


def test_a_streak_of_losses_closes_every_symbol_until_its_wait_has_passed() -> None:
    scene = Scene(limits=limits(max_loss_streak=2, loss_streak_wait_s=7200))
    stopped_out(stopped_out(scene), "MSFT")
    assert refused_for(scene, "JPM") is Reason.LOSS_STREAK
    scene.later(4199)
    assert refused_for(scene, "JPM") is Reason.LOSS_STREAK
    scene.later(1)
    assert refused_for(scene, "JPM") is None


SETTINGS = """
limits: {max_open_positions: 1, max_new_entries: 1, min_score: 0.01, min_coverage: 0.1}
displacement: {enabled: true, min_age_s: 600, gain_band_fraction: 1}
"""


def wants(bot: Bot, symbol: str, score: float) -> Any:
    """Run a pass of entries in which a strategy wants a symbol; return each row's reason by symbol and side."""
    file: Path = bot.folder / f"{symbol}.jsonl"
    file.write_text(json.dumps({"symbol": symbol, "side": "buy", "score": score, "strategy": "mine"}) + "\n")
    rows = bot.json("trade-once", "--candidates", str(file), "--force-slot")["rows"]
    return {(row["symbol"], row["side"]): row["reason"] for row in rows}


def tick(bot: Bot, span: str = "5m") -> None:
    """Let time pass, compare the books, and let a pass of exits place what protects the positions."""
    assert bot.says("exchange", "tick", span).code == 0
    bot.does("reconcile", "evaluate-exits --force-slot")


def test_the_weaker_position_is_sold_before_the_better_candidate_is_bought(trader: Bot) -> None:
    (trader.folder / "tradebot.yaml").write_text(SETTINGS)
    accept(trader.folder)
    assert wants(trader, "AAPL", 0.5) == {("AAPL", "buy"): None}
    tick(trader)
    assert wants(trader, "MSFT", 0.9) == {("MSFT", "buy"): "POSITION_TOO_YOUNG"}
    tick(trader, "10m")
    assert wants(trader, "MSFT", 0.9) == {("AAPL", "sell"): None, ("MSFT", "buy"): "DISPLACEMENT_STARTED"}
    tick(trader)
    assert wants(trader, "MSFT", 0.9) == {("MSFT", "buy"): None}
    tick(trader)
    fills = [(one["symbol"], one["side"]) for one in log(trader.url) if one["event"] == "fill"]
    assert list(dict.fromkeys(fills)) == [("AAPL", "buy"), ("AAPL", "sell"), ("MSFT", "buy")]
    events = [json.loads(line) for line in (trader.folder / "system_events.jsonl").read_text().splitlines()]
    assert [event["symbol"] for event in events if event["event_type"] == "missed_candidate"] == ["MSFT"]
