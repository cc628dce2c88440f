"""The campaign of power losses: a run dies at any call on its files, and what was not yet synced is lost.

Every call on the files of a bot's folder, Python's and SQLite's own, is written down by the child that makes it
(`calls`, `sqlite_calls`) and fed to a model of the disk (`disk`). The child dies at a call drawn from the seed, as the
power goes in the midst of anything; then the folder is made again from what the disk would hold, and the next run must
recover from that. What earlier runs left unsynced is at stake as well. Days of trading are judged by the exchange's
log, held against a bot that never lost its power; the stores alone by what they said was done.
"""

import argparse
import gc
import json
import os
import pickle
import random
import shutil
import sys
import tempfile
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing, suppress
from pathlib import Path
from typing import Any, BinaryIO

from tests.faults import stores
from tests.faults.controls import CONTROLS
from tests.faults.disk import Disk
from tests.faults.kills import REFERENCE, Campaign, Tally
from tests.faults.play import warm_up
from tests.kit.bot.near import Verb
from tests.kit.bot.stage import DIED, Child, End, Ended, Run, Stage, StageBot, Turn, alone, set_up, together
from tests.kit.fakes.calls import REAL, Call, Watcher, watch
from tests.kit.judge import account as judge
from tests.kit.rows import ACCOUNT, DAY, NOW
from tradebot.adapters import failpoint
from tradebot.adapters.ledger import journal_reader
from tradebot.adapters.ledger.ledger import SqliteLedger
from tradebot.adapters.recovery import backups, integrity_check, rebuild
from tradebot.adapters.state import halt_switch, state_folder
from tradebot.app.wiring import App
from tradebot.errors import TradebotError
from tradebot.model.struct_tools import replace
from tradebot.model.trading import TradingState, TradingStateRecord

RECORDING, ANEW = ".calls", "made again"
AT_ONCE, CHANCES, FEW = 8, 40, 8
"""A process does so many writes, as a verb does a few."""


class Recorder(Watcher):
    """Names each call as a point at which the power may go, and writes down those that were made."""

    def __init__(self, path: Path) -> None:
        self._file: BinaryIO = path.open("wb", buffering=0)

    def before(self, call: Call) -> int:
        """Reach the point before the call; reading changes nothing, so it is none."""
        if call.name != "read" and failpoint.hook is not None:
            failpoint.hook(f"{call.kind}.{call.name}")
        return 0

    def after(self, call: Call) -> None:
        """Write the call down, at once: this process may die at any other one."""
        REAL["write"](self._file.fileno(), pickle.dumps(tuple(call)))


def record(folder: Path, path: Path) -> None:
    """Write down every call of this process on the files of a folder from now on."""
    watch(folder, Recorder(path))


def recording(path: Path) -> Iterator[Call]:
    """Yield what a process has written down."""
    with path.open("rb") as file, suppress(EOFError):
        while True:
            yield Call(*pickle.load(file))  # noqa: S301 -- written by a child of ours


class Power(Campaign):
    """Days of trading without a reliable supply."""

    def __init__(self, stage: Stage, seed: int) -> None:
        super().__init__(stage, seed)
        self.unsafe = 0
        self._disks: dict[str, Disk] = {}
        self._chances: dict[str, random.Random] = {}
        self._heard = defaultdict[str, list[str]](list)
        """The lines of each bot's events from before the power went: they were told, though they may be lost."""

    def _run(self, runs: list[Run]) -> list[End]:
        """Run verbs; where one dies the power has gone, and its folder becomes what the disk held."""
        ends = super()._run([run._replace(verb=self._recorded(run.bot, run.verb)) for run in runs])
        for run, end in zip(runs, ends, strict=True):
            self._note(run.bot, end)
        return ends

    def _recorded(self, bot: StageBot, verb: Verb) -> Verb:
        """Return a verb whose calls are written down."""
        path = bot.folder.with_name(f"{bot.name}{RECORDING}")
        # The model takes in what is there before the first call.
        self._disks.setdefault(bot.name, Disk(bot.folder))
        # A run may end before it has written anything down.
        path.write_bytes(b"")

        def recorded(app: App) -> int:
            record(bot.folder, path)
            return verb(app)

        return recorded

    def _note(self, bot: StageBot, end: End) -> None:
        disk = self._disks[bot.name]
        chance = self._chances.setdefault(bot.name, random.Random(f"{self.seed}.{bot.name}.losses"))
        for call in recording(bot.folder.with_name(f"{bot.name}{RECORDING}")):
            disk.add(call)
        self.tally.note(bot, [f"the model of the disk is wrong about {name}" for name in disk.unlike()])
        if end.code == DIED:
            self._heard[bot.name] += told(bot.folder)
            self.unsafe += disk.lose(chance)
        self.tally.note(bot, damaged(bot.folder))

    def _judge(self, bots: list[StageBot]) -> None:
        """Judge each bot beside the spared one; books that cannot be opened are told like anything else."""
        for bot in bots[1:]:
            try:
                super()._judge([bots[0], bot])
            except TradebotError as error:
                self.tally.note(bot, [error.message])

    def _protection(self, bot: StageBot, events: Sequence[judge.Event], **judged: Any) -> Iterator[str]:
        lines = dict.fromkeys([*self._heard[bot.name], *told(bot.folder)])
        (bot.folder / state_folder.EVENTS).write_text("\n".join(lines))
        return super()._protection(bot, events, **judged)

    def _intents(self, bot: StageBot) -> judge.Promises:
        """Return what a bot's journal promises now: what had not been synced may be gone again, or in pieces."""
        return Left(bot.folder).now()


class Left(judge.Promises):
    """What is left of the promises in a journal."""

    def now(self) -> "Left":
        """Read every record whose own hash is right."""
        for found in journal_reader.read(self._path).records():
            self._add({"kind": found.kind, "payload": json.loads(found.payload)})
        return self


def told(folder: Path) -> list[str]:
    """Return the lines of a bot's events."""
    path = folder / state_folder.EVENTS
    return path.read_text(errors="replace").splitlines() if path.exists() else []


def damaged(folder: Path) -> Iterator[str]:
    """Yield what a loss of power must never lead to: books put into quarantine, or a halt because of their state."""
    if (folder / state_folder.QUARANTINE).exists():
        yield "the books were found damaged"
    latch = halt_switch.read(folder)
    if latch.who == integrity_check.WHO:
        yield f"it was halted: {latch.why}"


def days(seed: int, names: Sequence[str]) -> tuple[Tally, int]:
    """Play days of trading with bots of these names beside the spared one; return the tally and what was at stake."""
    with set_up() as stage:
        warm_up(stage)
        bots = [replace(stage.bot(name), control=name if name in CONTROLS else "") for name in (REFERENCE, *names)]
        campaign = Power(stage, seed)
        campaign.play(bots)
        return campaign.tally, campaign.unsafe


def latched(folder: Path) -> None:
    """Halt by the files alone, as `halt` does before anything else."""
    halt_switch.halt(folder, "campaign", "a loss", NOW, "REDUCE_ONLY")


def backed_up(folder: Path) -> None:
    """Make the copy of a session."""
    backups.backup_session(state_folder.read_marker(folder, {}), DAY, NOW, max_count=30)


def made_anew(folder: Path) -> None:
    """Make the books anew from what is there, and accept them; the old ones move into the quarantine."""
    made = rebuild.rebuild(state_folder.read_marker(folder, {}), "a campaign", NOW)
    with closing(SqliteLedger.open(folder, ACCOUNT)) as ledger:
        ledger.upkeep.accept_rebuilt(made.name, "campaign", NOW)
        ledger.set_trading_state(TradingStateRecord(TradingState.ACTIVE, "campaign", "accepted", NOW))


def script() -> list[tuple[str, stores.Write]]:
    """Return the writes of the campaign of kills and some more, without the folder by hand, which nobody syncs."""
    by_hand = {("halted", stores.put_folder_for_halt)}
    writes = [write for write in stores.script() if write not in by_hand]
    half = len(writes) // 2
    latches: list[tuple[str, stores.Write]] = [("halted", latched), ("active", stores.Books(stores.unhalt))] * 4
    return [
        *writes[:half],
        ("backed up", backed_up),
        (ANEW, made_anew),
        ("active", nothing_more),
        *writes[half:],
        *latches,
    ]


def nothing_more(folder: Path) -> None:
    """Do nothing more: it was done with what came before."""


class Folder:
    """One folder that is written by the script and loses its power again and again."""

    def __init__(self, place: Path, writes: list[tuple[str, stores.Write]], seed: str, control: str = "") -> None:
        place.mkdir()
        self.state = place / "state"
        self.hit, self.problems = Counter[str](), list[str]()
        self.unsafe = 0
        self._writes, self._first = writes, 0
        self._recording = place / RECORDING
        self._disk = Disk(place)
        self._chance = random.Random(seed)
        self._control = control

    @property
    def more(self) -> bool:
        """Tell whether there is something to do, and nothing broken."""
        return self._first < len(self._writes) and not self.problems

    def turn(self) -> Turn:
        """Return a process that does a few writes, and dies at its n-th point or at none."""
        at = self._chance.randint(1, self._chance.choice((30, 100, 300)))
        # Whoever is told nothing is let through now and then, so that what stays unsynced adds up.
        lives = not self._chance.choice((0, 1, 1, 1))
        left = iter(range(at - 1))
        self._recording.write_bytes(b"")
        return Turn(self._write, lambda point: not lives and next(left, None) is None)

    def _write(self, child: Child) -> int:
        if self._control:
            CONTROLS[self._control]()
        record(self.state.parent, self._recording)
        child.arm()
        for _, write in self._writes[self._first : self._first + AT_ONCE]:
            write(self.state)
            child.tell(stores.DONE)
        return 0

    def note(self, end: Ended) -> None:
        """Take in how a turn ended; where it died, the folder becomes what the disk held."""
        for call in recording(self._recording):
            self._disk.add(call)
        self._recording.unlink()
        self._first += end.words.count(stores.DONE)
        told = [name for name, _ in (*self._writes, self._writes[0])]
        self.problems += [f"the model of the disk is wrong about {name}" for name in self._disk.unlike()]
        self.problems += [] if end.code in (0, DIED) else [f"a write ended with {end.code}: {told[self._first]}"]
        if end.code == DIED:
            self.hit[end.points[-1]] += 1
            self.unsafe += self._disk.lose(self._chance)
        self.problems += self._broken(told[: self._first], told[self._first])

    def different(self, expected: Mapping[str, object]) -> list[str]:
        """Return in what the books at the end are other than those of a folder that never lost its power."""
        for copy in backups.places(self.state):
            backups.verify_backup(state_folder.read_marker(self.state, {}), copy.name)
        found = stores.left(self.state)
        return [what for what in expected if _unordered(found[what]) != _unordered(expected[what])]

    def _broken(self, done: list[str], doing: str) -> list[str]:
        """Look at a copy of the folder, because whoever opens books after a crash mends them."""
        copy = self.state.with_name("looked-at")
        shutil.rmtree(copy, ignore_errors=True)
        if not self.state.is_dir():
            return [f"{done[-1]}, and nothing is there"] if done else []
        shutil.copytree(self.state, copy)
        try:
            if "created" in done:
                integrity_check.problem(state_folder.open_state(copy, {}))
            return list(stores.broken(copy, done, doing))
        except TradebotError as error:
            # Books that are being made again may be on their way; what they lack would be missed afterwards.
            return [] if doing == ANEW else [f"{error.message} after {done[-1]}"]
        finally:
            shutil.rmtree(copy)


def _unordered(value: object) -> object:
    """Return rows in their own order: books that were made again may know orders in another one."""
    return sorted(map(repr, value)) if isinstance(value, tuple | list) else value


def every(writes: list[tuple[str, stores.Write]], folder: Path) -> int:
    """Do all writes in a folder, and return the code of whoever has done them."""
    for _, write in writes:
        write(folder)
    return 0


def folders(root: Path, seed: int, names: Sequence[str]) -> tuple[Counter[str], int, list[str]]:
    """Play the script in folders of these names; return the points of the losses, what was at stake, what broke."""
    writes, spared = script(), root / "spared"
    assert alone(lambda child: every(writes, spared), lambda point: False).code == 0, "it was not written"
    expected = stores.left(spared)
    gc.collect()
    gc.freeze()
    whole = {name: Folder(root / name, writes, f"{seed}.{name}.0") for name in names if name not in CONTROLS}
    waiting = list(whole.values())
    while waiting:
        for folder, end in zip(waiting, together([folder.turn() for folder in waiting]), strict=True):
            folder.note(end)
        waiting = [folder for folder in waiting if folder.more]
    for folder in whole.values():
        folder.problems += [] if folder.problems else [f"{what} differ" for what in folder.different(expected)]
    played = [*whole.items(), *_broken_ones(root, seed, writes[:FEW], [name for name in names if name in CONTROLS])]
    hit = sum((folder.hit for _, folder in played), Counter[str]())
    problems = [f"{name}: {problem}" for name, folder in played for problem in folder.problems]
    return hit, sum(folder.unsafe for _, folder in played), problems


def _broken_ones(
    root: Path, seed: int, writes: list[tuple[str, stores.Write]], names: Sequence[str]
) -> Iterator[tuple[str, Folder]]:
    """Yield folders that are written by what is broken on purpose, of each kind until it shows.

    It shows at a few points only, and is given the chances that a whole campaign has.
    """
    for name in names:
        for number in range(CHANCES):
            folder = Folder(root / f"{name}-{number}", writes, f"{seed}.{name}.{number}", name)
            while folder.more:
                folder.note(together([folder.turn()])[0])
            yield name, folder
            if folder.problems:
                break


def main() -> int:
    """Play what the arguments say, print one JSON line, and tell whether everything held."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("campaign", choices=("days", "folders"))
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--count", type=int, default=4, help="how many bots, or folders, lose their power")
    parser.add_argument("--only", action="append", help="play this one; again for another one")
    parser.add_argument("--control", action="append", default=[], help="play this one too, broken on purpose")
    asked = parser.parse_args()
    names = asked.only or [f"{asked.campaign[:-1]}{number}" for number in range(1, asked.count + 1)]
    names += asked.control
    if asked.campaign == "days":
        tally, unsafe = days(asked.seed, names)
        hit, problems = tally.hit, tally.problems
    else:
        memory = "/dev/shm" if os.access("/dev/shm", os.W_OK) else None  # noqa: S108 -- its own folder is made there
        with tempfile.TemporaryDirectory(prefix="power-", dir=memory) as root:
            hit, unsafe, problems = folders(Path(root), asked.seed, names)
    replay = f"python -m tests.faults.power {asked.campaign} --seed {asked.seed} --only"
    shown = [f"{problem} [{replay} {problem.partition(':')[0]}]" for problem in dict.fromkeys(problems)]
    print(json.dumps({"losses": hit.total(), "unsafe": unsafe, "hit": hit, "problems": shown}))
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
