"""Passes of a bot of futures that are killed or troubled: entries with their stops, changes, cancels, and rolls.

After each, a bot that is told the truth again has to end what was begun. The exchange's own log says whether the laws
of brackets and rolls have held.
"""

import itertools
import os
import random
import sys
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import closing
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any, NamedTuple

from tests.faults.controls import believe_the_orders
from tests.kit.bot.futures import INTO, LEFT, SIZE, FuturesDay, Pit, wants
from tests.kit.bot.near import KILLED, Verb, compares, exits
from tests.kit.values import Killed
from tradebot.model.account import ActivityKind
from tradebot.model.intent import LEG, Intent
from tradebot.model.order import Reply, WriteOutcome
from tradebot.model.position import Origin
from tradebot.orders import close_orders as closing_of
from tradebot.orders import entry_orders, exit_orders
from tradebot.venues.ibkr import orders as adapter
from tradebot.venues.ibkr.reader import IbkrReader

# What a Gateway may say that is not true: lists that lack something, lag, turn around, repeat, or never rest.

HELD = ["positions", "activities"]
ACCOUNT = ["orders", "positions", "activities", "account"]
Told = tuple[str | Sequence[str], str | Mapping[str, Any]]
"""What is asked, and what is told."""
PIT_LIES: Mapping[str, Told] = {
    "no open orders": ("orders", "missing_rows"),
    "open orders of a minute ago": ("orders", {"stale_account": "70s"}),
    "open orders of long ago": ("orders", {"stale_account": "15m"}),
    "open orders that stand still": ("orders", "stale_account"),
    "open orders twice": ("orders", {"repeated_rows": "qty"}),
    "a price that never rests": ("orders", {"restless_orders": "limit_price"}),
    "a quantity that never rests": ("orders", {"restless_orders": "qty"}),
    "a status that never rests": ("orders", {"restless_orders": "status"}),
    "no positions": ("positions", "missing_rows"),
    "no position in what is left": ("positions", {"missing_rows": None, "symbol": LEFT}),
    "no position in what comes next": ("positions", {"missing_rows": None, "symbol": INTO}),
    "positions of a minute ago": ("positions", {"stale_account": "70s"}),
    "positions that stand still": ("positions", "stale_account"),
    "positions on the other side": ("positions", "opposite_side"),
    "positions twice": ("positions", {"repeated_rows": "qty"}),
    "executions not told": ("activities", "missing_rows"),
    "executions of a minute ago": ("activities", {"stale_account": "70s"}),
    "executions that stand still": ("activities", "stale_account"),
    "executions twice": ("activities", "repeated_rows"),
    "positions and executions gone": (HELD, "missing_rows"),
    "positions and executions of a minute ago": (HELD, {"stale_account": "70s"}),
    "positions and executions that stand still": (HELD, "stale_account"),
    "orders and positions gone": (["orders", "positions"], "missing_rows"),
    "everything of five minutes ago": (ACCOUNT, {"stale_account": "5m"}),
    "everything stands still": (ACCOUNT, "stale_account"),
}
PLACES: Sequence[Mapping[str, int]] = ({"nth": 1}, {"nth": 2}, {"to": 3}, {}, {}, {}, {})
"""One reading, those of about a pass, or every one until the lie ends."""


def rules(chance: random.Random, name: str) -> Iterator[Mapping[str, Any]]:
    """Yield the rules of a lie, one for each list that lies; all hold for the same readings."""
    requests, told = PIT_LIES[name]
    place = chance.choice(PLACES)
    for request in [requests] if isinstance(requests, str) else requests:
        yield {"when": {"request": request, **place}, "what": told}


Event = Mapping[str, Any]
NO_TIME, BARE_FOR = timedelta(0), timedelta(minutes=6)
"""For so long something may be held without a stop at work: not at all if nothing but kills befalls a bot, and else
until what is of unknown fate has been looked up.
"""
ENDED = ("filled", "canceled", "expired", "rejected")
FIRINGS, SHARE_KILLED = ("fault_fired", "fault_counted"), 0.4
LOST: Mapping[str, Any] = {"when": {"request": "submit", "nth": 2}, "what": "reply_lost"}
"""The answer to the second message of an entry, its stop."""
UNLISTED: Mapping[str, Any] = {"when": {"request": "orders"}, "what": "missing_rows"}
"""All open orders."""


class Pass(NamedTuple):
    """With which books a pass begins, what it wants, and whether it is one of entries."""

    begins: str
    wanted: Mapping[str, str]
    enters: bool
    rolls: bool = False


PASSES: Mapping[str, Pass] = {
    "enters": Pass("flat", {LEFT: "buy"}, enters=True),
    "cancels": Pass("resting", {}, enters=False),
    "leaves": Pass("rolls", {}, enters=False, rolls=True),
    "changes": Pass("leaving", {}, enters=False, rolls=True),
    "opens": Pass("has closed", {}, enters=True, rolls=True),
}
LIES: Sequence[Mapping[str, Any]] = [
    {"when": {"request": kind}, "what": what}
    for kind in ("orders", "positions", "activities")
    for what in ("missing_rows", {"stale_account": "70s"}, "truncated_json")
]
TROUBLES: list[Mapping[str, Any]] = [
    {"when": {"request": kind, "nth": 1}, "what": what}
    for kind in ("submit", "replace", "cancel")
    for what in (
        "reply_lost",
        {"reset": "before"},
        "reset",
        {"hang": "30s"},
        {"status": 504},
        {"late_arrival": "90s"},
        {"late_arrival": "5m"},
        "reject_after_acceptance",
    )
]
TROUBLES += [
    {"when": {"request": kind}, "what": what}
    for kind, what in (
        ("submit", {"connection_lost": "2m"}),
        ("submit", "corrected_execution"),
        ("any read", "reset"),
        ("any read", {"hang": "30s"}),
        ("clock", {"clock_skew": "1h"}),
        ("account", {"missing_field": "NetLiquidation"}),
        ("orders", {"missing_field": "permId"}),
        ("activities", {"missing_field": "price"}),
    )
]
"""What may befall a pass: messages that are lost, late or cut, answers that aren't true, and a Gateway that is away."""


class Kill:
    """Ends a process at the n-th failpoint that it reaches; 0 lets it live. `reached` are those that it came to."""

    def __init__(self, number: int = 0) -> None:
        self._number = number
        self.reached: list[str] = []

    def __call__(self, point: str) -> None:
        """Be told of a point; nothing of a dead process reaches a later one."""
        self.reached.append(point)
        if self._number and len(self.reached) >= self._number:
            raise Killed


def verb_of(day: FuturesDay, one: Pass) -> Verb:
    """Return what a pass runs."""
    return wants(day.folder.parent, one.wanted) if one.enters else exits


def recovered(day: FuturesDay, *, rolls: bool) -> None:
    """Let all trouble end, and the bot go on until it has looked up what it doesn't know."""
    day.calm()
    day.tick(seconds=130)
    day.passes(compares, exits)
    for _ in range(3 if rolls else 1):
        day.tick(seconds=130)
        day.passes(compares, wants(day.folder.parent, {}), exits)
    if rolls:
        day.passes(wants(day.folder.parent, {}), exits, compares)


def broken(day: FuturesDay, one: Pass, *, completes: bool, longest: timedelta | None = None) -> Iterator[str]:
    """Yield each law that a day has broken; a roll has to be complete if nothing but kills has befallen it.

    Nothing is held without a stop for longer than the `longest`, by default no time at all if only kills befell it.
    """
    longest = (NO_TIME if completes else BARE_FOR) if longest is None else longest
    events = day.events()
    yield from day.problems
    yield from naked(events)
    yield from doubled(events)
    yield from bare(events, day.now, longest)
    yield from lost(events, day)
    held = held_by(events)
    if one.rolls and completes and (held[LEFT], held[INTO]) != (Decimal(0), Decimal(SIZE)):
        yield f"{held[LEFT]} {LEFT} and {held[INTO]} {INTO} are held once it has rolled"


def held_by(events: Iterable[Event]) -> Mapping[str, Decimal]:
    """Return what the log's last fills leave of each symbol."""
    held = defaultdict[str, Decimal](Decimal)
    held.update({event["symbol"]: Decimal(event["position"]) for event in events if event["event"] == "fill"})
    return held


def naked(events: Iterable[Event]) -> Iterator[str]:
    """Yield entries that worked without a stop of their size that hangs on them."""
    stops = dict[str, Event]()
    for event in events:
        if event["event"] == "order_held":
            stops[event["parent_id"]] = event
        works = event["event"] == "order_new" and is_entry(event)
        if works and (stop := stops.get(event["order_id"], {})).get("qty") != event["qty"]:
            yield f"{event['client_order_id']} worked with a stop of {stop.get('qty')}, not {event['qty']}"


def is_entry(event: Event) -> bool:
    """Return True if an order opens a position."""
    return ".OPEN." in event["client_order_id"] and not event["client_order_id"].startswith(LEG)


def doubled(events: Iterable[Event]) -> Iterator[str]:
    """Yield ids that made two orders, entries beside a working one, positions that are too large, and turned ones."""
    working, names, held = dict[str, Event](), Counter[str](), defaultdict[str, Decimal](Decimal)
    for event in (event for event in events if "order_id" in event):
        if event["event"] == "order_accepted":
            names[event["client_order_id"]] += 1
            others = [one for one in working.values() if one["symbol"] == event["symbol"] and is_entry(one)]
            if is_entry(event) and others:
                yield f"{event['client_order_id']} beside {others[0]['client_order_id']}"
        working[event["order_id"]] = event
        if event["status"] in ENDED:
            del working[event["order_id"]]
        if event["event"] == "fill":
            after, before = Decimal(event["position"]), held[event["symbol"]]
            if after * before < 0 or abs(after) > SIZE or (is_entry(event) and abs(after) < abs(before)):
                yield f"{event['symbol']} went from {before} to {after}"
            held[event["symbol"]] = after
    yield from (f"{name} made {count} orders" for name, count in names.items() if count > 1)


def bare(events: Sequence[Event], now: datetime, longest: timedelta) -> Iterator[str]:
    """Yield what was held for too long without stops at work for all of it: an exit at work is none."""
    for symbol, quantity, began, at in gaps(events, now, longest):
        yield f"{quantity} {symbol} had no stop for all of it from {began:%H:%M:%S} to {at:%H:%M:%S}"


def gaps(
    events: Sequence[Event], now: datetime, longest: timedelta
) -> Iterator[tuple[str, Decimal, datetime, datetime]]:
    """Yield each span in which more was held of a symbol than its stops are for, if it is longer than that."""
    held, since = defaultdict[str, Decimal](Decimal), dict[str, datetime]()
    ending: dict[str, dict[str, Event]] = defaultdict(dict)
    moments = itertools.groupby((event for event in events if "order_id" in event), key=lambda event: event["at"])
    for at, group in [*((datetime.fromisoformat(at), [*group]) for at, group in moments), (now, [])]:
        for symbol, began in since.items():
            if at - began > longest:
                yield symbol, held[symbol], began, at
        for event in group:
            orders = ending[event["symbol"]]
            works = event["status"] in ("new", "partially_filled", "pending_cancel", "accepted")
            if works and not is_entry(event) and event["type"] in ("stop", "limit", "market"):
                orders[event["order_id"]] = event
            elif event["status"] != "held":
                orders.pop(event["order_id"], None)
            if event["event"] == "fill":
                held[event["symbol"]] = Decimal(event["position"])
        for symbol, quantity in held.items():
            covered = sum(
                Decimal(order["qty"]) - Decimal(order["filled_qty"])
                for order in ending[symbol].values()
                if order["type"] == "stop"
            )
            if covered < abs(quantity):
                since.setdefault(symbol, at)
            else:
                since.pop(symbol, None)


def lost(events: Sequence[Event], day: FuturesDay) -> Iterator[str]:
    """Yield fills that only the log or only the books have, and what executions cost otherwise in the books.

    The books may have a corrected execution as it was or as it is; what it costs has to be what it is.
    """
    prices = {event["activity_id"]: [Decimal(event["price"])] for event in events if event["event"] == "fill"}
    for event in events:
        if event["event"] == "trade_correct":
            prices[event["activity_id"]] = prices[event["previous_id"]]
            prices[event["activity_id"]].append(Decimal(event["price"]))
    fills = [event for event in events if event["event"] == "fill"]
    signed = [Decimal(event["fill_qty"]) * (1 if event["side"] == "buy" else -1) for event in fills]
    told = Counter((event["symbol"], quantity) for event, quantity in zip(fills, signed, strict=True))
    with closing(day.ledger()) as ledger:
        booked, corrections = ledger.fills(), ledger.booked().values()
        executed = [one.fill for one in booked if one.origin is Origin.VENUE]
    kept = Counter((fill.symbol, fill.signed_quantity) for fill in executed)
    yield from (f"fill {fill} is lost" for fill in told - kept)
    yield from (f"fill {fill} was never made" for fill in kept - told)
    possible = {(event["symbol"], price) for event in fills for price in prices[event["activity_id"]]}
    invented = {(fill.symbol, fill.price) for fill in executed} - possible
    yield from (f"{symbol} never traded at {price}" for symbol, price in invented)
    if told == kept:
        units = {fill.symbol: fill.multiplier for fill in executed}
        last = [prices[event["activity_id"]][-1] * units[event["symbol"]] for event in fills]
        cost = sum((quantity * price for quantity, price in zip(signed, last, strict=True)), Decimal(0))
        paid = sum((one.amount for one in corrections if one.meaning is ActivityKind.CORRECTION), Decimal(0))
        ours = sum((one.fill.notional for one in booked), -paid)
        if ours != cost:
            yield f"executions cost {cost}, and {ours} by the books"


def killed_at_each(pit: Pit, name: str, wanted: Callable[[str, int], bool]) -> tuple[Counter[str], list[str]]:
    """Let a pass live, and kill it at each point that is wanted; return the points, and what was broken after all."""
    one, spared = PASSES[name], Kill()
    day = pit.day(one.begins)
    day.run(verb_of(day, one), spared)
    points = [*spared.reached]
    recovered(day, rolls=one.rolls)
    problems = [f"{name}, spared: {told}" for told in broken(day, one, completes=True)]
    hit = Counter[str]()
    for number, point in enumerate(points, 1):
        if not wanted(point, number):
            continue
        day = pit.day(one.begins)
        code = day.run(verb_of(day, one), Kill(number))
        hit[point] += code == KILLED
        recovered(day, rolls=one.rolls)
        problems += [f"{name}, killed at {number} {point}: {told}" for told in broken(day, one, completes=True)]
    return hit, problems


def troubled(pit: Pit, name: str, troubles: Sequence[Mapping[str, Any]], kill: int = 0) -> tuple[set[str], list[str]]:
    """Play a pass with troubles, and recover; return what has befallen it, and what was broken after all."""
    one, day, fate = PASSES[name], pit.day(PASSES[name].begins), Kill(kill)
    day.arm([{"name": f"t{number}", **trouble} for number, trouble in enumerate(troubles)])
    killed = {"killed"} if day.run(verb_of(day, one), fate) == KILLED else set()
    day.tick(seconds=61)
    day.run(exits)
    rules = {event["rule"] for event in day.events() if event["event"] in FIRINGS}
    fired = {str(trouble["what"]) for number, trouble in enumerate(troubles) if f"t{number}" in rules}
    recovered(day, rolls=one.rolls)
    return fired | killed, [f"{name}, {troubles}, {kill}: {told}" for told in broken(day, one, completes=not troubles)]


def lied_to(pit: Pit, seed: int, lie: str) -> tuple[set[str], list[str]]:
    """Play a pass that is told a lie; the seed draws which pass, and for how long it is told."""
    chance = random.Random(f"{lie} {seed}")
    return troubled(pit, chance.choice([*PASSES]), [*rules(chance, lie)])


def drawn(pit: Pit, seed: int) -> tuple[set[str], list[str]]:
    """Play a pass with troubles that are drawn from a seed."""
    chance = random.Random(f"brackets {seed}")
    troubles = chance.sample([*TROUBLES, *LIES], chance.choice((1, 1, 2)))
    kill = chance.randint(1, 60) if chance.random() < SHARE_KILLED else 0
    return troubled(pit, chance.choice([*PASSES]), troubles, kill)


def works_alone() -> None:
    """Let an entry work before its stop has come."""
    honest = vars(adapter)["_order"]

    def alone(*given: Any, transmit: bool = True) -> Any:
        return honest(*given)

    vars(adapter)["_order"] = alone


def sent_again() -> None:
    """Send an order again whose answer was lost."""
    honest = adapter.IbkrOrders.submit

    def twice(self: adapter.IbkrOrders, intent: Intent) -> Reply:
        reply = honest(self, intent)
        return honest(self, intent) if reply.outcome is WriteOutcome.UNKNOWN else reply

    adapter.IbkrOrders.submit = twice  # type: ignore[method-assign]


def newest_fill_forgotten() -> None:
    """Leave out the newest fill."""
    honest = IbkrReader.fills
    IbkrReader.fills = lambda self, after: honest(self, after)[:-1]  # type: ignore[method-assign]


def without_stops() -> None:
    """Open without a stop, and let none rest."""
    honest = adapter.IbkrOrders.submit

    def bare_one(self: adapter.IbkrOrders, intent: Intent) -> Reply:
        if intent.protects:
            return Reply(WriteOutcome.REJECTED, code="not_sent", message="it is not to rest")
        return honest(self, intent)

    vars(entry_orders)["_with_stop"] = lambda world, listing, entry, price: entry
    adapter.IbkrOrders.submit = bare_one  # type: ignore[method-assign]


def half_a_stop() -> None:
    """Open with a stop for one contract less, and let none rest for it."""
    honest, submit = vars(adapter)["_stop"], adapter.IbkrOrders.submit

    def smaller(line: Any, intent: Intent, parent: Any) -> Any:
        stop = honest(line, intent, parent)
        stop.totalQuantity -= 1
        return stop

    def only_entries(self: adapter.IbkrOrders, intent: Intent) -> Reply:
        if intent.protects:
            return Reply(WriteOutcome.REJECTED, code="not_sent", message="it is not to rest")
        return submit(self, intent)

    vars(adapter)["_stop"] = smaller
    adapter.IbkrOrders.submit = only_entries  # type: ignore[method-assign]


def cancels_the_stop_first() -> None:
    """Let no exit join the group of a stop."""
    vars(closing_of)["joinable_stop_id"] = lambda world, pair: ""


def never_leaves() -> None:
    """Hold contracts until they end."""
    vars(exit_orders)["roll_due"] = lambda desk, position: None


CONTROLS: Mapping[Callable[[], None], tuple[str, Sequence[Mapping[str, Any]], str]] = {
    works_alone: ("enters", (), "worked with a stop of None"),
    newest_fill_forgotten: ("opens", (), "is lost"),
    sent_again: ("enters", (LOST,), "beside"),
    without_stops: ("enters", (), "had no stop for all"),
    half_a_stop: ("enters", (), "had no stop for all"),
    cancels_the_stop_first: ("leaves", (), "had no stop for all"),
    never_leaves: ("leaves", (), "once it has rolled"),
    believe_the_orders: ("leaves", (UNLISTED,), f"{INTO} went from {SIZE} to"),
}
"""Bots broken on purpose, with the pass that shows it, what befalls that, and what has to be said."""


def caught(control: Callable[[], None], play: Callable[[], Sequence[str]]) -> list[str]:
    """Break the bot in a child, play there, and return what was found."""
    reader, writer = os.pipe()
    child = os.fork()
    if not child:
        try:
            control()
            os.write(writer, "\n".join(play()[:20]).encode()[:60_000])
        finally:
            os._exit(1 if sys.exc_info()[0] else 0)
    os.close(writer)
    with os.fdopen(reader) as pipe:
        found = pipe.read().splitlines()
    assert os.waitpid(child, 0)[1] == 0, "the child failed, so that nothing was judged"
    return found
