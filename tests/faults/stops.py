"""A bot stopped in the middle of a pass, while a person halts it or its twin on another machine trades."""

import random
import signal
import sys
from collections import Counter
from collections.abc import Sequence
from datetime import UTC, datetime

from tests.faults.kills import FIRST, Tally, entries, reconciled
from tests.kit.bot.stage import Fatal, Run, Stage, StageBot, run, run_all
from tests.kit.judge import account as judge
from tradebot.adapters.state import send_lock, switch
from tradebot.model.trading import TradingState
from tradebot.model.values import replace

TWIN = "twin"
NEVER_STOPPED = "never-stopped"
LAST_CHANCE = {
    "no-lock": "alpaca.send.before",
    "cached-halt": "alpaca.send.after",
    "random-ids": "alpaca.send.before",
}
"""Where a control does its harm: there it is stopped."""


def points_of(stage: Stage) -> list[tuple[str, int]]:
    """Return every point of a pass of entries, as its name and which time it is reached."""
    spared, met, found = stage.bot(NEVER_STOPPED), Counter[str](), []
    run(spared, reconciled(spared), None)
    for name in run(spared, entries(FIRST)(spared), None).points:
        met[name] += 1
        found.append((name, met[name]))
    return found


def stops(stage: Stage, seed: int, names: Sequence[str]) -> Tally:
    """Stop bots at different points of a pass of entries; those named as twins meet another bot there, others a halt.

    A name is `halt-NUMBER` or `twin-NUMBER`, with `-CONTROL` after it for one that is broken on purpose.
    """
    tally, points = Tally(), points_of(stage)
    bots = {name: replace(stage.bot(name), control=(*name.split("-", 2), "")[2]) for name in names}
    twins = {name: replace(stage.twin(bot), control=bot.control) for name, bot in bots.items() if name.startswith(TWIN)}
    run_all([Run(bot, reconciled(bot)) for bot in (*bots.values(), *twins.values())])
    for name, bot in bots.items():
        last = [point for point in points if point[0] == LAST_CHANCE.get(bot.control)]
        where = random.Random(f"{seed}.{name}").choice(last[:1] or points)
        tally.hit[where[0]] += not bot.control
        if name in twins:
            _meets_its_twin(stage, bot, twins[name], where, tally)
        else:
            _is_halted(stage, bot, where, tally)
    return tally


def _is_halted(stage: Stage, bot: StageBot, where: tuple[str, int], tally: Tally) -> None:
    """Halt a bot that stands still: after a clean return the venue takes no entry, else one at most."""
    line, clean = sys.maxsize, False

    def halt() -> None:
        nonlocal line, clean
        switch.halt(bot.folder, "campaign", "stopped", datetime.now(UTC), TradingState.REDUCE_ONLY)
        clean = send_lock.in_flight(bot.folder, wait_s=0) is None
        line = sum(1 for _ in stage.log())

    run(bot, entries(FIRST)(bot), Fatal(*where, signal.SIGSTOP), halt)
    late = list(judge.halted_entries(stage.log(), bot.number, [(line, sys.maxsize)]))
    tally.runs += 1
    if len(late) > (0 if clean else 1):
        tally.note(bot, [f"stopped at {where}: {problem}" for problem in late])


def _meets_its_twin(stage: Stage, bot: StageBot, twin: StageBot, where: tuple[str, int], tally: Tally) -> None:
    """Let another machine with books of its own trade the same account meanwhile: no order may be there twice."""

    def trade() -> None:
        run(twin, entries(FIRST)(twin), None)

    run(bot, entries(FIRST)(bot), Fatal(*where, signal.SIGSTOP), trade)
    told = judge.accounts(stage.log(bot.number))[bot.number]
    tally.runs += 2
    tally.note(bot, [f"stopped at {where}: {double}" for double in told.doubles])
