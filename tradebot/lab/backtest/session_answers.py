"""Let plug-ins answer for all of a session's slots at once, and prove that the answers don't depend on later bars."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING, NamedTuple

from msgspec import Struct
from msgspec.structs import asdict

from tradebot.adapters.plugins.plugin import PluginEnvironment, PluginStrategy
from tradebot.desk.strategy_slots import schedule_text
from tradebot.desk.strategy_views import ViewBuilder
from tradebot.errors import ExitCode, OperatorError
from tradebot.model.decision import Decision
from tradebot.model.struct_tools import replace
from tradebot.model.view import Needs, SlotWants, StrategyView, Want
from tradebot.timetable.sessions import session_of
from tradebot.timetable.strategy_times import slots_in_session, usable

if TYPE_CHECKING:
    from importlib.metadata import EntryPoint

    from tradebot.model.record import CycleRecord
    from tradebot.ports.strategy import Strategy
    from tradebot.ports.world import World
    from tradebot.timetable.job_times import JobTimes

BEGINNING = datetime.min.replace(tzinfo=UTC)
SAMPLE = 20
"""One in this many answers without an order is proven."""
LONGEST = 80
"""The longest value in a message about a difference, in characters."""


class BlindStrategy(NamedTuple):
    """A placeholder strategy for building views before future positions are known. It wants nothing itself."""

    name: str
    needs: Needs
    times: str = ""

    def propose(self, view: StrategyView) -> Sequence[Want]:
        return ()


class SlotAnswer(Struct, frozen=True):
    """What a strategy wants in a slot, and the view, without lots, from which it decided that."""

    view: StrategyView
    wants: SlotWants


class SessionPlugin(PluginStrategy):
    """A plug-in in a backtest that answers for all of a session's slots at once if it can.

    Its process then sees bars that are later than most of its answers. So a second process, which has never seen later
    bars, checks each answer that led to an order, and some others: it must give the same answer from just the view at
    that time.
    """

    def __init__(
        self,
        point: EntryPoint,
        settings: Mapping[str, object],
        surroundings: PluginEnvironment,
        name: str | None = None,
    ) -> None:
        super().__init__(point, settings, surroundings, name)
        self.proves_all = False
        self._witness = PluginStrategy(point, settings, surroundings, name)
        self._asked_until = BEGINNING
        self._answers: Mapping[str, SlotAnswer] = {}
        self._unproven: tuple[StrategyView, Sequence[Want]] | None = None
        self._n_used = 0

    def propose(self, view: StrategyView) -> Sequence[Want] | Decision:
        """Return the plug-in's wants: its precomputed answer for this slot if that was based on the same view, or a new
        answer.
        """
        self._unproven = None
        answer = self._answers.get(view.slot)
        if answer is None or replace(view, lots={}, kept={}) != answer.view:
            return super().propose(view)
        wants = answer.wants.select(view.lots)
        self._unproven = view, wants
        self._n_used += 1
        if self.proves_all or self._n_used % SAMPLE == 0:
            self._prove()
        return wants

    def ask_for_session(self, world: World, entries: JobTimes, now: datetime) -> None:
        """Ask the plug-in to answer for all of the current session's slots, unless that was done already or isn't
        possible.

        Raise OperatorError if the plug-in fails.
        """
        session = session_of(world.ledger, now, world.venue.day) if now >= self._asked_until else None
        if session is None:
            return
        self._asked_until, self._answers = session.close, {}
        text = schedule_text(self, world.rules)
        if not (text and self.answers_sessions and reads_only_bars(self.needs)):
            return
        try:
            times = usable(text, entries, world.venue.day)
        except ValueError:
            # The pass refuses it with the reason.
            return
        blind = BlindStrategy(self.name, replace(self.needs, lots=False))
        views = ViewBuilder(world, now, [blind])
        slots = slots_in_session(self.name, times, world.ledger, entries, session)
        inputs = [views.of(blind, slot=slot.name, as_of=slot.start) for slot in slots]
        slot_views = [
            slot_inputs.view for slot_inputs in inputs if slot_inputs.unmet is None and slot_inputs.view.universe
        ]
        if slot_views:
            answers = self.propose_many(slot_views)
            if isinstance(answers, Decision):
                why = f"{self.name} could not answer for {session.date}: {answers.observed}"
                raise OperatorError(why, "correct its propose_many, or remove it: propose alone is enough")
            self._answers = {
                view.slot: SlotAnswer(view, wants) for view, wants in zip(slot_views, answers, strict=True)
            }

    def prove_orders(self, cycle: CycleRecord) -> None:
        """Prove this pass's answer if it led to an order; raise OperatorError if `propose` answers differently."""
        sent = (record.candidate.strategy for record in cycle.candidates if record.client_order_id)
        if self._unproven is not None and self.name in sent:
            self._prove()

    def _prove(self) -> None:
        assert self._unproven is not None, "there is an answer to check"
        (view, wants), self._unproven = self._unproven, None
        proposed = self._witness.propose(view)
        difference = describe_difference(wants, proposed)
        if difference:
            why = (
                f"{self.name} answers differently if it has seen later bars: {view.now:%Y-%m-%d %H:%M} "
                f"UTC, {difference}"
            )
            hint = "each answer of propose_many must be what propose returns for its view alone"
            raise OperatorError(why, hint, code=ExitCode.FINDINGS)

    def begin_pass(self) -> None:
        """Let a plug-in that failed in an earlier pass run again."""
        super().begin_pass()
        self._witness.begin_pass()

    def close(self) -> None:
        """End both processes, with everything that they started."""
        super().close()
        self._witness.close()


def reads_only_bars(needs: Needs) -> bool:
    """Return True if a strategy needs only bars and its lots, so that its views can be built in advance."""
    return bool(needs.bars) and replace(needs, bars=(), lots=False) == Needs()


def describe_difference(wants: Sequence[Want], proposed: Sequence[Want] | Decision) -> str:
    """Describe the first difference between an answer given for a whole session and that of `propose`; empty if there
    is none.
    """
    if isinstance(proposed, Decision):
        return f"propose returned no wants, but {proposed.reason}: {proposed.observed}"
    ours, theirs = ({want.symbol: want for want in each} for each in (wants, proposed))
    for symbol in sorted({*ours, *theirs}):
        want, other = ours.get(symbol), theirs.get(symbol)
        if want != other:
            return f"{symbol}: {_describe_field(want, other)} with them, {_describe_field(other, want)} without"
    return "a symbol appears twice" if len(ours) != len(wants) else ""


def _describe_field(want: Want | None, other: Want | None) -> str:
    """Return a want's kind, and its first field that differs from another want's."""
    if want is None:
        return "nothing"
    name = type(want).__name__
    if type(want) is not type(other) or other is None:
        return name
    fields, others = asdict(want), asdict(other)
    field = next(field for field, value in fields.items() if value != others[field])
    return f"{name} with {field} {str(fields[field])[:LONGEST]}"


def ask_for_sessions(world: World, entries: JobTimes, now: datetime) -> None:
    """Have each plug-in answer for its slots in the current session, if it can."""
    for strategy in session_plugins(world.strategies):
        strategy.ask_for_session(world, entries, now)


def session_plugins(strategies: Sequence[Strategy]) -> Sequence[SessionPlugin]:
    """Return the plug-ins among a backtest's strategies."""
    return [strategy for strategy in strategies if isinstance(strategy, SessionPlugin)]
