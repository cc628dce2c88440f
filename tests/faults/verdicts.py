"""The zeros of a seeded schedule, each told from the exchange's own log.

Nothing stands beside a schedule to compare it with: each draw is another day. So the judge knows what no day may hold.
"""

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from decimal import Decimal
from typing import Any

from papervenue.market.sessions import Calendar
from papervenue.times import parse_time
from tests.faults.ground import ScheduleDay, Span
from tests.kit import venues
from tests.kit.judge import account as judge
from tests.kit.judge import pairs
from tests.kit.venues import AT
from tradebot.adapters.ledger.ledger import SqliteLedger

Event = Mapping[str, Any]
OPEN, CLOSE = ".OPEN.", ".CLOSE."


def doubled(events: Sequence[Event], account: judge.Account) -> Iterator[str]:
    """Yield entries beside a position or another entry, exits beside another exit, ids that were taken twice."""
    yield from (double for double in account.doubles if not double.startswith((venues.STRANGER, venues.COPY)))
    held: dict[str, Decimal] = defaultdict(Decimal)
    working: dict[str, dict[str, str]] = defaultdict(dict)
    names: set[str] = set()
    for event in events:
        if event["event"] == "order_accepted":
            name, symbol = event["client_order_id"], event["symbol"]
            if name in names:
                yield f"{name} was accepted twice"
            names.add(name)
            if OPEN in name and (held[symbol] or any(OPEN in other for other in working[symbol].values())):
                yield f"{name} opens what is open: {held[symbol]} held, {sorted(working[symbol].values())} working"
            working[symbol][event["order_id"]] = name
        elif "order_id" in event and event["status"] in judge.ENDED:
            working[event["symbol"]].pop(event["order_id"], None)
        if event["event"] == "fill":
            held[event["symbol"]] = Decimal(event["position"])


def exits_beside(events: Iterable[Event]) -> Iterator[str]:
    """Yield exits that were asked for while another one of the symbol worked, whatever the venue said to them."""
    working: dict[str, dict[str, str]] = defaultdict(dict)
    for event in events:
        asked = AT.asked(event)
        if asked is not None and asked.is_new:
            others = set(working[asked.symbol].values()) - {asked.client_order_id}
            if CLOSE in asked.client_order_id and others:
                yield f"{asked.client_order_id} was asked for beside {sorted(others)}"
        elif "order_id" in event and CLOSE in event["client_order_id"]:
            working[event["symbol"]][event["order_id"]] = event["client_order_id"]
            if event["status"] in judge.ENDED:
                del working[event["symbol"]][event["order_id"]]


def above_limit(events: Iterable[Event], limit_usd: Decimal, first: int) -> Iterator[str]:
    """Yield entries with which what is held, what works and they themselves are worth more than a limit, in USD.

    Those before the `first` line were made under other limits. Shares count at what the last ones cost; a limit should
    leave room for what prices move in a day.
    """
    held: dict[str, Decimal] = defaultdict(Decimal)
    working: dict[str, Decimal] = {}
    for event in events:
        if "order_id" not in event:
            continue
        if event["event"] == "fill":
            held[event["symbol"]] = abs(Decimal(event["position"])) * Decimal(event["price"]) * AT.multiplier
        if OPEN in event["client_order_id"]:
            ended = event["status"] in judge.ENDED
            left = Decimal(event["qty"]) - Decimal(event["filled_qty"])
            working[event["order_id"]] = Decimal(0) if ended else left * Decimal(event["limit_price"]) * AT.multiplier
            total = sum(held.values(), Decimal(0)) + sum(working.values(), Decimal(0))
            if event["event"] == "order_accepted" and event["seq"] >= first and total > limit_usd:
                yield f"{event['client_order_id']} brought {total} USD into one sector, {limit_usd} are allowed"


def halted(events: Iterable[Event], shut: Sequence[Span]) -> Iterator[str]:
    """Yield entries that were asked for while the bot was halted, but for one that was in flight by then."""
    lines = [event["seq"] for event in events if OPEN in _asked_for(event)]
    for span in shut:
        late = [line for line in lines if span.first <= line <= span.last]
        if len(late) > span.entries:
            yield f"{len(late)} entries asked for at lines {late}, halted since line {span.first}"


def outside(events: Iterable[Event], calendar: Calendar) -> Iterator[str]:
    """Yield orders that were sent while no session was open."""
    for event in events:
        if _asked_for(event) and not calendar.is_open(parse_time(event["at"])):
            yield f"an order was sent at {event['at']}, outside of the session: {event}"


def _asked_for(event: Event) -> str:
    """Return the id under which an order or another price is asked for; empty if none is."""
    asked = AT.asked(event)
    return asked.client_order_id if asked is not None else ""


def untold(account: judge.Account, ledger: SqliteLedger) -> Iterator[str]:
    """Yield orders of ours whose state the books do not have as the venue has it."""
    known = {order.venue_id: order.status.value for order in ledger.orders()}
    strangers = {o["order_id"] for o in account.accepted if o["symbol"] == AT.stranger}
    for venue_id, status in account.status.items():
        if venue_id not in strangers and known.get(venue_id) != status:
            yield f"order {venue_id} is {status} at the venue and {known.get(venue_id)} in the books"


def unexplained(findings: Iterable[Any], account: judge.Account, events: Iterable[Event] = ()) -> Iterator[str]:
    """Yield findings of a comparison, but for promises that never reached the venue and are still looked up.

    That others order from the account is true. That a stop was passed while all slept is no difference: the passes of
    exits that follow are judged by it. Exits that both filled are found, because the venue told one of them late.
    """
    late = frozenset[str]().union(*map(pairs.told_late, events))
    arrived = {order["client_order_id"] for order in account.accepted}
    for finding in findings:
        silent = finding.kind == "unresolved" and finding.subject not in arrived
        others = finding.subject in (venues.STRANGER, venues.COPY)
        both_filled = finding.kind == "overfilled" and finding.subject in late
        if not (silent or others or both_filled) and finding.kind != "missing_stop":
            yield f"after one comparison: {finding.kind} {finding.subject}, {finding.ours} and {finding.broker}"


def unprotected(day: ScheduleDay, events: Sequence[Event], flat: bool) -> Iterator[str]:
    """Yield positions that lack a stop at the venue, or an exit where the bot is to be flat."""
    yield from pairs.bare([event for event in events if event.get("account") == day.number], flat=flat)


def unapproved(events: Iterable[Event], approved: Mapping[str, int], first: int) -> Iterator[str]:
    """Yield the symbols that more orders opened, from a line of the log on, than a person had said yes to."""
    opened = Counter[str]()
    for event in events:
        if event["event"] == "order_accepted" and event["seq"] >= first and not event.get("replaces"):
            name = event["client_order_id"]
            opened[event["symbol"]] += OPEN in name and not name.startswith((venues.STRANGER, venues.COPY))
    for symbol, orders in opened.items():
        if orders > approved.get(symbol, 0):
            yield f"{orders} orders open {symbol}, and a person said yes to {approved.get(symbol, 0)}"
