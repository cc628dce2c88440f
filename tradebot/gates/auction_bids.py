"""Prepare an auction: build a bid for each participating position and candidate from a desk, and compute the free room.

A position can't be replaced while it is young, lacks a working stop or a known price, or while a gate would block its
close. An unfilled entry counts as a position that can't be replaced either. Positions of other strategies and foreign
positions take their room first: the auction distributes what remains of the account's own limits.
"""

from collections.abc import Iterable, Iterator, Mapping, Set
from datetime import datetime
from decimal import Decimal

from msgspec import Struct

from tradebot.exits.exit_rule import WatchedPosition, best_price, exit_price
from tradebot.exits.rules import Exits, rule_levels, worst_stop
from tradebot.gates.ask import AccountAsk, Ask
from tradebot.gates.auction import Bid, Caps, value_of_candidate, value_of_position
from tradebot.gates.displacement import (
    CAPACITY,
    check_displacement_cooldown,
    closable_now,
    closing_for_others,
    gave_way,
)
from tradebot.gates.shared_gates import answer, check_cooldown
from tradebot.model.auction import AuctionRules, PositionValue
from tradebot.model.candidate import Candidate, Purpose, Side, WantKind
from tradebot.model.decision import Decision, Gate, Verdict
from tradebot.model.desk import Desk, StrategyExposure
from tradebot.model.intent import Intent, IntentState
from tradebot.model.limits import Limits, Protection, StrategyRules
from tradebot.model.margin import ZERO, need_of
from tradebot.model.position import EntryTerms, Position
from tradebot.model.reasons import Reason
from tradebot.model.resting_orders import HoldingKey
from tradebot.model.struct_tools import replace
from tradebot.ports.world import Rules

ROOM_OF_AUCTION = frozenset({*CAPACITY, Gate.INITIAL_MARGIN, Gate.FREE_MARGIN})
"""Gates that refuse only for lack of room, by limits that the auction's own room stays within."""


class AuctionSettings(Struct, frozen=True):
    """The participants of an auction: their shared rules, and each strategy's configuration by name."""

    rules: AuctionRules
    own: Mapping[str, StrategyRules]


def auction_settings(rules: Rules) -> AuctionSettings | None:
    """Return the strategies that chose the auction; None if none did."""
    own = {name: each for name, each in rules.own.items() if each.auction is not None}
    shared = next((each.auction for each in own.values() if each.auction), None)
    return AuctionSettings(shared, own) if shared else None


def can_compete(candidate: Candidate, decisions: Iterable[Decision]) -> bool:
    """Return True if an entry with a score is refused only for lack of room; targets have no score to compare."""
    failed = [decision for decision in decisions if not decision.passed]
    lacks_room = all(each.gate in ROOM_OF_AUCTION and each.verdict is Verdict.FAIL for each in failed)
    return lacks_room and candidate.want is WantKind.OPEN and candidate.score is not None


def making_room(desk: Desk, strategies: Set[str]) -> Mapping[HoldingKey, str]:
    """Return the positions that are being closed to make room, each with the symbol it makes room for.

    A close counts while its order is working or unresolved.
    """
    return {i.holding: i.displaced_by for i in closing_for_others(desk) if i.key.strategy in strategies}


def auction_room(account: AccountAsk, settings: AuctionSettings, bids: Iterable[Bid]) -> Caps:
    """Return an auction's room: for each limit, the auction's own or what remains of the account's, whichever is
    smaller.
    """
    rules, book, limits = settings.rules, account.book, account.limits
    bids = tuple(bids)
    others = book.open_symbols - {bid.symbol for bid in bids}
    used = book.gross if book.margin is None else book.margin.initial_usd
    free, most = limits.min_free_margin_fraction, limits.max_margin_fraction
    walls = (rules.margin_fraction, most, None if free is None else 1 - free)
    fraction = min(wall for wall in walls if wall is not None)
    return Caps(
        positions=min(rules.max_positions, limits.max_open_positions - len(others)),
        margin_usd=fraction * book.equity - max(used - sum((bid.margin_usd for bid in bids), ZERO), ZERO),
        per_cluster=rules.max_per_cluster,
        opens=rules.max_opens,
        closes=rules.max_closes,
        trades=rules.max_trades,
        advantage=rules.min_advantage,
        net_usd=None if rules.max_net_fraction is None else rules.max_net_fraction * book.equity,
        of_strategy={name: each.limits.max_open_positions for name, each in settings.own.items()},
    )


def position_bids(account: AccountAsk, rules: Rules, settings: AuctionSettings) -> Iterator[Bid]:
    """Yield a bid for each position, and each unfilled entry, of the participating strategies."""
    desk = account.desk
    leaving = making_room(desk, settings.own.keys())
    given_way = _last_yields(desk, settings)
    worth = {(stake.strategy, stake.symbol): stake.usd for stake in account.book.stakes if stake.held}
    positions = [position for position in desk.positions if position.strategy in settings.own]
    for position in positions:
        entry_terms, side = desk.books.terms_of(position), Side.of(position.quantity)
        usd = worth.get(position.holding, abs(position.cost))
        bound, value = _value_position(desk, rules, settings, position, entry_terms)
        yield Bid(
            strategy=position.strategy,
            symbol=position.symbol,
            name=_name(desk, position.symbol),
            side=side,
            value=value,
            margin_usd=_margin(account, position.symbol, position.quantity, usd),
            usd=usd,
            since=position.opened_at,
            is_open=True,
            cluster=entry_terms.cluster,
            bound=bound
            or _unless_passed(
                check_displacement_cooldown(given_way.get(position.symbol), desk.now, settings.rules.cooldown_s)
            ),
            leaving=position.holding in leaving,
        )
    yield from _not_filled(account, settings, {position.holding for position in positions})


def candidate_bids(desk: Desk, asks: Iterable[Ask], settings: AuctionSettings) -> Iterator[Bid]:
    """Yield a bid for each candidate, with the size it would be sent with."""
    given_way, due = _last_yields(desk, settings), _due(desk, settings)
    awaited = frozenset(making_room(desk, settings.own.keys()).values())
    for ask in asks:
        candidate, size = ask.candidate, ask.size
        assert size is not None, "the size gate has passed"
        assert candidate.score is not None, "a candidate that competes must have a score"
        yield Bid(
            strategy=candidate.strategy,
            symbol=candidate.symbol,
            name=_name(desk, candidate.symbol),
            side=candidate.side,
            value=value_of_candidate(candidate.score, settings.rules),
            margin_usd=size.margin_usd if ask.book.margin else size.notional_usd,
            usd=size.notional_usd,
            since=candidate.at,
            is_open=False,
            cluster=candidate.cluster,
            bound=_unless_passed(
                check_displacement_cooldown(given_way.get(candidate.symbol), desk.now, settings.rules.cooldown_s)
            ),
            awaited=candidate.symbol in awaited,
            due=candidate.symbol in due,
        )


def _not_filled(account: AccountAsk, settings: AuctionSettings, held_holdings: Set[HoldingKey]) -> Iterator[Bid]:
    """Yield a bid for each entry that may still fill, or has filled but isn't booked; other bids have its margin."""
    desk, waiting = account.desk, dict[HoldingKey, StrategyExposure]()
    for stake in account.book.stakes:
        holding = stake.strategy, stake.symbol
        if stake.strategy in settings.own and holding not in held_holdings:
            waiting[holding] = replace(stake, usd=stake.usd + (waiting[holding].usd if holding in waiting else ZERO))
    sent = {record.intent.holding: record.intent for record in desk.books.intents if record.intent.makes_order}
    for holding, stake in waiting.items():
        intent: Intent | None = sent.get(holding)
        yield Bid(
            strategy=stake.strategy,
            symbol=stake.symbol,
            name=_name(desk, stake.symbol),
            side=stake.side,
            value=None,
            margin_usd=ZERO,
            usd=stake.usd,
            since=intent.at if intent else desk.now,
            is_open=True,
            cluster=intent.cluster if intent else "",
            bound=Decision(Gate.DISPLACEMENT, Verdict.FAIL, Reason.ORDER_WORKING),
        )


def _value_position(
    desk: Desk, rules: Rules, settings: AuctionSettings, position: Position, entry_terms: EntryTerms
) -> tuple[Decision | None, PositionValue | None]:
    """Return why a position can't be replaced, if it can't, and its value, if known."""
    limits, exits = settings.own[position.strategy].limits, rules.exits_watching(position, entry_terms)
    gain, stop = _gain(desk, limits, position), worst_stop(exits, position.average_price, entry_terms.instrument)
    age = check_cooldown(
        Gate.DISPLACEMENT, Reason.POSITION_TOO_YOUNG, position.opened_at, desk.now, settings.rules.min_age_s
    )
    decisions = (age, _require_stop(desk, rules, position, entry_terms, exits), *closable_now(desk, position))
    bound = next((each for each in decisions if not each.passed), None)
    if isinstance(gain, Decision):
        return bound or gain, None
    if entry_terms.entry_score is None or stop is None:
        return bound or Decision(Gate.DISPLACEMENT, Verdict.UNKNOWN, Reason.SCORE_UNKNOWN), None
    return bound, value_of_position(entry_terms.entry_score, gain, stop, settings.rules)


def _gain(desk: Desk, limits: Limits, position: Position) -> Decimal | Decision:
    """Return the gain if the position were closed now, as a fraction of its entry price, or why that is unknown."""
    quote = desk.quotes.get(position.symbol)
    if quote is None:
        return Decision(Gate.DISPLACEMENT, Verdict.UNKNOWN, Reason.QUOTE_MISSING)
    age, limit = quote.age_s(desk.now), limits.max_quote_age_s
    if not -limits.max_clock_skew_s <= age <= limit:
        return Decision(Gate.DISPLACEMENT, Verdict.UNKNOWN, Reason.QUOTE_STALE, age, limit, age)
    return WatchedPosition(position, position.average_price).gain(exit_price(position, quote))


def _require_stop(desk: Desk, rules: Rules, position: Position, entry_terms: EntryTerms, exits: Exits) -> Decision:
    """Fail if the position has no stop price now, or if stops resting at the venue don't cover all its shares."""
    best = best_price(position, desk.quotes.get(position.symbol), entry_terms.best)
    stop, shares = rule_levels(WatchedPosition(position, best, entry_terms), exits).stop, abs(position.quantity)
    resting = desk.resting.get(position.holding, ())
    covered = sum((rest.quantity for rest in resting if rest.can_trigger), ZERO)
    at_venue = rules.exits.protection is not Protection.BOT
    live = ZERO if stop is None else covered if at_venue else shares
    return answer(Gate.DISPLACEMENT, live >= shares, Reason.STOP_NOT_LIVE, live, shares)


def _margin(account: AccountAsk, symbol: str, quantity: Decimal, usd: Decimal) -> Decimal:
    """Return what a position takes of the account: its initial margin, or its whole value without a margin account."""
    listing = account.desk.listings.get(symbol)
    if account.book.margin is None or listing is None:
        return usd
    need = need_of(listing.margin_levels, quantity, usd)
    return usd if need is None else need.initial


def _name(desk: Desk, symbol: str) -> str:
    """Return the name that symbols of one coin or company share, if the venue gives one."""
    listing = desk.listings.get(symbol)
    return (listing.instrument.underlying if listing else None) or symbol


def _last_yields(desk: Desk, settings: AuctionSettings) -> Mapping[str, datetime]:
    return dict(each for name in settings.own for each in gave_way(desk.books, name))


def _due(desk: Desk, settings: AuctionSettings) -> frozenset[str]:
    """Return the symbols for which a position was recently closed, and for which no entry has been sent since."""
    closed_at = dict[str, datetime]()
    for record in desk.books.intents:
        intent = record.intent
        came = record.state not in (IntentState.REJECTED, IntentState.ABANDONED)
        if intent.key.strategy not in settings.own or not (intent.makes_order and came):
            continue
        if intent.displaced_by:
            closed_at[intent.displaced_by] = intent.at
        elif intent.purpose is Purpose.OPEN:
            closed_at.pop(intent.instrument.symbol, None)
    return frozenset(
        symbol
        for symbol, at in closed_at.items()
        if not check_displacement_cooldown(at, desk.now, settings.rules.cooldown_s).passed
    )


def _unless_passed(decision: Decision) -> Decision | None:
    return None if decision.passed else decision
