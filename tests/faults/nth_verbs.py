"""Fail the n-th call of every verb of the command line, for n = 1, 2, … until none is left.

One bot with its own exchange; each verb runs in a forked child, as a person types it, and its n-th call fails:
inside SQLite, on a file of the bot, or to the venue. It must end with a clear code and a sentence. Then it is typed
again, and must end as it does where nothing fails. At the end the exchange's log is asked what was broken.
What a verb has changed is taken back before its next turn, unless it is the exchange that has changed.

Where all is taken back, calls that are alike need not all fail: of those from one line of the code, reached by the
same callers, the first and the last fail, and one in between that the seed draws. In a row of them, as the pages of a
transaction are, it matters which begins it, which ends it, and which lies within: each is a kind by itself.
"""

import argparse
import json
import os
import random
import shutil
import sys
import tempfile
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from importlib import import_module
from io import StringIO
from itertools import groupby
from operator import itemgetter
from pathlib import Path
from typing import Any, NamedTuple

from tests.faults.nth import NEVER, meet_requests, unclear
from tests.faults.typed import Typist, broken_promises, sat_down
from tests.kit.bot.stage import alone
from tests.kit.fakes.calls import Call, Failing, watch
from tradebot.__main__ import main as tradebot
from tradebot.adapters.recovery import integrity_check
from tradebot.adapters.state import state_folder
from tradebot.errors import TradebotError

SYMBOLS = ("AAPL", "MSFT", "JPM")
"""So few that it costs little, and so many that loops over them have a first one, a last one, and one in between."""
KEPT = shutil.ignore_patterns("exchange")
MOST_TURNS = 300
"""How often a bot is used whose exchange goes on: its books grow, and with them the calls that read them."""


class Line(NamedTuple):
    """One verb as it is typed, and what comes before it; `trades` where the exchange is another one afterwards."""

    words: tuple[str, ...]
    before: tuple[Callable[[Typist], object], ...] = ()
    trades: bool = False


def typed(*words: str) -> Callable[[Typist], object]:
    return lambda typist: typist.must(*words)


def tail(folder: Path) -> str:
    """Return the last four characters of the account's number."""
    return str(json.loads((folder / "state.id").read_text())["account_number"])[-4:]


def cut(typist: Typist) -> None:
    """Lose the second half of the ledger."""
    path = typist.folder / "ledger.db"
    os.truncate(path, path.stat().st_size // 2)


LOOKS = (
    "status", "health", "positions", "orders", "fills", "events", "schedule", "doctor", "audit", "why-no-orders",
    "why-no-orders AAPL", "live status", "config show", "config check", "strategy list", "journal verify",
    "backup --list", "exchange status", "score --explain AAPL", "trade-once --dry-run", "evaluate-exits --dry-run",
)  # fmt: skip
LINES = (
    *(Line(tuple(words.split())) for words in LOOKS),
    Line(("fetch-flow", "--force-slot")),
    Line(("score",)),
    Line(("reconcile",)),
    Line(("backup",)),
    Line(("halt",)),
    Line(("unhalt", "--confirm", "TAIL"), (typed("halt"),)),
    Line(("recover",), (cut,)),
    Line(("trade-once", "--force-slot"), trades=True),
    Line(("evaluate-exits", "--force-slot"), trades=True),
    Line(("flatten", "--all", "--confirm", "ALL"), trades=True),
    Line(("halt", "--flatten"), trades=True),
    Line(("exchange", "tick", "1m"), trades=True),
)
"""Every verb that ends by itself and asks nobody: the others are made of these."""


class Ended(NamedTuple):
    """How a verb ended: its code, what it said, which call failed, and, if noted, the place of each; its imports."""

    code: int
    said: str
    call: str | None
    places: list[int]
    imported: list[str]


class Noting(Failing):
    """Fails nothing, and notes where each call comes from: what is called on which path, by which lines of the code."""

    def __init__(self) -> None:
        super().__init__(NEVER, lasting=False, each=True)
        self.places: list[int] = []

    def before(self, call: Call) -> int:
        frame, lines = sys._getframe(), list[object]()
        while frame.f_back:
            lines.append((frame.f_code, frame.f_lineno))
            frame = frame.f_back
        self.places.append(hash((call.kind, call.name, call.path, *lines)))
        return super().before(call)


def chosen(places: list[int], chance: random.Random) -> list[int]:
    """Return the numbers of the calls to fail: of those that are alike the first, the last, and one in between."""
    alike = defaultdict[tuple[int, bool, bool], list[int]](list)
    for place, row in groupby(enumerate(places, 1), key=itemgetter(1)):
        numbers = [number for number, _ in row]
        for number in numbers:
            alike[place, number == numbers[0], number == numbers[-1]].append(number)
    return sorted({n for met in alike.values() for n in (met[0], chance.choice(met[1:-1] or met), met[-1])})


def run(folder: Path, words: tuple[str, ...], watcher: Failing) -> Ended:
    """Type a verb in a child whose calls the watcher meets."""
    path = folder.with_name("told")
    alone(lambda child: _type(folder, words, watcher, path), lambda point: False)
    return Ended(*json.loads(path.read_text()))


def _type(folder: Path, words: tuple[str, ...], watcher: Failing, path: Path) -> int:
    said, known = StringIO(), {*sys.modules}
    watch(folder, watcher)
    meet_requests(watcher)
    with redirect_stdout(said), redirect_stderr(said):
        code = tradebot([*words, "--state-dir", str(folder)])
    call = watcher.failed and f"{watcher.failed.kind} {watcher.failed.name} {watcher.failed.path}"
    places = watcher.places if isinstance(watcher, Noting) else []
    # Compiled libraries add modules of their own making, which nobody can import by name.
    imported = [name for name in {*sys.modules} - known if getattr(sys.modules[name], "__spec__", None)]
    path.write_text(json.dumps([code, said.getvalue(), call, places, imported]))
    return 0


class Turns:
    """The turns of one verb with one bot, from the `nth` call on; then `nth` is the next, or None after the last."""

    def __init__(self, typist: Typist, line: Line, nth: int, chance: random.Random, *, lasting: bool) -> None:
        self.hit = 0
        self.nth: int | None = nth
        self.words = tuple(tail(typist.folder) if word == "TAIL" else word for word in line.words)
        self._typist = typist
        self._line = line
        self._chance = chance
        self._lasting = lasting
        self._first, self._kept = (typist.folder.with_name(name) for name in ("first", "kept"))

    def play(self) -> Iterator[str]:
        """Fail each call in its turn, and yield what was not as it must be."""
        self._keep(self._first)
        for step in self._line.before:
            step(self._typist)
        self._keep(self._kept)
        usual = self._run(Noting())
        # A person's process imports them each time; here the turns would spend a third of their time on it.
        for name in usual.imported:
            import_module(name)
        first, self.nth = self.nth or 1, None
        whole = range(first, first + MOST_TURNS)
        for number in whole if self._line.trades else chosen(usual.places, self._chance):
            ended = self._run(Failing(number, lasting=self._lasting, each=True))
            if not ended.call:
                yield from () if self._line.trades else [f"call {number} was made before, and no more"]
                break
            self.hit += 1
            yield from (f"call {number}, {ended.call}: {problem}" for problem in self._after(ended, usual))
        else:
            self.nth = whole.stop if self._line.trades else None
        self._put_back(self._first)

    def _keep(self, place: Path) -> None:
        """Keep the bot's folder as it is now."""
        shutil.rmtree(place, ignore_errors=True)
        shutil.copytree(self._typist.folder, place, ignore=KEPT)

    def _run(self, watcher: Failing) -> Ended:
        self._put_back(self._kept)
        return run(self._typist.folder, self.words, watcher)

    def _again(self) -> Ended:
        return run(self._typist.folder, self.words, Failing(NEVER, lasting=False, each=True))

    def _after(self, ended: Ended, usual: Ended) -> Iterator[str]:
        """Yield what is unclear about an end, and whether the next run ends otherwise than usual."""
        yield from unclear(ended.code, ended.said)
        again = self._again()
        if self._line.trades and again.code not in (0, usual.code):
            # Whether the venue knows an order can only be told after a while.
            self._typist.tick("6m")
            again = self._again()
        if again.code not in (0, usual.code):
            yield f"the run after it ended with {again.code}, not {usual.code}: {again.said!r}"
        try:
            integrity_check.problem(state_folder.open_state(self._typist.folder, {}))
        except TradebotError as error:
            yield error.message

    def _put_back(self, kept: Path) -> None:
        """Put the bot's folder back as it was kept, but for its exchange, which cannot go back."""
        if self._line.trades:
            return
        for entry in self._typist.folder.iterdir():
            if entry.name != "exchange":
                shutil.rmtree(entry) if entry.is_dir() else entry.unlink()
        shutil.copytree(kept, self._typist.folder, dirs_exist_ok=True)


def played(lines: list[Line], seed: int, *, lasting: bool) -> dict[str, Any]:
    """Play all the turns of these verbs; return what was done, and what was broken."""
    chance = random.Random(seed)
    hit, problems = Counter[str](), list[str]()
    for line in lines:
        words = " ".join(line.words)
        nth: int | None = 1
        while nth is not None:
            with tempfile.TemporaryDirectory(prefix="verbs-") as root, sat_down_in(Path(root)) as typist:
                turns = Turns(typist, line, nth, chance, lasting=lasting)
                problems += [f"{words}: {problem}" for problem in turns.play()]
                hit[words], nth = hit[words] + turns.hit, turns.nth
                try:
                    problems += [f"{words}, at the end: {problem}" for problem in broken_promises(typist)]
                except AssertionError as failed:
                    problems.append(f"{words}, at the end: {failed}")
            print(f"{words}: {hit[words]} calls failed", file=sys.stderr, flush=True)
    return {"failed": hit, "problems": problems}


@contextmanager
def sat_down_in(root: Path) -> Iterator[Typist]:
    """Yield a typist whose bot holds a few positions."""
    with sat_down(root / "state", SYMBOLS) as typist:
        typist.must(*typist.entries(0))
        typist.tick("2m")
        typist.must("evaluate-exits")
        yield typist


def main() -> int:
    """Play what the arguments say, print one JSON line, and tell whether everything held."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--only", action="append", help="play this verb; again for another one")
    parser.add_argument("--lasting", action="store_true", help="let all calls of the kind fail from then on")
    parser.add_argument("--seed", type=int, default=0, help="draw other calls among those that are alike")
    asked = parser.parse_args()
    lines = [line for line in LINES if not asked.only or " ".join(line.words) in asked.only]
    found = played(lines, asked.seed, lasting=asked.lasting)
    print(json.dumps(found))
    return 1 if found["problems"] else 0


if __name__ == "__main__":
    sys.exit(main())
