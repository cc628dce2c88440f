"""What blocked trades would have earned: each once, for the gate that refused it first, if nothing let it through."""

from datetime import datetime

import pytest

from tests.kit.trades import Told, judged
from tradebot.auditing.confidence_intervals import fewest_sessions
from tradebot.auditing.outcomes import STAKE_USD
from tradebot.lab.learn.blocked import HELD_S, Blocked
from tradebot.lab.learn.values import Item, Proposal
from tradebot.model.decision import Gate
from tradebot.model.record import Judged

SCORE, ROOM = Gate.SCORE, Gate.OWN_OPEN_POSITIONS


class Held(Told):
    """Returns of four hours that a test makes up, by symbol."""

    def __init__(self, gains: dict[str, float]) -> None:
        self._gains = gains

    def held(self, symbol: str, at: datetime, longest_s: int) -> float | None:
        assert longest_s == HELD_S == 4 * 3600
        return self._gains.get(symbol)


def found(*days: tuple[dict[str, float], list[Judged]]) -> dict[str, Proposal]:
    blocked = Blocked()
    for gains, each in days:
        blocked.add(Held(gains), each)
    settings = {("flow", SCORE): "strategies.flow.limits.min_score"}
    proposals = list(blocked.proposals(settings, {("flow", SCORE): "0.2"}))
    assert all((one.item, one.proposed) == (Item.BLOCKED, None) for one in proposals)
    return {one.part: one for one in proposals}


def test_trade_counts_once_for_its_first_refusal_on_its_own_side() -> None:
    made = [
        judged("AAPL", 0.5, SCORE),
        judged("AAPL", 0.5, ROOM, minute=5),
        judged("MSFT", -0.5, SCORE, minute=5),
        judged("NVDA", 0.5, SCORE),
        judged("NVDA", 0.5, None, minute=10),
        judged("TSLA", 0.5, ROOM, was_gated=False),
        judged("AMZN", 0.0, ROOM),
        judged("SPY", 0.5, ROOM),
    ]
    rows = found(({"AAPL": 0.03, "MSFT": 0.01, "NVDA": 0.5, "TSLA": 0.5, "AMZN": 0.5}, made))
    assert {name: one.n for name, one in rows.items()} == {SCORE: 2}
    one = rows[SCORE]
    assert (one.setting, one.value) == ("strategies.flow.limits.min_score", "0.2")
    assert (one.missing, one.missing_sessions, one.low) == (28, fewest_sessions(1) - 1, None)
    assert f"they would have earned {0.02 * STAKE_USD:.2f} USD before costs. To say more takes" in one.evidence


@pytest.mark.parametrize(("gain", "says"), [(0.01, "cost money. Learning loosens nothing"), (-0.01, "saved money.")])
def test_enough_refusals_say_what_they_cost_or_saved(gain: float, says: str) -> None:
    names = [f"S{number}" for number in range(4)]
    days = [
        (dict.fromkeys(names, gain * (1 + 0.1 * (session % 3))), [judged(name, 0.5, ROOM) for name in names])
        for session in range(10)
    ]
    one = found(*days)[ROOM]
    assert (one.n, one.missing, one.missing_sessions) == (40, 0, 0)
    assert says in one.evidence
    assert one.setting is None


def test_refusals_that_may_be_chance_say_so() -> None:
    names = [f"S{number}" for number in range(4)]
    days = [
        (dict.fromkeys(names, 0.01 * (-1) ** session), [judged(name, 0.5, ROOM) for name in names])
        for session in range(10)
    ]
    assert "that can't be told from chance" in found(*days)[ROOM].evidence
