"""Decide the passes of a session, or since a time, with something changed, and sum up what differs."""

import gc
from collections.abc import Iterator, Sequence
from datetime import date

from commands.shared.days import Span
from commands.shared.surface import Report, progress_bar
from commands.why_no_orders.changes import OPTION
from commands.why_no_orders.later_prices import later_prices
from commands.why_no_orders.reading import JOB, bounds_of
from commands.why_no_orders.what_if import (
    Asking,
    changes_in,
    held_in,
    left_out,
    not_kept,
    nothing_recorded,
    require_held,
)
from commands.why_no_orders.what_if_span_screen import show
from tradebot.adapters.facts.facts import SqliteFacts
from tradebot.errors import ExitCode, OperatorError
from tradebot.model.record import CycleRecord, Job
from tradebot.replaying.over_span import Body, Changed, Ends, Look, OverSpan, Passed, by_filters_alone, compares
from tradebot.replaying.passes import Recorded, Surroundings
from tradebot.replaying.writing import RecordError
from tradebot.views.what_if_span import Lacking, WhatIfSpan, what_if_span


def run(asking: Asking, symbol: str | None, span: Span, session: date | None) -> Report:
    """Answer a what-if about a span; exit 0 if it lets an order through, otherwise 10."""
    if asking.changes.at is not None:
        raise OperatorError(
            f"{OPTION} at= moves one pass, and this is a span", f"tradebot why-no-orders {OPTION} at=10:32"
        )
    facts = asking.app.recorded
    heads = facts.heads(JOB, **bounds_of(facts, span, session)._asdict()) if facts else ()
    if facts is None or not heads:
        raise nothing_recorded(asking.app, session)
    deciding = _Deciding(asking, tuple(_looks(asking, facts, heads)))
    # What is there by now stays, so the garbage collector needn't look at it again.
    gc.freeze()
    try:
        with progress_bar("deciding again") as progress:
            for number, head in enumerate(heads):
                progress(number, len(heads))
                deciding.decide(head)
    finally:
        gc.unfreeze()
    data = deciding.summed_up(symbol, session, heads)
    return Report("why-no-orders", data, show, ExitCode.DONE if data.lets_through else ExitCode.FINDINGS)


def _looks(asking: Asking, facts: SqliteFacts, heads: Sequence[CycleRecord]) -> Iterator[Look]:
    """Yield the passes of exits in a span that weren't refused."""
    first, last = heads[0], heads[-1]
    sessions = {one.date: one for one in asking.app.ledger_view.sessions(first.session, last.session)}
    for one in facts.heads(Job.EVALUATE_EXITS, since=first.at):
        if one.job_decision is None and one.at <= last.at:
            yield Look(one.at, sessions.get(one.session))


class _Deciding:
    """Decides the passes of one span, and sums up what differs."""

    def __init__(self, asking: Asking, looks: Sequence[Look]) -> None:
        self._asking = asking
        self._over = OverSpan(self._changed, self._touches, looks)
        self._decided: list[Passed] = []
        self._lacking: list[Lacking] = []
        self._unasked: set[str] = set()
        self._held: set[str] = set()
        self._first: Recorded | None = None

    def decide(self, head: CycleRecord) -> None:
        """Decide the next pass; one whose record can't be used is left out."""
        try:
            body = self._asking.body(head)
            self._first = self._first or self._asking.read(body)
            self._decided.append(self._over.passed(body))
        except RecordError as error:
            self._lacking.append(Lacking(head.id, head.at, str(error)))

    def _touches(self, around: Surroundings, then: Ends) -> bool:
        return bool(self._asking.changes.gone) or self._is_whole(around) or not by_filters_alone(then)

    def _is_whole(self, around: Surroundings) -> bool:
        """Return True if candidates matter that their strategy's own filters refused."""
        supposed = self._asking.supposition(around)
        return bool(supposed.strategies) or compares(supposed.after)

    def _changed(self, body: Body, around: Surroundings) -> Changed:
        asking, whole, supposed = self._asking, self._is_whole(around), self._asking.supposition(around)
        recorded = asking.read(body, only_passing=not whole, replaced=supposed.replaced)
        self._held |= held_in(recorded) if asking.changes.gone else set()
        changed, unasked = asking.changed(recorded)
        self._unasked |= unasked
        return Changed(changed, supposed.after, whole)

    def summed_up(self, symbol: str | None, session: date | None, heads: Sequence[CycleRecord]) -> WhatIfSpan:
        """Return what differs; OperatorError if no pass could be decided again."""
        if self._first is None or not self._decided:
            raise not_kept(heads[-1], self._lacking[-1].why)
        asking = self._asking
        require_held(asking.changes, self._held)
        assert self._first is not None
        return what_if_span(
            self._decided,
            (heads[0].at, heads[-1].at),
            changes_in(asking, self._first, each=True),
            lambda orders: later_prices(asking, orders),
            symbol=symbol,
            session=session,
            left_out=left_out(asking.changes, asking.supposition(self._first.surroundings)),
            unasked=sorted(self._unasked),
            lacking=self._lacking,
        )
