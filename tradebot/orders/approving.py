"""Judge entries, and ask a person about those that nothing else refuses, if the configuration says so.

The request is written before anything is told of it, and an order carries the id of the request that it was sent for:
so a yes makes one order, whatever is killed when. Nothing is closed to make room for an entry without a yes.
"""

import hashlib
from base64 import b32encode
from collections.abc import Iterable, Mapping, Sequence
from datetime import timedelta
from decimal import Decimal
from typing import NamedTuple

from tradebot.desk.proposals import kept
from tradebot.gates import approval
from tradebot.gates.decide import decide
from tradebot.gates.entry import AccountAsk, Ask
from tradebot.gates.own import GATES as OWN
from tradebot.gates.sizing import Size, entry_size, liquidity, stop_distance
from tradebot.model.approval import Request
from tradebot.model.candidate import Candidate, Purpose, WantKind
from tradebot.model.decision import Decision, Decisions, Gate, first_failure
from tradebot.model.event import EventKind
from tradebot.model.limits import ApprovalRules
from tradebot.model.reasons import Reason
from tradebot.model.values import replace
from tradebot.orders.sending import wanted_key
from tradebot.ports.world import Call, World

_ROOM = (
    Gate.OPEN_POSITIONS, Gate.SYMBOL_NOTIONAL, Gate.SECTOR_NOTIONAL, Gate.GROSS_NOTIONAL, Gate.THEME_NOTIONAL,
    Gate.NET_NOTIONAL, Gate.BETA_NOTIONAL, Gate.CONCENTRATION,
)  # fmt: skip
_MARGIN = (Gate.BUYING_POWER, Gate.INITIAL_MARGIN, Gate.FREE_MARGIN, Gate.MAINTENANCE_MARGIN, Gate.LIQUIDATION)
ROOM = frozenset({*_MARGIN, *_ROOM, *(OWN[gate] for gate in _ROOM)})
"""The gates that a sale may open for an entry."""


class Consent(NamedTuple):
    """Whether a person lets an entry go: the decision, the most shares, and the request; nobody was asked if empty."""

    decision: Decision | None = None
    quantity: Decimal | None = None
    request: str = ""

    @property
    def withheld(self) -> bool:
        return self.decision is not None and not self.decision.passed


def judged(world: World, call: Call, account: AccountAsk, candidate: Candidate) -> tuple[Ask, Decisions]:
    """Ask every gate but that of approval about an entry; return what they were asked, and what they say."""
    own, quote = world.rules.of(candidate.strategy), account.desk.quotes.get(candidate.symbol)
    strategy = account.of(candidate.strategy, own)
    stop = stop_distance(candidate, world.rules.exits_of(candidate.strategy))
    book, limits, reserve = strategy.book, strategy.limits, world.venue.short_reserve
    listing = account.desk.listing_for(candidate.instrument)
    size = entry_size(candidate, listing, quote, book, limits, reserve, stop) if quote else None
    depth = liquidity(candidate.side, quote, size.quantity, own.execution) if quote and size else ()
    shown = replace(candidate, decisions=(*candidate.decisions, *depth)) if depth else candidate
    ask = Ask(strategy, shown, quote, size, promised=_is_promised(world, call, account, candidate))
    return ask, decide(ask)


def _is_promised(world: World, call: Call, account: AccountAsk, candidate: Candidate) -> bool:
    """Return True if the order for this want was promised before. Without any on its symbol, no id has to be made."""
    ids = account.promised.get(candidate.symbol)
    return ids is not None and wanted_key(world, call, account.desk, candidate).client_order_id() in ids


def consent(world: World, call: Call, ask: Ask) -> Consent:
    """Return whether a person lets an entry go, asking one if nobody was asked yet; in shadow nothing has to be asked.

    A dry run only says that a person would be asked.
    """
    candidate, size, desk = ask.candidate, ask.size, ask.desk
    rules = world.rules.of(candidate.strategy).approval
    if rules is None or world.shadow:
        return Consent()
    assert rules.wait_s is not None, "rules of approval say how long a request waits"
    assert size is not None, "an entry without a price is refused before anybody is asked"
    wish, approvals = _wish(call, ask, size, rules), world.approvals()
    last = approvals.last(candidate.strategy, candidate.symbol)
    used = last is not None and any(record.intent.approval == last.id for record in desk.books.intents)
    answer = approval.judge(wish, last, rules, used=used)
    if answer is None:
        if not world.dry_run:
            approvals.ask(wish)
            world.events.emit(EventKind.APPROVAL_ASKED.at(desk.now, _told(wish), wish.symbol))
        return Consent(approval.waiting(0.0, float(rules.wait_s)))
    if not answer.passed or last is None:
        return Consent(answer)
    return Consent(answer, last.quantity, last.id)


def _wish(call: Call, ask: Ask, size: Size, rules: ApprovalRules) -> Request:
    candidate, now = ask.candidate, ask.desk.now
    slot = "" if candidate.slot_session is None else f"{candidate.slot_session.isoformat()} {candidate.slot}"
    content = "\x1f".join((candidate.strategy, candidate.symbol, candidate.side, now.isoformat(), call.cycle_id))
    digest = b32encode(hashlib.sha256(content.encode()).digest()).decode().lower()[:5]
    name = "".join(filter(str.isalnum, candidate.symbol)).lower()[:12]
    return Request(
        id=f"{name}-{digest}",
        strategy=candidate.strategy,
        symbol=candidate.symbol,
        side=candidate.side,
        quantity=size.quantity,
        price=size.limit_price,
        notional_usd=size.notional_usd,
        session=call.session,
        slot=slot,
        asked_at=now,
        expires_at=now + timedelta(seconds=rules.wait_s or 0),
        score=candidate.score,
    )


def _told(wish: Request) -> Mapping[str, str]:
    return {
        "id": wish.id,
        "strategy": wish.strategy,
        "side": wish.side.value,
        "quantity": f"{wish.quantity:f}",
        "price": f"{wish.price:f}",
        "worth": f"{wish.notional_usd:f}",
        "until": wish.expires_at.isoformat(),
    }


def swaps_if_approved(
    world: World, call: Call, account: AccountAsk, changes: Sequence[Candidate]
) -> Iterable[Candidate]:
    """Keep what a strategy's targets would sell for others, until a person has said yes to each of the others."""
    selling = {one.strategy for one in changes if one.purpose is not Purpose.OPEN and _is_change(one)}
    asking = {name for name in selling if world.rules.of(name).approval and not world.shadow}
    if not asking:
        return changes
    withheld = dict[str, Reason]()
    for one in changes:
        if one.strategy in asking and one.purpose is Purpose.OPEN and _is_change(one):
            reason = _withheld(world, call, account, one)
            if reason and withheld.get(one.strategy) is not Reason.APPROVAL_WAITING:
                withheld[one.strategy] = reason
    return [
        kept(one, withheld[one.strategy])
        if one.strategy in withheld and one.purpose is not Purpose.OPEN and _is_change(one)
        else one
        for one in changes
    ]


def _withheld(world: World, call: Call, account: AccountAsk, candidate: Candidate) -> Reason | None:
    """Return why what makes room for an entry stays; None if it has a yes."""
    ask, decisions = judged(world, call, account, candidate)
    refused = [decision for decision in decisions if not decision.passed]
    if ask.size is None or any(decision.gate not in ROOM for decision in refused):
        # Nobody is asked about what can't be sent; a later pass may find it otherwise.
        return Reason.APPROVAL_WAITING
    decision = consent(world, call, ask).decision
    return decision.reason if decision else None


def _is_change(candidate: Candidate) -> bool:
    """Return True for a target that isn't reached yet and may be traded."""
    return candidate.want is WantKind.TARGET and first_failure(candidate.decisions) is None
