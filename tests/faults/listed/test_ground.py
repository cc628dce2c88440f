"""An exchange in the tests' process is the one that is served: a bot's day leaves the same log on both."""

from typing import Any

import pytest

from tests.faults.listed.conftest import SESSIONS
from tests.kit.bot.stage import NearStage, Stage, set_up
from tests.kit.bot.trader import UNTIL_FILLED_S, Trader


def day(stage: Stage) -> list[dict[str, Any]]:
    """Trade through a lie, a refusal and a lost answer, and return the exchange's log."""
    trader = Trader(stage, stage.bot("twin"))
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
def test_near_exchange_keeps_the_log_of_a_served_one() -> None:
    logs = []
    for kind in (Stage, NearStage):
        with set_up(SESSIONS, kind=kind) as stage:
            logs.append(day(stage))
    assert logs[0] == logs[1]
    assert {"request", "order_accepted", "fill", "fault_fired"} <= {event["event"] for event in logs[0]}
