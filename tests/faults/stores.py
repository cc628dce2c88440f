"""The campaign of kills on the stores alone: SIGKILL between any two effects of a long list of writes, and a recovery.

No venue is asked, so a kill costs milliseconds, and there can be thousands. Each write is done again by the next
process unless the last one has said that it was done, as a verb is typed again. After each kill the books are opened
by another process's eyes: journal and ledger must agree, and what was said to be done must be there.
"""

import argparse
import gc
import json
import os
import random
import shutil
import sys
import tempfile
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import closing
from dataclasses import dataclass
from datetime import timedelta
from decimal import Decimal
from functools import partial
from itertools import islice
from pathlib import Path
from typing import NamedTuple

from tests.kit.bot.stage import DIED, Child, Ended, Turn, alone, together
from tests.kit.ledgers import activity, checkpoint_totals
from tests.kit.rows import ACCOUNT, DAY, NOW, PASSED, make_fill, make_intent, make_order
from tests.kit.values import best_price
from tradebot.adapters.facts.facts import SqliteFacts
from tradebot.adapters.ledger.ledger import SqliteLedger
from tradebot.adapters.recovery import interrupted_init
from tradebot.adapters.state import halt_switch, state_folder
from tradebot.adapters.state.events import JsonlEvents
from tradebot.model.event import Severity, SystemEvent
from tradebot.model.order import OrderStatus, Reply, WriteOutcome
from tradebot.model.position import Marks
from tradebot.model.struct_tools import replace
from tradebot.model.totals import Totals
from tradebot.model.trading import Baseline, ReconcileMark, TradingState, TradingStateRecord

Write = Callable[[Path], None]
ROUNDS = 2
MOST_POINTS = (2, 5, 5, 30)
"""A process dies within so many points, drawn each time, so that each round of writes sees many deaths."""
MOST_WHILE_MADE = (5, 15, 30, 60)
"""The same for one that makes a folder: that is one write of dozens of points."""
TOGETHER = 47
"""In so many folders one process stands at a point when SIGKILL ends it."""


@dataclass(frozen=True)
class Books:
    """A write into the books: they are opened for it, as by its own process, unless they are open, and closed."""

    write: Callable[[SqliteLedger], None]

    def __call__(self, folder: Path) -> None:
        self.into(SqliteLedger.open(folder, ACCOUNT))

    def into(self, ledger: SqliteLedger) -> None:
        """Write, and close the books."""
        with closing(ledger):
            self.write(ledger)


def create(folder: Path) -> None:
    """Make a bot's folder as `init` does, over what an `init` that was cut short has left."""
    if state_folder.has_marker(folder):
        return
    if interrupted_init.has_unused_books(folder):
        state_folder.set_aside(folder, interrupted_init.MOVED_NAMES)
    state_folder.prepare(folder)
    ledger = SqliteLedger.create(folder, ACCOUNT, NOW)
    ledger.open_books(Decimal(100_000), NOW)
    ledger.baselines.approve(Baseline({"shadow": False}, "campaign", NOW))
    ledger.close()
    halt_switch.arm(folder, "campaign", NOW)
    state_folder.create(folder, "sandbox", ACCOUNT, "user", NOW)


def open_facts(folder: Path) -> None:
    """Open the facts, which are made by whoever needs them first."""
    SqliteFacts(folder, JsonlEvents(folder / state_folder.EVENTS), NOW).close()


def halt(ledger: SqliteLedger) -> None:
    ledger.set_trading_state(TradingStateRecord(TradingState.REDUCE_ONLY, "campaign", "a kill", NOW))


def unhalt(ledger: SqliteLedger) -> None:
    ledger.set_trading_state(TradingStateRecord(TradingState.ACTIVE, "campaign", "over", NOW))


def tear(folder: Path) -> None:
    """Leave half a line at the end of the journal, as a power failure may."""
    path = folder / "journal.jsonl"
    if path.read_bytes().endswith(b"\n"):
        with path.open("ab") as file:
            file.write(b'{"schema":1,"se')


def put_folder_for_halt(folder: Path) -> None:
    """Halt by a folder of that name, which is a halt like any other."""
    (folder / "HALT").mkdir(exist_ok=True)


def touch_halt(folder: Path) -> None:
    """Halt by hand, which leaves ARMED there."""
    (folder / "HALT").touch()


def fill_the_events(folder: Path) -> None:
    """Emit an event into a file that is full, so that it is rotated."""
    event = SystemEvent(NOW, "campaign", "kill", Severity.INFO, None, {})
    for _ in range(2):
        JsonlEvents(folder / state_folder.EVENTS, max_bytes=1).emit(event)


def traded(number: int) -> list[tuple[str, Write]]:
    """Return one order's life: promised, lost, sent again, accepted, filled; and one that is given up."""
    order, lost = make_intent(f"open+{number}m"), make_intent(f"open+{number}m", "MSFT")
    name, at = order.client_order_id, NOW + timedelta(minutes=number)
    done = replace(make_order(f"v{number}", OrderStatus.FILLED, at), client_order_id=name)

    def settled(ledger: SqliteLedger) -> None:
        ledger.record_outcome(name, Reply(WriteOutcome.UNKNOWN, code="no_answer"), at)

    def sent_again(ledger: SqliteLedger) -> None:
        record = ledger.intent(name)
        if record is not None and record.state in UNRESOLVED:
            ledger.retry(name, at)
            ledger.record_outcome(name, Reply(WriteOutcome.ACCEPTED, done), at)

    def given_up(ledger: SqliteLedger) -> None:
        record = ledger.intent(lost.client_order_id)
        if record is not None and record.state in UNRESOLVED:
            ledger.abandon(lost.client_order_id, "gone", at)

    return [
        (f"promised {name}", Books(lambda ledger: _ignored(ledger.record_intent(order, (PASSED,))))),
        (f"settled {name}", Books(settled)),
        (f"sent again {name}", Books(sent_again)),
        (f"filled {number}", Books(lambda ledger: _ignored(ledger.apply_fills([make_fill(f"a{number}", at)], at)))),
        (f"marked {number}", Books(partial(_marked, number))),
        (f"booked {number}", Books(lambda ledger: _ignored(ledger.book(activity(number, at), at)))),
        (f"promised {lost.client_order_id}", Books(lambda ledger: _ignored(ledger.record_intent(lost, (PASSED,))))),
        (f"given up {number}", Books(given_up)),
        (f"slot {number}", Books(lambda ledger: _ignored(ledger.claim_slot("trade-once", DAY, f"s{number}", "", at)))),
        (f"kept totals {number}", Books(checkpoint_totals)),
        (f"late {number}", Books(lambda ledger: _ignored(ledger.apply_fills([make_fill(f"late{number}")], at)))),
        (f"compared {number}", Books(lambda ledger: ledger.mark_reconciled(ReconcileMark(at, 0, 0)))),
    ]


UNRESOLVED = frozenset({"sent", "unknown"})


def _marked(number: int, books: SqliteLedger) -> None:
    books.put_marks({("flow", f"S{number}", NOW): Marks(Decimal(100), Decimal(90))})


def _ignored(_: object) -> None:
    """Take no notice of what a write returns: done before is as good as done now."""


def script() -> list[tuple[str, Write]]:
    """Return the list of writes, each with what it is called once it was done."""
    writes: list[tuple[str, Write]] = [("created", create), ("facts", open_facts)]
    for number in range(ROUNDS):
        writes += traded(number)
        writes += [("halted", Books(halt)), ("torn", tear), ("active", Books(unhalt)), ("events", fill_the_events)]
    unhalted: tuple[str, Write] = ("active", Books(unhalt))
    return writes + [("halted", put_folder_for_halt), unhalted, ("halted", touch_halt), unhalted] * 3


class Book:
    """One folder of the campaign, and how far its writes came."""

    def __init__(self, folder: Path, writes: list[tuple[str, Write]], seed: str) -> None:
        self.folder = folder
        self.first = 0
        """The first write not said to be done."""
        self.hit, self.problems = Counter[str](), list[str]()
        self._writes = writes
        self._chance = random.Random(seed)

    @property
    def more(self) -> bool:
        """Tell whether there is something to do."""
        return self.first < len(self._writes)

    def turn(self) -> Turn:
        """Return a process that judges what was done, then does the rest, and dies at one of its next points."""
        most = self._chance.choice(MOST_POINTS if self.first else MOST_WHILE_MADE)
        left = iter(range(self._chance.randint(1, most) - 1))
        return Turn(partial(self.live, self._writes[self.first :]), lambda point: next(left, None) is None)

    def live(self, writes: list[tuple[str, Write]], child: Child) -> int:
        """Judge before the points are armed, with the eyes of another process than those that wrote; then write."""
        judged = self._judged(child) if self.first else None
        child.arm()
        for _, write in writes:
            if judged and isinstance(write, Books):
                write.into(judged)
                judged = None
            else:
                write(self.folder)
            child.tell(DONE)
        return 0

    def _judged(self, child: Child) -> SqliteLedger:
        """Judge the books and return them open, for whatever is written into them next."""
        names = [name for name, _ in (*self._writes, self._writes[0])]
        ledger = SqliteLedger.open(self.folder, ACCOUNT)
        for problem in unsound(ledger, names[: self.first], names[self.first]):
            child.tell(f"{BROKEN}{problem}")
        return ledger

    def note(self, end: Ended) -> None:
        """Take in how a turn ended."""
        self.problems += [word.removeprefix(BROKEN) for word in end.words if word.startswith(BROKEN)]
        self.hit.update(end.points[-1:] if end.code == DIED else ())
        self.first += end.words.count(DONE)
        if end.code not in (0, DIED):
            raise AssertionError(f"a write ended with {end.code}: {self._writes[self.first][0]}")


DONE, BROKEN = "done", "broken: "


def broken(folder: Path, done: list[str], doing: str) -> Iterator[str]:
    """Yield what is wrong with the books of a folder, once it was made."""
    if "created" in done:
        with closing(SqliteLedger.open(folder, ACCOUNT)) as ledger:
            yield from unsound(ledger, done, doing)


def unsound(ledger: SqliteLedger, done: list[str], doing: str) -> Iterator[str]:
    """Yield what was said to be done and is not there, and where journal and ledger part.

    While the end of a halt is being written, either state may be in force; ACTIVE only once the halt was put away.
    """
    if ledger.tallies.compare_journal().missing:
        yield "the ledger holds what its journal does not"
    if ledger.totals() != Totals.of(ledger.fills()):
        yield "the totals are not what the fills add up to"
    kept = {f"promised {record.intent.client_order_id}" for record in ledger.intents()}
    yield from (f"{what}, and it is not there" for what in done if what[:9] == "promised " and what not in kept)
    latches = [what for what in done if what in ("halted", "active")]
    halted = latches[-1:] == ["halted"] and doing != "active"
    active = ledger.trading_state().state is TradingState.ACTIVE
    if halted and active:
        yield "halted, and it is active"
    if active and list(ledger.file.folder.glob("HALT.*.taken")):
        yield "active, and its halt was not put away"


def left(folder: Path) -> Mapping[str, object]:
    """Return what the books hold at the end, but for how often a latch was written."""
    with closing(SqliteLedger.open(folder, ACCOUNT)) as ledger:
        return {
            "intents": ledger.intents(),
            "orders": ledger.orders(),
            "fills": ledger.fills(),
            "totals": ledger.totals(),
            "checkpoint": ledger.file.rows("SELECT at, fills, body FROM checkpoints WHERE account = ?"),
            "slots": ledger.slot_claims(DAY),
            "state": ledger.trading_state().state,
            "cash": (ledger.opening_cash(), ledger.cash_adjustments()),
            "activities": (ledger.booked(), ledger.acknowledged()),
            "best prices": [best_price(ledger, "flow", f"S{number}", NOW) for number in range(ROUNDS)],
            "compared": ledger.last_reconcile(),
        }


class Found(NamedTuple):
    """What a campaign did, and what it found."""

    hit: Counter[str]
    problems: list[str]


def campaign(root: Path, seed: int, folders: Iterable[int]) -> Found:
    """Kill through the script in each folder; a folder's number and the seed alone say where."""
    writes, found = script(), Found(Counter(), [])
    spared = Book(root / "spared", writes, "")
    spared.note(alone(partial(spared.live, writes), lambda point: False))
    expected = left(spared.folder)
    gc.collect()
    gc.freeze()
    for some in _some(folders, TOGETHER):
        books = {number: Book(root / f"folder{number}", writes, f"{seed}.{number}") for number in some}
        _play(list(books.values()))
        for number, book in books.items():
            found.hit.update(book.hit)
            kept = left(book.folder)
            book.problems += [f"{name} differ" for name in expected if kept[name] != expected[name]]
            found.problems.extend(f"folder{number}: {problem}" for problem in book.problems)
            shutil.rmtree(book.folder)
    return found


def _play(books: list[Book]) -> None:
    """Let processes live through the folders until everything is done in each."""
    while books:
        for book, end in zip(books, together([book.turn() for book in books]), strict=True):
            book.note(end)
        books = [book for book in books if book.more]


def _some(numbers: Iterable[int], count: int) -> Iterator[list[int]]:
    """Yield numbers, so many at once."""
    left = iter(numbers)
    return iter(lambda: list(islice(left, count)), [])


def main() -> int:
    """Play what the arguments say, print one JSON line, and tell whether everything held."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--folders", type=int, default=10)
    parser.add_argument("--only", type=int, help="kill through this folder alone")
    asked = parser.parse_args()
    memory = "/dev/shm" if os.access("/dev/shm", os.W_OK) else None  # noqa: S108 -- its own folder is made there
    with tempfile.TemporaryDirectory(prefix="stores-", dir=memory) as folder:
        folders = range(asked.folders) if asked.only is None else (asked.only,)
        found = campaign(Path(folder), asked.seed, folders)
    replay = f"python -m tests.faults.stores --seed {asked.seed} --only"
    shown = [f"{one} [{replay} {one.partition(':')[0][6:]}]" for one in dict.fromkeys(found.problems)]
    print(json.dumps({"hits": found.hit.total(), "hit": found.hit, "problems": shown}))
    return 1 if found.problems else 0


if __name__ == "__main__":
    sys.exit(main())
