"""One life of positions: a bot and an exchange, what befalls them, and the judge that looks on after each pass."""

import json
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing
from datetime import datetime
from decimal import Decimal
from itertools import islice
from typing import Any, ClassVar

from commands.evaluate_exits import run as evaluate_exits
from commands.flatten import run as flatten
from commands.reconcile import run as reconcile
from commands.trade_once import run
from commands.trade_once import run as trade_once
from commands.unhalt import run as unhalt
from papervenue.commands.actions import ACTIONS
from papervenue.commands.command import Command
from papervenue.engine.orders import Order
from papervenue.market.bars import usd
from tests.faults.ground import CASH, Ground, ScheduleDay
from tests.kit.bot.near import KILLED, Verb
from tests.kit.judge import protection
from tests.kit.values import VENUE_DAY, Killed
from tradebot.adapters.ledger.ledger import SqliteLedger
from tradebot.adapters.state import halt_switch
from tradebot.app import rules, wiring
from tradebot.app.settings import Settings
from tradebot.app.wiring import App
from tradebot.exits.rules import Exits
from tradebot.model.candidate import Purpose
from tradebot.model.intent import mark_of
from tradebot.model.limits import ApprovalRules, Protection
from tradebot.model.position import FOREIGN
from tradebot.model.reasons import Reason
from tradebot.model.record import SessionEnd
from tradebot.model.struct_tools import replace
from tradebot.model.trading import ApprovalAnswer, Baseline, RungReached, TradingState
from tradebot.model.view import Needs, StrategyView, Target, Want
from tradebot.ports.world import Rules
from tradebot.views.trades.history import History
from tradebot.views.trades.lots import trades
from tradebot.views.trades.pieces import break_down_profit
from tradebot.views.trades.pnl import ProfitGrouping, pnl

# The judge of lives: what the exchange's log and account say of an account, after each pass of its bot.

Event = Mapping[str, Any]
HoldingKey = tuple[str, str]
Ordered = tuple[str, Purpose]
CENT = Decimal("0.01")
STOPS = ("stop", "stop_limit")


class LifeJudge:
    """Reads the log on and notes what was broken."""

    def __init__(self, day: ScheduleDay, *, asks: bool) -> None:
        self._day, self._asks = day, asks
        self.approved = Counter[HoldingKey]()
        self._opened = Counter[HoldingKey]()
        self._read = 0
        self.held: dict[HoldingKey, Decimal] = defaultdict(Decimal)
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
        holding = mark.strategy.lower(), event["symbol"]
        self._opened[holding] += 1
        if self._opened[holding] > self.approved[holding]:
            orders = f"{self._opened[holding]} orders of {holding[0]} open {holding[1]}"
            self.problems.append(f"{orders}, and a person said yes to {self.approved[holding]}")

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
        holding = mark.strategy.lower(), event["symbol"]
        before = self.held[holding]
        after = before + Decimal(event["fill_qty"]) * (1 if event["side"] == "buy" else -1)
        self.held[holding] = after
        self.seen[f"fill of {mark.purpose} by {event['type']}"] += 1
        if before * after < 0:
            self.problems.append(f"{self._names[event['order_id']]} took {holding} from {before} to {after}")
        if mark.purpose is not Purpose.OPEN and abs(after) >= abs(before):
            self.problems.append(f"{self._names[event['order_id']]} closed more than there was: {before} to {after}")

    def ordered(self, owner: str, since: int) -> list[Ordered]:
        """Return what a strategy's orders were for that the exchange accepted from an event on; stops don't count."""
        accepted = (event for event in islice(self._day.events(), since, None) if event["event"] == "order_accepted")
        marks = ((event["symbol"], mark_of(event["client_order_id"])) for event in accepted if event["type"] == "limit")
        ours = ((symbol, mark) for symbol, mark in marks if mark is not None and mark.strategy.lower() == owner)
        return [(symbol, mark.purpose) for symbol, mark in ours if mark.purpose is not None]

    def is_busy(self, owner: str, symbol: str) -> bool:
        """Return True if an order of a strategy works that protects nothing."""
        working = (order for order in self._day.exchange.engine.main.open.values() if order.symbol == symbol)
        marks = (mark_of(self._names.get(order.id, "")) for order in working)
        return any(mark and mark.strategy.lower() == owner and mark.purpose is not Purpose.PROTECT for mark in marks)

    @property
    def read(self) -> int:
        """Return how many events of the log were read."""
        return self._read

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
    known = break_down_profit(replace(past, ends=(end,)))
    for by in ProfitGrouping:
        found = pnl(known, by)
        rows = sum((row.total_usd for row in found.rows), Decimal(0))
        if rows != found.total.total_usd or abs(rows + found.transfers_usd - change) >= CENT:
            parts = f"{rows} of {found.total.total_usd}, and {found.transfers_usd} of transfers"
            yield f"the profit by {by} is {parts}; the account changed by {change}"


OWNERS = ("own", "two")
"""Short names, of which an order's id has all letters."""
SYMBOLS = ("AAPL", "MSFT")


class LifeStrategy:
    """A strategy that wants what a life tells it to."""

    times = ""
    needs = Needs(lots=True)
    sources = frozenset({"strategy"})

    def __init__(self, name: str, wants: Sequence[Want]) -> None:
        self.name, self._wants = name, wants

    def propose(self, view: StrategyView) -> Sequence[Want]:
        """Return the wants, whatever there is to see."""
        return self._wants


DEMOTED = RungReached(Decimal(0), "shadow", "paper", Reason.DEMOTED)
REBALANCED_IN = 3
"""So many passes of exits follow a rebalance, in which what it closes has time to fill."""


def grows(held: Mapping[str, int], targets: Mapping[str, int]) -> bool:
    """Return True if a target wants more shares than there are on its side."""
    return any(wanted * held[symbol] < 0 or abs(wanted) > abs(held[symbol]) for symbol, wanted in targets.items())


def refused_swaps(held: Mapping[str, int], targets: Mapping[str, int], ordered: Sequence[Ordered]) -> Iterator[str]:
    """Yield what a strategy that may not open has opened, and what it has closed to make room for that."""
    for symbol, purpose in ordered:
        if purpose is Purpose.OPEN:
            yield f"{symbol} was opened by a strategy that may not"
        elif grows(held, targets) and targets[symbol] * held[symbol] >= 0:
            yield f"{held[symbol]} {symbol} made room for what may not be opened: {targets}"


class Life:
    """A bot and an exchange, what befalls them, and the judge that looks on."""

    wants: ClassVar[Sequence[LifeStrategy]] = ()
    lists: ClassVar[Mapping[str, Exits]] = {}
    protection: ClassVar[Protection] = Protection.VENUE
    approval: ClassVar[ApprovalRules | None] = None
    barred: ClassVar[Mapping[str, RungReached]] = {}

    def __init__(
        self,
        ground: Ground,
        lists: Mapping[str, Exits],
        protection: Protection,
        approval: ApprovalRules | None,
        *,
        kept: bool = False,
    ) -> None:
        Life.lists, Life.protection, Life.wants, Life.approval = lists, protection, (), approval
        self.day: ScheduleDay = ground.day("flat", narrow=False)
        self.day.keeps_app = kept
        self._ground, self._asked, self._armed, self._calm = ground, 0, 0, 0
        self._announced = False
        self.judge = LifeJudge(self.day, asks=approval is not None)
        self._stopped = {name for name in OWNERS if _has_stop(lists.get(name), protection)}
        self.codes = Counter[str]()
        self._killed = list[datetime]()

    def close(self) -> None:
        """End it; a market in which something was announced is never used again."""
        self.day.calm()
        self.day.close()
        if self._announced:
            self._ground.renew_market()

    def lines(self) -> list[str]:
        """Return the exchange's log."""
        return [json.dumps(event) for event in self.day.events()]

    def passes(self, verb: str, seconds: int, kill: int | None = None) -> None:
        """Let time pass, run a verb, and judge what it did; the process may be killed at a point that it reaches."""
        self.day.tick(seconds=seconds)
        verbs: Mapping[str, Verb] = {"exits": self._exits, "compare": self._compare, "unhalt": self._unhalt}
        code = self.day.run(verbs[verb], _killer(kill))
        self._after(verb, code)

    def wanted(self, owner: str, want: Want, kill: int | None = None) -> None:
        """Run a pass of entries in which a strategy wants one thing."""
        self._proposed(owner, (want,), kill)

    def _proposed(self, owner: str, wants: Sequence[Want], kill: int | None) -> None:
        # What it does isn't at the time of an earlier pass.
        self.day.tick(seconds=1)
        Life.wants, self._asked = (LifeStrategy(owner, wants),), self._asked + 1
        path = self._ground.root / "asked.jsonl"
        # A strategy may want no more than there are symbols.
        symbols = [want.symbol for want in wants] if len(wants) > 1 else SYMBOLS[:1]
        lines = [{"symbol": symbol, "side": "buy", "score": self._asked / 10_000} for symbol in symbols]
        path.write_text("".join(f"{json.dumps(line)}\n" for line in lines))
        run: Verb = lambda app: int(trade_once.run(app, by="life", candidates=str(path)).exit_code)  # noqa: E731
        self._after("entries", self.day.run(run, _killer(kill)))

    def rebalanced(
        self, owner: str, targets: Mapping[str, int], barred: Mapping[str, RungReached], kill: int | None
    ) -> None:
        """Run a pass in which a strategy wants so many shares of each symbol, and then passes of exits.

        `barred` are the strategies that are demoted for so long. Nothing is judged unless the bot has been calm.
        """
        self.passes("compare", 61)
        state, judge = halt_switch.read(self.day.folder).state, self.judge
        held = {symbol: int(judge.held[owner, symbol]) for symbol in targets}
        sure = self._calm > 0 and kill is None and state is not TradingState.FLATTEN
        sure = sure and not any(judge.is_busy(owner, symbol) for symbol in targets)
        begins, blocked = judge.read, bool(barred) or state is not TradingState.ACTIVE
        Life.barred = barred
        try:
            self._proposed(
                owner, [Target(symbol, quantity=Decimal(wanted)) for symbol, wanted in targets.items()], kill
            )
            if sure and blocked:
                judge.problems += refused_swaps(held, targets, judge.ordered(owner, begins))
                judge.seen["judged rebalances that may not open"] += 1
            for _ in range(REBALANCED_IN):
                self.passes("exits", 61)
        finally:
            Life.barred = {}
        assert not judge.problems, judge.problems

    def answered(self, answer: ApprovalAnswer, owner: str, want: Want, kill: int | None = None) -> None:
        """Let a person answer everything that waits, and the strategy want what it wanted before."""
        self.day.tick(seconds=1)

        def answers(app: App) -> int:
            for request in app.approvals.newest():
                if request.waits(app.now()):
                    # Counted first: the answer may be written before the process is killed.
                    self.judge.approved[request.strategy, request.symbol] += answer is ApprovalAnswer.YES
                    app.approvals.answer(request.id, answer, "life", app.now())
            return 0

        # Few points are reached here, so that a late kill would never come.
        self._after("answers", self.day.run(answers, _killer(kill and kill % 4)))
        self.wanted(owner, want, kill)

    def flattened(self, symbol: str | None) -> None:
        """Let a person close what the bot has."""
        run: Verb = lambda app: int(flatten.run(app, symbol, by="life", confirmed=symbol or "ALL").exit_code)  # noqa: E731
        self._after("flatten", self.day.run(run))

    def cancels(self, symbol: str) -> None:
        """Let a person cancel the bot's oldest order in a symbol, if it has one."""

        def run(app: App) -> int:
            rows = [row for row in flatten.own_working_orders(app) if row.order.symbol == symbol]
            return int(flatten.run_cancel(app, rows[0].id, by="life", confirmed=rows[0].word).exit_code) if rows else 0

        self._after("cancel", self.day.run(run))

    def night(self, seconds: int) -> bool:
        """Let the session end and the next one begin, if there is one."""
        self._calm = 0
        if not self.day.is_open or not self.day.jump({"to": "close"}):
            return False
        if not self.day.jump({"to": "next_open"}):
            return False
        self.day.tick(seconds=seconds)
        return True

    def halted(self, state: TradingState) -> None:
        """Let a person halt the bot."""
        self._calm = 0
        self.day.halt(state)

    def by_hand(self, symbol: str, side: str, quantity: int) -> None:
        """Let somebody trade shares of his own on the account."""
        self._calm, self._asked = 0, self._asked + 1
        name = f"hand-{self._asked}"
        body = {"symbol": symbol, "qty": str(quantity), "side": side, "type": "market", "time_in_force": "day"}
        command = Command(
            "POST", "/v2/orders", body=json.dumps(body | {"client_order_id": name}), account=self.day.number
        )
        self.day.exchange.run(command)
        self.day.exchange.record()

    def announced(self, action: Mapping[str, str | int]) -> None:
        """Let a corporate action be announced, which the next session shows."""
        self._calm, self._announced = 0, True
        self.day.exchange.run(Command("POST", ACTIONS, body=json.dumps(action)))
        self.day.exchange.record()

    def armed(self, rule_: Mapping[str, Any]) -> None:
        """Arm a rule of faults."""
        self._armed, self._calm = self._armed + 1, 0
        self.day.arm([{"name": f"fault-{self._armed}", **rule_}])

    def calmed(self) -> None:
        """Take all faults away, and let everything that is under way arrive."""
        self._calm = 0
        self.day.calm()
        self.day.tick(seconds=13 * 60)

    def unprotected(self) -> list[str]:
        """Return for which lots the law of protection was broken."""
        day, sessions = self.day, self.day.exchange.market.calendar
        owed = lambda lot: lot[0].lower() in self._stopped  # noqa: E731
        return [*protection.broken(day.events(), day.number, day.folder, sessions, owed, self._killed)]

    def _after(self, verb: str, code: int) -> None:
        """Judge a pass. Only what calm passes of exits leave has a stop just once."""
        self.codes[f"{verb} {code}"] += 1
        self._killed += [self.day.now] if code == KILLED else []
        calm = code == 0 and self.day.is_open and not len(self.day.exchange.faults.book)
        if verb == "compare" and code == 0:
            self.judge.money()
            self._calm = 1 if calm else 0
        elif verb == "exits" and calm and self._calm:
            self._calm += 1
        elif verb != "exits" or not calm:
            self._calm = 0
        self.judge.log()
        if self._calm > 2:
            self.judge.stopped_once()
        problems = self.day.problems + self.judge.problems
        assert not problems, problems

    def _exits(self, app: App) -> int:
        return int(evaluate_exits.run(app, by="life").exit_code)

    def _compare(self, app: App) -> int:
        return int(reconcile.run(app, by="life").exit_code)

    def _unhalt(self, app: App) -> int:
        return int(unhalt.run(app, by="life", reason="over", confirmed=self.day.number[-4:]).exit_code)


def _has_stop(exits: Exits | None, protection: Protection) -> bool:
    return protection is not Protection.BOT and any(rule_.reason == "STOP_LOSS" for rule_ in exits or ())


def _killer(kill: int | None) -> Any:
    """Return what ends the process at the n-th failpoint that it reaches; nothing has an effect after that."""
    left = kill

    def reached(point: str) -> None:
        nonlocal left
        if point.startswith("http.") or left is None:
            return
        left -= 1
        if left <= 0:
            raise Killed

    return None if kill is None else reached


def install() -> None:
    """Let the bot of this process have the exit rules and the wants of the life that is being lived."""
    usual = rules.in_force

    def in_force(settings: Settings, accepted: Baseline | None, discovered: Sequence[str] = ()) -> Rules:
        found = usual(settings, accepted, discovered)
        exits = found.exits.model_copy(update={"protection": Life.protection})
        return replace(found, exits=exits, own_exits=dict(Life.lists), approval=Life.approval)

    rules.in_force = in_force
    vars(wiring)["App"].awaiting_promotion = property(lambda app: Life.barred)
    vars(run)["strategies_of"] = lambda *_: tuple(Life.wants)
