"""The jobs of the timetable as their verbs run them, without what only a process needs: locks, files, a trace of kills.

A bug in a pass ends the backtest, where a bot would halt itself.
"""

from collections.abc import Callable
from datetime import datetime

from tradebot.cycle import evaluate_exits, trade_once
from tradebot.desk.fetching import fetch_flow
from tradebot.desk.own_slots import finish_judged
from tradebot.desk.pass_events import tell_caught_up
from tradebot.desk.prepare_desk import for_entries, for_exits
from tradebot.desk.proposals import Proposals, begun, propose, score
from tradebot.model.bar import ClockReading
from tradebot.model.record import CycleRecord
from tradebot.model.values import replace
from tradebot.ports.world import Call, World
from tradebot.reconciliation.activity_booking import book_all
from tradebot.reconciliation.books_before import BooksBefore
from tradebot.reconciliation.protection import Watch
from tradebot.reconciliation.reconcile import Reconciled, reconcile
from tradebot.timetable.job_times import JobTimes


class Passes:
    """The jobs of one bot. `before_asking` is called before strategies are asked, as at the beginning of any pass."""

    def __init__(self, world: World, entries: JobTimes, before_asking: Callable[[], None]) -> None:
        self._asking = world
        # Only what asks the strategies knows them; a pass of exits, for example, has no use for one that is missing.
        self._world = replace(world, strategies=())
        self._entries = entries
        self._before_asking = before_asking
        self._watch = Watch(world.market, world.rules.exits_of, world.rules.limits.exit_life_s, world.rules.exits)

    def fetch(self, call: Call) -> None:
        fetch_flow(self._world, call, self._clocks())

    def score(self, call: Call) -> None:
        """Score the universe from the facts known now."""
        self._before_asking()
        score(self._asking, call, self._world.reader.clock())

    def exits(self, call: Call) -> CycleRecord:
        """Close what an exit rule says, and look after working orders."""
        return evaluate_exits(self._world, call, for_exits(self._world, self._clocks()))

    def ask(self, now: datetime) -> Proposals:
        self._before_asking()
        return propose(self._asking, now, self._entries)

    def enter(self, call: Call, proposed: Proposals) -> CycleRecord:
        """Judge what the strategies want, and send what passes."""
        return trade_once(self._world, call, for_entries(self._world, proposed, self._clocks()), proposed)

    def answered(self, call: Call, proposed: Proposals) -> None:
        """Note that strategies want nothing in these slots of theirs, as a pass would that looks at nothing else."""
        now = self._world.reader.clock().now
        finish_judged(self._world, call, begun(self._world, call, proposed, now).own.asked, (), now)

    def reconcile(self) -> Reconciled:
        world = self._world
        compared = reconcile(world.reader, world.ledger, self._watch)
        tell_caught_up(world.events, world.ledger, compared.applied, compared.at)
        return compared

    def book_interest(self, now: datetime) -> bool:
        """Book new interest as a comparison at a moment would; return True if the cash is as the venue's then."""
        reader, ledger = self._world.reader, self._world.ledger
        before = ledger.standing()
        assert before.reconciled is not None, "books and venue were never compared"
        for booking in book_all(
            BooksBefore((), {}), {}, reader.activities(before.reconciled.at), reader.capabilities.day
        ).proven:
            ledger.book(booking, now)
        cash = ledger.totals().cash(ledger.opening_cash(), before.settlement) + ledger.cash_adjustments()
        return cash == reader.account().cash

    def _clocks(self) -> ClockReading:
        stopwatch_s = self._world.stopwatch()
        return ClockReading(self._world.reader.clock(), self._world.second_clock(), stopwatch_s)
