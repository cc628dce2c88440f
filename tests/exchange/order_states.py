"""A stage for the scenarios of order states: one order after another on three venues, and the laws of every state."""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from typing import Any, NamedTuple

from tests.kit.exchange.pit import LATE, OPEN, Pit, PitSteps, replacement
from tradebot.exchange.engine.orders import TERMINAL, Amendment, Order
from tradebot.exchange.events import Event
from tradebot.exchange.faces.trading_json import order_json
from tradebot.exchange.market.bars import usd
from tradebot.exchange.market.spec import NEXT_BAR, PAPER
from tradebot.exchange.times import MINUTE

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
    held: int


WAYS = {"buy": Way("buy", 0), "sale": Way("sell", 1000), "short": Way("sell", 0)}
QTY = 100
LIMIT = 90


class MatrixStage(PitSteps):
    """A stage where the market reaches a limit of 90 for so many shares at the minutes of `trades`, and no other time.

    The market stands at 100. Prices are those of purchases: for sales they are mirrored, so that 90 means 110.
    `told` is what was told of each order, with its filled and its unfilled shares.
    """

    def __init__(self, venue: str, way: str, trades: Mapping[int, int], minute: float = 10) -> None:
        self.side, self.held = WAYS[way]
        self.slow = venue == "slow"
        low = self._mirrored(LIMIT - 5)
        bar = (100.0, max(100.0, low), min(100.0, low), 100.0)
        super().__init__(
            Pit({at - 1: (bar, shares * 10) for at, shares in trades.items()}, VENUES[venue], minute=minute)
        )
        if self.held:
            self.pit.hold(self.held)
        self.cash = self.pit.account.cash
        self.told: list[str] = []
        self._laws = Laws(self)
        self._heard = 0

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
        events, self._heard = self.pit.events[self._heard :], len(self.pit.events)
        for event in events:
            if event.name == "activity":
                self._laws.book(event.fields)
            elif event.update is not None:
                self.told.append(self._line(event))
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
        self._shares = Decimal(stage.held)
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
