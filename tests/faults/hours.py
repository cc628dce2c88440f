"""Twenty-four hours of a venue that never closes, minute by minute, under its troubles, judged as schedules are.

    VENUE=kraken_futures python -m tests.faults.hours --seed 7
    VENUE=kraken_futures python -m tests.faults.hours --seed 7 --control retry-on-post

Each minute a pass of exits, of entries or a comparison runs, as the timetable has it, and one in six meets a trouble of
the venue, or is killed. It prints one JSON line: what was played, which troubles befell it, and every broken promise.
"""

import argparse
import json
import random
import sys
from collections import Counter
from collections.abc import Iterator

from tests.faults.controls import CONTROLS
from tests.faults.ground import SYMBOLS
from tests.faults.schedules import Act, Schedule, Script, Tally, standing
from tests.faults.troubles import KILL, RULES, Trouble, drawn

MINUTES = 24 * 60
TROUBLED = 1 / 6
UNHALTED = 60
"""After so many minutes a person ends whatever halt there is."""


def acts(seed: int, minutes: int) -> Iterator[Act]:
    """Yield what happens in each minute."""
    chance = random.Random(f"hours {seed}")
    for minute in range(1, minutes + 1):
        verb = "compare" if minute % 15 == 0 else "entries" if minute % 5 == 2 else "exits"
        verb = "unhalt" if minute % UNHALTED == 0 else verb
        wanted = {symbol: chance.choice(("buy", "sell")) for symbol in chance.sample(SYMBOLS, 2)}
        yield Act(verb, wanted, tuple(_troubles(chance, minute, verb)), True, False, {"seconds": 60})


def _troubles(chance: random.Random, minute: int, verb: str) -> Iterator[Trouble]:
    if chance.random() >= TROUBLED:
        return
    while (trouble := drawn(chance, f"{minute}.0", verb)).name not in (*RULES, KILL):
        pass
    yield trouble


def main() -> int:
    """Play what the arguments say."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--seed", type=int, default=1, help="what the troubles are drawn from")
    parser.add_argument("--minutes", type=int, default=MINUTES, help="how many minutes")
    parser.add_argument("--control", choices=CONTROLS, help="break the bot in this way first")
    parser.add_argument("--tell", action="store_true", help="say what happens")
    asked = parser.parse_args()
    with standing() as ground:
        if asked.control:
            CONTROLS[asked.control]()
        tally = Tally()
        plan = Script("flat", narrow=False, acts=tuple(acts(asked.seed, asked.minutes)))
        # A seed that asks nobody and doesn't flatten what is held.
        problems = list(dict.fromkeys(Schedule(ground, 1, tally, asked.tell, plan).play()))
    befell = Counter(name for name, _ in tally.pairs.elements())
    told = {"runs": tally.runs, "events": tally.events, "befell": befell, "problems": problems}
    print(json.dumps(told))
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
