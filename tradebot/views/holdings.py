"""Open positions, the levels of their exit rules at recorded prices, and the account's margin."""

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from datetime import datetime
from decimal import Decimal
from enum import StrEnum

from msgspec import Struct

from tradebot.exits.exit_rule import WatchedPosition, best_price, distance
from tradebot.exits.rules import Exits, effective_rules
from tradebot.model.account import ActivityKind, CashMovement
from tradebot.model.instrument import ONE
from tradebot.model.intent import Intent
from tradebot.model.lifecycle import NOTHING, PendingWork, RestingPrice, State, state_of
from tradebot.model.margin import Liquidation
from tradebot.model.position import ADOPTED, FOREIGN, EntryTerms, Position
from tradebot.model.reasons import Reason
from tradebot.model.record import DOUBTED, CycleRecord, Gap, Job
from tradebot.model.struct_tools import replace
from tradebot.model.totals import Totals

NO_SHARES = Decimal(0)


class StopGap(StrEnum):
    """The reason why a position, or part of it, has no stop at the broker."""

    NO_STOP_RULE = "no_stop_rule"
    BY_SETTING = "by_setting"
    ADOPTED = "adopted"
    FRACTION = "fraction"
    REFUSED = "refused"
    ARRIVING = "arriving"
    NOT_PLACED = "not_placed"


AS_SET = frozenset({StopGap.BY_SETTING, StopGap.NO_STOP_RULE, StopGap.FRACTION, StopGap.ARRIVING, "exiting"})
"""Reasons for which no stop rests at the broker by design."""


class PositionProtection(Struct, frozen=True):
    """How a position is protected. `covered` is the number of its shares (unsigned) with a stop at the broker.

    `resting` are the stops and targets at the broker. For the other shares, `rule` is the bot's own rule with the
    nearest stop; None if no rule has a stop now. `why` says why these shares have no stop at the broker, and `refusal`
    is the broker's message if it refused a stop. All three are None if every share is covered. If the last exit pass
    left shares without protection, `since` is when that gap began, and `gap_s` its age; otherwise both are None.
    """

    covered: Decimal
    resting: tuple[RestingPrice, ...]
    rule: str | None
    why: str | None
    refusal: str | None
    since: datetime | None = None
    gap_s: float | None = None

    @property
    def lacks_stop(self) -> bool:
        """Return True if some shares have no stop at the broker although the settings require one by now."""
        return self.why is not None and self.why not in AS_SET


def protection_of(
    watched: WatchedPosition,
    work: PendingWork,
    rules: Exits,
    gap: Gap | None,
    now: datetime | None,
    *,
    at_venue: bool,
    closed: Decimal = NO_SHARES,
) -> PositionProtection:
    """Return how a position of ours is protected, given the orders on its symbol and its exit rules.

    `gap` has the shares that the last exit pass left without a stop. `at_venue` is False if the configuration wants no
    stops at the broker. `closed` is how many of its shares others have closed: they need no stop.
    """
    position = watched.position
    if gap is not None and not gap.sent and work.coming:
        # A pass has read the orders since these were sent, and they hadn't arrived.
        work = replace(work, resting=tuple(price for price in work.resting if price not in work.coming), arriving=True)
    covered, quantity = work.covered_quantity(position.quantity), abs(position.quantity) - closed
    if gap is not None and gap.why == DOUBTED:
        covered = min(covered, quantity - gap.shares)
    if covered >= quantity:
        return PositionProtection(covered, work.resting, None, None, None)
    rule, since = _nearest_stop(watched, rules), None
    refused = work.refused if work.refused and work.refused.intent.at >= position.opened_at else None
    why: str = StopGap.REFUSED if refused else StopGap.NOT_PLACED
    if rule is None:
        why = StopGap.NO_STOP_RULE
    elif not at_venue:
        why = StopGap.BY_SETTING
    elif position.strategy == ADOPTED:
        why = StopGap.ADOPTED
    elif quantity - covered < (watched.kept.instrument.lot if watched.kept.instrument else 1):
        why = StopGap.FRACTION
    elif gap is not None and not (gap.sent and work.arriving):
        why, since = gap.why, gap.since
    elif work.arriving:
        why = StopGap.ARRIVING
    refusal = (refused.code, refused.message) if refused and why == StopGap.REFUSED else None
    words = None if refusal is None else " ".join(filter(None, refusal))
    gap_s = (now - since).total_seconds() if now and since else None
    return PositionProtection(covered, work.resting, rule, str(why), words, since, gap_s)


def _nearest_stop(watched: WatchedPosition, rules: Exits) -> str | None:
    stops = (level for rule in rules if (level := rule.level(watched)).armed and not level.ahead)
    prices = [(level.price * watched.direction, level.rule.value) for level in stops if level.price is not None]
    return max(prices)[1] if prices else None


FOREIGN_OWNER = "foreign"


class StopRow(Struct, frozen=True):
    """One exit rule of a position: the price in USD or the time at which it acts (or arms, if it isn't armed yet).

    `distance` is the gap to that price as a fraction of the last price, and `left_s` the time left in seconds; either
    is negative once the price or the time has passed. `own` is True if the strategy set the rule when it opened the
    position.
    """

    rule: str
    price: Decimal | None
    at: datetime | None
    armed: bool
    distance: Decimal | None
    left_s: float | None
    own: bool = False


class UnfinishedClose(Struct, frozen=True):
    """A close that ended before all shares were closed, and that each exit pass continues.

    `since` is when it was last sent. `why` is `by_hand`, or `displaced` with the symbol that it makes room for.
    """

    since: datetime
    why: str
    displaced_by: str = ""

    @classmethod
    def of(cls, close: Intent) -> "UnfinishedClose":
        """Build the view of an unfinished close from its intent."""
        return cls(close.at, "displaced" if close.displaced_by else "by_hand", close.displaced_by)


class Holding(Struct, frozen=True, omit_defaults=True):
    """An open position: signed shares, prices in USD; its `strategy` is "foreign" if the bot doesn't manage it.

    `price` is the price at which the position could have been closed at `price_at`, and `gain` is a fraction of the
    entry price. `nearest` names the armed rule that acts first: the time exit if it is overdue, otherwise the rule
    whose price is passed or nearest. Everything that needs a price is None if none was recorded. `state` is its state,
    see `tradebot.model.lifecycle`. `protection` is None for positions that the bot doesn't manage. Its value is
    quantity x price x `multiplier`. `unfinished` is a close that the next exit pass continues.

    `closed_by_others` is how many of the shares, unsigned, somebody else has closed at the broker without a person
    having accepted that yet. They are valued at the price of that close. If that is all of them, `price` is that price,
    nothing protects the position, and its `state` is "closed". For a foreign position, it is how many of its units
    merely offset ours, so that the broker doesn't hold them.

    `suspended` is True if the venue had suspended trading in the symbol at the last exit pass. Then no stop acts, and
    `price` is the last price before the suspension.
    """

    symbol: str
    strategy: str
    quantity: Decimal
    average_price: Decimal | None
    cost_usd: Decimal | None
    opened_at: datetime | None
    age_s: float | None
    price: Decimal | None
    price_at: datetime | None
    gain: Decimal | None
    unrealized_usd: Decimal | None
    high_water: Decimal | None
    stops: tuple[StopRow, ...]
    nearest: str | None
    state: str
    protection: PositionProtection | None
    multiplier: Decimal = ONE
    unfinished: UnfinishedClose | None = None
    closed_by_others: Decimal = Decimal(0)
    suspended: bool = False

    @property
    def is_held(self) -> bool:
        """Return True if the broker still has shares of the position."""
        return abs(self.quantity) > self.closed_by_others

    @property
    def value_usd(self) -> Decimal | None:
        """Return the value at the last recorded price in USD, negative for a short; None without a price."""
        if self.cost_usd is None or self.unrealized_usd is None:
            return None
        return self.cost_usd + self.unrealized_usd


def nearest_levels(row: Holding) -> tuple[StopRow | None, StopRow | None]:
    """Return the stop and the target that a position's price would reach first; each is None if there is none."""
    levels = [
        (rule.distance, _is_target(rule.price, rule.distance, row), rule)
        for rule in row.stops
        if rule.armed and rule.price is not None and rule.distance is not None
    ]
    stops, targets = ([(away, rule) for away, ahead, rule in levels if ahead is side] for side in (False, True))
    stop, target = (min(side, key=lambda level: level[0])[1] if side else None for side in (stops, targets))
    return stop, target


def _is_target(level: Decimal, away: Decimal, row: Holding) -> bool:
    """Return True if the price reaches an armed rule by moving in the position's favor.

    `away` is the rule's distance; negative means that the price has passed it. If `away` is zero, a rule beyond the
    entry price counts as a target.
    """
    direction = 1 if row.quantity > 0 else -1
    if away and row.price is not None:
        return (level - row.price) * direction * away > 0
    return row.average_price is not None and (level - row.average_price) * direction > 0


class ExternalClose(Struct, frozen=True):
    """Shares of ours that somebody else closed: how many (unsigned), at what average price in USD, and since when."""

    shares: Decimal
    price: Decimal
    at: datetime


def externally_closed(totals: Totals) -> dict[str, ExternalClose]:
    """Return how many shares of our positions others have closed, by symbol; closes that a person has accepted are left
    out.
    """
    by_symbol = dict[str, ExternalClose]()
    for symbol, quantity in totals.own_quantities().items():
        other = totals.positions.get((FOREIGN, symbol))
        if other and other.quantity * quantity < 0:
            shares = min(abs(quantity), abs(other.quantity))
            by_symbol[symbol] = ExternalClose(shares, other.average_price, other.opened_at)
    return by_symbol


class RecordedPrice(Struct, frozen=True):
    """A recorded price in USD, and the trading time of the pass that recorded it."""

    price: Decimal
    at: datetime


def prices(passes: Iterable[CycleRecord]) -> dict[str, RecordedPrice]:
    """Return the latest recorded price of each symbol with a position."""
    return {mark.symbol: RecordedPrice(mark.price, cycle.at) for cycle in passes for mark in cycle.marks}


def suspended_in(passes: Iterable[CycleRecord]) -> frozenset[str]:
    """Return the symbols whose trading was suspended at the last exit pass in `passes`."""
    last = max(
        (cycle for cycle in passes if cycle.job is Job.EVALUATE_EXITS), key=lambda change: change.at, default=None
    )
    ends = ((record.candidate.symbol, record.terminal) for record in (last.candidates if last else ()))
    return frozenset(symbol for symbol, end in ends if end and end.reason is Reason.TRADING_SUSPENDED)


def holdings(
    own: Iterable[Position],
    foreign: Mapping[str, Decimal],
    terms_by_key: Mapping[tuple[str, str], EntryTerms],
    exits_of: Callable[[str], Exits],
    priced: Mapping[str, RecordedPrice],
    now: datetime | None,
    work: Mapping[tuple[str, str], PendingWork],
    gaps: Iterable[Gap],
    *,
    at_venue: bool,
    unfinished: Mapping[tuple[str, str], UnfinishedClose] = {},
    closed: Mapping[str, ExternalClose] = {},
    suspended: Collection[str] = (),
) -> tuple[Holding, ...]:
    """Return a row for each of our `own` open positions, then for others' positions: signed quantities by symbol.

    Stored terms and orders are by strategy and symbol. `gaps` are the gaps in protection that the last exit pass left;
    `at_venue` is False if the configuration wants no stops at the broker. `unfinished` are closes that exit passes
    continue, and `closed` are shares closed by others, by symbol. `suspended` are the symbols without trading.
    """
    unseen = {symbol: close.shares for symbol, close in closed.items()}
    gaps_by_owner, rows = {(gap.strategy, gap.symbol): gap for gap in gaps}, list[Holding]()
    for position in sorted(own, key=lambda holding: (holding.symbol, holding.strategy)):
        of_one, orders = (
            terms_by_key.get(position.holding, EntryTerms()),
            work.get(position.holding, NOTHING),
        )
        watched, rules = (
            WatchedPosition(position, best_price(position, None, of_one.best), of_one),
            exits_of(position.strategy),
        )
        gap, watching = gaps_by_owner.get(position.holding), effective_rules(rules, of_one)
        shares = min(unseen.get(position.symbol, NO_SHARES), abs(position.quantity))
        protection = protection_of(watched, orders, watching, gap, now, at_venue=at_venue, closed=shares)
        state = state_of(position.strategy, position.quantity, orders)
        if state is State.PROTECTED and gap is not None and protection.why == gap.why:
            state = State.OPEN
        row = _own(watched, watching, rules, priced.get(position.symbol), now, state, protection)
        row = replace(row, unfinished=unfinished.get(position.holding), suspended=position.symbol in suspended)
        if shares:
            unseen[position.symbol] -= shares
            row = _reduced_by_others(row, watched, closed[position.symbol], shares)
        rows.append(row)
    return (*rows, *(_foreign(symbol, quantity, rows) for symbol, quantity in sorted(foreign.items())))


def _foreign(symbol: str, quantity: Decimal, ours: Iterable[Holding]) -> Holding:
    """Return the row of a foreign position; its `closed_by_others` is the part that only offsets our positions."""
    # The owner's plans are unknown, and no rule of the bot closes foreign positions.
    unknown = (*(None,) * 9, (), None, State.QUARANTINED.value, None)
    offset = (row.closed_by_others for row in ours if row.symbol == symbol and row.quantity * quantity < 0)
    return Holding(symbol, FOREIGN_OWNER, quantity, *unknown, closed_by_others=sum(offset, NO_SHARES))


def _own(
    watched: WatchedPosition,
    watching: Exits,
    listed: Exits,
    priced: RecordedPrice | None,
    now: datetime | None,
    state: State,
    of: PositionProtection,
) -> Holding:
    position = watched.position
    # A price from before its oldest lot doesn't apply to it. After a split it has new lots, with prices per new share.
    price = priced.price if priced and priced.at >= min(lot.at for lot in position.lots) else None
    rows = stop_rows(watched, watching, price, now, listed)
    return Holding(
        symbol=position.symbol,
        strategy=position.strategy,
        quantity=position.quantity,
        average_price=position.average_price,
        cost_usd=position.cost,
        opened_at=position.opened_at,
        age_s=(now - position.opened_at).total_seconds() if now else None,
        price=price,
        price_at=priced.at if priced and price is not None else None,
        gain=watched.gain(price) if price is not None else None,
        unrealized_usd=position.value_at(price) - position.cost if price is not None else None,
        high_water=watched.kept.best,
        stops=rows,
        nearest=nearest_of(rows),
        state=state.value,
        protection=of,
        multiplier=position.multiplier,
    )


def _reduced_by_others(row: Holding, watched: WatchedPosition, by: ExternalClose, shares: Decimal) -> Holding:
    """Return the row of a position after others closed some of its shares, or all."""
    position, part = watched.position, shares / abs(watched.position.quantity)
    there = position.value_at(by.price) * part
    if part == 1:
        worth, gained = there - position.cost, watched.gain(by.price)
        row = replace(row, price=by.price, price_at=by.at, gain=gained, unrealized_usd=worth, stops=(), nearest=None)
        return replace(row, state=State.CLOSED.value, protection=None, closed_by_others=shares)
    rest = None if row.price is None else position.value_at(row.price) * (1 - part)
    return replace(row, unrealized_usd=None if rest is None else there + rest - position.cost, closed_by_others=shares)


def stop_rows(
    watched: WatchedPosition, rules: Exits, price: Decimal | None, now: datetime | None, listed: Exits
) -> tuple[StopRow, ...]:
    """Measure the distance to each exit rule of a position, given its last price in USD and the time.

    Rules that aren't `listed` were set when the position was opened.
    """
    rows = list[StopRow]()
    for rule in rules:
        stop = rule.level(watched)
        if stop.price is not None or stop.at is not None:
            away = None if price is None else distance(stop, price, watched.direction)
            left_s = (stop.at - now).total_seconds() if stop.at and now else None
            own = rule not in listed
            rows.append(StopRow(stop.rule.value, stop.price, stop.at, stop.armed, away, left_s, own))
    return tuple(rows)


def nearest_of(rows: Sequence[StopRow]) -> str | None:
    """Return the armed rule that acts first: an overdue time exit, or the one whose price is passed or nearest."""
    overdue = (row.rule for row in rows if row.left_s is not None and row.left_s <= 0)
    measured = [(row.distance, row.rule) for row in rows if row.armed and row.distance is not None]
    return next(overdue, min(measured)[1] if measured else None)


class AccountMargin(Struct, frozen=True):
    """The margin of an account's positions, in USD and as fractions of its equity; None where unknown.

    `at` is when a pass recorded it, in trading time. `initial` is the margin for opening the positions, and
    `maintenance` the margin for keeping them: the broker liquidates once the maintenance margin reaches the equity.
    `liquidations` are the positions' liquidation prices, nearest first, with each price's distance from the mark.
    """

    at: datetime
    initial_usd: Decimal | None
    initial_fraction: Decimal | None
    maintenance_usd: Decimal | None
    maintenance_fraction: Decimal | None
    available_usd: Decimal | None
    liquidations: tuple[Liquidation, ...]


class FundingSoFar(Struct, frozen=True):
    """The funding of a symbol since its oldest position was opened, in signed USD."""

    symbol: str
    amount_usd: Decimal


def funding_so_far(holdings: Iterable[Holding], movements: Iterable[CashMovement]) -> tuple[FundingSoFar, ...]:
    """Return the booked funding of each symbol with a position, in the order of positions, without zeros.

    Positions of several strategies in a symbol are one position at the broker, so their funding is reported together.
    """
    since: dict[str, datetime] = {}
    for row in holdings:
        if row.opened_at is not None:
            since[row.symbol] = min(row.opened_at, since.get(row.symbol, row.opened_at))
    sums = dict.fromkeys(since, Decimal(0))
    for move in movements:
        if move.meaning is ActivityKind.FUNDING and move.symbol in since and move.at >= since[move.symbol]:
            sums[move.symbol] += move.amount_usd
    return tuple(FundingSoFar(symbol, amount) for symbol, amount in sums.items() if amount)


def account_margin(passes: Iterable[CycleRecord]) -> AccountMargin | None:
    """Return the margin in the last of these passes; None for a cash account."""
    margins = [(cycle.at, cycle.equity, cycle.margin) for cycle in passes if cycle.margin is not None]
    if not margins:
        return None
    at, equity, margin = max(margins, key=lambda margin: margin[0])

    def with_share(usd: Decimal | None) -> tuple[Decimal | None, Decimal | None]:
        return usd, usd / equity if usd is not None and equity is not None and equity > 0 else None

    tied = (*with_share(margin.initial), *with_share(margin.maintenance))
    return AccountMargin(at, *tied, margin.available, margin.liquidations)
