"""Orders as the exchange's log groups them: a limit, its stop and what replaced either of them trade the same shares.

A fold over the lines of one account. It knows nothing of the bot but the roles in the ids of its orders.
"""

import json
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from decimal import Decimal
from typing import Any

from tests.kit.venues import AT

Event = Mapping[str, Any]
OPEN, PROTECT = ".OPEN.", ".PROTE."
ENDED = ("filled", "canceled", "expired", "rejected", "replaced")
ZERO = Decimal(0)


class Groups:
    """The orders of one account that may still fill, by group, and what the account holds."""

    def __init__(self) -> None:
        self.held: dict[str, Decimal] = defaultdict(Decimal)
        self.last: dict[str, Event] = {}
        self.first = dict[str, str]()
        """For each order, the order that its group began with."""
        self.begun: dict[str, Event] = {}
        """The line with which each group began."""

    def add(self, event: Event) -> None:
        """Take one line in."""
        if "order_id" not in event:
            return
        order: str = event["order_id"]
        if order not in self.first:
            before: str = event.get("replaces") or event.get("parent_id") or order
            self.first[order] = self.first.get(before, order)
            self.begun.setdefault(self.first[order], event)
        self.last[order] = event
        if event["event"] == "fill":
            self.held[event["symbol"]] = Decimal(event["position"])

    def working(self, symbol: str, side: str) -> Mapping[str, Decimal]:
        """Return how many shares each working group of a symbol and side may still trade."""
        claims: dict[str, Decimal] = {}
        for order, event in self.last.items():
            if (event["symbol"], event["side"]) == (symbol, side) and event["status"] not in ENDED:
                # A replacement on its way doesn't say yet what the order before it has filled.
                before = self.last.get(event.get("replaces", ""), event) if event["status"] == "pending_new" else event
                left = Decimal(event["qty"] or 0) - Decimal(before["filled_qty"])
                claims[self.first[order]] = max(claims.get(self.first[order], ZERO), left)
        return claims

    def closes(self, event: Event) -> bool:
        """Say whether an order brings the account nearer to holding none of a symbol."""
        return self.held[event["symbol"]] * (1 if event["side"] == "buy" else -1) < 0

    def protects(self, event: Event) -> bool:
        """Say whether an order belongs to a group that was placed to protect a position."""
        return PROTECT in self.begun[self.first[event["order_id"]]]["client_order_id"]

    def stopped(self) -> set[str]:
        """Return the groups in which a stop works."""
        stops = (e for e in self.last.values() if e.get("stop_price") and e["status"] not in (*ENDED, "held"))
        return {self.first[event["order_id"]] for event in stops}

    def leaving(self) -> set[str]:
        """Return the groups that are exits by now: plain ones, and pairs whose limit has been moved."""
        limits = (e for e in self.last.values() if not e.get("stop_price") and e["status"] not in ENDED)
        groups = {(self.first[event["order_id"]], bool(event.get("replaces"))) for event in limits}
        return {group for group, moved in groups if moved or not self.protects(self.begun[group])}


def bare(events: Iterable[Event], *, flat: bool = False) -> Iterator[str]:
    """Yield positions of which whole shares have neither a working stop nor an exit at the venue, at the end of a log.

    If all is to be `flat`, they need an exit.
    """
    groups = Groups()
    for event in events:
        groups.add(event)
    serving = groups.leaving() if flat else groups.leaving() | groups.stopped()
    for symbol, held in groups.held.items():
        claims = groups.working(symbol, "sell" if held > 0 else "buy")
        covered = sum((shares for group, shares in claims.items() if group in serving), ZERO)
        if covered < int(abs(held)):
            yield f"{held} {symbol} are held, and {'exits' if flat else 'stops and exits'} cover {covered}"


def beyond(events: Iterable[Event]) -> Iterator[str]:
    """Yield exits with which more shares may be sold, or bought back, than the account holds."""
    groups = Groups()
    for event in events:
        groups.add(event)
        # What may only reduce a position can't do more, however much of it rests.
        if event["event"] == "order_accepted" and groups.closes(event) and not event.get("reduce_only"):
            claims = groups.working(event["symbol"], event["side"])
            held = abs(groups.held[event["symbol"]])
            if sum(claims.values(), ZERO) > held:
                yield f"{event['client_order_id']} exits {sum(claims.values())} with others, {held} are held"


def protecting_nothing(events: Iterable[Event]) -> Iterator[str]:
    """Yield pairs and stops that were asked for while the account held none of the symbol."""
    groups, asked = Groups(), set[str]()
    for event in events:
        groups.add(event)
        wrote = AT.asked(event)
        if wrote is not None and wrote.is_new:
            name = wrote.client_order_id
            # What may only reduce a position is refused where there is none.
            idle = not groups.held[wrote.symbol] and not wrote.reduce_only
            if PROTECT in name and name not in asked and idle:
                yield f"{name} was asked for and would protect nothing"
            asked.add(name)


def grown(events: Iterable[Event]) -> Iterator[str]:
    """Yield fills of exits, stops among them, that didn't bring a position nearer to nothing.

    A venue that tells one exit late of what another one has filled lets both fill; the bot has to find and close that.
    """
    groups, late = Groups(), set[str]()
    for event in events:
        late |= told_late(event)
        before = groups.held[event["symbol"]] if event["event"] == "fill" else ZERO
        groups.add(event)
        if event["event"] == "fill" and OPEN not in groups.begun[groups.first[event["order_id"]]]["client_order_id"]:
            after = groups.held[event["symbol"]]
            if (abs(after) >= abs(before) or before * after < 0) and event["symbol"] not in late:
                yield f"{event['client_order_id']} took {event['symbol']} from {before} to {after}"


def told_late(event: Event) -> frozenset[str]:
    """Return the symbols of which an exit won't hear in time what another one fills, if an event says so."""
    fired = event["event"] == "fault_fired" and event.get("fault") == "exits_told_late"
    return frozenset(event.get("symbols", ())) if fired else frozenset()


def broken(events: Sequence[Event]) -> Iterator[str]:
    """Yield all that exits, stops and pairs of one account must never do."""
    yield from beyond(events)
    yield from grown(events)
    yield from protecting_nothing(events)
    yield from loosened(events)


def loosened(events: Iterable[Event]) -> Iterator[str]:
    """Yield requests that would move a stop away from profit."""
    groups = Groups()
    for event in events:
        groups.add(event)
        if event["event"] == "request" and event["method"] == "PATCH":
            asked = json.loads(event["body"]).get("stop_price")
            target = groups.last.get(event["path"].rpartition("/")[2])
            if asked and target and target.get("stop_price"):
                toward = 1 if target["side"] == "sell" else -1
                if (Decimal(asked) - Decimal(target["stop_price"])) * toward < 0:
                    yield f"the stop of {target['symbol']} was asked to move from {target['stop_price']} to {asked}"
