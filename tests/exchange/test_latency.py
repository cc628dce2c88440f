"""How long cancels and replacements are on their way: as people write it, and as it is set while an exchange lives."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.exchange.worlds import World, open_world
from tradebot.exchange.clock import LATENCIES, latency_name, read_latency

LATENCY = "/exchange/v1/latency"


@pytest.mark.parametrize(
    ("text", "us"),
    [("instant", 0), ("slow", 5_000_000), ("250", 250_000), ("2s", 2_000_000), ("3600s", 3_600_000_000)],
)
def test_a_latency_is_a_name_or_a_number_of_milliseconds_or_seconds(text: str, us: int) -> None:
    assert read_latency(text) == us
    assert read_latency(latency_name(us)) == us


@pytest.mark.parametrize("name", LATENCIES)
def test_a_latency_with_a_name_is_shown_by_it(name: str) -> None:
    assert latency_name(read_latency(name)) == name


def resting(world: World) -> Any:
    return world.order("AAPL", "buy", 2, limit_price="1.00").json["id"]


def test_it_is_set_from_now_on_and_outlives_a_restart(new_folder: Callable[[], Path]) -> None:
    folder = new_folder()
    world = open_world(folder)
    world.tick(to="open")
    first, second, third = resting(world), resting(world), resting(world)
    assert world.ask("POST", LATENCY, {"latency": "2s"}).json == {"latency": "2s"}
    world.ask("DELETE", f"/v2/orders/{first}")
    world.ask("POST", LATENCY, {"latency": "slow"})
    world.ask("DELETE", f"/v2/orders/{second}")
    world.exchange.commit()
    again = open_world(folder)
    assert again.get("/exchange/v1/status")["latency"] == "slow"
    again.ask("DELETE", f"/v2/orders/{third}")
    states = []
    for seconds in (0, 2, 3):
        again.tick(seconds=seconds)
        states.append([again.get(f"/v2/orders/{one}")["status"] for one in (first, second, third)])
    assert states == [
        ["pending_cancel"] * 3,
        ["canceled", "pending_cancel", "pending_cancel"],
        ["canceled"] * 3,
    ]
    assert [line["latency"] for line in again.events() if line["event"] == "latency_set"] == ["2s", "slow"]
