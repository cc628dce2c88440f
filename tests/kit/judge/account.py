"""The judge of every campaign: what an exchange's own log says of one account, against what the bot's books promised.

The log decides what happened. Of the bot only its journal and its ledger are read, as files, and never its reports.
"""

import json
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from pathlib import Path
from typing import Any

from tests.kit.judge.pairs import Groups
from tests.kit.venues import AT
from tradebot.adapters.ledger.ledger import SqliteLedger
from tradebot.model.candidate import Purpose
from tradebot.model.intent import Intent, Operation, mark_of
from tradebot.model.position import Origin
from tradebot.model.venue import Settlement

Event = Mapping[str, Any]
ENDED = ("filled", "canceled", "expired", "rejected", "replaced")
SHOWN = ("symbol", "side", "type", "time_in_force", "qty", "limit_price")
"""The fields of an order that must be those of the run that never crashed."""


@dataclass
class Account:
    """What the log tells of one account."""

    posts: Counter[str] = field(default_factory=Counter)
    deletes: set[str] = field(default_factory=set)
    doubles: list[str] = field(default_factory=list)
    accepted: list[Event] = field(default_factory=list)
    fills: list[Event] = field(default_factory=list)
    status: dict[str, str] = field(default_factory=dict)
    groups: Groups = field(default_factory=Groups)
    cash: Decimal | None = None

    def add(self, event: Event) -> None:
        """Take one line of the log in."""
        what = event["event"]
        if "cash" in event:
            self.cash = Decimal(event["cash"])
        if (asked := AT.asked(event)) is not None:
            if asked.target:
                self.deletes.add(asked.target)
            else:
                self.posts[asked.client_order_id] += 1
        elif "order_id" in event:
            self.groups.add(event)
            if what == "order_accepted":
                self.doubles += [f"{event['client_order_id']} beside {twin}" for twin in self._working_twins(event)]
                self.accepted.append(event)
            self.status[event["order_id"]] = event["status"]
            self.fills += [event] if what == "fill" else []

    def _working_twins(self, order: Event) -> list[str]:
        """Return a strategy's orders of the same symbol and side that may still fill; it may take the place of one.

        A pair is one order. Beside pairs there may be others, as long as all of them sell no more than is held.
        """
        first = self.groups.first
        others = (o for o in self.accepted if first[o["order_id"]] != first[order["order_id"]])
        same = [o for o in others if _kind(o) == _kind(order) and self.status[o["order_id"]] not in ENDED]
        if order.get("reduce_only"):
            return []
        if any(self.groups.protects(one) for one in (order, *same)):
            claims = self.groups.working(order["symbol"], order["side"])
            same = same if sum(claims.values()) > abs(self.groups.held[order["symbol"]]) else []
        return [one["client_order_id"] for one in same]

    @property
    def traded(self) -> Mapping[tuple[str, str], Decimal]:
        """Return the quantity that was filled of each symbol and side."""
        total: dict[tuple[str, str], Decimal] = defaultdict(Decimal)
        for fill in self.fills:
            total[fill["symbol"], fill["side"]] += Decimal(fill["fill_qty"])
        return total


def _kind(order: Event) -> tuple[str, str, str]:
    mark = mark_of(order["client_order_id"])
    return mark.strategy if mark else "", order["symbol"], order["side"]


def accounts(events: Iterable[Event]) -> Mapping[str, Account]:
    """Return what a log tells of each account, by its number."""
    found: dict[str, Account] = defaultdict(Account)
    for event in events:
        if event.get("account"):
            found[event["account"]].add(event)
    return found


class Promises:
    """What a journal promised, in lines that are whole: orders, prices and retries by their id, cancels by target."""

    def __init__(self, folder: Path) -> None:
        self.posts: Counter[str] = Counter()
        self.cancels: set[str] = set()
        self._path = folder / "journal.jsonl"
        self._read = 0

    def now(self) -> "Promises":
        """Read what was appended since, and return itself; a torn last line is no promise yet."""
        with self._path.open("rb") as file:
            file.seek(self._read)
            for line in file:
                if not line.endswith(b"\n"):
                    break
                self._read += len(line)
                self._add(json.loads(line))
        return self

    def _add(self, record: Event) -> None:
        payload = record["payload"]
        if record["kind"] == "retried":
            self.posts[payload["client_order_id"]] += 1
        if record["kind"] == "promised" and payload["verdicts"]:
            intent = payload["intent"]
            self.posts[intent["client_order_id"]] += intent["operation"] != "cancel"
            self.cancels |= {intent["target_venue_id"]} - {None}


def unrecorded(account: Account, promises: Promises) -> Iterator[str]:
    """Yield each request to the venue that no earlier durable intent with verdicts covers.

    Asked right after each kill, this also tells the order in time: what the venue has by then, the disk had before.
    """
    for name, count in account.posts.items():
        if count > promises.posts[name]:
            yield f"{count} requests for {name}, {promises.posts[name]} promised"
    for target in account.deletes - promises.cancels:
        yield f"a DELETE of {target} that was not promised"


def doubled(account: Account, reference: Account, ledger: SqliteLedger) -> Iterator[str]:
    """Yield orders beside a working one of the same kind, trades beyond those of the spared run, turned positions.

    More may have been traded than there only where a cancel was promised and never arrived.
    """
    yield from account.doubles
    silent = _silent(ledger, account)
    for (symbol, side), quantity in account.traded.items():
        if quantity > reference.traded.get((symbol, side), 0) and symbol not in silent:
            yield f"{side} {quantity} {symbol}, {reference.traded.get((symbol, side), 0)} where nobody was killed"
    yield from accepted_twice(account)
    yield from turned(account)


def accepted_twice(account: Account) -> Iterator[str]:
    """Yield ids under which the venue accepted more than one order."""
    for name, count in Counter(order["client_order_id"] for order in account.accepted).items():
        if count > 1:
            yield f"{name} was accepted {count} times"


def turned(account: Account) -> Iterator[str]:
    """Yield positions that one fill took through zero: more was sold than was there, or bought back."""
    held: dict[str, Decimal] = defaultdict(Decimal)
    for fill in account.fills:
        after = Decimal(fill["position"])
        if held[fill["symbol"]] * after < 0:
            yield f"{fill['symbol']} was turned from {held[fill['symbol']]} to {after}"
        held[fill["symbol"]] = after


def lost_fills(account: Account, ledger: SqliteLedger) -> Iterator[str]:
    """Yield fills that only one side has, or that the two tell differently, and an unequal sum of cash."""
    told = {(AT.fill_id(f), _signed(f), Decimal(f["price"])) for f in account.fills}
    # A fill that is given to its owner late is one fill all the same: the pair that gives it moves no money.
    kept = {
        (o.fill.activity_id, o.fill.signed_quantity, o.fill.price)
        for o in ledger.fills()
        if o.origin is not Origin.GIVEN_BACK
    }
    for activity, quantity, price in told ^ kept:
        yield f"fill {activity} of {quantity} at {price} is {'lost' if (activity, quantity, price) in told else 'new'}"
    cash, theirs = _cash(ledger), account.cash
    if AT.settlement is Settlement.MARGINED and theirs is not None:
        # The venue realizes profit at the average price of a position, the books by lots: without either, both agree.
        theirs -= sum((Decimal(f["realized"]) for f in account.fills), Decimal(0))
    if account.fills and cash != theirs:
        yield f"the books have {cash} USD, the venue {theirs}"


def _signed(fill: Event) -> Decimal:
    return Decimal(fill["fill_qty"]) * (1 if fill["side"] == "buy" else -1)


def _cash(ledger: SqliteLedger) -> Decimal:
    """Return the cash in the books: of an account that pays, what fills have left; on margin, what else moved it.

    That is fees and funding. What fills realize is proven by the fills.
    """
    if AT.settlement is Settlement.PAID:
        return ledger.opening_cash() - sum((o.fill.signed_quantity * o.fill.price for o in ledger.fills()), Decimal(0))
    return ledger.opening_cash() - ledger.totals().fees + ledger.cash_adjustments()


def halted_entries(events: Iterable[Event], number: str, spans: Sequence[tuple[int, int]]) -> Iterator[str]:
    """Yield entries that the venue took between the line at which a halt had returned and that of its end."""
    for event in events:
        accepted = event["event"] == "order_accepted" and event["account"] == number
        halted = any(first < event["seq"] <= last for first, last in spans)
        if accepted and halted and ".OPEN." in event["client_order_id"]:
            yield f"{event['client_order_id']} at line {event['seq']}, while halted"


def differences(account: Account, reference: Account, ledger: SqliteLedger, promises: Promises) -> Iterator[str]:
    """Yield what differs from the run that never crashed, field by field, and is not explained by a cut-short request.

    An order may be missing where one of its symbol was promised and never arrived: it is not sent a second time.
    An order may have ended otherwise where its cancel was promised and never arrived. An exit that was sent again went
    out late, at the price of then, and may have been cancelled and priced again, so it and what takes its place have
    their own prices and ends.
    """
    silent = _silent(ledger, account)
    late, after_late = _late(account, promises)
    ours, theirs = _listed(account), _listed(reference)
    for place, order in theirs.items():
        if place not in ours:
            if place[0] not in silent:
                yield f"{' '.join(map(str, place))} is missing, and nothing was cut short in {place[0]}"
            continue
        # Where a request isn't sent again, another one is decided on later, at the price of then.
        follows = ours[place]["order_id"] in late | after_late or (place[0] in silent and not AT.repeats)
        shown = (name for name in SHOWN if not (follows and name == "limit_price"))
        fields = [name for name in shown if ours[place][name] != order[name]]
        if fields:
            yield f"{place}: {[(name, ours[place][name], order[name]) for name in fields]}"
        ended = account.status[ours[place]["order_id"]], reference.status[order["order_id"]]
        excused = place[0] in silent or ours[place]["order_id"] in late | after_late
        if ended[0] != ended[1] and not excused:
            yield f"{place} ended {ended[0]}, not {ended[1]}"
    known = {order.venue_id: order.status.value for order in ledger.orders()}
    for venue_id, status in account.status.items():
        if known.get(venue_id) != status:
            yield f"order {venue_id} is {status} at the venue and {known.get(venue_id)} in the books"


def _late(account: Account, promises: Promises) -> tuple[set[str], set[str]]:
    """Return the orders that were sent again, and those that took the place of one of them, by the venue's ids."""
    late, after = set[str](), set[str]()
    for order in account.accepted:
        if order.get("replaces") in late | after:
            after.add(order["order_id"])
        elif promises.posts[order["client_order_id"]] > 1:
            late.add(order["order_id"])
    return late, after


def _silent(ledger: SqliteLedger, account: Account) -> set[str]:
    """Return the symbols of which something was promised that never reached the venue."""
    intents = (record.intent for record in ledger.intents())
    return {intent.instrument.symbol for intent in intents if _never_arrived(intent, account)}


def _never_arrived(intent: Intent, account: Account) -> bool:
    if intent.operation is Operation.CANCEL:
        return intent.target_venue_id not in account.deletes
    return intent.client_order_id not in account.posts


def _listed(account: Account) -> Mapping[tuple[str, str, str, int], Event]:
    """Return the accepted orders by symbol, side, role and which one of these it is."""
    seen: Counter[tuple[str, str, str]] = Counter()
    found = {}
    for order in account.accepted:
        role = _role(order["client_order_id"])
        if role == Purpose.PROTECT.value and not AT.repeats:
            # Stops and targets are orders of their own, and one that isn't sent again lets the other one go first.
            role = f"{role} {order['type']}"
        place = (order["symbol"], order["side"], role)
        found[(*place, seen[place])] = order
        seen[place] += 1
    return found


def _role(client_order_id: str) -> str:
    return next((role.value for role in Purpose if f".{role.value[:5].upper()}." in client_order_id), "")
