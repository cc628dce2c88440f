"""The campaigns as a program, so that children are forked from one thread that has imported everything.

    python -m tests.faults.play stops=12 kills=20 prices --seed 1
    python -m tests.faults.play kills --seed 1 --only bot7

Those that are named are played on one stage, one after the other, and none sees another one's accounts. It prints one
JSON line with what was done in each, which points were hit, and every broken promise with the command that replays the
bot that broke it. It ends with 1 where there was one.
"""

import argparse
import gc
import json
import sys
from collections.abc import Mapping, Sequence
from contextlib import closing
from datetime import date

from tests.faults.four import four, warm
from tests.faults.kills import FIRST, SCRIPT, Tally, entries, exits, kills, reconciled
from tests.faults.prices import TROUBLES, TWINS, prices
from tests.faults.stops import TWIN, stops
from tests.faults.swaps import swaps
from tests.faults.swaps import warm as warm_swaps
from tests.kit.bot.stage import Stage, set_up
from tests.kit.venues import REPLAY

STOPS, KILLS, PRICES, FOUR, SWAPS = CAMPAIGNS = ("stops", "kills", "prices", "four", "swaps")
"""In the order in which they are played: the first takes no time, and each of the others a day."""
BOTS = 20
UNTIL_HALF_AN_HOUR_S = 29 * 60


def warm_up(stage: Stage) -> None:
    """Import everything before the first fork: run each verb once in this process, on a bot that nobody looks at."""
    bot = stage.bot("warm")
    for of in (reconciled, entries(FIRST), exits):
        with closing(bot.app()) as app:
            of(bot)(app)
    gc.collect()
    gc.freeze()


def bots_of(campaign: str, count: int) -> list[str]:
    """Return the bots of a campaign, so many where their number is open."""
    numbers = range(1, count + 1)
    return {
        STOPS: [f"{('halt', TWIN)[number % 2]}-{number}" for number in numbers],
        KILLS: [f"bot{number}" for number in numbers],
        PRICES: [*TROUBLES, TWINS],
        FOUR: [f"bot{number}" for number in numbers],
        SWAPS: [f"bot{number}" for number in numbers],
    }[campaign]


def played(seed: int, bots: Mapping[str, Sequence[str]]) -> dict[str, Tally]:
    """Play the campaigns whose bots are named; whichever others are played, each has the same market and time."""
    tallies = {}
    with set_up() as stage:
        warm_up(stage)
        if STOPS in bots:
            tallies[STOPS] = stops(stage, seed, bots[STOPS])
        if KILLS in bots:
            tallies[KILLS] = kills(stage, seed, bots[KILLS])
        if PRICES in bots:
            for step in (line for _, line in SCRIPT if isinstance(line, dict) and KILLS not in bots):
                stage.tick(**step)
            stage.tick(seconds=UNTIL_HALF_AN_HOUR_S)
            tallies[PRICES] = prices(stage, bots[PRICES])
    if SWAPS in bots:
        with set_up() as stage:
            warm_swaps(stage)
            tallies[SWAPS] = swaps(stage, seed, bots[SWAPS])
    if FOUR in bots:
        # Its strategies want a month's first session, and their own imports.
        with set_up(start=date(2026, 11, 30), seed=3) as stage:
            warm(stage)
            tallies[FOUR] = four(stage, seed, bots[FOUR])
    return tallies


def told(seed: int, campaign: str, tally: Tally) -> dict[str, object]:
    """Return what a campaign has to tell, each problem with the command that replays its bot."""
    replay = f"{REPLAY}python -m tests.faults.play {campaign} --seed {seed} --only"
    problems = [f"{problem} [{replay} {problem.partition(':')[0]}]" for problem in dict.fromkeys(tally.problems)]
    return {"hits": tally.hits, "runs": tally.runs, "hit": tally.hit, "problems": problems}


def _campaign(text: str) -> tuple[str, str]:
    """Return the name of a campaign, and what stands after it."""
    name, _, rest = text.partition("=")
    if name not in CAMPAIGNS:
        raise argparse.ArgumentTypeError(f"{name} is none of {', '.join(CAMPAIGNS)}")
    return name, rest


def main() -> int:
    """Play what the arguments say, print one JSON line, and tell whether every promise held."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument(
        "campaigns", nargs="+", type=_campaign, help="stops, kills, prices, four, swaps; kills=3 has three bots"
    )
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--only", action="append", help="play this bot; again for another one")
    parser.add_argument(
        "--control", action="append", default=[], type=_campaign, help="kills=retry-on-post: play a broken one too"
    )
    asked = parser.parse_args()
    bots = {name: asked.only or bots_of(name, int(count or BOTS)) for name, count in asked.campaigns}
    for campaign, control in asked.control:
        bots[campaign] = [*bots[campaign], control]
    found = {name: told(asked.seed, name, tally) for name, tally in played(asked.seed, bots).items()}
    print(json.dumps(found))
    return 1 if any(one["problems"] for one in found.values()) else 0


if __name__ == "__main__":
    sys.exit(main())
