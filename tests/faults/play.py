"""The campaigns as a program, so that children are forked from one thread that has imported everything.

    python -m tests.faults.play kills --seed 1 --bots 20
    python -m tests.faults.play kills --seed 1 --only bot7

It prints one JSON line: what was done, which points were hit, and every broken promise with the command that replays
the bot that broke it. It ends with 1 where there was one.
"""

import argparse
import gc
import json
import sys
from contextlib import closing

from tests.faults import stops as stopping
from tests.faults.kills import FIRST, Tally, entries, exits, kills, reconciled
from tests.faults.prices import TROUBLES, TWINS, prices
from tests.faults.stage import Stage, set_up


def warm_up(stage: Stage) -> None:
    """Import everything before the first fork: run each verb once in this process, on a bot that nobody looks at."""
    bot = stage.bot("warm")
    for of in (reconciled, entries(FIRST), exits):
        with closing(bot.app()) as app:
            of(bot)(app)
    gc.collect()
    gc.freeze()


def played(campaign: str, seed: int, names: list[str]) -> Tally:
    """Play one campaign on a stage of its own."""
    with set_up() as stage:
        warm_up(stage)
        if campaign == "prices":
            return prices(stage, names)
        return kills(stage, seed, names) if campaign == "kills" else stopping.stops(stage, seed, names)


def main() -> int:
    """Play what the arguments say, print one JSON line, and tell whether every promise held."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("campaign", choices=("kills", "stops", "prices"))
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--bots", type=int, default=20, help="how many bots are killed, or stopped")
    parser.add_argument("--only", action="append", help="play this bot; again for another one")
    parser.add_argument("--control", action="append", default=[], help="play this one too, broken on purpose")
    asked = parser.parse_args()
    numbers = range(1, asked.bots + 1)
    every = [f"bot{n}" for n in numbers]
    if asked.campaign == "stops":
        every = [f"{('halt', stopping.TWIN)[n % 2]}-{n}" for n in numbers]
    if asked.campaign == "prices":
        every = [*TROUBLES, TWINS]
    tally = played(asked.campaign, asked.seed, [*(asked.only or every), *asked.control])
    replay = f"python -m tests.faults.play {asked.campaign} --seed {asked.seed} --only"
    problems = [f"{problem} [{replay} {problem.partition(':')[0]}]" for problem in dict.fromkeys(tally.problems)]
    print(json.dumps({"hits": tally.hits, "runs": tally.runs, "hit": tally.hit, "problems": problems}))
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
