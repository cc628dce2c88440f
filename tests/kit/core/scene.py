"""A world of fakes for the stories: one account, one venue, books that are open and just reconciled."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from decimal import Decimal

from tests.kit.core.venue import FakeFlow, FakeVenue, FixedStrategy, NoBars
from tests.kit.values import ACCOUNT, CASH, DAY, EXITS, HALTS, LIMITS, NOW, SECTORS, SESSION, ago, fetched_facts, quote
from tradebot import cycle
from tradebot.adapters.memory.facts import MemoryFacts
from tradebot.adapters.memory.ledger import MemoryLedger
from tradebot.adapters.memory.recorder import MemoryEvents, MemorySendLock
from tradebot.desk.prepare_desk import desk_for_entries, desk_for_exits
from tradebot.desk.proposals import Proposals, propose
from tradebot.model.candidate import Candidate, Side
from tradebot.model.flow import Intake
from tradebot.model.intent import Intent
from tradebot.model.limits import ExitRules, Limits
from tradebot.model.record import CandidateRecord, CycleRecord, Job
from tradebot.model.struct_tools import replace
from tradebot.model.trading import ApprovalAnswer, Mode, Permission, ReconcileMark, Request
from tradebot.ports.world import Call, Rules, World


class WatchedSendLock(MemorySendLock):
    """A send lock that remembers for what it was held; `taken` is told of each holding."""

    def __init__(self) -> None:
        super().__init__()
        self.orders: list[Intent] = []
        self.taken: Callable[[Intent], None] = lambda intent: None

    @contextmanager
    def hold(self, intent: Intent) -> Iterator[None]:
        """Hold the lock while one order is promised and sent."""
        with super().hold(intent):
            self.orders.append(intent)
            self.taken(intent)
            yield


class KeptApprovals:
    """What people were asked, oldest first, and what they answered."""

    def __init__(self) -> None:
        self.asked: list[Request] = []

    def last(self, strategy: str, symbol: str) -> Request | None:
        """Return the last request about a strategy and symbol, or None."""
        found = [one for one in self.asked if (one.strategy, one.symbol) == (strategy, symbol)]
        return found[-1] if found else None

    def ask(self, request: Request) -> None:
        """Keep a request."""
        self.asked.append(request)

    def answer(self, symbol: str, answer: ApprovalAnswer, at: datetime) -> None:
        """Answer the last request about a symbol."""
        place = max(place for place, one in enumerate(self.asked) if one.symbol == symbol)
        self.asked[place] = replace(self.asked[place], answer=answer, answered_at=at, who="test")


NAMES = ("AAPL", "MSFT", "JPM", "XOM")
WITH_UNKNOWN = (*NAMES, "ZZZZ")


@dataclass
class Scene:
    """The fakes of one test, and the world made of them."""

    venue: FakeVenue = field(default_factory=lambda: FakeVenue(SESSION, NOW, CASH))
    ledger: MemoryLedger = field(default_factory=lambda: MemoryLedger(ACCOUNT))
    send_lock: WatchedSendLock = field(default_factory=WatchedSendLock)
    facts: MemoryFacts = field(default_factory=MemoryFacts)
    events: MemoryEvents = field(default_factory=MemoryEvents)
    flow: FakeFlow = field(default_factory=FakeFlow)
    approvals: KeptApprovals = field(default_factory=KeptApprovals)
    limits: Limits = LIMITS
    exits: ExitRules = EXITS
    permission: Permission = field(default_factory=Permission)
    universe: tuple[str, ...] = NAMES

    def __post_init__(self) -> None:
        self.ledger.open_books(CASH, ago(600))
        self.ledger.put_sessions([SESSION])
        self.ledger.mark_reconciled(ReconcileMark(ago(60), 0, 0))
        self.venue.prices = {symbol: quote(symbol) for symbol in NAMES}
        for symbol in NAMES:
            self.fetched(symbol)

    def fetched(self, symbol: str) -> None:
        """Let the symbol's flow have been asked for a minute ago."""
        at = fetched_facts(symbol).alerts_fetched_at
        assert at is not None
        self.facts.store(Intake("flow_alerts", symbol, at, 10, (), 0, 0, ()))

    def world(self, *candidates: Candidate, dry_run: bool = False) -> World:
        """Return the world as the wiring would make it."""
        return World(
            rules=Rules(Mode.SANDBOX, self.universe, SECTORS, self.limits, HALTS, self.exits, {"flow_alerts": 240}),
            permission=self.permission,
            reader=self.venue,
            market=self.venue,
            bars=NoBars(),
            orders=None if dry_run else self.venue,
            send_lock=self.send_lock,
            flow=self.flow,
            ledger=self.ledger,
            facts=self.facts,
            events=self.events,
            strategies=[FixedStrategy(*candidates)],
            approvals=lambda: self.approvals,
        )

    def told(self, *types: str) -> list[Mapping[str, str]]:
        """Return the details of the events of these types, in the order in which they were told."""
        return [event.details for event in self.events.emitted if event.event_type in types]

    def later(self, seconds: int) -> None:
        """Let time pass at the venue, with quotes, flow and the comparison renewed."""
        self.venue.now += timedelta(seconds=seconds)
        self.venue.prices = {s: replace(q, at=self.venue.now) for s, q in self.venue.prices.items()}
        self.ledger.mark_reconciled(ReconcileMark(self.venue.now, 0, 0))
        for symbol in NAMES:
            self.facts.store(Intake("flow_alerts", symbol, self.venue.now, 10, (), 0, 0, ()))

    def price(self, symbol: str, price: str) -> None:
        """Move a symbol's bid, ask and last trade to one price."""
        at = Decimal(price)
        self.venue.prices[symbol] = replace(self.venue.prices[symbol], bid=at, ask=at, last=at)


def call(job: Job = Job.TRADE_ONCE, slot: str = "open+30m") -> Call:
    return Call(job, DAY, slot, "test")


def trade_once(
    world: World, call: Call, proposed: Proposals | None = None, sent: dict[str, CandidateRecord] | None = None
) -> CycleRecord:
    """Ask the strategies unless they were, then run a pass of entries at once, as the verb does."""
    proposed = proposed or propose(world, world.reader.clock().now)
    return cycle.trade_once(world, call, desk_for_entries(world, proposed), proposed, sent)


def evaluate_exits(world: World, call: Call, ended: Mapping[str, CandidateRecord] | None = None) -> CycleRecord:
    """Run a pass of exits, as the verb does."""
    return cycle.evaluate_exits(world, call, desk_for_exits(world), ended)


def wanted(symbol: str, score: float = 0.5, side: Side = Side.BUY) -> Candidate:
    """Return an entry of a given strength (0..1); sells carry a negative score."""
    from tests.kit.values import candidate

    return candidate(symbol, side, score=score)
