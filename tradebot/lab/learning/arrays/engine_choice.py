"""Choose whether an agent is trained on arrays or on the road: on arrays only where both say the same to the cent."""

from __future__ import annotations

from decimal import Decimal
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from tradebot.lab.learning.arrays.account import Account
from tradebot.lab.learning.arrays.episode_data import BeyondError, Tape, tapes_of
from tradebot.lab.learning.arrays.supported_rules import CENTS
from tradebot.lab.learning.environment import ACTIONS, Environment, Moment, on_the_road
from tradebot.model.reasons import Reason
from tradebot.signals.features.state import STATE, observed

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Iterator, Mapping, Sequence

    from tradebot.lab.learning.environment import Observation, Play, Terms
    from tradebot.lab.learning.scaling import Scaling
    from tradebot.lab.learning.training.training_rows import Row
    from tradebot.signals.features.state import State

CHECKED, STEPS, LONGEST = 3, 120, 6
"""How many tapes are compared with the road before they are used, for how many steps, and how long an action lasts."""


class Chosen(NamedTuple):
    """The episodes that an agent is trained in, one after another, how they begin, and why it isn't on arrays."""

    spans: tuple[Terms, ...]
    begin: Callable[[Terms], Play]
    why: str = ""


def chosen(spans: Sequence[Terms], scaling: Scaling, parts: Sequence[Sequence[Row]], seed: int) -> Chosen:
    """Return episodes on arrays if they play these spans as the road does, and otherwise the spans on the road.

    `parts` are the rows of each span. On arrays, a change of contract ends an episode.
    """
    try:
        tapes = [tape for terms, rows in zip(spans, parts, strict=True) for tape in tapes_of(terms, scaling, rows)]
    except BeyondError as error:
        return Chosen(tuple(spans), on_the_road, str(error))
    compared = sorted({0, len(tapes) // 2, len(tapes) - 1})[:CHECKED]
    for place in compared:
        if different := differs(tapes[place], drawn(seed + place, STEPS)):
            return Chosen(tuple(spans), on_the_road, f"arrays and the road differ: {different}")
    by_dates = {(tape.terms.first, tape.terms.last): tape for tape in tapes}
    return Chosen(tuple(tape.terms for tape in tapes), lambda terms: TapeTurns(by_dates[terms.first, terms.last]))


def drawn(seed: int, steps: int) -> list[int]:
    """Return actions drawn from a seed, each of which lasts for some steps."""
    chance = np.random.default_rng(seed)
    held = chance.integers(1, LONGEST + 1, steps)
    return [int(one) for one in np.repeat(chance.integers(ACTIONS[0], ACTIONS[-1] + 1, steps), held)[:steps]]


def differs(tape: Tape, actions: Sequence[int]) -> str | None:
    """Return the first difference between a tape and the road under the same actions; None if there is none.

    Equity, position, what is refused, reward, end and each number of the observation are compared as they are.
    """
    here = _told(tape.terms, lambda _: TapeTurns(tape), actions)
    for step, (one, other) in enumerate(zip(here, _told(tape.terms, on_the_road, actions), strict=True)):
        if one != other:
            names = ", ".join(name for name in other if one[name] != other[name])
            return f"{names} after {step} steps, at {other['at']:%Y-%m-%d %H:%M}"
    return None


def _told(terms: Terms, begin: Callable[[Terms], Play], actions: Sequence[int]) -> Iterator[dict[str, Any]]:
    """Yield what an environment tells at the beginning and after each step, up to its end."""
    with Environment(terms, begin) as episode:
        observation, info = episode.reset()
        yield _all(observation, info)
        for action in actions:
            observation, reward, over, cut, info = episode.step(action)
            yield _all(observation, {**info, "reward": reward, "end": (over, cut)})
            if over or cut:
                return


def _all(observation: Observation, info: dict[str, Any]) -> dict[str, Any]:
    # What was passed over is told by the rows that a tape is made of.
    return {**info, "observation": observation.tobytes(), "passed_over": {}}


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
