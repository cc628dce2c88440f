"""FIX's order state matrices (FIX 4.4, appendix D), as far as they can be played through Alpaca's API.

Each scenario is played for purchases, closing sales and short sales, on three venues. What is expected are the lines
that were told of each order, `minute order event filled+left`. X, Y and Z are the orders, as in the appendix.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from decimal import Decimal
from typing import Any, NamedTuple

import pytest

from exchange.tests.kit.pit import LATE, OPEN, Pit, PitSteps, do, replacement
from papervenue.engine import unsolicited
from papervenue.engine.orders import TERMINAL, Amendment, Order
from papervenue.events import Event
from papervenue.faces.trading_json import order_json
from papervenue.market.actions import DIVIDEND, FORWARD_SPLIT, REVERSE_SPLIT
from papervenue.market.bars import usd
from papervenue.market.spec import NEXT_BAR, PAPER
from papervenue.times import MINUTE

# A stage for the scenarios of order states: one order after another on three venues, and the laws of every state.

TENTH = NEXT_BAR.volume_share
VENUES = {
    "instant": NEXT_BAR,
    "slow": LATE,
    "paper": PAPER._replace(volume_share=TENTH, depth_share=TENTH, partial_rate=Decimal(0)),
}
"""Requests arrive at once, or a minute and a half later; on paper, marketable orders fill on arrival besides."""


class Way(NamedTuple):
    """What orders do: their side, and the shares that are held before."""

    side: str
    position: int


WAYS = {"buy": Way("buy", 0), "sale": Way("sell", 1000), "short": Way("sell", 0)}
QTY = 100
LIMIT = 90


class MatrixStage(PitSteps):
    """A stage where the market reaches a limit of 90 for so many shares at the minutes of `trades`, and no other time.

    The market stands at 100. Prices are those of purchases: for sales they are mirrored, so that 90 means 110.
    `event_lines` has the events of each order, with its filled and its unfilled shares.
    """

    def __init__(self, venue: str, way: str, trades: Mapping[int, int], minute: float = 10) -> None:
        self.side, self.position = WAYS[way]
        self.slow = venue == "slow"
        low = self._mirrored(LIMIT - 5)
        bar = (100.0, max(100.0, low), min(100.0, low), 100.0)
        super().__init__(
            Pit({at - 1: (bar, shares * 10) for at, shares in trades.items()}, VENUES[venue], minute=minute)
        )
        if self.position:
            self.pit.hold(self.position)
        self.cash = self.pit.account.cash
        self.event_lines: list[str] = []
        self._laws = Laws(self)
        self._events_read = 0

    def _mirrored(self, price: float) -> float:
        return price if self.side == "buy" else 200 - price

    def order(self, name: str = "X", qty: int = QTY, limit: float = LIMIT, **more: Any) -> None:  # type: ignore[override]
        order = self.pit.submit(self.side, qty, limit=self._mirrored(limit), **more)
        self._named(name, order)

    def replace(self, old: str, new: str, *, fate: str | None = None, **changes: Any) -> None:  # type: ignore[override]
        if "limit" in changes:
            changes["limit"] = self._mirrored(changes["limit"])
        order = self.pit.engine.replace(self.pit.account, self.orders[old].id, replacement(**changes))
        order.fate = fate
        self._named(new, order)

    def _named(self, name: str, order: Order) -> None:
        self.orders[name] = order
        self.listen()
        self.pit.engine.settle(order)

    def latency(self, us: int) -> None:
        self.pit.engine.latency_us = us

    def refused(self, message: str, step: str, *arguments: Any, slow: str = "", **named: Any) -> None:
        """See that a step is refused with a message, perhaps with another one on the slow venue."""
        super().refused(slow if slow and self.slow else message, step, *arguments, **named)

    def listen(self) -> None:
        events, self._events_read = self.pit.events[self._events_read :], len(self.pit.events)
        for event in events:
            if event.name == "activity":
                self._laws.book(event.fields)
            elif event.update is not None:
                self.event_lines.append(self._line(event))
                self._laws.take(event)
        self._laws.hold()

    def _line(self, event: Event) -> str:
        """Return the minute, the order, the word, what is filled and what is left, as the event itself has it."""
        fields = event.fields
        name = next(name for name, order in self.orders.items() if order.id == fields["order_id"])
        filled, status = Decimal(fields["filled_qty"]), fields["status"]
        left = Decimal(0) if status in TERMINAL else Decimal(fields["qty"]) - filled
        assert event.update is not None
        word = event.update.event
        shown = f"{word}/{status}" if word.endswith("_rejected") or word == "restated" else word
        return f"{(event.at_us - OPEN) / MINUTE:g} {name} {shown} {filled:f}+{left:f}"


class Laws:
    """What holds for every order of a stage at any time, counted from what was told."""

    def __init__(self, stage: MatrixStage) -> None:
        self._stage = stage
        self._executed: dict[str, Decimal] = {}
        self._taken_over: dict[str, Decimal] = {}
        self._final: dict[str, dict[str, Any]] = {}
        self._shares = Decimal(stage.position)
        self._cash = stage.cash

    def take(self, event: Event) -> None:
        """Count an execution, and what a replacement takes over from the order whose place it takes."""
        fields, update = event.fields, event.update
        assert update is not None
        if update.event == "replaced":
            assert update.order.replaced_by is not None
            self._taken_over[update.order.replaced_by] = Decimal(fields["filled_qty"])
        if update.execution is None:
            return
        if isinstance(update.execution, Amendment):
            self._amend(update.order, update.execution)
            return
        qty, order = update.execution.qty, fields["order_id"]
        self._executed[order] = self._executed.get(order, Decimal(0)) + qty
        self._shares += qty * update.order.side
        self._cash -= qty * update.order.side * usd(update.execution.price)
        cum = self._executed[order] + self._taken_over.get(order, Decimal(0))
        left = Decimal(0) if update.event == "fill" else Decimal(fields["qty"]) - cum
        assert (update.execution.cum_qty, update.execution.leaves_qty) == (cum, left)

    def _amend(self, order: Order, amended: Amendment) -> None:
        """Count what a bust or a correction gives back; it may change an order that is over, and its successors."""
        self._executed[order.id] += amended.shares * order.side
        self._shares += amended.shares
        self._cash += amended.net_amount
        self._final.clear()
        following = order.replaced_by
        while following is not None:
            self._taken_over[following] += amended.shares * order.side
            following = self._stage.pit.account.order(following).replaced_by
        cum = self._executed[order.id] + self._taken_over.get(order.id, Decimal(0))
        assert amended.cum_qty == cum

    def book(self, fields: Mapping[str, Any]) -> None:
        """Count what a corporate action has brought."""
        self._shares += Decimal(fields["qty"] or 0) if fields["activity_type"] == "SPLIT" else 0
        self._cash += Decimal(fields["net_amount"])

    def hold(self) -> None:
        """See that the laws hold now."""
        account = self._stage.pit.account
        assert account.qty("AAA") == self._shares
        assert account.cash == self._cash
        for order in self._stage.orders.values():
            cum = self._executed.get(order.id, Decimal(0)) + self._taken_over.get(order.id, Decimal(0))
            assert order.filled_qty == cum
            if order.is_open:
                assert order.id in account.open
                if account.to_be_replaced(order) is None:
                    assert _kept(order) == (order.qty or 0) - cum
            else:
                # Nothing is left of an order that is over, and nothing of it changes any more.
                assert order.id not in account.open
                assert not _kept(order)
                assert self._final.setdefault(order.id, order_json(order)) == order_json(order)


def _kept(order: Order) -> Decimal:
    """Return the shares for which an account keeps money or shares of an order."""
    return order.held_usd / usd(order.reserve) if order.opens else order.claimed


ALREADY, NOT_OPEN = "order already replaced", "unable to replace order, order is not open"
PENDING, GONE = "cannot replace order in pending_replace status", 'order is already in "replaced" state'
BEGIN = "10 X pending_new 0+100, 10 X new 0+100, "
"""How most scenarios begin."""


class Scenario(NamedTuple):
    """Steps and what is told on the three venues (by default the same on each), and the shares that the market trades.

    `trades` has shares by minute, at the limit. `minute` is when the scenario begins, `ways` who plays it.
    """

    steps: Sequence[Callable[[Any], object]]
    instant: str
    slow: str = ""
    paper: str = ""
    trades: Mapping[int, int] = {}
    minute: float = 10
    ways: Sequence[str] = tuple(WAYS)
    begin: str = BEGIN

    def told_on(self, venue: str, way: str) -> str:
        stage = MatrixStage(venue, way, self.trades, self.minute)
        for step in self.steps:
            step(stage)
            stage.listen()
        return ", ".join(stage.event_lines)


SCENARIOS = {
    "a1a filled": Scenario(
        (do.order(), do.to(15)), "12 X partial_fill 30+70, 13 X fill 100+0", trades={12: 30, 13: 70}
    ),
    "a1a filled by the market as it stands": Scenario(
        (do.order(limit=101), do.to(15)), "11 X fill 100+0", paper="10 X fill 100+0"
    ),
    "a1b part filled and done for the day": Scenario(
        (do.order(), do.to(400)), "12 X partial_fill 30+70, 390 X expired 30+0", trades={12: 30}
    ),
    "b1a canceled without a fill": Scenario(
        (do.order(), do.to(11), do.cancel("X"), do.to(15)),
        "11 X canceled 0+0",
        slow="11 X pending_cancel 0+100, 12.5 X canceled 0+0",
    ),
    "b1b canceled after a part and another on the way": Scenario(
        (do.order(), do.to(12), do.cancel("X"), do.to(20)),
        "11 X partial_fill 30+70, 12 X canceled 30+0",
        slow="11 X partial_fill 30+70, 12 X pending_cancel 30+70, 13 X partial_fill 50+50, 13.5 X canceled 50+0",
        trades={11: 30, 13: 20, 15: 50},
    ),
    "b1c canceled and filled before the cancel arrives": Scenario(
        (do.order(), do.to(11), do.cancel("X"), do.to(15)),
        "11 X canceled 0+0",
        slow="11 X pending_cancel 0+100, 12 X fill 100+0, 12.5 X order_cancel_rejected/filled 100+0",
        trades={12: 100},
    ),
    "b1d canceled before it is at the market": Scenario(
        (do.order(), do.to(-20), do.cancel("X"), do.to(5)),
        "-30 X accepted 0+100, -20 X canceled 0+0",
        minute=-30,
        begin="",
    ),
    "c1a replaced by more without a fill": Scenario(
        (do.order(), do.to(11), do.replace("X", "Y", qty=120), do.to(20)),
        "11 X pending_replace 0+100, 11 Y pending_new 0+120, 11 X replaced 0+0, 11 Y new 0+120, "
        "15 Y partial_fill 100+20, 16 Y fill 120+0",
        slow="11 X pending_replace 0+100, 11 Y pending_new 0+120, 12.5 X replaced 0+0, 12.5 Y new 0+120, "
        "15 Y partial_fill 100+20, 16 Y fill 120+0",
        trades={15: 100, 16: 20},
    ),
    "c1b replaced by more after a part and another on the way": Scenario(
        (do.order(), do.to(12), do.replace("X", "Y", qty=120), do.to(20)),
        "11 X partial_fill 30+70, 12 X pending_replace 30+70, 12 Y pending_new 0+120, 12 X replaced 30+0, "
        "12 Y new 30+90, 13 Y partial_fill 50+70, 15 Y fill 120+0",
        slow="11 X partial_fill 30+70, 12 X pending_replace 30+70, 12 Y pending_new 0+120, 13 X partial_fill 50+50, "
        "13.5 X replaced 50+0, 13.5 Y new 50+70, 15 Y fill 120+0",
        trades={11: 30, 13: 20, 15: 70},
    ),
    "c1c replaced by more and filled before that arrives": Scenario(
        (
            do.order(),
            do.to(11),
            do.replace("X", "Y", qty=120),
            do.to(20),
            do.refused(ALREADY, "replace", "X", "Z", slow=NOT_OPEN, qty=130),
        ),
        "11 X pending_replace 0+100, 11 Y pending_new 0+120, 11 X replaced 0+0, 11 Y new 0+120, "
        "12 Y partial_fill 100+20, 15 Y fill 120+0",
        slow="11 X pending_replace 0+100, 11 Y pending_new 0+120, 12 X fill 100+0, 12.5 Y rejected 0+0, "
        "12.5 X order_replace_rejected/filled 100+0",
        trades={12: 100, 15: 20},
    ),
    "c2a replaced at another price and filled before that arrives": Scenario(
        (do.order(), do.to(11), do.replace("X", "Y", limit=89), do.to(15)),
        "11 X pending_replace 0+100, 11 Y pending_new 0+100, 11 X replaced 0+0, 11 Y new 0+100, 12 Y fill 100+0",
        slow="11 X pending_replace 0+100, 11 Y pending_new 0+100, 12 X fill 100+0, 12.5 Y rejected 0+0, "
        "12.5 X order_replace_rejected/filled 100+0",
        trades={12: 100},
    ),
    "c2b replaced at a price that the market meets": Scenario(
        (do.order(), do.to(12), do.replace("X", "Y", limit=101), do.to(15)),
        "11 X partial_fill 30+70, 12 X pending_replace 30+70, 12 Y pending_new 0+100, 12 X replaced 30+0, "
        "12 Y new 30+70, 13 Y fill 100+0",
        slow="11 X partial_fill 30+70, 12 X pending_replace 30+70, 12 Y pending_new 0+100, 13.5 X replaced 30+0, "
        "13.5 Y new 30+70, 15 Y fill 100+0",
        paper="11 X partial_fill 30+70, 12 X pending_replace 30+70, 12 Y pending_new 0+100, 12 X replaced 30+0, "
        "12 Y new 30+70, 12 Y fill 100+0",
        trades={11: 30},
    ),
    "c3a replaced by less than it was and more than is filled": Scenario(
        (do.order(), do.to(11), do.replace("X", "Y", qty=70), do.to(20)),
        "11 X pending_replace 0+100, 11 Y pending_new 0+70, 11 X replaced 0+0, 11 Y new 0+70, "
        "12 Y partial_fill 50+20, 15 Y fill 70+0",
        slow="11 X pending_replace 0+100, 11 Y pending_new 0+70, 12 X partial_fill 50+50, 12.5 X replaced 50+0, "
        "12.5 Y new 50+20, 15 Y fill 70+0",
        trades={12: 50, 15: 20},
    ),
    "c3b replaced by as much as is filled": Scenario(
        (do.order(), do.to(11), do.replace("X", "Y", qty=50), do.to(20)),
        "11 X pending_replace 0+100, 11 Y pending_new 0+50, 11 X replaced 0+0, 11 Y new 0+50, 12 Y fill 50+0",
        slow="11 X pending_replace 0+100, 11 Y pending_new 0+50, 12 X partial_fill 50+50, 12.5 Y rejected 0+0, "
        "12.5 X order_replace_rejected/partially_filled 50+50, 15 X fill 100+0",
        trades={12: 50, 15: 50},
    ),
    "c3c replaced by less than is filled": Scenario(
        (do.order(), do.to(11), do.replace("X", "Y", qty=30), do.to(20)),
        "11 X pending_replace 0+100, 11 Y pending_new 0+30, 11 X replaced 0+0, 11 Y new 0+30, 12 Y fill 30+0",
        slow="11 X pending_replace 0+100, 11 Y pending_new 0+30, 12 X partial_fill 50+50, 12.5 Y rejected 0+0, "
        "12.5 X order_replace_rejected/partially_filled 50+50, 15 X fill 100+0",
        trades={12: 50, 15: 50},
    ),
    "d1a replaced twice": Scenario(
        (do.order(), do.to(12), do.replace("X", "Y", qty=110), do.to(15), do.replace("Y", "Z", qty=120), do.to(25)),
        "11 X partial_fill 30+70, 12 X pending_replace 30+70, 12 Y pending_new 0+110, 12 X replaced 30+0, "
        "12 Y new 30+80, 15 Y pending_replace 30+80, 15 Z pending_new 0+120, 15 Y replaced 30+0, 15 Z new 30+90, "
        "20 Z fill 120+0",
        slow="11 X partial_fill 30+70, 12 X pending_replace 30+70, 12 Y pending_new 0+110, 13.5 X replaced 30+0, "
        "13.5 Y new 30+80, 15 Y pending_replace 30+80, 15 Z pending_new 0+120, 16.5 Y replaced 30+0, "
        "16.5 Z new 30+90, 20 Z fill 120+0",
        trades={11: 30, 20: 90},
    ),
    "d1b a replacement refused and another accepted": Scenario(
        (
            do.order(),
            do.to(12),
            do.refused("qty must be > filled_qty", "replace", "X", "Y", qty=30),
            do.replace("X", "Z", qty=120),
            do.to(25),
        ),
        "11 X partial_fill 30+70, 12 X pending_replace 30+70, 12 Z pending_new 0+120, 12 X replaced 30+0, "
        "12 Z new 30+90, 20 Z fill 120+0",
        slow="11 X partial_fill 30+70, 12 X pending_replace 30+70, 12 Z pending_new 0+120, 13.5 X replaced 30+0, "
        "13.5 Z new 30+90, 20 Z fill 120+0",
        trades={11: 30, 20: 90},
    ),
    "d1c a replacement rejected after it was accepted and another accepted": Scenario(
        (
            do.order(),
            do.to(12),
            do.replace("X", "Y", qty=110, fate="reject"),
            do.to(15),
            do.replace("X", "Z", qty=120),
            do.to(25),
        ),
        "11 X partial_fill 30+70, 12 X pending_replace 30+70, 12 Y pending_new 0+110, 12 Y rejected 0+0, "
        "12 X order_replace_rejected/partially_filled 30+70, 15 X pending_replace 30+70, 15 Z pending_new 0+120, "
        "15 X replaced 30+0, 15 Z new 30+90, 20 Z fill 120+0",
        slow="11 X partial_fill 30+70, 12 X pending_replace 30+70, 12 Y pending_new 0+110, 13.5 Y rejected 0+0, "
        "13.5 X order_replace_rejected/partially_filled 30+70, 15 X pending_replace 30+70, 15 Z pending_new 0+120, "
        "16.5 X replaced 30+0, 16.5 Z new 30+90, 20 Z fill 120+0",
        trades={11: 30, 20: 90},
    ),
    "d2a replaced again before the first is answered": Scenario(
        (
            do.order(),
            do.to(12),
            do.replace("X", "Y", qty=110),
            do.refused(ALREADY, "replace", "X", "Z", slow=PENDING, qty=120),
            do.to(25),
        ),
        "11 X partial_fill 30+70, 12 X pending_replace 30+70, 12 Y pending_new 0+110, 12 X replaced 30+0, "
        "12 Y new 30+80, 20 Y fill 110+0",
        slow="11 X partial_fill 30+70, 12 X pending_replace 30+70, 12 Y pending_new 0+110, 13.5 X replaced 30+0, "
        "13.5 Y new 30+80, 20 Y fill 110+0",
        trades={11: 30, 20: 80},
    ),
    "d2b canceled before the replacement is answered": Scenario(
        (
            do.order(),
            do.to(12),
            do.replace("X", "Y", qty=110),
            do.refused(GONE, "cancel", "X", slow="order pending replace"),
            do.cancel("Y"),
            do.refused('order is already in "canceled" state', "cancel", "Y", slow="order pending cancel"),
            do.to(25),
        ),
        "11 X partial_fill 30+70, 12 X pending_replace 30+70, 12 Y pending_new 0+110, 12 X replaced 30+0, "
        "12 Y new 30+80, 12 Y canceled 30+0",
        slow="11 X partial_fill 30+70, 12 X pending_replace 30+70, 12 Y pending_new 0+110, 12 Y pending_cancel 0+110, "
        "13 X partial_fill 50+50, 13.5 X replaced 50+0, 13.5 Y new 50+60, 13.5 Y canceled 50+0",
        trades={11: 30, 13: 20, 20: 80},
    ),
    "e1a canceled by the venue": Scenario(
        (do.order(tif="gtc"), do.announce(REVERSE_SPLIT, new_rate=Decimal(1), old_rate=Decimal(2)), do.to(1445)),
        "12 X partial_fill 30+70, 1110 X canceled 30+0",
        trades={12: 30},
    ),
    "e1b repriced by the venue": Scenario(
        (do.order(tif="gtc"), do.announce(DIVIDEND, rate=Decimal("1.5")), do.to(1455)),
        "1110 X restated/new 0+100, 1452 X fill 100+0",
        trades={1012: 100},
        ways=("buy",),
    ),
    "f1a refused for an id that was used before": Scenario(
        (
            do.order(client_order_id="once"),
            do.refused("client_order_id must be unique", "order", "Y", client_order_id="once"),
            do.cancel("X"),
            do.to(15),
            do.refused("client_order_id must be unique", "order", "Y", client_order_id="once"),
        ),
        "10 X canceled 0+0",
        slow="10 X pending_cancel 0+100, 11.5 X canceled 0+0",
    ),
    "f1b rejected after it was accepted": Scenario(
        (do.order(fate="reject"), do.to(15)), "10 X pending_new 0+100, 10 X rejected 0+0", trades={12: 100}, begin=""
    ),
    "h1a filled over two days": Scenario(
        (do.order(tif="gtc"), do.to(1460)),
        "12 X partial_fill 30+70, 1452 X partial_fill 50+50, 1454 X fill 100+0",
        trades={12: 30, 1012: 20, 1014: 50},
    ),
    "h1b split overnight and filled": Scenario(
        (do.order(tif="gtc"), do.announce(FORWARD_SPLIT, new_rate=Decimal(2), old_rate=Decimal(1)), do.to(1460)),
        "1110 X restated/new 0+200, 1452 X fill 200+0",
        trades={1012: 150, 1014: 50},
    ),
    "h1b filled in part and split overnight": Scenario(
        (do.order(tif="gtc"), do.announce(FORWARD_SPLIT, new_rate=Decimal(2), old_rate=Decimal(1)), do.to(1460)),
        "12 X partial_fill 30+70, 1110 X canceled 30+0",
        trades={12: 30, 1012: 100},
    ),
    "h1c filled in part and canceled on the next day": Scenario(
        (do.order(tif="gtc"), do.to(1451), do.cancel("X"), do.to(1460)),
        "12 X partial_fill 30+70, 1451 X canceled 30+0",
        slow="12 X partial_fill 30+70, 1451 X pending_cancel 30+70, 1452 X partial_fill 50+50, 1452.5 X canceled 50+0",
        trades={12: 30, 1012: 20},
    ),
    "h1d filled in part and replaced by more on the next day": Scenario(
        (do.order(tif="gtc"), do.to(1451), do.replace("X", "Y", qty=120), do.to(1460)),
        "12 X partial_fill 30+70, 1451 X pending_replace 30+70, 1451 Y pending_new 0+120, 1451 X replaced 30+0, "
        "1451 Y new 30+90, 1452 Y partial_fill 50+70, 1455 Y fill 120+0",
        slow="12 X partial_fill 30+70, 1451 X pending_replace 30+70, 1451 Y pending_new 0+120, "
        "1452 X partial_fill 50+50, 1452.5 X replaced 50+0, 1452.5 Y new 50+70, 1455 Y fill 120+0",
        trades={12: 30, 1012: 20, 1015: 70},
    ),
    "i1a fill or kill that cannot be filled": Scenario(
        (do.order(tif="fok"), do.to(15)), "11 X canceled 0+0", paper="10 X canceled 0+0", trades={11: 99, 12: 100}
    ),
    "i1b immediate or cancel that is filled in part": Scenario(
        (do.order(tif="ioc", limit=101), do.to(15)),
        "11 X partial_fill 30+70, 11 X canceled 30+0",
        paper="10 X partial_fill 30+70, 10 X canceled 30+0",
        trades={10: 30, 11: 30, 12: 70},
    ),
    "k1a halted and resumed": Scenario(
        (do.order(), do.to(13), do.halt("AAA"), do.to(16), do.halt(), do.to(20)),
        "12 X partial_fill 30+70, 17 X fill 100+0",
        trades={12: 30, 14: 20, 17: 70},
    ),
    "k1b canceled in a halt": Scenario(
        (do.order(), do.to(13), do.halt("AAA"), do.cancel("X"), do.to(18), do.halt(), do.to(22)),
        "12 X partial_fill 30+70, 13 X canceled 30+0",
        slow="12 X partial_fill 30+70, 13 X pending_cancel 30+70, 14.5 X canceled 30+0",
        trades={12: 30, 14: 20, 20: 50},
    ),
    "g1a suspended and resumed": Scenario(
        (
            do.order(),
            do.to(13),
            do.venue(unsolicited.suspend_order, "X"),
            do.to(15),
            do.venue(unsolicited.resume_order, "X"),
            do.to(25),
        ),
        "12 X partial_fill 30+70, 13 X suspended 30+70, 15 X restated/partially_filled 30+70, 20 X fill 100+0",
        trades={12: 30, 14: 30, 20: 70},
    ),
    "g1b suspended and canceled": Scenario(
        (do.order(), do.to(13), do.venue(unsolicited.suspend_order, "X"), do.cancel("X"), do.to(25)),
        "12 X partial_fill 30+70, 13 X suspended 30+70, 13 X canceled 30+0",
        trades={12: 30},
    ),
    "g2a stopped and filled as guaranteed": Scenario(
        (do.order(), do.to(13), do.venue(unsolicited.stop, "X"), do.to(25)),
        "12 X partial_fill 30+70, 13 X stopped 30+70, 14 X fill 100+0",
        trades={12: 30},
    ),
    "g2b stopped resumed and stopped again": Scenario(
        (
            do.order(),
            do.to(13),
            do.venue(unsolicited.stop, "X"),
            do.to(13.5),
            do.venue(unsolicited.resume_order, "X"),
            do.to(13.75),
            do.venue(unsolicited.stop, "X"),
            do.to(25),
        ),
        "12 X partial_fill 30+70, 13 X stopped 30+70, 13.5 X restated/partially_filled 30+70, "
        "13.75 X stopped 30+70, 14.75 X fill 100+0",
        trades={12: 30},
    ),
    "g2c stopped just before the close and filled with it": Scenario(
        (do.order(tif="gtc"), do.to(389.5), do.venue(unsolicited.stop, "X"), do.to(1445)),
        "12 X partial_fill 30+70, 389.5 X stopped 30+70, 390 X fill 100+0",
        trades={12: 30},
    ),
    "d3d canceled behind a replacement that is slower than the cancel": Scenario(
        (do.order(), do.to(13), do.replace("X", "Y", qty=110), do.latency(0), do.cancel("Y"), do.to(25)),
        "12 X partial_fill 30+70, 13 X pending_replace 30+70, 13 Y pending_new 0+110, "
        "13 X replaced 30+0, 13 Y new 30+80, 13 Y canceled 30+0",
        slow="12 X partial_fill 30+70, 13 X pending_replace 30+70, 13 Y pending_new 0+110, "
        "13 Y pending_cancel 0+110, 14.5 X replaced 30+0, 14.5 Y new 30+80, 14.5 Y canceled 30+0",
        trades={12: 30},
    ),
    "g3a a partial fill busted and filled again": Scenario(
        (do.order(), do.to(15), do.amend("X", 0), do.to(25)),
        "12 X partial_fill 30+70, 14 X partial_fill 50+50, 15 X trade_bust 20+80, 20 X fill 100+0",
        trades={12: 30, 14: 20, 20: 80},
    ),
    "g3b a whole fill busted": Scenario(
        (do.order(), do.to(15), do.amend("X", 0), do.to(25)), "12 X fill 100+0, 15 X trade_bust 0+0", trades={12: 100}
    ),
    "g4a a fill corrected to fewer shares and another price": Scenario(
        (do.order(), do.to(15), do.amend("X", 0, qty=Decimal(10)), do.to(25)),
        "12 X partial_fill 30+70, 15 X trade_correct 10+90, 20 X partial_fill 80+20",
        trades={12: 30, 20: 70},
    ),
    "g3c a fill busted that a replacement has taken over": Scenario(
        (do.order(), do.to(13), do.replace("X", "Y", qty=110), do.to(16), do.amend("X", 0), do.to(25)),
        "12 X partial_fill 30+70, 13 X pending_replace 30+70, 13 Y pending_new 0+110, "
        "13 X replaced 30+0, 13 Y new 30+80, 16 X trade_bust 0+0, 20 Y partial_fill 80+30",
        slow="12 X partial_fill 30+70, 13 X pending_replace 30+70, 13 Y pending_new 0+110, "
        "14.5 X replaced 30+0, 14.5 Y new 30+80, 16 X trade_bust 0+0, 20 Y partial_fill 80+30",
        trades={12: 30, 20: 80},
    ),
}


@pytest.mark.parametrize("venue", VENUES)
@pytest.mark.parametrize("name", SCENARIOS)
def test_an_order_goes_through_its_states_as_the_matrices_say(name: str, venue: str) -> None:
    one = SCENARIOS[name]
    moment = one.begin + (getattr(one, venue) or one.instant)
    assert {way: one.told_on(venue, way) for way in one.ways} == dict.fromkeys(one.ways, moment)
