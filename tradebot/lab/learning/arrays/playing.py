"""Play a tape from one question to the next, in the place of the road: what asks and answers is the same."""

from __future__ import annotations

from decimal import Decimal
from typing import TYPE_CHECKING

import numpy as np

from tradebot.lab.learning.arrays.account import Account
from tradebot.lab.learning.arrays.known import CENTS
from tradebot.lab.learning.environment import Moment
from tradebot.model.reasons import Reason
from tradebot.signals.features.state import STATE, observed

if TYPE_CHECKING:
    from collections.abc import Generator, Mapping

    from tradebot.lab.learning.arrays.tape import Tape
    from tradebot.lab.learning.environment import Observation
    from tradebot.signals.features.state import State

UNTIL_SESSION_ENDS = frozenset({Reason.MAX_SESSION_ENTRIES, Reason.MAX_SYMBOL_ENTRIES})
"""What is refused by these stays refused, so the rest of a change of sides isn't tried again."""
CENT = Decimal("0.01")


class TapeTurns:
    """The turns of an episode on a tape: `question`, then `answer`, and so on until there is no question left."""

    def __init__(self, tape: Tape) -> None:
        self._playing = _moments(tape, self)
        self.target = 0

    def question(self) -> Moment | None:
        """Return the next moment, None after the last one."""
        return next(self._playing, None)

    def answer(self, answer: int) -> None:
        """Answer the last question."""
        self.target = answer

    def stop(self) -> None:
        """Give the episode up."""
        self._playing.close()


def _moments(tape: Tape, turns: TapeTurns) -> Generator[Moment]:
    account, last = Account(tape), len(tape.minutes) - 1
    refused: Mapping[str, int] = {}
    for number, ask in enumerate(tape.asks):
        place = ask.place
        # What fills now isn't in the books yet, but in the account's equity.
        known, in_books = account.held, account.state(ask)
        account.fill(place)
        equity = account.equity(place)
        shown = _shown(tape, number, in_books._replace(equity=equity / CENTS, drawdown=account.drawdown(place)))
        yield Moment(ask.at, equity * CENT, account.held, shown, refused, {}, symbol=tape.symbol)
        reason = _step(tape, account, number, known, turns.target)
        refused = {str(reason): 1} if reason else {}
    account.fill(last)
    yield Moment(tape.ends, account.equity(last) * CENT, account.held, None, refused, {}, ended=True)


def _step(tape: Tape, account: Account, number: int, held: int, target: int) -> Reason | None:
    """Bring an account to the next ask; return what was refused last, None if nothing was.

    `held` is what the books know of when the policy is asked.
    """
    at, last = tape.asks[number].place, number + 1 == len(tape.asks)
    ends = len(tape.minutes) - 1 if last else tape.asks[number + 1].place
    reason = None if target == held else account.turn(at, target, number)
    changes_sides = held * target < 0 and reason is None
    for place in range(at + 1, ends):
        known = account.held
        account.fill(place)
        if place in tape.closes:
            account.close(place)
            changes_sides = False
        if place in tape.looks:
            # A pass of exits comes before one of entries, and notes what has filled.
            known = account.held
            account.see(place)
        if changes_sides and known not in (held, target):
            reason = account.turn(place, target, number)
            changes_sides = reason not in UNTIL_SESSION_ENDS
    return reason


def _shown(tape: Tape, number: int, state: State) -> Observation:
    many = tape.shown.shape[1]
    found = np.empty(many + len(STATE), dtype=np.float32)
    found[:many] = tape.shown[number]
    found[many:] = observed(state)
    return found
