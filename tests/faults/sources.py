"""One of the sources that a bot reads is behind, empty, or repeats itself, for as long as it takes, and no other is.

    python -m tests.faults.sources --table
    VENUE=kraken_futures python -m tests.faults.sources --table activities

Every source is wrong in every way at three moments: while an entry fills, while a position is held whose stop the venue
then cancels, and while everything is closed. Each case has an account of its own at one exchange, whose log judges: no
lot is without a stop for longer than told, though every pass was lied to; what is closed was sold; and once the source
is right again, so are the books.
"""

import argparse
import json
import sys
from collections.abc import Callable, Mapping, Sequence
from contextlib import closing
from datetime import timedelta
from decimal import Decimal
from itertools import product
from types import ModuleType
from typing import Any, NamedTuple

from tests.kit.bot.stage import NearStage, Stage, set_up
from tests.kit.bot.trader import Trader
from tests.kit.judge import account as judge
from tests.kit.judge import protection
from tests.kit.judge.gaps import Lots
from tests.kit.venues import AT, KRAKEN
from tradebot.adapters.ledger.ledger import SqliteLedger
from tradebot.app.wiring import App
from tradebot.desk import broker_consistency, pass_result
from tradebot.model.order import Order
from tradebot.orders import separate_protection
from tradebot.ports.broker import BrokerReader
from tradebot.reconciliation import catch_up

SYMBOL = AT.symbols[0]
MISSING, LATE, OLD, TWICE = "missing", "a minute late", "a quarter of an hour old", "twice"
TURNED = "on the other side"
OLDER = "an hour old"
_LATE, _OLD = {"stale_account": "70s"}, {"stale_account": "15m"}
_ROWS: dict[str, Any] = {MISSING: "missing_rows", LATE: _LATE, OLD: _OLD}
SOURCES: Mapping[str, Mapping[str, Any]] = {
    "orders": _ROWS | {TWICE: {"repeated_rows": "qty"}},
    # Where the history tells of an order, an old one doesn't know it.
    "order": {
        **({} if AT is KRAKEN else {MISSING: "not_found"}),
        LATE: _LATE,
        OLD: _OLD,
        OLDER: {"stale_account": "1h"},
    },
    "positions": _ROWS | {TWICE: {"repeated_rows": "qty"}, TURNED: "opposite_side"},
    "activities": _ROWS | {TWICE: "repeated_rows"},
    "account": {LATE: _LATE, OLD: _OLD},
    "snapshots": {} if "stale quotes" in AT.leaves_out else {OLD: {"stale_quotes": "15m"}},
}
ENTERING, CANCELED, CLOSING = "while an entry fills", "while the venue cancels a stop", "while all is closed"
MOMENTS = (ENTERING, CANCELED, CLOSING)
ROUNDS, ROUND_S = 6, 60
CALM = 4
MOST_SENT, MOST_SENT_IN_DOUBT = 5, 8
"""How many orders a case takes at most: an entry, a stop, another one for what was canceled, and closes.

Where two sources are wrong together, stops that can only reduce are placed for what may be gone: the lesser evil.
"""


class Case(NamedTuple):
    """A source, what is wrong with it, and when; with another one that is wrong too, or without."""

    source: str
    wrong: str
    moment: str
    beside: tuple[str, str] | None = None

    @property
    def lies(self) -> Sequence[tuple[str, str]]:
        """Return each source with what is wrong with it."""
        return ((self.source, self.wrong), *([self.beside] if self.beside else []))

    @property
    def name(self) -> str:
        return f"{' and '.join(' '.join(one) for one in self.lies)} {self.moment}"


BESIDE = [
    ("activities", MISSING, ("order", OLD)),
    ("orders", LATE, ("order", LATE)),
    ("orders", MISSING, ("order", OLD)),
]
"""Sources that are wrong together, while two others prove the opposite."""
CASES = (
    *(
        Case(source, wrong, moment)
        for source, moment in product(SOURCES, MOMENTS)
        for wrong in SOURCES[source]
        # Nothing is bought at old prices.
        if (source, moment) != ("snapshots", ENTERING)
    ),
    *(Case(source, wrong, moment, beside) for (source, wrong, beside), moment in product(BESIDE, MOMENTS)),
)


class Found(NamedTuple):
    """What became of a case: for how long shares had no stop, how long that was told, and what was wrong."""

    case: Case
    bare_s: float
    told_s: float
    problems: tuple[str, ...]


class Play:
    """A case as it is played: its bot, and what was seen of it on the way."""

    def __init__(self, stage: Stage, case: Case, number: int) -> None:
        self.case, self.stage = case, stage
        self.trader = Trader(stage, stage.bot(f"source-{number}"))
        self.problems = list[str]()
        self.ended_well = False

    def begin(self) -> None:
        """Open a position, with the source right or wrong by then."""
        self.trader.reconciles()
        if self.case.moment == ENTERING:
            self.lie()
        self.trader.buys(SYMBOL)

    def hold(self) -> None:
        """Let the bot protect what it holds."""
        if self.case.moment != ENTERING:
            self.trader.reconciles()
            self.trader.exits()

    def begin_to_lie(self) -> None:
        """Let the source be wrong from now on, where it isn't yet, once the bot has seen what rests."""
        if self.case.moment != ENTERING:
            self.trader.exits()
            self.lie()

    def come(self) -> None:
        """Let happen what the source may not tell."""
        if self.case.moment == CANCELED:
            self.trader.does(cancel_stops)
        elif self.case.moment == CLOSING:
            self.ended_well = self.trader.flattens().code == 0

    def lie(self) -> None:
        """Let the source be wrong from now on."""
        for source, wrong in self.case.lies:
            self.trader.trouble(SOURCES[source][wrong], request=source)

    def judged(self) -> Found:
        """Return what the exchange's log says of it."""
        trader, told = self.trader, self.trader.told()
        if told.posts.total() > (MOST_SENT_IN_DOUBT if self.case.beside else MOST_SENT):
            self.problems.append(f"{told.posts.total()} orders were sent, as if what rests had to be placed again")
        if not told.fills:
            self.problems.append("nothing was bought")
        elif self.ended_well and Decimal(told.fills[-1]["position"]):
            self.problems.append(f"flatten ended well, and {told.fills[-1]['position']} are held")
        with closing(SqliteLedger.open(trader.folder, read_only=True)) as ledger:
            found = [*told.doubles, *judge.turned(told), *judge.lost_fills(told, ledger)]
        unrecorded = judge.unrecorded(told, judge.Promises(trader.folder).now())
        found += [one for one in unrecorded if self.case.moment != CANCELED or "DELETE" not in one]
        lots = Lots(trader.bot.number)
        for event in self.stage.log(trader.bot.number):
            if event.get("account") in (None, "", trader.bot.number):
                lots.add(event)
        # Each pass was lied to by one source, and another one was right: that is no excuse, unless no other is asked.
        if self.case.source != "orders":
            lots.lied.clear()
        gaps = protection.told_by(trader.folder)
        sessions = protection.sessions_of(self.stage.exchange)
        law = protection.Law(lots, sessions, gaps, protection.passes_of(trader.folder)).judge()
        spans = sum(((one.until or lots.now or one.at) - one.since for one in gaps), timedelta())
        bare = max(law.longest_s.values(), default=0.0)
        return Found(self.case, bare, spans.total_seconds(), (*self.problems, *found, *law.problems))


def cancel_stops(app: App) -> int:
    """Cancel the stops of the bot's account, as the venue may by itself."""
    for order in app.ledger.orders(working=True):
        if order.leads_pair or order.stop_price is not None:
            app.world(proposing=False).orders.cancel(Ended(order))  # type: ignore[union-attr]
    return 0


class Ended:
    """What an adapter needs to know to cancel an order."""

    def __init__(self, order: Order) -> None:
        self.target_venue_id = order.venue_id


def play(cases: Sequence[Case]) -> list[Found]:
    """Play cases side by side at one exchange, and return what became of them."""
    with set_up(kind=NearStage) as stage:
        plays = [Play(stage, case, number) for number, case in enumerate(cases)]
        for each in plays:
            each.begin()
        stage.tick(seconds=120)
        for each in plays:
            each.hold()
        stage.tick(seconds=75)
        for each in plays:
            each.begin_to_lie()
        stage.tick(seconds=5)
        for each in plays:
            each.come()
        for _ in range(ROUNDS):
            stage.tick(seconds=ROUND_S)
            for each in plays:
                each.trader.exits()
        for each in plays:
            each.trader.calm()
        for _ in range(CALM):
            stage.tick(seconds=ROUND_S)
            for each in plays:
                each.trader.exits()
                each.trader.reconciles()
        for each in plays:
            if (said := each.trader.reconciles()).code:
                each.problems.append(f"once the source was right, a comparison ended with {said.code}: {said.err}")
        return [each.judged() for each in plays]


BELIEVED: Mapping[ModuleType, Sequence[str]] = {
    broker_consistency: ("proven_fills", "with_doubts"),
    pass_result: ("reported_fills",),
    catch_up: ("_query_orders",),
    separate_protection: ("seen_fills",),
}


def believe_lists() -> None:
    """Let a bot take what no list of fills tells for unfilled, and a list or an old answer for the truth of a stop."""
    vars(broker_consistency)["proven_fills"] = lambda *given: ()
    vars(broker_consistency)["with_doubts"] = lambda reader, books, *given: books
    vars(pass_result)["reported_fills"] = lambda *given: ()
    vars(catch_up)["_query_orders"] = _each_alone
    vars(separate_protection)["seen_fills"] = lambda *given: ()


def _each_alone(reader: BrokerReader, gone: Sequence[Order]) -> list[tuple[Order, Order | None]]:
    return [(order, reader.order(order.client_order_id)) for order in gone]


def told(venue: str, every: Sequence[Case], plays: Callable[[Sequence[Case]], Sequence[Found]]) -> int:
    """Play what the arguments say, and tell what became of each case."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("words", nargs="*", help="play only the cases with these words in their names")
    parser.add_argument("--control", action="store_true", help="break the bot")
    parser.add_argument("--table", action="store_true", help="print a line for each case")
    asked, found = parser.parse_args(), list[Found]()
    if asked.control:
        believe_lists()
    cases = [case for case in every if all(word in case.name for word in asked.words)]
    for moment in MOMENTS:
        found += plays([case for case in cases if case.moment == moment])
    wrong = {one.case.name: one.problems for one in found if one.problems}
    if asked.table:
        for one in found:
            spans = f"bare {one.bare_s:4.0f} s, told {one.told_s:4.0f} s"
            print(f"{one.case.name:60} {spans}  {'; '.join(one.problems)}")
    else:
        longest = max((one.bare_s for one in found), default=0)
        print(json.dumps({"venue": venue, "cases": len(found), "longest_s": longest, "wrong": wrong}))
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(told(AT.name, CASES, play))
