"""Run learned policies in an environment: in each step, a backtest runs from one decision to the next.

Like any strategy, a policy decides in a pass, after a bar has closed. Its action is a target in contracts. Sizes,
gates, limits and costs apply to it as to any other target. Refusals are reported, and the resulting position is
whatever sizes and gates allow.
"""

from __future__ import annotations

from collections import Counter
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from queue import Empty, SimpleQueue
from threading import Thread
from typing import TYPE_CHECKING, Any, Generic, NamedTuple, Protocol, Self, TypeVar

from msgspec import Struct

from tradebot.errors import TradebotError
from tradebot.lab.backtest.run import create_run
from tradebot.learning.inference import state_of
from tradebot.model.reasons import Reason
from tradebot.model.record import Job
from tradebot.model.struct_tools import replace
from tradebot.model.view import FeatureNeed, Needs, Target

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    import numpy as np
    from numpy.typing import NDArray

    from tradebot.lab.backtest.run import BacktestPlan, BacktestRun
    from tradebot.model.view import StrategyView
    from tradebot.ports.world import World
    from tradebot.signals.features import DecisionState

    Observation = NDArray[np.float32]

MOST_CONTRACTS = 2
ACTIONS = range(-MOST_CONTRACTS, MOST_CONTRACTS + 1)
WIDTH, TIMEFRAME = timedelta(minutes=5), "5Min"
TIMES = "every 5m from open+5m until close"
TIMETABLE = {
    Job.TRADE_ONCE: "every 1m from open+1m until close",
    Job.EVALUATE_EXITS: "every 5m from open+1m until close",
    Job.RECONCILE: "every 4m from open+3m until close",
}
"""During training, the policy decides at once at a bar's close, and changes sides within the same bar."""
KEEPS_OF_START = Decimal("0.85")
"""An episode is cut off at this fraction of its initial equity."""
FALL_COSTS = 0.1
NO_BAR = "no further bar has closed"
TOLD_ALREADY = frozenset({Reason.TARGET_REACHED, Reason.SLOT_UNFINISHED})
"""Reasons that don't count as refusals, because passes of an unfinished slot have already reported the slot's reason.
"""
BEFORE = datetime.min.replace(tzinfo=UTC)


class NoDecisionError(TradebotError):
    """Raised if a market ends before the first time at which a policy could decide."""


class ObservationBuilder(Protocol):
    """Builds an observation from named features and the account's state, or says why that isn't possible."""

    @property
    def names(self) -> tuple[str, ...]:
        """Return the features in the observation."""

    def observation(self, values: Mapping[str, float], state: DecisionState) -> Observation | str:
        """Return a policy's observation, or what is missing for it."""


class EpisodeTerms(Struct, frozen=True):
    """The definition of an episode, for the policy `name` and the way in which its observations are built.

    With `flat_overnight`, an episode ends with its session. With `falls_cost`, whenever the sum of rewards drops
    further below its highest value so far, a tenth of that drop is deducted from the reward. The policy decides in the
    sessions from `first` to `last`.
    """

    plan: BacktestPlan
    scaling: ObservationBuilder
    name: str = "policy"
    flat_overnight: bool = False
    falls_cost: bool = False
    first: date | None = None
    last: date | None = None


class PolicyState(NamedTuple):
    """The state when the policy decides. Once the market or a session has `ended`, there is no observation.

    Equity and position are the account's, and `symbol` is the contract to decide on. `refused` counts the refusals
    since the previous decision, by reason. `passed_over` counts the bars of the whole episode without a decision, by
    what was missing.
    """

    at: datetime
    equity: Decimal
    position: int
    observation: Observation | None
    refused: Mapping[str, int]
    passed_over: Mapping[str, int]
    ended: bool = False
    symbol: str = ""


class DecisionPoint:
    """The strategy of an episode: it passes its view on, and returns the target set by the agent.

    It works only in the backtest's own process. Within a slot, it repeats its target until the position reaches the
    target, or until a pass changes nothing, which means that the target was refused. Like a policy that trades, it also
    repeats the target until the next bar closes.
    """

    times = TIMES

    def __init__(self, terms: EpisodeTerms, put: Callable[[PolicyState], int]) -> None:
        self.name, self._put, self._scaling = terms.name, put, terms.scaling
        need = FeatureNeed(TIMEFRAME, terms.scaling.names)
        self.needs = Needs(features=(need,), lots=True, situation=True)
        self.run: BacktestRun | None = None
        self._slot, self._bar = "", BEFORE
        self._wants: tuple[Target, ...] = ()
        self._held = Decimal(0)
        self._since = self._shown = BEFORE
        self._seen: set[datetime] = set()
        self._missed: dict[datetime, str] = {}

    def looks(self, world: World, now: datetime) -> None:
        """Note a pass in which the policy may decide; if it then doesn't decide, the bar counts as skipped."""
        at = now - (now - datetime(now.year, now.month, now.day, tzinfo=now.tzinfo)) % WIDTH
        if at not in self._seen:
            self._seen.add(at)
            self._missed[at] = "not asked"
        self._bar = at

    def propose(self, view: StrategyView) -> Sequence[Target]:
        """Return the policy's target; empty if it can't decide."""
        if view.slot and view.slot == self._slot:
            self._missed.pop(self._bar, None)
            return self._remaining_targets(view)
        if len(view.universe) != 1:
            return ()
        symbol = view.universe[0]
        at = view.features[symbol, TIMEFRAME].at
        if at == self._shown:
            self._missed[self._bar] = NO_BAR
            return self._wants if _held_quantity(view, symbol) != self._wants[0].quantity else ()
        state = state_of(view, symbol, TIMEFRAME, at)
        values = view.values(symbol, TIMEFRAME)
        observation = "the state isn't known" if state is None else self._scaling.observation(values, state)
        if isinstance(observation, str):
            self._missed[self._bar] = observation
            return ()
        self._missed.pop(self._bar, None)
        action = self._put(self._moment(view.now, observation, symbol))
        self._shown = at
        self._slot, self._wants = view.slot, (Target(symbol, quantity=Decimal(action)),)
        self._held = _held_quantity(view, symbol)
        # A target that is already held needs no pass that evaluates everything else.
        return self._wants if self._held != action else ()

    def _remaining_targets(self, view: StrategyView) -> Sequence[Target]:
        """Return a slot's remaining targets: once the first half of a change of sides has filled, the second one."""
        wanted = self._wants[0]
        now, before = _held_quantity(view, wanted.symbol), self._held
        begun = before * (wanted.quantity or 0) < 0 and now not in (before, wanted.quantity)
        return self._wants if begun and wanted.symbol in view.universe else ()

    @property
    def _world(self) -> World:
        assert self.run is not None, "the run has begun"
        return self.run.made.world

    def _moment(self, at: datetime, observation: Observation | None, symbol: str = "") -> PolicyState:
        view = self._world.reader.view()
        position = int(sum(position.quantity for position in view.positions))
        missed, ended = Counter(self._missed.values()), observation is None
        return PolicyState(
            at, view.account.equity, position, observation, self._refusal_counts(at), missed, ended, symbol
        )

    def _refusal_counts(self, at: datetime) -> Mapping[str, int]:
        """Return the refusals since the previous decision by reason; in a slot, the last pass counts.

        What blocks entries is reported by the entry that it refuses, and not without one.
        """
        assert self.run is not None, "the run has begun"
        since, self._since = self._since, at
        cycles = self.run.made.facts.cycles(job=Job.TRADE_ONCE, since=since)
        judged = next((cycle for cycle in reversed(cycles) if cycle.candidates), None)
        decisions = [record.terminal for record in judged.candidates] if judged else []
        decisions += [refusal.decision for cycle in cycles for refusal in cycle.refused_strategies]
        return Counter(
            str(decision.reason or decision.gate)
            for decision in decisions
            if decision and decision.reason not in TOLD_ALREADY
        )

    def final_state(self) -> PolicyState:
        """Return the state after the last session that ran."""
        assert self.run is not None, "the run has begun"
        return self._moment(self.run.made.now(), None)


def _held_quantity(view: StrategyView, symbol: str) -> Decimal:
    position = view.lots.get(symbol)
    return position.quantity if position else Decimal(0)


class RunningEpisode(Protocol):
    """A running episode: call `question` and `answer` in turn until it has ended."""

    def question(self) -> PolicyState | None:
        """Return the next decision's state; None after the last one."""

    def answer(self, answer: int, /) -> None:
        """Set the target for the last decision."""

    def stop(self) -> None:
        """Abort the episode."""


def event_driven_episode(terms: EpisodeTerms) -> RunningEpisode:
    """Start an event-driven episode, run by the bot's own passes, in a thread."""
    return HandOff(lambda put: _play(terms, put))


class Environment:
    """Runs episodes of one policy, each started by `begin`.

    Whoever creates it must close it, because an unfinished episode has a running thread.
    """

    def __init__(
        self, terms: EpisodeTerms, begin: Callable[[EpisodeTerms], RunningEpisode] = event_driven_episode
    ) -> None:
        self._terms, self._begin = terms, begin
        self._turns: RunningEpisode | None = None
        self._now: PolicyState | None = None
        self._start = Decimal(0)
        self._sum = self._highest = 0.0

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *ended: object) -> None:
        self.close()

    def reset(self, seed: int | None = None) -> tuple[Observation, dict[str, Any]]:
        """Begin an episode and run it up to the first decision; a `seed` is used only for a generated market.

        Raise NoDecisionError if the market ends before there is a decision.
        """
        self.close()
        terms = self._terms
        if seed is not None:
            plan = replace(terms.plan, spec=replace(terms.plan.spec, seed=seed))
            terms = replace(terms, plan=plan)
        self._turns = self._begin(terms)
        first = self._turns.question()
        if first is None or first.observation is None:
            self.close()
            why = dict(first.passed_over) if first else {}
            raise NoDecisionError(
                f"the market ends without a decision: {why}", "play more sessions, or use fewer features"
            )
        if first.equity <= 0:
            self.close()
            raise TradebotError("an episode begins with equity above zero", "give the market more cash")
        self._now, self._start = first, first.equity
        self._sum = self._highest = 0.0
        return first.observation, _info(first)

    def step(self, action: int) -> tuple[Observation, float, bool, bool, dict[str, Any]]:
        """Apply a target; return the next observation, the reward, whether the episode ended or was cut off, and
        details.

        Once the episode has ended, the last observation before its end is returned.
        """
        before, turns = self._now, self._turns
        if before is None or turns is None or before.observation is None:
            raise TradebotError("no episode is running", "call reset first")
        if action not in ACTIONS:
            raise TradebotError(
                (f"{action!r} is not a target"), f"use whole contracts from {ACTIONS[0]} to {ACTIONS[-1]}"
            )
        turns.answer(int(action))
        after = turns.question()
        assert after is not None, "every episode has an end"
        reward = self._reward(before, after)
        truncated = after.equity <= KEEPS_OF_START * self._start
        terminated = after.ended and not truncated
        observation = before.observation if after.observation is None else after.observation
        self._now = after
        if terminated or truncated:
            self.close()
        return observation, reward, terminated, truncated, _info(after)

    def _reward(self, before: PolicyState, after: PolicyState) -> float:
        reward = float((after.equity - before.equity) / self._start)
        self._sum += reward
        fall = max(0.0, self._highest - self._sum)
        self._highest = max(self._highest, self._sum)
        return reward - FALL_COSTS * fall if self._terms.falls_cost else reward

    def close(self) -> None:
        """Abort the running episode, if any."""
        turns, self._turns, self._now = self._turns, None, None
        if turns is not None:
            turns.stop()


def _play(terms: EpisodeTerms, put: Callable[[PolicyState], int]) -> None:
    """Run a market, or with `flat_overnight` up to the end of the first session with a decision."""
    decided = False

    def decide(moment: PolicyState) -> int:
        nonlocal decided
        decided = True
        return put(moment)

    decision_point = DecisionPoint(terms, decide)
    run = create_run(
        replace(terms.plan, only_due=True, begins=terms.first), [decision_point], looks=decision_point.looks
    )
    decision_point.run = run
    try:
        while not (run.is_complete or (terms.flat_overnight and decided) or _is_over(run, terms.last)):
            run.step()
        put(decision_point.final_state())
    finally:
        run.made.close()


def _is_over(run: BacktestRun, last: date | None) -> bool:
    """Return True if every session in which the policy decides has run."""
    played, sessions = len(run.ends), run.made.sessions
    return last is not None and played < len(sessions) and sessions[played].date > last


def _info(of: PolicyState) -> dict[str, Any]:
    return {
        "at": of.at,
        "equity": of.equity,
        "position": of.position,
        "refused": dict(of.refused),
        "passed_over": dict(of.passed_over),
        "symbol": of.symbol,
    }


Q = TypeVar("Q")
A = TypeVar("A")
LONGEST_S = 300.0
"""The longest time of the work between two questions, in seconds."""


class StoppedError(BaseException):
    """Raised to abort the work; it isn't caught by handlers of ordinary errors."""


class _Caught:
    """Stores the error that a block ends with."""

    error: BaseException | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: object, error: BaseException | None, *where: object) -> bool:
        self.error = error
        return True


class HandOff(Generic[Q, A]):
    """Runs work in a thread that asks questions and waits for each answer, so that only one of the two sides runs at a
    time.

    `work` is called with a function that asks a question and returns the answer. Whoever creates this object must call
    `stop` at the end; calling it twice does no harm.
    """

    def __init__(self, work: Callable[[Callable[[Q], A]], None], longest_s: float = LONGEST_S) -> None:
        self._work, self._longest_s = work, longest_s
        self._questions: SimpleQueue[Q | None] = SimpleQueue()
        self._answers: SimpleQueue[tuple[A] | None] = SimpleQueue()
        self._caught = _Caught()
        self._thread = Thread(target=self._run, name="episode", daemon=True)
        self._thread.start()

    def _run(self) -> None:
        with self._caught:
            self._work(self._put)
        self._questions.put(None)

    def _put(self, question: Q) -> A:
        self._questions.put(question)
        answer = self._answers.get()
        if answer is None:
            raise StoppedError
        return answer[0]

    def answer(self, answer: A) -> None:
        """Give the work the answer to its last question; the work then continues."""
        self._answers.put((answer,))

    def question(self) -> Q | None:
        """Return the next question, or None once the work is done; raise the error that ended it."""
        try:
            question = self._questions.get(timeout=self._longest_s)
        except Empty:
            raise TradebotError(
                (f"no decision was reached within {self._longest_s:g} s"), "play fewer sessions"
            ) from None
        if question is None:
            self._thread.join(self._longest_s)
            if self._caught.error is not None:
                raise self._caught.error
        return question

    def stop(self) -> None:
        """Abort the work, and wait until its thread has ended."""
        self._answers.put(None)
        self._thread.join(self._longest_s)
