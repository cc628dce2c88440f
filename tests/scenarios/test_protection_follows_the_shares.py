"""A long and a short that are protected at the broker keep their stops through a split and a new name.

What `positions` shows to rest is what the exchange holds. The tests run in their order on one bot.
"""

import json
from collections.abc import Mapping
from decimal import Decimal
from pathlib import Path
from typing import Any

import requests

from tests.kit.bot.folder import Bot, second_session
from tests.scenarios.test_states_at_the_broker import resting, shown

SIDES = {"NVDA": "buy", "AMZN": "sell"}
BOT_FLAGS = ("--sessions", "6")
BOT_SETTINGS = "exits: {time_exit_s: 604800, profit_target_fraction: 0.5, trailing_arm_fraction: 0.4}\n"
TWO_FOR_ONE: dict[str, object] = {"new_rate": 2, "old_rate": 1}
LOSS = Decimal("0.02")
TICK = Decimal("0.01")


def overnight(bot: Bot, *actions: Mapping[str, object]) -> None:
    """Let actions take effect before the next session, and run a pass of exits in it."""
    for action in actions:
        assert requests.post(f"{bot.url}/exchange/v1/actions", json=action, timeout=60).status_code == 200
    bot.does("exchange tick close", "exchange tick next_open", "exchange tick 5m", "evaluate-exits")


def stops(bot: Bot) -> dict[str, Decimal]:
    """Return the stop that rests for each position; each covers all its shares, and is where the rule wants it."""
    found = {}
    for symbol, row in shown(bot).items():
        ((price, quantity),) = [(price, quantity) for kind, price, quantity in resting(bot, symbol) if kind == "stop"]
        assert [Decimal(one["price"]) for one in row["protection"]["resting"] if one["is_stop"]] == [price]
        assert (row["state"], quantity) == ("protected", abs(Decimal(row["quantity"])))
        side = 1 if Decimal(row["quantity"]) > 0 else -1
        assert abs(price - Decimal(row["average_price"]) * (1 - side * LOSS)) <= TICK
        found[symbol] = price
    return found


def test_both_sides_are_protected(bot: Bot, tmp_path: Path) -> None:
    second_session(bot)
    lines: list[Any] = [{"symbol": symbol, "side": side, "score": 0.6} for symbol, side in SIDES.items()]
    (tmp_path / "lines").write_text("\n".join(map(json.dumps, lines)))
    assert bot.json("trade-once", "--candidates", str(tmp_path / "lines"))["orders"] == 2
    bot.does("exchange tick 1m", "evaluate-exits")
    assert set(stops(bot)) == set(SIDES)


def test_after_a_split_the_stops_are_those_of_the_new_shares(bot: Bot) -> None:
    before, held = stops(bot), shown(bot)
    overnight(bot, *({"type": "forward_split", "symbol": symbol, **TWO_FOR_ONE} for symbol in SIDES))
    for symbol, price in stops(bot).items():
        assert abs(price - before[symbol] / 2) <= TICK
        assert Decimal(shown(bot)[symbol]["quantity"]) == 2 * Decimal(held[symbol]["quantity"])


def test_under_a_new_name_the_same_stops_rest_again(bot: Bot) -> None:
    before, names = stops(bot), {"NVDA": "PEAR", "AMZN": "PLUM"}
    overnight(bot, *({"type": "name_change", "symbol": old, "new_symbol": new} for old, new in names.items()))
    after = stops(bot)
    # The exchange had rounded the stops of the split itself, perhaps by a tick to the other side.
    assert all(abs(after[names[symbol]] - price) <= TICK for symbol, price in before.items())
    assert all(resting(bot, symbol) == [] for symbol in SIDES)
