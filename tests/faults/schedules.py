"""Seeded schedules: short trading days with troubles of network, venue, clocks, disk and people, all drawn from a seed.

    python -m tests.faults.schedules --count 2000
    python -m tests.faults.schedules --first 17 --count 1 --tell
    python -m tests.faults.schedules --count 0 --control retry-on-post --control no-second-look=140

It prints one JSON line: what was played, which troubles befell which ends, and every broken promise with the command
that replays its schedule. It ends with 1 if there was one. For each control the bot is then broken on purpose, and
schedules are played, from the first or from a later one, until one of them shows it.
"""

import argparse
import gc
import io
import itertools
import json
import os
import random
import sys
import tempfile
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing, contextmanager, redirect_stderr
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from decimal import Decimal
from functools import lru_cache
from pathlib import Path
from typing import Any

from commands.evaluate_exits import run as evaluate_exits
from commands.reconcile import run as reconcile
from commands.trade_once import run as trade_once
from commands.unhalt import run as unhalt
from tests.faults import auctioned, verdicts
from tests.faults.controls import CONTROLS
from tests.faults.ground import NARROW_USD, SYMBOLS, Ground, candidates, laid
from tests.faults.troubles import (
    CARDS,
    DATES,
    HALTS,
    LIMITS,
    RULES,
    SKEWS,
    Card,
    Fate,
    Trouble,
    drawn,
    fired,
    limit_of,
    met_by,
    placed,
    rules_of,
)
from tests.kit.bot.near import KILLED, Verb
from tests.kit.judge import account as judge
from tests.kit.judge import kept, pairs, protection
from tests.kit.venues import AT, REPLAY, RESTLESS, STRANGER
from tradebot.adapters.facts.recorded_passes import KeptPasses
from tradebot.adapters.ledger.ledger import SqliteLedger
from tradebot.adapters.memory.recorder import MemoryEvents
from tradebot.app.what_if_rules import rules_of_record
from tradebot.model.trading import ApprovalAnswer, TradingState
from tradebot.replaying.cycle_comparison import replay
from tradebot.replaying.passes import read_record
from tradebot.replaying.record_reader import Shared
from tradebot.replaying.record_writer import RecordError, digest_of

# The law that each pass that ended is decided again as it was, from what the bot itself kept of it.

REPLAY_RULES = lru_cache(maxsize=16)(rules_of_record)
"""The bots of a campaign have few configurations."""


def decided_otherwise(folder: Path, before: set[bytes]) -> Iterator[str | None]:
    """Yield, for each pass that a bot kept, why it isn't decided again as it was; None if it is.

    Records that are among those `before` were decided again as they were by this program, and aren't decided once more:
    each day begins with passes of the ground that it stands on.
    """
    shared = Shared()
    with closing(KeptPasses(folder, MemoryEvents(), 1)) as kept:
        for one in kept.passes():
            try:
                found = kept.record(one.id)
                assert found is not None, "it has just been listed"
                digest = digest_of(b"".join((one.id.encode(), *map(digest_of, (found[0], *found[1])))))
                if digest in before:
                    continue
                recorded = read_record(*found, shared)
                difference = replay(recorded, REPLAY_RULES(recorded.surroundings)).difference
            except RecordError as error:
                yield f"{one.id} can't be decided again: {error}"
            else:
                if difference is None:
                    before.add(digest)
                yield None if difference is None else f"{one.id} is decided otherwise again: {difference}"


ENDS = {
    0: "done",
    1: "error",
    2: "person",
    3: "shut",
    4: "keys",
    5: "away",
    6: "busy",
    10: "findings",
    KILLED: "killed",
}
WAITS: Sequence[Mapping[str, Any]] = (
    {"seconds": 1},
    *({"seconds": 61},) * 4,
    {"seconds": 200},
    {"seconds": 320},
    {"seconds": 660},
    {"to": "close"},
    {"to": "next_open"},
)
VERBS = ("entries", "entries", "exits", "exits", "compare", "unhalt")
BEGINS = {
    "entries": ("flat", "flat", "flat", "flat", "long", "resting"),
    "exits": ("long", "short", "paired", "leaving", "resting", "resting"),
    "compare": ("long", "paired", "resting", "resting"),
}
"""With which books a day begins, by its first verb."""
COMPETES = {
    "entries": ("room", "competing", "competing", "giving way", "gave way", "gave way"),
    "exits": ("competing", "competing", "giving way"),
    "compare": ("competing", "giving way", "gave way"),
}
"""The same where positions and candidates compete in an auction."""
AUCTIONS = 6
"""So does the bot of one in so many schedules, where the venue has a profile with one."""
SWAPS = 6
"""In each of these, so many more passes of entries come after all acts."""
SURELY = {"entries": "flat", "exits": "resting", "compare": "resting"}
"""With which books a verb has something to ask the venue for."""
UNTIL_ALL_HAS_ARRIVED_S = 13 * 60
LAST_MINUTES_S = 10 * 60
BETWEEN_EXITS_S = 360
"""Longer than an exit of unknown fate is only looked up."""
BETWEEN_LOOKS_S = 61
FLATTENED, HALTED = 0, 2
"""In one schedule of four, a person flattens after all trouble, and in another one only halts."""
PASSES = 2
MOST_TO_CATCH = 400
"""In so many schedules a bot that is broken on purpose must be seen."""
SHARE_OF_NARROW = 0.3
ASKS = 7
"""In one schedule of so many, a person is asked before each entry."""
ROUND = len(CARDS)


@dataclass(frozen=True)
class Act:
    """One run of a verb, what is to befall it, how it is typed again, and how much time passes then."""

    verb: str
    wanted: Mapping[str, str]
    troubles: tuple[Trouble, ...]
    clears: bool
    again: bool
    wait: Mapping[str, Any]


@dataclass(frozen=True)
class Script:
    """A day as it was drawn: with which books it begins, whether limits are narrow, and its acts."""

    begins: str
    narrow: bool
    acts: tuple[Act, ...]


def script(seed: int) -> Script:
    """Draw a schedule from its seed alone; the first trouble of its first act is not drawn but dealt.

    In every other round it comes alone, where it is met most surely, so that what it does by itself is seen too.
    """
    chance, (turn, card) = random.Random(f"schedule {seed}"), dealt(seed)
    alone = not turn % 2
    verbs = chance.choices(VERBS, k=chance.choice((1, 1, 1, 1, 1, 1, 2, 3)))
    verbs[0] = chance.choice(met_by(card.name))
    first = _act(chance, 0, verbs[0], 0 if alone else chance.choice((1, 1, 2, 2)), (card,))
    others = [_act(chance, number, verb, chance.choice((1, 2, 2, 3))) for number, verb in enumerate(verbs[1:], 1)]
    begins = SURELY[verbs[0]] if alone else chance.choice(BEGINS[verbs[0]])
    begins = RULES[card.name].begins or begins if card.name in RULES else begins
    return Script(begins, chance.random() < SHARE_OF_NARROW, (first, *others))


def asks(seed: int) -> bool:
    """Say whether a schedule's bot asks a person, unless its limits are narrow."""
    return not seed % ASKS


def dealt(seed: int) -> tuple[int, Card]:
    """Return the number of the round and the trouble whose turn it is: a round is dealt each of them once."""
    turn, place = divmod(seed - 1, ROUND)
    return turn, random.Random(f"round {turn}").sample(CARDS, ROUND)[place]


def _act(chance: random.Random, number: int, verb: str, amount: int, cards: Sequence[Card] = ()) -> Act:
    symbols = chance.sample(SYMBOLS, chance.choice((1, 2)))
    others = (drawn(chance, f"{number}.{place}", verb) for place in range(amount))
    return Act(
        verb=verb,
        wanted={symbol: chance.choice(("buy", "buy", "sell")) for symbol in symbols},
        troubles=(*(placed(chance, card, f"{number}.dealt", verb) for card in cards), *others),
        clears=chance.random() < 0.6,
        again=chance.random() < 0.7,
        wait=chance.choice(WAITS),
    )


def auctions(seed: int) -> bool:
    """Say whether a schedule's bot holds auctions, with every other piece of a shipped profile."""
    return bool(AT.profile) and not seed % AUCTIONS


def competing(seed: int, plan: Script) -> Script:
    """Return a schedule with books to which an auction matters."""
    begins = random.Random(f"auction {seed}").choice(COMPETES[plan.acts[0].verb])
    return replace(plan, begins=begins, narrow=False)


@dataclass
class Tally:
    """What was played, and what was found."""

    schedules: int = 0
    runs: int = 0
    approved: int = 0
    swaps: int = 0
    decided_again: int = 0
    equal: set[bytes] = field(default_factory=set)
    events: Counter[str] = field(default_factory=Counter)
    pairs: Counter[tuple[str, str]] = field(default_factory=Counter)
    problems: list[str] = field(default_factory=list)


class Schedule:
    """One day, played to its end and judged."""

    def __init__(self, ground: Ground, seed: int, tally: Tally, tell: bool = False, plan: Script | None = None) -> None:
        self.seed, self.tally, self._tell = seed, tally, tell
        self._script, self._auctions = plan or script(seed), plan is None and auctions(seed)
        if self._auctions:
            self._script = competing(seed, self._script)
        self._asks = asks(seed) and not (self._script.narrow or self._auctions)
        self._answers, self._approved = random.Random(f"answers {seed}"), Counter[str]()
        self.day = ground.day(self._script.begins, self._script.narrow, self._asks, self._auctions)
        self._scores = itertools.count(2)
        self._first = self.day.line + 1
        self._names: dict[str, str] = {}
        self._findings: Sequence[Any] = ()
        self._disturbed: list[datetime] = []
        self._misdated: list[datetime] = []
        self._befallen: list[datetime] = []

    def play(self) -> list[str]:
        """Play the acts, then what comes after trouble; return what was broken."""
        for act in self._script.acts:
            self._say(f"{act.verb} {dict(act.wanted)} {act.troubles}")
            code = self._troubled(act)
            if act.again and code in (KILLED, 1, 5):
                self._say(f"again: {self._run(act.verb, act.wanted)}")
            self.day.jump(act.wait)
        if self._auctions:
            self._trade_on()
        self._recover()
        events = list(self.day.events())
        account = judge.accounts(events)[self.day.number]
        self.day.problems += verdicts.doubled(events, account)
        self.day.problems += pairs.broken(events)
        self.day.problems += verdicts.exits_beside(events)
        self.day.problems += verdicts.above_limit(events, NARROW_USD, self._first) if self._script.narrow else ()
        self.day.problems += verdicts.unapproved(events, self._approved, self._first) if self._asks else ()
        if self._auctions:
            self.day.problems += auctioned.broken(events)
            self.tally.swaps += auctioned.swaps(events)
        self.day.problems += verdicts.halted(events, self.day.shut)
        sessions = self.day.exchange.market.calendar
        self.day.problems += verdicts.outside(events, sessions)
        told = events, self.day.number, self.day.folder, sessions
        self.day.problems += protection.broken(*told, disturbed=self._disturbed, unable=self._misdated)
        self.day.problems += kept.broken(events, self.day.number, self._befallen)
        self.day.close()
        again = list(decided_otherwise(self.day.folder, self.tally.equal))
        self.day.problems += filter(None, again)
        self.tally.decided_again += len(again)
        self.tally.schedules += 1
        self.tally.events.update(event["event"] for event in events)
        return self.day.problems

    def _trade_on(self) -> None:
        """Let candidates in each symbol by turns be worth more than what is held, and the bot swap."""
        first = self.seed // AUCTIONS % 2
        self._run("unhalt", {})
        for number in range(SWAPS):
            side = ("buy", "sell")[self.seed // AUCTIONS // 2 % 2]
            code = self._run("entries", {SYMBOLS[(first + number // 2) % 2]: side})
            self._say(f"traded on: {ENDS.get(code, code)} at {self.day.now:%d %H:%M:%S}")
            self.day.tick(seconds=121)
            self._run("exits", {})

    def _troubled(self, act: Act) -> int:
        """Run a verb in its troubles, and count how each that befell it ended."""
        if self._asks and act.verb == "entries":
            self._ask(act.wanted)
        self._names |= {rule["name"]: trouble.name for trouble in act.troubles for rule in trouble.rules}
        rules = rules_of(act.troubles)
        if any(trouble.name in RESTLESS for trouble in act.troubles):
            self.day.order_elsewhere(STRANGER)
        if rules:
            self.day.arm(rules)
        before, fate = fired(self.day), Fate(self.day, act.troubles)
        self.day.machine.ahead = sum((DATES[t.name] for t in act.troubles if t.name in DATES), timedelta(0))
        code = self._run(act.verb, act.wanted, fate, act.troubles)
        befell = {self._names[name] for name in fired(self.day) - before} | fate.happened
        befell |= {trouble.name for trouble in act.troubles if trouble.name in (*LIMITS, *DATES)}
        self._disturbed += [self.day.now] if befell else []
        self._befallen += [self.day.now] if befell - set(HALTS) else []
        self._misdated += [self.day.now + SKEWS[name] for name in befell if name in SKEWS]
        end = ENDS.get(code, str(code))
        self.tally.pairs.update((name, end) for name in befell)
        self._say(f"{end} at {self.day.now:%d %H:%M:%S}, befallen by {sorted(befell)}")
        if act.clears and rules:
            self.day.calm()
        return code

    def _ask(self, wanted: Mapping[str, str]) -> None:
        """Let the bot ask for what it wants, and a person say yes, mostly, before the pass that may send it."""
        self._run("entries", wanted)
        self.day.tick(seconds=1)
        answer = self._answers.choice(
            (ApprovalAnswer.YES, ApprovalAnswer.YES, ApprovalAnswer.YES, ApprovalAnswer.NO, None)
        )

        def answers(app: Any) -> int:
            for request in app.approvals.newest():
                if answer and request.waits(app.now()):
                    app.approvals.answer(request.id, answer, "schedule", app.now())
                    self._approved[request.symbol] += answer is ApprovalAnswer.YES
                    self.tally.approved += answer is ApprovalAnswer.YES
            return 0

        self._say(f"asked, and answered {answer}: {self.day.run(answers)}")

    def _run(
        self, verb: str, wanted: Mapping[str, str], fate: Fate | None = None, troubles: Sequence[Trouble] = ()
    ) -> int:
        self.tally.runs += 1
        limit = limit_of(self.day, troubles)
        return self.day.run(self._verb(verb, wanted), fate, limit, ends_halt=verb == "unhalt")

    def _verb(self, verb: str, wanted: Mapping[str, str]) -> Verb:
        if verb == "entries" and self._auctions:
            return auctioned.entries(wanted, next(self._scores))
        if verb == "entries":
            path = candidates(self.day.folder.parent, wanted)
            return lambda app: int(trade_once.run(app, by="schedule", candidates=path).exit_code)
        if verb == "exits":
            return lambda app: int(evaluate_exits.run(app, by="schedule").exit_code)
        if verb == "unhalt":
            tail = self.day.number[-4:]
            return lambda app: int(unhalt.run(app, by="schedule", reason="over", confirmed=tail).exit_code)
        return self._compare

    def _compare(self, app: Any) -> int:
        report = reconcile.run(app, by="schedule")
        self._findings = report.data.findings
        return int(report.exit_code)

    def _recover(self) -> None:
        """Let all trouble end, compare once, and let two passes of exits go by; judge books and protection."""
        self.day.calm()
        self.day.unasked("resume")
        self.day.machine.ahead = timedelta(0)
        self.day.tick(seconds=UNTIL_ALL_HAS_ARRIVED_S)
        trading = self.day.left_s > LAST_MINUTES_S or self.day.jump({"to": "next_open"})
        self.day.tick(seconds=61 + AT.tells_after_s)
        code = self._run("compare", {})
        self._say(f"compared: {ENDS.get(code, code)} at {self.day.now:%d %H:%M:%S}, {self._findings}")
        if code not in (0, 10):
            self.day.problems.append(f"after all trouble a comparison ended with {code}")
            return
        self._judge_books()
        if trading and any(self._held().values()):
            if self.seed % 4 == HALTED:
                self._halt()
            self._leave()

    def _held(self) -> Mapping[str, Decimal]:
        return {e["symbol"]: Decimal(e["position"]) for e in self.day.events() if e["event"] == "fill"}

    def _judge_books(self) -> None:
        account = judge.accounts(self.day.events())[self.day.number]
        with closing(SqliteLedger.open(self.day.folder, read_only=True)) as ledger:
            self.day.problems += judge.lost_fills(account, ledger)
            self.day.problems += verdicts.untold(account, ledger)
            ledger.tallies.compare_journal()
        self.day.problems += verdicts.unexplained(self._findings, account, self.day.events())

    def _halt(self) -> None:
        """Let a person halt the bot, and passes of exits go by, in which everything that rests stays."""
        self.day.halt(TradingState.REDUCE_ONLY)
        for number in range(PASSES):
            self.day.tick(seconds=BETWEEN_LOOKS_S * number)
            self._exit_calmly()

    def _leave(self) -> None:
        """Let passes of exits go by while a position lacks one that it should have; none may lack it after two."""
        flat = self.seed % 4 == FLATTENED
        if flat:
            self.day.halt(TradingState.FLATTEN)
        for number in range(PASSES):
            if not self._bare(flat):
                return
            self.day.tick(seconds=BETWEEN_EXITS_S * number)
            self._exit_calmly()
        self.day.problems += self._bare(flat)

    def _exit_calmly(self) -> None:
        code = self._run("exits", {})
        if code != 0:
            self.day.problems.append(f"after all trouble a pass of exits ended with {code}")

    def _bare(self, flat: bool) -> list[str]:
        return list(verdicts.unprotected(self.day, list(self.day.events()), flat))

    def _say(self, line: str) -> None:
        if self._tell:
            print(line, file=sys.__stderr__)


def played(ground: Ground, seeds: Sequence[int], tell: bool = False, *, until_found: bool = False) -> Tally:
    """Play schedules, each on ground made again."""
    tally = Tally()
    for seed in seeds:
        found = Schedule(ground, seed, tally, tell).play()
        replay = f"{REPLAY}python -m tests.faults.schedules --first {seed} --count 1 --tell"
        tally.problems += [f"{problem} [{replay}]" for problem in dict.fromkeys(found)]
        if found and until_found:
            break
        if seed % 50 == 0:
            gc.collect()
    return tally


def caught(ground: Ground, control: str, seeds: Sequence[int]) -> Tally:
    """Play schedules in a child whose bot is broken on purpose, until that was seen."""
    reader, writer = os.pipe()
    child = os.fork()
    if not child:
        try:
            CONTROLS[control]()
            tally = played(ground, seeds, until_found=True)
            os.write(writer, json.dumps([tally.schedules, tally.problems[:3]]).encode())
        finally:
            if sys.exc_info()[0]:
                sys.__excepthook__(*sys.exc_info())
            os._exit(0)
    os.close(writer)
    with os.fdopen(reader, "rb") as pipe:
        schedules, problems = json.loads(pipe.read())
    os.waitpid(child, 0)
    return Tally(schedules, problems=problems)


@contextmanager
def standing() -> Iterator[Ground]:
    """Yield ground in memory where there is such a place, with this process quiet and warm."""
    memory = "/dev/shm" if os.access("/dev/shm", os.W_OK) else None  # noqa: S108 -- its own folder is made there
    with (
        redirect_stderr(io.StringIO()),
        tempfile.TemporaryDirectory(prefix="schedules-", dir=memory) as folder,
        laid(Path(folder)) as ground,
    ):
        played(ground, range(-3, 0))
        gc.collect()
        gc.freeze()
        gc.disable()
        yield ground


def _control(text: str) -> tuple[str, int]:
    """Return the name of a control, and the first schedule to play with it, 1 if none is named."""
    name, _, first = text.partition("=")
    if name not in CONTROLS:
        raise argparse.ArgumentTypeError(f"{name} is none of {', '.join(CONTROLS)}")
    return name, int(first or 1)


def main() -> int:
    """Play what the arguments say, print one JSON line, and tell whether every promise held."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--first", type=int, default=1, help="the seed of the first schedule")
    parser.add_argument("--count", type=int, default=100, help="how many schedules")
    parser.add_argument(
        "--control", action="append", default=[], type=_control, help="break the bot in this way; again for another way"
    )
    parser.add_argument("--again", type=int, action="append", default=[], help="play this one too")
    parser.add_argument("--tell", action="store_true", help="say what happens")
    asked = parser.parse_args()
    with standing() as ground:
        tally = played(ground, [*range(asked.first, asked.first + asked.count), *asked.again], asked.tell)
        broken = {name: caught(ground, name, range(first, first + MOST_TO_CATCH)) for name, first in asked.control}
    pairs = [[*pair, count] for pair, count in sorted(tally.pairs.items())]
    told = {
        "schedules": tally.schedules,
        "runs": tally.runs,
        "approved": tally.approved,
        "swaps": tally.swaps,
        "decided_again": tally.decided_again,
        "events": tally.events,
        "pairs": pairs,
    }
    told["protection"] = protection.TOTAL.shown()
    seen = {name: found.problems for name, found in broken.items()}
    print(json.dumps({**told, "problems": tally.problems, "caught": seen}))
    return 1 if tally.problems or not all(seen.values()) else 0


if __name__ == "__main__":
    sys.exit(main())
