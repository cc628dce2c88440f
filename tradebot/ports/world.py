"""Everything that a story may ask, handed in by the wiring; only its values differ between sandbox, paper and tests."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime

from tradebot.limits import ExitRules, HaltRules, Limits
from tradebot.model.flow import Endpoint
from tradebot.model.record import Job
from tradebot.model.trading import Mode, Permission
from tradebot.ports.broker import BrokerReader, Market, OrderPort, SendLock
from tradebot.ports.flow import FlowSource
from tradebot.ports.stores import Events, Facts, Ledger
from tradebot.ports.strategy import Strategy

Progress = Callable[[int, int], None]


@dataclass(frozen=True, slots=True)
class Rules:
    """What the configuration says, as far as the stories need it; `poll_s` holds each endpoint's interval."""

    mode: Mode
    universe: Sequence[str]
    sectors: Mapping[str, str]
    limits: Limits
    halts: HaltRules
    exits: ExitRules
    poll_s: Mapping[Endpoint, int]


@dataclass(frozen=True, slots=True)
class World:
    """The ports. `stopwatch` tells seconds that go on while the machine sleeps.

    `second_clock` is held against the venue's: this machine's, or in lock-step the engine's own; None where it is away.

    `orders` is None in a dry run and in shadow: then nothing can be sent.

    A dry run writes nothing at all; shadow records what it decides, and would have sent.
    """

    rules: Rules
    permission: Permission
    reader: BrokerReader
    market: Market
    orders: OrderPort | None
    send_lock: SendLock
    flow: FlowSource
    ledger: Ledger
    facts: Facts
    events: Events
    strategies: Sequence[Strategy]
    progress: Progress = lambda done, total: None
    stopwatch: Callable[[], float] = lambda: 0.0
    second_clock: Callable[[], datetime | None] = lambda: None
    shadow: bool = False

    @property
    def dry_run(self) -> bool:
        """Tell whether this pass may send or write nothing."""
        return self.orders is None and not self.shadow


@dataclass(frozen=True, slots=True)
class Call:
    """One call of a job: the slot that it fills, and who called it."""

    job: Job
    session: date
    slot: str
    by: str

    @property
    def cycle_id(self) -> str:
        """Return the id of the pass, the same whenever the same slot is filled."""
        return f"{self.job}.{self.session.isoformat()}.{self.slot}"
