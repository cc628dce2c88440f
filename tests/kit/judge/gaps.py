"""When a lot had no stop that could trigger, by the exchange's log alone.

Lots come from fills, stops from what became of their orders. Nothing that the bot says is read here.
"""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from decimal import ROUND_FLOOR, Decimal
from typing import Any

from tests.kit.venues import AT
from tradebot.model.candidate import Purpose
from tradebot.model.intent import mark_of

Event = Mapping[str, Any]
Lot = tuple[str, str]
"""A strategy, as it is marked in the ids of its orders, and a symbol."""
Working = tuple[Lot, str, Decimal]
"""Of a working order: whose it is, its side, and how many shares it may still trade."""

TRIGGERS = frozenset({"new", "partially_filled", "stopped"})
"""States of a stop that can trigger."""
CHANGING = frozenset({"pending_cancel", "pending_replace"}) | AT.unshown
"""States in which a stop can trigger if it could before, or in which nobody is told that it can't."""
ENDED = frozenset({"filled", "canceled", "expired", "rejected", "replaced"})
UNASKED = "/exchange/v1/orders"
"""What the venue does to an order without a request of the owner is asked of it here."""
FILLS = frozenset({"fill", "trade_bust", "trade_correct", "liquidation"})
ZERO = Decimal(0)


@dataclass
class Gap:
    """A time in which whole shares of a lot had no stop; it is still open if it has no end.

    `dropped` says that it began with a request of the bot itself, not with a fill or by the venue's doing; `filled`
    that a fill began it. `idle` are the parts of it in which no exit worked either, each with its beginning and its
    end. It is `moot` if it ended only because somebody else's shares left nothing to close: whose books hold them
    can't know that. At the times in `answered` the venue accepted stops for all of its shares, which can't trigger
    yet: whoever sent them learns that later.
    """

    lot: Lot
    began: datetime
    dropped: bool
    filled: bool
    shares: Decimal
    ended: datetime | None = None
    moot: bool = False
    idle: list[tuple[datetime, datetime | None]] = field(default_factory=list)
    answered: set[datetime] = field(default_factory=set)


class Lots:
    """What each strategy holds in one account, and the stops that can trigger for it: a fold over the log's lines."""

    def __init__(self, account: str) -> None:
        self.held: dict[Lot, Decimal] = defaultdict(Decimal)
        self.gaps: list[Gap] = []
        self.now: datetime | None = None
        self.troubled: list[datetime] = []
        """When the venue was told to misbehave, when it did, and when it was told to stop."""
        self.lied: set[datetime] = set()
        """When something befell what was read, so that whoever read it may not know what there is."""
        self.by_hand: dict[str, list[list[datetime]]] = defaultdict(list)
        """When orders of somebody else worked, by symbol: a venue refuses ours on the other side meanwhile."""
        self._account = account
        self._net: dict[str, Decimal] = defaultdict(Decimal)
        self._owners: dict[str, str] = {}
        self._stops: dict[str, Working] = {}
        self._accepted: dict[str, Working] = {}
        self._exits: dict[str, Working] = {}
        self._open: dict[Lot, Gap] = {}
        self._changed: set[Lot] = set()
        self._asked_to_end: set[str] = set()
        self._dropped: set[Lot] = set()
        self._filled: set[Lot] = set()

    def add(self, event: Event) -> None:
        """Take one line in; those of other accounts change nothing."""
        at = datetime.fromisoformat(event["at"])
        if self.now is not None and at > self.now:
            self._end_moment()
        self.now = at
        if event["event"].startswith("fault_") or event.get("path") == UNASKED:
            self.troubled.append(at)
            self.lied |= {at} if event.get("on", "").startswith("GET ") else set()
        if event["event"] == "corporate_action":
            self._act(event)
        elif event.get("account") == self._account:
            if "order_id" in event:
                self._order(event)
            elif (asked := AT.asked(event)) is not None and asked.target:
                self._asked_to_end.add(asked.target)

    def finish(self) -> Sequence[Gap]:
        """Judge the last moment, and return all gaps in the order in which they began."""
        self._end_moment()
        return self.gaps

    def _order(self, event: Event) -> None:
        order = event["order_id"]
        mark = mark_of(event["client_order_id"])
        before = event.get("parent_id") or event.get("replaces")
        self._owners.setdefault(order, mark.strategy if mark else self._owners.get(before or "", ""))
        lot = (self._owners[order], event["symbol"])
        if not lot[0]:
            at = datetime.fromisoformat(event["at"])
            working = self.by_hand[event["symbol"]]
            working += [[at]] if event["event"] == "order_accepted" else []
            working[-1:] = [[*each[:1], at] for each in working[-1:]]
        if event["event"] in FILLS:
            before = self.held[lot]
            self.held[lot] += Decimal(event["position"]) - self._net[event["symbol"]]
            if before * self.held[lot] < 0 and lot in self._open:
                # Those shares are gone, and there are others now.
                self._open.pop(lot).ended = self.now
            self._net[event["symbol"]] = Decimal(event["position"])
            self._filled.add(lot)
        self._changed.add(lot)
        if event.get("stop_price"):
            self._stop(event, lot)
        elif event.get("replaces") or (mark and mark.purpose in (Purpose.CLOSE, Purpose.REDUCE)):
            self._exits.pop(order, None)
            if event["status"] not in ENDED:
                self._exits[order] = _working(event, lot)
        if lot in self._open and self._owed(lot) <= self._covered(lot, self._stops):
            # It may be the bot's next request at the same time that takes this stop away again.
            self._compare(lot)

    def _stop(self, event: Event, lot: Lot) -> None:
        order, status = event["order_id"], event["status"]
        accepted = self._accepted.pop(order, None)
        if status in TRIGGERS or (status in CHANGING and order in self._stops):
            self._stops[order] = _working(event, lot)
        elif event["event"] in ("order_accepted", "order_held", "order_received"):
            self._accepted[order] = _working(event, lot)
        elif accepted and status in ENDED and not {order, event.get("parent_id")} & self._asked_to_end:
            # Whoever sent it was told that it was accepted, and learns later that it was rejected at once.
            self._accepted[order] = accepted
        elif self._stops.pop(order, None) and status in ENDED and {order, event.get("parent_id")} & self._asked_to_end:
            # A stop that the venue suspends after it refused to cancel it was taken away by the venue.
            self._dropped.add(lot)

    def _act(self, action: Event) -> None:
        """Let a split or a new name change what is held."""
        for lot in [lot for lot in self.held if lot[1] == action["symbol"]]:
            quantity = self.held.pop(lot)
            if "new_rate" in action:
                quantity *= Decimal(action["new_rate"]) / Decimal(action["old_rate"])
            self.held[lot[0], action.get("new_symbol", lot[1])] = quantity
            self._changed |= {lot, (lot[0], action.get("new_symbol", lot[1]))}
        net = self._net.pop(action["symbol"], ZERO)
        if "new_rate" in action:
            net *= Decimal(action["new_rate"]) / Decimal(action["old_rate"])
        self._net[action.get("new_symbol", action["symbol"])] = net

    def _end_moment(self) -> None:
        """Compare shares and stops as they stand when time goes on."""
        for lot in sorted(self._changed):
            self._compare(lot)
        self._changed.clear()
        self._accepted.clear()
        self._asked_to_end.clear()
        self._dropped.clear()
        self._filled.clear()

    def _compare(self, lot: Lot) -> None:
        assert self.now is not None, "something happened"
        bare = self._owed(lot) - self._covered(lot, self._stops)
        gap = self._open.get(lot)
        if bare > 0 and gap is None:
            gap = self._open[lot] = Gap(lot, self.now, lot in self._dropped, lot in self._filled, bare)
            self.gaps.append(gap)
        elif bare <= 0 and gap is not None:
            self._open.pop(lot).ended = self.now
            gap.moot = abs(self.held[lot]).to_integral_value(ROUND_FLOOR) > self._covered(lot, self._stops)
        if gap is not None:
            gap.answered |= {self.now} if 0 < bare <= self._covered(lot, self._accepted) else set()
            self._note_idle(gap, idle=bare > self._covered(lot, self._exits))

    def _note_idle(self, gap: Gap, *, idle: bool) -> None:
        assert self.now is not None, "something happened"
        since, until = gap.idle[-1] if gap.idle else (gap.began, gap.began)
        if idle and until is not None:
            gap.idle.append((self.now, None))
        elif not idle and until is None:
            gap.idle[-1] = since, self.now

    def _owed(self, lot: Lot) -> Decimal:
        """Return how many shares of a lot a stop should cover: whole ones, of those that are the strategy's own.

        Never more than the account has on that side: somebody's own shares on the other side leave less to close.
        """
        held, net = self.held[lot], self._net[lot[1]]
        closable = min(abs(held), abs(net)) if held * net > 0 else ZERO
        return closable.to_integral_value(ROUND_FLOOR) if lot[0] else ZERO

    def _covered(self, lot: Lot, orders: Mapping[str, Working]) -> Decimal:
        side = "sell" if self.held[lot] > 0 else "buy"
        return sum((left for whose, at, left in orders.values() if (whose, at) == (lot, side)), ZERO)


def _working(event: Event, lot: Lot) -> Working:
    return lot, event["side"], Decimal(event["qty"] or 0) - Decimal(event["filled_qty"])
