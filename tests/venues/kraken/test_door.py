"""What `doctor` asks of Kraken Futures alone: the last nonce, and whether the key may trade."""

import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.kit.adapters.kraken import error, venue_at
from tests.kit.fakes.scripted import Scripted, Wire, serving
from tradebot.adapters.wire.json_fields import DriftTally
from tradebot.judging.judgment import HealthState
from tradebot.model.struct_tools import replace
from tradebot.venues.kraken.client import Nonces
from tradebot.venues.kraken.door import door

OWN = door().checks.own
MISSING = {"result": "success", "cancelStatus": {"status": "notFound"}, "serverTime": "2026-11-20T15:30:00Z"}


@pytest.fixture
def wire() -> Iterator[Wire]:
    with serving() as at:
        yield at


@pytest.mark.parametrize(
    ("ahead_s", "state"), [(-3600, HealthState.OK), (30, HealthState.OK), (90, HealthState.DEGRADED)]
)
def test_a_nonce_far_ahead_of_the_clock_is_told(
    wire: Wire, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, ahead_s: int, state: HealthState
) -> None:
    taken_ns = time.time_ns() + ahead_s * 10**9
    with monkeypatch.context() as clock:
        clock.setattr(time, "time_ns", lambda: taken_ns)
        Nonces(tmp_path).take()
    look = OWN["nonce"](replace(venue_at(wire), nonces=Nonces(tmp_path)), DriftTally())
    assert (look.state, bool(look.fix), wire.asked) == (state, state is HealthState.DEGRADED, [])


@pytest.mark.parametrize(
    ("told", "state"),
    [
        (MISSING, HealthState.OK),
        ({**MISSING, "cancelStatus": {"status": "cancelled"}}, HealthState.FAILED),
        (error("insufficientPrivileges"), HealthState.FAILED),
        ([], HealthState.FAILED),
    ],
)
def test_a_key_may_trade_if_it_is_told_that_an_order_is_missing(wire: Wire, told: object, state: HealthState) -> None:
    wire.answer(Scripted(200, told))
    look = OWN["key"](venue_at(wire), DriftTally())
    assert (look.state, [(one.method, one.path) for one in wire.asked]) == (
        state,
        [("POST", "/derivatives/api/v3/cancelorder")],
    )
