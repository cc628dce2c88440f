"""Kill a pass with an auction at each point that it reaches: one that closes for a newcomer, and one that opens.

    VENUE=kraken_futures python -m tests.faults.each_point

Later passes have to end what was begun: the newcomer opens once, after the close has filled, and the registry is whole.
It prints one JSON line, and ends with 1 where a promise was broken.
"""

import itertools
import json
import sys
from collections import Counter
from collections.abc import Sequence
from contextlib import closing

from commands.evaluate_exits import run as evaluate_exits
from commands.reconcile import run as reconcile
from tests.faults import auctioned, play, verdicts
from tests.faults.ground import OTHER, SYMBOLS, Ground, ScheduleDay
from tests.faults.schedules import standing
from tests.kit.bot.near import KILLED
from tests.kit.judge import account as judge
from tests.kit.judge import kept, pairs, protection
from tests.kit.values import Killed
from tests.kit.venues import AT, REPLAY
from tradebot.adapters.ledger.ledger import SqliteLedger
from tradebot.app.wiring import App

PASSES = {"competing": "closes", "gave way": "opens"}
"""With which books a pass begins, and what it does."""
WANTED = {OTHER: "buy"}
FINDINGS = {0, 10}
UNTIL_LOOKED_UP_S = 660
"""So long an order that was promised and never sent is only looked up, and nothing else is closed for its newcomer."""


class Kill:
    """Ends a process at the n-th failpoint that it reaches, and remembers which one that was."""

    def __init__(self, number: int) -> None:
        self._left, self.point = number, ""

    def __call__(self, point: str) -> None:
        """Be told of a point; nothing has an effect after the fatal one."""
        self._left -= not point.startswith("http.")
        if self._left <= 0:
            self.point = self.point or point
            raise Killed


def killed(ground: Ground, begins: str, number: int) -> tuple[Kill | None, list[str]]:
    """Kill a pass at its n-th point; return the kill, or None if it has fewer, and what was broken."""
    day, kill = ground.day(begins, narrow=False, auctions=True), Kill(number)
    if day.run(auctioned.entries(WANTED, 1), kill) != KILLED:
        day.close()
        return None, []
    disturbed, codes = day.now, set[int]()
    for seconds in (1, 121, UNTIL_LOOKED_UP_S, 61):
        day.tick(seconds=seconds)
        for verb in (_exits, auctioned.entries(WANTED, 1)):
            codes.add(day.run(verb))
    day.tick(seconds=13 * 60 + AT.tells_after_s)
    codes |= {day.run(_exits), day.run(lambda app: int(reconcile.run(app, by="kill").exit_code))}
    events = list(day.events())
    told = day.number, day.folder, day.exchange.market.calendar
    problems = [*day.problems, *_broken(day, events), *protection.broken(events, *told, disturbed=[disturbed])]
    problems += kept.broken(events, day.number, [disturbed])
    problems += [f"a verb ended with {code}" for code in codes - FINDINGS]
    day.close()
    return kill, problems


def _exits(app: App) -> int:
    return int(evaluate_exits.run(app, by="kill").exit_code)


def _broken(day: ScheduleDay, events: Sequence[judge.Event]) -> list[str]:
    account = judge.accounts(events)[day.number]
    with closing(SqliteLedger.open(day.folder, read_only=True)) as ledger:
        books = [*judge.lost_fills(account, ledger), *verdicts.untold(account, ledger)]
    found = [*verdicts.doubled(events, account), *verdicts.exits_beside(events), *pairs.broken(events)]
    found += [] if auctioned.swaps(events) else ["no entry followed the close"]
    return [*books, *found, *auctioned.broken(events), *play.unread(day.folder, SYMBOLS)]


def main() -> int:
    """Kill both passes at each of their points, print one JSON line, and tell whether every promise held."""
    hit, problems = Counter[str](), list[str]()
    with standing() as ground:
        for begins, does in PASSES.items():
            for number in itertools.count(1):
                kill, found = killed(ground, begins, number)
                if kill is None:
                    break
                hit[f"{does} {kill.point}"] += 1
                problems += [f"{does}, killed at point {number}, {kill.point}: {one}" for one in found]
    problems = [f"{one} [{REPLAY}python -m tests.faults.each_point]" for one in problems]
    print(json.dumps({"kills": hit.total(), "hit": hit, "problems": problems}))
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
