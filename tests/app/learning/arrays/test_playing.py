"""Arrays play what the road plays, to the cent: position, refusals, reward and each number of the observation."""

from collections.abc import Callable, Iterator

import pytest

from tests.app.learning.arrays.drawing import LIMITS, NAMES, plan, sequence, tapes
from tradebot.app.learning.arrays.account import Account
from tradebot.app.learning.arrays.choosing import differs, drawn
from tradebot.app.learning.arrays.playing import TapeTurns
from tradebot.app.learning.environment import Environment
from tradebot.model.reasons import Reason

SEQUENCES, STEPS, PART, SHARES = 1000, 500, 50, 5
"""How many sequences are drawn, how long each is, and one of how many parts of them a run plays, in how many tests."""


def test_an_hour_of_drawn_actions_is_the_same_on_both() -> None:
    (tape,) = tapes(plan())
    assert differs(tape, drawn(1, 40)) is None


@pytest.mark.campaign
@pytest.mark.parametrize("share", range(SHARES))
def test_drawn_sequences_are_the_same_on_both(share: int, request: pytest.FixtureRequest) -> None:
    seed = int(request.config.getoption("--seed"))
    for number in range(seed % PART + PART * share, SEQUENCES, PART * SHARES):
        of = sequence(number, STEPS)
        for tape in tapes(of.plan):
            assert differs(tape, of.actions) is None, f"sequence {number}"


@pytest.mark.campaign
def test_the_drawn_limits_reach_every_reason_that_arrays_know() -> None:
    told: set[str] = set()
    for number in range(3 * len(LIMITS)):
        of = sequence(number, STEPS)
        for tape in tapes(of.plan):
            told |= set(refused(tape.terms, lambda _, tape=tape: TapeTurns(tape), of.actions))  # type: ignore[misc]
    assert told == {
        Reason.HALTED, Reason.SIZE_BELOW_ONE, Reason.MAX_SESSION_ENTRIES, Reason.MAX_SYMBOL_ENTRIES,
        Reason.ORDER_NOTIONAL_BELOW_MIN, Reason.SYMBOL_NOTIONAL_ABOVE_MAX, Reason.CONTRACTS_ABOVE_MAX,
        Reason.DAILY_LOSS_REACHED, Reason.COOLDOWN, Reason.DUPLICATE_ORDER,
    }  # fmt: skip
