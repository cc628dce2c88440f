"""Requests wait for one another only as long as the venue would refuse them, by the embedded exchange's own count."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from papervenue.faces.kraken import face
from papervenue.times import SECOND
from tests.kit.adapters.kraken import venue_at
from tests.kit.fakes.scripted import Scripted, Wire
from tradebot.model.struct_tools import replace
from tradebot.model.trading import Mode
from tradebot.venues.kraken.client import COSTS, MOST, SPAN_S, Client, RequestBudget, sandbox_secret, venue_of

PATHS = st.sampled_from([f"/derivatives/api/v3/{name}" for name in (*COSTS, "tickers")])
ASKED = st.lists(st.tuples(PATHS, st.sampled_from([0.0, 0.0, 0.1, 4.0, 11.0])), max_size=250)


class Time:
    """A clock that goes on only when somebody waits."""

    def __init__(self) -> None:
        self.now, self.waited = 1_000.0, list[float]()

    def sleep(self, seconds: float) -> None:
        """Let time pass."""
        self.waited.append(seconds)
        self.now += seconds


def cost_of(path: str) -> int:
    name = path.rpartition("/")[2]
    return face.FILLS_SINCE if name == "fills" else face.COSTS.get(name, 0)


@given(ASKED)
def test_no_request_comes_when_the_venue_would_refuse_it(asked: list[tuple[str, float]]) -> None:
    time = Time()
    venue = face.Limits(lambda: round(time.now * SECOND), lambda: True)
    pace = RequestBudget(lambda: time.now, time.sleep)
    for path, passes_s in asked:
        pace.wait(path)
        assert venue.spend("key", face.TRADING, cost_of(path)) == 0
        time.now += passes_s
    assert all(0 < waited <= SPAN_S for waited in time.waited)
    assert venue.peaks["trading"] <= MOST


def test_orders_wait_only_once_their_budget_is_spent() -> None:
    time = Time()
    pace = RequestBudget(lambda: time.now, time.sleep)
    for _ in range(MOST // 10):
        pace.wait("/derivatives/api/v3/sendorder")
    assert time.waited == []
    pace.wait("/derivatives/api/v3/cancelorder")
    assert time.waited == [SPAN_S]


def test_each_cost_is_the_exchanges() -> None:
    assert {name: cost_of(name) for name in COSTS} == dict(COSTS)


@pytest.mark.parametrize("mode", Mode)
def test_only_the_embedded_exchange_is_asked_without_waiting(mode: Mode) -> None:
    url = "http://127.0.0.1:1" if mode is Mode.SANDBOX else None
    venue = venue_of(mode, url, "key", sandbox_secret("key"), None, lambda: None, lambda answer: None)
    assert (venue.pace is None) == (mode is Mode.SANDBOX)


def test_each_request_waits_first(wire: Wire) -> None:
    waits = list[str]()

    class Counted(RequestBudget):
        def wait(self, path: str) -> None:
            waits.append(path)

    wire.answer(Scripted(200, {"result": "success"}))
    Client(replace(venue_at(wire), pace=Counted())).read("/derivatives/api/v3/accounts")
    assert waits == ["/derivatives/api/v3/accounts"]
