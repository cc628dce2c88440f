"""The campaign of damaged pages: every page of a bot's stores, damaged in five ways, and every verb on it.

The bot has traded for three passes and holds positions with stops at the exchange. A verb answers rightly if it calls
the damage by its name, or answers as it would on sound books; it never calls the damage a bug of ours, and never sends
anything on a damaged ledger. After each damage to the books, `recover` must bring back what the bot held.
"""

import argparse
import io
import json
import os
import random
import re
import shutil
import signal
import sys
import tempfile
from collections import Counter, defaultdict
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from contextlib import closing, redirect_stderr, redirect_stdout
from itertools import chain
from pathlib import Path
from typing import NamedTuple

import requests

from papervenue import process
from tests.kit.bot.folder import KEYS, blank, made
from tradebot.__main__ import main as tradebot
from tradebot.adapters.ledger.ledger import SqliteLedger
from tradebot.adapters.state.state_folder import FACTS, LEDGER, MARKER, REPLIES
from tradebot.errors import TradebotError

PAGE, SMEAR, SMEARED = 4096, 904, 4000
Damage = Callable[[bytes, int], bytes]


def zeroed(whole: bytes, at: int) -> bytes:
    """Return a store with a page of zeros."""
    return whole[:at] + bytes(len(whole[at : at + PAGE])) + whole[at + PAGE :]


def filled(whole: bytes, at: int) -> bytes:
    """Return a store with a page of ones."""
    return whole[:at] + b"\xff" * len(whole[at : at + PAGE]) + whole[at + PAGE :]


def swapped(whole: bytes, at: int) -> bytes:
    """Return a store in which a page and the next one have changed places; the last one changes with the first."""
    other = at + PAGE if at + PAGE < len(whole) else 0
    first, second = sorted((at, other))
    pages = whole[first : first + PAGE], whole[second : second + PAGE]
    return whole[:first] + pages[1] + whole[first + PAGE : second] + pages[0] + whole[second + PAGE :]


def smeared(whole: bytes, at: int) -> bytes:
    """Return a store with zeros from within a page to within the next: the first one keeps its header."""
    first, last = min(at + SMEAR, len(whole)), min(at + SMEAR + SMEARED, len(whole))
    return whole[:first] + bytes(last - first) + whole[last:]


def cut(whole: bytes, at: int) -> bytes:
    """Return the beginning of a store, up to a page."""
    return whole[:at]


DAMAGES: Mapping[str, Damage] = {each.__name__: each for each in (zeroed, filled, swapped, smeared, cut)}


class Said(NamedTuple):
    """How a command line ended, with what differs from run to run replaced."""

    code: int
    out: str
    err: str


def says(folder: Path, words: str) -> Said:
    """Run a command line in this process."""
    out, err = io.StringIO(), io.StringIO()
    before = signal.getsignal(signal.SIGTERM)
    try:
        with redirect_stdout(out), redirect_stderr(err):
            code = tradebot([*words.split(), "--state-dir", str(folder)])
    finally:
        signal.signal(signal.SIGTERM, before)
    return Said(code, blank(out.getvalue(), folder), blank(err.getvalue(), folder))


BEFORE = (
    *("exchange tick close", "exchange tick next_open", "exchange tick 30m", "fetch-flow", "reconcile", "trade-once"),
    *("exchange tick 5m", "evaluate-exits", "reconcile", "trade-once --force-slot", "exchange tick 5m", "fetch-flow"),
    *("trade-once --force-slot", "exchange tick 5m", "reconcile", "evaluate-exits --force-slot", "backup"),
)
"""What the bot does before the damage: three passes of entries, and what goes with them."""
COMPARED = ("positions", "orders", "fills", "pnl", "trades", "why-no-orders", "journal verify", "report")
"""Verbs whose answer depends on nothing but the stores, so that it can be held against the one on sound stores."""
LOOKS = (
    *COMPARED,
    *("status", "audit", "doctor", "health", "schedule", "events", "signals", "backup --list", "status --stores"),
    "learn",
)
"""Verbs that only look."""
WORKS: Mapping[str, tuple[str, ...]] = {
    LEDGER: (
        *("trade-once --force-slot", "evaluate-exits --force-slot", "reconcile", "score", "fetch-flow --force-slot"),
        *("flatten AMZN --confirm AMZN", "backup", "halt", "restore BACKUP --confirm TAIL", "recover"),
    ),
    FACTS: ("evaluate-exits --force-slot", "score", "trade-once --force-slot --dry-run", "fetch-flow --force-slot"),
    REPLIES: ("evaluate-exits --force-slot", "score", "fetch-flow --force-slot"),
    MARKER: ("trade-once --force-slot", "evaluate-exits --force-slot", "recover"),
}
"""Verbs that do something, by the store that is damaged; each finds the damage as the others left none."""
CACHES = (FACTS, REPLIES)
EXITS = "evaluate-exits --force-slot"
REBUILDS = ("recover", "restore BACKUP --confirm TAIL")
REPAIRS = (*REBUILDS, "halt")
"""Verbs that do their work whatever is damaged."""
EVERY = frozenset((*LOOKS, *chain.from_iterable(WORKS.values())))
RIGHT, BUG, UNTOLD, SENT, STOPPED, LOST = "right", "called a bug", "untold", "sent something", "stopped an exit", "lost"


class Case(NamedTuple):
    """One damage: which store, which page, and what became of it."""

    store: str
    page: int
    how: str

    def __str__(self) -> str:
        return f"{self.store}:{self.page}:{self.how}"

    @classmethod
    def named(cls, text: str) -> "Case":
        """Return the case of this name."""
        store, page, how = text.split(":")
        return cls(store, int(page), how)


class Ground:
    """A bot's folder, and a copy of it from before any damage."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.url = process.ensure_running(folder / "exchange").url
        for words in BEFORE:
            said = says(folder, words)
            assert said.code in (0, 10), (words, said)
        self._kept = folder.with_name("kept")
        shutil.copytree(folder, self._kept, ignore=shutil.ignore_patterns("exchange"))
        self.backup = next(path.name for path in (folder / "backups").iterdir() if path.name != "parts")
        self.tail = json.loads((folder / MARKER).read_text())["account_number"][-4:]
        self.answers = {verb: says(folder, verb) for verb in LOOKS}
        self.held, self.stops = held(folder), self.working()
        assert self.held, "the bot holds nothing"

    def restore(self) -> None:
        """Put everything back as it was before any damage, but for the exchange."""
        for path in self.folder.iterdir():
            if path.name != "exchange":
                shutil.rmtree(path) if path.is_dir() else path.unlink()
        shutil.copytree(self._kept, self.folder, dirs_exist_ok=True)

    def damage(self, case: Case) -> bool:
        """Damage a store; return False if nothing came of it, as where a page of the books held nothing."""
        self.restore()
        path = self.folder / case.store
        whole = path.read_bytes()
        broken = DAMAGES[case.how](whole, case.page * PAGE)
        path.write_bytes(broken)
        return broken != whole and not (case.store == LEDGER and is_sound(self.folder))

    def working(self) -> frozenset[str]:
        """Return the orders that work at the exchange."""
        answer = requests.get(f"{self.url}/v2/orders", headers=KEYS, timeout=60).json()
        return frozenset(f"{order['client_order_id']} {order['status']}" for order in answer)

    def asked(self) -> int:
        """Return how many requests for a change of orders the exchange has had."""
        text = (self.folder / "exchange" / "log.jsonl").read_text()
        return sum(
            event["event"] == "request" and event["path"].startswith("/v2/")
            for event in map(json.loads, text.splitlines())
        )


def held(folder: Path) -> Mapping[object, object]:
    """Return what sound books hold, with the ids of their fills."""
    with closing(SqliteLedger.open(folder, read_only=True)) as books:
        books.file.check_pages()
        return {"positions": books.totals().positions, "fills": books.fills(), "cash": books.cash_adjustments()}


def is_sound(folder: Path) -> bool:
    """Return True if the books pass their check, as after damage to a page that holds nothing."""
    try:
        with closing(SqliteLedger.open(folder, read_only=True)) as books:
            books.file.check_pages()
            books.file.check_journal()
    except TradebotError:
        return False
    return True


NAMED = re.compile(r"damaged|are lost|existed|can't be read|is not a tradebot|have the tables|recover|moved aside")
"""How an answer calls damage by its name."""


def judge(ground: Ground, case: Case, verb: str) -> str:
    """Run a verb on damaged stores, and return what is wrong with its answer, or RIGHT."""
    said = says(ground.folder, verb.replace("BACKUP", ground.backup).replace("TAIL", ground.tail))
    text = said.out + said.err
    if "this is a bug" in text or "Traceback" in text:
        return f"{BUG}: {text[-160:]}"
    if case.store in CACHES and verb == EXITS and said.code:
        return f"{STOPPED}: {text}"
    told = NAMED.search(text) or verb in REPAIRS
    if verb in COMPARED and said != ground.answers[verb] and not told:
        return f"{UNTOLD}: exit {said.code}, {text}"
    if case.store in (LEDGER, MARKER) and verb not in LOOKS and not told:
        return f"{UNTOLD}: exit {said.code}, {text}"
    return RIGHT


def play(ground: Ground, case: Case, verbs: Collection[str]) -> Iterator[tuple[str, str]]:
    """Do the damage for each verb that does something, and once for those that look; yield each verb's verdict."""
    if not ground.damage(case):
        return
    for verb in [verb for verb in LOOKS if verb in verbs]:
        yield verb, judge(ground, case, verb)
        if case.store in CACHES:
            # A damaged cache is moved aside by the first verb that reads it.
            ground.damage(case)
    before = ground.asked()
    for verb in [verb for verb in WORKS[case.store] if verb in verbs]:
        ground.damage(case)
        verdict = judge(ground, case, verb)
        if verdict == RIGHT and (ground.asked() != before or ground.working() != ground.stops):
            verdict = SENT
        if verdict == RIGHT and verb in REBUILDS and case.store == LEDGER:
            verdict = recovered(ground)
        yield verb, verdict


def recovered(ground: Ground) -> str:
    """Return LOST if rebuilt books don't hold what the bot held."""
    try:
        return RIGHT if held(ground.folder) == ground.held else LOST
    except TradebotError as error:
        return f"{LOST}: {error.message}"


def campaign(
    cases: Iterable[Case] | None = None, verbs: Collection[str] = EVERY, *, share: float = 1, seed: int = 1
) -> Mapping[str, Counter[str]]:
    """Play cases, or a share of all; return how often each verb got each verdict, and print what was wrong."""
    memory = "/dev/shm" if os.access("/dev/shm", os.W_OK) else None  # noqa: S108 -- its own folder is made there
    found, chance = defaultdict[str, Counter[str]](Counter), random.Random(seed)
    with tempfile.TemporaryDirectory(prefix="pages-", dir=memory) as place, made(Path(place) / "state") as folder:
        ground = Ground(folder)
        for case in all_cases(folder) if cases is None else cases:
            if chance.random() >= share:
                continue
            for verb, verdict in play(ground, case, verbs):
                found[verb][verdict.partition(":")[0]] += 1
                if verdict != RIGHT:
                    print(f"{case} {verb}: {verdict}", flush=True)
    return found


def all_cases(folder: Path) -> Iterator[Case]:
    """Yield every damage to every page of every store of a bot."""
    for store in WORKS:
        pages = -(-(folder / store).stat().st_size // PAGE)
        yield from (Case(store, page, how) for page in range(pages) for how in DAMAGES)


def main() -> int:
    """Play what the arguments say, print one JSON line, and tell whether every answer was right."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--share", type=float, default=1, help="what part of all cases is drawn")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--only", nargs="*", help="cases such as ledger.db:1:smeared")
    asked = parser.parse_args()
    os.environ["COLUMNS"] = "500"
    cases = None if asked.only is None else [Case.named(one) for one in asked.only]
    found = campaign(cases, share=asked.share, seed=asked.seed)
    print(json.dumps({"total": sum(found.values(), Counter()), "verbs": found}))
    return 1 if any(counts.keys() - {RIGHT} for counts in found.values()) else 0


if __name__ == "__main__":
    sys.exit(main())
