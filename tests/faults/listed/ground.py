"""Where the listed faults befall a bot: one exchange for a file of tests, and on it a trader for each test.

Verbs run in this process, behind the boundary of the command line, so that a test sees the exit code and the sentence
that a person sees. What was sent is asked of the exchange's own log.
"""

import importlib
import json
import os
import signal
from collections.abc import Callable, Iterable, Iterator
from contextlib import closing, contextmanager
from datetime import datetime, timedelta
from decimal import Decimal
from itertools import count
from pathlib import Path
from typing import Any, NamedTuple

import pytest
import requests

from commands import flatten
from commands.evaluate_exits import verb as evaluate_exits
from commands.reconcile import verb as reconcile
from commands.shared.boundary import bounded
from commands.trade_once import verb as trade_once
from tests.kit.bot.stage import Stage, StageBot, Verb, set_up
from tests.kit.exchange.wire import URL, Wire, lead
from tests.kit.judge import account as judge
from tests.kit.judge import kept, protection
from tradebot.adapters.alpaca.wire import AlpacaReads
from tradebot.adapters.faults import failpoint
from tradebot.adapters.ledger.ledger import SqliteLedger
from tradebot.adapters.state import state_folder
from tradebot.adapters.time.clock import LockStepClock
from tradebot.app.wiring import App, FolderLook
from tradebot.exchange.exchange import open_exchange
from tradebot.exchange.faces.control import ControlFace
from tradebot.exchange.faults.face import FaultFace
from tradebot.model.intent import IntentRecord
from tradebot.model.position import FOREIGN
from tradebot.model.record import CycleRecord, Job

MORNING_S = 1800
EARLIEST, LATEST = timedelta(hours=6), timedelta(hours=2)
"""How much of a session is left where a test may begin: it has quotes, and some time may pass."""
UNTIL_FILLED_S = 120
SESSIONS = 12
"""The ninth of them is a half day."""

NUMBERS = count(1)
NOBODY = 65_534


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

    def __init__(self, stage: Stage, bot: StageBot, capture: pytest.CaptureFixture[str]) -> None:
        self.stage = stage
        self.bot = bot
        self.shape: Callable[[App], None] = lambda app: None
        """What is changed in the bot's way to the world before a verb runs."""
        self._capture = capture
        self._armed = 0

    @property
    def folder(self) -> Path:
        """Return the folder of its state."""
        return self.bot.folder

    def does(self, verb: Verb, look: FolderLook = state_folder.open_state) -> Said:
        """Run a verb as a process of its own would, as far as one process can."""

        def work() -> int:
            with closing(self.bot.app(look)) as app:
                self.shape(app)
                return verb(app)

        before = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT)}
        self._capture.readouterr()
        try:
            code = bounded(work, [])
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)
        return Said(int(code), self._capture.readouterr().err)

    def buys(self, *symbols: str, again: bool = False) -> Said:
        """Run a pass of entries that proposes these; `again` takes its own slot."""
        return self.does(self.entries(*symbols, again=again))

    def entries(self, *symbols: str, again: bool = False) -> Verb:
        """Return a pass of entries that proposes to buy these."""
        file = self.bot.candidates(dict.fromkeys(symbols, "buy"))
        return lambda app: int(trade_once.run(app, by="test", candidates=file, force_slot=again).exit_code)

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
        return self.does(lambda app: int(reconcile.run(app, by="test").exit_code))

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
        found += judge.unpromised(told, judge.Promises(self.folder).now())
        sessions = protection.sessions_of(self.stage.exchange)
        events, number = list(self.stage.log(self.bot.number)), self.bot.number
        gaps = protection.broken(events, number, self.folder, sessions, unable=unable)
        found += gaps if told_in_time else ()
        found += kept.broken(events, number)
        assert found == [], found


@contextmanager
def as_another_user(trader: Trader) -> Iterator[None]:
    """Let a bot belong to a user for whom permissions hold; what `run` does with it is done by that user."""
    # That user may not be allowed to read what Python would import later.
    importlib.import_module("tradebot.adapters.facts.facts")
    root = not os.geteuid()
    if root:
        trader.bot.runs_as = NOBODY
        _give(trader.folder, NOBODY)
        trader.stage.folder.chmod(0o755)
    try:
        yield
    finally:
        if root:
            trader.bot.runs_as = None
            _give(trader.folder, 0)
        trader.stage.folder.chmod(0o700)


def _give(folder: Path, user: int) -> None:
    for path in (folder, *folder.rglob("*")):
        os.chown(path, user, user, follow_symlinks=False)


AtAPoint = Callable[[str, Callable[[], object]], None]


@pytest.fixture
def at_a_point() -> Iterator[AtAPoint]:
    """Yield what arms one failpoint of this process, to do something there the first time that it is reached."""

    def arm(point: str, step: Callable[[], object]) -> None:
        def reached(name: str) -> None:
            if name == point:
                failpoint.hook = None
                step()

        failpoint.hook = reached

    yield arm
    failpoint.hook = None


class Near(Stage):
    """A stage whose exchange is in this process: requests to it are carried by a wire instead of sockets.

    It says what a served one says (`test_ground.py` compares them); a wait that a fault causes is over at once.
    """

    def serve(self) -> str:
        """Open the exchange, and lead every request to its address there."""
        self._open = open_exchange(self.exchange)
        self._wire = wire = Wire()
        own = [*ControlFace(self._open, "near", lambda: None).routes(), *FaultFace(self._open).routes()]
        wire.connect(self._open, lambda method, path, body: None, own=own)
        self._patch = pytest.MonkeyPatch()
        lead(self._patch, wire.send)
        return URL

    def close(self) -> None:
        """Lead requests to where they say again."""
        self._patch.undo()
        self._wire.close()

    def log(self, naming: str = "") -> Iterator[dict[str, Any]]:
        """Yield the events of the log up to now."""
        self._open.record()
        return super().log(naming)


@pytest.fixture(scope="module")
def stage(request: pytest.FixtureRequest) -> Iterator[Stage]:
    """Yield the exchange of a file of tests; its time only ever goes forward, and it has room for 100 accounts.

    It is in this process if the file says NEAR, because processes, sockets and clocks make no difference there.
    """
    with set_up(SESSIONS, kind=Near if getattr(request.module, "NEAR", False) else Stage) as made:
        yield made


@pytest.fixture
def trader(stage: Stage, request: pytest.FixtureRequest, capsys: pytest.CaptureFixture[str]) -> Trader:
    """Return a new bot of this test alone, amid a session, with compared books."""
    in_a_session(stage)
    fault = request.node.name.removeprefix("test_fault_").partition("_")[0]
    made = Trader(stage, stage.bot(f"fault-{fault}-{next(NUMBERS)}"), capsys)
    assert made.reconciles().code == 0
    return made


class Lies:
    """What the venue's answers are changed to, path by path, before the bot reads them."""

    def __init__(self) -> None:
        self._changes: dict[str, tuple[Callable[[Any], Any], Iterator[int]]] = {}

    def tell(self, path: str, change: Callable[[Any], Any], times: int = 1000) -> None:
        """Lie on this path so many times."""
        self._changes[path] = (change, iter(range(times)))

    def end(self) -> None:
        """Lie no more."""
        self._changes.clear()

    def of(self, path: str, answer: Any) -> Any:
        """Return what the bot is told in place of a right answer."""
        change, left = self._changes.get(path, (None, iter(())))
        return answer if change is None or next(left, None) is None else change(answer)


@pytest.fixture
def lies(monkeypatch: pytest.MonkeyPatch) -> Lies:
    """Return a liar that stands between the venue and the bots of this process."""
    made, right = Lies(), AlpacaReads.json
    monkeypatch.setattr(AlpacaReads, "json", lambda reads, path, params=None: made.of(path, right(reads, path, params)))
    return made
