"""Lives in the pit whose process ends again and again: by a SIGKILL at a drawn moment, or with the power.

    python -m tests.faults.programs pit_lives kills --seed 7 --count 6
    python -m tests.faults.programs pit_lives power --seed 7 --only rolls-2

A life is a few passes: an entry with its stop, a cancel, a roll, a change of what rolls. Each pass is a process of its
own that dies and begins again until one lives. Then nobody dies any more, and the exchange's log says whether the laws
of brackets and rolls have held, the books whether they are whole and everything that was promised is settled. It prints
one JSON line, and ends with 1 where a law was broken.
"""

import argparse
import json
import os
import random
import sys
import tempfile
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing
from datetime import timedelta
from functools import cached_property
from pathlib import Path
from typing import Any, NamedTuple

from exchange.tests.kit.cable import Cable, lay_cable
from tests.faults import controls, pit_process
from tests.faults.bracketed import BARE_FOR, PASSES, Pass, broken, gaps, recovered
from tests.faults.disk import Disk
from tests.faults.pit_process import CHANGE, DIED, LIVES, MESSAGE, POINT, Ended, Fate
from tests.faults.power import RECORDING, damaged, record, recording
from tests.kit.bot.futures import FINDINGS, FuturesDay, Pit, wants
from tests.kit.bot.near import Verb, compares, exits
from tradebot.adapters.state import state_folder
from tradebot.errors import TradebotError
from tradebot.model.decision import Decision
from tradebot.model.desk import Desk
from tradebot.model.intent import LEG, Intent
from tradebot.model.totals import Totals
from tradebot.orders import order_sender
from tradebot.ports.world import World

KILLS, POWER = WAYS = ("kills", "power")
MOST_IN_A_ROW = 4
"""A pass that has died so often is let through."""
KINDS = (POINT, POINT, MESSAGE, CHANGE, CHANGE)
"""What is drawn for a kill: half of the processes that send anything die around what they send."""
EVERYWHERE, OFTEN = ("integrity.", "state_locks."), 4
"""Points that every process reaches are drawn less often than those around what is written and sent."""
FOR_EACH_DEATH = timedelta(minutes=3)
"""What was being sent is looked up for so long before the exit goes out again."""
UNTOLD_FOR = timedelta(minutes=3)
"""For so long something may be held without a stop before an event has told it."""
ENDS = (0, 3, *FINDINGS)
COMPARES, EXITS, ENTERS, GOES_ON = "compares", "exits", "enters", "goes on"
GAP = "protection_gap"
MINUTE, PAST_THE_ENTRY = {"seconds": 61}, {"seconds": 122}


class Step(NamedTuple):
    """A pass, and how much time follows it."""

    does: str
    then: Mapping[str, object] = MINUTE


MOVES = (
    Step(EXITS),
    Step(COMPARES),
    Step(EXITS),
    Step(GOES_ON),
    Step(EXITS),
    Step(COMPARES),
    Step(GOES_ON, PAST_THE_ENTRY),
    Step(EXITS),
    Step(COMPARES),
)
SCRIPTS: Mapping[str, tuple[Pass, Sequence[Step]]] = {
    "enters": (PASSES["enters"], (Step(COMPARES), Step(ENTERS, PAST_THE_ENTRY), Step(EXITS), Step(COMPARES))),
    "rolls": (PASSES["leaves"], MOVES),
    "cancels": (PASSES["cancels"], (Step(EXITS), Step(COMPARES), Step(ENTERS, PAST_THE_ENTRY), Step(EXITS))),
    "changes": (PASSES["changes"], MOVES),
}
"""What a life does, by its name; what it begins with is kept by the pit."""


class FuturesLife:
    """One bot, from its first pass to the judge."""

    def __init__(self, pit: Pit, name: str, chance: random.Random, spared: Sequence[Ended]) -> None:
        self.one, self.steps = SCRIPTS[name]
        self.day = pit.day(self.one.begins)
        self._cable, self._chance, self._spared = pit.cable, chance, spared
        self.hit, self.problems = Counter[str](), list[str]()
        self.ends = list[Ended]()
        self.died_leaving = 0
        """In how many passes of exits a process died."""

    def live(self) -> "FuturesLife":
        """Play all passes, recover, and judge."""
        for number, step in enumerate(self.steps):
            self._pass(number, step)
            self.day.tick(**step.then)
        recovered(self.day, rolls=self.one.rolls)
        self.problems += self._judged()
        return self

    def _judged(self) -> Iterator[str]:
        """Yield each law that was broken; books that can't be opened are told like anything else."""
        try:
            longest = BARE_FOR + self.died_leaving * FOR_EACH_DEATH
            yield from broken(self.day, self.one, completes=True, longest=longest)
            yield from self.untold()
            yield from unrecorded(self.day)
            yield from unsound(self.day)
        except TradebotError as error:
            yield error.message
        yield from damaged(self.day.folder)

    def _pass(self, number: int, step: Step) -> None:
        for attempt in range(MOST_IN_A_ROW if self._spared else 0):
            fate = self._fate(self._spared[number])
            end = self._run(step, fate)
            if end.code != DIED:
                break
            self.hit[end.points[-1] if fate.kind == POINT else fate.kind] += 1
            self.died_leaving += step.does == EXITS and not attempt
        else:
            end = self._run(step, LIVES)
        self.ends.append(end)
        if end.code not in ENDS:
            self.problems.append(f"{step.does} ended with {end.code}")
        self.problems += end.problems

    def _fate(self, spared: Ended) -> Fate:
        """Draw what a process is killed at, of what a spared one has come to."""
        kind = self._chance.choice([kind for kind in KINDS if spared.count(kind)])
        if kind == POINT:
            return self._at_a_point(spared)
        return Fate(kind, self._chance.randint(1, spared.count(kind)), self._chance.random() < 0.5)

    def _at_a_point(self, spared: Ended) -> Fate:
        """Draw a name first: some points are reached a hundred times, and others once."""
        names = sorted(set(spared.points))
        (name,) = self._chance.choices(names, [1 if name.startswith(EVERYWHERE) else OFTEN for name in names])
        return Fate(POINT, self._chance.choice([at for at, point in enumerate(spared.points, 1) if point == name]))

    def _run(self, step: Step, fate: Fate) -> Ended:
        return pit_process.run(self.day, self._cable, verb_of(self.day, step.does), fate, self.prepare)

    def prepare(self) -> None:
        """Do nothing in the process before its pass."""

    def untold(self) -> Iterator[str]:
        """Yield what was held without a stop, and no event has told it."""
        lines = (self.day.folder / state_folder.EVENTS).read_text().splitlines()
        told = {event["symbol"] for event in map(json.loads, lines) if event["event_type"] == GAP}
        for symbol, quantity, began, ended in gaps(self.day.events(), self.day.now, UNTOLD_FOR):
            if symbol not in told:
                yield f"nobody was told that {quantity} {symbol} had no stop from {began} to {ended}"


class Broken(FuturesLife):
    """A life whose bot is broken on purpose."""

    control: Callable[[], None]

    def prepare(self) -> None:
        """Break it, in its own process."""
        self.control()


class Powered(FuturesLife):
    """A life without a reliable supply: what a process hasn't synced may be gone, or there, or in pieces."""

    unsafe = 0

    @cached_property
    def _disk(self) -> Disk:
        return Disk(self.day.folder)

    @property
    def _path(self) -> Path:
        return self.day.folder.with_name(f"bot{RECORDING}")

    def _fate(self, spared: Ended) -> Fate:
        return self._at_a_point(spared)

    def _run(self, step: Step, fate: Fate) -> Ended:
        self._path.write_bytes(b"")
        disk = self._disk
        end = super()._run(step, fate)
        for call in recording(self._path):
            disk.add(call)
        self.problems += [f"the model of the disk is wrong about {name}" for name in disk.unlike()]
        if end.code == DIED:
            self.unsafe += disk.lose(self._chance)
        self.problems += damaged(self.day.folder)
        return end

    def untold(self) -> Iterator[str]:
        """Yield nothing: what was told may be lost like anything else that isn't synced."""
        yield from ()

    def prepare(self) -> None:
        """Write down every call on the files of the bot."""
        record(self.day.folder, self._path)


class PoweredBroken(Powered, Broken):
    """A life without a reliable supply whose bot doesn't sync what it should."""

    def prepare(self) -> None:
        """Break it, and write its calls down."""
        Broken.prepare(self)
        Powered.prepare(self)


def verb_of(day: FuturesDay, does: str) -> Verb:
    """Return what a step runs."""
    if does in (ENTERS, GOES_ON):
        return wants(day.folder.parent, PASSES["enters"].wanted if does == ENTERS else {})
    return {COMPARES: compares, EXITS: exits}[does]


def unrecorded(day: FuturesDay) -> Iterator[str]:
    """Yield orders at the exchange that the books haven't promised."""
    names = {
        event["client_order_id"].removeprefix(LEG): event["order_id"]
        for event in day.events()
        if event["event"] == "order_accepted"
    }
    with closing(day.ledger()) as ledger:
        known = ledger.recorded_intents(list(names))
    yield from (f"{name} was never promised" for name in names if name not in known)


def unsound(day: FuturesDay) -> Iterator[str]:
    """Yield what the books must not be after everything was looked up: open, unlike the venue, or no whole."""
    with closing(day.ledger()) as ledger:
        for record in ledger.intents(unresolved=True):
            yield f"{record.intent.client_order_id} is {record.state}"
        mark = ledger.last_reconcile()
        if mark is None or mark.findings:
            yield f"the last comparison: {mark}"
        if ledger.totals() != Totals.of(ledger.fills()):
            yield "the totals are not what the fills add up to"
        ledger.tallies.compare_journal()


def promised_late() -> None:
    """Send first, and write the promise once the answer is there."""

    def late(world: World, desk: Desk, intent: Intent, promise: Callable[[], Decision | None]) -> Decision:
        assert world.orders is not None
        reply = order_sender._request(world.orders, intent)
        return promise() or order_sender._record_outcome(world, desk, intent, reply)

    vars(order_sender)["_request_once"] = late


CONTROLS: Mapping[str, tuple[str, str, Callable[[], None]]] = {
    "promised-late": (KILLS, "rolls", promised_late),
    "journal-not-synced": (POWER, "rolls", controls.CONTROLS["journal-not-synced"]),
    "synchronous-off": (POWER, "rolls", controls.CONTROLS["synchronous-off"]),
}
"""Bots broken on purpose: in which campaign and which life it shows."""
CHANCES = 8
"""So many lives show what is broken, or nobody sees it."""


class Campaign:
    """Lives in one pit."""

    def __init__(self, pit: Pit, way: str, seed: int) -> None:
        self._pit, self._way, self._seed = pit, way, seed
        self._spared: dict[str, Sequence[Ended]] = {}
        self.hit, self.problems = Counter[str](), list[str]()
        self.unsafe = 0

    def play(self, label: str) -> None:
        """Play one life, named after its script and a number."""
        life = self._life(label, {KILLS: FuturesLife, POWER: Powered}[self._way]).live()
        self._note(label, life)

    def play_broken(self, control: str) -> None:
        """Play lives of a broken bot until it shows."""
        _, name, breaks = CONTROLS[control]
        kind = {KILLS: Broken, POWER: PoweredBroken}[self._way]
        for number in range(CHANCES):
            life = self._life(f"{name}-{control}-{number}", kind)
            life.control = breaks
            self._note(control, life.live(), counts=False)
            if life.problems:
                return

    def _life(self, label: str, kind: type[FuturesLife]) -> Any:
        name = label.partition("-")[0]
        if name not in self._spared:
            whole = {KILLS: FuturesLife, POWER: Powered}[self._way](self._pit, name, random.Random(0), ()).live()
            self._note(f"{name}, spared", whole)
            self._spared[name] = whole.ends
        chance = random.Random(f"{self._way} {self._seed} {label}")
        return kind(self._pit, name, chance, self._spared[name])

    def _note(self, label: str, life: FuturesLife, *, counts: bool = True) -> None:
        self.problems += [f"{label}: {problem}" for problem in life.problems]
        if counts:
            self.hit += life.hit
            self.unsafe += getattr(life, "unsafe", 0)


def main() -> int:
    """Play what the arguments say."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("way", choices=WAYS)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--count", type=int, default=4, help="how many lives, one of each kind in turn")
    parser.add_argument("--only", action="append", help="play this life; again for another one")
    parser.add_argument("--control", action="append", default=[], choices=CONTROLS, help="play this broken bot too")
    asked = parser.parse_args()
    names = [*SCRIPTS]
    labels = asked.only or [f"{names[number % len(names)]}-{number}" for number in range(asked.count)]
    memory = "/dev/shm" if os.access("/dev/shm", os.W_OK) else None  # noqa: S108 -- its own folder is made there
    with tempfile.TemporaryDirectory(prefix="lives-", dir=memory) as root:
        pit = Pit(Path(root), laid())
        pit.trades()
        campaign = Campaign(pit, asked.way, asked.seed)
        for label in (*labels, *asked.control):
            (campaign.play_broken if label in CONTROLS else campaign.play)(label)
    replay = f"python -m tests.faults.programs pit_lives {asked.way} --seed {asked.seed} --only"
    shown = [f"{problem} [{replay} {problem.partition(':')[0]}]" for problem in dict.fromkeys(campaign.problems)]
    print(
        json.dumps({"deaths": campaign.hit.total(), "unsafe": campaign.unsafe, "hit": campaign.hit, "problems": shown})
    )
    return 1 if campaign.problems else 0


def laid() -> Cable:
    """Return the cable of this process."""
    return lay_cable(setattr)


if __name__ == "__main__":
    sys.exit(main())
