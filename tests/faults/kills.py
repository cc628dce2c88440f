"""The campaign of kills: SIGKILL at every named point of a trading day in small, and a recovery each time.

Many bots play one script at one exchange. Each run of each verb is killed at points drawn from the seed until one
lives; the first bot is never killed, and the others are held against it. `play.py` runs it as its own program.
"""

import json
import random
import sys
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from commands.evaluate_exits import run as evaluate_exits
from commands.reconcile import run as reconcile
from commands.trade_once import run as trade_once
from commands.unhalt import run as unhalt
from tests.faults.controls import CONTROLS
from tests.kit.bot.near import Verb
from tests.kit.bot.stage import DIED, End, Fatal, Run, Stage, StageBot, run_all
from tests.kit.judge import account as judge
from tests.kit.judge import kept, pairs, protection
from tests.kit.venues import AT
from tradebot.adapters.ledger.ledger import SqliteLedger
from tradebot.app.wiring import App
from tradebot.model.position import FOREIGN
from tradebot.model.struct_tools import replace
from tradebot.model.totals import Totals
from tradebot.model.trading import TradingState, TradingStateRecord

REFERENCE = "spared"
NEVER = datetime.min.replace(tzinfo=UTC)
MOST_IN_A_ROW = 12
"""A verb that was killed so often is let through, so that every day comes to its end."""
EVERYWHERE = ("http.", "lock.")
RARELY, OFTEN = 1, 3
"""Points that every run reaches are drawn less often than those around what is written, sent and renamed."""
ENDS = {0, 3, 10}
"""What a verb of the script may end with: done, refused by the trading state, findings."""

A, B, C, D, E, F = AT.symbols
FIRST = {A: "buy", B: "sell", E: "buy"}
SECOND = {C: "buy", F: "sell", D: "buy"}
THIRD = {C: "sell", F: "buy"}
FOURTH = {D: "buy", C: "buy"}


def reconciled(bot: StageBot) -> Verb:
    return lambda app: int(reconcile.run(app, by="campaign").exit_code)


def entries(wanted: dict[str, str]) -> Callable[[StageBot], Verb]:
    def of(bot: StageBot) -> Verb:
        return lambda app: int(trade_once.run(app, by="campaign", candidates=bot.candidates(wanted)).exit_code)

    return of


def exits(bot: StageBot) -> Verb:
    return lambda app: int(evaluate_exits.run(app, by="campaign").exit_code)


def halted(state: TradingState, *, force_slot: bool = True) -> Callable[[StageBot], Verb]:
    """Return what `halt` does: the latch and its history, then one pass that cancels or closes."""

    def of(bot: StageBot) -> Verb:
        def verb(app: App) -> int:
            app.ledger.set_trading_state(TradingStateRecord(state, "campaign", "a kill", datetime.now(UTC)))
            return int(evaluate_exits.run(app, by="campaign", force_slot=force_slot).exit_code)

        return verb

    return of


def unhalted(bot: StageBot) -> Verb:
    return lambda app: int(unhalt.run(app, by="campaign", reason="over", confirmed=bot.number[-4:]).exit_code)


STUCK = f"""
- name: stuck
  when: {{symbol: [{A}, {B}], after: open+1m}}
  what: halt_symbol
"""
"""Nothing of two symbols fills, so that the exits of one long and one short position are priced again."""

LYING = f"""
- {{name: no-orders, when: {{request: GET {AT.paths.listed}}}, what: missing_rows}}
- {{name: no-positions, when: {{request: GET {AT.paths.positions}}}, what: {{missing_rows: null, symbol: {A}}}}}
"""
"""Exits at work are left out of the list, and so is a position; asked for one of them, the venue tells the truth."""

Line = Callable[[StageBot], Verb] | dict[str, Any] | str
"""What each bot does, by how much time passes, or which script of faults is armed."""
HALT, END_OF_HALT = "halt", "end of halt"
SCRIPT: tuple[tuple[str, Line], ...] = (
    ("compare", reconciled),
    ("first entries", entries(FIRST)),
    ("tick", {"seconds": 60}),
    ("exits", exits),
    ("second entries", entries(SECOND)),
    (HALT, halted(TradingState.REDUCE_ONLY)),
    ("entries while halted", entries(THIRD)),
    (END_OF_HALT, unhalted),
    ("tick", {"seconds": 60}),
    ("fourth entries", entries(FOURTH)),
    ("tick", {"seconds": 60}),
    ("trouble", STUCK),
    (HALT, halted(TradingState.FLATTEN)),
    ("tick", {"seconds": 60}),
    ("lies", LYING),
    ("exits after", exits),
    ("tick", {"seconds": 360}),
    ("exits again", exits),
    ("trouble over", ""),
    ("tick", {"seconds": 60}),
    ("exits of what was left", exits),
    ("tick", {"seconds": 60}),
    ("last exits", exits),
    ("tick", {"to": "close"}),
    ("tick", {"to": "next_open"}),
    ("tick", {"seconds": 60}),
    ("last comparison", reconciled),
)


RECOVERS = "exits of what was lost"
"""What nobody is killed in, so that each day comes to its end where a lost request can't be sent again."""
LATER: tuple[tuple[str, Line], ...] = (
    ("tick", {"seconds": 660}),
    (RECOVERS, exits),
    ("tick", {"seconds": 61}),
    (RECOVERS, exits),
    ("tick", {"seconds": 67}),
)
if AT.refuses_halted:
    _stuck = SCRIPT.index(("trouble", STUCK))
    SCRIPT = (*SCRIPT[:_stuck], SCRIPT[_stuck + 1], SCRIPT[_stuck], *SCRIPT[_stuck + 2 :])
if not AT.repeats:
    SCRIPT = (*SCRIPT[:-1], *LATER, SCRIPT[-1])


@dataclass
class Tally:
    """What a campaign did, and what it found."""

    runs: int = 0
    hit: Counter[str] = field(default_factory=Counter)
    spans: dict[str, list[tuple[int, int]]] = field(default_factory=dict)
    problems: list[str] = field(default_factory=list)

    @property
    def hits(self) -> int:
        """Return how many children got a signal at a point."""
        return self.hit.total()

    def note(self, bot: StageBot, found: Iterator[str] | list[str]) -> None:
        """Keep broken promises with whose they are."""
        self.problems += [f"{bot.name}: {problem}" for problem in found]

    def has_caught(self, bot: StageBot) -> bool:
        """Tell whether a bot is broken on purpose and that has been seen, so that it need not go on."""
        return bool(bot.control) and any(problem.startswith(f"{bot.name}: ") for problem in self.problems)


class Campaign:
    """One script played by many bots on one stage."""

    script: Sequence[tuple[str, Line]] = SCRIPT

    def __init__(self, stage: Stage, seed: int) -> None:
        self.stage = stage
        self.seed = seed
        self.tally = Tally()
        self.disturbed = defaultdict[str, list[datetime]](list)
        """When something befell a bot that the log doesn't show."""
        self.unable = defaultdict[str, list[datetime]](list)
        """When calls of a bot failed by which it may have wanted to tell something."""
        self._read = self._lines = 0
        self._now = NEVER
        self._line = ""
        self._promised: dict[str, judge.Promises] = {}
        self._seen: dict[str, judge.Account] = judge.accounts(())  # type: ignore[assignment]

    def play(self, bots: list[StageBot]) -> None:
        """Play the script, the spared bot first at each step, then judge."""
        for step, (name, line) in enumerate(self.script):
            self._line = f"{step}, {name}"
            if isinstance(line, dict):
                self.stage.tick(**line)
            elif isinstance(line, str):
                self.stage.trouble(line)
            else:
                self._everybody(bots, step, name, line)
                bots = [bot for bot in bots if not self.tally.has_caught(bot)]
        self._judge(bots)

    def _everybody(self, bots: list[StageBot], step: int, name: str, line: Callable[[StageBot], Verb]) -> None:
        """Let each bot do a line of the script, the spared one first."""
        for bot in bots:
            if name == END_OF_HALT:
                first, _ = self.tally.spans[bot.name].pop()
                self._news(bot)
                self.tally.spans[bot.name].append((first, self._lines))
        (spared,) = self._lived([Run(bots[0], line(bots[0]))])
        if name == RECOVERS:
            self._lived([Run(bot, line(bot)) for bot in bots[1:]])
            return
        self._killed([Run(bot, line(bot)) for bot in bots[1:]], step, spared.points)
        for bot in bots:
            if name == HALT:
                self._news(bot)
                self.tally.spans.setdefault(bot.name, []).append((self._lines, sys.maxsize))

    def _killed(self, runs: list[Run], step: int, points: tuple[str, ...]) -> None:
        """Kill verbs again and again at points that the spared run reached, each until it does not reach its own.

        The points are drawn from the seed, the step and the bot alone. What is left to a later run is less: it ends,
        as it would have without us.
        """
        met = Counter(points)
        chances = {run.bot.name: random.Random(f"{self.seed}.{run.bot.name}.{step}") for run in runs}
        names = {run.bot.name: [name for name in sorted(met) if may_die(run.bot, name)] for run in runs}
        mortal = [run for run in runs if names[run.bot.name]]
        immortal = [run for run in runs if not names[run.bot.name]]
        for _ in range(MOST_IN_A_ROW):
            mortal = self._killed_once(
                [run._replace(fatal=fatal(chances[run.bot.name], names[run.bot.name], met)) for run in mortal]
            )
        self._lived([run._replace(fatal=None) for run in (*immortal, *mortal)])

    def _killed_once(self, runs: list[Run]) -> list[Run]:
        """Run verbs that are to die, and return those that did; what the venue has by then was promised before."""
        died = []
        for one, end in zip(runs, self._run(runs), strict=True):
            self.tally.runs += 1
            if end.code == DIED:
                died.append(one)
                self.tally.hit[end.points[-1]] += not one.bot.control
                self.tally.note(one.bot, judge.unrecorded(self._news(one.bot), self._intents(one.bot)))
                self.disturb(one.bot)
            else:
                self._expect(one.bot, end)
        return died

    def disturb(self, bot: StageBot) -> None:
        """Note that something befell a bot by now."""
        self.disturbed[bot.name].append(self._now)

    def _protection(self, bot: StageBot, events: Sequence[judge.Event], **judged: Any) -> Iterator[str]:
        judged |= {"disturbed": self.disturbed[bot.name], "unable": self.unable[bot.name]}
        sessions = protection.sessions_of(self.stage.exchange)
        yield from protection.broken(events, bot.number, bot.folder, sessions, **judged)
        yield from kept.broken(events, bot.number, self.disturbed[bot.name])

    def _run(self, runs: list[Run]) -> list[End]:
        """Run verbs in a child."""
        return run_all(runs)

    def _lived(self, runs: list[Run]) -> list[End]:
        ends = self._run(runs)
        for one, end in zip(runs, ends, strict=True):
            self.tally.runs += 1
            self._expect(one.bot, end)
        return ends

    def _expect(self, bot: StageBot, end: End) -> None:
        if end.code not in ENDS:
            told = "".join(f": {words}" for words in end.words)
            self.tally.note(bot, [f"a verb of line {self._line} ended with {end.code}{told}"])

    def _news(self, bot: StageBot) -> judge.Account:
        """Return what the log says of a bot by now; its new lines are read once."""
        with (self.stage.exchange / "log.jsonl").open("rb") as file:
            file.seek(self._read)
            for line in file:
                if not line.endswith(b"\n"):
                    break
                self._read += len(line)
                self._lines += 1
                event = json.loads(line)
                self._now = datetime.fromisoformat(event["at"])
                if event.get("account"):
                    self._seen[event["account"]].add(event)
        return self._seen[bot.number]

    def _intents(self, bot: StageBot) -> judge.Promises:
        """Return what a bot has promised by now."""
        return self._promised.setdefault(bot.name, judge.Promises(bot.folder)).now()

    def _judge(self, bots: list[StageBot]) -> None:
        events = list(self.stage.log())
        told = judge.accounts(events)
        spared = told[bots[0].number]
        for bot in bots:
            account, note = told[bot.number], self.tally.note
            with closing(SqliteLedger.open(bot.folder, read_only=True)) as ledger:
                note(bot, judge.doubled(account, spared, ledger))
                note(bot, judge.lost_fills(account, ledger))
                note(bot, judge.halted_entries(events, bot.number, self.tally.spans[bot.name]))
                note(bot, judge.differences(account, spared, ledger, self._intents(bot)))
                note(bot, judge.unrecorded(account, self._intents(bot)))
                note(bot, left(ledger))
                note(bot, self._protection(bot, events))
                note(bot, pairs.broken([event for event in events if event.get("account") == bot.number]))
                ledger.tallies.compare_journal()


def left(ledger: SqliteLedger) -> Iterator[str]:
    """Yield what must not be left at the end of the day: positions, orders, doubts, findings, a wrong checkpoint."""
    for (owner, symbol), position in ledger.totals().positions.items():
        if position.quantity or owner == FOREIGN:
            yield f"{owner} holds {position.quantity} {symbol}"
    for order in ledger.orders(working=True):
        yield f"{order.client_order_id} is {order.status}"
    for record in ledger.intents(unresolved=True):
        yield f"{record.intent.client_order_id} is {record.state}"
    mark = ledger.last_reconcile()
    if mark is None or mark.findings:
        yield f"the last comparison: {mark}"
    if ledger.totals() != Totals.of(ledger.fills()):
        yield "the totals are not what the fills add up to"


def may_die(bot: StageBot, name: str) -> bool:
    """Tell whether a bot may be killed at a point: a broken one is where it shows, unless a kill would excuse it."""
    return not bot.control or (name.startswith(AT.sends) and not bot.control.startswith("believe-"))


def fatal(chance: random.Random, names: Sequence[str], met: Mapping[str, int]) -> Fatal:
    """Draw the point at which a run is to die."""
    name = chance.choices(names, [RARELY if name.startswith(EVERYWHERE) else OFTEN for name in names])[0]
    return Fatal(name, chance.randint(1, met[name]))


def kills(stage: Stage, seed: int, names: Sequence[str]) -> Tally:
    """Play one campaign with bots of these names beside the spared one, and return what it did.

    A bot that is named as a control is broken as the control says.
    """
    bots = [replace(stage.bot(name), control=name if name in CONTROLS else "") for name in (REFERENCE, *names)]
    campaign = Campaign(stage, seed)
    campaign.play(bots)
    spared = judge.accounts(stage.log(bots[0].number))[bots[0].number]
    assert any(spared.groups.protects(order) for order in spared.accepted), "nothing has rested at the venue"
    with closing(SqliteLedger.open(bots[0].folder, read_only=True)) as ledger:
        assert ledger.file.rows("SELECT at FROM checkpoints WHERE account = ?"), "no pass has kept a checkpoint"
    return campaign.tally
