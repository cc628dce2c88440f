"""An account that trades one contract along a tape: its orders, fills, limits and halts, in whole ticks and cents.

It does what the passes of the road do, minute by minute, and tells the same reasons. Only what can happen under the
rules that arrays know is here (`known.unknown`).
"""

from __future__ import annotations

from decimal import Decimal
from math import ceil
from typing import TYPE_CHECKING, NamedTuple

from tradebot.lab.learning.arrays.supported_rules import CENTS
from tradebot.model.reasons import Reason
from tradebot.signals.features.state import State

if TYPE_CHECKING:
    from tradebot.lab.learning.arrays.episode_data import Ask, Tape

MINUTE_S, BAR_MINUTES = 60, 5


class _Order(NamedTuple):
    """An order that fills in the next minute: how many contracts, signed, and for an entry, which ask it follows."""

    contracts: int
    enters: int | None = None


class Account:
    """One account from the first minute of a tape on; `held` is how many contracts it holds, signed."""

    def __init__(self, tape: Tape) -> None:
        self._tape, self._rules = tape, tape.rules
        self._cash, self._began = tape.cash, tape.cash
        self._peak = 0
        self._halted = False
        self._lots: list[tuple[int, int]] = []
        self._order: _Order | None = None
        self._due_fee, self._filled_at = 0, -1
        self._entries: dict[int, list[int]] = {1: [], -1: []}
        # Orders of one ask on one side are one trade.
        self._trades: set[tuple[int, bool]] = set()
        self.held = self._entered = 0

    def equity(self, place: int) -> int:
        """Return the equity in cents at a place. The commission of a fill comes a moment after it."""
        unpaid = self._due_fee if self._filled_at == place else 0
        return self._cash + self.held * self._tape.marks[place] * self._tape.tick + unpaid

    def drawdown(self, place: int) -> float:
        """Return how far the equity is below the highest that a pass has seen, as a fraction of that."""
        equity = self.equity(place)
        peak = max(self._peak, equity)
        return float(Decimal(peak - equity) / peak)

    def state(self, ask: Ask) -> State:
        """Return how things stand when the policy is asked. What was entered first has left first."""
        tape, place = self._tape, ask.place
        mark = tape.marks[place]
        profit = sum(contracts * (mark - price) for contracts, price in self._lots) * tape.tick
        return State(
            position=float(self.held),
            unrealized=profit / CENTS,
            equity=self.equity(place) / CENTS,
            drawdown=self.drawdown(place),
            bars=(tape.minutes[place] - self._entered) // BAR_MINUTES if self.held else 0,
            gone=ask.gone,
            trades=len(self._trades),
        )

    def fill(self, place: int) -> None:
        """Fill the order that was sent a minute before a place, at the minute's open, a tick worse."""
        order, self._order = self._order, None
        if order is None:
            return
        tape, contracts = self._tape, order.contracts
        price = tape.opens[place - 1] + (1 if contracts > 0 else -1)
        self._due_fee, self._filled_at = abs(contracts) * tape.fee, place
        self._cash -= contracts * price * tape.tick + self._due_fee
        if not self.held:
            self._entered = tape.minutes[place]
        if order.enters is not None:
            self._lots.append((contracts, price))
            self._trades.add((order.enters, contracts > 0))
        else:
            self._leave(contracts)
        self.held += contracts

    def _leave(self, contracts: int) -> None:
        while contracts:
            held, price = self._lots.pop(0)
            if abs(held) > abs(contracts):
                self._lots.insert(0, (held + contracts, price))
                return
            contracts += held

    def see(self, place: int) -> None:
        """Note the equity as a pass does: the highest so far, and a loss that halts the bot until the end."""
        equity, rules = self.equity(place), self._rules
        self._peak = max(self._peak, equity)
        lost = Decimal(max(self._began - equity, 0)) / max(self._began, equity)
        fallen = Decimal(self._peak - equity) / self._peak
        self._halted = self._halted or lost >= rules.halt_day_loss or fallen >= rules.halt_drawdown

    def close(self, place: int) -> None:
        """End the session that closes here: its loss and trades are over, and entries too where a trade date ends."""
        self._began = self.equity(place)
        self._trades.clear()
        if self._tape.closes[place]:
            self._entries = {1: [], -1: []}

    def turn(self, place: int, target: int, ask: int) -> Reason | None:
        """Send the order that brings the position nearer to the target of an ask, counted from 0.

        Return why it is refused, None if it isn't.
        """
        self.see(place)
        held, wanted = self.held, target - self.held
        if not wanted:
            return None
        if held * target < 0 or abs(target) < abs(held):
            if self._halted and held * target < 0:
                # What would give way to another position is kept while nothing may be opened.
                return Reason.HALTED
            self._order = _Order(-held if held * target < 0 else wanted)
            return None
        return self._enter(place, wanted, ask)

    def _enter(self, place: int, wanted: int, ask: int) -> Reason | None:
        tape, rules, side = self._tape, self._rules, 1 if wanted > 0 else -1
        if self._halted:
            return Reason.HALTED
        offer, equity = tape.marks[place] + 1, self.equity(place)
        worst = offer if side < 0 else ceil(offer * (1 + rules.entry_offset))
        unit = worst * tape.tick
        budget = min(rules.order_fraction * equity, Decimal(rules.most_cents))
        contracts = min(abs(wanted), max(int(budget / unit), 0))
        if rules.order_contracts is not None:
            contracts = min(contracts, rules.order_contracts)
        why = self._refused(place, side, contracts, contracts * unit, equity)
        if why is None:
            self._entries[side].append(tape.minutes[place])
            self._order = _Order(side * contracts, ask)
        return why

    def _refused(self, place: int, side: int, contracts: int, cents: int, equity: int) -> Reason | None:
        """Return the first gate's reason that an entry doesn't pass, in their order."""
        tape, rules, entries = self._tape, self._rules, self._entries
        if contracts < 1:
            return Reason.SIZE_BELOW_ONE
        if len(entries[1]) + len(entries[-1]) >= rules.session_entries:
            return Reason.MAX_SESSION_ENTRIES
        if len(entries[side]) >= rules.symbol_entries:
            return Reason.MAX_SYMBOL_ENTRIES
        if cents < rules.least_cents:
            return Reason.ORDER_NOTIONAL_BELOW_MIN
        part = Decimal(abs(self.held) * tape.marks[place] * tape.tick + cents) / equity
        if part > rules.symbol_fraction:
            return Reason.SYMBOL_NOTIONAL_ABOVE_MAX
        if part > rules.sector_fraction:
            return Reason.SECTOR_NOTIONAL_ABOVE_MAX
        if part > rules.gross_fraction:
            return Reason.GROSS_NOTIONAL_ABOVE_MAX
        if rules.contracts is not None and abs(self.held) + contracts > rules.contracts:
            return Reason.CONTRACTS_ABOVE_MAX
        if Decimal(max(self._began - equity, 0)) / max(self._began, equity) >= rules.day_loss:
            return Reason.DAILY_LOSS_REACHED
        now = tape.minutes[place]
        if self._filled_at >= 0 and (now - tape.minutes[self._filled_at]) * MINUTE_S < rules.cooldown_s:
            return Reason.COOLDOWN
        if entries[side] and (now - entries[side][-1]) * MINUTE_S < rules.duplicate_window_s:
            return Reason.DUPLICATE_ORDER
        return None
