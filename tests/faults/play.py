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
import random
import signal
import sqlite3
import sys
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import closing
from datetime import UTC, date, datetime
from decimal import Decimal
from functools import partial
from pathlib import Path

from tests.faults import auctioned
from tests.faults.controls import CONTROLS
from tests.faults.four import four, warm
from tests.faults.kills import (
    END_OF_HALT,
    ENDS,
    FIRST,
    HALT,
    RECOVERS,
    REFERENCE,
    SCRIPT,
    STUCK,
    Campaign,
    Line,
    Tally,
    entries,
    exits,
    halted,
    kills,
    left,
    reconciled,
    unhalted,
)
from tests.kit.bot.near import Verb
from tests.kit.bot.stage import End, Fatal, Run, Stage, StageBot, run, run_all, set_up
from tests.kit.judge import account as judge
from tests.kit.judge import protection
from tests.kit.venues import AT, REPLAY
from tradebot.adapters.ledger.ledger import SqliteLedger
from tradebot.adapters.state import halt_switch, send_lock, state_folder
from tradebot.adapters.text.codec import decode
from tradebot.model.registry import Coin
from tradebot.model.struct_tools import replace
from tradebot.model.trading import TradingState

# The campaign of kills around an auction: a close that makes room, the open that waits for it, the registry's write.
#
# Each bot has every other piece of a shipped profile too. It is killed at the points of each pass like the bots of the
# other campaigns, and its days end like theirs: every order once, no fill lost, nothing left. The judge adds the laws
# of an auction, and reads what the registry knows afterwards.

MOST = 2
A, B, C, D = AT.symbols[:4]


def auction(wanted: Mapping[str, str], number: int) -> Callable[[StageBot], Verb]:
    return lambda bot: auctioned.entries(wanted, number, by="campaign")


def around(name: str, wanted: Mapping[str, str], number: int) -> tuple[tuple[str, Line], ...]:
    """Return a swap: the closes go out, they fill, and what they make room for opens and is protected."""
    return (
        (f"{name}: closes", auction(wanted, number)),
        ("tick", {"seconds": 61}),
        (f"{name}: while they fill", auction(wanted, number)),
        ("tick", {"seconds": 61}),
        (f"{name}: exits", exits),
        (f"{name}: opens", auction(wanted, number)),
        ("tick", {"seconds": 61}),
        (f"{name}: protects", exits),
        ("tick", {"seconds": 61}),
    )


SWAP_SCRIPT: tuple[tuple[str, Line], ...] = (
    ("compare", reconciled),
    *around("first", {A: "buy", B: "sell"}, 0),
    *around("second", {C: "buy", D: "sell"}, 3),
    (HALT, halted(TradingState.REDUCE_ONLY)),
    ("closes while halted", auction({A: "buy"}, 6)),
    (END_OF_HALT, unhalted),
    *around("third", {A: "sell", B: "buy"}, 9),
    (HALT, halted(TradingState.FLATTEN)),
    *(step for _ in range(3) for step in (("tick", {"seconds": 360}), ("exits of what was left", exits))),
    ("tick", {"seconds": 660}),
    (RECOVERS, exits),
    ("tick", {"seconds": 61}),
    (RECOVERS, exits),
    ("tick", {"seconds": 67}),
    ("last comparison", reconciled),
)


class SwapCampaign(Campaign):
    """The script of swaps."""

    script: Sequence[tuple[str, Line]] = SWAP_SCRIPT

    def _judge(self, bots: list[StageBot]) -> None:
        """Judge each bot by itself: after a kill, an auction is held over another account."""
        events = list(self.stage.log())
        told = judge.accounts(events)
        for bot in bots:
            account, note = told[bot.number], self.tally.note
            own = [event for event in events if event.get("account") == bot.number]
            note(bot, auctioned.broken(own, MOST))
            note(bot, unread(bot.folder, AT.symbols[:4]))
            with closing(SqliteLedger.open(bot.folder, read_only=True)) as ledger:
                note(bot, account.doubles)
                note(bot, judge.accepted_twice(account))
                note(bot, judge.turned(account))
                note(bot, judge.lost_fills(account, ledger))
                note(bot, judge.halted_entries(events, bot.number, self.tally.spans[bot.name]))
                note(bot, judge.unrecorded(account, self._intents(bot)))
                note(bot, left(ledger))
                note(bot, self._protection(bot, events))
                ledger.tallies.compare_journal()


def unread(folder: Path, symbols: Iterable[str]) -> Iterator[str]:
    """Yield the coins that the registry in a bot's folder doesn't know, or knows by half."""
    with closing(sqlite3.connect(f"file:{folder / state_folder.FACTS}?mode=ro", uri=True)) as database:
        rows = dict(database.execute("SELECT symbol, body FROM coins").fetchall())
    for symbol in symbols:
        if symbol not in rows or decode(Coin, json.loads(rows[symbol])).symbol != symbol:
            yield f"the registry doesn't know {symbol}"


def swaps(stage: Stage, seed: int, names: Sequence[str]) -> Tally:
    """Play the campaign with bots of these names beside the spared one, and return what it did."""
    configuration = auctioned.configuration(AT.symbols[:4], MOST)
    bots = [stage.bot(name, configuration) for name in (REFERENCE, *names)]
    for bot in bots:
        auctioned.keep_bars_in_sqlite(bot.folder)
    campaign = SwapCampaign(stage, seed)
    campaign.play(list(bots))
    swapped = auctioned.swaps(stage.log(bots[0].number))
    assert swapped > 1, f"only {swapped} entries followed a close"
    return campaign.tally


def warm_swaps(stage: Stage) -> None:
    """Import what an auction needs before the first fork."""
    bot = stage.bot("warm", auctioned.configuration(AT.symbols[:4], MOST))
    auctioned.keep_bars_in_sqlite(bot.folder)
    for verb in (reconciled(bot), auction({A: "buy"}, 0)(bot), exits(bot)):
        with closing(bot.app()) as app:
            verb(app)


# The campaign of new prices: an exit that nobody fills is priced again, and the request for it meets every trouble.
#
# Each bot is named for what befalls its requests to replace an order. Twins are two machines with books of their own on
# one account: one is stopped at each request, while the other does the same.

TROUBLES: Mapping[str, str] = {
    "reply-lost": "reply_lost",
    "timeout-before": "{status: 504, acceptance: before}",
    "too-many": "{status: 429, acceptance: after}",
    "half-an-answer": "{truncated_json: 40, connection: closed}",
    "reset-before": "{reset: before}",
    "refused-keys": "expired_keys",
    "a-little-late": "{late_arrival: 90s}",
    "too-late": "{late_arrival: 10m}",
    "twice-second": "delivered_twice",
    "twice-first": "{delivered_twice: , answer: first}",
}
"""What befalls a request to replace an order, by the name of the bot that it befalls."""
TWINS = "twins"
REFUSED = {"refused-keys"}
"""Bots that are refused a new price and end their exits; the next pass sends others."""
WANTED = {"AAPL": "buy", "MSFT": "sell"}


def prices(stage: Stage, names: Sequence[str]) -> Tally:
    """Let each named bot open, leave, and price its exits anew under its trouble; return what was broken."""
    tally = Tally()
    bots = [replace(stage.bot(name), control=name if name in CONTROLS else "") for name in names]
    twins = {bot.name: stage.twin(bot) for bot in bots if bot.name == TWINS}
    everybody = partial(_everybody, bots, twins, tally)
    everybody(reconciled)
    everybody(entries(WANTED))
    stage.tick(seconds=60)
    stage.trouble(STUCK)
    everybody(halted(TradingState.FLATTEN, force_slot=False))
    stage.tick(seconds=200)
    stage.trouble("".join(_rule(bot.name) for bot in bots if bot.name in TROUBLES))
    everybody(exits)
    stage.trouble("")
    stage.trouble(STUCK)
    stage.tick(seconds=100)
    everybody(exits)
    stage.trouble("")
    for seconds in (60, 360, 60):
        stage.tick(seconds=seconds)
        everybody(exits)
    stage.tick(to="close")
    stage.tick(to="next_open")
    everybody(reconciled)
    _judge(stage, bots, tally)
    return tally


def _rule(name: str) -> str:
    return f"- name: {name}\n  when: {{request: replace, account: {name}}}\n  what: {TROUBLES[name]}\n"


def _everybody(
    bots: list[StageBot], twins: Mapping[str, StageBot], tally: Tally, of: Callable[[StageBot], Verb]
) -> None:
    """Run one verb on each bot."""
    single = [bot for bot in bots if bot.name not in twins]
    ends = dict(zip((bot.name for bot in single), run_all([Run(bot, of(bot)) for bot in single]), strict=True))
    for bot in bots:
        end = ends.get(bot.name) or _beside(bot, twins[bot.name], of)
        tally.runs += 1
        tally.hit[bot.name] += "alpaca.send.before" in end.points
        tally.note(bot, [] if end.code in ENDS else [f"a verb ended with {end.code}"])


def _beside(bot: StageBot, twin: StageBot, of: Callable[[StageBot], Verb]) -> End:
    """Run one verb on a bot, and on its twin while it stands at its first request."""

    def meanwhile() -> None:
        run(twin, of(twin), None)

    return run(bot, of(bot), Fatal("alpaca.send.before", 1, signal.SIGSTOP), meanwhile)


def _judge(stage: Stage, bots: list[StageBot], tally: Tally) -> None:
    events = list(stage.log())
    told = judge.accounts(events)
    for bot in bots:
        account, note = told[bot.number], partial(tally.note, bot)
        own = [event for event in events if event.get("account") == bot.number and "order_id" in event]
        note(account.doubles)
        note(judge.turned(account))
        note([] if bot.name in REFUSED else bare(own))
        note([] if any("replaces" in event for event in own) or bot.name in REFUSED else ["no price was changed"])
        with closing(SqliteLedger.open(bot.folder, read_only=True)) as ledger:
            note(judge.lost_fills(account, ledger))
            note(left(ledger))
            ledger.tallies.compare_journal()
        if bot.name != TWINS:
            note(judge.unrecorded(account, judge.Promises(bot.folder).now()))
            note(protection.broken(events, bot.number, bot.folder, protection.sessions_of(stage.exchange)))


def bare(events: Sequence[judge.Event]) -> Iterator[str]:
    """Yield the moments at which a position stood without an exit, once one had been sent."""
    held: dict[str, Decimal] = defaultdict(Decimal)
    working: dict[str, set[str]] = defaultdict(set)
    leaving, before = set[str](), ""
    for event in events:
        symbol = event["symbol"]
        if event["at"] != before:
            yield from (f"{name} had no exit from {before} on" for name in leaving if held[name] and not working[name])
        before = event["at"]
        held[symbol] = Decimal(event.get("position", held[symbol]))
        if ".CLOSE." in event["client_order_id"]:
            leaving.add(symbol)
            ended = event["status"] in judge.ENDED
            (working[symbol].discard if ended else working[symbol].add)(event["order_id"])


# A bot stopped in the middle of a pass, while a person halts it or its twin on another machine trades.

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
        halt_switch.halt(bot.folder, "campaign", "stopped", datetime.now(UTC), TradingState.REDUCE_ONLY)
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
