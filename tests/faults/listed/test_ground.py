"""An exchange in the tests' process is the one that is served: a bot's day leaves the same log on both."""

from typing import Any

import pytest

from tests.faults.listed.ground import SESSIONS, UNTIL_FILLED_S, Near, Trader
from tests.kit.bot.stage import Stage, set_up


def day(stage: Stage, capture: pytest.CaptureFixture[str]) -> list[dict[str, Any]]:
    """Trade through a lie, a refusal and a lost answer, and return the exchange's log."""
    trader = Trader(stage, stage.bot("twin"), capture)
    trader.reconciles()
    trader.holds("AAPL", "JPM")
    for what, when in (("missing_rows", "GET /v2/orders"), ({"status": 503}, "positions"), ("reply_lost", "submit")):
        trader.trouble(what, request=when)
        trader.buys("MSFT", again=True)
        stage.tick(seconds=UNTIL_FILLED_S)
        trader.exits()
        trader.calm()
    trader.reconciles()
    trader.flattens()
    stage.tick(seconds=UNTIL_FILLED_S)
    assert trader.reconciles().code == 0
    trader.is_whole()
    return list(stage.log())


@pytest.mark.campaign
def test_near_exchange_keeps_the_log_of_a_served_one(capsys: pytest.CaptureFixture[str]) -> None:
    logs = []
    for kind in (Stage, Near):
        with set_up(SESSIONS, kind=kind) as stage:
            logs.append(day(stage, capsys))
    assert logs[0] == logs[1]
    assert {"request", "order_accepted", "fill", "fault_fired"} <= {event["event"] for event in logs[0]}
