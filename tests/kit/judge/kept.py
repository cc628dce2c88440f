"""The law of what is kept: a bot takes no stop and no target away from a position that stays, halted or not.

A halt ends entries, and so may cancel nothing else that rests. What is canceled is either spare, because what else
rests is enough for what is held, or something takes its place in the same pass. This is judged by the exchange's log
alone, which has what was asked for. A pass that met trouble is left out: it may not have known what rests.
"""

from collections.abc import Iterable, Iterator
from datetime import datetime, timedelta
from typing import NamedTuple

from tests.kit.judge.gaps import TRIGGERS, UNASKED
from tests.kit.judge.pairs import PROTECT, ZERO, Event, Groups
from tests.kit.venues import AT

STOP, TARGET, EXIT = "stop", "target", "exit"
A_PASS = timedelta(minutes=1)
"""Longer than a pass waits for the end of what it canceled, and shorter than the time between two passes."""


class Taken(NamedTuple):
    """What a bot asked to cancel: when, of which symbol, and whether it was a stop or a target."""

    at: datetime
    symbol: str
    kind: str


class Kept:
    """What rests for the positions of one account, and what was taken from them: a fold over the log's lines."""

    def __init__(self) -> None:
        self._groups = Groups()
        self._taken: list[Taken] = []
        self._bare: list[Taken] = []
        """What was taken, and nothing took its place before its pass was over."""
        self._troubled: list[datetime] = []

    def add(self, event: Event) -> None:
        """Take one line in."""
        at, asked = datetime.fromisoformat(event["at"]), AT.asked(event)
        self._bare += [one for one in self._taken if at - one.at > A_PASS]
        self._taken = [one for one in self._taken if at - one.at <= A_PASS]
        if event["event"] == "fault_fired" or event.get("path") == UNASKED:
            self._troubled.append(at)
        if asked is not None and asked.target in self._groups.last:
            self._taken += self._takes(at, self._groups.last[asked.target])
        self._groups.add(event)
        if event["event"] in ("order_accepted", "order_held") and self._groups.closes(event):
            self._replace(event["symbol"], _kind(event))

    def broken(self, disturbed: Iterable[datetime] = ()) -> Iterator[str]:
        """Yield what was taken for nothing; something that the log doesn't show befell passes at `disturbed` times."""
        troubled = [*self._troubled, *disturbed]
        for one in (*self._bare, *self._taken):
            if not any(abs(one.at - at) <= A_PASS for at in troubled):
                yield f"a {one.kind} of {one.symbol} was canceled for nothing at {one.at:%d %H:%M:%S}"

    def _takes(self, at: datetime, target: Event) -> Iterator[Taken]:
        """Yield what the cancel of an order takes from a position: of its group, whatever can act and isn't spare."""
        groups = self._groups
        if not groups.closes(target):
            return
        for order, event in groups.last.items():
            rests = event["status"] in TRIGGERS and _kind(event) != EXIT
            if groups.first[order] == groups.first[target["order_id"]] and rests and not self._is_spare(event):
                yield Taken(at, event["symbol"], _kind(event))

    def _is_spare(self, event: Event) -> bool:
        """Return True if other stops, and exits, are enough for what is held, or if more targets rest than that.

        A target is spare with what it is too large by: the next pass places again what is left of it.
        """
        groups, held = self._groups, int(abs(self._groups.held[event["symbol"]]))
        claims = groups.working(event["symbol"], event["side"])
        if _kind(event) == STOP:
            others = (groups.stopped() | groups.leaving()) - {groups.first[event["order_id"]]}
            return sum((claims.get(group, ZERO) for group in others), ZERO) >= held
        limits = {groups.first[order] for order, one in groups.last.items() if _kind(one) != STOP}
        return sum((claims.get(group, ZERO) for group in limits), ZERO) > held

    def _replace(self, symbol: str, kind: str) -> None:
        """Let what was placed take the place of what was taken; an exit takes that of stops and targets."""
        self._taken = [one for one in self._taken if one.symbol != symbol or kind not in (one.kind, EXIT)]


def broken(events: Iterable[Event], account: str, disturbed: Iterable[datetime] = ()) -> Iterator[str]:
    """Yield where the law was broken in one account; at the times in `disturbed` something befell its bot."""
    kept = Kept()
    for event in events:
        if event.get("account") in (None, "", account):
            kept.add(event)
    yield from kept.broken(disturbed)


def _kind(event: Event) -> str:
    """Return what an order is by now: a target whose price was changed is an exit that fills at the market."""
    if event.get("stop_price"):
        return STOP
    return TARGET if PROTECT in event["client_order_id"] and not event.get("replaces") else EXIT
