"""Choose whether an agent is trained on the vectorized engine or by event-driven passes.

The vectorized engine is used only if both give the same results to the cent. It does the same as the event-driven
passes, minute by minute and with the same reasons, but only for some rules (see `episode_data.unsupported_feature`).
This second implementation of a pass exists because of its speed: a step takes 0.013 ms of CPU here and 1.9 ms in
event-driven passes (`benchmarks/environment.py`). So two million steps take half a minute instead of an hour.
"""

from __future__ import annotations

from decimal import Decimal
from math import ceil
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from tradebot.lab.learning.arrays.episode_data import (
    CENTS,
    EpisodeData,
    PolicyMoment,
    UnsupportedEpisodeError,
    tapes_of,
)
from tradebot.lab.learning.environment import (
    ACTIONS,
    Environment,
    EpisodeTerms,
    PolicyState,
    RunningEpisode,
    event_driven_episode,
)
from tradebot.model.reasons import Reason
from tradebot.signals.features.state import STATE, DecisionState, state_numbers

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Iterator, Mapping, Sequence

    from tradebot.lab.learning.environment import Observation
    from tradebot.lab.learning.training.training_rows import FittedScaling, TrainingRow

MINUTE_S, BAR_MINUTES = 60, 5


class _Order(NamedTuple):
    """An order that fills in the next minute: its contracts, signed, and for an entry, the number of its decision."""

    contracts: int
    enters: int | None = None


class EpisodeAccount:
    """One account, from the first minute of an episode's data on; `held` is how many contracts it has, signed."""

    def __init__(self, tape: EpisodeData) -> None:
        self._tape, self._rules = tape, tape.rules
        self._cash, self._began = tape.cash, tape.cash
        self._peak = 0
        self._halted = False
        self._lots: list[tuple[int, int]] = []
        self._order: _Order | None = None
        self._due_fee, self._filled_at = 0, -1
        self._entries: dict[int, list[int]] = {1: [], -1: []}
        # Orders of one decision on one side are one trade.
        self._trades: set[tuple[int, bool]] = set()
        self.held = self._entered = 0

    def equity(self, index: int) -> int:
        """Return the equity in cents at an index. A fill's commission is charged just after the fill."""
        unpaid = self._due_fee if self._filled_at == index else 0
        return self._cash + self.held * self._tape.marks[index] * self._tape.tick + unpaid

    def drawdown(self, index: int) -> float:
        """Return how far the equity is below its recorded maximum, as a fraction of that."""
        equity = self.equity(index)
        peak = max(self._peak, equity)
        return float(Decimal(peak - equity) / peak)

    def state(self, ask: PolicyMoment) -> DecisionState:
        """Return the policy's state at a decision. Contracts that were opened first are closed first."""
        tape, index = self._tape, ask.place
        mark = tape.marks[index]
        profit = sum(contracts * (mark - price) for contracts, price in self._lots) * tape.tick
        return DecisionState(
            position=float(self.held),
            unrealized=profit / CENTS,
            equity=self.equity(index) / CENTS,
            drawdown=self.drawdown(index),
            bars=(tape.minutes[index] - self._entered) // BAR_MINUTES if self.held else 0,
            gone=ask.gone,
            trades=len(self._trades),
        )

    def fill(self, index: int) -> None:
        """Fill the order that was sent in the previous minute: at the open of the minute at `index`, one tick worse."""
        order, self._order = self._order, None
        if order is None:
            return
        tape, contracts = self._tape, order.contracts
        price = tape.opens[index - 1] + (1 if contracts > 0 else -1)
        self._due_fee, self._filled_at = abs(contracts) * tape.fee, index
        self._cash -= contracts * price * tape.tick + self._due_fee
        if not self.held:
            self._entered = tape.minutes[index]
        if order.enters is not None:
            self._lots.append((contracts, price))
            self._trades.add((order.enters, contracts > 0))
        else:
            self._leave(contracts)
        self.held += contracts

    def _leave(self, contracts: int) -> None:
        while contracts:
            quantity, price = self._lots.pop(0)
            if abs(quantity) > abs(contracts):
                self._lots.insert(0, (quantity + contracts, price))
                return
            contracts += quantity

    def see(self, index: int) -> None:
        """Update the highest equity, and halt the bot until the episode ends if it has lost too much."""
        equity, rules = self.equity(index), self._rules
        self._peak = max(self._peak, equity)
        lost = Decimal(max(self._began - equity, 0)) / max(self._began, equity)
        fallen = Decimal(self._peak - equity) / self._peak
        self._halted = self._halted or lost >= rules.halt_day_loss or fallen >= rules.halt_drawdown

    def close(self, index: int) -> None:
        """End the session: reset its loss and its count of trades and, if the trade date ends too, the count of
        entries.
        """
        self._began = self.equity(index)
        self._trades.clear()
        if self._tape.closes[index]:
            self._entries = {1: [], -1: []}

    def move_to_target(self, index: int, target: int, ask: int) -> Reason | None:
        """Send the order that moves the position toward the target of decision number `ask`, counted from 0.

        Return the reason of a refusal, or None.
        """
        self.see(index)
        position, wanted = self.held, target - self.held
        if not wanted:
            return None
        if position * target < 0 or abs(target) < abs(position):
            self._order = _Order(-position if position * target < 0 else wanted)
            return None
        return self._enter(index, wanted, ask)

    def _enter(self, index: int, wanted: int, ask: int) -> Reason | None:
        tape, rules, side = self._tape, self._rules, 1 if wanted > 0 else -1
        if self._halted:
            return Reason.HALTED
        offer, equity = tape.marks[index] + 1, self.equity(index)
        worst = offer if side < 0 else ceil(offer * (1 + rules.entry_offset))
        unit = worst * tape.tick
        budget = min(rules.order_fraction * equity, Decimal(rules.most_cents))
        contracts = min(abs(wanted), max(int(budget / unit), 0))
        if rules.order_contracts is not None:
            contracts = min(contracts, rules.order_contracts)
        why = self._first_refusal(index, side, contracts, contracts * unit, equity)
        if why is None:
            self._entries[side].append(tape.minutes[index])
            self._order = _Order(side * contracts, ask)
        return why

    def _first_refusal(self, index: int, side: int, contracts: int, cents: int, equity: int) -> Reason | None:
        """Return the reason of the first gate that refuses an entry."""
        tape, rules, entries = self._tape, self._rules, self._entries
        if contracts < 1:
            return Reason.SIZE_BELOW_ONE
        if len(entries[1]) + len(entries[-1]) >= rules.session_entries:
            return Reason.MAX_SESSION_ENTRIES
        if len(entries[side]) >= rules.symbol_entries:
            return Reason.MAX_SYMBOL_ENTRIES
        if cents < rules.least_cents:
            return Reason.ORDER_NOTIONAL_BELOW_MIN
        part = Decimal(abs(self.held) * tape.marks[index] * tape.tick + cents) / equity
        if part > rules.symbol_fraction:
            return Reason.SYMBOL_NOTIONAL_ABOVE_MAX
        if part > rules.sector_fraction:
            return Reason.SECTOR_NOTIONAL_ABOVE_MAX
        if part > rules.gross_fraction:
            return Reason.GROSS_NOTIONAL_ABOVE_MAX
        if rules.contracts is not None and abs(self.held) + contracts > rules.contracts:
            return Reason.CONTRACTS_ABOVE_MAX
        if Decimal(max(self._began - equity, 0)) / max(self._began, equity) >= rules.day_loss:
            return Reason.DAILY_LOSS_REACHED
        now = tape.minutes[index]
        if self._filled_at >= 0 and (now - tape.minutes[self._filled_at]) * MINUTE_S < rules.cooldown_s:
            return Reason.COOLDOWN
        if entries[side] and (now - entries[side][-1]) * MINUTE_S < rules.duplicate_window_s:
            return Reason.DUPLICATE_ORDER
        return None


CHECKED, STEPS, LONGEST = 3, 120, 6
"""How many episodes are compared with event-driven ones before they are used, for how many steps, and the longest
action.
"""


class ChosenEpisodes(NamedTuple):
    """The episodes in which an agent is trained, in order, how to begin one, and why they aren't vectorized, if so."""

    spans: tuple[EpisodeTerms, ...]
    begin: Callable[[EpisodeTerms], RunningEpisode]
    why: str = ""


def choose_episodes(
    spans: Sequence[EpisodeTerms], scaling: FittedScaling, parts: Sequence[Sequence[TrainingRow]], seed: int
) -> ChosenEpisodes:
    """Return vectorized episodes if they give the same results as event-driven ones; otherwise return event-driven
    ones.

    `parts` has the rows of each period. A vectorized episode ends when the contract changes.
    """
    try:
        tapes = [tape for terms, rows in zip(spans, parts, strict=True) for tape in tapes_of(terms, scaling, rows)]
    except UnsupportedEpisodeError as error:
        return ChosenEpisodes(tuple(spans), event_driven_episode, str(error))
    compared = sorted({0, len(tapes) // 2, len(tapes) - 1})[:CHECKED]
    for index in compared:
        if different := first_difference(tapes[index], draw_actions(seed + index, STEPS)):
            return ChosenEpisodes(
                tuple(spans), event_driven_episode, f"vectorized and event-driven results differ: {different}"
            )
    by_dates = {(tape.terms.first, tape.terms.last): tape for tape in tapes}
    return ChosenEpisodes(
        tuple(tape.terms for tape in tapes), lambda terms: VectorizedEpisode(by_dates[terms.first, terms.last])
    )


def draw_actions(seed: int, steps: int) -> list[int]:
    """Return random actions, each of which lasts for several steps."""
    chance = np.random.default_rng(seed)
    durations = chance.integers(1, LONGEST + 1, steps)
    return [int(action) for action in np.repeat(chance.integers(ACTIONS[0], ACTIONS[-1] + 1, steps), durations)[:steps]]


def first_difference(tape: EpisodeData, actions: Sequence[int]) -> str | None:
    """Return the first difference between a vectorized and an event-driven run of the same actions, or None.

    Equity, position, refusals, reward, end and each number of the observation are compared exactly.
    """
    here = _replay_environment(tape.terms, lambda _: VectorizedEpisode(tape), actions)
    for step, (action, other) in enumerate(
        zip(here, _replay_environment(tape.terms, event_driven_episode, actions), strict=True)
    ):
        if action != other:
            names = ", ".join(name for name in other if action[name] != other[name])
            return f"{names} after {step} steps, at {other['at']:%Y-%m-%d %H:%M}"
    return None


def _replay_environment(
    terms: EpisodeTerms, begin: Callable[[EpisodeTerms], RunningEpisode], actions: Sequence[int]
) -> Iterator[dict[str, Any]]:
    """Yield an environment's reports at the start and after each step, up to its end."""
    with Environment(terms, begin) as episode:
        observation, info = episode.reset()
        yield _all(observation, info)
        for action in actions:
            observation, reward, over, cut, info = episode.step(action)
            yield _all(observation, {**info, "reward": reward, "end": (over, cut)})
            if over or cut:
                return


def _all(observation: Observation, info: dict[str, Any]) -> dict[str, Any]:
    # The rows of an episode's data already report skipped bars.
    return {**info, "observation": observation.tobytes(), "passed_over": {}}


UNTIL_SESSION_ENDS = frozenset({Reason.MAX_SESSION_ENTRIES, Reason.MAX_SYMBOL_ENTRIES})
"""Reasons that refuse for the whole session, so that the rest of a change of sides isn't tried again."""
CENT = Decimal("0.01")


class VectorizedEpisode:
    """Runs a vectorized episode: call `question`, then `answer`, and repeat this until `question` returns None."""

    def __init__(self, tape: EpisodeData) -> None:
        self._playing = _moments(tape, self)
        self.target = 0

    def question(self) -> PolicyState | None:
        """Return the state at the next decision; None after the last one."""
        return next(self._playing, None)

    def answer(self, answer: int) -> None:
        """Set the target for the last question."""
        self.target = answer

    def stop(self) -> None:
        """Abort the episode."""
        self._playing.close()


def _moments(tape: EpisodeData, turns: VectorizedEpisode) -> Generator[PolicyState]:
    account, last = EpisodeAccount(tape), len(tape.minutes) - 1
    refused: Mapping[str, int] = {}
    for number, ask in enumerate(tape.asks):
        index = ask.place
        # A fill at this index is in the account's equity, but not yet in the books.
        holding, in_books = account.held, account.state(ask)
        account.fill(index)
        equity = account.equity(index)
        shown = _observation_at(
            tape, number, in_books._replace(equity=equity / CENTS, drawdown=account.drawdown(index))
        )
        yield PolicyState(ask.at, equity * CENT, account.held, shown, refused, {}, symbol=tape.symbol)
        reason = _step(tape, account, number, holding, turns.target)
        refused = {str(reason): 1} if reason else {}
    account.fill(last)
    yield PolicyState(tape.ends, account.equity(last) * CENT, account.held, None, refused, {}, ended=True)


def _step(tape: EpisodeData, account: EpisodeAccount, number: int, contracts: int, target: int) -> Reason | None:
    """Advance an account to the next decision; return the last refusal, None if there was none.

    `held` is the position in the books at the decision.
    """
    at, last = tape.asks[number].place, number + 1 == len(tape.asks)
    ends = len(tape.minutes) - 1 if last else tape.asks[number + 1].place
    reason = None if target == contracts else account.move_to_target(at, target, number)
    changes_sides = contracts * target < 0 and reason is None
    for index in range(at + 1, ends):
        holding = account.held
        account.fill(index)
        if index in tape.closes:
            account.close(index)
            changes_sides = False
        if index in tape.looks:
            # An exit pass runs before an entry pass, and books fills.
            holding = account.held
            account.see(index)
        if changes_sides and holding not in (contracts, target):
            reason = account.move_to_target(index, target, number)
            changes_sides = reason not in UNTIL_SESSION_ENDS
    return reason


def _observation_at(tape: EpisodeData, number: int, state: DecisionState) -> Observation:
    many = tape.shown.shape[1]
    observation = np.empty(many + len(STATE), dtype=np.float32)
    observation[:many] = tape.shown[number]
    observation[many:] = state_numbers(state)
    return observation
