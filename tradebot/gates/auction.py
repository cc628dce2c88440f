"""The auction: decide for the whole account at once which open positions stay, and which candidates replace them.

Open positions and candidates compete by value for the same room. Winning candidates take the free room first. If a
winner finds no room, one position may be closed for it: a position that isn't among the winners and whose value is
clearly lower. Without such a winner, no position is closed, however low it ranks. The decision itself doesn't free any
room yet: the winner is sent in a later pass, after the close has filled. Values are in the units of scores, rounded to
nine decimals, so that a value exactly at a threshold counts as reaching it.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import datetime
from decimal import Decimal
from enum import StrEnum, auto

from msgspec import Struct, field

from tradebot.gates.shared_gates import answer
from tradebot.model.auction import AuctionRules, PositionValue
from tradebot.model.candidate import Side
from tradebot.model.decision import Decision, Gate, Verdict
from tradebot.model.position import ZERO, round_to_nine_places
from tradebot.model.reasons import Reason


def value_of_candidate(score: float, rules: AuctionRules) -> PositionValue:
    """Return the value of a candidate with this score."""
    return PositionValue(_exactly(abs(score)), ZERO, rules.cost)


def value_of_position(entry_score: float, gain: Decimal, stop: Decimal, rules: AuctionRules) -> PositionValue:
    """Return the value of a position; `gain` and `stop` are fractions of its entry price, both unrounded."""
    r = gain / stop
    return PositionValue(
        _exactly(abs(entry_score)), round_to_nine_places(rules.value_per_r * r), rules.cost, round_to_nine_places(r)
    )


def _exactly(score: float) -> Decimal:
    return round_to_nine_places(Decimal(score))


class Bid(Struct, frozen=True):
    """A position or a candidate in the auction.

    `name` is the same for all symbols that count as one. `margin_usd` and `usd` are the bid's margin and notional, both
    unsigned. `since` is when it was opened or proposed. A position's `value` is None if unknown. `bound` says why a
    position can't be replaced, or why no position may be closed for a candidate; otherwise it is None.

    A position that is `leaving` is being closed for another symbol, and uses its room until the close has filled. A
    candidate is `awaited` while such a close is working for it, and `due` if such a close has recently ended. In
    neither case is another position closed for it. Where there is room, a due candidate comes first.
    """

    strategy: str
    symbol: str
    name: str
    side: Side
    value: PositionValue | None
    margin_usd: Decimal
    usd: Decimal
    since: datetime
    is_open: bool
    cluster: str = ""
    bound: Decision | None = None
    leaving: bool = False
    awaited: bool = False
    due: bool = False

    @property
    def key(self) -> tuple[str, str, bool]:
        """Return the key of the bid, unique in one auction."""
        return self.strategy, self.symbol, self.is_open

    @property
    def is_locked(self) -> bool:
        """Return True for a position that can't be closed, whatever the other bids' values; an unknown value isn't a
        low one.
        """
        return self.is_open and (self.value is None or self.bound is not None)

    @property
    def worth(self) -> Decimal:
        """Return the bid's total value; only bids that compete by value have one."""
        assert self.value is not None, f"{self.symbol} must have a value in the auction"
        return self.value.total

    @property
    def rank(self) -> tuple[Decimal, bool, datetime, Decimal, str, str]:
        """Return the bid's sort key: highest value first, open before new, older, smaller margin, then by name."""
        value = self.value.total if self.value else ZERO
        return -value, not self.is_open, self.since, self.margin_usd, self.name, f"{self.symbol} {self.strategy}"


class Caps(Struct, frozen=True):
    """The account's free capacity, and the limits on changes in one pass; None means no limit.

    `margin_usd` limits the participants' margin, and `net_usd` the difference between their longs and shorts.
    `of_strategy` is how many positions a strategy's own limits allow. A candidate replaces a position only if its value
    exceeds the position's by at least `advantage`.
    """

    positions: int
    margin_usd: Decimal
    per_cluster: int
    opens: int
    closes: int
    trades: int
    advantage: Decimal
    net_usd: Decimal | None = None
    of_strategy: Mapping[str, int] = field(default_factory=dict)

    def broken(self, bids: Sequence[Bid], bid: Bid | None = None) -> Decision | None:
        """Return the first limit that these bids together exceed, or None; with `bid`, the first that adding it
        exceeds.

        A candidate is refused only because of limits that it counts toward.
        """
        together = (*bids, bid) if bid else bids
        return next((each for each in self._room(together, bid) if not each.passed), None)

    def _room(self, bids: Sequence[Bid], beaten: Bid | None) -> Iterator[Decision]:
        yield _within(Reason.AUCTION_FULL, len(bids), self.positions)
        margin = sum((bid.margin_usd for bid in bids), ZERO)
        yield _within(Reason.AUCTION_MARGIN_ABOVE_MAX, margin, self.margin_usd)
        for bid in (beaten,) if beaten else bids:
            yield _within(Reason.AUCTION_SYMBOL_TAKEN, sum(other.name == bid.name for other in bids), 1)
            if bid.cluster:
                alike = sum(other.cluster == bid.cluster for other in bids)
                yield _within(Reason.AUCTION_CLUSTER_FULL, alike, self.per_cluster)
            if bid.strategy in self.of_strategy:
                own = sum(other.strategy == bid.strategy for other in bids)
                yield _within(Reason.OWN_MAX_OPEN_POSITIONS, own, self.of_strategy[bid.strategy])
        if self.net_usd is not None:
            net = abs(sum((bid.side.sign * bid.usd for bid in bids), ZERO))
            yield _within(Reason.AUCTION_NET_ABOVE_MAX, net, self.net_usd)


def _within(reason: Reason, observed: int | Decimal, limit: int | Decimal) -> Decision:
    return answer(Gate.DISPLACEMENT, observed <= limit, reason, observed, limit)


class Ruling(StrEnum):
    """What the auction decides: KEEP or CLOSE for a position, and OPEN, AFTER or REFUSE for a candidate.

    AFTER means to open it once the position that it replaces is closed.
    """

    KEEP = auto()
    CLOSE = auto()
    OPEN = auto()
    AFTER = auto()
    REFUSE = auto()


class BidRuling(Struct, frozen=True):
    """The ruling on one bid, with the numbers; `other` is the bid that replaces this one or is replaced by it.

    The first of `decisions` explains the ruling.
    """

    bid: Bid
    ruling: Ruling
    decisions: tuple[Decision, ...]
    other: Bid | None = None


class Swap(Struct, frozen=True):
    """A position and the candidate that would replace it."""

    loser: Bid
    newcomer: Bid

    @property
    def advantage(self) -> Decimal:
        return self.newcomer.worth - self.loser.worth

    @property
    def merit(self) -> tuple[Decimal, tuple[Decimal, bool, datetime, Decimal, str, str]]:
        """Return the swap's sort key: the largest advantage of the candidate over the position comes first."""
        return -self.advantage, self.newcomer.rank


class Auction(Struct, frozen=True):
    """The result of an auction: every position and every candidate with its ruling, in the order of values."""

    rulings: tuple[BidRuling, ...]

    def of(self, *wanted: Ruling) -> tuple[BidRuling, ...]:
        return tuple(each for each in self.rulings if each.ruling in wanted)


def hold_auction(bids: Iterable[Bid], caps: Caps) -> Auction:
    """Decide on all positions and candidates at once; their order doesn't matter.

    The best candidates take the free room first. Positions are closed only for candidates that then find no room.
    """
    ranked = sorted(bids, key=lambda bid: bid.rank)
    first = [bid for bid in ranked if not bid.leaving and (bid.is_locked or bid.awaited)]
    others = [bid for bid in ranked if not (bid.leaving or bid in first)]
    winners, refused = _winners(first, sorted(others, key=lambda bid: not bid.due), caps)
    newcomers = [bid for bid in winners if not bid.is_open]
    losers = [bid for bid in ranked if bid in refused and bid.is_open]
    free = _into_free_room(ranked, newcomers, caps)
    wanting = [bid for bid in newcomers if bid not in free]
    swaps, unfit = _affordable(_pairs(losers, wanting, caps.advantage), ranked, free, caps)
    entering = free | _with_room(ranked, wanting, swaps, free, caps)
    closing = {swap.loser: swap for swap in swaps}
    taking = {swap.newcomer: swap for swap in swaps}
    staying = [loser for loser in reversed(losers) if loser not in closing]

    def ruling_on(bid: Bid) -> BidRuling:
        if bid in closing:
            return BidRuling(bid, Ruling.CLOSE, (_swap_decision(closing[bid], caps),), closing[bid].newcomer)
        if bid.is_open:
            return BidRuling(bid, Ruling.KEEP, (_why_kept(bid, refused, wanting, caps),))
        if bid in taking:
            return BidRuling(bid, Ruling.AFTER, (_swap_decision(taking[bid], caps),), taking[bid].loser)
        if bid.awaited:
            return BidRuling(bid, Ruling.REFUSE, (WAITS,))
        if bid in refused:
            return BidRuling(bid, Ruling.REFUSE, _why_lost(bid, winners, first, refused[bid]))
        if (broken := entering[bid]) is None:
            return BidRuling(bid, Ruling.OPEN, (Decision(Gate.DISPLACEMENT, Verdict.PASS, None, bid.worth),))
        return BidRuling(bid, Ruling.REFUSE, _why_not_swapped(bid, staying, unfit, broken, caps))

    return Auction(tuple(ruling_on(bid) for bid in ranked))


WAITS = Decision(Gate.DISPLACEMENT, Verdict.FAIL, Reason.DISPLACEMENT_PENDING)


def _winners(first: Sequence[Bid], others: Iterable[Bid], caps: Caps) -> tuple[list[Bid], dict[Bid, Decision]]:
    """Return the bids that fit together with those before them, and the limit that each other bid would exceed."""
    room, refused = list(first), dict[Bid, Decision]()
    for bid in others:
        if broken := caps.broken(room, bid):
            refused[bid] = broken
        else:
            room.append(bid)
    return room[len(first) :], refused


def _pairs(losers: Sequence[Bid], newcomers: Iterable[Bid], advantage: Decimal) -> list[Swap]:
    """Pair losing positions, lowest value first, with newcomers that replace them, each newcomer once.

    A position is paired with the best newcomer of its cluster that is clearly better, or else with the best of any.
    """
    remaining, swaps = [bid for bid in newcomers if bid.bound is None and not bid.due], list[Swap]()
    for loser in sorted(losers, key=lambda bid: bid.rank, reverse=True):
        better = [bid for bid in remaining if bid.worth >= loser.worth + advantage]
        alike = [bid for bid in better if loser.cluster and bid.cluster == loser.cluster]
        if better:
            newcomer = (alike or better)[0]
            remaining.remove(newcomer)
            swaps.append(Swap(loser, newcomer))
    return swaps


Entering = dict[Bid, Decision | None]
"""Newcomers that need no close of their own, each with the decision that delays or refuses it, or None."""


def _into_free_room(ranked: Sequence[Bid], newcomers: Iterable[Bid], caps: Caps) -> Entering:
    """Return the newcomers that fit in addition to all positions, up to the first that doesn't.

    A newcomer that only fits once positions being closed are gone waits for that, and its room is reserved.
    """
    later, free = _staying(ranked, ()), Entering()
    for bid in newcomers:
        if caps.broken([*later, *free], bid):
            break
        free[bid] = _now(ranked, bid, free, (), caps)
    return free


def _now(ranked: Iterable[Bid], bid: Bid, entering: Entering, swaps: Sequence[Swap], caps: Caps) -> Decision | None:
    """Return what prevents a newcomer from opening now, before any close has filled; None if nothing does."""
    opens = [each for each, broken in entering.items() if broken is None]
    if caps.broken([*(each for each in ranked if each.is_open), *opens], bid):
        return WAITS
    return _too_many(len(swaps) + len(opens) + 1, len(swaps), caps)


def _affordable(
    swaps: Iterable[Swap], ranked: Sequence[Bid], free: Entering, caps: Caps
) -> tuple[list[Swap], dict[Bid, Decision]]:
    """Return the swaps that fit the limits of the book and of one pass, and why the other newcomers are refused.

    The worst swap is dropped until the others fit.
    """
    fits, unfit = sorted(swaps, key=lambda swap: swap.merit), dict[Bid, Decision]()
    leaving, opens = sum(bid.leaving for bid in ranked), sum(broken is None for broken in free.values())
    while fits:
        together = [*_staying(ranked, fits), *free]
        broken = caps.broken(together) or _too_many(len(fits) + opens, len(fits), caps, leaving)
        if broken is None:
            break
        unfit[fits.pop().newcomer] = broken
    return fits, unfit


def _staying(ranked: Iterable[Bid], swaps: Sequence[Swap]) -> list[Bid]:
    """Return the bids in the account after these swaps, and after the closes that are working."""
    closing, taking = {swap.loser for swap in swaps}, {swap.newcomer for swap in swaps}
    stays = [bid for bid in ranked if bid.is_open and not bid.leaving and bid not in closing]
    return [*stays, *(bid for bid in ranked if bid.awaited or bid in taking)]


def _too_many(opens: int, closes: int, caps: Caps, leaving: int = 0) -> Decision | None:
    """Return the limit on changes per pass that these counts exceed, or None; working closes count as closes."""
    counts = ((opens, caps.opens), (closes + leaving, caps.closes), (opens + closes, caps.trades))
    judged = (_within(Reason.AUCTION_PASS_FULL, count, most) for count, most in counts)
    return next((each for each in judged if not each.passed), None)


def _with_room(
    ranked: Sequence[Bid], wanting: Iterable[Bid], swaps: Sequence[Swap], free: Entering, caps: Caps
) -> Entering:
    """Return the ruling on newcomers that replace no position: some may fit without that."""
    later, remaining, taking = _staying(ranked, swaps), Entering(), {swap.newcomer for swap in swaps}
    for bid in wanting:
        if bid not in taking:
            entering = free | {bid: broken for bid, broken in remaining.items() if broken is None or broken is WAITS}
            remaining[bid] = caps.broken([*later, *entering], bid) or _now(ranked, bid, entering, swaps, caps)
    return remaining


def _swap_decision(swap: Swap, caps: Caps) -> Decision:
    """Return the decision comparing a newcomer's value with what it needs to replace its loser."""
    least = swap.loser.worth + caps.advantage
    return Decision(Gate.DISPLACEMENT, Verdict.PASS, Reason.DISPLACED, swap.newcomer.worth, least)


def _why_kept(bid: Bid, refused: Mapping[Bid, Decision], newcomers: Sequence[Bid], caps: Caps) -> Decision:
    """Return why a position stays: it can't be replaced, it is among the winners, or no newcomer is clearly better."""
    if bid.bound is not None:
        return bid.bound
    if bid.value is None:
        return Decision(Gate.DISPLACEMENT, Verdict.UNKNOWN, Reason.SCORE_UNKNOWN)
    if bid not in refused or not newcomers:
        return Decision(Gate.DISPLACEMENT, Verdict.PASS, None, bid.worth)
    return Decision(Gate.DISPLACEMENT, Verdict.PASS, None, newcomers[0].worth, bid.worth + caps.advantage)


def _why_lost(bid: Bid, winners: Sequence[Bid], first: Sequence[Bid], broken: Decision) -> tuple[Decision, ...]:
    """Return why a candidate didn't win: a winner's value, or if that isn't higher, the limit without room for it.

    The second decision is why the least valuable position that is locked can't be replaced.
    """
    least = winners[-1].worth if winners else min((bid.worth for bid in first if bid.value), default=None)
    if least is not None and bid.worth <= least:
        return (Decision(Gate.DISPLACEMENT, Verdict.FAIL, Reason.AUCTION_OUTBID, bid.worth, least), broken)
    bounds = [bid.bound for bid in sorted(first, key=lambda bid: bid.value.total if bid.value else ZERO) if bid.bound]
    return (broken, *bounds[:1])


def _why_not_swapped(
    bid: Bid, staying: Sequence[Bid], unfit: Mapping[Bid, Decision], remaining: Decision, caps: Caps
) -> tuple[Decision, ...]:
    """Return why a winner doesn't open now: it replaces no position, and there is no free room."""
    if remaining.reason in (Reason.DISPLACEMENT_PENDING, Reason.AUCTION_PASS_FULL) or bid.due:
        return (remaining,)
    if bid in unfit:
        return (unfit[bid], remaining)
    if bid.bound is not None:
        return (bid.bound, remaining)
    if not staying:
        return (remaining,)
    least = staying[0].worth + caps.advantage
    return (Decision(Gate.DISPLACEMENT, Verdict.FAIL, Reason.AUCTION_ADVANTAGE_TOO_SMALL, bid.worth, least), remaining)
