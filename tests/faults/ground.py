"""The ground of the seeded schedules: one bot and one exchange in one process, made again for each schedule.

Both are copies of folders that were prepared once: a market half an hour into its second session, and a bot that has
just compared its books. Time is the exchange's and stands still unless the schedule lets it pass; the machine's own
clocks are the schedule's too. The bot runs the very functions that the command line runs, with an `App` opened again
each time, as each process does. A kill is an end at a failpoint, after which nothing of that run has an effect any
more; the true SIGKILL, which needs a process for each run, is what `kills.py` and `stores.py` are for.
"""

import json
import os
import resource
import shutil
import sqlite3
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing, contextmanager, suppress
from datetime import UTC, date, datetime, timedelta, tzinfo
from decimal import Decimal
from itertools import count, islice
from pathlib import Path
from typing import Any, NamedTuple, Self

from commands import backup
from commands.evaluate_exits import run as evaluate_exits
from commands.reconcile import run as reconcile
from commands.trade_once import run as trade_once
from commands.unhalt import run as unhalt
from exchange.tests.kit.wire import URL, Wire, lay
from papervenue import process
from papervenue.commands.command import Command
from papervenue.commands.venue import ORDERS as UNASKED
from papervenue.exchange import Exchange
from papervenue.faults.fault_state import PATH as FAULTS
from papervenue.market.spec import NEXT_BAR
from papervenue.market_loader import open_market
from papervenue.state import read_market
from tests.faults import auctioned
from tests.kit import venues
from tests.kit.bot.near import KILLED, NearDay, Verb, now_of, tick, told, write_candidates
from tests.kit.bot.state import accept, load_state, make_state, open_app
from tests.kit.values import Killed
from tests.kit.venues import AT
from tradebot.adapters import failpoint
from tradebot.adapters.recovery import integrity_check
from tradebot.adapters.state import halt_switch, send_lock, state_folder, state_locks
from tradebot.adapters.wire.http import RetryPolicy
from tradebot.app import wiring
from tradebot.app.calendar import BEHIND
from tradebot.app.settings import Loaded
from tradebot.app.wiring import App
from tradebot.model.struct_tools import replace
from tradebot.model.trading import TradingState
from tradebot.venues.alpaca.wire import AlpacaVenue

# The machine that a schedule's bot runs on: its clocks, which a schedule moves, and its limits.

TOLD_THE_TIME = (wiring, integrity_check, state_locks, send_lock, unhalt, backup)
"""Modules that ask the machine for its date."""


class Limit(NamedTuple):
    """A limit of the system's, such as RLIMIT_FSIZE, and the most that it allows."""

    kind: int
    most: int


def _hardest(kind: int) -> int:
    return resource.getrlimit(kind)[1]


class Machine:
    """Seconds since it was started, sleep included, the date, which may be wrong, and what one process may use."""

    def __init__(self) -> None:
        self.up_s = 1000.0
        self.ahead = timedelta(0)
        self._limit: Limit | None = None

    def uptime(self, _clock: int) -> float:
        """Return the seconds since the start, as `time.clock_gettime` does of the clock that goes on in sleep."""
        self.up_s += 0.0001
        return self.up_s

    def sleep(self, seconds: float) -> None:
        """Let time pass for those who wait between two tries."""
        self.up_s += seconds

    @contextmanager
    def limited(self, limit: Limit | None) -> Iterator[None]:
        """Hold this process to a limit of the system's."""
        self._limit = limit
        self._set(limit)
        try:
            yield
        finally:
            self._limit = None
            self._set(limit and limit._replace(most=_hardest(limit.kind)))

    @contextmanager
    def lifted(self) -> Iterator[None]:
        """Let go of the limit, for what is not the bot's own doing."""
        limit = self._limit
        self._set(limit and limit._replace(most=_hardest(limit.kind)))
        yield
        self._set(limit)

    def _set(self, limit: Limit | None) -> None:
        if limit is not None:
            resource.setrlimit(limit.kind, (limit.most, _hardest(limit.kind)))

    def install(self) -> None:
        """Be this process's clocks from now on."""
        machine = self

        class Told(datetime):
            @classmethod
            def now(cls, tz: tzinfo | None = None) -> Self:
                return super().now(tz) + machine.ahead

        vars(time)["clock_gettime"] = self.uptime
        for module in TOLD_THE_TIME:
            vars(module)["datetime"] = Told


def descriptors(left: int) -> Limit:
    """Return the limit that leaves room for so many open files more, whatever numbers are taken by now."""
    taken = set(map(int, os.listdir("/dev/fd")))
    free = islice((number for number in count() if number not in taken), left, None)
    return Limit(resource.RLIMIT_NOFILE, next(free))


CASH = 100_000
CALENDAR_HERE = timedelta(days=21)
"""As far as no day ever goes: what each pass reads through need not be longer."""
SYMBOLS = AT.symbols[:2]
ONE, OTHER = SYMBOLS
CONFIGURATION = f"""
{AT.settings}universe: [{ONE}, {OTHER}]
limits: {{cooldown_s: 1, max_order_notional_usd: 2000}}
exits: {{stop_loss_fraction: 0.0005, trailing_arm_fraction: 0.0004, trailing_stop_fraction: 0.0004,
        profit_target_fraction: 0.004}}
"""
"""Stops so near that a day of a few minutes meets them."""
NARROW = CONFIGURATION.replace(
    "2000}", "2000, max_order_fraction: 0.03, max_symbol_fraction: 0.03, max_sector_fraction: 0.03}"
)
"""Room for one of the two symbols: both are of one sector."""
NARROW_USD = Decimal(CASH) * Decimal("0.031")
"""The narrow limit, and what the prices of a day may add to it."""


class Span(NamedTuple):
    """Lines of the exchange's log, both included, in which so many entries at most may have been asked for."""

    first: int
    last: int
    entries: int = 0


class Ground:
    """What every schedule begins with."""

    def __init__(self, root: Path, wire: Wire, machine: Machine) -> None:
        self.root, self.wire, self.machine = root, wire, machine
        fill = NEXT_BAR._replace(volume_share=None, partial_rate=Decimal("0.25"))
        spec = AT.market(date(2026, 11, 16), (*SYMBOLS, AT.stranger), 4, 8, fill)
        process.create(root / "first", spec)
        self.stored = read_market(root / "first")
        self.market = open_market(root / "first", self.stored)
        exchange = Exchange(root / "first", self.stored, self.market)
        for step in ({"to": "close"}, {"to": "next_open"}, {"seconds": 1800}):
            tick(exchange, step)
        exchange.commit()
        self.begun = exchange.log.count
        wire.connect(exchange, lambda method, path, body: None)
        self.number = exchange.engine.main.number
        self.loaded = self._prepared(root / "bot", now_of(exchange))
        self._keep(exchange, "flat")
        self._trade(exchange, {ONE: "buy"})
        self._keep(exchange, "long")
        self._rest(exchange)
        self._keep(exchange, "resting")
        self._protect()
        if AT.profile:
            self._compete()

    def _protect(self) -> None:
        """Begin again with a position that no rule wants to close: bare, with a pair at the venue, and to be left."""
        exchange = self._again("flat")
        self._trade(exchange, {ONE: "sell"})
        self._keep(exchange, "short")
        self._verb(evaluate_exits.run)
        tick(exchange, {"seconds": 61})
        self._keep(exchange, "paired")
        halt_switch.halt(self.root / "bot", "schedule", "a person", now_of(exchange), TradingState.FLATTEN)
        self._keep(exchange, "leaving")

    def _compete(self) -> None:
        """Begin again with an auction: a position that may give way, one that does, and one that just has."""
        exchange = self._again("flat")
        (self.root / "bot" / "tradebot.yaml").write_text(auctioned.configuration(SYMBOLS))
        auctioned.keep_bars_in_sqlite(self.root / "bot")
        accept(self.root / "bot", now_of(exchange))
        self.auctioned = load_state(self.root / "bot")
        self._keep(exchange, "room")
        self._auction({ONE: "buy"}, 0)
        for _ in range(2):
            tick(exchange, {"seconds": 61})
            self._verb(evaluate_exits.run, loaded=self.auctioned)
        self._keep(exchange, "competing")
        self._auction({OTHER: "buy"}, 1)
        self._keep(exchange, "giving way")
        tick(exchange, {"seconds": 241})
        self._keep(exchange, "gave way")

    def _auction(self, wanted: Mapping[str, str], number: int) -> None:
        """Let the bot hold an auction."""
        with closing(opened(self.root / "bot", self.auctioned, self.machine)) as app:
            assert not auctioned.entries(wanted, number)(app), "an auction that nothing troubles"

    def _again(self, begins: str) -> Exchange:
        """Return the exchange as it was kept under a name, with the bot as it was then."""
        shutil.rmtree(self.root / "bot")
        shutil.copytree(self.root / begins, self.root / "bot")
        (self.root / "again").mkdir(exist_ok=True)
        shutil.copy(self.root / f"{begins}.jsonl", self.root / "again" / "log.jsonl")
        exchange = Exchange(self.root / "again", self.stored, self.market)
        self.wire.connect(exchange, lambda method, path, body: None)
        return exchange

    def renew_market(self) -> None:
        """Read the market again, as nobody has announced anything in it."""
        self.market = open_market(self.root / "first", self.stored)

    def _keep(self, exchange: Exchange, name: str) -> None:
        """Keep bot and exchange as they are now, for schedules to begin with."""
        exchange.commit()
        shutil.copytree(self.root / "bot", self.root / name)
        shutil.copy(exchange.log.path, self.root / f"{name}.jsonl")

    def _verb(self, verb: Callable[..., Any], loaded: Loaded | None = None, **asked: object) -> None:
        with closing(opened(self.root / "bot", loaded or self.loaded, self.machine)) as app:
            verb(app, by="schedule", **asked)

    def _trade(self, exchange: Exchange, wanted: Mapping[str, str]) -> None:
        """Let the bot enter, and a minute later see what filled."""
        self._verb(trade_once.run, candidates=candidates(self.root, wanted))
        tick(exchange, {"seconds": 61})
        self._verb(reconcile.run)

    def _rest(self, exchange: Exchange) -> None:
        """Let an entry and an exit rest at the venue until both are too old."""
        halt = Command("POST", FAULTS, body=json.dumps([{"name": "halted", "what": "halt_symbol"}]))
        if not AT.refuses_halted:
            told(exchange, halt)
        self._verb(trade_once.run, candidates=candidates(self.root, {OTHER: "buy"}))
        self._verb(evaluate_exits.run)
        if AT.refuses_halted:
            told(exchange, halt)
        tick(exchange, {"seconds": 660})

    def _prepared(self, folder: Path, now: datetime) -> Loaded:
        """Make a bot's folder as `init` does, and compare its books once."""
        make_state(folder, self.number, now, CONFIGURATION, venue=AT.name, settlement=AT.settlement)
        (folder / "narrow.yaml").write_text(NARROW)
        self.narrow = load_state(folder, "narrow.yaml")
        (folder / "asking.yaml").write_text(f"{CONFIGURATION}\napproval: {{wait_s: 300}}\n")
        self.asking, loaded = load_state(folder, "asking.yaml"), load_state(folder)
        with closing(opened(folder, loaded, self.machine)) as app:
            reach = now.date() - BEHIND, now.date() + CALENDAR_HERE
            app.ledger.put_sessions(app.reader.calendar(*reach))
            reconcile.run(app, by="schedule")
        return loaded

    def day(self, begins: str, narrow: bool, asks: bool = False, auctions: bool = False) -> "ScheduleDay":
        """Return bot and exchange as they were kept under a name; those of the last schedule are gone.

        The limits of a bot may be narrow, or one may ask a person before it enters, or hold auctions.
        """
        for folder in (self.root / "bot", self.root / "exchange"):
            shutil.rmtree(folder, ignore_errors=True)
        shutil.copytree(self.root / begins, self.root / "bot", copy_function=shutil.copy)
        (self.root / "exchange").mkdir()
        shutil.copy(self.root / f"{begins}.jsonl", self.root / "exchange" / "log.jsonl")
        usual = self.auctioned if auctions else self.loaded
        day = ScheduleDay(self, self.asking if asks else self.narrow if narrow else usual)
        day.calm()
        return day


class ScheduleDay(NearDay):
    """A day whose machine has clocks and limits, and which somebody may halt or trade in from elsewhere."""

    def __init__(self, ground: Ground, loaded: Loaded) -> None:
        exchange = Exchange(ground.root / "exchange", ground.stored, ground.market)
        super().__init__(exchange, ground.root / "bot", ground.begun)
        self.machine = ground.machine
        self.machine.ahead = timedelta(0)
        self.number = ground.number
        self._calendar = self.exchange.market.calendar
        self._wire = ground.wire
        self.shut: list[Span] = []
        self._elsewhere: set[str] = set()
        self._copied = False
        self._loaded = loaded
        self.keeps_app = False
        self._kept: App | None = None
        self._promised = Promised(self.folder)
        ground.wire.connect(self.exchange, self._judge_request, ground.machine.lifted)

    def close(self) -> None:
        """End the day."""
        self._promised.close()
        self._close_kept()

    @property
    def line(self) -> int:
        """Return the number of the last line of the exchange's log."""
        self.exchange.record()
        return self.exchange.log.count

    @property
    def is_open(self) -> bool:
        """Say whether the session is open now."""
        return self._calendar.is_open(self.exchange.engine.now_us)

    @property
    def halted(self) -> bool:
        """Say whether risk may not be added, by the two files alone."""
        return halt_switch.read(self.folder).state is not TradingState.ACTIVE

    def tick(self, **step: object) -> None:
        """Let time pass; the machine is up for as long."""
        before = self.now
        with self.machine.lifted():
            super().tick(**step)
        self.machine.sleep((self.now - before).total_seconds())

    def jump(self, step: Mapping[str, Any]) -> bool:
        """Let time pass as far as the market has sessions left, and say whether it did."""
        opening = self._calendar.next_open(self.exchange.engine.now_us)
        wanted = {"close": self.is_open, "next_open": opening <= self._calendar.market[-1].open_us}
        possible = wanted.get(str(step.get("to")), True)
        if possible:
            self.tick(**step)
        return possible

    @property
    def left_s(self) -> float:
        """Return for how many seconds the session will be open, 0 where none is."""
        now_us = self.exchange.engine.now_us
        return (self._calendar.next_close(now_us) - now_us) / 1e6 if self.is_open else 0

    def halt(self, state: TradingState) -> None:
        """Halt as a person does; once that has returned, no entry may be asked for before somebody ends it."""
        hook, failpoint.hook = failpoint.hook, None
        with self.machine.lifted():
            halt_switch.halt(self.folder, "schedule", "a person", datetime.now(UTC), state)
            busy = send_lock.in_flight(self.folder, 0) is not None
            self.shut.append(Span(self.line + 1, self.line + 10_000, int(busy)))
        failpoint.hook = hook

    def order_elsewhere(self, name: str) -> bool:
        """Let somebody else order from this account, once under each name, and say whether he did."""
        if name in self._elsewhere or not self.is_open:
            return False
        self._elsewhere.add(name)
        with self.machine.lifted():
            told(self.exchange, Command("POST", AT.paths.orders, body=AT.far_order(name), account=self.number))
            self.exchange.record()
        return True

    def unasked(self, do: str) -> bool:
        """Let the venue do something to every open order of the bot, and say whether it could to any."""
        done, orders = [], list(self.exchange.engine.accounts[self.number].open.values())
        with self.machine.lifted():
            for order in (one for one in orders if one.symbol in SYMBOLS):
                body = json.dumps({"account": self.number, "order": order.id, "do": do})
                done.append(self.exchange.run(Command("POST", UNASKED, body=body))[0] == 200)
            self.exchange.record()
        return any(done)

    def run(
        self,
        verb: Verb,
        hook: Callable[[str], None] | None = None,
        limit: Limit | None = None,
        ends_halt: bool = False,
    ) -> int:
        """Run a verb as a process of its own does; return its exit code, KILLED or ERRED."""
        first, halted = self.line + 1, self.halted and not ends_halt
        halted |= self._sees_a_copy and not ends_halt
        failpoint.hook = hook
        try:
            with self.machine.limited(limit):
                code = self._ended(verb)
        finally:
            failpoint.hook = None
        if halted:
            self.shut.append(Span(first, self.line))
        self.shut = [span._replace(last=min(span.last, self.line)) for span in self.shut]
        if ends_halt and not code:
            # A person has accepted what the copy did.
            self._copied = True
        return code

    @property
    def _sees_a_copy(self) -> bool:
        """Say whether another copy's order works that nobody has accepted, at a venue that tells the truth."""
        return venues.COPY in self._elsewhere and not self._copied and not len(self.exchange.faults.book)

    def _ended(self, verb: Verb) -> int:
        code = self.end_of(verb, self._app())
        if code == KILLED:
            self._close_kept()
        return code

    @contextmanager
    def _app(self) -> Iterator[App]:
        """Yield the bot: opened again, or the one that stays open until it's killed."""
        app = self._kept or opened(self.folder, self._loaded, self.machine)
        self._kept = app if self.keeps_app else None
        try:
            yield app
        finally:
            if not self.keeps_app:
                app.close()

    def _close_kept(self) -> None:
        app, self._kept = self._kept, None
        if app:
            with suppress(Killed):
                app.close()

    def _judge_request(self, method: str, path: str, text: str) -> None:
        """Look, before a request arrives, whether the disk has a promise of it by now."""
        self.problems += self._promised.missing(method, path, text)


class Promised:
    """What a journal has promised with verdicts: each id as often as it may be sent, and the orders to be ended."""

    def __init__(self, folder: Path) -> None:
        self._path = folder / state_folder.JOURNAL
        self._read = 0
        self._may: Counter[str] = Counter()
        self._sent: Counter[str] = Counter()
        self._targets: set[str] = set()
        self._database = sqlite3.connect(f"file:{folder / state_folder.LEDGER}?mode=ro", uri=True)

    def close(self) -> None:
        """Look no more."""
        self._database.close()

    def missing(self, method: str, path: str, text: str) -> Iterator[str]:
        """Yield what a request lacks: its line in the journal, or its committed row in the ledger."""
        self._read_on()
        wrote = AT.wrote(method, path, text)
        if wrote is None or wrote.target:
            if wrote is None or wrote.target not in self._targets:
                yield f"{method} {path} {text} was not promised"
            return
        name = wrote.client_order_id
        self._sent[name] += 1
        if self._sent[name] > self._may[name]:
            yield f"{method} {self._sent[name]} of {name}, {self._may[name]} promised"
        if not self._committed(name):
            yield f"{method} of {name}, which the ledger does not hold as sent"

    def _committed(self, name: str) -> bool:
        """Look into the ledger as another process does."""
        query = "SELECT state FROM intents WHERE client_order_id = ?"
        return self._database.execute(query, (name,)).fetchall() == [("sent",)]

    def _read_on(self) -> None:
        with self._path.open("rb") as file:
            file.seek(self._read)
            for line in file:
                if not line.endswith(b"\n"):
                    return
                self._read += len(line)
                self._add(json.loads(line))

    def _add(self, record: dict[str, Any]) -> None:
        payload = record["payload"]
        if record["kind"] == "retried":
            self._may[payload["client_order_id"]] += 1
        if record["kind"] == "promised" and payload["verdicts"]:
            self._may[payload["intent"]["client_order_id"]] += 1
            self._targets.add(str(payload["intent"]["target_venue_id"]))


def opened(folder: Path, loaded: Loaded, machine: Machine) -> App:
    """Return the bot opened again, which waits in the machine's time."""
    app = open_app(folder, loaded, URL)
    app.__dict__["connection"] = replace(app.connection, policy=RetryPolicy(sleep=machine.sleep))  # type: ignore[type-var]
    return app


def alpaca_of(app: App) -> AlpacaVenue:
    """Return a bot's connection, which is to Alpaca."""
    assert isinstance(app.connection, AlpacaVenue)
    return app.connection


def candidates(folder: Path, wanted: Mapping[str, str]) -> str:
    """Return a file that proposes a side for each symbol."""
    return write_candidates(folder / "candidates.jsonl", wanted)


@contextmanager
def laid(root: Path) -> Iterator[Ground]:
    """Yield the ground under a folder, with this process's clocks and sessions led to it."""
    machine, wire = Machine(), lay()
    machine.install()
    yield Ground(root, wire, machine)
