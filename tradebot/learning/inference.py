"""Run learned models: pass each its observation, combine their outputs, and return the resulting target.

An observation consists of the market features, scaled as in training, and the state of the position.
"""

from collections.abc import Callable, Mapping, Sequence
from datetime import date, datetime, timedelta
from decimal import Decimal
from math import isnan
from typing import NamedTuple

from msgspec import Struct

from tradebot.learning import ensemble
from tradebot.learning.ensemble import (
    Combine,
    NetworkAnswer,
    PolicyMode,
    Results,
    answer_of,
    before,
    combine_targets,
    round_contracts,
    select_model,
)
from tradebot.learning.model_card import Card, Scaling, SessionResult
from tradebot.learning.policy_decisions import ANSWER, MODEL, passing_decision, refusal
from tradebot.model.bar import Session
from tradebot.model.decision import Decision
from tradebot.model.reasons import Reason
from tradebot.model.series import width_of
from tradebot.model.view import StrategyView, Target
from tradebot.signals.features.state import STATE, DecisionState, state_numbers

HIGHEST = 5.0

"""The number of deviations at which a feature is clipped."""


def state_of(view: StrategyView, symbol: str, timeframe: str, at: datetime) -> DecisionState | None:
    """Return the state for a symbol after the bar that closed `at`.

    Return None if the session, or the profit of the symbol's position, isn't known.
    """
    seen, position, width = view.situation, view.lots.get(symbol), width_of(timeframe)
    if seen is None or seen.session is None or width is None or (position and symbol not in seen.unrealized):
        return None
    session = seen.session
    return DecisionState(
        position=float(position.quantity) if position else 0.0,
        unrealized=float(seen.unrealized[symbol]) if position else 0.0,
        equity=float(seen.equity),
        drawdown=float(seen.drawdown),
        bars=max((at - position.opened_at) // width, 0) if position else 0,
        gone=max((at - session.open) / (session.close - session.open), 0.0),
        trades=seen.trades,
    )


def observation(
    card: Card, scaling: Scaling, values: Mapping[str, float], state: DecisionState
) -> tuple[float, ...] | str:
    """Return a model's observation, or the name of a missing input.

    A missing input is never replaced by zero.
    """
    shown = list[float]()
    for name, mean, deviation in zip(card.names, scaling.means, scaling.deviations, strict=True):
        value = values.get(name)
        if value is None or isnan(value):
            return name
        shown.append(min(max((value - mean) / deviation, -HIGHEST), HIGHEST))
    for feature, number in zip(STATE, state_numbers(state), strict=True):
        if number is None:
            return feature.name
        shown.append(number)
    return tuple(shown)


Numbers = Sequence[float]

Run = Callable[[Numbers, Numbers], tuple[Numbers, Numbers]]

"""Runs a network on an observation and its memory, and returns its outputs and new memory."""


class ModelSelection(Struct, frozen=True):
    """How models act together.

    `sessions` is the number of past sessions whose results count, and `results` are the models' results after training.
    """

    mode: PolicyMode
    combine: Combine
    sessions: int
    results: Mapping[str, tuple[SessionResult, ...]]


class Member(NamedTuple):
    """A model ready to run, by its id. For a model without memory, `blank` is empty."""

    id: str
    card: Card
    scaling: Scaling
    run: Run
    blank: Numbers = ()


class ModelMemory(NamedTuple):
    """A model's memory before and after the bar that closed `at`, in the session that opened `opened`."""

    opened: datetime
    at: datetime
    before: Numbers
    after: Numbers


class Policy:
    """The acting models and their memories. The same views in the same order always give the same targets.

    It decides once for each closed bar, and keeps that decision until the next bar, regardless of fills in between.
    """

    def __init__(self, acting: ModelSelection, members: Sequence[Member]) -> None:
        self._acting, self._members = acting, members
        self._results = {member.id: _results(member, acting.results.get(member.id, ())) for member in members}
        self._chosen: tuple[date, Sequence[Member], Numbers] | None = None
        self._memories: dict[tuple[str, str], ModelMemory] = {}
        self._wanted: dict[str, tuple[Sequence[datetime], Target]] = {}

    def targets(self, view: StrategyView) -> Sequence[Target] | Decision:
        """Return a target for each symbol, or why the models can't decide."""
        if view.situation is None or view.situation.session is None:
            return refusal(Reason.MODEL_INPUT_UNKNOWN, "session")
        member = self._members_of(view.situation.session.date)
        if isinstance(member, Decision):
            return member
        wants = list[Target]()
        for symbol in view.universe:
            bars = [view.features[symbol, member.card.timeframe].at for member in self._members]
            wanted = self._wanted.get(symbol)
            want = wanted[1] if wanted and wanted[0] == bars else self._target(view, symbol, *member)
            if isinstance(want, Decision):
                return want
            self._wanted[symbol] = bars, want
            wants.append(want)
        return wants

    def _members_of(self, session: date) -> tuple[Sequence[Member], Numbers] | Decision:
        """Return the models that act in a session, and their weights if they have any."""
        if self._chosen is None or self._chosen[0] != session:
            member = self._choose(session)
            if isinstance(member, Decision):
                return member
            self._chosen = (session, *member)
        return self._chosen[1:]

    def _choose(self, session: date) -> tuple[Sequence[Member], Numbers] | Decision:
        acting, weights = self._acting, tuple[float, ...]()
        if acting.mode is PolicyMode.META:
            name = select_model(self._results, session, acting.sessions)
            members = [member for member in self._members if member.id == name]
            return (members, ()) if members else self._unranked_refusal(session)
        if acting.mode is PolicyMode.ENSEMBLE and acting.combine is Combine.WEIGHTED:
            by_member = ensemble.weights_of(
                [before(result, session) for result in self._results.values()], acting.sessions
            )
            if by_member is None:
                return self._unranked_refusal(session)
            weights = by_member
        return self._members, weights

    def _unranked_refusal(self, session: date) -> Decision:
        least = min(len(before(result, session)) for result in self._results.values())
        return refusal(Reason.MODEL_UNRANKED, least, 1)

    def _target(
        self, view: StrategyView, symbol: str, members: Sequence[Member], weights: Numbers
    ) -> Target | Decision:
        assert view.situation is not None, "the session has been checked"
        assert view.situation.session is not None, "the session has been checked"
        answers = list[NetworkAnswer]()
        for member in members:
            answer = self._answer(view, view.situation.session, symbol, member)
            if isinstance(answer, Decision):
                return answer
            answers.append(answer)
        # Alone, a model's answer is taken as it is.
        target = combine_targets(self._acting.combine, answers, weights) if len(answers) > 1 else answers[0].target
        decisions = (
            passing_decision(MODEL, None, ", ".join(member.id for member in members)),
            *map(_answer_decision, members, answers),
        )
        return Target(symbol, quantity=Decimal(round_contracts(target)), decisions=decisions)

    def _answer(self, view: StrategyView, session: Session, symbol: str, member: Member) -> NetworkAnswer | Decision:
        """Return what one model answers about a symbol. It is shown the last bar that has closed."""
        card, at = member.card, view.features[symbol, member.card.timeframe].at
        state = state_of(view, symbol, card.timeframe, at)
        if state is None:
            return refusal(Reason.MODEL_INPUT_UNKNOWN, symbol)
        shown = observation(card, member.scaling, view.values(symbol, card.timeframe), state)
        if isinstance(shown, str):
            return refusal(Reason.MODEL_INPUT_UNKNOWN, f"{symbol}: {shown}")
        remembered = member.blank
        if card.recurrent:
            session_state = self._session_state(member, session, symbol, at)
            if isinstance(session_state, Decision):
                return session_state
            remembered = session_state
        outputs, after = member.run(shown, remembered)
        answer = answer_of(outputs, card.action)
        if answer is None:
            return refusal(Reason.MODEL_NOT_FINITE, f"{member.id}: {outputs}")
        if card.recurrent:
            self._memories[member.id, symbol] = ModelMemory(session.open, at, remembered, after)
        return answer

    def _session_state(self, member: Member, session: Session, symbol: str, at: datetime) -> Numbers | Decision:
        """Return what a model remembers of a session so far: nothing at its open, and no bar may be missing since."""
        last, width = self._memories.get((member.id, symbol)), width_of(member.card.timeframe)
        assert width is not None, "the card has been checked"
        if last is not None and last.opened == session.open:
            if at == last.at:
                # It is asked about the same bar again.
                return last.before
            missing = at - max(last.at, session.open)
            return last.after if at > last.at and missing <= width else _state_lost_refusal(symbol, missing - width)
        missing = at - session.open
        return member.blank if missing <= width else _state_lost_refusal(symbol, missing - width)


def _state_lost_refusal(symbol: str, missing: timedelta) -> Decision:
    return refusal(Reason.MODEL_STATE_LOST, f"{symbol}: {missing.total_seconds():.0f} s are missing")


def _answer_decision(member: Member, answer: NetworkAnswer) -> Decision:
    return passing_decision(ANSWER, None, answer.target, member.id)


def _results(member: Member, later: Sequence[SessionResult]) -> Results:
    """Return a model's results by session: those on its card and the `later` ones, which win for the same session."""
    return {result.session: result.earned for result in (*member.card.results, *later)}
