"""One exchange in its own process, and bots on it that run verbs in forked children which may be killed.

Each bot has a folder, an account and books of its own, and runs the very functions that the command line runs. All of
them stand at the same time of the same market, so that a bot that was killed a hundred times can be held against one
that never was. Children are forked from a program with one thread that has imported everything: see `kills.py`.
"""

import gc
import hashlib
import json
import os
import signal
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager, suppress
from datetime import date
from functools import cache, partial
from io import StringIO
from pathlib import Path
from typing import Any, NamedTuple

import pytest
import requests
from msgspec import Struct

from exchange.tests.kit.wire import URL, Wire, lead
from papervenue import process
from papervenue.exchange import open_exchange
from papervenue.faces.control import ControlFace
from papervenue.faults.middleware import FaultFace
from papervenue.market.hours import LAST_DAY
from papervenue.market.spec import NEXT_BAR, MarketSpec
from tests.kit.bot.near import ERRED, Verb, write_candidates
from tests.kit.bot.state import CASH, load_state, make_state, open_app
from tests.kit.venues import ALPACA, AT
from tests.suite.calendars import KEPT
from tradebot.adapters import failpoint
from tradebot.adapters.ledger.account_history import FillTotals
from tradebot.adapters.state import state_folder
from tradebot.adapters.time.clock import LockStepClock
from tradebot.app.calendar import AHEAD, BEHIND
from tradebot.app.settings import Loaded
from tradebot.app.wiring import App, FolderLook
from tradebot.errors import TradebotError
from tradebot.model.bar import Session

# Several runs in one forked process that one SIGKILL ends, each of them at its own point.
#
# What is dear in a kill is the process: to fork it, and to touch its memory for the first time. So a process that
# stands at the point where it is to die in one folder leaves everything as it is there, files open, locks held,
# transactions begun, and turns to the next folder from inside that very point. Once the last folder has had its turn,
# SIGKILL comes. No stack was unwound and nothing closed: each folder is left as by its own process.

DIED = -int(signal.SIGKILL)
"""How a run ends that was killed."""
POINT, WORD, CODE = "point", "word", "code"


class Child:
    """What a run may do for the campaign: tell words, and arm the points."""

    def __init__(self, tell: Callable[[str], None], reached: Callable[[str], None]) -> None:
        self.tell = tell
        self._reached = reached

    def arm(self) -> None:
        """Reach the points of the run from now on."""
        failpoint.hook = self._reached


class Turn(NamedTuple):
    """One run: its work, which returns its exit code, and whether it dies at a point, asked at each that it reaches."""

    work: Callable[[Child], int]
    dies: Callable[[str], bool]


class Ended(NamedTuple):
    """How a run ended: its code or DIED, the points that it reached, the last one fatal, and the words that it told."""

    code: int
    points: tuple[str, ...]
    words: tuple[str, ...]


def alone(work: Callable[[Child], int], dies: Callable[[str], bool]) -> Ended:
    """Let one run have its own process."""
    return together([Turn(work, dies)])[0]


def together(turns: Sequence[Turn]) -> list[Ended]:
    """Let runs have their turns in one child, and return how each ended."""
    reader, writer = os.pipe()
    child = os.fork()
    if not child:
        os.close(reader)
        _Process(turns, writer).live()
    os.close(writer)
    with os.fdopen(reader, "rb") as pipe:
        told = [line.split(" ", 2) for line in pipe.read().decode().splitlines()]
    _, status = os.waitpid(child, 0)
    end = os.waitstatus_to_exitcode(status)
    if end not in (0, DIED):
        raise AssertionError(f"a child ended with {end}")
    return [_end_of(told, str(number)) for number in range(len(turns))]


def _end_of(told: list[list[str]], number: str) -> Ended:
    """Return what was told of one run; one that told no code stood at its point to the end."""
    said = {kind: tuple(text for whose, what, text in told if (whose, what) == (number, kind)) for kind in KINDS}
    return Ended(int(said[CODE][0]) if said[CODE] else DIED, said[POINT], said[WORD])


KINDS = (POINT, WORD, CODE)


class _Process:
    """The child."""

    def __init__(self, turns: Sequence[Turn], writer: int) -> None:
        self._waiting: Iterator[tuple[int, Turn]] = iter(enumerate(turns))
        self._writer = writer
        self._told: list[str] = []

    def live(self) -> None:
        """Let all have their turns, and leave without any clean-up that a killed process would not do either."""
        gc.disable()
        self._go_on()
        self._hand_over()
        os._exit(0)

    def _go_on(self) -> None:
        for number, turn in self._waiting:
            failpoint.hook = None
            child = Child(partial(self._tell, number, WORD), partial(self._reached, number, turn))
            try:
                code = int(turn.work(child))
            except BaseException:  # noqa: BLE001 -- a child must never run on as if it were its parent
                sys.excepthook(*sys.exc_info())
                code = ERRED
            self._tell(number, CODE, str(code))

    def _reached(self, number: int, turn: Turn, name: str) -> None:
        self._tell(number, POINT, name)
        if turn.dies(name):
            self._go_on()
            self._hand_over()
            os.kill(os.getpid(), signal.SIGKILL)

    def _tell(self, number: int, kind: str, text: str) -> None:
        self._told.append(f"{number} {kind} {text}\n")

    def _hand_over(self) -> None:
        """Write down what was told, before the end: a pipe keeps what a dead process has written."""
        with os.fdopen(self._writer, "w") as pipe:
            pipe.writelines(self._told)


# The files of a new exchange, made once for all programs and processes of a run of the tests.
#
# Making a market loads pandas and a calendar, which takes longer than most of what is played on it.


@cache
def files_of(spec: MarketSpec) -> dict[str, bytes]:
    """Return the files of an exchange of this market by their names; every exchange that gets them starts alike."""
    if KEPT not in os.environ:
        # Nothing is kept from one run to another: the code that makes markets may have changed between them.
        with tempfile.TemporaryDirectory() as folder:
            return _read(_made(spec, Path(folder) / "market"))
    kept = Path(os.environ[KEPT])
    kept.mkdir(exist_ok=True)
    place = kept / f"market-{hashlib.sha256(json.dumps(spec.to_fields(), sort_keys=True).encode()).hexdigest()}"
    if not place.exists():
        with tempfile.TemporaryDirectory(dir=kept) as folder, suppress(OSError):
            # Another process may have been quicker.
            _made(spec, Path(folder) / "market").rename(place)
    return _read(place)


def _read(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def _made(spec: MarketSpec, place: Path) -> Path:
    """Make it in a child: every later fork of this process would pay for pandas."""
    place.mkdir()
    _in_a_child(lambda: process.create(place, spec))
    return place


def _in_a_child(step: Callable[[], None]) -> None:
    """Do something in its own process, and see that it was done."""
    child = os.fork()
    if not child:
        try:
            step()
        finally:
            os._exit(ERRED if sys.exc_info()[0] else 0)
    _, status = os.waitpid(child, 0)
    assert status == 0, "a step in a child failed"


START = date(2026, 11, 16)
LEFT_OUT = 1
"""So few of the newest fills does a checkpoint leave out."""
CONFIGURATION = f"""
{AT.settings}universe: [{", ".join(AT.symbols)}]
limits: {{cooldown_s: 1, max_order_notional_usd: 1000}}
halts: {{unknowns: 50}}
"""
"""A bot that is killed often while no time passes has more requests without an answer than the shipped halts allow."""

CONTROLS: dict[str, Callable[[], None]] = {}
"""What can be broken in a bot on purpose, by its name; campaigns put it here."""


class StageBot(Struct):
    """One bot: its folder, and its account at the exchange with the key that opens it.

    `control` names what is broken in it on purpose, `runs_as` the user whose bot it is, None for the user of the tests.
    """

    name: str
    key: str
    folder: Path
    number: str
    url: str
    loaded: Loaded
    control: str = ""
    runs_as: int | None = None

    def app(self, look: FolderLook = state_folder.open_state) -> App:
        """Return the bot opened again, as each process does; only its configuration, which never changes, is kept."""
        return open_app(self.folder, self.loaded, self.url, AT.keys(self.key), look)

    def candidates(self, wanted: dict[str, str]) -> str:
        """Return a file that proposes a side for each symbol."""
        return write_candidates(self.folder.with_name(f"{self.name}.candidates.jsonl"), wanted)


class Fatal(NamedTuple):
    """The point at which a child gets a signal: the n-th time that it reaches a name."""

    name: str
    time: int
    kind: signal.Signals = signal.SIGKILL


class End(Struct, frozen=True):
    """How one run of a verb ended: its exit code or DIED, and the points that it reached, the last one fatal.

    `words` are what it said of an error.
    """

    code: int
    points: tuple[str, ...]
    words: tuple[str, ...] = ()


def run(bot: StageBot, verb: Verb, fatal: Fatal | None, while_stopped: Callable[[], None] = lambda: None) -> End:
    """Run a verb in a forked child that gets a signal at a point; None lets it live.

    One that is stopped there goes on once `while_stopped` has returned.
    """
    reader, writer = os.pipe()
    child = os.fork()
    if not child:
        os.close(reader)
        _live(bot, verb, fatal, writer)
    os.close(writer)
    _, status = os.waitpid(child, os.WUNTRACED)
    if os.WIFSTOPPED(status):
        while_stopped()
        os.kill(child, signal.SIGCONT)
        _, status = os.waitpid(child, 0)
    with os.fdopen(reader, "rb") as pipe:
        told = pipe.read().decode()
    return End(os.waitstatus_to_exitcode(status), tuple(told.split()))


def _live(bot: StageBot, verb: Verb, fatal: Fatal | None, writer: int) -> None:
    """Be the child: arm, run, and leave without any of the clean-up that a killed process would not do either."""
    left = fatal.time if fatal else 0

    def reached(name: str) -> None:
        nonlocal left
        # Written before the kill: a pipe keeps what a dead process has written.
        os.write(writer, f"{name}\n".encode())
        if fatal and name == fatal.name:
            left -= 1
            if not left:
                os.kill(os.getpid(), fatal.kind)

    failpoint.hook = reached
    gc.disable()
    code = ERRED
    try:
        code = _ended(bot, verb)
    finally:
        os._exit(code)


def _ended(bot: StageBot, verb: Verb, tell: Callable[[str], None] = lambda text: None) -> int:
    """Run a verb on a bot, and return its exit code, or ERRED; tell what error ended it."""
    if bot.control:
        CONTROLS[bot.control]()
    sys.stderr = StringIO()
    # A day in small has few fills, and its passes should keep checkpoints too.
    FillTotals.left_out = LEFT_OUT
    if bot.runs_as is not None:
        # In a child, which never has to come back from this.
        os.seteuid(bot.runs_as)
    try:
        with closing(bot.app()) as app:
            return int(verb(app))
    except TradebotError as error:
        tell(" ".join(error.message.split()))
        return int(error.code)
    except BaseException as error:  # noqa: BLE001 -- a child must never run on as if it were its parent
        print(f"{bot.name}: {error!r}", file=sys.__stderr__)
        return ERRED


class Run(NamedTuple):
    """A verb of one bot, and the point at which SIGKILL ends it; None lets it live."""

    bot: StageBot
    verb: Verb
    fatal: Fatal | None = None

    def turn(self) -> Turn:
        """Return it as one of several in a child."""
        left = iter(range(self.fatal.time - 1 if self.fatal else 0))

        def dies(name: str) -> bool:
            return self.fatal is not None and name == self.fatal.name and next(left, None) is None

        def work(child: Child) -> int:
            child.arm()
            return _ended(self.bot, self.verb, child.tell)

        return Turn(work, dies)


def run_all(runs: Sequence[Run]) -> list[End]:
    """Run verbs of several bots in one child, one after the other, or each inside the last point of another one.

    What is broken on purpose in one bot is broken in its whole process, so these have their own one.
    """
    whole = [run for run in runs if not run.bot.control]
    ends = iter(together([run.turn() for run in whole]) if whole else ())
    found = [together([run.turn()])[0] if run.bot.control else next(ends) for run in runs]
    return [End(end.code, end.points, end.words) for end in found]


class Stage:
    """The exchange and its control."""

    def __init__(self, folder: Path, sessions: int = 5, start: date = START, seed: int = 7) -> None:
        self.folder = folder
        self.exchange = folder / "exchange"
        self.exchange.mkdir()
        for name, content in _market(sessions, start, seed).items():
            (self.exchange / name).write_bytes(content)
        self._sessions: dict[date, Sequence[Session]] = {}
        self.url = self.serve()

    def serve(self) -> str:
        """Start the exchange, and return its address."""
        return process.ensure_running(self.exchange).url

    def close(self) -> None:
        """Stop the exchange."""
        process.stop(self.exchange)

    def control(self, path: str, **body: object) -> Any:
        """Ask the exchange's control to do something."""
        answer = requests.post(f"{self.url}/exchange/v1/{path}", json=body, timeout=30)
        assert answer.status_code == 200, answer.text
        return answer.json()

    def trouble(self, script: str) -> None:
        """Arm a script of faults; without one, end all that are armed."""
        url = f"{self.url}/exchange/v1/faults"
        answer = requests.post(url, data=script, timeout=30) if script else requests.delete(url, timeout=30)
        assert answer.status_code == 200, answer.text

    def tick(self, **step: object) -> None:
        """Let time pass."""
        self.control("tick", **step)

    def bot(self, name: str, configuration: str = CONFIGURATION) -> StageBot:
        """Open an account, and make a bot for it."""
        account = self.control("accounts", name=name, cash=int(CASH))
        return self._made(name, name, account["account_number"], configuration)

    def twin(self, bot: StageBot) -> StageBot:
        """Make a second bot for the account of another one, as on another machine: its books know nothing of those."""
        return self._made(f"{bot.name}-twin", bot.key, bot.number)

    def _made(self, name: str, key: str, number: str, configuration: str = CONFIGURATION) -> StageBot:
        """Make what `init` makes: marker, books, configuration, arming."""
        folder, now = self.folder / name, LockStepClock(self.url).now()
        make_state(folder, number, now, configuration, venue=AT.name, settlement=AT.settlement)
        bot = StageBot(name, key, folder, number, self.url, load_state(folder))
        if now.date() not in self._sessions:
            if AT is ALPACA:
                self._warm_calendar(key)
            with closing(bot.app()) as app:
                self._sessions[now.date()] = app.reader.calendar(now.date() - BEHIND, now.date() + AHEAD)
        # The venue's own calendar: the one that a bot makes for itself would load pandas too.
        with closing(bot.app()) as app:
            app.ledger.put_sessions(self._sessions[now.date()])
        return bot

    def _warm_calendar(self, key: str) -> None:
        """Ask for the calendar first, which waits until the exchange has loaded pandas.

        On a busy machine, that takes longer than a bot waits.
        """
        headers, far = {"APCA-API-KEY-ID": key, "APCA-API-SECRET-KEY": key}, {"start": LAST_DAY, "end": LAST_DAY}
        assert requests.get(f"{self.url}/v2/calendar", far, headers=headers, timeout=120).status_code == 200

    def log(self, naming: str = "") -> Iterator[dict[str, Any]]:
        """Yield the events of the exchange's log, the judge; those that name something, if it is given."""
        with (self.exchange / "log.jsonl").open("rb") as file:
            for line in file:
                # Most events of a stage are of other accounts, and reading them all takes long.
                if naming.encode() in line:
                    yield json.loads(line)


def _market(sessions: int, start: date, seed: int) -> dict[str, bytes]:
    """Return the files of a new exchange with this many sessions; every stage starts from the same ones."""
    # Without a bound to the volume, bots do not take each other's fills.
    return files_of(AT.market(start, AT.symbols, sessions, seed, NEXT_BAR._replace(volume_share=None)))


class NearStage(Stage):
    """A stage whose exchange is in this process: requests to it are carried by a wire instead of sockets.

    It says what a served one says (`tests/faults/listed/test_ground.py` compares them); a wait that a fault causes is
    over at once.
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


@contextmanager
def set_up(
    sessions: int = 5, start: date = START, seed: int = 7, kind: Callable[..., Stage] = Stage
) -> Iterator[Stage]:
    """Yield a stage half an hour into its second session, which has a previous close.

    It stands in memory where it can: a kill takes nothing from a file system, whatever it is.
    """
    memory = "/dev/shm" if os.access("/dev/shm", os.W_OK) else None  # noqa: S108 -- its own folder is made there
    with tempfile.TemporaryDirectory(prefix="faults-", dir=memory) as folder:
        stage = kind(Path(folder), sessions, start, seed)
        try:
            for step in ({"to": "close"}, {"to": "next_open"}, {"seconds": 1800}):
                stage.tick(**step)
            yield stage
        finally:
            stage.close()
