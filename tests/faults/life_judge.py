"""The judge of lives: what the exchange's log and account say of an account, after each pass of its bot."""

from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping
from contextlib import closing
from decimal import Decimal
from itertools import islice
from typing import Any

from tests.faults.ground import CASH, ScheduleDay
from tests.kit.values import VENUE_DAY
from tradebot.adapters.ledger.ledger import SqliteLedger
from tradebot.exchange.engine.orders import Order
from tradebot.exchange.market.bars import usd
from tradebot.model.candidate import Purpose
from tradebot.model.intent import mark_of
from tradebot.model.position import FOREIGN
from tradebot.model.record import SessionEnd
from tradebot.model.values import replace
from tradebot.views.performance.history import History
from tradebot.views.performance.lots import trades
from tradebot.views.performance.pieces import breakdown
from tradebot.views.performance.pnl import Cut, pnl

Event = Mapping[str, Any]
Whose = tuple[str, str]
CENT = Decimal("0.01")
STOPS = ("stop", "stop_limit")


class LifeJudge:
    """Reads the log on and notes what was broken."""

    def __init__(self, day: ScheduleDay, *, asks: bool) -> None:
        self._day, self._asks = day, asks
        self.approved = Counter[Whose]()
        self._opened = Counter[Whose]()
        self._read = 0
        self.held: dict[Whose, Decimal] = defaultdict(Decimal)
        self._stops: dict[str, Decimal] = {}
        self._names: dict[str, str] = {}
        self.problems: list[str] = []
        self.seen = Counter[str]()

    def log(self) -> None:
        """Read what the log has since the last time."""
        for event in islice(self._day.events(), self._read, None):
            self._read += 1
            self.seen[event["event"]] += 1
            if event["event"] == "corporate_action":
                self._acts(event)
            elif "order_id" in event:
                self._order(event)

    def _acts(self, action: Event) -> None:
        """Let a corporate action change what each strategy holds."""
        for (owner, symbol), quantity in list(self.held.items()):
            if symbol != action["symbol"]:
                continue
            if action["type"] == "forward_split":
                self.held[owner, symbol] = quantity * Decimal(action["new_rate"]) / Decimal(action["old_rate"])
            elif action["type"] == "name_change":
                self.held[owner, action["new_symbol"]] = self.held.pop((owner, symbol))

    def _order(self, event: Event) -> None:
        order_id, parent = event["order_id"], event.get("parent_id")
        named = event["client_order_id"] if mark_of(event["client_order_id"]) else self._names.get(parent or "", "")
        replaced = event.get("replaces")
        self._names.setdefault(order_id, named or self._names.get(replaced or "", ""))
        if event.get("stop_price"):
            self._stop(event, Decimal(event["stop_price"]), replaced)
        if event["event"] == "fill":
            self._fill(event)
        if event["event"] == "order_accepted" and not replaced:
            self._opens(event)

    def _opens(self, event: Event) -> None:
        """Hold the orders that open a position against the times that a person said yes to one."""
        mark = mark_of(event["client_order_id"])
        if not self._asks or mark is None or mark.purpose is not Purpose.OPEN:
            return
        self.seen["approved entries"] += 1
        whose = mark.strategy.lower(), event["symbol"]
        self._opened[whose] += 1
        if self._opened[whose] > self.approved[whose]:
            orders = f"{self._opened[whose]} orders of {whose[0]} open {whose[1]}"
            self.problems.append(f"{orders}, and a person said yes to {self.approved[whose]}")

    def _stop(self, event: Event, price: Decimal, replaced: str | None) -> None:
        """Compare the price of a stop that replaces another one with that one's."""
        before = self._stops.get(replaced or "")
        away = -1 if event["side"] == "sell" else 1
        if before is not None and event["event"] == "order_accepted" and (price - before) * away > 0:
            self.problems.append(f"the stop of {event['symbol']} moved from {before} to {price}, away from profit")
        self._stops[event["order_id"]] = price

    def _fill(self, event: Event) -> None:
        mark = mark_of(self._names[event["order_id"]])
        if mark is None:
            return
        whose = mark.strategy.lower(), event["symbol"]
        before = self.held[whose]
        after = before + Decimal(event["fill_qty"]) * (1 if event["side"] == "buy" else -1)
        self.held[whose] = after
        self.seen[f"fill of {mark.purpose} by {event['type']}"] += 1
        if before * after < 0:
            self.problems.append(f"{self._names[event['order_id']]} took {whose} from {before} to {after}")
        if mark.purpose is not Purpose.OPEN and abs(after) >= abs(before):
            self.problems.append(f"{self._names[event['order_id']]} closed more than there was: {before} to {after}")

    def stopped_once(self) -> None:
        """Note stops for more shares than a strategy has."""
        self.seen["judged stops"] += 1
        working = list(self._day.exchange.engine.main.open.values())
        for (owner, symbol), quantity in self.held.items():
            closing_ = [o for o in working if self._closes(o, owner, symbol, quantity)]
            stops = sum((o.remaining for o in closing_ if o.request.type in STOPS), Decimal(0))
            if stops > abs(quantity):
                self.problems.append(f"{quantity} {symbol} of {owner}, but stops for {stops}")

    def _closes(self, order: Order, owner: str, symbol: str, held: Decimal) -> bool:
        mark = mark_of(self._names.get(order.id, ""))
        return mark is not None and (mark.strategy.lower(), order.symbol) == (owner, symbol) and order.side * held <= 0

    def money(self) -> None:
        """Compare what the books made, at the exchange's marks, with what the account has changed by."""
        self.seen["judged money"] += 1
        engine = self._day.exchange.engine
        equity = engine.balances(engine.main).equity
        with closing(SqliteLedger.open(self._day.folder, read_only=True)) as ledger:
            positions = ledger.totals().positions.values()
            made = ledger.cash_adjustments()
            made += sum((p.realized_pnl for p in positions), Decimal(0))
            rows = sum((t.realized_before_fees_usd for t in trades(ledger.fills())), Decimal(0))
            ours = sum((p.realized_pnl for p in positions if p.strategy != FOREIGN), Decimal(0))
            past = History(
                "", "", VENUE_DAY, None, Decimal(CASH), tuple(ledger.fills()), tuple(ledger.cash_movements())
            )
        marks = {p.symbol: usd(engine.price(p.symbol)) for p in positions if p.quantity}
        for position in positions:
            if position.quantity:
                made += position.quantity * (marks[position.symbol] - position.average_price)
        if abs(made - (equity - CASH)) >= CENT:
            self.problems.append(f"the books made {made}, the account {equity - CASH}")
        if abs(rows - ours) >= CENT:
            self.problems.append(f"the trades made {rows}, the positions {ours}")
        self.problems += _divided(past, marks, equity - CASH)


def _divided(past: History, marks: Mapping[str, Decimal], change: Decimal) -> Iterator[str]:
    """Yield by which parts the profit doesn't add up to what the account has changed by, apart from transfers."""
    times = [owned.fill.at for owned in past.fills] + [one.at for one in past.cash]
    if not times:
        return
    end = SessionEnd(VENUE_DAY.date_of(max(times)), None, None, marks, None)
    known = breakdown(replace(past, ends=(end,)))
    for by in Cut:
        found = pnl(known, by)
        rows = sum((row.total_usd for row in found.rows), Decimal(0))
        if rows != found.total.total_usd or abs(rows + found.transfers_usd - change) >= CENT:
            parts = f"{rows} of {found.total.total_usd}, and {found.transfers_usd} of transfers"
            yield f"the profit by {by} is {parts}; the account changed by {change}"
