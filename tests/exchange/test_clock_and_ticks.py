"""Engine time: it stands still until ticked, goes where it is told, and never runs backwards."""

import pytest

from tests.exchange.worlds import World


def test_tick_moves_to_the_open_the_close_and_the_next_open(world: World) -> None:
    assert world.tick(to="open")["now"] == "2025-03-03T14:30:00Z"
    assert world.tick(to="open")["now"] == "2025-03-03T14:30:00Z"
    assert world.tick(to="close")["now"] == "2025-03-03T21:00:00Z"
    assert world.tick(to="next_open")["now"] == "2025-03-04T14:30:00Z"
    clock = world.get("/v2/clock")
    assert (clock["is_open"], clock["next_close"]) == (True, "2025-03-04T16:00:00-05:00")


def test_the_market_ends_at_its_last_close(world: World) -> None:
    assert world.tick(seconds=864_000)["finished"] is True
    assert world.tick(seconds=60)["now"] == "2025-03-04T21:00:00Z"
    assert world.tick(to="next_open")["now"] == "2025-03-04T21:00:00Z"
    assert world.tick(to="2025-03-05T16:59:00Z")["now"] == "2025-03-05T16:59:00Z"


@pytest.mark.parametrize(
    "body",
    [
        {"to": "2025-03-03T13:00:00Z"},
        {"to": "2025-03-05T17:00:01Z"},
        {"to": "9999-99-99"},
        {"to": "0001-01-01T00:00:00+23:59"},
        {"to": 5},
        {"seconds": -1},
        {"seconds": 1e300},
        {"seconds": "soon"},
        {"seconds": 1, "to": "open"},
        {"minutes": 1},
        {},
        [],
    ],
)
def test_invalid_tick_is_refused_and_moves_nothing(world: World, body: object) -> None:
    answer = world.ask("POST", "/exchange/v1/tick", body)
    assert (answer.status, answer.json["code"]) == (400, 40010000)
    assert world.get("/exchange/v1/status")["now"] == "2025-03-03T14:00:00Z"
