"""A bot at the embedded exchange: what it does, what befalls it, and what the exchange's log says of it.

`playing` is the way in: near (the exchange in this process), over sockets, or with each verb in a fork that may be
killed. What was sent is asked of the exchange's own log.
"""

import json
import signal
from collections.abc import Callable, Iterable, Iterator
from contextlib import closing, contextmanager, redirect_stderr, redirect_stdout
from datetime import datetime, timedelta
from decimal import Decimal
from io import StringIO
from pathlib import Path
from typing import Literal, NamedTuple

import requests

from commands.evaluate_exits import run as evaluate_exits
from commands.flatten import run as flatten
from commands.shared.error_boundary import run_command
from tests.kit.bot.near import Verb, compares, entries
from tests.kit.bot.stage import CONFIGURATION, Fatal, NearStage, Run, Stage, StageBot, run_all, set_up
from tests.kit.judge import account as judge
from tests.kit.judge import kept, protection
from tradebot.adapters.ledger.ledger import SqliteLedger
from tradebot.adapters.state import state_folder
from tradebot.adapters.time.clock import LockStepClock
from tradebot.app.wiring import App, FolderLook
from tradebot.model.intent import IntentRecord
from tradebot.model.position import FOREIGN
from tradebot.model.record import CycleRecord, Job

MORNING_S = 1800
EARLIEST, LATEST = timedelta(hours=6), timedelta(hours=2)
"""How much of a session is left where a test may begin: it has quotes, and some time may pass."""
UNTIL_FILLED_S = 120
Where = Literal["near", "sockets", "process"]


class Said(NamedTuple):
    """How a verb ended, and what it said to a person of an error."""

    code: int
    err: str


def in_a_session(stage: Stage) -> None:
    """Bring the exchange half an hour into a session that has hours left, wherever the last test has left it."""
    status = LockStepClock(stage.url).status()
    left = status.next_close - status.now if status.is_open and status.next_close else timedelta(0)
    if not LATEST <= left <= EARLIEST:
        stage.tick(to="next_open")
        stage.tick(seconds=MORNING_S)


class Trader:
    """A bot on the stage: what it does, what befalls it, what the log says of it."""

    def __init__(self, stage: Stage, bot: StageBot, *, forks: bool = False) -> None:
        self.stage = stage
        self.bot = bot
        self.forks = forks
        self.shape: Callable[[App], None] = lambda app: None
        """What is changed in the bot's way to the world before a verb runs."""
        self._armed = 0

    @property
    def folder(self) -> Path:
        """Return the folder of its state."""
        return self.bot.folder

    def does(self, verb: Verb, look: FolderLook = state_folder.open_state, fatal: Fatal | None = None) -> Said:
        """Run a verb as a process of its own would, as far as one process can; a fork may be killed at a point."""
        if self.forks:
            (end,) = run_all([Run(self.bot, verb, fatal)])
            return Said(end.code, " ".join(end.words))
        assert fatal is None, "only a fork can be killed"

        def work() -> int:
            with closing(self.bot.app(look)) as app:
                self.shape(app)
                return verb(app)

        before = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT)}
        said = StringIO()
        try:
            with redirect_stderr(said), redirect_stdout(StringIO()):
                code = run_command(work, [])
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)
        return Said(int(code), said.getvalue())

    def buys(self, *symbols: str, again: bool = False) -> Said:
        """Run a pass of entries that proposes these; `again` takes its own slot."""
        return self.does(self.entries(*symbols, again=again))

    def entries(self, *symbols: str, again: bool = False) -> Verb:
        """Return a pass of entries that proposes to buy these."""
        return entries(self.bot.candidates(dict.fromkeys(symbols, "buy")), force_slot=again)

    def holds(self, *symbols: str) -> None:
        """Buy these, and look at them once."""
        assert self.buys(*symbols).code == 0
        self.stage.tick(seconds=UNTIL_FILLED_S)
        assert self.reconciles().code == 0
        assert self.exits().code == 0
        assert self.held().keys() == set(symbols)

    def goes_on(self, *, again: bool = False) -> None:
        """Buy, and see that the day ends well: one order, sent once and filled, and nothing unexplained."""
        assert self.buys("AAPL", again=again).code == 0
        self.stage.tick(seconds=UNTIL_FILLED_S)
        assert self.reconciles().code == 0
        assert (self.posts(), len(self.told().accepted)) == (1, 1)
        assert self.held().keys() == {"AAPL"}
        self.is_whole()

    def exits(self) -> Said:
        """Run a pass of exits in its own slot."""
        return self.does(lambda app: int(evaluate_exits.run(app, by="test", force_slot=True).exit_code))

    def flattens(self) -> Said:
        """Close everything, as a person does."""
        return self.does(lambda app: int(flatten.run(app, None, by="test", confirmed="ALL").exit_code))

    def reconciles(self) -> Said:
        """Compare books and broker."""
        return self.does(compares)

    def last(self, job: Job) -> CycleRecord:
        """Return the last recorded pass of a job."""
        with closing(self.bot.app()) as app:
            return app.facts.cycles(job=job, last=1)[0]

    def trouble(self, what: object, **when: object) -> None:
        """Let the exchange do something to this bot's account alone."""
        self._armed += 1
        rule = {"name": f"{self.bot.name}-{self._armed}", "when": {"account": self.bot.name, **when}, "what": what}
        answer = requests.post(f"{self.stage.url}/exchange/v1/faults", data=json.dumps([rule]), timeout=10)
        assert answer.status_code == 200, answer.text

    def calm(self) -> None:
        """End every trouble of this account."""
        for number in range(self._armed):
            requests.delete(f"{self.stage.url}/exchange/v1/faults/{self.bot.name}-{number + 1}", timeout=10)
        self._armed = 0

    def told(self) -> judge.Account:
        """Return what the exchange's log tells of the account."""
        return judge.accounts(self.stage.log(self.bot.number))[self.bot.number]

    def intents(self) -> list[IntentRecord]:
        """Return what the books promise."""
        with closing(SqliteLedger.open(self.folder, read_only=True)) as ledger:
            return list(ledger.intents())

    def held(self) -> dict[str, Decimal]:
        """Return what the books hold of ours, by symbol."""
        with closing(SqliteLedger.open(self.folder, read_only=True)) as ledger:
            folded = ledger.totals().positions.items()
        return {symbol: p.quantity for (owner, symbol), p in folded if owner != FOREIGN and p.quantity}

    def posts(self) -> int:
        """Return how many orders the exchange was ever asked for."""
        return self.told().posts.total()

    def fired(self) -> int:
        """Return how often a trouble befell the account."""
        fired = (event["rule"] for event in self.stage.log("fault_fired") if event["event"] == "fault_fired")
        return sum(name.rpartition("-")[0] == self.bot.name for name in fired)

    def is_whole(self, unable: Iterable[datetime] = (), *, told_in_time: bool = True) -> None:
        """See that nothing is left unexplained, doubled, lost, sent without a promise, or without a stop untold.

        A pass at the times in `unable` couldn't know what the account holds. If gaps weren't `told_in_time`, because
        the venue's clock was ahead, they aren't compared with those of the log.
        """
        told = self.told()
        with closing(SqliteLedger.open(self.folder, read_only=True)) as ledger:
            found = [*told.doubles, *judge.turned(told), *judge.lost_fills(told, ledger)]
        found += judge.unrecorded(told, judge.Promises(self.folder).now())
        sessions = protection.sessions_of(self.stage.exchange)
        events, number = list(self.stage.log(self.bot.number)), self.bot.number
        gaps = protection.broken(events, number, self.folder, sessions, unable=unable)
        found += gaps if told_in_time else ()
        found += kept.broken(events, number)
        assert found == [], found


@contextmanager
def playing(where: Where = "near", configuration: str = CONFIGURATION, sessions: int = 5) -> Iterator[Trader]:
    """Yield a bot with compared books, half an hour into a session of the embedded exchange.

    `near`: both are in this process, and requests are carried by a wire. `sockets`: the exchange has its own process,
    and requests go over loopback. `process`: that too, and each verb runs in a fork, which may be killed.
    """
    with set_up(sessions, kind=NearStage if where == "near" else Stage) as stage:
        trader = Trader(stage, stage.bot("bot", configuration), forks=where == "process")
        assert trader.reconciles().code == 0
        yield trader
