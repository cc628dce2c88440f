"""Carry out the result of an auction: closes are sent first, and a later pass uses the room they free.

The auction decides for the whole account in one call, before any entry of the pass. A winning candidate is then traded
like any other, so each gate is evaluated once more. A candidate for which a position is closed is refused in this pass.
Until the close is proven, the room that it frees is reserved for that candidate, and no other position is closed for
it. Afterward the candidate competes like any other. If the process dies in between, nothing has to be repaired.

A winner whose order book is too thin leaves the auction, and the auction is decided again. So such a winner takes no
room from a candidate that could be filled.
"""

from collections.abc import Iterable, Mapping, Sequence
from decimal import Decimal

from msgspec import Struct

from tradebot.gates.ask import AccountAsk, Ask
from tradebot.gates.auction import Auction, Bid, BidRuling, Ruling, hold_auction
from tradebot.gates.auction_bids import (
    AuctionSettings,
    auction_room,
    auction_settings,
    can_compete,
    candidate_bids,
    position_bids,
)
from tradebot.gates.shared_gates import position_of
from tradebot.model.auction import WORTH
from tradebot.model.candidate import Candidate, Purpose
from tradebot.model.decision import Decision, Decisions, Gate
from tradebot.model.event import EventKind
from tradebot.model.reasons import Reason
from tradebot.model.record import CandidateRecord
from tradebot.model.resting_orders import HoldingKey
from tradebot.model.struct_tools import replace
from tradebot.orders.close_orders import Records
from tradebot.orders.entry_orders import (
    ONCE_MORE,
    GateResult,
    ask_approval,
    close_for,
    close_started,
    evaluate_entry,
    lost_close,
    too_thin,
    trade_candidate,
    with_decisions,
)
from tradebot.ports.world import Call, World

MOST_ASKED = 20
"""How many winners of one pass may have their depth checked, so that a slow or silent venue doesn't stall it."""


class AuctionResult(Struct, frozen=True):
    """The auction's decision about each participating candidate, and the gates' results before it.

    `thin` has the decision on each candidate that left the auction because its order book was too thin. `evaluations`
    are the gates' results for every candidate, valid only for this `account`.
    """

    rulings: Mapping[HoldingKey, BidRuling] = {}
    thin: Mapping[HoldingKey, Decision] = {}
    gate_decisions: Mapping[HoldingKey, Decisions] = {}
    settings: AuctionSettings | None = None
    account: AccountAsk | None = None
    evaluations: Sequence[tuple[Candidate, GateResult]] = ()

    def cached_evaluation(self, account: AccountAsk, candidate: Candidate) -> GateResult | None:
        """Return the gates' earlier result for a candidate; None without one, or if the account has changed since."""
        if account is not self.account:
            return None
        return next((result for bid, result in self.evaluations if bid is candidate), None)


def hold_entry_auction(world: World, call: Call, account: AccountAsk, changes: Iterable[Candidate]) -> AuctionResult:
    """Decide which candidates open and which positions they replace, for strategies that use the auction.

    Positions that have other reasons to close were closed earlier in the pass. A candidate takes no part if any gate
    refuses it for a reason other than room.
    """
    settings = auction_settings(world.rules)
    if settings is None:
        return AuctionResult()
    entries = [change for change in changes if change.purpose is Purpose.OPEN and change.strategy in settings.own]
    evaluations = [evaluate_entry(world, call, account, entry) for entry in entries]
    competing = [
        (ask, decisions) for ask, decisions in evaluations if ask.size and can_compete(ask.candidate, decisions)
    ]
    asks = {(ask.candidate.strategy, ask.candidate.symbol): ask for ask, _ in competing}
    decided, thin = _among_fillable(world, account, settings, asks)
    rulings = {(each.bid.strategy, each.bid.symbol): each for each in decided.rulings if not each.bid.is_open}
    decisions_by_key = {(ask.candidate.strategy, ask.candidate.symbol): decisions for ask, decisions in competing}
    return AuctionResult(
        rulings, thin, decisions_by_key, settings, account, list(zip(entries, evaluations, strict=True))
    )


def _among_fillable(
    world: World, account: AccountAsk, settings: AuctionSettings, asks: Mapping[HoldingKey, Ask]
) -> tuple[Auction, Mapping[HoldingKey, Decision]]:
    """Hold the auction again until every winner has enough depth; return it, and why each other candidate left."""
    bids = tuple(position_bids(account, world.rules, settings))
    caps, wanted = auction_room(account, settings, bids), tuple(candidate_bids(account.desk, asks.values(), settings))
    depth_by_key = dict[HoldingKey, Decision | None]()
    while True:
        thin = {holding: why for holding, why in depth_by_key.items() if why}
        remaining = (bid for bid in wanted if (bid.strategy, bid.symbol) not in thin)
        decided = hold_auction((*bids, *remaining), caps)
        winners = [(each.bid.strategy, each.bid.symbol) for each in decided.of(Ruling.OPEN, Ruling.AFTER)]
        fresh = [holding for holding in winners if holding not in depth_by_key][: MOST_ASKED - len(depth_by_key)]
        depth_by_key |= {holding: too_thin(world, asks[holding]) for holding in fresh}
        if not any(depth_by_key[holding] for holding in fresh):
            return decided, thin


def trade_by_ruling(
    world: World, call: Call, account: AccountAsk, candidate: Candidate, auction_result: AuctionResult | None
) -> tuple[AccountAsk, Records]:
    """Carry out the auction's ruling on a candidate. A candidate outside the auction is traded normally."""
    holding = (candidate.strategy, candidate.symbol)
    if auction_result and candidate.purpose is Purpose.OPEN and (why := auction_result.thin.get(holding)):
        return account, (with_decisions(CandidateRecord(candidate, auction_result.gate_decisions[holding]), (why,)),)
    ruling = auction_result.rulings.get(holding) if auction_result and candidate.purpose is Purpose.OPEN else None
    if ruling is None or auction_result is None or auction_result.settings is None:
        return trade_candidate(
            world,
            call,
            account,
            candidate,
            auction_result.cached_evaluation(account, candidate) if auction_result else None,
        )
    if ruling.ruling is Ruling.OPEN:
        account, traded = trade_candidate(world, call, account, candidate)
        return account, (*traded[:-1], with_decisions(traded[-1], ruling.decisions))
    refused = CandidateRecord(candidate, auction_result.gate_decisions[holding])
    if ruling.other is not None:
        return _swap(world, call, account, refused, ruling, ruling.other)
    lost = (lost_close(world, account.desk, name, candidate.symbol) for name in auction_result.settings.own)
    again = next((position for position in lost if position), None) if ruling.bid.awaited else None
    records: Records = ()
    if again is not None:
        account, records = close_for(world, call, account, again, candidate, ONCE_MORE)
    return account, (*records, with_decisions(refused, ruling.decisions))


def _swap(
    world: World, call: Call, account: AccountAsk, refused: CandidateRecord, ruling: BidRuling, loser: Bid
) -> tuple[AccountAsk, Records]:
    """Close the position to be replaced if the candidate has depth and approval; it opens in a later pass."""
    candidate = refused.candidate
    (decided,) = ruling.decisions
    ask, _ = evaluate_entry(world, call, account, candidate)
    position = position_of(account.desk, (loser.strategy, loser.symbol))
    assert position is not None, "the position to replace exists"
    if thin := too_thin(world, ask):
        return account, (with_decisions(refused, (thin,)),)
    consent = ask_approval(world, call, ask)
    if consent.decision and consent.withheld:
        return account, (with_decisions(refused, (consent.decision,)),)
    # The books then have both values: `observed` is the newcomer's.
    why = replace(decided, gate=Gate.EXIT, about=f"{WORTH}{loser.value}")
    account, closed = close_for(world, call, account, position, candidate, why)
    assert isinstance(decided.observed, Decimal)
    assert isinstance(decided.limit, Decimal)
    began = close_started(closed, decided.observed, decided.limit)
    if began.reason is Reason.DISPLACEMENT_STARTED and not world.dry_run:
        world.events.emit(
            EventKind.SWAPPED.at(account.desk.now, _values_for_people(ruling.bid, loser, decided), loser.symbol)
        )
    return account, (*closed, with_decisions(refused, (began,)))


def _values_for_people(newcomer: Bid, loser: Bid, decided: Decision) -> Mapping[str, str]:
    """Return both values with their components, formatted for an event."""
    return {
        "strategy": loser.strategy,
        "for": newcomer.symbol,
        "for_strategy": newcomer.strategy,
        "value": str(loser.value),
        "value_of_newcomer": str(newcomer.value),
        "needed": str(decided.limit),
    }
