"""The bot's positions, permissions and last actions, as values that a screen, a page or a notice can show.

The account's profit is computed from its ledger: over all time, and for the last day of the books.
"""

from collections.abc import Iterable, Mapping, Sequence
from datetime import date, datetime
from decimal import Decimal

from msgspec import Struct

from tradebot.judging.judgment import Judgment
from tradebot.learning.policy_decisions import describe_fallback, fallback_reasons
from tradebot.model.account import CashMovement, EquityPeak
from tradebot.model.decision import Gate
from tradebot.model.flow import Intake
from tradebot.model.intent import IntentRecord
from tradebot.model.order import Order
from tradebot.model.position import FOREIGN, OwnedFill
from tradebot.model.record import CycleRecord, Job, SessionEnd
from tradebot.model.sentences import pluralize
from tradebot.model.series import downsample
from tradebot.model.totals import Totals
from tradebot.model.trading import ReconcileMark, Request, SlotClaim
from tradebot.model.venue import Settlement
from tradebot.model.venue_day import VenueDay
from tradebot.views.holdings import AccountMargin, Holding
from tradebot.views.trades.days import DateRange
from tradebot.views.trades.history import History
from tradebot.views.trades.lots import Owner
from tradebot.views.trades.pieces import break_down_profit
from tradebot.views.trades.pnl import ProfitGrouping, pnl
from tradebot.views.trades.trade_row import Choice


class Profit(Struct, frozen=True, omit_defaults=True):
    """Profit in USD, computed from the ledger; `fees` were charged with fills.

    `position_value` is what positions add to cash: their value, or in a margin account their unrealized profit.
    """

    opening_cash: Decimal
    cash: Decimal
    position_value: Decimal
    realized: Decimal
    unrealized: Decimal
    fees: Decimal = Decimal(0)

    @property
    def equity(self) -> Decimal:
        return self.cash + self.position_value

    @property
    def total(self) -> Decimal:
        return self.realized + self.unrealized - self.fees


def profit(
    opening_cash: Decimal,
    totals: Totals,
    marks: Mapping[str, Decimal],
    adjustments: Decimal = Decimal(0),
    settlement: Settlement = Settlement.PAID,
) -> Profit:
    """Return the profit of all fills, valuing open positions at `marks` (USD per share, one for each symbol)."""
    positions = totals.positions.values()
    value = sum((p.value_at(marks[p.symbol]) for p in positions if p.quantity), Decimal(0))
    realized, unrealized = sum((p.realized_pnl for p in positions), Decimal(0)), value - totals.cost
    cash = totals.cash(opening_cash, settlement) + adjustments
    added = unrealized if settlement is Settlement.MARGINED else value
    return Profit(opening_cash, cash, added, realized, unrealized, totals.fees)


class DayProfit(Struct, frozen=True, omit_defaults=True):
    """The account's result of one day, in signed USD, without transfers. Trades by others in the account count too.

    `open_usd` is the change in unrealized gains, `other_usd` dividends, interest, funding and other cash movements.
    `trades_closed` counts the trades that the bot closed. `unpriced` are symbols without a price of that day; their
    gain is missing from the result. `unknown_fees` counts fills whose fee isn't known yet. `funding_usd` is the funding
    in `other_usd`, if any. `difference_usd` is the part of the total, computed from the broker's equity, that the books
    don't explain.
    """

    day: date
    realized_usd: Decimal
    open_usd: Decimal
    fees_usd: Decimal
    other_usd: Decimal
    total_usd: Decimal
    trades_closed: int
    unpriced: tuple[str, ...]
    unknown_fees: int = 0
    funding_usd: Decimal | None = None
    difference_usd: Decimal = Decimal(0)


def opening_times(
    totals: Totals, day: date, venue: VenueDay, with_others: Iterable[OwnedFill] = ()
) -> Mapping[Owner, datetime]:
    """Return when each position that is open or was closed on a day was opened.

    If a strategy had several positions in a symbol, the earliest time counts. Others' positions with fills in
    `with_others` count from their opening if they were open before the day, and otherwise from the beginning of the
    day.
    """
    keys = [position.key for position in totals.own_positions()]
    trips = (trip for trip in totals.round_trips if venue.date_of(trip.closed_at) == day)
    ended = [(trip.strategy, trip.symbol, trip.opened_at) for trip in trips]
    # The earliest one comes last and overwrites the others.
    ours = {key[:2]: key[2] for key in sorted(keys + ended, key=lambda key: key[2], reverse=True)}
    return {**ours, **_of_others(with_others, venue.begins(day))}


def _of_others(with_others: Iterable[OwnedFill], start: datetime) -> Mapping[Owner, datetime]:
    """Return the time from which each foreign position counts: its opening if it was open at `start`, else `start`.

    The exact time isn't known for the others, because foreign trades aren't stored one by one.
    """
    foreign = [owned for owned in with_others if owned.strategy == FOREIGN]
    before = Totals.of(owned for owned in foreign if owned.fill.at < start).positions
    traded = {(owned.strategy, owned.fill.symbol) for owned in foreign}
    opened = {holding: before[holding].entered_at for holding in traded if holding in before}
    return {holding: opened.get(holding) or start for holding in traded}


def belongs_to_position(owned: OwnedFill, since: Mapping[Owner, datetime]) -> bool:
    """Return True if a fill belongs to a position in `since` rather than to one closed before it."""
    at = since.get((owned.strategy, owned.fill.symbol))
    return at is not None and owned.fill.at >= at


def day_profit(
    totals: Totals,
    day: date,
    venue: VenueDay,
    since: Mapping[Owner, datetime],
    fills: Iterable[OwnedFill],
    cash: Sequence[CashMovement],
    ends: Sequence[SessionEnd],
    opening: tuple[datetime, Decimal] | None = None,
) -> DayProfit | None:
    """Return the profit of the last day of the books; None without positions or fills, or if records are missing.

    `since` has the positions' opening times, `fills` all fills since the earliest of them, and `ends` the account at
    the ends of the day and of the session before it. `opening` is when the books were opened, and the account's value
    at that time; it is given only if there were no positions then.
    """
    of_day = [owned for owned in fills if belongs_to_position(owned, since)]
    if not of_day and not any(venue.date_of(movement.at) == day for movement in cash):
        return None
    day_totals = Totals.of(of_day)
    if (day_totals.own_quantities(), day_totals.quantities({})) != (totals.own_quantities(), totals.quantities({})):
        return None
    opened_at, opening_cash = opening or (None, Decimal(0))
    history = History("", "", venue, opened_at, opening_cash, tuple(of_day), tuple(cash), tuple(ends))
    profit = pnl(break_down_profit(history), ProfitGrouping.DAY, Choice(DateRange(day, day)))
    row, funding = profit.total, profit.total.funding_usd
    other = row.dividends_usd + row.interest_usd + funding + row.other_usd
    amounts = row.realized_usd, row.open_usd, row.fees_usd, other, profit.profit_usd
    rest = row.trades_closed, row.unpriced, profit.unknown_fees, funding or None, profit.difference_usd
    return DayProfit(day, *amounts, *rest)


PLOTTED = 60


class FlowQuota(Struct, frozen=True):
    """Our use of the flow source's daily quota of calls, as it last reported it; None for fields it didn't report."""

    at: datetime
    used_today: int | None
    daily_limit: int | None
    left_today: int | None


class Equity(Struct, frozen=True):
    """The account's equity in USD over the passes of the last session; `plot` has at most sixty points."""

    session: date
    passes: int
    first_usd: Decimal
    last_usd: Decimal
    low_usd: Decimal
    high_usd: Decimal
    plot: tuple[Decimal, ...]


def quota(passes: Sequence[CycleRecord]) -> FlowQuota | None:
    """Return the quota reported to the newest pass of fetch-flow."""
    for cycle in reversed(passes):
        reported = cycle.quota
        if reported is not None and reported.used_today is not None:
            remaining = None if reported.daily_limit is None else max(reported.daily_limit - reported.used_today, 0)
            return FlowQuota(cycle.at, reported.used_today, reported.daily_limit, remaining)
    return None


def drawdown(equity: Equity | None, peak: EquityPeak | None) -> Decimal | None:
    """Return how far the last equity is below its peak, as a fraction of the peak; None if either isn't known."""
    return max(1 - equity.last_usd / peak.highest, Decimal(0)) if equity and peak and peak.highest else None


def equity(passes: Sequence[CycleRecord]) -> Equity | None:
    """Return the equity over the newest session in which a pass read the account."""
    readings = [(cycle.session, cycle.equity) for cycle in passes if cycle.equity is not None]
    values = [equity for session, equity in readings if session == readings[-1][0]]
    if not values:
        return None
    ends = values[0], values[-1], min(values), max(values)
    return Equity(readings[-1][0], len(values), *ends, downsample(values, PLOTTED))


class LastPass(Struct, frozen=True):
    """The last recorded pass of a job; `slot` is None if the records don't name it."""

    job: str
    at: datetime
    slot: str | None
    did: str


def last_pass(cycle: CycleRecord, answers: Sequence[Intake] = ()) -> LastPass:
    """Describe a recorded pass; `answers` are the flow source's replies in it."""
    return LastPass(cycle.job.value, cycle.at, cycle.slot, _did(cycle, answers))


def last_reconcile(mark: ReconcileMark) -> LastPass:
    """Describe the result of the last reconcile."""
    finding = f"{pluralize(mark.findings, 'finding')}, {mark.blocking} blocking"
    return LastPass(Job.RECONCILE.value, mark.at, None, finding)


def _did(cycle: CycleRecord, answers: Sequence[Intake]) -> str:
    if cycle.job_decision is not None:
        return f"refused: {cycle.job_decision.reason}"
    if cycle.job is Job.FETCH_FLOW:
        return f"{pluralize(len(answers), 'answer')}, {pluralize(sum(answer.received for answer in answers), 'row')}"
    orders = sum(record.terminal is None for record in cycle.candidates)
    refused = (each for each in cycle.refused_strategies if each.decision.gate is Gate.STRATEGY)
    failed = "".join(f"; strategy {each.strategy} is BROKEN ({each.decision.reason})" for each in refused)
    if cycle.job is Job.SCORE:
        return f"{len(cycle.candidates)} scored, {pluralize(orders, 'candidate')}{failed}"
    instead = "".join(
        f"; strategy {describe_fallback(name, why)}" for name, why in fallback_reasons(cycle.candidates).items()
    )
    return f"{len(cycle.candidates)} looked at, {orders} sent{failed}{instead}"


class OpenOrder(Struct, frozen=True):
    """A working order, or one with an unknown outcome; quantity in shares still open, prices in USD."""

    symbol: str
    side: str
    quantity: Decimal
    limit_price: Decimal | None
    stop_price: Decimal | None
    status: str
    client_order_id: str


def open_order(order: Order, *, ending: bool) -> OpenOrder:
    """Return an order as last reported.

    With `ending`, a cancel was sent, but only the next pass will see its effect.
    """
    prices, status = (order.limit_price, order.stop_price), "cancel sent" if ending else order.status.value
    return OpenOrder(order.symbol, order.side.value, order.open_quantity, *prices, status, order.client_order_id)


def unresolved_order(record: IntentRecord) -> OpenOrder:
    """Return an order with an unknown outcome as it was recorded."""
    intent, symbol = record.intent, record.intent.instrument.symbol
    prices = intent.limit_price, None if intent.limit_price else intent.stop_price
    return OpenOrder(symbol, intent.side.value, intent.quantity, *prices, record.state.value, intent.client_order_id)


class OpenClaim(Struct, frozen=True):
    """A slot with a claim and no recorded end: its claimant is still running, or was interrupted."""

    job: str
    slot: str
    at: datetime
    by: str


def unended_of(claim: SlotClaim) -> OpenClaim:
    """Return a claim without a recorded end as the status shows it."""
    return OpenClaim(claim.job, claim.slot, claim.at, claim.by)


class RecordCounts(Struct, frozen=True):
    """The number of records that the status is based on."""

    fills: int
    orders: int
    intents: int
    passes: int


class NextSlot(Struct, frozen=True):
    """The next due time of a job by the timetable and the stored calendar."""

    job: str
    session: date
    slot: str
    at: datetime


class Status(Struct, frozen=True, omit_defaults=True):
    """Everything on the screen; `as_of` is the last recorded trading time, None if nothing was recorded.

    With a real broker, `trading_at` may be this machine's time; all other times are trading time. `next_slots` are
    those after `now`, which is `as_of` in the sandbox. `halted_itself` says why the bot halted itself, if such a halt
    is still in force beneath a person's halt. `today` is the profit of the day of `as_of`, without others' trades in
    the account; None without positions and payments, or if records are missing. `drawdown` is how far the equity is
    below its peak, as a fraction of the peak, and `drawdown_halt` the level at which the bot halts itself. Only a
    margin account has `margin`. `realized_elsewhere_usd` is the part of `realized_usd` that isn't from the bot's
    trades. `without_evidence` are sentences on strategies that may trade real money because a person decided so, and
    `not_entering` on those that may not enter before they are promoted. `unended` are the slots that have begun and not
    ended yet. `notes` describe differences between books and broker.
    """

    state_dir: str
    as_of: datetime | None
    exchange_url: str | None
    trading_state: str
    trading_who: str
    trading_why: str
    trading_at: datetime | None
    halted_itself: tuple[str, ...]
    permission: Judgment
    reconcile: ReconcileMark | None
    health: tuple[Judgment, ...]
    passes: tuple[LastPass, ...]
    now: datetime | None
    next_slots: tuple[NextSlot, ...]
    quota: FlowQuota | None
    equity: Equity | None
    drawdown: Decimal | None
    drawdown_halt: Decimal
    positions: tuple[Holding, ...]
    orders: tuple[OpenOrder, ...]
    unresolved: tuple[OpenOrder, ...]
    realized_usd: Decimal
    today: DayProfit | None
    looked_at: RecordCounts
    margin: AccountMargin | None = None
    realized_elsewhere_usd: Decimal = Decimal(0)
    without_evidence: tuple[str, ...] = ()
    unended: tuple[OpenClaim, ...] = ()
    not_entering: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()


def day_return(status: Status) -> Decimal | None:
    """Return the day's profit as a fraction of the equity before it; None if either isn't known."""
    if status.today is None or status.equity is None:
        return None
    before = status.equity.last_usd - status.today.total_usd
    return status.today.total_usd / before if before > 0 else None


class GrossExposure(Struct, frozen=True):
    """The unsigned value of all positions in USD, as a fraction of the equity, and how many of them have no price."""

    gross_usd: Decimal
    fraction: Decimal | None
    unpriced: int


def exposure(status: Status) -> GrossExposure:
    """Return the exposure of the positions that the broker still has, at their last recorded prices."""
    values = [row.value_usd for row in status.positions if row.is_held]
    gross = sum((abs(value) for value in values if value is not None), Decimal(0))
    equity = status.equity.last_usd if status.equity else Decimal(0)
    return GrossExposure(gross, gross / equity if equity > 0 else None, sum(value is None for value in values))


def describe_waiting(requests: Sequence[Request]) -> str:
    """Say which entries wait for a person's approval, and when the first of them expires, in UTC."""
    entries = ", ".join(f"{request.side} {request.quantity:,f} {request.symbol}" for request in requests)
    until = f"{min(request.expires_at for request in requests):%Y-%m-%d %H:%M} UTC"
    return f"{pluralize(len(requests), 'entry waits', 'entries wait')} for your approval until {until}: {entries}."
