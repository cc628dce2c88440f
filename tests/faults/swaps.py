"""The campaign of kills around an auction: a close that makes room, the open that waits for it, the registry's write.

Each bot has every other piece of a shipped profile too. It is killed at the points of each pass like the bots of the
other campaigns, and its days end like theirs: every order once, no fill lost, nothing left. The judge adds the laws of
an auction, and reads what the registry knows afterwards.
"""

import json
import sqlite3
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import closing
from pathlib import Path

from tests.faults import auctioned
from tests.faults.kills import (
    END_OF_HALT,
    HALT,
    RECOVERS,
    REFERENCE,
    Campaign,
    Line,
    Tally,
    exits,
    halted,
    left,
    reconciled,
    unhalted,
)
from tests.kit.bot.near import Verb
from tests.kit.bot.stage import Stage, StageBot
from tests.kit.judge import account as judge
from tests.kit.venues import AT
from tradebot.adapters.ledger.ledger import SqliteLedger
from tradebot.adapters.state import state_folder
from tradebot.adapters.text.codec import decode
from tradebot.model.registry import Coin
from tradebot.model.trading import TradingState

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


SCRIPT: tuple[tuple[str, Line], ...] = (
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

    script: Sequence[tuple[str, Line]] = SCRIPT

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
                note(bot, judge.unpromised(account, self._promises(bot)))
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


def warm(stage: Stage) -> None:
    """Import what an auction needs before the first fork."""
    bot = stage.bot("warm", auctioned.configuration(AT.symbols[:4], MOST))
    auctioned.keep_bars_in_sqlite(bot.folder)
    for verb in (reconciled(bot), auction({A: "buy"}, 0)(bot), exits(bot)):
        with closing(bot.app()) as app:
            verb(app)
