"""The zeros of a seeded schedule, each told from the exchange's own log.

Nothing stands beside a schedule to compare it with: each draw is another day. So the judge knows what no day may hold.
"""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from decimal import Decimal
from typing import Any

from tests.faults import judge
from tests.faults.ground import STOP, Day, Span
from tradebot.adapters.ledger import SqliteLedger
from tradebot.exchange.market.sessions import Calendar
from tradebot.exchange.times import parse_time

Event = Mapping[str, Any]
OPEN, CLOSE = ".OPEN.", ".CLOSE."
Lots = list[tuple[Decimal, Decimal]]
"""Signed quantities with what each cost, oldest first."""


def doubled(events: Sequence[Event], account: judge.Account) -> Iterator[str]:
    """Yield entries beside a position or another entry, exits beside another exit, ids that were taken twice."""
    yield from account.doubles
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


def grown(events: Iterable[Event]) -> Iterator[str]:
    """Yield fills of exits that did not bring a position nearer to nothing."""
    held: dict[str, Decimal] = defaultdict(Decimal)
    for event in events:
        if event["event"] == "fill":
            before, after = held[event["symbol"]], Decimal(event["position"])
            if CLOSE in event["client_order_id"] and (abs(after) >= abs(before) or before * after < 0):
                yield f"{event['client_order_id']} took {event['symbol']} from {before} to {after}"
            held[event["symbol"]] = after


def halted(events: Iterable[Event], shut: Sequence[Span]) -> Iterator[str]:
    """Yield entries that were asked for while the bot was halted, but for one that was in flight by then."""
    lines = [event["seq"] for event in events if _asked_for(event) and OPEN in event["body"]]
    for span in shut:
        late = [line for line in lines if span.first <= line <= span.last]
        if len(late) > span.entries:
            yield f"{len(late)} entries asked for at lines {late}, halted since line {span.first}"


def outside(events: Iterable[Event], calendar: Calendar) -> Iterator[str]:
    """Yield orders that were sent while no session was open."""
    for event in events:
        if _asked_for(event) and not calendar.is_open(parse_time(event["at"])):
            yield f"an order was sent at {event['at']}, outside of the session: {event['body']}"


def _asked_for(event: Event) -> bool:
    changes = event["event"] == "request" and event["method"] in ("POST", "PATCH")
    return changes and event["path"].startswith("/v2/orders")


def untold(account: judge.Account, ledger: SqliteLedger) -> Iterator[str]:
    """Yield orders whose state the books do not have as the venue has it."""
    known = {order.venue_id: order.status.value for order in ledger.orders()}
    for venue_id, status in account.status.items():
        if known.get(venue_id) != status:
            yield f"order {venue_id} is {status} at the venue and {known.get(venue_id)} in the books"


def unexplained(findings: Iterable[Any], account: judge.Account) -> Iterator[str]:
    """Yield findings of a comparison, but for promises that never reached the venue and are still looked up.

    That a stop was passed while all slept is no difference: the passes of exits that follow are judged by it.
    """
    arrived = {order["client_order_id"] for order in account.accepted}
    for finding in findings:
        silent = finding.kind == "unresolved" and finding.subject not in arrived
        if not silent and finding.kind != "missing_stop":
            yield f"after one comparison: {finding.kind} {finding.subject}, {finding.ours} and {finding.broker}"


def unprotected(day: Day, events: Sequence[Event], flat: bool) -> Iterator[str]:
    """Yield positions past their stop, or all where the bot is to be flat, for which no exit is at the venue."""
    account = judge.accounts(events)[day.number]
    leaving = {o["symbol"] for o in account.accepted if CLOSE in o["client_order_id"] and _works(account, o)}
    for symbol, lots in _held(account.fills).items():
        if lots and symbol not in leaving and (flat or _past_stop(lots, *day.quote(symbol))):
            yield f"{sum(q for q, _ in lots)} {symbol} at {lots[0][1]} are past their stop, and no exit is on its way"


def _works(account: judge.Account, order: Event) -> bool:
    return account.status[order["order_id"]] not in judge.ENDED


def _held(fills: Iterable[Event]) -> Mapping[str, Lots]:
    held: dict[str, Lots] = defaultdict(list)
    for fill in fills:
        amount = Decimal(fill["fill_qty"]) * (1 if fill["side"] == "buy" else -1)
        lots = held[fill["symbol"]]
        while amount and lots and lots[0][0] * amount < 0:
            quantity, price = lots.pop(0)
            part = min(abs(quantity), abs(amount))
            if abs(quantity) > part:
                lots.insert(0, (quantity - part.copy_sign(quantity), price))
            amount -= part.copy_sign(amount)
        lots += [(amount, Decimal(fill["price"]))] if amount else []
    return held


def _past_stop(lots: Lots, bid: Decimal, ask: Decimal) -> bool:
    """Tell whether even the lot that lost least is past its stop, so that no way of averaging matters."""
    if lots[0][0] > 0:
        return all(bid <= price * (1 - STOP) for _, price in lots)
    return all(ask >= price * (1 + STOP) for _, price in lots)
